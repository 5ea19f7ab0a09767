//! Branch and bound over unstable neurons.
//!
//! A neuron whose ReLU is not stable is split: its argument is at least 0 in one half and at most 0 in
//! the other, where it is linear. Both halves are bounded with slopes and multipliers of their
//! own (alpha-beta-CROWN), and split again until every part is proved, a point is found that
//! violates the property, or time or nodes are used up. Bunel et al., *Branch and bound for
//! piecewise linear neural network verification*, JMLR 2020; Wang et al., *Beta-CROWN*, NeurIPS
//! 2021.

use std::collections::BinaryHeap;
use std::time::Instant;

use crate::alpha::{Ascent, Problem, State, minimizers};
use crate::backward::{Pass, Start, Stop, Tape};
use crate::bounds::Bounds;
use crate::cover::check_leaves;
use crate::error::Result;
use crate::ground::Ground;
use crate::network::Network;
use crate::options::Options;
use crate::property::{Property, Rows};
use crate::region::Region;
use crate::relaxation::{Relaxation, Relaxed};
use crate::slopes::{ActivationSlopes, Slopes};
use crate::split::{Constrained, Split};
use crate::step::Kind;

/// What a search may take, and how its parts are bounded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Search {
    /// How many parts are bounded at most, all conjunctions together.
    pub nodes: usize,
    /// No part is bounded after this time.
    pub deadline: Option<Instant>,
    /// How many parts are split at a time.
    pub batch: usize,
    /// The steps for the whole region.
    pub root: Ascent,
    /// The steps for a part.
    pub part: Ascent,
}

impl Default for Search {
    /// 10,000 parts without a deadline, 16 split at a time.
    fn default() -> Self {
        Self {
            nodes: 10_000,
            deadline: None,
            batch: 16,
            root: Ascent::default(),
            part: Ascent {
                steps: 10,
                rate: 0.2,
                ..Ascent::default()
            },
        }
    }
}

/// The steps for a part in which nothing is left to split.
const POLISH: Ascent = Ascent {
    steps: 200,
    rate: 0.5,
    decay: 0.98,
    target: 0.0,
    deadline: None,
};

/// How many steps are made towards a violation from the least point of the whole region, or of a part
/// in which nothing is left to split.
const DESCENT: usize = 30;

/// A part that was proved: with these multipliers and slopes, a row is positive on it.
#[derive(Debug, Clone, PartialEq)]
pub struct Leaf {
    /// Which of [`Property::rows`] is positive.
    pub row: usize,
    /// The splits that the part is within, with their multipliers.
    pub splits: Vec<Constrained>,
    /// The slopes.
    pub slopes: Slopes,
    /// The lower bound of the row.
    pub bound: f64,
}

/// How a search ended.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// The property holds: for each conjunction, the leaves cover the region.
    Verified {
        /// The proved parts, conjunction by conjunction.
        leaves: Vec<Vec<Leaf>>,
        /// How many parts were bounded.
        nodes: usize,
    },
    /// A point of the region for which the outputs, computed in f64, are in the unsafe set. Whoever
    /// reports it evaluates the network itself.
    Candidate {
        /// The point.
        point: Vec<f64>,
        /// How many parts were bounded.
        nodes: usize,
    },
    /// Neither was found.
    Unknown {
        /// The least lower bound of an open part.
        bound: f64,
        /// How many parts were bounded.
        nodes: usize,
    },
}

/// A part of the region that is not proved, ordered so that the one with the least bound is
/// split first.
#[derive(Debug, Clone)]
struct Part {
    bound: f64,
    /// Which one was made first, so that the order is the same every time.
    number: usize,
    splits: Vec<Constrained>,
    slopes: Slopes,
    row: usize,
    /// What to split next.
    next: Option<(usize, usize)>,
}

