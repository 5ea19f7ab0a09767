//! What pairs of answers say of a version of a network: how often it disagrees with the original, and
//! what its average certified radius may be expected to be.
//!
//! The first is a statement, with an interval that is proved (SOUNDNESS.md, "Choosing among versions").
//! The second is a model, for choosing what to certify, and no certificate rests on it.

use std::cell::RefCell;
use std::collections::HashMap;

use recert_num::{Alpha, Radius, Sigma, clopper_pearson_lower, clopper_pearson_upper};
use recert_report::layers::Interval;

use crate::Result;

/// The failure probability of each side of an interval.
const SIDE: f64 = 0.025;

/// How often inputs are drawn again for the interval of a radius.
const RESAMPLES: usize = 400;

/// What was seen on an input: the original's answers, and pairs with a version's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in super::super) struct InputPairs {
    /// The original's samples of the class, and all.
    pub(in super::super) original: (u64, u64),
    /// Samples that both networks answered.
    pub(in super::super) pairs: u64,
    /// Those with different answers.
    pub(in super::super) disagreements: u64,
    /// Those that the original answered with the class.
    pub(in super::super) class: u64,
    /// Those that it answered with the class and the version did not.
    pub(in super::super) lost: u64,
    /// Those that the version answered with the class and it did not.
    pub(in super::super) gained: u64,
}

/// How often a version leaves the class and comes to it.
///
/// On an input that the original answers otherwise than with the class with probability q, a version is taken to
/// leave the class with probability `lost * q` and to come to it, from other answers, with probability `gained`: both
/// networks err near the same boundary, and q says how near the samples lie. These two numbers are the version's, for
/// all inputs. (Measured on ResNet-20 under noise 0.25 to 1.0: `lost` is much the same for q from 0.005 to 0.4.)
#[derive(Debug, Clone, Copy)]
struct Moves {
    lost: f64,
    gained: f64,
}

impl Moves {
    fn of<'a>(inputs: impl Iterator<Item = &'a InputPairs>) -> Self {
        let [mut lost, mut exposed, mut gained, mut others] = [0.0; 4];
        for input in inputs {
            lost += input.lost as f64;
            exposed += input.q() * input.class as f64;
            gained += input.gained as f64;
            others += (input.pairs - input.class) as f64;
        }
        let share = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
        Self {
            lost: share(lost, exposed),
            gained: share(gained, others),
        }
    }
}

impl InputPairs {
    /// How often the original answers otherwise than with the class; above 0, as one sample more might.
    fn q(&self) -> f64 {
        let (k, n) = self.original;
        ((n - k) as f64 + 0.5) / (n as f64 + 1.0)
    }

    /// How often the version answers with the class.
    fn expected(&self, moves: Moves) -> f64 {
        let q = self.q();
        let p = 1.0 - q;
        (p * (1.0 - (moves.lost * q).min(1.0)) + q * moves.gained).clamp(0.0, 1.0)
    }
}

/// What is to be kept of a network's certificates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in super::super) enum Measure {
    /// The average certified radius, of any class.
    Radius,
    /// The share of inputs with at least this radius.
    ShareAt(f64),
}

/// Estimates for the versions of one network.
pub(in super::super) struct Estimator {
    sigma: Sigma,
    alpha: Alpha,
    /// Samples that certificates would rest on.
    n: u64,
    measure: Measure,
    /// Radii by the samples of the class.
    radii: RefCell<HashMap<u64, f64>>,
}

/// What a version is expected to lose, also in each of several draws of as many inputs from those that were
/// looked at. The draws are the same for all versions, so that two of them may be compared draw by draw.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Loss {
    pub(in super::super) estimate: f64,
    drawn: Vec<f64>,
}

impl Loss {
    /// The estimate, and where it is in 95 % of the draws.
    pub(in super::super) fn interval(&self) -> Interval {
        let mut drawn = self.drawn.clone();
        drawn.sort_unstable_by(f64::total_cmp);
        let rank = |share: f64| drawn[((RESAMPLES - 1) as f64 * share).round() as usize];
        Interval {
            estimate: self.estimate,
            lower: rank(SIDE).min(self.estimate),
            upper: rank(1.0 - SIDE).max(self.estimate),
        }
    }

