//! Ledgers from which something was removed, in which the header or inputs were replaced, or to
//! which candidates were added late, and which were sealed again: the check finds it, or lists it
//! as what cannot be proved. Above 600 lines, since every test changes the same small ledger
//! through the same few helpers.

use std::path::{Path, PathBuf};

use recert_check::{Report, Unchecked, check};
use recert_ledger::{
    Engine, ForgottenClaim, Header, Input, JournalEvent, Ledger, Network, NetworkId, NetworkName,
    Task,
};
use recert_num::Alpha;
use recert_smooth::budget::Goal;
use recert_smooth::{Auto, Error, Inputs, Outcome, Run, Sides, Silent, Threads};
use rusqlite::Connection;

use recert_engine::{Classifier, FnClassifier};

const N: u64 = 500;
const INPUTS: [u32; 3] = [0, 4, 9];

/// Images of one pixel: that of input i has brightness i/10.
struct Pixels;

impl Inputs for Pixels {
    fn input(&self, idx: u32) -> Result<(Input, Vec<f32>), Error> {
        let input = Input {
            idx,
            sha256: [idx as u8; 32],
            label: None,
            name: None,
        };
        Ok((input, vec![idx as f32 / 10.0]))
    }
}

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

/// Class 1 where the pixel is brighter than a limit, which is the network's own.
fn classifier(byte: u8) -> Vec<Box<dyn Classifier>> {
    let limit = 0.5 + f32::from(byte) / 100.0;
    let bright = move |image: &[f32]| Some(u16::from(image[0] > limit));
    vec![Box::new(FnClassifier::new(2, 1, bright))]
}

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    /// A ledger with three inputs certified under network 0.
    fn certified() -> Self {
        let place = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let header = Header {
            task: Task::Certify,
            sigma: 0.25,
            n0: 20,
            n: N,
            alpha: 0.001,
            generator: recert_noise::GENERATOR.into(),
            seed: 0,
            network: network(0),
            data: "made up".into(),
            shape: [1, 1, 1],
        };
        Ledger::create(&place.path(), &header)
            .unwrap()
            .close()
            .unwrap();
        place.certify(&INPUTS);
        place
    }

    /// Certifies inputs under network 0, as far as they are not yet.
    fn certify(&self, inputs: &[u32]) {
        let mut ledger = Ledger::open(&self.path()).unwrap();
        let mut workers = Threads::new([(ledger.base(), classifier(0))], 32).unwrap();
        let mut run = Run {
            ledger: &mut ledger,
            inputs: &Pixels,
            workers: &mut workers,
            observer: &mut Silent,
        };
        let outcome = recert_smooth::certify(&mut run, inputs, Sides::Two).unwrap();
        assert_eq!(outcome, Outcome::Finished);
        ledger.close().unwrap();
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("run.recert")
    }

    fn check(&self) -> Report {
        check(&self.path()).unwrap()
    }

    /// Names networks together and recertifies them, as candidates among `among`.
    fn recertify(&self, bytes: &[u8], among: u32) {
        let mut ledger = Ledger::open(&self.path()).unwrap();
        let networks: Vec<Network> = bytes.iter().map(|&byte| network(byte)).collect();
        let numbers = ledger.name_networks(&networks).unwrap();
        run(&mut ledger, &numbers, bytes, among);
        ledger.close().unwrap();
    }

    /// Changes the ledger and seals it again as the program does.
    fn edit(&self, sql: &str) {
        self.sql(sql);
        self.sql("DELETE FROM seal");
        Ledger::open(&self.path()).unwrap().close().unwrap();
    }

    fn sql(&self, sql: &str) {
        let connection = Connection::open(self.path()).unwrap();
        connection
            .pragma_update(None, "foreign_keys", false)
            .unwrap();
        connection.execute_batch(sql).unwrap();
        connection.close().unwrap();
    }

    /// The same, but for what the program adds when it closes a ledger: the seal is made by
    /// someone else.
    fn forge(&self, sql: &str) {
        self.sql(sql);
        let entries = self.journal();
        self.sql("DELETE FROM seal");
        Ledger::open(&self.path()).unwrap().close().unwrap();
        assert_eq!(self.journal(), entries, "closing added nothing");
    }

    fn journal(&self) -> usize {
        let ledger = Ledger::open_read_only(&self.path()).unwrap();
        ledger.journal().unwrap().len()
    }
}

