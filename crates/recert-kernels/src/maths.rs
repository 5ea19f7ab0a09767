//! Functions of sixteen numbers at a time, each by one order of operations on
//! every processor, with its error.
//!
//! Tests compare them with float64 over their whole domain. Where the
//! argument is NaN, so is the result.

use crate::simd::{FloatKernel, Floats, Isa, LANES, Lanes, Several, Vectors};

/// `1.5 2^23`: added to a number below 2^22, it leaves the nearest integer in
/// the last bits.
const ROUND: f32 = 12_582_912.0;

/// The negative logarithm of 2 in two parts, the first one of few bits, whose
/// products with the integers that occur are exact.
const MINUS_LN_2: [f32; 2] = [-0.693_359_4, 2.121_944_4e-4];

/// `(exp(x) - 1 - x) / x^2` for `|x| <= ln(2) / 2`, the least power first
/// (Moshier, *Cephes*, expf).
const EXP: [f32; 6] = [
    5e-1,
    1.666_666_5e-1,
    4.166_579_6e-2,
    8.333_452e-3,
    1.398_199_9e-3,
    1.987_569_1e-4,
];

/// Below, [`exp`] is 0; the true value is under 1.7e-38.
const EXP_LEAST: f32 = -87.0;

/// The error of [`exp`] from [`EXP_LEAST`] on, as a part of the value.
#[cfg(test)]
const EXP_ERROR: f64 = 1.5 / (1 << 24) as f64;

/// `exp(x)` of `x <= 0`, to within 1.5 2^-24 of it; below -87, 0.
#[inline(always)]
pub(crate) fn exp<S: Vectors>(simd: S, x: S::V) -> S::V {
    let least = simd.splat(EXP_LEAST);
    let bounded = simd.max(least, x);
    let round = simd.splat(ROUND);
    let shifted = simd.fma(bounded, simd.splat(std::f32::consts::LOG2_E), round);
    let n = simd.sub(shifted, round);
    let rest = simd.fma(n, simd.splat(MINUS_LN_2[0]), bounded);
    let rest = simd.fma(n, simd.splat(MINUS_LN_2[1]), rest);
    let tail = polynomial(simd, &EXP, rest);
    let value = simd.fma(tail, simd.mul(rest, rest), rest);
    let value = simd.add(value, simd.splat(1.0));
    let value = simd.mul(value, simd.power_of_two(shifted));
    simd.pick(x, least, simd.splat(0.0), value)
}

/// `erf(x) / x - 1` as a polynomial in `x^2`, for `|x| < 1`, the least power
/// first. This and the next were fitted to have the least largest error (by
/// Lawson's iteration, in float64), then rounded.
const ERF: [f32; 7] = [
    1.283_791_7e-1,
    -3.761_262_6e-1,
    1.128_36e-1,
    -2.685_444_4e-2,
    5.189_535_7e-3,
    -8.020_842e-4,
    7.889_123e-5,
];

/// `ln(1 - erf(x))` for `1 <= x <= 4`.
const LN_ERFC: [f32; 9] = [
    2.043_570_4e-4,
    -1.129_661_1,
    -6.330_396_5e-1,
    -1.086_389_6e-1,
    2.537_352e-2,
    -4.282_365_6e-3,
    4.637_828_7e-4,
    -2.531_393_9e-5,
    2.512_639_6e-7,
];

/// The error of [`erf`], as a part of the value.
#[cfg(test)]
const ERF_ERROR: f64 = 2.0 / (1 << 23) as f64;

