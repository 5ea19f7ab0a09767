//! Changes of resolution: `Resize` and its forerunner `Upsample`.

use super::source::{Reading, Source};
use crate::error::Result;
use crate::op::{Coordinates, Nearest, Op, Resize, ResizeMode};
use crate::shape::{Extent, Shape};
use crate::tensor::Tensor;

/// Larger factors are none of a network of images.
const MOST_FACTOR: f64 = 65536.0;

impl Source<'_> {
    /// `Upsample`, and `Resize` before opset 11, take the element before.
    pub(super) fn resize(&self) -> Result<Reading> {
        let early = self.op_type() == "Upsample" || self.opset < 11;
        let shape = self.shape(0)?;
        let mode = match self.text("mode", "nearest")? {
            "nearest" if early => ResizeMode::Nearest(Nearest::Floor),
            "nearest" => ResizeMode::Nearest(self.nearest()?),
            "linear" | "bilinear" => ResizeMode::Linear,
            "cubic" => ResizeMode::Cubic {
                a: self.float("cubic_coeff_a", -0.75)?,
            },
            other => return Err(self.refuse(format!("its mode is {other}"))),
        };
        let coordinates = if early {
            Coordinates::Asymmetric
        } else {
            self.coordinates()?
        };
        let axes = match self.ints("axes")? {
            Some(list) => self.axes(list, shape.rank())?,
            None => (0..shape.rank()).collect(),
        };
        let (scales, sizes) = self.factors(early, &axes)?;
        let mut region = vec![[0.0, 1.0]; shape.rank()];
        if coordinates == Coordinates::CropAndResize {
            let list = self
                .constant(1)?
                .and_then(Tensor::to_f32)
                .unwrap_or_default();
            if list.len() != 2 * axes.len() {
                return Err(self.refuse("its region does not fit its input"));
            }
            for (i, &axis) in axes.iter().enumerate() {
                region[axis] = [list[i].into(), list[i + axes.len()].into()];
            }
        }
        let op = Op::Resize(Resize {
            mode,
            coordinates,
            scales,
            region,
            extrapolation: self.float("extrapolation_value", 0.0)?,
            exclude_outside: self.flag("exclude_outside", false)?,
            antialias: self.flag("antialias", false)?,
        });
        Reading::node(op, 1, self.element(0)?, sizes)
    }

    /// The factor of every axis and the output's shape.
    fn factors(&self, early: bool, axes: &[usize]) -> Result<(Vec<f64>, Shape)> {
        let bad = || self.refuse("its factors do not fit its input");
        let shape = self.shape(0)?;
        let mut scales = vec![1.0; shape.rank()];
        let mut made = shape.to_vec();
        let stated = match self.floats("scales")? {
            Some(list) => Some(list.to_vec()),
            None => self
                .constant(if early { 1 } else { 2 })?
                .and_then(Tensor::to_f32),
        };
        if let Some(list) = stated.filter(|list| !list.is_empty()) {
            if list.len() != axes.len() {
                return Err(bad());
            }
            for (&axis, &scale) in axes.iter().zip(&list) {
                let scale = f64::from(scale);
                if scale > MOST_FACTOR {
                    return Err(self.too_large(format!("its scale {scale} is too large")));
                }
                if scale.is_nan() || scale <= 0.0 {
                    return Err(bad());
                }
                scales[axis] = scale;
                made[axis] = match shape[axis] {
                    extent if scale == 1.0 => extent,
                    Extent::Fixed(size) => Extent::Fixed((size as f64 * scale).floor() as usize),
                    Extent::Batch(_) => return Err(bad()),
                };
            }
            return Ok((scales, Shape::new(made)));
        }
        let wanted = self.list("sizes", 3)?.filter(|_| !early).ok_or_else(bad)?;
        if wanted.len() != axes.len() {
            return Err(bad());
        }
        let policy = self.text("keep_aspect_ratio_policy", "stretch")?;
        for (&axis, &size) in axes.iter().zip(&wanted) {
            let from = shape[axis]
                .fixed()
                .filter(|&from| from > 0)
                .ok_or_else(bad)?;
            let size = usize::try_from(size).map_err(|_| bad())?;
            scales[axis] = size as f64 / from as f64;
            made[axis] = Extent::Fixed(size);
        }
        if policy != "stretch" {
            let factors = axes.iter().map(|&axis| scales[axis]);
            let scale = match policy {
                "not_larger" => factors.fold(f64::INFINITY, f64::min),
                "not_smaller" => factors.fold(0.0, f64::max),
                other => return Err(self.refuse(format!("its policy is {other}"))),
            };
            for &axis in axes {
                let from = shape[axis].fixed().unwrap_or_default();
                scales[axis] = scale;
                made[axis] = Extent::Fixed((scale * from as f64).round() as usize);
            }
        }
        Ok((scales, Shape::new(made)))
    }

    fn nearest(&self) -> Result<Nearest> {
        Ok(match self.text("nearest_mode", "round_prefer_floor")? {
            "round_prefer_floor" => Nearest::RoundPreferFloor,
            "round_prefer_ceil" => Nearest::RoundPreferCeil,
            "floor" => Nearest::Floor,
            "ceil" => Nearest::Ceil,
            other => return Err(self.refuse(format!("its nearest element is {other}"))),
        })
    }

    fn coordinates(&self) -> Result<Coordinates> {
        let stated = self.text("coordinate_transformation_mode", "half_pixel")?;
        Ok(match stated {
            "half_pixel" => Coordinates::HalfPixel,
            "half_pixel_symmetric" => Coordinates::HalfPixelSymmetric,
            "pytorch_half_pixel" => Coordinates::PytorchHalfPixel,
            "align_corners" => Coordinates::AlignCorners,
            "asymmetric" => Coordinates::Asymmetric,
            "tf_crop_and_resize" => Coordinates::CropAndResize,
            other => return Err(self.refuse(format!("its coordinates are {other}"))),
        })
    }
}
