//! What to open and how: the data spec as people type it, formats and options.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::error::{Error, ErrorKind, Result};

/// A format of image data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// Torchvision's `cifar-10-batches-py`: pickles of numpy arrays.
    Cifar10Python,
    /// CIFAR-10 binary records: a byte of label and 3072 bytes of pixels each.
    Cifar10Binary,
    /// Torchvision's `cifar-100-python`: pickles of numpy arrays; the fine labels are read.
    Cifar100Python,
    /// CIFAR-100 binary records: the bytes of the coarse and of the fine label, of which the
    /// fine one is read, and 3072 bytes of pixels each.
    Cifar100Binary,
    /// SVHN's cropped digits: MAT files of `X` and `y`, whose label 10 becomes 0.
    Svhn,
    /// Tiny-ImageNet: a folder of images with `val_annotations.txt`, or that of the whole set.
    TinyImageNet,
    /// IDX as of MNIST, Fashion-MNIST, KMNIST and EMNIST, plain or compressed by gzip.
    Idx,
    /// PNG, JPEG, WebP and BMP files, one folder per class, or one folder without classes;
    /// three channels.
    ImageFolder,
    /// The same files in one channel, as Pillow's `convert("L")` makes it. Only a prefix
    /// chooses this.
    GreyFolder,
    /// One numpy array.
    Npy,
    /// A zip file of numpy arrays.
    Npz,
    /// Parquet: a row of an image file or of lists of pixels per image, and a label, or a folder
    /// of such files.
    Parquet,
    /// A text of a row of comma-separated pixels per image, the label first or no labels.
    Csv,
}

impl Format {
    /// All formats, in the order in which messages list them.
    pub const ALL: [Self; 13] = [
        Self::Cifar10Python,
        Self::Cifar10Binary,
        Self::Cifar100Python,
        Self::Cifar100Binary,
        Self::Svhn,
        Self::TinyImageNet,
        Self::Idx,
        Self::ImageFolder,
        Self::GreyFolder,
        Self::Npy,
        Self::Npz,
        Self::Parquet,
        Self::Csv,
    ];

    /// What forces this format in a [`DataSpec`], without the colon.
    ///
    /// ```
    /// assert_eq!(recert_data::Format::Cifar10Binary.prefix(), "cifar10-bin");
    /// ```
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Cifar10Python => "cifar10",
            Self::Cifar10Binary => "cifar10-bin",
            Self::Cifar100Python => "cifar100",
            Self::Cifar100Binary => "cifar100-bin",
            Self::Svhn => "svhn",
            Self::TinyImageNet => "tiny-imagenet",
            Self::Idx => "idx",
            Self::ImageFolder => "folder",
            Self::GreyFolder => "grey",
            Self::Npy => "npy",
            Self::Npz => "npz",
            Self::Parquet => "parquet",
            Self::Csv => "csv",
        }
    }

    /// Whether the data are image files, which may be scaled and cropped.
    pub(crate) fn is_files(self) -> bool {
        matches!(
            self,
            Self::ImageFolder | Self::GreyFolder | Self::TinyImageNet
        )
    }

    /// Whether there may be image files in the data.
    pub(crate) fn may_hold_files(self) -> bool {
        self.is_files() || self == Self::Parquet
    }

    /// A list of formats and prefixes for messages about unknown formats.
    pub(crate) fn list(formats: impl IntoIterator<Item = Self>) -> String {
        let list: Vec<_> = formats
            .into_iter()
            .map(|format| format!("'{}:' ({format})", format.prefix()))
            .collect();
        list.join(", ")
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cifar10Python => "CIFAR-10 python batches",
            Self::Cifar10Binary => "CIFAR-10 binary records",
            Self::Cifar100Python => "CIFAR-100 python batches",
            Self::Cifar100Binary => "CIFAR-100 binary records",
            Self::Svhn => "SVHN, MAT files",
            Self::TinyImageNet => "Tiny-ImageNet",
            Self::Idx => "IDX",
            Self::ImageFolder => "image folder",
            Self::GreyFolder => "image folder, greyscale",
            Self::Npy => "npy",
            Self::Npz => "npz",
            Self::Parquet => "Parquet",
            Self::Csv => "rows of pixels",
        })
    }
}

impl FromStr for Format {
    type Err = Error;

    /// Reads a prefix such as `cifar10-bin`, without the colon; `mat` is another word for
    /// `svhn`, and `gray` for `grey`.
    fn from_str(prefix: &str) -> Result<Self> {
        let prefix = match prefix {
            "mat" => "svhn",
            "gray" => "grey",
            prefix => prefix,
        };
        let known = Self::ALL.into_iter().find(|f| f.prefix() == prefix);
        known.ok_or_else(|| {
            Error::new(
                ErrorKind::Unrecognised,
                format!(
                    "no format is called '{prefix}'; there are {}",
                    Self::list(Self::ALL)
                ),
            )
        })
    }
}

/// Where data is, and in which format if that is not left to recognition.
///
/// Parsed from `path` or `format:path`. A text that names an existing file or
/// folder is a path even if it begins like a format, and the letter of a
/// Windows drive is not a format.
///
/// ```
/// use recert_data::{DataSpec, Format};
///
/// let spec: DataSpec = "idx:mnist/raw".parse()?;
/// assert_eq!(spec.format, Some(Format::Idx));
/// assert_eq!(spec.path.to_str(), Some("mnist/raw"));
/// assert_eq!(r"C:\data\mnist".parse::<DataSpec>()?.format, None);
/// assert!("mnist:raw".parse::<DataSpec>().is_err());
/// # Ok::<(), recert_data::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DataSpec {
    /// The format, or `None` to recognise it by the contents of the path.
    pub format: Option<Format>,
    /// A file or a folder.
    pub path: PathBuf,
}

