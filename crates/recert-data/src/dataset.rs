//! A data set: whatever its format, images and labels by number.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::folder::Folder;
use crate::strided::Strided;
use crate::{
    DataSpec, Error, ErrorKind, Format, Image, Options, Result, Shape, cifar_binary, cifar_python,
    detect, folder, idx, labels, npy, npz,
};

/// An open data set of at least one image.
///
/// Images are numbered from 0 in the order in which the files hold them; these
/// numbers are the `idx` of logs and ledgers. All images have the same shape.
/// Arrays are held in memory as the bytes of their file; image folders are read
/// file by file when an image is asked for. A data set may be shared by threads.
pub struct Dataset {
    format: Format,
    path: PathBuf,
    source: Source,
    shape: Shape,
    labels: Option<Vec<u32>>,
    label_offset: i64,
    class_names: Option<Vec<String>>,
    names: Option<Vec<String>>,
}

/// Where images come from.
pub(crate) enum Source {
    Array(Strided),
    Folder(Folder),
}

/// What the reader of a format finds.
pub(crate) struct Parts {
    pub(crate) source: Source,
    /// Labels as the file has them, one an image.
    pub(crate) labels: Option<Vec<i64>>,
    /// Names of the classes in the order of those labels.
    pub(crate) class_names: Option<Vec<String>>,
    /// Names of the images, if the source itself does not know them.
    pub(crate) names: Option<Vec<String>>,
}

impl Parts {
    pub(crate) fn new(source: Source) -> Self {
        Self {
            source,
            labels: None,
            class_names: None,
            names: None,
        }
    }
}

impl Dataset {
    /// Opens a data set; the format is recognised by content unless `spec` forces one.
    ///
    /// Everything that can be wrong with labels, sizes and pixels is found here,
    /// except in image folders, whose files are read only when asked for.
    pub fn open(spec: &DataSpec, options: &Options) -> Result<Self> {
        let path = &spec.path;
        let format = match spec.format {
            Some(format) => format,
            None => detect::recognise(path)?,
        };
        if format != Format::ImageFolder {
            refuse_folder_options(format, options).map_err(|e| e.at(path))?;
        }
        let parts = match format {
            Format::Cifar10Python => cifar_python::open(path, options),
            Format::Cifar10Binary => cifar_binary::open(path, options),
            Format::Idx => idx::open(path, options),
            Format::ImageFolder => folder::open(path, options),
            Format::Npy => npy::open(path),
            Format::Npz => npz::open(path, options),
        }?;
        Self::from_parts(format, path, parts, options).map_err(|e| e.at(path))
    }

    fn from_parts(format: Format, path: &Path, parts: Parts, options: &Options) -> Result<Self> {
        let (len, shape) = match &parts.source {
            Source::Array(images) => (images.len(), images.shape()),
            Source::Folder(images) => (images.len(), images.shape()),
        };
        if len == 0 {
            return Err(Error::new(ErrorKind::Empty, "holds no image"));
        }
        if len as u64 > 1 << 32 {
            let message = format!("{len} images are too many; their numbers have 32 bits");
            return Err(Error::new(ErrorKind::Shape, message));
        }
        // The numbers in a file of labels need not be those of the format's
        // classes, so the names of these are not carried over.
        let (found, class_names) = match &options.labels {
            Some(file) => (Some(labels::read(file)?), None),
            None => (parts.labels, parts.class_names),
        };
        if let Some(found) = &found
            && found.len() != len
        {
            let message = format!("{len} images have {} labels", found.len());
            return Err(Error::new(ErrorKind::Label, message));
        }
        let offset = options.label_offset;
        let labels = match found {
            Some(found) => Some(labels::shift(&found, offset)?),
            None if offset != 0 => {
                let message =
                    format!("a label offset of {offset} needs labels, and there are none");
                return Err(Error::new(ErrorKind::Options, message));
            }
            None => None,
        };
        Ok(Self {
            format,
            path: path.to_owned(),
            source: parts.source,
            shape,
            labels,
            label_offset: offset,
            class_names,
            names: parts.names,
        })
    }

    /// The format, recognised or forced.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The path that was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Number of images, from 1 to 2^32.
    pub fn len(&self) -> usize {
        match &self.source {
            Source::Array(images) => images.len(),
            Source::Folder(images) => images.len(),
        }
    }

    /// Always false: a data set without images is an error at its opening.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The shape of every image.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The label of image `i`, offset included; `None` without labels or without such an image.
    pub fn label(&self, i: u32) -> Option<u32> {
        self.labels.as_ref()?.get(i as usize).copied()
    }

    /// Names of the classes, where the format has them.
    ///
    /// They stand in the order of the format's own labels, before
    /// [`Options::label_offset`]; [`class_name`](Self::class_name) takes care of that.
    pub fn class_names(&self) -> Option<&[String]> {
        self.class_names.as_deref()
    }

    /// Name of the class of image `i`, where the format has names.
    pub fn class_name(&self, i: u32) -> Option<&str> {
        let class = i64::from(self.label(i)?).checked_sub(self.label_offset)?;
        let names = self.class_names.as_ref()?;
        names.get(usize::try_from(class).ok()?).map(String::as_str)
    }

    /// Name of image `i`: its path inside an image folder, with forward slashes,
    /// or its file name as CIFAR-10's python batches state it.
    pub fn name(&self, i: u32) -> Option<String> {
        let i = i as usize;
        match &self.source {
            Source::Folder(images) => images.name(i).map(str::to_owned),
            Source::Array(_) => self.names.as_ref()?.get(i).cloned(),
        }
    }

    /// Image `i`.
    ///
    /// It is an error if there is no such image, and in an image folder if the
    /// file cannot be decoded or has another shape than the first.
    pub fn image(&self, i: u32) -> Result<Image> {
        let at = i as usize;
        if at >= self.len() {
            let message = format!("there is no image {i}; the set has {}", self.len());
            return Err(Error::new(ErrorKind::Index, message).at(&self.path));
        }
        match &self.source {
            Source::Array(images) => images.image(at),
            Source::Folder(images) => images.image(at),
        }
    }
}

impl fmt::Debug for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dataset")
            .field("format", &self.format)
            .field("path", &self.path)
            .field("len", &self.len())
            .field("shape", &self.shape)
            .field("labelled", &self.labels.is_some())
            .finish_non_exhaustive()
    }
}

/// An option without effect would be a surprise, so it is refused.
fn refuse_folder_options(format: Format, options: &Options) -> Result<()> {
    let given = [
        ("resize", options.resize.is_some()),
        ("crop", options.crop.is_some()),
        ("classes", options.classes.is_some()),
    ];
    match given.into_iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((name, _)) => Err(Error::new(
            ErrorKind::Options,
            format!("'{name}' is for image folders; this data is read as {format}"),
        )),
    }
}
