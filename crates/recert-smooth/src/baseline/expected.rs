//! The radius to expect from a number of samples, in units of sigma.

use recert_num::{Alpha, LowerBound, clopper_pearson_lower};

use super::Counted;
use crate::Error;
use crate::bound::{Shares, two_sided};
use crate::budget::quantile;

/// Numbers of samples with another answer than the class, with weights that sum to 1.
pub(super) type Outcomes = Vec<(u64, f64)>;

/// Below this mean, outcomes are enumerated.
const FEW: f64 = 120.0;

/// The nodes and weights of Gauss and Hermite for five points of the standard normal law.
const NODES: [(f64, f64); 5] = [
    (-2.856_970_013_872_806, 0.011_257_411_327_720_69),
    (-1.355_626_179_974_266, 0.222_075_922_005_612_6),
    (0.0, 0.533_333_333_333_333_3),
    (1.355_626_179_974_266, 0.222_075_922_005_612_6),
    (2.856_970_013_872_806, 0.011_257_411_327_720_69),
];

/// The outcomes of `m` samples, each of which has another answer with probability `other`: all
/// that have any weight where few are expected, else five by the normal law.
pub(super) fn outcomes(m: u64, other: f64) -> Outcomes {
    let mean = m as f64 * other;
    if mean >= FEW {
        let spread = (mean * (1.0 - other)).sqrt();
        let node = |(z, weight): (f64, f64)| {
            let count = (mean + z * spread).round().clamp(0.0, m as f64);
            (count as u64, weight)
        };
        return NODES.into_iter().map(node).collect();
    }
    let mut weight = (m as f64 * (-other).ln_1p()).exp();
    let (mut all, mut sum) = (Vec::new(), 0.0);
    for count in 0..=m {
        all.push((count, weight));
        sum += weight;
        if sum > 1.0 - 1e-9 {
            break;
        }
        let ratio = (m - count) as f64 / (count + 1) as f64;
        weight *= ratio * other / (1.0 - other);
    }
    all
}

/// The radius that counts certify, 0 where they do not.
pub(super) fn radius((m, other, two): Counted, alpha: Alpha) -> Result<f64, Error> {
    let k = m - other;
    let Some((runner_up, [class, ratio])) = two else {
        let bound = clopper_pearson_lower(k, m, alpha)?;
        return Ok(quantile(bound.get()));
    };
    let shares = Shares {
        class: Alpha::new(f64::from_bits(class))?,
        ratio: Alpha::new(f64::from_bits(ratio))?,
    };
    let found = two_sided(k, runner_up, m, shares)?;
    let (p, q) = (found.p_lower.get(), found.p_upper.get());
    if found.p_lower == LowerBound::ZERO || p <= q {
        return Ok(0.0);
    }
    Ok((signed(p) - signed(q)) / 2.0)
}

/// `Phi^-1(p)`.
fn signed(p: f64) -> f64 {
    quantile(p) - quantile(1.0 - p)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(m: u64, other: f64, outcomes: &[(u64, f64)]) -> f64 {
        let alpha = Alpha::new(0.002).unwrap();
        let radius = |count: u64| radius((m, count, None), alpha).unwrap();
        assert!(other < 1.0);
        outcomes.iter().map(|&(x, weight)| weight * radius(x)).sum()
    }

    #[test]
    fn outcomes_are_those_of_the_binomial_law() {
        for (m, other) in [
            (1, 0.5),
            (9, 0.001),
            (40, 0.3),
            (200, 0.4),
            (900, 0.1),
            (5_000, 0.45),
        ] {
            // By factorials, in logarithms.
            let choose = |x: f64| {
                let m = m as f64;
                libm::lgamma(m + 1.0) - libm::lgamma(x + 1.0) - libm::lgamma(m - x + 1.0)
            };
            let weight = |x: u64| {
                let (x, rest) = (x as f64, (m - x) as f64);
                (choose(x) + x * f64::ln(other) + rest * f64::ln(1.0 - other)).exp()
            };
            let exact: Outcomes = (0..=m).map(|x| (x, weight(x))).collect();
            let found = outcomes(m, other);
            let sum: f64 = found.iter().map(|outcome| outcome.1).sum();
            assert!((sum - 1.0).abs() < 1e-8, "{m} {other}: {sum}");
            let (exact, found) = (mean(m, other, &exact), mean(m, other, &found));
            assert!(
                (found - exact).abs() < 0.004,
                "{m} {other}: {found} {exact}"
            );
        }
    }

    #[test]
    fn two_sided_radii_count_below_one_half() {
        let alpha = Alpha::new(0.002).unwrap();
        let shares = Shares::from_votes(40, 10, alpha).unwrap();
        let shares = [shares.class, shares.ratio].map(|share| share.get().to_bits());
        let of = |runner_up| radius((4_000, 2_400, Some((runner_up, shares))), alpha).unwrap();
        assert!(of(400) > 0.3 && of(400) < 0.7);
        assert_eq!(of(1_600), 0.0);
        assert_eq!(radius((4_000, 2_400, None), alpha).unwrap(), 0.0);
    }
}
