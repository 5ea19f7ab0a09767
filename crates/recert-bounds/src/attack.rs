//! Search for counterexamples by projected gradient descent (PGD).
//!
//! The search follows gradients of the network in f64 and only ever stands on points that
//! float32 holds and that lie in the region exactly, so that what it finds is an input which an
//! inference engine can be given. A counterexample is a claim about the network in f64; that
//! an engine answers wrongly too is for the caller to see, by running it.
//!
//! Source: Madry et al., "Towards deep learning models resistant to adversarial attacks", ICLR
//! 2018; signed steps in boxes, normalised ones in L2 balls, each shrinking linearly to nothing.

mod place;

use std::time::Instant;

use self::place::{Place, Random};
use crate::error::{Error, Result};
use crate::network::Network;
use crate::property::{Constraint, Property};
use crate::region::Region;

/// How long to search, and from where.
///
/// The same search of the same network, region and property finds the same, unless `deadline`
/// ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attack {
    /// Gradient steps from each start.
    pub steps: usize,
    /// Starts: the first is the centre of the region, the others are drawn from it.
    pub restarts: usize,
    /// What the starts are drawn by.
    pub seed: u64,
    /// When to give up.
    pub deadline: Option<Instant>,
}

impl Default for Attack {
    /// 40 steps from each of 5 starts, seed 0, no deadline.
    fn default() -> Self {
        Self {
            steps: 40,
            restarts: 5,
            seed: 0,
            deadline: None,
        }
    }
}

/// An input whose outputs, computed in f64, are in the unsafe set.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Counterexample {
    /// The input, in the network's order.
    pub input: Vec<f32>,
    /// Its outputs, in f64.
    pub outputs: Vec<f64>,
    /// [`Property::worst`] of the outputs: at most 0.
    pub worst: f64,
    /// Whether the input lies in the region exactly. It does not where the region is so narrow in
    /// some element that it holds no float32 there; the nearest stands for it then.
    pub inside: bool,
}

/// By how much the property has to be violated for the search to stop at once; less than
/// this, an engine may round to the other side, so that the search from this start is finished.
const CLEAR: f64 = 1e-4;

/// The length of the first step, as a share of the region's half-width or radius.
const FIRST_STEP: f64 = 0.5;

/// The gradient of `cotangent . f` at a point, given both.
type Gradient<'f> = dyn Fn(&[f64], &[f64]) -> Vec<f64> + 'f;

impl Attack {
    /// Searches a region for an input with outputs in the property's unsafe set, and returns the
    /// first that is clearly in it, or the one deepest in it where none is.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Argument`](crate::ErrorKind::Argument) where region and property do not fit
    /// the network; [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for
    /// [`Region::Parametric`], whose counterexamples are values of its parameters.
    pub fn search(
        &self,
        network: &Network,
        region: &Region,
        property: &Property,
    ) -> Result<Option<Counterexample>> {
        region.check(network.inputs())?;
        if property.outputs() != network.outputs() {
            return Err(Error::argument(format!(
                "a property of {} outputs for a network with {}",
                property.outputs(),
                network.outputs()
            )));
        }
        let evaluate = |x: &[f64]| network.evaluate(x);
        let gradient = |x: &[f64], cotangent: &[f64]| network.gradient(x, cotangent);
        self.search_in(&evaluate, &gradient, region, property)
    }

    /// The same for any function with gradients.
    fn search_in(
        &self,
        evaluate: &dyn Fn(&[f64]) -> Vec<f64>,
        gradient: &Gradient<'_>,
        region: &Region,
        property: &Property,
    ) -> Result<Option<Counterexample>> {
        let place = Place::new(region)?;
        let mut best: Option<Counterexample> = None;
        let mut order: Vec<usize> = Vec::new();
        for restart in 0..self.restarts {
            let mut random = Random::new(self.seed, restart as u64);
            let mut x = if restart == 0 {
                place.centre()
            } else {
                place.draw(&mut random)
            };
            for step in 0..=self.steps {
                if self
                    .deadline
                    .is_some_and(|deadline| Instant::now() >= deadline)
                {
                    return Ok(best);
                }
                let outputs = evaluate(&x);
                if order.is_empty() {
                    order = nearest_first(property, &outputs);
                }
                let worst = property.worst(&outputs);
                if worst <= best.as_ref().map_or(0.0, |best| best.worst) {
                    best = Some(Counterexample {
                        input: x.iter().map(|&x| x as f32).collect(),
                        inside: place.holds_floats() && region.contains(&x),
                        outputs: outputs.clone(),
                        worst,
                    });
                }
                if worst <= -CLEAR {
                    return Ok(best);
                }
                // From the centre, whichever alternative is nearest; then each for itself.
                let target = match order.as_slice() {
                    [] => return Ok(best),
                    order if restart > 0 => order[(restart - 1) % order.len()],
                    _ => nearest(property, &outputs),
                };
                let Some(constraint) = hardest(&property.unsafe_set()[target], &outputs) else {
                    return Ok(best);
                };
                if step == self.steps {
                    break;
                }
                let mut cotangent = vec![0.0; outputs.len()];
                for &(output, factor) in &constraint.coefficients {
                    cotangent[output] += factor;
                }
                let direction = gradient(&x, &cotangent);
                let left = (self.steps - step) as f64 / self.steps as f64;
                if !place.descend(&mut x, &direction, FIRST_STEP * left) {
                    break;
                }
            }
            if best.is_some() {
                return Ok(best);
            }
        }
        Ok(best)
    }
}

/// The constraint of a conjunction that is furthest from holding.
fn hardest<'c>(conjunction: &'c [Constraint], outputs: &[f64]) -> Option<&'c Constraint> {
    let by_excess =
        |a: &&Constraint, b: &&Constraint| a.excess(outputs).total_cmp(&b.excess(outputs));
    conjunction.iter().max_by(by_excess)
}

/// How far each conjunction is from holding.
fn distances(property: &Property, outputs: &[f64]) -> Vec<f64> {
    let conjunctions = property.unsafe_set().iter();
    conjunctions
        .map(|all| hardest(all, outputs).map_or(f64::NEG_INFINITY, |c| c.excess(outputs)))
        .collect()
}

fn nearest(property: &Property, outputs: &[f64]) -> usize {
    let distances = distances(property, outputs);
    let positions = 0..distances.len();
    positions
        .min_by(|&a, &b| distances[a].total_cmp(&distances[b]))
        .unwrap_or(0)
}

/// The conjunctions by how near they are.
fn nearest_first(property: &Property, outputs: &[f64]) -> Vec<usize> {
    let distances = distances(property, outputs);
    let mut order: Vec<usize> = (0..distances.len()).collect();
    order.sort_by(|&a, &b| distances[a].total_cmp(&distances[b]));
    order
}

#[cfg(test)]
mod tests;
