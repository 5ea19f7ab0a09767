//! What moves elements, and changes none.

use super::source::{Made, Reading, Size, Source, Taken};
use crate::error::Result;
use crate::op::{AxisSlice, Op, PadMode};
use crate::shape::{Extent, Shape};

/// Larger paddings are none of a network of images, and sums of them fit.
const MOST_PADDING: u64 = 1 << 20;

impl Source<'_> {
    /// A node whose elements stay what they are, in order.
    fn reshaped(&self, shape: Shape) -> Result<Reading> {
        let from = self.shape(0)?;
        if shape.count() != from.count() || shape.count().is_none() {
            return Err(self.refuse(format!("a tensor of shape {from} has none of {shape}")));
        }
        let sizes = self.given(0).and_then(|given| given.sizes);
        Ok(Reading::Node {
            op: Op::Reshape,
            inputs: vec![Taken::Input(0)],
            outputs: vec![Made {
                element: self.element(0)?,
                sizes: sizes.filter(|_| shape.rank() <= 1).map(<[Size]>::to_vec),
                shape,
            }],
        })
    }

    pub(super) fn flatten(&self) -> Result<Reading> {
        let shape = self.shape(0)?;
        let axis = match self.int("axis", 1)? {
            axis if axis == shape.rank() as i64 => shape.rank(),
            axis => self.wrapped(axis, shape.rank())?,
        };
        let counted = |part: &[Extent]| Shape::new(part.to_vec()).count();
        let parts = [counted(&shape[..axis]), counted(&shape[axis..])];
        let parts: Option<Shape> = parts.into_iter().collect();
        self.reshaped(parts.ok_or_else(|| self.refuse("its input is too large"))?)
    }

    pub(super) fn reshape(&self) -> Result<Reading> {
        let sizes = self.sizes("shape", 1)?;
        let sizes = sizes.ok_or_else(|| self.refuse("it states no shape"))?;
        let from = self.shape(0)?;
        let keep_zero = self.flag("allowzero", false)?;
        let bad = || {
            let wanted: Vec<String> = sizes
                .iter()
                .map(|size| match size {
                    Size::Number(size) => size.to_string(),
                    Size::Batch(factor) => Extent::Batch(*factor).to_string(),
                })
                .collect();
            let wanted = wanted.join(", ");
            self.refuse(format!(
                "the shape [{wanted}] does not fit its input of {from}"
            ))
        };
        let mut open = None;
        let mut shape = Vec::new();
        for (axis, &size) in sizes.iter().enumerate() {
            shape.push(match size {
                Size::Number(0) if !keep_zero => *from.get(axis).ok_or_else(bad)?,
                Size::Number(-1) if open.is_none() => {
                    open = Some(axis);
                    Extent::Fixed(1)
                }
                Size::Number(size) => Extent::Fixed(usize::try_from(size).map_err(|_| bad())?),
                Size::Batch(factor) => Extent::Batch(factor),
            });
        }
        if let Some(axis) = open {
            let rest = Shape::new(shape.clone()).count().ok_or_else(bad)?;
            let exact = |a: usize, b: usize| a.checked_div(b).filter(|c| c * b == a);
            shape[axis] = match (from.count().ok_or_else(bad)?, rest) {
                (Extent::Fixed(a), Extent::Fixed(b)) | (Extent::Batch(a), Extent::Batch(b)) => {
                    Extent::Fixed(exact(a, b).ok_or_else(bad)?)
                }
                (Extent::Batch(a), Extent::Fixed(b)) => Extent::Batch(exact(a, b).ok_or_else(bad)?),
                (Extent::Fixed(_), Extent::Batch(_)) => return Err(bad()),
            };
        }
        let shape = Shape::new(shape);
        if shape.count() != from.count() {
            return Err(bad());
        }
        self.reshaped(shape)
    }

    pub(super) fn squeeze(&self) -> Result<Reading> {
        let shape = self.shape(0)?;
        let one = |axis: &usize| shape[*axis] == Extent::Fixed(1);
        let axes = match self.list("axes", 1)? {
            Some(list) => self.axes(&list, shape.rank())?,
            None => (0..shape.rank()).filter(one).collect(),
        };
        if !axes.iter().all(one) {
            return Err(self.refuse(format!("its input of {shape} has other extents than 1")));
        }
        let kept = (0..shape.rank()).filter(|axis| !axes.contains(axis));
        self.reshaped(kept.map(|axis| shape[axis]).collect())
    }

    pub(super) fn unsqueeze(&self) -> Result<Reading> {
        let list = self.list("axes", 1)?;
        let list = list.ok_or_else(|| self.refuse("it states no axes"))?;
        let shape = self.shape(0)?;
        let rank = shape.rank() + list.len();
        let axes = self.axes(&list, rank)?;
        let mut old = shape.iter().copied();
        let extent = |axis| {
            if axes.contains(&axis) {
                Some(Extent::Fixed(1))
            } else {
                old.next()
            }
        };
        self.reshaped((0..rank).filter_map(extent).collect())
    }

    pub(super) fn transpose(&self) -> Result<Reading> {
        let shape = self.shape(0)?;
        let perm = match self.ints("perm")? {
            Some(perm) => self.axes(perm, shape.rank())?,
            None => (0..shape.rank()).rev().collect(),
        };
        if perm.len() != shape.rank() {
            return Err(self.refuse("its order is not one of its input's axes"));
        }
        let made = perm.iter().map(|&axis| shape[axis]).collect();
        Reading::node(Op::Transpose { perm }, 1, self.element(0)?, made)
    }

    pub(super) fn slice(&self) -> Result<Reading> {
        let bad = || self.refuse("its ranges do not fit its input");
        let shape = self.shape(0)?;
        let starts = self.list("starts", 1)?.ok_or_else(bad)?;
        let ends = self.sizes("ends", 2)?.ok_or_else(bad)?;
        let axes = match self.list("axes", 3)? {
            Some(list) => self.axes(&list, shape.rank())?,
            None => (0..starts.len()).collect(),
        };
        let steps = self.list("steps", 4)?;
        let steps = steps.unwrap_or_else(|| vec![1; starts.len()]);
        if [starts.len(), ends.len(), steps.len()] != [axes.len(); 3] {
            return Err(bad());
        }
        let mut made = shape.to_vec();
        let mut slices = Vec::new();
        for (i, &axis) in axes.iter().enumerate() {
            let extent = *shape.get(axis).ok_or_else(bad)?;
            match (extent, ends[i]) {
                (Extent::Fixed(size), Size::Number(end)) => {
                    let slice = part(axis, size, starts[i], end, steps[i]).ok_or_else(bad)?;
                    made[axis] = Extent::Fixed(slice.count);
                    if slice.count != size || slice.step != 1 {
                        slices.push(slice);
                    }
                }
                // All of a batch, whatever its size.
                (Extent::Batch(_), Size::Number(end))
                    if starts[i] == 0 && steps[i] == 1 && end >= i64::from(i32::MAX) => {}
                (Extent::Batch(factor), Size::Batch(end))
                    if starts[i] == 0 && steps[i] == 1 && end >= factor => {}
                _ => return Err(self.refuse("it takes a part of the batch")),
            }
        }
        let sizes = self.given(0).and_then(|given| given.sizes);
        let sizes = sizes.and_then(|sizes| match slices[..] {
            [] => Some(sizes.to_vec()),
            [slice] => picked(sizes, slice),
            _ => None,
        });
        Ok(Reading::Node {
            op: Op::Slice(slices),
            inputs: vec![Taken::Input(0)],
            outputs: vec![Made {
                element: self.element(0)?,
                shape: Shape::new(made),
                sizes,
            }],
        })
    }

    pub(super) fn pad(&self) -> Result<Reading> {
        let bad = || self.refuse("its padding does not fit its input");
        let shape = self.shape(0)?;
        let name = if self.opset < 2 { "paddings" } else { "pads" };
        let listed = self.list(name, 1)?.ok_or_else(bad)?;
        let fill = if self.has("value") {
            self.float("value", 0.0)?.into()
        } else {
            self.number(2)?.unwrap_or(0.0)
        };
        let mode = match self.text("mode", "constant")? {
            "constant" => PadMode::Constant(fill),
            "edge" => PadMode::Edge,
            "reflect" => PadMode::Reflect,
            "wrap" => PadMode::Wrap,
            other => return Err(self.refuse(format!("its mode is {other}"))),
        };
        let along = match self.list("axes", 3)? {
            Some(list) => self.axes(&list, shape.rank())?,
            None => (0..shape.rank()).collect(),
        };
        let (before, after) = listed.split_at(listed.len() / 2);
        if before.len() != along.len() || after.len() != along.len() {
            return Err(bad());
        }
        let mut pads = vec![[0; 2]; shape.rank()];
        let mut made = shape.to_vec();
        for (i, &axis) in along.iter().enumerate() {
            pads[axis] = [before[i], after[i]];
            if pads[axis]
                .iter()
                .any(|pad| pad.unsigned_abs() >= MOST_PADDING)
            {
                return Err(self.too_large("its padding is too large"));
            }
            made[axis] = match shape[axis] {
                extent if pads[axis] == [0; 2] => extent,
                Extent::Fixed(size) => {
                    let cut = |pad: i64| pad.min(0).unsigned_abs() as usize;
                    let left = size.checked_sub(cut(before[i]) + cut(after[i]));
                    let added = before[i].max(0) + after[i].max(0);
                    Extent::Fixed(left.ok_or_else(bad)? + added as usize)
                }
                Extent::Batch(_) => return Err(self.refuse("it pads the batch")),
            };
        }
        Reading::node(
            Op::Pad { mode, pads },
            1,
            self.element(0)?,
            Shape::new(made),
        )
    }

    pub(super) fn concat(&self) -> Result<Reading> {
        let bad = || self.refuse("its inputs do not fit together");
        let first = self.shape(0)?;
        let axis = self.axis(1, first.rank())?;
        let mut made = first.to_vec();
        for position in 1..self.inputs.len() {
            let other = self.shape(position)?;
            let fits = other.rank() == first.rank()
                && (0..other.rank()).all(|i| i == axis || other[i] == first[i]);
            if !fits {
                return Err(bad());
            }
            made[axis] = match (made[axis], other[axis]) {
                (Extent::Fixed(a), Extent::Fixed(b)) => {
                    Extent::Fixed(a.checked_add(b).ok_or_else(bad)?)
                }
                (Extent::Batch(a), Extent::Batch(b)) => {
                    Extent::Batch(a.checked_add(b).ok_or_else(bad)?)
                }
                _ => return Err(bad()),
            };
        }
        let lists = self.inputs.iter().map(|given| {
            let given = (*given)?;
            match (given.sizes, &given.value.constant) {
                (Some(sizes), _) => Some(sizes.to_vec()),
                (None, Some(tensor)) => {
                    Some(tensor.to_i64()?.into_iter().map(Size::Number).collect())
                }
                _ => None,
            }
        });
        let lists: Option<Vec<Vec<Size>>> = lists.collect();
        let count = self.inputs.len();
        Ok(Reading::Node {
            op: Op::Concat { axis },
            inputs: (0..count).map(Taken::Input).collect(),
            outputs: vec![Made {
                element: self.element(0)?,
                sizes: lists
                    .filter(|_| made.len() == 1)
                    .map(|lists| lists.concat()),
                shape: Shape::new(made),
            }],
        })
    }

    pub(super) fn split(&self) -> Result<Reading> {
        let bad = || self.refuse("its parts do not fit its input");
        let shape = self.shape(0)?;
        let axis = self.axis(0, shape.rank())?;
        let whole = shape[axis].fixed().ok_or_else(bad)?;
        let count = self.proto.output.len();
        let sizes: Vec<usize> = if let Some(list) = self.list("split", 1)? {
            let sizes = list.iter().map(|&size| usize::try_from(size).ok());
            sizes.collect::<Option<_>>().ok_or_else(bad)?
        } else {
            let size = whole.div_ceil(count.max(1));
            (0..count)
                .map(|i| size.min(whole.saturating_sub(i * size)))
                .collect()
        };
        let sum = sizes.iter().try_fold(0_usize, |n, &d| n.checked_add(d));
        if sizes.len() != count || sum != Some(whole) {
            return Err(bad());
        }
        let element = self.element(0)?;
        let outputs = sizes.iter().map(|&size| {
            let mut made = shape.to_vec();
            made[axis] = Extent::Fixed(size);
            (element, Shape::new(made))
        });
        let outputs = outputs.collect();
        Reading::made(Op::Split { axis, sizes }, 1, outputs)
    }

    pub(super) fn gather(&self) -> Result<Reading> {
        let (shape, indices) = (self.shape(0)?, self.shape(1)?);
        let axis = self.axis(0, shape.rank())?;
        let made = [&shape[..axis], &indices[..], &shape[axis + 1..]].concat();
        let sizes = self.given(0).and_then(|given| given.sizes);
        let list = self
            .given(1)
            .and_then(|given| given.value.constant.as_ref());
        let sizes = sizes.and_then(|sizes| {
            let picked = list?.to_i64()?.into_iter().map(|index| {
                let index = if index < 0 {
                    index + sizes.len() as i64
                } else {
                    index
                };
                sizes.get(usize::try_from(index).ok()?).copied()
            });
            picked.collect::<Option<_>>()
        });
        let sizes = sizes.filter(|_| made.len() <= 1);
        Ok(Reading::Node {
            op: Op::Gather { axis },
            inputs: vec![Taken::Input(0), Taken::Input(1)],
            outputs: vec![Made {
                element: self.element(0)?,
                sizes,
                shape: Shape::new(made),
            }],
        })
    }

    pub(super) fn gather_elements(&self) -> Result<Reading> {
        let axis = self.axis(0, self.shape(0)?.rank())?;
        let shape = self.shape(1)?.clone();
        Reading::node(Op::GatherElements { axis }, 2, self.element(0)?, shape)
    }

    pub(super) fn tile(&self) -> Result<Reading> {
        let bad = || self.refuse("its repeats do not fit its input");
        let shape = self.shape(0)?;
        let list = self.list("repeats", 1)?.ok_or_else(bad)?;
        let repeats = list.iter().map(|&count| usize::try_from(count).ok());
        let repeats: Vec<usize> = repeats.collect::<Option<_>>().ok_or_else(bad)?;
        if repeats.len() != shape.rank() {
            return Err(bad());
        }
        let pairs = shape.iter().zip(&repeats);
        let made: Option<Shape> = pairs
            .map(|(extent, &count)| extent.times(Extent::Fixed(count)))
            .collect();
        let made = made.ok_or_else(|| self.too_large("its output is too large"))?;
        Reading::node(Op::Tile { repeats }, 1, self.element(0)?, made)
    }

    pub(super) fn blocks(&self, to_space: bool) -> Result<Reading> {
        let bad = || self.refuse("its blocks do not fit its input");
        let block = self.size("blocksize", 0)?;
        let shape = self.shape(0)?;
        let &[batch, channels, height, width] = &shape[..] else {
            return Err(bad());
        };
        let area = block.checked_mul(block).ok_or_else(bad)?;
        let changed = |extent: Extent, factor: usize, larger: bool| {
            let size = extent.fixed()?;
            if larger {
                size.checked_mul(factor)
            } else {
                (size % factor == 0).then_some(size / factor)
            }
        };
        let sizes = [
            changed(channels, area, !to_space),
            changed(height, block, to_space),
            changed(width, block, to_space),
        ];
        let sizes: Option<Vec<Extent>> = sizes.into_iter().map(|s| s.map(Extent::Fixed)).collect();
        let made = [vec![batch], sizes.ok_or_else(bad)?].concat();
        let column_row_depth = self.text("mode", "DCR")? == "CRD";
        let op = if to_space {
            Op::DepthToSpace {
                block,
                column_row_depth,
            }
        } else {
            Op::SpaceToDepth {
                block,
                column_row_depth,
            }
        };
        Reading::node(op, 1, self.element(0)?, Shape::new(made))
    }
}

