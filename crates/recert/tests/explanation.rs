//! Explanations of networks whose proofs can be computed by hand, through the whole job.

use std::path::Path;

use recert::engine::ImageShape;
use recert::graph::Model;
use recert::graph::testing::Net;
use recert::job::{
    Data, Event, ExplainConfig, ExplainMethod, Network, NetworkConfig, Norm, explain,
};
use recert::report::features::{Explanation, FeatureMetrics, VersusMetrics};
use recert::{ErrorKind, Field};

const TWO: ImageShape = ImageShape {
    channels: 1,
    height: 1,
    width: 2,
};

fn open(folder: &Path, name: &str, net: Net) -> Network {
    let model = Model::from_proto(name.to_owned(), net.0).unwrap();
    let path = folder.join(name);
    model.write(&path).unwrap();
    let config = NetworkConfig {
        engine: Some("reference".to_owned()),
        ..NetworkConfig::default()
    };
    Network::open(&path, &config, TWO).unwrap()
}

/// Three hidden neurons `relu(a x0)`, `relu(x1)` and `relu(0 - 1)`, of which the outputs are
/// `4 h0 + h1` and `h1 / 2`.
fn three(folder: &Path, name: &str, a: f32) -> Network {
    let net = Net::new(13)
        .input("x", &[-1, 2])
        .floats("w", &[2, 3], &[a, 0.0, 0.0, 0.0, 1.0, 0.0])
        .floats("b", &[3], &[0.0, 0.0, -1.0])
        .floats("v", &[3, 2], &[4.0, 0.0, 1.0, 0.5, 1.0, 1.0])
        .node("Gemm", &["x", "w", "b"], "z")
        .node("Relu", &["z"], "h")
        .node("MatMul", &["h", "v"], "y")
        .output("y", &[-1, 2]);
    open(folder, name, net)
}

fn data(pixels: &[f32], labels: Option<Vec<u32>>) -> Data {
    Data::from_pixels("dots", TWO, pixels, labels).unwrap()
}

fn explained(
    config: &ExplainConfig,
    eps: &str,
    data: &Data,
    networks: [&Network; 2],
) -> Explanation {
    let eps = eps.parse().unwrap();
    let [network, versus] = networks;
    let versus = (!std::ptr::eq(network, versus)).then_some(versus);
    let job = explain(config, (Norm::Linf, &eps), data, network, versus).unwrap();
    let mut inputs = 0;
    let found = job.run(&mut |event: Event<'_>| {
        inputs += usize::from(matches!(event, Event::Explained { .. }));
    });
    assert_eq!(inputs, data.len());
    found.unwrap().unwrap()
}

#[test]
fn features_and_pictures_are_those_computed_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let network = three(folder.path(), "net.onnx", 1.0);
    let data = data(&[0.5, 0.25, 0.25, 0.5], Some(vec![0, 1]));
    for method in [
        ExplainMethod::Ibp,
        ExplainMethod::Crown,
        ExplainMethod::AlphaCrown,
    ] {
        let config = ExplainConfig {
            method,
            pictures: 1,
            ..ExplainConfig::default()
        };
        let found = explained(&config, "1/8", &data, [&network, &network]);
        // The margin is 4 x0 + x1 / 2, so that the first neuron alone suffices.
        let proof = &found.inputs[0].proofs[0];
        let margin = proof.margin.unwrap();
        assert!(
            (1.5625 - margin).abs() < 1e-12 && margin <= 1.5625,
            "{method:?} {margin}"
        );
        let counts = proof.counts.unwrap();
        assert_eq!((counts.features, proof.kept.len()), (2, 1), "{method:?}");
        let kept = &proof.kept[0];
        assert_eq!((kept.neuron, kept.weight), (0, 4.0));
        assert!((kept.interval[0] - 0.375).abs() < 1e-12 && kept.interval[0] <= 0.375);
        assert!((kept.priority - 2.5).abs() < 1e-12 && kept.priority >= 2.5);
        // Both lines of an active neuron are the neuron itself.
        assert_eq!(kept.picture.as_ref().unwrap().values, [1.0, 0.0]);
        // The second input is answered 0 and has no proof of its label, and no picture.
        let wrong = &found.inputs[1].proofs[0];
        assert_eq!(
            (wrong.answer, wrong.margin, wrong.counts),
            (Some(0), None, None)
        );
        assert_eq!(found.inputs[1].image, None);
        let metrics = FeatureMetrics::new(&found, 0);
        assert_eq!((metrics.inputs, metrics.right, metrics.proved), (2, 1, 1));
    }
}

