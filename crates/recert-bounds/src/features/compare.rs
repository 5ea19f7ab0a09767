//! What two networks' proofs of one property rest on, side by side.

use super::{Feature, Proof};
use crate::error::{Error, Result};

/// How alike two proofs are. Neurons are compared by position, so the networks should be
/// versions of one: a pruned or quantized network and its original.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Neurons that both sets keep, in increasing order.
    pub shared: Vec<usize>,
    /// `shared` over all that either keeps (Jaccard's index); 1 where neither keeps any.
    pub overlap: f64,
    /// Spearman's rank correlation of the priorities of all neurons; `None` where either has
    /// all priorities alike.
    pub rank_correlation: Option<f64>,
    /// The cosine similarity of the two pictures of each shared neuron; `None` where one
    /// of them is 0 everywhere.
    pub pictures: Vec<Option<f64>>,
}

/// A neuron whose interval is wider in the second of two proofs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Growth {
    /// Its position in the penultimate layer.
    pub neuron: usize,
    /// The interval's width in the first proof and in the second.
    pub width: [f64; 2],
    /// How much that can take off the property's rows: the growth of the width times the second
    /// network's [`Feature::weight`].
    pub loss: f64,
}

/// Compares two proofs of the same property on the same region, and what was extracted
/// from each.
///
/// # Errors
///
/// [`crate::ErrorKind::Argument`] where the penultimate layers or inputs differ in size, or a
/// neuron is kept that there is not; those of the bounds.
pub fn compare(first: &Proof<'_>, second: &Proof<'_>, kept: [&[usize]; 2]) -> Result<Comparison> {
    let [f, g] = [first.features(), second.features()];
    same_size(f, g)?;
    let mut shared: Vec<usize> = (kept[0].iter().copied())
        .filter(|neuron| kept[1].contains(neuron))
        .collect();
    shared.sort_unstable();
    shared.dedup();
    let either = kept
        .concat()
        .into_iter()
        .collect::<std::collections::BTreeSet<_>>();
    let pictures = first
        .pictures(&shared)?
        .into_iter()
        .zip(second.pictures(&shared)?);
    let pictures = pictures.map(|(a, b)| {
        if a.len() == b.len() {
            Ok(cosine(&a, &b))
        } else {
            Err(Error::argument(format!(
                "the networks take inputs of {} and of {} numbers; compare networks of the same input",
                a.len(),
                b.len()
            )))
        }
    });
    let priorities = |features: &[Feature]| -> Vec<f64> {
        features.iter().map(|feature| feature.priority).collect()
    };
    Ok(Comparison {
        overlap: if either.is_empty() {
            1.0
        } else {
            shared.len() as f64 / either.len() as f64
        },
        rank_correlation: spearman(&priorities(f), &priorities(g)),
        pictures: pictures.collect::<Result<_>>()?,
        shared,
    })
}

/// The neurons whose intervals are wider in the second proof, the largest loss first: where a
/// proof is lost with a change of the network, what lost it.
///
/// # Errors
///
/// [`crate::ErrorKind::Argument`] where the penultimate layers differ in size.
pub fn growth(first: &[Feature], second: &[Feature]) -> Result<Vec<Growth>> {
    same_size(first, second)?;
    let width = |feature: &Feature| feature.interval[1] - feature.interval[0];
    let mut grown: Vec<Growth> = (first.iter().zip(second))
        .map(|(f, g)| Growth {
            neuron: g.neuron,
            width: [width(f), width(g)],
            loss: g.weight * (width(g) - width(f)),
        })
        .filter(|growth| growth.loss > 0.0)
        .collect();
    grown.sort_by(|a, b| b.loss.total_cmp(&a.loss));
    Ok(grown)
}

fn same_size(first: &[Feature], second: &[Feature]) -> Result<()> {
    if first.len() == second.len() {
        return Ok(());
    }
    Err(Error::argument(format!(
        "penultimate layers of {} and of {} neurons; compare networks of the same layers",
        first.len(),
        second.len()
    )))
}

