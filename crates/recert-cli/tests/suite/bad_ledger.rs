//! Ledgers that are missing, damaged, too new, of another run, in use or out
//! of space; and logs that cannot be written. Each is an error that says which,
//! and a ledger that was good before is good afterwards, with all it held.

use crate::common::{Place, Said, asset, certify_demo, fails, held, ok, small_data, with};
use recert::ledger::Ledger;

#[test]
fn what_is_no_ledger_is_named() {
    let place = Place::new();
    let good = place.text("good.recert");
    ok(&with(&certify_demo(30, 5, 2), &["--ledger", &good]));
    let whole = std::fs::read(&good).unwrap();
    std::fs::write(place.path("cut.recert"), &whole[..whole.len() / 2]).unwrap();
    std::fs::write(place.path("short.recert"), &whole[..50]).unwrap();
    std::fs::write(place.path("garbage.recert"), [7; 9000]).unwrap();
    std::fs::create_dir(place.path("folder.recert")).unwrap();
    let other = rusqlite::Connection::open(place.path("other.recert")).unwrap();
    other.execute_batch("CREATE TABLE mine (x)").unwrap();
    other.close().unwrap();
    let model = asset("shapes.onnx");
    let cases = [
        ("absent.recert", "no such file"),
        ("cut.recert", "damaged"),
        ("short.recert", "not a recert ledger"),
        ("garbage.recert", "not a recert ledger"),
        ("other.recert", "not a recert ledger"),
        ("folder.recert", "is not a file"),
    ];
    for (name, word) in cases {
        let path = place.text(name);
        let failure = fails(3, &[name, word]);
        failure.check(&with(&[], &["recertify", &path, "--model", &model]));
        failure.check(&with(&[], &["report", &path]));
        failure.check(&with(&[], &["report", &good, &path]));
        if name != "absent.recert" {
            failure.check(&with(&certify_demo(30, 5, 2), &["--ledger", &path]));
        }
    }
    let nowhere = place.text("nowhere/new.recert");
    fails(3, &["new.recert", "there is no folder"])
        .check(&with(&certify_demo(30, 5, 2), &["--ledger", &nowhere]));
    assert_eq!(std::fs::read(&good).unwrap(), whole);
}

/// Changes a ledger behind the program's back.
fn edit(place: &Place, name: &str, sql: &str) {
    let connection = rusqlite::Connection::open(place.path(name)).unwrap();
    connection.execute_batch(sql).unwrap();
    connection.close().unwrap();
}

#[test]
fn a_ledger_of_a_newer_version_is_refused_and_kept() {
    let place = Place::new();
    let ledger = place.text("new.recert");
    let certify = with(&certify_demo(30, 5, 2), &["--ledger", &ledger]);
    ok(&certify);
    let before = held(&place.path("new.recert"));
    let (version, newer) = (
        recert::ledger::SCHEMA_VERSION,
        recert::ledger::SCHEMA_VERSION + 1,
    );
    edit(
        &place,
        "new.recert",
        &format!("PRAGMA user_version = {newer}"),
    );
    let failure = fails(
        4,
        &["new.recert", "newer recert", &format!("schema {newer}")],
    );
    failure.check(&certify);
    failure.check(&with(
        &[],
        &["recertify", &ledger, "--model", &asset("shapes.onnx")],
    ));
    failure.check(&with(&[], &["report", &ledger]));
    edit(
        &place,
        "new.recert",
        &format!("PRAGMA user_version = {version}"),
    );
    assert_eq!(held(&place.path("new.recert")), before);
}

#[test]
fn damaged_answers_are_named_with_their_input() {
    let place = Place::new();
    let ledger = place.text("hurt.recert");
    ok(&with(&certify_demo(30, 5, 2), &["--ledger", &ledger]));
    edit(
        &place,
        "hurt.recert",
        "UPDATE answers SET classes = x'010203' WHERE idx = 1",
    );
    let words = [
        "recertify",
        &ledger,
        "--model",
        &asset("shapes.onnx"),
        "--n-p",
        "50%",
    ];
    fails(3, &["hurt.recert", "damaged", "input 1"]).check(&with(&[], &words));
    edit(&place, "hurt.recert", "UPDATE run SET seed = 'many'");
    fails(3, &["hurt.recert", "header"]).check(&with(&[], &words));
}

