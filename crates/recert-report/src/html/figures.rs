//! The page's plots with their legends and captions.

use std::fmt::Write;

use super::{Page, breakable, escape};
use crate::plot::{self, Line, Mark, Size};
use crate::summary::NONE;
use crate::text;

impl Page<'_> {
    /// All plots that the report has data for.
    pub(super) fn figures(&mut self) {
        let labelled = |run: &&usize| self.summary.metrics[**run].labelled;
        let with: Vec<usize> = self.drawn.iter().filter(labelled).copied().collect();
        let without: Vec<usize> = self
            .drawn
            .iter()
            .filter(|run| !labelled(run))
            .copied()
            .collect();
        self.accuracy_figure("Certified accuracy", &with);
        self.accuracy_figure("Certified share", &without);
        self.histograms();
        let metrics = &self.summary.metrics;
        let any_labelled = metrics.iter().any(|metrics| metrics.labelled);
        let name = if any_labelled {
            "average certified radius"
        } else {
            "average radius"
        };
        self.cost_figure(name, any_labelled);
    }

    fn accuracy_figure(&mut self, name: &str, runs: &[usize]) {
        if runs
            .iter()
            .all(|run| self.summary.metrics[*run].inputs == 0)
        {
            return;
        }
        let report = self.summary.report;
        let lines: Vec<Line<'_>> = runs
            .iter()
            .map(|run| (*run, &report.runs[*run], self.looks[*run]))
            .collect();
        let plot = Size::both(|size| plot::accuracy(&lines, &self.summary.radii, name, size));
        let mut caption = String::from("One line a run; point at a dot for its figure.");
        if self.drawn.len() < report.runs.len() {
            caption.push_str(
                " Of runs that differ in their number of samples alone, the one with most is shown.",
            );
        }
        self.open_figure(&format!("{name} against radius"), &caption);
        self.push(&plot);
        self.run_legend(runs);
        self.push("</figure>\n");
    }

    fn histograms(&mut self) {
        let report = self.summary.report;
        let tallest = |run: &usize| plot::tallest(&report.runs[*run]);
        let shown: Vec<usize> = self
            .drawn
            .iter()
            .filter(|run| tallest(run).is_some())
            .copied()
            .collect();
        if shown.is_empty() {
            return;
        }
        let top = shown.iter().filter_map(tallest).fold(0.0, f64::max);
        self.open_figure(
            "Lower bounds of the class probability",
            "Share of inputs by the lower bound pA of the probability of their class under noise. \
             Of the inputs in grey none is certified. One-sided, the radius is \u{3c3} \u{3a6}\u{207b}\u{b9}(pA) beyond 1/2; where the next best class is bounded too, it is larger, and there is one below 1/2 as well.",
        );
        self.push("<div class=\"panels\">\n");
        for run in shown {
            let name = format!("{}, {}", self.summary.network(run), self.describe(run));
            let _ = writeln!(
                self.out,
                "<div class=\"multiple\"><p>{} {}</p>{}</div>",
                self.badge(run),
                breakable(&name),
                plot::histogram(run, &report.runs[run], self.looks[run], top)
            );
        }
        self.push("</div>\n</figure>\n");
    }

    fn cost_figure(&mut self, name: &str, labelled: bool) {
        let metrics = &self.summary.metrics;
        let mark = |run: &usize| {
            let run = *run;
            let usable = metrics[run].labelled == labelled && metrics[run].evaluations > 0;
            let speed_up = self.summary.speed_up(run).map(|[point, ..]| point);
            Some(Mark {
                run,
                evaluations: metrics[run].evaluations,
                quality: metrics[run].quality().filter(|_| usable)?,
                words: speed_up
                    .filter(|text| text != NONE)
                    .map_or_else(String::new, |ratio| format!(", speed-up {ratio}")),
            })
        };
        let series: Vec<_> = self
            .series
            .iter()
            .map(|one| (one, one.runs.iter().filter_map(mark).collect::<Vec<Mark>>()))
            .filter(|(_, marks)| !marks.is_empty())
            .collect();
        // Runs that all cost the same say nothing about cost.
        let mut costs = series
            .iter()
            .flat_map(|(_, marks)| marks)
            .map(|mark| mark.evaluations);
        let first = costs.next();
        if costs.all(|cost| Some(cost) == first) {
            return;
        }
        let drawn: Vec<_> = series
            .iter()
            .map(|(one, marks)| (self.looks[one.runs[0]], marks.clone()))
            .collect();
        let plot = Size::both(|size| plot::cost(&drawn, name, size));
        let mut legend = String::from("<ul class=\"legend\">\n");
        for (one, _) in &series {
            let first = one.runs[0];
            let _ = writeln!(
                legend,
                "<li>{}<span>{}, {}, \u{3c3}\u{a0}{} <span class=\"which\">{}</span></span></li>",
                self.looks[first].swatch(),
                breakable(&self.summary.network(first)),
                escape(&self.summary.method(first)),
                text::short(self.summary.report.runs[first].sigma),
                text::runs(&sorted(&one.runs)),
            );
        }
        legend.push_str("</ul>\n");
        let title = format!("Evaluations against {name}");
        self.open_figure(
            &title,
            "One marker a run, with its number: circles are certified from scratch, squares \
             recertified. Further left is cheaper, further up is better.",
        );
        self.push(&plot);
        self.push(&legend);
        self.push("</figure>\n");
    }

    fn open_figure(&mut self, title: &str, caption: &str) {
        let _ = writeln!(
            self.out,
            "<figure>\n<figcaption><h2>{}</h2><p class=\"muted\">{caption}</p></figcaption>",
            escape(title)
        );
    }

    fn run_legend(&mut self, runs: &[usize]) {
        self.push("<ul class=\"legend\">\n");
        for &run in runs {
            let _ = writeln!(
                self.out,
                "<li>{}{}<span>{}, {}</span></li>",
                self.looks[run].swatch(),
                self.badge(run),
                breakable(&self.summary.network(run)),
                escape(&self.describe(run))
            );
        }
        self.push("</ul>\n");
    }

    /// Method, noise and samples of a run in a few words.
    pub(super) fn describe(&self, run: usize) -> String {
        let sigma = text::short(self.summary.report.runs[run].sigma);
        format!(
            "{}, \u{3c3}\u{a0}{sigma}, {} samples",
            self.summary.method(run),
            self.summary.samples(run)
        )
    }
}

fn sorted(runs: &[usize]) -> Vec<usize> {
    let mut runs = runs.to_vec();
    runs.sort_unstable();
    runs
}
