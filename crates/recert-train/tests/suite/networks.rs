//! Networks to ONNX and back.

use std::path::Path;

use recert_data::{DataSpec, Dataset};
use recert_graph::testing::{Net, noise};
use recert_graph::{Builder, Data, Interpreter, Limits, Model, Tensor};
use recert_testing::{shared, test};
use recert_train::{
    Architecture, ErrorKind, Examples, Initialization, Layer, Measures, Network, Normalization,
    Subsample, evaluated,
};

const ARCHITECTURES: [&str; 8] = [
    "fc-20-10",
    "cnn3",
    "cnn5",
    "cnn7",
    "cnn7-bn",
    "cgt-mnist",
    "resnet20",
    "resnet8-b",
];

fn normalization() -> Normalization {
    Normalization {
        mean: vec![0.4, 0.5, 0.3],
        std: vec![0.25, 0.5, 0.2],
    }
}

fn network(name: &str) -> Network {
    let image = [3, 8, 8];
    let layers = name.parse::<Architecture>().unwrap().layers(image, 4);
    Network::new(
        image,
        layers.unwrap(),
        normalization(),
        Initialization::He,
        3,
    )
    .unwrap()
}

/// The logits of images in the reference interpreter.
fn reference(model: &Model, image: &[usize], pixels: &[f32]) -> Vec<f32> {
    let graph = Builder::new(model).build().unwrap();
    let interpreter = Interpreter::new(&graph, Limits::default()).unwrap();
    let count = pixels.len() / image.iter().product::<usize>();
    let shape = [&[count], image].concat();
    let images = Tensor::new(shape, Data::Float32(pixels.to_vec())).unwrap();
    interpreter.run(&[images]).unwrap()[0]
        .as_f32()
        .unwrap()
        .to_vec()
}

test!(the_file_computes_what_the_network_does);
fn the_file_computes_what_the_network_does() {
    let pixels: Vec<f32> = noise(1, 2 * 192).iter().map(|x| 0.5 + 0.5 * x).collect();
    for name in ARCHITECTURES {
        let network = network(name);
        let model = network.to_model("made.onnx", &[]).unwrap();
        let expected = reference(&model, &[3, 8, 8], &pixels);
        let made = network.logits(&pixels).unwrap();
        let largest = expected.iter().fold(0.0_f32, |a, b| a.max(b.abs()));
        assert_eq!(made.len(), expected.len());
        for (made, expected) in made.iter().zip(&expected) {
            assert!(
                (made - expected).abs() <= 1e-5 * largest,
                "{name}: {made} {expected}"
            );
        }
    }
}

test!(a_file_that_was_written_reads_back_bit_by_bit);
fn a_file_that_was_written_reads_back_bit_by_bit() {
    let none = Normalization {
        mean: vec![0.0; 3],
        std: vec![1.0; 3],
    };
    for name in ARCHITECTURES {
        let network = network(name);
        let model = network.to_model("made.onnx", &[("key", "value")]).unwrap();
        let read = Network::from_model(&model, [3, 8, 8], none.clone()).unwrap();
        assert_eq!(read, network, "{name}");
        let again = read.to_model("made.onnx", &[("key", "value")]).unwrap();
        assert_eq!(again.sha256_hex(), model.sha256_hex(), "{name}");
    }
}

test!(files_of_other_exporters_are_read);
fn files_of_other_exporters_are_read() {
    // The product of matrices with the bias added after, weights as [in, out], a scale and an
    // offset in front, Reshape and Dropout on the way.
    let net = Net::new(17)
        .input("x", &[-1, 1, 2, 3])
        .floats("factor", &[], &[2.0])
        .floats("offset", &[1, 1, 1, 1], &[-1.0])
        .noise("w", &[6, 4])
        .noise("b", &[4])
        .noise("v", &[4, 3])
        .tensor(recert_graph::stored::from_i64("shape", &[2], &[-1, 6]))
        .node("Mul", &["x", "factor"], "scaled")
        .node("Add", &["scaled", "offset"], "moved")
        .node("Reshape", &["moved", "shape"], "flat")
        .node("MatMul", &["flat", "w"], "product")
        .node("Add", &["product", "b"], "sum")
        .node("Dropout", &["sum"], "kept")
        .node("Relu", &["kept"], "relu")
        .node("MatMul", &["relu", "v"], "y")
        .output("y", &[-1, 3]);
    let model = net.model();
    let normalization = Normalization {
        mean: vec![0.0],
        std: vec![1.0],
    };
    let network = Network::from_model(&model, [1, 2, 3], normalization).unwrap();
    let pixels: Vec<f32> = noise(5, 24).iter().map(|x| 0.5 + 0.5 * x).collect();
    let expected = reference(&model, &[1, 2, 3], &pixels);
    for (made, expected) in network.logits(&pixels).unwrap().iter().zip(&expected) {
        assert!((made - expected).abs() < 1e-5, "{made} {expected}");
    }
}

