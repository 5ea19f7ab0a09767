//! Parquet as Hugging Face's data sets come, written by pyarrow (`tests/golden/make_parquet.py`).

use std::path::{Path, PathBuf};

use crate::support::{Temp, bytes, golden, open, open_as, open_with};
use recert_data::{Dataset, ErrorKind, Format, Options, Split};

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/parquet")
        .join(name)
}

/// The bytes of image `n` of the script, channel by channel.
fn drawn(n: usize, [channels, height, width]: [usize; 3]) -> Vec<u8> {
    let mut all = Vec::new();
    for c in 0..channels {
        for y in 0..height {
            all.extend((0..width).map(|x| ((y + 2 * x + 64 * c + 40 * n) % 256) as u8));
        }
    }
    all
}

fn labels(data: &Dataset) -> Vec<Option<u32>> {
    (0..data.len() as u32).map(|i| data.label(i)).collect()
}

#[test]
fn image_files_are_read_by_row_groups_in_any_order() {
    let data = open(&path("colour.parquet")).unwrap();
    assert_eq!((data.format(), data.len()), (Format::Parquet, 5));
    assert_eq!(data.shape().to_string(), "3x6x5");
    assert_eq!(labels(&data), [3, 0, 2, 2, 1].map(Some));
    for i in [4, 0, 1, 3, 2, 2, 4] {
        assert_eq!(
            bytes(&data.image(i as u32).unwrap()),
            drawn(i, [3, 6, 5]),
            "{i}"
        );
    }
    let options = Options {
        crop: Some(4),
        ..Options::default()
    };
    let data = open_with(&path("colour.parquet"), &options).unwrap();
    assert_eq!(data.image(3).unwrap().shape.to_string(), "3x4x4");
}

#[test]
fn a_folder_is_read_by_its_parts() {
    let data = open(&path("")).unwrap();
    assert_eq!(labels(&data), [3, 0, 2, 2, 1].map(Some));
    for i in 0..5 {
        assert_eq!(
            bytes(&data.image(i as u32).unwrap()),
            drawn(i, [3, 6, 5]),
            "{i}"
        );
    }
    let options = Options {
        split: Split::Train,
        ..Options::default()
    };
    let train = open_with(&path(""), &options).unwrap();
    assert_eq!((train.len(), train.label(0)), (1, Some(1)));
    // In a folder `data`, as repositories have it, one part alone, and none of the split.
    let temp = Temp::new();
    let part = golden("parquet/test-00001-of-00002.parquet");
    temp.write("set/data/validation-00000.parquet", &part);
    assert_eq!(open(&temp.path().join("set")).unwrap().len(), 2);
    temp.write("set/data/other.parquet", &part);
    let error = open_with(&temp.path().join("set"), &options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing, "{error}");
    assert!(error.to_string().contains("train"), "{error}");
}

#[test]
fn a_missing_part_or_split_is_named() {
    let part = golden("parquet/test-00001-of-00002.parquet");
    for (names, said) in [
        (
            &["test-00000-of-00003", "test-00002-of-00003"][..],
            Some("00001"),
        ),
        (&["test-00001-of-00002-a09b74b3"], Some("00000")),
        (
            &[
                "test-00000-of-00002-a09b74b3",
                "test-00001-of-00002-7e51c9d0",
            ],
            None,
        ),
        // Another split alone is not the one that was asked for; another name is.
        (&["train-00000-of-00001"], Some("test")),
        (&["images"], None),
    ] {
        let temp = Temp::new();
        for name in names {
            temp.write(&format!("{name}.parquet"), &part);
        }
        match (open(temp.path()), said) {
            (Ok(data), None) => assert_eq!(data.len(), 2 * names.len(), "{names:?}"),
            (Err(error), Some(said)) => {
                assert_eq!(error.kind(), ErrorKind::Missing, "{error}");
                assert!(error.to_string().contains(said), "{error}");
            }
            (found, _) => panic!("{names:?}: {:?}", found.err()),
        }
    }
}

