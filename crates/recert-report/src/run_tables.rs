//! The tables of certified accuracy and of cost: their titles, columns and cells, for
//! the terminal and for the page.

use crate::metrics::share_at;
use crate::speed_up::{Ratio, SpeedUp};
use crate::summary::Summary;
use crate::text;
use recert_num::{format_down, format_up};

/// A table with one row per run.
pub(crate) struct RunTable {
    pub(crate) title: &'static str,
    /// What the figures are.
    pub(crate) caption: String,
    /// The runs, by their positions in the report.
    pub(crate) runs: Vec<usize>,
    pub(crate) columns: Vec<Column>,
}

/// A column of numbers.
pub(crate) struct Column {
    /// Broken into lines where the column is narrow.
    pub(crate) head: String,
    /// One cell per run of the table.
    pub(crate) cells: Vec<String>,
    /// Whether these are the figures that runs are compared by.
    pub(crate) main: bool,
}

impl RunTable {
    /// The number of the run and the cells of a row.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (usize, impl Iterator<Item = &str>)> {
        let cells = |row: usize| self.columns.iter().map(move |c| c.cells[row].as_str());
        (0..)
            .zip(&self.runs)
            .map(move |(row, run)| (*run, cells(row)))
    }
}

/// Certified accuracy of the runs with labels, and certified shares of the others,
/// which cannot be compared with it.
pub(crate) fn accuracy(summary: &Summary<'_>) -> Vec<RunTable> {
    let runs = 0..summary.report.runs.len();
    let (labelled, unlabelled): (Vec<usize>, Vec<usize>) =
        runs.partition(|run| summary.metrics[*run].labelled);
    let with_labels = RunTable {
        title: "Certified accuracy",
        caption: "Share of all inputs, in per cent, certified with the right class at an L2 \
                  radius of at least that of the column. An abstention counts as wrong. Rounded down."
            .to_owned(),
        columns: accuracy_columns(summary, &labelled, "ACR"),
        runs: labelled,
    }
    .with_mean_of_any_class(summary);
    let without_labels = RunTable {
        title: "Certified share",
        caption: "These inputs have no labels: share of all inputs, in per cent, certified with \
                  any class at an L2 radius of at least that of the column. Rounded down."
            .to_owned(),
        columns: accuracy_columns(summary, &unlabelled, "mean radius"),
        runs: unlabelled,
    };
    let mut tables = vec![with_labels, without_labels];
    tables.retain(|table| !table.runs.is_empty());
    tables
}

impl RunTable {
    /// The table with the mean of the radii of every class, where a run's goal was such a mean:
    /// a plan sees no label, and ACR is another number.
    fn with_mean_of_any_class(mut self, summary: &Summary<'_>) -> Self {
        let aims = |run: &usize| {
            let goal = summary.report.runs[*run].goal;
            matches!(goal, Some(crate::Goal::AverageRadius(_)))
        };
        if self.runs.iter().any(aims) {
            let mean = |run: &usize| {
                let mean = summary.metrics[*run].average_radius;
                mean.map_or_else(|| text::NONE.to_owned(), |mean| format_down(mean, 3))
            };
            self.columns.push(Column {
                head: "mean radius,\nany class".to_owned(),
                cells: self.runs.iter().map(mean).collect(),
                main: false,
            });
            self.caption.push_str(
                " A goal of an average radius is one of the radii of any class (a plan sees no \
                 label): the last column. ACR counts the right class alone.",
            );
        }
        self
    }
}

/// The share of the runs at each radius, and the mean of the radii, named `mean`.
fn accuracy_columns(summary: &Summary<'_>, runs: &[usize], mean: &str) -> Vec<Column> {
    // All radii get as many decimals as the longest needs.
    let decimals = |r: &f64| text::short(*r).split_once('.').map_or(0, |(_, d)| d.len());
    let digits = summary.radii.iter().map(decimals).max().unwrap_or(0);
    let column = |radius: &f64| {
        let share = |run: &usize| share_at(&summary.report.runs[*run], *radius).percent_down();
        Column {
            head: format!("{radius:.digits$}"),
            cells: runs.iter().map(share).collect(),
            main: false,
        }
    };
    let mean = Column {
        head: mean.to_owned(),
        cells: (runs.iter().map(|run| summary.metrics[*run].quality_text())).collect(),
        main: true,
    };
    let columns = summary.radii.iter().map(column);
    columns.chain([mean]).collect()
}

