//! Counts that others published for real networks, on the first images; `bench/bounds` has all.

use std::path::Path;

use recert_bounds::{
    Network, Options, Property, Region, Slopes, crown, interval, lower, lower_interval,
};
use recert_data::{DataSpec, Dataset};
use recert_graph::{Builder, Model};
use recert_testing::{shared, test};

fn network(shared: &Path, name: &str) -> Network {
    let model = Model::read(shared.join("models").join(name)).unwrap();
    Network::new(&Builder::new(&model).build().unwrap()).unwrap()
}

fn mnist(shared: &Path) -> Dataset {
    let path = shared.join("data/mnist/t10k-images-idx3-ubyte.gz");
    let spec: DataSpec = format!("idx:{}", path.display()).parse().unwrap();
    Dataset::open(&spec, &recert_data::Options::default()).unwrap()
}

/// Of the first images: how many are classified rightly, and verified by intervals and by CROWN.
fn counts(network: &Network, data: &Dataset, images: u32, epsilon: f64) -> [usize; 3] {
    let options = Options::default();
    let mut counts = [0; 3];
    for i in 0..images {
        let image = data.image(i).unwrap();
        let pixels: Vec<f64> = image.pixels.iter().map(|&pixel| pixel.into()).collect();
        let label = data.label(i).unwrap() as usize;
        let property = Property::label(network.outputs(), label).unwrap();
        if property.violated(&network.evaluate(&pixels)) {
            continue;
        }
        let region = Region::linf(&pixels, epsilon).unwrap();
        let rows = property.rows();
        let bounds = interval(network, &region).unwrap();
        let by_interval = lower_interval(network, &region, &bounds, &rows, options).unwrap();
        let bounds = crown(network, &region, options).unwrap();
        let slopes = Slopes::default();
        let by_crown = lower(network, &region, &bounds, &rows, &slopes, options).unwrap();
        counts[0] += 1;
        counts[1] += usize::from(property.verified(&by_interval));
        counts[2] += usize::from(property.verified(&by_crown));
    }
    counts
}

test!(networks_have_the_counts_of_another_verifier, needs shared);
/// Those of `auto_LiRPA` on the same images (`bench/bounds/results`).
fn networks_have_the_counts_of_another_verifier(shared: &Path) {
    let data = mnist(shared);
    // ERAN's own files end in a ReLU on the logits: 160 and 182 of 1000, and without it 166 and 186.
    let six = network(shared, "mnist/fc_6x100.onnx");
    assert_eq!(counts(&six, &data, 40, 0.026), [40, 0, 9]);
    let six = six.then_relu();
    assert_eq!(counts(&six, &data, 40, 0.026), [40, 0, 8]);
    let nine = network(shared, "mnist/fc_9x100.onnx").then_relu();
    assert_eq!(counts(&nine, &data, 40, 0.026), [38, 0, 5]);
    let convolutional = network(shared, "mnist/cnn_crown_ibp.onnx");
    assert_eq!(counts(&convolutional, &data, 20, 0.1), [20, 19, 19]);
}