/// `erf(x)`, to within 2^-22 of it, which is odd exactly.
#[inline(always)]
pub(crate) fn erf<S: Vectors>(simd: S, x: S::V) -> S::V {
    let (zero, one) = (simd.splat(0.0), simd.splat(1.0));
    let square = simd.mul(x, x);
    let near = simd.fma(polynomial(simd, &ERF, square), x, x);
    let size = simd.max(simd.sub(zero, x), x);
    // NaN stays: it is the second one.
    let bounded = simd.min(simd.splat(4.0), size);
    let far = simd.sub(one, exp(simd, polynomial(simd, &LN_ERFC, bounded)));
    let far = simd.pick(x, zero, simd.sub(zero, far), far);
    simd.pick(size, one, near, far)
}

/// `x Phi(x)`, as `(x / 2) (1 + erf(x / sqrt(2)))`: to within 2^-22 of `|x|`,
/// and of the value where `x > 0`.
#[inline(always)]
pub(crate) fn gelu<S: Vectors>(simd: S, x: S::V) -> S::V {
    let scaled = simd.mul(x, simd.splat(std::f32::consts::FRAC_1_SQRT_2));
    let sum = simd.add(simd.splat(1.0), erf(simd, scaled));
    simd.mul(simd.mul(x, simd.splat(0.5)), sum)
}

/// `1 / (1 + exp(-x))`, to within 2^-22 of it, and 0 below -87.
#[inline(always)]
pub(crate) fn sigmoid<S: Vectors>(simd: S, x: S::V) -> S::V {
    let (zero, one) = (simd.splat(0.0), simd.splat(1.0));
    let negative = simd.sub(zero, x);
    // NaN stays: it is the second one.
    let power = exp(simd, simd.min(negative, x));
    let sum = simd.add(one, power);
    simd.div(simd.pick(x, zero, power, one), sum)
}

/// `x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2`, Hendrycks and Gimpel's
/// approximation of [`gelu`], as `x sigmoid(..)`.
#[inline(always)]
pub(crate) fn gelu_tanh<S: Vectors>(simd: S, x: S::V) -> S::V {
    /// `2 sqrt(2 / pi)`, and the same times 0.044715.
    const FACTORS: [f32; 2] = [1.595_769, 7.135_481_6e-2];
    let square = simd.mul(x, x);
    let factor = simd.fma(square, simd.splat(FACTORS[1]), simd.splat(FACTORS[0]));
    simd.mul(x, sigmoid(simd, simd.mul(factor, x)))
}

/// A polynomial, the least power first, by Horner's rule.
#[inline(always)]
fn polynomial<S: Vectors>(simd: S, coefficients: &[f32], x: S::V) -> S::V {
    let mut powers = coefficients.iter().rev();
    let mut sum = simd.splat(powers.next().copied().unwrap_or(0.0));
    for &coefficient in powers {
        sum = simd.fma(sum, x, simd.splat(coefficient));
    }
    sum
}

/// The sum of all lanes: of the first eight and the last eight, of these the
/// first four and the last four, and so on.
#[inline(always)]
pub(crate) fn total(mut lanes: Lanes) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] += lanes[lane + half];
        }
        half /= 2;
    }
    lanes[0]
}

/// A function of numbers, for vectors of any size.
pub(crate) trait Function: Copy {
    /// Its implementations must be inlined, to be compiled for the instruction set at all.
    fn of<S: Vectors>(self, simd: S, x: S::V) -> S::V;
}

/// [`exp`].
#[derive(Clone, Copy)]
pub(crate) struct Exp;

impl Function for Exp {
    #[inline(always)]
    fn of<S: Vectors>(self, simd: S, x: S::V) -> S::V {
        exp(simd, x)
    }
}

/// Vectors that a function is computed of at a time, where there are registers for them: each is
/// a long chain of operations, which wait for one another.
const TOGETHER: usize = 4;

