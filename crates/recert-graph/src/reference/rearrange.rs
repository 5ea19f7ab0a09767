//! Operators that move elements and change none: each is a list of offsets into
//! its inputs laid end to end.

use std::any::Any;

use super::array::{broadcast, broadcast_offsets, for_each_index, offsets, strides};
use super::numbers::{integers, truths};
use super::{Result, wrong};
use crate::{AxisSlice, Data, PadMode, Tensor, map_data, with_data};

/// The elements at `offsets` of the tensors laid end to end, as one tensor.
pub(super) fn pick(parts: &[&Tensor], shape: Vec<usize>, offsets: &[usize]) -> Result<Tensor> {
    fn vector<T: 'static>(data: &Data) -> Option<&Vec<T>> {
        with_data!(data, values => (values as &dyn Any).downcast_ref())
    }
    fn joined<T: Copy + 'static>(_: &[T], parts: &[&Tensor], offsets: &[usize]) -> Option<Vec<T>> {
        let vectors: Vec<&Vec<T>> = parts
            .iter()
            .map(|part| vector(part.data()))
            .collect::<Option<_>>()?;
        // Where each part ends: with many parts, looking through them all for every element
        // would take the square of their number.
        let ends: Vec<usize> = (vectors.iter())
            .scan(0, |end, values| {
                *end += values.len();
                Some(*end)
            })
            .collect();
        let find = |&offset: &usize| {
            let part = ends.partition_point(|&end| end <= offset);
            let start = ends[part] - vectors[part].len();
            vectors[part][offset - start]
        };
        Some(offsets.iter().map(find).collect())
    }
    let mixed = || wrong("its inputs are of different element types");
    let data = map_data!(parts[0].data(), values => {
        joined(values, parts, offsets).ok_or_else(mixed)?
    });
    Tensor::new(shape, data)
}

pub(super) fn transpose(x: &Tensor, order: &[usize]) -> Result<Tensor> {
    let from = strides(x.shape());
    let shape: Vec<usize> = order.iter().map(|&axis| x.shape()[axis]).collect();
    let along: Vec<isize> = order.iter().map(|&axis| from[axis] as isize).collect();
    let list = offsets(&shape, &along, 0);
    pick(&[x], shape, &list)
}

pub(super) fn expand(x: &Tensor, shape: &[usize]) -> Result<Tensor> {
    let list = broadcast_offsets(x.shape(), shape)?;
    pick(&[x], shape.to_vec(), &list)
}

/// The part of a tensor that `parts` select; other axes stay whole.
pub(super) fn slice(x: &Tensor, parts: &[AxisSlice]) -> Result<Tensor> {
    let mut shape = x.shape().to_vec();
    let mut along: Vec<isize> = strides(&shape).iter().map(|&s| s as isize).collect();
    let mut start = 0;
    for part in parts {
        start += part.start * along[part.axis] as usize;
        along[part.axis] *= part.step;
        shape[part.axis] = part.count;
    }
    let list = offsets(&shape, &along, start);
    pick(&[x], shape, &list)
}

/// Pads every axis by `pads[axis]` elements before and after; fewer than none
/// crops. `fill` is one element of the tensor's type.
pub(super) fn pad(x: &Tensor, pads: &[[i64; 2]], mode: PadMode, fill: &Tensor) -> Result<Tensor> {
    // Where each element along each axis comes from.
    let sources: Vec<Vec<Option<usize>>> = x
        .shape()
        .iter()
        .zip(pads)
        .map(|(&extent, &[before, after])| {
            (-before..extent as i64 + after)
                .map(|position| source(position, extent, mode))
                .collect()
        })
        .collect();
    let shape: Vec<usize> = sources.iter().map(Vec::len).collect();
    let along = strides(x.shape());
    let mut list = Vec::with_capacity(shape.iter().product());
    for_each_index(&shape, |index| {
        let positions = index.iter().zip(&sources).map(|(&i, axis)| axis[i]);
        let steps = positions.zip(&along);
        let offset: Option<usize> = steps
            .map(|(position, stride)| Some(position? * stride))
            .sum();
        list.push(offset.unwrap_or(x.len()));
    });
    pick(&[x, fill], shape, &list)
}