fn run(ledger: &mut Ledger, numbers: &[NetworkId], bytes: &[u8], among: u32) {
    let workers = numbers.iter().zip(bytes);
    let workers = workers.map(|(&number, &byte)| (number, classifier(byte)));
    let mut workers = Threads::new(workers, 32).unwrap();
    let mut run = Run {
        ledger,
        inputs: &Pixels,
        workers: &mut workers,
        observer: &mut Silent,
    };
    let auto = Auto {
        alpha: Alpha::new(0.01).unwrap(),
        among,
        goal: Goal::Each(200),
        sides: Sides::Two,
    };
    let outcome = recert_smooth::recertify_auto(&mut run, &INPUTS, &auto).unwrap();
    assert_eq!(outcome, Outcome::Finished);
}

#[track_caller]
fn finds(report: &Report, words: &str) {
    let texts: Vec<String> = report.violations.iter().map(ToString::to_string).collect();
    assert!(
        texts.iter().any(|text| text.contains(words)),
        "{words}: {texts:#?}"
    );
}

#[track_caller]
fn lists(report: &Report, words: &str) {
    let texts: Vec<String> = report.missing().map(ToString::to_string).collect();
    assert!(
        texts.iter().any(|text| text.contains(words)),
        "{words}: {texts:#?}"
    );
}

#[track_caller]
fn clean(report: &Report) {
    assert!(report.is_clean(), "{:#?}", report.violations);
}

const NO_INPUT_9: &str = "DELETE FROM certificate WHERE idx = 9; DELETE FROM answers WHERE idx = 9;
    DELETE FROM chosen WHERE idx = 9; DELETE FROM selection WHERE idx = 9;
    DELETE FROM input WHERE idx = 9;";

#[test]
fn a_whole_ledger_passes_and_misses_nothing() {
    let place = Place::certified();
    place.recertify(&[1, 2], 2);
    let report = place.check();
    clean(&report);
    let missing: Vec<String> = report.missing().map(ToString::to_string).collect();
    assert_eq!(missing, [""; 0]);
    // Whoever made it could have chosen all this by the results.
    assert!(report.unchecked.contains(&Unchecked::Choices));
    let run = report.run.unwrap();
    assert_eq!((run.sigma.as_str(), run.seed.as_str()), ("0.25", "0"));
    assert_eq!(report.networks[2].preprocess, "none");
}

#[test]
fn a_run_that_was_stopped_before_any_certificate_is_missed() {
    let place = Place::certified();
    let begun = |methods: &str, planned| JournalEvent::Begun {
        methods: methods.to_owned(),
        planned,
        through: false,
        shard: None,
        positions: None,
    };
    let note = |event: &JournalEvent| {
        let ledger = Ledger::open(&place.path()).unwrap();
        ledger.note(Some(ledger.base()), event).unwrap();
        ledger.close().unwrap();
        place.check()
    };
    clean(&note(&begun("certify", INPUTS.len() as u64)));
    lists(
        &note(&begun("certify", 60)),
        "57 of the 60 inputs that certify of network 1 was begun for",
    );
    // The last run by a method counts; of another there may be none at all.
    let report = note(&begun("certify,until", INPUTS.len() as u64));
    lists(
        &report,
        "3 of the 3 inputs that until of network 1 was begun for",
    );
    assert!(
        !report
            .unchecked
            .iter()
            .any(|u| u.to_string().contains("that certify of"))
    );
}

