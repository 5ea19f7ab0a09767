//! A selection of the images of a set: every k-th, from an offset, up to a limit.

use std::iter::FusedIterator;

use crate::error::{Error, ErrorKind, Result};

/// The indices offset, offset + every, offset + 2 every, ... below the length of a set.
///
/// ```
/// use recert_data::Subset;
///
/// // Every 20th image of CIFAR-10's test set, as in Cohen et al. (2019).
/// let subset = Subset::new(10_000, 20, None)?;
/// assert_eq!(subset.len(), 500);
/// assert_eq!(subset.clone().nth(2), Some(40));
/// assert_eq!(subset.clone().last(), Some(9_980));
///
/// let five = Subset::new(10_000, 20, Some(5))?.starting_at(7);
/// assert_eq!(five.collect::<Vec<_>>(), [7, 27, 47, 67, 87]);
/// # Ok::<(), recert_data::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Subset {
    /// The next index; may lie past the end.
    next: u64,
    every: u64,
    /// Length of the whole set.
    end: u64,
    /// How many indices may still come.
    limit: u64,
}

impl Subset {
    /// Every `every`-th image of a set of `len` images, starting with image 0, at most `limit`.
    ///
    /// It is an error ([`ErrorKind::Options`]) if `every` is zero, or if the set
    /// has more than 2^32 images, whose indices would not fit.
    ///
    /// ```
    /// let subset = recert_data::Subset::new(10, 4, None)?;
    /// assert_eq!(subset.collect::<Vec<_>>(), [0, 4, 8]);
    /// assert!(recert_data::Subset::new(10, 0, None).is_err());
    /// # Ok::<(), recert_data::Error>(())
    /// ```
    pub fn new(len: usize, every: u32, limit: Option<u32>) -> Result<Self> {
        if every == 0 {
            return Err(Error::new(
                ErrorKind::Options,
                "every 0th image selects nothing; take 1 for all images",
            ));
        }
        let end = len as u64;
        if end > 1 << 32 {
            return Err(Error::new(
                ErrorKind::Options,
                format!("a set of {len} images is too long; the index of an image has 32 bits"),
            ));
        }
        Ok(Self {
            next: 0,
            every: u64::from(every),
            end,
            limit: limit.map_or(end, u64::from),
        })
    }

    /// The same selection, starting with image `offset` instead of image 0.
    ///
    /// An offset past the end of the set selects nothing.
    ///
    /// ```
    /// let subset = recert_data::Subset::new(10, 4, None)?.starting_at(1);
    /// assert_eq!(subset.collect::<Vec<_>>(), [1, 5, 9]);
    /// # Ok::<(), recert_data::Error>(())
    /// ```
    #[must_use]
    pub fn starting_at(mut self, offset: u32) -> Self {
        self.next = u64::from(offset);
        self
    }
}

impl Iterator for Subset {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        if self.limit == 0 || self.next >= self.end {
            return None;
        }
        // The end is at most 2^32, so an index below it fits.
        let index = self.next as u32;
        self.next += self.every;
        self.limit -= 1;
        Some(index)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.end.saturating_sub(self.next).div_ceil(self.every);
        let left = left.min(self.limit) as usize;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Subset {}
impl FusedIterator for Subset {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_and_too_much_are_refused() {
        let error = Subset::new(10, 0, None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Options);
        if usize::BITS > 32 {
            assert!(Subset::new(1 << 32, 1, None).is_ok());
            let error = Subset::new((1 << 32) + 1, 1, None).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Options);
        }
    }

    #[test]
    fn the_end_of_the_range_of_indices_is_reached_and_not_passed() {
        if usize::BITS > 32 {
            let last = Subset::new(1 << 32, 5, None).unwrap().starting_at(u32::MAX);
            assert_eq!(last.len(), 1);
            assert_eq!(last.collect::<Vec<_>>(), [u32::MAX]);
        }
    }

    proptest! {
        #[test]
        fn is_the_plain_definition(len in 0_usize..200, every in 1_u32..30, offset in 0_u32..220, limit in prop::option::of(0_u32..40)) {
            let subset = Subset::new(len, every, limit).unwrap().starting_at(offset);
            let expected: Vec<u32> = (0..len as u32)
                .filter(|&i| i >= offset && (i - offset).is_multiple_of(every))
                .take(limit.map_or(usize::MAX, |l| l as usize))
                .collect();
            prop_assert_eq!(subset.len(), expected.len());
            prop_assert_eq!(subset.collect::<Vec<_>>(), expected);
        }
    }
}
