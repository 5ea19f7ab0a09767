//! Certifying from scratch with a separate bound for the runner-up: Clopper-Pearson bounds from
//! a network's counts of the selected class and of the runner-up.
//!
//! Let `p` be the probability of the class selected, c, and `q` the largest of
//! any other answer, j: another class, or none (an invalid answer, which
//! counts against the class as in the one-sided case). The bound uses two events, each of
//! which fails with at most a known probability whatever the network does:
//!
//! - A: `p >= a` with `a = CP_lo(k, n, alpha_a)`;
//! - R: `p / (p + q) >= t` with `t = CP_lo(k, k + k_j, alpha_ratio)`, since among
//!   the samples answered c or j the count of c is binomial with exactly this ratio.
//!
//! j is unknown, but it is one answer that is fixed before any sample is drawn. R therefore
//! needs no union over the classes; using the largest count of another answer in place of
//! `k_j` only lowers t. Where A and R hold, `q <= min(1 - p, p (1 - t) / t)`,
//! and the radius `sigma/2 (Phi^-1(p) - Phi^-1(q))` is least at `p = a`
//! (`SOUNDNESS.md`, section 1).

use std::collections::BTreeMap;

use recert_ledger::{Rule, Sides};
use recert_num::directed::{div_up, mul_up, sub_up};
use recert_num::{Alpha, LowerBound, UpperBound, clopper_pearson_lower};

use crate::Error;

/// The two shares of a two-sided certificate's failure probability; their exact sum is at most
/// the whole.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shares {
    /// The share for the class's probability.
    pub class: Alpha,
    /// The share for the ratio of the class to the class and the runner-up together.
    pub ratio: Alpha,
}

impl Shares {
    /// The name under which ledgers record the rule of [`Shares::from_votes`].
    pub const RULE: Rule = Rule::Votes1;

    /// The weights of class and ratio in three cases: no selection sample is answered with
    /// another class; the class has at least three times as many as any other; neither.
    pub const WEIGHTS: [[f64; 2]; 3] = [[15.0, 1.0], [1.0, 1.0], [1.0, 7.0]];

    /// The weights of the most uneven split of alpha that a certificate from scratch may need.
    /// Every share used lies between the smallest and the largest of this split.
    pub fn most_uneven(sides: Sides) -> &'static [f64] {
        match sides {
            Sides::One => &[1.0],
            Sides::Two => &Self::WEIGHTS[0],
        }
    }

    /// Splits `alpha` by the selection samples: `votes` of them for the class
    /// selected, `runner_up` for the next best.
    ///
    /// The share of the class is 15/16 of alpha where `runner_up` is 0, 1/2 where
    /// `votes >= 3 runner_up`, and 1/8 otherwise. Near a probability of 1
    /// only the class's bound matters, near a tie only the ratio's. Any rule is sound that does
    /// not look at the estimation samples.
    ///
    /// # Errors
    /// If a share underflows.
    pub fn from_votes(votes: u64, runner_up: u64, alpha: Alpha) -> Result<Self, Error> {
        let [unanimous, clear, contested] = &Self::WEIGHTS;
        let weights = if runner_up == 0 {
            unanimous
        } else if votes / 3 >= runner_up {
            clear
        } else {
            contested
        };
        let shares = alpha.split(weights)?;
        Ok(Self {
            class: shares[0],
            ratio: shares[1],
        })
    }
}

/// Among all probabilities that the bounds allow, those with the least radius.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TwoSided {
    /// The lower bound `a` of the class's probability, rounded down.
    pub p_lower: LowerBound,
    /// The lower bound `t` of its share of the answers for it or the runner-up,
    /// rounded down; 0 where there are none.
    pub ratio_lower: LowerBound,
    /// `min(1 - a, a (1 - t) / t)`, rounded up: the largest probability that
    /// another answer can have where the class has `p_lower`.
    pub p_upper: UpperBound,
}

