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
    /// Greyscale in three equal channels, as Pillow's `convert("L")` computes it: weights of
    /// ITU-R 601-2 in 16 bits, rounded to the nearest.
    pub(crate) fn to_grey(&self) -> Self {
        let grey = |pixel: &[u8]| {
            let weighed = pixel.iter().zip([19_595, 38_470, 7_471]);
            let sum: u32 = weighed.map(|(&b, weight)| u32::from(b) * weight).sum();
            [((sum + 0x8000) >> 16) as u8; 3]
        };
        Self {
            width: self.width,
            height: self.height,
            data: self.data.chunks_exact(3).flat_map(grey).collect(),
        }
    }

    /// Converts the first of the bytes of every pixel, for an image of equal channels.
    pub(crate) fn to_grey_image(&self) -> Image {
        Image {
            shape: Shape {
                channels: 1,
                height: self.height,
                width: self.width,
            },
            pixels: self
                .data
                .iter()
                .step_by(3)
                .map(|&b| byte_to_pixel(b))
                .collect(),
            grid: Grid::EightBit,
        }
    }

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
