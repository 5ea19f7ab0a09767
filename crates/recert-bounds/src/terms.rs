//! Sums of few rows of a matrix, each times a coefficient: what carries a row of coefficients over a
//! layer, where the coefficients that are 0 are left out. Behind a ReLU they are many.
//!
//! A number of the sum is what its terms add to it one after the other, with fused
//! multiply-add where the processor has it. Its bits depend on the terms and their order alone.

use pulp::{Simd, WithSimd};

use crate::buffers::Buffers;
use crate::rounding::ARCH;

/// A row of a matrix, times a coefficient.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Term {
    pub(crate) coefficient: f64,
    /// Where the row begins.
    pub(crate) row: usize,
}

/// How many vectors of a sum are kept in registers: enough to hide how long an addition takes.
pub(crate) const VECTORS: usize = 8;

/// About how many terms exist at a time.
pub(crate) const TERMS: usize = 1 << 13;

/// Appends the coefficients that are not 0, with rows of length `stride` that lie one after the other
/// from `first` on.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "to be compiled for each set of instructions"
)]
pub(crate) fn gather(coefficients: &[f64], first: usize, stride: usize, terms: &mut Vec<Term>) {
    let begun = terms.len();
    let none = Term {
        coefficient: 0.0,
        row: 0,
    };
    terms.resize(begun + coefficients.len(), none);
    let made = &mut terms[begun..];
    let mut count = 0;
    let mut row = first;
    for &coefficient in coefficients {
        // Without a branch: a term that is 0 is overwritten by the next.
        made[count] = Term { coefficient, row };
        count += usize::from(coefficient != 0.0);
        row += stride;
    }
    terms.truncate(begun + count);
}

/// Adds to `sums` the terms: of each one's row, the numbers from `offset` on.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "to be compiled for each set of instructions"
)]
pub(crate) fn add<S: Simd>(
    simd: S,
    sums: &mut [f64],
    terms: &[Term],
    matrix: &[f64],
    offset: usize,
) {
    let lanes = S::F64_LANES;
    let (vectors, tail) = S::as_mut_simd_f64s(sums);
    let (whole, rest) = vectors.as_chunks_mut::<VECTORS>();
    let mut offset = offset;
    for sums in whole {
        add_vectors(simd, sums, terms, matrix, offset);
        offset += VECTORS * lanes;
    }
    let rest = (rest, tail);
    match rest.0.len() {
        0 => add_rest::<S, 0>(simd, rest, terms, matrix, offset),
        1 => add_rest::<S, 1>(simd, rest, terms, matrix, offset),
        2 => add_rest::<S, 2>(simd, rest, terms, matrix, offset),
        3 => add_rest::<S, 3>(simd, rest, terms, matrix, offset),
        4 => add_rest::<S, 4>(simd, rest, terms, matrix, offset),
        5 => add_rest::<S, 5>(simd, rest, terms, matrix, offset),
        6 => add_rest::<S, 6>(simd, rest, terms, matrix, offset),
        _ => add_rest::<S, 7>(simd, rest, terms, matrix, offset),
    }
}

#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "to be compiled for each set of instructions"
)]
fn add_vectors<S: Simd, const N: usize>(
    simd: S,
    to: &mut [S::f64s; N],
    terms: &[Term],
    matrix: &[f64],
    offset: usize,
) {
    let mut sums = *to;
    for term in terms {
        let coefficient = simd.splat_f64s(term.coefficient);
        let from = term.row + offset;
        let (row, _) = S::as_simd_f64s(&matrix[from..from + N * S::F64_LANES]);
        for (sum, row) in sums.iter_mut().zip(row) {
            *sum = simd.mul_add_e_f64s(coefficient, *row, *sum);
        }
    }
    *to = sums;
}

