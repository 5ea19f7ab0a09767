//! Builds tiny data files by hand, byte by byte, for the tests of this crate.
use std::io::Write;
use std::path::{Path, PathBuf};

use recert_data::{DataSpec, Dataset, Error, Format, Image, Options};

/// A CIFAR-10 record whose pixels count up from `first`.
pub(crate) fn record(label: u8, first: u8) -> Vec<u8> {
    let pixels = (0..3072).map(|at| first.wrapping_add(at as u8));
    std::iter::once(label).chain(pixels).collect()
}

/// An IDX file of bytes.
pub(crate) fn idx(dims: &[u32], bytes: &[u8]) -> Vec<u8> {
    let mut file = vec![0, 0, 8, dims.len() as u8];
    file.extend(dims.iter().flat_map(|dim| dim.to_be_bytes()));
    file.extend(bytes);
    file
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// An npy file as numpy writes it; `dims` is the text between the brackets.
pub(crate) fn npy(descr: &str, fortran: bool, dims: &str, bytes: &[u8]) -> Vec<u8> {
    let fortran = if fortran { "True" } else { "False" };
    let mut text =
        format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': ({dims}), }}");
    while !(10 + text.len() + 1).is_multiple_of(64) {
        text.push(' ');
    }
    text.push('\n');
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((text.len() as u16).to_le_bytes());
    file.extend(text.as_bytes());
    file.extend(bytes);
    file
}

/// A zip file of the given entries, deflated.
pub(crate) fn zip(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Deflated);
    for (name, bytes) in entries {
        writer.start_file(*name, options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// A pickled batch, instruction by instruction as Python 2 writes it.
pub(crate) fn pickle(labels: &[u8], pixels: &[u8], names: &[&str]) -> Vec<u8> {
    let key = |key: &str| [b"U", &[key.len() as u8][..], key.as_bytes()].concat();
    let mut file = b"\x80\x02}q\x01(".to_vec();
    file.extend(key("labels"));
    file.extend(b"]q\x02(");
    file.extend(labels.iter().flat_map(|label| [b'K', *label]));
    file.push(b'e');
    file.extend(key("data"));
    file.extend(b"cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04");
    file.extend(b"K\x00\x85U\x01b\x87Rq\x05(K\x01");
    file.extend(b"M");
    file.extend((labels.len() as u16).to_le_bytes());
    file.extend(b"M\x00\x0c\x86cnumpy\ndtype\nq\x06U\x02u1K\x00K\x01\x87Rq\x07");
    file.extend(b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T");
    file.extend((pixels.len() as u32).to_le_bytes());
    file.extend(pixels);
    file.extend(b"tb");
    file.extend(key("filenames"));
    file.extend(b"]q\x08(");
    for name in names {
        file.extend(key(name));
    }
    file.extend(b"eu.");
    file
}

/// A pickled batch of CIFAR-100, with coarse labels as well.
pub(crate) fn pickle_100(labels: &[u8], pixels: &[u8]) -> Vec<u8> {
    let names: Vec<String> = (0..labels.len()).map(|i| format!("{i}.png")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let file = pickle(labels, pixels, &names);
    let mut fine = b"\x80\x02}q\x01(U\x0dcoarse_labels]q\x20(".to_vec();
    fine.extend(labels.iter().flat_map(|_| [b'K', 19]));
    fine.extend(b"eU\x0bfine_labels");
    // After the key 'labels' and what comes before it.
    fine.extend(&file[14..]);
    fine
}

/// A MAT file of SVHN's arrays with two images, not compressed, of either byte order.
pub(crate) fn mat(big_endian: bool) -> Vec<u8> {
    let word = |value: u32| {
        if big_endian {
            value.to_be_bytes()
        } else {
            value.to_le_bytes()
        }
    };
    let element = |code: u32, bytes: &[u8]| {
        let mut element = [word(code), word(bytes.len() as u32)].concat();
        element.extend(bytes);
        element.resize(element.len().next_multiple_of(8), 0);
        element
    };
    let words = |values: &[u32]| values.iter().flat_map(|&v| word(v)).collect::<Vec<u8>>();
    let matrix = |name: &str, class: u32, dims: &[u32], code: u32, bytes: &[u8]| {
        let parts = [
            element(6, &words(&[class, 0])),
            element(5, &words(dims)),
            element(1, name.as_bytes()),
            element(code, bytes),
        ];
        element(14, &parts.concat())
    };
    let mut file = b"MATLAB 5.0 MAT-file, written by a test".to_vec();
    file.resize(124, b' ');
    file.extend(if big_endian {
        b"\x01\x00MI"
    } else {
        b"\x00\x01IM"
    });
    let pixels: Vec<u8> = (0..2 * 3072).map(|at| (at % 251) as u8).collect();
    file.extend(matrix("X", 9, &[32, 32, 3, 2], 2, &pixels));
    let labels: Vec<u8> = [10_i16, 3]
        .into_iter()
        .flat_map(|label| {
            if big_endian {
                label.to_be_bytes()
            } else {
                label.to_le_bytes()
            }
        })
        .collect();
    file.extend(matrix("y", 6, &[2, 1], 3, &labels));
    file
}

/// A file of the folder of golden data.
pub(crate) fn golden(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    std::fs::read(folder.join(name)).unwrap()
}

/// A PNG file of one colour.
pub(crate) fn png(width: u32, height: u32, colour: [u8; 3]) -> Vec<u8> {
    let image = image::RgbImage::from_pixel(width, height, image::Rgb(colour));
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// A folder that is removed at the end of the test.
pub(crate) struct Temp(tempfile::TempDir);

impl Temp {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file, with the folders that lead to it.
    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

/// Opens a path whose format is recognised, with the default options.
pub(crate) fn open(path: &Path) -> Result<Dataset, Error> {
    open_with(path, &Options::default())
}

pub(crate) fn open_with(path: &Path, options: &Options) -> Result<Dataset, Error> {
    Dataset::open(&DataSpec::from(path.to_owned()), options)
}

pub(crate) fn open_as(format: Format, path: &Path) -> Result<Dataset, Error> {
    let spec = DataSpec {
        format: Some(format),
        path: path.to_owned(),
    };
    Dataset::open(&spec, &Options::default())
}

/// The pixels of an 8-bit image as bytes, checked against their definition.
pub(crate) fn bytes(image: &Image) -> Vec<u8> {
    assert_eq!(image.grid, recert_data::Grid::EightBit);
    assert_eq!(image.shape.checked_len(), Some(image.pixels.len()));
    let byte = |&pixel: &f32| {
        let byte = (pixel * 255.0).round() as u8;
        assert_eq!(pixel, f32::from(byte) / 255.0);
        byte
    };
    image.pixels.iter().map(byte).collect()
}
