//! Sets of sample numbers, as ascending ranges.

use std::collections::VecDeque;
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// A set of samples of one stream, as ascending ranges that are not empty and do not touch.
/// It cannot contain sample `u32::MAX`. Serialized, it is a list of pairs: the first number of
/// each range and the number after its last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<[u32; 2]>", into = "Vec<[u32; 2]>")]
pub struct Samples(VecDeque<Range<u32>>);

impl From<Samples> for Vec<[u32; 2]> {
    fn from(samples: Samples) -> Self {
        samples
            .0
            .iter()
            .map(|range| [range.start, range.end])
            .collect()
    }
}

impl TryFrom<Vec<[u32; 2]>> for Samples {
    type Error = &'static str;

    fn try_from(ranges: Vec<[u32; 2]>) -> Result<Self, Self::Error> {
        let bounds = ranges.as_flattened();
        if !bounds.is_sorted_by(|a, b| a < b) {
            return Err("ranges of samples must be ascending and not empty, and must not touch");
        }
        Ok(Self(
            ranges.iter().map(|&[start, end]| start..end).collect(),
        ))
    }
}

impl Samples {
    /// The samples `0..samples`.
    pub fn first(samples: u32) -> Self {
        let mut all = Self::default();
        all.push(0..samples);
        all
    }

    /// The samples of an ascending list.
    ///
    /// ```
    /// use recert_smooth::run::Samples;
    ///
    /// let samples = Samples::from_ascending(&[0, 1, 2, 7]);
    /// assert_eq!(samples.ranges().collect::<Vec<_>>(), [0..3, 7..8]);
    /// assert_eq!((samples.len(), samples.numbers()), (4, vec![0, 1, 2, 7]));
    /// ```
    ///
    /// # Panics
    /// If the list is not strictly ascending, or reaches `u32::MAX`.
    pub fn from_ascending(list: &[u32]) -> Self {
        assert!(
            list.is_sorted_by(|a, b| a < b) && list.last() != Some(&u32::MAX),
            "sample numbers must be strictly ascending and below {}",
            u32::MAX
        );
        let mut all = Self::default();
        for &sample in list {
            all.push(sample..sample + 1);
        }
        all
    }

