//! Verification by bounds: what was to hold around an input, by which method, and the verdicts.
//!
//! A [`Verification`] is to its [results](VerificationResult) what a [`crate::Claim`] is to
//! certificates. No noise and no probability belong to it: a ledger may hold only
//! verifications ([`crate::Task::Verify`]), or both.

use serde::{Deserialize, Serialize};

use crate::json::{self, Foreign};
use crate::{FileHash, Proof, TransformProof};

/// What is to hold, for each input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Specification {
    /// The class is the same for all images with pixels in [0, 1] that differ from the input by
    /// at most the radius in every pixel.
    Linf(Distance),
    /// The same within a Euclidean distance, in units of pixels in [0, 1].
    L2(Distance),
    /// What a VNN-LIB file states. There is one result, which is of no input.
    Vnnlib {
        /// The file's name, for people only.
        file: String,
        /// SHA-256 of its text, decompressed.
        sha256: FileHash,
    },
    /// The class is the same for all images that a transformation makes of the input.
    Transform {
        /// The steps with their ranges, in the order applied, such as `rotate=-30..30`.
        steps: String,
    },
    /// In a form that this version does not record; see [`Foreign`].
    #[serde(skip)]
    Foreign {
        /// The kind, by its name in the ledger.
        kind: String,
        /// The text as it is stored.
        text: Foreign,
    },
}

/// The size of a neighbourhood of an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distance {
    /// As it was given, such as `2/255`: the exact number.
    pub eps: String,
    /// That number, rounded up to a double.
    pub radius: f64,
    /// Where the statement is of a family of networks: how far their weights may be from the
    /// file's, `int8`, `int8-layer`, `bf16`, `fp16` or a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<String>,
}

impl Distance {
    /// The networks that a statement is of, in words.
    fn networks(&self) -> String {
        match &self.weights {
            Some(step) => {
                format!("every network whose weights are within {step} of those of {NETWORK}")
            }
            None => NETWORK.to_owned(),
        }
    }

    /// What a table shows after the distance.
    fn of_weights(&self) -> String {
        let words = |step| format!(", weights within {step}");
        self.weights.as_ref().map(words).unwrap_or_default()
    }
}

/// What is bounded, in words.
const NETWORK: &str = "the network as its file states it, with preprocessing, in real arithmetic";

impl Specification {
    /// The kind, by its name in the ledger.
    pub fn kind(&self) -> &str {
        match self {
            Self::Linf(_) => "linf",
            Self::L2(_) => "l2",
            Self::Vnnlib { .. } => "vnnlib",
            Self::Transform { .. } => "transform",
            Self::Foreign { kind, .. } => kind,
        }
    }

    pub(crate) fn to_json(&self) -> String {
        match self {
            Self::Foreign { text, .. } => text.text().to_owned(),
            known => json::write(known),
        }
    }

    pub(crate) fn read(kind: &str, text: &str) -> Self {
        let known = ["linf", "l2", "vnnlib", "transform"].contains(&kind);
        json::read(known.then_some(kind), text).unwrap_or_else(|text| Self::Foreign {
            kind: kind.to_owned(),
            text,
        })
    }

    /// What the verdict `verified` states of an input, in words.
    ///
    /// ```
    /// use recert_ledger::{Distance, Specification};
    ///
    /// let (eps, radius) = ("2/255".to_owned(), 2.0 / 255.0);
    /// let linf = Specification::Linf(Distance { eps, radius, weights: None });
    /// assert!(linf.statement().starts_with("every image with pixels in [0, 1] that differs"));
    /// ```
    pub fn statement(&self) -> String {
        let network = NETWORK;
        match self {
            Self::Linf(distance) => format!(
                "every image with pixels in [0, 1] that differs from the input by at most {} in \
                 every pixel has the class of the result, by {}",
                distance.eps,
                distance.networks()
            ),
            Self::L2(distance) => format!(
                "every image with pixels in [0, 1] at a Euclidean distance of at most {} from the \
                 input has the class of the result, by {}",
                distance.eps,
                distance.networks()
            ),
            Self::Vnnlib { file, .. } => {
                format!("no input that {file} allows has outputs that it describes, by {network}")
            }
            Self::Transform { steps } => format!(
                "every image that the transformation {steps} makes of the input has the class of \
                 the result, by {network}"
            ),
            Self::Foreign { .. } => String::new(),
        }
    }
}

