//! What certificates claim: a method with its parameters, and its words.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::json::{self, Foreign};
use crate::records::{hex, parse_hex};

/// What certificates of one network by one method claim, whatever the input.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// The method, and everything that decides the conclusion beside the answers,
    /// the samples and alpha.
    pub parameters: Parameters,
    /// Samples of this network that the conclusion rests on, without selection
    /// samples.
    pub samples: u64,
    /// Total failure probability of one certificate.
    pub alpha: f64,
    /// What is claimed of one certificate, in words.
    pub statement: Statement,
}

impl Claim {
    /// A claim that states what follows from the rest of it.
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

/// A method, with whatever it was asked for and its shares of alpha, by the names
/// that `SOUNDNESS.md` has for the events that they are for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Parameters {
    /// From scratch, of the network that the ledger is of.
    Certify(ScratchParameters),
    /// From scratch, of any other.
    Direct(ScratchParameters),
    /// The smoothed classifier's class.
    Predict {},
    /// From scratch, stopped freely.
    Until {
        /// The level that holds at any number of samples.
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
        /// The bound of f from which on h's own counts come first.
        gamma: f64,
    },
    /// f's probability less the disagreement.
    Zeta {
        /// Share of alpha for f's probability.
        alpha_f: f64,
        /// Share for the disagreement.
        alpha_zeta: f64,
    },
    /// f's probability less what h loses.
    Loss {
        /// Share of alpha for f's probability.
        alpha_f: f64,
        /// Share for the loss.
        alpha_loss: f64,
    },
    /// f's probability less what h loses, with what h gains.
    Paired {
        /// Share of alpha for f's probability.
        alpha_f: f64,
        /// Share for the loss.
        alpha_loss: f64,
        /// Share for the gain.
        alpha_gain: f64,
    },
    /// On samples that f's codes choose.
    Auto {
        /// Share for a statement about f's codes, where there is another about h.
        alpha_f: f64,
        /// Share for that about h.
        alpha_h: f64,
        /// Share for a single statement.
        alpha_whole: f64,
        /// The number of candidates that the network may be chosen among by their
        /// results; 1 for a network named in advance.
        among: u32,
        /// f's first samples that h never runs on.
        early: u64,
        /// What is spent, or what is to be reached.
        goal: Goal,
        /// Inputs that share in it.
        inputs: u64,
        /// Which these are; the first ledgers did not record it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        inputs_sha256: Option<InputsHash>,
        /// Whether a radius from both sides may be proved.
        sides: Sides,
    },
    /// What a ledger holds that this version does not record.
    #[serde(skip)]
    Foreign {
        /// The method's name.
        method: String,
        /// Its parameters.
        parameters: Foreign,
    },
}

/// Parameters of certificates from scratch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScratchParameters {
    /// Which probabilities are bounded; the first ledgers bounded the class's alone
    /// and did not record it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sides: Option<Sides>,
    /// The rule by which the selection's votes split alpha, of two sides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Rule>,
}

/// Which probabilities a certificate bounds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum Sides {
    /// That of the class alone; the next best may have all the rest (Cohen,
    /// Rosenfeld, Kolter 2019, CERTIFY).
    One,
    /// That of the class, and with it that of the next best.
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

/// What a recertification by `auto` is to reach.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// So many evaluations over all inputs.
    Budget(u64),
    /// So many of each input.
    Each(u64),
    /// A mean radius, in units of sigma.
    MeanRadiusOverSigma(f64),
    /// A radius of each input; stopped freely.
    Until(f64),
}

/// SHA-256 of the positions of inputs, ascending, as 32-bit little-endian numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InputsHash(pub [u8; 32]);

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
            .ok_or_else(|| format!("'{text}' is no SHA-256"))
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

    /// Each by its name, with its value as text.
    pub fn entries(&self) -> Vec<(String, String)> {
        match self {
            Self::Foreign { parameters, .. } => parameters.entries(),
            known => json::entries(known),
        }
    }

    /// Reads the parameters of a method; `row` names the row, for errors.
    pub(crate) fn read(method: &str, text: &str, row: &str) -> Self {
        let read = json::read(Some(method), text, (row, "parameters"));
        read.unwrap_or_else(|parameters| Self::Foreign {
            method: method.to_owned(),
            parameters,
        })
    }

    /// The parameters, if they are what this version records.
    ///
    /// # Errors
    /// Which row and which field is not.
    pub fn known(&self) -> Result<&Self, &Foreign> {
        match self {
            Self::Foreign { parameters, .. } => Err(parameters),
            known => Ok(known),
        }
    }

    /// How many sides certificates from scratch bound, where it is recorded.
    pub fn sides(&self) -> Option<u8> {
        match self {
            Self::Certify(scratch) | Self::Direct(scratch) => scratch.sides.map(u8::from),
            Self::Auto { sides, .. } => Some((*sides).into()),
            Self::Foreign { parameters, .. } => parameters.field("sides"),
            _ => None,
        }
    }

    /// The bound of f from which on h's own counts come first, where the method has
    /// one.
    pub fn gamma(&self) -> Option<f64> {
        match self {
            Self::Irs { gamma, .. } => Some(*gamma),
            Self::Foreign { parameters, .. } => parameters.field("gamma"),
            _ => None,
        }
    }

    /// What a recertification by `auto` was to reach, where that is recorded.
    pub fn goal(&self) -> Option<Goal> {
        match self {
            Self::Auto { goal, .. } => Some(*goal),
            Self::Foreign { parameters, .. } => parameters.field("goal"),
            _ => None,
        }
    }

    /// The number of candidates that the network may be chosen among.
    fn among(&self) -> u32 {
        match self {
            Self::Auto { among, .. } => *among,
            _ => 1,
        }
    }
}

