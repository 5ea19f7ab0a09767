//! A report as plain structs that a caller fills.

mod check;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::speed_up::{ByBaseline, Point};
use crate::text;
use crate::verified::Verified;

/// Everything that one report shows.
///
/// ```
/// use recert_report::{Report, Row, Run, table};
///
/// let row = Row {
///     idx: 0,
///     label: Some(3),
///     class: Some(3),
///     radius: 0.75,
///     evaluations: 10_100,
///     ..Row::default()
/// };
/// let run = Run {
///     network: "net.onnx".to_owned(),
///     sigma: 0.5,
///     n: 10_000,
///     n0: 100,
///     alpha: 0.001,
///     rows: vec![row],
///     ..Run::default()
/// };
/// let report = Report { title: "One input".to_owned(), runs: vec![run], ..Report::default() };
/// report.check()?;
/// println!("{}", table::render(&report, &table::Options::default())?);
/// # Ok::<(), recert_report::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What the report is about, in a few words.
    pub title: String,
    /// When and by what it was made, in words; this crate reads no clock.
    pub generated: String,
    /// The runs, in the order in which they are shown and numbered (from 1).
    pub runs: Vec<Run>,
    /// Verdicts by deterministic bounds, which have no noise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verifications: Vec<Verified>,
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
    /// A hash over the positions and contents of the inputs, where it is known. Two runs are
    /// on the same inputs if these are the same; without it, if `data` and the rows' positions
    /// and labels are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs_sha256: Option<String>,
    /// Standard deviation of the noise, in the units of an input in [0, 1]. Positive.
    pub sigma: f64,
    /// The law of the noise, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub law: Option<Law>,
    /// How the certificates were made.
    pub method: Method,
    /// What the run was to spend or to reach, where its method has such a goal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goal: Option<Goal>,
    /// The number of candidates among which the network may be chosen by these
    /// results, where the certificates are corrected for that; 1 for a network fixed
    /// in advance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub among: Option<u32>,
    /// Samples per input that the bound is computed from. For a recertification
    /// these are the samples that the modified network ran on.
    pub n: u64,
    /// Selection samples per input: they choose the class and are used for nothing else.
    pub n0: u64,
    /// Failure probability of each certificate, in (0, 1).
    pub alpha: f64,
    /// The confidence statement in words: what holds with which probability, and
    /// what is random.
    pub statement: String,
    /// What else is needed to repeat the run, such as the seed, by name. The text of a JSON
    /// object, array or number is such in a JSON document, and all others are text.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        with = "parameters"
    )]
    pub parameters: BTreeMap<String, String>,
    /// For a recertification, what certifying the network from scratch is expected to cost, in
    /// evaluations over all inputs, and to give, as the average of the radii that
    /// [`Metrics`](crate::Metrics) average: points of a curve for each baseline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baselines: Option<ByBaseline<Vec<Point>>>,
    /// How many inputs the run is over, where that is known: more than there are rows while it
    /// is [unfinished](Run::unfinished).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned_inputs: Option<u64>,
    /// Seconds that passed while the passes that the run was part of ran, as far as that is
    /// known. Several runs may share a pass, and all of its time is each one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wall_seconds: Option<f64>,
    /// Seconds of worker time of the faster network, where the network was certified through
    /// one: [speed-ups](crate::speed_up) of such a run are in worker time, with these counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub through_seconds: Option<f64>,
    /// One row per input.
    pub rows: Vec<Row>,
}

/// Parameters in JSON: objects, arrays and numbers as they are. A number is one only where the
/// same text comes back from it.
mod parameters {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serializer};
    use serde_json::Value;

    pub(super) fn serialize<S: Serializer>(
        parameters: &BTreeMap<String, String>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(parameters.iter().map(|(name, text)| {
            let value = serde_json::from_str(text).ok();
            let value = value.filter(|value: &Value| match value {
                Value::Object(_) | Value::Array(_) => true,
                Value::Number(number) => number.to_string() == *text,
                _ => false,
            });
            (name, value.unwrap_or_else(|| text.as_str().into()))
        }))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<String, String>, D::Error> {
        let parameters = BTreeMap::<String, Value>::deserialize(deserializer)?;
        let text = |value| match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        let parameters = parameters.into_iter();
        Ok(parameters.map(|(name, v)| (name, text(v))).collect())
    }
}

/// The law of the noise. Displays as a few words.
///
/// ```
/// assert!(recert_report::Law::Gaussian.to_string().starts_with("Gaussian in 32-bit floats"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Law {
    /// Normal, in 32-bit floats. Certificates hold for all images within the radius, provided
    /// that the network does not exploit the rounding of image and noise (`SOUNDNESS.md`,
    /// section 10).
    Gaussian,
    /// Normal, rounded to grey levels. Certificates hold for the images of 8-bit pixels
    /// within the radius, and for no others.
    Integer,
}

impl fmt::Display for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gaussian => {
                "Gaussian in 32-bit floats: certificates presume a network that does not exploit \
                 their rounding"
            }
            Self::Integer => {
                "Gaussian rounded to grey levels: certificates hold for images of 8-bit pixels only"
            }
        })
    }
}

