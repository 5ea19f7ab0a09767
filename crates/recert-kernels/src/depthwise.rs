//! Depthwise convolution: one input channel an output channel.

use crate::conv::{Filter, Window};
use crate::memory::{Blocked, Buffer};
use crate::simd::{Isa, LANES, Simd, compiled};
use crate::tile::Clamp;

/// Pixels that are summed side by side.
const PIXELS: usize = 8;

/// A depthwise convolution. Every output is the bias, then one fused
/// multiply-add a tap inside the rows of the image, row by row.
pub(crate) struct Depthwise {
    window: Window,
    input: Blocked,
    output: Blocked,
    residual: Option<Blocked>,
    /// `[block][tap][16]`.
    weights: Buffer,
    bias: Buffer,
    clamp: Clamp,
    isa: Isa,
}

impl Depthwise {
    /// Whether the filter is of this kind.
    pub(crate) fn takes(filter: &Filter) -> bool {
        filter.inputs == 1 && filter.outputs == filter.groups
    }

    pub(crate) fn new(
        filter: &Filter,
        window: Window,
        input: Blocked,
        output: Blocked,
        residual: Option<Blocked>,
        clamp: Clamp,
        isa: Isa,
    ) -> Self {
        let (left, right) = window.borders(input.width);
        assert!(
            left <= input.left && right <= input.right,
            "too few borders"
        );
        assert!(Self::takes(filter) && input.lanes == LANES && output.lanes == LANES);
        assert_eq!(filter.outputs, input.channels);
        assert_eq!(filter.outputs, output.channels);
        assert_eq!([output.height, output.width], window.output);
        assert!(residual.is_none_or(|r| {
            (r.lanes, r.channels, r.height, r.width)
                == (LANES, output.channels, output.height, output.width)
        }));
        let taps = window.kernel[0] * window.kernel[1];
        let mut weights = Buffer::zeros(output.blocks() * taps * LANES);
        for channel in 0..filter.outputs {
            for tap in 0..taps {
                let place = (channel / LANES * taps + tap) * LANES + channel % LANES;
                weights.values_mut()[place] = filter.weights[channel * taps + tap];
            }
        }
        Self {
            window,
            input,
            output,
            residual,
            weights,
            bias: Buffer::of(&filter.bias),
            clamp,
            isa,
        }
    }

    /// Computes one image. `residual` is there if and only if `new` was given
    /// its layout.
    pub(crate) fn run(&self, input: &[f32], residual: Option<&[f32]>, output: &mut [f32]) {
        assert!(input.len() >= self.input.size() && output.len() >= self.output.size());
        assert_eq!(residual.is_some(), self.residual.is_some());
        if let (Some(values), Some(layout)) = (residual, self.residual) {
            assert!(values.len() >= layout.size());
        }
        run(self.isa, self, input, residual, output);
    }
}

compiled! {
    fn run = generic(
        op: &Depthwise,
        input: &[f32],
        residual: Option<&[f32]>,
        output: &mut [f32],
    )
}

/// # Safety
/// That of [`Simd`], and the slices must hold their tensors.
#[expect(unsafe_code, reason = "it works with pointers")]
#[expect(
    clippy::inline_always,
    reason = "it is compiled once an instruction set"
)]
#[inline(always)]
unsafe fn generic<S: Simd>(
    op: &Depthwise,
    input: &[f32],
    residual: Option<&[f32]>,
    output: &mut [f32],
) {
    for block in 0..op.output.blocks() {
        for y in 0..op.output.height {
            let taps = op.window.taps(0, y, op.input.height);
            let mut x = 0;
            while x < op.output.width {
                // SAFETY: the caller vouches for the slices; the pixels lie in
                // the row.
                unsafe {
                    if x + PIXELS <= op.output.width {
                        pixels::<S, PIXELS>(op, [block, y, x], taps, input, residual, output);
                        x += PIXELS;
                    } else {
                        pixels::<S, 1>(op, [block, y, x], taps, input, residual, output);
                        x += 1;
                    }
                }
            }
        }
    }
}

/// # Safety
/// As [`generic`], and `P` pixels from the one given must lie in the row.
#[expect(unsafe_code, reason = "it works with pointers")]
#[expect(
    clippy::inline_always,
    reason = "it is compiled once an instruction set"
)]
#[inline(always)]
unsafe fn pixels<S: Simd, const P: usize>(
    op: &Depthwise,
    [block, y, x]: [usize; 3],
    (top, bottom): (usize, usize),
    input: &[f32],
    residual: Option<&[f32]>,
    output: &mut [f32],
) {
    let [rows, columns] = op.window.kernel;
    let step = op.window.stride[1] * LANES;
    let left = op.input.left - op.window.before[1];
    // SAFETY: `new` has checked that the window stays inside the input and its
    // borders and that the shapes of all tensors belong together, the caller
    // vouches for the rest.
    unsafe {
        let weights = op
            .weights
            .values()
            .as_ptr()
            .add(block * rows * columns * LANES);
        let mut sums = [S::load(op.bias.values().as_ptr().add(block * LANES)); P];
        for row in top..bottom {
            let at = op.window.padded(0, y, row) - op.window.before[0];
            let from = input
                .as_ptr()
                .add(block * op.input.block() + at * op.input.row() + left * LANES + x * step);
            for column in 0..columns {
                let w = S::load(weights.add((row * columns + column) * LANES));
                let from = from.add(column * op.window.dilation[1] * LANES);
                for (p, sum) in sums.iter_mut().enumerate() {
                    *sum = S::fma(S::load(from.add(p * step)), w, *sum);
                }
            }
        }
        for (p, &sum) in sums.iter().enumerate() {
            let mut sum = sum;
            if let (Some(values), Some(layout)) = (residual, &op.residual) {
                let other = values.as_ptr().add(layout.at(block, y, x + p));
                sum = S::add(sum, S::load(other));
            }
            let to = output.as_mut_ptr().add(op.output.at(block, y, x + p));
            S::store(to, op.clamp.apply::<S>(sum));
        }
    }
}
