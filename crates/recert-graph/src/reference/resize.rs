//! `Resize`: interpolation along one axis after the other.

use super::array::{Array, strides};
use crate::{Coordinates, Nearest, Resize, ResizeMode};

/// Resizes `x` to `shape`.
pub(super) fn resize(x: &Array<f64>, rule: &Resize, shape: &[usize]) -> Array<f64> {
    let mut result = x.clone();
    for (number, &output) in shape.iter().enumerate() {
        let axis = Axis {
            rule,
            number,
            input: x.shape[number],
            output,
            scale: rule.scales[number],
            region: rule.region.get(number).copied().unwrap_or([0.0, 1.0]),
        };
        if !axis.stays() {
            result = axis.resize(&result);
        }
    }
    result
}

/// One axis's part of a resize.
struct Axis<'a> {
    rule: &'a Resize,
    number: usize,
    input: usize,
    output: usize,
    scale: f64,
    region: [f64; 2],
}

impl Axis<'_> {
    fn stays(&self) -> bool {
        self.input == self.output && self.scale == 1.0 && self.region == [0.0, 1.0]
    }

    fn resize(&self, x: &Array<f64>) -> Array<f64> {
        let mut shape = x.shape.clone();
        shape[self.number] = self.output;
        let mut y = vec![0.0; shape.iter().product()];
        let inner = strides(&x.shape)[self.number];
        let outer: usize = x.shape[..self.number].iter().product();
        for position in 0..self.output {
            let weights = self.weights(position);
            for block in 0..outer {
                for i in 0..inner {
                    let element = |index: usize| x.data[(block * self.input + index) * inner + i];
                    let value = match &weights {
                        Some(weights) => weights.iter().map(|&(p, w)| w * element(p)).sum(),
                        None => f64::from(self.rule.extrapolation),
                    };
                    y[(block * self.output + position) * inner + i] = value;
                }
            }
        }
        Array::new(shape, y)
    }

    /// The input elements that make output element `position`, and their
    /// weights; `None` outside the region of interest.
    fn weights(&self, position: usize) -> Option<Vec<(usize, f64)>> {
        let coordinate = self.source(position);
        let last = self.input as i64 - 1;
        let crop = self.rule.coordinates == Coordinates::CropAndResize;
        if crop && !(0.0..=last as f64).contains(&coordinate) {
            return None;
        }
        // The fraction lies in (0, 1]: a whole number is its left neighbour's end.
        let base = coordinate.ceil() - 1.0;
        let fraction = coordinate - base;
        let mut taps = self.taps(fraction);
        if self.rule.exclude_outside {
            taps.retain(|(offset, _)| (0..=last).contains(&(base as i64 + offset)));
            let sum: f64 = taps.iter().map(|tap| tap.1).sum();
            for tap in &mut taps {
                tap.1 /= sum;
            }
        }
        let index = |offset: i64| (base as i64 + offset).clamp(0, last) as usize;
        Some(taps.into_iter().map(|(o, w)| (index(o), w)).collect())
    }

    /// Neighbours, counted from the one on the left, and their weights.
    fn taps(&self, fraction: f64) -> Vec<(i64, f64)> {
        let right = match self.rule.mode {
            ResizeMode::Linear => return self.filter(1.0, fraction, |d| (1.0 - d).max(0.0)),
            ResizeMode::Cubic { a } => return self.filter(2.0, fraction, |d| cubic(d, a.into())),
            ResizeMode::Nearest(_) if fraction == 1.0 => true,
            ResizeMode::Nearest(Nearest::RoundPreferFloor) => fraction > 0.5,
            ResizeMode::Nearest(Nearest::RoundPreferCeil) => fraction >= 0.5,
            ResizeMode::Nearest(Nearest::Floor) => false,
            ResizeMode::Nearest(Nearest::Ceil) => true,
        };
        vec![(i64::from(right), 1.0)]
    }

    /// Weights by distance, of sum 1. Against aliasing, the filter is as much
    /// wider as the output is smaller.
    fn filter(&self, reach: f64, fraction: f64, weight: impl Fn(f64) -> f64) -> Vec<(i64, f64)> {
        let narrow = if self.rule.antialias {
            self.scale.min(1.0)
        } else {
            1.0
        };
        let first = (-reach / narrow).floor() as i64 + 1;
        let taps: Vec<(i64, f64)> = (first..2 - first)
            .map(|offset| (offset, weight((offset as f64 - fraction).abs() * narrow)))
            .collect();
        let sum: f64 = taps.iter().map(|tap| tap.1).sum();
        taps.into_iter().map(|(o, w)| (o, w / sum)).collect()
    }

    /// The place in the input that output element `position` shows.
    fn source(&self, position: usize) -> f64 {
        let (x, input, scale) = (position as f64, self.input as f64, self.scale);
        let output = scale * input;
        let half_pixel = (x + 0.5) / scale - 0.5;
        match self.rule.coordinates {
            Coordinates::PytorchHalfPixel if output == 1.0 => -0.5,
            Coordinates::HalfPixel | Coordinates::PytorchHalfPixel => half_pixel,
            Coordinates::HalfPixelSymmetric => {
                input / 2.0 * (1.0 - self.output as f64 / output) + half_pixel
            }
            Coordinates::AlignCorners if output == 1.0 => 0.0,
            Coordinates::AlignCorners => x * (input - 1.0) / (output - 1.0),
            Coordinates::Asymmetric => x / scale,
            Coordinates::CropAndResize => {
                let [start, end] = self.region;
                let along = if output == 1.0 {
                    (end - start) * (input - 1.0) / 2.0
                } else {
                    x * (end - start) * (input - 1.0) / (output - 1.0)
                };
                along + start * (input - 1.0)
            }
        }
    }
}

/// Keys's cubic convolution kernel.
fn cubic(distance: f64, a: f64) -> f64 {
    let d = distance;
    if d <= 1.0 {
        ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0
    } else if d < 2.0 {
        ((d - 5.0) * d + 8.0) * d * a - 4.0 * a
    } else {
        0.0
    }
}
