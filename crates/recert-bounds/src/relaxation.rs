//! A network's linear relaxation on a region: bounds of every value, lines of every activation,
//! and what is charged for rounding.

use recert_num::directed::{add_down, add_up, mul_down, mul_up};

use crate::bounds::{Bounds, tighter_lower, tighter_upper};
use crate::error::Result;
use crate::network::Network;
use crate::region::Region;
use crate::relax::{Lines, PoolLines};
use crate::rounding::{INFLATE, MOST_TERMS, TINY, U, gamma};
use crate::step::{Kind, Linear, Part, Step};

/// What a backward pass through a network needs to know of a region, step by step.
#[derive(Debug, Clone)]
pub(crate) struct Relaxation<'n> {
    pub(crate) network: &'n Network,
    pub(crate) bounds: Bounds,
    /// For each step that was gone through.
    pub(crate) steps: Vec<Relaxed>,
    /// Above all that underflow takes from a row.
    pub(crate) floor: f64,
    /// Where rows may end before the input.
    pub(crate) front: Option<Front>,
}

/// The last value that is the input, a box, with its elements only moved, scaled and shifted, and
/// that all other values depend on it through: its bounds are a box too, and a row is bounded there as
/// well as at the input.
#[derive(Debug, Clone)]
pub(crate) struct Front {
    pub(crate) value: usize,
    /// What is charged for rounding, a unit of coefficient.
    pub(crate) slack: Vec<f64>,
}

impl Front {
    fn new(value: usize, bounds: &Bounds) -> Self {
        let slack = sum_slack(bounds, value);
        Self { value, slack }
    }
}

/// The relaxation of a step.
#[derive(Debug, Clone)]
pub(crate) enum Relaxed {
    /// A linear step, with what is charged for rounding a unit of coefficient on each element of
    /// its output; empty for nothing.
    Linear(Vec<f64>),
    Lines(Lines),
    Pool(PoolLines),
}

impl<'n> Relaxation<'n> {
    /// The region alone, before any step.
    pub(crate) fn begun(network: &'n Network, region: &Region) -> Result<Self> {
        region.check(network.inputs())?;
        let (lower, upper) = region.bounding_box();
        let mut bounds = Bounds::default();
        bounds.lower.push(lower.to_vec());
        bounds.upper.push(upper.to_vec());
        bounds.lower.resize(network.values(), Vec::new());
        bounds.upper.resize(network.values(), Vec::new());
        let front = matches!(region, Region::Box { .. }).then(|| Front::new(0, &bounds));
        Ok(Self {
            network,
            front,
            bounds,
            steps: Vec::with_capacity(network.steps.len()),
            floor: 0.0,
        })
    }

    /// Of all steps, with these bounds. They are taken as they are: what follows holds where
    /// they do.
    pub(crate) fn of_bounds(
        network: &'n Network,
        region: &Region,
        bounds: &Bounds,
    ) -> Result<Self> {
        bounds.check(network)?;
        let mut relaxation = Self::begun(network, region)?;
        for position in 0..network.steps.len() {
            let value = network.steps[position].output;
            let known = [&bounds.lower[value], &bounds.upper[value]];
            let relaxed = relaxation.relaxed(position, known.map(Vec::as_slice));
            relaxation.pushed(position, known.map(Vec::clone), relaxed);
        }
        Ok(relaxation)
    }

    /// Intersects the bounds of a value with others.
    pub(crate) fn tighten(&mut self, value: usize, lower: &[f64], upper: &[f64]) {
        let known = self.bounds.lower[value].iter_mut().zip(lower);
        known.for_each(|(old, new)| *old = tighter_lower(*old, *new));
        let known = self.bounds.upper[value].iter_mut().zip(upper);
        known.for_each(|(old, new)| *old = tighter_upper(*old, *new));
    }

    /// The largest magnitude of each element of a value.
    pub(crate) fn size(&self, value: usize) -> Vec<f64> {
        size(&self.bounds.lower[value], &self.bounds.upper[value])
    }

