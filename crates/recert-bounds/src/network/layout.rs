//! Lowering of what moves elements and changes none.

use recert_graph::{AxisSlice, Node, Op, PadMode};

use super::lower::Lowering;
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::step::{Id, Rearrange};

/// Elements by their places in the file's order, `None` for a constant.
struct Map {
    shape: Vec<usize>,
    sources: Vec<Option<usize>>,
}

impl Map {
    /// Elements that are `index` of an output of `shape`, where `source` says.
    fn new(shape: Vec<usize>, mut source: impl FnMut(&[usize]) -> Option<usize>) -> Self {
        let count = shape.iter().product();
        let mut sources = Vec::with_capacity(count);
        let mut index = vec![0; shape.len()];
        for _ in 0..count {
            sources.push(source(&index));
            for axis in (0..shape.len()).rev() {
                index[axis] += 1;
                if index[axis] < shape[axis] {
                    break;
                }
                index[axis] = 0;
            }
        }
        Self { shape, sources }
    }
}

/// From one element to the next along each axis.
fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

/// The place of an element.
fn place(index: impl IntoIterator<Item = usize>, strides: &[usize]) -> usize {
    index.into_iter().zip(strides).map(|(i, s)| i * s).sum()
}

fn slice_map(shape: &[usize], parts: &[AxisSlice]) -> Map {
    let along = strides(shape);
    let mut made = shape.to_vec();
    for part in parts {
        made[part.axis] = part.count;
    }
    Map::new(made, |index| {
        let mut index = index.to_vec();
        for part in parts {
            let moved = index[part.axis] as isize * part.step;
            index[part.axis] = part.start.wrapping_add_signed(moved);
        }
        Some(place(index, &along))
    })
}

