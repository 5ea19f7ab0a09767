//! Ledgers from which results of verifications by bounds were removed, or in which they were
//! changed, and which were sealed again: the journal shows it. Runs that were stopped, killed or
//! resumed pass, and what they did not come to is missing.

use std::path::PathBuf;

use recert_check::{Report, check};
use recert_ledger::{
    Distance, Effort, Engine, FileHash, Header, Input, Ledger, Network, NetworkId, Specification,
    Verdict, Verification, VerificationResult,
};
use rusqlite::Connection;

fn network(byte: u8) -> Network {
    Network {
        sha256: [byte; 32],
        file: format!("net{byte}.onnx"),
        bytes: 1,
        engine: Engine {
            name: "closure".into(),
            version: "1".into(),
            arithmetic: "exact".into(),
        },
        batch_invariant: true,
        preprocess: "none".into(),
        output: "class".into(),
        classes: 2,
        note: None,
    }
}

fn input(idx: u32) -> Input {
    Input {
        idx,
        sha256: [idx as u8; 32],
        label: None,
        name: None,
    }
}

fn verification(eps: &str, slope_steps: u32) -> Verification {
    let distance = Distance {
        eps: eps.to_owned(),
        radius: eps.parse().unwrap(),
        weights: None,
    };
    let effort = Effort {
        attack_steps: 40,
        attack_starts: 3,
        attack_seed: 0,
        cells: None,
        slope_steps,
        complete: false,
        timeout: None,
        from: None,
    };
    Verification::new(Specification::Linf(distance), "cascade", effort)
}

/// Odd inputs are falsified.
fn result(idx: u32) -> VerificationResult {
    let falsified = idx % 2 == 1;
    VerificationResult {
        idx: Some(idx),
        verdict: if falsified {
            Verdict::Falsified
        } else {
            Verdict::Verified
        },
        class: Some(1),
        answer: Some(1),
        margin: (!falsified).then_some(0.5),
        decided_by: if falsified { "attack" } else { "ibp" }.into(),
        branches: 0,
        proof: None,
        counterexample: falsified.then(|| vec![0.25]),
        micros: 7,
    }
}

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn empty() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// Inputs 0 to 3 verified of network 0.
    fn verified() -> Self {
        let place = Self::empty();
        place.run(0, &verification("0.25", 20), &[0, 1, 2, 3], 4);
        place
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("bounds.recert")
    }

    fn check(&self) -> Report {
        check(&self.path()).unwrap()
    }

    /// A ledger that is being written to, and the network's number in it.
    fn begin(&self, byte: u8) -> (Ledger, NetworkId) {
        let header = Header::without_noise(network(0), "made up", [1, 1, 1]);
        let ledger = Ledger::resume_verification(&self.path(), &header).unwrap();
        let number = ledger.add_network(&network(byte)).unwrap();
        (ledger, number)
    }

    /// A run that is stopped after so many new results.
    fn run(&self, byte: u8, verification: &Verification, inputs: &[u32], most: usize) {
        let (ledger, number) = self.begin(byte);
        write(&ledger, number, verification, inputs, most);
        ledger.close().unwrap();
    }

    fn sql(&self, sql: &str) {
        let connection = Connection::open(self.path()).unwrap();
        connection
            .pragma_update(None, "foreign_keys", false)
            .unwrap();
        connection.execute_batch(sql).unwrap();
        connection.close().unwrap();
    }

    /// Changes the ledger and seals it again as the program does.
    fn edit(&self, sql: &str) -> Report {
        self.sql(sql);
        self.sql("DELETE FROM seal");
        Ledger::open(&self.path()).unwrap().close().unwrap();
        self.check()
    }
}

fn write(
    ledger: &Ledger,
    network: NetworkId,
    verification: &Verification,
    inputs: &[u32],
    most: usize,
) {
    let id = ledger
        .begin_verification(network, verification, Some(inputs), None)
        .unwrap();
    let there = ledger.verified_inputs(id).unwrap();
    let new = inputs.iter().filter(|&&idx| !there.contains(&Some(idx)));
    for &idx in new.take(most) {
        ledger.add_input(&input(idx)).unwrap();
        ledger.put_result(id, &result(idx)).unwrap();
    }
}

#[track_caller]
fn finds(report: &Report, words: &str) {
    let texts: Vec<String> = report.violations.iter().map(ToString::to_string).collect();
    assert!(
        texts.iter().any(|text| text.contains(words)),
        "{words}: {texts:#?}"
    );
}

