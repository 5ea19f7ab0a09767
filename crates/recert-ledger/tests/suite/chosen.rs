//! Answers on chosen samples: they come back as they went in, beside answers on
//! consecutive samples, merged or not; and none is ever held twice.

use std::collections::BTreeMap;
use std::path::Path;

use crate::common::{codes, header, input, network};
use proptest::prelude::*;
use recert_ledger::{Codes, ErrorKind, INVALID, Ledger, NewAnswers, Series, Stream};

/// A ledger with input 4 and the series of a second network on it.
fn ledger(path: &Path) -> (Ledger, Series) {
    let ledger = Ledger::create(path, &header()).unwrap();
    ledger.add_input(&input(4)).unwrap();
    let series = Series {
        network: ledger.add_network(&network(8)).unwrap(),
        idx: 4,
        stream: Stream(1),
    };
    (ledger, series)
}

/// The class of a sample in these tests.
fn class(sample: u32) -> u16 {
    match sample.wrapping_mul(2_654_435_761) >> 24 {
        0..3 => INVALID,
        3..40 => 1,
        _ => 0,
    }
}

fn answers(samples: &[u32]) -> Codes {
    Codes {
        classes: samples.iter().map(|&sample| class(sample)).collect(),
        margins: None,
    }
}

fn put(ledger: &Ledger, series: Series, samples: &[u32], micros: u64) {
    ledger
        .put_chosen(series, samples, &answers(samples), 0, micros)
        .unwrap();
}

/// Rows of both tables: consecutive ones, chosen ones.
fn rows(path: &Path) -> (i64, i64) {
    let connection = rusqlite::Connection::open(path).unwrap();
    let count = |table: &str| {
        let sql = format!("SELECT count(*) FROM {table}");
        connection.query_row(&sql, [], |row| row.get(0)).unwrap()
    };
    (count("answers"), count("chosen"))
}

#[test]
fn chosen_and_consecutive_samples_are_read_together() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.recert");
    let (mut ledger, series) = ledger(&path);
    let other = Series {
        stream: Stream(2),
        ..series
    };
    put(&ledger, series, &[3, 4, 7, 900, u32::MAX], 50);
    put(&ledger, series, &[5, 6], 20);
    put(&ledger, series, &[8, 20], 20);
    put(&ledger, other, &[0, 2], 2);
    let ranges = [3..9, 20..21, 900..901, 0xffff_ffff..0x1_0000_0000];
    assert_eq!(ledger.answered(series).unwrap(), ranges);
    assert_eq!(ledger.answered_count(series).unwrap(), 9);
    let asked = [0, 4, 5, 19, 20, 901, u32::MAX];
    let held = |sample| Some(class(sample));
    let found = [None, held(4), held(5), None, held(20), None, held(u32::MAX)];
    assert_eq!(ledger.classes_at(series, &asked).unwrap(), found);
    assert_eq!(ledger.classes_at(series, &[]).unwrap(), []);
    assert_eq!(ledger.answers_at(series, &[]).unwrap(), (vec![], 0));

    let error = ledger.answers_at(series, &asked).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing);
    assert!(
        error.to_string().contains("4 of 7 samples of input 4"),
        "{error}"
    );
    // Two of the five samples of the first row, and both of the second.
    let (classes, micros) = ledger.answers_at(series, &[4, 5, 6, 7]).unwrap();
    assert_eq!((classes, micros), (answers(&[4, 5, 6, 7]).classes, 40));

    // Whole once the beginning is there, before and after merging.
    assert_eq!(
        ledger.answers(series, 9).unwrap_err().kind(),
        ErrorKind::Missing
    );
    put(&ledger, series, &[0, 1, 2], 30);
    let prefix: Vec<u32> = (0..9).collect();
    let before = (answers(&prefix), 30 + 30 + 20 + 10);
    assert_eq!(ledger.answers(series, 9).unwrap(), before);
    let size = ledger.stored_bytes(series.network).unwrap();
    assert_eq!(size.samples, 14);
    assert_eq!(size.margins, 0);
    assert_eq!(rows(&path), (2, 3));

    ledger.conclude(series, &[]).unwrap();
    assert_eq!(rows(&path), (0, 2), "one row a series is left");
    assert_eq!(ledger.answered(series).unwrap()[0], 0..9);
    assert_eq!(ledger.answers(series, 9).unwrap().0, before.0);
    assert_eq!(ledger.stored_bytes(series.network).unwrap().samples, 14);
    let all: Vec<u32> = prefix.into_iter().chain([20, 900, u32::MAX]).collect();
    let (classes, micros) = ledger.answers_at(series, &all).unwrap();
    assert_eq!((classes, micros), (answers(&all).classes, 120));
    ledger.close().unwrap();
    let ledger = Ledger::open_read_only(&path).unwrap();
    assert_eq!(ledger.answers_at(series, &all).unwrap().1, 120);
    assert_eq!(ledger.classes_at(other, &[1, 2]).unwrap(), [None, held(2)]);
}

