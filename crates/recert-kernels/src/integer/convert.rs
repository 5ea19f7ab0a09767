//! From float32 to bytes and back, and functions of single bytes.

use super::layout::{Bytes, Grid};
use crate::memory::Blocked;
use crate::simd::{FloatKernel, Floats, Isa, LANES};

/// Pixels that are put together from their channels at a time.
const SIDE_BY_SIDE: usize = 64;

/// Where floats are taken from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source {
    /// Row-major.
    Plain,
    Blocked(Blocked),
}

/// `QuantizeLinear`: `x / scale`, rounded, halves to even, plus the zero
/// point, saturated. What is not a number becomes the least of the grid.
pub(crate) struct ToBytes {
    pub(crate) grid: Grid,
    pub(crate) input: Source,
    pub(crate) output: Bytes,
    pub(crate) isa: Isa,
}

impl ToBytes {
    /// Computes one image.
    pub(crate) fn run(&self, input: &[f32], output: &mut [u8]) {
        let to = &self.output;
        match self.input {
            // Features: one after the other here and there.
            Source::Plain if [to.lanes, to.block()] == [LANES; 2] => {
                let bytes = &mut output[..to.channels];
                self.quantize(&input[..to.channels], bytes);
            }
            Source::Plain => {
                let mut rows = [0; SIDE_BY_SIDE * LANES];
                for (block, y, x) in runs(to) {
                    let count = SIDE_BY_SIDE.min(to.width - x);
                    let channels = block * to.lanes..((block + 1) * to.lanes).min(to.channels);
                    for (channel, row) in channels.zip(rows.chunks_exact_mut(count)) {
                        let from = (channel * to.height + y) * to.width + x;
                        self.quantize(&input[from..from + count], row);
                    }
                    let pixels = &mut output[to.offset(block, y, x)..][..count * to.lanes];
                    interleave(&rows[..count * to.lanes], count, to.lanes, pixels);
                }
            }
            Source::Blocked(from) => {
                let length = from.width * from.lanes;
                for block in 0..from.blocks() {
                    for y in 0..from.height {
                        let values = &input[from.offset(block, y, 0)..][..length];
                        let bytes = &mut output[to.offset(block, y, 0)..][..length];
                        self.quantize(values, bytes);
                    }
                }
            }
        }
    }

    fn quantize(&self, values: &[f32], bytes: &mut [u8]) {
        self.isa.run_floats(Quantized {
            grid: self.grid,
            values,
            bytes,
        });
    }
}

/// Numbers to quantize.
struct Quantized<'a> {
    grid: Grid,
    values: &'a [f32],
    bytes: &'a mut [u8],
}

/// The runs of at most [`SIDE_BY_SIDE`] pixels of a tensor: block, row and
/// first column.
fn runs(layout: &Bytes) -> impl Iterator<Item = (usize, usize, usize)> {
    let (blocks, height, width) = (layout.blocks(), layout.height, layout.width);
    let rows = (0..blocks).flat_map(move |block| (0..height).map(move |y| (block, y)));
    let columns = move || (0..width).step_by(SIDE_BY_SIDE);
    rows.flat_map(move |(block, y)| columns().map(move |x| (block, y, x)))
}

/// From rows of single channels to pixels.
fn interleave(rows: &[u8], width: usize, lanes: usize, pixels: &mut [u8]) {
    if lanes == 4 {
        let (ab, cd) = rows.split_at(2 * width);
        let ((a, b), (c, d)) = (ab.split_at(width), cd.split_at(width));
        let channels = a.iter().zip(b).zip(c.iter().zip(d));
        for (pixel, ((a, b), (c, d))) in pixels.chunks_exact_mut(4).zip(channels) {
            pixel.copy_from_slice(&[*a, *b, *c, *d]);
        }
        return;
    }
    for (lane, row) in rows.chunks_exact(width).enumerate() {
        for (pixel, &byte) in pixels.chunks_exact_mut(lanes).zip(row) {
            pixel[lane] = byte;
        }
    }
}

impl FloatKernel for Quantized<'_> {
    #[inline(always)]
    fn run<S: Floats>(self, _: S) {
        let Self {
            grid,
            values,
            bytes,
        } = self;
        for (byte, &value) in bytes.iter_mut().zip(values) {
            *byte = grid.byte(value);
        }
    }
}

/// `DequantizeLinear`, to blocks.
pub(crate) struct FromBytes {
    pub(crate) grid: Grid,
    pub(crate) input: Bytes,
    pub(crate) output: Blocked,
    pub(crate) isa: Isa,
}

impl FromBytes {
    /// Computes one image.
    pub(crate) fn run(&self, input: &[u8], output: &mut [f32]) {
        let (from, to) = (&self.input, &self.output);
        for block in 0..to.blocks() {
            for y in 0..to.height {
                let length = to.width * LANES;
                let values = &mut output[to.offset(block, y, 0)..][..length];
                let bytes = &input[from.offset(block, y, 0)..][..length];
                self.isa.run_floats(Dequantized {
                    grid: self.grid,
                    bytes,
                    values,
                });
            }
        }
    }
}

/// Bytes to dequantize.
struct Dequantized<'a> {
    grid: Grid,
    bytes: &'a [u8],
    values: &'a mut [f32],
}

impl FloatKernel for Dequantized<'_> {
    #[inline(always)]
    fn run<S: Floats>(self, _: S) {
        let Self {
            grid,
            bytes,
            values,
        } = self;
        for (value, &byte) in values.iter_mut().zip(bytes) {
            *value = grid.number(byte);
        }
    }
}

/// A function of every byte, by a table.
pub(crate) struct Map {
    pub(crate) table: [u8; 256],
    pub(crate) input: Bytes,
    pub(crate) output: Bytes,
}

impl Map {
    /// Computes one image.
    pub(crate) fn run(&self, input: &[u8], output: &mut [u8]) {
        let (from, to) = (&self.input, &self.output);
        let length = from.width * from.lanes;
        for block in 0..from.blocks() {
            for y in 0..from.height {
                let bytes = &input[from.offset(block, y, 0)..][..length];
                let row = &mut output[to.offset(block, y, 0)..][..length];
                for (to, &byte) in row.iter_mut().zip(bytes) {
                    *to = self.table[usize::from(byte)];
                }
            }
        }
    }
}
