//! Convolution, linear layers, pooling, and what reduces axes.

use recert_net::Node as Operator;

use super::known::{BATCH, Tensor, wrap};
use super::{Lowering, MIXES, Meaning, output, refuse};
use crate::across::{Reduction, Softmax};
use crate::conv::{Filter, Window};
use crate::error::Result;
use crate::ir::{ArgMax, Head, Op};
use crate::pool::PoolKind;
use crate::tile::Clamp;

impl Lowering<'_> {
    pub(super) fn conv(&mut self, node: &Operator<'_>) -> Result<()> {
        let (id, [channels, height, width]) = self.image(node)?;
        let weights = self
            .floats(node, 1)?
            .ok_or_else(|| refuse(node, "it has no weights"))?;
        let bad = || refuse(node, "its weights do not fit its input");
        let &[outputs, inputs, rows, columns] = &weights.dims[..] else {
            return Err(bad());
        };
        let groups = usize::try_from(node.int("group").unwrap_or(1)).map_err(|_| bad())?;
        let fits = groups > 0
            && inputs.checked_mul(groups) == Some(channels)
            && outputs > 0
            && outputs % groups == 0;
        let stated = node
            .ints("kernel_shape")
            .is_none_or(|s| s == [rows as i64, columns as i64]);
        if !fits || !stated {
            return Err(bad());
        }
        let bias = match self.floats(node, 2)? {
            Some(bias) if bias.values.len() == outputs => bias.values,
            Some(_) => return Err(refuse(node, "its bias does not fit its weights")),
            None => vec![0.0; outputs],
        };
        let window = window(node, [rows, columns], [height, width])?;
        let [h, w] = window.output;
        let filter = Filter {
            outputs,
            inputs,
            groups,
            weights: weights.values,
            bias,
        };
        // On a single pixel it is a linear layer.
        let single = [height, width, h, w, rows, columns] == [1; 6];
        let op = if single && groups == 1 {
            let (rows, columns) = (outputs, inputs);
            let transposed = (0..columns).flat_map(|c| (0..rows).map(move |r| r * columns + c));
            Op::Gemm {
                weights: transposed.map(|place| filter.weights[place]).collect(),
                bias: filter.bias,
                clamp: Clamp::NONE,
            }
        } else {
            Op::Conv {
                filter,
                window,
                clamp: Clamp::NONE,
            }
        };
        self.push(node, op, vec![id], vec![outputs, h, w]);
        Ok(())
    }

    pub(super) fn gemm(&mut self, node: &Operator<'_>) -> Result<()> {
        if node.int("transA").unwrap_or(0) != 0 {
            return Err(refuse(node, MIXES));
        }
        let weights = self
            .floats(node, 1)?
            .ok_or_else(|| refuse(node, "it has no weights"))?;
        let weights = match node.int("transB").unwrap_or(0) {
            0 => Some(weights),
            _ => weights.transposed(None),
        };
        let scaled = |values: &mut [f32], factor: f32| {
            if factor != 1.0 {
                for value in values {
                    *value *= factor;
                }
            }
        };
        let bad = || refuse(node, "its weights and its bias do not fit");
        let mut weights = weights.filter(|w| w.dims.len() == 2).ok_or_else(bad)?;
        scaled(&mut weights.values, node.float("alpha").unwrap_or(1.0));
        let outputs = weights.dims[1];
        let mut bias = match self.floats(node, 2)? {
            None => vec![0.0; outputs],
            Some(bias) if bias.values.len() == 1 && bias.dims.len() <= 2 => {
                vec![bias.values[0]; outputs]
            }
            Some(bias) if bias.dims == [outputs] || bias.dims == [1, outputs] => bias.values,
            Some(_) => return Err(bad()),
        };
        scaled(&mut bias, node.float("beta").unwrap_or(1.0));
        self.linear(node, weights, bias)
    }

    pub(super) fn matmul(&mut self, node: &Operator<'_>) -> Result<()> {
        let weights = self
            .floats(node, 1)?
            .ok_or_else(|| refuse(node, "it has no weights"))?;
        if weights.dims.len() != 2 {
            return Err(refuse(node, "its second factor is no matrix"));
        }
        let bias = vec![0.0; weights.dims[1]];
        self.linear(node, weights, bias)
    }

    fn linear(&mut self, node: &Operator<'_>, weights: Tensor<f32>, bias: Vec<f32>) -> Result<()> {
        let id = self.data(node, 0)?;
        if self.dims(id) != [weights.dims[0]] || bias.is_empty() || weights.dims[0] == 0 {
            let why = format!(
                "its input is of shape {:?} an image, its weights of shape {:?}",
                self.dims(id),
                weights.dims,
            );
            return Err(refuse(node, why));
        }
        let dims = vec![bias.len()];
        let op = Op::Gemm {
            weights: weights.values,
            bias,
            clamp: Clamp::NONE,
        };
        self.push(node, op, vec![id], dims);
        Ok(())
    }

    pub(super) fn pool(&mut self, node: &Operator<'_>) -> Result<()> {
        let max = node.standard_op() == "MaxPool";
        let id = if max {
            self.any(node, 0)?
        } else {
            self.data(node, 0)?
        };
        let (id, [channels, height, width]) = self.planes(node, id)?;
        if node
            .outputs()
            .iter()
            .skip(1)
            .any(|name| self.uses.contains_key(name))
        {
            return Err(refuse(node, "its indices are used"));
        }
        let kernel = match node.ints("kernel_shape") {
            Some(&[rows, columns]) => pair(node, [rows, columns], 1)?,
            _ => return Err(refuse(node, "its kernel is not of rows and columns")),
        };
        let window = window(node, kernel, [height, width])?;
        let kind = match node.int("count_include_pad").unwrap_or(0) {
            _ if max => PoolKind::Max,
            0 => PoolKind::Average,
            _ => PoolKind::AverageWithPadding,
        };
        // What the padding beyond the last whole window counts for is not the
        // same everywhere.
        if kind == PoolKind::AverageWithPadding && node.int("ceil_mode").unwrap_or(0) != 0 {
            return Err(refuse(node, "it rounds up and counts its padding"));
        }
        let [h, w] = window.output;
        for (axis, size) in [height, width].into_iter().enumerate() {
            let empty = |position| {
                let (first, end) = window.taps(axis, position, size);
                first == end
            };
            if (0..window.output[axis]).any(empty) {
                return Err(refuse(node, "some of its windows lie in the padding alone"));
            }
        }
        let integers = self.values[id].integers;
        let dims = vec![channels, h, w];
        self.push_of(node, Op::Pool { kind, window }, vec![id], dims, integers);
        Ok(())
    }

    pub(super) fn global_pool(&mut self, node: &Operator<'_>) -> Result<()> {
        let (id, [channels, ..]) = self.image(node)?;
        let op = if node.standard_op() == "GlobalAveragePool" {
            Op::Means
        } else {
            Op::Reduce(Reduction::Max, vec![1, 2])
        };
        self.push(node, op, vec![id], vec![channels, 1, 1]);
        Ok(())
    }

    pub(super) fn reduce(&mut self, node: &Operator<'_>) -> Result<()> {
        let id = self.data(node, 0)?;
        let dims = self.dims(id).to_vec();
        let list = self.list(node, "axes", 1)?.unwrap_or_default();
        if list.is_empty() {
            return Err(refuse(node, MIXES));
        }
        let axes = list.iter().map(|&axis| Self::axis(node, axis, dims.len()));
        let mut axes: Vec<usize> = axes.collect::<Result<_>>()?;
        axes.sort_unstable();
        axes.dedup();
        let keep = node.int("keepdims").unwrap_or(1) != 0;
        let size = |(axis, &size): (usize, &usize)| match (axes.contains(&axis), keep) {
            (true, true) => Some(1),
            (true, false) => None,
            (false, _) => Some(size),
        };
        let shape = dims.iter().enumerate().filter_map(size).collect();
        let op = match node.standard_op() {
            "ReduceMean" if dims.len() == 3 && axes == [1, 2] => Op::Means,
            "ReduceMean" => Op::Reduce(Reduction::Mean, axes),
            "ReduceSum" => Op::Reduce(Reduction::Sum, axes),
            _ => Op::Reduce(Reduction::Max, axes),
        };
        self.push(node, op, vec![id], shape);
        Ok(())
    }

    pub(super) fn softmax(&mut self, node: &Operator<'_>) -> Result<()> {
        let id = self.data(node, 0)?;
        let dims = self.dims(id).to_vec();
        let op = if self.opset >= 13 {
            let axis = Self::axis(node, node.int("axis").unwrap_or(-1), dims.len())?;
            along(&dims, axis)
        } else {
            // All axes from this one on are one.
            let axis = Self::axis(node, node.int("axis").unwrap_or(1), dims.len())?;
            Softmax {
                outer: dims[..axis].iter().product(),
                length: dims[axis..].iter().product(),
                inner: 1,
            }
        };
        self.push(node, Op::Softmax(op), vec![id], dims);
        Ok(())
    }

    pub(super) fn arg_max(&mut self, node: &Operator<'_>) -> Result<()> {
        let id = self.data(node, 0)?;
        let dims = self.dims(id).to_vec();
        let axis = Self::axis(node, node.int("axis").unwrap_or(0), dims.len())?;
        let mut shape = dims.clone();
        if node.int("keepdims").unwrap_or(1) == 0 {
            shape.remove(axis);
        } else {
            shape[axis] = 1;
        }
        let head = Head {
            value: id,
            arg_max: Some(ArgMax {
                along: along(&dims, axis),
                last: node.int("select_last_index").unwrap_or(0) != 0,
                dims: shape,
            }),
        };
        self.once.remove(&id);
        self.meanings
            .insert(output(node).to_owned(), Meaning::ArgMax(head));
        Ok(())
    }
}

