//! Functions of single values, and of pairs of values of two tensors of one shape.

use std::ops::Range;

use crate::maths::{Function, Smooth, map};
use crate::memory::{Blocked, Layout};
use crate::simd::{FloatKernel, Floats, Isa, LANES};
use crate::tile::Clamp;

/// An operation on two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arith {
    Add,
    Sub,
    Mul,
    Div,
}

/// A function of one number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Unary {
    Abs,
    Ceil,
    /// The third power.
    Cube,
    Exp,
    Floor,
    /// `max(0, min(1, alpha x + beta))`.
    HardSigmoid(f32, f32),
    /// `x max(0, min(1, x / 6 + 1 / 2))`.
    HardSwish,
    /// `x` where it is not negative, else `alpha x`.
    LeakyRelu(f32),
    Log,
    Neg,
    Reciprocal,
    /// To the nearest integer, halves to the even one.
    Round,
    Sigmoid,
    /// A function that is computed here, not by `libm`.
    Smooth(Smooth),
    Sqrt,
    Square,
    Tanh,
    /// Towards zero.
    Truncate,
}

impl Unary {
    pub(crate) fn of(self, x: f32) -> f32 {
        let unit = Clamp {
            low: 0.0,
            high: 1.0,
        };
        match self {
            Self::Abs => x.abs(),
            Self::Ceil => x.ceil(),
            Self::Cube => x * x * x,
            Self::Exp => libm::expf(x),
            Self::Floor => x.floor(),
            Self::HardSigmoid(alpha, beta) => unit.one(alpha * x + beta),
            Self::HardSwish => x * unit.one(x / 6.0 + 0.5),
            Self::LeakyRelu(alpha) => {
                if x < 0.0 {
                    alpha * x
                } else {
                    x
                }
            }
            Self::Log => libm::logf(x),
            Self::Neg => -x,
            Self::Reciprocal => 1.0 / x,
            Self::Round => x.round_ties_even(),
            Self::Sigmoid => 1.0 / (1.0 + libm::expf(-x)),
            Self::Smooth(function) => function.one(x),
            Self::Sqrt => x.sqrt(),
            Self::Square => x * x,
            Self::Tanh => libm::tanhf(x),
            Self::Truncate => x.trunc(),
        }
    }
}

/// A constant beside a tensor.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Operand {
    /// The same number everywhere.
    One(f32),
    /// One number a channel.
    Channels(Vec<f32>),
    /// One number a place along the last axis of a plain tensor.
    Columns(Vec<f32>),
    /// One number a value of a plain tensor.
    All(Vec<f32>),
}

impl Operand {
    /// Whether only a plain tensor can have it.
    fn is_plain(&self) -> bool {
        matches!(self, Self::Columns(_) | Self::All(_))
    }
}

/// One function of a chain.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    Clamp(Clamp),
    Unary(Unary),
    /// The value and the constant.
    With(Arith, Operand),
    /// The constant and the value.
    From(Arith, Operand),
    /// Of two chains of the number that the whole chain began with: the value
    /// so far, and what these functions make of that number. None of them is
    /// such a step itself.
    Own {
        arith: Arith,
        steps: Vec<Step>,
        /// Whether what they make is the first operand.
        first: bool,
    },
}

impl Step {
    /// Whether only a plain tensor can have it.
    pub(crate) fn is_plain(&self) -> bool {
        match self {
            Self::With(_, operand) | Self::From(_, operand) => operand.is_plain(),
            Self::Own { steps, .. } => steps.iter().any(Self::is_plain),
            Self::Clamp(_) | Self::Unary(_) => false,
        }
    }
}

/// Values of a chain at a time: they, and what the chain began with, stay in
/// the first-level cache. A whole number of the channels of any block.
const RUN: usize = 1024;

/// A chain of functions, applied to every value of a tensor.
pub(crate) struct Pointwise {
    steps: Vec<Step>,
    shape: Shape,
    isa: Isa,
}

enum Shape {
    /// So many values, of so many a channel.
    Plain { len: usize, plane: usize },
    /// The same tensor, perhaps with other borders.
    Blocked { input: Blocked, output: Blocked },
}

impl Pointwise {
    /// Of a plain tensor of shape `dims`.
    pub(crate) fn plain(steps: &[Step], dims: &[usize], isa: Isa) -> Self {
        Self {
            steps: steps.to_vec(),
            shape: Shape::Plain {
                len: dims.iter().product(),
                plane: dims.iter().skip(1).product::<usize>().max(1),
            },
            isa,
        }
    }

