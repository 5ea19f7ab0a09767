//! CIFAR-10 as torchvision keeps it: pickled dictionaries of a numpy array and lists.
//!
//! A batch has `data`, uint8 of [N, 3072], `labels`, N whole numbers, and
//! `filenames`, N names, which become the names of the images.

use std::path::Path;

use crate::cifar::{self, PIXELS, SHAPE};
use crate::contents::Contents;
use crate::error::{Error, ErrorKind, Result};
use crate::files;
use crate::pickle::{Array, Pickle};
use crate::spec::Options;
use crate::strided::Strided;

/// Opens a batch, or the batches of a folder.
pub(crate) fn open(path: &Path, options: &Options) -> Result<Contents> {
    let mut pixels = Vec::new();
    let mut labels = Vec::new();
    let mut names = Some(Vec::new());
    for file in cifar::files(path, &cifar::PYTHON, options.split)? {
        let bytes = files::read(&file)?;
        let batch = Batch::read(&bytes).map_err(|e| e.with_path(&file))?;
        for (i, &label) in batch.labels.iter().enumerate() {
            labels.push(cifar::check_label(label, i, &file)?);
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
    contents.labels = Some(labels);
    contents.class_names = Some(cifar::classes());
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
    fn read(bytes: &'a [u8]) -> Result<Self> {
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
        let labels = entry("labels")
            .and_then(|value| pickle.integers(value))
            .ok_or_else(|| {
                let hint = if entry("fine_labels").is_some() {
                    "; 'fine_labels' are those of CIFAR-100, which is not read: save it as npz"
                } else {
                    ""
                };
                corrupt(format!(
                    "the pickle has no entry 'labels' that is a list of whole numbers{hint}"
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
