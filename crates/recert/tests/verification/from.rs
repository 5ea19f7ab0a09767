//! Modified networks, from what a ledger holds of the original; families of networks.

use std::path::Path;
use std::time::Duration;

use recert::bounds::Within;
use recert::graph::testing::Net;
use recert::job::{
    self, Data, Event, NetworkConfig, Norm, Outcome, Reverification, Saved, Verdict,
    VerificationResult, VerifyConfig, VerifyMethod, verify,
};
use recert::ledger::{KnownUse, Ledger, Proof};
use recert::{ErrorKind, Field};

use super::{TWO, data, kinked, kinked_net, linear, method, results, write};

/// The ledger of the network with a kink, verified by a method at a distance, and the data.
fn verified_kink(folder: &Path, by: VerifyMethod, eps: &str) -> (std::path::PathBuf, Data) {
    let data = data(&[0.55, 0.5, 0.9, 0.5], None);
    let network = kinked(folder, 0.1);
    let ledger = folder.join("bounds.recert");
    let eps = eps.parse().unwrap();
    let specification = (Norm::Linf, &eps);
    let config = VerifyConfig {
        slope_steps: 0,
        ..method(by)
    };
    results(verify(Some(&ledger), &config, specification, &data, &network).unwrap());
    (ledger, data)
}

/// Results from a ledger, and what they cost.
fn from_ledger(
    (ledger, data): (&Path, &Data),
    config: &VerifyConfig,
    modified: &Path,
    original: Option<&Path>,
) -> recert::Result<(Vec<VerificationResult>, Option<Saved>)> {
    let from = Reverification::open(ledger, None, None)?;
    let network = from.network(modified, &NetworkConfig::default(), data)?;
    let original = original.map(|path| from.original(path, data)).transpose()?;
    let job = from.job(config, data, &network, original.as_ref())?;
    let (mut found, mut saved) = (Vec::new(), None);
    let outcome = job.run(&mut |event: Event<'_>| match event {
        Event::Verified { result, .. } => found.push(result.clone()),
        Event::Saved(cost) => saved = Some(cost),
        _ => {}
    })?;
    assert_eq!(outcome, Outcome::Finished);
    found.sort_by_key(|result| result.idx);
    Ok((found, saved))
}

#[test]
fn bounds_of_the_original_are_transferred_under_a_condition_that_is_stated() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, data) = verified_kink(folder.path(), VerifyMethod::Crown, "0.01");
    let modified = write(folder.path(), "modified.onnx", kinked_net(1.001, 0.1));
    let original = folder.path().join("net.onnx");
    let config = VerifyConfig::default();
    let begun = (ledger.as_path(), &data);
    let (found, saved) = from_ledger(begun, &config, &modified, Some(&original)).unwrap();
    assert_eq!(found.len(), 2);
    for result in &found {
        assert_eq!(result.verdict, Verdict::Verified);
        assert_eq!(result.decided_by, "transfer-margins");
        // Around 0.55 the difference is at least 0.1 + 0.04 by the original.
        assert!(result.margin.unwrap() > 0.1);
        assert!(result.decoded_proof().unwrap().unwrap().known.is_some());
    }
    let saved = saved.unwrap();
    assert_eq!((saved.inputs, saved.transferred, saved.rows), (2, 2, 0));
    // Again there is nothing left to do.
    let (again, saved) = from_ledger(begun, &config, &modified, Some(&original)).unwrap();
    assert_eq!((again, saved), (found, None));
    // Without the original's file nothing is assumed.
    let (alone, _) = from_ledger(begun, &config, &modified, None).unwrap();
    assert!(
        alone
            .iter()
            .all(|result| result.verdict == Verdict::Verified)
    );
    assert!(
        alone
            .iter()
            .all(|result| !result.decided_by.starts_with("transfer-"))
    );
    let opened = Ledger::open_read_only(&ledger).unwrap();
    let uses = opened.verifications().unwrap().into_iter();
    let uses: Vec<_> = uses
        .map(|(_, _, one)| {
            let conditional = one
                .statement
                .contains("if the bounds that this ledger records");
            (one.effort.from.map(|from| from.bounds), conditional)
        })
        .collect();
    let expected = [
        (None, false),
        (Some(KnownUse::Assumed), true),
        (Some(KnownUse::Unused), false),
    ];
    assert_eq!(uses, expected);
    drop(opened);
    let checked = job::check(std::slice::from_ref(&ledger), None).unwrap();
    assert_eq!(checked[0].wrong(), 0, "{checked:?}");
}

