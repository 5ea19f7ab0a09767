//! The standard normal distribution function and its tail, enclosed from both sides.
//!
//! ## What is proved
//! With `phi(x) = exp(-x^2/2)/sqrt(2 pi)` and `u = 2^-53`:
//!
//! * `x^2` is an exact double-double, so `phi(x)` carries only the error of
//!   [`exp`] (`3u`), of the constant and of one product: `5u`.
//! * For `0 <= x <= 1.5`, `Phi(x) - 1/2 = phi(x) sum x^(2j+1)/(2j+1)!!` (all terms
//!   positive). Term `j` carries `3u` a factor, the sum of `N` terms `N u`; the cut
//!   series is below a geometric one. Together below `(4N + 8) u`, and `N <= 40`.
//! * For `x > 1.5`, `(1 - Phi(x))/phi(x) = 1/(x + 1/(x + 2/(x + 3/(x + ...))))`
//!   (Laplace). All elements are positive, so two successive convergents
//!   enclose the value. Backward evaluation with `N` elements adds, divides and
//!   never subtracts: its relative error is below `2u` a step, `2 (N + 1) u`.
//! * The other tail follows by one directed subtraction from 1 or 1/2. At `x = 1.5`
//!   this costs a factor of `0.5/0.0668 < 8`.
//!
//! The enclosures use these figures for the actual `N`. Hence every lower bound
//! is at most, and every upper bound at least, the exact value, and each is
//! within a relative [`NORMAL_SLACK`] of it for `|x| <= 37.5`. Further out the tail
//! lies below `5e-308`: lower bounds are then 0 and upper bounds that of `|x| = 37.5`.

mod quantile;

pub(crate) use quantile::quantile_guess;
pub use quantile::{normal_quantile_lower, normal_quantile_upper};

use crate::dd::{Dd, U, two_prod};
use crate::directed::{add_down, add_up, sub_down, sub_up};
use crate::elementary::exp;
use crate::error::Error;
use crate::tables::INV_SQRT_TWO_PI;
use crate::types::{LowerBound, UpperBound};

/// Relative slack that the bounds of this module keep to: `1e-12`.
///
/// It holds for `Phi(x)` and `1 - Phi(x)` at `|x| <= 37.5` and for `Phi^-1(p)` at all
/// `p` in `[1e-300, 1 - 2^-53]`, near `p = 1/2` (where it is 0) too.
pub const NORMAL_SLACK: f64 = 1e-12;

/// Up to here the series is used, from here on the continued fraction.
const SERIES_END: f64 = 1.5;

/// Beyond this the tail is no normal `f64` any more.
const TAIL_END: f64 = 37.5;

/// Lower bound of `Phi(x)`, within [`NORMAL_SLACK`] for `|x| <= 37.5`. Fails at NaN.
///
/// ```
/// # fn main() -> Result<(), recert_num::Error> {
/// use recert_num::{normal_cdf_lower, normal_cdf_upper};
/// let (low, high) = (normal_cdf_lower(1.0)?, normal_cdf_upper(1.0)?);
/// assert!(low.get() <= 0.841_344_746_068_542_9 && 0.841_344_746_068_543 <= high.get());
/// assert!(high.get() - low.get() < 1e-12);
/// # Ok(())
/// # }
/// ```
pub fn normal_cdf_lower(x: f64) -> Result<LowerBound, Error> {
    cdf(x).map(|(low, _)| LowerBound::clamped(low))
}

/// Upper bound of `Phi(x)`, within [`NORMAL_SLACK`] for `|x| <= 37.5`. Fails at NaN.
pub fn normal_cdf_upper(x: f64) -> Result<UpperBound, Error> {
    cdf(x).map(|(_, high)| UpperBound::clamped(high))
}

/// Lower bound of `1 - Phi(x)`, within [`NORMAL_SLACK`] for `|x| <= 37.5`. Fails at NaN.
pub fn normal_tail_lower(x: f64) -> Result<LowerBound, Error> {
    normal_cdf_lower(-x)
}

/// Upper bound of `1 - Phi(x)`, within [`NORMAL_SLACK`] for `|x| <= 37.5`. Fails at NaN.
///
/// ```
/// use recert_num::{normal_tail_lower, normal_tail_upper};
/// let (low, high) = (normal_tail_lower(1.0)?, normal_tail_upper(1.0)?);
/// assert!(low.get() > 0.158_655_25 && low.get() <= high.get() && high.get() < 0.158_655_26);
/// # Ok::<(), recert_num::Error>(())
/// ```
pub fn normal_tail_upper(x: f64) -> Result<UpperBound, Error> {
    normal_cdf_upper(-x)
}

