//! The page's tables with a row per run: certified accuracy, cost, and how each run was made.

use maud::{Markup, html};

use super::page::{Page, breakable};
use crate::model::{Method, Run};
use crate::run_tables::{self, RunTable};
use crate::text;

impl Page<'_> {
    /// Certified accuracy at the radii, its cost, and speed-ups.
    pub(super) fn tables(&self) -> Markup {
        let accuracy = run_tables::accuracy(&self.summary);
        html! {
            @for table in &accuracy { (self.comparison_table(table)) }
            (self.cost_table(&run_tables::cost(&self.summary)))
            @if let Some(table) = run_tables::speed_up(&self.summary) {
                (self.comparison_table(&table))
            }
        }
    }

    fn comparison_table(&self, table: &RunTable) -> Markup {
        let columns = 4 + table.columns.len();
        let network = |index: usize| self.summary.network(table.runs[index]);
        let body = html! {
            @for (index, (run, cells)) in table.rows().enumerate() {
                // The network is named once, above the runs that share it.
                @if index == 0 || network(index) != network(index - 1) {
                    tr.group { th colspan=(columns) scope="rowgroup" { (network(index)) } }
                }
                tr {
                    td { (self.badge(run)) }
                    td.word { (self.summary.method_in_detail(run)) }
                    td.n { (self.summary.samples(run)) }
                    td.n { (text::short(self.summary.report.runs[run].sigma)) }
                    (figures(table, cells))
                }
            }
        };
        let heads = html! {
            th scope="col" { "run" }
            th scope="col" { "method" }
            th.n scope="col" { "samples" }
            th.n scope="col" { "sigma" }
            (heads(table))
        };
        section(table.title, &table.caption, &heads, &body)
    }

    fn cost_table(&self, table: &RunTable) -> Markup {
        let bounds: Vec<_> = table
            .runs
            .iter()
            .map(|run| self.summary.bounds(*run))
            .collect();
        let any_bounds = bounds.iter().any(Option::is_some);
        let heads = html! {
            th scope="col" { "run" }
            (heads(table))
            @if any_bounds { th scope="col" { "certified by" } }
        };
        let body = html! {
            @for ((run, cells), bounds) in table.rows().zip(&bounds) {
                tr {
                    td { (self.badge(run)) }
                    (figures(table, cells))
                    @if any_bounds { td.word { (bounds.as_deref().unwrap_or(text::NONE)) } }
                }
            }
        };
        section(table.title, &table.caption, &heads, &body)
    }

    /// Networks, engines and parameters, for repeating the runs.
    pub(super) fn provenance(&self) -> Markup {
        let runs = &self.summary.report.runs;
        if runs.is_empty() {
            return Markup::default();
        }
        let heads = html! {
            @for head in ["run", "method", "parameters"] { th scope="col" { (head) } }
        };
        let body = html! {
            @for (index, run) in runs.iter().enumerate() {
                @if index == 0 || origin(run) != origin(&runs[index - 1]) { (origin_row(run)) }
                tr {
                    td { (self.badge(index)) }
                    td.word { (self.summary.method_in_detail(index)) }
                    td.parameters {
                        @for (name, value) in parameters(run) {
                            span { i { (name) } " " (value) } " "
                        }
                    }
                }
            }
        };
        section("How each run was made", "", &heads, &body)
    }
}

/// The heads of the figures.
fn heads(table: &RunTable) -> Markup {
    html! { @for column in &table.columns { th.n scope="col" { (column.head) } } }
}

/// The cells of the figures of one run.
fn figures<'a>(table: &RunTable, cells: impl Iterator<Item = &'a str>) -> Markup {
    html! {
        @for (column, cell) in table.columns.iter().zip(cells) {
            @let nothing = cell == text::NONE || cell == "0.0";
            td.n.main[column.main && !nothing].nothing[nothing] { (cell) }
        }
    }
}

fn section(title: &str, caption: &str, heads: &Markup, body: &Markup) -> Markup {
    html! {
        section {
            h2 { (title) }
            @if !caption.is_empty() { p.muted { (caption) } }
            div.scroll { table { thead { tr { (heads) } } tbody { (body) } } }
        }
    }
}

/// What distinguishes networks: file, engine, arithmetic, hash.
fn origin(run: &Run) -> [&str; 4] {
    let arithmetic = run.arithmetic.as_deref().unwrap_or_default();
    [&run.network, &run.engine, arithmetic, &run.network_sha256]
}

/// The row above the runs of one network in one engine.
fn origin_row(run: &Run) -> Markup {
    let [network, engine, arithmetic, sha256] = origin(run);
    let computed = [engine, arithmetic];
    let computed: Vec<&str> = computed
        .into_iter()
        .filter(|words| !words.is_empty())
        .collect();
    html! {
        tr.group {
            th colspan="3" scope="rowgroup" {
                (breakable(network))
                @if !computed.is_empty() { span.engine { (computed.join("; ")) } }
                @if !sha256.is_empty() { code { "sha256 " (sha256) } }
            }
        }
    }
}

/// The parameters of a run by name: those that every run has, then its own.
fn parameters(run: &Run) -> Vec<(&str, String)> {
    let gamma = match run.method {
        Method::Recertify { gamma, .. } => gamma,
        Method::Certify { .. } => None,
    };
    let mut all = vec![
        ("n", text::grouped(run.n)),
        ("n0", text::grouped(run.n0)),
        ("sigma", text::short(run.sigma)),
        ("alpha", text::short(run.alpha)),
    ];
    all.extend(gamma.map(|gamma| ("gamma", text::short(gamma))));
    all.extend(run.parameters.iter().map(|(k, v)| (k.as_str(), v.clone())));
    all
}
