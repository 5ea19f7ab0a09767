//! Operators whose inputs are constants.
//!
//! Elements are moved, converted and combined one by one; what adds up
//! (products of matrices, reductions) is left to whoever computes the network.

use half::{bf16, f16};

use crate::element::ElementType;
use crate::error::Result;
use crate::map_data;
use crate::op::{Binary, Granularity, Op, Unary};
use crate::tensor::{Data, Tensor};

/// What the operator makes of constants, its outputs being of these shapes;
/// `None` where it is not computed beforehand.
pub(crate) fn evaluate(
    op: &Op,
    inputs: &[Option<&Tensor>],
    shapes: &[Vec<usize>],
) -> Result<Option<Vec<Tensor>>> {
    let (Some(&Some(first)), Some(shape)) = (inputs.first(), shapes.first()) else {
        return Ok(None);
    };
    let second = inputs.get(1).copied().flatten();
    let from = first.shape();
    let moved = |steps: &[isize], start: usize| {
        let data = map_data!(first.data(), values => take(values, shape, steps, start));
        Tensor::new(shape.clone(), data).map(Some)
    };
    let tensor = match op {
        Op::Reshape => Some(first.clone().reshaped(shape.clone())?),
        Op::Transpose { perm } => {
            let apart = strides(from);
            let steps: Vec<isize> = perm.iter().map(|&axis| apart[axis]).collect();
            moved(&steps, 0)?
        }
        Op::Slice(slices) => {
            let mut steps = strides(from);
            let mut start = 0;
            for slice in slices {
                start += slice.start * steps[slice.axis].unsigned_abs();
                steps[slice.axis] *= slice.step;
            }
            moved(&steps, start)?
        }
        Op::Expand => moved(&stretched(from, shape), 0)?,
        Op::Gather { axis } => match second.and_then(Tensor::to_i64) {
            Some(indices) => gather(first, *axis, &indices, shape)?,
            None => None,
        },
        Op::Concat { axis } => {
            let parts: Option<Vec<&Tensor>> = inputs.iter().copied().collect();
            parts.and_then(|parts| concat(&parts, *axis, shape))
        }
        Op::Cast(to) => cast(first, *to),
        Op::Unary(function) => unary(first, *function),
        Op::Binary(function) => match second {
            Some(second) => binary(*function, first, second, shape)?,
            None => None,
        },
        Op::DequantizeLinear(granularity) => match second {
            Some(scale) => {
                dequantize(first, scale, inputs.get(2).copied().flatten(), *granularity)?
            }
            None => None,
        },
        _ => None,
    };
    Ok(tensor.map(|tensor| vec![tensor]))
}

/// From one element to the next along each axis of a row-major tensor.
fn strides(shape: &[usize]) -> Vec<isize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis] as isize;
    }
    strides
}

/// As [`strides`], of a tensor that is broadcast to another shape.
fn stretched(from: &[usize], to: &[usize]) -> Vec<isize> {
    let missing = to.len() - from.len();
    let own = strides(from);
    let stride = |axis: usize| match axis.checked_sub(missing) {
        Some(axis) if from[axis] != 1 => own[axis],
        _ => 0,
    };
    (0..to.len()).map(stride).collect()
}

/// The elements of a tensor of this shape, each `steps` from its neighbour.
fn take<T: Copy>(values: &[T], shape: &[usize], steps: &[isize], start: usize) -> Vec<T> {
    let count = shape.iter().product();
    let mut taken = Vec::with_capacity(count);
    let mut position = vec![0; shape.len()];
    let mut offset = start as isize;
    for _ in 0..count {
        taken.push(values[offset.unsigned_abs()]);
        for axis in (0..shape.len()).rev() {
            position[axis] += 1;
            offset += steps[axis];
            if position[axis] < shape[axis] {
                break;
            }
            offset -= steps[axis] * shape[axis] as isize;
            position[axis] = 0;
        }
    }
    taken
}

fn gather(
    tensor: &Tensor,
    axis: usize,
    indices: &[i64],
    shape: &[usize],
) -> Result<Option<Tensor>> {
    let size = tensor.shape()[axis];
    let wrapped: Option<Vec<usize>> = indices
        .iter()
        .map(|&index| {
            let index = if index < 0 {
                index.checked_add_unsigned(size as u64)?
            } else {
                index
            };
            usize::try_from(index).ok().filter(|&index| index < size)
        })
        .collect();
    let Some(wrapped) = wrapped else {
        return Ok(None);
    };
    let outer: usize = tensor.shape()[..axis].iter().product();
    let inner: usize = tensor.shape()[axis + 1..].iter().product();
    let data = map_data!(tensor.data(), values => {
        let mut taken = Vec::with_capacity(outer * wrapped.len() * inner);
        for row in 0..outer {
            for index in &wrapped {
                let start = (row * size + index) * inner;
                taken.extend_from_slice(&values[start..start + inner]);
            }
        }
        taken
    });
    Tensor::new(shape.to_vec(), data).map(Some)
}

