//! Exact decimal numbers, and doubles around them.

/// `digits * 10^exponent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decimal {
    digits: i128,
    exponent: i32,
}

/// The largest whole number up to which doubles have all.
const WHOLE: i128 = 1 << 53;

/// The largest exponent of ten, either way.
const LARGEST: i32 = 1000;

impl Decimal {
    pub(super) const ZERO: Self = Self {
        digits: 0,
        exponent: 0,
    };

    pub(super) const ONE: Self = Self {
        digits: 1,
        exponent: 0,
    };

    /// A number as it is written: `-1`, `0.25`, `+1.5e-3`; `None` for anything else, and for one
    /// with more digits than are held.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (number, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let exponent: i32 = exponent.parse().ok()?;
        let (sign, number) = match number.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, number.strip_prefix('+').unwrap_or(number)),
        };
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        let part = part.trim_end_matches('0');
        if whole.is_empty() && !number.contains(|c: char| c.is_ascii_digit()) {
            return None;
        }
        let mut digits = 0_i128;
        for byte in whole.bytes().chain(part.bytes()) {
            let digit = byte.is_ascii_digit().then(|| i128::from(byte - b'0'))?;
            digits = digits.checked_mul(10)?.checked_add(digit)?;
        }
        let places = i32::try_from(part.len()).ok()?;
        Self::new(sign * digits, exponent.checked_sub(places)?)
    }

    /// In its one form: no multiple of ten but 0.
    fn new(mut digits: i128, mut exponent: i32) -> Option<Self> {
        if digits == 0 {
            return Some(Self::ZERO);
        }
        while digits % 10 == 0 {
            digits /= 10;
            exponent = exponent.checked_add(1)?;
        }
        (exponent.checked_abs()? <= LARGEST).then_some(Self { digits, exponent })
    }

    pub(super) fn is_zero(self) -> bool {
        self.digits == 0
    }

    pub(super) fn is_negative(self) -> bool {
        self.digits < 0
    }

    pub(super) fn exponent(self) -> i32 {
        self.exponent
    }

    pub(super) fn negated(self) -> Self {
        Self {
            digits: -self.digits,
            ..self
        }
    }

    /// How many units of `10^exponent` it is, where that is a whole number.
    fn units(self, exponent: i32) -> Option<i128> {
        if self.is_zero() {
            return Some(0);
        }
        let power = u32::try_from(self.exponent.checked_sub(exponent)?).ok()?;
        self.digits.checked_mul(10_i128.checked_pow(power)?)
    }

    pub(super) fn plus(self, other: Self) -> Option<Self> {
        let exponent = match (self.is_zero(), other.is_zero()) {
            (true, _) => return Some(other),
            (_, true) => return Some(self),
            _ => self.exponent.min(other.exponent),
        };
        let sum = self.units(exponent)?.checked_add(other.units(exponent)?)?;
        Self::new(sum, exponent)
    }

    pub(super) fn times(self, other: Self) -> Option<Self> {
        let digits = self.digits.checked_mul(other.digits)?;
        Self::new(digits, self.exponent.checked_add(other.exponent)?)
    }

    /// The number divided by `10^exponent`.
    pub(super) fn shifted(self, exponent: i32) -> Option<Self> {
        Self::new(self.digits, self.exponent.checked_sub(exponent)?)
    }

    /// The whole number of units of `10^exponent`, as a double that it is.
    pub(super) fn whole(self, exponent: i32) -> Option<f64> {
        let units = self.units(exponent)?;
        (units.abs() <= WHOLE).then_some(units as f64)
    }

    /// The double that it is, if it is one of few digits.
    pub(super) fn exact(self) -> Option<f64> {
        if self.exponent >= 0 {
            return self.whole(0);
        }
        // m / 10^k is m / 5^k, a whole number, divided by 2^k.
        let power = self.exponent.unsigned_abs();
        let five = 5_i128.checked_pow(power)?;
        let whole = (self.digits % five == 0).then_some(self.digits / five)?;
        (whole.abs() <= WHOLE).then(|| whole as f64 * 2_f64.powi(self.exponent))
    }

    /// The nearest double.
    pub(super) fn nearest(self) -> f64 {
        let text = format!("{}e{}", self.digits, self.exponent);
        // Digits and an exponent are a number.
        text.parse().unwrap_or(f64::NAN)
    }

    /// Doubles that are not above it and not below it.
    pub(super) fn around(self) -> [f64; 2] {
        match self.exact() {
            Some(exact) => [exact; 2],
            // The nearest is at most half a step away.
            None => [self.nearest().next_down(), self.nearest().next_up()],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_enclosed() {
        for (text, exact) in [
            ("0.5", Some(0.5)),
            ("-3", Some(-3.0)),
            ("+1e2", Some(100.0)),
            ("0", Some(0.0)),
            ("-0.0", Some(0.0)),
            (".25", Some(0.25)),
            ("7.", Some(7.0)),
            ("0.1", None),
            ("1e400", None),
            ("123456789012345678901234567890.5", None),
        ] {
            let number = Decimal::parse(text).unwrap();
            assert_eq!(number.exact(), exact, "{text}");
            let [low, high] = number.around();
            let nearest: f64 = text.parse().unwrap();
            match exact {
                Some(exact) => assert_eq!([low, high], [exact; 2], "{text}"),
                None => assert!(low < nearest && (nearest < high || high.is_infinite())),
            }
        }
        for text in [
            "", "-", ".", "1.2.3", "1e", "0x1", "1e5000", "--1", "inf", "nan",
        ] {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
    }

    #[test]
    fn arithmetic_is_exact() {
        let number = |text| Decimal::parse(text).unwrap();
        assert_eq!(number("0.1").plus(number("0.2")), Decimal::parse("0.3"));
        assert_eq!(
            number("0.1").times(number("-1.5e3")),
            Decimal::parse("-150")
        );
        assert_eq!(number("0.25").whole(-2), Some(25.0));
        assert_eq!(number("0.25").whole(-1), None);
        assert_eq!(number("0.25").shifted(-2), Decimal::parse("25"));
        assert_eq!(number("1e38").plus(number("1e-38")), None);
    }
}