/// How the certificates of a run were made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Method {
    /// From scratch [Cohen, Rosenfeld, Kolter 2019].
    Certify {
        /// 1 for one-sided certificates, which bound the probability of the class
        /// alone; 2 for two-sided ones, which bound the runner-up's too; `None`
        /// where it is not known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sides: Option<u8>,
        /// The radius at which each input stopped, where it did. Such a run says
        /// nothing of what larger radii cost, and no speed-up is compared with it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<f64>,
    },
    /// From what another network, the original, answered on the same samples
    /// [Ugare et al. 2024 and refinements of it].
    Recertify {
        /// The method's name, such as `irs` or `paired` (`docs/glossary.md` has all).
        name: String,
        /// Position in [`Report::runs`] of the original network's run, where the
        /// report has it.
        #[serde(default, alias = "base", skip_serializing_if = "Option::is_none")]
        original: Option<usize>,
        /// The threshold of the original network's bound from which on the modified
        /// network is certified directly, where the method has one. In [0, 1].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gamma: Option<f64>,
    },
}

impl Default for Method {
    fn default() -> Self {
        Self::Certify {
            sides: None,
            until: None,
        }
    }
}

impl Method {
    /// Whether the certificates are from scratch, one-sided or two-sided.
    ///
    /// ```
    /// assert!(recert_report::Method::default().is_from_scratch());
    /// ```
    pub fn is_from_scratch(&self) -> bool {
        matches!(self, Self::Certify { .. })
    }
}

/// What a recertification was to spend or to reach. Displays as a few words.
///
/// ```
/// use recert_report::Goal;
///
/// assert_eq!(Goal::Budget(12_500).to_string(), "budget 12,500 evaluations");
/// assert_eq!(Goal::UntilRadius(0.25).to_string(), "until radius 0.25");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Goal {
    /// Evaluations over all inputs, spent where they gain most.
    Budget(u64),
    /// Evaluations of each input.
    PerInput(u64),
    /// An average radius, in the units of an input in [0, 1], right or wrong classes
    /// alike.
    AverageRadius(f64),
    /// A radius at which each input stops, in the units of an input in [0, 1].
    UntilRadius(f64),
}

impl Goal {
    /// What runs with the goal have in common that differ in what they spend alone: `by budget`.
    pub(crate) fn kind(self) -> String {
        match self {
            Self::Budget(_) => "by budget".to_owned(),
            Self::PerInput(_) => "by evaluations per input".to_owned(),
            Self::AverageRadius(_) => "by average radius".to_owned(),
            Self::UntilRadius(_) => self.to_string(),
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A radius may come from a product with sigma: digits beyond these are rounding.
        let short = |radius: f64| text::short((radius * 1e6).round() / 1e6);
        match *self {
            Self::Budget(evaluations) => {
                write!(f, "budget {}", text::counted(evaluations, "evaluation"))
            }
            Self::PerInput(evaluations) => {
                write!(f, "{} per input", text::counted(evaluations, "evaluation"))
            }
            Self::AverageRadius(radius) => write!(f, "average radius {}", short(radius)),
            Self::UntilRadius(radius) => write!(f, "until radius {}", short(radius)),
        }
    }
}

/// The outcome for one input.
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
    /// Lower confidence bound of the probability of the class under noise, in
    /// [0, 1]. An abstention may have one too; it is then at most 1/2. A certified
    /// class may have one below 1/2 where the certificate is two-sided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p_lower: Option<f64>,
    /// Network evaluations that this input cost, selection samples included.
    pub evaluations: u64,
    /// Seconds of worker time that this input cost, summed over threads.
    pub seconds: f64,
    /// Upper confidence bound of the probability that the two networks disagree
    /// on a sample, in [0, 1].
    #[serde(
        default,
        alias = "disagreement",
        skip_serializing_if = "Option::is_none"
    )]
    pub zeta: Option<f64>,
    /// Share of the pairs on which they did disagree, in [0, 1].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disagreement_rate: Option<f64>,
    /// The name of the bound that certified, such as `zeta` or `direct`
    /// (`docs/glossary.md` has all).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<String>,
    /// Samples with an invalid answer: NaN or infinite logits.
    #[serde(default)]
    pub invalid: u64,
}

impl Row {
    /// Whether the certified class is the known true class.
    ///
    /// ```
    /// let row = recert_report::Row { label: Some(3), ..Default::default() };
    /// assert!(!row.is_correct(), "an abstention is never correct");
    /// ```
    pub fn is_correct(&self) -> bool {
        self.class.is_some() && self.class == self.label
    }
}

impl Run {
    /// Whether the run has rows, each with a label.
    ///
    /// ```
    /// use recert_report::{Row, Run};
    ///
    /// let row = |label| Row { label, ..Row::default() };
    /// let run = |rows| Run { rows, ..Run::default() };
    /// assert!(run(vec![row(Some(3))]).is_labelled());
    /// assert!(!run(vec![row(Some(3)), row(None)]).is_labelled());
    /// assert!(!run(vec![]).is_labelled());
    /// ```
    pub fn is_labelled(&self) -> bool {
        !self.rows.is_empty() && self.rows.iter().all(|row| row.label.is_some())
    }

