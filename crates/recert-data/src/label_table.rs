//! Labels as text: one a line, or a table with a column of labels, or one-hot columns.
//!
//! Columns are separated by commas, tabs, semicolons or, where there are none of these, by
//! blanks. A first line with a word for labels among its fields is a header. Without one, a
//! table of two columns names images, or numbers them, in its first column and has their
//! labels in the second; a table of more has to be one-hot.

use std::collections::HashMap;
use std::path::Path;

use csv::{ReaderBuilder, StringRecord, Trim};

use crate::error::{Error, ErrorKind, Result};
use crate::files;
use crate::labels::{RawLabels, one_hot};

/// Words that name the column of labels in a header.
const LABEL_WORDS: [&str; 9] = [
    "label",
    "labels",
    "class",
    "class_id",
    "classid",
    "category",
    "target",
    "y",
    "fine_label",
];

/// Words that name the column of images in a header.
const IMAGE_WORDS: [&str; 9] = [
    "filename",
    "file_name",
    "file",
    "image",
    "path",
    "name",
    "id",
    "imageid",
    "index",
];

/// Whether the beginning of a file is that of a text, cut anywhere.
pub(crate) fn is_text(begin: &[u8]) -> bool {
    let valid = match std::str::from_utf8(begin) {
        Ok(_) => true,
        Err(e) => e.error_len().is_none(),
    };
    let control = |b: &u8| *b < b' ' && !matches!(b, b'\n' | b'\r' | b'\t');
    valid && !begin.is_empty() && !begin.iter().any(control)
}

/// What separates the columns of a text, by its first line.
pub(crate) fn delimiter(text: &str) -> u8 {
    let line = text.trim_start().lines().next().unwrap_or_default();
    let candidates = [b',', b'\t', b';', b' '];
    let found = candidates
        .into_iter()
        .find(|&b| line.trim().contains(char::from(b)));
    found.unwrap_or(b',')
}

/// Reads a text of labels, one per image.
pub(crate) fn read(path: &Path, names: Option<&[String]>) -> Result<RawLabels> {
    let text = files::read_text(path)?;
    parse(&text, names).map_err(|e| e.with_path(path))
}

