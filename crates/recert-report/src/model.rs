//! The plain structs that a caller fills, and the check that they make sense.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Everything that one report shows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What the report is about, in a few words.
    pub title: String,
    /// When and by what it was made, in words; this crate reads no clock.
    pub generated: String,
    /// The runs, in the order in which they are shown and numbered (from 1).
    pub runs: Vec<Run>,
    /// Remarks to print with the report, a sentence or two each.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// One network on one set of inputs at one noise level by one method.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The network's name, such as its file name.
    pub network: String,
    /// SHA-256 of the network file in hexadecimal.
    pub network_sha256: String,
    /// What ran the network, such as `rten 0.27.0, float32`.
    pub engine: String,
    /// How the arithmetic differs from the network file's own, in words such as
    /// `weights rounded to bfloat16, arithmetic float32`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arithmetic: Option<String>,
    /// Which inputs were certified, subset included, such as
    /// `CIFAR-10 test, every 20th`.
    pub data: String,
    /// Standard deviation of the noise, in the units of an input in [0, 1]. Positive.
    pub sigma: f64,
    /// How the certificates were made.
    pub method: Method,
    /// Noisy samples an input: those that the bound rests on. For a
    /// recertification these are the samples that the new network ran on.
    pub n: u64,
    /// Selection samples an input, which choose the class and serve nothing else.
    pub n0: u64,
    /// Total failure probability of each certificate, in (0, 1).
    pub alpha: f64,
    /// The confidence statement in words: what holds, with what probability,
    /// over what choice.
    pub statement: String,
    /// What else is needed to repeat the run, such as the seed, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
    /// One row an input.
    pub rows: Vec<Row>,
}

/// How the certificates of a run were made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Method {
    /// From scratch [Cohen, Rosenfeld, Kolter 2019].
    Certify {
        /// Which probabilities are bounded: 1 is that of the class alone, 2
        /// that of the next best too. `None` where it is not said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sides: Option<u8>,
    },
    /// From what another network answered on the same noisy samples
    /// [Ugare et al. 2024 and its refinements].
    Recertify {
        /// The method's name, such as `irs` or `paired`.
        name: String,
        /// Position in [`Report::runs`] of the run that was recertified from,
        /// where the report holds it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        base: Option<usize>,
        /// The threshold of the first network's bound from which on the new
        /// network is certified directly, where the method has one. In [0, 1].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gamma: Option<f64>,
    },
}

impl Default for Method {
    fn default() -> Self {
        Self::Certify { sides: None }
    }
}

impl Method {
    /// Whether certificates are from scratch, whatever they bound.
    pub fn is_from_scratch(&self) -> bool {
        matches!(self, Self::Certify { .. })
    }
}

/// What came out for one input.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Position of the input in the whole data set.
    pub idx: u32,
    /// The true class, where it is known.
    #[serde(default)]
    pub label: Option<u32>,
    /// The certified class; `None` is an abstention.
    #[serde(default)]
    pub class: Option<u32>,
    /// Certified L2 radius in the units of an input in [0, 1], rounded down;
    /// 0 for an abstention.
    pub radius: f64,
    /// Lower bound of the probability of the class under noise, in [0, 1].
    /// An abstention may have one too; it is then at most 1/2. A certified
    /// class may have one below 1/2 where the next best is bounded too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p_lower: Option<f64>,
    /// Network evaluations that this input cost, selection samples included.
    pub evaluations: u64,
    /// Wall-clock seconds that this input cost.
    pub seconds: f64,
    /// Upper bound of the probability that the two networks disagree
    /// (zeta in the literature), in [0, 1].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disagreement: Option<f64>,
    /// Observed share of samples on which they disagreed, in [0, 1].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disagreement_rate: Option<f64>,
    /// The name of the bound that certified, such as `zeta` or `direct`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<String>,
    /// Samples whose logits held a NaN or an infinity.
    #[serde(default)]
    pub invalid: u64,
}

