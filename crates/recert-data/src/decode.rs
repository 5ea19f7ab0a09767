//! PNG, JPEG, WebP and BMP files to 8-bit red, green, blue, as Pillow's `convert("RGB")` does.
//!
//! Alpha is dropped, not blended; palettes and greyscale are expanded; values of 16 bits
//! keep their high byte, also in greyscale, where Pillow would clip them at 255; CMYK is converted; EXIF orientation and colour
//! profiles are ignored. PNG comes out identical to Pillow. In JPEG,
//! the rounding of the inverse transform and the upsampling of colour are the
//! decoder's: against libjpeg-turbo 3.2 the largest difference over the 18
//! `ImageNet` images that the tests use is 5 of 255, the mean at most 0.30 where
//! colour is subsampled and at most 0.015 where it is not.

use std::io::Cursor;
use std::path::Path;

use image::{ColorType, DynamicImage, ImageDecoder, ImageFormat, ImageReader};

use crate::error::{Error, ErrorKind, Result};
use crate::rgb::Rgb;
use crate::{files, foreign};

/// Decodes an image file.
pub(crate) fn decode(path: &Path) -> Result<Rgb> {
    decode_bytes(&files::read(path)?, path)
}

/// Decodes the bytes of an image file; `path` names them in messages.
pub(crate) fn decode_bytes(bytes: &[u8], path: &Path) -> Result<Rgb> {
    let reader = reader(bytes, path)?;
    if reader.format() == Some(ImageFormat::Jpeg) && !jpeg_is_whole(bytes) {
        // The decoder would fill the missing part with grey.
        let message = format!(
            "expected the end of the JPEG image, found the end of the file after {} bytes; \
             copy or download the file again",
            bytes.len()
        );
        return Err(Error::new(ErrorKind::Length, message).with_path(path));
    }
    let stated = stated_length(reader.format(), bytes);
    if stated > bytes.len() as u64 {
        return Err(Error::length(u128::from(stated), bytes.len()).with_path(path));
    }
    let image = reader.decode().map_err(|e| cannot_decode(e, path))?;
    let (width, height) = (image.width() as usize, image.height() as usize);
    let data = match image {
        DynamicImage::ImageLuma16(image) => (image.into_raw().into_iter())
            .flat_map(|value| [high_byte(value); 3])
            .collect(),
        DynamicImage::ImageLumaA16(image) => (image.into_raw().chunks_exact(2))
            .flat_map(|pixel| [high_byte(pixel[0]); 3])
            .collect(),
        DynamicImage::ImageRgb16(image) => image.into_raw().into_iter().map(high_byte).collect(),
        DynamicImage::ImageRgba16(image) => (image.into_raw().chunks_exact(4))
            .flat_map(|pixel| [pixel[0], pixel[1], pixel[2]].map(high_byte))
            .collect(),
        image => image.into_rgb8().into_raw(),
    };
    Ok(Rgb {
        width,
        height,
        data,
    })
}

/// Width and height of an image file, read from its header.
pub(crate) fn dimensions(path: &Path) -> Result<(usize, usize)> {
    size(&files::read(path)?, path)
}

/// Width and height by the header of an image file of these bytes.
pub(crate) fn size(bytes: &[u8], path: &Path) -> Result<(usize, usize)> {
    let dimensions = reader(bytes, path)?.into_dimensions();
    let (width, height) = dimensions.map_err(|e| cannot_decode(e, path))?;
    Ok((width as usize, height as usize))
}

/// Whether the bytes of an image file hold one channel of grey.
pub(crate) fn is_grey(bytes: &[u8], path: &Path) -> Result<bool> {
    let decoder = reader(bytes, path)?.into_decoder();
    let decoder = decoder.map_err(|e| cannot_decode(e, path))?;
    Ok(matches!(
        decoder.color_type(),
        ColorType::L8 | ColorType::L16
    ))
}

/// A reader for an image, recognised by content, with the library's limit on
/// memory (512 MiB), so that a file cannot claim more.
fn reader<'a>(bytes: &'a [u8], path: &Path) -> Result<ImageReader<Cursor<&'a [u8]>>> {
    let reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|e| Error::io(e, path))?;
    let read = [
        ImageFormat::Png,
        ImageFormat::Jpeg,
        ImageFormat::WebP,
        ImageFormat::Bmp,
    ];
    if reader.format().is_some_and(|format| read.contains(&format)) {
        Ok(reader)
    } else {
        let message = "is neither a PNG nor a JPEG, WebP or BMP image";
        Err(foreign::explain(
            Error::new(ErrorKind::Corrupt, message).with_path(path),
        ))
    }
}

fn cannot_decode(e: image::ImageError, path: &Path) -> Error {
    let error = Error::new(ErrorKind::Corrupt, "cannot be decoded as an image");
    error.with_path(path).with_source(e)
}

fn high_byte(value: u16) -> u8 {
    (value >> 8) as u8
}

/// The bytes that a WebP file should have at least, by its header; its decoder fills in what
/// is missing.
fn stated_length(format: Option<ImageFormat>, bytes: &[u8]) -> u64 {
    let word = |at: usize| match bytes.get(at..at + 4) {
        Some(&[a, b, c, d]) => u64::from(u32::from_le_bytes([a, b, c, d])),
        _ => 0,
    };
    match format {
        Some(ImageFormat::WebP) => 8 + word(4),
        _ => 0,
    }
}

/// Whether a JPEG file has the marker that ends its image.
fn jpeg_is_whole(bytes: &[u8]) -> bool {
    // Segments before the first scan may hold a thumbnail with an end of its
    // own, so they are stepped over.
    let mut position = 2;
    loop {
        match bytes.get(position..position + 2) {
            Some([0xff, 0xff]) => position += 1,
            // Markers without a segment.
            Some([0xff, 0x01 | 0xd0..=0xd8]) => position += 2,
            Some([0xff, 0xda]) => break,
            Some([0xff, _]) => match bytes.get(position + 2..position + 4) {
                Some(&[high, low]) => position += 2 + usize::from(u16::from_be_bytes([high, low])),
                _ => return false,
            },
            // Bytes between segments are an error, but not one of length.
            Some(_) => position += 1,
            None => return false,
        }
    }
    // In the data of a scan, 0xff is always followed by 0 or a restart marker.
    bytes[position..]
        .windows(2)
        .any(|pair| pair == [0xff, 0xd9])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_jpeg_is_not_that_of_its_thumbnail() {
        let thumbnail = [0xff, 0xd8, 0xff, 0xe1, 0, 6, 0xff, 0xd9, 0, 0];
        let scan = [0xff, 0xda, 0, 2, 1, 2, 3, 0xff, 0];
        let cut = [&thumbnail[..], &scan].concat();
        assert!(!jpeg_is_whole(&cut));
        assert!(jpeg_is_whole(&[&cut[..], &[0xff, 0xd9]].concat()));
        for length in 0..cut.len() {
            assert!(!jpeg_is_whole(&cut[..length]));
        }
        // A segment whose length leads past the end.
        assert!(!jpeg_is_whole(&[0xff, 0xd8, 0xff, 0xe1, 0xff, 0xff, 0, 0]));
    }
}
