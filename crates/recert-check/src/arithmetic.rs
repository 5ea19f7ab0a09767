//! Arithmetic of the checker's own: numbers of 106 bits with their error, the
//! joint bound, and exact sums of shares.
//!
//! `recert-num` gives the Clopper-Pearson bounds, normal quantiles and directed
//! operations that are stated as such. Whatever the prover computes beyond these
//! is computed here by another route, and so closely that what is left open is
//! below anything that the prover's own rounding leaves.

mod ball;
mod dd;
mod gamma;
mod joint;
mod shares;

pub(crate) use joint::{Cell, Proved, lower_bound};
pub(crate) use shares::at_most;
