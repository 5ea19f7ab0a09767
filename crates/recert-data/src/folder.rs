//! Folders of image files, one folder per class, as torchvision's `ImageFolder`.
//!
//! Classes are the folders in the order of their names, and images are sorted
//! by their folder and then by name; both orders compare code
//! points. Hidden files and folders, other files, and files beside the folders
//! of classes are not read. A folder that holds images but no folders with
//! images is a set without labels. So is one with a single folder of images, whatever it is
//! called: that it is a class is not stated, and a label 0 for every image would be a guess.
//! A list of classes that names the folder states it.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::contents::{Contents, Images};
use crate::decode;
use crate::error::{Error, ErrorKind, Result};
use crate::labels;
use crate::pixels::{Image, Shape};
use crate::prepare::Prepare;
use crate::spec::Options;

/// File names that are read.
const READ: [&str; 5] = ["bmp", "jpeg", "jpg", "png", "webp"];

/// Names of image files that this crate does not read.
const NOT_READ: [&str; 5] = ["gif", "pgm", "ppm", "tif", "tiff"];

/// Names of the splits of a data set, each of which has folders of classes.
const SPLITS: [&str; 5] = ["test", "train", "val", "valid", "validation"];

/// Deepest nesting of folders; a link that points back would have no end.
const DEEPEST: usize = 16;

/// An open folder of images.
struct Folder {
    root: PathBuf,
    /// Paths of the images inside the root, with forward slashes.
    names: Arc<[String]>,
    prepare: Prepare,
    /// The shape of the first image, and so of all.
    shape: Shape,
}

/// Opens a folder, or a single image as a set of one; `grey` makes one channel of them.
pub(crate) fn open(path: &Path, options: &Options, grey: bool) -> Result<Contents> {
    let metadata = fs::metadata(path).map_err(|e| Error::io(e, path))?;
    let listing = if metadata.is_dir() {
        Listing::from_folder(path)?
    } else {
        Listing::from_file(path)?
    };
    let labels = match &options.classes {
        Some(file) if listing.classes.is_some() || options.labels.is_none() => {
            Some(Labels::by_file(&listing, file)?)
        }
        _ => Labels::by_order(&listing),
    };
    let mut contents = open_names(&listing.root.clone(), listing.names, options, grey)?;
    if let Some(labels) = labels {
        contents.labels = Some(labels.labels.into());
        contents.class_names = Some(labels.classes);
    }
    Ok(contents)
}

/// Opens images by their paths inside a folder, without labels.
pub(crate) fn open_names(
    root: &Path,
    names: Vec<String>,
    options: &Options,
    grey: bool,
) -> Result<Contents> {
    let images = Folder::new(root, names, options, grey)?;
    let names = Arc::clone(&images.names);
    let mut contents = Contents::new(images);
    contents.names = Some(names);
    Ok(contents)
}

/// Paths of all images anywhere inside a folder, in order; it is an error if there is none.
pub(crate) fn image_names(root: &Path) -> Result<Vec<String>> {
    let names = images_below(root, "")?;
    if names.is_empty() {
        return Err(Error::new(ErrorKind::Empty, "the folder holds no image").with_path(root));
    }
    Ok(names)
}

/// Whether there is an image anywhere inside a folder.
pub(crate) fn holds_images(path: &Path) -> Result<bool> {
    let mut found = false;
    walk(path, "", 0, &mut |_, _| {
        found = true;
        false
    })?;
    Ok(found)
}

impl Folder {
    fn new(root: &Path, names: Vec<String>, options: &Options, grey: bool) -> Result<Self> {
        let prepare = Prepare::new(options, grey)?;
        let first = root.join(&names[0]);
        let shape = prepare.shape(|| decode::dimensions(&first));
        Ok(Self {
            shape: shape.map_err(|e| e.with_path(&first))?,
            root: root.to_owned(),
            names: names.into(),
            prepare,
        })
    }
}

impl Images for Folder {
    fn len(&self) -> usize {
        self.names.len()
    }

