//! The search for parameters at which the network answers wrongly: samples, then steps downhill.

use super::cell::Cell;
use super::image::{Extents, apply};
use super::transformation::Transformation;
use crate::error::Result;
use crate::network::Network;

/// An image as the network sees it at single values of the parameters.
pub(crate) struct Sampler<'a> {
    pub(crate) network: &'a Network,
    pub(crate) extents: &'a Extents,
    pub(crate) image: &'a [f64],
    pub(crate) label: usize,
    pub(crate) transformation: &'a Transformation,
    /// How often the network was evaluated.
    pub(crate) evaluations: usize,
    /// The least margin found, and where.
    pub(crate) worst: Option<Sample>,
}

/// What the network answers at one value of the parameters.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) parameters: Vec<f64>,
    /// The label's output less the largest other one: wrong where it is negative or NaN. Zero is a
    /// tie, which is neither wrong nor proved.
    pub(crate) margin: f64,
    /// The class with the largest output.
    pub(crate) answer: usize,
}

impl Sampler<'_> {
    /// The network's answer at `parameters`, in f64.
    pub(crate) fn at(&mut self, parameters: &[f64]) -> Result<Sample> {
        let image = apply(self.transformation, self.extents, self.image, parameters)?;
        let outputs = self.network.evaluate(&image);
        self.evaluations += 1;
        let mut other: Option<usize> = None;
        for class in (0..outputs.len()).filter(|&class| class != self.label) {
            if other.is_none_or(|best| outputs[class] > outputs[best]) {
                other = Some(class);
            }
        }
        let margin = other.map_or(f64::INFINITY, |other| outputs[self.label] - outputs[other]);
        let right = margin > 0.0;
        let sample = Sample {
            parameters: parameters.to_vec(),
            margin,
            answer: if right {
                self.label
            } else {
                other.unwrap_or(self.label)
            },
        };
        let worse = |worst: &Sample| sample.margin < worst.margin || sample.margin.is_nan();
        if self.worst.as_ref().is_none_or(worse) {
            self.worst = Some(sample.clone());
        }
        Ok(sample)
    }

    /// Whether a wrong answer was found.
    pub(crate) fn wrong(&self) -> Option<&Sample> {
        self.worst.as_ref().filter(|worst| is_wrong(worst.margin))
    }

    /// Samples the whole box: its ends and points spread evenly.
    pub(crate) fn spread(&mut self, cell: &Cell, samples: usize) -> Result<()> {
        for parameters in [cell.centre(), cell.lower.clone(), cell.upper.clone()] {
            self.at(&parameters)?;
        }
        for index in 0..samples {
            let parameters: Vec<f64> = (0..cell.lower.len())
                .map(|dimension| within(cell, dimension, radical_inverse(dimension, index + 1)))
                .collect();
            self.at(&parameters)?;
            if self.wrong().is_some() {
                break;
            }
        }
        Ok(())
    }

    /// Goes downhill from the worst sample: a step along each parameter in turn, halved where
    /// neither direction is worse, until a wrong answer is found or the evaluations are spent.
    pub(crate) fn refine(&mut self, cell: &Cell, evaluations: usize) -> Result<()> {
        let Some(start) = self.worst.clone() else {
            return Ok(());
        };
        let end = self.evaluations + evaluations;
        let mut best = start;
        let mut steps: Vec<f64> = cell.widths().iter().map(|width| width / 16.0).collect();
        while self.evaluations < end && self.wrong().is_none() && steps.iter().any(|&s| s > 0.0) {
            for dimension in 0..steps.len() {
                let mut moved = false;
                for sign in [-1.0, 1.0] {
                    let mut parameters = best.parameters.clone();
                    let (low, high) = (cell.lower[dimension], cell.upper[dimension]);
                    parameters[dimension] =
                        (parameters[dimension] + sign * steps[dimension]).clamp(low, high);
                    if parameters == best.parameters {
                        continue;
                    }
                    let sample = self.at(&parameters)?;
                    if sample.margin < best.margin || sample.margin.is_nan() {
                        best = sample;
                        moved = true;
                        break;
                    }
                }
                if !moved {
                    steps[dimension] /= 2.0;
                    if steps[dimension] < 1e-9 * (cell.upper[dimension] - cell.lower[dimension]) {
                        steps[dimension] = 0.0;
                    }
                }
            }
        }
        Ok(())
    }
}

fn is_wrong(margin: f64) -> bool {
    margin < 0.0 || margin.is_nan()
}

/// The point of a cell at `fraction` of its width.
fn within(cell: &Cell, dimension: usize, fraction: f64) -> f64 {
    let (low, high) = (cell.lower[dimension], cell.upper[dimension]);
    (low + (high - low) * fraction).clamp(low, high)
}

/// Number `index` of van der Corput's sequence in the `dimension`-th prime base: points of
/// `(0, 1)` that every number of them spreads evenly (Halton 1960).
fn radical_inverse(dimension: usize, mut index: usize) -> f64 {
    const BASES: [usize; super::MAX_STEPS] = [2, 3, 5, 7, 11, 13, 17, 19];
    let base = BASES[dimension];
    let (mut value, mut digit) = (0.0, 1.0);
    while index > 0 {
        digit /= base as f64;
        value += digit * (index % base) as f64;
        index /= base;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halton_points() {
        let points: Vec<f64> = (1..=4).map(|index| radical_inverse(0, index)).collect();
        assert_eq!(points, [0.5, 0.25, 0.75, 0.125]);
        assert!((radical_inverse(1, 4) - 4.0 / 9.0).abs() < 1e-15);
    }
}
