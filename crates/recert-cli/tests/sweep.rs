//! `recert sweep`, and the example that goes around the whole loop, run as their users run them. A
//! program of its own, as it is built with the feature `train` alone.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const RECERT: &str = env!("CARGO_BIN_EXE_recert");

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn recert(words: &[&str]) -> Command {
    let mut command = Command::new(RECERT);
    command.args(words).stdin(Stdio::null());
    command
}

fn run(words: &[&str]) -> Output {
    recert(words).output().expect("the binary starts")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A file of a small sweep in `folder`, with what comes after the common settings.
fn file(folder: &Path, tables: &str) -> String {
    let demo = root().join("assets/demo");
    let text = format!(
        "data = 'npz:{0}/shapes-calibration.npz'\ntest = 'npz:{0}/shapes-test.npz'\nlimit = 160\n\
         validation = 40\narchitecture = 'fc-30'\nmean = [0.5]\nstd = [0.25]\nmethod = 'ibp'\n\
         eps = 0.002\nepochs = 6\nramp-end = 2\nbatch = 20\n{tables}",
        demo.display()
    );
    let file = folder.join("sweep.toml");
    std::fs::write(&file, text).unwrap();
    file.display().to_string()
}

fn json(folder: &Path) -> Value {
    let text = std::fs::read_to_string(folder.join("sweep.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn a_killed_sweep_goes_on_and_ends_in_the_same_networks_and_scores() {
    let folder = tempfile::tempdir().unwrap();
    let tables = "[sweep]\nclean-weight = [[0.0, 0.0], [1.0, 0.8]]\nseed = [1]\n\
        [score]\neps = 0.001\nimages = 25\n";
    let file = file(folder.path(), tables);
    let [whole, killed] = ["whole", "killed"].map(|name| folder.path().join(name));
    let path = |folder: &Path| folder.display().to_string();

    let left_alone = run(&[
        "sweep",
        &file,
        "--out",
        &path(&whole),
        "--test-front",
        "--json",
    ]);
    assert!(left_alone.status.success(), "{}", stderr(&left_alone));
    let found = json(&whole);
    let printed: Value = serde_json::from_slice(&left_alone.stdout).unwrap();
    assert_eq!(printed, found);
    assert_eq!(found["schema"], "recert-sweep/1");
    let points = found["points"].as_array().unwrap();
    assert_eq!(points.len(), 2);
    assert!(points.iter().any(|point| point["front"] == true));
    for point in points {
        let count = |name: &str| point["validation"][name].as_u64().unwrap();
        assert_eq!(count("images"), 25, "{point}");
        assert!(count("certified") <= count("natural"), "{point}");
        // Test images are for the front alone.
        assert_eq!(point["front"] == true, point["test"].is_object(), "{point}");
        // The scores are those that the ledger has.
        let name = point["name"].as_str().unwrap();
        let ledger = whole.join(format!("{name}.recert"));
        let report = run(&["report", &path(&ledger), "--json"]);
        let report: Value = serde_json::from_slice(&report.stdout).unwrap();
        let verified = &report["verifications"][0]["metrics"];
        assert_eq!(verified["certified_accuracy"]["count"], count("certified"));
        let check = run(&[
            "check",
            &path(&ledger),
            "--rerun",
            "5",
            "--model",
            &path(&whole.join(format!("{name}.onnx"))),
        ]);
        assert!(check.status.success(), "{}", stderr(&check));
    }
    // Networks differ, as their settings do.
    assert_ne!(points[0]["sha256"], points[1]["sha256"]);

    // Killed within the second training.
    let words = ["sweep", &file, "--out", &path(&killed), "--threads", "1"];
    let mut child = recert(&words)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("2 of 2")));
    assert!(lines.any(|line| line.unwrap().contains("epoch 0:")));
    child.kill().unwrap();
    child.wait().unwrap();
    drop(lines);
    assert!(!killed.join("sweep.json").exists());
    let resumed = run(&words);
    assert!(resumed.status.success(), "{}", stderr(&resumed));
    let said = stderr(&resumed);
    assert!(
        said.contains("1 of 2") && said.contains("trained before"),
        "{said}"
    );
    assert!(said.contains("epochs were done before"), "{said}");
    let table = String::from_utf8_lossy(&resumed.stdout).into_owned();
    assert!(
        table.contains("clean-weight") && table.contains("[1.0, 0.8]"),
        "{table}"
    );
    let again = json(&killed);
    for (a, b) in points.iter().zip(again["points"].as_array().unwrap()) {
        assert_eq!(
            (&a["sha256"], &a["validation"]),
            (&b["sha256"], &b["validation"])
        );
    }
    let page = std::fs::read_to_string(killed.join("sweep.md")).unwrap();
    assert!(page.contains("](sweep.svg)"), "{page}");
    assert!(
        std::fs::read_to_string(killed.join("sweep.svg"))
            .unwrap()
            .contains("</svg>")
    );

    // A network of other settings is not taken for one of the sweep's.
    let name = points[0]["network"].as_str().unwrap();
    std::fs::copy(
        killed.join(points[1]["network"].as_str().unwrap()),
        killed.join(name),
    )
    .unwrap();
    let output = run(&words);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stderr(&output).contains(name), "{}", stderr(&output));
}

