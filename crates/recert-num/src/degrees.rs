//! Sine and cosine of an angle in degrees, enclosed.
//!
//! Each function returns `(low, high)` with `low <= exact <= high` for the exact sine or cosine
//! of the `f64` that it is given, read as degrees. For `|t| <= MAX_DEGREES`, `high - low` is at
//! most [`DEGREES_SLACK`]; beyond, and for a NaN, the enclosure is `(-1, 1)`.
//!
//! **Proof.** `t` is reduced to `t = 90 q + d` with `|d| <= 45 (1 + 2^-50)`: the remainder by 360
//! is exact in IEEE 754, and so is the subtraction of `90 q` afterwards (for `q = 0` trivially;
//! else the remainder is at least 44 in size, so that it and the difference, below 64 in size,
//! are multiples of `2^-47`, and every such multiple below `2^6` is an `f64`). In radians, `d`
//! lies between its products with the two neighbouring `f64`s that enclose `pi/180`, rounded
//! outward. For `0 <= x < 1` the alternating series of `sin x / x` and `cos x` are evaluated by
//! Horner's rule in outward-rounded intervals, `S_k = 1 - x^2 S_(k+1) / ((2k) (2k + 1))`; what is
//! cut off is an alternating series with falling terms that begins with 1, so it lies in
//! `[0, 1]`, where the recurrence starts. The sine rises and the cosine falls on `[0, 1]`, so the
//! ends of the interval of radians suffice. The quadrant `q` only exchanges and negates.
//!
//! ```
//! use recert_num::degrees::{cos, sin};
//! let (low, high) = sin(30.0);
//! assert!(low <= 0.5 && 0.5 <= high && high - low <= recert_num::degrees::DEGREES_SLACK);
//! assert_eq!(cos(90.0), (0.0, 0.0));
//! ```

use crate::directed::{div_down, div_up, mul_down, mul_up, sub_down, sub_up};

/// The largest angle in size, in degrees, for which the enclosures are tight.
pub const MAX_DEGREES: f64 = 1e6;

/// The largest width of an enclosure, absolute: eight ulps of 1.
pub const DEGREES_SLACK: f64 = 8.0 * f64::EPSILON / 2.0;

/// The two neighbouring `f64`s around `pi/180` = 0.0174532925199432957692..., the radians of a
/// degree. The lower one lies 2.9e-19 below it; their distance is 3.5e-18.
pub const RADIANS: (f64, f64) = (LOWER_RADIANS, LOWER_RADIANS.next_up());

const LOWER_RADIANS: f64 = 0.017_453_292_519_943_295;

/// The number of steps of the recurrence: `x^22 / 22!` is below 1e-21 for `x < 1`.
const STEPS: u32 = 10;

/// Encloses `sin t`, `t` in degrees. See the [module](self).
pub fn sin(t: f64) -> (f64, f64) {
    match reduced(t) {
        None => (-1.0, 1.0),
        Some((0, d)) => sine(d),
        Some((1, d)) => cosine(d),
        Some((2, d)) => negated(sine(d)),
        Some((_, d)) => negated(cosine(d)),
    }
}

/// Encloses `cos t`, `t` in degrees. See the [module](self).
pub fn cos(t: f64) -> (f64, f64) {
    match reduced(t) {
        None => (-1.0, 1.0),
        Some((0, d)) => cosine(d),
        Some((1, d)) => negated(sine(d)),
        Some((2, d)) => negated(cosine(d)),
        Some((_, d)) => sine(d),
    }
}

/// The quadrant and the exact rest of an angle: `t = 90 (q + 4 n) + d`.
fn reduced(t: f64) -> Option<(u8, f64)> {
    if t.is_nan() || t.abs() > MAX_DEGREES {
        return None;
    }
    let rest = t % 360.0;
    let quarter = (rest / 90.0).round();
    let quadrant = (quarter as i32).rem_euclid(4) as u8;
    Some((quadrant, rest - 90.0 * quarter))
}

fn negated((low, high): (f64, f64)) -> (f64, f64) {
    (-high, -low)
}

/// `sin` for `|d|` up to 46 degrees.
fn sine(d: f64) -> (f64, f64) {
    if d < 0.0 {
        return negated(sine(-d));
    }
    let low = mul_down(d, RADIANS.0);
    let high = mul_up(d, RADIANS.1);
    (
        mul_down(low, series(low, 1).0),
        mul_up(high, series(high, 1).1).min(1.0),
    )
}

/// `cos` for `|d|` up to 46 degrees.
fn cosine(d: f64) -> (f64, f64) {
    let d = d.abs();
    let low = mul_down(d, RADIANS.0);
    let high = mul_up(d, RADIANS.1);
    (series(high, 0).0, series(low, 0).1.min(1.0))
}

