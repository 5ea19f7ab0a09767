//! The header of an npy file: element type, order and dimensions.
//!
//! The format is numpy's, versions 1 to 3 (NEP 1): a magic, a version, the
//! length of a text and the text, which is a Python dictionary of exactly the
//! keys `descr`, `fortran_order` and `shape`. Only this dictionary is
//! understood, without nesting, so that no input can make the reader recurse,
//! and dimensions are passed on unchecked, for the caller to multiply with
//! care. (The reader of the npyz crate multiplies them unchecked.)

use std::fmt;
use std::io::Read;
use std::path::Path;

use crate::error::{Error, ErrorKind, Result};
use crate::files;

/// The bytes that begin every npy file.
pub(crate) const MAGIC: &[u8] = b"\x93NUMPY";

/// The longest header text that is read; numpy itself stops at 10,000 bytes.
const LONGEST: usize = 65_535;

/// The longest text that is read as the name of a class, in characters.
const LONGEST_TEXT: u64 = 1024;

/// The description of an array at the beginning of an npy file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Header {
    pub(crate) descr: Descr,
    /// Whether the first index varies fastest.
    pub(crate) fortran: bool,
    pub(crate) dims: Vec<u64>,
    /// Length of the header itself, in bytes.
    pub(crate) length: u64,
}

/// The type of the elements of an array, such as `<f4`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Descr {
    pub(crate) big_endian: bool,
    /// `b'u'`, `b'i'`, `b'f'`, `b'b'`, and `b'S'` and `b'U'` for texts of bytes and of characters.
    pub(crate) kind: u8,
    /// Bytes an element.
    pub(crate) size: usize,
}

impl fmt::Display for Descr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order = match self.size {
            0 | 1 => '|',
            _ if self.big_endian => '>',
            _ => '<',
        };
        let size = if self.kind == b'U' {
            self.size / 4
        } else {
            self.size
        };
        write!(f, "{order}{}{size}", char::from(self.kind))
    }
}

/// Reads a header from the beginning of an npy stream.
pub(crate) fn read(reader: &mut dyn Read, path: &Path) -> Result<Header> {
    let mut begin = [0; 8];
    files::read_header(reader, &mut begin, path)?;
    if !begin.starts_with(MAGIC) {
        let error = Error::new(
            ErrorKind::Corrupt,
            "is not an npy array: its magic is missing",
        );
        return Err(error.with_path(path));
    }
    let (text_length, size_of_length) = match begin[6] {
        1 => {
            let mut bytes = [0; 2];
            files::read_header(reader, &mut bytes, path)?;
            (usize::from(u16::from_le_bytes(bytes)), 2)
        }
        2 | 3 => {
            let mut bytes = [0; 4];
            files::read_header(reader, &mut bytes, path)?;
            (u32::from_le_bytes(bytes) as usize, 4)
        }
        version => {
            let message = format!("version {version} of npy is not known; there are 1, 2 and 3");
            return Err(Error::new(ErrorKind::Unsupported, message).with_path(path));
        }
    };
    if text_length > LONGEST {
        let message = format!("a header of {text_length} bytes is not that of a plain array");
        return Err(Error::new(ErrorKind::Corrupt, message).with_path(path));
    }
    let mut text = vec![0; text_length];
    files::read_header(reader, &mut text, path)?;
    let mut header = parse(&text).map_err(|e| e.with_path(path))?;
    header.length = (begin.len() + size_of_length + text_length) as u64;
    Ok(header)
}

