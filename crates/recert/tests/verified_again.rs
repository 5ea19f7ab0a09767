//! Results by bounds are verified again with the network, and whatever is forged is found.

use std::path::{Path, PathBuf};
use std::time::Duration;

use recert::bounds::Within;
use recert::check::Unchecked;
use recert::engine::ImageShape;
use recert::graph::Model;
use recert::graph::testing::{Net, noise};
use recert::job::{
    self, Auditor, Data, Event, Findings, Network, NetworkConfig, Norm, RerunConfig, Verdict,
    VerificationResult, VerifyConfig, VerifyMethod, verify,
};
use recert::ledger::{Distance, Ledger, NeuronBounds, Proof, Specification, Verification};

const PIXELS: usize = 12;
const IMAGE: ImageShape = ImageShape {
    channels: 1,
    height: 3,
    width: 4,
};
const INPUTS: usize = 6;

fn open(folder: &Path, name: &str, net: Net, image: ImageShape) -> Network {
    let model = Model::from_proto(name.to_owned(), net.0).unwrap();
    let path = folder.join(name);
    model.write(&path).unwrap();
    let config = NetworkConfig {
        engine: Some("reference".to_owned()),
        mean: vec![0.5],
        std: vec![0.25],
        ..NetworkConfig::default()
    };
    Network::open(&path, &config, image).unwrap()
}

/// Two hidden layers; `seed` is in the names, by which weights differ.
fn layers(folder: &Path, seed: &str) -> Network {
    let name = |name: &str| format!("{name}{seed}");
    let net = Net::new(13)
        .input("x", &[-1, PIXELS as i64])
        .noise(&name("w1"), &[PIXELS, 10])
        .noise(&name("b1"), &[10])
        .node("Gemm", &["x", &name("w1"), &name("b1")], "z1")
        .node("Relu", &["z1"], "a1")
        .noise(&name("w2"), &[10, 8])
        .node("MatMul", &["a1", &name("w2")], "z2")
        .node("Relu", &["z2"], "a2")
        .noise(&name("w3"), &[8, 3])
        .node("MatMul", &["a2", &name("w3")], "y")
        .output("y", &[-1, 3]);
    open(folder, &format!("net{seed}.onnx"), net, IMAGE)
}

fn images(seed: u32) -> Data {
    let pixels = noise(seed, INPUTS * PIXELS);
    let pixels: Vec<f32> = pixels.iter().map(|x| x.midpoint(1.0)).collect();
    Data::from_pixels("noise", IMAGE, &pixels, None).unwrap()
}

