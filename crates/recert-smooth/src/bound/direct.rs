//! A network's own counts, by Clopper and Pearson: CERTIFY's bound.

use recert_num::{Alpha, LowerBound, clopper_pearson_lower};

use crate::Error;

/// The lower bound of `P(class)` from `k` of `n` independent samples, failing
/// with probability at most `alpha` (Cohen, Rosenfeld, Kolter 2019, CERTIFY).
pub fn direct(k: u64, n: u64, alpha: Alpha) -> Result<LowerBound, Error> {
    Ok(clopper_pearson_lower(k, n, alpha)?)
}