/// Parses the text of a header.
fn parse(text: &[u8]) -> Result<Header> {
    let mut cursor = Cursor { text, position: 0 };
    let (mut descr, mut fortran, mut dims) = (None, None, None);
    cursor.expect(b'{')?;
    while !cursor.take(b'}') {
        let key = cursor.string()?;
        cursor.expect(b':')?;
        match key {
            b"descr" => descr = Some(cursor.descr()?),
            b"fortran_order" => fortran = Some(cursor.boolean()?),
            b"shape" => dims = Some(cursor.tuple()?),
            _ => return Err(cursor.error("the key 'descr', 'fortran_order' or 'shape'")),
        }
        if !cursor.take(b',') {
            cursor.expect(b'}')?;
            break;
        }
    }
    cursor.skip_space();
    if cursor.position != text.len() {
        return Err(cursor.error("the end of the header"));
    }
    match (descr, fortran, dims) {
        (Some(descr), Some(fortran), Some(dims)) => Ok(Header {
            descr,
            fortran,
            dims,
            length: 0,
        }),
        _ => Err(cursor.error("all of the keys 'descr', 'fortran_order' and 'shape'")),
    }
}

/// A position in the text of a header.
struct Cursor<'a> {
    text: &'a [u8],
    position: usize,
}

impl<'a> Cursor<'a> {
    fn error(&self, expected: &str) -> Error {
        let message = format!(
            "the npy header is damaged: expected {expected} at byte {}",
            self.position
        );
        Error::new(ErrorKind::Corrupt, message)
    }

    fn skip_space(&mut self) {
        while self
            .text
            .get(self.position)
            .is_some_and(u8::is_ascii_whitespace)
        {
            self.position += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        self.skip_space();
        let found = self.text.get(self.position) == Some(&byte);
        self.position += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<()> {
        if self.take(byte) {
            Ok(())
        } else {
            Err(self.error(&format!("'{}'", char::from(byte))))
        }
    }

    /// The longest run of bytes of some class.
    fn run(&mut self, class: impl Fn(u8) -> bool) -> &'a [u8] {
        self.skip_space();
        let rest = &self.text[self.position..];
        let length = rest.iter().take_while(|b| class(**b)).count();
        self.position += length;
        &rest[..length]
    }

    /// A string in single or double quotes; none in a header needs escapes.
    fn string(&mut self) -> Result<&'a [u8]> {
        let quote = if self.take(b'"') { b'"' } else { b'\'' };
        if quote == b'\'' {
            self.expect(b'\'')?;
        }
        let rest = &self.text[self.position..];
        let length = rest.iter().position(|&b| b == quote || b == b'\\');
        match length {
            Some(length) if rest[length] == quote => {
                self.position += length + 1;
                Ok(&rest[..length])
            }
            _ => Err(self.error("a string that ends in the same quote")),
        }
    }

    fn descr(&mut self) -> Result<Descr> {
        if self.take(b'[') {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "holds a structured array; store images and labels as plain arrays",
            ));
        }
        let text = self.string()?;
        let unsupported = || {
            let message = format!(
                "the type '{}' is not that of a plain number",
                String::from_utf8_lossy(text)
            );
            Error::new(ErrorKind::Unsupported, message)
        };
        if text.ends_with(b"O") {
            let message = "holds Python objects; store numbers, or texts: \
                `numpy.save(\"x.npy\", x.astype(str))`";
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        let [order, kind, digits @ ..] = text else {
            return Err(unsupported());
        };
        let is_text = matches!(kind, b'S' | b'U');
        let size = number(digits)
            .filter(|&size| size <= if is_text { LONGEST_TEXT } else { 16 })
            .ok_or_else(unsupported)?;
        let big_endian = match order {
            b'>' => true,
            b'<' => false,
            // One byte has no order.
            b'|' if size <= 1 || *kind == b'S' => false,
            _ => return Err(unsupported()),
        };
        Ok(Descr {
            big_endian,
            kind: *kind,
            // A character of a text has four bytes.
            size: size as usize * if *kind == b'U' { 4 } else { 1 },
        })
    }

    fn boolean(&mut self) -> Result<bool> {
        match self.run(|b| b.is_ascii_alphabetic()) {
            b"True" => Ok(true),
            b"False" => Ok(false),
            _ => Err(self.error("True or False")),
        }
    }

    /// A tuple of whole numbers; Python 2 wrote an L after long ones.
    fn tuple(&mut self) -> Result<Vec<u64>> {
        let mut dims = Vec::new();
        self.expect(b'(')?;
        while !self.take(b')') {
            let digits = self.run(|b| b.is_ascii_digit());
            let dim = number(digits).ok_or_else(|| self.error("a whole number below 2^64"))?;
            self.take(b'L');
            dims.push(dim);
            if !self.take(b',') {
                self.expect(b')')?;
                break;
            }
        }
        Ok(dims)
    }
}