#[test]
fn a_ledger_of_another_run_is_refused_and_kept() {
    let place = Place::new();
    let ledger = place.text("run.recert");
    let certify = with(&certify_demo(30, 5, 2), &["--ledger", &ledger]);
    ok(&certify);
    let before = held(&place.path("run.recert"));
    let bf16 = place.text("bf16.onnx");
    ok(&with(
        &[],
        &[
            "approximate",
            &asset("shapes.onnx"),
            "--bf16",
            "--out",
            &bf16,
        ],
    ));
    let calibration = asset("shapes-calibration.npz");
    let changed = |flag: &str, value: &str| {
        let mut words = certify.clone();
        match words.iter().position(|word| word == flag) {
            Some(at) => words[at + 1] = value.to_owned(),
            None => words.extend([flag.to_owned(), value.to_owned()]),
        }
        words
    };
    let cases = [
        ("--model", bf16.as_str(), "the network: "),
        ("--sigma", "0.25", "sigma: 0.5 in the ledger, 0.25 given"),
        ("--seed", "1", "the seed: 0 in the ledger, 1 given"),
        ("--n", "31", "n: 30 in the ledger, 31 given"),
        ("--n0", "6", "n0: 5 in the ledger, 6 given"),
        ("--alpha", "0.01", "alpha: 0.001 in the ledger, 0.01 given"),
        (
            "--scale",
            "255",
            "preprocessing: none in the ledger, scale=255 given",
        ),
        ("--data", &calibration, "other data: input 0"),
    ];
    for (flag, value, part) in cases {
        fails(4, &["run.recert", part, "another ledger"]).check(&changed(flag, value));
        assert_eq!(held(&place.path("run.recert")), before, "{flag}");
    }
    // Other data is noticed also where it is asked for other inputs of it.
    let elsewhere = with(&changed("--data", &calibration), &["--offset", "50"]);
    fails(4, &["other data: input 0"]).check(&elsewhere);
    // ... and where it has not so many.
    let later = with(
        &certify_demo(30, 5, 1),
        &["--ledger", &place.text("late.recert"), "--offset", "400"],
    );
    ok(&later);
    let mut fewer = later.clone();
    let at = fewer.iter().position(|word| word == "--data").unwrap();
    fewer[at + 1].clone_from(&calibration);
    let at = fewer.iter().position(|word| word == "--offset").unwrap();
    fewer[at + 1] = "0".into();
    fails(4, &["late.recert", "other data", "input 400"]).check(&fewer);

    // Predictions do not go into it, nor certificates into a ledger of those.
    let mut predict = with(&certify_demo(30, 5, 2), &["--ledger", &ledger]);
    predict[0] = "predict".into();
    let at = predict.iter().position(|word| word == "--n0").unwrap();
    predict.drain(at..at + 2);
    fails(4, &["the task: certify in the ledger, predict given"]).check(&predict);

    let recertify = with(
        &[],
        &["recertify", &ledger, "--model", &bf16, "--n-p", "50%"],
    );
    fails(4, &["other data: input 0", "--data"])
        .check(&with(&recertify, &["--data", &calibration]));
    fails(3, &["absent.npz", "--data"]).check(&with(&recertify, &["--data", "absent.npz"]));
    let after = held(&place.path("run.recert"));
    assert_eq!(
        (&after.inputs, &after.networks[0]),
        (&before.inputs, &before.networks[0])
    );
    assert!(
        after.networks[1..]
            .iter()
            .all(|network| network.certificates.is_empty())
    );
    ok(&certify);
}

#[test]
fn a_network_of_other_classes_cannot_be_recertified() {
    let place = Place::new();
    let data = small_data(&place);
    let ledger = place.text("plain.recert");
    let model = asset("made/plain.onnx");
    let words = [
        "certify", "--model", &model, "--ledger", &ledger, "--sigma", "0.1",
    ];
    ok(&[with(&with(&[], &words), &["--n", "20", "--n0", "5"]), data].concat());
    let before = held(&place.path("plain.recert"));
    // It answers with class numbers, so it may have as many as there can be.
    let classes = asset("made/arg_max.onnx");
    fails(3, &["arg_max.onnx has 65535 classes", "plain.onnx has 4"])
        .check(&with(&[], &["recertify", &ledger, "--model", &classes]));
    fails(3, &["shapes.onnx", "3 x 32 x 32", "3 x 8 x 8"]).check(&with(
        &[],
        &["recertify", &ledger, "--model", &asset("shapes.onnx")],
    ));
    assert_eq!(held(&place.path("plain.recert")), before);
}

#[test]
fn a_ledger_in_use_is_refused_but_can_be_reported() {
    let place = Place::new();
    let ledger = place.text("busy.recert");
    let certify = with(&certify_demo(30, 5, 2), &["--ledger", &ledger]);
    ok(&certify);
    let before = held(&place.path("busy.recert"));
    let writer = Ledger::open(&place.path("busy.recert")).unwrap();
    let failure = fails(4, &["busy.recert", "another process is writing", "wait"]);
    failure.check(&certify);
    failure.check(&with(
        &[],
        &["recertify", &ledger, "--model", &asset("shapes.onnx")],
    ));
    ok(&with(&[], &["report", &ledger]));
    drop(writer);
    ok(&certify);
    assert_eq!(held(&place.path("busy.recert")), before);
}

