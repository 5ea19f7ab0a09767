//! Rewrites of a network into an approximation of it: prune, half precision,
//! int8.
//!
//! This crate deliberately knows no inference engine, no noise and no data
//! format. A rewrite takes a [`Model`] and makes another one, with a report
//! ([`Changes`]) of what it did; the same words go into the file's metadata
//! (`recert.approximation`, `recert.arithmetic`, `recert.source_sha256`):
//!
//! | rewrite | the result |
//! |---|---|
//! | [`fold_batchnorm`] | the same function over the reals, with fewer operators |
//! | [`prune`] | weights of least magnitude are zero |
//! | [`half()`] | weights and biases rounded to float16 or bfloat16 |
//! | [`quantize_int8`] | int8 weights and uint8 activations, ranges calibrated by the caller |
//!
//! The last three change all layers or some ([`Layers`]). None of them writes a network whose weights are all as before:
//! that is an error, since certifying it again would say nothing.
//!
//! ```
//! use recert_net::{Layers, Model, PruneScope, prune};
//!
//! # fn main() -> recert_net::Result<()> {
//! # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/residual.onnx");
//! let network = Model::read(path)?;
//! assert_eq!(network.signature()?.input.name, "image");
//! let (pruned, changes) = prune(&network, 0.3, PruneScope::PerLayer, &Layers::ALL)?;
//! assert_ne!(pruned.sha256(), network.sha256());
//! println!("{changes}");
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod changes;
mod constant;
mod draft;
#[cfg(test)]
mod golden;
mod layers;
mod metadata;
mod rank;
#[cfg(test)]
mod reference;
mod rewrite;
mod selection;

pub use changes::{Changes, LayerChange};
pub use layers::{Weights, weights};
pub use metadata::with_metadata;
pub use recert_graph::{Error, ErrorKind, Model, Result};
pub use rewrite::{
    Calibration, HalfFormat, Int8Options, PruneScope, RangeMethod, calibration_points,
    fold_batchnorm, half, instrument, prune, quantize_int8, quantize_int8_with,
};
pub use selection::{Layers, with_node_names};
