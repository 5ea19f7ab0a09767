//! Pixels and gradients, as numbers and as PNG files within the page.

use serde::Serialize;

use crate::error::Error;

/// Numbers in the order of channels, rows and columns.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Picture {
    /// Channels, height and width.
    pub shape: [usize; 3],
    /// As many numbers.
    pub values: Vec<f32>,
}

/// The colours of the most negative, of zero and of the most positive number; between them,
/// colours are mixed. The three differ for readers who do not see red and green apart.
pub(super) const ENDS: [[u8; 3]; 3] = [[33, 102, 172], [247, 247, 247], [178, 24, 43]];

impl Picture {
    /// Whether there are as many values as the extents state.
    pub(super) fn fits(&self) -> bool {
        let [channels, height, width] = self.shape;
        let pixels = channels
            .checked_mul(height)
            .and_then(|n| n.checked_mul(width));
        pixels.is_some_and(|pixels| pixels > 0 && pixels == self.values.len())
    }

    /// As an image of pixels in [0, 1]: grey of one channel, colours of three, and of other
    /// numbers of channels the first in grey.
    pub(super) fn image(&self) -> Result<String, Error> {
        let [channels, height, width] = self.shape;
        let plane = height * width;
        let level = |value: f32| (value.clamp(0.0, 1.0) * 255.0).round() as u8;
        let bytes: Vec<u8> = if channels == 3 {
            let pixel = |i: usize| [0, 1, 2].map(|c| level(self.values[c * plane + i]));
            (0..plane).flat_map(pixel).collect()
        } else {
            let levels = self.values.iter().take(plane).map(|&value| level(value));
            levels.flat_map(|grey| [grey; 3]).collect()
        };
        data_uri([height, width], &bytes)
    }

    /// As a map of signed numbers, summed over the channels, and the magnitude that the ends of
    /// the colours stand for: the largest.
    pub(super) fn map(&self) -> Result<(String, f64), Error> {
        let [_, height, width] = self.shape;
        let mut sums = vec![0.0; height * width];
        for plane in self.values.chunks_exact(height * width) {
            for (sum, &value) in sums.iter_mut().zip(plane) {
                *sum += f64::from(value);
            }
        }
        let largest = sums
            .iter()
            .fold(0.0, |largest: f64, sum| largest.max(sum.abs()));
        let scale = if largest > 0.0 && largest.is_finite() {
            largest
        } else {
            1.0
        };
        let bytes: Vec<u8> = sums.iter().flat_map(|sum| colour(sum / scale)).collect();
        Ok((data_uri([height, width], &bytes)?, largest))
    }
}

/// The colour of a number in [-1, 1].
fn colour(number: f64) -> [u8; 3] {
    let [negative, zero, positive] = ENDS;
    let end = if number < 0.0 { negative } else { positive };
    let share = number.abs().min(1.0);
    let mix = |channel: usize| {
        let [from, to] = [zero[channel], end[channel]].map(f64::from);
        (from + (to - from) * share).round() as u8
    };
    [0, 1, 2].map(mix)
}

/// A PNG file of three bytes a pixel as a data URI.
fn data_uri([height, width]: [usize; 2], pixels: &[u8]) -> Result<String, Error> {
    let failed = |why: &dyn std::fmt::Display| {
        Error::value(format!(
            "a picture of {height} x {width} pixels cannot be written: {why}"
        ))
    };
    let [height_of_file, width_of_file] =
        [height, width].map(|extent| u32::try_from(extent).map_err(|why| failed(&why)));
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width_of_file?, height_of_file?);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let written = encoder.write_header().and_then(|mut writer| {
        writer.write_image_data(pixels)?;
        writer.finish()
    });
    written.map_err(|why| failed(&why))?;
    Ok(format!("data:image/png;base64,{}", base64(&file)))
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let word = (0..3).fold(0_usize, |word, i| {
            word << 8 | usize::from(group.get(i).copied().unwrap_or(0))
        });
        for i in 0..4 {
            if i <= group.len() {
                text.push(char::from(ALPHABET[word >> (18 - 6 * i) & 63]));
            } else {
                text.push('=');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_of_the_standard() {
        // RFC 4648, section 10.
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn zero_is_neutral_and_signs_are_symmetric() {
        assert_eq!([-1.0, 0.0, 1.0].map(colour), ENDS);
        assert_eq!(colour(-9.0), ENDS[0]);
        // Halfway, by hand: (247 + 33) / 2 and so on.
        assert_eq!(colour(-0.5), [140, 175, 210]);
    }

    #[test]
    fn a_map_sums_channels_and_states_its_scale() {
        let picture = Picture {
            shape: [2, 1, 2],
            values: vec![1.0, -0.5, 1.0, 0.25],
        };
        let (uri, scale) = picture.map().unwrap();
        assert_eq!(scale, 2.0);
        assert!(
            uri.starts_with("data:image/png;base64,iVBORw0KGgo"),
            "{uri}"
        );
        let nothing = Picture {
            shape: [1, 1, 1],
            values: vec![0.0],
        };
        assert_eq!(nothing.map().unwrap().1, 0.0);
    }
}
