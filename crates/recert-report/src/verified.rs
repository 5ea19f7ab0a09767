//! Verdicts by deterministic bounds: how a report holds them, and their figures.
//!
//! | file | concern |
//! |---|---|
//! | `verified/show` | the table and the texts that every reader gets |
//! | `verified/page` | the section of a page |

pub(crate) mod page;
pub(crate) mod show;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::metrics::Share;

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
    /// Whether the statement holds only if recorded bounds of another network do.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub conditional: bool,
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

/// What became of an input: each has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum VerifiedOutcome {
    /// Proved.
    Verified,
    /// The input is answered as its label, and another image of the specification otherwise. Of
    /// inputs without a label and of files: the specification does not hold.
    Falsified,
    /// Neither was found.
    Unknown,
    /// The engine answers the input itself otherwise than its label.
    Misclassified,
}

impl Verdict {
    /// What became of the input.
    ///
    /// ```
    /// use recert_report::{Verdict, VerifiedOutcome};
    ///
    /// let verdict = "falsified".to_owned();
    /// let row = Verdict { label: Some(3), answer: Some(5), verdict, ..Verdict::default() };
    /// assert_eq!(row.outcome(), VerifiedOutcome::Misclassified);
    /// assert_eq!(Verdict { label: None, ..row }.outcome(), VerifiedOutcome::Falsified);
    /// ```
    pub fn outcome(&self) -> VerifiedOutcome {
        match self.verdict.as_str() {
            _ if self.label.is_some() && self.answer != self.label => {
                VerifiedOutcome::Misclassified
            }
            "verified" => VerifiedOutcome::Verified,
            "falsified" => VerifiedOutcome::Falsified,
            _ => VerifiedOutcome::Unknown,
        }
    }
}

/// The figures of one network verified by one specification and method.
///
/// ```
/// use recert_report::{Verdict, Verified, VerifiedMetrics};
///
/// let row = |answer, verdict: &str| Verdict {
///     label: Some(3),
///     answer: Some(answer),
///     verdict: verdict.to_owned(),
///     ..Verdict::default()
/// };
/// let rows = vec![row(3, "verified"), row(3, "unknown"), row(5, "falsified")];
/// let metrics = VerifiedMetrics::new(&Verified { rows, ..Verified::default() });
/// assert_eq!((metrics.verified, metrics.falsified, metrics.misclassified), (1, 0, 1));
/// assert_eq!(metrics.certified_accuracy.unwrap().percent_down(), "33.3");
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct VerifiedMetrics {
    /// Inputs, or files.
    pub inputs: u64,
    /// Inputs that are proved: for their label where they have one, else for the engine's answer.
    pub verified: u64,
    /// Inputs that are answered as their label, with a counterexample.
    pub falsified: u64,
    /// Inputs that are answered as their label, with neither a proof nor a counterexample.
    pub unknown: u64,
    /// Inputs that are answered otherwise than their label.
    pub misclassified: u64,
    /// The share of all inputs that are proved for their label; `None` where an input has no
    /// label.
    pub certified_accuracy: Option<Share>,
    /// The share of all inputs that are answered as their label; `None` likewise.
    pub clean_accuracy: Option<Share>,
    /// Seconds of worker time of all inputs together, summed over threads.
    pub seconds: f64,
    /// The proved inputs by what proved them.
    pub methods: BTreeMap<String, u64>,
}

impl VerifiedMetrics {
    /// Computes the figures.
    pub fn new(verified: &Verified) -> Self {
        let rows = &verified.rows;
        let count = |outcome| rows.iter().filter(|row| row.outcome() == outcome).count() as u64;
        let labelled = !rows.is_empty() && rows.iter().all(|row| row.label.is_some());
        let inputs = rows.len() as u64;
        let share = |count| {
            labelled.then_some(Share {
                count,
                total: inputs,
            })
        };
        let proved = count(VerifiedOutcome::Verified);
        let misclassified = count(VerifiedOutcome::Misclassified);
        let mut methods = BTreeMap::new();
        for row in (rows.iter()).filter(|row| row.outcome() == VerifiedOutcome::Verified) {
            *methods.entry(row.decided_by.clone()).or_insert(0) += 1;
        }
        Self {
            inputs,
            verified: proved,
            falsified: count(VerifiedOutcome::Falsified),
            unknown: count(VerifiedOutcome::Unknown),
            misclassified,
            certified_accuracy: share(proved),
            clean_accuracy: share(inputs - misclassified),
            seconds: rows.iter().map(|row| row.seconds).sum(),
            methods,
        }
    }
}

