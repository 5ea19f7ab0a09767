//! The published bound: f's probability less the disagreement of f and h.

use recert_ledger::Parameters;
use recert_num::{Alpha, LowerBound, UpperBound, clopper_pearson_lower, clopper_pearson_upper};

use super::{PairBound, Pairs};
use crate::Error;

/// `P(h = c) >= pA - zeta` with `pA = CP_lo(k, n, alpha_f)` and
/// `zeta = CP_up(D, m, alpha_zeta)`, failing with probability at most
/// `alpha_f + alpha_zeta` (Ugare, Suresh, Banerjee, Singh, Misailovic, ICLR
/// 2024, Theorem 2 and Algorithm 3). Returns the bound, rounded down and cut
/// at 0, and zeta.
pub fn zeta(
    k: u64,
    n: u64,
    alpha_f: Alpha,
    pairs: &Pairs,
    alpha_zeta: Alpha,
) -> Result<(LowerBound, UpperBound), Error> {
    let p_f = clopper_pearson_lower(k, n, alpha_f)?;
    let zeta = clopper_pearson_upper(pairs.disagreements, pairs.m, alpha_zeta)?;
    Ok((p_f.minus(zeta), zeta))
}

/// [`zeta`] as a method.
#[derive(Debug, Clone, Copy)]
pub struct Zeta;

impl PairBound for Zeta {
    fn name(&self) -> &'static str {
        "zeta"
    }

    fn weights(&self) -> &'static [f64] {
        &[1.0, 9.0]
    }

    fn parameters(&self, shares: &[Alpha]) -> Parameters {
        Parameters::Zeta {
            alpha_f: shares[0].get(),
            alpha_zeta: shares[1].get(),
        }
    }

    fn lower(&self, k: u64, n: u64, pairs: &Pairs, shares: &[Alpha]) -> Result<LowerBound, Error> {
        Ok(zeta(k, n, shares[0], pairs, shares[1])?.0)
    }
}
