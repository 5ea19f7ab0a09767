//! Wrong files, wrong networks and wrong flags: each ends with the exit code
//! that `recert --help` documents and a message that names what is wrong.

use crate::common::{
    self, Failure, Place, Said, asset, certify_demo, fails, held, ok, rows, run, small_data, with,
    words,
};
use recert::ledger::INVALID;

/// `certify` of `model` on `data` into a ledger that is not there yet.
fn certify(place: &Place, model: &str, data: &str, more: &[&str]) -> Vec<String> {
    let ledger = place.text("none.recert");
    let words = [
        "certify", "--model", model, "--data", data, "--sigma", "0.5", "--ledger", &ledger,
    ];
    let small = ["--n", "20", "--n0", "5", "--limit", "2"];
    with(&with(&with(&[], &words), &small), more)
}

#[test]
fn help_documents_the_exit_codes() {
    let said = ok(&words("--help"));
    for code in ["0", "1", "2", "3", "4", "5", "6", "130"] {
        let line = format!("\n  {code:<3}  ");
        assert!(said.stdout.contains(&line), "{code}: {}", said.stdout);
    }
}

#[test]
fn files_that_are_no_network_are_named() {
    let place = Place::new();
    let whole = std::fs::read(asset("shapes.onnx")).unwrap();
    let garbage: Vec<u8> = (0..20_000_u32).map(|i| ((i * i) >> 3) as u8).collect();
    let files: [(&str, &[u8], &str); 4] = [
        ("cut.onnx", &whole[..whole.len() / 2], "truncated"),
        ("short.onnx", &whole[..10], "ONNX"),
        ("garbage.onnx", &garbage, "ONNX"),
        ("empty.onnx", &[], "ONNX"),
    ];
    let data = asset("shapes-test.npz");
    for (name, bytes, word) in files {
        std::fs::write(place.path(name), bytes).unwrap();
        fails(3, &[name, word]).check(&certify(&place, &place.text(name), &data, &[]));
    }
    fails(3, &["absent.onnx", "No such file"]).check(&certify(
        &place,
        &place.text("absent.onnx"),
        &data,
        &[],
    ));
    fails(3, &["cannot be read"]).check(&certify(&place, &place.text(""), &data, &[]));
    assert!(!place.path("none.recert").exists(), "no ledger is begun");
}

#[test]
fn files_that_are_no_images_are_named() {
    let place = Place::new();
    let whole = std::fs::read(asset("shapes-test.npz")).unwrap();
    let garbage: Vec<u8> = (0..20_000_u32).map(|i| ((i * i) >> 3) as u8).collect();
    let zip = [b"PK\x03\x04", &garbage[..]].concat();
    std::fs::create_dir(place.path("folder")).unwrap();
    let files: [(&str, &str, &[u8], &str); 7] = [
        ("", "cut.npz", &whole[..whole.len() / 2], "damaged"),
        ("", "garbage.npz", &zip, "zip archive without numpy arrays"),
        ("", "garbage.bin", &garbage, "not recognised"),
        ("", "empty.npz", &[], "empty"),
        ("cifar10-bin:", "cut.bin", &garbage[..4000], "bytes"),
        ("idx:", "garbage.idx", &garbage, "IDX"),
        ("npy:", "garbage.npy", &garbage, "npy"),
    ];
    let model = asset("shapes.onnx");
    for (prefix, name, bytes, word) in files {
        std::fs::write(place.path(name), bytes).unwrap();
        let data = format!("{prefix}{}", place.text(name));
        fails(3, &[name, word]).check(&certify(&place, &model, &data, &[]));
    }
    let absent = place.text("absent.npz");
    fails(3, &["absent.npz", "no such file"]).check(&certify(&place, &model, &absent, &[]));
    fails(3, &["folder", "no images"]).check(&certify(&place, &model, &place.text("folder"), &[]));
    fails(3, &["'mnist'", "'idx:'"]).check(&certify(&place, &model, "mnist:raw", &[]));
    assert!(!place.path("none.recert").exists(), "no ledger is begun");
}

