//! Resizing, cropping and conversion to RGB against bytes that Pillow computed.

use std::path::PathBuf;

use crate::support::{bytes, open_with};
use recert_data::{DataSpec, Dataset, ErrorKind, Format, Options};

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

#[test]
fn images_come_out_as_pillow_and_torchvision_make_them() {
    let table = std::fs::read_to_string(golden("cases.tsv")).unwrap();
    let mut cases = 0;
    for line in table.lines().skip(1) {
        let fields: Vec<_> = line.split('\t').collect();
        let [source, resize, crop, width, height, expected] = fields[..] else {
            panic!("not a case: {line}");
        };
        let option = |text: &str| Some(text.parse::<u32>().unwrap()).filter(|&size| size > 0);
        let options = Options {
            resize: option(resize),
            crop: option(crop),
            ..Options::default()
        };
        let data = open_with(&golden(source), &options).unwrap();
        let image = data.image(0).unwrap();
        assert_eq!(
            image.shape.to_string(),
            format!("3x{height}x{width}"),
            "{line}"
        );
        assert_eq!(data.shape(), image.shape);

        let found = bytes(&image);
        let plane = found.len() / 3;
        let expected = std::fs::read(golden(expected)).unwrap();
        assert_eq!(expected.len(), found.len(), "{line}");
        let difference = (0..found.len())
            .map(|at| found[at % 3 * plane + at / 3].abs_diff(expected[at]))
            .max();
        let is_jpeg = golden(source).extension() == Some("jpg".as_ref());
        assert!(
            difference <= Some(u8::from(is_jpeg)),
            "{line}: {difference:?}"
        );
        cases += 1;
    }
    assert_eq!(cases, 43);
}

#[test]
fn deep_greyscale_keeps_its_high_bytes() {
    let values = image::open(golden("deep_l.png")).unwrap().into_luma16();
    // As Pillow reads it: getpixel((0, 0)).
    assert_eq!(values.get_pixel(0, 0).0, [11_179]);
    let high: Vec<u8> = values.into_raw().iter().map(|v| (v / 256) as u8).collect();
    let data = open_with(&golden("deep_l.png"), &Options::default()).unwrap();
    assert_eq!(bytes(&data.image(0).unwrap()), high.repeat(3));
}

#[test]
fn webp_and_bmp_come_out_as_pillow_reads_them() {
    for (name, tolerance) in [
        ("lossless.webp", 0),
        ("alpha.webp", 0),
        ("lossy.webp", 4),
        ("colour.bmp", 0),
        ("palette.bmp", 0),
        ("grey.bmp", 0),
    ] {
        let data = open_with(&golden(name), &Options::default()).unwrap();
        assert_eq!(data.format(), Format::ImageFolder, "{name}");
        let image = data.image(0).unwrap();
        assert_eq!(image.shape.to_string(), "3x17x20", "{name}");
        let found = bytes(&image);
        let expected = std::fs::read(golden(&format!("{name}.rgb"))).unwrap();
        let plane = found.len() / 3;
        let difference = (0..found.len())
            .map(|at| found[at % 3 * plane + at / 3].abs_diff(expected[at]))
            .max();
        assert!(difference <= Some(tolerance), "{name}: {difference:?}");
    }
}

#[test]
fn a_prefix_makes_one_channel_with_the_weights_of_pillow() {
    let spec = DataSpec {
        format: Some(Format::GreyFolder),
        path: golden("lossless.webp"),
    };
    let data = Dataset::open(&spec, &Options::default()).unwrap();
    let image = data.image(0).unwrap();
    assert_eq!(data.shape().to_string(), "1x17x20");
    assert_eq!(data.shape(), image.shape);
    let expected = std::fs::read(golden("lossless.webp.grey")).unwrap();
    assert_eq!(bytes(&image), expected);
}

#[test]
fn svhn_is_read_as_scipy_writes_it() {
    let data = open_with(&golden("svhn.mat"), &Options::default()).unwrap();
    assert_eq!((data.format(), data.len()), (Format::Svhn, 3));
    let labels: Vec<_> = (0..3).map(|i| data.label(i).unwrap()).collect();
    assert_eq!(labels, [1, 0, 9]);
    assert_eq!(data.class_name(1), Some("0"));
    for n in 0..3_usize {
        // The drawing of make_formats.py.
        let expected: Vec<u8> = (0..3 * 32 * 32)
            .map(|at| (at / 32 % 32 + 2 * (at % 32) + 64 * (at / 1024) + 100 * n) as u8)
            .collect();
        assert_eq!(bytes(&data.image(n as u32).unwrap()), expected, "{n}");
    }
    // One image, whose last dimension is left out by MATLAB, and a label of type double.
    let one = open_with(&golden("svhn_one.mat"), &Options::default()).unwrap();
    assert_eq!((one.len(), one.label(0)), (1, Some(0)));
    assert_eq!(one.image(0).unwrap(), data.image(0).unwrap());
    let error = open_with(&golden("other.mat"), &Options::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing);
    let text = error.to_string();
    assert!(
        text.contains("'pixels'") && text.contains("numpy.savez"),
        "{text}"
    );
}
