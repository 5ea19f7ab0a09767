//! How many noisy samples a certificate needs.

use crate::binomial::{
    MAX_TRIALS, binomial_tail_lower, binomial_tail_upper, clopper_pearson_lower,
    clopper_pearson_upper,
};
use crate::error::Error;
use crate::normal::{normal_cdf_upper, quantile_guess};
use crate::types::{Alpha, LowerBound};

/// Samples needed for a two-sided Clopper-Pearson interval of the given full width, with
/// failure probability `alpha` on either side, when a fraction `p` of the samples
/// (rounded to the nearest count, halves up) are successes.
///
/// This definition reproduces Figure 2 of Ugare et al., "Incremental randomized smoothing
/// certification" (ICLR 2024): at a target error of 0.5 % and alpha 0.01
/// it gives 216,873 at `p = 1/2` and 41,537 at `p = 0.05`, where they report about 216,900
/// and 41,500.
///
/// The result `n` has the property and `n - 1` does not. Except for the rounding of `p n` to a
/// count, the width decreases with `n`, so a slightly smaller number may happen to have the
/// property too.
///
/// Fails unless `0 < p < 1`, `0 < width < 1` and `alpha` is in the domain of
/// [`clopper_pearson_lower`], and where more than `2^40` samples would be needed.
///
/// ```
/// # fn main() -> Result<(), recert_num::Error> {
/// use recert_num::{Alpha, samples::samples_for_width};
/// let samples = samples_for_width(0.05, 0.01, Alpha::new(0.01)?)?;
/// assert!((10_400..10_600).contains(&samples));
/// # Ok(())
/// # }
/// ```
pub fn samples_for_width(p: f64, width: f64, alpha: Alpha) -> Result<u64, Error> {
    check_fraction(p)?;
    if !(width > 0.0 && width < 1.0) {
        return Err(Error::domain(format!(
            "interval width {width} is not strictly between 0 and 1"
        )));
    }
    let is_narrow = |n: u64| -> Result<bool, Error> {
        let k = ((n as f64 * p).round() as u64).min(n);
        let high = clopper_pearson_upper(k, n, alpha)?.get();
        let low = clopper_pearson_lower(k, n, alpha)?.get();
        Ok(high - low <= width)
    };
    let mut enough = 1;
    while !is_narrow(enough)? {
        if enough >= MAX_TRIALS {
            return Err(too_many());
        }
        enough *= 2;
    }
    // The interval of `enough` samples is narrow; that of `too_few` is not, or is untested.
    let mut too_few = enough / 2;
    while enough - too_few > 1 {
        let middle = too_few + (enough - too_few) / 2;
        if is_narrow(middle)? {
            enough = middle;
        } else {
            too_few = middle;
        }
    }
    Ok(enough)
}

/// The smallest number `n` of samples with which a radius of `radius_in_sigmas` times sigma is
/// certified when `floor(p n)` of them are of the top class: `CP_lo(floor(p n), n, alpha) >=
/// Phi(radius_in_sigmas)`.
///
/// `radius_in_sigmas = 0` asks for `pA >= 1/2`. Because of the rounding down to a count, some
/// larger `n` may fail again; the result is the smallest that does not. The property
/// is decided by bounds with relative slack `1e-12`: the result has the property, and
/// every smaller number lacks it, or has it by less than that slack.
///
/// Method: the property says `P(Bin(n, q) >= floor(p n)) <= alpha` with `q = Phi(radius_in_sigmas)`.
/// As the tail grows with the trials and falls with the count, `P(Bin(a, q) >= floor(p b)) >
/// alpha` excludes all of `a..=b` at once, so the search skips them.
///
/// Fails unless `0 < p <= 1`, the radius is finite and at least 0, and `alpha` is at most 1/2;
/// with [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) where `p` is not above `q`, or more
/// than `2^40` samples would be needed, or the search would take more than 200,000 steps.
///
/// ```
/// # fn main() -> Result<(), recert_num::Error> {
/// use recert_num::{Alpha, samples::samples_for_radius};
/// // All samples right: the smallest n with alpha^(1/n) >= Phi(1).
/// assert_eq!(samples_for_radius(1.0, 1.0, Alpha::new(0.001)?)?, 40);
/// # Ok(())
/// # }
/// ```
pub fn samples_for_radius(p: f64, radius_in_sigmas: f64, alpha: Alpha) -> Result<u64, Error> {
    if p != 1.0 {
        check_fraction(p)?;
    }
    if !(radius_in_sigmas.is_finite() && radius_in_sigmas >= 0.0) {
        return Err(Error::domain(format!(
            "radius {radius_in_sigmas} is not a finite number of at least 0"
        )));
    }
    if alpha.get() > 0.5 {
        return Err(Error::domain(format!(
            "failure probability {alpha} is above 1/2"
        )));
    }
    let target = normal_cdf_upper(radius_in_sigmas)?.get();
    if p <= target || target >= 1.0 {
        return Err(Error::not_found(format!(
            "no number of samples certifies a radius of {radius_in_sigmas} sigma at a top class \
             probability of {p}: Phi of the radius is {target}"
        )));
    }
    let mut first = 1;
    for _ in 0..200_000 {
        if first > MAX_TRIALS {
            return Err(too_many());
        }
        let k = count(p, first);
        if binomial_tail_upper(k, first, target)?.get() <= alpha.get() {
            return Ok(first);
        }
        first = end_of_excluded(first, p, target, alpha)? + 1;
    }
    Err(Error::not_found(format!(
        "the number of samples for a radius of {radius_in_sigmas} sigma at {p} was not found within \
         200,000 steps (it is above {first})"
    )))
}

