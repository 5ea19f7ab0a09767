//! From a graph to steps: which operator is lowered where, and values and constants.

use std::collections::HashMap;

use recert_graph::{Binary, Data, Graph, Node, Op, Unary, ValueId, Variadic};

use super::{Linear, Network, Step, Terms, Unsupported};
use crate::curve::Curve;

pub(super) type Result<T> = std::result::Result<T, Unsupported>;

/// The most elements of a value, and the most terms that are listed for a step.
pub(super) const MOST: usize = 1 << 26;

/// What is said of what is not computed here.
pub(super) fn no<T>(why: impl Into<String>) -> Result<T> {
    Err(Unsupported(why.into()))
}

/// Whether only the order of the outputs matters decides whether a softmax at the end may be left
/// out.
pub(super) fn lowered(graph: &Graph, for_classes: bool) -> Result<Network> {
    let (&[input], &[output]) = (graph.inputs(), graph.outputs()) else {
        return no("the network does not have one input and one output");
    };
    let mut lowering = Lowering {
        graph,
        values: HashMap::new(),
        lengths: Vec::new(),
        steps: Vec::new(),
        kinked: Vec::new(),
    };
    let pixels = lowering.length(input)?;
    lowering.lengths.push(pixels);
    lowering.values.insert(input, 0);
    for node in graph.nodes() {
        let named = |Unsupported(why): Unsupported| {
            Unsupported(format!("node `{}` ({}): {why}", node.name, node.op.name()))
        };
        let made = if for_classes && node.output() == output && lowering.is_softmax(node) {
            lowering.input(node, 0).map_err(named)?
        } else {
            match lowering.node(node).map_err(named)? {
                Some(made) => made,
                None => continue,
            }
        };
        lowering.values.insert(node.output(), made);
    }
    let Some(&output) = lowering.values.get(&output) else {
        return no("the output does not depend on the input");
    };
    Ok(Network {
        lengths: lowering.lengths,
        steps: lowering.steps,
        output,
        kinked: lowering.kinked,
    })
}

pub(super) struct Lowering<'g> {
    pub(super) graph: &'g Graph,
    /// The value that each of the graph's is.
    pub(super) values: HashMap<ValueId, usize>,
    pub(super) lengths: Vec<usize>,
    steps: Vec<Step>,
    kinked: Vec<(usize, [usize; 2])>,
}

/// A constant with its shape.
pub(super) struct Constant {
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<f64>,
}

