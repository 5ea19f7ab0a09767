//! Lower lines whose slopes are chosen for a row (alpha-CROWN).
//!
//! Xu et al., *Fast and complete: enabling complete verification with rapid and massively parallel
//! incomplete verifiers*, ICLR 2021. With the coefficients A on an activation's outputs, a row's
//! bound at the input's minimizer x* is `A line(z) + ..` with z the activation's argument when x*
//! is carried forward through the lines that the row uses. Its derivative by the slope of a line
//! below is therefore `max(A, 0) z`, and by the multiplier of a split `z >= 0` it is `-z`. Any slopes and
//! multipliers give a bound that holds, so that nothing about the ascent needs a proof.

mod ascending;
mod tightened;

use std::ops::Range;
use std::time::Instant;

use self::ascending::Ascending;
pub use self::tightened::{Fractions, Tightened, TightenedNeurons, tightened};
use crate::backward::{Start, Tape};
use crate::bounds::Bounds;
use crate::crown::check_rows;
use crate::error::{Error, ErrorKind, Result};
use crate::ground::Ground;
use crate::network::Network;
use crate::options::Options;
use crate::property::Rows;
use crate::region::Region;
use crate::relaxation::{Relaxation, Relaxed};
use crate::slopes::{ActivationSlopes, Slopes};
use crate::split::Constrained;
use crate::step::Kind;

/// How slopes are improved: projected steps of Adam.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ascent {
    /// How many steps at most.
    pub steps: usize,
    /// The length of the first step, in units of slope.
    pub rate: f64,
    /// The factor from one step's length to the next.
    pub decay: f64,
    /// A row whose bound is above this is improved no further.
    pub target: f64,
    /// No step begins after this time.
    pub deadline: Option<Instant>,
}

impl Default for Ascent {
    /// 20 steps, the first of length 0.5, until a bound is positive.
    fn default() -> Self {
        Self {
            steps: 20,
            rate: 0.5,
            decay: 0.97,
            target: 0.0,
            deadline: None,
        }
    }
}

/// The best bounds that were found, and the slopes that give them.
#[derive(Debug, Clone, PartialEq)]
pub struct Optimized {
    /// A lower bound of each row.
    pub bounds: Vec<f64>,
    /// The slopes, a row a row.
    pub slopes: Slopes,
    /// How many backward passes of a row were made.
    pub passes: usize,
}

/// Lower bounds of functions of the outputs as [`crate::lower`], with slopes that are chosen for
/// each of them, from `start` on. The first step is the bound with those of `start`, so that none is
/// looser. No bit depends on the memory.
///
/// ```
/// use recert_bounds::{Ascent, Network, Options, Property, Region, Slopes, crown, lower, optimized};
/// use recert_graph::{Builder, Model};
///
/// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../recert-net/tests/golden/residual.onnx");
/// let network = Network::for_labels(&Builder::new(&Model::read(path)?).build()?)?;
/// let region = Region::linf(&vec![0.5; network.inputs()], 0.01)?;
/// let rows = Property::label(network.outputs(), 0)?.rows();
/// let (slopes, options) = (Slopes::default(), Options::default());
/// let bounds = crown(&network, &region, options)?;
/// let plain = lower(&network, &region, &bounds, &rows, &slopes, options)?;
/// let ascent = Ascent { steps: 5, target: f64::INFINITY, ..Ascent::default() };
/// let found = optimized(&network, &region, &bounds, &rows, &slopes, ascent, options)?;
/// assert!(found.bounds.iter().zip(&plain).all(|(found, plain)| found >= plain));
/// // The slopes prove the bounds.
/// let again = lower(&network, &region, &bounds, &rows, &found.slopes, options)?;
/// assert_eq!(again, found.bounds);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// As [`crate::lower`].
pub fn optimized(
    network: &Network,
    region: &Region,
    bounds: &Bounds,
    rows: &Rows,
    start: &Slopes,
    ascent: Ascent,
    options: Options,
) -> Result<Optimized> {
    check_rows(network, rows)?;
    start.check(network)?;
    let relaxation = Relaxation::of_bounds(network, region, bounds)?;
    let ground = Ground::new(region);
    let problem = Problem {
        relaxation: &relaxation,
        ground: &ground,
        value: network.output,
        start: Start::Rows(rows),
    };
    let count = rows.len();
    let state = State::new(&problem, count, start, None);
    let (bounds, state, passes) = problem.ascend(state, count, ascent, options)?;
    Ok(Optimized {
        bounds,
        slopes: state.into_slopes(),
        passes,
    })
}

/// Rows that start at a value, to be bounded from below.
#[derive(Clone, Copy)]
pub(crate) struct Problem<'a> {
    pub(crate) relaxation: &'a Relaxation<'a>,
    pub(crate) ground: &'a Ground<'a>,
    pub(crate) value: usize,
    pub(crate) start: Start<'a>,
}

/// What is chosen for each row: slopes, and multipliers of splits.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) slopes: Slopes,
    pub(crate) splits: Option<Vec<Vec<Constrained>>>,
}

