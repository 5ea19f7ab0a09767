//! Random and randomly damaged files of every format: errors, never a panic.

use crate::support::{
    Temp, golden, gzip, idx, mat, npy, open_as, open_with, pickle, pickle_100, png, record, zip,
};
use proptest::prelude::*;
use recert_data::{Format, Options};

/// A sound file of each kind that a single path can name.
fn sound_files() -> Vec<Vec<u8>> {
    let images = idx(&[3, 2, 2], &[200; 12]);
    let floats: Vec<u8> = [0.5_f32; 12]
        .into_iter()
        .flat_map(f32::to_le_bytes)
        .collect();
    let array = npy("<f4", true, "1, 3, 2, 2", &floats);
    let mut jpeg = std::io::Cursor::new(Vec::new());
    let drawing = image::RgbImage::from_fn(20, 20, |x, y| image::Rgb([x as u8, y as u8 * 9, 7]));
    drawing
        .write_to(&mut jpeg, image::ImageFormat::Jpeg)
        .unwrap();
    vec![
        record(1, 2),
        pickle(&[3], &record(0, 9)[1..], &["a.png"]),
        gzip(&images),
        images,
        zip(&[
            ("x.npy", array.clone()),
            ("y.npy", npy("|u1", false, "1", &[4])),
        ]),
        array,
        png(5, 6, [1, 2, 3]),
        jpeg.into_inner(),
        pickle_100(&[3], &record(0, 9)[1..]),
        golden("svhn.mat"),
        mat(false),
        golden("lossless.webp"),
        golden("lossy.webp"),
        golden("palette.bmp"),
        golden("parquet/colour.parquet"),
        golden("parquet/lists.parquet"),
        golden("parquet/rows.parquet"),
        b"label,a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p\n3,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,255\n"
            .to_vec(),
    ]
}

/// Opens a file in every format and reads all of it.
fn read_in_every_way(file: &[u8]) {
    let temp = Temp::new();
    let path = temp.write("file.png", file);
    for format in Format::ALL {
        for path in [path.as_path(), temp.path()] {
            if let Ok(data) = open_as(format, path) {
                for i in 0..data.len().min(4) as u32 {
                    let _ = (
                        data.image(i),
                        data.label(i),
                        data.name(i),
                        data.class_name(i),
                    );
                }
            }
        }
    }
    let options = Options {
        resize: Some(7),
        crop: Some(5),
        labels: Some(path.clone()),
        ..Options::default()
    };
    if let Ok(data) = open_with(&path, &options) {
        let _ = data.image(0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        read_in_every_way(&bytes);
    }

    #[test]
    fn random_bytes_after_a_magic(
        magic in prop::sample::select(vec![
            &b"\x93NUMPY\x01\x00"[..], b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b\x08", b"\x00\x00\x08\x03",
            b"\x80\x02", b"MATLAB 5.0 MAT-file", b"RIFF\xff\0\0\0WEBPVP8 ", b"RIFF\xff\0\0\0WEBPVP8L", b"BM\xff\xff\0\0\0\0\0\0", b"label,0\n", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"\xff\xd8\xff\xdb",
        ]),
        bytes in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        read_in_every_way(&[magic, &bytes].concat());
    }

    #[test]
    fn damaged_files(
        which in 0_usize..15,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
        early: bool,
    ) {
        let mut file = sound_files().swap_remove(which);
        for (at, value) in changes {
            // Headers are short, so half of the cases aim at them.
            let range = if early { file.len().min(200) } else { file.len() };
            file[at.index(range)] = value;
        }
        if let Some(cut) = cut {
            file.truncate(cut.index(file.len()));
        }
        read_in_every_way(&file);
    }
}

#[test]
fn sound_files_are_read() {
    for file in sound_files() {
        let temp = Temp::new();
        let path = temp.write("file.bin", &file);
        let data = open_with(&path, &Options::default()).unwrap();
        assert!(data.image(0).is_ok());
    }
}
