//! Bounds of the difference of two networks on a region, from bounds of one of them.
//!
//! For networks f and h of the same layers, with values `x` of f and `x + e` of h before a layer,
//! the difference after it is
//!
//! - `W_h e + (W_h - W_f) x + (b_h - b_f)` for a linear layer, by interval arithmetic from bounds
//!   of `e` and of `x`;
//! - `s e` for a function of each element, with a slope `s` between its least and its largest; for
//!   a `Relu` 0 where both are inactive, `e` where both are active, and no more than either can be;
//! - between the least and the largest `e` of a window for a maximum.
//!
//! That takes one forward pass, where bounds of h from scratch take a backward pass for every
//! layer. Source: Paulsen, Wang and Wang, "`ReluDiff`: differential verification of deep neural
//! networks", ICSE 2020, with the linear layers of two different weights taken as one.

use recert_num::directed::{add_down, add_up, mul_down, mul_up};

use crate::bounds::Bounds;
use crate::error::{Error, Result};
use crate::network::Network;
use crate::property::Rows;
use crate::relax::{MaxPool, Nonlinearity};
use crate::rounding::{INFLATE, TINY, gamma};
use crate::step::{Affine, Conv, Dense, Depthwise, Kind, Linear, Part, Step};

/// Least and largest `h - f` of each element of each value.
#[derive(Debug, Clone)]
pub(super) struct Difference {
    pub(super) lower: Vec<Vec<f64>>,
    pub(super) upper: Vec<Vec<f64>>,
}

/// An interval as centre and radius, element by element.
struct Around {
    centre: Vec<f64>,
    radius: Vec<f64>,
}

impl Around {
    fn new(lower: &[f64], upper: &[f64]) -> Self {
        let ends = lower.iter().zip(upper);
        let centre: Vec<f64> = ends.map(|(&l, &u)| f64::midpoint(l, u)).collect();
        let ends = lower.iter().zip(upper).zip(&centre);
        let radius = ends.map(|((l, u), c)| add_up(*u, -c).max(add_up(*c, -l)));
        Self {
            radius: radius.collect(),
            centre,
        }
    }

    fn magnitudes(&self) -> Vec<f64> {
        let parts = self.centre.iter().zip(&self.radius);
        parts.map(|(c, r)| add_up(c.abs(), *r)).collect()
    }
}

/// Bounds of `h - f` for every value, given bounds of f's values on the region. `None` where
/// something is not finite: then nothing is known.
///
/// # Errors
///
/// [`crate::ErrorKind::Argument`] where the networks do not have the same layers, with the first
/// node that differs.
pub(super) fn difference(f: &Network, h: &Network, bounds: &Bounds) -> Result<Option<Difference>> {
    comparable(f, h)?;
    // A bound that is NaN would be lost below.
    let known = bounds.lower.iter().chain(&bounds.upper).flatten();
    if known.into_iter().any(|bound| !bound.is_finite()) {
        return Ok(None);
    }
    let mut found = Difference {
        lower: vec![Vec::new(); f.values()],
        upper: vec![Vec::new(); f.values()],
    };
    found.lower[0] = vec![0.0; f.inputs()];
    found.upper[0] = vec![0.0; f.inputs()];
    for (of_f, of_h) in f.steps.iter().zip(&h.steps) {
        let [lower, upper] = through(of_f, of_h, bounds, &found)?;
        let finite = |values: &[f64]| values.iter().all(|value| value.is_finite());
        if !(finite(&lower) && finite(&upper)) {
            return Ok(None);
        }
        found.lower[of_f.output] = lower;
        found.upper[of_f.output] = upper;
    }
    Ok(Some(found))
}

