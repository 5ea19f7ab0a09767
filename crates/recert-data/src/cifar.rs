//! What the layouts of CIFAR-10 and CIFAR-100 share: names of files and classes, sizes, labels.

use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};
use crate::files;
use crate::pixels::Shape;
use crate::spec::Split;

/// Every image of CIFAR.
pub(crate) const SHAPE: Shape = Shape {
    channels: 3,
    height: 32,
    width: 32,
};

/// Bytes of pixels per image, red, green, blue plane, row by row.
pub(crate) const PIXELS: usize = 3 * 32 * 32;

/// One of the two data sets.
pub(crate) struct Set {
    pub(crate) name: &'static str,
    /// The key of the labels in a pickle.
    pub(crate) labels: &'static str,
    /// The bytes of labels that begin a binary record; the last one is the label of the class.
    pub(crate) label_bytes: usize,
    /// The classes in the order of their labels, as in `batches.meta` and `meta`.
    classes: &'static [&'static str],
}

impl Set {
    /// Bytes of a binary record: labels, then the pixels.
    pub(crate) fn record(&self) -> usize {
        self.label_bytes + PIXELS
    }

    /// Names of the classes.
    pub(crate) fn class_names(&self) -> Vec<String> {
        self.classes.iter().map(ToString::to_string).collect()
    }

    /// Refuses labels that are not those of a class.
    pub(crate) fn check_label(&self, label: i64, image: usize, path: &Path) -> Result<i64> {
        let last = self.classes.len() - 1;
        if (0..=last as i64).contains(&label) {
            Ok(label)
        } else {
            let message = format!(
                "label {label} of image {image} is not one of {}'s, 0 to {last}",
                self.name
            );
            Err(Error::new(ErrorKind::Label, message).with_path(path))
        }
    }
}

pub(crate) const CIFAR10: Set = Set {
    name: "CIFAR-10",
    labels: "labels",
    label_bytes: 1,
    classes: &[
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
    ],
};

pub(crate) const CIFAR100: Set = Set {
    name: "CIFAR-100",
    labels: "fine_labels",
    label_bytes: 2,
    #[rustfmt::skip]
    classes: &[
        "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle",
        "bottle", "bowl", "boy", "bridge", "bus", "butterfly", "camel", "can", "castle",
        "caterpillar", "cattle", "chair", "chimpanzee", "clock", "cloud", "cockroach", "couch",
        "crab", "crocodile", "cup", "dinosaur", "dolphin", "elephant", "flatfish", "forest", "fox",
        "girl", "hamster", "house", "kangaroo", "keyboard", "lamp", "lawn_mower", "leopard",
        "lion", "lizard", "lobster", "man", "maple_tree", "motorcycle", "mountain", "mouse",
        "mushroom", "oak_tree", "orange", "orchid", "otter", "palm_tree", "pear", "pickup_truck",
        "pine_tree", "plain", "plate", "poppy", "porcupine", "possum", "rabbit", "raccoon", "ray",
        "road", "rocket", "rose", "sea", "seal", "shark", "shrew", "skunk", "skyscraper", "snail",
        "snake", "spider", "squirrel", "streetcar", "sunflower", "sweet_pepper", "table", "tank",
        "telephone", "television", "tiger", "tractor", "train", "trout", "tulip", "turtle",
        "wardrobe", "whale", "willow_tree", "wolf", "woman", "worm",
    ],
};

/// The files of one layout of one set.
pub(crate) struct Batches {
    pub(crate) set: Set,
    /// The folder that the published archive unpacks to.
    folder: &'static str,
    test: &'static [&'static str],
    train: &'static [&'static str],
    /// Whether the files are pickles.
    pickled: bool,
}

pub(crate) const PYTHON: Batches = Batches {
    set: CIFAR10,
    folder: "cifar-10-batches-py",
    test: &["test_batch"],
    train: &[
        "data_batch_1",
        "data_batch_2",
        "data_batch_3",
        "data_batch_4",
        "data_batch_5",
    ],
    pickled: true,
};

pub(crate) const BINARY: Batches = Batches {
    set: CIFAR10,
    folder: "cifar-10-batches-bin",
    test: &["test_batch.bin"],
    train: &[
        "data_batch_1.bin",
        "data_batch_2.bin",
        "data_batch_3.bin",
        "data_batch_4.bin",
        "data_batch_5.bin",
    ],
    pickled: false,
};

pub(crate) const PYTHON_100: Batches = Batches {
    set: CIFAR100,
    folder: "cifar-100-python",
    test: &["test"],
    train: &["train"],
    pickled: true,
};

pub(crate) const BINARY_100: Batches = Batches {
    set: CIFAR100,
    folder: "cifar-100-binary",
    test: &["test.bin"],
    train: &["train.bin"],
    pickled: false,
};

impl Batches {
    fn names(&self, split: Split) -> &'static [&'static str] {
        match split {
            Split::Test => self.test,
            Split::Train => self.train,
        }
    }

    /// The folder with the batches, `path` itself or the usual folder inside it, and a file
    /// that it holds.
    fn locate(&self, path: &Path) -> Option<(PathBuf, PathBuf)> {
        let folders = [path.to_owned(), path.join(self.folder)];
        folders.into_iter().find_map(|folder| {
            [Split::Test, Split::Train].into_iter().find_map(|split| {
                let file = folder.join(self.names(split)[0]);
                file.is_file().then(|| (folder.clone(), file))
            })
        })
    }
}

/// Whether a folder, or the usual folder inside it, holds batches of a layout.
///
/// The names of CIFAR-100's files are everyone's (`test`), so what they hold counts as well.
pub(crate) fn holds_batches(path: &Path, batches: &Batches) -> bool {
    let Some((folder, file)) = batches.locate(path) else {
        return false;
    };
    if batches.set.label_bytes == 1 || folder.ends_with(batches.folder) {
        return true;
    }
    if batches.pickled {
        files::beginning(&file, 1).is_ok_and(|begin| begin == [0x80])
    } else {
        let length = std::fs::metadata(file).map_or(0, |metadata| metadata.len());
        length > 0 && length.is_multiple_of(batches.set.record() as u64)
    }
}

/// The files to read for a path: itself if it is a file, otherwise those of the split.
pub(crate) fn files(path: &Path, batches: &Batches, split: Split) -> Result<Vec<PathBuf>> {
    let metadata = std::fs::metadata(path).map_err(|e| Error::io(e, path))?;
    if !metadata.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let names = batches.names(split);
    let Some((folder, _)) = batches.locate(path) else {
        let message = format!(
            "neither the folder nor '{}' inside it holds {}",
            batches.folder, names[0]
        );
        return Err(Error::new(ErrorKind::Missing, message).with_path(path));
    };
    Ok(names.iter().map(|name| folder.join(name)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_set_has_its_classes_in_alphabetical_order() {
        for (set, count) in [(CIFAR10, 10), (CIFAR100, 100)] {
            assert_eq!(set.classes.len(), count, "{}", set.name);
            assert!(set.classes.is_sorted_by(|a, b| a < b), "{}", set.name);
        }
    }
}
