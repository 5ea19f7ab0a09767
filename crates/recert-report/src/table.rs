//! Tables for a terminal: what is certified, and what it cost.

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{Cell, CellAlignment, ContentArrangement, LineStyle, Table};

use crate::error::Error;
use crate::model::Report;
use crate::summary::{NONE, Summary};
use crate::text;

/// How [`render`] writes.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Options {
    /// Radii at which certified accuracy is shown; `None` for
    /// [`default_radii`](crate::default_radii) of the largest radius.
    pub radii: Option<Vec<f64>>,
    /// Columns to fit into. Words wrap; numbers do not, so many radii may need
    /// more.
    pub width: u16,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            radii: None,
            width: 100,
        }
    }
}

/// Writes a report as text: tables of the runs, of certified accuracies and of
/// costs, then the inputs, the confidence statements and the notes. Plain UTF-8, no colour.
///
/// Certified accuracies and radii are rounded down, disagreement bounds up.
/// Runs with and without labels stand in tables of their own, since what is
/// measured differs. Fails if the report does not pass [`Report::check`].
pub fn render(report: &Report, options: &Options) -> Result<String, Error> {
    report.check()?;
    let summary = Summary::new(report, options.radii.as_deref());
    let mut out = Vec::new();
    out.extend([&report.title, &report.generated].map(|line| text::printable(line).into_owned()));
    out.retain(|line| !line.is_empty());
    if report.runs.is_empty() {
        out.push("There is no run to report.".to_owned());
    }
    if !report.runs.is_empty() {
        out.push(String::new());
        out.extend(what_was_run(&summary, options));
    }
    let (labelled, unlabelled) = summary.by_labels();
    let head = "at L2 radius (% of all inputs, rounded down)";
    if !labelled.is_empty() {
        let title = format!("Certified accuracy {head}; an abstention counts as wrong");
        out.extend([String::new(), title]);
        out.extend(accuracy(&summary, &labelled, "ACR", options));
    }
    if !unlabelled.is_empty() {
        let title = format!("Certified share {head}; these inputs have no labels");
        out.extend([String::new(), title]);
        out.extend(accuracy(&summary, &unlabelled, "mean radius", options));
    }
    if !report.runs.is_empty() {
        out.extend([String::new(), "Cost".to_owned()]);
        out.extend(cost(&summary, options));
    }
    if summary.speed_ups.iter().any(Option::is_some) {
        let words = "Speed-up: what certifying from scratch costs for the same average radius, \
                     over what the run cost; \u{2265} and \u{2264} where the runs from scratch do \
                     not reach so far.";
        out.extend(text::wrapped(words, options.width.into()));
    }
    words(&summary, options, &mut out);
    out.push(String::new());
    Ok(out.join("\n"))
}

fn words(summary: &Summary<'_>, options: &Options, out: &mut Vec<String>) {
    let width = usize::from(options.width).saturating_sub(2);
    let mut section = |title: &str, groups: Vec<(Vec<usize>, String)>| {
        if groups.is_empty() {
            return;
        }
        out.extend([String::new(), title.to_owned()]);
        for (runs, words) in groups {
            let mut label = text::runs(&runs);
            label[..1].make_ascii_uppercase();
            let lines = text::wrapped(&format!("{label}: {words}"), width);
            out.extend(lines.into_iter().map(|line| format!("  {line}")));
        }
    };
    let runs = &summary.report.runs;
    section("Inputs", summary.grouped_by(|run| summary.data(run)));
    section(
        "Confidence",
        summary.grouped_by(|run| text::printable(&runs[run].statement).into_owned()),
    );
    section(
        "Certified by",
        summary.grouped_by(|run| summary.bounds(run).unwrap_or_default()),
    );
    let notes = &summary.report.notes;
    let notes = notes.iter().map(|note| text::printable(note).into_owned());
    let notes: Vec<String> = summary.warnings().into_iter().chain(notes).collect();
    if !notes.is_empty() {
        out.extend([String::new(), "Notes".to_owned()]);
    }
    for note in notes {
        let lines = text::wrapped(&note, width);
        out.extend(lines.into_iter().map(|line| format!("  {line}")));
    }
}

fn what_was_run(summary: &Summary<'_>, options: &Options) -> Vec<String> {
    let heads = ["run", "network", "method", "samples an input", "\u{3c3}"];
    let rows = (0..summary.report.runs.len()).map(|run| {
        vec![
            (run + 1).to_string(),
            summary.network(run),
            summary.method(run),
            summary.samples(run),
            text::short(summary.report.runs[run].sigma),
        ]
    });
    lines(&heads, rows, &[1, 2], options)
}

fn accuracy(summary: &Summary<'_>, runs: &[usize], mean: &str, options: &Options) -> Vec<String> {
    let mut heads = vec!["run", "method", "samples"];
    let radii = summary.radius_heads();
    heads.extend(radii.iter().map(String::as_str));
    heads.push(mean);
    let rows = runs.iter().map(|&run| {
        let mut row = vec![
            (run + 1).to_string(),
            text::printable(&summary.report.runs[run].method_name()).into_owned(),
            text::grouped(summary.report.runs[run].n),
        ];
        row.extend(summary.shares(run));
        row.push(summary.metrics[run].quality_text());
        row
    });
    lines(&heads, rows, &[1], options)
}

fn cost(summary: &Summary<'_>, options: &Options) -> Vec<String> {
    let all = 0..summary.report.runs.len();
    let disagreements = all
        .clone()
        .any(|run| summary.disagreement(run).is_some() || summary.disagreement_rate(run).is_some());
    let speed_ups = summary.speed_ups.iter().any(Option::is_some);
    let mut heads = vec!["run", "abstained", "evaluations", "time"];
    if disagreements {
        heads.extend(["disagree (mean)", "\u{3b6} (mean bound)"]);
    }
    if speed_ups {
        heads.extend(["speed-up", "in time", "of the curve"]);
    }
    let rows = all.map(|run| {
        let mut row = vec![
            (run + 1).to_string(),
            summary.abstained(run),
            text::grouped(summary.metrics[run].evaluations),
            text::duration(summary.metrics[run].seconds),
        ];
        let or_none = |cell: Option<String>| cell.unwrap_or_else(|| NONE.to_owned());
        if disagreements {
            row.push(or_none(summary.disagreement_rate(run)));
            row.push(or_none(summary.disagreement(run)));
        }
        if speed_ups {
            row.extend(
                summary
                    .speed_up(run)
                    .unwrap_or_else(|| [NONE; 3].map(str::to_owned)),
            );
        }
        row
    });
    lines(&heads, rows, &[], options)
}

/// Sets a table; the columns named in `words` hold words, the others numbers.
pub(crate) fn lines(
    heads: &[&str],
    rows: impl Iterator<Item = Vec<String>>,
    words: &[usize],
    options: &Options,
) -> Vec<String> {
    let mut table = Table::new();
    table
        .load_style(UTF8_HORIZONTAL_ONLY.row_separator(LineStyle::none()))
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(options.width)
        .set_header(heads.iter().map(Cell::new));
    table.add_rows(rows);
    for (place, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if !words.contains(&place) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect()
}
