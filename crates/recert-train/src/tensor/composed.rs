//! The operations of this crate as compositions of burn's, from which their derivatives follow: what
//! devices compute that have none of our own. Conventions at kinks are those of [`crate::fused`].

use burn::tensor::module::{conv_transpose2d, conv2d};
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions, PadMode};
use burn::tensor::{Bool, Tensor, activation};

use crate::fused::{NARROW, Operation};
use crate::window::Window;

/// The result of an operation; those of two operands ignore the third.
pub(super) fn fused(operation: Operation, [a, b, c]: [Tensor<2>; 3]) -> Tensor<2> {
    let half = |x: Tensor<2>| x * 0.5;
    let relu = activation::relu::<2>;
    match operation {
        Operation::Convolve { window, relu } => {
            rectified(by_channels(convolve(a, b, window), c, |y, c| y + c), relu)
        }
        Operation::Linear { relu } => rectified(a.matmul(b.transpose()) + c, relu),
        Operation::Product => a.matmul(b),
        Operation::ProductTransposed => a.matmul(b.transpose()),
        Operation::Affine => {
            let product = by_channels(a, b, |x, b| x * b);
            by_channels(product, c, |x, c| x + c)
        }
        Operation::Terms => {
            let [rows, columns] = a.dims();
            let channels = b.dims()[1];
            let planes: Tensor<3> = a.reshape([rows, channels, columns / channels]);
            let sums: Tensor<2> = planes.sum_dim(2).reshape([rows, channels]);
            (sums * b).sum_dim(1)
        }
        Operation::ReluCentre => half(relu(a.clone() + b.clone()) + relu(a - b)),
        Operation::ReluRadius => half(relu(a.clone() + b.clone()) - relu(a - b)),
        Operation::Relaxed => {
            let Lines { below, above, .. } = Lines::of(b, c);
            let shape = a.dims();
            let (a, negative) = per_example(a, &below);
            let [below, above] = [below, above].map(|slopes| along(slopes, &a));
            (a * below.mask_where(negative, above)).reshape(shape)
        }
        Operation::Offsets => {
            let offset = Lines::of(b, c).offset;
            let (a, negative) = per_example(a, &offset);
            let offset = along(offset, &a);
            column((a.mask_fill(negative.bool_not(), 0.0) * offset).sum_dim(2))
        }
        Operation::Lowest => {
            let (a, _) = per_example(a, &b);
            let [centre, radius] = [b, c].map(|ends| along(ends, &a));
            column((a.clone() * centre).sum_dim(2) - (a.abs() * radius).sum_dim(2))
        }
        Operation::Sums => sums(&a, &b),
    }
}

/// The larger of 0 and each element, where that is asked for.
fn rectified(x: Tensor<2>, relu: bool) -> Tensor<2> {
    if relu { activation::relu(x) } else { x }
}

/// Every channel of `[n, channels * plane]` with its number of `[1, channels]`.
fn by_channels(
    x: Tensor<2>,
    numbers: Tensor<2>,
    combined: impl FnOnce(Tensor<3>, Tensor<3>) -> Tensor<3>,
) -> Tensor<2> {
    let ([rows, columns], [_, channels]) = (x.dims(), numbers.dims());
    let x: Tensor<3> = x.reshape([rows, channels, columns / channels]);
    combined(x, numbers.reshape([1, channels, 1])).reshape([rows, columns])
}

/// Rows of m an example, `[n m, f]`, as `[n, m, f]`, and where they are below 0.
fn per_example(rows: Tensor<2>, examples: &Tensor<2>) -> (Tensor<3>, Tensor<3, Bool>) {
    let ([all, columns], [count, _]) = (rows.dims(), examples.dims());
    let rows: Tensor<3> = rows.reshape([count, all / count, columns]);
    let negative = rows.clone().lower_elem(0.0);
    (rows, negative)
}

/// What belongs to examples, `[n, f]`, repeated for their rows.
fn along(examples: Tensor<2>, rows: &Tensor<3>) -> Tensor<3> {
    let [count, columns] = examples.dims();
    let examples: Tensor<3> = examples.reshape([count, 1, columns]);
    examples.expand(rows.dims())
}

/// `[n, m, 1]` as `[n m, 1]`.
fn column(sums: Tensor<3>) -> Tensor<2> {
    let [count, rows, _] = sums.dims();
    sums.reshape([count * rows, 1])
}

/// The lines around ReLUs on intervals, as in `fused::relaxation`.
struct Lines {
    /// A constant.
    below: Tensor<2>,
    above: Tensor<2>,
    offset: Tensor<2>,
}

