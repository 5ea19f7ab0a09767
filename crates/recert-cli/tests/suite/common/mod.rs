//! Runs the binary as a person would, and reads what it left behind.
//!
//! Every file of tests uses a part of this, so what one of them leaves unused
//! is not dead.
pub(crate) mod recount;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use recert::ledger::{Certificate, Input, Ledger, NetworkId, Selection, Series, Stream};

/// What the tests write to, gone with the test.
pub(crate) struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        Self { folder }
    }

    /// The path of `name` in this place.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// As text, for a command line.
    pub(crate) fn text(&self, name: &str) -> String {
        text(&self.path(name))
    }
}

pub(crate) fn text(path: &Path) -> String {
    path.to_str().expect("the path is Unicode").to_owned()
}

/// A file of the demo, or of the engine's networks made by hand.
pub(crate) fn asset(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let path = if name.starts_with("made/") || name.starts_with("kinds/") {
        root.join("crates/recert-engine/tests/golden").join(name)
    } else {
        root.join("assets/demo").join(name)
    };
    assert!(path.exists(), "{} is missing", path.display());
    text(&path)
}

/// `certify` of the demo network on the demo images, without the ledger.
pub(crate) fn certify_demo(n: u32, n0: u32, inputs: u32) -> Vec<String> {
    words(&format!(
        "certify --model {} --data {} --sigma 0.5 --n {n} --n0 {n0} --limit {inputs}",
        asset("shapes.onnx"),
        asset("shapes-test.npz"),
    ))
}

/// Splits at white space; a path with a space goes through `with`.
pub(crate) fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

/// `words` and more of them.
pub(crate) fn with(words: &[String], more: &[&str]) -> Vec<String> {
    let mut all = words.to_vec();
    all.extend(more.iter().map(|&word| word.to_owned()));
    all
}

/// The variables by which engines are found that are not built in.
pub(crate) const ENGINE_VARIABLES: [&str; 10] = [
    "OPENVINO_DYLIB_PATH",
    "ORT_DYLIB_PATH",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "PATH",
    "HOME",
    "INTEL_OPENVINO_DIR",
    "OPENVINO_INSTALL_DIR",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
];

/// A command that finds no engines but the one that is built in, whatever else
/// is installed here.
pub(crate) fn command(words: &[String]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_recert"));
    command.args(words).stdin(Stdio::null());
    // A backtrace would hide what a message says.
    command.env_remove("RUST_BACKTRACE");
    for name in ENGINE_VARIABLES {
        command.env_remove(name);
    }
    command
}

/// Everything a finished command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
        }
    }
}

/// Runs a command to its end, whatever that is.
pub(crate) fn run(words: &[String]) -> Said {
    command(words).output().expect("the binary runs").into()
}

/// Runs a command that has to succeed.
#[track_caller]
pub(crate) fn ok(words: &[String]) -> Said {
    let said = run(words);
    assert_eq!(said.code, Some(0), "{words:?}: {}", said.stderr);
    said
}

/// One line of what `certify`, `predict` and `recertify` print.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Line {
    pub(crate) idx: u32,
    pub(crate) label: i64,
    pub(crate) predict: i64,
    pub(crate) radius: f64,
    pub(crate) correct: bool,
}

/// The rows on stdout, without their times.
pub(crate) fn rows(stdout: &str) -> Vec<Line> {
    let mut lines = stdout.lines();
    assert_eq!(
        lines.next(),
        Some("idx\tlabel\tpredict\tradius\tcorrect\ttime")
    );
    lines
        .map(|line| {
            let columns: Vec<&str> = line.split('\t').collect();
            assert_eq!(columns.len(), 6, "{line:?}");
            Line {
                idx: columns[0].parse().expect("an index"),
                label: columns[1].parse().expect("a label"),
                predict: columns[2].parse().expect("a class"),
                radius: columns[3].parse().expect("a radius"),
                correct: columns[4] == "1",
            }
        })
        .collect()
}

