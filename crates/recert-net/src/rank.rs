//! The number of axes of tensors, as far as the operators fix it.

use std::collections::HashMap;

use recert_graph::index::{Index, attribute, input, int_attribute, output, standard_op};
use recert_graph::proto::onnx::GraphProto;
use recert_graph::{Result, stored, tensor_type};

use crate::constant;

/// Operators whose first output has the element type and the rank of their
/// first input.
pub(crate) const SAME_TYPE_AND_RANK: &[&str] = &[
    "Abs",
    "AveragePool",
    "BatchNormalization",
    "Clip",
    "Dropout",
    "Elu",
    "Erf",
    "Exp",
    "Gelu",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "InstanceNormalization",
    "LRN",
    "LayerNormalization",
    "LeakyRelu",
    "Log",
    "LogSoftmax",
    "MaxPool",
    "Neg",
    "PRelu",
    "Pad",
    "Relu",
    "Selu",
    "Sigmoid",
    "Slice",
    "Softmax",
    "Softplus",
    "Sqrt",
    "Tanh",
    "Transpose",
];

/// The known ranks by tensor name: stated in the file, or following from the
/// operator that makes the tensor.
pub(crate) fn ranks<'a>(graph: &'a GraphProto, index: &Index) -> Result<HashMap<&'a str, usize>> {
    let mut known: HashMap<&str, usize> = HashMap::new();
    for info in graph
        .input
        .iter()
        .chain(&graph.value_info)
        .chain(&graph.output)
    {
        if let Some((_, Some(dims))) = tensor_type(info) {
            known.insert(info.name(), dims.len());
        }
    }
    for stored in &graph.initializer {
        known.insert(stored.name(), stored.dims.len());
    }
    for node in &graph.node {
        let name = output(node);
        if known.contains_key(name) {
            continue;
        }
        let rank_of =
            |operand: usize| input(node, operand).and_then(|name| known.get(name).copied());
        let rank = match standard_op(node) {
            "Constant" => {
                constant::stored(graph, index, name).map(|source| source.tensor(graph).dims.len())
            }
            // The weights of a convolution have as many axes as its images.
            "Conv" | "ConvTranspose" => rank_of(0).or(rank_of(1)),
            "Gemm" | "Flatten" => Some(2),
            "MatMul" => match (rank_of(0), rank_of(1)) {
                (Some(a), Some(b)) if a >= 2 && b >= 2 => Some(a.max(b)),
                _ => None,
            },
            "Add" | "Sub" | "Mul" | "Div" | "Pow" => match (rank_of(0), rank_of(1)) {
                (Some(a), Some(b)) => Some(a.max(b)),
                _ => None,
            },
            "Reshape" => {
                match input(node, 1).and_then(|shape| constant::stored(graph, index, shape)) {
                    Some(source) => stored::shape(source.tensor(graph))?.first().copied(),
                    None => None,
                }
            }
            "ReduceMean" | "ReduceSum" | "ReduceMax" | "ReduceMin" => {
                match (
                    int_attribute(node, "keepdims", 1),
                    attribute(node, "axes"),
                    rank_of(0),
                ) {
                    (1, _, rank) => rank,
                    (_, Some(axes), Some(rank)) => rank.checked_sub(axes.ints.len()),
                    _ => None,
                }
            }
            "Concat" | "Cast" | "QuantizeLinear" | "DequantizeLinear" => rank_of(0),
            op if SAME_TYPE_AND_RANK.contains(&op) => rank_of(0),
            _ => None,
        };
        if let Some(rank) = rank {
            known.insert(name, rank);
        }
    }
    Ok(known)
}
