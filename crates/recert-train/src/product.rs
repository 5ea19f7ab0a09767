//! Products of matrices. The operand with the columns is read as it lies, in vectors, and that with the rows
//! element by element, so that convolutions pack nothing; products of whole matrices pack the first in panels.
//!
//! Every element is one sum in the order of the inner index, so no bit depends on how rows and columns are cut into
//! blocks, panels and tasks.

#![expect(
    clippy::inline_always,
    reason = "loops are compiled for each set of vector instructions"
)]

use std::sync::LazyLock;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::convolution::Scalar;
use crate::pool::{self, Scratch};

/// The vector instructions that loops are run with.
static ARCH: LazyLock<Arch> = LazyLock::new(Arch::new);

/// A loop that is compiled for each set of vector instructions.
struct Loop<F>(F);

impl<R, F: FnMut() -> R> WithSimd for Loop<F> {
    type Output = R;

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) -> R {
        (self.0)()
    }
}

/// Runs a loop with the processor's vector instructions. It has to be `#[inline(always)]`, and what it calls, too: what
/// is not inlined here is compiled without them. That is why it is no `FnOnce`, whose call would be a function between.
#[inline(always)]
pub(crate) fn vectorized<R>(work: impl FnMut() -> R) -> R {
    ARCH.dispatch(Loop(work))
}

/// A multiple of the elements of every vector: rows of [`Product::right`] are as long.
pub(crate) const LANES: usize = 16;

/// Columns of a panel of a matrix: as many vectors as there are registers for.
const PANEL: usize = 3 * LANES;

/// Rows of a panel: as many as stay in the second cache beside the other operand's.
const INNER: usize = 256;

/// Rows of a task, so that none is too short to be worth its packing.
const TASK: usize = 32;

/// `made = left * right`, or that added, for rows of operands wherever they begin in memory.
pub(crate) struct Product<'a, E> {
    /// Row i has element k at `left_rows[i] + left_steps[k]`.
    pub(crate) left: &'a [E],
    pub(crate) left_rows: &'a [usize],
    pub(crate) left_steps: &'a [usize],
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
        let steps = self.product.left_steps.iter();
        let span = steps.max().map_or(0, |step| step + 1);
        let mut vector = 0;
        while vector < vectors {
            let take = match vectors - vector {
                1 => 1,
                2 | 4 => 2,
                _ => 3,
            };
            match take {
                1 => panel::<S, 1>(simd, self.product, self.made, [vector, span]),
                2 => panel::<S, 2>(simd, self.product, self.made, [vector, span]),
                _ => panel::<S, 3>(simd, self.product, self.made, [vector, span]),
            }
            vector += take;
        }
    }
}

/// All rows of some vectors: blocks of as many rows as there are registers for.
#[inline(always)]
fn panel<S: Simd, const V: usize>(
    simd: S,
    product: &Product<'_, f32>,
    made: &mut [f32],
    [vector, span]: [usize; 2],
) {
    let rows = product.left_rows.len();
    let mut row = 0;
    while row < rows {
        let at = [row, vector * S::F32_LANES, span];
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
    [row, column, span]: [usize; 3],
) -> usize {
    let mut sums = [[simd.splat_f32s(0.0); V]; R];
    // All of one length, so that one comparison checks a step for all rows.
    let left: [&[f32]; R] = std::array::from_fn(|r| {
        let start = product.left_rows[row + r];
        &product.left[start..start + span]
    });
    for (&step, &start) in product.left_steps.iter().zip(product.right_rows) {
        let start = start + column;
        let (vectors, _) = S::as_simd_f32s(&product.right[start..start + V * S::F32_LANES]);
        for r in 0..R {
            let factor = simd.splat_f32s(left[r][step]);
            for v in 0..V {
                sums[r][v] = simd.mul_add_e_f32s(factor, vectors[v], sums[r][v]);
            }
        }
    }
    let end = column + V * S::F32_LANES;
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
        for (&step, &right) in product.left_steps.iter().zip(product.right_rows) {
            let factor = product.left[left + step];
            let right = &product.right[right..right + product.width];
            (made.iter_mut().zip(right)).for_each(|(made, x)| *made += factor * x);
        }
    }
}

/// A matrix whose element of row i and column j lies at `i * down + j * across`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Strided<'a, E> {
    elements: &'a [E],
    rows: usize,
    columns: usize,
    down: usize,
    across: usize,
}

impl<'a, E: Scalar> Strided<'a, E> {
    /// Rows of `columns` elements, one after the other.
    pub(crate) fn new(elements: &'a [E], columns: usize) -> Self {
        Self {
            elements,
            rows: elements.len() / columns,
            columns,
            down: columns,
            across: 1,
        }
    }

