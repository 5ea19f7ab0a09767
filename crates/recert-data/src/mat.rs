//! MATLAB's MAT files of version 5, as far as plain numeric arrays need it.
//!
//! The format is that of "MAT-File Format", The `MathWorks`: a header of 128 bytes, then
//! elements of a tag (type and size) and data, each perhaps compressed by zlib. An array
//! has flags, dimensions, a name and its values, column by column. Only the arrays that are
//! asked for are held; a size is compared with what is left of the element that it is in,
//! and what is decompressed grows with what arrives, up to a limit.

use std::io::Read;
use std::path::Path;

use flate2::read::ZlibDecoder;

use crate::error::{Error, ErrorKind, Result};
use crate::files;

/// Bytes of text that begin a file, before version and byte order.
const HEADER: usize = 128;

/// More elements than any file of images has.
const MOST_ELEMENTS: usize = 10_000;

const COMPRESSED: u32 = 15;
const MATRIX: u32 = 14;

/// An array of real numbers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Matrix {
    pub(crate) name: String,
    /// Rows, columns, ..; the first varies fastest.
    pub(crate) dims: Vec<u64>,
    pub(crate) element: Element,
    pub(crate) big_endian: bool,
    pub(crate) bytes: Vec<u8>,
}

/// The type that values are stored in, which may be smaller than that of the array.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Element {
    Signed(usize),
    Unsigned(usize),
    Float(usize),
}

impl Element {
    fn new(code: u32) -> Option<Self> {
        Some(match code {
            1 => Self::Signed(1),
            2 => Self::Unsigned(1),
            3 => Self::Signed(2),
            4 => Self::Unsigned(2),
            5 => Self::Signed(4),
            6 => Self::Unsigned(4),
            7 => Self::Float(4),
            9 => Self::Float(8),
            12 => Self::Signed(8),
            13 => Self::Unsigned(8),
            _ => return None,
        })
    }

    fn size(self) -> usize {
        match self {
            Self::Signed(size) | Self::Unsigned(size) | Self::Float(size) => size,
        }
    }
}

impl Matrix {
    /// The values as whole numbers; `None` if one is not whole or does not fit.
    pub(crate) fn integers(&self) -> Option<Vec<i64>> {
        let value = |bytes: &[u8]| {
            let mut wide = [0; 8];
            for (to, from) in wide.iter_mut().zip(0..bytes.len()) {
                *to = bytes[if self.big_endian {
                    bytes.len() - 1 - from
                } else {
                    from
                }];
            }
            let bits = u64::from_le_bytes(wide);
            let unused = 64 - 8 * bytes.len() as u32;
            let float =
                |value: f64| (value.fract() == 0.0 && value.abs() < 9e15).then_some(value as i64);
            match self.element {
                Element::Unsigned(_) => i64::try_from(bits).ok(),
                Element::Signed(_) => Some((bits << unused) as i64 >> unused),
                Element::Float(4) => float(f64::from(f32::from_bits(bits as u32))),
                Element::Float(_) => float(f64::from_bits(bits)),
            }
        };
        self.bytes
            .chunks_exact(self.element.size())
            .map(value)
            .collect()
    }
}

/// What a file holds.
pub(crate) struct Contents {
    /// The arrays that were asked for.
    pub(crate) matrices: Vec<Matrix>,
    /// Names of all arrays.
    pub(crate) names: Vec<String>,
}

/// Whether content begins like a MAT file of version 5.
pub(crate) fn is_mat(begin: &[u8]) -> bool {
    begin.starts_with(b"MATLAB 5.0 MAT-file")
}

/// Reads the arrays of a file that have one of the names `wanted`.
pub(crate) fn read(path: &Path, wanted: &[&str]) -> Result<Contents> {
    let (mut file, length) = files::open(path)?;
    read_from(&mut file, length, wanted).map_err(|e| e.with_path(path))
}

fn corrupt(problem: impl Into<String>) -> Error {
    Error::new(ErrorKind::Corrupt, problem)
}

