//! Checked newtypes that carry the meaning of a number in its type.

use std::fmt;

use crate::decimal::{format_down, format_up};
use crate::directed::{add_down, add_up, div_down, mul_down, mul_up, sub_down, sub_up};
use crate::error::Error;

/// Digits after the point that `Display` prints where no precision is given.
const DEFAULT_DIGITS: usize = 6;

/// Standard deviation of the smoothing noise, in `[0, 1]` pixel units: finite and positive.
///
/// A certificate is about the noise that was drawn. Noise that is scaled by an `f32` has that
/// `f32`'s exact value as its standard deviation: `0.12_f32` is not the `f64` 0.12.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Sigma(f64);

impl Sigma {
    /// Checks that `value` is finite and above 0.
    pub fn new(value: f64) -> Result<Self, Error> {
        if value.is_finite() && value > 0.0 {
            Ok(Self(value))
        } else {
            Err(Error::domain(format!(
                "sigma {value} is not a finite number above 0"
            )))
        }
    }

    /// The value.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl fmt::Display for Sigma {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A failure probability: strictly between 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Alpha(f64);

impl Alpha {
    /// Checks that `value` lies strictly between 0 and 1.
    pub fn new(value: f64) -> Result<Self, Error> {
        if value > 0.0 && value < 1.0 {
            Ok(Self(value))
        } else {
            Err(Error::domain(format!(
                "failure probability {value} is not strictly between 0 and 1"
            )))
        }
    }

    /// The value.
    pub fn get(self) -> f64 {
        self.0
    }

    /// Splits the failure probability into shares in proportion to `weights`, by
    /// the union bound: the exact sum of the shares is at most this probability.
    ///
    /// Share `i` is `alpha w_i / W` rounded down, with `W` the sum of the weights
    /// rounded up, so every share is at most its exact part and the exact parts
    /// sum to at most `alpha`. Each share is below its exact part by a relative
    /// `(len + 2) 2^-52` at most.
    ///
    /// Fails where there is no weight, a weight is not finite and above 0, or a
    /// share would be 0.
    ///
    /// ```
    /// # fn main() -> Result<(), recert_num::Error> {
    /// let shares = recert_num::Alpha::new(0.002)?.split(&[1.0, 9.0])?;
    /// assert!(shares[0].get() <= 0.0002);
    /// assert!(shares[0].get() > 0.000_199_999_999_999);
    /// # Ok(())
    /// # }
    /// ```
    pub fn split(self, weights: &[f64]) -> Result<Vec<Self>, Error> {
        if weights.is_empty() {
            return Err(Error::domain(
                "a failure probability cannot be split into no shares: give at least one weight",
            ));
        }
        if let Some((i, w)) = weights
            .iter()
            .enumerate()
            .find(|(_, w)| !(w.is_finite() && **w > 0.0))
        {
            return Err(Error::domain(format!(
                "weight {i} of a split failure probability is {w}: weights must be finite and above 0"
            )));
        }
        let total = weights.iter().fold(0.0, |sum, &w| add_up(sum, w));
        if !total.is_finite() {
            return Err(Error::domain(
                "the weights of a split failure probability overflow: make them smaller",
            ));
        }
        weights
            .iter()
            .map(|&w| {
                // Dividing first cannot overflow: the quotient is at most 1.
                let share = if weights.len() == 1 {
                    self.0
                } else {
                    mul_down(self.0, div_down(w, total).min(1.0))
                };
                Self::new(share).map_err(|_| {
                    Error::domain(format!(
                        "a share of the failure probability {} underflows: weight {w} is too small",
                        self.0
                    ))
                })
            })
            .collect()
    }
}

impl fmt::Display for Alpha {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A lower bound of a probability: a number in `[0, 1]`.
///
/// Arithmetic on it rounds down, and [`fmt::Display`] prints it rounded down.
///
/// ```
/// use recert_num::{LowerBound, UpperBound};
/// let class = LowerBound::new(0.75)?; // P(f = c) is at least this
/// let loss = UpperBound::new(0.25)?; // P(f = c, h != c) is at most this
/// assert_eq!(class.minus(loss), LowerBound::new(0.5)?);
/// assert_eq!(class.complement(), UpperBound::new(0.25)?);
/// assert_eq!(LowerBound::new(0.3)?.to_string(), "0.299999", "rounded down");
/// # Ok::<(), recert_num::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct LowerBound(f64);

/// An upper bound of a probability: a number in `[0, 1]`.
///
/// Arithmetic on it rounds up, and [`fmt::Display`] prints it rounded up.
///
/// ```
/// use recert_num::UpperBound;
/// let (runner_up, gain) = (UpperBound::new(0.25)?, UpperBound::new(0.125)?);
/// assert_eq!(runner_up.plus(gain), UpperBound::new(0.375)?);
/// assert_eq!(UpperBound::new(0.1)?.to_string(), "0.100001", "rounded up");
/// # Ok::<(), recert_num::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct UpperBound(f64);

impl LowerBound {
    /// The bound that always holds.
    pub const ZERO: Self = Self(0.0);

