//! Labels: read from a separate file, and converted to class numbers.

use std::path::Path;

use crate::error::{Error, ErrorKind, Result};
use crate::{files, idx, npy, npy_header};

/// Reads a file of labels, one per image: npy integers, or IDX bytes.
pub(crate) fn read(path: &Path) -> Result<Vec<i64>> {
    let begin = files::beginning_decompressed(path, npy_header::MAGIC.len())?;
    if begin.starts_with(npy_header::MAGIC) {
        npy::read_file(path)?.to_labels(path)
    } else if idx::is_labels(&begin) {
        idx::read_labels(path)
    } else {
        let message = "is neither an npy array nor an IDX file of labels";
        Err(Error::new(ErrorKind::Unrecognised, message).with_path(path))
    }
}

/// Adds the offset to every label; the sums are class numbers from 0 to 2^32 - 1.
pub(crate) fn shift(labels: &[i64], offset: i64) -> Result<Vec<u32>> {
    let shifted = labels.iter().enumerate().map(|(i, &label)| {
        let sum = label.checked_add(offset);
        sum.and_then(|sum| u32::try_from(sum).ok()).ok_or_else(|| {
            let message = if offset == 0 {
                format!("label {label} of image {i} is not the number of a class")
            } else {
                format!("label {label} of image {i} plus {offset} is not the number of a class")
            };
            Error::new(ErrorKind::Label, message)
        })
    });
    shifted.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_keep_labels_in_range_or_are_refused() {
        assert_eq!(shift(&[0, 9], 1).unwrap(), [1, 10]);
        assert_eq!(shift(&[1, 10], -1).unwrap(), [0, 9]);
        assert_eq!(shift(&[i64::from(u32::MAX)], 0).unwrap(), [u32::MAX]);
        for (labels, offset) in [
            ([3, 0], -1),
            ([0, -1], 0),
            ([0, i64::MAX], 1),
            ([0, i64::from(u32::MAX)], 1),
        ] {
            let error = shift(&labels, offset).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Label);
            assert!(error.to_string().contains("image 1"), "{error}");
        }
    }
}
