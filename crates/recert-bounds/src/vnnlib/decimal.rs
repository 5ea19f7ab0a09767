//! Exact decimal numbers of property files, and the `f64`s on either side of them.

/// A decimal number, `digits * 10^exponent`, exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decimal {
    /// No multiple of ten, unless it is 0.
    digits: i128,
    exponent: i32,
}

/// The largest exponent of ten that a number may state, either way: `f64` ends at 308 and -324.
const LARGEST_EXPONENT: i32 = 1000;

/// The largest integer up to which `f64` holds all integers.
const LARGEST_EXACT: u128 = 1 << 53;

impl Decimal {
    pub(super) const ZERO: Self = Self {
        digits: 0,
        exponent: 0,
    };

    pub(super) const ONE: Self = Self {
        digits: 1,
        exponent: 0,
    };

    /// A number as it stands in a file: `-1`, `0.25`, `+1.5e-3`. `None` for what is no number, or
    /// has more significant digits than an `i128` holds, 38.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (number, exponent) = match text.find(['e', 'E']) {
            Some(at) => (&text[..at], text[at + 1..].parse::<i32>().ok()?),
            None => (text, 0),
        };
        if exponent.checked_abs()? > LARGEST_EXPONENT {
            return None;
        }
        let (negative, number) = match number.as_bytes().first()? {
            b'-' => (true, &number[1..]),
            b'+' => (false, &number[1..]),
            _ => (false, number),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let fraction = fraction.trim_end_matches('0');
        let mut digits: i128 = 0;
        for byte in whole.bytes().chain(fraction.bytes()) {
            let digit = char::from(byte).to_digit(10)?;
            digits = digits.checked_mul(10)?.checked_add(i128::from(digit))?;
        }
        let places = i32::try_from(fraction.len()).ok()?;
        let digits = if negative { -digits } else { digits };
        Some(Self::reduced(digits, exponent.checked_sub(places)?))
    }

    fn reduced(mut digits: i128, mut exponent: i32) -> Self {
        if digits == 0 {
            return Self::ZERO;
        }
        while digits % 10 == 0 {
            digits /= 10;
            exponent += 1;
        }
        Self { digits, exponent }
    }

    /// The sum, or `None` where it has more digits than are held.
    pub(super) fn add(self, other: Self) -> Option<Self> {
        if self.digits == 0 {
            return Some(other);
        }
        if other.digits == 0 {
            return Some(self);
        }
        let exponent = self.exponent.min(other.exponent);
        let sum = self.units(exponent)?.checked_add(other.units(exponent)?)?;
        Some(Self::reduced(sum, exponent))
    }

    /// The product, or `None` where it has more digits than are held.
    pub(super) fn multiply(self, other: Self) -> Option<Self> {
        let digits = self.digits.checked_mul(other.digits)?;
        Some(Self::reduced(
            digits,
            self.exponent.checked_add(other.exponent)?,
        ))
    }

    pub(super) fn negate(self) -> Self {
        // -i128::MIN is a multiple of no power of ten, and is never read: parsing starts at |x|.
        Self {
            digits: self.digits.wrapping_neg(),
            ..self
        }
    }

    pub(super) fn is_zero(self) -> bool {
        self.digits == 0
    }

    pub(super) fn is_negative(self) -> bool {
        self.digits < 0
    }

    /// The exponent of ten of a power of ten.
    pub(super) fn power_of_ten(self) -> Option<i32> {
        (self.digits == 1).then_some(self.exponent)
    }

    /// The number times `10^-exponent`, where that is an integer that is held.
    fn units(self, exponent: i32) -> Option<i128> {
        let shift = u32::try_from(self.exponent.checked_sub(exponent)?).ok()?;
        self.digits.checked_mul(10_i128.checked_pow(shift)?)
    }

    /// The number times `10^-exponent` as an `f64`, where that is an integer which `f64` holds.
    pub(super) fn exact_units(self, exponent: i32) -> Option<f64> {
        if self.is_zero() {
            return Some(0.0);
        }
        let units = self.units(exponent)?;
        (units.unsigned_abs() <= LARGEST_EXACT).then_some(units as f64)
    }

    pub(super) fn exponent(self) -> i32 {
        self.exponent
    }

    /// The number times `10^-exponent`.
    pub(super) fn shifted(self, exponent: i32) -> Option<Self> {
        if self.is_zero() {
            return Some(self);
        }
        let exponent = self.exponent.checked_sub(exponent)?;
        Some(Self { exponent, ..self })
    }

    /// The largest `f64` known to be at most the number, and the least known to be at least it:
    /// the same where the number is an `f64`, else two neighbours (or, for numbers of unusual
    /// length, the neighbours of the nearest).
    pub(super) fn enclose(self) -> [f64; 2] {
        // Rust rounds a decimal to the nearest `f64`, whatever its length.
        let text = format!("{}e{}", self.digits, self.exponent);
        let nearest: f64 = text.parse().unwrap_or(f64::NAN);
        if nearest.is_infinite() {
            let inner = f64::MAX.copysign(nearest);
            return [nearest.min(inner), nearest.max(inner)];
        }
        match self.compare_to(nearest) {
            Some(std::cmp::Ordering::Equal) => [nearest, nearest],
            Some(std::cmp::Ordering::Greater) => [nearest, nearest.next_up()],
            Some(std::cmp::Ordering::Less) => [nearest.next_down(), nearest],
            None => [nearest.next_down(), nearest.next_up()],
        }
    }

    /// How the number compares to an `f64` of the same sign, exactly; `None` where that takes
    /// more than 128 bits.
    fn compare_to(self, x: f64) -> Option<std::cmp::Ordering> {
        if x == 0.0 {
            return Some(self.digits.cmp(&0));
        }
        let bits = x.to_bits();
        let stored = ((bits >> 52) & 0x7ff) as i32;
        let fraction = bits & ((1 << 52) - 1);
        let (mantissa, mut power) = if stored == 0 {
            (fraction, -1074)
        } else {
            (fraction | 1 << 52, stored - 1075)
        };
        // |digits| * 5^e * 2^e against mantissa * 2^power.
        let mut here = self.digits.unsigned_abs();
        let mut there = u128::from(mantissa);
        let five = 5_u128.checked_pow(self.exponent.unsigned_abs())?;
        if self.exponent >= 0 {
            here = here.checked_mul(five)?;
        } else {
            there = there.checked_mul(five)?;
        }
        power -= self.exponent;
        let shifted = |value: u128, by: u32| (value.leading_zeros() >= by).then(|| value << by);
        if power >= 0 {
            there = shifted(there, power.unsigned_abs())?;
        } else {
            here = shifted(here, power.unsigned_abs())?;
        }
        let order = here.cmp(&there);
        Some(if x < 0.0 { order.reverse() } else { order })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Decimal {
        Decimal::parse(text).unwrap()
    }

    #[test]
    fn numbers_that_are_f64s_come_back_as_they_are() {
        for (text, x) in [
            ("0", 0.0),
            ("-0.0", 0.0),
            ("1", 1.0),
            ("+2.50", 2.5),
            ("-0.625", -0.625),
            ("1e3", 1000.0),
            ("12.5E-1", 1.25),
            (".5", 0.5),
            ("3.", 3.0),
            ("1e22", 1e22),
        ] {
            assert_eq!(parse(text).enclose(), [x, x], "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_none() {
        for text in [
            "", "-", ".", "e5", "1e", "1e99999", "0x1", "1.2.3", "nan", "inf", "1 ", "٣",
        ] {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
        assert_eq!(Decimal::parse(&"9".repeat(40)), None);
        assert_eq!(parse(&format!("0.5{}", "0".repeat(60))), parse("0.5"));
    }

    #[test]
    fn overflow_rounds_to_the_largest_number_and_to_infinity() {
        assert_eq!(parse("1e400").enclose(), [f64::MAX, f64::INFINITY]);
        assert_eq!(parse("-1e400").enclose(), [f64::NEG_INFINITY, f64::MIN]);
        assert_eq!(parse("1e-400").enclose(), [0.0, f64::from_bits(1)]);
    }

    proptest! {
        /// The oracle is the exact decimal expansion that the standard library prints.
        #[test]
        fn encloses_tightly(digits in -(10_i64.pow(17))..10_i64.pow(17), places in 0_usize..24) {
            let text = format!("{digits}e-{places}");
            let [down, up] = parse(&text).enclose();
            prop_assert!(down == up || up == down.next_up());
            let fixed = |x: f64| format!("{x:.1100}");
            let digits = format!("{}", digits.unsigned_abs());
            let padded = format!("{digits:0>width$}", width = places + 1);
            let (whole, fraction) = padded.split_at(padded.len() - places);
            let number = format!("{whole}.{fraction:0<1100}");
            // Strings of one length compare as the numbers do.
            let width = |text: &str| format!("{:0>1200}", text.trim_start_matches('-'));
            let magnitudes = if text.starts_with('-') { [-up, -down] } else { [down, up] };
            prop_assert!(width(&fixed(magnitudes[0])) <= width(&number));
            prop_assert!(width(&number) <= width(&fixed(magnitudes[1])));
        }

        #[test]
        fn sums_and_products_are_those_of_integers(a in -1_000_000_i64..1_000_000, b in -1_000_000_i64..1_000_000, p in 0_u32..6, q in 0_u32..6) {
            let (x, y) = (parse(&format!("{a}e-{p}")), parse(&format!("{b}e-{q}")));
            let sum = a * 10_i64.pow(q) + b * 10_i64.pow(p);
            prop_assert_eq!(x.add(y).unwrap(), parse(&format!("{sum}e-{}", p + q)));
            prop_assert_eq!(x.multiply(y).unwrap(), parse(&format!("{}e-{}", a * b, p + q)));
        }

        #[test]
        fn no_text_panics(text in "[-+0-9.eE]{0,60}") {
            if let Some(number) = Decimal::parse(&text) {
                let [down, up] = number.enclose();
                prop_assert!(down <= up);
                let _ = number.add(number).and_then(|sum| sum.multiply(sum));
            }
        }
    }
}
