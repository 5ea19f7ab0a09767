//! What all parts of the page use: the report's figures, the looks of its runs, and names.

use maud::{Markup, html};

use super::Options;
use crate::plot::Look;
use crate::series::Series;
use crate::summary::Summary;
use crate::text;

/// The most lines in a plot of one line per run; beyond that, a series of runs
/// that differ in their number of samples shows the one with most.
const LINES: usize = 8;

/// A report with all that its page shows.
pub(super) struct Page<'a> {
    pub(super) summary: Summary<'a>,
    pub(super) series: Vec<Series>,
    /// The look of each run.
    pub(super) looks: Vec<Look>,
    /// The runs that plots of one line per run show.
    pub(super) drawn: Vec<usize>,
    pub(super) listed_inputs: usize,
}

impl<'a> Page<'a> {
    pub(super) fn new(summary: Summary<'a>, options: &Options) -> Self {
        let runs = summary.report.runs.len();
        let series = Series::all(summary.report);
        let all_drawn = runs <= LINES;
        let mut looks = vec![Look::new(0, 0, false); runs];
        for (number, one) in series.iter().enumerate() {
            for (rank, run) in one.runs.iter().enumerate() {
                // The runs of a series share a colour; dashes distinguish them where
                // they are in one plot.
                let rank = if all_drawn { rank } else { 0 };
                looks[*run] = Look::new(number, rank, one.recertified);
            }
        }
        let drawn = if all_drawn {
            (0..runs).collect()
        } else {
            series.iter().map(Series::best).collect()
        };
        Self {
            summary,
            series,
            looks,
            drawn,
            listed_inputs: options.listed_inputs,
        }
    }

    /// The run's number in its colour, as the plots show it.
    pub(super) fn badge(&self, run: usize) -> Markup {
        let look = self.looks[run];
        let shape = if look.is_square() { "square" } else { "round" };
        html! { span class={ "badge " (look.classes()) " " (shape) } { (run + 1) } }
    }

    /// The numbers of some runs, unless these are all.
    pub(super) fn runs(&self, runs: &[usize]) -> Markup {
        let some = runs.len() < self.summary.report.runs.len();
        html! { @if some { " " span.which { (text::runs(runs)) } } }
    }
}

/// A text in which lines may break within long names: after `/` and `_`.
pub(super) fn breakable(text: &str) -> Markup {
    html! {
        @for part in text.split_inclusive(['/', '_']) {
            (part)
            @if part.ends_with(['/', '_']) { wbr; }
        }
    }
}
