//! Products of quantized tensors. Sums of products of integers are exact: below
//! 2^53, they are computed in float64 by the same code as those of floats.

use super::array::Array;
use super::conv::conv;
use super::matmul::matmul;
use super::numbers::{as_floats, floats, integers, range, round_to, wrapped};
use super::quantize::on_grid;
use super::{Result, wrong};
use crate::{ElementType, Tensor, Window};

/// A quantized operand.
pub(super) struct Operand<'a> {
    pub(super) values: &'a Tensor,
    /// One, or one for every index along one axis.
    pub(super) zero: Option<&'a Tensor>,
}

/// The grid of a tensor, and of an output the type that its zero point has.
pub(super) struct Grid<'a> {
    pub(super) scale: &'a Tensor,
    pub(super) zero: &'a Tensor,
}

/// `ConvInteger`.
pub(super) fn conv_integer(
    x: &Operand<'_>,
    w: &Operand<'_>,
    window: &Window,
    groups: usize,
) -> Result<Tensor> {
    int32(&conv(&x.centred(0)?, &w.centred(0)?, None, window, groups)?)
}

/// `MatMulInteger`.
pub(super) fn matmul_integer(a: &Operand<'_>, b: &Operand<'_>) -> Result<Tensor> {
    int32(&matmul(&a.rows()?, &b.columns()?)?)
}

/// `QLinearConv`; the bias is on the grid of the products.
pub(super) fn qlinear_conv(
    [x, w, y]: [&Grid<'_>; 3],
    [x_values, w_values]: [&Tensor; 2],
    bias: Option<&Tensor>,
    window: &Window,
    groups: usize,
) -> Result<Tensor> {
    let bias = bias.map(integers).transpose()?;
    let bias = bias.map(|bias| bias.map(|v| v as f64));
    let x_values = x.operand(x_values).centred(0)?;
    let w_values = w.operand(w_values).centred(0)?;
    let sums = conv(&x_values, &w_values, bias.as_ref(), window, groups)?;
    let mut scale = floats(w.scale)?;
    if scale.data.len() > 1 {
        scale.shape.resize(1 + window.kernel.len(), 1);
    }
    requantized(&sums, [&floats(x.scale)?, &scale], y)
}

/// `QLinearMatMul`.
pub(super) fn qlinear_matmul(
    [a, b, y]: [&Grid<'_>; 3],
    [a_values, b_values]: [&Tensor; 2],
) -> Result<Tensor> {
    let sums = matmul(
        &a.operand(a_values).rows()?,
        &b.operand(b_values).columns()?,
    )?;
    let mut rows = floats(a.scale)?;
    if rows.shape.len() == 1 && rows.data.len() > 1 {
        rows.shape.push(1);
    }
    requantized(&sums, [&rows, &floats(b.scale)?], y)
}

/// The sums on the grid of the output: times `left right / scale`, which is
/// rounded to the scales' type after each operation, to the next grid point,
/// half to even, and clamped. The product is rounded to no float in between.
fn requantized(sums: &Array<f64>, [left, right]: [&Array<f64>; 2], y: &Grid<'_>) -> Result<Tensor> {
    let precision = y.scale.element();
    let [scale] = floats(y.scale)?.data[..] else {
        return Err(wrong("its output has more than one scale"));
    };
    let [zero] = integers(y.zero)?.data[..] else {
        return Err(wrong("its output has more than one zero point"));
    };
    let factors = left.zip(right, |l, r| {
        round_to(round_to(l * r, precision) / scale, precision)
    })?;
    let (low, high) = range(y.zero.element())?;
    let steps = sums.zip(&factors, |sum, factor| {
        on_grid(sum * factor, zero).clamp(low, high)
    })?;
    // Scales of one element have axes of their own, or none.
    wrapped(Array::new(sums.shape.clone(), steps.data), y.zero.element())
}

fn int32(sums: &Array<f64>) -> Result<Tensor> {
    wrapped(sums.map(|sum| sum as i128), ElementType::Int32)
}

impl<'a> Grid<'a> {
    fn operand(&self, values: &'a Tensor) -> Operand<'a> {
        Operand {
            values,
            zero: Some(self.zero),
        }
    }
}

impl Operand<'_> {
    /// The left factor of a product of matrices: zero points are one a row.
    fn rows(&self) -> Result<Array<f64>> {
        self.centred(self.values.shape().len().saturating_sub(2))
    }

    /// The right factor of a product of matrices: zero points are one a column.
    fn columns(&self) -> Result<Array<f64>> {
        self.centred(self.values.shape().len().saturating_sub(1))
    }

    /// The values less their zero points, which are one, or one for every index
    /// along `axis`.
    fn centred(&self, axis: usize) -> Result<Array<f64>> {
        let values = as_floats(self.values);
        let Some(zero) = self.zero else {
            return Ok(values);
        };
        let mut zero = as_floats(zero);
        match zero.shape[..] {
            _ if zero.data.len() == 1 => zero.shape.clear(),
            [_] => zero.shape.resize(values.shape.len() - axis, 1),
            _ => {}
        }
        values.zip(&zero, |value, zero| value - zero)
    }
}
