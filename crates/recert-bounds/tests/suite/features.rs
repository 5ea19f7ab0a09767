//! Proof features of a real network, against published ones.

use std::path::Path;

use recert_bounds::features::{Method, Order, Penultimate, Proof};
use recert_bounds::{Network, Options, Property, Region};
use recert_data::{DataSpec, Dataset};
use recert_graph::{Builder, Model};
use recert_testing::{shared, test};

test!(features_are_the_published_ones, needs shared);
/// Kept neurons of the first MNIST test images in `profit_colt_eps0.1.json`; image 16 is classified rightly and
/// not proved there. `bench/features` compares all images.
fn features_are_the_published_ones(shared: &Path) {
    let published: [(u32, Option<&[usize]>); 6] = [
        (0, Some(&[95, 75, 38])),
        (1, Some(&[87])),
        (2, Some(&[93, 38, 98, 58, 64, 39, 4, 95])),
        (3, Some(&[60])),
        (15, Some(&[8])),
        (16, None),
    ];
    let model = Model::read(shared.join("models/mnist/profit_colt.onnx")).unwrap();
    let network = Network::new(&Builder::new(&model).build().unwrap()).unwrap();
    let cut = Penultimate::of(&network).unwrap();
    let path = shared.join("data/mnist/t10k-images-idx3-ubyte.gz");
    let spec: DataSpec = format!("idx:{}", path.display()).parse().unwrap();
    let data = Dataset::open(&spec, &recert_data::Options::default()).unwrap();
    for (image, want) in published {
        let pixels = data.image(image).unwrap().pixels;
        let pixels: Vec<f64> = pixels.iter().map(|&pixel| pixel.into()).collect();
        let label = data.label(image).unwrap() as usize;
        let property = Property::label(network.outputs(), label).unwrap();
        let region = Region::linf(&pixels, 0.1).unwrap();
        let options = Options::default();
        let proof = Proof::new(&cut, &region, &property, Method::CrownAlone, options).unwrap();
        let kept = proof.extract(Order::Priority).unwrap();
        assert_eq!(kept.as_deref(), want, "image {image}");
    }
}
