//! The seal of a closed ledger, and rows as they are stored.

use std::path::Path;

use crate::common::{codes, header, input, selection};
use recert_ledger::raw::{Table, Value, decode_answers, decode_samples};
use recert_ledger::{Ledger, Seal, Series, Stream};

fn make(path: &Path) -> Series {
    let ledger = Ledger::create(path, &header()).unwrap();
    assert_eq!(ledger.seal().unwrap(), Seal::Absent);
    ledger.add_input(&input(0)).unwrap();
    ledger
        .put_selection(ledger.base(), 0, &selection())
        .unwrap();
    let series = Series {
        network: ledger.base(),
        idx: 0,
        stream: Stream(1),
    };
    ledger.put_answers(series, 0, &codes(0, 50), 3, 9).unwrap();
    ledger
        .put_chosen(series, &[60, 70, 99], &codes(60, 3), 3, 2)
        .unwrap();
    ledger.close().unwrap();
    series
}

fn sealed(path: &Path) -> Seal {
    Ledger::open_read_only(path).unwrap().seal().unwrap()
}

fn edit(path: &Path, sql: &str) {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection
        .pragma_update(None, "foreign_keys", false)
        .unwrap();
    connection.execute_batch(sql).unwrap();
    connection.close().unwrap();
}

#[test]
fn closing_seals_and_writing_unseals() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.recert");
    let series = make(&path);
    assert_eq!(sealed(&path), Seal::Holds);
    let ledger = Ledger::open(&path).unwrap();
    assert_eq!(sealed(&path), Seal::Absent);
    ledger
        .put_answers(series, 100, &codes(100, 5), 3, 9)
        .unwrap();
    drop(ledger); // as a killed process would leave it
    assert_eq!(sealed(&path), Seal::Absent);
    Ledger::resume(&path, &header()).unwrap().close().unwrap();
    assert_eq!(sealed(&path), Seal::Holds);
    // Reading changes nothing, nor does a run that is refused.
    let bytes = std::fs::read(&path).unwrap();
    Ledger::open_read_only(&path).unwrap().close().unwrap();
    let mut other = header();
    other.n = 7;
    Ledger::resume(&path, &other).unwrap_err();
    assert_eq!(sealed(&path), Seal::Holds);
    assert_eq!(std::fs::read(&path).unwrap().len(), bytes.len());
}

#[test]
fn a_broken_seal_stays_broken() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.recert");
    for sql in [
        "UPDATE input SET label = 9",
        "UPDATE run SET tool = 'x'",
        "UPDATE answers SET micros = micros + 1",
        "DELETE FROM chosen",
        "UPDATE seal SET sha256 = 'x'",
        "UPDATE run SET sigma = CAST(1 AS REAL)",
        "INSERT INTO input VALUES (5, 'x', NULL, NULL)",
    ] {
        make(&path);
        edit(&path, sql);
        assert!(matches!(sealed(&path), Seal::Broken { .. }), "{sql}");
        Ledger::open(&path).unwrap().close().unwrap();
        assert!(matches!(sealed(&path), Seal::Broken { .. }), "{sql}");
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn raw_rows_are_read_whatever_they_hold() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.recert");
    let series = make(&path);
    edit(
        &path,
        "UPDATE input SET sha256 = 'no hash', label = x'ff'; UPDATE selection SET counts = 7",
    );
    let ledger = Ledger::open_read_only(&path).unwrap();
    ledger.freeze().unwrap();
    assert!(ledger.inputs().is_err());
    let inputs = ledger.raw_rows(Table::Input).unwrap();
    assert_eq!(inputs[0].get("sha256"), &Value::Text("no hash".into()));
    assert_eq!(inputs[0].get("label"), &Value::Blob(vec![0xff]));
    assert_eq!(inputs[0].get("name"), &Value::Null);
    assert_eq!(inputs[0].key(), "idx 0");
    let answers = ledger.raw_answers(Table::Chosen, 1, 0).unwrap();
    let blob = |column: &str| match answers[0].get(column) {
        Value::Blob(bytes) => bytes.clone(),
        other => panic!("{other}"),
    };
    let numbers = decode_samples(Some(&blob("numbers")), 60, 3).unwrap();
    assert_eq!(numbers, [60, 70, 99]);
    assert_eq!(decode_samples(None, 5, 2).unwrap(), [5, 6]);
    let found = decode_answers(&blob("classes"), Some(&blob("margins")), 3, 3).unwrap();
    assert_eq!(found, codes(60, 3));
    assert!(decode_answers(&blob("margins"), None, 4, 3).is_err());
    assert!(ledger.raw_answers(Table::Answers, 2, 0).unwrap().is_empty());
    assert_eq!(ledger.answered_count(series).unwrap(), 53);
}

#[test]
fn faults_name_what_is_not_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.recert");
    let faults = || Ledger::open_read_only(&path).unwrap().faults().unwrap();
    for (sql, table, part) in [
        ("UPDATE answers SET idx = 7", "answers", "no row of input"),
        ("CREATE TABLE mine (x)", "", "no table mine"),
        (
            "DROP TABLE seal; CREATE TABLE seal (x)",
            "",
            "table seal is not",
        ),
    ] {
        make(&path);
        assert_eq!(faults(), [], "{sql}");
        edit(&path, sql);
        let found = faults();
        assert!(
            found
                .iter()
                .any(|(of, what)| of == table && what.contains(part)),
            "{sql}: {found:?}"
        );
        std::fs::remove_file(&path).unwrap();
    }
}
