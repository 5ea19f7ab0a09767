//! Random numbers as pure functions of what they are for.
//!
//! A uniform number depends on its key and its place alone, so that two
//! methods that ask for the same sample of the same input see the same answer, and
//! a run gives the same figures on any number of threads.

/// A stream of uniform numbers.
#[derive(Debug, Clone, Copy)]
pub struct Stream(u64);

/// `SplitMix64`'s finalizer (Steele, Lea, Flood, OOPSLA 2014).
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Stream {
    /// The stream of a key: what is drawn, for which replicate, input and so on.
    pub fn new(key: &[u64]) -> Self {
        let fold = |state: u64, &part: &u64| mix(state ^ part).wrapping_add(0x9e37_79b9_7f4a_7c15);
        Self(key.iter().fold(0, fold))
    }

    /// The number at `place`, at least 0 and below 1.
    pub fn at(self, place: u64) -> f64 {
        let step = place.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mix(self.0.wrapping_add(step)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_uniform_and_streams_differ() {
        let (one, two) = (Stream::new(&[1, 2]), Stream::new(&[2, 1]));
        let n = 100_000;
        let mean = |s: Stream| (0..n).map(|i| s.at(i)).sum::<f64>() / n as f64;
        // Five standard errors of the mean of n uniform numbers.
        let slack = 5.0 * (1.0 / 12.0 / n as f64).sqrt();
        assert!((mean(one) - 0.5).abs() < slack && (mean(two) - 0.5).abs() < slack);
        let product: f64 = (0..n).map(|i| (one.at(i) - 0.5) * (two.at(i) - 0.5)).sum();
        assert!((product / n as f64).abs() < 5.0 / 12.0 / (n as f64).sqrt());
    }
}