    /// Goes through the next step, which is at `position`: interval bounds of what it makes,
    /// from those of its inputs, and its relaxation.
    pub(crate) fn push(&mut self, position: usize) {
        let step = &self.network.steps[position];
        let lower = |i: usize| &self.bounds.lower[step.inputs[i]];
        let upper = |i: usize| &self.bounds.upper[step.inputs[i]];
        let made = match &step.kind {
            Kind::Linear(linear) => {
                let (made, slack) = linear_interval(linear, lower(0), upper(0));
                self.pushed(position, made, Relaxed::Linear(slack));
                return;
            }
            Kind::Sum(factors) => {
                let parts: Vec<[&[f64]; 2]> = (0..factors.len())
                    .map(|i| [&lower(i)[..], &upper(i)[..]])
                    .collect();
                sum_interval(factors, &parts)
            }
            Kind::Rearrange(rearrange) => {
                let count = step.inputs.len();
                let lowers: Vec<&[f64]> = (0..count).map(|i| &lower(i)[..]).collect();
                let uppers: Vec<&[f64]> = (0..count).map(|i| &upper(i)[..]).collect();
                [lowers, uppers].map(|inputs| rearrange.forward(&inputs, true))
            }
            Kind::Elementwise(function) => {
                let intervals = lower(0).iter().zip(upper(0));
                let ranges = intervals.map(|(&l, &u)| function.range(l, u));
                <[_; 2]>::from(ranges.unzip::<f64, f64, Vec<_>, Vec<_>>())
            }
            Kind::MaxPool(pool) => [pool.forward(lower(0)), pool.forward(upper(0))],
        };
        let relaxed = self.relaxed(position, [&made[0], &made[1]]);
        self.pushed(position, made, relaxed);
    }

    /// The relaxation of the step at `position`, given bounds of its inputs and of what it makes.
    fn relaxed(&self, position: usize, [made_lower, made_upper]: [&[f64]; 2]) -> Relaxed {
        let step = &self.network.steps[position];
        let input = step.inputs[0];
        let (lower, upper) = (&self.bounds.lower[input], &self.bounds.upper[input]);
        match &step.kind {
            Kind::Linear(linear) => {
                let size = size(lower, upper);
                let magnitude = linear.forward(&size, Part::Magnitudes);
                Relaxed::Linear(linear_slack(linear, &size, &magnitude))
            }
            Kind::Sum(_) => Relaxed::Linear(Vec::new()),
            Kind::Rearrange(rearrange) => {
                // Coefficients of an element that is taken several times are added up, and so
                // are the products with constants.
                let constant = rearrange.constants.iter().any(|c| *c != 0.0);
                if rearrange.repeats <= 1 && !constant {
                    return Relaxed::Linear(Vec::new());
                }
                let terms = gamma(rearrange.repeats + made_lower.len() + 8) * INFLATE;
                let sizes = size(made_lower, made_upper).into_iter();
                Relaxed::Linear(sizes.map(|size| terms * size).collect())
            }
            Kind::Elementwise(function) => Relaxed::Lines(Lines::new(function, lower, upper)),
            Kind::MaxPool(pool) => Relaxed::Pool(pool.lines(lower, upper)),
        }
    }

    /// Keeps the bounds of what the step at `position` makes, and its relaxation.
    fn pushed(&mut self, position: usize, [lower, upper]: [Vec<f64>; 2], relaxed: Relaxed) {
        debug_assert_eq!(position, self.steps.len());
        let step = &self.network.steps[position];
        let terms = match &step.kind {
            Kind::Linear(linear) => linear.terms(),
            _ => 4,
        };
        let elements = lower.len()
            + step
                .inputs
                .iter()
                .map(|&id| self.bounds.lower[id].len())
                .sum::<usize>();
        let sizes: f64 = step.inputs.iter().flat_map(|&id| self.size(id)).sum();
        self.floor += TINY * (terms + 8) as f64 * elements as f64 * (1.0 + sizes) * INFLATE;
        self.bounds.lower[step.output] = lower;
        self.bounds.upper[step.output] = upper;
        self.steps.push(relaxed);
        self.advance(step);
    }

    /// Moves the front over a step, where it is one that it can pass.
    fn advance(&mut self, step: &Step) {
        let passes = match &step.kind {
            Kind::Linear(Linear::Affine(_)) => true,
            Kind::Rearrange(rearrange) => rearrange.repeats <= 1 && step.inputs.len() == 1,
            _ => false,
        };
        let users = |value: usize| {
            let inputs = self.network.steps.iter().flat_map(|step| &step.inputs);
            inputs.filter(|&&input| input == value).count()
        };
        if let Some(front) = &self.front
            && passes
            && step.inputs[0] == front.value
            && users(front.value) == 1
        {
            self.front = Some(Front::new(step.output, &self.bounds));
        }
    }
}

/// What is charged, a unit of coefficient, where a row is bounded by the bounds of a value's
/// elements: for the rounding of the sum.
pub(crate) fn sum_slack(bounds: &Bounds, value: usize) -> Vec<f64> {
    let mut slack = size(&bounds.lower[value], &bounds.upper[value]);
    let terms = gamma(slack.len() + 16);
    for size in &mut slack {
        *size *= terms * INFLATE;
    }
    slack
}

