//! The share of proofs that keep at most so many features, one line per network and order.

use maud::{Markup, html};

use super::frame::{Frame, Size};
use super::scale::{Label, Scale};
use super::shapes::{Look, Point, dot, line};
use crate::metrics::Share;

/// One line.
#[derive(Debug, Clone)]
pub(crate) struct Curve {
    /// Its look.
    pub(crate) look: Look,
    /// What it is of, in words.
    pub(crate) name: String,
    /// The number of features that each proof keeps.
    pub(crate) counts: Vec<u64>,
}

/// Numbers of features that have a dot with the figure under the pointer.
const DOTS: [u64; 5] = [1, 5, 10, 20, 50];

/// Draws the lines.
pub(crate) fn kept(curves: &[Curve], size: Size) -> Markup {
    let most = curves.iter().flat_map(|curve| &curve.counts).max().copied();
    let most = most.unwrap_or(0).max(1);
    let frame = Frame::new(
        size,
        Scale::from_zero(most as f64, size.x_ticks(), Label::Count),
        Scale::linear(0.0, 1.0, Label::Percent),
    );
    let share = |curve: &Curve, number: u64| Share {
        count: curve
            .counts
            .iter()
            .filter(|count| **count <= number)
            .count() as u64,
        total: curve.counts.len() as u64,
    };
    let place = |curve: &Curve, number: u64| {
        frame.point(
            number as f64,
            share(curve, number).fraction().unwrap_or(0.0),
        )
    };
    // A step at every number of features that a proof keeps.
    let steps = |curve: &Curve| {
        let mut numbers = curve.counts.clone();
        numbers.extend([0, most]);
        numbers.sort_unstable();
        numbers.dedup();
        let mut points: Vec<Point> = Vec::new();
        for number in numbers {
            let point = place(curve, number);
            points.extend(points.last().map(|&(_, y)| (point.0, y)));
            points.push(point);
        }
        points
    };
    let words = |curve: &Curve, number: u64| {
        let share = share(curve, number);
        let percent = share.percent_down();
        format!(
            "{}: at most {number} in {percent} % of {} proofs",
            curve.name, share.total
        )
    };
    let marks = html! {
        @for curve in curves {
            g class=(curve.look.classes()) { (line("line", &steps(curve))) }
        }
        @for curve in curves {
            g class=(curve.look.classes()) {
                @for number in DOTS.into_iter().filter(|number| *number <= most) {
                    (dot(place(curve, number), 3.0, &words(curve, number)))
                }
            }
        }
    };
    frame.draw(
        "share of proofs against the number of features kept, one line per network and order",
        "features kept, at most",
        "share of proofs",
        &marks,
    )
}
