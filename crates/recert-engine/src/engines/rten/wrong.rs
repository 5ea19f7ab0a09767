//! What this version of rten computes wrongly, found by comparing it operator
//! by operator with ONNX Runtime and ONNX's own reference evaluator.
//!
//! `tests/golden/README.md` tells how that was done and gives the figures. A
//! network that holds one of these is refused, since rten answers it with
//! plausible, wrong numbers. The list belongs to [`VERSION`](super::VERSION)
//! and is to be gone through anew when that changes.
//!
//! Three faults are not refused, because they depend on values that only show
//! while running, and values that far out do not occur in image classifiers:
//! a `QuantizeLinear` to uint8 of more than 2^31 quanta saturates to the wrong
//! end, int64 arithmetic is done in 32 bits, and float16 and float64 tensors
//! are computed in float32 (which loses nothing of float16).
//!
//! Nor is a difference of one quantum in `QuantizeLinear`: rten multiplies by
//! the reciprocal of the scale where ONNX divides, so that values halfway
//! between two quanta may go to the other one.

use std::collections::HashMap;

use rten_onnx::onnx::{AttributeProto, DataType, GraphProto, ModelProto, NodeProto};

/// A fault: where it shows, what is wrong, and what to do instead.
struct Fault {
    operators: &'static [&'static str],
    when: fn(&Site<'_>) -> bool,
    what: &'static str,
    advice: &'static str,
}

const OTHER_ENGINE: &str = "choose --engine onnxruntime";
const STATIC: &str =
    "quantize it statically (QuantizeLinear/DequantizeLinear), or choose --engine onnxruntime";
const OPSET: &str = "export it with opset 13 or later, or choose --engine onnxruntime";

const WRONG: [Fault; 10] = [
    // Wrong in 49 of 96 cases, by up to 5 times the largest value: wherever
    // there is padding, and wherever the weights are int8 or have a zero point
    // (but for plain 1x1 and depthwise convolutions). Without VNNI as the next.
    Fault {
        operators: &["ConvInteger"],
        when: |_| true,
        what: "integer convolutions",
        advice: STATIC,
    },
    // Wrong in 6 of 40 cases, by up to a fifth of the largest value: for
    // constant int8 weights with a zero point other than 0. And on x86
    // processors without VNNI sums of two products saturate at 16 bits, as
    // rten's own documentation of its kernels says.
    Fault {
        operators: &["MatMulInteger", "DynamicQuantizeLSTM"],
        when: |_| true,
        what: "integer matrix products",
        advice: STATIC,
    },
    // The padding goes to the end instead of to the beginning.
    Fault {
        operators: &["Conv", "ConvTranspose", "MaxPool", "AveragePool"],
        when: |site| site.text("auto_pad") == Some("SAME_LOWER"),
        what: "auto_pad SAME_LOWER",
        advice: "export it with explicit pads, or choose --engine onnxruntime",
    },
    // 2.7 becomes 2 and 0.5 becomes 0, where both are true, that is 1.
    Fault {
        operators: &["Cast"],
        when: |site| site.integer("to") == Some(DataType::BOOL.0.into()),
        what: "conversion to bool",
        advice: OTHER_ENGINE,
    },
    // As Cast; what it converts to is not in the file.
    Fault {
        operators: &["CastLike"],
        when: |_| true,
        what: "conversion to bool",
        advice: "export it with Cast, or choose --engine onnxruntime",
    },
    // Interpolates linearly, without a word.
    Fault {
        operators: &["Resize"],
        when: |site| site.text("mode") == Some("cubic"),
        what: "cubic interpolation",
        advice: OTHER_ENGINE,
    },
    // Before opset 13 these worked on all axes from the stated one on, by
    // default from axis 1 on; rten does what opset 13 says.
    Fault {
        operators: &["Softmax", "LogSoftmax"],
        when: |site| site.facts.opset < 13 && !site.is_last_axis(),
        what: "the meaning it had before opset 13",
        advice: OPSET,
    },
    // Of equal values the last is taken instead of the first. An ArgMax that
    // makes the network's output does not come here: recert takes it over.
    Fault {
        operators: &["ArgMax", "ArgMin"],
        when: |_| true,
        what: "ties",
        advice: "name the output with the logits, or choose --engine onnxruntime",
    },
    // The sign of 0 is 1.
    Fault {
        operators: &["Sign"],
        when: |_| true,
        what: "the sign of 0",
        advice: OTHER_ENGINE,
    },
    // Infinite from 89 on.
    Fault {
        operators: &["Softplus"],
        when: |_| true,
        what: "values above 88",
        advice: OTHER_ENGINE,
    },
];

/// A node that rten computes wrongly.
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

/// The first node of `model` that rten computes wrongly, but for those that
/// make the tensors `exempt`.
pub(super) fn find(model: &ModelProto, exempt: &[&str]) -> Option<Wrong> {
    let graph = model.graph.as_ref()?;
    let mut facts = Facts {
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
            let fault = WRONG
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
struct Site<'a> {
    node: &'a NodeProto,
    facts: &'a Facts<'a>,
}

impl<'a> Site<'a> {
    fn attribute(&self, name: &str) -> Option<&'a AttributeProto> {
        attribute(self.node, name)
    }

    fn text(&self, name: &str) -> Option<&'a str> {
        self.attribute(name)?.s.as_deref()
    }

    fn integer(&self, name: &str) -> Option<i64> {
        self.attribute(name)?.i
    }

    /// Whether the attribute `axis`, 1 if absent, is known to be the last one.
    fn is_last_axis(&self) -> bool {
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