impl PartialEq for Part {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Part {}

impl PartialOrd for Part {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Part {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        other
            .bound
            .total_cmp(&self.bound)
            .then(other.number.cmp(&self.number))
    }
}

/// Proves a property on a region, given bounds of all values there, or finds a point that
/// violates it.
///
/// Complete for networks whose only activations are ReLU (of any slope before 0), given time; those
/// of other activations are relaxed, and not split.
///
/// # Errors
///
/// As [`crate::lower`].
pub fn branch_and_bound(
    network: &Network,
    region: &Region,
    bounds: &Bounds,
    property: &Property,
    start: &Slopes,
    search: Search,
    options: Options,
) -> Result<Outcome> {
    branch_and_bound_from(
        network,
        region,
        bounds,
        property,
        start,
        &[],
        search,
        options,
    )
}

/// The same, where parts are known into which the region had to be split for another network: for
/// each conjunction that has several, the search begins with these, their slopes and their
/// multipliers, rather than with the whole region. What was proved of the other network does not
/// matter for what is proved of this one.
///
/// Source: Ugare, Banerjee, Misailovic and Singh, *Incremental verification of neural networks*,
/// PLDI 2023 (IVAN).
///
/// # Errors
///
/// As [`branch_and_bound`]; [`crate::ErrorKind::Argument`] where leaves are not of this property and
/// network, or do not cover the region.
#[expect(
    clippy::too_many_arguments,
    reason = "a problem, where to begin, and what a search may take"
)]
pub fn branch_and_bound_from(
    network: &Network,
    region: &Region,
    bounds: &Bounds,
    property: &Property,
    start: &Slopes,
    leaves: &[Vec<Leaf>],
    search: Search,
    options: Options,
) -> Result<Outcome> {
    check_leaves(network, property, leaves)?;
    let rows = property.rows();
    crate::crown::check_rows(network, &rows)?;
    let relaxation = Relaxation::of_bounds(network, region, bounds)?;
    let ground = Ground::new(region);
    let mut tree = Tree {
        relaxation: &relaxation,
        ground: &ground,
        property,
        rows: &rows,
        start,
        search,
        options,
        nodes: 0,
        candidate: None,
    };
    let mut proved_parts = Vec::new();
    let mut first = 0;
    for (number, conjunction) in property.unsafe_set().iter().enumerate() {
        let range = first..first + conjunction.len();
        first = range.end;
        let known = leaves.get(number).map_or(&[][..], |leaves| &leaves[..]);
        match tree.conjunction(range, known)? {
            Ok(proved) => proved_parts.push(proved),
            Err(bound) => {
                let nodes = tree.nodes;
                return Ok(match tree.candidate {
                    Some(point) => Outcome::Candidate { point, nodes },
                    None => Outcome::Unknown { bound, nodes },
                });
            }
        }
    }
    Ok(Outcome::Verified {
        leaves: proved_parts,
        nodes: tree.nodes,
    })
}

/// A search, over all conjunctions.
struct Tree<'a> {
    relaxation: &'a Relaxation<'a>,
    ground: &'a Ground<'a>,
    property: &'a Property,
    rows: &'a Rows,
    start: &'a Slopes,
    search: Search,
    options: Options,
    nodes: usize,
    candidate: Option<Vec<f64>>,
}

