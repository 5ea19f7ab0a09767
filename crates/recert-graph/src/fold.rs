//! Normalizations and added constants folded into the layers before them.

use std::collections::HashMap;
use std::sync::Arc;

use crate::element::ElementType;
use crate::graph::{Graph, Node, Value, ValueId};
use crate::op::{Binary, Op};
use crate::shape::Shape;
use crate::tensor::{Data, Tensor};

/// A batch normalization as what it does to every channel, `factor x + ..`,
/// worked out in float64.
///
/// Weights that it is folded into become `weight factor`, rounded once to
/// float32. Of the bias there are two orders of operations, which agree but
/// for a last bit: kernels' arithmetic and files that were written are each
/// bound to their own.
#[derive(Debug, Clone, PartialEq)]
pub struct Normalization {
    factor: Vec<f64>,
    mean: Vec<f64>,
    shift: Vec<f64>,
}

impl Normalization {
    /// Of these numbers, one of each a channel; `None` where there are not as
    /// many of each.
    pub fn new(
        scale: &[f32],
        shift: &[f32],
        mean: &[f32],
        variance: &[f32],
        epsilon: f32,
    ) -> Option<Self> {
        let channels = scale.len();
        if [shift.len(), mean.len(), variance.len()] != [channels; 3] {
            return None;
        }
        let wide = |values: &[f32]| values.iter().map(|&value| f64::from(value)).collect();
        let epsilon = f64::from(epsilon);
        let factor = scale.iter().zip(variance);
        Some(Self {
            factor: factor
                .map(|(&scale, &variance)| {
                    f64::from(scale) / (f64::from(variance) + epsilon).sqrt()
                })
                .collect(),
            mean: wide(mean),
            shift: wide(shift),
        })
    }

    /// What every channel is multiplied by.
    pub fn factors(&self) -> &[f64] {
        &self.factor
    }

    /// What is added to a channel after.
    pub fn offset(&self, channel: usize) -> f64 {
        self.shift[channel] - self.mean[channel] * self.factor[channel]
    }

    /// A weight of a channel.
    pub fn weight(&self, channel: usize, weight: f64) -> f32 {
        (weight * self.factor[channel]) as f32
    }

    /// A channel's bias, scaled before [`Normalization::offset`] is added.
    pub fn bias(&self, channel: usize, bias: f64) -> f32 {
        (bias * self.factor[channel] + self.offset(channel)) as f32
    }

    /// A channel's bias, the mean taken off before it is scaled.
    pub fn centred_bias(&self, channel: usize, bias: f64) -> f32 {
        ((bias - self.mean[channel]) * self.factor[channel] + self.shift[channel]) as f32
    }
}

impl Graph {
    /// The normalization that a node is, where its numbers are known.
    pub fn normalization(&self, node: &Node) -> Option<Normalization> {
        let Op::BatchNormalization { epsilon } = node.op else {
            return None;
        };
        let numbers = |position| self.constant(node.input(position)?)?.to_f32();
        let (scale, shift) = (numbers(1)?, numbers(2)?);
        Normalization::new(&scale, &shift, &numbers(3)?, &numbers(4)?, epsilon)
    }

    /// Folds every batch normalization, and every constant that is added to
    /// channels without a bias, into the convolution or product of matrices
    /// that alone comes before it. Over the reals the network stays the same
    /// function; each weight is rounded once more. What has numbers that are
    /// not known, or not float32, stays.
    #[must_use]
    pub fn fold(mut self) -> Self {
        let mut makers: HashMap<ValueId, usize> = HashMap::new();
        let mut gone = vec![false; self.nodes.len()];
        for position in 0..self.nodes.len() {
            let node = &self.nodes[position];
            let folded = match node.op {
                Op::BatchNormalization { .. } => self.normalized(node, &makers),
                Op::Binary(Binary::Add) => self.biased(node, &makers),
                _ => None,
            };
            let Some((before, layer)) = folded else {
                makers.extend(node.outputs.iter().flatten().map(|&id| (id, position)));
                continue;
            };
            let output = node.output();
            gone[position] = true;
            for identity in before.identities {
                gone[identity] = true;
            }
            self.replace(before.layer, layer, output);
            makers.insert(output, before.layer);
        }
        let mut gone = gone.into_iter();
        self.nodes.retain(|_| gone.next() == Some(false));
        self.prune();
        self
    }