fn read_from(file: &mut dyn Read, length: u64, wanted: &[&str]) -> Result<Contents> {
    let mut header = [0; HEADER];
    exact(file, &mut header)?;
    let big_endian = match &header[126..] {
        b"IM" => false,
        b"MI" => true,
        _ => {
            return Err(corrupt(
                "is no MAT file of version 5: its mark of byte order is missing",
            ));
        }
    };
    let mut contents = Contents {
        matrices: Vec::new(),
        names: Vec::new(),
    };
    let mut left = length.saturating_sub(HEADER as u64);
    for _ in 0..MOST_ELEMENTS {
        if left == 0 {
            return Ok(contents);
        }
        let mut tag = [0; 8];
        exact(file, &mut tag)?;
        let (code, size) = (
            word(&tag[..4], big_endian),
            u64::from(word(&tag[4..], big_endian)),
        );
        left = left.checked_sub(8 + size).ok_or_else(|| {
            let message = format!(
                "an element of {size} bytes is longer than the rest of the file; copy or \
                 download the file again"
            );
            Error::new(ErrorKind::Length, message)
        })?;
        let mut element = (&mut *file).take(size);
        match code {
            COMPRESSED => {
                let mut decoder = ZlibDecoder::new(&mut element);
                let mut tag = [0; 8];
                exact(&mut decoder, &mut tag)?;
                let size = word(&tag[4..], big_endian);
                if word(&tag[..4], big_endian) != MATRIX {
                    return Err(corrupt("a compressed element is no array"));
                }
                matrix(
                    &mut decoder,
                    u64::from(size),
                    big_endian,
                    true,
                    wanted,
                    &mut contents,
                )?;
            }
            MATRIX => matrix(&mut element, size, big_endian, false, wanted, &mut contents)?,
            _ => {}
        }
        std::io::copy(&mut element, &mut std::io::sink()).map_err(stream_error)?;
    }
    Err(corrupt(format!("has more than {MOST_ELEMENTS} elements")))
}

/// Reads one array of `size` bytes, or what of it tells that it is not wanted.
fn matrix(
    reader: &mut dyn Read,
    size: u64,
    big_endian: bool,
    compressed: bool,
    wanted: &[&str],
    contents: &mut Contents,
) -> Result<()> {
    let mut parts = Parts {
        reader,
        left: size,
        big_endian,
    };
    let (_, flags) = parts.small()?;
    let Some(flags) = flags.get(..4) else {
        return Err(corrupt("an array has no flags"));
    };
    let flags = word(flags, big_endian);
    let (_, dims) = parts.small()?;
    let (_, name) = parts.small()?;
    let name = String::from_utf8_lossy(&name).into_owned();
    let is_second = contents.names.contains(&name);
    contents.names.push(name.clone());
    if !wanted.contains(&name.as_str()) {
        return Ok(());
    }
    if is_second {
        return Err(corrupt(format!("holds two arrays called '{name}'")));
    }
    // Classes 6 to 15 are numbers; 8 in the second byte marks complex ones.
    if !matches!(flags & 0xff, 6..=15) || flags & 0x0800 != 0 {
        let message = format!("'{name}' is no array of real numbers");
        return Err(Error::new(ErrorKind::Unsupported, message));
    }
    if !dims.len().is_multiple_of(4) || dims.len() < 8 {
        return Err(corrupt(format!("the dimensions of '{name}' are damaged")));
    }
    let dims: Vec<u64> = dims
        .chunks_exact(4)
        .map(|dim| u64::from(word(dim, big_endian)))
        .collect();
    let (code, stored, inline) = parts.tag()?;
    let element = Element::new(code).ok_or_else(|| {
        corrupt(format!(
            "the values of '{name}' have the unknown type {code}"
        ))
    })?;
    let expected = dims
        .iter()
        .try_fold(element.size() as u64, |product, &dim| {
            product.checked_mul(dim)
        });
    if expected != Some(stored) {
        let message = format!(
            "'{name}' of {} has {stored} bytes of values, which do not fit",
            crate::strided::dims_text(&dims)
        );
        return Err(Error::new(ErrorKind::Length, message));
    }
    if compressed {
        files::check_decompressed(u128::from(stored))?;
    }
    let bytes = match inline {
        Some(bytes) => bytes,
        None => parts.bytes(stored)?,
    };
    if compressed {
        // Makes the decompressor reach and verify its checksum, past the padding.
        let mut rest = parts.reader.take(64);
        std::io::copy(&mut rest, &mut std::io::sink()).map_err(stream_error)?;
    }
    contents.matrices.push(Matrix {
        name,
        dims,
        element,
        big_endian,
        bytes,
    });
    Ok(())
}

