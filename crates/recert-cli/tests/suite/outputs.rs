//! The files that commands write: whole or not at all, and over nothing that
//! is needed.

use std::path::Path;

use crate::common::{Place, asset, certify_demo, fails, ok, with};

/// Makes a ledger, and a network and images that are in the place themselves.
fn prepare(place: &Place) -> [String; 3] {
    let ledger = place.text("run.recert");
    ok(&with(&certify_demo(30, 5, 2), &["--ledger", &ledger]));
    let [model, data] = ["shapes.onnx", "shapes-calibration.npz"].map(|name| {
        std::fs::copy(asset(name), place.path(name)).unwrap();
        place.text(name)
    });
    [ledger, model, data]
}

/// The commands that write a file, without its name.
fn writers(ledger: &str, model: &str, data: &str) -> [(&'static str, Vec<String>); 3] {
    let int8 = ["approximate", model, "--int8", "--calibration", data];
    let int8 = with(&with(&[], &int8), &["--calibration-limit", "10"]);
    [
        ("--html", with(&[], &["report", ledger])),
        ("--svg", with(&[], &["samples"])),
        ("--out", int8),
    ]
}

/// Something that the file of this flag may have been before.
fn earlier(flag: &str, model: &str) -> Vec<u8> {
    match flag {
        "--out" => std::fs::read(model).unwrap(),
        _ => b"the one before".to_vec(),
    }
}

/// Runs a command that is to refuse to write to `file`, which is left as it is.
#[track_caller]
fn refuses(words: &[String], flag: &str, file: &str, what: &str) {
    let before = std::fs::read(file).unwrap();
    fails(2, &[flag, file, what, "another name"]).check(&with(words, &[flag, file]));
    assert!(std::fs::read(file).unwrap() == before, "{file} has changed");
}

#[test]
fn ledgers_and_inputs_are_not_written_over() {
    let place = Place::new();
    let [ledger, model, data] = prepare(&place);
    let other = place.text("other.recert");
    ok(&with(&certify_demo(30, 5, 1), &["--ledger", &other]));
    let all = writers(&ledger, &model, &data);
    for (flag, words) in &all {
        refuses(words, flag, &other, "is a ledger");
    }
    let [(_, report), _, (_, approximate)] = &all;
    refuses(report, "--html", &ledger, "one of the ledgers given");
    refuses(approximate, "--out", &model, "is the network itself");
    refuses(approximate, "--out", &data, "is the calibration data");
    let log = with(&certify_demo(30, 5, 1), &["--ledger", &ledger]);
    refuses(&log, "--log", &other, "is a ledger");

    // What is of another kind is somebody's, whatever it is: a page over images or a network, a network over a text.
    let (images, text) = (place.text("other.npz"), place.text("settings.toml"));
    std::fs::copy(&data, &images).unwrap();
    std::fs::write(&text, "epochs = 3").unwrap();
    refuses(report, "--html", &images, "no text");
    refuses(report, "--html", &model, "no text");
    refuses(approximate, "--out", &images, "no network");
    refuses(approximate, "--out", &text, "no network");

    // By another spelling of its path, and through links of either kind.
    std::fs::create_dir(place.path("folder")).unwrap();
    let mut names = vec![place.text("folder/../shapes.onnx")];
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(&model, place.path("soft.onnx")).unwrap();
        std::fs::hard_link(&model, place.path("hard.onnx")).unwrap();
        names.extend(["soft.onnx", "hard.onnx"].map(|name| place.text(name)));
    }
    for name in &names {
        refuses(approximate, "--out", name, "is the network itself");
    }

    // The images of a folder, beside which a network may lie.
    let images = place.path("images");
    std::fs::create_dir_all(images.join("a")).unwrap();
    let image = place.text("images/a/0.png");
    std::fs::write(&image, "an image").unwrap();
    let folder = ["approximate", &model, "--bf16", "--calibration"];
    let folder = with(&with(&[], &folder), &[&place.text("images")]);
    refuses(&folder, "--out", &image, "a file of the calibration data");
    for _ in 0..2 {
        let network = place.text("images/bf16.onnx");
        ok(&with(&folder, &["--out", &network]));
    }
}

#[test]
fn what_was_written_before_is_written_again() {
    let place = Place::new();
    let [ledger, model, data] = prepare(&place);
    for (flag, words) in writers(&ledger, &model, &data) {
        let file = place.text(&format!("file{flag}"));
        let words = with(&words, &[flag, &file]);
        let said = ok(&words);
        assert!(said.stderr.contains(&format!("wrote {file}")), "{said:?}");
        let first = std::fs::read(&file).unwrap();
        std::fs::write(&file, earlier(flag, &model)).unwrap();
        ok(&words);
        assert!(std::fs::read(&file).unwrap() == first, "{file}");
    }
    assert_no_partial(&place.path(""));
}

/// No file is left that was not finished.
#[track_caller]
fn assert_no_partial(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name();
        let name = name.to_string_lossy();
        assert!(!name.contains(".partial"), "{name}");
    }
}

/// The system stops a file at one KiB or two, as a full disk would.
#[cfg(target_os = "linux")]
#[test]
fn a_file_that_cannot_be_finished_leaves_the_one_before() {
    let place = Place::new();
    let [ledger, model, data] = prepare(&place);
    for (flag, words) in writers(&ledger, &model, &data) {
        let file = place.text(&format!("file{flag}"));
        std::fs::write(&file, earlier(flag, &model)).unwrap();
        let output = std::process::Command::new("/bin/sh")
            .args(["-c", "trap '' XFSZ; ulimit -f 2; exec \"$0\" \"$@\""])
            .arg(env!("CARGO_BIN_EXE_recert"))
            .args(with(&words, &[flag, &file]))
            .output()
            .unwrap();
        fails(6, &[&file, "File too large"]).check_said(&words, &output.into());
        assert!(
            std::fs::read(&file).unwrap() == earlier(flag, &model),
            "{file}"
        );
    }
    assert_no_partial(&place.path(""));
}