/// Abstentions, cost and disagreement of every run.
pub(crate) fn cost(summary: &Summary<'_>) -> RunTable {
    let metrics = &summary.metrics;
    let column = |head: &str, cells: Vec<String>| Column {
        head: head.to_owned(),
        cells,
        main: false,
    };
    let runs = &summary.report.runs;
    let mut columns = Vec::new();
    if runs.iter().any(|run| run.unfinished().is_some()) {
        let inputs = |run: &crate::Run| {
            let done = text::grouped(run.rows.len() as u64);
            let planned = run.unfinished().map(text::grouped);
            planned.map_or(done.clone(), |planned| format!("{done} of {planned}"))
        };
        columns.push(column("inputs", runs.iter().map(inputs).collect()));
    }
    columns.extend([
        column("abstained", metrics.iter().map(abstained).collect()),
        column(
            "evaluations",
            metrics
                .iter()
                .map(|m| text::grouped(m.evaluations))
                .collect(),
        ),
        column(
            "worker time",
            metrics.iter().map(|m| text::duration(m.seconds)).collect(),
        ),
    ]);
    let mut caption = "Network evaluations and worker time of all inputs together, time \
                       summed over threads."
        .to_owned();
    let walls = runs.iter().map(|run| run.wall_seconds);
    if walls.clone().flatten().next().is_some() {
        caption.push_str(
            " Wall time: that of the passes that the run was part of, which other runs may share; \
             what was killed is not in it.",
        );
        columns.push(column("wall time", cells(walls, text::duration)));
    }
    let rates = metrics.iter().map(|m| m.mean_disagreement_rate);
    let rate = |rate: f64| format!("{:.2} %", rate * 100.0);
    let zetas = metrics.iter().map(|m| m.mean_zeta);
    if rates
        .clone()
        .chain(zetas.clone())
        .flatten()
        .next()
        .is_some()
    {
        caption.push_str(" Disagreement and zeta: means over the inputs.");
        columns.push(column("disagreement", cells(rates, rate)));
        columns.push(column("zeta", cells(zetas, percent_up)));
    }
    RunTable {
        title: "Cost",
        caption,
        runs: (0..metrics.len()).collect(),
        columns,
    }
}

/// How much cheaper each recertified run is than certifying its network from scratch; `None`
/// where the report has nothing to compare with.
pub(crate) fn speed_up(summary: &Summary<'_>) -> Option<RunTable> {
    let found = |run: &usize| summary.speed_ups[*run].is_some();
    let runs: Vec<usize> = (0..summary.speed_ups.len()).filter(found).collect();
    let speed_ups = || runs.iter().map(|run| summary.speed_ups[*run].as_ref());
    let any = |has: fn(&SpeedUp) -> bool| speed_ups().flatten().any(has);
    let ratios = |head: &str, main: bool, ratio: fn(&SpeedUp) -> Option<Ratio>| Column {
        head: head.to_owned(),
        cells: cells(speed_ups().map(|s| s.and_then(ratio)), Ratio::text),
        main,
    };
    let mut columns = Vec::new();
    let mut caption = "What certifying the same network from scratch takes for the same average \
                       certified radius, over what the run took; \u{2265} and \u{2264} where it \
                       is not known as far. The class is known from the original, so that \
                       selection samples are charged in the paper's baseline alone. Runs without a certified radius, \
                       stopped at one, or unfinished have none."
        .to_owned();
    if any(|s| s.expected.from_scratch.is_some()) {
        caption.push_str(
            " Expected, in evaluations, for a network that answers as often with each class as \
             the original: from scratch with as many samples of every input; with the samples \
             planned over the inputs by the original's counts; by the paper's baseline (Ugare et al.), which has 100 \
             selection samples an input and is one-sided.",
        );
        columns.extend([
            ratios("from\nscratch", true, |s| s.expected.from_scratch),
            ratios("from scratch,\nplanned", true, |s| s.expected.planned),
            ratios("the paper's\nbaseline", false, |s| s.expected.paper),
        ]);
    }
    if any(|s| s.evaluations.is_some()) {
        caption.push_str(
            " Measured: over this report's runs of the network from scratch, in evaluations, in \
             worker time, and in evaluations on average over the radii that both reach.",
        );
        let mean = speed_ups().map(|s| s?.average_evaluations);
        let mean = Column {
            head: "measured,\nmean".to_owned(),
            cells: cells(mean, |mean| format!("{mean:.2}")),
            main: false,
        };
        columns.extend([
            ratios("measured", false, |s| s.evaluations),
            ratios("measured,\ntime", false, |s| s.time),
            mean,
        ]);
    }
    (!columns.is_empty()).then(|| RunTable {
        title: "Speed-up",
        caption,
        columns,
        runs: runs.clone(),
    })
}

fn cells<T>(values: impl Iterator<Item = Option<T>>, write: impl Fn(T) -> String) -> Vec<String> {
    let cell = |value: Option<T>| value.map_or_else(|| text::NONE.to_owned(), &write);
    values.map(cell).collect()
}

/// Abstentions: `12 (2.4 %)`.
fn abstained(metrics: &crate::Metrics) -> String {
    if metrics.inputs == 0 {
        return text::NONE.to_owned();
    }
    let percent = metrics.abstained as f64 * 100.0 / metrics.inputs as f64;
    format!("{} ({percent:.1} %)", text::grouped(metrics.abstained))
}

/// An upper bound of a probability in per cent, rounded up.
fn percent_up(bound: f64) -> String {
    // The product may round below the true one; the next double may not.
    let percent = if bound > 0.0 {
        (bound * 100.0).next_up()
    } else {
        0.0
    };
    format!("{} %", format_up(percent, 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upper_bounds_are_never_printed_smaller() {
        assert_eq!(percent_up(0.0), "0.00 %");
        assert_eq!(percent_up(0.031_25), "3.13 %");
        assert_eq!(percent_up(0.07), "7.01 %");
    }
}
