//! Ledgers in which one method proved what another falsified.

use std::path::Path;

use recert::graph::testing::Net;
use recert::job::{self, Data, Network, NetworkConfig, Norm, VerifyMethod, verify};
use recert::ledger::{
    Distance, Effort, Ledger, Specification, Verdict, Verification, VerificationResult,
};

use super::{TWO, data, method, results, write};

/// `y = (x0, x1)` in an engine that computes in float32, or in the file's own numbers.
fn network(folder: &Path, engine: &str) -> Network {
    let net = Net::new(13)
        .input("x", &[-1, 2])
        .floats("w", &[2, 2], &[1.0, 0.0, 0.0, 1.0])
        .node("MatMul", &["x", "w"], "y")
        .output("y", &[-1, 2]);
    let config = NetworkConfig {
        engine: Some(engine.to_owned()),
        ..NetworkConfig::default()
    };
    Network::open(&write(folder, "net.onnx", net), &config, TWO).unwrap()
}

/// Adds that an attack falsified the class of the input within `eps`.
fn falsify(ledger: &Path, l2: bool, eps: (&str, f64), class: u16) {
    let ledger = Ledger::open(ledger).unwrap();
    let distance = Distance {
        eps: eps.0.to_owned(),
        radius: eps.1,
        weights: None,
    };
    let effort = Effort {
        attack_steps: 10,
        attack_starts: 1,
        attack_seed: 0,
        cells: None,
        slope_steps: 0,
        complete: false,
        timeout: None,
        from: None,
    };
    let specification = if l2 {
        Specification::L2(distance)
    } else {
        Specification::Linf(distance)
    };
    let verification = Verification::new(specification, "attack", effort);
    let id = (ledger.add_verification(ledger.base(), &verification)).unwrap();
    let result = VerificationResult {
        idx: Some(0),
        verdict: Verdict::Falsified,
        class: Some(class),
        answer: Some(class),
        margin: None,
        decided_by: "attack".to_owned(),
        branches: 0,
        proof: None,
        counterexample: Some(vec![0.5, 0.5]),
        micros: 1,
    };
    ledger.put_result(id, &result).unwrap();
    ledger.close().unwrap();
}

/// The sentences on two results that contradict one another: those that fail a check, those that
/// it leaves open, and those of a report.
fn said(ledger: &Path) -> [Vec<String>; 3] {
    let is_one = |text: &String| text.contains("one of the two is wrong");
    let checked = job::check(&[ledger.to_owned()], None).unwrap().remove(0);
    let checked = checked.result.unwrap().report;
    let failed = checked.violations.iter().map(ToString::to_string);
    let open = checked.unchecked.iter().map(ToString::to_string);
    let reported = job::report(&[ledger.to_owned()], "results").unwrap();
    [
        failed.filter(is_one).collect(),
        open.filter(is_one).collect(),
        reported.report.notes.into_iter().filter(is_one).collect(),
    ]
}

fn verified(ledger: &Path, network: &Network, data: &Data) {
    let eps = "1/8".parse().unwrap();
    let config = method(VerifyMethod::Crown);
    let job = verify(Some(ledger), &config, (Norm::Linf, &eps), data, network).unwrap();
    assert_eq!(results(job)[0].verdict, Verdict::Verified);
}

#[test]
fn what_one_method_proved_another_cannot_falsify() {
    let folder = tempfile::tempdir().unwrap();
    let (exact, near) = (0.25, 2.0_f64.powi(-12));
    for (number, (engine, gap, eps, l2, class, fails)) in [
        // The margin is the gap less twice 1/8.
        ("rten", 0.25 + exact, ("1/8", 0.125), false, 0, Some(true)),
        ("rten", 0.25 + exact, ("1/16", 0.0625), false, 0, Some(true)),
        // A ball in the box.
        ("rten", 0.25 + exact, ("1/8", 0.125), true, 0, Some(true)),
        // What rounding may explain is left open: a small margin, and other numbers.
        ("rten", 0.25 + near, ("1/8", 0.125), false, 0, Some(false)),
        (
            "reference",
            0.25 + exact,
            ("1/8", 0.125),
            false,
            0,
            Some(false),
        ),
        // Further away, and another class to hold.
        ("rten", 0.25 + exact, ("1/4", 0.25), false, 0, None),
        ("rten", 0.25 + exact, ("1/8", 0.125), false, 1, None),
    ]
    .into_iter()
    .enumerate()
    {
        let case = format!("{engine} {gap} {eps:?} {l2} {class}");
        let ledger = folder.path().join(format!("{number}.recert"));
        let network = network(folder.path(), engine);
        verified(&ledger, &network, &data(&[0.25 + gap as f32, 0.25], None));
        assert_eq!(said(&ledger), [[""; 0]; 3], "{case}");
        falsify(&ledger, l2, eps, class);
        let [failed, open, reported] = said(&ledger);
        let counts = (failed.len(), open.len(), reported.len());
        let expected = match fails {
            Some(true) => (1, 0, 1),
            Some(false) => (0, 1, 1),
            None => (0, 0, 0),
        };
        assert_eq!(counts, expected, "{case}: {failed:?} {open:?} {reported:?}");
        for text in failed.iter().chain(&open).chain(&reported) {
            let words = [
                "net.onnx, input 0: linf 1/8 was verified by crown (margin at least 0.",
                " falsified by attack",
            ];
            assert!(words.iter().all(|part| text.contains(part)), "{text}");
            assert_eq!(text.contains("rounding"), fails == Some(false), "{text}");
        }
    }
}
