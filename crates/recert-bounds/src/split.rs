//! Splits of branch and bound: activations' arguments that are known to have one sign.

use crate::block::Block;
use crate::relaxation::Relaxation;
use crate::rounding::{INFLATE, U};

/// A neuron whose argument is at least 0 in one half of a split and at most 0 in the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Split {
    /// The activation's number.
    pub activation: usize,
    /// The neuron.
    pub neuron: usize,
    /// Whether the argument is at least 0, rather than at most 0.
    pub positive: bool,
}

/// Splits with their multipliers: `multiplier z` is taken from a row where `z >= 0` is known, and
/// added where `z <= 0` is, which makes nothing smaller but what is outside the half.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Splits<'a> {
    pub(crate) splits: &'a [Split],
    /// Row-major, one a row and split, not negative.
    pub(crate) multipliers: &'a [f64],
}

impl Splits<'_> {
    /// Takes the multipliers of an activation from coefficients on its argument, and charges
    /// what that rounds.
    pub(crate) fn subtract(
        &self,
        activation: usize,
        relaxation: &Relaxation<'_>,
        value: usize,
        block: &mut Block,
        first_row: usize,
        mut charge: impl FnMut(usize, f64),
    ) {
        let count = self.splits.len();
        if !self.splits.iter().any(|split| split.activation == activation) {
            return;
        }
        let bounds = &relaxation.bounds;
        let layout = relaxation.network.layouts[value];
        let whole = std::mem::replace(block, Block::zeros([0, 0], 0, Vec::new()));
        *block = whole.into_dense(layout);
        let length = layout.len();
        for (row, coefficients) in block.data.chunks_exact_mut(length).enumerate() {
            let start = (first_row + row) * count;
            let multipliers = &self.multipliers[start..start + count];
            for (split, &multiplier) in self.splits.iter().zip(multipliers) {
                if split.activation != activation || multiplier == 0.0 {
                    continue;
                }
                // A multiplier that is negative, or no number, must not count.
                let multiplier = if multiplier > 0.0 { multiplier } else { 0.0 };
                let signed = if split.positive { multiplier } else { -multiplier };
                let sum = coefficients[split.neuron] - signed;
                coefficients[split.neuron] = sum;
                let i = split.neuron;
                let size = bounds.lower[value][i].abs().max(bounds.upper[value][i].abs());
                charge(row, 2.0 * U * sum.abs() * size * INFLATE);
            }
        }
    }
}