    /// What makes a value that nothing else takes.
    fn before(&self, id: ValueId, makers: &HashMap<ValueId, usize>) -> Option<Before> {
        let mut id = id;
        let mut identities = Vec::new();
        loop {
            let layer = *makers.get(&id).filter(|_| self.values[id.0].uses == 1)?;
            if self.nodes[layer].op != Op::Identity {
                return Some(Before { layer, identities });
            }
            identities.push(layer);
            id = self.nodes[layer].input(0)?;
        }
    }

    /// The layer before a normalization, with that folded in.
    fn normalized(&self, node: &Node, makers: &HashMap<ValueId, usize>) -> Option<(Before, Layer)> {
        let before = self.before(node.input(0)?, makers)?;
        let mut layer = self.layer(&self.nodes[before.layer])?;
        let normalization = self.normalization(node)?;
        if normalization.factors().len() != layer.channels() {
            return None;
        }
        let channels = layer.channels_of_weights();
        for (weight, channel) in layer.weights.iter_mut().zip(channels) {
            *weight = normalization.weight(channel, f64::from(*weight));
        }
        for (channel, bias) in layer.bias.iter_mut().enumerate() {
            *bias = normalization.bias(channel, f64::from(*bias));
        }
        Some((before, layer))
    }

    /// The layer before the addition of a constant, with that as its bias.
    fn biased(&self, node: &Node, makers: &HashMap<ValueId, usize>) -> Option<(Before, Layer)> {
        let (a, b) = (node.input(0)?, node.input(1)?);
        let (id, constant) = match (self.constant(a), self.constant(b)) {
            (None, Some(constant)) => (a, constant),
            (Some(constant), None) => (b, constant),
            _ => return None,
        };
        let before = self.before(id, makers)?;
        let mut layer = self.layer(&self.nodes[before.layer])?;
        let shape = &self.values[id.0].shape;
        let added = constant.as_f32()?;
        if layer.bias.iter().any(|&bias| bias != 0.0)
            || self.values[node.output().0].shape != *shape
        {
            return None;
        }
        if let [added] = added {
            layer.bias.fill(*added);
            return Some((before, layer));
        }
        // All but the channels' axis, the second one, are 1.
        let missing = shape.rank() - constant.shape().len();
        let mut sizes = (0..shape.rank()).map(|axis| match axis.checked_sub(missing) {
            Some(axis) => constant.shape()[axis],
            None => 1,
        });
        let along = sizes
            .by_ref()
            .enumerate()
            .all(|(axis, size)| axis == 1 || size == 1);
        if !along || added.len() != layer.channels() {
            return None;
        }
        layer.bias.copy_from_slice(added);
        Some((before, layer))
    }

