//! Reading of property files and networks that may be compressed, up to a size.

use std::fs::File;
use std::io::{ErrorKind as IoErrorKind, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::error::{Error, ErrorKind, Result};

/// The longest property file, decompressed.
const LONGEST_TEXT: u64 = 256 << 20;

/// The longest network, decompressed: protobuf holds no more in a file.
const LONGEST_BYTES: u64 = 2 << 30;

/// The bytes that begin a gzip stream.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The bytes of a file, decompressed where it is gzip by its content. For networks of
/// VNN-COMP's benchmarks, which come as `.onnx.gz`.
///
/// # Errors
///
/// [`ErrorKind::Io`] where it cannot be read, is cut short, or is larger than 2 GiB.
pub fn read_bytes(path: impl AsRef<Path>) -> Result<Vec<u8>> {
    bytes(path.as_ref(), LONGEST_BYTES)
}

/// The text of a file, likewise.
pub(super) fn text(path: &Path) -> Result<String> {
    let bytes = bytes(path, LONGEST_TEXT)?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let message = format!("is no text in UTF-8: byte {valid} cannot be read");
        Error::new(ErrorKind::Syntax, message).at(path.display())
    })
}

fn bytes(path: &Path, longest: u64) -> Result<Vec<u8>> {
    let fail = |error: std::io::Error| {
        let message = match error.kind() {
            IoErrorKind::NotFound => "no such file".to_owned(),
            _ => format!("cannot be read: {error}"),
        };
        Error::new(ErrorKind::Io, message).at(path.display())
    };
    let mut file = File::open(path).map_err(fail)?;
    // A pipe could block for ever, and a folder opens on some systems.
    if !file.metadata().map_err(fail)?.is_file() {
        return Err(Error::new(ErrorKind::Io, "is no file").at(path.display()));
    }
    let mut start = Vec::new();
    (&mut file).take(2).read_to_end(&mut start).map_err(fail)?;
    let compressed = start == GZIP;
    let whole = std::io::Cursor::new(start).chain(file);
    let mut bytes = Vec::new();
    let read = if compressed {
        MultiGzDecoder::new(whole)
            .take(longest + 1)
            .read_to_end(&mut bytes)
    } else {
        whole.take(longest + 1).read_to_end(&mut bytes)
    };
    if read.map_err(fail)? as u64 > longest {
        let message = format!("is longer than {longest} bytes");
        return Err(Error::new(ErrorKind::Io, message).at(path.display()));
    }
    Ok(bytes)
}
