//! Copies of a ledger while a run writes to it, and damaged files.

use proptest::prelude::*;
use recert_ledger::{ErrorKind, Ledger, Seal};

use crate::common::header;

#[test]
fn the_file_alone_is_a_ledger_before_it_has_an_answer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.recert");
    let writer = Ledger::create(&path, &header()).unwrap();
    let copy = folder.path().join("copy.recert");
    std::fs::copy(&path, &copy).unwrap();
    let copied = Ledger::open_read_only(&copy).unwrap();
    assert_eq!(copied.header(), writer.header());
}

#[test]
fn a_copy_without_rows_is_named_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.recert");
    // What earlier versions had in the file alone while a run wrote.
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection
        .pragma_update(None, "journal_mode", "WAL")
        .unwrap();
    connection.execute_batch("CREATE TABLE run (x)").unwrap();
    let copy = folder.path().join("copy.recert");
    std::fs::copy(&path, &copy).unwrap();
    let before = std::fs::read(&copy).unwrap();
    assert!(!before.is_empty());
    for error in [
        Ledger::open_read_only(&copy).unwrap_err(),
        Ledger::open(&copy).unwrap_err(),
        Ledger::resume(&copy, &header()).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.to_string().contains("recert snapshot"), "{error}");
    }
    assert_eq!(std::fs::read(&copy).unwrap(), before);
}

#[test]
fn a_snapshot_is_whole_and_replaces_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.recert");
    let writer = Ledger::create(&path, &header()).unwrap();
    let copy = folder.path().join("copy.recert");
    let snapshot = writer.snapshot(&copy).unwrap();
    assert_eq!((snapshot.inputs, snapshot.seal), (0, Seal::Absent));
    let again = writer.snapshot(&copy).unwrap_err();
    assert!(again.to_string().contains("exists already"), "{again}");
    let nowhere = writer.snapshot(&folder.path().join("no/copy.recert"));
    assert_eq!(nowhere.unwrap_err().kind(), ErrorKind::Open);
    writer.close().unwrap();
    let sealed = folder.path().join("sealed.recert");
    let reader = Ledger::open_read_only(&path).unwrap();
    assert_eq!(reader.snapshot(&sealed).unwrap().seal, Seal::Holds);
    let mut names: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.retain(|name| name.contains(".part"));
    assert_eq!(names, [""; 0]);
}

/// A closed ledger's bytes.
fn bytes() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.recert");
    Ledger::create(&path, &header()).unwrap().close().unwrap();
    std::fs::read(&path).unwrap()
}

proptest! {
    /// Flipped bits on any page, near its head as often as anywhere, and cut files.
    #[test]
    fn a_damaged_file_is_an_error_of_its_own_kind(
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..4096, 0_u8..8, any::<bool>()), 0..4),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let mut damaged = bytes();
        let pages = damaged.len() / 4096;
        for (page, offset, bit, head) in flips {
            let offset = if head { offset % 120 } else { offset };
            damaged[page.index(pages) * 4096 + offset] ^= 1 << bit;
        }
        if let Some(cut) = cut {
            damaged.truncate(cut.index(damaged.len()));
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.recert");
        std::fs::write(&path, damaged).unwrap();
        let read = || {
            let ledger = Ledger::open_read_only(&path)?;
            ledger.seal()?;
            ledger.faults()?;
            ledger.journal()?;
            ledger.inputs()?;
            for (network, _) in ledger.networks()? {
                ledger.certificates(network)?;
            }
            Ok(())
        };
        if let Err(error) = read() {
            let error: recert_ledger::Error = error;
            let kind = error.kind();
            prop_assert!(matches!(kind, ErrorKind::Corrupt | ErrorKind::TooNew), "{kind:?} {error}");
        }
    }
}
