//! Tables for a terminal: certified accuracy and its cost.

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{
    Cell, CellAlignment, ColumnConstraint, ContentArrangement, LineStyle, Table, Width,
};

use crate::error::Error;
use crate::model::Report;
use crate::run_tables::{self, RunTable};
use crate::summary::{STATEMENT, Summary};
use crate::terms::Term;
use crate::text;
use crate::verified::show;

/// The longest word, such as a network's name, that is kept on one line, in characters.
const WORD: usize = 32;

/// Spaces after every column but the last.
const PADDING: u16 = 2;

/// How [`render`] writes.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Options {
    /// Radii at which certified accuracy is shown; `None` for
    /// [`default_radii`](crate::default_radii) of the largest sigma.
    pub radii: Option<Vec<f64>>,
    /// The width in characters. Words wrap; numbers do not, so many radii may need
    /// more.
    pub width: u16,
    /// One table alone, with a line per run, in place of everything.
    pub brief: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            radii: None,
            width: 100,
            brief: false,
        }
    }
}

/// Writes a report as text: tables of the runs, of certified accuracy, of cost and of
/// speed-ups, then the inputs, the confidence statements, the bounds and the notes.
/// Plain UTF-8, no colour.
///
/// Certified accuracies and radii are rounded down, mean zeta up. Runs with and
/// without labels have tables of their own. Fails if the report does not pass
/// [`Report::check`].
///
/// ```
/// use recert_report::{Report, table};
///
/// let report = Report { title: "Nothing yet".to_owned(), ..Report::default() };
/// let text = table::render(&report, &table::Options::default())?;
/// assert_eq!(text, "Nothing yet\nThere is no run to report.\n");
/// # Ok::<(), recert_report::Error>(())
/// ```
pub fn render(report: &Report, options: &Options) -> Result<String, Error> {
    report.check()?;
    let report = &report.printable();
    let summary = Summary::new(report, options.radii.as_deref());
    let mut out = vec![report.title.clone(), report.generated.clone()];
    out.retain(|line| !line.is_empty());
    if report.runs.is_empty() {
        if report.verifications.is_empty() {
            out.push("There is no run to report.".to_owned());
        }
    } else if options.brief {
        out.extend(brief(&summary, options));
        push_verdicts(report, options, &mut out);
        out.push(String::new());
        return Ok(out.join("\n"));
    } else {
        out.push(String::new());
        out.extend(runs(&summary, options));
        for table in run_tables::accuracy(&summary) {
            push_table(&table, &["method", "samples"], options, &mut out, |run| {
                vec![
                    summary.method_name_in_detail(run),
                    text::grouped(report.runs[run].n),
                ]
            });
        }
        push_table(&run_tables::cost(&summary), &[], options, &mut out, |_| {
            Vec::new()
        });
        if let Some(table) = run_tables::speed_up(&summary) {
            push_table(&table, &["method", "samples"], options, &mut out, |run| {
                vec![
                    summary.method_name_in_detail(run),
                    text::grouped(report.runs[run].n),
                ]
            });
        }
    }
    push_verdicts(report, options, &mut out);
    push_sections(&summary, options, &mut out);
    out.push(String::new());
    Ok(out.join("\n"))
}

/// What each run gave and cost, in a line.
fn brief(summary: &Summary<'_>, options: &Options) -> Vec<String> {
    let labelled = summary.metrics.iter().all(|m| m.labelled);
    let quality = if labelled { "ACR" } else { "mean radius" };
    let (heads, caption) = (
        [
            "network",
            "method",
            "evaluations",
            "certified",
            quality,
            "speed-up",
        ],
        "ACR: average certified radius. Speed-up: evaluations that certifying the same network \
         from scratch, with the original's class and as many samples of every input, is expected to take \
         for the same average radius, over those of the run.",
    );
    let rows = (0..summary.report.runs.len()).map(|run| {
        let metrics = &summary.metrics[run];
        let expected = summary.speed_ups[run].as_ref();
        let expected = expected.and_then(|speed_up| speed_up.expected.from_scratch);
        vec![
            summary.network(run),
            summary.method_name_in_detail(run),
            text::grouped(metrics.evaluations),
            format!("{} of {}", metrics.certified, metrics.inputs),
            metrics.quality_text(),
            expected.map_or_else(|| text::NONE.to_owned(), crate::speed_up::Ratio::text),
        ]
    });
    let mut out = lines(&heads, rows, &[0, 1], options);
    out.extend(text::wrapped(caption, options.width.into()));
    out
}

/// The runs: networks, methods, samples and noise.
fn runs(summary: &Summary<'_>, options: &Options) -> Vec<String> {
    let heads = ["run", "network", "method", "samples per input", "sigma"];
    let rows = (0..summary.report.runs.len()).map(|run| {
        vec![
            (run + 1).to_string(),
            summary.network(run),
            summary.method_in_detail(run),
            summary.samples(run),
            text::short(summary.report.runs[run].sigma),
        ]
    });
    lines(&heads, rows, &[1, 2], options)
}