impl Verified {
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
            conditional: self.conditional,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Report, Run, csv, html, json, table};

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
            "by",
            "cascade",
            "33.3",
            "1",
            "of",
            "3",
            "0",
            "1",
            "1",
        ];
        assert_eq!(cells[..expected.len()], expected, "{text}");
        assert!(text.contains("every image is right"), "{text}");
        assert!(text.contains("proved by crown 1"), "{text}");
        let page = html::render(&report, &html::Options::default()).unwrap();
        assert!(
            page.contains("net&lt;1&gt;.onnx") && page.contains("33.3"),
            "{page}"
        );
        assert_eq!(
            json::from_str(&json::to_string(&report, None).unwrap()).unwrap(),
            report
        );
    }

    #[test]
    fn a_conditional_verification_is_told_from_one_that_is_not() {
        let mut report = report();
        let mut other = report.verifications[0].clone();
        other.conditional = true;
        other.statement = "every image is right, if other bounds hold".to_owned();
        report.verifications.push(other);
        let options = table::Options {
            width: 200,
            ..table::Options::default()
        };
        let text = table::render(&report, &options).unwrap();
        let page = html::render(&report, &html::Options::default()).unwrap();
        for shown in [
            "linf 2/255 by cascade, conditional",
            "linf 2/255, conditional: every image is right, if other bounds hold.",
            "linf 2/255, conditional: proved by crown 1.",
            "linf 2/255: proved by crown 1.",
        ] {
            assert!(text.contains(shown), "{shown}: {text}");
            assert!(page.contains(shown), "{shown}: {page}");
        }
        let written = json::to_string(&report, None).unwrap();
        assert_eq!(json::from_str(&written).unwrap(), report);
    }

    #[test]
    fn the_figures_are_those_counted_by_hand() {
        let mut one = report().verifications.remove(0);
        let metrics = VerifiedMetrics::new(&one);
        let third = |count| Some(Share { count, total: 3 });
        assert_eq!(metrics.certified_accuracy, third(1));
        assert_eq!(metrics.clean_accuracy, third(2));
        assert_eq!(metrics.seconds, 1.5);
        assert_eq!(metrics.methods, BTreeMap::from([("crown".to_owned(), 1)]));
        // Without its label an input cannot be misclassified, and there is no accuracy.
        one.rows[2].label = None;
        let metrics = VerifiedMetrics::new(&one);
        assert_eq!((metrics.falsified, metrics.misclassified), (1, 0));
        assert_eq!(metrics.certified_accuracy, None);
    }

    #[test]
    fn both_kinds_of_certificates_stand_side_by_side() {
        let mut report = report();
        report.runs.push(Run {
            network: "net<1>.onnx".to_owned(),
            sigma: 0.5,
            alpha: 0.001,
            statement: "the smoothed class is right".to_owned(),
            ..Run::default()
        });
        let text = table::render(&report, &table::Options::default()).unwrap();
        let page = html::render(&report, &html::Options::default()).unwrap();
        for shown in [
            "the smoothed class is right",
            "every image is right",
            "about the smoothed",
            "no failure probability",
        ] {
            let unwrapped = text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(unwrapped.contains(shown), "{shown}: {text}");
            assert!(page.contains(shown), "{shown}: {page}");
        }
        let csv = csv::render(&report, Some(&[0.5])).unwrap();
        let lines: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
        assert_eq!(lines.len(), 3);
        assert!(
            lines.iter().all(|line| line.len() == lines[0].len()),
            "{csv}"
        );
        let cell = |line: usize, head: &str| {
            let column = lines[0].iter().position(|&found| found == head);
            lines[line][column.expect(head)]
        };
        assert_eq!((cell(1, "sigma"), cell(1, "specification")), ("0.5", ""));
        assert_eq!(
            (cell(2, "sigma"), cell(2, "specification")),
            ("", "linf 2/255")
        );
        assert_eq!((cell(2, "verified"), cell(2, "misclassified")), ("1", "1"));
        assert!(cell(2, "certified_accuracy").starts_with("0.333"), "{csv}");
        assert_eq!(cell(2, "certified_at_0.5"), "");
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