/// Applies a function to every number.
#[inline(always)]
pub(crate) fn map<S: Floats>(simd: S, function: impl Function, values: &mut [Lanes]) {
    let mut rest = values;
    if S::TILE.most_blocks() > 1 {
        let (whole, others) = rest.as_chunks_mut::<TOGETHER>();
        for lanes in whole {
            together(simd, function, lanes);
        }
        rest = others;
        if rest.len() > 1 {
            let mut lanes = [[0.0; LANES]; TOGETHER];
            lanes[..rest.len()].copy_from_slice(rest);
            together(simd, function, &mut lanes);
            rest.copy_from_slice(&lanes[..rest.len()]);
            return;
        }
    }
    for lanes in rest {
        *lanes = simd.lanes(function.of(simd, simd.load(lanes)));
    }
}

/// As [`map`], of so many vectors.
#[inline(always)]
fn together<S: Floats>(simd: S, function: impl Function, values: &mut [Lanes; TOGETHER]) {
    let mut x = [simd.splat(0.0); TOGETHER];
    for (x, lanes) in x.iter_mut().zip(values.iter()) {
        *x = simd.load(lanes);
    }
    let made = function.of(Several(simd), x);
    for (lanes, made) in values.iter_mut().zip(made) {
        *lanes = simd.lanes(made);
    }
}

/// A function of sixteen numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Smooth {
    Erf,
    Gelu,
    GeluTanh,
}

impl Function for Smooth {
    #[inline(always)]
    fn of<S: Vectors>(self, simd: S, x: S::V) -> S::V {
        match self {
            Self::Erf => erf(simd, x),
            Self::Gelu => gelu(simd, x),
            Self::GeluTanh => gelu_tanh(simd, x),
        }
    }
}

