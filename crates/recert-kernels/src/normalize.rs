//! Normalization of rows by their own mean and variance.

use crate::maths::total;
use crate::memory::Buffer;
use crate::simd::{Call, FloatKernel, Floats, Isa, LANES};

/// `LayerNormalization` of every row of a plain tensor: `(x - mean) (1 /
/// sqrt(variance + epsilon)) scale + shift`, the last two one fused
/// multiply-add.
///
/// Sums are taken in sixteen lanes, lane by lane in order, and these are added
/// up by [`total`]; the variance is that of the differences from the mean.
pub(crate) struct LayerNorm {
    length: usize,
    scale: Buffer,
    shift: Buffer,
    epsilon: f32,
    isa: Isa,
}

impl LayerNorm {
    /// Of rows as long as `scale` and `shift`.
    pub(crate) fn new(scale: &[f32], shift: &[f32], epsilon: f32, isa: Isa) -> Self {
        assert_eq!(scale.len(), shift.len());
        Self {
            length: scale.len(),
            scale: Buffer::of(scale),
            shift: Buffer::of(shift),
            epsilon,
            isa,
        }
    }

    /// Computes one image's rows: as many as there are.
    pub(crate) fn run(&self, rows: usize, input: &[f32], output: &mut [f32]) {
        self.isa.run_floats(Call {
            op: self,
            input: &input[..rows * self.length],
            residual: None,
            output: &mut output[..rows * self.length],
        });
    }
}

impl FloatKernel for Call<'_, LayerNorm, f32> {
    #[inline(always)]
    fn run<S: Floats>(self, simd: S) {
        let LayerNorm {
            length,
            ref scale,
            ref shift,
            epsilon,
            ..
        } = *self.op;
        let rows = self.input.chunks_exact(length);
        for (input, output) in rows.zip(self.output.chunks_exact_mut(length)) {
            let (whole, rest) = input.as_chunks::<LANES>();
            // What fills up the last lanes adds nothing to a sum.
            let filled = |value: f32| {
                let mut lanes = [value; LANES];
                lanes[..rest.len()].copy_from_slice(rest);
                simd.load(&lanes)
            };
            let mut sum = simd.splat(0.0);
            for lanes in whole {
                sum = simd.add(sum, simd.load(lanes));
            }
            sum = simd.add(sum, filled(0.0));
            let mean = total(simd.lanes(sum)) / length as f32;
            let means = simd.splat(mean);
            let mut sum = simd.splat(0.0);
            for lanes in whole {
                let difference = simd.sub(simd.load(lanes), means);
                sum = simd.fma(difference, difference, sum);
            }
            let last = simd.sub(filled(mean), means);
            sum = simd.fma(last, last, sum);
            let variance = total(simd.lanes(sum)) / length as f32;
            let factors = simd.splat(1.0 / (variance + epsilon).sqrt());
            let numbers = scale.lanes().iter().zip(shift.lanes());
            let made = |value, (scale, shift)| {
                let standard = simd.mul(simd.sub(value, means), factors);
                simd.lanes(simd.fma(standard, simd.load(scale), simd.load(shift)))
            };
            let (output, output_rest) = output.as_chunks_mut::<LANES>();
            let mut numbers = numbers;
            for ((to, lanes), numbers) in output.iter_mut().zip(whole).zip(numbers.by_ref()) {
                *to = made(simd.load(lanes), numbers);
            }
            if let Some(numbers) = numbers.next() {
                let lanes = made(filled(mean), numbers);
                output_rest.copy_from_slice(&lanes[..output_rest.len()]);
            }
        }
    }
}
