//! Tiny-ImageNet, whose validation images lie in one folder, with their classes in a text.
//!
//! `val_annotations.txt` has a line for each image: its file, its class (a wnid such as
//! n03444034) and a box, separated by tabs. Classes are numbered by a list of classes where
//! one is given; else as `wnids.txt` lists them, in the folder or above it, as the loaders of
//! its authors do; else in alphabetical order of the annotated ones. The order of `wnids.txt`
//! is not alphabetical: a network that was trained on the folders of `train` in alphabetical
//! order, as torchvision's `ImageFolder` takes them, needs a sorted list of classes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::contents::Contents;
use crate::error::{Error, ErrorKind, Result};
use crate::files;
use crate::folder;
use crate::labels;
use crate::spec::{Options, Split};

/// The file of annotations.
const ANNOTATIONS: &str = "val_annotations.txt";

/// The list of all classes.
const WNIDS: &str = "wnids.txt";

/// The folder of annotations: the path itself, or `val` in it.
fn annotated(path: &Path) -> Option<PathBuf> {
    [path.to_owned(), path.join("val")]
        .into_iter()
        .find(|folder| folder.join(ANNOTATIONS).exists())
}

/// Whether a folder is one of annotated images, or holds one called `val`.
pub(crate) fn holds_annotations(path: &Path) -> bool {
    annotated(path).is_some()
}

/// Opens the validation images, or those of the training set, in the folder of all.
pub(crate) fn open(path: &Path, options: &Options) -> Result<Contents> {
    let Some(folder) = annotated(path) else {
        let message = format!("neither the folder nor 'val' inside it holds {ANNOTATIONS}");
        return Err(Error::new(ErrorKind::Missing, message).with_path(path));
    };
    let wnids = [folder.join(WNIDS), folder.join("..").join(WNIDS)]
        .into_iter()
        .find(|file| file.exists());
    let list = options.classes.clone().or(wnids);
    if options.split == Split::Train {
        if folder == path {
            let message = "holds the validation images; the training set is in the folder above";
            return Err(Error::new(ErrorKind::Options, message).with_path(path));
        }
        let options = Options {
            classes: list,
            ..options.clone()
        };
        return folder::open(&path.join("train"), &options, false);
    }
    let annotations = folder.join(ANNOTATIONS);
    let class_of = read_annotations(&annotations)?;
    let names = folder::image_names(&folder)?;
    let mut classes_of_images = Vec::with_capacity(names.len());
    for name in &names {
        let file = name.rsplit('/').next().unwrap_or(name);
        let Some(class) = class_of.get(file) else {
            let message = format!("has no line for the image '{name}'");
            return Err(Error::new(ErrorKind::Label, message).with_path(annotations));
        };
        classes_of_images.push(class.clone());
    }
    let classes = if let Some(list) = &list {
        labels::read_classes(list)?
    } else {
        let mut classes: Vec<String> = class_of.into_values().collect();
        classes.sort_unstable();
        classes.dedup();
        classes
    };
    let numbers = labels::number(&classes_of_images, Some(&classes), list.as_deref())?;
    let mut contents = folder::open_names(&folder, names, options, false)?;
    contents.labels = Some(numbers.into());
    contents.class_names = Some(classes);
    Ok(contents)
}

/// The class of each file.
fn read_annotations(path: &Path) -> Result<HashMap<String, String>> {
    let text = files::read_text(path)?;
    let mut classes = HashMap::new();
    for (number, line) in text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
    {
        let mut fields = line.split_whitespace();
        let (Some(file), Some(class)) = (fields.next(), fields.next()) else {
            let message = format!("line {} names no class after the file", number + 1);
            return Err(Error::new(ErrorKind::Corrupt, message).with_path(path));
        };
        let before = classes.insert(file.to_owned(), class.to_owned());
        if before.is_some_and(|before| before != class) {
            let message = format!("line {} gives '{file}' a second class", number + 1);
            return Err(Error::new(ErrorKind::Corrupt, message).with_path(path));
        }
    }
    Ok(classes)
}
