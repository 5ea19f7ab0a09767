//! Inline SVG: axes, ticks and marks, styled by the page's own style sheet.
//!
//! Written here and not by a plotting library because the page needs what such
//! libraries leave out: colours that follow the reader's light or dark mode
//! (classes instead of fixed colours), tooltips (`title` elements), text in the
//! page's own font, and two drawings of each plot, for wide and narrow windows,
//! so that letters keep their size on a telephone.

mod accuracy;
mod cost;
mod histogram;
mod samples;
mod scale;

pub(crate) use accuracy::{Line, accuracy};
pub(crate) use cost::Mark;
pub(crate) use cost::cost;
pub(crate) use histogram::{histogram, tallest};
pub(crate) use samples::{Curve, samples};

use std::fmt::Write;

use crate::html::escape;
use crate::text;
use scale::{Scale, Tick};

/// How many colours the style sheet has.
const COLOURS: usize = 7;
/// How many dash patterns the style sheet has.
const DASHES: usize = 4;

/// The look of a run: which colour, which dashes, which marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Look {
    colour: usize,
    dash: usize,
    square: bool,
}

impl Look {
    /// The look of the run that stands `rank`th in series number `series`.
    pub(crate) fn new(series: usize, rank: usize, square: bool) -> Self {
        Self {
            colour: series % COLOURS,
            dash: (rank + series / COLOURS) % DASHES,
            square,
        }
    }

    /// The classes that give it.
    pub(crate) fn classes(self) -> String {
        format!("k{} d{}", self.colour, self.dash)
    }

    /// A short stroke for a legend, of a whole series: its line and its marker.
    pub(crate) fn swatch(self) -> String {
        let mut svg = Svg::default();
        let _ = write!(
            svg.0,
            r#"<svg class="swatch" viewBox="0 0 34 14" width="34" height="14" aria-hidden="true"><g class="{}"><path class="line" d="M1 7H33"/>"#,
            self.classes()
        );
        svg.marker(self, 17.0, 7.0, 4.0);
        svg.0.push_str("</g></svg>");
        svg.0
    }
}

/// The two sizes that each plot is drawn in; the style sheet shows one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    /// For windows as wide as the page.
    Wide,
    /// For telephones.
    Narrow,
}

impl Size {
    /// How many ticks have room on the lower axis.
    fn x_ticks(self) -> usize {
        match self {
            Self::Wide => 9,
            Self::Narrow => 6,
        }
    }

    /// Draws a plot in both sizes.
    pub(crate) fn both(draw: impl Fn(Self) -> String) -> String {
        draw(Self::Wide) + &draw(Self::Narrow)
    }
}

/// The area of a plot and its scales, in SVG units.
#[derive(Debug, Clone)]
struct Frame {
    class: &'static str,
    width: f64,
    height: f64,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
    x: Scale,
    y: Scale,
    x_ticks: usize,
}

impl Frame {
    fn new(size: Size, x: Scale, y: Scale) -> Self {
        let (class, width, height) = match size {
            Size::Wide => ("plot wide", 960.0, 410.0),
            Size::Narrow => ("plot narrow", 360.0, 320.0),
        };
        Self {
            class,
            width,
            height,
            left: 58.0,
            right: width - 14.0,
            top: 16.0,
            bottom: height - 50.0,
            x,
            y,
            x_ticks: size.x_ticks(),
        }
    }

    fn at(&self, x: f64, y: f64) -> (f64, f64) {
        (
            self.left + self.x.place(x) * (self.right - self.left),
            self.bottom - self.y.place(y) * (self.bottom - self.top),
        )
    }
}

/// A growing SVG text.
#[derive(Debug, Default)]
struct Svg(String);

