//! The operators of a graph, each with its attributes read, checked and
//! completed by the defaults of the file's opset.
//!
//! One meaning is one variant: what differs between opsets is resolved in
//! reading. Axes are counted from the front, paddings are numbers, and sizes
//! that a file gives as inputs (`shape`, `axes`, `pads`, `starts`, `repeats`,
//! the bounds of `Clip`, ..) are known when the graph is built and are no
//! inputs here. [`crate::Node::inputs`] lists the others, in the order of
//! each variant's documentation.

mod functions;
mod geometry;
mod resize;

use std::ops::Range;

use crate::element::ElementType;

pub use functions::{Binary, Compare, Reduction, Unary, Variadic};
pub use geometry::{AxisSlice, PadMode, Window};
pub use resize::{Coordinates, Nearest, Resize, ResizeMode};

/// What a node computes.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Op {
    /// The input itself; also `Dropout` without its mask, and `Cast` to the
    /// input's own type.
    Identity,
    /// `Dropout` in inference, whose mask is taken: the input, and `true`
    /// everywhere.
    DropoutMask,
    /// A function of every element.
    Unary(Unary),
    /// A function of the elements of two tensors, which are broadcast.
    Binary(Binary),
    /// A function of the elements of any number of tensors, which are
    /// broadcast.
    Variadic(Variadic),
    /// A comparison of the elements of two tensors, which are broadcast; the
    /// output is of truth values.
    Compare(Compare),
    /// Bounds on every element. Where `low > high` the result is `high`.
    Clip {
        /// The least value; minus infinity for none.
        low: f64,
        /// The largest value; infinity for none.
        high: f64,
    },
    /// `Where`: condition, value if true, value if false, all broadcast.
    Where,
    /// Conversion to another type; `saturate` is of no use to the types here.
    Cast(ElementType),

    /// Convolution: input, weights `[m, c / group, ..]`, perhaps bias `[m]`.
    Conv {
        /// Where the kernel goes.
        window: Window,
        /// The number of groups.
        group: usize,
    },
    /// Transposed convolution: input, weights `[c, m / group, ..]`, perhaps
    /// bias `[m]`. Its window is that of the convolution of which it is the
    /// transpose, but that `output` is the extent of what it makes.
    ConvTranspose {
        /// Where the kernel goes; `before` and `after` are cut off the output.
        window: Window,
        /// What is added at the end of each axis of the output.
        output_padding: Vec<usize>,
        /// The number of groups.
        group: usize,
    },
    /// `alpha a b + beta c`: a, b, perhaps c.
    Gemm {
        /// The factor of the product.
        alpha: f32,
        /// The factor of c.
        beta: f32,
        /// Whether a is transposed first.
        trans_a: bool,
        /// Whether b is transposed first.
        trans_b: bool,
    },
    /// Product of (stacks of) matrices, as `numpy.matmul`.
    MatMul,
    /// Normalization by fixed statistics, one of each a channel: input, scale,
    /// shift, mean, variance.
    BatchNormalization {
        /// Added to the variance.
        epsilon: f32,
    },
    /// Normalization of every plane by its own statistics: input, scale, shift.
    InstanceNormalization {
        /// Added to the variance.
        epsilon: f32,
    },
    /// Normalization over the last axes: input, scale, perhaps shift. Outputs
    /// perhaps the mean and the inverse standard deviation too.
    LayerNormalization {
        /// The first axis that is normalized over.
        axis: usize,
        /// Added to the variance.
        epsilon: f32,
    },
    /// Normalization of groups of channels: input, scale, shift, one of each a
    /// channel (opset 21) or a group (opset 18).
    GroupNormalization {
        /// The number of groups.
        groups: usize,
        /// Added to the variance.
        epsilon: f32,
    },
    /// Local response normalization over neighbouring channels.
    Lrn {
        /// The number of channels.
        size: usize,
        /// The factor.
        alpha: f32,
        /// The exponent.
        beta: f32,
        /// What is added.
        bias: f32,
    },
    /// Division by the norm along an axis.
    LpNormalization {
        /// The axis.
        axis: usize,
        /// 1 or 2.
        p: usize,
    },

    /// The largest element of each window. Perhaps with the second output,
    /// the positions in the flattened input.
    MaxPool {
        /// Where the windows are.
        window: Window,
        /// Whether the positions count columns first.
        column_major: bool,
    },
    /// The mean of each window.
    AveragePool {
        /// Where the windows are.
        window: Window,
        /// Whether the padding (`before` and `after`, nothing beyond) counts.
        count_padding: bool,
    },
    /// The p-norm of each window.
    LpPool {
        /// Where the windows are.
        window: Window,
        /// The exponent.
        p: usize,
    },
    /// The mean of each plane.
    GlobalAveragePool,
    /// The largest element of each plane.
    GlobalMaxPool,
    /// Axes made one number.
    Reduce {
        /// How.
        reduction: Reduction,
        /// Which, ascending.
        axes: Vec<usize>,
        /// Whether they stay, with extent 1.
        keep_dims: bool,
    },
    /// The position of the largest or smallest element along an axis.
    ArgExtreme {
        /// Whether the smallest (`ArgMin`).
        min: bool,
        /// Which axis.
        axis: usize,
        /// Whether it stays, with extent 1.
        keep_dims: bool,
        /// Whether the last of equal ones.
        last: bool,
    },
    /// `Softmax`, over these axes taken together: one from opset 13 on, from
    /// the given one to the last before.
    Softmax(Range<usize>),
    /// The logarithm of [`Op::Softmax`].
    LogSoftmax(Range<usize>),
    /// 1 at the first largest element over the axes, 0 elsewhere.
    Hardmax(Range<usize>),
    /// Running sums along an axis.
    CumSum {
        /// Which.
        axis: usize,
        /// Whether an element is left out of its own sum.
        exclusive: bool,
        /// Whether from the end.
        reverse: bool,
    },

    /// The same elements in the same order, in the shape of the output:
    /// `Reshape`, `Flatten`, `Squeeze`, `Unsqueeze`.
    Reshape,
    /// Axes in another order: axis `i` of the output is axis `perm[i]`.
    Transpose {
        /// The order.
        perm: Vec<usize>,
    },
    /// Parts of axes; an axis that is not listed stays whole.
    Slice(Vec<AxisSlice>),
    /// Padding; a negative number cuts off.
    Pad {
        /// What is there.
        mode: PadMode,
        /// Before and after each axis.
        pads: Vec<[i64; 2]>,
    },
    /// Several tensors one after the other.
    Concat {
        /// Along which axis.
        axis: usize,
    },
    /// One tensor in several parts.
    Split {
        /// Along which axis.
        axis: usize,
        /// The parts' extents, one an output.
        sizes: Vec<usize>,
    },
    /// Slices at the positions that the second input lists.
    Gather {
        /// Of which axis.
        axis: usize,
    },
    /// Elements at the positions that the second input lists.
    GatherElements {
        /// Along which axis.
        axis: usize,
    },
    /// The input broadcast to the output's shape.
    Expand,
    /// The input so many times along each axis.
    Tile {
        /// How often.
        repeats: Vec<usize>,
    },
    /// A change of resolution.
    Resize(Resize),
    /// Channels to squares of pixels.
    DepthToSpace {
        /// The side of a square.
        block: usize,
        /// Whether the channels of one square are neighbours (`CRD`).
        column_row_depth: bool,
    },
    /// Squares of pixels to channels.
    SpaceToDepth {
        /// The side of a square.
        block: usize,
        /// Whether the channels of one square are neighbours (`CRD`).
        column_row_depth: bool,
    },
    /// The numbers of the input's shape that depend on the batch: a part of
    /// its shape, as int64. Others are constants.
    ShapeOf(Range<usize>),
    /// One number everywhere, in the output's shape, which depends on the
    /// batch. Others are constants.
    Fill(f64),

    /// `round(x / scale) + zero point`, half to even, saturated: input, scale,
    /// perhaps zero point.
    QuantizeLinear(Granularity),
    /// `(x - zero point) scale`: input, scale, perhaps zero point.
    DequantizeLinear(Granularity),
    /// To uint8 by the tensor's own range. Outputs the integers, the scale and
    /// the zero point.
    DynamicQuantizeLinear,
    /// Convolution of integers: x, its scale and zero point, w, its scale and
    /// zero point, the output's scale and zero point, perhaps bias (int32).
    QLinearConv {
        /// Where the kernel goes.
        window: Window,
        /// The number of groups.
        group: usize,
    },
    /// Product of matrices of integers: a, its scale and zero point, b, its
    /// scale and zero point, the output's scale and zero point.
    QLinearMatMul,
    /// Convolution of integers to int32: x, w, perhaps x's zero point, perhaps
    /// w's.
    ConvInteger {
        /// Where the kernel goes.
        window: Window,
        /// The number of groups.
        group: usize,
    },
    /// Product of matrices of integers to int32: a, b, perhaps a's zero point,
    /// perhaps b's.
    MatMulInteger,
}