impl Lines {
    fn of(centre: Tensor<2>, radius: Tensor<2>) -> Self {
        let (lower, upper) = (centre.clone() - radius.clone(), centre + radius.clone());
        let width = radius * 2.0;
        let below = upper.clone().detach().greater(-lower.clone().detach());
        let below = below.float().cast(lower.dtype());
        let unstable = (upper.clone().greater_elem(0.0)).bool_and(lower.clone().lower_elem(0.0));
        let narrow = (width.clone().greater_elem(NARROW))
            .bool_and(unstable.clone())
            .bool_not();
        let stable = unstable.bool_not();
        // Where nothing is divided, 1 is divided by, so that no derivative is infinite.
        let chord = upper / width.mask_fill(narrow.clone(), 1.0);
        let chord = chord.mask_fill(narrow, 1.0);
        Self {
            above: chord.clone().mask_where(stable.clone(), below.clone()),
            offset: -(chord.mask_fill(stable, 0.0) * lower),
            below,
        }
    }
}

/// The five sums of `fused::neurons`, `[1, 5]`.
fn sums(centre: &Tensor<2>, radius: &Tensor<2>) -> Tensor<2> {
    let one = |sum: Tensor<1>| -> Tensor<2> { sum.reshape([1, 1]) };
    let active = centre.clone().greater(radius.clone()).bool_not();
    let inactive = (centre.clone() + radius.clone()).lower_elem(0.0).bool_not();
    let count: usize = centre.dims().into_iter().product();
    // The derivative of a division by a number is burn's in float32 also where the rest is in float64.
    let mean = one(centre.clone().sum()) * (1.0 / count as f64);
    let distance = centre.clone() - mean;
    let squares = distance.clone() * distance;
    let over = |x: &Tensor<2>, others: &Tensor<2, Bool>| {
        one(x.clone().mask_fill(others.clone(), 0.0).sum())
    };
    let parts = vec![
        one(radius.clone().sum()),
        over(centre, &active),
        -over(centre, &inactive),
        over(&squares, &active),
        over(&squares, &inactive),
    ];
    Tensor::cat(parts, 1)
}

/// The convolution of every row by the weights.
pub(super) fn convolve(x: Tensor<2>, weights: Tensor<2>, window: Window) -> Tensor<2> {
    let rows = x.dims()[0];
    let [channels, height, width] = window.input();
    let [top, left, bottom, right] = window.padding();
    let images: Tensor<4> = x.reshape([rows, channels, height, width]);
    let images = images.pad([(top, bottom), (left, right)], PadMode::Constant(0.0));
    let options = ConvOptions::new(window.stride(), [0, 0], [1, 1], 1);
    let y = conv2d(images, kernels(weights, window), None, options);
    y.reshape([rows, window.outputs()])
}

/// The transposed convolution of every row by the weights.
pub(super) fn convolve_transposed(y: Tensor<2>, weights: Tensor<2>, window: Window) -> Tensor<2> {
    let rows = y.dims()[0];
    let [outputs, down, across] = window.output();
    let [_, height, width] = window.input();
    let [top, left, ..] = window.padding();
    let images: Tensor<4> = y.reshape([rows, outputs, down, across]);
    let options = ConvTransposeOptions::new(window.stride(), [0, 0], [0, 0], [1, 1], 1);
    let made = conv_transpose2d(images, kernels(weights, window), None, options);
    // What a stride leaves over at the ends is 0.
    let [.., reached_down, reached_across] = made.dims();
    let missing = |reached: usize, wanted: usize| (0, wanted.saturating_sub(reached));
    let ends = [
        missing(reached_down, top + height),
        missing(reached_across, left + width),
    ];
    let made = made.pad(ends, PadMode::Constant(0.0));
    let made = made.narrow(2, top, height).narrow(3, left, width);
    made.reshape([rows, window.inputs()])
}

fn kernels(weights: Tensor<2>, window: Window) -> Tensor<4> {
    let [height, width] = window.kernel();
    weights.reshape([window.output()[0], window.input()[0], height, width])
}

#[cfg(test)]
mod tests {
    use recert_graph::testing::noise;

    use super::*;
    use crate::tensor::{Matrix, composed};

    /// Numbers in [-1, 1].
    fn values(seed: u32, rows: usize, columns: usize) -> Matrix {
        let values: Vec<f64> = noise(seed, rows * columns)
            .into_iter()
            .map(f64::from)
            .collect();
        Matrix::double(columns, &values)
    }

    /// The elements of results, and of the derivatives of their sum, each times a number of its own.
    fn computed(operands: &[Matrix], made: &dyn Fn(&[Matrix]) -> Vec<Matrix>) -> Vec<Vec<f64>> {
        let operands: Vec<Matrix> = operands.iter().map(Matrix::tracked).collect();
        let made = made(&operands);
        let weighted = made.iter().enumerate().map(|(number, made)| {
            let weights = values(90 + number as u32, made.rows(), made.columns());
            made.mul(&weights).sum()
        });
        let total = weighted.reduce(|a, b| a.add(&b)).unwrap();
        let derivatives = total.derivatives();
        let by = operands.iter();
        let by = by.map(|operand| {
            derivatives
                .by(operand)
                .map_or_else(Vec::new, |by| by.doubles())
        });
        made.iter().map(Matrix::doubles).chain(by).collect()
    }

