//! Where the graphs of several networks part: the last tensor that is the same
//! in all of them and through which alone their outputs see the image.

use super::same::{same, same_value};
use crate::ir::{Graph, Node, Op, OutputValue, ValueId};

/// A tensor at which all graphs can be cut: which value it is in each.
pub(super) type Seam = Vec<ValueId>;

/// For each value of `graph` the value of `model` that is the same because it
/// is computed of the image in the same way, if there is one.
fn counterparts(model: &Graph, graph: &Graph) -> Vec<Option<ValueId>> {
    let alike = |a: ValueId, b: ValueId| same_value(&model.values[a], &graph.values[b]);
    let mut found = vec![None; graph.values.len()];
    if alike(model.input, graph.input) {
        found[graph.input] = Some(model.input);
    }
    for node in &graph.nodes {
        let inputs = node.inputs.iter().map(|&value| found[value]);
        let Some(inputs) = inputs.collect::<Option<Vec<_>>>() else {
            continue;
        };
        let twin = model.nodes.iter().find(|twin| {
            twin.inputs == inputs && alike(twin.output, node.output) && same(&twin.op, &node.op)
        });
        found[node.output] = twin.map(|twin| twin.output);
    }
    found
}

/// Which values are needed for the outputs if `seam` is given.
fn needed(graph: &Graph, seam: ValueId) -> Vec<bool> {
    let outputs = graph.outputs.iter().map(|output| output.value);
    behind(graph, outputs, Some(seam))
}

/// Which values `wanted` are computed of, themselves among them, if `given` is
/// not computed.
fn behind(
    graph: &Graph,
    wanted: impl Iterator<Item = ValueId>,
    given: Option<ValueId>,
) -> Vec<bool> {
    let mut needed = vec![false; graph.values.len()];
    for value in wanted {
        needed[value] = true;
    }
    for node in graph.nodes.iter().rev() {
        if needed[node.output] && Some(node.output) != given {
            for &input in &node.inputs {
                needed[input] = true;
            }
        }
    }
    needed
}

/// All tensors at which the graphs can be cut, in the order in which they are
/// computed: floats that are the same in all of them and without which no
/// output can be computed in any. A graph that takes a scale from a whole batch
/// is never cut.
pub(super) fn seams(graphs: &[Graph]) -> Vec<Seam> {
    let Some(model) = graphs.first() else {
        return Vec::new();
    };
    if graphs.iter().any(|graph| graph.single) {
        return Vec::new();
    }
    let found: Vec<_> = (graphs.iter().map(|graph| counterparts(model, graph))).collect();
    let seam = |value: ValueId| -> Option<Seam> {
        let kind = &model.values[value];
        if kind.bytes.is_some() || kind.integers {
            return None;
        }
        let twins = graphs.iter().zip(&found).map(|(graph, found)| {
            // The only one: what is computed twice is left alone.
            let mut twins = (0..found.len()).filter(|&id| found[id] == Some(value));
            let twin = twins.next().filter(|_| twins.next().is_none())?;
            let needed = needed(graph, twin);
            (needed[twin] && !needed[graph.input]).then_some(twin)
        });
        twins.collect()
    };
    let values = model.nodes.iter().map(|node| node.output);
    values.filter_map(seam).collect()
}

/// The graphs, cut at `seam`: what comes before it, whose output it is, and for
/// each of them what comes after it, whose image it is.
pub(super) fn cut(graphs: Vec<Graph>, seam: &Seam) -> (Graph, Vec<Graph>) {
    let model = &graphs[0];
    let needed_before = behind(model, std::iter::once(seam[0]), None);
    let before = Graph {
        values: model.values.clone(),
        nodes: (model.nodes.iter())
            .filter(|node| needed_before[node.output])
            .cloned()
            .collect(),
        input: model.input,
        outputs: vec![OutputValue {
            value: seam[0],
            arg_max: None,
        }],
        single: false,
    };
    let after = graphs.into_iter().zip(seam).map(|(mut graph, &seam)| {
        let needed = needed(&graph, seam);
        graph
            .nodes
            .retain(|node| needed[node.output] && node.output != seam);
        graph.input = seam;
        graph
    });
    (before, after.collect())
}

/// How many multiply-adds the layers of a graph take for an image, and how many
/// layers these are.
pub(super) fn work(graph: &Graph) -> (f64, usize) {
    let count = |node: &Node| match &node.op {
        Op::Conv { filter, window, .. } => {
            Some(filter.weights.len() * window.output.iter().product::<usize>())
        }
        Op::ByteConv { filter, window, .. } => {
            Some(filter.weights.len() * window.output.iter().product::<usize>())
        }
        Op::Gemm { weights, .. } => Some(weights.len()),
        Op::Linear { weights, bias, .. } => {
            Some(weights.len() * (graph.values[node.output].len() / bias.len()))
        }
        Op::Product(product) => {
            let [rows, inner, columns] = product.sizes;
            Some(product.output.firsts.len() * rows * inner * columns)
        }
        Op::Attention(attention) => {
            let [queries, keys, inner, width] = attention.sizes;
            Some(attention.output.firsts.len() * queries * keys * (inner + width))
        }
        Op::ByteGemm { filter, .. } => Some(filter.weights.len()),
        _ => None,
    };
    let each: Vec<usize> = graph.nodes.iter().filter_map(count).collect();
    (each.iter().map(|&count| count as f64).sum(), each.len())
}