#[test]
fn inputs_deleted_with_all_their_rows_are_found() {
    let place = Place::certified();
    place.recertify(&[1], 1);
    place.edit(NO_INPUT_9);
    let report = place.check();
    // The tool has recorded what there is now, after what there was.
    finds(
        &report,
        "stored 2 inputs, derived the 3 inputs that journal entry",
    );
    lists(&report, "names 3 inputs, of which at most 2 are here");
}

#[test]
fn a_deleted_certificate_is_found() {
    let place = Place::certified();
    place.edit("DELETE FROM certificate WHERE idx = 4");
    finds(&place.check(), "stored 2 inputs, derived the 3");
}

#[test]
fn n_lowered_afterwards_is_found() {
    let place = Place::certified();
    place.edit(
        "UPDATE run SET n = 400; DELETE FROM certificate; DELETE FROM claim;
         DELETE FROM journal WHERE kind = 'concluded'",
    );
    let report = place.check();
    finds(
        &report,
        "stored an answer on sample 499, derived answers on samples below n = 400",
    );
}

#[test]
fn deleted_candidates_are_found() {
    let place = Place::certified();
    place.recertify(&[1, 2], 2);
    place.edit(
        "DELETE FROM certificate WHERE claim IN (SELECT id FROM claim WHERE network = 3);
         DELETE FROM claim WHERE network = 3; DELETE FROM answers WHERE network = 3;
         DELETE FROM chosen WHERE network = 3; DELETE FROM selection WHERE network = 3;
         DELETE FROM network WHERE id = 3",
    );
    let report = place.check();
    finds(&report, "stored no such network, derived 0202");
    finds(&report, "stored no such claim");
    // The claim among 2 of the other is what it was.
    assert!(report.claims.iter().any(|claim| claim.among == 2));
}

#[test]
fn a_claim_among_two_remade_among_one_is_found() {
    let place = Place::certified();
    place.recertify(&[1, 2], 2);
    place.edit("DELETE FROM certificate WHERE claim > 1; DELETE FROM claim WHERE id > 1");
    place.recertify(&[1], 1);
    let report = place.check();
    finds(&report, "stored no such claim");
    lists(
        &report,
        "it states no choice, but the network was named together with 1 more",
    );
}

#[test]
fn entries_of_the_journal_cannot_go_unnoticed() {
    for (sql, words) in [
        (
            "DELETE FROM journal WHERE id = 2",
            "as no entry is ever removed",
        ),
        (
            "DELETE FROM journal WHERE id = 1",
            "as no entry is ever removed",
        ),
        (
            "DELETE FROM journal WHERE id < 4",
            "names the original network",
        ),
    ] {
        let place = Place::certified();
        place.recertify(&[1], 1);
        place.edit(sql);
        finds(&place.check(), words);
    }
    let place = Place::certified();
    place.sql("DELETE FROM journal");
    finds(&place.check(), "stored no entries");
}

#[test]
fn a_candidate_named_after_others_ran_is_found() {
    // Three networks one after the other, the last made from the results of the first.
    let place = Place::certified();
    for byte in [1, 2, 3] {
        place.recertify(&[byte], 3);
    }
    let report = place.check();
    finds(&report, "stored a choice among 3, derived a choice among 1");
    let late = report
        .violations
        .iter()
        .filter(|v| v.field == "parameters.among");
    assert_eq!(late.count(), 2, "{:#?}", report.violations);
    // Of the first it can only be said that the others were not named.
    lists(
        &report,
        "that there were 3 candidates, fixed before any of them ran: the journal names 1",
    );

    // Named before any of them ran, they may run in any order.
    let place = Place::certified();
    let mut ledger = Ledger::open(&place.path()).unwrap();
    let numbers = [1, 2, 3].map(|byte| ledger.add_network(&network(byte)).unwrap());
    for (number, byte) in numbers.iter().zip([1, 2, 3]) {
        run(&mut ledger, &[*number], &[byte], 3);
    }
    ledger.close().unwrap();
    let report = place.check();
    clean(&report);
    assert_eq!(report.missing().count(), 0);
}

