//! `recert train`, run as its users run it. A program of its own, as it is built with the feature
//! `train` alone.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use recert::graph::Model;
use recert::job::{TRAINING, train_checkpoint};

fn demo(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/demo");
    path.join(name).display().to_string()
}

fn recert(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_recert"));
    command.args(words).stdin(Stdio::null());
    command
}

fn run(words: &[&str]) -> Output {
    recert(words).output().expect("the binary starts")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A file of settings of a small training, in `folder`.
fn settings(folder: &Path) -> PathBuf {
    let file = folder.join("settings.toml");
    let text = format!(
        "data = 'npz:{}'\nlimit = 160\nvalidation = 32\narchitecture = 'cnn3'\nmean = [0.5]\n\
         std = [0.25]\nmethod = 'mtl-ibp'\nalpha = 0.5\neps = 0.004\nepochs = 4\nramp-end = 2\n\
         batch = 32\nattack-steps = 2\nseed = 3\n",
        demo("shapes-calibration.npz")
    );
    std::fs::write(&file, text).unwrap();
    file
}

#[test]
fn a_killed_training_resumes_to_the_same_bits_and_verify_takes_the_network() {
    let folder = tempfile::tempdir().unwrap();
    let file = settings(folder.path());
    let path = |name: &str| folder.path().join(name).display().to_string();
    let file = file.display().to_string();
    let [whole, page, killed] = [path("net.onnx"), path("net.md"), path("other/net.onnx")];
    std::fs::create_dir(folder.path().join("other")).unwrap();
    let test = format!("npz:{}", demo("shapes-test.npz"));

    let words = [
        "train", &file, "--out", &whole, "--page", &page, "--test", &test,
    ];
    let left_alone = run(&words);
    assert!(left_alone.status.success(), "{}", stderr(&left_alone));
    let said = String::from_utf8_lossy(&left_alone.stdout).into_owned();
    assert!(
        said.contains("validation: clean") && said.contains("test: clean"),
        "{said}"
    );
    assert!(!train_checkpoint(Path::new(&whole)).exists());

    // Killed once the first epoch is done, with another number of threads.
    let words = [
        "train",
        &file,
        "--out",
        &killed,
        "--test",
        &test,
        "--threads",
        "1",
    ];
    let mut child = recert(&words)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("epoch 0:")));
    child.kill().unwrap();
    child.wait().unwrap();
    drop(lines);
    assert!(!Path::new(&killed).exists() && train_checkpoint(Path::new(&killed)).exists());
    let resumed = run(&words);
    assert!(resumed.status.success(), "{}", stderr(&resumed));
    for words in [
        "of 4 epochs were done before",
        "128 images, 32 for validation, 10 classes, ",
    ] {
        assert!(stderr(&resumed).contains(words), "{}", stderr(&resumed));
    }
    assert_eq!(
        std::fs::read(&whole).unwrap(),
        std::fs::read(&killed).unwrap()
    );

    let model = Model::read(&whole).unwrap();
    let record = model.metadata(TRAINING).expect("the record");
    assert!(
        record.contains("\"mtl-ibp\"") && record.contains("recert-training/1"),
        "{record}"
    );
    let page = std::fs::read_to_string(&page).unwrap();
    assert!(
        page.contains(&model.sha256_hex()) && page.contains("| 3 | 100.00 % | 0.0040 |"),
        "{page}"
    );

    let ledger = path("verified.recert");
    let verified = run(&[
        "verify", "--model", &whole, "--data", &test, "--eps", "0.0001", "--limit", "5",
        "--ledger", &ledger,
    ]);
    assert!(verified.status.success(), "{}", stderr(&verified));

    // Its weights may be trained further.
    let further = path("further.onnx");
    let words = [
        "train",
        &file,
        "--architecture",
        "cnn3",
        "--model",
        &whole,
        "--out",
        &further,
    ];
    assert_eq!(run(&words).status.code(), Some(2));
    let text = std::fs::read_to_string(&file)
        .unwrap()
        .replace("architecture = 'cnn3'\n", "");
    std::fs::write(&file, text).unwrap();
    let words = [
        "train", &file, "--model", &whole, "--epochs", "1", "--mean", "0", "--std", "1", "--out",
        &further,
    ];
    let tuned = run(&words);
    assert!(tuned.status.success(), "{}", stderr(&tuned));
}

