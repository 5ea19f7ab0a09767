//! Products of row-major matrices, in f64, for layers going forward.
//!
//! One kernel whatever the number of rows of the left matrix, so that a row of the product is
//! the same bits in every block of rows.

use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2};

/// `a b^T` for `a` of `m` rows and `b` of `shape` `[n, k]`, into `c`.
///
/// # Panics
///
/// If the lengths of the slices are not those of the matrices.
pub(crate) fn product_transposed(a: &[f64], b: &[f64], [n, k]: [usize; 2], c: &mut [f64]) {
    let right = ArrayView2::from_shape((n, k), b).expect("b is n by k");
    multiply(a, &right.reversed_axes(), c);
}

fn multiply(a: &[f64], right: &ArrayView2<'_, f64>, c: &mut [f64]) {
    let (k, n) = right.dim();
    if k == 0 || n == 0 {
        c.fill(0.0);
        return;
    }
    let m = a.len() / k;
    let left = ArrayView2::from_shape((m, k), a).expect("a has k columns");
    let mut out = ArrayViewMut2::from_shape((m, n), c).expect("c is m by n");
    general_mat_mul(1.0, &left, right, 0.0, &mut out);
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
        for [k, n] in [[1, 1], [3, 5], [17, 40], [300, 65], [1000, 9]] {
            let m = 23;
            let (a, b) = (noise(1, m * k), noise(2, k * n));
            let mut whole = vec![f64::NAN; m * n];
            product_transposed(&a, &b, [n, k], &mut whole);
            for block in [1, 2, 5, 8] {
                let mut parts = Vec::new();
                for rows in a.chunks(block * k) {
                    let mut part = vec![f64::NAN; rows.len() / k * n];
                    product_transposed(rows, &b, [n, k], &mut part);
                    parts.extend(part);
                }
                assert_eq!(parts, whole, "{block} rows of {k} by {n}");
            }
            for (i, &made) in whole.iter().enumerate() {
                let (row, column) = (&a[i / n * k..], &b[i % n * k..]);
                let products = row[..k].iter().zip(column).map(|(a, b)| a * b);
                assert!((made - products.sum::<f64>()).abs() <= 1e-13 * k as f64);
            }
        }
    }
}
