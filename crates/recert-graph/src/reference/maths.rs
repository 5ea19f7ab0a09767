//! Functions of one or two numbers, in float64.
//!
//! `libm` computes them in the same way on every platform. Its errors are below
//! one unit in the last place of float64, so that a result rounded to a narrower
//! type is the correctly rounded one in all but about one case in 2^28.

/// The greater number; NaN if either is NaN.
pub(super) fn max(a: f64, b: f64) -> f64 {
    if a.is_nan() || a > b { a } else { b }
}

/// The lesser number; NaN if either is NaN.
pub(super) fn min(a: f64, b: f64) -> f64 {
    if a.is_nan() || a < b { a } else { b }
}

/// -1, 0 or 1 as the number is negative, zero or positive; NaN stays.
pub(super) fn sign(x: f64) -> f64 {
    if x > 0.0 {
        1.0
    } else if x < 0.0 {
        -1.0
    } else {
        x
    }
}

pub(super) fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 {
        1.0 / (1.0 + libm::exp(-x))
    } else {
        let e = libm::exp(x);
        e / (1.0 + e)
    }
}

/// `log(1 + exp(x))`, without overflow.
pub(super) fn softplus(x: f64) -> f64 {
    max(x, 0.0) + libm::log1p(libm::exp(-x.abs()))
}

/// `slope x` below zero.
pub(super) fn leaky(x: f64, slope: f64) -> f64 {
    if x < 0.0 { slope * x } else { x }
}

/// `x` above the threshold, else 0; NaN stays.
pub(super) fn above(x: f64, threshold: f64) -> f64 {
    if x <= threshold { 0.0 } else { x }
}

/// `alpha (exp(x) - 1)` below zero.
pub(super) fn elu(x: f64, alpha: f64) -> f64 {
    if x < 0.0 { alpha * libm::expm1(x) } else { x }
}

pub(super) fn celu(x: f64, alpha: f64) -> f64 {
    max(x, 0.0) + min(alpha * libm::expm1(min(x, 0.0) / alpha), 0.0)
}

pub(super) fn hard_sigmoid(x: f64, alpha: f64, beta: f64) -> f64 {
    clip(alpha * x + beta, 0.0, 1.0)
}

pub(super) fn gelu(x: f64) -> f64 {
    0.5 * x * (1.0 + libm::erf(x * std::f64::consts::FRAC_1_SQRT_2))
}

/// Hendrycks and Gimpel's approximation of [`gelu`].
pub(super) fn gelu_tanh(x: f64) -> f64 {
    let scale = (2.0 / std::f64::consts::PI).sqrt();
    0.5 * x * (1.0 + libm::tanh(scale * (x + 0.044_715 * x * x * x)))
}

pub(super) fn shrink(x: f64, bias: f64, lambda: f64) -> f64 {
    if x < -lambda {
        x + bias
    } else if x > lambda {
        x - bias
    } else if x.is_nan() {
        x
    } else {
        0.0
    }
}

/// `high` where the bounds cross, as ONNX says; NaN stays.
pub(super) fn clip(x: f64, low: f64, high: f64) -> f64 {
    min(max(x, low), high)
}

/// The remainder with the sign of the divisor, as Python's `%`.
pub(super) fn floor_mod(a: f64, b: f64) -> f64 {
    let rest = a % b;
    if rest != 0.0 && (rest < 0.0) != (b < 0.0) {
        rest + b
    } else {
        rest
    }
}
