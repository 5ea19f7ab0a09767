//! Files that are given as data and are none: what they are, and the line that makes data of
//! them; and what is no file at all.

use crate::support::{Temp, gzip, npy, open, open_as, open_with, png, zip};
use recert_data::{ErrorKind, Format, Options};

#[test]
fn other_files_are_named_with_the_line_that_converts_them() {
    let mut tar = vec![0; 1024];
    tar[257..262].copy_from_slice(b"ustar");
    let torch = zip(&[("x/data.pkl", b"\x80\x02}.".to_vec())]);
    let pictures = zip(&[("a/1.png", png(2, 2, [1; 3]))]);
    let legacy = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.";
    let table: Vec<(Vec<u8>, &str, &str)> = vec![
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n".to_vec(),
            "Git LFS",
            "`git lfs pull`",
        ),
        (b"\x89HDF\r\n\x1a\n....".to_vec(), "HDF5", "h5py.File"),
        (
            b"MATLAB 7.3 MAT-file, ".to_vec(),
            "version 7.3",
            "h5py.File",
        ),
        (
            b"ARROW1\0\0".to_vec(),
            "Arrow",
            "datasets.Dataset.from_file",
        ),
        (torch, "torch.save", "torch.load"),
        (legacy.to_vec(), "torch.save", "torch.load"),
        (pictures, "zip archive", "python -m zipfile -e"),
        (tar.clone(), "archive", "tar -xf"),
        (gzip(&tar), "archive", "tar -xf"),
        (b"7z\xbc\xaf\x27\x1c..".to_vec(), "archive", "unpack"),
        (b"GIF89a......".to_vec(), "GIF", "convert(\"RGB\")"),
        (b"II*\0....".to_vec(), "TIFF", "convert(\"RGB\")"),
        (b"SQLite format 3\0".to_vec(), "ledger", "images"),
        (b"<!DOCTYPE html><html>".to_vec(), "web page", "download"),
        (
            b"\x08\x08\x12\x07pytorch".to_vec(),
            "ONNX network",
            "images here",
        ),
    ];
    let temp = Temp::new();
    for (bytes, name, advice) in table {
        let file = temp.write("file.dat", &bytes);
        let error = open(&file).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{name}: {error}");
        let text = error.to_string();
        assert!(
            text.contains(name) && text.contains(advice),
            "{name}: {text}"
        );
        assert!(text.contains("file.dat"), "{text}");
        // As labels they are refused in the same words.
        let options = Options {
            labels: Some(file),
            ..Options::default()
        };
        let images = temp.write("x.npy", npy("|u1", false, "1, 4", &[0; 4]));
        let error = open_with(&images, &options).unwrap_err();
        assert!(error.to_string().contains(name), "{name}: {error}");
    }
}

#[test]
fn a_network_given_as_data_is_named_whatever_comes_first_in_it() {
    let temp = Temp::new();
    // The operator set first, and the version last.
    let file = temp.write("net.onnx", b"\x42\x02\x10\x0d\x3a\x00\x08\x07");
    let error = open(&file).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert!(error.to_string().contains("ONNX network"), "{error}");
}

#[test]
fn pointers_of_git_lfs_are_named_wherever_they_stand() {
    let temp = Temp::new();
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n";
    temp.write("cifar/cifar-10-batches-py/test_batch", pointer);
    temp.write("mnist/t10k-images-idx3-ubyte", pointer);
    temp.write("svhn/test_32x32.mat", pointer);
    for folder in ["cifar", "mnist", "svhn"] {
        let error = open(&temp.path().join(folder)).unwrap_err();
        assert!(
            error.to_string().contains("git lfs pull"),
            "{folder}: {error}"
        );
    }
    temp.write("images/a/x.png", pointer);
    let error = open(&temp.path().join("images")).unwrap_err();
    assert!(error.to_string().contains("git lfs pull"), "{error}");
    for format in [Format::Npy, Format::Npz, Format::Csv] {
        let file = temp.write("x", pointer);
        let error = open_as(format, &file).unwrap_err();
        assert!(
            error.to_string().contains("git lfs pull"),
            "{format}: {error}"
        );
    }
}

/// Opening a pipe would wait for ever for somebody to write to it.
#[cfg(unix)]
#[test]
fn pipes_and_devices_are_refused_everywhere() {
    let temp = Temp::new();
    let pipe = |name: &str| {
        let path = temp.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let made = std::process::Command::new("mkfifo")
            .arg(&path)
            .status()
            .unwrap();
        assert!(made.success());
        path
    };
    let one = pipe("x.png");
    for path in [one.as_path(), std::path::Path::new("/dev/zero")] {
        let error = open(path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io, "{error}");
        assert!(error.to_string().contains("pipe or device"), "{error}");
        for format in Format::ALL {
            assert!(open_as(format, path).is_err(), "{format}");
        }
    }
    // As the only image of a folder, and beside files that are read.
    for name in [
        "folder/a/x.png",
        "val/val_annotations.txt",
        "cifar-10-batches-py/test_batch",
        "cifar-100-python/test",
        "svhn/test_32x32.mat",
        "idx/t10k-images-idx3-ubyte",
    ] {
        let path = pipe(&format!("in/{name}"));
        assert!(open(path.parent().unwrap()).is_err(), "{name}");
        std::fs::remove_file(path).unwrap();
    }
    let images = temp.write("x.npy", npy("|u1", false, "1, 4", &[0; 4]));
    let options = Options {
        labels: Some(one.clone()),
        ..Options::default()
    };
    assert_eq!(
        open_with(&images, &options).unwrap_err().kind(),
        ErrorKind::Io
    );
    temp.write("set/a/x.png", png(2, 2, [1; 3]));
    let options = Options {
        classes: Some(one),
        ..Options::default()
    };
    let error = open_with(&temp.path().join("set"), &options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
}

#[test]
fn images_that_claim_too_much_memory_are_refused() {
    let temp = Temp::new();
    // A PNG of 2^31 - 1 by 2^31 - 1 pixels, a BMP and a WebP of as many as they can have.
    let mut png_file = png(2, 2, [1; 3]);
    png_file[16..24].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]);
    let checksum = flate2::Crc::new();
    let mut checksum = checksum;
    checksum.update(&png_file[12..29]);
    let sum = checksum.sum().to_be_bytes();
    png_file[29..33].copy_from_slice(&sum);
    let mut bmp = crate::support::golden("colour.bmp");
    bmp[18..22].copy_from_slice(&60_000_u32.to_le_bytes());
    bmp[22..26].copy_from_slice(&60_000_u32.to_le_bytes());
    for (name, bytes) in [("x.png", png_file), ("x.bmp", bmp)] {
        let file = temp.write(name, bytes);
        let result = open(&file).and_then(|data| data.image(0));
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Corrupt, "{name}");
    }
    let webp = crate::support::golden("lossy.webp");
    for length in [20, webp.len() / 2, webp.len() - 2] {
        let file = temp.write("x.webp", &webp[..length]);
        assert!(
            open(&file).and_then(|data| data.image(0)).is_err(),
            "{length}"
        );
    }
    let bmp = crate::support::golden("colour.bmp");
    for length in [60, bmp.len() / 2, bmp.len() - 2] {
        let file = temp.write("x.bmp", &bmp[..length]);
        assert!(
            open(&file).and_then(|data| data.image(0)).is_err(),
            "{length}"
        );
    }
}
