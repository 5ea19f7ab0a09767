//! A factor and a shift for every element: normalization, and arithmetic with constants.

use super::Part;
use crate::block::Block;
use crate::layout::Layout;
use crate::rounding::{INFLATE, TINY};

/// `a x + b`, elementwise. The constants need not be exact: `a` and `b` may differ from the
/// file's by as much as is stated.
#[derive(Debug, Clone)]
pub(crate) struct Affine {
    pub(crate) layout: Layout,
    pub(crate) factor: Vec<f64>,
    pub(crate) shift: Vec<f64>,
    /// At most what each factor is off by.
    pub(crate) factor_error: Vec<f64>,
    /// At most what each shift is off by.
    pub(crate) shift_error: Vec<f64>,
}

impl Affine {
    pub(crate) fn forward(&self, x: &[f64], part: Part) -> Vec<f64> {
        let mut y = Vec::with_capacity(x.len());
        for x in x.chunks_exact(self.layout.len()) {
            let constants = self.factor.iter().zip(&self.shift);
            let elements = x.iter().zip(constants);
            match part {
                Part::Whole | Part::Rows => y.extend(elements.map(|(x, (a, b))| a * x + b)),
                Part::Weights => y.extend(elements.map(|(x, (a, _))| a * x)),
                Part::Magnitudes => y.extend(elements.map(|(x, (a, _))| a.abs() * x)),
            }
        }
        y
    }

    pub(crate) fn backward(&self, mut block: Block) -> Block {
        let mut data = std::mem::take(&mut block.data);
        block.runs(self.layout, |_, from, to| {
            for (a, factor) in data[from].iter_mut().zip(&self.factor[to]) {
                *a *= factor;
            }
        });
        block.data = data;
        block
    }

    pub(crate) fn deviation(&self, size: &[f64]) -> Option<Vec<f64>> {
        let errors = || self.factor_error.iter().zip(&self.shift_error);
        if errors().all(|(a, b)| *a == 0.0 && *b == 0.0) {
            return None;
        }
        let elements = errors().zip(size);
        let deviation = elements.map(|((a, b), x)| (a * x + b) * INFLATE + TINY);
        Some(deviation.collect())
    }
}
