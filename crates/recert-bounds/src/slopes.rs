//! The slopes of lower lines, which are free to choose.

use crate::error::{Error, Result};
use crate::network::Network;

/// The slopes of the lines below activations that are not stable.
///
/// A line through the origin lies below a ReLU with any slope in `[0, 1]`. By default, the slope is
/// 1 where the upper bound is farther from 0 than the lower bound, else 0. Others, found by
/// [`crate::optimized`] or taken from another network's certificate, are given for some neurons
/// of some activations; bounds hold with whatever slopes, as those outside the allowed range
/// are clamped to it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Slopes {
    /// By the activation's number; missing or empty ones follow the default.
    pub activations: Vec<ActivationSlopes>,
}

/// Slopes of some neurons of an activation.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ActivationSlopes {
    /// The neurons, ascending.
    pub neurons: Vec<usize>,
    /// One slope a neuron, for all rows; or row-major, one a row and neuron.
    pub slopes: Vec<f64>,
}

impl Slopes {
    /// Checks that the slopes are of neurons that a network has.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Argument`] with the activation at fault.
    pub fn check(&self, network: &Network) -> Result<()> {
        let activations = network.activations();
        for (number, given) in self.activations.iter().enumerate() {
            let neurons = activations
                .get(number)
                .map_or(0, |activation| activation.neurons);
            if given.neurons.iter().any(|&neuron| neuron >= neurons) {
                return Err(Error::argument(format!(
                    "slopes of a neuron that activation {number} of the network does not have"
                )));
            }
        }
        Ok(())
    }

    /// The slopes of an activation for a row: neurons and theirs, or nothing.
    pub(crate) fn of(&self, activation: usize, row: usize) -> Option<(&[usize], &[f64])> {
        let given = self.activations.get(activation)?;
        let count = given.neurons.len();
        if count == 0 {
            return None;
        }
        let slopes = if given.slopes.len() == count {
            &given.slopes[..]
        } else {
            given.slopes.get(row * count..(row + 1) * count)?
        };
        Some((&given.neurons, slopes))
    }

    /// Whether an activation has slopes that differ between rows.
    pub(crate) fn differ(&self, activation: usize) -> bool {
        self.activations
            .get(activation)
            .is_some_and(|given| given.slopes.len() != given.neurons.len())
    }
}
