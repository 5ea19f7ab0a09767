//! An image: its shape, its `f32` pixels and their fingerprint.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::error::{Error, ErrorKind, Result};

/// The dimensions of an image; pixels are stored channel by channel, row by row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Number of channels: 1 for greyscale, 3 for red, green, blue.
    pub channels: usize,
    /// Number of rows.
    pub height: usize,
    /// Number of columns.
    pub width: usize,
}

impl Shape {
    /// Number of pixel values, channels x height x width; `None` on overflow.
    ///
    /// ```
    /// let shape = recert_data::Shape { channels: 3, height: 32, width: 32 };
    /// assert_eq!(shape.checked_len(), Some(3072));
    /// ```
    pub fn checked_len(&self) -> Option<usize> {
        self.channels
            .checked_mul(self.height)?
            .checked_mul(self.width)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}x{}", self.channels, self.height, self.width)
    }
}

/// Whether the pixels of an image are values of 8-bit images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Grid {
    /// Every pixel is, bit by bit, `k as f32 / 255.0` for a whole k in 0..=255.
    EightBit,
    /// At least one pixel is not.
    Float,
}

/// One image: flat pixels in [0, 1], order [channels, height, width].
///
/// Images that come from a [`Dataset`](crate::Dataset) or from
/// [`Image::from_pixels`] have as many pixels as the shape calls for, all finite,
/// in [0, 1] and never negative zero, and the right `grid`.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// Dimensions.
    pub shape: Shape,
    /// Pixels in [0, 1]; channel c, row y, column x is at (c * height + y) * width + x.
    pub pixels: Vec<f32>,
    /// Whether all pixels are those of an 8-bit image.
    pub grid: Grid,
}

impl Image {
    /// Makes an image of pixels in [0, 1], in the order [channels, height, width].
    ///
    /// Negative zero becomes zero. It is an error ([`ErrorKind::Shape`]) if the
    /// number of pixels is zero or not the one that the shape calls for, and
    /// ([`ErrorKind::Value`]) if a pixel is outside [0, 1] or not a number.
    ///
    /// ```
    /// use recert_data::{ErrorKind, Grid, Image, Shape};
    ///
    /// let shape = Shape { channels: 1, height: 1, width: 2 };
    /// assert_eq!(Image::from_pixels(shape, vec![0.0, 1.0])?.grid, Grid::EightBit);
    /// assert_eq!(Image::from_pixels(shape, vec![0.0, 0.1])?.grid, Grid::Float);
    /// let error = Image::from_pixels(shape, vec![0.0, 255.0]).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Value);
    /// # Ok::<(), recert_data::Error>(())
    /// ```
    pub fn from_pixels(shape: Shape, mut pixels: Vec<f32>) -> Result<Self> {
        if pixels.is_empty() || shape.checked_len() != Some(pixels.len()) {
            return Err(Error::new(
                ErrorKind::Shape,
                format!("{} pixels do not make an image of {shape}", pixels.len()),
            ));
        }
        for (index, pixel) in pixels.iter_mut().enumerate() {
            *pixel =
                in_range(f64::from(*pixel)).ok_or_else(|| value_error(shape, index, *pixel))?;
        }
        let grid = grid_of(&pixels);
        Ok(Self {
            shape,
            pixels,
            grid,
        })
    }

    /// SHA-256 of the image: of its shape and of every bit of its pixels.
    ///
    /// The hash is over channels, height and width as three unsigned 64-bit
    /// little-endian numbers (24 bytes), followed by the pixels in the order of
    /// [`pixels`](Self::pixels), each as the four little-endian bytes of its
    /// IEEE 754 binary32 representation. Nothing else enters: neither the grid,
    /// the label nor the file.
    ///
    /// ```
    /// use recert_data::{Image, Shape};
    ///
    /// let row = Shape { channels: 1, height: 1, width: 2 };
    /// let column = Shape { channels: 1, height: 2, width: 1 };
    /// let row = Image::from_pixels(row, vec![0.0, 1.0])?;
    /// let column = Image::from_pixels(column, vec![0.0, 1.0])?;
    /// assert_ne!(row.sha256(), column.sha256());
    /// # Ok::<(), recert_data::Error>(())
    /// ```
    pub fn sha256(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for size in [self.shape.channels, self.shape.height, self.shape.width] {
            hash.update((size as u64).to_le_bytes());
        }
        // Hashing in blocks is many times faster than four bytes at a time.
        let mut block = Vec::with_capacity(4 * 1024);
        for pixels in self.pixels.chunks(1024) {
            block.clear();
            block.extend(pixels.iter().flat_map(|pixel| pixel.to_le_bytes()));
            hash.update(&block);
        }
        hash.finalize().into()
    }
}

