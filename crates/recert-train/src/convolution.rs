//! Convolution, its transpose, and the gradient of its weights, on slices.
//!
//! All three are linear in both of their operands, and each is a derivative of the others: for
//! `y = W * x` and a gradient `g` of y, that of x is the transposed convolution of g by W, and that
//! of W is [`weights`] of x and g.
//!
//! Each is a product of matrices, one for some images, of which no patches are copied: an image is written
//! once with its padding around it and the pixels that a stride goes over one after the other
//! ([`Spread`]); then the pixels that an element of the kernel meets are consecutive, and products
//! read them where they are. Images are distributed over threads. Sums over images are made in
//! [`GROUPS`] groups, however many threads there are, so no bit of a result depends on their number.

#![expect(
    clippy::inline_always,
    reason = "loops are compiled for each set of vector instructions"
)]

mod spread;

use std::ops::{Add, AddAssign, Div, Mul, Sub};

use rayon::prelude::*;

use crate::pool::{self, Pool, Scratch};
use crate::product::{self, LANES, Product, rows, transpose, vectorized};
use crate::window::Window;
use spread::Spread;

/// Into how many groups of consecutive images the gradient of the weights is summed.
const GROUPS: usize = 16;

/// float32 or float64.
pub(crate) trait Scalar:
    Copy
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + AddAssign
    + Send
    + Sync
    + 'static
{
    /// Writes a product to rows of its width.
    fn multiply(product: &Product<'_, Self>, made: &mut [Self]);

    /// The nearest number.
    fn from_double(x: f64) -> Self;

    /// Where buffers are kept.
    fn pool() -> &'static Pool<Self>;

    /// 0.
    fn zero() -> Self {
        Self::from_double(0.0)
    }

    /// 1.
    fn one() -> Self {
        Self::from_double(1.0)
    }
}

impl Scalar for f32 {
    fn multiply(product: &Product<'_, f32>, made: &mut [f32]) {
        product::single(product, made);
    }

    fn from_double(x: f64) -> f32 {
        x as f32
    }

    fn pool() -> &'static Pool<f32> {
        static POOL: Pool<f32> = Pool::new();
        &POOL
    }
}

impl Scalar for f64 {
    fn multiply(product: &Product<'_, f64>, made: &mut [f64]) {
        product::double(product, made);
    }

    fn from_double(x: f64) -> f64 {
        x
    }

    fn pool() -> &'static Pool<f64> {
        static POOL: Pool<f64> = Pool::new();
        &POOL
    }
}

/// `y = W * x + b` for every image, and what ReLUs make of it where they follow: `[n, inputs]`, `[m, patch]` and
/// `[m]`, or no bias, to `[n, outputs]`.
pub(crate) fn forward<E: Scalar>(
    window: &Window,
    x: &[E],
    weights: &[E],
    bias: &[E],
    relu: bool,
) -> Vec<E> {
    let images = x.len() / window.inputs();
    let mut y = pool::room(images * window.outputs());
    let spread = Spread::of(window);
    let channels = window.output()[0];
    let (kernels, steps) = (rows(channels, window.patch()), rows(window.patch(), 1));
    let room = || (spread.room(), Scratch::room(channels * spread.width));
    (y.par_chunks_mut(spread.images * window.outputs()))
        .zip(x.par_chunks(spread.images * window.inputs()))
        .for_each_init(room, |(image, made), (y, x)| {
            vectorized(
                #[inline(always)]
                || spread.write(x, image),
            );
            let product = Product {
                left: weights,
                left_rows: &kernels,
                left_steps: &steps,
                right: image,
                right_rows: &spread.begins,
                width: spread.width,
                add: false,
            };
            E::multiply(&product, made);
            vectorized(
                #[inline(always)]
                || {
                    for (image, y) in y.chunks_mut(window.outputs()).enumerate() {
                        for (channel, made) in made.chunks(spread.width).enumerate() {
                            let bias = bias.get(channel).copied().unwrap_or_else(E::zero);
                            let made = &made[image * spread.own..];
                            let y = &mut y[channel * window.positions()..];
                            if relu {
                                spread.joined(made, y, |x| rectified(x + bias));
                            } else {
                                spread.joined(made, y, |x| x + bias);
                            }
                        }
                    }
                },
            );
        });
    y
}