#[test]
fn networks_that_do_not_fit_are_named_with_their_node() {
    let place = Place::new();
    let data = small_data(&place);
    let cases = [
        // Operators that the engine lacks, or computes wrongly.
        (
            "unknown_operator",
            fails(5, &["the_frobnicator", "Frobnicate"]),
        ),
        ("training_dropout", fails(5, &["the_dropout", "Dropout"])),
        (
            "sign",
            fails(5, &["'the_sign' (Sign)", "the engine onnxruntime"]),
        ),
        (
            "conv_integer",
            fails(5, &["ConvInteger", "QuantizeLinear/DequantizeLinear"]),
        ),
        // Networks that are no function of one image.
        (
            "random_noise",
            fails(5, &["'the_dice' (RandomNormalLike)", "at random"]),
        ),
        (
            "mixes_the_batch",
            fails(5, &["depends on the other images in the batch"]),
        ),
        // Inputs and outputs that are not a classifier's.
        ("integer_image", fails(3, &["input 'image'", "float32"])),
        ("one_logit", fails(5, &["1 logit", "2 to 65535 classes"])),
    ];
    for (name, failure) in &cases {
        let model = asset(&format!("made/{name}.onnx"));
        let ledger = place.text("none.recert");
        let words = [
            "certify", "--model", &model, "--sigma", "0.1", "--ledger", &ledger,
        ];
        let said = failure.check(&[with(&[], &words), data.clone()].concat());
        assert!(
            said.stderr.contains(&format!("{name}.onnx")),
            "{}",
            said.stderr
        );
    }
    let plain = asset("made/plain.onnx");
    let shapes = asset("shapes-test.npz");
    fails(3, &["plain.onnx", "3 x 8 x 8", "3 x 32 x 32"]).check(&certify(
        &place,
        &plain,
        &shapes,
        &[],
    ));
    let model = asset("shapes.onnx");
    fails(3, &["no output `probabilities`", "`logits`"]).check(&certify(
        &place,
        &model,
        &shapes,
        &["--output", "probabilities"],
    ));
    fails(5, &["unknown engine 'tpu'", "rten"]).check(&certify(
        &place,
        &model,
        &shapes,
        &["--engine", "tpu"],
    ));
    assert!(!place.path("none.recert").exists(), "no ledger is begun");
}

#[test]
fn flags_out_of_range_are_named() {
    let place = Place::new();
    let (model, data) = (asset("shapes.onnx"), asset("shapes-test.npz"));
    let bad: [(&str, &[&str]); 17] = [
        (
            "--sigma",
            &[
                "0", "-1", "nan", "inf", "-inf", "1e-300", "1e300", "big", "",
            ],
        ),
        (
            "--alpha",
            &["0", "1", "nan", "-0.1", "2", "0.6", "1e-300", "inf"],
        ),
        ("--n", &["0", "-1", "1.5", "4294967296", "1e10"]),
        ("--n0", &["0", "-1", "4294967296"]),
        ("--every", &["0", "-1"]),
        ("--offset", &["500", "-1"]),
        ("--limit", &["0", "-1"]),
        ("--seed", &["-1", "x", "18446744073709551616"]),
        ("--batch", &["0", "-1"]),
        ("--threads", &["0", "-1"]),
        ("--mean", &["1,2", "nan", "x"]),
        ("--std", &["0", "-1", "nan", "1,1"]),
        ("--scale", &["nan", "inf", "x"]),
        ("--label-offset", &["5", "100", "x"]),
        ("--resize", &["0", "-1", "x"]),
        ("--crop", &["0", "-1", "x"]),
        ("--nonsense", &["1"]),
    ];
    for (flag, values) in bad {
        for value in values {
            let mut words = certify(&place, &model, &data, &[]);
            // Given twice, a flag is another error.
            if let Some(at) = words.iter().position(|word| word == flag) {
                words.drain(at..at + 2);
            }
            let said = run(&with(&words, &[flag, value]));
            let name = flag.trim_start_matches('-');
            // Options of other formats of data are refused as such.
            let code = if ["--resize", "--crop"].contains(&flag) && *value == "0" {
                3
            } else {
                2
            };
            fails(code, &[name]).check_said(&with(&words, &[flag, value]), &said);
        }
    }
    assert!(!place.path("none.recert").exists(), "no ledger is begun");

    // Labels that are no class of the network.
    let said = run(&certify(&place, &model, &data, &["--label-offset", "5"]));
    fails(
        2,
        &[
            "input 0 has label 13",
            "10 classes (0 to 9)",
            "--label-offset",
        ],
    )
    .check_said(&[], &said);
    let labels = place.text("labels.npy");
    common::write_labels(&place.path("labels.npy"), &[10; 500]);
    fails(2, &["label 10", "--label-offset"]).check(&certify(
        &place,
        &model,
        &data,
        &["--labels", &labels],
    ));
    common::write_labels(&place.path("labels.npy"), &[1; 499]);
    fails(3, &["500 images have 499 labels"]).check(&certify(
        &place,
        &model,
        &data,
        &["--labels", &labels],
    ));
    fails(3, &["label 2 of image 1 plus -5"]).check(&certify(
        &place,
        &model,
        &data,
        &["--label-offset", "-5"],
    ));
}

