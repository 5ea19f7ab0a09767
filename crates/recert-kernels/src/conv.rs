//! Dense convolution, and convolution in groups of whole blocks.

use crate::memory::{Blocked, Buffer};
use crate::simd::{Isa, LANES};
use crate::tile::{Clamp, Tile, Tiles};

/// The window of a convolution or pooling over rows and columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    /// Rows and columns.
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    pub(crate) dilation: [usize; 2],
    /// Padding above and to the left.
    pub(crate) before: [usize; 2],
    /// The output's rows and columns.
    pub(crate) output: [usize; 2],
}

impl Window {
    /// The taps, from the first to before the last, that lie inside an input
    /// of extent `size` along `axis` for the output at `position`.
    pub(crate) fn taps(&self, axis: usize, position: usize, size: usize) -> (usize, usize) {
        let dilation = self.dilation[axis];
        let start = position * self.stride[axis];
        let first = self.before[axis].saturating_sub(start).div_ceil(dilation);
        let end = (size + self.before[axis])
            .saturating_sub(start)
            .div_ceil(dilation);
        let end = end.min(self.kernel[axis]);
        (first.min(end), end)
    }

    /// The input's position, plus the padding before, under a tap.
    pub(crate) fn padded(&self, axis: usize, position: usize, tap: usize) -> usize {
        position * self.stride[axis] + tap * self.dilation[axis]
    }

    /// The columns of zeros that an input of this width needs on both sides.
    pub(crate) fn borders(&self, width: usize) -> (usize, usize) {
        self.border(1, width)
    }

    /// The places outside an input of extent `size` that windows reach along
    /// `axis`, before it and behind it.
    pub(crate) fn border(&self, axis: usize, size: usize) -> (usize, usize) {
        let last = self.padded(axis, self.output[axis] - 1, self.kernel[axis] - 1);
        let behind = (last + 1).saturating_sub(self.before[axis] + size);
        (self.before[axis], behind)
    }
}

/// The numbers of a convolution, as ONNX gives them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Filter {
    pub(crate) outputs: usize,
    /// Input channels a group.
    pub(crate) inputs: usize,
    pub(crate) groups: usize,
    /// `[outputs, inputs, rows, columns]`.
    pub(crate) weights: Vec<f32>,
    /// One an output channel.
    pub(crate) bias: Vec<f32>,
}

/// How many bytes of weights a pass over an image takes, so that they stay in
/// the second-level cache. It decides no result.
const PASS_BYTES: usize = 192 << 10;

/// A convolution whose groups are one, or whole blocks.
pub(crate) struct Direct {
    window: Window,
    input: Blocked,
    output: Blocked,
    residual: Option<Blocked>,
    groups: usize,
    /// `[set of output blocks][input block][row][column][channel][output block][16]`.
    weights: Buffer,
    bias: Buffer,
    /// Output blocks a set.
    set: usize,
    /// Input blocks a pass.
    pass: usize,
    clamp: Clamp,
    tiles: Tiles,
}

impl Direct {
    /// Whether the filter's groups are such that this can compute it.
    pub(crate) fn takes(filter: &Filter) -> bool {
        let whole = |channels: usize| channels.is_multiple_of(LANES);
        filter.groups == 1 || (whole(filter.inputs) && whole(filter.outputs / filter.groups))
    }

    pub(crate) fn new(
        filter: &Filter,
        window: Window,
        input: Blocked,
        output: Blocked,
        residual: Option<Blocked>,
        clamp: Clamp,
        isa: Isa,
    ) -> Self {
        let (left, right) = window.borders(input.width);
        assert!(
            left <= input.left && right <= input.right,
            "too few borders"
        );
        assert!(Self::takes(filter) && output.lanes == LANES);
        assert_eq!(filter.groups * filter.inputs, input.channels);
        assert_eq!(filter.outputs, output.channels);
        assert_eq!([output.height, output.width], window.output);
        assert!(residual.is_none_or(|r| {
            (r.lanes, r.channels, r.height, r.width)
                == (LANES, output.channels, output.height, output.width)
        }));
        let tiles = Tiles(isa);
        let blocks = (filter.outputs / filter.groups).div_ceil(LANES);
        let set = tiles.outputs(blocks);
        let [rows, columns] = window.kernel;
        let pass = PASS_BYTES / (rows * columns * input.lanes * set * LANES * 4);
        let mut bias = Buffer::zeros(blocks * filter.groups * LANES);
        bias.values_mut()[..filter.outputs].copy_from_slice(&filter.bias);
        Self {
            window,
            input,
            output,
            residual,
            groups: filter.groups,
            weights: pack(filter, rows * columns, input.lanes, set),
            bias,
            set,
            pass: pass.max(1),
            clamp,
            tiles,
        }
    }

