//! Numpy arrays: images in npy files, and the raw arrays that npz files and labels share.

use std::io::Read;
use std::path::Path;

use half::f16;

use crate::contents::Contents;
use crate::error::{Error, ErrorKind, Result};
use crate::files;
use crate::labels::{RawLabels, one_hot};
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

    /// Takes the array as labels: whole numbers or names, [N] or [N, 1], or one-hot rows,
    /// [N, K] of a 1 and otherwise 0.
    pub(crate) fn to_labels(&self, path: &Path) -> Result<RawLabels> {
        let is_rows = match self.dims[..] {
            [_] | [_, 1] => false,
            [_, columns] if columns > 1 => true,
            _ => return Err(self.no_labels(path)),
        };
        let size = self.descr.size;
        match (self.descr.kind, size) {
            (b'U' | b'S', 1..) if !is_rows => return self.texts(path).map(RawLabels::Names),
            (b'u' | b'i', 1 | 2 | 4 | 8) | (b'f', 2 | 4 | 8) | (b'b', 1) => {}
            _ => {
                let message = format!(
                    "labels of type '{}' are not read; store integers, or names as text",
                    self.descr
                );
                return Err(Error::new(ErrorKind::Unsupported, message).with_path(path));
            }
        }
        if is_rows {
            return self.one_hot_rows(path);
        }
        let labels = self.bytes.chunks_exact(size).enumerate();
        let labels = labels.map(|(i, bytes)| {
            let label = match self.number(bytes) {
                Number::Whole(label) => i64::try_from(label).map_err(|_| label.to_string()),
                Number::Float(value) if value.fract() == 0.0 && value.abs() < 9e15 => {
                    Ok(value as i64)
                }
                Number::Float(value) => Err(value.to_string()),
            };
            label.map_err(|label| {
                let message = format!("label {label} of image {i} is not that of a class");
                Error::new(ErrorKind::Label, message).with_path(path)
            })
        });
        Ok(RawLabels::Numbers(labels.collect::<Result<_>>()?))
    }

    fn no_labels(&self, path: &Path) -> Error {
        let message = format!(
            "labels of {} are not read; store one whole number per image, [N], or one-hot rows",
            dims_text(&self.dims)
        );
        Error::new(ErrorKind::Shape, message).with_path(path)
    }

    fn one_hot_rows(&self, path: &Path) -> Result<RawLabels> {
        // The bytes are as many as the dimensions call for, so these fit.
        let size = self.descr.size;
        let (rows, columns) = (self.dims[0] as usize, self.dims[1] as usize);
        let value = |row: usize, column: usize| {
            let index = if self.fortran {
                column * rows + row
            } else {
                row * columns + column
            };
            match self.number(&self.bytes[index * size..][..size]) {
                Number::Whole(value) => value as f64,
                Number::Float(value) => value,
            }
        };
        let labels = (0..rows).map(|row| {
            one_hot((0..columns).map(|column| value(row, column))).ok_or_else(|| {
                let message = format!(
                    "labels of {} are taken as one-hot, but row {row} is not a single 1 among 0; \
                     store one whole number per image, [N]",
                    dims_text(&self.dims)
                );
                Error::new(ErrorKind::Shape, message).with_path(path)
            })
        });
        Ok(RawLabels::Numbers(labels.collect::<Result<_>>()?))
    }

    /// The elements as texts, without the zeros that fill them up.
    fn texts(&self, path: &Path) -> Result<Vec<String>> {
        let text = |(i, bytes): (usize, &[u8])| {
            let text = if self.descr.kind == b'S' {
                let end = bytes
                    .iter()
                    .rposition(|&b| b != 0)
                    .map_or(0, |last| last + 1);
                String::from_utf8(bytes[..end].to_vec()).ok()
            } else {
                let codes = bytes.chunks_exact(4).map(|code| {
                    let code = [code[0], code[1], code[2], code[3]];
                    if self.descr.big_endian {
                        u32::from_be_bytes(code)
                    } else {
                        u32::from_le_bytes(code)
                    }
                });
                let text: Option<String> = codes.map(char::from_u32).collect();
                text.map(|text| text.trim_end_matches('\0').to_owned())
            };
            text.filter(|text| !text.is_empty()).ok_or_else(|| {
                let message = format!("the label of image {i} is no text");
                Error::new(ErrorKind::Label, message).with_path(path)
            })
        };
        self.bytes
            .chunks_exact(self.descr.size)
            .enumerate()
            .map(text)
            .collect()
    }

    /// The value of an element of integers, floats or truth values.
    fn number(&self, bytes: &[u8]) -> Number {
        let mut little = [0; 8];
        let size = bytes.len();
        for (i, &b) in bytes.iter().enumerate() {
            little[if self.descr.big_endian {
                size - 1 - i
            } else {
                i
            }] = b;
        }
        let bits = u64::from_le_bytes(little);
        let unused = 64 - 8 * size as u32;
        match (self.descr.kind, size) {
            (b'f', 2) => Number::Float(f16::from_bits(bits as u16).to_f64()),
            (b'f', 4) => Number::Float(f64::from(f32::from_bits(bits as u32))),
            (b'f', _) => Number::Float(f64::from_bits(bits)),
            (b'i', _) => Number::Whole(i128::from((bits << unused) as i64 >> unused)),
            _ => Number::Whole(i128::from(bits)),
        }
    }
}

/// The value of an element.
enum Number {
    Whole(i128),
    Float(f64),
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
        match array.to_labels(Path::new("y.npy"))? {
            RawLabels::Numbers(numbers) => Ok(numbers),
            RawLabels::Names(names) => panic!("{names:?}"),
        }
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
        assert_eq!(labels(b'b', 1, false, &[1, 0]).unwrap(), [1, 0]);
        let floats = [7_f32, -2.0].map(f32::to_be_bytes).concat();
        assert_eq!(labels(b'f', 4, true, &floats).unwrap(), [7, -2]);
        let error = labels(b'f', 8, false, &0.5_f64.to_le_bytes()).unwrap_err();
        assert!(
            error.to_string().contains("label 0.5 of image 0"),
            "{error}"
        );
        let error = labels(b'u', 8, false, &[0xff; 8]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Label);
        for (kind, size) in [(b'f', 3), (b'c', 8), (b'i', 3), (b'u', 0), (b'U', 0)] {
            let error = labels(kind, size, false, &[0; 12]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
        }
    }
}
