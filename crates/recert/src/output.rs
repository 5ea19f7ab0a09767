//! Files that jobs write: whole or not at all, and over nothing that is needed.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use recert_data::DataSpec;
use recert_graph::write_whole;

use crate::{Error, ErrorKind, Result};

/// How much of a file is looked at for whether it is text.
const BEGIN: u64 = 1 << 16;

/// What every `SQLite` database begins with, and so every ledger.
const DATABASE: &[u8] = b"SQLite format 3\0";

/// Fails if the file `out` is a ledger, or one of `inputs`: files of the job,
/// and what each is. In place of a data set's folder, its files are meant.
///
/// # Errors
/// [`ErrorKind::Parameter`], naming the file.
pub fn check_place(out: &Path, inputs: &[(&Path, &str)]) -> Result<()> {
    let refuse = |role: &str| {
        let message = format!("{} is {role}: choose another name", out.display());
        Err(Error::new(ErrorKind::Parameter, message))
    };
    for (input, role) in inputs {
        if same(out, input) {
            return refuse(role);
        }
        if is_part(out, input) {
            return refuse(&format!("a file of {role}"));
        }
    }
    if is_database(out) {
        return refuse("a ledger, or another SQLite database");
    }
    Ok(())
}

/// The same for a file of text. One that is there and holds anything else, such as a network, images or an archive, is
/// somebody's, whatever it is.
///
/// # Errors
/// [`ErrorKind::Parameter`], naming the file.
///
/// ```
/// use recert::output::check_text_place;
///
/// # let folder = tempfile::tempdir().unwrap();
/// let page = folder.path().join("page.html");
/// assert!(check_text_place(&page, &[]).is_ok());
/// std::fs::write(&page, "an earlier page").unwrap();
/// assert!(check_text_place(&page, &[]).is_ok());
/// std::fs::write(&page, [8, 7, 0, 1]).unwrap();
/// assert!(check_text_place(&page, &[]).is_err());
/// ```
pub fn check_text_place(out: &Path, inputs: &[(&Path, &str)]) -> Result<()> {
    check_place(out, inputs)?;
    if begin(out, BEGIN).contains(&0) {
        return Err(not_replaced(out, "no text"));
    }
    Ok(())
}

/// The same for a network. A file that is there and is none is somebody's.
///
/// # Errors
/// [`ErrorKind::Parameter`], naming the file.
pub fn check_network_place(out: &Path, inputs: &[(&Path, &str)]) -> Result<()> {
    check_place(out, inputs)?;
    let there = out.is_file() && out.metadata().is_ok_and(|file| file.len() > 0);
    if there && recert_graph::Model::read(out).is_err() {
        return Err(not_replaced(out, "no network in ONNX"));
    }
    Ok(())
}

fn not_replaced(out: &Path, what: &str) -> Error {
    let message = format!(
        "{} is there and is {what}, so that it is not replaced: choose another name, or remove it",
        out.display()
    );
    Error::new(ErrorKind::Parameter, message)
}

/// The path in the text that names a data set.
pub(crate) fn data_path(spec: &str) -> Option<std::path::PathBuf> {
    spec.parse().ok().map(|spec: DataSpec| spec.path)
}

/// A number of things, such as `1 input` and `2 inputs`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// Writes a file in place of what is there, whole or not at all; a device or a
/// pipe is written to as it is.
///
/// # Errors
/// [`ErrorKind::Output`], naming the file.
pub fn write(out: &Path, bytes: &[u8]) -> Result<()> {
    let written = if out.exists() && !out.is_file() {
        fs::write(out, bytes)
    } else {
        write_whole(out, bytes)
    };
    written.map_err(|why| Error::output(out.display(), why))
}

/// Checks that the folder of a file that is to be written exists, so that nothing is computed in
/// vain.
///
/// ```
/// use recert::output::check_folder;
///
/// assert!(check_folder("net.onnx".as_ref()).is_ok());
/// assert!(check_folder("no/such/folder/net.onnx".as_ref()).is_err());
/// ```
///
/// # Errors
/// [`ErrorKind::Output`] if it does not.
pub fn check_folder(out: &Path) -> Result<()> {
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty());
    match folder {
        Some(folder) if !folder.is_dir() => {
            let why = format!("there is no folder {}: make it first", folder.display());
            Err(Error::output(out.display(), why))
        }
        _ => Ok(()),
    }
}

/// The bytes of an npy file of float32 in C order, format version 1.0.
///
/// ```
/// let bytes = recert::output::npy(&[1, 2], &[0.5, 1.0]);
/// assert!(bytes.starts_with(b"\x93NUMPY\x01\x00"));
/// assert_eq!(bytes.len(), 128 + 8);
/// ```
pub fn npy(shape: &[usize], values: &[f32]) -> Vec<u8> {
    let extents: Vec<String> = shape.iter().map(usize::to_string).collect();
    let extents = extents.join(", ");
    let head = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({extents},), }}");
    // The head ends at a multiple of 64 bytes, of which magic, version and length are ten.
    let length = (10 + head.len() + 1).next_multiple_of(64).max(128) - 10;
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((length as u16).to_le_bytes());
    bytes.extend(format!("{head:<width$}\n", width = length - 1).bytes());
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    bytes
}

/// Whether two paths lead to one file, through links of either kind.
pub(crate) fn same(a: &Path, b: &Path) -> bool {
    let (Ok(whole_a), Ok(whole_b)) = (fs::canonicalize(a), fs::canonicalize(b)) else {
        return false;
    };
    whole_a == whole_b || same_inode(&whole_a, &whole_b)
}

#[cfg(unix)]
fn same_inode(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let inode = |path| {
        let metadata = fs::metadata(path).ok()?;
        Some((metadata.dev(), metadata.ino()))
    };
    inode(a).is_some_and(|of_a| inode(b) == Some(of_a))
}

/// Elsewhere the standard library does not tell hard links.
#[cfg(not(unix))]
fn same_inode(_: &Path, _: &Path) -> bool {
    false
}

/// Whether `out` is a file there is within the folder `input`. Networks are no
/// data: they may stand beside it.
fn is_part(out: &Path, input: &Path) -> bool {
    let (Ok(whole), Ok(folder)) = (fs::canonicalize(out), fs::canonicalize(input)) else {
        return false;
    };
    let network = (whole.extension()).is_some_and(|kind| kind.eq_ignore_ascii_case("onnx"));
    folder.is_dir() && whole.is_file() && !network && whole.starts_with(folder)
}

fn is_database(path: &Path) -> bool {
    begin(path, DATABASE.len() as u64) == DATABASE
}

/// The first bytes of a file; none of what is no file, or cannot be read.
fn begin(path: &Path, length: u64) -> Vec<u8> {
    let mut begin = Vec::new();
    // Opening a pipe would wait for somebody to write to it.
    if path.is_file() {
        let read = File::open(path).and_then(|file| file.take(length).read_to_end(&mut begin));
        if read.is_err() {
            begin.clear();
        }
    }
    begin
}
