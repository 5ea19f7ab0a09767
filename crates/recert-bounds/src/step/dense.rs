//! A fully connected layer.

use super::Part;
use crate::block::Block;
use crate::buffers::Buffers;
use crate::gemm;
use crate::layout::Layout;
use crate::rounding::{abs_dot, dot};
use crate::terms;

/// `W x + b`.
#[derive(Debug, Clone)]
pub(crate) struct Dense {
    /// `[outputs, inputs]`.
    pub(crate) weights: Vec<f64>,
    pub(crate) bias: Vec<f64>,
    pub(crate) inputs: usize,
}

impl Dense {
    pub(crate) fn inputs(&self) -> usize {
        self.inputs
    }

    pub(crate) fn outputs(&self) -> usize {
        self.bias.len()
    }

    pub(crate) fn forward(&self, x: &[f64], part: Part) -> Vec<f64> {
        let rows = x.len().checked_div(self.inputs).unwrap_or(0);
        let mut y = vec![0.0; rows * self.outputs()];
        if part == Part::Rows {
            let shape = [self.outputs(), self.inputs];
            gemm::product_transposed(x, &self.weights, shape, &mut y);
        } else {
            let sum = if part == Part::Magnitudes {
                abs_dot
            } else {
                dot
            };
            // Each row of the weights once, for all rows.
            for (o, weights) in self.weights.chunks_exact(self.inputs.max(1)).enumerate() {
                for (row, x) in x.chunks_exact(self.inputs.max(1)).enumerate() {
                    y[row * self.outputs() + o] = sum(weights, x);
                }
            }
        }
        if part.has_bias() {
            for y in y.chunks_exact_mut(self.outputs()) {
                for (y, b) in y.iter_mut().zip(&self.bias) {
                    *y += b;
                }
            }
        }
        y
    }

    pub(crate) fn backward(&self, block: Block, buffers: &mut Buffers) -> Block {
        let mut data = buffers.zeros(block.rows() * self.inputs);
        let shape = [self.outputs(), self.inputs];
        terms::product(&block.data, &self.weights, shape, &mut data, buffers);
        buffers.give(block.data);
        Block::dense(Layout::flat(self.inputs), data)
    }

    pub(crate) fn unit_rows(&self, units: &[(usize, f64)], buffers: &mut Buffers) -> Block {
        let mut data = buffers.empty(units.len() * self.inputs);
        for &(index, factor) in units {
            let row = &self.weights[index * self.inputs..(index + 1) * self.inputs];
            data.extend(row.iter().map(|w| w * factor));
        }
        Block::dense(Layout::flat(self.inputs), data)
    }
}
