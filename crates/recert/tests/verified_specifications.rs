//! VNN-LIB files, transformations and searches are verified again with the network, and whatever
//! of their results is forged is found.

use std::path::{Path, PathBuf};
use std::time::Duration;

use recert::bounds::geometric::Transformation;
use recert::check::Unchecked;
use recert::engine::ImageShape;
use recert::graph::Model;
use recert::graph::testing::{Net, noise};
use recert::job::{
    self, Auditor, Data, Event, Findings, Network, NetworkConfig, Norm, RerunConfig, ResultsAgain,
    RunConfig, Verdict, VerificationResult, VerifyConfig, VerifyMethod, VnnlibFile, verify,
    verify_files, verify_transformed,
};
use recert::ledger::{Ledger, TransformProof, Verification};

const IMAGE: ImageShape = ImageShape {
    channels: 1,
    height: 4,
    width: 4,
};
const PIXELS: usize = 16;
const INPUTS: usize = 6;

/// Three hidden layers, so that neurons of two of them are tightened.
fn network(folder: &Path, normalised: bool) -> Network {
    let net = Net::new(13)
        .input("x", &[-1, PIXELS as i64])
        .noise("w1", &[PIXELS, 12])
        .noise("b1", &[12])
        .node("Gemm", &["x", "w1", "b1"], "z1")
        .node("Relu", &["z1"], "a1")
        .noise("w2", &[12, 10])
        .node("MatMul", &["a1", "w2"], "z2")
        .node("Relu", &["z2"], "a2")
        .noise("w3", &[10, 8])
        .node("MatMul", &["a2", "w3"], "z3")
        .node("Relu", &["z3"], "a3")
        .noise("w4", &[8, 3])
        .node("MatMul", &["a3", "w4"], "y")
        .output("y", &[-1, 3]);
    let model = Model::from_proto("net.onnx".to_owned(), net.0).unwrap();
    let path = folder.join("net.onnx");
    model.write(&path).unwrap();
    let statistics = |value: f32| if normalised { vec![value] } else { Vec::new() };
    let config = NetworkConfig {
        engine: Some("reference".to_owned()),
        mean: statistics(0.5),
        std: statistics(0.25),
        ..NetworkConfig::default()
    };
    Network::open(&path, &config, IMAGE).unwrap()
}

fn images() -> Data {
    let pixels = noise(3, INPUTS * PIXELS);
    let pixels: Vec<f32> = pixels.iter().map(|x| x.midpoint(1.0)).collect();
    Data::from_pixels("noise", IMAGE, &pixels, None).unwrap()
}

fn config(method: VerifyMethod) -> VerifyConfig {
    VerifyConfig {
        method,
        timeout: Some(Duration::from_mins(2)),
        ..VerifyConfig::default()
    }
}

fn checked(ledger: &Path, network: Network, data: Option<Data>, files: &[PathBuf]) -> Findings {
    let rerun = RerunConfig {
        samples: 1000,
        seed: Some(1),
        vnnlib: files.to_vec(),
        ..RerunConfig::default()
    };
    let mut auditor = Auditor::new(rerun).unwrap().with_network(network);
    if let Some(data) = data {
        auditor = auditor.with_data(data);
    }
    let mut checked = job::check(&[ledger.to_owned()], Some(&auditor)).unwrap();
    checked.remove(0).result.unwrap()
}

fn again(findings: &Findings) -> &ResultsAgain {
    findings.rerun.as_ref().unwrap().results.as_ref().unwrap()
}

fn wrong(findings: &Findings) -> Vec<String> {
    let violations = findings.report.violations.iter().map(ToString::to_string);
    let differences = again(findings).differences.iter();
    violations
        .chain(differences.map(ToString::to_string))
        .collect()
}

/// A ledger as another one, but for what `forge` does to its results.
fn forged(from: &Path, to: &Path, forge: impl Fn(&mut VerificationResult)) -> PathBuf {
    let source = Ledger::open_read_only(from).unwrap();
    let ledger = Ledger::resume_verification(to, source.header()).unwrap();
    for input in source.inputs().unwrap() {
        ledger.add_input(&input).unwrap();
    }
    for (number, _, verification) in source.verifications().unwrap() {
        let into = ledger
            .add_verification(ledger.base(), &verification)
            .unwrap();
        for mut result in source.results(number).unwrap() {
            forge(&mut result);
            ledger.put_result(into, &result).unwrap();
        }
    }
    ledger.close().unwrap();
    to.to_owned()
}