/// `None` where the parts are of different types.
fn concat(parts: &[&Tensor], axis: usize, shape: &[usize]) -> Option<Tensor> {
    let outer: usize = shape[..axis].iter().product();
    let mut data = map_data!(parts[0].data(), _values => Vec::new());
    for row in 0..outer {
        for part in parts {
            let length: usize = part.shape()[axis..].iter().product();
            let range = row * length..(row + 1) * length;
            match (&mut data, part.data()) {
                (Data::Float32(all), Data::Float32(values)) => all.extend(&values[range]),
                (Data::Float16(all), Data::Float16(values)) => all.extend(&values[range]),
                (Data::Float64(all), Data::Float64(values)) => all.extend(&values[range]),
                (Data::Int64(all), Data::Int64(values)) => all.extend(&values[range]),
                (Data::Int32(all), Data::Int32(values)) => all.extend(&values[range]),
                (Data::Int8(all), Data::Int8(values)) => all.extend(&values[range]),
                (Data::UInt8(all), Data::UInt8(values)) => all.extend(&values[range]),
                _ => return None,
            }
        }
    }
    Tensor::new(shape.to_vec(), data).ok()
}

/// The tensor's elements as another type; `None` where that is not done here.
pub(crate) fn cast(tensor: &Tensor, to: ElementType) -> Option<Tensor> {
    if tensor.element() == to {
        return Some(tensor.clone());
    }
    let data = match to {
        ElementType::Float32 => match tensor.to_f32() {
            Some(values) => Data::Float32(values),
            None => Data::Float32(tensor.to_i64()?.iter().map(|&v| v as f32).collect()),
        },
        ElementType::Float16 => {
            let values = tensor.as_f32()?.iter();
            Data::Float16(values.map(|&v| f16::from_f32(v)).collect())
        }
        ElementType::BFloat16 => {
            let values = tensor.as_f32()?.iter();
            Data::BFloat16(values.map(|&v| bf16::from_f32(v)).collect())
        }
        ElementType::Int64 => Data::Int64(tensor.to_i64()?),
        ElementType::Int32 => {
            let values = tensor.to_i64()?.into_iter();
            Data::Int32(
                values
                    .map(|v| i32::try_from(v).ok())
                    .collect::<Option<_>>()?,
            )
        }
        _ => return None,
    };
    Tensor::new(tensor.shape().to_vec(), data).ok()
}

/// The function of every element, in float32, the same bits on every machine.
fn unary(tensor: &Tensor, function: Unary) -> Option<Tensor> {
    // A NaN stays one.
    let unit = |x: f32| x.clamp(0.0, 1.0);
    let of = |x: f32| -> Option<f32> {
        Some(match function {
            Unary::Abs => x.abs(),
            Unary::Ceil => x.ceil(),
            Unary::Exp => libm::expf(x),
            Unary::Floor => x.floor(),
            Unary::HardSigmoid { alpha, beta } => unit(alpha * x + beta),
            Unary::HardSwish => x * unit(x / 6.0 + 0.5),
            Unary::LeakyRelu { alpha } if x < 0.0 => alpha * x,
            Unary::Log => libm::logf(x),
            Unary::Neg => -x,
            Unary::Reciprocal => 1.0 / x,
            Unary::Relu if x < 0.0 => 0.0,
            Unary::LeakyRelu { .. } | Unary::Relu => x,
            Unary::Round => x.round_ties_even(),
            Unary::Sigmoid => 1.0 / (1.0 + libm::expf(-x)),
            Unary::Sqrt => x.sqrt(),
            Unary::Tanh => libm::tanhf(x),
            _ => return None,
        })
    };
    let values: Option<Vec<f32>> = tensor.as_f32()?.iter().map(|&x| of(x)).collect();
    Tensor::new(tensor.shape().to_vec(), Data::Float32(values?)).ok()
}

/// Of float32 and of int64; `None` for other types and where an integer
/// overflows.
fn binary(function: Binary, a: &Tensor, b: &Tensor, shape: &[usize]) -> Result<Option<Tensor>> {
    let (left, right) = (stretched(a.shape(), shape), stretched(b.shape(), shape));
    let data = match (a.data(), b.data()) {
        (Data::Float32(a), Data::Float32(b)) => {
            let of: fn(f32, f32) -> f32 = match function {
                Binary::Add => |a, b| a + b,
                Binary::Sub => |a, b| a - b,
                Binary::Mul => |a, b| a * b,
                Binary::Div => |a, b| a / b,
                _ => return Ok(None),
            };
            let (a, b) = (take(a, shape, &left, 0), take(b, shape, &right, 0));
            Data::Float32(a.into_iter().zip(b).map(|(a, b)| of(a, b)).collect())
        }
        (Data::Int64(a), Data::Int64(b)) => {
            let of: fn(i64, i64) -> Option<i64> = match function {
                Binary::Add => i64::checked_add,
                Binary::Sub => i64::checked_sub,
                Binary::Mul => i64::checked_mul,
                Binary::Div => i64::checked_div,
                _ => return Ok(None),
            };
            let (a, b) = (take(a, shape, &left, 0), take(b, shape, &right, 0));
            let values: Option<Vec<i64>> = a.into_iter().zip(b).map(|(a, b)| of(a, b)).collect();
            match values {
                Some(values) => Data::Int64(values),
                None => return Ok(None),
            }
        }
        _ => return Ok(None),
    };
    Tensor::new(shape.to_vec(), data).map(Some)
}

