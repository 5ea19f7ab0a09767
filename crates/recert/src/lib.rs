//! Certify once, recertify every change.
//!
//! The one stable API of recert: [`job`] runs whole jobs, and the crates it is
//! made of stand below it under short names.
//!
//! - [`job`]: certify, predict, recertify, approximate, check, report.
//! - [`smooth`]: the runs and bounds; [`ledger`]: where they are kept.
//! - [`graph`]: read ONNX networks; [`net`]: approximate them; [`calibrate`]
//!   for int8.
//! - [`engine`]: run them; [`identity`] ties a loaded network to a ledger.
//! - [`data`]: the inputs; [`noise`]: the samples; [`num`]: the bounds.
//! - [`samples`]: how many samples a radius, or an error, takes.
//! - [`report`]: metrics, tables, HTML; [`reporting`] fills it from ledgers.
//! - [`check`]: independent re-verification of a ledger.
//!
//! Everything in [`job`] fails with one [`Error`] of a [kind](ErrorKind), which
//! names the [`Field`] at fault.

#![forbid(unsafe_code)]

pub use recert_check as check;
pub use recert_data as data;
pub use recert_engine as engine;
pub use recert_graph as graph;
pub use recert_ledger as ledger;
pub use recert_net as net;
pub use recert_noise as noise;
pub use recert_num as num;
pub use recert_report as report;
pub use recert_smooth as smooth;

mod calibration;
mod error;
mod field;
mod identity;
pub mod job;
pub mod output;
pub mod reporting;
pub mod samples;

pub use calibration::{CalibrationNoise, calibrate};
pub use error::{Error, ErrorKind, Result};
pub use field::Field;
pub use identity::identity;
