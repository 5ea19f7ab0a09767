//! What a file is that holds no data of a known format, by its first bytes, and the line that
//! makes data of it.

use std::path::Path;

use crate::error::{Error, ErrorKind};
use crate::files;

/// How far into a file words are searched for, from both of its ends.
const SEARCHED: usize = 1 << 16;

/// A kind of file that people give as data.
struct Kind {
    /// What it is, with its article.
    name: &'static str,
    /// What to do.
    advice: &'static str,
    is_it: fn(&[u8]) -> bool,
}

const NETWORK: &str = "an ONNX network";

const PICKLE: &str = "a Python object, pickled";

const TORCH: &str = "make an npz of the tensors in Python: `x, y = torch.load(\"x.pt\"); \
    numpy.savez(\"x.npz\", images=x.numpy(), labels=y.numpy())`, with images as uint8, or floats \
    in [0, 1]";

const PNG: &str =
    "convert the images to PNG: `PIL.Image.open(\"x\").convert(\"RGB\").save(\"x.png\")`";

/// All kinds; the first that fits is the one.
const KINDS: &[Kind] = &[
    Kind {
        name: "a pointer of Git LFS, which stands for the file",
        advice: "fetch the file itself: `git lfs pull`",
        is_it: |bytes| bytes.starts_with(b"version https://git-lfs.github.com/spec/"),
    },
    Kind {
        name: "a MATLAB file of version 7.3, which is HDF5",
        advice: "make an npz of its arrays in Python: `import h5py, numpy; f = h5py.File(\"x.mat\"); \
            numpy.savez(\"x.npz\", images=f[\"X\"][:], labels=f[\"y\"][:].ravel())`, with images as \
            [N, C, H, W] or [N, H, W, C]",
        is_it: |bytes| bytes.starts_with(b"MATLAB 7.3"),
    },
    Kind {
        name: "an HDF5 file",
        advice: "make an npz of its arrays in Python: `import h5py, numpy; f = h5py.File(\"x.h5\"); \
            numpy.savez(\"x.npz\", images=f[\"images\"][:], labels=f[\"labels\"][:])`, with the names \
            that `list(f)` shows",
        is_it: |bytes| bytes.starts_with(b"\x89HDF\r\n\x1a\n"),
    },
    Kind {
        name: "an Arrow file",
        advice: "make an npz of it in Python: `import datasets, numpy; d = \
            datasets.Dataset.from_file(\"x.arrow\").with_format(\"numpy\"); \
            numpy.savez(\"x.npz\", images=d[\"image\"], labels=d[\"label\"])`",
        is_it: |bytes| bytes.starts_with(b"ARROW1") || bytes.starts_with(b"FEA1"),
    },
    Kind {
        name: "a file of torch.save",
        advice: TORCH,
        is_it: |bytes| {
            zip_with(bytes, "/data.pkl")
                || (is_pickle(bytes) && holds(bytes, b"\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"))
        },
    },
    Kind {
        name: "a zip archive without numpy arrays",
        advice: "unpack it (`python -m zipfile -e x.zip images`) and give the folder",
        is_it: |bytes| bytes.starts_with(b"PK\x03\x04") && !zip_with(bytes, ".npy"),
    },
    Kind {
        name: "an archive",
        advice: "unpack it (`tar -xf x.tar`, or the program that made it) and give the folder",
        is_it: |bytes| {
            let magic: [&[u8]; 5] = [
                b"BZh",
                b"\xfd7zXZ\0",
                b"\x28\xb5\x2f\xfd",
                b"7z\xbc\xaf\x27\x1c",
                b"Rar!\x1a\x07",
            ];
            magic.iter().any(|magic| bytes.starts_with(magic)) || is_tar(bytes)
        },
    },
    Kind {
        name: "a file of weights or tensors (safetensors)",
        advice: "make an npz of it in Python: `import safetensors.numpy, numpy; \
            t = safetensors.numpy.load_file(\"x.safetensors\"); \
            numpy.savez(\"x.npz\", images=t[\"images\"], labels=t[\"labels\"])`",
        is_it: |bytes| bytes.get(8) == Some(&b'{') && holds(bytes, b"\"data_offsets\""),
    },
    Kind {
        name: "a ledger or another SQLite database",
        advice: "give the images here",
        is_it: |bytes| bytes.starts_with(b"SQLite format 3\0"),
    },
    Kind {
        name: "a GIF image",
        advice: PNG,
        is_it: |bytes| bytes.starts_with(b"GIF87a") || bytes.starts_with(b"GIF89a"),
    },
    Kind {
        name: "a TIFF image",
        advice: PNG,
        is_it: |bytes| bytes.starts_with(b"II*\0") || bytes.starts_with(b"MM\0*"),
    },
    Kind {
        name: "an AVIF or HEIF image",
        advice: PNG,
        is_it: |bytes| {
            bytes.get(4..8) == Some(b"ftyp")
                && matches!(
                    bytes.get(8..12),
                    Some(b"avif" | b"heic" | b"heix" | b"mif1")
                )
        },
    },
    Kind {
        name: "a web page, which a server may have sent in place of the data",
        advice: "download the file again, from the address that leads to it and not to a page about it",
        is_it: |bytes| {
            let text = bytes.trim_ascii_start();
            let begins = |word: &[u8]| {
                text.get(..word.len())
                    .is_some_and(|begin| begin.eq_ignore_ascii_case(word))
            };
            begins(b"<!doctype html") || begins(b"<html")
        },
    },
    Kind {
        name: NETWORK,
        advice: "give the images here, and the network as the network",
        is_it: |bytes| {
            // The version of the format, then the name of what wrote it, or the graph.
            matches!(bytes, [0x08, 1..=20, 0x12 | 0x3a | 0x42, ..])
        },
    },
    Kind {
        name: PICKLE,
        advice: "make an npz of it in Python: `import pickle, numpy; d = \
            pickle.load(open(\"x.pkl\", \"rb\")); numpy.savez(\"x.npz\", images=d[\"data\"], \
            labels=d[\"labels\"])`, with its own keys",
        is_it: is_pickle,
    },
];

