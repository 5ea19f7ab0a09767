//! The margins of a verified result, from its proof's free parameters and nothing that it claims.

use std::collections::BTreeMap;

use recert_check::proof_fault;
use recert_ledger::{NeuronBounds, Proof, ProofLeaf, ProofRow};

use crate::network::{Network, Unsupported, element_of_neuron};
use crate::ranges::Ranges;
use crate::region::Region;
use crate::row::{Free, OutOfWork, Setting, Work};

/// The products that one result may take: minutes on one core.
pub const MOST_TERMS: u64 = 100_000_000_000;

/// What is derived of a result.
#[derive(Debug, Clone, PartialEq)]
pub struct Recomputed {
    /// A lower bound of the smallest margin on the region, rounded down; the result is proved
    /// where it is above 0. Minus infinity where nothing is finite.
    pub margin: f64,
    /// The smallest margin seen at points of the region: no bound of it can be above. Computed in
    /// f64, rounded to nearest.
    pub seen: f64,
    /// Bounds of neurons that the proof claims to be tighter than those derived here, the first
    /// of them and their number.
    pub tighter: Option<Tighter>,
    /// The first bound of a neuron in the proof that a point of the region is beyond.
    pub refuted: Option<Tighter>,
}

/// A bound of a neuron in a proof that is not what is derived here.
#[derive(Debug, Clone, PartialEq)]
pub struct Tighter {
    /// The layer of the proof.
    pub layer: usize,
    /// The neuron in the layer.
    pub neuron: usize,
    /// The lower and upper bound in the proof.
    pub claimed: [f64; 2],
    /// Those derived here; of a point beyond them, its value twice.
    pub derived: [f64; 2],
    /// The number of such neurons.
    pub count: usize,
}

/// Why a margin is not computed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotComputed {
    /// The proof contradicts itself, the network or the specification: what is wrong, as a
    /// phrase that follows "the proof".
    Wrong(String),
    /// It takes more products than allowed.
    TooLarge,
    /// The network or the result is of a kind that is not computed here.
    Unsupported(Unsupported),
}

impl From<OutOfWork> for NotComputed {
    fn from(_: OutOfWork) -> Self {
        Self::TooLarge
    }
}

/// Bounds the smallest margin of `class` over the other classes on a region, with the slopes,
/// splits and multipliers of a proof; without one, with the usual slopes. `most` is the number of
/// products that it may take, as [`MOST_TERMS`].
///
/// # Errors
/// [`NotComputed::Wrong`] for a proof that does not fit the network, or has slopes, multipliers
/// or splits that prove nothing; the others where nothing can be said.
pub fn recompute(
    network: &Network,
    region: &Region,
    class: usize,
    proof: Option<&Proof>,
    most: u64,
) -> Result<Recomputed, NotComputed> {
    let classes = network.outputs();
    if region.len() != network.inputs() || class >= classes {
        return Err(NotComputed::Wrong("is of another network".into()));
    }
    let whole = Proof::default();
    let proof = proof.unwrap_or(&whole);
    if let Some(fault) = proof_fault(proof, Some(classes - 1)).or_else(|| misfit(network, proof)) {
        return Err(NotComputed::Wrong(fault));
    }
    let mut work = Work(most);
    let mut ranges = Ranges::on(network, region, &[usual(network, proof)], &mut work)?;
    let mut found = margins(network, region, class, proof, &ranges, &mut work)?;
    // A search bounds neurons with slopes of its own, which nothing here knows. A few others do
    // as well for some.
    if found.margin <= 0.0 && compared(network, proof, &ranges).is_some() {
        ranges = Ranges::on(network, region, &others(network, proof), &mut work)?;
        found = margins(network, region, class, proof, &ranges, &mut work)?;
    }
    let mut recomputed = Recomputed {
        margin: found.margin,
        seen: f64::INFINITY,
        tighter: compared(network, proof, &ranges),
        refuted: None,
    };
    found.tried.push(region.centre().to_vec());
    for point in &found.tried {
        let values = network.evaluate(point);
        let outputs = &values[network.output];
        let others = (0..classes).filter(|&other| other != class);
        let margin = others.map(|other| outputs[class] - outputs[other]);
        recomputed.seen = margin.fold(recomputed.seen, f64::min);
        if recomputed.refuted.is_none() {
            recomputed.refuted = beyond(network, proof, &values);
        }
    }
    Ok(recomputed)
}

