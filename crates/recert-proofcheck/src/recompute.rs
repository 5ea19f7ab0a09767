//! The margins of a verified result, from its proof's free parameters and nothing that it claims.

use std::collections::BTreeMap;

use recert_check::proof_fault;
use recert_ledger::{NeuronBounds, NeuronSlopes, Proof, ProofLeaf, ProofRow};
use recert_num::directed::sub_down;

use crate::network::{Network, Unsupported, element_of_neuron};
use crate::ranges::{NeuronRow, Ranges};
use crate::region::Region;
use crate::row::{Free, OutOfWork, Setting, Work};
use crate::vnnlib::{Constraint, Property};

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
    let Some(property) = Property::class(network.outputs(), class) else {
        return Err(NotComputed::Wrong("is of another network".into()));
    };
    recompute_property(network, region, &property, proof, most)
}

/// The same for any property: the margin is then a bound of how far the outputs stay from what must
/// not occur, by one constraint of each conjunction.
///
/// # Errors
/// As for [`recompute`].
pub fn recompute_property(
    network: &Network,
    region: &Region,
    property: &Property,
    proof: Option<&Proof>,
    most: u64,
) -> Result<Recomputed, NotComputed> {
    if region.len() != network.inputs() || property.outputs != network.outputs() {
        return Err(NotComputed::Wrong("is of another network".into()));
    }
    let whole = Proof::default();
    let proof = proof.unwrap_or(&whole);
    // Where one constraint of a conjunction is enough, a proof need not have parts for the others.
    let single = property.unsafe_set.iter().all(|all| all.len() == 1);
    let rows = single.then(|| property.rows());
    let beyond_rows = (proof.leaves.iter().flat_map(|leaf| &leaf.rows))
        .any(|row| row.row as usize >= property.rows());
    let fault = beyond_rows.then(|| "has a row of another specification".to_owned());
    let fault = fault.or_else(|| proof_fault(proof, rows));
    if let Some(fault) = fault.or_else(|| misfit(network, proof)) {
        return Err(NotComputed::Wrong(fault));
    }
    let mut work = Work(most);
    let mut ranges = if proof.neurons.is_empty() {
        Ranges::on(network, region, &[usual(network, proof)], &mut work)?
    } else {
        // First as everybody bounds neurons, then each once more with its own slopes.
        let plain = Ranges::on(network, region, &[Free::default()], &mut work)?;
        plain.tightened(network, region, &neuron_rows(network, proof), &mut work)?
    };
    let mut found = margins(network, region, property, proof, &ranges, &mut work)?;
    // A search bounds neurons with slopes of its own. Where these are not in the proof, a few
    // others do as well for some.
    let unknown = proof.neurons.is_empty() && compared(network, proof, &ranges).is_some();
    if found.margin <= 0.0 && unknown {
        ranges = Ranges::on(network, region, &others(network, proof), &mut work)?;
        found = margins(network, region, property, proof, &ranges, &mut work)?;
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
        recomputed.seen = recomputed
            .seen
            .min(property.excess(&values[network.output]));
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

/// The rows of single neurons that a proof has slopes for, by the steps that take them. Slopes
/// that do not fit the layers were refused before.
fn neuron_rows(network: &Network, proof: &Proof) -> BTreeMap<usize, Vec<NeuronRow>> {
    let mut rows: BTreeMap<usize, Vec<NeuronRow>> = BTreeMap::new();
    let crossing: Vec<(usize, usize, usize)> = neurons(network, proof)
        .filter(|(_, _, b, _, _)| b.lower < 0.0 && b.upper > 0.0)
        .map(|(layer, _, _, step, element)| (layer, step, element))
        .collect();
    for one in &proof.neurons {
        let layer = one.layer as usize;
        let Some(&(step, shape)) = network.kinked.get(layer) else {
            continue;
        };
        let Some(slopes) = one.all(&NeuronSlopes::usual(&proof.layers[..layer])) else {
            continue;
        };
        let mut free = Free::default();
        let before = crossing.iter().filter(|(other, ..)| *other < layer);
        for (&(_, step, element), &part) in before.zip(&slopes) {
            let length = network.lengths[argument(network, step)];
            let slopes = free.slopes.entry(step);
            let slopes = slopes.or_insert_with(|| vec![f64::NAN; length]);
            slopes[element] = network.slope(step, part);
        }
        rows.entry(step).or_default().push(NeuronRow {
            element: element_of_neuron(shape, one.neuron as usize),
            upper: one.upper,
            free,
        });
    }
    rows
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
pub(crate) struct Margins {
    pub(crate) margin: f64,
    tried: Vec<Vec<f64>>,
}

/// Bounds the margins with the parameters of a proof, by these ranges.
pub(crate) fn margins(
    network: &Network,
    region: &Region,
    property: &Property,
    proof: &Proof,
    ranges: &Ranges,
    work: &mut Work,
) -> Result<Margins, OutOfWork> {
    let constraints: Vec<&Constraint> = property.constraints().collect();
    // Of a row that no part has nothing is known.
    let mut least: Vec<Option<f64>> = vec![None; constraints.len()];
    let mut tried = Vec::new();
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
        // Of a part without rows all are meant, with the usual slopes.
        let all: Vec<(usize, Option<&ProofRow>)> = if leaf.rows.is_empty() {
            (0..constraints.len())
                .map(|number| (number, None))
                .collect()
        } else {
            let rows = leaf.rows.iter();
            rows.map(|row| (row.row as usize, Some(row))).collect()
        };
        let mut clipped = None;
        let mut is_empty = false;
        if !leaf.splits.is_empty() {
            clipped = within(network, leaf, ranges);
            is_empty = clipped.is_none();
        }
        for (number, row) in all {
            let before = least[number].unwrap_or(f64::INFINITY);
            if is_empty {
                least[number] = Some(before);
                continue;
            }
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
            let constraint = constraints[number];
            let mut factors = vec![0.0; property.outputs];
            for &(output, factor) in &constraint.factors {
                factors[output] = factor;
            }
            let row = setting.least(network.output, factors, work)?;
            least[number] = Some(before.min(sub_down(row.bound, constraint.bound)));
            if tried.len() < MOST_TRIED {
                tried.extend(region.try_out(&row.input));
            }
        }
    }
    let mut bounds = least
        .into_iter()
        .map(|bound| bound.unwrap_or(f64::NEG_INFINITY));
    let conjunctions = property.unsafe_set.iter().map(|all| {
        let rows = bounds.by_ref().take(all.len());
        rows.fold(f64::NEG_INFINITY, f64::max)
    });
    Ok(Margins {
        margin: conjunctions.fold(f64::INFINITY, f64::min),
        tried,
    })
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
