//! Certify once, recertify every change.
//!
//! The one stable API of recert: [`job`] runs whole jobs, and this crate re-exports
//! the lower crates under short names.
//!
//! A network is certified into a ledger, a modified one recertified from it, and the ledger
//! checked and reported on:
//!
//! ```
//! use recert::engine::ImageShape;
//! use recert::job::{
//!     self, Amount, CertifyConfig, Data, Event, Goal, Network, Outcome, Recertification,
//!     RecertifyConfig, certify,
//! };
//! use recert::report::table;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Two images of two pixels, with labels; `Data::open` reads files.
//! let shape = ImageShape { channels: 1, height: 1, width: 2 };
//! let data = Data::from_pixels("two dots", shape, &[0.0, 0.2, 0.9, 1.0], Some(vec![0, 1]))?;
//! // Functions as networks; `Network::open` reads an ONNX file into an engine.
//! let brighter_than = |limit: f32| {
//!     let name = format!("brighter than {limit}");
//!     Network::from_fn(&name, 2, shape, move |pixels| {
//!         Some(u16::from(pixels[0] + pixels[1] > limit))
//!     })
//! };
//! let (original, modified) = (brighter_than(1.0)?, brighter_than(1.01)?);
//!
//! // Certify: n = 2,000 samples per input under noise of sigma 0.25 (in units of pixels
//! // in [0, 1]). `ledger` is the path of a file that the run makes, or resumes.
//! # let folder = tempfile::tempdir()?;
//! # let ledger = folder.path().join("dots.recert");
//! let config = CertifyConfig { n: 2000, ..CertifyConfig::new(0.25) };
//! let outcome = certify(&ledger, &config, &data, &original)?.run(&mut |event: Event<'_>| {
//!     if let Event::Concluded { input, row: Some(certificate), .. } = event {
//!         // The smoothed classifier returns the class everywhere within the radius, an
//!         // L2 distance; `None` is an abstention.
//!         println!("{}: {:?} within {}", input.idx, certificate.class, certificate.radius);
//!     }
//! })?;
//! assert_eq!(outcome, Outcome::Finished);
//!
//! // Recertify the modified network with 5 % of the evaluations.
//! let goal = Goal::Budget(vec![Amount::Percent(5.0)]);
//! let config = RecertifyConfig { goal, ..RecertifyConfig::default() };
//! let recertification = Recertification::open(&ledger, &config, 1)?;
//! recertification.job(&data, &[modified])?.run(&mut |_: Event<'_>| ())?;
//!
//! // Derive everything again by independent code, and print tables.
//! let checked = job::check(&[ledger.clone()], None)?;
//! assert_eq!(checked[0].wrong(), 0);
//! let reported = job::report(&[ledger], "Two dots")?;
//! println!("{}", table::render(&reported.report, &table::Options::default())?);
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
//! - [`bounds`]: certificates without noise, by bound propagation; [`job::verify`] runs them.
//! - `train`, with the feature of that name: networks trained through the same bounds.
//! - [`check`]: independent re-verification of a ledger.
//!
//! Everything in [`job`] fails with one [`Error`] of a [kind](ErrorKind), which
//! names the [`Field`] at fault.

#![forbid(unsafe_code)]

pub use recert_bounds as bounds;
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
#[cfg(feature = "train")]
pub use recert_train as train;

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