    /// Whether it is above another one by more than so many standard deviations of their difference.
    pub(in super::super) fn is_above(&self, other: &Self, deviations: f64) -> bool {
        let pairs = || self.drawn.iter().zip(&other.drawn).map(|(a, b)| a - b);
        let count = self.drawn.len() as f64;
        let mean = pairs().sum::<f64>() / count;
        let variance = pairs().map(|d| (d - mean).powi(2)).sum::<f64>() / count;
        self.estimate - other.estimate > deviations * variance.sqrt()
    }
}

impl Estimator {
    /// For certificates from `n` samples.
    pub(in super::super) fn new(sigma: f64, alpha: f64, n: u64, measure: Measure) -> Result<Self> {
        Ok(Self {
            n,
            sigma: Sigma::new(sigma)?,
            alpha: Alpha::new(alpha)?,
            measure,
            radii: RefCell::default(),
        })
    }

    /// The share of samples on which the two disagree, on average over these inputs, each with as many
    /// pairs, and an interval of 95 %.
    pub(in super::super) fn disagreement(inputs: &[InputPairs]) -> Result<Interval> {
        let pairs: u64 = inputs.iter().map(|input| input.pairs).sum();
        let disagreements = inputs.iter().map(|input| input.disagreements).sum();
        disagreement(disagreements, pairs)
    }

    /// What certificates with these probabilities of the class would give: one-sided, of any class.
    fn average(&self, of: impl Iterator<Item = f64>) -> Result<f64> {
        let (mut sum, mut inputs) = (0.0, 0.0);
        for probability in of {
            let radius = self.radius((probability * self.n as f64) as u64)?;
            sum += match self.measure {
                Measure::Radius => radius,
                Measure::ShareAt(least) => f64::from(u8::from(radius >= least)),
            };
            inputs += 1.0;
        }
        Ok(sum / f64::max(inputs, 1.0))
    }

    fn radius(&self, k: u64) -> Result<f64> {
        if let Some(&radius) = self.radii.borrow().get(&k) {
            return Ok(radius);
        }
        let lower = clopper_pearson_lower(k, self.n, self.alpha)?;
        let radius = Radius::one_sided(self.sigma, lower)?.map_or(0.0, Radius::get);
        self.radii.borrow_mut().insert(k, radius);
        Ok(radius)
    }

    /// The original's own value, as the estimates of its versions are made.
    pub(in super::super) fn original(&self, inputs: &[InputPairs]) -> Result<f64> {
        self.average(inputs.iter().map(|input| 1.0 - input.q()))
    }

    /// By how much a version is expected to be below the original.
    pub(in super::super) fn loss(&self, inputs: &[InputPairs]) -> Result<Loss> {
        let lost = |of: &[&InputPairs]| -> Result<f64> {
            let moves = Moves::of(of.iter().copied());
            let original = of.iter().map(|input| 1.0 - input.q());
            let version = of.iter().map(|input| input.expected(moves));
            Ok(self.average(original)? - self.average(version)?)
        };
        let mut random = fastrand::Rng::with_seed(0);
        let drawn = (0..RESAMPLES).map(|_| {
            let again = (0..inputs.len()).map(|_| &inputs[random.usize(..inputs.len())]);
            lost(&again.collect::<Vec<_>>())
        });
        let drawn = drawn.collect::<Result<_>>()?;
        let estimate = lost(&inputs.iter().collect::<Vec<_>>())?;
        Ok(Loss { estimate, drawn })
    }
}

/// The mean of the probabilities of `n` independent events of which `k` happened, whatever their probabilities:
/// each side of the interval fails with probability 2.5 % at most.
fn disagreement(k: u64, n: u64) -> Result<Interval> {
    let side = Alpha::new(SIDE)?;
    // At the very ends Clopper-Pearson's interval is not proved for unequal probabilities.
    let lower = if k <= 1 {
        0.0
    } else {
        clopper_pearson_lower(k, n, side)?.get()
    };
    let upper = if k + 1 >= n {
        1.0
    } else {
        clopper_pearson_upper(k, n, side)?.get()
    };
    Ok(Interval {
        estimate: k as f64 / n as f64,
        lower,
        upper,
    })
}

