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

mod alpha;
mod backward;
mod block;
mod bounds;
mod branch;
mod crown;
mod error;
mod gemm;
mod ground;
mod layout;
mod network;
mod options;
mod property;
mod region;
mod relax;
mod relaxation;
mod rounding;
mod row_lines;
mod slopes;
mod split;
mod step;

pub use alpha::{Ascent, Optimized, optimized, tightened};
pub use bounds::Bounds;
pub use branch::{Leaf, Outcome, Search, branch_and_bound};
pub use crown::{crown, crown_without_intersection, interval, lower, lower_interval};
pub use error::{Error, ErrorKind, Result};
pub use network::{Activation, Network};
pub use options::Options;
pub use property::{Constraint, Property, Rows};
pub use region::{Linear, Region};
pub use slopes::{ActivationSlopes, Slopes};
pub use split::{Constrained, Split};
