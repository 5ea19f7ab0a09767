//! ONNX's defaults, stated where rten does not know them or takes others.

use recert_graph::index::is_op;
use recert_graph::proto::onnx::attribute_proto::AttributeType;
use recert_graph::proto::onnx::{AttributeProto, GraphProto, NodeProto};
use recert_graph::{Model, Result};

use crate::engines::faults::attribute;

/// The network's bytes, with the attributes stated whose defaults rten does not know.
///
/// - `kernel_shape` of convolutions: ONNX takes it from the weights.
/// - `strides` of pooling: ONNX takes 1.
/// - `axis` of `QuantizeLinear` (ONNX: 1, rten: -1), and of `Softmax` and
///   `LogSoftmax` before opset 13 (likewise).
///
/// And `Resize` of opset 10, which rten does not read, is called `Upsample`: in opset 9 the
/// same operator of the same inputs (ONNX changelog, `Resize` 10).
pub(super) fn stated(model: &Model) -> Result<Vec<u8>> {
    let (graph, opset) = (model.graph_proto(), model.opset().unwrap_or(i64::MAX));
    let is_old_resize = |node: &NodeProto| opset == 10 && is_op(node, "Resize");
    let found: Vec<_> = graph
        .node
        .iter()
        .enumerate()
        .filter_map(|(position, node)| Some((position, missing(graph, node, opset)?)))
        .collect();
    if found.is_empty() && !graph.node.iter().any(is_old_resize) {
        return Ok(model.to_bytes());
    }
    let mut proto = model.proto_to_rewrite()?;
    let nodes = &mut proto.graph.get_or_insert_default().node;
    for (position, attribute) in found {
        nodes[position].attribute.push(attribute);
    }
    for node in nodes.iter_mut().filter(|node| is_old_resize(node)) {
        node.op_type = Some("Upsample".to_owned());
    }
    Ok(Model::from_proto(model.name().to_owned(), proto)?.to_bytes())
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
        r#type: Some(AttributeType::Ints.into()),
        ..AttributeProto::default()
    }
}

fn axis_1() -> AttributeProto {
    AttributeProto {
        name: Some("axis".to_owned()),
        i: Some(1),
        r#type: Some(AttributeType::Int.into()),
        ..AttributeProto::default()
    }
}