/// The usual slopes: 1 for a neuron whose upper bound in the proof is farther from 0 than its lower
/// bound, else 0; by the derived bounds where the proof has none. With the prover's slopes, bounds
/// that are no looser than the prover's lead to such again, which with others need not be so.
fn usual(network: &Network, proof: &Proof) -> Free {
    let mut free = Free::default();
    let crossing = neurons(network, proof).filter(|(_, _, b, _, _)| b.lower < 0.0 && b.upper > 0.0);
    for (_, _, bounds, step, element) in crossing {
        let length = network.lengths[argument(network, step)];
        let slopes = free
            .slopes
            .entry(step)
            .or_insert_with(|| vec![f64::NAN; length]);
        slopes[element] = f64::from(u8::from(bounds.upper > -bounds.lower));
    }
    free
}

/// Slopes for neurons beside the usual ones: the least, the middle, the largest, and those of the
/// margins in a proof's first parts.
fn others(network: &Network, proof: &Proof) -> Vec<Free> {
    let mut all = vec![usual(network, proof)];
    for slope in [0.0, 0.5, 1.0] {
        let steps = network.kinked.iter();
        let slopes = steps.map(|&(step, _)| {
            let length = network.lengths[argument(network, step)];
            (step, vec![slope; length])
        });
        all.push(Free {
            slopes: slopes.collect(),
            ..Free::default()
        });
    }
    let whole = ProofLeaf::default();
    let rows = proof.leaves.iter().flat_map(|leaf| &leaf.rows);
    all.extend(
        rows.take(MOST_ROWS)
            .map(|row| free(network, proof, &whole, row)),
    );
    all
}

/// How many rows of a proof lend their slopes to neurons.
const MOST_ROWS: usize = 4;

/// The smallest margin, and points at which rows are least.
struct Margins {
    margin: f64,
    tried: Vec<Vec<f64>>,
}

/// Bounds the margins with the parameters of a proof, by these ranges.
fn margins(
    network: &Network,
    region: &Region,
    class: usize,
    proof: &Proof,
    ranges: &Ranges,
    work: &mut Work,
) -> Result<Margins, OutOfWork> {
    let classes = network.outputs();
    let mut found = Margins {
        margin: f64::INFINITY,
        tried: Vec::new(),
    };
    let whole = [ProofLeaf::default()];
    let leaves = if proof.leaves.is_empty() {
        &whole[..]
    } else {
        &proof.leaves
    };
    // What is looked at for each part, beside products.
    let size: usize = network.lengths.iter().sum();
    for leaf in leaves {
        work.take(size)?;
        let mut clipped = None;
        if !leaf.splits.is_empty() {
            let Some(ranges) = within(network, leaf, ranges) else {
                continue;
            };
            clipped = Some(ranges);
        }
        // Of a part without rows all are meant, with the usual slopes.
        let all: Vec<(usize, Option<&ProofRow>)> = if leaf.rows.is_empty() {
            (0..classes - 1).map(|number| (number, None)).collect()
        } else {
            let rows = leaf.rows.iter();
            rows.map(|row| (row.row as usize, Some(row))).collect()
        };
        for (number, row) in all {
            work.take(size)?;
            let free = match row {
                Some(row) => free(network, proof, leaf, row),
                None => usual(network, proof),
            };
            let setting = Setting {
                network,
                region,
                ranges: clipped.as_ref().unwrap_or(ranges),
                free: &free,
            };
            // Rows are of the other classes, in their order.
            let other = number + usize::from(number >= class);
            let mut margin = vec![0.0; classes];
            margin[class] = 1.0;
            margin[other] = -1.0;
            let row = setting.least(network.output, margin, work)?;
            found.margin = found.margin.min(row.bound);
            if found.tried.len() < MOST_TRIED {
                found.tried.push(region.try_out(&row.input));
            }
        }
    }
    Ok(found)
}

/// At how many points, beside the centre, a network is tried out.
const MOST_TRIED: usize = 100;

/// What of a proof does not fit a network.
fn misfit(network: &Network, proof: &Proof) -> Option<String> {
    // Without claims about neurons nothing has to fit.
    if proof.layers.is_empty() && proof.leaves.iter().all(|leaf| leaf.splits.is_empty()) {
        return None;
    }
    if proof.layers.len() != network.kinked.len() {
        return Some(format!(
            "has bounds of {} layers, where the network has {} with a kink",
            proof.layers.len(),
            network.kinked.len()
        ));
    }
    let mut layers = proof.layers.iter().zip(&network.kinked).enumerate();
    layers.find_map(|(number, (layer, (_, [channels, plane])))| {
        let (claimed, neurons) = (layer.bounds.len(), channels * plane);
        (claimed != neurons).then(|| {
            format!("has bounds of {claimed} neurons of layer {number}, which has {neurons}")
        })
    })
}

