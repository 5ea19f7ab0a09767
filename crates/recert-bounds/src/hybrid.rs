//! Forward linear bounds: every value as a function that is linear in a few parameters shared by
//! all, plus an interval of its own.
//!
//! Element `y` of a value is `c + sum g_i t_i + e` with `t_i` in `[-1, 1]` and `|e| <= r`. These
//! are the hybrid zonotopes of DiffAI (Mirman, Gehr, Vechev, ICML 2018) with a fixed number of
//! generators: a pass costs `k + 2` products with the weights for `k` parameters, where interval
//! bound propagation costs 2, whatever the width of the network. Without parameters it is interval
//! bound propagation. What it gains over that is that all pixels of a transformed image move with
//! the same few parameters.
//!
//! **Rounding.** A linear step computes `c' = W c + b` and `g' = W g` with errors of at most
//! `gamma(n) (|W| |c| + |b|)` and `gamma(n) |W| |g|` for `n` terms, which enter the new radius: `r' =
//! |W| (r + gamma (|c| + sum |g_i|)) + gamma |b|`, computed and then inflated by the error of
//! that computation. A number that is not finite makes the element's radius NaN, and no margin
//! that depends on it is proved.
//!
//! **ReLU.** On `[l, u]` with `l < 0 < u`, for any slope `s` in `[0, 1]`: `s x <= relu(x) <= s x +
//! max(-s l, (1 - s) u)`, so the result is `s` times the form plus an interval. Its radius is `s r +
//! max(-s l, (1 - s) u)/2`, piecewise linear in `s` and so least at `s = 0` (which is the interval
//! `[0, u]`) or at `s = u/(u - l)`.

use recert_num::directed::{add_down, add_up, mul_up, sub_down, sub_up};

use crate::block::Block;
use crate::bounds::Bounds;
use crate::buffers::Buffers;
use crate::error::Result;
use crate::interval::Interval;
use crate::network::Network;
use crate::property::Rows;
use crate::region::Region;
use crate::relax::Nonlinearity;
use crate::rounding::{INFLATE, TINY, U, abs_dot, dot, gamma};
use crate::step::{Dense, Kind, Linear, Part};

/// The elements of a value, in memory order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Form {
    pub(crate) centre: Vec<f64>,
    /// A row of one number an element for each parameter.
    pub(crate) slopes: Vec<f64>,
    pub(crate) radius: Vec<f64>,
}

/// Forms of what the margins are computed from.
pub(crate) struct Forms {
    parameters: usize,
    /// By the number of the value; empty where it is no longer needed.
    values: Vec<Form>,
}

/// Propagates a region through all steps of a network but a last fully connected layer, which
/// [`Forms::margins`] merges with the rows. A region that is not parametric has no parameters.
pub(crate) fn propagate(network: &Network, region: &Region) -> Result<Forms> {
    region.check(network.inputs())?;
    let parameters = match region {
        Region::Parametric { parameters, .. } => parameters[0].len(),
        _ => 0,
    };
    let mut forms = Forms {
        parameters,
        values: vec![Form::default(); network.values()],
    };
    forms.values[0] = input(region, parameters);
    let last = last_dense(network).map(|(position, _)| position);
    for (position, step) in network.steps.iter().enumerate() {
        if Some(position) == last {
            continue;
        }
        let inputs: Vec<&Form> = step.inputs.iter().map(|&id| &forms.values[id]).collect();
        let mut made = match &step.kind {
            Kind::Linear(linear) => inputs[0].linear(linear, parameters),
            Kind::Sum(factors) => sum(&inputs, factors, parameters),
            Kind::Rearrange(rearrange) => {
                let part = |select: &dyn Fn(&Form) -> &[f64], constants| {
                    let parts: Vec<&[f64]> = inputs.iter().map(|form| select(form)).collect();
                    rearrange.forward(&parts, constants)
                };
                Form {
                    centre: part(&|form| &form.centre, true),
                    slopes: match parameters {
                        0 => Vec::new(),
                        _ => part(&|form| &form.slopes, false),
                    },
                    radius: part(&|form| &form.radius, false),
                }
            }
            Kind::Elementwise(function) => inputs[0].elementwise(function, parameters),
            Kind::MaxPool(pool) => {
                let (lower, upper) = inputs[0].bounds(parameters);
                Form::between(&pool.forward(&lower), &pool.forward(&upper), parameters)
            }
        };
        made.mark_overflow(parameters);
        forms.values[step.output] = made;
    }
    Ok(forms)
}

