//! Convolution, linear layers, pooling, and what reduces axes.

use std::ops::Range;

use recert_graph::Node as Source;

use super::{Lowering, MIXES, Meaning, refuse, unsupported};
use crate::across::{Reduction, Softmax};
use crate::conv::{Filter, Window};
use crate::error::Result;
use crate::ir::{ArgMax, Op, OutputValue};
use crate::pool::PoolKind;
use crate::tile::Clamp;

impl Lowering<'_> {
    pub(super) fn conv(
        &mut self,
        node: &Source,
        window: &recert_graph::Window,
        groups: usize,
    ) -> Result<()> {
        let (id, [_, height, width]) = self.image(node)?;
        let (dims, weights) = self.weights(node)?;
        let window = planar(node, window)?;
        let &[outputs, inputs, rows, columns] = &dims[..] else {
            return Err(refuse(node, "its weights do not fit its input"));
        };
        let bias = match self.floats(node, 2)? {
            Some((_, bias)) => bias,
            None => vec![0.0; outputs],
        };
        let [h, w] = window.output;
        // On a single pixel it is a linear layer.
        let single = [height, width, h, w, rows, columns] == [1; 6];
        let op = if single && groups == 1 {
            Op::Gemm {
                weights: transposed(&weights, [outputs, inputs]),
                bias,
                clamp: Clamp::NONE,
            }
        } else {
            Op::Conv {
                filter: Filter {
                    outputs,
                    inputs,
                    groups,
                    weights,
                    bias,
                },
                window,
                clamp: Clamp::NONE,
            }
        };
        self.push(node, op, vec![id])
    }

    pub(super) fn gemm(&mut self, node: &Source, factors: [f32; 2], trans_b: bool) -> Result<()> {
        let (dims, mut weights) = self.weights(node)?;
        let [mut inputs, mut outputs] = [dims[0], dims[1]];
        if trans_b {
            weights = transposed(&weights, [inputs, outputs]);
            (inputs, outputs) = (outputs, inputs);
        }
        let mut bias = match self.floats(node, 2)? {
            None => vec![0.0; outputs],
            Some((_, bias)) if bias.len() == 1 => vec![bias[0]; outputs],
            // One of shape [outputs, 1] has a number for each image of the batch.
            Some((dims, bias)) if bias.len() == outputs && dims.last() == Some(&outputs) => bias,
            Some(_) => return Err(refuse(node, "its weights and its bias do not fit")),
        };
        for (factor, values) in factors.into_iter().zip([&mut weights, &mut bias]) {
            if factor != 1.0 {
                for value in values.iter_mut() {
                    *value *= factor;
                }
            }
        }
        self.linear(node, [inputs, outputs], weights, bias)
    }

    pub(super) fn matmul(&mut self, node: &Source) -> Result<()> {
        let known = node.input(1).and_then(|id| self.source.constant(id));
        if known.is_none_or(|constant| constant.shape().len() != 2) {
            return self.product(node);
        }
        let (dims, weights) = self.weights(node)?;
        let &[inputs, outputs] = &dims[..] else {
            return Err(refuse(node, "its second factor is no matrix"));
        };
        self.linear(node, [inputs, outputs], weights, vec![0.0; outputs])
    }

    fn linear(
        &mut self,
        node: &Source,
        [inputs, outputs]: [usize; 2],
        weights: Vec<f32>,
        bias: Vec<f32>,
    ) -> Result<()> {
        let id = self.data(node, 0)?;
        if self.dims(id).len() != 1 {
            return self.rows(node, [inputs, outputs], weights, bias);
        }
        self.check_images(node)?;
        if self.dims(id) != [inputs] || outputs == 0 || inputs == 0 {
            let why = format!(
                "its input is of shape {:?} an image, its weights of shape {:?}",
                self.dims(id),
                [inputs, outputs],
            );
            return Err(refuse(node, why));
        }
        let op = Op::Gemm {
            weights,
            bias,
            clamp: Clamp::NONE,
        };
        self.push(node, op, vec![id])
    }

    pub(super) fn max_pool(&mut self, node: &Source, window: &recert_graph::Window) -> Result<()> {
        if node.outputs.get(1).is_some_and(Option::is_some) {
            return Err(refuse(node, "its indices are used"));
        }
        let id = self.any(node, 0)?;
        self.pool(node, id, PoolKind::Max, planar(node, window)?)
    }

    pub(super) fn average_pool(
        &mut self,
        node: &Source,
        window: &recert_graph::Window,
        count_padding: bool,
    ) -> Result<()> {
        let id = self.data(node, 0)?;
        let (_, [_, height, width]) = self.planes(node, id)?;
        let planar = planar(node, window)?;
        let kind = if count_padding {
            PoolKind::AverageWithPadding
        } else {
            PoolKind::Average
        };
        // What the padding beyond the last whole window counts for is not the
        // same everywhere.
        let beyond = (0..2).any(|axis| {
            let reach = (planar.kernel[axis] - 1) * planar.dilation[axis] + 1;
            let end = (planar.output[axis] - 1) * planar.stride[axis] + reach;
            end > planar.before[axis] + [height, width][axis] + window.after[axis]
        });
        if count_padding && beyond {
            return Err(refuse(node, "it rounds up and counts its padding"));
        }
        self.pool(node, id, kind, planar)
    }

    fn pool(&mut self, node: &Source, id: usize, kind: PoolKind, window: Window) -> Result<()> {
        let (id, [_, height, width]) = self.planes(node, id)?;
        for (axis, size) in [height, width].into_iter().enumerate() {
            let empty = |position| {
                let (first, end) = window.taps(axis, position, size);
                first == end
            };
            if (0..window.output[axis]).any(empty) {
                return Err(refuse(node, "some of its windows lie in the padding alone"));
            }
        }
        self.push(node, Op::Pool { kind, window }, vec![id])
    }

    pub(super) fn global_pool(&mut self, node: &Source, op: Op) -> Result<()> {
        let (id, _) = self.image(node)?;
        self.push(node, op, vec![id])
    }

    pub(super) fn reduce(
        &mut self,
        node: &Source,
        reduction: recert_graph::Reduction,
        axes: &[usize],
    ) -> Result<()> {
        use recert_graph::Reduction as R;
        let id = self.data(node, 0)?;
        let axes = axes.iter().map(|&axis| self.axis_of(node, 0, axis));
        let axes: Vec<usize> = axes.collect::<Result<_>>()?;
        let op = match reduction {
            R::Mean if self.dims(id).len() == 3 && axes == [1, 2] => Op::Means,
            R::Mean => Op::Reduce(Reduction::Mean, axes),
            R::Sum => Op::Reduce(Reduction::Sum, axes),
            R::Max => Op::Reduce(Reduction::Max, axes),
            _ => return Err(unsupported(node)),
        };
        self.push(node, op, vec![id])
    }

    pub(super) fn softmax(&mut self, node: &Source, axes: Range<usize>) -> Result<()> {
        let id = self.data(node, 0)?;
        let (first, last) = (axes.start, axes.end - 1);
        let axes = self.axis_of(node, 0, first)?..self.axis_of(node, 0, last)? + 1;
        // The batch, with nothing else, may not be among them.
        if axes.len() != last + 1 - first {
            return Err(refuse(node, MIXES));
        }
        let op = Op::Softmax(along(self.dims(id), axes));
        self.push(node, op, vec![id])
    }

    pub(super) fn arg_max(&mut self, node: &Source, axis: usize, last: bool) -> Result<()> {
        let id = self.data(node, 0)?;
        self.check_images(node)?;
        let axis = self.axis_of(node, 0, axis)?;
        let output = OutputValue {
            value: id,
            arg_max: Some(ArgMax {
                along: along(self.dims(id), axis..axis + 1),
                last,
                dims: self.made(node)?,
            }),
        };
        self.once.remove(&id);
        self.meanings[node.output().index()] = Some(Meaning::ArgMax(output));
        Ok(())
    }
}

/// Some neighbouring axes of a tensor of this shape.
fn along(dims: &[usize], axes: Range<usize>) -> Softmax {
    Softmax {
        outer: dims[..axes.start].iter().product(),
        length: dims[axes.clone()].iter().product(),
        inner: dims[axes.end..].iter().product(),
    }
}

/// A matrix's transpose.
fn transposed(values: &[f32], [rows, columns]: [usize; 2]) -> Vec<f32> {
    let offsets = (0..columns).flat_map(|c| (0..rows).map(move |r| r * columns + c));
    offsets.map(|offset| values[offset]).collect()
}

/// A window over rows and columns.
fn planar(node: &Source, window: &recert_graph::Window) -> Result<Window> {
    let pair = |values: &[usize]| -> Result<[usize; 2]> {
        let pair = values.try_into();
        pair.map_err(|_| refuse(node, "its kernel is not of rows and columns"))
    };
    Ok(Window {
        kernel: pair(&window.kernel)?,
        stride: pair(&window.strides)?,
        dilation: pair(&window.dilations)?,
        before: pair(&window.before)?,
        output: pair(&window.output)?,
    })
}
