//! The distribution of `p_lower` over the inputs, one run per panel.

use maud::{Markup, html};

use super::frame::Frame;
use super::scale::{Label, Scale};
use super::shapes::{Look, coordinate, line, with_tooltip};
use crate::model::Run;
use crate::text;

const BINS: usize = 40;
const WIDTH: f64 = 290.0;
const HEIGHT: f64 = 180.0;

/// How many inputs have their bound in each of [`BINS`] equal parts of [0, 1],
/// the upper end belonging to the last.
fn counts(run: &Run) -> [u64; BINS] {
    let mut counts = [0; BINS];
    for p in run.rows.iter().filter_map(|row| row.p_lower) {
        counts[bin(p)] += 1;
    }
    counts
}

/// In which parts some input is certified.
fn certified(run: &Run) -> [bool; BINS] {
    let mut certified = [false; BINS];
    for row in run.rows.iter().filter(|row| row.class.is_some()) {
        if let Some(p) = row.p_lower {
            certified[bin(p)] = true;
        }
    }
    certified
}

fn bin(p: f64) -> usize {
    ((p * BINS as f64) as usize).min(BINS - 1)
}

/// The largest share of inputs in one bin; `None` if no input has a bound.
pub(crate) fn tallest(run: &Run) -> Option<f64> {
    let counts = counts(run);
    let total: u64 = counts.iter().sum();
    (total > 0).then(|| counts.into_iter().max().unwrap_or(0) as f64 / total as f64)
}

/// Draws one run's histogram; `top` is the share at the top of the scale, the
/// same for all panels that are to be compared.
pub(crate) fn histogram(index: usize, run: &Run, look: Look, top: f64) -> Markup {
    let frame = Frame {
        class: "panel",
        width: WIDTH,
        height: HEIGHT,
        left: 44.0,
        right: WIDTH - 10.0,
        top: 8.0,
        bottom: HEIGHT - 44.0,
        x: Scale::linear(0.0, 1.0, Label::Plain),
        y: Scale::from_zero(top, 5, Label::Percent),
        x_ticks: 6,
    };
    let certified = certified(run);
    let counts = counts(run);
    let total: u64 = counts.iter().sum();
    let counts = counts.into_iter().zip(certified).enumerate();
    let (half, _) = frame.point(0.5, 0.0);
    let marks = html! {
        g class=(look.classes()) {
            @for (bin, (count, certified)) in counts.filter(|(_, (count, _))| *count > 0) {
                (bar(&frame, bin, count, total, certified))
            }
        }
        (line("threshold", &[(half, frame.top), (half, frame.bottom)]))
    };
    let description = format!("run {}: p_lower of all inputs", index + 1);
    frame.draw(&description, "p_lower", "", &marks)
}

/// One bar with its figures under the pointer; grey without a certificate.
fn bar(frame: &Frame, bin: usize, count: u64, total: u64, certified: bool) -> Markup {
    let edge = |bin: usize| bin as f64 / BINS as f64;
    let share = count as f64 / total as f64;
    let (left, height) = frame.point(edge(bin), share);
    let (right, bottom) = frame.point(edge(bin + 1), 0.0);
    let tooltip = format!(
        "{} to {}: {} of {} inputs ({:.1} %)",
        text::short(edge(bin)),
        text::short(edge(bin + 1)),
        text::grouped(count),
        text::grouped(total),
        share * 100.0
    );
    let bar = html! {
        rect class=(if certified { "bar" } else { "bar idle" })
            x=(coordinate(left + 0.4)) y=(coordinate(height))
            width=(coordinate(right - left - 0.8))
            height=(coordinate((bottom - height).max(0.6))) {}
    };
    with_tooltip(&tooltip, &bar)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Row;

    #[test]
    fn every_bound_falls_into_one_bin() {
        let bounds = [0.0, 0.024, 0.025, 0.5, 0.999, 1.0];
        let row = |(idx, p): (u32, f64)| Row {
            idx,
            p_lower: Some(p),
            ..Row::default()
        };
        let mut run = Run {
            rows: (0..).zip(bounds).map(row).collect(),
            ..Run::default()
        };
        run.rows.push(Row {
            idx: 9,
            ..Row::default()
        });
        let counts = counts(&run);
        assert_eq!(counts.iter().sum::<u64>(), 6);
        assert_eq!((counts[0], counts[1], counts[20], counts[39]), (2, 1, 1, 2));
        assert_eq!(tallest(&run), Some(2.0 / 6.0));
        assert_eq!(tallest(&Run::default()), None);
    }

    #[test]
    fn bars_without_a_certificate_are_grey() {
        let row = |idx, p, class| Row {
            idx,
            p_lower: Some(p),
            class,
            ..Row::default()
        };
        // Certified below one half, where the runner-up is bounded too.
        let run = Run {
            rows: vec![
                row(0, 0.3, None),
                row(1, 0.4, Some(2)),
                row(2, 0.9, Some(1)),
            ],
            ..Run::default()
        };
        let svg = histogram(0, &run, Look::new(0, 0, false), 1.0).into_string();
        assert_eq!(svg.matches("class=\"bar idle\"").count(), 1, "{svg}");
        assert_eq!(svg.matches("class=\"bar\"").count(), 2, "{svg}");
    }
}
