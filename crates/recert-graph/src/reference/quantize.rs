//! Quantization: integers on a grid of `scale`, shifted by a zero point.

use super::array::{Array, for_each_index, strides};
use super::maths::{max, min};
use super::numbers::{as_floats, floats, integers, range, round_to, rounded, wrapped};
use super::{Result, wrong};
use crate::{Data, ElementType, Granularity, Tensor};

/// `QuantizeLinear`: `x / scale`, rounded to the scale's type and then half to
/// even, plus the zero point, clamped to the range of `to`.
pub(super) fn quantize(
    x: &Tensor,
    scale: &Tensor,
    zero: Option<&Tensor>,
    granularity: Granularity,
    to: ElementType,
) -> Result<Tensor> {
    let sharers = sharers(x.shape(), scale.shape(), granularity)?;
    let zeros = zero_points(zero, scale.len())?;
    let scales = floats(scale)?.data;
    let precision = scale.element();
    let (low, high) = range(to)?;
    let values = as_floats(x);
    let quantized = |(&value, &share): (&f64, &usize)| {
        let quotient = round_to(round_to(value, precision) / scales[share], precision);
        on_grid(quotient, zeros[share]).clamp(low, high)
    };
    let data = values.data.iter().zip(&sharers).map(quantized).collect();
    wrapped(Array::new(values.shape, data), to)
}

/// The grid's point next to a number that is counted in its steps. Infinity
/// stays beyond the range of every type; NaN is taken for 0.
pub(super) fn on_grid(steps: f64, zero: i128) -> i128 {
    steps.round_ties_even().clamp(-1e30, 1e30) as i128 + zero
}

/// `DequantizeLinear`: `(x - zero point) scale`, rounded to the type `to`. The
/// difference is a float32 first, as engines have it, which only int32 shows.
pub(super) fn dequantize(
    x: &Tensor,
    scale: &Tensor,
    zero: Option<&Tensor>,
    granularity: Granularity,
    to: ElementType,
) -> Result<Tensor> {
    let sharers = sharers(x.shape(), scale.shape(), granularity)?;
    let zeros = zero_points(zero, scale.len())?;
    let scales = floats(scale)?.data;
    let steps = integers(x)?;
    let data = steps.data.iter().zip(&sharers);
    let data = data
        .map(|(&step, &share)| f64::from((step - zeros[share]) as f32) * scales[share])
        .collect();
    rounded(Array::new(steps.shape, data), to)
}

/// `DynamicQuantizeLinear`: the quantized tensor, its scale, its zero point.
pub(super) fn dynamic_quantize(x: &Tensor) -> Result<Vec<Tensor>> {
    let single = |v: f64| round_to(v, ElementType::Float32);
    let values = floats(x)?.data;
    let high = values.iter().copied().fold(0.0, max);
    let low = values.iter().copied().fold(0.0, min);
    let width = if high == low { 1.0 } else { single(high - low) };
    let scale = single(width / 255.0);
    let zero = on_grid(single(-low / scale).clamp(0.0, 255.0), 0);
    let scale = Tensor::scalar(scale as f32);
    let zero = Tensor::new(Vec::new(), Data::UInt8(vec![zero as u8]))?;
    let to = ElementType::UInt8;
    let quantized = quantize(x, &scale, Some(&zero), Granularity::Tensor, to)?;
    Ok(vec![quantized, scale, zero])
}

/// For every element of a tensor of `shape`, which of the scales is its.
fn sharers(shape: &[usize], scales: &[usize], granularity: Granularity) -> Result<Vec<usize>> {
    let count: usize = shape.iter().product();
    if scales.iter().product::<usize>() == 1 {
        return Ok(vec![0; count]);
    }
    let (axis, block, expected) = match granularity {
        Granularity::Tensor => (0, 1, Vec::new()),
        Granularity::Axis(axis) => (axis, 1, vec![shape[axis]]),
        Granularity::Block { axis, size } => {
            let mut blocks = shape.to_vec();
            blocks[axis] = shape[axis].div_ceil(size);
            (axis, size, blocks)
        }
    };
    if scales != expected {
        return Err(wrong(format!(
            "scales of shape {scales:?} do not fit a tensor of shape {shape:?}"
        )));
    }
    let along = match granularity {
        Granularity::Block { .. } => strides(scales),
        _ => (0..shape.len()).map(|a| usize::from(a == axis)).collect(),
    };
    let mut list = Vec::with_capacity(count);
    for_each_index(shape, |index| {
        let scale_index = |a: usize| {
            if a == axis {
                index[a] / block
            } else {
                index[a]
            }
        };
        list.push((0..shape.len()).map(|a| scale_index(a) * along[a]).sum());
    });
    Ok(list)
}

/// The zero points, one for each of `count` scales; 0 where they are left out.
fn zero_points(zero: Option<&Tensor>, count: usize) -> Result<Vec<i128>> {
    match zero {
        None => Ok(vec![0; count]),
        Some(zero) if zero.len() == count => Ok(integers(zero)?.data),
        Some(zero) => Err(wrong(format!(
            "{} zero points do not fit {count} scales",
            zero.len()
        ))),
    }
}