#[test]
fn networks_recertified_one_by_one_are_remarked_on() {
    let place = Place::certified();
    place.recertify(&[1], 1);
    assert!(
        !place
            .check()
            .unchecked
            .contains(&Unchecked::OneByOne { networks: 2 })
    );
    place.recertify(&[2], 1);
    let report = place.check();
    clean(&report);
    assert!(
        report
            .unchecked
            .contains(&Unchecked::OneByOne { networks: 2 })
    );
    place.recertify(&[2], 2);
    let several = Unchecked::SeveralClaims {
        network: "net2.onnx".into(),
        claims: 2,
    };
    assert!(place.check().unchecked.contains(&several));
}

/// Whoever edits the journal too is not found: this is what `docs/checking.md` states.
#[test]
fn what_a_forged_journal_hides_is_listed_as_not_provable() {
    let place = Place::certified();
    let two = {
        let hash = recert_ledger::hex(&recert_ledger::InputsHash::of(&[0, 4]).0);
        let images = [0, 4].map(|idx| recert_ledger::hex(&[idx; 32]));
        let images = recert_ledger::FileHash::of_images(images.iter().map(String::as_str));
        let images = recert_ledger::hex(&images.0);
        format!(
            "UPDATE journal SET body = json_set(body, '$.inputs', 2, '$.inputs_sha256', '{hash}',
                 '$.positions', json('[[0,2,4]]'), '$.images_sha256', '{images}')
             WHERE kind = 'concluded'"
        )
    };
    place.forge(&format!("{NO_INPUT_9} {two}"));
    let report = place.check();
    clean(&report);
    assert!(report.unchecked.contains(&Unchecked::Choices));
    assert!(Unchecked::Choices.to_string().contains("the inputs"));
}

#[test]
fn ledgers_of_before_the_journal_prove_less() {
    let folder = tempfile::tempdir().unwrap();
    let path: &Path = &folder.path().join("old.recert");
    let connection = Connection::open(path).unwrap();
    let old = include_str!("../../recert-ledger/tests/data/version-2.sql");
    connection.execute_batch(old).unwrap();
    connection.close().unwrap();
    lists(&check(path).unwrap(), "ledgers of schema 2 have no journal");
    Ledger::open(path).unwrap().close().unwrap();
    let report = check(path).unwrap();
    lists(&report, "what happened before this ledger had a journal");
    // The claims are restated in the words of this version.
    let statements = report.violations.iter().filter(|v| v.field == "statement");
    assert_eq!(statements.count(), 0, "{:#?}", report.violations);
}

