//! What a check leaves unchecked, and why.

use std::fmt;

use serde::{Serialize, Serializer};

/// Something that a check does not show; in JSON, its words.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Unchecked {
    /// Fields that nothing can be derived from, in a ledger without a seal.
    Unsealed {
        /// The version of its schema.
        schema: i64,
    },
    /// Inputs that have no certificate by a claim.
    Unconcluded {
        /// How many they are.
        missing: u64,
        /// The inputs of the ledger.
        inputs: u64,
        /// The claim's method.
        method: String,
        /// The samples that the claim states.
        samples: u64,
        /// The network's number in the ledger.
        network: i64,
        /// The claim's failure probability.
        alpha: f64,
    },
    /// When priors, tilts and samples were fixed.
    Priors,
    /// All answers, as long as none is run again.
    Answers,
    /// The answers that a rerun left out.
    OtherAnswers {
        /// Samples run again.
        rerun: u64,
        /// Answers of the ledger.
        answers: u64,
    },
    /// What answers that differ in a rerun show, where they may depend on the
    /// batch.
    BatchDependent,
    /// The answers of a network whose model was not there to be run.
    NoModel {
        /// The model's file, by the ledger.
        file: String,
    },
}

impl fmt::Display for Unchecked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsealed { schema: ..2 } => f.write_str(
                "no seal: ledgers of schema 1 have none, so fields that nothing can be derived \
                 from (names, labels, times, hashes) are as they are found",
            ),
            Self::Unsealed { .. } => f.write_str(
                "no seal: a run is writing to the ledger, or ended without closing it (the same \
                 command again seals it), so fields that nothing can be derived from (names, \
                 labels, times, hashes) are as they are found",
            ),
            Self::Unconcluded {
                missing,
                inputs,
                method,
                samples,
                network,
                alpha,
            } => write!(
                f,
                "{missing} of {inputs} inputs have no certificate by {method} from {samples} \
                 samples of network {network} at alpha {alpha}: the run did not include them, or \
                 is not finished"
            ),
            Self::Priors => f.write_str(
                "that the priors and tilts of bounds, and the samples chosen by auto, were fixed \
                 without a look at the answers that they are applied to",
            ),
            Self::Answers => f.write_str(
                "that answers, margins and selections are those of the networks named, on the \
                 inputs and the noise named, as running them again would show",
            ),
            Self::OtherAnswers { rerun, answers } => write!(
                f,
                "that the answers and margins not run again are those of the networks named, on \
                 the noise named ({rerun} of {answers} were run again)"
            ),
            Self::BatchDependent => f.write_str(
                "whether the answers that differ show another network or noise: the engine's \
                 answers may depend on the batch an image is in, so a few may differ where two \
                 classes are nearly tied",
            ),
            Self::NoModel { file } => {
                write!(f, "the answers of {file}, whose model was not given")
            }
        }
    }
}

impl Serialize for Unchecked {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
