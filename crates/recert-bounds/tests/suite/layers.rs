//! Every kind of layer: the network as lowered is the file's, and its bounds hold.

use recert_bounds::{Network, Options, Region, Slopes, crown, interval, lower};
use recert_graph::proto::onnx::AttributeProto;
use recert_graph::stored::from_i64;
use recert_graph::testing::{Net, ints};
use recert_graph::{Data, Interpreter, Limits, Tensor};
use recert_testing::test;

use crate::made::{Random, attribute, both, graph, point, text};

fn image() -> Net {
    Net::new(13).input("x", &[-1, 3, 6, 6])
}

fn pads(size: i64) -> AttributeProto {
    ints("pads", &[size; 4])
}

/// Networks by what they are about; each has the input `x` and the output `y`.
#[expect(clippy::too_many_lines, reason = "a table")]
fn cases() -> Vec<(&'static str, Net)> {
    let conv = |attributes: Vec<AttributeProto>, shape: &[usize]| {
        image()
            .noise("w", shape)
            .noise("b", &[shape[0]])
            .node_with("Conv", &["x", "w", "b"], "c", attributes)
            .node("Relu", &["c"], "y")
    };
    // Twice the same function, each after a convolution.
    let function = |op: &str, constants: &[&str]| {
        let [first, second] = ["c", "d"].map(|x| [&[x], constants].concat());
        image()
            .noise("w", &[4, 3, 3, 3])
            .noise("v", &[2, 4, 2, 2])
            .floats("low", &[], &[-0.25])
            .floats("high", &[], &[0.5])
            .node("Conv", &["x", "w"], "c")
            .node(op, &first, "f")
            .node("Conv", &["f", "v"], "d")
            .node(op, &second, "y")
    };
    let after_relu = |op: &str| {
        image()
            .noise("w", &[4, 3, 3, 3])
            .node("Conv", &["x", "w"], "c")
            .node("Relu", &["c"], "r")
            .node(op, &["r"], "y")
    };
    let grouped = |inputs: i64, groups: i64, shape: &[usize]| {
        Net::new(13)
            .input("x", &[-1, inputs, 5, 5])
            .noise("u", &[inputs as usize, inputs as usize, 1, 1])
            .noise("w", shape)
            .noise("v", &[2, shape[0], 2, 2])
            .node("Conv", &["x", "u"], "a")
            .node("Relu", &["a"], "q")
            .node_with(
                "Conv",
                &["q", "w"],
                "c",
                vec![attribute("group", groups), pads(1)],
            )
            .node("Relu", &["c"], "r")
            .node("Conv", &["r", "v"], "d")
            .node("Relu", &["d"], "y")
    };
    let strides = vec![
        pads(2),
        ints("strides", &[2, 1]),
        ints("dilations", &[1, 2]),
    ];
    let kernel = |size: i64| ints("kernel_shape", &[size; 2]);
    let cases = vec![
        ("conv", conv(vec![pads(1)], &[4, 3, 3, 3])),
        ("strides and dilations", conv(strides, &[4, 3, 3, 3])),
        ("groups", grouped(4, 2, &[6, 2, 3, 3])),
        ("depthwise", grouped(4, 4, &[4, 1, 3, 3])),
        ("several channels of one", grouped(3, 3, &[6, 1, 3, 3])),
        ("leaky", function("LeakyRelu", &[])),
        ("sigmoid", function("Sigmoid", &[])),
        ("tanh", function("Tanh", &[])),
        ("abs", function("Abs", &[])),
        ("hard sigmoid", function("HardSigmoid", &[])),
        ("clip", function("Clip", &["low", "high"])),
        ("global average pool", after_relu("GlobalAveragePool")),
        ("global max pool", after_relu("GlobalMaxPool")),
        ("flatten", after_relu("Flatten")),
        (
            "max pool",
            image()
                .noise("w", &[4, 3, 3, 3])
                .noise("v", &[2, 4, 2, 2])
                .node_with("Conv", &["x", "w"], "c", vec![pads(1)])
                .node_with("MaxPool", &["c"], "p", vec![kernel(3), pads(1)])
                .node("Relu", &["p"], "r")
                .node("Conv", &["r", "v"], "d")
                .node_with(
                    "MaxPool",
                    &["d"],
                    "y",
                    vec![kernel(2), ints("strides", &[2, 2])],
                ),
        ),
        (
            "average pool",
            image()
                .node_with("AveragePool", &["x"], "a", vec![kernel(3), pads(1)])
                .node("Neg", &["a"], "n")
                .node("Relu", &["a"], "r")
                .node("Sub", &["r", "n"], "y"),
        ),
        (
            "mean",
            image()
                .node_with(
                    "ReduceMean",
                    &["x"],
                    "m",
                    vec![ints("axes", &[1, 3]), attribute("keepdims", 0)],
                )
                .node("Relu", &["m"], "y"),
        ),
        (
            "normalization",
            image()
                .noise("scale", &[3])
                .noise("shift", &[3])
                .floats("variance", &[3], &[0.3, 1.0, 7.0])
                .node(
                    "BatchNormalization",
                    &["x", "scale", "shift", "shift", "variance"],
                    "n",
                )
                .node("Relu", &["n"], "y"),
        ),
        (
            "arithmetic",
            image()
                .noise("a", &[3, 1, 1])
                .noise("b", &[6])
                .floats("d", &[], &[3.0])
                .node("Sub", &["x", "a"], "s")
                .node("Div", &["s", "d"], "t")
                .node("Mul", &["t", "b"], "u")
                .node("Relu", &["u"], "r")
                .node("Sub", &["a", "r"], "v")
                .node("Sub", &["v", "x"], "w")
                .node("Sum", &["w", "x", "r", "b"], "y"),
        ),
        (
            "moving",
            Net::new(13)
                .input("x", &[1, 3, 6, 6])
                .noise("c", &[1, 1, 6, 8])
                .tensor(from_i64("pads", &[8], &[0, 0, 0, 1, 0, 0, 0, 1]))
                .tensor(from_i64("starts", &[2], &[5, 1]))
                .tensor(from_i64("ends", &[2], &[-100, 3]))
                .tensor(from_i64("axes", &[2], &[3, 2]))
                .tensor(from_i64("steps", &[2], &[-2, 1]))
                .tensor(from_i64("chosen", &[3], &[2, 0, 2]))
                .node("Relu", &["x"], "r")
                .node("Pad", &["r", "pads"], "p")
                .node_with("Concat", &["p", "c"], "j", vec![attribute("axis", 1)])
                .node("Slice", &["j", "starts", "ends", "axes", "steps"], "s")
                .node_with("Gather", &["s", "chosen"], "g", vec![attribute("axis", 1)])
                .node_with("Transpose", &["g"], "t", vec![ints("perm", &[0, 2, 3, 1])])
                .node("Flatten", &["t"], "y"),
        ),
        (
            "windows of what moves",
            image()
                .noise("w", &[4, 3, 3, 3])
                .noise("v", &[2, 5, 2, 2])
                .tensor(from_i64("pads", &[8], &[0, 0, 1, 2, 0, 0, 0, 1]))
                .tensor(from_i64("starts", &[2], &[-1, 0]))
                .tensor(from_i64("ends", &[2], &[-100, 4]))
                .tensor(from_i64("axes", &[2], &[3, 2]))
                .tensor(from_i64("steps", &[2], &[-1, 1]))
                .tensor(from_i64("chosen", &[5], &[3, 0, 1, 1, 2]))
                .node_with("Conv", &["x", "w"], "c", vec![pads(1)])
                .node("Relu", &["c"], "r")
                .node_with("Pad", &["r", "pads"], "p", vec![text("mode", "edge")])
                .node("Slice", &["p", "starts", "ends", "axes", "steps"], "s")
                .node_with("Gather", &["s", "chosen"], "g", vec![attribute("axis", 1)])
                .node("Conv", &["g", "v"], "d")
                .node("Relu", &["d"], "y"),
        ),
        (
            "matrix products",
            Net::new(13)
                .input("x", &[1, 4, 5])
                .noise("w", &[5, 3])
                .noise("b", &[3])
                .noise("v", &[3, 2])
                .node("MatMul", &["x", "w"], "m")
                .node("Add", &["m", "b"], "a")
                .node("Relu", &["a"], "r")
                .node("MatMul", &["r", "v"], "y"),
        ),
    ];
    let with_output = |(name, net): (&'static str, Net)| (name, net.output("y", &[]));
    cases.into_iter().map(with_output).collect()
}

test!(networks_are_the_files);
/// The outputs in f64 are those of the reference interpreter, up to the float32 that it rounds
/// to after every operator; and the enclosure of a point holds them.
fn networks_are_the_files() {
    for (name, net) in cases() {
        let graph = graph(&net);
        let network = Network::new(&graph).unwrap_or_else(|error| panic!("{name}: {error}"));
        let interpreter = Interpreter::new(&graph, Limits::default()).unwrap();
        let mut random = Random::new(11);
        let x: Vec<f32> = (0..network.inputs())
            .map(|_| random.unit() as f32 - 0.4)
            .collect();
        let shape = graph.value(graph.inputs()[0]).shape.at(1);
        let image = Tensor::new(shape, Data::Float32(x.clone())).unwrap();
        let want = interpreter.run(&[image]).unwrap().remove(0);
        let x: Vec<f64> = x.into_iter().map(f64::from).collect();
        let made = network.evaluate(&x);
        assert_eq!(made.len(), want.len(), "{name}");
        let region = Region::Box {
            lower: x.clone(),
            upper: x,
        };
        let bounds = interval(&network, &region).unwrap();
        let (low, high) = bounds.outputs(&network);
        for (i, &want) in want.as_f32().unwrap().iter().enumerate() {
            let tolerance = 1e-5 * (1.0 + f64::from(want.abs()));
            assert!((made[i] - f64::from(want)).abs() < tolerance, "{name}: {i}");
            assert!(
                low[i] <= made[i] + 1e-12 && made[i] - 1e-12 <= high[i],
                "{name}: {i}"
            );
            assert!(high[i] - low[i] < 1e-9, "{name}: {i}");
        }
    }
}

test!(sampled_points_lie_within_all_bounds);
fn sampled_points_lie_within_all_bounds() {
    for (name, net) in cases() {
        let network = Network::new(&graph(&net)).unwrap();
        let mut random = Random::new(12);
        for radius in [0.02, 0.3] {
            let ends = (0..network.inputs()).map(|_| {
                let x = random.unit() - 0.4;
                (x - radius, x + radius * random.unit())
            });
            let (least, largest): (Vec<f64>, Vec<f64>) =
                ends.collect::<Vec<_>>().into_iter().unzip();
            let region = Region::Box {
                lower: least.clone(),
                upper: largest.clone(),
            };
            let options = Options::default();
            let by_interval = interval(&network, &region).unwrap();
            let by_crown = crown(&network, &region, options).unwrap();
            let rows = both(network.outputs());
            let slopes = Slopes::default();
            let ends = lower(&network, &region, &by_crown, &rows, &slopes, options).unwrap();
            for _ in 0..40 {
                let x = point(&mut random, &least, &largest);
                for (i, y) in network.evaluate(&x).into_iter().enumerate() {
                    for bounds in [&by_interval, &by_crown] {
                        let (low, high) = bounds.outputs(&network);
                        assert!(low[i] <= y + 1e-12 && y - 1e-12 <= high[i], "{name}: {i}");
                    }
                    let (low, high) = (ends[2 * i], -ends[2 * i + 1]);
                    assert!(low.is_finite() && high.is_finite(), "{name}");
                    assert!(low <= y + 1e-12 && y - 1e-12 <= high, "{name}: {i}");
                }
            }
        }
    }
}

test!(gradients_are_slopes);
fn gradients_are_slopes() {
    for (name, net) in cases() {
        let network = Network::new(&graph(&net)).unwrap();
        let mut random = Random::new(13);
        let mut numbers =
            |count: usize| -> Vec<f64> { (0..count).map(|_| random.unit() - 0.4).collect() };
        let x = numbers(network.inputs());
        let cotangent = numbers(network.outputs());
        let direction = numbers(network.inputs());
        let gradient = network.gradient(&x, &cotangent);
        let along = |step: f64| -> f64 {
            let x: Vec<f64> = x
                .iter()
                .zip(&direction)
                .map(|(x, d)| x + step * d)
                .collect();
            network
                .evaluate(&x)
                .iter()
                .zip(&cotangent)
                .map(|(y, c)| y * c)
                .sum()
        };
        let step = 1e-7;
        let measured = (along(step) - along(-step)) / (2.0 * step);
        let computed: f64 = gradient.iter().zip(&direction).map(|(g, d)| g * d).sum();
        let tolerance = 1e-5 * (1.0 + computed.abs());
        assert!(
            (measured - computed).abs() < tolerance,
            "{name}: {measured} {computed}"
        );
    }
}
