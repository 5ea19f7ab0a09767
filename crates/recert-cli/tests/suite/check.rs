//! `recert check`: good ledgers pass, and what is wrong is named.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::common::{Place, asset, certify_demo, command, fails, ok, run, with};
use crate::ledgers::{INPUTS, N, N0, clean, everything, pruned, seal_of};
use recert::check::SealState;
use rusqlite::Connection;
use serde_json::Value as Json;

#[test]
fn good_ledgers_of_all_methods_pass() {
    let place = Place::new();
    everything(&place, "all.recert", &[]);
    let report = clean(&place.path("all.recert"));
    assert_eq!(report.seal, SealState::Holds);
    let certificates: BTreeMap<&str, u64> = report
        .methods
        .iter()
        .map(|(method, tally)| (method.as_str(), tally.certificates))
        .collect();
    let inputs = u64::from(INPUTS);
    let wanted = [
        ("auto", 4 * inputs),
        ("certify", 2 * inputs),
        ("direct", 3 * inputs),
        ("irs", 2 * inputs),
        ("loss", 2 * inputs),
        ("paired", 2 * inputs),
        ("zeta", 2 * inputs),
    ];
    assert_eq!(certificates, wanted.into());

    everything(&place, "integer.recert", &["--noise", "integer"]);
    clean(&place.path("integer.recert"));

    let until = place.text("until.recert");
    let words = with(&certify_demo(N, N0, INPUTS), &["--ledger", &until]);
    ok(&with(&words, &["--until-radius", "0.3"]));
    let report = clean(&place.path("until.recert"));
    assert_eq!(report.methods["until"].certificates, inputs);

    let predict = place.text("predict.recert");
    let mut words = with(&certify_demo(N, N0, INPUTS), &["--ledger", &predict]);
    words[0] = "predict".into();
    let at = words.iter().position(|word| word == "--n0").unwrap();
    words.drain(at..at + 2);
    ok(&words);
    let report = clean(&place.path("predict.recert"));
    assert_eq!(report.methods["predict"].certificates, inputs);

    let all =
        ["all", "integer", "until", "predict"].map(|name| place.text(&format!("{name}.recert")));
    let words: Vec<&str> = all.iter().map(String::as_str).collect();
    let said = ok(&with(&with(&[], &["check"]), &words));
    // Two of them state a choice among three candidates, of which nothing is known of two.
    assert_eq!(said.stdout.matches("all checks passed").count(), 2);
    assert_eq!(
        said.stdout
            .matches("not complete: 1 thing is missing")
            .count(),
        2
    );
    let said = ok(&with(&with(&[], &["check", "--json"]), &words));
    let document: Json = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(document["schema"], "recert-check/2");
    assert!(
        document["ledgers"]
            .as_array()
            .unwrap()
            .iter()
            .all(|l| l["holds"] == true)
    );
}

/// Until 0.3.0, `direct` had selection samples of the network's own. Such certificates are made
/// here of those with f's class, by giving the network the same selection samples as f.
#[test]
fn direct_certificates_of_older_ledgers_are_checked_as_they_were() {
    let place = Place::new();
    everything(&place, "old.recert", &[]);
    let path = place.path("old.recert");
    let change = |sql: &str| {
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch(sql).unwrap();
    };
    change(
        "DELETE FROM seal;
         DELETE FROM journal WHERE kind = 'concluded';
         UPDATE journal SET id = (SELECT count(*) FROM journal AS j WHERE j.id <= journal.id);
         UPDATE claim SET parameters = replace(parameters, '\"class_of\":\"f\",', '')
             WHERE method = 'direct'",
    );
    let report = recert::check::check(&path).unwrap();
    let lacking = "the selection samples of network";
    let lacks = |violation: &_| format!("{violation:?}").contains(lacking);
    assert!(report.violations.iter().any(lacks), "{report:#?}");

    change(
        "INSERT INTO selection
             SELECT (SELECT network FROM claim WHERE method = 'direct' LIMIT 1),
                 idx, copies, counts, invalid, class, NULL, micros
             FROM selection WHERE network = (SELECT network FROM run)",
    );
    let report = recert::check::check(&path).unwrap();
    let unpaid = 3 * u64::from(INPUTS);
    assert!(report.violations.len() as u64 >= unpaid, "{report:#?}");
    change(&format!(
        "UPDATE certificate SET evaluations = evaluations + {N0}, micros = micros + (
             SELECT micros FROM selection WHERE selection.idx = certificate.idx LIMIT 1)
             WHERE claim IN (SELECT id FROM claim WHERE method = 'direct')"
    ));
    let report = clean(&path);
    assert_eq!(report.methods["direct"].certificates, unpaid);
}

