//! Ledgers of older versions: read as they are, upgraded when written to.

use std::path::Path;

use crate::common::codes;
use recert_ledger::{Codes, ErrorKind, JournalEvent, Ledger, SCHEMA_VERSION, Seal, Series, Stream};

/// Makes the ledger of version 1 that `data/README.md` describes.
fn version_1(path: &Path) {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection
        .execute_batch(include_str!("../data/version-1.sql"))
        .unwrap();
    connection.close().unwrap();
}

/// Makes the ledger of version 2 that `data/README.md` describes.
fn version_2(path: &Path) {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection
        .execute_batch(include_str!("../data/version-2.sql"))
        .unwrap();
    connection.close().unwrap();
}

/// Makes the ledger of version 3 that `data/README.md` describes.
fn version_3(path: &Path) {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection
        .execute_batch(include_str!("../data/version-3.sql"))
        .unwrap();
    connection.close().unwrap();
}

fn version(path: &Path) -> i64 {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap()
}

fn series(ledger: &Ledger, which: usize, idx: u32) -> Series {
    Series {
        network: ledger.networks().unwrap()[which].0,
        idx,
        stream: Stream(1),
    }
}

/// Checks that the ledger holds all that version 1 held.
fn check(ledger: &Ledger) {
    let header = ledger.header();
    assert_eq!((header.n0, header.n, header.seed), (100, 120, u64::MAX));
    let of = |which, idx| series(ledger, which, idx);
    assert_eq!(
        ledger.answers(of(0, 0), 120).unwrap(),
        (codes(0, 120), 1000)
    );
    assert_eq!(ledger.answered(of(0, 20)).unwrap(), [0..40, 80..120]);
    assert_eq!(ledger.answers(of(0, 20), 40).unwrap(), (codes(0, 40), 400));
    let h = Codes {
        margins: None,
        ..codes(0, 50)
    };
    assert_eq!(ledger.answers(of(1, 0), 50).unwrap(), (h, 100));
    let (late, _) = ledger.answers_at(of(0, 20), &[80, 101, 119]).unwrap();
    let all = codes(0, 120).classes;
    assert_eq!(late, [all[80], all[101], all[119]]);
    let certificates = ledger.certificates(ledger.base()).unwrap();
    assert_eq!(certificates.len(), 1);
    assert_eq!(certificates[0].evidence.to_json(), "{\"k\":105}");
    let (h, _) = ledger.networks().unwrap()[1];
    assert_eq!(ledger.stored_bytes(ledger.base()).unwrap().samples, 200);
    assert_eq!(ledger.stored_bytes(h).unwrap().samples, 50);
}

#[test]
fn version_1_is_read_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("old.recert");
    version_1(&path);
    let bytes = std::fs::read(&path).unwrap();
    let ledger = Ledger::open_read_only(&path).unwrap();
    check(&ledger);
    // Also while somebody upgrades it and goes on.
    let mut writer = Ledger::open(&path).unwrap();
    let h = series(&writer, 1, 0);
    let more = Codes {
        classes: vec![1, 1],
        margins: None,
    };
    writer.put_chosen(h, &[70, 90], &more, 0, 1).unwrap();
    check(&ledger);
    writer.conclude(h, &[]).unwrap();
    // The reader sees what version 1 would: less than there is, nothing wrong.
    assert_eq!(
        ledger.answers(h, 50).unwrap_err().kind(),
        ErrorKind::Missing
    );
    drop(writer);

    std::fs::write(&path, &bytes).unwrap();
    Ledger::open_read_only(&path).unwrap().close().unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), bytes, "nothing is written");
}

#[test]
fn version_1_is_upgraded_for_writing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("old.recert");
    version_1(&path);
    // A run that it is not of leaves it alone.
    let header = Ledger::open_read_only(&path).unwrap().header().clone();
    let mut other = header.clone();
    other.n = 7;
    let error = Ledger::resume(&path, &other).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Mismatch);
    assert_eq!(version(&path), 1);

    let ledger = Ledger::resume(&path, &header).unwrap();
    check(&ledger);
    ledger.close().unwrap();
    assert_eq!(version(&path), SCHEMA_VERSION);
    let mut ledger = Ledger::open(&path).unwrap();
    let h = series(&ledger, 1, 0);
    let samples: Vec<u32> = (60..120).step_by(2).collect();
    let classes = samples
        .iter()
        .map(|&sample| codes(sample.into(), 1).classes[0]);
    let chosen = Codes {
        classes: classes.collect(),
        margins: None,
    };
    ledger.put_chosen(h, &samples, &chosen, 3, 60).unwrap();
    ledger.conclude(h, &[]).unwrap();
    assert_eq!(ledger.answers_at(h, &samples).unwrap().0, chosen.classes);
    assert_eq!(
        ledger.answers(h, 50).unwrap().0.classes,
        codes(0, 50).classes
    );
    assert_eq!(ledger.answered_count(h).unwrap(), 80);
    ledger.close().unwrap();

    // A new ledger has the same tables as an upgraded one.
    let new = folder.path().join("new.recert");
    Ledger::create(&new, &header).unwrap().close().unwrap();
    let schema = |path: &Path| -> Vec<(String, Option<String>)> {
        let connection = rusqlite::Connection::open(path).unwrap();
        let mut statement = connection
            .prepare("SELECT name, sql FROM sqlite_schema ORDER BY name")
            .unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        rows.unwrap().map(Result::unwrap).collect()
    };
    assert_eq!(schema(&path), schema(&new));
    assert_eq!(version(&new), SCHEMA_VERSION);
}

