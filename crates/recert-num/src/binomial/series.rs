//! `P(X >= k)/P(X = k)` as a sum of ratios, for small `k` or `n - k`.
//!
//! The sum is `1 + r_0 + r_0 r_1 + ...` with `r_i = (P/Q) (n-k-i)/(k+1+i)`, a positive
//! series whose ratios fall. Every ratio carries at most `6u` (three from `P/Q`, as both
//! parts are rounded to `f64` first, three from the operations), so term `i` carries
//! `6 i u`; counting `7u` covers second orders, and weighting by `i t_i` gives the error
//! of the whole. The recursive sum of `N` positive terms adds `N u`. What is cut off is
//! below a geometric series with the ratio at the cut.

use crate::dd::{Dd, U};

/// More terms than any bound of this crate needs; reached only far off the root.
const MAX_TERMS: f64 = 20_000.0;

/// `P(X >= k)/P(X = k)` within `value (1 -+ relative_error)`, then `cut` more at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ratio {
    pub(super) value: f64,
    pub(super) relative_error: f64,
    pub(super) cut: f64,
}

/// Sums the series; `None` where it needs more than [`MAX_TERMS`] terms.
pub(super) fn tail_over_mass(k: f64, n: f64, p: Dd, q: Dd) -> Option<Ratio> {
    let odds = p.to_f64() / q.to_f64();
    let mut left = n - k;
    let mut next = k + 1.0;
    let (mut term, mut sum, mut weighted, mut index) = (1.0_f64, 1.0_f64, 0.0_f64, 0.0_f64);
    let mut cut = 0.0;
    while left > 0.0 {
        let ratio = odds * left / next;
        // Small terms may only be left out where they keep falling.
        if ratio < 0.99 && term < 1e-16 * sum {
            cut = 1.01 * term * ratio / (1.0 - ratio);
            break;
        }
        if index > MAX_TERMS {
            return None;
        }
        term *= ratio;
        index += 1.0;
        sum += term;
        weighted += index * term;
        left -= 1.0;
        next += 1.0;
    }
    Some(Ratio {
        value: sum,
        relative_error: 1.01 * U * (7.0 * weighted / sum + index + 2.0),
        cut,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fair_coin_sums() {
        // P(X >= 3)/P(X = 3) of five fair coins: (10 + 5 + 1)/10.
        let half = Dd::from_f64(0.5);
        let ratio = tail_over_mass(3.0, 5.0, half, half).unwrap();
        assert!((ratio.value - 1.6).abs() <= ratio.relative_error * 1.6);
        assert_eq!(ratio.cut, 0.0);
    }

    #[test]
    fn endless_series_are_given_up() {
        let p = 0.9;
        assert!(tail_over_mass(1.0, 1e9, Dd::from_f64(p), Dd::one_minus(p)).is_none());
    }
}
