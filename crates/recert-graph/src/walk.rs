//! Going through a graph with a state for every value: what is propagated
//! (tensors, intervals, coefficients of linear bounds) is the caller's.

use crate::graph::{Graph, Node, ValueId};

/// A state for some of a graph's values.
#[derive(Debug, Clone)]
pub struct States<T>(Vec<Option<T>>);

impl<T> States<T> {
    /// No states yet.
    pub fn new(graph: &Graph) -> Self {
        Self(graph.values().iter().map(|_| None).collect())
    }

    /// A value's state.
    pub fn get(&self, id: ValueId) -> Option<&T> {
        self.0[id.index()].as_ref()
    }

    /// Sets a value's state, and returns the one before.
    pub fn insert(&mut self, id: ValueId, state: T) -> Option<T> {
        self.0[id.index()].replace(state)
    }

    /// Takes a value's state out.
    pub fn remove(&mut self, id: ValueId) -> Option<T> {
        self.0[id.index()].take()
    }

    /// The states of a node's inputs, in order; `None` where an input is left
    /// out or has no state (a constant that was given none).
    pub fn inputs(&self, node: &Node) -> Vec<Option<&T>> {
        let state = |id: &Option<ValueId>| id.and_then(|id| self.get(id));
        node.inputs.iter().map(state).collect()
    }
}

/// Which states are kept until the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep<'a> {
    /// All of them.
    All,
    /// Those of these values; others are dropped after their last use.
    Only(&'a [ValueId]),
}

/// Goes from the inputs to the outputs.
///
/// `states` holds those of the inputs
/// (and of constants, where `step` wants them there); `step` makes those of a
/// node's outputs, one for each entry of [`Node::outputs`].
///
/// ```
/// use recert_graph::{Builder, Keep, Model, States, forwards};
///
/// # fn main() -> recert_graph::Result<()> {
/// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../recert-net/tests/golden/residual.onnx");
/// // How deep each value lies in the network.
/// let graph = Builder::new(&Model::read(path)?).build()?;
/// let mut states = States::new(&graph);
/// states.insert(graph.inputs()[0], 0);
/// let depths = forwards(&graph, states, Keep::Only(graph.outputs()), |node, states| {
///     let before = states.inputs(node).into_iter().flatten().max();
///     let depth = before.map_or(0, |depth| depth + 1);
///     Ok::<_, recert_graph::Error>(vec![depth; node.outputs.len()])
/// })?;
/// assert!(depths.get(graph.outputs()[0]) > Some(&5));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// The first one of `step`.
pub fn forwards<T, E>(
    graph: &Graph,
    mut states: States<T>,
    keep: Keep<'_>,
    mut step: impl FnMut(&Node, &States<T>) -> Result<Vec<T>, E>,
) -> Result<States<T>, E> {
    let mut left = vec![0_usize; graph.values().len()];
    let inputs = graph.nodes().iter().flat_map(|node| &node.inputs);
    for id in inputs.flatten() {
        left[id.index()] += 1;
    }
    let kept = |id: ValueId| match keep {
        Keep::All => true,
        Keep::Only(ids) => ids.contains(&id),
    };
    for node in graph.nodes() {
        let made = step(node, &states)?;
        for (id, state) in node.outputs.iter().zip(made) {
            if let Some(id) = *id
                && (left[id.index()] > 0 || kept(id))
            {
                states.insert(id, state);
            }
        }
        for id in node.inputs.iter().copied().flatten() {
            left[id.index()] -= 1;
            if left[id.index()] == 0 && !kept(id) {
                states.remove(id);
            }
        }
    }
    Ok(states)
}

/// Goes from some values back to the inputs.
///
/// `states` holds those to begin with. For every node of which some output has a state, `step` gets these
/// (taken out of `states`) and makes those of the node's inputs, one for each
/// entry of [`Node::inputs`], `None` where there is none; `join` makes one of
/// the states that several users give a value. The states that are left are
/// those of the graph's inputs and of constants.
///
/// # Errors
///
/// The first one of `step`.
pub fn backwards<T, E>(
    graph: &Graph,
    mut states: States<T>,
    mut join: impl FnMut(T, T) -> T,
    mut step: impl FnMut(&Node, Vec<Option<T>>) -> Result<Vec<Option<T>>, E>,
) -> Result<States<T>, E> {
    for node in graph.nodes().iter().rev() {
        let outputs = node.outputs.iter();
        let taken: Vec<Option<T>> = outputs
            .map(|id| id.and_then(|id| states.remove(id)))
            .collect();
        if taken.iter().all(Option::is_none) {
            continue;
        }
        let made = step(node, taken)?;
        for (id, state) in node.inputs.iter().zip(made) {
            if let (Some(id), Some(state)) = (*id, state) {
                let joined = match states.remove(id) {
                    Some(other) => join(other, state),
                    None => state,
                };
                states.insert(id, joined);
            }
        }
    }
    Ok(states)
}
