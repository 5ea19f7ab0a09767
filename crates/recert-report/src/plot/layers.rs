//! Shares with their intervals, a line a layer, one above the other in the network's order.

use maud::html;

use super::frame::{Frame, Size};
use super::scale::{Label, Scale, Tick};
use super::shapes::{Look, dot, label, line};
use super::standalone::standalone;
use crate::layers::Interval;

/// A layer that is changed alone.
#[derive(Debug, Clone)]
pub(crate) struct Changed {
    pub(crate) layer: String,
    /// Which change it is, by its number.
    pub(crate) series: usize,
    pub(crate) share: Interval,
}

/// The height of a layer's line, and what each further change adds to it.
const LINE: (f64, f64) = (14.0, 8.0);

/// A width that few letters of a name pass, and the widest room for names.
const NAME: (f64, f64) = (7.0, 360.0);

/// Draws the layers under a title and a subtitle, as a file of its own.
pub(crate) fn layers(changed: &[Changed], changes: &[&str], title: &str, subtitle: &str) -> String {
    let mut names: Vec<&str> = Vec::new();
    for one in changed {
        if names.last() != Some(&one.layer.as_str()) {
            names.push(&one.layer);
        }
    }
    let most = changed
        .iter()
        .map(|one| one.share.upper)
        .fold(0.0, f64::max);
    let x = Scale::from_zero(most, 8, Label::Percent);
    // Rows are counted from above; the frame's own axis has no ticks.
    let mut frame = Frame::new(Size::Wide, x, Scale::linear(0.0, 1.0, Label::Plain));
    let each = LINE.0 + LINE.1 * changes.len() as f64;
    frame.top = 34.0;
    frame.bottom = frame.top + each * names.len() as f64;
    frame.height = frame.bottom + 50.0;
    let widest = names
        .iter()
        .map(|name| name.chars().count())
        .max()
        .unwrap_or(0);
    frame.left = (widest as f64 * NAME.0 + 16.0).clamp(58.0, NAME.1);
    let across = |share: f64| frame.left + x.position(share) * (frame.right - frame.left);
    let top = |name: usize| frame.top + each * name as f64;
    let row = |one: &Changed| {
        let name = names
            .iter()
            .position(|name| *name == one.layer)
            .expect("it is listed");
        top(name) + each * (one.series as f64 + 0.75) / (changes.len() as f64 + 0.5)
    };
    let words = |one: &Changed| {
        let [estimate, lower, upper] =
            [one.share.estimate, one.share.lower, one.share.upper].map(|share| share * 100.0);
        format!(
            "{}, {}: {estimate:.3} % ({lower:.3} to {upper:.3})",
            one.layer, changes[one.series]
        )
    };
    let plot = html! {
        svg class="plot wide" viewBox={ "0 0 " (frame.width) " " (frame.height) }
            width=(frame.width) height=(frame.height) role="img"
            aria-label="disagreement by layer, with intervals"
        {
            @for Tick { value, label: text } in x.ticks(frame.x_ticks) {
                (line("grid", &[(across(value), frame.top), (across(value), frame.bottom)]))
                (label("tick", "middle", (across(value), frame.bottom + 18.0), &text))
            }
            @for (number, name) in names.iter().enumerate() {
                (line("grid", &[(frame.left, top(number)), (frame.right, top(number))]))
                (label("tick", "end", (frame.left - 8.0, top(number) + each / 2.0 + 4.0), name))
            }
            (line("axis", &[(frame.left, frame.bottom), (frame.right, frame.bottom)]))
            (label("title", "middle", (f64::midpoint(frame.left, frame.right), frame.height - 6.0),
                "samples on which they disagree"))
            @for (series, change) in changes.iter().enumerate() {
                g class=(Look::new(series, 0, false).classes()) {
                    (dot((frame.left + 8.0 + series as f64 * 150.0, 14.0), 4.0, change))
                    (label("tick", "start", (frame.left + 18.0 + series as f64 * 150.0, 18.0), change))
                    @for one in changed.iter().filter(|one| one.series == series) {
                        (line("line", &[(across(one.share.lower), row(one)), (across(one.share.upper), row(one))]))
                        (dot((across(one.share.estimate), row(one)), 4.0, &words(one)))
                    }
                }
            }
        }
    };
    standalone(&frame, title, subtitle, &plot)
}