/// The fully connected layer that makes the outputs, where one does, and its step.
fn last_dense(network: &Network) -> Option<(usize, &Dense)> {
    let position = network.producers[network.output]?;
    match &network.steps[position].kind {
        Kind::Linear(Linear::Dense(dense)) => Some((position, dense)),
        _ => None,
    }
}

/// The form of a region's inputs. A general box of parameters is shifted and scaled to
/// `[-1, 1]`.
fn input(region: &Region, parameters: usize) -> Form {
    let (low, high) = region.bounding_box();
    let Region::Parametric {
        parameters: [least, largest],
        lower,
        upper,
        ..
    } = region
    else {
        return Form::between(low, high, 0);
    };
    let middle: Vec<f64> = least
        .iter()
        .zip(largest)
        .map(|(l, u)| l + 0.5 * (u - l))
        .collect();
    let half: Vec<f64> = (middle.iter().zip(least.iter().zip(largest)))
        .map(|(&m, (&l, &u))| sub_up(m, l).max(sub_up(u, m)))
        .collect();
    let count = low.len();
    let mut form = Form::between(low, high, parameters);
    for pixel in 0..count {
        let range = pixel * parameters..(pixel + 1) * parameters;
        let (below, above) = (&lower.slope[range.clone()], &upper.slope[range]);
        let mut least = Interval::point(lower.offset[pixel]);
        let mut largest = Interval::point(upper.offset[pixel]);
        let mut rounded = 0.0;
        for (index, (&below, &above)) in below.iter().zip(above).enumerate() {
            // Both lines less one with their mean slope: s p - g (p - m) = s m + (s - g)(p - m).
            let (m, h) = (Interval::point(middle[index]), half[index]);
            let slope = 0.5 * (below + above);
            let around = Interval::new(-h, h);
            let rest = |s: f64| {
                let s = Interval::point(s);
                s * m + (s - Interval::point(slope)) * around
            };
            least = least + rest(below);
            largest = largest + rest(above);
            let scaled = slope * h;
            form.slopes[index * count + pixel] = scaled;
            rounded = add_up(rounded, add_up(mul_up(scaled.abs(), 2.0 * U), TINY));
        }
        let (centre, radius) = centred(least.low, largest.high);
        let radius = add_up(radius, rounded);
        if radius < form.radius[pixel] {
            (form.centre[pixel], form.radius[pixel]) = (centre, radius);
        } else {
            for row in 0..parameters {
                form.slopes[row * count + pixel] = 0.0;
            }
        }
    }
    form
}

/// The middle of an interval, and a radius with which it is covered.
fn centred(low: f64, high: f64) -> (f64, f64) {
    let centre = 0.5 * low + 0.5 * high;
    let radius = sub_up(high, centre).max(sub_up(centre, low));
    // `max` forgets a NaN; the sum does not.
    if (low + high).is_nan() {
        (f64::NAN, f64::NAN)
    } else {
        (centre, radius)
    }
}

impl Form {
    /// Intervals without slopes.
    fn between(lower: &[f64], upper: &[f64], parameters: usize) -> Self {
        let (centre, radius) = lower
            .iter()
            .zip(upper)
            .map(|(&l, &u)| centred(l, u))
            .unzip();
        Self {
            centre,
            slopes: vec![0.0; parameters * lower.len()],
            radius,
        }
    }

    fn len(&self) -> usize {
        self.centre.len()
    }