fn missing(report: &Report) -> Vec<String> {
    report.missing().map(ToString::to_string).collect()
}

#[track_caller]
fn whole(report: &Report) {
    assert!(report.is_clean(), "{:#?}", report.violations);
    assert_eq!(missing(report), [""; 0]);
}

#[track_caller]
fn lists(report: &Report, words: &str) {
    assert!(report.is_clean(), "{:#?}", report.violations);
    let missing = missing(report);
    assert!(
        missing.iter().any(|text| text.contains(words)),
        "{words}: {missing:#?}"
    );
}

#[test]
fn a_whole_ledger_passes_and_misses_nothing() {
    whole(&Place::verified().check());
    // Resumed where nothing is left, and with more inputs, more effort and another network.
    let place = Place::verified();
    place.run(0, &verification("0.25", 20), &[0, 1, 2, 3], 4);
    place.run(0, &verification("0.25", 20), &[2, 3, 4, 5], 4);
    place.run(0, &verification("0.25", 100), &[1, 3], 2);
    place.run(1, &verification("0.25", 20), &[0, 1], 2);
    let report = place.check();
    whole(&report);
    assert_eq!(report.verifications.len(), 3);
}

#[test]
fn what_is_removed_or_changed_is_found() {
    let lacks = "that of input 2, which journal entry";
    let other = "other results of the 4 inputs";
    for (sql, words) in [
        (
            "DELETE FROM result WHERE idx = 3",
            "3 results, derived the 4 that",
        ),
        (
            "DELETE FROM result WHERE idx = 1; DELETE FROM input WHERE idx = 1",
            "derived the 4 that journal entry",
        ),
        (
            // Another in its place, so that there are as many.
            "INSERT INTO input SELECT 9, sha256, label, name FROM input WHERE idx = 2;
             UPDATE result SET idx = 9 WHERE idx = 2",
            lacks,
        ),
        (
            "UPDATE result SET verdict = 'unknown', counterexample = NULL WHERE idx = 1",
            other,
        ),
        ("UPDATE result SET margin = 0.75 WHERE idx = 2", other),
        (
            "UPDATE result SET class = 0, answer = 0 WHERE idx = 2",
            other,
        ),
        (
            "UPDATE result SET decided_by = 'crown' WHERE idx = 2",
            other,
        ),
        (
            // What no method is called would not be held to what its proof gives.
            "UPDATE result SET decided_by = 'bounds' WHERE idx = 2",
            "a method that decides",
        ),
        ("UPDATE result SET micros = 8 WHERE idx = 2", other),
        (
            "UPDATE input SET sha256 = replace(sha256, '02', '05') WHERE idx = 2",
            "other images of the 4 inputs",
        ),
        (
            "UPDATE verification SET
             specification = replace(replace(specification, '0.25', '0.125'), '0.25', '0.125'),
             statement = replace(statement, '0.25', '0.125')",
            "no such verification",
        ),
        (
            "UPDATE verification SET effort = replace(effort, '40', '10')",
            "no such verification",
        ),
        (
            "UPDATE verification SET method = 'crown'",
            "no such verification",
        ),
        (
            "DELETE FROM result; DELETE FROM verification; DELETE FROM input",
            "no such verification",
        ),
    ] {
        finds(&Place::verified().edit(sql), words);
    }
}

#[test]
fn results_of_two_networks_are_not_exchanged() {
    let place = Place::verified();
    place.run(1, &verification("0.25", 20), &[0], 1);
    let report = place.edit(
        "UPDATE verification SET network = 9 WHERE network = 1;
         UPDATE verification SET network = 1 WHERE network = 2;
         UPDATE verification SET network = 2 WHERE network = 9",
    );
    finds(&report, "derived the 4 that");
    let report = place.edit(
        "UPDATE network SET sha256 = replace(sha256, '00', 'ff') WHERE id = 1;
         UPDATE network SET sha256 = replace(sha256, '01', '00') WHERE id = 2;
         UPDATE network SET sha256 = replace(sha256, 'ff', '01') WHERE id = 1",
    );
    finds(&report, "whose certificates journal entry");
}

