//! An explanation as text: how many features proofs keep, and what two networks share.

use super::{Explanation, FeatureMetrics, Grown, Kept, VersusMetrics};
use crate::error::Error;
use crate::table::{Options, lines};
use crate::text;

/// What the columns are.
pub(super) const CAPTION: &str = "Features: neurons of the penultimate layer whose intervals take \
     part in a proof, on average. Kept: those that suffice when the others' weights are zero, their mean \
     and median, found by bisection in three orders: least priority first (weight times the interval's \
     largest magnitude), least weight first, and at random. Sufficient sets need not be minimal. ≤ 5, \
     ≤ 10: share of the proofs that keep no more, in per cent, rounded down.";

/// The heads of the table. The first and the fourth column hold words.
pub(super) const HEADS: [&str; 8] = [
    "network", "proved", "features", "order", "kept", "median", "≤ 5", "≤ 10",
];

/// Where the words are among the columns.
pub(super) const WORDS: [usize; 2] = [0, 3];

/// The most inputs whose lost proofs are listed.
const LISTED: usize = 10;

/// Writes the explanation as text, `width` characters wide where the words allow it.
///
/// # Errors
///
/// If the explanation does not pass [`Explanation::check`].
pub fn table(explanation: &Explanation, width: u16) -> Result<String, Error> {
    explanation.check()?;
    let explanation = &explanation.printable();
    let options = Options {
        width,
        ..Options::default()
    };
    let wrapped = |words: &str| text::wrapped(words, width.into());
    let mut out = vec![explanation.title.clone()];
    out.retain(|line| !line.is_empty());
    out.extend(lines(
        &HEADS,
        rows(explanation).into_iter(),
        &WORDS,
        &options,
    ));
    out.extend(wrapped(CAPTION));
    if let Some(versus) = VersusMetrics::new(explanation) {
        out.push(String::new());
        out.push(versus_title(explanation));
        let rows = versus_rows(&versus).into_iter();
        let rows = rows.map(|(name, figure)| vec![name.to_owned(), figure]);
        out.extend(lines(&["measure", "figure"], rows, &[0], &options));
        out.extend(lost(explanation, &options));
    }
    out.push(String::new());
    Ok(out.join("\n"))
}

/// A row for each network and order.
pub(super) fn rows(explanation: &Explanation) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for (position, network) in explanation.networks.iter().enumerate() {
        let metrics = FeatureMetrics::new(explanation, position);
        let orders = [
            ("priority", metrics.priority),
            ("weight only", metrics.weight),
            ("random", metrics.random),
        ];
        for (index, (order, kept)) in orders.into_iter().enumerate() {
            let first = |words: String| if index == 0 { words } else { String::new() };
            let figure =
                |write: fn(Kept) -> String| kept.map_or_else(|| text::NONE.to_owned(), write);
            let features = metrics.features.map(|all| format!("{:.2}", all.mean));
            rows.push(vec![
                first(network.network.clone()),
                first(proved(&metrics)),
                first(features.unwrap_or_else(|| text::NONE.to_owned())),
                order.to_owned(),
                figure(|kept| format!("{:.2}", kept.mean)),
                figure(|kept| text::short(kept.median)),
                figure(|kept| kept.at_most_5.percent_down()),
                figure(|kept| kept.at_most_10.percent_down()),
            ]);
        }
    }
    rows
}

/// `281 of 500`.
fn proved(metrics: &FeatureMetrics) -> String {
    let [proved, inputs] = [metrics.proved, metrics.inputs].map(text::grouped);
    format!("{proved} of {inputs}")
}

/// The two networks, by their names.
pub(super) fn versus_title(explanation: &Explanation) -> String {
    let [first, second] = [0, 1].map(|position| &explanation.networks[position].network);
    format!("{first} and {second}, on the same inputs")
}

/// What is compared, and the figures.
pub(super) fn versus_rows(versus: &VersusMetrics) -> Vec<(&'static str, String)> {
    let figure =
        |mean: Option<f64>| mean.map_or_else(|| text::NONE.to_owned(), |m| format!("{m:.3}"));
    let surviving = versus.surviving;
    let [count, total] = [surviving.count, surviving.total].map(text::grouped);
    vec![
        ("inputs that both prove", text::grouped(versus.both)),
        (
            "that the first proves alone",
            text::grouped(versus.first_only),
        ),
        (
            "that the second proves alone",
            text::grouped(versus.second_only),
        ),
        ("that neither proves", text::grouped(versus.neither)),
        (
            "features of the first that the second keeps",
            format!("{count} of {total}"),
        ),
        ("overlap of the kept sets, mean", figure(versus.overlap)),
        (
            "rank correlation of the priorities, mean",
            figure(versus.rank_correlation),
        ),
        (
            "cosine of the pictures of shared features, mean",
            figure(versus.cosine),
        ),
        (
            "cosine of each picture and the most similar one, mean",
            figure(versus.closest_cosine),
        ),
    ]
}

/// Which interval grew most where a proof is lost.
fn lost(explanation: &Explanation, options: &Options) -> Vec<String> {
    let lost = || {
        explanation
            .inputs
            .iter()
            .filter(|input| input.lost().is_some())
    };
    let all = lost().count();
    if all == 0 {
        return Vec::new();
    }
    let rows = lost().take(LISTED).map(|input| {
        let none = || text::NONE.to_owned();
        let grown = |write: fn(&Grown) -> String| input.grown.first().map_or_else(none, write);
        let margin = |network: usize| {
            let margin = input.proofs[network].margin;
            margin.map_or_else(none, |margin| recert_num::format_down(margin, 3))
        };
        let network = (input.lost()).map_or("", |lost| &explanation.networks[lost].network);
        vec![
            input.idx.to_string(),
            network.to_owned(),
            margin(0),
            margin(1),
            grown(|grown| grown.neuron.to_string()),
            grown(|grown| width(grown.intervals[0])),
            grown(|grown| width(grown.intervals[1])),
            grown(|grown| format!("{:.3}", grown.loss)),
        ]
    });
    let heads = [
        "input",
        "no proof of",
        "margin, first",
        "second",
        "neuron",
        "width proved",
        "not proved",
        "can cost",
    ];
    let caption = format!(
        "Inputs that one network alone proves, and the neuron whose wider interval can cost the other most of its \
         margin; none where no growth explains it ({} of {all} shown).",
        all.min(LISTED)
    );
    let mut out = vec![String::new()];
    out.extend(text::wrapped(&caption, options.width.into()));
    out.extend(lines(&heads, rows, &[1], options));
    out
}

/// The width of an interval.
fn width([lower, upper]: [f64; 2]) -> String {
    format!("{:.3}", upper - lower)
}
