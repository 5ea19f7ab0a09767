//! Sums, pools and linear layers.

use proptest::prelude::*;

use super::{Numbers, cases, laid_out, plain, rounded, rounded_from};
use crate::integer::{
    ByteFilter, ByteGemm, ByteMax, ByteMeans, Bytes, End, Epilogue, Grid, Joint, Round, Sum, bytes,
    bytes_mut,
};
use crate::memory::{Buffer, Layout};
use crate::simd::{Isa, LANES};
use crate::tile::Clamp;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn sums_are_sums(
        channels in 1_usize..40,
        size in [1_usize..9, 1..14],
        scales in [1_u32..4000, 1..4000, 1..4000],
        zeros: [u8; 3],
        seed: u64,
    ) {
        let [height, width] = size;
        let layout = |zero, borders| Bytes { channels, height, width, borders, lanes: LANES, zero };
        let grid = |i: usize| Grid { scale: scales[i] as f32 / 1000.0, zero: zeros[i], signed: false };
        let mut numbers = Numbers(seed);
        let a = numbers.bytes(channels * height * width);
        let b = numbers.bytes(channels * height * width);
        let layouts = [layout(zeros[0], [1, 0, 2, 1]), layout(zeros[1], [0; 4]), layout(9, [1; 4])];
        let joint = Joint::new(grid(0), grid(1), Clamp::RELU, grid(2)).unwrap();
        let held = [laid_out(&a, &layouts[0]), laid_out(&b, &layouts[1])];
        let mut first: Option<Vec<u8>> = None;
        for isa in Isa::available() {
            let op = Sum {
                joint,
                zero: zeros[0],
                a: layouts[0],
                b: layouts[1],
                output: layouts[2],
                isa,
            };
            let mut output = Buffer::filled(Layout::Bytes(layouts[2]).size(), 9);
            op.run(bytes(held[0].values()), bytes(held[1].values()), bytes_mut(output.values_mut()));
            let found = plain(&output, &layouts[2]);
            prop_assert_eq!(first.get_or_insert_with(|| found.clone()), &found);
        }
        for ((found, a), b) in first.unwrap().iter().zip(&a).zip(&b) {
            let number = |byte: u8, i: usize| {
                (f64::from(byte) - f64::from(zeros[i])) * f64::from(grid(i).scale)
            };
            let step = f64::from(grid(2).scale);
            let exact = (number(*a, 0) + number(*b, 1)) / step;
            // Summands far beyond the grid err by more than their sum, where they cancel.
            let size = (number(*a, 0).abs() + number(*b, 1).abs()) / step;
            let right = rounded_from(*found, exact, size.max(200.0), joint.round);
            prop_assert!(right, "{found} is not {exact}");
        }
    }

    #[test]
    fn pools_are_pools(case in cases()) {
        let [height, width] = case.size;
        let inside = |axis: usize, size: usize| (0..case.window.output[axis]).all(|p| {
            let (first, end) = case.window.taps(axis, p, size);
            first < end
        });
        prop_assume!(inside(0, height) && inside(1, width));
        let channels = case.channels.0;
        let values = Numbers(case.seed).bytes(channels * height * width);
        let layout = |height, width, borders| Bytes {
            channels, height, width, borders, lanes: LANES, zero: case.zero,
        };
        let from = layout(height, width, [1, 2, 0, 1]);
        let [rows, columns] = case.window.output;
        let to = layout(rows, columns, [0, 0, 1, 0]);
        let held = laid_out(&values, &from);
        let grid = Grid { scale: 0.125, zero: case.zero, signed: false };
        for isa in Isa::available() {
            let mut output = Buffer::filled(Layout::Bytes(to).size(), case.zero);
            let op = ByteMax { window: case.window, input: from, output: to, isa };
            op.run(bytes(held.values()), bytes_mut(output.values_mut()));
            for (i, &found) in plain(&output, &to).iter().enumerate() {
                let (c, y, x) = (i / (rows * columns), i / columns % rows, i % columns);
                let (top, bottom) = case.window.taps(0, y, height);
                let (left, right) = case.window.taps(1, x, width);
                let taps = (top..bottom).flat_map(|r| (left..right).map(move |k| (r, k)));
                let wanted = taps.map(|(r, k)| {
                    let at = case.window.padded(0, y, r) - case.window.before[0];
                    let to = case.window.padded(1, x, k) - case.window.before[1];
                    values[(c * height + at) * width + to]
                });
                prop_assert_eq!(Some(found), wanted.max());
            }
            let mut means = vec![0.0; channels.next_multiple_of(LANES)];
            ByteMeans { grid, input: from, isa }.run(bytes(held.values()), &mut means);
            for (plane, &found) in values.chunks(height * width).zip(&means) {
                let sum: f64 = plane.iter().map(|&b| f64::from(b) - f64::from(case.zero)).sum();
                let exact = sum * 0.125 / (height * width) as f64;
                prop_assert!((f64::from(found) - exact).abs() <= 2.0 * f64::from(f32::EPSILON) * exact.abs());
            }
        }
    }

    #[test]
    fn linear_layers_are_linear(
        inputs in 1_usize..70,
        outputs in 1_usize..70,
        images in 1_usize..40,
        zero: u8,
        seed: u64,
    ) {
        let mut numbers = Numbers(seed);
        let weights: Vec<i16> = (0..inputs * outputs).map(|_| (numbers.next(510) - 255) as i16).collect();
        let sums = weights.chunks_exact(inputs).map(|row| row.iter().map(|&w| i32::from(w)).sum::<i32>());
        let filter = ByteFilter {
            outputs,
            inputs,
            groups: 1,
            start: sums.map(|sum| -i32::from(zero) * sum).collect(),
            weights,
        };
        let round = Round { zero: 90, low: 3, high: 250 };
        let row = inputs.next_multiple_of(64);
        let input = numbers.bytes(images * row);
        let exact = |image: usize, output: usize| -> i64 {
            let weights = &filter.weights[output * inputs..][..inputs];
            let pairs = input[image * row..][..inputs].iter().zip(weights);
            pairs.map(|(&x, &w)| (i64::from(x) - i64::from(zero)) * i64::from(w)).sum()
        };
        for end in [End::Bytes(round), End::Floats(Clamp::RELU)] {
            let epilogue = Epilogue {
                factor: vec![1.0 / 1024.0; outputs],
                offset: (0..outputs).map(|o| o as f32 * 0.25).collect(),
                end,
            };
            let mut first: Option<Vec<u8>> = None;
            let size = if end == End::Bytes(round) { 1 } else { 4 };
            let out_row = outputs.next_multiple_of(64) * size;
            for isa in Isa::available() {
                let gemm = ByteGemm::new(&filter, &epilogue, isa);
                let mut output = vec![0; images * out_row];
                gemm.run(images, (&input, row), (&mut output, out_row));
                for image in 0..images {
                    // Alone, an image gets the same.
                    let mut alone = vec![0; out_row];
                    gemm.run(1, (&input[image * row..], row), (&mut alone, out_row));
                    let used = outputs * size;
                    let together = &output[image * out_row..][..out_row];
                    prop_assert_eq!(&alone[..used], &together[..used]);
                    for o in 0..outputs {
                        let number = exact(image, o) as f64 / 1024.0 + o as f64 * 0.25;
                        if size == 1 {
                            prop_assert!(rounded(together[o], number, round));
                        } else {
                            let found = together[4 * o..].first_chunk().unwrap();
                            // No sum here needs more than 24 bits.
                            prop_assert_eq!(f64::from(f32::from_ne_bytes(*found)), number.max(0.0));
                        }
                    }
                }
                let used: Vec<u8> = output.chunks(out_row).flat_map(|row| row[..outputs * size].to_vec()).collect();
                prop_assert_eq!(first.get_or_insert_with(|| used.clone()), &used);
            }
        }
    }
}
