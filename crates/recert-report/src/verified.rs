//! Verdicts by deterministic bounds: how a report holds them, and the tables of them.

use std::collections::BTreeMap;

use maud::{Markup, html};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::text;

/// What such statements are, for every reader.
pub(crate) const CAPTION: &str = "Verified by deterministic bounds. Verified: proved, with no \
     failure probability. Falsified: the engine answers an image within the specification \
     otherwise, or the input itself. Accuracy: the share of inputs verified for their label, rounded down; \
     clean: answered as their label.";

/// One network verified by one specification and method.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Verified {
    /// The network's name, such as its file name.
    pub network: String,
    /// SHA-256 of the network file in hexadecimal.
    pub network_sha256: String,
    /// What answered the inputs and the counterexamples.
    pub engine: String,
    /// Normalisation outside the graph.
    pub preprocessing: String,
    /// Which inputs were verified.
    pub data: String,
    /// What was to hold, in a few words: `linf 2/255`.
    pub specification: String,
    /// How the verdicts were looked for.
    pub method: String,
    /// What `verified` states, in words.
    pub statement: String,
    /// The verdicts.
    pub rows: Vec<Verdict>,
}

/// The verdict on one input, or on a file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The input's position; `None` for a file.
    pub idx: Option<u32>,
    /// The true class, where it is known.
    pub label: Option<u32>,
    /// The class that the engine gives the input itself.
    pub answer: Option<u32>,
    /// `verified`, `falsified` or `unknown`.
    pub verdict: String,
    /// A lower bound on the smallest margin, where one was computed.
    pub margin: Option<f64>,
    /// What decided, or was tried last.
    pub decided_by: String,
    /// Wall-clock seconds.
    pub seconds: f64,
}

impl Verified {
    /// The number of rows with this verdict.
    fn count(&self, verdict: &str) -> usize {
        self.rows
            .iter()
            .filter(|row| row.verdict == verdict)
            .count()
    }

    /// The columns after the network, the specification and the method.
    fn figures(&self) -> Vec<String> {
        let rows = self.rows.len();
        let labelled = rows > 0 && self.rows.iter().all(|row| row.label.is_some());
        let clean = self
            .rows
            .iter()
            .filter(|row| row.answer == row.label)
            .count();
        let verified = self.count("verified");
        let seconds: f64 = self.rows.iter().map(|row| row.seconds).sum();
        let if_labelled = |figure: String| {
            if labelled {
                figure
            } else {
                text::NONE.to_owned()
            }
        };
        vec![
            text::grouped(rows as u64),
            if_labelled(text::grouped(clean as u64)),
            text::grouped(verified as u64),
            text::grouped(self.count("falsified") as u64),
            text::grouped(self.count("unknown") as u64),
            if_labelled(share(verified, rows)),
            text::duration(seconds / rows.max(1) as f64),
        ]
    }

    /// How many verdicts what decided, the verified ones: `ibp 3, crown 20`.
    fn verified_by(&self) -> String {
        let mut by: BTreeMap<&str, usize> = BTreeMap::new();
        for row in self.rows.iter().filter(|row| row.verdict == "verified") {
            *by.entry(&row.decided_by).or_default() += 1;
        }
        let parts = by.iter().map(|(method, count)| format!("{method} {count}"));
        parts.collect::<Vec<_>>().join(", ")
    }

    pub(crate) fn printable(&self, text: impl Fn(&String) -> String) -> Self {
        let row = |row: &Verdict| Verdict {
            verdict: text(&row.verdict),
            decided_by: text(&row.decided_by),
            ..row.clone()
        };
        Self {
            network: text(&self.network),
            network_sha256: text(&self.network_sha256),
            engine: text(&self.engine),
            preprocessing: text(&self.preprocessing),
            data: text(&self.data),
            specification: text(&self.specification),
            method: text(&self.method),
            statement: text(&self.statement),
            rows: self.rows.iter().map(row).collect(),
        }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let bad = |row: &&Verdict| {
            let known = ["verified", "falsified", "unknown"].contains(&row.verdict.as_str());
            let margin = row.margin.is_none_or(|margin| !margin.is_nan());
            !(known && margin && row.seconds.is_finite() && row.seconds >= 0.0)
        };
        match self.rows.iter().find(bad) {
            None => Ok(()),
            Some(row) => Err(Error::value(format!(
                "verification of {} by {}: input {:?} has verdict {:?}, margin {:?} and time {}, of \
                 which one is none",
                self.network.escape_debug(),
                self.specification.escape_debug(),
                row.idx,
                row.verdict,
                row.margin,
                row.seconds,
            ))),
        }
    }
}

