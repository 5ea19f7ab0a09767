//! Bounds on copies chosen by f's codes.
//!
//! Each cached copy carries a code, a function of that copy alone: whether f
//! answered c and, for [`strata`], whether f was decided (its margin at least
//! the edge of bucket [`CUT`]). Given the codes of *all* copies the noises are
//! still independent, each with its law given its code. So whatever rule,
//! looking at these codes and at no answer of h on this input, chooses which
//! copies h runs on, h's answers on the chosen copies of one code are
//! independent trials with one probability.

use recert_num::{Alpha, LowerBound, clopper_pearson_lower, clopper_pearson_upper};

use super::joint::{Cell, joint_upper};
use super::mixture::Beta;
use crate::Error;

/// Copies in margin buckets below this one are undecided: the least decided
/// tenth of the selection copies.
pub const CUT: u8 = 2;

/// h on some copies of one code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Copies that h ran on.
    pub pairs: u64,
    /// Those that h did not answer with c, invalid answers included.
    pub other: u64,
}

/// f's codes on an input: decided for c, undecided, or neither.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Codes {
    /// Cached copies.
    pub n: u64,
    /// Those that f answered with c, decided.
    pub decided: u64,
    /// Those on which f was undecided, whatever it answered.
    pub undecided: u64,
}

/// `P(h = c) >= CP_lo(k, n, alpha_f) (1 - CP_up(other, pairs, alpha_h))`, with
/// pairs chosen among the copies that f answered with c: `P(h = c) >= P(f = c)
/// P(h = c | f = c)`. Fails with probability at most `alpha_f + alpha_h`.
pub fn coded_loss(
    k: u64,
    n: u64,
    alpha_f: Alpha,
    tally: Tally,
    alpha_h: Alpha,
) -> Result<LowerBound, Error> {
    let p_f = clopper_pearson_lower(k, n, alpha_f)?;
    if tally.pairs == 0 {
        return Ok(LowerBound::ZERO);
    }
    let lost = clopper_pearson_upper(tally.other, tally.pairs, alpha_h)?;
    Ok(p_f.times(lost.complement()))
}

/// A bound over strata, with what is needed to check it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Strata {
    /// The lower bound of `P(h = c)`.
    pub p_lower: LowerBound,
    /// The witnesses of the two joint bounds that it is the lesser of.
    pub witness: [f64; 2],
}

/// `P(h = c) >= P(decided) theta_d + P(undecided) theta_u`, bounded jointly.
///
/// With `g1 = CP_lo(decided, n, alpha_f/2)` and
/// `g2 = CP_lo(decided + undecided, n, alpha_f/2)`, where both hold the sum is at
/// least the lesser of `g1 theta_d + (g2 - g1) theta_u` (it falls with
/// `P(decided)` where `theta_d >= theta_u`) and `g2 theta_d` (where `theta_d <
/// theta_u`, as `P(decided)` is at most the probability of both). Each is its
/// weights less the [joint upper bound](super::joint_upper) of the weighted
/// chances of another answer; both follow from the one event that the joint
/// bound speaks of. Fails with probability at most `alpha_f + alpha_h`.
///
/// `tallies` and `priors` are of the decided and of the undecided copies. The
/// priors must not depend on h's answers on this input.
pub fn strata(
    codes: Codes,
    alpha_f: Alpha,
    tallies: [Tally; 2],
    priors: [Beta; 2],
    alpha_h: Alpha,
) -> Result<Strata, Error> {
    let half = alpha_f.split(&[1.0, 1.0])?[0];
    let outer = codes.decided + codes.undecided;
    let inner = clopper_pearson_lower(codes.decided, codes.n, half)?;
    let outer = clopper_pearson_lower(outer, codes.n, half)?;
    let band = recert_num::directed::sub_down(outer.get(), inner.get()).max(0.0);
    let mut p_lower = f64::INFINITY;
    let mut witness = [0.0; 2];
    for (weights, witness) in [[inner.get(), band], [outer.get(), 0.0]]
        .iter()
        .zip(&mut witness)
    {
        let cell = |i: usize| Cell {
            weight: weights[i],
            trials: tallies[i].pairs,
            events: tallies[i].other,
            prior: priors[i],
        };
        let joint = joint_upper(&[cell(0), cell(1)], alpha_h)?;
        *witness = joint.witness;
        let whole = recert_num::directed::add_down(weights[0], weights[1]);
        p_lower = p_lower.min(recert_num::directed::sub_down(whole, joint.bound));
    }
    Ok(Strata {
        p_lower: LowerBound::new(p_lower.clamp(0.0, 1.0))?,
        witness,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alphas() -> (Alpha, Alpha) {
        (Alpha::new(0.0002).unwrap(), Alpha::new(0.0018).unwrap())
    }

    #[test]
    fn without_pairs_nothing_is_known() {
        let (f, h) = alphas();
        let none = Tally::default();
        assert_eq!(coded_loss(900, 1000, f, none, h).unwrap().get(), 0.0);
        let prior = Beta::new(1.0, 1.0).unwrap();
        let codes = Codes {
            n: 1000,
            decided: 800,
            undecided: 100,
        };
        let bound = strata(codes, f, [none; 2], [prior; 2], h).unwrap();
        assert_eq!(bound.p_lower.get(), 0.0);
    }

    #[test]
    fn joint_strata_beat_separate_bounds() {
        // The prototype's problem (0.71 decided at a loss of 0.002, 0.1
        // undecided at one half) with 1,000 pairs, as expected counts.
        let (f, h) = alphas();
        let codes = Codes {
            n: 100_000,
            decided: 71_000,
            undecided: 10_000,
        };
        let tallies = [(700, 1), (300, 150)].map(|(pairs, other)| Tally { pairs, other });
        let priors = [
            Beta::new(0.5, 250.0).unwrap(),
            Beta::new(12.5, 12.5).unwrap(),
        ];
        let joint = strata(codes, f, tallies, priors, h).unwrap().p_lower.get();
        let half = h.split(&[1.0, 1.0]).unwrap()[0];
        let separate = |t: Tally| clopper_pearson_upper(t.other, t.pairs, half).unwrap().get();
        let apart =
            0.71 * (1.0 - separate(tallies[0])) + 0.1 * (1.0 - separate(tallies[1])) - 0.005;
        let truth = 0.71 * (1.0 - 1.0 / 700.0) + 0.05;
        assert!(
            joint < truth && joint > apart + 0.002,
            "{joint} {apart} {truth}"
        );
    }
}