/// Which element of an axis shows at `position`, which may lie beyond its ends;
/// `None` for the constant around it.
fn source(position: i64, extent: usize, mode: PadMode) -> Option<usize> {
    let size = extent as i64;
    if (0..size).contains(&position) {
        return Some(position as usize);
    }
    if size == 0 {
        return None;
    }
    match mode {
        PadMode::Constant(_) => None,
        PadMode::Edge => Some(position.clamp(0, size - 1) as usize),
        PadMode::Wrap => Some(position.rem_euclid(size) as usize),
        PadMode::Reflect if size == 1 => Some(0),
        PadMode::Reflect => {
            let period = 2 * (size - 1);
            let folded = position.rem_euclid(period);
            Some(folded.min(period - folded) as usize)
        }
    }
}

/// `Gather`: slices of `x` along `axis`, in the order of `indices`.
pub(super) fn gather(x: &Tensor, indices: &Tensor, axis: usize) -> Result<Tensor> {
    let extent = x.shape()[axis];
    let positions = from_front(indices, extent)?;
    let outer = &x.shape()[..axis];
    let inner = &x.shape()[axis + 1..];
    let shape = [outer, indices.shape(), inner].concat();
    let mut list = Vec::with_capacity(shape.iter().product());
    let inner: usize = inner.iter().product();
    for block in 0..outer.iter().product() {
        for position in &positions {
            let start = (block * extent + position) * inner;
            list.extend(start..start + inner);
        }
    }
    pick(&[x], shape, &list)
}

/// `GatherElements`: like `indices` in shape, each element taken from its own
/// index but along `axis`, where `indices` says.
pub(super) fn gather_elements(x: &Tensor, indices: &Tensor, axis: usize) -> Result<Tensor> {
    let fits = x.shape().len() == indices.shape().len()
        && (0..x.shape().len()).all(|a| a == axis || indices.shape()[a] <= x.shape()[a]);
    if !fits {
        return Err(wrong(format!(
            "indices of shape {:?} do not fit a tensor of shape {:?}",
            indices.shape(),
            x.shape()
        )));
    }
    let positions = from_front(indices, x.shape()[axis])?;
    let along = strides(x.shape());
    let mut list = Vec::with_capacity(positions.len());
    for_each_index(indices.shape(), |index| {
        let position = positions[list.len()];
        let offset = index.iter().zip(&along).enumerate();
        let offset = offset.map(|(a, (&i, &s))| s * if a == axis { position } else { i });
        list.push(offset.sum());
    });
    pick(&[x], indices.shape().to_vec(), &list)
}

/// Indices counted from the front of an axis.
fn from_front(indices: &Tensor, extent: usize) -> Result<Vec<usize>> {
    let indices = integers(indices)?.data;
    let size = extent as i128;
    indices
        .into_iter()
        .map(|index| {
            if (-size..size).contains(&index) {
                Ok(index.rem_euclid(size) as usize)
            } else {
                Err(wrong(format!(
                    "index {index} is outside an axis of {extent}"
                )))
            }
        })
        .collect()
}

pub(super) fn concat(parts: &[&Tensor], axis: usize) -> Result<Tensor> {
    let first = parts.first().ok_or_else(|| wrong("it has no inputs"))?;
    let mut shape = first.shape().to_vec();
    shape[axis] = 0;
    for part in parts {
        let fits = part.shape().len() == shape.len()
            && (0..shape.len()).all(|a| a == axis || part.shape()[a] == first.shape()[a]);
        if !fits {
            return Err(wrong(format!(
                "shapes {:?} and {:?} cannot be joined along axis {axis}",
                first.shape(),
                part.shape()
            )));
        }
        shape[axis] += part.shape()[axis];
    }
    let mut list = Vec::with_capacity(shape.iter().product());
    for block in 0..shape[..axis].iter().product() {
        let mut before = 0;
        for part in parts {
            let size: usize = part.shape()[axis..].iter().product();
            let start = before + block * size;
            list.extend(start..start + size);
            before += part.len();
        }
    }
    pick(parts, shape, &list)
}

