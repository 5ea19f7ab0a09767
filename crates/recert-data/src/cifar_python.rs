//! CIFAR as torchvision keeps it: pickled dictionaries of a numpy array and lists.
//!
//! A batch has `data`, uint8 of [N, 3072], `labels` (of CIFAR-100 `fine_labels`), N whole
//! numbers, and `filenames`, N names, which become the names of the images.

use std::path::Path;

use crate::cifar::{self, Batches, PIXELS, SHAPE, Set};
use crate::contents::Contents;
use crate::error::{Error, ErrorKind, Result};
use crate::files;
use crate::pickle::{Array, Pickle};
use crate::spec::Options;
use crate::strided::Strided;

/// Opens a batch, or the batches of a folder.
pub(crate) fn open(path: &Path, batches: &Batches, options: &Options) -> Result<Contents> {
    let set = &batches.set;
    let mut pixels = Vec::new();
    let mut labels = Vec::new();
    let mut names = Some(Vec::new());
    for file in cifar::files(path, batches, options.split)? {
        let bytes = files::read(&file)?;
        let batch = Batch::read(&bytes, set).map_err(|e| e.with_path(&file))?;
        for (i, &label) in batch.labels.iter().enumerate() {
            labels.push(set.check_label(label, i, &file)?);
        }
        batch.append_pixels(&mut pixels);
        // Names are of use only if every image has one.
        match (&mut names, batch.names) {
            (Some(all), Some(more)) => all.extend(more),
            _ => names = None,
        }
    }
    let images = Strided::from_records(path, pixels, 0, SHAPE);
    let mut contents = Contents::new(images);
    contents.labels = Some(labels.into());
    contents.class_names = Some(set.class_names());
    contents.names = names.map(Into::into);
    Ok(contents)
}

/// One pickled batch.
struct Batch<'a> {
    data: Array<'a>,
    labels: Vec<i64>,
    names: Option<Vec<String>>,
}

impl<'a> Batch<'a> {
    fn read(bytes: &'a [u8], set: &Set) -> Result<Self> {
        let pickle = Pickle::parse(bytes)?;
        let entry = |key: &str| pickle.entry(key.as_bytes());
        let corrupt = |message: String| Error::new(ErrorKind::Corrupt, message);

        let data = entry("data")
            .and_then(|value| pickle.array(value))
            .ok_or_else(|| {
                corrupt("the pickle has no entry 'data' that is a numpy array".into())
            })?;
        let [len, width] = data.dims[..] else {
            return Err(corrupt(format!(
                "'data' has {} dimensions, not 2",
                data.dims.len()
            )));
        };
        if width != PIXELS as u64 || data.element != *b"u1" {
            return Err(corrupt(format!(
                "'data' has rows of {width} elements of type '{}', not of {PIXELS} of 'u1'",
                String::from_utf8_lossy(data.element)
            )));
        }
        if len == 0 {
            return Err(Error::new(ErrorKind::Empty, "holds no image"));
        }
        let expected = u128::from(len) * PIXELS as u128;
        if data.bytes.len() as u128 != expected {
            return Err(Error::length(expected, data.bytes.len()));
        }
        let labels = entry(set.labels)
            .and_then(|value| pickle.integers(value))
            .ok_or_else(|| {
                let hint = if entry(cifar::CIFAR100.labels).is_some() {
                    "; it has the 'fine_labels' of CIFAR-100: put 'cifar100:' before the path"
                } else if entry(cifar::CIFAR10.labels).is_some() {
                    "; it has the 'labels' of CIFAR-10: put 'cifar10:' before the path"
                } else {
                    ""
                };
                corrupt(format!(
                    "the pickle has no entry '{}' that is a list of whole numbers{hint}",
                    set.labels
                ))
            })?;
        if labels.len() as u64 != len {
            let message = format!("{len} images have {} labels", labels.len());
            return Err(Error::new(ErrorKind::Label, message));
        }
        let names = entry("filenames")
            .and_then(|value| pickle.strings(value))
            .filter(|names| names.len() == labels.len());
        Ok(Self {
            data,
            labels,
            names,
        })
    }

    /// Appends the pixels image by image.
    fn append_pixels(&self, pixels: &mut Vec<u8>) {
        let bytes = self.data.bytes;
        if self.data.fortran {
            let len = self.labels.len();
            pixels.extend((0..len * PIXELS).map(|i| bytes[i % PIXELS * len + i / PIXELS]));
        } else {
            pixels.extend_from_slice(bytes);
        }
    }
}

/// Whether a pickle is a batch of CIFAR-100.
pub(crate) fn is_cifar100(path: &Path) -> Result<bool> {
    let bytes = files::read(path)?;
    Ok(Pickle::parse(&bytes)
        .is_ok_and(|pickle| pickle.entry(cifar::CIFAR100.labels.as_bytes()).is_some()))
}