/// One axis of a tensor of this shape.
fn along(dims: &[usize], axis: usize) -> Softmax {
    Softmax {
        outer: dims[..axis].iter().product(),
        length: dims[axis],
        inner: dims[axis + 1..].iter().product(),
    }
}

/// Two sizes, at least `least` each.
fn pair(node: &Operator<'_>, values: [i64; 2], least: i64) -> Result<[usize; 2]> {
    /// Larger ones are none of a network of images.
    const MOST: i64 = 1 << 20;
    if values.iter().any(|v| !(least..=MOST).contains(v)) {
        return Err(refuse(
            node,
            format!("its sizes {values:?} are not supported here"),
        ));
    }
    Ok(values.map(|v| v as usize))
}

/// The window of a convolution or pooling of an image of this size.
fn window(node: &Operator<'_>, kernel: [usize; 2], size: [usize; 2]) -> Result<Window> {
    let listed = |name: &str| match node.ints(name) {
        None => Ok([1, 1]),
        Some(&[rows, columns]) => pair(node, [rows, columns], 1),
        Some(other) => Err(refuse(
            node,
            format!("its {name} {other:?} are not of rows and columns"),
        )),
    };
    let (stride, dilation) = (listed("strides")?, listed("dilations")?);
    pair(node, kernel.map(|k| k as i64), 1)?;
    let reach = |axis: usize| (kernel[axis] - 1) * dilation[axis] + 1;
    let mut before = [0; 2];
    let mut after = [0; 2];
    let mut output = [0; 2];
    let auto = node.text("auto_pad").unwrap_or("NOTSET");
    match (auto, node.ints("pads")) {
        ("NOTSET", Some(&[top, left, bottom, right])) => {
            before = pair(node, [top, left], 0)?;
            after = pair(node, [bottom, right], 0)?;
        }
        ("NOTSET" | "VALID", None) => {}
        ("SAME_UPPER" | "SAME_LOWER", _) => {
            for axis in 0..2 {
                let wanted = size[axis].div_ceil(stride[axis]);
                let padding =
                    ((wanted - 1) * stride[axis] + reach(axis)).saturating_sub(size[axis]);
                let (small, large) = (padding / 2, padding.div_ceil(2));
                (before[axis], after[axis]) = if auto == "SAME_UPPER" {
                    (small, large)
                } else {
                    (large, small)
                };
            }
        }
        (auto, pads) => {
            return Err(refuse(
                node,
                format!("its padding {auto} {pads:?} is not supported here"),
            ));
        }
    }
    let up = node.int("ceil_mode").unwrap_or(0) != 0;
    for axis in 0..2 {
        let padded = before[axis] + size[axis] + after[axis];
        let Some(steps) = padded.checked_sub(reach(axis)) else {
            return Err(refuse(node, "its kernel is larger than its input"));
        };
        output[axis] = if up {
            let count = steps.div_ceil(stride[axis]) + 1;
            // The last window has to begin inside the image or the padding before.
            let outside = (count - 1) * stride[axis] >= before[axis] + size[axis];
            count - usize::from(outside)
        } else {
            steps / stride[axis] + 1
        };
    }
    Ok(Window {
        kernel,
        stride,
        dilation,
        before,
        output,
    })
}

/// The per-image shape that `Reshape` gives a tensor of shape `dims`; `None`
/// where images do not stay apart.
pub(super) fn reshape(
    dims: &[usize],
    wanted: &[i64],
    batch: Option<usize>,
    zero: bool,
) -> Option<Vec<usize>> {
    let (&first, rest) = wanted.split_first()?;
    let is_batch = match first {
        BATCH | -1 => true,
        0 => !zero,
        size => batch.is_some() && wrap(size, 0) == batch,
    };
    let count: usize = dims.iter().product();
    let mut open = None;
    let mut shape = Vec::new();
    for (axis, &size) in rest.iter().enumerate() {
        shape.push(match size {
            0 if !zero => *dims.get(axis)?,
            -1 if open.is_none() && first != -1 => {
                open = Some(axis);
                1
            }
            size => usize::try_from(size).ok()?,
        });
    }
    if let Some(axis) = open {
        let others = shape.iter().try_fold(1_usize, |n, &d| n.checked_mul(d))?;
        shape[axis] = count.checked_div(others)?;
    }
    let product = shape.iter().try_fold(1_usize, |n, &d| n.checked_mul(d));
    (is_batch && product == Some(count)).then_some(shape)
}