test!(what_is_no_chain_of_layers_is_refused_with_the_nodes_name);
fn what_is_no_chain_of_layers_is_refused_with_the_nodes_name() {
    let normalization = || Normalization {
        mean: vec![0.0],
        std: vec![1.0],
    };
    let refusal = |net: Net| {
        let read = Network::from_model(&net.model(), [1, 1, 4], normalization());
        let error = read.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Network);
        error.to_string()
    };
    let start = || {
        Net::new(17)
            .input("x", &[-1, 4])
            .noise("w", &[4, 4])
            .node("MatMul", &["x", "w"], "a")
    };
    let product = start().node("Mul", &["a", "x"], "y").output("y", &[-1, 4]);
    assert!(refusal(product).contains("make_y"));
    // The ways of two sums cross.
    let crossed = start()
        .node("Relu", &["a"], "b")
        .node("Add", &["a", "b"], "c")
        .node("Add", &["c", "b"], "d")
        .node("MatMul", &["d", "w"], "y")
        .output("y", &[-1, 4]);
    let crossed = refusal(crossed);
    assert!(
        crossed.contains("make_b") && crossed.contains("sums"),
        "{crossed}"
    );
    let broadcast = Net::new(17)
        .input("x", &[-1, 4])
        .noise("w", &[4, 1])
        .noise("v", &[4, 2])
        .node("MatMul", &["x", "w"], "a")
        .node("Add", &["a", "x"], "b")
        .node("MatMul", &["b", "v"], "y")
        .output("y", &[-1, 2]);
    assert!(refusal(broadcast).contains("different shapes"));
    let deep = (0..40).fold(start(), |net, depth| {
        // Each sum's branch is all before it.
        let [before, made] = [depth, depth + 1].map(|number| format!("s{number}"));
        let before = if depth == 0 { "a".to_owned() } else { before };
        net.node("Add", &[&before, "x"], &made)
    });
    let deep = deep
        .node("MatMul", &["s40", "w"], "y")
        .output("y", &[-1, 4]);
    assert!(refusal(deep).contains("too many"));
    let sigmoid = start()
        .node("Sigmoid", &["a"], "b")
        .node("MatMul", &["b", "w"], "y")
        .output("y", &[-1, 4]);
    assert!(refusal(sigmoid).contains("make_b"));
    let relu_last = start().node("Relu", &["a"], "y").output("y", &[-1, 4]);
    assert!(refusal(relu_last).contains("last layer"));
    let other = Network::from_model(
        &start().output("a", &[-1, 4]).model(),
        [1, 2, 3],
        normalization(),
    );
    assert!(other.unwrap_err().to_string().contains("[1, 4]"));
}

test!(residual_graphs_are_read_in_whatever_order_they_are_written);
fn residual_graphs_are_read_in_whatever_order_they_are_written() {
    // A block within the shortcut of another, the sums' operands in both orders, x + x, and a branch
    // at the pixels.
    let model = Net::new(17)
        .input("x", &[-1, 4])
        .noise("u", &[4, 4])
        .noise("v", &[4, 4])
        .noise("w", &[4, 3])
        .node("MatMul", &["x", "u"], "a")
        .node("Relu", &["a"], "b")
        .node("MatMul", &["b", "v"], "c")
        .node("Sum", &["a", "c"], "d")
        .node("Relu", &["x"], "r")
        .node("MatMul", &["r", "u"], "s")
        .node("Add", &["d", "s"], "e")
        .node("Add", &["e", "e"], "f")
        .node("MatMul", &["f", "w"], "y")
        .output("y", &[-1, 3])
        .model();
    let none = Normalization {
        mean: vec![0.0],
        std: vec![1.0],
    };
    let network = Network::from_model(&model, [1, 2, 2], none.clone()).unwrap();
    let adds = |network: &Network| {
        let layers = network.layers().iter();
        layers
            .filter(|layer| matches!(layer, Layer::Add { .. }))
            .count()
    };
    assert_eq!(adds(&network), 3);
    let pixels: Vec<f32> = noise(5, 24).iter().map(|x| 0.5 + 0.5 * x).collect();
    let expected = reference(&model, &[4], &pixels);
    let again = network.to_model("again.onnx", &[]).unwrap();
    for made in [
        network.logits(&pixels).unwrap(),
        reference(&again, &[1, 2, 2], &pixels),
    ] {
        for (made, expected) in made.iter().zip(&expected) {
            assert!((made - expected).abs() < 1e-5, "{made} {expected}");
        }
    }
    assert_eq!(
        Network::from_model(&again, [1, 2, 2], none).unwrap(),
        network
    );
}

