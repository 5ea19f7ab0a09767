//! Products of small matrices, as convolutions are made of: the operand with the columns is read as
//! it lies, in vectors, and that with the rows element by element, so that nothing is packed.

#![expect(
    clippy::inline_always,
    reason = "loops are compiled for each set of vector instructions"
)]

use std::sync::LazyLock;

use pulp::{Arch, Simd, WithSimd};

/// The vector instructions that loops are run with.
pub(crate) static ARCH: LazyLock<Arch> = LazyLock::new(Arch::new);

/// A multiple of the elements of every vector: rows of [`Product::right`] are as long.
pub(crate) const LANES: usize = 16;

/// `made = left * right`, or that added, for rows of operands wherever they begin in memory.
pub(crate) struct Product<'a, E> {
    /// Row i has element k at `left_rows[i] + k * left_step`.
    pub(crate) left: &'a [E],
    pub(crate) left_rows: &'a [usize],
    pub(crate) left_step: usize,
    /// Row k has `width` elements, a multiple of [`LANES`], from `right_rows[k]` on.
    pub(crate) right: &'a [E],
    pub(crate) right_rows: &'a [usize],
    pub(crate) width: usize,
    /// Whether to add to what is there.
    pub(crate) add: bool,
}

/// Where rows of this length begin that lie one after the other.
pub(crate) fn rows(count: usize, length: usize) -> Vec<usize> {
    (0..count).map(|row| row * length).collect()
}

/// Writes a product in float32 to rows of its width.
pub(crate) fn single(product: &Product<'_, f32>, made: &mut [f32]) {
    ARCH.dispatch(Single { product, made });
}

struct Single<'a> {
    product: &'a Product<'a, f32>,
    made: &'a mut [f32],
}

impl WithSimd for Single<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let vectors = self.product.width / S::F32_LANES;
        let rows = self.product.left_rows.len();
        let mut vector = 0;
        while vector < vectors {
            let at = [0, vector];
            match vectors - vector {
                1 => panel::<S, 1>(simd, self.product, self.made, rows, at),
                2 | 4 => panel::<S, 2>(simd, self.product, self.made, rows, at),
                _ => panel::<S, 3>(simd, self.product, self.made, rows, at),
            }
            vector += match vectors - vector {
                1 => 1,
                2 | 4 => 2,
                _ => 3,
            };
        }
    }
}

/// All rows of some vectors: blocks of as many rows as there are registers for.
#[inline(always)]
fn panel<S: Simd, const V: usize>(
    simd: S,
    product: &Product<'_, f32>,
    made: &mut [f32],
    rows: usize,
    [mut row, vector]: [usize; 2],
) {
    while row < rows {
        let at = [row, vector * S::F32_LANES];
        row += match rows - row {
            8.. if S::REGISTER_COUNT >= 32 => block::<S, 8, V>(simd, product, made, at),
            4.. => block::<S, 4, V>(simd, product, made, at),
            2.. => block::<S, 2, V>(simd, product, made, at),
            _ => block::<S, 1, V>(simd, product, made, at),
        };
    }
}

/// `R` rows of `V` vectors; how many rows it made.
#[inline(always)]
fn block<S: Simd, const R: usize, const V: usize>(
    simd: S,
    product: &Product<'_, f32>,
    made: &mut [f32],
    [row, column]: [usize; 2],
) -> usize {
    let mut sums = [[simd.splat_f32s(0.0); V]; R];
    let end = column + V * S::F32_LANES;
    let mut left: [usize; R] = std::array::from_fn(|r| product.left_rows[row + r]);
    for &start in product.right_rows {
        let (vectors, _) = S::as_simd_f32s(&product.right[start + column..start + end]);
        for r in 0..R {
            let factor = simd.splat_f32s(product.left[left[r]]);
            left[r] += product.left_step;
            for v in 0..V {
                sums[r][v] = simd.mul_add_e_f32s(factor, vectors[v], sums[r][v]);
            }
        }
    }
    for (r, sums) in sums.into_iter().enumerate() {
        let start = (row + r) * product.width;
        let (vectors, _) = S::as_mut_simd_f32s(&mut made[start + column..start + end]);
        for (made, sum) in vectors.iter_mut().zip(sums) {
            *made = if product.add {
                simd.add_f32s(*made, sum)
            } else {
                sum
            };
        }
    }
    R
}

/// The same in float64, which serves tests of gradients: by the definition.
pub(crate) fn double(product: &Product<'_, f64>, made: &mut [f64]) {
    for (made, &left) in made.chunks_mut(product.width).zip(product.left_rows) {
        if !product.add {
            made.fill(0.0);
        }
        for (inner, &right) in product.right_rows.iter().enumerate() {
            let factor = product.left[left + inner * product.left_step];
            let right = &product.right[right..right + product.width];
            (made.iter_mut().zip(right)).for_each(|(made, x)| *made += factor * x);
        }
    }
}

#[cfg(test)]
mod tests {
    use recert_graph::testing::noise;

    use super::*;

    #[test]
    fn products_of_all_extents_are_those_in_float64() {
        let wide = |x: &[f32]| x.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
        for count in [1, 2, 3, 5, 8, 15, 16] {
            for (inner, width) in [(1, 16), (3, 32), (7, 48), (20, 64), (9, 80), (2, 112)] {
                let left = noise(1, count * inner);
                // Rows of the right operand overlap.
                let right = noise(2, 5 * inner + width);
                let right_rows = rows(inner, 5);
                for (left_rows, left_step) in [(rows(count, inner), 1), (rows(count, 1), count)] {
                    for add in [false, true] {
                        let before = noise(3, count * width);
                        let (mut made, mut expected) = (before.clone(), wide(&before));
                        let product = Product {
                            left: &left,
                            left_rows: &left_rows,
                            left_step,
                            right: &right,
                            right_rows: &right_rows,
                            width,
                            add,
                        };
                        single(&product, &mut made);
                        let product = Product {
                            left: &wide(&left),
                            left_rows: &left_rows,
                            left_step,
                            right: &wide(&right),
                            right_rows: &right_rows,
                            width,
                            add,
                        };
                        double(&product, &mut expected);
                        for (made, expected) in made.into_iter().zip(expected) {
                            assert!((f64::from(made) - expected).abs() < 1e-5, "{count} {inner}");
                        }
                    }
                }
            }
        }
    }
}
