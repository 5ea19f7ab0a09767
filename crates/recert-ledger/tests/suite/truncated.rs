//! Ledgers and write-ahead logs that end anywhere: an error that says so, or exactly what had been
//! committed by there.
//!
//! By default the cuts are around every page's ends and at every so many bytes between;
//! with the variable `RECERT_EVERY_BYTE` set they are at every byte.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

use recert_ledger::{Error, ErrorKind, Ledger, Series, Stream};

use crate::common::{codes, header, input, selection};

/// The answers that the ledgers here have, in commits of so many.
const COMMITS: [u64; 4] = [1000, 200, 40_000, 3000];

fn series(ledger: &Ledger) -> Series {
    Series {
        network: ledger.base(),
        idx: 0,
        stream: Stream(1),
    }
}

/// A ledger that was left as by a killed process, with all answers in the log.
///
/// Returns how long the log was after each commit, the selection's being the first.
fn unclosed(path: &Path) -> Vec<u64> {
    let source = path.with_extension("source");
    let ledger = Ledger::create(&source, &header()).unwrap();
    let log = || with(&source, "-wal").metadata().unwrap().len();
    ledger.add_input(&input(0)).unwrap();
    ledger
        .put_selection(ledger.base(), 0, &selection())
        .unwrap();
    let mut lengths = vec![log()];
    let mut first = 0;
    for count in COMMITS {
        let answers = codes(first, count);
        ledger
            .put_answers(series(&ledger), first, &answers, 3, 1)
            .unwrap();
        first += count;
        lengths.push(log());
    }
    for suffix in ["", "-wal"] {
        std::fs::copy(with(&source, suffix), with(path, suffix)).unwrap();
    }
    drop(ledger);
    for suffix in ["", "-wal", "-shm", ".lock"] {
        let _ = std::fs::remove_file(with(&source, suffix));
    }
    lengths
}

fn with(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Where to cut a file of `length` bytes whose pages have `page`, after `head`; the last first.
fn cuts(length: u64, head: u64, page: u64) -> Vec<u64> {
    if std::env::var_os("RECERT_EVERY_BYTE").is_some() {
        return (0..length).rev().collect();
    }
    let ends = (head..length).step_by(page as usize);
    let around = ends.flat_map(|end| end.saturating_sub(1)..=end + 1);
    // 479 has no divisor in common with a page: no place in it is left out for good.
    let between = (0..length).step_by(479);
    let mut cuts: Vec<u64> = (0..=100)
        .chain(around)
        .chain(between)
        .chain([length - 1])
        .filter(|&cut| cut < length)
        .collect();
    cuts.sort_unstable();
    cuts.dedup();
    cuts.reverse();
    cuts
}

/// How many answers there are, every one of which is as it was written.
fn answered(ledger: &Ledger) -> Result<u64, Error> {
    let ranges = ledger.answered(series(ledger))?;
    let count = match &ranges[..] {
        [] => 0,
        [range] if range.start == 0 => range.end,
        other => panic!("{other:?}"),
    };
    if count > 0 {
        assert!(ledger.answers(series(ledger), count)?.0 == codes(0, count));
    }
    Ok(count)
}

/// Checks the error of a cut file: what is wrong, with which file, and what to do.
#[track_caller]
fn is_clear(error: &Error, path: &Path, cut: u64) {
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{cut}: {error}");
    let said = error.to_string();
    assert!(said.contains(path.to_str().unwrap()), "{cut}: {said}");
    let advice = ["recert snapshot", "is not a recert ledger"];
    assert!(
        advice.iter().any(|part| said.contains(part)),
        "{cut}: {said}"
    );
}

#[test]
fn a_closed_ledger_that_is_cut_off_anywhere_is_an_error_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.recert");
    unclosed(&path);
    Ledger::open(&path).unwrap().close().unwrap();
    let whole = std::fs::read(&path).unwrap();
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    for cut in cuts(whole.len() as u64, 0, 4096) {
        file.set_len(cut).unwrap();
        is_clear(&Ledger::open_read_only(&path).unwrap_err(), &path, cut);
        is_clear(&Ledger::open(&path).unwrap_err(), &path, cut);
        if cut > 0 {
            let error = Ledger::resume(&path, &header()).unwrap_err();
            is_clear(&error, &path, cut);
        }
        assert!(
            std::fs::read(&path).unwrap() == whole[..cut as usize],
            "{cut}"
        );
    }
    // An empty file is what a process leaves that was killed before it wrote: begun anew.
    let ledger = Ledger::resume(&path, &header()).unwrap();
    assert_eq!(ledger.inputs().unwrap(), []);
    ledger.close().unwrap();
    let names = std::fs::read_dir(folder.path()).unwrap();
    assert_eq!(names.count(), 1, "nothing is left beside it");
}

#[test]
fn a_log_that_is_cut_off_anywhere_has_what_was_committed_by_there() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source.recert");
    let lengths = unclosed(&source);
    let log = std::fs::read(with(&source, "-wal")).unwrap();
    let path = folder.path().join("run.recert");
    let all: u64 = COMMITS.iter().sum();
    for (i, cut) in cuts(log.len() as u64 + 1, 32, 24 + 4096)
        .into_iter()
        .enumerate()
    {
        std::fs::copy(&source, &path).unwrap();
        std::fs::write(with(&path, "-wal"), &log[..cut as usize]).unwrap();
        let commits = lengths.iter().filter(|&&length| length <= cut).count();
        let committed: u64 = COMMITS[..commits.saturating_sub(1)].iter().sum();
        let ledger = Ledger::open_read_only(&path).unwrap();
        assert_eq!(answered(&ledger).unwrap(), committed, "{cut}");
        drop(ledger);
        if i % 16 != 0 {
            continue;
        }
        // It goes on from there, and ends as if nothing had happened.
        let ledger = Ledger::resume(&path, &header()).unwrap();
        if ledger.selection(ledger.base(), 0).unwrap().is_none() {
            assert_eq!(committed, 0, "{cut}");
            ledger.close().unwrap();
            continue;
        }
        if committed < all {
            let rest = codes(committed, all - committed);
            ledger
                .put_answers(series(&ledger), committed, &rest, 3, 1)
                .unwrap();
        }
        ledger.close().unwrap();
        let ledger = Ledger::open_read_only(&path).unwrap();
        assert_eq!(answered(&ledger).unwrap(), all, "{cut}");
        assert_eq!(ledger.faults().unwrap(), [], "{cut}");
    }
}

/// What the log has may stand in for what the file lost, or not: never for something else.
#[test]
fn a_ledger_that_is_cut_off_beside_its_log_is_whole_or_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source.recert");
    unclosed(&source);
    let whole = std::fs::read(&source).unwrap();
    let path = folder.path().join("run.recert");
    let all: u64 = COMMITS.iter().sum();
    let mut refused = 0;
    for cut in cuts(whole.len() as u64, 0, 4096) {
        std::fs::write(&path, &whole[..cut as usize]).unwrap();
        std::fs::copy(with(&source, "-wal"), with(&path, "-wal")).unwrap();
        let read = Ledger::open_read_only(&path).and_then(|ledger| answered(&ledger));
        match read {
            Ok(count) => assert_eq!(count, all, "{cut}"),
            Err(error) => {
                is_clear(&error, &path, cut);
                refused += 1;
            }
        }
        for suffix in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(with(&path, suffix));
        }
    }
    assert!(refused > 0);
}
