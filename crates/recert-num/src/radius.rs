//! Certified L2 radii: the map from probability bounds to a distance, rounded down.

use std::fmt;

use crate::decimal::format_down;
use crate::directed::{mul_down, sub_down};
use crate::error::Error;
use crate::normal::{normal_quantile_lower, normal_quantile_upper};
use crate::types::{LowerBound, Sigma, UpperBound};

/// Digits after the point that `Display` prints where no precision is given.
const DEFAULT_DIGITS: usize = 4;

/// A radius that is certified: finite, at least 0, and a lower bound of the true
/// one, in the L2 distance of `[0, 1]` pixel units. It prints rounded down.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Radius(f64);

impl Radius {
    /// Checks that `value` is finite and at least 0.
    pub fn new(value: f64) -> Result<Self, Error> {
        if value.is_finite() && value >= 0.0 {
            // Adding 0 turns a negative zero into a positive one.
            Ok(Self(value + 0.0))
        } else {
            Err(Error::domain(format!(
                "radius {value} is not a finite number of at least 0"
            )))
        }
    }

    /// The value.
    pub fn get(self) -> f64 {
        self.0
    }

    /// `sigma Phi^-1(pA)` rounded down (Cohen, Rosenfeld, Kolter 2019, CERTIFY), or
    /// `None`, which means to abstain, where `pA <= 1/2`.
    ///
    /// The result is at most the exact value, and at least it times `1 - 2e-12`.
    /// A bound `pA` within `2^-53` of 1 counts as `1 - 2^-53`.
    ///
    /// ```
    /// # fn main() -> Result<(), recert_num::Error> {
    /// use recert_num::{LowerBound, Radius, Sigma};
    /// let radius = Radius::one_sided(Sigma::new(0.5)?, LowerBound::new(0.99)?)?;
    /// assert_eq!(radius.unwrap().to_string_rounded_down(3), "1.163");
    /// assert_eq!(Radius::one_sided(Sigma::new(0.5)?, LowerBound::new(0.5)?)?, None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn one_sided(sigma: Sigma, p_a: LowerBound) -> Result<Option<Self>, Error> {
        if p_a.get() <= 0.5 {
            return Ok(None);
        }
        let z = normal_quantile_lower(p_a.get().min(1.0_f64.next_down()))?;
        Self::new(mul_down(sigma.get(), z)).map(Some)
    }

    /// `sigma/2 (Phi^-1(pA) - Phi^-1(pB))` rounded down (Cohen, Rosenfeld, Kolter 2019,
    /// Theorem 1), or `None`, which means to abstain, where `pA <= pB`.
    ///
    /// `p_b` bounds every other class at once. The rounding loses at most `2e-12
    /// sigma (|Phi^-1(pA)| + |Phi^-1(pB)|)`. Probabilities are used inside
    /// `[1e-300, 1 - 2^-53]`: `pA` below it abstains, `pB` above it abstains, and
    /// the outer ends are brought in, which is sound.
    ///
    /// ```
    /// use recert_num::{LowerBound, Radius, Sigma, UpperBound};
    /// let (sigma, class) = (Sigma::new(0.5)?, LowerBound::new(0.4)?);
    /// let radius = Radius::two_sided(sigma, class, UpperBound::new(0.1)?)?;
    /// assert!(radius.is_some(), "a class below 1/2 can be certified");
    /// assert_eq!(Radius::two_sided(sigma, class, UpperBound::new(0.4)?)?, None);
    /// # Ok::<(), recert_num::Error>(())
    /// ```
    pub fn two_sided(
        sigma: Sigma,
        p_a: LowerBound,
        p_b: UpperBound,
    ) -> Result<Option<Self>, Error> {
        let (floor, ceiling) = (1e-300, 1.0_f64.next_down());
        if p_a.get() <= p_b.get() || p_a.get() < floor || p_b.get() > ceiling {
            return Ok(None);
        }
        let high = normal_quantile_lower(p_a.get().min(ceiling))?;
        let low = normal_quantile_upper(p_b.get().max(floor))?;
        let gap = sub_down(high, low);
        if gap <= 0.0 {
            return Ok(None);
        }
        let radius = mul_down(mul_down(0.5, gap), sigma.get());
        Self::new(radius).map(Some)
    }

    /// The radius with `digits` digits after the point, never above the value.
    ///
    /// ```
    /// # use recert_num::Radius;
    /// assert_eq!(Radius::new(0.3)?.to_string_rounded_down(2), "0.29");
    /// # Ok::<(), recert_num::Error>(())
    /// ```
    pub fn to_string_rounded_down(self, digits: usize) -> String {
        format_down(self.0, digits)
    }
}

