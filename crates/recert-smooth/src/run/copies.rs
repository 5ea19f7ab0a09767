//! Sets of copy numbers, as ascending ranges.

use std::collections::VecDeque;
use std::ops::Range;

/// Some of the copies of one stream: ranges that are ascending, not empty and
/// do not touch. Copy `u32::MAX` cannot be among them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Copies(VecDeque<Range<u32>>);

impl Copies {
    /// The copies `0..copies`.
    pub(super) fn first(copies: u32) -> Self {
        let mut all = Self::default();
        all.push(0..copies);
        all
    }

    /// The copies of an ascending list.
    pub(super) fn chosen(list: &[u32]) -> Self {
        let mut all = Self::default();
        for &copy in list {
            all.push(copy..copy + 1);
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

    /// These copies but those in `others`, which are ascending.
    pub(super) fn without(&self, others: &[Range<u64>]) -> Self {
        let mut left = Self::default();
        let mut others = others.iter().peekable();
        for range in &self.0 {
            let end = u64::from(range.end);
            let mut next = u64::from(range.start);
            while let Some(other) = others.peek() {
                // What is cut to the range fits where the range does.
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

    /// Takes up to `most` copies off the front.
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

    /// How many copies these are.
    pub(super) fn len(&self) -> u64 {
        self.0.iter().map(|range| range.len() as u64).sum()
    }

    /// Whether these are none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The ranges, ascending.
    pub(super) fn ranges(&self) -> impl Iterator<Item = Range<u32>> {
        self.0.iter().cloned()
    }

    /// Every copy's number, ascending.
    pub(super) fn numbers(&self) -> Vec<u32> {
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
        let copies = Copies::chosen(&[0, 1, 2, 7, 9, 10, u32::MAX - 1]);
        let ranges: Vec<_> = copies.ranges().collect();
        assert_eq!(ranges, [0..3, 7..8, 9..11, u32::MAX - 1..u32::MAX]);
        assert_eq!(copies.len(), 7);
        assert_eq!(Copies::first(0), Copies::chosen(&[]));
        assert_eq!(Copies::first(3), Copies::chosen(&[0, 1, 2]));
    }

    proptest! {
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
            let copies = Copies::chosen(&numbers);
            prop_assert_eq!(&copies.numbers(), &numbers);
            let apart = |copy: &u32| !others.iter().any(|range| range.contains(&u64::from(*copy)));
            let expected: Vec<u32> = numbers.iter().copied().filter(apart).collect();
            // As a ledger gives them: merged.
            let mut merged: Vec<Range<u64>> = Vec::new();
            for range in others {
                match merged.last_mut() {
                    Some(last) if last.end >= range.start => last.end = last.end.max(range.end),
                    _ => merged.push(range),
                }
            }
            let mut left = copies.without(&merged);
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
