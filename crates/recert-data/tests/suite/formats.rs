//! The formats in which people keep data sets: CIFAR-100, SVHN, Tiny-ImageNet, torchvision's
//! roots, rows of pixels, labels as text.

use crate::support::{
    Temp, bytes, gzip, idx, mat, npy, open, open_as, open_with, pickle, pickle_100, png, record,
    zip,
};
use recert_data::{Dataset, Error, ErrorKind, Format, Grid, Options, Split};

fn refused(result: Result<Dataset, Error>, kind: ErrorKind, part: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(part), "no '{part}' in: {error}");
}

fn labels(data: &Dataset) -> Vec<u32> {
    (0..data.len() as u32)
        .map_while(|i| data.label(i))
        .collect()
}

fn train() -> Options {
    Options {
        split: Split::Train,
        ..Options::default()
    }
}

#[test]
fn cifar100_in_both_layouts() {
    let temp = Temp::new();
    let pixels = [&record(0, 5)[1..], &record(0, 60)[1..]].concat();
    let record_100 =
        |coarse: u8, fine: u8, first: u8| [&[coarse], &record(fine, first)[..]].concat();
    let records = [record_100(19, 11, 5), record_100(0, 99, 60)].concat();
    temp.write("a/cifar-100-python/test", pickle_100(&[11, 99], &pixels));
    temp.write(
        "a/cifar-100-python/train",
        pickle_100(&[3], &pixels[..3072]),
    );
    temp.write("b/test.bin", &records);
    temp.write("b/train.bin", record_100(1, 3, 5));
    let file = temp.write("any.bin", &records);
    for (path, format) in [
        ("a", Format::Cifar100Python),
        ("a/cifar-100-python", Format::Cifar100Python),
        ("a/cifar-100-python/test", Format::Cifar100Python),
        ("b", Format::Cifar100Binary),
        ("any.bin", Format::Cifar100Binary),
    ] {
        let data = open(&temp.path().join(path)).unwrap();
        assert_eq!(data.format(), format, "{path}");
        assert_eq!(labels(&data), [11, 99], "{path}");
        assert_eq!(data.class_name(0), Some("boy"));
        assert_eq!(data.class_name(1), Some("worm"));
        assert_eq!(bytes(&data.image(1).unwrap()), record(0, 60)[1..]);
    }
    for path in ["a", "b"] {
        let data = open_with(&temp.path().join(path), &train()).unwrap();
        assert_eq!(labels(&data), [3], "{path}");
    }
    let ten = temp.write("ten", pickle(&[4], &pixels[..3072], &["x"]));
    let hundred = temp.path().join("a/cifar-100-python/test");
    refused(
        open_as(Format::Cifar10Python, &hundred),
        ErrorKind::Corrupt,
        "'cifar100:'",
    );
    refused(
        open_as(Format::Cifar100Python, &ten),
        ErrorKind::Corrupt,
        "'cifar10:'",
    );
    let bin = |bytes: &[u8]| open_as(Format::Cifar100Binary, &temp.write("x.bin", bytes));
    refused(
        bin(&records[..6000]),
        ErrorKind::Length,
        "expected 6148 bytes, found 6000",
    );
    refused(
        bin(&record_100(20, 0, 0)),
        ErrorKind::Label,
        "superclass 20 of image 0",
    );
    refused(
        bin(&record_100(0, 100, 0)),
        ErrorKind::Label,
        "label 100 of image 0",
    );
    // A file of a length that is one of both: 3073 records of 3074 bytes are 3074 of 3073.
    let both = vec![7; 3073 * 3074];
    std::fs::write(&file, &both).unwrap();
    assert_eq!(open(&file).unwrap().format(), Format::Cifar100Binary);
    // A test of something else is no pickle.
    temp.write("c/test", "hello");
    refused(
        open(&temp.path().join("c")),
        ErrorKind::Unrecognised,
        "no images",
    );
}