#[test]
fn killed_and_resumed_ledgers_pass() {
    let place = Place::new();
    let ledger = place.text("killed.recert");
    let words = with(&certify_demo(4 * N, N0, INPUTS), &["--ledger", &ledger]);
    for _ in 0..2 {
        let mut child = command(&words)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // The header, and the first row.
        for line in lines.by_ref().take(2) {
            line.unwrap();
        }
        let _ = child.kill();
        child.wait().unwrap();
        let report = clean(&place.path("killed.recert"));
        assert!(report.methods["certify"].certificates >= 1);
    }
    ok(&words);
    let report = clean(&place.path("killed.recert"));
    assert_eq!(report.seal, SealState::Holds);
    assert_eq!(report.methods["certify"].certificates, u64::from(INPUTS));
}

#[test]
fn what_is_missing_is_listed_and_fails_only_a_strict_check() {
    let place = Place::new();
    let ledger = place.text("run.recert");
    let words = with(&certify_demo(N, N0, INPUTS), &["--ledger", &ledger]);
    ok(&with(&words, &["--seed", "fresh"]));
    // The same command resumes with the seed that was drawn.
    ok(&with(&words, &["--seed", "fresh"]));
    let check = with(&[], &["check", &ledger]);
    let strict = with(&check, &["--strict"]);
    let said = ok(&strict).stdout;
    for part in [
        "sigma 0.5",
        "alpha 0.001",
        "preprocessing none",
        "states, for this network",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(
        !said.contains("seed 0,") && !said.contains("missing:"),
        "{said}"
    );
    // What no check can show stands apart, after the outcome.
    let (outcome, limits) = said.split_once("beyond what a check can show:").unwrap();
    assert!(outcome.contains("all checks passed") && limits.contains("n0, alpha, the noise"));

    let network = pruned(&place);
    let recertify = ["recertify", &ledger, "--model", &network];
    ok(&with(&with(&[], &recertify), &["--limit", "2"]));
    let said = ok(&check).stdout;
    let inputs = u64::from(INPUTS) + 2;
    let outcome = format!("  {inputs} certificates and ");
    let last = said.lines().find(|line| line.starts_with(&outcome));
    assert!(
        said.contains("missing: ")
            && last.is_some_and(|line| line.ends_with("not complete: 1 thing is missing (above)"))
            && !said.contains("all checks passed"),
        "{said}"
    );
    fails(7, &["nothing is wrong, but 1 thing is missing"]).check(&strict);
    let document: Json = serde_json::from_str(&ok(&with(&check, &["--json"])).stdout).unwrap();
    let found = &document["ledgers"][0];
    assert_eq!(found["missing"].as_array().unwrap().len(), 1);
    assert_eq!(found["run"]["sigma"], "0.5");
    assert_eq!(found["networks"][1]["preprocess"], "none");
}

#[test]
fn a_report_says_that_rows_are_not_those_sealed() {
    let place = Place::new();
    let [whole, changed] = ["whole.recert", "changed.recert"].map(|name| {
        let ledger = place.text(name);
        ok(&with(&certify_demo(N, N0, INPUTS), &["--ledger", &ledger]));
        ledger
    });
    Connection::open(place.path("changed.recert"))
        .unwrap()
        .execute_batch("UPDATE certificate SET radius = radius + 0.5 WHERE idx = 1")
        .unwrap();
    let words = "its rows are not those that were sealed: see `recert check`";

    let said = ok(&with(&[], &["report", &whole]));
    assert!(!said.stderr.contains("sealed") && !said.stdout.contains("sealed"));
    let page = place.text("page.html");
    let said = ok(&with(&[], &["report", &whole, &changed, "--html", &page]));
    let warning = format!("recert: warning: {changed}: {words}");
    assert!(said.stderr.lines().any(|line| line == warning), "{said:?}");
    assert_eq!(said.stderr.matches("warning").count(), 1);
    // The table wraps its notes.
    let table: Vec<&str> = said.stdout.split_whitespace().collect();
    assert!(table.join(" ").contains(words), "{}", said.stdout);
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("its rows are not those that were sealed"));
    let said = ok(&with(&[], &["report", &changed, "--json"]));
    let document: Json = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(document["notes"][0], format!("{changed}: {words}."));
}