/// The largest magnitude in each interval; NaN where an end is.
pub(crate) fn size(lower: &[f64], upper: &[f64]) -> Vec<f64> {
    let ends = lower.iter().zip(upper);
    let sizes = ends.map(|(l, u)| {
        let (a, b) = (l.abs(), u.abs());
        if a > b || a.is_nan() { a } else { b }
    });
    sizes.collect()
}

/// `W [l, u] + b` by centre and radius, rounded outward, and what is charged on it.
///
/// With the centre c, the radius r and `size >= |x|`, the computed centre of the result errs by at
/// most `gamma (|W| size + |b|)`, as `|c| <= size`, and the computed radius by `gamma |W| r`.
fn linear_interval(linear: &Linear, lower: &[f64], upper: &[f64]) -> ([Vec<f64>; 2], Vec<f64>) {
    let centre: Vec<f64> = (lower.iter().zip(upper))
        .map(|(l, u)| l / 2.0 + u / 2.0)
        .collect();
    // The distance of the farther end, and behind it the sizes.
    let mut sizes: Vec<f64> = (lower.iter().zip(upper).zip(&centre))
        .map(|((&l, &u), &c)| {
            let (below, above) = (c - l, u - c);
            let radius = if below > above || below.is_nan() {
                below
            } else {
                above
            };
            // More than the rounding of the difference.
            radius * (1.0 + 2.0 * f64::EPSILON)
        })
        .collect();
    let size = size(lower, upper);
    sizes.extend_from_slice(&size);
    let middle = linear.forward(&centre, Part::Whole);
    let magnitudes = linear.forward(&sizes, Part::Magnitudes);
    let (spread, magnitude) = magnitudes.split_at(middle.len());
    let slack = linear_slack(linear, &size, magnitude);
    let deviation = linear.deviation(&size);
    let terms = linear.terms() + 8;
    let forward = gamma(terms);
    let sizes: f64 = size.iter().sum();
    let underflow = TINY * terms as f64 * (1.0 + sizes);
    let [wider, of_magnitude] = [1.0 + 2.0 * forward, forward * INFLATE * INFLATE];
    let bias = linear.bias();
    let radius = |i: usize| {
        let charge = (magnitude[i] + bias[i].abs() + TINY) * of_magnitude;
        let deviation = deviation.as_ref().map_or(0.0, |deviation| deviation[i]);
        // Fewer than ten roundings of numbers that are not negative.
        (spread[i] * wider + charge + deviation + underflow) * (1.0 + 16.0 * f64::EPSILON)
    };
    // More than two roundings of the end.
    let rounded = |middle: f64, radius: f64| 4.0 * U * (middle.abs() + radius);
    let ends = middle.iter().enumerate().map(|(i, &middle)| {
        let radius = radius(i);
        let rounded = rounded(middle, radius);
        (middle - radius - rounded, middle + radius + rounded)
    });
    let (low, high) = ends.unzip();
    ([low, high], slack)
}

/// What is charged, a unit of coefficient on the output of a linear step, for what a backward pass
/// rounds there; `magnitude` is the computed `|W| size`.
fn linear_slack(linear: &Linear, size: &[f64], magnitude: &[f64]) -> Vec<f64> {
    let bias = linear.bias();
    let terms = linear.terms() + 8 + bias.len();
    assert!(terms < MOST_TERMS, "sizes were checked");
    let backward = gamma(terms) * INFLATE;
    let elements = magnitude.iter().zip(bias);
    let slack = elements.map(|(magnitude, b)| {
        let magnitude = (magnitude + b.abs()) * INFLATE + TINY;
        backward * magnitude
    });
    match linear.deviation(size) {
        Some(deviation) => {
            let pairs = slack.zip(deviation);
            pairs.map(|(slack, d)| slack + d * INFLATE).collect()
        }
        None => slack.collect(),
    }
}

fn sum_interval(factors: &[f64], parts: &[[&[f64]; 2]]) -> [Vec<f64>; 2] {
    let count = parts.first().map_or(0, |part| part[0].len());
    let [mut low, mut high] = [vec![0.0; count], vec![0.0; count]];
    for (&factor, &[lower, upper]) in factors.iter().zip(parts) {
        let [least, most] = if factor >= 0.0 {
            [lower, upper]
        } else {
            [upper, lower]
        };
        for i in 0..count {
            low[i] = add_down(low[i], mul_down(factor, least[i]));
            high[i] = add_up(high[i], mul_up(factor, most[i]));
        }
    }
    [low, high]
}