#[test]
fn svhn_in_files_and_folders() {
    let temp = Temp::new();
    temp.write("root/test_32x32.mat", mat(false));
    temp.write("root/train_32x32.mat", mat(true));
    for options in [Options::default(), train()] {
        let data = open_with(&temp.path().join("root"), &options).unwrap();
        assert_eq!((data.format(), data.len()), (Format::Svhn, 2));
        assert_eq!(labels(&data), [0, 3]);
        let image = bytes(&data.image(1).unwrap());
        // Row 1, column 0 is the second value of MATLAB's order, row 0, column 1 the 33rd.
        assert_eq!((image[32], image[1], image[1024]), (61, 92, 80));
    }
    let file = |bytes: &[u8]| open(&temp.write("x.mat", bytes));
    let good = mat(false);
    assert_eq!(file(&good).unwrap().format(), Format::Svhn);
    refused(
        file(&good[..5000]),
        ErrorKind::Length,
        "longer than the rest",
    );
    refused(
        file(&good[..128]),
        ErrorKind::Missing,
        "no 'X' but no array",
    );
    let at = good.len() - 8;
    for (label, part) in [(11, "label 11 of image 0"), (0, "label 0 of image 0")] {
        let mut bad = good.clone();
        bad[at] = label;
        refused(file(&bad), ErrorKind::Label, part);
    }
    // X of [32, 32, 3, 200], of which two images are there.
    let mut false_size = good.clone();
    let place = 128 + 8 + 16 + 8 + 12;
    assert_eq!(false_size[place], 2);
    false_size[place] = 200;
    refused(file(&false_size), ErrorKind::Length, "which do not fit");
    false_size[place - 4..place + 4].fill(0xff);
    refused(file(&false_size), ErrorKind::Length, "which do not fit");
}

#[test]
fn a_compressed_array_that_claims_too_much_is_refused_before_it_is_read() {
    // An array of 2^31 bytes and more, of which nothing is there.
    let word = u32::to_le_bytes;
    let mut array = [word(14), word(0xffff_fff8)].concat();
    array.extend([word(6), word(8), word(9), word(0)].concat());
    array.extend([word(5), word(8), word(0xffff_ff00), word(1)].concat());
    array.extend([word(0x0001_0001), word(u32::from(b'X'))].concat());
    array.extend([word(2), word(0xffff_ff00)].concat());
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut encoder, &array).unwrap();
    let packed = encoder.finish().unwrap();
    let mut file = mat(false)[..128].to_vec();
    file.extend([word(15), word(packed.len() as u32)].concat());
    file.extend(packed);
    let temp = Temp::new();
    let result = open(&temp.write("x.mat", file));
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Length, "{error}");
}