/// ONNX's slice of an axis of this extent; `None` for a step of 0.
pub(super) fn part(axis: usize, size: usize, start: i64, end: i64, step: i64) -> Option<AxisSlice> {
    let extent = size as i128;
    let step = i128::from(step);
    let wrap = |v: i64| i128::from(v) + if v < 0 { extent } else { 0 };
    let (start, end) = match step {
        0 => return None,
        _ if extent == 0 => (0, 0),
        1.. => (wrap(start).clamp(0, extent), wrap(end).clamp(0, extent)),
        _ => (
            wrap(start).clamp(0, extent - 1),
            wrap(end).clamp(-1, extent - 1),
        ),
    };
    let count = ((end - start + step - step.signum()) / step).max(0);
    Some(AxisSlice {
        axis,
        start: usize::try_from(start).ok()?,
        count: usize::try_from(count).ok()?,
        step: isize::try_from(step.clamp(-extent - 1, extent + 1)).ok()?,
    })
}

/// The part of a list.
fn picked(sizes: &[Size], slice: AxisSlice) -> Option<Vec<Size>> {
    let positions = (0..slice.count).map(|i| slice.start as isize + i as isize * slice.step);
    positions
        .map(|position| sizes.get(usize::try_from(position).ok()?).copied())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From ONNX's definition.
    #[test]
    fn slices_are_onnx_slices() {
        let list: Vec<Size> = (0..5).map(Size::Number).collect();
        let take = |start, end, step| {
            let taken = picked(&list, part(0, 5, start, end, step).unwrap()).unwrap();
            let number = |size: &Size| match size {
                Size::Number(number) => *number,
                Size::Batch(_) => unreachable!(),
            };
            taken.iter().map(number).collect::<Vec<_>>()
        };
        assert_eq!(take(0, i64::MAX, 2), [0, 2, 4]);
        assert_eq!(take(1, -1, 1), [1, 2, 3]);
        assert_eq!(take(-2, 9, 1), [3, 4]);
        assert_eq!(take(-1, i64::MIN, -1), [4, 3, 2, 1, 0]);
        assert_eq!(take(3, 0, -2), [3, 1]);
        assert_eq!(take(4, 2, 1), []);
        assert_eq!(take(i64::MIN, i64::MAX, i64::MAX), [0]);
        assert_eq!(part(0, 5, 0, 5, 0), None);
    }
}
