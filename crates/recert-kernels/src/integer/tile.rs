//! The innermost loops of convolutions: a few pixels of a row by one or two
//! blocks of output channels, summed in registers.
//!
//! Sums are exact, so that neither tiles nor their order decide anything.
#![expect(unsafe_code, reason = "the innermost loops work with pointers")]

use super::end::{End, finish};
use super::simd::Ints;
use crate::simd::{Isa, LANES, Portable};

/// Bytes of the weights of four input channels for a block of outputs.
pub(super) const QUAD: usize = 4 * LANES;

/// One tile's work. Distances are in bytes.
#[derive(Clone, Copy)]
pub(super) struct Tile<'a> {
    /// The input under the first pixel's first tap.
    pub(super) input: *const u8,
    /// From a pixel's input to the next one's.
    pub(super) pixel: usize,
    /// From a block of input channels to the next one.
    pub(super) block: usize,
    /// From a row of taps to the next one, and from a tap to the next.
    pub(super) row: usize,
    pub(super) column: usize,
    /// Taps.
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// Whole blocks of so many times four input channels, and as many of a
    /// last one.
    pub(super) blocks: usize,
    pub(super) quads: usize,
    pub(super) rest: usize,
    /// Weights are sums of so many int8.
    pub(super) planes: usize,
    /// `[plane][block][row][column][quad][output block][16][4]`.
    pub(super) weights: *const i8,
    /// Where sums begin, `[output block][16]`; what follows them, likewise.
    pub(super) start: *const i32,
    pub(super) factor: *const f32,
    pub(super) offset: *const f32,
    pub(super) end: &'a End,
    /// The first pixel's output, and from a block to the next.
    pub(super) output: *mut u8,
    pub(super) output_block: usize,
    /// Likewise, where there is one.
    pub(super) residual: *const u8,
    pub(super) residual_block: usize,
}

/// Computes one tile.
pub(super) type TileFn = unsafe fn(&Tile<'_>);

/// # Safety
/// That of [`Ints`], and every pointer and distance of the tile must stay
/// inside its buffer; the output is no other tensor's.
#[expect(
    clippy::inline_always,
    reason = "it is compiled once an instruction set"
)]
#[inline(always)]
unsafe fn tile<N: Ints, const P: usize, const O: usize, const STEP: usize>(t: &Tile<'_>) {
    let step = if STEP == 0 { t.pixel } else { STEP };
    // SAFETY: the caller vouches for the instruction set and for all places.
    unsafe {
        let mut sums = [[N::load(t.start); P]; O];
        for (o, sums) in sums.iter_mut().enumerate() {
            *sums = [N::load(t.start.add(o * LANES)); P];
        }
        let mut weights = t.weights;
        let blocks = t.blocks + usize::from(t.rest > 0);
        for _ in 0..t.planes {
            for block in 0..blocks {
                let quads = if block < t.blocks { t.quads } else { t.rest };
                let from = t.input.add(block * t.block);
                for row in 0..t.rows {
                    for column in 0..t.columns {
                        let mut from = from.add(row * t.row + column * t.column);
                        for _ in 0..quads {
                            let mut w = [N::weights(weights); O];
                            for (o, w) in w.iter_mut().enumerate().skip(1) {
                                *w = N::weights(weights.add(o * QUAD));
                            }
                            for p in 0..P {
                                let x = N::quad(from.add(p * step));
                                for (sums, &w) in sums.iter_mut().zip(&w) {
                                    sums[p] = N::dot(sums[p], x, w);
                                }
                            }
                            weights = weights.add(O * QUAD);
                            from = from.add(4);
                        }
                    }
                }
            }
        }
        // No loop: it would keep the sums in memory.
        finish::<N, P>(t.end, sums[0], t.factor, t.offset, t.output, t.residual);
        if O > 1 {
            finish::<N, P>(
                t.end,
                sums[O - 1],
                t.factor.add(LANES),
                t.offset.add(LANES),
                t.output.add(t.output_block),
                t.residual.wrapping_add(t.residual_block),
            );
        }
    }
}

/// The functions of one instruction set, by pixels a tile.
macro_rules! tiles {
    ($name:ident, $ints:ty, [$($feature:literal)?], [$($one:literal)*], [$($two:literal)*]) => {
        mod $name {
            use super::*;

            /// # Safety
            /// That of [`tile`].
            $(#[target_feature(enable = $feature)])?
            unsafe fn of<const P: usize, const O: usize, const STEP: usize>(t: &Tile<'_>) {
                // SAFETY: the caller vouches for the same.
                unsafe { tile::<$ints, P, O, STEP>(t) }
            }

            pub(super) fn get(pixels: usize, outputs: usize, step: usize) -> TileFn {
                match (outputs, pixels, step) {
                    $((1, $one, 16) => of::<$one, 1, 16>,
                      (1, $one, _) => of::<$one, 1, 0>,)*
                    $((2, $two, 16) => of::<$two, 2, 16>,
                      (2, $two, _) => of::<$two, 2, 0>,)*
                    _ => unreachable!("no tile of {pixels} pixels by {outputs} blocks"),
                }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
use super::simd::Vnni;
#[cfg(target_arch = "x86_64")]
use crate::simd::{Avx2, Avx512};
#[cfg(target_arch = "x86_64")]
tiles!(vnni, Vnni, ["avx512f,avx512bw,avx512vnni"],
    [1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16], [1 2 3 4 5 6 7 8 9 10 11 12]);
#[cfg(target_arch = "x86_64")]
tiles!(avx512, Avx512, ["avx512f,avx512bw"], [1 2 3 4 5 6 7 8 9 10 11 12], []);
#[cfg(target_arch = "x86_64")]
tiles!(avx2, Avx2, ["avx2,fma"], [1 2 3 4], []);
tiles!(portable, Portable, [], [1 2 3 4], []);

/// The tiles of an instruction set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tiles(pub(super) Isa);

impl Tiles {
    /// How many blocks of output channels a tile takes, where there are `blocks`.
    pub(super) fn outputs(self, blocks: usize) -> usize {
        match self.0 {
            Isa::Avx512Vnni if blocks.is_multiple_of(2) => 2,
            _ => 1,
        }
    }

    /// The most pixels of a tile.
    pub(super) fn pixels(self, outputs: usize) -> usize {
        match self.0 {
            Isa::Avx512Vnni if outputs == 1 => 16,
            Isa::Avx512Vnni | Isa::Avx512 => 12,
            Isa::Avx2 | Isa::Portable => 4,
        }
    }

    /// The function for a tile whose pixels are `step` bytes apart.
    pub(super) fn get(self, pixels: usize, outputs: usize, step: usize) -> TileFn {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Vnni => vnni::get(pixels, outputs, step),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => avx512::get(pixels, outputs, step),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => avx2::get(pixels, outputs, step),
            _ => portable::get(pixels, outputs, step),
        }
    }
}
