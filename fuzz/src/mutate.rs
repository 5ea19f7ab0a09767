//! Damaged files in every parser: an error or an answer, and never a panic, nor more memory
//! than a file of that size asks for.

use std::path::Path;

use anyhow::Result;
use recert::bounds::vnnlib;
use recert_data::{DataSpec, Dataset, Format, Options};
use recert_graph::{Builder, Data, Interpreter, Limits, Model, Tensor};

use crate::draw::{Draw, bytes_of};
use crate::network::network;

/// What is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A network: signature, graph, reference interpreter, rewrites.
    Network,
    /// A ledger: opened, checked.
    Ledger,
    /// Images in every format.
    Images,
    /// A log in the format of Cohen et al.
    Log,
    /// A specification in VNN-LIB, and a list of instances.
    Specification,
}

/// All kinds.
pub const KINDS: [Kind; 5] = [
    Kind::Network,
    Kind::Ledger,
    Kind::Images,
    Kind::Log,
    Kind::Specification,
];

/// A sound file of a kind, small, one of several by `seed`.
///
/// # Errors
/// Where it cannot be made.
pub fn sound(kind: Kind, seed: u64, folder: &Path) -> Result<Vec<u8>> {
    Ok(match kind {
        Kind::Network => prost::Message::encode_to_vec(&network(&bytes_of(seed))),
        Kind::Ledger => {
            let path = folder.join("sound.recert");
            if !path.exists() {
                ledger(&path)?;
            }
            std::fs::read(path)?
        }
        Kind::Images => images(seed),
        Kind::Log => b"idx\tlabel\tpredict\tradius\tcorrect\ttime\n0\t3\t3\t0.512\t1\t0:00:01.5\n\
            20\t8\t-1\t0.0\t0\t0:00:01.4\n40\t2\t2\t1.25\t1\t0:00:01.6\n"
            .to_vec(),
        Kind::Specification => SPECIFICATIONS[seed as usize % SPECIFICATIONS.len()]
            .as_bytes()
            .to_vec(),
    })
}

/// Specifications as they are published: a box, a disjunction of outputs, disjunctions of boxes
/// with outputs; and a list of instances.
const SPECIFICATIONS: [&str; 4] = [
    "; a box\n(declare-const X_0 Real)\n(declare-const X_1 Real)\n(declare-const Y_0 Real)\n\
     (declare-const Y_1 Real)\n(assert (<= X_0 0.6798577687))\n(assert (>= X_0 0.6))\n\
     (assert (and (<= X_1 0.5) (>= X_1 -5e-1)))\n(assert (<= Y_0 Y_1))\n(assert (>= Y_0 3.99))\n",
    "(declare-const X_0 Real)\n(declare-const Y_0 Real)\n(declare-const Y_1 Real)\n\
     (declare-const Y_2 Real)\n(assert (<= X_0 1.0))\n(assert (>= X_0 0.0))\n(assert (or\n    \
     (and (>= Y_0 Y_2))\n    (and (>= Y_1 Y_2))\n))\n",
    "(declare-const X_0 Real)\n(declare-const Y_0 Real)\n(declare-const Y_1 Real)\n(assert (or\n    \
     (and (<= X_0 0.1) (>= X_0 0.0) (<= Y_0 Y_1))\n    \
     (and (<= X_0 0.9) (>= X_0 0.8) (>= Y_0 100))\n))\n",
    "onnx/net.onnx,vnnlib/a.vnnlib,116\nonnx/net.onnx.gz,vnnlib/b.vnnlib.gz,20.5\n",
];