impl Lowering<'_> {
    /// The elements of an input as a map says, with `fill` for constants.
    fn mapped(&mut self, input: Id, layout: Layout, map: &Map, fill: f64) -> Id {
        let from = self.layouts[input];
        let source = |i: usize| match map.sources[layout.file(i)] {
            Some(source) => from.inner(source) as u32,
            None => Rearrange::CONSTANT,
        };
        let sources: Vec<u32> = (0..layout.len()).map(source).collect();
        let constant = |&source: &u32| {
            if source == Rearrange::CONSTANT {
                fill
            } else {
                0.0
            }
        };
        let constants = sources.iter().map(constant).collect();
        self.rearranged(&[input], layout, sources, Some(constants))
    }

    /// An input with its axes in another order.
    pub(super) fn transposed(
        &mut self,
        input: Id,
        shape: &[usize],
        order: &[usize],
        layout: Layout,
    ) -> Id {
        let along = strides(shape);
        let along: Vec<usize> = order.iter().map(|&axis| along[axis]).collect();
        let made = order.iter().map(|&axis| shape[axis]).collect();
        let map = Map::new(made, |index| Some(place(index.iter().copied(), &along)));
        self.mapped(input, layout, &map, 0.0)
    }

    /// An input broadcast to a shape.
    pub(super) fn expanded(&mut self, input: Id, shape: &[usize], to: Vec<usize>) -> Result<Id> {
        let layout = Layout::of(&to);
        let along = broadcast_strides(shape, &to)?;
        let map = Map::new(to, |index| Some(place(index.iter().copied(), &along)));
        Ok(self.mapped(input, layout, &map, 0.0))
    }

    pub(super) fn moved(&mut self, node: &Node) -> Result<Id> {
        if let Op::Concat { axis } = node.op {
            return self.concat(node, axis);
        }
        let input = self.input(node, 0)?;
        let layout = self.made(node)?;
        let shape = self.input_shape(node, 0);
        let along = strides(&shape);
        let mut fill = 0.0;
        let map = match &node.op {
            Op::Reshape => {
                let made = self.graph.value(node.output()).shape.at(1);
                let mut next = 0;
                Map::new(made, |_| {
                    next += 1;
                    Some(next - 1)
                })
            }
            Op::Transpose { perm: order } => {
                return Ok(self.transposed(input, &shape, order, layout));
            }
            Op::Expand => {
                let to = self.graph.value(node.output()).shape.at(1);
                return self.expanded(input, &shape, to);
            }
            Op::Slice(parts) => slice_map(&shape, parts),
            Op::Pad { pads, mode } => {
                if let PadMode::Constant(value) = mode {
                    fill = *value;
                }
                let made = self.graph.value(node.output()).shape.at(1);
                Map::new(made, |index| {
                    let axes = index.iter().zip(pads).zip(&shape);
                    let sources = axes.map(|((&i, &[before, _]), &extent)| {
                        padded(i as i64 - before, extent, *mode)
                    });
                    let sources: Option<Vec<usize>> = sources.collect();
                    sources.map(|index| place(index, &along))
                })
            }
            Op::Gather { axis } => {
                let (indices_shape, indices) = self.indices(node, shape[*axis])?;
                let rank = indices_shape.len();
                let made = [&shape[..*axis], &indices_shape, &shape[axis + 1..]].concat();
                let within = strides(&indices_shape);
                Map::new(made, |index| {
                    let chosen = place(index[*axis..axis + rank].iter().copied(), &within);
                    let mut from = index[..*axis].to_vec();
                    from.push(indices[chosen]);
                    from.extend(&index[axis + rank..]);
                    Some(place(from, &along))
                })
            }
            _ => return Err(Error::unsupported("the operator has no relaxation here")),
        };
        if map.sources.len() != layout.len() || map.shape.iter().product::<usize>() != layout.len()
        {
            return Err(Error::unsupported("shapes that do not fit"));
        }
        Ok(self.mapped(input, layout, &map, fill))
    }

    /// Constant indices into an axis, counted from the front.
    fn indices(&self, node: &Node, extent: usize) -> Result<(Vec<usize>, Vec<usize>)> {
        let tensor = node.input(1).and_then(|id| self.graph.constant(id));
        let indices = tensor.and_then(|tensor| Some((tensor.shape(), tensor.to_i64()?)));
        let Some((shape, indices)) = indices else {
            return Err(Error::unsupported("indices that are no constant"));
        };
        let size = extent as i64;
        let front = indices.iter().map(|&index| {
            let counted = if index < 0 {
                index.saturating_add(size)
            } else {
                index
            };
            if (0..size).contains(&counted) {
                Ok(counted as usize)
            } else {
                Err(Error::unsupported(format!(
                    "index {index} is outside an axis of {extent}"
                )))
            }
        });
        Ok((shape.to_vec(), front.collect::<Result<_>>()?))
    }

    fn concat(&mut self, node: &Node, axis: usize) -> Result<Id> {
        let layout = self.made(node)?;
        let shape = self.graph.value(node.output()).shape.at(1);
        let mut inputs = Vec::new();
        let mut total = 0;
        // Where each element of the output comes from, in the file's order.
        let mut sources: Vec<Result<u32, f64>> = vec![Err(0.0); layout.len()];
        let along = strides(&shape);
        let mut start = 0;
        for position in 0..node.inputs.len() {
            let part = self.input_shape(node, position);
            let constant = self.constant(node, position)?;
            let id = match constant {
                Some(_) => None,
                None => Some(self.input(node, position)?),
            };
            let map = Map::new(part.clone(), |index| {
                let mut index = index.to_vec();
                index[axis] += start;
                Some(place(index, &along))
            });
            for (next, to) in map.sources.into_iter().flatten().enumerate() {
                sources[to] = match (&constant, id) {
                    (Some((_, values)), _) => Err(values[next]),
                    (None, Some(id)) => Ok((total + self.layouts[id].inner(next)) as u32),
                    (None, None) => Err(0.0),
                };
            }
            if let Some(id) = id {
                total += self.layouts[id].len();
                inputs.push(id);
            }
            start += part[axis];
        }
        let order = (0..layout.len()).map(|i| sources[layout.file(i)]);
        let (places, constants): (Vec<u32>, Vec<f64>) = order
            .map(|source| match source {
                Ok(place) => (place, 0.0),
                Err(constant) => (Rearrange::CONSTANT, constant),
            })
            .unzip();
        Ok(self.rearranged(&inputs, layout, places, Some(constants)))
    }

    pub(super) fn split(&mut self, node: &Node, axis: usize) -> Result<()> {
        let input = self.input(node, 0)?;
        let shape = self.input_shape(node, 0);
        let Op::Split { sizes, .. } = &node.op else {
            return Err(Error::unsupported("the operator has no relaxation here"));
        };
        let mut start = 0;
        for (&count, output) in sizes.iter().zip(&node.outputs) {
            if let Some(output) = *output {
                let part = AxisSlice {
                    axis,
                    start,
                    count,
                    step: 1,
                };
                let map = slice_map(&shape, &[part]);
                let layout = Layout::of(&map.shape);
                let made = self.mapped(input, layout, &map, 0.0);
                self.values.insert(output, made);
            }
            start += count;
        }
        Ok(())
    }
}

/// From one element to the next of a tensor of shape `from`, along the axes of the shape `to` that
/// it is broadcast to.
pub(super) fn broadcast_strides(from: &[usize], to: &[usize]) -> Result<Vec<usize>> {
    let mut along = vec![0; to.len()];
    let added = to.len().checked_sub(from.len());
    let fits = |added: usize| (from.iter().zip(&to[added..])).all(|(f, t)| *f == 1 || f == t);
    let Some(added) = added.filter(|&added| fits(added)) else {
        return Err(Error::unsupported(format!(
            "shape {from:?} does not broadcast to {to:?}"
        )));
    };
    for (axis, stride) in strides(from).into_iter().enumerate() {
        if from[axis] != 1 {
            along[added + axis] = stride;
        }
    }
    Ok(along)
}

/// The elements of a constant, broadcast to a shape, in the file's order.
pub(super) fn broadcast(values: &[f64], from: &[usize], to: &[usize]) -> Result<Vec<f64>> {
    let along = broadcast_strides(from, to)?;
    let map = Map::new(to.to_vec(), |index| {
        Some(place(index.iter().copied(), &along))
    });
    let values = map
        .sources
        .into_iter()
        .flatten()
        .map(|source| values[source]);
    Ok(values.collect())
}

/// Which element of an axis shows at a position that may lie beyond its ends.
fn padded(position: i64, extent: usize, mode: PadMode) -> Option<usize> {
    let size = extent as i64;
    if (0..size).contains(&position) {
        return Some(position as usize);
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
