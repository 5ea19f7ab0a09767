//! Float32 inference for image classifiers, with the same bits on every processor.

mod across;
mod conv;
mod depthwise;
mod error;
mod gemm;
mod grouped;
mod ir;
mod lower;
mod memory;
mod plan;
mod pointwise;
mod pool;
mod program;
mod rearrange;
mod simd;
mod tile;

pub use error::{Error, ErrorKind, Result};
pub use program::{Executor, Output, Program};
pub use simd::Isa;

/// The revision of the arithmetic. It changes whenever some bit of some
/// network's outputs may change, and with nothing else.
pub const ARITHMETIC: &str = "1";

#[cfg(test)]
mod tests;