    /// An element's slopes.
    fn slopes_of(&self, index: usize, parameters: usize) -> impl Iterator<Item = f64> + '_ {
        (0..parameters).map(move |row| self.slopes[row * self.centre.len() + index])
    }

    /// How far an element is from its centre at most.
    fn reach(&self, index: usize, parameters: usize) -> f64 {
        self.slopes_of(index, parameters)
            .fold(self.radius[index], |reach, slope| {
                add_up(reach, slope.abs())
            })
    }

    /// The least and the largest value of every element.
    pub(crate) fn bounds(&self, parameters: usize) -> (Vec<f64>, Vec<f64>) {
        (0..self.len())
            .map(|index| {
                let reach = self.reach(index, parameters);
                (
                    sub_down(self.centre[index], reach),
                    add_up(self.centre[index], reach),
                )
            })
            .unzip()
    }

    /// `|c| + sum |g_i|`, to within a few roundings that the callers' inflation covers.
    fn size(&self, parameters: usize) -> Vec<f64> {
        let mut size: Vec<f64> = self.centre.iter().map(|c| c.abs()).collect();
        for row in self.slopes.chunks_exact(self.len().max(1)).take(parameters) {
            for (size, slope) in size.iter_mut().zip(row) {
                *size += slope.abs();
            }
        }
        size
    }

    fn linear(&self, linear: &Linear, parameters: usize) -> Self {
        let error = gamma(linear.terms() + 2);
        let size = self.size(parameters);
        let reach: Vec<f64> = (self.radius.iter().zip(&size))
            .map(|(radius, size)| (radius + error * size) * INFLATE + TINY)
            .collect();
        let mut radius = linear.forward(&reach, Part::Magnitudes);
        for (radius, b) in radius.iter_mut().zip(linear.bias()) {
            *radius = (*radius + error * b.abs()) * INFLATE + linear.terms() as f64 * TINY;
        }
        let whole: Vec<f64> = (self.radius.iter().zip(&size))
            .map(|(radius, size)| (radius + size) * INFLATE)
            .collect();
        if let Some(deviation) = linear.deviation(&whole) {
            for (radius, deviation) in radius.iter_mut().zip(deviation) {
                *radius = add_up(*radius, deviation);
            }
        }
        Self {
            centre: linear.forward(&self.centre, Part::Whole),
            slopes: match parameters {
                0 => Vec::new(),
                _ => linear.forward(&self.slopes, Part::Weights),
            },
            radius,
        }
    }

    fn elementwise(&self, function: &Nonlinearity, parameters: usize) -> Self {
        let count = self.len();
        let mut made = self.clone();
        for index in 0..count {
            let reach = self.reach(index, parameters);
            let (l, u) = (
                sub_down(self.centre[index], reach),
                add_up(self.centre[index], reach),
            );
            let (least, largest) = function.range(l, u);
            let flat = centred(least, largest);
            let sloped = (parameters > 0)
                .then(|| tilted(function, [l, u]))
                .flatten()
                .map(|(slope, low, high)| {
                    if slope == 1.0 && low == 0.0 && high == 0.0 {
                        return (slope, self.centre[index], self.radius[index]);
                    }
                    let (shift, around) = centred(low, high);
                    let size = self.centre[index].abs() + self.reach(index, parameters);
                    let rounded = gamma(4) * (slope.abs() * size + shift.abs()) * INFLATE + TINY;
                    let radius = mul_up(slope.abs(), self.radius[index]);
                    (
                        slope,
                        slope * self.centre[index] + shift,
                        add_up(radius, add_up(around, rounded)),
                    )
                });
            let slope = match sloped {
                Some((slope, centre, radius)) if radius < flat.1 => {
                    (made.centre[index], made.radius[index]) = (centre, radius);
                    slope
                }
                _ => {
                    (made.centre[index], made.radius[index]) = flat;
                    0.0
                }
            };
            for row in 0..parameters {
                made.slopes[row * count + index] *= slope;
            }
        }
        made
    }

    /// An overflow anywhere in an element becomes a NaN that nothing forgets.
    fn mark_overflow(&mut self, parameters: usize) {
        for index in 0..self.len() {
            let sum = self
                .slopes_of(index, parameters)
                .fold(self.centre[index], |a, b| a + b);
            if !(sum + self.radius[index]).is_finite() {
                self.centre[index] = f64::NAN;
                self.radius[index] = f64::NAN;
            }
        }
    }
}

/// A slope and the range of the function less slope times its argument, on `[l, u]`; `None` where
/// only the function's range is known.
fn tilted(function: &Nonlinearity, [l, u]: [f64; 2]) -> Option<(f64, f64, f64)> {
    let pair = function.pair(l, u);
    if *function == Nonlinearity::Relu {
        let slope = pair.upper.slope;
        // For a slope in [0, 1] a line through the origin lies below.
        return (0.0..=1.0)
            .contains(&slope)
            .then_some((slope, 0.0, pair.upper.offset));
    }
    let slope = 0.5 * (pair.lower.slope + pair.upper.slope);
    let argument = Interval::new(l, u);
    let rest = |line: crate::relax::Line| {
        (Interval::point(line.slope) - Interval::point(slope)) * argument
            + Interval::point(line.offset)
    };
    let (low, high) = (rest(pair.lower).low, rest(pair.upper).high);
    (low <= high).then_some((slope, low, high))
}

