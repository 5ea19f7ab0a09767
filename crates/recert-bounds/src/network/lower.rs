//! From a typed graph to steps.

use std::collections::HashMap;

use recert_graph::{Data, Graph, Node, Op, Tensor, Unary, ValueId};

use super::Network;
use crate::error::{Error, ErrorKind, Result};
use crate::layout::Layout;
use crate::step::{Id, Kind, Linear, Rearrange, Step};

/// More elements a value have no network that bounds are propagated through.
const MOST_ELEMENTS: usize = 1 << 28;

/// Lowers a graph; without a final softmax where that is asked for.
pub(super) fn lowered(graph: &Graph, drop_softmax: bool) -> Result<Network> {
    let (&[input], &[output]) = (graph.inputs(), graph.outputs()) else {
        return Err(Error::unsupported(format!(
            "the network has {} inputs and {} outputs, where bounds are of one output of one \
             input: name the output",
            graph.inputs().len(),
            graph.outputs().len()
        )));
    };
    let mut lowering = Lowering {
        graph,
        values: HashMap::new(),
        layouts: Vec::new(),
        steps: Vec::new(),
        name: String::new(),
        derived: None,
    };
    let shape = graph.value(input).shape.at(1);
    let layout = checked_layout(&shape).map_err(|error| error.at("the input"))?;
    let stored = lowering.value(Layout::flat(layout.len()));
    let mut first = stored;
    if !layout.is_file_order() {
        "input".clone_into(&mut lowering.name);
        let sources = (0..layout.len()).map(|i| layout.file(i) as u32).collect();
        first = lowering.rearranged(&[stored], layout, sources, None);
    } else if layout.height * layout.width > 1 {
        first = lowering.viewed(stored, layout);
    }
    lowering.values.insert(input, first);
    for node in graph.nodes() {
        lowering.name.clone_from(&node.name);
        let place = || format!("node `{}` ({})", node.name, node.op.name());
        let is_last = node.output() == output;
        if drop_softmax && is_last && lowering.is_softmax(node) {
            let kept = lowering.input(node, 0).map_err(|error| error.at(place()))?;
            lowering.values.insert(output, kept);
            continue;
        }
        lowering.node(node).map_err(|error| error.at(place()))?;
    }
    let Some(&made) = lowering.values.get(&output) else {
        return Err(Error::unsupported(
            "the output does not depend on the input",
        ));
    };
    "output".clone_into(&mut lowering.name);
    let made = lowering.in_file_order(made);
    let mut network = Network::assembled(shape, lowering.layouts, lowering.steps, made);
    network.derived = lowering.derived;
    Ok(network)
}

/// The layout of a tensor of this shape, if it is of a size that is computed here.
fn checked_layout(shape: &[usize]) -> Result<Layout> {
    let count = shape.iter().try_fold(1_usize, |n, &m| n.checked_mul(m));
    match count {
        Some(1..=MOST_ELEMENTS) => Ok(Layout::of(shape)),
        Some(0) => Err(Error::unsupported("a tensor without elements")),
        _ => Err(Error::unsupported(format!("shape {shape:?} is too large"))),
    }
}

/// The steps so far.
pub(super) struct Lowering<'g> {
    pub(super) graph: &'g Graph,
    /// The value that each of the graph's is.
    pub(super) values: HashMap<ValueId, Id>,
    pub(super) layouts: Vec<Layout>,
    pub(super) steps: Vec<Step>,
    /// The node that is lowered.
    pub(super) name: String,
    /// The first node whose weights are not the file's, but computed from these.
    pub(super) derived: Option<String>,
}

