//! CIFAR-10, IDX, npy and npz: what hand-built files come out as, and what is refused.

use crate::support::{Temp, bytes, gzip, idx, npy, open, open_as, open_with, pickle, record, zip};
use recert_data::{Dataset, ErrorKind, Format, Grid, Options, Split};

/// Checks the kind of an error, and that the text has a part.
fn refused<T: std::fmt::Debug>(result: Result<T, recert_data::Error>, kind: ErrorKind, part: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(part), "no '{part}' in: {error}");
}

fn labels(data: &Dataset) -> Vec<u32> {
    (0..data.len() as u32)
        .map_while(|i| data.label(i))
        .collect()
}

#[test]
fn cifar_records_in_a_file_and_in_folders() {
    let temp = Temp::new();
    let file = temp.write("any.bin", [record(3, 7), record(9, 0)].concat());
    let data = open(&file).unwrap();
    assert_eq!(data.format(), Format::Cifar10Binary);
    assert_eq!(
        (data.len(), data.shape().to_string()),
        (2, "3x32x32".into())
    );
    assert_eq!(labels(&data), [3, 9]);
    assert_eq!(data.class_name(0), Some("cat"));
    assert_eq!(data.class_names().unwrap()[9], "truck");
    assert_eq!(bytes(&data.image(0).unwrap()), record(3, 7)[1..]);
    assert_eq!(data.name(0), None);
    refused(data.image(2), ErrorKind::Index, "no image 2");
    assert_eq!(data.label(2), None);

    temp.write("root/cifar-10-batches-bin/test_batch.bin", record(1, 1));
    for number in 1..=5 {
        let name = format!("root/cifar-10-batches-bin/data_batch_{number}.bin");
        temp.write(
            &name,
            [record(number, number), record(0, 100 + number)].concat(),
        );
    }
    let train = Options {
        split: Split::Train,
        ..Options::default()
    };
    for folder in ["root", "root/cifar-10-batches-bin"] {
        let folder = temp.path().join(folder);
        assert_eq!(labels(&open(&folder).unwrap()), [1]);
        let data = open_with(&folder, &train).unwrap();
        assert_eq!(labels(&data), [1, 0, 2, 0, 3, 0, 4, 0, 5, 0]);
        assert_eq!(bytes(&data.image(7).unwrap()), record(0, 104)[1..]);
    }
    std::fs::remove_file(
        temp.path()
            .join("root/cifar-10-batches-bin/data_batch_4.bin"),
    )
    .unwrap();
    let missing = open_with(&temp.path().join("root"), &train);
    refused(missing, ErrorKind::Missing, "data_batch_4.bin");
}

#[test]
fn damaged_cifar_records() {
    let temp = Temp::new();
    let bin = |bytes: &[u8]| open_as(Format::Cifar10Binary, &temp.write("x.bin", bytes));
    let two = [record(0, 0), record(1, 0)].concat();
    refused(
        bin(&two[..6000]),
        ErrorKind::Length,
        "expected 6146 bytes, found 6000",
    );
    refused(bin(b""), ErrorKind::Empty, "x.bin: holds no image");
    refused(bin(&record(10, 0)), ErrorKind::Label, "label 10 of image 0");
    let none = temp.path().join("none.bin");
    refused(open(&none), ErrorKind::Missing, "none.bin: no such file");
    refused(
        open_as(Format::Cifar10Binary, temp.path()),
        ErrorKind::Missing,
        "test_batch.bin",
    );
    refused(
        open_as(Format::Npy, temp.path()),
        ErrorKind::Io,
        "is a folder",
    );
}