fn cdf(x: f64) -> Result<(f64, f64), Error> {
    if x.is_nan() {
        return Err(Error::domain("the normal distribution function of NaN"));
    }
    if x.abs() <= SERIES_END {
        let (low, high) = central(x.abs());
        return Ok(if x >= 0.0 {
            (add_down(0.5, low), add_up(0.5, high))
        } else {
            (sub_down(0.5, high), sub_up(0.5, low))
        });
    }
    let (low, high) = tail(x.abs());
    Ok(if x < 0.0 {
        (low, high)
    } else {
        (sub_down(1.0, high), sub_up(1.0, low))
    })
}

/// The interval `value (1 -+ relative)`, opened by one ulp on either side so that
/// the roundings here are covered too. `relative` is far below 1.
pub(crate) fn widen(value: f64, relative: f64) -> (f64, f64) {
    (
        (value * (1.0 - relative).next_down()).next_down(),
        (value * (1.0 + relative).next_up()).next_up(),
    )
}

/// `phi(x)` for `|x| <= 37.5`, with relative error at most `5u`.
pub(crate) fn density(x: f64) -> f64 {
    let (square, rest) = two_prod(x, x);
    let exponent = Dd {
        hi: -0.5 * square,
        lo: -0.5 * rest,
    };
    INV_SQRT_TWO_PI * exp(exponent)
}

/// Enclosure of `Phi(x) - 1/2` for `0 <= x <= 1.5`.
pub(crate) fn central(x: f64) -> (f64, f64) {
    if x == 0.0 {
        return (0.0, 0.0);
    }
    let square = x * x;
    let mut term = 1.0;
    let mut sum = 1.0;
    let mut odd = 3.0;
    let mut count = 1.0;
    while term > 1e-18 * sum {
        term *= square / odd;
        sum += term;
        odd += 2.0;
        count += 1.0;
    }
    // What is cut off is below a geometric series of ratio 2.25/odd < 1/2.
    let (low, high) = widen(x * density(x) * sum, (4.0 * count + 8.0) * U);
    (low.max(0.0), high * (1.0 + 1e-17_f64).next_up())
}

/// Enclosure of `1 - Phi(x)` for `x >= 0`.
pub(crate) fn tail(x: f64) -> (f64, f64) {
    if x > TAIL_END {
        return (0.0, tail(TAIL_END).1);
    }
    if x <= SERIES_END {
        let (low, high) = central(x);
        return (sub_down(0.5, high), sub_up(0.5, low));
    }
    // The convergents approach each other like exp(-2 x sqrt(N)).
    let count = 30 + (420.0 / (x * x)) as u32;
    let (one, other) = (mills(x, count), mills(x, count + 1));
    let density = density(x);
    let relative = (2.0 * f64::from(count + 2) + 8.0) * U;
    (
        widen(density * one.min(other), relative).0,
        widen(density * one.max(other), relative).1,
    )
}

/// The convergent of Laplace's continued fraction with `count` elements.
fn mills(x: f64, count: u32) -> f64 {
    let mut value = x;
    for j in (1..=count).rev() {
        value = x + f64::from(j) / value;
    }
    1.0 / value
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn edges() {
        assert_eq!(normal_cdf_lower(0.0).unwrap().get(), 0.5);
        assert_eq!(normal_cdf_upper(0.0).unwrap().get(), 0.5);
        assert_eq!(normal_cdf_upper(-0.0).unwrap().get(), 0.5);
        assert_eq!(normal_cdf_lower(f64::NEG_INFINITY).unwrap().get(), 0.0);
        assert_eq!(normal_cdf_upper(f64::INFINITY).unwrap().get(), 1.0);
        assert!(normal_cdf_upper(f64::NEG_INFINITY).unwrap().get() < 5e-308);
        assert!(normal_cdf_lower(f64::INFINITY).unwrap().get() >= 1.0 - f64::EPSILON);
        assert!(normal_cdf_lower(f64::NAN).is_err());
        assert!(normal_tail_upper(f64::NAN).is_err());
        // Subnormal arguments do not upset the square.
        let tiny = f64::from_bits(1);
        assert!(normal_cdf_lower(tiny).unwrap().get() <= 0.5);
        assert!(normal_cdf_upper(tiny).unwrap().get() > 0.5);
    }

    proptest! {
        #[test]
        fn enclosures_are_tight_and_mirror(x in -37.5_f64..37.5) {
            let (low, high) = (normal_cdf_lower(x).unwrap().get(), normal_cdf_upper(x).unwrap().get());
            prop_assert!(0.0 < low && low <= high && high - low <= NORMAL_SLACK * low);
            prop_assert_eq!(low, normal_tail_lower(-x).unwrap().get());
            prop_assert!(low <= sub_up(1.0, normal_cdf_lower(-x).unwrap().get()));
            prop_assert!(high >= sub_down(1.0, normal_cdf_upper(-x).unwrap().get()));
        }
    }
}
