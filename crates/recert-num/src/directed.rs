//! The four operations, the logarithm and the exponential on `f64`, rounded down or up instead of to nearest.
//!
//! Every `*_down` is at most the exact result and every `*_up` at least it, both
//! by at most one ulp; exact results come back unchanged where exactness can be
//! told cheaply (always for sums; for products and quotients where no
//! intermediate can overflow or underflow, and where an operand is zero).
//! Overflow rounds to the largest finite number on the inner side and to
//! infinity on the outer one. A NaN operand gives NaN.
//!
//! ```
//! use recert_num::directed::{add_down, add_up, mul_down};
//! assert!(add_down(0.1, 0.2) < add_up(0.1, 0.2)); // 0.1 + 0.2 is no f64
//! assert_eq!(add_down(1.0, 2.0), 3.0);
//! assert_eq!(mul_down(0.5, 0.25), 0.125);
//! ```

use crate::dd::{Dd, two_prod, two_sum};
use crate::elementary::{EXP_ERROR, LN_ERROR, exp, ln};

/// `a + b`, rounded down.
#[inline]
pub fn add_down(a: f64, b: f64) -> f64 {
    let (sum, error) = two_sum(a, b);
    step_down(
        sum,
        error < 0.0,
        error.is_nan(),
        a.is_finite() && b.is_finite(),
    )
}

/// `a + b`, rounded up.
#[inline]
pub fn add_up(a: f64, b: f64) -> f64 {
    -add_down(-a, -b)
}

/// `a - b`, rounded down.
#[inline]
pub fn sub_down(a: f64, b: f64) -> f64 {
    add_down(a, -b)
}

/// `a - b`, rounded up.
#[inline]
pub fn sub_up(a: f64, b: f64) -> f64 {
    add_up(a, -b)
}

/// `a * b`, rounded down.
#[inline]
pub fn mul_down(a: f64, b: f64) -> f64 {
    let product = a * b;
    if a == 0.0 || b == 0.0 {
        return product;
    }
    if is_moderate(a) && is_moderate(b) {
        let (product, error) = two_prod(a, b);
        return step_down(product, error < 0.0, false, true);
    }
    step_down(product, true, true, a.is_finite() && b.is_finite())
}

/// `a * b`, rounded up.
#[inline]
pub fn mul_up(a: f64, b: f64) -> f64 {
    -mul_down(-a, b)
}

/// `a / b`, rounded down.
#[inline]
pub fn div_down(a: f64, b: f64) -> f64 {
    let quotient = a / b;
    if a == 0.0 || b == 0.0 {
        return quotient;
    }
    if is_moderate(a) && is_moderate(b) {
        // The rest a - quotient * b is an f64 (the remainder of a division
        // always is), so its sign is computed without error.
        let (high, low) = two_prod(quotient, b);
        let rest = (a - high) - low;
        let below = if b > 0.0 { rest < 0.0 } else { rest > 0.0 };
        return step_down(quotient, below, false, true);
    }
    step_down(quotient, true, true, a.is_finite() && b.is_finite())
}

/// `a / b`, rounded up.
#[inline]
pub fn div_up(a: f64, b: f64) -> f64 {
    -div_down(-a, b)
}

/// `ln x`, rounded down, by at most two ulps of it. `-inf` for `x` below
/// `2^-300`; NaN for negative `x` and NaN; for `x` above `2^300` the value there.
///
/// ```
/// use recert_num::directed::{ln_down, ln_up};
/// assert!(ln_down(2.0) <= std::f64::consts::LN_2 && std::f64::consts::LN_2 <= ln_up(2.0));
/// assert_eq!((ln_down(1.0), ln_up(1.0)), (0.0, 0.0));
/// ```
pub fn ln_down(x: f64) -> f64 {
    if x.is_nan() || x < 0.0 {
        f64::NAN
    } else if x < SMALLEST_LN {
        f64::NEG_INFINITY
    } else {
        enclosed_ln(x.min(1.0 / SMALLEST_LN)).0
    }
}

