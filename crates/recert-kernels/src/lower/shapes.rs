//! Operators that move values, and change none.

use recert_graph::{AxisSlice, ElementType, Node as Source, PadMode};

use super::{Lowering, MIXES, refuse};
use crate::error::Result;
use crate::ir::Op;
use crate::pointwise::{Step, Unary};
use crate::rearrange::Cut;

impl Lowering<'_> {
    pub(super) fn transpose(&mut self, node: &Source, perm: &[usize]) -> Result<()> {
        let id = self.any(node, 0)?;
        let full = self.input_full(node, 0)?;
        let output = self
            .full(node.output())
            .ok_or_else(|| refuse(node, MIXES))?;
        if let (Some(from), Some(to)) = (full.place, output.place)
            && perm[to.axis] != from.axis
            && !self.alone()
        {
            return Err(refuse(node, MIXES));
        }
        let merged = |axis: usize| full.place.is_some_and(|p| p.axis == axis && p.factor > 1);
        let kept = perm.iter().filter_map(|&axis| {
            // What is merged with the batch goes with it.
            full.axis(axis).or_else(|| merged(axis).then_some(axis))
        });
        let order: Vec<usize> = kept.collect();
        let dims: Vec<usize> = order.iter().map(|&axis| self.dims(id)[axis]).collect();
        let moved = order.iter().filter(|&&axis| self.dims(id)[axis] > 1);
        if moved.is_sorted() {
            return self.push(node, Op::View, vec![id]);
        }
        self.push_as(node, Op::Transpose(order), vec![id], dims)
    }

    pub(super) fn reshape(&mut self, node: &Source) -> Result<()> {
        let id = self.any(node, 0)?;
        self.push(node, Op::View, vec![id])
    }

    pub(super) fn slice(&mut self, node: &Source, slices: &[AxisSlice]) -> Result<()> {
        let id = self.any(node, 0)?;
        let mut cuts: Vec<Cut> = self.dims(id).iter().map(|&size| Cut::whole(size)).collect();
        for slice in slices {
            cuts[self.axis_of(node, 0, slice.axis)?] = Cut {
                before: 0,
                count: slice.count,
                start: slice.start,
                step: slice.step,
            };
        }
        if cuts.iter().any(|cut| cut.count == 0) {
            return Err(refuse(node, "it takes nothing"));
        }
        self.cut(node, id, cuts, 0.0)
    }

    pub(super) fn pad(&mut self, node: &Source, mode: PadMode, pads: &[[i64; 2]]) -> Result<()> {
        let id = self.data(node, 0)?;
        let PadMode::Constant(fill) = mode else {
            return Err(refuse(node, "only padding by a constant is supported here"));
        };
        let full = self.input_full(node, 0)?;
        let mut kept = Vec::new();
        for (axis, &pads) in pads.iter().enumerate() {
            match full.place {
                Some(place) if place.axis == axis => {
                    if pads != [0, 0] {
                        return Err(refuse(node, MIXES));
                    }
                    kept.extend((place.factor > 1).then_some(pads));
                }
                _ => kept.push(pads),
            }
        }
        let cuts = self
            .dims(id)
            .iter()
            .zip(kept)
            .map(|(&size, [before, after])| {
                // Negative padding cuts off.
                let start = before.min(0).unsigned_abs() as usize;
                let end = after.min(0).unsigned_abs() as usize;
                Cut {
                    before: before.max(0) as usize,
                    count: size - start - end,
                    start,
                    step: 1,
                }
            });
        let cuts: Vec<Cut> = cuts.collect();
        if cuts.iter().any(|cut| cut.count == 0) {
            return Err(refuse(node, "its padding does not fit its input"));
        }
        self.cut(node, id, cuts, fill as f32)
    }

    /// Adds a cut, joined with one before it that nothing else takes.
    fn cut(&mut self, node: &Source, id: usize, cuts: Vec<Cut>, fill: f32) -> Result<()> {
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
        self.push(node, Op::Cut { cuts, fill }, vec![id])
    }

    pub(super) fn concat(&mut self, node: &Source, axis: usize) -> Result<()> {
        let output = self
            .full(node.output())
            .ok_or_else(|| refuse(node, MIXES))?;
        let dims = output.dims_of_one();
        let axis = output.axis(axis).ok_or_else(|| refuse(node, MIXES))?;
        let mut ids = Vec::new();
        for position in 0..node.inputs.len() {
            let id = self.value_or_constant(node, position)?;
            // Of a file for one image alone, one of its axes may count as the
            // batch in some tensors and not in others.
            if self.dims(id).len() != dims.len() {
                return Err(refuse(
                    node,
                    "tensors of these shapes are not supported here",
                ));
            }
            ids.push(id);
        }
        self.push(node, Op::Concat(axis), ids)
    }

    pub(super) fn cast(&mut self, node: &Source, to: ElementType) -> Result<()> {
        let id = self.any(node, 0)?;
        match (self.values[id].integers, to) {
            (true, ElementType::Int32 | ElementType::Int64) => {
                self.alias(node, id);
                Ok(())
            }
            (true, ElementType::Float32) => self.push(node, Op::View, vec![id]),
            (false, ElementType::Int32 | ElementType::Int64) => {
                let op = Op::Pointwise(vec![Step::Unary(Unary::Truncate)]);
                self.push(node, op, vec![id])
            }
            _ => Err(refuse(
                node,
                format!("a conversion to {to} is not supported here"),
            )),
        }
    }
}
