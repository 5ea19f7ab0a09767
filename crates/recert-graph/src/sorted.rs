//! Nodes in an order in which they can be computed, which ONNX asks for and some files
//! do not keep.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use crate::functions::subgraphs;
use crate::proto::onnx::{GraphProto, NodeProto, ValueInfoProto};

/// The tensors that a node takes, those of its subgraphs included (and, with them, those
/// that the subgraphs make themselves).
pub(crate) fn taken(node: &NodeProto) -> Vec<&str> {
    let mut names: Vec<&str> = node.input.iter().map(String::as_str).collect();
    for graph in subgraphs(node) {
        names.extend(graph.node.iter().flat_map(taken));
        names.extend(graph.output.iter().map(ValueInfoProto::name));
    }
    names.retain(|name| !name.is_empty());
    names
}

/// Puts nodes behind those that they take tensors from, where the file does not, as near
/// to the file's order as can be. Returns whether anything changed. A graph that has no
/// such order is left as it is.
pub(crate) fn sort(graph: &mut GraphProto) -> bool {
    let mut producers: HashMap<&str, usize> = HashMap::new();
    for (position, node) in graph.node.iter().enumerate() {
        for name in node.output.iter().filter(|name| !name.is_empty()) {
            producers.insert(name, position);
        }
    }
    let needed: Vec<HashSet<usize>> = (graph.node.iter().enumerate())
        .map(|(position, node)| {
            let names = taken(node).into_iter();
            let makers = names.filter_map(|name| producers.get(name).copied());
            makers.filter(|&maker| maker != position).collect()
        })
        .collect();
    let behind =
        |(position, makers): (usize, &HashSet<usize>)| makers.iter().all(|&maker| maker < position);
    if needed.iter().enumerate().all(behind) {
        return false;
    }
    let mut waits: Vec<usize> = needed.iter().map(HashSet::len).collect();
    let mut waiting: Vec<Vec<usize>> = vec![Vec::new(); waits.len()];
    for (position, makers) in needed.iter().enumerate() {
        for &maker in makers {
            waiting[maker].push(position);
        }
    }
    let free = (0..waits.len()).filter(|&position| waits[position] == 0);
    let mut ready: BinaryHeap<Reverse<usize>> = free.map(Reverse).collect();
    let mut order = Vec::new();
    while let Some(Reverse(position)) = ready.pop() {
        order.push(position);
        for &next in &waiting[position] {
            waits[next] -= 1;
            if waits[next] == 0 {
                ready.push(Reverse(next));
            }
        }
    }
    if order.len() != graph.node.len() {
        return false;
    }
    let mut nodes: Vec<Option<NodeProto>> = graph.node.drain(..).map(Some).collect();
    let sorted = order
        .into_iter()
        .filter_map(|position| nodes[position].take());
    graph.node = sorted.collect();
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Net;

    #[test]
    fn nodes_come_behind_what_they_take() {
        let names = |graph: &GraphProto| -> Vec<String> {
            graph
                .node
                .iter()
                .map(|node| node.output[0].clone())
                .collect()
        };
        let mut net = Net::new(13)
            .input("x", &[1])
            .output("d", &[1])
            .node("Add", &["b", "c"], "d")
            .node("Relu", &["b"], "c")
            .node("Abs", &["x"], "a")
            .node("Neg", &["a"], "b");
        assert!(sort(net.graph()));
        assert_eq!(names(net.graph()), ["a", "b", "c", "d"]);
        assert!(!sort(net.graph()));
        // What has no order is left for others to refuse by name.
        let mut circle = Net::new(13)
            .node("Add", &["b", "b"], "a")
            .node("Relu", &["a"], "b");
        assert!(!sort(circle.graph()));
        assert_eq!(names(circle.graph()), ["a", "b"]);
    }
}