/// `ln x`, rounded up, by at most two ulps of it. `+inf` for `x` above
/// `2^300`; NaN for negative `x` and NaN; for `x` below `2^-300` the value
/// there, but `-inf` for 0.
pub fn ln_up(x: f64) -> f64 {
    if x.is_nan() || x < 0.0 {
        f64::NAN
    } else if x == 0.0 {
        f64::NEG_INFINITY
    } else if x > 1.0 / SMALLEST_LN {
        f64::INFINITY
    } else {
        enclosed_ln(x.max(SMALLEST_LN)).1
    }
}

/// `e^x`, rounded down, by a relative `2^-49` at most for `-708 <= x <= 708`; 0 below, the value
/// at 708 above. NaN for NaN.
///
/// ```
/// use recert_num::directed::{exp_down, exp_up};
/// assert!(exp_down(1.0) <= std::f64::consts::E && std::f64::consts::E <= exp_up(1.0));
/// assert_eq!((exp_down(0.0), exp_up(0.0)), (1.0, 1.0));
/// ```
pub fn exp_down(x: f64) -> f64 {
    if x.is_nan() {
        x
    } else if x < -LARGEST_EXPONENT {
        0.0
    } else {
        enclosed_exp(x.min(LARGEST_EXPONENT)).0
    }
}

/// `e^x`, rounded up, by a relative `2^-49` at most for `-708 <= x <= 708`; infinite above, the
/// value at -708 below. NaN for NaN.
pub fn exp_up(x: f64) -> f64 {
    if x.is_nan() {
        x
    } else if x > LARGEST_EXPONENT {
        f64::INFINITY
    } else {
        enclosed_exp(x.max(-LARGEST_EXPONENT)).1
    }
}

/// The largest magnitude of an argument that the exponential is computed for.
const LARGEST_EXPONENT: f64 = 708.0;

/// Encloses `e^x` for `|x| <= 708`: the value has a relative error of at most `EXP_ERROR = 3 u`.
///
/// Twice that is charged. The charge is rounded up by at most `3 u` of the value (near `-708`,
/// where it is a few units of the smallest subnormal number), an end by `2 u`: with the value's
/// own error, an end is off by at most `14 u < 2^-49`.
fn enclosed_exp(x: f64) -> (f64, f64) {
    if x == 0.0 {
        return (1.0, 1.0);
    }
    let value = exp(Dd::from_f64(x));
    let error = mul_up(value, 2.0 * EXP_ERROR);
    (sub_down(value, error), add_up(value, error))
}

/// `2^-300`, the least argument that the logarithm is computed for.
const SMALLEST_LN: f64 = f64::from_bits((1023 - 300) << 52);

/// Encloses `ln x` for `2^-300 <= x <= 2^300`: the double-double value errs by
/// at most `LN_ERROR (1 + |ln x|)`, and its parts are added with direction.
fn enclosed_ln(x: f64) -> (f64, f64) {
    if x == 1.0 {
        return (0.0, 0.0);
    }
    let value = ln(Dd::from_f64(x));
    let error = 2.0 * LN_ERROR * (1.0 + value.hi.abs());
    (
        add_down(value.hi, sub_down(value.lo, error)),
        add_up(value.hi, add_up(value.lo, error)),
    )
}

/// Whether products and quotients of such numbers, and their rounding errors,
/// stay clear of overflow and of the subnormal numbers.
#[inline]
fn is_moderate(x: f64) -> bool {
    (1e-120..=1e120).contains(&x.abs())
}

