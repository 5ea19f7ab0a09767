//! The structure of a proof: whether its parts fit one another and leave nothing out.
//!
//! Whether its numbers are bounds takes the network, which this crate does not know.

use std::collections::{BTreeMap, BTreeSet};

use recert_ledger::{Proof, ProofLeaf};

/// What is wrong with a proof, whatever the network is, as a phrase that follows "the proof";
/// `None` where nothing is. `rows` is the number of margins that it has to prove, where that is
/// known: each needs parts that cover everything.
///
/// Slopes have to lie in [0, 1], multipliers must not be negative, splits are of neurons whose
/// sign is open, and the parts of a row are the leaves of a tree in which each split has both
/// sides.
///
/// ```
/// use recert_check::proof_fault;
/// use recert_ledger::{NeuronBounds, Proof, ProofLayer, ProofLeaf, ProofRow, ProofSplit};
///
/// let bounds = vec![NeuronBounds { lower: -1.0, upper: 1.0 }];
/// let part = |above| ProofLeaf {
///     splits: vec![ProofSplit { layer: 0, neuron: 0, above }],
///     rows: vec![ProofRow { row: 0, slopes: vec![0.5], multipliers: vec![0.0] }],
/// };
/// let mut proof = Proof {
///     layers: vec![ProofLayer { activation: 0, bounds }],
///     leaves: vec![part(true), part(false)],
///     ..Proof::default()
/// };
/// assert_eq!(proof_fault(&proof, Some(1)), None);
/// proof.leaves.pop();
/// assert!(proof_fault(&proof, Some(1)).is_some_and(|fault| fault.contains("row 0")));
/// ```
pub fn proof_fault(proof: &Proof, rows: Option<usize>) -> Option<String> {
    let ascends = (proof.layers).is_sorted_by(|a, b| a.activation < b.activation);
    if !ascends {
        return Some("has layers out of order".into());
    }
    if let Some(fault) = neuron_fault(proof) {
        return Some(fault);
    }
    let bounds = || proof.layers.iter().flat_map(|layer| &layer.bounds);
    let crossing = bounds().filter(|b| b.lower < 0.0 && b.upper > 0.0).count();
    let faults = proof
        .leaves
        .iter()
        .enumerate()
        .filter_map(|(number, leaf)| {
            let fault = leaf_fault(proof, leaf, crossing, rows)?;
            Some(format!("has, in part {number}, {fault}"))
        });
    if let Some(fault) = { faults }.next() {
        return Some(fault);
    }
    // Without parts every row is bounded as a whole.
    if proof.leaves.is_empty() {
        return None;
    }
    let all = proof.leaves.iter().filter(|leaf| leaf.rows.is_empty());
    let all: Vec<&ProofLeaf> = all.collect();
    let mut parts: BTreeMap<usize, Vec<&ProofLeaf>> = BTreeMap::new();
    for leaf in &proof.leaves {
        for row in &leaf.rows {
            parts.entry(row.row as usize).or_default().push(leaf);
        }
    }
    // Without a count one row of a conjunction is enough: nothing requires the others.
    for row in 0..rows.unwrap_or(0) {
        parts.entry(row).or_default();
    }
    if parts.is_empty() {
        return (!covers(all)).then(|| uncovered(0));
    }
    parts.into_iter().find_map(|(row, mut parts)| {
        parts.extend(&all);
        (!covers(parts)).then(|| uncovered(row))
    })
}