    /// Checks that `value` lies in `[0, 1]`.
    pub fn new(value: f64) -> Result<Self, Error> {
        check_probability(value).map(Self)
    }

    /// A value known to be a lower bound, brought into `[0, 1]`.
    pub(crate) fn clamped(value: f64) -> Self {
        Self(value.clamp(0.0, 1.0))
    }

    /// The value.
    pub fn get(self) -> f64 {
        self.0
    }

    /// Upper bound of the complement: if `p >= self` then `1 - p <=` the result.
    pub fn complement(self) -> UpperBound {
        UpperBound(sub_up(1.0, self.0))
    }

    /// Lower bound of `p - q`, clipped at 0, given that `p >= self` and `q <= other`.
    #[must_use]
    pub fn minus(self, other: UpperBound) -> Self {
        Self::clamped(sub_down(self.0, other.0))
    }

    /// Lower bound of `p + q`, clipped at 1, given that `p >= self`, `q >= other` and
    /// that the sum is a probability.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self::clamped(add_down(self.0, other.0))
    }

    /// Lower bound of `p q`, given that `p >= self` and `q >= other`.
    #[must_use]
    pub fn times(self, other: Self) -> Self {
        Self::clamped(mul_down(self.0, other.0))
    }

    /// The larger of two bounds on the same probability.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self(self.0.max(other.0))
    }
}

impl UpperBound {
    /// The bound that always holds.
    pub const ONE: Self = Self(1.0);

    /// Checks that `value` lies in `[0, 1]`.
    pub fn new(value: f64) -> Result<Self, Error> {
        check_probability(value).map(Self)
    }

    /// A value known to be an upper bound, brought into `[0, 1]`.
    pub(crate) fn clamped(value: f64) -> Self {
        Self(value.clamp(0.0, 1.0))
    }

    /// The value.
    pub fn get(self) -> f64 {
        self.0
    }

    /// Lower bound of the complement: if `p <= self` then `1 - p >=` the result.
    pub fn complement(self) -> LowerBound {
        LowerBound(sub_down(1.0, self.0))
    }

    /// Upper bound of `p - q`, clipped at 0, given that `p <= self` and `q >= other`.
    ///
    /// The clipping makes it an upper bound of `max(p - q, 0)` as well.
    #[must_use]
    pub fn minus(self, other: LowerBound) -> Self {
        Self::clamped(sub_up(self.0, other.0))
    }

    /// Upper bound of `p + q`, clipped at 1, given that `p <= self`, `q <= other` and
    /// that the sum is a probability.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self::clamped(add_up(self.0, other.0))
    }

    /// Upper bound of `p q`, given that `p <= self` and `q <= other`.
    #[must_use]
    pub fn times(self, other: Self) -> Self {
        Self::clamped(mul_up(self.0, other.0))
    }

    /// The smaller of two bounds on the same probability.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        Self(self.0.min(other.0))
    }
}

