//! A report with its figures computed, and the texts that its tables and plots share.

use crate::metrics::{Metrics, default_radii};
use crate::model::{Method, Report};
use crate::speed_up::{SpeedUp, speed_ups};
use crate::terms::{self, Term};
use crate::text;

/// A report with all its figures computed.
pub(crate) struct Summary<'a> {
    pub(crate) report: &'a Report,
    pub(crate) metrics: Vec<Metrics>,
    pub(crate) speed_ups: Vec<Option<SpeedUp>>,
    pub(crate) radii: Vec<f64>,
}

impl<'a> Summary<'a> {
    pub(crate) fn new(report: &'a Report, radii: Option<&[f64]>) -> Self {
        let metrics: Vec<Metrics> = report.runs.iter().map(Metrics::new).collect();
        let radii = radii.map_or_else(|| default_radii(report.largest_radius()), <[f64]>::to_vec);
        Self {
            report,
            speed_ups: speed_ups(report, &metrics),
            metrics,
            radii,
        }
    }

    /// The network, and how its arithmetic differs.
    pub(crate) fn network(&self, run: usize) -> String {
        let run = &self.report.runs[run];
        match &run.arithmetic {
            Some(arithmetic) => format!("{}, {arithmetic}", run.network),
            None => run.network.clone(),
        }
    }

    /// The method, and the number of the original network's run.
    pub(crate) fn method(&self, run: usize) -> String {
        let run = &self.report.runs[run];
        let name = run.method_name();
        match run.original() {
            Some(original) => format!("{name} from run\u{a0}{}", original + 1),
            None => name,
        }
    }

    /// The samples an input: `100,000`, or `1,000 of 100,000`.
    pub(crate) fn samples(&self, run: usize) -> String {
        let runs = &self.report.runs;
        let n = text::grouped(runs[run].n);
        match runs[run].original().and_then(|run| runs.get(run)) {
            Some(original) => format!("{n} of {}", text::grouped(original.n)),
            None => n,
        }
    }

    /// Method, noise and samples of a run in a few words.
    pub(crate) fn describe(&self, run: usize) -> String {
        format!(
            "{}, sigma\u{a0}{}, {} samples",
            self.method(run),
            text::short(self.report.runs[run].sigma),
            self.samples(run)
        )
    }

    /// The inputs of a run: `CIFAR-10 test, every 20th (500 inputs)`.
    pub(crate) fn data(&self, run: usize) -> String {
        let inputs = text::counted(self.metrics[run].inputs, "input");
        format!("{} ({inputs})", self.report.runs[run].data)
    }

    /// The bounds that certified, each with its number of inputs: `zeta 412, direct 61`.
    pub(crate) fn bounds(&self, run: usize) -> Option<String> {
        let bounds = &self.metrics[run].bounds;
        let one = |(name, count): (&String, &u64)| format!("{name} {}", text::grouped(*count));
        (!bounds.is_empty()).then(|| bounds.iter().map(one).collect::<Vec<_>>().join(", "))
    }

    /// The bounds and methods that the report names, explained.
    pub(crate) fn terms(&self) -> Vec<&'static Term> {
        let methods = self.report.runs.iter().filter_map(|run| match &run.method {
            Method::Certify { .. } => None,
            Method::Recertify { name, .. } => Some(name),
        });
        let bounds = self
            .metrics
            .iter()
            .flat_map(|metrics| metrics.bounds.keys());
        let names: Vec<&str> = methods.chain(bounds).map(String::as_str).collect();
        terms::bounds(&names)
    }

    /// Each text that `words` gives for some run, with the runs that it is given for.
    pub(crate) fn grouped_by(&self, words: impl Fn(usize) -> String) -> Vec<(Vec<usize>, String)> {
        let mut groups: Vec<(Vec<usize>, String)> = Vec::new();
        for run in 0..self.report.runs.len() {
            let words = words(run);
            if words.trim().is_empty() {
                continue;
            }
            match groups.iter_mut().find(|(_, known)| *known == words) {
                Some((runs, _)) => runs.push(run),
                None => groups.push((vec![run], words)),
            }
        }
        groups
    }

    /// The confidence statements, with their runs.
    pub(crate) fn statements(&self) -> Vec<(Vec<usize>, String)> {
        self.grouped_by(|run| self.report.runs[run].statement.clone())
    }

    /// A sentence for each run with invalid answers, and the report's own notes.
    pub(crate) fn notes(&self) -> Vec<String> {
        let invalid = |(run, metrics): (usize, &Metrics)| {
            let count = text::grouped(metrics.invalid);
            (metrics.invalid > 0).then(|| {
                format!(
                    "Run {}: {count} samples have NaN or infinite logits.",
                    run + 1
                )
            })
        };
        let invalid = self.metrics.iter().enumerate().filter_map(invalid);
        invalid.chain(self.report.notes.iter().cloned()).collect()
    }
}
