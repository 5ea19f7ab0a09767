//! Choices, drawn from bytes: a fuzzer's, or a seed's.

use arbitrary::Unstructured;

/// Draws choices from bytes. Where the bytes end, every choice is the first, plainest one,
/// so that shorter bytes make smaller networks.
pub struct Draw<'b>(Unstructured<'b>);

impl<'b> Draw<'b> {
    /// Choices from these bytes.
    pub fn new(bytes: &'b [u8]) -> Self {
        Self(Unstructured::new(bytes))
    }

    /// Whether no bytes are left.
    pub fn is_spent(&self) -> bool {
        self.0.is_empty()
    }

    /// A number below `count`, which is at least 1.
    pub fn below(&mut self, count: usize) -> usize {
        self.between(0, count.saturating_sub(1))
    }

    /// A number from `least` to `most`, both included.
    pub fn between(&mut self, least: usize, most: usize) -> usize {
        let most = most.max(least);
        self.0.int_in_range(least..=most).unwrap_or(least)
    }

    /// True in so many cases of 100.
    pub fn percent(&mut self, percent: usize) -> bool {
        self.below(100) + percent >= 100
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    /// A float from `low` to `high` in 255 steps.
    pub fn float(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.below(256) as f32 / 255.0
    }

    /// A seed for numbers of which no fuzzer needs to choose each.
    pub fn seed(&mut self) -> u32 {
        self.0.arbitrary().unwrap_or(1)
    }
}

/// The bytes that a seed stands for.
pub fn bytes_of(seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed ^ 0x5eed_0f2e_ce27);
    let mut bytes = vec![0; 4096];
    random.fill(&mut bytes);
    bytes
}
