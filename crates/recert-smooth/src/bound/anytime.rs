//! Anytime-valid bounds: they hold at every number of samples at once, so that a run may stop
//! at a time that depends on the answers.
//!
//! Each is a [joint bound](super::joint_upper) with one cell, a mixture martingale.

use recert_num::directed::sub_down;
use recert_num::{Alpha, LowerBound, clopper_pearson_lower};

use super::coded::Tally;
use super::joint::{Cell, joint_upper};
use super::mixture::Beta;
use crate::Error;

/// A lower confidence bound with its witness, at which it can be checked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Anytime {
    /// The lower bound.
    pub p_lower: LowerBound,
    /// The witness of its joint bound.
    pub witness: f64,
}

/// The lower confidence bound of `P(class)` from `k` of the first `t` samples, for all `t` at
/// once with failure probability `alpha`. `prior` is the prior for the probability of an
/// answer *other* than the class; it must not depend on these samples.
///
/// ```
/// use recert_num::Alpha;
/// use recert_smooth::bound::{Beta, anytime};
///
/// let prior = Beta::new(10.5, 90.5)?;
/// let found = anytime(9000, 10_000, prior, Alpha::new(0.001)?)?;
/// assert!(found.p_lower.get() > 0.88 && found.p_lower.get() < 0.9);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn anytime(k: u64, t: u64, prior: Beta, alpha: Alpha) -> Result<Anytime, Error> {
    weighted(
        1.0,
        Tally {
            pairs: t,
            other: t.saturating_sub(k),
        },
        prior,
        alpha,
    )
}

/// [`coded_loss`](super::coded_loss) for all numbers of pairs at once. f's `k` of `n` are
/// fixed; the number of pairs may depend on h's answers.
pub fn anytime_loss(
    (k, n): (u64, u64),
    alpha_f: Alpha,
    tally: Tally,
    prior: Beta,
    alpha_h: Alpha,
) -> Result<Anytime, Error> {
    let p_f = clopper_pearson_lower(k, n, alpha_f)?;
    weighted(p_f.get(), tally, prior, alpha_h)
}

/// The bound of `weight (1 - theta)`, where theta is the probability of another answer.
fn weighted(weight: f64, tally: Tally, prior: Beta, alpha: Alpha) -> Result<Anytime, Error> {
    let cell = Cell {
        weight,
        trials: tally.pairs,
        events: tally.other,
        prior,
    };
    let joint = joint_upper(&[cell], alpha)?;
    Ok(Anytime {
        p_lower: LowerBound::new(sub_down(weight, joint.bound).clamp(0.0, 1.0))?,
        witness: joint.witness,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stopping_freely_costs_little() {
        let alpha = Alpha::new(0.001).unwrap();
        let prior = Beta::new(10.5, 90.5).unwrap();
        let any = anytime(9_000, 10_000, prior, alpha).unwrap().p_lower.get();
        let fixed = clopper_pearson_lower(9_000, 10_000, alpha).unwrap().get();
        assert!(any < fixed && any > fixed - 0.004, "{any} {fixed}");
    }

    #[test]
    fn the_bound_of_a_loss_scales_with_f() {
        let [f, h] = [2e-4, 1.8e-3].map(|a| Alpha::new(a).unwrap());
        let prior = Beta::new(0.5, 50.0).unwrap();
        let tally = Tally {
            pairs: 500,
            other: 1,
        };
        let bound = anytime_loss((8_000, 10_000), f, tally, prior, h).unwrap();
        assert!(
            bound.p_lower.get() > 0.76 && bound.p_lower.get() < 0.785,
            "{bound:?}"
        );
    }
}
