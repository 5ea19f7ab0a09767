//! Every kernel against the definition in float64, and every instruction set
//! against every other, bit for bit.

mod tokens;

use proptest::prelude::*;

use crate::conv::{Direct, Filter, Window};
use crate::depthwise::Depthwise;
use crate::gemm::Gemm;
use crate::grouped::Grouped;
use crate::memory::{Blocked, Buffer, Layout, to_blocks, to_plain};
use crate::pool::{Pool, PoolKind, means};
use crate::simd::{Isa, LANES};
use crate::tile::Clamp;

/// Numbers between -1 and 1 that look random (an LCG's high bits).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 40) as f32 / 8_388_608.0 - 1.0
    }

    fn take(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.next()).collect()
    }
}

fn blocked(shape: [usize; 3], borders: (usize, usize), lanes: usize) -> Blocked {
    Blocked {
        channels: shape[0],
        height: shape[1],
        width: shape[2],
        left: borders.0,
        right: borders.1,
        lanes,
    }
}

/// The tensor in blocks; what no kernel may read for a result is NaN.
fn laid_out(values: &[f32], layout: &Blocked) -> Buffer {
    let mut buffer = Buffer::zeros(Layout::Blocked(*layout).size());
    for channel in layout.channels..layout.blocks() * layout.lanes {
        for y in 0..layout.height {
            for x in 0..layout.width {
                buffer.values_mut()[layout.channel_offset(channel, y, x)] = f32::NAN;
            }
        }
    }
    to_blocks(values, layout, buffer.values_mut());
    buffer
}

