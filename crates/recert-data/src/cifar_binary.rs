//! CIFAR-10 binary records: a byte of label, then 3072 bytes of pixels.
//!
//! The layout is the one of <https://www.cs.toronto.edu/~kriz/cifar.html>.

use std::path::Path;

use crate::cifar::{self, RECORD, SHAPE};
use crate::contents::Contents;
use crate::error::{Error, ErrorKind, Result};
use crate::files;
use crate::spec::Options;
use crate::strided::Strided;

/// Opens a file of records, or the batches of a folder.
pub(crate) fn open(path: &Path, options: &Options) -> Result<Contents> {
    let mut records = Vec::new();
    let mut labels = Vec::new();
    for file in cifar::files(path, &cifar::BINARY, options.split)? {
        let bytes = files::read(&file)?;
        if bytes.is_empty() {
            return Err(Error::new(ErrorKind::Empty, "holds no image").with_path(file));
        }
        let (whole, rest) = (bytes.len() / RECORD, bytes.len() % RECORD);
        if rest != 0 {
            let expected = (whole as u128 + 1) * RECORD as u128;
            let error = Error::length(expected, bytes.len()).with_path(file);
            return Err(error.with_source(format!(
                "the last record has {rest} of the {RECORD} bytes of a label and an image"
            )));
        }
        for (i, record) in bytes.chunks_exact(RECORD).enumerate() {
            labels.push(cifar::check_label(i64::from(record[0]), i, &file)?);
        }
        if records.is_empty() {
            records = bytes;
        } else {
            records.extend_from_slice(&bytes);
        }
    }
    let images = Strided::from_records(path, records, 1, SHAPE);
    let mut contents = Contents::new(images);
    contents.labels = Some(labels);
    contents.class_names = Some(cifar::classes());
    Ok(contents)
}
