//! Networks whose bounds can be computed by hand, through the whole job.

use std::path::Path;
use std::time::Duration;

use recert::bounds::Within;
use recert::engine::ImageShape;
use recert::graph::Model;
use recert::graph::testing::Net;
use recert::job::{
    self, Data, Event, Network, NetworkConfig, Norm, Outcome, Reverification, Saved, Verdict,
    VerificationResult, VerifyConfig, VerifyJob, VerifyMethod, verify, verify_transformed,
};
use recert::ledger::{CellMethod, KnownUse, Ledger, Proof, Seal};
use recert::{ErrorKind, Field};

const TWO: ImageShape = ImageShape {
    channels: 1,
    height: 1,
    width: 2,
};

/// Writes `y = W x`, with one row of two weights a class, and reads it back.
fn linear(folder: &Path, weights: &[f32], config: NetworkConfig) -> Network {
    let classes = weights.len() / 2;
    let by_class = |i: usize| (0..classes).map(move |class| weights[2 * class + i]);
    let transposed: Vec<f32> = (0..2).flat_map(by_class).collect();
    let net = Net::new(13)
        .input("x", &[-1, 2])
        .floats("w", &[2, classes], &transposed)
        .node("MatMul", &["x", "w"], "y")
        .output("y", &[-1, classes as i64]);
    open(folder, net, config)
}

fn open(folder: &Path, net: Net, config: NetworkConfig) -> Network {
    let path = write(folder, "net.onnx", net);
    let config = NetworkConfig {
        engine: Some("reference".to_owned()),
        ..config
    };
    Network::open(&path, &config, TWO).unwrap()
}

fn write(folder: &Path, name: &str, net: Net) -> std::path::PathBuf {
    let path = folder.join(name);
    let model = Model::from_proto(name.to_owned(), net.0).unwrap();
    model.write(&path).unwrap();
    path
}

fn data(pixels: &[f32], labels: Option<Vec<u32>>) -> Data {
    Data::from_pixels("dots", TWO, pixels, labels).unwrap()
}

fn results(job: VerifyJob<'_>) -> Vec<VerificationResult> {
    let mut results = Vec::new();
    let outcome = job.run(&mut |event: Event<'_>| {
        if let Event::Verified { result, .. } = event {
            results.push(result.clone());
        }
    });
    assert_eq!(outcome.unwrap(), Outcome::Finished);
    results.sort_by_key(|result| result.idx);
    results
}

fn method(method: VerifyMethod) -> VerifyConfig {
    VerifyConfig {
        method,
        timeout: (method == VerifyMethod::BranchAndBound).then_some(Duration::from_mins(1)),
        ..VerifyConfig::default()
    }
}

const BOUNDS: [VerifyMethod; 5] = [
    VerifyMethod::Cascade,
    VerifyMethod::Ibp,
    VerifyMethod::Crown,
    VerifyMethod::AlphaCrown,
    VerifyMethod::BranchAndBound,
];

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

/// `y0 = |x0 - 1/2| + 1/10`, as two neurons, against `y1 = 0`: linear bounds lose what branch and
/// bound over the two keeps.
fn kinked(folder: &Path, offset: f32) -> Network {
    open(folder, kinked_net(1.0, offset), NetworkConfig::default())
}

/// The same with one weight of the first layer another.
fn kinked_net(weight: f32, offset: f32) -> Net {
    Net::new(13)
        .input("x", &[-1, 2])
        .floats("w", &[2, 2], &[weight, -1.0, 0.0, 0.0])
        .floats("b", &[2], &[-0.5, 0.5])
        .floats("v", &[2, 2], &[1.0, 0.0, 1.0, 0.0])
        .floats("c", &[2], &[offset, 0.0])
        .node("Gemm", &["x", "w", "b"], "z")
        .node("Relu", &["z"], "a")
        .node("Gemm", &["a", "v", "c"], "y")
        .output("y", &[-1, 2])
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
