//! Bounds of the standard normal quantile, each verified against the enclosed `Phi`.
//!
//! A candidate `z` comes from an unproved approximation and Newton's method. It is
//! then moved outward by a small relative step until the enclosure of the
//! distribution function proves it to lie on its side: `tail_low(z) >= q` proves `z
//! <= z_q`, as the tail falls with `z`. Both sides are always proved, and where they
//! end up further apart than [`NORMAL_SLACK`] times the bound, an error is returned
//! instead of a bound. For `p` in `[1/4, 3/4]` the equation is `Phi(z) - 1/2 = |p -
//! 1/2|`, whose right side is an exact difference (Sterbenz), so that the relative
//! accuracy holds up to `p = 1/2`; for `p > 3/4` it is `1 - Phi(z) = 1 - p`, exact again.

use super::{NORMAL_SLACK, central, density, tail};
use crate::error::Error;

/// Lower bound of `Phi^-1(p)` for `p` in `[1e-300, 1 - 2^-53]`, within
/// [`NORMAL_SLACK`] relative; exactly 0 at `p = 1/2`.
///
/// Fails outside that domain.
///
/// ```
/// # fn main() -> Result<(), recert_num::Error> {
/// use recert_num::{normal_quantile_lower, normal_quantile_upper};
/// let (low, high) = (normal_quantile_lower(0.975)?, normal_quantile_upper(0.975)?);
/// assert!(low <= 1.959_963_984_540_054 && 1.959_963_984_540_054 <= high);
/// assert!(high - low <= 2e-12 * low);
/// # Ok(())
/// # }
/// ```
pub fn normal_quantile_lower(p: f64) -> Result<f64, Error> {
    enclose(p).map(|(low, _)| low)
}

/// Upper bound of `Phi^-1(p)` for `p` in `[1e-300, 1 - 2^-53]`, within
/// [`NORMAL_SLACK`] relative; exactly 0 at `p = 1/2`.
///
/// Fails outside that domain.
pub fn normal_quantile_upper(p: f64) -> Result<f64, Error> {
    enclose(p).map(|(_, high)| high)
}

fn enclose(p: f64) -> Result<(f64, f64), Error> {
    if !(1e-300..1.0).contains(&p) {
        return Err(Error::domain(format!(
            "the normal quantile of {p}: the probability must lie in [1e-300, 1 - 2^-53]"
        )));
    }
    if p == 0.5 {
        return Ok((0.0, 0.0));
    }
    let (low, high) = if (0.25..=0.75).contains(&p) {
        solve(p, (p - 0.5).abs(), |z| {
            let (low, high) = central(z);
            (low, high, 1.0)
        })
    } else {
        solve(p, p.min(1.0 - p), |z| {
            let (low, high) = tail(z);
            (low, high, -1.0)
        })
    }?;
    Ok(if p > 0.5 { (low, high) } else { (-high, -low) })
}

/// Encloses the `z > 0` at which a monotone function takes the value `target`. The
/// function comes as its enclosure and the sign of its slope, whose size is the density.
fn solve(
    p: f64,
    target: f64,
    function: impl Fn(f64) -> (f64, f64, f64),
) -> Result<(f64, f64), Error> {
    let mut z = quantile_guess(p).abs();
    for _ in 0..3 {
        let (low, high, sign) = function(z);
        let middle = 0.5 * (low + high);
        // For the tail the logarithm is nearly linear in z^2; near the middle both
        // forms are the same to first order.
        let step = if sign < 0.0 {
            -(target / middle).ln() * middle / density(z)
        } else {
            (target - middle) / density(z)
        };
        z = (z + step).clamp(z * 0.5, z * 2.0);
    }
    // A lower bound of z has a too small value of a rising function, a too large
    // one of a falling function.
    let is_below = |z: f64| {
        let (low, high, sign) = function(z);
        if sign > 0.0 {
            high <= target
        } else {
            low >= target
        }
    };
    let is_above = |z: f64| {
        let (low, high, sign) = function(z);
        if sign > 0.0 {
            low >= target
        } else {
            high <= target
        }
    };
    let mut step = f64::EPSILON * 2.0;
    let (mut below, mut above) = (None, None);
    while step < NORMAL_SLACK && (below.is_none() || above.is_none()) {
        let (down, up) = (z * (1.0 - step), z * (1.0 + step));
        if below.is_none() && is_below(down) {
            below = Some(down);
        }
        if above.is_none() && is_above(up) {
            above = Some(up);
        }
        step *= 2.0;
    }
    match (below, above) {
        (Some(low), Some(high)) if high - low <= 0.99 * NORMAL_SLACK * low => Ok((low, high)),
        _ => Err(Error::unproved(format!(
            "the normal quantile of {p} could not be enclosed within a relative {NORMAL_SLACK:e}"
        ))),
    }
}