/// [`add_vectors`] for so many vectors and what is less than one, in one go through the terms.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "to be compiled for each set of instructions"
)]
fn add_rest<S: Simd, const N: usize>(
    simd: S,
    (to, tail): (&mut [S::f64s], &mut [f64]),
    terms: &[Term],
    matrix: &[f64],
    offset: usize,
) {
    let Some(to) = to.first_chunk_mut::<N>() else {
        return;
    };
    if tail.is_empty() {
        if N > 0 {
            add_vectors(simd, to, terms, matrix, offset);
        }
        return;
    }
    let whole = N * S::F64_LANES;
    let (mut sums, mut last) = (*to, simd.partial_load_f64s(tail));
    for term in terms {
        let coefficient = simd.splat_f64s(term.coefficient);
        let from = term.row + offset;
        let row = &matrix[from..from + whole + tail.len()];
        let (vectors, _) = S::as_simd_f64s(&row[..whole]);
        for (sum, row) in sums.iter_mut().zip(vectors) {
            *sum = simd.mul_add_e_f64s(coefficient, *row, *sum);
        }
        let row = simd.partial_load_f64s(&row[whole..]);
        last = simd.mul_add_e_f64s(coefficient, row, last);
    }
    *to = sums;
    simd.partial_store_f64s(tail, last);
}

/// `a b` for `a` of `m` rows and `b` of `shape` `[k, n]`, into `c`.
///
/// # Panics
///
/// If the lengths of the slices are not those of the matrices.
pub(crate) fn product(
    a: &[f64],
    b: &[f64],
    [k, n]: [usize; 2],
    c: &mut [f64],
    buffers: &mut Buffers,
) {
    c.fill(0.0);
    if k == 0 || n == 0 {
        return;
    }
    assert!(b.len() == k * n && a.len() / k * n == c.len(), "shapes");
    let rows = (TERMS / k).max(1);
    for (a, c) in a.chunks(rows * k).zip(c.chunks_mut(rows * n)) {
        ARCH.dispatch(Product {
            a,
            b,
            k,
            c,
            terms: &mut buffers.terms,
        });
    }
}

/// Some rows of a product.
struct Product<'a> {
    a: &'a [f64],
    b: &'a [f64],
    k: usize,
    c: &'a mut [f64],
    terms: &'a mut Vec<Term>,
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "to be compiled for each set of instructions"
    )]
    fn with_simd<S: Simd>(self, simd: S) {
        let n = self.b.len() / self.k;
        self.terms.clear();
        let mut ends = Vec::with_capacity(self.a.len() / self.k);
        for row in self.a.chunks_exact(self.k) {
            gather(row, 0, n, self.terms);
            ends.push(self.terms.len());
        }
        // A column of the matrix that is this wide stays in the cache for all rows.
        let width = VECTORS * S::F64_LANES;
        for start in (0..n).step_by(width) {
            let end = (start + width).min(n);
            let mut begin = 0;
            for (c, &until) in self.c.chunks_exact_mut(n).zip(&ends) {
                let terms = &self.terms[begin..until];
                add(simd, &mut c[start..end], terms, self.b, start);
                begin = until;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(seed: u32, count: usize) -> Vec<f64> {
        let values = recert_graph::testing::noise(seed, count);
        values.into_iter().map(f64::from).collect()
    }

    #[test]
    fn a_row_has_the_same_bits_in_every_block() {
        let buffers = &mut Buffers::default();
        for [k, n] in [
            [1, 1],
            [3, 5],
            [17, 40],
            [300, 65],
            [1000, 9],
            [40, 200],
            [5, 119],
        ] {
            let m = 23;
            let (mut a, b) = (noise(1, m * k), noise(2, k * n));
            for a in a.iter_mut().step_by(3) {
                *a = 0.0;
            }
            let mut whole = vec![f64::NAN; m * n];
            product(&a, &b, [k, n], &mut whole, buffers);
            for block in [1, 2, 5, 8] {
                let mut parts = Vec::new();
                for rows in a.chunks(block * k) {
                    let mut part = vec![f64::NAN; rows.len() / k * n];
                    product(rows, &b, [k, n], &mut part, buffers);
                    parts.extend(part);
                }
                assert_eq!(parts, whole, "{block} rows of {k} by {n}");
            }
            for (i, &made) in whole.iter().enumerate() {
                let (row, column) = (i / n, i % n);
                let products = (0..k).map(|j| a[row * k + j] * b[j * n + column]);
                assert!((made - products.sum::<f64>()).abs() <= 1e-13 * k as f64);
            }
        }
    }

    #[test]
    fn what_is_no_number_is_no_zero() {
        let b = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let mut c = [0.0; 6];
        product(
            &[0.0, f64::NAN, f64::INFINITY, -0.0],
            &b[..6],
            [2, 3],
            &mut c,
            &mut Buffers::default(),
        );
        assert!(c[..3].iter().all(|c| c.is_nan()));
        assert!(c[3..].iter().all(|&c| c == f64::INFINITY));
    }
}