    /// The elements as they lie.
    pub(crate) fn elements(self) -> &'a [E] {
        self.elements
    }

    /// The transpose.
    pub(crate) fn transposed(self) -> Self {
        Self {
            elements: self.elements,
            rows: self.columns,
            columns: self.rows,
            down: self.across,
            across: self.down,
        }
    }

    /// The matrix product.
    pub(crate) fn times(self, right: Self) -> Vec<E> {
        assert_eq!(self.columns, right.rows, "extents of matrices");
        let mut made = pool::room(self.rows * right.columns);
        if self.columns == 0 {
            made.fill(E::zero());
        }
        let task = self.rows.div_ceil(rayon::current_num_threads());
        let task = task.next_multiple_of(8).max(TASK);
        let tasks = made.par_chunks_mut((task * right.columns).max(1));
        tasks.enumerate().for_each(|(number, made)| {
            self.some(number * task, right, made);
        });
        made
    }

    /// The rows of the product from `first` on, as many as there is room for.
    fn some(self, first: usize, right: Self, made: &mut [E]) {
        let count = made.len() / right.columns;
        let left_rows: Vec<usize> = (first..first + count).map(|row| row * self.down).collect();
        let steps = rows(self.columns.min(INNER), self.across);
        let mut packed = Scratch::room(INNER * PANEL);
        let mut sums = Scratch::room(count * PANEL);
        for inner in (0..self.columns).step_by(INNER) {
            let depth = INNER.min(self.columns - inner);
            for column in (0..right.columns).step_by(PANEL) {
                let used = PANEL.min(right.columns - column);
                let width = used.next_multiple_of(LANES);
                let (elements, apart) = if right.lies_well() && used == width {
                    let begin = inner * right.down + column;
                    (&right.elements[begin..], right.down)
                } else {
                    right.pack([inner, column], [depth, used], width, &mut packed);
                    (&*packed, width)
                };
                E::multiply(
                    &Product {
                        left: &self.elements[inner * self.across..],
                        left_rows: &left_rows,
                        left_steps: &steps[..depth],
                        right: elements,
                        right_rows: &rows(depth, apart),
                        width,
                        add: false,
                    },
                    &mut sums[..count * width],
                );
                let made = made.chunks_mut(right.columns).zip(sums.chunks(width));
                for (made, sums) in made {
                    let made = &mut made[column..column + used];
                    if inner == 0 {
                        made.copy_from_slice(&sums[..used]);
                    } else {
                        made.iter_mut()
                            .zip(sums)
                            .for_each(|(made, &sum)| *made += sum);
                    }
                }
            }
        }
    }

    /// Whether products read its rows where they are: they are whole, and do not begin a multiple of a power of 2 apart,
    /// which few sets of a cache are for.
    fn lies_well(self) -> bool {
        self.across == 1 && !self.down.is_multiple_of(256)
    }

    /// Writes `depth` rows of `used` columns from a place on, as rows of `width`; what is behind them is 0.
    fn pack(
        self,
        [row, column]: [usize; 2],
        [depth, used]: [usize; 2],
        width: usize,
        packed: &mut [E],
    ) {
        let packed = &mut packed[..depth * width];
        if used < width {
            packed.fill(E::zero());
        }
        let elements = &self.elements[row * self.down + column * self.across..];
        if self.across == 1 {
            // Not chunks as long as rows are apart: the one row of a turned column is longer than its `down` of 1.
            for (row, packed) in packed.chunks_mut(width).enumerate() {
                let begin = row * self.down;
                packed[..used].copy_from_slice(&elements[begin..begin + used]);
            }
        } else {
            assert_eq!(self.down, 1, "a matrix or its transpose");
            transpose(elements, self.across, [used, depth], packed, width);
        }
    }
}

/// Writes the transpose of `count` rows of `length` elements, which begin `apart` from each other, to rows that begin
/// `width` from each other.
pub(crate) fn transpose<E: Scalar>(
    elements: &[E],
    apart: usize,
    extents: [usize; 2],
    made: &mut [E],
    width: usize,
) {
    vectorized(
        #[inline(always)]
        || turn(elements, apart, extents, made, width),
    );
}

#[inline(always)]
fn turn<E: Scalar>(
    elements: &[E],
    apart: usize,
    [count, length]: [usize; 2],
    made: &mut [E],
    width: usize,
) {
    /// Extent of the squares that are read whole before they are written.
    const SQUARE: usize = 8;
    let whole = [count, length].map(|extent| extent / SQUARE * SQUARE);
    for row in (0..whole[0]).step_by(SQUARE) {
        for column in (0..whole[1]).step_by(SQUARE) {
            let mut square = [[E::zero(); SQUARE]; SQUARE];
            for (r, square) in square.iter_mut().enumerate() {
                let start = (row + r) * apart + column;
                square.copy_from_slice(&elements[start..start + SQUARE]);
            }
            let turned: [[E; SQUARE]; SQUARE] =
                std::array::from_fn(|c| std::array::from_fn(|r| square[r][c]));
            for (c, turned) in turned.iter().enumerate() {
                let start = (column + c) * width + row;
                made[start..start + SQUARE].copy_from_slice(turned);
            }
        }
    }
    let mut single = |row: usize, column: usize| {
        made[column * width + row] = elements[row * apart + column];
    };
    for row in 0..whole[0] {
        (whole[1]..length).for_each(|column| single(row, column));
    }
    for row in whole[0]..count {
        (0..length).for_each(|column| single(row, column));
    }
}