#[test]
fn tiny_imagenet_takes_its_labels_from_the_annotations() {
    let temp = Temp::new();
    let image = |value| png(2, 2, [value; 3]);
    temp.write("val/images/val_0.JPEG", image(1));
    temp.write("val/images/val_1.JPEG", image(2));
    temp.write("val/images/val_10.JPEG", image(3));
    let annotations = "val_0.JPEG\tn07\t0\t0\t1\t1\nval_1.JPEG\tn02\t0\t0\t1\t1\n\
                       val_10.JPEG\tn07\t0\t0\t1\t1\nval_9.JPEG\tn01\t0\t0\t1\t1\n";
    temp.write("val/val_annotations.txt", annotations);
    let val = temp.path().join("val");
    // Without a list, the annotated classes in order, also that of an image which is not there.
    let data = open(&val).unwrap();
    assert_eq!(data.format(), Format::TinyImageNet);
    assert_eq!(labels(&data), [2, 1, 2]);
    assert_eq!(data.class_names().unwrap(), ["n01", "n02", "n07"]);
    assert_eq!(data.name(2).as_deref(), Some("images/val_10.JPEG"));
    assert_eq!(bytes(&data.image(1).unwrap()), [2; 12]);
    // With a list, its order, above the folder, in it, and in that of the whole set.
    temp.write("wnids.txt", "n07\nn99\nn02\nn01\n");
    for path in [&val, temp.path()] {
        let data = open(path).unwrap();
        assert_eq!(labels(&data), [0, 2, 0], "{}", path.display());
        assert_eq!(data.class_name(1), Some("n02"));
    }
    let sorted = Options {
        classes: Some(temp.write("sorted.txt", "n01\nn02\nn07\nn99\n")),
        crop: Some(1),
        ..Options::default()
    };
    let data = open_with(&val, &sorted).unwrap();
    assert_eq!(labels(&data), [2, 1, 2]);
    assert_eq!(data.shape().to_string(), "3x1x1");
    // The training set, numbered by the same list.
    temp.write("train/n02/images/n02_0.JPEG", image(4));
    temp.write("train/n07/images/n07_0.JPEG", image(5));
    let data = open_with(temp.path(), &train()).unwrap();
    assert_eq!(labels(&data), [2, 0]);
    refused(
        open_with(&val, &train()),
        ErrorKind::Options,
        "the folder above",
    );

    temp.write("wnids.txt", "n01\nn02\n");
    refused(
        open(&val),
        ErrorKind::Label,
        "no line for the label 'n07' of image 0",
    );
    for (text, kind, part) in [
        (
            "val_0.JPEG\tn07\n",
            ErrorKind::Label,
            "no line for the image 'images/val_1.JPEG'",
        ),
        ("val_0.JPEG\n", ErrorKind::Corrupt, "line 1 names no class"),
        (
            "val_0.JPEG n1\nval_0.JPEG n2\n",
            ErrorKind::Corrupt,
            "line 2 gives",
        ),
    ] {
        temp.write("val/val_annotations.txt", text);
        refused(open(&val), kind, part);
    }
    let none = open_as(Format::TinyImageNet, &temp.path().join("train"));
    refused(none, ErrorKind::Missing, "val_annotations.txt");
}

#[test]
fn roots_of_torchvision() {
    let temp = Temp::new();
    let images = |value: u8| idx(&[2, 1, 2], &[value, 1, 2, 3]);
    let classes = |label: u8| gzip(&idx(&[2], &[label, 26]));
    for (root, value) in [("FashionMNIST", 10), ("KMNIST", 20)] {
        for (split, more) in [("t10k", 0), ("train", 1)] {
            let file = |kind: &str| format!("{root}-root/{root}/raw/{split}-{kind}-ubyte");
            temp.write(&file("images-idx3"), images(value + more));
            temp.write(
                &format!("{}.gz", file("labels-idx1")),
                classes(value + more),
            );
        }
        let folder = temp.path().join(format!("{root}-root"));
        for path in [&folder, &folder.join(root)] {
            let data = open(path).unwrap();
            assert_eq!(data.format(), Format::Idx);
            assert_eq!(labels(&data), [u32::from(value), 26], "{}", path.display());
            assert_eq!(bytes(&data.image(0).unwrap()), [value, 1]);
        }
        assert_eq!(
            labels(&open_with(&folder, &train()).unwrap())[0],
            u32::from(value) + 1
        );
    }
    let emnist = |split: &str| {
        let name = |kind: &str| format!("e/EMNIST/raw/emnist-{split}-test-{kind}-ubyte");
        temp.write(&name("labels-idx1"), idx(&[2], &[1, 26]));
        temp.write(
            &name("images-idx3"),
            idx(&[2, 2, 2], &[1, 2, 3, 4, 5, 6, 7, 8]),
        )
    };
    let letters = emnist("letters");
    for path in [temp.path().join("e"), letters.clone()] {
        let data = open(&path).unwrap();
        // Labels and transposed images as the files and torchvision have them.
        assert_eq!(labels(&data), [1, 26]);
        assert_eq!(bytes(&data.image(0).unwrap()), [1, 2, 3, 4]);
    }
    // Several sets are named, and one has to be.
    emnist("digits");
    refused(
        open(&temp.path().join("e")),
        ErrorKind::Unrecognised,
        "emnist-digits-test-images",
    );
    assert_eq!(labels(&open(&letters).unwrap()), [1, 26]);
    temp.write("KMNIST-root/MNIST/raw/t10k-images-idx3-ubyte", images(0));
    refused(
        open(&temp.path().join("KMNIST-root")),
        ErrorKind::Unrecognised,
        "MNIST/raw/t10k",
    );
}

