//! The backward pass: linear functions of a value are carried to the network's input, step by
//! step, as functions that are nowhere larger.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::block::Block;
use crate::error::{Error, ErrorKind, Result};
use crate::ground::{Carried, Ground};
use crate::layout::Layout;
use crate::network::Network;
use crate::options::Options;
use crate::property::Rows;
use crate::relax::{MaxPool, PoolLines};
use crate::relaxation::{Relaxation, Relaxed, size};
use crate::rounding::{INFLATE, U, abs_dot, dot, gamma, signed_dot, signed_scale};
use crate::row_lines::RowLines;
use crate::slopes::Slopes;
use crate::split::Constrained;
use crate::step::{Kind, Linear, Step};

/// A block of more bytes than this is not carried at a time: it should fit a cache.
const CACHED: usize = 1 << 19;

/// Nor is one of more rows than this.
const MOST_ROWS: usize = 256;

/// How many blocks of the widest value exist at a time: a step's output and input, and what
/// waits for a sum.
const LIVE_BLOCKS: usize = 4;

/// What a pass starts from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Start<'a> {
    /// Single elements of a value, times 1 or -1.
    Units(&'a [(usize, f64)]),
    /// Functions of the network's outputs.
    Rows(&'a Rows),
}

/// Where a pass ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// At the input.
    Input,
    /// At the input and at the outputs of activations, whose bounds are taken: interval bounds with
    /// the linear steps that follow merged into one.
    Activations,
}

/// A backward pass.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pass<'a> {
    pub(crate) relaxation: &'a Relaxation<'a>,
    pub(crate) ground: &'a Ground<'a>,
    pub(crate) slopes: &'a Slopes,
    /// For each row, the splits that it is bounded within.
    pub(crate) splits: Option<&'a [Vec<Constrained>]>,
    pub(crate) stop: Stop,
}

/// The coefficients of rows after each activation, for whoever improves slopes by them.
#[derive(Debug, Default)]
pub(crate) struct Tape {
    /// By activation: the coefficients on its output, dense.
    pub(crate) outputs: Vec<Option<Block>>,
    /// The coefficients on the input.
    pub(crate) input: Vec<f64>,
}

impl Tape {
    /// An empty tape.
    pub(crate) fn for_network(network: &Network) -> Self {
        Self {
            outputs: vec![None; network.activations().len()],
            input: Vec::new(),
        }
    }
}

/// What has been added up of each row.
struct Sums {
    constants: Vec<f64>,
    charges: Vec<f64>,
}

impl Sums {
    /// Adds to a row's constant; what that rounds is charged.
    fn add(&mut self, row: usize, value: f64) {
        let sum = self.constants[row] + value;
        self.constants[row] = sum;
        self.charges[row] += 2.0 * U * sum.abs();
    }

    /// Adds the products with `vector` of all coefficients, and charges those with `slack`, which
    /// covers the rounding of these products.
    fn take(&mut self, block: &Block, layout: Layout, vector: Option<&[f64]>, slack: &[f64]) {
        block.runs(layout, |row, from, to| {
            let coefficients = &block.data[from];
            if let Some(vector) = vector {
                self.add(row, dot(coefficients, &vector[to.clone()]));
            }
            if !slack.is_empty() {
                self.charges[row] += abs_dot(coefficients, &slack[to]);
            }
        });
    }
}