#[test]
fn rows_stay_few_however_often_samples_are_added() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.recert");
    let (mut ledger, series) = ledger(&path);
    // The seven residues come in some order, each in chunks.
    for residue in [3, 0, 5, 1, 6, 2] {
        let samples: Vec<u32> = (residue..140_000).step_by(7).collect();
        for chunk in samples.chunks(9000) {
            put(&ledger, series, chunk, 1000);
        }
        ledger.conclude(series, &[]).unwrap();
        let (consecutive, chosen) = rows(&path);
        assert!(consecutive == 0 && chosen <= 3, "{consecutive} {chosen}");
    }
    // What all residues together have is as good as asked for from the start.
    put(
        &ledger,
        series,
        &(0..20_000).map(|i| 7 * i + 4).collect::<Vec<_>>(),
        9,
    );
    ledger.conclude(series, &[]).unwrap();
    assert_eq!(ledger.answered(series).unwrap(), vec![0..140_000]);
    let (all, micros) = ledger.answers(series, 140_000).unwrap();
    assert_eq!(all, answers(&(0..140_000).collect::<Vec<_>>()));
    assert_eq!(micros, 6 * 3 * 1000 + 9);
}

#[test]
fn margins_are_kept_with_chosen_samples() {
    let folder = tempfile::tempdir().unwrap();
    let (mut ledger, series) = ledger(&folder.path().join("run.recert"));
    let pick = |samples: &[u32]| {
        let all = codes(0, 40);
        let margins = all.margins.unwrap();
        Codes {
            classes: samples.iter().map(|&i| all.classes[i as usize]).collect(),
            margins: Some(samples.iter().map(|&i| margins[i as usize]).collect()),
        }
    };
    for samples in [&[0, 2, 4, 6][..], &[1, 3, 5], &[10, 11]] {
        ledger
            .put_chosen(series, samples, &pick(samples), 0, 1)
            .unwrap();
    }
    assert_eq!(ledger.answers(series, 7).unwrap().0, codes(0, 7));
    ledger.conclude(series, &[]).unwrap();
    assert_eq!(ledger.answers(series, 7).unwrap().0, codes(0, 7));
    // Rows without margins do not take those of others away.
    let rest = Codes {
        margins: None,
        ..pick(&[7, 8, 9])
    };
    ledger.put_chosen(series, &[7, 8, 9], &rest, 0, 1).unwrap();
    ledger.conclude(series, &[]).unwrap();
    assert_eq!(ledger.answers(series, 7).unwrap().0, codes(0, 7));
    let (whole, _) = ledger.answers(series, 12).unwrap();
    assert_eq!((whole.classes, whole.margins), (codes(0, 12).classes, None));
}

