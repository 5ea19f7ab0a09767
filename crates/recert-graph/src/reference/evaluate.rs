//! The table from operators to the code that computes them.

use std::num::Wrapping;

use super::array::Array;
use super::integer::{self, Grid, Operand};
use super::numbers::{Numbers, as_floats, floats, numbers, rounded, saturated, wrapped};
use super::{Result, conv, elementwise, matmul, normalize, pool, quantize, rearrange, reduce};
use super::{resize, wrong};
use crate::{ElementType, Op, PadMode, Reduction, Tensor};

/// A node's inputs, `None` where an optional one is left out.
#[derive(Clone, Copy)]
struct Inputs<'a>(&'a [Option<&'a Tensor>]);

/// The shape and the element type that the graph infers for an output.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    pub(crate) shape: Vec<usize>,
    pub(crate) element: ElementType,
}

/// Computes a node's outputs and compares them with what the graph inferred of
/// those that something takes.
pub(crate) fn compute(
    op: &Op,
    inputs: &[Option<&Tensor>],
    outputs: &[Option<Output>],
) -> Result<Vec<Tensor>> {
    let made = evaluate(op, Inputs(inputs), outputs)?;
    for (tensor, output) in made.iter().zip(outputs) {
        if let Some(output) = output
            && (tensor.shape() != output.shape || tensor.element() != output.element)
        {
            return Err(wrong(format!(
                "an output is {} of shape {:?}, where {} of shape {:?} was inferred",
                tensor.element(),
                tensor.shape(),
                output.element,
                output.shape
            )));
        }
    }
    Ok(made)
}

impl<'a> Inputs<'a> {
    fn required(self, position: usize) -> Result<&'a Tensor> {
        self.optional(position)
            .ok_or_else(|| wrong(format!("its input {position} is missing")))
    }

    fn optional(self, position: usize) -> Option<&'a Tensor> {
        self.0.get(position).copied().flatten()
    }

    fn floats(self, position: usize) -> Result<Array<f64>> {
        floats(self.required(position)?)
    }

    fn optional_floats(self, position: usize) -> Result<Option<Array<f64>>> {
        self.optional(position).map(floats).transpose()
    }

    fn all(self) -> Result<Vec<&'a Tensor>> {
        (0..self.0.len())
            .map(|position| self.required(position))
            .collect()
    }

    fn grid(self, scale: usize) -> Result<Grid<'a>> {
        Ok(Grid {
            scale: self.required(scale)?,
            zero: self.required(scale + 1)?,
        })
    }

    fn operand(self, values: usize, zero: usize) -> Result<Operand<'a>> {
        Ok(Operand {
            values: self.required(values)?,
            zero: self.optional(zero),
        })
    }
}

fn evaluate(op: &Op, x: Inputs<'_>, outputs: &[Option<Output>]) -> Result<Vec<Tensor>> {
    match op {
        Op::DropoutMask => {
            let data = x.required(0)?;
            let mask = outputs.get(1).and_then(Option::as_ref);
            // Before opset 10, the mask is of the data's type.
            let element = mask.map_or(ElementType::Bool, |mask| mask.element);
            let ones = Array::new(data.shape().to_vec(), vec![1.0; data.len()]);
            Ok(vec![data.clone(), restored(ones, element)?])
        }
        Op::LayerNormalization { axis, epsilon } => layer_norm(x, *axis, *epsilon),
        Op::MaxPool {
            window,
            column_major,
        } => {
            let data = x.required(0)?;
            let (values, indices) = pool::max_pool(&as_floats(data), window, *column_major);
            let indices = wrapped(indices, ElementType::Int64)?;
            Ok(vec![restored(values, data.element())?, indices])
        }
        Op::Split { axis, sizes } => rearrange::split(x.required(0)?, *axis, sizes),
        Op::DynamicQuantizeLinear => quantize::dynamic_quantize(x.required(0)?),
        _ => {
            let output = outputs.first().and_then(Option::as_ref);
            let output = output.ok_or_else(|| wrong("nothing takes its output"))?;
            Ok(vec![evaluate_one(op, x, output)?])
        }
    }
}

