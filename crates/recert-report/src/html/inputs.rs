//! The page's tables of every input, one table a run.

use std::fmt::Write;

use recert_num::{format_down, format_up_significant};

use super::{Page, breakable, escape};
use crate::model::{Row, Run};
use crate::text;

/// With more inputs than this on the page, the tables start out folded.
const UNFOLDED: usize = 200;

/// One column: its head, whether any row of the run has it, and its cell.
struct Column {
    head: &'static str,
    class: &'static str,
    shown: fn(&Run) -> bool,
    cell: fn(&Row) -> String,
}

const COLUMNS: [Column; 12] = [
    Column {
        head: "input",
        class: "n",
        shown: |_| true,
        cell: |row| row.idx.to_string(),
    },
    Column {
        head: "label",
        class: "n",
        shown: |run| run.rows.iter().any(|row| row.label.is_some()),
        cell: |row| {
            row.label
                .map_or_else(String::new, |label| label.to_string())
        },
    },
    Column {
        head: "class",
        class: "n",
        shown: |_| true,
        cell: |row| {
            row.class
                .map_or_else(|| "abstain".to_owned(), |class| class.to_string())
        },
    },
    Column {
        head: "outcome",
        class: "",
        shown: |run| run.rows.iter().any(|row| row.label.is_some()),
        cell: |row| outcome(row).to_owned(),
    },
    Column {
        head: "radius",
        class: "n",
        shown: |_| true,
        cell: |row| format_down(row.radius, 4),
    },
    Column {
        head: "pA, lower",
        class: "n",
        shown: |run| run.rows.iter().any(|row| row.p_lower.is_some()),
        cell: |row| row.p_lower.map_or_else(String::new, |p| format_down(p, 5)),
    },
    Column {
        head: "disagreement",
        class: "n",
        shown: |run| run.rows.iter().any(|row| row.disagreement_rate.is_some()),
        cell: |row| {
            row.disagreement_rate
                .map_or_else(String::new, |d| format!("{d:.5}"))
        },
    },
    Column {
        head: "\u{3b6}, upper",
        class: "n",
        shown: |run| run.rows.iter().any(|row| row.disagreement.is_some()),
        cell: |row| {
            row.disagreement
                .map_or_else(String::new, |z| format_up_significant(z, 3))
        },
    },
    Column {
        head: "bound",
        class: "",
        shown: |run| run.rows.iter().any(|row| row.bound.is_some()),
        cell: |row| row.bound.clone().unwrap_or_default(),
    },
    Column {
        head: "evaluations",
        class: "n",
        shown: |run| run.rows.iter().any(|row| row.evaluations > 0),
        cell: |row| text::grouped(row.evaluations),
    },
    Column {
        head: "seconds",
        class: "n",
        shown: |_| true,
        cell: |row| format!("{:.2}", row.seconds),
    },
    Column {
        head: "not finite",
        class: "n",
        shown: |run| run.rows.iter().any(|row| row.invalid > 0),
        cell: |row| text::grouped(row.invalid),
    },
];

fn outcome(row: &Row) -> &'static str {
    match (row.class, row.label) {
        (None, _) => "abstained",
        (Some(_), None) => "",
        (Some(class), Some(label)) if class == label => "correct",
        _ => "wrong",
    }
}

impl Page<'_> {
    /// Every input of every run, in tables that can be sorted.
    pub(super) fn inputs(&mut self) {
        let runs = &self.summary.report.runs;
        let total: usize = runs.iter().map(|run| run.rows.len()).sum();
        if total == 0 {
            return;
        }
        self.push("<section class=\"inputs\">\n<h2>Every input</h2>\n");
        self.push("<p class=\"muted\">Press a column's head to sort by it.</p>\n");
        let open = if total <= UNFOLDED { " open" } else { "" };
        for (index, run) in runs
            .iter()
            .enumerate()
            .filter(|(_, run)| !run.rows.is_empty())
        {
            let _ = writeln!(
                self.out,
                "<details{open}><summary>{} {}, {}: {}</summary>",
                self.badge(index),
                breakable(&self.summary.network(index)),
                escape(&self.describe(index)),
                text::counted(run.rows.len() as u64, "input")
            );
            let left_out = run.rows.len().saturating_sub(self.options.listed_inputs);
            if left_out > 0 {
                let _ = writeln!(
                    self.out,
                    "<p class=\"muted\">The first {} inputs; {} more are in the JSON report.</p>",
                    text::grouped(self.options.listed_inputs as u64),
                    text::grouped(left_out as u64)
                );
            }
            self.input_table(run);
            self.push("</details>\n");
        }
        self.push("</section>\n");
    }

    fn input_table(&mut self, run: &Run) {
        let columns: Vec<&Column> = COLUMNS.iter().filter(|c| (c.shown)(run)).collect();
        self.push("<div class=\"scroll\"><table class=\"sortable\">\n<thead><tr>");
        for column in &columns {
            let _ = write!(
                self.out,
                "<th scope=\"col\"{}><button type=\"button\">{}</button></th>",
                class(column.class),
                column.head
            );
        }
        self.push("</tr></thead>\n<tbody>\n");
        for row in run.rows.iter().take(self.options.listed_inputs) {
            let outcome = outcome(row);
            let _ = write!(self.out, "<tr{}>", class(outcome));
            for column in &columns {
                let cell = escape(&(column.cell)(row));
                let _ = write!(self.out, "<td{}>{cell}</td>", class(column.class));
            }
            self.push("</tr>\n");
        }
        self.push("</tbody>\n</table></div>\n");
    }
}

fn class(name: &str) -> String {
    if name.is_empty() {
        String::new()
    } else {
        format!(" class=\"{name}\"")
    }
}
