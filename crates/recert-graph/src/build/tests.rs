//! Graphs of small networks: what opsets differ in, what is inferred, what is
//! folded, and what is refused.

use crate::graph::Graph;
use crate::op::{AxisSlice, Op, PadMode, Unary, Window};
use crate::proto::onnx::attribute_proto::AttributeType;
use crate::proto::onnx::{AttributeProto, tensor_proto::DataType};
use crate::testing::{Net, info, ints};
use crate::walk::{Keep, States, backwards, forwards};
use crate::{Builder, Error, ErrorKind, Extent, Shape, Tensor, stored};

fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(AttributeType::Int.into()),
        i: Some(value),
        ..AttributeProto::default()
    }
}

fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(AttributeType::Float.into()),
        f: Some(value),
        ..AttributeProto::default()
    }
}

fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(AttributeType::String.into()),
        s: Some(value.as_bytes().to_vec().into()),
        ..AttributeProto::default()
    }
}

/// A network from `x`, of a batch of any size, to `y`.
fn net(opset: i64, dims: &[i64]) -> Net {
    let dims = [&[-1], dims].concat();
    Net::new(opset).input("x", &dims).output("y", &[-1, 1])
}

fn list(net: Net, name: &str, values: &[i64]) -> Net {
    net.tensor(stored::from_i64(name, &[values.len()], values))
}

fn graph(net: &Net) -> Graph {
    Builder::new(&net.model()).build().unwrap()
}

fn refused(net: &Net) -> Error {
    Builder::new(&net.model()).build().unwrap_err()
}

/// The last node's operator and the shape of its output.
fn last(net: &Net) -> (Op, String) {
    let graph = graph(net);
    let node = graph.nodes().last().unwrap();
    let shape = graph.value(node.output()).shape.to_string();
    (node.op.clone(), shape)
}

#[test]
fn axes_that_moved_from_attributes_to_inputs_mean_the_same() {
    let squeezed = (Op::Reshape, "[batch, 3]".to_owned());
    let before = net(11, &[1, 3]).node_with("Squeeze", &["x"], "y", vec![ints("axes", &[1])]);
    let after = list(net(13, &[1, 3]), "a", &[-2]).node("Squeeze", &["x", "a"], "y");
    assert_eq!(last(&before), squeezed);
    assert_eq!(last(&after), squeezed);

    let slice = vec![AxisSlice {
        axis: 1,
        start: 1,
        count: 2,
        step: 1,
    }];
    let bounds = vec![ints("starts", &[0, 1]), ints("ends", &[i64::MAX, 3])];
    let before = net(9, &[5]).node_with("Slice", &["x"], "y", bounds);
    let after = list(list(net(13, &[5]), "s", &[1]), "e", &[-2]);
    let after = list(after, "a", &[1]).node("Slice", &["x", "s", "e", "a"], "y");
    for net in [before, after] {
        assert_eq!(
            last(&net),
            (Op::Slice(slice.clone()), "[batch, 2]".to_owned())
        );
    }

    let bounds = vec![float("min", -1.0), float("max", 2.0)];
    let before = net(6, &[5]).node_with("Clip", &["x"], "y", bounds);
    let after = net(13, &[5])
        .floats("low", &[], &[-1.0])
        .floats("high", &[], &[2.0])
        .node("Clip", &["x", "low", "high"], "y");
    for net in [before, after] {
        let (low, high) = (-1.0, 2.0);
        assert_eq!(last(&net).0, Op::Clip { low, high });
    }
}

#[test]
fn softmax_before_opset_13_takes_all_axes_from_one_on() {
    let at = |opset| last(&net(opset, &[2, 3]).node("Softmax", &["x"], "y")).0;
    assert_eq!(at(12), Op::Softmax(1..3));
    assert_eq!(at(13), Op::Softmax(2..3));
}

