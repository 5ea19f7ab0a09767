//! The innermost loops of convolutions: a few pixels of a row by one or two
//! blocks of output channels, summed in registers.
//!
//! Sums are exact, so that neither tiles nor their order decide anything.

use super::end::{End, finish};
use crate::simd::{IntKernel, Ints, LANES, Lanes, QuadLanes, Reach, Taps};

/// The bytes of four input channels of a pixel.
pub(super) type Quad = [u8; 4];

/// One tile's work. Slices begin with what the first pixel takes; distances
/// are in the values of the slice.
pub(super) struct Tile<'a> {
    /// The input from under the first pixel's first tap on.
    pub(super) input: &'a [Quad],
    /// How the taps lie there, blocks of input channels being all there are.
    pub(super) reach: Reach,
    /// How many of the channels of the last block there are.
    pub(super) rest: usize,
    /// Weights are sums of so many int8.
    pub(super) planes: usize,
    /// `[plane][block][row][column][quad][output block]`.
    pub(super) weights: &'a [QuadLanes],
    /// Where sums begin, by output block; what follows them, likewise.
    pub(super) start: &'a [[i32; LANES]],
    pub(super) factor: &'a [Lanes],
    pub(super) offset: &'a [Lanes],
    pub(super) end: &'a End,
    /// From the first pixel's output on, and from a block to the next.
    pub(super) output: &'a mut [u8],
    pub(super) output_block: usize,
    /// Likewise, where there is one.
    pub(super) residual: Option<&'a [u8]>,
    pub(super) residual_block: usize,
}

/// A tile of `P` pixels by `O` blocks of outputs, whose pixels are `STEP`
/// quads apart, or `reach.pixel` where that is 0.
struct SizedTile<'t, 'a, const P: usize, const O: usize, const STEP: usize>(&'t mut Tile<'a>);

impl<const P: usize, const O: usize, const STEP: usize> IntKernel
    for SizedTile<'_, '_, P, O, STEP>
{
    #[inline(always)]
    fn run<N: Ints>(self, ints: N) {
        let Self(t) = self;
        let mut reach = t.reach;
        if STEP > 0 {
            reach.pixel = STEP;
        }
        let taps = Taps::<Quad, P>::new(t.input, reach);
        let [blocks, rows, columns] = reach.counts;
        let mut sums = [[ints.load(&t.start[0]); P]; O];
        for (sums, start) in sums.iter_mut().zip(&t.start[..O]) {
            *sums = [ints.load(start); P];
        }
        let mut weights = t.weights.as_chunks::<O>().0.iter();
        for _ in 0..t.planes {
            for block in 0..blocks {
                let quads = if block + 1 < blocks {
                    reach.channels
                } else {
                    t.rest
                };
                for row in 0..rows {
                    for column in 0..columns {
                        let tap = taps.tap([block, row, column], quads);
                        for quad in 0..quads {
                            let from = weights.next().expect("every quad of a tap has weights");
                            let mut w = [ints.weights(&from[0]); O];
                            for o in 1..O {
                                w[o] = ints.weights(&from[o]);
                            }
                            for p in 0..P {
                                let x = ints.quad(*tap.get(quad, p));
                                for (sums, &w) in sums.iter_mut().zip(&w) {
                                    sums[p] = ints.dot(sums[p], x, w);
                                }
                            }
                        }
                    }
                }
            }
        }
        // No loop: it would keep the sums in memory.
        let first = [&t.factor[0], &t.offset[0]];
        finish(ints, t.end, sums[0], first, t.output, t.residual);
        if O > 1 {
            let second = [&t.factor[O - 1], &t.offset[O - 1]];
            let output = &mut t.output[t.output_block..];
            let residual = t.residual.map(|bytes| &bytes[t.residual_block..]);
            finish(ints, t.end, sums[O - 1], second, output, residual);
        }
    }
}

/// Computes one tile.
pub(super) type TileFn<N> = fn(N, &mut Tile<'_>);

fn run<N: Ints, const P: usize, const O: usize, const STEP: usize>(ints: N, tile: &mut Tile<'_>) {
    // Known when this is compiled: no code is made for tiles that are too large.
    if const { P > N::TILE.pixels(O) } {
        unreachable!("a tile of {P} pixels by {O} blocks is too large");
    }
    ints.run_ints(SizedTile::<P, O, STEP>(tile));
}

/// The function for tiles of so many pixels, `step` quads apart, and blocks of
/// outputs.
pub(super) fn tile_fn<N: Ints>(pixels: usize, outputs: usize, step: usize) -> TileFn<N> {
    macro_rules! table {
        ($($p:literal)*) => {
            match (outputs, pixels, step) {
                $((1, $p, 1) => run::<N, $p, 1, 1>,
                  (1, $p, 4) => run::<N, $p, 1, 4>,
                  (1, $p, 8) => run::<N, $p, 1, 8>,
                  (1, $p, _) => run::<N, $p, 1, 0>,
                  (2, $p, 1) => run::<N, $p, 2, 1>,
                  (2, $p, 4) => run::<N, $p, 2, 4>,
                  (2, $p, 8) => run::<N, $p, 2, 8>,
                  (2, $p, _) => run::<N, $p, 2, 0>,)*
                _ => unreachable!("no tile of {pixels} pixels by {outputs} blocks"),
            }
        };
    }
    table!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16)
}
