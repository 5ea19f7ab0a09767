//! The lower bound of one linear function of a value, by going backward through the steps.
//!
//! `a . y` is rewritten, step by step, as a function of earlier values that is nowhere larger on
//! the region, until it is one of the input. Every rounding is charged where it happens:
//!
//! - A coefficient on x after `y = W x + b` is a sum of products, computed one after the other.
//!   It errs by at most gamma(k) times the sum of the products' magnitudes, k being their
//!   number, and that sum is computed beside it. Times the largest magnitude of x, this is
//!   taken from the bound.
//! - A coefficient that a line's slope multiplies errs by half an epsilon of itself.
//! - Constants are added with a rounding downward.
//!
//! Whatever overflows makes the bound minus infinity.

use std::collections::BTreeMap;

use recert_num::directed::{add_down, mul_down, mul_up, sub_down};

use crate::network::{Linear, Network, Step};
use crate::ranges::Ranges;
use crate::region::Region;

/// What products may lose by underflow, all that meet in a coefficient together: 2^20 times
/// 2^-1075 is far less.
pub(crate) const TINY: f64 = 1e-300;

/// A bound of the relative error of a sum of so many products, as a part of the sum of their
/// magnitudes as that is computed: twice gamma, which leaves room for the rounding of both.
pub(crate) fn gamma(terms: usize) -> f64 {
    f64::EPSILON * (terms + 8) as f64
}

/// The free parameters of a bound: it holds with whatever they are.
#[derive(Debug, Default)]
pub(crate) struct Free {
    /// By the step of a curve: the slope of the line below, for each element; NaN for the usual.
    pub(crate) slopes: BTreeMap<usize, Vec<f64>>,
    /// By the step of a curve: elements whose sign is known, and what is taken from the
    /// coefficient on them: at least 0 where they are at least 0, at most 0 where they are at most 0.
    pub(crate) multipliers: BTreeMap<usize, Vec<(usize, f64)>>,
}

/// Work that is left, in products; what would need more is not computed.
#[derive(Debug)]
pub(crate) struct Work(pub(crate) u64);

/// More work than there is left.
#[derive(Debug)]
pub(crate) struct OutOfWork;

impl Work {
    pub(crate) fn take(&mut self, products: usize) -> Result<(), OutOfWork> {
        self.0 = self.0.checked_sub(products as u64).ok_or(OutOfWork)?;
        Ok(())
    }
}

/// A bound, and the coefficients on the input by which it came about.
#[derive(Debug)]
pub(crate) struct Row {
    /// Finite, or minus infinity.
    pub(crate) bound: f64,
    pub(crate) input: Vec<f64>,
}

/// What a row is of.
pub(crate) struct Setting<'a> {
    pub(crate) network: &'a Network,
    pub(crate) region: &'a Region,
    pub(crate) ranges: &'a Ranges,
    pub(crate) free: &'a Free,
}

/// A row on its way back.
struct Backward<'a> {
    setting: &'a Setting<'a>,
    /// The coefficients on each value; `None` where all are 0.
    states: Vec<Option<Vec<f64>>>,
    /// Rounded down.
    constant: f64,
    /// What is to be taken from it: a sum of numbers that are not negative.
    charge: f64,
}

impl Setting<'_> {
    /// A lower bound of `coefficients . value` on the region, rounded down. It is the best of
    /// what the row is at the input and of what it is, by the ranges of values, before each
    /// curve on the way.
    pub(crate) fn least(
        &self,
        value: usize,
        coefficients: Vec<f64>,
        work: &mut Work,
    ) -> Result<Row, OutOfWork> {
        let mut states = vec![None; value + 1];
        states[value] = Some(coefficients);
        let mut row = Backward {
            setting: self,
            states,
            constant: 0.0,
            charge: 0.0,
        };
        let mut best = f64::NEG_INFINITY;
        for position in (0..value).rev() {
            let Some(y) = row.states[position + 1].take() else {
                continue;
            };
            match &self.network.steps[position] {
                Step::Linear(linear) => row.linear(linear, &y, work)?,
                curved => {
                    row.states[position + 1] = Some(y);
                    best = best.max(row.by_ranges());
                    let y = row.states[position + 1].take().unwrap_or_default();
                    work.take(y.len())?;
                    row.curved(position, curved, &y);
                }
            }
        }
        let input = row.states[0]
            .take()
            .unwrap_or_else(|| vec![0.0; self.network.inputs()]);
        work.take(input.len())?;
        let bound = add_down(row.rest(), self.region.least(&input));
        if bound.is_finite() {
            best = best.max(bound);
        }
        Ok(Row { bound: best, input })
    }
}