/// The value of decimal digits; `None` if there are none or too many.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header(text: &str) -> Result<Header> {
        let mut bytes = [MAGIC, &[1, 0]].concat();
        bytes.extend((text.len() as u16).to_le_bytes());
        bytes.extend(text.as_bytes());
        read(&mut &bytes[..], Path::new("f.npy"))
    }

    #[test]
    fn headers_of_numpy_are_read() {
        // The texts are those that numpy 2.4 and, with an L, numpy under Python 2 write.
        let table: [(&str, &str, bool, &[u64]); 5] = [
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }   \n",
                "<f4",
                false,
                &[2, 3],
            ),
            (
                "{'descr': '|u1', 'fortran_order': True, 'shape': (7,), }\n",
                "|u1",
                true,
                &[7],
            ),
            (
                "{'descr': '>f8', 'fortran_order': False, 'shape': (), }",
                ">f8",
                false,
                &[],
            ),
            (
                "{'shape': (10L, 32L), 'fortran_order': False, 'descr': '<i8'}",
                "<i8",
                false,
                &[10, 32],
            ),
            (
                "{\"descr\":\"|b1\",\"fortran_order\":False,\"shape\":(18446744073709551615,)}",
                "|b1",
                false,
                &[u64::MAX],
            ),
        ];
        for (text, descr, fortran, dims) in table {
            let header = header(text).unwrap();
            assert_eq!(header.descr.to_string(), descr);
            assert_eq!((header.fortran, &header.dims[..]), (fortran, dims));
            assert_eq!(header.length, 10 + text.len() as u64);
        }
    }

    #[test]
    fn damaged_headers_are_refused() {
        let table = [
            ("", ErrorKind::Corrupt),
            ("{}", ErrorKind::Corrupt),
            (
                "{'descr': '<f4', 'fortran_order': False}",
                ErrorKind::Corrupt,
            ),
            (
                "{'descr': '<f4', 'fortran_order': 0, 'shape': ()}",
                ErrorKind::Corrupt,
            ),
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
                ErrorKind::Corrupt,
            ),
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': (18446744073709551616,)}",
                ErrorKind::Corrupt,
            ),
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} x",
                ErrorKind::Corrupt,
            ),
            ("{'descr': '<f4", ErrorKind::Corrupt),
            ("{'other': 1}", ErrorKind::Corrupt),
            (
                "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': ()}",
                ErrorKind::Unsupported,
            ),
            (
                "{'descr': '|O', 'fortran_order': False, 'shape': ()}",
                ErrorKind::Unsupported,
            ),
            (
                "{'descr': '=f4', 'fortran_order': False, 'shape': ()}",
                ErrorKind::Unsupported,
            ),
            (
                "{'descr': '<V99', 'fortran_order': False, 'shape': ()}",
                ErrorKind::Unsupported,
            ),
        ];
        for (text, kind) in table {
            let error = header(text).unwrap_err();
            assert_eq!(error.kind(), kind, "{text}: {error}");
        }
        let nested = "(".repeat(60_000);
        assert_eq!(header(&nested).unwrap_err().kind(), ErrorKind::Corrupt);
    }

    #[test]
    fn a_false_length_of_the_header_allocates_nothing() {
        let bytes = [MAGIC, &[2, 0, 0xff, 0xff, 0xff, 0xff]].concat();
        let error = read(&mut &bytes[..], Path::new("f")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[{}\\[\\](),:'\" \\\\a-zL0-9<>|=]{0,120}") {
            let _ = parse(text.as_bytes());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&mut &bytes[..], Path::new("f"));
            let _ = parse(&bytes);
        }
    }
}
