//! Certified accuracy against radius, one line a run.

use std::fmt::Write;

use super::scale::{Label, Scale};
use super::{Frame, Look, Size, Svg, number};
use crate::metrics::{Share, share_at};
use crate::model::Run;
use crate::text;

/// One line: a run's position in the report, the run, and its look.
pub(crate) type Line<'a> = (usize, &'a Run, Look);

/// Draws certified accuracy (or share) against radius. At each of `radii` a
/// dot tells its figure under the pointer.
pub(crate) fn accuracy(lines: &[Line<'_>], radii: &[f64], y_title: &str, size: Size) -> String {
    let largest = lines.iter().map(|(_, run, _)| run.largest_radius());
    let frame = Frame::new(
        size,
        Scale::from_zero(largest.fold(0.0, f64::max), size.x_ticks(), Label::Plain),
        Scale::linear(0.0, 1.0, Label::Percent),
    );
    let label = format!("{y_title} against radius, one line a run");
    let mut svg = Svg::open(&frame, &label, "L2 radius, inputs in [0, 1]", y_title);
    let curves: Vec<Vec<(f64, f64)>> = lines.iter().map(|(_, run, _)| steps(run, &frame)).collect();
    for ((_, _, look), curve) in lines.iter().zip(&curves) {
        svg.group(&look.classes());
        svg.path("line", &corners(curve));
        svg.end();
    }
    for (index, run, look) in lines {
        svg.group(&look.classes());
        for radius in radii
            .iter()
            .filter(|r| (0.0..=1.0).contains(&frame.x.place(**r)))
        {
            let share = share_at(run, *radius);
            let Some(height) = share.fraction().filter(|height| *height > 0.0) else {
                continue;
            };
            let at = frame.at(*radius, height);
            svg.tooltip(&tooltip(*index, *radius, share));
            svg.target(at);
            let _ = write!(
                svg.0,
                r#"<circle class="dot" cx="{}" cy="{}" r="2.6"/>"#,
                number(at.0),
                number(at.1)
            );
            svg.end();
        }
        svg.end();
    }
    for ((index, _, look), at) in lines.iter().zip(badges(&curves, &frame)) {
        svg.group(&look.classes());
        if let Some(at) = at {
            svg.badge(*look, at, *index);
        }
        svg.end();
    }
    svg.close()
}

fn tooltip(run: usize, radius: f64, share: Share) -> String {
    format!(
        "Run {}, radius {}: {} % ({} of {})",
        run + 1,
        text::short(radius),
        share.percent_down(),
        text::grouped(share.count),
        text::grouped(share.of)
    )
}

/// The curve at every unit of width, up to where it first is 0: nothing finer
/// could be seen, and a run of 50,000 inputs makes the page no longer than one
/// of 500.
fn steps(run: &Run, frame: &Frame) -> Vec<(f64, f64)> {
    let labelled = run.is_labelled();
    let counted = run.rows.iter().filter(|row| {
        if labelled {
            row.is_correct()
        } else {
            row.class.is_some()
        }
    });
    let mut radii: Vec<f64> = counted.map(|row| row.radius).collect();
    if run.rows.is_empty() {
        return Vec::new();
    }
    radii.sort_unstable_by(f64::total_cmp);
    let columns = (frame.right - frame.left) as usize;
    let mut points = Vec::new();
    for column in 0..=columns {
        let radius = frame.x.value(column as f64 / columns as f64);
        let reached = radii.len() - radii.partition_point(|r| *r < radius);
        points.push(frame.at(radius, reached as f64 / run.rows.len() as f64));
        if reached == 0 {
            break;
        }
    }
    points
}

/// Leaves out the middle of every level stretch.
fn corners(curve: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let middle = |place: usize| {
        place > 0
            && place + 1 < curve.len()
            && curve[place - 1].1 == curve[place].1
            && curve[place + 1].1 == curve[place].1
    };
    (0..curve.len())
        .filter(|place| !middle(*place))
        .map(|place| curve[place])
        .collect()
}

/// A place for each run's number, on its curve and as far as can be from the
/// other curves and from the numbers already placed.
fn badges(curves: &[Vec<(f64, f64)>], frame: &Frame) -> Vec<Option<(f64, f64)>> {
    let mut placed: Vec<(f64, f64)> = Vec::new();
    curves
        .iter()
        .enumerate()
        .map(|(own, curve)| {
            let distance = |a: (f64, f64), b: (f64, f64)| (a.0 - b.0).hypot(a.1 - b.1);
            let room = |at: (f64, f64)| {
                let others = curves.iter().enumerate().filter(|(other, _)| *other != own);
                let lines = others
                    .flat_map(|(_, points)| points.iter().step_by(3))
                    .map(|point| distance(at, *point).min(24.0))
                    .fold(24.0, f64::min);
                let numbers = placed
                    .iter()
                    .map(|other| distance(at, *other).min(36.0))
                    .fold(36.0, f64::min);
                2.0 * lines + numbers
            };
            let inside = |at: &&(f64, f64)| {
                let from_left = at.0 - frame.left;
                from_left > 14.0 && at.0 < frame.right - 14.0 && at.1 < frame.bottom - 14.0
            };
            let candidates = curve.iter().filter(inside).step_by(4);
            let best = candidates
                .map(|at| (*at, room(*at)))
                // Of equal places the leftmost, where the curves are highest.
                .fold(None, |best: Option<((f64, f64), f64)>, next| match best {
                    Some(best) if best.1 >= next.1 => Some(best),
                    _ => Some(next),
                })
                .map(|(at, _)| at)
                .or_else(|| curve.first().copied());
            placed.extend(best);
            best
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Row;

    fn run(radii: &[f64]) -> Run {
        let row = |(idx, radius): (u32, &f64)| Row {
            idx,
            label: Some(1),
            class: Some(1),
            radius: *radius,
            ..Row::default()
        };
        Run {
            rows: (0..).zip(radii).map(row).collect(),
            ..Run::default()
        }
    }

    #[test]
    fn the_curve_falls_from_everything_to_nothing() {
        let frame = Frame::new(
            Size::Wide,
            Scale::from_zero(2.0, 6, Label::Plain),
            Scale::linear(0.0, 1.0, Label::Percent),
        );
        let curve = steps(&run(&[0.5, 1.5]), &frame);
        assert_eq!(curve[0], (frame.left, frame.top));
        // It is over right after the largest radius, three quarters along.
        let (x, y) = curve[curve.len() - 1];
        assert_eq!(y, frame.bottom);
        assert!((x - (frame.left + 0.75 * (frame.right - frame.left))).abs() < 2.0);
        assert!(curve.windows(2).all(|pair| pair[0].1 <= pair[1].1));
        // Two levels between three drops: at most two corners each.
        assert!(corners(&curve).len() <= 6);
        assert!(steps(&run(&[]), &frame).is_empty());
    }

    #[test]
    fn numbers_keep_apart_even_on_equal_curves() {
        let frame = Frame::new(
            Size::Narrow,
            Scale::from_zero(2.0, 6, Label::Plain),
            Scale::linear(0.0, 1.0, Label::Percent),
        );
        let curves = vec![steps(&run(&[0.5, 1.5]), &frame); 4];
        let places: Vec<(f64, f64)> = badges(&curves, &frame).into_iter().flatten().collect();
        assert_eq!(places.len(), 4);
        for (one, a) in places.iter().enumerate() {
            for b in &places[..one] {
                assert!((a.0 - b.0).hypot(a.1 - b.1) > 20.0, "{places:?}");
            }
        }
    }

    #[test]
    fn empty_runs_draw_an_empty_plot() {
        let run = run(&[]);
        let svg = accuracy(
            &[(0, &run, Look::new(0, 0, false))],
            &[0.0],
            "share",
            Size::Wide,
        );
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>") && !svg.contains("NaN"));
    }
}
