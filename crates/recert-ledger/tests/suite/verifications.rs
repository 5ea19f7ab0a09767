//! Verifications by bounds: recorded, resumed, and beside a smoothing run.

use std::path::Path;

use crate::common::{header, input, network};
use recert_ledger::{
    Distance, Effort, ErrorKind, FileHash, Header, JournalEvent, Ledger, NeuronBounds, Proof,
    ProofLayer, Seal, Specification, Task, Verdict, Verification, VerificationResult,
};

fn begun() -> Header {
    Header::without_noise(network(7), "made here", [3, 32, 32])
}

fn verification(eps: &str) -> Verification {
    let radius = 2.0 / 255.0;
    let distance = Distance {
        eps: eps.to_owned(),
        radius,
        weights: None,
    };
    let effort = Effort {
        attack_steps: 40,
        attack_starts: 2,
        attack_seed: 0,
        cells: None,
        slope_steps: 20,
        complete: true,
        timeout: Some(60.0),
        from: None,
    };
    Verification::new(Specification::Linf(distance), "cascade", effort)
}

fn verified(idx: u32) -> VerificationResult {
    let bounds = vec![
        NeuronBounds::ACTIVE,
        NeuronBounds {
            lower: -0.1,
            upper: 0.3,
        },
    ];
    let layer = ProofLayer {
        activation: 0,
        bounds,
    };
    let proof = Proof {
        layers: vec![layer],
        ..Proof::default()
    };
    VerificationResult {
        idx: Some(idx),
        verdict: Verdict::Verified,
        class: Some(3),
        answer: Some(3),
        margin: Some(0.1 + 0.2),
        decided_by: "crown".into(),
        branches: 0,
        proof: Some(proof.encode()),
        counterexample: None,
        micros: 1234,
    }
}

fn falsified(idx: u32) -> VerificationResult {
    VerificationResult {
        verdict: Verdict::Falsified,
        margin: Some(-1.5),
        decided_by: "attack".into(),
        proof: None,
        counterexample: Some(vec![0.1, f32::MIN_POSITIVE, 1.0]),
        ..verified(idx)
    }
}

/// A closed ledger with two results.
fn make(path: &Path) {
    let ledger = Ledger::resume_verification(path, &begun()).unwrap();
    ledger.add_input(&input(0)).unwrap();
    ledger.add_input(&input(1)).unwrap();
    let id = ledger
        .add_verification(ledger.base(), &verification("2/255"))
        .unwrap();
    ledger.put_result(id, &verified(0)).unwrap();
    ledger.put_result(id, &falsified(1)).unwrap();
    ledger.close().unwrap();
}

#[test]
fn results_come_back_as_they_were_and_are_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bounds.recert");
    make(&path);
    let ledger = Ledger::open_read_only(&path).unwrap();
    assert_eq!(ledger.seal().unwrap(), Seal::Holds);
    assert_eq!(ledger.faults().unwrap(), []);
    assert_eq!(ledger.header(), &begun());
    let found = ledger.verifications().unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].1, ledger.base());
    assert_eq!(found[0].2, verification("2/255"));
    let results = ledger.results(found[0].0).unwrap();
    assert_eq!(results, [verified(0), falsified(1)]);
    let proof = results[0].decoded_proof().unwrap().unwrap();
    assert_eq!(proof.layers[0].bounds.len(), 2);
    drop(ledger);

    let ledger = Ledger::resume_verification(&path, &begun()).unwrap();
    let base = ledger.base();
    let same = ledger.add_verification(base, &verification("2/255"));
    let same = same.unwrap();
    assert_eq!(ledger.verified_inputs(same).unwrap(), [Some(0), Some(1)]);
    // The first result of an input stays.
    let other = VerificationResult {
        margin: Some(9.0),
        ..verified(0)
    };
    ledger.put_result(same, &other).unwrap();
    assert_eq!(ledger.results(same).unwrap()[0], verified(0));
    let other = ledger.add_verification(base, &verification("8/255"));
    assert_eq!(ledger.verified_inputs(other.unwrap()).unwrap(), []);
}

#[test]
fn a_vnnlib_file_has_one_result_without_an_input() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bounds.recert");
    let ledger = Ledger::resume_verification(&path, &begun()).unwrap();
    let specification = Specification::Vnnlib {
        file: "prop_1.vnnlib".into(),
        sha256: FileHash([9; 32]),
    };
    let Verification { method, effort, .. } = verification("0");
    let verification = Verification::new(specification, &method, effort);
    let id = ledger
        .add_verification(ledger.base(), &verification)
        .unwrap();
    let result = VerificationResult {
        idx: None,
        class: None,
        answer: None,
        ..verified(0)
    };
    ledger.put_result(id, &result).unwrap();
    let second = VerificationResult {
        margin: Some(0.5),
        ..result.clone()
    };
    ledger.put_result(id, &second).unwrap();
    assert_eq!(ledger.results(id).unwrap(), [result]);
    assert_eq!(ledger.verified_inputs(id).unwrap(), [None]);
    assert_eq!(ledger.verifications().unwrap()[0].2, verification);
}