    /// Of a blocked tensor; no step is one of plain tensors.
    pub(crate) fn blocked(steps: &[Step], input: Blocked, output: Blocked, isa: Isa) -> Self {
        fn fill(steps: &mut [Step], channels: usize) {
            for step in steps {
                match step {
                    Step::With(_, Operand::Channels(values))
                    | Step::From(_, Operand::Channels(values)) => values.resize(channels, 0.0),
                    Step::Own { steps, .. } => fill(steps, channels),
                    _ => {}
                }
            }
        }
        let mut steps = steps.to_vec();
        fill(&mut steps, input.blocks() * input.lanes);
        Self {
            steps,
            shape: Shape::Blocked { input, output },
            isa,
        }
    }

    /// Computes one image.
    pub(crate) fn run(&self, input: &[f32], output: &mut [f32]) {
        match &self.shape {
            Shape::Plain { len, plane } => {
                output[..*len].copy_from_slice(&input[..*len]);
                let planes = input[..*len].chunks(*plane);
                for (channel, (input, output)) in
                    planes.zip(output[..*len].chunks_mut(*plane)).enumerate()
                {
                    for (run, (own, values)) in
                        input.chunks(RUN).zip(output.chunks_mut(RUN)).enumerate()
                    {
                        self.isa.run_floats(Chain {
                            steps: &self.steps,
                            channels: channel..channel + 1,
                            first: channel * plane + run * RUN,
                            own,
                            values,
                        });
                    }
                }
            }
            Shape::Blocked {
                input: from,
                output: to,
            } => {
                let length = from.width * from.lanes;
                for block in 0..from.blocks() {
                    let channel = block * from.lanes;
                    for y in 0..from.height {
                        let values = &mut output[to.offset(block, y, 0)..][..length];
                        let input = &input[from.offset(block, y, 0)..][..length];
                        values.copy_from_slice(input);
                        for (own, values) in input.chunks(RUN).zip(values.chunks_mut(RUN)) {
                            self.isa.run_floats(Chain {
                                steps: &self.steps,
                                channels: channel..channel + from.lanes,
                                first: 0,
                                own,
                                values,
                            });
                        }
                    }
                }
            }
        }
    }
}

/// A chain of functions of a run of values, at most [`RUN`].
struct Chain<'a> {
    steps: &'a [Step],
    /// The channels of the values, in turn.
    channels: Range<usize>,
    /// The first value's number in a plain tensor.
    first: usize,
    /// What the chain begins with.
    own: &'a [f32],
    values: &'a mut [f32],
}

impl FloatKernel for Chain<'_> {
    #[inline(always)]
    fn run<S: Floats>(self, simd: S) {
        let Self {
            steps,
            channels,
            first,
            own,
            values,
        } = self;
        for step in steps {
            let Step::Own {
                arith,
                steps,
                first: leads,
            } = step
            else {
                apply(simd, step, &channels, first, values);
                continue;
            };
            let mut other = [0.0; RUN];
            let other = &mut other[..own.len()];
            other.copy_from_slice(own);
            for step in steps {
                apply(simd, step, &channels, first, other);
            }
            let pairs = values.iter_mut().zip(other.iter());
            match (arith, leads) {
                (Arith::Add, _) => pairs.for_each(|(v, o)| *v += o),
                (Arith::Mul, _) => pairs.for_each(|(v, o)| *v *= o),
                (Arith::Sub, false) => pairs.for_each(|(v, o)| *v -= o),
                (Arith::Sub, true) => pairs.for_each(|(v, o)| *v = o - *v),
                (Arith::Div, false) => pairs.for_each(|(v, o)| *v /= o),
                (Arith::Div, true) => pairs.for_each(|(v, o)| *v = o / *v),
            }
        }
    }
}

/// One function of a run of values, whose channels are these in turn and whose
/// first one has number `first` in a plain tensor.
#[inline(always)]
fn apply<S: Floats>(
    simd: S,
    step: &Step,
    channels: &Range<usize>,
    first: usize,
    values: &mut [f32],
) {
    match step {
        Step::Clamp(clamp) => {
            for value in values.iter_mut() {
                *value = clamp.one(*value);
            }
        }
        Step::Unary(Unary::Smooth(function)) => {
            let (whole, rest) = values.as_chunks_mut::<LANES>();
            map(simd, *function, whole);
            let mut lanes = [0.0; LANES];
            lanes[..rest.len()].copy_from_slice(rest);
            let lanes = simd.lanes(function.of(simd, simd.load(&lanes)));
            rest.copy_from_slice(&lanes[..rest.len()]);
        }
        Step::Unary(function) => {
            for value in values.iter_mut() {
                *value = function.of(*value);
            }
        }
        Step::With(Arith::Add, c) | Step::From(Arith::Add, c) => {
            combine(c, channels, first, values, |v, c| v + c);
        }
        Step::With(Arith::Mul, c) | Step::From(Arith::Mul, c) => {
            combine(c, channels, first, values, |v, c| v * c);
        }
        Step::With(Arith::Sub, c) => combine(c, channels, first, values, |v, c| v - c),
        Step::From(Arith::Sub, c) => combine(c, channels, first, values, |v, c| c - v),
        Step::With(Arith::Div, c) => combine(c, channels, first, values, |v, c| v / c),
        Step::From(Arith::Div, c) => combine(c, channels, first, values, |v, c| c / v),
        Step::Own { .. } => unreachable!("no such step is part of another one"),
    }
}

