//! Operators that compute each element from those in the same place.

use super::array::Array;
use super::maths;
use super::numbers::{
    Numbers, as_floats, floats, from_truths, integers, numbers, odd_float, rounded, saturated,
    wrapped,
};
use super::{Result, wrong};
use crate::{Binary, Compare, ElementType, Tensor, Unary, Variadic};

/// A function of every element.
pub(super) fn unary(function: Unary, x: &Tensor) -> Result<Tensor> {
    match (function, numbers(x)) {
        (Unary::IsNan, Numbers::Floats(x)) => from_truths(x.map(f64::is_nan)),
        (Unary::IsInf { negative, positive }, Numbers::Floats(x)) => from_truths(
            x.map(|v| (negative && v == f64::NEG_INFINITY) || (positive && v == f64::INFINITY)),
        ),
        (_, Numbers::Floats(array)) => {
            let result = array.map(|value| of_float(function, value));
            rounded(result, x.element())
        }
        (_, Numbers::Integers(array)) => {
            let result = array.data.iter().map(|&value| of_integer(function, value));
            let data = result
                .collect::<Option<_>>()
                .ok_or_else(|| wrong(format!("it is not defined on type {}", x.element())))?;
            wrapped(Array::new(array.shape, data), x.element())
        }
    }
}

fn of_float(function: Unary, x: f64) -> f64 {
    match function {
        Unary::Abs => x.abs(),
        Unary::Acos => libm::acos(x),
        Unary::Acosh => libm::acosh(x),
        Unary::Asin => libm::asin(x),
        Unary::Asinh => libm::asinh(x),
        Unary::Atan => libm::atan(x),
        Unary::Atanh => libm::atanh(x),
        Unary::Ceil => x.ceil(),
        Unary::Celu { alpha } => maths::celu(x, alpha.into()),
        Unary::Cos => libm::cos(x),
        Unary::Cosh => libm::cosh(x),
        Unary::Elu { alpha } => maths::elu(x, alpha.into()),
        Unary::Erf => libm::erf(x),
        Unary::Exp => libm::exp(x),
        Unary::Floor => x.floor(),
        Unary::Gelu { tanh: true } => maths::gelu_tanh(x),
        Unary::Gelu { tanh: false } => maths::gelu(x),
        Unary::HardSigmoid { alpha, beta } => maths::hard_sigmoid(x, alpha.into(), beta.into()),
        Unary::HardSwish => x * maths::hard_sigmoid(x, 1.0 / 6.0, 0.5),
        Unary::IsInf { .. } => f64::from(u8::from(x.is_infinite())),
        Unary::IsNan => f64::from(u8::from(x.is_nan())),
        Unary::LeakyRelu { alpha } => maths::leaky(x, alpha.into()),
        Unary::Log => libm::log(x),
        Unary::Mish => x * libm::tanh(maths::softplus(x)),
        Unary::Neg => -x,
        Unary::Not => f64::from(u8::from(x == 0.0)),
        Unary::Reciprocal => x.recip(),
        Unary::Relu => maths::max(x, 0.0),
        Unary::Round => x.round_ties_even(),
        Unary::Selu { alpha, gamma } => f64::from(gamma) * maths::elu(x, alpha.into()),
        Unary::Shrink { bias, lambd } => maths::shrink(x, bias.into(), lambd.into()),
        Unary::Sigmoid => maths::sigmoid(x),
        Unary::Sign => maths::sign(x),
        Unary::Sin => libm::sin(x),
        Unary::Sinh => libm::sinh(x),
        Unary::Softplus => maths::softplus(x),
        Unary::Softsign => x / (1.0 + x.abs()),
        Unary::Sqrt => x.sqrt(),
        Unary::Tan => libm::tan(x),
        Unary::Tanh => libm::tanh(x),
        Unary::ThresholdedRelu { alpha } => maths::above(x, alpha.into()),
    }
}

/// The functions that ONNX defines on integers; `None` for the others.
fn of_integer(function: Unary, x: i128) -> Option<i128> {
    Some(match function {
        Unary::Abs => x.abs(),
        Unary::Neg => -x,
        Unary::Not => i128::from(x == 0),
        Unary::Relu => x.max(0),
        Unary::Shrink { bias, lambd } => maths::shrink(x as f64, bias.into(), lambd.into()) as i128,
        Unary::Sign => x.signum(),
        _ => return None,
    })
}

/// A function of the elements of two tensors.
pub(super) fn binary(function: Binary, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let element = a.element();
    if function == Binary::Pow {
        return power(a, b);
    }
    match (numbers(a), numbers(b)) {
        (Numbers::Floats(a), Numbers::Floats(b)) => {
            rounded(a.zip(&b, |a, b| of_floats(function, a, b))?, element)
        }
        (Numbers::Integers(a), Numbers::Integers(b)) => {
            let result = a.zip(&b, |a, b| of_integers(function, a, b))?;
            let data = result.data.into_iter().collect::<Option<_>>();
            let data = data.ok_or_else(|| wrong("an integer is divided by zero"))?;
            wrapped(Array::new(result.shape, data), element)
        }
        _ => Err(mixed(a, b)),
    }
}

fn of_floats(function: Binary, a: f64, b: f64) -> f64 {
    match function {
        Binary::Add => a + b,
        Binary::Sub => a - b,
        Binary::Mul => a * b,
        Binary::Div => a / b,
        Binary::Mod { fmod: true } => a % b,
        Binary::Mod { fmod: false } => maths::floor_mod(a, b),
        Binary::Pow => libm::pow(a, b),
        Binary::PRelu => maths::leaky(a, b),
        Binary::And => f64::from(u8::from(a != 0.0 && b != 0.0)),
        Binary::Or => f64::from(u8::from(a != 0.0 || b != 0.0)),
        Binary::Xor => f64::from(u8::from((a != 0.0) != (b != 0.0))),
    }
}

