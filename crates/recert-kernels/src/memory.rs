//! Numbers in memory: aligned buffers, and how a tensor lies in one.

use bytemuck::{Pod, Zeroable};

use crate::integer::Bytes;
use crate::simd::{LANES, Lanes};

/// One cache line.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line(Lanes);

/// Float32 values, the first one at the start of a cache line.
#[derive(Clone, Default)]
pub(crate) struct Buffer {
    lines: Vec<Line>,
}

impl Buffer {
    /// At least `len` zeros.
    pub(crate) fn zeros(len: usize) -> Self {
        Self {
            lines: vec![Line([0.0; LANES]); len.div_ceil(LANES)],
        }
    }

    /// As [`Buffer::zeros`], of values each byte of which is `byte`.
    pub(crate) fn filled(len: usize, byte: u8) -> Self {
        Self {
            lines: vec![Line([f32::from_ne_bytes([byte; 4]); LANES]); len.div_ceil(LANES)],
        }
    }

    /// The values given, and zeros to a whole line.
    pub(crate) fn of(values: &[f32]) -> Self {
        let mut buffer = Self::zeros(values.len());
        buffer.values_mut()[..values.len()].copy_from_slice(values);
        buffer
    }

    pub(crate) fn values(&self) -> &[f32] {
        bytemuck::cast_slice(&self.lines)
    }

    pub(crate) fn values_mut(&mut self) -> &mut [f32] {
        bytemuck::cast_slice_mut(&mut self.lines)
    }

    /// The values, a vector at a time.
    pub(crate) fn lanes(&self) -> &[Lanes] {
        bytemuck::cast_slice(&self.lines)
    }
}

/// How one image's tensor lies in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Layout {
    /// Row-major, and unspecified values to a whole number of [`LANES`].
    Plain {
        /// The number of values.
        len: usize,
    },
    /// Planes of pixels of a few channels.
    Blocked(Blocked),
    /// The same in bytes.
    Bytes(Bytes),
}

/// `[block][row][column][channel of the block]`, with columns of zeros on
/// both sides of every row, which no kernel writes. The channels that fill up the
/// last block are unspecified, and no result depends on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Blocked {
    pub(crate) channels: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    /// Columns of zeros.
    pub(crate) left: usize,
    pub(crate) right: usize,
    /// Channels a block: [`LANES`], or 4 for an image of few channels.
    pub(crate) lanes: usize,
}

impl Blocked {
    pub(crate) fn blocks(&self) -> usize {
        self.channels.div_ceil(self.lanes)
    }

    /// From a row to the next one.
    pub(crate) fn row(&self) -> usize {
        (self.left + self.width + self.right) * self.lanes
    }

    /// From a block to the next one.
    pub(crate) fn block(&self) -> usize {
        self.height * self.row()
    }

    /// Where pixel `(y, x)` of block `block` begins.
    pub(crate) fn offset(&self, block: usize, y: usize, x: usize) -> usize {
        block * self.block() + y * self.row() + (self.left + x) * self.lanes
    }

    /// Where the value of channel `channel` at `(y, x)` is.
    pub(crate) fn channel_offset(&self, channel: usize, y: usize, x: usize) -> usize {
        self.offset(channel / self.lanes, y, x) + channel % self.lanes
    }

    /// Values an image takes.
    pub(crate) fn size(&self) -> usize {
        self.blocks() * self.block()
    }
}

impl Layout {
    /// Values an image takes, of the size of float32, a whole number of
    /// [`LANES`].
    pub(crate) fn size(&self) -> usize {
        let size = match self {
            Self::Plain { len } => *len,
            Self::Blocked(blocked) => blocked.size(),
            Self::Bytes(bytes) => bytes.size().div_ceil(size_of::<f32>()),
        };
        size.next_multiple_of(LANES)
    }

