//! Operations that would be many elementwise ones, each in one pass over memory, with their derivatives.

#![expect(
    clippy::inline_always,
    reason = "loops are compiled for each set of vector instructions"
)]

mod channels;
mod neurons;
mod relaxation;

use crate::convolution::{self, Scalar, rectified};
use crate::pool;
use crate::product::{Strided, vectorized};
use crate::window::Window;

#[cfg(any(test, feature = "gpu"))]
pub(crate) use relaxation::NARROW;

/// Partial sums that are made at once, so that loops are of vectors.
const LANES: usize = 16;

/// An operation on matrices with a row an example, or with m rows an example one after the other.
/// Those of two operands ignore the third.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// `x [n, inputs]`, `weights [m, patch]`, `bias [1, m]`: the convolution plus the bias, and a ReLU of it.
    Convolve { window: Window, relu: bool },
    /// `x [n, inputs]`, `weights [m, inputs]`, `bias [1, m]`: the product with the transpose plus the bias, and a
    /// ReLU of it.
    Linear { relu: bool },
    /// `a [n, k]`, `b [k, m]`: the matrix product.
    Product,
    /// `a [n, k]`, `b [m, k]`: the matrix product with the transpose.
    ProductTransposed,
    /// `x [n, channels * plane]`, `factors` and `terms [1, channels]`: times the factors plus the terms.
    Affine,
    /// `a [n, channels * plane]`, `terms [1, channels]`: the sums of each row's elements, each times the
    /// term of its channel, `[n, 1]`.
    Terms,
    /// `centre` and `radius [n, f]`: the centre of a ReLU's values on the interval.
    ReluCentre,
    /// The same: the radius.
    ReluRadius,
    /// `a [n m, f]`, `centre` and `radius [n, f]`: rows of coefficients of ReLUs' values carried back to
    /// what the ReLUs take, `[n m, f]`: positive coefficients take the line below, negative ones that above.
    Relaxed,
    /// The same operands: what the lines above add to each row, `[n m, 1]`.
    Offsets,
    /// The same operands: the least of each row's values on the box, `[n m, 1]`.
    Lowest,
    /// `centre` and `radius [n, f]`: sums over all neurons, `[1, 5]`, as in [`neurons`].
    Sums,
}

/// What an operation makes, or the derivatives by an operand: elements and the length of a row.
pub(crate) type Made<E> = (Vec<E>, usize);

impl Operation {
    /// Whether the result is that of ReLUs: the derivatives by what they took are those by the result where it is
    /// positive, and 0 elsewhere.
    pub(crate) fn rectifies(self) -> bool {
        match self {
            Self::Convolve { relu, .. } | Self::Linear { relu } => relu,
            _ => false,
        }
    }

    /// The result.
    pub(crate) fn forward<E: Scalar>(self, [a, b, c]: [&[E]; 3], columns: usize) -> Made<E> {
        match self {
            Self::Convolve { window, relu } => {
                let made = convolution::forward(&window, a, b, c, relu);
                (made, window.outputs())
            }
            Self::Linear { relu } => {
                let mut made =
                    Strided::new(a, columns).times(Strided::new(b, columns).transposed());
                biased(&mut made, c, relu);
                (made, c.len())
            }
            Self::Product => {
                let right = Strided::new(b, b.len() / columns);
                (Strided::new(a, columns).times(right), b.len() / columns)
            }
            Self::ProductTransposed => {
                let right = Strided::new(b, columns).transposed();
                (Strided::new(a, columns).times(right), b.len() / columns)
            }
            Self::Affine => (channels::affine(a, b, c, columns), columns),
            Self::Terms => (channels::terms(a, b, columns), 1),
            Self::ReluCentre => (relaxation::relu::<E, true>(a, b), columns),
            Self::ReluRadius => (relaxation::relu::<E, false>(a, b), columns),
            Self::Relaxed => (relaxation::relaxed(a, b, c, columns), columns),
            Self::Offsets => (relaxation::offsets(a, b, c, columns), 1),
            Self::Lowest => (relaxation::lowest(a, b, c, columns), 1),
            Self::Sums => (neurons::sums(a, b), neurons::SUMS),
        }
    }