    fn shape(&self) -> Shape {
        self.shape
    }

    /// Reads, decodes, scales and crops the file.
    fn image(&self, index: usize) -> Result<Image> {
        let path = self.root.join(&self.names[index]);
        let image = decode::decode(&path)?;
        let image = self.prepare.image(image, self.shape);
        image.map_err(|e| e.with_path(&path))
    }
}

/// The files of a folder, in order.
struct Listing {
    root: PathBuf,
    names: Vec<String>,
    /// Names of the folders of classes in order, and how many images each holds;
    /// `None` for a folder without classes.
    classes: Option<Vec<(String, usize)>>,
}

impl Listing {
    fn from_file(path: &Path) -> Result<Self> {
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| not_utf8(path))?.to_owned();
        Ok(Self {
            root: path.parent().unwrap_or(Path::new("")).to_owned(),
            names: vec![name],
            classes: None,
        })
    }

    fn from_folder(root: &Path) -> Result<Self> {
        let entries = entries(root)?;
        let mut names = Vec::new();
        let mut classes = Vec::new();
        for class in entries.iter().filter(|entry| entry.is_dir) {
            let images = images_below(&root.join(&class.name), &class.name)?;
            classes.push((class.name.clone(), images.len()));
            names.extend(images);
        }
        if names.is_empty() {
            return Self::without_classes(root, &entries);
        }
        if classes.iter().all(|(name, _)| SPLITS.contains(&&**name)) {
            refuse_splits(root, &names, &classes)?;
        }
        if let Some((empty, _)) = classes.iter().find(|(_, images)| *images == 0) {
            let message = "the folder of this class holds no image, so labels would be uncertain; \
                           fill it or remove it";
            return Err(Error::new(ErrorKind::Empty, message).with_path(root.join(empty)));
        }
        Ok(Self {
            root: root.to_owned(),
            names,
            classes: Some(classes),
        })
    }

    fn without_classes(root: &Path, entries: &[Entry]) -> Result<Self> {
        let mut names = Vec::new();
        for entry in entries.iter().filter(|entry| !entry.is_dir) {
            match kind(&entry.name) {
                Kind::Read => names.push(entry.name.clone()),
                Kind::NotRead => return Err(not_read(&root.join(&entry.name))),
                Kind::Other => {}
            }
        }
        if names.is_empty() {
            let message = "the folder holds no image; PNG, JPEG, WebP and BMP files are read, \
                           one folder per class or all in one";
            return Err(Error::new(ErrorKind::Empty, message).with_path(root));
        }
        Ok(Self {
            root: root.to_owned(),
            names,
            classes: None,
        })
    }
}

/// Labels of all images, and the classes that they number.
struct Labels {
    labels: Vec<i64>,
    classes: Vec<String>,
}

impl Labels {
    /// Numbers classes as their folders are sorted.
    fn by_order(listing: &Listing) -> Option<Self> {
        let classes = listing
            .classes
            .as_ref()
            .filter(|classes| classes.len() > 1)?;
        let labels = classes
            .iter()
            .enumerate()
            .flat_map(|(label, (_, images))| std::iter::repeat_n(label as i64, *images))
            .collect();
        Some(Self {
            labels,
            classes: classes.iter().map(|(name, _)| name.clone()).collect(),
        })
    }

    /// Numbers classes by the lines of a text file.
    fn by_file(listing: &Listing, file: &Path) -> Result<Self> {
        let Some(folders) = &listing.classes else {
            let message = "a list of classes needs folders of classes, and there are none";
            return Err(Error::new(ErrorKind::Options, message).with_path(&listing.root));
        };
        let classes = labels::read_classes(file)?;
        let numbers: HashMap<&str, i64> = classes.iter().map(String::as_str).zip(0..).collect();
        let mut labels = Vec::with_capacity(listing.names.len());
        for (folder, images) in folders {
            let Some(&number) = numbers.get(folder.as_str()) else {
                let message = format!("has no line for the folder '{folder}'");
                return Err(Error::new(ErrorKind::Label, message).with_path(file));
            };
            labels.extend(std::iter::repeat_n(number, *images));
        }
        Ok(Self { labels, classes })
    }
}

