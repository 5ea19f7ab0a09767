//! Convolution, its transpose, and the gradient of its weights, on slices: patches of images as
//! columns of a matrix, and matrix products.
//!
//! All three are linear in both of their operands, and each is a derivative of the others: for
//! `y = W * x` and a gradient `g` of y, that of x is the transposed convolution of g by W, and that
//! of W is [`weights`] of x and g.
//!
//! A product is of the patches of a [`Tile`]: some images, or some rows of one, so that it stays in
//! the processor's cache. Images are distributed over threads. Sums over images are made in
//! [`GROUPS`] groups, however many threads there are, so no bit of a result depends on their number.

use std::ops::{AddAssign, Range};

use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2, LinalgScalar, ShapeBuilder};
use rayon::prelude::*;

use crate::product::{self, LANES, Product};
use crate::window::Window;

/// Into how many groups of consecutive images the gradient of the weights is summed.
const GROUPS: usize = 16;

/// About how many positions a tile has.
const POSITIONS: usize = 256;

/// float32 or float64.
pub(crate) trait Scalar: LinalgScalar + AddAssign + PartialOrd + Send + Sync {
    /// Writes a product to rows of its width.
    fn multiply(product: &Product<'_, Self>, made: &mut [Self]);

    /// The nearest number.
    fn from_double(x: f64) -> Self;
}

impl Scalar for f32 {
    fn multiply(product: &Product<'_, f32>, made: &mut [f32]) {
        product::single(product, made);
    }

    fn from_double(x: f64) -> f32 {
        x as f32
    }
}

/// Double precision serves tests of gradients, which so are of other products.
impl Scalar for f64 {
    fn multiply(product: &Product<'_, f64>, made: &mut [f64]) {
        let (inner, width) = (product.inner, product.width);
        let rows = made.len() / width;
        let left = (rows, inner).strides((product.strides[0], product.strides[1]));
        let left = ArrayView2::from_shape(left, product.left).expect("the left operand's shape");
        let right = &product.right[..inner * width];
        let right =
            ArrayView2::from_shape((inner, width), right).expect("the right operand's shape");
        let mut made = ArrayViewMut2::from_shape((rows, width), made).expect("the product's shape");
        let kept = if product.add { 1.0 } else { 0.0 };
        general_mat_mul(1.0, &left, &right, kept, &mut made);
    }

    fn from_double(x: f64) -> f64 {
        x
    }
}

/// What is convolved at a time: the same rows of the output of some images.
#[derive(Debug, Clone)]
struct Tile {
    images: Range<usize>,
    rows: Range<usize>,
}

/// How a window's outputs are cut into tiles.
#[derive(Debug, Clone, Copy)]
struct Tiling {
    window: Window,
    /// Images of a tile, and rows of the output of each.
    images: usize,
    rows: usize,
    /// Positions of a tile, and a multiple of [`LANES`] that is not less.
    width: usize,
}

impl Tiling {
    fn of(window: &Window) -> Self {
        let [_, down, across] = window.output();
        let images = (POSITIONS / window.positions()).max(1);
        let rows = if images > 1 {
            down
        } else {
            (POSITIONS / across).clamp(1, down)
        };
        Self {
            window: *window,
            images,
            rows,
            width: (images * rows * across).next_multiple_of(LANES),
        }
    }

    /// The tiles of this many images.
    fn tiles(self, images: usize) -> impl Iterator<Item = Tile> {
        let [_, down, _] = self.window.output();
        (0..images).step_by(self.images).flat_map(move |image| {
            (0..down).step_by(self.rows).map(move |row| Tile {
                images: image..(image + self.images).min(images),
                rows: row..(row + self.rows).min(down),
            })
        })
    }

    /// Room for the patches of a tile, `[patch, width]`.
    fn columns<E: Scalar>(self) -> Vec<E> {
        vec![E::zero(); self.window.patch() * self.width]
    }

