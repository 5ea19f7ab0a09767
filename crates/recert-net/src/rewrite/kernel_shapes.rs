//! Kernel shapes stated where a file leaves them to be read off the weights.

use crate::constant;
use crate::draft::{Draft, set};
use crate::error::Result;
use crate::graph::{Index, attribute, input, standard_op};
use crate::model::Model;
use crate::proto::onnx::attribute_proto::AttributeType;
use crate::proto::onnx::{AttributeProto, GraphProto};

/// The same network with the attribute `kernel_shape` on every convolution of
/// known weights; `None` where all have it already.
///
/// ONNX lets a file leave the attribute out, and some engines do not read it
/// off the weights as they should. The function stays the same to the bit.
/// The fingerprint to record is that of `model`, not of the result.
///
/// # Errors
///
/// [`crate::ErrorKind::Graph`] and [`crate::ErrorKind::Unsupported`] where the
/// network cannot be rewritten at all.
pub fn state_kernel_shapes(model: &Model) -> Result<Option<Model>> {
    let rewrite = || {
        let graph = model.graph();
        let silent = silent_convolutions(graph);
        if silent.is_empty() {
            return Ok(None);
        }
        let index = Index::of(graph)?;
        let mut draft = Draft::of(model)?;
        let mut any = false;
        for position in silent {
            let Some(weights) = input(&graph.node[position], 1) else {
                continue;
            };
            let Some(weights) = constant::value(graph, &index, weights)? else {
                continue;
            };
            let Some(kernel) = weights.shape.get(2..) else {
                continue;
            };
            any = true;
            let shape = AttributeProto {
                name: Some("kernel_shape".to_owned()),
                r#type: Some(AttributeType::Ints.into()),
                ints: kernel.iter().map(|size| *size as i64).collect(),
                ..AttributeProto::default()
            };
            set(&mut draft.graph_mut().node[position], shape);
        }
        if any {
            draft.into_model(model.name()).map(Some)
        } else {
            Ok(None)
        }
    };
    rewrite().map_err(|error: crate::Error| error.at(model.name()))
}

fn silent_convolutions(graph: &GraphProto) -> Vec<usize> {
    let convolution = |op: &str| matches!(op, "Conv" | "ConvTranspose");
    let nodes = graph.node.iter().enumerate();
    let silent = nodes.filter(|(_, node)| {
        convolution(standard_op(node)) && attribute(node, "kernel_shape").is_none()
    });
    silent.map(|(position, _)| position).collect()
}
