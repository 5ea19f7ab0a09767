//! Functions of single values, fused into what makes them where that changes
//! nothing but the number of passes over memory (and, for a normalisation
//! folded into weights, the last bits).

use recert_net::Node as Operator;

use super::fold::arith;
use super::{Lowering, refuse};
use crate::across::Broadcast;
use crate::error::Result;
use crate::ir::{Op, ValueId};
use crate::pointwise::{Arith, Operand, Step, Unary};
use crate::tile::Clamp;

impl Lowering<'_> {
    /// The place of the node that makes a value, if only one operation takes
    /// that value.
    pub(super) fn maker_of_once(&self, id: ValueId) -> Option<usize> {
        if !self.once.contains(&id) {
            return None;
        }
        self.nodes.iter().rposition(|node| node.output == id)
    }

    /// The function that a node applies to every value of its first input.
    pub(super) fn step(&self, node: &Operator<'_>) -> Result<Option<Step>> {
        let float = |name, default| node.float(name).unwrap_or(default);
        Ok(Some(match node.standard_op() {
            "Relu" => Step::Clamp(Clamp::RELU),
            "Clip" => {
                let bound = |name, position, none| -> Result<f32> {
                    match node.float(name) {
                        Some(value) => Ok(value),
                        None => Ok(self.number(node, position)?.unwrap_or(none)),
                    }
                };
                Step::Clamp(Clamp {
                    low: bound("min", 1, f32::NEG_INFINITY)?,
                    high: bound("max", 2, f32::INFINITY)?,
                })
            }
            "Abs" => Step::Unary(Unary::Abs),
            "Ceil" => Step::Unary(Unary::Ceil),
            "Exp" => Step::Unary(Unary::Exp),
            "Floor" => Step::Unary(Unary::Floor),
            "HardSigmoid" => {
                Step::Unary(Unary::HardSigmoid(float("alpha", 0.2), float("beta", 0.5)))
            }
            "HardSwish" => Step::Unary(Unary::HardSwish),
            "LeakyRelu" => Step::Unary(Unary::LeakyRelu(float("alpha", 0.01))),
            "Log" => Step::Unary(Unary::Log),
            "Neg" => Step::Unary(Unary::Neg),
            "Reciprocal" => Step::Unary(Unary::Reciprocal),
            "Round" => Step::Unary(Unary::Round),
            "Sigmoid" => Step::Unary(Unary::Sigmoid),
            "Sqrt" => Step::Unary(Unary::Sqrt),
            "Tanh" => Step::Unary(Unary::Tanh),
            _ => return Ok(None),
        }))
    }

    /// Applies functions to a value, as part of what makes it if possible.
    pub(super) fn pointwise(&mut self, node: &Operator<'_>, id: ValueId, steps: Vec<Step>) {
        let dims = self.dims(id).to_vec();
        let integers = self.values[id].integers;
        let mut steps = steps.into_iter().peekable();
        if let Some(place) = self.maker_of_once(id) {
            match &mut self.nodes[place].op {
                Op::Conv { clamp, .. } | Op::Gemm { clamp, .. } => {
                    // The activation, which only comes last.
                    if *clamp == Clamp::NONE
                        && let Some(Step::Clamp(own)) =
                            steps.next_if(|s| matches!(s, Step::Clamp(_)))
                    {
                        *clamp = own;
                    }
                }
                Op::Pointwise(first) => {
                    first.extend(steps.by_ref());
                }
                _ => {}
            }
            if steps.peek().is_none() {
                // What was made before is now made so; the value in between is no more.
                let output = self.value(super::output(node), dims, false);
                self.nodes[place].output = output;
                return;
            }
        }
        debug_assert!(!integers || steps.len() > 0);
        self.push(node, Op::Pointwise(steps.collect()), vec![id], dims);
    }

    pub(super) fn arithmetic(&mut self, node: &Operator<'_>) -> Result<()> {
        let arith = arith(node);
        let known = |position| match node.input(position) {
            Some(name) => self.known(name),
            None => Ok(None),
        };
        match (known(0)?.is_some(), known(1)?.is_some()) {
            (false, false) => self.pair(node, arith),
            (true, _) => self.with_constant(node, arith, 0),
            _ => self.with_constant(node, arith, 1),
        }
    }

    /// A value and a constant, the node's input at `position`.
    fn with_constant(&mut self, node: &Operator<'_>, arith: Arith, position: usize) -> Result<()> {
        let id = self.data(node, 1 - position)?;
        let dims = self.dims(id).to_vec();
        let constant = self.floats(node, position)?;
        let operand = constant.and_then(|c| operand(&dims, &c.dims, &c.values));
        let operand = operand.ok_or_else(|| {
            refuse(
                node,
                "its constant is of a shape that is not supported here",
            )
        })?;
        if arith == Arith::Add && self.add_to_bias(node, id, &operand) {
            return Ok(());
        }
        let step = if position == 1 {
            Step::With(arith, operand)
        } else {
            Step::From(arith, operand)
        };
        self.pointwise(node, id, vec![step]);
        Ok(())
    }

    /// Makes a constant the bias of the layer before, if that has none.
    fn add_to_bias(&mut self, node: &Operator<'_>, id: ValueId, operand: &Operand) -> bool {
        let dims = self.dims(id).to_vec();
        let Some(place) = self.maker_of_once(id) else {
            return false;
        };
        let layer = &mut self.nodes[place];
        let bias = match &mut layer.op {
            Op::Conv { filter, clamp, .. } if *clamp == Clamp::NONE && layer.inputs.len() == 1 => {
                &mut filter.bias
            }
            Op::Gemm { bias, clamp, .. } if *clamp == Clamp::NONE => bias,
            _ => return false,
        };
        if bias.iter().any(|&value| value != 0.0) {
            return false;
        }
        match operand {
            Operand::One(value) => bias.fill(*value),
            Operand::Channels(values) | Operand::All(values) if values.len() == bias.len() => {
                bias.copy_from_slice(values);
            }
            _ => return false,
        }
        let output = self.value(super::output(node), dims, false);
        self.nodes[place].output = output;
        true
    }

    /// Two values: a residual of a convolution, or an operation of its own.
    fn pair(&mut self, node: &Operator<'_>, arith: Arith) -> Result<()> {
        let (a, b) = (self.data(node, 0)?, self.data(node, 1)?);
        let shape = Broadcast::shape(self.dims(a), self.dims(b));
        let shape = shape.ok_or_else(|| {
            let (a, b) = (self.dims(a), self.dims(b));
            refuse(
                node,
                format!("tensors of shapes {a:?} and {b:?} an image do not fit"),
            )
        })?;
        if arith == Arith::Add && self.dims(a) == self.dims(b) && a != b {
            let makes = |id: ValueId| {
                let place = self.maker_of_once(id)?;
                let layer = &self.nodes[place];
                let plain = matches!(&layer.op, Op::Conv { clamp, .. } if *clamp == Clamp::NONE);
                (plain && layer.inputs.len() == 1).then_some(place)
            };
            let found = [makes(a).map(|p| (p, b)), makes(b).map(|p| (p, a))];
            // The later one, of two.
            if let Some((place, other)) = found.into_iter().flatten().max() {
                // Last of all, it comes after what makes the residual.
                let mut layer = self.nodes.remove(place);
                layer.inputs.push(other);
                layer.output = self.value(super::output(node), shape, false);
                self.nodes.push(layer);
                return Ok(());
            }
        }
        self.push(node, Op::Pair(arith), vec![a, b], shape);
        Ok(())
    }

    pub(super) fn batch_normalization(&mut self, node: &Operator<'_>) -> Result<()> {
        let id = self.data(node, 0)?;
        let channels = self.dims(id).first().copied().unwrap_or(0);
        if node.int("training_mode").unwrap_or(0) != 0
            || node
                .outputs()
                .iter()
                .skip(1)
                .any(|n| self.uses.contains_key(n))
        {
            return Err(refuse(node, "it is in training mode"));
        }
        let numbers = |position| match self.floats(node, position)? {
            Some(tensor) if tensor.values.len() == channels => Ok(tensor.values),
            _ => Err(refuse(node, "its numbers do not fit its input")),
        };
        let (scale, shift) = (numbers(1)?, numbers(2)?);
        let (mean, variance) = (numbers(3)?, numbers(4)?);
        let epsilon = f64::from(node.float("epsilon").unwrap_or(1e-5));
        let factor: Vec<f64> = (0..channels)
            .map(|c| f64::from(scale[c]) / (f64::from(variance[c]) + epsilon).sqrt())
            .collect();
        let offset: Vec<f64> = (0..channels)
            .map(|c| f64::from(shift[c]) - f64::from(mean[c]) * factor[c])
            .collect();
        if self.normalise_layer(node, id, &factor, &offset) {
            return Ok(());
        }
        let single =
            |values: Vec<f64>| -> Vec<f32> { values.into_iter().map(|v| v as f32).collect() };
        let steps = vec![
            Step::With(Arith::Mul, Operand::Channels(single(factor))),
            Step::With(Arith::Add, Operand::Channels(single(offset))),
        ];
        self.pointwise(node, id, steps);
        Ok(())
    }

    /// Folds a normalisation into the weights of the layer before it.
    fn normalise_layer(
        &mut self,
        node: &Operator<'_>,
        id: ValueId,
        factor: &[f64],
        offset: &[f64],
    ) -> bool {
        let dims = self.dims(id).to_vec();
        let Some(place) = self.maker_of_once(id) else {
            return false;
        };
        let scaled = |values: &mut [f32], factor: f64| {
            for value in values {
                *value = (f64::from(*value) * factor) as f32;
            }
        };
        let layer = &mut self.nodes[place];
        let bias = match &mut layer.op {
            Op::Conv { filter, clamp, .. } if *clamp == Clamp::NONE && layer.inputs.len() == 1 => {
                let count = filter.weights.len() / filter.outputs;
                for (row, &factor) in filter.weights.chunks_exact_mut(count).zip(factor) {
                    scaled(row, factor);
                }
                &mut filter.bias
            }
            Op::Gemm {
                weights,
                bias,
                clamp,
            } if *clamp == Clamp::NONE => {
                for row in weights.chunks_exact_mut(bias.len()) {
                    for (value, &factor) in row.iter_mut().zip(factor) {
                        scaled(std::slice::from_mut(value), factor);
                    }
                }
                bias
            }
            _ => return false,
        };
        for ((value, factor), offset) in bias.iter_mut().zip(factor).zip(offset) {
            *value = (f64::from(*value) * factor + offset) as f32;
        }
        let output = self.value(super::output(node), dims, false);
        self.nodes[place].output = output;
        true
    }
}

/// A constant of shape `shape`, for each value of a tensor of shape `dims`
/// (the batch before it). `None` if it does not fit, or makes the tensor
/// larger.
pub(super) fn operand(dims: &[usize], shape: &[usize], values: &[f32]) -> Option<Operand> {
    // Without the batch's extent, if there is one.
    let shape = match shape {
        [1, rest @ ..] if shape.len() == dims.len() + 1 => rest,
        _ => shape,
    };
    let missing = dims.len().checked_sub(shape.len())?;
    let shape = [&vec![1; missing], shape].concat();
    if let [value] = values {
        return Some(Operand::One(*value));
    }
    let [_, rest @ ..] = &shape[..] else {
        return None;
    };
    if shape[0] == dims[0] && dims.len() != 2 && rest.iter().all(|&size| size == 1) {
        return Some(Operand::Channels(values.to_vec()));
    }
    if Broadcast::shape(dims, &shape).as_deref() != Some(dims) {
        return None;
    }
    let stretched = Broadcast::new(Arith::Add, dims, &shape, dims);
    let zeros = vec![0.0; dims.iter().product()];
    let mut all = zeros.clone();
    stretched.run(&zeros, values, &mut all);
    Some(Operand::All(all))
}