/// Computes an operator that has one output.
#[expect(clippy::too_many_lines, reason = "a table, one entry an operator")]
fn evaluate_one(op: &Op, x: Inputs<'_>, output: &Output) -> Result<Tensor> {
    let to = output.element;
    match op {
        Op::Identity => Ok(x.required(0)?.clone()),
        Op::Unary(function) => elementwise::unary(*function, x.required(0)?),
        Op::Binary(function) => elementwise::binary(*function, x.required(0)?, x.required(1)?),
        Op::Variadic(function) => elementwise::variadic(*function, &x.all()?),
        Op::Compare(relation) => elementwise::compare(*relation, x.required(0)?, x.required(1)?),
        Op::Clip { low, high } => elementwise::clip(x.required(0)?, *low, *high),
        Op::Where => rearrange::choose(x.required(0)?, x.required(1)?, x.required(2)?),
        Op::Cast(element) => elementwise::cast(x.required(0)?, *element),

        Op::Conv { window, group } => {
            let bias = x.optional_floats(2)?;
            let (x, w) = (x.floats(0)?, x.floats(1)?);
            rounded(conv::conv(&x, &w, bias.as_ref(), window, *group)?, to)
        }
        Op::ConvTranspose { window, group, .. } => {
            let bias = x.optional_floats(2)?;
            let (x, w) = (x.floats(0)?, x.floats(1)?);
            let y = conv::conv_transpose(&x, &w, bias.as_ref(), window, *group)?;
            rounded(y, to)
        }
        Op::Gemm {
            alpha,
            beta,
            trans_a,
            trans_b,
        } => gemm(x, [*alpha, *beta], [*trans_a, *trans_b]),
        Op::MatMul => product(x.required(0)?, x.required(1)?),
        Op::BatchNormalization { epsilon } => {
            let parameters = [x.floats(1)?, x.floats(2)?, x.floats(3)?, x.floats(4)?];
            let y = normalize::batch_norm(&x.floats(0)?, parameters.each_ref(), (*epsilon).into());
            rounded(y?, to)
        }
        Op::InstanceNormalization { epsilon } => {
            let parameters = [x.floats(1)?, x.floats(2)?];
            let epsilon = (*epsilon).into();
            let y = normalize::instance_norm(&x.floats(0)?, parameters.each_ref(), epsilon);
            rounded(y?, to)
        }
        Op::GroupNormalization { groups, epsilon } => {
            let parameters = [x.floats(1)?, x.floats(2)?];
            let epsilon = (*epsilon).into();
            let y = normalize::group_norm(&x.floats(0)?, parameters.each_ref(), *groups, epsilon);
            rounded(y?, to)
        }
        Op::Lrn {
            size,
            alpha,
            beta,
            bias,
        } => {
            let parameters = [*alpha, *beta, *bias].map(f64::from);
            rounded(normalize::lrn(&x.floats(0)?, *size, parameters), to)
        }
        Op::LpNormalization { axis, p } => {
            rounded(normalize::lp_normalized(&x.floats(0)?, *axis, *p), to)
        }

        Op::AveragePool {
            window,
            count_padding,
        } => rounded(
            pool::average_pool(&x.floats(0)?, window, *count_padding),
            to,
        ),
        Op::LpPool { window, p } => rounded(pool::lp_pool(&x.floats(0)?, window, *p), to),
        Op::GlobalAveragePool => global_pool(x.required(0)?, Reduction::Mean),
        Op::GlobalMaxPool => global_pool(x.required(0)?, Reduction::Max),
        Op::Reduce {
            reduction,
            axes,
            keep_dims,
        } => reduce::reduce(x.required(0)?, *reduction, axes, *keep_dims),
        Op::ArgExtreme {
            min,
            axis,
            keep_dims,
            last,
        } => reduce::arg_extreme(x.required(0)?, *axis, *min, *last, *keep_dims),
        Op::Softmax(axes) => {
            let axes: Vec<usize> = axes.clone().collect();
            rounded(normalize::softmax(&x.floats(0)?, &axes), to)
        }
        Op::LogSoftmax(axes) => {
            let axes: Vec<usize> = axes.clone().collect();
            rounded(normalize::log_softmax(&x.floats(0)?, &axes), to)
        }
        Op::Hardmax(axes) => {
            let axes: Vec<usize> = axes.clone().collect();
            rounded(normalize::hardmax(&x.floats(0)?, &axes), to)
        }
        Op::CumSum {
            axis,
            exclusive,
            reverse,
        } => reduce::cumulative_sum(x.required(0)?, *axis, *exclusive, *reverse),

        Op::Reshape => x.required(0)?.clone().reshaped(output.shape.clone()),
        Op::Transpose { perm } => rearrange::transpose(x.required(0)?, perm),
        Op::Slice(parts) => rearrange::slice(x.required(0)?, parts),
        Op::Pad { mode, pads } => pad(x.required(0)?, *mode, pads),
        Op::Concat { axis } => rearrange::concat(&x.all()?, *axis),
        Op::Gather { axis } => rearrange::gather(x.required(0)?, x.required(1)?, *axis),
        Op::GatherElements { axis } => {
            rearrange::gather_elements(x.required(0)?, x.required(1)?, *axis)
        }
        Op::Expand => rearrange::expand(x.required(0)?, &output.shape),
        Op::Tile { repeats } => rearrange::tile(x.required(0)?, repeats),
        Op::Resize(rule) => {
            let resized = resize::resize(&as_floats(x.required(0)?), rule, &output.shape);
            restored(resized, to)
        }
        Op::DepthToSpace {
            block,
            column_row_depth,
        } => rearrange::depth_to_space(x.required(0)?, *block, *column_row_depth),
        Op::SpaceToDepth {
            block,
            column_row_depth,
        } => rearrange::space_to_depth(x.required(0)?, *block, *column_row_depth),
        Op::ShapeOf(part) => {
            let extents = x.required(0)?.shape()[part.clone()].iter();
            Ok(Tensor::list(extents.map(|&extent| extent as i64).collect()))
        }
        Op::Fill(value) => {
            let count = output.shape.iter().product();
            restored(Array::new(output.shape.clone(), vec![*value; count]), to)
        }

        Op::QuantizeLinear(granularity) => quantize::quantize(
            x.required(0)?,
            x.required(1)?,
            x.optional(2),
            *granularity,
            to,
        ),
        Op::DequantizeLinear(granularity) => quantize::dequantize(
            x.required(0)?,
            x.required(1)?,
            x.optional(2),
            *granularity,
            to,
        ),
        Op::QLinearConv { window, group } => {
            let grids = [x.grid(1)?, x.grid(4)?, x.grid(6)?];
            let values = [x.required(0)?, x.required(3)?];
            integer::qlinear_conv(grids.each_ref(), values, x.optional(8), window, *group)
        }
        Op::QLinearMatMul => {
            let grids = [x.grid(1)?, x.grid(4)?, x.grid(6)?];
            integer::qlinear_matmul(grids.each_ref(), [x.required(0)?, x.required(3)?])
        }
        Op::ConvInteger { window, group } => {
            integer::conv_integer(&x.operand(0, 2)?, &x.operand(1, 3)?, window, *group)
        }
        Op::MatMulInteger => integer::matmul_integer(&x.operand(0, 2)?, &x.operand(1, 3)?),

        Op::DropoutMask
        | Op::LayerNormalization { .. }
        | Op::MaxPool { .. }
        | Op::Split { .. }
        | Op::DynamicQuantizeLinear => Err(wrong("it has several outputs")),
    }
}