/// Bounds the class and the runner-up from `k` and `runner_up` of `n`
/// independent samples, `runner_up` being the largest count of any other answer.
///
/// With probability at least `1 - shares.class - shares.ratio`, the radius
/// `sigma/2 (Phi^-1(p_lower) - Phi^-1(p_upper))`, if positive, is at most
/// `sigma/2 (Phi^-1(p) - Phi^-1(q))`, with `p` the class's probability and `q`
/// the largest of any other answer (module documentation). Never below what the class
/// alone would give at `shares.class`.
///
/// ```
/// use recert_num::Alpha;
/// use recert_smooth::bound::{Shares, two_sided};
///
/// // Of the selection samples 40 were answered with the class and 5 with the runner-up.
/// let shares = Shares::from_votes(40, 5, Alpha::new(0.001)?)?;
/// let found = two_sided(4000, 500, 10_000, shares)?;
/// assert!(found.p_lower.get() < 0.4 && found.p_upper.get() < 0.08);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If the counts exceed `n`, or a share is out of the bounds' domain.
pub fn two_sided(k: u64, runner_up: u64, n: u64, shares: Shares) -> Result<TwoSided, Error> {
    let either = k
        .checked_add(runner_up)
        .filter(|&sum| sum <= n)
        .ok_or_else(|| {
            Error::parameter(format!(
                "{k} samples of the class and {runner_up} of another are more than the {n} there are"
            ))
        })?;
    let p_lower = clopper_pearson_lower(k, n, shares.class)?;
    let ratio_lower = if k == 0 {
        LowerBound::ZERO
    } else {
        clopper_pearson_lower(k, either, shares.ratio)?
    };
    Ok(TwoSided {
        p_lower,
        ratio_lower,
        p_upper: p_lower.complement().min(at_ratio(p_lower, ratio_lower)),
    })
}

/// `p (1 - t) / t` rounded up, at most 1.
fn at_ratio(p: LowerBound, t: LowerBound) -> UpperBound {
    let (p, t) = (p.get(), t.get());
    // Below one half the ratio says nothing that matters: another class may be
    // the likelier one.
    if t <= 0.5 {
        return UpperBound::ONE;
    }
    let bound = div_up(mul_up(p, sub_up(1.0, t)), t);
    UpperBound::new(bound.min(1.0)).unwrap_or(UpperBound::ONE)
}