    /// The numbers of a layer, if it is one of known float32 numbers.
    fn layer(&self, node: &Node) -> Option<Layer> {
        let weights = self.constant(node.input(1)?)?;
        let shape = weights.shape().to_vec();
        let mut weights = weights.as_f32()?.to_vec();
        let mut bias = match node.input(2) {
            Some(id) => {
                let bias = self.constant(id)?;
                let values = bias.as_f32()?.to_vec();
                // A Gemm's may have a number for each image of the batch instead.
                if bias
                    .shape()
                    .last()
                    .is_some_and(|&last| last != values.len())
                {
                    return None;
                }
                values
            }
            None => Vec::new(),
        };
        let plain = |trans_b| Op::Gemm {
            alpha: 1.0,
            beta: 1.0,
            trans_a: false,
            trans_b,
        };
        let output = &self.values[node.output().0].shape;
        let channels = output.get(1)?.fixed()?;
        let (op, axis, group) = match node.op {
            Op::Conv { .. } => (node.op.clone(), 0, 1),
            Op::ConvTranspose { group, .. } => (node.op.clone(), 1, group),
            Op::MatMul if shape.len() == 2 && output.rank() == 2 => (plain(false), 1, 1),
            Op::Gemm {
                alpha,
                beta,
                trans_a: false,
                trans_b,
            } => {
                for (factor, values) in [(alpha, &mut weights), (beta, &mut bias)] {
                    if factor != 1.0 {
                        for value in values.iter_mut() {
                            *value *= factor;
                        }
                    }
                }
                (plain(trans_b), usize::from(!trans_b), 1)
            }
            _ => return None,
        };
        Some(Layer {
            op,
            axis,
            group,
            shape,
            weights,
            bias: spread(bias, channels)?,
        })
    }

    /// Gives the node at `position` these numbers and this output.
    fn replace(&mut self, position: usize, layer: Layer, output: ValueId) {
        let Layer {
            op,
            shape,
            weights,
            bias,
            ..
        } = layer;
        let first = self.nodes[position].inputs[0];
        let name = match self.nodes[position].input(1) {
            Some(id) => self.values[id.0].name.clone(),
            None => String::new(),
        };
        let count = bias.len();
        let weights = self.folded(format!("{name}_folded"), shape, weights);
        let bias = self.folded(format!("{name}_folded_bias"), vec![count], bias);
        let node = &mut self.nodes[position];
        node.op = op;
        node.inputs = vec![first, Some(weights), Some(bias)];
        node.outputs = vec![Some(output)];
    }

    fn folded(&mut self, name: String, shape: Vec<usize>, values: Vec<f32>) -> ValueId {
        self.values.push(Value {
            name,
            element: ElementType::Float32,
            shape: Shape::of(&shape),
            constant: Some(Arc::new(Tensor::filled(shape, Data::Float32(values)))),
            computed: true,
            uses: 1,
        });
        ValueId(self.values.len() - 1)
    }
}

/// The layer before a node, and the nodes between that do nothing.
struct Before {
    layer: usize,
    identities: Vec<usize>,
}

/// A layer whose numbers are known.
struct Layer {
    op: Op,
    /// The axis of the weights that numbers the output channels (of a group).
    axis: usize,
    group: usize,
    shape: Vec<usize>,
    weights: Vec<f32>,
    /// One number a channel.
    bias: Vec<f32>,
}

impl Layer {
    fn channels(&self) -> usize {
        self.bias.len()
    }

    /// The output channel of each weight.
    fn channels_of_weights(&self) -> impl Iterator<Item = usize> + use<> {
        channels_of_weights(&self.shape, self.axis, self.group)
    }
}

/// The output channel of each weight of a layer, row-major. Of a transposed
/// convolution in groups, whose leading axis runs over the input channels,
/// group after group, each group has output channels of its own.
pub fn channels_of_weights(
    shape: &[usize],
    axis: usize,
    group: usize,
) -> impl Iterator<Item = usize> + use<> {
    let count: usize = shape.iter().product();
    let extent = shape[axis];
    let inner: usize = shape[axis + 1..].iter().product();
    let outer = count / (extent * inner).max(1);
    (0..count).map(move |index| {
        let (row, column) = (index / (inner * extent), index / inner % extent);
        if group == 1 {
            column
        } else {
            row * group / outer * extent + column
        }
    })
}

/// A bias of one number a channel: none is zero, one is for all.
fn spread(bias: Vec<f32>, channels: usize) -> Option<Vec<f32>> {
    match bias[..] {
        [] => Some(vec![0.0; channels]),
        [value] => Some(vec![value; channels]),
        _ => (bias.len() == channels).then_some(bias),
    }
}