impl Lowering<'_> {
    /// The shape of a value of the graph, with a batch of one.
    pub(super) fn shape(&self, id: ValueId) -> Vec<usize> {
        self.graph.value(id).shape.at(1)
    }

    pub(super) fn length(&self, id: ValueId) -> Result<usize> {
        let shape = self.shape(id);
        let count = shape.iter().try_fold(1_usize, |n, &m| n.checked_mul(m));
        match count {
            Some(count @ 1..=MOST) => Ok(count),
            _ => no(format!("shape {shape:?} is empty or too large")),
        }
    }

    /// The shape of an input.
    pub(super) fn input_shape(&self, node: &Node, position: usize) -> Vec<usize> {
        node.input(position)
            .map_or_else(Vec::new, |id| self.shape(id))
    }

    /// An input that depends on the network's.
    pub(super) fn input(&self, node: &Node, position: usize) -> Result<usize> {
        let found = node.input(position).and_then(|id| self.values.get(&id));
        match found {
            Some(&value) => Ok(value),
            None => no(format!(
                "input {position} does not depend on the network's input"
            )),
        }
    }

    /// A constant input of floats; `None` where it is left out or no constant.
    pub(super) fn constant(&self, node: &Node, position: usize) -> Result<Option<Constant>> {
        let Some(tensor) = node.input(position).and_then(|id| self.graph.constant(id)) else {
            return Ok(None);
        };
        let values = match (tensor.data(), tensor.to_f32()) {
            (Data::Float64(values), _) => values.clone(),
            (_, Some(values)) => values.into_iter().map(f64::from).collect(),
            _ => return no("a constant that is not of floats"),
        };
        if values.iter().any(|value| !value.is_finite()) {
            return no("a constant that is not finite");
        }
        Ok(Some(Constant {
            shape: tensor.shape().to_vec(),
            values,
        }))
    }

    pub(super) fn needed(&self, node: &Node, position: usize) -> Result<Constant> {
        match self.constant(node, position)? {
            Some(constant) => Ok(constant),
            None => no(format!("input {position} is no constant")),
        }
    }

    /// Adds a step, and returns the value that it makes.
    pub(super) fn push(&mut self, step: Step, length: usize) -> usize {
        self.steps.push(step);
        self.lengths.push(length);
        self.lengths.len() - 1
    }

    /// Adds sums of listed terms.
    pub(super) fn listed(
        &mut self,
        inputs: Vec<usize>,
        outputs: Vec<Vec<(u32, u32, f64)>>,
        bias: Vec<[f64; 2]>,
        relative: f64,
    ) -> Result<usize> {
        let length = outputs.len();
        if outputs.iter().map(Vec::len).sum::<usize>() > MOST {
            return no("too many terms");
        }
        let width = outputs.iter().map(Vec::len).max().unwrap_or(0);
        let mut starts = vec![0];
        let mut terms = Vec::new();
        let mut uses: Vec<Vec<usize>> = inputs.iter().map(|&v| vec![0; self.lengths[v]]).collect();
        for output in outputs {
            for &(input, element, _) in &output {
                match uses
                    .get_mut(input as usize)
                    .and_then(|u| u.get_mut(element as usize))
                {
                    Some(count) => *count += 1,
                    None => return no("shapes that do not fit"),
                }
            }
            terms.extend(output);
            starts.push(terms.len());
        }
        let fan = uses.into_iter().flatten().max().unwrap_or(0);
        let linear = Linear {
            inputs,
            terms: Terms::Listed { starts, terms },
            bias,
            relative,
            fan,
            width,
        };
        Ok(self.push(Step::Linear(linear), length))
    }

    /// Whether a node is a softmax over all that is not of extent 1.
    fn is_softmax(&self, node: &Node) -> bool {
        let (Op::Softmax(axes) | Op::LogSoftmax(axes)) = &node.op else {
            return false;
        };
        let shape = self.shape(node.output());
        (shape.iter().enumerate()).all(|(axis, &extent)| extent == 1 || axes.contains(&axis))
    }

    /// What a node makes; `None` where its outputs are known already.
    fn node(&mut self, node: &Node) -> Result<Option<usize>> {
        // Masks and indices, which come after, are other functions.
        let is_split = matches!(node.op, Op::Split { .. });
        if !is_split && !matches!(node.outputs.first(), Some(Some(_))) {
            return no("its first output is not used, but another");
        }
        Ok(Some(match &node.op {
            Op::Identity | Op::DropoutMask | Op::Reshape => self.input(node, 0)?,
            Op::Cast(element) if element.is_float() => self.input(node, 0)?,
            Op::Gemm { .. } | Op::MatMul => self.product(node)?,
            Op::Conv { window, group } => self.conv(node, window, *group)?,
            Op::BatchNormalization { epsilon } => self.normalization(node, *epsilon)?,
            Op::AveragePool {
                window,
                count_padding,
            } => self.average(node, window, *count_padding)?,
            Op::GlobalAveragePool => {
                let axes: Vec<usize> = (2..self.input_shape(node, 0).len()).collect();
                self.reduce(node, &axes, true)?
            }
            Op::Reduce {
                reduction, axes, ..
            } => match reduction {
                recert_graph::Reduction::Mean => self.reduce(node, axes, true)?,
                recert_graph::Reduction::Sum => self.reduce(node, axes, false)?,
                _ => return no("the reduction is not computed here"),
            },
            Op::MaxPool { window, .. } => self.max_pool(node, window)?,
            Op::Binary(Binary::Add) | Op::Variadic(Variadic::Sum) => self.sum(node, 1.0)?,
            Op::Binary(Binary::Sub) => self.sum(node, -1.0)?,
            Op::Binary(Binary::Mul) => self.scale(node, false)?,
            Op::Binary(Binary::Div) => self.scale(node, true)?,
            Op::Unary(_) | Op::Clip { .. } => self.curve(node)?,
            Op::Split { axis, sizes } => {
                self.split(node, *axis, sizes)?;
                return Ok(None);
            }
            _ => self.moved(node)?,
        }))
    }

    fn curve(&mut self, node: &Node) -> Result<usize> {
        let input = self.input(node, 0)?;
        let curve = match node.op {
            Op::Unary(Unary::Relu) => Curve::Leaky { alpha: 0.0 },
            Op::Clip { low, high } if low == 0.0 && high == f64::INFINITY => {
                Curve::Leaky { alpha: 0.0 }
            }
            Op::Clip { low, high } if low == f64::NEG_INFINITY && high == f64::INFINITY => {
                return Ok(input);
            }
            Op::Clip { low, high } if low < high => Curve::Clip { low, high },
            Op::Unary(Unary::LeakyRelu { alpha }) if (0.0..=1.0).contains(&alpha) => Curve::Leaky {
                alpha: alpha.into(),
            },
            Op::Unary(Unary::Abs) => Curve::Abs,
            Op::Unary(Unary::Sigmoid) => Curve::Sigmoid,
            Op::Unary(Unary::Tanh) => Curve::Tanh,
            _ => return no("the function is not computed here"),
        };
        let length = self.lengths[input];
        let made = self.push(Step::Curve { input, curve }, length);
        if curve.has_kink() {
            let shape = match self.input_shape(node, 0)[..] {
                [1, channels, height, width] => [channels, height * width],
                _ => [length, 1],
            };
            self.kinked.push((made - 1, shape));
        }
        Ok(made)
    }
}
