//! Proof features: which neurons of the penultimate layer a proof rests on.
//!
//! After Banerjee, Singh and Singh, "Interpreting robustness proofs of deep neural networks"
//! (ICLR 2024). Let `h` be the neurons that the last fully connected layer takes, and `V h + v`
//! the property's rows with that layer merged into them. Feature `i` is the interval of `h_i` over
//! the region. Its *priority* is `max_j |V_ji| max(|l_i|, |u_i|)`, a limit of how much any row can
//! change if it goes. A set of features is *sufficient* where all rows are still proved to be at
//! least 0 with the last layer's columns of all other neurons 0 (its bias stays). An extraction
//! prunes features in an order, by bisection on how many.
//!
//! Sufficiency is not monotone, so what is found suffices but need not be minimal: only the
//! sets that the bisection visits were tried.

mod compare;
mod penultimate;
mod pictures;

use crate::alpha::{Ascent, Problem, State};
use crate::backward::{Pass, Start, Stop};
use crate::bounds::{tighter_lower, tighter_upper};
use crate::crown::{crown_relaxation, interval};
use crate::error::{Error, Result};
use crate::ground::Ground;
use crate::relaxation::Relaxation;
use crate::{Options, Property, Region, Slopes};

pub use compare::{Comparison, Growth, compare, cosine, growth, spearman};
use penultimate::Merged;
pub use penultimate::Penultimate;

/// What bounds the neurons and a property's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Method {
    /// Interval bound propagation.
    Interval,
    /// CROWN, with intermediate bounds by CROWN as well, intersected with intervals.
    Crown,
    /// CROWN without that intersection ([`crate::crown_without_intersection`]), which published proof
    /// features rest on.
    CrownAlone,
    /// As [`Method::Crown`], with slopes that are chosen for each of the property's rows.
    AlphaCrown {
        /// How many steps the slopes are improved in at most.
        steps: usize,
    },
}

/// One neuron of the penultimate layer as the proof sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Feature {
    /// Its position in the layer.
    pub neuron: usize,
    /// Lower and upper bound of its value over the region, rounded outward.
    pub interval: [f64; 2],
    /// The largest `|V_ji|` of any row `j` of the property.
    pub weight: f64,
    /// `weight` times the larger magnitude of the interval's ends.
    pub priority: f64,
}

/// In which order features are pruned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Least priority first.
    Priority,
    /// Least [`Feature::weight`] first: what can be told without a proof.
    Weight,
    /// At random, by a seed: the baseline.
    Random(u64),
}

/// A property bounded on a region, seen from the penultimate layer.
///
/// ```
/// use recert_bounds::features::{Method, Order, Penultimate, Proof};
/// use recert_bounds::{Network, Options, Property, Region};
/// use recert_graph::{Builder, Model};
///
/// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../recert-net/tests/golden/residual.onnx");
/// let network = Network::new(&Builder::new(&Model::read(path)?).build()?)?;
/// let image = vec![0.5; network.inputs()];
/// let outputs = network.evaluate(&image);
/// let label = (0..outputs.len()).max_by(|&i, &j| outputs[i].total_cmp(&outputs[j]));
/// let property = Property::label(outputs.len(), label.unwrap_or(0))?;
///
/// let cut = Penultimate::of(&network)?;
/// let region = Region::linf(&image, 1e-6)?;
/// let proof = Proof::new(&cut, &region, &property, Method::Crown, Options::default())?;
/// if let Some(kept) = proof.extract(Order::Priority)? {
///     println!("{} of {} neurons carry the proof", kept.len(), cut.neurons());
///     assert!(proof.sufficient(&kept)?);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Proof<'a> {
    relaxation: Relaxation<'a>,
    ground: Ground<'a>,
    method: Method,
    options: Options,
    property: Property,
    merged: Merged,
    features: Vec<Feature>,
    lower: Vec<f64>,
}

impl<'a> Proof<'a> {
    /// Bounds the neurons of the penultimate layer and the property's rows. That the rows cannot
    /// be proved positive is no error.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Argument`] where the region or property is not one of the network's;
    /// [`crate::ErrorKind::Memory`] where the memory allowed is too little.
    pub fn new(
        network: &'a Penultimate,
        region: &'a Region,
        property: &Property,
        method: Method,
        options: Options,
    ) -> Result<Self> {
        let hidden = network.hidden();
        let relaxation = if method == Method::Interval {
            Relaxation::of_bounds(hidden, region, &interval(hidden, region)?)?
        } else {
            let intersect = method != Method::CrownAlone;
            crown_relaxation(hidden, region, None, intersect, options)?.0
        };
        let mut proof = Self {
            relaxation,
            ground: Ground::new(region),
            method,
            options,
            property: property.clone(),
            merged: network.merged(&property.rows())?,
            features: Vec::new(),
            lower: Vec::new(),
        };
        let intervals = proof.intervals()?.into_iter().enumerate();
        let features = intervals.map(|(neuron, interval)| {
            let weight = proof.merged.weight(neuron);
            Feature {
                neuron,
                interval,
                weight,
                priority: weight * interval[0].abs().max(interval[1].abs()),
            }
        });
        proof.features = features.collect();
        let all: Vec<usize> = (0..network.neurons()).collect();
        proof.lower = proof.bounded(&all)?;
        Ok(proof)
    }

    /// Lower bounds of the property's rows, with all features.
    pub fn lower(&self) -> &[f64] {
        &self.lower
    }

    /// Whether the property is proved.
    pub fn verified(&self) -> bool {
        self.property.verified(&self.lower)
    }

    /// Every neuron of the penultimate layer, in order.
    pub fn features(&self) -> &[Feature] {
        &self.features
    }