#[test]
fn a_file_that_may_not_be_written_to_is_read_alone() {
    let place = Place::new();
    let ledger = place.text("run.recert");
    let certify = with(&certify_demo(30, 5, 2), &["--ledger", &ledger]);
    ok(&certify);
    let before = std::fs::read(&ledger).unwrap();
    let set = |readonly| {
        let mut permissions = std::fs::metadata(&ledger).unwrap().permissions();
        permissions.set_readonly(readonly);
        std::fs::set_permissions(&ledger, permissions).unwrap();
    };
    set(true);
    let refused = fails(3, &["run.recert", "may not be written to", "permissions"]);
    refused.check(&certify);
    let recertify = ["recertify", &ledger, "--model", &asset("shapes.onnx")];
    refused.check(&with(&[], &recertify));
    refused.check(&with(&[], &["merge", &ledger, &ledger]));
    ok(&with(&[], &["report", &ledger]));
    ok(&with(&[], &["check", &ledger, "--strict"]));
    assert_eq!(std::fs::read(&ledger).unwrap(), before);
    set(false);
}

/// The system refuses to let a file grow, as where a quota is reached: `SQLite` does not tell
/// that from a failing disk.
#[cfg(target_os = "linux")]
#[test]
fn a_ledger_that_may_not_grow_keeps_what_it_has() {
    let limited = |blocks: u32, words: &[String]| -> Said {
        let limit = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
        let output = std::process::Command::new("/bin/sh")
            .args(["-c", &limit])
            .arg(env!("CARGO_BIN_EXE_recert"))
            .args(words)
            .output();
        output.unwrap().into()
    };
    let refused = |words: &[String], said: &Said| {
        let full = if said.stderr.contains("disk is full") {
            "disk is full"
        } else {
            "quota"
        };
        fails(6, &["run.recert", full, "is kept", "same command"]).check_said(words, said);
    };
    let calm = Place::new();
    let calm_ledger = calm.text("calm.recert");
    ok(&with(&certify_demo(300, 5, 5), &["--ledger", &calm_ledger]));
    // Of 512 bytes, or 1024 where a shell counts so.
    for blocks in [1, 60, 120, 250, 350] {
        let place = Place::new();
        let words = with(
            &certify_demo(300, 5, 5),
            &["--ledger", &place.text("run.recert")],
        );
        let said = limited(blocks, &words);
        if said.code != Some(0) {
            refused(&words, &said);
        }
        assert!(blocks > 60 || said.code != Some(0), "{blocks}");
        let kept = said.stdout.lines().skip(1).count();
        if kept > 0 {
            let certificates = held(&place.path("run.recert"))
                .networks
                .remove(0)
                .certificates;
            assert!(certificates.len() >= kept, "{blocks}");
        }
        ok(&words);
        assert_eq!(
            held(&place.path("run.recert")),
            held(calm_ledger.as_ref()),
            "{blocks}"
        );
    }
    // A merged ledger that cannot be made leaves nothing.
    let place = Place::new();
    let merge = ["merge", &place.text("run.recert"), &calm_ledger];
    let merge = with(&[], &merge);
    refused(&merge, &limited(60, &merge));
    assert_eq!(std::fs::read_dir(place.path("")).unwrap().count(), 0);
    ok(&merge);
}

#[test]
fn a_log_that_cannot_be_written_is_named() {
    let place = Place::new();
    let ledger = place.text("run.recert");
    let certify = with(&certify_demo(30, 5, 2), &["--ledger", &ledger]);
    let nowhere = place.text("nowhere/log.tsv");
    fails(6, &["nowhere/log.tsv", "No such file"]).check(&with(&certify, &["--log", &nowhere]));
    let folder = place.text("");
    fails(6, &["cannot open the log"]).check(&with(&certify, &["--log", &folder]));
    std::fs::write(place.path("notes.txt"), "my notes").unwrap();
    let notes = place.text("notes.txt");
    fails(6, &["notes.txt", "no certification log"]).check(&with(&certify, &["--log", &notes]));
    assert_eq!(std::fs::read_to_string(&notes).unwrap(), "my notes");
    assert!(!place.path("run.recert").exists(), "no ledger is begun");

    // The log of another run is left as it is.
    let log = place.text("log.tsv");
    ok(&with(&certify, &["--log", &log]));
    let text = std::fs::read_to_string(&log).unwrap();
    let other = with(
        &certify_demo(60, 5, 2),
        &["--ledger", &place.text("o.recert"), "--log", &log],
    );
    fails(6, &["log.tsv", "input 0", "other parameters"]).check(&other);
    assert_eq!(std::fs::read_to_string(&log).unwrap(), text);
    // What was computed for it is kept all the same.
    assert_eq!(
        held(&place.path("o.recert")).networks[0].certificates[0].idx,
        0
    );
}
