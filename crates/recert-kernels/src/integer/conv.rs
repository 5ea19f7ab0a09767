//! Dense convolution, and convolution in groups of whole blocks.

use super::end::{End, Epilogue};
use super::filter::ByteFilter;
use super::layout::{Bytes, bytes, bytes_mut};
use super::tile::{Tile, tile_fn};
use crate::conv::Window;
use crate::memory::{Blocked, Buffer};
use crate::simd::{Call, IntKernel, Ints, Isa, LANES, Reach};

/// The layout of a layer's output.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Target {
    Bytes(Bytes),
    Floats(Blocked),
}

impl Target {
    /// Where pixel `(y, x)` of block `block` begins, and from a block to the
    /// next one, in bytes.
    pub(super) fn offset(&self, block: usize, y: usize, x: usize) -> usize {
        match self {
            Self::Bytes(layout) => layout.offset(block, y, x),
            Self::Floats(layout) => layout.offset(block, y, x) * size_of::<f32>(),
        }
    }

    fn block(&self) -> usize {
        match self {
            Self::Bytes(layout) => layout.block(),
            Self::Floats(layout) => layout.block() * size_of::<f32>(),
        }
    }

    /// Bytes an image takes.
    fn size(&self) -> usize {
        match self {
            Self::Bytes(layout) => layout.size(),
            Self::Floats(layout) => layout.size() * size_of::<f32>(),
        }
    }

    /// Channels, rows, columns, lanes.
    fn shape(&self) -> [usize; 4] {
        match self {
            Self::Bytes(l) => [l.channels, l.height, l.width, l.lanes],
            Self::Floats(l) => [l.channels, l.height, l.width, l.lanes],
        }
    }
}

/// The tensors of a layer, which fit together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tensors {
    pub(crate) window: Window,
    pub(crate) input: Bytes,
    pub(crate) output: Target,
    pub(crate) residual: Option<Bytes>,
}

impl Tensors {
    /// Makes sure that the window stays inside the input and its borders and
    /// that the shapes belong together and to the filter.
    pub(super) fn check(&self, filter: &ByteFilter, epilogue: &Epilogue) {
        for (axis, size) in [self.input.height, self.input.width]
            .into_iter()
            .enumerate()
        {
            let (before, behind) = self.window.border(axis, size);
            let borders = [self.input.borders[axis], self.input.borders[axis + 2]];
            assert!(
                before <= borders[0] && behind <= borders[1],
                "too few borders"
            );
        }
        assert_eq!(filter.groups * filter.inputs, self.input.channels);
        let [rows, columns] = self.window.output;
        let shape = [filter.outputs, rows, columns, LANES];
        assert_eq!(self.output.shape(), shape);
        assert_eq!(
            self.residual.is_some(),
            matches!(epilogue.end, End::Sum(..))
        );
        assert_eq!(
            matches!(self.output, Target::Floats(_)),
            matches!(epilogue.end, End::Floats(_))
        );
        assert!(
            self.residual
                .is_none_or(|r| [r.channels, r.height, r.width, r.lanes] == shape)
        );
        assert_eq!(
            [epilogue.factor.len(), epilogue.offset.len()],
            [filter.outputs; 2]
        );
    }

    /// Makes sure that the slices hold the tensors.
    pub(super) fn hold(&self, input: &[u8], residual: Option<&[u8]>, output: &[u8]) {
        assert!(input.len() >= self.input.size() && output.len() >= self.output.size());
        assert_eq!(residual.is_some(), self.residual.is_some());
        if let (Some(bytes), Some(layout)) = (residual, self.residual) {
            assert!(bytes.len() >= layout.size());
        }
    }
}

/// Numbers a channel, filled up to whole blocks with zeros.
pub(super) fn blocks_of(values: &[i32]) -> Vec<[i32; LANES]> {
    let block = |values: &[i32]| {
        let mut block = [0; LANES];
        block[..values.len()].copy_from_slice(values);
        block
    };
    values.chunks(LANES).map(block).collect()
}

/// A convolution whose groups are one, or whole blocks.
pub(crate) struct Dense {
    tensors: Tensors,
    groups: usize,
    /// Weights are sums of so many int8.
    planes: usize,
    /// `[set of output blocks]`, and in each what a tile takes; as float32,
    /// for their place in memory.
    weights: Buffer,
    start: Vec<[i32; LANES]>,
    factor: Buffer,
    offset: Buffer,
    end: End,
    /// Output blocks a set.
    set: usize,
    isa: Isa,
}

impl Dense {
    /// Whether the filter's groups are such that this can compute it.
    pub(crate) fn takes(groups: usize, inputs: usize, outputs: usize) -> bool {
        let whole = |channels: usize| channels.is_multiple_of(LANES);
        groups == 1 || (whole(inputs) && whole(outputs / groups))
    }

