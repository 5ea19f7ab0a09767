//! What a bounding pass may take.

/// How much memory and how many threads a bounding pass takes. No bit of a bound depends on
/// either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Bytes of coefficients that exist at a time, all threads together.
    pub memory: usize,
    /// The number of threads; at least 1.
    pub threads: usize,
}

impl Default for Options {
    /// 256 MiB and one thread.
    fn default() -> Self {
        Self {
            memory: 256 << 20,
            threads: 1,
        }
    }
}
