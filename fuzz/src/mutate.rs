//! Damaged files in every parser: an error or an answer, and never a panic, nor more memory
//! than a file of that size asks for.

use std::path::Path;

use anyhow::Result;
use recert_bounds::vnnlib;
use recert_data::{DataSpec, Dataset, Format, Options};
use recert_graph::{Builder, Data, Interpreter, Limits, Model, Tensor};
use recert_ledger::{Ledger, Proof, TransformProof, raw};

use crate::draw::Draw;
use crate::sound::sound;

/// What is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A network: signature, graph, reference interpreter, rewrites.
    Network,
    /// A ledger: opened, checked.
    Ledger,
    /// A blob of a ledger: answers, numbers of samples, proofs. Without its checksum, which
    /// reading adds.
    Blob,
    /// A batch of CIFAR as a pickle.
    Pickle,
    /// CIFAR's binary records.
    Records,
    /// IDX, of images and of labels.
    Idx,
    /// A numpy array, of images and of labels.
    Npy,
    /// A zip file of such arrays.
    Npz,
    /// SVHN's MAT file.
    Mat,
    /// Images in Parquet.
    Parquet,
    /// PNG, JPEG, WebP, BMP.
    Picture,
    /// Rows of pixels as text.
    Csv,
    /// Labels as text, and names of classes.
    Labels,
    /// A log in the format of Cohen et al.
    Log,
    /// A report as JSON.
    Report,
    /// A specification in VNN-LIB, and a list of instances.
    Specification,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 16] = [
        Self::Network,
        Self::Ledger,
        Self::Blob,
        Self::Pickle,
        Self::Records,
        Self::Idx,
        Self::Npy,
        Self::Npz,
        Self::Mat,
        Self::Parquet,
        Self::Picture,
        Self::Csv,
        Self::Labels,
        Self::Log,
        Self::Report,
        Self::Specification,
    ];

    /// Its name, in one word.
    pub fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    /// The kind of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Damages a file: bits, bytes, numbers, pieces cut out, doubled or moved.
pub fn damage(file: &mut Vec<u8>, draw: &mut Draw<'_>) {
    for _ in 0..=draw.below(4) {
        if file.is_empty() {
            return;
        }
        // Drawn in two parts: a draw of one byte reaches 256 places.
        let place = (draw.below(256) * 257 + draw.below(256)) * file.len() / 65_793;
        let place = place.min(file.len() - 1);
        let length = draw.pick(&[1, 4, 16, 64, 1000]).min(file.len() - place);
        match draw.below(8) {
            0 => file[place] ^= 1 << draw.below(8),
            1 => file[place] = draw.pick(&[0, 0xff, 0x7f, 0x80, 1]),
            2 => file.truncate(place),
            3 => {
                file.drain(place..place + length);
            }
            4 => {
                let piece = file[place..place + length].to_vec();
                file.splice(place..place, piece);
            }
            5 => file[place..place + length].fill(0xff),
            6 => {
                // A varint or a length that says "very many".
                let many = [0xff, 0xff, 0xff, 0xff, 0x7f];
                let end = (place + many.len()).min(file.len());
                file.splice(place..end, many);
            }
            _ => {
                let other = draw.below(file.len());
                file.swap(place, other);
            }
        }
    }
}

