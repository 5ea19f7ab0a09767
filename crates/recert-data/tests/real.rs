//! Published data: CIFAR-10, MNIST and `ImageNet` files as people have them.

#[expect(dead_code, reason = "these tests use a part of what the suite does")]
#[path = "suite/support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};

use recert_data::{Dataset, Format, Options};
use recert_testing::{Skip, test};

use support::{bytes, open, open_with};

fn main() -> std::process::ExitCode {
    recert_testing::main()
}

fn data() -> Result<PathBuf, Skip> {
    Ok(recert_testing::shared()?.join("data"))
}

fn mean(data: &Dataset) -> f64 {
    let mut sum = 0.0;
    let mut count = 0;
    for i in 0..data.len() as u32 {
        let image = data.image(i).unwrap();
        sum += image.pixels.iter().map(|&p| f64::from(p)).sum::<f64>();
        count += image.pixels.len();
    }
    sum / f64::from(u32::try_from(count).unwrap())
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |text, b| text + &format!("{b:02x}"))
}

test!(cifar10_python_batch, needs data);
fn cifar10_python_batch(folder: &Path) {
    let path = folder.join("cifar10/cifar-10-batches-py");
    let data = open(&path).unwrap();
    assert_eq!((data.format(), data.len()), (Format::Cifar10Python, 200));
    // From Python 3: pickle.load(f, encoding="bytes") of the same file.
    assert_eq!(
        (0..8).filter_map(|i| data.label(i)).collect::<Vec<_>>(),
        [0, 7, 4, 2, 7, 8, 8, 9]
    );
    assert_eq!(data.name(0).as_deref(), Some("plane_s_000026.png"));
    assert_eq!(
        bytes(&data.image(199).unwrap())[..6],
        [167, 166, 166, 166, 167, 166]
    );
    assert!((mean(&data) - 0.475_089_650_447).abs() < 1e-9);
    assert_eq!(
        hex(&data.image(0).unwrap().sha256()),
        "1993a442b4d879fc78875d88f7156e667462381a53114cbe1f2fee3192438d1c"
    );
    // The folder above holds the batches' folder; the file is a batch itself.
    for path in [path.join(".."), path.join("test_batch")] {
        assert_eq!(
            open(&path).unwrap().image(7).unwrap(),
            data.image(7).unwrap()
        );
    }
}

test!(cifar10_binary_records, needs data);
fn cifar10_binary_records(folder: &Path) {
    let path = folder.join("cifar10/test_every20.bin");
    let data = open(&path).unwrap();
    assert_eq!((data.format(), data.len()), (Format::Cifar10Binary, 500));
    assert_eq!(
        (0..8).filter_map(|i| data.label(i)).collect::<Vec<_>>(),
        [3, 7, 4, 7, 8, 4, 8, 6]
    );
    assert!((mean(&data) - 0.471_260_532_136).abs() < 1e-9);
}

test!(both_layouts_of_cifar10_hold_the_same_images, needs data);
fn both_layouts_of_cifar10_hold_the_same_images(folder: &Path) {
    // The first holds the test images 10, 60, 110, .., the second 0, 20, 40, ..
    let [python, binary] = ["cifar-10-batches-py", "test_every20.bin"]
        .map(|name| open(&folder.join("cifar10").join(name)).unwrap());
    let common = (0..200).filter(|i| (10 + 50 * i) % 20 == 0);
    let mut count = 0;
    for (i, j) in common.map(|i| (i, (10 + 50 * i) / 20)) {
        assert_eq!(python.image(i).unwrap(), binary.image(j).unwrap(), "{i}");
        assert_eq!(python.label(i), binary.label(j), "{i}");
        count += 1;
    }
    assert_eq!(count, 100);
}

test!(mnist_idx, needs data);
fn mnist_idx(folder: &Path) {
    let path = folder.join("mnist");
    let data = open(&path).unwrap();
    assert_eq!((data.format(), data.len()), (Format::Idx, 10_000));
    assert_eq!(data.shape().to_string(), "1x28x28");
    // The first labels of the test set are known from many tutorials, the mean
    // from gzip and numpy.
    let labels: Vec<_> = (0..10).filter_map(|i| data.label(i)).collect();
    assert_eq!(labels, [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]);
    assert!((mean(&data) - 0.132_514_606_969).abs() < 1e-9);
}

test!(imagenet_folder, needs data);
fn imagenet_folder(folder: &Path) {
    let path = folder.join("imagenet");
    let options = Options {
        resize: Some(256),
        crop: Some(224),
        label_offset: 1,
        classes: Some(path.join("wnids.txt")),
        ..Options::default()
    };
    let data = open_with(&path, &options).unwrap();
    assert_eq!((data.format(), data.len()), (Format::ImageFolder, 18));
    assert_eq!(data.shape().to_string(), "3x224x224");
    // n01440764, the tench, is class 0 of ImageNet, and 1 after "background".
    assert_eq!(data.label(0), Some(1));
    assert_eq!(data.class_name(0), Some("n01440764"));
    let labels: Vec<_> = (0..18).filter_map(|i| data.label(i)).collect();
    assert!(labels.is_sorted() && labels.iter().all(|&label| (1..=1000).contains(&label)));
    // The mean is from Pillow; decoders of JPEG round differently.
    assert!((mean(&data) - 0.448_612_741_089).abs() < 1e-4);

    let plain = open(&path).unwrap();
    assert_eq!((plain.label(0), plain.label(17)), (Some(0), Some(17)));
}
