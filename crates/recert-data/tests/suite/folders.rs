//! Image folders: classes, order, shapes, and what is refused.

use crate::support::{Temp, bytes, open, open_as, open_with, png};
use recert_data::{ErrorKind, Format, Options};

fn grey(value: u8) -> Vec<u8> {
    png(2, 2, [value; 3])
}

fn names(data: &recert_data::Dataset) -> Vec<String> {
    (0..data.len() as u32).map_while(|i| data.name(i)).collect()
}

fn labels(data: &recert_data::Dataset) -> Vec<u32> {
    (0..data.len() as u32)
        .map_while(|i| data.label(i))
        .collect()
}

#[test]
fn classes_and_images_are_sorted_as_torchvision_sorts_them() {
    let temp = Temp::new();
    // Expected order from Python: sorted(os.walk(..)) by the path of the folder
    // ('-' comes before '/'), then by file name, upper case first.
    for (value, name) in [
        "Zebra/b.PNG",
        "ant/B.png",
        "ant/a.png",
        "ant/sub-b/1.png",
        "ant/sub/deep/2.png",
    ]
    .into_iter()
    .enumerate()
    {
        temp.write(name, grey(value as u8));
    }
    for ignored in [
        "wnids.txt",
        "lone.png",
        ".hidden/x.png",
        "ant/.x.png",
        "ant/notes.txt",
        "ant/._a.png",
    ] {
        temp.write(ignored, grey(99));
    }
    let data = open(temp.path()).unwrap();
    assert_eq!(data.format(), Format::ImageFolder);
    assert_eq!(
        names(&data),
        [
            "Zebra/b.PNG",
            "ant/B.png",
            "ant/a.png",
            "ant/sub-b/1.png",
            "ant/sub/deep/2.png"
        ]
    );
    assert_eq!(labels(&data), [0, 1, 1, 1, 1]);
    assert_eq!(data.class_names().unwrap(), ["Zebra", "ant"]);
    assert_eq!(data.class_name(4), Some("ant"));
    for i in 0..5 {
        assert_eq!(bytes(&data.image(i).unwrap()), [i as u8; 12]);
    }
    assert_eq!(data.image(5).unwrap_err().kind(), ErrorKind::Index);
}

#[test]
fn channels_come_one_after_the_other() {
    let temp = Temp::new();
    temp.write("c/x.png", png(2, 1, [10, 20, 30]));
    let image = open(temp.path()).unwrap().image(0).unwrap();
    assert_eq!(image.shape.to_string(), "3x1x2");
    assert_eq!(bytes(&image), [10, 10, 20, 20, 30, 30]);
}

#[test]
fn flat_folders_and_single_images_have_no_labels() {
    let temp = Temp::new();
    temp.write("b.png", grey(2));
    let single = temp.write("a.jpg.png", grey(1));
    std::fs::create_dir(temp.path().join("empty")).unwrap();
    let data = open(temp.path()).unwrap();
    assert_eq!(names(&data), ["a.jpg.png", "b.png"]);
    assert_eq!((data.label(0), data.class_names()), (None, None));
    assert_eq!(bytes(&data.image(1).unwrap()), [2; 12]);
    let one = open(&single).unwrap();
    assert_eq!((one.len(), one.format()), (1, Format::ImageFolder));
    assert_eq!(bytes(&one.image(0).unwrap()), [1; 12]);
}

#[test]
fn one_folder_alone_is_no_class() {
    let temp = Temp::new();
    temp.write("images/a.png", grey(1));
    temp.write("images/b.png", grey(2));
    let data = open(temp.path()).unwrap();
    assert_eq!(names(&data), ["images/a.png", "images/b.png"]);
    assert_eq!((data.label(0), data.class_names()), (None, None));
    let options = Options {
        classes: Some(temp.write("classes.txt", "cats\nimages\n")),
        ..Options::default()
    };
    let data = open_with(temp.path(), &options).unwrap();
    assert_eq!(labels(&data), [1, 1]);
}

#[test]
fn a_list_of_classes_gives_the_labels() {
    let temp = Temp::new();
    temp.write("set/n2/x.png", grey(0));
    temp.write("set/n7/x.png", grey(0));
    let with = |text: &str| {
        let options = Options {
            classes: Some(temp.write("classes.txt", text)),
            label_offset: 1,
            ..Options::default()
        };
        open_with(&temp.path().join("set"), &options)
    };
    let data = with("n1\nn2\r\nn5\nn7\n\n").unwrap();
    assert_eq!(labels(&data), [2, 4]);
    assert_eq!(data.class_name(1), Some("n7"));
    for (text, kind) in [
        ("n1\nn2\n", ErrorKind::Label),
        ("n2\n\nn7\n", ErrorKind::Corrupt),
        ("n2\nn2\nn7\n", ErrorKind::Corrupt),
        ("", ErrorKind::Label),
    ] {
        assert_eq!(with(text).unwrap_err().kind(), kind, "{text:?}");
    }
    let flat = Options {
        classes: Some(temp.path().join("classes.txt")),
        ..Options::default()
    };
    let error = open_with(&temp.path().join("set/n2"), &flat).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Options);
}

