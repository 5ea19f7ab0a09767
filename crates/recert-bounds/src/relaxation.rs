//! A network's linear relaxation on a region: bounds of every value, lines of every activation,
//! and what is charged for rounding.

use recert_num::directed::{add_down, add_up, mul_down, mul_up, sub_down, sub_up};

use crate::bounds::{Bounds, tighter_lower, tighter_upper};
use crate::error::Result;
use crate::network::Network;
use crate::region::Region;
use crate::relax::{Lines, PoolLines};
use crate::rounding::{INFLATE, MOST_TERMS, TINY, gamma};
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

/// The bounds of a value that a step makes, and what is charged on it.
struct Made {
    lower: Vec<f64>,
    upper: Vec<f64>,
    slack: Vec<f64>,
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
            relaxation.push(position);
            let value = network.steps[position].output;
            relaxation.bounds.lower[value].clone_from(&bounds.lower[value]);
            relaxation.bounds.upper[value].clone_from(&bounds.upper[value]);
            if relaxation
                .front
                .as_ref()
                .is_some_and(|front| front.value == value)
            {
                relaxation.front = Some(Front::new(value, &relaxation.bounds));
            }
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
        debug_assert_eq!(position, self.steps.len());
        let step = &self.network.steps[position];
        let lower = |i: usize| &self.bounds.lower[step.inputs[i]];
        let upper = |i: usize| &self.bounds.upper[step.inputs[i]];
        let (made, relaxed) = match &step.kind {
            Kind::Linear(linear) => {
                let mut made = linear_interval(linear, lower(0), upper(0));
                let slack = std::mem::take(&mut made.slack);
                (made, Relaxed::Linear(slack))
            }
            Kind::Sum(factors) => {
                let parts: Vec<[&[f64]; 2]> = (0..factors.len())
                    .map(|i| [&lower(i)[..], &upper(i)[..]])
                    .collect();
                (sum_interval(factors, &parts), Relaxed::Linear(Vec::new()))
            }
            Kind::Rearrange(rearrange) => {
                let count = step.inputs.len();
                let lowers: Vec<&[f64]> = (0..count).map(|i| &lower(i)[..]).collect();
                let uppers: Vec<&[f64]> = (0..count).map(|i| &upper(i)[..]).collect();
                let made = Made {
                    lower: rearrange.forward(&lowers, true),
                    upper: rearrange.forward(&uppers, true),
                    slack: Vec::new(),
                };
                // Coefficients of an element that is taken several times are added up, and so
                // are the products with constants.
                let constant = rearrange.constants.iter().any(|c| *c != 0.0);
                let slack = if rearrange.repeats > 1 || constant {
                    let terms = gamma(rearrange.repeats + made.lower.len() + 8) * INFLATE;
                    let sizes = size(&made.lower, &made.upper).into_iter();
                    sizes.map(|size| terms * size).collect()
                } else {
                    Vec::new()
                };
                (made, Relaxed::Linear(slack))
            }
            Kind::Elementwise(function) => {
                let intervals = lower(0).iter().zip(upper(0));
                let ranges = intervals.map(|(&l, &u)| function.range(l, u));
                let (low, high) = ranges.unzip();
                let made = Made {
                    lower: low,
                    upper: high,
                    slack: Vec::new(),
                };
                let lines = Lines::new(function, lower(0), upper(0));
                (made, Relaxed::Lines(lines))
            }
            Kind::MaxPool(pool) => {
                let made = Made {
                    lower: pool.forward(lower(0)),
                    upper: pool.forward(upper(0)),
                    slack: Vec::new(),
                };
                (made, Relaxed::Pool(pool.lines(lower(0), upper(0))))
            }
        };
        let terms = match &step.kind {
            Kind::Linear(linear) => linear.terms(),
            _ => 4,
        };
        let elements = made.lower.len()
            + step
                .inputs
                .iter()
                .map(|&id| self.bounds.lower[id].len())
                .sum::<usize>();
        let sizes: f64 = step.inputs.iter().flat_map(|&id| self.size(id)).sum();
        self.floor += TINY * (terms + 8) as f64 * elements as f64 * (1.0 + sizes) * INFLATE;
        self.bounds.lower[step.output] = made.lower;
        self.bounds.upper[step.output] = made.upper;
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

/// `W [l, u] + b` by centre and radius, rounded outward.
///
/// With the centre c, the radius r and `size >= |x|`, the computed centre of the result errs by at
/// most `gamma (|W| size + |b|)`, as `|c| <= size`, and the computed radius by `gamma |W| r`.
fn linear_interval(linear: &Linear, lower: &[f64], upper: &[f64]) -> Made {
    let centre: Vec<f64> = (lower.iter().zip(upper))
        .map(|(l, u)| l / 2.0 + u / 2.0)
        .collect();
    let radius: Vec<f64> = (lower.iter().zip(upper).zip(&centre))
        .map(|((&l, &u), &c)| {
            let (below, above) = (sub_up(c, l), sub_up(u, c));
            if below > above || below.is_nan() {
                below
            } else {
                above
            }
        })
        .collect();
    let size = size(lower, upper);
    let bias = linear.bias();
    let middle = linear.forward(&centre, Part::Whole);
    let spread = linear.forward(&radius, Part::Magnitudes);
    let mut magnitude = linear.forward(&size, Part::Magnitudes);
    for (magnitude, b) in magnitude.iter_mut().zip(bias) {
        *magnitude = (*magnitude + b.abs()) * INFLATE + TINY;
    }
    let deviation = linear.deviation(&size);
    let deviation = |i: usize| deviation.as_ref().map_or(0.0, |deviation| deviation[i]);
    let terms = linear.terms() + 8;
    assert!(terms + bias.len() < MOST_TERMS, "sizes were checked");
    let [forward, backward] = [terms, terms + bias.len()].map(gamma);
    let sizes: f64 = size.iter().sum();
    let underflow = TINY * terms as f64 * (1.0 + sizes);
    let mut made = Made {
        lower: Vec::with_capacity(middle.len()),
        upper: Vec::with_capacity(middle.len()),
        slack: Vec::with_capacity(middle.len()),
    };
    for (i, (&middle, &spread)) in middle.iter().zip(&spread).enumerate() {
        let charge = add_up(mul_up(forward * INFLATE, magnitude[i]), deviation(i));
        let radius = mul_up(spread, 1.0 + 2.0 * forward);
        let radius = add_up(add_up(radius, charge), underflow);
        made.lower.push(sub_down(middle, radius));
        made.upper.push(add_up(middle, radius));
        made.slack
            .push(backward * magnitude[i] * INFLATE + deviation(i) * INFLATE);
    }
    made
}

fn sum_interval(factors: &[f64], parts: &[[&[f64]; 2]]) -> Made {
    let count = parts.first().map_or(0, |part| part[0].len());
    let mut made = Made {
        lower: vec![0.0; count],
        upper: vec![0.0; count],
        slack: Vec::new(),
    };
    for (&factor, &[lower, upper]) in factors.iter().zip(parts) {
        let [least, most] = if factor >= 0.0 {
            [lower, upper]
        } else {
            [upper, lower]
        };
        for i in 0..count {
            made.lower[i] = add_down(made.lower[i], mul_down(factor, least[i]));
            made.upper[i] = add_up(made.upper[i], mul_up(factor, most[i]));
        }
    }
    made
}