impl Row {
    /// Whether the certified class is the known true class.
    pub fn is_correct(&self) -> bool {
        self.class.is_some() && self.class == self.label
    }
}

impl Run {
    /// Whether the run has rows and every one of them a label.
    pub fn is_labelled(&self) -> bool {
        !self.rows.is_empty() && self.rows.iter().all(|row| row.label.is_some())
    }

    /// The method in a few words: `certify`, `certify (two-sided)`, `irs (gamma
    /// 0.99)`.
    pub fn method_name(&self) -> String {
        match &self.method {
            Method::Certify { sides } => match sides {
                Some(1) => "certify (one-sided)".to_owned(),
                Some(2) => "certify (two-sided)".to_owned(),
                _ => "certify".to_owned(),
            },
            Method::Recertify {
                name,
                gamma: Some(gamma),
                ..
            } => format!("{name} (gamma {gamma})"),
            Method::Recertify { name, .. } => name.clone(),
        }
    }

    /// The position of the run that this one was recertified from, if it is known.
    pub fn base(&self) -> Option<usize> {
        match self.method {
            Method::Certify { .. } => None,
            Method::Recertify { base, .. } => base,
        }
    }

    /// The largest certified radius; 0 where there is none.
    pub fn largest_radius(&self) -> f64 {
        self.rows.iter().map(|row| row.radius).fold(0.0, f64::max)
    }
}

impl Report {
    /// The largest certified radius of all runs; 0 where there is none.
    pub fn largest_radius(&self) -> f64 {
        self.runs
            .iter()
            .map(Run::largest_radius)
            .fold(0.0, f64::max)
    }

    /// Checks that every number is in its domain and every reference points at
    /// something.
    ///
    /// All writers of this crate call it first, so that what they print is
    /// never built on a NaN or on an input that is counted twice. The error
    /// ([`ErrorKind::Value`](crate::ErrorKind::Value)) names the run and the
    /// input.
    pub fn check(&self) -> Result<(), Error> {
        for (number, run) in (1..).zip(&self.runs) {
            let at = |what: String| {
                Error::value(format!(
                    "run {number} ({}): {what}",
                    run.network.escape_debug()
                ))
            };
            check_run(run, number - 1, self.runs.len()).map_err(at)?;
            let mut seen = HashSet::with_capacity(run.rows.len());
            let mut evaluations = 0_u64;
            for row in &run.rows {
                let at = |what: String| at(format!("input {}: {what}", row.idx));
                check_row(row).map_err(at)?;
                if !seen.insert(row.idx) {
                    return Err(at("stands in more than one row; keep one".to_owned()));
                }
                evaluations = evaluations
                    .checked_add(row.evaluations)
                    .ok_or_else(|| at("the evaluations add up to more than 2^64".to_owned()))?;
            }
        }
        Ok(())
    }
}

/// Radii and times above this are refused: they are no results, and sums of
/// smaller ones cannot overflow.
const LARGEST: f64 = 1e30;

fn check_run(run: &Run, index: usize, runs: usize) -> Result<(), String> {
    if !(run.sigma.is_finite() && run.sigma > 0.0) {
        return Err(format!(
            "sigma must be a positive number, not {}",
            run.sigma
        ));
    }
    if !(run.alpha > 0.0 && run.alpha < 1.0) {
        return Err(format!(
            "alpha must lie between 0 and 1, not be {}",
            run.alpha
        ));
    }
    if let Method::Recertify { base, gamma, .. } = &run.method {
        match base {
            Some(base) if *base >= runs => {
                return Err(format!(
                    "the run that it is recertified from is number {}, but there are {runs}",
                    base.saturating_add(1)
                ));
            }
            Some(base) if *base == index => {
                return Err("it cannot be recertified from itself".to_owned());
            }
            _ => {}
        }
        probability("gamma", *gamma)?;
    }
    Ok(())
}

