//! Bounds of all values: intervals forward, and rows backward where a curve is not linear.

use std::collections::BTreeMap;

use recert_num::directed::{add_down, add_up, mul_up, sub_down};

use crate::network::{Linear, Network, Step};
use crate::region::Region;
use crate::row::{Free, OutOfWork, Setting, TINY, Work, gamma};

/// Bounds of the elements of each value: never above, and never below.
#[derive(Debug, Clone)]
pub(crate) struct Ranges {
    pub(crate) lower: Vec<Vec<f64>>,
    pub(crate) upper: Vec<Vec<f64>>,
}

/// How one bound of one neuron follows.
pub(crate) struct NeuronRow {
    pub(crate) element: usize,
    /// Whether it is the upper bound, or the lower one.
    pub(crate) upper: bool,
    pub(crate) free: Free,
}

impl Ranges {
    /// The largest magnitude of an element.
    pub(crate) fn size(&self, value: usize, element: usize) -> f64 {
        self.lower[value][element]
            .abs()
            .max(self.upper[value][element].abs())
    }

    /// The sum of the largest magnitudes of all elements of a value.
    pub(crate) fn largest(&self, value: usize) -> f64 {
        let ends = self.lower[value].iter().zip(&self.upper[value]);
        ends.map(|(l, u)| l.abs().max(u.abs())).sum()
    }

    /// Bounds of all values on a region. What a curve with a kink takes is bounded backward
    /// where its sign is open, and what another curve takes where it is no line there; with each
    /// of these slopes, of which every one gives bounds.
    pub(crate) fn on(
        network: &Network,
        region: &Region,
        slopes: &[Free],
        work: &mut Work,
    ) -> Result<Self, OutOfWork> {
        let mut ranges = Self {
            lower: vec![region.lower.clone()],
            upper: vec![region.upper.clone()],
        };
        let mut bounded = vec![false; network.lengths.len()];
        for step in &network.steps {
            let open: Vec<usize> = match step {
                Step::Linear(_) => Vec::new(),
                Step::Curve { input, .. } | Step::Max { input, .. } if bounded[*input] => {
                    Vec::new()
                }
                Step::Curve { input, curve } => {
                    let ends = ranges.lower[*input].iter().zip(&ranges.upper[*input]);
                    let open = ends.enumerate();
                    let open = open.filter(|(_, (l, u))| curve.exact(**l, **u).is_none());
                    open.map(|(element, _)| element).collect()
                }
                Step::Max { input, .. } => (0..network.lengths[*input]).collect(),
            };
            if let Step::Curve { input, .. } | Step::Max { input, .. } = step {
                bounded[*input] = true;
                let found = open.into_iter().map(|element| {
                    let mut least = |sign: f64| {
                        let mut best = f64::NEG_INFINITY;
                        for free in slopes {
                            let setting = Setting {
                                network,
                                region,
                                ranges: &ranges,
                                free,
                            };
                            let mut row = vec![0.0; network.lengths[*input]];
                            row[element] = sign;
                            best = best.max(setting.least(*input, row, work)?.bound);
                        }
                        Ok(best)
                    };
                    Ok((element, least(1.0)?, -least(-1.0)?))
                });
                for (element, lower, upper) in found.collect::<Result<Vec<_>, OutOfWork>>()? {
                    let (l, u) = (&mut ranges.lower[*input], &mut ranges.upper[*input]);
                    l[element] = l[element].max(lower);
                    u[element] = u[element].min(upper);
                }
            }
            let (lower, upper) = ranges.through(step);
            ranges.lower.push(lower);
            ranges.upper.push(upper);
        }
        Ok(ranges)
    }