/// How a quantization is shared among elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Granularity {
    /// One scale for the tensor.
    Tensor,
    /// One scale a position of this axis.
    Axis(usize),
    /// One scale for so many neighbours along this axis.
    Block {
        /// The axis.
        axis: usize,
        /// How many.
        size: usize,
    },
}

impl Op {
    /// ONNX's name of the operator; one of them where several are one here.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Identity => "Identity",
            Self::DropoutMask => "Dropout",
            Self::Unary(unary) => unary.name(),
            Self::Binary(binary) => binary.name(),
            Self::Variadic(variadic) => variadic.name(),
            Self::Compare(compare) => compare.name(),
            Self::Clip { .. } => "Clip",
            Self::Where => "Where",
            Self::Cast(_) => "Cast",
            Self::Conv { .. } => "Conv",
            Self::ConvTranspose { .. } => "ConvTranspose",
            Self::Gemm { .. } => "Gemm",
            Self::MatMul => "MatMul",
            Self::BatchNormalization { .. } => "BatchNormalization",
            Self::InstanceNormalization { .. } => "InstanceNormalization",
            Self::LayerNormalization { .. } => "LayerNormalization",
            Self::GroupNormalization { .. } => "GroupNormalization",
            Self::Lrn { .. } => "LRN",
            Self::LpNormalization { .. } => "LpNormalization",
            Self::MaxPool { .. } => "MaxPool",
            Self::AveragePool { .. } => "AveragePool",
            Self::LpPool { .. } => "LpPool",
            Self::GlobalAveragePool => "GlobalAveragePool",
            Self::GlobalMaxPool => "GlobalMaxPool",
            Self::Reduce { reduction, .. } => reduction.name(),
            Self::ArgExtreme { min: false, .. } => "ArgMax",
            Self::ArgExtreme { min: true, .. } => "ArgMin",
            Self::Softmax(_) => "Softmax",
            Self::LogSoftmax(_) => "LogSoftmax",
            Self::Hardmax(_) => "Hardmax",
            Self::CumSum { .. } => "CumSum",
            Self::Reshape => "Reshape",
            Self::Transpose { .. } => "Transpose",
            Self::Slice(_) => "Slice",
            Self::Pad { .. } => "Pad",
            Self::Concat { .. } => "Concat",
            Self::Split { .. } => "Split",
            Self::Gather { .. } => "Gather",
            Self::GatherElements { .. } => "GatherElements",
            Self::Expand => "Expand",
            Self::Tile { .. } => "Tile",
            Self::Resize(_) => "Resize",
            Self::DepthToSpace { .. } => "DepthToSpace",
            Self::SpaceToDepth { .. } => "SpaceToDepth",
            Self::ShapeOf(_) => "Shape",
            Self::Fill(_) => "ConstantOfShape",
            Self::QuantizeLinear(_) => "QuantizeLinear",
            Self::DequantizeLinear(_) => "DequantizeLinear",
            Self::DynamicQuantizeLinear => "DynamicQuantizeLinear",
            Self::QLinearConv { .. } => "QLinearConv",
            Self::QLinearMatMul => "QLinearMatMul",
            Self::ConvInteger { .. } => "ConvInteger",
            Self::MatMulInteger => "MatMulInteger",
        }
    }
}
