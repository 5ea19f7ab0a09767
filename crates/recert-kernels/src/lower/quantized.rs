//! Quantized activations.

use recert_net::{ElementType, Node as Operator};

use super::fuse::operand;
use super::{Lowering, Meaning, output, refuse};
use crate::error::Result;
use crate::integer::Grid;
use crate::ir::Op;
use crate::pointwise::{Arith, Operand, Step, Unary};
use crate::tile::Clamp;

impl Lowering<'_> {
    /// The scale and the zero point of the node, fit for a tensor of shape
    /// `dims`, and the element type of the zero point.
    fn scale(
        &self,
        node: &Operator<'_>,
        dims: &[usize],
    ) -> Result<(Operand, Operand, Option<ElementType>)> {
        let bad = || refuse(node, "its scale and its zero point do not fit its input");
        if node.int("block_size").unwrap_or(0) != 0 {
            return Err(refuse(node, "scales in blocks are not supported here"));
        }
        let scale = self.floats(node, 1)?.ok_or_else(bad)?.values;
        let (zero, element) = match node.input(2) {
            None => (vec![0; scale.len()], None),
            Some(name) => {
                let zero = self.integers(node, 2)?.ok_or_else(bad)?.values;
                (zero, self.view.element(name))
            }
        };
        if zero.len() != scale.len() {
            return Err(bad());
        }
        let zero: Vec<f32> = zero.into_iter().map(|z| z as f32).collect();
        if let ([scale], [zero]) = (&scale[..], &zero[..]) {
            return Ok((Operand::One(*scale), Operand::One(*zero), element));
        }
        let axis = Self::axis(node, node.int("axis").unwrap_or(1), dims.len())?;
        let along = |values: Vec<f32>| {
            let mut shape = vec![1; dims.len()];
            if dims.get(axis) != Some(&values.len()) {
                return Err(bad());
            }
            shape[axis] = values.len();
            operand(dims, &shape, &values).ok_or_else(bad)
        };
        Ok((along(scale)?, along(zero)?, element))
    }

    pub(super) fn quantize(&mut self, node: &Operator<'_>) -> Result<()> {
        let id = self.data(node, 0)?;
        let dims = self.dims(id).to_vec();
        let (scale, zero, element) = self.scale(node, &dims)?;
        let stated = node.int("output_dtype").unwrap_or(0);
        let (low, high) = match (element, stated) {
            (Some(ElementType::Int8), 0 | 3) | (None, 3) => (-128.0, 127.0),
            (Some(ElementType::UInt8) | None, 0 | 2) => (0.0, 255.0),
            _ => return Err(refuse(node, "only int8 and uint8 are supported here")),
        };
        if let Some(grid) = grid(&scale, &zero, low) {
            self.push_of(node, Op::Quantize(grid), vec![id], dims, true);
            return Ok(());
        }
        let steps = vec![
            Step::With(Arith::Div, scale),
            Step::Unary(Unary::Round),
            Step::With(Arith::Add, zero),
            Step::Clamp(Clamp { low, high }),
        ];
        self.push_of(node, Op::Pointwise(steps), vec![id], dims, true);
        Ok(())
    }

    pub(super) fn dequantize(&mut self, node: &Operator<'_>) -> Result<()> {
        let meaning = |position| match self.meanings.get(node.input(position).unwrap_or_default()) {
            Some(Meaning::Dynamic(id, part)) if *part == position => Some(*id),
            _ => None,
        };
        if let Some(id) = meaning(0) {
            if meaning(1) != Some(id) || meaning(2) != Some(id) {
                return Err(refuse(node, "its scale is not that of its input"));
            }
            let dims = self.dims(id).to_vec();
            self.push(node, Op::FakeQuantize, vec![id], dims);
            return Ok(());
        }
        let id = self.any(node, 0)?;
        if !self.values[id].integers {
            return Err(refuse(node, "its input is not quantized"));
        }
        let dims = self.dims(id).to_vec();
        let (scale, zero, element) = self.scale(node, &dims)?;
        let low = match element {
            Some(ElementType::Int8) => -128.0,
            _ => 0.0,
        };
        if let Some(grid) = grid(&scale, &zero, low) {
            self.push(node, Op::Dequantize(grid), vec![id], dims);
            return Ok(());
        }
        let steps = vec![Step::With(Arith::Sub, zero), Step::With(Arith::Mul, scale)];
        self.pointwise(node, id, steps);
        Ok(())
    }

    pub(super) fn dynamic_quantize(&mut self, node: &Operator<'_>) -> Result<()> {
        let id = self.data(node, 0)?;
        self.single = true;
        self.once.remove(&id);
        for (part, name) in node.outputs().iter().enumerate() {
            self.meanings
                .insert(name.clone(), Meaning::Dynamic(id, part));
        }
        debug_assert!(!output(node).is_empty());
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