impl fmt::Display for Radius {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad_integral(
            true,
            "",
            &format_down(self.0, f.precision().unwrap_or(DEFAULT_DIGITS)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binomial::clopper_pearson_lower;
    use crate::types::Alpha;

    fn radius(sigma: f64, p: f64) -> Option<Radius> {
        Radius::one_sided(Sigma::new(sigma).unwrap(), LowerBound::new(p).unwrap()).unwrap()
    }

    #[test]
    fn one_sided_radii() {
        assert_eq!(radius(1.0, 0.5), None);
        assert_eq!(radius(1.0, 0.0), None);
        // Phi^-1(1 - 2^-53) = 8.2095361516013868...
        assert_eq!(
            radius(1.0, 1.0).unwrap().to_string_rounded_down(6),
            "8.209536"
        );
        // Phi^-1(0.975) = 1.959963984540054235...
        assert_eq!(format!("{:.9}", radius(2.0, 0.975).unwrap()), "3.919927969");
        assert_eq!(radius(2.0, 0.975).unwrap().to_string(), "3.9199");
    }

    #[test]
    fn two_sided_radii() {
        let sigma = Sigma::new(1.0).unwrap();
        let two = |a, b| {
            Radius::two_sided(
                sigma,
                LowerBound::new(a).unwrap(),
                UpperBound::new(b).unwrap(),
            )
            .unwrap()
        };
        assert_eq!(two(0.3, 0.3), None);
        assert_eq!(two(0.0, 0.0), None);
        assert_eq!(two(1.0, 1.0), None);
        // With pB = 1 - pA it is the one-sided radius.
        let (both, one) = (two(0.75, 0.25).unwrap(), radius(1.0, 0.75).unwrap());
        assert!((both.get() - one.get()).abs() < 1e-12);
        // Phi^-1(0.4) - Phi^-1(0.1) = 1.028204462408798..., half of it.
        assert_eq!(
            two(0.4, 0.1).unwrap().to_string_rounded_down(9),
            "0.514102231"
        );
        assert!(two(1.0, 0.0).unwrap().get() > 22.0);
    }

    #[test]
    fn largest_attainable_radii_at_100_000_samples() {
        // Phi^-1(alpha^(1/n)) is 3.811456563... and 3.910510429... (30 digits of mpmath);
        // the former is often quoted as 3.8115, which is above what can be attained.
        for (alpha, five, four) in [(0.001, "3.81145", "3.8114"), (0.01, "3.91051", "3.9105")] {
            let p = clopper_pearson_lower(100_000, 100_000, Alpha::new(alpha).unwrap()).unwrap();
            let r = Radius::one_sided(Sigma::new(1.0).unwrap(), p)
                .unwrap()
                .unwrap();
            assert_eq!(r.to_string_rounded_down(5), five);
            assert_eq!(r.to_string(), four);
        }
    }

    #[test]
    fn bad_values_are_refused() {
        for bad in [-0.1, f64::NAN, f64::INFINITY] {
            assert!(Radius::new(bad).is_err());
        }
        assert_eq!(Radius::new(-0.0).unwrap().get().to_bits(), 0);
    }
}
