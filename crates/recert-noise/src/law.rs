//! The laws of noise that this crate makes, and their generators' names in ledgers.

use crate::error::{Error, ErrorKind};
use crate::integer::{GENERATOR_INTEGER, charged_alpha, check_sigma};

/// The law of the noise added to an image, and the stream that makes it.
///
/// ```
/// use recert_noise::Law;
///
/// let law = Law::of_generator(recert_noise::GENERATOR_INTEGER)?;
/// assert_eq!(law, Law::Integer);
/// let charged = law.charged_alpha(0.001, 100_000, 3 * 32 * 32)?;
/// assert!(charged < 0.001 && charged > 0.000_999_999);
/// # Ok::<(), recert_noise::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Law {
    /// Normal noise in float32 ([`crate::NoiseKey`]).
    Gaussian,
    /// Normal noise rounded to grey levels, for 8-bit images ([`crate::IntegerNoise`]).
    Integer,
}

impl Law {
    /// Every law known to this version.
    pub const ALL: [Self; 2] = [Self::Gaussian, Self::Integer];

    /// The name of the generator of this law, for ledgers.
    #[must_use]
    pub const fn generator(self) -> &'static str {
        match self {
            Self::Gaussian => crate::GENERATOR,
            Self::Integer => GENERATOR_INTEGER,
        }
    }

    /// The law that a ledger's generator makes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Generator`] for a name that this version does not know.
    pub fn of_generator(name: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|law| law.generator() == name)
            .ok_or_else(|| {
                let known = Self::ALL.map(Self::generator).join(" and ");
                Error::new(
                    ErrorKind::Generator,
                    format!(
                        "the noise generator {name:?} is unknown to this version, which makes {known}"
                    ),
                )
            })
    }

    /// Fails for a standard deviation, in units of pixels in [0, 1], that noise of
    /// this law is not made for.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Sigma`], for integer noise outside
    /// [`crate::integer::MIN_SIGMA`] to [`crate::integer::MAX_SIGMA`].
    pub fn check_sigma(self, sigma: f64) -> Result<(), Error> {
        match self {
            Self::Gaussian => Ok(()),
            Self::Integer => check_sigma(sigma),
        }
    }

    /// The failure probability at which bounds must be computed for a statement
    /// to hold at `alpha` over `samples` samples of `dims` pixels: `alpha` itself
    /// for Gaussian noise (whose certificates are for the law up to rounding),
    /// [`charged_alpha`] for integer noise.
    ///
    /// # Errors
    ///
    /// Those of [`charged_alpha`].
    pub fn charged_alpha(self, alpha: f64, samples: u64, dims: u64) -> Result<f64, Error> {
        match self {
            Self::Gaussian => Ok(alpha),
            Self::Integer => charged_alpha(alpha, samples, dims),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Law;
    use crate::ErrorKind;

    #[test]
    fn generators_name_their_laws() {
        for law in Law::ALL {
            assert_eq!(Law::of_generator(law.generator()), Ok(law));
        }
        for name in ["", "philox4x32-10/rounded-normal-128/tile64/v2"] {
            let error = Law::of_generator(name).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Generator);
            assert!(error.to_string().contains(&format!("{name:?}")), "{error}");
        }
    }

    #[test]
    fn only_integer_noise_has_bounds_of_sigma() {
        assert_eq!(Law::Gaussian.check_sigma(1e-9), Ok(()));
        assert_eq!(Law::Integer.check_sigma(0.25), Ok(()));
        let error = Law::Integer.check_sigma(1e-9).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Sigma);
    }

    #[test]
    fn only_integer_noise_is_charged() {
        assert_eq!(
            Law::Gaussian.charged_alpha(1e-30, 1 << 40, 1 << 20),
            Ok(1e-30)
        );
        let charged = Law::Integer.charged_alpha(0.001, 100_000, 150_528);
        assert_eq!(charged, Ok(0.001_f64.next_down()));
        let error = Law::Integer
            .charged_alpha(1e-30, 1 << 40, 1 << 20)
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Charge);
    }
}
