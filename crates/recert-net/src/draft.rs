//! A network being rewritten: fresh names, clean-up, metadata.

use std::collections::HashSet;

use recert_graph::index::{Index, hex, is_standard, node_name, output};
use recert_graph::proto::onnx::attribute_proto::AttributeType;
use recert_graph::proto::onnx::tensor_proto::DataType;
use recert_graph::proto::onnx::{
    AttributeProto, GraphProto, ModelProto, NodeProto, StringStringEntryProto, TensorProto,
};
use recert_graph::{Error, ErrorKind, Model, Result};

use crate::changes::Changes;

/// The metadata key that states in words what was done to the network.
pub(crate) const KEY_APPROXIMATION: &str = "recert.approximation";
/// The metadata key with the fingerprint of the network before.
pub(crate) const KEY_SOURCE: &str = "recert.source_sha256";
/// The metadata key that states what arithmetic engines use on the network.
pub(crate) const KEY_ARITHMETIC: &str = "recert.arithmetic";

pub(crate) struct Draft {
    proto: ModelProto,
    names: HashSet<String>,
    node_names: HashSet<String>,
}

impl Draft {
    /// A copy of the network to change.
    ///
    /// Initializers are no longer listed as inputs in it: format version 3
    /// asked for that, and it would allow a caller to replace the weights.
    pub(crate) fn of(model: &Model) -> Result<Self> {
        let mut proto = model.proto_to_rewrite()?;
        let graph = proto
            .graph
            .as_mut()
            .expect("reading has checked that there is a graph");
        Index::of(graph)?;
        for (position, node) in graph.node.iter().enumerate() {
            if node
                .attribute
                .iter()
                .any(|attribute| attribute.g.is_some() || !attribute.graphs.is_empty())
            {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    format!(
                        "node `{}` ({}) holds a subgraph, which rewrites do not support",
                        node_name(node, position),
                        node.op_type()
                    ),
                ));
            }
        }
        let sparse = graph
            .sparse_initializer
            .iter()
            .filter_map(|s| s.values.as_ref());
        let stored: HashSet<String> = graph
            .initializer
            .iter()
            .chain(sparse)
            .map(|t| t.name().to_owned())
            .collect();
        let inputs = graph.input.len();
        graph.input.retain(|info| !stored.contains(info.name()));
        let listed = graph.input.len() != inputs;
        let mut names = stored;
        names.extend(graph.input.iter().map(|info| info.name().to_owned()));
        names.extend(
            graph
                .node
                .iter()
                .flat_map(|node| node.output.iter().cloned()),
        );
        let node_names = graph
            .node
            .iter()
            .map(|node| node.name().to_owned())
            .collect();
        if listed && proto.ir_version() < 4 {
            proto.ir_version = Some(4);
        }
        Ok(Draft {
            proto,
            names,
            node_names,
        })
    }

    pub(crate) fn model_mut(&mut self) -> &mut ModelProto {
        &mut self.proto
    }

    /// The version of the standard operator set; 0 where none is imported.
    pub(crate) fn opset(&self) -> i64 {
        let standard = self
            .proto
            .opset_import
            .iter()
            .find(|set| is_standard(set.domain()));
        standard.map_or(0, recert_graph::proto::onnx::OperatorSetIdProto::version)
    }

    pub(crate) fn graph(&self) -> &GraphProto {
        self.proto
            .graph
            .as_ref()
            .expect("reading has checked that there is a graph")
    }

    pub(crate) fn graph_mut(&mut self) -> &mut GraphProto {
        self.proto
            .graph
            .as_mut()
            .expect("reading has checked that there is a graph")
    }

    pub(crate) fn index(&self) -> Result<Index> {
        Index::of(self.graph())
    }

    /// A tensor name that nothing has, `wanted` if it is free.
    pub(crate) fn fresh_name(&mut self, wanted: &str) -> String {
        fresh(&mut self.names, wanted)
    }

    /// A node of one of ONNX's own operators, under a free name.
    pub(crate) fn node(
        &mut self,
        op_type: &str,
        name: &str,
        inputs: &[&str],
        output: &str,
        attributes: &[(&str, i64)],
    ) -> NodeProto {
        NodeProto {
            op_type: Some(op_type.to_owned()),
            name: Some(fresh(&mut self.node_names, name)),
            input: inputs.iter().map(|&name| name.to_owned()).collect(),
            output: vec![output.to_owned()],
            attribute: attributes
                .iter()
                .map(|(name, value)| int(name, *value))
                .collect(),
            ..NodeProto::default()
        }
    }

    pub(crate) fn add_initializer(&mut self, tensor: TensorProto) {
        self.graph_mut().initializer.push(tensor);
    }

    /// Removes nodes and initializers that nothing takes any more, and what
    /// the file stated about the removed tensors.
    pub(crate) fn remove_unused(&mut self) {
        let graph = self.graph_mut();
        let mut taken: HashSet<String> = graph
            .output
            .iter()
            .map(|info| info.name().to_owned())
            .collect();
        let mut kept = vec![false; graph.node.len()];
        // Nodes come after those that they take from, so one pass from the end
        // finds everything that is needed.
        for (position, node) in graph.node.iter().enumerate().rev() {
            if node.output.iter().any(|name| taken.contains(name)) {
                kept[position] = true;
                taken.extend(node.input.iter().cloned());
            }
        }
        let mut kept = kept.into_iter();
        graph.node.retain(|_| kept.next().unwrap_or(true));
        graph
            .initializer
            .retain(|tensor| taken.contains(tensor.name()));
        let mut known: HashSet<&str> = graph
            .node
            .iter()
            .flat_map(|n| &n.output)
            .map(String::as_str)
            .collect();
        known.extend(
            graph
                .input
                .iter()
                .map(recert_graph::proto::onnx::ValueInfoProto::name),
        );
        known.extend(
            graph
                .initializer
                .iter()
                .map(recert_graph::proto::onnx::TensorProto::name),
        );
        graph.value_info.retain(|info| known.contains(info.name()));
        graph
            .quantization_annotation
            .retain(|note| known.contains(note.tensor_name()));
    }

    /// Checks and encodes the result, with `changes` written into its
    /// metadata and its size into `changes`.
    pub(crate) fn finish(
        mut self,
        source: &Model,
        mut changes: Changes,
    ) -> Result<(Model, Changes)> {
        self.index()?;
        changes.source_sha256 = source.sha256();
        changes.size_before = source.size();
        let before = source
            .metadata(KEY_APPROXIMATION)
            .map(|text| format!("{text}; then "));
        let all = before.unwrap_or_default() + &changes.approximation;
        let entries = [
            (KEY_APPROXIMATION, all),
            (KEY_SOURCE, hex(&changes.source_sha256)),
            (KEY_ARITHMETIC, changes.arithmetic.clone()),
        ];
        let properties = &mut self.proto.metadata_props;
        properties.retain(|entry| entries.iter().all(|(key, _)| entry.key() != *key));
        properties.extend(entries.map(|(key, value)| StringStringEntryProto {
            key: Some(key.to_owned()),
            value: Some(value),
        }));
        let model = Model::from_proto(source.name().to_owned(), self.proto)?;
        changes.size_after = model.size();
        Ok((model, changes))
    }

    /// Encodes the result without a report.
    pub(crate) fn into_model(self, name: &str) -> Result<Model> {
        self.index()?;
        Model::from_proto(name.to_owned(), self.proto)
    }

    /// Gives the tensor that `node` makes the name of the tensor that
    /// `successor` makes, and takes `successor` out. The node must be before
    /// it, and its own output must have no other taker.
    pub(crate) fn absorb(&mut self, node: usize, successor: usize) {
        let graph = self.graph_mut();
        let name = output(&graph.node[successor]).to_owned();
        graph.node[node].output[0] = name;
        graph.node.remove(successor);
    }
}

fn fresh(names: &mut HashSet<String>, wanted: &str) -> String {
    let mut name = wanted.to_owned();
    let mut number = 1;
    while !names.insert(name.clone()) {
        name = format!("{wanted}_{number}");
        number += 1;
    }
    name
}

pub(crate) fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(AttributeType::Int.into()),
        i: Some(value),
        ..AttributeProto::default()
    }
}

pub(crate) fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(AttributeType::Float.into()),
        f: Some(value),
        ..AttributeProto::default()
    }
}

/// Sets an attribute, replacing one of the same name.
pub(crate) fn set(node: &mut NodeProto, attribute: AttributeProto) {
    node.attribute.retain(|old| old.name() != attribute.name());
    node.attribute.push(attribute);
}

/// Whether the stored tensor is of float32.
pub(crate) fn is_float32(tensor: &TensorProto) -> bool {
    tensor.data_type() == DataType::Float as i32
}