/// Refuses networks whose layers are not the same but for their numbers.
pub(super) fn comparable(f: &Network, h: &Network) -> Result<()> {
    if f.layouts != h.layouts || f.steps.len() != h.steps.len() || f.output != h.output {
        return Err(Error::argument(format!(
            "the networks do not have the same layers: {} and {} steps; verify the second from \
             scratch",
            f.steps.len(),
            h.steps.len()
        )));
    }
    let pairs = f.steps.iter().zip(&h.steps);
    for (of_f, of_h) in pairs {
        let same = of_f.inputs == of_h.inputs
            && of_f.output == of_h.output
            && match (&of_f.kind, &of_h.kind) {
                (Kind::Linear(a), Kind::Linear(b)) => minus(b, a).is_some(),
                (Kind::Sum(a), Kind::Sum(b)) => a == b,
                (Kind::Rearrange(a), Kind::Rearrange(b)) => {
                    a.sources == b.sources && a.constants == b.constants && a.inputs == b.inputs
                }
                (Kind::Elementwise(a), Kind::Elementwise(b)) => a == b,
                (Kind::MaxPool(a), Kind::MaxPool(b)) => {
                    a.starts == b.starts && a.elements == b.elements
                }
                _ => false,
            };
        if !same {
            return Err(Error::argument(format!(
                "node `{}` of the first network and `{}` of the second are not the same layer; \
                 verify the second from scratch",
                of_f.name, of_h.name
            )));
        }
    }
    Ok(())
}

/// The difference of what a step makes.
fn through(of_f: &Step, of_h: &Step, bounds: &Bounds, found: &Difference) -> Result<[Vec<f64>; 2]> {
    let input = of_f.inputs[0];
    let [lower, upper] = [&found.lower[input], &found.upper[input]];
    let [f_lower, f_upper] = [&bounds.lower[input], &bounds.upper[input]];
    Ok(match (&of_f.kind, &of_h.kind) {
        (Kind::Linear(of_f), Kind::Linear(of_h)) => {
            let e = Around::new(lower, upper);
            let x = Around::new(f_lower, f_upper);
            linear(of_f, of_h, &e, &x)?
        }
        (Kind::Sum(factors), _) => {
            let count = lower.len();
            let mut sum = [vec![0.0; count], vec![0.0; count]];
            for (&input, &factor) in of_f.inputs.iter().zip(factors) {
                let [l, u] = if factor >= 0.0 {
                    [&found.lower[input], &found.upper[input]]
                } else {
                    [&found.upper[input], &found.lower[input]]
                };
                for i in 0..count {
                    sum[0][i] = add_down(sum[0][i], mul_down(factor, l[i]));
                    sum[1][i] = add_up(sum[1][i], mul_up(factor, u[i]));
                }
            }
            sum
        }
        (Kind::Rearrange(rearrange), _) => [&found.lower, &found.upper].map(|values| {
            let inputs = of_f.inputs.iter().map(|&id| &values[id][..]);
            rearrange.forward(&inputs.collect::<Vec<_>>(), false)
        }),
        (Kind::Elementwise(function), _) => {
            elementwise(function, [f_lower, f_upper], [lower, upper])
        }
        (Kind::MaxPool(pool), _) => largest(pool, lower, upper),
        (Kind::Linear(_), _) => unreachable!("the steps were compared"),
    })
}

/// `W_h e + (W_h - W_f) x + (b_h - b_f)`, and what the constants of either differ from those
/// stored.
fn linear(of_f: &Linear, of_h: &Linear, e: &Around, x: &Around) -> Result<[Vec<f64>; 2]> {
    let Some(change) = minus(of_h, of_f) else {
        return Err(Error::argument("layers that are not the same"));
    };
    // A product with each, the difference of weights, the difference of biases, and two sums.
    let share = gamma(2 * of_h.terms() + 8);
    let charged = |around: &Around| -> Vec<f64> {
        let parts = around.centre.iter().zip(&around.radius);
        parts.map(|(c, r)| r + share * (c.abs() + r)).collect()
    };
    // `W_h e` is what the layer makes of e, less its bias.
    let mut centre = of_h.forward(&e.centre, Part::Whole);
    let mut radius = of_h.forward(&charged(e), Part::Magnitudes);
    let moved = change.forward(&x.centre, Part::Whole);
    let spread = change.forward(&charged(x), Part::Magnitudes);
    let terms = of_h.terms() as f64;
    for i in 0..centre.len() {
        let bias = of_h.bias()[i];
        centre[i] = (centre[i] - bias) + moved[i];
        let added = change.bias()[i].abs() + centre[i].abs() + 2.0 * bias.abs();
        radius[i] += spread[i] + share * added;
        radius[i] = radius[i] * INFLATE + 4.0 * terms * TINY;
    }
    let x_size = x.magnitudes();
    let sizes = x_size.iter().zip(e.magnitudes());
    let h_size: Vec<f64> = sizes.map(|(x, e)| add_up(*x, e)).collect();
    for deviation in [of_f.deviation(&x_size), of_h.deviation(&h_size)] {
        for (radius, deviation) in radius.iter_mut().zip(deviation.into_iter().flatten()) {
            *radius = add_up(*radius, deviation);
        }
    }
    let ends = || centre.iter().zip(&radius);
    Ok([
        ends().map(|(c, r)| add_down(*c, -r)).collect(),
        ends().map(|(c, r)| add_up(*c, *r)).collect(),
    ])
}

