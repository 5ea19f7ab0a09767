//! Linear layers, products, attention and normalization against float64.

use proptest::prelude::*;

use super::{Numbers, bits, gamma};
use crate::linear::Linear;
use crate::memory::Buffer;
use crate::normalize::LayerNorm;
use crate::pointwise::{Arith, Operand, Step, Unary};
use crate::product::{Attend, Attention, Product, Products, Score, Stack};
use crate::simd::{Isa, LANES};

/// What a kernel makes on every instruction set, which has to be the same.
fn everywhere(compute: impl Fn(Isa) -> Vec<f32>) -> Vec<f32> {
    let first = compute(Isa::best());
    for isa in Isa::available() {
        assert_eq!(bits(&compute(isa)), bits(&first), "{isa:?}");
    }
    first
}

/// Matrices that lie one after the other.
fn stack(count: usize, [rows, columns]: [usize; 2]) -> Stack {
    Stack {
        firsts: (0..count).map(|number| number * rows * columns).collect(),
        strides: [columns, 1],
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn rows_are_multiplied(
        rows in 1_usize..40,
        inputs in 1_usize..70,
        outputs in 1_usize..70,
        whole: bool,
        chained: bool,
        residual: bool,
        seed: u64,
    ) {
        let outputs = if whole { outputs.next_multiple_of(LANES) } else { outputs };
        let mut numbers = Numbers(seed);
        let weights = numbers.take(inputs * outputs);
        let bias = numbers.take(outputs);
        let factors = numbers.take(outputs);
        let input = numbers.take(rows * inputs);
        let other = numbers.take(rows * outputs);
        // x (2 + |x|) factor, of the sum x.
        let steps = [
            Step::Unary(Unary::Abs),
            Step::From(Arith::Add, Operand::One(2.0)),
            Step::Own { arith: Arith::Mul, steps: vec![], first: true },
            Step::With(Arith::Mul, Operand::Columns(factors.clone())),
        ];
        prop_assert!(Linear::takes(&steps));
        let steps = if chained { &steps[..] } else { &[] };
        let found = everywhere(|isa| {
            let linear = Linear::new([rows, inputs], &weights, &bias, steps, residual, isa);
            let mut output = vec![0.0; rows * outputs];
            linear.run(&input, residual.then_some(&other), &mut output);
            output
        });
        for (place, found) in found.iter().enumerate() {
            let (row, column) = (place / outputs, place % outputs);
            let (mut sum, mut size) = (f64::from(bias[column]), f64::from(bias[column]).abs());
            for i in 0..inputs {
                let product = f64::from(input[row * inputs + i]) * f64::from(weights[i * outputs + column]);
                sum += product;
                size += product.abs();
            }
            let factor = f64::from(factors[column]);
            let added = if residual { f64::from(other[place]) } else { 0.0 };
            if !chained {
                let allowed = gamma(inputs + 1) * size + gamma(1) * (size + added.abs());
                prop_assert!((f64::from(*found) - sum - added).abs() <= allowed, "{found} is not {sum} + {added}");
                continue;
            }
            let wanted = sum * (2.0 + sum.abs()) * factor + added;
            // The derivative is at most 2 + 2 |x|; five roundings follow.
            let allowed = gamma(inputs + 1) * size * (2.0 + 2.0 * size) * factor.abs()
                + gamma(5) * (size * (2.0 + size) * factor.abs() + added.abs());
            prop_assert!((f64::from(*found) - wanted).abs() <= allowed, "{found} is not {wanted}");
        }
    }

    #[test]
    fn matrices_are_multiplied(
        count in 1_usize..4,
        sizes in [1_usize..40, 1..40, 1..40],
        turned: [bool; 2],
        seed: u64,
    ) {
        let [rows, inner, columns] = sizes;
        let mut numbers = Numbers(seed);
        let a = numbers.take(count * rows * inner);
        let b = numbers.take(count * inner * columns);
        // Either factor may be stored by columns.
        let of = |shape: [usize; 2], turned: bool| {
            let stack = stack(count, shape);
            if turned { Stack { strides: [1, shape[0]], ..stack } } else { stack }
        };
        let op = Product {
            a: of([rows, inner], turned[0]),
            b: of([inner, columns], turned[1]),
            output: stack(count, [rows, columns]),
            sizes,
        };
        let found = everywhere(|isa| {
            let products = Products { op: op.clone(), isa };
            let mut scratch = Buffer::zeros(products.scratch());
            let mut output = vec![0.0; count * rows * columns];
            products.run([&a, &b], scratch.values_mut(), &mut output);
            output
        });
        for (place, found) in found.iter().enumerate() {
            let (number, row, column) = (place / (rows * columns), place / columns % rows, place % columns);
            let (mut sum, mut size) = (0.0, 0.0);
            for i in 0..inner {
                let left = if turned[0] { i * rows + row } else { row * inner + i };
                let right = if turned[1] { column * inner + i } else { i * columns + column };
                let product = f64::from(a[number * rows * inner + left])
                    * f64::from(b[number * inner * columns + right]);
                sum += product;
                size += product.abs();
            }
            prop_assert!((f64::from(*found) - sum).abs() <= gamma(inner) * size);
        }
    }

    #[test]
    fn attention_is_a_mean_of_values(
        count in 1_usize..4,
        sizes in [1_usize..40, 1..40, 1..20, 1..40],
        factors: [bool; 2],
        masked: bool,
        seed: u64,
    ) {
        let [queries, keys, inner, width] = sizes;
        let mut numbers = Numbers(seed);
        let q = numbers.take(count * queries * inner);
        let k = numbers.take(count * keys * inner);
        let v = numbers.take(count * keys * width);
        let mask = numbers.take(count * queries * keys);
        let factors = factors.map(|factor| factor.then_some(1.5));
        let mut scores = vec![Score::With(Arith::Mul, 2.0)];
        scores.extend(masked.then(|| Score::Add(mask.clone())));
        let op = Attention {
            queries: stack(count, [queries, inner]),
            keys: stack(count, [keys, inner]),
            values: stack(count, [keys, width]),
            output: stack(count, [queries, width]),
            sizes,
            factors,
            scores,
        };
        let found = everywhere(|isa| {
            let attend = Attend::new(op.clone(), isa);
            let mut scratch = Buffer::zeros(attend.scratch());
            scratch.values_mut().fill(f32::NAN);
            let mut output = vec![0.0; count * queries * width];
            attend.run([&q, &k, &v], scratch.values_mut(), &mut output);
            output
        });
        let wide = |value: f32| f64::from(value);
        let factor = factors.iter().flatten().fold(2.0, |all, &factor| all * wide(factor));
        for (place, found) in found.iter().enumerate() {
            let (number, query, column) = (place / (queries * width), place / width % queries, place % width);
            let mut largest_size = 0.0_f64;
            let all: Vec<f64> = (0..keys).map(|key| {
                let terms = (0..inner).map(|i| {
                    wide(q[(number * queries + query) * inner + i]) * wide(k[(number * keys + key) * inner + i])
                });
                let (sum, size) = terms.fold((0.0, 0.0), |(sum, size), t| (sum + t, size + t.abs()));
                let added = if masked { wide(mask[(number * queries + query) * keys + key]) } else { 0.0 };
                largest_size = largest_size.max(size * factor + added.abs());
                sum * factor + added
            }).collect();
            let top = all.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let weights = all.iter().map(|score| (score - top).exp());
            let sum: f64 = weights.clone().sum();
            let terms = weights.enumerate().map(|(key, weight)| weight * wide(v[(number * keys + key) * width + column]));
            let wanted = terms.sum::<f64>() / sum;
            // A score's error moves a weight by as much, in parts of it; values are at most 1.
            let error = gamma(inner + 5) * largest_size + 2e-7;
            let allowed = 4.0 * error + gamma(2 * keys + 4);
            prop_assert!((wide(*found) - wanted).abs() <= allowed, "{found} is not {wanted}");
        }
    }

    #[test]
    fn rows_are_normalized(rows in 1_usize..5, length in 1_usize..70, seed: u64) {
        let mut numbers = Numbers(seed);
        let (scale, shift) = (numbers.take(length), numbers.take(length));
        let input = numbers.take(rows * length);
        let found = everywhere(|isa| {
            let norm = LayerNorm::new(&scale, &shift, 1e-3, isa);
            let mut output = vec![0.0; rows * length];
            norm.run(rows, &input, &mut output);
            output
        });
        for (row, found) in input.chunks(length).zip(found.chunks(length)) {
            let wide = row.iter().map(|&value| f64::from(value));
            let mean = wide.clone().sum::<f64>() / length as f64;
            let variance = wide.clone().map(|v| (v - mean).powi(2)).sum::<f64>() / length as f64;
            let deviation = (variance + 1e-3).sqrt();
            for (i, value) in wide.enumerate() {
                let wanted = (value - mean) / deviation * f64::from(scale[i]) + f64::from(shift[i]);
                // Of values at most 1, and a deviation of at least 0.03.
                let allowed = gamma(2 * length + 8) * 2.0 * (2.0 + (1.0 / deviation).powi(2));
                prop_assert!((f64::from(found[i]) - wanted).abs() <= allowed, "{} is not {wanted}", found[i]);
            }
        }
    }
}

/// A key that may not be seen adds nothing, and a score that is not a number
/// makes none of its query.
#[test]
fn masks_hide_keys() {
    let op = Attention {
        queries: stack(1, [2, 1]),
        keys: stack(1, [2, 1]),
        values: stack(1, [2, 1]),
        output: stack(1, [2, 1]),
        sizes: [2, 2, 1, 1],
        factors: [None; 2],
        scores: vec![Score::Add(vec![0.0, f32::NEG_INFINITY, f32::NAN, 0.0])],
    };
    let found = everywhere(|isa| {
        let attend = Attend::new(op.clone(), isa);
        let mut scratch = Buffer::zeros(attend.scratch());
        let mut output = vec![0.0; 2];
        attend.run(
            [&[1.0; 2], &[1.0; 2], &[3.0, 5.0]],
            scratch.values_mut(),
            &mut output,
        );
        output
            .iter()
            .map(|value| if value.is_nan() { f32::NAN } else { *value })
            .collect()
    });
    assert_eq!(found[0], 3.0);
    assert!(found[1].is_nan());
}
