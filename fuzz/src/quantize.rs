//! Static quantization as `onnxruntime`'s quantizer, `PyTorch`'s and others' write it:
//! `QuantizeLinear` and `DequantizeLinear` around operators, or operators of integers.

mod operators;
mod tensors;

use std::collections::{HashMap, HashSet};

use recert_graph::proto::onnx::{ModelProto, NodeProto};
use recert_graph::{Data, Interpreter, Limits, Model, Tensor};

use crate::draw::Draw;
use crate::images::images;
use crate::reference::{Reference, in_layout};
use crate::sketch::int;
use tensors::{Kind, Parameters, Writer};

/// What the quantizer was told.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a choice of its own, as a quantizer's options are"
)]
pub struct Choices {
    /// How activations are stored.
    pub activations: Kind,
    /// How weights are.
    pub weights: Kind,
    /// Whether weights have a scale a channel.
    pub per_channel: bool,
    /// Whether zero points that are 0 are left out.
    pub omits_zeros: bool,
    /// Whether biases are quantized.
    pub biases: bool,
    /// Whether weights are stored as floats, before a `QuantizeLinear` of their own.
    pub float_weights: bool,
    /// Whether scales are powers of two.
    pub powers: bool,
    /// By how much of what was seen ranges are cut.
    pub cut: f32,
    /// Of scales and zero points: a list of one, or a number.
    pub lists: bool,
}

const LAYERS: [&str; 4] = ["Conv", "ConvTranspose", "Gemm", "MatMul"];
const OTHERS: [&str; 14] = [
    "Add",
    "Mul",
    "Relu",
    "MaxPool",
    "AveragePool",
    "GlobalAveragePool",
    "Concat",
    "Clip",
    "Sigmoid",
    "Resize",
    "Reshape",
    "Transpose",
    "Flatten",
    "LeakyRelu",
];

/// Quantizes a finished network, where its opset and its operators allow it.
pub fn quantize(proto: &mut ModelProto, draw: &mut Draw<'_>, opset: i64) {
    if opset < 10 {
        return;
    }
    let Some(ranges) = ranges(proto) else {
        return;
    };
    let wide = opset >= 21 && draw.percent(35);
    let choices = Choices {
        activations: match (wide, draw.below(4)) {
            (false, 0 | 1) => Kind::U8,
            (false, _) => Kind::I8,
            (true, 0 | 1) => Kind::U16,
            (true, _) => Kind::I16,
        },
        weights: if draw.percent(75) { Kind::I8 } else { Kind::U8 },
        per_channel: opset >= 13 && draw.percent(50),
        omits_zeros: draw.percent(20),
        biases: draw.percent(60),
        float_weights: draw.percent(15),
        powers: draw.percent(15),
        cut: if draw.percent(20) { 0.6 } else { 1.0 },
        lists: draw.percent(25),
    };
    let mut chosen: HashSet<&str> = LAYERS.into_iter().filter(|_| draw.percent(90)).collect();
    let most = draw.pick(&[60, 90, 10]);
    chosen.extend(OTHERS.into_iter().filter(|_| draw.percent(most)));
    let integers = draw.percent(20);
    let mut writer = Writer::new(choices);
    write(proto, &ranges, &chosen, &mut writer, draw);
    if integers {
        operators::to_integers(proto);
    }
}

