//! Engines, precisions and devices on the command line: what is chosen, what
//! the ledger makes of it, and what is printed where something is not there.
//! Engines that are not built in are in `tests/needs/engines.rs`.

use std::path::Path;

use crate::common::{self, Place, Said, asset, certify_demo, fails, identities, ok, run, with};

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
    assert!(
        said.stdout.contains("never chosen by auto: reference"),
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
    for engine in engines {
        let built_in = engine["install"].is_null();
        assert_eq!(engine["found"], built_in, "{engine}");
        assert_eq!(
            engine["automatic"],
            engine["name"] != "reference",
            "{engine}"
        );
    }
}