/// `(x - zero point) scale` in float32, per tensor or along an axis.
fn dequantize(
    tensor: &Tensor,
    scale: &Tensor,
    zero: Option<&Tensor>,
    granularity: Granularity,
) -> Result<Option<Tensor>> {
    let (Some(quantized), Some(scale)) = (tensor.to_i64(), scale.as_f32()) else {
        return Ok(None);
    };
    let zero = match zero {
        None => Some(vec![0; scale.len()]),
        Some(zero) => zero.to_i64(),
    };
    let inner: usize = match granularity {
        Granularity::Tensor => 1,
        Granularity::Axis(axis) => tensor.shape()[axis + 1..].iter().product(),
        Granularity::Block { .. } => return Ok(None),
    };
    let Some(zero) = zero else {
        return Ok(None);
    };
    let values = quantized.iter().enumerate().map(|(position, q)| {
        let channel = position / inner.max(1) % scale.len();
        (q - zero[channel]) as f32 * scale[channel]
    });
    let data = Data::Float32(values.collect());
    Tensor::new(tensor.shape().to_vec(), data).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::AxisSlice;

    fn floats(shape: &[usize], values: &[f32]) -> Tensor {
        Tensor::new(shape.to_vec(), Data::Float32(values.to_vec())).unwrap()
    }

    fn one(op: &Op, inputs: &[&Tensor], shape: &[usize]) -> Tensor {
        let inputs: Vec<Option<&Tensor>> = inputs.iter().map(|&tensor| Some(tensor)).collect();
        let made = evaluate(op, &inputs, &[shape.to_vec()]).unwrap().unwrap();
        made.into_iter().next().unwrap()
    }

    #[test]
    fn elements_are_moved() {
        let all: Vec<f32> = (0..6).map(|v| v as f32).collect();
        let a = floats(&[2, 3], &all);
        let perm = vec![1, 0];
        let found = one(&Op::Transpose { perm }, &[&a], &[3, 2]);
        assert_eq!(found, floats(&[3, 2], &[0.0, 3.0, 1.0, 4.0, 2.0, 5.0]));
        let back = AxisSlice {
            axis: 1,
            start: 2,
            count: 2,
            step: -1,
        };
        let found = one(&Op::Slice(vec![back]), &[&a], &[2, 2]);
        assert_eq!(found, floats(&[2, 2], &[2.0, 1.0, 5.0, 4.0]));
        let last = Tensor::list(vec![-1]);
        let found = one(&Op::Gather { axis: 1 }, &[&a, &last], &[2, 1]);
        assert_eq!(found, floats(&[2, 1], &[2.0, 5.0]));
        let found = one(&Op::Concat { axis: 1 }, &[&a, &found], &[2, 4]);
        let wanted = [0.0, 1.0, 2.0, 2.0, 3.0, 4.0, 5.0, 5.0];
        assert_eq!(found, floats(&[2, 4], &wanted));
        let found = one(&Op::Expand, &[&floats(&[2, 1], &[1.0, 2.0])], &[2, 2]);
        assert_eq!(found, floats(&[2, 2], &[1.0, 1.0, 2.0, 2.0]));
    }

    #[test]
    fn elements_are_computed() {
        let column = floats(&[2, 1], &[1.0, 2.0]);
        let row = floats(&[2], &[10.0, 20.0]);
        let found = one(&Op::Binary(Binary::Sub), &[&column, &row], &[2, 2]);
        assert_eq!(found, floats(&[2, 2], &[-9.0, -19.0, -8.0, -18.0]));
        let quantized = Tensor::new(vec![2, 2], Data::Int8(vec![1, 2, 3, -4])).unwrap();
        let scale = floats(&[2], &[0.5, 2.0]);
        let zero = Tensor::new(vec![2], Data::Int8(vec![1, 0])).unwrap();
        let op = Op::DequantizeLinear(Granularity::Axis(0));
        let found = one(&op, &[&quantized, &scale, &zero], &[2, 2]);
        assert_eq!(found, floats(&[2, 2], &[0.0, 0.5, 6.0, -8.0]));
        let most = Tensor::list(vec![i64::MAX]);
        let sum = evaluate(
            &Op::Binary(Binary::Add),
            &[Some(&most), Some(&most)],
            &[vec![1]],
        );
        assert_eq!(sum.unwrap(), None);
    }
}
