//! ONNX's defaults, stated where rten does not know them or takes others.

use rten_onnx::onnx::{AttributeProto, AttributeType, GraphProto, ModelProto, NodeProto};

use crate::engines::faults::{attribute, opset};

/// States in `model` the attributes whose defaults rten does not know, and
/// returns whether there were any.
///
/// - `kernel_shape` of convolutions: ONNX takes it from the weights.
/// - `strides` of pooling: ONNX takes 1.
/// - `axis` of `QuantizeLinear` (ONNX: 1, rten: -1), and of `Softmax` and
///   `LogSoftmax` before opset 13 (likewise).
pub(super) fn state(model: &mut ModelProto) -> bool {
    let opset = opset(model);
    let Some(graph) = &mut model.graph else {
        return false;
    };
    let found: Vec<_> = graph
        .node
        .iter()
        .enumerate()
        .filter_map(|(position, node)| Some((position, missing(graph, node, opset)?)))
        .collect();
    let any = !found.is_empty();
    for (position, attribute) in found {
        graph.node[position].attribute.push(attribute);
    }
    any
}

/// The attribute that `node` lacks.
fn missing(graph: &GraphProto, node: &NodeProto, opset: i64) -> Option<AttributeProto> {
    let lacks = |name| attribute(node, name).is_none();
    match node.op_type.as_deref()? {
        "Conv" | "ConvTranspose" if lacks("kernel_shape") => {
            let weights = shape(graph, node.input.get(1)?)?;
            Some(integers("kernel_shape", weights.get(2..)?.to_vec()))
        }
        "MaxPool" | "AveragePool" if lacks("strides") => {
            let kernel = &attribute(node, "kernel_shape")?.ints;
            Some(integers("strides", vec![1; kernel.len()]))
        }
        "QuantizeLinear" if lacks("axis") => Some(axis_1()),
        "Softmax" | "LogSoftmax" if lacks("axis") && opset < 13 => Some(axis_1()),
        _ => None,
    }
}

/// The dimensions of a constant, also of one that is dequantized first.
fn shape<'a>(graph: &'a GraphProto, tensor: &str) -> Option<&'a [i64]> {
    let stored = |tensor: &str| {
        let mut constants = graph.initializer.iter();
        constants.find(|constant| constant.name.as_deref() == Some(tensor))
    };
    let mut tensor = tensor;
    // No chain is longer than the graph, whatever the file claims.
    for _ in 0..=graph.node.len() {
        if let Some(constant) = stored(tensor) {
            return Some(&constant.dims);
        }
        let made = |node: &&NodeProto| node.output.iter().any(|output| output == tensor);
        let node = graph.node.iter().find(made)?;
        match node.op_type.as_deref()? {
            "Constant" => return Some(&attribute(node, "value")?.t.as_ref()?.dims),
            "Cast" | "DequantizeLinear" | "Identity" | "QuantizeLinear" => {
                tensor = node.input.first()?;
            }
            _ => return None,
        }
    }
    None
}

fn integers(name: &str, ints: Vec<i64>) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        ints,
        r#type: Some(AttributeType::INTS),
        ..AttributeProto::default()
    }
}

fn axis_1() -> AttributeProto {
    AttributeProto {
        name: Some("axis".to_owned()),
        i: Some(1),
        r#type: Some(AttributeType::INT),
        ..AttributeProto::default()
    }
}
