//! The section of a page that shows verdicts: the table, a bar for each, and every input.

use maud::{Markup, html};
use recert_num::format_down;

use super::show::{BOTH, CAPTION, CONDITIONS, HEADS, TITLE, WORDS};
use super::{Verdict, Verified, VerifiedMetrics, VerifiedOutcome, show};
use crate::text;

/// With more inputs than this on the page, the tables start out folded.
const UNFOLDED: usize = 200;

/// Width of a bar, in SVG units.
const BAR: f64 = 200.0;

/// The parts of a bar, in their order: the class of the style sheet, and the name.
const PARTS: [(VerifiedOutcome, &str, &str); 4] = [
    (VerifiedOutcome::Verified, "v0", "verified"),
    (VerifiedOutcome::Unknown, "v1", "unknown"),
    (VerifiedOutcome::Falsified, "v2", "falsified"),
    (VerifiedOutcome::Misclassified, "v3", "misclassified"),
];

/// The section; `listed` is the most inputs of a network that are listed one by one, and
/// `smoothed` whether the page has certificates by smoothing too.
pub(crate) fn section(all: &[Verified], listed: usize, smoothed: bool) -> Markup {
    if all.is_empty() {
        return Markup::default();
    }
    html! {
        section {
            h2 { (TITLE) }
            p.muted { (CAPTION) }
            div.scroll { (table(all)) }
            ul.legend.verdicts {
                @for (_, class, name) in PARTS {
                    li { svg class="swatch" viewBox="0 0 14 14" width="14" height="14" aria-hidden="true" {
                        rect class=(class) width="14" height="14" rx="2" {}
                    } span { (name) } }
                }
            }
        }
        section.statement {
            h2 { "What the proofs state" }
            p { (CONDITIONS) }
            @for words in show::statements(all) { p { (words) } }
            @if smoothed { p { (BOTH) } }
        }
        section {
            h2 { "What was verified" }
            @for words in show::subjects(all) { p { (words) } }
            @for words in show::proved_by(all) { p.muted { (words) } }
        }
        (inputs(all, listed))
    }
}

fn table(all: &[Verified]) -> Markup {
    html! {
        table {
            thead {
                tr {
                    @for (position, head) in HEADS.iter().enumerate() {
                        @let head = head.replace("-\n", "").replace('\n', " ");
                        th.n[position >= WORDS] scope="col" { (head) }
                    }
                    th scope="col" { "verdicts" }
                }
            }
            tbody {
                @for (one, row) in all.iter().zip(show::rows(all)) {
                    tr {
                        @for (position, cell) in row.iter().enumerate() {
                            @let number = position >= WORDS;
                            td.word[!number].n[number].main[position == WORDS]
                                .nothing[number && (cell == "0" || cell == text::NONE)] { (cell) }
                        }
                        td { (bar(&VerifiedMetrics::new(one))) }
                    }
                }
            }
        }
    }
}

/// The verdicts as one bar of parts.
fn bar(metrics: &VerifiedMetrics) -> Markup {
    let count = |outcome| match outcome {
        VerifiedOutcome::Verified => metrics.verified,
        VerifiedOutcome::Falsified => metrics.falsified,
        VerifiedOutcome::Unknown => metrics.unknown,
        VerifiedOutcome::Misclassified => metrics.misclassified,
    };
    let mut left = 0;
    let parts = PARTS.map(|(outcome, class, name)| {
        let (from, width) = (left, count(outcome));
        left += width;
        (class, name, from, width)
    });
    let scale =
        |count: u64| (10.0 * BAR * count as f64 / metrics.inputs.max(1) as f64).round() / 10.0;
    let words: Vec<String> = (parts.iter())
        .map(|(_, name, _, count)| format!("{name} {}", text::grouped(*count)))
        .collect();
    html! {
        svg class="verdicts" viewBox={ "0 0 " (BAR) " 12" } width=(BAR) height="12" role="img"
            aria-label=(words.join(", "))
        {
            @for (class, name, from, width) in parts {
                @if width > 0 {
                    rect class=(class) x=(scale(from)) width=(scale(width)) height="12" {
                        title { (name) " " (text::grouped(width)) }
                    }
                }
            }
        }
    }
}

/// Every input, a table a network.
fn inputs(all: &[Verified], listed: usize) -> Markup {
    let shown = |one: &Verified| one.rows.len().min(listed);
    let unfolded = all.iter().map(shown).sum::<usize>() <= UNFOLDED;
    html! {
        section.inputs {
            h2 { "Verdicts of the inputs" }
            p.muted {
                "Margin: a lower bound on the smallest difference of the class's output and another's, \
                 rounded down. Select a column to sort by it."
            }
            @for one in all {
                details open[unfolded] {
                    summary { (one.network) ", " (one.specification) ", " (one.method) }
                    div.scroll {
                        table.sortable {
                            thead {
                                tr {
                                    @for head in ["input", "label", "answer", "verdict", "margin", "by", "time, s"] {
                                        th.n[!["verdict", "by"].contains(&head)] scope="col" {
                                            button type="button" { (head) }
                                        }
                                    }
                                }
                            }
                            tbody { @for row in one.rows.iter().take(listed) { (input(row)) } }
                        }
                    }
                    @if one.rows.len() > listed {
                        p.muted {
                            (text::grouped((one.rows.len() - listed) as u64)) " further inputs are in the figures and not listed."
                        }
                    }
                }
            }
        }
    }
}

fn input(row: &Verdict) -> Markup {
    let number =
        |number: Option<u32>| number.map_or_else(|| text::NONE.to_owned(), |n| n.to_string());
    let margin = row
        .margin
        .map_or_else(|| text::NONE.to_owned(), |margin| format_down(margin, 4));
    let outcome = row.outcome();
    let words = match outcome {
        VerifiedOutcome::Misclassified => "misclassified",
        _ => row.verdict.as_str(),
    };
    let wrong = matches!(
        outcome,
        VerifiedOutcome::Misclassified | VerifiedOutcome::Falsified
    );
    html! {
        tr.wrong[wrong].abstained[outcome == VerifiedOutcome::Unknown] {
            td.n { (number(row.idx)) }
            td.n { (number(row.label)) }
            td.n { (number(row.answer)) }
            td { (words) }
            td.n { (margin) }
            td { (row.decided_by) }
            td.n { (format!("{:.3}", row.seconds)) }
        }
    }
}
