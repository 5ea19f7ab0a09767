//! A fully connected layer on several images at once.

use crate::memory::Buffer;
use crate::simd::{FloatKernel, Floats, Isa, LANES, Lanes, Reach};
use crate::tile::{Clamp, Tile, tile_fn};

/// `y = x W + b`, image by image: every output is the bias, then one fused
/// multiply-add an input, in order, however many images there are.
pub(crate) struct Gemm {
    inputs: usize,
    outputs: usize,
    /// `[set of output blocks][input][output block][16]`.
    weights: Buffer,
    bias: Buffer,
    /// Blocks of outputs that are computed together.
    set: usize,
    clamp: Clamp,
    isa: Isa,
}

impl Gemm {
    /// `weights` is `[inputs, outputs]`, `bias` one value an output.
    pub(crate) fn new(
        inputs: usize,
        weights: &[f32],
        bias: &[f32],
        clamp: Clamp,
        isa: Isa,
    ) -> Self {
        let outputs = bias.len();
        assert_eq!(weights.len(), inputs * outputs);
        let blocks = outputs.div_ceil(LANES);
        let set = isa.float_tile().blocks(blocks);
        let mut packed = Vec::with_capacity(blocks * LANES * inputs);
        for first in (0..blocks * LANES).step_by(set * LANES) {
            for input in 0..inputs {
                packed.extend((first..first + set * LANES).map(|output| {
                    let row = &weights[input * outputs..(input + 1) * outputs];
                    row.get(output).copied().unwrap_or(0.0)
                }));
            }
        }
        Self {
            inputs,
            outputs,
            weights: Buffer::of(&packed),
            bias: Buffer::of(bias),
            set,
            clamp,
            isa,
        }
    }

    /// Computes `images` images, whose inputs begin every `input_row` values and
    /// whose outputs every `output_row`, a whole number of [`LANES`].
    pub(crate) fn run(
        &self,
        images: usize,
        (input, input_row): (&[f32], usize),
        (output, output_row): (&mut [f32], usize),
    ) {
        assert!(input_row >= self.inputs && input.len() >= images * input_row);
        assert!(output_row >= self.outputs.next_multiple_of(LANES));
        assert!(output.len() >= images * output_row && output_row.is_multiple_of(LANES));
        self.isa.run_floats(Images {
            op: self,
            count: images,
            input,
            input_row,
            output: output.as_chunks_mut().0,
            output_row: output_row / LANES,
        });
    }
}

/// The most images of a tile, and blocks of outputs.
const MOST: [usize; 2] = [16, 2];

/// The images of one call.
struct Images<'a> {
    op: &'a Gemm,
    count: usize,
    input: &'a [f32],
    input_row: usize,
    output: &'a mut [Lanes],
    output_row: usize,
}

impl FloatKernel for Images<'_> {
    #[inline(always)]
    fn run<S: Floats>(self, simd: S) {
        let Gemm { set, inputs, .. } = *self.op;
        let most = S::TILE.pixels(set).min(MOST[0]);
        let mut results = [[0.0; LANES]; MOST[0] * MOST[1]];
        for first in (0..self.op.outputs.div_ceil(LANES)).step_by(set) {
            for image in (0..self.count).step_by(most) {
                let count = most.min(self.count - image);
                let mut tile = Tile {
                    input: &self.input[image * self.input_row..],
                    reach: Reach {
                        counts: [1; 3],
                        strides: [0; 3],
                        pixel: self.input_row,
                        channels: inputs,
                    },
                    rest: inputs,
                    weights: &self.op.weights.lanes()[first * inputs..],
                    above: 0,
                    below: 0,
                    bias: Some(&self.op.bias.lanes()[first..]),
                    output: &mut results,
                    output_block: MOST[0],
                    residual: None,
                    residual_block: 0,
                    clamp: self.op.clamp,
                };
                tile_fn::<S>(count, set, 0)(simd, &mut tile);
                for (o, results) in results.chunks_exact(MOST[0]).take(set).enumerate() {
                    for (i, result) in results.iter().take(count).enumerate() {
                        self.output[(image + i) * self.output_row + first + o] = *result;
                    }
                }
            }
        }
    }
}