#[test]
fn cifar_pickles_in_a_file_and_in_folders() {
    let temp = Temp::new();
    let pixels = [&record(0, 5)[1..], &record(0, 60)[1..]].concat();
    let batch = pickle(&[4, 8], &pixels, &["deer.png", "ship.png"]);
    temp.write("root/cifar-10-batches-py/test_batch", &batch);
    for number in 1..=5 {
        let name = format!("root/cifar-10-batches-py/data_batch_{number}");
        temp.write(
            &name,
            pickle(&[number], &record(0, number)[1..], &["x.png"]),
        );
    }
    for path in [
        "root",
        "root/cifar-10-batches-py",
        "root/cifar-10-batches-py/test_batch",
    ] {
        let data = open(&temp.path().join(path)).unwrap();
        assert_eq!(data.format(), Format::Cifar10Python);
        assert_eq!(labels(&data), [4, 8]);
        assert_eq!(data.class_name(1), Some("ship"));
        assert_eq!(data.name(1).as_deref(), Some("ship.png"));
        assert_eq!(bytes(&data.image(1).unwrap()), record(0, 60)[1..]);
    }
    let options = Options {
        split: Split::Train,
        label_offset: 1,
        ..Options::default()
    };
    let train = open_with(&temp.path().join("root"), &options).unwrap();
    assert_eq!(labels(&train), [2, 3, 4, 5, 6]);
    assert_eq!(train.class_name(0), Some("automobile"));
    assert_eq!(bytes(&train.image(4).unwrap()), record(0, 5)[1..]);
}

#[test]
fn cifar_pickles_written_by_python_3() {
    // From Python 3.11 and numpy 2.4, pickle.dumps({"labels": [7], "data":
    // numpy.arange(3072, dtype="u1").reshape(1, 3072)}, 4), pixels put in here.
    let head = b"\x80\x04\x95\x97\x0c\x00\x00\x00\x00\x00\x00}\x94(\x8c\x06labels\x94]\x94K\x07a\
        \x8c\x04data\x94\x8c\x16numpy._core.multiarray\x94\x8c\x0c_reconstruct\x94\x93\x94\
        \x8c\x05numpy\x94\x8c\x07ndarray\x94\x93\x94K\x00\x85\x94C\x01b\x94\x87\x94R\x94\
        (K\x01K\x01M\x00\x0c\x86\x94h\x07\x8c\x05dtype\x94\x93\x94\x8c\x02u1\x94\x89\x88\x87\x94R\x94\
        (K\x03\x8c\x01|\x94NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t\x94b\x89B\x00\x0c\x00\x00";
    let pixels = &record(0, 0)[1..];
    let temp = Temp::new();
    let file = temp.write("batch", [head, pixels, b"\x94t\x94bu."].concat());
    let data = open(&file).unwrap();
    assert_eq!((labels(&data), data.name(0)), (vec![7], None));
    assert_eq!(bytes(&data.image(0).unwrap()), pixels);
}

#[test]
fn damaged_cifar_pickles() {
    let temp = Temp::new();
    let py = |bytes: &[u8]| open_as(Format::Cifar10Python, &temp.write("batch", bytes));
    let pixels = &record(0, 0)[1..];
    let good = pickle(&[4], pixels, &["a"]);
    refused(
        py(&good[..500]),
        ErrorKind::Length,
        "expected 3072 bytes at byte",
    );
    refused(
        py(&pickle(&[4], &pixels[1..], &["a"])),
        ErrorKind::Length,
        "expected 3072 bytes",
    );
    refused(
        py(&pickle(&[4, 5], pixels, &["a"])),
        ErrorKind::Length,
        "expected 6144 bytes",
    );
    refused(
        py(&pickle(&[10], pixels, &["a"])),
        ErrorKind::Label,
        "label 10 of image 0",
    );
    refused(
        py(&pickle(&[], b"", &[])),
        ErrorKind::Empty,
        "holds no image",
    );
    refused(py(b"\x80\x02}."), ErrorKind::Corrupt, "'data'");
    refused(
        py(b"\x80\x02cos\nsystem\n."),
        ErrorKind::Unsupported,
        "batch: the pickle names 'os.system'",
    );
    // A data set with another number of names than images has no names.
    assert_eq!(
        py(&pickle(&[4], pixels, &["a", "b"])).unwrap().name(0),
        None
    );
}

