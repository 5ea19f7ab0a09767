//! Products of matrices that both depend on the image, and attention, which is
//! two of them.

use crate::linear::{Matrix, pieces, sets};
use crate::maths::{Exp, map, total};
use crate::pointwise::Arith;
use crate::rows::{MOST, Rows};
use crate::simd::{Call, FloatKernel, Floats, Isa, LANES, Lanes};

/// Matrices of one shape in a plain tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stack {
    /// Where each begins.
    pub(crate) firsts: Vec<usize>,
    /// From a row to the next one, and from a column.
    pub(crate) strides: [usize; 2],
}

impl Stack {
    /// One of its matrices.
    fn matrix<'a>(&self, number: usize, shape: [usize; 2], values: &'a [f32]) -> Matrix<'a> {
        Matrix {
            values: &values[self.firsts[number]..],
            shape,
            strides: self.strides,
        }
    }

    /// The transposes.
    fn transposed(&self) -> Self {
        let [rows, columns] = self.strides;
        Self {
            firsts: self.firsts.clone(),
            strides: [columns, rows],
        }
    }
}

/// Products of matrices, each sum begun with 0 and one fused multiply-add a
/// term, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Product {
    pub(crate) a: Stack,
    pub(crate) b: Stack,
    pub(crate) output: Stack,
    /// Rows of a, columns of a, columns of b.
    pub(crate) sizes: [usize; 3],
}

/// What scores are before they become weights.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Score {
    /// The score and a number.
    With(Arith, f32),
    /// One number a score is added, matrix by matrix.
    Add(Vec<f32>),
}

/// Attention: `softmax(scores(a q, b k)) v`, matrix by matrix.
///
/// Queries and keys are multiplied by their factors first; a score is a sum as
/// in [`Product`], to which `scores` are applied. A weight is [`exp`] of the
/// score less the largest one of its query; the products of weights and values
/// are added up by key, in order, and divided by the sum of the weights, which
/// is taken in sixteen lanes and [`total`].
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Attention {
    pub(crate) queries: Stack,
    pub(crate) keys: Stack,
    pub(crate) values: Stack,
    pub(crate) output: Stack,
    /// Queries, keys, numbers of a key, numbers of a value.
    pub(crate) sizes: [usize; 4],
    pub(crate) factors: [Option<f32>; 2],
    pub(crate) scores: Vec<Score>,
}

/// A [`Product`] for an instruction set.
pub(crate) struct Products {
    pub(crate) op: Product,
    pub(crate) isa: Isa,
}

/// An [`Attention`], likewise, of keys of which `transposed` are columns.
pub(crate) struct Attend {
    op: Attention,
    transposed: Stack,
    isa: Isa,
}

/// Values that a matrix of so many rows and columns takes as weights of tiles.
fn packed(rows: usize, columns: usize) -> usize {
    rows * columns.next_multiple_of(LANES)
}

impl Products {
    /// Values needed beside the tensors.
    pub(crate) fn scratch(&self) -> usize {
        let [_, inner, columns] = self.op.sizes;
        packed(inner, columns) + (MOST[0] * inner).next_multiple_of(LANES)
    }

    /// Computes one image.
    pub(crate) fn run(&self, inputs: [&[f32]; 2], scratch: &mut [f32], output: &mut [f32]) {
        self.isa.run_floats(Work {
            call: Call {
                op: self,
                input: inputs[0],
                residual: Some(inputs[1]),
                output,
            },
            values: inputs[1],
            scratch,
        });
    }
}

impl Attend {
    pub(crate) fn new(op: Attention, isa: Isa) -> Self {
        Self {
            transposed: op.keys.transposed(),
            op,
            isa,
        }
    }

    /// Values needed beside the tensors.
    pub(crate) fn scratch(&self) -> usize {
        let [_, keys, inner, width] = self.op.sizes;
        let queries = (MOST[0] * inner).next_multiple_of(LANES);
        let scores = MOST[0] * keys.next_multiple_of(LANES);
        packed(inner, keys) + packed(keys, width) + queries + scores
    }

    /// Computes one image: of queries, keys and values.
    pub(crate) fn run(&self, inputs: [&[f32]; 3], scratch: &mut [f32], output: &mut [f32]) {
        self.isa.run_floats(Work {
            call: Call {
                op: self,
                input: inputs[0],
                residual: Some(inputs[1]),
                output,
            },
            values: inputs[2],
            scratch,
        });
    }
}

