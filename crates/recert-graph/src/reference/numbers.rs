//! Elements as numbers of one width, and back: floats as `f64`, integers as `i128`.

use half::{bf16, f16};

use super::array::Array;
use super::{Result, wrong};
use crate::{Data, ElementType, Tensor};

/// The elements of a tensor, widened without loss.
#[derive(Debug, Clone)]
pub(super) enum Numbers {
    /// Of a floating-point type.
    Floats(Array<f64>),
    /// Of an integer type; of a truth value, 0 or 1.
    Integers(Array<i128>),
}

/// Widens the elements of any tensor.
pub(super) fn numbers(tensor: &Tensor) -> Numbers {
    fn wide<T: Copy + Into<U>, U: Copy>(shape: &[usize], values: &[T]) -> Array<U> {
        let data = values.iter().map(|&value| value.into()).collect();
        Array::new(shape.to_vec(), data)
    }
    let shape = tensor.shape();
    match tensor.data() {
        Data::Float32(values) => Numbers::Floats(wide(shape, values)),
        Data::Float16(values) => Numbers::Floats(wide(shape, values)),
        Data::BFloat16(values) => Numbers::Floats(wide(shape, values)),
        Data::Float64(values) => Numbers::Floats(wide(shape, values)),
        Data::UInt8(values) => Numbers::Integers(wide(shape, values)),
        Data::Int8(values) => Numbers::Integers(wide(shape, values)),
        Data::UInt16(values) => Numbers::Integers(wide(shape, values)),
        Data::Int16(values) => Numbers::Integers(wide(shape, values)),
        Data::UInt32(values) => Numbers::Integers(wide(shape, values)),
        Data::Int32(values) => Numbers::Integers(wide(shape, values)),
        Data::UInt64(values) => Numbers::Integers(wide(shape, values)),
        Data::Int64(values) => Numbers::Integers(wide(shape, values)),
        Data::Bool(values) => Numbers::Integers(wide(shape, values)),
    }
}

/// The elements of a tensor of a floating-point type.
pub(super) fn floats(tensor: &Tensor) -> Result<Array<f64>> {
    match numbers(tensor) {
        Numbers::Floats(array) => Ok(array),
        Numbers::Integers(_) => Err(wrong(format!(
            "an input is of type {}, not of a floating-point type",
            tensor.element()
        ))),
    }
}

/// The elements of a tensor of an integer type; truth values as 0 and 1.
pub(super) fn integers(tensor: &Tensor) -> Result<Array<i128>> {
    match numbers(tensor) {
        Numbers::Integers(array) => Ok(array),
        Numbers::Floats(_) => Err(wrong(format!(
            "an input is of type {}, not of an integer type",
            tensor.element()
        ))),
    }
}

/// The elements of any tensor as `f64`: exact but for integers beyond 2^53.
pub(super) fn as_floats(tensor: &Tensor) -> Array<f64> {
    match numbers(tensor) {
        Numbers::Floats(array) => array,
        Numbers::Integers(array) => array.map(|v| v as f64),
    }
}

/// The elements of a tensor of truth values.
pub(super) fn truths(tensor: &Tensor) -> Result<Array<bool>> {
    match tensor.data() {
        Data::Bool(values) => Ok(Array::new(tensor.shape().to_vec(), values.clone())),
        _ => Err(wrong(format!(
            "an input is of type {}, not bool",
            tensor.element()
        ))),
    }
}

/// A tensor of truth values.
pub(super) fn from_truths(array: Array<bool>) -> Result<Tensor> {
    Tensor::new(array.shape, Data::Bool(array.data))
}

/// A tensor of a floating-point type, each element rounded once, to nearest
/// and half to even.
pub(super) fn rounded(array: Array<f64>, element: ElementType) -> Result<Tensor> {
    let values = array.data;
    let data = match element {
        ElementType::Float64 => Data::Float64(values),
        ElementType::Float32 => Data::Float32(values.iter().map(|&v| v as f32).collect()),
        ElementType::Float16 => Data::Float16(values.iter().map(|&v| to_f16(v)).collect()),
        ElementType::BFloat16 => Data::BFloat16(values.iter().map(|&v| to_bf16(v)).collect()),
        other => {
            return Err(wrong(format!(
                "floating-point numbers cannot be of type {other}"
            )));
        }
    };
    Tensor::new(array.shape, data)
}

/// One number rounded to a floating-point type.
pub(super) fn round_to(value: f64, element: ElementType) -> f64 {
    match element {
        ElementType::Float32 => f64::from(value as f32),
        ElementType::Float16 => to_f16(value).to_f64(),
        ElementType::BFloat16 => to_bf16(value).to_f64(),
        _ => value,
    }
}