    /// The neurons whose priority is above 0, the first to be pruned first. The others take no part
    /// in the proof.
    pub fn order(&self, order: Order) -> Vec<usize> {
        let features = self.features.iter();
        let mut features: Vec<&Feature> = features.filter(|f| f.priority > 0.0).collect();
        match order {
            Order::Priority => features.sort_by(|a, b| a.priority.total_cmp(&b.priority)),
            Order::Weight => features.sort_by(|a, b| a.weight.total_cmp(&b.weight)),
            Order::Random(seed) => fastrand::Rng::with_seed(seed).shuffle(&mut features),
        }
        features.iter().map(|feature| feature.neuron).collect()
    }

    /// Whether these neurons suffice: the property holds, with rows of at least 0 where it asks for
    /// positive ones, for the network whose last layer has zeros for all other neurons.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Argument`] where there is no such neuron.
    pub fn sufficient(&self, kept: &[usize]) -> Result<bool> {
        self.check(kept)?;
        let lower = self.bounded(kept)?;
        // The property asks for rows above 0, so that 0 itself has to pass for more.
        let lower: Vec<f64> = (lower.iter())
            .map(|&bound| {
                if bound == 0.0 {
                    f64::MIN_POSITIVE
                } else {
                    bound
                }
            })
            .collect();
        Ok(self.property.verified(&lower))
    }

    /// Neurons that suffice, the first to be pruned next first; `None` where the property is not
    /// proved.
    ///
    /// About `log2` of the number of features are the sets that are tried. The bounds of all
    /// values are those of the whole proof: the last layer has no influence on them.
    ///
    /// # Errors
    ///
    /// As [`Proof::new`].
    pub fn extract(&self, order: Order) -> Result<Option<Vec<usize>>> {
        if !self.verified() {
            return Ok(None);
        }
        let order = self.order(order);
        let pruned = bisect(order.len(), |pruned| self.sufficient(&order[pruned..]))?;
        let kept = order[pruned..].to_vec();
        // Part of the method: what is returned was proved to suffice, or is the whole proof.
        let suffices = pruned == 0 || self.sufficient(&kept)?;
        Ok(suffices.then_some(kept))
    }

    /// Checks that there are such neurons.
    fn check(&self, neurons: &[usize]) -> Result<()> {
        let count = self.features.len();
        match neurons.iter().find(|&&neuron| neuron >= count) {
            Some(neuron) => Err(Error::argument(format!(
                "there is no neuron {neuron} in a penultimate layer of {count}"
            ))),
            None => Ok(()),
        }
    }

    /// Bounds of the neurons.
    fn intervals(&self) -> Result<Vec<[f64; 2]>> {
        let hidden = self.relaxation.network;
        let bounds = &self.relaxation.bounds;
        let (lower, upper) = bounds.outputs(hidden);
        let mut intervals: Vec<[f64; 2]> =
            (lower.iter().zip(upper)).map(|(&l, &u)| [l, u]).collect();
        if self.method == Method::Interval {
            return Ok(intervals);
        }
        // A neuron that cannot be anything but 0 needs no pass.
        let alive = (0..intervals.len()).filter(|&i| intervals[i] != [0.0, 0.0]);
        let units: Vec<(usize, f64)> = alive.flat_map(|i| [(i, 1.0), (i, -1.0)]).collect();
        let found = self.pass(&Slopes::default()).bounds(
            hidden.output_value(),
            Start::Units(&units),
            self.options,
        )?;
        for (unit, pair) in units.chunks_exact(2).zip(found.chunks_exact(2)) {
            let [l, u] = &mut intervals[unit[0].0];
            if self.method == Method::CrownAlone {
                [*l, *u] = [pair[0], -pair[1]];
            } else {
                *l = tighter_lower(*l, pair[0]);
                *u = tighter_upper(*u, -pair[1]);
            }
        }
        Ok(intervals)
    }

    /// Lower bounds of the property's rows with all features but these 0.
    fn bounded(&self, kept: &[usize]) -> Result<Vec<f64>> {
        let rows = self.merged.rows(kept, &self.features);
        let value = self.relaxation.network.output_value();
        let start = Start::Rows(&rows);
        let slopes = Slopes::default();
        let Method::AlphaCrown { steps } = self.method else {
            return self.pass(&slopes).bounds(value, start, self.options);
        };
        let problem = Problem {
            relaxation: &self.relaxation,
            ground: &self.ground,
            value,
            start,
        };
        let state = State::new(&problem, rows.len(), &slopes, None);
        let ascent = Ascent {
            steps,
            ..Ascent::default()
        };
        let (bounds, _, _) = problem.ascend(state, rows.len(), ascent, self.options)?;
        Ok(bounds)
    }

    fn pass<'p>(&'p self, slopes: &'p Slopes) -> Pass<'p> {
        Pass {
            relaxation: &self.relaxation,
            ground: &self.ground,
            slopes,
            splits: None,
            stop: match self.method {
                Method::Interval => Stop::Activations,
                _ => Stop::Input,
            },
        }
    }
}

/// The largest number that `proves` was found to hold for, of those that bisection visits between 0
/// and `count - 1`; 0 where none was.
fn bisect(count: usize, mut proves: impl FnMut(usize) -> Result<bool>) -> Result<usize> {
    let (mut low, mut high) = (0, count);
    let mut largest = 0;
    // `low <= number < high` are left; the published loop keeps `high - 1`.
    while low < high {
        let middle = low + (high - 1 - low) / 2;
        if proves(middle)? {
            largest = middle;
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(largest)
}

#[cfg(test)]
mod tests;