/// A share with three decimals, rounded down exactly.
fn share(part: usize, all: usize) -> String {
    let thousandths = 1000 * part / all.max(1);
    format!("{}.{:03}", thousandths / 1000, thousandths % 1000)
}

/// The heads of the table's columns.
pub(crate) const HEADS: [&str; 10] = [
    "network",
    "specification",
    "method",
    "inputs",
    "clean",
    "verified",
    "falsified",
    "unknown",
    "accuracy",
    "time an input",
];

/// The rows of the table.
pub(crate) fn rows(all: &[Verified]) -> impl Iterator<Item = Vec<String>> + '_ {
    all.iter().map(|one| {
        let mut row = vec![
            one.network.clone(),
            one.specification.clone(),
            one.method.clone(),
        ];
        row.extend(one.figures());
        row
    })
}

/// What the verdicts state, each statement once; then what verified how many.
pub(crate) fn statements(all: &[Verified]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for one in all {
        let words = format!("Verified, {}: {}.", one.specification, one.statement);
        if !found.contains(&words) {
            found.push(words);
        }
    }
    let by = all.iter().filter(|one| one.count("verified") > 0);
    found.extend(by.map(|one| {
        let Verified {
            network,
            specification,
            ..
        } = one;
        format!(
            "{network}, {specification}: verified by {}.",
            one.verified_by()
        )
    }));
    found
}

/// The section of a page.
pub(crate) fn section(all: &[Verified]) -> Markup {
    html! {
        @if !all.is_empty() {
            section {
                h2 { "Verified by deterministic bounds" }
                p.muted { (CAPTION.split_once(". ").map_or(CAPTION, |(_, rest)| rest)) }
                div.scroll {
                    table {
                        thead {
                            tr {
                                @for (position, head) in HEADS.iter().enumerate() {
                                    @if position < 3 { th scope="col" { (head) } }
                                    @else { th.n scope="col" { (head) } }
                                }
                            }
                        }
                        tbody {
                            @for row in rows(all) {
                                tr {
                                    @for (position, cell) in row.iter().enumerate() {
                                        @if position < 3 { td.word { (cell) } }
                                        @else { td.n { (cell) } }
                                    }
                                }
                            }
                        }
                    }
                }
                @for words in statements(all) { p { (words) } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Report, html, json, table};

    fn report() -> Report {
        let row = |idx, label, answer, verdict: &str, margin| Verdict {
            idx: Some(idx),
            label: Some(label),
            answer: Some(answer),
            verdict: verdict.to_owned(),
            margin,
            decided_by: "crown".to_owned(),
            seconds: 0.5,
        };
        let one = Verified {
            network: "net<1>.onnx".to_owned(),
            specification: "linf 2/255".to_owned(),
            method: "cascade".to_owned(),
            statement: "every image is right".to_owned(),
            rows: vec![
                row(0, 3, 3, "verified", Some(0.5)),
                row(1, 3, 3, "unknown", Some(-0.5)),
                row(2, 3, 5, "falsified", None),
            ],
            ..Verified::default()
        };
        Report {
            title: "Both".to_owned(),
            verifications: vec![one],
            ..Report::default()
        }
    }

    #[test]
    fn tables_pages_and_json_show_the_verdicts() {
        let report = report();
        let wide = table::Options {
            width: 200,
            ..table::Options::default()
        };
        let text = table::render(&report, &wide).unwrap();
        assert!(!text.contains("no run"), "{text}");
        let line = text
            .lines()
            .find(|line| line.contains("net<1>.onnx"))
            .unwrap();
        let cells: Vec<&str> = line.split_whitespace().collect();
        let expected = [
            "net<1>.onnx",
            "linf",
            "2/255",
            "cascade",
            "3",
            "2",
            "1",
            "1",
            "1",
            "0.333",
        ];
        assert_eq!(cells[..10], expected, "{text}");
        assert!(text.contains("every image is right"), "{text}");
        assert!(text.contains("verified by crown 1"), "{text}");
        let page = html::render(&report, &html::Options::default()).unwrap();
        assert!(
            page.contains("net&lt;1&gt;.onnx") && page.contains("0.333"),
            "{page}"
        );
        assert_eq!(
            json::from_str(&json::to_string(&report, None).unwrap()).unwrap(),
            report
        );
    }

    #[test]
    fn numbers_that_cannot_be_are_refused() {
        for change in [
            |row: &mut Verdict| row.verdict = "perhaps".to_owned(),
            |row: &mut Verdict| row.margin = Some(f64::NAN),
            |row: &mut Verdict| row.seconds = -1.0,
        ] {
            let mut report = report();
            change(&mut report.verifications[0].rows[1]);
            assert!(report.check().is_err());
        }
    }
}
