//! The backward pass: linear functions of a value are carried to the network's input, step by
//! step, as functions that are nowhere larger.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::block::Block;
use crate::buffers::Buffers;
use crate::error::{Error, ErrorKind, Result};
use crate::ground::{Carried, Ground};
use crate::layout::Layout;
use crate::network::Network;
use crate::options::Options;
use crate::property::Rows;
use crate::relax::{MaxPool, PoolLines};
use crate::relaxation::{Relaxation, Relaxed, sum_slack};
use crate::rounding::{INFLATE, SignedLines, U, abs_dot, dots, signed_dot, take_lines};
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
#[derive(Clone)]
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
                let [sum, charge] = dots(coefficients, &vector[to.clone()], &slack[to]);
                self.add(row, sum);
                self.charges[row] += charge;
            } else {
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
        self.bounds_within(value, start, options, &mut Buffers::default())
    }

    /// As [`Pass::bounds`], in memory that may be used again by another pass.
    pub(crate) fn bounds_within(
        &self,
        value: usize,
        start: Start<'_>,
        options: Options,
        buffers: &mut Buffers,
    ) -> Result<Vec<f64>> {
        let count = match start {
            Start::Units(units) => units.len(),
            Start::Rows(rows) => rows.len(),
        };
        let threads = options.threads.max(1);
        let units = matches!(start, Start::Units(_));
        let rows = self.rows_at_once(value, units, options.memory / threads)?;
        let blocks = count.div_ceil(rows);
        if blocks <= 1 {
            return Ok(self.carried(value, start, 0..count, None, buffers));
        }
        let next = AtomicUsize::new(0);
        let made = Mutex::new(vec![f64::NEG_INFINITY; count]);
        let work = |buffers: &mut Buffers| {
            loop {
                let block = next.fetch_add(1, Ordering::Relaxed);
                if block >= blocks {
                    return;
                }
                let range = block * rows..((block + 1) * rows).min(count);
                let bounds = self.carried(value, start, range.clone(), None, buffers);
                let mut made = made.lock().unwrap_or_else(PoisonError::into_inner);
                made[range].copy_from_slice(&bounds);
            }
        };
        if threads == 1 {
            work(buffers);
        } else {
            std::thread::scope(|scope| {
                for _ in 0..threads.min(blocks) {
                    scope.spawn(|| work(&mut Buffers::default()));
                }
            });
        }
        Ok(made.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many rows fit the memory, and about fit a cache.
    fn rows_at_once(&self, value: usize, units: bool, memory: usize) -> Result<usize> {
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
                let cached = CACHED / (self.widest(value, units) * size_of::<f64>());
                Ok(rows.min(cached.clamp(16, MOST_ROWS)))
            }
        }
    }

    /// The most coefficients of a row at a time: those of the widest window, where rows are
    /// single elements.
    fn widest(&self, value: usize, units: bool) -> usize {
        let network = self.relaxation.network;
        let whole = |id: usize| [network.layouts[id].height, network.layouts[id].width];
        let mut sizes: Vec<Option<[usize; 2]>> = vec![None; network.layouts.len()];
        sizes[value] = Some(if units { [1, 1] } else { whole(value) });
        let last = network.producers[value].map_or(0, |step| step + 1);
        let mut widest = 1;
        for step in network.steps[..last].iter().rev() {
            let Some(size) = sizes[step.output] else {
                continue;
            };
            widest = widest.max(size[0] * size[1] * network.layouts[step.output].channels);
            for (position, &input) in step.inputs.iter().enumerate() {
                let reached = step.kind.reached(position, size).unwrap_or(whole(input));
                let known = sizes[input].unwrap_or([0, 0]);
                sizes[input] = Some([0, 1].map(|axis| known[axis].max(reached[axis])));
            }
        }
        let [height, width] = sizes[0].unwrap_or([0, 0]);
        widest.max(height * width * network.layouts[0].channels)
    }

    /// Lower bounds of a range of a start's rows. The coefficients on activations' outputs and on
    /// the input are put on the tape.
    pub(crate) fn taped(
        &self,
        value: usize,
        start: Start<'_>,
        range: std::ops::Range<usize>,
        tape: &mut Tape,
    ) -> Vec<f64> {
        self.carried(value, start, range, Some(tape), &mut Buffers::default())
    }

    /// Lower bounds of a range of a start's rows; a tape, if there is one, is filled.
    fn carried(
        &self,
        value: usize,
        start: Start<'_>,
        range: std::ops::Range<usize>,
        mut tape: Option<&mut Tape>,
        buffers: &mut Buffers,
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
                if let Some((block, step)) = self.unit_rows(value, units, &mut sums, buffers) {
                    states[step.inputs[0]] = Some(block);
                    last -= 1;
                } else {
                    states[value] = Some(Block::units(network.layouts[value], units, buffers));
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
        let front = self.relaxation.front.as_ref();
        // What rows were at the front; where there is a tape, they go on for it alone.
        let mut concluded = None;
        for (position, step) in network.steps[..last].iter().enumerate().rev() {
            let Some(block) = states[step.output].take() else {
                continue;
            };
            let layout = network.layouts[step.output];
            if let Some(front) = front.filter(|front| front.value == step.output) {
                self.conclude(step.output, &block, &front.slack, &mut sums);
                concluded = Some(sums.clone());
                if tape.is_none() {
                    buffers.give(block.data);
                    continue;
                }
            }
            if self.stop == Stop::Activations && network.numbers[position].is_some() {
                let slack = sum_slack(&self.relaxation.bounds, step.output);
                self.conclude(step.output, &block, &slack, &mut sums);
                continue;
            }
            if let (Some(tape), Some(number)) = (tape.as_deref_mut(), network.numbers[position]) {
                tape.outputs[number] = Some(block.clone().into_dense(layout, buffers));
            }
            let made = self.step(position, step, block, range.start, &mut sums, buffers);
            for (&input, block) in step.inputs.iter().zip(made) {
                states[input] = Some(match states[input].take() {
                    None => block,
                    Some(other) => self.added(input, other, block, &mut sums, buffers),
                });
            }
        }
        let block = states[0].take();
        if let (Some(front), Some(block)) = (front.filter(|front| front.value == 0), &block) {
            self.conclude(0, block, &front.slack, &mut sums);
            concluded = Some(sums.clone());
        }
        let input = if tape.is_none() && concluded.is_some() {
            block.map_or_else(Vec::new, |block| block.data)
        } else {
            match block {
                Some(block) => block.into_dense(network.layouts[0], buffers).data,
                None => vec![0.0; count * network.inputs()],
            }
        };
        let bounds = match concluded {
            Some(sums) => self.least(&sums, &[]),
            None => self.least(&sums, &input),
        };
        match tape {
            Some(tape) => tape.input = input,
            None => buffers.give(input),
        }
        bounds
    }

    /// The sum of rows that a value gets from several of its users.
    fn added(
        &self,
        value: usize,
        block: Block,
        other: Block,
        sums: &mut Sums,
        buffers: &mut Buffers,
    ) -> Block {
        let layout = self.relaxation.network.layouts[value];
        let sum = block.plus(other, layout, buffers);
        // Each coefficient was rounded once.
        let mut slack = self.relaxation.size(value);
        for size in &mut slack {
            *size *= 2.0 * U * INFLATE;
        }
        sums.take(&sum, layout, None, &slack);
        sum
    }

    /// The least values on the region of rows whose coefficients on the input are these; none where
    /// they were concluded before.
    fn least(&self, sums: &Sums, input: &[f64]) -> Vec<f64> {
        let inputs = input.len() / sums.constants.len().max(1);
        let rows = sums.constants.iter().zip(&sums.charges).enumerate();
        let bounds = rows.map(|(row, (&constant, &charge))| {
            self.ground.least(Carried {
                coefficients: &input[row * inputs..(row + 1) * inputs],
                constant,
                charge,
            })
        });
        bounds.collect()
    }

    /// The rows of the weights that single elements are, where a linear step makes the value.
    fn unit_rows(
        &self,
        value: usize,
        units: &[(usize, f64)],
        sums: &mut Sums,
        buffers: &mut Buffers,
    ) -> Option<(Block, &Step)> {
        let network = self.relaxation.network;
        let step = &network.steps[network.producers[value]?];
        let Kind::Linear(linear) = &step.kind else {
            return None;
        };
        let block = linear.unit_rows(units, buffers)?;
        let bias = linear.bias();
        for (row, &(index, factor)) in units.iter().enumerate() {
            sums.constants[row] = factor * bias[index];
        }
        Some((block, step))
    }

    /// Takes the bounds of a value for what it is; the slack covers the rounding of that.
    fn conclude(&self, value: usize, block: &Block, slack: &[f64], sums: &mut Sums) {
        let layout = self.relaxation.network.layouts[value];
        let bounds = &self.relaxation.bounds;
        let (lower, upper) = (&bounds.lower[value], &bounds.upper[value]);
        block.runs(layout, |row, from, to| {
            let least = signed_dot(&block.data[from], &lower[to.clone()], &upper[to]);
            sums.add(row, least);
        });
        sums.take(block, layout, None, slack);
    }

    /// Carries rows over the output of a step to its inputs.
    fn step(
        &self,
        position: usize,
        step: &Step,
        mut block: Block,
        first_row: usize,
        sums: &mut Sums,
        buffers: &mut Buffers,
    ) -> Vec<Block> {
        let network = self.relaxation.network;
        let layout = network.layouts[step.output];
        match (&step.kind, &self.relaxation.steps[position]) {
            (Kind::Linear(linear), Relaxed::Linear(slack)) => {
                if let Linear::Dense(_) = linear.centre() {
                    block = block.into_dense(layout, buffers);
                }
                sums.take(&block, layout, Some(linear.bias()), slack);
                vec![linear.backward(block, buffers)]
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
                rearrange.backward(block, buffers)
            }
            (Kind::Elementwise(function), Relaxed::Lines(lines)) => {
                let number = network.numbers[position].unwrap_or(0);
                let mut rows = RowLines::new(lines, function, number, self.slopes, self.splits);
                let input = step.inputs[0];
                replaced(&mut rows, layout, &mut block, first_row, sums);
                if (0..block.rows()).any(|row| rows.splits(first_row + row).next().is_some()) {
                    block = block.into_dense(layout, buffers);
                    self.constrained(&rows, input, &mut block, first_row, sums);
                }
                vec![block]
            }
            (Kind::MaxPool(pool), Relaxed::Pool(lines)) => {
                vec![pooled(pool, lines, block, sums, buffers)]
            }
            _ => unreachable!("every step is relaxed as what it is"),
        }
    }

    /// Takes the constraints of splits on an activation, whose argument is `value`.
    fn constrained(
        &self,
        lines: &RowLines<'_>,
        value: usize,
        block: &mut Block,
        first_row: usize,
        sums: &mut Sums,
    ) {
        let bounds = &self.relaxation.bounds;
        let length = block.row_len();
        for (row, coefficients) in block.data.chunks_exact_mut(length).enumerate() {
            for constrained in lines.splits(first_row + row) {
                let neuron = constrained.split.neuron;
                let sum = coefficients[neuron] - constrained.taken();
                coefficients[neuron] = sum;
                let ends = [bounds.lower[value][neuron], bounds.upper[value][neuron]];
                let size = ends[0].abs().max(ends[1].abs());
                sums.charges[row] += 2.0 * U * sum.abs() * size * INFLATE;
            }
        }
    }
}