impl Svg {
    /// Starts a plot with its grid, tick labels and axis titles. `label` says
    /// what it shows to those who cannot see it.
    fn open(frame: &Frame, label: &str, x_title: &str, y_title: &str) -> Self {
        let mut svg = Self::default();
        let _ = write!(
            svg.0,
            r#"<svg class="{}" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img" aria-label="{}">"#,
            frame.class,
            escape(label),
            w = frame.width,
            h = frame.height,
        );
        for Tick { value, label } in frame.x.ticks(frame.x_ticks) {
            let (x, _) = frame.at(value, frame.y.low());
            svg.line("grid", (x, frame.top), (x, frame.bottom));
            svg.text("tick", "middle", (x, frame.bottom + 18.0), &label);
        }
        for Tick { value, label } in frame.y.ticks(6) {
            let (_, y) = frame.at(frame.x.low(), value);
            svg.line("grid", (frame.left, y), (frame.right, y));
            svg.text("tick", "end", (frame.left - 8.0, y + 4.0), &label);
        }
        svg.line(
            "axis",
            (frame.left, frame.bottom),
            (frame.right, frame.bottom),
        );
        let middle = f64::midpoint(frame.left, frame.right);
        svg.text("title", "middle", (middle, frame.height - 6.0), x_title);
        if y_title.is_empty() {
            return svg;
        }
        let middle = f64::midpoint(frame.top, frame.bottom);
        let _ = write!(
            svg.0,
            r#"<text class="title" text-anchor="middle" transform="translate(12 {}) rotate(-90)">{}</text>"#,
            number(middle),
            escape(y_title)
        );
        svg
    }

    fn close(mut self) -> String {
        self.0.push_str("</svg>");
        self.0
    }

    fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let _ = write!(
            self.0,
            r#"<path class="{class}" d="M{} {}L{} {}"/>"#,
            number(from.0),
            number(from.1),
            number(to.0),
            number(to.1)
        );
    }

    fn path(&mut self, class: &str, points: &[(f64, f64)]) {
        let mut d = String::with_capacity(points.len() * 12);
        for (place, (x, y)) in points.iter().enumerate() {
            let letter = if place == 0 { 'M' } else { 'L' };
            let _ = write!(d, "{letter}{} {}", number(*x), number(*y));
        }
        let _ = write!(self.0, r#"<path class="{class}" d="{d}"/>"#);
    }

    fn text(&mut self, class: &str, anchor: &str, at: (f64, f64), text: &str) {
        let _ = write!(
            self.0,
            r#"<text class="{class}" text-anchor="{anchor}" x="{}" y="{}">{}</text>"#,
            number(at.0),
            number(at.1),
            escape(text)
        );
    }

    /// A circle for certifying from scratch, a square for recertifying.
    fn marker(&mut self, look: Look, x: f64, y: f64, radius: f64) {
        if look.square {
            let _ = write!(
                self.0,
                r#"<rect class="mark" x="{}" y="{}" width="{s}" height="{s}" rx="{}"/>"#,
                number(x - radius),
                number(y - radius),
                number(radius / 3.0),
                s = number(radius * 2.0)
            );
        } else {
            let _ = write!(
                self.0,
                r#"<circle class="mark" cx="{}" cy="{}" r="{}"/>"#,
                number(x),
                number(y),
                number(radius)
            );
        }
    }

    /// A marker with the run's number in it.
    fn badge(&mut self, look: Look, at: (f64, f64), run: usize) {
        self.marker(look, at.0, at.1, 9.0);
        let number = (run + 1).to_string();
        let class = if number.len() > 2 {
            "number small"
        } else {
            "number"
        };
        self.text(class, "middle", (at.0, at.1 + 3.8), &number);
    }

    /// Opens a group that shows `tooltip` under the pointer.
    fn tooltip(&mut self, tooltip: &str) {
        let _ = write!(
            self.0,
            r#"<g class="tip"><title>{}</title>"#,
            escape(tooltip)
        );
    }

    /// An unseen disc that makes a small mark easy to point at.
    fn target(&mut self, (x, y): (f64, f64)) {
        let _ = write!(
            self.0,
            r#"<circle class="target" cx="{}" cy="{}" r="9"/>"#,
            number(x),
            number(y)
        );
    }

    fn group(&mut self, class: &str) {
        let _ = write!(self.0, r#"<g class="{class}">"#);
    }

    fn end(&mut self) {
        self.0.push_str("</g>");
    }
}

/// A coordinate with one decimal at most.
fn number(x: f64) -> String {
    text::short((x * 10.0).round() / 10.0)
}
