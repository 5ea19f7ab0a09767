//! What transformers are made of, and the ways between blocks of channels and
//! rows of pixels.

use super::{Scheduler, Work};
use crate::ir::{Graph, Node, Op, ValueId};
use crate::linear::Linear;
use crate::normalize::LayerNorm;
use crate::pointwise::Step;
use crate::product::{Attend, Products};
use crate::rearrange::Gather;
use crate::simd::LANES;

impl Scheduler<'_> {
    /// Adds what computes rows of plain tensors.
    pub(super) fn token_node(&mut self, node: &Node) {
        let output = node.output;
        let values = node.inputs.iter();
        let inputs: Vec<_> = values.map(|&value| self.plain(value)).collect();
        let work = match &node.op {
            Op::Linear {
                weights,
                bias,
                steps,
            } => {
                let rows = self.graph.values[output].len() / bias.len();
                let shape = [rows, weights.len() / bias.len()];
                let residual = inputs.len() > 1;
                Work::Linear(Linear::new(shape, weights, bias, steps, residual, self.isa))
            }
            Op::LayerNorm {
                scale,
                shift,
                epsilon,
            } => {
                let rows = self.graph.values[output].len() / scale.len();
                Work::LayerNorm(LayerNorm::new(scale, shift, *epsilon, self.isa), rows)
            }
            Op::Product(product) => Work::Products(Products {
                op: product.clone(),
                isa: self.isa,
            }),
            Op::Attention(attention) => Work::Attend(Attend::new(attention.clone(), self.isa)),
            Op::Take(axis, positions) => {
                Work::Gather(Gather::take(self.dims(node.inputs[0]), *axis, positions))
            }
            _ => unreachable!("computed elsewhere"),
        };
        self.push_plain(work, inputs, output);
    }

    /// A transposition: of an image in blocks to pixels of channels, or back,
    /// pixel by pixel.
    pub(super) fn transpose(&mut self, order: &[usize], first: ValueId, output: ValueId) {
        match order {
            [1, 2, 0] if self.blocked.contains_key(&first) => {
                let (from, layout) = self.blocked(first);
                self.push_plain(Work::ToPixels(layout), vec![from], output);
            }
            [2, 0, 1] if self.wants_blocks[output] => {
                let from = self.plain(first);
                let layout = self.blocked_of(output, LANES);
                self.push_blocked(Work::FromPixels(layout), vec![from], output);
            }
            _ => {
                let from = self.plain(first);
                let work = Work::Gather(Gather::transpose(self.dims(first), order));
                self.push_plain(work, vec![from], output);
            }
        }
    }
}

/// The values that are to be in blocks wherever they come from: those that
/// convolutions and pooling take or make, what is added to these, and what
/// either is a function of.
pub(super) fn wants_blocks(graph: &Graph) -> Vec<bool> {
    let mut wants = vec![false; graph.values.len()];
    for node in graph.nodes.iter().rev() {
        match &node.op {
            Op::Conv { .. } | Op::Pool { .. } | Op::Means => {
                for &value in node.inputs.iter().chain([&node.output]) {
                    wants[value] = true;
                }
            }
            Op::Pointwise(steps) if wants[node.output] => {
                wants[node.inputs[0]] |= !steps.iter().any(Step::is_plain);
            }
            Op::Pair(_) if node.inputs.iter().any(|&value| wants[value]) || wants[node.output] => {
                for &value in &node.inputs {
                    wants[value] |= graph.values[value].dims == graph.values[node.output].dims;
                }
            }
            _ => {}
        }
    }
    wants
}