/// An attack that would go on until the time is up comes behind the bounds that prove an input.
#[test]
fn where_the_original_was_verified_bounds_come_before_the_attack() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, data) = verified_kink(folder.path(), VerifyMethod::Crown, "0.01");
    let modified = write(folder.path(), "modified.onnx", kinked_net(1.001, 0.1));
    let config = VerifyConfig {
        attack_steps: u32::MAX,
        timeout: Some(Duration::from_secs(20)),
        ..VerifyConfig::default()
    };
    let (found, _) = from_ledger((&ledger, &data), &config, &modified, None).unwrap();
    let verdicts: Vec<Verdict> = found.iter().map(|result| result.verdict).collect();
    assert_eq!(verdicts, [Verdict::Verified; 2]);
}

#[test]
fn what_the_original_kept_and_the_modified_network_does_not_is_falsified() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, data) = verified_kink(folder.path(), VerifyMethod::Crown, "0.01");
    // |x - 0.5| - 0.045 is above 0 at 0.55, but not at 0.54.
    let modified = write(folder.path(), "modified.onnx", kinked_net(1.0, -0.045));
    let original = folder.path().join("net.onnx");
    for original in [None, Some(original.as_path())] {
        let config = VerifyConfig::default();
        let (found, _) = from_ledger((&ledger, &data), &config, &modified, original).unwrap();
        assert_eq!(found[0].verdict, Verdict::Falsified);
        assert_eq!(found[0].decided_by, "attack");
        assert_eq!(found[0].margin, None);
        assert!(found[0].counterexample.is_some());
        assert_eq!(found[1].verdict, Verdict::Verified);
    }
    let checked = job::check(std::slice::from_ref(&ledger), None).unwrap();
    assert_eq!(checked[0].wrong(), 0, "{checked:?}");
}

#[test]
fn a_search_begins_with_the_parts_of_the_originals() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, data) = verified_kink(folder.path(), VerifyMethod::BranchAndBound, "0.4");
    let modified = write(folder.path(), "modified.onnx", kinked_net(1.001, 0.1));
    let config = VerifyConfig {
        complete: true,
        timeout: Some(Duration::from_mins(1)),
        slope_steps: 0,
        ..VerifyConfig::default()
    };
    let branches = |results: &[VerificationResult]| -> u64 {
        results.iter().map(|result| result.branches).sum()
    };
    let opened = Ledger::open_read_only(&ledger).unwrap();
    let id = opened.verifications().unwrap()[0].0;
    let originals = opened.results(id).unwrap();
    drop(opened);
    let searched = originals.iter().filter(|result| result.branches > 1);
    assert!(searched.count() > 0, "{originals:?}");
    let begun = (ledger.as_path(), &data);
    let (found, _) = from_ledger(begun, &config, &modified, None).unwrap();
    assert!(
        found
            .iter()
            .all(|result| result.verdict == Verdict::Verified)
    );
    let most = branches(&originals);
    assert!(branches(&found) < most, "{found:?} {originals:?}");
    // Where the modified network is wrong somewhere, that is found.
    let wrong = write(folder.path(), "wrong.onnx", kinked_net(1.001, -0.04));
    let (found, _) = from_ledger(begun, &config, &wrong, None).unwrap();
    assert_eq!(found[0].verdict, Verdict::Falsified, "{found:?}");
}

/// A ledger like another, with the proof of each result changed.
fn forged(ledger: &Path, change: impl Fn(&mut Proof)) -> std::path::PathBuf {
    let known = Ledger::open_read_only(ledger).unwrap();
    let path = ledger.with_extension("forged");
    let _ = std::fs::remove_file(&path);
    let forged = Ledger::resume_verification(&path, known.header()).unwrap();
    let (_, network) = known.networks().unwrap().remove(0);
    let (id, _, verification) = known.verifications().unwrap().remove(0);
    let network = forged.add_network(&network).unwrap();
    let into = forged.add_verification(network, &verification).unwrap();
    for input in known.inputs().unwrap() {
        forged.add_input(&input).unwrap();
    }
    for mut result in known.results(id).unwrap() {
        let mut proof = result.decoded_proof().unwrap().unwrap();
        change(&mut proof);
        result.proof = Some(proof.encode());
        forged.put_result(into, &result).unwrap();
    }
    forged.close().unwrap();
    path
}