    /// The method in a few words.
    ///
    /// ```
    /// use recert_report::{Method, Run};
    ///
    /// let run = |method| Run { method, ..Run::default() };
    /// let certify = run(Method::Certify { sides: Some(2), until: None });
    /// assert_eq!(certify.method_name(), "from scratch, two-sided");
    /// let until = run(Method::Certify { sides: None, until: Some(0.25) });
    /// assert_eq!(until.method_name(), "from scratch, until radius 0.25");
    ///
    /// let irs = Method::Recertify { name: "irs".to_owned(), original: None, gamma: Some(0.99) };
    /// assert_eq!(run(irs).method_name(), "recertified by irs (gamma 0.99)");
    /// ```
    pub fn method_name(&self) -> String {
        match &self.method {
            Method::Certify { sides, until } => {
                let sides = match sides {
                    Some(1) => ", one-sided",
                    Some(2) => ", two-sided",
                    _ => "",
                };
                let until = until.map(|radius| format!(", until radius {radius}"));
                format!("from scratch{sides}{}", until.unwrap_or_default())
            }
            Method::Recertify {
                name,
                gamma: Some(gamma),
                ..
            } => format!("recertified by {name} (gamma {gamma})"),
            Method::Recertify { name, .. } => format!("recertified by {name}"),
        }
    }

    /// The number of inputs that the run is over, where it has not concluded all of them. Its
    /// figures are then those of the inputs that came first, and nothing is compared with them.
    ///
    /// ```
    /// use recert_report::{Row, Run};
    ///
    /// let run = Run { planned_inputs: Some(10), rows: vec![Row::default()], ..Run::default() };
    /// assert_eq!(run.unfinished(), Some(10));
    /// assert_eq!(Run { planned_inputs: Some(1), ..run }.unfinished(), None);
    /// ```
    pub fn unfinished(&self) -> Option<u64> {
        (self.planned_inputs).filter(|&planned| planned > self.rows.len() as u64)
    }

    /// The position of the original network's run, if it is known.
    pub fn original(&self) -> Option<usize> {
        match self.method {
            Method::Certify { .. } => None,
            Method::Recertify { original, .. } => original,
        }
    }

    /// [`Report::printable`] for one run; `text` makes a text printable.
    fn printable(&self, text: impl Fn(&String) -> String) -> Self {
        let method = match &self.method {
            Method::Recertify {
                name,
                original,
                gamma,
            } => Method::Recertify {
                name: text(name),
                original: *original,
                gamma: *gamma,
            },
            certify @ Method::Certify { .. } => certify.clone(),
        };
        let parameters = self.parameters.iter();
        let row = |row: &Row| Row {
            bound: row.bound.as_ref().map(&text),
            ..row.clone()
        };
        Self {
            network: text(&self.network),
            network_sha256: text(&self.network_sha256),
            engine: text(&self.engine),
            arithmetic: self.arithmetic.as_ref().map(&text),
            data: text(&self.data),
            inputs_sha256: self.inputs_sha256.as_ref().map(&text),
            sigma: self.sigma,
            law: self.law,
            method,
            goal: self.goal,
            among: self.among,
            n: self.n,
            n0: self.n0,
            alpha: self.alpha,
            statement: text(&self.statement),
            parameters: parameters.map(|(k, v)| (text(k), text(v))).collect(),
            baselines: self.baselines.clone(),
            planned_inputs: self.planned_inputs,
            wall_seconds: self.wall_seconds,
            through_seconds: self.through_seconds,
            rows: self.rows.iter().map(row).collect(),
        }
    }

    /// The largest certified radius; 0 where there is none.
    pub fn largest_radius(&self) -> f64 {
        self.rows.iter().map(|row| row.radius).fold(0.0, f64::max)
    }
}

impl Report {
    /// The largest standard deviation of the noise of all runs; 0 where there is no run.
    pub fn largest_sigma(&self) -> f64 {
        self.runs.iter().map(|run| run.sigma).fold(0.0, f64::max)
    }

    /// The same report with every text made [printable](text::printable). All writers
    /// for people start from it, so that no text of a file reaches them otherwise.
    pub(crate) fn printable(&self) -> Self {
        let text = |text: &String| text::printable(text).into_owned();
        Self {
            title: text(&self.title),
            generated: text(&self.generated),
            runs: self.runs.iter().map(|run| run.printable(text)).collect(),
            verifications: self
                .verifications
                .iter()
                .map(|one| one.printable(text))
                .collect(),
            notes: self.notes.iter().map(text).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_from_scratch_differ_in_their_sides_and_where_they_stop() {
        for (json, name) in [
            (r#"{"kind":"certify"}"#, "from scratch"),
            (r#"{"kind":"certify","sides":1}"#, "from scratch, one-sided"),
            (r#"{"kind":"certify","sides":2}"#, "from scratch, two-sided"),
            (
                r#"{"kind":"certify","until":0.25}"#,
                "from scratch, until radius 0.25",
            ),
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
