//! Certify once, recertify every change.
//!
//! The one stable API of recert: [`job`] runs whole jobs, and this crate re-exports
//! the lower crates under short names.
//!
//! ```
//! use recert::engine::ImageShape;
//! use recert::job::{CertifyConfig, Data, Event, Network, Outcome, certify};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Two images of two pixels; `Data::open` reads files.
//! let image = ImageShape { channels: 1, height: 1, width: 2 };
//! let data = Data::from_pixels("two dots", image, &[0.0, 0.2, 0.9, 1.0], None)?;
//! // A function as the network; `Network::open` reads an ONNX file.
//! let network = Network::from_fn("bright", 2, image, |pixels| {
//!     Some(u16::from(pixels[0] + pixels[1] > 1.0))
//! })?;
//! let config = CertifyConfig { n: 1000, ..CertifyConfig::new(0.25) };
//! # let folder = tempfile::tempdir()?;
//! # let ledger = folder.path().join("dots.recert");
//! // `ledger` is the path of a file that the run makes, or resumes.
//! let job = certify(&ledger, &config, &data, &network)?;
//! let outcome = job.run(&mut |event: Event<'_>| {
//!     if let Event::Concluded { input, row: Some(certificate), .. } = event {
//!         println!("{}: {:?} within {}", input.idx, certificate.class, certificate.radius);
//!     }
//! })?;
//! assert_eq!(outcome, Outcome::Finished);
//! # Ok(())
//! # }
//! ```
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
mod statements;

pub use calibration::{CalibrationNoise, calibrate};
pub use error::{Error, ErrorKind, Result};
pub use field::Field;
pub use identity::identity;