#[test]
fn version_2_is_read_as_it_is_with_its_seal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("old.recert");
    version_2(&path);
    let ledger = Ledger::open_read_only(&path).unwrap();
    check(&ledger);
    assert_eq!(ledger.seal().unwrap(), Seal::Holds);
    assert_eq!(ledger.journal().unwrap(), []);
    assert_eq!(ledger.faults().unwrap(), []);
    // Also while somebody upgrades it and goes on.
    let writer = Ledger::open(&path).unwrap();
    assert_eq!(writer.journal().unwrap().len(), 2);
    assert_eq!(ledger.journal().unwrap(), []);
}

#[test]
fn an_upgrade_starts_the_journal_with_the_answers_that_there_are() {
    for make in [version_1, version_2] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("old.recert");
        make(&path);
        let from = version(&path);
        let ledger = Ledger::open(&path).unwrap();
        check(&ledger);
        let journal = ledger.journal().unwrap();
        assert_eq!(journal.len(), 2);
        assert_eq!((journal[0].id, journal[0].network), (1, None));
        let JournalEvent::Upgraded {
            from: recorded,
            answered,
            fresh,
        } = &journal[0].event
        else {
            panic!("{journal:?}");
        };
        let answers: Vec<u64> = answered.iter().map(|network| network.answers).collect();
        assert_eq!((*recorded, *fresh), (from, 0));
        assert_eq!(answers, [200, 50]);
        ledger.close().unwrap();
        // It is sealed anew, and upgraded once.
        let ledger = Ledger::open(&path).unwrap();
        let journal = ledger.journal().unwrap();
        let kinds: Vec<&str> = journal.iter().map(|entry| entry.event.kind()).collect();
        assert_eq!(kinds, ["upgraded", "header", "concluded"]);
        ledger.close().unwrap();
        let ledger = Ledger::open_read_only(&path).unwrap();
        assert_eq!(ledger.seal().unwrap(), Seal::Holds);
    }
}

#[test]
fn version_3_is_read_as_it_is_and_upgraded_without_a_word_in_its_journal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("old.recert");
    version_3(&path);
    let ledger = Ledger::open_read_only(&path).unwrap();
    check(&ledger);
    assert_eq!(ledger.seal().unwrap(), Seal::Holds);
    assert_eq!(ledger.faults().unwrap(), []);
    assert!(ledger.verifications().unwrap().is_empty());
    drop(ledger);

    Ledger::open(&path).unwrap().close().unwrap();
    assert_eq!(version(&path), SCHEMA_VERSION);
    let ledger = Ledger::open_read_only(&path).unwrap();
    check(&ledger);
    assert_eq!(ledger.seal().unwrap(), Seal::Holds);
    assert_eq!(ledger.faults().unwrap(), []);
    // The journal was there before, so that nothing happened unrecorded.
    let journal = ledger.journal().unwrap();
    let kinds: Vec<&str> = journal.iter().map(|entry| entry.event.kind()).collect();
    assert_eq!(kinds, ["held", "header", "concluded"]);
}

#[test]
fn an_upgrade_restates_claims_in_the_words_of_this_version() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("old.recert");
    let statement = |ledger: &Ledger| {
        let claims = ledger.claims(ledger.base()).unwrap();
        assert_eq!(claims.len(), 1);
        claims[0].statement.to_string()
    };
    version_2(&path);
    let before = statement(&Ledger::open_read_only(&path).unwrap());
    assert_eq!(
        before,
        "for this network and this input, named in advance: the radius is wrong with probability \
         at most 0.001"
    );
    Ledger::open(&path).unwrap().close().unwrap();
    let after = statement(&Ledger::open_read_only(&path).unwrap());
    assert_eq!(
        after,
        "for this network and this input, both fixed before any answer on these samples was looked \
         at: the radius is wrong with probability at most 0.001"
    );
    // Words of nobody's are left alone.
    std::fs::remove_file(&path).unwrap();
    version_1(&path);
    Ledger::open(&path).unwrap().close().unwrap();
    assert_eq!(statement(&Ledger::open_read_only(&path).unwrap()), "words");
}

#[test]
fn an_upgrade_hides_no_broken_seal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("old.recert");
    version_2(&path);
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection
        .execute("UPDATE input SET label = 9", [])
        .unwrap();
    connection.close().unwrap();
    Ledger::open(&path).unwrap().close().unwrap();
    let ledger = Ledger::open_read_only(&path).unwrap();
    assert_eq!(version(&path), SCHEMA_VERSION);
    assert!(matches!(ledger.seal().unwrap(), Seal::Broken { .. }));
}

#[test]
fn what_has_no_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("old.recert");
    version_1(&path);
    for version in [0, -3] {
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection
            .pragma_update(None, "user_version", version)
            .unwrap();
        connection.close().unwrap();
        let error = Ledger::open(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    }
}
