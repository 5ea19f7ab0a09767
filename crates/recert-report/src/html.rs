//! One self-contained HTML page: tables, plots, every input, and how it was made.
//!
//! The page refers to nothing outside itself, and its content security policy
//! forbids it: it can be mailed, archived and opened offline. It follows the
//! reader's light or dark mode, prints, and needs its few lines of script only
//! for sorting the tables.

mod figures;
mod inputs;
mod page;
mod tables;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::error::Error;
use crate::model::Report;
use crate::summary::{STATEMENT, Summary};
use crate::terms::{TERMS, Term};
use crate::verified::page as verdicts;
use page::{Page, breakable};

/// Nothing from outside the page is loaded, and nothing is sent.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

/// How [`render`] writes.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Options {
    /// Radii at which certified accuracy is shown; `None` for
    /// [`default_radii`](crate::default_radii) of the largest sigma.
    pub radii: Option<Vec<f64>>,
    /// The most inputs per run that the page lists one by one; the page says how
    /// many it leaves out. All figures and plots are of all inputs.
    pub listed_inputs: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            radii: None,
            listed_inputs: 10_000,
        }
    }
}

/// Writes a report as one HTML page, which refers to no other file.
///
/// Certified accuracies, radii and lower bounds are rounded down, upper bounds up.
/// Fails if the report does not pass [`Report::check`].
///
/// ```
/// use recert_report::{Report, html};
///
/// let report = Report { title: "<Nothing> yet".to_owned(), ..Report::default() };
/// let page = html::render(&report, &html::Options::default())?;
/// assert!(page.starts_with("<!DOCTYPE html>"));
/// assert!(page.contains("<h1>&lt;Nothing&gt; yet</h1>"));
/// # Ok::<(), recert_report::Error>(())
/// ```
pub fn render(report: &Report, options: &Options) -> Result<String, Error> {
    report.check()?;
    let report = &report.printable();
    let page = Page::new(Summary::new(report, options.radii.as_deref()), options);
    Ok(page.render().into_string())
}

/// What kinds of certificates a report has.
fn eyebrow(report: &Report) -> &'static str {
    match (report.runs.is_empty(), report.verifications.is_empty()) {
        (true, false) => "Robustness certificates by deterministic bounds",
        (false, false) => {
            "Robustness certificates by randomized smoothing and deterministic bounds"
        }
        (_, true) => "Robustness certificates by randomized smoothing",
    }
}

impl Page<'_> {
    fn render(&self) -> Markup {
        let report = self.summary.report;
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta http-equiv="Content-Security-Policy" content=(POLICY);
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (report.title) }
                    style { (PreEscaped(include_str!("html/style.css"))) }
                }
                body {
                    main {
                        header {
                            p.eyebrow { (eyebrow(report)) }
                            h1 { (report.title) }
                            p.muted { (report.generated) }
                            (self.overview())
                        }
                        @if report.runs.is_empty() && report.verifications.is_empty() {
                            p { "There is no run to report." }
                        } @else if !report.runs.is_empty() {
                            (self.tables())
                            (self.figures())
                            (self.inputs())
                        }
                        (verdicts::section(&report.verifications, self.listed_inputs, !report.runs.is_empty()))
                        (self.notes())
                        footer {
                            (self.provenance())
                            @if !report.runs.is_empty() || report.verifications.is_empty() { (self.terms()) }
                        }
                    }
                    script { (PreEscaped(include_str!("html/sort.js"))) }
                }
            }
        }
    }

    /// The inputs, networks and noise, and the statements of the certificates.
    fn overview(&self) -> Markup {
        let summary = &self.summary;
        let facts = [
            ("Inputs", summary.grouped_by(|run| summary.data(run))),
            ("Networks", summary.grouped_by(|run| summary.network(run))),
            (
                "Preprocessing",
                summary.grouped_by(|run| summary.preprocessing(run)),
            ),
            ("Noise", summary.grouped_by(|run| summary.noise(run))),
        ];
        let statements = summary.statements();
        html! {
            dl.facts {
                @for (name, words) in facts.iter().filter(|(_, words)| !words.is_empty()) {
                    div {
                        dt { (name) }
                        @for (runs, words) in words { dd { (breakable(words)) (self.runs(runs)) } }
                    }
                }
            }
            @if !statements.is_empty() {
                section.statement {
                    h2 { "What the certificates state" }
                    p { (STATEMENT) }
                    @for (runs, words) in &statements { p { (words) (self.runs(runs)) } }
                }
            }
        }
    }

    fn notes(&self) -> Markup {
        let notes = self.summary.notes();
        html! {
            @if !notes.is_empty() {
                section {
                    h2 { "Notes" }
                    ul.notes { @for note in &notes { li { (note) } } }
                }
            }
        }
    }

    /// The terms of the page, and the bounds and methods that it names.
    fn terms(&self) -> Markup {
        let list = |terms: &[&Term]| {
            html! { dl { @for term in terms { dt { (term.word) } dd { (term.meaning) } } } }
        };
        let terms: Vec<&Term> = TERMS.iter().collect();
        let bounds = self.summary.terms();
        html! {
            section.reading {
                h2 { "Bounds and terms" }
                p.muted {
                    "A certificate is about the smoothed classifier, and holds up to the failure \
                     probability alpha, which is per input. A few easy inputs can dominate the \
                     average certified radius: look at the curve and the distribution of p_lower \
                     too."
                }
                (list(&terms))
                @if !bounds.is_empty() {
                    h3 { "Lower confidence bounds of the class's probability under h, and methods" }
                    (list(&bounds))
                }
            }
        }
    }
}