impl State {
    /// Slopes of all unstable neurons that the rows can depend on, a row each, from given ones or
    /// the default.
    pub(crate) fn new(
        problem: &Problem<'_>,
        rows: usize,
        given: &Slopes,
        splits: Option<Vec<Vec<Constrained>>>,
    ) -> Self {
        let network = problem.relaxation.network;
        let mut slopes = Slopes::default();
        for (position, relaxed) in problem.relaxation.steps.iter().enumerate() {
            let (Relaxed::Lines(lines), Kind::Elementwise(function), Some(number)) = (
                relaxed,
                &network.steps[position].kind,
                network.numbers[position],
            ) else {
                if network.numbers[position].is_some() {
                    slopes.activations.push(ActivationSlopes::default());
                }
                continue;
            };
            let mut chosen = ActivationSlopes::default();
            if function.free_slopes().is_some() {
                let differ = |&i: &usize| lines.lower_slope[i] != lines.upper_slope[i];
                chosen.neurons = (0..lines.slack.len()).filter(differ).collect();
                for row in 0..rows {
                    let from = chosen.slopes.len();
                    let defaults = chosen.neurons.iter().map(|&i| lines.lower_slope[i]);
                    chosen.slopes.extend(defaults);
                    let Some((neurons, values)) = given.of(number, row) else {
                        continue;
                    };
                    for (neuron, value) in neurons.iter().zip(values) {
                        if let Ok(place) = chosen.neurons.binary_search(neuron) {
                            chosen.slopes[from + place] = *value;
                        }
                    }
                }
            }
            slopes.activations.push(chosen);
        }
        Self { slopes, splits }
    }

    /// The state of some rows.
    fn of(&self, rows: &[usize]) -> Self {
        let activations = self.slopes.activations.iter().map(|chosen| {
            let count = chosen.neurons.len();
            let slopes = rows
                .iter()
                .flat_map(|&row| &chosen.slopes[row * count..(row + 1) * count]);
            ActivationSlopes {
                neurons: chosen.neurons.clone(),
                slopes: slopes.copied().collect(),
            }
        });
        let of_rows =
            |splits: &Vec<Vec<Constrained>>| rows.iter().map(|&row| splits[row].clone()).collect();
        Self {
            slopes: Slopes {
                activations: activations.collect(),
            },
            splits: self.splits.as_ref().map(of_rows),
        }
    }

    /// Puts the state of another's row in place of a row.
    fn set(&mut self, row: usize, other: &Self, from: usize) {
        for (chosen, other) in self
            .slopes
            .activations
            .iter_mut()
            .zip(&other.slopes.activations)
        {
            let count = chosen.neurons.len();
            chosen.slopes[row * count..(row + 1) * count]
                .copy_from_slice(&other.slopes[from * count..(from + 1) * count]);
        }
        if let (Some(splits), Some(others)) = (&mut self.splits, &other.splits) {
            splits[row].clone_from(&others[from]);
        }
    }

    fn into_slopes(self) -> Slopes {
        self.slopes
    }
}

impl Problem<'_> {
    /// How many rows fit the memory.
    pub(crate) fn rows_at_once(&self, options: Options) -> Result<usize> {
        let layouts = self.relaxation.network.layouts.iter();
        let elements: usize = layouts.map(|layout| layout.len()).sum();
        // Coefficients, those kept on the tape, and the point carried forward.
        let row = 4 * elements * size_of::<f64>();
        match options.memory / row.max(1) {
            0 => Err(Error::new(
                ErrorKind::Memory,
                format!(
                    "to improve slopes takes {row} bytes a row, and {} are allowed: allow more memory",
                    options.memory
                ),
            )),
            rows => Ok(rows.min(256)),
        }
    }

    /// Improves `count` rows from a state on: the best bounds, the state that gives them, and the
    /// number of passes.
    pub(crate) fn ascend(
        &self,
        mut state: State,
        count: usize,
        ascent: Ascent,
        options: Options,
    ) -> Result<(Vec<f64>, State, usize)> {
        let at_once = self.rows_at_once(options)?;
        let mut bounds = vec![f64::NEG_INFINITY; count];
        let mut passes = 0;
        let rows: Vec<usize> = (0..count).collect();
        for rows in rows.chunks(at_once) {
            let mut block = Ascending::new(*self, state.of(rows), rows.to_vec());
            passes += block.run(&mut bounds, &mut state, ascent);
        }
        Ok((bounds, state, passes))
    }

    /// The rows at some positions as a start of their own; `units` and `rows` hold them.
    fn select<'s>(
        &self,
        positions: &[usize],
        units: &'s mut Vec<(usize, f64)>,
        rows: &'s mut Option<Rows>,
    ) -> Start<'s> {
        match self.start {
            Start::Units(all) => {
                *units = positions.iter().map(|&position| all[position]).collect();
                Start::Units(units)
            }
            Start::Rows(all) => Start::Rows(rows.insert(all.select(positions))),
        }
    }
}

/// The minimizer of each row on the input, of coefficients on a tape.
pub(crate) fn minimizers(problem: &Problem<'_>, tape: &Tape, rows: Range<usize>) -> Vec<Vec<f64>> {
    let inputs = problem.relaxation.network.inputs();
    let row = |row: usize| {
        problem
            .ground
            .minimizer(&tape.input[row * inputs..(row + 1) * inputs])
    };
    rows.map(row).collect()
}
