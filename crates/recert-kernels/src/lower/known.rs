//! Tensors that do not depend on the image, and what operators make of them.

use crate::pointwise::{Arith, Unary};
use crate::rearrange::{places, strides};

/// Stands for the size of the batch among the integers of a shape.
pub(super) const BATCH: i64 = i64::MIN;

/// A row-major tensor.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tensor<T> {
    pub(super) dims: Vec<usize>,
    pub(super) values: Vec<T>,
}

/// What is known of a tensor beforehand.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Known {
    Floats(Tensor<f32>),
    Integers(Tensor<i64>),
}

impl<T: Copy> Tensor<T> {
    pub(super) fn new(dims: Vec<usize>, values: Vec<T>) -> Self {
        Self { dims, values }
    }

    fn taken(&self, dims: Vec<usize>, places: &[usize]) -> Option<Self> {
        let values = places.iter().map(|&p| self.values.get(p).copied());
        Some(Self::new(dims, values.collect::<Option<_>>()?))
    }

    pub(super) fn reshaped(self, dims: Vec<usize>) -> Option<Self> {
        (dims.iter().product::<usize>() == self.values.len()).then(|| Self::new(dims, self.values))
    }

    pub(super) fn transposed(&self, order: Option<&[i64]>) -> Option<Self> {
        let rank = self.dims.len();
        let order = match order {
            None => (0..rank).rev().collect(),
            Some(order) => axes(order, rank)?,
        };
        if order.len() != rank {
            return None;
        }
        let apart = strides(&self.dims);
        let dims: Vec<usize> = order.iter().map(|&axis| self.dims[axis]).collect();
        let apart: Vec<isize> = order.iter().map(|&axis| apart[axis] as isize).collect();
        let places = places(&dims, &apart, 0);
        self.taken(dims, &places)
    }

    /// Each axis from `start`, so many values, `step` apart.
    pub(super) fn sliced(&self, ranges: &[Range]) -> Option<Self> {
        let apart = strides(&self.dims);
        let dims: Vec<usize> = ranges.iter().map(|range| range.count).collect();
        let steps: Vec<isize> = apart
            .iter()
            .zip(ranges)
            .map(|(&s, r)| s as isize * r.step)
            .collect();
        let start = apart.iter().zip(ranges).map(|(s, r)| s * r.start).sum();
        let places = places(&dims, &steps, start);
        self.taken(dims, &places)
    }

    /// `Gather` along the first axis.
    pub(super) fn gathered(&self, indices: &Tensor<i64>) -> Option<Self> {
        let (&size, rest) = self.dims.split_first()?;
        let inner: usize = rest.iter().product();
        let mut values = Vec::new();
        for &index in &indices.values {
            let index = wrap(index, size).filter(|&i| i < size)?;
            values.extend_from_slice(&self.values[index * inner..(index + 1) * inner]);
        }
        Some(Self::new([&indices.dims, rest].concat(), values))
    }

    /// `Concat` along the first axis.
    pub(super) fn joined(parts: Vec<&Self>) -> Option<Self> {
        let rest = parts.first()?.dims.get(1..)?.to_vec();
        let mut all = Self::new([vec![0], rest.clone()].concat(), Vec::new());
        for part in parts {
            if part.dims.get(1..)? != rest {
                return None;
            }
            all.dims[0] += part.dims[0];
            all.values.extend_from_slice(&part.values);
        }
        Some(all)
    }
}

impl Tensor<f32> {
    pub(super) fn mapped(&self, function: Unary) -> Self {
        let values = self.values.iter().map(|&v| function.of(v)).collect();
        Self::new(self.dims.clone(), values)
    }

    /// `a op b` where one is a single number or both are of one shape.
    pub(super) fn with(&self, arith: Arith, other: &Self) -> Option<Self> {
        let values = match (&self.values[..], &other.values[..]) {
            (all, [b]) if other.dims.len() <= self.dims.len() => {
                all.iter().map(|&a| arith.of(a, *b)).collect()
            }
            ([a], all) if self.dims.len() <= other.dims.len() => {
                let values = all.iter().map(|&b| arith.of(*a, b)).collect();
                return Some(Self::new(other.dims.clone(), values));
            }
            (a, b) if self.dims == other.dims => {
                a.iter().zip(b).map(|(&a, &b)| arith.of(a, b)).collect()
            }
            _ => return None,
        };
        Some(Self::new(self.dims.clone(), values))
    }
}

