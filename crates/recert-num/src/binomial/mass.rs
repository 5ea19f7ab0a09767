//! The probability of one outcome, `C(n,k) P^k Q^(n-k)`, with a proven relative error.
//!
//! For `1 <= k < n` (Loader 2000) it is `sqrt(n/(2 pi k (n-k))) exp(d(n) - d(k) - d(n-k) -
//! D)`, with `d(m) = ln m! - ln(sqrt(2 pi m) (m/e)^m)` and the deviance `D = k ln(k/(n P)) +
//! (n-k) ln((n-k)/(n Q))`; for `k = n` it is `exp(-D)` with `D = -n ln P`.
//!
//! Error, with `o = 2^-102`, `u = 2^-53`, and `l1`, `l2` the two logarithms in `D`: each
//! ratio is off by a relative `2.1 o`, which is as much in absolute terms in its
//! logarithm; the logarithm adds `4 o (1 + |l|)`, the product with the count `o |l|`
//! and the last sum `o D`. As `|k l1| + |(n-k) l2| <= D + 2n` (one of the two is
//! negative, and `m ln(nP/m) <= nP - m`), `D` is off by at most `o (16.5 n + 7 D)`, and
//! `relative_error` counts `2^-97 (n + D)`, which is `8 LN_ERROR`. The Stirling remainders are table
//! entries (error below `2^-57`) or six terms of an enveloping series, cut below
//! `1.4e-18` for `m > 15` and rounded by less than `2^-57`; together with their two
//! additions they cost less than `u`. Square root: `n/(k (n-k))` and the constant have
//! four roundings, halved, and one more: `3u`; `exp` `3u`; the product `u`. In sum
//! `8u + 2^-97 (n + D)`.

use crate::dd::{Dd, U};
use crate::elementary::{EXP_ERROR, LN_ERROR, exp, ln};
use crate::tables::{INV_TWO_PI, STIRLING};

/// Where the logarithm of the probability falls below this, it is not computed.
const LOG_FLOOR: f64 = -700.0;

/// A probability and the bound on its relative error.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mass {
    pub(super) value: f64,
    pub(super) relative_error: f64,
}

/// `P(X = k)` for `1 <= k <= n`, or `None` where it is certainly below `e^-699`.
pub(super) fn mass(k: f64, n: f64, p: Dd, q: Dd) -> Option<Mass> {
    let rest = n - k;
    let mut deviance = part(k, n, p);
    let (mut factor, mut correction) = (1.0, 0.0);
    if rest > 0.0 {
        deviance = deviance.add(part(rest, n, q));
        factor = (n / (k * rest) * INV_TWO_PI).sqrt();
        correction = stirling(n) - stirling(k) - stirling(rest);
    }
    let exponent = deviance.neg().add_f64(correction);
    // The square root is at most 0.57, so it cannot lift the mass over the floor.
    if exponent.hi < LOG_FLOOR {
        return None;
    }
    Some(Mass {
        value: factor * exp(exponent),
        relative_error: 5.0 * U + EXP_ERROR + 8.0 * LN_ERROR * (n + deviance.hi.abs()),
    })
}

/// `m ln(m/(n P))`, one half of the deviance.
#[inline]
fn part(m: f64, n: f64, p: Dd) -> Dd {
    ln(Dd::from_f64(m).div(p.mul_f64(n))).mul_f64(m)
}

/// The Stirling remainder `d(m)` of an integer `m >= 1`, within `2^-56`.
fn stirling(m: f64) -> f64 {
    if m <= 15.0 {
        return STIRLING[m as usize - 1];
    }
    let x = 1.0 / m;
    let y = x * x;
    x * (1.0 / 12.0
        - y * (1.0 / 360.0
            - y * (1.0 / 1260.0
                - y * (1.0 / 1680.0 - y * (1.0 / 1188.0 - y * (691.0 / 360_360.0))))))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Small binomial probabilities with dyadic `P` are ratios of integers, compared
    /// in exact integer arithmetic.
    #[test]
    fn agrees_with_exact_integers() {
        for n in 1..=40_u32 {
            for (numerator, bits) in [(1_u64, 1_u32), (1, 2), (3, 2), (1, 3), (5, 3)] {
                if n * bits > 100 {
                    continue;
                }
                let p = numerator as f64 / f64::from(1_u32 << bits);
                let other = (1_u64 << bits) - numerator;
                let mut choose = 1_u128;
                for k in 1..=n {
                    choose = choose * u128::from(n - k + 1) / u128::from(k);
                    // C(n,k) a^k b^(n-k) / 2^(n bits), as long as it fits.
                    let Some(exact) = u128::from(numerator)
                        .checked_pow(k)
                        .and_then(|x| x.checked_mul(u128::from(other).checked_pow(n - k)?))
                        .and_then(|x| x.checked_mul(choose))
                    else {
                        continue;
                    };
                    let got = mass(
                        f64::from(k),
                        f64::from(n),
                        Dd::from_f64(p),
                        Dd::one_minus(p),
                    )
                    .expect("no underflow");
                    // The exact value in double-double.
                    let hi = exact as f64;
                    let lo = (exact as i128 - hi as i128) as f64;
                    let scale = 2.0_f64.powi((n * bits) as i32);
                    let error = ((got.value * scale - hi) - lo).abs() / hi;
                    assert!(
                        error <= got.relative_error,
                        "n={n} k={k} p={p}: {error:e} above {:e}",
                        got.relative_error
                    );
                }
            }
        }
    }

    #[test]
    fn stirling_is_continuous_where_the_table_ends() {
        // d(m) - d(m+1) = (m + 1/2) ln(1 + 1/m) - 1, here from its series at m = 15:
        // sum over j >= 1 of 1/((2j+1) (2m+1)^(2j)).
        let w = 1.0 / (31.0 * 31.0);
        let step: f64 = (1..8).map(|j| f64::powi(w, j) / f64::from(2 * j + 1)).sum();
        assert!((stirling(15.0) - stirling(16.0) - step).abs() < 2e-17);
    }

    #[test]
    fn far_away_masses_are_left_out() {
        assert!(mass(1e6, 1e6, Dd::from_f64(0.5), Dd::from_f64(0.5)).is_none());
    }
}
