//! `P(X >= k)/P(X = k)` as an integral, for large `k` and `n - k`.
//!
//! `P(X >= k) = k C(n,k) int_0^P t^(k-1) (1-t)^(n-k) dt`. With `t = P - l s`, `a = l/P` and `b =
//! l/Q` this is `P(X = k) k a int exp(L(s)) ds` over `0 <= s <= 1/a`, where
//!
//! `L(s) = -c s + (k-1) m(-a s) + (n-k) m(b s)`, `m(v) = ln(1+v) - v`, `c = a ((k-1) - (n-1)P)/Q`.
//!
//! `L` is concave with `L(0) = 0`. The length `l` is chosen so that the parabola at 0
//! reaches `-DEPTH` at `s = 1`. Three errors:
//!
//! 1. *Rest.* For `s > 1`, concavity gives `int_1 exp(L) <= exp(L(1))/|L'(1)|`.
//! 2. *Gauss-Legendre with N points.* If `|F| <= M` on the ellipse with foci 0 and 1 and
//!    parameter `r`, the Chebyshev coefficients of `F` are at most `2 M r^-j`. The rule is
//!    exact up to degree `2N - 1`; on a higher `T_j` (on an interval of length 1) rule and
//!    integral differ by at most 1.01, and by nothing for odd `j`. So the error is
//!    below `2.02 M r^(-2N)/(1 - r^-2)`. With `A, B = (r +- 1/r)/2`, points of the ellipse have
//!    real parts in `[(1-A)/2, (1+A)/2]` and imaginary parts within `B/2`; and since `ln|1 +
//!    i y/x| <= y^2/(2 x^2)`,
//!    `ln M <= max(c,0) (A-1)/2 + max(-c,0) (A+1)/2 + B^2/8 ((k-1) a^2/(1-a(1+A)/2)^2 +
//!    (n-k) b^2/(1-b(A-1)/2)^2)`, where concavity has bounded `L` on the real line by its
//!    tangent at 0.
//! 3. *Rounding.* `a`, `b` carry `2u`, a node and its product `2u` more, so `m(..)` carries
//!    `2.5 * 4u + 6u`, each part of `L` less than `24u` of its size, and `c`, with the difference
//!    in double-double, `6u`. `exp` carries `3u`, weight and product `2u`, the sum `N u`.
//!    In all `(N + 6) u` plus `24u` times the mean of the absolute parts of `L` under
//!    `exp(L)`, which is summed alongside. The difference in `c` has an absolute error of
//!    `2^-101 n` from its double-double, which `24u` would cover unless the difference is
//!    below `2^-50 n`; it is counted separately.

use super::series::Ratio;
use crate::dd::{Dd, OP_ERROR, U};
use crate::elementary::{LN_1P_MINUS_ERROR, exp, ln_1p_minus};
use crate::tables::{GAUSS_NODES, GAUSS_WEIGHTS};

/// The integrand is followed down to about `e^-33`.
const DEPTH: f64 = 33.0;

/// Parameter of the Bernstein ellipse.
const ELLIPSE: f64 = 2.4;

/// Bound on the relative error of each part of `L`, `24u`.
const PART_ERROR: f64 = 18.0 * U + LN_1P_MINUS_ERROR;

/// Both `k` and `n - k` must be at least this.
pub(super) const SMALLEST: f64 = 2000.0;

