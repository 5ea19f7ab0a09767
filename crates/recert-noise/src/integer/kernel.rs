//! The inner loops of integer noise, compiled once for each set of vector instructions.

#![expect(
    clippy::inline_always,
    reason = "the loops must be compiled with the target features of their caller"
)]

use super::LEVELS;
use super::table::{FURTHER_BITS, Table, WORD_BITS};
use crate::kernel::{Kernel, LANES, SampleId, TILE};
use crate::philox::philox4x32_10;

/// The noise of a tile, in grey levels.
pub(super) type Levels = [i32; TILE];

/// No value of the noise: it marks an element whose further bits decide.
const OPEN: i32 = i32::MIN;

/// Writes the sample's noise from tile number `first` on into `out`.
pub(super) struct Fill<'a> {
    pub(super) id: &'a SampleId,
    pub(super) table: &'a Table,
    pub(super) first: usize,
    pub(super) out: &'a mut [Levels],
}

/// Writes (level + noise)/255, rounded once, from tile number `first` on;
/// `image` and `out` are equally long.
pub(super) struct Add<'a> {
    pub(super) id: &'a SampleId,
    pub(super) table: &'a Table,
    pub(super) first: usize,
    pub(super) image: &'a [[u8; TILE]],
    pub(super) out: &'a mut [[f32; TILE]],
}

/// The four words of a block.
#[inline(always)]
fn block(id: &SampleId, number: u32, stream: u32) -> [u32; 4] {
    philox4x32_10([number, id.sample, id.input, stream], id.key)
}

/// The noise with this magnitude and the sign of a word's leading bit.
#[inline(always)]
fn signed(word: u32, magnitude: u32) -> i32 {
    // All ones for minus: x ^ -1 is -x - 1.
    let sign = (word as i32) >> WORD_BITS;
    (magnitude as i32 ^ sign) - sign
}

/// The noise of tile number `tile`.
#[inline(always)]
fn noise(id: &SampleId, table: &Table, tile: usize) -> Levels {
    let mut words = [0; TILE];
    for lane in 0..LANES {
        let four = block(id, (tile * LANES + lane) as u32, id.stream);
        for (part, word) in four.into_iter().enumerate() {
            words[part * LANES + lane] = word;
        }
    }
    let mut levels = [0; TILE];
    if look_up(table, &words, &mut levels) {
        settle(id, table, tile, &words, &mut levels);
    }
    levels
}

/// The noise that the table's guide gives, with [`OPEN`] where it leaves it
/// open; whether it does anywhere.
#[inline(always)]
fn look_up(table: &Table, words: &[u32; TILE], levels: &mut Levels) -> bool {
    let mut any_open = 0;
    for (level, &word) in levels.iter_mut().zip(words) {
        let (magnitude, open) = table.look_up(word & ((1 << WORD_BITS) - 1));
        *level = if open { OPEN } else { signed(word, magnitude) };
        any_open |= u32::from(open);
    }
    any_open != 0
}

/// Searches the table where the guide left the noise open.
#[cold]
#[inline(never)]
fn settle(id: &SampleId, table: &Table, tile: usize, words: &[u32; TILE], levels: &mut Levels) {
    for (r, (level, &word)) in levels.iter_mut().zip(words).enumerate() {
        if *level == OPEN {
            let further = || further_bits(id, tile * LANES + r % LANES, r / LANES);
            let magnitude = table.search(word & ((1 << WORD_BITS) - 1), further);
            *level = signed(word, magnitude);
        }
    }
}

/// The 96 further bits of word `part` of a block: the first three words of the
/// block of the same number in a stream of their own.
pub(super) fn further_bits(id: &SampleId, number: usize, part: usize) -> u128 {
    let stream = id.stream | (part as u32 + 1) << FURTHER_STREAM_SHIFT;
    let four = block(id, number as u32, stream);
    four[..(FURTHER_BITS / 32) as usize]
        .iter()
        .fold(0, |bits, &word| (bits << 32) | u128::from(word))
}

/// Where a stream's number says which word of a block the bits belong to. The
/// numbers of [`crate::Stream`] stay far below.
const FURTHER_STREAM_SHIFT: u32 = 24;

impl Kernel for Fill<'_> {
    #[inline(always)]
    fn run(self) {
        for (tile, levels) in self.out.iter_mut().enumerate() {
            *levels = noise(self.id, self.table, self.first + tile);
        }
    }
}

impl Kernel for Add<'_> {
    #[inline(always)]
    fn run(self) {
        for (tile, (x, y)) in self.image.iter().zip(self.out).enumerate() {
            let levels = noise(self.id, self.table, self.first + tile);
            for ((y, &x), level) in y.iter_mut().zip(x).zip(levels) {
                *y = (i32::from(x) + level) as f32 / LEVELS;
            }
        }
    }
}
