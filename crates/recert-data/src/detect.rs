//! Recognises the format of a path by magic numbers, file names and folder structure.

use std::path::Path;

use crate::error::{Error, ErrorKind, Result};
use crate::spec::Format;
use crate::{
    cifar, cifar_binary, cifar_python, csv_pixels, files, folder, foreign, idx, mat, npy_header,
    npz, svhn, tiny_imagenet,
};

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
    for (batches, format) in [
        (&cifar::PYTHON, Format::Cifar10Python),
        (&cifar::BINARY, Format::Cifar10Binary),
        (&cifar::PYTHON_100, Format::Cifar100Python),
        (&cifar::BINARY_100, Format::Cifar100Binary),
    ] {
        if cifar::holds_batches(path, batches) {
            return Ok(Some(format));
        }
    }
    if svhn::holds_files(path) {
        return Ok(Some(Format::Svhn));
    }
    if tiny_imagenet::holds_annotations(path) {
        return Ok(Some(Format::TinyImageNet));
    }
    if idx::holds_images(path) {
        return Ok(Some(Format::Idx));
    }
    Ok(folder::holds_images(path)?.then_some(Format::ImageFolder))
}

fn format_of_file(path: &Path, length: u64) -> Result<Option<Format>> {
    let begin = files::beginning(path, 512)?;
    if begin.starts_with(npy_header::MAGIC) {
        return Ok(Some(Format::Npy));
    }
    if is_image(&begin) {
        return Ok(Some(Format::ImageFolder));
    }
    if mat::is_mat(&begin) {
        return Ok(Some(Format::Svhn));
    }
    // A CIFAR record begins with a label below 100, a pickle with 0x80. Others than CIFAR's
    // pickles are left to the reader, which names what they hold, unless they are PyTorch's.
    if matches!(begin[..], [0x80, 2..=5, ..]) {
        let is_100 = cifar_python::is_cifar100(path)?;
        let format = if is_100 {
            Format::Cifar100Python
        } else {
            Format::Cifar10Python
        };
        return Ok(Some(format));
    }
    if let Some(format) = format_of_records(path, length)? {
        return Ok(Some(format));
    }
    if let Some(error) = foreign::refuse(path) {
        return Err(error);
    }
    if npz::begins_like_zip(path)? {
        return Ok(Some(Format::Npz));
    }
    let content = files::beginning_decompressed(path, 1 << 16)?;
    if idx::is_images(&content) {
        return Ok(Some(Format::Idx));
    }
    Ok(csv_pixels::is_pixels(&content).then_some(Format::Csv))
}

/// The format of a file of CIFAR's records, which has such a length and is called .bin.
fn format_of_records(path: &Path, length: u64) -> Result<Option<Format>> {
    let named_bin = path
        .extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("bin"));
    let is_records = |set: &cifar::Set| length > 0 && length.is_multiple_of(set.record() as u64);
    // A record of label 0 may begin like an IDX file, but an IDX file is not
    // likely to end where a record does and to be called .bin as well.
    if !named_bin {
        return Ok(None);
    }
    let is_100 = is_records(&cifar::CIFAR100);
    if is_records(&cifar::CIFAR10) && !(is_100 && cifar_binary::is_cifar100(path)?) {
        return Ok(Some(Format::Cifar10Binary));
    }
    Ok(is_100.then_some(Format::Cifar100Binary))
}

/// Whether a file begins like an image that is read.
fn is_image(begin: &[u8]) -> bool {
    let is_webp = begin.starts_with(b"RIFF") && begin.get(8..12) == Some(b"WEBP");
    // Two letters are few; four bytes that are always zero follow the length.
    let is_bmp = begin.starts_with(b"BM") && begin.get(6..10) == Some(&[0; 4]);
    begin.starts_with(PNG) || begin.starts_with(JPEG) || is_webp || is_bmp
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