/// A tensor of an integer type, each element taken modulo 2 to the type's width.
pub(super) fn wrapped(array: Array<i128>, element: ElementType) -> Result<Tensor> {
    fn narrow<T>(values: &[i128], convert: impl Fn(i128) -> T) -> Vec<T> {
        values.iter().map(|&value| convert(value)).collect()
    }
    let values = &array.data;
    let data = match element {
        ElementType::UInt8 => Data::UInt8(narrow(values, |v| v as u8)),
        ElementType::Int8 => Data::Int8(narrow(values, |v| v as i8)),
        ElementType::UInt16 => Data::UInt16(narrow(values, |v| v as u16)),
        ElementType::Int16 => Data::Int16(narrow(values, |v| v as i16)),
        ElementType::UInt32 => Data::UInt32(narrow(values, |v| v as u32)),
        ElementType::Int32 => Data::Int32(narrow(values, |v| v as i32)),
        ElementType::UInt64 => Data::UInt64(narrow(values, |v| v as u64)),
        ElementType::Int64 => Data::Int64(narrow(values, |v| v as i64)),
        ElementType::Bool => Data::Bool(narrow(values, |v| v != 0)),
        other => return Err(wrong(format!("integers cannot be of type {other}"))),
    };
    Tensor::new(array.shape, data)
}

/// A tensor of an integer type, each element truncated towards zero and
/// clamped to the type's range; NaN becomes 0.
pub(super) fn saturated(array: &Array<f64>, element: ElementType) -> Result<Tensor> {
    let (low, high) = range(element)?;
    wrapped(array.map(|v| (v as i128).clamp(low, high)), element)
}

/// The least and the greatest integer of a type.
pub(super) fn range(element: ElementType) -> Result<(i128, i128)> {
    Ok(match element {
        ElementType::UInt8 => (0, u8::MAX.into()),
        ElementType::Int8 => (i8::MIN.into(), i8::MAX.into()),
        ElementType::UInt16 => (0, u16::MAX.into()),
        ElementType::Int16 => (i16::MIN.into(), i16::MAX.into()),
        ElementType::UInt32 => (0, u32::MAX.into()),
        ElementType::Int32 => (i32::MIN.into(), i32::MAX.into()),
        ElementType::UInt64 => (0, u64::MAX.into()),
        ElementType::Int64 => (i64::MIN.into(), i64::MAX.into()),
        ElementType::Bool => (0, 1),
        other => return Err(wrong(format!("type {other} is not an integer type"))),
    })
}

/// To float16 in one rounding. `f16::from_f64` rounds twice, to float32 first.
fn to_f16(value: f64) -> f16 {
    f16::from_f32(to_odd(value))
}

fn to_bf16(value: f64) -> bf16 {
    bf16::from_f32(to_odd(value))
}

/// The float64 next to `value` whose last bit is odd, or `value` where it is a
/// float64: rounding that to a narrower type is rounding `value` itself.
pub(super) fn odd_float(value: i128) -> f64 {
    let nearest = value as f64;
    let exact = nearest as i128;
    if exact == value || nearest.to_bits() & 1 == 1 {
        nearest
    } else if exact < value {
        nearest.next_up()
    } else {
        nearest.next_down()
    }
}

/// The float32 next to `value` whose last bit is odd, or `value` where it is a
/// float32: rounding that to fewer than 22 bits is rounding `value` itself.
fn to_odd(value: f64) -> f32 {
    let nearest = value as f32;
    if nearest.is_nan() || f64::from(nearest) == value || nearest.to_bits() & 1 == 1 {
        return nearest;
    }
    if f64::from(nearest) < value {
        nearest.next_up()
    } else {
        nearest.next_down()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrow_floats_are_rounded_once() {
        // Just above the midpoint of 1 and its successor in float16; float32
        // cannot tell it from the midpoint.
        let above = 1.0 + 2f64.powi(-11) + 2f64.powi(-40);
        assert_eq!(to_f16(above).to_f64(), 1.0 + 2f64.powi(-10));
        assert_eq!(to_f16(1.0 + 2f64.powi(-11)).to_f64(), 1.0);
        assert_eq!(to_f16(-above).to_f64(), -1.0 - 2f64.powi(-10));
        let above = 1.0 + 2f64.powi(-8) + 2f64.powi(-40);
        assert_eq!(to_bf16(above).to_f64(), 1.0 + 2f64.powi(-7));
        assert_eq!(to_f16(65520.0), f16::INFINITY);
        assert_eq!(to_f16(65519.99), f16::MAX);
        assert_eq!(to_f16(1e300), f16::INFINITY);
        assert!(to_f16(f64::NAN).is_nan());
        // Half of the least subnormal number goes to zero, more of it up.
        assert_eq!(to_f16(2f64.powi(-25)).to_bits(), 0);
        assert_eq!(to_f16(2f64.powi(-25) * (1.0 + 2f64.powi(-50))).to_bits(), 1);
    }

    #[test]
    fn integers_wrap_and_floats_saturate() {
        let wrap = wrapped(Array::scalar(300), ElementType::UInt8).unwrap();
        assert_eq!(wrap.data(), &Data::UInt8(vec![44]));
        let values = Array::new(vec![3], vec![-1.5, 300.0, f64::NAN]);
        let clamp = saturated(&values, ElementType::UInt8).unwrap();
        assert_eq!(clamp.data(), &Data::UInt8(vec![0, 255, 0]));
    }
}
