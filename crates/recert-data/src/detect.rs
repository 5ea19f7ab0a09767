//! Recognises the format of a path by magic numbers, file names and folder structure.

use std::path::Path;

use crate::error::{Error, ErrorKind, Result};
use crate::spec::Format;
use crate::{cifar, files, folder, idx, npy_header, npz};

/// Bytes that begin an image file.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
const JPEG: &[u8] = b"\xff\xd8\xff";

/// The format of a file or folder.
pub(crate) fn recognise(path: &Path) -> Result<Format> {
    let metadata = std::fs::metadata(path).map_err(|e| Error::io(e, path))?;
    let found = if metadata.is_dir() {
        format_of_folder(path)?
    } else {
        format_of_file(path, metadata.len())?
    };
    found.ok_or_else(|| {
        let problem = if metadata.is_dir() {
            "the folder holds no images of a known format"
        } else if metadata.len() == 0 {
            "the file is empty"
        } else {
            "the format of the file is not recognised"
        };
        Error::new(
            ErrorKind::Unrecognised,
            format!("{problem}; put one of {} before the path", Format::list()),
        )
        .with_path(path)
    })
}

fn format_of_folder(path: &Path) -> Result<Option<Format>> {
    if cifar::holds_batches(path, &cifar::PYTHON) {
        return Ok(Some(Format::Cifar10Python));
    }
    if cifar::holds_batches(path, &cifar::BINARY) {
        return Ok(Some(Format::Cifar10Binary));
    }
    if idx::holds_images(path) {
        return Ok(Some(Format::Idx));
    }
    Ok(folder::holds_images(path)?.then_some(Format::ImageFolder))
}

fn format_of_file(path: &Path, length: u64) -> Result<Option<Format>> {
    let begin = files::beginning(path, 8)?;
    if begin.starts_with(npy_header::MAGIC) {
        return Ok(Some(Format::Npy));
    }
    if npz::begins_like_zip(path)? {
        return Ok(Some(Format::Npz));
    }
    if begin.starts_with(PNG) || begin.starts_with(JPEG) {
        return Ok(Some(Format::ImageFolder));
    }
    // A CIFAR-10 record begins with a label below 10, a pickle with 0x80.
    if matches!(begin[..], [0x80, 2..=5, ..]) {
        return Ok(Some(Format::Cifar10Python));
    }
    let records = length > 0 && length.is_multiple_of(cifar::RECORD as u64);
    let named_bin = path
        .extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("bin"));
    // A record of label 0 may begin like an IDX file, but an IDX file is not
    // likely to end where a record does and to be called .bin as well.
    if records && named_bin {
        return Ok(Some(Format::Cifar10Binary));
    }
    let content = files::beginning_decompressed(path, 4)?;
    Ok(idx::is_images(&content).then_some(Format::Idx))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_contents_list_the_formats() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.dat");
        for content in [&b""[..], b"hello", &[0; 3073], b"\x1f\x8bnonsense"] {
            std::fs::write(&file, content).unwrap();
            let error = recognise(&file).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unrecognised);
            for format in Format::ALL {
                assert!(error.to_string().contains(format.prefix()), "{error}");
            }
        }
        let error = recognise(folder.path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unrecognised, "{error}");
        let error = recognise(&folder.path().join("none")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Missing);
    }

    #[test]
    fn a_label_of_zero_does_not_make_records_an_idx_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut record = vec![0; 3073];
        record[2..4].copy_from_slice(&[8, 3]);
        let file = folder.path().join("x.bin");
        std::fs::write(&file, &record).unwrap();
        assert_eq!(recognise(&file).unwrap(), Format::Cifar10Binary);
    }
}
