//! The ledger's promises: it survives, it binds, it refuses.

use std::path::Path;
use std::sync::Arc;

use crate::common::{codes, header, input, selection};
use recert_ledger::{
    Certificate, Claim, ErrorKind, Evidence, Header, Images, Ledger, Parameters, ScratchParameters,
    Series, Sides, Stream,
};

/// A ledger with input 0 selected (class 3) and its certify series.
fn ledger(path: &Path) -> (Ledger, Series) {
    let ledger = Ledger::create(path, &header()).unwrap();
    ledger.add_input(&input(0)).unwrap();
    let selection = selection();
    let base = ledger.base();
    ledger.put_selection(base, 0, &selection).unwrap();
    assert_eq!(ledger.selection(base, 0).unwrap(), Some(selection));
    let series = Series {
        network: base,
        idx: 0,
        stream: Stream(1),
    };
    (ledger, series)
}

#[test]
fn answers_survive_reopening_and_merging() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.recert");
    let (mut ledger, series) = ledger(&path);
    // Chunks arrive out of order; a gap stays open until it is filled.
    for first in [0, 2000] {
        ledger
            .put_answers(series, first, &codes(first, 1000), 3, 500)
            .unwrap();
    }
    assert_eq!(ledger.answered(series).unwrap(), [0..1000, 2000..3000]);
    assert_eq!(
        ledger.answers(series, 3000).unwrap_err().kind(),
        ErrorKind::Missing
    );
    assert_eq!(ledger.answers(series, 700).unwrap(), (codes(0, 700), 350));
    drop(ledger); // as a killed process would leave it: nothing folded in

    ledger = Ledger::resume(&path, &header()).unwrap();
    ledger
        .put_answers(series, 1000, &codes(1000, 1000), 3, 500)
        .unwrap();
    let before = ledger.answers(series, 3000).unwrap();
    let certificate = Certificate {
        idx: 0,
        claim: Arc::new(Claim::new(
            Parameters::Certify(ScratchParameters {
                class_of: None,
                sides: Some(Sides::One),
                rule: None,
            }),
            3000,
            0.001,
            Images::Real,
        )),
        class: Some(3),
        radius: 0.1,
        p_lower: Some(0.9),
        bound: Some("direct".into()),
        evidence: Evidence::OneSided {
            class: 3,
            k: 2700,
            n: 3000,
            invalid: 0,
        },
        evaluations: 3100,
        micros: 1511,
    };
    ledger
        .conclude(series, std::slice::from_ref(&certificate))
        .unwrap();
    assert_eq!(ledger.answered(series).unwrap(), vec![0..3000]);
    assert_eq!(ledger.answers(series, 3000).unwrap(), before);
    assert_eq!(before, (codes(0, 3000), 1500));
    ledger.close().unwrap();

    let names: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["run.recert"], "one file holds everything");
    let ledger = Ledger::open_read_only(&path).unwrap();
    assert_eq!(ledger.header(), &header());
    assert_eq!(ledger.certificates(ledger.base()).unwrap(), [certificate]);
    assert_eq!(ledger.inputs().unwrap(), [input(0)]);
}

#[test]
fn what_is_left_of_making_a_ledger_is_no_hindrance() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.recert");
    std::fs::write(&path, "").unwrap();
    Ledger::resume(&path, &header()).unwrap().close().unwrap();
    assert_eq!(Ledger::open(&path).unwrap().header(), &header());

    std::fs::remove_file(&path).unwrap();
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection
        .pragma_update(None, "journal_mode", "WAL")
        .unwrap();
    drop(connection);
    assert!(path.metadata().unwrap().len() > 0);
    // Without a log beside it, this may be a copy of a ledger that has rows there.
    let error = Ledger::resume(&path, &header()).unwrap_err();
    assert!(error.to_string().contains("looks like a copy"), "{error}");

    // Somebody else's database is left alone.
    std::fs::remove_file(&path).unwrap();
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.execute_batch("CREATE TABLE mine (x)").unwrap();
    drop(connection);
    let error = Ledger::resume(&path, &header()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
}

#[test]
fn another_run_is_refused_and_named() {
    type Change = fn(&mut Header);
    let changes: [(&str, Change); 9] = [
        ("sigma", |h| h.sigma = 0.3),
        ("the network: net.onnx (SHA-256 07", |h| {
            h.network.sha256 = [8; 32];
        }),
        ("preprocessing", |h| {
            h.network.preprocess = "scale=255".into();
        }),
        ("engine's version", |h| {
            h.network.engine.version = "0.28.0".into();
        }),
        ("n0", |h| h.n0 = 10),
        ("n:", |h| h.n = 10),
        ("alpha", |h| h.alpha = 0.01),
        ("seed", |h| h.seed = 0),
        ("shape", |h| h.shape = [1, 28, 28]),
    ];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.recert");
    ledger(&path).0.close().unwrap();
    for (word, change) in changes {
        let mut other = header();
        change(&mut other);
        let error = Ledger::resume(&path, &other).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Mismatch);
        assert!(error.to_string().contains(word), "{error}");
    }
    // What is for people only does not bind.
    let mut same = header();
    same.data = "elsewhere".into();
    same.network.file = "renamed.onnx".into();
    let ledger = Ledger::resume(&path, &same).unwrap();
    let mut other = input(0);
    other.sha256 = [9; 32];
    let error = ledger.add_input(&other).unwrap_err();
    assert!(error.to_string().contains("other data: input 0"), "{error}");
}

#[test]
fn one_writer_at_a_time_and_any_number_of_readers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.recert");
    let (ledger, series) = ledger(&path);
    assert_eq!(Ledger::open(&path).unwrap_err().kind(), ErrorKind::InUse);
    ledger.put_answers(series, 0, &codes(0, 10), 3, 1).unwrap();
    let reader = Ledger::open_read_only(&path).unwrap();
    assert_eq!(reader.answers(series, 10).unwrap().0, codes(0, 10));
}

#[test]
fn what_is_no_ledger_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.recert");
    let open = |path: &Path| Ledger::open(path).unwrap_err();
    assert_eq!(open(&path).kind(), ErrorKind::Open);
    assert!(open(&path).to_string().contains("no such file"));
    std::fs::write(&path, "not a database ".repeat(100)).unwrap();
    assert_eq!(open(&path).kind(), ErrorKind::Corrupt);
    std::fs::remove_file(&path).unwrap();
    ledger(&path).0.close().unwrap();
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    assert_eq!(open(&path).kind(), ErrorKind::Corrupt, "{}", open(&path));
    std::fs::write(&path, &whole).unwrap();
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    connection.close().unwrap();
    assert_eq!(open(&path).kind(), ErrorKind::TooNew);
    assert!(open(&path).to_string().contains("schema 99"));
}

#[test]
fn damaged_answers_are_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.recert");
    let (ledger, series) = ledger(&path);
    ledger
        .put_answers(series, 0, &codes(0, 1000), 3, 1)
        .unwrap();
    ledger.close().unwrap();
    let connection = rusqlite::Connection::open(&path).unwrap();
    let blob: Vec<u8> = connection
        .query_row("SELECT classes FROM answers", [], |row| row.get(0))
        .unwrap();
    let mut damaged = blob.clone();
    damaged[blob.len() / 2] ^= 0x10;
    connection
        .execute("UPDATE answers SET classes = ?1", [damaged])
        .unwrap();
    connection.close().unwrap();
    let ledger = Ledger::open(&path).unwrap();
    let error = ledger.answers(series, 1000).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("input 0"), "{error}");
}
