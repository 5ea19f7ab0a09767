//! A network cut before its last fully connected layer, and that layer merged with rows.

use recert_num::directed::{add_down, add_up, mul_down, mul_up, sub_down, sub_up};

use super::Feature;
use crate::error::{Error, Result};
use crate::network::Network;
use crate::property::Rows;
use crate::step::{Dense, Kind, Linear};

/// A network in two parts: all up to the neurons that its last fully connected layer takes (the
/// *penultimate layer*), and that layer.
#[derive(Debug, Clone)]
pub struct Penultimate {
    hidden: Network,
    last: Dense,
}

impl Penultimate {
    /// Cuts a network.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Unsupported`] where no fully connected layer makes the outputs.
    pub fn of(network: &Network) -> Result<Self> {
        let (position, last) = last_dense(network).ok_or_else(|| {
            let node = last_node(network).unwrap_or("(none)");
            Error::unsupported(format!(
                "node {node}: makes the outputs and is no fully connected layer; proof features are the \
                 neurons that such a layer takes, so name an output that one makes"
            ))
        })?;
        Ok(Self {
            hidden: before(network, position),
            last: last.clone(),
        })
    }

    /// The network whose outputs are the penultimate layer.
    pub fn hidden(&self) -> &Network {
        &self.hidden
    }

    /// The number of neurons in the penultimate layer.
    pub fn neurons(&self) -> usize {
        self.last.inputs()
    }

    /// Rows of the outputs as functions of the penultimate layer.
    pub(super) fn merged(&self, rows: &Rows) -> Result<Merged> {
        if rows.outputs != self.last.outputs() {
            return Err(Error::argument(format!(
                "a property of {} outputs, where the network has {}",
                rows.outputs,
                self.last.outputs()
            )));
        }
        let neurons = self.neurons();
        let mut merged = Merged {
            neurons,
            least: vec![0.0; rows.len() * neurons],
            most: vec![0.0; rows.len() * neurons],
            constants: rows.constants.clone(),
        };
        for row in 0..rows.len() {
            let range = row * neurons..(row + 1) * neurons;
            let (least, most) = (&mut merged.least[range.clone()], &mut merged.most[range]);
            let coefficients = &rows.coefficients[row * rows.outputs..(row + 1) * rows.outputs];
            for (output, &c) in coefficients.iter().enumerate() {
                if c == 0.0 {
                    continue;
                }
                let constant = &mut merged.constants[row];
                *constant = add_down(*constant, mul_down(c, self.last.bias[output]));
                let weights = &self.last.weights[output * neurons..(output + 1) * neurons];
                for (i, &w) in weights.iter().enumerate() {
                    least[i] = add_down(least[i], mul_down(c, w));
                    most[i] = add_up(most[i], mul_up(c, w));
                }
            }
        }
        Ok(merged)
    }
}

/// The node that makes the outputs; none where they are the input.
fn last_node(network: &Network) -> Option<&str> {
    let position = network.producers[network.output]?;
    Some(&network.steps[position].name)
}

/// The fully connected layer that makes the outputs, where one does, and the position of its step.
pub(super) fn last_dense(network: &Network) -> Option<(usize, &Dense)> {
    let position = network.producers[network.output]?;
    match &network.steps[position].kind {
        Kind::Linear(Linear::Dense(dense)) => Some((position, dense)),
        _ => None,
    }
}

/// The network whose output is the input of the step at `position`.
fn before(network: &Network, position: usize) -> Network {
    let mut steps = network.steps[..position].to_vec();
    // Values are numbered anew, without those that later steps make.
    let mut numbers = vec![0; network.layouts.len()];
    let mut layouts = vec![network.layouts[0]];
    for step in &mut steps {
        for input in &mut step.inputs {
            *input = numbers[*input];
        }
        numbers[step.output] = layouts.len();
        layouts.push(network.layouts[step.output]);
        step.output = numbers[step.output];
    }
    let output = numbers[network.steps[position].inputs[0]];
    Network::assembled(network.input_shape.clone(), layouts, steps, output)
}

/// Rows `V h + v` of a property as functions of the penultimate layer, rounded outward: each
/// factor lies in an interval, and the constant is a lower bound.
#[derive(Debug, Clone)]
pub(super) struct Merged {
    pub(super) neurons: usize,
    least: Vec<f64>,
    most: Vec<f64>,
    constants: Vec<f64>,
}

impl Merged {
    /// The largest `|V_ji|` of any row `j`.
    pub(super) fn weight(&self, neuron: usize) -> f64 {
        let column = |factors: &[f64]| {
            let column = factors.iter().skip(neuron).step_by(self.neurons);
            column.fold(0.0_f64, |most, factor| most.max(factor.abs()))
        };
        column(&self.least).max(column(&self.most))
    }

    /// Functions below these rows with all factors but those of `kept` 0.
    ///
    /// With `v` between `least` and `most`, and `h >= l`: `v h >= least h - (most - least) max(0,
    /// -l)`, which is exact but for rounding where `h` is the output of a ReLU.
    pub(super) fn rows(&self, kept: &[usize], features: &[Feature]) -> Rows {
        let mut rows = Rows {
            outputs: self.neurons,
            coefficients: vec![0.0; self.least.len()],
            constants: self.constants.clone(),
        };
        for (row, constant) in rows.constants.iter_mut().enumerate() {
            for &neuron in kept {
                let i = row * self.neurons + neuron;
                rows.coefficients[i] = self.least[i];
                let negative = (-features[neuron].interval[0]).max(0.0);
                let apart = sub_up(self.most[i], self.least[i]);
                *constant = sub_down(*constant, mul_up(apart, negative));
            }
        }
        rows
    }
}
