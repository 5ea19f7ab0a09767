//! Convolution, its transpose, and the gradient of its weights, on slices.
//!
//! All three are linear in both of their operands, and each is a derivative of the others: for
//! `y = W * x` and a gradient `g` of y, that of x is the transposed convolution of g by W, and that
//! of W is [`weights`] of x and g.
//!
//! Each is a product of matrices, one an image, of which no patches are copied: an image is written
//! once with its padding around it and the pixels that a stride goes over one after the other
//! ([`Spread`]); then the pixels that an element of the kernel meets are consecutive, and products
//! read them where they are. Images are distributed over threads. Sums over images are made in
//! [`GROUPS`] groups, however many threads there are, so no bit of a result depends on their number.

use std::ops::{Add, AddAssign, Div, Mul, Sub};

use rayon::prelude::*;

use crate::product::{self, LANES, Product, rows};
use crate::window::Window;

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
}

impl Scalar for f64 {
    fn multiply(product: &Product<'_, f64>, made: &mut [f64]) {
        product::double(product, made);
    }

    fn from_double(x: f64) -> f64 {
        x
    }
}

/// How an image is spread: for each channel and each of the `stride[0] * stride[1]` phases a plane
/// of `down * across` pixels, those that the stride goes to from its first one, padding included. Row p of
/// an output's plane begins at `p * across`, and has `across` positions, of which those after
/// the output's width mean nothing.
struct Spread {
    window: Window,
    down: usize,
    across: usize,
    /// Where the pixels that each element of the kernel meets begin.
    begins: Vec<usize>,
    /// The positions of an output, meaningless ones included, and a multiple of [`LANES`] that is
    /// not less.
    positions: usize,
    width: usize,
}

impl Spread {
    fn of(window: &Window) -> Self {
        let [sy, sx] = window.stride();
        let [height, width] = window.kernel();
        let [_, down_out, across_out] = window.output();
        let (down, across) = (down_out + (height - 1) / sy, across_out + (width - 1) / sx);
        let mut begins = Vec::with_capacity(window.patch());
        for channel in 0..window.input()[0] {
            for i in 0..height {
                for j in 0..width {
                    let plane = channel * sy * sx + i % sy * sx + j % sx;
                    begins.push((plane * down + i / sy) * across + j / sx);
                }
            }
        }
        let positions = down_out * across;
        Self {
            window: *window,
            down,
            across,
            begins,
            positions,
            width: positions.next_multiple_of(LANES),
        }
    }

    /// Room for an image, all of it 0, and for what a product reads behind it.
    fn room<E: Scalar>(&self) -> Vec<E> {
        let [sy, sx] = self.window.stride();
        let planes = self.window.input()[0] * sy * sx;
        vec![E::zero(); planes * self.down * self.across + self.across + self.width]
    }

    /// Calls `each` with where a row of the image lies in the spread one, where its first pixel is
    /// in the image, and how many there are, `stride[1]` apart in the image.
    fn for_rows(&self, mut each: impl FnMut(usize, usize, usize)) {
        let [channels, height, width] = self.window.input();
        let [sy, sx] = self.window.stride();
        let [top, left, ..] = self.window.padding();
        for channel in 0..channels {
            for row in 0..height {
                let (phase, down) = ((row + top) % sy, (row + top) / sy);
                if down >= self.down {
                    continue;
                }
                for right in 0..sx {
                    // The first column whose place behind the padding is of this phase.
                    let first = (right + sx - left % sx) % sx;
                    let across = (first + left) / sx;
                    if first >= width || across >= self.across {
                        continue;
                    }
                    let count = (width - first).div_ceil(sx).min(self.across - across);
                    let plane = (channel * sy + phase) * sx + right;
                    let to = (plane * self.down + down) * self.across + across;
                    each(to, (channel * height + row) * width + first, count);
                }
            }
        }
    }

    /// Writes an image to its room; what padding is stays as it is.
    fn write<E: Scalar>(&self, image: &[E], room: &mut [E]) {
        let step = self.window.stride()[1];
        self.for_rows(|to, from, count| {
            let row = &mut room[to..to + count];
            match step {
                1 => row.copy_from_slice(&image[from..from + count]),
                2 => {
                    let pixels = row.iter_mut().zip(image[from..].chunks(2));
                    pixels.for_each(|(to, from)| *to = from[0]);
                }
                _ => {
                    let pixels = row.iter_mut().zip(image[from..].iter().step_by(step));
                    pixels.for_each(|(to, &from)| *to = from);
                }
            }
        });
    }

    /// Reads an image from its room.
    fn read<E: Scalar>(&self, room: &[E], image: &mut [E]) {
        let step = self.window.stride()[1];
        self.for_rows(|to, from, count| {
            let row = &room[to..to + count];
            if step == 1 {
                image[from..from + count].copy_from_slice(row);
            } else {
                let pixels = image[from..].iter_mut().step_by(step);
                pixels.zip(row).for_each(|(pixel, &x)| *pixel = x);
            }
        });
    }
}

