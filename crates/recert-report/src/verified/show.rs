//! The table of verdicts, and the texts below it, for the terminal, the page and CSV.

use super::{Share, Verified, VerifiedMetrics};
use crate::text;

/// The table's title.
pub(crate) const TITLE: &str = "Verified by deterministic bounds";

/// What the columns are.
pub(crate) const CAPTION: &str = "Certified accuracy: share of all inputs, in per cent, proved for \
     their label; rounded down. Falsified: the engine answers another image of the specification \
     otherwise. Misclassified: it answers the input itself otherwise. Time: worker time of an input, \
     on average.";

/// Under which conditions a verdict holds, for every reader.
pub(crate) const CONDITIONS: &str = "A proof has no failure probability. It is about the network \
     itself, on real numbers with the weights of its file and the preprocessing stated; what rounding \
     in an engine's floats may change is in SOUNDNESS.md, \"Deterministic bounds\". What was \
     falsified was answered by the engine.";

/// What to mind where certificates of both kinds are side by side.
pub(crate) const BOTH: &str = "Certificates by smoothing are about the smoothed classifier, in L2, and \
     hold with a probability; those by bounds are about the network itself. Their accuracies are of \
     different classifiers and, where the norms differ, of different neighbourhoods.";

/// The heads of the table's columns. The first two hold words.
pub(crate) const HEADS: [&str; 8] = [
    "network",
    "specification\nand method",
    "certified\naccuracy",
    "verified",
    "falsified",
    "unknown",
    "mis-\nclassified",
    "time",
];

/// Columns of words, which come first.
pub(crate) const WORDS: usize = 2;

/// The rows of the table.
pub(crate) fn rows(all: &[Verified]) -> impl Iterator<Item = Vec<String>> + '_ {
    all.iter().map(|one| {
        let metrics = VerifiedMetrics::new(one);
        let accuracy = metrics.certified_accuracy;
        vec![
            one.network.clone(),
            format!("{} by {}{}", one.specification, one.method, condition(one)),
            accuracy.map_or_else(|| text::NONE.to_owned(), Share::percent_down),
            format!(
                "{}\u{a0}of\u{a0}{}",
                text::grouped(metrics.verified),
                text::grouped(metrics.inputs)
            ),
            text::grouped(metrics.falsified),
            text::grouped(metrics.unknown),
            text::grouped(metrics.misclassified),
            text::duration(metrics.seconds / metrics.inputs.max(1) as f64),
        ]
    })
}

/// What the verdicts state: each specification with its statement, once.
pub(crate) fn statements(all: &[Verified]) -> Vec<String> {
    let words = all
        .iter()
        .filter(|one| !one.statement.is_empty())
        .map(|one| {
            let condition = condition(one);
            format!("{}{condition}: {}.", one.specification, one.statement)
        });
    once(words)
}

/// What tells a conditional verification from one that is not.
fn condition(one: &Verified) -> &'static str {
    if one.conditional { ", conditional" } else { "" }
}

/// What was verified, on which inputs, by which engine's answers, each once.
pub(crate) fn subjects(all: &[Verified]) -> Vec<String> {
    once(all.iter().map(|one| {
        let parts = [
            ("data", &one.data),
            ("preprocessing", &one.preprocessing),
            ("answers by", &one.engine),
        ];
        let parts = parts.iter().filter(|(_, words)| !words.is_empty());
        let parts: Vec<String> = parts
            .map(|(name, words)| format!("{name} {words}"))
            .collect();
        format!("{}: {}.", one.network, parts.join("; "))
    }))
}

/// What proved how many.
pub(crate) fn proved_by(all: &[Verified]) -> Vec<String> {
    let words = all.iter().filter_map(|one| {
        let methods = VerifiedMetrics::new(one).methods;
        let parts: Vec<String> = (methods.iter())
            .map(|(method, count)| format!("{method} {}", text::grouped(*count)))
            .collect();
        let Verified {
            network,
            specification,
            ..
        } = one;
        (!parts.is_empty()).then(|| {
            format!(
                "{network}, {specification}{}: proved by {}.",
                condition(one),
                parts.join(", ")
            )
        })
    });
    once(words)
}

fn once(words: impl Iterator<Item = String>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for words in words {
        if !found.contains(&words) {
            found.push(words);
        }
    }
    found
}
