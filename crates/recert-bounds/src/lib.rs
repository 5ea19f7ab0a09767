//! Deterministic robustness certificates by bound propagation.
//!
//! Given a network, a [`Region`] of inputs and a [`Property`] of outputs, this crate computes
//! lower bounds of the property's rows that hold for every input of the region, for the
//! network as a function on real numbers with the file's weights. Lower bounds are never
//! above the true minimum: what f64 rounds is charged against them (`SOUNDNESS.md`,
//! "Deterministic bounds").
//!
//! This crate knows no inference engine, noise, ledger, data format or command line.
#![forbid(unsafe_code)]

mod error;
mod options;
mod property;
mod region;

pub use error::{Error, ErrorKind, Result};
pub use options::Options;
pub use property::{Constraint, Property, Rows};
pub use region::{Linear, Region};
