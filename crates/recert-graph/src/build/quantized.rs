//! Quantization and its inverse.

use super::source::{Reading, Source};
use crate::element::ElementType;
use crate::error::Result;
use crate::op::{Granularity, Op};
use crate::shape::{Extent, Shape};

impl Source<'_> {
    fn granularity(&self) -> Result<Granularity> {
        let (shape, scale) = (self.shape(0)?, self.shape(1)?);
        let bad = || self.refuse("its scale and its zero point do not fit its input");
        if self.given(2).is_some_and(|zero| zero.value.shape != *scale) {
            // A scalar may be a list of one.
            let one = |shape: &Shape| shape.count() == Some(Extent::Fixed(1));
            if !one(scale) || !one(self.shape(2)?) {
                return Err(bad());
            }
        }
        let block = self.int("block_size", 0)?;
        if block != 0 {
            let axis = self.axis(1, shape.rank())?;
            let size = usize::try_from(block).map_err(|_| bad())?;
            let blocks = |extent: Extent| Some(Extent::Fixed(extent.fixed()?.div_ceil(size)));
            let fits = scale.rank() == shape.rank()
                && (0..shape.rank()).all(|i| {
                    if i == axis {
                        Some(scale[i]) == blocks(shape[i])
                    } else {
                        scale[i] == shape[i]
                    }
                });
            return fits
                .then_some(Granularity::Block { axis, size })
                .ok_or_else(bad);
        }
        if scale.count() == Some(Extent::Fixed(1)) {
            return Ok(Granularity::Tensor);
        }
        let axis = self.axis(1, shape.rank())?;
        let fits = scale[..] == [shape[axis]];
        fits.then_some(Granularity::Axis(axis)).ok_or_else(bad)
    }

    pub(super) fn quantize(&self) -> Result<Reading> {
        let zero = self.given(2).map(|zero| zero.value.element);
        let stated = self.stated_output()?;
        let element = match (zero, stated) {
            (Some(zero), Some(stated)) if zero != stated => {
                return Err(self.refuse(format!("its zero point is of {zero}, not {stated}")));
            }
            (zero, stated) => zero.or(stated).unwrap_or(ElementType::UInt8),
        };
        if let ElementType::Other(_) = element {
            return Err(self.refuse(format!("a quantization to {element} is not supported here")));
        }
        let op = Op::QuantizeLinear(self.granularity()?);
        Reading::node(op, 3, element, self.shape(0)?.clone())
    }

    /// The attribute `output_dtype`, if it is set.
    fn stated_output(&self) -> Result<Option<ElementType>> {
        Ok(match self.int("output_dtype", 0)? {
            0 => None,
            number => Some(ElementType::from_onnx(i32::try_from(number).unwrap_or(-1))),
        })
    }

    pub(super) fn dequantize(&self) -> Result<Reading> {
        let element = match self.stated_output()? {
            Some(stated) => stated,
            None => self.element(1)?,
        };
        if !element.is_float() {
            let why = format!("a dequantization to {element} is not supported here");
            return Err(self.refuse(why));
        }
        let op = Op::DequantizeLinear(self.granularity()?);
        Reading::node(op, 3, element, self.shape(0)?.clone())
    }

    pub(super) fn dynamic_quantize(&self) -> Result<Reading> {
        let outputs = vec![
            (ElementType::UInt8, self.shape(0)?.clone()),
            (ElementType::Float32, Shape::default()),
            (ElementType::UInt8, Shape::default()),
        ];
        Reading::made(Op::DynamicQuantizeLinear, 1, outputs)
    }
}