#[test]
fn flags_of_the_other_commands_out_of_range_are_named() {
    let place = Place::new();
    let base = place.text("base.recert");
    ok(&with(&certify_demo(50, 5, 2), &["--ledger", &base]));
    let before = held(&place.path("base.recert"));
    let model = asset("shapes.onnx");
    let recertify = with(&[], &["recertify", &base, "--model", &model]);
    let bad: [(&str, &[&str]); 8] = [
        (
            "--n-p",
            &[
                "0", "51", "101%", "0%", "-1", "-5%", "x", "nan%", "1e2", "", "10%,51", "10%;20%",
            ],
        ),
        ("--alpha", &["0", "1", "nan", "-1", "1e-39", "inf"]),
        ("--gamma", &["-0.1", "1.1", "nan", "x"]),
        ("--limit", &["0", "-1"]),
        ("--method", &["exact", "irs,exact"]),
        ("--batch", &["0"]),
        ("--threads", &["0"]),
        ("--std", &["0"]),
    ];
    for (flag, values) in bad {
        for value in values {
            let name = flag.trim_start_matches('-');
            fails(2, &[name]).check(&with(&recertify, &[flag, value]));
        }
    }
    assert_eq!(held(&place.path("base.recert")), before);

    let predictions = place.text("predict.recert");
    let predict = [
        "predict",
        "--model",
        &model,
        "--sigma",
        "0.5",
        "--ledger",
        &predictions,
    ];
    let predict = with(
        &predict.map(str::to_owned),
        &["--data", &asset("shapes-test.npz"), "--limit", "1"],
    );
    for (flag, value) in [("--n", "0"), ("--alpha", "1"), ("--alpha", "1e-40")] {
        fails(2, &[flag]).check(&with(&predict, &[flag, value]));
    }
    ok(&with(&predict, &["--n", "10"]));
    let recertify = with(&[], &["recertify", &predictions, "--model", &model]);
    fails(
        2,
        &["predict.recert holds predictions", "ledger of certificates"],
    )
    .check(&recertify);
    fails(2, &["predict.recert holds predictions"]).check(&with(&[], &["report", &predictions]));

    for radii in ["-1", "nan", "x"] {
        let radii = format!("--radii={radii}");
        fails(2, &["--radii"]).check(&with(&[], &["report", &base, &radii]));
    }
}

#[test]
fn an_alpha_that_no_statement_can_use_leaves_no_ledger() {
    let place = Place::new();
    let (model, data) = (asset("shapes.onnx"), asset("shapes-test.npz"));
    let ways: [&[&str]; 5] = [
        &[],
        &["--one-sided"],
        &["--until-radius", "0.3"],
        &["--noise", "integer"],
        &["--via", &model],
    ];
    for way in ways {
        for alpha in ["0.56", "0.9"] {
            let words = with(&certify(&place, &model, &data, way), &["--alpha", alpha]);
            fails(2, &["--alpha", alpha, "0.5"]).check(&words);
            assert!(!place.path("none.recert").exists(), "{way:?}");
        }
    }
}

