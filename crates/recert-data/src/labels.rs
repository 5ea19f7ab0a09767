//! Labels: read from a separate file, and converted to class numbers.

use std::collections::HashMap;
use std::path::Path;

use crate::error::{Error, ErrorKind, Result};
use crate::{files, foreign, idx, label_table, npy, npy_header};

/// Labels as a file has them, one per image.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum RawLabels {
    Numbers(Vec<i64>),
    /// Names of classes, whose numbers only a list of all classes can tell.
    Names(Vec<String>),
}

impl RawLabels {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Numbers(numbers) => numbers.len(),
            Self::Names(names) => names.len(),
        }
    }
}

impl From<Vec<i64>> for RawLabels {
    fn from(numbers: Vec<i64>) -> Self {
        Self::Numbers(numbers)
    }
}

/// Reads a file of labels, one per image: npy, IDX, or text with or without columns.
///
/// `names` are those of the images, where they have any: a table may name its images.
pub(crate) fn read(path: &Path, names: Option<&[String]>) -> Result<RawLabels> {
    let begin = files::beginning_decompressed(path, 512)?;
    if begin.starts_with(npy_header::MAGIC) {
        npy::read_file(path)?.to_labels(path)
    } else if idx::is_labels(&begin) {
        Ok(idx::read_labels(path)?.into())
    } else if let Some(error) = foreign::refuse(path) {
        Err(error)
    } else if label_table::is_text(&begin) {
        label_table::read(path, names)
    } else {
        let message = "is neither an npy array, an IDX file nor a text of labels";
        Err(Error::new(ErrorKind::Unrecognised, message).with_path(path))
    }
}

/// Reads a list of classes: a text file of one name a line, numbered from 0.
pub(crate) fn read_classes(path: &Path) -> Result<Vec<String>> {
    let text = files::read_text(path)?;
    let classes: Vec<String> = text
        .trim_end()
        .lines()
        .map(|line| line.trim().to_owned())
        .collect();
    let mut seen = HashMap::new();
    for (number, class) in classes.iter().enumerate() {
        if class.is_empty() || seen.insert(class.as_str(), number).is_some() {
            let message = format!(
                "line {} is empty or repeats a class; each line names one class",
                number + 1
            );
            return Err(Error::new(ErrorKind::Corrupt, message).with_path(path));
        }
    }
    Ok(classes)
}

/// The numbers of named labels by a list of classes. Names that the list lacks are an error,
/// and names without a list too: those that occur need not be all, so their order says nothing
/// about the outputs of a network.
pub(crate) fn number(
    names: &[String],
    classes: Option<&[String]>,
    list: Option<&Path>,
) -> Result<Vec<i64>> {
    let Some(classes) = classes else {
        let mut distinct: Vec<&str> = names.iter().map(String::as_str).collect();
        distinct.sort_unstable();
        distinct.dedup();
        let shown: Vec<String> = distinct.iter().take(3).map(|n| format!("'{n}'")).collect();
        let more = if distinct.len() > 3 { ", .." } else { "" };
        let message = format!(
            "the labels are names ({}{more}), and which number a name has is not stated: write the \
             classes into a text file, one name a line in the order of the network's outputs, and \
             give it as the list of classes",
            shown.join(", ")
        );
        return Err(Error::new(ErrorKind::Label, message));
    };
    let numbers: HashMap<&str, i64> = classes.iter().map(String::as_str).zip(0..).collect();
    let labels = names.iter().enumerate().map(|(i, name)| {
        numbers.get(name.as_str()).copied().ok_or_else(|| {
            let message = format!("has no line for the label '{name}' of image {i}");
            let error = Error::new(ErrorKind::Label, message);
            match list {
                Some(list) => error.with_path(list),
                None => error,
            }
        })
    });
    labels.collect()
}

/// The class of a row of values of which one is 1 and all others are 0.
pub(crate) fn one_hot(row: impl IntoIterator<Item = f64>) -> Option<i64> {
    let mut class = None;
    for (i, value) in row.into_iter().enumerate() {
        if value == 1.0 {
            if class.replace(i as i64).is_some() {
                return None;
            }
        } else if value != 0.0 {
            return None;
        }
    }
    class
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
