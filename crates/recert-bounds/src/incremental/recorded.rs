//! Bounds of every value, from those that a record has of some neurons.

use crate::bounds::Bounds;
use crate::error::{Error, Result};
use crate::network::Network;
use crate::region::Region;
use crate::relaxation::Relaxation;

/// Bounds of every value of a network on a region: intervals, intersected with bounds of the
/// arguments of some activations, each given as its number, lower bounds and upper bounds. They
/// hold where the given ones do. It takes one forward pass.
///
/// ```
/// use recert_bounds::{Network, Options, Region, crown, recorded};
/// use recert_graph::{Builder, Model};
///
/// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../recert-net/tests/golden/residual.onnx");
/// let network = Network::new(&Builder::new(&Model::read(path)?).build()?)?;
/// let region = Region::linf(&vec![0.5; network.inputs()], 0.01)?;
/// let bounds = crown(&network, &region, Options::default())?;
/// let (lower, upper) = bounds.neurons(&network, 0);
/// let again = recorded(&network, &region, &[(0, lower, upper)])?;
/// assert_eq!(again.neurons(&network, 0), bounds.neurons(&network, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`crate::ErrorKind::Argument`] where the network has no such activation, or another number of
/// neurons before it, and where no value fits the bounds of a neuron; otherwise as
/// [`crate::interval`].
pub fn recorded(
    network: &Network,
    region: &Region,
    given: &[(usize, &[f64], &[f64])],
) -> Result<Bounds> {
    region.check(network.inputs())?;
    for &(number, lower, upper) in given {
        let neurons = network.activations().get(number).map(|a| a.input);
        let neurons = neurons.map(|value| network.layouts[value].len());
        if neurons != Some(lower.len()) || lower.len() != upper.len() {
            return Err(Error::argument(format!(
                "{} and {} bounds of the neurons before activation {number}, of which the network \
                 has {}",
                lower.len(),
                upper.len(),
                neurons.unwrap_or(0)
            )));
        }
    }
    let mut relaxation = Relaxation::begun(network, region)?;
    for (position, step) in network.steps.iter().enumerate() {
        let arguments = network.numbers[position];
        for &(number, lower, upper) in given {
            if arguments == Some(number) {
                relaxation.tighten(step.inputs[0], lower, upper);
            }
        }
        relaxation.push(position);
    }
    let bounds = relaxation.bounds;
    let crossed =
        |(lower, upper): (&Vec<f64>, &Vec<f64>)| lower.iter().zip(upper).any(|(l, u)| l > u);
    if bounds.lower.iter().zip(&bounds.upper).any(crossed) {
        return Err(Error::argument(
            "bounds of a neuron that no value of the network fits",
        ));
    }
    Ok(bounds)
}