fn check_row(row: &Row) -> Result<(), String> {
    if !(0.0..=LARGEST).contains(&row.radius) {
        return Err(format!(
            "the radius must be a number from 0 on, not {}",
            row.radius
        ));
    }
    if row.class.is_none() && row.radius != 0.0 {
        return Err(format!("an abstention has radius 0, not {}", row.radius));
    }
    if !(0.0..=LARGEST).contains(&row.seconds) {
        return Err(format!(
            "the time must be a number from 0 on, not {}",
            row.seconds
        ));
    }
    probability("the lower bound of the class probability", row.p_lower)?;
    probability("the disagreement bound", row.disagreement)?;
    probability("the disagreement rate", row.disagreement_rate)
}

fn probability(name: &str, value: Option<f64>) -> Result<(), String> {
    match value {
        Some(p) if !(0.0..=1.0).contains(&p) => {
            Err(format!("{name} must lie in [0, 1], not be {p}"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(change: impl FnOnce(&mut Run)) -> Report {
        let mut run = Run {
            network: "net".to_owned(),
            sigma: 0.5,
            alpha: 0.001,
            rows: vec![
                Row::default(),
                Row {
                    idx: 1,
                    ..Row::default()
                },
            ],
            ..Run::default()
        };
        change(&mut run);
        Report {
            runs: vec![run],
            ..Report::default()
        }
    }

    fn recertify(base: Option<usize>, gamma: Option<f64>) -> Method {
        Method::Recertify {
            name: "irs".to_owned(),
            base,
            gamma,
        }
    }

    #[test]
    fn every_domain_is_checked_and_the_place_named() {
        type Change = fn(&mut Run);
        assert!(report(|_| {}).check().is_ok());
        let cases: [(Change, &str); 14] = [
            (|r| r.sigma = f64::NAN, "sigma"),
            (|r| r.sigma = 0.0, "sigma"),
            (|r| r.alpha = 1.0, "alpha"),
            (|r| r.alpha = f64::NAN, "alpha"),
            (
                |r| r.method = recertify(Some(1), None),
                "number 2, but there are 1",
            ),
            (
                |r| r.method = recertify(Some(usize::MAX), None),
                "there are 1",
            ),
            (|r| r.method = recertify(Some(0), None), "itself"),
            (|r| r.method = recertify(None, Some(1.5)), "gamma"),
            (|r| r.rows[1].radius = f64::INFINITY, "input 1: the radius"),
            (|r| r.rows[1].radius = 0.5, "input 1: an abstention"),
            (|r| r.rows[1].seconds = -1.0, "input 1: the time"),
            (
                |r| r.rows[1].disagreement = Some(f64::NAN),
                "input 1: the disagreement bound",
            ),
            (
                |r| r.rows[1].idx = 0,
                "input 0: stands in more than one row",
            ),
            (
                |r| r.rows.iter_mut().for_each(|row| row.evaluations = u64::MAX),
                "add up to more",
            ),
        ];
        for (change, expected) in cases {
            let message = report(change).check().unwrap_err().to_string();
            assert!(message.starts_with("run 1 (net): "), "{message}");
            assert!(message.contains(expected), "{message} lacks {expected}");
        }
    }

    #[test]
    fn methods_from_scratch_are_told_apart() {
        for (json, name) in [
            (r#"{"kind":"certify"}"#, "certify"),
            (r#"{"kind":"certify","sides":1}"#, "certify (one-sided)"),
            (r#"{"kind":"certify","sides":2}"#, "certify (two-sided)"),
        ] {
            let method: Method = serde_json::from_str(json).unwrap();
            assert!(method.is_from_scratch());
            assert_eq!(serde_json::to_string(&method).unwrap(), json);
            let run = Run {
                method,
                ..Run::default()
            };
            assert_eq!(run.method_name(), name);
        }
    }

    #[test]
    fn an_abstention_is_never_correct() {
        assert!(!Row::default().is_correct());
        let row = |label, class| Row {
            label,
            class,
            ..Row::default()
        };
        assert!(row(Some(3), Some(3)).is_correct());
        assert!(!row(Some(3), Some(4)).is_correct());
        assert!(!row(None, Some(4)).is_correct());
    }
}
