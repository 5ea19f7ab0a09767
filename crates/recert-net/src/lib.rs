//! The ONNX graph: read, fingerprint, and rewrite (prune, half precision, int8)
//!
//! This crate deliberately knows no inference engine, no noise and no data
//! format. [`Model`] is a network as read from a file, with the SHA-256 of its
//! bytes, its image input and class output ([`Signature`]), its operators and
//! its weights. Rewrites make an approximation of it, with a report
//! ([`Changes`]) of what they did; the same words go into the file's metadata
//! (`recert.approximation`, `recert.arithmetic`, `recert.source_sha256`):
//!
//! | rewrite | the result |
//! |---|---|
//! | [`fold_batchnorm`] | the same function over the reals, with fewer operators |
//! | [`prune`] | weights of least magnitude are zero |
//! | [`half()`] | weights and biases rounded to float16 or bfloat16 |
//! | [`quantize_int8`] | int8 weights and uint8 activations, ranges calibrated by the caller |
//!
//! None of the last three writes a network whose weights are all as before:
//! that is an error, since certifying it again would say nothing.
//!
//! ```
//! use recert_net::{Model, PruneScope, prune};
//!
//! # fn main() -> recert_net::Result<()> {
//! # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/residual.onnx");
//! let network = Model::read(path)?;
//! assert_eq!(network.signature()?.input.name, "image");
//! let (pruned, changes) = prune(&network, 0.3, PruneScope::PerLayer)?;
//! assert_ne!(pruned.sha256(), network.sha256());
//! println!("{changes}");
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod changes;
mod constant;
mod draft;
mod error;
mod external;
mod file;
mod graph;
mod layers;
mod model;
mod proto;
mod rank;
mod rewrite;
mod signature;
mod tensor;
#[cfg(test)]
mod testing;
mod view;

pub use changes::{Changes, LayerChange};
pub use error::{Error, ErrorKind, Result};
pub use file::write_whole;
pub use layers::Weights;
pub use model::{Model, Operator};
pub use rewrite::{
    Calibration, HalfFormat, Int8Options, PruneScope, RangeMethod, calibration_points,
    fold_batchnorm, half, instrument, prune, quantize_int8, quantize_int8_with,
};
pub use signature::{Dim, Input, InputLayout, Output, OutputKind, Signature};
pub use tensor::ElementType;
pub use view::{Node, Number, View};