/// Numbers that were widened from a type, or chosen among such, back in it.
fn restored(values: Array<f64>, element: ElementType) -> Result<Tensor> {
    if element.is_float() {
        rounded(values, element)
    } else {
        saturated(&values, element)
    }
}

fn layer_norm(x: Inputs<'_>, axis: usize, epsilon: f32) -> Result<Vec<Tensor>> {
    let (data, scale, shift) = (x.floats(0)?, x.floats(1)?, x.optional_floats(2)?);
    let epsilon = epsilon.into();
    let [y, mean, inverse] = normalize::layer_norm(&data, &scale, shift.as_ref(), axis, epsilon)?;
    // The statistics are of the type that they are computed in, float32 by ONNX.
    let statistics = ElementType::Float32;
    Ok(vec![
        rounded(y, x.required(0)?.element())?,
        rounded(mean, statistics)?,
        rounded(inverse, statistics)?,
    ])
}

/// `MatMul`, of floats or of integers.
fn product(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    match (numbers(a), numbers(b)) {
        (Numbers::Floats(x), Numbers::Floats(y)) => rounded(matmul::matmul(&x, &y)?, a.element()),
        (Numbers::Integers(x), Numbers::Integers(y)) => {
            let product = matmul::matmul(&x.map(Wrapping), &y.map(Wrapping))?;
            wrapped(product.map(|v| v.0), a.element())
        }
        _ => Err(wrong("its inputs are of different element types")),
    }
}

/// `Gemm`. Integers are computed in float64, which is exact below 2^53.
fn gemm(x: Inputs<'_>, [alpha, beta]: [f32; 2], transpose: [bool; 2]) -> Result<Tensor> {
    let factor = |position: usize| {
        let matrix = as_floats(x.required(position)?);
        if transpose[position] {
            matmul::transposed(&matrix)
        } else {
            Ok(matrix)
        }
    };
    let product = matmul::matmul(&factor(0)?, &factor(1)?)?;
    let mut y = product.map(|v| f64::from(alpha) * v);
    if let Some(c) = x.optional(2) {
        y = y.zip(&as_floats(c), |y, c| y + f64::from(beta) * c)?;
    }
    restored(y, x.required(0)?.element())
}

fn global_pool(x: &Tensor, reduction: Reduction) -> Result<Tensor> {
    let axes: Vec<usize> = (2..x.shape().len()).collect();
    reduce::reduce(x, reduction, &axes, true)
}

fn pad(x: &Tensor, mode: PadMode, pads: &[[i64; 2]]) -> Result<Tensor> {
    let value = match mode {
        PadMode::Constant(value) => value,
        PadMode::Edge | PadMode::Reflect | PadMode::Wrap => 0.0,
    };
    let fill = restored(Array::scalar(value), x.element())?;
    rearrange::pad(x, pads, mode, &fill)
}
