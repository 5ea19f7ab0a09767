//! Convolution in groups that are no whole blocks: right, and slow.

use crate::conv::{Filter, Window};
use crate::memory::Blocked;
use crate::simd::{Call, FloatKernel, Floats, Isa};
use crate::tile::Clamp;

/// A convolution in any groups. Every output is the bias, then one fused
/// multiply-add a weight under a pixel of the image, channel by channel.
pub(crate) struct Grouped {
    pub(crate) filter: Filter,
    pub(crate) window: Window,
    pub(crate) input: Blocked,
    pub(crate) output: Blocked,
    pub(crate) residual: Option<Blocked>,
    pub(crate) clamp: Clamp,
    pub(crate) isa: Isa,
}

impl Grouped {
    /// Computes one image.
    pub(crate) fn run(&self, input: &[f32], residual: Option<&[f32]>, output: &mut [f32]) {
        self.isa.run_floats(Call {
            op: self,
            input,
            residual,
            output,
        });
    }
}

impl FloatKernel for Call<'_, Grouped, f32> {
    #[inline(always)]
    fn run<S: Floats>(self, _: S) {
        let Self {
            op,
            input,
            residual,
            output,
        } = self;
        let Filter {
            outputs,
            inputs,
            groups,
            ref weights,
            ref bias,
        } = op.filter;
        let [rows, columns] = op.window.kernel;
        for channel in 0..outputs {
            let first = channel / (outputs / groups) * inputs;
            let weights = &weights[channel * inputs * rows * columns..];
            for y in 0..op.output.height {
                let (top, bottom) = op.window.taps(0, y, op.input.height);
                for x in 0..op.output.width {
                    let (start, end) = op.window.taps(1, x, op.input.width);
                    let mut sum = bias[channel];
                    for i in 0..inputs {
                        for row in top..bottom {
                            let at = op.window.padded(0, y, row) - op.window.before[0];
                            for column in start..end {
                                let to = op.window.padded(1, x, column) - op.window.before[1];
                                let value = input[op.input.channel_offset(first + i, at, to)];
                                sum = value
                                    .mul_add(weights[(i * rows + row) * columns + column], sum);
                            }
                        }
                    }
                    if let (Some(values), Some(layout)) = (residual, &op.residual) {
                        sum += values[layout.channel_offset(channel, y, x)];
                    }
                    output[op.output.channel_offset(channel, y, x)] = op.clamp.one(sum);
                }
            }
        }
    }
}
