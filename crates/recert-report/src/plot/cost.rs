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
    // Numbers go into the markers as long as these do not cover one another. A marker
    // without room stays small, and its number is under the pointer.
    let mut numbered: Vec<Point> = Vec::new();
    let mut has_room = |(x, y): Point| {
        let room = numbered
            .iter()
            .all(|other| (x - other.0).hypot(y - other.1) > 19.0);
        if room {
            numbered.push((x, y));
        }
        room
    };
    let marks = html! {
        @for (look, marks) in series {
            g class=(look.classes()) {
                (line("line", &marks.iter().map(point).collect::<Vec<_>>()))
            }
        }
        @for (look, marks) in series {
            g class=(look.classes()) {
                @for mark in marks {
                    (marked(mark, *look, point(mark), has_room(point(mark)), y_title))
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

/// The marker of a run with its figures under the pointer; with its number, if it has room.
fn marked(mark: &Mark, look: Look, centre: Point, has_room: bool, quality: &str) -> Markup {
    let tooltip = format!(
        "Run {}: {} evaluations, {quality} {}{}",
        mark.run + 1,
        text::grouped(mark.evaluations),
        format_down(mark.quality, 4),
        mark.words
    );
    let shapes = html! {
        @if has_room {
            (badge(look, centre, mark.run))
        } @else {
            (target(centre))
            (marker(look, centre, 3.6))
        }
    };
    with_tooltip(&tooltip, &shapes)
}
