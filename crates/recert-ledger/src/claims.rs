//! Claims: the method of a set of certificates with its parameters, and what they state.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::json::{self, Foreign};
use crate::records::{hex, parse_hex};

/// What all certificates of one network by one method have in common, and what they state.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// The method, with everything beside the answers, the samples and alpha that the
    /// conclusion depends on.
    pub parameters: Parameters,
    /// How many samples of this network the conclusion rests on, selection samples not
    /// counted.
    pub samples: u64,
    /// Total failure probability of one certificate.
    pub alpha: f64,
    /// What one certificate states, in words.
    pub statement: Statement,
}

impl Claim {
    /// A claim whose statement follows from the other arguments.
    pub fn new(parameters: Parameters, samples: u64, alpha: f64, images: Images) -> Self {
        Self {
            statement: Statement::new(&parameters, alpha, images),
            parameters,
            samples,
            alpha,
        }
    }

    /// The method's name.
    pub fn method(&self) -> &str {
        self.parameters.method()
    }
}

/// A method with the parameters that the user chose and its shares of alpha. A share is
/// named after the event that it belongs to (`SOUNDNESS.md`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Parameters {
    /// Certifying f, the ledger's own network, from scratch.
    Certify(ScratchParameters),
    /// Certifying any other network from scratch, of f's class or of its own.
    Direct(ScratchParameters),
    /// Predicting the smoothed classifier's class.
    Predict {},
    /// Certifying f from scratch, with a number of samples that depends on the answers.
    Until {
        /// The failure probability of the anytime-valid bound.
        alpha_any: f64,
        /// The radius to be reached.
        until: f64,
    },
    /// Incremental randomized smoothing.
    Irs {
        /// Share of alpha for f's probability.
        alpha_f: f64,
        /// Share for the disagreement.
        alpha_zeta: f64,
        /// Share for h's own probability.
        alpha_direct: f64,
        /// Where f's lower bound is at least this, the bound from h's own counts is tried
        /// first.
        gamma: f64,
    },
    /// f's lower bound less zeta, the upper bound of the disagreement.
    Zeta {
        /// Share of alpha for f's probability.
        alpha_f: f64,
        /// Share for the disagreement.
        alpha_zeta: f64,
    },
    /// f's lower bound less the upper bound of the loss.
    Loss {
        /// Share of alpha for f's probability.
        alpha_f: f64,
        /// Share for the loss.
        alpha_loss: f64,
    },
    /// As `Loss`, plus the lower bound of the gain.
    Paired {
        /// Share of alpha for f's probability.
        alpha_f: f64,
        /// Share for the loss.
        alpha_loss: f64,
        /// Share for the gain.
        alpha_gain: f64,
    },
    /// Recertifying on samples that are chosen by f's codes.
    Auto {
        /// Share of alpha for f, where the bound has one event about f and one about h.
        alpha_f: f64,
        /// Share for h in such a bound.
        alpha_h: f64,
        /// Share for a bound that consists of a single event, and for those from fresh samples
        /// alone.
        alpha_whole: f64,
        /// The number of candidates that the network may be chosen among by their
        /// results; 1 for a network named in advance.
        among: u32,
        /// How many of f's first samples are early: h never runs on them.
        early: u64,
        /// The budget, or the radius to reach.
        goal: Goal,
        /// How many inputs share the goal.
        inputs: u64,
        /// Which inputs these are; the first ledgers did not record it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        inputs_sha256: Option<InputsHash>,
        /// The rule that splits `alpha_whole` where the runner-up is bounded from fresh samples;
        /// absent where no design does that, as in all by the first versions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rule: Option<Rule>,
        /// Whether the runner-up's probability may be bounded too.
        sides: Sides,
    },
    /// Parameters in a form that this version does not record.
    #[serde(skip)]
    Foreign {
        /// The method's name.
        method: String,
        /// The stored text.
        parameters: Foreign,
    },
}

/// Parameters of certificates from scratch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScratchParameters {
    /// Whose selection samples chose the class and split alpha, if not the network's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_of: Option<ClassOf>,
    /// Which probabilities are bounded. The first ledgers bounded the class's alone and
    /// did not record it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sides: Option<Sides>,
    /// The rule that splits alpha by the selection samples, for two-sided certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Rule>,
}