fn results(ledger: &Path) -> Vec<(Verification, VerificationResult)> {
    let ledger = Ledger::open_read_only(ledger).unwrap();
    let all = ledger.verifications().unwrap().into_iter();
    let all = all.flat_map(|(number, _, verification)| {
        let results = ledger.results(number).unwrap().into_iter();
        results.map(move |result| (verification.clone(), result))
    });
    all.collect()
}

/// How many results of a ledger are verified, and falsified.
fn decided(ledger: &Path) -> [u64; 2] {
    let verdicts = results(ledger);
    let count = |verdict| {
        verdicts
            .iter()
            .filter(|(_, r)| r.verdict == verdict)
            .count() as u64
    };
    [Verdict::Verified, Verdict::Falsified].map(count)
}

#[test]
fn what_a_search_verified_is_proved_again_by_its_own_slopes() {
    let folder = tempfile::tempdir().unwrap();
    let (mut searched, mut exact) = (0, 0);
    for (number, eps) in ["0.06", "0.08", "0.1", "0.12"].into_iter().enumerate() {
        let ledger = folder.path().join(format!("{number}.recert"));
        let (network, data) = (network(folder.path(), true), images());
        let config = VerifyConfig {
            complete: true,
            ..config(VerifyMethod::Cascade)
        };
        let eps = eps.parse().unwrap();
        let job = verify(Some(&ledger), &config, (Norm::Linf, &eps), &data, &network).unwrap();
        let _ = job.run(&mut |_: Event<'_>| ()).unwrap();
        for (_, result) in results(&ledger) {
            if result.verdict == Verdict::Verified && result.decided_by == "branch-and-bound" {
                searched += 1;
                let proof = result.decoded_proof().unwrap().unwrap();
                exact += usize::from(!proof.neurons.is_empty());
            }
        }
        let findings = checked(&ledger, network, Some(data), &[]);
        assert_eq!(wrong(&findings), [""; 0], "{eps}");
        let again = again(&findings);
        let stored = &findings.report.verifications[0];
        assert_eq!((again.proved, again.by_less), (stored.verified, 0), "{eps}");
        // The journal has all that was begun.
        let missing = findings.report.missing().map(ToString::to_string);
        assert_eq!(missing.collect::<Vec<_>>(), [""; 0]);
    }
    assert!(searched > 4 && exact == searched, "{searched} {exact}");
}

#[test]
fn forged_proofs_of_a_search_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("true.recert");
    let data = images();
    let eps = "0.04".parse().unwrap();
    {
        let network = network(folder.path(), true);
        let config = config(VerifyMethod::BranchAndBound);
        let job = verify(Some(&ledger), &config, (Norm::Linf, &eps), &data, &network).unwrap();
        let _ = job.run(&mut |_: Event<'_>| ()).unwrap();
    }
    let check = |path: &Path| checked(path, network(folder.path(), true), Some(images()), &[]);
    let whole = check(&ledger);
    assert_eq!(wrong(&whole), [""; 0]);
    assert!(again(&whole).proved > 0);
    // A margin that is slightly too large, and a bound of a neuron that is.
    let larger = forged(&ledger, &folder.path().join("margin"), |result| {
        if result.verdict == Verdict::Verified {
            result.margin = result.margin.map(|margin| margin * 1.01 + 1e-4);
        }
    });
    let found = wrong(&check(&larger));
    assert!(
        found.iter().any(|found| found.contains("margin")),
        "{found:?}"
    );
    let tighter = forged(&ledger, &folder.path().join("neuron"), |result| {
        let Some(mut proof) = result.decoded_proof().unwrap() else {
            return;
        };
        if proof.neurons.is_empty() {
            return;
        }
        proof.known = None;
        let last = proof.layers.last_mut().unwrap();
        let open = last
            .bounds
            .iter_mut()
            .find(|b| b.lower < 0.0 && b.upper > 0.0);
        if let Some(open) = open {
            open.lower *= 0.9;
            result.proof = Some(proof.encode());
        }
    });
    let found = wrong(&check(&tighter));
    assert!(
        found.iter().any(|found| found.contains("proof")),
        "{found:?}"
    );
    // Other slopes prove less: the result does not follow as it is stored.
    let flat = forged(&ledger, &folder.path().join("slopes"), |result| {
        let Some(mut proof) = result.decoded_proof().unwrap() else {
            return;
        };
        let runs = proof.neurons.iter_mut().flat_map(|one| &mut one.runs);
        runs.for_each(|run| {
            run.slopes
                .iter_mut()
                .for_each(|slope| *slope = 255 - *slope);
        });
        result.proof = Some(proof.encode());
    });
    assert!(!wrong(&check(&flat)).is_empty());
}

/// Boxes around an image, and outputs that are not those of its class.
fn file(folder: &Path, name: &str, seed: u32, eps: f32, asserted: &str) -> PathBuf {
    use std::fmt::Write as _;

    let mut text = String::new();
    for i in 0..PIXELS {
        writeln!(text, "(declare-const X_{i} Real)").unwrap();
    }
    for i in 0..3 {
        writeln!(text, "(declare-const Y_{i} Real)").unwrap();
    }
    for (i, x) in noise(seed, PIXELS).iter().enumerate() {
        writeln!(text, "(assert (>= X_{i} {:.6}))", x - eps).unwrap();
        writeln!(text, "(assert (<= X_{i} {:.6}))", x + eps).unwrap();
    }
    text.push_str(asserted);
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn files_are_bounded_again_where_they_are_given() {
    let folder = tempfile::tempdir().unwrap();
    let specifications = folder.path().join("specifications");
    std::fs::create_dir(&specifications).unwrap();
    let mut paths = Vec::new();
    for seed in 1..7 {
        for (number, asserted) in [
            "(assert (or (<= Y_0 Y_1) (<= Y_0 Y_2)))",
            "(assert (or (and (<= Y_1 Y_0) (<= Y_2 Y_0)) (<= Y_2 -50)))",
            "(assert (<= Y_1 Y_2))",
        ]
        .into_iter()
        .enumerate()
        {
            let eps = [0.01, 0.05][seed as usize % 2];
            let name = format!("{seed}-{number}.vnnlib");
            paths.push(file(&specifications, &name, seed, eps, asserted));
        }
    }
    let ledger = folder.path().join("files.recert");
    let network = || network(folder.path(), false);
    {
        let network = network();
        let files = paths
            .iter()
            .map(|path| VnnlibFile::read(path, None).unwrap());
        let config = VerifyConfig {
            complete: true,
            ..config(VerifyMethod::Cascade)
        };
        let job = verify_files(Some(&ledger), &config, files.collect(), &network, IMAGE).unwrap();
        let _ = job.run(&mut |_: Event<'_>| ()).unwrap();
    }
    let [verified, falsified] = decided(&ledger);
    assert!(verified > 4 && falsified > 4, "{verified} {falsified}");
    let check = |ledger: &Path| {
        checked(
            ledger,
            network(),
            None,
            std::slice::from_ref(&specifications),
        )
    };
    let findings = check(&ledger);
    assert_eq!(wrong(&findings), [""; 0]);
    let found = again(&findings);
    assert_eq!((found.proved, found.refuted), (verified, falsified));
    assert_eq!(found.by_less, 0);
    // Without the files nothing of it is.
    let findings = checked(&ledger, network(), None, &paths[..1]);
    let found = again(&findings);
    assert!(found.proved + found.refuted <= 1);
    let open = |item: &Unchecked| match item {
        Unchecked::ResultsNotCompared { why, .. } => why.contains("was not given"),
        _ => false,
    };
    assert!(findings.report.unchecked.iter().any(open));
    // Forged margins, and counterexamples that are moved or verdicts that are made up.
    let larger = forged(&ledger, &folder.path().join("larger"), |result| {
        if result.verdict == Verdict::Verified {
            result.margin = result.margin.map(|margin| margin * 1.5 + 0.5);
        }
    });
    assert!(
        wrong(&check(&larger))
            .iter()
            .any(|found| found.contains("margin"))
    );
    let moved = forged(&ledger, &folder.path().join("moved"), |result| {
        if let Some(point) = &mut result.counterexample {
            point[3] += 0.5;
        }
    });
    let found = wrong(&check(&moved));
    assert_eq!(found.len() as u64, falsified, "{found:?}");
    assert!(
        found
            .iter()
            .all(|found| found.contains("a point that the file allows"))
    );
    let made_up = forged(&ledger, &folder.path().join("made_up"), |result| {
        if result.verdict == Verdict::Falsified {
            result.verdict = Verdict::Verified;
            (result.margin, result.counterexample) = (Some(0.5), None);
        }
    });
    let findings = check(&made_up);
    assert_eq!(again(&findings).proved, verified);
    assert!(!wrong(&findings).is_empty());
}

#[test]
fn cells_of_transformations_are_bounded_again() {
    let folder = tempfile::tempdir().unwrap();
    let network = || network(folder.path(), true);
    let ledger = folder.path().join("cells.recert");
    for steps in [
        "rotate=-4..4",
        "translate-x=-0.1..0.1,brightness=-0.02..0.02",
    ] {
        let network = network();
        let data = images();
        let steps: Transformation = steps.parse().unwrap();
        let config = VerifyConfig {
            cells: 300,
            ..config(VerifyMethod::Cascade)
        };
        let job = verify_transformed(Some(&ledger), &config, &steps, &data, &network).unwrap();
        let _ = job.run(&mut |_: Event<'_>| ()).unwrap();
    }
    let [verified, falsified] = decided(&ledger);
    assert!(verified > 3, "{verified}");
    let check = |ledger: &Path| checked(ledger, network(), Some(images()), &[]);
    let findings = check(&ledger);
    assert_eq!(wrong(&findings), [""; 0]);
    let found = again(&findings);
    assert_eq!(found.refuted, falsified);
    assert!(found.proved > 0 && found.cells > found.proved);
    assert!(found.cells_proved * 20 >= found.cells * 19, "{found:?}");
    let missing = findings.report.missing().count() as u64;
    assert_eq!(missing > 0, found.proved < verified);
    // Margins of cells that are none, and images that no parameters make.
    let larger = forged(&ledger, &folder.path().join("larger"), |result| {
        if result.verdict != Verdict::Verified {
            return;
        }
        let mut proof = result.decoded_transform_proof().unwrap().unwrap();
        for cell in &mut proof.cells {
            cell.margin += 50.0;
        }
        let least = proof.cells.iter().map(|cell| cell.margin);
        result.margin = Some(least.fold(f64::INFINITY, f64::min));
        result.proof = Some(proof.encode());
    });
    let found = wrong(&check(&larger));
    assert_eq!(found.len() as u64, verified, "{found:?}");
    assert!(
        found
            .iter()
            .all(|found| found.contains("at parameters in it"))
    );
    // One cell over everything, as if it had been proved.
    let whole = forged(&ledger, &folder.path().join("whole"), |result| {
        if result.verdict == Verdict::Unknown {
            return;
        }
        let Ok(Some(proof)) = result.decoded_transform_proof() else {
            return;
        };
        let Some(first) = proof.cells.first().cloned() else {
            return;
        };
        let hull = proof.cells.iter().fold(first, |mut hull, cell| {
            for (ends, other) in hull.ends.iter_mut().zip(&cell.ends) {
                *ends = [ends[0].min(other[0]), ends[1].max(other[1])];
            }
            hull.margin = hull.margin.min(cell.margin);
            hull
        });
        let cells = vec![hull];
        result.proof = Some(
            TransformProof {
                parameters: None,
                cells,
            }
            .encode(),
        );
    });
    let findings = check(&whole);
    assert!(again(&findings).cells_proved <= verified);
}

#[test]
fn a_verification_that_is_stopped_is_missed_until_it_is_done() {
    struct Stop(usize);

    impl recert::job::Events for Stop {
        fn event(&mut self, event: Event<'_>) {
            if matches!(event, Event::Verified { .. }) {
                self.0 += 1;
            }
        }

        fn stop(&self) -> bool {
            self.0 > 0
        }
    }

    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("stopped.recert");
    let (network, data) = (network(folder.path(), true), images());
    let eps = "0.01".parse().unwrap();
    let config = VerifyConfig {
        run: RunConfig {
            threads: Some(1),
            ..RunConfig::default()
        },
        ..config(VerifyMethod::Crown)
    };
    let job = || verify(Some(&ledger), &config, (Norm::Linf, &eps), &data, &network).unwrap();
    // Stopped before anything.
    let _ = job().run(&mut Stop(1)).unwrap();
    let missing = |ledger: &Path| {
        let report = recert::check::check(ledger).unwrap();
        assert!(report.is_clean(), "{:?}", report.violations);
        report
            .missing()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    let found = missing(&ledger);
    let done = results(&ledger).len();
    if done < INPUTS {
        assert!(
            found[0].contains(&format!("{} of the 6 inputs", INPUTS - done)),
            "{found:?}"
        );
    }
    let _ = job().run(&mut |_: Event<'_>| ()).unwrap();
    assert_eq!(missing(&ledger), [""; 0]);
    // Once more, with nothing left to do.
    let entries = || {
        let journal = Ledger::open_read_only(&ledger).unwrap().journal().unwrap();
        let kinds = journal.iter().map(|entry| entry.event.kind().to_owned());
        kinds
            .filter(|kind| ["verifying", "results"].contains(&kind.as_str()))
            .count()
    };
    let before = entries();
    let _ = job().run(&mut |_: Event<'_>| ()).unwrap();
    assert_eq!((entries(), missing(&ledger).len()), (before, 0));
}
