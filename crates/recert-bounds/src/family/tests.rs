//! Tests of families on their members.

use recert_graph::testing::{Net, ints, noise};
use recert_graph::{Builder, Model};

use super::*;
use crate::step::{Dense, Depthwise};
use crate::{ErrorKind, Options, Property, Region, Slopes, crown, interval, lower};

#[test]
fn steps_are_half_a_unit_of_their_formats() {
    assert_eq!(half_unit(1.0, 8, -126), 2.0_f64.powi(-8));
    assert_eq!(half_unit(-1.999, 8, -126), 2.0_f64.powi(-8));
    assert_eq!(half_unit(3.0, 11, -14), 2.0_f64.powi(-10));
    // The least spacing of binary16 is 2^-24.
    assert_eq!(half_unit(1e-7, 11, -14), 2.0_f64.powi(-25));
    assert_eq!(half_unit(0.0, 11, -14), 0.0);
    let layer = Linear::Dense(Dense {
        weights: vec![1.27, -0.4, 0.0, 12.7, 1.0, 0.0],
        bias: vec![5.0, 0.3],
        inputs: 3,
    });
    let Linear::Dense(int8) = radius(&layer, Within::Int8) else {
        unreachable!()
    };
    for (w, step) in [(0, 0.01), (1, 0.01), (2, 0.01), (3, 0.1), (5, 0.1)] {
        let share: f64 = int8.weights[w] / step;
        assert!(share > 0.5 && share < 0.5001, "{share}");
    }
    assert_eq!(int8.bias, [0.0, 0.0]);
}

#[test]
fn steps_are_read_as_they_are_written() {
    for within in [
        Within::Int8,
        Within::Int8Layer,
        Within::Bf16,
        Within::Fp16,
        Within::Absolute(0.25),
    ] {
        assert_eq!(within.to_string().parse::<Within>().unwrap(), within);
    }
    for text in ["int4", "-1", "nan", "inf", ""] {
        assert_eq!(
            text.parse::<Within>().unwrap_err().kind(),
            ErrorKind::Syntax
        );
    }
}

#[test]
fn rounding_to_nearest_is_that_of_the_formats() {
    let values: Vec<f64> = noise(7, 2000).into_iter().map(f64::from).collect();
    let layer = Linear::Dense(Dense {
        bias: values[..20].to_vec(),
        weights: values,
        inputs: 100,
    });
    for within in [Within::Bf16, Within::Fp16] {
        let mut radius = radius(&layer, within);
        let mut layer = layer.clone();
        let weights = layer.weights_mut().unwrap();
        let radii = radius.weights_mut().unwrap();
        for ((&w, got), r) in weights
            .iter()
            .zip(within.nearest(weights, radii))
            .zip(radii)
        {
            let want = match within {
                Within::Bf16 => half::bf16::from_f64(w).to_f64(),
                _ => half::f16::from_f64(w).to_f64(),
            };
            assert_eq!(got, want);
            assert!((w - got).abs() <= *r);
        }
    }
}

