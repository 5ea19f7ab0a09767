//! Products of small matrices, as convolutions are made of: the operand with the columns is read as
//! it lies, in vectors, and that with the rows element by element, so that nothing is packed.

use std::sync::LazyLock;

use pulp::{Arch, Simd, WithSimd};

/// The vector instructions that loops are run with.
pub(crate) static ARCH: LazyLock<Arch> = LazyLock::new(Arch::new);

/// A multiple of the elements of every vector: rows of [`Product::right`] are as long.
pub(crate) const LANES: usize = 16;

/// `made = left * right`, or that added.
pub(crate) struct Product<'a, E> {
    /// Element (i, k) is at `i * strides[0] + k * strides[1]`.
    pub(crate) left: &'a [E],
    pub(crate) strides: [usize; 2],
    /// How many columns the left one has, and the right one rows.
    pub(crate) inner: usize,
    /// Rows of `width` elements, a multiple of [`LANES`].
    pub(crate) right: &'a [E],
    pub(crate) width: usize,
    /// Whether to add to what is there.
    pub(crate) add: bool,
}

impl<E> Product<'_, E> {
    /// The element of the left operand.
    #[inline(always)]
    fn at(&self, row: usize, inner: usize) -> &E {
        &self.left[row * self.strides[0] + inner * self.strides[1]]
    }
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
        let rows = self.made.len() / self.product.width;
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
    let right = product.right.chunks_exact(product.width);
    for (inner, right) in right.take(product.inner).enumerate() {
        let (vectors, _) = S::as_simd_f32s(&right[column..end]);
        for r in 0..R {
            let factor = simd.splat_f32s(*product.at(row + r, inner));
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

#[cfg(test)]
mod tests {
    use recert_graph::testing::noise;

    use super::*;

    #[test]
    fn products_of_all_extents_are_sums_of_products() {
        for rows in [1, 2, 3, 5, 8, 15, 16] {
            for (inner, width) in [(1, 16), (3, 32), (7, 48), (20, 64), (9, 80), (2, 112)] {
                let left = noise(1, rows * inner);
                let right = noise(2, inner * width);
                for strides in [[inner, 1], [1, rows]] {
                    for add in [false, true] {
                        let product = Product {
                            left: &left,
                            strides,
                            inner,
                            right: &right,
                            width,
                            add,
                        };
                        let mut made = noise(3, rows * width);
                        let before = made.clone();
                        single(&product, &mut made);
                        for (position, made) in made.iter().enumerate() {
                            let (row, column) = (position / width, position % width);
                            let terms = (0..inner).map(|k| {
                                f64::from(*product.at(row, k))
                                    * f64::from(right[k * width + column])
                            });
                            let old = if add {
                                f64::from(before[position])
                            } else {
                                0.0
                            };
                            let expected: f64 = old + terms.sum::<f64>();
                            assert!(
                                (f64::from(*made) - expected).abs() < 1e-5,
                                "{rows} {inner} {width}"
                            );
                        }
                    }
                }
            }
        }
    }
}
