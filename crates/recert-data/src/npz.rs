//! Numpy's npz: a zip file of arrays, some of images and some of labels.

use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

use zip::CompressionMethod;
use zip::ZipArchive;
use zip::result::ZipError;

use crate::contents::Contents;
use crate::error::{Error, ErrorKind, Result};
use crate::files;
use crate::npy::{self, RawArray};
use crate::spec::{Options, Split};

/// Names of the array of images: those of any set, of a test set, of a training set.
const IMAGES: [&[&str]; 3] = [
    &["images", "x", "data"],
    &["x_test", "test_images"],
    &["x_train", "train_images"],
];

/// Names of the array of labels, likewise.
const LABELS: [&[&str]; 3] = [
    &["labels", "y"],
    &["y_test", "test_labels"],
    &["y_train", "train_labels"],
];

/// Opens the images of an npz file, with the labels beside them if there are any.
pub(crate) fn open(path: &Path, options: &Options) -> Result<Contents> {
    let (file, _) = files::open(path)?;
    let mut archive = ZipArchive::new(file).map_err(|e| match begins_like_zip(path) {
        Ok(false) => not_a_zip(path),
        _ => zip_error(e, path),
    })?;
    let mut names: Vec<String> = archive
        .file_names()
        .flatten()
        .filter_map(|name| name.strip_suffix(".npy").map(str::to_owned))
        .collect();
    names.sort_unstable();

    let Some(images) = choose(&names, &IMAGES, options.split).map_err(|e| e.with_path(path))?
    else {
        let message = format!(
            "no array is called {}; the file holds {}",
            list(wanted(&IMAGES, options.split)),
            list(&names),
        );
        return Err(Error::new(ErrorKind::Missing, message).with_path(path));
    };
    let (images, array_path) = read(&mut archive, images, path)?;
    let mut contents = Contents::new(images.into_images(&array_path)?);
    if options.labels.is_none()
        && let Some(labels) =
            choose(&names, &LABELS, options.split).map_err(|e| e.with_path(path))?
    {
        let (labels, array_path) = read(&mut archive, labels, path)?;
        contents.labels = Some(labels.to_labels(&array_path)?);
    }
    Ok(contents)
}

/// The names that an array may have for a split.
fn wanted(
    table: &[&'static [&'static str]; 3],
    split: Split,
) -> impl Iterator<Item = &'static str> {
    let split_names = match split {
        Split::Test => table[1],
        Split::Train => table[2],
    };
    table[0].iter().chain(split_names).copied()
}

/// The one name of the file that is wanted; two would leave open which is meant.
fn choose<'a>(
    names: &'a [String],
    table: &[&'static [&'static str]; 3],
    split: Split,
) -> Result<Option<&'a str>> {
    let found: Vec<&str> = wanted(table, split)
        .filter_map(|wanted| names.iter().find(|name| name.eq_ignore_ascii_case(wanted)))
        .map(String::as_str)
        .collect();
    match found[..] {
        [] => Ok(None),
        [name] => Ok(Some(name)),
        _ => Err(Error::new(
            ErrorKind::Corrupt,
            format!(
                "the arrays {} could all be meant; store only one of them",
                list(found)
            ),
        )),
    }
}

/// Reads one array; the path returned with it names it in messages.
fn read<R: Read + Seek>(
    archive: &mut ZipArchive<R>,
    name: &str,
    path: &Path,
) -> Result<(RawArray, PathBuf)> {
    let array_path = path.join(format!("{name}.npy"));
    let mut entry = archive
        .by_name(&format!("{name}.npy"))
        .map_err(|e| zip_error(e, &array_path))?;
    // The length that the archive states of compressed data is not trusted, so none is passed on.
    // That of stored data is a length of the file.
    let stored = entry.compression() == CompressionMethod::Stored;
    let length = stored.then(|| entry.size());
    let array = npy::read(&mut entry, length, &array_path)?;
    Ok((array, array_path))
}

/// Whether a file begins as zip files do, with an entry or with the end of none.
pub(crate) fn begins_like_zip(path: &Path) -> Result<bool> {
    let begin = files::beginning(path, 4)?;
    Ok([b"PK\x03\x04", b"PK\x05\x06"]
        .iter()
        .any(|magic| begin == *magic))
}

fn not_a_zip(path: &Path) -> Error {
    let message = "this is no zip file, which every npz file is; give an npz file, or leave \
                   'npz:' out to have the format recognised";
    Error::new(ErrorKind::Corrupt, message).with_path(path)
}

fn zip_error(e: ZipError, path: &Path) -> Error {
    let error = match e {
        ZipError::Io(_) => Error::new(ErrorKind::Corrupt, "the zip file ends too early"),
        ZipError::UnsupportedArchive(_) => Error::new(
            ErrorKind::Unsupported,
            "this kind of zip file is not read; store it with numpy.savez or savez_compressed",
        ),
        _ => Error::new(
            ErrorKind::Corrupt,
            "the zip file is damaged; copy or download it again",
        ),
    };
    error.with_path(path).with_source(e)
}

/// Names in quotes, for messages.
fn list<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> String {
    let names: Vec<_> = names
        .into_iter()
        .map(|name| format!("'{}'", name.as_ref()))
        .collect();
    if names.is_empty() {
        "no array".to_owned()
    } else {
        names.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_are_chosen_by_name_and_split() {
        let names = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        let keras = names(&["x_test", "x_train", "y_test", "y_train"]);
        let choose_images =
            |names: &[String], split| choose(names, &IMAGES, split).map(|n| n.map(str::to_owned));
        let table = [
            (&keras[..], Split::Test, Some("x_test")),
            (&keras[..], Split::Train, Some("x_train")),
            (&names(&["data"]), Split::Train, Some("data")),
            (&names(&["arr_0"]), Split::Test, None),
        ];
        for (names, split, expected) in table {
            let found = choose_images(names, split).unwrap();
            assert_eq!(found.as_deref(), expected, "{names:?}");
        }
        let both = choose_images(&names(&["images", "x"]), Split::Test).unwrap_err();
        assert_eq!(both.to_string().matches('\'').count(), 4, "{both}");
    }
}
