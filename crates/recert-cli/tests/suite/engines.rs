//! Engines, precisions and devices on the command line: what is chosen, what
//! the ledger makes of it, and what is said where something is not there.
//!
//! The tests of OpenVINO need it installed (`pip install openvino` in the
//! environment that `VIRTUAL_ENV` names) and say so where it is not.

use std::path::Path;
use std::process::Command;

use crate::common::{self, Place, Said, asset, certify_demo, fails, held, ok, run, with};
use recert::engine::engines;
use recert::ledger::Ledger;

/// A command that sees the engines which this test sees.
fn with_engines(words: &[String]) -> Command {
    let mut command = common::command(words);
    for name in common::ENGINE_VARIABLES {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

#[track_caller]
fn ok_with_engines(words: &[String]) -> Said {
    let said: Said = with_engines(words)
        .output()
        .expect("the binary runs")
        .into();
    assert_eq!(said.code, Some(0), "{words:?}: {}", said.stderr);
    said
}

/// Whether the engine is installed; says so if it is not.
fn installed(name: &str) -> bool {
    let found = engines::by_name(name);
    if let Err(why) = &found {
        eprintln!("skipped: {why}");
    }
    found.is_ok()
}

fn has_bf16() -> bool {
    let survey = engines::survey();
    let has = survey.iter().any(|engine| {
        engine.name == "openvino"
            && engine.found.as_ref().is_ok_and(|found| {
                found.devices[0]
                    .precisions
                    .iter()
                    .any(|p| p.name() == "bf16")
            })
    });
    if !has {
        eprintln!("skipped: OpenVINO is not installed, or this processor lacks bf16");
    }
    has
}

/// Engine and precision of a ledger's networks.
fn identities(ledger: &Path) -> Vec<(String, String)> {
    let ledger = Ledger::open_read_only(ledger).expect("the ledger opens");
    let networks = ledger.networks().expect("the networks can be read");
    let of = |n: recert::ledger::Network| (n.engine, n.precision);
    networks
        .into_iter()
        .map(|(_, network)| of(network))
        .collect()
}

#[test]
fn one_file_in_bf16_is_recertified_from_its_ledger_in_f32() {
    if !has_bf16() {
        return;
    }
    let place = Place::new();
    let ledger = place.text("run.recert");
    let model = asset("shapes.onnx");
    let certify = certify_demo(400, 50, 3);
    let flags = [
        "--ledger",
        &ledger,
        "--engine",
        "openvino",
        "--precision",
        "f32",
    ];
    ok_with_engines(&with(&certify, &flags));
    let recertify = with(&[], &["recertify", &ledger, "--model", &model]);
    ok_with_engines(&with(
        &recertify,
        &["--precision", "bf16", "--budget", "50%"],
    ));
    let networks = identities(Path::new(&ledger));
    assert_eq!(networks.len(), 2, "{networks:?}");
    assert!(networks[0].1.starts_with("f32, on CPU"), "{networks:?}");
    assert!(networks[1].1.starts_with("bf16, on CPU"), "{networks:?}");
    let both = held(Path::new(&ledger)).networks;
    assert!(both.iter().all(|network| network.certificates.len() == 3));
    // The auditor runs both as they were run, and readers can tell them apart.
    let words = ["check", &ledger, "--rerun", "60", "--model", &model];
    let said = ok_with_engines(&with(&[], &words));
    assert!(
        said.stdout.contains("run again: 60 samples"),
        "{}",
        said.stdout
    );
    let said = ok_with_engines(&with(&[], &["report", &ledger]));
    assert!(
        said.stdout.contains("shapes.onnx, computed in bf16"),
        "{}",
        said.stdout
    );
    // In another precision, the first run is not gone on with.
    let said: Said = with_engines(&with(
        &certify,
        &["--ledger", &ledger, "--precision", "bf16"],
    ))
    .output()
    .expect("the binary runs")
    .into();
    fails(
        4,
        &["the engine's precision", "f32, on CPU", "bf16, on CPU"],
    )
    .check_said(&[], &said);
}

#[test]
fn one_file_is_certified_through_itself_in_another_arithmetic() {
    let place = Place::new();
    let (ledger, model) = (place.text("run.recert"), asset("shapes.onnx"));
    let certify = with(&certify_demo(200, 20, 4), &["--ledger", &ledger]);
    // Two engines that are built in.
    let more = [
        "--engine",
        "direct",
        "--via",
        &model,
        "--via-engine",
        "rten",
        "--via-budget",
        "50%",
    ];
    ok(&with(&certify, &more));
    let engines: Vec<String> = (identities(Path::new(&ledger)).into_iter())
        .map(|(engine, _)| engine)
        .collect();
    assert_eq!(engines, ["rten", "direct"]);
    fails(2, &["--engine"]).check(&with(&certify, &["--via", &model, "--via-engine", "rten"]));
    fails(2, &["--via"]).check(&with(&certify, &["--via-precision", "bf16"]));
    fails(5, &["precision bf16", "--precision"]).check(&with(
        &certify,
        &[
            "--engine",
            "direct",
            "--via",
            &model,
            "--via-precision",
            "bf16",
        ],
    ));
    if !has_bf16() {
        return;
    }
    let ledger = place.text("bf16.recert");
    let certify = with(&certify_demo(200, 20, 4), &["--ledger", &ledger]);
    let more = ["--engine", "openvino", "--via", &model];
    let more = [
        &more[..],
        &["--via-precision", "bf16", "--via-budget", "50%"],
    ]
    .concat();
    for _ in 0..2 {
        ok_with_engines(&with(&certify, &more));
        let found = identities(Path::new(&ledger));
        let precisions: Vec<&str> = (found.iter())
            .map(|(_, precision)| precision.split(',').next().unwrap())
            .collect();
        assert_eq!(precisions, ["bf16", "f32"]);
    }
    ok_with_engines(&with(&[], &["check", &ledger]));
}

#[test]
fn auto_goes_on_with_what_the_ledger_was_begun_with() {
    if !installed("openvino") {
        return;
    }
    let place = Place::new();
    let (slow, fast) = (place.text("rten.recert"), place.text("auto.recert"));
    let certify = certify_demo(200, 20, 2);
    ok(&with(&certify, &["--ledger", &slow, "--engine", "rten"]));
    let more = with(&certify_demo(200, 20, 3), &["--ledger", &slow]);
    for engine in [&[] as &[&str], &["--engine", "auto"]] {
        ok_with_engines(&with(&more, engine));
    }
    let rten = ("rten".to_owned(), "float32".to_owned());
    assert_eq!(identities(Path::new(&slow)), [rten]);
    // A new ledger takes the fastest, and says which.
    let said = ok_with_engines(&with(&certify, &["--ledger", &fast]));
    assert!(
        said.stderr.contains("shapes.onnx is computed by openvino"),
        "{}",
        said.stderr
    );
    assert_eq!(identities(Path::new(&fast))[0].0, "openvino");
    // Where that is gone, nothing else goes on in its place.
    let again = with(&certify, &["--ledger", &fast]);
    fails(5, &["was made with openvino", "pip install openvino"]).check(&again);
    let model = asset("shapes.onnx");
    let words = with(&[], &["recertify", &fast, "--model", &model]);
    fails(
        5,
        &["answered by openvino", "pip install openvino", "--engine"],
    )
    .check(&words);
    ok(&with(&words, &["--engine", "rten"]));
}

#[test]
fn what_is_not_there_is_refused_by_name_and_leaves_no_ledger() {
    let place = Place::new();
    let ledger = place.text("run.recert");
    let certify = with(&certify_demo(200, 20, 2), &["--ledger", &ledger]);
    for (flags, code, says) in [
        (
            "--device CUDA",
            5,
            &["device CUDA", "no device", "--device"] as &[&str],
        ),
        (
            "--engine rten --device GPU",
            5,
            &["device GPU", "the engine openvino"],
        ),
        (
            "--engine onnxruntime --device GPU",
            5,
            &["device GPU", "choose CUDA"],
        ),
        (
            "--precision bf16",
            5,
            &["precision bf16", "pip install openvino"],
        ),
        (
            "--engine rten --precision f16",
            5,
            &["precision f16", "the engine openvino", "--precision"],
        ),
        (
            "--precision int8",
            5,
            &["precision int8", "int8 version", "--precision"],
        ),
        ("--precision fp8", 2, &["--precision", "'fp8'", "bf16"]),
        (
            "--engine openvino",
            5,
            &["pip install openvino", "OPENVINO_DYLIB_PATH"],
        ),
        (
            "--engine onnxruntime",
            5,
            &["pip install onnxruntime", "ORT_DYLIB_PATH"],
        ),
    ] {
        let words: Vec<&str> = flags.split(' ').collect();
        fails(code, says).check(&with(&certify, &words));
        assert!(!Path::new(&ledger).exists(), "{flags}");
    }
    if installed("onnxruntime") {
        let words = with(&certify, &["--engine", "onnxruntime", "--device", "CUDA"]);
        let said: Said = with_engines(&words)
            .output()
            .expect("the binary runs")
            .into();
        if said.code == Some(0) {
            eprintln!("skipped: there is a GPU here");
            return;
        }
        fails(5, &["device CUDA", "onnxruntime-gpu", "no device"]).check_said(&words, &said);
        assert!(!Path::new(&ledger).exists());
    }
}

#[test]
fn a_library_that_is_none_is_refused_with_its_path() {
    let place = Place::new();
    let file = place.path("libopenvino_c.so");
    std::fs::write(&file, b"no library").expect("the file can be written");
    let ledger = place.text("run.recert");
    let words = with(
        &certify_demo(200, 20, 2),
        &["--ledger", &ledger, "--engine", "openvino"],
    );
    for value in [file.clone(), place.path("nowhere")] {
        let mut command = common::command(&words);
        command.env("OPENVINO_DYLIB_PATH", &value);
        let said: Said = command.output().expect("the binary runs").into();
        let path = common::text(&value);
        fails(5, &[path.as_str(), "pip install openvino"]).check_said(&words, &said);
    }
}

#[test]
fn engines_are_listed_with_what_installs_those_that_are_missing() {
    let words = with(&[], &["engines"]);
    let said = ok(&words);
    let rten = said.stdout.lines().find(|line| line.starts_with("rten"));
    assert!(
        rten.is_some_and(|line| line.ends_with("built in")),
        "{}",
        said.stdout
    );
    assert!(
        said.stdout.contains("--engine auto: direct, rten,"),
        "{}",
        said.stdout
    );
    for command in ["pip install openvino", "pip install onnxruntime"] {
        assert!(said.stdout.contains(command), "{}", said.stdout);
    }
    let said = run(&with(&words, &["--json"]));
    let json: serde_json::Value = serde_json::from_str(&said.stdout).expect("JSON");
    assert_eq!(json["schema"], "recert-engines/1");
    assert_eq!(json["auto"], serde_json::json!(["direct", "rten"]));
    let engines = json["engines"].as_array().expect("a list");
    assert_eq!(engines[0]["devices"][0]["precisions"][0], "f32");
    assert!(
        engines
            .iter()
            .skip(2)
            .all(|engine| engine["found"] == false)
    );
    if installed("openvino") {
        let said = ok_with_engines(&words);
        assert!(said.stdout.contains("libopenvino_c"), "{}", said.stdout);
    }
}
