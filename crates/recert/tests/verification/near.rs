//! Distances: margins, verdicts, what a ledger keeps, and what is refused.

use std::time::Duration;

use recert::graph::testing::Net;
use recert::job::{self, NetworkConfig, Norm, Verdict, VerifyConfig, VerifyMethod, verify};
use recert::ledger::{Ledger, Seal};
use recert::{ErrorKind, Field};

use super::{BOUNDS, data, kinked, linear, method, open, results};

#[test]
fn margins_are_those_computed_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let network = linear(
        folder.path(),
        &[1.0, 0.0, 0.0, 1.0],
        NetworkConfig::default(),
    );
    let data = data(&[0.75, 0.25], Some(vec![0]));
    for by in BOUNDS {
        // The margin is x0 - x1: 0.5 less twice the distance, or less its diagonal.
        for (norm, eps, margin) in [
            (Norm::Linf, "0.125", 0.25),
            (Norm::Linf, "1/8", 0.25),
            (Norm::L2, "0.25", 0.5 - 0.25 * 2_f64.sqrt()),
        ] {
            if (norm, by) == (Norm::L2, VerifyMethod::Ibp) {
                // Intervals know no ball but its box.
                continue;
            }
            let eps = eps.parse().unwrap();
            let job = verify(None, &method(by), (norm, &eps), &data, &network).unwrap();
            let found = &results(job)[0];
            assert_eq!(found.verdict, Verdict::Verified, "{by:?}");
            let below = margin - found.margin.unwrap();
            assert!((-1e-16..1e-12).contains(&below), "{by:?} {norm:?} {below}");
            let proof = found.decoded_proof().unwrap();
            assert_eq!(proof.is_some(), found.decided_by != "ibp", "{by:?}");
        }
        // At a distance of 0.25 both are equal somewhere, so that nothing is proved; the engine
        // breaks ties towards class 0, so that nothing is refuted either.
        let eps = "0.25".parse().unwrap();
        let job = verify(None, &method(by), (Norm::Linf, &eps), &data, &network).unwrap();
        assert_eq!(results(job)[0].verdict, Verdict::Unknown, "{by:?}");
    }
}

#[test]
fn normalisation_is_part_of_the_network_and_distances_are_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let config = NetworkConfig {
        mean: vec![0.5],
        std: vec![0.125],
        scale: Some(2.0),
        ..NetworkConfig::default()
    };
    let network = linear(folder.path(), &[1.0, 0.0, 0.0, 1.0], config);
    let data = data(&[0.75, 0.25], None);
    let eps = "1/8".parse().unwrap();
    for (norm, least) in [
        (Norm::Linf, 4.0),
        (Norm::L2, 16.0 * (0.5 - 0.125 * 2_f64.sqrt())),
    ] {
        let config = method(VerifyMethod::Crown);
        let job = verify(None, &config, (norm, &eps), &data, &network).unwrap();
        let found = &results(job)[0];
        // 2 (x - 0.5) / 0.125 is 16 times as steep.
        let margin = found.margin.unwrap();
        assert!(margin <= least && margin >= least - 1e-9, "{margin}");
        // Without a label the network's own answer is to hold.
        assert_eq!((found.class, found.verdict), (Some(0), Verdict::Verified));
    }
}

#[test]
fn boxes_are_cut_to_pixels_that_there_can_be() {
    let folder = tempfile::tempdir().unwrap();
    // The margin is x0, which cannot be below 0.
    let network = linear(
        folder.path(),
        &[1.0, 1.0, 0.0, 1.0],
        NetworkConfig::default(),
    );
    let data = data(&[0.9, 0.5], None);
    let eps = "0.95".parse().unwrap();
    let config = method(VerifyMethod::Crown);
    let job = verify(None, &config, (Norm::Linf, &eps), &data, &network).unwrap();
    let margin = results(job)[0].margin.unwrap();
    assert!((-1e-9..=0.0).contains(&margin), "{margin}");
}

#[test]
fn wrong_answers_and_counterexamples_are_the_engines() {
    let folder = tempfile::tempdir().unwrap();
    let network = linear(
        folder.path(),
        &[1.0, 0.0, 0.0, 1.0],
        NetworkConfig::default(),
    );
    let data = data(&[0.75, 0.25, 0.55, 0.45, 0.75, 0.25], Some(vec![0, 0, 1]));
    let eps = "0.1".parse().unwrap();
    let config = VerifyConfig::default();
    let job = verify(None, &config, (Norm::Linf, &eps), &data, &network).unwrap();
    let found = results(job);
    let verdicts: Vec<_> = found.iter().map(|result| result.verdict).collect();
    assert_eq!(
        verdicts,
        [Verdict::Verified, Verdict::Falsified, Verdict::Falsified]
    );
    // Of the second a counterexample was found, and it lies within exactly 0.1.
    let point = found[1].counterexample.as_ref().unwrap();
    assert_eq!(found[1].decided_by, "attack");
    let image = [0.55_f32, 0.45];
    for (x, y) in point.iter().zip(image) {
        assert!((f64::from(*x) - f64::from(y)).abs() <= 0.1);
    }
    assert!(point[1] > point[0]);
    // The third is answered wrongly as it is.
    assert_eq!(
        (found[2].decided_by.as_str(), found[2].answer),
        ("answer", Some(0))
    );
    assert_eq!(found[2].counterexample, None);
}

