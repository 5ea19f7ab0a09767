//! IDX, the format of MNIST: big-endian sizes, then bytes; plain or in gzip.
//!
//! The format is described on <http://yann.lecun.com/exdb/mnist/>: two zero
//! bytes, a byte for the element type (8 is the unsigned byte), a byte for the
//! number of dimensions, the dimensions in 32 bits each, the elements. Fashion-MNIST, KMNIST
//! and EMNIST have the same format. EMNIST's images are transposed in its files, and they
//! are left so, as torchvision leaves them; the labels of `letters` are 1 to 26.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::contents::Contents;
use crate::error::{Error, ErrorKind, Result};
use crate::files;
use crate::spec::{Options, Split};
use crate::strided::{Element, Strided};

/// The element type of bytes; no other is in use for images and labels.
const BYTES: u8 = 8;

/// Opens a file of images, or a folder with the usual names, with the labels
/// beside it if they are there.
pub(crate) fn open(path: &Path, options: &Options) -> Result<Contents> {
    let path = if path.is_dir() {
        choose_in_folder(path, options.split)?
    } else {
        path.to_owned()
    };
    let (dims, bytes) = read(&path)?;
    let images = Strided::from_array(&path, &dims, false, Element::U8, bytes, 0)?;
    let mut contents = Contents::new(images);
    if options.labels.is_none()
        && let Some(labels) = labels_beside(&path)
    {
        contents.labels = Some(read_labels(&labels)?.into());
    }
    Ok(contents)
}

/// Reads a file of labels.
pub(crate) fn read_labels(path: &Path) -> Result<Vec<i64>> {
    let (dims, bytes) = read(path)?;
    if dims.len() == 1 {
        Ok(bytes.into_iter().map(i64::from).collect())
    } else {
        let message = format!("labels have one dimension, found {}", dims.len());
        Err(Error::new(ErrorKind::Shape, message).with_path(path))
    }
}

/// Whether content begins like an IDX file of images.
pub(crate) fn is_images(content: &[u8]) -> bool {
    matches!(content, [0, 0, BYTES, 2..=4, ..])
}

/// Whether content begins like an IDX file of labels.
pub(crate) fn is_labels(content: &[u8]) -> bool {
    matches!(content, [0, 0, BYTES, 1, ..])
}

/// Whether a folder holds IDX files of images by their usual names.
pub(crate) fn holds_images(folder: &Path) -> bool {
    [Split::Test, Split::Train]
        .into_iter()
        .any(|split| !find_in_folder(folder, split).is_empty())
}

/// The folders in which torchvision keeps data sets as IDX files, inside its root.
const ROOTS: [&str; 4] = ["MNIST", "FashionMNIST", "KMNIST", "EMNIST"];

/// The splits of EMNIST, each of which has files of its own.
const EMNIST: [&str; 6] = [
    "byclass", "bymerge", "balanced", "letters", "digits", "mnist",
];

/// The files of images in a folder, in its subfolder `raw` and where torchvision puts them;
/// one of each data set.
fn find_in_folder(folder: &Path, split: Split) -> Vec<PathBuf> {
    let (mnist, emnist) = match split {
        Split::Test => ("t10k", "test"),
        Split::Train => ("train", "train"),
    };
    let mut sets = vec![mnist.to_owned()];
    sets.extend(EMNIST.map(|name| format!("emnist-{name}-{emnist}")));
    let in_folder = |sub: &Path| {
        sets.iter()
            .filter_map(|set| {
                let names = [
                    format!("{set}-images-idx3-ubyte"),
                    format!("{set}-images.idx3-ubyte"),
                ];
                names
                    .into_iter()
                    .find_map(|name| with_or_without_gz(sub.join(name)))
            })
            .collect::<Vec<_>>()
    };
    let own = ["", "raw"]
        .into_iter()
        .map(|sub| in_folder(&folder.join(sub)));
    if let Some(own) = own.into_iter().find(|found| !found.is_empty()) {
        return own;
    }
    ROOTS
        .into_iter()
        .flat_map(|set| in_folder(&folder.join(set).join("raw")))
        .collect()
}

