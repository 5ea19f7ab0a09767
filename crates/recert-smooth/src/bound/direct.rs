//! The Clopper-Pearson bound from a network's own counts, as in CERTIFY.

use recert_num::{Alpha, LowerBound, clopper_pearson_lower};

use crate::Error;

/// The lower bound of `P(class)` from `k` of `n` independent samples, failing
/// with probability at most `alpha` (Cohen, Rosenfeld, Kolter 2019, CERTIFY).
///
/// ```
/// use recert_num::Alpha;
///
/// let p = recert_smooth::bound::direct(990, 1000, Alpha::new(0.001)?)?;
/// assert!(p.get() > 0.97 && p.get() < 0.985);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn direct(k: u64, n: u64, alpha: Alpha) -> Result<LowerBound, Error> {
    Ok(clopper_pearson_lower(k, n, alpha)?)
}