    /// The spans of a tile's positions within each row of its matrices and within each plane of
    /// the output, image by image.
    fn spans(self, tile: &Tile) -> impl Iterator<Item = (usize, Range<usize>, Range<usize>)> {
        let across = self.window.output()[2];
        let plane = tile.rows.start * across..tile.rows.end * across;
        let images = tile.images.clone().enumerate();
        images.map(move |(number, image)| {
            let start = number * plane.len();
            (image, start..start + plane.len(), plane.clone())
        })
    }
}

/// `y = W * x + b` for every image: `[n, inputs]`, `[m, patch]` and `[m]`, or no bias, to `[n,
/// outputs]`.
pub(crate) fn forward<E: Scalar>(window: &Window, x: &[E], weights: &[E], bias: &[E]) -> Vec<E> {
    let images = x.len() / window.inputs();
    let mut y = vec![E::zero(); images * window.outputs()];
    let tiling = Tiling::of(window);
    let (patch, channels, positions) = (window.patch(), window.output()[0], window.positions());
    let room = || (tiling.columns(), vec![E::zero(); channels * tiling.width]);
    (y.par_chunks_mut(tiling.images * window.outputs()))
        .zip(x.par_chunks(tiling.images * window.inputs()))
        .for_each_init(room, |(columns, made), (y, x)| {
            for tile in tiling.tiles(x.len() / window.inputs()) {
                gather(tiling, &tile, x, columns);
                let product = Product {
                    left: weights,
                    strides: [patch, 1],
                    inner: patch,
                    right: columns,
                    width: tiling.width,
                    add: false,
                };
                E::multiply(&product, made);
                for (image, span, plane) in tiling.spans(&tile) {
                    let y = &mut y[image * window.outputs()..][..window.outputs()];
                    let planes = y.chunks_mut(positions).zip(made.chunks(tiling.width));
                    for (channel, (y, made)) in planes.enumerate() {
                        let (y, made) = (&mut y[plane.clone()], &made[span.clone()]);
                        match bias.get(channel) {
                            Some(&bias) => {
                                (y.iter_mut().zip(made)).for_each(|(y, &x)| *y = x + bias)
                            }
                            None => y.copy_from_slice(made),
                        }
                    }
                }
            }
        });
    y
}

/// The transposed convolution of every output: `[n, outputs]` and `[m, patch]` to `[n, inputs]`.
pub(crate) fn transposed<E: Scalar>(window: &Window, y: &[E], weights: &[E]) -> Vec<E> {
    let images = y.len() / window.outputs();
    let mut x = vec![E::zero(); images * window.inputs()];
    let tiling = Tiling::of(window);
    let (patch, channels) = (window.patch(), window.output()[0]);
    let room = || (tiling.columns(), vec![E::zero(); channels * tiling.width]);
    (x.par_chunks_mut(tiling.images * window.inputs()))
        .zip(y.par_chunks(tiling.images * window.outputs()))
        .for_each_init(room, |(columns, given), (x, y)| {
            for tile in tiling.tiles(y.len() / window.outputs()) {
                let positions = window.positions();
                for (image, span, plane) in tiling.spans(&tile) {
                    let y = &y[image * window.outputs()..][..window.outputs()];
                    for (y, given) in y.chunks(positions).zip(given.chunks_mut(tiling.width)) {
                        given[span.clone()].copy_from_slice(&y[plane.clone()]);
                    }
                }
                let product = Product {
                    left: weights,
                    strides: [1, patch],
                    inner: channels,
                    right: given,
                    width: tiling.width,
                    add: false,
                };
                E::multiply(&product, columns);
                scatter(tiling, &tile, columns, x);
            }
        });
    x
}

/// The gradient of the weights: `[n, inputs]` and `[n, outputs]` to `[m, patch]`, summed over the
/// images.
pub(crate) fn weights<E: Scalar>(window: &Window, x: &[E], y: &[E]) -> Vec<E> {
    let images = x.len() / window.inputs();
    let (patch, channels) = (window.patch(), window.output()[0]);
    let tiling = Tiling::of(window);
    let wide = channels.next_multiple_of(LANES);
    let group = images.div_ceil(GROUPS).max(1);
    // Sums have a row an element of the patch, so that their columns are vectors.
    let sums: Vec<Vec<E>> = (x.par_chunks(group * window.inputs()))
        .zip(y.par_chunks(group * window.outputs()))
        .map(|(x, y)| {
            let mut columns = tiling.columns();
            let mut given = vec![E::zero(); tiling.width * wide];
            let mut sum = vec![E::zero(); patch * wide];
            for tile in tiling.tiles(x.len() / window.inputs()) {
                gather(tiling, &tile, x, &mut columns);
                for (image, span, plane) in tiling.spans(&tile) {
                    let y = &y[image * window.outputs()..][..window.outputs()];
                    let given = &mut given[span.start * wide..span.end * wide];
                    for (channel, y) in y.chunks(window.positions()).enumerate() {
                        let rows = given.chunks_mut(wide).zip(&y[plane.clone()]);
                        rows.for_each(|(row, &y)| row[channel] = y);
                    }
                }
                let product = Product {
                    left: &columns,
                    strides: [tiling.width, 1],
                    inner: tile.images.len() * tile.rows.len() * window.output()[2],
                    right: &given,
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

/// The positions along an axis for which element `offset` of the kernel is in the image, and where
/// in the image the first of them is.
struct Span {
    inside: Range<usize>,
    first: usize,
}

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

/// Writes the patches of a tile as columns of `[patch, width]`.
fn gather<E: Scalar>(tiling: Tiling, tile: &Tile, x: &[E], columns: &mut [E]) {
    let step = tiling.window.stride()[1];
    for_rows(tiling, tile, columns, |pixels, right, row| {
        let Some(pixels) = pixels else {
            row.fill(E::zero());
            return;
        };
        row[..right.inside.start].fill(E::zero());
        row[right.inside.end..].fill(E::zero());
        let row = &mut row[right.inside.clone()];
        let pixels = x[pixels].get(right.first..).unwrap_or_default();
        match step {
            1 => row.copy_from_slice(&pixels[..row.len()]),
            2 => {
                let pairs = row.iter_mut().zip(pixels.chunks(2));
                pairs.for_each(|(element, pixels)| *element = pixels[0]);
            }
            _ => {
                let pairs = row.iter_mut().zip(pixels.iter().step_by(step));
                pairs.for_each(|(element, &pixel)| *element = pixel);
            }
        }
    });
}

/// Adds columns of `[patch, width]` to the pixels that they are the patches of.
fn scatter<E: Scalar>(tiling: Tiling, tile: &Tile, columns: &mut [E], x: &mut [E]) {
    let step = tiling.window.stride()[1];
    for_rows(tiling, tile, columns, |pixels, right, row| {
        let Some(pixels) = pixels else { return };
        let row = &row[right.inside.clone()];
        let pixels = x[pixels].get_mut(right.first..).unwrap_or_default();
        match step {
            1 => {
                let pairs = pixels.iter_mut().zip(row);
                pairs.for_each(|(pixel, &element)| *pixel += element);
            }
            2 => {
                let pairs = pixels.chunks_mut(2).zip(row);
                pairs.for_each(|(pixels, &element)| pixels[0] += element);
            }
            _ => {
                let pairs = pixels.iter_mut().step_by(step).zip(row);
                pairs.for_each(|(pixel, &element)| *pixel += element);
            }
        }
    });
}

/// Calls `each` with the elements of the row of an image that an element of the kernel meets, if it
/// meets one, the span within that row, and the row of positions, for all elements of the kernel
/// and rows of the output in a tile.
fn for_rows<E>(
    tiling: Tiling,
    tile: &Tile,
    columns: &mut [E],
    mut each: impl FnMut(Option<Range<usize>>, &Span, &mut [E]),
) {
    let window = &tiling.window;
    let [channels, height, width] = window.input();
    let [across, stride] = [window.output()[2], window.stride()[0]];
    let mut rows_of_columns = columns.chunks_mut(tiling.width);
    for channel in 0..channels {
        for vertical in 0..window.kernel()[0] {
            let down = span(window, 0, vertical);
            for horizontal in 0..window.kernel()[1] {
                let right = span(window, 1, horizontal);
                let row = rows_of_columns
                    .next()
                    .expect("a row an element of the patch");
                let mut parts = row.chunks_mut(across);
                for image in tile.images.clone() {
                    for position in tile.rows.clone() {
                        let part = parts.next().expect("as many parts as rows of the output");
                        let pixels = down.inside.contains(&position).then(|| {
                            let row = down.first + (position - down.inside.start) * stride;
                            let start = ((image * channels + channel) * height + row) * width;
                            start..start + width
                        });
                        each(pixels, &right, part);
                    }
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
            // Several tiles of rows, the last of them shorter.
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
