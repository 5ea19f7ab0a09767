//! What came of running samples again.

use std::fmt;

use recert_check::Unchecked;
use recert_noise::Stream;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::results::ResultsAgain;

/// What came of running samples again; its JSON is a part of the check's.
#[derive(Debug, Serialize)]
pub struct Rerun {
    /// Samples run again, of all networks.
    pub samples: u64,
    /// Inputs of which all selection samples of a network were run again.
    pub selections: u64,
    /// What chose the samples.
    pub seed: u64,
    /// What was run again of each network that was given.
    pub networks: Vec<RerunNetwork>,
    /// Answers that are not those in the ledger, and are no near ties.
    pub differences: Vec<Difference>,
    /// Answers that are not those in the ledger, but would be if scores differed by no more
    /// than rounding makes them ([`RerunNetwork::tolerance`]), where there are few of them.
    pub near_ties: Vec<Difference>,
    /// What came of verifying results by bounds again, if the ledger has any.
    pub results: Option<ResultsAgain>,
    /// Whether answers differ that may depend on the batch.
    #[serde(skip)]
    pub(super) batch_dependent: bool,
    /// Networks that were not given, or are computed otherwise than the ledger records.
    #[serde(skip)]
    pub(super) unchecked: Vec<Unchecked>,
}

/// What was run again of one network.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RerunNetwork {
    /// The network's file.
    pub file: String,
    /// The engine that ran it again, and how it computes.
    pub engine: String,
    /// Answers that the ledger has of it, but for those on selection samples.
    pub answers: u64,
    /// How many of them were run again.
    pub samples: u64,
    /// Inputs of which all selection samples were run again.
    pub selections: u64,
    /// The share of the answers that, were it answered otherwise, would be found with a
    /// probability of at least 99 %.
    pub found_share: f64,
    /// Inputs that the ledger has selection samples of.
    pub selections_held: u64,
    /// The share of these inputs that, had they been selected otherwise, would be found with a
    /// probability of at least 99 %; 1 where none was run again.
    pub selections_found_share: f64,
    /// By how much the difference of two scores may move by rounding in the arithmetic of the
    /// engine that ran them again. `None` where
    /// the answers have to be the same: the same engine, whose answers do not depend on the
    /// batch, or a network that gives no scores.
    pub tolerance: Option<f32>,
    /// Answers whose two largest scores are within the tolerance.
    pub nearly_tied: u64,
    /// Whether more near ties were answered otherwise than rounding explains, one in twenty of
    /// the samples. Then they are differences like others.
    pub too_many: bool,
}

/// An answer, or a selection, that is not the one in the ledger.
#[derive(Debug, Serialize)]
pub struct Difference {
    /// The network's file.
    pub network: String,
    /// The input's position in the data.
    pub idx: u32,
    /// The stream that the sample's noise is of.
    #[serde(serialize_with = "tag")]
    pub stream: Stream,
    /// The sample's number in the stream; `None` for what all selection samples select.
    pub sample: Option<u32>,
    /// The answer in the ledger, as JSON.
    pub stored: Value,
    /// The answer now, as JSON.
    pub found: Value,
    /// By how much the difference of two scores would have to be another for the answer to be
    /// the one in the ledger; `None` where none would do, or there are no scores.
    pub apart: Option<f32>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn tag<S: Serializer>(stream: &Stream, serializer: S) -> Result<S::Ok, S::Error> {
    stream.tag().serialize(serializer)
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            network,
            idx,
            stream,
            stored,
            found,
            ..
        } = self;
        match self.sample {
            Some(sample) => write!(
                f,
                "{network} on sample {sample} of input {idx} (stream {stream})"
            ),
            None => write!(f, "{network} on the selection samples of input {idx}"),
        }?;
        write!(f, ": stored {stored}, run again {found}")
    }
}
