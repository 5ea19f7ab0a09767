//! A linear layer on every row of a plain tensor, and what follows it.

use crate::maths::map;
use crate::memory::Buffer;
use crate::pointwise::{Arith, Operand, Step, Unary};
use crate::rows::{MOST, Rows};
use crate::simd::{Call, FloatKernel, Floats, Isa, LANES, Lanes};
use crate::tile::Clamp;

/// What a tile makes: block by block, [`MOST`] rows each.
pub(crate) type Results = [Lanes; MOST[0] * MOST[1]];

/// `x W + b` of every row, a chain of functions of it, and perhaps a residual
/// added: every sum is the bias, then one fused multiply-add an input, in
/// order.
pub(crate) struct Linear {
    rows: usize,
    inputs: usize,
    outputs: usize,
    /// `[set of output blocks][input][output block][16]`; the last set may
    /// have fewer blocks.
    weights: Buffer,
    bias: Buffer,
    chain: Vec<Late>,
    residual: bool,
    isa: Isa,
}

/// A [`Step`] on the outputs of a tile.
enum Late {
    Clamp(Clamp),
    Unary(Unary),
    /// With a number; whether that is the first operand.
    One(Arith, f32, bool),
    /// With one number an output.
    Columns(Arith, Buffer, bool),
    /// With what other steps make of the sum.
    Own(Arith, Vec<Late>, bool),
}

impl Linear {
    /// Whether a chain can follow a linear layer in one pass.
    pub(crate) fn takes(steps: &[Step]) -> bool {
        steps.iter().all(|step| match step {
            Step::Clamp(_) | Step::Unary(_) => true,
            Step::With(_, operand) | Step::From(_, operand) => {
                matches!(operand, Operand::One(_) | Operand::Columns(_))
            }
            Step::Own { steps, .. } => Self::takes(steps),
        })
    }

    /// `weights` is `[inputs, outputs]`, `bias` one value an output; the chain
    /// is one that [`Linear::takes`].
    pub(crate) fn new(
        [rows, inputs]: [usize; 2],
        weights: &[f32],
        bias: &[f32],
        steps: &[Step],
        residual: bool,
        isa: Isa,
    ) -> Self {
        let outputs = bias.len();
        assert_eq!(weights.len(), inputs * outputs);
        let blocks = outputs.div_ceil(LANES);
        let mut packed = Buffer::zeros(blocks * LANES * inputs);
        let matrix = Matrix {
            values: weights,
            shape: [inputs, outputs],
            strides: [outputs, 1],
        };
        matrix.pack(isa, None, packed.values_mut());
        Self {
            rows,
            inputs,
            outputs,
            weights: packed,
            bias: Buffer::of(bias),
            chain: late(steps),
            residual,
            isa,
        }
    }

    /// Computes one image.
    pub(crate) fn run(&self, input: &[f32], residual: Option<&[f32]>, output: &mut [f32]) {
        assert_eq!(residual.is_some(), self.residual);
        self.isa.run_floats(Call {
            op: self,
            input,
            residual,
            output,
        });
    }
}

/// A chain made ready.
fn late(steps: &[Step]) -> Vec<Late> {
    let with = |arith: &Arith, operand: &Operand, first| match operand {
        Operand::One(value) => Late::One(*arith, *value, first),
        Operand::Columns(values) => Late::Columns(*arith, Buffer::of(values), first),
        _ => unreachable!("`takes` has refused it"),
    };
    let one = |step: &Step| match step {
        Step::Clamp(clamp) => Late::Clamp(*clamp),
        Step::Unary(function) => Late::Unary(*function),
        Step::With(arith, operand) => with(arith, operand, false),
        Step::From(arith, operand) => with(arith, operand, true),
        Step::Own {
            arith,
            steps,
            first,
        } => Late::Own(*arith, late(steps), *first),
    };
    steps.iter().map(one).collect()
}

/// A matrix in memory, of any strides.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    pub(crate) values: &'a [f32],
    /// Rows and columns.
    pub(crate) shape: [usize; 2],
    /// From a row to the next one, and from a column.
    pub(crate) strides: [usize; 2],
}