/// A network other than the certified one whose selection samples chose the class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClassOf {
    /// f, the ledger's own network.
    #[serde(rename = "f")]
    Original,
}

/// Which probabilities a certificate bounds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum Sides {
    /// The probability of the class alone; the runner-up may have all the rest (Cohen,
    /// Rosenfeld, Kolter 2019, CERTIFY).
    One,
    /// The probability of the class and that of the runner-up.
    #[default]
    Two,
}

/// A rule that splits alpha (`SOUNDNESS.md`, section 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rule {
    /// By how clearly the selection samples favour the class.
    #[serde(rename = "votes-1")]
    Votes1,
}

/// The goal of a recertification by `auto`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// At most this many evaluations over all inputs.
    Budget(u64),
    /// At most this many evaluations of each input.
    Each(u64),
    /// A mean radius, in units of sigma.
    MeanRadiusOverSigma(f64),
    /// A radius for each input; the number of samples depends on the answers.
    Until(f64),
}

/// SHA-256 of the positions of inputs, ascending, as 32-bit little-endian numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InputsHash(pub [u8; 32]);

impl InputsHash {
    /// The hash of some inputs' positions, which are ascending; needed by callers that
    /// record which inputs they speak of.
    ///
    /// ```
    /// use recert_ledger::{InputsHash, hex};
    ///
    /// let hash = hex(&InputsHash::of(&[0, 1]).0);
    /// assert_eq!(&hash[..16], "01acecb507abfe1a");
    /// ```
    pub fn of(inputs: &[u32]) -> Self {
        use sha2::{Digest, Sha256};
        let mut hasher = Sha256::new();
        for idx in inputs {
            hasher.update(idx.to_le_bytes());
        }
        Self(hasher.finalize().into())
    }
}

impl From<InputsHash> for String {
    fn from(hash: InputsHash) -> Self {
        hex(&hash.0)
    }
}

impl TryFrom<String> for InputsHash {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let hash = parse_hex(&text).filter(|hash| hex(hash) == text);
        hash.map(Self)
            .ok_or_else(|| format!("'{text}' is not a SHA-256"))
    }
}

impl From<Sides> for u8 {
    fn from(sides: Sides) -> Self {
        match sides {
            Sides::One => 1,
            Sides::Two => 2,
        }
    }
}

impl TryFrom<u8> for Sides {
    type Error = String;

    fn try_from(sides: u8) -> Result<Self, String> {
        match sides {
            1 => Ok(Self::One),
            2 => Ok(Self::Two),
            _ => Err(format!("{sides} sides, which are 1 or 2")),
        }
    }
}

impl Parameters {
    /// The method's name, as in a ledger and on the command line.
    pub fn method(&self) -> &str {
        match self {
            Self::Certify(_) => "certify",
            Self::Direct(_) => "direct",
            Self::Predict {} => "predict",
            Self::Until { .. } => "until",
            Self::Irs { .. } => "irs",
            Self::Zeta { .. } => "zeta",
            Self::Loss { .. } => "loss",
            Self::Paired { .. } => "paired",
            Self::Auto { .. } => "auto",
            Self::Foreign { method, .. } => method,
        }
    }

    /// The canonical JSON that ledgers keep.
    ///
    /// ```
    /// use recert_ledger::Parameters;
    ///
    /// let parameters = Parameters::Loss { alpha_f: 0.0001, alpha_loss: 0.0009 };
    /// assert_eq!(parameters.method(), "loss");
    /// assert_eq!(parameters.to_json(), r#"{"alpha_f":0.0001,"alpha_loss":0.0009}"#);
    /// ```
    pub fn to_json(&self) -> String {
        match self {
            Self::Foreign { parameters, .. } => parameters.text().to_owned(),
            known => json::write(known),
        }
    }

    /// The name of every parameter, with its value as text.
    pub fn entries(&self) -> Vec<(String, String)> {
        match self {
            Self::Foreign { parameters, .. } => parameters.entries(),
            known => json::entries(known),
        }
    }

    /// Reads the parameters of a method from the text in a ledger.
    pub(crate) fn read(method: &str, text: &str) -> Self {
        json::read(Some(method), text).unwrap_or_else(|parameters| Self::Foreign {
            method: method.to_owned(),
            parameters,
        })
    }