impl Tree<'_> {
    /// Proves that one of some rows is positive everywhere: the leaves, or the least bound of what
    /// is open.
    fn conjunction(
        &mut self,
        rows: std::ops::Range<usize>,
        known: &[Leaf],
    ) -> Result<Result<Vec<Leaf>, f64>> {
        let mut leaves = Vec::new();
        let mut open: BinaryHeap<Part> = BinaryHeap::new();
        let mut made = 0;
        if known.len() > 1 {
            for some in known.chunks(self.search.batch.max(1)) {
                let late = self
                    .search
                    .deadline
                    .is_some_and(|end| Instant::now() >= end);
                if self.candidate.is_some() || late || self.nodes >= self.search.nodes {
                    return Ok(Err(f64::NEG_INFINITY));
                }
                let parts = some.iter().map(|leaf| {
                    made += 1;
                    Part {
                        bound: f64::NEG_INFINITY,
                        number: made,
                        splits: leaf.splits.clone(),
                        slopes: leaf.slopes.clone(),
                        row: leaf.row,
                        next: None,
                    }
                });
                let parts = parts.collect();
                for part in self.bounded(parts, self.search.root)? {
                    if part.bound > 0.0 {
                        leaves.push(leaf(part));
                    } else {
                        open.push(part);
                    }
                }
            }
            return self.pursued(open, leaves, made);
        }
        // Each row on the whole region; the most promising is pursued.
        let roots = rows.clone().map(|row| Part {
            bound: f64::NEG_INFINITY,
            number: 0,
            splits: Vec::new(),
            slopes: self.given(row),
            row,
            next: None,
        });
        let roots = self.bounded(roots.collect(), self.search.root)?;
        let best = roots.into_iter().max_by(|a, b| a.bound.total_cmp(&b.bound));
        let Some(root) = best else {
            return Ok(Err(f64::NEG_INFINITY));
        };
        if root.bound > 0.0 {
            return Ok(Ok(vec![leaf(root)]));
        }
        open.push(root);
        self.pursued(open, leaves, made)
    }

    /// Splits open parts until all are proved: the leaves, or the least bound of what is open.
    fn pursued(
        &mut self,
        mut open: BinaryHeap<Part>,
        mut leaves: Vec<Leaf>,
        mut made: usize,
    ) -> Result<Result<Vec<Leaf>, f64>> {
        while let Some(least) = open.peek().map(|part| part.bound) {
            let late = self
                .search
                .deadline
                .is_some_and(|end| Instant::now() >= end);
            if self.candidate.is_some() || late || self.nodes >= self.search.nodes {
                return Ok(Err(least));
            }
            let mut halves = Vec::new();
            for _ in 0..self.search.batch.max(1) {
                let Some(part) = open.pop() else { break };
                let Some((activation, neuron)) = part.next else {
                    // Nothing is left to split: a linear program, of which this is the dual.
                    let polished = self.bounded(vec![part], POLISH)?.remove(0);
                    if polished.bound > 0.0 {
                        leaves.push(leaf(polished));
                        continue;
                    }
                    return Ok(Err(polished.bound));
                };
                for positive in [true, false] {
                    made += 1;
                    let mut half = part.clone();
                    half.number = made;
                    half.splits.push(Constrained {
                        split: Split {
                            activation,
                            neuron,
                            positive,
                        },
                        multiplier: 0.0,
                    });
                    halves.push(half);
                }
            }
            for part in self.bounded(halves, self.search.part)? {
                if part.bound > 0.0 {
                    leaves.push(leaf(part));
                } else {
                    open.push(part);
                }
            }
        }
        Ok(Ok(leaves))
    }

    /// The slopes given for a row.
    fn given(&self, row: usize) -> Slopes {
        let numbers = 0..self.start.activations.len();
        let activations = numbers.map(|number| match self.start.of(number, row) {
            Some((neurons, slopes)) => ActivationSlopes {
                neurons: neurons.to_vec(),
                slopes: slopes.to_vec(),
            },
            None => ActivationSlopes::default(),
        });
        Slopes {
            activations: activations.collect(),
        }
    }

    /// Bounds parts, each with the slopes and multipliers it brings improved; finds what to split
    /// next, and whether the least point of one violates the property.
    fn bounded(&mut self, mut parts: Vec<Part>, ascent: Ascent) -> Result<Vec<Part>> {
        let positions: Vec<usize> = parts.iter().map(|part| part.row).collect();
        let rows = self.rows.select(&positions);
        let problem = Problem {
            relaxation: self.relaxation,
            ground: self.ground,
            value: self.relaxation.network.output,
            start: Start::Rows(&rows),
        };
        let ascent = Ascent {
            deadline: self.search.deadline,
            ..ascent
        };
        let at_once = problem.rows_at_once(self.options)?;
        let count = parts.len();
        let splits = parts.iter().map(|part| part.splits.clone()).collect();
        let given = joined(parts.iter().map(|part| &part.slopes));
        let state = State::new(&problem, count, &given, Some(splits));
        let (bounds, state, _) = problem.ascend(state, count, ascent, self.options)?;
        self.nodes += count;
        let mut first = 0;
        while first < count {
            let range = first..(first + at_once).min(count);
            let mut tape = Tape::for_network(self.relaxation.network);
            let pass = Pass {
                relaxation: self.relaxation,
                ground: self.ground,
                slopes: &state.slopes,
                splits: state.splits.as_deref(),
                stop: Stop::Input,
            };
            pass.taped(problem.value, problem.start, range.clone(), &mut tape);
            let points = minimizers(&problem, &tape, 0..range.len());
            for (i, row) in range.clone().enumerate() {
                let part = &mut parts[row];
                // What its parent's bound was holds for a part too.
                part.bound = if bounds[row] > part.bound {
                    bounds[row]
                } else {
                    part.bound
                };
                part.slopes = of_row(&state.slopes, row);
                if let Some(splits) = &state.splits {
                    part.splits.clone_from(&splits[row]);
                }
                if part.bound > 0.0 {
                    continue;
                }
                part.next = self.choice(&tape, i, part);
                if self.candidate.is_none() {
                    let steps = if part.splits.is_empty() || part.next.is_none() {
                        DESCENT
                    } else {
                        0
                    };
                    self.candidate = self.descend(&points[i], steps);
                }
            }
            first = range.end;
        }
        Ok(parts)
    }

    /// A point near `x` that violates the property, after at most so many steps along the sign of
    /// the gradient, each shorter than the one before.
    fn descend(&self, x: &[f64], steps: usize) -> Option<Vec<f64>> {
        let network = self.relaxation.network;
        let region = self.ground.region;
        let (lower, upper) = region.bounding_box();
        let mut x = region.point_near(x)?;
        for step in 0..=steps {
            let outputs = network.evaluate(&x);
            if self.property.violated(&outputs) {
                return Some(x);
            }
            if step == steps {
                break;
            }
            let worst = self.property.worst_constraint(&outputs)?;
            let mut cotangent = vec![0.0; outputs.len()];
            for &(output, factor) in &worst.coefficients {
                cotangent[output] += factor;
            }
            let gradient = network.gradient(&x, &cotangent);
            let length = 0.5 * 0.8_f64.powi(step as i32);
            let ends = lower.iter().zip(upper);
            let moved = x.iter().zip(&gradient).zip(ends).map(|((x, g), (l, u))| {
                let direction = if *g == 0.0 { 0.0 } else { g.signum() };
                x - length * (u - l) * direction
            });
            x = region.point_near(&moved.collect::<Vec<_>>())?;
        }
        None
    }

    /// The unstable neuron whose lines lose most in a row: with a negative coefficient the offset of the
    /// line above, with a positive one the larger of what the line below leaves at both ends.
    fn choice(&self, tape: &Tape, row: usize, part: &Part) -> Option<(usize, usize)> {
        let network = self.relaxation.network;
        let bounds = &self.relaxation.bounds;
        let mut best = None;
        let mut most = -1.0;
        for (position, step) in network.steps.iter().enumerate() {
            let (Kind::Elementwise(function), Relaxed::Lines(lines), Some(number)) = (
                &step.kind,
                &self.relaxation.steps[position],
                network.numbers[position],
            ) else {
                continue;
            };
            let (Some([least_slope, most_slope]), Some(outputs)) =
                (function.free_slopes(), &tape.outputs[number])
            else {
                continue;
            };
            let length = lines.slack.len();
            let coefficients = &outputs.data[row * length..(row + 1) * length];
            let Some((neurons, slopes)) = part.slopes.of(number, 0) else {
                continue;
            };
            for (&neuron, slope) in neurons.iter().zip(slopes) {
                let is_split = part.splits.iter().any(|constrained| {
                    constrained.split.activation == number && constrained.split.neuron == neuron
                });
                if is_split {
                    continue;
                }
                let a = coefficients[neuron];
                let value = step.inputs[0];
                let (l, u) = (bounds.lower[value][neuron], bounds.upper[value][neuron]);
                let loss = if a >= 0.0 {
                    a * ((slope - least_slope) * -l).max((most_slope - slope) * u)
                } else {
                    -a * lines.upper_offset[neuron]
                };
                if loss > most {
                    most = loss;
                    best = Some((number, neuron));
                }
            }
        }
        best
    }
}

