//! Whole numbers as people write them.

use crate::{Error, ErrorKind, Result};

/// Reads a whole number, which may be in scientific notation: `100000`, `1e5`,
/// `2.5e4`. What is not whole, or above 2^64 - 1, is refused, not rounded.
///
/// # Errors
/// [`ErrorKind::Parameter`].
///
/// ```
/// use recert::job::whole;
///
/// assert_eq!(whole("1e5")?, 100_000);
/// assert_eq!(whole("2.5e4")?, 25_000);
/// assert!(whole("2.5").is_err() && whole("1e-3").is_err());
/// # Ok::<(), recert::Error>(())
/// ```
pub fn whole(text: &str) -> Result<u64> {
    exact(text.trim()).ok_or_else(|| {
        let message = format!("'{text}' is not a whole number, such as 100000 or 1e5");
        Error::new(ErrorKind::Parameter, message)
    })
}

fn exact(text: &str) -> Option<u64> {
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let (mantissa, exponent) = text.split_once(['e', 'E'])?;
    let (before, after) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{before}{after}");
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    // Zeros at the end may stand behind the point: 1.50e1 is 15.
    let significant = digits.trim_end_matches('0');
    let zeros = (digits.len() - significant.len()) as i64;
    let number: u64 = if significant.is_empty() {
        0
    } else {
        significant.parse().ok()?
    };
    let exponent: i32 = exponent
        .strip_prefix('+')
        .unwrap_or(exponent)
        .parse()
        .ok()?;
    let shift = i64::from(exponent) - after.len() as i64 + zeros;
    if number == 0 {
        return Some(0);
    }
    number.checked_mul(10_u64.checked_pow(u32::try_from(shift).ok()?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_read_exactly_or_not_at_all() {
        for (text, number) in [
            ("0", 0),
            ("007", 7),
            ("1e5", 100_000),
            ("1E+5", 100_000),
            ("1.5e3", 1500),
            ("1.50e1", 15),
            ("150e-1", 15),
            ("0e9", 0),
            ("18446744073709551615", u64::MAX),
            ("1.8446744073709551615e19", u64::MAX),
        ] {
            assert_eq!(whole(text).unwrap(), number, "{text}");
        }
        for text in [
            "",
            "e",
            "e5",
            "1e",
            "1.5",
            "1.5e0",
            "1e-1",
            "-1",
            "-1e3",
            "1e20",
            "2e19",
            "1e99999999999",
            "1_000",
            "1,000",
            "0x10",
            "NaN",
            "inf",
            "1e5.0",
            ".e3",
        ] {
            assert!(whole(text).is_err(), "{text}");
        }
    }
}
