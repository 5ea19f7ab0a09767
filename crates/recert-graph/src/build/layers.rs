//! Convolutions, products of matrices, normalizations, poolings.

use super::source::{Reading, Source};
use crate::element::ElementType;
use crate::error::Result;
use crate::op::{Op, Window};
use crate::shape::{Extent, Shape};

impl Source<'_> {
    /// A convolution of input `x` by weights `w`: its window, its groups and
    /// its output's shape.
    fn convolution(&self, x: usize, w: usize) -> Result<(Window, usize, Shape)> {
        let size = self.spatial_extents(x)?;
        let input = self.shape(x)?;
        let weights = self.fixed(w)?;
        let group = self.size("group", 1)?;
        let bad = || {
            let why = format!("its weights of shape {weights:?} do not fit its input of {input}");
            self.refuse(why)
        };
        let (&[outputs, inputs], kernel) = weights.split_first_chunk().ok_or_else(bad)?;
        let fits = kernel.len() == size.len()
            && inputs.checked_mul(group).map(Extent::Fixed) == Some(input[1])
            && outputs > 0
            && outputs % group == 0;
        let stated = self.kernel(kernel.len())?;
        if !fits || stated.is_some_and(|stated| stated != kernel) {
            return Err(bad());
        }
        let window = self.window(kernel, &size)?;
        let shape = over(input[0], outputs, &window.output);
        Ok((window, group, shape))
    }

    pub(super) fn conv(&self) -> Result<Reading> {
        let (window, group, shape) = self.convolution(0, 1)?;
        self.bias(2, shape[1])?;
        Reading::node(Op::Conv { window, group }, 3, self.element(0)?, shape)
    }

    /// Checks that the bias is one number an output channel, if it is given.
    fn bias(&self, position: usize, channels: Extent) -> Result<()> {
        match self.given(position) {
            Some(bias) if bias.value.shape[..] != [channels] => {
                Err(self.refuse("its bias does not fit its weights"))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn conv_integer(&self) -> Result<Reading> {
        let (window, group, shape) = self.convolution(0, 1)?;
        let op = Op::ConvInteger { window, group };
        Reading::node(op, 4, ElementType::Int32, shape)
    }

    pub(super) fn qlinear_conv(&self) -> Result<Reading> {
        let (window, group, shape) = self.convolution(0, 3)?;
        let op = Op::QLinearConv { window, group };
        Reading::node(op, 9, self.element(7)?, shape)
    }

    pub(super) fn conv_transpose(&self) -> Result<Reading> {
        let size = self.spatial_extents(0)?;
        let input = self.shape(0)?;
        let weights = self.fixed(1)?;
        let group = self.size("group", 1)?;
        let bad = || {
            let why = format!("its weights of shape {weights:?} do not fit its input of {input}");
            self.refuse(why)
        };
        let (&[inputs, outputs], kernel) = weights.split_first_chunk().ok_or_else(bad)?;
        let fits = kernel.len() == size.len()
            && Extent::Fixed(inputs) == input[1]
            && kernel.iter().all(|&k| k > 0)
            && inputs % group == 0;
        let stated = self.kernel(kernel.len())?;
        if !fits || stated.is_some_and(|stated| stated != kernel) {
            return Err(bad());
        }
        let (window, output_padding) = self.transposed_window(kernel.to_vec(), &size)?;
        let channels = outputs.checked_mul(group).ok_or_else(bad)?;
        let shape = over(input[0], channels, &window.output);
        self.bias(2, shape[1])?;
        let op = Op::ConvTranspose {
            window,
            output_padding,
            group,
        };
        Reading::node(op, 3, self.element(0)?, shape)
    }

    pub(super) fn gemm(&self) -> Result<Reading> {
        let (trans_a, trans_b) = (self.flag("transA", false)?, self.flag("transB", false)?);
        let op = Op::Gemm {
            alpha: self.float("alpha", 1.0)?,
            beta: self.float("beta", 1.0)?,
            trans_a,
            trans_b,
        };
        let matrix = |position: usize, transposed: bool| match self.shape(position)?[..] {
            [rows, columns] if transposed => Ok([columns, rows]),
            [rows, columns] => Ok([rows, columns]),
            _ => Err(self.refuse(format!("input {position} is no matrix"))),
        };
        let ([rows, inner], [other, columns]) = (matrix(0, trans_a)?, matrix(1, trans_b)?);
        let shape = Shape::new(vec![rows, columns]);
        let fits = self
            .given(2)
            .is_none_or(|c| shape.broadcast(&c.value.shape).as_ref() == Some(&shape));
        if inner != other || !fits {
            let (a, b) = (self.shape(0)?, self.shape(1)?);
            let why = format!("its weights and its bias do not fit: {a} by {b}");
            return Err(self.refuse(why));
        }
        Reading::node(op, 3, self.element(0)?, shape)
    }

    /// The shape of the product of two (stacks of) matrices.
    fn product(&self, a: usize, b: usize) -> Result<Shape> {
        let (a, b) = (self.shape(a)?, self.shape(b)?);
        let bad = || {
            self.refuse(format!(
                "tensors of shapes {a} and {b} cannot be multiplied"
            ))
        };
        // A vector is a matrix of one row or column, which is dropped after.
        let (rows, inner, left) = match a[..] {
            [] => return Err(bad()),
            [inner] => (None, inner, &a[..0]),
            [ref stack @ .., rows, inner] => (Some(rows), inner, stack),
        };
        let (other, columns, right) = match b[..] {
            [] => return Err(bad()),
            [other] => (other, None, &b[..0]),
            [ref stack @ .., other, columns] => (other, Some(columns), stack),
        };
        let stack = Shape::new(left.to_vec()).broadcast(&Shape::new(right.to_vec()));
        let stack = stack.filter(|_| inner == other).ok_or_else(bad)?;
        Ok(stack.iter().copied().chain(rows).chain(columns).collect())
    }

    pub(super) fn matmul(&self) -> Result<Reading> {
        let shape = self.product(0, 1)?;
        Reading::node(Op::MatMul, 2, self.element(0)?, shape)
    }

    pub(super) fn matmul_integer(&self) -> Result<Reading> {
        let shape = self.product(0, 1)?;
        Reading::node(Op::MatMulInteger, 4, ElementType::Int32, shape)
    }

    pub(super) fn qlinear_matmul(&self) -> Result<Reading> {
        let shape = self.product(0, 3)?;
        Reading::node(Op::QLinearMatMul, 8, self.element(7)?, shape)
    }

    pub(super) fn batch_normalization(&self) -> Result<Reading> {
        // Before opset 14, outputs beyond the first are training's; before
        // opset 7 an attribute states it.
        let training = self.flag("training_mode", false)?
            || (self.opset < 14 && (1..5).any(|output| self.makes(output)))
            || (self.opset < 7 && !self.flag("is_test", false)?);
        if training {
            return Err(self.refuse("it is in training mode"));
        }
        if !self.flag("spatial", true)? {
            return Err(self.refuse("it normalizes every value of an image on its own"));
        }
        let shape = self.shape(0)?;
        let channels = shape.get(1).copied().unwrap_or(Extent::Fixed(1));
        for position in 1..5 {
            if self.shape(position)?[..] != [channels] {
                return Err(self.refuse("its numbers do not fit its input"));
            }
        }
        let epsilon = self.float("epsilon", 1e-5)?;
        let op = Op::BatchNormalization { epsilon };
        Reading::node(op, 5, self.element(0)?, shape.clone())
    }

    pub(super) fn instance_normalization(&self) -> Result<Reading> {
        let epsilon = self.float("epsilon", 1e-5)?;
        self.like_first(Op::InstanceNormalization { epsilon }, 3)
    }

    pub(super) fn group_normalization(&self) -> Result<Reading> {
        let op = Op::GroupNormalization {
            groups: self.size("num_groups", 0)?,
            epsilon: self.float("epsilon", 1e-5)?,
        };
        self.like_first(op, 3)
    }

    pub(super) fn layer_normalization(&self) -> Result<Reading> {
        let shape = self.shape(0)?;
        let axis = self.axis(-1, shape.rank())?;
        let epsilon = self.float("epsilon", 1e-5)?;
        let element = self.element(0)?;
        let kept = shape.iter().enumerate();
        let statistics: Shape = kept
            .map(|(i, &extent)| if i < axis { extent } else { Extent::Fixed(1) })
            .collect();
        let mut outputs = vec![(element, shape.clone())];
        let count = self.proto.output.len().clamp(1, 3);
        outputs.resize(count, (ElementType::Float32, statistics));
        Reading::made(Op::LayerNormalization { axis, epsilon }, 3, outputs)
    }

    pub(super) fn lrn(&self) -> Result<Reading> {
        let op = Op::Lrn {
            size: self.size("size", 0)?,
            alpha: self.float("alpha", 1e-4)?,
            beta: self.float("beta", 0.75)?,
            bias: self.float("bias", 1.0)?,
        };
        self.like_first(op, 1)
    }

    pub(super) fn lp_normalization(&self) -> Result<Reading> {
        let axis = self.axis(-1, self.shape(0)?.rank())?;
        let p = self.size("p", 2)?;
        self.like_first(Op::LpNormalization { axis, p }, 1)
    }

    /// A node whose output is of its first input's shape and type.
    pub(super) fn like_first(&self, op: Op, inputs: usize) -> Result<Reading> {
        Reading::node(op, inputs, self.element(0)?, self.shape(0)?.clone())
    }

    pub(super) fn pool(&self) -> Result<Reading> {
        let size = self.spatial_extents(0)?;
        let input = self.shape(0)?;
        let kernel = self.kernel(size.len())?;
        let kernel = kernel.ok_or_else(|| self.refuse("it states no kernel"))?;
        let window = self.window(&kernel, &size)?;
        let shape = Shape::new(
            input[..2]
                .iter()
                .copied()
                .chain(window.output.iter().copied().map(Extent::Fixed))
                .collect(),
        );
        let element = self.element(0)?;
        let op = match self.op_type() {
            "MaxPool" => Op::MaxPool {
                window,
                column_major: self.flag("storage_order", false)?,
            },
            "AveragePool" => Op::AveragePool {
                window,
                count_padding: self.flag("count_include_pad", false)?,
            },
            _ => Op::LpPool {
                window,
                p: self.size("p", 2)?,
            },
        };
        let mut outputs = vec![(element, shape.clone())];
        if self.makes(1) {
            outputs.push((ElementType::Int64, shape));
        }
        Reading::made(op, 1, outputs)
    }

    pub(super) fn global_pool(&self, op: Op) -> Result<Reading> {
        let spatial = self.spatial_extents(0)?.len();
        let leading = self.shape(0)?[..2].iter().copied();
        let shape = leading.chain(vec![Extent::Fixed(1); spatial]).collect();
        Reading::node(op, 1, self.element(0)?, shape)
    }
}

/// A shape of a batch, channels and spatial extents.
fn over(batch: Extent, channels: usize, spatial: &[usize]) -> Shape {
    let rest = spatial.iter().copied().map(Extent::Fixed);
    [batch, Extent::Fixed(channels)]
        .into_iter()
        .chain(rest)
        .collect()
}