    /// These bounds and tighter ones: what curves take is bounded backward by rows of its own, by
    /// the step, in the order of the steps, so that each uses what the rows before it gave.
    pub(crate) fn tightened(
        &self,
        network: &Network,
        region: &Region,
        rows: &BTreeMap<usize, Vec<NeuronRow>>,
        work: &mut Work,
    ) -> Result<Self, OutOfWork> {
        let mut ranges = Self {
            lower: vec![self.lower[0].clone()],
            upper: vec![self.upper[0].clone()],
        };
        for (position, step) in network.steps.iter().enumerate() {
            if let (Step::Curve { input, .. }, Some(rows)) = (step, rows.get(&position)) {
                let mut found = Vec::with_capacity(rows.len());
                for NeuronRow {
                    element,
                    upper,
                    free,
                } in rows
                {
                    let setting = Setting {
                        network,
                        region,
                        ranges: &ranges,
                        free,
                    };
                    let mut row = vec![0.0; network.lengths[*input]];
                    row[*element] = if *upper { -1.0 } else { 1.0 };
                    let bound = setting.least(*input, row, work)?.bound;
                    found.push((*element, *upper, bound));
                }
                for (element, upper, bound) in found {
                    if upper {
                        let most = &mut ranges.upper[*input][element];
                        *most = most.min(-bound);
                    } else {
                        let least = &mut ranges.lower[*input][element];
                        *least = least.max(bound);
                    }
                }
            }
            let (mut lower, mut upper) = ranges.through(step);
            let value = position + 1;
            for (l, &known) in lower.iter_mut().zip(&self.lower[value]) {
                *l = l.max(known);
            }
            for (u, &known) in upper.iter_mut().zip(&self.upper[value]) {
                *u = u.min(known);
            }
            ranges.lower.push(lower);
            ranges.upper.push(upper);
        }
        Ok(ranges)
    }

    /// What both these bounds and others of the same values say.
    pub(crate) fn meet(mut self, other: &Self) -> Self {
        for (mine, others) in self.lower.iter_mut().zip(&other.lower) {
            for (l, &known) in mine.iter_mut().zip(others) {
                *l = l.max(known);
            }
        }
        for (mine, others) in self.upper.iter_mut().zip(&other.upper) {
            for (u, &known) in mine.iter_mut().zip(others) {
                *u = u.min(known);
            }
        }
        self
    }

    /// The bounds of what a step makes.
    pub(crate) fn through(&self, step: &Step) -> (Vec<f64>, Vec<f64>) {
        match step {
            Step::Linear(linear) => self.linear(linear),
            Step::Curve { input, curve } => {
                let ends = self.lower[*input].iter().zip(&self.upper[*input]);
                ends.map(|(&l, &u)| curve.range(l, u).into()).unzip()
            }
            Step::Max { input, windows } => {
                let most = |ends: &[f64], window: &[u32]| {
                    let elements = window.iter().map(|&element| ends[element as usize]);
                    elements.fold(f64::NEG_INFINITY, f64::max)
                };
                let of = |window: &Vec<u32>| {
                    (
                        most(&self.lower[*input], window),
                        most(&self.upper[*input], window),
                    )
                };
                windows.iter().map(of).unzip()
            }
        }
    }

    fn linear(&self, linear: &Linear) -> (Vec<f64>, Vec<f64>) {
        let elements = linear
            .inputs
            .first()
            .map_or(0, |&value| self.lower[value].len());
        let outputs = linear.outputs(elements);
        let part = gamma(linear.width) + linear.relative;
        let of = |output: usize| {
            let (mut low, mut high, mut size) = (0.0, 0.0, 0.0);
            linear.each(output, |input, element, weight| {
                let value = linear.inputs[input];
                let (l, u) = (self.lower[value][element], self.upper[value][element]);
                let (least, most) = if weight >= 0.0 { (l, u) } else { (u, l) };
                low += weight * least;
                high += weight * most;
                size += weight.abs() * l.abs().max(u.abs());
            });
            let charge = mul_up(size, part) + TINY;
            let [least, most] = linear.bias.get(output).copied().unwrap_or_default();
            let low = add_down(sub_down(low, charge), least);
            let high = add_up(add_up(high, charge), most);
            // NaN bounds nothing.
            (
                if low.is_nan() { f64::NEG_INFINITY } else { low },
                if high.is_nan() { f64::INFINITY } else { high },
            )
        };
        (0..outputs).map(of).unzip()
    }

    /// These bounds where an element that a curve takes is on one side of 0; `None` where it
    /// never is, so that there is nothing to prove.
    pub(crate) fn split(
        &mut self,
        network: &Network,
        step: usize,
        element: usize,
        above: bool,
    ) -> Option<()> {
        let Step::Curve { input, curve } = network.steps[step] else {
            return Some(());
        };
        let (l, u) = (
            &mut self.lower[input][element],
            &mut self.upper[input][element],
        );
        if above {
            *l = l.max(0.0);
        } else {
            *u = u.min(0.0);
        }
        if *l > *u {
            return None;
        }
        [self.lower[step + 1][element], self.upper[step + 1][element]] = curve.range(*l, *u);
        Some(())
    }
}