fn plain(buffer: &Buffer, layout: &Blocked) -> Vec<f32> {
    let mut values = vec![0.0; layout.channels * layout.height * layout.width];
    to_plain(buffer.values(), layout, &mut values);
    values
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[derive(Debug, Clone)]
struct Case {
    filter: Filter,
    window: Window,
    size: [usize; 2],
    /// Whether a residual is added, and what bounds there are.
    residual: bool,
    clamp: Clamp,
    /// Borders beyond those needed.
    slack: usize,
    lanes: usize,
    seed: u64,
}

/// Channels of a group and outputs of a group, and the number of groups.
fn channels() -> impl Strategy<Value = (usize, usize, usize)> {
    prop_oneof![
        4 => (1_usize..40, 1_usize..70).prop_map(|(i, o)| (i, o, 1)),
        1 => (1_usize..4).prop_map(|g| (16, 16, g)),
        1 => (1_usize..40).prop_map(|g| (1, 1, g)),
        1 => (1_usize..5, 1_usize..5, 1_usize..5),
    ]
}

fn cases() -> impl Strategy<Value = Case> {
    let window = (
        prop::sample::select(vec![[1, 1], [3, 3], [5, 5], [7, 7], [1, 3], [2, 4]]),
        [1_usize..4, 1..4],
        [1_usize..3, 1..3],
        [0_usize..4, 0..4],
        [0_usize..4, 0..4],
        [1_usize..20, 1..36],
    );
    let rest = (any::<bool>(), 0_usize..3, 0_usize..2, any::<u64>());
    (channels(), window, rest).prop_filter_map(
        "the window is larger than the image",
        |(c, w, r)| {
            let (kernel, stride, dilation, before, after, size) = w;
            let (inputs, outputs, groups) = c;
            let (residual, bounds, slack, seed) = r;
            let mut output = [0; 2];
            for axis in 0..2 {
                let reach = (kernel[axis] - 1) * dilation[axis] + 1;
                let padded = before[axis] + size[axis] + after[axis];
                output[axis] = padded.checked_sub(reach)? / stride[axis] + 1;
            }
            let mut numbers = Numbers(seed);
            let taps: usize = kernel.iter().product();
            let filter = Filter {
                outputs: outputs * groups,
                inputs,
                groups,
                weights: numbers.take(outputs * groups * inputs * taps),
                bias: numbers.take(outputs * groups),
            };
            let few = inputs * groups <= 4 && groups == 1;
            Some(Case {
                filter,
                window: Window {
                    kernel,
                    stride,
                    dilation,
                    before,
                    output,
                },
                size,
                residual,
                clamp: [
                    Clamp::NONE,
                    Clamp::RELU,
                    Clamp {
                        low: -0.5,
                        high: 0.75,
                    },
                ][bounds],
                slack,
                lanes: if few && seed.is_multiple_of(2) {
                    4
                } else {
                    LANES
                },
                seed,
            })
        },
    )
}

impl Case {
    fn input(&self) -> Vec<f32> {
        let [h, w] = self.size;
        Numbers(!self.seed).take(self.filter.inputs * self.filter.groups * h * w)
    }

    fn other(&self) -> Option<Vec<f32>> {
        let [h, w] = self.window.output;
        self.residual
            .then(|| Numbers(self.seed.wrapping_add(99)).take(self.filter.outputs * h * w))
    }

    /// The definition, in float64: the value, and the sum of all magnitudes.
    fn exact(&self, input: &[f32], residual: Option<&[f32]>) -> Vec<(f64, f64)> {
        let Filter {
            outputs,
            inputs,
            groups,
            weights,
            bias,
        } = &self.filter;
        let Window {
            kernel,
            stride,
            dilation,
            before,
            output,
        } = self.window;
        let mut all = Vec::new();
        for o in 0..*outputs {
            let group = o / (outputs / groups);
            for y in 0..output[0] {
                for x in 0..output[1] {
                    let mut sum = f64::from(bias[o]);
                    let mut size = sum.abs();
                    for i in 0..*inputs {
                        for r in 0..kernel[0] {
                            for c in 0..kernel[1] {
                                let at =
                                    (y * stride[0] + r * dilation[0]) as i64 - before[0] as i64;
                                let to =
                                    (x * stride[1] + c * dilation[1]) as i64 - before[1] as i64;
                                if at < 0
                                    || to < 0
                                    || at >= self.size[0] as i64
                                    || to >= self.size[1] as i64
                                {
                                    continue;
                                }
                                let place = (group * inputs + i) * self.size[0] + at as usize;
                                let value = input[place * self.size[1] + to as usize];
                                let weight =
                                    weights[((o * inputs + i) * kernel[0] + r) * kernel[1] + c];
                                let product = f64::from(value) * f64::from(weight);
                                sum += product;
                                size += product.abs();
                            }
                        }
                    }
                    if let Some(values) = residual {
                        let value = f64::from(values[all.len()]);
                        sum += value;
                        size += value.abs();
                    }
                    let sum = sum
                        .max(f64::from(self.clamp.low))
                        .min(f64::from(self.clamp.high));
                    all.push((sum, size));
                }
            }
        }
        all
    }

    /// What the kernels make of it.
    fn computed(&self, isa: Isa, input: &[f32], residual: Option<&[f32]>) -> Vec<f32> {
        let (left, right) = self.window.borders(self.size[1]);
        let borders = (left + self.slack, right + self.slack);
        let channels = self.filter.inputs * self.filter.groups;
        let from = blocked([channels, self.size[0], self.size[1]], borders, self.lanes);
        let [h, w] = self.window.output;
        let shape = [self.filter.outputs, h, w];
        let to = blocked(shape, (self.slack, 1), LANES);
        let other = residual.map(|values| {
            let layout = blocked(shape, (1, 2), LANES);
            (laid_out(values, &layout), layout)
        });
        let layout = other.as_ref().map(|(_, layout)| *layout);
        let other = other.as_ref().map(|(buffer, _)| buffer.values());
        let input = laid_out(input, &from);
        let mut output = Buffer::zeros(Layout::Blocked(to).size());
        let (filter, window, clamp) = (&self.filter, self.window, self.clamp);
        if Depthwise::takes(filter) && self.lanes == LANES {
            Depthwise::new(filter, window, from, to, layout, clamp, isa).run(
                input.values(),
                other,
                output.values_mut(),
            );
        } else if Direct::takes(filter) {
            Direct::new(filter, window, from, to, layout, clamp, isa).run(
                input.values(),
                other,
                output.values_mut(),
            );
        } else {
            Grouped {
                filter: filter.clone(),
                window,
                input: from,
                output: to,
                residual: layout,
                clamp,
                isa,
            }
            .run(input.values(), other, output.values_mut());
        }
        // Nothing but pixels is written.
        for y in 0..to.height {
            let row = &output.values()[to.offset(0, y, 0) - to.left * LANES..][..to.row()];
            let (left, rest) = row.split_at(to.left * LANES);
            let right = &rest[to.width * LANES..];
            assert!(left.iter().chain(right).all(|&value| value == 0.0));
        }
        plain(&output, &to)
    }
}

/// The error of a sum of so many products in float32, each rounded once, as a
/// part of the sum of magnitudes: Higham, Accuracy and Stability, (3.5).
fn gamma(terms: usize) -> f64 {
    let n = terms as f64 * f64::from(f32::EPSILON) / 2.0;
    n / (1.0 - n)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn convolutions_are_convolutions(case in cases()) {
        let (input, residual) = (case.input(), case.other());
        let exact = case.exact(&input, residual.as_deref());
        let terms = case.filter.inputs * case.window.kernel.iter().product::<usize>() + 2;
        let first = case.computed(Isa::best(), &input, residual.as_deref());
        prop_assert_eq!(first.len(), exact.len());
        for (found, (wanted, size)) in first.iter().zip(&exact) {
            let error = (f64::from(*found) - wanted).abs();
            prop_assert!(error <= gamma(terms) * size, "{found} is not {wanted}");
        }
        for isa in Isa::available() {
            let again = case.computed(isa, &input, residual.as_deref());
            prop_assert_eq!(bits(&again), bits(&first), "{:?}", isa);
        }
    }

    #[test]
    fn what_is_not_finite_comes_out_where_its_window_is(case in cases(), place: prop::sample::Index) {
        let mut input = case.input();
        let place = place.index(input.len());
        input[place] = f32::NAN;
        let exact = case.exact(&input, None);
        let case = Case { clamp: Clamp::RELU, residual: false, ..case };
        for isa in Isa::available() {
            let found = case.computed(isa, &input, None);
            for (found, (_, size)) in found.iter().zip(&exact) {
                prop_assert_eq!(found.is_nan(), size.is_nan());
            }
        }
    }

    #[test]
    fn linear_layers_are_linear(
        inputs in 1_usize..70,
        outputs in 1_usize..70,
        images in 1_usize..30,
        seed: u64,
    ) {
        let mut numbers = Numbers(seed);
        let weights = numbers.take(inputs * outputs);
        let bias = numbers.take(outputs);
        let (row, out_row) = (inputs + seed as usize % 3, outputs.next_multiple_of(LANES));
        let input = numbers.take(images * row);
        let mut first: Option<Vec<u32>> = None;
        for isa in Isa::available() {
            let gemm = Gemm::new(inputs, &weights, &bias, Clamp::RELU, isa);
            let mut output = vec![0.0; images * out_row];
            gemm.run(images, (&input, row), (&mut output, out_row));
            for image in 0..images {
                // Alone, an image gets the same bits.
                let mut alone = vec![0.0; out_row];
                gemm.run(1, (&input[image * row..], row), (&mut alone, out_row));
                let together = &output[image * out_row..][..outputs];
                prop_assert_eq!(bits(together), bits(&alone[..outputs]));
                for (o, &found) in together.iter().enumerate() {
                    let (mut sum, mut size) = (f64::from(bias[o]), f64::from(bias[o]).abs());
                    for i in 0..inputs {
                        let product = f64::from(input[image * row + i]) * f64::from(weights[i * outputs + o]);
                        sum += product;
                        size += product.abs();
                    }
                    let error = (f64::from(found) - sum.max(0.0)).abs();
                    prop_assert!(error <= gamma(inputs + 1) * size);
                }
            }
            let all: Vec<f32> = output.chunks(out_row).flat_map(|row| row[..outputs].to_vec()).collect();
            prop_assert_eq!(first.get_or_insert(bits(&all)), &bits(&all));
        }
    }

    #[test]
    fn pools_are_pools(case in cases(), kind in 0_usize..3, bad: bool) {
        let kind = [PoolKind::Max, PoolKind::Average, PoolKind::AverageWithPadding][kind];
        let [h, w] = case.size;
        let channels = case.filter.inputs;
        let window = case.window;
        let inside = |axis: usize, size: usize| (0..window.output[axis]).all(|p| {
            let (first, end) = window.taps(axis, p, size);
            first < end
        });
        prop_assume!(inside(0, h) && inside(1, w));
        let mut values = Numbers(case.seed).take(channels * h * w);
        if bad {
            values[case.seed as usize % (channels * h * w)] = f32::NAN;
        }
        let from = blocked([channels, h, w], (case.slack, 0), LANES);
        let to = blocked([channels, window.output[0], window.output[1]], (0, case.slack), LANES);
        let input = laid_out(&values, &from);
        let mut first: Option<Vec<f32>> = None;
        for isa in Isa::available() {
            let mut output = Buffer::zeros(Layout::Blocked(to).size());
            let pool = Pool { kind, window, input: from, output: to, isa };
            pool.run(input.values(), output.values_mut());
            let found = plain(&output, &to);
            prop_assert_eq!(bits(first.get_or_insert_with(|| found.clone())), bits(&found));
        }
        let first = first.unwrap_or_default();
        let area: usize = window.kernel.iter().product();
        for (i, found) in first.iter().enumerate() {
            let (c, y, x) = (
                i / (window.output[0] * window.output[1]),
                i / window.output[1] % window.output[0],
                i % window.output[1],
            );
            let mut taken = Vec::new();
            for r in 0..window.kernel[0] {
                for k in 0..window.kernel[1] {
                    let at = (y * window.stride[0] + r * window.dilation[0]).checked_sub(window.before[0]);
                    let along = (x * window.stride[1] + k * window.dilation[1]).checked_sub(window.before[1]);
                    if let (Some(at), Some(along)) = (at.filter(|&a| a < h), along.filter(|&a| a < w)) {
                        taken.push(f64::from(values[(c * h + at) * w + along]));
                    }
                }
            }
            if taken.iter().any(|value| value.is_nan()) {
                prop_assert!(found.is_nan());
                continue;
            }
            let sum: f64 = taken.iter().sum();
            let wanted = match kind {
                PoolKind::Max => taken.iter().copied().fold(f64::NEG_INFINITY, f64::max),
                PoolKind::Average => sum / taken.len() as f64,
                PoolKind::AverageWithPadding => sum / area as f64,
            };
            prop_assert!((f64::from(*found) - wanted).abs() <= 1e-5, "{found} is not {wanted}");
        }
    }

    #[test]
    fn means_are_means(channels in 1_usize..40, h in 1_usize..9, w in 1_usize..9, seed: u64) {
        let values = Numbers(seed).take(channels * h * w);
        let layout = blocked([channels, h, w], (1, 0), LANES);
        let input = laid_out(&values, &layout);
        let mut first: Option<Vec<u32>> = None;
        for isa in Isa::available() {
            let mut output = vec![0.0; channels.next_multiple_of(LANES)];
            means(isa, &layout, input.values(), &mut output);
            for (plane, found) in values.chunks(h * w).zip(&output) {
                let exact = plane.iter().map(|&v| f64::from(v)).sum::<f64>() / (h * w) as f64;
                prop_assert!((f64::from(*found) - exact).abs() <= 1e-5);
            }
            let found = bits(&output[..channels]);
            prop_assert_eq!(first.get_or_insert_with(|| found.clone()), &found);
        }
    }
}

/// Sums longer than a pass are interrupted, and stay the same.
#[test]
fn long_sums_are_right_too() {
    let kernel = [3, 3];
    let (inputs, outputs) = (700, 33);
    let mut numbers = Numbers(5);
    let case = Case {
        filter: Filter {
            outputs,
            inputs,
            groups: 1,
            weights: numbers.take(outputs * inputs * 9),
            bias: numbers.take(outputs),
        },
        window: Window {
            kernel,
            stride: [1, 1],
            dilation: [1, 1],
            before: [1, 1],
            output: [3, 5],
        },
        size: [3, 5],
        residual: true,
        clamp: Clamp::RELU,
        slack: 0,
        lanes: LANES,
        seed: 5,
    };
    let (input, residual) = (case.input(), case.other());
    let exact = case.exact(&input, residual.as_deref());
    let mut first: Option<Vec<u32>> = None;
    for isa in Isa::available() {
        let found = case.computed(isa, &input, residual.as_deref());
        for (found, (wanted, size)) in found.iter().zip(&exact) {
            let error = (f64::from(*found) - wanted).abs();
            assert!(
                error <= gamma(inputs * 9 + 2) * size,
                "{found} is not {wanted}"
            );
        }
        assert_eq!(first.get_or_insert(bits(&found)), &bits(&found), "{isa:?}");
    }
}
