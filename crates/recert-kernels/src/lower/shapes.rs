//! Operators that move values, and change none.

use recert_net::Node as Operator;

use super::fold::{FLOAT, INT32, INT64, squeeze, unsqueeze};
use super::known::{BATCH, axes};
use super::layers::reshape;
use super::{Lowering, MIXES, output, refuse};
use crate::error::Result;
use crate::ir::Op;
use crate::pointwise::{Step, Unary};
use crate::rearrange::Cut;

/// The batch's extent where shapes are worked out: no other one has it, so that
/// it is seen whether the batch stays first.
const MARK: usize = usize::MAX;

impl Lowering<'_> {
    /// `Flatten`, `Reshape`, `Squeeze`, `Unsqueeze`.
    pub(super) fn reshape(&mut self, node: &Operator<'_>) -> Result<()> {
        let id = self.any(node, 0)?;
        let dims = self.dims(id).to_vec();
        let mixes = || refuse(node, MIXES);
        let marked = || [&[MARK], &dims[..]].concat();
        let unmarked = |dims: Option<Vec<usize>>| match dims.as_deref() {
            Some([MARK, rest @ ..]) => Ok(rest.to_vec()),
            _ => Err(mixes()),
        };
        let shape = match node.standard_op() {
            "Flatten" => {
                if Self::axis(node, node.int("axis").unwrap_or(1), dims.len() + 1)? != 0 {
                    return Err(mixes());
                }
                vec![dims.iter().product()]
            }
            "Reshape" => {
                let wanted = self.list(node, "shape", 1)?.ok_or_else(mixes)?;
                let zero = node.int("allowzero").unwrap_or(0) != 0;
                reshape(&dims, &wanted, self.fixed_batch, zero).ok_or_else(mixes)?
            }
            "Squeeze" => {
                let list = self.list(node, "axes", 1)?;
                unmarked(squeeze(&marked(), list.as_deref()))?
            }
            _ => {
                let list = self.list(node, "axes", 1)?.ok_or_else(mixes)?;
                unmarked(unsqueeze(&marked(), &list))?
            }
        };
        self.view_of(node, id, shape);
        Ok(())
    }

    pub(super) fn transpose(&mut self, node: &Operator<'_>) -> Result<()> {
        let id = self.any(node, 0)?;
        let dims = self.dims(id).to_vec();
        let order = node
            .ints("perm")
            .and_then(|perm| axes(perm, dims.len() + 1));
        let order: Vec<usize> = match order.as_deref() {
            Some([0, rest @ ..]) if rest.len() == dims.len() => {
                rest.iter().map(|axis| axis - 1).collect()
            }
            _ => return Err(refuse(node, MIXES)),
        };
        let shape = order.iter().map(|&axis| dims[axis]).collect();
        let integers = self.values[id].integers;
        self.push_of(node, Op::Transpose(order), vec![id], shape, integers);
        Ok(())
    }

    pub(super) fn slice(&mut self, node: &Operator<'_>) -> Result<()> {
        let id = self.any(node, 0)?;
        let dims = self.dims(id).to_vec();
        // A batch of this size lets a slice of all of it be seen as one.
        let batch = self.fixed_batch.unwrap_or(i32::MAX as usize);
        let ranges = self.ranges(node, &[&[batch], &dims[..]].concat())?;
        let whole = ranges[0].start == 0 && ranges[0].step == 1 && ranges[0].count == batch;
        if !whole || ranges.iter().any(|range| range.count == 0) {
            return Err(refuse(node, "it takes a part of the batch, or nothing"));
        }
        let cuts: Vec<Cut> = ranges[1..]
            .iter()
            .map(|range| Cut {
                before: 0,
                count: range.count,
                start: range.start,
                step: range.step,
            })
            .collect();
        let shape = cuts.iter().map(|cut| cut.count).collect();
        self.cut(node, id, cuts, 0.0, shape);
        Ok(())
    }

    pub(super) fn pad(&mut self, node: &Operator<'_>) -> Result<()> {
        let id = self.data(node, 0)?;
        let dims = self.dims(id).to_vec();
        if node.text("mode").is_some_and(|mode| mode != "constant") {
            return Err(refuse(node, "only padding by a constant is supported here"));
        }
        let bad = || refuse(node, "its padding does not fit its input");
        let listed = self.list(node, "pads", 1)?.ok_or_else(bad)?;
        let fill = match node.float("value") {
            Some(value) => value,
            None => self.number(node, 2)?.unwrap_or(0.0),
        };
        let rank = dims.len() + 1;
        let along = match self.integers(node, 3)? {
            Some(list) => axes(&list.values, rank).ok_or_else(bad)?,
            None => (0..rank).collect(),
        };
        let (before, after) = listed.split_at(listed.len() / 2);
        if before.len() != along.len() || after.len() != along.len() {
            return Err(bad());
        }
        let mut cuts: Vec<Cut> = dims.iter().map(|&size| Cut::whole(size)).collect();
        let mut shape = dims.clone();
        for (i, &axis) in along.iter().enumerate() {
            // Larger ones are none of a network of images.
            let known = |v: i64| v != BATCH && v.unsigned_abs() < 1 << 20;
            if !known(before[i]) || !known(after[i]) {
                return Err(bad());
            }
            let Some(axis) = axis.checked_sub(1) else {
                if before[i] != 0 || after[i] != 0 {
                    return Err(refuse(node, MIXES));
                }
                continue;
            };
            // Negative padding cuts off.
            let start = before[i].min(0).unsigned_abs() as usize;
            let end = after[i].min(0).unsigned_abs() as usize;
            let count = dims[axis].checked_sub(start + end).filter(|&c| c > 0);
            let cut = &mut cuts[axis];
            cut.count = count.ok_or_else(bad)?;
            cut.start = start;
            cut.before = before[i].max(0) as usize;
            shape[axis] = cut.count + cut.before + after[i].max(0) as usize;
        }
        self.cut(node, id, cuts, fill, shape);
        Ok(())
    }

    /// Adds a cut, joined with one before it that nobody else takes.
    fn cut(
        &mut self,
        node: &Operator<'_>,
        id: usize,
        cuts: Vec<Cut>,
        fill: f32,
        shape: Vec<usize>,
    ) {
        let (mut id, mut cuts) = (id, cuts);
        if let Some(place) = self.maker_of_once(id)
            && let Op::Cut { cuts: first, .. } = &self.nodes[place].op
            && first
                .iter()
                .zip(self.dims(id))
                .all(|(cut, &size)| cut.count == size)
        {
            let pairs = cuts.into_iter().zip(first);
            cuts = pairs.map(|(cut, &first)| cut.after(first)).collect();
            id = self.nodes.remove(place).inputs[0];
        }
        let integers = self.values[id].integers;
        self.push_of(node, Op::Cut { cuts, fill }, vec![id], shape, integers);
    }

    pub(super) fn concat(&mut self, node: &Operator<'_>) -> Result<()> {
        let ids: Vec<usize> = (0..node.inputs().len())
            .map(|position| self.data(node, position))
            .collect::<Result<_>>()?;
        let mut shape = self.dims(ids[0]).to_vec();
        let axis = Self::axis(node, node.int("axis").unwrap_or(1), shape.len())?;
        shape[axis] = 0;
        for &id in &ids {
            let dims = self.dims(id);
            let fits = dims.len() == shape.len()
                && (0..dims.len()).all(|other| other == axis || dims[other] == shape[other]);
            if !fits {
                return Err(refuse(node, "its inputs do not fit together"));
            }
            shape[axis] += dims[axis];
        }
        self.push(node, Op::Concat(axis), ids, shape);
        Ok(())
    }

    pub(super) fn cast(&mut self, node: &Operator<'_>) -> Result<()> {
        let id = self.any(node, 0)?;
        let dims = self.dims(id).to_vec();
        match (self.values[id].integers, node.int("to")) {
            (false, Some(FLOAT)) | (true, Some(INT32 | INT64)) => {
                self.alias(output(node), id);
                Ok(())
            }
            (true, Some(FLOAT)) => {
                self.push(node, Op::View, vec![id], dims);
                Ok(())
            }
            (false, Some(INT32 | INT64)) => {
                let op = Op::Pointwise(vec![Step::Unary(Unary::Truncate)]);
                self.push_of(node, op, vec![id], dims, true);
                Ok(())
            }
            (_, to) => Err(refuse(
                node,
                format!(
                    "a conversion to ONNX element type {} is not supported here",
                    to.unwrap_or(0)
                ),
            )),
        }
    }
}
