//! Transformations of images.

use std::time::Duration;

use recert::Field;
use recert::graph::testing::Net;
use recert::job::{
    self, NetworkConfig, Verdict, VerificationResult, VerifyConfig, VerifyMethod,
    verify_transformed,
};
use recert::ledger::{CellMethod, Ledger};

use super::{data, linear, method, open, results};

/// The methods that bound cells, and by what each verdict is decided then.
const CELLS: [(VerifyMethod, &str); 3] = [
    (VerifyMethod::Cascade, "forward"),
    (VerifyMethod::Ibp, "ibp"),
    (VerifyMethod::Crown, "crown"),
];

#[test]
fn transformations_have_the_margins_computed_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let network = linear(
        folder.path(),
        &[1.0, 0.0, 0.0, 1.0],
        NetworkConfig::default(),
    );
    let data = data(&[0.75, 0.25], Some(vec![0]));
    // The margin is x0 - x1. Moved by t to the right, the pixels are 0.75 (1 - t) and 0.25 + 0.5 t.
    for (steps, margin) in [
        ("translate-x=0..0.25", 0.5 - 1.25 * 0.25),
        ("brightness=-0.25..0.25", 0.5),
        ("contrast=0.5..1", 0.25),
        (
            "translate-x=0..0.25,contrast=0.5",
            0.5 * (0.5 - 1.25 * 0.25),
        ),
    ] {
        let transformation = steps.parse().unwrap();
        for (by, name) in CELLS {
            let config = method(by);
            let job = verify_transformed(None, &config, &transformation, &data, &network);
            let found = &results(job.unwrap())[0];
            assert_eq!(found.verdict, Verdict::Verified, "{steps} {by:?}");
            assert_eq!(found.decided_by, name, "{steps} {by:?}");
            let proved = found.margin.unwrap();
            assert!(0.0 < proved && proved <= margin, "{steps} {by:?} {proved}");
            let proof = found.decoded_transform_proof().unwrap().unwrap();
            assert_eq!(proof.parameters, None);
            let least = proof.cells.iter().map(|cell| cell.margin);
            assert_eq!(least.fold(f64::INFINITY, f64::min), proved);
            let first = proof.cells[0].method;
            assert_eq!(first == CellMethod::Ibp, by == VerifyMethod::Ibp);
            assert!(found.branches >= proof.cells.len() as u64);
        }
    }
    // The forward bounds lose nothing where pixels are linear in the parameter.
    let transformation = "brightness=-0.2..0.2".parse().unwrap();
    let config = VerifyConfig::default();
    let job = verify_transformed(None, &config, &transformation, &data, &network).unwrap();
    let margin = results(job)[0].margin.unwrap();
    assert!((0.5 - margin).abs() < 1e-9, "{margin}");
}

#[test]
fn a_transformed_image_is_falsified_by_the_engine_alone() {
    let folder = tempfile::tempdir().unwrap();
    let identity = [1.0, 0.0, 0.0, 1.0];
    let network = linear(folder.path(), &identity, NetworkConfig::default());
    let images = data(&[0.75, 0.25], None);
    // From t = 0.4 on the margin 0.5 - 1.25 t is not above 0.
    let transformation = "translate-x=0..0.5".parse().unwrap();
    for by in [VerifyMethod::Cascade, VerifyMethod::Attack] {
        let config = method(by);
        let job = verify_transformed(None, &config, &transformation, &images, &network);
        let found = &results(job.unwrap())[0];
        assert_eq!(found.verdict, Verdict::Falsified, "{by:?}");
        assert_eq!(found.decided_by, "attack");
        let proof = found.decoded_transform_proof().unwrap().unwrap();
        let [t] = proof.parameters.unwrap()[..] else {
            panic!("there is one parameter");
        };
        assert!(t > 0.4 && t <= 0.5, "{t}");
        let made = [(0.75 * (1.0 - t)) as f32, (0.25 + 0.5 * t) as f32];
        let point = found.counterexample.as_ref().unwrap();
        for (x, y) in point.iter().zip(made) {
            assert!((x - y).abs() < 1e-6, "{point:?} is not {made:?}");
        }
        assert!(point[1] > point[0]);
    }
    // An attack proves nothing.
    let harmless = "brightness=0..0.1".parse().unwrap();
    let attack = method(VerifyMethod::Attack);
    let job = verify_transformed(None, &attack, &harmless, &images, &network).unwrap();
    assert_eq!(results(job)[0].verdict, Verdict::Unknown);

    // On real numbers class 1 has 1e-9 more; in float32 both are the same, and class 0 is answered.
    let net = Net::new(13)
        .input("x", &[-1, 2])
        .floats("w", &[2, 2], &identity)
        .floats("b", &[2], &[0.0, 1e-9])
        .node("Gemm", &["x", "w", "b"], "y")
        .output("y", &[-1, 2]);
    let network = open(folder.path(), net, NetworkConfig::default());
    let equal = data(&[0.5, 0.5], None);
    let job = verify_transformed(
        None,
        &method(VerifyMethod::Cascade),
        &harmless,
        &equal,
        &network,
    );
    let found = &results(job.unwrap())[0];
    assert_eq!(found.answer, Some(0));
    assert_eq!(found.verdict, Verdict::Unknown, "{found:?}");
    assert_eq!((&found.proof, &found.counterexample), (&None, &None));
}

