//! An 8-bit image in red, green and blue: the result of decoding and of resizing.

use crate::pixels::{Grid, Image, Shape, byte_to_pixel};

/// An 8-bit image, row by row, three bytes per pixel.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rgb {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) data: Vec<u8>,
}

impl Rgb {
    /// Converts bytes to pixels, channel by channel.
    pub(crate) fn to_image(&self) -> Image {
        let bytes = |c| self.data.iter().skip(c).step_by(3);
        Image {
            shape: Shape {
                channels: 3,
                height: self.height,
                width: self.width,
            },
            pixels: (0..3).flat_map(bytes).map(|&b| byte_to_pixel(b)).collect(),
            grid: Grid::EightBit,
        }
    }
}