/// The sets of blocks of outputs, each from its first block on: of two blocks
/// where the instruction set has registers for them, but for the last one.
pub(crate) fn sets(blocks: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let firsts = (0..blocks).step_by(most);
    firsts.map(move |first| (first, most.min(blocks - first)))
}

impl Matrix<'_> {
    /// Writes the matrix in the order in which tiles take weights: `[set of
    /// blocks of columns][row][block][16]`, times a factor where there is one.
    /// Columns that fill up the last block become zeros.
    pub(crate) fn pack(&self, isa: Isa, factor: Option<f32>, packed: &mut [f32]) {
        let [rows, columns] = self.shape;
        let [row_stride, column_stride] = self.strides;
        let blocks = columns.div_ceil(LANES);
        let scaled = |value: f32| factor.map_or(value, |factor| value * factor);
        for (first, size) in sets(blocks, isa.float_tile().most_blocks()) {
            let packed = &mut packed[first * LANES * rows..][..size * LANES * rows];
            let columns = first * LANES..columns.min((first + size) * LANES);
            let width = size * LANES;
            if columns.len() < width {
                packed.fill(0.0);
            }
            if column_stride == 1 {
                for (row, to) in packed.chunks_exact_mut(width).enumerate() {
                    let from = &self.values[row * row_stride..][columns.clone()];
                    for (to, &from) in to.iter_mut().zip(from) {
                        *to = scaled(from);
                    }
                }
            } else {
                for (place, column) in columns.enumerate() {
                    let from = &self.values[column * column_stride..];
                    let to = packed.chunks_exact_mut(width);
                    if row_stride == 1 {
                        for (to, &from) in to.zip(from) {
                            to[place] = scaled(from);
                        }
                    } else {
                        for (to, &from) in to.zip(from.iter().step_by(row_stride)) {
                            to[place] = scaled(from);
                        }
                    }
                }
            }
        }
    }
}

/// Rows in pieces of at most `most`, as equal as can be: first rows and counts.
pub(crate) fn pieces(rows: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let count = rows.div_ceil(most);
    let (short, longer) = (rows / count.max(1), rows % count.max(1));
    (0..count).map(move |piece| {
        let first = piece * short + piece.min(longer);
        (first, short + usize::from(piece < longer))
    })
}

impl FloatKernel for Call<'_, Linear, f32> {
    #[inline(always)]
    fn run<S: Floats>(self, simd: S) {
        let Linear {
            rows,
            inputs,
            outputs,
            ref chain,
            ..
        } = *self.op;
        let blocks = outputs.div_ceil(LANES);
        // Straight to the output, where it is whole blocks and nothing is to be done before.
        let direct = chain.is_empty() && outputs.is_multiple_of(LANES);
        let mut results: Results = [[0.0; LANES]; MOST[0] * MOST[1]];
        for (first, set) in sets(blocks, S::TILE.most_blocks()) {
            let columns = first * LANES..outputs.min((first + set) * LANES);
            for (row, count) in pieces(rows, S::TILE.pixels(set).min(MOST[0])) {
                let tile = Rows {
                    input: &self.input[row * inputs..],
                    stride: inputs,
                    count,
                    inputs,
                    weights: &self.op.weights.lanes()[first * inputs..],
                    bias: &self.op.bias.lanes()[first..],
                    set,
                    residual: None,
                    output: &mut results,
                    steps: [1, MOST[0]],
                };
                if direct {
                    let place = row * blocks + first;
                    let residual = self.residual.map(|values| values.as_chunks().0);
                    Rows {
                        residual: residual.map(|values| &values[place..]),
                        output: &mut self.output.as_chunks_mut().0[place..],
                        steps: [blocks, 1],
                        ..tile
                    }
                    .run(simd);
                    continue;
                }
                tile.run(simd);
                for (o, sums) in results.chunks_exact_mut(MOST[0]).take(set).enumerate() {
                    follow(simd, chain, first + o, &mut sums[..count]);
                }
                for i in 0..count {
                    let place = (row + i) * outputs;
                    let output = &mut self.output[place..][columns.clone()];
                    let residual = self
                        .residual
                        .map(|values| &values[place..][columns.clone()]);
                    for (o, output) in output.chunks_mut(LANES).enumerate() {
                        let sums = &results[o * MOST[0] + i];
                        let residual = residual.map(|values| &values[o * LANES..]);
                        put(simd, sums, residual, output);
                    }
                }
            }
        }
    }
}

