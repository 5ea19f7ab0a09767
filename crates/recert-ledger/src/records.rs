//! The records that a ledger holds, as plain types.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Claim, Evidence};

/// What a run computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Task {
    /// Certified radii.
    Certify,
    /// The smoothed classifier's class alone.
    Predict,
    /// Bounds, without noise. The first smoothing run into such a ledger replaces its header.
    Verify,
}

impl Task {
    /// The task's name, as in a ledger.
    pub fn name(self) -> &'static str {
        match self {
            Self::Certify => "certify",
            Self::Predict => "predict",
            Self::Verify => "verify",
        }
    }
}

/// Which of an input's noise streams; the numbers are those of the generator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stream(pub u32);

impl Stream {
    /// Samples that the original network has not answered.
    pub const FRESH: Self = Self(2);
}

/// What computes a network, and how: part of the network's identity, as the same file
/// computed otherwise is, strictly, another function.
///
/// ```
/// use recert_ledger::Engine;
///
/// let engine = Engine {
///     name: "rten".into(),
///     version: "0.27.0".into(),
///     arithmetic: "float32".into(),
/// };
/// assert_eq!(engine.to_string(), "rten 0.27.0, float32");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    /// The engine's name, such as `rten`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Precision, device and settings, as the engine states them: `float32`.
    pub arithmetic: String,
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            version,
            arithmetic,
        } = self;
        write!(f, "{name} {version}, {arithmetic}")
    }
}

/// A network as a ledger knows it: the file and everything that decides what
/// function it computes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// SHA-256 of the model file's bytes.
    pub sha256: [u8; 32],
    /// The file's name, without its folder; for people only.
    pub file: String,
    /// The file's size in bytes.
    pub bytes: u64,
    /// What computes it.
    pub engine: Engine,
    /// Whether the engine's answers are bit for bit independent of the batch.
    pub batch_invariant: bool,
    /// Normalisation outside the graph, in canonical text; `none` without.
    pub preprocess: String,
    /// The graph output that is read.
    pub output: String,
    /// The number of classes.
    pub classes: u32,
    /// What the model file says of its own arithmetic, in words, if anything.
    pub note: Option<String>,
}

/// A network's number within one ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NetworkId(pub(crate) i64);

/// What a run binds to. Two runs with equal headers draw the same samples of
/// the same inputs through the same network.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// What the run computes.
    pub task: Task,
    /// Standard deviation of the noise, in the units of the images.
    pub sigma: f64,
    /// Samples that select the class (0 for [`Task::Predict`]).
    pub n0: u64,
    /// Samples that estimate its probability.
    pub n: u64,
    /// Failure probability of one certificate.
    pub alpha: f64,
    /// The noise generator, by name and version.
    pub generator: String,
    /// The generator's seed.
    pub seed: u64,
    /// The network certified.
    pub network: Network,
    /// The data set, in words; for people only (inputs bind by their bytes).
    pub data: String,
    /// Channels, height and width of an input.
    pub shape: [u32; 3],
}

impl Header {
    /// The header of a ledger that has no smoothing run, only verifications: sigma, n0, n,
    /// alpha and the seed are 0 and mean nothing.
    pub fn without_noise(network: Network, data: &str, shape: [u32; 3]) -> Self {
        Self {
            task: Task::Verify,
            sigma: 0.0,
            n0: 0,
            n: 0,
            alpha: 0.0,
            generator: "none".to_owned(),
            seed: 0,
            network,
            data: data.to_owned(),
            shape,
        }
    }
}

/// One input of the data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Its position in the whole set.
    pub idx: u32,
    /// SHA-256 of its pixels, as the data crate defines it.
    pub sha256: [u8; 32],
    /// Its label, used for reporting alone.
    pub label: Option<u32>,
    /// Its file name, where it has one.
    pub name: Option<String>,
}

/// The outcome of the selection samples of one network on one input.
#[derive(Debug, Clone, PartialEq)]
pub struct Selection {
    /// Samples drawn, n0.
    pub samples: u64,
    /// Answers counted by class; their sum is `samples - invalid`.
    pub counts: BTreeMap<u16, u64>,
    /// Samples with a NaN or infinite logit.
    pub invalid: u64,
    /// The class selected: most answers, ties to the lower index.
    pub class: u16,
    /// Upper edges of the margin buckets but the last, ascending, in logit
    /// units; `None` where the classifier gives no logits.
    pub edges: Option<Vec<f32>>,
    /// Time spent, in microseconds of one worker.
    pub micros: u64,
}

/// One conclusion about one network on one input.
#[derive(Debug, Clone, PartialEq)]
pub struct Certificate {
    /// The input's position.
    pub idx: u32,
    /// What is claimed.
    pub claim: Arc<Claim>,
    /// The class certified; `None` for an abstention.
    pub class: Option<u16>,
    /// The certified L2 radius in the units of the images, rounded down; 0
    /// for an abstention.
    pub radius: f64,
    /// The lower bound of the class's probability that the radius is from, or
    /// the best one had when abstaining.
    pub p_lower: Option<f64>,
    /// Which bound certified, such as `zeta`.
    pub bound: Option<String>,
    /// What the bounds were computed from.
    pub evidence: Evidence,
    /// Evaluations of this network paid for, selection included.
    pub evaluations: u64,
    /// Time spent on them, in microseconds of one worker.
    pub micros: u64,
}

/// Lower-case hexadecimal text of a hash.
///
/// ```
/// assert_eq!(recert_ledger::hex(&[0, 255]), "00ff");
/// ```
pub fn hex(hash: &[u8]) -> String {
    let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value)]);
    let digits = |&byte: &u8| [digit(byte >> 4), digit(byte & 15)];
    hash.iter().flat_map(digits).collect()
}

/// The inverse of [`hex`] for a SHA-256; `None` if it is not one.
///
/// ```
/// let hash = [0xa5; 32];
/// assert_eq!(recert_ledger::parse_hex(&"a5".repeat(32)), Some(hash));
/// assert_eq!(recert_ledger::parse_hex("a5"), None);
/// ```
pub fn parse_hex(text: &str) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(hash)
}
