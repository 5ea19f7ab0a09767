//! Depthwise convolution: one input channel an output channel.

use super::conv::{Tensors, blocks_of};
use super::end::{End, Epilogue, finish};
use super::filter::ByteFilter;
use crate::memory::Buffer;
use crate::simd::{ByteLanes, Call, IntKernel, Ints, Isa, LANES, Reach, Taps};

/// Pixels that are summed side by side.
const PIXELS: usize = 8;

/// A depthwise convolution.
pub(crate) struct ByteDepthwise {
    tensors: Tensors,
    /// `[block][tap]`.
    weights: Vec<[i32; LANES]>,
    start: Vec<[i32; LANES]>,
    factor: Buffer,
    offset: Buffer,
    end: End,
    isa: Isa,
}

impl ByteDepthwise {
    pub(crate) fn new(
        filter: &ByteFilter,
        epilogue: &Epilogue,
        tensors: &Tensors,
        isa: Isa,
    ) -> Self {
        tensors.check(filter, epilogue);
        assert!(filter.is_depthwise() && tensors.input.lanes == LANES);
        let taps: usize = tensors.window.kernel.iter().product();
        let mut weights = vec![[0; LANES]; filter.outputs.div_ceil(LANES) * taps];
        for (channel, values) in filter.weights.chunks_exact(taps).enumerate() {
            for (tap, &weight) in values.iter().enumerate() {
                weights[channel / LANES * taps + tap][channel % LANES] = i32::from(weight);
            }
        }
        Self {
            tensors: *tensors,
            weights,
            start: blocks_of(&filter.start),
            factor: Buffer::of(&epilogue.factor),
            offset: Buffer::of(&epilogue.offset),
            end: epilogue.end,
            isa,
        }
    }

    /// Computes one image. `residual` is there if and only if `new` was given
    /// its layout.
    pub(crate) fn run(&self, input: &[u8], residual: Option<&[u8]>, output: &mut [u8]) {
        self.tensors.hold(input, residual, output);
        self.isa.run_ints(Call {
            op: self,
            input,
            residual,
            output,
        });
    }
}

impl IntKernel for Call<'_, ByteDepthwise, u8> {
    #[inline(always)]
    fn run<N: Ints>(mut self, ints: N) {
        let [height, width] = self.op.tensors.window.output;
        for block in 0..self.op.tensors.input.blocks() {
            for y in 0..height {
                let mut x = 0;
                while x < width {
                    let pixel = [block, y, x];
                    match width - x {
                        PIXELS.. => pixels::<N, PIXELS>(ints, &mut self, pixel),
                        4.. => pixels::<N, 4>(ints, &mut self, pixel),
                        _ => pixels::<N, 1>(ints, &mut self, pixel),
                    }
                    x += match width - x {
                        PIXELS.. => PIXELS,
                        4.. => 4,
                        _ => 1,
                    };
                }
            }
        }
    }
}

/// Computes `P` pixels of a row.
#[inline(always)]
fn pixels<N: Ints, const P: usize>(
    ints: N,
    call: &mut Call<'_, ByteDepthwise, u8>,
    [block, y, x]: [usize; 3],
) {
    let op = call.op;
    let Tensors {
        window,
        input: from,
        output: to,
        residual: other,
    } = &op.tensors;
    let [rows, columns] = window.kernel;
    let step = window.stride[1];
    let above = from.borders[0] - window.before[0] + y * window.stride[0];
    let left = from.borders[1] - window.before[1] + x * step;
    let first = (block * from.block() + above * from.row()) / LANES + left;
    let input: &[ByteLanes] = &call.input.as_chunks().0[first..];
    let reach = Reach {
        counts: [1, rows, columns],
        strides: [
            0,
            window.dilation[0] * (from.row() / LANES),
            window.dilation[1],
        ],
        pixel: step,
        channels: 1,
    };
    let taps = Taps::<ByteLanes, P>::new(input, reach);
    let weights = &op.weights[block * rows * columns..][..rows * columns];
    let mut sums = [ints.load(&op.start[block]); P];
    for (row, weights) in weights.chunks_exact(columns).enumerate() {
        if let [a, b, c] = weights
            && step == 1
            && window.dilation[1] == 1
        {
            let input = &input[row * reach.strides[1]..];
            beside(ints, &mut sums, input, [a, b, c]);
            continue;
        }
        for (column, weights) in weights.iter().enumerate() {
            let w = ints.load(weights);
            let tap = taps.tap([0, row, column], 1);
            for (p, sum) in sums.iter_mut().enumerate() {
                *sum = ints.multiply(*sum, ints.widen(tap.get(0, p)), w);
            }
        }
    }
    let residual = call.residual.zip(other.as_ref());
    finish(
        ints,
        &op.end,
        sums,
        [&op.factor.lanes()[block], &op.offset.lanes()[block]],
        &mut call.output[to.offset(block, y, x)..],
        residual.map(|(bytes, layout)| &bytes[layout.offset(block, y, x)..]),
    );
}

/// Adds a row of three taps to sums of pixels side by side, each of which is
/// read once.
#[inline(always)]
fn beside<N: Ints, const P: usize>(
    ints: N,
    sums: &mut [N::I; P],
    input: &[ByteLanes],
    taps: [&[i32; LANES]; 3],
) {
    let w = [ints.load(taps[0]), ints.load(taps[1]), ints.load(taps[2])];
    let input = &input[..P + 2];
    let (mut first, mut second) = (ints.widen(&input[0]), ints.widen(&input[1]));
    for (sum, third) in sums.iter_mut().zip(&input[2..]) {
        let third = ints.widen(third);
        *sum = ints.multiply(*sum, first, w[0]);
        *sum = ints.multiply(*sum, second, w[1]);
        *sum = ints.multiply(*sum, third, w[2]);
        (first, second) = (second, third);
    }
}
