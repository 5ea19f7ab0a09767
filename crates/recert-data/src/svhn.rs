//! SVHN's cropped digits: MAT files of `X`, uint8 of [32, 32, 3, N], and `y`, N labels from 1
//! to 10, of which 10 is the digit 0.
//!
//! The files are those of <http://ufldl.stanford.edu/housenumbers/>, under the names by which
//! torchvision keeps them. Labels become digits as in torchvision: 10 becomes 0.

use std::path::{Path, PathBuf};

use crate::cifar;
use crate::contents::Contents;
use crate::error::{Error, ErrorKind, Result};
use crate::mat::{self, Element};
use crate::spec::{Options, Split};
use crate::strided::{Strided, dims_text};

/// The line that makes an npz of another MAT file.
const CONVERT: &str = "python -c \"import scipy.io, numpy; m = scipy.io.loadmat('x.mat'); \
    numpy.savez('x.npz', images=m['NAME'], labels=m['NAME'].ravel())\", with images as \
    [N, H, W, C] and labels from 0";

fn file_name(split: Split) -> &'static str {
    match split {
        Split::Test => "test_32x32.mat",
        Split::Train => "train_32x32.mat",
    }
}

/// Whether a folder holds SVHN's files.
pub(crate) fn holds_files(folder: &Path) -> bool {
    [Split::Test, Split::Train]
        .into_iter()
        .any(|split| folder.join(file_name(split)).is_file())
}

/// Opens a file, or the file of the split in a folder.
pub(crate) fn open(path: &Path, options: &Options) -> Result<Contents> {
    let path: PathBuf = if path.is_dir() {
        path.join(file_name(options.split))
    } else {
        path.to_owned()
    };
    read(&path).map_err(|e| e.with_path(path))
}

fn read(path: &Path) -> Result<Contents> {
    let mut file = mat::read(path, &["X", "y"])?;
    let mut find =
        |name: &str| {
            let found = file.matrices.iter().position(|matrix| matrix.name == name);
            found.map(|i| file.matrices.swap_remove(i)).ok_or_else(|| {
            let names: Vec<String> = file.names.iter().take(20).map(|n| format!("'{n}'")).collect();
            let message = format!(
                "holds no '{name}' but {}; read as SVHN it has 'X', uint8 of [32, 32, 3, N], and \
                 'y'; make an npz of other arrays: {CONVERT}",
                if names.is_empty() { "no array".to_owned() } else { names.join(", ") }
            );
            Error::new(ErrorKind::Missing, message)
        })
        };
    let (images, labels) = (find("X")?, find("y")?);
    // MATLAB leaves out a last dimension of 1.
    let len = match images.dims[..] {
        [32, 32, 3] => 1,
        [32, 32, 3, len] => len,
        _ => 0,
    };
    if images.element != Element::Unsigned(1) || len == 0 {
        let message = format!(
            "'X' of {} is not uint8 of [32, 32, 3, N]; make an npz of it: {CONVERT}",
            dims_text(&images.dims)
        );
        return Err(Error::new(ErrorKind::Shape, message));
    }
    let digits = labels.integers().unwrap_or_default();
    if digits.len() as u64 != len {
        let message = format!("{len} images have {} whole numbers as labels", digits.len());
        return Err(Error::new(ErrorKind::Label, message));
    }
    let digit = |(i, label): (usize, &i64)| match label {
        1..=9 => Ok(*label),
        10 => Ok(0),
        _ => {
            let message = format!(
                "label {label} of image {i} is not one of SVHN's, 1 to 9 and 10 for the digit 0"
            );
            Err(Error::new(ErrorKind::Label, message))
        }
    };
    let digits: Vec<i64> = digits
        .iter()
        .enumerate()
        .map(digit)
        .collect::<Result<_>>()?;
    let images = Strided::from_matlab(path, images.bytes, cifar::SHAPE);
    let mut contents = Contents::new(images);
    contents.labels = Some(digits.into());
    contents.class_names = Some((0..10).map(|digit| digit.to_string()).collect());
    Ok(contents)
}
