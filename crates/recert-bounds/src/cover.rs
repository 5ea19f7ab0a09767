//! Whether parts of a region cover it, by their splits.

use crate::branch::Leaf;
use crate::error::{Error, Result};
use crate::network::Network;
use crate::property::Property;
use crate::split::{Constrained, Split};
use crate::step::Kind;

/// Checks that leaves are of a property and a network, and cover the region.
pub(crate) fn check_leaves(
    network: &Network,
    property: &Property,
    leaves: &[Vec<Leaf>],
) -> Result<()> {
    // The neurons of each activation that may be split: none where 0 does not part it into lines.
    let splittable: Vec<usize> = (network.steps.iter())
        .filter_map(|step| match &step.kind {
            Kind::Elementwise(function) => Some(match function.free_slopes() {
                Some(_) => network.layouts[step.output].len(),
                None => 0,
            }),
            Kind::MaxPool(_) => Some(0),
            _ => None,
        })
        .collect();
    let mut first = 0;
    for (number, conjunction) in property.unsafe_set().iter().enumerate() {
        let rows = first..first + conjunction.len();
        first = rows.end;
        let Some(parts) = leaves.get(number).filter(|parts| !parts.is_empty()) else {
            continue;
        };
        let fits = |leaf: &Leaf| {
            let split = |constrained: &Constrained| {
                let Split {
                    activation, neuron, ..
                } = constrained.split;
                splittable
                    .get(activation)
                    .is_some_and(|&count| neuron < count)
            };
            let chosen = leaf.slopes.activations.iter().enumerate();
            rows.contains(&leaf.row)
                && leaf.splits.iter().all(split)
                && chosen.into_iter().all(|(i, slopes)| {
                    let count = splittable.get(i).copied().unwrap_or(0);
                    slopes.slopes.len() == slopes.neurons.len()
                        && slopes.neurons.iter().all(|neuron| *neuron < count)
                })
        };
        if !parts.iter().all(fits) {
            return Err(Error::argument(format!(
                "the known parts of conjunction {number} are not of this network and property"
            )));
        }
        if !covers(parts) {
            return Err(Error::argument(format!(
                "the known parts of conjunction {number} do not cover the region"
            )));
        }
    }
    Ok(())
}

/// Whether parts are the leaves of a binary tree in which both halves of every split occur, each
/// part's splits listed from the root on: then every input of the region is in one of them.
///
/// Leaves of any other origin may cover the region without being found to.
fn covers(parts: &[Leaf]) -> bool {
    let split = |part: usize, depth: usize| -> Option<Split> {
        let constrained: Option<&Constrained> = parts[part].splits.get(depth);
        constrained.map(|constrained| constrained.split)
    };
    // Nodes of the tree: the parts below one, and its depth.
    let mut open: Vec<(Vec<usize>, usize)> = vec![((0..parts.len()).collect(), 0)];
    while let Some((below, depth)) = open.pop() {
        let Some(&first) = below.first() else {
            return false;
        };
        let Some(of_first) = split(first, depth) else {
            // This part is the whole node.
            continue;
        };
        let mut halves = [Vec::new(), Vec::new()];
        for part in below {
            match split(part, depth) {
                Some(other)
                    if (other.activation, other.neuron)
                        == (of_first.activation, of_first.neuron) =>
                {
                    halves[usize::from(other.positive)].push(part);
                }
                _ => return false,
            }
        }
        open.extend(halves.map(|half| (half, depth + 1)));
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Slopes;

    fn part(splits: &[(usize, bool)]) -> Leaf {
        let constrained = splits.iter().map(|&(neuron, positive)| Constrained {
            split: Split {
                activation: 0,
                neuron,
                positive,
            },
            multiplier: 0.0,
        });
        Leaf {
            row: 0,
            splits: constrained.collect(),
            slopes: Slopes::default(),
            bound: 1.0,
        }
    }

    #[test]
    fn both_halves_of_every_split_are_needed() {
        let whole = part(&[]);
        let tree = [
            part(&[(4, true)]),
            part(&[(4, false), (7, true)]),
            part(&[(4, false), (7, false)]),
        ];
        assert!(covers(std::slice::from_ref(&whole)));
        assert!(covers(&tree));
        assert!(!covers(&[]));
        for missing in 0..3 {
            let rest = (0..3).filter(|&i| i != missing).map(|i| tree[i].clone());
            assert!(!covers(&rest.collect::<Vec<_>>()));
        }
        // Another neuron in the second half is no other half of the first.
        assert!(!covers(&[part(&[(4, true)]), part(&[(5, false)])]));
        assert!(!covers(&[part(&[(4, true)]), part(&[(4, true)])]));
    }
}