/// The one file of images in a folder; several leave open which is meant.
fn choose_in_folder(folder: &Path, split: Split) -> Result<PathBuf> {
    let mut found = find_in_folder(folder, split);
    match found.len() {
        1 => Ok(found.swap_remove(0)),
        0 => {
            let name = match split {
                Split::Test => "t10k",
                Split::Train => "train",
            };
            let message =
                format!("the folder holds no {name}-images-idx3-ubyte, with or without .gz");
            Err(Error::new(ErrorKind::Missing, message).with_path(folder))
        }
        _ => {
            let list: Vec<_> = found
                .iter()
                .map(|path| {
                    path.strip_prefix(folder)
                        .unwrap_or(path)
                        .display()
                        .to_string()
                })
                .collect();
            let message = format!(
                "the folder holds several sets; name one: {}",
                list.join(", ")
            );
            Err(Error::new(ErrorKind::Unrecognised, message).with_path(folder))
        }
    }
}

/// The file of labels beside a file of images, by the usual exchange of words.
fn labels_beside(images: &Path) -> Option<PathBuf> {
    let name = images.file_name()?.to_str()?;
    let name = name.strip_suffix(".gz").unwrap_or(name);
    let labels = name.replace("images", "labels").replace("idx3", "idx1");
    if labels == name {
        return None;
    }
    with_or_without_gz(images.with_file_name(labels))
}

fn with_or_without_gz(path: PathBuf) -> Option<PathBuf> {
    let mut compressed = path.clone().into_os_string();
    compressed.push(".gz");
    [path, PathBuf::from(compressed)]
        .into_iter()
        .find(|path| path.is_file())
}

/// Dimensions and elements of a file of bytes.
fn read(path: &Path) -> Result<(Vec<u64>, Vec<u8>)> {
    let (mut reader, length) = files::open_maybe_gzip(path)?;
    read_from(&mut reader, length, path)
}

fn read_from(
    reader: &mut dyn Read,
    length: Option<u64>,
    path: &Path,
) -> Result<(Vec<u64>, Vec<u8>)> {
    let mut magic = [0; 4];
    files::read_header(reader, &mut magic, path)?;
    let rank = match magic {
        [0, 0, BYTES, rank @ 1..=4] => rank,
        [0, 0, BYTES, rank] => {
            let message = format!("an IDX file of {rank} dimensions does not hold images");
            return Err(Error::new(ErrorKind::Shape, message).with_path(path));
        }
        [0, 0, element @ (9 | 11..=14), _] => {
            let message = format!("IDX elements of type {element} are not read; only bytes (8)");
            return Err(Error::new(ErrorKind::Unsupported, message).with_path(path));
        }
        _ => {
            let error = Error::new(
                ErrorKind::Corrupt,
                "is not an IDX file: its magic is missing",
            );
            return Err(error.with_path(path));
        }
    };
    let mut dims = Vec::with_capacity(usize::from(rank));
    for _ in 0..rank {
        let mut dim = [0; 4];
        files::read_header(reader, &mut dim, path)?;
        dims.push(u64::from(u32::from_be_bytes(dim)));
    }
    // Four factors of 32 bits cannot overflow 128 bits.
    let expected = dims.iter().map(|&dim| u128::from(dim)).product();
    let header = 4 + 4 * u64::from(rank);
    let available = length.map(|length| length.saturating_sub(header));
    let bytes = files::read_rest(reader, expected, available, path)?;
    Ok((dims, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_header_of_four_thousand_million_images_allocates_nothing() {
        let mut bytes = vec![0, 0, BYTES, 3];
        for dim in [u32::MAX, u32::MAX, u32::MAX] {
            bytes.extend(dim.to_be_bytes());
        }
        for length in [None, Some(16)] {
            let error = read_from(&mut &bytes[..], length, Path::new("f")).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Length);
        }
    }

    #[test]
    fn labels_are_looked_for_by_the_usual_names() {
        let folder = tempfile::tempdir().unwrap();
        for (images, labels) in [
            ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
            ("train-images.idx3-ubyte", "train-labels.idx1-ubyte"),
            (
                "emnist-test-images-idx3-ubyte",
                "emnist-test-labels-idx1-ubyte.gz",
            ),
        ] {
            let images = folder.path().join(images);
            assert_eq!(labels_beside(&images), None);
            let labels = folder.path().join(labels);
            std::fs::write(&labels, b"").unwrap();
            assert_eq!(labels_beside(&images), Some(labels));
        }
        assert_eq!(labels_beside(&folder.path().join("other")), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..100), magic: bool) {
            if magic && bytes.len() >= 4 {
                bytes[..3].copy_from_slice(&[0, 0, BYTES]);
                bytes[3] %= 6;
            }
            let _ = read_from(&mut &bytes[..], None, Path::new("f"));
            let _ = read_from(&mut &bytes[..], Some(bytes.len() as u64), Path::new("f"));
        }
    }
}