#[test]
fn images_of_several_sizes_need_a_crop() {
    let temp = Temp::new();
    temp.write("c/a.png", png(4, 2, [1; 3]));
    temp.write("c/b.png", png(2, 4, [2; 3]));
    let data = open(temp.path()).unwrap();
    assert_eq!(data.shape().to_string(), "3x2x4");
    assert!(data.image(0).is_ok());
    let error = data.image(1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Shape);
    assert!(error.path().unwrap().ends_with("c/b.png"), "{error}");

    let resize = Options {
        resize: Some(8),
        ..Options::default()
    };
    let data = open_with(temp.path(), &resize).unwrap();
    assert_eq!(data.shape().to_string(), "3x8x16");
    assert_eq!(data.image(1).unwrap_err().kind(), ErrorKind::Shape);
    let both = Options {
        crop: Some(6),
        ..resize
    };
    let data = open_with(temp.path(), &both).unwrap();
    assert_eq!(data.shape().to_string(), "3x6x6");
    assert_eq!(bytes(&data.image(1).unwrap()), [2; 108]);

    for (resize, crop) in [
        (Some(0), None),
        (None, Some(0)),
        (Some(u32::MAX), None),
        (None, Some(u32::MAX)),
    ] {
        let options = Options {
            resize,
            crop,
            ..Options::default()
        };
        let error = open_with(temp.path(), &options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Options);
    }
}

#[test]
fn folders_without_usable_images_are_refused() {
    let check = |files: &[(&str, &[u8])], kind: ErrorKind, part: &str| {
        let temp = Temp::new();
        for (name, content) in files {
            temp.write(name, content);
        }
        let error = open_as(Format::ImageFolder, temp.path()).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(part), "no '{part}' in: {error}");
    };
    let image = &grey(0)[..];
    check(&[], ErrorKind::Empty, "holds no image");
    check(&[("c/notes.txt", b"x")], ErrorKind::Empty, "holds no image");
    check(
        &[("a/x.png", image), ("b/notes.txt", b"x")],
        ErrorKind::Empty,
        "no image, so labels",
    );
    check(
        &[("a/x.png", image), ("a/y.gif", b"x")],
        ErrorKind::Unsupported,
        "y.gif",
    );
    check(&[("x.tiff", b"x")], ErrorKind::Unsupported, "x.tiff");
    check(
        &[("train/a/x.png", image), ("val/a/x.png", image)],
        ErrorKind::Unrecognised,
        "'train', 'val'",
    );
    check(
        &[("a/x.png", b"no image")],
        ErrorKind::Corrupt,
        "x.png: is neither a PNG nor a JPEG, WebP",
    );
    check(
        &[("a/x.png", &image[..20])],
        ErrorKind::Corrupt,
        "x.png: cannot be decoded",
    );

    // "train" is also a vehicle.
    let temp = Temp::new();
    temp.write("train/x.png", image);
    temp.write("val/x.png", image);
    assert_eq!(open(temp.path()).unwrap().class_name(0), Some("train"));
}

#[test]
fn damaged_images_are_refused_when_asked_for() {
    let temp = Temp::new();
    let good = png(9, 9, [1, 2, 3]);
    temp.write("a.png", &good);
    temp.write("b.png", &good[..good.len() - 20]);
    temp.write("c.png", b"nonsense");
    let mut jpeg = std::io::Cursor::new(Vec::new());
    let drawing =
        image::RgbImage::from_fn(64, 64, |x, y| image::Rgb([x as u8 * 4, y as u8 * 4, 7]));
    drawing
        .write_to(&mut jpeg, image::ImageFormat::Jpeg)
        .unwrap();
    let jpeg = jpeg.into_inner();
    temp.write("d.jpg", &jpeg[..jpeg.len() / 2 + 300]);
    let crop = Options {
        crop: Some(9),
        ..Options::default()
    };
    let data = open_with(temp.path(), &crop).unwrap();
    assert_eq!(data.len(), 4);
    assert!(data.image(0).is_ok());
    for (i, name, kind) in [
        (1, "b.png", ErrorKind::Corrupt),
        (2, "c.png", ErrorKind::Corrupt),
        (3, "d.jpg", ErrorKind::Length),
    ] {
        let error = data.image(i).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.path().unwrap().ends_with(name), "{error}");
    }
}

#[cfg(unix)]
#[test]
fn links_are_followed_but_not_for_ever() {
    let temp = Temp::new();
    temp.write("real/x.png", grey(0));
    std::fs::create_dir(temp.path().join("set")).unwrap();
    std::os::unix::fs::symlink(temp.path().join("real"), temp.path().join("set/class")).unwrap();
    assert_eq!(
        names(&open(&temp.path().join("set")).unwrap()),
        ["class/x.png"]
    );
    std::os::unix::fs::symlink(temp.path().join("real"), temp.path().join("real/again")).unwrap();
    let error = open(&temp.path().join("set")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(
        error.to_string().contains("a link may point back"),
        "{error}"
    );
}
