//! Logarithms of rising factorials `(a)_x = a (a+1) .. (a+x-1)`, by the gamma
//! function: `ln (a)_x = ln Gamma(a+x) - ln Gamma(a)`.

use super::ball::Ball;
use super::dd::Dd;

/// Arguments are shifted to here or beyond before Stirling's series is used.
const SHIFTED: f64 = 64.0;

/// `B_2k / (2k (2k-1))` for k from 1 to 9, as quotients of whole numbers.
const STIRLING: [(f64, f64); 9] = [
    (1.0, 12.0),
    (-1.0, 360.0),
    (1.0, 1260.0),
    (-1.0, 1680.0),
    (1.0, 1188.0),
    (-691.0, 360_360.0),
    (1.0, 156.0),
    (-3617.0, 122_400.0),
    (43867.0, 244_188.0),
];

/// `ln (a)_x`; `a` from `1e-9` to `2e9` and `x` up to `2^40`.
pub(super) fn ln_rising(a: Dd, x: u64) -> Ball {
    if x == 0 {
        return Ball::ZERO;
    }
    let end = a.plus(Dd::new(x as f64));
    // The sum of a double-double and a whole number is rounded; its effect on
    // the logarithm is at most the relative error of the argument times the
    // argument times its digamma function, below ln(2^41) < 29.
    let moved = end.hi * super::dd::ERROR * 29.0;
    ln_gamma(end)
        .minus(ln_gamma(a))
        .plus(Ball::around_zero(moved))
}

/// `ln Gamma(z) - ln(2 pi)/2`, `z > 0`.
///
/// Below [`SHIFTED`], `ln Gamma(z) = ln Gamma(z + s) - ln(z (z+1) .. (z+s-1))`.
/// Beyond, Stirling's series `(z - 1/2) ln z - z + sum_k B_2k/(2k (2k-1)
/// z^(2k-1))`, whose error for real `z` is below the first term left out (Olver,
/// *Asymptotics and special functions*, chapter 8): `529.2/380 z^-19`, less than
/// `1e-34`.
fn ln_gamma(z: Dd) -> Ball {
    let mut at = z;
    let mut below = Dd::new(1.0);
    let mut steps = 0.0;
    while at.hi < SHIFTED {
        below = below.times(at);
        steps += 1.0;
        at = z.plus(Dd::new(steps));
    }
    let inverse = Dd::new(1.0).over(at);
    let square = inverse.times(inverse);
    let mut series = Dd::ZERO;
    for (above, under) in STIRLING.iter().rev() {
        let term = Dd::new(*above).over(Dd::new(*under));
        series = term.plus(square.times(series));
    }
    let series = series.times(inverse);
    let exact = |value: Dd| Ball::exact(value);
    let mut sum = exact(at.minus(Dd::new(0.5)))
        .times(exact(at).ln())
        .minus(exact(at))
        .plus(exact(series));
    if steps > 0.0 {
        sum = sum.minus(exact(below).ln());
    }
    // Roundings not counted by the balls: of `at` (its effect is its relative
    // error times z times the digamma function, below 22), of `at - 1/2` (times
    // ln z), of the series (below 1/700 in all) and of the product (two
    // operations a factor, each shifting its logarithm by as much).
    let ops = super::dd::ERROR;
    let rounding = at.hi * 22.0 * ops + at.hi * 22.0 * ops + ops + 2.0 * steps * ops;
    sum.plus(Ball::around_zero(rounding + 1e-34))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rising_factorials_are_products() {
        for (a, x) in [
            (1.0, 5_u64),
            (0.5, 1),
            (1e-9, 3),
            (12.5, 40),
            (250.25, 17),
            (63.999, 2),
            (1e9, 6),
        ] {
            let product = (0..x).fold(Dd::new(1.0), |p, i| {
                p.times(Dd::new(a).plus(Dd::new(i as f64)))
            });
            let off = ln_rising(Dd::new(a), x).minus(Ball::exact(product).ln());
            assert!(off.lower() <= 1e-27 && off.upper() >= -1e-27, "{a} {x}");
            assert!(off.upper() - off.lower() < 1e-17, "{a} {x}");
        }
    }

    #[test]
    fn large_ones_against_high_precision() {
        // mpmath, 50 digits: loggamma(a + x) - loggamma(a).
        for (a, x, value) in [
            (0.5, 100_000_u64, MPMATH[0]),
            (5000.5, 12_345, MPMATH[1]),
            (1e9, 1 << 30, MPMATH[2]),
        ] {
            let ball = ln_rising(Dd::new(a), x);
            let slack = value * 2.0 * f64::EPSILON;
            assert!(ball.lower() <= value + slack && ball.upper() >= value - slack);
            assert!(ball.upper() - ball.lower() <= value * 4.0 * f64::EPSILON);
        }
    }

    const MPMATH: [f64; 3] = [
        1_051_292.893_070_196,
        114_374.612_106_709_7,
        22_690_188_614.446_63,
    ];
}
