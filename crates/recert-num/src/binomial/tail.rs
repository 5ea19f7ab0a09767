//! Enclosures of `P(X >= k)` for a binomial `X`, and the test that PREDICT needs.
//!
//! The interval is `mass * ratio` with the relative errors of both factors added (and
//! one percent of them for second orders), opened outward by the roundings of its own
//! computation; see [`mass`](super::mass), [`series`] and [`quadrature`] for the proofs.

use super::{check_counts, mass::mass, quadrature, series};
use crate::dd::{Dd, U};
use crate::directed::{add_up, sub_down, sub_up};
use crate::error::Error;
use crate::normal::widen;
use crate::types::{LowerBound, UpperBound};

/// Relative slack of [`binomial_tail_lower`] and [`binomial_tail_upper`]: `1e-12`.
pub const TAIL_SLACK: f64 = 1e-12;

/// Tails that are certainly smaller than this, `1e-290`, are enclosed by 0 and it.
pub const TAIL_FLOOR: f64 = 1e-290;

/// The smallest positive success probability for which tails are proved, `2^-200`.
pub(super) const SMALLEST_P: f64 = 1.0 / (1_u128 << 100) as f64 / (1_u128 << 100) as f64;

/// An enclosure of `T = P(X >= k)` and of its slope `dT/dP = k P(X = k)/P`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tail {
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) slope_low: f64,
    pub(super) slope_high: f64,
}

/// Why a tail was not enclosed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beyond {
    /// The probability of `k` itself is below `e^-699`.
    Tiny,
    /// `P` is far above `k/n`, where the complement should be asked for.
    Large,
}

/// The tail at `1 <= k <= n <= MAX_TRIALS` and `P + Q = 1`, both exact and at least `2^-200`.
pub(super) fn tail(k: f64, n: f64, p: Dd, q: Dd) -> Result<Tail, Beyond> {
    let mass = mass(k, n, p, q).ok_or(Beyond::Tiny)?;
    let ratio = if k >= quadrature::SMALLEST && n - k >= quadrature::SMALLEST {
        quadrature::tail_over_mass(k, n, p, q)
    } else {
        series::tail_over_mass(k, n, p, q)
    }
    .ok_or(Beyond::Large)?;
    let relative = 1.01 * (mass.relative_error + ratio.relative_error + U);
    let (low, high) = widen(mass.value * ratio.value, relative);
    let cut = mass.value * ratio.cut * 1.01;
    let (slope_low, slope_high) = widen(
        k * mass.value / p.to_f64(),
        1.01 * (mass.relative_error + 3.0 * U),
    );
    Ok(Tail {
        low,
        high: add_up(high, cut),
        slope_low,
        slope_high,
    })
}

/// Lower bound of `P(X >= k)` for `X ~ Bin(n, p)`.
///
/// Domain: `0 <= k <= n <= 2^40`, `p` 0 or in `[2^-200, 1]`; anything else is an error.
/// The bound is never above the exact tail and, where the tail is at least
/// [`TAIL_FLOOR`], within a relative [`TAIL_SLACK`] of it; a smaller tail may give 0.
///
/// ```
/// # fn main() -> Result<(), recert_num::Error> {
/// use recert_num::{binomial_tail_lower, binomial_tail_upper};
/// // P(at least 3 heads of 5) = 1/2.
/// assert!(binomial_tail_lower(3, 5, 0.5)?.get() <= 0.5);
/// assert!(binomial_tail_upper(3, 5, 0.5)?.get() >= 0.5);
/// # Ok(())
/// # }
/// ```
pub fn binomial_tail_lower(k: u64, n: u64, p: f64) -> Result<LowerBound, Error> {
    enclose(k, n, p).map(|(low, _)| LowerBound::clamped(low))
}

/// Upper bound of `P(X >= k)` for `X ~ Bin(n, p)`.
///
/// Domain as for [`binomial_tail_lower`]. The bound is never below the exact tail and,
/// where the tail is at least [`TAIL_FLOOR`], within a relative [`TAIL_SLACK`] of it; a
/// smaller tail gives at most 1.001 times [`TAIL_FLOOR`].
pub fn binomial_tail_upper(k: u64, n: u64, p: f64) -> Result<UpperBound, Error> {
    enclose(k, n, p).map(|(_, high)| UpperBound::clamped(high))
}

/// Upper bound of the p-value of the two-sided exact test that two classes with
/// `first` and `second` votes are equally likely: `min(1, 2 P(X >= max))` for
/// `X ~ Bin(first + second, 1/2)` (Cohen, Rosenfeld, Kolter 2019, PREDICT).
///
/// Within a relative [`TAIL_SLACK`] where it is at least `2` [`TAIL_FLOOR`]. Fails where the
/// votes are more than `2^40` in sum.
///
/// ```
/// # fn main() -> Result<(), recert_num::Error> {
/// use recert_num::fair_coin_p_value_upper;
/// // 2 (1 + 10)/1024.
/// let p = fair_coin_p_value_upper(9, 1)?.get();
/// assert!((p - 0.021_484_375).abs() < 1e-12 && p >= 0.021_484_375);
/// # Ok(())
/// # }
/// ```
pub fn fair_coin_p_value_upper(first: u64, second: u64) -> Result<UpperBound, Error> {
    let total = first
        .checked_add(second)
        .ok_or_else(|| Error::domain(format!("{first} and {second} votes overflow when summed")))?;
    let one_sided = binomial_tail_upper(first.max(second), total, 0.5)?;
    Ok(UpperBound::clamped(2.0 * one_sided.get()))
}

