//! Rows of coefficients carried over a convolution: at each position of a row's window, the kernels of
//! its channels, times their coefficients, are added to the window of the input.

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::Conv;
use crate::block::Block;
use crate::buffers::Buffers;
use crate::rounding::ARCH;
use crate::step::Window;
use crate::terms::{TERMS, Term, VECTORS, add, gather};

/// Kernels of at most so many weights a channel are summed as a whole, apart from where they
/// belong: their lines are too short to be summed there.
const SHORT: usize = 64;

/// About how many places exist at a time.
const PLACES: usize = 1 << 10;

/// One position of a row's window, and one group there.
struct Place {
    /// Where the kernel's first element belongs among the result's coefficients, which may be
    /// outside of the image.
    first: isize,
    /// The taps within the image, along each axis.
    taps: [Range<usize>; 2],
    terms: Range<usize>,
}

/// The weights, and how long a channel's are.
struct Kernels<'a> {
    weights: &'a [f64],
    stride: usize,
}

impl Conv {
    pub(crate) fn backward(&self, block: Block, buffers: &mut Buffers) -> Block {
        let mut result = self.reached(&block.origins, block.size, buffers);
        let columns = self.columns();
        let mut padded;
        let kernels = if columns <= SHORT {
            // Each begins and ends with a whole vector.
            let stride = columns.next_multiple_of(8);
            padded = buffers.zeros(self.weights.len() / columns.max(1) * stride);
            let rows = padded.chunks_exact_mut(stride.max(1));
            for (padded, kernel) in rows.zip(self.weights.chunks_exact(columns.max(1))) {
                padded[..columns].copy_from_slice(kernel);
            }
            Kernels {
                weights: &padded,
                stride,
            }
        } else {
            padded = Vec::new();
            Kernels {
                weights: &self.weights,
                stride: columns,
            }
        };
        let mut terms = std::mem::take(&mut buffers.terms);
        ARCH.dispatch(Backward {
            conv: self,
            kernels,
            block: &block,
            result: &mut result,
            terms: &mut terms,
        });
        buffers.terms = terms;
        buffers.give(padded);
        buffers.give(block.data);
        result
    }

    /// Rows that are one element of the output each, times 1 or -1.
    pub(crate) fn unit_rows(&self, units: &[(usize, f64)], buffers: &mut Buffers) -> Block {
        let block = Block::units(self.window.output, units, buffers);
        self.backward(block, buffers)
    }

    /// Zeros over the windows of the input that windows of the output depend on.
    fn reached(&self, origins: &[[isize; 2]], size: [usize; 2], buffers: &mut Buffers) -> Block {
        let window = &self.window;
        let size = window.reached(size);
        let origins = origins.iter().map(|&origin| window.origin(origin, size));
        Block::zeros(size, window.input.channels, origins.collect(), buffers)
    }

    /// The number of weights of an output channel.
    fn columns(&self) -> usize {
        self.window.taps() * self.channels()[0]
    }

    /// How far apart the kernel's lines, and its taps along a line, are in windows of the input.
    fn steps(&self, size: [usize; 2]) -> [usize; 2] {
        let [down, right] = self.window.dilations;
        let channels = self.window.input.channels;
        [down * size[1] * channels, right * channels]
    }

    /// Whether the taps of a line lie side by side in the input.
    fn joined(&self) -> bool {
        self.groups == 1 && self.window.dilations[1] == 1
    }
}

/// The taps of an output position that lie in the image, along an axis.
fn inside(window: &Window, axis: usize, out: isize) -> Range<usize> {
    let extent = [window.input.height, window.input.width][axis] as isize;
    let step = window.dilations[axis] as isize;
    let first = window.source(axis, out, 0);
    let kernel = window.kernel[axis] as isize;
    // The least t with first + t step >= 0, and the least with first + t step >= extent.
    let least = |bound: isize| ((bound - first + step - 1).div_euclid(step)).clamp(0, kernel);
    least(0) as usize..least(extent) as usize
}

/// What [`Conv::backward`] does, to be compiled for each set of instructions.
struct Backward<'a> {
    conv: &'a Conv,
    kernels: Kernels<'a>,
    block: &'a Block,
    result: &'a mut Block,
    terms: &'a mut Vec<Term>,
}

