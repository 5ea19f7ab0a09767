//! Both sides of a recertification: what h may lose of the class, and what any
//! one other class may win.

use recert_num::{Alpha, LowerBound, UpperBound, clopper_pearson_lower, clopper_pearson_upper};

use crate::Error;

/// f's answers on all its samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Answered {
    /// Samples.
    pub n: u64,
    /// Those answered with the class.
    pub k: u64,
    /// The largest count of any other class.
    pub runner_up: u64,
}

/// h against f on the first samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moved {
    /// Samples that h ran on.
    pub pairs: u64,
    /// Those that f answered with the class and h did not.
    pub lost: u64,
    /// Of those that h answered with some other class and f did not answer
    /// with that: the largest count of any such class.
    pub arrived: u64,
}

/// Bounds of the class and of every other one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Both {
    /// `P(h = c)` is at least this.
    pub p_lower: LowerBound,
    /// `P(h = j)` is at most this for every other class j.
    pub p_upper: UpperBound,
}

/// Bounds `P(h = c)` from below and `max P(h = j)` over the other classes from
/// above (Ugare et al. 2024, Theorem 2, with separate bounds of what is lost
/// and what is won in place of zeta twice).
///
/// Four events, each a binomial count of one fixed thing: `P(f = c) >= p`; with
/// `j` f's most probable other class, `P(f = j) <= q`; `P(f = c, h != c) <= l`; and
/// with `i` h's most probable other class, `P(h = i, f != i) <= r`. The classes `i`
/// and `j` are unknown, but fixed before any sample is drawn, and the largest
/// count of any class is at least theirs, so each bound from the largest count
/// fails no more often than its share, without a union over the classes. Then
/// `P(h = c) >= p - l` and `P(h = i) <= P(f = i) + P(h = i, f != i) <= q + r`. Fails
/// with probability at most `alpha_f + alpha_h`; each is halved.
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