/// The elements that make an array, one after the other.
struct Parts<'a> {
    reader: &'a mut dyn Read,
    left: u64,
    big_endian: bool,
}

impl Parts<'_> {
    /// Type and size of an element, and its data if they are in the tag itself.
    fn tag(&mut self) -> Result<(u32, u64, Option<Vec<u8>>)> {
        let mut tag = [0; 8];
        self.spend(8)?;
        exact(self.reader, &mut tag)?;
        let first = word(&tag[..4], self.big_endian);
        let short = first >> 16;
        if short == 0 {
            let size = u64::from(word(&tag[4..], self.big_endian));
            return Ok((first, size, None));
        }
        let Some(data) = tag[4..].get(..short as usize) else {
            return Err(corrupt(format!(
                "an element of {short} bytes claims to be short"
            )));
        };
        Ok((first & 0xffff, u64::from(short), Some(data.to_vec())))
    }

    /// The data of an element, without the padding to eight bytes, which the file may end before.
    fn bytes(&mut self, size: u64) -> Result<Vec<u8>> {
        self.spend(size)?;
        let mut bytes = Vec::new();
        let read = (&mut *self.reader).take(size).read_to_end(&mut bytes);
        read.map_err(stream_error)?;
        if (bytes.len() as u64) < size {
            return Err(Error::length(u128::from(size), bytes.len()));
        }
        Ok(bytes)
    }

    /// An element of few bytes: flags, dimensions or a name.
    fn small(&mut self) -> Result<(u32, Vec<u8>)> {
        let (code, size, inline) = self.tag()?;
        if let Some(data) = inline {
            return Ok((code, data));
        }
        if size > 4096 {
            return Err(corrupt(format!(
                "{size} bytes are too many for the head of an array"
            )));
        }
        let bytes = self.bytes(size)?;
        let padding = size.next_multiple_of(8) - size;
        self.spend(padding)?;
        exact(self.reader, &mut [0; 8][..padding as usize])?;
        Ok((code, bytes))
    }

    fn spend(&mut self, size: u64) -> Result<()> {
        self.left = self.left.checked_sub(size).ok_or_else(|| {
            let message = format!(
                "a part of an array has {size} bytes, and {} are left of the array",
                self.left
            );
            Error::new(ErrorKind::Length, message)
        })?;
        Ok(())
    }
}

fn word(bytes: &[u8], big_endian: bool) -> u32 {
    let mut array = [0; 4];
    array.copy_from_slice(&bytes[..4]);
    if big_endian {
        u32::from_be_bytes(array)
    } else {
        u32::from_le_bytes(array)
    }
}

fn exact(reader: &mut dyn Read, buffer: &mut [u8]) -> Result<()> {
    reader.read_exact(buffer).map_err(stream_error)
}

fn stream_error(e: std::io::Error) -> Error {
    let error = match e.kind() {
        std::io::ErrorKind::UnexpectedEof => Error::new(
            ErrorKind::Length,
            "ends too early; copy or download the file again",
        ),
        std::io::ErrorKind::InvalidData | std::io::ErrorKind::InvalidInput => {
            corrupt("compressed data is damaged; copy or download the file again")
        }
        _ => Error::new(ErrorKind::Io, "cannot be read"),
    };
    error.with_source(e)
}
