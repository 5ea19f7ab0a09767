//! The innermost loops: a few pixels of a row by one or two blocks of output
//! channels, summed in registers.
//!
//! Every output is `bias`, then one fused multiply-add a weight, the input
//! blocks in order, in each the rows and the columns of the kernel, in each of
//! these the channels. Nothing else decides an output's bits: neither the
//! instruction set, nor how pixels and blocks are grouped into tiles, nor
//! whether a sum is interrupted and goes on from memory.

use crate::simd::{FloatKernel, Floats, Lanes, Reach, Taps};

/// One tile's work. Slices begin with what the first pixel takes; distances
/// are in the values of the slice.
pub(crate) struct Tile<'a> {
    /// The input from under the first pixel's first tap on.
    pub(crate) input: &'a [f32],
    /// How the taps lie there, blocks of input channels being all there are.
    pub(crate) reach: Reach,
    /// How many of the channels of the last block there are.
    pub(crate) rest: usize,
    /// From the first tap's weights on: `[block][row][column][channel][output block]`.
    pub(crate) weights: &'a [Lanes],
    /// Rows of taps of the kernel that are not taken, above and below.
    pub(crate) above: usize,
    pub(crate) below: usize,
    /// Where sums begin, by output block; without it they go on with the output.
    pub(crate) bias: Option<&'a [Lanes]>,
    /// From the first pixel's output on; pixels are neighbours.
    pub(crate) output: &'a mut [Lanes],
    /// From a block of output channels to the next one.
    pub(crate) output_block: usize,
    /// Added to the sum, in the output's order of pixels.
    pub(crate) residual: Option<&'a [Lanes]>,
    pub(crate) residual_block: usize,
    /// Applied last.
    pub(crate) clamp: Clamp,
}

/// The bounds of an activation; infinite where there is none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Clamp {
    pub(crate) low: f32,
    pub(crate) high: f32,
}

impl Clamp {
    pub(crate) const NONE: Self = Self {
        low: f32::NEG_INFINITY,
        high: f32::INFINITY,
    };
    pub(crate) const RELU: Self = Self {
        low: 0.0,
        high: f32::INFINITY,
    };

    /// As [`Clamp::apply`], of one value. `f32::clamp` would do otherwise with
    /// NaN as a bound and with zeros of both signs.
    pub(crate) fn one(self, value: f32) -> f32 {
        let value = if self.low > value { self.low } else { value };
        if self.high < value { self.high } else { value }
    }

    /// The value in bounds; NaN stays NaN.
    #[inline(always)]
    pub(crate) fn apply<S: Floats>(self, simd: S, value: S::V) -> S::V {
        simd.min(simd.splat(self.high), simd.max(simd.splat(self.low), value))
    }
}

/// A tile of `P` pixels by `O` blocks of outputs, whose pixels are `STEP`
/// values apart, or `reach.pixel` where that is 0.
struct SizedTile<'t, 'a, const P: usize, const O: usize, const STEP: usize>(&'t mut Tile<'a>);

impl<const P: usize, const O: usize, const STEP: usize> FloatKernel
    for SizedTile<'_, '_, P, O, STEP>
{
    #[inline(always)]
    fn run<S: Floats>(self, simd: S) {
        let Self(t) = self;
        let mut reach = t.reach;
        if STEP > 0 {
            reach.pixel = STEP;
        }
        let taps = Taps::<f32, P>::new(t.input, reach);
        let [blocks, rows, columns] = reach.counts;
        let mut sums = [[simd.splat(0.0); O]; P];
        for o in 0..O {
            if let Some(bias) = t.bias {
                let bias = simd.load(&bias[o]);
                for sums in &mut sums {
                    sums[o] = bias;
                }
            } else {
                let begun = &t.output[o * t.output_block..][..P];
                for (sums, begun) in sums.iter_mut().zip(begun) {
                    sums[o] = simd.load(begun);
                }
            }
        }
        let mut weights = t.weights.as_chunks::<O>().0.iter();
        for block in 0..blocks {
            let channels = if block + 1 < blocks {
                reach.channels
            } else {
                t.rest
            };
            skip(&mut weights, t.above * columns * channels);
            for row in 0..rows {
                for column in 0..columns {
                    let tap = taps.tap([block, row, column], channels);
                    for channel in 0..channels {
                        let from = weights.next().expect("every channel of a tap has weights");
                        let mut w = [simd.splat(0.0); O];
                        for (w, from) in w.iter_mut().zip(from) {
                            *w = simd.load(from);
                        }
                        for (p, sums) in sums.iter_mut().enumerate() {
                            let x = simd.splat(*tap.get(channel, p));
                            for (sum, w) in sums.iter_mut().zip(w) {
                                *sum = simd.fma(x, w, *sum);
                            }
                        }
                    }
                }
            }
            skip(&mut weights, t.below * columns * channels);
        }
        for o in 0..O {
            if let Some(residual) = t.residual {
                let residual = &residual[o * t.residual_block..][..P];
                for (sums, residual) in sums.iter_mut().zip(residual) {
                    sums[o] = simd.add(sums[o], simd.load(residual));
                }
            }
            let output = &mut t.output[o * t.output_block..][..P];
            for (sums, output) in sums.iter().zip(output) {
                *output = simd.lanes(t.clamp.apply(simd, sums[o]));
            }
        }
    }
}

/// Leaves out the next `count` of an iterator over a slice.
#[inline(always)]
fn skip<T>(iter: &mut std::slice::Iter<'_, T>, count: usize) {
    *iter = iter.as_slice()[count..].iter();
}

/// Computes one tile.
pub(crate) type TileFn<S> = fn(S, &mut Tile<'_>);

fn run<S: Floats, const P: usize, const O: usize, const STEP: usize>(simd: S, tile: &mut Tile<'_>) {
    // Known when this is compiled: no code is made for tiles that are too large.
    if const { P > S::TILE.pixels(O) } {
        unreachable!("a tile of {P} pixels by {O} blocks is too large");
    }
    simd.run_floats(SizedTile::<P, O, STEP>(tile));
}

/// The function for tiles of so many pixels and blocks of outputs.
pub(crate) fn tile_fn<S: Floats>(pixels: usize, outputs: usize, step: usize) -> TileFn<S> {
    macro_rules! table {
        ($($p:literal)*) => {
            match (outputs, pixels, step) {
                $((1, $p, 16) => run::<S, $p, 1, 16>,
                  (1, $p, 32) => run::<S, $p, 1, 32>,
                  (1, $p, _) => run::<S, $p, 1, 0>,
                  (2, $p, 16) => run::<S, $p, 2, 16>,
                  (2, $p, 32) => run::<S, $p, 2, 32>,
                  (2, $p, _) => run::<S, $p, 2, 0>,)*
                _ => unreachable!("no tile of {pixels} pixels by {outputs} blocks"),
            }
        };
    }
    table!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16)
}