/// `None` where the result is not defined, which is so only of division by zero.
fn of_integers(function: Binary, a: i128, b: i128) -> Option<i128> {
    Some(match function {
        Binary::Add => a + b,
        Binary::Sub => a - b,
        Binary::Mul => a.wrapping_mul(b),
        Binary::Div => a.checked_div(b)?,
        Binary::Mod { fmod: true } => a.checked_rem(b)?,
        Binary::Mod { fmod: false } => (a.checked_rem(b)? + b) % b,
        Binary::Pow => integer_power(a, b),
        Binary::PRelu if a < 0 => a.wrapping_mul(b),
        Binary::PRelu => a,
        Binary::And => a & b,
        Binary::Or => a | b,
        Binary::Xor => a ^ b,
    })
}

/// `Pow`: the result is of the base's type; the exponent may be of another.
fn power(base: &Tensor, exponent: &Tensor) -> Result<Tensor> {
    let element = base.element();
    match (numbers(base), numbers(exponent)) {
        (Numbers::Integers(a), Numbers::Integers(b)) => wrapped(a.zip(&b, integer_power)?, element),
        (Numbers::Integers(_), Numbers::Floats(b)) => {
            saturated(&as_floats(base).zip(&b, libm::pow)?, element)
        }
        (Numbers::Floats(a), _) => rounded(a.zip(&as_floats(exponent), libm::pow)?, element),
    }
}

/// Modulo 2^128; a fraction counts as 0.
fn integer_power(base: i128, exponent: i128) -> i128 {
    match u32::try_from(exponent) {
        Ok(exponent) => base.wrapping_pow(exponent),
        Err(_) => libm::pow(base as f64, exponent as f64) as i128,
    }
}

/// A function of the elements of any number of tensors.
pub(super) fn variadic(function: Variadic, inputs: &[&Tensor]) -> Result<Tensor> {
    let (first, rest) = inputs
        .split_first()
        .ok_or_else(|| wrong("it has no inputs"))?;
    let element = first.element();
    if !element.is_float() {
        let fold = |a: i128, b: i128| match function {
            Variadic::Sum | Variadic::Mean => a + b,
            Variadic::Max => a.max(b),
            Variadic::Min => a.min(b),
        };
        let mut result = integers(first)?;
        for input in rest {
            result = result.zip(&integers(input)?, fold)?;
        }
        return wrapped(result, element);
    }
    let fold = |a: f64, b: f64| match function {
        Variadic::Sum | Variadic::Mean => a + b,
        Variadic::Max => maths::max(a, b),
        Variadic::Min => maths::min(a, b),
    };
    let mut result = floats(first)?;
    for input in rest {
        result = result.zip(&floats(input)?, fold)?;
    }
    if function == Variadic::Mean {
        result = result.map(|sum| sum / inputs.len() as f64);
    }
    rounded(result, element)
}

/// A comparison; no number compares to NaN.
pub(super) fn compare(relation: Compare, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    fn holds<T: PartialOrd>(relation: Compare, a: &T, b: &T) -> bool {
        match relation {
            Compare::Equal => a == b,
            Compare::Less => a < b,
            Compare::LessOrEqual => a <= b,
            Compare::Greater => a > b,
            Compare::GreaterOrEqual => a >= b,
        }
    }
    from_truths(match (numbers(a), numbers(b)) {
        (Numbers::Floats(a), Numbers::Floats(b)) => a.zip(&b, |a, b| holds(relation, &a, &b))?,
        (Numbers::Integers(a), Numbers::Integers(b)) => {
            a.zip(&b, |a, b| holds(relation, &a, &b))?
        }
        _ => return Err(mixed(a, b)),
    })
}

pub(super) fn clip(x: &Tensor, low: f64, high: f64) -> Result<Tensor> {
    match numbers(x) {
        Numbers::Floats(array) => rounded(array.map(|v| maths::clip(v, low, high)), x.element()),
        Numbers::Integers(array) => {
            // Infinite bounds saturate to integers beyond those of any type.
            let (low, high) = (low as i128, high as i128);
            wrapped(array.map(|v| v.max(low).min(high)), x.element())
        }
    }
}

/// `Cast`. From floats to integers, the fraction is cut off and what lies
/// outside the type's range, of which ONNX says nothing, is clamped to it; NaN
/// becomes 0. From integers to integers, high bits are cut off. From floats to
/// truth values, all but zero (so NaN too) is true.
pub(super) fn cast(x: &Tensor, to: ElementType) -> Result<Tensor> {
    match numbers(x) {
        Numbers::Floats(array) if to.is_float() => rounded(array, to),
        Numbers::Floats(array) if to == ElementType::Bool => from_truths(array.map(|v| v != 0.0)),
        Numbers::Floats(array) => saturated(&array, to),
        Numbers::Integers(array) if to == ElementType::Float64 => {
            rounded(array.map(|v| v as f64), to)
        }
        Numbers::Integers(array) if to.is_float() => rounded(array.map(odd_float), to),
        Numbers::Integers(array) => wrapped(array, to),
    }
}

fn mixed(a: &Tensor, b: &Tensor) -> crate::Error {
    wrong(format!(
        "its inputs are of types {} and {}",
        a.element(),
        b.element()
    ))
}
