//! A plot as a file of its own.
//!
//! It holds a style sheet with fixed colours (those of the page, in
//! `standalone.css`) instead of the page's own one with variables, which programs
//! that draw SVG files outside a browser often cannot follow.

use maud::{Markup, PreEscaped, html};

use super::frame::Frame;
use super::shapes::coordinate;

/// The room around the plot: left and right, above, below.
const MARGIN: (f64, f64, f64) = (20.0, 78.0, 14.0);

/// An SVG file of a plot in its frame, under a title and a subtitle.
pub(super) fn standalone(frame: &Frame, title: &str, subtitle: &str, plot: &Markup) -> String {
    let (side, above, below) = MARGIN;
    let width = coordinate(frame.width + 2.0 * side);
    let height = coordinate(frame.height + above + below);
    let file = html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox={ "0 0 " (width) " " (height) }
            width=(width) height=(height) role="img" aria-label=(title)
        {
            style { (PreEscaped(include_str!("standalone.css"))) }
            rect class="paper" width=(width) height=(height) {}
            text class="head" x=(side) y="34" { (title) }
            text class="sub" x=(side) y="56" { (subtitle) }
            g transform={ "translate(" (side) " " (above) ")" } { (plot) }
        }
    };
    file.into_string() + "\n"
}