#[test]
fn training_for_a_transformation_gives_what_verify_takes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings.toml");
    let text = format!(
        "preset = 'mnist-rotate30-cgt'\ndata = 'npz:{}'\nlimit = 160\nvalidation = 32\n\
         architecture = 'fc-30'\ntransform = 'rotate=-2..2,brightness=-0.02..0.02'\n\
         cell-width = [0.5, 0.01]\nepochs = 3\nramp-start = 1\nramp-end = 2\nbatch = 32\n",
        demo("shapes-calibration.npz")
    );
    std::fs::write(&file, text).unwrap();
    let file = file.display().to_string();
    let out = folder.path().join("net.onnx").display().to_string();
    let page = folder.path().join("net.md").display().to_string();
    let made = run(&[
        "train",
        &file,
        "--pixels",
        "knapsack",
        "--batch-cells",
        "4",
        "--out",
        &out,
        "--page",
        &page,
    ]);
    assert!(made.status.success(), "{}", stderr(&made));
    let said = String::from_utf8_lossy(&made.stdout).into_owned();
    assert!(
        said.contains(" at rotate=-2..2,brightness=-0.02..0.02") && said.contains("bounded"),
        "{said}"
    );
    assert!(stderr(&made).contains("ramp 0.00 %"), "{}", stderr(&made));
    let page = std::fs::read_to_string(&page).unwrap();
    let row = "| transformation | rotate=-2..2,brightness=-0.02..0.02, cells of 0.5 x 0.01, \
               knapsack, 4 a batch |";
    assert!(page.contains(row), "{page}");
    let ledger = folder.path().join("net.recert").display().to_string();
    let test = format!("npz:{}", demo("shapes-test.npz"));
    let verified = run(&[
        "verify",
        "--model",
        &out,
        "--data",
        &test,
        "--transform",
        "rotate=-0.1..0.1",
        "--limit",
        "3",
        "--ledger",
        &ledger,
    ]);
    assert!(verified.status.success(), "{}", stderr(&verified));
}

