//! Images in one block of bytes, whatever the order of their axes.
//!
//! CIFAR-10 records, IDX files and numpy arrays all come down to this: elements
//! of one type at fixed distances along image, channel, row and column. The
//! bytes stay as they were read; an image is converted when it is asked for.

use std::path::{Path, PathBuf};

use half::f16;

use crate::contents::Images;
use crate::error::{Error, ErrorKind, Result};
use crate::pixels::{Grid, Image, Shape, byte_to_pixel, grid_of, in_range, value_error};

/// The type of the stored pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Element {
    /// 0..=255, divided by 255.
    U8,
    F16 {
        big_endian: bool,
    },
    F32 {
        big_endian: bool,
    },
    F64 {
        big_endian: bool,
    },
}

impl Element {
    fn size(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::F16 { .. } => 2,
            Self::F32 { .. } => 4,
            Self::F64 { .. } => 8,
        }
    }
}

/// A block of images.
#[derive(Debug)]
pub(crate) struct Strided {
    path: PathBuf,
    bytes: Vec<u8>,
    element: Element,
    len: usize,
    shape: Shape,
    /// Where the first pixel of the first image begins.
    offset: usize,
    /// Distances in bytes from one image, channel, row and column to the next.
    strides: [usize; 4],
}

impl Strided {
    /// Images of `shape` in [channel, row, column] order, one byte per pixel, each
    /// after `gap` bytes of something else.
    pub(crate) fn from_records(path: &Path, bytes: Vec<u8>, gap: usize, shape: Shape) -> Self {
        let plane = shape.height * shape.width;
        let record = gap + shape.channels * plane;
        Self::from_bytes(path, bytes, gap, shape, [record, plane, shape.width, 1])
    }

    /// Images of one byte per pixel in a column-major array of [row, column, channel, image],
    /// which is how MATLAB stores them.
    pub(crate) fn from_matlab(path: &Path, bytes: Vec<u8>, shape: Shape) -> Self {
        let plane = shape.height * shape.width;
        let image = shape.channels * plane;
        Self::from_bytes(path, bytes, 0, shape, [image, plane, 1, shape.height])
    }

    /// Images of bytes whose distances are `strides`, after `offset` bytes in each.
    fn from_bytes(
        path: &Path,
        bytes: Vec<u8>,
        offset: usize,
        shape: Shape,
        strides: [usize; 4],
    ) -> Self {
        Self {
            path: path.to_owned(),
            len: bytes.len() / strides[0],
            bytes,
            element: Element::U8,
            shape,
            offset,
            strides,
        }
    }

    /// An array of [N, C, H, W], [N, H, W, C], [N, H, W] or [N, D] elements that
    /// begins at `offset` and fills the rest of the bytes.
    ///
    /// Of four axes the second is the channels if its length is 1, 3 or 4, else
    /// the fourth if that has such a length. Two axes are vectors, 1x1xD.
    pub(crate) fn from_array(
        path: &Path,
        dims: &[u64],
        fortran: bool,
        element: Element,
        bytes: Vec<u8>,
        offset: usize,
    ) -> Result<Self> {
        if !(2..=4).contains(&dims.len()) {
            let message = format!(
                "an array of {} does not hold images; \
                 store [N, C, H, W], [N, H, W, C], [N, H, W] or [N, D]",
                dims_text(dims)
            );
            return Err(Error::new(ErrorKind::Shape, message).with_path(path));
        }
        if dims[0] == 0 {
            return Err(Error::new(ErrorKind::Empty, "holds no image").with_path(path));
        }
        if dims.contains(&0) {
            let message = format!("images of no pixels: {}", dims_text(dims));
            return Err(Error::new(ErrorKind::Shape, message).with_path(path));
        }
        let (sizes, mut strides) = strides(dims, fortran, element.size())
            .filter(|(sizes, _)| {
                let total = sizes.iter().product::<usize>() * element.size();
                bytes.len().checked_sub(offset) == Some(total)
            })
            .ok_or_else(|| {
                let message = format!(
                    "{} bytes do not make an array of {}",
                    bytes.len().saturating_sub(offset),
                    dims_text(dims)
                );
                Error::new(ErrorKind::Shape, message).with_path(path)
            })?;
        let is_channels = |size| matches!(size, 1 | 3 | 4);
        let shape = |channels, height, width| Shape {
            channels,
            height,
            width,
        };
        // An axis that is not there has one element, at any distance.
        strides.push(0);
        let (shape, axes) = match sizes[..] {
            [_, d] => (shape(1, 1, d), [0, 2, 2, 1]),
            [_, h, w] => (shape(1, h, w), [0, 3, 1, 2]),
            [_, c, h, w] if is_channels(c) => (shape(c, h, w), [0, 1, 2, 3]),
            [_, h, w, c] if is_channels(c) => (shape(c, h, w), [0, 3, 1, 2]),
            _ => {
                let message = format!(
                    "neither the second nor the fourth axis of {} is 1, 3 or 4 channels",
                    dims_text(dims)
                );
                return Err(Error::new(ErrorKind::Shape, message).with_path(path));
            }
        };
        let images = Self {
            path: path.to_owned(),
            bytes,
            element,
            len: sizes[0],
            shape,
            offset,
            strides: axes.map(|axis| strides[axis]),
        };
        images.check_values()?;
        Ok(images)
    }