fn parse(text: &str, names: Option<&[String]>) -> Result<RawLabels> {
    let text = text.trim_start_matches('\u{feff}').trim();
    let mut rows = rows(text)?;
    let is_word = |field: &str, words: &[&str]| words.iter().any(|w| field.eq_ignore_ascii_case(w));
    let header = rows
        .first()
        .filter(|(_, row)| row.iter().any(|field| is_word(field, &LABEL_WORDS)))
        .map(|(_, row)| row.clone());
    if header.is_some() {
        rows.remove(0);
    }
    let Some((_, first)) = rows.first() else {
        return Err(Error::new(ErrorKind::Empty, "holds no label"));
    };
    let width = first.len();
    for (line, row) in &rows {
        if row.len() != width {
            let message = format!(
                "line {line} has {} columns, and the first row {width}; give every image one row",
                row.len()
            );
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
    }
    if header.is_none()
        && let Some(labels) = one_hot_rows(&rows, width)
    {
        return Ok(labels.into());
    }
    let (label, key) = match &header {
        Some(header) => {
            let column = |words| header.iter().position(|field| is_word(field, words));
            let label = column(&LABEL_WORDS).unwrap_or(0);
            if label >= width {
                let message = format!(
                    "has labels in column {}, by its first line, and rows of {width} columns; give \
                     every row as many columns as there are names",
                    label + 1
                );
                return Err(Error::new(ErrorKind::Corrupt, message));
            }
            let key = column(&IMAGE_WORDS).or((width == 2).then_some(1 - label));
            (label, key.filter(|key| *key != label))
        }
        None if width == 1 => (0, None),
        None if width == 2 => (1, Some(0)),
        None => {
            let message = format!(
                "has {width} columns, no header that names the one of labels ('label'), and rows \
                 that are not one-hot; write two columns, image and label, or one label a line"
            );
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
    };
    let order = match key {
        Some(key) => order_by_key(&rows, key, names)?,
        None => (0..rows.len()).collect(),
    };
    let values = || {
        order
            .iter()
            .map(|&row| rows[row].1.get(label).unwrap_or_default())
    };
    if let Some(place) = values().position(str::is_empty) {
        let line = rows[order[place]].0;
        return Err(Error::new(
            ErrorKind::Label,
            format!("line {line} has no label"),
        ));
    }
    let numbers: Option<Vec<i64>> = values().map(whole).collect();
    Ok(match numbers {
        Some(numbers) => numbers.into(),
        None => RawLabels::Names(values().map(str::to_owned).collect()),
    })
}

/// The rows of a text and the lines that they begin on, from 1.
fn rows(text: &str) -> Result<Vec<(u64, StringRecord)>> {
    let delimiter = delimiter(text);
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(Trim::All)
        .delimiter(delimiter)
        .from_reader(text.as_bytes());
    let rows = reader.records().map(|row| {
        let row = row.map_err(|e| Error::new(ErrorKind::Corrupt, "is no table").with_source(e))?;
        let line = row.position().map_or(0, csv::Position::line);
        Ok((line, row))
    });
    rows.collect()
}

/// The classes of one-hot rows; a table of image numbers and labels may look like two rows.
fn one_hot_rows(rows: &[(u64, StringRecord)], width: usize) -> Option<Vec<i64>> {
    if width < 2 || (width == 2 && rows.len() <= 2) {
        return None;
    }
    let classes = rows.iter().map(|(_, row)| {
        let values: Option<Vec<f64>> = row.iter().map(|field| field.parse().ok()).collect();
        one_hot(values?)
    });
    classes.collect()
}

/// A whole number, also where it is written with a decimal point.
fn whole(field: &str) -> Option<i64> {
    let digits = field
        .split_once('.')
        .filter(|(_, zeros)| zeros.bytes().all(|b| b == b'0'))
        .map_or(field, |(digits, _)| digits);
    digits.parse().ok()
}

/// The rows in the order of the images: by their names, or as they are where the keys count
/// the images from 0 or 1.
fn order_by_key(
    rows: &[(u64, StringRecord)],
    key: usize,
    names: Option<&[String]>,
) -> Result<Vec<usize>> {
    let keys = || rows.iter().map(|(_, row)| row.get(key).unwrap_or_default());
    let counts = |from: i64| keys().zip(from..).all(|(key, i)| whole(key) == Some(i));
    if counts(0) || counts(1) {
        return Ok((0..rows.len()).collect());
    }
    let Some(names) = names else {
        let message = "its first column neither counts the images, from 0 or 1, nor can it name \
                       them, because this data has no names; write one label a line";
        return Err(Error::new(ErrorKind::Label, message));
    };
    let mut row_of = HashMap::new();
    for (i, name) in keys().enumerate() {
        if row_of.insert(name, i).is_some() {
            let message = format!("line {} repeats the image '{name}'", rows[i].0);
            return Err(Error::new(ErrorKind::Label, message));
        }
    }
    // Rows may name images by their path in the set, or by the last part of it where that is
    // not the name of several.
    let mut last_parts: HashMap<&str, usize> = HashMap::new();
    for name in names {
        *last_parts.entry(last_part(name)).or_default() += 1;
    }
    let order = names.iter().map(|name| {
        let last = last_part(name);
        let by_last = || row_of.get(last).filter(|_| last_parts[last] == 1);
        row_of
            .get(name.as_str())
            .or_else(by_last)
            .copied()
            .ok_or_else(|| {
                let message = format!("has no row for the image '{name}'");
                Error::new(ErrorKind::Label, message)
            })
    });
    order.collect()
}

fn last_part(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn numbers(text: &str) -> Option<Vec<i64>> {
        match parse(text, None) {
            Ok(RawLabels::Numbers(numbers)) => Some(numbers),
            _ => None,
        }
    }

    #[test]
    fn numbers_are_read_from_every_kind_of_table() {
        let table: [(&str, &[i64]); 10] = [
            ("3\n4\n", &[3, 4]),
            ("\u{feff}label\r\n3\r\n4\r\n", &[3, 4]),
            ("3.0\n4.00\n-1\n", &[3, 4, -1]),
            ("0,7\n1,8\n", &[7, 8]),
            ("ImageId,Label\n1,7\n2,8\n", &[7, 8]),
            ("label;index\n7;0\n8;1\n", &[7, 8]),
            ("0,0,1\n1,0,0\n", &[2, 0]),
            ("0.0\t1.0\n1.0\t0.0\n0.0\t1.0\n", &[1, 0, 1]),
            ("0 5\n1 6", &[5, 6]),
            // Two images, not two one-hot rows.
            ("0,1\n1,0\n", &[1, 0]),
        ];
        for (text, expected) in table {
            assert_eq!(numbers(text).as_deref(), Some(expected), "{text:?}");
        }
    }

    #[test]
    fn names_of_columns_that_rows_lack_are_an_error() {
        // The second was found by a fuzzer.
        for text in [
            "a,b,label\n3,4\n",
            "immage,la!age,label\n0,",
            "a;b;class\n1\n",
        ] {
            let error = parse(text, None).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{text:?}");
            assert!(error.to_string().contains("in column 3"), "{error}");
        }
    }

    #[test]
    fn rows_may_name_the_images_in_any_order() {
        let names = ["a/x.png", "a/y.png", "b/y.png"].map(str::to_owned);
        let text = "b/y.png,2\nx.png,0\na/y.png,1\nunused.png,9\n";
        let found = parse(text, Some(&names)).unwrap();
        assert_eq!(found, RawLabels::Numbers(vec![0, 1, 2]));
        let text = "file,class\nx.png,cat\ny.png,dog\n";
        let error = parse(text, Some(&names)).unwrap_err();
        assert!(error.to_string().contains("'a/y.png'"), "{error}");
        let found = parse(text, Some(&names[..2])).unwrap();
        assert_eq!(found, RawLabels::Names(vec!["cat".into(), "dog".into()]));
    }

    #[test]
    fn tables_that_leave_labels_open_are_refused_with_the_line() {
        let table = [
            ("", "no label"),
            ("label\n", "no label"),
            ("1\n2,3\n", "line 2 has 2 columns"),
            ("1,2,3\n4,5,6\n", "no header that names"),
            ("a,1\nb,2\n", "has no names"),
            ("0,1\n1,\n", "line 2 has no label"),
        ];
        for (text, part) in table {
            let error = parse(text, None).unwrap_err();
            assert!(error.to_string().contains(part), "{text:?}: {error}");
        }
        let names = ["a".to_owned()];
        let error = parse("a,1\na,2\n", Some(&names)).unwrap_err();
        assert!(error.to_string().contains("line 2 repeats"), "{error}");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[0-9a-z,;\t \"\n.-]{0,80}") {
            let names = ["a".to_owned(), "b/a".to_owned()];
            let _ = (parse(&text, None), parse(&text, Some(&names)));
        }
    }
}
