//! Pooling of quantized tensors: the largest of windows, and means of planes.

use super::layout::{Bytes, Grid};
use crate::conv::Window;
use crate::simd::{ByteLanes, Call, FloatKernel, Floats, Isa, LANES};

/// The largest number of every window, which is that of the largest byte.
pub(crate) struct ByteMax {
    pub(crate) window: Window,
    pub(crate) input: Bytes,
    pub(crate) output: Bytes,
    pub(crate) isa: Isa,
}

impl ByteMax {
    /// Computes one image.
    pub(crate) fn run(&self, input: &[u8], output: &mut [u8]) {
        self.isa.run_floats(Call {
            op: self,
            input,
            residual: None,
            output,
        });
    }
}

impl FloatKernel for Call<'_, ByteMax, u8> {
    #[inline(always)]
    fn run<S: Floats>(self, _: S) {
        let Self {
            op, input, output, ..
        } = self;
        for block in 0..op.output.blocks() {
            for y in 0..op.output.height {
                let (top, bottom) = op.window.taps(0, y, op.input.height);
                for x in 0..op.output.width {
                    let (start, end) = op.window.taps(1, x, op.input.width);
                    let mut most = [0_u8; LANES];
                    for row in top..bottom {
                        let input_row = op.window.padded(0, y, row) - op.window.before[0];
                        for column in start..end {
                            let to = op.window.padded(1, x, column) - op.window.before[1];
                            let bytes = lanes(&input[op.input.offset(block, input_row, to)..]);
                            for (most, &byte) in most.iter_mut().zip(bytes) {
                                *most = byte.max(*most);
                            }
                        }
                    }
                    let to = op.output.offset(block, y, x);
                    output[to..to + LANES].copy_from_slice(&most);
                }
            }
        }
    }
}

fn lanes(bytes: &[u8]) -> &ByteLanes {
    bytes.first_chunk().expect("a block has all its lanes")
}

/// The mean of every plane, as float32: an exact sum, less what the zero point
/// makes, times the scale, divided by the number of pixels.
pub(crate) struct ByteMeans {
    pub(crate) grid: Grid,
    pub(crate) input: Bytes,
    pub(crate) isa: Isa,
}

impl ByteMeans {
    /// The most pixels of a plane whose sum stays inside int32.
    pub(crate) const MOST: usize = 1 << 22;

    /// Computes one image.
    pub(crate) fn run(&self, input: &[u8], output: &mut [f32]) {
        self.isa.run_floats(Call {
            op: self,
            input,
            residual: None,
            output,
        });
    }
}

impl FloatKernel for Call<'_, ByteMeans, u8, f32> {
    #[inline(always)]
    fn run<S: Floats>(self, _: S) {
        let Self {
            op, input, output, ..
        } = self;
        let layout = &op.input;
        let pixels = layout.height * layout.width;
        let zeros = pixels as i32 * i32::from(op.grid.zero);
        let outputs = output.chunks_exact_mut(LANES).take(layout.blocks());
        for (block, means) in outputs.enumerate() {
            let mut sums = [0_i32; LANES];
            for y in 0..layout.height {
                let row = &input[layout.offset(block, y, 0)..][..layout.width * LANES];
                for bytes in row.chunks_exact(LANES) {
                    for (sum, &byte) in sums.iter_mut().zip(lanes(bytes)) {
                        *sum += i32::from(byte);
                    }
                }
            }
            for (mean, sum) in means.iter_mut().zip(sums) {
                *mean = (sum - zeros) as f32 * op.grid.scale / pixels as f32;
            }
        }
    }
}