    /// Computes one image. `residual` is there if and only if `new` was given
    /// its layout.
    #[expect(unsafe_code, reason = "tiles work with pointers")]
    pub(crate) fn run(&self, input: &[f32], residual: Option<&[f32]>, output: &mut [f32]) {
        assert!(input.len() >= self.input.size() && output.len() >= self.output.size());
        assert_eq!(residual.is_some(), self.residual.is_some());
        let residual = residual.zip(self.residual.as_ref());
        assert!(residual.is_none_or(|(values, layout)| values.len() >= layout.size()));
        let [kernel_rows, columns] = self.window.kernel;
        let channels = self.input.channels / self.groups;
        let (whole, rest) = (channels / self.input.lanes, channels % self.input.lanes);
        let blocks = whole + usize::from(rest > 0);
        let sets = self.output.blocks() / self.groups / self.set;
        let pixel = self.window.stride[1] * self.input.lanes;
        let most = self.tiles.pixels(self.set);
        let step = if self.input.lanes == LANES { pixel } else { 0 };
        // Pieces of a row, as equal as can be.
        let pieces = self.output.width.div_ceil(most);
        let (long, longer) = (self.output.width / pieces, self.output.width % pieces);
        let short_tile = self.tiles.get(long, self.set, step);
        let long_tile = self
            .tiles
            .get(long + usize::from(longer > 0), self.set, step);
        let block_weights = kernel_rows * columns * self.input.lanes * self.set * LANES;
        let set_weights = kernel_rows * columns * channels * self.set * LANES;
        for set in 0..sets * self.groups {
            let first_block = set / sets * blocks;
            let first_output = set * self.set;
            for start in (0..blocks).step_by(self.pass) {
                let end = (start + self.pass).min(blocks);
                let last = end == blocks;
                for y in 0..self.output.height {
                    let (top, bottom) = self.window.taps(0, y, self.input.height);
                    // Where the window lies in the padding alone no row is read.
                    let above = if top < bottom {
                        self.window.padded(0, y, top) - self.window.before[0]
                    } else {
                        0
                    };
                    let left = self.input.left - self.window.before[1];
                    let from = (first_block + start) * self.input.block()
                        + above * self.input.row()
                        + left * self.input.lanes;
                    let mut x = 0;
                    for piece in 0..pieces {
                        let to = self.output.at(first_output, y, x);
                        // SAFETY: `new` has checked that the window stays inside
                        // the input and its borders and that the shapes of all
                        // tensors belong together, the assertions above that
                        // every slice holds its tensor; `pack` lays out weights
                        // for all sets, blocks and taps. `Isa` is chosen among
                        // those that the processor has.
                        unsafe {
                            let tile = Tile {
                                input: input.as_ptr().add(from + x * pixel),
                                pixel,
                                block: self.input.block(),
                                row: self.window.dilation[0] * self.input.row(),
                                column: self.window.dilation[1] * self.input.lanes,
                                rows: bottom - top,
                                columns,
                                blocks: end.min(whole) - start,
                                lanes: self.input.lanes,
                                rest: if last { rest } else { 0 },
                                weights: self
                                    .weights
                                    .values()
                                    .as_ptr()
                                    .add(set * set_weights + start * block_weights),
                                above: top,
                                below: kernel_rows - bottom,
                                bias: if start == 0 {
                                    self.bias.values().as_ptr().add(first_output * LANES)
                                } else {
                                    std::ptr::null()
                                },
                                output: output.as_mut_ptr().add(to),
                                output_pixel: LANES,
                                output_block: self.output.block(),
                                residual: match residual.filter(|_| last) {
                                    Some((values, layout)) => {
                                        values.as_ptr().add(layout.at(first_output, y, x))
                                    }
                                    None => std::ptr::null(),
                                },
                                residual_block: self.residual.map_or(0, |r| r.block()),
                                clamp: if last { self.clamp } else { Clamp::NONE },
                            };
                            if piece < longer {
                                long_tile(&tile);
                            } else {
                                short_tile(&tile);
                            }
                        }
                        x += long + usize::from(piece < longer);
                    }
                }
            }
        }
    }
}

/// The weights in the order in which tiles take them.
fn pack(filter: &Filter, taps: usize, lanes: usize, set: usize) -> Buffer {
    let outputs = filter.outputs / filter.groups;
    let sets = outputs.div_ceil(LANES).div_ceil(set);
    let size = filter.groups * sets * taps * filter.inputs * set * LANES;
    let mut packed = Vec::with_capacity(size);
    for group in 0..filter.groups {
        for first in (0..sets).map(|s| s * set * LANES) {
            for block in (0..filter.inputs).step_by(lanes) {
                let channels = block..(block + lanes).min(filter.inputs);
                for tap in 0..taps {
                    for channel in channels.clone() {
                        packed.extend((first..first + set * LANES).map(|output| {
                            if output < outputs {
                                let row = group * outputs + output;
                                filter.weights[(row * filter.inputs + channel) * taps + tap]
                            } else {
                                0.0
                            }
                        }));
                    }
                }
            }
        }
    }
    Buffer::of(&packed)
}
