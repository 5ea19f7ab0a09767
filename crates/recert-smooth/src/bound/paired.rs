//! Two bounds from pairs on the first m samples: f's bound less the loss, and the same plus the
//! gain.

use recert_ledger::Parameters;
use recert_num::{Alpha, LowerBound, clopper_pearson_lower, clopper_pearson_upper};

use super::{PairBound, Pairs};
use crate::Error;

/// `P(h = c) >= CP_lo(k, n, a1) - CP_up(lost, m, a2)`, failing with probability
/// at most `a1 + a2`: only samples on which f answered c and h did not count
/// against h. Never below [`zeta`](super::zeta) at the same shares.
///
/// ```
/// use recert_num::Alpha;
/// use recert_smooth::bound::{Pairs, loss, zeta};
///
/// let mut pairs = Pairs::default();
/// // The one disagreement is no loss of class 3.
/// pairs.add(&[3, 3, 5, 3], &[3, 3, 7, 3], 3);
/// let [alpha_f, alpha_h] = [Alpha::new(0.0001)?, Alpha::new(0.0009)?];
/// let (by_zeta, _) = zeta(9900, 10_000, alpha_f, &pairs, alpha_h)?;
/// let by_loss = loss(9900, 10_000, alpha_f, &pairs, alpha_h)?;
/// assert!(by_loss.get() > by_zeta.get());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn loss(
    k: u64,
    n: u64,
    alpha_f: Alpha,
    pairs: &Pairs,
    alpha_loss: Alpha,
) -> Result<LowerBound, Error> {
    let p_f = clopper_pearson_lower(k, n, alpha_f)?;
    Ok(p_f.minus(clopper_pearson_upper(pairs.lost, pairs.m, alpha_loss)?))
}

/// `P(h = c) >= CP_lo(k, n, a1) - CP_up(lost, m, a2) + CP_lo(gained, m, a3)`,
/// failing with probability at most `a1 + a2 + a3`, from the identity `P(h=c) =
/// P(f=c) - P(f=c, h!=c) + P(f!=c, h=c)`.
pub fn paired(
    k: u64,
    n: u64,
    alpha_f: Alpha,
    pairs: &Pairs,
    alpha_loss: Alpha,
    alpha_gain: Alpha,
) -> Result<LowerBound, Error> {
    let gain = clopper_pearson_lower(pairs.gained, pairs.m, alpha_gain)?;
    // The sum is a probability, that f or h answers c.
    let p_f = clopper_pearson_lower(k, n, alpha_f)?.plus(gain);
    Ok(p_f.minus(clopper_pearson_upper(pairs.lost, pairs.m, alpha_loss)?))
}

/// [`loss`] as a method.
#[derive(Debug, Clone, Copy)]
pub struct Loss;

impl PairBound for Loss {
    fn name(&self) -> &'static str {
        "loss"
    }

    fn weights(&self) -> &'static [f64] {
        &[1.0, 9.0]
    }

    fn parameters(&self, shares: &[Alpha]) -> Parameters {
        Parameters::Loss {
            alpha_f: shares[0].get(),
            alpha_loss: shares[1].get(),
        }
    }

    fn lower(&self, k: u64, n: u64, pairs: &Pairs, shares: &[Alpha]) -> Result<LowerBound, Error> {
        loss(k, n, shares[0], pairs, shares[1])
    }
}

/// [`paired`] as a method.
#[derive(Debug, Clone, Copy)]
pub struct Paired;

impl PairBound for Paired {
    fn name(&self) -> &'static str {
        "paired"
    }

    fn weights(&self) -> &'static [f64] {
        &[2.0, 9.0, 9.0]
    }

    fn parameters(&self, shares: &[Alpha]) -> Parameters {
        Parameters::Paired {
            alpha_f: shares[0].get(),
            alpha_loss: shares[1].get(),
            alpha_gain: shares[2].get(),
        }
    }

    fn lower(&self, k: u64, n: u64, pairs: &Pairs, shares: &[Alpha]) -> Result<LowerBound, Error> {
        paired(k, n, shares[0], pairs, shares[1], shares[2])
    }
}

#[cfg(test)]
mod tests {
    use super::super::zeta;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn gains_make_up_for_losses() {
        // int8 at sigma 0.5: 3 % disagreement that nearly cancels.
        let pairs = Pairs {
            m: 20_000,
            disagreements: 620,
            own: 16_000,
            lost: 250,
            gained: 230,
            invalid: 0,
        };
        let alpha = |x| Alpha::new(x).unwrap();
        let paired = paired(
            80_000,
            100_000,
            alpha(2e-4),
            &pairs,
            alpha(9e-4),
            alpha(9e-4),
        )
        .unwrap();
        let zeta = zeta(80_000, 100_000, alpha(2e-4), &pairs, alpha(1.8e-3))
            .unwrap()
            .0;
        assert!(paired.get() > zeta.get() + 0.02, "{paired} {zeta}");
    }

    proptest! {
        #[test]
        fn loss_is_never_below_zeta(k in 0_u64..=1000, m in 1_u64..1000, lost in 0_u64..1000, more in 0_u64..1000) {
            let lost = lost.min(m);
            let pairs = Pairs { m, lost, disagreements: (lost + more).min(m), ..Pairs::default() };
            let shares = [2e-4, 1.8e-3].map(|a| Alpha::new(a).unwrap());
            let zeta = zeta(k, 1000, shares[0], &pairs, shares[1]).unwrap().0;
            prop_assert!(Loss.lower(k, 1000, &pairs, &shares).unwrap() >= zeta);
        }
    }
}