#[test]
fn windows_are_resolved() {
    let window = |attributes: Vec<AttributeProto>| {
        let kernel = ints("kernel_shape", &[2, 3]);
        let attributes = [vec![kernel, ints("strides", &[2, 2])], attributes].concat();
        let net = net(13, &[1, 5, 5]).node_with("MaxPool", &["x"], "y", attributes);
        match last(&net).0 {
            Op::MaxPool { window, .. } => window,
            other => panic!("{other:?}"),
        }
    };
    let plain = Window {
        kernel: vec![2, 3],
        strides: vec![2, 2],
        dilations: vec![1, 1],
        before: vec![0, 0],
        after: vec![0, 0],
        output: vec![2, 2],
    };
    assert_eq!(window(vec![]), plain);
    let up = window(vec![int("ceil_mode", 1)]);
    assert_eq!(up.output, [3, 2]);
    let same = window(vec![text("auto_pad", "SAME_UPPER")]);
    assert_eq!((same.before, same.after), (vec![0, 1], vec![1, 1]));
    let same = window(vec![text("auto_pad", "SAME_LOWER")]);
    assert_eq!((same.before, same.after), (vec![1, 1], vec![0, 1]));
    assert_eq!(same.output, [3, 3]);
}

#[test]
fn shapes_that_the_network_computes_itself_are_followed() {
    // As exporters write `x.view(x.size(0), -1)`.
    let net = list(net(13, &[3, 4]), "zero", &[0]);
    let net = list(net, "rest", &[-1])
        .node("Shape", &["x"], "shape")
        .node("Gather", &["shape", "zero"], "batch")
        .node_with("Concat", &["batch", "rest"], "wanted", vec![int("axis", 0)])
        .node("Reshape", &["x", "wanted"], "y");
    let graph = graph(&net);
    assert_eq!(graph.nodes().len(), 1);
    assert_eq!(last(&net), (Op::Reshape, "[batch, 12]".to_owned()));
    // How often the file takes a tensor is kept, whatever was folded.
    assert_eq!(graph.value(graph.inputs()[0]).uses, 2);
}

#[test]
fn inputs_can_be_bound_and_shaped() {
    let mut net = net(13, &[3, 4]).node("Reshape", &["x", "to"], "y");
    net.graph().input.push(info("to", DataType::Int64, &[2]));
    let model = net.model();
    let built = Builder::new(&model).build();
    assert_eq!(built.unwrap_err().kind(), ErrorKind::Unsupported);
    let graph = Builder::new(&model)
        .bind("to", Tensor::list(vec![-1, 6]))
        .input_shape("x", Shape::of(&[2, 3, 4]))
        .build()
        .unwrap();
    assert_eq!(graph.inputs().len(), 1);
    assert_eq!(graph.value(graph.outputs()[0]).shape, Shape::of(&[4, 6]));
}

#[test]
fn nodes_are_sorted_and_only_those_needed_are_read() {
    let net = net(13, &[2])
        .node("Relu", &["a"], "y")
        .node("Frobnicate", &["x"], "nobody takes it")
        .node("Neg", &["x"], "a");
    let graph = graph(&net);
    let ops: Vec<&Op> = graph.nodes().iter().map(|node| &node.op).collect();
    assert_eq!(ops, [&Op::Unary(Unary::Neg), &Op::Unary(Unary::Relu)]);
    let inner = Builder::new(&net.model()).outputs(&["a"]).build().unwrap();
    assert_eq!(inner.nodes().len(), 1);
}

