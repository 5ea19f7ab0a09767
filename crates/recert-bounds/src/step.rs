//! The steps that a network is lowered to: linear ones, and those that need a relaxation.

pub(crate) mod affine;
pub(crate) mod conv;
pub(crate) mod dense;
pub(crate) mod depthwise;
pub(crate) mod rearrange;
pub(crate) mod spread;
pub(crate) mod window;

use crate::block::Block;
use crate::buffers::Buffers;
use crate::relax::{MaxPool, Nonlinearity};

pub(crate) use affine::Affine;
pub(crate) use conv::Conv;
pub(crate) use dense::Dense;
pub(crate) use depthwise::Depthwise;
pub(crate) use rearrange::Rearrange;
pub(crate) use spread::Spread;
pub(crate) use window::Window;

/// The value of a step or the network's input, by its number.
pub(crate) type Id = usize;

/// One step: what it computes of which values.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    /// The name of the node that it was lowered from.
    pub(crate) name: String,
    pub(crate) inputs: Vec<Id>,
    pub(crate) output: Id,
    pub(crate) kind: Kind,
}

/// What a step computes.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Linear(Linear),
    /// The sum of the inputs, each times 1 or -1.
    Sum(Vec<f64>),
    Rearrange(Rearrange),
    /// A function of each element.
    Elementwise(Nonlinearity),
    MaxPool(MaxPool),
}

impl Kind {
    /// The size of the windows of an input that windows of the output depend on; `None` for the
    /// whole input.
    pub(crate) fn reached(&self, input: usize, size: [usize; 2]) -> Option<[usize; 2]> {
        match self {
            Self::Linear(linear) => match linear.centre() {
                Linear::Conv(conv) => Some(conv.window.reached(size)),
                Linear::Depthwise(depthwise) => Some(depthwise.window.reached(size)),
                Linear::Affine(_) => Some(size),
                Linear::Dense(_) | Linear::Spread(_) => None,
            },
            Self::Sum(_) | Self::Elementwise(_) => Some(size),
            Self::Rearrange(rearrange) => Some(rearrange.reached(input, size)),
            Self::MaxPool(pool) => Some(pool.window.as_ref()?.reached(size)),
        }
    }
}

/// A step `W x + b` of one input.
#[derive(Debug, Clone)]
pub(crate) enum Linear {
    Dense(Dense),
    Conv(Conv),
    Depthwise(Depthwise),
    Affine(Affine),
    /// Any layer near one.
    Spread(Box<Spread>),
}

/// Which of a step's two matrices is multiplied by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The weights, and the bias added.
    Whole,
    /// As `Whole`, by one kernel whatever the number of rows, so that a row's bits do not depend
    /// on it.
    Rows,
    /// The weights, without the bias.
    Weights,
    /// The weights' magnitudes, without the bias.
    Magnitudes,
}

impl Part {
    /// Whether the bias is added.
    pub(crate) fn has_bias(self) -> bool {
        matches!(self, Self::Whole | Self::Rows)
    }
}

impl Linear {
    /// The layer itself, and of a family the one in its middle.
    pub(crate) fn centre(&self) -> &Self {
        match self {
            Self::Spread(spread) => &spread.centre,
            linear => linear,
        }
    }

    /// `W x + b`, `W x` or `|W| x` for each row `x`.
    pub(crate) fn forward(&self, x: &[f64], part: Part) -> Vec<f64> {
        match self {
            Self::Dense(dense) => dense.forward(x, part),
            Self::Conv(conv) => conv.forward(x, part),
            Self::Depthwise(depthwise) => depthwise.forward(x, part),
            Self::Affine(affine) => affine.forward(x, part),
            Self::Spread(spread) => spread.centre.forward(x, part),
        }
    }

    /// `A W` for rows `A` over the output.
    pub(crate) fn backward(&self, block: Block, buffers: &mut Buffers) -> Block {
        match self {
            Self::Dense(dense) => dense.backward(block, buffers),
            Self::Conv(conv) => conv.backward(block, buffers),
            Self::Depthwise(depthwise) => depthwise.backward(block, buffers),
            Self::Affine(affine) => affine.backward(block),
            Self::Spread(spread) => spread.centre.backward(block, buffers),
        }
    }

    /// `A W` for rows `A` that are each one element of the output, times 1 or -1; `None`
    /// where that is not simply rows of W.
    pub(crate) fn unit_rows(&self, units: &[(usize, f64)], buffers: &mut Buffers) -> Option<Block> {
        match self {
            Self::Dense(dense) => Some(dense.unit_rows(units, buffers)),
            Self::Conv(conv) => Some(conv.unit_rows(units, buffers)),
            // Of a family, no row of W is exact.
            Self::Depthwise(_) | Self::Affine(_) | Self::Spread(_) => None,
        }
    }

    /// `b`, one number an element of the output.
    pub(crate) fn bias(&self) -> &[f64] {
        match self {
            Self::Dense(dense) => &dense.bias,
            Self::Conv(conv) => &conv.bias,
            Self::Depthwise(depthwise) => &depthwise.bias,
            Self::Affine(affine) => &affine.shift,
            Self::Spread(spread) => spread.centre.bias(),
        }
    }

    /// How many products at most are summed in an element of `W x + b` and of `A W`.
    pub(crate) fn terms(&self) -> usize {
        match self {
            Self::Dense(dense) => dense.inputs().max(dense.outputs()) + 1,
            Self::Conv(conv) => conv.terms(),
            Self::Depthwise(depthwise) => depthwise.window.taps() + 1,
            Self::Affine(_) => 2,
            Self::Spread(spread) => spread.centre.terms(),
        }
    }

    /// What the file's constants differ from `W` and `b` as stored here, for `|x| <= size`:
    /// `|(W' - W) x + (b' - b)|` is at most this, an element. `None` for none.
    pub(crate) fn deviation(&self, size: &[f64]) -> Option<Vec<f64>> {
        match self {
            Self::Affine(affine) => affine.deviation(size),
            Self::Spread(spread) => Some(spread.deviation(size)),
            _ => None,
        }
    }
}
