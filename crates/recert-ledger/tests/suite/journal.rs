//! The journal: networks as they are named, entries in order, and what the seal covers.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::common::{codes, header, input, network};
use recert_ledger::{
    Answered, Certificate, Claim, Evidence, FileHash, HeaderRecord, Images, InputsHash,
    JournalEvent, Ledger, NetworkName, Parameters, Positions, Seal, Series, Stream, hex,
};

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap().as_secs()
}

fn named(ledger: &Ledger, id: usize) -> (Vec<NetworkName>, Vec<Answered>, u64) {
    let entry = &ledger.journal().unwrap()[id - 1];
    assert_eq!(entry.id, id as u64);
    match &entry.event {
        JournalEvent::Named {
            networks,
            answered,
            fresh,
        } => (networks.clone(), answered.clone(), *fresh),
        other => panic!("{other:?}"),
    }
}

#[test]
fn networks_are_named_once_with_the_answers_of_that_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.recert");
    let before = now();
    let ledger = Ledger::create(&path, &header()).unwrap();
    let name = |byte| NetworkName::new(&network(byte));
    assert_eq!(named(&ledger, 1), (vec![name(7)], vec![], 0));
    ledger.add_input(&input(0)).unwrap();
    let series = |network, stream| Series {
        network,
        idx: 0,
        stream: Stream(stream),
    };
    let f = ledger.base();
    ledger
        .put_answers(series(f, 1), 0, &codes(0, 50), 3, 9)
        .unwrap();

    let numbers = ledger.name_networks(&[network(1), network(2)]).unwrap();
    let answered = |byte, answers| Answered {
        network: name(byte),
        answers,
    };
    let of_f = answered(7, 50);
    assert_eq!(
        named(&ledger, 3),
        (vec![name(1), name(2)], vec![of_f.clone()], 0)
    );
    ledger
        .put_chosen(series(numbers[0], 1), &[3, 9], &codes(0, 2), 3, 1)
        .unwrap();
    ledger
        .put_chosen(series(numbers[1], 2), &[0, 11], &codes(0, 2), 3, 1)
        .unwrap();
    ledger
        .put_answers(series(numbers[0], 2), 0, &codes(0, 5), 3, 1)
        .unwrap();

    // A network that is known is not named again.
    let again = ledger.name_networks(&[network(2), network(1)]).unwrap();
    assert_eq!(again, [numbers[1], numbers[0]]);
    assert_eq!(ledger.journal().unwrap().len(), 3);
    ledger.name_networks(&[network(3), network(1)]).unwrap();
    let all = vec![of_f, answered(1, 7), answered(2, 2)];
    assert_eq!(named(&ledger, 4), (vec![name(3)], all, 12));
    ledger.add_network(&network(4)).unwrap();
    assert_eq!(named(&ledger, 5).0, [name(4)]);
    let seconds = ledger.journal().unwrap().into_iter().map(|e| e.seconds);
    assert!(seconds.is_sorted_by(|a, b| a <= b));
    assert!((before..=now()).contains(&ledger.journal().unwrap()[0].seconds));
}

#[test]
fn entries_are_sealed_and_outlive_their_network() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.recert");
    let ledger = Ledger::create(&path, &header()).unwrap();
    let h = ledger.add_network(&network(1)).unwrap();
    let held = JournalEvent::Held {
        engine: "rten".into(),
        reference: "reference interpreter".into(),
        images: 4,
        largest_difference: 0.5,
        tolerance: 0.75,
        details: "logits".into(),
    };
    assert_eq!(ledger.note(Some(h), &held).unwrap(), 4);
    ledger.close().unwrap();
    let sealed = || Ledger::open_read_only(&path).unwrap().seal().unwrap();
    assert_eq!(sealed(), Seal::Holds);
    let edit = |sql: &str| {
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection
            .pragma_update(None, "foreign_keys", true)
            .unwrap();
        connection.execute_batch(sql).unwrap();
        connection.close().unwrap();
    };
    edit("DELETE FROM network WHERE id = 2");
    let ledger = Ledger::open_read_only(&path).unwrap();
    let entry = ledger.journal().unwrap().pop().unwrap();
    assert_eq!((entry.network, entry.event), (None, held));
    for sql in [
        "UPDATE journal SET seconds = seconds + 1",
        "DELETE FROM journal WHERE id = 3",
    ] {
        edit("DELETE FROM seal");
        Ledger::open(&path).unwrap().close().unwrap();
        assert_eq!(sealed(), Seal::Holds);
        edit(sql);
        assert!(matches!(sealed(), Seal::Broken { .. }), "{sql}");
    }
}

