//! Deterministic robustness certificates by bound propagation.
//!
//! Given a network, a [`Region`] of inputs and a [`Property`] of outputs, this crate computes
//! lower bounds of the property's rows that hold for every input of the region, for the
//! network as a function on real numbers with the file's weights. Lower bounds are never
//! above the true minimum: what f64 rounds is charged against them (`SOUNDNESS.md`,
//! "Deterministic bounds").
//!
//! From the cheapest method to the one that always decides:
//!
//! | method | function |
//! |---|---|
//! | interval bounds, with the property merged into the last layer | [`interval`], [`lower_interval`] |
//! | CROWN | [`crown`], [`lower`] |
//! | alpha-CROWN: slopes chosen for each row | [`optimized`], and [`tightened`] for values between |
//! | branch and bound over unstable neurons | [`branch_and_bound`] |
//!
//! ```
//! use recert_bounds::{
//!     Ascent, Network, Options, Outcome, Property, Region, Search, Slopes, branch_and_bound, crown,
//!     lower, optimized,
//! };
//! use recert_graph::{Builder, Model};
//!
//! # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../recert-net/tests/golden/residual.onnx");
//! let network = Network::for_labels(&Builder::new(&Model::read(path)?).build()?)?;
//! let image = vec![0.5; network.inputs()];
//! let outputs = network.evaluate(&image);
//! let answer = (0..outputs.len()).max_by(|&a, &b| outputs[a].total_cmp(&outputs[b])).unwrap();
//!
//! // Does the network answer the same class within 1/1000 in every pixel?
//! let region = Region::linf(&image, 0.001)?;
//! let property = Property::label(network.outputs(), answer)?;
//! let (rows, options) = (property.rows(), Options::default());
//! let bounds = crown(&network, &region, options)?;
//! let margins = lower(&network, &region, &bounds, &rows, &Slopes::default(), options)?;
//! if !property.verified(&margins) {
//!     let start = Slopes::default();
//!     let ascent = Ascent::default();
//!     let found = optimized(&network, &region, &bounds, &rows, &start, ascent, options)?;
//!     let (slopes, search) = (found.slopes, Search { nodes: 100, ..Search::default() });
//!     match branch_and_bound(&network, &region, &bounds, &property, &slopes, search, options)? {
//!         Outcome::Verified { .. } => println!("verified"),
//!         Outcome::Candidate { point, .. } => println!("{point:?} may be a counterexample"),
//!         _ => println!("unknown"),
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! This crate knows no inference engine, noise, ledger, data format or command line.
//!
//! # Adding a relaxation
//!
//! A function of one number is a variant of `Nonlinearity` in `relax.rs` and a file in `relax/`: its
//! value and derivative, bounds of its range, and lines whose offsets are proved to lie on
//! their side; a linear layer is a file in `step/`; either is lowered in `network/`. The suite
//! `tests/suite/layers.rs` then holds it to the reference interpreter.
#![forbid(unsafe_code)]

mod alpha;
pub mod attack;
mod backward;
mod block;
mod bounds;
mod branch;
mod buffers;
mod cover;
mod crown;
mod error;
mod family;
pub mod features;
mod gemm;
pub mod geometric;
mod ground;
mod hybrid;
mod incremental;
mod interval;
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
mod terms;
pub mod vnnlib;

pub use alpha::{Ascent, Fractions, Optimized, Tightened, TightenedNeurons, optimized, tightened};
pub use bounds::Bounds;
pub use branch::{Leaf, Outcome, Search, branch_and_bound, branch_and_bound_from};
pub use crown::{
    crown, crown_counted, crown_without_intersection, interval, lower, lower_interval,
};
pub use error::{Error, ErrorKind, Result};
pub use family::Within;
pub use incremental::{Known, Reuse, Transferred, recorded, transfer};
pub use network::{Activation, Network};
pub use options::Options;
pub use property::{Constraint, Property, Rows};
pub use region::{Linear, Region};
pub use slopes::{ActivationSlopes, Slopes};
pub use split::{Constrained, Split};