/// A visible file or folder in a folder.
struct Entry {
    name: String,
    is_dir: bool,
}

/// The visible entries of a folder, sorted by name; links are followed.
fn entries(folder: &Path) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(|e| Error::io(e, folder))? {
        let entry = entry.map_err(|e| Error::io(e, folder))?;
        let path = entry.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            return Err(not_utf8(&path));
        };
        if name.starts_with('.') {
            continue;
        }
        // The type comes with the entry; only for links is another look needed.
        let mut kind = entry.file_type().map_err(|e| Error::io(e, &path))?;
        if kind.is_symlink() {
            let target = fs::metadata(&path).map_err(|e| Error::io(e, &path))?;
            kind = target.file_type();
        }
        entries.push(Entry {
            name: name.to_owned(),
            is_dir: kind.is_dir(),
        });
    }
    entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

/// Calls `visit` for every image file below a folder, with the path of its
/// folder and its name, until that returns false.
fn walk(
    folder: &Path,
    name: &str,
    depth: usize,
    visit: &mut dyn FnMut(&str, String) -> bool,
) -> Result<bool> {
    if depth > DEEPEST {
        let message = format!("folders nest more than {DEEPEST} deep; a link may point back");
        return Err(Error::new(ErrorKind::Unsupported, message).with_path(folder));
    }
    for entry in entries(folder)? {
        let path = folder.join(&entry.name);
        let go_on = if entry.is_dir {
            let name = match name {
                "" => entry.name,
                _ => format!("{name}/{}", entry.name),
            };
            walk(&path, &name, depth + 1, visit)?
        } else {
            match kind(&entry.name) {
                Kind::Read => visit(name, entry.name),
                Kind::NotRead => return Err(not_read(&path)),
                Kind::Other => true,
            }
        };
        if !go_on {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Paths of all images below the folder of a class, in torchvision's order: by
/// the whole path of their folder, then by name.
fn images_below(folder: &Path, class: &str) -> Result<Vec<String>> {
    let mut images = Vec::new();
    walk(folder, class, 1, &mut |folder, name| {
        images.push((folder.to_owned(), name));
        true
    })?;
    images.sort_unstable();
    let paths = images.into_iter();
    Ok(paths
        .map(|(folder, name)| match &*folder {
            "" => name,
            _ => format!("{folder}/{name}"),
        })
        .collect())
}

/// Refuses a folder of `train` and `val`, whose classes are one level deeper.
fn refuse_splits(root: &Path, names: &[String], classes: &[(String, usize)]) -> Result<()> {
    if names.iter().any(|name| name.matches('/').count() < 2) {
        // Images directly in a folder: it is a class with such a name.
        return Ok(());
    }
    let list: Vec<_> = classes
        .iter()
        .map(|(name, _)| format!("'{name}'"))
        .collect();
    let message = format!(
        "the folder holds {} instead of classes; choose one of them",
        list.join(", ")
    );
    Err(Error::new(ErrorKind::Unrecognised, message).with_path(root))
}

/// What a file is by the end of its name.
enum Kind {
    Read,
    NotRead,
    Other,
}

fn kind(name: &str) -> Kind {
    let extension = Path::new(name).extension().and_then(|e| e.to_str());
    let is_one_of =
        |list: &[&str]| extension.is_some_and(|e| list.iter().any(|l| e.eq_ignore_ascii_case(l)));
    if is_one_of(&READ) {
        Kind::Read
    } else if is_one_of(&NOT_READ) {
        Kind::NotRead
    } else {
        Kind::Other
    }
}

fn not_read(path: &Path) -> Error {
    let message = "images of this format are not read; convert them to PNG";
    Error::new(ErrorKind::Unsupported, message).with_path(path)
}

fn not_utf8(path: &Path) -> Error {
    let message = "the name is not valid UTF-8; rename it";
    Error::new(ErrorKind::Unsupported, message).with_path(path)
}
