//! Normalization of rows as exporters before opset 17 write it: `(x - m) /
//! sqrt(mean((x - m)^2) + epsilon)`, `m` being the mean of `x`.

use super::Merge;
use crate::across::Reduction;
use crate::ir::{Node, Op, ValueId};
use crate::pointwise::{Arith, Operand, Step, Unary};

impl Merge {
    /// The normalization that a quotient is, if it is one.
    pub(super) fn standardized(&self, node: &Node, arith: Arith) -> Option<Node> {
        let &[difference, deviation] = &node.inputs[..] else {
            return None;
        };
        if arith != Arith::Div {
            return None;
        }
        let source = self.maker(difference)?;
        let &[x, mean] = &source.inputs[..] else {
            return None;
        };
        if !source.op_is(&Op::Pair(Arith::Sub)) || self.mean_of_rows(mean)? != x {
            return None;
        }
        let root = self.maker_of_once(deviation)?;
        let Op::Pointwise(steps) = &root.op else {
            return None;
        };
        let [
            Step::With(Arith::Add, Operand::One(epsilon))
            | Step::From(Arith::Add, Operand::One(epsilon)),
            Step::Unary(Unary::Sqrt),
        ] = &steps[..]
        else {
            return None;
        };
        let squares = self.mean_of_rows(root.inputs[0])?;
        if !self.square(squares, difference, x, mean) {
            return None;
        }
        let length = *self.dims(x).last()?;
        Some(Node {
            op: Op::LayerNorm {
                scale: vec![1.0; length],
                shift: vec![0.0; length],
                epsilon: *epsilon,
            },
            inputs: vec![x],
            output: node.output,
        })
    }

    /// The tensor whose mean along the last axis, which stays, a value is.
    fn mean_of_rows(&self, value: ValueId) -> Option<ValueId> {
        let node = self.maker(value)?;
        let x = *node.inputs.first()?;
        let [first @ .., _] = self.dims(x) else {
            return None;
        };
        let kept = *self.dims(value) == [first, &[1]].concat();
        let last = Op::Reduce(Reduction::Mean, vec![first.len()]);
        (kept && node.op_is(&last)).then_some(x)
    }

    /// Whether a value is the square of a difference, which some exporters
    /// compute twice.
    fn square(&self, value: ValueId, difference: ValueId, x: ValueId, mean: ValueId) -> bool {
        let Some(node) = self.maker(value) else {
            return false;
        };
        // Not products, which were computed one by one before: their bits stay.
        let squares = matches!(&node.op, Op::Pointwise(steps)
            if matches!(steps[..], [Step::Unary(Unary::Square)]));
        let Some(&of) = node.inputs.first() else {
            return false;
        };
        let again = || {
            self.maker(of).is_some_and(|node| {
                node.op_is(&Op::Pair(Arith::Sub))
                    && node.inputs[0] == x
                    && (node.inputs[1] == mean || self.mean_of_rows(node.inputs[1]) == Some(x))
            })
        };
        squares && (of == difference || again())
    }
}

/// A normalization whose results are multiplied by numbers of their columns
/// and to which such are added then, where it had none.
pub(super) fn scaled([scale, shift]: [&[f32]; 2], epsilon: f32, steps: &[Step]) -> Option<Op> {
    let plain = scale.iter().all(|&scale| scale == 1.0) && shift.iter().all(|&shift| shift == 0.0);
    match steps {
        [
            Step::With(Arith::Mul, Operand::Columns(scale))
            | Step::From(Arith::Mul, Operand::Columns(scale)),
            Step::With(Arith::Add, Operand::Columns(shift))
            | Step::From(Arith::Add, Operand::Columns(shift)),
        ] if plain => Some(Op::LayerNorm {
            scale: scale.clone(),
            shift: shift.clone(),
            epsilon,
        }),
        _ => None,
    }
}

impl Node {
    /// Whether it is a reduction or a pair of this kind.
    fn op_is(&self, other: &Op) -> bool {
        match (&self.op, other) {
            (Op::Reduce(a, axes), Op::Reduce(b, others)) => a == b && axes == others,
            (Op::Pair(a), Op::Pair(b)) => a == b,
            _ => false,
        }
    }
}