#[test]
fn transformations_come_before_normalisation() {
    let folder = tempfile::tempdir().unwrap();
    let config = NetworkConfig {
        mean: vec![0.5],
        std: vec![0.125],
        scale: Some(2.0),
        ..NetworkConfig::default()
    };
    let network = linear(folder.path(), &[1.0, 0.0, 0.0, 1.0], config);
    let data = data(&[0.75, 0.25], None);
    let transformation = "contrast=0.5..1".parse().unwrap();
    let config = VerifyConfig::default();
    let job = verify_transformed(None, &config, &transformation, &data, &network).unwrap();
    let margin = results(job)[0].margin.unwrap();
    // 2 (x - 0.5) / 0.125 is 16 times as steep, and half the contrast halves that.
    assert!(margin <= 4.0 && margin > 3.999, "{margin}");
}

#[test]
fn cells_are_kept_resumed_and_checked() {
    type Change<'a> = &'a dyn Fn(&mut VerificationResult);
    let folder = tempfile::tempdir().unwrap();
    let network = linear(
        folder.path(),
        &[1.0, 0.0, 0.0, 1.0],
        NetworkConfig::default(),
    );
    let data = data(&[0.75, 0.25, 0.2, 0.9, 0.5, 0.45], Some(vec![0, 1, 0]));
    let ledger = folder.path().join("turned.recert");
    let transformation = "translate-x=0..0.3,scale=0.99..1.01".parse().unwrap();
    let mut config = VerifyConfig::default();
    config.subset.limit = Some(1);
    let run = |config: &VerifyConfig| {
        let path = Some(ledger.as_path());
        results(verify_transformed(path, config, &transformation, &data, &network).unwrap())
    };
    let first = run(&config);
    config.subset.limit = None;
    let all = run(&config);
    assert_eq!(all[..1], first);
    let verdicts: Vec<_> = all.iter().map(|result| result.verdict).collect();
    assert_eq!(verdicts[0], Verdict::Verified);
    assert_eq!(verdicts[2], Verdict::Falsified);
    // Another effort is another verification.
    config.cells = 1;
    assert_eq!(run(&config).len(), 3);
    let checked = job::check(std::slice::from_ref(&ledger), None).unwrap();
    assert_eq!(checked[0].wrong(), 0, "{checked:?}");
    let opened = Ledger::open_read_only(&ledger).unwrap();
    assert_eq!(opened.verifications().unwrap().len(), 2);
    let header = opened.header().clone();
    let (_, _, verification) = opened.verifications().unwrap().remove(0);
    let input = opened.inputs().unwrap().remove(0);
    drop(opened);

    // Whatever the cells do not show is found, sealed or not.
    let forge = |name: &str, change: Change<'_>| {
        let path = folder.path().join(name);
        let forged = Ledger::resume_verification(&path, &header).unwrap();
        let mut result = first[0].clone();
        change(&mut result);
        forged.add_input(&input).unwrap();
        let id = forged
            .add_verification(forged.base(), &verification)
            .unwrap();
        forged.put_result(id, &result).unwrap();
        forged.close().unwrap();
        job::check(&[path], None).unwrap()[0].wrong()
    };
    let decoded = |result: &VerificationResult| result.decoded_transform_proof().unwrap().unwrap();
    assert_eq!(forge("same", &|_| ()), 0);
    let falsify = |result: &mut VerificationResult| {
        result.verdict = Verdict::Falsified;
        result.margin = None;
        result.counterexample = Some(vec![0.5; 2]);
    };
    let changes: [(&str, Change<'_>); 6] = [
        ("none", &|result| result.proof = None),
        ("less", &|result| {
            let mut proof = decoded(result);
            let end = &mut proof.cells[0].ends[0][1];
            *end = end.next_down();
            result.proof = Some(proof.encode());
        }),
        ("larger", &|result| {
            result.margin = result.margin.map(f64::next_up);
        }),
        ("zero", &|result| {
            let mut proof = decoded(result);
            proof.cells[0].margin = 0.0;
            result.margin = Some(0.0);
            result.proof = Some(proof.encode());
        }),
        ("other", &falsify),
        ("outside", &|result| {
            falsify(result);
            let mut proof = decoded(result);
            proof.cells.clear();
            proof.parameters = Some(vec![0.31, 1.0]);
            result.proof = Some(proof.encode());
        }),
    ];
    for (name, change) in changes {
        assert_ne!(forge(name, change), 0, "{name}");
    }
}

#[test]
fn what_does_not_cut_parameters_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let network = linear(
        folder.path(),
        &[1.0, 0.0, 0.0, 1.0],
        NetworkConfig::default(),
    );
    let data = data(&[0.75, 0.25], None);
    let transformation = "brightness=0..0.1".parse().unwrap();
    let timeout = Some(Duration::from_secs(9));
    let usual = || VerifyConfig {
        timeout,
        ..VerifyConfig::default()
    };
    let complete = VerifyConfig {
        complete: true,
        ..usual()
    };
    let none = VerifyConfig {
        cells: 0,
        ..usual()
    };
    for (config, field) in [
        (complete, Field::Complete),
        (method(VerifyMethod::AlphaCrown), Field::Method),
        (method(VerifyMethod::BranchAndBound), Field::Method),
        (none, Field::Cells),
    ] {
        let job = verify_transformed(None, &config, &transformation, &data, &network);
        assert_eq!(job.err().unwrap().field(), Some(field), "{config:?}");
    }
}