#[test]
fn inputs_that_a_stopped_run_did_not_come_to_are_missing() {
    let place = Place::empty();
    let verification = verification("0.25", 20);
    place.run(0, &verification, &[0, 1, 2, 3], 0);
    lists(&place.check(), "4 of the 4 inputs");
    place.run(0, &verification, &[0, 1, 2, 3], 3);
    lists(&place.check(), "1 of the 4 inputs");
    // A run over fewer of them does not hide it, nor does one over others.
    place.run(0, &verification, &[0, 1], 2);
    place.run(0, &verification, &[7], 1);
    lists(&place.check(), "1 of the 5 inputs");
    place.run(0, &verification, &[0, 1, 2, 3], 3);
    whole(&place.check());
}

#[test]
fn a_run_that_was_killed_goes_on_and_passes() {
    let place = Place::empty();
    let (ledger, number) = place.begin(0);
    write(&ledger, number, &verification("0.25", 20), &[0, 1, 2, 3], 2);
    // What a kill leaves: neither seal nor an entry of what was done.
    let copy = place.folder.path().join("killed.recert");
    ledger.snapshot(&copy).unwrap();
    ledger.close().unwrap();
    std::fs::rename(&copy, place.path()).unwrap();
    let connection = Connection::open(place.path()).unwrap();
    connection.execute_batch("DELETE FROM seal").unwrap();
    connection.close().unwrap();
    let report = place.check();
    lists(&report, "2 of the 4 inputs");
    lists(&report, "the ledger has no seal");
    place.run(0, &verification("0.25", 20), &[0, 1, 2, 3], 2);
    whole(&place.check());
}

#[test]
fn a_network_that_is_forgotten_takes_its_results_along() {
    let place = Place::verified();
    place.run(1, &verification("0.25", 20), &[0, 1], 2);
    place.run(1, &verification("0.25", 30), &[0], 1);
    let (ledger, number) = place.begin(1);
    ledger.forget_network(number).unwrap();
    ledger.close().unwrap();
    let report = place.check();
    whole(&report);
    assert_eq!(report.verifications.len(), 1);
    // Named and verified again, its results count from there.
    place.run(1, &verification("0.25", 20), &[0, 1], 2);
    whole(&place.check());
    finds(
        &place.edit("DELETE FROM result WHERE verification = 2 AND idx = 0"),
        "1 results, derived the 2 that",
    );
    // An entry that states less than was recorded.
    let place = Place::verified();
    place.run(1, &verification("0.25", 20), &[0, 1], 2);
    let (ledger, number) = place.begin(1);
    ledger.forget_network(number).unwrap();
    ledger.close().unwrap();
    let report = place.edit(
        "UPDATE journal SET body = replace(body, '\"certificates\":2', '\"certificates\":1')
         WHERE kind = 'forgotten'",
    );
    finds(&report, "the 2 that entries before record, or more");
}

#[test]
fn ledgers_of_earlier_versions_are_read_and_go_on() {
    let place = Place::verified();
    // As they were before results were recorded.
    let last = "DELETE FROM journal WHERE kind IN ('verifying', 'results')";
    place.sql(last);
    place.sql("DELETE FROM seal");
    let unsealed = place.check();
    lists(&unsealed, "earlier versions did not");
    place.run(0, &verification("0.25", 20), &[0, 1, 2, 3, 4], 1);
    let report = place.check();
    lists(
        &report,
        "whether results were removed or changed since they were made",
    );
    lists(&report, "the journal records them from entry");
    // From there on what is removed is found.
    let report = place.edit("DELETE FROM result WHERE idx = 0");
    finds(&report, "4 results, derived the 5 that");
}

#[test]
fn a_file_has_one_result_that_is_recorded() {
    let place = Place::empty();
    let (ledger, number) = place.begin(0);
    let file = Verification::new(
        Specification::Vnnlib {
            file: "prop.vnnlib".into(),
            sha256: FileHash([4; 32]),
        },
        "cascade",
        verification("0.25", 20).effort,
    );
    let id = ledger
        .begin_verification(number, &file, None, None)
        .unwrap();
    ledger.close().unwrap();
    lists(&place.check(), "1 of the 1 inputs or files");
    let (ledger, _) = place.begin(0);
    let one = VerificationResult {
        idx: None,
        class: None,
        answer: None,
        ..result(0)
    };
    ledger.put_result(id, &one).unwrap();
    ledger.close().unwrap();
    whole(&place.check());
    finds(
        &place.edit("UPDATE result SET margin = 0.75"),
        "other results of the 1 inputs",
    );
    finds(
        &place.edit("DELETE FROM result"),
        "0 results, derived the 1",
    );
}