/// What a ReLU makes of a number; NaN stays, so that nothing hides it.
#[inline(always)]
pub(crate) fn rectified<E: Scalar>(x: E) -> E {
    if x < E::zero() { E::zero() } else { x }
}

/// The transposed convolution of every output: `[n, outputs]` and `[m, patch]` to `[n, inputs]`.
pub(crate) fn transposed<E: Scalar>(window: &Window, y: &[E], weights: &[E]) -> Vec<E> {
    let images = y.len() / window.outputs();
    let spread = Spread::of(window);
    let count = images * window.inputs();
    let mut x = if spread.reaches_all() {
        pool::room(count)
    } else {
        pool::zeros(count)
    };
    let (patch, channels) = (window.patch(), window.output()[0]);
    let (elements, steps) = (rows(patch, 1), rows(channels, patch));
    let outputs = rows(channels, spread.width);
    let room = || {
        let given = Scratch::zeros(channels * spread.width);
        let made = Scratch::room(patch * spread.width);
        (spread.room(), given, made)
    };
    (x.par_chunks_mut(spread.images * window.inputs()))
        .zip(y.par_chunks(spread.images * window.outputs()))
        .for_each_init(room, |(image, given, made), (x, y)| {
            // Positions that mean nothing stay 0.
            vectorized(
                #[inline(always)]
                || {
                    for (channel, given) in given.chunks_mut(spread.width).enumerate() {
                        let y = &y[channel * window.positions()..];
                        spread.parted(y, window.outputs(), given);
                    }
                },
            );
            let product = Product {
                left: weights,
                left_rows: &elements,
                left_steps: &steps,
                right: given,
                right_rows: &outputs,
                width: spread.width,
                add: false,
            };
            E::multiply(&product, made);
            vectorized(
                #[inline(always)]
                || {
                    image.fill(E::zero());
                    for (made, &begin) in made.chunks(spread.width).zip(&spread.begins) {
                        let pixels = image[begin..begin + spread.positions].iter_mut();
                        pixels.zip(made).for_each(|(pixel, &x)| *pixel += x);
                    }
                    spread.read(image, x);
                },
            );
        });
    x
}

