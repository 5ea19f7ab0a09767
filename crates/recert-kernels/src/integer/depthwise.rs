//! Depthwise convolution: one input channel an output channel.
#![expect(unsafe_code, reason = "it works with pointers")]

use super::conv::{Tensors, blocks_of};
use super::end::{End, Epilogue, finish};
use super::filter::ByteFilter;
use super::simd::{Ints, integers};
use crate::memory::Buffer;
use crate::simd::{Isa, LANES};

/// Pixels that are summed side by side.
const PIXELS: usize = 8;

/// A depthwise convolution.
pub(crate) struct ByteDepthwise {
    tensors: Tensors,
    /// `[block][tap][16]`.
    weights: Vec<i32>,
    start: Vec<i32>,
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
        let mut weights = vec![0; filter.outputs.div_ceil(LANES) * taps * LANES];
        for (channel, values) in filter.weights.chunks_exact(taps).enumerate() {
            for (tap, &weight) in values.iter().enumerate() {
                let place = (channel / LANES * taps + tap) * LANES + channel % LANES;
                weights[place] = i32::from(weight);
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
        run(self.isa, self, input, residual, output);
    }
}

integers! {
    fn run = generic(
        op: &ByteDepthwise,
        input: &[u8],
        residual: Option<&[u8]>,
        output: &mut [u8],
    )
}

/// # Safety
/// That of [`Ints`], and the slices must hold their tensors.
#[expect(
    clippy::inline_always,
    reason = "it is compiled once an instruction set"
)]
#[inline(always)]
unsafe fn generic<N: Ints>(
    op: &ByteDepthwise,
    input: &[u8],
    residual: Option<&[u8]>,
    output: &mut [u8],
) {
    let [height, width] = op.tensors.window.output;
    for block in 0..op.tensors.input.blocks() {
        for y in 0..height {
            let mut x = 0;
            while x < width {
                // SAFETY: the caller vouches for the slices; the pixels lie in
                // the row.
                unsafe {
                    let place = [block, y, x];
                    match width - x {
                        PIXELS.. => pixels::<N, PIXELS>(op, place, input, residual, output),
                        4.. => pixels::<N, 4>(op, place, input, residual, output),
                        _ => pixels::<N, 1>(op, place, input, residual, output),
                    }
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

/// # Safety
/// As [`generic`], and `P` pixels from the one given must lie in the row.
#[expect(
    clippy::inline_always,
    reason = "it is compiled once an instruction set"
)]
#[inline(always)]
unsafe fn pixels<N: Ints, const P: usize>(
    op: &ByteDepthwise,
    [block, y, x]: [usize; 3],
    input: &[u8],
    residual: Option<&[u8]>,
    output: &mut [u8],
) {
    let Tensors {
        window,
        input: from,
        output: to,
        residual: other,
    } = &op.tensors;
    let [rows, columns] = window.kernel;
    let step = window.stride[1] * LANES;
    let above = from.borders[0] - window.before[0] + y * window.stride[0];
    let left = from.borders[1] - window.before[1] + x * window.stride[1];
    let first = block * from.block() + above * from.row() + left * LANES;
    // SAFETY: `new` has checked that the window stays inside the input and its
    // borders and that the shapes of all tensors belong together, the caller
    // vouches for the rest.
    unsafe {
        let weights = op.weights.as_ptr().add(block * rows * columns * LANES);
        let mut sums = [N::load(op.start.as_ptr().add(block * LANES)); P];
        for row in 0..rows {
            let from = input
                .as_ptr()
                .add(first + row * window.dilation[0] * from.row());
            let taps = weights.add(row * columns * LANES);
            if columns == 3 && step == LANES && window.dilation[1] == 1 {
                beside::<N, P>(&mut sums, from, taps);
                continue;
            }
            for column in 0..columns {
                let w = N::load(taps.add(column * LANES));
                let from = from.add(column * window.dilation[1] * LANES);
                for (p, sum) in sums.iter_mut().enumerate() {
                    *sum = N::multiply(*sum, N::widen(from.add(p * step)), w);
                }
            }
        }
        finish::<N, P>(
            &op.end,
            sums,
            op.factor.values().as_ptr().add(block * LANES),
            op.offset.values().as_ptr().add(block * LANES),
            output.as_mut_ptr().add(to.at(block, y, x)),
            match residual.zip(other.as_ref()) {
                Some((bytes, layout)) => bytes.as_ptr().add(layout.at(block, y, x)),
                None => std::ptr::null(),
            },
        );
    }
}

/// Adds a row of three taps to sums of pixels side by side, each of which is
/// read once.
///
/// # Safety
/// That of [`Ints`], with `P + 2` pixels to read and three taps.
#[expect(
    clippy::inline_always,
    reason = "it is compiled once an instruction set"
)]
#[inline(always)]
unsafe fn beside<N: Ints, const P: usize>(sums: &mut [N::I; P], from: *const u8, taps: *const i32) {
    // SAFETY: the caller vouches for all of it.
    unsafe {
        let w = [
            N::load(taps),
            N::load(taps.add(LANES)),
            N::load(taps.add(2 * LANES)),
        ];
        let (mut first, mut second) = (N::widen(from), N::widen(from.add(LANES)));
        for (p, sum) in sums.iter_mut().enumerate() {
            let third = N::widen(from.add((p + 2) * LANES));
            *sum = N::multiply(*sum, first, w[0]);
            *sum = N::multiply(*sum, second, w[1]);
            *sum = N::multiply(*sum, third, w[2]);
            (first, second) = (second, third);
        }
    }
}
