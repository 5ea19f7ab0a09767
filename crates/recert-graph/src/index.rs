//! Who produces and who consumes each tensor of a graph.

use std::collections::{HashMap, HashSet};

use crate::error::{Error, ErrorKind, Result};
pub use crate::model::{hex, is_standard, node_name};
use crate::proto::onnx::{AttributeProto, GraphProto, NodeProto, TensorProto};

/// Where tensors come from and go to, by name. Built once for a state of the
/// graph and stale after any change of it.
pub struct Index {
    producers: HashMap<String, usize>,
    consumers: HashMap<String, Vec<Use>>,
    initializers: HashMap<String, usize>,
    outputs: HashSet<String>,
}

/// One input of one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Use {
    /// The node's position.
    pub node: usize,
    /// The input's position.
    pub input: usize,
}

fn invalid(why: String) -> Error {
    Error::new(ErrorKind::Graph, why)
}

impl Index {
    /// Indexes a graph, checking ONNX's rules on the way: every tensor has one
    /// origin, and a node comes after those that it takes tensors from.
    pub fn of(graph: &GraphProto) -> Result<Self> {
        let mut initializers = HashMap::new();
        for (position, tensor) in graph.initializer.iter().enumerate() {
            if initializers
                .insert(tensor.name().to_owned(), position)
                .is_some()
            {
                return Err(invalid(format!(
                    "two initializers are called `{}`",
                    tensor.name()
                )));
            }
        }
        let sparse = graph
            .sparse_initializer
            .iter()
            .filter_map(|s| s.values.as_ref());
        let mut known: HashSet<&str> = graph
            .input
            .iter()
            .map(super::proto::onnx::ValueInfoProto::name)
            .collect();
        known.extend(initializers.keys().map(String::as_str));
        known.extend(sparse.map(TensorProto::name));

        let mut producers = HashMap::new();
        let mut consumers: HashMap<String, Vec<Use>> = HashMap::new();
        for (node, proto) in graph.node.iter().enumerate() {
            for (input, name) in proto
                .input
                .iter()
                .enumerate()
                .filter(|(_, name)| !name.is_empty())
            {
                if !known.contains(name.as_str()) {
                    let name_of_node = node_name(proto, node);
                    return Err(invalid(format!(
                        "node `{name_of_node}` takes `{name}`, which nothing before it makes"
                    )));
                }
                consumers
                    .entry(name.clone())
                    .or_default()
                    .push(Use { node, input });
            }
            for name in proto.output.iter().filter(|name| !name.is_empty()) {
                if !known.insert(name) {
                    return Err(invalid(format!("tensor `{name}` has two origins")));
                }
                producers.insert(name.clone(), node);
            }
        }
        if let Some(missing) = graph
            .output
            .iter()
            .find(|info| !known.contains(info.name()))
        {
            return Err(invalid(format!(
                "nothing makes the output `{}`",
                missing.name()
            )));
        }
        let outputs = graph
            .output
            .iter()
            .map(|info| info.name().to_owned())
            .collect();
        Ok(Index {
            producers,
            consumers,
            initializers,
            outputs,
        })
    }

    /// The node that makes the tensor.
    pub fn producer(&self, tensor: &str) -> Option<usize> {
        self.producers.get(tensor).copied()
    }

    /// The node inputs that take the tensor, in node order.
    pub fn uses(&self, tensor: &str) -> &[Use] {
        self.consumers.get(tensor).map_or(&[], Vec::as_slice)
    }

    /// The position among the initializers.
    pub fn initializer(&self, tensor: &str) -> Option<usize> {
        self.initializers.get(tensor).copied()
    }

    /// Whether the tensor is an output of the network.
    pub fn is_output(&self, tensor: &str) -> bool {
        self.outputs.contains(tensor)
    }

    /// The only use of a tensor that is used once and is no output.
    pub fn only_use(&self, tensor: &str) -> Option<Use> {
        match self.uses(tensor) {
            [only] if !self.is_output(tensor) => Some(*only),
            _ => None,
        }
    }
}

/// Whether the node is ONNX's own operator of that name.
pub fn is_op(node: &NodeProto, op_type: &str) -> bool {
    node.op_type() == op_type && is_standard(node.domain())
}

/// The operator's name if it is one of ONNX's own, else the empty string.
pub fn standard_op(node: &NodeProto) -> &str {
    if is_standard(node.domain()) {
        node.op_type()
    } else {
        ""
    }
}

/// The node's attribute of that name.
pub fn attribute<'a>(node: &'a NodeProto, name: &str) -> Option<&'a AttributeProto> {
    node.attribute
        .iter()
        .find(|attribute| attribute.name() == name)
}

/// An integer attribute.
pub fn int_attribute(node: &NodeProto, name: &str, default: i64) -> i64 {
    attribute(node, name).map_or(default, AttributeProto::i)
}

/// A float attribute.
pub fn float_attribute(node: &NodeProto, name: &str, default: f32) -> f32 {
    attribute(node, name).map_or(default, AttributeProto::f)
}

/// The name of the node's input at `position`, if it is given.
pub fn input(node: &NodeProto, position: usize) -> Option<&str> {
    node.input
        .get(position)
        .map(String::as_str)
        .filter(|name| !name.is_empty())
}

/// The name of the node's first output, empty if it has none.
pub fn output(node: &NodeProto) -> &str {
    node.output.first().map_or("", String::as_str)
}