    /// The union of sets of samples.
    pub(super) fn union<'a>(sets: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut ranges: Vec<_> = sets.into_iter().flat_map(Self::ranges).collect();
        ranges.sort_unstable_by_key(|range| range.start);
        let mut all = Self::default();
        for range in ranges {
            match all.0.back_mut() {
                Some(last) if last.end >= range.start => last.end = last.end.max(range.end),
                _ => all.push(range),
            }
        }
        all
    }

    /// Adds a range beyond all others.
    fn push(&mut self, range: Range<u32>) {
        match self.0.back_mut() {
            _ if range.is_empty() => {}
            Some(last) if last.end == range.start => last.end = range.end,
            _ => self.0.push_back(range),
        }
    }

    /// These samples without those in `others`, whose ranges are ascending.
    pub(super) fn without(&self, others: &[Range<u64>]) -> Self {
        let mut left = Self::default();
        let mut others = others.iter().peekable();
        for range in &self.0 {
            let end = u64::from(range.end);
            let mut next = u64::from(range.start);
            while let Some(other) = others.peek() {
                // Both numbers are clamped to a range of 32-bit numbers.
                left.push(next as u32..other.start.clamp(next, end) as u32);
                next = other.end.clamp(next, end);
                if other.end >= end {
                    break;
                }
                others.next();
            }
            left.push(next as u32..range.end);
        }
        left
    }

    /// Takes up to `most` samples off the front.
    pub(super) fn take(&mut self, most: u64) -> Self {
        let mut taken = Self::default();
        let mut room = most;
        while room > 0
            && let Some(range) = self.0.front_mut()
        {
            let end = u64::from(range.end).min(u64::from(range.start).saturating_add(room)) as u32;
            room -= u64::from(end - range.start);
            taken.push(range.start..end);
            range.start = end;
            if end == range.end {
                self.0.pop_front();
            }
        }
        taken
    }

    /// Takes the samples below `end` off the front.
    pub(super) fn take_below(&mut self, end: u32) -> Self {
        let mut taken = Self::default();
        while let Some(range) = self.0.front_mut().filter(|range| range.start < end) {
            let cut = range.end.min(end);
            taken.push(range.start..cut);
            range.start = cut;
            if cut == range.end {
                self.0.pop_front();
            }
        }
        taken
    }

    /// The number after the last sample; 0 if there is none.
    pub(super) fn end(&self) -> u32 {
        self.0.back().map_or(0, |range| range.end)
    }

    /// The positions of the samples `some` in the list of all these samples.
    pub(super) fn positions(&self, some: &Self) -> Vec<Range<usize>> {
        let (mut ranges, mut before) = (self.0.iter().peekable(), 0);
        let mut positions = Vec::with_capacity(some.0.len());
        for wanted in &some.0 {
            while let Some(range) = ranges.next_if(|range| range.end <= wanted.start) {
                before += range.len();
            }
            if let Some(range) = ranges.peek() {
                let start = before + (wanted.start - range.start) as usize;
                positions.push(start..start + wanted.len());
            }
        }
        positions
    }

    /// How many samples these are.
    pub fn len(&self) -> u64 {
        self.0.iter().map(|range| range.len() as u64).sum()
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The ranges, ascending.
    pub fn ranges(&self) -> impl Iterator<Item = Range<u32>> {
        self.0.iter().cloned()
    }

    /// Every sample's number, ascending.
    pub fn numbers(&self) -> Vec<u32> {
        self.ranges().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lists_become_ranges() {
        let samples = Samples::from_ascending(&[0, 1, 2, 7, 9, 10, u32::MAX - 1]);
        let ranges: Vec<_> = samples.ranges().collect();
        assert_eq!(ranges, [0..3, 7..8, 9..11, u32::MAX - 1..u32::MAX]);
        assert_eq!(samples.len(), 7);
        assert_eq!(Samples::first(0), Samples::from_ascending(&[]));
        assert_eq!(Samples::first(3), Samples::from_ascending(&[0, 1, 2]));
    }

    proptest! {
        #[test]
        fn a_union_is_cut_like_its_parts(
            sets in prop::collection::vec(prop::collection::btree_set(0_u32..150, 0..80), 0..5),
            most in 1_u64..40,
        ) {
            let numbers = |set: &BTreeSet<u32>| set.iter().copied().collect::<Vec<u32>>();
            let mut parts: Vec<Samples> = sets.iter().map(|set| Samples::from_ascending(&numbers(set))).collect();
            let mut union = Samples::union(&parts);
            let all: BTreeSet<u32> = sets.iter().flatten().copied().collect();
            prop_assert_eq!(&union, &Samples::from_ascending(&numbers(&all)));
            let mut seen = vec![Vec::new(); sets.len()];
            while !union.is_empty() {
                let piece = union.take(most);
                let row = piece.numbers();
                for (part, seen) in parts.iter_mut().zip(&mut seen) {
                    let share = part.take_below(piece.end());
                    let positions = piece.positions(&share);
                    let found: Vec<u32> = positions.into_iter().flat_map(|p| row[p].to_vec()).collect();
                    prop_assert_eq!(&found, &share.numbers());
                    seen.extend(found);
                }
            }
            for ((part, set), seen) in parts.iter().zip(&sets).zip(seen) {
                prop_assert!(part.is_empty());
                prop_assert_eq!(seen, numbers(set));
            }
        }

        #[test]
        fn what_is_left_is_the_difference_of_sets(
            list in prop::collection::btree_set(0_u32..200, 0..120),
            // Ranges that overlap, touch or reach far beyond.
            others in prop::collection::vec((0_u64..210, 0_u64..20), 0..20),
            most in 0_u64..60,
        ) {
            let mut others: Vec<Range<u64>> =
                others.into_iter().map(|(start, len)| start..start + len).collect();
            others.sort_by_key(|range| range.start);
            others.push(300..1 << 40);
            let numbers: Vec<u32> = list.iter().copied().collect();
            let samples = Samples::from_ascending(&numbers);
            prop_assert_eq!(&samples.numbers(), &numbers);
            let free = |sample: &u32| !others.iter().any(|range| range.contains(&u64::from(*sample)));
            let expected: Vec<u32> = numbers.iter().copied().filter(free).collect();
            // As a ledger gives them: merged.
            let mut merged: Vec<Range<u64>> = Vec::new();
            for range in others {
                match merged.last_mut() {
                    Some(last) if last.end >= range.start => last.end = last.end.max(range.end),
                    _ => merged.push(range),
                }
            }
            let mut left = samples.without(&merged);
            prop_assert_eq!(&left.numbers(), &expected);
            prop_assert_eq!(left.len(), expected.len() as u64);

            let taken = left.take(most);
            let (front, back) = expected.split_at(expected.len().min(most as usize));
            prop_assert_eq!(taken.numbers(), front);
            prop_assert_eq!(left.numbers(), back);
            let rest: BTreeSet<u32> = left.ranges().flatten().collect();
            prop_assert_eq!(rest.len() as u64, left.len());
            prop_assert_eq!(left.is_empty(), back.is_empty());
        }
    }
}