#[test]
fn versions_are_compared_and_what_lost_a_proof_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let [f, h] = [("f.onnx", 1.0), ("h.onnx", 2.0)];
    let [f, h] = [f, h].map(|(name, a)| three(folder.path(), name, a));
    let inputs = data(&[0.5, 0.25], None);
    let found = explained(&ExplainConfig::default(), "1/8", &inputs, [&f, &h]);
    let compared = found.inputs[0].comparison.as_ref().unwrap();
    assert_eq!(
        (compared.shared.as_slice(), compared.overlap),
        ([0].as_slice(), 1.0)
    );
    assert_eq!(compared.rank_correlation, Some(1.0));
    assert!((compared.cosines[0].unwrap() - 1.0).abs() < 1e-15);
    assert_eq!(VersusMetrics::new(&found).unwrap().both, 1);

    // With -1 for 1 the first neuron is always 0, and the margin is x1 / 2, which reaches 0 where
    // x1 does.
    let lost = three(folder.path(), "lost.onnx", -1.0);
    let found = explained(&ExplainConfig::default(), "1/4", &inputs, [&f, &lost]);
    let [first, second] = found.inputs[0].proofs.as_slice() else {
        panic!("two proofs");
    };
    assert!(first.is_proved() && !second.is_proved());
    // No interval is wider: what is lost is the neuron that carried the proof.
    assert_eq!(found.inputs[0].grown, []);
    // The other way round it is the second that has a proof.
    let found = explained(&ExplainConfig::default(), "1/4", &inputs, [&lost, &f]);
    assert_eq!(VersusMetrics::new(&found).unwrap().second_only, 1);
}

#[test]
fn an_interval_that_grew_is_the_one_that_can_cost_the_proof() {
    let folder = tempfile::tempdir().unwrap();
    // h0 = relu(x0), h1 = relu(b x1); the margin is h0 - h1.
    let network = |name: &str, b: f32| {
        let net = Net::new(13)
            .input("x", &[-1, 2])
            .floats("w", &[2, 2], &[1.0, 0.0, 0.0, b])
            .floats("v", &[2, 2], &[1.0, 0.0, 0.0, 1.0])
            .node("MatMul", &["x", "w"], "z")
            .node("Relu", &["z"], "h")
            .node("MatMul", &["h", "v"], "y")
            .output("y", &[-1, 2]);
        open(folder.path(), name, net)
    };
    let (f, h) = (network("f.onnx", 1.0), network("h.onnx", 2.0));
    let inputs = data(&[0.75, 0.25], Some(vec![0]));
    let found = explained(&ExplainConfig::default(), "1/8", &inputs, [&f, &h]);
    let input = &found.inputs[0];
    assert!(input.proofs[0].is_proved() && !input.proofs[1].is_proved());
    let grown: Vec<u32> = input.grown.iter().map(|grown| grown.neuron).collect();
    assert_eq!(grown, [1]);
    // From [1/8, 3/8] to [1/4, 3/4].
    assert!(
        (input.grown[0].loss - 0.25).abs() < 1e-12,
        "{:?}",
        input.grown
    );
    let [before, after] = input.grown[0].intervals;
    assert!((before[1] - 0.375).abs() < 1e-12 && (after[1] - 0.75).abs() < 1e-12);
}

#[test]
fn threads_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let network = three(folder.path(), "net.onnx", 1.0);
    let pixels: Vec<f32> = (0..24).map(|i| (i * 7 % 24) as f32 / 24.0).collect();
    let inputs = data(&pixels, None);
    let run = |threads| {
        let mut config = ExplainConfig {
            pictures: 6,
            ..ExplainConfig::default()
        };
        config.run.threads = Some(threads);
        explained(&config, "1/16", &inputs, [&network, &network])
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn what_cannot_be_explained_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let inputs = data(&[0.5, 0.25], None);
    let eps = "0.1".parse().unwrap();
    let refused = |network: &Network, versus: Option<&Network>| {
        let config = ExplainConfig::default();
        let job = explain(&config, (Norm::Linf, &eps), &inputs, network, versus);
        job.map(|_| ()).unwrap_err()
    };
    let one = || {
        Net::new(13)
            .input("x", &[-1, 2])
            .floats("w", &[2, 2], &[1.0, 0.0, 0.0, 1.0])
    };
    let linear = one().node("MatMul", &["x", "w"], "y").output("y", &[-1, 2]);
    let linear = open(folder.path(), "linear.onnx", linear);
    let error = refused(&linear, None);
    assert_eq!(error.kind(), ErrorKind::Engine);
    for words in ["linear.onnx", "activation", "last fully connected layer"] {
        assert!(error.to_string().contains(words), "{error}");
    }
    let ends = one()
        .node("MatMul", &["x", "w"], "z")
        .node("Relu", &["z"], "y")
        .output("y", &[-1, 2]);
    let ends = open(folder.path(), "ends.onnx", ends);
    let error = refused(&ends, None);
    assert_eq!(error.kind(), ErrorKind::Engine);
    for words in ["ends.onnx", "node", "fully connected layer"] {
        assert!(error.to_string().contains(words), "{error}");
    }
    // Neurons are compared by position, so there must be as many.
    let other = one()
        .node("MatMul", &["x", "w"], "z")
        .node("Relu", &["z"], "h")
        .floats("v", &[2, 2], &[1.0, 0.0, 0.0, 1.0])
        .node("MatMul", &["h", "v"], "y")
        .output("y", &[-1, 2]);
    let other = open(folder.path(), "other.onnx", other);
    let error = refused(&three(folder.path(), "net.onnx", 1.0), Some(&other));
    assert_eq!(
        (error.kind(), error.field()),
        (ErrorKind::Parameter, Some(Field::Versus))
    );
    assert!(error.to_string().contains("has 3 neurons"), "{error}");
}
