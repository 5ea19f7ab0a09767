//! The approximations of the demo network: what is written, what is said of
//! it, what is refused, and that each can be recertified and reported.

use std::path::Path;

use crate::common::{self, Place, asset, certify_demo, fails, held, ok, rows, with};
use recert::data::{DataSpec, Dataset, Options};
use recert::engine::{ImageShape, Network, NetworkOptions, engines};
use recert::net::Model;
use recert::noise::{NoiseKey, Stream};
use serde_json::Value;

/// The logits of a network on noisy samples of demo images.
fn logits(path: &Path) -> Vec<Vec<f32>> {
    let spec: DataSpec = asset("shapes-test.npz").parse().unwrap();
    let data = Dataset::open(&spec, &Options::default()).unwrap();
    let image = ImageShape {
        channels: 3,
        height: 32,
        width: 32,
    };
    let rten = engines::by_name("rten").unwrap();
    let model = Model::read(path).unwrap();
    let network = Network::load(&model, rten.as_ref(), image, &NetworkOptions::default()).unwrap();
    assert_eq!(network.output(), "logits");
    let mut worker = network.worker().unwrap();
    let mut all = Vec::new();
    for idx in 0..50 {
        let clean = data.image(idx).unwrap().pixels;
        let mut noisy = clean.clone();
        for sample in 0..4 {
            NoiseKey::new(3).add(Stream::Certify, idx, sample, 0.5, &clean, &mut noisy);
            match worker.classify(&noisy).unwrap() {
                recert::engine::Answers::Logits { values, .. } => all.push(values),
                recert::engine::Answers::Classes(_) => panic!("a network of logits"),
            }
        }
    }
    all
}

fn argmax(row: &[f32]) -> usize {
    let best = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    row.iter()
        .position(|&value| value == best)
        .expect("a largest value")
}

struct Case {
    kind: &'static str,
    flags: &'static [&'static str],
    /// Share of noisy samples with the class of the original, at least.
    agreement: f64,
    /// Largest error of a weight, at most; the largest weight is below 4.
    error: f64,
    words: &'static str,
}

const CASES: [Case; 5] = [
    Case {
        kind: "fp16",
        flags: &["--fp16"],
        agreement: 0.99,
        error: 0.002,
        words: "float16",
    },
    Case {
        kind: "bf16",
        flags: &["--bf16"],
        agreement: 0.96,
        error: 0.016,
        words: "bfloat16",
    },
    Case {
        kind: "int8",
        flags: &["--int8", "--sigma", "0.5", "--calibration-limit", "100"],
        agreement: 0.93,
        error: 0.1,
        words: "int8",
    },
    Case {
        kind: "prune10",
        flags: &["--prune", "10%"],
        agreement: 0.93,
        error: 0.2,
        words: "10 %",
    },
    Case {
        kind: "prune5.bf16",
        flags: &["--prune", "0.05", "--bf16", "--prune-globally"],
        agreement: 0.93,
        error: 0.2,
        words: "5 %",
    },
];

/// A sample of the demo network, so that what is made of it lies beside it.
fn network(place: &Place) -> String {
    std::fs::copy(asset("shapes.onnx"), place.path("shapes.onnx")).unwrap();
    place.text("shapes.onnx")
}

fn approximate(model: &str, flags: &[&str]) -> Vec<String> {
    let mut words = with(&[], &["approximate", model]);
    words.extend(flags.iter().map(|&flag| flag.to_owned()));
    if !flags.contains(&"--out") {
        let folder = std::path::Path::new(model).parent().unwrap();
        words.extend(["--out".into(), folder.display().to_string()]);
    }
    if flags.contains(&"--int8") {
        words.extend(["--calibration".into(), asset("shapes-calibration.npz")]);
    }
    words
}

