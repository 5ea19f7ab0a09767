//! Convolution over two spatial axes, in groups.

mod backward;

use super::{Part, Window};
use crate::gemm;

/// About how many numbers of patches exist at a time.
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
        // Lines of the image at a time: a product has a price of its own.
        let lines_at_once =
            (CHUNK / (output.width * columns).max(1)).clamp(1, output.height.max(1));
        let positions = lines_at_once * output.width;
        let mut patches = vec![0.0; positions * columns];
        let mut made = vec![0.0; positions * to];
        let mut y = Vec::with_capacity(x.len() / input.len().max(1) * output.len());
        for x in x.chunks_exact(input.len()) {
            let start = y.len();
            y.resize(start + output.len(), 0.0);
            let y = &mut y[start..];
            for group in 0..self.groups {
                let (weights, shape) = self.group(weights, group);
                for first_line in (0..output.height).step_by(lines_at_once) {
                    let lines = first_line..(first_line + lines_at_once).min(output.height);
                    let first_position = first_line * output.width;
                    let count = lines.len() * output.width;
                    let patches = &mut patches[..count * columns];
                    patches.fill(0.0);
                    for (i, patch) in patches.chunks_exact_mut(columns).enumerate() {
                        let (line, column) = (i / output.width, i % output.width);
                        self.window
                            .taps_at(first_line + line, column, |tap, position| {
                                let first = position * input.channels + group * from;
                                patch[tap * from..(tap + 1) * from]
                                    .copy_from_slice(&x[first..first + from]);
                            });
                    }
                    let made = &mut made[..count * to];
                    gemm::product_transposed(patches, weights, shape, made);
                    for (i, made) in made.chunks_exact(to).enumerate() {
                        let first = (first_position + i) * output.channels + group * to;
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
}