/// The least and the largest that every float32 tensor holds on some images; `None` where
/// the network is not one that the interpreter computes.
fn ranges(proto: &ModelProto) -> Option<HashMap<String, (f32, f32)>> {
    let model = Model::from_proto("network".to_owned(), proto.clone()).ok()?;
    let reference = Reference::new(&model).ok()?;
    let signature = model.signature().ok()?;
    let graph = reference.graph();
    let interpreter = Interpreter::new(graph, Limits { elements: 1 << 24 }).ok()?;
    let mut ranges: HashMap<String, (f32, f32)> = HashMap::new();
    for image in images(reference.image_len).iter().skip(2).take(5) {
        let id = graph.inputs()[0];
        let shape = graph.value(id).shape.at(1);
        let one = in_layout(&signature, image);
        let count = shape.iter().product::<usize>() / one.len();
        let input = Tensor::new(shape, Data::Float32(one.repeat(count))).ok()?;
        let states = interpreter.run_all(&[input]).ok()?;
        for (position, value) in graph.values().iter().enumerate() {
            let Some(id) = graph
                .nodes()
                .iter()
                .flat_map(|node| &node.outputs)
                .flatten()
                .chain(graph.inputs())
                .find(|id| id.index() == position)
            else {
                continue;
            };
            let Some(values) = states.get(*id).and_then(|tensor| tensor.as_f32()) else {
                continue;
            };
            if values.iter().any(|value| !value.is_finite()) {
                return None;
            }
            let range = ranges.entry(value.name.clone()).or_insert((0.0, 0.0));
            for &value in values {
                *range = (range.0.min(value), range.1.max(value));
            }
        }
    }
    Some(ranges)
}

/// Puts the pairs in.
fn write(
    proto: &mut ModelProto,
    ranges: &HashMap<String, (f32, f32)>,
    chosen: &HashSet<&str>,
    writer: &mut Writer,
    draw: &mut Draw<'_>,
) {
    let Some(graph) = proto.graph.as_mut() else {
        return;
    };
    let mut uses: HashMap<&str, Vec<&str>> = HashMap::new();
    for node in &graph.node {
        for input in &node.input {
            uses.entry(input).or_default().push(node.op_type());
        }
    }
    // Which tensors get a pair.
    let mut marked: HashSet<String> = HashSet::new();
    for node in &graph.node {
        if !chosen.contains(node.op_type()) {
            continue;
        }
        let activations = node.input.iter().filter(|name| ranges.contains_key(*name));
        // A layer and the Relu after it are one.
        let fused = |name: &&String| {
            let output = uses.get(name.as_str()).map(Vec::as_slice);
            !(matches!(output, Some(["Relu"])) && chosen.contains("Relu"))
        };
        let outputs = node
            .output
            .iter()
            .filter(|name| ranges.contains_key(*name))
            .filter(fused);
        let inputs: Vec<String> = activations.cloned().collect();
        let is_relu = node.op_type() == "Relu";
        marked.extend(outputs.cloned());
        marked.extend(
            inputs.into_iter().filter(|name| {
                !is_relu || uses.get(name.as_str()).is_none_or(|uses| uses.len() > 1)
            }),
        );
    }
    let outputs: HashSet<String> = graph.output.iter().map(|o| o.name().to_owned()).collect();
    let mut parameters: HashMap<String, Parameters> = HashMap::new();
    let mut nodes: Vec<NodeProto> = Vec::new();
    let mut renamed: HashMap<String, String> = HashMap::new();
    let stored: HashMap<String, Tensor> = graph
        .initializer
        .iter()
        .filter_map(|tensor| {
            let stated = recert_graph::stored::typed(tensor).ok()?;
            Some((tensor.name().to_owned(), stated))
        })
        .collect();
    let mut pair =
        |name: &str, from: &str, to: &str, nodes: &mut Vec<NodeProto>, writer: &mut Writer| {
            let (low, high) = ranges[name];
            let made = writer.activation(low, high);
            writer.pair(from, to, &made, None, nodes);
            parameters.insert(to.to_owned(), made);
        };
    let inputs: Vec<String> = graph.input.iter().map(|i| i.name().to_owned()).collect();
    for name in inputs.iter().filter(|name| marked.contains(*name)) {
        let to = format!("{name}_dq");
        pair(name, name, &to, &mut nodes, writer);
        renamed.insert(name.clone(), to);
    }
    for mut node in std::mem::take(&mut graph.node) {
        let is_chosen = chosen.contains(node.op_type());
        for input in &mut node.input {
            if let Some(name) = renamed.get(input)
                && (is_chosen || !draw.percent(10))
            {
                input.clone_from(name);
            }
        }
        let made: Vec<(usize, String)> = node
            .output
            .iter()
            .enumerate()
            .filter(|(_, name)| marked.contains(*name))
            .map(|(i, name)| (i, name.clone()))
            .collect();
        let mut after = Vec::new();
        for (position, name) in made {
            if outputs.contains(&name) {
                let raw = format!("{name}_raw");
                node.output[position].clone_from(&raw);
                pair(&name, &raw, &name, &mut after, writer);
            } else {
                let to = format!("{name}_dq");
                pair(&name, &name, &to, &mut after, writer);
                renamed.insert(name, to);
            }
        }
        nodes.push(node);
        nodes.append(&mut after);
    }
    // Weights and biases, now that the scales of activations are known.
    let mut all = Vec::new();
    for mut node in nodes {
        if LAYERS.contains(&node.op_type()) && chosen.contains(node.op_type()) {
            weights(&mut node, &stored, &parameters, writer, &mut all);
        }
        all.push(node);
    }
    graph.node = all;
    graph.initializer.append(&mut writer.initializers);
}