#[test]
fn each_is_written_described_and_close_to_the_original() {
    let place = Place::new();
    let model = network(&place);
    let original = logits(model.as_ref());
    let bytes = std::fs::metadata(&model).unwrap().len();
    for case in &CASES {
        let said = ok(&with(&approximate(&model, case.flags), &["--json"]));
        let path = place.path(&format!("shapes.{}.onnx", case.kind));
        let json: Value = serde_json::from_str(&said.stdout).unwrap();
        assert_eq!(json["schema"], "recert-approximation/1");
        assert_eq!(json["file"], common::text(&path));
        let written = Model::read(&path).unwrap();
        assert_eq!(json["sha256"], written.sha256_hex());
        let steps = json["steps"].as_array().unwrap();
        let (first, last) = (&steps[0], &steps[steps.len() - 1]);
        assert!(
            first["approximation"]
                .as_str()
                .unwrap()
                .contains(case.words),
            "{first}"
        );
        assert_eq!(first["bytes_before"], bytes);
        assert_eq!(last["bytes_after"], std::fs::metadata(&path).unwrap().len());
        for step in steps {
            let number = |key: &str| step[key].as_u64().unwrap();
            assert_eq!(number("weights"), 43_536);
            assert!((1..=43_536).contains(&number("changed")), "{step}");
            let layers = step["layers"].as_array().unwrap();
            assert_eq!(layers.len(), 7);
            for key in ["weights", "changed", "zeroed"] {
                let sum: u64 = layers
                    .iter()
                    .map(|layer| layer[key].as_u64().unwrap())
                    .sum();
                assert_eq!(sum, number(key), "{key}");
            }
            let error = |layer: &Value| layer["max_abs_error"].as_f64().unwrap();
            let largest = layers.iter().map(error).fold(0.0, f64::max);
            assert_eq!(error(step), largest);
            assert!(
                largest > 0.0 && largest <= case.error,
                "{}: {largest}",
                case.kind
            );
        }
        // The file says what it is.
        let note = written.metadata("recert.approximation").unwrap();
        assert!(note.contains(case.words), "{note}");
        assert!(written.metadata("recert.arithmetic").is_some());

        let changed = logits(&path);
        let alike = original
            .iter()
            .zip(&changed)
            .filter(|(a, b)| argmax(a) == argmax(b));
        let agreement = alike.count() as f64 / original.len() as f64;
        eprintln!(
            "{}: {:.1} % of {} samples",
            case.kind,
            100.0 * agreement,
            original.len()
        );
        assert!(agreement >= case.agreement, "{}: {agreement}", case.kind);
        assert_ne!(original, changed, "{}", case.kind);
    }
    let size = |kind: &str| {
        std::fs::metadata(place.path(&format!("shapes.{kind}.onnx")))
            .unwrap()
            .len()
    };
    assert!(size("fp16") < bytes * 6 / 10, "{}", size("fp16"));
    assert!(size("int8") < bytes * 4 / 10, "{}", size("int8"));

    // Without --json the same in words.
    let said = ok(&approximate(&model, &["--prune", "10%"]));
    for part in [
        "4354 of 43536 weights in 7 layers changed",
        "10.00 %",
        "largest error",
        "bytes",
    ] {
        assert!(said.stdout.contains(part), "{part}: {}", said.stdout);
    }
    let said = ok(&approximate(&model, &["--bf16"]));
    for part in ["bfloat16", "float32 arithmetic", "largest error"] {
        assert!(said.stdout.contains(part), "{part}: {}", said.stdout);
    }
}

