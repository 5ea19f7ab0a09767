//! Convolution and its transpose, over any number of spatial axes.
//!
//! Elements of the window that lie on padding are left out of the sum, so that
//! an infinite weight there makes no NaN.

use super::array::Array;
use super::window::{Sliding, Tap};
use super::{Result, wrong};
use crate::Window;

/// How many rows and columns of a product are summed at a time, in registers.
const ROWS: usize = 4;
const COLUMNS: usize = 4;

/// How many positions of a window are gathered at a time.
const ROWS_AT_ONCE: usize = 32;

/// The filters of a group as a matrix, with the elements of [`COLUMNS`] filters that are
/// multiplied by the same element of the input side by side.
struct Columns {
    depth: usize,
    filters: usize,
    panels: Vec<f64>,
}

impl Columns {
    /// Of filters that lie one after the other, `depth` elements each.
    fn new(filters: &[f64], depth: usize) -> Self {
        let count = filters.len().checked_div(depth).unwrap_or(0);
        let mut panels = vec![0.0; count.next_multiple_of(COLUMNS) * depth];
        for (filter, elements) in filters.chunks_exact(depth.max(1)).enumerate() {
            let panel = filter / COLUMNS * COLUMNS * depth + filter % COLUMNS;
            for (element, &value) in elements.iter().enumerate() {
                panels[panel + element * COLUMNS] = value;
            }
        }
        Self {
            depth,
            filters: count,
            panels,
        }
    }

    /// Calls `store` with every row, filter and the sum of the products of their elements,
    /// which is taken from the first on, one after the other.
    fn products(&self, rows: &[f64], mut store: impl FnMut(usize, usize, f64)) {
        let count = rows.len().checked_div(self.depth).unwrap_or(0);
        for first in (0..count).step_by(ROWS) {
            let here: [&[f64]; ROWS] = std::array::from_fn(|i| {
                let row = (first + i).min(count - 1);
                &rows[row * self.depth..][..self.depth]
            });
            for (panel, weights) in self.panels.chunks_exact(COLUMNS * self.depth).enumerate() {
                let mut sums = [[0.0_f64; COLUMNS]; ROWS];
                for (element, weights) in weights.chunks_exact(COLUMNS).enumerate() {
                    for (sums, row) in sums.iter_mut().zip(&here) {
                        let value = row[element];
                        for (sum, &weight) in sums.iter_mut().zip(weights) {
                            *sum += value * weight;
                        }
                    }
                }
                for (row, sums) in sums.iter().enumerate().take(count - first) {
                    for (column, &sum) in sums.iter().enumerate() {
                        let filter = panel * COLUMNS + column;
                        if filter < self.filters {
                            store(first + row, filter, sum);
                        }
                    }
                }
            }
        }
    }
}

/// `Conv`: input `[n, channels, ..]`, weights `[outputs, channels / groups, ..]`.
pub(super) fn conv(
    x: &Array<f64>,
    w: &Array<f64>,
    bias: Option<&Array<f64>>,
    window: &Window,
    groups: usize,
) -> Result<Array<f64>> {
    let (images, channels, outputs) = (x.shape[0], x.shape[1], w.shape[0]);
    let (per_group, outputs_per_group) = (w.shape[1], outputs / groups);
    if channels != per_group * groups || outputs % groups != 0 || w.shape[2..] != window.kernel {
        return Err(misfit(x, w, groups));
    }
    check_bias(bias, outputs)?;
    let shape = [&[images, outputs], &window.output[..]].concat();
    let positions: usize = window.output.iter().product();
    let input_size: usize = x.shape[2..].iter().product();
    let kernel_size: usize = window.kernel.iter().product();
    let depth = per_group * kernel_size;
    let plane = |image: usize, group: usize, channel: usize| {
        (image * channels + group * per_group + channel) * input_size
    };
    let bias = |output: usize| bias.map_or(0.0, |bias| bias.data[output]);
    let mut y = vec![0.0; shape.iter().product()];
    let sliding = Sliding::new(window, &x.shape[2..]);
    // A product with padding is 0 where the weight is finite, and changes no sum by a bit.
    if outputs_per_group >= COLUMNS && w.data.iter().all(|w| w.is_finite()) {
        let weights: Vec<Columns> = (w.data.chunks(outputs_per_group * depth))
            .map(|rows| Columns::new(rows, depth))
            .collect();
        let mut taps_of: Vec<(usize, Vec<Tap>)> = Vec::new();
        let mut compute = |taps_of: &mut Vec<(usize, Vec<Tap>)>| {
            for image in 0..images {
                for (group, weights) in weights.iter().enumerate() {
                    let mut rows = vec![0.0; taps_of.len() * depth];
                    for ((_, taps), row) in taps_of.iter().zip(rows.chunks_exact_mut(depth)) {
                        for (channel, row) in row.chunks_exact_mut(kernel_size).enumerate() {
                            let plane = plane(image, group, channel);
                            for tap in taps {
                                row[tap.kernel] = x.data[plane + tap.input];
                            }
                        }
                    }
                    weights.products(&rows, |row, column, sum| {
                        let output = group * outputs_per_group + column;
                        let position = taps_of[row].0;
                        y[(image * outputs + output) * positions + position] = sum + bias(output);
                    });
                }
            }
            taps_of.clear();
        };
        sliding.for_each_position(|position, _, taps| {
            taps_of.push((position, taps.to_vec()));
            if taps_of.len() == ROWS_AT_ONCE {
                compute(&mut taps_of);
            }
        });
        compute(&mut taps_of);
        return Ok(Array::new(shape, y));
    }
    sliding.for_each_position(|position, _, taps| {
        for image in 0..images {
            for output in 0..outputs {
                let group = output / outputs_per_group;
                let mut sum = 0.0;
                for channel in 0..per_group {
                    let plane = plane(image, group, channel);
                    let filter = (output * per_group + channel) * kernel_size;
                    for tap in taps {
                        sum += x.data[plane + tap.input] * w.data[filter + tap.kernel];
                    }
                }
                y[(image * outputs + output) * positions + position] = sum + bias(output);
            }
        }
    });
    Ok(Array::new(shape, y))
}

