//! What of a bound makes checking it cheap, in the ledger's form, and back.
//!
//! Neurons are numbered as [`recert_bounds::Activation`] numbers them: an image's with the
//! channels last.

use recert_bounds::{
    ActivationSlopes, Bounds, Constrained, Leaf, Network, Slopes, Split, TightenedNeurons,
};
use recert_ledger::{
    KnownBounds, NeuronBounds, NeuronSlopes, Proof, ProofLayer, ProofLeaf, ProofRow, ProofSplit,
};

/// The functions whose relaxation follows from the sign where that is known.
const KINKED: [&str; 2] = ["Relu", "LeakyRelu"];

/// The most bytes of a proof that are kept: beyond that, checking is not cheap any more.
const MOST_BYTES: usize = 8 << 20;

/// The most non-linear steps that a network may have.
const MOST_ACTIVATIONS: usize = 1 << 16;

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

/// Bounds on the neurons before steps with a kink at 0, and the free parameters of a bound, with
/// what a changed network's verification begins from: `margins` are the rows' on the whole
/// region. `tightened` has the slopes by which neurons were bounded, where these are not the usual
/// ones. These are left out where they are large, and so is what another begins from; `None` where
/// the rest is, and where a part has what a proof does not state ([`Part::fits`]).
pub(super) fn encoded(
    network: &Network,
    bounds: &Bounds,
    margins: &[f64],
    parts: &[Part<'_>],
    tightened: &[TightenedNeurons],
) -> Option<Vec<u8>> {
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
    if !parts.iter().all(|part| part.fits(&layers)) {
        return None;
    }
    let mut neurons = layers.iter().flat_map(|layer| &layer.bounds);
    let numbers = neurons.all(|bounds| bounds.lower <= bounds.upper);
    let numbers = numbers && margins.iter().all(|margin| margin.is_finite());
    let known = numbers.then(|| KnownBounds::new(margins.to_vec(), &layers));
    let mut proof = Proof {
        leaves: parts.iter().map(|part| part.written(&layers)).collect(),
        neurons: neuron_slopes(&layers, tightened),
        layers,
        known,
    };
    let small = |proof: &Proof| Some(proof.encode()).filter(|bytes| bytes.len() <= MOST_BYTES);
    if let Some(bytes) = small(&proof) {
        return Some(bytes);
    }
    // What makes checking exact goes before what another verification begins from.
    proof.neurons.clear();
    small(&proof).or_else(|| {
        proof.known = None;
        small(&proof)
    })
}

/// The slopes of the bounds that were improved.
fn neuron_slopes(layers: &[ProofLayer], tightened: &[TightenedNeurons]) -> Vec<NeuronSlopes> {
    let mut all = Vec::new();
    for one in tightened {
        let mut position = layers.iter();
        let position = position.position(|layer| layer.activation as usize == one.activation);
        let Some(position) = position else { continue };
        let before = &layers[..position];
        let usual = NeuronSlopes::usual(before);
        for (row, _) in one
            .improves
            .iter()
            .enumerate()
            .filter(|(_, improves)| **improves)
        {
            let mut slopes = usual.clone();
            let mut places = slopes.iter_mut();
            for layer in before {
                let activation = layer.activation as usize;
                let given = one
                    .slopes
                    .iter()
                    .find(|given| given.activation == activation);
                let crossing = layer.bounds.iter().enumerate();
                let crossing = crossing.filter(|(_, b)| b.lower < 0.0 && b.upper > 0.0);
                for ((neuron, _), place) in crossing.zip(places.by_ref()) {
                    let fraction = given.and_then(|given| {
                        let at = given.neurons.binary_search(&neuron).ok()?;
                        given.fractions.get(row * given.neurons.len() + at)
                    });
                    if let Some(&fraction) = fraction {
                        *place = fraction;
                    }
                }
            }
            let key = (position as u32, one.neurons[row / 2] as u32, row % 2 == 1);
            all.push(NeuronSlopes::new(key, &slopes, &usual));
        }
    }
    all
}

/// The slopes of a proof, a row each: of each row those in the first part that has it, and those
/// that everybody takes where none has. A proof that contradicts itself has none.
pub(super) fn slopes(proof: &Proof, rows: usize) -> Slopes {
    let crossing = crossing(proof);
    let count = crossing.len();
    let usual: Vec<f64> = (crossing.iter())
        .map(|(_, _, bounds)| f64::from(bounds.upper > -bounds.lower))
        .collect();
    let all = || proof.leaves.iter().flat_map(|leaf| &leaf.rows);
    if all().all(|row| row.slopes.len() != count) {
        return Slopes::default();
    }
    let of_row = |row: usize| {
        let given = all().find(|given| given.row as usize == row && given.slopes.len() == count);
        given.map_or(&usual[..], |given| &given.slopes)
    };
    let by_row: Vec<&[f64]> = (0..rows).map(of_row).collect();
    by_activation(&crossing, &by_row)
}

/// The parts of a proof by branch and bound, a list for each row; none where there is one part.
/// That they fit the network and cover the region is for the search to check.
pub(super) fn leaves(proof: &Proof, rows: usize) -> Vec<Vec<Leaf>> {
    let crossing = crossing(proof);
    let mut leaves = vec![Vec::new(); rows];
    for part in &proof.leaves {
        for row in &part.rows {
            let Some(of_row) = leaves.get_mut(row.row as usize) else {
                return Vec::new();
            };
            let splits = part.splits.iter().zip(&row.multipliers);
            let splits = splits.filter_map(|(split, &multiplier)| {
                let layer = proof.layers.get(split.layer as usize)?;
                Some(Constrained {
                    split: Split {
                        activation: layer.activation as usize,
                        neuron: split.neuron as usize,
                        positive: split.above,
                    },
                    multiplier,
                })
            });
            let splits: Vec<Constrained> = splits.collect();
            if splits.len() != part.splits.len() || row.slopes.len() != crossing.len() {
                return Vec::new();
            }
            of_row.push(Leaf {
                row: row.row as usize,
                splits,
                slopes: by_activation(&crossing, &[&row.slopes]),
                bound: f64::NEG_INFINITY,
            });
        }
    }
    for of_row in &mut leaves {
        if of_row.len() < 2 {
            of_row.clear();
        }
    }
    leaves
}

/// The neurons of a proof that cross 0: activation, neuron and bounds.
fn crossing(proof: &Proof) -> Vec<(usize, usize, NeuronBounds)> {
    let layers = proof.layers.iter();
    let neurons = layers.flat_map(|layer| {
        let activation = layer.activation as usize;
        let bounds = layer.bounds.iter().enumerate();
        bounds.map(move |(neuron, &bounds)| (activation, neuron, bounds))
    });
    let crosses = |bounds: &NeuronBounds| bounds.lower < 0.0 && bounds.upper > 0.0;
    neurons.filter(|(_, _, bounds)| crosses(bounds)).collect()
}

/// Slopes of neurons in a row each, as bounds take them.
fn by_activation(neurons: &[(usize, usize, NeuronBounds)], rows: &[&[f64]]) -> Slopes {
    let mut activations: Vec<ActivationSlopes> = Vec::new();
    let mut first = 0;
    for part in neurons.chunk_by(|a, b| a.0 == b.0) {
        let activation = part[0].0;
        // No network has as many as a damaged number may state.
        if activation >= MOST_ACTIVATIONS {
            return Slopes::default();
        }
        if activations.len() <= activation {
            activations.resize(activation + 1, ActivationSlopes::default());
        }
        let range = first..first + part.len();
        first = range.end;
        activations[activation] = ActivationSlopes {
            neurons: part.iter().map(|(_, neuron, _)| *neuron).collect(),
            slopes: (rows.iter())
                .flat_map(|row| row[range.clone()].iter().copied())
                .collect(),
        };
    }
    Slopes { activations }
}

impl Part<'_> {
    /// Whether all of its splits are of neurons of these layers, and its slopes for them in [0, 1].
    /// Branch and bound also splits `Abs`, whose bounds are in no layer; and a `LeakyRelu` with a
    /// negative alpha has slopes from there on.
    fn fits(&self, layers: &[ProofLayer]) -> bool {
        let kept = |activation: usize| {
            let mut layers = layers.iter();
            layers.any(|layer| layer.activation as usize == activation)
        };
        let mut splits = self.splits.iter();
        let mut activations = self.slopes.activations.iter().enumerate();
        splits.all(|constrained| kept(constrained.split.activation))
            && activations.all(|(activation, chosen)| {
                let mut slopes = chosen.slopes.iter();
                !kept(activation) || slopes.all(|slope| (0.0..=1.0).contains(slope))
            })
    }

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
