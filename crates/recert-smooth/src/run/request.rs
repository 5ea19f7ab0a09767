//! Requests to workers and their replies: plain data that can be sent to other processes and
//! machines.

use std::collections::BTreeMap;

use recert_ledger::{Codes, INVALID, MARGIN_BUCKETS, Selection};
use recert_noise::Stream;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::noise::NoiseParameters;
use super::samples::Samples;
use super::selection::top_class;
use crate::{Error, ErrorKind};

/// Samples of one input for some networks to evaluate. A worker that has the networks and
/// the data needs to know nothing else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The request's number, which the reply repeats. A process's numbers begin at a random
    /// one, so that no two requests have the same, of whatever runs and processes.
    pub id: u64,
    /// The noise of the samples.
    pub noise: NoiseParameters,
    /// The stream that the samples belong to.
    #[serde(with = "crate::serial::stream")]
    pub stream: Stream,
    /// The input's position in the data.
    pub input: u32,
    /// The SHA-256 of the input's pixels. A worker that loads the input itself
    /// compares it.
    #[serde(with = "crate::serial::sha256")]
    pub sha256: [u8; 32],
    /// What each network must do; no network occurs twice.
    pub assignments: Vec<Assignment>,
}

/// What one network must do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assignment {
    /// The network's position in [`Workers::networks`](super::Workers::networks).
    pub network: usize,
    /// The samples to answer.
    pub samples: Samples,
    /// What to make of the answers.
    pub action: Action,
}

/// What to make of a network's answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Action {
    /// Select a class by the samples, which are selection samples.
    Select {
        /// Whether to find margin edges too.
        margins: bool,
    },
    /// Return the class answered on each sample.
    Answer {
        /// How to code margins; `None` if they are not wanted.
        margins: Option<MarginEdges>,
    },
}

/// How margins are coded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MarginEdges {
    /// The class whose margin is coded.
    pub class: u16,
    /// The upper edges of the margin buckets but the last, ascending.
    pub edges: Vec<f32>,
}

/// A worker's reply to a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// The request's number.
    pub id: u64,
    /// The request's [`Request::digest`], by which the coordinator tells that this is the reply
    /// to the very request that it sent.
    #[serde(with = "crate::serial::sha256")]
    pub request: [u8; 32],
    /// The time from the request's arrival to the reply, in microseconds.
    pub micros: u64,
    /// Each network's result, in the order of the assignments. The failure of one network
    /// does not affect the others.
    pub results: Vec<Result<Output, Failure>>,
}

/// One network's result, with the time that its answers and its share of the noise took, in
/// microseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Output {
    /// For [`Action::Select`].
    Selected {
        /// Valid answers, by class.
        counts: BTreeMap<u16, u64>,
        /// Invalid answers.
        invalid: u64,
        /// Margin edges, where they are wanted and the network gives logits.
        edges: Option<Vec<f32>>,
        /// The time.
        micros: u64,
    },
    /// For [`Action::Answer`].
    Answered {
        /// The class answered on each sample, or [`recert_ledger::INVALID`].
        classes: Vec<u16>,
        /// The margin bucket of each sample, where margins are wanted.
        margins: Option<Vec<u8>>,
        /// The time.
        micros: u64,
    },
}

/// Why a network did not answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of failure it is.
    pub kind: ErrorKind,
    /// What went wrong.
    pub message: String,
    /// Of a failure of an engine, what kind that engine states, and what it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<EngineFailure>,
}

/// What an engine states of its failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineFailure {
    /// What kind of failure it is.
    pub kind: recert_engine::ErrorKind,
    /// The setting that it is about.
    pub setting: Option<recert_engine::Setting>,
}

/// A network's result in the form that the ledger records.
pub(super) enum Checked {
    Selection(Selection),
    Answers(Codes, u64),
}

impl Request {
    /// The samples to make: those that any of the networks must answer.
    ///
    /// ```
    /// # use recert_smooth::run::{Action, Assignment, NoiseParameters, Request, Samples};
    /// let assignment = |network, samples| Assignment {
    ///     network,
    ///     samples,
    ///     action: Action::Answer { margins: None },
    /// };
    /// let request = Request {
    ///     id: 1,
    ///     noise: NoiseParameters {
    ///         generator: recert_noise::GENERATOR.into(),
    ///         seed: 7,
    ///         sigma: 0.25,
    ///     },
    ///     stream: recert_noise::Stream::Certify,
    ///     input: 3,
    ///     sha256: [0; 32],
    ///     assignments: vec![
    ///         assignment(0, Samples::first(4)),
    ///         assignment(1, Samples::from_ascending(&[2, 9])),
    ///     ],
    /// };
    /// assert_eq!(request.samples(), Samples::from_ascending(&[0, 1, 2, 3, 9]));
    ///
    /// // To another process, as JSON.
    /// let text = serde_json::to_string(&request)?;
    /// assert_eq!(serde_json::from_str::<Request>(&text)?, request);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn samples(&self) -> Samples {
        Samples::union(
            self.assignments
                .iter()
                .map(|assignment| &assignment.samples),
        )
    }

    /// What is asked of one network alone. The request keeps its number, and is another one
    /// by its digest.
    pub(super) fn of(&self, assignment: &Assignment) -> Self {
        Self {
            assignments: vec![assignment.clone()],
            noise: self.noise.clone(),
            ..*self
        }
    }

    /// SHA-256 of the request as JSON without white space: its number and everything that is
    /// asked. The reply repeats it.
    pub fn digest(&self) -> [u8; 32] {
        let text = serde_json::to_vec(self).expect("all of it is numbers and text");
        Sha256::digest(text).into()
    }

    /// The reply to this request with these results, `micros` microseconds after it arrived.
    pub(super) fn reply(&self, micros: u64, results: Vec<Result<Output, Failure>>) -> Reply {
        Reply {
            id: self.id,
            request: self.digest(),
            micros,
            results,
        }
    }

    /// The reply to this request that reports the same failure for every network.
    pub fn failed(&self, failure: &Failure) -> Reply {
        self.reply(0, vec![Err(failure.clone()); self.assignments.len()])
    }
}

