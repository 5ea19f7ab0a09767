//! The innermost loops: a few pixels of a row by one or two blocks of output
//! channels, summed in registers.
//!
//! Every output is `bias`, then one fused multiply-add a weight, the input
//! blocks in order, in each the rows and the columns of the kernel, in each of
//! these the channels. Nothing else decides an output's bits: neither the
//! instruction set, nor how pixels and blocks are grouped into tiles, nor
//! whether a sum is interrupted and goes on from memory.
#![expect(unsafe_code, reason = "the innermost loops work with pointers")]

use crate::simd::{Isa, LANES, Portable, Simd};

/// One tile's work. Distances are in float32.
#[derive(Clone, Copy)]
pub(crate) struct Tile {
    /// The input under the first pixel's first tap.
    pub(crate) input: *const f32,
    /// From a pixel's input to the next one's.
    pub(crate) pixel: usize,
    /// From a block of input channels to the next one.
    pub(crate) block: usize,
    /// From a row of taps to the next one, and from a tap to the next.
    pub(crate) row: usize,
    pub(crate) column: usize,
    /// Taps: rows taken, and columns.
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    /// Whole blocks of `lanes` input channels, and the channels of a last one.
    pub(crate) blocks: usize,
    pub(crate) lanes: usize,
    pub(crate) rest: usize,
    /// The first tap's weights: `[block][row][column][channel][output block][16]`.
    pub(crate) weights: *const f32,
    /// Rows of taps of the kernel that are not taken, above and below.
    pub(crate) above: usize,
    pub(crate) below: usize,
    /// Where sums begin, `[output block][16]`, or null: go on with the output.
    pub(crate) bias: *const f32,
    /// The first pixel's output, and from a pixel to the next.
    pub(crate) output: *mut f32,
    pub(crate) output_pixel: usize,
    /// From a block of output channels to the next one.
    pub(crate) output_block: usize,
    /// Added to the sum, in the output's order of pixels; or null.
    pub(crate) residual: *const f32,
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
    ///
    /// # Safety
    /// That of [`Simd`].
    #[expect(clippy::inline_always, reason = "it runs in the innermost loops")]
    #[inline(always)]
    pub(crate) unsafe fn apply<S: Simd>(self, value: S::V) -> S::V {
        // SAFETY: the caller vouches for the instruction set.
        unsafe { S::min(S::splat(self.high), S::max(S::splat(self.low), value)) }
    }
}

/// Computes one tile.
pub(crate) type TileFn = unsafe fn(&Tile);

/// # Safety
/// That of [`Simd`], and every pointer and distance of the tile must stay
/// inside its buffer; the output may be the residual's own place, but not the
/// input's.
#[expect(
    clippy::inline_always,
    reason = "it is compiled once an instruction set"
)]
#[inline(always)]
unsafe fn tile<S: Simd, const P: usize, const O: usize, const STEP: usize>(t: &Tile) {
    let step = if STEP == 0 { t.pixel } else { STEP };
    // SAFETY: the caller vouches for the instruction set and for all places.
    unsafe {
        let mut sums = [[S::splat(0.0); O]; P];
        for (p, sums) in sums.iter_mut().enumerate() {
            for (o, sum) in sums.iter_mut().enumerate() {
                *sum = if t.bias.is_null() {
                    S::load(t.output.add(o * t.output_block + p * t.output_pixel))
                } else {
                    S::load(t.bias.add(o * LANES))
                };
            }
        }
        let mut weights = t.weights;
        let blocks = t.blocks + usize::from(t.rest > 0);
        for block in 0..blocks {
            let channels = if block < t.blocks { t.lanes } else { t.rest };
            let tap_row = t.columns * channels * O * LANES;
            weights = weights.add(t.above * tap_row);
            let from = t.input.add(block * t.block);
            for row in 0..t.rows {
                for column in 0..t.columns {
                    let mut from = from.add(row * t.row + column * t.column);
                    for _ in 0..channels {
                        let mut w = [S::splat(0.0); O];
                        for (o, w) in w.iter_mut().enumerate() {
                            *w = S::load(weights.add(o * LANES));
                        }
                        for (p, sums) in sums.iter_mut().enumerate() {
                            let x = S::splat(*from.add(p * step));
                            for (sum, w) in sums.iter_mut().zip(w) {
                                *sum = S::fma(x, w, *sum);
                            }
                        }
                        weights = weights.add(O * LANES);
                        from = from.add(1);
                    }
                }
            }
            weights = weights.add(t.below * tap_row);
        }
        for (p, sums) in sums.iter().enumerate() {
            for (o, &sum) in sums.iter().enumerate() {
                let mut sum = sum;
                if !t.residual.is_null() {
                    let other = t.residual.add(o * t.residual_block + p * t.output_pixel);
                    sum = S::add(sum, S::load(other));
                }
                S::store(
                    t.output.add(o * t.output_block + p * t.output_pixel),
                    t.clamp.apply::<S>(sum),
                );
            }
        }
    }
}

