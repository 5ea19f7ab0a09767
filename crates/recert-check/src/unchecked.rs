//! What a check leaves unchecked, and why.

use std::fmt;

use serde::{Serialize, Serializer};

/// Something that a check does not show. Serialized, it is the sentence that it displays as.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Unchecked {
    /// Fields that cannot be derived, in a ledger without a seal.
    Unsealed {
        /// The version of its schema.
        schema: i64,
    },
    /// Inputs that have no certificate by a claim.
    Unconcluded {
        /// The number of inputs without a certificate.
        missing: u64,
        /// The number of inputs of the ledger.
        inputs: u64,
        /// The claim's method.
        method: String,
        /// The number of samples that the claim states.
        samples: u64,
        /// The network's number in the ledger.
        network: i64,
        /// The claim's failure probability.
        alpha: f64,
    },
    /// That priors, tilts and samples were chosen before the answers were seen.
    Priors,
    /// That the answers are the networks', if none was run again.
    Answers,
    /// That the answers not run again are the networks'.
    OtherAnswers {
        /// The number of samples run again.
        rerun: u64,
        /// The number of answers in the ledger.
        answers: u64,
    },
    /// The reason for differences in a rerun, if answers may depend on the batch.
    BatchDependent,
    /// The answers of a network whose model file was not given.
    NoModel {
        /// The model's file, by the ledger.
        file: String,
    },
}

impl fmt::Display for Unchecked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsealed { schema: ..2 } => f.write_str(
                "changes of fields that cannot be derived (names, labels, times, hashes): the \
                 ledger has no seal, as ledgers of schema 1 never have",
            ),
            Self::Unsealed { .. } => f.write_str(
                "changes of fields that cannot be derived (names, labels, times, hashes): the \
                 ledger has no seal, since a run is writing to it or ended without closing it (the \
                 same command again seals it)",
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
                "that the tuning parameters of the bounds, and the samples of auto, were chosen \
                 before the answers that they are applied to were seen",
            ),
            Self::Answers => f.write_str(
                "that answers, margins and selections are what the recorded networks answer on \
                 the recorded inputs and noise; running the networks again would show it",
            ),
            Self::OtherAnswers { rerun, answers } => write!(
                f,
                "that the answers and margins not run again are what the recorded networks answer \
                 on the recorded noise ({rerun} of {answers} were run again)"
            ),
            Self::BatchDependent => f.write_str(
                "whether the answers that differ come from another network or other noise: the \
                 engine's answers may depend on the batch that an image is in, so a few may differ \
                 where two classes are nearly tied",
            ),
            Self::NoModel { file } => {
                write!(f, "the answers of {file}, whose model file was not given")
            }
        }
    }
}

impl Serialize for Unchecked {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
