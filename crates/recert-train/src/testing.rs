//! What the tests of several modules need.

use recert_graph::testing::noise;

use crate::network::{Initialization, Layer, Network, Normalization, Subsample};
use crate::window::Window;

/// A name and a network of random weights, with statistics unlike those of fresh batch
/// normalizations: fully connected, convolutions of uneven extents, batch normalizations, residual
/// blocks with all kinds of shortcuts.
pub(crate) fn networks() -> Vec<(&'static str, Network)> {
    let relu = |neurons| Layer::Relu { neurons };
    let linear = |inputs, outputs| Layer::Linear { inputs, outputs };
    let image = [2, 5, 6];
    let uneven = Window::new(image, 3, [3, 2], [2, 1], [1, 0, 1, 1]).unwrap();
    let second = Window::new(uneven.output(), 4, [2, 2], [1, 2], [0; 4]).unwrap();
    let norm = |window: &Window| Layer::BatchNorm {
        channels: window.output()[0],
        plane: window.positions(),
    };
    let vector_norm = Layer::BatchNorm {
        channels: 7,
        plane: 1,
    };
    let lists = [
        ("one layer", vec![linear(60, 3)]),
        (
            "fully connected",
            vec![linear(60, 9), relu(9), linear(9, 8), relu(8), linear(8, 4)],
        ),
        (
            "convolutions",
            vec![
                Layer::Convolution(uneven),
                relu(uneven.outputs()),
                Layer::Convolution(second),
                relu(second.outputs()),
                linear(second.outputs(), 3),
            ],
        ),
        (
            "batch normalizations",
            vec![
                Layer::Convolution(uneven),
                norm(&uneven),
                relu(uneven.outputs()),
                linear(uneven.outputs(), 7),
                vector_norm,
                relu(7),
                linear(7, 3),
            ],
        ),
        ("residual blocks", residual(image)),
    ];
    let made = lists.into_iter().map(|(name, layers)| {
        let normalization = Normalization {
            mean: vec![0.3, 0.5],
            std: vec![0.25, 0.4],
        };
        let made = Network::new(image, layers, normalization, Initialization::He, 7);
        let mut network = made.unwrap();
        // Biases, scales, shifts and statistics that are not 0 and 1.
        for (seed, values) in network.parameters.iter_mut().enumerate() {
            let moved = noise(seed as u32, values.len());
            let moved = values.iter_mut().zip(moved);
            moved.for_each(|(value, by)| *value += 0.1 * by);
        }
        for (seed, values) in network.statistics.iter_mut().enumerate() {
            let moved = noise(100 + seed as u32, values.len());
            let moved = values.iter_mut().zip(moved);
            moved.for_each(|(value, by)| *value += 0.5 * by);
        }
        (name, network)
    });
    made.collect()
}

/// A block within a block, one with a convolution as its shortcut, one with a subsampling, and one
/// of fully connected layers.
fn residual(image: [usize; 3]) -> Vec<Layer> {
    let relu = |neurons| Layer::Relu { neurons };
    let linear = |inputs, outputs| Layer::Linear { inputs, outputs };
    let fork = |elements| Layer::Fork { elements };
    let add = |elements| Layer::Add { elements };
    let window = |input, outputs, kernel, stride| {
        let padding = [kernel / 2; 4];
        Window::new(input, outputs, [kernel; 2], [stride; 2], padding).unwrap()
    };
    let same = Layer::Convolution(window(image, 2, 3, 1));
    let narrow = window(image, 3, 3, 2);
    let second = window(narrow.output(), 3, 3, 1);
    let last = window(narrow.output(), 6, 3, 1);
    vec![
        fork(60),
        same,
        Layer::BatchNorm {
            channels: 2,
            plane: 30,
        },
        relu(60),
        fork(60),
        same,
        add(60),
        add(60),
        relu(60),
        fork(60),
        Layer::Convolution(narrow),
        relu(27),
        Layer::Convolution(second),
        Layer::Shortcut { body: 27, fork: 60 },
        Layer::Convolution(window(image, 3, 1, 2)),
        Layer::BatchNorm {
            channels: 3,
            plane: 9,
        },
        add(27),
        relu(27),
        fork(27),
        Layer::Convolution(last),
        Layer::Shortcut { body: 54, fork: 27 },
        Layer::Subsample(Subsample {
            input: narrow.output(),
            stride: [1, 1],
            zeros: [1, 2],
        }),
        add(54),
        relu(54),
        Layer::Subsample(Subsample {
            input: last.output(),
            stride: [2, 3],
            zeros: [0, 1],
        }),
        Layer::Mean {
            channels: 7,
            plane: 2,
        },
        fork(7),
        linear(7, 8),
        relu(8),
        linear(8, 7),
        add(7),
        relu(7),
        linear(7, 3),
    ]
}

/// Pixels in [0, 1] and labels, the same every time.
pub(crate) fn batch(network: &Network, count: usize) -> (Vec<f32>, Vec<usize>) {
    let columns: usize = network.image.iter().product();
    let pixels = noise(1, count * columns);
    let pixels = pixels.into_iter().map(|x| 0.5 + 0.5 * x).collect();
    let labels = (0..count).map(|row| row * 2 % network.classes()).collect();
    (pixels, labels)
}
