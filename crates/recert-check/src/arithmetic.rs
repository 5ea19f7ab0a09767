//! The checker's own arithmetic: 106-bit numbers with error bounds, joint bounds and bounds
//! over cells, and exact sums of shares.
//!
//! Clopper-Pearson bounds, normal quantiles and operations with directed rounding come from
//! `recert-num`. Everything that the prover computes beyond these is computed here by another
//! method, with an error smaller than that of the prover's own rounding.

mod ball;
mod cells;
mod dd;
mod gamma;
mod joint;
mod shares;
mod tail;

pub(crate) use cells::{Coded, coded_bound};
pub(crate) use joint::{Cell, lower_bound};
pub(crate) use shares::at_most;
pub(crate) use tail::{Lattice, tail_bound};

/// The most that the prover's rounding may lower a bound, relative to the size of the numbers
/// in its computation: 64 units in the last place.
const ROUNDING: f64 = f64::from_bits((1023 - 47) << 52);

/// A proved bound, and how far below it the prover's rounding may end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Proved {
    pub(crate) bound: f64,
    pub(crate) slack: f64,
}

impl Proved {
    /// Whether a stated bound is proved, and not lower than rounding explains.
    pub(crate) fn covers(self, stated: f64) -> bool {
        stated <= self.bound && stated >= self.bound - self.slack
    }
}
