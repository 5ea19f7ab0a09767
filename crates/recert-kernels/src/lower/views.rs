//! Tensors that are others in another order: so that what takes them can read
//! those where they are.

use crate::ir::{Node, Op, Value, ValueId};
use crate::pointwise::{Arith, Operand, Step};
use crate::product::Stack;
use crate::rearrange::strides;

/// A tensor as values of a plain one, each perhaps times a factor.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct View {
    pub(super) base: ValueId,
    pub(super) factor: Option<f32>,
    first: usize,
    dims: Vec<usize>,
    strides: Vec<usize>,
}

impl View {
    /// A tensor as it is.
    pub(super) fn whole(base: ValueId, dims: &[usize]) -> Self {
        Self {
            base,
            factor: None,
            first: 0,
            dims: dims.to_vec(),
            strides: strides(dims),
        }
    }

    /// A tensor by way of as many operations that only move values as possible.
    /// `maker` gives the node that makes a value.
    pub(super) fn new<'a>(
        values: &[Value],
        maker: impl Fn(ValueId) -> Option<&'a Node>,
        value: ValueId,
    ) -> Self {
        let mut chain = Vec::new();
        let mut base = value;
        while let Some(node) = maker(base)
            && moves(&node.op)
        {
            chain.push(node);
            base = node.inputs[0];
        }
        let mut view = Self::whole(base, &values[base].dims);
        for node in chain.into_iter().rev() {
            let dims = &values[node.output].dims;
            // What is no view of the view is a tensor of its own.
            view = view
                .then(&node.op, dims)
                .unwrap_or_else(|| Self::whole(node.output, dims));
        }
        view
    }

    /// What an operation makes of it, a tensor of shape `dims`.
    fn then(&self, op: &Op, dims: &[usize]) -> Option<Self> {
        let mut view = self.clone();
        match op {
            Op::View => view.strides = self.reshaped(dims)?,
            Op::Transpose(order) => {
                view.strides = order.iter().map(|&axis| self.strides[axis]).collect();
            }
            Op::Cut { cuts, .. } => {
                for ((cut, stride), &size) in cuts.iter().zip(&mut view.strides).zip(dims) {
                    if cut.before > 0 || cut.count < size {
                        return None;
                    }
                    view.first += cut.start * *stride;
                    *stride *= usize::try_from(cut.step).ok()?;
                }
            }
            Op::Pointwise(steps) => match steps[..] {
                [Step::With(Arith::Mul, Operand::One(factor))] if self.factor.is_none() => {
                    view.factor = Some(factor);
                }
                _ => return None,
            },
            _ => return None,
        }
        view.dims = dims.to_vec();
        Some(view)
    }

    /// The strides in another shape, if it has any.
    fn reshaped(&self, dims: &[usize]) -> Option<Vec<usize>> {
        // Runs of axes of both shapes that hold the same values.
        let (mut from, mut to) = (0, 0);
        let mut found = vec![0; dims.len()];
        while from < self.dims.len() && to < dims.len() {
            let (first_from, first_to) = (from, to);
            let (mut a, mut b) = (self.dims[from], dims[to]);
            (from, to) = (from + 1, to + 1);
            while a != b {
                if a < b {
                    a *= self.dims.get(from)?;
                    from += 1;
                } else {
                    b *= dims.get(to)?;
                    to += 1;
                }
            }
            // The run must be one in memory too.
            let axes: Vec<usize> = (first_from..from)
                .filter(|&axis| self.dims[axis] > 1)
                .collect();
            let joined = axes
                .windows(2)
                .all(|pair| self.strides[pair[0]] == self.dims[pair[1]] * self.strides[pair[1]]);
            if !joined {
                return None;
            }
            let mut stride = axes.last().map_or(1, |&axis| self.strides[axis]);
            for axis in (first_to..to).rev() {
                found[axis] = stride;
                stride *= dims[axis];
            }
        }
        let rest = self.dims[from..].iter().chain(&dims[to..]);
        rest.copied().all(|size| size == 1).then_some(found)
    }

    /// Where a value of the tensor is, by its number in row-major order.
    fn place(&self, number: usize) -> usize {
        let (mut place, mut rest) = (self.first, number);
        for (&size, &stride) in self.dims.iter().zip(&self.strides).rev() {
            place += rest % size * stride;
            rest /= size;
        }
        place
    }

    /// Matrices of the tensor, of so many rows and columns, as those of the
    /// one that it is a view of.
    pub(super) fn stack(&self, stack: &Stack, sizes: [usize; 2]) -> Stack {
        let first = stack.firsts.first().copied().unwrap_or_default();
        let step = |axis: usize| {
            if sizes[axis] > 1 {
                self.place(first + stack.strides[axis]) - self.place(first)
            } else {
                1
            }
        };
        Stack {
            firsts: stack
                .firsts
                .iter()
                .map(|&first| self.place(first))
                .collect(),
            strides: [step(0), step(1)],
        }
    }

    /// The transposed tensor, as which a tensor of shape `dims` is written.
    pub(super) fn written(base: ValueId, dims: &[usize], order: &[usize]) -> Self {
        let moved: Vec<usize> = order.iter().map(|&axis| dims[axis]).collect();
        let mut found = vec![0; dims.len()];
        for (&axis, stride) in order.iter().zip(strides(&moved)) {
            found[axis] = stride;
        }
        Self {
            strides: found,
            ..Self::whole(base, dims)
        }
    }
}