#[test]
fn broken_graphs_are_errors_that_name_the_node() {
    let x = || net(13, &[2]);
    let cycle = x().node("Add", &["x", "y"], "a").node("Relu", &["a"], "y");
    let missing = x().node("Relu", &["z"], "y");
    let twice = x().node("Relu", &["x"], "y").node("Neg", &["x"], "y");
    for (net, name) in [(cycle, "make_a"), (missing, "make_y"), (twice, "`y`")] {
        let error = refused(&net);
        assert_eq!(error.kind(), ErrorKind::Graph, "{error}");
        assert!(error.to_string().contains(name), "{error}");
    }
    let unknown = x().node("Frobnicate", &["x"], "y");
    let wrong = x().node_with("Softmax", &["x"], "y", vec![float("axis", 1.0)]);
    let outside = x().node_with("Softmax", &["x"], "y", vec![int("axis", 2)]);
    let open = x().node("Reshape", &["x", "x"], "y");
    let part = net(9, &[2]).node_with(
        "Slice",
        &["x"],
        "y",
        vec![ints("starts", &[1]), ints("ends", &[9])],
    );
    for net in [unknown, wrong, outside, open, part] {
        let error = refused(&net);
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.to_string().contains("make_y"), "{error}");
    }
}

#[test]
fn normalizations_in_training_are_refused() {
    let numbers = |opset| {
        let net = net(opset, &[2, 3, 3]).floats("n", &[2], &[1.0, 2.0]);
        let mut net = net.node("BatchNormalization", &["x", "n", "n", "n", "n"], "y");
        net.graph().node[0].attribute = Vec::new();
        net
    };
    let with = |opset, attribute| {
        let mut net = numbers(opset);
        net.graph().node[0].attribute.push(attribute);
        net
    };
    for net in [
        with(15, int("training_mode", 1)),
        with(7, int("spatial", 0)),
        numbers(6),
    ] {
        assert_eq!(refused(&net).kind(), ErrorKind::Unsupported);
    }
    for net in [numbers(9), with(6, int("is_test", 1)), numbers(15)] {
        assert!(matches!(last(&net).0, Op::BatchNormalization { .. }));
    }
}

#[test]
fn what_asks_for_gigabytes_is_refused_before_anything_is_allocated() {
    let kernel = ints("kernel_shape", &[1, 1]);
    let pads = ints("pads", &[1_000_000; 4]);
    let padded = net(13, &[1, 4, 4]).node_with("MaxPool", &["x"], "y", vec![kernel, pads]);
    let filled = list(net(13, &[2]), "s", &[1 << 20, 1 << 10]).node("ConstantOfShape", &["s"], "y");
    // Each doubles what is there.
    let mut doubled = net(13, &[2]).noise("d0", &[1 << 12]);
    for step in 0..30 {
        let (from, to) = (format!("d{step}"), format!("d{}", step + 1));
        doubled = doubled.node_with("Concat", &[&from, &from], &to, vec![int("axis", 0)]);
    }
    let doubled = doubled.node("Add", &["x", "d30"], "y");
    for net in [padded, filled, doubled] {
        let error = refused(&net);
        assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
        assert!(error.to_string().contains("is too large"), "{error}");
    }
}

#[test]
fn deep_networks_do_not_recurse() {
    let mut net = net(13, &[2]);
    for step in 0..20_000 {
        let from = match step {
            0 => "x".to_owned(),
            _ => format!("t{step}"),
        };
        net = net.node("Neg", &[&from], &format!("t{}", step + 1));
    }
    net.graph().node.reverse();
    let model = net.node("Relu", &["t20000"], "y").model();
    let graph = Builder::new(&model).build().unwrap().fold();
    assert_eq!(graph.nodes().len(), 20_001);
}

#[test]
fn a_normalization_is_folded_into_the_layer_before_it() {
    let normalized = |between: &str| {
        net(13, &[1, 2, 2])
            .floats("w", &[2, 1, 1, 1], &[1.0, 3.0])
            .floats("b", &[1, 2, 1, 1], &[0.5, -1.0])
            .floats("scale", &[2], &[2.0, 4.0])
            .floats("shift", &[2], &[1.0, 1.0])
            .floats("mean", &[2], &[0.5, 0.0])
            .floats("var", &[2], &[1.0, 4.0])
            .node("Conv", &["x", "w"], "c")
            .node("Add", &["b", "c"], "d")
            .node(between, &["d"], "e")
            .node_with(
                "BatchNormalization",
                &["e", "scale", "shift", "mean", "var"],
                "y",
                vec![float("epsilon", 0.0)],
            )
    };
    let folded = graph(&normalized("Identity")).fold();
    let [node] = folded.nodes() else {
        panic!("{:?}", folded.nodes());
    };
    assert_eq!(folded.value(node.output()).name, "y");
    let numbers = |position| folded.constant(node.input(position).unwrap()).unwrap();
    assert_eq!(numbers(1).as_f32().unwrap(), [2.0, 6.0]);
    assert_eq!(numbers(2).as_f32().unwrap(), [1.0, -1.0]);
    // Not through what is no identity.
    let kept = graph(&normalized("Relu")).fold();
    assert_eq!(kept.nodes().len(), 3);
}