/// The lower bound `pA` that `n` samples give when `floor(p n)` of them are of the top class.
///
/// Fails unless `0 < p <= 1`, and outside the domain of [`clopper_pearson_lower`].
///
/// ```
/// use recert_num::{Alpha, clopper_pearson_lower, samples::bound_from_samples};
/// let alpha = Alpha::new(0.001)?;
/// let bound = bound_from_samples(1.0, 1000, alpha)?;
/// assert_eq!(bound, clopper_pearson_lower(1000, 1000, alpha)?);
/// # Ok::<(), recert_num::Error>(())
/// ```
pub fn bound_from_samples(p: f64, n: u64, alpha: Alpha) -> Result<LowerBound, Error> {
    if p != 1.0 {
        check_fraction(p)?;
    }
    clopper_pearson_lower(count(p, n), n, alpha)
}

/// A number `b` such that none of `first..=b` is enough, as far as one proof shows, given that
/// `first` itself is not.
fn end_of_excluded(first: u64, p: f64, target: f64, alpha: Alpha) -> Result<u64, Error> {
    let mean = first as f64 * target;
    let deviation = (mean * (1.0 - target)).sqrt();
    // The largest count that is exceeded often enough, guessed and then proved.
    let mut reach = (mean - quantile_guess(alpha.get()) * deviation) as u64;
    for _ in 0..4 {
        let k = reach.min(first);
        // The largest b with floor(p b) <= k, up to rounding, which `count` settles.
        let mut last = ((k + 1) as f64 / p) as u64;
        while last > first && count(p, last) > k {
            last -= 1;
        }
        if last <= first {
            break;
        }
        if count(p, last) <= k && binomial_tail_lower(k, first, target)?.get() > alpha.get() {
            return Ok(last);
        }
        reach = k.saturating_sub(1);
    }
    Ok(first)
}

/// `floor(p n)` in `f64` arithmetic.
fn count(p: f64, n: u64) -> u64 {
    ((p * n as f64) as u64).min(n)
}

fn check_fraction(p: f64) -> Result<(), Error> {
    if p > 0.0 && p < 1.0 {
        Ok(())
    } else {
        Err(Error::domain(format!(
            "success probability {p} is not strictly between 0 and 1"
        )))
    }
}

fn too_many() -> Error {
    Error::not_found(format!("more than {MAX_TRIALS} samples would be needed"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::normal::normal_cdf_lower;

    fn alpha(x: f64) -> Alpha {
        Alpha::new(x).unwrap()
    }

    #[test]
    fn figure_two_of_the_incremental_paper() {
        // The published readings are rounded to hundreds.
        let at = |p| samples_for_width(p, 0.005, alpha(0.01)).unwrap();
        assert_eq!(at(0.5).div_ceil(100), 2169);
        assert_eq!((at(0.05) + 50) / 100, 415);
        assert!(at(0.5) > at(0.4) && at(0.4) > at(0.05));
        assert!((at(0.3) as f64 / at(0.7) as f64 - 1.0).abs() < 1e-3);
    }

    #[test]
    fn smallest_number_of_samples_is_the_smallest() {
        for (p, radius, a) in [
            (1.0, 1.0, 0.001),
            (0.9, 0.5, 0.001),
            (0.99, 2.0, 0.01),
            (0.7, 0.25, 0.05),
            (0.6, 0.0, 0.001),
        ] {
            let n = samples_for_radius(p, radius, alpha(a)).unwrap();
            let target = normal_cdf_lower(radius).unwrap().get();
            let bound = |n| bound_from_samples(p, n, alpha(a)).unwrap().get();
            assert!(
                bound(n) >= target * (1.0 - 1e-11),
                "{n} is too small at {p}"
            );
            // Every smaller number fails: one by one.
            for smaller in 1..n {
                assert!(
                    bound(smaller) < target,
                    "{smaller} would do at {p}, radius {radius}"
                );
            }
        }
    }

    #[test]
    fn close_calls_take_many_samples() {
        // p - Phi(r) is about 0.001; n is about z^2 p q/0.001^2 = 9.55 * 0.1334/1e-6.
        let n = samples_for_radius(0.842_344_746, 1.0, alpha(0.001)).unwrap();
        assert!((1.2e6..1.4e6).contains(&(n as f64)), "{n}");
    }

    #[test]
    fn what_cannot_be_had_is_an_error() {
        let kind = |r: Result<u64, Error>| r.unwrap_err().kind();
        assert_eq!(
            kind(samples_for_radius(0.8, 1.0, alpha(0.001))),
            ErrorKind::NotFound
        );
        assert_eq!(
            kind(samples_for_radius(1.0, 50.0, alpha(0.001))),
            ErrorKind::NotFound
        );
        assert_eq!(
            kind(samples_for_radius(1.1, 1.0, alpha(0.001))),
            ErrorKind::Domain
        );
        assert_eq!(
            kind(samples_for_radius(0.9, f64::NAN, alpha(0.001))),
            ErrorKind::Domain
        );
        assert_eq!(
            kind(samples_for_radius(0.9, 0.1, alpha(0.7))),
            ErrorKind::Domain
        );
        assert_eq!(
            kind(samples_for_width(0.0, 0.1, alpha(0.1))),
            ErrorKind::Domain
        );
        assert_eq!(
            kind(samples_for_width(0.5, 0.0, alpha(0.1))),
            ErrorKind::Domain
        );
        assert_eq!(
            kind(samples_for_width(0.5, 1e-9, alpha(0.1))),
            ErrorKind::NotFound
        );
    }
}