#[test]
fn a_verdict_that_contradicts_its_margin_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bounds.recert");
    let ledger = Ledger::resume_verification(&path, &begun()).unwrap();
    ledger.add_input(&input(0)).unwrap();
    let id = ledger.add_verification(ledger.base(), &verification("2/255"));
    let id = id.unwrap();
    let with = |verdict, margin| VerificationResult {
        verdict,
        margin,
        ..verified(0)
    };
    for result in [
        with(Verdict::Verified, None),
        with(Verdict::Verified, Some(0.0)),
        with(Verdict::Verified, Some(f64::NAN)),
        with(Verdict::Falsified, Some(0.5)),
        with(Verdict::Unknown, Some(f64::NAN)),
    ] {
        let error = ledger.put_result(id, &result).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed, "{result:?}");
    }
    assert_eq!(ledger.results(id).unwrap(), []);
}

#[test]
fn a_ledger_of_verifications_becomes_that_of_a_smoothing_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bounds.recert");
    make(&path);
    // Of other images it is another ledger's business.
    let other = Header {
        shape: [1, 28, 28],
        ..header()
    };
    let error = Ledger::resume(&path, &other).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Mismatch, "{error}");
    assert_eq!(Ledger::open_read_only(&path).unwrap().header(), &begun());

    // The smoothing run may be of another network than was verified first.
    let smoothed = Header {
        network: network(8),
        ..header()
    };
    let ledger = Ledger::resume(&path, &smoothed).unwrap();
    assert_eq!(ledger.header(), &smoothed);
    ledger.close().unwrap();
    let ledger = Ledger::open_read_only(&path).unwrap();
    assert_eq!(ledger.header(), &smoothed);
    assert_eq!(ledger.networks().unwrap().len(), 2);
    assert_ne!(ledger.verifications().unwrap()[0].1, ledger.base());
    assert_eq!(ledger.seal().unwrap(), Seal::Holds);
    drop(ledger);
    // From then on it is that run's.
    let another = Header {
        sigma: 7.0,
        ..smoothed.clone()
    };
    let error = Ledger::resume(&path, &another).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Mismatch, "{error}");
    // And takes verifications as before.
    let ledger = Ledger::resume_verification(&path, &begun()).unwrap();
    assert_eq!(ledger.header().task, Task::Certify);
    assert_eq!(ledger.verifications().unwrap().len(), 1);
}

#[test]
fn a_network_that_is_forgotten_leaves_no_verification() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bounds.recert");
    make(&path);
    let ledger = Ledger::open(&path).unwrap();
    let h = ledger.add_network(&network(9)).unwrap();
    let id = ledger.add_verification(h, &verification("2/255")).unwrap();
    ledger.put_result(id, &falsified(1)).unwrap();
    let forgotten = ledger.forget_network(h).unwrap();
    assert_eq!((forgotten.claims, forgotten.certificates), (1, 1));
    assert_eq!(ledger.verifications().unwrap().len(), 1);
    let journal = ledger.journal().unwrap();
    let JournalEvent::Forgotten { claims, .. } = &journal.last().unwrap().event else {
        panic!("{journal:?}");
    };
    assert_eq!(claims[0].method, "linf cascade");
    assert!(claims[0].parameters.contains("2/255"));
}

#[test]
fn statements_name_families_and_what_they_are_conditional_on() {
    use recert_ledger::{FileHash, KnownUse, Origin};

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bounds.recert");
    let plain = verification("2/255");
    let Specification::Linf(distance) = plain.specification.clone() else {
        panic!("{plain:?}");
    };
    let family = Specification::Linf(Distance {
        weights: Some("int8".into()),
        ..distance
    });
    let from = |bounds| Effort {
        from: Some(Origin {
            bounds,
            network: FileHash([7; 32]),
        }),
        ..plain.effort.clone()
    };
    let family = Verification::new(family, "cascade", plain.effort.clone());
    let assumed = Verification::new(
        plain.specification.clone(),
        "transfer",
        from(KnownUse::Assumed),
    );
    let unused = Verification::new(
        plain.specification.clone(),
        "transfer",
        from(KnownUse::Unused),
    );
    assert!(
        family
            .statement
            .contains("by every network whose weights are within int8 of those")
    );
    assert_eq!(
        family.specification.to_string(),
        "linf 2/255, weights within int8"
    );
    let (condition, rest) = ("if the bounds that this ledger records", "07".repeat(32));
    assert!(assumed.statement.contains(condition) && assumed.statement.contains(&rest));
    assert_eq!(unused.statement, plain.statement);
    let ledger = Ledger::resume_verification(&path, &begun()).unwrap();
    let all = [plain, family, assumed, unused];
    for one in &all {
        ledger.add_verification(ledger.base(), one).unwrap();
    }
    let read = ledger.verifications().unwrap().into_iter();
    let read: Vec<Verification> = read.map(|(_, _, one)| one).collect();
    assert_eq!(read, all);
}
