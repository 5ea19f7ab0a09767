//! What CIFAR-10's two layouts share: names of files and classes, sizes, labels.

use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};
use crate::pixels::Shape;
use crate::spec::Split;

/// Every image of CIFAR-10.
pub(crate) const SHAPE: Shape = Shape {
    channels: 3,
    height: 32,
    width: 32,
};

/// Bytes of pixels per image, red, green, blue plane, row by row.
pub(crate) const PIXELS: usize = 3 * 32 * 32;

/// Bytes of a binary record: a label, then the pixels.
pub(crate) const RECORD: usize = 1 + PIXELS;

/// The classes in the order of their labels, as in `batches.meta`.
const CLASSES: [&str; 10] = [
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
];

/// The files of one layout.
pub(crate) struct Batches {
    /// The folder that the published archive unpacks to.
    folder: &'static str,
    suffix: &'static str,
}

pub(crate) const PYTHON: Batches = Batches {
    folder: "cifar-10-batches-py",
    suffix: "",
};

pub(crate) const BINARY: Batches = Batches {
    folder: "cifar-10-batches-bin",
    suffix: ".bin",
};

impl Batches {
    fn names(&self, split: Split) -> Vec<String> {
        match split {
            Split::Test => vec![format!("test_batch{}", self.suffix)],
            Split::Train => (1..=5)
                .map(|number| format!("data_batch_{number}{}", self.suffix))
                .collect(),
        }
    }

    /// The folder with the batches: `path` itself or the usual folder inside it.
    fn locate(&self, path: &Path) -> Option<PathBuf> {
        let folders = [path.to_owned(), path.join(self.folder)];
        folders.into_iter().find(|folder| {
            [Split::Test, Split::Train]
                .into_iter()
                .any(|split| folder.join(&self.names(split)[0]).is_file())
        })
    }
}

/// Whether a folder, or the usual folder inside it, holds batches of a layout.
pub(crate) fn holds_batches(path: &Path, batches: &Batches) -> bool {
    batches.locate(path).is_some()
}

/// The files to read for a path: itself if it is a file, otherwise those of the split.
pub(crate) fn files(path: &Path, batches: &Batches, split: Split) -> Result<Vec<PathBuf>> {
    let metadata = std::fs::metadata(path).map_err(|e| Error::io(e, path))?;
    if !metadata.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let names = batches.names(split);
    let Some(folder) = batches.locate(path) else {
        let message = format!(
            "neither the folder nor '{}' inside it holds {}",
            batches.folder, names[0]
        );
        return Err(Error::new(ErrorKind::Missing, message).with_path(path));
    };
    Ok(names.iter().map(|name| folder.join(name)).collect())
}

/// Names of the classes.
pub(crate) fn classes() -> Vec<String> {
    CLASSES.map(str::to_owned).to_vec()
}

/// Refuses labels that are not 0 to 9.
pub(crate) fn check_label(label: i64, image: usize, path: &Path) -> Result<i64> {
    if (0..10).contains(&label) {
        Ok(label)
    } else {
        let message = format!("label {label} of image {image} is not one of CIFAR-10's, 0 to 9");
        Err(Error::new(ErrorKind::Label, message).with_path(path))
    }
}
