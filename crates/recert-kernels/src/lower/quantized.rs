//! Quantized activations.

use recert_graph::{ElementType, Granularity, Node as Source};

use super::fuse::operand;
use super::{Lowering, Meaning, refuse};
use crate::error::Result;
use crate::integer::Grid;
use crate::ir::Op;
use crate::pointwise::{Arith, Operand, Step, Unary};
use crate::tile::Clamp;

impl Lowering<'_> {
    /// The scale and the zero point of the node, fit for a tensor of shape
    /// `dims`.
    fn scale(
        &self,
        node: &Source,
        granularity: Granularity,
        dims: &[usize],
    ) -> Result<(Operand, Operand)> {
        let bad = || refuse(node, "its scale and its zero point do not fit its input");
        let (_, scale) = self.floats(node, 1)?.ok_or_else(bad)?;
        let zero: Vec<f32> = match self.constant(node, 2)? {
            None => vec![0.0; scale.len()],
            Some(zero) => {
                let zero = zero.to_i64().ok_or_else(bad)?;
                zero.into_iter().map(|z| z as f32).collect()
            }
        };
        match granularity {
            Granularity::Tensor => Ok((Operand::One(scale[0]), Operand::One(zero[0]))),
            Granularity::Axis(axis) => {
                let mut shape = vec![1; dims.len()];
                shape[self.axis_of(node, 0, axis)?] = scale.len();
                let along = |values: &[f32]| operand(dims, &shape, values).ok_or_else(bad);
                Ok((along(&scale)?, along(&zero)?))
            }
            Granularity::Block { .. } => {
                Err(refuse(node, "scales in blocks are not supported here"))
            }
        }
    }

    pub(super) fn quantize(&mut self, node: &Source, granularity: Granularity) -> Result<()> {
        let id = self.data(node, 0)?;
        let dims = self.dims(id).to_vec();
        let (scale, zero) = self.scale(node, granularity, &dims)?;
        let (low, high) = match self.source.value(node.output()).element {
            ElementType::Int8 => (-128.0, 127.0),
            ElementType::UInt8 => (0.0, 255.0),
            _ => return Err(refuse(node, "only int8 and uint8 are supported here")),
        };
        if let Some(grid) = grid(&scale, &zero, low) {
            return self.push(node, Op::Quantize(grid), vec![id]);
        }
        let steps = vec![
            Step::With(Arith::Div, scale),
            Step::Unary(Unary::Round),
            Step::With(Arith::Add, zero),
            Step::Clamp(Clamp { low, high }),
        ];
        self.push(node, Op::Pointwise(steps), vec![id])
    }

    pub(super) fn dequantize(&mut self, node: &Source, granularity: Granularity) -> Result<()> {
        let meaning = |position| match &self.meanings[node.input(position)?.index()] {
            Some(Meaning::Dynamic(id, part)) if *part == position => Some(*id),
            _ => None,
        };
        if let Some(id) = meaning(0) {
            if meaning(1) != Some(id) || meaning(2) != Some(id) {
                return Err(refuse(node, "its scale is not that of its input"));
            }
            return self.push(node, Op::FakeQuantize, vec![id]);
        }
        let id = self.any(node, 0)?;
        if !self.values[id].integers {
            return Err(refuse(node, "its input is not quantized"));
        }
        let dims = self.dims(id).to_vec();
        let (scale, zero) = self.scale(node, granularity, &dims)?;
        let low = match self.constant(node, 2)?.map(recert_graph::Tensor::element) {
            Some(ElementType::Int8) => -128.0,
            _ => 0.0,
        };
        if let Some(grid) = grid(&scale, &zero, low) {
            return self.push(node, Op::Dequantize(grid), vec![id]);
        }
        let steps = vec![Step::With(Arith::Sub, zero), Step::With(Arith::Mul, scale)];
        self.pointwise(node, id, steps)
    }

    pub(super) fn dynamic_quantize(&mut self, node: &Source) -> Result<()> {
        let id = self.data(node, 0)?;
        self.single = true;
        self.once.remove(&id);
        for (part, output) in node.outputs.iter().enumerate() {
            if let Some(output) = output {
                self.meanings[output.index()] = Some(Meaning::Dynamic(id, part));
            }
        }
        Ok(())
    }
}

/// The grid of a whole tensor, of which `low` is the least integer; `None`
/// where channels have grids of their own, or the numbers make none.
fn grid(scale: &Operand, zero: &Operand, low: f32) -> Option<Grid> {
    let (&Operand::One(scale), &Operand::One(zero)) = (scale, zero) else {
        return None;
    };
    let held = zero - low;
    let good = scale.is_finite() && scale >= f32::MIN_POSITIVE && (0.0..=255.0).contains(&held);
    good.then_some(Grid {
        scale,
        zero: held as u8,
        signed: low < 0.0,
    })
}
