//! Convolution and linear layers with known weights.

use std::collections::HashSet;

use recert_graph::index::{
    Index, Use, input, int_attribute, is_op, node_name, output, standard_op,
};
use recert_graph::proto::onnx::GraphProto;
use recert_graph::{Error, ErrorKind, Model, Result};

use crate::constant::{self, Constant, Source};

/// The weights of one convolution or linear layer.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Weights {
    /// The node's name, or `#` and its position where the file gives none.
    pub layer: String,
    /// `Conv`, `ConvTranspose`, `Gemm` or `MatMul`.
    pub op: String,
    /// The stored tensor's name.
    pub name: String,
    /// The shape in which the layer takes the weights.
    pub shape: Vec<usize>,
    /// The weights in that shape, row-major.
    pub values: Vec<f32>,
}

/// The weights of every convolution and linear layer (`Conv`,
/// `ConvTranspose`, `Gemm`, `MatMul` with a known operand) of the main graph,
/// in file order, reached through `Identity`, `Cast`, `Transpose`, `Reshape`
/// and their like, `Constant` and `DequantizeLinear`. Biases are not listed.
///
/// # Errors
///
/// [`ErrorKind::Graph`] for an invalid graph.
pub fn weights(model: &Model) -> Result<Vec<Weights>> {
    let graph = model.graph_proto();
    let list = || -> Result<Vec<Weights>> {
        let index = Index::of(graph)?;
        let layers = layers(graph, &index)?;
        Ok(layers
            .into_iter()
            .map(|layer| layer.weights(graph, &index))
            .collect())
    };
    list().map_err(|error| error.at(model.name()))
}

/// A convolution or linear node whose weights are known.
pub(crate) struct Layer {
    pub(crate) node: usize,
    /// The position of the weights among the node's inputs.
    pub(crate) input: usize,
    pub(crate) constant: Constant,
}

/// All layers in file order.
pub(crate) fn layers(graph: &GraphProto, index: &Index) -> Result<Vec<Layer>> {
    let mut found = Vec::new();
    for (position, node) in graph.node.iter().enumerate() {
        let candidates: &[usize] = match standard_op(node) {
            "Conv" | "ConvTranspose" => &[1],
            "Gemm" | "MatMul" => &[1, 0],
            _ => continue,
        };
        for &operand in candidates {
            let Some(name) = input(node, operand) else {
                continue;
            };
            if let Some(constant) = constant::value(graph, index, name)? {
                found.push(Layer {
                    node: position,
                    input: operand,
                    constant,
                });
                break;
            }
        }
    }
    Ok(found)
}

/// Says which layers have weights that are not known, so that no rewrite can
/// touch them; `None` where there are none. A `MatMul` of two activations is
/// no layer.
pub(crate) fn note_unknown(graph: &GraphProto, found: &[Layer]) -> Option<String> {
    let known: HashSet<usize> = found.iter().map(|layer| layer.node).collect();
    let nodes = graph.node.iter().enumerate();
    let unknown: Vec<String> = nodes
        .filter(|(position, node)| {
            matches!(standard_op(node), "Conv" | "ConvTranspose" | "Gemm")
                && !known.contains(position)
        })
        .map(|(position, node)| format!("`{}`", node_name(node, position)))
        .collect();
    (!unknown.is_empty()).then(|| {
        let names = unknown.join(", ");
        format!("layers whose weights the network computes itself stay as they are: {names}")
    })
}

impl Layer {
    pub(crate) fn name(&self, graph: &GraphProto) -> String {
        node_name(&graph.node[self.node], self.node)
    }

    /// The tensor that the node takes as its weights.
    pub(crate) fn operand<'a>(&self, graph: &'a GraphProto) -> &'a str {
        input(&graph.node[self.node], self.input).expect("a layer has its weights")
    }

    /// The stored float tensor behind the weights, if only operators that
    /// change no value lie between.
    pub(crate) fn source(&self, graph: &GraphProto, index: &Index) -> Option<Source> {
        constant::source(graph, index, self.operand(graph))
    }

    /// Whether the layer computes in float32.
    pub(crate) fn takes_float32(&self, graph: &GraphProto, index: &Index) -> bool {
        constant::is_float32(graph, index, self.operand(graph))
    }

    /// The axis of the weights that numbers the output channels; `None` where
    /// no single axis does (grouped transposed convolutions, stacks of
    /// matrices, weights on the left).
    pub(crate) fn channel_axis(&self, graph: &GraphProto) -> Option<usize> {
        let node = &graph.node[self.node];
        let rank = self.constant.shape.len();
        match (node.op_type(), self.input) {
            ("Conv", 1) if rank >= 3 => Some(0),
            ("ConvTranspose", 1) if rank >= 3 && int_attribute(node, "group", 1) == 1 => Some(1),
            ("Gemm", 1) if rank == 2 => Some(usize::from(int_attribute(node, "transB", 0) == 0)),
            ("MatMul", 1) if rank == 2 => Some(1),
            _ => None,
        }
    }

    fn weights(self, graph: &GraphProto, index: &Index) -> Weights {
        let name = match self.source(graph, index) {
            Some(source) => source.name(graph).to_owned(),
            None => self.operand(graph).to_owned(),
        };
        Weights {
            layer: self.name(graph),
            op: graph.node[self.node].op_type().to_owned(),
            name,
            shape: self.constant.shape,
            values: self.constant.values,
        }
    }

    /// Where the layer's bias is taken: an input of the node, or the known
    /// operand of an `Add` that alone follows it.
    pub(crate) fn bias(&self, graph: &GraphProto, index: &Index) -> Option<Use> {
        let node = &graph.node[self.node];
        if node.op_type() != "MatMul" && input(node, 2).is_some() {
            return Some(Use {
                node: self.node,
                input: 2,
            });
        }
        let Use {
            node: position,
            input: taken,
        } = index.only_use(output(node))?;
        let add = &graph.node[position];
        let other = Use {
            node: position,
            input: 1 - taken.min(1),
        };
        constant::source(graph, index, input(add, other.input)?)?;
        is_op(add, "Add").then_some(other)
    }
}

/// Refuses weights that are not finite.
pub(crate) fn check_finite(layer: &str, values: &[f32]) -> Result<()> {
    match values.iter().find(|value| !value.is_finite()) {
        None => Ok(()),
        Some(value) => Err(Error::new(
            ErrorKind::Tensor,
            format!(
                "layer `{layer}` holds the weight {value}, which is not finite; export the network again"
            ),
        )),
    }
}