#[test]
fn forged_bounds_are_found_or_named_in_the_statement() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, data) = verified_kink(folder.path(), VerifyMethod::Crown, "0.01");
    let original = folder.path().join("net.onnx");
    // A network that is right at the first image, and wrong near it.
    let wrong = write(folder.path(), "wrong.onnx", kinked_net(1.001, -0.045));
    let config = VerifyConfig::default();
    // Larger margins than the image itself has.
    let large = forged(&ledger, |proof| {
        proof.known.as_mut().unwrap().margins.fill(9.0);
    });
    let begun = (large.as_path(), &data);
    let refused = from_ledger(begun, &config, &wrong, Some(&original)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Ledger, "{refused}");
    assert!(refused.to_string().contains("forged"), "{refused}");
    // Slopes and bounds that are not transferred prove nothing, whatever they are.
    let (found, _) = from_ledger(begun, &config, &wrong, None).unwrap();
    assert_eq!(found[0].verdict, Verdict::Falsified);
    // Bounds that no value fits.
    let shifted = forged(&ledger, |proof| {
        let known = proof.known.as_mut().unwrap();
        for bounds in known.stable.iter_mut().flatten() {
            (bounds.lower, bounds.upper) = (bounds.lower + 7.0, bounds.upper + 7.0);
        }
    });
    let begun = (shifted.as_path(), &data);
    let refused = from_ledger(begun, &config, &wrong, Some(&original)).unwrap_err();
    assert!(refused.to_string().contains("no value"), "{refused}");
}

#[test]
fn what_cannot_be_begun_from_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, data) = verified_kink(folder.path(), VerifyMethod::Crown, "0.01");
    let original = folder.path().join("net.onnx");
    let modified = write(folder.path(), "modified.onnx", kinked_net(1.001, 0.1));
    let config = VerifyConfig::default();
    let begun = (ledger.as_path(), &data);
    // The modified network is not the one that was verified.
    let error = from_ledger(begun, &config, &modified, Some(&modified)).unwrap_err();
    assert_eq!(error.field(), Some(Field::Original), "{error}");
    // No transfer to a family.
    let family = VerifyConfig {
        weights_within: Some(Within::Bf16),
        ..config.clone()
    };
    let error = from_ledger(begun, &family, &modified, Some(&original)).unwrap_err();
    assert_eq!(error.field(), Some(Field::Original), "{error}");
    // Other layers.
    let net = Net::new(13)
        .input("x", &[-1, 2])
        .floats("w", &[2, 2], &[1.0, 0.0, 0.0, 1.0])
        .node("MatMul", &["x", "w"], "y")
        .output("y", &[-1, 2]);
    let other = write(folder.path(), "other.onnx", net);
    let error = from_ledger(begun, &config, &other, Some(&original)).unwrap_err();
    assert_eq!(error.field(), Some(Field::Original), "{error}");
    // Another distance than the ledger's.
    let eps = "0.5".parse().unwrap();
    let error = Reverification::open(&ledger, None, Some(&eps))
        .err()
        .unwrap();
    assert_eq!(error.kind(), ErrorKind::Parameter, "{error}");
    // Other images.
    let others = Data::from_pixels("others", TWO, &[0.1, 0.2, 0.3, 0.4], None).unwrap();
    let error = from_ledger((ledger.as_path(), &others), &config, &modified, None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Ledger, "{error}");
}

#[test]
fn a_family_is_verified_at_once_and_stated_so() {
    let folder = tempfile::tempdir().unwrap();
    let weights = [1.0, 0.0, 0.0, 1.0];
    let network = linear(folder.path(), &weights, NetworkConfig::default());
    let data = data(&[0.75, 0.25], Some(vec![0]));
    let eps = "0.125".parse().unwrap();
    let ledger = folder.path().join("bounds.recert");
    for (step, verdict) in [(0.03125, Verdict::Verified), (0.25, Verdict::Unknown)] {
        let config = VerifyConfig {
            weights_within: Some(Within::Absolute(step)),
            ..method(VerifyMethod::Crown)
        };
        let job = verify(Some(&ledger), &config, (Norm::Linf, &eps), &data, &network).unwrap();
        let found = &results(job)[0];
        assert_eq!(found.verdict, verdict, "{found:?}");
        // x0 - x1 is 0.25 at least. The weights of both rows take from it twice the step times
        // x0 + x1, which is 1 at that corner, and the biases twice the step.
        let truth = 0.25 - 4.0 * step;
        let margin = found.margin.unwrap();
        assert!(
            margin <= truth && margin > truth - 0.5 * step - 1e-5,
            "{margin} {truth}"
        );
    }
    let opened = Ledger::open_read_only(&ledger).unwrap();
    let verification = opened.verifications().unwrap().remove(0).2;
    let words = "every network whose weights are within 0.03125";
    assert!(
        verification.statement.contains(words),
        "{}",
        verification.statement
    );
    drop(opened);
    let checked = job::check(std::slice::from_ref(&ledger), None).unwrap();
    assert_eq!(checked[0].wrong(), 0, "{checked:?}");
    let reported = job::report(&[ledger], "Bounds").unwrap();
    let specification = &reported.report.verifications[0].specification;
    assert_eq!(specification, "linf 0.125, weights within 0.03125");
}