    pub(crate) fn new(
        filter: &ByteFilter,
        epilogue: &Epilogue,
        tensors: &Tensors,
        isa: Isa,
    ) -> Self {
        tensors.check(filter, epilogue);
        assert!(Self::takes(filter.groups, filter.inputs, filter.outputs));
        let blocks = (filter.outputs / filter.groups).div_ceil(LANES);
        let set = isa.int_tile().blocks(blocks);
        let taps = tensors.window.kernel.iter().product();
        let planes = planes(filter);
        Self {
            tensors: *tensors,
            groups: filter.groups,
            planes,
            weights: pack(filter, taps, tensors.input.lanes, set, planes),
            start: blocks_of(&filter.start),
            factor: Buffer::of(&epilogue.factor),
            offset: Buffer::of(&epilogue.offset),
            end: epilogue.end,
            set,
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

impl IntKernel for Call<'_, Dense, u8> {
    #[inline(always)]
    fn run<N: Ints>(self, ints: N) {
        let Dense {
            tensors,
            groups,
            planes,
            set,
            ..
        } = self.op;
        let Tensors {
            window,
            input: from,
            output: to,
            ..
        } = tensors;
        // Four channels of a pixel are computed at a time.
        let quads = from.lanes / 4;
        let (row, block) = (from.row() / 4, from.block() / 4);
        let input = self.input.as_chunks().0;
        let residual = self.residual.zip(tensors.residual.as_ref());
        let channels = from.channels / groups;
        let blocks = channels.div_ceil(from.lanes);
        let rest = channels - (blocks - 1) * from.lanes;
        let [output_channels, height, width, _] = to.shape();
        let sets = output_channels.div_ceil(LANES) / groups / set;
        let pixel = window.stride[1] * quads;
        // Pieces of a row, as equal as can be.
        let pieces = width.div_ceil(N::TILE.pixels(*set));
        let (long, longer) = (width / pieces, width % pieces);
        let short_tile = tile_fn::<N>(long, *set, pixel);
        let long_tile = tile_fn::<N>(long + usize::from(longer > 0), *set, pixel);
        let taps: usize = window.kernel.iter().product();
        let set_weights = planes * taps * channels.div_ceil(4) * set;
        let weights = bytes(self.op.weights.values()).as_chunks().0;
        let left = from.borders[1] - window.before[1];
        let above = from.borders[0] - window.before[0];
        for number in 0..sets * groups {
            let first_output = number * set;
            let weights = &weights[number * set_weights..];
            let start = &self.op.start[first_output..];
            let factor = &self.op.factor.lanes()[first_output..];
            let offset = &self.op.offset.lanes()[first_output..];
            let first = number / sets * blocks * block + left * quads;
            for y in 0..height {
                let first = first + (above + y * window.stride[0]) * row;
                let mut x = 0;
                for piece in 0..pieces {
                    let mut tile = Tile {
                        input: &input[first + x * pixel..],
                        reach: Reach {
                            counts: [blocks, window.kernel[0], window.kernel[1]],
                            strides: [block, window.dilation[0] * row, window.dilation[1] * quads],
                            pixel,
                            channels: quads,
                        },
                        rest: rest.div_ceil(4),
                        planes: *planes,
                        weights,
                        start,
                        factor,
                        offset,
                        end: &self.op.end,
                        output: &mut self.output[to.offset(first_output, y, x)..],
                        output_block: to.block(),
                        residual: residual
                            .map(|(bytes, layout)| &bytes[layout.offset(first_output, y, x)..]),
                        residual_block: residual.map_or(0, |(_, layout)| layout.block()),
                    };
                    if piece < longer {
                        long_tile(ints, &mut tile);
                    } else {
                        short_tile(ints, &mut tile);
                    }
                    x += long + usize::from(piece < longer);
                }
            }
        }
    }
}

/// As sums of how many int8 weights are written.
pub(super) fn planes(filter: &ByteFilter) -> usize {
    let parts = |&weight: &i16| {
        let limit = if weight < 0 { 128 } else { 127 };
        usize::from(weight.unsigned_abs().div_ceil(limit))
    };
    filter.weights.iter().map(parts).max().unwrap_or(0).max(1)
}

/// The weights in the order in which tiles take them.
pub(super) fn pack(
    filter: &ByteFilter,
    taps: usize,
    lanes: usize,
    set: usize,
    planes: usize,
) -> Buffer {
    let outputs = filter.outputs / filter.groups;
    let sets = outputs.div_ceil(LANES).div_ceil(set);
    let quads = filter.inputs.div_ceil(4);
    let mut packed: Vec<u8> =
        Vec::with_capacity(filter.groups * sets * planes * taps * quads * set * 4 * LANES);
    // What a weight is in its part `plane`.
    let part = |weight: i16, plane: usize| {
        let rest = (0..plane).fold(weight, |rest, _| rest - rest.clamp(-128, 127));
        rest.clamp(-128, 127) as i8
    };
    for group in 0..filter.groups {
        for first in (0..sets).map(|s| s * set * LANES) {
            for plane in 0..planes {
                for block in (0..filter.inputs).step_by(lanes) {
                    let end = (block + lanes).min(filter.inputs);
                    for tap in 0..taps {
                        for quad in (block..end).step_by(4) {
                            for output in first..first + set * LANES {
                                for channel in quad..quad + 4 {
                                    let weight = if output < outputs && channel < end {
                                        let row = group * outputs + output;
                                        filter.weights[(row * filter.inputs + channel) * taps + tap]
                                    } else {
                                        0
                                    };
                                    packed.push(part(weight, plane).cast_unsigned());
                                }
                            }
                        }
                    }
                }
            }
        }
    }
    let mut buffer = Buffer::zeros(packed.len().div_ceil(4));
    bytes_mut(buffer.values_mut())[..packed.len()].copy_from_slice(&packed);
    buffer
}