    /// Converts every image once, so that a bad value is found at the opening
    /// and not after hours of a run. Bytes have no bad values.
    fn check_values(&self) -> Result<()> {
        if self.element != Element::U8 {
            let mut pixels = Vec::new();
            for i in 0..self.len {
                self.fill(i, &mut pixels)?;
            }
        }
        Ok(())
    }

    /// Replaces the contents of `pixels` by image `i`.
    fn fill(&self, i: usize, pixels: &mut Vec<f32>) -> Result<Grid> {
        pixels.clear();
        match self.element {
            Element::U8 => {
                self.gather(i, |[b]| pixels.push(byte_to_pixel(b)));
                return Ok(Grid::EightBit);
            }
            Element::F16 { big_endian: true } => {
                self.fill_floats(i, pixels, |b| f16::from_be_bytes(b).to_f64())
            }
            Element::F16 { big_endian: false } => {
                self.fill_floats(i, pixels, |b| f16::from_le_bytes(b).to_f64())
            }
            Element::F32 { big_endian: true } => {
                self.fill_floats(i, pixels, |b| f64::from(f32::from_be_bytes(b)))
            }
            Element::F32 { big_endian: false } => {
                self.fill_floats(i, pixels, |b| f64::from(f32::from_le_bytes(b)))
            }
            Element::F64 { big_endian: true } => self.fill_floats(i, pixels, f64::from_be_bytes),
            Element::F64 { big_endian: false } => self.fill_floats(i, pixels, f64::from_le_bytes),
        }?;
        Ok(grid_of(pixels))
    }

    fn fill_floats<const SIZE: usize>(
        &self,
        i: usize,
        pixels: &mut Vec<f32>,
        value: impl Fn([u8; SIZE]) -> f64,
    ) -> Result<()> {
        let mut bad = None;
        self.gather(i, |bytes| {
            let value = value(bytes);
            if let Some(pixel) = in_range(value) {
                pixels.push(pixel);
            } else {
                bad.get_or_insert((pixels.len(), value));
            }
        });
        match bad {
            None => Ok(()),
            Some((index, value)) => {
                let error = value_error(self.shape, index, value);
                let error = Error::new(error.kind(), format!("image {i}: {error}"));
                Err(error.with_path(&self.path))
            }
        }
    }

    /// Passes on the bytes of every pixel of image `i` in CHW order.
    fn gather<const SIZE: usize>(&self, i: usize, mut take: impl FnMut([u8; SIZE])) {
        let [image, channel, row, column] = self.strides;
        for c in 0..self.shape.channels {
            for y in 0..self.shape.height {
                let begin = self.offset + i * image + c * channel + y * row;
                for x in 0..self.shape.width {
                    let pixel = begin + x * column;
                    let mut bytes = [0; SIZE];
                    bytes.copy_from_slice(&self.bytes[pixel..pixel + SIZE]);
                    take(bytes);
                }
            }
        }
    }
}

impl Images for Strided {
    fn len(&self) -> usize {
        self.len
    }

    fn shape(&self) -> Shape {
        self.shape
    }

    fn image(&self, index: usize) -> Result<Image> {
        let mut pixels = Vec::new();
        let grid = self.fill(index, &mut pixels)?;
        Ok(Image {
            shape: self.shape,
            pixels,
            grid,
        })
    }
}

/// Sizes and byte strides of the axes of an array; `None` if they overflow.
fn strides(dims: &[u64], fortran: bool, element: usize) -> Option<(Vec<usize>, Vec<usize>)> {
    let sizes: Vec<usize> = dims
        .iter()
        .map(|&dim| usize::try_from(dim).ok())
        .collect::<Option<_>>()?;
    let mut strides = vec![0; sizes.len()];
    let mut stride = element;
    for step in 0..sizes.len() {
        let axis = if fortran {
            step
        } else {
            sizes.len() - 1 - step
        };
        strides[axis] = stride;
        stride = stride.checked_mul(sizes[axis])?;
    }
    Some((sizes, strides))
}