#[test]
fn what_is_wrong_is_named_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = settings(folder.path());
    let out = folder.path().join("net.onnx");
    let (file, out_text) = (file.display().to_string(), out.display().to_string());
    let refused = |words: &[&str], code: i32, named: &str| {
        let all = [&["train", "--out", &out_text], words].concat();
        let output = run(&all);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {said}");
        assert!(said.contains(named), "{words:?}: {said}");
        assert!(!out.exists() && !train_checkpoint(&out).exists());
    };
    for (flag, value, named) in [
        ("--attack-steps", "0", "attack-steps: 0 is not from 1"),
        ("--learning-rate", "11", "learning-rate: 11 is not above 0"),
        ("--decay", "2", "decay: 2 is not above 0"),
        ("--clip", "0", "clip: 0 is not above 0"),
        ("--std", "1e-7", "std: 0.0000001 is no finite number"),
        ("--mean", "1e5", "mean: 100000 is not from -10000"),
        ("--milestones", "60,50", "milestones: 50 does not come"),
        ("--milestones", "0,50", "milestones: 0 is no epoch"),
        ("--shift", "16", "shift: 16 pixels are half or more"),
    ] {
        refused(&[&file, flag, value], 2, named);
    }
    refused(&[&file, "--eps", "-1"], 2, "eps");
    refused(&[&file, "--eps", "NaN"], 2, "eps");
    refused(&[&file, "--method", "magic"], 2, "crown-ibp");
    refused(
        &[&file, "--method", "sabr"],
        2,
        "tau: sabr needs it, as in tau = 0.4 (above 0",
    );
    refused(&[&file, "--method", "staps"], 2, "tau");
    refused(&[&file, "--method", "geometric"], 2, "transform");
    let turned = [&file, "--method", "geometric", "--transform"];
    refused(&[&turned[..], &["rotate=-2..2"]].concat(), 2, "cell-width");
    let cells = ["rotate=-2..2", "--cell-width", "0.5"];
    refused(&[&turned[..], &cells].concat(), 2, "radius");
    let sum = ["rotate=-2..2", "--cell-width", "1", "--pixels", "sum"];
    refused(&[&turned[..], &sum].concat(), 2, "knapsack");
    refused(
        &[&turned[..], &["rotate=2..-2"]].concat(),
        2,
        "it must rise",
    );
    refused(
        &[&file, "--transform", "scale=1..2", "--cell-width", "1"],
        2,
        "mtl-ibp is for no transformation",
    );
    refused(&[&file, "--architecture", "cnn4"], 2, "cnn7-bn");
    let deep = ["--method", "taps", "--attacked-relus", "3"];
    refused(
        &[&[file.as_str()], &deep[..]].concat(),
        2,
        "attacked-relus: ",
    );
    refused(&[&file, "--relu-shrink", "0.5"], 2, "relu-shrink: ");
    refused(&[&file, "--preset", "mnist"], 2, "mnist-0.3-sabr");
    refused(&[&file, "--validation", "160"], 2, "validation");
    refused(&[&file, "--mean", "1,2"], 2, "mean");
    refused(&[&file, "--data", "npz:nowhere.npz"], 3, "nowhere.npz");
    refused(&[&file, "--test", "npz:nowhere.npz"], 3, "nowhere.npz");
    refused(&[&file, "--threads", "0"], 2, "--threads");
    refused(&[&file, "--test-limit", "0"], 2, "test-limit");
    refused(&[&file, "--eps", "8/0"], 2, "--eps");
    // Of one layer of ReLUs none would be left to bound.
    let flat = ["--method", "taps", "--architecture", "fc-20"];
    refused(
        &[&[file.as_str()], &flat[..]].concat(),
        2,
        "taps bounds the first layers",
    );
    let deep = [&[file.as_str()], &deep[..]].concat();
    refused(&deep, 2, "it can attack 1 or 2");
    refused(&["--method", "ibp", "--eps", "0.1"], 2, "--data");
    refused(&["nothing.toml"], 3, "nothing.toml");
    let wrong = folder.path().join("wrong.toml");
    for (text, named) in [
        ("eps = 0.1\nepoch = 3\n", "line 2: unknown field `epoch`"),
        ("eps = 0.1\nmean = 'x'\n", "line 2: mean: invalid type"),
        (
            "clean-weight = [1, 2, 3]\n",
            "line 1: clean-weight: 3 numbers",
        ),
        ("eps = '8:255'\n", "line 1: eps: '8:255' is no distance"),
        (
            "eps = 0.1\n[sweep]\nseed = [1]\n[score]\neps = 0.1\n",
            "this is a file for `recert sweep`",
        ),
    ] {
        std::fs::write(&wrong, text).unwrap();
        refused(&[&wrong.display().to_string()], 2, named);
    }
}

#[test]
fn a_checkpoint_that_is_none_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = settings(folder.path()).display().to_string();
    let out = folder.path().join("net.onnx");
    std::fs::write(train_checkpoint(&out), "something else").unwrap();
    let output = run(&["train", "--out", &out.display().to_string(), &file]);
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("net.onnx.checkpoint"),
        "{}",
        stderr(&output)
    );
}

