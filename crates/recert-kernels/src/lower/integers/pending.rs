//! Operations on bytes that wait for what comes after them.

use super::{Held, linear, takes};
use crate::conv::Window;
use crate::integer::{ByteFilter, End, Epilogue, Grid};
use crate::ir::{Op, ValueId};
use crate::pointwise::{Arith, Operand, Step};
use crate::tile::Clamp;

/// A convolution of bytes, or a linear layer.
#[derive(Debug, Clone)]
pub(super) struct Convolution {
    pub(super) input: Held,
    /// The operation on floats.
    pub(super) floats: Op,
    filter: ByteFilter,
    bias: Vec<f32>,
    /// What one of a channel's sum stands for.
    units: Vec<f64>,
    /// None of a linear layer.
    window: Option<Window>,
    pub(super) clamp: Clamp,
}

impl Convolution {
    /// `None` where integers cannot do it.
    pub(super) fn new(floats: &Op, input: Held) -> Option<Self> {
        let (found, window, clamp);
        let filter = match floats {
            Op::Conv {
                filter,
                window: own,
                clamp: bounds,
            } => {
                // Padding beyond the kernel's reach is none of a network of
                // images, and would have to be held in memory.
                let reach = |axis: usize| (own.kernel[axis] - 1) * own.dilation[axis];
                if !takes(filter) || (0..2).any(|axis| own.before[axis] > reach(axis)) {
                    return None;
                }
                (window, clamp) = (Some(*own), *bounds);
                filter
            }
            Op::Gemm {
                weights,
                bias,
                clamp: bounds,
            } => {
                (window, clamp) = (None, *bounds);
                found = linear(weights, bias);
                &found
            }
            _ => return None,
        };
        let (integers, steps) = ByteFilter::new(filter, input.grid.zero)?;
        let scale = f64::from(input.grid.scale);
        Some(Self {
            input,
            floats: floats.clone(),
            filter: integers,
            bias: filter.bias.clone(),
            units: steps.into_iter().map(|step| step * scale).collect(),
            window,
            clamp,
        })
    }

    /// Whether it may make bytes of these dimensions. Those of a single pixel
    /// may need borders, which a linear layer does not leave.
    pub(super) fn may_make_bytes(&self, dims: &[usize]) -> bool {
        self.window.is_some() || dims.len() == 1
    }

    /// The operation with this end, in units of `step`; `None` where numbers
    /// are too large or too small.
    pub(super) fn to(&self, end: End, step: f64) -> Option<Op> {
        let most = self.filter.most();
        let epilogue = Epilogue::new(&self.units, &most, &self.bias, step, end)?;
        let filter = self.filter.clone();
        Some(match self.window {
            Some(window) => Op::ByteConv {
                filter,
                window,
                epilogue,
            },
            None => Op::ByteGemm { filter, epilogue },
        })
    }

    /// The operation that makes floats.
    pub(super) fn to_floats(&self) -> Option<Op> {
        self.to(End::Floats(self.clamp), 1.0)
    }
}

/// The sum of two tensors, each of bytes.
#[derive(Debug, Clone)]
pub(super) struct Addition {
    /// The floats that the bytes stand for.
    pub(super) terms: [ValueId; 2],
    pub(super) held: [Held; 2],
    /// The sum, and the bounds that follow it.
    pub(super) sum: ValueId,
    pub(super) clamp: Clamp,
}

impl Addition {
    pub(super) fn new(terms: [ValueId; 2], held: [Held; 2], sum: ValueId) -> Self {
        Self {
            terms,
            held,
            sum,
            clamp: Clamp::NONE,
        }
    }

    /// With bounds, if the functions are bounds and there are none yet.
    pub(super) fn with(&self, steps: &[Step]) -> Option<Self> {
        match steps {
            [Step::Clamp(clamp)] if self.clamp == Clamp::NONE => Some(Self {
                clamp: *clamp,
                ..self.clone()
            }),
            _ => None,
        }
    }
}

/// Functions of what bytes stand for.
#[derive(Debug, Clone)]
pub(super) struct Function {
    pub(super) input: Held,
    pub(super) steps: Vec<Step>,
}

impl Function {
    /// `None` where a function is not the same one in every channel.
    pub(super) fn new(input: Held, steps: &[Step]) -> Option<Self> {
        let same = |step: &Step| match step {
            Step::Clamp(_) | Step::Unary(_) => true,
            Step::With(_, operand) | Step::From(_, operand) => matches!(operand, Operand::One(_)),
            Step::Own { .. } => false,
        };
        steps.iter().all(same).then(|| Self {
            input,
            steps: steps.to_vec(),
        })
    }

    /// With further functions.
    pub(super) fn with(&self, steps: &[Step]) -> Option<Self> {
        Self::new(self.input, &[&self.steps, steps].concat())
    }

    /// Every byte's, quantized.
    pub(super) fn table(&self, grid: Grid) -> [u8; 256] {
        std::array::from_fn(|byte| {
            let number = self.input.grid.number(byte as u8);
            grid.byte(self.steps.iter().fold(number, |v, step| match step {
                Step::Clamp(clamp) => clamp.one(v),
                Step::Unary(function) => function.of(v),
                Step::With(arith, Operand::One(c)) => arith.of(v, *c),
                Step::From(arith, Operand::One(c)) => match arith {
                    Arith::Add | Arith::Mul => arith.of(v, *c),
                    Arith::Sub | Arith::Div => arith.of(*c, v),
                },
                Step::With(..) | Step::From(..) | Step::Own { .. } => {
                    unreachable!("refused by `new`")
                }
            }))
        })
    }
}