#[test]
fn closing_records_which_inputs_a_claim_has_certificates_of() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.recert");
    let mut ledger = Ledger::create(&path, &header()).unwrap();
    let claim = Arc::new(Claim::new(
        Parameters::Predict {},
        3000,
        0.001,
        Images::Real,
    ));
    let conclude = |ledger: &mut Ledger, idx: u32| {
        ledger.add_input(&input(idx)).unwrap();
        let series = Series {
            network: ledger.base(),
            idx,
            stream: Stream(1),
        };
        let certificate = Certificate {
            idx,
            claim: Arc::clone(&claim),
            class: None,
            radius: 0.0,
            p_lower: None,
            bound: None,
            evidence: Evidence::OneSided {
                class: 3,
                k: 1,
                n: 2,
                invalid: 0,
            },
            evaluations: 2,
            micros: 1,
        };
        ledger.conclude(series, &[certificate]).unwrap();
    };
    let images = |inputs: &[u32]| {
        let images = inputs.iter().map(|&idx| hex(&input(idx).sha256));
        let images: Vec<String> = images.collect();
        FileHash::of_images(images.iter().map(String::as_str))
    };
    let entry = |inputs: &[u32]| JournalEvent::Concluded {
        method: "predict".into(),
        samples: 3000,
        alpha: 0.001,
        parameters: "{}".into(),
        inputs: inputs.len() as u64,
        inputs_sha256: InputsHash::of(inputs),
        positions: Some(Positions::new(inputs)),
        images_sha256: Some(images(inputs)),
        network: Some(NetworkName::new(&header().network)),
    };
    conclude(&mut ledger, 4);
    ledger.close().unwrap();
    // Nothing new, nothing recorded; then one more input.
    Ledger::open(&path).unwrap().close().unwrap();
    let mut ledger = Ledger::open(&path).unwrap();
    conclude(&mut ledger, 1);
    let base = ledger.base();
    ledger.close().unwrap();
    let ledger = Ledger::open_read_only(&path).unwrap();
    let journal = ledger.journal().unwrap();
    let events: Vec<_> = journal
        .into_iter()
        .skip(2)
        .map(|e| (e.network, e.event))
        .collect();
    assert_eq!(
        events,
        [(Some(base), entry(&[4])), (Some(base), entry(&[1, 4]))]
    );
}

#[test]
fn the_header_is_recorded_once_also_in_ledgers_that_began_without() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.recert");
    Ledger::create(&path, &header()).unwrap().close().unwrap();
    let headers = || {
        let ledger = Ledger::open_read_only(&path).unwrap();
        let entries = ledger.journal().unwrap().into_iter();
        let headers = entries.filter(|entry| entry.event.kind() == "header");
        headers.collect::<Vec<_>>()
    };
    let recorded = JournalEvent::Header(HeaderRecord::new(&header()));
    assert_eq!((headers()[0].id, &headers()[0].event), (2, &recorded));
    Ledger::open(&path).unwrap().close().unwrap();
    assert_eq!(headers().len(), 1);
    // A ledger of a version that did not record it.
    let connection = rusqlite::Connection::open(&path).unwrap();
    let without = "DELETE FROM journal WHERE kind = 'header'; DELETE FROM seal";
    connection.execute_batch(without).unwrap();
    connection.close().unwrap();
    Ledger::open(&path).unwrap().close().unwrap();
    assert_eq!(headers()[0].event, recorded);
    let ledger = Ledger::open_read_only(&path).unwrap();
    assert_eq!(ledger.seal().unwrap(), Seal::Holds);
}
