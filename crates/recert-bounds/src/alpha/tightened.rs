//! Bounds of neurons, tightened one layer after the other, with the slopes by which each follows.

use super::{Ascent, Problem, State};
use crate::backward::Start;
use crate::bounds::Bounds;
use crate::crown::unstable;
use crate::error::Result;
use crate::ground::Ground;
use crate::network::Network;
use crate::options::Options;
use crate::region::Region;
use crate::relaxation::Relaxation;
use crate::slopes::{ActivationSlopes, Slopes};
use crate::step::Kind;

/// Tighter bounds of values, and how they follow.
#[derive(Debug, Clone, PartialEq)]
pub struct Tightened {
    /// The bounds.
    pub bounds: Bounds,
    /// The slopes by which bounds before activations follow, in the order of the activations.
    pub neurons: Vec<TightenedNeurons>,
}

/// The slopes by which bounds before one activation follow.
#[derive(Debug, Clone, PartialEq)]
pub struct TightenedNeurons {
    /// The activation's number.
    pub activation: usize,
    /// The neurons, ascending.
    pub neurons: Vec<usize>,
    /// The slopes, by the activations before: two rows a neuron, of its lower bound and of its
    /// upper one.
    pub slopes: Vec<Fractions>,
    /// For each row whether it improves on the bounds that were begun with.
    pub improves: Vec<bool>,
}

/// Slopes as parts of the range that each activation's function allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fractions {
    /// The activation's number.
    pub activation: usize,
    /// Its neurons that are not stable, ascending.
    pub neurons: Vec<usize>,
    /// Row-major, one a row and neuron: how far it is from the least slope to the largest, of
    /// 255 steps.
    pub fractions: Vec<u8>,
}

/// The steps from the least slope to the largest that a tightened bound's slope is one of.
const STEPS: f64 = 255.0;

/// How far a slope is on the way from the least to the largest that a function allows, of 255
/// steps.
fn fraction(slope: f64, [least, most]: [f64; 2]) -> u8 {
    if most > least {
        ((slope - least) / (most - least) * STEPS).round() as u8
    } else {
        0
    }
}

/// The slope that a fraction stands for.
fn slope(fraction: u8, [least, most]: [f64; 2]) -> f64 {
    match fraction {
        0 => least,
        u8::MAX => most,
        part => least + (most - least) * (f64::from(part) / STEPS),
    }
}

/// The bounds of values before activations, tightened one activation after the other: each bound
/// that [`crate::crown`] leaves unstable is improved with slopes of its own, until the neuron is
/// stable or the steps are used up.
///
/// Slopes are rounded to one of 255 steps before the bounds that are returned are computed with
/// them, so that a proof can keep each in a byte.
///
/// Each bound is at least as tight, yet a row that is carried back through them need not have a
/// larger bound: the line above a ReLU on a shorter interval is higher beyond it, and a linear
/// bound does not know that the argument never gets there. Where that matters, take the better of
/// both.
///
/// # Errors
///
/// As [`crate::crown`].
pub fn tightened(
    network: &Network,
    region: &Region,
    bounds: &Bounds,
    ascent: Ascent,
    options: Options,
) -> Result<Tightened> {
    bounds.check(network)?;
    let ground = Ground::new(region);
    let mut relaxation = Relaxation::begun(network, region)?;
    let mut all = Vec::new();
    let mut seen_activation = false;
    for (position, step) in network.steps.iter().enumerate() {
        let value = step.inputs[0];
        let neurons = if seen_activation {
            unstable(&relaxation, &step.kind, value)
        } else {
            Vec::new()
        };
        if !neurons.is_empty() {
            let units: Vec<(usize, f64)> = (neurons.iter())
                .flat_map(|&neuron| [(neuron, 1.0), (neuron, -1.0)])
                .collect();
            let problem = Problem {
                relaxation: &relaxation,
                ground: &ground,
                value,
                start: Start::Units(&units),
            };
            let (found, slopes) = improved(&problem, units.len(), ascent, options)?;
            let mut lower = relaxation.bounds.lower[value].clone();
            let mut upper = relaxation.bounds.upper[value].clone();
            let mut improves = Vec::with_capacity(units.len());
            for (&neuron, pair) in neurons.iter().zip(found.chunks_exact(2)) {
                improves.push(pair[0] > bounds.lower[value][neuron]);
                improves.push(-pair[1] < bounds.upper[value][neuron]);
                lower[neuron] = pair[0];
                upper[neuron] = -pair[1];
            }
            relaxation.tighten(value, &lower, &upper);
            if let Some(activation) = network.numbers[position] {
                all.push(TightenedNeurons {
                    activation,
                    neurons,
                    slopes,
                    improves,
                });
            }
        }
        seen_activation |= network.numbers[position].is_some();
        relaxation.push(position);
        let made = step.output;
        relaxation.tighten(made, &bounds.lower[made], &bounds.upper[made]);
    }
    Ok(Tightened {
        bounds: relaxation.bounds,
        neurons: all,
    })
}