fn verified(
    ledger: &Path,
    by: VerifyMethod,
    norm: Norm,
    eps: &str,
    network: &Network,
    data: &Data,
) {
    let config = VerifyConfig {
        method: by,
        timeout: (by == VerifyMethod::BranchAndBound).then_some(Duration::from_mins(1)),
        ..VerifyConfig::default()
    };
    let eps = eps.parse().unwrap();
    let job = verify(Some(ledger), &config, (norm, &eps), data, network).unwrap();
    let _ = job.run(&mut |_: Event<'_>| ()).unwrap();
}

fn checked(ledger: &Path, network: Network, data: Data) -> Findings {
    let rerun = RerunConfig {
        samples: 1000,
        seed: Some(1),
        ..RerunConfig::default()
    };
    let auditor = Auditor::new(rerun)
        .unwrap()
        .with_network(network)
        .with_data(data);
    let mut checked = job::check(&[ledger.to_owned()], Some(&auditor)).unwrap();
    checked.remove(0).result.unwrap()
}

/// What is wrong with a ledger, in words.
fn wrong(findings: &Findings) -> Vec<String> {
    let violations = findings.report.violations.iter().map(ToString::to_string);
    let results = findings.rerun.as_ref().unwrap().results.as_ref().unwrap();
    violations
        .chain(results.differences.iter().map(ToString::to_string))
        .collect()
}

#[test]
fn true_results_are_proved_again() {
    let folder = tempfile::tempdir().unwrap();
    let (mut proved, mut refuted) = (0, 0);
    for (norm, eps) in [
        (Norm::Linf, "1/100"),
        (Norm::Linf, "0.08"),
        (Norm::L2, "0.1"),
    ] {
        for by in [
            VerifyMethod::Cascade,
            VerifyMethod::Ibp,
            VerifyMethod::Crown,
            VerifyMethod::AlphaCrown,
            VerifyMethod::BranchAndBound,
        ] {
            let ledger = folder.path().join(format!("{norm:?}-{}-{by:?}", eps.len()));
            let network = layers(folder.path(), "");
            verified(&ledger, by, norm, eps, &network, &images(3));
            let findings = checked(&ledger, network, images(3));
            assert_eq!(wrong(&findings), [""; 0], "{norm:?} {eps} {by:?}");
            let again = findings.rerun.as_ref().unwrap().results.as_ref().unwrap();
            assert_eq!((again.results, again.drawn), (INPUTS as u64, INPUTS as u64));
            let stored = &findings.report.verifications[0];
            assert_eq!(again.unknown, stored.unknown);
            assert_eq!(again.refuted, stored.falsified);
            assert_eq!(again.proved, stored.verified, "{by:?} {eps}");
            // Slopes by which a search bounds neurons are not in its proofs.
            let searched = by == VerifyMethod::BranchAndBound;
            assert!(searched || again.by_less == 0, "{by:?} {eps}");
            proved += again.proved;
            refuted += again.refuted;
            let open = |item: &Unchecked| matches!(item, Unchecked::OtherBounds { .. });
            assert!(findings.report.unchecked.iter().any(open));
            assert!(!findings.report.unchecked.contains(&Unchecked::Bounds));
        }
    }
    assert!(proved > 20 && refuted > 0, "{proved} {refuted}");
}

#[test]
fn families_of_networks_are_not_proved_again_by_one_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let network = layers(folder.path(), "");
    let data = images(3);
    let ledger = folder.path().join("family");
    let config = VerifyConfig {
        method: VerifyMethod::Ibp,
        weights_within: Some(Within::Absolute(1e-4)),
        ..VerifyConfig::default()
    };
    let eps = "1/1000".parse().unwrap();
    let job = verify(Some(&ledger), &config, (Norm::Linf, &eps), &data, &network).unwrap();
    let _ = job.run(&mut |_: Event<'_>| ()).unwrap();
    let findings = checked(&ledger, network, data);
    assert_eq!(wrong(&findings), [""; 0]);
    assert!(findings.report.verifications[0].verified > 0);
    let again = findings.rerun.as_ref().unwrap().results.as_ref().unwrap();
    assert_eq!((again.drawn, again.proved), (INPUTS as u64, 0));
    let open = |item: &Unchecked| match item {
        Unchecked::ResultsNotCompared { results, why, .. } => {
            *results == INPUTS as u64 && why.contains("family")
        }
        _ => false,
    };
    let unchecked = &findings.report.unchecked;
    assert!(unchecked.iter().any(open), "{unchecked:?}");
}

/// A ledger as another one, but for what `forge` does to its results.
fn forged(
    from: &Path,
    to: &Path,
    forge: impl Fn(&mut Verification, &mut VerificationResult),
) -> PathBuf {
    let source = Ledger::open_read_only(from).unwrap();
    let ledger = Ledger::resume_verification(to, source.header()).unwrap();
    for input in source.inputs().unwrap() {
        ledger.add_input(&input).unwrap();
    }
    for (number, _, verification) in source.verifications().unwrap() {
        for mut result in source.results(number).unwrap() {
            let mut verification = verification.clone();
            forge(&mut verification, &mut result);
            let number = ledger
                .add_verification(ledger.base(), &verification)
                .unwrap();
            ledger.put_result(number, &result).unwrap();
        }
    }
    ledger.close().unwrap();
    to.to_owned()
}

type Forge = fn(&mut Verification, &mut VerificationResult);

fn reproof(result: &mut VerificationResult, change: impl Fn(&mut Proof)) {
    if let Some(mut proof) = result.decoded_proof().unwrap() {
        // No check needs it, and it would not fit changed layers, which refuses the proof.
        proof.known = None;
        change(&mut proof);
        result.proof = Some(proof.encode());
    }
}

/// Makes the first open neuron's bounds narrower, by a part of them.
fn tighten(proof: &mut Proof, part: f64) {
    let mut bounds = proof.layers.iter_mut().flat_map(|layer| &mut layer.bounds);
    if let Some(open) = bounds.find(|b| b.lower < 0.0 && b.upper > 0.0) {
        open.lower *= part;
    }
}

/// Verified results that are forged, and the field by which each is found.
const VERIFIED: [(&str, Forge, &str); 9] = [
    (
        "margin",
        |_, r| r.margin = r.margin.map(|margin| margin * 1.5),
        "margin",
    ),
    (
        "margin, slightly",
        |_, r| r.margin = r.margin.map(|margin| margin * 1.01),
        "margin",
    ),
    (
        "eps",
        |v, _| {
            let distance = Distance {
                eps: "0.5".into(),
                radius: 0.5,
                weights: None,
            };
            v.specification = Specification::Linf(distance);
            v.statement = v.specification.statement();
        },
        "linf 0.5",
    ),
    (
        "class",
        |_, r| {
            let other = (r.class.unwrap() + 1) % 3;
            (r.class, r.answer) = (Some(other), Some(other));
        },
        "answer",
    ),
    (
        "tightened",
        |_, r| reproof(r, |proof| tighten(proof, 0.5)),
        "proof",
    ),
    (
        "a little tightened",
        |_, r| reproof(r, |proof| tighten(proof, 0.999)),
        "proof",
    ),
    (
        "a sign",
        |_, r| {
            reproof(r, |proof| {
                let mut bounds = proof.layers.iter_mut().flat_map(|layer| &mut layer.bounds);
                let open = bounds.find(|b| b.lower < 0.0 && b.upper > 0.0);
                *open.unwrap() = NeuronBounds::ACTIVE;
            });
        },
        "proof",
    ),
    (
        "no layers",
        |_, r| reproof(r, |proof| proof.layers.clear()),
        "",
    ),
    (
        "no neuron",
        |_, r| {
            reproof(r, |proof| {
                proof.layers[0].bounds.pop();
            });
        },
        "proof",
    ),
];

#[test]
fn forged_results_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let network = || layers(folder.path(), "");
    let ledger = folder.path().join("true");
    verified(
        &ledger,
        VerifyMethod::Crown,
        Norm::Linf,
        "0.05",
        &network(),
        &images(3),
    );
    let all = |verification: &mut Verification, result: &mut VerificationResult, forge: Forge| {
        if result.verdict == Verdict::Verified {
            forge(verification, result);
        }
    };
    let found = checked(&ledger, network(), images(3));
    assert!(found.report.verifications[0].verified > 1);
    for (position, (name, forge, field)) in VERIFIED.into_iter().enumerate() {
        let to = folder.path().join(format!("forged{position}"));
        let to = forged(&ledger, &to, |v, r| all(v, r, forge));
        let found = wrong(&checked(&to, network(), images(3)));
        if field.is_empty() {
            // Claims that are left out prove no less.
            assert_eq!(found, [""; 0], "{name}");
            continue;
        }
        assert!(!found.is_empty(), "{name}");
        assert!(
            found.iter().all(|found| found.contains(field)),
            "{name}: {found:?}"
        );
    }
    // Another network with this one's hash in the ledger would be refused as it is loaded; one
    // whose results are copied beside its own is found by its answers or its margins.
    let other = layers(folder.path(), "_other");
    let copied = folder.path().join("copied");
    let source = Ledger::open_read_only(&ledger).unwrap();
    let begun = Ledger::resume_verification(&copied, source.header()).unwrap();
    let number = begun.add_network(other.identity()).unwrap();
    for input in source.inputs().unwrap() {
        begun.add_input(&input).unwrap();
    }
    let (from, _, verification) = source.verifications().unwrap().remove(0);
    let to = begun.add_verification(number, &verification).unwrap();
    for result in source.results(from).unwrap() {
        begun.put_result(to, &result).unwrap();
    }
    begun.close().unwrap();
    let found = wrong(&checked(&copied, other, images(3)));
    assert!(!found.is_empty());
    // Another input is refused by its hash.
    let rerun = RerunConfig {
        samples: 1,
        ..RerunConfig::default()
    };
    let auditor = Auditor::new(rerun)
        .unwrap()
        .with_network(network())
        .with_data(images(4));
    let checked = job::check(&[ledger], Some(&auditor)).unwrap();
    let error = checked[0].result.as_ref().unwrap_err().to_string();
    assert!(error.contains("other data"), "{error}");
}