    fn check(name: &str, operands: &[Matrix], made: &dyn Fn(&[Matrix]) -> Vec<Matrix>) {
        let expected = computed(operands, made);
        let found = composed(|| computed(operands, made));
        for (number, (expected, found)) in expected.iter().zip(&found).enumerate() {
            assert_eq!(expected.len(), found.len(), "{name}, {number}");
            let largest = expected.iter().fold(1.0_f64, |most, x| most.max(x.abs()));
            for (a, b) in expected.iter().zip(found) {
                assert!(
                    (a - b).abs() <= 1e-13 * largest,
                    "{name}, {number}: {a} {b}"
                );
            }
        }
    }

    #[test]
    fn convolutions_are_ours_in_float64() {
        let cases = [
            ([1, 5, 6], 2, [3, 3], [1, 1], [1, 1, 1, 1]),
            ([2, 7, 5], 3, [4, 2], [2, 3], [1, 0, 2, 1]),
            ([3, 4, 4], 2, [4, 4], [2, 2], [0, 0, 0, 0]),
            ([1, 3, 3], 1, [5, 5], [3, 2], [2, 2, 2, 2]),
            ([2, 8, 9], 2, [1, 1], [2, 4], [0, 0, 0, 0]),
            ([1, 1, 1], 1, [3, 3], [1, 1], [3, 3, 3, 3]),
        ];
        for (input, outputs, kernel, stride, padding) in cases {
            let window = Window::new(input, outputs, kernel, stride, padding).unwrap();
            let name = format!("{window:?}");
            let x = values(1, 3, window.inputs());
            let y = values(2, 3, window.outputs());
            let weights = values(3, outputs, window.patch());
            let bias = values(4, 1, outputs);
            let operands = [x.clone(), weights.clone(), bias];
            for relu in [false, true] {
                check(&name, &operands, &|m| {
                    vec![m[0].convolve_biased(&m[1], &m[2], window, relu)]
                });
            }
            check(&name, &[x, weights.clone()], &|m| {
                vec![m[0].convolve(&m[1], window)]
            });
            check(&name, &[y, weights], &|m| {
                vec![m[0].convolve_transposed(&m[1], window)]
            });
        }
    }

    #[test]
    fn fused_operations_are_ours_in_float64_also_at_kinks() {
        let (examples, columns) = (4, 12);
        let x = values(1, examples, columns);
        let channels = [values(2, 1, 3), values(3, 1, 3)];
        let [factors, terms] = channels;
        check("affine", &[x.clone(), factors.clone(), terms], &|m| {
            vec![m[0].affine_channels(&m[1], &m[2])]
        });
        check("terms", &[x.clone(), factors], &|m| {
            vec![m[0].product_channels(&m[1])]
        });
        let [right, bias] = [values(6, 5, columns), values(7, 1, 5)];
        for relu in [false, true] {
            check("linear", &[x.clone(), right.clone(), bias.clone()], &|m| {
                vec![m[0].linear(&m[1], &m[2], relu)]
            });
        }
        check("product", &[x.clone(), values(8, columns, 5)], &|m| {
            vec![m[0].product(&m[1])]
        });
        check("transposed", &[x.clone(), right], &|m| {
            vec![m[0].product_transposed(&m[1])]
        });
        // Stable and unstable neurons, ones that end at 0, narrow ones around 0, and points.
        let centre = [
            0.5, -0.5, 0.1, -0.1, 0.3, -0.3, 0.0, 1e-8, -1e-8, 0.0, 0.4, -0.4,
        ];
        let radius = [0.2, 0.2, 0.4, 0.4, 0.3, 0.3, 0.5, 1e-7, 1e-7, 0.0, 0.0, 0.0];
        let [centre, radius] =
            [centre, radius].map(|ends| Matrix::double(columns, &[ends; 4].concat()));
        let mut rows = values(5, 3 * examples, columns).doubles();
        rows.iter_mut()
            .step_by(7)
            .for_each(|element| *element = 0.0);
        let rows = Matrix::double(columns, &rows);
        for (centre, radius) in [(centre, radius), (x, values(6, examples, columns).abs())] {
            check("relu", &[centre.clone(), radius.clone()], &|m| {
                m[0].relu_on(&m[1]).to_vec()
            });
            let operands = [rows.clone(), centre.clone(), radius.clone()];
            check("relaxed", &operands, &|m| {
                m[0].relaxed(&m[1], &m[2]).to_vec()
            });
            check("lowest", &operands, &|m| vec![m[0].lowest(&m[1], &m[2])]);
            check("sums", &[centre, radius], &|m| {
                m[0].neuron_sums(&m[1]).to_vec()
            });
        }
    }
}
