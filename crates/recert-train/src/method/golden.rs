//! TAPS held to PyTorch: `taps.json` is what bench/train/taps/reference.py printed.

use serde_json::Value;

use super::*;
use crate::network::{Initialization, Layer, Network, Normalization};
use crate::window::Window;

/// How far gradients may be apart, relative to the largest: slopes of the connector are float32.
const APART: f64 = 1e-5;

fn list(value: &Value) -> Vec<f64> {
    let numbers = value.as_array().unwrap().iter();
    numbers.map(|number| number.as_f64().unwrap()).collect()
}

/// The network of the reference, without its weights.
fn network() -> Network {
    let window = Window::new([1, 5, 5], 2, [3, 3], [2, 2], [1; 4]).unwrap();
    let linear = |inputs, outputs| Layer::Linear { inputs, outputs };
    let (channels, plane) = (6, 1);
    let layers = vec![
        Layer::Convolution(window),
        Layer::Relu { neurons: 18 },
        linear(18, 6),
        Layer::BatchNorm { channels, plane },
        Layer::Relu { neurons: 6 },
        linear(6, 3),
    ];
    let normalization = Normalization {
        mean: vec![0.25],
        std: vec![0.5],
    };
    Network::new([1, 5, 5], layers, normalization, Initialization::He, 0).unwrap()
}

/// The box, and the points that the reference gives, with the connector.
fn prepared(golden: &Value, pass: &Pass<'_>) -> Prepared {
    let number = |name: &str| golden[name].as_f64().unwrap();
    let (eps, shrink) = (number("eps"), number("shrink"));
    let images = list(&golden["images"]);
    let end = |sign: f64| {
        let ends = images.iter().map(|x| (x + sign * eps).clamp(0.0, 1.0));
        Matrix::double(25, &ends.collect::<Vec<_>>())
    };
    let region = Interval::between(&end(-1.0), &end(1.0));
    let cut = Cut::before(pass.network, 1).unwrap();
    let intervals = bounds::intervals(pass, &region, shrink);
    let ends = cut.of(&intervals, shrink).ends();
    let ends = ends.map(|end| end.constant());
    let points = list(&golden["points"]);
    let narrow: Vec<f32> = points.iter().map(|&x| x as f32).collect();
    let single = ends.each_ref().map(Matrix::values);
    let slopes = latent::connected(number("connector") as f32, &single, 18, 2, &narrow);
    Prepared {
        points: None,
        region: Some(region),
        latent: Some(Points {
            cut,
            values: Matrix::double(18, &points),
            ends,
            slopes: slopes.map(|slopes| Matrix::new(18, &slopes, Precision::Double)),
        }),
    }
}

#[test]
fn the_loss_of_taps_and_its_gradient_are_pytorchs() {
    let golden: Value = serde_json::from_str(include_str!("taps.json")).unwrap();
    let number = |name: &str| golden[name].as_f64().unwrap();
    let network = network();
    let weights = golden["weights"].as_array().unwrap().iter();
    let weights = weights.zip(network.shapes()).map(|(values, [_, columns])| {
        let matrix = Matrix::double(columns, &list(values));
        matrix.tracked()
    });
    let images = Matrix::double(25, &list(&golden["images"]));
    let labels = list(&golden["labels"]);
    let labels: Vec<usize> = labels.into_iter().map(|label| label as usize).collect();
    let pass = Pass::training(&network, weights.collect(), &images).pass;
    let prepared = prepared(&golden, &pass);
    let moment = Moment {
        eps: number("eps"),
        beta: 0.0,
        clean: 0.0,
        regularizer: 0.0,
        shrink: number("shrink"),
    };
    let latent = Latent {
        relus: 1,
        weight: number("weight"),
        connector: number("connector"),
    };
    let method = Method::Taps { latent };
    let loss = loss(&method, &moment, &labels, &pass, None, &prepared);
    assert!((loss.total.doubles()[0] - number("loss")).abs() < 1e-9);
    let derivatives = loss.total.derivatives();
    let expected = golden["gradients"].as_array().unwrap().iter().map(list);
    let expected: Vec<Vec<f64>> = expected.collect();
    let largest = (expected.iter().flatten()).fold(0.0_f64, |a, b| a.max(b.abs()));
    assert_eq!(expected.len(), pass.parameters.len());
    for (position, (leaf, expected)) in pass.parameters.iter().zip(&expected).enumerate() {
        let made = derivatives.by(leaf).unwrap().doubles();
        assert_eq!(made.len(), expected.len());
        for (made, expected) in made.iter().zip(expected) {
            let apart = (made - expected).abs();
            assert!(apart <= APART * largest, "{position}: {made} {expected}");
        }
    }
}