/// `certify` with hardly any noise and a few samples: the rows.
pub(crate) fn quick(model: &str, data: &str, more: &str) -> Vec<Line> {
    let place = Place::new();
    let ledger = place.text("run.recert");
    let how = words("certify --sigma 0.002 --n 8 --n0 3 --alpha 0.05");
    let what = ["--model", model, "--data", data, "--ledger", &ledger];
    rows(
        &ok(&with(
            &with(&how, &what),
            &words(more).iter().map(String::as_str).collect::<Vec<_>>(),
        ))
        .stdout,
    )
}

/// Engine and precision of a ledger's networks.
pub(crate) fn identities(ledger: &Path) -> Vec<(String, String)> {
    let ledger = Ledger::open_read_only(ledger).expect("the ledger opens");
    let networks = ledger.networks().expect("the networks can be read");
    let identity = |n: recert::ledger::Network| (n.engine.name, n.engine.arithmetic);
    networks
        .into_iter()
        .map(|(_, network)| identity(network))
        .collect()
}

/// The share of rows that are correct.
pub(crate) fn accuracy(rows: &[Line]) -> f64 {
    rows.iter().filter(|row| row.correct).count() as f64 / rows.len() as f64
}

/// The evaluations that the closing line on stderr counts.
pub(crate) fn evaluations(said: &Said) -> u64 {
    let line = said
        .stderr
        .lines()
        .find(|line| line.contains(" evaluations"));
    let line = line.unwrap_or_else(|| panic!("no count of evaluations in {:?}", said.stderr));
    let before = line
        .split(" evaluations")
        .next()
        .expect("there is a first part");
    let before = before.strip_suffix(" new").unwrap_or(before);
    let number = before.rsplit(' ').next().expect("there is a last word");
    number
        .parse()
        .unwrap_or_else(|_| panic!("no number in {line:?}"))
}

/// Whatever a ledger holds that must not depend on how it was made: no times.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Held {
    pub(crate) inputs: Vec<Input>,
    /// For each network: file, selections, classes, margins and certificates.
    pub(crate) networks: Vec<HeldOf>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HeldOf {
    pub(crate) file: String,
    pub(crate) selections: BTreeMap<u32, Selection>,
    pub(crate) classes: BTreeMap<(u32, u32), Vec<u16>>,
    pub(crate) margins: BTreeMap<(u32, u32), Option<Vec<u8>>>,
    /// For each input and stream, every sample answered, in whatever order.
    pub(crate) answered: BTreeMap<(u32, u32), BTreeMap<u32, u16>>,
    pub(crate) certificates: Vec<Certificate>,
}

impl HeldOf {
    /// How many samples of an input are answered, in all streams.
    pub(crate) fn answered_of(&self, idx: u32) -> u64 {
        let of_input = self.answered.iter().filter(|((i, _), _)| *i == idx);
        of_input.map(|(_, samples)| samples.len() as u64).sum()
    }
}

/// The noise streams in which a network may have answers.
pub(crate) const STREAMS: [recert::noise::Stream; 3] = [
    recert::noise::Stream::Certify,
    recert::noise::Stream::Fresh,
    recert::noise::Stream::Predict,
];

pub(crate) fn series(network: NetworkId, idx: u32, stream: recert::noise::Stream) -> Series {
    Series {
        network,
        idx,
        stream: Stream(stream.tag()),
    }
}

/// Reads a ledger whole.
pub(crate) fn held(path: &Path) -> Held {
    let ledger = Ledger::open_read_only(path).expect("the ledger opens");
    let inputs = ledger.inputs().expect("the inputs can be read");
    let networks = ledger.networks().expect("the networks can be read");
    let of = |(id, network): (NetworkId, recert::ledger::Network)| {
        let mut all = HeldOf {
            file: network.file,
            selections: BTreeMap::new(),
            classes: BTreeMap::new(),
            margins: BTreeMap::new(),
            answered: BTreeMap::new(),
            certificates: ledger.certificates(id).expect("certificates can be read"),
        };
        for certificate in &mut all.certificates {
            certificate.micros = 0;
        }
        for input in &inputs {
            if let Some(mut selection) = ledger.selection(id, input.idx).expect("selections") {
                selection.micros = 0;
                all.selections.insert(input.idx, selection);
            }
            for stream in STREAMS {
                let series = series(id, input.idx, stream);
                let answered = ledger.answered(series).expect("ranges can be read");
                let numbers = answered.iter().flat_map(|r| r.start as u32..r.end as u32);
                let numbers: Vec<u32> = numbers.collect();
                if !numbers.is_empty() {
                    let (classes, _) = ledger.answers_at(series, &numbers).expect("answers");
                    let each = numbers.into_iter().zip(classes).collect();
                    all.answered.insert((input.idx, stream.tag()), each);
                }
                let Some(whole) = answered.first().filter(|range| range.start == 0) else {
                    continue;
                };
                let (codes, _) = ledger
                    .answers(series, whole.end)
                    .expect("answers can be read");
                let key = (input.idx, stream.tag());
                all.classes.insert(key, codes.classes);
                all.margins.insert(key, codes.margins);
            }
        }
        all
    };
    Held {
        networks: networks.into_iter().map(of).collect(),
        inputs,
    }
}