#[test]
fn a_copy_is_never_held_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.recert");
    let (ledger, series) = ledger(&path);
    let dense: Vec<u32> = (0..10).collect();
    ledger
        .put_answers(series, 0, &answers(&dense), 0, 10)
        .unwrap();
    // The same answers again are no answers more.
    put(&ledger, series, &[8, 9, 10, 12], 40);
    put(&ledger, series, &[8, 12], 7);
    let wide: Vec<u32> = (5..15).collect();
    ledger
        .put_answers(series, 5, &answers(&wide), 0, 100)
        .unwrap();
    assert_eq!(ledger.stored_bytes(series.network).unwrap().samples, 15);
    assert_eq!(ledger.answered(series).unwrap(), vec![0..15]);
    // 10 for the first ten, half of 40 for two, three tenths of 100 for three.
    assert_eq!(ledger.answers(series, 15).unwrap().1, 10 + 20 + 30);

    let check = |samples: &[u32], at: usize, dense: bool| {
        let mut wrong = answers(samples);
        let known = wrong.classes[at];
        wrong.classes[at] = 7;
        let result = if dense {
            ledger.put_answers(series, samples[0].into(), &wrong, 0, 1)
        } else {
            ledger.put_chosen(series, samples, &wrong, 0, 1)
        };
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        let known = match known {
            INVALID => "no valid class".to_owned(),
            known => format!("class {known}"),
        };
        for part in [
            "net.onnx".into(),
            format!("sample {} of input 4", samples[at]),
            "class 7".into(),
            known,
        ] {
            assert!(error.to_string().contains(&part), "{part}: {error}");
        }
    };
    check(&[2, 3, 4, 99], 1, false);
    check(&[12, 50], 0, false);
    check(&[14, 15, 16], 0, true);
    // A class where there was none, too.
    let none = (20..999).find(|&sample| class(sample) == INVALID).unwrap();
    put(&ledger, series, &[none], 0);
    check(&[none], 0, false);
    assert_eq!(ledger.classes_at(series, &[50, 99]).unwrap(), [None; 2]);
}

#[test]
fn malformed_lists_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, series) = ledger(&folder.path().join("run.recert"));
    let kind = |result: Result<(), recert_ledger::Error>| result.unwrap_err().kind();
    for samples in [&[1, 1][..], &[2, 1]] {
        let result = ledger.put_chosen(series, samples, &answers(samples), 0, 1);
        assert_eq!(kind(result), ErrorKind::Malformed);
        let result = ledger.classes_at(series, samples);
        assert_eq!(kind(result.map(|_| ())), ErrorKind::Malformed);
    }
    let result = ledger.put_chosen(series, &[1, 2], &answers(&[1]), 0, 1);
    assert_eq!(kind(result), ErrorKind::Malformed);
    let no_margin = Codes {
        margins: Some(vec![1]),
        ..answers(&[1, 2])
    };
    let result = ledger.put_chosen(series, &[1, 2], &no_margin, 0, 1);
    assert_eq!(kind(result), ErrorKind::Malformed);
    for first in [u64::from(u32::MAX), u64::MAX] {
        let result = ledger.put_answers(series, first, &answers(&[1, 2]), 0, 1);
        assert_eq!(kind(result), ErrorKind::Malformed);
    }
    put(&ledger, series, &[], 1);
    assert_eq!(ledger.stored_bytes(series.network).unwrap().samples, 0);
}

