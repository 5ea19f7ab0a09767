//! The page's tables of every input, one table per run.

use maud::{Markup, html};

use super::page::{Page, breakable};
use crate::model::{Row, Run};
use crate::text;
use recert_num::{format_down, format_up_significant};

/// With more inputs than this on the page, the tables start out folded.
const UNFOLDED: usize = 200;

/// One column: its head, the class of its cells, whether a row has a value for it, and
/// the text of its cell. A column that no row of a run has a value for is left out.
struct Column {
    head: &'static str,
    class: Option<&'static str>,
    present: fn(&Row) -> bool,
    cell: fn(&Row) -> String,
}

const fn numbers(
    head: &'static str,
    present: fn(&Row) -> bool,
    cell: fn(&Row) -> String,
) -> Column {
    Column {
        head,
        class: Some("n"),
        present,
        cell,
    }
}

const fn words(head: &'static str, present: fn(&Row) -> bool, cell: fn(&Row) -> String) -> Column {
    Column {
        head,
        class: None,
        present,
        cell,
    }
}

const COLUMNS: [Column; 12] = [
    numbers("input", |_| true, |row| row.idx.to_string()),
    numbers(
        "label",
        |row| row.label.is_some(),
        |row| optional(row.label, |label| label.to_string()),
    ),
    numbers(
        "class",
        |_| true,
        |row| (row.class).map_or_else(|| "abstain".to_owned(), |class| class.to_string()),
    ),
    words(
        "outcome",
        |row| row.label.is_some(),
        |row| outcome(row).unwrap_or_default().to_owned(),
    ),
    numbers("radius", |_| true, |row| format_down(row.radius, 4)),
    numbers(
        "p_lower",
        |row| row.p_lower.is_some(),
        |row| optional(row.p_lower, |p| format_down(p, 5)),
    ),
    numbers(
        "disagreement",
        |row| row.disagreement_rate.is_some(),
        |row| optional(row.disagreement_rate, |rate| format!("{rate:.5}")),
    ),
    numbers(
        "zeta",
        |row| row.zeta.is_some(),
        |row| optional(row.zeta, |zeta| format_up_significant(zeta, 3)),
    ),
    words(
        "bound",
        |row| row.bound.is_some(),
        |row| row.bound.clone().unwrap_or_default(),
    ),
    numbers(
        "evaluations",
        |row| row.evaluations > 0,
        |row| text::grouped(row.evaluations),
    ),
    numbers("seconds", |_| true, |row| format!("{:.2}", row.seconds)),
    numbers(
        "invalid",
        |row| row.invalid > 0,
        |row| text::grouped(row.invalid),
    ),
];

fn optional<T>(value: Option<T>, write: impl Fn(T) -> String) -> String {
    value.map_or_else(String::new, write)
}

/// The outcome, where the label is known or the input abstained.
fn outcome(row: &Row) -> Option<&'static str> {
    match (row.class, row.label) {
        (None, _) => Some("abstained"),
        (Some(_), None) => None,
        (Some(class), Some(label)) if class == label => Some("correct"),
        _ => Some("wrong"),
    }
}

impl Page<'_> {
    /// Every input of every run, in tables that can be sorted.
    pub(super) fn inputs(&self) -> Markup {
        let runs = self.summary.report.runs.iter().enumerate();
        let filled: Vec<(usize, &Run)> = runs.filter(|(_, run)| !run.rows.is_empty()).collect();
        if filled.is_empty() {
            return Markup::default();
        }
        let total: usize = filled.iter().map(|(_, run)| run.rows.len()).sum();
        html! {
            section.inputs {
                h2 { "Every input" }
                p.muted { "Press a column's head to sort by it." }
                @for (index, run) in filled {
                    details open[total <= UNFOLDED] {
                        summary {
                            (self.badge(index)) " " (breakable(&self.summary.network(index))) ", "
                            (self.summary.describe(index)) ": "
                            (text::counted(run.rows.len() as u64, "input"))
                        }
                        (self.input_table(run))
                    }
                }
            }
        }
    }

    fn input_table(&self, run: &Run) -> Markup {
        let present = |column: &&Column| run.rows.iter().any(column.present);
        let columns: Vec<&Column> = COLUMNS.iter().filter(present).collect();
        let listed = self.listed_inputs;
        html! {
            @if let Some(more @ 1..) = run.rows.len().checked_sub(listed) {
                p.muted {
                    "The first " (text::grouped(listed as u64)) " inputs; "
                    (text::grouped(more as u64)) " more are in the JSON report."
                }
            }
            div.scroll {
                table.sortable {
                    thead {
                        tr {
                            @for column in &columns {
                                th scope="col" class=[column.class] {
                                    button type="button" { (column.head) }
                                }
                            }
                        }
                    }
                    tbody {
                        @for row in run.rows.iter().take(listed) {
                            tr class=[outcome(row)] {
                                @for column in &columns {
                                    td class=[column.class] { ((column.cell)(row)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
