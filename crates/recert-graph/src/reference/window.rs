//! A window that slides over the spatial axes: what convolution and pooling share.

use super::array::{for_each_index, strides};
use crate::Window;

/// One element of the window that lies on the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tap {
    /// Which element of the input's spatial axes.
    pub(super) input: usize,
    /// Which element of the kernel.
    pub(super) kernel: usize,
}

/// A window over an input of known extents.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sliding<'a> {
    pub(super) window: &'a Window,
    /// The input's spatial extents.
    pub(super) input: &'a [usize],
    /// How many positions the window takes along each axis.
    pub(super) positions: &'a [usize],
}

impl<'a> Sliding<'a> {
    pub(super) fn new(window: &'a Window, input: &'a [usize]) -> Self {
        let positions = &window.output;
        Self {
            window,
            input,
            positions,
        }
    }

    /// Calls `visit` for every position of the window, in row-major order, with
    /// its number, its index and those elements of it that lie on the input.
    pub(super) fn for_each_position(self, mut visit: impl FnMut(usize, &[usize], &[Tap])) {
        let along = strides(self.input);
        let mut taps = Vec::new();
        let mut number = 0;
        for_each_index(self.positions, |position| {
            taps.clear();
            let mut kernel = 0;
            for_each_index(&self.window.kernel, |element| {
                if let Some(input) = self.input_under(position, element, &along) {
                    taps.push(Tap { input, kernel });
                }
                kernel += 1;
            });
            visit(number, position, &taps);
            number += 1;
        });
    }

    /// How many elements of the window lie on the input or its padding: where
    /// the file rounds up, the last window may reach beyond both.
    pub(super) fn padded_elements(self, position: &[usize]) -> usize {
        let along_axis = |axis: usize| {
            let end = self.window.before[axis] + self.input[axis] + self.window.after[axis];
            (0..self.window.kernel[axis])
                .filter(|&element| self.padded_position(axis, position[axis], element) < end)
                .count()
        };
        (0..self.input.len()).map(along_axis).product()
    }

    /// The position along the padded axis under one element of the window.
    fn padded_position(self, axis: usize, position: usize, element: usize) -> usize {
        position * self.window.strides[axis] + element * self.window.dilations[axis]
    }

    fn input_under(self, position: &[usize], element: &[usize], along: &[usize]) -> Option<usize> {
        let mut offset = 0;
        for axis in 0..self.input.len() {
            let coordinate = self.padded_position(axis, position[axis], element[axis]);
            let coordinate = coordinate.checked_sub(self.window.before[axis])?;
            if coordinate >= self.input[axis] {
                return None;
            }
            offset += coordinate * along[axis];
        }
        Some(offset)
    }
}
