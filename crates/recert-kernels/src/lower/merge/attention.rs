//! Attention, as exporters write it: two products with `Softmax` between, and
//! factors, masks and reshapes around.

use super::super::views::View;
use super::{Merge, contiguous};
use crate::ir::{Node, Op, ValueId};
use crate::pointwise::{Arith, Operand, Step};
use crate::product::{Attention, Product, Score, Stack};

impl Merge {
    /// A product, whose factors are read where they are, or the whole of the
    /// attention that it ends.
    pub(super) fn attention(&self, node: &Node) -> Option<Node> {
        let Op::Product(product) = &node.op else {
            return None;
        };
        let [rows, inner, columns] = product.sizes;
        let values = self.unscaled(node.inputs[1], &product.b, [inner, columns]);
        if let Some(scores) = self.scores(node.inputs[0], product) {
            let Op::Product(first) = &scores.product.op else {
                return None;
            };
            let [queries, width, keys] = first.sizes;
            let [q, k] = scores.factors;
            let attention = Attention {
                queries: q.1,
                keys: transposed(k.1),
                values: values.1,
                output: product.output.clone(),
                sizes: [queries, keys, width, columns],
                factors: [q.0.factor, k.0.factor],
                scores: scores.steps,
            };
            return Some(Node {
                op: Op::Attention(attention),
                inputs: vec![q.0.base, k.0.base, values.0.base],
                output: node.output,
            });
        }
        let a = self.unscaled(node.inputs[0], &product.a, [rows, inner]);
        let product = Product {
            a: a.1,
            b: values.1,
            ..product.clone()
        };
        Some(Node {
            op: Op::Product(product),
            inputs: vec![a.0.base, values.0.base],
            output: node.output,
        })
    }

    /// The tensor that a factor of a product is a view of, and its matrices.
    fn operand(&self, value: ValueId, stack: &Stack, sizes: [usize; 2]) -> (View, Stack) {
        let view = self.view(value);
        let stack = view.stack(stack, sizes);
        (view, stack)
    }

    /// As [`Merge::operand`], where numbers are taken as they are.
    fn unscaled(&self, value: ValueId, stack: &Stack, sizes: [usize; 2]) -> (View, Stack) {
        let operand = self.operand(value, stack, sizes);
        if operand.0.factor.is_none() {
            return operand;
        }
        (View::whole(value, self.dims(value)), stack.clone())
    }

    /// What the weights of attention are made of, where the first factor of
    /// `product` is weights.
    fn scores(&self, weights: ValueId, product: &Product) -> Option<Scores<'_>> {
        let [queries, keys, _] = product.sizes;
        if !contiguous(&product.a, [queries, keys]) {
            return None;
        }
        let mut node = self.maker_of_once(weights)?;
        // Reshapes on the way keep every value where it is.
        while matches!(node.op, Op::View) {
            node = self.maker_of_once(node.inputs[0])?;
        }
        match &node.op {
            Op::Softmax(softmax) if softmax.inner == 1 && softmax.length == keys => {}
            _ => return None,
        }
        let count = product.a.firsts.len() * queries * keys;
        let mut steps = Vec::new();
        loop {
            node = self.maker_of_once(node.inputs[0])?;
            match &node.op {
                Op::View => {}
                Op::Pointwise(chain) => {
                    for step in chain.iter().rev() {
                        steps.push(score(step, count)?);
                    }
                }
                Op::Product(_) => break,
                _ => return None,
            }
        }
        let Op::Product(first) = &node.op else {
            return None;
        };
        let [rows, width, columns] = first.sizes;
        if [rows, columns] != [queries, keys]
            || first.output.firsts.len() != product.a.firsts.len()
            || !contiguous(&first.output, [queries, keys])
        {
            return None;
        }
        steps.reverse();
        let queries = self.operand(node.inputs[0], &first.a, [queries, width]);
        let keys = self.operand(node.inputs[1], &first.b, [width, keys]);
        Some(Scores {
            product: node,
            factors: [queries, keys],
            steps,
        })
    }
}

struct Scores<'a> {
    product: &'a Node,
    factors: [(View, Stack); 2],
    steps: Vec<Score>,
}

/// A function of scores as one of [`Score`], of `count` scores in all.
fn score(step: &Step, count: usize) -> Option<Score> {
    match step {
        Step::With(arith, Operand::One(value)) => Some(Score::With(*arith, *value)),
        Step::From(arith @ (Arith::Add | Arith::Mul), Operand::One(value)) => {
            Some(Score::With(*arith, *value))
        }
        Step::With(Arith::Add, operand) | Step::From(Arith::Add, operand) => match operand {
            Operand::All(values) if values.len() == count => Some(Score::Add(values.clone())),
            Operand::Columns(values) => Some(Score::Add(
                values.iter().copied().cycle().take(count).collect(),
            )),
            _ => None,
        },
        _ => None,
    }
}

/// Rows as columns.
fn transposed(stack: Stack) -> Stack {
    let [rows, columns] = stack.strides;
    Stack {
        strides: [columns, rows],
        ..stack
    }
}
