//! The radius to expect from a number of samples, in units of sigma, for plans.

use recert_num::{Alpha, LowerBound, UpperBound, clopper_pearson_lower, clopper_pearson_upper};

use super::{Levels, Rates, Subject};
use crate::Error;
use crate::bound::{self, Shares};

/// `Phi^-1(p)` where it is positive, else 0; to about eight digits, for plans.
///
/// Abramowitz and Stegun 26.2.23, and two steps of Newton's method.
pub(crate) fn quantile(p: f64) -> f64 {
    let tail = (1.0 - p).max(1e-12);
    if tail >= 0.5 {
        return 0.0;
    }
    let t = (-2.0 * tail.ln()).sqrt();
    let above = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let below = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    let mut x = t - above / below;
    for _ in 0..2 {
        let density = (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
        x += (0.5 * libm::erfc(x / std::f64::consts::SQRT_2) - tail) / density;
    }
    x.max(0.0)
}

/// The mean of `radius` over the number of `m` samples that have an answer of probability `p`.
///
/// A radius is concave in that number where it matters, so that its mean is below the radius
/// at the mean: what a plan promises would not be kept. Where few are expected, the binomial
/// law is summed; else three points have its mean and its variance.
fn mean(p: f64, m: u64, radius: impl Fn(u64) -> Result<f64, Error>) -> Result<f64, Error> {
    let p = p.clamp(0.0, 1.0 - 1e-9);
    let expected = p * m as f64;
    if expected < FEW {
        let (mut weight, mut seen, mut sum) = ((1.0 - p).powf(m as f64), 0.0, 0.0);
        for count in 0..=m {
            let found = radius(count)?;
            if count == m || seen + weight > 0.998 || found == 0.0 {
                // The rest of the law has at most this radius.
                sum += (1.0 - seen) * found;
                break;
            }
            (sum, seen) = (sum + weight * found, seen + weight);
            weight *= (m - count) as f64 / (count + 1) as f64 * p / (1.0 - p);
        }
        return Ok(sum);
    }
    let spread = (1.5 * expected * (1.0 - p)).sqrt();
    let mut sum = 0.0;
    for count in [expected - spread, expected, expected + spread] {
        sum += between(count.clamp(0.0, m as f64), &radius)? / 3.0;
    }
    Ok(sum)
}

/// Below so many samples expected, the law of their number is summed.
const FEW: f64 = 3.0;

/// The mean of `radius` at the two whole numbers around `count`.
fn between(count: f64, radius: impl Fn(u64) -> Result<f64, Error>) -> Result<f64, Error> {
    let (below, part) = (count.floor(), count.fract());
    let low = radius(below as u64)?;
    if part < 1e-9 {
        return Ok(low);
    }
    Ok(low * (1.0 - part) + radius(below as u64 + 1)? * part)
}

/// The radius from `m` fresh samples, each answered with the class with probability `p`.
pub(super) fn fresh(p: f64, m: u64, alpha: Alpha) -> Result<f64, Error> {
    mean(1.0 - p, m, |other| {
        let bound = clopper_pearson_lower(m - other.min(m), m, alpha)?;
        Ok(quantile(bound.get()))
    })
}

/// The two-sided radius from `m` fresh samples, if h answers as f does and the runner-up's part of the other answers is
/// as the votes suggest.
pub(super) fn fresh_both(subject: Subject, m: u64, alpha: Alpha) -> Result<f64, Error> {
    let shares = Shares::from_votes(subject.favour, subject.rival, alpha)?;
    let others = (subject.votes - subject.favour) as f64;
    let part = (subject.rival as f64 + 0.5) / (others + 0.5);
    mean(subject.q(), m, |other| {
        let other = other.min(m);
        let runner_up = ((part * other as f64).ceil() as u64).min(other);
        let found = bound::two_sided(m - other, runner_up, m, shares)?;
        two_sided(found.p_lower, found.p_upper)
    })
}

/// `(Phi^-1(p) - Phi^-1(q))/2` where that is positive, else 0.
fn two_sided(p: LowerBound, q: UpperBound) -> Result<f64, Error> {
    let normal = |p: f64| recert_num::normal_quantile_lower(p.clamp(1e-12, 1.0 - 1e-12));
    if p.get() <= q.get() {
        return Ok(0.0);
    }
    Ok((normal(p.get())? - normal(q.get())?) / 2.0)
}

/// The radius from `m` pairs of which h loses each with probability `lost`.
pub(super) fn loss(p_f: LowerBound, lost: f64, m: u64, levels: Levels) -> Result<f64, Error> {
    mean(lost, m, |other| {
        let upper = clopper_pearson_upper(other.min(m), m, levels.h)?;
        Ok(quantile(p_f.times(upper.complement()).get()))
    })
}

/// The two-sided radius to expect if the probabilities are those that the votes suggest.
pub(super) fn both(subject: Subject, rates: &Rates, m: u64, levels: Levels) -> Result<f64, Error> {
    let n = subject.n;
    let votes = subject.votes as f64 + 1.0;
    let count = |votes_for: u64| ((votes_for as f64 + 0.5) / votes * n as f64) as u64;
    let f = bound::Answered {
        n,
        k: (n as f64 * (1.0 - subject.q0())) as u64,
        runner_up: count(subject.rival).min(n),
    };
    // The gain of another class is assumed to be as large as the loss of this one.
    let moved = (1.0 - subject.q0()) * rates.lost(subject.q0());
    between(moved * m as f64, |count| {
        let h = bound::Moved {
            pairs: m,
            lost: count.min(m),
            arrived: count.min(m),
        };
        let found = bound::both(f, levels.f, h, levels.h)?;
        two_sided(found.p_lower, found.p_upper)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_are_those_of_the_binomial_law() {
        // Of the radius of fresh samples, with every term of the law.
        let alpha = Alpha::new(0.002).unwrap();
        for (p, m) in [
            (0.999, 50),
            (0.99, 200),
            (0.95, 100),
            (0.8, 300),
            (0.97, 2000),
        ] {
            let q: f64 = 1.0 - p;
            let mut weight = p.powf(m as f64);
            let mut exact = 0.0;
            for other in 0..m {
                let bound = clopper_pearson_lower(m - other, m, alpha).unwrap();
                exact += weight * quantile(bound.get());
                weight *= (m - other) as f64 / (other + 1) as f64 * q / p;
            }
            let found = fresh(p, m, alpha).unwrap();
            assert!(
                (found - exact).abs() < 0.004,
                "{p}, {m}: {found}, not {exact}"
            );
        }
    }

    #[test]
    fn quantiles_are_those_of_the_normal_law() {
        for p in [0.501, 0.6, 0.9, 0.999, 0.999_999] {
            let exact = recert_num::normal_quantile_lower(p).unwrap();
            assert!((quantile(p) - exact).abs() < 1e-7, "{p}");
        }
        assert_eq!((quantile(0.5), quantile(0.2)), (0.0, 0.0));
    }
}
