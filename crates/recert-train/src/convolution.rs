//! Convolution, its transpose, and the gradient of its weights, on slices: patches of each image
//! as columns of a matrix, and matrix products.
//!
//! All three are linear in both of their operands, and each is a derivative of the others: for
//! `y = W * x` and a gradient `g` of y, that of x is the transposed convolution of g by W, and that
//! of W is [`weights`] of x and g. So they are closed under differentiation.
//!
//! Images are distributed over threads. Sums over images are made in [`GROUPS`] groups, however
//! many threads there are, so no bit of a result depends on their number.

use std::ops::AddAssign;

use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2, LinalgScalar};
use rayon::prelude::*;

use crate::window::Window;

/// Into how many groups of consecutive images the gradient of the weights is summed.
const GROUPS: usize = 16;

/// float32 or float64.
pub(crate) trait Scalar: LinalgScalar + AddAssign + Send + Sync {}

impl Scalar for f32 {}
impl Scalar for f64 {}

fn matrix<E>(shape: (usize, usize), elements: &[E]) -> ArrayView2<'_, E> {
    ArrayView2::from_shape(shape, elements).expect("the caller checked lengths")
}

/// `y = W * x` for every image: `[n, inputs]` and `[m, patch]` to `[n, outputs]`.
pub(crate) fn forward<E: Scalar>(window: &Window, x: &[E], weights: &[E]) -> Vec<E> {
    let images = x.len() / window.inputs();
    let mut y = vec![E::zero(); images * window.outputs()];
    let (patch, positions) = (window.patch(), window.positions());
    let kernels = matrix((window.output()[0], patch), weights);
    let columns = || vec![E::zero(); patch * positions];
    (y.par_chunks_mut(window.outputs()))
        .zip(x.par_chunks(window.inputs()))
        .for_each_init(columns, |columns, (y, x)| {
            gather(window, x, columns);
            let shape = (kernels.nrows(), positions);
            let mut y = ArrayViewMut2::from_shape(shape, y).expect("an output's shape");
            let columns = matrix((patch, positions), columns);
            general_mat_mul(E::one(), &kernels, &columns, E::zero(), &mut y);
        });
    y
}

/// The transposed convolution of every output: `[n, outputs]` and `[m, patch]` to `[n, inputs]`.
pub(crate) fn transposed<E: Scalar>(window: &Window, y: &[E], weights: &[E]) -> Vec<E> {
    let images = y.len() / window.outputs();
    let mut x = vec![E::zero(); images * window.inputs()];
    let (patch, positions) = (window.patch(), window.positions());
    let kernels = matrix((window.output()[0], patch), weights);
    let columns = || vec![E::zero(); patch * positions];
    (x.par_chunks_mut(window.inputs()))
        .zip(y.par_chunks(window.outputs()))
        .for_each_init(columns, |columns, (x, y)| {
            let y = matrix((kernels.nrows(), positions), y);
            let shape = (patch, positions);
            let mut spread = ArrayViewMut2::from_shape(shape, columns).expect("columns' shape");
            general_mat_mul(E::one(), &kernels.t(), &y, E::zero(), &mut spread);
            scatter(window, columns, x);
        });
    x
}

