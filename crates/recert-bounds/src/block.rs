//! Blocks of rows of coefficients over a value, each row a window of it.
//!
//! A neuron of a convolution depends on few positions of the image, the same number for all
//! neurons of a layer. A block stores these alone: every row has a window of the same size, at an
//! origin of its own, over all channels. A window may reach beyond the image, where its
//! coefficients are 0. A block whose window is the whole value is dense.

use std::ops::Range;

use crate::buffers::Buffers;
use crate::layout::Layout;

/// Rows of coefficients over one value.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    /// The height and width of every row's window.
    pub(crate) size: [usize; 2],
    pub(crate) channels: usize,
    /// Where each row's window begins: y and x.
    pub(crate) origins: Vec<[isize; 2]>,
    /// `[rows, height, width, channels]`.
    pub(crate) data: Vec<f64>,
}

impl Block {
    /// Zeros over windows.
    pub(crate) fn zeros(
        size: [usize; 2],
        channels: usize,
        origins: Vec<[isize; 2]>,
        buffers: &mut Buffers,
    ) -> Self {
        let data = buffers.zeros(origins.len() * size[0] * size[1] * channels);
        Self {
            size,
            channels,
            origins,
            data,
        }
    }

    /// Rows over the whole of a value.
    pub(crate) fn dense(layout: Layout, data: Vec<f64>) -> Self {
        let rows = data.len().checked_div(layout.len()).unwrap_or(0);
        Self {
            size: [layout.height, layout.width],
            channels: layout.channels,
            origins: vec![[0, 0]; rows],
            data,
        }
    }

    /// Rows that are each one element of a value, times a factor.
    pub(crate) fn units(layout: Layout, units: &[(usize, f64)], buffers: &mut Buffers) -> Self {
        let channels = layout.channels;
        let origin = |&(index, _): &(usize, f64)| {
            let position = index / channels;
            let (y, x) = (position / layout.width, position % layout.width);
            [y as isize, x as isize]
        };
        let origins = units.iter().map(origin).collect();
        let mut block = Self::zeros([1, 1], channels, origins, buffers);
        for (row, &(index, factor)) in units.iter().enumerate() {
            block.data[row * channels + index % channels] = factor;
        }
        block
    }

    pub(crate) fn rows(&self) -> usize {
        self.origins.len()
    }

    /// The number of coefficients of a row.
    pub(crate) fn row_len(&self) -> usize {
        self.size[0] * self.size[1] * self.channels
    }

    /// Whether every row is over the whole value.
    pub(crate) fn is_dense(&self, layout: Layout) -> bool {
        self.size == [layout.height, layout.width] && self.origins.iter().all(|o| *o == [0, 0])
    }

    /// Calls `visit` with every run of a row's coefficients that lies side by side in the
    /// value: the row, where in `data`, and where in the value. Padding is left out.
    pub(crate) fn runs(
        &self,
        layout: Layout,
        mut visit: impl FnMut(usize, Range<usize>, Range<usize>),
    ) {
        let [height, width] = self.size;
        let length = self.row_len();
        for (row, &[top, left]) in self.origins.iter().enumerate() {
            let start = row * length;
            if left == 0 && top == 0 && self.size == [layout.height, layout.width] {
                visit(row, start..start + length, 0..length);
                continue;
            }
            let first = (-left).clamp(0, width as isize) as usize;
            let last = (layout.width as isize - left).clamp(first as isize, width as isize);
            let count = (last as usize - first) * self.channels;
            if count == 0 {
                continue;
            }
            let lines = (-top).clamp(0, height as isize) as usize
                ..(layout.height as isize - top).clamp(0, height as isize) as usize;
            for line in lines {
                let from = start + (line * width + first) * self.channels;
                let y = (top + line as isize) as usize;
                let x = (left + first as isize) as usize;
                let to = (y * layout.width + x) * self.channels;
                visit(row, from..from + count, to..to + count);
            }
        }
    }

    /// The same rows over the whole value.
    pub(crate) fn into_dense(self, layout: Layout, buffers: &mut Buffers) -> Self {
        if self.is_dense(layout) {
            return self;
        }
        let length = layout.len();
        let mut data = buffers.zeros(self.rows() * length);
        self.runs(layout, |row, from, to| {
            let to = row * length + to.start..row * length + to.end;
            data[to].copy_from_slice(&self.data[from]);
        });
        buffers.give(self.data);
        Self::dense(layout, data)
    }

