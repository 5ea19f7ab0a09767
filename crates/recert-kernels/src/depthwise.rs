//! Depthwise convolution: one input channel an output channel.

use crate::conv::{Filter, Window};
use crate::memory::{Blocked, Buffer};
use crate::simd::{Call, FloatKernel, Floats, Isa, LANES, Lanes, Reach, Taps};
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
        assert!(Self::takes(filter) && input.lanes == LANES);
        filter.check(&window, input, output, residual);
        let taps = window.kernel[0] * window.kernel[1];
        let mut weights = Buffer::zeros(output.blocks() * taps * LANES);
        for channel in 0..filter.outputs {
            for tap in 0..taps {
                let offset = (channel / LANES * taps + tap) * LANES + channel % LANES;
                weights.values_mut()[offset] = filter.weights[channel * taps + tap];
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
        assert_eq!(residual.is_some(), self.residual.is_some());
        self.isa.run_floats(Pixels(Call {
            op: self,
            input: input.as_chunks().0,
            residual: residual.map(|values| values.as_chunks().0),
            output: output.as_chunks_mut().0,
        }));
    }
}

/// One image, by pixels of one block.
struct Pixels<'a>(Call<'a, Depthwise, Lanes>);

impl FloatKernel for Pixels<'_> {
    #[inline(always)]
    fn run<S: Floats>(mut self, simd: S) {
        let op = self.0.op;
        for block in 0..op.output.blocks() {
            for y in 0..op.output.height {
                let taps = op.window.taps(0, y, op.input.height);
                let mut x = 0;
                while x < op.output.width {
                    if x + PIXELS <= op.output.width {
                        self.compute::<S, PIXELS>(simd, [block, y, x], taps);
                        x += PIXELS;
                    } else {
                        self.compute::<S, 1>(simd, [block, y, x], taps);
                        x += 1;
                    }
                }
            }
        }
    }
}

impl Pixels<'_> {
    /// Computes `P` pixels of a row, from the rows of taps from `top` to
    /// before `bottom`.
    #[inline(always)]
    fn compute<S: Floats, const P: usize>(
        &mut self,
        simd: S,
        [block, y, x]: [usize; 3],
        (top, bottom): (usize, usize),
    ) {
        let Depthwise {
            window,
            input: from,
            output: to,
            ref weights,
            ref bias,
            ..
        } = *self.0.op;
        let [rows, columns] = window.kernel;
        let step = window.stride[1];
        let left = from.left - window.before[1] + x * step;
        let weights = &weights.lanes()[block * rows * columns..][..rows * columns];
        let mut sums = [simd.load(&bias.lanes()[block]); P];
        let above = if top < bottom {
            window.padded(0, y, top) - window.before[0]
        } else {
            0
        };
        let first = (block * from.block() + above * from.row()) / LANES + left;
        let reach = Reach {
            counts: [1, bottom - top, columns],
            strides: [
                0,
                window.dilation[0] * (from.row() / LANES),
                window.dilation[1],
            ],
            pixel: step,
            channels: 1,
        };
        let taps = Taps::<Lanes, P>::new(&self.0.input[first..], reach);
        let mut weights = weights[top * columns..].iter();
        for row in 0..bottom - top {
            for column in 0..columns {
                let tap = taps.tap([0, row, column], 1);
                let w = simd.load(weights.next().expect("every tap has weights"));
                for (p, sum) in sums.iter_mut().enumerate() {
                    *sum = simd.fma(simd.load(tap.get(0, p)), w, *sum);
                }
            }
        }
        if let (Some(values), Some(layout)) = (self.0.residual, &self.0.op.residual) {
            let residual = &values[layout.offset(block, y, x) / LANES..][..P];
            for (sum, residual) in sums.iter_mut().zip(residual) {
                *sum = simd.add(*sum, simd.load(residual));
            }
        }
        let output = &mut self.0.output[to.offset(block, y, x) / LANES..][..P];
        for (output, &sum) in output.iter_mut().zip(&sums) {
            *output = simd.lanes(self.0.op.clamp.apply(simd, sum));
        }
    }
}