#[cfg(test)]
mod tests {
    use recert_graph::testing::noise;

    use super::*;

    fn wide(x: &[f32]) -> Vec<f64> {
        x.iter().map(|&x| f64::from(x)).collect()
    }

    #[test]
    fn products_of_all_extents_are_those_in_float64() {
        for count in [1, 2, 3, 5, 8, 15, 16] {
            for (inner, width) in [(1, 16), (3, 32), (7, 48), (20, 64), (9, 80), (2, 112)] {
                let left = noise(1, count * inner);
                // Rows of the right operand overlap.
                let right = noise(2, 5 * inner + width);
                let right_rows = rows(inner, 5);
                for (left_rows, step) in [(rows(count, inner), 1), (rows(count, 1), count)] {
                    let left_steps = rows(inner, step);
                    for add in [false, true] {
                        let before = noise(3, count * width);
                        let (mut made, mut expected) = (before.clone(), wide(&before));
                        let product = Product {
                            left: &left,
                            left_rows: &left_rows,
                            left_steps: &left_steps,
                            right: &right,
                            right_rows: &right_rows,
                            width,
                            add,
                        };
                        single(&product, &mut made);
                        let product = Product {
                            left: &wide(&left),
                            left_rows: &left_rows,
                            left_steps: &left_steps,
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

    #[test]
    fn columns_and_rows_are_multiplied_whichever_way_they_lie() {
        for (n, m) in [(1, 1), (1, 5), (6, 1), (3, 16), (9, 40), (300, 1), (2, 300)] {
            let (a, b) = (noise(1, n), noise(2, m));
            // [n, 1] and [1, m], as they lie and as transposes.
            let tall = [Strided::new(&a, 1), Strided::new(&a, n).transposed()];
            let flat = [Strided::new(&b, m), Strided::new(&b, 1).transposed()];
            for (tall, flat) in tall.iter().flat_map(|a| flat.map(|b| (*a, b))) {
                let made = tall.times(flat);
                let turned = flat.transposed().times(tall.transposed());
                assert_eq!((made.len(), turned.len()), (n * m, n * m));
                for (i, a) in a.iter().enumerate() {
                    for (j, b) in b.iter().enumerate() {
                        assert_eq!(made[i * m + j], a * b, "{n} {m}");
                        assert_eq!(turned[j * n + i], a * b, "{n} {m}");
                    }
                }
                let [inner] = tall.transposed().times(tall)[..] else {
                    panic!("a row times a column is one number");
                };
                let expected: f64 = wide(&a).iter().map(|x| x * x).sum();
                assert!((f64::from(inner) - expected).abs() < 1e-6 * n as f64);
            }
        }
    }

    #[test]
    fn products_of_matrices_and_transposes_are_their_definition_on_any_number_of_threads() {
        for (count, inner, columns) in [
            (1, 1, 1),
            (7, 1, 50),
            (3, 300, 7),
            (9, 17, 50),
            (70, 256, 48),
            (65, 513, 97),
            (9, 40, 256),
        ] {
            let [a, b] = [(1, count * inner), (2, inner * columns)]
                .map(|(seed, elements)| noise(seed, elements));
            let definition = |i: usize, j: usize| -> f64 {
                let terms =
                    (0..inner).map(|k| f64::from(a[i * inner + k]) * f64::from(b[k * columns + j]));
                terms.sum()
            };
            let turned = |x: &[f32], columns: usize| {
                let rows = x.len() / columns;
                let mut made = vec![f32::NAN; x.len()];
                transpose(x, columns, [rows, columns], &mut made, rows);
                made
            };
            let (a_turned, b_turned) = (turned(&a, inner), turned(&b, columns));
            let lefts = [
                Strided::new(&a, inner),
                Strided::new(&a_turned, count).transposed(),
            ];
            let rights = [
                Strided::new(&b, columns),
                Strided::new(&b_turned, inner).transposed(),
            ];
            for (left, right) in lefts.iter().flat_map(|a| rights.map(|b| (*a, b))) {
                let on = |threads| {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
                    pool.unwrap().install(|| left.times(right))
                };
                let [made, three] = [1, 3].map(on);
                assert_eq!(made, three);
                assert_eq!(made.len(), count * columns);
                for (at, &made) in made.iter().enumerate() {
                    let expected = definition(at / columns, at % columns);
                    let bound = 1e-6 * inner as f64;
                    assert!(
                        (f64::from(made) - expected).abs() < bound,
                        "{count} {inner}"
                    );
                }
            }
        }
    }
}
