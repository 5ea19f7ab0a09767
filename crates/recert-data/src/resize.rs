//! Torchvision's `Resize` and `CenterCrop` on 8-bit images, bit by bit.
//!
//! `Resize` of a Pillow image is Pillow's separable bilinear resampling: a
//! triangle filter widened by the scale when shrinking (antialiasing), weights
//! normalised in double precision and then rounded to 22 fractional bits, first
//! along rows and then along columns, with rounding to 8 bits between the two.
//! Doing the same integer arithmetic gives the same bytes; resampling in
//! floating point, as the image crate's `Triangle` filter does, may differ by
//! one grey level.
//!
//! Pillow from 13.0 takes columns first when it shrinks an image more than twice
//! as tall as wide, which differs from the order of earlier versions, kept here,
//! by at most one grey level.

use crate::error::{Error, ErrorKind, Result};
use crate::rgb::Rgb;

/// Fractional bits of the weights: what 32 bits leave beside 8 bits of pixel and
/// 2 bits of headroom.
const FRACTION: u32 = 32 - 8 - 2;

/// Most pixels that an image may be scaled up to.
const MOST_PIXELS: u64 = 1 << 27;

const CHANNELS: usize = 3;

/// The size to which `Resize(size)` scales an image: the shorter side becomes
/// `size`, the longer one keeps the ratio, rounded down.
pub(crate) fn resized(width: usize, height: usize, size: u32) -> Result<(usize, usize)> {
    let (short, long) = (width.min(height) as u64, width.max(height) as u64);
    let size = u64::from(size);
    let scaled = (size * long).checked_div(short).unwrap_or(u64::MAX);
    if size == 0
        || scaled
            .checked_mul(size)
            .is_none_or(|pixels| pixels > MOST_PIXELS)
    {
        return Err(Error::new(
            ErrorKind::Options,
            format!("an image of {width} by {height} pixels cannot be scaled to a side of {size}"),
        ));
    }
    let (short, long) = (size as usize, scaled as usize);
    Ok(if width <= height {
        (short, long)
    } else {
        (long, short)
    })
}

/// Refuses a side of a crop that is zero or absurd.
pub(crate) fn check_crop(size: u32) -> Result<usize> {
    if size == 0 || u64::from(size) * u64::from(size) > MOST_PIXELS {
        let message = format!("cannot crop to {size} by {size} pixels");
        return Err(Error::new(ErrorKind::Options, message));
    }
    Ok(size as usize)
}

/// Scales an image to the given width and height, both at least 1.
pub(crate) fn resize(image: Rgb, width: usize, height: usize) -> Rgb {
    let image = if image.width == width {
        image
    } else {
        along_rows(&image, width)
    };
    if image.height == height {
        image
    } else {
        along_columns(&image, height)
    }
}

/// Cuts out the central square of `size` pixels a side, padding with black.
pub(crate) fn center_crop(image: &Rgb, size: usize) -> Rgb {
    let (left, x0) = placement(image.width, size);
    let (top, y0) = placement(image.height, size);
    let columns = (image.width - x0).min(size - left);
    let rows = (image.height - y0).min(size - top);
    let mut data = vec![0; size * size * CHANNELS];
    for row in 0..rows {
        let from = ((y0 + row) * image.width + x0) * CHANNELS;
        let to = ((top + row) * size + left) * CHANNELS;
        let length = columns * CHANNELS;
        data[to..to + length].copy_from_slice(&image.data[from..from + length]);
    }
    Rgb {
        width: size,
        height: size,
        data,
    }
}

/// Along one axis: how many black pixels precede the image, and how many pixels
/// of the image are cut off before the crop. One of the two is zero.
fn placement(length: usize, size: usize) -> (usize, usize) {
    if length < size {
        return ((size - length) / 2, 0);
    }
    // Torchvision rounds half the difference as Python does, halves to even.
    let (half, odd) = ((length - size) / 2, (length - size) % 2);
    (0, half + odd * (half % 2))
}

/// The weights of the input pixels that make one output pixel.
struct Window {
    first: usize,
    /// Fixed point with [`FRACTION`] fractional bits; they sum to about 1.
    weights: Vec<i32>,
}

