//! Which nodes of a file are needed, and in which order.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use crate::error::{Error, ErrorKind, Result};
use crate::index::node_name;
use crate::proto::onnx::GraphProto;

/// The positions of the nodes that these tensors need, in an order in which
/// they can be computed: the file's, where that is one.
pub(super) fn order(graph: &GraphProto, outputs: &[String]) -> Result<Vec<usize>> {
    let producers = producers(graph)?;
    let mut needed = HashSet::new();
    let mut left: Vec<&str> = outputs.iter().map(String::as_str).collect();
    while let Some(name) = left.pop() {
        if let Some(&position) = producers.get(name)
            && needed.insert(position)
        {
            left.extend(graph.node[position].input.iter().map(String::as_str));
        }
    }
    // How many nodes each one waits for, and who waits for it.
    let mut waits: HashMap<usize, usize> = HashMap::new();
    let mut waiting: HashMap<usize, Vec<usize>> = HashMap::new();
    for &position in &needed {
        let names = graph.node[position].input.iter();
        let before: HashSet<usize> = names
            .filter_map(|name| producers.get(name.as_str()).copied())
            .collect();
        waits.insert(position, before.len());
        for producer in before {
            waiting.entry(producer).or_default().push(position);
        }
    }
    let free = waits.iter().filter(|(_, count)| **count == 0);
    let mut ready: BinaryHeap<Reverse<usize>> = free.map(|(&p, _)| Reverse(p)).collect();
    let mut sorted = Vec::new();
    while let Some(Reverse(position)) = ready.pop() {
        sorted.push(position);
        for &next in waiting.get(&position).into_iter().flatten() {
            let count = waits.get_mut(&next).expect("every needed node is counted");
            *count -= 1;
            if *count == 0 {
                ready.push(Reverse(next));
            }
        }
    }
    let done: HashSet<usize> = sorted.iter().copied().collect();
    match needed.iter().filter(|p| !done.contains(p)).min() {
        None => Ok(sorted),
        Some(&position) => {
            let name = node_name(&graph.node[position], position);
            Err(invalid(format!("node '{name}' needs its own output")))
        }
    }
}

pub(super) fn invalid(why: String) -> Error {
    Error::new(ErrorKind::Graph, why)
}

/// The node that makes each tensor; every tensor has one origin.
fn producers(graph: &GraphProto) -> Result<HashMap<&str, usize>> {
    let mut origins = HashSet::new();
    for tensor in &graph.initializer {
        if !origins.insert(tensor.name()) {
            return Err(invalid(format!(
                "two initializers are called `{}`",
                tensor.name()
            )));
        }
    }
    // Old files list initializers as inputs too.
    origins.extend(
        graph
            .input
            .iter()
            .map(crate::proto::onnx::ValueInfoProto::name),
    );
    let mut producers = HashMap::new();
    for (position, node) in graph.node.iter().enumerate() {
        for name in node.output.iter().filter(|name| !name.is_empty()) {
            if !origins.insert(name) {
                return Err(invalid(format!("tensor `{name}` has two origins")));
            }
            producers.insert(name.as_str(), position);
        }
    }
    Ok(producers)
}
