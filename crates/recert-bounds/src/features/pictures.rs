//! Pictures of features: what of the image each looks at.

use super::Proof;
use crate::backward::{Pass, Start, Stop, Tape};
use crate::error::Result;
use crate::property::Rows;
use crate::slopes::Slopes;

/// Neurons whose coefficients are carried to the input at a time.
const AT_ONCE: usize = 32;

impl Proof<'_> {
    /// The gradient of the middle of each of these neurons' intervals with respect to the input:
    /// half of the sum of the coefficients of its linear bounds from below and from above
    /// (through the bounds of this proof's values). One picture a neuron, in the file's order of
    /// the input.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Argument`] where there is no such neuron.
    pub fn pictures(&self, neurons: &[usize]) -> Result<Vec<Vec<f64>>> {
        self.check(neurons)?;
        let below = self.coefficients(neurons, 1.0);
        let above = self.coefficients(neurons, -1.0);
        let pictures = below.into_iter().zip(above).map(|(below, above)| {
            let pairs = below.into_iter().zip(above);
            // The function above h is that below -h, negated.
            pairs.map(|(b, a)| 0.5 * (b - a)).collect()
        });
        Ok(pictures.collect())
    }

    /// The coefficients of linear functions of the input that are nowhere above these neurons
    /// times `sign`.
    fn coefficients(&self, neurons: &[usize], sign: f64) -> Vec<Vec<f64>> {
        let hidden = self.relaxation.network;
        let slopes = Slopes::default();
        let pass = Pass {
            stop: Stop::Input,
            ..self.pass(&slopes)
        };
        let mut coefficients = Vec::with_capacity(neurons.len());
        for neurons in neurons.chunks(AT_ONCE) {
            let mut rows = Rows {
                outputs: hidden.outputs(),
                coefficients: vec![0.0; neurons.len() * hidden.outputs()],
                constants: vec![0.0; neurons.len()],
            };
            for (row, &neuron) in rows
                .coefficients
                .chunks_exact_mut(rows.outputs)
                .zip(neurons)
            {
                row[neuron] = sign;
            }
            let mut tape = Tape::for_network(hidden);
            let start = Start::Rows(&rows);
            pass.taped(hidden.output_value(), start, 0..neurons.len(), &mut tape);
            let rows = tape.input.chunks_exact(hidden.inputs());
            coefficients.extend(rows.map(<[f64]>::to_vec));
        }
        coefficients
    }
}