#[test]
fn forged_slopes_are_found() {
    type Change = fn(&mut Vec<f64>);
    let folder = tempfile::tempdir().unwrap();
    let network = || layers(folder.path(), "");
    let ledger = folder.path().join("true");
    verified(
        &ledger,
        VerifyMethod::AlphaCrown,
        Norm::Linf,
        "0.05",
        &network(),
        &images(3),
    );
    let slopes: [(&str, Change); 3] = [
        ("above 1", |slopes| slopes[0] = 1.25),
        ("below 0", |slopes| slopes[0] = -0.25),
        ("too few", |slopes| {
            slopes.pop();
        }),
    ];
    for (position, (name, change)) in slopes.into_iter().enumerate() {
        let to = folder.path().join(format!("forged{position}"));
        let to = forged(&ledger, &to, |_, result| {
            reproof(result, |proof| {
                let rows = proof.leaves.iter_mut().flat_map(|leaf| &mut leaf.rows);
                rows.for_each(|row| change(&mut row.slopes));
            });
        });
        let found = wrong(&checked(&to, network(), images(3)));
        assert!(
            found.iter().any(|found| found.contains("proof")),
            "{name}: {found:?}"
        );
    }
    // Others in the range prove less, or as much.
    let to = forged(&ledger, &folder.path().join("flat"), |_, result| {
        reproof(result, |proof| {
            let rows = proof.leaves.iter_mut().flat_map(|leaf| &mut leaf.rows);
            rows.for_each(|row| row.slopes.fill(0.0));
        });
    });
    let found = wrong(&checked(&to, network(), images(3)));
    assert!(
        found.iter().all(|found| found.contains("margin")),
        "{found:?}"
    );
}

