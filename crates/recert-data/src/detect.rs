//! Recognises the format of a path by magic numbers, file names and folder structure.

use std::path::Path;

use crate::error::{Error, ErrorKind, Result};
use crate::spec::Format;
use crate::{
    cifar, cifar_binary, cifar_python, csv_pixels, files, folder, foreign, idx, mat, npy_header,
    npz, parquet, svhn, tiny_imagenet,
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
        let message = if metadata.is_dir() {
            NO_IMAGES.to_owned()
        } else if metadata.len() == 0 {
            "the file is empty; copy or download it again".to_owned()
        } else {
            let begin = files::beginning_decompressed(path, TEXT_SEEN);
            text(&begin.unwrap_or_default()).unwrap_or_else(unknown_bytes)
        };
        Error::new(ErrorKind::Unrecognised, message).with_path(path)
    })
}

/// What to do about a folder without data.
const NO_IMAGES: &str = "the folder holds no images of a known format: neither PNG, JPEG, WebP \
    or BMP files nor the files of CIFAR-10, CIFAR-100, SVHN, Tiny-ImageNet, MNIST or Parquet; give the \
    folder or the file that does";

/// How many bytes of a text decide what it is taken for.
const TEXT_SEEN: usize = 1 << 12;

/// What to do about a text, where the bytes begin one.
fn text(begin: &[u8]) -> Option<String> {
    let valid = match std::str::from_utf8(begin) {
        Ok(text) => text,
        // The last character may be cut.
        Err(e) if begin.len() - e.valid_up_to() < 4 => {
            std::str::from_utf8(&begin[..e.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let control = |c: char| c.is_control() && !c.is_whitespace();
    if valid.is_empty() || valid.contains(control) {
        return None;
    }
    let fields = valid.lines().next().unwrap_or_default().split(',').count();
    Some(if fields > 1 {
        format!(
            "the file is a text whose first line has {fields} comma-separated fields, and csv is \
             recognised by a row of {} numbers or more per image; put '{}:' before the path if \
             these are pixels; a table of labels, or of names and labels, is given as labels, \
             beside the images",
            csv_pixels::FEWEST,
            Format::Csv.prefix(),
        )
    } else {
        "the file is a text without a table of pixels; give the images here, and labels or names \
         of classes as such beside them"
            .to_owned()
    })
}

/// What to do about a file that begins like none that is known.
fn unknown_bytes() -> String {
    let of_files = Format::ALL.into_iter().filter(|format| !format.is_files());
    format!(
        "the format of the file is not recognised; put one of {} before the path if it is one of \
         these",
        Format::list(of_files)
    )
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
    if parquet::holds_parts(path) {
        return Ok(Some(Format::Parquet));
    }
    Ok(folder::holds_images(path)?.then_some(Format::ImageFolder))
}

fn format_of_file(path: &Path, length: u64) -> Result<Option<Format>> {
    let begin = files::beginning(path, 512)?;
    if begin.starts_with(npy_header::MAGIC) {
        return Ok(Some(Format::Npy));
    }
    if begin.starts_with(parquet::MAGIC) {
        return Ok(Some(Format::Parquet));
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
    fn what_is_not_recognised_is_advised_on_by_its_contents() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.dat");
        let table: [(&[u8], &[&str], &str); 7] = [
            (b"", &["is empty", "download"], "'"),
            (b"hello", &["a text", "as such beside"], "':"),
            (
                b"name,label\na.png,3\n",
                &["2 comma-separated", "'csv:'"],
                "cifar",
            ),
            (
                "0.5,1,\u{e9}".as_bytes(),
                &["3 comma-separated", "'csv:'"],
                "cifar",
            ),
            (
                &[0; 3073],
                &["'cifar10-bin:'", "'idx:'", "'npy:'"],
                "'folder:'",
            ),
            (
                b"\x1f\x8bnonsense",
                &["not recognised", "'idx:'"],
                "'folder:'",
            ),
            (
                b"a\xff\xfe\xfd\xfc",
                &["not recognised", "'npz:'"],
                "'grey:'",
            ),
        ];
        for (content, wanted, unwanted) in table {
            std::fs::write(&file, content).unwrap();
            let error = recognise(&file).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unrecognised);
            let words = error.to_string();
            for part in wanted {
                assert!(words.contains(part), "{part}: {words}");
            }
            let message = words.split_once("x.dat: ").unwrap().1;
            assert!(!message.contains(unwanted), "{words}");
        }
        let empty = folder.path().join("empty");
        std::fs::create_dir(&empty).unwrap();
        let error = recognise(&empty).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unrecognised, "{error}");
        assert!(error.to_string().contains("PNG"), "{error}");
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
