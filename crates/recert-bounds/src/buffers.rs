//! Memory of coefficients that is used again, block after block: fresh memory from the operating
//! system costs more than most steps do.

use crate::terms::Term;

/// Vectors that nobody needs at the moment.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    free: Vec<Vec<f64>>,
    /// The terms of the last sums.
    pub(crate) terms: Vec<Term>,
}

/// So many are kept; of more, the smallest go back to the allocator.
const KEPT: usize = 4;

impl Buffers {
    /// An empty vector with room for `count` numbers.
    pub(crate) fn empty(&mut self, count: usize) -> Vec<f64> {
        let sizes = self.free.iter().map(Vec::capacity).enumerate();
        let fitting = sizes.filter(|&(_, size)| size >= count);
        match fitting.min_by_key(|&(_, size)| size) {
            Some((i, _)) => {
                let mut data = self.free.swap_remove(i);
                data.clear();
                data
            }
            None => Vec::with_capacity(count),
        }
    }

    /// `count` zeros.
    pub(crate) fn zeros(&mut self, count: usize) -> Vec<f64> {
        let mut data = self.empty(count);
        data.resize(count, 0.0);
        data
    }

    /// Takes a vector back.
    pub(crate) fn give(&mut self, data: Vec<f64>) {
        self.free.push(data);
        if self.free.len() > KEPT {
            let sizes = self.free.iter().map(Vec::capacity).enumerate();
            if let Some((i, _)) = sizes.min_by_key(|&(_, size)| size) {
                self.free.swap_remove(i);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn used_memory_comes_back_as_zeros() {
        let mut buffers = Buffers::default();
        for size in [3, 9, 5, 7, 4, 8] {
            buffers.give(vec![f64::NAN; size]);
        }
        assert_eq!(buffers.free.len(), KEPT);
        let data = buffers.zeros(6);
        assert_eq!((data.capacity(), data), (7, vec![0.0; 6]));
        assert_eq!(buffers.zeros(100), vec![0.0; 100]);
    }
}