#[test]
fn padding_may_cut_off() {
    let net = list(net(13, &[4]), "p", &[0, -1, 0, 2]).node("Pad", &["x", "p"], "y");
    let op = Op::Pad {
        mode: PadMode::Constant(0.0),
        pads: vec![[0, 0], [-1, 2]],
    };
    assert_eq!(last(&net), (op, "[batch, 5]".to_owned()));
}

#[test]
fn states_go_forwards_and_backwards() {
    let net = net(13, &[2])
        .node("Relu", &["x"], "a")
        .node("Neg", &["a"], "b")
        .node("Add", &["a", "b"], "y");
    let graph = graph(&net);
    let mut states = States::new(&graph);
    states.insert(graph.inputs()[0], 1);
    // How many ways lead from the input to a value.
    let ways = forwards(
        &graph,
        states,
        Keep::Only(graph.outputs()),
        |node, states| Ok::<_, Error>(vec![states.inputs(node).into_iter().flatten().sum::<i32>()]),
    );
    let ways = ways.unwrap();
    assert_eq!(ways.get(graph.outputs()[0]), Some(&2));
    assert_eq!(ways.get(graph.inputs()[0]), None);
    let mut states = States::new(&graph);
    states.insert(graph.outputs()[0], 1);
    let back = backwards(
        &graph,
        states,
        |a, b| a + b,
        |node, outputs| Ok::<_, Error>(vec![outputs[0]; node.inputs.len()]),
    );
    assert_eq!(back.unwrap().get(graph.inputs()[0]), Some(&2));
}

#[test]
fn extents_of_a_fixed_batch_are_numbers() {
    let net = Net::new(13)
        .input("x", &[4, 6])
        .output("y", &[1])
        .node("Flatten", &["x"], "y");
    let graph = graph(&net);
    assert_eq!(graph.value(graph.outputs()[0]).shape[0], Extent::Fixed(4));
}

#[test]
fn what_constants_make_is_computed() {
    let net = list(net(13, &[4]), "i", &[7])
        .node_with("Cast", &["i"], "seven", vec![int("to", 1)])
        .node("Log", &["seven"], "log")
        .node("Add", &["x", "log"], "y");
    let graph = graph(&net);
    assert_eq!(graph.nodes().len(), 1);
    let log = graph.constant(graph.nodes()[0].input(1).unwrap()).unwrap();
    assert_eq!(log.as_f32().unwrap(), [7_f64.ln() as f32]);
    // What ONNX does not define on these constants is an error, with the node.
    let zero = list(list(self::net(13, &[1]), "i", &[7]), "zero", &[0])
        .node("Div", &["i", "zero"], "none")
        .node("Reshape", &["x", "none"], "y");
    let error = refused(&zero);
    assert_eq!(error.kind(), ErrorKind::Graph);
    assert!(error.to_string().contains("divided by zero"), "{error}");
}

#[test]
fn attributes_that_are_not_known_are_refused() {
    let relu = |name| net(13, &[4]).node_with("Relu", &["x"], "y", vec![int(name, 1)]);
    let error = refused(&relu("negative_slope"));
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("`negative_slope`"), "{error}");
    graph(&relu("consumed_inputs"));
}
