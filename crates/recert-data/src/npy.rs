//! Numpy arrays: images in npy files, and the raw arrays that npz files and labels share.

use std::io::Read;
use std::path::Path;

use crate::contents::Contents;
use crate::error::{Error, ErrorKind, Result};
use crate::files;
use crate::npy_header::{self, Descr};
use crate::strided::{Element, Strided, dims_text};

/// An array as a file stores it.
pub(crate) struct RawArray {
    pub(crate) descr: Descr,
    pub(crate) fortran: bool,
    pub(crate) dims: Vec<u64>,
    /// The elements; as many as the dimensions and the type call for.
    pub(crate) bytes: Vec<u8>,
}

/// Opens the images of an npy file.
pub(crate) fn open(path: &Path) -> Result<Contents> {
    let images = read_file(path)?.into_images(path)?;
    Ok(Contents::new(images))
}

/// Reads the array of an npy file.
pub(crate) fn read_file(path: &Path) -> Result<RawArray> {
    let (mut file, length) = files::open(path)?;
    read(&mut file, Some(length), path)
}

/// Reads an array up to the end of the stream, whose total length may be known.
pub(crate) fn read(reader: &mut dyn Read, length: Option<u64>, path: &Path) -> Result<RawArray> {
    let header = npy_header::read(reader, path)?;
    let expected = header
        .dims
        .iter()
        .try_fold(header.descr.size as u128, |product, &dim| {
            product.checked_mul(u128::from(dim))
        });
    let Some(expected) = expected else {
        let message = format!("an array of {} cannot exist", dims_text(&header.dims));
        return Err(Error::new(ErrorKind::Shape, message).with_path(path));
    };
    let available = length.map(|length| length.saturating_sub(header.length));
    let bytes = files::read_rest(reader, expected, available, path)?;
    Ok(RawArray {
        descr: header.descr,
        fortran: header.fortran,
        dims: header.dims,
        bytes,
    })
}

impl RawArray {
    /// Takes the array as images, [N, C, H, W], [N, H, W, C], [N, H, W] or [N, D].
    pub(crate) fn into_images(self, path: &Path) -> Result<Strided> {
        let big_endian = self.descr.big_endian;
        let element = match (self.descr.kind, self.descr.size) {
            (b'u', 1) => Element::U8,
            (b'f', 2) => Element::F16 { big_endian },
            (b'f', 4) => Element::F32 { big_endian },
            (b'f', 8) => Element::F64 { big_endian },
            _ => {
                let message = format!(
                    "images of type '{}' are not read; store uint8, float16, float32 or float64",
                    self.descr
                );
                return Err(Error::new(ErrorKind::Unsupported, message).with_path(path));
            }
        };
        Strided::from_array(path, &self.dims, self.fortran, element, self.bytes, 0)
    }

    /// Takes the array as labels: integers, [N] or [N, 1].
    pub(crate) fn to_labels(&self, path: &Path) -> Result<Vec<i64>> {
        if !matches!(self.dims[..], [_] | [_, 1]) {
            let message = format!(
                "labels of {} are not read; store one whole number per image, [N]",
                dims_text(&self.dims)
            );
            return Err(Error::new(ErrorKind::Shape, message).with_path(path));
        }
        let (kind, size) = (self.descr.kind, self.descr.size);
        if !(matches!(kind, b'u' | b'i') && matches!(size, 1 | 2 | 4 | 8)) {
            let message = format!(
                "labels of type '{}' are not read; store integers",
                self.descr
            );
            return Err(Error::new(ErrorKind::Unsupported, message).with_path(path));
        }
        let label = |bytes: &[u8]| {
            // Sign and magnitude of any integer of 8 bytes or fewer fit here.
            let fill = |top: u8| if kind == b'i' && top >= 0x80 { 0xff } else { 0 };
            let mut wide = [0; 16];
            if self.descr.big_endian {
                wide.fill(fill(bytes[0]));
                wide[16 - size..].copy_from_slice(bytes);
                i128::from_be_bytes(wide)
            } else {
                wide.fill(fill(bytes[size - 1]));
                wide[..size].copy_from_slice(bytes);
                i128::from_le_bytes(wide)
            }
        };
        let labels = self.bytes.chunks_exact(size).enumerate();
        labels
            .map(|(i, bytes)| {
                let label = label(bytes);
                i64::try_from(label).map_err(|_| {
                    let message = format!("label {label} of image {i} is not that of a class");
                    Error::new(ErrorKind::Label, message).with_path(path)
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(kind: u8, size: usize, big_endian: bool, bytes: &[u8]) -> Result<Vec<i64>> {
        let array = RawArray {
            descr: Descr {
                big_endian,
                kind,
                size,
            },
            fortran: false,
            dims: vec![(bytes.len() / size.max(1)) as u64],
            bytes: bytes.to_vec(),
        };
        array.to_labels(Path::new("y.npy"))
    }

    #[test]
    fn labels_of_every_integer_type_are_read() {
        for value in [0, 1, 9, 127, -1, -128, 1000, -32_768, i64::MAX, i64::MIN] {
            for big_endian in [false, true] {
                for size in [1, 2, 4, 8] {
                    let bits = 8 * size as u32;
                    let fits = i128::from(value) >= -(1_i128 << (bits - 1))
                        && i128::from(value) < 1_i128 << (bits - 1);
                    if !fits {
                        continue;
                    }
                    let bytes = if big_endian {
                        value.to_be_bytes()[8 - size..].to_vec()
                    } else {
                        value.to_le_bytes()[..size].to_vec()
                    };
                    assert_eq!(labels(b'i', size, big_endian, &bytes).unwrap(), [value]);
                    if value >= 0 {
                        assert_eq!(labels(b'u', size, big_endian, &bytes).unwrap(), [value]);
                    }
                }
            }
        }
        assert_eq!(labels(b'u', 1, false, &[255, 3]).unwrap(), [255, 3]);
        let error = labels(b'u', 8, false, &[0xff; 8]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Label);
        for (kind, size) in [(b'f', 4), (b'b', 1), (b'i', 3), (b'u', 0)] {
            let error = labels(kind, size, false, &[0; 12]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
        }
    }
}
