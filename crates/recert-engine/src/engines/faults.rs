//! Looking through a network for operators that an engine is known to compute
//! wrongly; each engine has its own list of them.

use std::collections::HashMap;

use rten_onnx::onnx::{AttributeProto, GraphProto, ModelProto, NodeProto};

/// A fault: where it shows, what is wrong, and what to do instead.
pub(super) struct Fault {
    pub(super) operators: &'static [&'static str],
    pub(super) when: fn(&Site<'_>) -> bool,
    /// What is computed wrongly, as in "is known to compute .. wrongly".
    pub(super) what: &'static str,
    pub(super) advice: &'static str,
}

/// A node that an engine computes wrongly.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    /// Its name, or `#` and its position where it has none.
    pub(super) node: String,
    /// Its operator.
    pub(super) operator: String,
    /// What is computed wrongly.
    pub(super) what: &'static str,
    /// What to do instead.
    pub(super) advice: &'static str,
}

/// The first node of `model` that has one of `faults`, but for those that make
/// the tensors `exempt`.
pub(super) fn find(faults: &[Fault], model: &ModelProto, exempt: &[&str]) -> Option<Wrong> {
    let graph = model.graph.as_ref()?;
    let mut facts = Facts {
        faults,
        opset: opset(model),
        exempt,
        ranks: HashMap::new(),
    };
    facts.collect(graph);
    facts.find(graph)
}

/// The version of ONNX's own operators.
pub(super) fn opset(model: &ModelProto) -> i64 {
    let standard = |domain: Option<&str>| matches!(domain, None | Some("" | "ai.onnx"));
    let own = model
        .opset_import
        .iter()
        .find(|set| standard(set.domain.as_deref()));
    own.and_then(|set| set.version).unwrap_or(i64::MAX)
}

/// What the file states of its tensors.
struct Facts<'a> {
    faults: &'a [Fault],
    opset: i64,
    exempt: &'a [&'a str],
    ranks: HashMap<&'a str, usize>,
}

impl<'a> Facts<'a> {
    fn collect(&mut self, graph: &'a GraphProto) {
        for info in graph
            .input
            .iter()
            .chain(&graph.output)
            .chain(&graph.value_info)
        {
            let tensor = info.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
            let shape = tensor.and_then(|tensor| tensor.shape.as_ref());
            if let (Some(name), Some(shape)) = (&info.name, shape) {
                self.ranks.insert(name, shape.dim.len());
            }
        }
        for node in &graph.node {
            for graph in node
                .attribute
                .iter()
                .filter_map(|attribute| attribute.g.as_ref())
            {
                self.collect(graph);
            }
        }
    }

    fn find(&self, graph: &GraphProto) -> Option<Wrong> {
        for (position, node) in graph.node.iter().enumerate() {
            let operator = node.op_type.as_deref().unwrap_or_default();
            let site = Site { node, facts: self };
            let fault = self
                .faults
                .iter()
                .filter(|_| {
                    !node
                        .output
                        .iter()
                        .any(|output| self.exempt.contains(&output.as_str()))
                })
                .find(|fault| fault.operators.contains(&operator) && (fault.when)(&site));
            if let Some(fault) = fault {
                return Some(Wrong {
                    node: match node.name.as_deref() {
                        None | Some("") => format!("#{position}"),
                        Some(name) => name.to_owned(),
                    },
                    operator: operator.to_owned(),
                    what: fault.what,
                    advice: fault.advice,
                });
            }
            let mut inside = node
                .attribute
                .iter()
                .filter_map(|attribute| attribute.g.as_ref());
            if let Some(wrong) = inside.find_map(|graph| self.find(graph)) {
                return Some(wrong);
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
        self.attribute(name)?.s.as_deref()
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
        let mut own = self.node.attribute.iter();
        own.all(|own| {
            own.name
                .as_deref()
                .is_some_and(|name| names.contains(&name))
        })
    }

    /// The number of inputs, up to the last that is given.
    pub(super) fn inputs(&self) -> usize {
        let mut inputs = self.node.input.iter();
        inputs
            .rposition(|name| !name.is_empty())
            .map_or(0, |last| last + 1)
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