impl fmt::Display for LowerBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad_integral(
            true,
            "",
            &format_down(self.0, f.precision().unwrap_or(DEFAULT_DIGITS)),
        )
    }
}

impl fmt::Display for UpperBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad_integral(
            true,
            "",
            &format_up(self.0, f.precision().unwrap_or(DEFAULT_DIGITS)),
        )
    }
}

fn check_probability(value: f64) -> Result<f64, Error> {
    if (0.0..=1.0).contains(&value) {
        Ok(value)
    } else {
        Err(Error::domain(format!(
            "probability bound {value} is not in [0, 1]"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dd::Dd;
    use crate::error::ErrorKind;
    use proptest::prelude::*;

    #[test]
    fn constructors_check_their_domain() {
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(Sigma::new(bad).unwrap_err().kind(), ErrorKind::Domain);
        }
        for bad in [0.0, 1.0, -0.1, 1.1, f64::NAN] {
            assert_eq!(Alpha::new(bad).unwrap_err().kind(), ErrorKind::Domain);
        }
        for bad in [-f64::MIN_POSITIVE, 1.0_f64.next_up(), f64::NAN] {
            assert!(LowerBound::new(bad).is_err() && UpperBound::new(bad).is_err());
        }
        assert_eq!(LowerBound::new(1.0).unwrap().get(), 1.0);
        assert_eq!(UpperBound::new(0.0).unwrap().get(), 0.0);
    }

    #[test]
    fn display_rounds_outward() {
        let (low, high) = (LowerBound::new(0.3).unwrap(), UpperBound::new(0.3).unwrap());
        assert_eq!(format!("{low:.2} {high:.2}"), "0.29 0.30");
        assert_eq!(format!("{low} {high}"), "0.299999 0.300000");
        assert_eq!(format!("[{low:>7.2}]"), "[   0.29]");
    }

    #[test]
    fn bad_splits_are_refused() {
        let alpha = Alpha::new(0.001).unwrap();
        for bad in [
            &[][..],
            &[1.0, 0.0],
            &[1.0, -1.0],
            &[f64::NAN],
            &[f64::MAX, f64::MAX],
            &[1.0, 1e-322],
        ] {
            assert_eq!(
                alpha.split(bad).unwrap_err().kind(),
                ErrorKind::Domain,
                "{bad:?}"
            );
        }
        assert_eq!(alpha.split(&[7.0]).unwrap(), [alpha]);
    }

    proptest! {
        #[test]
        fn shares_never_exceed_the_whole(
            alpha in 1e-12_f64..0.999,
            weights in prop::collection::vec(1e-6_f64..1e6, 1..40),
        ) {
            let shares = Alpha::new(alpha).unwrap().split(&weights).unwrap();
            // A double-double sum of 40 numbers is exact to far better than one share's ulp.
            let sum = shares.iter().fold(Dd::from_f64(-alpha), |s, a| s.add_f64(a.get()));
            prop_assert!(sum.hi <= 0.0, "shares exceed the whole by {:e}", sum.hi);
            prop_assert!(sum.hi >= -alpha * 1e-13);
        }

        #[test]
        fn bound_arithmetic_is_outward(a in 0.0_f64..1.0, b in 0.0_f64..1.0) {
            let (la, lb) = (LowerBound::new(a).unwrap(), LowerBound::new(b).unwrap());
            let (ua, ub) = (UpperBound::new(a).unwrap(), UpperBound::new(b).unwrap());
            prop_assert!(la.minus(ub).get() <= ua.minus(lb).get());
            prop_assert!(la.plus(lb).get() <= ua.plus(ub).get());
            prop_assert!(la.times(lb).get() <= ua.times(ub).get());
            prop_assert!(la.complement().get() >= ua.complement().get());
            prop_assert!(la.max(lb).get() == a.max(b) && ua.min(ub).get() == a.min(b));
        }
    }
}