/// Spearman's rank correlation: Pearson's of the ranks, equal values sharing their mean rank.
/// `None` where either has fewer than two different values, lengths differ or a value is NaN.
///
/// ```
/// use recert_bounds::features::spearman;
///
/// assert_eq!(spearman(&[1.0, 2.0, 3.0], &[1.0, 10.0, 100.0]), Some(1.0));
/// assert_eq!(spearman(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0]), Some(-1.0));
/// assert_eq!(spearman(&[1.0, 2.0], &[5.0, 5.0]), None);
/// ```
pub fn spearman(a: &[f64], b: &[f64]) -> Option<f64> {
    if a.len() != b.len() || a.iter().chain(b).any(|value| value.is_nan()) {
        return None;
    }
    let centred = |values: &[f64]| -> Vec<f64> {
        let mean = f64::midpoint(values.len() as f64, 1.0);
        ranks(values).iter().map(|rank| rank - mean).collect()
    };
    cosine(&centred(a), &centred(b))
}

/// Ranks from 1, equal values sharing the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&i, &j| values[i].total_cmp(&values[j]));
    let mut ranks = vec![0.0; values.len()];
    let mut before = 0.0;
    for equal in order.chunk_by(|&i, &j| values[i] == values[j]) {
        let count = equal.len() as f64;
        for &i in equal {
            ranks[i] = before + f64::midpoint(count, 1.0);
        }
        before += count;
    }
    ranks
}

/// The cosine of the angle between two vectors of the same length; `None` where one is 0, or their
/// squares are too large or too small for f64.
pub fn cosine(a: &[f64], b: &[f64]) -> Option<f64> {
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let size = (product(a, a) * product(b, b)).sqrt();
    (size > 0.0 && size.is_finite()).then(|| (product(a, b) / size).clamp(-1.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_share_their_rank() {
        assert_eq!(ranks(&[10.0, -1.0, 10.0, 30.0]), [2.5, 1.0, 2.5, 4.0]);
        // By hand: ranks (1, 2.5, 2.5, 4) and (2, 1, 3, 4) give 3 / sqrt(4.5 * 5).
        let rho = spearman(&[0.0, 1.0, 1.0, 9.0], &[5.0, 4.0, 6.0, 7.0]).unwrap();
        assert!((rho - 3.0 / 22.5_f64.sqrt()).abs() < 1e-15);
        assert_eq!(spearman(&[f64::NAN, 1.0], &[0.0, 1.0]), None);
        assert_eq!(spearman(&[1.0], &[0.0, 1.0]), None);
    }

    #[test]
    fn zero_has_no_direction() {
        assert_eq!(cosine(&[0.0, 0.0], &[1.0, 0.0]), None);
        assert_eq!(cosine(&[3.0, 4.0], &[-6.0, -8.0]), Some(-1.0));
        assert_eq!(cosine(&[1.0, 0.0], &[0.0, 2.0]), Some(0.0));
    }

    #[test]
    fn what_grew_is_ordered_by_what_it_costs() {
        let feature = |neuron, upper, weight| Feature {
            neuron,
            interval: [0.0, upper],
            weight,
            priority: upper * weight,
        };
        let first = [
            feature(0, 1.0, 1.0),
            feature(1, 1.0, 4.0),
            feature(2, 1.0, 1.0),
        ];
        let second = [
            feature(0, 2.5, 1.0),
            feature(1, 2.0, 4.0),
            feature(2, 0.5, 1.0),
        ];
        let grown = growth(&first, &second).unwrap();
        assert_eq!(grown.iter().map(|g| g.neuron).collect::<Vec<_>>(), [1, 0]);
        assert_eq!((grown[0].width, grown[0].loss), ([1.0, 2.0], 4.0));
        assert!(growth(&first, &second[..2]).is_err());
    }
}