/// Whether an operation only moves values, or multiplies them by one number.
fn moves(op: &Op) -> bool {
    match op {
        Op::View | Op::Transpose(_) | Op::Cut { .. } => true,
        Op::Pointwise(steps) => {
            matches!(steps[..], [Step::With(Arith::Mul, Operand::One(_))])
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rearrange::Cut;

    fn value(dims: &[usize]) -> Value {
        Value {
            dims: dims.to_vec(),
            integers: false,
            bytes: None,
        }
    }

    /// A view by way of these operations, each of which makes such a shape.
    fn view(ops: Vec<(Op, Vec<usize>)>, dims: &[usize]) -> View {
        let mut values = vec![value(dims)];
        let mut nodes = Vec::new();
        for (op, dims) in ops {
            values.push(value(&dims));
            let output = values.len() - 1;
            nodes.push(Node {
                op,
                inputs: vec![output - 1],
                output,
            });
        }
        let maker = |value: ValueId| nodes.iter().find(|node| node.output == value);
        View::new(&values, maker, values.len() - 1)
    }

    #[test]
    fn queries_are_a_view_of_the_layer_that_makes_them() {
        // Tokens 5, three of query, key and value, heads 2, width 4; the keys.
        let whole = Cut::whole;
        let keys = Cut {
            start: 1,
            ..whole(1)
        };
        let cut = Op::Cut {
            cuts: vec![keys, whole(2), whole(5), whole(4)],
            fill: 0.0,
        };
        let scale = Op::Pointwise(vec![Step::With(Arith::Mul, Operand::One(0.5))]);
        let found = view(
            vec![
                (Op::View, vec![5, 3, 2, 4]),
                (Op::Transpose(vec![1, 2, 0, 3]), vec![3, 2, 5, 4]),
                (cut, vec![1, 2, 5, 4]),
                (Op::View, vec![2, 5, 4]),
                (scale, vec![2, 5, 4]),
                (Op::Transpose(vec![0, 2, 1]), vec![2, 4, 5]),
            ],
            &[5, 24],
        );
        assert_eq!((found.base, found.factor), (0, Some(0.5)));
        assert_eq!((found.first, &found.strides), (8, &vec![4, 1, 24]));
        let stack = Stack {
            firsts: vec![0, 20],
            strides: [5, 1],
        };
        let wanted = Stack {
            firsts: vec![8, 12],
            strides: [1, 24],
        };
        assert_eq!(found.stack(&stack, [4, 5]), wanted);
    }

    #[test]
    fn what_is_no_view_is_a_tensor_of_its_own() {
        let turned = (Op::Transpose(vec![1, 0]), vec![3, 2]);
        let found = view(vec![turned.clone(), (Op::View, vec![6])], &[2, 3]);
        assert_eq!(found, View::whole(2, &[6]));
        let split = view(vec![turned, (Op::View, vec![3, 1, 2, 1])], &[2, 3]);
        assert_eq!((split.base, &split.strides[..1]), (0, &[1][..]));
        assert_eq!(split.strides[2], 3);
        let reversed = Op::Cut {
            cuts: vec![Cut {
                before: 0,
                count: 3,
                start: 2,
                step: -1,
            }],
            fill: 0.0,
        };
        assert_eq!(view(vec![(reversed, vec![3])], &[3]).base, 1);
    }
}