/// Encloses `1 - x^2/((o+1)(o+2)) + x^4/((o+1)(o+2)(o+3)(o+4)) - ..` for `0 <= x < 1`: the
/// cosine for `o = 0`, `sin x / x` for `o = 1`.
fn series(x: f64, offset: u32) -> (f64, f64) {
    let square = (mul_down(x, x), mul_up(x, x));
    let (mut low, mut high) = (0.0, 1.0);
    for step in (1..=STEPS).rev() {
        let divisor = f64::from((2 * step - 1 + offset) * (2 * step + offset));
        (low, high) = (
            sub_down(1.0, div_up(mul_up(square.1, high), divisor)),
            sub_up(1.0, div_down(mul_down(square.0, low), divisor)),
        );
    }
    (low, high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Exact = (f64, f64);

    /// Angle, sine and cosine as unevaluated sums, from 60 digits (Python's `decimal`, Taylor
    /// series of the exact value of the `f64`).
    #[rustfmt::skip]
    #[expect(
        clippy::unreadable_literal, clippy::approx_constant, clippy::excessive_precision,
        reason = "the digits are as they were printed"
    )]
    const ORACLE: [(f64, Exact, Exact); 20] = [
        (0.25, (0.004363309284746571, -2.443010228446226e-19), (0.9999904807207345, -3.691025998319318e-18)),
        (1.0, (0.01745240643728351, 1.1662166393407661e-18), (0.9998476951563913, -3.0420500034710914e-17)),
        (7.3, (0.12706460860135046, 1.2131615272921412e-17), (0.9918944425900297, -3.6584867721032934e-17)),
        (29.999, (0.49998488492914445, -4.214947824470823e-18), (0.866034130298795, 2.771206379024395e-17)),
        (30.0, (0.5, 0.0), (0.8660254037844386, 5.0175421109034514e-17)),
        (44.999999, (0.707106768845206, -4.442032743324837e-18), (0.7071067935278889, 2.5438964885262334e-17)),
        (45.0, (0.7071067811865476, -4.833646656726457e-17), (0.7071067811865476, -4.833646656726457e-17)),
        (45.000001, (0.7071067935278889, 2.5438964885262334e-17), (0.707106768845206, -4.442032743324837e-18)),
        (59.5, (0.8616291604415257, 3.5516310672310325e-17), (0.5075383629607042, -3.4591705863897243e-17)),
        (77.0, (0.9743700647852352, -1.734583625035923e-17), (0.224951054343865, -5.375365318028275e-18)),
        (89.99, (0.9999999847691291, -5.2856736235648654e-17), (0.0001745329243134261, -5.59820594658633e-22)),
        (123.456, (0.8343094333148066, 7.975725155281954e-19), (-0.5512964442855824, -3.573148907403577e-17)),
        (180.5, (-0.008726535498373935, -2.8819133034582883e-19), (-0.9999619230641713, 2.0945635174834508e-17)),
        (271.25, (-0.9997620270799091, 4.012791920140885e-17), (0.02181488503456112, 1.3791460056069128e-18)),
        (359.0, (-0.01745240643728351, -1.1662166393407661e-18), (0.9998476951563913, -3.0420500034710914e-17)),
        (1e-9, (1.7453292519943298e-11, -1.1266644549866197e-27), (1.0, -1.5230870989335433e-22)),
        (-0.1, (-0.001745328365898309, 9.829358964865576e-20), (0.9999984769132877, 6.078279724601492e-18)),
        (-30.0, (-0.5, 0.0), (0.8660254037844386, 5.0175421109034514e-17)),
        (-100.1, (-0.9845031799744367, 5.411711446328545e-17), (-0.175366726091987, -1.1882028397493375e-17)),
        (-359.99, (0.00017453292431317805, 1.1591664595682193e-20), (0.9999999847691291, -5.281344749690535e-17)),
    ];

    fn assert_encloses((low, high): (f64, f64), (nearest, rest): Exact, t: f64) {
        assert!(low - nearest <= rest, "{low} is above, at {t}");
        assert!(high - nearest >= rest, "{high} is below, at {t}");
        assert!(high - low <= DEGREES_SLACK, "{low} to {high} at {t}");
    }

    #[test]
    fn encloses_sixty_digits() {
        for (t, exact_sine, exact_cosine) in ORACLE {
            assert_encloses(sin(t), exact_sine, t);
            assert_encloses(cos(t), exact_cosine, t);
        }
    }

    #[test]
    fn multiples_of_a_right_angle_are_exact() {
        for (t, sine, cosine) in [
            (0.0, 0.0, 1.0),
            (90.0, 1.0, 0.0),
            (-90.0, -1.0, 0.0),
            (180.0, 0.0, -1.0),
            (270.0, -1.0, 0.0),
            (720.0, 0.0, 1.0),
        ] {
            assert_eq!(sin(t), (sine, sine), "sine of {t}");
            assert_eq!(cos(t), (cosine, cosine), "cosine of {t}");
        }
        for t in [f64::NAN, f64::INFINITY, -2e6] {
            assert_eq!((sin(t), cos(t)), ((-1.0, 1.0), (-1.0, 1.0)));
        }
    }

    proptest! {
        /// `sin^2 + cos^2 = 1`, and whole degrees repeat exactly after a turn, but half way between
        /// two right angles, where the turn decides which of them is subtracted.
        #[test]
        fn identities_hold(t in -360.0..360.0_f64, whole in -360_i32..360) {
            let ((a, b), (c, d)) = (sin(t), cos(t));
            prop_assert!(b - a <= DEGREES_SLACK && d - c <= DEGREES_SLACK);
            let least = |a: f64, b: f64| if a <= 0.0 && b >= 0.0 { 0.0 } else { a.abs().min(b.abs()) };
            let most = |a: f64, b: f64| a.abs().max(b.abs());
            prop_assert!(least(a, b).powi(2) + least(c, d).powi(2) <= 1.0 + f64::EPSILON);
            prop_assert!(most(a, b).powi(2) + most(c, d).powi(2) >= 1.0 - f64::EPSILON);
            let half_way = whole.rem_euclid(90) == 45;
            let whole = f64::from(whole);
            let ((a, b), (c, d)) = (sin(whole), sin(whole + 360.0));
            prop_assert!((a, b) == (c, d) || half_way && a <= d && c <= b);
        }
    }
}
