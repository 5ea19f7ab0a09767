//! Row-major arrays, and the arithmetic of their shapes.

use super::{Result, wrong};

/// A row-major array. Kernels see float elements as `f64` and integers as `i128`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Array<T> {
    pub(super) shape: Vec<usize>,
    pub(super) data: Vec<T>,
}

impl<T: Copy> Array<T> {
    pub(super) fn new(shape: Vec<usize>, data: Vec<T>) -> Self {
        debug_assert_eq!(shape.iter().product::<usize>(), data.len());
        Self { shape, data }
    }

    pub(super) fn scalar(value: T) -> Self {
        Self::new(Vec::new(), vec![value])
    }

    pub(super) fn map<U: Copy>(&self, function: impl FnMut(T) -> U) -> Array<U> {
        let data = self.data.iter().copied().map(function).collect();
        Array::new(self.shape.clone(), data)
    }

    /// `function` of every pair of elements, both arrays broadcast to one shape.
    pub(super) fn zip<U: Copy, V: Copy>(
        &self,
        other: &Array<U>,
        mut function: impl FnMut(T, U) -> V,
    ) -> Result<Array<V>> {
        let shape = broadcast(&self.shape, &other.shape)?;
        let left = broadcast_offsets(&self.shape, &shape)?;
        let right = broadcast_offsets(&other.shape, &shape)?;
        let pairs = left.iter().zip(&right);
        let data = pairs
            .map(|(&l, &r)| function(self.data[l], other.data[r]))
            .collect();
        Ok(Array::new(shape, data))
    }
}

/// How many elements lie between neighbours along each axis.
pub(super) fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

/// Calls `visit` with every index of an array of `shape`, in row-major order.
pub(super) fn for_each_index(shape: &[usize], mut visit: impl FnMut(&[usize])) {
    if shape.contains(&0) {
        return;
    }
    let mut index = vec![0; shape.len()];
    loop {
        visit(&index);
        let Some(axis) = (0..shape.len()).rev().find(|&a| index[a] + 1 < shape[a]) else {
            return;
        };
        index[axis] += 1;
        index[axis + 1..].fill(0);
    }
}

/// Where the elements of an array of `shape` lie in memory that is `strides`
/// from one to the next along each axis and starts at `start`, in row-major order.
pub(super) fn offsets(shape: &[usize], strides: &[isize], start: usize) -> Vec<usize> {
    let mut offsets = Vec::with_capacity(shape.iter().product());
    for_each_index(shape, |index| {
        let steps = index.iter().zip(strides);
        let offset: isize = steps.map(|(&i, &s)| i as isize * s).sum();
        offsets.push(start.wrapping_add_signed(offset));
    });
    offsets
}

/// The shape that two arrays broadcast to.
pub(super) fn broadcast(a: &[usize], b: &[usize]) -> Result<Vec<usize>> {
    let rank = a.len().max(b.len());
    let extent = |shape: &[usize], axis: usize| {
        (axis + shape.len())
            .checked_sub(rank)
            .map_or(1, |axis| shape[axis])
    };
    (0..rank)
        .map(|axis| match (extent(a, axis), extent(b, axis)) {
            (1, n) | (n, 1) => Ok(n),
            (n, m) if n == m => Ok(n),
            _ => Err(wrong(format!("shapes {a:?} and {b:?} do not broadcast"))),
        })
        .collect()
}

/// For every element of an array of shape `to`, the element of an array of
/// shape `from` that broadcasting puts there.
pub(super) fn broadcast_offsets(from: &[usize], to: &[usize]) -> Result<Vec<usize>> {
    if broadcast(from, to)? != to {
        return Err(wrong(format!(
            "shape {from:?} does not broadcast to {to:?}"
        )));
    }
    let added = to.len() - from.len();
    let mut along = vec![0; to.len()];
    for (axis, stride) in strides(from).into_iter().enumerate() {
        if from[axis] != 1 {
            along[added + axis] = stride as isize;
        }
    }
    Ok(offsets(to, &along, 0))
}

/// The lines of an array along some of its axes: element `steps[j]` of line
/// `i` lies at `starts[i] + steps[j]`.
pub(super) struct Lanes {
    pub(super) starts: Vec<usize>,
    pub(super) steps: Vec<usize>,
}

impl Lanes {
    /// The lines that run along `axes`, and there are as many as elements
    /// along the other axes.
    pub(super) fn new(shape: &[usize], axes: &[usize]) -> Self {
        let strides = strides(shape);
        let part = |along: bool| {
            let axes: Vec<usize> = (0..shape.len())
                .filter(|axis| axes.contains(axis) == along)
                .collect();
            let extents: Vec<usize> = axes.iter().map(|&axis| shape[axis]).collect();
            let strides: Vec<isize> = axes.iter().map(|&axis| strides[axis] as isize).collect();
            offsets(&extents, &strides, 0)
        };
        Self {
            starts: part(false),
            steps: part(true),
        }
    }
}

impl<T: Copy> Array<T> {
    /// One value for every line along `axes`, in row-major order.
    pub(super) fn fold_lanes<U>(&self, axes: &[usize], mut fold: impl FnMut(&[T]) -> U) -> Vec<U> {
        let lanes = Lanes::new(&self.shape, axes);
        let mut line = Vec::with_capacity(lanes.steps.len());
        let mut results = Vec::with_capacity(lanes.starts.len());
        for start in lanes.starts {
            line.clear();
            line.extend(lanes.steps.iter().map(|step| self.data[start + step]));
            results.push(fold(&line));
        }
        results
    }

    /// Replaces every line along `axes` by what `change` makes of it.
    pub(super) fn map_lanes(&self, axes: &[usize], mut change: impl FnMut(&mut [T])) -> Self {
        let lanes = Lanes::new(&self.shape, axes);
        let mut result = self.clone();
        let mut line = Vec::with_capacity(lanes.steps.len());
        for start in lanes.starts {
            line.clear();
            line.extend(lanes.steps.iter().map(|step| self.data[start + step]));
            change(&mut line);
            for (step, value) in lanes.steps.iter().zip(&line) {
                result.data[start + step] = *value;
            }
        }
        result
    }
}
