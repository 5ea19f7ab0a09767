//! Decimal strings that are exactly at most, or at least, an `f64`.
//!
//! An `f64` has a finite decimal expansion. It is written out in full and then
//! cut, so that the printed number and the `f64` compare as exact real numbers:
//! nothing is rounded to nearest on the way.

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
///
/// ```
/// use recert_num::format_up;
/// // The f64 nearest to 0.1 is 0.100000000000000005551...
/// assert_eq!(format_up(0.1, 2), "0.11");
/// assert_eq!(format_up(0.999, 2), "1.00");
/// ```
pub fn format_up(x: f64, digits: usize) -> String {
    format_directed(x, digits, true)
}

/// As [`format_up`], with about `digits` significant digits, of which at most
/// twelve stand after the point: a small probability keeps its leading digits.
///
/// ```
/// use recert_num::format_up_significant;
/// assert_eq!(format_up_significant(0.000_051_2, 2), "0.000052");
/// assert_eq!(format_up_significant(0.044_1, 3), "0.0442");
/// ```
pub fn format_up_significant(x: f64, digits: usize) -> String {
    let leading_zeros = if x > 0.0 && x < 1.0 {
        (-x.log10()).floor() as usize
    } else {
        0
    };
    format_up(x, (leading_zeros + digits).min(12))
}

fn format_directed(x: f64, digits: usize, up: bool) -> String {
    /// No `f64` has more digits after the point than the smallest one.
    const MOST: usize = 1074;
    if !x.is_finite() {
        return x.to_string();
    }
    let negative = x < 0.0;
    let mut text = format!("{:.*}", digits.max(MOST), x.abs());
    let point = text.len() - digits.max(MOST) - 1;
    let cut = text.split_off(if digits == 0 {
        point
    } else {
        point + 1 + digits
    });
    let exact = cut.bytes().all(|c| c == b'0' || c == b'.');
    // Cutting rounds the magnitude down; the other direction adds one unit.
    if !exact && up != negative {
        text = increment(&text);
    }
    let is_zero = text.bytes().all(|c| c == b'0' || c == b'.');
    if negative && !is_zero {
        text.insert(0, '-');
    }
    text
}

/// Adds one unit in the last place to a decimal string.
fn increment(text: &str) -> String {
    // The digits that the carry changes: a run of nines and the one before it.
    let kept = text.trim_end_matches(['9', '.']);
    let zeros = text[kept.len()..].replace('9', "0");
    match kept.char_indices().next_back() {
        Some((last, digit)) => {
            let digit = char::from(digit as u8 + 1);
            format!("{}{digit}{zeros}", &kept[..last])
        }
        None => format!("1{zeros}"),
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
            (0.25, 1, "0.2", "0.3"),
            (0.999_96, 4, "0.9999", "1.0000"),
            (9.75, 0, "9", "10"),
            (99.99, 1, "99.9", "100.0"),
            (-0.01, 1, "-0.1", "0.0"),
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

    #[test]
    fn small_bounds_keep_their_leading_digits() {
        assert_eq!(format_up_significant(0.5, 3), "0.500");
        assert_eq!(format_up_significant(0.0, 3), "0.000");
        assert_eq!(format_up_significant(1.0, 3), "1.000");
        assert_eq!(format_up_significant(1e-300, 3), "0.000000000001");
    }

    proptest! {
        /// The oracle is integer arithmetic on numbers k / 2^s.
        #[test]
        fn agrees_with_integer_arithmetic(k in 0_u64..1 << 53, s in 0_u32..80, digits in 0_u32..16) {
            let x = k as f64 / 2_f64.powi(s as i32);
            let scaled = u128::from(k) * 10_u128.pow(digits);
            let text = |units: u128| {
                let one = 10_u128.pow(digits);
                let (whole, part) = (units / one, units % one);
                if digits == 0 {
                    whole.to_string()
                } else {
                    format!("{whole}.{part:0width$}", width = digits as usize)
                }
            };
            let (floor, ceiling) = (text(scaled >> s), text(scaled.div_ceil(1 << s)));
            let digits = digits as usize;
            prop_assert_eq!(format_down(x, digits), &*floor);
            prop_assert_eq!(format_up(x, digits), &*ceiling);
            let minus = |text: String| {
                if text.bytes().any(|c| (b'1'..=b'9').contains(&c)) { format!("-{text}") } else { text }
            };
            prop_assert_eq!(format_down(-x, digits), minus(ceiling));
            prop_assert_eq!(format_up(-x, digits), minus(floor));
        }

        /// What is printed and parsed again is on the right side.
        #[test]
        fn every_number_is_between_its_strings(bits in any::<u64>(), digits in 0_usize..40) {
            let x = f64::from_bits(bits);
            prop_assume!(x.is_finite());
            prop_assert!(format_down(x, digits).parse::<f64>().unwrap() <= x);
            prop_assert!(format_up(x, digits).parse::<f64>().unwrap() >= x);
        }
    }
}