fn leaf(part: Part) -> Leaf {
    Leaf {
        row: part.row,
        splits: part.splits,
        slopes: part.slopes,
        bound: part.bound,
    }
}

/// The slopes of one row.
fn of_row(slopes: &Slopes, row: usize) -> Slopes {
    let activations = slopes.activations.iter().map(|chosen| {
        let count = chosen.neurons.len();
        ActivationSlopes {
            neurons: chosen.neurons.clone(),
            slopes: chosen.slopes[row * count..(row + 1) * count].to_vec(),
        }
    });
    Slopes {
        activations: activations.collect(),
    }
}

/// The slopes of several rows, where those of each are of the same neurons; else the default.
fn joined<'s>(rows: impl Iterator<Item = &'s Slopes>) -> Slopes {
    let mut all: Option<Slopes> = None;
    for slopes in rows {
        match &mut all {
            None => all = Some(slopes.clone()),
            Some(all) => {
                let same = all.activations.len() == slopes.activations.len()
                    && (all.activations.iter().zip(&slopes.activations))
                        .all(|(a, b)| a.neurons == b.neurons);
                if !same {
                    return Slopes::default();
                }
                for (a, b) in all.activations.iter_mut().zip(&slopes.activations) {
                    a.slopes.extend(&b.slopes);
                }
            }
        }
    }
    all.unwrap_or_default()
}