struct Work<'a, Op> {
    /// The residual is the second operand.
    call: Call<'a, Op, f32>,
    /// The last operand.
    values: &'a [f32],
    scratch: &'a mut [f32],
}

/// Copies some rows of a matrix to where they are neighbours.
#[inline(always)]
fn gather(matrix: &Matrix<'_>, rows: (usize, usize), factor: Option<f32>, to: &mut [f32]) {
    let [row_stride, column_stride] = matrix.strides;
    let width = matrix.shape[1];
    for (i, to) in to.chunks_exact_mut(width).take(rows.1).enumerate() {
        let from = &matrix.values[(rows.0 + i) * row_stride..];
        if column_stride == 1 {
            to.copy_from_slice(&from[..width]);
        } else {
            for (to, from) in to.iter_mut().zip(from.iter().step_by(column_stride)) {
                *to = *from;
            }
        }
        if let Some(factor) = factor {
            for value in to {
                *value *= factor;
            }
        }
    }
}

/// Writes one row of a block of columns to a matrix, as many as it has.
#[inline(always)]
fn put(lanes: &Lanes, [first, stride]: [usize; 2], count: usize, output: &mut [f32]) {
    if stride == 1 {
        let output = &mut output[first..first + count];
        // Most often: a length that is known is no call.
        if let Some(output) = output.first_chunk_mut::<LANES>() {
            *output = *lanes;
        } else {
            output.copy_from_slice(&lanes[..count]);
        }
    } else {
        for (lane, value) in lanes.iter().take(count).enumerate() {
            output[first + lane * stride] = *value;
        }
    }
}

/// No bias.
const ZEROS: [Lanes; MOST[1]] = [[0.0; LANES]; MOST[1]];

impl FloatKernel for Work<'_, Products> {
    #[inline(always)]
    fn run<S: Floats>(self, simd: S) {
        let Products { op, isa } = self.call.op;
        let [rows, inner, columns] = op.sizes;
        let (weights, gathered) = self.scratch.split_at_mut(packed(inner, columns));
        let most = S::TILE.pixels(S::TILE.most_blocks()).min(MOST[0]);
        for number in 0..op.output.firsts.len() {
            let a = op.a.matrix(number, [rows, inner], self.call.input);
            let b = op.b.matrix(number, [inner, columns], self.values);
            b.pack(*isa, None, weights);
            for (row, count) in pieces(rows, most) {
                let (input, stride) = if a.strides[1] == 1 {
                    (&a.values[row * a.strides[0]..], a.strides[0])
                } else {
                    gather(&a, (row, count), None, gathered);
                    (&*gathered, inner)
                };
                let weights = weights.as_chunks().0;
                let [down, along] = op.output.strides;
                let first = op.output.firsts[number] + row * down;
                multiply(
                    simd,
                    (input, stride),
                    [count, inner, columns],
                    weights,
                    |i, column, lanes| {
                        let place = first + i * down + column * along;
                        let width = LANES.min(columns - column);
                        put(lanes, [place, along], width, self.call.output);
                    },
                );
            }
        }
    }
}