#[test]
fn violations_are_named_and_counted() {
    let place = Place::new();
    let ledger = place.text("run.recert");
    ok(&with(&certify_demo(N, N0, INPUTS), &["--ledger", &ledger]));
    let connection = Connection::open(place.path("run.recert")).unwrap();
    connection
        .execute_batch(
            "UPDATE certificate SET radius = radius + 0.5 WHERE idx = 1;
             UPDATE certificate SET counts = replace(counts, '\"n\":300', '\"n\":301') WHERE idx = 2;
             UPDATE input SET label = 7 WHERE idx = 0",
        )
        .unwrap();
    connection.close().unwrap();
    let failure = fails(7, &["3 fields or answers do not hold, in 1 of 2 ledgers"]);
    let other = place.text("other.recert");
    ok(&with(&certify_demo(20, 5, 1), &["--ledger", &other]));
    let said = failure.check(&with(&[], &["check", &ledger, &other]));
    for part in [
        "the seal is broken",
        "wrong: seal (id 1), sha256: stored ",
        "wrong: certificate (claim 1 (certify from 300 samples of network 1), idx 1), radius: stored ",
        "idx 2), counts.n: stored 301, derived 300",
        "all checks passed",
    ] {
        assert!(said.stdout.contains(part), "{part}: {}", said.stdout);
    }
    // What cannot be read at all is an error of its own, and the rest is checked.
    let absent = place.text("absent.recert");
    let said =
        fails(3, &["absent.recert", "no such file"]).check(&with(&[], &["check", &absent, &other]));
    assert_eq!(said.stderr.matches("no such file").count(), 1);
    assert!(!said.stdout.contains("absent.recert"), "{}", said.stdout);
    assert!(said.stdout.contains("all checks passed"), "{}", said.stdout);
    let said = fails(7, &["3 fields"]).check(&with(&[], &["check", "--json", &ledger, &absent]));
    let document: Json = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(
        document["ledgers"][0]["violations"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
    assert!(
        document["ledgers"][1]["error"]
            .as_str()
            .unwrap()
            .contains("no such file")
    );
    // A run that goes on with a broken ledger does not make it good.
    ok(&with(
        &certify_demo(N, N0, INPUTS + 1),
        &["--ledger", &ledger],
    ));
    let said = fails(7, &["in 1 of 2 ledgers"]).check(&with(&[], &["check", &ledger, &other]));
    assert!(
        said.stdout.contains("the seal is broken"),
        "{}",
        said.stdout
    );
}

#[test]
fn what_a_ledger_holds_makes_no_line_of_its_own() {
    let place = Place::new();
    let ledger = place.text("run.recert");
    ok(&with(&certify_demo(20, 5, 1), &["--ledger", &ledger]));
    let connection = Connection::open(place.path("run.recert")).unwrap();
    let line =
        "UPDATE journal SET kind = char(27) || char(10) || '  all checks passed' WHERE id = 1";
    connection.execute(line, []).unwrap();
    connection.close().unwrap();
    let said = fails(7, &["do not hold"]).check(&with(&[], &["check", &ledger]));
    assert!(
        said.stdout
            .contains("stored \u{fffd}\u{fffd}  all checks passed")
    );
    let mut lines = said.stdout.lines();
    assert!(lines.all(|line| !line.starts_with("  all checks passed")));
}

fn seal_again(connection: &Connection) {
    let seal = seal_of(connection);
    connection
        .execute("UPDATE seal SET sha256 = ?1", [seal])
        .unwrap();
}

#[test]
fn running_samples_again_finds_what_derivation_cannot() {
    let place = Place::new();
    for (name, flags) in [("gaussian", &[][..]), ("integer", &["--noise", "integer"])] {
        let ledger = place.text(&format!("{name}.recert"));
        let certify = with(&certify_demo(200, N0, INPUTS), &["--ledger", &ledger]);
        ok(&with(&certify, flags));
        let network = pruned(&place);
        let words = ["recertify", &ledger, "--model", &network, "--budget", "40%"];
        ok(&with(&[], &words));
        let model = asset("shapes.onnx");
        let check = with(&[], &["check", &ledger, "--rerun", "60", "--model", &model]);
        let said = ok(&check);
        for part in [
            "run again: 60 samples, and class selections recomputed of 1 input ",
            ": 0 differences",
            "which choose the class: those of 1 of 3 inputs; if 99",
            "missing: the answers of ",
            "p20.onnx, whose model file was not",
        ] {
            assert!(said.stdout.contains(part), "{part}: {}", said.stdout);
        }
        let proviso = "provided that the network does not exploit the rounding of image + noise";
        assert_eq!(
            said.stdout.contains(proviso),
            name == "gaussian",
            "{}",
            said.stdout
        );
        fails(7, &["nothing is wrong, but 1 thing is missing"]).check(&with(&check, &["--strict"]));
        let said = ok(&with(
            &check,
            &["--model", &network, "--seed", "5", "--json"],
        ));
        let document: Json = serde_json::from_str(&said.stdout).unwrap();
        let rerun = &document["ledgers"][0]["rerun"];
        // As many of each network.
        assert_eq!(
            (&rerun["samples"], &rerun["seed"]),
            (&120.into(), &5.into())
        );
        assert_eq!(rerun["networks"][0]["answers"], 200 * INPUTS);
        assert_eq!(rerun["networks"][0]["samples"], 60);
        assert!(rerun["networks"][0]["tolerance"].is_null(), "{rerun}");

        // By ONNX's definitions in place of the engine that answered.
        let reference = with(&check, &["--model", &network, "--engine", "reference"]);
        let said = ok(&reference);
        for part in [
            ": 0 differences",
            "shapes.onnx by reference ",
            ": 0 near ties",
        ] {
            assert!(said.stdout.contains(part), "{part}: {}", said.stdout);
        }

        // Other margins: every margin in the last bucket, the edges being 0.
        let path = place.path("margins.recert");
        std::fs::copy(&ledger, &path).unwrap();
        let connection = Connection::open(&path).unwrap();
        let zeros = "UPDATE selection SET edges = '[0.0,0.0,0.0,0.0,0.0,0.0,0.0]'";
        assert!(connection.execute(zeros, []).unwrap() > 0);
        seal_again(&connection);
        connection.close().unwrap();
        clean(&path);
        let margins = place.text("margins.recert");
        let words = [
            "check", &margins, "--rerun", "60", "--model", &model, "--seed", "1",
        ];
        let said = fails(7, &["do not hold"]).check(&with(&[], &words));
        for part in [
            "shapes.onnx on the selection samples of input",
            "margin_bucket",
        ] {
            assert!(said.stdout.contains(part), "{part}: {}", said.stdout);
        }

        // Another seed of the noise, in the journal as well, and sealed again: nothing can be
        // derived that would say so, but the answers are not those on this noise.
        let path = place.path(&format!("{name}.recert"));
        let connection = Connection::open(&path).unwrap();
        let seed = "UPDATE run SET seed = '1';
            UPDATE journal SET body = json_set(body, '$.seed', '1') WHERE kind = 'header'";
        connection.execute_batch(seed).unwrap();
        seal_again(&connection);
        connection.close().unwrap();
        clean(&path);
        for flags in [
            &["--seed", "1"][..],
            &["--seed", "1", "--engine", "reference"],
        ] {
            let said = fails(7, &["do not hold"]).check(&with(&check, flags));
            let wrong = "wrong: shapes.onnx on sample ";
            assert!(said.stdout.contains(wrong), "{}", said.stdout);
        }
    }
}

#[test]
fn networks_engines_and_data_that_are_not_the_ledgers_are_refused() {
    let place = Place::new();
    let ledger = place.text("run.recert");
    ok(&with(&certify_demo(50, 10, 2), &["--ledger", &ledger]));
    let made = asset("made/plain.onnx");
    fails(2, &["plain.onnx", "no network of the ledgers"]).check(&with(
        &[],
        &["check", &ledger, "--rerun", "5", "--model", &made],
    ));
    assert_eq!(
        run(&with(&[], &["check", &ledger, "--rerun", "5"])).code,
        Some(2)
    );
    let model = asset("shapes.onnx");
    let words = ["check", &ledger, "--rerun", "5", "--model", &model];
    for (engine, code, says) in [
        ("auto", 2, ["named", "--engine"]),
        ("tpu", 5, ["unknown engine 'tpu'", "reference"]),
    ] {
        fails(code, &says).check(&with(&with(&[], &words), &["--engine", engine]));
    }
    let other = asset("shapes-calibration.npz");
    let words = [
        "check", &ledger, "--rerun", "5", "--model", &model, "--data", &other,
    ];
    fails(4, &["other data", "--data"]).check(&with(&[], &words));
}

/// Whoever writes a coarser arithmetic into a ledger does not widen the tolerance by it.
#[test]
fn the_tolerance_is_of_the_engine_that_runs_now() {
    let place = Place::new();
    let ledger = place.text("run.recert");
    ok(&with(&certify_demo(N, N0, INPUTS), &["--ledger", &ledger]));
    let model = asset("shapes.onnx");
    let words = [
        "check",
        &ledger,
        "--rerun",
        "60",
        "--seed",
        "3",
        "--model",
        &model,
        "--engine",
        "reference",
    ];
    let tolerance = || {
        let said = ok(&with(&with(&[], &words), &["--json"]));
        let document: Json = serde_json::from_str(&said.stdout).unwrap();
        let network = &document["ledgers"][0]["rerun"]["networks"][0];
        network["tolerance"].as_f64().unwrap()
    };
    let before = tolerance();
    let connection = Connection::open(place.path("run.recert")).unwrap();
    let label = "SELECT engine || ' ' || engine_version || ', ' || precision FROM network";
    let label = || {
        connection
            .query_row(label, [], |row| row.get::<_, String>(0))
            .unwrap()
    };
    let old = label();
    connection
        .execute("UPDATE network SET precision = 'bf16, on CPU'", [])
        .unwrap();
    let relabel = "UPDATE journal SET body = replace(body, ?1, ?2)";
    connection.execute(relabel, [old, label()]).unwrap();
    seal_again(&connection);
    connection.close().unwrap();
    clean(&place.path("run.recert"));
    assert_eq!(tolerance(), before);
    let said = ok(&with(&[], &words));
    let part = "is recorded as computed by direct ";
    assert!(said.stdout.contains(part), "{}", said.stdout);
    assert!(
        said.stdout.contains("rounds more coarsely"),
        "{}",
        said.stdout
    );
}