/// What does not fit of the slopes by which neurons were bounded.
fn neuron_fault(proof: &Proof) -> Option<String> {
    // How many neurons of the layers before each are stored with both bounds.
    let before: Vec<usize> = (proof.layers.iter())
        .scan(0, |sum, layer| {
            let before = *sum;
            let crossing = (layer.bounds.iter()).filter(|b| b.lower < 0.0 && b.upper > 0.0);
            *sum += crossing.count();
            Some(before)
        })
        .collect();
    proof.neurons.iter().find_map(|one| {
        let layer = proof.layers.get(one.layer as usize);
        let fits = layer.is_some_and(|layer| (one.neuron as usize) < layer.bounds.len());
        let count = before.get(one.layer as usize).copied().unwrap_or(0);
        let inside = one.runs.iter().all(|run| {
            let end = (run.first as usize).checked_add(run.slopes.len());
            end.is_some_and(|end| end <= count)
        });
        (!fits || !inside).then(|| {
            let (neuron, layer) = (one.neuron, one.layer);
            format!("has slopes for neuron {neuron} of layer {layer} that do not fit the layers")
        })
    })
}

fn uncovered(row: usize) -> String {
    format!("has parts that leave something out for row {row}: a split lacks one of its sides")
}

fn leaf_fault(
    proof: &Proof,
    leaf: &ProofLeaf,
    crossing: usize,
    rows: Option<usize>,
) -> Option<String> {
    for split in &leaf.splits {
        let layer = proof.layers.get(split.layer as usize);
        let bounds = layer.and_then(|layer| layer.bounds.get(split.neuron as usize));
        if !bounds.is_some_and(|b| b.lower < 0.0 && b.upper > 0.0) {
            let (layer, neuron) = (split.layer, split.neuron);
            return Some(format!(
                "a split of neuron {neuron} of layer {layer}, whose sign is known"
            ));
        }
    }
    if leaf.rows.is_empty() && !leaf.splits.is_empty() {
        return Some("splits and no row".into());
    }
    let mut seen = BTreeSet::new();
    for row in &leaf.rows {
        let number = row.row as usize;
        if rows.is_some_and(|rows| number >= rows) || !seen.insert(number) {
            return Some(format!("row {number}, which there is not, or twice"));
        }
        if row.slopes.len() != crossing || row.multipliers.len() != leaf.splits.len() {
            return Some(format!(
                "{} slopes and {} multipliers of row {number}, for {crossing} neurons and {} splits",
                row.slopes.len(),
                row.multipliers.len(),
                leaf.splits.len()
            ));
        }
        if let Some(slope) = row
            .slopes
            .iter()
            .find(|slope| !(0.0..=1.0).contains(*slope))
        {
            return Some(format!(
                "the slope {slope} in row {number}, outside of [0, 1]"
            ));
        }
        let bad = |multiplier: &&f64| !(multiplier.is_finite() && **multiplier >= 0.0);
        if let Some(multiplier) = row.multipliers.iter().find(bad) {
            return Some(format!(
                "the multiplier {multiplier} in row {number}, below 0"
            ));
        }
    }
    None
}

/// Whether parts are the leaves of a tree in which every split has both its sides. Every part
/// is looked at once for each of its splits.
fn covers(parts: Vec<&ProofLeaf>) -> bool {
    let mut open: Vec<(Vec<&ProofLeaf>, usize)> = vec![(parts, 0)];
    while let Some((parts, depth)) = open.pop() {
        // Nothing here: a side that is left out.
        let Some(first) = parts.first() else {
            return false;
        };
        // A part without further splits is all of this; others beside it do no harm.
        if parts.iter().any(|part| part.splits.len() == depth) {
            continue;
        }
        let split = first.splits[depth];
        let of = |part: &&ProofLeaf| {
            (part.splits[depth].layer, part.splits[depth].neuron) == (split.layer, split.neuron)
        };
        if !parts.iter().all(of) {
            return false;
        }
        let (above, below) = parts.into_iter().partition(|part| part.splits[depth].above);
        open.push((above, depth + 1));
        open.push((below, depth + 1));
    }
    true
}

#[cfg(test)]
mod tests {
    use recert_ledger::{NeuronBounds, ProofLayer, ProofRow, ProofSplit};

    use super::*;

