//! Selecting a class, and margin edges, by the selection samples.

use std::collections::BTreeMap;

use recert_engine::Answers;
use recert_ledger::Selection;

use crate::margin::edges;

/// The class answered most often, ties to the lower index; 0 if there are no answers.
pub(super) fn top_class(counts: &BTreeMap<u16, u64>) -> u16 {
    // `max_by_key` keeps the last of equals, so the order is reversed.
    let top = counts.iter().rev().max_by_key(|(_, count)| **count);
    top.map_or(0, |(class, _)| *class)
}

/// The outcome of the selection samples: the class answered most often, ties to the lower
/// index, and with `margins` the edges of the margin buckets.
///
/// ```
/// use recert_engine::Answers;
///
/// let answers = [Answers::Classes(vec![Some(2), Some(1), None, Some(2)])];
/// let selection = recert_smooth::run::select(&answers, true);
/// assert_eq!((selection.class, selection.invalid), (2, 1));
/// assert_eq!(selection.edges, None, "there are no logits");
/// ```
pub fn select(answers: &[Answers], margins: bool) -> Selection {
    let mut counts = BTreeMap::new();
    let (mut samples, mut invalid) = (0, 0);
    for batch in answers {
        for i in 0..batch.len() {
            samples += 1;
            match batch.class(i) {
                Some(class) => *counts.entry(class).or_insert(0) += 1,
                None => invalid += 1,
            }
        }
    }
    let class = top_class(&counts);
    let margins: Vec<f32> = answers
        .iter()
        .filter(|_| margins)
        .flat_map(|batch| (0..batch.len()).filter_map(|i| batch.margin(i, class)))
        .collect();
    Selection {
        samples,
        counts,
        invalid,
        class,
        edges: edges(&margins),
        micros: 0,
    }
}