/// The answer other than `class` with the largest count, ties to the lower
/// index, and its count; `None` if there is no other.
///
/// ```
/// use recert_smooth::bound::runner_up;
///
/// assert_eq!(runner_up(&[(1, 5), (2, 9), (3, 5)].into(), 2), Some((1, 5)));
/// assert_eq!(runner_up(&[(2, 9)].into(), 2), None);
/// ```
pub fn runner_up(counts: &BTreeMap<u16, u64>, class: u16) -> Option<(u16, u64)> {
    let others = counts
        .iter()
        .filter(|&(&c, &count)| c != class && count > 0);
    // The last of equal ones is taken, which is the lowest backwards.
    let largest = others.rev().max_by_key(|&(_, &count)| count);
    largest.map(|(&c, &count)| (c, count))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use recert_num::{MIN_ALPHA, Radius, Sigma};

    use super::*;

    fn alpha(value: f64) -> Alpha {
        Alpha::new(value).unwrap()
    }

    fn shares(class: f64, ratio: f64) -> Shares {
        Shares {
            class: alpha(class),
            ratio: alpha(ratio),
        }
    }

    /// The radius in units of sigma; 0 where there is none.
    fn radius(p_lower: LowerBound, p_upper: UpperBound) -> f64 {
        let sigma = Sigma::new(1.0).unwrap();
        Radius::two_sided(sigma, p_lower, p_upper)
            .unwrap()
            .map_or(0.0, Radius::get)
    }

    fn one_sided(k: u64, n: u64, level: Alpha) -> f64 {
        let p = clopper_pearson_lower(k, n, level).unwrap();
        let sigma = Sigma::new(1.0).unwrap();
        Radius::one_sided(sigma, p)
            .unwrap()
            .map_or(0.0, Radius::get)
    }

    #[test]
    fn small_counts_by_hand() {
        // All samples of the class: CP_lo(n, n, a) is the n-th root of a.
        for n in [1_u64, 2, 3, 7] {
            let found = two_sided(n, 0, n, shares(0.04, 0.01)).unwrap();
            let root = |a: f64| a.powf(1.0 / n as f64);
            let (a, t) = (root(0.04), root(0.01));
            let q = if t > 0.5 {
                (1.0 - a).min(a * (1.0 - t) / t)
            } else {
                1.0 - a
            };
            assert!((found.p_lower.get() - a).abs() < 1e-11, "{found:?}");
            assert!((found.ratio_lower.get() - t).abs() < 1e-11, "{found:?}");
            assert!((found.p_upper.get() - q).abs() < 1e-11, "{found:?}");
        }
        // One sample of the class: CP_lo(1, n, a) = 1 - (1 - a)^(1/n).
        let found = two_sided(1, 4, 10, shares(0.02, 0.03)).unwrap();
        let once = |n: f64, a: f64| 1.0 - (1.0 - a).powf(1.0 / n);
        assert!((found.p_lower.get() - once(10.0, 0.02)).abs() < 1e-11);
        assert!((found.ratio_lower.get() - once(5.0, 0.03)).abs() < 1e-11);
        assert_eq!(found.p_upper, found.p_lower.complement());
        // Neither, and invalid answers alone.
        for (k, other, n) in [(0, 0, 5), (0, 5, 5), (0, 2, 5)] {
            let found = two_sided(k, other, n, shares(0.1, 0.1)).unwrap();
            assert_eq!(found.p_lower.get(), 0.0);
            assert_eq!(found.p_upper.get(), 1.0);
        }
        // A class of less than half of the samples that no other comes near.
        let found = two_sided(4000, 500, 10_000, shares(0.0005, 0.0005)).unwrap();
        assert!(found.p_lower.get() < 0.4 && found.p_upper.get() < 0.08);
        assert!(radius(found.p_lower, found.p_upper) > 0.5);
    }

    #[test]
    fn counts_that_cannot_be_are_refused() {
        for (k, other, n) in [(3, 3, 5), (6, 0, 5), (u64::MAX, 1, 5)] {
            assert!(two_sided(k, other, n, shares(0.1, 0.1)).is_err());
        }
    }

    #[test]
    fn shares_follow_the_votes() {
        let whole = alpha(0.001);
        for (votes, other, part) in [
            (100, 0, 15.0 / 16.0),
            (1, 0, 15.0 / 16.0),
            (0, 0, 15.0 / 16.0),
            (99, 1, 0.5),
            (75, 25, 0.5),
            (3, 1, 0.5),
            (74, 25, 0.125),
            (50, 50, 0.125),
            (1, 1, 0.125),
        ] {
            let found = Shares::from_votes(votes, other, whole).unwrap();
            let wanted = part * whole.get();
            assert!(
                (found.class.get() - wanted).abs() < 1e-15,
                "{votes} {other}"
            );
            assert!((found.ratio.get() - (whole.get() - wanted)).abs() < 1e-15);
        }
        let least = alpha(16.0 * MIN_ALPHA * (1.0 + 1e-12));
        for (votes, other) in [(9, 0), (9, 1), (9, 9)] {
            let found = Shares::from_votes(votes, other, least).unwrap();
            assert!(found.class.get() >= MIN_ALPHA && found.ratio.get() >= MIN_ALPHA);
        }
    }

    /// The table of `SOUNDNESS.md`: the largest loss against one side is at
    /// `k = n`, and no more than stated there.
    #[test]
    fn the_losses_stated_are_the_largest() {
        let whole = alpha(0.001);
        for (n, stated) in [
            (100, [[0.0047, 0.0029], [0.049, 0.031], [0.135, 0.086]]),
            (1000, [[0.0034, 0.001], [0.035, 0.011], [0.096, 0.03]]),
            (10_000, [[0.0027, 0.0004], [0.028, 0.004], [0.077, 0.01]]),
            (100_000, [[0.0023, 0.0002], [0.024, 0.002], [0.066, 0.004]]),
        ] {
            for (votes, [at_all, at_nine_tenths]) in [(9, 0), (9, 1), (9, 9)].iter().zip(stated) {
                let share = Shares::from_votes(votes.0, votes.1, whole).unwrap().class;
                let loss = |k| one_sided(k, n, whole) - one_sided(k, n, share);
                assert!(
                    (0.95 * at_all..=at_all).contains(&loss(n)),
                    "{n}, {votes:?}"
                );
                assert!(loss(n / 10 * 9) <= at_nine_tenths, "{n}, {votes:?}");
                let step = (n / 1000).max(1);
                for k in (n / 2..n).step_by(step as usize).chain(n - n.min(100)..n) {
                    assert!(loss(k) <= loss(n), "{k} of {n}, {votes:?}");
                }
            }
        }
    }

    #[test]
    fn the_runner_up_breaks_ties_to_the_lower_index() {
        let of = |counts: &[(u16, u64)], class| runner_up(&counts.iter().copied().collect(), class);
        assert_eq!(of(&[(1, 5), (2, 9), (3, 5), (4, 2)], 2), Some((1, 5)));
        assert_eq!(of(&[(1, 5), (2, 9)], 1), Some((2, 9)));
        assert_eq!(of(&[(1, 5), (2, 0)], 1), None);
        assert_eq!(of(&[], 1), None);
    }

    proptest! {
        /// What `SOUNDNESS.md` promises beside soundness: never below the class
        /// alone at its share, so the loss against the class alone at the whole
        /// of alpha is at most what the share costs there; and never better
        /// for more answers of another class.
        #[test]
        fn the_loss_against_one_side_is_bounded(
            n in 1_u64..200_000,
            part in 0.0_f64..=1.0,
            other in 0.0_f64..=1.0,
            level in 1e-6_f64..0.3,
            votes in 0_u64..100,
            against in 0_u64..100,
        ) {
            let k = (n as f64 * part) as u64;
            let runner_up = ((n - k) as f64 * other) as u64;
            let whole = alpha(level);
            let shares = Shares::from_votes(votes, against, whole).unwrap();
            let found = two_sided(k, runner_up, n, shares).unwrap();
            let here = radius(found.p_lower, found.p_upper);
            let alone = one_sided(k, n, shares.class);
            // The two radii are rounded on different ways.
            prop_assert!(here >= alone - 1e-10, "{here} {alone}");
            let eighth = one_sided(k, n, alpha(0.125 * level * (1.0 - 1e-12)));
            prop_assert!(one_sided(k, n, whole) - here <= one_sided(k, n, whole) - eighth + 1e-10);
            prop_assert!(found.p_upper.get() <= found.p_lower.complement().get());
            if k + runner_up < n {
                let more = two_sided(k, runner_up + 1, n, shares).unwrap();
                prop_assert!(radius(more.p_lower, more.p_upper) <= here + 1e-10);
            }
        }

        /// The radius is least at the corner that is reported: any pair of
        /// probabilities that the bounds allow has no smaller one.
        #[test]
        fn no_pair_that_the_bounds_allow_has_a_smaller_radius(
            n in 10_u64..100_000,
            part in 0.0_f64..=1.0,
            other in 0.0_f64..=1.0,
            up in 0.0_f64..=1.0,
            down in 0.0_f64..=1.0,
        ) {
            let k = (n as f64 * part) as u64;
            let runner_up = ((n - k) as f64 * other) as u64;
            let found = two_sided(k, runner_up, n, shares(0.0005, 0.0005)).unwrap();
            let (a, t) = (found.p_lower.get(), found.ratio_lower.get());
            let here = radius(found.p_lower, found.p_upper);
            let p = (a + up * up * (1.0 - a)).min(1.0 - 1e-9);
            let most = if t > 0.0 { (1.0 - p).min(p * (1.0 - t) / t) } else { 1.0 - p };
            let q = most * (1.0 - down * down * down);
            if p >= a && here > 0.0 {
                let there = radius(LowerBound::new(p).unwrap(), UpperBound::new(q).unwrap());
                prop_assert!(there >= here - 1e-9, "p {p} q {q}: {there} {here}");
            }
        }
    }
}
