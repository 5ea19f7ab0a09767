//! A fully connected layer on the bytes of several images at once.

use super::conv::{blocks_of, pack, planes};
use super::end::{End, Epilogue};
use super::filter::ByteFilter;
use super::layout::{bytes, bytes_mut};
use super::tile::{Tile, tile_fn};
use crate::memory::Buffer;
use crate::simd::{IntKernel, Ints, Isa, LANES, Lanes, Reach};

/// The most images of a tile, and output blocks.
const MOST: [usize; 2] = [16, 2];

/// `y = x W + b`, image by image.
pub(crate) struct ByteGemm {
    inputs: usize,
    outputs: usize,
    planes: usize,
    /// `[set of output blocks]`, and in each what a tile takes.
    weights: Buffer,
    start: Vec<[i32; LANES]>,
    factor: Buffer,
    offset: Buffer,
    end: End,
    set: usize,
    isa: Isa,
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
        let set = isa.int_tile().blocks(filter.outputs.div_ceil(LANES));
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
            isa,
        }
    }

    /// Computes `images` images, whose inputs begin every `input_row` bytes and
    /// whose outputs, bytes or float32, every `output_row` bytes: both hold
    /// whole blocks of [`LANES`].
    pub(crate) fn run(
        &self,
        images: usize,
        (input, input_row): (&[u8], usize),
        (output, output_row): (&mut [u8], usize),
    ) {
        assert!(input_row >= self.inputs.next_multiple_of(4) && input.len() >= images * input_row);
        assert!(output_row >= self.outputs.div_ceil(LANES) * self.block_size());
        assert!(output.len() >= images * output_row && input_row.is_multiple_of(4));
        self.isa.run_ints(Images {
            op: self,
            count: images,
            input,
            input_row,
            output,
            output_row,
        });
    }

    /// The bytes of an image's outputs of one block.
    fn block_size(&self) -> usize {
        match self.end {
            End::Floats(_) => size_of::<Lanes>(),
            _ => LANES,
        }
    }
}

/// The images of one call.
struct Images<'a> {
    op: &'a ByteGemm,
    count: usize,
    input: &'a [u8],
    input_row: usize,
    output: &'a mut [u8],
    output_row: usize,
}

impl IntKernel for Images<'_> {
    #[inline(always)]
    fn run<N: Ints>(self, ints: N) {
        let ByteGemm { set, planes, .. } = *self.op;
        let size = self.op.block_size();
        let quads = self.op.inputs.div_ceil(4);
        let most = N::TILE.pixels(set).min(MOST[0]);
        let weights = bytes(self.op.weights.values()).as_chunks().0;
        let mut results = [0.0_f32; MOST[0] * MOST[1] * LANES];
        let results = bytes_mut(&mut results);
        let block = MOST[0] * size;
        for first in (0..self.op.outputs.div_ceil(LANES)).step_by(set) {
            for image in (0..self.count).step_by(most) {
                let count = most.min(self.count - image);
                let mut tile = Tile {
                    input: self.input[image * self.input_row..].as_chunks().0,
                    reach: Reach {
                        counts: [1; 3],
                        strides: [0; 3],
                        pixel: self.input_row / 4,
                        channels: quads,
                    },
                    rest: quads,
                    planes,
                    weights: &weights[first * planes * quads..],
                    start: &self.op.start[first..],
                    factor: &self.op.factor.lanes()[first..],
                    offset: &self.op.offset.lanes()[first..],
                    end: &self.op.end,
                    output: results,
                    output_block: block,
                    residual: None,
                    residual_block: 0,
                };
                tile_fn::<N>(count, set, 0)(ints, &mut tile);
                for (o, results) in results.chunks_exact(block).take(set).enumerate() {
                    for (i, result) in results.chunks_exact(size).take(count).enumerate() {
                        let to = (image + i) * self.output_row + (first + o) * size;
                        self.output[to..to + size].copy_from_slice(result);
                    }
                }
            }
        }
    }
}
