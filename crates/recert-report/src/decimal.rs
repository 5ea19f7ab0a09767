//! Decimal texts with directed rounding: lower bounds down, upper bounds up.
//!
//! A binary floating-point number has a finite decimal expansion. It is
//! written out in full and then cut, so the direction holds without exception.

/// Writes `x` with `digits` decimals, never above `x`.
pub(crate) fn down(x: f64, digits: usize) -> String {
    directed(x, digits, false)
}

/// Writes `x` with `digits` decimals, never below `x`.
pub(crate) fn up(x: f64, digits: usize) -> String {
    directed(x, digits, true)
}

/// Writes `x` with `digits` significant digits or so, never below `x`.
///
/// Meant for probabilities, where 0.0000512 should not print as 0.0001.
pub(crate) fn up_significant(x: f64, digits: usize) -> String {
    let leading = if x > 0.0 && x < 1.0 {
        (-x.log10()).floor() as usize
    } else {
        0
    };
    up(x, (leading + digits).min(12))
}

fn directed(x: f64, digits: usize, upwards: bool) -> String {
    if !x.is_finite() {
        return x.to_string();
    }
    if x < 0.0 {
        let text = directed(-x, digits, !upwards);
        let zero = text.bytes().all(|byte| matches!(byte, b'0' | b'.'));
        return if zero { text } else { format!("-{text}") };
    }
    let exact = digits.max(exact_decimals(x));
    let full = format!("{:.exact$}", x.abs());
    let point = full.find('.').unwrap_or(full.len());
    let cut = (point + 1 + digits).min(full.len());
    let (kept, rest) = full.split_at(cut);
    let mut text = kept.trim_end_matches('.').as_bytes().to_vec();
    if upwards && rest.bytes().any(|digit| digit != b'0') {
        add_one_at_the_end(&mut text);
    }
    text.into_iter().map(char::from).collect()
}

/// How many decimals the exact expansion of a finite `x` needs at most.
fn exact_decimals(x: f64) -> usize {
    let exponent = (x.to_bits() >> 52) & 0x7ff;
    1075_usize
        .saturating_sub(exponent.max(1) as usize)
        .min(1074)
}

fn add_one_at_the_end(text: &mut Vec<u8>) {
    for digit in text.iter_mut().rev() {
        match *digit {
            b'.' => {}
            b'9' => *digit = b'0',
            _ => {
                *digit += 1;
                return;
            }
        }
    }
    text.insert(0, b'1');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rounds_in_the_direction_asked_for() {
        let cases = [
            (0.0, 3, "0.000", "0.000"),
            (0.5, 1, "0.5", "0.5"),
            (0.25, 1, "0.2", "0.3"),
            // The double nearest to 0.1 lies above 0.1, that of 0.3 below it.
            (0.1, 1, "0.1", "0.2"),
            (0.3, 1, "0.2", "0.3"),
            (0.999_96, 4, "0.9999", "1.0000"),
            (9.75, 0, "9", "10"),
            (99.99, 1, "99.9", "100.0"),
            (f64::from_bits(1), 2, "0.00", "0.01"),
            (1e300, 0, &format!("{:.0}", 1e300), &format!("{:.0}", 1e300)),
            (-0.25, 1, "-0.3", "-0.2"),
            (-0.01, 1, "-0.1", "0.0"),
        ];
        for (x, digits, low, high) in cases {
            assert_eq!(down(x, digits), low, "down({x}, {digits})");
            assert_eq!(up(x, digits), high, "up({x}, {digits})");
        }
    }

    #[test]
    fn keeps_the_leading_digits_of_small_bounds() {
        assert_eq!(up_significant(0.000_051_2, 2), "0.000052");
        assert_eq!(up_significant(0.044_1, 3), "0.0442");
        assert_eq!(up_significant(0.5, 3), "0.500");
        assert_eq!(up_significant(0.0, 3), "0.000");
        assert_eq!(up_significant(1.0, 3), "1.000");
    }

    proptest! {
        /// The oracle is integer arithmetic: numbers k / 2^30 below 2^13, three decimals.
        #[test]
        fn agrees_with_integer_arithmetic(k in 0_u64..1 << 43) {
            let x = k as f64 / (1_u64 << 30) as f64;
            let scaled = u128::from(k) * 1000;
            let floor = scaled >> 30;
            let ceiling = scaled.div_ceil(1 << 30);
            let text = |thousandths: u128| format!("{}.{:03}", thousandths / 1000, thousandths % 1000);
            prop_assert_eq!(down(x, 3), text(floor));
            prop_assert_eq!(up(x, 3), text(ceiling));
        }
    }
}
