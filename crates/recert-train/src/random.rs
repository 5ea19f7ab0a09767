//! Random numbers as functions of a seed and of what they are for.

/// What random numbers are drawn for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Purpose {
    /// Which images are kept for validation.
    Validation = 1,
    /// The order of an epoch's images.
    Order = 2,
    /// Where the attacks on a batch begin.
    Attack = 3,
    /// Parameters of transformations, and the cells around them.
    Cells = 4,
}

/// A generator for one purpose, by an epoch and a batch within it: no state goes from one batch to
/// the next, so that training resumes anywhere.
pub(crate) fn generator(seed: u64, purpose: Purpose, epoch: u64, batch: u64) -> fastrand::Rng {
    let parts = [purpose as u64, epoch, batch];
    fastrand::Rng::with_seed(parts.into_iter().fold(mixed(seed), |state, part| {
        mixed(state ^ part.wrapping_add(0x9e37_79b9_7f4a_7c15))
    }))
}

/// The finalizer of splitmix64 (Steele et al., OOPSLA 2014).
fn mixed(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// All numbers below `count`, in random order.
pub(crate) fn shuffled(count: usize, mut generator: fastrand::Rng) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    generator.shuffle(&mut order);
    order
}
