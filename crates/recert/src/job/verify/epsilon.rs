//! The size of a neighbourhood as a person writes it: an exact fraction, rounded when it is used.

use std::fmt;
use std::str::FromStr;

use recert_num::directed::{div_down, div_up};

use crate::{Error, Field, Result};

/// A distance in units of pixels in [0, 1], exactly as written: `2/255`, `0.1`, `1e-3`.
///
/// ```
/// use recert::job::Epsilon;
///
/// let epsilon: Epsilon = "2/255".parse()?;
/// assert_eq!(epsilon.to_string(), "2/255");
/// // No double is 2/255.
/// assert!(epsilon.down() < epsilon.up());
/// let half: Epsilon = "0.5".parse()?;
/// assert_eq!((half.down(), half.up()), (0.5, 0.5));
/// # Ok::<(), recert::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Epsilon {
    text: String,
    /// Whole numbers that doubles hold.
    numerator: f64,
    denominator: f64,
}

/// Above this, doubles do not hold every whole number.
const MOST: u64 = 1 << 53;

impl Epsilon {
    /// The largest double that is not above it.
    pub fn down(&self) -> f64 {
        self.rounded(div_down)
    }

    /// The least double that is not below it.
    pub fn up(&self) -> f64 {
        self.rounded(div_up)
    }

    /// The double next to it: for what proves nothing, as training.
    pub fn nearest(&self) -> f64 {
        self.numerator / self.denominator
    }

    fn rounded(&self, divide: impl Fn(f64, f64) -> f64) -> f64 {
        let nearest = self.numerator / self.denominator;
        // Exact: the remainder of a division that is correctly rounded is a double.
        if nearest.mul_add(self.denominator, -self.numerator) == 0.0 {
            return nearest;
        }
        divide(self.numerator, self.denominator)
    }
}

impl fmt::Display for Epsilon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Epsilon {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        let malformed = || {
            let message = format!(
                "'{text}' is no distance: write a fraction or a decimal number of at most 15 \
                 digits, at least 0, as in 2/255 or 0.1"
            );
            Error::parameter(Field::Eps, message)
        };
        let (above, below) = text.split_once('/').unwrap_or((text, "1"));
        let (a, b) = (decimal(above), decimal(below));
        let ((a, a_scale), (b, b_scale)) = a.zip(b).ok_or_else(malformed)?;
        let product = |a: u64, b: u64| a.checked_mul(b).filter(|&product| product <= MOST);
        let (numerator, denominator) = (product(a, b_scale), product(b, a_scale));
        let (numerator, denominator) = numerator.zip(denominator).ok_or_else(malformed)?;
        if denominator == 0 {
            return Err(malformed());
        }
        Ok(Self {
            text: text.to_owned(),
            numerator: numerator as f64,
            denominator: denominator as f64,
        })
    }
}

/// A decimal number as a whole number and the power of ten that it is to be divided by.
fn decimal(text: &str) -> Option<(u64, u64)> {
    let text = text.trim();
    let (digits, exponent) = match text.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let all = format!("{whole}{part}");
    if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = all.parse().ok()?;
    let places = i32::try_from(part.len()).ok()?.checked_sub(exponent)?;
    let power = |places: i32| 10_u64.checked_pow(places.unsigned_abs());
    if places >= 0 {
        Some((number, power(places)?))
    } else {
        Some((number.checked_mul(power(places)?)?, 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_read_exactly_and_rounded_apart() {
        for (text, numerator, denominator) in [
            ("2/255", 2_u128, 255_u128),
            ("0.1", 1, 10),
            (".026", 26, 1000),
            ("1e-3", 1, 1000),
            ("2.5E2", 250, 1),
            ("0.5/255", 5, 2550),
            ("0", 0, 1),
        ] {
            let epsilon: Epsilon = text.parse().unwrap();
            for (bound, above) in [(epsilon.down(), false), (epsilon.up(), true)] {
                // bound = mantissa / 2^shift, compared with the fraction in whole numbers.
                let shift = 70;
                let scaled = bound * 2_f64.powi(shift);
                assert_eq!(scaled, scaled.trunc(), "{text}");
                let left = scaled as u128 * denominator;
                let right = numerator << shift;
                assert!(if above { left >= right } else { left <= right }, "{text}");
                let nearest = numerator as f64 / denominator as f64;
                assert!((bound - nearest).abs() <= nearest * 5e-16, "{text}");
            }
        }
    }

    #[test]
    fn what_is_no_distance_is_refused() {
        for text in [
            "", "x", "-1", "1/0", "1/", "/255", "nan", "inf", "1/2/3", "1e99", "1 2",
        ] {
            let error = text.parse::<Epsilon>().unwrap_err();
            assert_eq!(error.field(), Some(Field::Eps), "{text}");
        }
        let long = "0.1000000000000000055511151231257827";
        assert!(long.parse::<Epsilon>().is_err());
    }
}
