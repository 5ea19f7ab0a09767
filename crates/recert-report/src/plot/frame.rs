//! The area of a plot: its size, scales, grid and titles.

use maud::{Markup, html};

use super::scale::{Scale, Tick};
use super::shapes::{Point, coordinate, label, line};

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
    pub(super) fn x_ticks(self) -> usize {
        match self {
            Self::Wide => 9,
            Self::Narrow => 6,
        }
    }

    /// Draws a plot in both sizes.
    pub(crate) fn both(draw: impl Fn(Self) -> Markup) -> Markup {
        html! { (draw(Self::Wide)) (draw(Self::Narrow)) }
    }
}

/// The area of a plot and its scales, in SVG units.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) class: &'static str,
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
    pub(super) x: Scale,
    pub(super) y: Scale,
    pub(super) x_ticks: usize,
}

impl Frame {
    pub(super) fn new(size: Size, x: Scale, y: Scale) -> Self {
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

    /// The point of two values.
    pub(super) fn point(&self, x: f64, y: f64) -> Point {
        (
            self.left + self.x.position(x) * (self.right - self.left),
            self.bottom - self.y.position(y) * (self.bottom - self.top),
        )
    }

    /// Whether a disc of this radius around a point lies within the area.
    pub(super) fn holds(&self, (x, y): Point, radius: f64) -> bool {
        x - radius >= self.left
            && x + radius <= self.right
            && y - radius >= self.top
            && y + radius <= self.bottom
    }

    /// Draws marks within grid, tick labels and axis titles. `description` is for those
    /// who cannot see the plot.
    pub(super) fn draw(
        &self,
        description: &str,
        x_title: &str,
        y_title: &str,
        marks: &Markup,
    ) -> Markup {
        let (left, right, top, bottom) = (self.left, self.right, self.top, self.bottom);
        let below = (f64::midpoint(left, right), self.height - 6.0);
        let middle = coordinate(f64::midpoint(top, bottom));
        html! {
            svg class=(self.class) viewBox={ "0 0 " (self.width) " " (self.height) }
                width=(self.width) height=(self.height) role="img" aria-label=(description)
            {
                @for Tick { value, label: text } in self.x.ticks(self.x_ticks) {
                    @let (x, _) = self.point(value, self.y.low());
                    (line("grid", &[(x, top), (x, bottom)]))
                    (label("tick", "middle", (x, bottom + 18.0), &text))
                }
                @for Tick { value, label: text } in self.y.ticks(6) {
                    @let (_, y) = self.point(self.x.low(), value);
                    (line("grid", &[(left, y), (right, y)]))
                    (label("tick", "end", (left - 8.0, y + 4.0), &text))
                }
                (line("axis", &[(left, bottom), (right, bottom)]))
                (label("title", "middle", below, x_title))
                @if !y_title.is_empty() {
                    text class="title" text-anchor="middle"
                        transform={ "translate(12 " (middle) ") rotate(-90)" } { (y_title) }
                }
                (marks)
            }
        }
    }
}
