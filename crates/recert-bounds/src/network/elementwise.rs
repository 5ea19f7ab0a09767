//! Lowering of arithmetic with constants, of sums, and of functions of each element.

use recert_graph::{Binary, Node, Op, Unary, Variadic};

use super::layout::broadcast;
use super::lower::Lowering;
use crate::error::{Error, Result};
use crate::relax::{Nonlinearity, Piecewise, SShaped};
use crate::step::{Affine, Id, Kind, Linear};

impl Lowering<'_> {
    /// `factor x + shift`, of constants in the file's order that are exact up to `error`.
    fn affine(
        &mut self,
        input: Id,
        [factor, shift]: [Vec<f64>; 2],
        factor_error: Option<Vec<f64>>,
    ) -> Result<Id> {
        let layout = self.layouts[input];
        let numbers = factor.iter().chain(&shift);
        if numbers.clone().any(|number| !number.is_finite()) {
            return Err(Error::unsupported("a constant factor that is not finite"));
        }
        let count = layout.len();
        let affine = Affine {
            layout,
            factor: layout.in_memory(&factor),
            shift: layout.in_memory(&shift),
            factor_error: match factor_error {
                Some(error) => layout.in_memory(&error),
                None => vec![0.0; count],
            },
            shift_error: vec![0.0; count],
        };
        Ok(self.linear(input, layout, Linear::Affine(affine)))
    }

    pub(super) fn arithmetic(&mut self, node: &Node) -> Result<Id> {
        let shape = self.graph.value(node.output()).shape.at(1);
        let count = self.made(node)?.len();
        if let Op::Unary(Unary::Neg) = node.op {
            let input = self.input(node, 0)?;
            return self.affine(input, [vec![-1.0; count], vec![0.0; count]], None);
        }
        let sum = match node.op {
            Op::Binary(Binary::Add) | Op::Variadic(Variadic::Sum) => Some(1.0),
            Op::Binary(Binary::Sub) => Some(-1.0),
            Op::Binary(Binary::Mul | Binary::Div | Binary::PRelu) => None,
            _ => return Err(Error::unsupported("the operator has no relaxation here")),
        };
        if let Some(second) = sum {
            return self.sum(node, &shape, second);
        }
        let first_is_constant = self.constant(node, 0)?.is_some();
        if matches!(node.op, Op::Binary(Binary::PRelu)) {
            return self.prelu(node);
        }
        let divides = matches!(node.op, Op::Binary(Binary::Div));
        if divides && first_is_constant {
            return Err(Error::unsupported("division by what depends on the input"));
        }
        let constant = usize::from(!first_is_constant);
        let (from, values) = self.constant(node, constant)?.ok_or_else(|| {
            Error::unsupported("a product of two values that depend on the input")
        })?;
        let values = broadcast(&values, &from, &shape)?;
        let input = self.broadcast_input(node, 1 - constant, &shape)?;
        let zeros = vec![0.0; count];
        if !divides {
            return self.affine(input, [values, zeros], None);
        }
        // A quotient rounds once; powers of two do not.
        let factors: Vec<f64> = values.iter().map(|value| 1.0 / value).collect();
        let error = |(factor, value): (&f64, &f64)| {
            if value.abs().log2().fract() == 0.0 && factor.is_normal() {
                0.0
            } else {
                factor.abs() * f64::EPSILON
            }
        };
        let errors = factors.iter().zip(&values).map(error).collect();
        self.affine(input, [factors, zeros], Some(errors))
    }

    /// An input that depends on the network's, broadcast to a shape.
    fn broadcast_input(&mut self, node: &Node, position: usize, shape: &[usize]) -> Result<Id> {
        let input = self.input(node, position)?;
        let from = self.input_shape(node, position);
        if from == shape {
            return Ok(input);
        }
        self.expanded(input, &from, shape.to_vec())
    }

    /// Constants are shifts; other values are summed. The second term is multiplied by `second`.
    fn sum(&mut self, node: &Node, shape: &[usize], second: f64) -> Result<Id> {
        let positions: Vec<usize> = (0..node.inputs.len()).collect();
        self.note_computed(node, &positions);
        let layout = self.made(node)?;
        let mut inputs = Vec::new();
        let mut factors = Vec::new();
        let mut shifts = Vec::new();
        for position in 0..node.inputs.len() {
            let factor = if position == 0 { 1.0 } else { second };
            if let Some((from, values)) = self.constant(node, position)? {
                let values = broadcast(&values, &from, shape)?;
                shifts.push(values.into_iter().map(|value| value * factor).collect());
            } else {
                inputs.push(self.broadcast_input(node, position, shape)?);
                factors.push(factor);
            }
        }
        let mut made = match inputs[..] {
            [input] if factors[0] == 1.0 => input,
            [input] => {
                let count = layout.len();
                self.affine(input, [vec![factors[0]; count], vec![0.0; count]], None)?
            }
            _ => self.step(inputs, layout, Kind::Sum(factors)),
        };
        // One shift after the other, so that none is rounded.
        for shift in shifts {
            made = self.affine(made, [vec![1.0; layout.len()], shift], None)?;
        }
        Ok(made)
    }

    /// `PRelu` with one slope for all elements.
    fn prelu(&mut self, node: &Node) -> Result<Id> {
        let input = self.input(node, 0)?;
        let (_, slopes) = self.needed(node, 1)?;
        match slopes.split_first() {
            Some((&slope, others)) if others.iter().all(|&other| other == slope) => {
                let function = Nonlinearity::Piecewise(Piecewise::leaky(slope));
                Ok(self.function(input, function))
            }
            _ => Err(Error::unsupported("slopes that differ between elements")),
        }
    }

    fn function(&mut self, input: Id, function: Nonlinearity) -> Id {
        let layout = self.layouts[input];
        self.step(vec![input], layout, Kind::Elementwise(function))
    }

    pub(super) fn activation(&mut self, node: &Node) -> Result<Id> {
        let input = self.input(node, 0)?;
        let count = self.layouts[input].len();
        let function = match node.op {
            Op::Unary(Unary::Relu) => Nonlinearity::Relu,
            Op::Unary(Unary::LeakyRelu { alpha }) => {
                Nonlinearity::Piecewise(Piecewise::leaky(f64::from(alpha)))
            }
            Op::Unary(Unary::Abs) => Nonlinearity::Piecewise(Piecewise::abs()),
            Op::Unary(Unary::Sigmoid) => Nonlinearity::SShaped(SShaped::Sigmoid),
            Op::Unary(Unary::Tanh) => Nonlinearity::SShaped(SShaped::Tanh),
            Op::Unary(Unary::HardSigmoid { alpha, beta }) => {
                let constants = [f64::from(alpha), f64::from(beta)];
                let inner = self.affine(input, constants.map(|c| vec![c; count]), None)?;
                let clip = Nonlinearity::Piecewise(Piecewise::clip(0.0, 1.0));
                return Ok(self.function(inner, clip));
            }
            Op::Clip { low, high } => {
                if low.is_nan() || high.is_nan() {
                    return Err(Error::unsupported("a bound that is not a number"));
                }
                if low == f64::NEG_INFINITY && high == f64::INFINITY {
                    return Ok(input);
                }
                if low == 0.0 && high == f64::INFINITY {
                    Nonlinearity::Relu
                } else if low == f64::INFINITY || high == f64::NEG_INFINITY {
                    return Err(Error::unsupported("a bound that leaves nothing finite"));
                } else {
                    Nonlinearity::Piecewise(Piecewise::clip(low, high))
                }
            }
            _ => return Err(Error::unsupported("the function has no relaxation here")),
        };
        Ok(self.function(input, function))
    }
}