#[test]
fn counterexamples_that_are_moved_or_made_up_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let network = || layers(folder.path(), "");
    let ledger = folder.path().join("true");
    verified(
        &ledger,
        VerifyMethod::Cascade,
        Norm::Linf,
        "0.3",
        &network(),
        &images(3),
    );
    let found = checked(&ledger, network(), images(3));
    assert!(found.report.verifications[0].falsified > 0);
    assert_eq!(wrong(&found), [""; 0]);
    let image = images(3);
    for (position, (name, word)) in [("outside", "outside"), ("the input", "otherwise")]
        .into_iter()
        .enumerate()
    {
        let to = folder.path().join(format!("forged{position}"));
        let to = forged(&ledger, &to, |_, result| {
            let Some(point) = &mut result.counterexample else {
                return;
            };
            if name == "outside" {
                point[0] = if point[0] > 0.5 { 0.0 } else { 1.0 };
            } else {
                *point = pixels(&image, result.idx.unwrap());
            }
        });
        let found = wrong(&checked(&to, network(), images(3)));
        assert!(
            found.iter().any(|found| found.contains(word)),
            "{name}: {found:?}"
        );
        assert!(
            found.iter().all(|found| found.contains("counterexample")),
            "{found:?}"
        );
    }
}

fn pixels(_: &Data, idx: u32) -> Vec<f32> {
    let all = noise(3, INPUTS * PIXELS);
    let start = idx as usize * PIXELS;
    all[start..start + PIXELS]
        .iter()
        .map(|x| x.midpoint(1.0))
        .collect()
}

/// `relu(z) - relu(z) + 1/10` against 0, of two neurons with the same `z = x - 1/2`: no line shows
/// that they are the same, but splits do.
#[test]
fn splits_that_leave_something_out_are_found() {
    type Change = fn(&mut Proof);
    let folder = tempfile::tempdir().unwrap();
    let one = ImageShape {
        channels: 1,
        height: 1,
        width: 1,
    };
    let network = || {
        let net = Net::new(13)
            .input("x", &[-1, 1])
            .floats("w", &[1, 2], &[0.25, 0.25])
            .floats("v", &[2, 2], &[1.0, 0.0, -1.0, 0.0])
            .floats("c", &[2], &[0.1, 0.0])
            .node("MatMul", &["x", "w"], "z")
            .node("Relu", &["z"], "a")
            .node("Gemm", &["a", "v", "c"], "y")
            .output("y", &[-1, 2]);
        open(folder.path(), "kinked.onnx", net, one)
    };
    let data = || Data::from_pixels("dot", one, &[0.55], None).unwrap();
    let ledger = folder.path().join("true");
    let by = VerifyMethod::BranchAndBound;
    verified(&ledger, by, Norm::Linf, "0.4", &network(), &data());
    let found = checked(&ledger, network(), data());
    assert_eq!(wrong(&found), [""; 0]);
    assert_eq!(found.rerun.unwrap().results.unwrap().proved, 1);
    let source = Ledger::open_read_only(&ledger).unwrap();
    let (number, ..) = source.verifications().unwrap().remove(0);
    let proof = source.results(number).unwrap()[0]
        .decoded_proof()
        .unwrap()
        .unwrap();
    let split = proof.leaves.iter().any(|leaf| !leaf.splits.is_empty());
    assert!(split, "{proof:?}");
    drop(source);
    let changes: [(&str, Change); 3] = [
        ("a side left out", |proof| {
            proof.leaves.pop();
        }),
        ("a side twice", |proof| {
            for split in proof.leaves.iter_mut().flat_map(|leaf| &mut leaf.splits) {
                split.above = true;
            }
        }),
        ("a multiplier below 0", |proof| {
            for row in proof.leaves.iter_mut().flat_map(|leaf| &mut leaf.rows) {
                row.multipliers.fill(-1.0);
            }
        }),
    ];
    for (position, (name, change)) in changes.into_iter().enumerate() {
        let to = folder.path().join(format!("forged{position}"));
        let to = forged(&ledger, &to, |_, result| reproof(result, change));
        let found = wrong(&checked(&to, network(), data()));
        assert!(
            found.iter().any(|found| found.contains("proof")),
            "{name}: {found:?}"
        );
    }
}