#[test]
fn seeds_are_compared_on_the_same_images() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("seeds");
    let tables = "tau = 0.5\n[sweep]\nseed = [1, 2]\n[score]\neps = '1/2550'\nimages = 10\n";
    let file = file(folder.path(), tables);
    let words = ["sweep", &file, "--out", &out.display().to_string()];
    let output = run(&words);
    assert!(output.status.success(), "{}", stderr(&output));
    let said = stderr(&output);
    assert_eq!(
        said.matches("tau: given, but has no effect").count(),
        1,
        "{said}"
    );
    // What ledgers know images by.
    let inputs = |seed: &str| {
        let ledger =
            recert::ledger::Ledger::open_read_only(&out.join(format!("seed-{seed}.recert")));
        let inputs = ledger.unwrap().inputs().unwrap();
        inputs
            .into_iter()
            .map(|input| (input.sha256, input.label))
            .collect::<Vec<_>>()
    };
    assert_eq!(inputs("1").len(), 10);
    assert_eq!(inputs("1"), inputs("2"));
    let found = json(&out);
    assert_ne!(found["points"][0]["sha256"], found["points"][1]["sha256"]);
    let names = std::fs::read_dir(&out)
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let images = names
        .filter(|name| name.to_string_lossy().ends_with(".npy"))
        .count();
    assert_eq!(images, 1);
}

#[test]
fn networks_trained_with_noise_are_scored_under_noise() {
    let folder = tempfile::tempdir().unwrap();
    let tables = "[[sweep]]\nmethod = ['gaussian']\nsigma = [0.05, 0.2]\n\
        [[sweep]]\nmethod = ['gaussian-hinge']\nsigma = [0.2]\nmargin = [2.0]\nmargin-weight = [0.5]\n\
        [score]\nsigma = 0.1\nradius = 0.05\nn = 200\nn0 = 20\nimages = 10\n";
    let file = file(folder.path(), tables);
    let out = folder.path().join("noise");
    let out_text = out.display().to_string();
    let words = ["sweep", &file, "--out", &out_text, "--test-front"];
    let output = run(&words);
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    // All networks are certified on the same noise, as they are to be compared.
    assert!(
        said.contains("certified, ") && !said.contains("from the same noise"),
        "{said}"
    );
    // Nothing grows here.
    assert!(
        said.contains("epoch 5:") && !said.contains("ramp "),
        "{said}"
    );
    let again = run(&[&words[..], &["--quiet"]].concat());
    assert!(again.status.success(), "{}", stderr(&again));
    assert!(stderr(&again).is_empty(), "{}", stderr(&again));
    let found = json(&out);
    assert_eq!(found["points"].as_array().unwrap().len(), 3);
    assert_eq!(found["fields"].as_array().unwrap().len(), 4);
    let point = &found["points"][2];
    assert_eq!(
        point["name"],
        "margin-2.0_margin-weight-0.5_method-gaussian-hinge_sigma-0.2"
    );
    assert_eq!(point["validation"]["images"], 10);
    assert_eq!(found["points"][0]["values"][0], "", "{found}");
    // The front's certificates on test images are on noise that nothing was chosen by.
    let mut front = found["points"].as_array().unwrap().iter();
    let front = front.find(|point| point["front"] == true).unwrap();
    assert_eq!(front["test"]["images"], 10, "{front}");
    for (kind, seed) in [("recert", "seed 0"), ("test.recert", "seed 1")] {
        let name = front["name"].as_str().unwrap();
        let ledger = out.join(format!("{name}.{kind}"));
        let report = run(&["report", &ledger.display().to_string()]);
        let report = String::from_utf8_lossy(&report.stdout).into_owned();
        assert!(report.contains(seed), "{kind}: {report}");
    }
}