#[test]
fn what_would_change_nothing_is_refused() {
    let place = Place::new();
    let model = network(&place);
    for (kind, flags) in [("fp16", "--fp16"), ("bf16", "--bf16")] {
        ok(&approximate(&model, &[flags]));
        let once = place.text(&format!("shapes.{kind}.onnx"));
        let twice = place.text("twice.onnx");
        fails(3, &["shapes", kind]).check(&approximate(&once, &[flags, "--out", &twice]));
        assert!(!place.path("twice.onnx").exists());
    }
    ok(&approximate(
        &model,
        &["--int8", "--calibration-limit", "20"],
    ));
    fails(3, &["shapes.int8.onnx", "quantized already"])
        .check(&approximate(&place.text("shapes.int8.onnx"), &["--int8"]));
    ok(&approximate(&model, &["--prune", "10%"]));
    fails(3, &["shapes.prune10.onnx", "would change"]).check(&approximate(
        &place.text("shapes.prune10.onnx"),
        &["--prune", "10%"],
    ));
    fails(3, &["shapes.onnx", "would change"]).check(&approximate(&model, &["--prune", "0.0001%"]));
    for share in ["0", "0%", "100%", "1", "-5%", "x", "nan"] {
        fails(2, &["--prune", share]).check(&approximate(&model, &["--prune", share]));
    }
    fails(2, &["fp16", "--prune"]).check(&approximate(&model, &[]));
    fails(2, &["--int8", "--bf16"]).check(&approximate(&model, &["--int8", "--bf16"]));
    let out = place.text("int8.onnx");
    let without = ["approximate", &model, "--int8", "--out", &out];
    fails(2, &["--calibration"]).check(&with(&[], &without));
    fails(2, &["calibration-limit"]).check(&approximate(
        &model,
        &["--int8", "--calibration-limit", "0"],
    ));
    fails(2, &["percentile"]).check(&approximate(&model, &["--int8", "--percentile", "nan"]));
    fails(2, &["--sigma"]).check(&approximate(&model, &["--int8", "--sigma", "-1"]));
    fails(3, &["absent.npz"]).check(&with(
        &[],
        &[
            "approximate",
            &model,
            "--int8",
            "--calibration",
            "absent.npz",
            "--out",
            &place.text("int8.onnx"),
        ],
    ));
    let small = common::small_data(&place);
    fails(3, &["3 x 32 x 32", "3 x 8 x 8"]).check(&with(
        &[],
        &[
            "approximate",
            &model,
            "--int8",
            "--calibration",
            &small[1],
            "--out",
            &place.text("int8.onnx"),
        ],
    ));
    // Neither the network itself nor what is no file is written over.
    let before = std::fs::read(&model).unwrap();
    fails(2, &["--out", "the network itself"])
        .check(&approximate(&model, &["--bf16", "--out", &model]));
    assert_eq!(std::fs::read(&model).unwrap(), before);
    #[cfg(unix)]
    fails(6, &["no file"]).check(&approximate(&model, &["--bf16", "--out", "/dev/null"]));
    fails(6, &["x.onnx", "No such file"]).check(&approximate(
        &model,
        &["--bf16", "--out", &place.text("nowhere/x.onnx")],
    ));
}

#[test]
fn each_is_recertified_from_one_ledger_and_reported() {
    let place = Place::new();
    let model = network(&place);
    let ledger = place.text("shapes.recert");
    ok(&with(&certify_demo(400, 50, 10), &["--ledger", &ledger]));
    for case in &CASES[..4] {
        ok(&approximate(&model, case.flags));
        let changed = place.text(&format!("shapes.{}.onnx", case.kind));
        let words = [
            "recertify",
            &ledger,
            "--model",
            &changed,
            "--n-p",
            "25%,50%",
            "--method",
            "irs,direct",
        ];
        let said = ok(&with(&[], &words));
        let certified = rows(&said.stdout)
            .iter()
            .filter(|row| row.radius > 0.0)
            .count();
        assert!(certified >= 5, "{}: {certified} of 10", case.kind);
    }
    let kept = held(&place.path("shapes.recert"));
    assert_eq!(kept.networks.len(), 5);

    let page = place.text("report.html");
    let said = ok(&with(&[], &["report", &ledger, "--json", "--html", &page]));
    let json: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(json["schema"], "recert-report/5");
    let runs = json["runs"].as_array().unwrap();
    // Certified once; each of four networks by two methods with two counts.
    assert_eq!(runs.len(), 1 + 4 * 2 * 2);
    let base = runs[0]["metrics"]["acr"].as_f64().unwrap();
    assert!(base > 0.2, "{base}");
    for (run, network) in runs[1..].chunks(4).zip(&CASES) {
        for run in run {
            assert_eq!(run["network"], format!("shapes.{}.onnx", network.kind));
            let metrics = &run["metrics"];
            assert_eq!(metrics["inputs"], 10);
            let samples = run["n"].as_u64().unwrap() * 10;
            let selection = run["n0"].as_u64().unwrap() * 10;
            assert_eq!(metrics["evaluations"], samples + selection, "{run}");
            // From fewer samples never more than the original from all, but for
            // what a network is better by.
            let acr = metrics["acr"].as_f64().unwrap();
            assert!(acr <= 1.2 * base, "{acr} of {base}");
            if run["method"]["kind"] == "recertify" {
                assert_eq!(run["method"]["original"], 0);
                assert_eq!(run["method"]["name"], "irs");
                assert_eq!(run["alpha"], 0.002);
                assert!(metrics["mean_zeta"].as_f64().unwrap() > 0.0);
            }
            assert_eq!(selection, 0);
        }
    }
    // The page shows everything and needs nothing else.
    let html = std::fs::read_to_string(&page).unwrap();
    assert!(html.starts_with("<!DOCTYPE html>") && html.trim_end().ends_with("</html>"));
    for part in [
        "<svg",
        "shapes.int8.onnx",
        "shapes.prune10.onnx",
        "bfloat16",
    ] {
        assert!(html.contains(part), "{part}");
    }
    for part in ["src=\"http", "href=\"http", "<link", "@import", "NaN"] {
        assert!(!html.contains(part), "{part}");
    }
    let table = ok(&with(&[], &["report", &ledger, "--radii", "0,0.31"])).stdout;
    for part in [
        "0.31",
        "ACR",
        "recertified by irs",
        "shapes.fp16.onnx",
        "bfloat16",
    ] {
        assert!(table.contains(part), "{part}: {table}");
    }
}

