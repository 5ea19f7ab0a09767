//! Networks that engines computed wrongly, that made one panic, or that asked for more memory
//! than there is: each is computed rightly, or refused by name before anything happens.

use std::path::{Path, PathBuf};
use std::process::Command;

use recert_testing::{Skip, note, test};

use crate::common::{ENGINE_VARIABLES, Place, Said, command, fails, text, with};

fn cases() -> Result<PathBuf, Skip> {
    let folder = recert_testing::shared()?.join("cases");
    if folder.is_dir() {
        return Ok(folder);
    }
    Err(Skip::because("there is no folder of cases in ../shared"))
}

/// The environment in which commands find the engines that are installed here.
fn seeing(words: &[String]) -> Command {
    let mut command = command(words);
    for name in ENGINE_VARIABLES {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

fn predict(cases: &Path, network: &str, data: &str, place: &Place, more: &[&str]) -> Vec<String> {
    let model = text(&cases.join(format!("{network}.onnx")));
    let data = text(&cases.join(format!("{data}.npy")));
    let ledger = place.text("run.recert");
    let words = [
        "predict", "--model", &model, "--data", &data, "--ledger", &ledger,
    ];
    let words = with(
        &[],
        &[&words[..], &["--sigma", "1e-6", "--n", "20"]].concat(),
    );
    with(&words, more)
}

fn said(mut command: Command) -> Said {
    command.output().expect("the binary runs").into()
}

/// Networks, their images, and the classes of ONNX Runtime 1.32.0 with all optimisations off
/// on the first images, without noise.
const WRONG: [(&str, &str, &[&str]); 2] = [
    ("i16_saturate_is_relu", "i16_15", &["1", "1", "4", "1", "4"]),
    ("f_cast_f16", "c24", &["0", "0", "0", "0", "0"]),
];

test!(an_engine_that_is_chosen_is_right, needs cases);
fn an_engine_that_is_chosen_is_right(cases: &Path) {
    for (network, data, classes) in WRONG {
        let place = Place::new();
        let said = said(seeing(&predict(
            cases,
            network,
            data,
            &place,
            &["--limit", "5"],
        )));
        if said.code == Some(5) {
            note!("{network}: refused: {}", said.stderr);
            continue;
        }
        assert_eq!(said.code, Some(0), "{network}: {}", said.stderr);
        let rows = said.stdout.lines().skip(1).filter(|row| !row.is_empty());
        let predicted: Vec<&str> = rows.filter_map(|row| row.split('\t').nth(2)).collect();
        assert_eq!(
            &predicted[..classes.len()],
            classes,
            "{network}: {}",
            said.stdout
        );
    }
}

fn openvino() -> Result<PathBuf, Skip> {
    let engine = recert::engine::engines::entry("openvino").expect("an engine of this build");
    engine.find().map_err(Skip::because)?;
    cases()
}

test!(openvino_is_refused_for_what_it_computes_wrongly, needs openvino);
fn openvino_is_refused_for_what_it_computes_wrongly(cases: &Path) {
    // By its node where the fault is known, else by what it answers.
    let by_node = ["(Conv): OpenVINO", "is known to compute"];
    let by_answers = ["openvino", "otherwise than ONNX defines"];
    for (network, data, [engine, why]) in [
        ("ov_conv1x1_stride2_pad1", "dz48", by_node),
        ("i16_saturate_is_relu", "i16_15", by_answers),
        ("ov_residual_skipped_quantize", "dz48", by_answers),
        ("ov_q_convtranspose_u8weights", "dz48", by_answers),
        ("f_cast_f16", "c24", by_answers),
    ] {
        let place = Place::new();
        let words = predict(cases, network, data, &place, &["--engine", "openvino"]);
        let said = said(seeing(&words));
        let file = format!("{network}.onnx");
        let named = [file.as_str(), engine, why];
        fails(5, &named).check_said(&words, &said);
        assert!(!place.path("run.recert").exists(), "{network}");
    }
}

test!(what_was_compared_is_in_the_ledger_and_not_repeated, needs cases);
fn what_was_compared_is_in_the_ledger_and_not_repeated(cases: &Path) {
    let place = Place::new();
    let words = predict(
        cases,
        "ov_conv1x1_stride2_pad1",
        "dz48",
        &place,
        &["--limit", "2"],
    );
    for _ in 0..2 {
        let said = said(command(&words));
        assert_eq!(said.code, Some(0), "{}", said.stderr);
    }
    let ledger = recert::ledger::Ledger::open_read_only(&place.path("run.recert")).unwrap();
    let held = ledger
        .journal()
        .unwrap()
        .into_iter()
        .filter_map(|entry| match entry.event {
            recert::ledger::JournalEvent::Held {
                images,
                largest_difference,
                tolerance,
                ..
            } => Some((images, largest_difference, tolerance)),
            _ => None,
        });
    let held: Vec<_> = held.collect();
    let [(images, difference, tolerance)] = held[..] else {
        panic!("{held:?}");
    };
    assert!(
        images > 8 && difference <= tolerance && tolerance < 1e-3,
        "{held:?}"
    );
    drop(ledger);
    let said = said(command(&with(&[], &["check", &place.text("run.recert")])));
    assert!(
        said.stdout.contains("agree with the reference interpreter"),
        "{}",
        said.stdout
    );
}

test!(what_asks_for_more_memory_than_there_is_is_refused_by_node, needs cases);
fn what_asks_for_more_memory_than_there_is_is_refused_by_node(cases: &Path) {
    for (network, node) in [
        ("abort_direct_conv_pads_1e6", "'#0' (Conv)"),
        ("abort_doubling_constants", "node '#"),
        ("abort_rten_tile_1e6", "'#0' (Tile)"),
    ] {
        for engine in ["auto", "direct", "rten"] {
            let place = Place::new();
            let words = predict(cases, network, "c24", &place, &["--engine", engine]);
            // A process that allocates what the network asks for ends with a signal.
            let mut limited = Command::new("sh");
            limited.args(["-c", "ulimit -v 4194304; exec \"$0\" \"$@\""]);
            limited.arg(env!("CARGO_BIN_EXE_recert")).args(&words);
            let said = said(limited);
            let file = format!("{network}.onnx");
            fails(5, &[file.as_str(), node, "too large"]).check_said(&words, &said);
        }
    }
}

test!(a_limit_on_memory_is_kept, needs cases);
fn a_limit_on_memory_is_kept(cases: &Path) {
    let place = Place::new();
    let network = "ov_conv1x1_stride2_pad1";
    let words = predict(cases, network, "dz48", &place, &["--max-memory", "4KiB"]);
    fails(5, &[network, "node '#0' (Conv)", "4096", "--max-memory"]).check(&words);
    let words = predict(
        cases,
        network,
        "dz48",
        &place,
        &["--max-memory", "100KiB", "--batch", "99"],
    );
    fails(2, &["memory for", "--batch"]).check(&words);
    let words = predict(cases, network, "dz48", &place, &["--max-memory", "lots"]);
    fails(2, &["--max-memory", "4GiB"]).check(&words);
}

test!(a_panic_of_an_engine_is_an_error, needs cases);
fn a_panic_of_an_engine_is_an_error(cases: &Path) {
    let place = Place::new();
    for engine in ["auto", "rten"] {
        let words = predict(
            cases,
            "if_in_if_panics_rten",
            "c24",
            &place,
            &["--engine", engine],
        );
        let failure = fails(
            5,
            &[
                "if_in_if_panics_rten.onnx",
                "rten 0.27.0",
                "a fault of its own",
            ],
        );
        let said = failure.check(&words);
        assert!(!said.stderr.contains("thread '"), "{}", said.stderr);
    }
}

test!(a_damaged_ledger_is_an_input_that_is_wrong, needs cases);
fn a_damaged_ledger_is_an_input_that_is_wrong(cases: &Path) {
    let ledger = text(&cases.join("ledger_report_exit6.recert"));
    fails(3, &["p_lower must lie in [0, 1]"]).check(&with(&[], &["report", &ledger]));
}

#[cfg(unix)]
fn pipes() -> Result<Place, Skip> {
    let place = Place::new();
    let made = Command::new("mkfifo").arg(place.path("pipe")).status();
    if made.is_ok_and(|status| status.success()) {
        return Ok(place);
    }
    Err(Skip::because("there is no program mkfifo"))
}

#[cfg(unix)]
test!(a_pipe_is_refused_wherever_a_file_is_named, needs pipes);
#[cfg(unix)]
fn a_pipe_is_refused_wherever_a_file_is_named(place: &Place) {
    let pipe = place.text("pipe");
    let model = crate::common::asset("shapes.onnx");
    let data = crate::common::asset("shapes-test.npz");
    let (ledger, out) = (place.text("run.recert"), place.text("out.onnx"));
    let certify = |model: &str, data: &str, ledger: &str, more: &[&str]| {
        let words = [
            "certify", "--model", model, "--data", data, "--ledger", ledger,
        ];
        let words = with(&[], &words);
        with(
            &with(&words, &["--sigma", "0.25", "--n", "20", "--limit", "1"]),
            more,
        )
    };
    for words in [
        certify(&pipe, &data, &ledger, &[]),
        certify(&model, &pipe, &ledger, &[]),
        certify(&model, &data, &pipe, &[]),
        certify(&model, &data, &ledger, &["--log", &pipe]),
        with(
            &[],
            &[
                "approximate",
                &model,
                "--int8",
                "--out",
                &out,
                "--calibration",
                &pipe,
            ],
        ),
        with(&[], &["report", &pipe]),
        with(&[], &["check", &pipe]),
    ] {
        // Whatever waits for a writer is stopped, and found out by its exit code.
        let mut limited = Command::new("timeout");
        limited
            .arg("60")
            .arg(env!("CARGO_BIN_EXE_recert"))
            .args(&words);
        let said = said(limited);
        assert!(
            matches!(said.code, Some(2..=6)),
            "{words:?}: {:?}: {}",
            said.code,
            said.stderr
        );
        assert!(said.stderr.contains("pipe"), "{words:?}: {}", said.stderr);
    }
}