/// Quantizes the weights and the bias of one layer.
fn weights(
    node: &mut NodeProto,
    stored: &HashMap<String, Tensor>,
    parameters: &HashMap<String, Parameters>,
    writer: &mut Writer,
    nodes: &mut Vec<NodeProto>,
) {
    let [Some(x), Some(w)] = [0, 1].map(|i| node.input.get(i).cloned()) else {
        return;
    };
    let matrix = |tensor: &&Tensor| tensor.shape().len() >= 2 && tensor.as_f32().is_some();
    let Some(tensor) = stored.get(&w).filter(matrix) else {
        return;
    };
    let transposed = recert_graph::index::int_attribute(node, "transB", 0) != 0;
    let axis = match node.op_type() {
        "Conv" => 0,
        "ConvTranspose" => 1,
        "Gemm" if transposed => 0,
        _ => tensor.shape().len() - 1,
    };
    let per_channel = writer.choices.per_channel
        && (node.op_type() != "ConvTranspose"
            || recert_graph::index::int_attribute(node, "group", 1) == 1);
    let axis = per_channel.then_some(axis);
    let made = writer.weights(tensor, axis);
    let name = format!("{}_dq", writer.fresh(&w));
    if writer.choices.float_weights {
        writer.pair(&w, &name, &made, axis, nodes);
    } else {
        let integers = writer.store(tensor, &made, axis);
        writer.dequantize(&integers, &name, &made, axis, nodes);
    }
    node.input[1] = name;
    let (Some(scales), Some(bias)) = (parameters.get(&x), node.input.get(2).cloned()) else {
        return;
    };
    let Some(values) = stored.get(&bias).and_then(|tensor| tensor.as_f32()) else {
        return;
    };
    let fits = made.scales.len() == 1 || made.scales.len() == values.len();
    let plain =
        node.op_type() != "Gemm" || node.attribute.iter().all(|a| a.f.is_none_or(|f| f == 1.0));
    if !writer.choices.biases || !fits || !plain {
        return;
    }
    let shape = stored[&bias].shape().to_vec();
    if shape.len() > 1 {
        return;
    }
    let scales: Vec<f32> = made.scales.iter().map(|s| s * scales.scales[0]).collect();
    let name = format!("{}_dq", writer.fresh(&bias));
    writer.bias(values, &shape, &scales, &name, nodes);
    node.input[2] = name;
}

/// The attribute `axis` of a quantization.
fn axis_attribute(axis: Option<usize>) -> Vec<recert_graph::proto::onnx::AttributeProto> {
    axis.map(|axis| int("axis", axis as i64))
        .into_iter()
        .collect()
}