/// Dimensions as numpy prints them.
pub(crate) fn dims_text(dims: &[u64]) -> String {
    let dims: Vec<_> = dims.iter().map(u64::to_string).collect();
    format!("shape [{}]", dims.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_array(dims: &[u64], fortran: bool) -> Result<Strided> {
        let total = dims.iter().product::<u64>();
        let bytes = (0..total).map(|b| b as u8).collect();
        Strided::from_array(Path::new("f"), dims, fortran, Element::U8, bytes, 0)
    }

    fn image_bytes(array: &Strided, i: usize) -> Vec<u8> {
        let image = array.image(i).unwrap();
        assert_eq!(image.grid, Grid::EightBit);
        let pixels = image.pixels.iter();
        pixels.map(|p| (p * 255.0).round() as u8).collect()
    }

    #[test]
    fn every_order_of_axes_comes_out_as_chw() {
        type Case = (&'static [u64], bool, [usize; 3], &'static [u8]);
        // Element values are positions, so each image lists where it was read.
        let table: [Case; 7] = [
            (&[2, 3], false, [1, 1, 3], &[3, 4, 5]),
            (&[2, 3], true, [1, 1, 3], &[1, 3, 5]),
            (&[2, 2, 2], false, [1, 2, 2], &[4, 5, 6, 7]),
            (&[2, 2, 2], true, [1, 2, 2], &[1, 5, 3, 7]),
            (&[2, 3, 1, 2], false, [3, 1, 2], &[6, 7, 8, 9, 10, 11]),
            (&[2, 2, 1, 3], false, [3, 2, 1], &[6, 9, 7, 10, 8, 11]),
            (&[2, 2, 1, 3], true, [3, 2, 1], &[1, 3, 5, 7, 9, 11]),
        ];
        for (dims, fortran, [channels, height, width], expected) in table {
            let array = bytes_array(dims, fortran).unwrap();
            let shape = Shape {
                channels,
                height,
                width,
            };
            assert_eq!((array.len(), array.shape()), (2, shape), "{dims:?}");
            assert_eq!(image_bytes(&array, 1), expected, "{dims:?} {fortran}");
        }
        // Ambiguous: three channels first and last.
        let shape = bytes_array(&[1, 3, 2, 3], false).unwrap().shape();
        assert_eq!((shape.channels, shape.width), (3, 3));
    }

    #[test]
    fn arrays_that_hold_no_images_are_refused() {
        let table: [(&[u64], ErrorKind); 6] = [
            (&[], ErrorKind::Shape),
            (&[5], ErrorKind::Shape),
            (&[1, 3, 2, 2, 2], ErrorKind::Shape),
            (&[1, 2, 2, 2], ErrorKind::Shape),
            (&[0, 3, 2, 2], ErrorKind::Empty),
            (&[2, 0], ErrorKind::Shape),
        ];
        for (dims, kind) in table {
            assert_eq!(
                bytes_array(dims, false).unwrap_err().kind(),
                kind,
                "{dims:?}"
            );
        }
        let too_long = [1 << 40, 1 << 40];
        let array = Strided::from_array(Path::new("f"), &too_long, false, Element::U8, vec![0], 0);
        assert_eq!(array.unwrap_err().kind(), ErrorKind::Shape);
    }

    #[test]
    fn floats_of_every_width_and_order_are_read_and_checked() {
        let encode = |values: [f64; 2], element| -> Vec<u8> {
            let one = |v: f64| match element {
                Element::U8 => vec![v as u8],
                Element::F16 { big_endian: true } => f16::from_f64(v).to_be_bytes().to_vec(),
                Element::F16 { .. } => f16::from_f64(v).to_le_bytes().to_vec(),
                Element::F32 { big_endian: true } => (v as f32).to_be_bytes().to_vec(),
                Element::F32 { .. } => (v as f32).to_le_bytes().to_vec(),
                Element::F64 { big_endian: true } => v.to_be_bytes().to_vec(),
                Element::F64 { .. } => v.to_le_bytes().to_vec(),
            };
            values.into_iter().flat_map(one).collect()
        };
        for big_endian in [false, true] {
            for element in [
                Element::F16 { big_endian },
                Element::F32 { big_endian },
                Element::F64 { big_endian },
            ] {
                let open = |values| {
                    let bytes = encode(values, element);
                    Strided::from_array(Path::new("f"), &[2, 1], false, element, bytes, 0)
                };
                let array = open([0.25, 1.0]).unwrap();
                assert_eq!(array.image(0).unwrap().pixels, [0.25]);
                assert_eq!(array.image(0).unwrap().grid, Grid::Float);
                assert_eq!(array.image(1).unwrap().grid, Grid::EightBit);
                for bad in [f64::NAN, -0.5, 1.5, f64::INFINITY] {
                    let error = open([0.0, bad]).unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::Value);
                    assert!(error.to_string().contains("image 1: pixel"), "{error}");
                }
            }
        }
    }
}
