//! Exponential and logarithm with proven error bounds, free of the platform's libm.
//!
//! The proofs use `u = 2^-53` and count first-order terms; every stated bound is
//! rounded up by far more than the second-order terms it leaves out.
//!
//! ## [`exp`]
//! Write the argument as `j ln2/32 + r` with the integer `j` nearest. `STEP_HIGH`
//! has 36 bits and `|j| < 2^17`, so `j STEP_HIGH` is exact, and the difference
//! to the leading part of the argument is exact too (Sterbenz). Hence `|r| <=
//! 0.010831 (1 + 2^-40)`, known to `0.03 u` in absolute terms: two roundings of
//! numbers below 0.011, and `2^-80` from what `STEP_HIGH + STEP_LOW` leave out.
//! The Taylor polynomial of degree 6 errs by `r^7/5040 (1 + r) < 4e-18 = 0.04 u`,
//! its rounding by `2.1 * 0.011 u`. With `2^(i/32)` from a table (error `u`) and
//! the last addition (`u`) the relative error is below `2.2 u`; [`EXP_ERROR`] is
//! `3 u`. The scaling by a power of two is exact, as results are normal numbers.
//!
//! ## [`ln`]
//! `x = 2^e m` with `m` in `[0.7, 1.42]`; `F = i/64` is nearest to `m` and `s = (m -
//! F)/(m + F)`, so `|s| < 0.0056` and `s^2 < 3.13e-5 < 2^-14.9`. Then `ln x = e ln 2 +
//! ln F + 2 atanh(s)`. In `atanh(s)/s = 1 + s^2/3 + s^4/5 + s^6 t` the series of `t` is
//! cut after `s^6/13` (what is left is below `s^14/15 (1 + 2^-14) < 2^-108`), and `s^2 t`
//! is computed in `f64`: its relative error of `4.2 u` counts `s^6/7` times, below
//! `2^-98.4`. All else is double-double: with `o = 2^-102` the error of one operation,
//! the part `|2 atanh s| < 0.0113` has relative error below `20 o`, which is `0.23 o` in
//! absolute terms; `e ln 2` has `1.1 o` and `ln F` has `0.1 o` relative, their sum and
//! the last sum another `o` each. As `|e| ln 2 <= |ln x| + 0.36` and `|ln F| <= 0.36`,
//! the sum of all is below `o (3.2 |ln x| + 2)`, and [`LN_ERROR`] states `4 o = 2^-100`
//! times `1 + |ln x|`.
//!
//! ## [`ln_1p_minus`]
//! With `s = v/(2 + v)`, `ln(1 + v) - v = -v s + 2 s^3 (1/3 + s^2/5 + ...)`. For `|v| <=
//! 0.2`, `|s| <= 0.112`; the second part is at most 0.04 of the first. `s` carries
//! `2u`, `v s` carries `3u`, the second part `14u` (of which 0.04 counts), the cut after
//! `s^16/19` leaves `0.112 s^18/21 < 2^-60`, and the sum rounds once: below `5u` after
//! division by `1 - 0.04`. [`LN_1P_MINUS_ERROR`] is `6u`.

use crate::dd::{Dd, OP_ERROR, U};
use crate::tables::{EXP2_32, FIFTH, INV_STEP, LN_2, LN_64THS, STEP_HIGH, STEP_LOW, THIRD};

/// Bound on the relative error of [`exp`].
pub(crate) const EXP_ERROR: f64 = 3.0 * U;

/// Bound on the error of [`ln`], in units of `1 + |ln x|`.
pub(crate) const LN_ERROR: f64 = 4.0 * OP_ERROR;

/// Bound on the relative error of [`ln_1p_minus`].
pub(crate) const LN_1P_MINUS_ERROR: f64 = 6.0 * U;

/// The power of two `2^e` for `-1022 <= e <= 1023`.
#[inline]
fn power_of_two(e: i64) -> f64 {
    f64::from_bits(((e + 1023) as u64) << 52)
}

/// `e^x` for `-708 <= x <= 708`, with relative error at most [`EXP_ERROR`].
#[inline]
pub(crate) fn exp(x: Dd) -> f64 {
    // Adding and taking away 1.5 * 2^52 rounds to the nearest integer.
    const ROUNDER: f64 = 6_755_399_441_055_744.0;
    debug_assert!(x.hi.abs() <= 708.0, "exponent out of range");
    let j = (x.hi * INV_STEP + ROUNDER) - ROUNDER;
    let r = ((x.hi - j * STEP_HIGH) - j * STEP_LOW) + x.lo;
    let tail = 0.5 + r * (1.0 / 6.0 + r * (1.0 / 24.0 + r * (1.0 / 120.0 + r * (1.0 / 720.0))));
    let rest = r + r * r * tail;
    let j = j as i64;
    let base = EXP2_32[(j & 31) as usize];
    (base + base * rest) * power_of_two(j >> 5)
}

