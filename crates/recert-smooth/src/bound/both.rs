//! The two-sided bound of a recertification: the loss of the class, and the gain of any one
//! other class.

use recert_num::{Alpha, LowerBound, UpperBound, clopper_pearson_lower, clopper_pearson_upper};

use crate::Error;

/// Counts of f's answers on all its samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Answered {
    /// Samples.
    pub n: u64,
    /// Samples answered with the class.
    pub k: u64,
    /// The largest count of any other class.
    pub runner_up: u64,
}

/// Counts of h's answers against f's on the first samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moved {
    /// Samples that h ran on.
    pub pairs: u64,
    /// Samples that f answered with the class and h did not.
    pub lost: u64,
    /// The largest count, over the other answers (an invalid one included), of samples that h
    /// answered so and f did not.
    pub arrived: u64,
}

/// Bounds of the class's probability and of every other class's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Both {
    /// `P(h = c)` is at least this.
    pub p_lower: LowerBound,
    /// `P(h = j)` is at most this for every other class j.
    pub p_upper: UpperBound,
}

/// Bounds `P(h = c)` from below and `max P(h = j)` over the other classes from
/// above (Ugare et al. 2024, Theorem 2, with separate bounds of the loss and of the gain in
/// place of zeta twice).
///
/// The proof uses four events, each about one binomial count: `P(f = c) >= p`; with
/// `j` f's most probable other class, `P(f = j) <= q`; `P(f = c, h != c) <= l`; and
/// with `i` h's most probable other class, `P(h = i, f != i) <= r`. The classes `i`
/// and `j` are unknown, but fixed before any sample is drawn, and the largest
/// count of any class is at least theirs. Each bound from the largest count
/// therefore fails with probability at most its share, without a union over the classes. Then
/// `P(h = c) >= p - l` and `P(h = i) <= P(f = i) + P(h = i, f != i) <= q + r`. Each
/// share is halved, so the bounds fail with probability at most `alpha_f + alpha_h`.
///
/// ```
/// use recert_num::Alpha;
/// use recert_smooth::bound::{Answered, Moved, both};
///
/// let f = Answered {
///     n: 10_000,
///     k: 4600,
///     runner_up: 2000,
/// };
/// let h = Moved {
///     pairs: 1000,
///     lost: 15,
///     arrived: 8,
/// };
/// let found = both(f, Alpha::new(0.0002)?, h, Alpha::new(0.0018)?)?;
/// assert!(found.p_lower.get() > found.p_upper.get() + 0.1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If a share is out of the bounds' domain, or counts exceed their totals.
pub fn both(f: Answered, alpha_f: Alpha, h: Moved, alpha_h: Alpha) -> Result<Both, Error> {
    let halves = |alpha: Alpha| alpha.split(&[1.0, 1.0]);
    let (f_shares, h_shares) = (halves(alpha_f)?, halves(alpha_h)?);
    if h.pairs == 0 {
        return Ok(Both {
            p_lower: LowerBound::ZERO,
            p_upper: UpperBound::ONE,
        });
    }
    let p = clopper_pearson_lower(f.k, f.n, f_shares[0])?;
    let q = clopper_pearson_upper(f.runner_up, f.n, f_shares[1])?;
    let lost = clopper_pearson_upper(h.lost, h.pairs, h_shares[0])?;
    let won = clopper_pearson_upper(h.arrived, h.pairs, h_shares[1])?;
    let p_lower = p.minus(lost);
    Ok(Both {
        p_lower,
        p_upper: p_lower.complement().min(q.plus(won)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_below_one_half_can_be_certified() {
        let [f, h] = [2e-4, 1.8e-3].map(|a| Alpha::new(a).unwrap());
        let answered = Answered {
            n: 10_000,
            k: 4_600,
            runner_up: 2_000,
        };
        let moved = Moved {
            pairs: 1_000,
            lost: 15,
            arrived: 8,
        };
        let found = both(answered, f, moved, h).unwrap();
        assert!(found.p_lower.get() < 0.5 && found.p_lower.get() > found.p_upper.get() + 0.1);
        let none = both(answered, f, Moved::default(), h).unwrap();
        assert_eq!((none.p_lower.get(), none.p_upper.get()), (0.0, 1.0));
        let sure = Answered {
            runner_up: 9_999,
            ..answered
        };
        let found = both(sure, f, moved, h).unwrap();
        assert!(found.p_upper.get() <= 1.0 - found.p_lower.get() + 1e-15);
    }
}
