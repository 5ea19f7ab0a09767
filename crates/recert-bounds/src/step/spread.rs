//! All layers whose weights and biases are near those of one.

use super::{Linear, Part};
use crate::rounding::{INFLATE, TINY};

/// All layers whose weights and biases differ from the centre's by at most those of the radius.
#[derive(Debug, Clone)]
pub(crate) struct Spread {
    pub(crate) centre: Linear,
    /// A layer of the same shape, with weights and biases that are not negative.
    pub(crate) radius: Linear,
}

impl Spread {
    /// At most what `W' x + b'` of any of the layers differs from `W x + b` of the centre, for
    /// `|x| <= size`: `D size + d`, and what the centre's own constants are off by.
    pub(crate) fn deviation(&self, size: &[f64]) -> Vec<f64> {
        let mut deviation = self.radius.forward(size, Part::Whole);
        let underflow = TINY * (self.radius.terms() + 1) as f64 * (1.0 + size.iter().sum::<f64>());
        for deviation in &mut deviation {
            *deviation = *deviation * INFLATE + underflow;
        }
        if let Some(own) = self.centre.deviation(size) {
            for (deviation, own) in deviation.iter_mut().zip(own) {
                *deviation = (*deviation + own) * INFLATE;
            }
        }
        deviation
    }
}