impl WithSimd for Backward<'_> {
    type Output = ();

    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "to be compiled for each set of instructions"
    )]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let Block { size, channels, .. } = *self.block;
        let [height, width] = size;
        let length = self.block.row_len();
        let made = self.result.row_len();
        let window = &self.conv.window;
        let image = window.output;
        let [from, to] = self.conv.channels();
        let steps = self.conv.steps(self.result.size);
        let inside = |axis: usize, extent: usize| -> Vec<Range<usize>> {
            let positions = 0..extent as isize;
            positions.map(|out| inside(window, axis, out)).collect()
        };
        let inside = [inside(0, image.height), inside(1, image.width)];
        let mut places = Vec::with_capacity(PLACES + self.conv.groups);
        let mut terms = std::mem::take(self.terms);
        terms.clear();
        let rows = self.block.data.chunks_exact(length.max(1)).enumerate();
        for (row, coefficients) in rows {
            let [top, left] = self.block.origins[row];
            let origin = self.result.origins[row];
            for line in 0..height {
                let y = top + line as isize;
                if !(0..image.height as isize).contains(&y) {
                    continue;
                }
                let lines = &inside[0][y as usize];
                let down = window.source(0, y, 0) - origin[0];
                for column in 0..width {
                    let x = left + column as isize;
                    if !(0..image.width as isize).contains(&x) {
                        continue;
                    }
                    let right = window.source(1, x, 0) - origin[1];
                    let position = down * self.result.size[1] as isize + right;
                    let first = (row * made) as isize + position * window.input.channels as isize;
                    let begin = (line * width + column) * channels;
                    for group in 0..self.conv.groups {
                        let begun = terms.len();
                        let stride = self.kernels.stride;
                        gather(
                            &coefficients[begin + group * to..begin + (group + 1) * to],
                            group * to * stride,
                            stride,
                            &mut terms,
                        );
                        // Positions without a coefficient make nothing.
                        if terms.len() > begun {
                            places.push(Place {
                                first: first + (group * from) as isize,
                                taps: [lines.clone(), inside[1][x as usize].clone()],
                                terms: begun..terms.len(),
                            });
                        }
                    }
                    if terms.len() >= TERMS || places.len() >= PLACES {
                        self.flush(simd, &places, &terms, steps);
                        places.clear();
                        terms.clear();
                    }
                }
            }
        }
        self.flush(simd, &places, &terms, steps);
        *self.terms = terms;
    }
}