impl std::fmt::Display for Specification {
    /// In a few words, as for a table: `linf 2/255`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Linf(distance) => write!(f, "linf {}{}", distance.eps, distance.of_weights()),
            Self::L2(distance) => write!(f, "l2 {}{}", distance.eps, distance.of_weights()),
            Self::Vnnlib { file, .. } => write!(f, "vnnlib {file}"),
            Self::Transform { steps } => write!(f, "transform {steps}"),
            Self::Foreign { kind, .. } => f.write_str(kind),
        }
    }
}

/// How much a verification tries before a verdict is `unknown`. A run with more effort is
/// another verification, with its own results.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Effort {
    /// Steps of the attack from each of its starts; 0 for none. For a transformation, the
    /// evaluations downhill from the worst of its samples.
    pub attack_steps: u32,
    /// Starts of the attack. For a transformation, samples of its parameters.
    pub attack_starts: u32,
    /// Seed of the attack's starts.
    pub attack_seed: u64,
    /// The most cells of a transformation's parameters that are bounded; `None` for other
    /// specifications.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cells: Option<u64>,
    /// Steps of improving the slopes of the relaxation; 0 for none.
    pub slope_steps: u32,
    /// Whether branch and bound decides what bounds leave open.
    pub complete: bool,
    /// Seconds for an input, from which on nothing further is begun; `None` for no limit.
    pub timeout: Option<f64>,
    /// The network whose results in the same ledger were begun from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Origin>,
}

/// The network that a verification begins from, and what of its results it uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// What the bounds in its proofs are used for.
    pub bounds: KnownUse,
    /// SHA-256 of its file.
    pub network: FileHash,
}

/// What a verification uses another network's bounds for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KnownUse {
    /// For nothing: slopes and splits are begun from, which prove nothing by themselves.
    Unused,
    /// They are transferred. What is stated holds where they do.
    Assumed,
}

impl Effort {
    /// What a statement is conditional on, in words that end it; nothing where it is not.
    fn condition(&self) -> String {
        match &self.from {
            Some(Origin {
                bounds: KnownUse::Assumed,
                network,
            }) => format!(
                ", if the bounds that this ledger records of the network with SHA-256 {} hold",
                crate::hex(&network.0)
            ),
            _ => String::new(),
        }
    }

    pub(crate) fn to_json(&self) -> String {
        #[derive(Serialize)]
        enum Tagged<'a> {
            Effort(&'a Effort),
        }
        json::write(&Tagged::Effort(self))
    }
}

/// What all results of one network by one specification, method and effort have in common.
#[derive(Debug, Clone, PartialEq)]
pub struct Verification {
    /// What is to hold.
    pub specification: Specification,
    /// The method, such as `crown`, or `cascade` for one after the other.
    pub method: String,
    /// How much it tries.
    pub effort: Effort,
    /// What the verdict `verified` states, in words.
    pub statement: String,
}

impl Verification {
    /// A verification whose statement follows from the specification, and from the bounds that
    /// are assumed.
    pub fn new(specification: Specification, method: &str, effort: Effort) -> Self {
        Self {
            statement: specification.statement() + &effort.condition(),
            specification,
            method: method.to_owned(),
            effort,
        }
    }
}

/// A verification's number within one ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VerificationId(pub(crate) i64);

/// What is known after verifying.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verdict {
    /// The specification is proved.
    Verified,
    /// The specification does not hold: the engine answered a counterexample.
    Falsified,
    /// Neither was found.
    Unknown,
}

