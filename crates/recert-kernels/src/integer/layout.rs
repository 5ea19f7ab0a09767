//! What quantized numbers stand for, and how a tensor of them lies in memory.

/// The numbers that the bytes of a tensor stand for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Grid {
    /// The distance of neighbours.
    pub(crate) scale: f32,
    /// What stands for 0, as it is held: shifted by 128 if signed.
    pub(crate) zero: u8,
    /// Whether ONNX has int8 there, not uint8.
    pub(crate) signed: bool,
}

impl Grid {
    /// The bytes as the integers that ONNX has there.
    pub(crate) fn integers(self) -> Self {
        Self {
            scale: 1.0,
            zero: if self.signed { 128 } else { 0 },
            signed: self.signed,
        }
    }

    /// The byte of a number; that of NaN is 0.
    pub(crate) fn byte(self, value: f32) -> u8 {
        /// Added to an integer from 0 to 255, it leaves that in the last byte.
        /// A conversion would be done one number after the other.
        const SHIFT: f32 = 12_582_912.0;
        #[expect(clippy::manual_clamp, reason = "it would keep NaN")]
        let held = |steps: f32| (steps.max(0.0).min(255.0) + SHIFT).to_bits() as u8;
        held((value / self.scale).round_ties_even() + f32::from(self.zero))
    }

    /// The number that a byte stands for.
    pub(crate) fn number(self, byte: u8) -> f32 {
        (f32::from(byte) - f32::from(self.zero)) * self.scale
    }
}

/// `[block][row][column][channel of the block]` in bytes, with rows and
/// columns on all sides of every plane that stand for 0 and that no kernel
/// writes. The channels that fill up the last block are unspecified, and no
/// result depends on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Bytes {
    pub(crate) channels: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    /// Rows and columns of zeros: above, to the left, below, to the right.
    pub(crate) borders: [usize; 4],
    /// Channels a block: [`crate::simd::LANES`], or 4 for an image of few channels.
    pub(crate) lanes: usize,
    /// What stands for 0.
    pub(crate) zero: u8,
}

impl Bytes {
    pub(crate) fn blocks(&self) -> usize {
        self.channels.div_ceil(self.lanes)
    }

    /// From a row to the next one.
    pub(crate) fn row(&self) -> usize {
        (self.borders[1] + self.width + self.borders[3]) * self.lanes
    }

    /// From a block to the next one.
    pub(crate) fn block(&self) -> usize {
        (self.borders[0] + self.height + self.borders[2]) * self.row()
    }

    /// Where pixel `(y, x)` of block `block` begins.
    pub(crate) fn offset(&self, block: usize, y: usize, x: usize) -> usize {
        block * self.block()
            + (self.borders[0] + y) * self.row()
            + (self.borders[1] + x) * self.lanes
    }

    #[cfg(test)]
    /// Where the byte of channel `channel` at `(y, x)` is.
    pub(crate) fn channel_offset(&self, channel: usize, y: usize, x: usize) -> usize {
        self.offset(channel / self.lanes, y, x) + channel % self.lanes
    }

    /// Bytes an image takes.
    pub(crate) fn size(&self) -> usize {
        self.blocks() * self.block()
    }

    /// Whether the shapes are the same, and the blocks.
    pub(crate) fn fits(&self, other: &Self) -> bool {
        let shape = |l: &Self| [l.channels, l.height, l.width, l.lanes];
        shape(self) == shape(other)
    }
}

/// The bytes of a buffer's values.
pub(crate) fn bytes(values: &[f32]) -> &[u8] {
    bytemuck::cast_slice(values)
}

/// As [`bytes`], to be written.
pub(crate) fn bytes_mut(values: &mut [f32]) -> &mut [u8] {
    bytemuck::cast_slice_mut(values)
}