impl Backward<'_> {
    /// Adds what some places make to where it belongs.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "to be compiled for each set of instructions"
    )]
    fn flush<S: Simd>(&mut self, simd: S, places: &[Place], terms: &[Term], steps: [usize; 2]) {
        if self.conv.columns() <= SHORT {
            self.flush_short(simd, places, terms, steps);
        } else {
            self.flush_long(simd, places, terms, steps);
        }
    }

    /// The kernels as wholes, then line by line to where they belong.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "to be compiled for each set of instructions"
    )]
    fn flush_short<S: Simd>(
        &mut self,
        simd: S,
        places: &[Place],
        terms: &[Term],
        [down, right]: [usize; 2],
    ) {
        let [from, _] = self.conv.channels();
        let kernel = self.conv.window.kernel[1];
        let joined = self.conv.joined();
        let mut sums = [0.0; SHORT];
        let sums = &mut sums[..self.kernels.stride];
        for place in places {
            sums.fill(0.0);
            let terms = &terms[place.terms.clone()];
            add(simd, sums, terms, self.kernels.weights, 0);
            let [lines, taps] = &place.taps;
            for line in lines.clone() {
                let mut put = |taps: Range<usize>| {
                    let to = place.first + (line * down + taps.start * right) as isize;
                    let made = &sums[(line * kernel + taps.start) * from..];
                    let made = &made[..taps.len() * from];
                    let to = &mut self.result.data[to as usize..][..made.len()];
                    for (to, made) in to.iter_mut().zip(made) {
                        *to += made;
                    }
                };
                if joined {
                    put(taps.clone());
                } else {
                    taps.clone().for_each(|tap| put(tap..tap + 1));
                }
            }
        }
    }

    /// Part by part of the kernels, each small enough to stay in the cache for all places.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "to be compiled for each set of instructions"
    )]
    fn flush_long<S: Simd>(
        &mut self,
        simd: S,
        places: &[Place],
        terms: &[Term],
        [down, right]: [usize; 2],
    ) {
        let [from, _] = self.conv.channels();
        let kernel = self.conv.window.kernel;
        // Taps that are taken together.
        let taps_at_once = if self.conv.joined() { kernel[1] } else { 1 };
        let width = VECTORS * S::F64_LANES;
        for line in 0..kernel[0] {
            for tap in (0..kernel[1]).step_by(taps_at_once) {
                let segment = taps_at_once * from;
                for start in (0..segment).step_by(width) {
                    let end = (start + width).min(segment);
                    for place in places {
                        let [lines, taps] = &place.taps;
                        let first = taps.start.clamp(tap, tap + taps_at_once) - tap;
                        let last = taps.end.clamp(tap, tap + taps_at_once) - tap;
                        let (first, last) = ((first * from).max(start), (last * from).min(end));
                        if !lines.contains(&line) || first >= last {
                            continue;
                        }
                        let to = place.first + (line * down + tap * right + first) as isize;
                        let to = &mut self.result.data[to as usize..][..last - first];
                        let offset = (line * kernel[1] + tap) * from + first;
                        let terms = &terms[place.terms.clone()];
                        add(simd, to, terms, self.kernels.weights, offset);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Layout;

    fn noise(seed: u32, count: usize) -> Vec<f64> {
        let values = recert_graph::testing::noise(seed, count);
        values.into_iter().map(f64::from).collect()
    }

    /// A convolution of 7 x 9 positions.
    fn conv(channels: [usize; 2], groups: usize, kernel: [usize; 2], steps: [usize; 4]) -> Conv {
        let [down, right, dilated_down, dilated_right] = steps;
        let input = Layout {
            height: 7,
            width: 9,
            channels: channels[0],
        };
        let before = [1, 2];
        let extent = |axis: usize, extent: usize, stride: usize, dilation: usize| {
            (extent + 2 * before[axis] - (kernel[axis] - 1) * dilation - 1) / stride + 1
        };
        let output = Layout {
            height: extent(0, 7, down, dilated_down),
            width: extent(1, 9, right, dilated_right),
            channels: channels[1],
        };
        let window = Window {
            input,
            output,
            kernel,
            strides: [down, right],
            dilations: [dilated_down, dilated_right],
            before,
        };
        let weights = channels[1] * channels[0] / groups * kernel[0] * kernel[1];
        Conv {
            window,
            groups,
            weights: noise(5, weights),
            bias: vec![0.0; output.len()],
        }
    }

    /// `A W`, element by element of the weights.
    fn plainly(conv: &Conv, row: &[f64]) -> Vec<f64> {
        let window = &conv.window;
        let [from, to] = conv.channels();
        let mut made = vec![0.0; window.input.len()];
        for (i, a) in row.iter().enumerate() {
            let (position, channel) = (i / window.output.channels, i % window.output.channels);
            let (y, x) = (
                position / window.output.width,
                position % window.output.width,
            );
            window.taps_at(y, x, |tap, place| {
                for c in 0..from {
                    let weight = conv.weights[(channel * window.taps() + tap) * from + c];
                    let group = channel / to;
                    made[place * window.input.channels + group * from + c] += a * weight;
                }
            });
        }
        made
    }

    #[test]
    fn rows_are_multiplied_by_the_weights() {
        let buffers = &mut Buffers::default();
        for conv in [
            // Short kernels, as one group and as two, and with gaps.
            conv([3, 5], 1, [3, 3], [1, 1, 1, 1]),
            conv([4, 6], 2, [3, 2], [2, 1, 1, 1]),
            conv([2, 3], 1, [2, 3], [1, 2, 2, 2]),
            // Long ones: of a line of several registers, of one, of none that is whole.
            conv([40, 4], 1, [2, 3], [1, 1, 1, 1]),
            conv([13, 7], 1, [3, 2], [2, 1, 2, 1]),
            conv([11, 5], 1, [3, 4], [1, 2, 1, 2]),
            conv([42, 6], 2, [2, 2], [1, 1, 1, 1]),
            conv([34, 4], 2, [3, 2], [1, 1, 1, 3]),
        ] {
            let output = conv.window.output;
            let last = [output.height as isize - 1, output.width as isize - 1];
            let whole = [output.height, output.width];
            for (size, origins) in [
                ([1, 1], vec![[0, 0], last, [1, 2]]),
                ([2, 3], vec![[-1, -2], last, [0, 1]]),
                (whole, vec![[0, 0]; 3]),
            ] {
                let mut block = Block::zeros(size, output.channels, origins, buffers);
                let mut inside = Vec::new();
                block.runs(output, |_, run, _| inside.push(run));
                let values = noise(9, block.data.len());
                for i in inside.into_iter().flatten().filter(|i| i % 3 != 1) {
                    block.data[i] = values[i];
                }
                let dense = block.clone().into_dense(output, buffers);
                let made = conv.backward(block, buffers);
                let made = made.into_dense(conv.window.input, buffers).data;
                let rows = dense.data.chunks_exact(output.len());
                let want: Vec<f64> = rows.flat_map(|row| plainly(&conv, row)).collect();
                for (made, want) in made.iter().zip(&want) {
                    assert!((made - want).abs() <= 1e-12, "{:?}: {made}", conv.window);
                }
                assert!(want.iter().any(|want| *want != 0.0));
            }
            // A row of the weights is exact.
            let units = [(0, 1.0), (output.len() - 1, -1.0), (output.len() / 2, 1.0)];
            let made = conv.unit_rows(&units, buffers);
            let made = made.into_dense(conv.window.input, buffers).data;
            let want = units.iter().flat_map(|&(unit, sign)| {
                let mut row = vec![0.0; output.len()];
                row[unit] = sign;
                plainly(&conv, &row)
            });
            assert_eq!(made, want.collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_row_has_the_same_bits_in_every_block() {
        let buffers = &mut Buffers::default();
        let conv = conv([20, 9], 1, [3, 2], [1, 1, 1, 1]);
        let output = conv.window.output;
        let count = 23;
        let data = noise(3, count * output.len());
        let whole = Block::dense(output, data.clone());
        let whole = conv.backward(whole, buffers).data;
        for rows in [1, 2, 5] {
            let mut parts = Vec::new();
            for part in data.chunks(rows * output.len()) {
                let part = Block::dense(output, part.to_vec());
                parts.extend(conv.backward(part, buffers).data);
            }
            assert_eq!(parts, whole);
        }
    }
}