    /// The sum of two blocks of rows over the same value.
    pub(crate) fn plus(self, other: Self, layout: Layout, buffers: &mut Buffers) -> Self {
        let mut sum = self;
        if sum.size != other.size || sum.origins != other.origins {
            sum = sum.widened_for(&other, layout, buffers);
        }
        if sum.size == other.size && sum.origins == other.origins {
            add(&mut sum.data, &other.data);
        } else {
            sum = sum.plus_within(&other, layout);
        }
        buffers.give(other.data);
        sum
    }

    /// The same rows over windows that hold those of `other` too.
    fn widened_for(self, other: &Self, layout: Layout, buffers: &mut Buffers) -> Self {
        let pairs = || self.origins.iter().zip(&other.origins);
        let extents = [layout.height, layout.width];
        let mut size = [0, 0];
        for axis in 0..2 {
            let needed = pairs().map(|(a, b)| {
                let end =
                    (a[axis] + self.size[axis] as isize).max(b[axis] + other.size[axis] as isize);
                (end - a[axis].min(b[axis])) as usize
            });
            size[axis] = needed.max().unwrap_or(0).min(extents[axis]);
        }
        let origin = |axis: usize, a: isize, b: isize| {
            if size[axis] == extents[axis] {
                0
            } else {
                a.min(b)
            }
        };
        let origins = pairs().map(|(a, b)| [origin(0, a[0], b[0]), origin(1, a[1], b[1])]);
        let zeros = Self::zeros(size, self.channels, origins.collect(), buffers);
        let widened = zeros.plus_within(&self, layout);
        buffers.give(self.data);
        widened
    }

    /// Adds rows whose windows lie within these, as far as they lie in the image.
    fn plus_within(mut self, other: &Self, layout: Layout) -> Self {
        let [_, width] = self.size;
        let (length, channels) = (self.row_len(), self.channels);
        other.runs(layout, |row, from, to| {
            let [top, left] = self.origins[row];
            // A run may be several lines where both are as wide as the image.
            let line = layout.width * channels;
            let mut from = from;
            let mut to = to;
            while !to.is_empty() {
                let count = (line - to.start % line).min(to.len());
                let y = (to.start / line) as isize - top;
                let x = (to.start % line / channels) as isize - left;
                let start = row * length + (y as usize * width + x as usize) * channels;
                let part = from.start..from.start + count;
                add(&mut self.data[start..start + count], &other.data[part]);
                from.start += count;
                to.start += count;
            }
        });
        self
    }
}

fn add(to: &mut [f64], from: &[f64]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to += from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYOUT: Layout = Layout {
        height: 4,
        width: 5,
        channels: 2,
    };

    /// Rows with windows of this size, numbered within the image and 0 beyond it.
    fn numbered(size: [usize; 2], origins: &[[isize; 2]]) -> Block {
        let mut block = Block::zeros(size, 2, origins.to_vec(), &mut Buffers::default());
        let mut ranges = Vec::new();
        block.runs(LAYOUT, |_, from, _| ranges.push(from));
        for i in ranges.into_iter().flatten() {
            block.data[i] = 1.0 + i as f64;
        }
        block
    }

    #[test]
    fn sums_of_windows_are_sums_of_rows() {
        let buffers = &mut Buffers::default();
        let cases = [
            ([2, 3], vec![[-1, -1], [0, 2], [3, 4]]),
            ([1, 1], vec![[0, 0], [3, 4], [1, 2]]),
            ([4, 5], vec![[0, 0]; 3]),
            ([4, 2], vec![[0, -1], [0, 4], [0, 1]]),
            ([3, 5], vec![[-2, 0], [2, 0], [1, 0]]),
        ];
        for (size, origins) in &cases {
            for (other_size, other_origins) in &cases {
                let a = numbered(*size, origins);
                let b = numbered(*other_size, other_origins);
                let [x, y] = [&a, &b].map(|block| block.clone().into_dense(LAYOUT, buffers));
                let want: Vec<f64> = x.data.iter().zip(&y.data).map(|(x, y)| x + y).collect();
                let sum = a.plus(b, LAYOUT, buffers);
                assert!(sum.size[0] <= 4 && sum.size[1] <= 5);
                assert_eq!(sum.into_dense(LAYOUT, buffers).data, want);
            }
        }
    }

    #[test]
    fn units_are_single_elements() {
        let buffers = &mut Buffers::default();
        let units = Block::units(LAYOUT, &[(0, 1.0), (33, -1.0)], buffers);
        let dense = units.into_dense(LAYOUT, buffers);
        let nonzero = dense.data.iter().enumerate().filter(|(_, v)| **v != 0.0);
        assert!(nonzero.eq([(0, &1.0), (40 + 33, &-1.0)]));
    }
}