/// The gradient of the weights: `[n, inputs]` and `[n, outputs]` to `[m, patch]`, summed over the
/// images.
pub(crate) fn weights<E: Scalar>(window: &Window, x: &[E], y: &[E]) -> Vec<E> {
    let images = x.len() / window.inputs();
    let (patch, positions) = (window.patch(), window.positions());
    let (channels, group) = (window.output()[0], images.div_ceil(GROUPS).max(1));
    let sums: Vec<Vec<E>> = (x.par_chunks(group * window.inputs()))
        .zip(y.par_chunks(group * window.outputs()))
        .map(|(x, y)| {
            let mut columns = vec![E::zero(); patch * positions];
            let mut sum = vec![E::zero(); channels * patch];
            let pairs = x.chunks(window.inputs()).zip(y.chunks(window.outputs()));
            for (x, y) in pairs {
                gather(window, x, &mut columns);
                let columns = matrix((patch, positions), &columns);
                let y = matrix((channels, positions), y);
                let shape = (channels, patch);
                let mut sum = ArrayViewMut2::from_shape(shape, &mut sum).expect("weights' shape");
                general_mat_mul(E::one(), &y, &columns.t(), E::one(), &mut sum);
            }
            sum
        })
        .collect();
    let mut sums = sums.into_iter();
    let mut total = sums
        .next()
        .unwrap_or_else(|| vec![E::zero(); channels * patch]);
    for sum in sums {
        for (total, element) in total.iter_mut().zip(sum) {
            *total += element;
        }
    }
    total
}

/// A row of a plane under one element of the kernel: which positions of the output it is in the
/// image for, and where in the image the first of them is.
struct Span {
    inside: std::ops::Range<usize>,
    first: usize,
}

/// The positions along an axis for which element `offset` of the kernel is in the image.
fn span(window: &Window, axis: usize, offset: usize) -> Span {
    let (stride, padding) = (window.stride()[axis], window.padding()[axis]);
    let (extent, positions) = (window.input()[1 + axis], window.output()[1 + axis]);
    let start = padding.saturating_sub(offset).div_ceil(stride);
    // The last position p has p * stride + offset - padding < extent.
    let end = (extent + padding).saturating_sub(offset).div_ceil(stride);
    let end = end.min(positions);
    let start = start.min(end);
    Span {
        inside: start..end,
        first: (start * stride + offset).saturating_sub(padding),
    }
}

/// Writes the patches of an image as columns of `[patch, positions]`.
fn gather<E: Scalar>(window: &Window, image: &[E], columns: &mut [E]) {
    let [_, height, width] = window.input();
    let step = window.stride()[1];
    for_rows(window, columns, |channel, down, right, row| {
        let Some(down) = down else {
            row.fill(E::zero());
            return;
        };
        let start = (channel * height + down) * width + right.first;
        row[..right.inside.start].fill(E::zero());
        row[right.inside.end..].fill(E::zero());
        let row = &mut row[right.inside.clone()];
        if step == 1 {
            let start = start.min(image.len());
            row.copy_from_slice(&image[start..start + row.len()]);
        } else {
            let pixels = image[start.min(image.len())..].iter().step_by(step);
            for (element, &pixel) in row.iter_mut().zip(pixels) {
                *element = pixel;
            }
        }
    });
}

/// Adds columns of `[patch, positions]` to the pixels that they are the patches of.
fn scatter<E: Scalar>(window: &Window, columns: &mut [E], image: &mut [E]) {
    let [_, height, width] = window.input();
    let step = window.stride()[1];
    for_rows(window, columns, |channel, down, right, row| {
        let Some(down) = down else { return };
        let start = (channel * height + down) * width + right.first;
        let row = &row[right.inside.clone()];
        let end = image.len();
        let pixels = image[start.min(end)..].iter_mut().step_by(step);
        for (&element, pixel) in row.iter().zip(pixels) {
            *pixel += element;
        }
    });
}