#[test]
fn recertifying_begins_with_an_alpha_and_labels_that_can_be_used() {
    let place = Place::new();
    let (model, data) = (asset("shapes.onnx"), asset("shapes-test.npz"));
    let ledger = place.text("none.recert");
    for alpha in ["0.3", "0.5"] {
        ok(&with(
            &certify(&place, &model, &data, &[]),
            &["--alpha", alpha],
        ));
        let recertify = with(&[], &["recertify", &ledger, "--model", &model]);
        let before = held(&place.path("none.recert"));
        for more in [
            &["--alpha", "0.51"][..],
            &["--alpha", "0.9"],
            &["--alpha", "0.9", "--until-radius", "0.2"],
            &["--alpha", "0.9", "--plan"],
        ] {
            let said = fails(2, &["--alpha", "0.5"]).check(&with(&recertify, more));
            assert_eq!(said.stdout, "", "{more:?}");
        }
        for more in [&[][..], &["--plan"]] {
            let words = with(&with(&recertify, &["--label-offset", "7"]), more);
            fails(2, &["10 classes (0 to 9)", "--label-offset"]).check(&words);
        }
        assert_eq!(held(&place.path("none.recert")), before);
        ok(&recertify);
        std::fs::remove_file(&ledger).unwrap();
    }
}

#[test]
fn messages_name_the_flag_and_the_file_once() {
    let place = Place::new();
    let (model, data) = (asset("shapes.onnx"), asset("shapes-test.npz"));
    for (flag, value) in [
        ("--std", "0"),
        ("--scale", "0"),
        ("--mean", "nan"),
        ("--mean", "0.5,0.5"),
        ("--threads", "100000"),
        ("--threads", "1025"),
    ] {
        for engine in [&[][..], &["--engine", "rten"]] {
            let words = with(&certify(&place, &model, &data, engine), &[flag, value]);
            fails(2, &[&format!("(see {flag})")]).check(&words);
        }
    }
    let words = certify(&place, &model, &data, &["--output", "probabilities"]);
    let said = fails(3, &["recert: shapes.onnx: there is no output"]).check(&words);
    assert_eq!(said.stderr.matches("shapes.onnx").count(), 1);
    assert!(!place.path("none.recert").exists(), "no ledger is begun");
}

