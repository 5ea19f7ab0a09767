//! Constants and shapes as values; and what does nothing.

use super::elementwise::extents;
use super::layout::part;
use super::source::{Made, Reading, Size, Source, Taken};
use crate::element::ElementType;
use crate::error::Result;
use crate::index::attribute;
use crate::map_data;
use crate::modern::cast_target;
use crate::op::Op;
use crate::shape::{Extent, Shape};
use crate::tensor::{Data, Tensor};

/// Larger constants are none that a network of images needs made.
const MOST_FILLED: usize = 1 << 24;

impl Source<'_> {
    /// A part of the input's shape: a constant, if it does not depend on the
    /// batch.
    pub(super) fn shape_of(&self) -> Result<Reading> {
        let shape = self.shape(0)?;
        let (start, end) = (self.int("start", 0)?, self.int("end", i64::MAX)?);
        let taken = part(0, shape.rank(), start, end, 1);
        let taken = taken.ok_or_else(|| self.refuse("its range is none"))?;
        let range = taken.start..taken.start + taken.count;
        let extents = shape.get(range.clone()).unwrap_or_default();
        let fixed: Option<Vec<usize>> = extents.iter().map(|extent| extent.fixed()).collect();
        if let Some(fixed) = fixed {
            let list = fixed.into_iter().map(|size| size as i64).collect();
            return Ok(Reading::Constant(Tensor::list(list)));
        }
        Ok(Reading::Node {
            inputs: vec![Taken::Input(0)],
            outputs: vec![Made {
                element: ElementType::Int64,
                shape: Shape::of(&[extents.len()]),
                sizes: Some(extents.iter().copied().map(Size::from).collect()),
            }],
            op: Op::ShapeOf(range),
        })
    }

    pub(super) fn size_of(&self) -> Result<Reading> {
        match self.shape(0)?.count() {
            Some(Extent::Fixed(size)) => {
                let scalar = Tensor::new(Vec::new(), Data::Int64(vec![size as i64]))?;
                Ok(Reading::Constant(scalar))
            }
            _ => Err(self.refuse("its input depends on the batch")),
        }
    }

    pub(super) fn constant_node(&self) -> Result<Reading> {
        let constant = if let Some(tensor) = self.tensor("value")? {
            tensor
        } else if self.has("value_float") {
            Tensor::scalar(self.float("value_float", 0.0)?)
        } else if self.has("value_int") {
            Tensor::new(Vec::new(), Data::Int64(vec![self.int("value_int", 0)?]))?
        } else if let Some(values) = self.floats("value_floats")? {
            Tensor::new(vec![values.len()], Data::Float32(values.to_vec()))?
        } else if let Some(values) = self.ints("value_ints")? {
            Tensor::list(values.to_vec())
        } else {
            return Err(self.refuse("it holds no numbers"));
        };
        Ok(Reading::Constant(constant))
    }

    pub(super) fn constant_of_shape(&self) -> Result<Reading> {
        let bad = || self.refuse("its shape is none");
        let sizes = self.sizes("shape", 0)?.ok_or_else(bad)?;
        let shape = extents(&sizes).ok_or_else(bad)?;
        let value = self.tensor("value")?.unwrap_or_else(|| Tensor::scalar(0.0));
        if value.len() != 1 {
            return Err(self.refuse("its value is not one number"));
        }
        let Some(fixed) = shape.fixed() else {
            let number = value.number().ok_or_else(bad)?;
            return Reading::node(Op::Fill(number), 0, value.element(), shape);
        };
        let count = fixed.iter().try_fold(1_usize, |n, &d| n.checked_mul(d));
        let count = count
            .filter(|&count| count <= MOST_FILLED)
            .ok_or_else(|| self.too_large("its shape is too large"))?;
        let data = map_data!(value.data(), values => vec![values[0]; count]);
        Ok(Reading::Constant(Tensor::new(fixed, data)?))
    }

    pub(super) fn identity(&self) -> Result<Reading> {
        let mut reading = self.like_first(Op::Identity, 1)?;
        if let (Reading::Node { outputs, .. }, Some(given)) = (&mut reading, self.given(0)) {
            outputs[0].sizes = given.sizes.map(<[Size]>::to_vec);
        }
        Ok(reading)
    }

    pub(super) fn cast_to(&self) -> Result<Reading> {
        // A text before opset 6.
        let number = match attribute(self.proto, "to").filter(|_| self.opset < 6) {
            Some(to) => cast_target(to).unwrap_or(0),
            None => self.int("to", 0)?,
        };
        let number = i32::try_from(number).unwrap_or(-1);
        self.cast(ElementType::from_onnx(number))
    }
}