#[test]
fn an_output_chosen_by_name_is_that_of_the_modified_network_too() {
    let place = Place::new();
    let data = common::small_data(&place);
    let model = asset("made/two_outputs.onnx");
    let outputs = |model: &Path| -> Vec<String> {
        let graph = Model::read(model).unwrap();
        let error = graph
            .signature_with_output(Some("no such output"))
            .unwrap_err();
        let text = error.to_string();
        text.split('`')
            .skip(3)
            .step_by(2)
            .map(str::to_owned)
            .collect()
    };
    let names = outputs(model.as_ref());
    assert_eq!(names.len(), 2, "{names:?}");
    let pruned = place.text("pruned.onnx");
    ok(&approximate(&model, &["--prune", "20%", "--out", &pruned]));
    assert_eq!(outputs(pruned.as_ref()), names, "outputs keep their names");
    for name in &names {
        let ledger = place.text(&format!("{name}.recert"));
        let words = [
            "certify", "--model", &model, "--ledger", &ledger, "--sigma", "0.1", "--output", name,
        ];
        let said = common::run(
            &[
                with(&with(&[], &words), &["--n", "40", "--n0", "5"]),
                data.clone(),
            ]
            .concat(),
        );
        if said.code != Some(0) {
            // Not every output of it is a classifier's.
            fails(said.code.unwrap(), &["two_outputs.onnx"]).check_said(&[], &said);
            continue;
        }
        ok(&with(
            &[],
            &["recertify", &ledger, "--model", &pruned, "--n-p", "50%"],
        ));
        let ledger = recert::ledger::Ledger::open_read_only(ledger.as_ref()).unwrap();
        for (_, network) in ledger.networks().unwrap() {
            assert_eq!(&network.output, name);
        }
    }
}

#[test]
fn predictions_are_rows_without_radii() {
    let place = Place::new();
    let (ledger, log) = (place.text("predict.recert"), place.text("predict.tsv"));
    let (model, data) = (asset("shapes.onnx"), asset("shapes-test.npz"));
    let words = [
        "predict", "--model", &model, "--data", &data, "--ledger", &ledger, "--log", &log,
    ];
    let words = with(
        &with(&[], &words),
        &["--sigma", "0.5", "--n", "100", "--limit", "20"],
    );
    let said = ok(&words);
    let predicted = rows(&said.stdout);
    assert_eq!(predicted.len(), 20);
    assert!(predicted.iter().all(|row| row.radius == 0.0));
    let correct = common::accuracy(&predicted);
    assert!(correct >= 0.6, "{correct}");
    assert_eq!(rows(&std::fs::read_to_string(&log).unwrap()), predicted);
    for certificate in &held(&place.path("predict.recert")).networks[0].certificates {
        let counts: Value = serde_json::from_str(&certificate.evidence.to_json()).unwrap();
        let count = |key: &str| counts[key].as_u64().unwrap();
        assert!(count("k1") >= count("k2") && count("k1") + count("k2") <= 100);
        assert_eq!(certificate.radius, 0.0);
        assert_eq!(certificate.claim.method(), "predict");
    }
    assert_eq!(common::evaluations(&ok(&words)), 0);
}
