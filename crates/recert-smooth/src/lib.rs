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
mod certify;
mod error;
mod margin;
pub mod plan;
mod predict;
mod recertify;
pub mod run;
mod source;
mod until;

pub use auto::{Auto, recertify_auto, recertify_until};
pub use certify::{certify, certify_plan};
pub use error::{Error, ErrorKind};
pub use margin::{edges, margin_code};
pub use predict::{predict, predict_plan};
pub use recert_ledger::Sides;
pub use recertify::{Irs, Method, Recertify, finished_inputs, recertify};
pub use run::{Observer, Outcome, Silent, Voter, noise_sigma};
pub use source::Source;
pub use until::certify_until;
