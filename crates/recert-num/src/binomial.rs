//! Binomial tails and Clopper-Pearson bounds, enclosed with proven errors.
//!
//! Everything rests on one quantity, the upper tail `T = P(X >= k)` of `X ~ Bin(n, P)`
//! for `P` and `Q = 1 - P` given as exact double-doubles:
//!
//! * the probability of `k` itself from the saddle-point form ([`mass`], Loader 2000),
//! * times either the sum of the ratios of successive probabilities ([`series`]), when
//!   `k` or `n - k` is small, or an integral ([`quadrature`]), when both are large.
//!
//! The modules state and prove the error of each part; [`tail`] combines them into an interval
//! that contains `T`. No step relies on the accuracy of
//! the platform's `exp`, `ln` or gamma functions, only on IEEE 754 arithmetic with
//! rounding to nearest.

mod clopper_pearson;
mod mass;
mod quadrature;
mod series;
mod tail;

pub use clopper_pearson::{
    CLOPPER_PEARSON_SLACK, MAX_ALPHA, MIN_ALPHA, clopper_pearson_lower, clopper_pearson_upper,
};
pub use tail::{
    TAIL_FLOOR, TAIL_SLACK, binomial_tail_lower, binomial_tail_upper, fair_coin_p_value_upper,
};

use crate::error::Error;

/// The largest number of trials that the bounds of this crate are proved for: `2^40`.
pub const MAX_TRIALS: u64 = 1 << 40;

/// Checks `k <= n <= MAX_TRIALS`.
pub(crate) fn check_counts(k: u64, n: u64) -> Result<(), Error> {
    if n > MAX_TRIALS {
        return Err(Error::domain(format!(
            "{n} trials are more than the {MAX_TRIALS} that the binomial bounds are proved for"
        )));
    }
    if k > n {
        return Err(Error::domain(format!("{k} successes in {n} trials")));
    }
    Ok(())
}
