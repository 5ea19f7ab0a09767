//! Pooling over windows, and the mean of whole planes.

use crate::conv::Window;
use crate::memory::Blocked;
use crate::simd::{Call, FloatKernel, Floats, Isa, LANES};

/// What is made of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PoolKind {
    /// The largest value; NaN where there is one.
    Max,
    /// The mean of the pixels inside the image.
    Average,
    /// The sum of these, divided by the size of the kernel.
    AverageWithPadding,
}

/// Pooling. Windows are gone through row by row.
pub(crate) struct Pool {
    pub(crate) kind: PoolKind,
    pub(crate) window: Window,
    pub(crate) input: Blocked,
    pub(crate) output: Blocked,
    pub(crate) isa: Isa,
}

impl Pool {
    /// Computes one image.
    pub(crate) fn run(&self, input: &[f32], output: &mut [f32]) {
        self.isa.run_floats(Call {
            op: self,
            input,
            residual: None,
            output,
        });
    }
}

impl FloatKernel for Call<'_, Pool, f32> {
    #[inline(always)]
    fn run<S: Floats>(self, _: S) {
        let Self {
            op, input, output, ..
        } = self;
        let kernel = op.window.kernel[0] * op.window.kernel[1];
        for block in 0..op.output.blocks() {
            for y in 0..op.output.height {
                let (top, bottom) = op.window.taps(0, y, op.input.height);
                for x in 0..op.output.width {
                    let (start, end) = op.window.taps(1, x, op.input.width);
                    let max = op.kind == PoolKind::Max;
                    let mut sum = [if max { f32::NEG_INFINITY } else { 0.0 }; LANES];
                    for row in top..bottom {
                        let input_row = op.window.padded(0, y, row) - op.window.before[0];
                        for column in start..end {
                            let to = op.window.padded(1, x, column) - op.window.before[1];
                            let values = lanes(&input[op.input.offset(block, input_row, to)..]);
                            for (sum, &value) in sum.iter_mut().zip(values) {
                                *sum = if max {
                                    larger(*sum, value)
                                } else {
                                    *sum + value
                                };
                            }
                        }
                    }
                    let divisor = match op.kind {
                        PoolKind::Max => 1,
                        PoolKind::Average => (bottom - top) * (end - start),
                        PoolKind::AverageWithPadding => kernel,
                    };
                    let to = op.output.offset(block, y, x);
                    for (to, sum) in output[to..to + LANES].iter_mut().zip(sum) {
                        *to = if max { sum } else { sum / divisor as f32 };
                    }
                }
            }
        }
    }
}

/// The larger one; NaN if one is.
pub(crate) fn larger(a: f32, b: f32) -> f32 {
    if b > a || b.is_nan() { b } else { a }
}

fn lanes(values: &[f32]) -> &[f32; LANES] {
    values.first_chunk().expect("a block has all its lanes")
}

/// The mean of every plane: the sum, row by row, divided by the number of pixels.
pub(crate) fn means(isa: Isa, layout: &Blocked, input: &[f32], output: &mut [f32]) {
    isa.run_floats(Means {
        layout,
        input,
        output,
    });
}

struct Means<'a> {
    layout: &'a Blocked,
    input: &'a [f32],
    output: &'a mut [f32],
}

impl FloatKernel for Means<'_> {
    #[inline(always)]
    fn run<S: Floats>(self, _: S) {
        let Self {
            layout,
            input,
            output,
        } = self;
        let pixels = (layout.height * layout.width) as f32;
        for (block, means) in output
            .chunks_exact_mut(LANES)
            .take(layout.blocks())
            .enumerate()
        {
            let mut sum = [0.0_f32; LANES];
            for y in 0..layout.height {
                let row = &input[layout.offset(block, y, 0)..][..layout.width * LANES];
                for values in row.chunks_exact(LANES) {
                    for (sum, value) in sum.iter_mut().zip(lanes(values)) {
                        *sum += value;
                    }
                }
            }
            for (mean, sum) in means.iter_mut().zip(sum) {
                *mean = sum / pixels;
            }
        }
    }
}
