//! What of a bound makes checking it cheap, in the ledger's form.
//!
//! Neurons are numbered as [`recert_bounds::Activation`] numbers them: an image's with the
//! channels last.

use recert_bounds::{Bounds, Constrained, Network, Slopes};
use recert_ledger::{NeuronBounds, Proof, ProofLayer, ProofLeaf, ProofRow, ProofSplit};

/// The functions whose relaxation follows from the sign where that is known.
const KINKED: [&str; 2] = ["Relu", "LeakyRelu"];

/// The most bytes of a proof that are kept: beyond that, checking is not cheap any more.
const MOST_BYTES: usize = 8 << 20;

/// One subproblem, as the prover has it.
pub(super) struct Part<'a> {
    /// Which neurons are on which side of 0, with their multipliers for the row.
    pub(super) splits: &'a [Constrained],
    /// The rows that are bounded in it, each with its row among the slopes; none where all rows
    /// have the slopes that everybody takes.
    pub(super) rows: Vec<(usize, usize)>,
    /// The slopes.
    pub(super) slopes: &'a Slopes,
}

/// Bounds on the neurons before steps with a kink at 0, and the free parameters of a bound;
/// `None` where that is large.
pub(super) fn encoded(network: &Network, bounds: &Bounds, parts: &[Part<'_>]) -> Option<Vec<u8>> {
    let kinked = network.activations().iter().enumerate();
    let kinked = kinked.filter(|(_, activation)| KINKED.contains(&activation.function));
    let layer = |(activation, _)| {
        let (lower, upper) = bounds.neurons(network, activation);
        let bounds = lower.iter().zip(upper);
        let bounds = bounds.map(|(&lower, &upper)| NeuronBounds { lower, upper });
        ProofLayer {
            activation: activation as u32,
            bounds: bounds.collect(),
        }
    };
    let layers: Vec<ProofLayer> = kinked.map(layer).collect();
    let crossing = |layer: &ProofLayer| {
        let crossing = layer
            .bounds
            .iter()
            .filter(|b| b.lower < 0.0 && b.upper > 0.0);
        crossing.count()
    };
    let slopes: usize = layers.iter().map(crossing).sum();
    let rows: usize = parts.iter().map(|part| part.rows.len()).sum();
    if slopes.saturating_mul(rows) > MOST_BYTES / size_of::<f64>() {
        return None;
    }
    let proof = Proof {
        leaves: parts.iter().map(|part| part.written(&layers)).collect(),
        layers,
    };
    Some(proof.encode()).filter(|bytes| bytes.len() <= MOST_BYTES)
}

impl Part<'_> {
    fn written(&self, layers: &[ProofLayer]) -> ProofLeaf {
        let split = |constrained: &Constrained| {
            let split = constrained.split;
            let mut layers = layers.iter();
            let layer = layers.position(|layer| layer.activation as usize == split.activation)?;
            Some(ProofSplit {
                layer: layer as u32,
                neuron: split.neuron as u32,
                above: split.positive,
            })
        };
        ProofLeaf {
            splits: self.splits.iter().filter_map(split).collect(),
            rows: (self.rows.iter())
                .map(|&(row, place)| ProofRow {
                    row: row as u32,
                    slopes: self.slopes(place, layers),
                    multipliers: self.splits.iter().map(|split| split.multiplier).collect(),
                })
                .collect(),
        }
    }

    /// The slopes of a row, of all neurons that cross 0.
    fn slopes(&self, place: usize, layers: &[ProofLayer]) -> Vec<f64> {
        let slopes = layers.iter().flat_map(|layer| {
            let given = self.slopes.activations.get(layer.activation as usize);
            let crossing = layer.bounds.iter().enumerate();
            let crossing = crossing.filter(|(_, b)| b.lower < 0.0 && b.upper > 0.0);
            crossing.map(move |(neuron, bounds)| {
                let chosen = given.and_then(|given| {
                    let position = given.neurons.binary_search(&neuron).ok()?;
                    let count = given.neurons.len();
                    let shared = given.slopes.len() == count;
                    let first = if shared { 0 } else { place * count };
                    given.slopes.get(first + position).copied()
                });
                chosen.unwrap_or(f64::from(bounds.upper > -bounds.lower))
            })
        });
        slopes.collect()
    }
}
