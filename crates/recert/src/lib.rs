//! Certify once, recertify every change.
//!
//! The one stable API of recert: the crates it is made of under short names,
//! and the few pieces that need several of them at once.
//!
//! - [`smooth`]: certify, predict, recertify; [`ledger`]: where it is kept.
//! - [`graph`]: read ONNX networks; [`net`]: approximate them; [`calibrate`]
//!   for int8.
//! - [`engine`]: run them; [`identity`] ties a loaded network to a ledger.
//! - [`data`]: the inputs; [`noise`]: the samples; [`num`]: the bounds.
//! - [`report`]: metrics, tables, HTML; [`reporting`] fills it from ledgers.
//! - [`check`]: independent re-verification of a ledger.

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
mod identity;
pub mod reporting;

pub use calibration::{CalibrationNoise, calibrate};
pub use identity::identity;