/// Rounds a value in [0, 1] to `f32`, negative zero to zero; `None` outside.
pub(crate) fn in_range(value: f64) -> Option<f32> {
    // The comparison is false for NaN. Rounding is monotone and 0 and 1 are
    // representable, so the result stays inside; adding zero clears the sign.
    (0.0..=1.0).contains(&value).then_some(value as f32 + 0.0)
}

/// The value of a pixel stored as byte `b`, as in torchvision's `ToTensor`.
pub(crate) fn byte_to_pixel(b: u8) -> f32 {
    f32::from(b) / 255.0
}

/// [`Grid::EightBit`] if all pixels, which lie in [0, 1], are values of bytes.
pub(crate) fn grid_of(pixels: &[f32]) -> Grid {
    let on_grid = |&p: &f32| byte_to_pixel((p * 255.0).round() as u8) == p;
    if pixels.iter().all(on_grid) {
        Grid::EightBit
    } else {
        Grid::Float
    }
}

/// The error for a pixel that is not in [0, 1], by its index in CHW order.
pub(crate) fn value_error(shape: Shape, index: usize, value: impl fmt::Display) -> Error {
    let column = index % shape.width;
    let row = index / shape.width % shape.height;
    let channel = index / shape.width / shape.height;
    Error::new(
        ErrorKind::Value,
        format!(
            "pixel {value} at channel {channel}, row {row}, column {column} is not in [0, 1]; \
             store pixels as uint8, or as floats already divided by 255 and not normalised"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAIR: Shape = Shape {
        channels: 1,
        height: 1,
        width: 2,
    };

    #[test]
    fn the_grid_is_that_byte_to_pixels_in_every_precision() {
        for b in 0..=255_u8 {
            let value = byte_to_pixel(b);
            assert_eq!(grid_of(&[value]), Grid::EightBit, "byte {b}");
            assert_eq!(in_range(f64::from(b) / 255.0), Some(value), "byte {b}");
            for neighbour in [value.next_up(), value.next_down()] {
                if (0.0..=1.0).contains(&neighbour) {
                    assert_eq!(grid_of(&[neighbour]), Grid::Float, "beside byte {b}");
                }
            }
        }
    }

    #[test]
    fn values_outside_the_range_are_refused_with_their_place() {
        for bad in [-1e-9, 1.000_001, f32::NAN, f32::INFINITY, -f32::INFINITY] {
            let error = Image::from_pixels(PAIR, vec![0.5, bad]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Value, "{bad}");
            assert!(error.to_string().contains("row 0, column 1"), "{error}");
        }
        let zero = Image::from_pixels(PAIR, vec![-0.0, 1.0]).unwrap();
        assert!(zero.pixels[0].is_sign_positive());
        assert_eq!(zero.grid, Grid::EightBit);
    }

    #[test]
    fn a_wrong_number_of_pixels_is_refused() {
        for pixels in [vec![], vec![0.0], vec![0.0; 3]] {
            let error = Image::from_pixels(PAIR, pixels).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Shape);
        }
    }

    #[test]
    fn the_fingerprint_is_the_documented_one() {
        // From Python: hashlib.sha256(struct.pack('<3Q2f', 1, 1, 2, 0.0, 0.5)).
        let image = Image::from_pixels(PAIR, vec![0.0, 0.5]).unwrap();
        let hex = image
            .sha256()
            .iter()
            .fold(String::new(), |text, b| text + &format!("{b:02x}"));
        assert_eq!(
            hex,
            "b9de0678e941cd9b26b2756c643d6324e4852201216b02d946c27425b14d067a"
        );
        // The same pixels in another shape are another image.
        let column = Shape {
            channels: 1,
            height: 2,
            width: 1,
        };
        let other = Image::from_pixels(column, vec![0.0, 0.5]).unwrap();
        assert_ne!(image.sha256(), other.sha256());
    }
}