/// `P(X >= k)/P(X = k)` for `k, n - k >= SMALLEST`, or `None` where `P` is so far above
/// `k/n` that the error bound is useless.
pub(super) fn tail_over_mass(k: f64, n: f64, p: Dd, q: Dd) -> Option<Ratio> {
    let (below, rest) = (k - 1.0, n - k);
    let difference = p.mul_f64(n - 1.0).neg().add_f64(below).to_f64();
    let (p, q) = (p.to_f64(), q.to_f64());
    let slope = difference / (p * q);
    let curvature = below / (p * p) + rest / (q * q);
    let length = 2.0 * DEPTH / (slope + (slope * slope + 2.0 * DEPTH * curvature).sqrt());
    let (a, b) = (length / p, length / q);
    let linear = slope * length;
    // The first condition fails for P far above k/n only; it keeps both logarithms
    // inside their domain and the ellipse inside (0, 1).
    if !(a <= 0.19 && b <= 0.19 && linear >= -2.0) {
        return None;
    }

    let (real, imaginary) = (
        0.5 * (ELLIPSE + 1.0 / ELLIPSE),
        0.5 * (ELLIPSE - 1.0 / ELLIPSE),
    );
    let left = a / (1.0 - a * (1.0 + real) / 2.0);
    let right = b / (1.0 - b * (real - 1.0) / 2.0);
    let log_bound = linear.max(0.0) * (real - 1.0) / 2.0
        + (-linear).max(0.0) * (real + 1.0) / 2.0
        + imaginary * imaginary / 8.0 * (below * left * left + rest * right * right);
    let decay = ELLIPSE.powi(2 * GAUSS_NODES.len() as i32);
    if log_bound > 60.0 {
        return None;
    }
    // The factor 1.01 covers the roundings in the bound itself.
    let rule_error = 1.01 * 2.02 * exp(Dd::from_f64(log_bound)) / decay / (1.0 - ELLIPSE.powi(-2));

    let (mut sum, mut weighted) = (0.0, 0.0);
    for (&node, &weight) in GAUSS_NODES.iter().zip(&GAUSS_WEIGHTS) {
        let curved = below * ln_1p_minus(-a * node) + rest * ln_1p_minus(b * node);
        let straight = linear * node;
        let value = weight * exp(Dd::from_f64(curved - straight));
        sum += value;
        weighted += value * (straight.abs() - curved);
    }

    let end = below * ln_1p_minus(-a) + rest * ln_1p_minus(b) - linear;
    let end_slope = linear + below * a * a / (1.0 - a) + rest * b * b / (1.0 + b);
    let cut = 1.01 * exp(Dd::from_f64(end)) / end_slope;

    let scale = k * a;
    let absolute = OP_ERROR * 4.0 * n * length / (p * q);
    let rounding = U * (GAUSS_NODES.len() as f64 + 6.0) + PART_ERROR * weighted / sum + absolute;
    Some(Ratio {
        value: scale * sum,
        // Two roundings of the scale and its error, and the rule's share.
        relative_error: 1.01 * (rounding + 5.0 * U + rule_error / sum),
        cut: 1.01 * scale * cut,
    })
}

#[cfg(test)]
mod tests {
    use super::super::series;
    use super::*;

    /// The series is the reference: it is exact up to rounding, and slow here.
    #[test]
    fn agrees_with_the_series() {
        for (k, n) in [
            (2000.0, 4000.0),
            (2000.0, 1e5),
            (2000.0, 1e8),
            (98_000.0, 1e5),
            (5e5, 1e6),
            (5e5, 502_000.0),
            (2e6, 1e7),
        ] {
            let deviation = f64::sqrt(k * (n - k) / n);
            for z in [-0.1, 0.0, 0.3, 1.0, 3.0, 7.0, 20.0, 30.0] {
                let p = (k - z * deviation) / n;
                if p <= k / n / 2.5 {
                    continue;
                }
                let (p, q) = (Dd::from_f64(p), Dd::one_minus(p));
                let fast = tail_over_mass(k, n, p, q).expect("inside the domain");
                let slow = series::tail_over_mass(k, n, p, q).expect("few enough terms");
                let gap = (fast.value - slow.value).abs();
                let allowed = fast.relative_error * fast.value
                    + slow.relative_error * slow.value
                    + fast.cut
                    + slow.cut;
                assert!(
                    gap <= allowed,
                    "k={k} n={n} z={z}: {gap:e} above {allowed:e}"
                );
                assert!(
                    fast.relative_error + fast.cut / fast.value < 5e-13,
                    "k={k} n={n} z={z}: bound {:e}",
                    fast.relative_error
                );
            }
        }
    }

    #[test]
    fn far_too_large_probabilities_are_given_up() {
        let p = 0.9;
        assert!(tail_over_mass(1e5, 1e6, Dd::from_f64(p), Dd::one_minus(p)).is_none());
    }
}
