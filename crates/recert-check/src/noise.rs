//! The charge that the law of the noise makes to alpha.
//!
//! The checker makes no noise. It knows the laws by the generators' names in ledgers. Bounds
//! are proved for exact noise, and the distance of sampled integer noise from its exact
//! law is charged to alpha (`SOUNDNESS.md`, section 11).

use crate::arithmetic::at_most;

/// A law of noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Law {
    /// Normal up to rounding; nothing is charged.
    Gaussian,
    /// Normal, rounded to grey levels.
    Integer,
}

/// Bound of the total variation distance of one coordinate of integer noise from
/// its law: `2^-100`.
const COORDINATE: f64 = f64::from_bits((1023 - 100) << 52);

impl Law {
    /// The laws, by the names of their generators.
    const NAMES: [(&'static str, Self); 2] = [
        ("philox4x32-10/box-muller-40-24/tile64/v1", Self::Gaussian),
        ("philox4x32-10/rounded-normal-128/tile64/v1", Self::Integer),
    ];

    pub(crate) fn of_generator(name: &str) -> Option<Self> {
        let mut known = Self::NAMES.iter();
        known.find(|(known, _)| *known == name).map(|(_, law)| *law)
    }

    /// The names known, for messages.
    pub(crate) fn names() -> String {
        Self::NAMES.map(|(name, _)| name).join(" or ")
    }

    /// The failure probability that the charge leaves for bounds over `samples` samples of
    /// `dims` values: alpha less `samples dims 2^-100`. Prover and checker must agree on it to
    /// the last bit, so the rounding is fixed: the product is rounded to nearest and moved to
    /// the next `f64` above, the difference is rounded to nearest and moved to the next below.
    ///
    /// # Errors
    /// If the charge is half of alpha or more, or if the result and the charge sum to more
    /// than alpha. The error describes a valid alpha.
    pub(crate) fn left_of(self, alpha: f64, samples: u64, dims: u64) -> Result<f64, String> {
        if self == Self::Gaussian {
            return Ok(alpha);
        }
        let values = u128::from(samples) * u128::from(dims);
        if values == 0 {
            return Err("a failure probability for at least one value of noise".to_owned());
        }
        let charge = (values as f64).next_up() * COORDINATE;
        let left = (alpha - charge).next_down();
        if charge >= alpha / 2.0 || !at_most(&[(1, left), (1, charge)], alpha) {
            return Err(format!(
                "more than twice the charge for integer noise, which is {charge:e}, not {alpha}"
            ));
        }
        Ok(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_integer_noise_is_charged() {
        assert_eq!(Law::Gaussian.left_of(0.001, 1 << 40, 1 << 20), Ok(0.001));
        let left = Law::Integer.left_of(0.001, 100_000, 150_528);
        assert_eq!(left, Ok(0.001_f64.next_down()));
        assert!(Law::Integer.left_of(1e-30, 1 << 40, 1 << 20).is_err());
        // A charge that is no rounding error: 2^-60.
        let left = Law::Integer.left_of(1e-17, 1 << 20, 1 << 20).unwrap();
        let off = 1e-17 - 2_f64.powi(-60) - left;
        assert!((0.0..1e-32).contains(&off), "{off:e}");
        assert_eq!(Law::of_generator("other"), None);
    }
}