/// The images that a radius is proved for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Images {
    /// Any.
    Real,
    /// Those of 8-bit pixels, with noise rounded to their levels.
    EightBit,
}

/// What is claimed of one certificate, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement(String);

impl Statement {
    /// What a claim with these parameters, at `alpha` in total, states.
    ///
    /// ```
    /// use recert_ledger::{Images, Parameters, Statement};
    ///
    /// let statement = Statement::new(&Parameters::Predict {}, 0.001, Images::Real);
    /// assert_eq!(
    ///     statement.to_string(),
    ///     "for this network and this input, named in advance: the class is not the smoothed \
    ///      classifier's with probability at most 0.001",
    /// );
    /// ```
    pub fn new(parameters: &Parameters, alpha: f64, images: Images) -> Self {
        let network = match parameters.among() {
            1 => "for this network and this input, named in advance".to_owned(),
            among => format!(
                "for this input, named in advance, and a network chosen among {among} by their \
                 results"
            ),
        };
        let error = match (parameters, images) {
            (Parameters::Predict {}, _) => "the class is not the smoothed classifier's",
            (_, Images::Real) => "the radius is wrong",
            (_, Images::EightBit) => "the radius is wrong for images of 8-bit pixels",
        };
        Self(format!(
            "{network}: {error} with probability at most {alpha}"
        ))
    }

    /// What a ledger holds, whatever it states.
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
        Parameters::read(method, text, "claim 4")
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
        ] {
            let parameters = read(method, &text);
            assert!(parameters.known().is_ok(), "{parameters:?}");
            assert_eq!(parameters.method(), method);
            assert_eq!(parameters.to_json(), text, "{method}");
        }
    }

    #[test]
    fn what_is_not_known_stays_as_it_is_and_says_where_it_is() {
        for (method, text, word) in [
            ("certify", r#"{"sides":3}"#, "3 sides"),
            (
                "irs",
                r#"{"alpha_f":0.1,"gamma":0.5}"#,
                "missing field `alpha_zeta`",
            ),
            (
                "made up",
                r#"{"gamma":0.5,"b":"x"}"#,
                "unknown variant `made up`",
            ),
            ("predict", r#"{"gamma":0.5}"#, "unknown field `gamma`"),
        ] {
            let parameters = read(method, text);
            let why = parameters.known().unwrap_err().to_string();
            assert!(
                why.starts_with("claim 4, parameters: ") && why.contains(word),
                "{why}"
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
        assert_eq!(entries, [("b", "\"x\""), ("gamma", "0.5"), ("sides", "2")]);
        assert_eq!(read("certify", "no JSON").entries(), []);
    }

    #[test]
    fn statements_follow_from_the_rest() {
        let auto = read(
            "auto",
            r#"{"alpha_f":0.0001,"alpha_h":0.0009,"alpha_whole":0.001,"among":3,"early":312,"goal":{"each":9},"inputs":3,"sides":2}"#,
        );
        let scratch = ScratchParameters {
            sides: Some(Sides::One),
            rule: None,
        };
        for (parameters, images, words) in [
            (
                Parameters::Certify(scratch),
                Images::Real,
                "for this network and this input, named in advance: the radius is wrong with \
                 probability at most 0.002",
            ),
            (
                auto,
                Images::EightBit,
                "for this input, named in advance, and a network chosen among 3 by their results: \
                 the radius is wrong for images of 8-bit pixels with probability at most 0.002",
            ),
        ] {
            assert_eq!(
                Claim::new(parameters, 1, 0.002, images).statement.as_str(),
                words
            );
        }
    }
}
