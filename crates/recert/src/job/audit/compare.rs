//! Telling near ties from wrong answers: by how much scores would have to differ for an
//! answer of one engine to be another's.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use recert_engine::{Answers, Class, Classifier, Error};
use recert_ledger::{INVALID, Selection};
use recert_smooth::run::MarginEdges;

/// A classifier whose answers are kept, in their order, until they are [taken](Kept::take).
pub(super) struct Watched {
    pub(super) classifier: Box<dyn Classifier>,
    pub(super) kept: Kept,
}

/// Answers that a [`Watched`] classifier gave.
#[derive(Clone, Default)]
pub(super) struct Kept(Arc<Mutex<Option<Answers>>>);

impl Kept {
    /// The answers since the last call.
    pub(super) fn take(&self) -> Option<Answers> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.take()
    }
}

impl Classifier for Watched {
    fn classes(&self) -> usize {
        self.classifier.classes()
    }

    fn image_len(&self) -> usize {
        self.classifier.image_len()
    }

    fn classify(&mut self, images: &[f32]) -> Result<Answers, Error> {
        let answers = self.classifier.classify(images)?;
        let mut kept = self.kept.0.lock().unwrap_or_else(PoisonError::into_inner);
        match kept.as_mut() {
            Some(kept) => kept.extend(answers.clone()),
            None => *kept = Some(answers.clone()),
        }
        Ok(answers)
    }
}

/// An answer as a ledger keeps it: the class, and the bucket of the margin where it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Code {
    pub(super) class: u16,
    pub(super) bucket: Option<u8>,
}

/// The scores of an image, of a network that gives scores; `None` where they are not finite.
pub(super) fn scores(answers: &Answers, image: usize) -> Option<&[f32]> {
    let Answers::Logits { classes, values } = answers else {
        return None;
    };
    let row = &values[image * classes..(image + 1) * classes];
    row.iter().all(|score| score.is_finite()).then_some(row)
}

/// By how much the largest score exceeds the next.
pub(super) fn gap(scores: &[f32]) -> f32 {
    let (mut first, mut second) = (f32::NEG_INFINITY, f32::NEG_INFINITY);
    for &score in scores {
        if score > first {
            (first, second) = (score, first);
        } else {
            second = second.max(score);
        }
    }
    first - second
}

/// How far the difference of two scores would have to move for an image of these scores to be
/// answered as `stored`: 0 where it is. `None` where no rounding makes it so: an invalid
/// answer, or a class that there is not.
pub(super) fn apart(scores: &[f32], stored: Code, edges: Option<&MarginEdges>) -> Option<f32> {
    if stored.class == INVALID {
        return None;
    }
    let score = *scores.get(usize::from(stored.class))?;
    let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let by_class = most - score;
    let Some((bucket, MarginEdges { class, edges })) = stored.bucket.zip(edges) else {
        return Some(by_class);
    };
    let margin = margin(scores, *class)?.abs();
    let bucket = usize::from(bucket);
    let from = bucket
        .checked_sub(1)
        .map_or(Some(0.0), |i| edges.get(i).copied());
    let to = edges.get(bucket).copied().unwrap_or(f32::INFINITY);
    let by_margin = (from? - margin).max(margin - to).max(0.0);
    Some(by_class.max(by_margin))
}

/// The score of a class less the largest other.
fn margin(scores: &[f32], class: Class) -> Option<f32> {
    let others = scores.iter().enumerate();
    let others = others.filter(|&(i, _)| i != usize::from(class));
    let other = others.map(|(_, &score)| score);
    let other = other.fold(f32::NEG_INFINITY, f32::max);
    Some(*scores.get(usize::from(class))? - other)
}

/// As [`apart`] for a selection: how near ties have to be for the votes that differ to be such,
/// and edges not to differ by more. `gaps` are those of the selection samples.
pub(super) fn selections_apart(
    stored: &Selection,
    found: &Selection,
    mut gaps: Vec<f32>,
) -> Option<f32> {
    if stored.invalid != found.invalid {
        return None;
    }
    let classes = stored.counts.keys().chain(found.counts.keys());
    let votes = |selection: &Selection, class: &u16| -> u64 {
        selection.counts.get(class).copied().unwrap_or(0)
    };
    let classes: BTreeSet<&u16> = classes.collect();
    let differ = |class: &u16| votes(stored, class).abs_diff(votes(found, class));
    let moved = classes.into_iter().map(differ).sum::<u64>() / 2;
    gaps.sort_unstable_by(f32::total_cmp);
    let by_votes = match moved.checked_sub(1) {
        None => 0.0,
        Some(last) => *gaps.get(usize::try_from(last).ok()?)?,
    };
    let by_edges = match (&stored.edges, &found.edges) {
        (None, None) => 0.0,
        // Edges of another class's margins; the votes decide.
        _ if stored.class != found.class => 0.0,
        (Some(stored), Some(found)) if stored.len() == found.len() => {
            let pairs = stored.iter().zip(found);
            pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
        }
        _ => return None,
    };
    Some(by_votes.max(by_edges))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(class: u16, bucket: Option<u8>) -> Code {
        Code { class, bucket }
    }

    #[test]
    fn a_near_tie_is_as_near_as_the_scores() {
        let scores = [1.0, 4.0, 3.75];
        assert_eq!(gap(&scores), 0.25);
        assert_eq!(apart(&scores, code(1, None), None), Some(0.0));
        assert_eq!(apart(&scores, code(2, None), None), Some(0.25));
        assert_eq!(apart(&scores, code(0, None), None), Some(3.0));
        // What no rounding explains.
        assert_eq!(apart(&scores, code(INVALID, None), None), None);
        assert_eq!(apart(&scores, code(9, None), None), None);
        assert_eq!(gap(&[2.0, 2.0, 1.0]), 0.0);
    }

    #[test]
    fn a_bucket_is_as_near_as_its_edge() {
        let edges = MarginEdges {
            class: 1,
            edges: vec![0.125, 0.5, 1.0],
        };
        let scores = [1.0, 4.0, 3.75];
        let apart = |bucket| apart(&scores, code(1, Some(bucket)), Some(&edges)).unwrap();
        assert_eq!([0, 1, 2, 3].map(apart), [0.125, 0.0, 0.25, 0.75]);
    }

    #[test]
    fn votes_move_by_near_ties_alone() {
        let selection = |counts: [u64; 3], edge: f32| Selection {
            class: 0,
            samples: counts.iter().sum(),
            counts: (0_u16..).zip(counts).collect(),
            invalid: 0,
            edges: Some(vec![edge]),
            micros: 0,
        };
        let (stored, found) = (selection([7, 2, 1], 1.0), selection([5, 3, 2], 1.25));
        let gaps = || vec![0.5, 0.01, 3.0, 0.02];
        // Two votes moved; the second smallest gap is less than the edge's move.
        assert_eq!(selections_apart(&stored, &found, gaps()), Some(0.25));
        let same_edge = selection([5, 3, 2], 1.0);
        assert_eq!(selections_apart(&stored, &same_edge, gaps()), Some(0.02));
        assert_eq!(selections_apart(&stored, &stored, gaps()), Some(0.0));
        assert_eq!(selections_apart(&stored, &same_edge, vec![0.1]), None);
        let invalid = Selection {
            invalid: 1,
            ..stored.clone()
        };
        assert_eq!(selections_apart(&stored, &invalid, gaps()), None);
    }
}
