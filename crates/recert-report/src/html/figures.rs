//! The page's plots with their legends and captions.

use maud::{Markup, html};

use super::page::{Page, breakable};
use crate::plot::{self, Line, Mark, Size};
use crate::speed_up::Ratio;
use crate::text;

/// The caption of the histograms.
const HISTOGRAMS: &str = "Share of inputs by p_lower, the lower confidence bound of the \
     probability of the class under noise. None of the inputs in grey is certified. One-sided, \
     the certified radius is sigma \u{3a6}\u{207b}\u{b9}(p_lower) where p_lower is above 1/2; \
     two-sided, it is larger, and may be positive below 1/2 too.";

/// The caption of the plot of cost.
const COST: &str = "One marker per run, with its number: circles are certified from scratch, \
     squares recertified. Where markers would cover one another, a number stands beside its \
     marker, with a line to it. Further left is cheaper, further up is better.";

impl Page<'_> {
    /// All plots that the report has data for.
    pub(super) fn figures(&self) -> Markup {
        let metrics = &self.summary.metrics;
        let (labelled, unlabelled): (Vec<usize>, Vec<usize>) =
            self.drawn.iter().partition(|run| metrics[**run].labelled);
        let any_labelled = metrics.iter().any(|metrics| metrics.labelled);
        let quality = if any_labelled {
            "average certified radius"
        } else {
            "average radius"
        };
        html! {
            (self.accuracy_figure("Certified accuracy", &labelled))
            (self.accuracy_figure("Certified share", &unlabelled))
            (self.histograms())
            (self.cost_figure(quality, any_labelled))
        }
    }

    fn accuracy_figure(&self, name: &str, runs: &[usize]) -> Markup {
        let summary = &self.summary;
        if runs.iter().all(|run| summary.metrics[*run].inputs == 0) {
            return Markup::default();
        }
        let line = |run: &usize| (*run, &summary.report.runs[*run], self.looks[*run]);
        let lines: Vec<Line<'_>> = runs.iter().map(line).collect();
        let mut caption = "One line per run; point at a dot for its figure.".to_owned();
        if self.drawn.len() < summary.report.runs.len() {
            caption.push_str(
                " Of runs that differ in their number of samples alone, the one with most is shown.",
            );
        }
        let body = html! {
            (Size::both(|size| plot::accuracy(&lines, &summary.radii, name, size)))
            ul.legend {
                @for &run in runs {
                    li {
                        (self.looks[run].swatch())
                        (self.badge(run))
                        span { (breakable(&summary.network(run))) ", " (summary.describe(run)) }
                    }
                }
            }
        };
        figure(&format!("{name} against radius"), &caption, &body)
    }

    fn histograms(&self) -> Markup {
        let summary = &self.summary;
        let tallest = |run: &usize| plot::tallest(&summary.report.runs[*run]);
        let shown: Vec<usize> = (self.drawn.iter().copied())
            .filter(|run| tallest(run).is_some())
            .collect();
        if shown.is_empty() {
            return Markup::default();
        }
        let top = shown.iter().filter_map(tallest).fold(0.0, f64::max);
        let body = html! {
            div.panels {
                @for run in shown {
                    div.multiple {
                        p {
                            (self.badge(run)) " " (breakable(&summary.network(run))) ", "
                            (summary.describe(run))
                        }
                        (plot::histogram(run, &summary.report.runs[run], self.looks[run], top))
                    }
                }
            }
        };
        figure("Lower bounds of the class's probability", HISTOGRAMS, &body)
    }

    fn cost_figure(&self, quality: &str, labelled: bool) -> Markup {
        let summary = &self.summary;
        let metrics = &summary.metrics;
        let mark = |run: &usize| {
            let run = *run;
            let usable = metrics[run].labelled == labelled && metrics[run].evaluations > 0;
            let speed_up = summary.speed_ups[run].and_then(|speed_up| {
                let expected = speed_up.expected.from_scratch;
                expected.or(speed_up.evaluations)
            });
            let words = |ratio: Ratio| format!(", speed-up {}", ratio.text());
            Some(Mark {
                run,
                evaluations: metrics[run].evaluations,
                quality: metrics[run].quality().filter(|_| usable)?,
                words: speed_up.map_or_else(String::new, words),
            })
        };
        let series: Vec<_> = self
            .series
            .iter()
            .map(|one| (one, one.runs.iter().filter_map(mark).collect::<Vec<Mark>>()))
            .filter(|(_, marks)| !marks.is_empty())
            .collect();
        // Runs of equal cost would be on one vertical line, which shows nothing.
        let marks = || series.iter().flat_map(|(_, marks)| marks);
        let first = marks().next().map(|mark| mark.evaluations);
        if marks().all(|mark| Some(mark.evaluations) == first) {
            return Markup::default();
        }
        let drawn: Vec<_> = series
            .iter()
            .map(|(one, marks)| (self.looks[one.runs[0]], marks.clone()))
            .collect();
        let body = html! {
            (Size::both(|size| plot::cost(&drawn, quality, size)))
            ul.legend {
                @for (one, _) in &series {
                    @let first = one.runs[0];
                    li {
                        (self.looks[first].swatch())
                        span {
                            (breakable(&summary.network(first))) ", " (summary.series_method(first))
                            ", sigma\u{a0}" (text::short(summary.report.runs[first].sigma)) " "
                            span.which { (text::runs(&sorted(&one.runs))) }
                        }
                    }
                }
            }
        };
        figure(&format!("Evaluations against {quality}"), COST, &body)
    }
}

fn figure(title: &str, caption: &str, body: &Markup) -> Markup {
    html! {
        figure {
            figcaption { h2 { (title) } p.muted { (caption) } }
            (body)
        }
    }
}

fn sorted(runs: &[usize]) -> Vec<usize> {
    let mut runs = runs.to_vec();
    runs.sort_unstable();
    runs
}