#[test]
fn damage_is_an_error_that_names_the_row() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.recert");
    let (ledger, series) = ledger(&path);
    let samples: Vec<u32> = (30..4000).step_by(3).collect();
    put(&ledger, series, &samples, 1);
    ledger
        .put_answers(series, 0, &answers(&[0, 1]), 0, 1)
        .unwrap();
    ledger.close().unwrap();
    let whole = std::fs::read(&path).unwrap();
    let flip = "CAST(substr({}, 1, 10) || x'5a' || substr({}, 12) AS BLOB)";
    let cases = [
        format!("numbers = {}", flip.replace("{}", "numbers")),
        format!("classes = {}", flip.replace("{}", "classes")),
        "numbers = x''".into(),
        "numbers = x'010203'".into(),
        "classes = x'0102030405060708'".into(),
        "copies = copies + 1".into(),
        "copies = 9000000000000000000".into(),
        "copies = 0".into(),
        "last = last + 1".into(),
        "first = 4294967000, last = 4294967295".into(),
    ];
    for sql in cases {
        std::fs::write(&path, &whole).unwrap();
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection
            .execute_batch(&format!("UPDATE chosen SET {sql}"))
            .unwrap();
        connection.close().unwrap();
        let mut ledger = Ledger::open(&path).unwrap();
        let every = [0, 30, u32::MAX];
        let mut errors = vec![ledger.classes_at(series, &every).err()];
        if !sql.contains("classes") {
            errors.push(ledger.answered(series).err());
        }
        if !sql.contains("first") {
            errors.push(ledger.answers(series, 4000).err());
            errors.push(
                ledger
                    .put_chosen(series, &samples, &answers(&samples), 0, 1)
                    .err(),
            );
        }
        if !sql.contains("copies = 9") {
            errors.push(ledger.conclude(series, &[]).err());
        }
        for error in errors {
            let error = error.unwrap_or_else(|| panic!("{sql} is not noticed"));
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{sql}: {error}");
            assert!(
                error.to_string().contains("of input 4 from sample"),
                "{error}"
            );
        }
        // What is beside it can still be read.
        assert_eq!(ledger.answers(series, 2).unwrap().0, answers(&[0, 1]));
    }
}

