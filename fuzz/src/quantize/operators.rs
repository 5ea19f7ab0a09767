//! From pairs around operators to operators of integers: `QLinearConv`, `QLinearMatMul`.

use std::collections::HashMap;

use recert_graph::proto::onnx::{ModelProto, NodeProto};

use crate::shrink::drop_unused;

/// Rewrites every convolution and product that stands between dequantizations and the only
/// quantization of what it makes.
pub fn to_integers(proto: &mut ModelProto) {
    let Some(graph) = proto.graph.as_mut() else {
        return;
    };
    let makers: HashMap<String, usize> = graph
        .node
        .iter()
        .enumerate()
        .flat_map(|(i, node)| node.output.iter().map(move |name| (name.clone(), i)))
        .collect();
    let mut uses: HashMap<String, Vec<usize>> = HashMap::new();
    for (i, node) in graph.node.iter().enumerate() {
        for name in &node.input {
            uses.entry(name.clone()).or_default().push(i);
        }
    }
    let mut nodes = graph.node.clone();
    for (i, node) in graph.node.iter().enumerate() {
        let op = match node.op_type() {
            "Conv" => "QLinearConv",
            "MatMul" => "QLinearMatMul",
            _ => continue,
        };
        let dequantized = |position: usize| -> Option<&NodeProto> {
            let maker = &graph.node[*makers.get(node.input.get(position)?)?];
            let whole = maker.op_type() == "DequantizeLinear" && maker.input.len() == 3;
            whole.then_some(maker)
        };
        let (Some(x), Some(w)) = (dequantized(0), dequantized(1)) else {
            continue;
        };
        let Some([last]) = uses.get(&node.output[0]).map(Vec::as_slice) else {
            continue;
        };
        let quantization = &graph.node[*last];
        if quantization.op_type() != "QuantizeLinear" || quantization.input.len() != 3 {
            continue;
        }
        if op == "QLinearMatMul" && !w.attribute.is_empty() {
            continue;
        }
        let mut inputs = [&x.input[..], &w.input[..], &quantization.input[1..]].concat();
        if let Some(bias) = node.input.get(2).filter(|name| !name.is_empty()) {
            let Some(maker) = makers.get(bias).map(|&maker| &graph.node[maker]) else {
                continue;
            };
            if maker.op_type() != "DequantizeLinear" {
                continue;
            }
            inputs.push(maker.input[0].clone());
        }
        nodes[*last] = NodeProto {
            op_type: Some(op.to_owned()),
            name: Some(format!("{}_quantized", node.name())),
            input: inputs,
            output: quantization.output.clone(),
            attribute: node.attribute.clone(),
            ..NodeProto::default()
        };
        nodes[i].op_type = Some(String::new());
    }
    nodes.retain(|node| !node.op_type().is_empty());
    graph.node = nodes;
    drop_unused(graph);
}