/// The gradient of the weights: `[n, inputs]` and `[n, outputs]` to `[m, patch]`, summed over the
/// images.
pub(crate) fn weights<E: Scalar>(window: &Window, x: &[E], y: &[E]) -> Vec<E> {
    let images = x.len() / window.inputs();
    let (patch, channels) = (window.patch(), window.output()[0]);
    let spread = Spread::of(window);
    let wide = channels.next_multiple_of(LANES);
    let steps = spread.meant();
    let positions = rows(steps.len(), wide);
    let group = images.div_ceil(GROUPS).max(1);
    // Sums have a row an element of the patch, so that their columns are vectors.
    let sums: Vec<Scratch<E>> = (x.par_chunks(group * window.inputs()))
        .zip(y.par_chunks(group * window.outputs()))
        .map(|(x, y)| {
            let mut room = spread.room();
            // Columns beyond the channels stay 0.
            let mut given = Scratch::zeros(positions.len() * wide);
            let mut sum = Scratch::zeros(patch * wide);
            let images = (x.chunks(spread.images * window.inputs()))
                .zip(y.chunks(spread.images * window.outputs()));
            for (x, y) in images {
                vectorized(
                    #[inline(always)]
                    || spread.write(x, &mut room),
                );
                let outputs = y.chunks(window.outputs());
                for (y, given) in outputs.zip(given.chunks_mut(window.positions() * wide)) {
                    let extents = [channels, window.positions()];
                    transpose(y, window.positions(), extents, given, wide);
                }
                let used = y.len() / channels;
                let product = Product {
                    left: &room,
                    left_rows: &spread.begins,
                    left_steps: &steps[..used],
                    right: &given,
                    right_rows: &positions[..used],
                    width: wide,
                    add: true,
                };
                E::multiply(&product, &mut sum);
            }
            sum
        })
        .collect();
    let mut total = Scratch::zeros(patch * wide);
    for sum in sums {
        let pairs = total.iter_mut().zip(&*sum);
        pairs.for_each(|(total, &sum)| *total += sum);
    }
    let mut made = pool::room(channels * patch);
    transpose(&total, wide, [patch, channels], &mut made, patch);
    made
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
            ([2, 20, 21], 3, [3, 3], [1, 1], [1, 1, 1, 1]),
            ([3, 14, 14], 4, [4, 4], [2, 2], [1, 1, 1, 1]),
            ([2, 20, 41], 3, [3, 3], [1, 2], [1, 1, 1, 1]),
            ([2, 6, 7], 17, [3, 3], [2, 2], [0, 0, 0, 0]),
        ];
        for (input, outputs, kernel, stride, padding) in cases {
            let window = Window::new(input, outputs, kernel, stride, padding).unwrap();
            let images = 19;
            let x = values(1, images * window.inputs());
            let w = values(2, outputs * window.patch());
            let y = forward(&window, &x, &w, &[], false);
            let expected = naive(&window, &x, &w);
            assert_eq!(y.len(), expected.len());
            for (y, expected) in y.iter().zip(&expected) {
                assert!((y - expected).abs() < 1e-12, "{window:?}");
            }
            let bias = values(4, outputs);
            let moved = forward(&window, &x, &w, &bias, false);
            let active = forward(&window, &x, &w, &bias, true);
            for (at, ((moved, active), y)) in moved.iter().zip(active).zip(&y).enumerate() {
                let channel = at / window.positions() % outputs;
                assert!((moved - y - bias[channel]).abs() < 1e-12, "{window:?}");
                assert_eq!(active, moved.max(0.0));
            }
            // <W * x, g> = <x, W^T * g> = <W, weights(x, g)>.
            let g = values(3, y.len());
            let product = dot(&y, &g);
            assert!((product - dot(&x, &transposed(&window, &g, &w))).abs() < 1e-10);
            assert!((product - dot(&w, &weights(&window, &x, &g))).abs() < 1e-10);
        }
    }

    #[test]
    fn float32_is_float64_rounded() {
        for (input, outputs, kernel, stride) in [
            ([3, 9, 9], 17, [3, 3], [1, 1]),
            ([2, 20, 21], 5, [4, 4], [2, 2]),
        ] {
            let window = Window::new(input, outputs, kernel, stride, [1; 4]).unwrap();
            let [x, w] = [(1, 21 * window.inputs()), (2, outputs * window.patch())]
                .map(|(seed, count)| noise(seed, count));
            let y = noise(3, 21 * window.outputs());
            let wide = |x: &[f32]| x.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
            let pairs = [
                (
                    forward(&window, &x, &w, &[], false),
                    forward(&window, &wide(&x), &wide(&w), &[], false),
                ),
                (
                    transposed(&window, &y, &w),
                    transposed(&window, &wide(&y), &wide(&w)),
                ),
                (
                    weights(&window, &x, &y),
                    weights(&window, &wide(&x), &wide(&y)),
                ),
            ];
            for (single, double) in pairs {
                assert_eq!(single.len(), double.len());
                let largest = double.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
                for (single, double) in single.into_iter().zip(double) {
                    assert!((f64::from(single) - double).abs() < 1e-5 * largest);
                }
            }
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
