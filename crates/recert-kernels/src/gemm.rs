//! A fully connected layer on several images at once.

use crate::memory::Buffer;
use crate::simd::{Isa, LANES};
use crate::tile::{Clamp, Tile, Tiles};

/// `y = x W + b`, image by image: every output is the bias, then one fused
/// multiply-add an input, in order, however many images there are.
pub(crate) struct Gemm {
    inputs: usize,
    outputs: usize,
    /// `[set of output blocks][input][output block][16]`.
    weights: Buffer,
    bias: Buffer,
    set: usize,
    clamp: Clamp,
    tiles: Tiles,
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
        let tiles = Tiles(isa);
        let blocks = outputs.div_ceil(LANES);
        let set = tiles.outputs(blocks);
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
            tiles,
        }
    }

    /// Computes `images` images, whose inputs lie `input_row` apart and whose
    /// outputs `output_row`, a whole number of [`LANES`].
    #[expect(unsafe_code, reason = "tiles work with pointers")]
    pub(crate) fn run(
        &self,
        images: usize,
        (input, input_row): (&[f32], usize),
        (output, output_row): (&mut [f32], usize),
    ) {
        assert!(input_row >= self.inputs && input.len() >= images * input_row);
        assert!(output_row >= self.outputs.next_multiple_of(LANES));
        assert!(output.len() >= images * output_row);
        let set_width = self.set * LANES;
        let most = self.tiles.pixels(self.set);
        for set in 0..self.outputs.div_ceil(set_width) {
            let mut image = 0;
            while image < images {
                let count = most.min(images - image);
                // SAFETY: the assertions say that all rows of inputs and of
                // whole blocks of outputs are inside the slices, and `new`
                // has laid out weights for every set and input; `Isa` is
                // chosen among those that the processor has.
                unsafe {
                    let tile = Tile {
                        input: input.as_ptr().add(image * input_row),
                        pixel: input_row,
                        block: 0,
                        row: 0,
                        column: 0,
                        rows: 1,
                        columns: 1,
                        blocks: 1,
                        lanes: self.inputs,
                        rest: 0,
                        weights: self
                            .weights
                            .values()
                            .as_ptr()
                            .add(set * self.inputs * set_width),
                        above: 0,
                        below: 0,
                        bias: self.bias.values().as_ptr().add(set * set_width),
                        output: output
                            .as_mut_ptr()
                            .add(image * output_row + set * set_width),
                        output_pixel: output_row,
                        output_block: LANES,
                        residual: std::ptr::null(),
                        residual_block: 0,
                        clamp: self.clamp,
                    };
                    self.tiles.get(count, self.set, 0)(&tile);
                }
                image += count;
            }
        }
    }
}