#[test]
fn rows_of_pixels() {
    let temp = Temp::new();
    let row = |first: &str, pixels: usize| {
        let pixels = (0..pixels).map(|i| format!(",{}", i % 256));
        format!("{first}{}\n", pixels.collect::<String>())
    };
    let header = (0..784).fold(String::new(), |text, i| text + &format!(",pixel{i}"));
    let pixels: Vec<u8> = (0..784).map(|i| (i % 256) as u8).collect();
    let kaggle = format!("label{header}\r\n{}{}", row("7", 784), row("2", 784));
    let table = [
        (kaggle.clone(), vec![7, 2], "1x28x28"),
        (
            kaggle.replace("label", "\u{feff}label"),
            vec![7, 2],
            "1x28x28",
        ),
        (row("9", 784), vec![9], "1x28x28"),
        (
            format!("{}\n{}", &header[1..], &row("", 784)[1..]),
            vec![],
            "1x28x28",
        ),
        (row("", 784)[1..].to_owned(), vec![], "1x28x28"),
        // Not a square of pixels: a vector, which the network's input shapes.
        (
            format!("label,{}\n{}", "x,".repeat(19) + "x", row("3", 20)),
            vec![3],
            "1x1x20",
        ),
    ];
    for (text, expected, shape) in table {
        for content in [text.as_bytes().to_vec(), gzip(text.as_bytes())] {
            let data = open(&temp.write("x.csv", content)).unwrap();
            assert_eq!(data.format(), Format::Csv);
            assert_eq!(
                (labels(&data), data.shape().to_string()),
                (expected.clone(), shape.into())
            );
            let image = bytes(&data.image(0).unwrap());
            assert_eq!(image, pixels[..image.len()]);
        }
    }
    let csv = |text: &str| open_as(Format::Csv, &temp.write("x.csv", text));
    let floats = csv("label,a,b,c,d\n1,0.0,0.5,1,0.25\n").unwrap();
    assert_eq!(floats.image(0).unwrap().pixels, [0.0, 0.5, 1.0, 0.25]);
    assert_eq!(floats.image(0).unwrap().grid, Grid::Float);
    assert_eq!(floats.shape().to_string(), "1x2x2");
    let bytes_as_floats = csv("label,a,b,c,d\n1.0,0.0,255.0,1.0,51\n").unwrap();
    assert_eq!(bytes(&bytes_as_floats.image(0).unwrap()), [0, 255, 1, 51]);
    for (text, kind, part) in [
        ("1,0,0,256,0\n", ErrorKind::Value, "line 1, column 4: '256'"),
        ("1,0,0,5,-1\n", ErrorKind::Value, "column 5: '-1'"),
        (
            "1,0,0,5,nan\n0,1,2,3,x\n",
            ErrorKind::Value,
            "line 2, column 5: 'x'",
        ),
        (
            "1,0,0,5,0\n1,2,3\n",
            ErrorKind::Length,
            "line 2 has 3 columns",
        ),
        ("0.5,0,0,5,0\n", ErrorKind::Label, "column 1: '0.5'"),
        ("1,0,1,1,0\n", ErrorKind::Value, "0 or 1"),
        ("1,0.5,1,9,0\n", ErrorKind::Value, "pixel 9 at"),
        ("1,2,3\n", ErrorKind::Shape, "begin the file with a header"),
        ("label\n1\n", ErrorKind::Shape, "no column of pixels"),
        ("a,b\n", ErrorKind::Empty, "holds no image"),
        ("", ErrorKind::Empty, "holds no image"),
    ] {
        refused(csv(text), kind, part);
    }
}