    /// 1 for one-sided and 2 for two-sided certificates, where that is recorded.
    pub fn sides(&self) -> Option<u8> {
        match self {
            Self::Certify(scratch) | Self::Direct(scratch) => scratch.sides.map(u8::from),
            Self::Auto { sides, .. } => Some((*sides).into()),
            Self::Foreign { parameters, .. } => parameters.field("sides"),
            _ => None,
        }
    }

    /// [`Parameters::Irs`]'s gamma, where the method has one.
    pub fn gamma(&self) -> Option<f64> {
        match self {
            Self::Irs { gamma, .. } => Some(*gamma),
            Self::Foreign { parameters, .. } => parameters.field("gamma"),
            _ => None,
        }
    }

    /// The goal of a recertification by `auto`, where it is recorded.
    pub fn goal(&self) -> Option<Goal> {
        match self {
            Self::Auto { goal, .. } => Some(*goal),
            Self::Foreign { parameters, .. } => parameters.field("goal"),
            _ => None,
        }
    }

    /// The number of candidates that the network may be chosen among by their results; 1
    /// for a network that was fixed in advance.
    pub fn among(&self) -> u32 {
        match self {
            Self::Auto { among, .. } => *among,
            _ => 1,
        }
    }
}

/// The images that a certificate speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Images {
    /// All images within the radius.
    Real,
    /// The images of 8-bit pixels within the radius, with integer noise.
    EightBit,
}

/// What one certificate states, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement(String);

impl Statement {
    /// The statement of a claim with these parameters and this total failure probability.
    ///
    /// ```
    /// use recert_ledger::{Images, Parameters, Statement};
    ///
    /// let statement = Statement::new(&Parameters::Predict {}, 0.001, Images::Real);
    /// assert_eq!(
    ///     statement.to_string(),
    ///     "for this network and this input, both fixed before any answer on these samples was \
    ///      looked at: the class is not the smoothed classifier's with probability at most 0.001",
    /// );
    /// ```
    pub fn new(parameters: &Parameters, alpha: f64, images: Images) -> Self {
        let subject = match parameters.among() {
            1 => "for this network and this input, both fixed before any answer on these samples \
                  was looked at"
                .to_owned(),
            among => format!(
                "for this input and a network chosen among {among} by their results, all fixed \
                 before any answer on these samples was looked at"
            ),
        };
        Self::about(&subject, parameters, alpha, images)
    }

    /// The statement of the same claim in ledgers before version 3, which left open what
    /// "in advance" is before.
    fn before_version_3(parameters: &Parameters, alpha: f64, images: Images) -> Self {
        let subject = match parameters.among() {
            1 => "for this network and this input, named in advance".to_owned(),
            among => format!(
                "for this input, named in advance, and a network chosen among {among} by their \
                 results"
            ),
        };
        Self::about(&subject, parameters, alpha, images)
    }

    /// The statement of a claim of a ledger before version 3, in the words of this version;
    /// `None` if its words are not those of that time.
    pub(crate) fn restated(words: &str, parameters: &Parameters, alpha: f64) -> Option<Self> {
        let images = [Images::Real, Images::EightBit];
        let before =
            |images: &Images| Self::before_version_3(parameters, alpha, *images).0 == words;
        let images = images.into_iter().find(before)?;
        Some(Self::new(parameters, alpha, images))
    }

    fn about(subject: &str, parameters: &Parameters, alpha: f64, images: Images) -> Self {
        let error = match (parameters, images) {
            (Parameters::Predict {}, _) => "the class is not the smoothed classifier's",
            (_, Images::Real) => "the radius is wrong",
            (_, Images::EightBit) => "the radius is wrong for images of 8-bit pixels",
        };
        Self(format!(
            "{subject}: {error} with probability at most {alpha}"
        ))
    }

    /// The statement that a ledger holds, taken as it is.
    pub(crate) fn read(text: String) -> Self {
        Self(text)
    }

