//! Convolution of every channel by itself; sums over windows are such, with weights of 1.

use super::{Part, Window};
use crate::block::Block;
use crate::buffers::Buffers;

/// One kernel a channel: weight `[i, j, c]` lies at `[i][j][c]`.
#[derive(Debug, Clone)]
pub(crate) struct Depthwise {
    pub(crate) window: Window,
    pub(crate) weights: Vec<f64>,
    /// One number an element of the output.
    pub(crate) bias: Vec<f64>,
    /// Whether these are weights of the file, rather than those of a sum.
    pub(crate) of_file: bool,
}

impl Depthwise {
    pub(crate) fn forward(&self, x: &[f64], part: Part) -> Vec<f64> {
        let (input, output) = (self.window.input, self.window.output);
        let channels = input.channels;
        let mut y = Vec::with_capacity(x.len() / input.len().max(1) * output.len());
        for x in x.chunks_exact(input.len()) {
            let start = y.len();
            y.resize(start + output.len(), 0.0);
            let y = &mut y[start..];
            for (position, y) in y.chunks_exact_mut(channels).enumerate() {
                let (line, column) = (position / output.width, position % output.width);
                self.window.taps_at(line, column, |tap, from| {
                    let weights = &self.weights[tap * channels..(tap + 1) * channels];
                    let x = &x[from * channels..(from + 1) * channels];
                    for ((y, w), x) in y.iter_mut().zip(weights).zip(x) {
                        let weight = if part == Part::Magnitudes {
                            w.abs()
                        } else {
                            *w
                        };
                        *y += weight * x;
                    }
                });
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
        let channels = window.input.channels;
        let size = window.reached(block.size);
        let origins = block.origins.iter();
        let origins = origins.map(|&origin| window.origin(origin, size)).collect();
        let mut result = Block::zeros(size, channels, origins, buffers);
        let length = result.row_len();
        let output = window.output;
        block.runs(output, |row, from, to| {
            let [top, left] = result.origins[row];
            let rows = block.data[from].chunks_exact(channels);
            for (i, coefficients) in rows.enumerate() {
                let position = to.start / channels + i;
                let place = [position / output.width, position % output.width];
                window.tap_runs(place.map(|p| p as isize), |tap, count, [y, x]| {
                    let position = (y - top) as usize * size[1] + (x - left) as usize;
                    for i in 0..count {
                        let first = row * length + (position + i) * channels;
                        let weights = &self.weights[(tap + i) * channels..];
                        let to = result.data[first..first + channels].iter_mut();
                        for ((to, a), w) in to.zip(coefficients).zip(weights) {
                            *to += a * w;
                        }
                    }
                });
            }
        });
        buffers.give(block.data);
        result
    }
}
