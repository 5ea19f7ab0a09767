//! Looking through a network for operators that an engine is known to compute
//! wrongly; each engine has its own list of them.

use std::collections::HashMap;

use recert_graph::Model;
use recert_graph::proto::onnx::{AttributeProto, GraphProto, NodeProto, type_proto};

use super::EngineEntry;
use crate::{Error, ErrorKind};

/// A fault: where it shows, what is wrong, and what to do instead.
pub(super) struct Fault {
    pub(super) operators: &'static [&'static str],
    pub(super) when: fn(&Site<'_>) -> bool,
    /// What is computed wrongly, as in "is known to compute .. wrongly".
    pub(super) computation: &'static str,
    pub(super) advice: &'static str,
}

/// Refuses a network that has one of an engine's faults in a node, but for the nodes that
/// make the tensors `exempt`.
pub(super) fn refuse(
    engine: &EngineEntry,
    version: &str,
    faults: &[Fault],
    model: &Model,
    exempt: &[&str],
) -> Result<(), Error> {
    let graph = model.graph_proto();
    let mut facts = Facts {
        faults,
        opset: model.opset().unwrap_or(i64::MAX),
        exempt,
        ranks: HashMap::new(),
        stored: HashMap::new(),
        makers: HashMap::new(),
    };
    facts.collect(graph);
    let Some((node, fault)) = facts.find(graph) else {
        return Ok(());
    };
    let message = format!(
        "{}: node {node}: {} {version} is known to compute {} wrongly: {}",
        model.name(),
        engine.title,
        fault.computation,
        fault.advice,
    );
    Err(Error::new(ErrorKind::Unsupported, message))
}

/// What the file states of its tensors.
struct Facts<'a> {
    faults: &'a [Fault],
    opset: i64,
    exempt: &'a [&'a str],
    ranks: HashMap<&'a str, usize>,
    /// The extents of the tensors that the file stores.
    stored: HashMap<&'a str, &'a [i64]>,
    /// The node that makes each tensor.
    makers: HashMap<&'a str, &'a NodeProto>,
}

impl<'a> Facts<'a> {
    fn collect(&mut self, graph: &'a GraphProto) {
        for info in graph
            .input
            .iter()
            .chain(&graph.output)
            .chain(&graph.value_info)
        {
            let kind = info.r#type.as_ref().and_then(|kind| kind.value.as_ref());
            if let Some(type_proto::Value::TensorType(tensor)) = kind
                && let (Some(name), Some(shape)) = (&info.name, &tensor.shape)
            {
                self.ranks.insert(name, shape.dim.len());
            }
        }
        for tensor in &graph.initializer {
            self.stored.insert(tensor.name(), &tensor.dims);
        }
        for node in &graph.node {
            let made = node.output.iter();
            self.makers.extend(made.map(|name| (name.as_str(), node)));
            for graph in node
                .attribute
                .iter()
                .filter_map(|attribute| attribute.g.as_ref())
            {
                self.collect(graph);
            }
        }
    }

    /// The first node that is computed wrongly, by name and operator, and why.
    fn find(&self, graph: &GraphProto) -> Option<(String, &'a Fault)> {
        for (position, node) in graph.node.iter().enumerate() {
            let operator = node.op_type.as_deref().unwrap_or_default();
            let site = Site { node, facts: self };
            let exempt = |output: &String| self.exempt.contains(&output.as_str());
            let mut faults = self.faults.iter();
            let fault = faults
                .find(|fault| fault.operators.contains(&operator) && (fault.when)(&site))
                .filter(|_| !node.output.iter().any(exempt));
            if let Some(fault) = fault {
                let name = match node.name.as_deref() {
                    None | Some("") => format!("#{position}"),
                    Some(name) => name.to_owned(),
                };
                return Some((format!("'{name}' ({operator})"), fault));
            }
            let mut inside = node
                .attribute
                .iter()
                .filter_map(|attribute| attribute.g.as_ref());
            if let Some(found) = inside.find_map(|graph| self.find(graph)) {
                return Some(found);
            }
        }
        None
    }
}

