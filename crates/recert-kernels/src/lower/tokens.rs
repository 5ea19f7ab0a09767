//! What transformers are made of: linear layers on rows, products of two
//! tensors, normalization of rows, and constants among the values.

use recert_graph::{Extent, Node as Source, Tensor};

use super::places::Full;
use super::{Lowering, MIXES, refuse};
use crate::error::Result;
use crate::ir::{Node, Op, Value, ValueId};
use crate::pointwise::{Arith, Step, Unary};
use crate::product::{Product, Stack};
use crate::rearrange::{Cut, offsets, strides};

impl Lowering<'_> {
    /// A new value of that shape, which no value of the file stands for.
    pub(super) fn unnamed(&mut self, op: Op, inputs: Vec<ValueId>, dims: Vec<usize>) -> ValueId {
        let output = self.values.len();
        self.values.push(Value {
            dims,
            integers: false,
            bytes: None,
        });
        self.nodes.push(Node { op, inputs, output });
        output
    }

    /// As [`Lowering::push`], of an operation that makes a tensor of `dims`,
    /// which has the same values in the same order.
    pub(super) fn push_as(
        &mut self,
        node: &Source,
        op: Op,
        inputs: Vec<ValueId>,
        dims: Vec<usize>,
    ) -> Result<()> {
        if dims == self.made(node)? {
            return self.push(node, op, inputs);
        }
        let value = self.unnamed(op, inputs, dims);
        self.push(node, Op::View, vec![value])
    }

    /// The node's input at `position` as a value of an image, a constant made
    /// one of the shape that `like` has (with all axes), on which it is
    /// stretched along the axes that it lacks.
    pub(super) fn value_or_constant(&mut self, node: &Source, position: usize) -> Result<ValueId> {
        let known = node.input(position).and_then(|id| self.source.constant(id));
        let Some(constant) = known else {
            return self.data(node, position);
        };
        let constant = floats(node, position, constant)?;
        // For one image alone it is what it is; else it is the same for all.
        let full = self.input_full(node, position)?;
        let dims = full.dims_of_one();
        Ok(self.unnamed(Op::Constant(constant), Vec::new(), dims))
    }

    /// A linear layer on every row along the last axis.
    pub(super) fn rows(
        &mut self,
        node: &Source,
        [inputs, outputs]: [usize; 2],
        weights: Vec<f32>,
        bias: Vec<f32>,
    ) -> Result<()> {
        let id = self.data(node, 0)?;
        let full = self.input_full(node, 0)?;
        let last = full.dims.len() - 1;
        if full.axis(last).is_none() {
            return Err(refuse(node, MIXES));
        }
        if full.dims[last] != inputs || outputs == 0 || inputs == 0 {
            let why = format!(
                "its input is of shape {:?} an image, its weights of shape {:?}",
                self.dims(id),
                [inputs, outputs],
            );
            return Err(refuse(node, why));
        }
        let op = Op::Linear {
            weights,
            bias,
            steps: Vec::new(),
        };
        self.push(node, op, vec![id])
    }

    /// A product of two stacks of matrices, of which either may be constant.
    pub(super) fn product(&mut self, node: &Source) -> Result<()> {
        let (a, a_full) = self.stack(node, 0)?;
        let (b, b_full) = self.stack(node, 1)?;
        let output = self
            .full(node.output())
            .ok_or_else(|| refuse(node, MIXES))?;
        let rank = output.dims.len();
        let bad = || refuse(node, "matrices of these shapes are not supported here");
        if a_full.dims.len() < 2 || b_full.dims.len() < 2 {
            return Err(bad());
        }
        // Images meet where they have the same axis alone.
        let from_end = |full: &Full| full.place.map(|place| full.dims.len() - place.axis);
        let tensors = [&a_full, &b_full, &output];
        let split = |full: &Full| full.place.is_some_and(|place| place.before > 1);
        if tensors.into_iter().any(split) {
            return Err(refuse(node, MIXES));
        }
        let places: Vec<usize> = [&a_full, &b_full]
            .into_iter()
            .filter_map(from_end)
            .collect();
        let wanted = from_end(&output);
        let rows_only = places.contains(&2) && (b_full.place.is_some() || places != [2]);
        if places
            .iter()
            .any(|&place| Some(place) != wanted || place == 1)
            || rows_only
        {
            return Err(refuse(node, MIXES));
        }
        let [rows, inner] = [
            a_full.dims[a_full.dims.len() - 2],
            a_full.dims[a_full.dims.len() - 1],
        ];
        let columns = b_full.dims[b_full.dims.len() - 1];
        let batch = &output.dims[..rank - 2];
        let stack = |dims: &[usize]| {
            let all = strides(dims);
            let lead = dims.len() - 2;
            let mut steps = vec![0_isize; batch.len() - lead];
            let extents = dims[..lead].iter().zip(&all);
            steps.extend(extents.map(|(&size, &s)| if size == 1 { 0 } else { s as isize }));
            Stack {
                firsts: offsets(batch, &steps, 0),
                strides: [all[lead], all[lead + 1]],
            }
        };
        let product = Product {
            a: stack(&a_full.dims),
            b: stack(&b_full.dims),
            output: stack(&output.dims),
            sizes: [rows, inner, columns],
        };
        self.push(node, Op::Product(product), vec![a, b])
    }

    /// A factor of a product, and its shape with all axes.
    fn stack(&mut self, node: &Source, position: usize) -> Result<(ValueId, Full)> {
        let known = node.input(position).and_then(|id| self.source.constant(id));
        let Some(constant) = known else {
            return Ok((self.data(node, position)?, self.input_full(node, position)?));
        };
        let dims = constant.shape().to_vec();
        let values = floats(node, position, constant)?;
        let value = self.unnamed(Op::Constant(values), Vec::new(), dims.clone());
        Ok((value, Full { dims, place: None }))
    }

    pub(super) fn layer_normalization(
        &mut self,
        node: &Source,
        axis: usize,
        epsilon: f32,
    ) -> Result<()> {
        if node.outputs.iter().skip(1).any(Option::is_some) {
            return Err(refuse(node, "its mean or its deviation is used"));
        }
        let id = self.data(node, 0)?;
        let full = self.input_full(node, 0)?;
        if full.place.is_some_and(|place| place.axis >= axis) {
            return Err(refuse(node, MIXES));
        }
        let count = full.dims[axis..].iter().product::<usize>();
        let numbers = |position| -> Result<Option<Vec<f32>>> {
            let Some((shape, values)) = self.floats(node, position)? else {
                return Ok(None);
            };
            let stretched = super::fuse::stretched(&full.dims[axis..], &shape, &values);
            let stretched = stretched
                .ok_or_else(|| refuse(node, format!("input {position} does not fit its input")))?;
            Ok(Some(stretched))
        };
        let scale = numbers(1)?.unwrap_or_else(|| vec![1.0; count]);
        let shift = numbers(2)?.unwrap_or_else(|| vec![0.0; count]);
        if count == 0 {
            return Err(refuse(node, "it normalizes nothing"));
        }
        let op = Op::LayerNorm {
            scale,
            shift,
            epsilon,
        };
        self.push(node, op, vec![id])
    }

    /// Constants of an image: `Expand` of a constant to the batch, and
    /// `ConstantOfShape`.
    pub(super) fn expand(&mut self, node: &Source) -> Result<()> {
        let known = node.input(0).and_then(|id| self.source.constant(id));
        let output = self
            .full(node.output())
            .ok_or_else(|| refuse(node, MIXES))?;
        let Some(constant) = known else {
            let id = self.data(node, 0)?;
            let input = self.input_full(node, 0)?;
            if input == output {
                self.alias(node, id);
                return Ok(());
            }
            return Err(refuse(node, "only constants are expanded here"));
        };
        let values = floats(node, 0, constant)?;
        let stretched = super::fuse::stretched(&output.dims, constant.shape(), &values);
        let stretched =
            stretched.ok_or_else(|| refuse(node, "an image's part of it depends on the batch"))?;
        self.push(node, Op::Constant(stretched), Vec::new())
    }

    pub(super) fn fill(&mut self, node: &Source, value: f64) -> Result<()> {
        let count = self.made(node)?.iter().product();
        self.push(node, Op::Constant(vec![value as f32; count]), Vec::new())
    }

    pub(super) fn split(&mut self, node: &Source, axis: usize, sizes: &[usize]) -> Result<()> {
        let id = self.data(node, 0)?;
        let axis = self.axis_of(node, 0, axis)?;
        let mut start = 0;
        for (position, &count) in sizes.iter().enumerate() {
            if let Some(output) = node.outputs.get(position).copied().flatten() {
                let cut = Cut {
                    start,
                    ..Cut::whole(count)
                };
                let mut cuts: Vec<Cut> =
                    self.dims(id).iter().map(|&size| Cut::whole(size)).collect();
                cuts[axis] = cut;
                let dims = cuts.iter().map(|cut| cut.count).collect();
                let value = self.value(output, dims);
                if count == 0 {
                    return Err(refuse(node, "one of its parts is empty"));
                }
                let op = Op::Cut { cuts, fill: 0.0 };
                self.nodes.push(Node {
                    op,
                    inputs: vec![id],
                    output: value,
                });
            }
            start += count;
        }
        Ok(())
    }

    /// Slices at known positions.
    pub(super) fn gather(&mut self, node: &Source, axis: usize) -> Result<()> {
        let id = self.data(node, 0)?;
        let axis = self.axis_of(node, 0, axis)?;
        let size = self.dims(id)[axis];
        let positions = self.constant(node, 1)?.and_then(Tensor::to_i64);
        let positions = positions.unwrap_or_default().into_iter().map(|position| {
            let counted = if position < 0 {
                position + size as i64
            } else {
                position
            };
            usize::try_from(counted).ok().filter(|&p| p < size)
        });
        let positions: Option<Vec<usize>> = positions.collect();
        let positions = positions
            .filter(|positions| !positions.is_empty())
            .ok_or_else(|| refuse(node, format!("it has no positions below {size}")))?;
        let mut dims = self.dims(id).to_vec();
        dims[axis] = positions.len();
        let neighbours = positions.windows(2).all(|pair| pair[0] + 1 == pair[1]);
        let op = if neighbours {
            let mut cuts: Vec<Cut> = self.dims(id).iter().map(|&size| Cut::whole(size)).collect();
            cuts[axis] = Cut {
                start: positions[0],
                ..Cut::whole(positions.len())
            };
            Op::Cut { cuts, fill: 0.0 }
        } else {
            Op::Take(axis, positions)
        };
        self.push_as(node, op, vec![id], dims)
    }

    /// A power of a known exponent, of those that are a few operations.
    pub(super) fn power(&mut self, node: &Source) -> Result<()> {
        let (_, exponent) = self
            .floats(node, 1)?
            .ok_or_else(|| refuse(node, "it has no exponent"))?;
        let functions = match exponent[..] {
            [1.0] => vec![],
            [2.0] => vec![Unary::Square],
            [3.0] => vec![Unary::Cube],
            [0.5] => vec![Unary::Sqrt],
            [-0.5] => vec![Unary::Sqrt, Unary::Reciprocal],
            [-1.0] => vec![Unary::Reciprocal],
            _ => {
                return Err(refuse(
                    node,
                    "of exponents 1, 2, 3, 0.5, -0.5 and -1 alone are supported here",
                ));
            }
        };
        let id = self.data(node, 0)?;
        let steps = functions.into_iter().map(Step::Unary).collect();
        self.pointwise(node, id, steps)
    }

    /// The sum of several tensors of one shape, from left to right.
    pub(super) fn sum(&mut self, node: &Source) -> Result<()> {
        let wanted = self.made(node)?;
        let mut ids = Vec::new();
        for position in 0..node.inputs.len() {
            let id = self.value_or_constant(node, position)?;
            if *self.dims(id) != wanted[..] {
                return Err(refuse(node, "its inputs are of several shapes"));
            }
            ids.push(id);
        }
        let Some((&last, first)) = ids.split_last() else {
            return Err(refuse(node, "it has no inputs"));
        };
        let sum = first
            .iter()
            .copied()
            .reduce(|sum, id| self.unnamed(Op::Pair(Arith::Add), vec![sum, id], wanted.clone()));
        if let Some(sum) = sum {
            return self.push(node, Op::Pair(Arith::Add), vec![sum, last]);
        }
        self.alias(node, last);
        Ok(())
    }

    /// Whether the file is for one image alone.
    pub(super) fn alone(&self) -> bool {
        self.batch == Extent::Fixed(1)
    }
}

/// A constant's numbers.
fn floats(node: &Source, position: usize, constant: &Tensor) -> Result<Vec<f32>> {
    let values = constant.to_f32();
    values.ok_or_else(|| refuse(node, format!("input {position} is not of floats")))
}

/// Where the batch is in two tensors that are broadcast, counted from the end.
pub(super) fn apart(a: &Full, b: &Full, output: &Full) -> bool {
    let from_end = |full: &Full| {
        full.place
            .map(|place| (full.dims.len() - place.axis, place.factor, place.before))
    };
    from_end(a) == from_end(b) && from_end(a) == from_end(output)
}
