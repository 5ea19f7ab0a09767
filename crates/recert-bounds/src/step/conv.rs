//! Convolution over two spatial axes, in groups.

use pulp::{Simd, WithSimd};

use super::{Part, Window};
use crate::block::Block;
use crate::buffers::Buffers;
use crate::gemm;
use crate::rounding::ARCH;

/// Coefficients of one product that exist at a time.
const CHUNK: usize = 1 << 16;

/// A convolution. Element `[m, i, j, c]` of the weights lies at `[m][i][j][c]`, c counted
/// within the group.
#[derive(Debug, Clone)]
pub(crate) struct Conv {
    pub(crate) window: Window,
    pub(crate) groups: usize,
    pub(crate) weights: Vec<f64>,
    /// One number an element of the output.
    pub(crate) bias: Vec<f64>,
}

/// The products of some positions of a block, to be added to where they belong.
struct Scatter<'a> {
    conv: &'a Conv,
    block: &'a Block,
    /// The positions, counted over all rows, with the coefficients there.
    places: &'a [(usize, &'a [f64])],
    made: &'a [f64],
    group: usize,
    result: &'a mut Block,
}

impl WithSimd for Scatter<'_> {
    type Output = ();

    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "to be compiled for each set of instructions"
    )]
    fn with_simd<S: Simd>(self, _: S) {
        let [height, width] = self.block.size;
        let columns = self.made.len() / self.places.len().max(1);
        for ((place, _), made) in self.places.iter().zip(self.made.chunks_exact(columns)) {
            let (row, position) = (place / (height * width), place % (height * width));
            let within = [position / width, position % width];
            let origin = self.block.origins[row];
            self.conv
                .scatter(origin, within, made, self.group, row, self.result);
        }
    }
}

impl Conv {
    /// Input and output channels of a group.
    fn channels(&self) -> [usize; 2] {
        let window = &self.window;
        [window.input, window.output].map(|layout| layout.channels / self.groups)
    }

    pub(crate) fn terms(&self) -> usize {
        let [from, to] = self.channels();
        self.window.taps() * from.max(to) + 1
    }

