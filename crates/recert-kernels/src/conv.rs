//! Dense convolution, and convolution in groups of whole blocks.

use crate::memory::{Blocked, Buffer};
use crate::simd::{Call, FloatKernel, Floats, Isa, LANES, Reach};
use crate::tile::{Clamp, Tile, tile_fn};

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

    /// How many positions outside an input of extent `size` windows reach along
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

impl Filter {
    /// Makes sure that windows stay inside the input and its borders and that
    /// the shapes belong together.
    pub(crate) fn check(
        &self,
        window: &Window,
        input: Blocked,
        output: Blocked,
        residual: Option<Blocked>,
    ) {
        let (left, right) = window.borders(input.width);
        assert!(
            left <= input.left && right <= input.right,
            "too few borders"
        );
        assert_eq!(self.groups * self.inputs, input.channels);
        assert_eq!(self.outputs, output.channels);
        assert_eq!([output.height, output.width], window.output);
        let shape = |layout: Blocked| [layout.lanes, layout.channels, layout.height, layout.width];
        assert_eq!(output.lanes, LANES);
        assert!(residual.is_none_or(|residual| shape(residual) == shape(output)));
    }
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
    isa: Isa,
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
        assert!(Self::takes(filter));
        filter.check(&window, input, output, residual);
        let blocks = (filter.outputs / filter.groups).div_ceil(LANES);
        let set = isa.float_tile().blocks(blocks);
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
            isa,
        }
    }

    /// Computes one image. `residual` is there if and only if `new` was given
    /// its layout.
    pub(crate) fn run(&self, input: &[f32], residual: Option<&[f32]>, output: &mut [f32]) {
        assert_eq!(residual.is_some(), self.residual.is_some());
        self.isa.run_floats(Call {
            op: self,
            input,
            residual,
            output,
        });
    }
}

impl FloatKernel for Call<'_, Direct, f32> {
    #[inline(always)]
    fn run<S: Floats>(self, simd: S) {
        let Direct {
            window,
            input: from,
            output: to,
            groups,
            set,
            ..
        } = *self.op;
        let output = self.output.as_chunks_mut::<LANES>().0;
        let residual = self.residual.map(|values| values.as_chunks::<LANES>().0);
        let residual = residual.zip(self.op.residual.as_ref());
        let [kernel_rows, columns] = window.kernel;
        let channels = from.channels / groups;
        let blocks = channels.div_ceil(from.lanes);
        let rest = channels - (blocks - 1) * from.lanes;
        let sets = to.blocks() / groups / set;
        let pixel = window.stride[1] * from.lanes;
        let step = if from.lanes == LANES { pixel } else { 0 };
        // Pieces of a row, as equal as can be.
        let pieces = to.width.div_ceil(S::TILE.pixels(set));
        let (long, longer) = (to.width / pieces, to.width % pieces);
        let short_tile = tile_fn::<S>(long, set, step);
        let long_tile = tile_fn::<S>(long + usize::from(longer > 0), set, step);
        let block_weights = kernel_rows * columns * from.lanes * set;
        let set_weights = kernel_rows * columns * channels * set;
        for number in 0..sets * groups {
            let first_block = number / sets * blocks;
            let first_output = number * set;
            for start in (0..blocks).step_by(self.op.pass) {
                let end = (start + self.op.pass).min(blocks);
                let last = end == blocks;
                let weights = number * set_weights + start * block_weights;
                let weights = &self.op.weights.lanes()[weights..];
                let bias = (start == 0).then(|| &self.op.bias.lanes()[first_output..]);
                let residual = residual.filter(|_| last);
                for y in 0..to.height {
                    let (top, bottom) = window.taps(0, y, from.height);
                    // Where the window lies in the padding alone no row is read.
                    let above = if top < bottom {
                        window.padded(0, y, top) - window.before[0]
                    } else {
                        0
                    };
                    let left = from.left - window.before[1];
                    let first = (first_block + start) * from.block()
                        + above * from.row()
                        + left * from.lanes;
                    let mut x = 0;
                    for piece in 0..pieces {
                        let mut tile = Tile {
                            input: &self.input[first + x * pixel..],
                            reach: Reach {
                                counts: [end - start, bottom - top, columns],
                                strides: [
                                    from.block(),
                                    window.dilation[0] * from.row(),
                                    window.dilation[1] * from.lanes,
                                ],
                                pixel,
                                channels: from.lanes,
                            },
                            rest: if last { rest } else { from.lanes },
                            weights,
                            above: top,
                            below: kernel_rows - bottom,
                            bias,
                            output: &mut output[to.offset(first_output, y, x) / LANES..],
                            output_block: to.block() / LANES,
                            residual: residual.map(|(values, layout)| {
                                &values[layout.offset(first_output, y, x) / LANES..]
                            }),
                            residual_block: residual.map_or(0, |(_, r)| r.block() / LANES),
                            clamp: if last { self.op.clamp } else { Clamp::NONE },
                        };
                        if piece < longer {
                            long_tile(simd, &mut tile);
                        } else {
                            short_tile(simd, &mut tile);
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