/// The layer with the differences of weights and biases, rounded to nearest; `None` where the
/// layers are not the same otherwise.
fn minus(a: &Linear, b: &Linear) -> Option<Linear> {
    let differences = |a: &[f64], b: &[f64]| -> Option<Vec<f64>> {
        let pairs = a.iter().zip(b);
        (a.len() == b.len()).then(|| pairs.map(|(a, b)| a - b).collect())
    };
    Some(match (a.centre(), b.centre()) {
        (Linear::Dense(a), Linear::Dense(b)) => Linear::Dense(Dense {
            weights: differences(&a.weights, &b.weights)?,
            bias: differences(&a.bias, &b.bias)?,
            inputs: (a.inputs == b.inputs).then_some(a.inputs)?,
        }),
        (Linear::Conv(a), Linear::Conv(b)) if a.window == b.window && a.groups == b.groups => {
            Linear::Conv(Conv {
                window: a.window.clone(),
                groups: a.groups,
                weights: differences(&a.weights, &b.weights)?,
                bias: differences(&a.bias, &b.bias)?,
            })
        }
        (Linear::Depthwise(a), Linear::Depthwise(b)) if a.window == b.window => {
            Linear::Depthwise(Depthwise {
                window: a.window.clone(),
                weights: differences(&a.weights, &b.weights)?,
                bias: differences(&a.bias, &b.bias)?,
                ..a.clone()
            })
        }
        (Linear::Affine(a), Linear::Affine(b)) if a.layout == b.layout => Linear::Affine(Affine {
            layout: a.layout,
            factor: differences(&a.factor, &b.factor)?,
            shift: differences(&a.shift, &b.shift)?,
            factor_error: a.factor_error.clone(),
            shift_error: a.shift_error.clone(),
        }),
        _ => return None,
    })
}

/// The difference behind a function of each element.
fn elementwise(
    function: &Nonlinearity,
    [f_lower, f_upper]: [&[f64]; 2],
    [lower, upper]: [&[f64]; 2],
) -> [Vec<f64>; 2] {
    let [least, most] = function.slopes();
    let mut made = [
        Vec::with_capacity(lower.len()),
        Vec::with_capacity(lower.len()),
    ];
    for i in 0..lower.len() {
        let (x, e) = ([f_lower[i], f_upper[i]], [lower[i], upper[i]]);
        let [l, u] = match function {
            Nonlinearity::Relu => relu(x, e),
            _ => [
                mul_down(least, e[0])
                    .min(mul_down(least, e[1]))
                    .min(mul_down(most, e[0]).min(mul_down(most, e[1]))),
                mul_up(least, e[0])
                    .max(mul_up(least, e[1]))
                    .max(mul_up(most, e[0]).max(mul_up(most, e[1]))),
            ],
        };
        made[0].push(l);
        made[1].push(u);
    }
    made
}

/// `max(x + e, 0) - max(x, 0)`.
fn relu(x: [f64; 2], e: [f64; 2]) -> [f64; 2] {
    let other = [add_down(x[0], e[0]), add_up(x[1], e[1])];
    if x[0] >= 0.0 && other[0] >= 0.0 {
        return e;
    }
    // No further up than h can be, and no further down than f can be.
    [
        e[0].min(0.0).max(-x[1].max(0.0)),
        e[1].max(0.0).min(other[1].max(0.0)),
    ]
}

/// The difference of the largest of several elements.
fn largest(pool: &MaxPool, lower: &[f64], upper: &[f64]) -> [Vec<f64>; 2] {
    let negated: Vec<f64> = lower.iter().map(|l| -l).collect();
    let least = pool.forward(&negated);
    [least.into_iter().map(|l| -l).collect(), pool.forward(upper)]
}

