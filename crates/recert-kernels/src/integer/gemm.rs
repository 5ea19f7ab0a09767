//! A fully connected layer on the bytes of several images at once.

use super::conv::{blocks_of, pack, planes};
use super::end::{End, Epilogue};
use super::filter::ByteFilter;
use super::layout::{bytes, bytes_mut};
use super::tile::{QUAD, Tile, Tiles};
use crate::memory::Buffer;
use crate::simd::{Isa, LANES};

/// The most images of a tile, and output blocks.
const MOST: [usize; 2] = [16, 2];

/// `y = x W + b`, image by image.
pub(crate) struct ByteGemm {
    inputs: usize,
    outputs: usize,
    planes: usize,
    /// `[set of output blocks]`, and in each what a tile takes.
    weights: Buffer,
    start: Vec<i32>,
    factor: Buffer,
    offset: Buffer,
    end: End,
    set: usize,
    tiles: Tiles,
}

impl ByteGemm {
    /// Of a filter of one tap.
    pub(crate) fn new(filter: &ByteFilter, epilogue: &Epilogue, isa: Isa) -> Self {
        assert_eq!(filter.groups, 1);
        assert_eq!(filter.weights.len(), filter.inputs * filter.outputs);
        assert!(matches!(epilogue.end, End::Bytes(_) | End::Floats(_)));
        assert_eq!(
            [epilogue.factor.len(), epilogue.offset.len()],
            [filter.outputs; 2]
        );
        let tiles = Tiles(isa);
        let set = tiles.outputs(filter.outputs.div_ceil(LANES));
        let planes = planes(filter);
        // All inputs are one block.
        let lanes = filter.inputs.next_multiple_of(4);
        Self {
            inputs: filter.inputs,
            outputs: filter.outputs,
            planes,
            weights: pack(filter, 1, lanes, set, planes),
            start: blocks_of(&filter.start),
            factor: Buffer::of(&epilogue.factor),
            offset: Buffer::of(&epilogue.offset),
            end: epilogue.end,
            set,
            tiles,
        }
    }

    /// Computes `images` images, whose inputs lie `input_row` bytes apart and
    /// whose outputs, bytes or float32, `output_row` bytes: both hold whole
    /// blocks of [`LANES`].
    #[expect(unsafe_code, reason = "tiles work with pointers")]
    pub(crate) fn run(
        &self,
        images: usize,
        (input, input_row): (&[u8], usize),
        (output, output_row): (&mut [u8], usize),
    ) {
        // What a block takes of an image.
        let size = match self.end {
            End::Floats(_) => LANES * size_of::<f32>(),
            _ => LANES,
        };
        assert!(input_row >= self.inputs.next_multiple_of(4) && input.len() >= images * input_row);
        assert!(output_row >= self.outputs.div_ceil(LANES) * size);
        assert!(output.len() >= images * output_row);
        let quads = self.inputs.div_ceil(4);
        let most = self.tiles.pixels(self.set).min(MOST[0]);
        let weights = bytes(self.weights.values());
        let mut results = [0.0_f32; MOST[0] * MOST[1] * LANES];
        let results = bytes_mut(&mut results);
        let block = MOST[0] * size;
        for set in 0..self.outputs.div_ceil(self.set * LANES) {
            let first = set * self.set;
            let mut image = 0;
            while image < images {
                let count = most.min(images - image);
                // SAFETY: the assertions say that all rows of inputs are inside
                // the slice, `new` has laid out weights for every set and
                // input, and there is room for a tile's results; `Isa` is
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
                        blocks: 0,
                        quads: 0,
                        rest: quads,
                        planes: self.planes,
                        weights: weights
                            .as_ptr()
                            .add(set * self.planes * quads * self.set * QUAD)
                            .cast(),
                        start: self.start.as_ptr().add(first * LANES),
                        factor: self.factor.values().as_ptr().add(first * LANES),
                        offset: self.offset.values().as_ptr().add(first * LANES),
                        end: &self.end,
                        output: results.as_mut_ptr(),
                        output_block: block,
                        residual: std::ptr::null(),
                        residual_block: 0,
                    };
                    self.tiles.get(count, self.set, 0)(&tile);
                }
                for (o, results) in results.chunks_exact(block).take(self.set).enumerate() {
                    for (i, result) in results.chunks_exact(size).take(count).enumerate() {
                        let to = (image + i) * output_row + (first + o) * size;
                        output[to..to + size].copy_from_slice(result);
                    }
                }
                image += count;
            }
        }
    }
}
