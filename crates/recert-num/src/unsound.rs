//! Binomial confidence limits that are NOT sound: for comparison only.
//!
//! The coverage of these limits falls below `1 - alpha` for some success probabilities
//! (Brown, Cai and Das Gupta, "Interval estimation for a binomial proportion",
//! Statistical Science 16, 2001), and they are computed in plain `f64`, without
//! directed rounding. They say how much is paid for a guarantee; no certificate may
//! rest on them, which is why they return plain numbers and no bound types.

use crate::error::Error;
use crate::normal::quantile_guess;
use crate::types::Alpha;

/// The one-sided lower limit of Wilson's score interval (Wilson 1927): the `p` at which
/// `(k/n - p)/sqrt(p(1-p)/n)` is the upper `alpha` quantile of the normal distribution.
///
/// About eight digits after the point. Fails for `n = 0` or `k > n`.
///
/// ```
/// # fn main() -> Result<(), recert_num::Error> {
/// use recert_num::{Alpha, clopper_pearson_lower, unsound};
/// let alpha = Alpha::new(0.001)?;
/// assert!(unsound::wilson_lower(10, 10, alpha)? > clopper_pearson_lower(10, 10, alpha)?.get());
/// # Ok(())
/// # }
/// ```
pub fn wilson_lower(k: u64, n: u64, alpha: Alpha) -> Result<f64, Error> {
    let (k, n, z) = parts(k, n, alpha)?;
    let square = z * z;
    let center = (k + 0.5 * square) / (n + square);
    let half = z * (k * (n - k) / n + 0.25 * square).sqrt() / (n + square);
    Ok((center - half).max(0.0))
}

/// The one-sided lower limit of the Agresti-Coull interval (Agresti and Coull 1998): the
/// Wald limit after adding `z^2/2` successes and as many failures.
///
/// About eight digits after the point. Fails for `n = 0` or `k > n`.
pub fn agresti_coull_lower(k: u64, n: u64, alpha: Alpha) -> Result<f64, Error> {
    let (k, n, z) = parts(k, n, alpha)?;
    let total = n + z * z;
    let center = (k + 0.5 * z * z) / total;
    Ok((center - z * (center * (1.0 - center) / total).sqrt()).max(0.0))
}

/// The one-sided lower limit of the Jeffreys interval: the quantile of order `alpha` of the
/// beta distribution with parameters `k + 1/2` and `n - k + 1/2`; 0 at `k = 0`.
///
/// About eight digits after the point, for `n` up to a million. Fails for `n = 0`, `k > n`, or
/// where its continued fraction does not converge.
pub fn jeffreys_lower(k: u64, n: u64, alpha: Alpha) -> Result<f64, Error> {
    parts(k, n, alpha)?;
    if k == 0 {
        return Ok(0.0);
    }
    let (a, b) = (k as f64 + 0.5, (n - k) as f64 + 0.5);
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..100 {
        let middle = 0.5 * (low + high);
        if beta_distribution(middle, a, b)? < alpha.get() {
            low = middle;
        } else {
            high = middle;
        }
    }
    Ok(0.5 * (low + high))
}

fn parts(k: u64, n: u64, alpha: Alpha) -> Result<(f64, f64, f64), Error> {
    if n == 0 || k > n {
        return Err(Error::domain(format!("{k} successes in {n} trials")));
    }
    Ok((k as f64, n as f64, -quantile_guess(alpha.get())))
}

/// The regularized incomplete beta function by its continued fraction (DLMF 8.17.22).
fn beta_distribution(x: f64, a: f64, b: f64) -> Result<f64, Error> {
    if x <= 0.0 || x >= 1.0 {
        return Ok(if x <= 0.0 { 0.0 } else { 1.0 });
    }
    if x > (a + 1.0) / (a + b + 2.0) {
        return beta_distribution(1.0 - x, b, a).map(|y| 1.0 - y);
    }
    let log_beta = log_gamma(a) + log_gamma(b) - log_gamma(a + b);
    let front = (a * x.ln() + b * (-x).ln_1p() - log_beta).exp() / a;
    // Lentz's method as modified by Thompson and Barnett.
    let guarded = |y: f64| if y.abs() < 1e-300 { 1e-300 } else { y };
    let (mut c, mut d) = (1.0, 1.0 / guarded(1.0 - (a + b) * x / (a + 1.0)));
    let mut value = d;
    for m in 1..100_000 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut change = 1.0;
        for element in [even, odd] {
            d = 1.0 / guarded(1.0 + element * d);
            c = guarded(1.0 + element / c);
            change = c * d;
            value *= change;
        }
        if (change - 1.0).abs() < 1e-15 {
            return Ok(front * value);
        }
    }
    Err(Error::unproved(format!(
        "the incomplete beta function at {x} with parameters {a} and {b} did not converge"
    )))
}