/// Lower bounds of `rows (h - f)` at the outputs. Where a fully connected layer makes the outputs,
/// the rows are merged into it first, which is tighter.
pub(super) fn of_rows(
    f: &Network,
    h: &Network,
    bounds: &Bounds,
    found: &Difference,
    rows: &Rows,
) -> Vec<f64> {
    let merged = f.producers[f.output].and_then(|position| {
        let (Kind::Linear(of_f), Kind::Linear(of_h)) =
            (&f.steps[position].kind, &h.steps[position].kind)
        else {
            return None;
        };
        let (Linear::Dense(_), Linear::Dense(_)) = (of_f.centre(), of_h.centre()) else {
            return None;
        };
        Some((f.steps[position].inputs[0], of_f, of_h))
    });
    let Some((input, of_f, of_h)) = merged else {
        let [lower, upper] = [&found.lower[f.output], &found.upper[f.output]];
        let least = |row: &[f64]| {
            let ends = lower.iter().zip(upper);
            row.iter().zip(ends).fold(0.0, |sum, (&a, (&l, &u))| {
                add_down(sum, mul_down(a, if a >= 0.0 { l } else { u }))
            })
        };
        return rows.coefficients.chunks(rows.outputs).map(least).collect();
    };
    let e = Around::new(&found.lower[input], &found.upper[input]);
    let x = Around::new(&bounds.lower[input], &bounds.upper[input]);
    let merge = |linear: &Linear| merged_rows(linear, rows);
    let ((with_h, h_size), (with_f, f_size)) = (merge(of_h), merge(of_f));
    let (x_size, e_size) = (x.magnitudes(), e.magnitudes());
    let sizes = x_size.iter().zip(&e_size);
    let other_size: Vec<f64> = sizes.map(|(x, e)| add_up(*x, *e)).collect();
    let deviations = [of_f.deviation(&x_size), of_h.deviation(&other_size)];
    let inputs = x.centre.len();
    let share = gamma(2 * of_h.terms() + 2 * rows.outputs + 16);
    let row = |row: usize| {
        let range = row * inputs..(row + 1) * inputs;
        let (a, b) = (
            &with_h.weights[range.clone()],
            &with_f.weights[range.clone()],
        );
        let (a_size, b_size) = (&h_size.weights[range.clone()], &f_size.weights[range]);
        let mut centre = with_h.bias[row] - with_f.bias[row];
        let mut radius = share * (h_size.bias[row] + f_size.bias[row]);
        for i in 0..inputs {
            let change = a[i] - b[i];
            centre += a[i] * e.centre[i] + change * x.centre[i];
            radius += a[i].abs() * e.radius[i] + change.abs() * x.radius[i];
            radius += share * (a_size[i] * e_size[i] + (a_size[i] + b_size[i]) * x_size[i]);
        }
        let coefficients = &rows.coefficients[row * rows.outputs..(row + 1) * rows.outputs];
        for deviation in deviations.iter().flatten() {
            for (a, deviation) in coefficients.iter().zip(deviation) {
                radius += a.abs() * deviation;
            }
        }
        let radius = radius * INFLATE + 8.0 * (inputs + rows.outputs) as f64 * TINY;
        let lower = add_down(centre, -radius);
        if lower.is_finite() {
            lower
        } else {
            f64::NEG_INFINITY
        }
    };
    (0..rows.len()).map(row).collect()
}

/// A fully connected layer multiplied by rows, `C W` and `C b`, and the same of magnitudes.
fn merged_rows(linear: &Linear, rows: &Rows) -> (Dense, Dense) {
    let Linear::Dense(dense) = linear.centre() else {
        unreachable!("the caller looked");
    };
    let merge = |magnitudes: bool| {
        let part = |value: f64| if magnitudes { value.abs() } else { value };
        let mut merged = Dense {
            weights: Vec::with_capacity(rows.len() * dense.inputs),
            bias: Vec::with_capacity(rows.len()),
            inputs: dense.inputs,
        };
        for row in rows.coefficients.chunks(rows.outputs) {
            let mut sum = vec![0.0; dense.inputs];
            let mut bias = 0.0;
            for (output, &a) in row.iter().enumerate().filter(|(_, a)| **a != 0.0) {
                let weights = &dense.weights[output * dense.inputs..(output + 1) * dense.inputs];
                for (sum, &w) in sum.iter_mut().zip(weights) {
                    *sum += part(a) * part(w);
                }
                bias += part(a) * part(dense.bias[output]);
            }
            merged.weights.extend(sum);
            merged.bias.push(bias);
        }
        merged
    };
    (merge(false), merge(true))
}
