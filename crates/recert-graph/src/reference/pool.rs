//! Pooling: the greatest, the mean or the norm of what a window sees.

use super::array::{Array, strides};
use super::window::{Sliding, Tap};
use crate::Window;

/// `MaxPool`, and for every output which input element it is, counted through
/// the whole tensor (`column_major`: through each plane's transpose).
pub(super) fn max_pool(
    x: &Array<f64>,
    window: &Window,
    column_major: bool,
) -> (Array<f64>, Array<i128>) {
    let extents = &x.shape[2..];
    let size: usize = extents.iter().product();
    let found = pool(x, window, (0.0, 0), |plane, _, taps| {
        let first = taps.first().map_or(0, |tap| tap.input);
        let mut best = (f64::NEG_INFINITY, first);
        for tap in taps {
            let value = x.data[plane * size + tap.input];
            if value > best.0 || (value.is_nan() && !best.0.is_nan()) {
                best = (value, tap.input);
            }
        }
        let within = if column_major {
            transposed_offset(extents, best.1)
        } else {
            best.1
        };
        (best.0, (plane * size + within) as i128)
    });
    (found.map(|(value, _)| value), found.map(|(_, index)| index))
}

/// `AveragePool`; with `count_padding`, padding counts as zeros.
pub(super) fn average_pool(x: &Array<f64>, window: &Window, count_padding: bool) -> Array<f64> {
    let extents = &x.shape[2..];
    let size: usize = extents.iter().product();
    pool(x, window, 0.0, |plane, position, taps| {
        let values = taps.iter().map(|tap| x.data[plane * size + tap.input]);
        let sum: f64 = values.sum();
        let count = if count_padding {
            Sliding::new(window, extents).padded_elements(position)
        } else {
            taps.len()
        };
        sum / count as f64
    })
}

/// `LpPool`: the p-norm of what the window sees.
pub(super) fn lp_pool(x: &Array<f64>, window: &Window, p: usize) -> Array<f64> {
    let size: usize = x.shape[2..].iter().product();
    let p = p as f64;
    pool(x, window, 0.0, |plane, _, taps| {
        let values = taps.iter().map(|tap| x.data[plane * size + tap.input]);
        let powers: f64 = values.map(|value| libm::pow(value.abs(), p)).sum();
        libm::pow(powers, p.recip())
    })
}

/// What `value` makes of every plane's number, position of the window and
/// elements under it.
fn pool<T: Copy>(
    x: &Array<f64>,
    window: &Window,
    empty: T,
    value: impl Fn(usize, &[usize], &[Tap]) -> T,
) -> Array<T> {
    let shape = [&x.shape[..2], &window.output[..]].concat();
    let mut y = vec![empty; shape.iter().product()];
    let planes = x.shape[0] * x.shape[1];
    let positions: usize = window.output.iter().product();
    Sliding::new(window, &x.shape[2..]).for_each_position(|number, position, taps| {
        for plane in 0..planes {
            y[plane * positions + number] = value(plane, position, taps);
        }
    });
    Array::new(shape, y)
}

/// Where the element at `offset` lies if the first axis runs fastest.
fn transposed_offset(shape: &[usize], offset: usize) -> usize {
    let mut along = 1;
    let mut transposed = 0;
    for (extent, stride) in shape.iter().zip(strides(shape)) {
        transposed += offset / stride % extent * along;
        along *= extent;
    }
    transposed
}
