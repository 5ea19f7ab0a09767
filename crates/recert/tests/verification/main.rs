//! Networks whose bounds can be computed by hand, through the whole job.

mod again;
mod contradiction;
mod from;
mod near;
mod transformed;

use std::path::Path;
use std::time::Duration;

use recert::engine::ImageShape;
use recert::graph::Model;
use recert::graph::testing::Net;
use recert::job::{
    Data, Event, Network, NetworkConfig, Outcome, VerificationResult, VerifyConfig, VerifyJob,
    VerifyMethod,
};

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