#[test]
fn idx_plain_and_compressed_with_labels_beside() {
    let images = idx(
        &[2, 2, 3],
        &[0, 1, 2, 3, 4, 5, 250, 251, 252, 253, 254, 255],
    );
    let classes = idx(&[2], &[7, 2]);
    let temp = Temp::new();
    let plain = temp.write("plain/t10k-images-idx3-ubyte", &images);
    assert_eq!(labels(&open(&plain).unwrap()), [0; 0]);
    temp.write("plain/t10k-labels-idx1-ubyte", &classes);
    temp.write("gz/t10k-images-idx3-ubyte.gz", gzip(&images));
    temp.write("gz/t10k-labels-idx1-ubyte.gz", gzip(&classes));
    temp.write("torchvision/MNIST/raw/t10k-images-idx3-ubyte", &images);
    temp.write(
        "torchvision/MNIST/raw/t10k-labels-idx1-ubyte.gz",
        gzip(&classes),
    );
    let paths = [
        "plain",
        "plain/t10k-images-idx3-ubyte",
        "gz",
        "gz/t10k-images-idx3-ubyte.gz",
        "torchvision",
    ];
    for path in paths {
        let data = open(&temp.path().join(path)).unwrap();
        assert_eq!(data.format(), Format::Idx);
        assert_eq!((data.len(), data.shape().to_string()), (2, "1x2x3".into()));
        assert_eq!(labels(&data), [7, 2], "{path}");
        assert_eq!(
            bytes(&data.image(1).unwrap()),
            [250, 251, 252, 253, 254, 255]
        );
        assert!(data.class_names().is_none());
    }
    let train = Options {
        split: Split::Train,
        ..Options::default()
    };
    refused(
        open_with(&plain.with_file_name(""), &train),
        ErrorKind::Missing,
        "train-images",
    );
}

#[test]
fn damaged_idx() {
    let temp = Temp::new();
    let open_idx = |bytes: &[u8]| open_as(Format::Idx, &temp.write("i", bytes));
    let good = idx(&[2, 2, 2], &[9; 8]);
    refused(
        open_idx(&good[..20]),
        ErrorKind::Length,
        "expected 8 bytes, found 4",
    );
    refused(
        open_idx(&[&good[..], b"x"].concat()),
        ErrorKind::Length,
        "expected 8 bytes, found 9",
    );
    refused(
        open_idx(&good[..9]),
        ErrorKind::Length,
        "ends inside its header",
    );
    refused(
        open_idx(&idx(&[0, 2, 2], &[])),
        ErrorKind::Empty,
        "holds no image",
    );
    refused(
        open_idx(&idx(&[4], &[1; 4])),
        ErrorKind::Shape,
        "does not hold images",
    );
    refused(open_idx(b"hello, world"), ErrorKind::Corrupt, "magic");
    refused(
        open_idx(&[0, 0, 13, 3, 0, 0, 0, 1]),
        ErrorKind::Unsupported,
        "type 13",
    );
    let vast = idx(&[4_000_000_000, 28, 28], &[0; 10]);
    refused(
        open_idx(&vast),
        ErrorKind::Length,
        "expected 3136000000000 bytes, found 10",
    );
    refused(
        open_idx(&gzip(&vast)),
        ErrorKind::Length,
        "expected 3136000000000 bytes, found 10",
    );

    let packed = gzip(&good);
    let cut = open_idx(&packed[..packed.len() - 9]);
    refused(cut, ErrorKind::Length, "compressed data ends too early");
    let mut wrong_sum = packed.clone();
    let at = wrong_sum.len() - 6;
    wrong_sum[at] ^= 1;
    refused(
        open_idx(&wrong_sum),
        ErrorKind::Corrupt,
        "compressed data is damaged",
    );
    refused(
        open_idx(&gzip(&[&good[..], b"x"].concat())),
        ErrorKind::Length,
        "found more",
    );

    let images = temp.write("x-images-idx3-ubyte", &good);
    temp.write("x-labels-idx1-ubyte", idx(&[3], &[0; 3]));
    refused(open(&images), ErrorKind::Label, "2 images have 3 labels");
    temp.write("x-labels-idx1-ubyte", idx(&[1, 2], &[0; 2]));
    refused(open(&images), ErrorKind::Shape, "labels have one dimension");
}