/// Calls `each` with the channel, the row of the image if it is one, the span within that row, and
/// a row of positions, for all elements of the kernel and rows of the output.
fn for_rows<E>(
    window: &Window,
    columns: &mut [E],
    mut each: impl FnMut(usize, Option<usize>, &Span, &mut [E]),
) {
    let [across, stride] = [window.output()[2], window.stride()[0]];
    let mut rows = columns.chunks_mut(across);
    for channel in 0..window.input()[0] {
        for vertical in 0..window.kernel()[0] {
            let down = span(window, 0, vertical);
            for horizontal in 0..window.kernel()[1] {
                let right = span(window, 1, horizontal);
                for position in 0..window.output()[1] {
                    let row = rows.next().expect("as many rows as positions");
                    let inside = down.inside.contains(&position);
                    let row_of_image =
                        inside.then(|| down.first + (position - down.inside.start) * stride);
                    each(channel, row_of_image, &right, row);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use recert_graph::testing::noise;

    use super::*;

    /// The convolution by its definition.
    fn naive(window: &Window, x: &[f64], w: &[f64]) -> Vec<f64> {
        let [channels, height, width] = window.input();
        let [outputs, down, across] = window.output();
        let [kernel_height, kernel_width] = window.kernel();
        let mut y = Vec::new();
        for image in x.chunks(window.inputs()) {
            for m in 0..outputs {
                for p in 0..down {
                    for q in 0..across {
                        let mut sum = 0.0;
                        for c in 0..channels {
                            for i in 0..kernel_height {
                                for j in 0..kernel_width {
                                    let row = p * window.stride()[0] + i;
                                    let column = q * window.stride()[1] + j;
                                    let [top, left, ..] = window.padding();
                                    if row < top
                                        || column < left
                                        || row - top >= height
                                        || column - left >= width
                                    {
                                        continue;
                                    }
                                    let pixel = (c * height + row - top) * width + column - left;
                                    let weight =
                                        ((m * channels + c) * kernel_height + i) * kernel_width + j;
                                    sum += image[pixel] * w[weight];
                                }
                            }
                        }
                        y.push(sum);
                    }
                }
            }
        }
        y
    }

    fn values(seed: u32, count: usize) -> Vec<f64> {
        noise(seed, count).into_iter().map(f64::from).collect()
    }

    fn dot(a: &[f64], b: &[f64]) -> f64 {
        assert_eq!(a.len(), b.len());
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn convolution_is_its_definition_and_the_others_are_its_adjoints() {
        let cases = [
            ([1, 5, 6], 2, [3, 3], [1, 1], [1, 1, 1, 1]),
            ([2, 7, 5], 3, [4, 2], [2, 3], [1, 0, 2, 1]),
            ([3, 4, 4], 2, [4, 4], [2, 2], [0, 0, 0, 0]),
            ([1, 3, 3], 1, [5, 5], [3, 2], [2, 2, 2, 2]),
            ([2, 2, 2], 2, [1, 1], [2, 2], [0, 0, 0, 0]),
            ([1, 1, 1], 1, [3, 3], [1, 1], [3, 3, 3, 3]),
        ];
        for (input, outputs, kernel, stride, padding) in cases {
            let window = Window::new(input, outputs, kernel, stride, padding).unwrap();
            let images = 19;
            let x = values(1, images * window.inputs());
            let w = values(2, outputs * window.patch());
            let y = forward(&window, &x, &w);
            let expected = naive(&window, &x, &w);
            assert_eq!(y.len(), expected.len());
            for (y, expected) in y.iter().zip(&expected) {
                assert!((y - expected).abs() < 1e-12, "{window:?}");
            }
            // <W * x, g> = <x, W^T * g> = <W, weights(x, g)>.
            let g = values(3, y.len());
            let product = dot(&y, &g);
            assert!((product - dot(&x, &transposed(&window, &g, &w))).abs() < 1e-10);
            assert!((product - dot(&w, &weights(&window, &x, &g))).abs() < 1e-10);
        }
    }

    #[test]
    fn no_bit_depends_on_the_number_of_threads() {
        let window = Window::new([3, 9, 9], 8, [3, 3], [1, 1], [1, 1, 1, 1]).unwrap();
        let x = noise(1, 37 * window.inputs());
        let y = noise(2, 37 * window.outputs());
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.unwrap().install(|| weights(&window, &x, &y))
        };
        let [one, three]: [Vec<f32>; 2] = [1, 3].map(on);
        assert_eq!(one, three);
    }
}
