//! From counts to certificates: pure functions, one bound a file.
//!
//! Notation (`SOUNDNESS.md`): f is the network certified first, h the modified
//! one, c the class selected, n the samples of f, m <= n those that h ran on.

mod anytime;
mod both;
mod cells;
mod coded;
mod direct;
mod joint;
mod mixture;
mod paired;
mod prediction;
mod tail;
mod two_sided;
mod zeta;

pub use anytime::{Anytime, anytime, anytime_loss};
pub use both::{Answered, Both, Moved, both};
pub use cells::{Cell, cells};
pub use coded::{Tally, coded_loss};
pub use direct::direct;
pub use joint::{Cell as JointCell, Joint, joint_upper, joint_upper_at};
pub use mixture::Beta;
pub use paired::{Loss, Paired, loss, paired};
pub use prediction::{Prediction, prediction};
pub use tail::{LARGEST_MULTIPLE, Lattice, Tail, tail, tail_after};
pub use two_sided::{Shares, TwoSided, runner_up, two_sided};
pub use zeta::{Zeta, zeta};

use recert_ledger::{INVALID, Parameters};
use recert_num::{Alpha, LowerBound, Radius, Sigma, UpperBound};

use crate::Error;

/// What a certification run concludes about one input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict {
    /// The smoothed classifier answers `class` at every point within `radius`.
    Certified {
        /// The class.
        class: u16,
        /// The L2 radius, in the units of the images, rounded down.
        radius: Radius,
    },
    /// No radius could be proved at the failure probability asked for.
    Abstained,
}

/// A verdict, and the bound that it follows from.
///
/// ```
/// use recert_num::{LowerBound, Sigma};
/// use recert_smooth::bound::{Conclusion, Verdict};
///
/// let (p_lower, sigma) = (LowerBound::new(0.9)?, Sigma::new(0.25)?);
/// let conclusion = Conclusion::one_sided(3, p_lower, sigma, "direct")?;
/// assert!(matches!(conclusion.verdict, Verdict::Certified { class: 3, .. }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conclusion {
    /// Certified or abstained.
    pub verdict: Verdict,
    /// The lower bound of the probability of the class.
    pub p_lower: LowerBound,
    /// The largest probability that another class can have if the class has `p_lower`; `None`
    /// if only the class's probability was bounded, which leaves `1 - p_lower`.
    pub p_upper: Option<UpperBound>,
    /// The name of the bound.
    pub bound: &'static str,
}

impl Conclusion {
    /// The one-sided conclusion from a lower bound of `P(class)`: the radius
    /// is `sigma * Phi^-1(p)` where `p > 1/2` (Cohen, Rosenfeld, Kolter 2019,
    /// Theorem 1 with `pB = 1 - pA`).
    pub fn one_sided(
        class: u16,
        p_lower: LowerBound,
        sigma: Sigma,
        bound: &'static str,
    ) -> Result<Self, Error> {
        let verdict = match Radius::one_sided(sigma, p_lower)? {
            Some(radius) => Verdict::Certified { class, radius },
            None => Verdict::Abstained,
        };
        Ok(Self {
            verdict,
            p_lower,
            p_upper: None,
            bound,
        })
    }

    /// The conclusion from bounds of the class's probability and of the runner-up's:
    /// the radius is `sigma/2 (Phi^-1(pA) - Phi^-1(pB))` where `pA > pB` (Cohen,
    /// Rosenfeld, Kolter 2019, Theorem 1).
    pub fn two_sided(
        class: u16,
        (p_lower, p_upper): (LowerBound, UpperBound),
        sigma: Sigma,
        bound: &'static str,
    ) -> Result<Self, Error> {
        let verdict = match Radius::two_sided(sigma, p_lower, p_upper)? {
            Some(radius) => Verdict::Certified { class, radius },
            None => Verdict::Abstained,
        };
        Ok(Self {
            verdict,
            p_lower,
            p_upper: Some(p_upper),
            bound,
        })
    }

    /// Whether a radius was certified.
    pub fn is_certified(&self) -> bool {
        matches!(self.verdict, Verdict::Certified { .. })
    }
}

/// How f and h answered the same m samples, as far as class c is concerned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pairs {
    /// Samples that both answered, m.
    pub m: u64,
    /// Samples on which the two answers differ, or either is invalid: D.
    pub disagreements: u64,
    /// Samples on which h answered c.
    pub own: u64,
    /// Samples on which f answered c and h did not: n10.
    pub lost: u64,
    /// Samples on which h answered c and f did not: n01.
    pub gained: u64,
    /// Samples on which h's answer is invalid; counted in `disagreements`.
    pub invalid: u64,
}

impl Pairs {
    /// Adds the answers of f and h on the same samples, in the same order.
    pub fn add(&mut self, f: &[u16], h: &[u16], class: u16) {
        for (&f, &h) in f.iter().zip(h) {
            self.m += 1;
            self.disagreements += u64::from(f != h || h == INVALID);
            self.own += u64::from(h == class);
            self.lost += u64::from(f == class && h != class);
            self.gained += u64::from(h == class && f != class);
            self.invalid += u64::from(h == INVALID);
        }
    }
}

/// A lower confidence bound of `P(h = c)` from f's count on all n samples and both networks'
/// answers on the first m. Each implementation is a module of its own.
pub trait PairBound: std::fmt::Debug + Sync {
    /// The bound's name in ledgers.
    fn name(&self) -> &'static str;

    /// The weights by which alpha is split between the bound's events.
    fn weights(&self) -> &'static [f64];

    /// The parameters that a claim records, with one share of alpha for each event.
    fn parameters(&self, shares: &[Alpha]) -> Parameters;

    /// The bound from f's `k` of `n` samples and the pairs, with one share of alpha for each
    /// event. It fails with probability at most the sum of the shares.
    ///
    /// # Errors
    /// Of a Clopper-Pearson bound.
    fn lower(&self, k: u64, n: u64, pairs: &Pairs, shares: &[Alpha]) -> Result<LowerBound, Error>;
}

/// All bounds from pairs on the first m samples, loosest first.
pub const PAIR_BOUNDS: [&dyn PairBound; 3] = [&Zeta, &Loss, &Paired];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_counted_and_invalid_answers_disagree() {
        let f = [1, 1, 2, 2, INVALID, 1, INVALID];
        let h = [1, 2, 1, 3, 1, INVALID, INVALID];
        let expected = Pairs {
            m: 7,
            disagreements: 6,
            own: 3,
            lost: 2,
            gained: 2,
            invalid: 2,
        };
        let mut pairs = Pairs::default();
        pairs.add(&f[..3], &h[..3], 1);
        pairs.add(&f[3..], &h[3..], 1);
        assert_eq!(pairs, expected);
    }
}
