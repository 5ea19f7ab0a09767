//! A data set: whatever its format, images and labels by number.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::contents::{Contents, Images};
use crate::error::{Error, ErrorKind, Result};
use crate::labels::RawLabels;
use crate::pixels::{Image, Shape};
use crate::spec::{DataSpec, Format, Options};
use crate::{
    cifar, cifar_binary, cifar_python, csv_pixels, detect, folder, foreign, idx, labels, npy, npz,
    parquet, svhn, tiny_imagenet,
};

/// An open data set of at least one image.
///
/// Images are numbered from 0 in the order in which the files hold them; these
/// numbers are the `idx` of logs and ledgers. All images have the same shape.
/// Arrays are held in memory as the bytes of their file; image folders are read
/// file by file when an image is asked for, and image files in Parquet by row groups. A data set may be shared by threads.
pub struct Dataset {
    format: Format,
    path: PathBuf,
    images: Box<dyn Images>,
    labels: Option<Vec<u32>>,
    label_offset: i64,
    class_names: Option<Vec<String>>,
    names: Option<Arc<[String]>>,
}

impl Dataset {
    /// Opens a data set; the format is recognised by content unless `spec` forces one.
    ///
    /// Everything that can be wrong with labels, sizes and pixels is found here,
    /// except in image files, also those in Parquet, which are read only when asked for.
    ///
    /// ```
    /// use recert_data::{DataSpec, Dataset, ErrorKind, Format, Options};
    ///
    /// let spec: DataSpec = "../../assets/demo/shapes-test.npz".parse()?;
    /// let data = Dataset::open(&spec, &Options::default())?;
    /// assert_eq!(data.format(), Format::Npz);
    /// assert_eq!(data.len(), 500);
    /// assert_eq!(data.shape().to_string(), "3x32x32");
    ///
    /// let missing: DataSpec = "no/such/folder".parse()?;
    /// let error = Dataset::open(&missing, &Options::default()).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Missing);
    /// # Ok::<(), recert_data::Error>(())
    /// ```
    pub fn open(spec: &DataSpec, options: &Options) -> Result<Self> {
        let path = &spec.path;
        let format = match spec.format {
            Some(format) => format,
            None => detect::recognise(path)?,
        };
        if !format.may_hold_files() {
            refuse_file_options(format, options).map_err(|e| e.with_path(path))?;
        }
        let contents = match format {
            Format::Cifar10Python => cifar_python::open(path, &cifar::PYTHON, options),
            Format::Cifar10Binary => cifar_binary::open(path, &cifar::BINARY, options),
            Format::Cifar100Python => cifar_python::open(path, &cifar::PYTHON_100, options),
            Format::Cifar100Binary => cifar_binary::open(path, &cifar::BINARY_100, options),
            Format::Svhn => svhn::open(path, options),
            Format::TinyImageNet => tiny_imagenet::open(path, options),
            Format::Idx => idx::open(path, options),
            Format::ImageFolder => folder::open(path, options, false),
            Format::GreyFolder => folder::open(path, options, true),
            Format::Npy => npy::open(path),
            Format::Npz => npz::open(path, options),
            Format::Parquet => parquet::open(path, options),
            Format::Csv => csv_pixels::open(path),
        }
        .map_err(|e| foreign::explain(e.with_path(path)))?;
        Self::from_contents(format, path, contents, options).map_err(|e| e.with_path(path))
    }

    fn from_contents(
        format: Format,
        path: &Path,
        contents: Contents,
        options: &Options,
    ) -> Result<Self> {
        let len = contents.images.len();
        if len == 0 {
            return Err(Error::new(ErrorKind::Empty, "holds no image"));
        }
        if len as u64 > 1 << 32 {
            let message = format!("{len} images are too many; their numbers have 32 bits");
            return Err(Error::new(ErrorKind::Shape, message));
        }
        // The numbers in a file of labels need not be those of the format's
        // classes, so the names of these are not carried over.
        let (found, mut class_names) = match &options.labels {
            Some(file) => {
                let found = labels::read(file, contents.names.as_deref());
                (
                    Some(found.map_err(|e| foreign::explain(e.with_path(file)))?),
                    None,
                )
            }
            None => (contents.labels, contents.class_names),
        };
        if let Some(found) = &found
            && found.len() != len
        {
            let message = format!("{len} images have {} labels", found.len());
            return Err(Error::new(ErrorKind::Label, message));
        }
        let list = options.classes.as_deref();
        let found = match found {
            Some(RawLabels::Names(names)) => {
                let classes = list.map(labels::read_classes).transpose()?;
                let numbers = labels::number(&names, classes.as_deref(), list)
                    .map_err(|e| e.with_path(options.labels.as_deref().unwrap_or(path)))?;
                class_names = classes;
                Some(numbers)
            }
            Some(RawLabels::Numbers(_)) | None if list.is_some() && !format.is_files() => {
                let message = format!(
                    "'classes' is for image folders and for labels that are names; this data is \
                     read as {format}, and its labels are not names"
                );
                return Err(Error::new(ErrorKind::Options, message));
            }
            Some(RawLabels::Numbers(numbers)) => Some(numbers),
            None => None,
        };
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
            images: contents.images,
            labels,
            label_offset: offset,
            class_names,
            names: contents.names,
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
        self.images.len()
    }