impl Verdict {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Verified, Self::Falsified, Self::Unknown];

    /// The name in the ledger.
    pub fn name(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Falsified => "falsified",
            Self::Unknown => "unknown",
        }
    }

    pub(crate) fn read(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.name() == name)
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// The verdict on one input, or on a VNN-LIB file.
#[derive(Debug, Clone, PartialEq)]
pub struct VerificationResult {
    /// The input's position; `None` for [`Specification::Vnnlib`].
    pub idx: Option<u32>,
    /// The verdict.
    pub verdict: Verdict,
    /// The class that all of the neighbourhood is to have: the label, or the network's answer
    /// where there is none; `None` for [`Specification::Vnnlib`], and where there is neither.
    pub class: Option<u16>,
    /// The engine's class of the input itself; `None` where it has none.
    pub answer: Option<u16>,
    /// The best lower bound on the smallest margin, rounded down: verified where it is above 0.
    /// By branch and bound the least over all parts. `None` where none was computed.
    pub margin: Option<f64>,
    /// What decided, or was tried last: `answer`, `attack`, `ibp`, `crown`, ..
    pub decided_by: String,
    /// Subproblems that branch and bound bounded, or bounding passes over cells of a
    /// transformation's parameters; 0 without either.
    pub branches: u64,
    /// What makes checking the bound cheap: [`crate::Proof`], encoded. `None` where nothing does
    /// (intervals are as cheap themselves), or it would be large. For
    /// [`Specification::Transform`] a [`TransformProof`], also of a falsified result.
    pub proof: Option<Vec<u8>>,
    /// An image in the neighbourhood that the engine gives another class, in pixels before
    /// preprocessing; `None` too where the input itself is one. For VNN-LIB the network's input.
    pub counterexample: Option<Vec<f32>>,
    /// Time spent, in microseconds.
    pub micros: u64,
}

impl VerificationResult {
    /// The proof, decoded.
    ///
    /// # Errors
    /// What is wrong with its bytes, as a phrase that follows "the proof".
    pub fn decoded_proof(&self) -> Result<Option<Proof>, String> {
        self.proof.as_deref().map(Proof::decode).transpose()
    }

    /// The same for [`Specification::Transform`].
    ///
    /// # Errors
    /// What is wrong with its bytes, as a phrase that follows "the proof".
    pub fn decoded_transform_proof(&self) -> Result<Option<TransformProof>, String> {
        let proof = self.proof.as_deref();
        proof.map(TransformProof::decode).transpose()
    }

    /// Fails, in words, if the parts of the result contradict one another.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        match self.verdict {
            _ if self.margin.is_some_and(f64::is_nan) => Err("a margin is no number"),
            Verdict::Verified
                if self.margin.is_none_or(|margin| margin <= 0.0) && self.branches == 0 =>
            {
                Err("a verified result needs a margin above 0")
            }
            Verdict::Falsified if self.margin.is_some_and(|margin| margin > 0.0) => {
                Err("a falsified result has a margin above 0")
            }
            Verdict::Falsified if self.counterexample.is_none() && self.idx.is_none() => {
                Err("a falsified VNN-LIB file needs a counterexample")
            }
            _ => Ok(()),
        }
    }
}

/// The bytes of a counterexample, little-endian.
pub(crate) fn pixels_to_bytes(pixels: &[f32]) -> Vec<u8> {
    pixels
        .iter()
        .flat_map(|pixel| pixel.to_le_bytes())
        .collect()
}

/// The inverse of [`pixels_to_bytes`]; `None` for what no pixels make.
pub(crate) fn pixels_from_bytes(bytes: &[u8]) -> Option<Vec<f32>> {
    let (words, rest) = bytes.as_chunks();
    rest.is_empty()
        .then(|| words.iter().map(|word| f32::from_le_bytes(*word)).collect())
}