/// The windows of all output pixels along an axis.
fn windows(from: usize, to: usize) -> Vec<Window> {
    let scale = from as f64 / to as f64;
    // The filter reaches one pixel to each side, of the output when shrinking.
    let support = scale.max(1.0);
    let step = 1.0 / support;
    let window = |out: usize| {
        let center = (out as f64 + 0.5) * scale;
        // Conversion to an integer truncates and saturates at zero.
        let first = (center - support + 0.5) as usize;
        let end = ((center + support + 0.5) as usize).min(from);
        let mut weights: Vec<f64> = (first..end)
            .map(|x| {
                // The order of operations decides the last bit.
                let distance = ((x - first) as f64 + first as f64 - center + 0.5) * step;
                (1.0 - distance.abs()).max(0.0)
            })
            .collect();
        let total: f64 = weights.iter().sum();
        if total != 0.0 {
            for weight in &mut weights {
                *weight /= total;
            }
        }
        let one = f64::from(1_u32 << FRACTION);
        let weights = weights.iter().map(|w| (0.5 + w * one) as i32).collect();
        Window { first, weights }
    };
    (0..to).map(window).collect()
}

/// Rounds a weighted sum to 8 bits.
fn round(sum: i32) -> u8 {
    ((sum + (1 << (FRACTION - 1))) >> FRACTION).clamp(0, 255) as u8
}

fn along_rows(image: &Rgb, width: usize) -> Rgb {
    let windows = windows(image.width, width);
    let mut data = Vec::with_capacity(width * image.height * CHANNELS);
    for row in image.data.chunks_exact(image.width * CHANNELS) {
        for window in &windows {
            let mut sums = [0_i32; CHANNELS];
            let pixels = row[window.first * CHANNELS..].chunks_exact(CHANNELS);
            for (weight, pixel) in window.weights.iter().zip(pixels) {
                for (sum, &value) in sums.iter_mut().zip(pixel) {
                    *sum += weight * i32::from(value);
                }
            }
            data.extend(sums.map(round));
        }
    }
    Rgb {
        width,
        height: image.height,
        data,
    }
}

fn along_columns(image: &Rgb, height: usize) -> Rgb {
    let stride = image.width * CHANNELS;
    let mut data = Vec::with_capacity(stride * height);
    let mut sums = vec![0_i32; stride];
    for window in windows(image.height, height) {
        sums.fill(0);
        let rows = image.data[window.first * stride..].chunks_exact(stride);
        for (weight, row) in window.weights.iter().zip(rows) {
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum += weight * i32::from(value);
            }
        }
        data.extend(sums.iter().map(|&sum| round(sum)));
    }
    Rgb {
        width: image.width,
        height,
        data,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_follow_the_shorter_side() {
        // From torchvision's rule, int(size * long / short).
        let table = [
            ((500, 375), 256, (341, 256)),
            ((375, 500), 256, (256, 341)),
            ((400, 400), 256, (256, 256)),
            ((200, 150), 256, (341, 256)),
            ((1, 7), 2, (2, 14)),
        ];
        for ((width, height), size, expected) in table {
            assert_eq!(resized(width, height, size).unwrap(), expected);
        }
        for (width, height, size) in [(5, 5, 0), (1, 65_535, 2000), (5, 5, u32::MAX), (0, 5, 5)] {
            let error = resized(width, height, size).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Options);
        }
        assert!(check_crop(0).is_err() && check_crop(u32::MAX).is_err() && check_crop(224).is_ok());
    }

    #[test]
    fn crops_are_placed_as_python_rounds() {
        // Python: int(round(d / 2.0)) for d = 0..7 is 0 0 1 2 2 2 3 4.
        for (difference, expected) in [0, 0, 1, 2, 2, 2, 3, 4].into_iter().enumerate() {
            assert_eq!(placement(10 + difference, 10), (0, expected));
        }
        assert_eq!(placement(7, 10), (1, 0));
        assert_eq!(placement(8, 10), (1, 0));
    }

    proptest! {
        #[test]
        fn a_plain_colour_stays_and_nothing_panics(
            from in (1_usize..60, 1_usize..60),
            to in (1_usize..60, 1_usize..60),
            crop in 1_usize..80,
            colour: [u8; 3],
        ) {
            let image = Rgb { width: from.0, height: from.1, data: colour.repeat(from.0 * from.1) };
            let scaled = resize(image, to.0, to.1);
            prop_assert_eq!(&scaled.data, &colour.repeat(to.0 * to.1));
            let cut = center_crop(&scaled, crop);
            prop_assert_eq!(cut.data.len(), crop * crop * 3);
            let inside = cut.data.chunks(3).filter(|pixel| *pixel == colour).count();
            prop_assert!(inside >= to.0.min(crop) * to.1.min(crop));
        }
    }
}