/// Writes images as float32 `[n, channels, height, width]` in an npy file.
pub(crate) fn write_images(path: &Path, images: &[f32], shape: [usize; 4]) {
    assert_eq!(images.len(), shape.iter().product::<usize>());
    let [n, c, h, w] = shape;
    let pixels: Vec<u8> = images
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    write_npy(path, "<f4", &format!("({n}, {c}, {h}, {w})"), &pixels);
}

/// Writes labels as uint8 in an npy file.
pub(crate) fn write_labels(path: &Path, labels: &[u8]) {
    write_npy(path, "|u1", &format!("({},)", labels.len()), labels);
}

fn write_npy(path: &Path, descr: &str, shape: &str, data: &[u8]) {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    // The data starts at a multiple of 64 bytes.
    let padded = (10 + header.len() + 1).next_multiple_of(64) - 11;
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((padded as u16 + 1).to_le_bytes());
    bytes.extend(format!("{header:padded$}\n").bytes());
    bytes.extend(data);
    std::fs::write(path, bytes).expect("the file can be written");
}

/// What a command must say that fails.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) code: i32,
    /// What the message has to name.
    pub(crate) says: Vec<String>,
}

pub(crate) fn fails(code: i32, says: &[&str]) -> Failure {
    Failure {
        code,
        says: says.iter().map(|&part| part.to_owned()).collect(),
    }
}

impl Failure {
    /// Runs a command and checks that it fails as it should: with this code,
    /// a message that says what it has to, and nothing that a person who uses
    /// the program could not make sense of.
    #[track_caller]
    pub(crate) fn check(&self, words: &[String]) -> Said {
        let said = run(words);
        self.check_said(words, &said);
        said
    }

    #[track_caller]
    pub(crate) fn check_said(&self, words: &[String], said: &Said) {
        assert_eq!(said.code, Some(self.code), "{words:?}: {}", said.stderr);
        for part in &self.says {
            assert!(
                said.stderr.contains(part.as_str()),
                "{words:?}: '{part}' is not in: {}",
                said.stderr
            );
        }
        let message = said
            .stderr
            .lines()
            .find(|line| line.starts_with("recert: ") || line.starts_with("error: "));
        assert!(message.is_some(), "{words:?}: {}", said.stderr);
        for noise in [
            "panicked",
            "internal",
            "RUST_BACKTRACE",
            "unwrap",
            "Error {",
            "Some(",
        ] {
            assert!(!said.stderr.contains(noise), "{words:?}: {}", said.stderr);
        }
    }
}

/// Six images of 3 x 8 x 8 for the networks made by hand, the first of them
/// black, with labels below 4.
pub(crate) fn small_data(place: &Place) -> Vec<String> {
    let (images, labels) = (place.path("small.npy"), place.path("small-labels.npy"));
    let pixel = |i: usize| {
        if i < 192 {
            0.0
        } else {
            (i * 37 % 101) as f32 / 100.0
        }
    };
    let pixels: Vec<f32> = (0..6 * 192).map(pixel).collect();
    write_images(&images, &pixels, [6, 3, 8, 8]);
    write_labels(&labels, &[0, 1, 2, 3, 0, 1]);
    with(&[], &["--data", &text(&images), "--labels", &text(&labels)])
}
