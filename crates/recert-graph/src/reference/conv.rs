//! Convolution and its transpose, over any number of spatial axes.
//!
//! Elements of the window that lie on padding are left out of the sum, so that
//! an infinite weight there makes no NaN.

use super::array::Array;
use super::window::Sliding;
use super::{Result, wrong};
use crate::Window;

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
    let mut y = vec![0.0; shape.iter().product()];
    let positions: usize = window.output.iter().product();
    let input_size: usize = x.shape[2..].iter().product();
    let kernel_size: usize = window.kernel.iter().product();
    Sliding::new(window, &x.shape[2..]).for_each_position(|position, _, taps| {
        for image in 0..images {
            for output in 0..outputs {
                let first = output / outputs_per_group * per_group;
                let mut sum = 0.0;
                for channel in 0..per_group {
                    let plane = (image * channels + first + channel) * input_size;
                    let filter = (output * per_group + channel) * kernel_size;
                    for tap in taps {
                        sum += x.data[plane + tap.input] * w.data[filter + tap.kernel];
                    }
                }
                sum += bias.map_or(0.0, |bias| bias.data[output]);
                y[(image * outputs + output) * positions + position] = sum;
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