    /// The derivatives of a scalar by the operands that they are wanted of, from those by the result, or by what
    /// the ReLUs take where it [`rectifies`](Self::rectifies).
    pub(crate) fn backward<E: Scalar>(
        self,
        [a, b, c]: [&[E]; 3],
        columns: usize,
        g: &[E],
        wanted: [bool; 3],
    ) -> [Option<Vec<E>>; 3] {
        let [first, second, third] = wanted;
        let pair = |[a, b]: [Vec<E>; 2]| [Some(a), Some(b), None];
        match self {
            Self::Convolve { window, .. } => [
                first.then(|| convolution::transposed(&window, g, b)),
                second.then(|| convolution::weights(&window, a, g)),
                third.then(|| channels::sums(g, window.outputs(), window.output()[0])),
            ],
            Self::Linear { .. } => {
                let [a, b, g] = [(a, columns), (b, columns), (g, c.len())]
                    .map(|(elements, columns)| Strided::new(elements, columns));
                [
                    first.then(|| g.times(b)),
                    second.then(|| g.transposed().times(a)),
                    third.then(|| channels::sums(g.elements(), c.len(), c.len())),
                ]
            }
            Self::Product => {
                let wide = b.len() / columns;
                let [a, b, g] = [(a, columns), (b, wide), (g, wide)]
                    .map(|(elements, columns)| Strided::new(elements, columns));
                let by_a = first.then(|| g.times(b.transposed()));
                [by_a, second.then(|| a.transposed().times(g)), None]
            }
            Self::ProductTransposed => {
                let [a, b, g] = [(a, columns), (b, columns), (g, b.len() / columns)]
                    .map(|(elements, columns)| Strided::new(elements, columns));
                let by_a = first.then(|| g.times(b));
                [by_a, second.then(|| g.transposed().times(a)), None]
            }
            Self::Affine => channels::affine_back(a, b, columns, g, wanted),
            Self::Terms => pair(channels::terms_back(a, b, columns, g)),
            Self::ReluCentre => pair(relaxation::relu_back::<E, true>(a, b, g)),
            Self::ReluRadius => pair(relaxation::relu_back::<E, false>(a, b, g)),
            Self::Relaxed => relaxation::relaxed_back(a, b, c, columns, g).map(Some),
            Self::Offsets => relaxation::offsets_back(a, b, c, columns, g).map(Some),
            Self::Lowest => relaxation::lowest_back(a, b, c, columns, g, second || third),
            Self::Sums => pair(neurons::sums_back(a, b, g)),
        }
    }
}

/// Adds the bias to every row, and takes ReLUs of it.
fn biased<E: Scalar>(rows: &mut [E], bias: &[E], relu: bool) {
    vectorized(
        #[inline(always)]
        || {
            for row in rows.chunks_mut(bias.len()) {
                let pairs = row.iter_mut().zip(bias);
                if relu {
                    pairs.for_each(|(x, &bias)| *x = rectified(*x + bias));
                } else {
                    pairs.for_each(|(x, &bias)| *x += bias);
                }
            }
        },
    );
}

/// Derivatives by what ReLUs take, from those by what they made. As in PyTorch, that at 0 is 0.
pub(crate) fn through_relu<E: Scalar>(made: &[E], g: &[E]) -> Vec<E> {
    let mut by = pool::room(g.len());
    vectorized(
        #[inline(always)]
        || {
            for (by, (&made, &g)) in by.iter_mut().zip(made.iter().zip(g)) {
                *by = if made <= E::zero() { E::zero() } else { g };
            }
        },
    );
    by
}

/// The sum of a term of all pairs, in [`LANES`] partial sums.
#[inline(always)]
fn summed<E: Scalar>(a: &[E], b: &[E], term: impl Fn(E, E) -> E) -> E {
    let mut sums = [E::zero(); LANES];
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a.iter().zip(b) {
        for i in 0..LANES {
            sums[i] += term(a[i], b[i]);
        }
    }
    for (sum, (&a, &b)) in sums.iter_mut().zip(a_rest.iter().zip(b_rest)) {
        *sum += term(a, b);
    }
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            let other = sums[i + width];
            sums[i] += other;
        }
        width /= 2;
    }
    sums[0]
}