    /// Always false: opening a data set without images is an error.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The shape of every image.
    pub fn shape(&self) -> Shape {
        self.images.shape()
    }

    /// The label of image `i`, offset included; `None` without labels or without such an image.
    ///
    /// ```
    /// use recert_data::{DataSpec, Dataset, Options};
    ///
    /// let spec: DataSpec = "../../assets/demo/shapes-test.npz".parse()?;
    /// let data = Dataset::open(&spec, &Options::default())?;
    /// assert_eq!(data.label(0), Some(8));
    /// assert_eq!(data.label(500), None);
    ///
    /// // For a network whose class 0 is "background".
    /// let options = Options { label_offset: 1, ..Options::default() };
    /// assert_eq!(Dataset::open(&spec, &options)?.label(0), Some(9));
    /// # Ok::<(), recert_data::Error>(())
    /// ```
    pub fn label(&self, i: u32) -> Option<u32> {
        self.labels.as_ref()?.get(i as usize).copied()
    }

    /// Names of the classes, where the format has them.
    ///
    /// They are in the order of the format's own labels, before
    /// [`Options::label_offset`] is added; [`class_name`](Self::class_name)
    /// subtracts the offset again.
    pub fn class_names(&self) -> Option<&[String]> {
        self.class_names.as_deref()
    }

    /// Name of the class of image `i`, where the format has names.
    ///
    /// ```
    /// use recert_data::{DataSpec, Dataset, Options};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("test_batch.bin");
    /// # std::fs::write(&path, vec![3_u8; 3073])?;
    /// # let path = path.display();
    /// // CIFAR-10 records, the first of a cat.
    /// let spec: DataSpec = format!("cifar10-bin:{path}").parse()?;
    /// let data = Dataset::open(&spec, &Options::default())?;
    /// assert_eq!(data.label(0), Some(3));
    /// assert_eq!(data.class_name(0), Some("cat"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn class_name(&self, i: u32) -> Option<&str> {
        let class = i64::from(self.label(i)?).checked_sub(self.label_offset)?;
        let names = self.class_names.as_ref()?;
        names.get(usize::try_from(class).ok()?).map(String::as_str)
    }

    /// Name of image `i`: its path inside an image folder, with forward slashes,
    /// or the file name that CIFAR's python batches give it. Other formats
    /// have no names.
    ///
    /// ```
    /// use recert_data::{DataSpec, Dataset, Options};
    ///
    /// let spec: DataSpec = "folder:tests/golden/mode_l.png".parse()?;
    /// let data = Dataset::open(&spec, &Options::default())?;
    /// assert_eq!(data.name(0).as_deref(), Some("mode_l.png"));
    /// # Ok::<(), recert_data::Error>(())
    /// ```
    pub fn name(&self, i: u32) -> Option<String> {
        self.names.as_ref()?.get(i as usize).cloned()
    }

    /// Image `i`.
    ///
    /// It is an error ([`ErrorKind::Index`]) if there is no such image, and in an
    /// image folder if the file cannot be decoded or has another shape than the
    /// first.
    ///
    /// ```
    /// use recert_data::{DataSpec, Dataset, Grid, Options};
    ///
    /// let spec: DataSpec = "../../assets/demo/shapes-test.npz".parse()?;
    /// let image = Dataset::open(&spec, &Options::default())?.image(7)?;
    /// assert_eq!(image.shape.to_string(), "3x32x32");
    /// assert_eq!(image.grid, Grid::EightBit);
    /// assert!(image.pixels.iter().all(|pixel| (0.0..=1.0).contains(pixel)));
    /// # Ok::<(), recert_data::Error>(())
    /// ```
    pub fn image(&self, i: u32) -> Result<Image> {
        let index = i as usize;
        if index >= self.len() {
            let message = format!("there is no image {i}; the set has {}", self.len());
            return Err(Error::new(ErrorKind::Index, message).with_path(&self.path));
        }
        self.images.image(index)
    }
}

impl fmt::Debug for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dataset")
            .field("format", &self.format)
            .field("path", &self.path)
            .field("len", &self.len())
            .field("shape", &self.shape())
            .field("labelled", &self.labels.is_some())
            .finish_non_exhaustive()
    }
}

/// Refuses options that would have no effect.
fn refuse_file_options(format: Format, options: &Options) -> Result<()> {
    let given = [
        ("resize", options.resize.is_some()),
        ("crop", options.crop.is_some()),
    ];
    match given.into_iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((name, _)) => Err(Error::new(
            ErrorKind::Options,
            format!("'{name}' is for image folders; this data is read as {format}"),
        )),
    }
}
