//! CIFAR's binary records: a byte of label, or of CIFAR-100 one of the superclass and one of
//! the class, then 3072 bytes of pixels.
//!
//! The layout is the one of <https://www.cs.toronto.edu/~kriz/cifar.html>.

use std::path::Path;

use crate::cifar::{self, Batches, SHAPE};
use crate::contents::Contents;
use crate::error::{Error, ErrorKind, Result};
use crate::files;
use crate::spec::Options;
use crate::strided::Strided;

/// The superclasses of CIFAR-100.
const SUPERCLASSES: u8 = 20;

/// Opens a file of records, or the batches of a folder.
pub(crate) fn open(path: &Path, batches: &Batches, options: &Options) -> Result<Contents> {
    let set = &batches.set;
    let size = set.record();
    let mut records = Vec::new();
    let mut labels = Vec::new();
    for file in cifar::files(path, batches, options.split)? {
        let bytes = files::read(&file)?;
        if bytes.is_empty() {
            return Err(Error::new(ErrorKind::Empty, "holds no image").with_path(file));
        }
        let (whole, rest) = (bytes.len() / size, bytes.len() % size);
        if rest != 0 {
            let expected = (whole as u128 + 1) * size as u128;
            let error = Error::length(expected, bytes.len()).with_path(file);
            return Err(error.with_source(format!(
                "the last record has {rest} of the {size} bytes of {}'s labels and an image",
                set.name
            )));
        }
        for (i, record) in bytes.chunks_exact(size).enumerate() {
            let (label, superclass) = split_labels(&record[..set.label_bytes]);
            if superclass.is_some_and(|number| number >= SUPERCLASSES) {
                let message = format!(
                    "superclass {} of image {i} is not one of {}'s, 0 to {}",
                    record[0],
                    set.name,
                    SUPERCLASSES - 1
                );
                return Err(Error::new(ErrorKind::Label, message).with_path(&file));
            }
            labels.push(set.check_label(i64::from(label), i, &file)?);
        }
        if records.is_empty() {
            records = bytes;
        } else {
            records.extend_from_slice(&bytes);
        }
    }
    let images = Strided::from_records(path, records, set.label_bytes, SHAPE);
    let mut contents = Contents::new(images);
    contents.labels = Some(labels.into());
    contents.class_names = Some(set.class_names());
    Ok(contents)
}

/// The label of the class, which is the last, and that of the superclass, if there is one.
fn split_labels(bytes: &[u8]) -> (u8, Option<u8>) {
    match bytes {
        [superclass, label] => (*label, Some(*superclass)),
        _ => (bytes[0], None),
    }
}

/// Whether every record of a file of CIFAR-100's length has labels that CIFAR-100 has.
pub(crate) fn is_cifar100(path: &Path) -> Result<bool> {
    let bytes = files::read(path)?;
    let mut records = bytes.chunks_exact(cifar::CIFAR100.record());
    Ok(records.all(|record| record[0] < SUPERCLASSES && record[1] < 100))
}