#[test]
fn npy_of_bytes_and_floats() {
    let temp = Temp::new();
    let le = |values: &[f32]| {
        values
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect::<Vec<_>>()
    };
    let file = temp.write(
        "u.npy",
        npy("|u1", false, "2, 1, 1, 3", &[1, 2, 3, 4, 5, 6]),
    );
    let data = open(&file).unwrap();
    assert_eq!((data.format(), data.len()), (Format::Npy, 2));
    assert_eq!(bytes(&data.image(1).unwrap()), [4, 5, 6]);
    assert!(data.label(0).is_none());

    let grid = temp.write(
        "g.npy",
        npy("<f4", false, "2, 2", &le(&[0.0, 1.0, 0.2, 0.3])),
    );
    let data = open(&grid).unwrap();
    assert_eq!(data.shape().to_string(), "1x1x2");
    assert_eq!(data.image(0).unwrap().grid, Grid::EightBit);
    assert_eq!(data.image(1).unwrap().grid, Grid::Float);
    assert_eq!(data.image(1).unwrap().pixels, [0.2, 0.3]);

    let wrong =
        |values: &[f32]| open(&temp.write("w.npy", npy("<f4", false, "2, 1, 1, 2", &le(values))));
    refused(
        wrong(&[0.0, 0.0, 0.0, f32::NAN]),
        ErrorKind::Value,
        "image 1: pixel NaN at channel 0, row 0, column 1",
    );
    refused(
        wrong(&[-0.1, 0.0, 0.0, 0.0]),
        ErrorKind::Value,
        "w.npy: image 0: pixel",
    );
    refused(
        wrong(&[0.0, 0.0]),
        ErrorKind::Length,
        "expected 16 bytes, found 8",
    );
    let file = |bytes: &[u8]| open(&temp.write("f.npy", bytes));
    refused(
        file(&npy("<i4", false, "1, 1", &[0; 4])),
        ErrorKind::Unsupported,
        "type '<i4'",
    );
    refused(
        file(&npy("|u1", false, "0, 3, 4, 4", &[])),
        ErrorKind::Empty,
        "holds no image",
    );
    refused(
        file(&npy("|u1", false, "", &[0])),
        ErrorKind::Shape,
        "shape []",
    );
    refused(
        file(&npy("|u1", false, "1, 7, 2, 2", &[0; 28])),
        ErrorKind::Shape,
        "1, 3 or 4 channels",
    );
    let vast = npy("<f8", false, "4294967296, 4294967296, 4294967296", &[]);
    refused(file(&vast), ErrorKind::Length, "found 0");
    let endless = "18446744073709551615, ".repeat(4);
    refused(
        file(&npy("<f8", false, &endless, &[])),
        ErrorKind::Shape,
        "cannot exist",
    );
}

#[test]
fn npz_with_and_without_labels() {
    let temp = Temp::new();
    let images = |first: u8| npy("|u1", false, "2, 1, 1, 2", &[first, 1, 2, 3]);
    let classes = |first: u8| npy("|u1", false, "2, 1", &[first, 5]);
    let keras = zip(&[
        ("x_train.npy", images(10)),
        ("y_train.npy", classes(1)),
        ("x_test.npy", images(20)),
        ("y_test.npy", classes(2)),
    ]);
    let keras = temp.write("keras.npz", keras);
    for (split, first, label) in [(Split::Test, 20, 2), (Split::Train, 10, 1)] {
        let options = Options {
            split,
            ..Options::default()
        };
        let data = open_with(&keras, &options).unwrap();
        assert_eq!(data.format(), Format::Npz);
        assert_eq!(labels(&data), [label, 5]);
        assert_eq!(bytes(&data.image(0).unwrap()), [first, 1]);
    }
    for (image_name, label_name) in [("images", "labels"), ("x", "y"), ("data", "labels")] {
        let file = zip(&[
            (&format!("{image_name}.npy"), images(1)),
            (
                &format!("{label_name}.npy"),
                npy(
                    ">i8",
                    false,
                    "2",
                    &[0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 1, 0],
                ),
            ),
        ]);
        assert_eq!(labels(&open(&temp.write("n.npz", file)).unwrap()), [3, 256]);
    }
    let file = |entries: &[(&str, Vec<u8>)]| open(&temp.write("n.npz", zip(entries)));
    assert!(file(&[("x.npy", images(1))]).unwrap().label(0).is_none());
    refused(
        file(&[("arr_0.npy", images(1))]),
        ErrorKind::Missing,
        "the file holds 'arr_0'",
    );
    refused(file(&[]), ErrorKind::Missing, "holds no array");
    refused(
        file(&[("x.npy", images(1)), ("data.npy", images(1))]),
        ErrorKind::Corrupt,
        "'x', 'data'",
    );
    refused(
        file(&[
            ("x.npy", images(1)),
            ("y.npy", npy("|u1", false, "3", &[0; 3])),
        ]),
        ErrorKind::Label,
        "2 images have 3 labels",
    );
    refused(
        file(&[("x.npy", npy("<f4", false, "1, 1", &2_f32.to_le_bytes()))]),
        ErrorKind::Value,
        "image 0: pixel 2",
    );
    refused(
        file(&[("x.npy", images(1)[..130].to_vec())]),
        ErrorKind::Length,
        "found 2",
    );

    let mut damaged = zip(&[(
        "x.npy",
        npy(
            "|u1",
            false,
            "9, 9, 9",
            &(0..=255).cycle().take(729).collect::<Vec<_>>(),
        ),
    )]);
    let middle = damaged.len() / 2;
    refused(
        open(&temp.write("d.npz", &damaged[..middle])),
        ErrorKind::Corrupt,
        "zip file",
    );
    damaged[middle] ^= 0x55;
    assert!(open(&temp.write("d.npz", &damaged)).is_err());
}