/// Opening a pipe that nobody writes to would wait for ever.
#[cfg(unix)]
#[test]
fn pipes_are_neither_networks_nor_data() {
    let place = Place::new();
    let pipe = place.text("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.is_ok_and(|status| status.success()), "mkfifo");
    let (model, data) = (asset("shapes.onnx"), asset("shapes-test.npz"));
    let refused = fails(3, &["pipe: ", "is a pipe or device"]);
    refused.check(&certify(&place, &pipe, &data, &[]));
    let out = place.text("bf16.onnx");
    refused.check(&with(&[], &["approximate", &pipe, "--bf16", "--out", &out]));
    for format in [
        "",
        "cifar10:",
        "cifar10-bin:",
        "idx:",
        "folder:",
        "npy:",
        "npz:",
    ] {
        let data = format!("{format}{pipe}");
        refused.check(&certify(&place, &model, &data, &[]));
    }
    let labels = ["--labels", &pipe];
    refused.check(&certify(&place, &model, &data, &labels));
    assert!(!place.path("none.recert").exists(), "no ledger is begun");
}

/// `certify` of a network made by hand on a black image and another one.
fn certify_small(place: &Place, network: &str) -> Said {
    let ledger = place.text(&format!("{network}.recert"));
    let model = asset(&format!("made/{network}.onnx"));
    let how = words("certify --sigma 0.05 --n 200 --n0 20 --limit 2");
    let what = ["--model", &model, "--ledger", &ledger];
    ok(&[with(&how, &what), small_data(place)].concat())
}

#[track_caller]
fn assert_abstained(said: &Said) {
    let rows = rows(&said.stdout);
    assert!(
        rows.iter()
            .all(|row| row.predict == -1 && row.radius == 0.0),
        "{rows:?}"
    );
}

#[track_caller]
fn assert_says(text: &str, part: &str) {
    assert!(text.contains(part), "'{part}' is not in: {text}");
}

#[test]
fn nan_logits_count_against_the_class_and_are_reported() {
    let place = Place::new();
    // A network that never answers: every sample invalid, an abstention.
    let said = certify_small(&place, "nan_constant");
    assert_abstained(&said);
    assert_says(&said.stderr, "400 samples had NaN or infinite logits");
    let network = &held(&place.path("nan_constant.recert")).networks[0];
    let mut classes = network.classes.values().flatten();
    assert!(classes.all(|&class| class == INVALID));
    let mut selections = network.selections.values();
    assert!(selections.all(|s| s.invalid == 20 && s.counts.is_empty()));
    let report = ok(&with(&[], &["report", &place.text("nan_constant.recert")]));
    assert_says(&report.stdout, "400 samples had NaN");

    // One that fails on dark images only: the black one's samples are dark
    // about half of the time, the other's never.
    let said = certify_small(&place, "nan_for_dark_images");
    let network = &held(&place.path("nan_for_dark_images.recert")).networks[0];
    let invalid = |idx| {
        let classes = &network.classes[&(idx, recert::noise::Stream::Certify.tag())];
        classes.iter().filter(|&&class| class == INVALID).count()
    };
    assert!((50..150).contains(&invalid(0)), "{}", invalid(0));
    assert_eq!(invalid(1), 0);
    let rows = rows(&said.stdout);
    assert_eq!(rows[0].predict, -1, "{} of 200 are invalid", invalid(0));
    assert!(rows[1].predict >= 0 && rows[1].radius > 0.05, "{rows:?}");
    assert_says(&said.stderr, &format!("{} samples had NaN", invalid(0)));
}

#[test]
fn nan_logits_of_a_modified_network_disagree_and_certify_nothing() {
    let place = Place::new();
    certify_small(&place, "plain");
    let (ledger, model) = (place.text("plain.recert"), asset("made/nan_constant.onnx"));
    let how = words("recertify --n-p 25% --method irs,direct");
    let said = ok(&with(&how, &[&ledger, "--model", &model]));
    assert_abstained(&said);
    assert_says(&said.stderr, "100 samples had NaN");
    for certificate in &held(&place.path("plain.recert")).networks[1].certificates {
        let counts = certificate.evidence.to_json();
        assert_eq!(certificate.class, None, "{counts}");
        let disagree = counts.contains("\"disagreements\":50");
        assert_eq!(disagree, certificate.claim.method() == "irs", "{counts}");
        assert_says(&counts, "\"invalid\":50");
    }
    // The samples are counted once, not once a method.
    let report = ok(&with(&[], &["report", &ledger]));
    assert_says(&report.stdout, ": 100 samples had NaN");
}

/// A full standard output is an error like any other, and a closed one ends
/// the program without a panic.
#[cfg(target_os = "linux")]
#[test]
fn an_output_that_takes_nothing_is_an_error() {
    let place = Place::new();
    let base = place.text("base.recert");
    let certify = with(&certify_demo(30, 5, 2), &["--ledger", &base]);
    ok(&certify);
    let before = held(&place.path("base.recert"));
    let approximation = place.text("b.onnx");
    let approximate = [
        "approximate",
        &asset("shapes.onnx"),
        "--bf16",
        "--out",
        &approximation,
    ];
    let all = [
        certify,
        with(&[], &["report", &base]),
        with(&[], &["report", &base, "--json"]),
        with(&[], &approximate),
    ];
    for words in &all {
        let full = std::fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let output = common::command(words).stdout(full).output().unwrap();
        fails(6, &["standard output", "No space left"]).check_said(words, &output.into());
        let (read, closed) = std::io::pipe().unwrap();
        drop(read);
        let output = common::command(words).stdout(closed).output().unwrap();
        fails(6, &["standard output"]).check_said(words, &output.into());
    }
    assert_eq!(held(&place.path("base.recert")), before);
    let page: &Failure = &fails(6, &["writing /dev/full", "No space left"]);
    page.check(&with(&[], &["report", &base, "--html", "/dev/full"]));
}
