//! ReLU: exact where its argument has one sign, the chord above and a line through the origin
//! below elsewhere.

use recert_num::directed::{mul_down, mul_up, sub_up};

use super::{Line, Pair};

/// `max(x, 0)`, and NaN for NaN.
pub(crate) fn value(x: f64) -> f64 {
    if x < 0.0 { 0.0 } else { x }
}

/// The lines on `[l, u]`. The line above has the slope `s = u / (u - l)` and the offset
/// `max(-s l, u - s u)`: a convex function lies below a line where it does so at both ends.
/// The line below has the slope 1 where `u > -l`, else 0.
pub(crate) fn pair(l: f64, u: f64) -> Pair {
    let line = |slope, offset| Line { slope, offset };
    let same = |line| Pair {
        lower: line,
        upper: line,
    };
    if l >= 0.0 && u >= 0.0 {
        return same(line(1.0, 0.0));
    }
    if l <= 0.0 && u <= 0.0 {
        return same(line(0.0, 0.0));
    }
    if !(l < 0.0 && u > 0.0) {
        return same(line(f64::NAN, f64::NAN));
    }
    let slope = u / (u - l);
    let offset = mul_up(-slope, l).max(sub_up(u, mul_down(slope, u)));
    let below = if u > -l { 1.0 } else { 0.0 };
    Pair {
        lower: line(below, 0.0),
        upper: line(slope, offset),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Nonlinearity;
    use super::super::tests::{INTERVALS, check};
    use super::*;

    #[test]
    fn lines_enclose() {
        for (l, u) in INTERVALS {
            check(&Nonlinearity::Relu, l, u, |x| (value(x), value(x)));
        }
        let pair = pair(-1.0, 3.0);
        assert_eq!(
            pair.upper,
            Line {
                slope: 0.75,
                offset: 0.75
            }
        );
        assert_eq!(
            pair.lower,
            Line {
                slope: 1.0,
                offset: 0.0
            }
        );
    }
}
