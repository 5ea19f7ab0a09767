//! Decimal strings that are exactly at most, or at least, an `f64`.
//!
//! An `f64` is `m 2^e` with integers `m` and `e`; its decimal expansion is finite.
//! Digits are produced by integer arithmetic on that expansion, so the printed
//! number and the `f64` compare as exact real numbers: nothing is rounded to
//! nearest on the way.

/// `x` in decimal with `digits` digits after the point, rounded towards minus
/// infinity: the printed number is at most `x`, by less than `10^-digits`.
///
/// Infinities print as `inf` and `-inf`, NaN as `NaN`.
///
/// ```
/// use recert_num::{format_down, format_up};
/// // The f64 nearest to 0.3 is 0.299999999999999988897...
/// assert_eq!(format_down(0.3, 3), "0.299");
/// assert_eq!(format_up(0.3, 3), "0.300");
/// assert_eq!(format_down(-0.5, 0), "-1");
/// assert_eq!(format_down(0.625, 3), "0.625");
/// ```
pub fn format_down(x: f64, digits: usize) -> String {
    format_directed(x, digits, false)
}

/// `x` in decimal with `digits` digits after the point, rounded towards plus
/// infinity: the printed number is at least `x`, by less than `10^-digits`.
///
/// Infinities print as `inf` and `-inf`, NaN as `NaN`.
pub fn format_up(x: f64, digits: usize) -> String {
    format_directed(x, digits, true)
}

fn format_directed(x: f64, digits: usize, up: bool) -> String {
    if !x.is_finite() {
        return x.to_string();
    }
    let negative = x < 0.0;
    let (mut text, exact) = truncate(x.abs(), digits);
    // Truncation rounds the magnitude down; the other direction adds one unit.
    if !exact && up != negative {
        increment(&mut text);
    }
    let is_zero = text.iter().all(|&c| c == b'0' || c == b'.');
    if negative && !is_zero {
        text.insert(0, b'-');
    }
    text.into_iter().map(char::from).collect()
}

/// The digits of `x >= 0` cut after `digits` places, and whether nothing was cut.
fn truncate(x: f64, digits: usize) -> (Vec<u8>, bool) {
    let bits = x.to_bits();
    let biased = (bits >> 52) as i32;
    let fraction_bits = bits & ((1 << 52) - 1);
    // x = mantissa * 2^exponent.
    let (mantissa, exponent) = if biased == 0 {
        (fraction_bits, -1074)
    } else {
        (fraction_bits | (1 << 52), biased - 1075)
    };
    let mut whole = Natural::from_u64(mantissa);
    let mut part = Natural::from_u64(0);
    let mut part_bits = 0;
    if exponent >= 0 {
        whole.shift_left(exponent as usize);
    } else {
        part_bits = exponent.unsigned_abs() as usize;
        part = Natural::from_u64(mantissa);
        whole = part.split_high(part_bits);
    }
    let mut text = whole.to_decimal();
    if digits > 0 {
        text.push(b'.');
        for _ in 0..digits {
            part.multiply_by_ten();
            let digit = part.split_high(part_bits);
            text.push(b'0' + digit.words.first().map_or(0, |&w| w as u8));
        }
    }
    (text, part.is_zero())
}

/// Adds one unit in the last place to a decimal string.
fn increment(text: &mut Vec<u8>) {
    for c in text.iter_mut().rev() {
        match *c {
            b'.' => {}
            b'9' => *c = b'0',
            _ => {
                *c += 1;
                return;
            }
        }
    }
    text.insert(0, b'1');
}

/// A natural number of any size, least significant word first.
struct Natural {
    words: Vec<u32>,
}

impl Natural {
    fn from_u64(x: u64) -> Self {
        Self {
            words: vec![x as u32, (x >> 32) as u32],
        }
    }

    fn is_zero(&self) -> bool {
        self.words.iter().all(|&w| w == 0)
    }

    fn shift_left(&mut self, bits: usize) {
        let shift = bits % 32;
        let mut carry = 0;
        for word in &mut self.words {
            let wide = (u64::from(*word) << shift) | carry;
            *word = wide as u32;
            carry = wide >> 32;
        }
        self.words.push(carry as u32);
        self.words.splice(0..0, std::iter::repeat_n(0, bits / 32));
    }

    fn multiply_by_ten(&mut self) {
        let mut carry = 0;
        for word in &mut self.words {
            let wide = u64::from(*word) * 10 + carry;
            *word = wide as u32;
            carry = wide >> 32;
        }
        if carry != 0 {
            self.words.push(carry as u32);
        }
    }

    /// Removes everything from bit `bits` on and returns it, shifted down.
    fn split_high(&mut self, bits: usize) -> Self {
        let first = bits / 32;
        let shift = bits % 32;
        let mut high = Vec::new();
        for i in first..self.words.len() {
            let low = u64::from(self.words[i]);
            let next = self.words.get(i + 1).map_or(0, |&w| u64::from(w));
            high.push((((next << 32) | low) >> shift) as u32);
        }
        self.words.truncate(first + 1);
        if let Some(word) = self.words.get_mut(first) {
            *word &= ((1_u64 << shift) - 1) as u32;
        }
        Self { words: high }
    }

    fn to_decimal(&self) -> Vec<u8> {
        let mut words = self.words.clone();
        let mut reversed = Vec::new();
        while words.iter().any(|&w| w != 0) {
            let mut rest = 0;
            for word in words.iter_mut().rev() {
                let wide = (rest << 32) | u64::from(*word);
                *word = (wide / 10) as u32;
                rest = wide % 10;
            }
            reversed.push(b'0' + rest as u8);
        }
        if reversed.is_empty() {
            reversed.push(b'0');
        }
        reversed.reverse();
        reversed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_strings() {
        for (x, digits, down, up) in [
            (0.0, 2, "0.00", "0.00"),
            (-0.0, 2, "0.00", "0.00"),
            (1.0, 0, "1", "1"),
            (0.999, 2, "0.99", "1.00"),
            (-0.001, 2, "-0.01", "0.00"),
            (9.99, 1, "9.9", "10.0"),
            (-9.99, 1, "-10.0", "-9.9"),
            (0.1, 20, "0.10000000000000000555", "0.10000000000000000556"),
            (
                1e22,
                1,
                "10000000000000000000000.0",
                "10000000000000000000000.0",
            ),
            (f64::from_bits(1), 3, "0.000", "0.001"),
            (f64::INFINITY, 3, "inf", "inf"),
            (3.811_5, 4, "3.8115", "3.8116"),
        ] {
            assert_eq!(format_down(x, digits), down, "{x} down");
            assert_eq!(format_up(x, digits), up, "{x} up");
        }
        assert_eq!(format_down(f64::NAN, 1), "NaN");
    }

    proptest! {
        /// The standard library prints the whole expansion when asked for 1,074
        /// places; cutting that string is the reference.
        #[test]
        fn agrees_with_the_whole_expansion(bits in any::<u64>(), digits in 0_usize..40) {
            let x = f64::from_bits(bits & !(1 << 63));
            prop_assume!(x.is_finite());
            let whole = format!("{x:.1074}");
            let point = whole.find('.').unwrap();
            let cut = if digits == 0 { &whole[..point] } else { &whole[..=point + digits] };
            prop_assert_eq!(format_down(x, digits), cut);
            let exact = whole[cut.len()..].bytes().all(|c| c == b'0' || c == b'.');
            prop_assert_eq!(format_up(x, digits) == cut, exact);
            let mirrored = format_up(-x, digits);
            prop_assert_eq!(mirrored.trim_start_matches('-'), cut);
        }
    }
}