/// A node and what is known around it.
pub(super) struct Site<'a> {
    node: &'a NodeProto,
    facts: &'a Facts<'a>,
}

impl<'a> Site<'a> {
    /// The attribute of this name.
    pub(super) fn attribute(&self, name: &str) -> Option<&'a AttributeProto> {
        attribute(self.node, name)
    }

    /// The attribute of this name, if it is a text.
    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        std::str::from_utf8(self.attribute(name)?.s.as_deref()?).ok()
    }

    /// The attribute of this name, if it is an integer.
    pub(super) fn integer(&self, name: &str) -> Option<i64> {
        self.attribute(name)?.i
    }

    /// The attribute of this name, if it is a list of integers; else nothing.
    pub(super) fn integers(&self, name: &str) -> &'a [i64] {
        self.attribute(name)
            .map_or(&[], |attribute| attribute.ints.as_slice())
    }

    /// Whether the node has no other attributes than these.
    pub(super) fn attributes_are_of(&self, names: &[&str]) -> bool {
        let known = |attribute: &AttributeProto| {
            let name = attribute.name.as_deref();
            name.is_some_and(|name| names.contains(&name))
        };
        self.node.attribute.iter().all(known)
    }

    /// The number of inputs, up to the last that is given.
    pub(super) fn inputs(&self) -> usize {
        let mut inputs = self.node.input.iter();
        inputs
            .rposition(|name| !name.is_empty())
            .map_or(0, |last| last + 1)
    }

    /// The operator that makes this input, and the node it is; nothing for an input of the
    /// network and for what is stored.
    pub(super) fn maker(&self, input: usize) -> Option<Self> {
        let facts = self.facts;
        let node: &'a NodeProto = facts.makers.get(self.node.input.get(input)?.as_str())?;
        Some(Self { node, facts })
    }

    /// The node's operator.
    pub(super) fn operator(&self) -> &'a str {
        self.node.op_type()
    }

    /// The extents of this input where the file stores it, as floats or quantized.
    fn stored(&self, input: usize) -> Option<&'a [i64]> {
        let maker = self.maker(input);
        let quantized = maker.filter(|maker| maker.operator() == "DequantizeLinear");
        let name = match &quantized {
            Some(maker) => maker.node.input.first()?,
            None => self.node.input.get(input)?,
        };
        self.facts.stored.get(name.as_str()).copied()
    }

    /// Whether a convolution, whose weights are input `weights`, has as much padding on one
    /// side as its window is wide, dilation included: windows may then lie in the padding.
    pub(super) fn pads_whole_windows(&self, weights: usize) -> bool {
        let stated = self.integers("kernel_shape");
        let stored = self.stored(weights).and_then(|dims| dims.get(2..));
        let kernel = if stated.is_empty() {
            stored.unwrap_or_default()
        } else {
            stated
        };
        let pads = self.integers("pads");
        let dilations = self.integers("dilations");
        kernel.iter().enumerate().any(|(axis, window)| {
            let dilation = dilations.get(axis).copied().unwrap_or(1);
            let extent = (window.saturating_sub(1)).saturating_mul(dilation);
            [axis, kernel.len() + axis]
                .iter()
                .any(|&side| pads.get(side).is_some_and(|&pad| pad > extent))
        })
    }

    /// The version of ONNX's own operators.
    pub(super) fn opset(&self) -> i64 {
        self.facts.opset
    }

    /// Whether the attribute `axis`, 1 if absent, is known to be the last one.
    pub(super) fn is_last_axis(&self) -> bool {
        let axis = self.integer("axis").unwrap_or(1);
        let mut names = self.node.input.iter().chain(&self.node.output);
        let rank = names.find_map(|name| self.facts.ranks.get(name.as_str()));
        axis == -1 || rank.is_some_and(|&rank| axis == rank as i64 - 1)
    }
}

/// The attribute `name` of `node`.
pub(super) fn attribute<'a>(node: &'a NodeProto, name: &str) -> Option<&'a AttributeProto> {
    node.attribute
        .iter()
        .find(|attribute| attribute.name.as_deref() == Some(name))
}