    /// Two neurons with open signs, and one whose sign is known.
    fn proof(parts: &[&[(u32, bool)]]) -> Proof {
        let open = NeuronBounds {
            lower: -1.0,
            upper: 2.0,
        };
        let part = |splits: &&[(u32, bool)]| {
            let split = |&(neuron, above): &(u32, bool)| ProofSplit {
                layer: 0,
                neuron,
                above,
            };
            ProofLeaf {
                splits: splits.iter().map(split).collect(),
                rows: vec![ProofRow {
                    row: 0,
                    slopes: vec![0.0, 1.0],
                    multipliers: vec![0.5; splits.len()],
                }],
            }
        };
        Proof {
            layers: vec![ProofLayer {
                activation: 2,
                bounds: vec![open, NeuronBounds::ACTIVE, open],
            }],
            leaves: parts.iter().map(part).collect(),
            ..Proof::default()
        }
    }

    #[test]
    fn parts_have_to_cover_everything() {
        let complete: [&[&[(u32, bool)]]; 4] = [
            &[],
            &[&[]],
            &[&[(0, true)], &[(0, false)]],
            &[
                &[(2, false)],
                &[(2, true), (0, true)],
                &[(2, true), (0, false)],
            ],
        ];
        for parts in complete {
            assert_eq!(proof_fault(&proof(parts), Some(1)), None, "{parts:?}");
        }
        let incomplete: [&[&[(u32, bool)]]; 5] = [
            &[&[(0, true)]],
            &[&[(0, true)], &[(0, true)]],
            &[&[(0, true)], &[(2, false)]],
            &[&[(2, false)], &[(2, true), (0, true)]],
            // A split of a neuron whose sign is known.
            &[&[(1, true)], &[(1, false)]],
        ];
        for parts in incomplete {
            assert!(proof_fault(&proof(parts), Some(1)).is_some(), "{parts:?}");
        }
        // A second row that no part bounds.
        assert!(proof_fault(&proof(&[&[]]), Some(2)).is_some());
    }

    #[test]
    fn slopes_of_neurons_have_to_fit_the_layers() {
        use recert_ledger::{NeuronSlopes, SlopeRun};

        let with = |layer, neuron, first, count| {
            let open = NeuronBounds {
                lower: -1.0,
                upper: 2.0,
            };
            let mut proof = proof(&[]);
            proof.layers.push(ProofLayer {
                activation: 5,
                bounds: vec![open],
            });
            let slopes = vec![7; count];
            let runs = vec![SlopeRun { first, slopes }];
            proof.neurons = vec![NeuronSlopes {
                layer,
                neuron,
                upper: true,
                runs,
            }];
            proof_fault(&proof, Some(1))
        };
        // Two neurons of the first layer are open.
        assert_eq!(with(1, 0, 0, 2), None);
        assert_eq!(with(1, 0, 1, 1), None);
        for (layer, neuron, first, count) in [
            (1, 0, 1, 2),
            (1, 0, u32::MAX, 1),
            (1, 1, 0, 1),
            (2, 0, 0, 1),
            (0, 0, 0, 1),
        ] {
            let fault = with(layer, neuron, first, count);
            assert!(fault.is_some_and(|fault| fault.contains("slopes for neuron")));
        }
    }

    #[test]
    fn parameters_that_prove_nothing_are_found() {
        let sound = proof(&[&[(0, true)], &[(0, false)]]);
        let faults: [fn(&mut ProofRow); 7] = [
            |row| row.slopes[0] = 1.5,
            |row| row.slopes[1] = -0.25,
            |row| row.slopes[1] = f64::NAN,
            |row| row.slopes.truncate(1),
            |row| row.multipliers[0] = -0.5,
            |row| row.multipliers.clear(),
            |row| row.row = 1,
        ];
        for fault in faults {
            let mut proof = sound.clone();
            fault(&mut proof.leaves[1].rows[0]);
            assert!(proof_fault(&proof, Some(1)).is_some(), "{proof:?}");
        }
        let mut twice = sound;
        let row = twice.leaves[0].rows[0].clone();
        twice.leaves[0].rows.push(row);
        assert!(proof_fault(&twice, Some(1)).is_some());
    }
}
