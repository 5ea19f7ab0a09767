//! Copies of ledgers, runs removed from them, and damaged numbers in them.

use crate::common::{Place, asset, certify_demo, fails, ok, with};

/// A ledger with a recertified network, by two methods.
fn recertified(place: &Place) -> String {
    let ledger = place.text("run.recert");
    ok(&with(&certify_demo(300, 10, 4), &["--ledger", &ledger]));
    let (shapes, pruned) = (asset("shapes.onnx"), place.text("p.onnx"));
    let prune = ["approximate", &shapes, "--prune", "10%", "--out", &pruned];
    ok(&with(&[], &prune));
    let recertify = ["recertify", &ledger, "--model", &pruned];
    ok(&with(
        &with(&[], &recertify),
        &["--method", "auto,irs", "--n-p", "20%"],
    ));
    ok(&with(&with(&[], &recertify), &["--budget", "500"]));
    ledger
}

#[test]
fn a_number_that_cannot_be_is_a_damaged_ledger_in_every_command() {
    let place = Place::new();
    let ledger = recertified(&place);
    let connection = rusqlite::Connection::open(place.path("run.recert")).unwrap();
    connection
        .execute_batch("UPDATE certificate SET p_lower = -1e-100 WHERE idx = 1")
        .unwrap();
    connection.close().unwrap();
    let page = place.text("page.html");
    let failure = fails(3, &["run.recert", "damaged", "input 1: p_lower"]);
    for more in [&[][..], &["--json"], &["--csv"], &["--html", &page]] {
        failure.check(&with(&with(&[], &["report", &ledger]), more));
    }
    assert!(!place.path("page.html").exists());
    let check = with(&[], &["check", &ledger]);
    fails(7, &["do"]).check(&check);
}

#[test]
fn inputs_without_their_selection_are_damage() {
    let place = Place::new();
    let ledger = recertified(&place);
    let connection = rusqlite::Connection::open(place.path("run.recert")).unwrap();
    connection
        .execute_batch("DELETE FROM selection WHERE idx = 1")
        .unwrap();
    connection.close().unwrap();
    let failure = fails(3, &["run.recert", "damaged", "input 1"]);
    failure.check(&with(&[], &["report", &ledger]));
    let pruned = place.text("p.onnx");
    failure.check(&with(
        &[],
        &["recertify", &ledger, "--model", &pruned, "--n-p", "10%"],
    ));
}

#[test]
fn a_copy_without_rows_is_not_begun_anew() {
    let place = Place::new();
    let connection = rusqlite::Connection::open(place.path("run.recert")).unwrap();
    connection
        .execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE run (x)")
        .unwrap();
    std::fs::copy(place.path("run.recert"), place.path("copy.recert")).unwrap();
    let before = std::fs::read(place.path("copy.recert")).unwrap();
    let copy = place.text("copy.recert");
    let failure = fails(3, &["copy.recert", "copy of a ledger", "recert snapshot"]);
    failure.check(&with(&certify_demo(30, 5, 2), &["--ledger", &copy]));
    failure.check(&with(&[], &["report", &copy]));
    failure.check(&with(&[], &["snapshot", &copy, &place.text("b.recert")]));
    assert_eq!(std::fs::read(place.path("copy.recert")).unwrap(), before);
}

#[test]
fn a_snapshot_passes_the_check() {
    let place = Place::new();
    let ledger = recertified(&place);
    let copy = place.text("copy.recert");
    let said = ok(&with(&[], &["snapshot", &ledger, &copy]));
    assert!(
        said.stdout.contains("4 inputs, 16 certificates; sealed"),
        "{}",
        said.stdout
    );
    ok(&with(&[], &["check", &copy]));
    fails(3, &["copy.recert", "exists already"]).check(&with(&[], &["snapshot", &ledger, &copy]));
}

#[test]
fn what_is_forgotten_is_recorded_and_stated() {
    let place = Place::new();
    let ledger = recertified(&place);
    let report =
        |more: &[&str]| ok(&with(&with(&[], &["report", &ledger, "--brief"]), more)).stdout;
    let both = report(&[]);
    assert!(
        both.contains("irs") && both.contains("budget 500"),
        "{both}"
    );
    let only = report(&[
        "--network",
        "p.onnx",
        "--run",
        "auto/budget 500 evaluations",
    ]);
    assert!(only.contains("auto") && !only.contains("irs"), "{only}");
    fails(2, &["no such network or run"]).check(&with(&[], &["report", &ledger, "--run", "zeta"]));
    fails(2, &["no such network or run"])
        .check(&with(&[], &["forget", &ledger, "--network", "q.onnx"]));
    fails(4, &["run.recert", "is of this network"])
        .check(&with(&[], &["forget", &ledger, "--network", "shapes.onnx"]));

    let said = ok(&with(&[], &["forget", &ledger, "--run", "irs"]));
    assert!(
        said.stdout
            .contains("removed 1 claim with 4 certificates, and 0 answers"),
        "{}",
        said.stdout
    );
    let checked = ok(&with(&[], &["check", &ledger])).stdout;
    assert!(
        checked.contains("removed, as the journal records"),
        "{checked}"
    );
    ok(&with(&[], &["forget", &ledger, "--network", "p.onnx"]));
    let checked = ok(&with(&[], &["check", &ledger])).stdout;
    assert!(
        checked.contains("2 claims") && !checked.contains("p.onnx"),
        "{checked}"
    );
    let whole = ok(&with(&[], &["report", &ledger])).stdout;
    assert!(whole.contains("were removed"), "{whole}");
    // What is made anew is a new network to the ledger.
    let pruned = place.text("p.onnx");
    ok(&with(
        &[],
        &["recertify", &ledger, "--model", &pruned, "--n-p", "20%"],
    ));
    ok(&with(&[], &["check", &ledger]));
}

/// Two networks ran one after the other, the second perhaps made from the results of the
/// first, and the ledger is of a version that did not record it.
#[test]
fn networks_that_ran_before_there_was_a_journal_are_no_new_candidates() {
    let place = Place::new();
    let ledger = place.text("run.recert");
    ok(&with(&certify_demo(100, 10, 2), &["--ledger", &ledger]));
    let [first, second] = ["20%", "30%"].map(|share| {
        let network = place.text(&format!("pruned{share}.onnx"));
        let model = asset("shapes.onnx");
        let prune = ["approximate", &model, "--prune", share, "--out", &network];
        ok(&with(&[], &prune));
        ok(&with(&[], &["recertify", &ledger, "--model", &network]));
        network
    });
    let older = "DROP TABLE result; DROP TABLE verification; DROP TABLE journal;
                 DELETE FROM seal; PRAGMA user_version = 2";
    let connection = rusqlite::Connection::open(place.path("run.recert")).unwrap();
    connection.execute_batch(older).unwrap();
    connection.close().unwrap();
    let together = ["recertify", &ledger, "--model", &first, "--model", &second];
    let refused = [
        "pruned20%.onnx had been run on the samples",
        "fresh seed",
        "--model",
    ];
    fails(2, &refused).check(&with(&[], &together));
    // One by itself states no choice.
    ok(&with(&[], &["recertify", &ledger, "--model", &first]));
}