/// Puts lines in place of a function of each element of a value: below where a coefficient is
/// not negative, above elsewhere.
fn replaced(
    lines: &mut RowLines<'_>,
    layout: Layout,
    block: &mut Block,
    first_row: usize,
    sums: &mut Sums,
) {
    let mut data = std::mem::take(&mut block.data);
    block.runs(layout, |row, from, to| {
        lines.turn_to(first_row + row);
        let slopes = [&lines.below, &lines.above];
        let offsets = [&lines.below_offset, &lines.above_offset];
        let lines = SignedLines {
            slopes: slopes.map(|slopes| &slopes[to.clone()]),
            offsets: offsets.map(|offsets| &offsets[to.clone()]),
            slack: &lines.slack()[to],
        };
        let [sum, charge] = take_lines(&mut data[from], lines);
        sums.add(row, sum);
        sums.charges[row] += charge;
    });
    block.data = data;
}

/// Carries rows over the output of a pooling to its input.
fn pooled(
    pool: &MaxPool,
    lines: &PoolLines,
    block: Block,
    sums: &mut Sums,
    buffers: &mut Buffers,
) -> Block {
    let mut made = if let Some(window) = &pool.window {
        let size = window.reached(block.size);
        let origins = block.origins.iter();
        let origins = origins.map(|&origin| window.origin(origin, size)).collect();
        Block::zeros(size, pool.input.channels, origins, buffers)
    } else {
        let data = buffers.zeros(block.rows() * pool.input.len());
        Block::dense(pool.input, data)
    };
    let zeros = vec![0.0; pool.output.len()];
    let length = made.row_len();
    let Layout {
        width, channels, ..
    } = pool.input;
    block.runs(pool.output, |row, from, to| {
        let coefficients = &block.data[from];
        sums.charges[row] += abs_dot(coefficients, &lines.slack[to.clone()]);
        let above = signed_dot(coefficients, &zeros[to.clone()], &lines.offset[to.clone()]);
        sums.add(row, above);
        let [top, left] = made.origins[row];
        let mut add = |element: u32, a: f64| {
            let (position, channel) = (element as usize / channels, element as usize % channels);
            let y = (position / width) as isize - top;
            let x = (position % width) as isize - left;
            let place = (y as usize * made.size[1] + x as usize) * channels + channel;
            made.data[row * length + place] += a;
        };
        for (&a, i) in coefficients.iter().zip(to) {
            if a >= 0.0 {
                add(lines.lower[i], a);
            } else {
                // Also where it is NaN.
                add(lines.upper[i], a * lines.slope[i]);
            }
        }
    });
    buffers.give(block.data);
    made
}
