//! The network as this crate computes it: a list of operations on one image's
//! tensors, the batch left out.

use crate::across::{Reduction, Softmax};
use crate::conv::{Filter, Window};
use crate::integer::{ByteFilter, Epilogue, Grid, Joint};
use crate::pointwise::{Arith, Step};
use crate::pool::PoolKind;
use crate::product::{Attention, Product};
use crate::rearrange::Cut;
use crate::tile::Clamp;

/// A tensor, by its number in [`Graph::values`].
pub(crate) type ValueId = usize;

/// A tensor that depends on the image.
#[derive(Debug, Clone)]
pub(crate) struct Value {
    /// Its shape for one image.
    pub(crate) dims: Vec<usize>,
    /// Whether ONNX has integers there; they are computed as floats, or held
    /// as bytes.
    pub(crate) integers: bool,
    /// What stands for 0, where it is held as bytes.
    pub(crate) bytes: Option<u8>,
}

impl Value {
    pub(crate) fn len(&self) -> usize {
        self.dims.iter().product()
    }
}

/// What makes a tensor of others.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    /// Of `[c, h, w]`, and perhaps a residual of the output's shape.
    Conv {
        filter: Filter,
        window: Window,
        clamp: Clamp,
    },
    /// Of `[k]`.
    Gemm {
        /// `[inputs, outputs]`.
        weights: Vec<f32>,
        bias: Vec<f32>,
        clamp: Clamp,
    },
    /// Of every row along the last axis, and perhaps a residual of the
    /// output's shape.
    Linear {
        /// `[inputs, outputs]`.
        weights: Vec<f32>,
        bias: Vec<f32>,
        /// What becomes of the sums, before the residual is added.
        steps: Vec<Step>,
    },
    /// Of every run of as many values as there are of `scale`.
    LayerNorm {
        scale: Vec<f32>,
        shift: Vec<f32>,
        epsilon: f32,
    },
    /// Of two tensors.
    Product(Product),
    /// Of queries, keys and values.
    Attention(Attention),
    /// The same values for every image, of nothing.
    Constant(Vec<f32>),
    /// Slices at these positions along an axis.
    Take(usize, Vec<usize>),
    /// Of `[c, h, w]`.
    Pool {
        kind: PoolKind,
        window: Window,
    },
    /// The mean of every plane of `[c, h, w]`.
    Means,
    Pointwise(Vec<Step>),
    /// Of two tensors; of the same rank, perhaps stretched.
    Pair(Arith),
    /// The same values in the same order, in another shape.
    View,
    Transpose(Vec<usize>),
    Cut {
        cuts: Vec<Cut>,
        fill: f32,
    },
    /// Several tensors one after the other along an axis.
    Concat(usize),
    Reduce(Reduction, Vec<usize>),
    Softmax(Softmax),
    /// Rounding to 256 values of the tensor's own range.
    FakeQuantize,
    /// To the integers of a grid, and from them. What becomes of them is
    /// decided by [`crate::lower`], and none is left after it.
    Quantize(Grid),
    Dequantize(Grid),
    /// From floats to bytes, and back.
    ToBytes(Grid),
    FromBytes(Grid),
    /// Of the bytes of `[c, h, w]`, and perhaps those of a residual.
    ByteConv {
        filter: ByteFilter,
        window: Window,
        epilogue: Epilogue,
    },
    /// Of the bytes of `[k]`.
    ByteGemm {
        filter: ByteFilter,
        epilogue: Epilogue,
    },
    /// Of the bytes of two tensors; the first one's zero point.
    ByteSum(Joint, u8),
    /// The largest of the bytes of windows.
    ByteMax(Window),
    /// The mean of every plane, as floats.
    ByteMeans(Grid),
    /// What is not taken stands for 0.
    ByteCut(Vec<Cut>),
    /// A function of every byte.
    ByteMap(Box<[u8; 256]>),
}

/// One operation.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) op: Op,
    pub(crate) inputs: Vec<ValueId>,
    pub(crate) output: ValueId,
}

/// An output of the network.
#[derive(Debug, Clone)]
pub(crate) struct OutputValue {
    pub(crate) value: ValueId,
    /// Where the output is the position of the largest value along an axis.
    pub(crate) arg_max: Option<ArgMax>,
}

#[derive(Debug, Clone)]
pub(crate) struct ArgMax {
    pub(crate) along: Softmax,
    /// Of equal values the last one.
    pub(crate) last: bool,
    /// The output's shape for one image.
    pub(crate) dims: Vec<usize>,
}

/// The whole network.
#[derive(Debug, Clone)]
pub(crate) struct Graph {
    pub(crate) values: Vec<Value>,
    /// In an order in which they can be computed.
    pub(crate) nodes: Vec<Node>,
    pub(crate) input: ValueId,
    pub(crate) outputs: Vec<OutputValue>,
    /// Whether only single images may be computed: the network takes a scale
    /// from all of a batch together.
    pub(crate) single: bool,
}

impl Graph {
    /// How many weights there are, bytes counted as parts of float32.
    pub(crate) fn weights(&self) -> usize {
        let count = |node: &Node| match &node.op {
            Op::Conv { filter, .. } => filter.weights.len(),
            Op::ByteConv { filter, .. } | Op::ByteGemm { filter, .. } => filter.weights.len() / 4,
            Op::Gemm { weights, .. } | Op::Linear { weights, .. } => weights.len(),
            _ => 0,
        };
        self.nodes.iter().map(count).sum()
    }
}