/// Makes `f` of every value and its constant.
#[inline(always)]
fn combine(
    operand: &Operand,
    channels: &Range<usize>,
    first: usize,
    values: &mut [f32],
    f: impl Fn(f32, f32) -> f32,
) {
    match operand {
        Operand::One(c) => {
            for value in values.iter_mut() {
                *value = f(*value, *c);
            }
        }
        Operand::Channels(constants) => match &constants[channels.clone()] {
            [c] => {
                for value in values.iter_mut() {
                    *value = f(*value, *c);
                }
            }
            constants => {
                for pixel in values.chunks_exact_mut(constants.len()) {
                    for (value, c) in pixel.iter_mut().zip(constants) {
                        *value = f(*value, *c);
                    }
                }
            }
        },
        Operand::Columns(constants) => {
            let (mut values, mut first) = (values, first % constants.len());
            while !values.is_empty() {
                let count = values.len().min(constants.len() - first);
                let (row, rest) = values.split_at_mut(count);
                for (value, c) in row.iter_mut().zip(&constants[first..]) {
                    *value = f(*value, *c);
                }
                (values, first) = (rest, 0);
            }
        }
        Operand::All(constants) => {
            for (value, c) in values.iter_mut().zip(&constants[first..]) {
                *value = f(*value, *c);
            }
        }
    }
}

/// `a op b`, then the clamp, of two tensors of the same shape: both blocked,
/// perhaps with other borders, or both plain.
pub(crate) struct Pairwise {
    pub(crate) arith: Arith,
    pub(crate) a: Layout,
    pub(crate) b: Layout,
    pub(crate) output: Layout,
    pub(crate) isa: Isa,
}

impl Pairwise {
    /// Computes one image.
    pub(crate) fn run(&self, a: &[f32], b: &[f32], output: &mut [f32]) {
        match (&self.a, &self.b, &self.output) {
            (Layout::Plain { len }, Layout::Plain { .. }, Layout::Plain { .. }) => {
                self.isa.run_floats(Pairs {
                    arith: self.arith,
                    a: &a[..*len],
                    b: &b[..*len],
                    output: &mut output[..*len],
                });
            }
            (Layout::Blocked(la), Layout::Blocked(lb), Layout::Blocked(lo)) => {
                let length = la.width * la.lanes;
                let row = |layout: &Blocked, block, y| {
                    let first = layout.offset(block, y, 0);
                    first..first + length
                };
                for block in 0..la.blocks() {
                    for y in 0..la.height {
                        self.isa.run_floats(Pairs {
                            arith: self.arith,
                            a: &a[row(la, block, y)],
                            b: &b[row(lb, block, y)],
                            output: &mut output[row(lo, block, y)],
                        });
                    }
                }
            }
            _ => unreachable!("planned with one kind of layout"),
        }
    }
}

/// A run of pairs of values.
struct Pairs<'a> {
    arith: Arith,
    a: &'a [f32],
    b: &'a [f32],
    output: &'a mut [f32],
}

impl FloatKernel for Pairs<'_> {
    #[inline(always)]
    fn run<S: Floats>(self, _: S) {
        let Self {
            arith,
            a,
            b,
            output,
        } = self;
        let pairs = output.iter_mut().zip(a.iter().zip(b));
        match arith {
            Arith::Add => pairs.for_each(|(to, (a, b))| *to = a + b),
            Arith::Sub => pairs.for_each(|(to, (a, b))| *to = a - b),
            Arith::Mul => pairs.for_each(|(to, (a, b))| *to = a * b),
            Arith::Div => pairs.for_each(|(to, (a, b))| *to = a / b),
        }
    }
}

impl Arith {
    pub(crate) fn of(self, a: f32, b: f32) -> f32 {
        match self {
            Self::Add => a + b,
            Self::Sub => a - b,
            Self::Mul => a * b,
            Self::Div => a / b,
        }
    }
}
