//! Every kernel against the definition in integers and float64, and every
//! instruction set against every other, byte for byte.

mod others;

use proptest::prelude::*;

use super::{
    ByteDepthwise, ByteFilter, Bytes, Dense, End, Epilogue, Grid, Joint, Round, Target, Tensors,
    bytes, bytes_mut,
};
use crate::conv::Window;
use crate::memory::{Blocked, Buffer, Layout, to_plain};
use crate::simd::{Isa, LANES};
use crate::tile::Clamp;

/// Integers that look random (an LCG's high bits).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: u64) -> i64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        ((self.0 >> 33) % below) as i64
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next(256) as u8).collect()
    }

    /// A factor for a channel, between `least` and twice that.
    fn factor(&mut self, least: f32) -> f32 {
        least * (1.0 + self.next(1000) as f32 / 1000.0)
    }
}

/// The bytes in blocks, what nobody may read for a result at its largest.
fn laid_out(values: &[u8], layout: &Bytes) -> Buffer {
    let mut buffer = Buffer::filled(Layout::Bytes(*layout).size(), layout.zero);
    let held = bytes_mut(buffer.values_mut());
    for channel in 0..layout.blocks() * layout.lanes {
        for y in 0..layout.height {
            for x in 0..layout.width {
                let plain = (channel * layout.height + y) * layout.width + x;
                let inside = channel < layout.channels;
                held[layout.channel_offset(channel, y, x)] =
                    if inside { values[plain] } else { 255 };
            }
        }
    }
    buffer
}

fn plain(buffer: &Buffer, layout: &Bytes) -> Vec<u8> {
    let held = bytes(buffer.values());
    let mut values = Vec::new();
    for channel in 0..layout.channels {
        for y in 0..layout.height {
            for x in 0..layout.width {
                values.push(held[layout.channel_offset(channel, y, x)]);
            }
        }
    }
    values
}

/// Whether a byte is what a number, counted from the zero point, is rounded
/// to; a number close to the middle of two may go to either.
fn rounded(byte: u8, number: f64, round: Round) -> bool {
    // Numbers that matter are at most about this large.
    rounded_from(byte, number, 200.0, round)
}

/// The same of a sum whose summands are of that size together.
fn rounded_from(byte: u8, number: f64, size: f64, round: Round) -> bool {
    let whole = |number: f64| {
        let value = number.round_ties_even() + f64::from(round.zero);
        (value.clamp(0.0, 255.0) as u8)
            .max(round.low)
            .min(round.high)
    };
    // What three roundings of float32 can be.
    let slack = 3.0 * size * f64::from(f32::EPSILON);
    (whole(number - slack)..=whole(number + slack)).contains(&byte)
}

#[derive(Debug, Clone)]
struct Case {
    /// Input channels and outputs of a group, and groups.
    channels: (usize, usize, usize),
    window: Window,
    size: [usize; 2],
    zero: u8,
    /// Which end, and which bounds.
    end: usize,
    bounds: usize,
    /// Whether all values are as large as can be.
    extreme: bool,
    /// Whether weights are asymmetric, of 9 bits.
    wide: bool,
    lanes: usize,
    seed: u64,
}