/// What is said of a network that normalizes its images already, and of one that cannot be trained.
fn trained_further(folder: &Path, out: &str) {
    let path = |name: &str| folder.join(name).display().to_string();
    // The file has its normalization inside; --quiet leaves out the remark.
    let further = [
        "train", "--model", out, "--method", "ibp", "--eps", "1/255", "--epochs", "1",
    ];
    let further = |flags: &[&str]| {
        let data = format!("npz:{}", demo("shapes-calibration.npz"));
        let to = path("further.onnx");
        let more = [
            "--limit",
            "64",
            "--ramp-end",
            "0",
            "--data",
            &data,
            "--out",
            &to,
        ];
        let output = run(&[&further[..], &more, flags].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        stderr(&output)
    };
    let twice = "normalizes its images itself";
    assert!(further(&["--mean", "0.5"]).contains(twice));
    // A preset's architecture gives way to the network that is given; what was made before is replaced.
    let said = further(&["--preset", "mnist-0.1-ibp"]);
    assert!(said.contains(twice), "{said}");
    let replaces = format!("replaces {}, which is there", path("further.onnx"));
    assert!(said.contains(&replaces), "{said}");
    assert!(!further(&["--mean", "0", "--std", "1"]).contains(twice));
    assert!(!further(&["--mean", "0.5", "--quiet"]).contains(twice));
    // What cannot be trained is named with its file.
    let quantized = path("int8.onnx");
    let data = format!("npz:{}", demo("shapes-calibration.npz"));
    let made = run(&[
        "approximate",
        out,
        "--int8",
        "--calibration",
        &data,
        "--calibration-limit",
        "5",
        "--out",
        &quantized,
    ]);
    assert!(made.status.success(), "{}", stderr(&made));
    let refused = run(&[
        "train",
        "--model",
        &quantized,
        "--data",
        &data,
        "--method",
        "standard",
        "--out",
        &path("x.onnx"),
    ]);
    assert_eq!(refused.status.code(), Some(3));
    assert!(
        stderr(&refused).contains("int8.onnx: the network is quantized"),
        "{}",
        stderr(&refused)
    );
}

/// A setting that changes nothing, one number for a list, a fraction, a limit of test images: what is said
/// of them, and that two trainings are not into one file at once.
#[test]
fn what_is_given_is_used_or_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = settings(folder.path());
    let text = std::fs::read_to_string(&file).unwrap();
    let text = text
        .replace("mean = [0.5]", "mean = 0.5")
        .replace("eps = 0.004", "eps = '1/255'")
        .replace("epochs = 4", "epochs = 1")
        .replace("ramp-end = 2", "ramp-end = 0");
    std::fs::write(&file, text).unwrap();
    let file = file.display().to_string();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let test = format!("npz:{}", demo("shapes-test.npz"));
    let (out, page) = (path("net.onnx"), path("net.md"));
    let words = [
        "train",
        &file,
        "--out",
        &out,
        "--page",
        &page,
        "--test",
        &test,
        "--test-limit",
        "7",
        "--clean-weight",
        "0.25",
        "--sigma",
        "0.5",
        "--samples",
        "2",
        "--tau",
        "0.1",
    ];
    let made = run(&words);
    let said = stderr(&made);
    assert!(made.status.success(), "{said}");
    let unused = "sigma, samples, tau: given, but have no effect on a training by mtl-ibp";
    assert_eq!(said.matches(unused).count(), 1, "{said}");
    let printed = String::from_utf8_lossy(&made.stdout).into_owned();
    assert!(
        printed.starts_with("1 epoch; the network is that of epoch 0\n"),
        "{printed}"
    );
    // Of seven images all shares are sevenths.
    let clean = printed.split("test: clean ").nth(1).unwrap();
    let clean: f64 = clean.split(" %").next().unwrap().parse().unwrap();
    let sevenths = clean / 100.0 * 7.0;
    assert!((sevenths - sevenths.round()).abs() < 1e-2, "{printed}");
    let page = std::fs::read_to_string(&page).unwrap();
    for line in [
        "eps = 0.00392156862745098\n",
        "mean = [0.5]\n",
        "clean-weight = [0.25, 0.25]\n",
    ] {
        assert!(page.contains(line), "{line}: {page}");
    }

    trained_further(folder.path(), &out);

    // One training a file.
    let held = recert::ledger::Lock::take(Path::new(&out)).unwrap();
    let before = std::fs::read(&out).unwrap();
    let second = run(&words);
    assert_eq!(second.status.code(), Some(4), "{}", stderr(&second));
    for part in ["net.onnx", "another process is writing to it", "--out"] {
        assert!(stderr(&second).contains(part), "{}", stderr(&second));
    }
    assert_eq!(before, std::fs::read(&out).unwrap());
    #[cfg(unix)]
    by_a_link(folder.path(), &words);
    drop(held);
    assert!(run(&words).status.success());
    assert!(!Path::new(&format!("{out}.lock")).exists());
}