impl FromStr for DataSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.is_empty() {
            return Err(Error::new(
                ErrorKind::Missing,
                "the path of the data is empty",
            ));
        }
        let plain = |format, path: &str| Self {
            format,
            path: PathBuf::from(path),
        };
        if Path::new(text).exists() {
            return Ok(plain(None, text));
        }
        match text.split_once(':') {
            Some((prefix, path)) if looks_like_format(prefix) => {
                let format: Format = prefix.parse()?;
                if path.is_empty() {
                    return Err(Error::new(
                        ErrorKind::Missing,
                        format!("no path follows '{prefix}:'"),
                    ));
                }
                Ok(plain(Some(format), path))
            }
            _ => Ok(plain(None, text)),
        }
    }
}

/// Whether the text before a colon is meant as a format: words of two letters
/// or more, joined by hyphens. One letter is a Windows drive.
fn looks_like_format(prefix: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    prefix.len() > 1 && prefix.chars().all(is_word)
}

impl fmt::Display for DataSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(format) = self.format {
            write!(f, "{}:", format.prefix())?;
        }
        write!(f, "{}", self.path.display())
    }
}

impl From<PathBuf> for DataSpec {
    /// A path whose format is to be recognised.
    fn from(path: PathBuf) -> Self {
        Self { format: None, path }
    }
}

/// Which half of a data set to read, where it has both.
///
/// The split chooses among the files of a CIFAR-10 or IDX folder and among the arrays
/// of an npz file. A path that names a single file or array is read whatever the split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Split {
    /// The test set.
    #[default]
    Test,
    /// The training set.
    Train,
}

/// How to read a data set; the default changes nothing.
///
/// ```
/// use recert_data::{Options, Split};
///
/// // A folder of images, prepared as for most networks trained on ImageNet.
/// let options = Options { resize: Some(256), crop: Some(224), ..Options::default() };
/// assert_eq!(options.split, Split::Test);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// The test or the training set.
    pub split: Split,
    /// Image files only: scales the shorter side to this many pixels, exactly
    /// as torchvision's `Resize` does with Pillow's antialiased bilinear filter.
    pub resize: Option<u32>,
    /// Image files only: cuts the central square of this side, after resizing,
    /// exactly as torchvision's `CenterCrop`, which pads smaller images with black.
    pub crop: Option<u32>,
    /// A number to add to every label, whichever file it comes from: 1 for a
    /// network whose class 0 is "background".
    pub label_offset: i64,
    /// Labels to use in place of the format's own, one per image in the order of the images:
    /// an npy file (numbers, one-hot rows or names), an IDX file of labels, or a text: a label
    /// a line, or a table (comma, tab, semicolon or blank) of one-hot rows, or of a column
    /// that counts the images or names them, and one of labels.
    pub labels: Option<PathBuf>,
    /// A text file of the names of classes, one per line; the label of a class is then the
    /// number of its line, from 0. For image folders, whose folders it names: needed where the
    /// folder holds only some of the classes, such as a part of `ImageNet` (`wnids.txt`). And
    /// for labels that are names, whose numbers nothing else states.
    pub classes: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specs_are_read_as_people_write_them() {
        let table = [
            ("data/x.npy", None, "data/x.npy"),
            ("cifar10:a", Some(Format::Cifar10Python), "a"),
            ("cifar10-bin:a.bin", Some(Format::Cifar10Binary), "a.bin"),
            ("idx:/m/raw", Some(Format::Idx), "/m/raw"),
            (r"folder:C:\val", Some(Format::ImageFolder), r"C:\val"),
            ("npy:x:y", Some(Format::Npy), "x:y"),
            ("npz:x", Some(Format::Npz), "x"),
            ("svhn:x.mat", Some(Format::Svhn), "x.mat"),
            ("cifar100:x", Some(Format::Cifar100Python), "x"),
            ("tiny-imagenet:x", Some(Format::TinyImageNet), "x"),
            ("grey:x", Some(Format::GreyFolder), "x"),
            (r"C:\data", None, r"C:\data"),
            ("d:data", None, "d:data"),
            ("./npy:x", None, "./npy:x"),
            ("a b:c", None, "a b:c"),
        ];
        for (text, format, path) in table {
            let spec: DataSpec = text.parse().unwrap();
            assert_eq!(spec.format, format, "{text}");
            assert_eq!(spec.path, Path::new(path), "{text}");
            assert_eq!(spec.to_string(), text);
        }
    }

    #[test]
    fn an_existing_path_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("npy:x");
        // Such a name cannot be made on every system.
        if std::fs::write(&path, b"x").is_ok() && path.exists() {
            let spec: DataSpec = path.to_str().unwrap().parse().unwrap();
            assert_eq!(spec, DataSpec::from(path));
        }
    }

    #[test]
    fn wrong_specs_say_what_there_is() {
        for text in ["mnist:raw", "CIFAR10:x", "no_such:"] {
            let error = text.parse::<DataSpec>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unrecognised, "{text}");
            assert!(error.to_string().contains("'cifar10-bin:'"), "{error}");
        }
        for text in ["", "npy:"] {
            let error = text.parse::<DataSpec>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Missing, "{text}");
        }
    }
}