#[test]
fn grey_image_files_are_of_one_channel_and_labels_may_be_names() {
    let error = open(&path("grey.parquet")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Label, "{error}");
    let temp = Temp::new();
    let options = Options {
        classes: Some(temp.write("classes.txt", "cat\ndog\n")),
        ..Options::default()
    };
    let data = open_with(&path("grey.parquet"), &options).unwrap();
    assert_eq!(data.shape().to_string(), "1x6x5");
    assert_eq!(labels(&data), [0, 1, 0, 1, 1].map(Some));
    for i in 0..5 {
        assert_eq!(
            bytes(&data.image(i as u32).unwrap()),
            drawn(i, [1, 6, 5]),
            "{i}"
        );
    }
}

#[test]
fn lists_of_pixels_are_images() {
    let data = open(&path("lists.parquet")).unwrap();
    assert_eq!(data.shape().to_string(), "1x4x3");
    assert_eq!(labels(&data), [3, 0, 2, 2, 1].map(Some));
    let rows = open(&path("rows.parquet")).unwrap();
    assert_eq!(rows.shape().to_string(), "1x4x4");
    assert_eq!(labels(&rows), [None; 5]);
    for i in 0..5 {
        assert_eq!(
            bytes(&data.image(i as u32).unwrap()),
            drawn(i, [1, 4, 3]),
            "{i}"
        );
        assert_eq!(
            bytes(&rows.image(i as u32).unwrap()),
            drawn(i, [1, 4, 4]),
            "{i}"
        );
    }
    let options = Options {
        resize: Some(8),
        ..Options::default()
    };
    let error = open_with(&path("rows.parquet"), &options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Options, "{error}");
}

#[test]
fn what_is_not_there_or_not_read_is_named_by_row_and_column() {
    for (name, words) in [
        ("no_label", &["row 1", "column 'label'", "as labels"][..]),
        ("ragged", &["row 2", "column 'image.list.element'"]),
        (
            "zstd",
            &["row 0", "'image.bytes'", "Zstandard", "write_table"],
        ),
        (
            "delta",
            &[
                "row 0",
                "'image.bytes'",
                "DELTA_LENGTH_BYTE_ARRAY",
                "write_table",
            ],
        ),
        ("text", &["text, label", "no column", "image"]),
    ] {
        let error = open(&path(&format!("{name}.parquet")))
            .unwrap_err()
            .to_string();
        let file = format!("{name}.parquet: ");
        for word in words.iter().chain([&file.as_str()]) {
            assert!(error.contains(word), "{word}: {error}");
        }
    }
    let data = open(&path("no_bytes.parquet")).unwrap();
    assert_eq!(bytes(&data.image(2).unwrap()), drawn(2, [3, 6, 5]));
    let error = data.image(1).unwrap_err().to_string();
    assert!(error.contains("row 1, column 'image.bytes'"), "{error}");
}

#[test]
fn a_file_that_is_cut_or_bent_is_an_error() {
    let whole = golden("parquet/colour.parquet");
    let temp = Temp::new();
    for length in (0..whole.len()).step_by(7) {
        let file = temp.write("x.parquet", &whole[..length]);
        open_as(Format::Parquet, &file).unwrap_err();
    }
    // The length of what the file states of itself, beyond the file.
    let mut bent = whole.clone();
    let end = bent.len() - 8;
    bent[end..end + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    let error = open(&temp.write("x.parquet", &bent)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    // Any byte of it: an error or another image, and no panic.
    for at in 0..whole.len() {
        let mut bent = whole.clone();
        bent[at] ^= [0x01, 0x80, 0xff][at % 3];
        if let Ok(data) = open_as(Format::Parquet, &temp.write("x.parquet", &bent)) {
            for i in 0..data.len().min(5) as u32 {
                let _ = data.image(i);
            }
        }
    }
}