test!(slices_and_padding_are_read_where_they_are_shortcuts);
fn slices_and_padding_are_read_where_they_are_shortcuts() {
    let list =
        |name: &str, values: &[i64]| recert_graph::stored::from_i64(name, &[values.len()], values);
    // The start, the step and the padding of rows, and the channels before.
    let model = |start: i64, step: i64, rows: i64, channels: i64| {
        Net::new(17)
            .input("x", &[-1, 3, 5, 6])
            .tensor(list("starts", &[start]))
            .tensor(list("ends", &[5]))
            .tensor(list("axes", &[2]))
            .tensor(list("steps", &[step]))
            .tensor(list("pads", &[0, channels, rows, 0, 0, 1, 0, 0]))
            .node("Slice", &["x", "starts", "ends", "axes", "steps"], "a")
            .node("Pad", &["a", "pads"], "b")
            .node("GlobalAveragePool", &["b"], "c")
            .node("Flatten", &["c"], "d")
            .noise("w", &[(4 + channels) as usize, 3])
            .node("MatMul", &["d", "w"], "y")
            .output("y", &[-1, 3])
            .model()
    };
    let none = Normalization {
        mean: vec![0.0; 3],
        std: vec![1.0; 3],
    };
    let image = [3, 5, 6];
    let pixels: Vec<f32> = noise(5, 180).iter().map(|x| 0.5 + 0.5 * x).collect();
    for (step, stride) in [(1, 1), (2, 2), (4, 4), (1 << 40, 5)] {
        let model = model(0, step, 0, 2);
        let network = Network::from_model(&model, image, none.clone()).unwrap();
        let expected = Layer::Subsample(Subsample {
            input: image,
            stride: [stride, 1],
            zeros: [2, 1],
        });
        assert_eq!(network.layers()[0], expected);
        let again = network.to_model("again.onnx", &[]).unwrap();
        let expected = reference(&model, &image, &pixels);
        for made in [
            network.logits(&pixels).unwrap(),
            reference(&again, &image, &pixels),
        ] {
            for (made, expected) in made.iter().zip(&expected) {
                assert!((made - expected).abs() < 1e-5, "{made} {expected}");
            }
        }
    }
    for (start, step, rows, named) in [(1, 2, 0, "make_a"), (0, 2, 1, "make_b")] {
        let model = model(start, step, rows, 0);
        let error = Network::from_model(&model, image, none.clone()).unwrap_err();
        assert!(error.to_string().contains(named), "{error}");
    }
}

test!(published_residual_networks_are_read, needs shared);
fn published_residual_networks_are_read(shared: &Path) {
    let none = Normalization {
        mean: vec![0.0; 3],
        std: vec![1.0; 3],
    };
    let image = [3, 32, 32];
    for (name, blocks, subsampled) in [
        ("resnet20_sigma0.50", 9, 2),
        ("resnet56_sigma0.50", 27, 2),
        ("resnet_2b", 2, 0),
        ("resnet8_f32", 3, 0),
    ] {
        let file = shared.join(format!("models/cifar10/{name}.onnx"));
        let model = Model::read(file).unwrap();
        let network = Network::from_model(&model, image, none.clone()).unwrap();
        let count =
            |kind: fn(&Layer) -> bool| network.layers().iter().filter(|layer| kind(layer)).count();
        let sums = count(|layer| matches!(layer, Layer::Add { .. }));
        let slices = count(|layer| matches!(layer, Layer::Subsample(_)));
        assert_eq!((sums, slices), (blocks, subsampled), "{name}");
        let pixels: Vec<f32> = noise(2, 3072).iter().map(|x| 0.5 + 0.5 * x).collect();
        let expected = reference(&model, &image, &pixels);
        let written = network.to_model("again.onnx", &[]).unwrap();
        let largest = expected.iter().fold(0.0_f32, |a, b| a.max(b.abs()));
        for made in [
            network.logits(&pixels).unwrap(),
            reference(&written, &image, &pixels),
        ] {
            for (made, expected) in made.iter().zip(&expected) {
                let apart = (made - expected).abs();
                assert!(apart <= 1e-4 * largest, "{name}: {made} {expected}");
            }
        }
    }
}

