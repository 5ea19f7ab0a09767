//! From float32 to bytes and back, and functions of single bytes.

use super::layout::{Bytes, Grid};
use crate::memory::Blocked;
use crate::simd::{Isa, LANES, Simd, compiled};

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
            Source::Plain => {
                let mut row = vec![0; to.width];
                let plane = to.height * to.width;
                for (channel, plane) in input.chunks_exact(plane).take(to.channels).enumerate() {
                    for (y, values) in plane.chunks_exact(to.width).enumerate() {
                        quantize(self.isa, self.grid, values, &mut row);
                        let to_row = &mut output[to.place(channel, y, 0)..];
                        for (pixel, &byte) in to_row.chunks_mut(to.lanes).zip(&row) {
                            pixel[0] = byte;
                        }
                    }
                }
            }
            Source::Blocked(from) => {
                let length = from.width * from.lanes;
                for block in 0..from.blocks() {
                    for y in 0..from.height {
                        let values = &input[from.at(block, y, 0)..][..length];
                        let bytes = &mut output[to.at(block, y, 0)..][..length];
                        quantize(self.isa, self.grid, values, bytes);
                    }
                }
            }
        }
    }
}

compiled! { fn quantize = quantize_generic(grid: Grid, values: &[f32], bytes: &mut [u8]) }

/// Safe as it is; only its callers are not.
#[expect(
    clippy::inline_always,
    reason = "it is compiled once an instruction set"
)]
#[inline(always)]
fn quantize_generic<S: Simd>(grid: Grid, values: &[f32], bytes: &mut [u8]) {
    for (byte, &value) in bytes.iter_mut().zip(values) {
        *byte = grid.byte(value);
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
                let values = &mut output[to.at(block, y, 0)..][..length];
                let bytes = &input[from.at(block, y, 0)..][..length];
                dequantize(self.isa, self.grid, bytes, values);
            }
        }
    }
}

compiled! { fn dequantize = dequantize_generic(grid: Grid, bytes: &[u8], values: &mut [f32]) }

/// Safe as it is; only its callers are not.
#[expect(
    clippy::inline_always,
    reason = "it is compiled once an instruction set"
)]
#[inline(always)]
fn dequantize_generic<S: Simd>(grid: Grid, bytes: &[u8], values: &mut [f32]) {
    for (value, &byte) in values.iter_mut().zip(bytes) {
        *value = grid.number(byte);
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
                let bytes = &input[from.at(block, y, 0)..][..length];
                let row = &mut output[to.at(block, y, 0)..][..length];
                for (to, &byte) in row.iter_mut().zip(bytes) {
                    *to = self.table[usize::from(byte)];
                }
            }
        }
    }
}