/// A loss as a test states it.
#[cfg(test)]
pub(in super::super) fn loss_of(estimate: f64, drawn: impl Iterator<Item = f64>) -> Loss {
    Loss {
        estimate,
        drawn: drawn.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each side of the interval fails with 2.5 % at most, also where some events are certain and others
    /// nearly impossible, by exact sums over all outcomes.
    #[test]
    fn the_interval_holds_for_unequal_probabilities() {
        let families: [Vec<f64>; 6] = [
            vec![0.1; 40],
            (0..40).map(|i| f64::from(i) / 40.0).collect(),
            (0..40).map(|i| if i < 4 { 0.95 } else { 0.003 }).collect(),
            (0..40).map(|i| if i < 38 { 1.0 } else { 0.4 }).collect(),
            (0..40).map(|i| if i < 39 { 1.0 } else { 0.02 }).collect(),
            (0..40).map(|i| if i < 1 { 0.99 } else { 0.0 }).collect(),
        ];
        for probabilities in families {
            let n = probabilities.len();
            let mean = probabilities.iter().sum::<f64>() / n as f64;
            // The law of the number of events.
            let mut law = vec![1.0];
            for p in &probabilities {
                let mut next = vec![0.0; law.len() + 1];
                for (k, mass) in law.iter().enumerate() {
                    next[k] += mass * (1.0 - p);
                    next[k + 1] += mass * p;
                }
                law = next;
            }
            let (mut above, mut below) = (0.0, 0.0);
            for (k, mass) in law.iter().enumerate() {
                let interval = disagreement(k as u64, n as u64).unwrap();
                above += if mean < interval.lower { *mass } else { 0.0 };
                below += if mean > interval.upper { *mass } else { 0.0 };
            }
            assert!(above <= SIDE && below <= SIDE, "{mean}: {above} {below}");
        }
    }

    fn input(lost: u64, gained: u64) -> InputPairs {
        InputPairs {
            original: (9_000, 10_000),
            pairs: 1_000,
            disagreements: lost + gained,
            class: 900,
            lost,
            gained,
        }
    }

    #[test]
    fn losses_and_gains_that_are_equal_cost_nothing_and_more_losses_cost_more() {
        let estimator = Estimator::new(0.5, 0.001, 10_000, Measure::Radius).unwrap();
        let lost = |inputs: &[InputPairs]| estimator.loss(inputs).unwrap().estimate;
        // The model's losses are of p times q where gains are of q alone, which is nearly the same.
        let even = lost(&[input(20, 20); 5]);
        assert!(even.abs() < 1e-3, "{even}");
        let some = lost(&[input(20, 10); 5]);
        let more = lost(&[input(40, 10); 5]);
        assert!(0.0 < some && some < more, "{some} {more}");
        // 3 % of all samples fewer of the class: what that is in radius.
        let radius = |k| estimator.radius(k).unwrap();
        let expected = radius(9_000) - radius(8_700);
        assert!(
            (more - expected).abs() < 0.05 * expected,
            "{more} {expected}"
        );
    }

    #[test]
    fn draws_of_inputs_that_are_alike_are_alike_and_one_version_is_above_another() {
        let estimator = Estimator::new(0.5, 0.001, 10_000, Measure::Radius).unwrap();
        let loss = |inputs: &[InputPairs]| estimator.loss(inputs).unwrap();
        let alike = loss(&[input(30, 10); 20]).interval();
        assert!(alike.upper - alike.lower < 1e-9, "{alike:?}");
        let mixed = |more: u64| -> Vec<_> { (0..20).map(|i| input(3 * i + more, i)).collect() };
        let (one, other) = (loss(&mixed(0)), loss(&mixed(30)));
        let interval = one.interval();
        assert!(interval.lower < interval.estimate && interval.estimate < interval.upper);
        assert!(other.is_above(&one, 3.0) && !one.is_above(&other, 3.0));
        assert!(!one.is_above(&one, 3.0));
    }

    #[test]
    fn a_share_counts_the_inputs_that_keep_their_radius() {
        let estimator = Estimator::new(0.5, 0.001, 10_000, Measure::ShareAt(0.55)).unwrap();
        // 0.9 of the samples are a radius of 0.62, and 0.8 of them one of 0.41.
        assert_eq!(estimator.loss(&[input(0, 0); 4]).unwrap().estimate, 0.0);
        assert_eq!(estimator.loss(&[input(100, 0); 4]).unwrap().estimate, 1.0);
    }
}
