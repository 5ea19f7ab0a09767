//! Resizing, cropping and conversion to RGB against bytes that Pillow computed.

use std::path::PathBuf;

use crate::support::{bytes, open_with};
use recert_data::{ErrorKind, Options};

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
fn deep_greyscale_is_refused() {
    let data = open_with(&golden("deep_l.png"), &Options::default()).unwrap();
    let error = data.image(0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}