/// What is removed and recorded is no violation, and is listed.
#[test]
fn what_the_journal_records_as_removed_is_listed() {
    let place = Place::certified();
    place.recertify(&[1, 2], 2);
    let held = place.path().with_extension("held");
    std::fs::copy(place.path(), &held).unwrap();
    let ledger = Ledger::open(&place.path()).unwrap();
    let (number, removed) = ledger.networks().unwrap().pop().unwrap();
    let claim = ledger.claims(number).unwrap().pop().unwrap();
    let answers = ledger.stored_bytes(number).unwrap().samples;
    let event = JournalEvent::Forgotten {
        name: NetworkName::new(&removed),
        whole: true,
        claims: vec![ForgottenClaim {
            method: claim.method().to_owned(),
            samples: claim.samples,
            alpha: claim.alpha,
            parameters: claim.parameters.to_json(),
            statement: claim.statement.to_string(),
            certificates: 3,
        }],
        answers,
        selections: 0,
    };
    ledger.close().unwrap();
    place.sql(
        "DELETE FROM certificate WHERE claim IN (SELECT id FROM claim WHERE network = 3);
         DELETE FROM claim WHERE network = 3; DELETE FROM answers WHERE network = 3;
         DELETE FROM chosen WHERE network = 3; UPDATE journal SET network = NULL WHERE network = 3;
         DELETE FROM network WHERE id = 3; DELETE FROM seal",
    );
    lists(&place.check(), "no entry states that it was removed");
    let ledger = Ledger::open(&place.path()).unwrap();
    ledger.note(None, &event).unwrap();
    ledger.close().unwrap();
    let report = place.check();
    clean(&report);
    // It was a candidate, so that a complete ledger has it.
    lists(&report, "It was one of 2 candidates");
    assert_eq!(report.missing().count(), 1);
    let listed = report.unchecked.iter().map(ToString::to_string);
    let listed: Vec<String> = listed
        .filter(|words| words.contains("removed, as"))
        .collect();
    assert_eq!(listed.len(), 1);
    assert!(listed[0].contains("chosen among 2"), "{}", listed[0]);
    // The other candidate is still one of two.
    assert!(report.claims.iter().any(|claim| claim.among == 2));

    // An entry made by hand cannot state less than what was recorded to be there.
    for (from, to, words) in [
        (
            answers,
            answers - 1,
            "answers that an entry before records, or more",
        ),
        (3, 2, "derived the 3 that journal entry"),
    ] {
        std::fs::copy(&held, place.path()).unwrap();
        let ledger = Ledger::open(&place.path()).unwrap();
        // Its answers are recorded with the next network that is named.
        ledger.add_network(&network(9)).unwrap();
        let mut less = event.clone();
        if let JournalEvent::Forgotten {
            whole,
            claims,
            answers,
            ..
        } = &mut less
        {
            if from == 3 {
                (*whole, claims[0].certificates) = (false, to);
            } else {
                *answers = to;
            }
        }
        ledger.note(None, &less).unwrap();
        ledger.close().unwrap();
        finds(&place.check(), words);
    }
}

/// Whoever removes networks after looking at their results, and names them again as if they
/// were new, does not make candidates of them.
#[test]
fn networks_that_ran_and_were_removed_are_no_new_candidates() {
    let place = Place::certified();
    place.recertify(&[1], 1);
    place.recertify(&[2], 1);
    let ledger = Ledger::open(&place.path()).unwrap();
    for _ in 0..2 {
        let (number, _) = ledger.networks().unwrap().pop().unwrap();
        ledger.forget_network(number).unwrap();
    }
    ledger.close().unwrap();
    clean(&place.check());
    place.recertify(&[1, 2], 2);
    finds(
        &place.check(),
        "stored a choice among 2, derived a choice among 1",
    );
}

/// Inputs that disappoint are removed with all their rows, and others are certified.
#[test]
fn inputs_replaced_by_as_many_others_are_found() {
    let place = Place::certified();
    place.sql(NO_INPUT_9);
    place.sql("DELETE FROM seal");
    place.certify(&[0, 4, 7, 8]);
    let report = place.check();
    finds(
        &report,
        "stored a list without it, derived a list with input 9, which journal entry 3 lists",
    );
    finds(
        &report,
        "derived one of input 9, which journal entry 3 lists",
    );

    // Another image in the place of one.
    let place = Place::certified();
    place.edit("UPDATE input SET sha256 = replace(sha256, '09', '0a') WHERE idx = 9");
    finds(
        &place.check(),
        "derived the images that journal entry 3 records",
    );
}

/// Each network would have the certificates of the other; both were named in time.
#[test]
fn networks_exchanged_are_found() {
    let place = Place::certified();
    place.recertify(&[1, 2], 2);
    let rename = |id: i64, sha256: &str, byte: u8| {
        format!("UPDATE network SET sha256 = '{sha256}', file = 'net{byte}.onnx' WHERE id = {id};")
    };
    place.edit(
        &[
            rename(2, "", 0),
            rename(3, &"01".repeat(32), 1),
            rename(2, &"02".repeat(32), 2),
        ]
        .concat(),
    );
    let report = place.check();
    finds(
        &report,
        "network (id 2): stored 020202020202.. (closure 1, exact), derived 010101010101..",
    );
    finds(
        &report,
        "network (id 3): stored 010101010101.. (closure 1, exact), derived 020202020202..",
    );
}

