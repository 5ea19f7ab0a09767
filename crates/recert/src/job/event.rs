//! What a running job reports to whoever started it.

use std::time::Duration;

use recert_ledger::{Certificate, Input, Network, Task, Verification, VerificationResult};
use recert_report::features::ExplainedInput;

use super::remark::Remark;

/// Watches a job, and may stop it. Any `FnMut(Event<'_>)` is one that never does.
pub trait Events {
    /// Something happened.
    fn event(&mut self, event: Event<'_>);

    /// Whether to stop: what is in flight is finished and written first, and the
    /// same job again goes on from there. It is asked about once a second.
    fn stop(&self) -> bool {
        false
    }
}

impl<F: FnMut(Event<'_>)> Events for F {
    fn event(&mut self, event: Event<'_>) {
        self(event);
    }
}

/// Something that happened in a job.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event<'a> {
    /// Something that a person should know.
    Remark(Remark),
    /// A pass over the inputs begins; its ledger is open. A job through a faster
    /// network is two passes, every other job one.
    PassStarted(Pass),
    /// What a part of the pass needs, and how much of it the ledger has already.
    Started {
        /// Evaluations, over all inputs and networks.
        evaluations: u64,
        /// Those of them that are in the ledger.
        done: u64,
    },
    /// So many more evaluations are in the ledger.
    Evaluated {
        /// Evaluations since the last such event.
        evaluations: u64,
    },
    /// A network is done with an input. Inputs come in their order, except where
    /// each stops at a radius: there they come as they are done.
    Concluded {
        /// The network, by its positions among those given to the job: several
        /// if it was given several times.
        networks: &'a [usize],
        /// The input.
        input: &'a Input,
        /// What was concluded.
        certificates: &'a [Certificate],
        /// The certificate that stands for the input in a table or log, if this
        /// is where it is made.
        row: Option<&'a Certificate>,
        /// Samples behind that row with a NaN or infinite logit.
        invalid: u64,
    },
    /// A pass ended, whether it is complete, was stopped or failed.
    PassEnded {
        /// Whether every input is concluded.
        finished: bool,
    },
    /// A verification by bounds begins; its ledger is open.
    VerifyStarted(VerifyPass<'a>),
    /// There is a verdict. They come in the order of the inputs or files, each as soon as those
    /// before it are there; where a run ends early, without those that are missing.
    Verified {
        /// What was to hold.
        verification: &'a Verification,
        /// The input; `None` for a VNN-LIB file.
        input: Option<&'a Input>,
        /// The verdict, and what it rests on.
        result: &'a VerificationResult,
    },
    /// An explanation begins.
    ExplainStarted {
        /// How many inputs there are.
        inputs: usize,
    },
    /// An input is explained. They come as they are done.
    Explained {
        /// What its proofs rest on.
        input: &'a ExplainedInput,
    },
    /// What a verification that began from another network's cost beside that one; once, before
    /// it ends.
    Saved(Saved),
    /// A verification by bounds ended, whether it is complete, was stopped or failed.
    VerifyEnded {
        /// Whether there is a verdict on everything.
        finished: bool,
    },
}

/// What the new results of a verification cost that began from another network's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Saved {
    /// The number of results.
    pub inputs: usize,
    /// How many of them a transfer of bounds decided.
    pub transferred: usize,
    /// Rows that transfers carried backwards through the network, over all layers.
    pub rows: u64,
    /// Time spent, of all workers together.
    pub time: Duration,
    /// The time that the original's results on the same inputs took.
    pub original_time: Duration,
}

/// A verification by bounds.
#[derive(Debug, Clone, Copy)]
pub struct VerifyPass<'a> {
    /// What is to hold of each input, or of the first file.
    pub verification: &'a Verification,
    /// The network.
    pub network: &'a Network,
    /// Channels, height and width of its images, and of counterexamples.
    pub shape: [usize; 3],
    /// How many inputs or files there are.
    pub tasks: usize,
    /// How many of them have a verdict in the ledger.
    pub done: usize,
}

/// A pass over the inputs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pass {
    /// What it does.
    pub kind: PassKind,
    /// The number of inputs.
    pub inputs: usize,
    /// The number of networks that were given.
    pub networks: usize,
    /// Standard deviation of the noise, in units of pixels in [0, 1].
    pub sigma: f64,
    /// What its rows show; `None` for a pass that is a means to another and has none.
    pub rows: Option<Rows>,
}

/// Which of an input's certificates its row shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rows {
    /// The method, by its name in the ledger.
    pub method: &'static str,
    /// Samples of a modified network per input that the row rests on; `None` for
    /// `auto`, where they differ, and for what is not a recertification.
    pub samples: Option<u64>,
    /// Evaluations over all inputs that `auto` may spend for it, where it has a
    /// budget: the largest of several.
    pub budget: Option<u64>,
    /// The average radius that `auto` aims at, of any class, in units of sigma: no plan sees a
    /// label, so that this is not the average certified radius of labelled inputs.
    pub target: Option<f64>,
    /// How many certificates the pass makes of each input, of which the row shows
    /// one.
    pub among: usize,
}

/// What a pass does with its inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PassKind {
    /// Certifies them from scratch.
    Certify,
    /// Predicts their classes.
    Predict,
    /// Recertifies them.
    Recertify,
}

impl From<Task> for PassKind {
    fn from(task: Task) -> Self {
        match task {
            Task::Predict => Self::Predict,
            _ => Self::Certify,
        }
    }
}