/// A table under its title and caption. The run's number is its first column; the next
/// ones, named by `heads` and filled by `cells`, identify the run.
fn push_table(
    table: &RunTable,
    heads: &[&str],
    options: &Options,
    out: &mut Vec<String>,
    cells: impl Fn(usize) -> Vec<String>,
) {
    let caption = format!("{}. {}", table.title, table.caption);
    out.push(String::new());
    out.extend(text::wrapped(&caption, options.width.into()));
    let columns = table.columns.iter().map(|column| column.head.as_str());
    let heads: Vec<&str> = [&["run"], heads]
        .concat()
        .into_iter()
        .chain(columns)
        .collect();
    let rows = table.rows().map(|(run, figures)| {
        let mut row = vec![(run + 1).to_string()];
        row.extend(cells(run));
        row.extend(figures.map(str::to_owned));
        row
    });
    // Of all columns only the method, if there is one, holds words.
    let words: Vec<usize> = (0..heads.len()).filter(|i| heads[*i] == "method").collect();
    out.extend(lines(&heads, rows, &words, options));
}

/// What was verified by bounds: a table, and what it states.
fn push_verdicts(report: &Report, options: &Options, out: &mut Vec<String>) {
    let all = &report.verifications;
    if all.is_empty() {
        return;
    }
    let width = usize::from(options.width);
    let caption = format!("{}. {}", show::TITLE, show::CAPTION);
    out.push(String::new());
    out.extend(text::wrapped(&caption, width));
    let words: Vec<usize> = (0..show::WORDS).collect();
    out.extend(lines(&show::HEADS, show::rows(all), &words, options));
    let mut texts = vec![show::CONDITIONS.to_owned()];
    texts.extend(show::statements(all));
    if !report.runs.is_empty() {
        texts.push(show::BOTH.to_owned());
    }
    texts.extend(show::subjects(all));
    texts.extend(show::proved_by(all));
    if options.brief {
        texts.clear();
    }
    for words in texts {
        let lines = text::wrapped(&words, width.saturating_sub(2));
        out.extend(lines.into_iter().map(|line| format!("  {line}")));
    }
}

/// The texts below the tables.
fn push_sections(summary: &Summary<'_>, options: &Options, out: &mut Vec<String>) {
    let width = usize::from(options.width).saturating_sub(2);
    let mut section = |title: &str, paragraphs: Vec<String>| {
        if !paragraphs.is_empty() {
            out.extend([String::new(), title.to_owned()]);
        }
        for paragraph in paragraphs {
            let lines = text::wrapped(&paragraph, width);
            out.extend(lines.into_iter().map(|line| format!("  {line}")));
        }
    };
    let by_runs = |groups: Vec<(Vec<usize>, String)>| {
        let paragraph = |(runs, words): (Vec<usize>, String)| {
            let mut label = text::runs(&runs);
            label[..1].make_ascii_uppercase();
            format!("{label}: {words}")
        };
        groups.into_iter().map(paragraph).collect()
    };
    section(
        "Inputs",
        by_runs(summary.grouped_by(|run| summary.data(run))),
    );
    section(
        "Noise",
        by_runs(summary.grouped_by(|run| summary.noise(run))),
    );
    section(
        "Preprocessing",
        by_runs(summary.grouped_by(|run| summary.preprocessing(run))),
    );
    let mut statements: Vec<String> = by_runs(summary.statements());
    if !statements.is_empty() {
        statements.insert(0, STATEMENT.to_owned());
    }
    section("Confidence", statements);
    let bounds = |run| summary.bounds(run).unwrap_or_default();
    section("Certified by", by_runs(summary.grouped_by(bounds)));
    let term = |term: &&Term| format!("{}: {}.", term.word, term.meaning);
    section(
        "Bounds and methods (f: original network, h: modified network)",
        summary.terms().iter().map(term).collect(),
    );
    section("Notes", summary.notes());
}

/// Draws a table; the columns whose positions `words` has hold words, the others numbers.
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
    let rows: Vec<Vec<String>> = rows.collect();
    // Texts with a space may wrap; a column of numbers without any keeps its width.
    let unbroken = |position: usize| {
        let cells = rows.iter().filter_map(|row| row.get(position));
        let texts = cells.map(String::as_str).chain([heads[position]]);
        let mut lines = texts.flat_map(str::lines);
        let width = lines.try_fold(0, |width, line| {
            (!line.contains(' ')).then(|| width.max(line.chars().count()))
        });
        width.and_then(|width| u16::try_from(width).ok())
    };
    // A column of words is as wide as its longest word, so that no name is broken.
    let longest = |position: usize| {
        let cells = rows.iter().filter_map(|row| row.get(position));
        let widths = cells.flat_map(|cell| cell.split_whitespace());
        let width = widths.map(|word| word.chars().count()).max()?;
        u16::try_from(width.min(WORD)).ok()
    };
    let widths: Vec<Option<u16>> = (0..heads.len())
        .map(|position| {
            if words.contains(&position) {
                longest(position)
            } else {
                unbroken(position)
            }
        })
        .collect();
    table.add_rows(rows);
    for (position, column) in table.column_iter_mut().enumerate() {
        let padding = if position + 1 < heads.len() {
            PADDING
        } else {
            0
        };
        column.set_padding((0, padding));
        if !words.contains(&position) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        if let Some(width) = widths[position] {
            let width = Width::Fixed(width.saturating_add(padding));
            column.set_constraint(ColumnConstraint::LowerBoundary(width));
        }
    }
    table
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect()
}
