//! The cells that the terminal tables and the page share, one set a run.

use recert_num::format_up;

use crate::metrics::{Metrics, default_radii, share_at};
use crate::model::Report;
use crate::speed_up::{Ratio, SpeedUp, speed_ups};
use crate::text;

/// What stands where there is nothing to say.
pub(crate) const NONE: &str = "\u{2013}";

/// A report with all its figures computed.
pub(crate) struct Summary<'a> {
    pub(crate) report: &'a Report,
    pub(crate) metrics: Vec<Metrics>,
    pub(crate) speed_ups: Vec<Option<SpeedUp>>,
    pub(crate) radii: Vec<f64>,
}

impl<'a> Summary<'a> {
    pub(crate) fn new(report: &'a Report, radii: Option<&[f64]>) -> Self {
        let metrics: Vec<Metrics> = report.runs.iter().map(Metrics::of).collect();
        let radii = radii.map_or_else(|| default_radii(report.largest_radius()), <[f64]>::to_vec);
        Self {
            report,
            speed_ups: speed_ups(report, &metrics),
            metrics,
            radii,
        }
    }

    /// The runs whose inputs all have labels, and the others.
    pub(crate) fn by_labels(&self) -> (Vec<usize>, Vec<usize>) {
        (0..self.report.runs.len()).partition(|run| self.metrics[*run].labelled)
    }

    /// The network, and how its arithmetic differs.
    pub(crate) fn network(&self, run: usize) -> String {
        let run = &self.report.runs[run];
        let name = text::printable(&run.network);
        match &run.arithmetic {
            Some(arithmetic) => format!("{name}, {}", text::printable(arithmetic)),
            None => name.into_owned(),
        }
    }

    /// The method, and the number of the run that it goes out from.
    pub(crate) fn method(&self, run: usize) -> String {
        let run = &self.report.runs[run];
        let name = run.method_name();
        let name = text::printable(&name);
        match run.base() {
            Some(base) => format!("{name} from run {}", base + 1),
            None => name.into_owned(),
        }
    }

    /// The samples an input: `100,000`, or `1,000 of 100,000`.
    pub(crate) fn samples(&self, run: usize) -> String {
        let run = &self.report.runs[run];
        match run.base().and_then(|base| self.report.runs.get(base)) {
            Some(base) => format!("{} of {}", text::grouped(run.n), text::grouped(base.n)),
            None => text::grouped(run.n),
        }
    }

    /// Certified accuracy (or share) at each radius, in per cent, rounded down.
    pub(crate) fn shares(&self, run: usize) -> Vec<String> {
        let run = &self.report.runs[run];
        let share = |radius: &f64| share_at(run, *radius).percent_down();
        self.radii.iter().map(share).collect()
    }

    /// The column heads of the radii, with as many decimals as they need.
    pub(crate) fn radius_heads(&self) -> Vec<String> {
        let decimals = |r: &f64| text::short(*r).split_once('.').map_or(0, |(_, d)| d.len());
        let digits = self.radii.iter().map(decimals).max().unwrap_or(0);
        self.radii.iter().map(|r| format!("{r:.digits$}")).collect()
    }

    /// Abstentions: `12 (2.4 %)`.
    pub(crate) fn abstained(&self, run: usize) -> String {
        let metrics = &self.metrics[run];
        if metrics.inputs == 0 {
            return NONE.to_owned();
        }
        let percent = metrics.abstained as f64 * 100.0 / metrics.inputs as f64;
        format!("{} ({percent:.1} %)", text::grouped(metrics.abstained))
    }

    /// The mean observed disagreement, in per cent, to nearest.
    pub(crate) fn disagreement_rate(&self, run: usize) -> Option<String> {
        let rate = self.metrics[run].mean_disagreement_rate?;
        Some(format!("{:.2} %", rate * 100.0))
    }

    /// The mean disagreement bound, in per cent, rounded up.
    pub(crate) fn disagreement(&self, run: usize) -> Option<String> {
        let zeta = self.metrics[run].mean_disagreement?;
        // The product may round below the true one; the next double may not.
        let percent = if zeta > 0.0 {
            (zeta * 100.0).next_up()
        } else {
            0.0
        };
        Some(format!("{} %", format_up(percent, 2)))
    }

    /// Speed-up in evaluations, in time, and on average over the curve in evaluations.
    pub(crate) fn speed_up(&self, run: usize) -> Option<[String; 3]> {
        let speed_up = self.speed_ups[run]?;
        let none = || NONE.to_owned();
        Some([
            speed_up.evaluations.map_or_else(none, Ratio::text),
            speed_up.time.map_or_else(none, Ratio::text),
            speed_up
                .average_evaluations
                .map_or_else(none, |ratio| format!("{ratio:.2}")),
        ])
    }

    /// Which bounds certified how many inputs: `zeta 412, direct 61`.
    pub(crate) fn bounds(&self, run: usize) -> Option<String> {
        let bounds = &self.metrics[run].bounds;
        let one = |(name, count): (&String, &u64)| {
            format!("{} {}", text::printable(name), text::grouped(*count))
        };
        (!bounds.is_empty()).then(|| bounds.iter().map(one).collect::<Vec<_>>().join(", "))
    }

    /// The same words of several runs once: each text with the runs that say it.
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

    /// The inputs of a run: `CIFAR-10 test, every 20th (500 inputs)`.
    pub(crate) fn data(&self, run: usize) -> String {
        let inputs = text::counted(self.metrics[run].inputs, "input");
        format!(
            "{} ({inputs})",
            text::printable(&self.report.runs[run].data)
        )
    }

    /// Runs with invalid samples, in a sentence each.
    pub(crate) fn warnings(&self) -> Vec<String> {
        (0..self.report.runs.len())
            .filter(|run| self.metrics[*run].invalid > 0)
            .map(|run| {
                format!(
                    "Run {}: {} noisy samples gave logits that are not finite.",
                    run + 1,
                    text::grouped(self.metrics[run].invalid)
                )
            })
            .collect()
    }
}
