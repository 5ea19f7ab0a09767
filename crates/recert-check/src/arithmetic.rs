//! Arithmetic of the checker's own: numbers of 106 bits with their error, the
//! bounds that the prover rounds on the way to, and exact sums of shares.
//!
//! `recert-num` gives the Clopper-Pearson bounds, normal quantiles and directed
//! operations that are stated as such. Whatever the prover computes beyond these
//! is computed here by another route, and so closely that what is left open is
//! below anything that the prover's own rounding leaves.

mod ball;
mod cells;
mod dd;
mod gamma;
mod joint;
mod shares;

pub(crate) use cells::{Coded, coded_bound};
pub(crate) use joint::{Cell, lower_bound};
pub(crate) use shares::at_most;

/// The share of the numbers that go into a bound by which the prover's rounding
/// may lower it: 64 units in the last place.
const ROUNDING: f64 = f64::from_bits((1023 - 47) << 52);

/// A bound, and how far below it the prover's rounding may end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Proved {
    pub(crate) bound: f64,
    pub(crate) slack: f64,
}

impl Proved {
    /// Whether a stated bound is proved, and no weaker than its rounding makes it.
    pub(crate) fn covers(self, stated: f64) -> bool {
        stated <= self.bound && stated >= self.bound - self.slack
    }
}