impl Smooth {
    /// Of one number, to the same bits.
    pub(crate) fn one(self, x: f32) -> f32 {
        struct One<'a>(Smooth, &'a mut f32);
        impl FloatKernel for One<'_> {
            #[inline(always)]
            fn run<S: Floats>(self, simd: S) {
                *self.1 = simd.lanes(self.0.of(simd, simd.splat(*self.1)))[0];
            }
        }
        let mut value = x;
        Isa::best().run_floats(One(self, &mut value));
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a function makes of many numbers.
    struct Each<'a, F>(F, &'a mut [f32]);

    impl<F: Function> FloatKernel for Each<'_, F> {
        #[inline(always)]
        fn run<S: Floats>(self, simd: S) {
            map(simd, self.0, self.1.as_chunks_mut().0);
        }
    }

    #[derive(Clone, Copy)]
    struct Sigmoid;
    impl Function for Sigmoid {
        #[inline(always)]
        fn of<S: Vectors>(self, simd: S, x: S::V) -> S::V {
            sigmoid(simd, x)
        }
    }

    /// Every 257th float32 from `first` to `last`, both of one sign.
    fn floats(first: f32, last: f32) -> Vec<f32> {
        let (a, b) = (first.to_bits(), last.to_bits());
        let bits = (a.min(b)..=a.max(b)).step_by(257);
        let mut all: Vec<f32> = bits.map(f32::from_bits).collect();
        all.extend([first, last]);
        all.resize(all.len().next_multiple_of(LANES), first);
        all
    }

    /// Holds a function to `exact`, which gives a value and how far from it one
    /// may be, and every instruction set to every other.
    fn check(function: impl Function, inputs: &[f32], exact: impl Fn(f64) -> (f64, f64)) {
        let mut first: Option<Vec<f32>> = None;
        for isa in Isa::available() {
            let mut found = inputs.to_vec();
            isa.run_floats(Each(function, &mut found));
            let first = first.get_or_insert_with(|| found.clone());
            for ((&x, &y), &other) in inputs.iter().zip(&found).zip(first.iter()) {
                let (wanted, allowed) = exact(f64::from(x));
                let error = (f64::from(y) - wanted).abs();
                assert!(error <= allowed, "{x}: {y} is not {wanted} on {isa:?}");
                assert_eq!(y.to_bits(), other.to_bits(), "{x} on {isa:?}");
            }
        }
    }

    /// Half of the least float32 that is no subnormal number.
    const TINY: f64 = 6e-39;

    #[test]
    fn exp_is_the_exponential() {
        check(Exp, &floats(-1e-40, EXP_LEAST), |x| {
            let exact = libm::exp(x);
            (exact, exact * EXP_ERROR)
        });
        check(Exp, &floats(-87.000_01, -3e38), |_| (0.0, 0.0));
        check(
            Exp,
            &[0.0, -0.0, f32::NEG_INFINITY, -0.0, 0.0, 0.0, 0.0, 0.0].repeat(2),
            |x| (libm::exp(x), 0.0),
        );
    }

    #[test]
    fn erf_is_the_error_function() {
        for sign in [1.0, -1.0] {
            check(Smooth::Erf, &floats(sign * 1e-30, sign * 3e38), |x| {
                let exact = libm::erf(x);
                (exact, exact.abs() * ERF_ERROR)
            });
        }
        check(Smooth::Erf, &[f32::INFINITY; LANES], |_| (1.0, 0.0));
        check(Smooth::Erf, &[f32::NEG_INFINITY; LANES], |_| (-1.0, 0.0));
    }

    #[test]
    fn gelu_is_gelu() {
        let exact = |x: f64| 0.5 * x * (1.0 + libm::erf(x * std::f64::consts::FRAC_1_SQRT_2));
        for sign in [1.0, -1.0] {
            check(Smooth::Gelu, &floats(sign * 1e-30, sign * 1e30), |x| {
                let wanted = exact(x);
                let size = if x > 0.0 { wanted } else { x.abs() };
                (wanted, size * ERF_ERROR)
            });
        }
        let scale = (2.0 / std::f64::consts::PI).sqrt();
        let exact = |x: f64| 0.5 * x * (1.0 + libm::tanh(scale * (x + 0.044_715 * x * x * x)));
        for sign in [1.0, -1.0] {
            check(Smooth::GeluTanh, &floats(sign * 1e-30, sign * 100.0), |x| {
                (exact(x), x.abs() * ERF_ERROR)
            });
        }
    }

    #[test]
    fn sigmoid_is_the_logistic_function() {
        for (first, last) in [(1e-30, 3e38), (-1e-30, EXP_LEAST)] {
            check(Sigmoid, &floats(first, last), |x| {
                let exact = 1.0 / (1.0 + libm::exp(-x));
                (exact, exact * ERF_ERROR + TINY)
            });
        }
    }

    #[test]
    fn vectors_computed_together_are_those_computed_alone() {
        let all = floats(1e-30, 3e38);
        for isa in Isa::available() {
            // Whole fours, and every rest.
            for count in 1..10 {
                let values: Vec<f32> = (0..count * LANES)
                    .map(|i| -all[i * 9973 % all.len()])
                    .collect();
                let values: Vec<f32> = values.iter().map(|v| v.max(-100.0)).collect();
                for function in [Smooth::Erf, Smooth::Gelu, Smooth::GeluTanh] {
                    let mut found = values.clone();
                    isa.run_floats(Each(function, &mut found));
                    let wanted = values.iter().map(|&value| function.one(value).to_bits());
                    assert!(
                        found.iter().map(|v| v.to_bits()).eq(wanted),
                        "{isa:?} {function:?} {count}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_is_not_a_number_stays_so() {
        fn all(function: impl Function) {
            for isa in Isa::available() {
                let mut values = [f32::NAN; LANES];
                isa.run_floats(Each(function, &mut values));
                assert!(values.iter().all(|value| value.is_nan()), "{isa:?}");
            }
        }
        all(Exp);
        all(Sigmoid);
        all(Smooth::Erf);
        all(Smooth::Gelu);
        all(Smooth::GeluTanh);
    }

    #[test]
    fn lanes_are_added_up_in_pairs() {
        let lanes = std::array::from_fn(|lane| (1 << lane) as f32);
        assert_eq!(total(lanes), 65535.0);
    }
}