fn channels() -> impl Strategy<Value = (usize, usize, usize)> {
    prop_oneof![
        4 => (1_usize..40, 1_usize..70).prop_map(|(i, o)| (i, o, 1)),
        1 => (1_usize..4).prop_map(|g| (16, 16, g)),
        2 => (1_usize..40).prop_map(|g| (1, 1, g)),
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
    let rest = (
        0_usize..3,
        0_usize..3,
        any::<bool>(),
        any::<u8>(),
        any::<u64>(),
    );
    (channels(), window, rest, 0_u8..8).prop_filter_map(
        "the window is larger than the image",
        |(channels, w, r, rare)| {
            let (kernel, stride, dilation, before, after, size) = w;
            let (end, bounds, few, zero, seed) = r;
            let mut output = [0; 2];
            for axis in 0..2 {
                let reach = (kernel[axis] - 1) * dilation[axis] + 1;
                let padded = before[axis] + size[axis] + after[axis];
                output[axis] = padded.checked_sub(reach)? / stride[axis] + 1;
            }
            let small = channels.0 <= 4 && channels.2 == 1;
            Some(Case {
                channels,
                window: Window {
                    kernel,
                    stride,
                    dilation,
                    before,
                    output,
                },
                size,
                zero,
                end,
                bounds,
                extreme: rare == 0,
                wide: rare == 1,
                lanes: if small && few { 4 } else { LANES },
                seed,
            })
        },
    )
}

/// What is computed, and what of.
struct Work {
    filter: ByteFilter,
    epilogue: Epilogue,
    input: Vec<u8>,
    residual: Vec<u8>,
    residual_zero: u8,
}

impl Case {
    fn work(&self) -> Work {
        let (inputs, outputs, groups) = self.channels;
        let taps: usize = self.window.kernel.iter().product();
        let (outputs, row) = (outputs * groups, inputs * taps);
        let mut numbers = Numbers(self.seed);
        let [h, w] = self.size;
        let [oh, ow] = self.window.output;
        let (input, weights): (_, Vec<i16>) = if self.extreme {
            (
                vec![255; inputs * groups * h * w],
                vec![-128; outputs * row],
            )
        } else {
            let range = if self.wide { (510, 255) } else { (255, 127) };
            let weights = (0..outputs * row).map(|_| (numbers.next(range.0) - range.1) as i16);
            let weights = weights.collect();
            (numbers.bytes(inputs * groups * h * w), weights)
        };
        let start = weights.chunks_exact(row).map(|row| {
            let sum: i32 = row.iter().map(|&w| i32::from(w)).sum();
            -i32::from(self.zero) * sum
        });
        let start = start.collect();
        let residual = numbers.bytes(outputs * oh * ow);
        let residual_zero = numbers.next(256) as u8;
        let grid = Grid {
            scale: 0.25,
            zero: numbers.next(256) as u8,
            signed: false,
        };
        let clamp = [
            Clamp::NONE,
            Clamp::RELU,
            Clamp {
                low: -3.0,
                high: 6.0,
            },
        ][self.bounds];
        let round = Round::new(grid, clamp).unwrap();
        let other = Grid {
            scale: numbers.factor(0.1),
            zero: residual_zero,
            signed: true,
        };
        let last = Grid {
            scale: 0.5,
            zero: numbers.next(256) as u8,
            signed: true,
        };
        let end = match self.end {
            0 => End::Floats(clamp),
            1 => End::Bytes(round),
            _ => End::Sum(round, Joint::new(grid, other, Clamp::RELU, last).unwrap()),
        };
        // So that sums spread over a few hundred steps.
        let least = 2.0 / (row as f32).sqrt() / 128.0;
        let factor = (0..outputs).map(|_| numbers.factor(least)).collect();
        let offset = (0..outputs)
            .map(|_| (numbers.next(100) - 50) as f32 / 3.0)
            .collect();
        Work {
            filter: ByteFilter {
                outputs,
                inputs,
                groups,
                weights,
                start,
            },
            epilogue: Epilogue {
                factor,
                offset,
                end,
            },
            input,
            residual,
            residual_zero,
        }
    }

    /// The definition: sums less what the zero point makes.
    fn exact(&self, work: &Work) -> Vec<i64> {
        let ByteFilter {
            outputs,
            inputs,
            groups,
            weights,
            ..
        } = &work.filter;
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
                    let mut sum = 0;
                    for i in 0..*inputs {
                        for r in 0..kernel[0] {
                            for c in 0..kernel[1] {
                                let at =
                                    (y * stride[0] + r * dilation[0]) as i64 - before[0] as i64;
                                let to =
                                    (x * stride[1] + c * dilation[1]) as i64 - before[1] as i64;
                                let [h, w] = self.size.map(|size| size as i64);
                                if !(0..h).contains(&at) || !(0..w).contains(&to) {
                                    continue;
                                }
                                let place = ((group * inputs + i) as i64 * h + at) * w + to;
                                let x =
                                    i64::from(work.input[place as usize]) - i64::from(self.zero);
                                let w = weights[((o * inputs + i) * kernel[0] + r) * kernel[1] + c];
                                sum += x * i64::from(w);
                            }
                        }
                    }
                    all.push(sum);
                }
            }
        }
        all
    }

    /// What the kernels make of it: the bytes, or the bits of floats.
    fn computed(&self, work: &Work, isa: Isa) -> (Vec<u8>, Vec<f32>) {
        let [h, w] = self.size;
        let rows = self.window.border(0, h);
        let columns = self.window.border(1, w);
        let slack = self.seed as usize % 3;
        let input = Bytes {
            channels: work.filter.inputs * work.filter.groups,
            height: h,
            width: w,
            borders: [rows.0 + slack, columns.0 + 1, rows.1, columns.1 + slack],
            lanes: self.lanes,
            zero: self.zero,
        };
        let [height, width] = self.window.output;
        let like = |borders, zero| Bytes {
            channels: work.filter.outputs,
            height,
            width,
            borders,
            lanes: LANES,
            zero,
        };
        let floats = Blocked {
            channels: work.filter.outputs,
            height,
            width,
            left: 1,
            right: slack,
            lanes: LANES,
        };
        let to = like([1, 0, slack, 2], 77);
        let from = like([0, slack, 1, 0], work.residual_zero);
        let residual = matches!(work.epilogue.end, End::Sum(..)).then_some(from);
        let target = match work.epilogue.end {
            End::Floats(_) => Target::Floats(floats),
            _ => Target::Bytes(to),
        };
        let tensors = Tensors {
            window: self.window,
            input,
            output: target,
            residual,
        };
        let held = laid_out(&work.input, &input);
        let other = laid_out(&work.residual, &from);
        let other = residual.map(|_| bytes(other.values()));
        let layout = match target {
            Target::Floats(layout) => Layout::Blocked(layout),
            Target::Bytes(layout) => Layout::Bytes(layout),
        };
        let mut output = Buffer::filled(layout.size(), layout.fill());
        let bytes_out = bytes_mut(output.values_mut());
        if work.filter.is_depthwise() && self.lanes == LANES {
            let op = ByteDepthwise::new(&work.filter, &work.epilogue, &tensors, isa);
            op.run(bytes(held.values()), other, bytes_out);
        } else {
            let op = Dense::new(&work.filter, &work.epilogue, &tensors, isa);
            op.run(bytes(held.values()), other, bytes_out);
        }
        match target {
            Target::Floats(layout) => {
                let mut values = vec![0.0; layout.channels * height * width];
                to_plain(output.values(), &layout, &mut values);
                (Vec::new(), values)
            }
            Target::Bytes(layout) => {
                // Nothing but pixels is written.
                let inside = layout.blocks() * height * width * LANES;
                let held = bytes(output.values());
                let mut rest = held.to_vec();
                for block in 0..layout.blocks() {
                    for y in 0..height {
                        rest[layout.offset(block, y, 0)..][..width * LANES].fill(77);
                    }
                }
                assert!(inside <= rest.len() && rest.iter().all(|&byte| byte == 77));
                (plain(&output, &layout), Vec::new())
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn convolutions_are_convolutions(case in cases()) {
        let work = case.work();
        let exact = case.exact(&work);
        let (found, floats) = case.computed(&work, Isa::best());
        let plane: usize = case.window.output.iter().product();
        for (i, &sum) in exact.iter().enumerate() {
            let channel = i / plane;
            let factor = f64::from(work.epilogue.factor[channel]);
            let offset = f64::from(work.epilogue.offset[channel]);
            let number = sum as f64 * factor + offset;
            match work.epilogue.end {
                End::Floats(clamp) => {
                    let wanted = number.max(f64::from(clamp.low)).min(f64::from(clamp.high));
                    let size = (sum as f64 * factor).abs() + offset.abs();
                    let error = (f64::from(floats[i]) - wanted).abs();
                    prop_assert!(error <= 2.0 * f64::from(f32::EPSILON) * size);
                }
                End::Bytes(round) => {
                    prop_assert!(rounded(found[i], number, round), "{} is not {number}", found[i]);
                }
                End::Sum(round, joint) => {
                    // One of the bytes that the first may be rounded to.
                    let other = f64::from(work.residual[i]) - f64::from(work.residual_zero);
                    let fits = (0..=255).filter(|&own| rounded(own, number, round)).any(|own| {
                        let own = f64::from(own) - f64::from(round.zero);
                        let [a, b] = joint.factors.map(f64::from);
                        rounded(found[i], own * a + other * b, joint.round)
                    });
                    prop_assert!(fits, "{} is not of {number} and {other}", found[i]);
                }
            }
        }
        for isa in Isa::available() {
            let (again, numbers) = case.computed(&work, isa);
            prop_assert_eq!(&again, &found, "{:?}", isa);
            let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(&numbers), bits(&floats), "{:?}", isa);
        }
    }
}

/// The largest sums that are let through do not overflow: debug builds would
/// panic, and the answer would be another one.
#[test]
fn the_largest_sums_are_right() {
    for (weight, zero) in [(-128, 0), (127, 0), (-128, 255), (127, 128)] {
        let inputs = 20_000 / 9;
        let window = Window {
            kernel: [3, 3],
            stride: [1, 1],
            dilation: [1, 1],
            before: [1, 1],
            output: [2, 5],
        };
        let sum: i32 = (inputs * 9) as i32 * weight;
        let filter = ByteFilter {
            outputs: 3,
            inputs,
            groups: 1,
            weights: vec![weight as i16; 3 * inputs * 9],
            start: vec![-zero * sum; 3],
        };
        let case = Case {
            channels: (inputs, 3, 1),
            window,
            size: [2, 5],
            zero: zero as u8,
            end: 0,
            bounds: 0,
            extreme: true,
            wide: false,
            lanes: LANES,
            seed: 1,
        };
        let work = Work {
            filter,
            epilogue: Epilogue {
                factor: vec![1.0; 3],
                offset: vec![0.0; 3],
                end: End::Floats(Clamp::NONE),
            },
            input: vec![255; inputs * 10],
            residual: vec![0; 30],
            residual_zero: 0,
        };
        let wanted: Vec<f32> = case.exact(&work).iter().map(|&sum| sum as f32).collect();
        for isa in Isa::available() {
            assert_eq!(case.computed(&work, isa).1, wanted, "{isa:?}");
        }
    }
}