    /// The weights of a group, `[m, taps, c]`, with their shape as a matrix.
    fn group<'w>(&self, weights: &'w [f64], group: usize) -> (&'w [f64], [usize; 2]) {
        let [from, to] = self.channels();
        let columns = self.window.taps() * from;
        let size = to * columns;
        (&weights[group * size..(group + 1) * size], [to, columns])
    }

    pub(crate) fn forward(&self, x: &[f64], part: Part) -> Vec<f64> {
        let (input, output) = (self.window.input, self.window.output);
        let [from, to] = self.channels();
        let magnitudes: Vec<f64>;
        let weights = if part == Part::Magnitudes {
            magnitudes = self.weights.iter().map(|w| w.abs()).collect();
            &magnitudes
        } else {
            &self.weights
        };
        let columns = self.window.taps() * from;
        let mut patches = vec![0.0; output.width * columns];
        let mut made = vec![0.0; output.width * to];
        let mut y = Vec::with_capacity(x.len() / input.len().max(1) * output.len());
        for x in x.chunks_exact(input.len()) {
            let start = y.len();
            y.resize(start + output.len(), 0.0);
            let y = &mut y[start..];
            for group in 0..self.groups {
                let (weights, shape) = self.group(weights, group);
                for line in 0..output.height {
                    patches.fill(0.0);
                    for column in 0..output.width {
                        let patch = &mut patches[column * columns..(column + 1) * columns];
                        self.window.taps_at(line, column, |tap, position| {
                            let first = position * input.channels + group * from;
                            patch[tap * from..(tap + 1) * from]
                                .copy_from_slice(&x[first..first + from]);
                        });
                    }
                    gemm::product_transposed(&patches, weights, shape, &mut made);
                    for (column, made) in made.chunks_exact(to).enumerate() {
                        let position = line * output.width + column;
                        let first = position * output.channels + group * to;
                        y[first..first + to].copy_from_slice(made);
                    }
                }
            }
            if part.has_bias() {
                for (y, b) in y.iter_mut().zip(&self.bias) {
                    *y += b;
                }
            }
        }
        y
    }

    pub(crate) fn backward(&self, block: Block, buffers: &mut Buffers) -> Block {
        let window = &self.window;
        let [from, to] = self.channels();
        let size = window.reached(block.size);
        let origins = block.origins.iter();
        let origins = origins.map(|&origin| window.origin(origin, size)).collect();
        let mut result = Block::zeros(size, window.input.channels, origins, buffers);
        let positions = block.size[0] * block.size[1];
        let columns = window.taps() * from;
        let places_at_once = (CHUNK / columns).max(1);
        let most = places_at_once.min(block.rows() * positions);
        // Positions without a coefficient (stable activations, padding) make nothing.
        let coefficients = block.data.chunks_exact(block.channels).enumerate();
        let mut places = coefficients
            .filter(|(_, a)| a.iter().any(|a| *a != 0.0))
            .peekable();
        let mut chosen = Vec::new();
        let mut parts = buffers.empty(most * to);
        let mut made = buffers.zeros(most * columns);
        while places.peek().is_some() {
            chosen.clear();
            chosen.extend(places.by_ref().take(places_at_once));
            for group in 0..self.groups {
                let (weights, shape) = self.group(&self.weights, group);
                parts.clear();
                for (_, a) in &chosen {
                    parts.extend_from_slice(&a[group * to..(group + 1) * to]);
                }
                let made = &mut made[..chosen.len() * columns];
                gemm::product(&parts, weights, shape, made);
                ARCH.dispatch(Scatter {
                    conv: self,
                    block: &block,
                    places: &chosen,
                    made,
                    group,
                    result: &mut result,
                });
            }
        }
        drop(chosen);
        for data in [parts, made, block.data] {
            buffers.give(data);
        }
        result
    }

    /// Adds what one position of a row's window makes to where it belongs.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "to be compiled for each set of instructions"
    )]
    fn scatter(
        &self,
        origin: [isize; 2],
        within: [usize; 2],
        made: &[f64],
        group: usize,
        row: usize,
        result: &mut Block,
    ) {
        let window = &self.window;
        let place = [0, 1].map(|axis| origin[axis] + within[axis] as isize);
        let inside = (0..window.output.height as isize).contains(&place[0])
            && (0..window.output.width as isize).contains(&place[1]);
        if !inside {
            return;
        }
        let [from, _] = self.channels();
        let channels = window.input.channels;
        let start = row * result.row_len();
        let [top, left] = result.origins[row];
        let width = result.size[1];
        let data = &mut result.data;
        window.tap_runs(
            place,
            #[inline(always)]
            |tap, count, [y, x]| {
                let position = (y - top) as usize * width + (x - left) as usize;
                if self.groups == 1 {
                    let to = start + position * channels;
                    let made = &made[tap * from..(tap + count) * from];
                    for (to, made) in data[to..to + count * from].iter_mut().zip(made) {
                        *to += made;
                    }
                    return;
                }
                for i in 0..count {
                    let to = start + (position + i) * channels + group * from;
                    let made = &made[(tap + i) * from..(tap + i + 1) * from];
                    for (to, made) in data[to..to + from].iter_mut().zip(made) {
                        *to += made;
                    }
                }
            },
        );
    }

    /// Rows of the weights, where all channels are one group.
    pub(crate) fn unit_rows(&self, units: &[(usize, f64)], buffers: &mut Buffers) -> Option<Block> {
        if self.groups != 1 {
            return None;
        }
        let window = &self.window;
        let channels = window.output.channels;
        let size = window.reached([1, 1]);
        let places = units.iter().map(|&(index, _)| {
            let position = index / channels;
            let (y, x) = (
                position / window.output.width,
                position % window.output.width,
            );
            [y as isize, x as isize]
        });
        let places: Vec<[isize; 2]> = places.collect();
        let origins = places.iter().map(|&place| window.origin(place, size));
        let origins = origins.collect();
        let mut block = Block::zeros(size, window.input.channels, origins, buffers);
        let columns = window.taps() * window.input.channels;
        let mut signed = vec![0.0; columns];
        for (row, (&(index, factor), &place)) in units.iter().zip(&places).enumerate() {
            let channel = index % channels;
            let weights = &self.weights[channel * columns..(channel + 1) * columns];
            for (signed, weight) in signed.iter_mut().zip(weights) {
                *signed = weight * factor;
            }
            self.scatter(place, [0, 0], &signed, 0, row, &mut block);
        }
        Some(block)
    }
}
