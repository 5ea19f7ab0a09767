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
        let [0, rest @ ..] = perm else {
            return Err(refuse(node, MIXES));
        };
        let order = rest.iter().map(|axis| axis - 1).collect();
        self.push(node, Op::Transpose(order), vec![id])
    }

    pub(super) fn slice(&mut self, node: &Source, slices: &[AxisSlice]) -> Result<()> {
        let id = self.any(node, 0)?;
        let mut cuts: Vec<Cut> = self.dims(id).iter().map(|&size| Cut::whole(size)).collect();
        for slice in slices {
            cuts[Self::axis(node, slice.axis)?] = Cut {
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
        let [[0, 0], pads @ ..] = pads else {
            return Err(refuse(node, MIXES));
        };
        let cuts = self
            .dims(id)
            .iter()
            .zip(pads)
            .map(|(&size, &[before, after])| {
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
        let axis = Self::axis(node, axis)?;
        let ids = (0..node.inputs.len()).map(|position| self.data(node, position));
        let ids = ids.collect::<Result<_>>()?;
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