#[test]
fn two_answers_to_one_copy_in_the_file_are_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.recert");
    let (mut ledger, series) = ledger(&path);
    let other = Series {
        stream: Stream(2),
        ..series
    };
    put(&ledger, series, &[1, 3, 5], 1);
    let mut wrong = answers(&[0, 1, 2]);
    wrong.classes[1] = 9;
    ledger.put_answers(other, 0, &wrong, 0, 1).unwrap();
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection
        .execute_batch("UPDATE answers SET stream = 1")
        .unwrap();
    connection.close().unwrap();
    let errors = [
        ledger.classes_at(series, &[1]).unwrap_err(),
        ledger.answers(series, 2).unwrap_err(),
        ledger.conclude(series, &[]).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert!(error.to_string().contains("sample 1 of input 4"), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_lists_round_trip(
        lists in prop::collection::vec((any::<bool>(), prop::collection::btree_map(
            prop_oneof![0_u32..300, any::<u32>()], prop_oneof![0_u16..3, Just(INVALID)], 0..80,
        )), 1..6),
        conclude in any::<u8>(),
        asked in prop::collection::btree_set(prop_oneof![0_u32..310, any::<u32>()], 0..60),
        (from, len) in (0_u64..320, 0_u64..120),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let (mut ledger, series) = ledger(&folder.path().join("run.recert"));
        let mut held = BTreeMap::new();
        for (i, (filled, list)) in lists.into_iter().enumerate() {
            let mut list: BTreeMap<u32, u16> = list;
            if filled && let Some((&first, &class)) = list.iter().next() {
                list = (first..first.saturating_add(90)).map(|sample| (sample, class)).collect();
            }
            let samples: Vec<u32> = list.keys().copied().collect();
            let codes = Codes { classes: list.values().copied().collect(), margins: None };
            let result = ledger.put_chosen(series, &samples, &codes, 0, 1);
            let conflict = list.iter().any(|(sample, class)| held.get(sample).is_some_and(|h| h != class));
            match result {
                Ok(()) => {
                    prop_assert!(!conflict);
                    held.extend(list);
                }
                Err(error) => {
                    prop_assert!(conflict);
                    prop_assert_eq!(error.kind(), ErrorKind::Conflict);
                }
            }
            if conclude >> i & 1 == 1 {
                ledger.conclude(series, &[]).unwrap();
            }
        }
        let asked: Vec<u32> = asked.into_iter().collect();
        let expected: Vec<_> = asked.iter().map(|sample| held.get(sample).copied()).collect();
        prop_assert_eq!(ledger.classes_at(series, &asked).unwrap(), expected);
        let all: Vec<u32> = held.keys().copied().collect();
        let (classes, _) = ledger.answers_at(series, &all).unwrap();
        prop_assert_eq!(&classes, &held.values().copied().collect::<Vec<_>>());
        prop_assert_eq!(ledger.answered_count(series).unwrap(), all.len() as u64);
        prop_assert_eq!(ledger.stored_bytes(series.network).unwrap().samples, all.len() as u64);
        let prefix = (0..).zip(&all).take_while(|(i, sample)| i == *sample).count();
        let (codes, _) = ledger.answers(series, prefix as u64).unwrap();
        prop_assert_eq!(&codes.classes, &classes[..prefix]);
        prop_assert!(ledger.answers(series, prefix as u64 + 1).is_err());
        let (counts, _) = ledger.answer_counts(series, prefix as u64).unwrap();
        for (class, count) in &counts {
            prop_assert_eq!(*count, codes.count(*class));
        }
        prop_assert_eq!(counts.values().sum::<u64>(), prefix as u64);
        // Blocks anywhere: everything up to the first sample that is missing.
        let (mut next, mut failed) = (from, false);
        for block in ledger.blocks(series, from..from + len).unwrap() {
            match block {
                Ok(block) => {
                    prop_assert!(!failed);
                    prop_assert_eq!(block.first, next);
                    for class in block.codes.classes {
                        prop_assert_eq!(held.get(&(next as u32)), Some(&class));
                        next += 1;
                    }
                }
                Err(error) => {
                    prop_assert_eq!(error.kind(), ErrorKind::Missing);
                    failed = true;
                }
            }
        }
        let whole = (from..from + len).all(|sample| held.contains_key(&(sample as u32)));
        prop_assert_eq!(failed, !whole);
        prop_assert_eq!(whole, next == from + len);
    }
}

#[test]
fn several_series_are_written_together_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, first) = ledger(&folder.path().join("run.recert"));
    let second = Series {
        network: ledger.add_network(&network(9)).unwrap(),
        ..first
    };
    let given = |series, samples, answers| NewAnswers {
        series,
        samples,
        answers,
        class: 0,
        micros: 30,
    };
    let (few, many) = (answers(&[1, 5]), answers(&[0, 1, 2]));
    let both = [
        given(first, &[1, 5][..], &few),
        given(second, &[0, 1, 2], &many),
    ];
    ledger.put_series(&both).unwrap();
    ledger.put_series(&[]).unwrap();
    let held = |series, samples: &[u32]| ledger.classes_at(series, samples).unwrap();
    let of = |codes: &Codes| codes.classes.iter().map(|&c| Some(c)).collect::<Vec<_>>();
    assert_eq!(held(first, &[1, 5]), of(&few));
    assert_eq!(held(second, &[0, 1, 2]), of(&many));
    assert_eq!(ledger.answers_at(second, &[0, 1, 2]).unwrap().1, 30);

    // One that contradicts the ledger, or cannot be taken, leaves the others out too.
    let mut other = answers(&[1, 9]);
    other.classes[0] = 7;
    let new = answers(&[6, 7]);
    let bad = [
        (given(second, &[1, 9], &other), ErrorKind::Conflict),
        (given(second, &[9, 8], &new), ErrorKind::Malformed),
        (given(second, &[9], &new), ErrorKind::Malformed),
        (given(first, &[8, 9], &new), ErrorKind::Malformed),
    ];
    for (bad, kind) in bad {
        let error = ledger.put_series(&[given(first, &[6, 7], &new), bad]);
        assert_eq!(error.unwrap_err().kind(), kind);
        assert_eq!(held(first, &[6, 7, 8]), [None; 3]);
        assert_eq!(held(second, &[8, 9]), [None; 2]);
    }
}