#[test]
fn branch_and_bound_decides_what_bounds_leave_open() {
    let folder = tempfile::tempdir().unwrap();
    let data = data(&[0.55, 0.5], None);
    let eps = "0.4".parse().unwrap();
    let specification = (Norm::Linf, &eps);
    let by = method(VerifyMethod::BranchAndBound);
    let network = kinked(folder.path(), 0.1);
    let job = verify(None, &by, specification, &data, &network).unwrap();
    let found = &results(job)[0];
    assert_eq!(found.verdict, Verdict::Verified, "{found:?}");
    let margin = found.margin.unwrap();
    assert!(margin > 0.0 && margin <= 0.1_f32.into(), "{margin}");
    let proof = found.decoded_proof().unwrap().unwrap();
    assert_eq!(proof.layers.len(), 1);
    assert!(!proof.leaves.is_empty());
    // Where the kink is below 0 the network answers otherwise there, without an attack.
    let network = kinked(folder.path(), -0.04);
    let job = verify(None, &by, specification, &data, &network).unwrap();
    let found = &results(job)[0];
    assert_eq!(found.verdict, Verdict::Falsified, "{found:?}");
    let point = found.counterexample.as_ref().unwrap();
    assert!((point[0] - 0.5).abs() < 0.04, "{point:?}");
}

#[test]
fn results_are_kept_resumed_and_sealed() {
    let folder = tempfile::tempdir().unwrap();
    let network = linear(
        folder.path(),
        &[1.0, 0.0, 0.0, 1.0],
        NetworkConfig::default(),
    );
    let data = data(&[0.75, 0.25, 0.2, 0.9, 0.5, 0.1], Some(vec![0, 1, 0]));
    let ledger = folder.path().join("bounds.recert");
    let eps = "0.1".parse().unwrap();
    let mut config = method(VerifyMethod::Crown);
    config.subset.limit = Some(2);
    let job = verify(Some(&ledger), &config, (Norm::Linf, &eps), &data, &network).unwrap();
    let first = results(job);
    config.subset.limit = None;
    config.run.threads = Some(3);
    let job = verify(Some(&ledger), &config, (Norm::Linf, &eps), &data, &network).unwrap();
    let all = results(job);
    // Those that the ledger had are the very same, times included.
    assert_eq!(all[..2], first);
    let opened = Ledger::open_read_only(&ledger).unwrap();
    assert_eq!(opened.seal().unwrap(), Seal::Holds);
    let verifications = opened.verifications().unwrap();
    assert_eq!(verifications.len(), 1);
    assert_eq!(opened.results(verifications[0].0).unwrap(), all);
    drop(opened);
    let checked = job::check(std::slice::from_ref(&ledger), None).unwrap();
    assert_eq!(checked[0].wrong(), 0, "{checked:?}");
    let reported = job::report(&[ledger], "Bounds").unwrap();
    assert_eq!(reported.report.verifications[0].rows.len(), 3);
}

#[test]
fn an_operator_without_bounds_is_named_before_anything_runs() {
    let folder = tempfile::tempdir().unwrap();
    let net = Net::new(13)
        .input("x", &[-1, 2])
        .node("Sin", &["x"], "y")
        .output("y", &[-1, 2]);
    let network = open(folder.path(), net, NetworkConfig::default());
    let data = data(&[0.75, 0.25], None);
    let ledger = folder.path().join("bounds.recert");
    let eps = "0.1".parse().unwrap();
    let config = VerifyConfig::default();
    let job = verify(Some(&ledger), &config, (Norm::Linf, &eps), &data, &network);
    let error = job.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Engine, "{error}");
    for word in ["net.onnx", "make_y", "Sin"] {
        assert!(error.to_string().contains(word), "{error}");
    }
    assert!(!ledger.exists());
}

#[test]
fn configurations_that_contradict_themselves_are_refused() {
    let refused = |config: VerifyConfig, field: Field| {
        assert_eq!(
            config.validate().unwrap_err().field(),
            Some(field),
            "{config:?}"
        );
    };
    let usual = VerifyConfig::default;
    let complete = || VerifyConfig {
        complete: true,
        ..usual()
    };
    usual().validate().unwrap();
    refused(complete(), Field::Timeout);
    let timeout = Some(Duration::ZERO);
    refused(VerifyConfig { timeout, ..usual() }, Field::Timeout);
    let timeout = Some(Duration::from_secs(9));
    VerifyConfig {
        timeout,
        ..complete()
    }
    .validate()
    .unwrap();
    let method = VerifyMethod::Ibp;
    refused(
        VerifyConfig {
            method,
            timeout,
            ..complete()
        },
        Field::Method,
    );
    refused(
        VerifyConfig {
            memory: 0,
            ..usual()
        },
        Field::Memory,
    );
}
