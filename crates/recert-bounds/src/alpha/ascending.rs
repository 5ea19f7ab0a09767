//! The ascent of a block of rows: bounds, gradients, steps.

use std::time::Instant;

use super::{Ascent, Problem, State};
use crate::backward::{Pass, Stop, Tape};
use crate::relaxation::Relaxed;
use crate::row_lines::RowLines;
use crate::step::{Kind, Part};

/// A block of rows while it is improved.
pub(super) struct Ascending<'a> {
    problem: Problem<'a>,
    /// The state of the block's rows.
    current: State,
    /// Which of all rows they are.
    rows: Vec<usize>,
    moments: Moments,
}

impl<'a> Ascending<'a> {
    /// Some rows with their state.
    pub(super) fn new(problem: Problem<'a>, current: State, rows: Vec<usize>) -> Self {
        Self {
            problem,
            current,
            rows,
            moments: Moments::default(),
        }
    }

    /// The number of parameters of a row: slopes, then multipliers of the row with most splits.
    fn parameters(&self) -> [usize; 2] {
        let activations = self.current.slopes.activations.iter();
        let slopes = activations.map(|chosen| chosen.neurons.len()).sum();
        let splits = self.current.splits.as_ref();
        let splits = splits.and_then(|splits| splits.iter().map(Vec::len).max());
        [slopes, splits.unwrap_or(0)]
    }

    /// Makes the steps; returns the number of passes of a row.
    pub(super) fn run(&mut self, bounds: &mut [f64], best: &mut State, ascent: Ascent) -> usize {
        let mut passes = 0;
        let mut rate = ascent.rate;
        let [slopes, splits] = self.parameters();
        let size = self.rows.len() * (slopes + splits);
        self.moments.first = vec![0.0; size];
        self.moments.second = vec![0.0; size];
        for count in 0..=ascent.steps {
            let mut tape = Tape::for_network(self.problem.relaxation.network);
            let made = self.bounded(&mut tape);
            passes += made.len();
            let mut open = Vec::new();
            for (i, (&row, &bound)) in self.rows.iter().zip(&made).enumerate() {
                if bound > bounds[row] {
                    bounds[row] = bound;
                    best.set(row, &self.current, i);
                }
                if bounds[row] <= ascent.target {
                    open.push(i);
                }
            }
            let late = ascent
                .deadline
                .is_some_and(|deadline| Instant::now() >= deadline);
            if count == ascent.steps || open.is_empty() || late || size == 0 {
                break;
            }
            self.step(&tape, rate, count as i32 + 1);
            rate *= ascent.decay;
            self.keep(&open, slopes + splits);
        }
        passes
    }

    /// Lower bounds of the block's rows.
    fn bounded(&self, tape: &mut Tape) -> Vec<f64> {
        let mut units = Vec::new();
        let mut rows = None;
        let start = self.problem.select(&self.rows, &mut units, &mut rows);
        let pass = Pass {
            relaxation: self.problem.relaxation,
            ground: self.problem.ground,
            slopes: &self.current.slopes,
            splits: self.current.splits.as_deref(),
            stop: Stop::Input,
        };
        let count = self.rows.len();
        pass.taped(self.problem.value, start, 0..count, tape)
    }

    /// Drops rows that are improved no further.
    fn keep(&mut self, open: &[usize], parameters: usize) {
        if open.len() == self.rows.len() {
            return;
        }
        self.current = self.current.of(open);
        self.rows = open.iter().map(|&i| self.rows[i]).collect();
        for moments in [&mut self.moments.first, &mut self.moments.second] {
            let rows = open
                .iter()
                .flat_map(|&i| &moments[i * parameters..(i + 1) * parameters]);
            *moments = rows.copied().collect();
        }
    }

    /// One step along the gradient of every row's bound.
    fn step(&mut self, tape: &Tape, rate: f64, count: i32) {
        let network = self.problem.relaxation.network;
        let arguments = self.forward(tape);
        let [slopes, splits] = self.parameters();
        let parameters = slopes + splits;
        let mut before = 0;
        for (number, chosen) in self.current.slopes.activations.iter_mut().enumerate() {
            let neurons = chosen.neurons.len();
            let (Some(outputs), Some(z)) = (&tape.outputs[number], &arguments[number]) else {
                before += neurons;
                continue;
            };
            let position = network.numbers.iter().position(|n| *n == Some(number));
            let range = position.and_then(|position| match &network.steps[position].kind {
                Kind::Elementwise(function) => function.free_slopes(),
                _ => None,
            });
            let Some([least, most]) = range else {
                before += neurons;
                continue;
            };
            let length = network.activations()[number].neurons;
            for row in 0..self.rows.len() {
                let of_row = row * length..(row + 1) * length;
                let (a, z) = (&outputs.data[of_row.clone()], &z[of_row]);
                let chosen_row = &mut chosen.slopes[row * neurons..(row + 1) * neurons];
                let gradient = |neuron: usize| a[neuron].max(0.0) * z[neuron];
                let size = largest(chosen.neurons.iter().map(|&neuron| gradient(neuron)));
                for (i, (slope, &neuron)) in chosen_row.iter_mut().zip(&chosen.neurons).enumerate()
                {
                    let at = row * parameters + before + i;
                    let step = self.moments.step(at, gradient(neuron), size, count);
                    *slope = (*slope + rate * step * (most - least)).clamp(least, most);
                }
            }
            before += neurons;
        }
        let Some(constrained) = &mut self.current.splits else {
            return;
        };
        let of_row = |row: &[f64]| largest(row.iter().copied());
        let scales: Vec<Vec<f64>> = (tape.outputs.iter())
            .map(|outputs| match outputs {
                Some(block) => block.data.chunks(block.row_len()).map(of_row).collect(),
                None => vec![0.0; constrained.len()],
            })
            .collect();
        for (row, constrained) in constrained.iter_mut().enumerate() {
            for (i, constrained) in constrained.iter_mut().enumerate() {
                let split = constrained.split;
                let Some(z) = &arguments[split.activation] else {
                    continue;
                };
                let neurons = network.activations()[split.activation].neurons;
                let z = &z[row * neurons..(row + 1) * neurons];
                let size = of_row(z);
                let z = z[split.neuron];
                let gradient = if split.positive { -z } else { z };
                let at = row * parameters + slopes + i;
                let step = self.moments.step(at, gradient, size, count);
                // Multipliers are of the size of the coefficients that they are taken from.
                let length = rate * MULTIPLIER_RATE * scales[split.activation][row];
                constrained.multiplier = (constrained.multiplier + length * step).max(0.0);
            }
        }
    }

