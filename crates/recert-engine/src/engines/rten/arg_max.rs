//! A final `ArgMax`, taken over from rten, which decides ties wrongly.

use recert_graph::proto::onnx::tensor_proto::DataType;
use recert_graph::proto::onnx::{GraphProto, NodeProto};

use crate::engines::faults::attribute;

/// The scores that a network's classes come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ArgMax {
    /// The tensor with the scores.
    pub(super) scores: String,
    /// The tensor that the `ArgMax` makes.
    pub(super) classes: String,
    /// Whether the file says "the last axis", which must then be the classes'.
    last_axis: bool,
}

impl ArgMax {
    /// The `ArgMax` that makes the tensor `output` of a graph: over axis 1, with
    /// nothing after it that changes values or their order.
    pub(super) fn find(graph: &GraphProto, output: &str) -> Option<Self> {
        let node = maker_of_classes(graph, output)?;
        if node.op_type.as_deref() != Some("ArgMax") {
            return None;
        }
        let integer = |name| attribute(node, name).and_then(|attribute| attribute.i);
        let axis = integer("axis").unwrap_or(0);
        if !matches!(axis, 1 | -1) || integer("select_last_index").unwrap_or(0) != 0 {
            return None;
        }
        // rten optimises an Identity away, and its output with it.
        let mut scores = node.input.first()?;
        for _ in 0..graph.node.len() {
            match producer(graph, scores) {
                Some(before) if before.op_type.as_deref() == Some("Identity") => {
                    scores = before.input.first()?;
                }
                _ => break,
            }
        }
        Some(Self {
            scores: scores.clone(),
            classes: node.output.first()?.clone(),
            last_axis: axis == -1,
        })
    }

    /// The classes of `scores` of dimensions `shape`: the first of the largest
    /// values, or -1 if any is NaN or infinite. `None` if the shape is not
    /// `[n, classes]`, possibly with further extents of 1.
    pub(super) fn classes(&self, shape: &[usize], scores: &[f32]) -> Option<Vec<i64>> {
        let [_, classes, rest @ ..] = shape else {
            return None;
        };
        if *classes == 0
            || rest.iter().any(|&extent| extent != 1)
            || (self.last_axis && !rest.is_empty())
        {
            return None;
        }
        Some(scores.chunks_exact(*classes).map(first_largest).collect())
    }
}

fn first_largest(row: &[f32]) -> i64 {
    let mut best = 0;
    for (class, &score) in row.iter().enumerate() {
        if !score.is_finite() {
            return -1;
        }
        if score > row[best] {
            best = class;
        }
    }
    best as i64
}

fn producer<'a>(graph: &'a GraphProto, tensor: &str) -> Option<&'a NodeProto> {
    let makes = |node: &&NodeProto| node.output.iter().any(|output| output == tensor);
    graph.node.iter().find(makes)
}

/// The node that makes `tensor`, past those that hand classes on.
fn maker_of_classes<'a>(graph: &'a GraphProto, tensor: &str) -> Option<&'a NodeProto> {
    let mut node = producer(graph, tensor)?;
    // No chain is longer than the graph, whatever the file claims.
    for _ in 0..graph.node.len() {
        if !keeps_classes(node) {
            return Some(node);
        }
        node = producer(graph, node.input.first()?)?;
    }
    None
}

/// Whether a node hands class numbers on as they are.
fn keeps_classes(node: &NodeProto) -> bool {
    match node.op_type.as_deref() {
        Some("Identity" | "Squeeze" | "Unsqueeze" | "Flatten" | "Reshape") => true,
        Some("Cast") => {
            let to = attribute(node, "to").and_then(|attribute| attribute.i);
            [DataType::Int32, DataType::Int64]
                .iter()
                .any(|&kind| to == Some(kind as i64))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::ArgMax;

    #[test]
    fn ties_go_to_the_first_and_bad_scores_to_none() {
        let arg_max = ArgMax {
            scores: "scores".into(),
            classes: "classes".into(),
            last_axis: false,
        };
        let scores = [
            1.0,
            3.0,
            3.0,
            2.0,
            2.0,
            2.0,
            0.0,
            f32::NAN,
            1.0,
            f32::INFINITY,
            0.0,
            0.0,
        ];
        assert_eq!(arg_max.classes(&[4, 3], &scores), Some(vec![1, 0, -1, -1]));
        assert_eq!(
            arg_max.classes(&[4, 3, 1], &scores),
            Some(vec![1, 0, -1, -1])
        );
        assert_eq!(arg_max.classes(&[2, 3, 2], &scores), None);
        assert_eq!(arg_max.classes(&[12], &scores), None);
        let last = ArgMax {
            last_axis: true,
            ..arg_max
        };
        assert_eq!(last.classes(&[4, 3, 1], &scores), None);
    }
}