    /// The words.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(method: &str, text: &str) -> Parameters {
        Parameters::read(method, text)
    }

    /// Texts as ledgers hold them, written by hand from `docs/ledger.md`.
    #[test]
    fn what_ledgers_hold_is_read_and_written_byte_for_byte() {
        let auto = |goal: &str, inputs: &str| {
            format!(
                r#"{{"alpha_f":0.0001,"alpha_h":0.0009,"alpha_whole":0.001,"among":1,"early":312,"goal":{goal},"inputs":3{inputs},"sides":2}}"#
            )
        };
        let hash = format!(r#","inputs_sha256":"{}""#, "0a".repeat(32));
        for (method, text) in [
            ("certify", "{}".to_owned()),
            ("certify", r#"{"sides":1}"#.to_owned()),
            ("direct", r#"{"rule":"votes-1","sides":2}"#.to_owned()),
            ("direct", r#"{"class_of":"f","sides":1}"#.to_owned()),
            (
                "direct",
                r#"{"class_of":"f","rule":"votes-1","sides":2}"#.to_owned(),
            ),
            ("predict", "{}".to_owned()),
            ("until", r#"{"alpha_any":0.001,"until":0.5}"#.to_owned()),
            (
                "irs",
                r#"{"alpha_direct":0.00045,"alpha_f":0.0001,"alpha_zeta":0.00045,"gamma":0.99}"#
                    .to_owned(),
            ),
            (
                "zeta",
                r#"{"alpha_f":0.0001,"alpha_zeta":0.0009}"#.to_owned(),
            ),
            (
                "loss",
                r#"{"alpha_f":0.0001,"alpha_loss":0.0009}"#.to_owned(),
            ),
            (
                "paired",
                r#"{"alpha_f":0.0001,"alpha_gain":0.00045,"alpha_loss":0.00045}"#.to_owned(),
            ),
            ("auto", auto(r#"{"budget":1003}"#, &hash)),
            ("auto", auto(r#"{"each":99}"#, "")),
            ("auto", auto(r#"{"mean_radius_over_sigma":0.5}"#, &hash)),
            ("auto", auto(r#"{"until":1.0}"#, &hash)),
            (
                "auto",
                auto(r#"{"budget":1003}"#, &format!(r#"{hash},"rule":"votes-1""#)),
            ),
        ] {
            let parameters = read(method, &text);
            assert!(
                !matches!(parameters, Parameters::Foreign { .. }),
                "{parameters:?}"
            );
            assert_eq!(parameters.method(), method);
            assert_eq!(parameters.to_json(), text, "{method}");
        }
    }

    #[test]
    fn parameters_in_an_unknown_form_are_kept_as_they_are() {
        for (method, text) in [
            ("certify", r#"{"sides":3}"#),
            ("direct", r#"{"class_of":"g","sides":1}"#),
            ("irs", r#"{"alpha_f":0.1,"gamma":0.5}"#),
            ("made up", r#"{"gamma":0.5,"b":"x"}"#),
            ("predict", r#"{"gamma":0.5}"#),
        ] {
            let parameters = read(method, text);
            assert!(
                matches!(parameters, Parameters::Foreign { .. }),
                "{parameters:?}"
            );
            assert_eq!(
                (parameters.method(), parameters.to_json()),
                (method, text.to_owned())
            );
        }
        let old = read("made up", r#"{"gamma":0.5,"b":"x","sides":2}"#);
        assert_eq!((old.gamma(), old.sides()), (Some(0.5), Some(2)));
        let entries = old.entries();
        let entries: Vec<_> = entries
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        assert_eq!(entries, [("b", "x"), ("gamma", "0.5"), ("sides", "2")]);
        assert_eq!(read("certify", "no JSON").entries(), []);
    }

    #[test]
    fn statements_follow_from_the_rest() {
        let auto = read(
            "auto",
            r#"{"alpha_f":0.0001,"alpha_h":0.0009,"alpha_whole":0.001,"among":3,"early":312,"goal":{"each":9},"inputs":3,"sides":2}"#,
        );
        let scratch = ScratchParameters {
            class_of: None,
            sides: Some(Sides::One),
            rule: None,
        };
        for (parameters, images, words) in [
            (
                Parameters::Certify(scratch),
                Images::Real,
                "for this network and this input, both fixed before any answer on these samples \
                 was looked at: the radius is wrong with probability at most 0.002",
            ),
            (
                auto,
                Images::EightBit,
                "for this input and a network chosen among 3 by their results, all fixed before \
                 any answer on these samples was looked at: the radius is wrong for images of \
                 8-bit pixels with probability at most 0.002",
            ),
        ] {
            assert_eq!(
                Claim::new(parameters, 1, 0.002, images).statement.as_str(),
                words
            );
        }
    }
}
