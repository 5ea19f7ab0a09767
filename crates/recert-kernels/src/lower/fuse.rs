//! Functions of single values, fused into what makes them where that changes
//! nothing but the number of passes over memory.

use recert_graph::{Binary, Node as Source};

use super::places::Full;
use super::tokens::apart;
use super::{Lowering, MIXES, refuse, unsupported};
use crate::across::Broadcast;
use crate::error::Result;
use crate::ir::{Op, ValueId};
use crate::maths::Smooth;
use crate::pointwise::{Arith, Operand, Step, Unary};
use crate::rearrange::{offsets, strides};
use crate::tile::Clamp;

/// The function that an operator applies to every value, if it is one.
pub(super) fn step(op: &recert_graph::Op) -> Option<Step> {
    use recert_graph::{Op as S, Unary as U};
    let function = match *op {
        S::Clip { low, high } => {
            return Some(Step::Clamp(Clamp {
                low: low as f32,
                high: high as f32,
            }));
        }
        S::Unary(function) => function,
        _ => return None,
    };
    Some(Step::Unary(match function {
        U::Relu => return Some(Step::Clamp(Clamp::RELU)),
        U::Abs => Unary::Abs,
        U::Ceil => Unary::Ceil,
        U::Erf => Unary::Smooth(Smooth::Erf),
        U::Gelu { tanh: false } => Unary::Smooth(Smooth::Gelu),
        U::Gelu { tanh: true } => Unary::Smooth(Smooth::GeluTanh),
        U::Exp => Unary::Exp,
        U::Floor => Unary::Floor,
        U::HardSigmoid { alpha, beta } => Unary::HardSigmoid(alpha, beta),
        U::HardSwish => Unary::HardSwish,
        U::LeakyRelu { alpha } => Unary::LeakyRelu(alpha),
        U::Log => Unary::Log,
        U::Neg => Unary::Neg,
        U::Reciprocal => Unary::Reciprocal,
        U::Round => Unary::Round,
        U::Sigmoid => Unary::Sigmoid,
        U::Sqrt => Unary::Sqrt,
        U::Tanh => Unary::Tanh,
        _ => return None,
    }))
}