/// `ConvTranspose`: the adjoint of a convolution from tensors like this
/// operator's output to tensors like its input. Weights
/// `[channels, outputs / groups, ..]`.
pub(super) fn conv_transpose(
    x: &Array<f64>,
    w: &Array<f64>,
    bias: Option<&Array<f64>>,
    window: &Window,
    groups: usize,
) -> Result<Array<f64>> {
    let (images, channels) = (x.shape[0], x.shape[1]);
    let (channels_per_group, per_group) = (channels / groups, w.shape[1]);
    if channels != w.shape[0] || channels % groups != 0 || w.shape[2..] != window.kernel {
        return Err(misfit(x, w, groups));
    }
    let outputs = per_group * groups;
    check_bias(bias, outputs)?;
    let shape = [&[images, outputs], &window.output[..]].concat();
    let output_size: usize = window.output.iter().product();
    let mut y: Vec<f64> = (0..images * outputs)
        .map(|plane| bias.map_or(0.0, |bias| bias.data[plane % outputs]))
        .flat_map(|bias| std::iter::repeat_n(bias, output_size))
        .collect();
    let adjoint = Sliding {
        window,
        input: &window.output,
        positions: &x.shape[2..],
    };
    let positions: usize = x.shape[2..].iter().product();
    let kernel_size: usize = window.kernel.iter().product();
    adjoint.for_each_position(|position, _, taps| {
        for image in 0..images {
            for channel in 0..channels {
                let value = x.data[(image * channels + channel) * positions + position];
                let first = channel / channels_per_group * per_group;
                for output in 0..per_group {
                    let plane = (image * outputs + first + output) * output_size;
                    let filter = (channel * per_group + output) * kernel_size;
                    for tap in taps {
                        y[plane + tap.input] += value * w.data[filter + tap.kernel];
                    }
                }
            }
        }
    });
    Ok(Array::new(shape, y))
}

fn check_bias(bias: Option<&Array<f64>>, outputs: usize) -> Result<()> {
    match bias {
        Some(bias) if bias.shape != [outputs] => Err(wrong(format!(
            "a bias of shape {:?} does not fit {outputs} output channels",
            bias.shape
        ))),
        _ => Ok(()),
    }
}

fn misfit(x: &Array<f64>, w: &Array<f64>, groups: usize) -> crate::Error {
    wrong(format!(
        "weights of shape {:?} do not fit an input of shape {:?} in {groups} groups",
        w.shape, x.shape
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::noise;

    fn array(shape: &[usize], seed: u32) -> Array<f64> {
        let values = noise(seed, shape.iter().product());
        Array::new(shape.to_vec(), values.into_iter().map(f64::from).collect())
    }

    /// Sums in registers are those that the definition's loop makes, to the last bit: a group
    /// of few filters is summed by that loop, a group of as many and more is not.
    #[test]
    fn sums_are_taken_in_the_order_of_the_definition() {
        let window = Window {
            kernel: vec![3, 2],
            strides: vec![2, 1],
            dilations: vec![1, 2],
            before: vec![1, 2],
            after: vec![1, 1],
            output: vec![4, 8],
        };
        let x = array(&[2, 6, 7, 7], 1);
        for (outputs, groups) in [(9, 1), (10, 2), (12, 3)] {
            let w = array(&[outputs, 6 / groups, 3, 2], 2);
            let bias = array(&[outputs], 3);
            let all = conv(&x, &w, Some(&bias), &window, groups).unwrap();
            // One filter of a group at a time.
            let per_group = outputs / groups;
            let filter = 6 / groups * 6;
            for output in 0..outputs {
                let group = output / per_group;
                let channels = 6 / groups;
                let taken = |image: usize| {
                    let first = (image * 6 + group * channels) * 49;
                    x.data[first..first + channels * 49].to_vec()
                };
                let part = [taken(0), taken(1)].concat();
                let part = Array::new(vec![2, channels, 7, 7], part);
                let one = w.data[output * filter..][..filter].to_vec();
                let one = Array::new(vec![1, channels, 3, 2], one);
                let bias = Array::new(vec![1], vec![bias.data[output]]);
                let single = conv(&part, &one, Some(&bias), &window, 1).unwrap();
                for image in 0..2 {
                    let bits = |y: &[f64]| y.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
                    let here = &all.data[(image * outputs + output) * 32..][..32];
                    assert_eq!(
                        bits(here),
                        bits(&single.data[image * 32..][..32]),
                        "{output}"
                    );
                }
            }
        }
    }
}
