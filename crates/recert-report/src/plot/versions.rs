//! What versions of a network keep against what they cost, a dot a version.

use maud::html;

use super::frame::{Frame, Size};
use super::scale::{Label, Scale};
use super::shapes::{Look, dot, label, line, with_tooltip};
use super::standalone::standalone;

/// One version.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    pub(crate) name: String,
    /// Its cost, as a share of the original's.
    pub(crate) cost: f64,
    pub(crate) value: f64,
    /// Whether the value is certified, or expected.
    pub(crate) certified: bool,
}

/// Draws the versions under a title and a subtitle, with a line at what was asked for, as a file of its own.
pub(crate) fn versions(
    versions: &[Version],
    least: Option<f64>,
    measure: &str,
    title: &str,
    subtitle: &str,
) -> String {
    let values = || versions.iter().map(|version| version.value).chain(least);
    let low = values().fold(f64::INFINITY, f64::min);
    let y = Scale::around(low, values().fold(0.0, f64::max), Label::Plain);
    let most = versions
        .iter()
        .map(|version| version.cost)
        .fold(0.0, f64::max);
    let x = Scale::from_zero(most, 8, Label::Percent);
    let frame = Frame::new(Size::Wide, x, y);
    let [chosen, other, asked] = [0, 6, 3].map(|colour| Look::new(colour, 0, false));
    let words = |version: &Version| {
        let kind = if version.certified {
            "certified"
        } else {
            "expected"
        };
        format!(
            "{}: {kind} {:.4} at {:.1} %",
            version.name,
            version.value,
            version.cost * 100.0
        )
    };
    let place = |version: &Version| frame.point(version.cost, version.value);
    let marks = html! {
        @if let Some(least) = least {
            g class=(asked.classes()) {
                (line("line", &[frame.point(0.0, least), (frame.right, frame.point(0.0, least).1)]))
                (label("name", "end", (frame.right - 4.0, frame.point(0.0, least).1 - 6.0), "asked for"))
            }
        }
        g class=(other.classes()) {
            @for version in versions.iter().filter(|version| !version.certified) {
                @let (x, y) = place(version);
                (with_tooltip(&words(version), &html! { circle class="ring" cx=(x) cy=(y) r="4" {} }))
            }
        }
        g class=(chosen.classes()) {
            @for version in versions.iter().filter(|version| version.certified) {
                (dot(place(version), 5.0, &words(version)))
            }
        }
    };
    let plot = frame.draw(
        "what versions keep against what they cost, a dot a version",
        "cost, of the original's",
        measure,
        &marks,
    );
    standalone(&frame, title, subtitle, &plot)
}