impl Lowering<'_> {
    /// The place of the node that makes a value, if only one operation takes
    /// that value.
    pub(super) fn maker_of_once(&self, id: ValueId) -> Option<usize> {
        if !self.once.contains(&id) {
            return None;
        }
        self.nodes.iter().rposition(|node| node.output == id)
    }

    /// Applies functions to a value, as part of what makes it if possible.
    pub(super) fn pointwise(&mut self, node: &Source, id: ValueId, steps: Vec<Step>) -> Result<()> {
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
                let output = self.value(node.output(), self.made(node)?);
                self.nodes[place].output = output;
                return Ok(());
            }
        }
        self.push(node, Op::Pointwise(steps.collect()), vec![id])
    }

    pub(super) fn arithmetic(&mut self, node: &Source, binary: Binary) -> Result<()> {
        let arith = match binary {
            Binary::Add => Arith::Add,
            Binary::Sub => Arith::Sub,
            Binary::Mul => Arith::Mul,
            Binary::Div => Arith::Div,
            Binary::Pow => return self.power(node),
            _ => return Err(unsupported(node)),
        };
        let known = |position| {
            let id = node.input(position);
            id.is_some_and(|id| self.source.constant(id).is_some())
        };
        match (known(0), known(1)) {
            (false, false) => self.pair(node, arith),
            (true, _) => self.with_constant(node, arith, 0),
            _ => self.with_constant(node, arith, 1),
        }
    }

    /// A value and a constant, the node's input at `position`.
    fn with_constant(&mut self, node: &Source, arith: Arith, position: usize) -> Result<()> {
        let id = self.data(node, 1 - position)?;
        let full = self.input_full(node, 1 - position)?;
        let constant = self.floats(node, position)?;
        let operand = constant.and_then(|(shape, values)| beside(&full, &shape, &values));
        let operand = operand.ok_or_else(|| {
            refuse(
                node,
                "its constant is of a shape that is not supported here",
            )
        })?;
        let step = if position == 1 {
            Step::With(arith, operand)
        } else {
            Step::From(arith, operand)
        };
        self.pointwise(node, id, vec![step])
    }

    /// Two values: a residual of a convolution, or an operation of its own.
    fn pair(&mut self, node: &Source, arith: Arith) -> Result<()> {
        let (a, b) = (self.data(node, 0)?, self.data(node, 1)?);
        let (mut a, mut b) = (a, b);
        let (full_a, full_b) = (self.input_full(node, 0)?, self.input_full(node, 1)?);
        let output = self
            .full(node.output())
            .ok_or_else(|| refuse(node, MIXES))?;
        if !self.alone() && !apart(&full_a, &full_b, &output) {
            return Err(refuse(node, MIXES));
        }
        // Axes that only one of them has.
        let shape = output.dims_of_one();
        for id in [&mut a, &mut b] {
            let dims = self.dims(*id);
            if let Some(missing @ 1..) = shape.len().checked_sub(dims.len()) {
                let dims = [&vec![1; missing], dims].concat();
                *id = self.unnamed(Op::View, vec![*id], dims);
            }
        }
        if Broadcast::shape(self.dims(a), self.dims(b)).as_ref() != Some(&shape) {
            let (a, b) = (self.dims(a), self.dims(b));
            return Err(refuse(
                node,
                format!("tensors of shapes {a:?} and {b:?} an image do not fit"),
            ));
        }
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
                layer.output = self.value(node.output(), shape);
                self.nodes.push(layer);
                return Ok(());
            }
        }
        self.push(node, Op::Pair(arith), vec![a, b])
    }

    /// One that was not folded into a layer before it.
    pub(super) fn batch_normalization(&mut self, node: &Source) -> Result<()> {
        let id = self.data(node, 0)?;
        self.check_images(node)?;
        let normalization = self.source.normalization(node);
        let normalization =
            normalization.ok_or_else(|| refuse(node, "its numbers are not known beforehand"))?;
        let factors = normalization.factors().iter();
        let offsets = 0..normalization.factors().len();
        let factors = factors.map(|&factor| factor as f32).collect();
        let offsets = offsets.map(|channel| normalization.offset(channel) as f32);
        let steps = vec![
            Step::With(Arith::Mul, Operand::Channels(factors)),
            Step::With(Arith::Add, Operand::Channels(offsets.collect())),
        ];
        self.pointwise(node, id, steps)
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
    let [first @ .., last] = &shape[..] else {
        return None;
    };
    if dims.last() == Some(last) && first.iter().all(|&size| size == 1) {
        return Some(Operand::Columns(
            values.iter().copied().map(positive).collect(),
        ));
    }
    let all = stretched(dims, &shape, values)?;
    Some(Operand::All(all.into_iter().map(positive).collect()))
}

/// The number, 0 for -0: what [`crate::ARITHMETIC`] has for these constants.
fn positive(value: f32) -> f32 {
    value + 0.0
}

/// As [`operand`], for a tensor that may have the batch at another axis.
fn beside(full: &Full, shape: &[usize], values: &[f32]) -> Option<Operand> {
    let missing = full.dims.len().checked_sub(shape.len())?;
    let mut shape = [&vec![1; missing], shape].concat();
    if let Some(place) = full.place {
        // One number an image, or a part of it, is none of an image's own.
        if shape[place.axis] != 1 {
            return None;
        }
        if place.factor == 1 {
            shape.remove(place.axis);
        }
    }
    operand(&full.dims_of_one(), &shape, values)
}

/// A constant stretched to a tensor of shape `dims`, if it fits.
pub(super) fn stretched(dims: &[usize], shape: &[usize], values: &[f32]) -> Option<Vec<f32>> {
    let missing = dims.len().checked_sub(shape.len())?;
    let shape = [&vec![1; missing], shape].concat();
    if Broadcast::shape(dims, &shape).as_deref() != Some(dims) {
        return None;
    }
    let axes = strides(&shape).into_iter().zip(&shape);
    let axes: Vec<isize> = axes
        .map(|(s, &d)| if d == 1 { 0 } else { s as isize })
        .collect();
    let places = offsets(dims, &axes, 0).into_iter();
    Some(places.map(|place| values[place]).collect())
}
