//! The figures of an explanation: how many features proofs keep, and how alike two networks' are.

use serde::Serialize;

use super::{Explanation, InputProof};
use crate::mean;
use crate::metrics::Share;

/// How many features the proofs of a network have and keep.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FeatureMetrics {
    /// Inputs.
    pub inputs: u64,
    /// Inputs that are answered as their class.
    pub right: u64,
    /// Inputs with a proof.
    pub proved: u64,
    /// Features of a proof before pruning; `None` without a proof.
    pub features: Option<Kept>,
    /// Features kept by pruning in the order of priority.
    pub priority: Option<Kept>,
    /// Features kept by pruning in random order.
    pub random: Option<Kept>,
    /// Features kept by pruning in the order of the last layer's weights.
    pub weight: Option<Kept>,
}

/// Numbers of features of proofs.
///
/// ```
/// use recert_report::features::Kept;
///
/// let kept = Kept::of(vec![1, 2, 4, 12]).unwrap();
/// assert_eq!((kept.mean, kept.median), (4.75, 3.0));
/// assert_eq!(kept.at_most_5.count, 3);
/// assert!(Kept::of(vec![]).is_none());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Kept {
    /// The mean over the proofs.
    pub mean: f64,
    /// The median; of an even number the mean of the middle two.
    pub median: f64,
    /// Proofs with at most 5.
    pub at_most_5: Share,
    /// Proofs with at most 10.
    pub at_most_10: Share,
}

impl Kept {
    /// The figures of these numbers; `None` of none.
    pub fn of(mut counts: Vec<u64>) -> Option<Self> {
        counts.sort_unstable();
        let middle = counts.len() / 2;
        let upper = *counts.get(middle)?;
        let lower = if counts.len().is_multiple_of(2) {
            counts[middle - 1]
        } else {
            upper
        };
        let share = |most: u64| Share {
            count: counts.partition_point(|&count| count <= most) as u64,
            total: counts.len() as u64,
        };
        Some(Self {
            mean: mean::plain(counts.iter().map(|&count| count as f64))?,
            median: f64::midpoint(lower as f64, upper as f64),
            at_most_5: share(5),
            at_most_10: share(10),
        })
    }
}

impl FeatureMetrics {
    /// The figures of a network, by its position.
    pub fn new(explanation: &Explanation, network: usize) -> Self {
        let inputs = &explanation.inputs;
        let kept = |count: Count| Kept::of(counts(explanation, network, count));
        let proved = inputs.iter().filter(|i| i.proofs[network].is_proved());
        Self {
            inputs: inputs.len() as u64,
            right: inputs.iter().filter(|i| i.is_right(network)).count() as u64,
            proved: proved.count() as u64,
            features: kept(|proof| Some(proof.counts?.features)),
            priority: kept(by_priority),
            random: kept(by_random),
            weight: kept(by_weight),
        }
    }
}

/// A number of features of a proof.
pub(super) type Count = fn(&InputProof) -> Option<u64>;

/// How many features a proof keeps in the order of priority.
pub(super) fn by_priority(proof: &InputProof) -> Option<u64> {
    proof.counts.map(|_| proof.kept.len() as u64)
}

/// In random order.
pub(super) fn by_random(proof: &InputProof) -> Option<u64> {
    Some(proof.counts?.random)
}

/// In the order of the last layer's weights.
pub(super) fn by_weight(proof: &InputProof) -> Option<u64> {
    Some(proof.counts?.weight)
}

/// A number of features of each of a network's proofs.
pub(super) fn counts(explanation: &Explanation, network: usize, count: Count) -> Vec<u64> {
    let proofs = explanation
        .inputs
        .iter()
        .map(|input| &input.proofs[network]);
    proofs.filter_map(count).collect()
}

/// How alike the proofs of two networks are. Means are over the inputs that both prove.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct VersusMetrics {
    /// Inputs that both prove.
    pub both: u64,
    /// Inputs that the first proves alone: of these the proof is lost.
    pub first_only: u64,
    /// Inputs that the second proves alone.
    pub second_only: u64,
    /// Inputs that neither proves.
    pub neither: u64,
    /// Of the features that the first keeps, those that the second keeps too, over all inputs
    /// that both prove.
    pub surviving: Share,
    /// The mean overlap of the kept sets: what both keep over what either keeps.
    pub overlap: Option<f64>,
    /// The mean of Spearman's rank correlation of the priorities.
    pub rank_correlation: Option<f64>,
    /// The mean cosine similarity of the pictures of features that both keep, by neuron.
    pub cosine: Option<f64>,
    /// The mean cosine similarity of the picture of each feature that the first keeps with the
    /// most similar one that the second keeps.
    pub closest_cosine: Option<f64>,
}

impl VersusMetrics {
    /// The figures; `None` where one network alone is explained.
    pub fn new(explanation: &Explanation) -> Option<Self> {
        if explanation.networks.len() != 2 {
            return None;
        }
        let inputs = &explanation.inputs;
        let count = |first: bool, second: bool| {
            let such = inputs.iter().filter(|input| {
                let proved = input.proofs.iter().map(InputProof::is_proved);
                proved.eq([first, second])
            });
            such.count() as u64
        };
        let compared = || {
            let pairs = inputs
                .iter()
                .map(|input| (input, input.comparison.as_ref()));
            pairs.filter_map(|(input, compared)| Some((input, compared?)))
        };
        Some(Self {
            both: count(true, true),
            first_only: count(true, false),
            second_only: count(false, true),
            neither: count(false, false),
            surviving: Share {
                count: compared().map(|(_, c)| c.shared.len() as u64).sum(),
                total: compared().map(|(i, _)| i.proofs[0].kept.len() as u64).sum(),
            },
            overlap: mean::plain(compared().map(|(_, c)| c.overlap)),
            rank_correlation: mean::plain(compared().filter_map(|(_, c)| c.rank_correlation)),
            cosine: mean::plain(compared().flat_map(|(_, c)| &c.cosines).flatten().copied()),
            closest_cosine: mean::plain(
                compared()
                    .flat_map(|(_, c)| &c.closest)
                    .flatten()
                    .map(|closest| closest.cosine),
            ),
        })
    }
}