#[test]
fn labels_as_names_need_the_list_of_classes() {
    let temp = Temp::new();
    let utf32 = |names: &[&str]| -> Vec<u8> {
        let padded = |name: &&str| {
            let mut codes: Vec<u32> = name.chars().map(u32::from).collect();
            codes.resize(4, 0);
            codes
        };
        names
            .iter()
            .flat_map(padded)
            .flat_map(u32::to_le_bytes)
            .collect()
    };
    let images = npy("|u1", false, "3, 4", &[0; 12]);
    let npz = zip(&[
        ("images.npy", images.clone()),
        (
            "labels.npy",
            npy("<U4", false, "3", &utf32(&["dog", "cat", "dog"])),
        ),
    ]);
    let npz = temp.write("x.npz", npz);
    let images = temp.write("x.npy", images);
    let bytes = temp.write("y.npy", npy("|S3", false, "3, 1", b"dogcatdog"));
    let text = temp.write("y.csv", "index,class\n0,dog\n1,cat\n2,dog\n");
    let classes = temp.write("classes.txt", "bird\ncat\ndeer\ndog\n");
    let with = |path, labels: Option<&std::path::Path>, classes: Option<&std::path::Path>| {
        let options = Options {
            labels: labels.map(Into::into),
            classes: classes.map(Into::into),
            ..Options::default()
        };
        open_with(path, &options)
    };
    for (path, file) in [
        (&npz, None),
        (&images, Some(&*bytes)),
        (&images, Some(&*text)),
    ] {
        let data = with(path, file, Some(&classes)).unwrap();
        assert_eq!(labels(&data), [3, 1, 3]);
        assert_eq!(data.class_name(1), Some("cat"));
        // The names that occur would be numbered 0 and 1 by their order, which is no class's.
        refused(
            with(path, file, None),
            ErrorKind::Label,
            "names ('cat', 'dog')",
        );
        let few = temp.write("few.txt", "cat\n");
        refused(
            with(path, file, Some(&few)),
            ErrorKind::Label,
            "the label 'dog' of image 0",
        );
    }
    let numbers = temp.write("n.txt", "0\n1\n2\n");
    refused(
        with(&images, Some(&numbers), Some(&classes)),
        ErrorKind::Options,
        "not names",
    );
}

#[test]
fn one_hot_labels_and_tables_that_name_images() {
    let temp = Temp::new();
    let images = npy("|u1", false, "3, 4", &[0; 12]);
    let rows = |values: &[f32]| {
        values
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect::<Vec<u8>>()
    };
    let npz = |fortran, values: &[f32]| {
        let file = zip(&[
            ("X.npy", images.clone()),
            ("Y.npy", npy("<f4", fortran, "3, 2", &rows(values))),
        ]);
        open(&temp.write("x.npz", file))
    };
    assert_eq!(
        labels(&npz(false, &[0., 1., 1., 0., 0., 1.]).unwrap()),
        [1, 0, 1]
    );
    assert_eq!(
        labels(&npz(true, &[0., 1., 0., 1., 0., 1.]).unwrap()),
        [1, 0, 1]
    );
    refused(
        npz(false, &[0., 1., 0.5, 0.5, 0., 1.]),
        ErrorKind::Shape,
        "row 1 is not a single 1",
    );
    refused(
        npz(false, &[0., 1., 1., 1., 0., 1.]),
        ErrorKind::Shape,
        "row 1",
    );

    temp.write("flat/b.png", png(2, 2, [1; 3]));
    temp.write("flat/a.png", png(2, 2, [2; 3]));
    let options = Options {
        labels: Some(temp.write("labels.csv", "b.png,5\na.png,6\n")),
        ..Options::default()
    };
    let data = open_with(&temp.path().join("flat"), &options).unwrap();
    assert_eq!(
        (data.name(0).as_deref(), labels(&data)),
        (Some("a.png"), vec![6, 5])
    );
}