/// By how much bounds may differ because each is rounded its own way: `1e-7 + 1e-5 |bound|`. It
/// decides what counts as another bound, never whether a result is proved.
///
/// ```
/// use recert_proofcheck::slack;
///
/// assert!(slack(0.0) > 0.0 && slack(-2.0) < 1e-4);
/// ```
pub fn slack(bound: f64) -> f64 {
    1e-7 + 1e-5 * bound.abs()
}

/// Neurons, with the step and the element that each is.
fn neurons<'a>(
    network: &'a Network,
    proof: &'a Proof,
) -> impl Iterator<Item = (usize, usize, NeuronBounds, usize, usize)> + 'a {
    let layers = proof.layers.iter().zip(&network.kinked).enumerate();
    layers.flat_map(|(layer, (claimed, &(step, shape)))| {
        let neurons = claimed.bounds.iter().enumerate();
        neurons.map(move |(neuron, &bounds)| {
            (
                layer,
                neuron,
                bounds,
                step,
                element_of_neuron(shape, neuron),
            )
        })
    })
}

/// Bounds that a proof claims to be tighter than those derived.
fn compared(network: &Network, proof: &Proof, ranges: &Ranges) -> Option<Tighter> {
    let mut first: Option<Tighter> = None;
    for (layer, neuron, claimed, step, element) in neurons(network, proof) {
        let input = argument(network, step);
        let derived = [ranges.lower[input][element], ranges.upper[input][element]];
        let implied = claimed.lower <= derived[0] + slack(derived[0])
            && claimed.upper >= derived[1] - slack(derived[1]);
        if implied {
            continue;
        }
        match &mut first {
            Some(first) => first.count += 1,
            None => {
                first = Some(Tighter {
                    layer,
                    neuron,
                    claimed: [claimed.lower, claimed.upper],
                    derived,
                    count: 1,
                });
            }
        }
    }
    first
}

/// A bound of a proof that the values of a point of the region are beyond.
fn beyond(network: &Network, proof: &Proof, values: &[Vec<f64>]) -> Option<Tighter> {
    neurons(network, proof).find_map(|(layer, neuron, claimed, step, element)| {
        let value = values[argument(network, step)][element];
        let inside = claimed.lower <= value + slack(value) && claimed.upper >= value - slack(value);
        (!inside && value.is_finite()).then_some(Tighter {
            layer,
            neuron,
            claimed: [claimed.lower, claimed.upper],
            derived: [value; 2],
            count: 1,
        })
    })
}

/// The value that the curve of a step takes.
fn argument(network: &Network, step: usize) -> usize {
    match &network.steps[step] {
        crate::network::Step::Curve { input, .. } => *input,
        _ => step,
    }
}

/// The ranges within a leaf; `None` where there is nothing in it.
fn within(network: &Network, leaf: &ProofLeaf, ranges: &Ranges) -> Option<Ranges> {
    let mut ranges = ranges.clone();
    for split in &leaf.splits {
        let (step, shape) = network.kinked[split.layer as usize];
        let element = element_of_neuron(shape, split.neuron as usize);
        ranges.split(network, step, element, split.above)?;
    }
    Some(ranges)
}

/// The free parameters of a row.
fn free(network: &Network, proof: &Proof, leaf: &ProofLeaf, row: &ProofRow) -> Free {
    let mut free = Free::default();
    let crossing = neurons(network, proof).filter(|(_, _, b, _, _)| b.lower < 0.0 && b.upper > 0.0);
    let mut slopes: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    for ((_, _, _, step, element), &slope) in crossing.zip(&row.slopes) {
        let length = network.lengths[argument(network, step)];
        slopes.entry(step).or_insert_with(|| vec![f64::NAN; length])[element] = slope;
    }
    free.slopes = slopes;
    for (split, &multiplier) in leaf.splits.iter().zip(&row.multipliers) {
        let (step, shape) = network.kinked[split.layer as usize];
        let element = element_of_neuron(shape, split.neuron as usize);
        let taken = if split.above { multiplier } else { -multiplier };
        free.multipliers
            .entry(step)
            .or_default()
            .push((element, taken));
    }
    free
}
