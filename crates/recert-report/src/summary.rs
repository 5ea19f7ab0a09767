//! A report with its figures computed, and the texts that its tables and plots share.

use crate::metrics::{Metrics, default_radii};
use crate::model::{Method, Report};
use crate::speed_up::{SpeedUp, speed_ups};
use crate::terms::{self, Term};
use crate::text;

/// What every certificate states, in the terms of the literature. The runs' own
/// statements, which ledgers keep, follow it.
pub(crate) const STATEMENT: &str = "With probability at least 1 - alpha over the noise drawn, the \
     smoothed classifier, as the engine computes it, returns the stated class throughout the \
     radius (per input; input and network are fixed before any answer on these samples is looked at, and a network may be \
     chosen by its results only where a run states among how many). In the words of the runs:";

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
        let radii = radii.map_or_else(|| default_radii(report.largest_sigma()), <[f64]>::to_vec);
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

    /// The method with what else distinguishes its runs: goal, candidates and alpha, each
    /// where runs of the report differ in it; and how far an unfinished run is.
    pub(crate) fn method_in_detail(&self, run: usize) -> String {
        self.with_details(self.method(run), run)
    }

    /// The same without the original network's run.
    pub(crate) fn method_name_in_detail(&self, run: usize) -> String {
        self.with_details(self.report.runs[run].method_name(), run)
    }

    fn with_details(&self, method: String, run: usize) -> String {
        let runs = || self.report.runs.iter();
        let run = &self.report.runs[run];
        let goal = run.goal.filter(|_| differ(runs().filter_map(|r| r.goal)));
        let among = run.among.filter(|_| differ(runs().filter_map(|r| r.among)));
        let alpha = differ(runs().map(|r| r.alpha)).then_some(run.alpha);
        let unfinished = run.unfinished().map(|planned| {
            let planned = text::counted(planned, "input");
            format!(
                "unfinished: {} of {planned}",
                text::grouped(run.rows.len() as u64)
            )
        });
        let details = [
            goal.map(|goal| goal.to_string()),
            among.map(|among| text::counted(among.into(), "candidate")),
            alpha.map(|alpha| format!("alpha\u{a0}{}", text::short(alpha))),
            unfinished,
        ];
        let parts: Vec<String> = [method]
            .into_iter()
            .chain(details.into_iter().flatten())
            .collect();
        parts.join(", ")
    }

    /// The samples per input: `100,000`, or `1,000 of 100,000`.
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
            self.method_in_detail(run),
            text::short(self.report.runs[run].sigma),
            self.samples(run)
        )
    }

    /// The inputs of a run: `CIFAR-10 test, every 20th (500 inputs)`. Where another run has
    /// other inputs of the same description, the beginning of their hash is stated too.
    pub(crate) fn data(&self, run: usize) -> String {
        let inputs = text::counted(self.metrics[run].inputs, "input");
        let run = &self.report.runs[run];
        let inputs = match run.unfinished() {
            Some(planned) => format!("{inputs} of {}, unfinished", text::grouped(planned)),
            None => inputs,
        };
        let others = self.report.runs.iter().filter(|r| r.data == run.data);
        let ambiguous = differ(others.map(|other| &other.inputs_sha256));
        let hash = run.inputs_sha256.as_ref().filter(|_| ambiguous);
        let hash = hash.map(|hash| {
            let beginning: String = hash.chars().take(12).collect();
            format!(", hash {beginning}")
        });
        format!("{} ({inputs}{})", run.data, hash.unwrap_or_default())
    }

    /// The method with the kind of its goal, for a series of runs, where kinds differ.
    pub(crate) fn series_method(&self, run: usize) -> String {
        let kinds = self.report.runs.iter();
        let several = differ(kinds.filter_map(|run| run.goal.map(crate::Goal::kind)));
        let kind = self.report.runs[run].goal.filter(|_| several);
        let kind = kind.map(|goal| format!(", {}", goal.kind()));
        format!("{}{}", self.method(run), kind.unwrap_or_default())
    }

    /// Sigma, seed, alpha and the law of the noise: `sigma = 0.5, seed 0; alpha = 0.001;
    /// Gaussian`.
    pub(crate) fn noise(&self, run: usize) -> String {
        let run = &self.report.runs[run];
        let seed = run
            .parameters
            .get("seed")
            .map(|seed| format!(", seed {seed}"));
        let law = run.law.map(|law| format!("; {law}"));
        format!(
            "sigma = {}{}; alpha = {}{}",
            text::short(run.sigma),
            seed.unwrap_or_default(),
            text::short(run.alpha),
            law.unwrap_or_default(),
        )
    }

    /// Normalisation outside the graph, where it is known.
    pub(crate) fn preprocessing(&self, run: usize) -> String {
        let parameters = &self.report.runs[run].parameters;
        parameters.get("preprocessing").cloned().unwrap_or_default()
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

    /// The confidence statements in the words of the runs, with these.
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
        let runs = || self.report.runs.iter().enumerate();
        let unfinished = runs().filter_map(|(run, what)| {
            let (done, planned) = (what.rows.len() as u64, what.unfinished()?);
            Some(format!(
                "Run {} is unfinished: {} of {} are concluded, its figures are theirs alone, and \
                 no speed-up is given. The same command goes on.",
                run + 1,
                text::grouped(done),
                text::counted(planned, "input"),
            ))
        });
        let through = runs().filter_map(|(run, what)| {
            let seconds = text::duration(what.through_seconds?);
            Some(format!(
                "Run {} was certified through a faster network, which took {seconds} of worker \
                 time: the run's speed-ups are in worker time with these counted, and from scratch \
                 pays for selection samples.",
                run + 1
            ))
        });
        (unfinished.chain(through).chain(invalid))
            .chain(self.report.notes.iter().cloned())
            .collect()
    }
}

/// Whether `values` are not all the same.
fn differ<T: PartialEq>(mut values: impl Iterator<Item = T>) -> bool {
    let first = values.next();
    values.any(|value| Some(value) != first)
}
