//! Certify and recertify by randomized smoothing.
//!
//! Two halves that meet in the ledger:
//!
//! - [`run`] *collects*: it sends noisy samples of inputs through a classifier
//!   and writes every answer to the ledger, in any order, on any number of
//!   threads, interrupted as often as it likes.
//! - [`bound`] *concludes*: pure functions from counts to certificates.
//!
//! [`certify`], [`predict`] and [`recertify`] are one collection and one
//! conclusion each. What each claims, and why it holds, is in `SOUNDNESS.md`.

#![forbid(unsafe_code)]

mod auto;
pub mod bound;
pub mod budget;
mod certify;
mod error;
mod inputs;
mod margin;
mod predict;
mod recertify;
pub mod run;
mod serial;
mod until;

pub use auto::{
    Auto, PilotAnswers, PilotPlan, RecertificationPlan, recertify_auto, recertify_until,
};
pub use certify::certify;
pub use error::{Error, ErrorKind};
pub use inputs::Inputs;
pub use margin::{edges, margin_code};
pub use predict::predict;
pub use recert_ledger::Sides;
pub use recertify::{Irs, Method, Recertify, finished_inputs, recertify};
pub use run::{Observer, Outcome, Run, Silent, Threads, Workers, noise_sigma};
pub use until::certify_until;