impl Pass<'_> {
    /// Lower bounds of all rows of a start at `value`, block by block.
    pub(crate) fn bounds(
        &self,
        value: usize,
        start: Start<'_>,
        options: Options,
    ) -> Result<Vec<f64>> {
        let count = match start {
            Start::Units(units) => units.len(),
            Start::Rows(rows) => rows.len(),
        };
        let threads = options.threads.max(1);
        let rows = self.rows_at_once(value, options.memory / threads)?;
        let blocks = count.div_ceil(rows);
        if blocks <= 1 {
            return Ok(self.block(value, start, 0..count, None));
        }
        let next = AtomicUsize::new(0);
        let made = Mutex::new(vec![f64::NEG_INFINITY; count]);
        let work = || {
            loop {
                let block = next.fetch_add(1, Ordering::Relaxed);
                if block >= blocks {
                    return;
                }
                let range = block * rows..((block + 1) * rows).min(count);
                let bounds = self.block(value, start, range.clone(), None);
                let mut made = made.lock().unwrap_or_else(PoisonError::into_inner);
                made[range].copy_from_slice(&bounds);
            }
        };
        if threads == 1 {
            work();
        } else {
            std::thread::scope(|scope| {
                for _ in 0..threads.min(blocks) {
                    scope.spawn(work);
                }
            });
        }
        Ok(made.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many rows fit the memory.
    fn rows_at_once(&self, value: usize, memory: usize) -> Result<usize> {
        let network = self.relaxation.network;
        let last = network.producers[value].map_or(0, |step| step + 1);
        let steps = network.steps[..last].iter();
        let widest = steps
            .flat_map(|step| step.inputs.iter().chain([&step.output]))
            .map(|&id| network.layouts[id].len())
            .max()
            .unwrap_or(network.inputs());
        let row = widest * LIVE_BLOCKS * size_of::<f64>();
        match memory / row {
            0 => Err(Error::new(
                ErrorKind::Memory,
                format!(
                    "a row of coefficients takes {row} bytes, and {memory} are allowed a thread: \
                     allow more memory, or take fewer threads"
                ),
            )),
            rows => {
                let cached = CACHED / (widest * size_of::<f64>());
                Ok(rows.min(cached.clamp(16, MOST_ROWS)))
            }
        }
    }

    /// Lower bounds of a range of a start's rows. The coefficients on activations' outputs and
    /// on the input are put on the tape, if there is one.
    pub(crate) fn block(
        &self,
        value: usize,
        start: Start<'_>,
        range: std::ops::Range<usize>,
        mut tape: Option<&mut Tape>,
    ) -> Vec<f64> {
        let network = self.relaxation.network;
        let count = range.len();
        let mut sums = Sums {
            constants: vec![0.0; count],
            charges: vec![self.relaxation.floor; count],
        };
        let mut states: Vec<Option<Block>> = vec![None; network.layouts.len()];
        let mut last = network.producers[value].map_or(0, |step| step + 1);
        match start {
            Start::Units(units) => {
                let units = &units[range.clone()];
                if let Some((block, step)) = self.unit_rows(value, units, &mut sums) {
                    states[step.inputs[0]] = Some(block);
                    last -= 1;
                } else {
                    states[value] = Some(Block::units(network.layouts[value], units));
                }
            }
            Start::Rows(rows) => {
                let outputs = rows.outputs;
                let data = rows.coefficients[range.start * outputs..range.end * outputs].to_vec();
                sums.constants
                    .copy_from_slice(&rows.constants[range.clone()]);
                states[value] = Some(Block::dense(network.layouts[value], data));
            }
        }
        for (position, step) in network.steps[..last].iter().enumerate().rev() {
            let Some(block) = states[step.output].take() else {
                continue;
            };
            let layout = network.layouts[step.output];
            if self.stop == Stop::Activations && network.numbers[position].is_some() {
                self.conclude(step.output, &block, layout, &mut sums);
                continue;
            }
            if let (Some(tape), Some(number)) = (tape.as_deref_mut(), network.numbers[position]) {
                tape.outputs[number] = Some(block.clone().into_dense(layout));
            }
            let made = self.step(position, step, block, range.start, &mut sums);
            for (&input, block) in step.inputs.iter().zip(made) {
                let layout = network.layouts[input];
                states[input] = Some(match states[input].take() {
                    None => block,
                    Some(other) => {
                        let sum = other.plus(&block, layout);
                        // Each coefficient was rounded once.
                        let mut slack = self.relaxation.size(input);
                        for size in &mut slack {
                            *size *= 2.0 * U * INFLATE;
                        }
                        sums.take(&sum, layout, None, &slack);
                        sum
                    }
                });
            }
        }
        let input = match states[0].take() {
            Some(block) => block.into_dense(network.layouts[0]).data,
            None => vec![0.0; count * network.inputs()],
        };
        let rows = input.chunks_exact(network.inputs()).zip(&sums.constants);
        let bounds = rows
            .zip(&sums.charges)
            .map(|((coefficients, &constant), &charge)| {
                self.ground.least(Carried {
                    coefficients,
                    constant,
                    charge,
                })
            });
        let bounds = bounds.collect();
        if let Some(tape) = tape {
            tape.input = input;
        }
        bounds
    }

    /// The rows of the weights that single elements are, where a linear step makes the value.
    fn unit_rows(
        &self,
        value: usize,
        units: &[(usize, f64)],
        sums: &mut Sums,
    ) -> Option<(Block, &Step)> {
        let network = self.relaxation.network;
        let step = &network.steps[network.producers[value]?];
        let Kind::Linear(linear) = &step.kind else {
            return None;
        };
        let block = linear.unit_rows(units)?;
        let bias = linear.bias();
        for (row, &(index, factor)) in units.iter().enumerate() {
            sums.constants[row] = factor * bias[index];
        }
        Some((block, step))
    }

    /// Takes the bounds of an activation's output for what it is.
    fn conclude(&self, value: usize, block: &Block, layout: Layout, sums: &mut Sums) {
        let bounds = &self.relaxation.bounds;
        let (lower, upper) = (&bounds.lower[value], &bounds.upper[value]);
        let terms = gamma(layout.len() + 16);
        let mut slack = size(lower, upper);
        for size in &mut slack {
            *size *= terms * INFLATE;
        }
        block.runs(layout, |row, from, to| {
            let least = signed_dot(&block.data[from], &lower[to.clone()], &upper[to]);
            sums.add(row, least);
        });
        sums.take(block, layout, None, &slack);
    }

    /// Carries rows over the output of a step to its inputs.
    fn step(
        &self,
        position: usize,
        step: &Step,
        mut block: Block,
        first_row: usize,
        sums: &mut Sums,
    ) -> Vec<Block> {
        let network = self.relaxation.network;
        let layout = network.layouts[step.output];
        match (&step.kind, &self.relaxation.steps[position]) {
            (Kind::Linear(linear), Relaxed::Linear(slack)) => {
                if let Linear::Dense(_) = linear.centre() {
                    block = block.into_dense(layout);
                }
                sums.take(&block, layout, Some(linear.bias()), slack);
                vec![linear.backward(block)]
            }
            (Kind::Sum(factors), _) => {
                let mut blocks: Vec<Block> = Vec::with_capacity(factors.len());
                for _ in 1..factors.len() {
                    blocks.push(block.clone());
                }
                blocks.push(block);
                for (block, &factor) in blocks.iter_mut().zip(factors) {
                    if factor != 1.0 {
                        block.data.iter_mut().for_each(|a| *a *= factor);
                    }
                }
                blocks
            }
            (Kind::Rearrange(rearrange), Relaxed::Linear(slack)) => {
                if !slack.is_empty() {
                    sums.take(&block, layout, Some(&rearrange.constants), slack);
                }
                rearrange.backward(block)
            }
            (Kind::Elementwise(function), Relaxed::Lines(lines)) => {
                let number = network.numbers[position].unwrap_or(0);
                let rows = RowLines::new(lines, function, number, self.slopes, self.splits);
                vec![self.replaced(rows, &lines.slack, step.inputs[0], block, first_row, sums)]
            }
            (Kind::MaxPool(pool), Relaxed::Pool(lines)) => {
                vec![pooled(pool, lines, &block.into_dense(layout), sums)]
            }
            _ => unreachable!("every step is relaxed as what it is"),
        }
    }

    /// Puts lines in place of a function of each element of a value: below where a coefficient is
    /// not negative, above elsewhere. Then the constraints of splits are taken.
    fn replaced(
        &self,
        mut lines: RowLines<'_>,
        slack: &[f64],
        value: usize,
        mut block: Block,
        first_row: usize,
        sums: &mut Sums,
    ) -> Block {
        let layout = self.relaxation.network.layouts[value];
        let mut data = std::mem::take(&mut block.data);
        block.runs(layout, |row, from, to| {
            lines.turn_to(first_row + row);
            let data = &mut data[from];
            sums.charges[row] += abs_dot(data, &slack[to.clone()]);
            let offsets = [&lines.below_offset, &lines.above_offset];
            let [below, above] = offsets.map(|offsets| &offsets[to.clone()]);
            sums.add(row, signed_dot(data, below, above));
            signed_scale(data, &lines.below[to.clone()], &lines.above[to]);
        });
        block.data = data;
        if (0..block.rows()).all(|row| lines.splits(first_row + row).next().is_none()) {
            return block;
        }
        let mut block = block.into_dense(layout);
        let bounds = &self.relaxation.bounds;
        for (row, coefficients) in block.data.chunks_exact_mut(layout.len()).enumerate() {
            for constrained in lines.splits(first_row + row) {
                let neuron = constrained.split.neuron;
                let sum = coefficients[neuron] - constrained.taken();
                coefficients[neuron] = sum;
                let ends = [bounds.lower[value][neuron], bounds.upper[value][neuron]];
                let size = ends[0].abs().max(ends[1].abs());
                sums.charges[row] += 2.0 * U * sum.abs() * size * INFLATE;
            }
        }
        block
    }
}

/// Carries rows over the output of a pooling to its input.
fn pooled(pool: &MaxPool, lines: &PoolLines, block: &Block, sums: &mut Sums) -> Block {
    let length = pool.output.len();
    let zeros = vec![0.0; length];
    let mut data = vec![0.0; block.rows() * pool.input.len()];
    let rows = block
        .data
        .chunks_exact(length)
        .zip(data.chunks_exact_mut(pool.input.len()));
    for (row, (coefficients, made)) in rows.enumerate() {
        sums.charges[row] += abs_dot(coefficients, &lines.slack);
        sums.add(row, signed_dot(coefficients, &zeros, &lines.offset));
        for (i, &a) in coefficients.iter().enumerate() {
            if a >= 0.0 {
                made[lines.lower[i] as usize] += a;
            } else {
                // Also where it is NaN.
                made[lines.upper[i] as usize] += a * lines.slope[i];
            }
        }
    }
    Block::dense(pool.input, data)
}