/// Networks with the kinds of layers that there are: residual with batch normalization; and one
/// of a depthwise convolution, poolings, constants, and a bias in a node of its own.
pub(crate) fn networks() -> Vec<Network> {
    let golden = "/../recert-net/tests/golden/residual.onnx";
    let residual = Model::read(format!("{}{golden}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let pooling = || vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])];
    let groups = vec![int("group", 2), ints("pads", &[1, 1, 1, 1])];
    let various = Net::new(13)
        .input("x", &[-1, 2, 8, 8])
        .floats("mean", &[1, 2, 1, 1], &[0.4, 0.5])
        .noise("w1", &[2, 1, 3, 3])
        .noise("b1", &[2])
        .noise("w2", &[3, 2, 3, 3])
        .noise("w3", &[12, 6])
        .noise("b3", &[6])
        .noise("w4", &[4, 6])
        .noise("b4", &[4])
        .node("Sub", &["x", "mean"], "n")
        .node_with("Conv", &["n", "w1", "b1"], "c1", groups)
        .node("Relu", &["c1"], "r1")
        .node_with("AveragePool", &["r1"], "a1", pooling())
        .node_with(
            "Conv",
            &["a1", "w2"],
            "c2",
            vec![ints("pads", &[1, 1, 1, 1])],
        )
        .node_with("MaxPool", &["c2"], "m2", pooling())
        .node("Flatten", &["m2"], "f")
        .node("MatMul", &["f", "w3"], "p")
        .node("Add", &["p", "b3"], "q")
        .node("Tanh", &["q"], "t")
        .node_with("Gemm", &["t", "w4", "b4"], "y", vec![int("transB", 1)])
        .output("y", &[-1, 4]);
    [residual, various.model()]
        .map(|model| Network::new(&Builder::new(&model).build().unwrap()).unwrap())
        .into()
}

fn int(name: &str, value: i64) -> recert_graph::proto::onnx::AttributeProto {
    let mut attribute = ints(name, &[]);
    attribute.set_type(recert_graph::proto::onnx::attribute_proto::AttributeType::Int);
    attribute.i = Some(value);
    attribute
}

/// Random members of a family: every weight and bias within its radius, some at the ends of it.
fn member(network: &Network, within: Within, seed: u32) -> Network {
    let counter = std::cell::Cell::new(seed);
    let moved = |values: &mut [f64], radii: &[f64]| {
        counter.set(counter.get() + 1);
        let draws = noise(counter.get(), values.len());
        for ((value, radius), draw) in values.iter_mut().zip(radii).zip(draws) {
            let share = f64::from(draw).clamp(-0.9, 0.9) / 0.9;
            *value += radius * share;
        }
    };
    let result = network.with_layers(|mut linear| {
        let mut radius = radius(&linear, within);
        if let (Some(values), Some(radii)) = (linear.weights_mut(), radius.weights_mut()) {
            moved(values, radii);
        }
        if let Some(bias) = linear.bias_mut() {
            moved(bias, radius.bias());
        }
        linear
    });
    result.unwrap()
}

#[test]
fn bounds_of_a_family_hold_for_its_members() {
    for network in networks() {
        let image: Vec<f64> = noise(3, network.inputs())
            .into_iter()
            .map(|x| f64::from(x).abs().min(1.0))
            .collect();
        let region = Region::linf(&image, 0.01).unwrap();
        let (lowest, highest) = region.bounding_box();
        let classes = network.outputs();
        let rows = Property::label(classes, 0).unwrap().rows();
        let options = Options::default();
        for within in [Within::Int8, Within::Bf16, Within::Absolute(0.01)] {
            let family = network.within(within).unwrap();
            assert_eq!(family.evaluate(&image), network.evaluate(&image));
            let by_intervals = interval(&family, &region).unwrap();
            let by_lines = crown(&family, &region, options).unwrap();
            let slopes = Slopes::default();
            let margins = lower(&family, &region, &by_lines, &rows, &slopes, options).unwrap();
            let alone = crown(&network, &region, options).unwrap();
            let alone = lower(&network, &region, &alone, &rows, &slopes, options).unwrap();
            assert!(margins.iter().zip(&alone).all(|(all, one)| all < one));
            let rounded = network.rounded(within).unwrap();
            let members = (0..8).map(|seed| member(&network, within, 100 * seed));
            for (number, member) in members.chain([rounded]).enumerate() {
                let draws = noise(900 + number as u32, network.inputs());
                let ends = lowest.iter().zip(highest);
                let x: Vec<f64> = (ends.zip(draws))
                    .map(|((l, u), d)| if d > 0.0 { *u } else { *l })
                    .collect();
                let y = member.evaluate(&x);
                for bounds in [&by_intervals, &by_lines] {
                    let (l, u) = bounds.outputs(&family);
                    assert!((0..classes).all(|i| l[i] <= y[i] && y[i] <= u[i]));
                }
                let others = (0..classes).skip(1).map(|j| y[0] - y[j]);
                assert!(others.zip(&margins).all(|(margin, lower)| *lower <= margin));
            }
        }
    }
}

#[test]
fn sums_are_no_weights() {
    let window = crate::step::Window {
        input: crate::layout::Layout::flat(1),
        output: crate::layout::Layout::flat(1),
        kernel: [1, 1],
        strides: [1, 1],
        dilations: [1, 1],
        before: [0, 0],
    };
    let mut sum = Linear::Depthwise(Depthwise {
        window,
        weights: vec![1.0],
        bias: vec![0.0],
        of_file: false,
    });
    assert!(sum.weights_mut().is_none() && sum.bias_mut().is_none());
}

#[test]
fn a_family_of_families_is_refused() {
    let network = &networks()[0];
    let family = network.within(Within::Bf16).unwrap();
    let error = family.within(Within::Bf16).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let mut scaled = network.clone();
    scaled.derived = Some("fc".to_owned());
    let error = scaled.within(Within::Bf16).unwrap_err().to_string();
    assert!(error.contains("node `fc`"), "{error}");
}

/// Rounding each of several numbers that are multiplied moves the product by more than half a unit.
#[test]
fn weights_that_a_file_computes_are_no_weights_of_it() {
    let net = |scale: &str| {
        Net::new(13)
            .input("x", &[1, 4])
            .noise("w", &[4, 3])
            .noise("s", &[1, 3])
            .noise("b", &[3])
            .node("Mul", &["w", "s"], "scaled")
            .node("Transpose", &["w"], "t")
            .node("Transpose", &["t"], "moved")
            .node("Neg", &["b"], "negative")
            .node("MatMul", &["x", scale], "y")
    };
    let family = |net: Net| {
        let graph = Builder::new(&net.output("z", &[1, 3]).model())
            .build()
            .unwrap();
        let network = Network::new(&graph).unwrap();
        network
            .within(Within::Bf16)
            .map_err(|error| error.to_string())
    };
    assert!(family(net("moved").node("Add", &["y", "b"], "z")).is_ok());
    for (weights, bias) in [("scaled", "b"), ("moved", "negative")] {
        let error = family(net(weights).node("Add", &["y", bias], "z")).unwrap_err();
        assert!(error.contains("nodes of constants"), "{error}");
    }
}
