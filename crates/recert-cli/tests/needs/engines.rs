//! Engines that are not built in, on the command line: what is chosen, and what the ledger
//! makes of it.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use recert::engine::engines::{self, Found};
use recert_testing::{Skip, test};

use crate::common::{self, Place, Said, asset, certify_demo, fails, held, identities, ok, with};

/// An installed engine: the environment in which commands see what is installed here.
struct Visible(Vec<(&'static str, OsString)>);

impl Visible {
    fn new() -> Self {
        let variables = common::ENGINE_VARIABLES.into_iter();
        Self(
            variables
                .filter_map(|name| Some((name, std::env::var_os(name)?)))
                .collect(),
        )
    }

    fn command(&self, words: &[String]) -> Command {
        let mut command = common::command(words);
        command.envs(self.0.iter().cloned());
        command
    }

    #[track_caller]
    fn ok(&self, words: &[String]) -> Said {
        let output = self.command(words).output();
        let said: Said = output.expect("the binary runs").into();
        assert_eq!(said.code, Some(0), "{words:?}: {}", said.stderr);
        said
    }
}

fn found(name: &str) -> Result<Found, Skip> {
    let engine = engines::entry(name).expect("an engine of this build");
    engine.find().map_err(Skip::because)
}

fn openvino() -> Result<Visible, Skip> {
    found("openvino").map(|_| Visible::new())
}

fn bf16() -> Result<Visible, Skip> {
    let processor = &found("openvino")?.devices[0];
    if processor.precisions.iter().any(|p| p.name() == "bf16") {
        Ok(Visible::new())
    } else {
        Err(Skip::because("this processor lacks bf16"))
    }
}

fn onnxruntime_without_gpu() -> Result<Visible, Skip> {
    if found("onnxruntime")?.devices.len() == 1 {
        Ok(Visible::new())
    } else {
        Err(Skip::because(
            "there is a GPU that ONNX Runtime computes on",
        ))
    }
}

test!(one_file_in_bf16_is_recertified_from_its_ledger_in_f32, needs bf16);
fn one_file_in_bf16_is_recertified_from_its_ledger_in_f32(openvino: &Visible) {
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
    openvino.ok(&with(&certify, &flags));
    let recertify = with(&[], &["recertify", &ledger, "--model", &model]);
    openvino.ok(&with(
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
    let said = openvino.ok(&with(&[], &words));
    assert!(
        said.stdout.contains("run again: 120 samples"),
        "{}",
        said.stdout
    );
    let said = openvino.ok(&with(&[], &["report", &ledger]));
    assert!(
        said.stdout.contains("shapes.onnx, computed in bf16"),
        "{}",
        said.stdout
    );
    // In another precision, the first run is not gone on with.
    let said: Said = openvino
        .command(&with(
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

test!(one_file_is_certified_through_itself_in_bf16, needs bf16);
fn one_file_is_certified_through_itself_in_bf16(openvino: &Visible) {
    let (place, model) = (Place::new(), asset("shapes.onnx"));
    let ledger = place.text("bf16.recert");
    let certify = with(&certify_demo(200, 20, 4), &["--ledger", &ledger]);
    let more = ["--engine", "openvino", "--via", &model];
    let more = [
        &more[..],
        &["--via-precision", "bf16", "--via-budget", "50%"],
    ]
    .concat();
    for _ in 0..2 {
        openvino.ok(&with(&certify, &more));
        let found = identities(Path::new(&ledger));
        let precisions: Vec<&str> = (found.iter())
            .map(|(_, precision)| precision.split(',').next().unwrap())
            .collect();
        assert_eq!(precisions, ["bf16", "f32"]);
    }
    openvino.ok(&with(&[], &["check", &ledger]));
}

test!(auto_goes_on_with_what_the_ledger_was_begun_with, needs openvino);
fn auto_goes_on_with_what_the_ledger_was_begun_with(openvino: &Visible) {
    let place = Place::new();
    let (slow, fast) = (place.text("rten.recert"), place.text("auto.recert"));
    let certify = certify_demo(200, 20, 2);
    ok(&with(&certify, &["--ledger", &slow, "--engine", "rten"]));
    let more = with(&certify_demo(200, 20, 3), &["--ledger", &slow]);
    for engine in [&[] as &[&str], &["--engine", "auto"]] {
        openvino.ok(&with(&more, engine));
    }
    let rten = ("rten".to_owned(), "float32".to_owned());
    assert_eq!(identities(Path::new(&slow)), [rten]);
    // A new ledger takes the fastest, and says which.
    let chosen = place.text("chosen.recert");
    let said = openvino.ok(&with(&certify, &["--ledger", &chosen]));
    assert!(
        said.stderr.contains("shapes.onnx is computed by direct"),
        "{}",
        said.stderr
    );
    assert_eq!(identities(Path::new(&chosen))[0].0, "direct");
    openvino.ok(&with(
        &certify,
        &["--ledger", &fast, "--engine", "openvino"],
    ));
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

test!(a_gpu_that_is_not_here_is_refused_and_leaves_no_ledger, needs onnxruntime_without_gpu);
fn a_gpu_that_is_not_here_is_refused_and_leaves_no_ledger(onnxruntime: &Visible) {
    let place = Place::new();
    let ledger = place.text("run.recert");
    let certify = with(&certify_demo(200, 20, 2), &["--ledger", &ledger]);
    let words = with(&certify, &["--engine", "onnxruntime", "--device", "CUDA"]);
    let said: Said = onnxruntime
        .command(&words)
        .output()
        .expect("the binary runs")
        .into();
    fails(5, &["device CUDA", "onnxruntime-gpu", "no device"]).check_said(&words, &said);
    assert!(!Path::new(&ledger).exists());
}

test!(a_library_is_listed_with_its_path, needs openvino);
fn a_library_is_listed_with_its_path(openvino: &Visible) {
    let said = openvino.ok(&with(&[], &["engines"]));
    assert!(said.stdout.contains("libopenvino_c"), "{}", said.stdout);
}

test!(an_engine_that_crashes_is_refused_by_name, needs openvino);
fn an_engine_that_crashes_is_refused_by_name(openvino: &Visible) {
    let place = Place::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    // OpenVINO violates its memory when it compiles this.
    let model = root.join("fuzz/findings/openvino_segfault_behind_identity.onnx");
    let images: Vec<f32> = (0..2 * 3 * 9 * 8).map(|i| (i % 7) as f32 / 6.0).collect();
    let images = recert::output::npy(&[2, 3, 9, 8], &images);
    std::fs::write(place.path("images.npy"), images).unwrap();
    let words = common::words(&format!(
        "certify --model {} --data {} --sigma 0.25 --n 100 --n0 10 --ledger {}",
        model.display(),
        place.text("images.npy"),
        place.text("run.recert"),
    ));
    let said = openvino.ok(&words).stderr;
    for part in [
        "openvino is passed over: ",
        ".onnx: openvino 20",
        "crashed on this network (signal 11)",
    ] {
        // On other systems than this it may end otherwise.
        assert!(said.contains(part) || !cfg!(target_os = "linux"), "{said}");
    }
    let engine = identities(&place.path("run.recert"))[0].0.clone();
    assert_ne!(engine, "openvino");
    let words = with(&words, &["--engine", "openvino"]);
    std::fs::remove_file(place.path("run.recert")).unwrap();
    let output = openvino.command(&words).output().unwrap();
    let said: Said = output.into();
    assert_eq!(said.code, Some(5), "{}", said.stderr);
    assert!(
        said.stderr.contains("crashed on this network"),
        "{}",
        said.stderr
    );
    assert!(!place.path("run.recert").exists());
}