/// The file that a training into `net.onnx` has is busy by another name, too.
#[cfg(unix)]
fn by_a_link(folder: &Path, words: &[&str]) {
    let link = folder.join("link.onnx");
    std::os::unix::fs::symlink("net.onnx", &link).unwrap();
    let link = link.display().to_string();
    let mut words = words.to_vec();
    let at = words.iter().position(|word| *word == "--out").unwrap();
    words[at + 1] = &link;
    let second = run(&words);
    assert_eq!(second.status.code(), Some(4), "{}", stderr(&second));
    let named = stderr(&second);
    assert!(
        named.contains("the network's file ") && named.contains("net.onnx"),
        "{named}"
    );
}

/// What is no error and yet is likely to be none of what was meant.
#[test]
fn what_is_likely_a_mistake_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let file = settings(folder.path()).display().to_string();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (out, page) = (path("net.pth"), path("net.md"));
    let data = format!("npz:{}", demo("shapes-calibration.npz"));
    let words = [
        "train",
        &file,
        "--method",
        "Standard",
        "--architecture",
        "FC-10",
        "--epochs",
        "2",
        "--average-from",
        "5",
        "--milestones",
        "1,7",
        "--test",
        &data,
        "--out",
        &out,
        "--page",
        &page,
    ];
    let made = run(&words);
    let said = stderr(&made);
    assert!(made.status.success(), "{said}");
    for part in [
        "average-from 5: training ends after 2 epochs, so that nothing is averaged",
        "milestones 7: training ends after 2 epochs",
        "net.pth: what is written is ONNX",
        "data and test are the same images",
    ] {
        assert_eq!(said.matches(part).count(), 1, "{part}: {said}");
    }
    // Nothing grows in plain training.
    assert!(
        said.contains("epoch 1:") && !said.contains("ramp "),
        "{said}"
    );
    let page = std::fs::read_to_string(&page).unwrap();
    assert!(page.contains("| epoch | learning rate | loss |"), "{page}");
    assert!(!page.contains("| eps |"), "{page}");
}

/// Images without labels, and with one label that is wrong.
#[test]
fn labels_that_cannot_be_are_named_with_their_data() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("images.csv");
    let name = format!("csv:{}", file.display());
    let out = folder.path().join("net.onnx").display().to_string();
    let train = |labels: [Option<u32>; 3]| {
        let row = |label: Option<u32>| {
            let label = label.map_or_else(String::new, |label| format!("{label},"));
            format!("{label}0.5{}\n", ",0.25".repeat(783))
        };
        std::fs::write(&file, labels.map(row).concat()).unwrap();
        let words = [
            "train",
            "--data",
            &name,
            "--method",
            "standard",
            "--architecture",
            "fc-10",
            "--out",
            &out,
        ];
        let output = run(&words);
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        stderr(&output)
    };
    let said = train([Some(0), Some(1_000_000), Some(1)]);
    let wrong = format!(
        "{name}: labels go up to 1000000, but only 3 of 1000001 classes have images: image 1 has it"
    );
    assert!(said.contains(&wrong) && said.len() < 1000, "{said}");
    let said = train([None; 3]);
    assert!(
        said.contains(&format!("{name}: image 0 has no label: give images")),
        "{said}"
    );
    assert!(!said.contains("--"), "{said}");
}