fn is_pickle(bytes: &[u8]) -> bool {
    matches!(bytes, [0x80, 2..=5, ..])
}

fn is_tar(bytes: &[u8]) -> bool {
    bytes.get(257..262) == Some(b"ustar")
}

/// Whether the bytes are those of a zip file in which a name ends like this.
fn zip_with(bytes: &[u8], end: &str) -> bool {
    bytes.starts_with(b"PK\x03\x04") && holds(bytes, end.as_bytes())
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

impl Kind {
    /// The error for a file of this kind.
    fn error(&self, path: &Path) -> Error {
        let message = format!("is {}; {}", self.name, self.advice);
        Error::new(ErrorKind::Unsupported, message).with_path(path)
    }
}

/// The kind of a file, where it is known.
fn kind_of(path: &Path) -> Option<&'static Kind> {
    let bytes = files::both_ends(path, SEARCHED).ok()?;
    let fits = |bytes: &[u8]| KINDS.iter().find(|kind| (kind.is_it)(bytes));
    // An archive may be compressed as a whole.
    let kind = fits(&bytes).or_else(|| {
        let inside = files::beginning_decompressed(path, 512).ok()?;
        (bytes.starts_with(&[0x1f, 0x8b]) && is_tar(&inside)).then(|| fits(&inside))?
    });
    // A network's first bytes are whatever its exporter wrote first.
    let named = (path.extension()).is_some_and(|end| end.eq_ignore_ascii_case("onnx"));
    kind.or_else(|| KINDS.iter().find(|kind| named && kind.name == NETWORK))
}

/// The error for a file that is recognised as something else than data.
pub(crate) fn refuse(path: &Path) -> Option<Error> {
    Some(kind_of(path)?.error(path))
}

/// Replaces what a reader says of a damaged file by what the file is, where that is known.
///
/// Pickles, and what merely may be a network, are left to the readers, which say more of them.
pub(crate) fn explain(error: Error) -> Error {
    let looks_damaged = matches!(
        error.kind(),
        ErrorKind::Corrupt
            | ErrorKind::Length
            | ErrorKind::Shape
            | ErrorKind::Unrecognised
            | ErrorKind::Unsupported
            | ErrorKind::Value
    );
    let explained = error
        .path()
        .filter(|path| looks_damaged && path.is_file())
        .and_then(|path| Some((kind_of(path)?, path)))
        .filter(|(kind, _)| ![PICKLE, NETWORK].contains(&kind.name))
        .map(|(kind, path)| kind.error(path));
    match explained {
        Some(explained) => explained.with_source(error),
        None => error,
    }
}