pub(super) fn split(x: &Tensor, axis: usize, sizes: &[usize]) -> Result<Vec<Tensor>> {
    if sizes.iter().sum::<usize>() != x.shape()[axis] {
        return Err(wrong(format!(
            "parts of {sizes:?} do not fill an axis of {}",
            x.shape()[axis]
        )));
    }
    let mut start = 0;
    let part = |&count: &usize| {
        let step = 1;
        let part = slice(
            x,
            &[AxisSlice {
                axis,
                start,
                count,
                step,
            }],
        );
        start += count;
        part
    };
    sizes.iter().map(part).collect()
}

pub(super) fn tile(x: &Tensor, repeats: &[usize]) -> Result<Tensor> {
    let extents = x.shape().iter().zip(repeats);
    let shape: Vec<usize> = extents.map(|(n, times)| n * times).collect();
    let mut list = Vec::with_capacity(shape.iter().product());
    let along = strides(x.shape());
    for_each_index(&shape, |index| {
        let axes = index.iter().zip(x.shape()).zip(&along);
        list.push(axes.map(|((i, n), stride)| i % n * stride).sum());
    });
    pick(&[x], shape, &list)
}

/// `DepthToSpace`: every pixel's channels become a square of `block` pixels.
pub(super) fn depth_to_space(x: &Tensor, block: usize, column_row_depth: bool) -> Result<Tensor> {
    let [n, c, h, w] = image(x)?;
    let depth = c / (block * block);
    let shape = vec![n, depth, h * block, w * block];
    let (split, order) = if column_row_depth {
        (vec![n, depth, block, block, h, w], [0, 1, 4, 2, 5, 3])
    } else {
        (vec![n, block, block, depth, h, w], [0, 3, 4, 1, 5, 2])
    };
    transpose(&x.clone().reshaped(split)?, &order)?.reshaped(shape)
}

/// `SpaceToDepth`: every square of `block` pixels becomes one pixel's channels.
pub(super) fn space_to_depth(x: &Tensor, block: usize, column_row_depth: bool) -> Result<Tensor> {
    let [n, c, h, w] = image(x)?;
    let (h, w) = (h / block, w / block);
    let shape = vec![n, c * block * block, h, w];
    let split = x.clone().reshaped(vec![n, c, h, block, w, block])?;
    let order = if column_row_depth {
        [0, 1, 3, 5, 2, 4]
    } else {
        [0, 3, 5, 1, 2, 4]
    };
    transpose(&split, &order)?.reshaped(shape)
}

fn image(x: &Tensor) -> Result<[usize; 4]> {
    let shape = x.shape();
    shape
        .try_into()
        .map_err(|_| wrong(format!("its input of shape {shape:?} is no image")))
}

/// `Where`: `x` where the condition holds, else `y`, all broadcast.
pub(super) fn choose(condition: &Tensor, x: &Tensor, y: &Tensor) -> Result<Tensor> {
    let truths = truths(condition)?;
    let shape = broadcast(&broadcast(condition.shape(), x.shape())?, y.shape())?;
    let conditions = broadcast_offsets(condition.shape(), &shape)?;
    let mut list = broadcast_offsets(x.shape(), &shape)?;
    let others = broadcast_offsets(y.shape(), &shape)?;
    for (i, offset) in list.iter_mut().enumerate() {
        if !truths.data[conditions[i]] {
            *offset = x.len() + others[i];
        }
    }
    pick(&[x, y], shape, &list)
}
