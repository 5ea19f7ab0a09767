//! Evaluations against average certified radius, one marker per run.

use maud::{Markup, html};

use super::frame::{Frame, Size};
use super::scale::{Label, Scale};
use super::shapes::{Look, Point, badge, line, marker, target, with_tooltip};
use crate::text;
use recert_num::format_down;

/// One run in the plot.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    /// Its position in the report.
    pub(crate) run: usize,
    /// Network evaluations, positive.
    pub(crate) evaluations: u64,
    /// Average certified radius, or average radius.
    pub(crate) quality: f64,
    /// The rest of the tooltip.
    pub(crate) words: String,
}

/// Draws series of runs, each joined by a line in the order given. There is at
/// least one mark.
pub(crate) fn cost(series: &[(Look, Vec<Mark>)], y_title: &str, size: Size) -> Markup {
    let marks = || series.iter().flat_map(|(_, marks)| marks);
    let costs = || marks().map(|mark| mark.evaluations as f64);
    let qualities = || marks().map(|mark| mark.quality);
    let frame = Frame::new(
        size,
        Scale::logarithmic(
            costs().fold(f64::INFINITY, f64::min).max(1.0),
            costs().fold(1.0, f64::max),
        ),
        Scale::around(
            qualities().fold(f64::INFINITY, f64::min),
            qualities().fold(0.0, f64::max),
            Label::Plain,
        ),
    );
    let point = |mark: &Mark| frame.point(mark.evaluations as f64, mark.quality);
    let points: Vec<Point> = marks().map(point).collect();
    let places = places(&points, |place| frame.holds(place, ROOM));
    let mut places = points.iter().copied().zip(places);
    let marks = html! {
        @for (look, marks) in series {
            g class=(look.classes()) {
                (line("line", &marks.iter().map(point).collect::<Vec<_>>()))
            }
        }
        @for (look, marks) in series {
            g class=(look.classes()) {
                @for (mark, place) in marks.iter().zip(places.by_ref()) {
                    (marked(mark, *look, place, y_title))
                }
            }
        }
    };
    let description = format!("{y_title} against network evaluations, one marker per run");
    let x_title = match size {
        Size::Wide => "network evaluations, all inputs together (logarithmic)",
        Size::Narrow => "network evaluations (log)",
    };
    frame.draw(&description, x_title, y_title, &marks)
}

/// How far from its centre a marker with a number reaches.
const ROOM: f64 = 9.5;

/// How far beside its point a number is put, at the nearest place that is free.
const DISTANCES: [f64; 4] = [24.0, 34.0, 46.0, 60.0];

/// How many directions are tried at each distance, from above to the right on.
const DIRECTIONS: u32 = 12;

/// Where the markers with the numbers of `points` go, so that none covers another: at the point
/// itself where no other point is near, else beside it on free ground that `holds` them, else at
/// the point after all; `None` where there is no room.
fn places(points: &[Point], holds: impl Fn(Point) -> bool) -> Vec<Option<Point>> {
    let apart = |a: Point, b: Point, distance: f64| (a.0 - b.0).hypot(a.1 - b.1) > distance;
    let alone = |i: usize, point: Point| {
        let mut others = points.iter().enumerate().filter(|&(j, _)| j != i);
        others.all(|(_, &other)| apart(point, other, 2.0 * ROOM))
    };
    let own = |(i, &point): (usize, &Point)| alone(i, point).then_some(point);
    let mut places: Vec<Option<Point>> = points.iter().enumerate().map(own).collect();
    for (i, &point) in points.iter().enumerate() {
        if places[i].is_some() {
            continue;
        }
        let around = DISTANCES.iter().flat_map(|&distance| {
            (0..DIRECTIONS).map(move |step| {
                let angle = std::f64::consts::TAU * (f64::from(step) + 0.5) / f64::from(DIRECTIONS);
                let (sin, cos) = angle.sin_cos();
                (point.0 + distance * sin, point.1 - distance * cos)
            })
        });
        let untaken = |place: Point| {
            let mut taken = places.iter().flatten();
            taken.all(|&other| apart(place, other, 2.0 * ROOM))
        };
        let free = |place: &Point| {
            let mut markers = points.iter();
            holds(*place)
                && untaken(*place)
                && markers.all(|&other| apart(*place, other, ROOM + 3.6))
        };
        let found = around.into_iter().find(free);
        places[i] = found.or_else(|| untaken(point).then_some(point));
    }
    places
}

/// The marker of a run with its figures under the pointer, and its number where there is room:
/// in the marker, or beside it with a line between.
fn marked(
    mark: &Mark,
    look: Look,
    (centre, place): (Point, Option<Point>),
    quality: &str,
) -> Markup {
    let tooltip = format!(
        "Run {}: {} evaluations, {quality} {}{}",
        mark.run + 1,
        text::grouped(mark.evaluations),
        format_down(mark.quality, 4),
        mark.words
    );
    let shapes = html! {
        @match place {
            Some(place) if place == centre => (badge(look, centre, mark.run)),
            Some(place) => {
                (line("leader", &[centre, place]))
                (marker(look, centre, 3.6))
                (badge(look, place, mark.run))
            }
            None => {
                (target(centre))
                (marker(look, centre, 3.6))
            }
        }
    };
    with_tooltip(&tooltip, &shapes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_a_place_of_its_own() {
        // Four runs at one point, one beside, one far away.
        let points = [
            (100.0, 100.0),
            (100.0, 100.0),
            (101.0, 100.0),
            (100.0, 99.0),
            (115.0, 100.0),
            (300.0, 50.0),
        ];
        let found = places(&points, |(x, y)| x > 0.0 && y > 0.0);
        assert_eq!(found[5], Some(points[5]));
        // No marker without a number covers one.
        for (place, (i, _)) in found.iter().flatten().zip(points.iter().enumerate()) {
            let others = points.iter().enumerate().filter(|&(j, _)| j != i);
            for (_, other) in others {
                assert!(
                    (place.0 - other.0).hypot(place.1 - other.1) > ROOM,
                    "{place:?}"
                );
            }
        }
        let all: Vec<Point> = found.into_iter().map(Option::unwrap).collect();
        for (i, a) in all.iter().enumerate() {
            for b in &all[..i] {
                assert!((a.0 - b.0).hypot(a.1 - b.1) > 2.0 * ROOM, "{a:?} {b:?}");
            }
        }
        // Where nothing beside fits, one number is at the point, the other under the pointer alone.
        let crowded = places(&points[..2], |_| false);
        assert_eq!(crowded, [Some(points[0]), None]);
    }
}