/// A ledger of a function of four pixels, certified on two images.
fn ledger(path: &Path) -> Result<()> {
    use recert::engine::ImageShape;
    use recert::job::{self, CertifyConfig, Data, Event, Events, Network};

    struct Silent;
    impl Events for Silent {
        fn event(&mut self, _: Event<'_>) {}
    }
    let image = ImageShape {
        channels: 1,
        height: 2,
        width: 2,
    };
    let pixels = [0.0, 0.0, 0.2, 0.0, 1.0, 0.8, 1.0, 1.0];
    let data = Data::from_pixels("two greys", image, &pixels, Some(vec![0, 1]))?;
    let bright = |image: &[f32]| Some(u16::from(image.iter().sum::<f32>() > 2.0));
    let network = Network::from_fn("bright", 2, image, bright)?;
    let config = CertifyConfig {
        n: 200,
        n0: 20,
        ..CertifyConfig::new(0.25)
    };
    let outcome = job::certify(path, &config, &data, &network)?.run(&mut Silent)?;
    anyhow::ensure!(
        outcome == recert::smooth::Outcome::Finished,
        "the run was stopped"
    );
    Ok(())
}

fn npy(kind: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let mut header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({shape}), }}");
    while (header.len() + 11) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.as_bytes());
    file.extend(data);
    file
}

fn images(seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let floats: Vec<u8> = (0..24).flat_map(|_| random.f32().to_le_bytes()).collect();
    match seed % 6 {
        0 => npy("<f4", "2, 3, 2, 2", &floats),
        1 => {
            let mut idx = vec![0, 0, 8, 3];
            for size in [3_u32, 2, 2] {
                idx.extend(size.to_be_bytes());
            }
            idx.extend([200; 12]);
            idx
        }
        2 => {
            let mut record = vec![0; 2 * 3073];
            random.fill(&mut record[1..3073]);
            record[0] = 1;
            record[3073] = 2;
            record
        }
        3 => {
            include_bytes!("../../crates/recert-data/tests/golden/parquet/colour.parquet").to_vec()
        }
        4 => include_bytes!("../../crates/recert-data/tests/golden/parquet/lists.parquet").to_vec(),
        _ => png(),
    }
}

/// A PNG of 4 x 4 pixels, stored without compression.
fn png() -> Vec<u8> {
    include_bytes!("../../crates/recert-data/tests/golden/mode_l.png").to_vec()
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

/// Reads a file of a kind in every way that the product does. A panic is a finding.
///
/// # Errors
/// Where the file cannot be written for those who read paths.
pub fn read(kind: Kind, file: &[u8], folder: &Path) -> Result<()> {
    match kind {
        Kind::Network => network_file(file),
        Kind::Ledger => {
            let path = folder.join("damaged.recert");
            for old in ["-wal", "-shm", ""] {
                let _ = std::fs::remove_file(folder.join(format!("damaged.recert{old}")));
            }
            std::fs::write(&path, file)?;
            if let Ok(ledger) = recert_ledger::Ledger::open_read_only(&path) {
                let _ = (ledger.networks(), ledger.inputs());
                let _ = ledger.seal();
            }
            let _ = recert_check::check(&path);
            let _ = recert_ledger::Ledger::open(&path).and_then(recert_ledger::Ledger::close);
        }
        Kind::Images => {
            let path = folder.join("damaged.png");
            std::fs::write(&path, file)?;
            for format in Format::ALL {
                let spec: DataSpec = format!("{}:{}", format.prefix(), path.display()).parse()?;
                if let Ok(data) = Dataset::open(&spec, &Options::default()) {
                    for i in 0..data.len().min(3) as u32 {
                        let _ = (data.image(i), data.label(i), data.name(i));
                    }
                }
            }
        }
        Kind::Log => {
            let _ = recert_report::cohen::parse(file);
        }
        Kind::Specification => {
            let _ = vnnlib::parse(&String::from_utf8_lossy(file));
            let path = folder.join("damaged.vnnlib");
            std::fs::write(&path, file)?;
            let _ = (vnnlib::read(&path), vnnlib::instances(&path));
        }
    }
    Ok(())
}

/// Everything that is done with a network before an engine sees it.
fn network_file(file: &[u8]) {
    let Ok(model) = Model::from_bytes("damaged", file.to_vec()) else {
        return;
    };
    let _ = model.signature();
    let Ok(graph) = Builder::new(&model).build() else {
        return;
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
}
