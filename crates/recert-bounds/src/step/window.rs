//! Where the windows of convolutions and poolings lie in an image.

use crate::layout::Layout;

/// Windows over an image of two spatial axes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) input: Layout,
    pub(crate) output: Layout,
    pub(crate) kernel: [usize; 2],
    pub(crate) strides: [usize; 2],
    pub(crate) dilations: [usize; 2],
    pub(crate) before: [usize; 2],
}

impl Window {
    /// The number of positions in a window.
    pub(crate) fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// The position in the input that `tap` of the window at `out` is at, along an axis.
    pub(crate) fn source(&self, axis: usize, out: isize, tap: usize) -> isize {
        out * self.strides[axis] as isize - self.before[axis] as isize
            + (tap * self.dilations[axis]) as isize
    }

    fn extent(layout: Layout, axis: usize) -> usize {
        [layout.height, layout.width][axis]
    }

    /// The size of the windows of the input that windows of `size` of the output depend on; no
    /// larger than the image.
    pub(crate) fn reached(&self, size: [usize; 2]) -> [usize; 2] {
        [0, 1].map(|axis| {
            let span = (size[axis].max(1) - 1) * self.strides[axis]
                + (self.kernel[axis] - 1) * self.dilations[axis]
                + 1;
            span.min(Self::extent(self.input, axis))
        })
    }

    /// Where these begin, for a window of the output that begins at `origin`.
    pub(crate) fn origin(&self, origin: [isize; 2], size: [usize; 2]) -> [isize; 2] {
        [0, 1].map(|axis| {
            if size[axis] == Self::extent(self.input, axis) {
                0
            } else {
                self.source(axis, origin[axis], 0)
            }
        })
    }

    /// Calls `visit` with every tap at the output position `(y, x)` that lies in the image:
    /// the tap's number, and the position's number in the input.
    pub(crate) fn taps_at(&self, y: usize, x: usize, mut visit: impl FnMut(usize, usize)) {
        for i in 0..self.kernel[0] {
            let from_y = self.source(0, y as isize, i);
            if !(0..self.input.height as isize).contains(&from_y) {
                continue;
            }
            for j in 0..self.kernel[1] {
                let from_x = self.source(1, x as isize, j);
                if (0..self.input.width as isize).contains(&from_x) {
                    let position = from_y as usize * self.input.width + from_x as usize;
                    visit(i * self.kernel[1] + j, position);
                }
            }
        }
    }

    /// The runs of taps of the output position `(y, x)`, along the last axis, that lie side by
    /// side in the input and within the image: the first tap's number, how many, and the
    /// position `(y, x)` of the first.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "to be compiled for each set of instructions"
    )]
    pub(crate) fn tap_runs(
        &self,
        [y, x]: [isize; 2],
        mut visit: impl FnMut(usize, usize, [isize; 2]),
    ) {
        let width = self.input.width as isize;
        for i in 0..self.kernel[0] {
            let from_y = self.source(0, y, i);
            if !(0..self.input.height as isize).contains(&from_y) {
                continue;
            }
            let first = i * self.kernel[1];
            let from_x = self.source(1, x, 0);
            if self.dilations[1] == 1 {
                let skipped = (-from_x).max(0);
                let count = self.kernel[1] as isize - skipped;
                let count = count.min(width - from_x - skipped);
                if count > 0 {
                    let place = [from_y, from_x + skipped];
                    visit(first + skipped as usize, count as usize, place);
                }
                continue;
            }
            for j in 0..self.kernel[1] {
                let from_x = self.source(1, x, j);
                if (0..width).contains(&from_x) {
                    visit(first + j, 1, [from_y, from_x]);
                }
            }
        }
    }
}
