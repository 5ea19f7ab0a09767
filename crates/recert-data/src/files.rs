//! Reading files without trusting a size that they state.

use std::fs::{self, File};
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use crate::error::{Error, ErrorKind, Result};

/// The two bytes that begin a gzip stream.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The most bytes that one compressed array or text may grow to; what is larger can be stored
/// without compression, where the file itself vouches for its size.
const MOST_DECOMPRESSED: u64 = 4 << 30;

/// The longest file that is read as a whole: records, pickles, images.
const LONGEST_WHOLE: u64 = 8 << 30;

/// The longest file of text.
const LONGEST_TEXT: u64 = 256 << 20;

/// The whole of a file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    read_up_to(path, LONGEST_WHOLE)
}

/// The whole of a file of text in UTF-8.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    String::from_utf8(read_up_to(path, LONGEST_TEXT)?).map_err(|e| {
        let message = format!(
            "is no text in UTF-8: byte {} cannot be read",
            e.utf8_error().valid_up_to()
        );
        Error::new(ErrorKind::Corrupt, message).with_path(path)
    })
}

fn read_up_to(path: &Path, longest: u64) -> Result<Vec<u8>> {
    let (file, length) = open(path)?;
    if length > longest {
        let message = format!("has {length} bytes; such files are read up to {longest} bytes");
        return Err(Error::new(ErrorKind::Unsupported, message).with_path(path));
    }
    let mut bytes = Vec::new();
    file.take(longest)
        .read_to_end(&mut bytes)
        .map_err(|e| Error::io(e, path))?;
    Ok(bytes)
}

/// The beginning and the end of a file, for recognition.
pub(crate) fn both_ends(path: &Path, count: usize) -> Result<Vec<u8>> {
    let (mut file, length) = open(path)?;
    let count = count as u64;
    let mut bytes = Vec::new();
    let read = (&mut file)
        .take(count)
        .read_to_end(&mut bytes)
        .and_then(|_| {
            if length <= count {
                return Ok(0);
            }
            file.seek(SeekFrom::Start(count.max(length - count)))?;
            file.take(count).read_to_end(&mut bytes)
        });
    read.map_err(|e| Error::io(e, path))?;
    Ok(bytes)
}

/// Refuses compressed content of a size that nothing but the content itself vouches for.
pub(crate) fn check_decompressed(size: u128) -> Result<()> {
    if size <= u128::from(MOST_DECOMPRESSED) {
        return Ok(());
    }
    let message = format!(
        "compressed data of {size} bytes is not read, at most {MOST_DECOMPRESSED}; store it \
         without compression, or as several files"
    );
    Err(Error::new(ErrorKind::Unsupported, message))
}

/// A stream of text that ends in an error where it goes on for too long.
pub(crate) fn limited(reader: impl Read, longest: u64) -> impl Read {
    Limited {
        reader,
        left: longest,
    }
}

struct Limited<R> {
    reader: R,
    left: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.left = self.left.checked_sub(count as u64).ok_or_else(|| {
            std::io::Error::other("the text is too long; make an npz of it, or several files")
        })?;
        Ok(count)
    }
}

/// The length of a file. Fails of a folder, and of a pipe or device: opening a
/// pipe would wait for somebody to write to it.
fn length(path: &Path) -> Result<u64> {
    let metadata = fs::metadata(path).map_err(|e| Error::io(e, path))?;
    if metadata.is_file() {
        return Ok(metadata.len());
    }
    let message = if metadata.is_dir() {
        "is a folder where a file is needed"
    } else {
        "is a pipe or device where a file is needed"
    };
    Err(Error::new(ErrorKind::Io, message).with_path(path))
}

/// A file for reading, and its length.
pub(crate) fn open(path: &Path) -> Result<(BufReader<File>, u64)> {
    let length = length(path)?;
    let file = File::open(path).map_err(|e| Error::io(e, path))?;
    Ok((BufReader::new(file), length))
}

/// A file for reading, decompressed if it begins like gzip; the length of the
/// content is known only without compression.
pub(crate) fn open_maybe_gzip(path: &Path) -> Result<(Box<dyn Read>, Option<u64>)> {
    let begin = beginning(path, GZIP.len())?;
    let (file, length) = open(path)?;
    if begin == GZIP {
        Ok((Box::new(flate2::bufread::MultiGzDecoder::new(file)), None))
    } else {
        Ok((Box::new(file), Some(length)))
    }
}