    /// What every byte of it is before anything is written.
    pub(crate) fn fill(&self) -> u8 {
        match self {
            Self::Plain { .. } | Self::Blocked(_) => 0,
            Self::Bytes(bytes) => bytes.zero,
        }
    }
}

/// Copies a row-major `[channels, height, width]` tensor into its blocks.
pub(crate) fn to_blocks(plain: &[f32], layout: &Blocked, blocked: &mut [f32]) {
    let plane = layout.height * layout.width;
    for (channel, plane) in plain.chunks_exact(plane).take(layout.channels).enumerate() {
        for (y, row) in plane.chunks_exact(layout.width).enumerate() {
            let to = &mut blocked[layout.channel_offset(channel, y, 0)..];
            for (pixel, &value) in to.chunks_mut(layout.lanes).zip(row) {
                pixel[0] = value;
            }
        }
    }
}

/// The inverse of [`to_blocks`].
pub(crate) fn to_plain(blocked: &[f32], layout: &Blocked, plain: &mut [f32]) {
    let plane = layout.height * layout.width;
    let planes = plain.chunks_exact_mut(plane).take(layout.channels);
    for (channel, plane) in planes.enumerate() {
        for (y, row) in plane.chunks_exact_mut(layout.width).enumerate() {
            let from = &blocked[layout.channel_offset(channel, y, 0)..];
            for (pixel, value) in from.chunks(layout.lanes).zip(row) {
                *value = pixel[0];
            }
        }
    }
}

/// Copies a tensor in blocks to `[row][column][channel]`.
pub(crate) fn to_pixels(blocked: &[f32], layout: &Blocked, pixels: &mut [f32]) {
    each_pixel(layout, |block, from, to, count| {
        let to = to + block * layout.lanes;
        if count == LANES {
            pixels[to..to + LANES].copy_from_slice(&blocked[from..from + LANES]);
        } else {
            pixels[to..to + count].copy_from_slice(&blocked[from..from + count]);
        }
    });
}

/// The inverse of [`to_pixels`].
pub(crate) fn from_pixels(pixels: &[f32], layout: &Blocked, blocked: &mut [f32]) {
    each_pixel(layout, |block, to, from, count| {
        let from = from + block * layout.lanes;
        if count == LANES {
            blocked[to..to + LANES].copy_from_slice(&pixels[from..from + LANES]);
        } else {
            blocked[to..to + count].copy_from_slice(&pixels[from..from + count]);
        }
    });
}

/// For each pixel of each block: the block, where the pixel is in it, where the
/// pixel's channels begin in `[row][column][channel]`, and how many channels the
/// block has.
fn each_pixel(layout: &Blocked, mut copy: impl FnMut(usize, usize, usize, usize)) {
    for block in 0..layout.blocks() {
        let count = layout.lanes.min(layout.channels - block * layout.lanes);
        for y in 0..layout.height {
            let first = layout.offset(block, y, 0);
            for x in 0..layout.width {
                let pixel = (y * layout.width + x) * layout.channels;
                copy(block, first + x * layout.lanes, pixel, count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_hold_what_they_were_given_and_their_borders_stay_zero() {
        for (channels, lanes) in [(1, 4), (3, 4), (5, 16), (33, 16)] {
            let layout = Blocked {
                channels,
                height: 3,
                width: 5,
                left: 2,
                right: 1,
                lanes,
            };
            let plain: Vec<f32> = (1..=channels * 15).map(|v| v as f32).collect();
            let mut blocked = Buffer::zeros(Layout::Blocked(layout).size());
            to_blocks(&plain, &layout, blocked.values_mut());
            let mut back = vec![0.0; plain.len()];
            to_plain(blocked.values(), &layout, &mut back);
            assert_eq!(back, plain);
            let held: f32 = blocked.values().iter().sum();
            assert_eq!(held, plain.iter().sum::<f32>());
            assert_eq!(
                blocked.values()[layout.channel_offset(channels - 1, 2, 4)],
                (channels * 15) as f32
            );
        }
    }
}
