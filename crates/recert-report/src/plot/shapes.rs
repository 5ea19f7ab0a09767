//! The shapes that plots are made of, as SVG elements.

use maud::{Markup, html};

/// How many colours the style sheet has.
pub(super) const COLOURS: usize = 7;
/// How many dash patterns the style sheet has.
const DASHES: usize = 4;

/// A position in a drawing: right of its left edge and below its upper edge.
pub(super) type Point = (f64, f64);

/// The look of a run: which colour, which dashes, which marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Look {
    colour: usize,
    dash: usize,
    square: bool,
}

impl Look {
    /// The look of the `rank`th run of series number `series`.
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

    /// Whether its marker is a square, which stands for a recertification.
    pub(crate) fn is_square(self) -> bool {
        self.square
    }

    /// A short stroke for a legend, of a whole series: its line and its marker.
    pub(crate) fn swatch(self) -> Markup {
        html! {
            svg class="swatch" viewBox="0 0 34 14" width="34" height="14" aria-hidden="true" {
                g class=(self.classes()) {
                    path class="line" d="M1 7H33" {}
                    (marker(self, (17.0, 7.0), 4.0))
                }
            }
        }
    }
}

/// A coordinate with one decimal at most.
pub(super) fn coordinate(x: f64) -> f64 {
    (x * 10.0).round() / 10.0
}

/// A line through points.
pub(super) fn line(class: &str, points: &[Point]) -> Markup {
    let step = |(index, (x, y)): (usize, &Point)| {
        let letter = if index == 0 { "M" } else { "L" };
        format!("{letter}{} {}", coordinate(*x), coordinate(*y))
    };
    let path: String = points.iter().enumerate().map(step).collect();
    html! { path class=(class) d=(path) {} }
}

/// A text that starts, ends or has its middle at a point, as `anchor` says.
pub(super) fn label(class: &str, anchor: &str, (x, y): Point, text: &str) -> Markup {
    html! {
        text class=(class) text-anchor=(anchor) x=(coordinate(x)) y=(coordinate(y)) { (text) }
    }
}

/// A disc.
pub(super) fn disc(class: &str, (x, y): Point, radius: f64) -> Markup {
    html! {
        circle class=(class) cx=(coordinate(x)) cy=(coordinate(y)) r=(coordinate(radius)) {}
    }
}

/// A circle for certifying from scratch, a square for recertifying.
pub(super) fn marker(look: Look, (x, y): Point, radius: f64) -> Markup {
    if !look.square {
        return disc("mark", (x, y), radius);
    }
    let side = coordinate(radius * 2.0);
    html! {
        rect class="mark" x=(coordinate(x - radius)) y=(coordinate(y - radius))
            width=(side) height=(side) rx=(coordinate(radius / 3.0)) {}
    }
}

/// A marker with the run's number in it.
pub(super) fn badge(look: Look, (x, y): Point, run: usize) -> Markup {
    let number = (run + 1).to_string();
    let class = if number.len() > 2 {
        "number small"
    } else {
        "number"
    };
    html! {
        (marker(look, (x, y), 9.0))
        (label(class, "middle", (x, y + 3.8), &number))
    }
}

/// Marks that show a text under the pointer.
pub(super) fn with_tooltip(tooltip: &str, marks: &Markup) -> Markup {
    html! { g.tip { title { (tooltip) } (marks) } }
}

/// A small disc with a text under the pointer, and an unseen one around it that makes it
/// easy to point at.
pub(super) fn dot(centre: Point, radius: f64, tooltip: &str) -> Markup {
    let marks = html! {
        (target(centre))
        (disc("dot", centre, radius))
    };
    with_tooltip(tooltip, &marks)
}

/// An unseen disc that makes a small mark easy to point at.
pub(super) fn target(centre: Point) -> Markup {
    disc("target", centre, 9.0)
}
