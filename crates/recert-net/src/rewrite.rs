//! Rewrites of a network into an approximation of it, one a file.

mod fold_batchnorm;
mod fold_bias;
mod half;
mod operands;
mod prune;
mod quantize_int8;

pub use fold_batchnorm::fold_batchnorm;
pub use half::{HalfFormat, half};
pub use prune::{PruneScope, prune};
pub use quantize_int8::{
    Calibration, Int8Options, RangeMethod, calibration_points, instrument, quantize_int8,
    quantize_int8_with,
};
