//! Reductions of axes to one number.

use super::array::Array;
use super::maths::{max, min};
use super::numbers::{Numbers, as_floats, numbers, range, rounded, saturated, wrapped};
use super::{Result, wrong};
use crate::{ElementType, Reduction, Tensor};

/// The shape that is left when `axes` are reduced.
pub(super) fn reduced_shape(shape: &[usize], axes: &[usize], keep: bool) -> Vec<usize> {
    let extents = shape.iter().enumerate();
    extents
        .filter_map(|(axis, &extent)| {
            if axes.contains(&axis) {
                keep.then_some(1)
            } else {
                Some(extent)
            }
        })
        .collect()
}

/// Reduces `axes` of a tensor; the result is of the tensor's type.
pub(super) fn reduce(
    x: &Tensor,
    reduction: Reduction,
    axes: &[usize],
    keep: bool,
) -> Result<Tensor> {
    let element = x.element();
    let shape = reduced_shape(x.shape(), axes, keep);
    match numbers(x) {
        Numbers::Floats(array) => {
            let lines = array.fold_lanes(axes, |line| of_floats(reduction, line));
            rounded(Array::new(shape, lines), element)
        }
        Numbers::Integers(array) => {
            if let Some((start, fold)) = integer_fold(reduction, element)? {
                let lines = array.fold_lanes(axes, |line| line.iter().copied().fold(start, fold));
                wrapped(Array::new(shape, lines), element)
            } else {
                let lines = as_floats(x).fold_lanes(axes, |line| of_floats(reduction, line));
                saturated(&Array::new(shape, lines), element)
            }
        }
    }
}

fn of_floats(reduction: Reduction, line: &[f64]) -> f64 {
    match reduction {
        Reduction::Sum => line.iter().sum(),
        Reduction::Mean => mean(line),
        Reduction::Max => greatest(line),
        Reduction::Min => line.iter().copied().fold(f64::INFINITY, min),
        Reduction::Prod => line.iter().product(),
        Reduction::L1 => line.iter().map(|v| v.abs()).sum(),
        Reduction::L2 => sum_square(line).sqrt(),
        Reduction::LogSum => libm::log(line.iter().sum()),
        Reduction::LogSumExp => log_sum_exp(line),
        Reduction::SumSquare => sum_square(line),
    }
}

type Fold = (i128, fn(i128, i128) -> i128);

/// The reductions that stay among the integers, modulo 2^128.
fn integer_fold(reduction: Reduction, element: ElementType) -> Result<Option<Fold>> {
    let (least, greatest) = range(element)?;
    Ok(Some(match reduction {
        Reduction::Sum => (0, i128::wrapping_add),
        Reduction::Max => (least, i128::max),
        Reduction::Min => (greatest, i128::min),
        Reduction::Prod => (1, i128::wrapping_mul),
        Reduction::L1 => (0, |sum, value| sum.wrapping_add(value.abs())),
        Reduction::SumSquare => (0, |sum, value| sum.wrapping_add(value.wrapping_mul(value))),
        Reduction::Mean | Reduction::L2 | Reduction::LogSum | Reduction::LogSumExp => {
            return Ok(None);
        }
    }))
}

pub(super) fn mean(line: &[f64]) -> f64 {
    line.iter().sum::<f64>() / line.len() as f64
}

pub(super) fn greatest(line: &[f64]) -> f64 {
    line.iter().copied().fold(f64::NEG_INFINITY, max)
}

pub(super) fn sum_square(line: &[f64]) -> f64 {
    line.iter().map(|v| v * v).sum()
}

/// The greatest element is taken out of the sum, so that no exponential overflows.
pub(super) fn log_sum_exp(line: &[f64]) -> f64 {
    let top = greatest(line);
    if !top.is_finite() {
        return top;
    }
    let sum: f64 = line.iter().map(|v| libm::exp(v - top)).sum();
    top + libm::log(sum)
}

/// `ArgMax` and `ArgMin` (`min`): the first or the `last` position along `axis`
/// of an element that no other surpasses. NaN surpasses all numbers.
pub(super) fn arg_extreme(
    x: &Tensor,
    axis: usize,
    min: bool,
    last: bool,
    keep: bool,
) -> Result<Tensor> {
    fn position<T: Copy>(line: &[T], last: bool, surpasses: impl Fn(T, T) -> bool) -> i128 {
        let mut best = 0;
        for (i, &value) in line.iter().enumerate() {
            if surpasses(value, line[best]) || (last && !surpasses(line[best], value)) {
                best = i;
            }
        }
        best as i128
    }
    if x.shape()[axis] == 0 {
        return Err(wrong("an axis without elements has no greatest one"));
    }
    let found = match numbers(x) {
        Numbers::Floats(array) => array.fold_lanes(&[axis], |line| {
            position(line, last, |a, b| {
                (if min { a < b } else { a > b }) || (a.is_nan() && !b.is_nan())
            })
        }),
        Numbers::Integers(array) => array.fold_lanes(&[axis], |line| {
            position(line, last, |a, b| if min { a < b } else { a > b })
        }),
    };
    let shape = reduced_shape(x.shape(), &[axis], keep);
    wrapped(Array::new(shape, found), ElementType::Int64)
}

/// Running sums along an axis.
pub(super) fn cumulative_sum(
    x: &Tensor,
    axis: usize,
    exclusive: bool,
    reverse: bool,
) -> Result<Tensor> {
    fn run<T: Copy + Default>(
        line: &mut [T],
        exclusive: bool,
        reverse: bool,
        add: impl Fn(T, T) -> T,
    ) {
        let mut sum = T::default();
        for i in 0..line.len() {
            let index = if reverse { line.len() - 1 - i } else { i };
            let before = sum;
            sum = add(sum, line[index]);
            line[index] = if exclusive { before } else { sum };
        }
    }
    let element = x.element();
    match numbers(x) {
        Numbers::Floats(x) => {
            let sums = x.map_lanes(&[axis], |line| run(line, exclusive, reverse, |a, b| a + b));
            rounded(sums, element)
        }
        Numbers::Integers(x) => {
            let sums = x.map_lanes(&[axis], |line| {
                run(line, exclusive, reverse, i128::wrapping_add);
            });
            wrapped(sums, element)
        }
    }
}
