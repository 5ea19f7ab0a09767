//! Metrics, tables, plots, HTML and Cohen-format logs.
//!
//! A [`Report`] is a plain struct that the caller fills: runs (one network on
//! one set of inputs at one noise level by one method), each with a row an
//! input. From it this crate makes
//!
//! - [`Metrics`]: certified accuracy, average certified radius, cost, and the
//!   [speed-up](speed_up) of recertifying over certifying from scratch;
//! - [`table::render`]: tables for a terminal;
//! - [`json::to_string`]: a versioned JSON document, which can be read back;
//! - [`html::render`]: one self-contained HTML page with plots;
//! - [`cohen`]: the field's tab-separated logs, written line by line and read.
//!
//! Besides, [`samples`] shows how many samples a certificate needs, and [`features`] what proofs by
//! bounds rest on, [`sweep`] networks of a family of trainings, with the Pareto front, and [`layers`] what changing
//! each layer of a network alone does, and [`tuned`] what a search among versions of a network found.
//!
//! The crate knows no ledger, no network, no noise and no statistics: it prints
//! the bounds that it is given, and never rounds a lower bound up or an upper
//! bound down. Texts of a report, such as file names and labels, may be hostile:
//! HTML and SVG are written by a library that escapes them, and control
//! characters are replaced before any text is shown.
#![forbid(unsafe_code)]

pub mod cohen;
pub mod features;
pub mod html;
pub mod json;
pub mod layers;
pub mod samples;
pub mod speed_up;
pub mod sweep;
pub mod table;
pub mod tuned;

pub mod csv;
mod error;
mod mean;
mod metrics;
mod model;
mod plot;
mod run_tables;
mod series;
mod summary;
mod terms;
mod text;
mod verified;

pub use error::{Error, ErrorKind};
pub use metrics::{Metrics, Share, certified_accuracy, certified_share, default_radii};
pub use model::{Goal, Law, Method, Report, Row, Run};
pub use verified::{Verdict, Verified, VerifiedMetrics, VerifiedOutcome};