/// The first journals have the number and hash of the inputs alone.
#[test]
fn what_older_entries_do_not_list_is_stated() {
    let older = "UPDATE journal SET body = json_remove(body, '$.positions', '$.images_sha256')
                 WHERE kind = 'concluded'; DELETE FROM seal";
    let place = Place::certified();
    place.sql(older);
    // It is of the inputs that there are, by its hash.
    let report = place.check();
    clean(&report);
    let unlisted = |report: &Report| {
        let items = report.missing();
        items
            .filter(|item| matches!(item, Unchecked::UnlistedInputs { .. }))
            .count()
    };
    assert_eq!(unlisted(&report), 0);
    place.certify(&[0, 4, 7, 9]);
    let report = place.check();
    clean(&report);
    lists(
        &report,
        "whether the 3 inputs of journal entry 3 are still here",
    );

    let place = Place::certified();
    place.sql(older);
    place.sql(NO_INPUT_9);
    place.certify(&[0, 4, 7, 8]);
    let report = place.check();
    clean(&report);
    assert_eq!(unlisted(&report), 1);
}

/// Sigma is doubled, and certificates are made again by the program with radii twice as large.
#[test]
fn a_header_changed_afterwards_is_found() {
    for (change, words) in [
        (
            "sigma = 0.5",
            "sigma: stored 0.5, derived 0.25, which journal entry 2 records",
        ),
        ("seed = '7'", "seed: stored 7, derived 0, which"),
        ("alpha = 0.01", "alpha: stored 0.01, derived 0.001, which"),
    ] {
        let place = Place::certified();
        place.sql(&format!(
            "UPDATE run SET {change}; DELETE FROM certificate; DELETE FROM claim;
             DELETE FROM journal WHERE kind = 'concluded'; DELETE FROM seal"
        ));
        place.certify(&INPUTS);
        finds(&place.check(), words);
    }
    let place = Place::certified();
    place.recertify(&[1], 1);
    place.edit("UPDATE run SET network = 2");
    finds(&place.check(), "network: stored 0101");

    // A journal without the header does not show it, and neither does one that got it late.
    let place = Place::certified();
    place.sql(
        "DELETE FROM journal WHERE kind = 'header'; UPDATE journal SET id = 2 WHERE id = 3;
         DELETE FROM seal",
    );
    lists(&place.check(), "the journal does not record them");
    Ledger::open(&place.path()).unwrap().close().unwrap();
    let report = place.check();
    clean(&report);
    lists(&report, "the journal records them from entry 3 on");
}

#[test]
fn an_engine_that_was_not_compared_is_missing_its_comparison() {
    let place = Place::certified();
    let ledger = Ledger::open(&place.path()).unwrap();
    let engine = ledger.header().network.engine.to_string();
    let held = |images: u64| JournalEvent::Held {
        engine: engine.clone(),
        reference: "reference interpreter 1".to_owned(),
        images,
        largest_difference: 0.0,
        tolerance: 0.0,
        details: "the interpreter has no TopK".to_owned(),
    };
    ledger.note(Some(ledger.base()), &held(8)).unwrap();
    ledger.close().unwrap();
    let words = "computes the network as its file says: the interpreter has no TopK";
    let names = |report: &Report| {
        let missing = report.unchecked.iter().filter(|item| item.is_missing());
        missing
            .map(ToString::to_string)
            .any(|item| item.contains(words))
    };
    assert!(!names(&place.check()));

    let ledger = Ledger::open(&place.path()).unwrap();
    ledger.note(Some(ledger.base()), &held(0)).unwrap();
    ledger.close().unwrap();
    assert!(names(&place.check()));
}