    /// The arguments of each activation, all rows, when each row's minimizer is carried forward
    /// through the lines that the row uses.
    fn forward(&self, tape: &Tape) -> Vec<Option<Vec<f64>>> {
        let relaxation = self.problem.relaxation;
        let network = relaxation.network;
        let rows = self.rows.len();
        let mut arguments: Vec<Option<Vec<f64>>> = vec![None; network.activations().len()];
        let mut values: Vec<Vec<f64>> = vec![Vec::new(); network.layouts.len()];
        let starts = tape.input.chunks_exact(network.inputs());
        values[0] = starts
            .flat_map(|a| self.problem.ground.minimizer(a))
            .collect();
        let last = network.producers[self.problem.value].unwrap_or(0);
        for (position, step) in network.steps[..last].iter().enumerate() {
            let x = &values[step.inputs[0]];
            let length = network.layouts[step.output].len();
            let made = match (&step.kind, &relaxation.steps[position]) {
                (Kind::Linear(linear), _) => linear.forward(x, Part::Rows),
                (Kind::Sum(factors), _) => {
                    let mut sum = vec![0.0; rows * length];
                    for (&input, factor) in step.inputs.iter().zip(factors) {
                        for (sum, x) in sum.iter_mut().zip(&values[input]) {
                            *sum += factor * x;
                        }
                    }
                    sum
                }
                (Kind::Rearrange(rearrange), _) => {
                    let inputs = step.inputs.iter().map(|&id| &values[id][..]);
                    rearrange.forward(&inputs.collect::<Vec<_>>(), true)
                }
                (Kind::Elementwise(function), Relaxed::Lines(lines)) => {
                    let number = network.numbers[position].unwrap_or(0);
                    arguments[number] = Some(x.clone());
                    let splits = self.current.splits.as_deref();
                    let mut of_row =
                        RowLines::new(lines, function, number, &self.current.slopes, splits);
                    let mut made = vec![0.0; rows * length];
                    if let Some(a) = &tape.outputs[number] {
                        for row in 0..rows {
                            of_row.turn_to(row);
                            for i in 0..length {
                                let at = row * length + i;
                                made[at] = if a.data[at] >= 0.0 {
                                    of_row.below[i] * x[at] + of_row.below_offset[i]
                                } else {
                                    of_row.above[i] * x[at] + of_row.above_offset[i]
                                };
                            }
                        }
                    }
                    made
                }
                (Kind::MaxPool(pool), Relaxed::Pool(lines)) => {
                    let number = network.numbers[position].unwrap_or(0);
                    let mut made = vec![0.0; rows * length];
                    if let Some(a) = &tape.outputs[number] {
                        for (row, x) in x.chunks_exact(pool.input.len()).enumerate() {
                            for i in 0..length {
                                let at = row * length + i;
                                made[at] = if a.data[at] >= 0.0 {
                                    x[lines.lower[i] as usize]
                                } else {
                                    lines.slope[i] * x[lines.upper[i] as usize] + lines.offset[i]
                                };
                            }
                        }
                    }
                    made
                }
                _ => unreachable!("every step is relaxed as what it is"),
            };
            values[step.output] = made;
        }
        // What makes the value may be an activation itself, at a network's end.
        if let Some(producer) = network.producers[self.problem.value]
            && let Some(number) = network.numbers[producer]
        {
            let argument = network.steps[producer].inputs[0];
            arguments[number] = Some(std::mem::take(&mut values[argument]));
        }
        arguments
    }
}

/// The moments of Adam, for numbers in the order of a block's parameters.
#[derive(Default)]
struct Moments {
    first: Vec<f64>,
    second: Vec<f64>,
}

impl Moments {
    /// The step along a gradient, of length 1 where that does not change. `size` is that of the
    /// gradients beside it: one that is nothing but rounding next to them makes no step, whatever
    /// unit the network computes in.
    fn step(&mut self, at: usize, gradient: f64, size: f64, count: i32) -> f64 {
        let (first, second) = (&mut self.first[at], &mut self.second[at]);
        let gradient = if gradient.is_finite() { gradient } else { 0.0 };
        *first = 0.9 * *first + 0.1 * gradient;
        *second = 0.999 * *second + 0.001 * gradient * gradient;
        let mean = *first / (1.0 - 0.9_f64.powi(count));
        let square = *second / (1.0 - 0.999_f64.powi(count));
        if square > 0.0 {
            mean / (square.sqrt() + 1e-12 * size)
        } else {
            0.0
        }
    }
}

fn largest(numbers: impl Iterator<Item = f64>) -> f64 {
    numbers.fold(0.0, |most, number| most.max(number.abs()))
}

/// The length of a multiplier's step, to that of a slope's.
const MULTIPLIER_RATE: f64 = 0.5;