fn sum(inputs: &[&Form], factors: &[f64], parameters: usize) -> Form {
    let count = inputs[0].len();
    let mut made = Form::between(&vec![0.0; count], &vec![0.0; count], parameters);
    let error = gamma(inputs.len() + 1);
    for (form, factor) in inputs.iter().zip(factors) {
        let size = form.size(parameters);
        for (index, size) in size.into_iter().enumerate() {
            made.centre[index] += factor * form.centre[index];
            let charged = form.radius[index] + error * size;
            made.radius[index] = add_up(made.radius[index], charged * INFLATE + TINY);
        }
        for (made, slope) in made.slopes.iter_mut().zip(&form.slopes) {
            *made += factor * slope;
        }
    }
    made
}

impl Forms {
    /// Bounds of every value, for a pass of CROWN to start from.
    pub(crate) fn bounds(&self, network: &Network) -> Bounds {
        let (lower, upper) = (0..network.values())
            .map(|value| {
                if value == network.output {
                    self.outputs(network)
                } else {
                    self.values[value].bounds(self.parameters)
                }
            })
            .unzip();
        Bounds { lower, upper }
    }

    /// The least and the largest value of every output.
    pub(crate) fn outputs(&self, network: &Network) -> (Vec<f64>, Vec<f64>) {
        let form = match last_dense(network) {
            Some((position, _)) => {
                let step = &network.steps[position];
                let Kind::Linear(linear) = &step.kind else {
                    unreachable!("a fully connected layer is a linear step");
                };
                let mut form = self.values[step.inputs[0]].linear(linear, self.parameters);
                form.mark_overflow(self.parameters);
                form
            }
            None => self.values[network.output].clone(),
        };
        form.bounds(self.parameters)
    }

    /// Lower bounds of linear functions of the outputs; minus infinity where nothing is proved.
    ///
    /// Where the network ends in a fully connected layer `W z + b`, the rows `A` are merged with
    /// it first: whatever `B` was computed for `A W`, `A (W z + b)` differs from `B z + A b` by at
    /// most `gamma |A| (|W| |z| + |b|)`.
    pub(crate) fn margins(&self, network: &Network, rows: &Rows) -> Vec<f64> {
        let (form, merged, terms) = match last_dense(network) {
            Some((position, dense)) => {
                let step = &network.steps[position];
                let form = &self.values[step.inputs[0]];
                let layout = network.layouts[step.output];
                let block = Block::dense(layout, rows.coefficients.clone());
                let terms = dense.inputs() + dense.outputs();
                let made = dense.backward(block, &mut Buffers::default());
                (form, Some((dense, made.data)), terms)
            }
            None => (&self.values[network.output], None, rows.outputs),
        };
        let whole: Vec<f64> = (0..form.len())
            .map(|index| add_up(form.centre[index].abs(), form.reach(index, self.parameters)))
            .collect();
        let error = gamma(terms + 2 * self.parameters + 8);
        let coefficients = merged.as_ref().map_or(&rows.coefficients, |(_, data)| data);
        // What one unit of each output is charged for merging.
        let charge: Vec<f64> = match &merged {
            Some((dense, _)) => (dense.forward(&whole, Part::Magnitudes).iter())
                .zip(&dense.bias)
                .map(|(size, b)| (size * INFLATE + b.abs()) * INFLATE + terms as f64 * TINY)
                .collect(),
            None => vec![0.0; rows.outputs],
        };
        let of_rows = rows.coefficients.chunks_exact(rows.outputs.max(1));
        let merged_rows = coefficients.chunks_exact(form.len().max(1));
        (of_rows.zip(merged_rows).zip(&rows.constants))
            .map(|((row, a), &constant)| {
                let bias = merged
                    .as_ref()
                    .map_or(0.0, |(dense, _)| dot(row, &dense.bias));
                let centre = dot(a, &form.centre);
                let slopes = form
                    .slopes
                    .chunks_exact(form.len().max(1))
                    .take(self.parameters);
                let along: f64 = slopes.map(|slopes| dot(a, slopes).abs()).sum();
                let around = abs_dot(a, &form.radius);
                let size = abs_dot(a, &whole) + constant.abs() + abs_dot(row, &charge);
                let charged = (along + around + error * size) * INFLATE + terms as f64 * TINY;
                let lower = sub_down(add_down(add_down(centre, bias), constant), charged);
                if lower.is_finite() {
                    lower
                } else {
                    f64::NEG_INFINITY
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
