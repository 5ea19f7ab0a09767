//! A distance as a ledger states it: an exact fraction of decimal numbers.

/// A distance, exactly as it is written: `2/255`, `0.1`, `1e-3`.
///
/// ```
/// use recert_proofcheck::Distance;
///
/// let distance = Distance::parse("2/255").expect("a distance");
/// assert!(distance.down() < distance.up());
/// assert_eq!(Distance::parse("0.5").map(|d| (d.down(), d.up())), Some((0.5, 0.5)));
/// assert_eq!(Distance::parse("2/0"), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Distance {
    /// Whole numbers of at most 2^53, which are exact in f64.
    numerator: f64,
    denominator: f64,
}

/// The largest whole number up to which f64 has all.
const MOST: u64 = 1 << 53;

impl Distance {
    /// Reads a fraction or a decimal number that is not negative; `None` for anything else, and
    /// where numbers are too large to be exact.
    pub fn parse(text: &str) -> Option<Self> {
        let mut sides = text.split('/');
        let (top, top_scale) = decimal(sides.next()?)?;
        let (bottom, bottom_scale) = match sides.next() {
            Some(side) => decimal(side)?,
            None => (1, 1),
        };
        let exact = |a: u64, b: u64| a.checked_mul(b).filter(|&n| n <= MOST);
        let numerator = exact(top, bottom_scale)?;
        let denominator = exact(bottom, top_scale)?;
        (sides.next().is_none() && denominator > 0).then_some(Self {
            numerator: numerator as f64,
            denominator: denominator as f64,
        })
    }

    /// By how much the double nearest to the quotient is too large; exact, because the
    /// remainder of a correctly rounded division is a double.
    fn excess(&self, quotient: f64) -> f64 {
        quotient.mul_add(self.denominator, -self.numerator)
    }

    /// The largest double that is not above the distance.
    pub fn down(&self) -> f64 {
        let nearest = self.numerator / self.denominator;
        if self.excess(nearest) > 0.0 {
            nearest.next_down()
        } else {
            nearest
        }
    }

    /// The least double that is not below the distance.
    pub fn up(&self) -> f64 {
        let nearest = self.numerator / self.denominator;
        if self.excess(nearest) < 0.0 {
            nearest.next_up()
        } else {
            nearest
        }
    }
}

/// A whole number and the power of ten by which it is to be divided.
fn decimal(text: &str) -> Option<(u64, u64)> {
    let text = text.trim().to_ascii_lowercase();
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i64 = exponent.parse().ok()?;
    let (mut number, mut places, mut seen, mut point) = (0_u64, 0_i64, false, false);
    for byte in digits.bytes() {
        match byte {
            b'0'..=b'9' => {
                seen = true;
                number = number.checked_mul(10)?.checked_add((byte - b'0').into())?;
                places += i64::from(point);
            }
            b'.' if !point => point = true,
            _ => return None,
        }
    }
    let shift = places.checked_sub(exponent)?;
    let power = 10_u64.checked_pow(u32::try_from(shift.unsigned_abs()).ok()?)?;
    match (seen, shift >= 0) {
        (false, _) => None,
        (true, true) => Some((number, power)),
        (true, false) => Some((number.checked_mul(power)?, 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_enclosed_exactly() {
        for (text, numerator, denominator) in [
            ("2/255", 2_u128, 255_u128),
            ("8/255", 8, 255),
            ("0.1", 1, 10),
            ("1e-3", 1, 1000),
            ("0.5/255", 5, 2550),
            ("2.5E2", 250, 1),
            ("0", 0, 1),
        ] {
            let distance = Distance::parse(text).unwrap();
            // down = m / 2^70 exactly, for whole m: compared with the fraction in whole numbers.
            let whole = |value: f64| {
                let scaled = value * 2_f64.powi(70);
                assert_eq!(scaled, scaled.trunc(), "{text}");
                scaled as u128
            };
            assert!(
                whole(distance.down()) * denominator <= numerator << 70,
                "{text}"
            );
            assert!(
                whole(distance.up()) * denominator >= numerator << 70,
                "{text}"
            );
            assert!(distance.up() <= distance.down().next_up(), "{text}");
        }
    }

    #[test]
    fn anything_else_is_none() {
        for text in [
            "", ".", "x", "-1", "1/0", "1/", "1/2/3", "inf", "1e99", "1e-99", "1 2",
        ] {
            assert_eq!(Distance::parse(text), None, "{text}");
        }
    }
}
