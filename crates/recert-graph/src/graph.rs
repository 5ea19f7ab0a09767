//! The typed graph: values with types and shapes, nodes in an order in which
//! they can be computed.

use std::sync::Arc;

use crate::element::ElementType;
use crate::op::Op;
use crate::shape::Shape;
use crate::tensor::Tensor;

/// A value, by its number in a [`Graph`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(pub(crate) usize);

impl ValueId {
    /// The position among [`Graph::values`].
    pub fn index(self) -> usize {
        self.0
    }
}

/// A tensor of the graph: an input, a constant, or what a node makes.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Value {
    /// The tensor's name in the file.
    pub name: String,
    /// The type of its elements.
    pub element: ElementType,
    /// Its shape.
    pub shape: Shape,
    /// Its elements, where they are known before the network runs.
    pub constant: Option<Arc<Tensor>>,
    /// Whether these are computed by the file's nodes of constants that it stores, in the nodes' type
    /// and rounded there. What moves or repeats elements, or widens them, computes nothing.
    pub computed: bool,
    /// How often the file takes it, as a node's input or as an output of the
    /// network, before anything was folded. What is fused looks at this, so
    /// that it does not depend on how much can be folded.
    pub uses: usize,
}

/// An operator applied to values.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Node {
    /// The node's name, or `#` and its position in the file where that gives
    /// none.
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// Its inputs, in the order of the documentation of [`Op`]; `None`
    /// where an optional input is left out.
    pub inputs: Vec<Option<ValueId>>,
    /// Its outputs; `None` where nothing takes it.
    pub outputs: Vec<Option<ValueId>>,
}

/// A network, read and checked.
///
/// Every value but inputs and constants is made by exactly one node, and every
/// node comes after those that make what it takes. Names of values and of
/// nodes are the file's.
#[derive(Debug, Clone)]
pub struct Graph {
    pub(crate) values: Vec<Value>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) inputs: Vec<ValueId>,
    pub(crate) outputs: Vec<ValueId>,
}

impl Graph {
    /// All values, by [`ValueId::index`].
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// All nodes, in an order in which they can be computed: the file's, where
    /// that is one.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The inputs that a caller provides, in the file's order.
    pub fn inputs(&self) -> &[ValueId] {
        &self.inputs
    }

    /// The network's outputs, in the order asked for. Each may be a
    /// constant, or an input.
    pub fn outputs(&self) -> &[ValueId] {
        &self.outputs
    }

    /// Drops nodes and values that no output needs; ids are numbered anew.
    pub(crate) fn prune(&mut self) {
        let mut needed = vec![false; self.values.len()];
        for &ValueId(id) in self.inputs.iter().chain(&self.outputs) {
            needed[id] = true;
        }
        let mut kept = vec![false; self.nodes.len()];
        for (position, node) in self.nodes.iter().enumerate().rev() {
            if node.outputs.iter().flatten().any(|id| needed[id.0]) {
                kept[position] = true;
                for id in node.inputs.iter().flatten() {
                    needed[id.0] = true;
                }
            }
        }
        let mut kept = kept.into_iter();
        self.nodes.retain(|_| kept.next() == Some(true));
        let mut count = 0;
        let number = |needed: &bool| {
            count += usize::from(*needed);
            needed.then(|| ValueId(count - 1))
        };
        let numbers: Vec<Option<ValueId>> = needed.iter().map(number).collect();
        let mut needed = needed.into_iter();
        self.values.retain(|_| needed.next() == Some(true));
        for node in &mut self.nodes {
            for id in node.inputs.iter_mut().chain(&mut node.outputs) {
                *id = id.and_then(|id| numbers[id.0]);
            }
        }
        for id in self.inputs.iter_mut().chain(&mut self.outputs) {
            *id = numbers[id.0].expect("inputs and outputs are needed");
        }
    }

    /// One value.
    pub fn value(&self, id: ValueId) -> &Value {
        &self.values[id.0]
    }

    /// A value's elements, if it is a constant.
    pub fn constant(&self, id: ValueId) -> Option<&Tensor> {
        self.values[id.0].constant.as_deref()
    }
}

impl Node {
    /// The input at `position`, if it is given.
    pub fn input(&self, position: usize) -> Option<ValueId> {
        self.inputs.get(position).copied().flatten()
    }

    /// The first output, which every node has.
    ///
    /// # Panics
    ///
    /// If it has none, which no graph that was read has.
    pub fn output(&self) -> ValueId {
        let first = self.outputs.iter().copied().flatten().next();
        first.expect("nodes without outputs are dropped in reading")
    }
}