/// `ln x` for `2^-300 <= x <= 2^300`, with error at most [`LN_ERROR`] `* (1 + |ln x|)`.
pub(crate) fn ln(x: Dd) -> Dd {
    debug_assert!(
        x.hi >= power_of_two(-300) && x.hi <= power_of_two(300),
        "argument of ln out of range"
    );
    let mut exponent = ((x.hi.to_bits() >> 52) & 0x7ff) as i64 - 1023;
    // Keep the mantissa around 1, so that no cancellation meets `e ln 2`.
    if x.hi * power_of_two(-exponent) > std::f64::consts::SQRT_2 {
        exponent += 1;
    }
    let scale = power_of_two(-exponent);
    let m = Dd {
        hi: x.hi * scale,
        lo: x.lo * scale,
    };
    let nearest = (m.hi * 64.0 + 0.5) as usize;
    let center = nearest as f64 / 64.0;
    let s = m.add_f64(-center).div(m.add_f64(center));
    let w = s.mul(s);
    let t = 1.0 / 7.0 + w.hi * (1.0 / 9.0 + w.hi * (1.0 / 11.0 + w.hi * (1.0 / 13.0)));
    let fifth = FIFTH.add_f64(w.hi * t);
    let third = THIRD.add(w.mul(fifth));
    let atanh = s.add(s.mul(w.mul(third)));
    let twice = Dd {
        hi: 2.0 * atanh.hi,
        lo: 2.0 * atanh.lo,
    };
    LN_2.mul_f64(exponent as f64)
        .add(LN_64THS[nearest - 45])
        .add(twice)
}

/// `ln(1 + v) - v` for `|v| <= 0.2`, with relative error at most [`LN_1P_MINUS_ERROR`].
#[inline]
pub(crate) fn ln_1p_minus(v: f64) -> f64 {
    debug_assert!(v.abs() <= 0.2, "argument of ln_1p_minus out of range");
    let s = v / (2.0 + v);
    let w = s * s;
    let low = 1.0 / 3.0 + w * (1.0 / 5.0 + w * (1.0 / 7.0 + w * (1.0 / 9.0)));
    let high =
        1.0 / 11.0 + w * (1.0 / 13.0 + w * (1.0 / 15.0 + w * (1.0 / 17.0 + w * (1.0 / 19.0))));
    let square = w * w;
    2.0 * s * w * (low + square * square * high) - v * s
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// Rows of the committed table, each a list of numbers.
    fn table(name: &str) -> Vec<Vec<f64>> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/oracle")
            .join(name);
        let text = std::fs::read_to_string(path).expect("the oracle table is committed");
        text.lines()
            .skip(1)
            .map(|line| {
                line.split(',')
                    .map(|x| x.parse().expect("a number"))
                    .collect()
            })
            .collect()
    }

    #[test]
    fn exp_keeps_its_bound() {
        // Columns: x, e^x rounded, e^x less that.
        for row in table("exp.csv") {
            let got = exp(Dd::from_f64(row[0]));
            let error = ((got - row[1]) - row[2]).abs() / row[1];
            assert!(error <= EXP_ERROR, "exp({}) is off by {error:e}", row[0]);
        }
    }

    #[test]
    fn ln_keeps_its_bound() {
        // Columns: x in two parts, ln x in three.
        for row in table("ln.csv") {
            let got = ln(Dd {
                hi: row[0],
                lo: row[1],
            });
            let error = (((got.hi - row[2]) + (got.lo - row[3])) - row[4]).abs();
            let bound = LN_ERROR * (1.0 + row[2].abs());
            assert!(error <= bound, "ln({}) is off by {error:e}", row[0]);
        }
    }

    #[test]
    fn ln_1p_minus_keeps_its_bound() {
        // Columns: v, ln(1+v)-v rounded, ln(1+v)-v less that.
        for row in table("ln_1p_minus.csv") {
            let got = ln_1p_minus(row[0]);
            let error = ((got - row[1]) - row[2]).abs() / row[1].abs();
            assert!(error <= LN_1P_MINUS_ERROR, "at {} off by {error:e}", row[0]);
        }
    }
}