/// The functions of one instruction set, by pixels a tile.
macro_rules! tiles {
    ($name:ident, $simd:ty, [$($feature:literal)?], [$($one:literal)*], [$($two:literal)*]) => {
        mod $name {
            use super::*;

            /// # Safety
            /// That of [`tile`].
            $(#[target_feature(enable = $feature)])?
            unsafe fn of<const P: usize, const O: usize, const STEP: usize>(t: &Tile) {
                // SAFETY: the caller vouches for the same.
                unsafe { tile::<$simd, P, O, STEP>(t) }
            }

            pub(super) fn get(pixels: usize, outputs: usize, step: usize) -> TileFn {
                match (outputs, pixels, step) {
                    $((1, $one, 16) => of::<$one, 1, 16>,
                      (1, $one, 32) => of::<$one, 1, 32>,
                      (1, $one, _) => of::<$one, 1, 0>,)*
                    $((2, $two, 16) => of::<$two, 2, 16>,
                      (2, $two, 32) => of::<$two, 2, 32>,
                      (2, $two, _) => of::<$two, 2, 0>,)*
                    _ => unreachable!("no tile of {pixels} pixels by {outputs} blocks"),
                }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
use crate::simd::{Avx2, Avx512};
#[cfg(target_arch = "x86_64")]
tiles!(avx512, Avx512, ["avx512f"],
    [1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16], [1 2 3 4 5 6 7 8 9 10 11 12]);
#[cfg(target_arch = "x86_64")]
tiles!(avx2, Avx2, ["avx2,fma"], [1 2 3 4 5 6], []);
tiles!(portable, Portable, [], [1 2 3 4], []);

/// The tiles of an instruction set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tiles(pub(crate) Isa);

impl Tiles {
    /// How many blocks of output channels a tile takes, where there are `blocks`.
    pub(crate) fn outputs(self, blocks: usize) -> usize {
        match self.0 {
            Isa::Avx512Vnni | Isa::Avx512 if blocks.is_multiple_of(2) => 2,
            _ => 1,
        }
    }

    /// The most pixels of a tile.
    pub(crate) fn pixels(self, outputs: usize) -> usize {
        match self.0 {
            Isa::Avx512Vnni | Isa::Avx512 if outputs == 1 => 16,
            Isa::Avx512Vnni | Isa::Avx512 => 12,
            Isa::Avx2 => 6,
            Isa::Portable => 4,
        }
    }

    /// The function for a tile.
    pub(crate) fn get(self, pixels: usize, outputs: usize, step: usize) -> TileFn {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Vnni | Isa::Avx512 => avx512::get(pixels, outputs, step),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => avx2::get(pixels, outputs, step),
            _ => portable::get(pixels, outputs, step),
        }
    }
}
