//! Bounds of every value of a network on a region.

use crate::error::{Error, Result};
use crate::network::Network;

/// A lower and an upper bound of every element of every value of a network, by the value's
/// number ([`crate::Activation::input`], [`Network::output_value`]; 0 is the input).
///
/// Elements lie as [`crate::Activation`] numbers neurons: images with their channels last. They
/// are plain data, which a certificate can hold; a bound that is NaN or infinite proves nothing
/// wherever it is used.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Bounds {
    /// The lower bounds of each value.
    pub lower: Vec<Vec<f64>>,
    /// The upper bounds of each value.
    pub upper: Vec<Vec<f64>>,
}

impl Bounds {
    /// The bounds of the network's outputs.
    ///
    /// # Panics
    ///
    /// If they are bounds of another network.
    pub fn outputs(&self, network: &Network) -> (&[f64], &[f64]) {
        let value = network.output_value();
        (&self.lower[value], &self.upper[value])
    }

    /// The bounds of the neurons of an activation before it, by its number.
    ///
    /// # Panics
    ///
    /// As [`Bounds::outputs`], and if there is no such activation.
    pub fn neurons(&self, network: &Network, activation: usize) -> (&[f64], &[f64]) {
        let value = network.activations()[activation].input;
        (&self.lower[value], &self.upper[value])
    }

    /// Checks that there is a bound of every value of a network.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Argument`] if not.
    pub fn check(&self, network: &Network) -> Result<()> {
        let fits = |bounds: &[Vec<f64>]| {
            bounds.len() == network.values()
                && (bounds.iter().zip(&network.layouts)).all(|(b, layout)| b.len() == layout.len())
        };
        if fits(&self.lower) && fits(&self.upper) {
            return Ok(());
        }
        Err(Error::argument(
            "the bounds are not of this network's values",
        ))
    }
}

/// The larger of two lower bounds, the first where the second is NaN; NaN where the first is.
pub(crate) fn tighter_lower(old: f64, new: f64) -> f64 {
    if new > old { new } else { old }
}

/// The smaller of two upper bounds, likewise.
pub(crate) fn tighter_upper(old: f64, new: f64) -> f64 {
    if new < old { new } else { old }
}
