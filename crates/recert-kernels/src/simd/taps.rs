//! The pixels under the taps of a kernel: where the innermost loops read.
#![expect(unsafe_code, reason = "the innermost loops check no bounds")]

/// How the taps of a kernel lie in a tensor. Distances are in its values.
#[derive(Clone, Copy)]
pub(crate) struct Reach {
    /// Blocks of input channels, rows of taps, and columns.
    pub(crate) counts: [usize; 3],
    /// From each of these to the next one.
    pub(crate) strides: [usize; 3],
    /// From a pixel to the next one.
    pub(crate) pixel: usize,
    /// The values of a pixel that are read, in one block.
    pub(crate) channels: usize,
}

/// What `P` neighbouring pixels take of a tensor.
pub(crate) struct Taps<'a, T, const P: usize> {
    values: &'a [T],
    reach: Reach,
}

impl<'a, T, const P: usize> Taps<'a, T, P> {
    /// What lies under the taps if the first pixel's first tap is at the start
    /// of `values`.
    ///
    /// # Panics
    ///
    /// Where it does not all lie in `values`.
    #[inline(always)]
    pub(crate) fn new(values: &'a [T], reach: Reach) -> Self {
        let Reach {
            counts,
            strides,
            pixel,
            channels,
        } = reach;
        let large = strides[0] | strides[1] | strides[2] | pixel | channels;
        let most = counts[0] | counts[1] | counts[2];
        assert!((large as u64) < 1 << 40 && most < 1 << 20 && P < 1 << 8);
        // At most 3 * 2^60 + 2^48 + 2^40, computed in 64 bits: no overflow.
        let last = |axis: usize| (counts[axis].max(1) - 1) as u64 * strides[axis] as u64;
        let end = last(0) + last(1) + last(2) + (P - 1) as u64 * pixel as u64 + channels as u64;
        assert!(end <= values.len() as u64, "taps outside a tensor");
        Self { values, reach }
    }

    /// What lies under one tap: the first `channels` values of every pixel.
    ///
    /// # Panics
    ///
    /// Where there is no such tap, or there are fewer values. In loops over them
    /// the compiler knows that there are, and checks nothing.
    #[inline(always)]
    pub(crate) fn tap(&self, tap: [usize; 3], channels: usize) -> Tap<'a, T, P> {
        let Reach {
            counts, strides, ..
        } = self.reach;
        assert!(tap[0] < counts[0] && tap[1] < counts[1] && tap[2] < counts[2]);
        assert!(channels <= self.reach.channels);
        Tap {
            values: self.values,
            first: tap[0] * strides[0] + tap[1] * strides[1] + tap[2] * strides[2],
            pixel: self.reach.pixel,
            channels,
        }
    }
}

/// What `P` neighbouring pixels take under one tap.
pub(crate) struct Tap<'a, T, const P: usize> {
    /// Holds the value at `first + (P - 1) * pixel + channels - 1`, if there is
    /// any channel; [`Taps`] has seen to that.
    values: &'a [T],
    first: usize,
    pixel: usize,
    channels: usize,
}

impl<'a, T, const P: usize> Tap<'a, T, P> {
    /// The value of `channel` at pixel `p`.
    ///
    /// # Panics
    ///
    /// Where there is no such one, which the compiler checks as little.
    #[inline(always)]
    pub(crate) fn get(&self, channel: usize, p: usize) -> &'a T {
        assert!(channel < self.channels && p < P);
        // SAFETY: `channel` and `p` are at most those of the last value, which
        // `Taps::new` has found, without overflow, to be in `values`: `tap` has
        // let through no tap and no channel behind the last ones.
        unsafe {
            self.values
                .get_unchecked(self.first + p * self.pixel + channel)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Reach, Taps};

    const REACH: Reach = Reach {
        counts: [2, 1, 2],
        strides: [10, 7, 1],
        pixel: 2,
        channels: 2,
    };

    /// Whether reading what `read` reads of `len` values panics.
    fn refused(len: usize, reach: Reach, read: fn(&Taps<'_, usize, 3>) -> usize) -> bool {
        let values: Vec<usize> = (0..len).collect();
        std::panic::catch_unwind(move || read(&Taps::new(&values, reach))).is_err()
    }

    #[test]
    fn the_last_value_of_the_last_tap_can_be_read() {
        let values: Vec<usize> = (0..17).collect();
        let taps = Taps::<_, 3>::new(&values, REACH);
        assert_eq!(taps.tap([0, 0, 0], 1).get(0, 0), &0);
        assert_eq!(taps.tap([1, 0, 1], 2).get(1, 2), &16);
    }

    #[test]
    fn what_lies_outside_is_refused() {
        let first = |taps: &Taps<'_, usize, 3>| *taps.tap([0; 3], 1).get(0, 0);
        assert!(!refused(17, REACH, first));
        assert!(refused(16, REACH, first));
        for tap in 0..3 {
            let mut reach = REACH;
            reach.strides[tap] = usize::MAX;
            assert!(refused(17, reach, first));
            let mut reach = REACH;
            reach.counts[tap] = usize::MAX;
            assert!(refused(17, reach, first));
        }
        for huge in [usize::MAX, usize::MAX / 2 + 1] {
            assert!(refused(
                17,
                Reach {
                    pixel: huge,
                    ..REACH
                },
                first
            ));
            assert!(refused(
                17,
                Reach {
                    channels: huge,
                    ..REACH
                },
                first
            ));
        }
        assert!(refused(17, REACH, |taps| *taps.tap([2, 0, 0], 1).get(0, 0)));
        assert!(refused(17, REACH, |taps| *taps.tap([0, 1, 0], 1).get(0, 0)));
        assert!(refused(17, REACH, |taps| *taps.tap([0, 0, 2], 1).get(0, 0)));
        assert!(refused(17, REACH, |taps| *taps.tap([0; 3], 3).get(0, 0)));
        assert!(refused(17, REACH, |taps| *taps.tap([0; 3], 2).get(2, 0)));
        assert!(refused(17, REACH, |taps| *taps.tap([0; 3], 2).get(0, 3)));
    }
}
