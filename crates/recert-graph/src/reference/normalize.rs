//! Normalizations, and the softmax family: each line by its own statistics.

use super::array::{Array, broadcast};
use super::reduce::{greatest, log_sum_exp, mean, sum_square};
use super::{Result, wrong};

/// Numbers of which there is one a channel, shaped so that they broadcast to a
/// tensor of this rank.
fn per_channel(values: &Array<f64>, channels: usize, rank: usize) -> Result<Array<f64>> {
    if values.shape != [channels] {
        return Err(wrong(format!(
            "a parameter of shape {:?} does not fit {channels} channels",
            values.shape
        )));
    }
    let mut shape = vec![1; rank.saturating_sub(1).max(1)];
    shape[0] = channels;
    Ok(Array::new(shape, values.data.clone()))
}

/// `scale (x - mean) / sqrt(variance + epsilon) + shift`, each number per channel.
pub(super) fn batch_norm(
    x: &Array<f64>,
    [scale, shift, mean, variance]: [&Array<f64>; 4],
    epsilon: f64,
) -> Result<Array<f64>> {
    let deviation = variance.map(|v| (v + epsilon).sqrt());
    let channels = x.shape.get(1).copied().unwrap_or(1);
    let along = |values: &Array<f64>| per_channel(values, channels, x.shape.len());
    let y = x.zip(&along(mean)?, |x, mean| x - mean)?;
    let y = y.zip(&along(scale)?, |x, scale| x * scale)?;
    let y = y.zip(&along(&deviation)?, |x, deviation| x / deviation)?;
    y.zip(&along(shift)?, |x, shift| x + shift)
}

/// Every plane of a channel normalized by its own mean and variance.
pub(super) fn instance_norm(
    x: &Array<f64>,
    [scale, shift]: [&Array<f64>; 2],
    epsilon: f64,
) -> Result<Array<f64>> {
    let axes: Vec<usize> = (2..x.shape.len()).collect();
    let along = |values: &Array<f64>| per_channel(values, x.shape[1], x.shape.len());
    let y = standardized(x, &axes, epsilon).zip(&along(scale)?, |x, scale| x * scale)?;
    y.zip(&along(shift)?, |x, shift| x + shift)
}

/// Every group of channels normalized by its own mean and variance; scale and
/// shift are one a channel, or one a group.
pub(super) fn group_norm(
    x: &Array<f64>,
    [scale, shift]: [&Array<f64>; 2],
    groups: usize,
    epsilon: f64,
) -> Result<Array<f64>> {
    let channels = x.shape[1];
    let rest: usize = x.shape[1..].iter().product();
    let grouped = Array::new(vec![x.shape[0], groups, rest / groups], x.data.clone());
    let y = standardized(&grouped, &[2], epsilon);
    let y = Array::new(x.shape.clone(), y.data);
    let along = |values: &Array<f64>| {
        let each = if values.data.len() == groups {
            channels / groups
        } else {
            1
        };
        let values = values.data.iter();
        let data: Vec<f64> = values.flat_map(|&v| std::iter::repeat_n(v, each)).collect();
        per_channel(&Array::new(vec![data.len()], data), channels, x.shape.len())
    };
    let y = y.zip(&along(scale)?, |x, scale| x * scale)?;
    y.zip(&along(shift)?, |x, shift| x + shift)
}

/// `LayerNormalization` over the axes from `axis` on: the result, and the mean
/// and the inverse standard deviation of every line.
pub(super) fn layer_norm(
    x: &Array<f64>,
    scale: &Array<f64>,
    shift: Option<&Array<f64>>,
    axis: usize,
    epsilon: f64,
) -> Result<[Array<f64>; 3]> {
    let axes: Vec<usize> = (axis..x.shape.len()).collect();
    let mut y = standardized(x, &axes, epsilon).zip(scale, |x, scale| x * scale)?;
    if let Some(shift) = shift {
        y = y.zip(shift, |x, shift| x + shift)?;
    }
    if broadcast(&x.shape, &scale.shape)? != x.shape {
        return Err(wrong("its scale has more axes than its input"));
    }
    let moments = x.fold_lanes(&axes, |line| moments(line, epsilon));
    let mut shape = x.shape.clone();
    shape[axis..].fill(1);
    let moments = Array::new(shape, moments);
    let means = moments.map(|(mean, _)| mean);
    Ok([y, means, moments.map(|(_, deviation)| deviation.recip())])
}

fn each(line: &mut [f64], function: impl Fn(f64) -> f64) {
    for value in line {
        *value = function(*value);
    }
}

/// Every line along `axes` less its mean, over its standard deviation.
fn standardized(x: &Array<f64>, axes: &[usize], epsilon: f64) -> Array<f64> {
    x.map_lanes(axes, |line| {
        let (mean, deviation) = moments(line, epsilon);
        each(line, |v| (v - mean) / deviation);
    })
}

/// The mean of a line, and its standard deviation with `epsilon` under the root.
fn moments(line: &[f64], epsilon: f64) -> (f64, f64) {
    let centre = mean(line);
    let squares: f64 = line.iter().map(|v| (v - centre) * (v - centre)).sum();
    (centre, (squares / line.len() as f64 + epsilon).sqrt())
}

/// `LpNormalization`; a line of zeros stays.
pub(super) fn lp_normalized(x: &Array<f64>, axis: usize, p: usize) -> Array<f64> {
    x.map_lanes(&[axis], |line| {
        let norm = match p {
            1 => line.iter().map(|v| v.abs()).sum(),
            _ => sum_square(line).sqrt(),
        };
        if norm != 0.0 {
            each(line, |v| v / norm);
        }
    })
}

pub(super) fn softmax(x: &Array<f64>, axes: &[usize]) -> Array<f64> {
    x.map_lanes(axes, |line| {
        let top = greatest(line);
        each(line, |v| libm::exp(v - top));
        let sum: f64 = line.iter().sum();
        each(line, |v| v / sum);
    })
}

pub(super) fn log_softmax(x: &Array<f64>, axes: &[usize]) -> Array<f64> {
    x.map_lanes(axes, |line| {
        let total = log_sum_exp(line);
        each(line, |v| v - total);
    })
}

/// 1 for the first greatest element of every line, else 0.
pub(super) fn hardmax(x: &Array<f64>, axes: &[usize]) -> Array<f64> {
    x.map_lanes(axes, |line| {
        let top = greatest(line);
        let first = line.iter().position(|v| *v == top || v.is_nan());
        for (i, value) in line.iter_mut().enumerate() {
            *value = f64::from(u8::from(Some(i) == first));
        }
    })
}

/// `LRN`: every element over a power of the sum of squares of the `size`
/// channels around its own.
pub(super) fn lrn(x: &Array<f64>, size: usize, [alpha, beta, bias]: [f64; 3]) -> Array<f64> {
    let (before, after) = (size.saturating_sub(1) / 2, size / 2);
    x.map_lanes(&[1], |line| {
        let channels = line.to_vec();
        for (channel, value) in line.iter_mut().enumerate() {
            let end = (channel + after + 1).min(channels.len());
            let squares = sum_square(&channels[channel.saturating_sub(before)..end]);
            *value /= libm::pow(bias + alpha / size as f64 * squares, beta);
        }
    })
}
