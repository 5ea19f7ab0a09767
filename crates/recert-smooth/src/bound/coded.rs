//! The bound from samples that f answered with c.
//!
//! Given which samples those are, the noises are still independent, each with its conditional
//! law given f's answer. A rule that looks at f's answers, and at no answer of h on this
//! input, may therefore choose on how many of these samples h runs: h's answers there are
//! independent trials with one success probability.

use recert_num::{Alpha, LowerBound, clopper_pearson_lower, clopper_pearson_upper};

use crate::Error;

/// Counts of h's answers on samples that f answered with c, or on fresh samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Samples that h ran on.
    pub pairs: u64,
    /// Samples that h did not answer with c, invalid answers included.
    pub other: u64,
}

/// `P(h = c) >= CP_lo(k, n, alpha_f) (1 - CP_up(other, pairs, alpha_h))`, with
/// pairs chosen among the samples that f answered with c, since `P(h = c) >= P(f = c)
/// P(h = c | f = c)`. It fails with probability at most `alpha_f + alpha_h`.
///
/// ```
/// use recert_num::Alpha;
/// use recert_smooth::bound::{Tally, coded_loss};
///
/// let tally = Tally { pairs: 500, other: 1 };
/// let [alpha_f, alpha_h] = [Alpha::new(0.0002)?, Alpha::new(0.0018)?];
/// let p = coded_loss(8000, 10_000, alpha_f, tally, alpha_h)?;
/// assert!(p.get() > 0.76 && p.get() < 0.8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_pairs_nothing_is_known() {
        let [f, h] = [0.0002, 0.0018].map(|a| Alpha::new(a).unwrap());
        let none = Tally::default();
        assert_eq!(coded_loss(900, 1000, f, none, h).unwrap().get(), 0.0);
        let some = Tally {
            pairs: 200,
            other: 0,
        };
        let bound = coded_loss(900, 1000, f, some, h).unwrap().get();
        assert!(bound > 0.83 && bound < 0.9, "{bound}");
    }
}