/// The first bytes of a file, fewer if it is shorter.
pub(crate) fn beginning(path: &Path, count: usize) -> Result<Vec<u8>> {
    let (file, _) = open(path)?;
    let mut bytes = Vec::with_capacity(count);
    file.take(count as u64)
        .read_to_end(&mut bytes)
        .map_err(|e| Error::io(e, path))?;
    Ok(bytes)
}

/// The first bytes of a file after decompression, for recognition: an error of
/// decompression leaves fewer bytes and is reported when the file is read.
pub(crate) fn beginning_decompressed(path: &Path, count: usize) -> Result<Vec<u8>> {
    let (reader, _) = open_maybe_gzip(path)?;
    let mut bytes = Vec::with_capacity(count);
    // What was read before an error stays in the vector.
    let _ = reader.take(count as u64).read_to_end(&mut bytes);
    Ok(bytes)
}

/// Fills a small buffer; an end of the file inside it is an error of length.
pub(crate) fn read_header(reader: &mut dyn Read, buffer: &mut [u8], path: &Path) -> Result<()> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => {
                let message = format!(
                    "ends inside its header: expected {} more bytes, found {filled}",
                    buffer.len()
                );
                return Err(Error::new(ErrorKind::Length, message).with_path(path));
            }
            Ok(count) => filled += count,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(stream_error(e, path)),
        }
    }
    Ok(())
}

/// Reads exactly `expected` bytes up to the end of the stream.
///
/// `available` is the number of bytes left where that is known; otherwise the
/// buffer grows with what arrives, so that a false `expected` costs nothing.
pub(crate) fn read_rest(
    reader: &mut dyn Read,
    expected: u128,
    available: Option<u64>,
    path: &Path,
) -> Result<Vec<u8>> {
    if let Some(available) = available
        && u128::from(available) != expected
    {
        return Err(Error::length(expected, available).with_path(path));
    }
    if available.is_none()
        && let Err(error) = check_decompressed(expected)
    {
        // Much less may be there than is announced, which is the better message.
        let mut sink = std::io::sink();
        let found = std::io::copy(&mut reader.take(MOST_DECOMPRESSED), &mut sink)
            .map_err(|e| stream_error(e, path))?;
        return Err(if found < MOST_DECOMPRESSED {
            Error::length(expected, found).with_path(path)
        } else {
            error.with_path(path)
        });
    }
    let Ok(limit) = u64::try_from(expected) else {
        return Err(Error::length(expected, "fewer").with_path(path));
    };
    // Reading one byte more than expected finds what should not be there, and
    // makes the decompressors reach and verify their checksums.
    let mut reader = reader.take(limit.saturating_add(1));
    let mut bytes = Vec::new();
    reader
        .read_to_end(&mut bytes)
        .map_err(|e| stream_error(e, path))?;
    match (bytes.len() as u64).cmp(&limit) {
        std::cmp::Ordering::Less => Err(Error::length(expected, bytes.len()).with_path(path)),
        std::cmp::Ordering::Equal => Ok(bytes),
        std::cmp::Ordering::Greater => Err(Error::length(expected, "more").with_path(path)),
    }
}

/// An error of reading a stream: of decompression if it has such a kind.
fn stream_error(e: std::io::Error, path: &Path) -> Error {
    use std::io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    let error = match e.kind() {
        UnexpectedEof => Error::new(
            ErrorKind::Length,
            "compressed data ends too early; copy or download the file again",
        ),
        InvalidData | InvalidInput => Error::new(
            ErrorKind::Corrupt,
            "compressed data is damaged; copy or download the file again",
        ),
        _ => Error::new(ErrorKind::Io, "cannot be read"),
    };
    error.with_path(path).with_source(e)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_has_the_expected_length_or_is_an_error() {
        let path = Path::new("f");
        let read = |bytes: &[u8], expected, available| {
            read_rest(&mut &*bytes, expected, available, path).map_err(|e| e.to_string())
        };
        assert_eq!(read(b"abc", 3, None).unwrap(), b"abc");
        assert_eq!(read(b"abc", 3, Some(3)).unwrap(), b"abc");
        for (expected, available, found) in [
            (4, None, "expected 4 bytes, found 3"),
            (2, None, "expected 2 bytes, found more"),
            (4, Some(3), "expected 4 bytes, found 3"),
            (u128::MAX, None, "found 3"),
            (u128::from(u64::MAX), None, "found 3"),
            (1 << 50, None, "found 3"),
        ] {
            let error = read(b"abc", expected, available).unwrap_err();
            assert!(error.contains(found), "{error}");
        }
    }
}