/// `ln Gamma(x)` for `x > 0` by Stirling's series after shifting `x` above 15.
fn log_gamma(x: f64) -> f64 {
    let (mut x, mut shift) = (x, 0.0);
    while x < 15.0 {
        shift += x.ln();
        x += 1.0;
    }
    let y = 1.0 / (x * x);
    let tail = (1.0 / 12.0 - y * (1.0 / 360.0 - y * (1.0 / 1260.0 - y / 1680.0))) / x;
    (x - 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() + tail - shift
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binomial::clopper_pearson_lower;

    /// `(k, n, alpha, Wilson, Agresti-Coull, Jeffreys)`.
    const KNOWN: [(u64, u64, f64, f64, f64, f64); 6] = [
        (
            1,
            10,
            0.05,
            0.022_634_908_730_867_195,
            0.005_928_257_754_686_004,
            0.017_891_988_055_737_33,
        ),
        (
            5,
            10,
            0.001,
            0.150_543_672_094_257_87,
            0.150_543_672_094_257_87,
            0.114_136_764_767_124_53,
        ),
        (
            10,
            10,
            0.001,
            0.511_521_099_546_537_7,
            0.455_482_960_409_767_55,
            0.590_105_149_601_498_6,
        ),
        (
            37,
            100,
            0.01,
            0.267_074_964_348_665_7,
            0.266_882_346_173_589_86,
            0.264_405_754_102_170_93,
        ),
        (
            990,
            1000,
            0.001,
            0.974_635_150_608_407_4,
            0.973_685_539_700_855_6,
            0.976_763_698_749_096,
        ),
        (
            9000,
            10000,
            1e-06,
            0.884_825_530_552_059_9,
            0.884_797_135_826_006_6,
            0.885_125_908_124_763_3,
        ),
    ];

    #[test]
    fn known_limits() {
        // Wilson and Agresti-Coull from their formulas and Jeffreys from its quantile, all
        // evaluated with mpmath at 30 digits.
        for (k, n, alpha, wilson, agresti, jeffreys) in KNOWN {
            let a = Alpha::new(alpha).unwrap();
            for (got, want) in [
                (wilson_lower(k, n, a), wilson),
                (agresti_coull_lower(k, n, a), agresti),
                (jeffreys_lower(k, n, a), jeffreys),
            ] {
                let got = got.unwrap();
                assert!(
                    (got - want).abs() <= 1e-8,
                    "k={k} n={n} {alpha}: {got} {want}"
                );
            }
        }
    }

    /// Where a sound bound must lie below them, they lie far above it.
    #[test]
    fn they_exceed_the_sound_bound() {
        let alpha = Alpha::new(0.001).unwrap();
        for n in [10, 100, 1000] {
            let sound = |k| clopper_pearson_lower(k, n, alpha).unwrap().get();
            assert!(jeffreys_lower(n, n, alpha).unwrap() > sound(n));
            assert!(wilson_lower(1, n, alpha).unwrap() > 10.0 * sound(1));
        }
    }

    #[test]
    fn bad_counts_are_refused() {
        let alpha = Alpha::new(0.001).unwrap();
        assert!(wilson_lower(1, 0, alpha).is_err());
        assert!(agresti_coull_lower(2, 1, alpha).is_err());
        assert!(jeffreys_lower(2, 1, alpha).is_err());
        assert_eq!(jeffreys_lower(0, 5, alpha).unwrap(), 0.0);
    }
}