impl FloatKernel for Work<'_, Attend> {
    #[inline(always)]
    fn run<S: Floats>(self, simd: S) {
        let Attend {
            op,
            transposed,
            isa,
        } = self.call.op;
        let [queries, keys, inner, width] = op.sizes;
        let row = keys.next_multiple_of(LANES);
        let (key_weights, rest) = self.scratch.split_at_mut(packed(inner, keys));
        let (value_weights, rest) = rest.split_at_mut(packed(keys, width));
        let (scores, gathered) = rest.split_at_mut(MOST[0] * row);
        let second = self.call.residual.unwrap_or_default();
        let most = S::TILE.pixels(S::TILE.most_blocks()).min(MOST[0]);
        for number in 0..op.output.firsts.len() {
            let q = op.queries.matrix(number, [queries, inner], self.call.input);
            let k = transposed.matrix(number, [inner, keys], second);
            let v = op.values.matrix(number, [keys, width], self.values);
            k.pack(*isa, op.factors[1], key_weights);
            v.pack(*isa, None, value_weights);
            for (query, count) in pieces(queries, most) {
                let (input, stride) = if q.strides[1] == 1 && op.factors[0].is_none() {
                    (&q.values[query * q.strides[0]..], q.strides[0])
                } else {
                    gather(&q, (query, count), op.factors[0], gathered);
                    (&*gathered, inner)
                };
                let weights = key_weights.as_chunks().0;
                let blocks = row / LANES;
                for (first, set) in sets(blocks, S::TILE.most_blocks()) {
                    let tile = Rows {
                        input,
                        stride,
                        count,
                        inputs: inner,
                        weights: &weights[first * inner..],
                        bias: &ZEROS,
                        set,
                        residual: None,
                        output: &mut scores.as_chunks_mut().0[first..],
                        steps: [blocks, 1],
                    };
                    tile.run(simd);
                }
                let mut sums = [0.0; MOST[0]];
                for (i, (sum, scores)) in (sums.iter_mut().zip(scores.chunks_exact_mut(row)))
                    .take(count)
                    .enumerate()
                {
                    let place = (number * queries + query + i) * keys;
                    *sum = weigh(simd, &op.scores, place, scores, keys);
                }
                let weights = value_weights.as_chunks().0;
                let [down, along] = op.output.strides;
                let first = op.output.firsts[number] + query * down;
                multiply(
                    simd,
                    (&*scores, row),
                    [count, keys, width],
                    weights,
                    |i, column, lanes| {
                        let mean = simd.div(simd.load(lanes), simd.splat(sums[i]));
                        let place = first + i * down + column * along;
                        let columns = LANES.min(width - column);
                        put(&simd.lanes(mean), [place, along], columns, self.call.output);
                    },
                );
            }
        }
    }
}

/// Multiplies at most [`MOST`] rows by packed weights and hands over every row
/// of every block of columns: the row, the first column, and the sums.
#[inline(always)]
fn multiply<S: Floats>(
    simd: S,
    (input, stride): (&[f32], usize),
    [count, inner, columns]: [usize; 3],
    weights: &[Lanes],
    mut take: impl FnMut(usize, usize, &Lanes),
) {
    let mut results = [[0.0; LANES]; MOST[0] * MOST[1]];
    for (first, set) in sets(columns.div_ceil(LANES), S::TILE.most_blocks()) {
        let tile = Rows {
            input,
            stride,
            count,
            inputs: inner,
            weights: &weights[first * inner..],
            bias: &ZEROS,
            set,
            residual: None,
            output: &mut results,
            steps: [1, MOST[0]],
        };
        tile.run(simd);
        for (o, results) in results.chunks_exact(MOST[0]).take(set).enumerate() {
            for (i, lanes) in results.iter().take(count).enumerate() {
                take(i, (first + o) * LANES, lanes);
            }
        }
    }
}

/// Makes weights of the scores of one query, the first `count` of `scores`,
/// and returns their sum. `place` is the number of the first score among all.
#[inline(always)]
fn weigh<S: Floats>(
    simd: S,
    steps: &[Score],
    place: usize,
    scores: &mut [f32],
    count: usize,
) -> f32 {
    for step in steps {
        let scores = scores[..count].iter_mut();
        match step {
            Score::With(Arith::Add, c) => scores.for_each(|score| *score += c),
            Score::With(Arith::Sub, c) => scores.for_each(|score| *score -= c),
            Score::With(Arith::Mul, c) => scores.for_each(|score| *score *= c),
            Score::With(Arith::Div, c) => scores.for_each(|score| *score /= c),
            Score::Add(values) => {
                let values = values[place..].iter();
                scores
                    .zip(values)
                    .for_each(|(score, value)| *score += value);
            }
        }
    }
    // Weights of 0 fill up the last lanes.
    scores[count..].fill(f32::NEG_INFINITY);
    let scores = scores.as_chunks_mut::<LANES>().0;
    let mut largest = simd.splat(f32::NEG_INFINITY);
    for lanes in scores.iter() {
        largest = simd.max(largest, simd.load(lanes));
    }
    let largest = simd.lanes(largest);
    let largest = largest
        .iter()
        .fold(f32::NEG_INFINITY, |m, &v| if v > m { v } else { m });
    let largest = simd.splat(largest);
    let mut sum = simd.splat(0.0);
    for lanes in scores.iter_mut() {
        *lanes = simd.lanes(simd.sub(simd.load(lanes), largest));
    }
    map(simd, Exp, scores);
    for lanes in scores.iter() {
        sum = simd.add(sum, simd.load(lanes));
    }
    total(simd.lanes(sum))
}