/// Writes sums, of which the output takes as many as it has room for, with a
/// residual added.
#[inline(always)]
fn put<S: Floats>(simd: S, sums: &Lanes, residual: Option<&[f32]>, output: &mut [f32]) {
    if let Some(output) = output.first_chunk_mut::<LANES>() {
        *output = match residual.and_then(|values| values.first_chunk()) {
            Some(values) => simd.lanes(simd.add(simd.load(sums), simd.load(values))),
            None => *sums,
        };
        return;
    }
    output.copy_from_slice(&sums[..output.len()]);
    for (output, value) in output.iter_mut().zip(residual.unwrap_or_default()) {
        *output += value;
    }
}

/// `a op b` of every vector and one of others, or `b op a`. What is computed is chosen once for all.
macro_rules! combine {
    ($simd:ident, $sums:ident, ($arith:expr, $flipped:expr), $others:expr) => {{
        let pairs = $sums.iter_mut().zip($others);
        match ($arith, $flipped) {
            (Arith::Add, _) => combine!($simd, pairs, |a, b| $simd.add(a, b)),
            (Arith::Mul, _) => combine!($simd, pairs, |a, b| $simd.mul(a, b)),
            (Arith::Sub, false) => combine!($simd, pairs, |a, b| $simd.sub(a, b)),
            (Arith::Sub, true) => combine!($simd, pairs, |a, b| $simd.sub(b, a)),
            (Arith::Div, false) => combine!($simd, pairs, |a, b| $simd.div(a, b)),
            (Arith::Div, true) => combine!($simd, pairs, |a, b| $simd.div(b, a)),
        }
    }};
    ($simd:ident, $pairs:ident, |$a:ident, $b:ident| $value:expr) => {
        for (lanes, $b) in $pairs {
            let $a = $simd.load(lanes);
            *lanes = $simd.lanes($value);
        }
    };
}

/// Applies a chain to sums of one block of outputs.
#[inline(always)]
fn follow<S: Floats>(simd: S, chain: &[Late], block: usize, sums: &mut [Lanes]) {
    if chain.is_empty() {
        return;
    }
    let mut own = [[0.0; LANES]; MOST[0]];
    let own = &mut own[..sums.len()];
    own.copy_from_slice(sums);
    for step in chain {
        let Late::Own(arith, steps, first) = step else {
            simple(simd, step, block, sums);
            continue;
        };
        let mut other = [[0.0; LANES]; MOST[0]];
        let other = &mut other[..sums.len()];
        other.copy_from_slice(own);
        for step in steps {
            simple(simd, step, block, other);
        }
        let other = other.iter().map(|lanes| simd.load(lanes));
        combine!(simd, sums, (*arith, *first), other);
    }
}

/// Applies one step that is of no other ones.
#[inline(always)]
fn simple<S: Floats>(simd: S, step: &Late, block: usize, sums: &mut [Lanes]) {
    match step {
        Late::Clamp(clamp) => {
            for sum in sums {
                *sum = simd.lanes(clamp.apply(simd, simd.load(sum)));
            }
        }
        Late::Unary(Unary::Smooth(function)) => map(simd, *function, sums),
        Late::Unary(function) => {
            for value in sums.as_flattened_mut() {
                *value = function.of(*value);
            }
        }
        Late::One(arith, value, first) => {
            let value = simd.splat(*value);
            combine!(simd, sums, (*arith, *first), std::iter::repeat(value));
        }
        Late::Columns(arith, values, first) => {
            let values = simd.load(&values.lanes()[block]);
            combine!(simd, sums, (*arith, *first), std::iter::repeat(values));
        }
        Late::Own(..) => unreachable!("no such step is part of another one"),
    }
}