impl Failure {
    /// A failure of this kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            engine: None,
        }
    }
}

impl From<Error> for Failure {
    /// The error's message, followed by the messages of its causes that it does not contain.
    fn from(error: Error) -> Self {
        let mut message = error.to_string();
        let mut cause = std::error::Error::source(&error);
        let mut engine = None;
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<recert_engine::Error>() {
                engine = Some(EngineFailure {
                    kind: error.kind(),
                    setting: error.setting(),
                });
            }
            let text = error.to_string();
            if !message.contains(&text) {
                message = format!("{message}: {text}");
            }
            cause = error.source();
        }
        Self {
            engine,
            ..Self::new(error.kind(), message)
        }
    }
}

impl From<Failure> for Error {
    /// The error that the worker had, with the engine's as its cause where it was one.
    fn from(failure: Failure) -> Self {
        let error = Self::new(failure.kind, failure.message.clone());
        let Some(EngineFailure { kind, setting }) = failure.engine else {
            return error;
        };
        let cause = recert_engine::Error::external(kind, failure.message, None);
        error.because(match setting {
            Some(setting) => cause.about(setting),
            None => cause,
        })
    }
}

impl Assignment {
    /// Converts the output of a network with this many classes to the form that the ledger
    /// records, or returns how it does not fit the assignment.
    pub(super) fn check(&self, output: Output, classes: u32) -> Result<Checked, &'static str> {
        let is_class = |class: u16| class != INVALID && u32::from(class) < classes;
        match (&self.action, output) {
            (
                Action::Select { margins },
                Output::Selected {
                    counts,
                    invalid,
                    edges,
                    micros,
                },
            ) => {
                let add = |sum: u64, count: &u64| sum.checked_add(*count);
                let samples = self.samples.len();
                if counts.values().try_fold(invalid, add) != Some(samples) {
                    return Err("it does not count every selection sample once");
                }
                if !counts.keys().all(|&class| is_class(class)) {
                    return Err("it counts answers of a class that the network does not have");
                }
                let ascending = |edges: &Vec<f32>| {
                    edges.len() + 1 == usize::from(MARGIN_BUCKETS) && edges.is_sorted()
                };
                if edges
                    .as_ref()
                    .is_some_and(|edges| !margins || !ascending(edges))
                {
                    return Err("it has margin edges that were not asked for, or malformed ones");
                }
                Ok(Checked::Selection(Selection {
                    samples,
                    class: top_class(&counts),
                    counts,
                    invalid,
                    edges,
                    micros,
                }))
            }
            (
                Action::Answer { margins: wanted },
                Output::Answered {
                    classes: answers,
                    margins,
                    micros,
                },
            ) => {
                let samples = self.samples.len() as usize;
                let buckets = |margins: &Vec<u8>| {
                    margins.len() == samples && margins.iter().all(|&m| m < MARGIN_BUCKETS)
                };
                if answers.len() != samples || !margins.as_ref().is_none_or(buckets) {
                    return Err("it does not have exactly one valid answer code for each sample");
                }
                if !(answers.iter()).all(|&answer| answer == INVALID || is_class(answer)) {
                    return Err("it has an answer of a class that the network does not have");
                }
                if wanted.is_some() != margins.is_some() {
                    return Err("it has margins that were not asked for, or lacks those that were");
                }
                let codes = Codes {
                    classes: answers,
                    margins,
                };
                Ok(Checked::Answers(codes, micros))
            }
            _ => Err("it is a selection where answers were asked for, or the reverse"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_of_an_engine_keeps_its_kind_and_what_it_is_about() {
        use recert_engine::{ErrorKind as Kind, Setting};
        let engine = recert_engine::Error::external(Kind::EngineMissing, "the GPU is gone", None);
        let failure = Failure::from(Error::from(engine.about(Setting::Device)));
        // As a worker elsewhere sends it.
        let text = serde_json::to_string(&failure).unwrap();
        let error = Error::from(serde_json::from_str::<Failure>(&text).unwrap());
        assert_eq!(error.kind(), ErrorKind::Engine);
        let cause = std::error::Error::source(&error).unwrap();
        let cause = cause.downcast_ref::<recert_engine::Error>().unwrap();
        assert_eq!(cause.kind(), Kind::EngineMissing);
        assert_eq!(cause.setting(), Some(Setting::Device));
        // Others have none.
        let failure = Failure::new(ErrorKind::Data, "no such image");
        assert!(std::error::Error::source(&Error::from(failure)).is_none());
    }
}
