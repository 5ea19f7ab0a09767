//! Functions of single values, and of pairs of values of two tensors of one shape.

use std::ops::Range;

use crate::memory::{Blocked, Layout};
use crate::simd::{FloatKernel, Floats, Isa};
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
    Sqrt,
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
            Self::Sqrt => x.sqrt(),
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
    /// One number a value of a plain tensor.
    All(Vec<f32>),
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
}

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

    /// Of a blocked tensor; no step has an operand for all values.
    pub(crate) fn blocked(steps: &[Step], input: Blocked, output: Blocked, isa: Isa) -> Self {
        let mut steps = steps.to_vec();
        for step in &mut steps {
            if let Step::With(_, Operand::Channels(values))
            | Step::From(_, Operand::Channels(values)) = step
            {
                values.resize(input.blocks() * input.lanes, 0.0);
            }
        }
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
                for (channel, values) in output[..*len].chunks_mut(*plane).enumerate() {
                    self.isa.run_floats(Chain {
                        steps: &self.steps,
                        channels: channel..channel + 1,
                        first: channel * plane,
                        values,
                    });
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
                        values.copy_from_slice(&input[from.offset(block, y, 0)..][..length]);
                        self.isa.run_floats(Chain {
                            steps: &self.steps,
                            channels: channel..channel + from.lanes,
                            first: 0,
                            values,
                        });
                    }
                }
            }
        }
    }
}

/// A chain of functions of a run of values.
struct Chain<'a> {
    steps: &'a [Step],
    /// The channels of the values, in turn.
    channels: Range<usize>,
    /// The first value's number in a plain tensor.
    first: usize,
    values: &'a mut [f32],
}

impl FloatKernel for Chain<'_> {
    #[inline(always)]
    fn run<S: Floats>(mut self, _: S) {
        for step in self.steps {
            match step {
                Step::Clamp(clamp) => {
                    for value in self.values.iter_mut() {
                        *value = clamp.one(*value);
                    }
                }
                Step::Unary(function) => {
                    for value in self.values.iter_mut() {
                        *value = function.of(*value);
                    }
                }
                Step::With(Arith::Add, c) | Step::From(Arith::Add, c) => {
                    self.combine(c, |v, c| v + c);
                }
                Step::With(Arith::Mul, c) | Step::From(Arith::Mul, c) => {
                    self.combine(c, |v, c| v * c);
                }
                Step::With(Arith::Sub, c) => self.combine(c, |v, c| v - c),
                Step::From(Arith::Sub, c) => self.combine(c, |v, c| c - v),
                Step::With(Arith::Div, c) => self.combine(c, |v, c| v / c),
                Step::From(Arith::Div, c) => self.combine(c, |v, c| c / v),
            }
        }
    }
}

impl Chain<'_> {
    /// Makes `f` of every value and its constant.
    #[inline(always)]
    fn combine(&mut self, operand: &Operand, f: impl Fn(f32, f32) -> f32) {
        match operand {
            Operand::One(c) => {
                for value in self.values.iter_mut() {
                    *value = f(*value, *c);
                }
            }
            Operand::Channels(constants) => match &constants[self.channels.clone()] {
                [c] => {
                    for value in self.values.iter_mut() {
                        *value = f(*value, *c);
                    }
                }
                constants => {
                    for pixel in self.values.chunks_exact_mut(constants.len()) {
                        for (value, c) in pixel.iter_mut().zip(constants) {
                            *value = f(*value, *c);
                        }
                    }
                }
            },
            Operand::All(constants) => {
                for (value, c) in self.values.iter_mut().zip(&constants[self.first..]) {
                    *value = f(*value, *c);
                }
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