test!(layers_that_do_not_fit_are_refused);
fn layers_that_do_not_fit_are_refused() {
    let made = |layers: Vec<Layer>, std: f32| {
        let normalization = Normalization {
            mean: vec![0.0],
            std: vec![std],
        };
        Network::new([1, 1, 4], layers, normalization, Initialization::He, 0).unwrap_err()
    };
    let linear = |inputs, outputs| Layer::Linear { inputs, outputs };
    assert!(
        made(vec![linear(5, 2)], 1.0)
            .to_string()
            .contains("layer 0")
    );
    assert_eq!(made(vec![linear(4, 1)], 1.0).kind(), ErrorKind::Network);
    assert_eq!(made(vec![linear(4, 2)], 0.0).field(), Some("std"));
    assert_eq!(made(Vec::new(), 1.0).kind(), ErrorKind::Network);
    let (fork, add) = (Layer::Fork { elements: 4 }, Layer::Add { elements: 4 });
    let back = |body| Layer::Shortcut { body, fork: 4 };
    let subsample = |stride, zeros| {
        let input = [1, 1, 4];
        Layer::Subsample(Subsample {
            input,
            stride,
            zeros,
        })
    };
    for blocks in [
        vec![fork],
        vec![add],
        vec![fork, add, add],
        vec![back(4), fork, add],
        vec![fork, linear(4, 3), back(3), add],
        vec![fork, back(4), back(4), add],
        vec![
            fork,
            linear(4, 4),
            back(4),
            linear(4, 5),
            Layer::Add { elements: 5 },
            linear(5, 4),
        ],
        vec![subsample([1, 0], [0, 0])],
        vec![subsample([1, 1], [usize::MAX, 1])],
    ] {
        let layers = [blocks, vec![linear(4, 2)]].concat();
        assert_eq!(
            made(layers.clone(), 1.0).kind(),
            ErrorKind::Network,
            "{layers:?}"
        );
    }
}

test!(initial_weights_have_the_variance_that_is_stated);
fn initial_weights_have_the_variance_that_is_stated() {
    for (initialization, first, last) in [
        (Initialization::He, 2.0 / 784.0, 2.0 / 400.0),
        (
            Initialization::Interval,
            2.0 * std::f64::consts::PI / (784.0 * 784.0),
            2.0 / 400.0,
        ),
    ] {
        let layers = Architecture::FullyConnected(vec![400]).layers([1, 28, 28], 10);
        let normalization = Normalization {
            mean: vec![0.0],
            std: vec![1.0],
        };
        let image = [1, 28, 28];
        let network = Network::new(image, layers.unwrap(), normalization, initialization, 1);
        let network = network.unwrap();
        for (position, expected) in [(0, first), (2, last)] {
            let weights = &network.parameters()[position];
            let squares = weights.iter().map(|&x| f64::from(x) * f64::from(x));
            let variance = squares.sum::<f64>() / weights.len() as f64;
            // The standard error of a variance of 4,000 normals is 2.2 %.
            assert!(
                (variance / expected - 1.0).abs() < 0.09,
                "{variance} {expected}"
            );
        }
    }
}

test!(a_published_network_scores_what_was_published, needs shared);
/// CGT's rotation network (about 99.1 % clean), and the small CROWN-IBP network, whose bounds by
/// `recert-bounds` are counted in its suite.
fn a_published_network_scores_what_was_published(shared: &Path) {
    let path = shared.join("data/mnist/t10k-images-idx3-ubyte.gz");
    let spec: DataSpec = format!("idx:{}", path.display()).parse().unwrap();
    let data = Dataset::open(&spec, &recert_data::Options::default()).unwrap();
    let count = 500;
    let pixels = (0..count).flat_map(|i| data.image(i).unwrap().pixels);
    let labels = (0..count).map(|i| data.label(i).unwrap() as usize);
    let examples = Examples::new([1, 28, 28], pixels.collect(), labels.collect(), 10).unwrap();
    let model = Model::read(shared.join("models/mnist/cgt_rotate30.onnx")).unwrap();
    let none = Normalization {
        mean: vec![0.0],
        std: vec![1.0],
    };
    let network = Network::from_model(&model, [1, 28, 28], none).unwrap();
    let measures = Measures {
        eps: 0.0,
        sigma: None,
        attack: None,
        bounds: true,
        seed: 0,
    };
    let all: Vec<usize> = (0..examples.len()).collect();
    let scores = evaluated(&network, &examples, &all, &measures).unwrap();
    assert!(scores.clean >= 0.98, "{scores:?}");
    // At eps 0 bounds are the margins.
    assert_eq!(scores.certified, Some(scores.clean));
}