impl Lowering<'_> {
    /// A new value.
    pub(super) fn value(&mut self, layout: Layout) -> Id {
        self.layouts.push(layout);
        self.layouts.len() - 1
    }

    /// Adds a step that makes a new value.
    pub(super) fn step(&mut self, inputs: Vec<Id>, layout: Layout, kind: Kind) -> Id {
        let output = self.value(layout);
        self.steps.push(Step {
            name: self.name.clone(),
            inputs,
            output,
            kind,
        });
        output
    }

    pub(super) fn linear(&mut self, input: Id, layout: Layout, linear: Linear) -> Id {
        self.step(vec![input], layout, Kind::Linear(linear))
    }

    /// Elements of inputs, by their places in memory, all inputs laid end to end.
    pub(super) fn rearranged(
        &mut self,
        inputs: &[Id],
        layout: Layout,
        sources: Vec<u32>,
        constants: Option<Vec<f64>>,
    ) -> Id {
        let layouts = inputs.iter().map(|&id| self.layouts[id]).collect();
        let constants = constants.unwrap_or_else(|| vec![0.0; sources.len()]);
        let rearrange = Rearrange::new(layouts, layout, sources, constants);
        if let &[input] = inputs
            && rearrange.is_identity()
            && self.layouts[input] == layout
        {
            return input;
        }
        self.step(inputs.to_vec(), layout, Kind::Rearrange(rearrange))
    }

    /// The same elements in the same places, under another layout.
    pub(super) fn viewed(&mut self, input: Id, layout: Layout) -> Id {
        let sources = (0..layout.len() as u32).collect();
        self.rearranged(&[input], layout, sources, None)
    }

    /// A value as a vector in the file's order.
    pub(super) fn in_file_order(&mut self, id: Id) -> Id {
        let layout = self.layouts[id];
        let flat = Layout::flat(layout.len());
        if layout == flat {
            return id;
        }
        let sources = (0..layout.len()).map(|i| layout.inner(i) as u32).collect();
        self.rearranged(&[id], flat, sources, None)
    }

    /// The layout of a node's output.
    pub(super) fn made(&self, node: &Node) -> Result<Layout> {
        checked_layout(&self.graph.value(node.output()).shape.at(1))
    }

    /// The shape of an input, with its batch of one.
    pub(super) fn input_shape(&self, node: &Node, position: usize) -> Vec<usize> {
        let id = node.input(position);
        id.map_or_else(Vec::new, |id| self.graph.value(id).shape.at(1))
    }

    /// The value of an input that depends on the network's input.
    pub(super) fn input(&self, node: &Node, position: usize) -> Result<Id> {
        let id = node.input(position);
        let found = id.and_then(|id| self.values.get(&id));
        found.copied().ok_or_else(|| {
            Error::unsupported(format!(
                "input {position} must be a value that depends on the network's input"
            ))
        })
    }

    /// The elements of a constant input, in the file's order; `None` where the input is left out
    /// or is no constant.
    pub(super) fn constant(
        &self,
        node: &Node,
        position: usize,
    ) -> Result<Option<(Vec<usize>, Vec<f64>)>> {
        let Some(tensor) = node.input(position).and_then(|id| self.graph.constant(id)) else {
            return Ok(None);
        };
        Ok(Some((tensor.shape().to_vec(), numbers(tensor)?)))
    }

    /// A constant input that must be there.
    pub(super) fn needed(&self, node: &Node, position: usize) -> Result<(Vec<usize>, Vec<f64>)> {
        self.constant(node, position)?
            .ok_or_else(|| Error::unsupported(format!("input {position} must be a constant")))
    }

    /// Whether a node is a softmax over all that is not of extent 1.
    fn is_softmax(&self, node: &Node) -> bool {
        let (Op::Softmax(axes) | Op::LogSoftmax(axes)) = &node.op else {
            return false;
        };
        let shape = self.graph.value(node.output()).shape.at(1);
        let mut others = shape
            .iter()
            .enumerate()
            .filter(|(axis, _)| !axes.contains(axis));
        others.all(|(_, &extent)| extent == 1)
    }

    fn node(&mut self, node: &Node) -> Result<()> {
        // What is lowered is the first output: the mask of a dropout and the indices of a pooling are
        // other functions.
        let is_split = matches!(node.op, Op::Split { .. });
        if !is_split && !matches!(node.outputs.first(), Some(Some(_))) {
            return Err(Error::unsupported(
                "its first output is not used, but another",
            ));
        }
        let made = match &node.op {
            Op::Identity | Op::DropoutMask => self.input(node, 0)?,
            Op::Cast(element) if element.is_float() => self.input(node, 0)?,
            Op::Gemm { .. } | Op::MatMul | Op::Conv { .. } | Op::BatchNormalization { .. } => {
                self.layer(node)?
            }
            Op::AveragePool { .. }
            | Op::GlobalAveragePool
            | Op::MaxPool { .. }
            | Op::GlobalMaxPool
            | Op::Reduce { .. } => self.pooled(node)?,
            Op::Unary(Unary::Neg) | Op::Binary(_) | Op::Variadic(_) => self.arithmetic(node)?,
            Op::Unary(_) | Op::Clip { .. } => self.activation(node)?,
            Op::Reshape
            | Op::Transpose { .. }
            | Op::Slice(_)
            | Op::Pad { .. }
            | Op::Concat { .. }
            | Op::Gather { .. }
            | Op::Expand => self.moved(node)?,
            Op::Split { axis, .. } => {
                let axis = *axis;
                return self.split(node, axis);
            }
            _ => return Err(Error::unsupported("the operator has no relaxation here")),
        };
        self.values.insert(node.output(), made);
        Ok(())
    }
}

/// The elements of a constant, widened to f64 without loss.
pub(super) fn numbers(tensor: &Tensor) -> Result<Vec<f64>> {
    let numbers: Vec<f64> = match tensor.data() {
        Data::Float64(values) => values.clone(),
        _ => match tensor.to_f32() {
            Some(values) => values.into_iter().map(f64::from).collect(),
            None => return Err(Error::unsupported("a constant that is not of floats")),
        },
    };
    match numbers.iter().find(|number| !number.is_finite()) {
        Some(number) => Err(Error::new(
            ErrorKind::Graph,
            format!("a constant holds {number}"),
        )),
        None => Ok(numbers),
    }
}