fn enclose(k: u64, n: u64, p: f64) -> Result<(f64, f64), Error> {
    check_counts(k, n)?;
    if !(p == 0.0 || (SMALLEST_P..=1.0).contains(&p)) {
        return Err(Error::domain(format!(
            "success probability {p} is neither 0 nor in [2^-200, 1]"
        )));
    }
    if k == 0 || p == 1.0 {
        return Ok((1.0, 1.0));
    }
    if p == 0.0 {
        return Ok((0.0, 0.0));
    }
    let (count, trials) = (k as f64, n as f64);
    let (success, failure) = (Dd::from_f64(p), Dd::one_minus(p));
    if count >= trials * p {
        small_side(count, trials, success, failure)
    } else {
        // P(X >= k) = 1 - P(n - X >= n - k + 1), whose count is above its mean.
        small_side(trials - count + 1.0, trials, failure, success)
            .map(|(low, high)| (sub_down(1.0, high), sub_up(1.0, low)))
    }
    .filter(|&(low, high)| high <= 1.001 * TAIL_FLOOR || high - low <= TAIL_SLACK * low)
    .ok_or_else(|| {
        Error::unproved(format!(
            "the probability of at least {k} successes in {n} trials at {p} could not be \
             enclosed within a relative {TAIL_SLACK:e}"
        ))
    })
}

/// Encloses a tail whose `k` is not below the mean, but for the rounding of that test.
fn small_side(k: f64, n: f64, p: Dd, q: Dd) -> Option<(f64, f64)> {
    match tail(k, n, p, q) {
        Ok(tail) => Some((tail.low, tail.high)),
        // The ratios of the series are at most 1, so the tail is at most n + 1 times
        // e^-699, which is below 3e-292 for n <= 2^40.
        Err(Beyond::Tiny) => Some((0.0, TAIL_FLOOR)),
        Err(Beyond::Large) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use proptest::prelude::*;

    /// `2^n P(X >= k)` for fair coins, an integer below `2^120`.
    fn fair(k: u32, n: u32) -> u128 {
        let (mut choose, mut sum) = (1_u128, 0);
        for j in 0..=n {
            if j >= k {
                sum += choose;
            }
            if j < n {
                choose = choose * u128::from(n - j) / u128::from(j + 1);
            }
        }
        sum
    }

    #[test]
    fn fair_coins_are_enclosed_exactly() {
        for n in 1..=110_u32 {
            let scale = 2.0_f64.powi(n as i32);
            for k in 0..=n {
                let exact = fair(k, n);
                let low = binomial_tail_lower(k.into(), n.into(), 0.5).unwrap().get();
                let high = binomial_tail_upper(k.into(), n.into(), 0.5).unwrap().get();
                // Scaled by a power of two the bounds are f64 still; as integers they
                // are cut, which is harmless for the lower and corrected for the upper.
                assert!((low * scale) as u128 <= exact, "n={n} k={k}");
                assert!((high * scale).ceil() as u128 >= exact, "n={n} k={k}");
                assert!(high - low <= TAIL_SLACK * low, "n={n} k={k}");
            }
        }
    }

    #[test]
    fn edges_and_errors() {
        let bounds = |k, n, p| {
            (
                binomial_tail_lower(k, n, p).unwrap().get(),
                binomial_tail_upper(k, n, p).unwrap().get(),
            )
        };
        assert_eq!(bounds(0, 10, 0.3), (1.0, 1.0));
        assert_eq!(bounds(0, 0, 0.3), (1.0, 1.0));
        assert_eq!(bounds(3, 10, 0.0), (0.0, 0.0));
        assert_eq!(bounds(3, 10, 1.0), (1.0, 1.0));
        assert_eq!(bounds(1_000_000, 1_000_000, 0.5), (0.0, TAIL_FLOOR));
        assert_eq!(bounds(1, 1_000_000, 0.5).1, 1.0);
        for (k, n, p) in [
            (2, 1, 0.5),
            (1, u64::MAX, 0.5),
            (1, 2, -0.1),
            (1, 2, 1.1),
            (1, 2, f64::NAN),
            (1, 2, 1e-70),
        ] {
            assert_eq!(
                binomial_tail_lower(k, n, p).unwrap_err().kind(),
                ErrorKind::Domain
            );
        }
    }

    #[test]
    fn votes() {
        assert_eq!(fair_coin_p_value_upper(5, 5).unwrap().get(), 1.0);
        assert_eq!(fair_coin_p_value_upper(0, 0).unwrap().get(), 1.0);
        let p = fair_coin_p_value_upper(0, 10).unwrap().get();
        assert!((2.0 / 1024.0..2.0 / 1024.0 * (1.0 + TAIL_SLACK)).contains(&p));
        assert!(fair_coin_p_value_upper(u64::MAX, 1).is_err());
    }

    proptest! {
        /// Pascal's rule links tails of different n: T(k, n+1) = p T(k-1, n) + q T(k, n).
        #[test]
        fn pascals_rule(n in 1_u64..200_000, place in 0.0_f64..1.0, p in 1e-6_f64..0.999_999) {
            let spread = (n as f64 * p * (1.0 - p)).sqrt() * 12.0 + 2.0;
            let k = ((n as f64 * p - spread) + 2.0 * spread * place).clamp(1.0, n as f64) as u64;
            let left = enclose(k, n + 1, p).unwrap();
            let (one, other) = (enclose(k - 1, n, p).unwrap(), enclose(k, n, p).unwrap());
            let low = p * one.0 + (1.0 - p) * other.0;
            let high = p * one.1 + (1.0 - p) * other.1;
            prop_assert!(left.0 <= high * (1.0 + 1e-15) && low * (1.0 - 1e-15) <= left.1);
        }
    }
}
