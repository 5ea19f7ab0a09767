//! Evaluations against average certified radius, one marker a run.

use recert_num::format_down;

use super::scale::{Label, Scale};
use super::{Frame, Look, Size, Svg};
use crate::text;

/// One run's place in the plot.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    /// Its position in the report.
    pub(crate) run: usize,
    /// Network evaluations, positive.
    pub(crate) evaluations: u64,
    /// Average certified radius, or average radius.
    pub(crate) quality: f64,
    /// What else the tooltip says.
    pub(crate) words: String,
}

/// Draws series of runs, each joined by a line in the order given. There is at
/// least one mark.
pub(crate) fn cost(series: &[(Look, Vec<Mark>)], y_title: &str, size: Size) -> String {
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
    let at = |mark: &Mark| frame.at(mark.evaluations as f64, mark.quality);
    let label = format!("{y_title} against network evaluations, one marker a run");
    let x_title = "network evaluations, all inputs together (logarithmic)";
    let x_title = if size == Size::Wide {
        x_title
    } else {
        "network evaluations (log)"
    };
    let mut svg = Svg::open(&frame, &label, x_title, y_title);
    for (look, marks) in series {
        svg.group(&look.classes());
        svg.path("line", &marks.iter().map(at).collect::<Vec<_>>());
        svg.end();
    }
    // Numbers go into the markers as long as these do not cover one another;
    // the marker that is crowded stays small and tells its number by pointing.
    let mut numbered: Vec<(f64, f64)> = Vec::new();
    for (look, marks) in series {
        svg.group(&look.classes());
        for mark in marks {
            let place = at(mark);
            let free = numbered
                .iter()
                .all(|other| (place.0 - other.0).hypot(place.1 - other.1) > 19.0);
            svg.tooltip(&format!(
                "Run {}: {} evaluations, {} {}{}",
                mark.run + 1,
                text::grouped(mark.evaluations),
                y_title,
                format_down(mark.quality, 4),
                mark.words
            ));
            if free {
                numbered.push(place);
                svg.badge(*look, place, mark.run);
            } else {
                svg.target(place);
                svg.marker(*look, place.0, place.1, 3.6);
            }
            svg.end();
        }
        svg.end();
    }
    svg.close()
}
