//! A plot as a file of its own.
//!
//! It holds a style sheet with fixed colours (those of the page, in
//! `standalone.css`) instead of the page's own one with variables, which programs
//! that draw SVG files outside a browser often cannot follow.

use maud::{Markup, PreEscaped, html};

use super::frame::Frame;
use super::shapes::coordinate;
use crate::text::wrapped;

/// The room around the plot: left and right, above, below.
const MARGIN: (f64, f64, f64) = (20.0, 78.0, 14.0);

/// The height of a line of the subtitle, and a width that few of its letters pass.
const SUBTITLE: (f64, f64) = (19.0, 7.6);

/// An SVG file of a plot in its frame, under a title and a subtitle of as many lines as it takes.
pub(super) fn standalone(frame: &Frame, title: &str, subtitle: &str, plot: &Markup) -> String {
    let (side, above, below) = MARGIN;
    let lines = wrapped(subtitle, (frame.width / SUBTITLE.1) as usize);
    let below_head = |line: usize| 56.0 + line as f64 * SUBTITLE.0;
    let above = above + lines.len().saturating_sub(1) as f64 * SUBTITLE.0;
    let width = coordinate(frame.width + 2.0 * side);
    let height = coordinate(frame.height + above + below);
    let file = html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox={ "0 0 " (width) " " (height) }
            width=(width) height=(height) role="img" aria-label=(title)
        {
            style { (PreEscaped(include_str!("standalone.css"))) }
            rect class="paper" width=(width) height=(height) {}
            text class="head" x=(side) y="34" { (title) }
            @for (i, line) in lines.iter().enumerate() {
                text class="sub" x=(side) y=(below_head(i)) { (line) }
            }
            g transform={ "translate(" (side) " " (above) ")" } { (plot) }
        }
    };
    file.into_string() + "\n"
}
