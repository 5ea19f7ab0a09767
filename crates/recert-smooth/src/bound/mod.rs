//! From counts to certificates: pure functions, one bound a file.
//!
//! Notation (`SOUNDNESS.md`): f is the network certified first, h the modified
//! one, c the class selected, n the copies of f, m <= n those that h ran on.

mod direct;
mod prediction;
mod zeta;

pub use direct::direct;
pub use prediction::{Prediction, prediction};
pub use zeta::zeta;

use recert_ledger::{Codes, INVALID};
use recert_num::{LowerBound, Radius, Sigma};

use crate::Error;

/// What a certification run concludes about one input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict {
    /// The smoothed classifier answers `class` within `radius`.
    Certified {
        /// The class.
        class: u16,
        /// The L2 radius, in the units of the images, rounded down.
        radius: Radius,
    },
    /// Nothing could be shown at the confidence asked for.
    Abstained,
}

/// A verdict, and the bound it rests on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conclusion {
    /// Certified or abstained.
    pub verdict: Verdict,
    /// The lower bound of the probability of the class.
    pub p_lower: LowerBound,
    /// Which bound it is.
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
            bound,
        })
    }

    /// Whether a radius was certified.
    pub fn is_certified(&self) -> bool {
        matches!(self.verdict, Verdict::Certified { .. })
    }
}

/// How f and h answered the same m copies, as far as class c is concerned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pairs {
    /// Copies that both answered, m.
    pub m: u64,
    /// Copies on which the two answers differ, or either is invalid: D.
    pub disagreements: u64,
    /// Copies on which h answered c.
    pub own: u64,
    /// Copies on which f answered c and h did not: n10.
    pub lost: u64,
    /// Copies on which h answered c and f did not: n01.
    pub gained: u64,
    /// Copies on which h's answer is invalid; counted in `disagreements`.
    pub invalid: u64,
}

impl Pairs {
    /// Counts the first `h.classes.len()` copies of f against those of h.
    ///
    /// # Panics
    /// If f has fewer copies than h.
    pub fn count(f: &Codes, h: &Codes, class: u16) -> Self {
        let mut pairs = Self::default();
        let m = h.classes.len();
        for (&f, &h) in f.classes[..m].iter().zip(&h.classes) {
            pairs.m += 1;
            pairs.disagreements += u64::from(f != h || h == INVALID);
            pairs.own += u64::from(h == class);
            pairs.lost += u64::from(f == class && h != class);
            pairs.gained += u64::from(h == class && f != class);
            pairs.invalid += u64::from(h == INVALID);
        }
        pairs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_counted_and_invalid_answers_disagree() {
        let codes = |classes: &[u16]| Codes {
            classes: classes.to_vec(),
            margins: None,
        };
        let f = codes(&[1, 1, 2, 2, INVALID, 1, INVALID, 9]);
        let h = codes(&[1, 2, 1, 3, 1, INVALID, INVALID]);
        let expected = Pairs {
            m: 7,
            disagreements: 6,
            own: 3,
            lost: 2,
            gained: 2,
            invalid: 2,
        };
        assert_eq!(Pairs::count(&f, &h, 1), expected);
    }
}