impl Known {
    pub(super) fn dims(&self) -> &[usize] {
        match self {
            Self::Floats(tensor) => &tensor.dims,
            Self::Integers(tensor) => &tensor.dims,
        }
    }

    pub(super) fn reshaped(self, dims: Vec<usize>) -> Option<Self> {
        Some(match self {
            Self::Floats(tensor) => Self::Floats(tensor.reshaped(dims)?),
            Self::Integers(tensor) => Self::Integers(tensor.reshaped(dims)?),
        })
    }

    pub(super) fn transposed(&self, order: Option<&[i64]>) -> Option<Self> {
        Some(match self {
            Self::Floats(tensor) => Self::Floats(tensor.transposed(order)?),
            Self::Integers(tensor) => Self::Integers(tensor.transposed(order)?),
        })
    }

    pub(super) fn sliced(&self, ranges: &[Range]) -> Option<Self> {
        Some(match self {
            Self::Floats(tensor) => Self::Floats(tensor.sliced(ranges)?),
            Self::Integers(tensor) => Self::Integers(tensor.sliced(ranges)?),
        })
    }

    pub(super) fn gathered(&self, indices: &Tensor<i64>) -> Option<Self> {
        Some(match self {
            Self::Floats(tensor) => Self::Floats(tensor.gathered(indices)?),
            Self::Integers(tensor) => Self::Integers(tensor.gathered(indices)?),
        })
    }
}

/// Part of an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) start: usize,
    pub(super) count: usize,
    pub(super) step: isize,
}

impl Range {
    pub(super) fn whole(size: usize) -> Self {
        Self {
            start: 0,
            count: size,
            step: 1,
        }
    }

    /// ONNX's slice of an axis of extent `size`; `None` for a step of 0.
    pub(super) fn of(size: usize, start: i64, end: i64, step: i64) -> Option<Self> {
        let extent = size as i128;
        let step = i128::from(step);
        let wrap = |v: i64| i128::from(v) + if v < 0 { extent } else { 0 };
        let (start, end) = match step {
            0 => return None,
            _ if extent == 0 => (0, 0),
            1.. => (wrap(start).clamp(0, extent), wrap(end).clamp(0, extent)),
            _ => (
                wrap(start).clamp(0, extent - 1),
                wrap(end).clamp(-1, extent - 1),
            ),
        };
        let count = ((end - start + step - step.signum()) / step).max(0);
        Some(Self {
            start: usize::try_from(start).ok()?,
            count: usize::try_from(count).ok()?,
            step: isize::try_from(step.clamp(-extent - 1, extent + 1)).ok()?,
        })
    }
}

/// An axis counted from the front.
pub(super) fn wrap(axis: i64, rank: usize) -> Option<usize> {
    let axis = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(axis).ok()
}

/// Different axes of a tensor of this rank, counted from the front.
pub(super) fn axes(list: &[i64], rank: usize) -> Option<Vec<usize>> {
    let wrapped: Option<Vec<usize>> = list
        .iter()
        .map(|&axis| wrap(axis, rank).filter(|&axis| axis < rank))
        .collect();
    wrapped.filter(|axes| (1..axes.len()).all(|i| !axes[..i].contains(&axes[i])))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against `Vec`'s own way of stepping, from ONNX's definition.
    #[test]
    fn slices_are_onnx_slices() {
        let values: Vec<i64> = (0..5).collect();
        let take = |start, end, step| {
            let range = Range::of(5, start, end, step).unwrap();
            let tensor = Tensor::new(vec![5], values.clone());
            tensor.sliced(&[range]).unwrap().values
        };
        assert_eq!(take(0, i64::MAX, 2), [0, 2, 4]);
        assert_eq!(take(1, -1, 1), [1, 2, 3]);
        assert_eq!(take(-2, 9, 1), [3, 4]);
        assert_eq!(take(-1, i64::MIN, -1), [4, 3, 2, 1, 0]);
        assert_eq!(take(3, 0, -2), [3, 1]);
        assert_eq!(take(4, 2, 1), []);
        assert_eq!(take(i64::MIN, i64::MAX, i64::MAX), [0]);
        assert_eq!(Range::of(5, 0, 5, 0), None);
    }

    #[test]
    fn axes_are_wrapped_and_different() {
        assert_eq!(axes(&[0, -1], 3), Some(vec![0, 2]));
        assert_eq!(axes(&[2, -1], 3), None);
        assert_eq!(axes(&[3], 3), None);
        assert_eq!(axes(&[-4], 3), None);
    }
}
