//! Certify and recertify by randomized smoothing.
//!
//! The crate has two halves that share nothing but the ledger:
//!
//! - [`run`] *collects*: it classifies noisy samples of inputs and writes every answer to the
//!   ledger, in any order, with any number of workers, and with any number of interruptions.
//! - [`bound`] *concludes*: it consists of pure functions from counts to certificates.
//!
//! [`certify`], [`predict`] and [`recertify`] consist of one collection and one conclusion.
//! [`recertify_auto`] decides in between which samples the modified network runs on
//! ([`budget`]); [`baseline`] is what that is compared with. `SOUNDNESS.md` has the statement
//! of every method with its proof.

#![forbid(unsafe_code)]

mod auto;
pub mod baseline;
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
    Auto, PilotAnswers, PilotPlan, ROUNDS, RecertificationPlan, recertify_auto, recertify_part,
    recertify_until,
};
pub use certify::certify;
pub use error::{Error, ErrorKind};
pub use inputs::Inputs;
pub use margin::{edges, margin_code};
pub use predict::predict;
pub use recert_ledger::Sides;
pub use recertify::{Irs, Method, Recertify, finished_inputs, recertify, stopped_inputs};
pub use run::{Observer, Outcome, Run, Silent, Threads, Workers, noise_sigma};
pub use until::certify_until;