/// Improves rows: their bounds, and the rounded slopes by which these follow.
fn improved(
    problem: &Problem<'_>,
    rows: usize,
    ascent: Ascent,
    options: Options,
) -> Result<(Vec<f64>, Vec<Fractions>)> {
    let usual = State::new(problem, rows, &Slopes::default(), None);
    let (_, mut state, _) = problem.ascend(usual.clone(), rows, ascent, options)?;
    let network = problem.relaxation.network;
    each(network, &mut state.slopes, |range, slope_of| {
        *slope_of = slope(fraction(*slope_of, range), range);
    });
    // No more than bounding them as they are.
    let once = Ascent { steps: 0, ..ascent };
    let (before, ..) = problem.ascend(usual.clone(), rows, once, options)?;
    let (mut bounds, ..) = problem.ascend(state.clone(), rows, once, options)?;
    for (row, (bound, &before)) in bounds.iter_mut().zip(&before).enumerate() {
        let better = *bound > before;
        if !better {
            *bound = before;
            state.set(row, &usual, row);
        }
    }
    let mut slopes = state.into_slopes();
    let mut fractions = Vec::new();
    let numbers = each(network, &mut slopes, |range, slope| {
        fractions.push(fraction(*slope, range));
    });
    let mut fractions = fractions.into_iter();
    let of_activation = |activation: usize| {
        let ActivationSlopes { neurons, slopes } = &slopes.activations[activation];
        Fractions {
            activation,
            neurons: neurons.clone(),
            fractions: fractions.by_ref().take(slopes.len()).collect(),
        }
    };
    let fractions = numbers.into_iter().map(of_activation).collect();
    Ok((bounds, fractions))
}

/// Calls `visit` with every slope and the range that its function allows; the numbers of the
/// activations that it came to, in order.
fn each(
    network: &Network,
    slopes: &mut Slopes,
    mut visit: impl FnMut([f64; 2], &mut f64),
) -> Vec<usize> {
    let mut numbers = Vec::new();
    for (position, step) in network.steps.iter().enumerate() {
        let (Kind::Elementwise(function), Some(number)) = (&step.kind, network.numbers[position])
        else {
            continue;
        };
        let (Some(range), Some(chosen)) =
            (function.free_slopes(), slopes.activations.get_mut(number))
        else {
            continue;
        };
        for slope in &mut chosen.slopes {
            visit(range, slope);
        }
        numbers.push(number);
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fraction_stands_for_the_slope_that_it_is_of() {
        for range in [
            [0.0, 1.0],
            [0.01, 1.0],
            [f64::from(0.1_f32), 1.0],
            [1.0, 1.0],
        ] {
            for part in 0..=u8::MAX {
                let value = slope(part, range);
                assert!(range[0] <= value && value <= range[1]);
                assert!(fraction(value, range) == part || range[0] == range[1]);
            }
            assert_eq!(slope(0, range), range[0]);
            assert_eq!(slope(255, range), range[1]);
        }
    }
}
