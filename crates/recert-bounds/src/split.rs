//! Splits of branch and bound: activations' arguments that are known to have one sign.

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

/// A split with the multiplier of its constraint.
///
/// Where `z >= 0` is known, `multiplier z` is taken from a row's lower bound, and added where `z <= 0`
/// is: nothing becomes larger within the half, whatever the multiplier, as long as it is not
/// negative (Wang et al., *Beta-CROWN*, NeurIPS 2021).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Constrained {
    /// The split.
    pub split: Split,
    /// The multiplier; one that is negative or no number counts as 0.
    pub multiplier: f64,
}

impl Constrained {
    /// What is taken from the coefficient on the neuron's argument.
    pub(crate) fn taken(&self) -> f64 {
        let multiplier = if self.multiplier > 0.0 {
            self.multiplier
        } else {
            0.0
        };
        if self.split.positive {
            multiplier
        } else {
            -multiplier
        }
    }
}