/// `y = W * x + b` for every image: `[n, inputs]`, `[m, patch]` and `[m]`, or no bias, to `[n,
/// outputs]`.
pub(crate) fn forward<E: Scalar>(window: &Window, x: &[E], weights: &[E], bias: &[E]) -> Vec<E> {
    let images = x.len() / window.inputs();
    let mut y = vec![E::zero(); images * window.outputs()];
    let spread = Spread::of(window);
    let [channels, _, across] = window.output();
    let kernels = rows(channels, window.patch());
    let room = || (spread.room(), vec![E::zero(); channels * spread.width]);
    (y.par_chunks_mut(window.outputs()))
        .zip(x.par_chunks(window.inputs()))
        .for_each_init(room, |(image, made), (y, x)| {
            spread.write(x, image);
            let product = Product {
                left: weights,
                left_rows: &kernels,
                left_step: 1,
                right: image,
                right_rows: &spread.begins,
                width: spread.width,
                add: false,
            };
            E::multiply(&product, made);
            let planes = y
                .chunks_mut(window.positions())
                .zip(made.chunks(spread.width));
            for (channel, (y, made)) in planes.enumerate() {
                let bias = bias.get(channel).copied().unwrap_or_else(E::zero);
                for (y, made) in y.chunks_mut(across).zip(made.chunks(spread.across)) {
                    (y.iter_mut().zip(made)).for_each(|(y, &x)| *y = x + bias);
                }
            }
        });
    y
}

/// The transposed convolution of every output: `[n, outputs]` and `[m, patch]` to `[n, inputs]`.
pub(crate) fn transposed<E: Scalar>(window: &Window, y: &[E], weights: &[E]) -> Vec<E> {
    let images = y.len() / window.outputs();
    let mut x = vec![E::zero(); images * window.inputs()];
    let spread = Spread::of(window);
    let (patch, [channels, _, across]) = (window.patch(), window.output());
    let (elements, outputs) = (rows(patch, 1), rows(channels, spread.width));
    let room = || {
        let [given, made] = [channels, patch].map(|rows| vec![E::zero(); rows * spread.width]);
        (spread.room(), given, made)
    };
    (x.par_chunks_mut(window.inputs()))
        .zip(y.par_chunks(window.outputs()))
        .for_each_init(room, |(image, given, made), (x, y)| {
            // Positions that mean nothing stay 0.
            let planes = y
                .chunks(window.positions())
                .zip(given.chunks_mut(spread.width));
            for (y, given) in planes {
                for (y, given) in y.chunks(across).zip(given.chunks_mut(spread.across)) {
                    given[..across].copy_from_slice(y);
                }
            }
            let product = Product {
                left: weights,
                left_rows: &elements,
                left_step: patch,
                right: given,
                right_rows: &outputs,
                width: spread.width,
                add: false,
            };
            E::multiply(&product, made);
            image.fill(E::zero());
            for (made, &begin) in made.chunks(spread.width).zip(&spread.begins) {
                let pixels = &mut image[begin..begin + spread.positions];
                pixels
                    .iter_mut()
                    .zip(made)
                    .for_each(|(pixel, &x)| *pixel += x);
            }
            spread.read(image, x);
        });
    x
}

/// The gradient of the weights: `[n, inputs]` and `[n, outputs]` to `[m, patch]`, summed over the
/// images.
pub(crate) fn weights<E: Scalar>(window: &Window, x: &[E], y: &[E]) -> Vec<E> {
    let images = x.len() / window.inputs();
    let (patch, [channels, _, across]) = (window.patch(), window.output());
    let spread = Spread::of(window);
    let wide = channels.next_multiple_of(LANES);
    let positions = rows(spread.positions, wide);
    let group = images.div_ceil(GROUPS).max(1);
    // Sums have a row an element of the patch, so that their columns are vectors.
    let sums: Vec<Vec<E>> = (x.par_chunks(group * window.inputs()))
        .zip(y.par_chunks(group * window.outputs()))
        .map(|(x, y)| {
            let mut image = spread.room();
            // Positions that mean nothing stay 0.
            let mut given = vec![E::zero(); spread.positions * wide];
            let mut sum = vec![E::zero(); patch * wide];
            for (x, y) in x.chunks(window.inputs()).zip(y.chunks(window.outputs())) {
                spread.write(x, &mut image);
                for (channel, y) in y.chunks(window.positions()).enumerate() {
                    for (y, given) in y.chunks(across).zip(given.chunks_mut(spread.across * wide)) {
                        let places = given[channel..].iter_mut().step_by(wide);
                        places.zip(y).for_each(|(place, &y)| *place = y);
                    }
                }
                let product = Product {
                    left: &image,
                    left_rows: &spread.begins,
                    left_step: 1,
                    right: &given,
                    right_rows: &positions,
                    width: wide,
                    add: true,
                };
                E::multiply(&product, &mut sum);
            }
            sum
        })
        .collect();
    let mut total = vec![E::zero(); channels * patch];
    for sum in sums {
        for (element, sums) in sum.chunks(wide).enumerate() {
            let totals = total[element..].iter_mut().step_by(patch);
            totals.zip(sums).for_each(|(total, &sum)| *total += sum);
        }
    }
    total
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
        ];
        for (input, outputs, kernel, stride, padding) in cases {
            let window = Window::new(input, outputs, kernel, stride, padding).unwrap();
            let images = 19;
            let x = values(1, images * window.inputs());
            let w = values(2, outputs * window.patch());
            let y = forward(&window, &x, &w, &[]);
            let expected = naive(&window, &x, &w);
            assert_eq!(y.len(), expected.len());
            for (y, expected) in y.iter().zip(&expected) {
                assert!((y - expected).abs() < 1e-12, "{window:?}");
            }
            let bias = values(4, outputs);
            let moved = forward(&window, &x, &w, &bias);
            for (at, (moved, y)) in moved.iter().zip(&y).enumerate() {
                let channel = at / window.positions() % outputs;
                assert!((moved - y - bias[channel]).abs() < 1e-12, "{window:?}");
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
                    forward(&window, &x, &w, &[]),
                    forward(&window, &wide(&x), &wide(&w), &[]),
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