#[test]
fn labels_of_their_own() {
    let temp = Temp::new();
    let images = temp.write("x.npy", npy("|u1", false, "2, 4", &[0; 8]));
    let with = |labels: &std::path::Path, label_offset| {
        let options = Options {
            labels: Some(labels.to_owned()),
            label_offset,
            ..Options::default()
        };
        open_with(&images, &options)
    };
    let integers = temp.write("y.npy", npy("<i2", false, "2", &[5, 0, 0xff, 0xff]));
    assert_eq!(labels(&with(&integers, 1).unwrap()), [6, 0]);
    refused(with(&integers, 0), ErrorKind::Label, "label -1 of image 1");
    let bytes = temp.write("y.idx", gzip(&idx(&[2], &[3, 4])));
    assert_eq!(labels(&with(&bytes, 0).unwrap()), [3, 4]);
    let three = temp.write("three.npy", npy("|u1", false, "3", &[0; 3]));
    refused(with(&three, 0), ErrorKind::Label, "2 images have 3 labels");
    let table = temp.write("table.npy", npy("|u1", false, "1, 2", &[0; 2]));
    refused(
        with(&table, 0),
        ErrorKind::Shape,
        "table.npy: labels of shape [1, 2]",
    );
    let text = temp.write("text", "3\n4\n");
    assert_eq!(labels(&with(&text, 0).unwrap()), [3, 4]);
    refused(
        with(&temp.write("binary", b"\x01\x02"), 0),
        ErrorKind::Unrecognised,
        "neither",
    );
    refused(
        with(&temp.path().join("none"), 0),
        ErrorKind::Missing,
        "none",
    );

    // Names of classes are given up with the labels that they belong to.
    let cifar = temp.write("c.bin", [record(1, 0), record(2, 0)].concat());
    let options = Options {
        labels: Some(bytes),
        ..Options::default()
    };
    let data = open_with(&cifar, &options).unwrap();
    assert_eq!((labels(&data), data.class_name(0)), (vec![3, 4], None));
    let offset = Options {
        label_offset: 1,
        ..Options::default()
    };
    refused(
        open_with(&images, &offset),
        ErrorKind::Options,
        "needs labels",
    );
}

#[test]
fn options_without_effect_are_refused() {
    let temp = Temp::new();
    let images = temp.write("x.npy", npy("|u1", false, "2, 4", &[0; 8]));
    let options = [
        Options {
            resize: Some(2),
            ..Options::default()
        },
        Options {
            crop: Some(2),
            ..Options::default()
        },
        Options {
            classes: Some("x".into()),
            ..Options::default()
        },
    ];
    for options in options {
        refused(
            open_with(&images, &options),
            ErrorKind::Options,
            "for image folders",
        );
    }
}
