//! Certified accuracy against radius, one line per run.

use maud::{Markup, html};

use super::frame::{Frame, Size};
use super::scale::{Label, Scale};
use super::shapes::{Look, Point, badge, dot, line};
use crate::metrics::{Share, share_at};
use crate::model::Run;
use crate::text;

/// One line: a run's position in the report, the run, and its look.
pub(crate) type Line<'a> = (usize, &'a Run, Look);

/// Draws certified accuracy (or share) against radius. Each of `radii` has a dot
/// with its figure under the pointer.
pub(crate) fn accuracy(lines: &[Line<'_>], radii: &[f64], y_title: &str, size: Size) -> Markup {
    let largest = lines.iter().map(|(_, run, _)| run.largest_radius());
    let frame = Frame::new(
        size,
        Scale::from_zero(largest.fold(0.0, f64::max), size.x_ticks(), Label::Plain),
        Scale::linear(0.0, 1.0, Label::Percent),
    );
    let curves: Vec<Vec<Point>> = lines.iter().map(|(_, run, _)| steps(run, &frame)).collect();
    let marks = html! {
        @for ((_, _, look), curve) in lines.iter().zip(&curves) {
            g class=(look.classes()) { (line("line", &corners(curve))) }
        }
        @for (index, run, look) in lines {
            g class=(look.classes()) { (dots(*index, run, radii, &frame)) }
        }
        @for ((index, _, look), point) in lines.iter().zip(badges(&curves, &frame)) {
            g class=(look.classes()) {
                @if let Some(point) = point { (badge(*look, point, *index)) }
            }
        }
    };
    let description = format!("{y_title} against radius, one line per run");
    frame.draw(&description, "L2 radius, inputs in [0, 1]", y_title, &marks)
}

/// The dots of one run, at those of the radii that the plot shows.
fn dots(index: usize, run: &Run, radii: &[f64], frame: &Frame) -> Markup {
    let shown = |radius: &&f64| (0.0..=1.0).contains(&frame.x.position(**radius));
    html! {
        @for &radius in radii.iter().filter(shown) {
            @let share = share_at(run, radius);
            @if let Some(height) = share.fraction().filter(|height| *height > 0.0) {
                (dot(frame.point(radius, height), 2.6, &tooltip(index, radius, share)))
            }
        }
    }
}

fn tooltip(run: usize, radius: f64, share: Share) -> String {
    format!(
        "Run {}, radius {}: {} % ({} of {})",
        run + 1,
        text::short(radius),
        share.percent_down(),
        text::grouped(share.count),
        text::grouped(share.total)
    )
}

/// The curve at every unit of width, up to where it first is 0: nothing finer
/// could be seen, and a run of 50,000 inputs makes the page no longer than one
/// of 500.
fn steps(run: &Run, frame: &Frame) -> Vec<Point> {
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
        points.push(frame.point(radius, reached as f64 / run.rows.len() as f64));
        if reached == 0 {
            break;
        }
    }
    points
}

/// Leaves out the middle of every level stretch.
fn corners(curve: &[Point]) -> Vec<Point> {
    let middle = |i: usize| {
        i > 0 && i + 1 < curve.len() && curve[i - 1].1 == curve[i].1 && curve[i + 1].1 == curve[i].1
    };
    let corners = (0..curve.len()).filter(|i| !middle(*i));
    corners.map(|i| curve[i]).collect()
}

/// A point for each run's number, on its curve and as far as can be from the
/// other curves and from the numbers before it.
fn badges(curves: &[Vec<Point>], frame: &Frame) -> Vec<Option<Point>> {
    let distance = |a: Point, b: Point| (a.0 - b.0).hypot(a.1 - b.1);
    let inside = |point: &&Point| {
        let from_left = point.0 - frame.left;
        from_left > 14.0 && point.0 < frame.right - 14.0 && point.1 < frame.bottom - 14.0
    };
    let mut chosen: Vec<Point> = Vec::new();
    let mut badges = Vec::with_capacity(curves.len());
    for (index, curve) in curves.iter().enumerate() {
        let room = |point: Point| {
            let others = curves.iter().enumerate().filter(|(i, _)| *i != index);
            let lines = others
                .flat_map(|(_, points)| points.iter().step_by(3))
                .map(|other| distance(point, *other).min(24.0))
                .fold(24.0, f64::min);
            let numbers = chosen
                .iter()
                .map(|other| distance(point, *other).min(36.0))
                .fold(36.0, f64::min);
            2.0 * lines + numbers
        };
        let candidates = curve.iter().filter(inside).step_by(4);
        let best = candidates
            .map(|point| (*point, room(*point)))
            // Of equally good points the leftmost, where the curves are highest.
            .reduce(|best, next| if best.1 >= next.1 { best } else { next })
            .map(|(point, _)| point)
            .or_else(|| curve.first().copied());
        chosen.extend(best);
        badges.push(best);
    }
    badges
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
    fn numbers_keep_their_distance_even_on_equal_curves() {
        let frame = Frame::new(
            Size::Narrow,
            Scale::from_zero(2.0, 6, Label::Plain),
            Scale::linear(0.0, 1.0, Label::Percent),
        );
        let curves = vec![steps(&run(&[0.5, 1.5]), &frame); 4];
        let points: Vec<Point> = badges(&curves, &frame).into_iter().flatten().collect();
        assert_eq!(points.len(), 4);
        for (one, a) in points.iter().enumerate() {
            for b in &points[..one] {
                assert!((a.0 - b.0).hypot(a.1 - b.1) > 20.0, "{points:?}");
            }
        }
    }

    #[test]
    fn empty_runs_draw_an_empty_plot() {
        let run = run(&[]);
        let look = Look::new(0, 0, false);
        let svg = accuracy(&[(0, &run, look)], &[0.0], "share", Size::Wide).into_string();
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>") && !svg.contains("NaN"));
    }
}