impl Backward<'_> {
    /// The constant less what is charged, rounded down. The sum of charges is rounded by less than
    /// a millionth: it has fewer than 2^32 terms.
    fn rest(&self) -> f64 {
        sub_down(self.constant, mul_up(self.charge, 1.0 + 1e-6) + TINY)
    }

    /// The bound by the ranges of the values that the row is of now; minus infinity where there is
    /// none.
    fn by_ranges(&self) -> f64 {
        let ranges = self.setting.ranges;
        let (mut sum, mut size, mut terms) = (0.0, 0.0, 0);
        for (value, state) in self.states.iter().enumerate() {
            let Some(state) = state else { continue };
            let ends = ranges.lower[value].iter().zip(&ranges.upper[value]);
            for (&a, (&l, &u)) in state.iter().zip(ends).filter(|(a, _)| **a != 0.0) {
                let least = a * if a >= 0.0 { l } else { u };
                sum += least;
                size += least.abs();
                terms += 1;
            }
        }
        let charged = mul_up(size, gamma(terms)) + TINY;
        let bound = add_down(self.rest(), sub_down(sum, charged));
        if bound.is_finite() {
            bound
        } else {
            f64::NEG_INFINITY
        }
    }

    /// Adds coefficients on a value.
    fn add(&mut self, value: usize, coefficients: Vec<f64>) {
        let Some(before) = &mut self.states[value] else {
            self.states[value] = Some(coefficients);
            return;
        };
        for (element, (sum, more)) in before.iter_mut().zip(coefficients).enumerate() {
            *sum += more;
            if *sum != 0.0 {
                let size = self.setting.ranges.size(value, element);
                self.charge += sum.abs() * f64::EPSILON * size;
            }
        }
    }

    fn linear(&mut self, linear: &Linear, y: &[f64], work: &mut Work) -> Result<(), OutOfWork> {
        let lengths = linear
            .inputs
            .iter()
            .map(|&value| self.setting.network.lengths[value]);
        let zeros: Vec<Vec<f64>> = lengths.map(|length| vec![0.0; length]).collect();
        let (mut sums, mut sizes) = (zeros.clone(), zeros);
        for (output, &a) in y.iter().enumerate().filter(|(_, a)| **a != 0.0) {
            let terms = linear.each(output, |input, element, weight| {
                let product = a * weight;
                sums[input][element] += product;
                sizes[input][element] += product.abs();
            });
            work.take(terms + 1)?;
            if let Some(&[low, high]) = linear.bias.get(output) {
                let bias = if a >= 0.0 { low } else { high };
                self.constant = add_down(self.constant, mul_down(a, bias));
            }
        }
        let part = gamma(linear.fan) + linear.relative;
        for ((&value, sums), sizes) in linear.inputs.iter().zip(sums).zip(sizes) {
            for (element, size) in sizes.into_iter().enumerate() {
                if size != 0.0 || sums[element] != 0.0 {
                    let most = self.setting.ranges.size(value, element);
                    self.charge += size * part * most;
                }
            }
            self.add(value, sums);
        }
        // What underflowed to nothing at all leaves no trace in the sums.
        let inputs = linear.inputs.iter();
        let most = inputs.map(|&value| self.setting.ranges.largest(value));
        self.charge += most.fold(1.0, |sum, most| sum + most) * TINY;
        Ok(())
    }

    fn curved(&mut self, position: usize, step: &Step, y: &[f64]) {
        let ranges = self.setting.ranges;
        match step {
            Step::Linear(_) => {}
            Step::Curve { input, curve } => {
                let free = self.setting.free;
                let slopes = free.slopes.get(&position);
                let mut x = vec![0.0; y.len()];
                for (element, &a) in y.iter().enumerate().filter(|(_, a)| **a != 0.0) {
                    let (l, u) = (ranges.lower[*input][element], ranges.upper[*input][element]);
                    let chosen = slopes.map(|slopes| slopes[element]);
                    let line = if a > 0.0 {
                        curve.below(l, u, chosen.filter(|slope| !slope.is_nan()))
                    } else {
                        curve.above(l, u)
                    };
                    x[element] = a * line.slope;
                    if line.slope != 0.0 && line.slope != 1.0 {
                        let size = ranges.size(*input, element);
                        self.charge += (x[element].abs() * f64::EPSILON + TINY) * size;
                    }
                    if line.offset != 0.0 {
                        self.constant = add_down(self.constant, mul_down(a, line.offset));
                    }
                }
                for &(element, multiplier) in free.multipliers.get(&position).into_iter().flatten()
                {
                    x[element] -= multiplier;
                    let size = ranges.size(*input, element);
                    self.charge += x[element].abs() * f64::EPSILON * size;
                }
                self.add(*input, x);
            }
            Step::Max { input, windows } => {
                let (lower, upper) = (&ranges.lower[*input], &ranges.upper[*input]);
                let mut x = vec![0.0; lower.len()];
                for (window, &a) in windows.iter().zip(y).filter(|(_, a)| **a != 0.0) {
                    // Any element is at most the largest: that with the best lower bound.
                    let elements = || window.iter().map(|&element| element as usize);
                    let best = elements().max_by(|&i, &j| lower[i].total_cmp(&lower[j]));
                    let Some(best) = best else { continue };
                    let others = elements().filter(|&element| element != best);
                    let wins = others.clone().all(|other| upper[other] <= lower[best]);
                    if a > 0.0 || wins {
                        x[best] += a;
                        let size = ranges.size(*input, best);
                        self.charge += x[best].abs() * f64::EPSILON * size;
                    } else {
                        let most = others.fold(upper[best], |most, other| most.max(upper[other]));
                        self.constant = add_down(self.constant, mul_down(a, most));
                    }
                }
                self.add(*input, x);
            }
        }
    }
}