#[test]
fn a_network_that_cannot_be_trained_stops_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("some");
    let out_text = out.display().to_string();
    // Images of 32 x 32 pixels cannot be moved by 16, which is known once they are read.
    let tables =
        |shifts: &str| format!("[sweep]\nshift = [{shifts}]\n[score]\neps = 0.001\nimages = 5\n");
    let some = file(folder.path(), &tables("16, 0, 20"));
    let words = ["sweep", &some, "--out", &out_text];
    let output = run(&words);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let early = "shift-16: could not be trained: shift: 16 pixels";
    let late = "2 of 3 networks could not be trained: shift-16, shift-20";
    assert!(said.contains(early) && said.contains(late), "{said}");
    assert!(said.find("3 of 3: shift-20") < said.find(late), "{said}");
    let found = json(&out);
    assert_eq!(found["points"].as_array().unwrap().len(), 1);
    assert_eq!(found["points"][0]["name"], "shift-0");
    assert_eq!(found["failed"][1]["name"], "shift-20");
    let page = std::fs::read_to_string(out.join("sweep.md")).unwrap();
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    for text in [&page, &table] {
        assert!(text.contains("Could not be trained"), "{text}");
    }

    // What is in the folder and is no whole network is to be removed by whoever put it there.
    let network = out.join("shift-0.onnx");
    let bytes = std::fs::read(&network).unwrap();
    std::fs::write(&network, &bytes[..bytes.len() / 2]).unwrap();
    let output = run(&words);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(3), "{said}");
    let parts = ["shift-0.onnx", "remove it to train it again"];
    assert!(parts.iter().all(|part| said.contains(part)), "{said}");

    // Where none can be trained, the first says why.
    let none = file(folder.path(), &tables("16, 20"));
    let output = run(&["sweep", &none, "--out", &out_text]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let last = stderr(&output).lines().last().unwrap().to_owned();
    assert!(last.contains("shift: 16 pixels"), "{last}");
}

#[test]
fn what_is_wrong_is_named_with_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let out_text = out.display().to_string();
    let score = "[score]\neps = 0.001\n";
    let refused = |tables: &str, flags: &[&str], code: i32, named: &str| {
        let file = file(folder.path(), tables);
        let words = [&["sweep", &file, "--out", &out_text], flags].concat();
        let output = run(&words);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{tables}: {said}");
        assert!(said.contains(named), "{tables}: {said}");
        assert!(!out.exists(), "{tables}");
    };
    let at = |line: usize| format!("sweep.toml: line {line}: ");
    refused(&format!("[sweep]\nseeds = [1]\n{score}"), &[], 2, &at(14));
    refused(&format!("[sweep]\nseed = []\n{score}"), &[], 2, &at(14));
    refused(&format!("[sweep]\nseed = [1, 1]\n{score}"), &[], 2, &at(14));
    refused(
        &format!("[sweep]\neps = [0.1, 2.0]\n{score}"),
        &[],
        2,
        &at(14),
    );
    refused(
        &format!("[sweep]\nstd = [0.25, 1e-9]\n{score}"),
        &[],
        2,
        &at(14),
    );
    refused("[sweep]\nseed = [1]\n", &[], 2, &at(1));
    refused("[sweep]\nseed = [1]\n[score]\neps = 7.0\n", &[], 2, &at(15));
    refused(
        &format!("[sweep]\nseed = [1]\n{score}"),
        &["--threads", "0"],
        2,
        "--threads",
    );
    let output = run(&["sweep", "nothing.toml", "--out", &out_text]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stderr(&output).contains("nothing.toml"));
}

#[test]
fn the_example_goes_around_the_loop_on_images_that_ship_here() {
    let folder = tempfile::tempdir().unwrap();
    let script = root().join("examples/loop.sh");
    let output = Command::new("bash")
        .arg(&script)
        .arg("--shapes")
        .arg(folder.path())
        .env("RECERT", RECERT)
        .stdin(Stdio::null())
        .output()
        .expect("bash starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", stderr(&output));
    for file in [
        "report.html",
        "features.bf16.html",
        "features.pruned.html",
        "net.md",
    ] {
        assert!(folder.path().join(file).is_file(), "{file}: {said}");
    }
    // Certificates of either kind, before and after; none of them wrong.
    for words in [
        "recertified by auto",
        "net.int8.onnx",
        "net.bf16.onnx",
        "net.pruned.onnx",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }

    // Without MNIST it says where that can be had.
    let output = Command::new("bash")
        .arg(&script)
        .env("RECERT", RECERT)
        .env("MNIST", folder.path())
        .output()
        .expect("bash starts");
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("https://"), "{}", stderr(&output));
}