/// Reads a file of a kind in every way that the product does: how many of these took it. A
/// panic is a finding.
///
/// # Errors
/// Where the file cannot be written for those who read paths.
pub fn read(kind: Kind, file: &[u8], folder: &Path) -> Result<usize> {
    let path = folder.join(match kind {
        Kind::Ledger => "damaged.recert",
        Kind::Picture => "damaged.png",
        Kind::Specification => "damaged.vnnlib",
        _ => "damaged",
    });
    let write = || std::fs::write(&path, file);
    let mut taken = 0;
    let mut count = |took: bool| taken += usize::from(took);
    match kind {
        Kind::Network => count(network_file(file)),
        Kind::Ledger => {
            for suffix in ["-wal", "-shm", "-journal", ".lock", ""] {
                let _ = std::fs::remove_file(folder.join(format!("damaged.recert{suffix}")));
            }
            write()?;
            count(ledger_file(&path).is_ok());
            count(recert_check::check(&path).is_ok_and(|report| report.is_clean()));
            count(Ledger::open(&path).and_then(Ledger::close).is_ok());
        }
        Kind::Blob => {
            let Some((first, rest)) = file.split_first() else {
                return Ok(0);
            };
            let mut blob = rest.to_vec();
            blob.extend(crc32fast::hash(rest).to_le_bytes());
            // The row that the blob is of says how many samples there are: as many as the blob does.
            let samples = rest.get(1).map_or(0, |&byte| u64::from(byte & 0x7f));
            match first % 4 {
                0 => count(Proof::decode(&blob).is_ok()),
                1 => count(TransformProof::decode(&blob).is_ok()),
                2 => count(raw::decode_answers(&blob, None, samples, 3).is_ok()),
                _ => count(raw::decode_samples(Some(&blob), 0, samples).is_ok()),
            }
        }
        Kind::Log => count(recert_report::cohen::parse(file).is_ok()),
        Kind::Report => {
            count(recert_report::json::from_str(&String::from_utf8_lossy(file)).is_ok());
        }
        Kind::Specification => {
            count(vnnlib::parse(&String::from_utf8_lossy(file)).is_ok());
            write()?;
            count(vnnlib::read(&path).is_ok());
            count(vnnlib::instances(&path).is_ok());
        }
        Kind::Labels => {
            write()?;
            let images = folder.join("images.npy");
            if !images.exists() {
                std::fs::write(&images, crate::sound::npy("|u1", "3, 1, 1, 1", &[1, 2, 3]))?;
            }
            for (labels, classes) in [(true, false), (false, true), (true, true)] {
                let options = Options {
                    labels: labels.then(|| path.clone()),
                    classes: classes.then(|| path.clone()),
                    ..Options::default()
                };
                count(read_images(Some(Format::Npy), &images, &options));
            }
        }
        Kind::Pickle
        | Kind::Records
        | Kind::Idx
        | Kind::Npy
        | Kind::Npz
        | Kind::Mat
        | Kind::Parquet
        | Kind::Picture
        | Kind::Csv => {
            write()?;
            let options = Options::default();
            for &format in formats(kind) {
                count(read_images(Some(format), &path, &options));
            }
            // Recognised by its content.
            count(read_images(None, &path, &options));
            match kind {
                Kind::Picture => {
                    let options = Options {
                        resize: Some(9),
                        crop: Some(8),
                        ..Options::default()
                    };
                    count(read_images(Some(Format::ImageFolder), &path, &options));
                }
                Kind::Idx | Kind::Npy => {
                    for good in as_labels(&path, folder)? {
                        count(good);
                    }
                }
                _ => {}
            }
        }
    }
    Ok(taken)
}

/// The formats of a kind of images.
fn formats(kind: Kind) -> &'static [Format] {
    match kind {
        Kind::Pickle => &[Format::Cifar10Python, Format::Cifar100Python],
        Kind::Records => &[Format::Cifar10Binary, Format::Cifar100Binary],
        Kind::Idx => &[Format::Idx],
        Kind::Npy => &[Format::Npy],
        Kind::Npz => &[Format::Npz],
        Kind::Mat => &[Format::Svhn],
        Kind::Parquet => &[Format::Parquet],
        Kind::Picture => &[Format::ImageFolder, Format::GreyFolder],
        Kind::Csv => &[Format::Csv],
        _ => &[],
    }
}

/// Whether a file is read as the labels of three images: numbers, or names.
fn as_labels(path: &Path, folder: &Path) -> Result<[bool; 2]> {
    let images = folder.join("labelled");
    std::fs::write(&images, sound(Kind::Idx, 0, folder)?)?;
    let classes = folder.join("classes");
    std::fs::write(&classes, "aa\nab\n")?;
    Ok([None, Some(classes)].map(|classes| {
        let options = Options {
            labels: Some(path.to_owned()),
            classes,
            ..Options::default()
        };
        read_images(None, &images, &options)
    }))
}

/// Whether there are images in a file, of which the first few are read.
fn read_images(format: Option<Format>, path: &Path, options: &Options) -> bool {
    let spec = DataSpec {
        format,
        path: path.to_owned(),
    };
    let Ok(data) = Dataset::open(&spec, options) else {
        return false;
    };
    let mut good = true;
    for i in 0..data.len().min(3) as u32 {
        good &= data.image(i).is_ok();
        let _ = (data.label(i), data.name(i), data.class_name(i));
    }
    good
}

/// Everything that a ledger holds.
fn ledger_file(path: &Path) -> Result<(), recert_ledger::Error> {
    let ledger = Ledger::open_read_only(path)?;
    ledger.seal()?;
    ledger.journal()?;
    ledger.inputs()?;
    for (network, _) in ledger.networks()? {
        ledger.claims(network)?;
        ledger.certificates(network)?;
    }
    for (verification, _, _) in ledger.verifications()? {
        ledger.results(verification)?;
    }
    Ok(())
}

/// Everything that is done with a network before an engine sees it.
fn network_file(file: &[u8]) -> bool {
    let Ok(model) = Model::from_bytes("damaged", file.to_vec()) else {
        return false;
    };
    let _ = model.signature();
    let Ok(graph) = Builder::new(&model).build() else {
        return false;
    };
    let limits = Limits { elements: 1 << 20 };
    if let (Ok(interpreter), [input]) = (Interpreter::new(&graph, limits), graph.inputs()) {
        let shape = graph.value(*input).shape.at(1);
        let count = shape
            .iter()
            .try_fold(1_usize, |count, &size| count.checked_mul(size));
        if let Some(count) = count.filter(|&count| count < 1 << 20)
            && let Ok(image) = Tensor::new(shape, Data::Float32(vec![0.5; count]))
        {
            let _ = interpreter.run(&[image]);
        }
    }
    let _ = graph.fold();
    true
}