/// An unproved approximation of `Phi^-1(p)` for `0 < p < 1`, to about nine digits:
/// the rational functions of Acklam.
pub(crate) fn quantile_guess(p: f64) -> f64 {
    const CENTRAL_TOP: [f64; 6] = [
        -3.969_683_028_665_376e1,
        2.209_460_984_245_205e2,
        -2.759_285_104_469_687e2,
        1.383_577_518_672_69e2,
        -3.066_479_806_614_716e1,
        2.506_628_277_459_239,
    ];
    const CENTRAL_BOTTOM: [f64; 6] = [
        -5.447_609_879_822_406e1,
        1.615_858_368_580_409e2,
        -1.556_989_798_598_866e2,
        6.680_131_188_771_972e1,
        -1.328_068_155_288_572e1,
        1.0,
    ];
    const TAIL_TOP: [f64; 6] = [
        -7.784_894_002_430_293e-3,
        -3.223_964_580_411_365e-1,
        -2.400_758_277_161_838,
        -2.549_732_539_343_734,
        4.374_664_141_464_968,
        2.938_163_982_698_783,
    ];
    const TAIL_BOTTOM: [f64; 5] = [
        7.784_695_709_041_462e-3,
        3.224_671_290_700_398e-1,
        2.445_134_137_142_996,
        3.754_408_661_907_416,
        1.0,
    ];
    let horner = |coefficients: &[f64], x: f64| coefficients.iter().fold(0.0, |sum, c| sum * x + c);
    let q = p.min(1.0 - p);
    if q < 0.024_25 {
        let x = (-2.0 * q.ln()).sqrt();
        let z = horner(&TAIL_TOP, x) / horner(&TAIL_BOTTOM, x);
        return if p < 0.5 { z } else { -z };
    }
    let x = p - 0.5;
    let square = x * x;
    x * horner(&CENTRAL_TOP, square) / horner(&CENTRAL_BOTTOM, square)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normal::{normal_cdf_lower, normal_cdf_upper};
    use proptest::prelude::*;

    #[test]
    fn edges_and_errors() {
        assert_eq!(enclose(0.5).unwrap(), (0.0, 0.0));
        for bad in [0.0, 1.0, -0.1, 1.5, f64::NAN, 1e-301] {
            assert!(enclose(bad).is_err(), "{bad}");
        }
        for good in [
            1e-300,
            1.0_f64.next_down(),
            0.5_f64.next_up(),
            0.5_f64.next_down(),
            0.25,
            0.75,
        ] {
            let (low, high) = enclose(good).unwrap();
            assert!(
                low < high && high - low <= NORMAL_SLACK * low.abs(),
                "{good}"
            );
        }
    }

    proptest! {
        #[test]
        fn quantile_inverts_the_distribution(exponent in -300.0_f64..-0.302, mirror: bool) {
            let q = 10.0_f64.powf(exponent);
            let p = if mirror { 1.0 - q } else { q };
            prop_assume!(p < 1.0 && p != 0.5);
            let (low, high) = enclose(p).unwrap();
            // Phi at the bounds encloses p, up to its own enclosure.
            prop_assert!(normal_cdf_lower(low).unwrap().get() <= p);
            prop_assert!(normal_cdf_upper(high).unwrap().get() >= p);
            prop_assert!(high - low <= NORMAL_SLACK * low.abs().max(high.abs()));
        }
    }
}