/// Turns a result that was rounded to nearest into one that is rounded down. `below` states
/// that the exact result is or may be smaller, `unknown` that the rounding error is unknown,
/// and `finite` that both operands were finite, so that an infinity is an overflow.
#[inline]
fn step_down(nearest: f64, below: bool, unknown: bool, finite: bool) -> f64 {
    if nearest == f64::INFINITY && finite {
        f64::MAX
    } else if nearest.is_finite() && (below || unknown) {
        nearest.next_down()
    } else {
        nearest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn edges() {
        let tiny = f64::from_bits(1);
        for (got, want) in [
            (add_down(f64::MAX, f64::MAX), f64::MAX),
            (add_up(f64::MAX, f64::MAX), f64::INFINITY),
            (add_down(-f64::MAX, -f64::MAX), f64::NEG_INFINITY),
            (add_up(-f64::MAX, -f64::MAX), -f64::MAX),
            (add_down(f64::INFINITY, 1.0), f64::INFINITY),
            (add_down(1.0, tiny), 1.0),
            (add_up(1.0, tiny), 1.0_f64.next_up()),
            (mul_down(tiny, 0.5), -tiny),
            (mul_up(tiny, 0.25), tiny),
            (mul_down(1e300, 1e300), f64::MAX),
            (mul_up(1e300, 1e300), f64::INFINITY),
            (div_down(1.0, 3.0), 1.0 / 3.0),
            (div_up(1.0, 3.0), (1.0_f64 / 3.0).next_up()),
            (div_down(-1.0, 3.0), (-1.0_f64 / 3.0).next_down()),
            (div_down(6.0, 3.0), 2.0),
            (div_up(6.0, -3.0), -2.0),
            (sub_down(1.0, 1.0), 0.0),
        ] {
            assert_eq!(got, want);
        }
        assert!(add_down(f64::NAN, 1.0).is_nan());
        assert!(mul_up(f64::NAN, 1.0).is_nan());
        assert!(add_down(f64::INFINITY, f64::NEG_INFINITY).is_nan());
    }

    #[test]
    fn exponentials_at_the_ends() {
        assert!(exp_down(f64::NAN).is_nan() && exp_up(f64::NAN).is_nan());
        assert_eq!((exp_down(-709.0), exp_up(709.0)), (0.0, f64::INFINITY));
        assert!(exp_up(f64::NEG_INFINITY) > 0.0 && exp_down(f64::INFINITY) > 1e307);
    }

    /// Columns of the table: x, `e^x` rounded to nearest, and `e^x` less that. A difference to
    /// the second column is exact, as both numbers are near one another (Sterbenz).
    #[test]
    fn exponentials_enclose_and_are_as_near_as_stated() {
        let table = include_str!("../tests/oracle/exp.csv");
        let rows = table.lines().skip(1).map(|line| {
            let row: Vec<f64> = line.split(',').map(|x| x.parse().unwrap()).collect();
            (row[0], row[1], row[2])
        });
        let mut seen = 0;
        for (x, nearest, rest) in rows.filter(|(x, ..)| x.abs() <= LARGEST_EXPONENT) {
            let (below, above) = (exp_down(x) - nearest, exp_up(x) - nearest);
            assert!(below <= rest && rest <= above, "{x}: {below:e}, {above:e}");
            let far = nearest * 2.0_f64.powi(-49);
            assert!(rest - below <= far && above - rest <= far, "{x}");
            seen += 1;
        }
        assert!(seen > 300, "{seen} rows");
    }

    /// Compares `a op b` with `c` exactly for integers of up to 53 bits.
    fn integer() -> impl Strategy<Value = i64> {
        prop_oneof![-(1_i64 << 53)..(1_i64 << 53), -1000_i64..1000]
    }

    proptest! {
        #[test]
        fn sums_products_and_quotients_enclose(a in integer(), b in integer()) {
            let (x, y) = (a as f64, b as f64);
            let (a, b) = (i128::from(a), i128::from(b));
            prop_assert!((add_down(x, y) as i128) <= a + b && a + b <= add_up(x, y) as i128);
            prop_assert!(add_up(x, y) <= add_down(x, y).next_up());
            prop_assert!((mul_down(x, y) as i128) <= a * b && a * b <= mul_up(x, y) as i128);
            prop_assert!(mul_up(x, y) <= mul_down(x, y).next_up());
            if b != 0 {
                let (low, high) = (div_down(x, y), div_up(x, y));
                prop_assert!(high <= low.next_up());
                // low * |b| <= |a| sign, checked through the exact product.
                let check = |q: f64| {
                    let (p, e) = crate::dd::two_prod(q, y);
                    let (d, f) = crate::dd::two_sum(p, -x);
                    (d + (f + e)) * y.signum()
                };
                prop_assert!(check(low) <= 0.0 && check(high) >= 0.0);
            }
        }
    }
}
