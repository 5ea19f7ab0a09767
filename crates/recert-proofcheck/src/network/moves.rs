//! Lowering of what moves elements and changes none.

use recert_graph::{Node, Op, PadMode, Tensor};

use super::lower::{Lowering, Result, no};

/// Calls `take` with every index of a shape, the last axis fastest.
pub(super) fn each_index(shape: &[usize], mut take: impl FnMut(&[usize])) {
    let count: usize = shape.iter().product();
    let mut index = vec![0; shape.len()];
    for _ in 0..count {
        take(&index);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            if index[axis] < shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
}

/// From one element to the next along each axis.
pub(super) fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

/// The number of an element.
pub(super) fn place(index: impl IntoIterator<Item = usize>, strides: &[usize]) -> usize {
    index.into_iter().zip(strides).map(|(i, s)| i * s).sum()
}

/// For each element of the shape `to`, the element of a tensor that is broadcast to it.
pub(super) fn broadcast(from: &[usize], to: &[usize]) -> Result<Vec<usize>> {
    let fits = |skip: usize| {
        from.iter()
            .zip(&to[skip..])
            .all(|(&f, &t)| f == 1 || f == t)
    };
    let Some(skip) = to.len().checked_sub(from.len()).filter(|&skip| fits(skip)) else {
        return no(format!("shape {from:?} does not broadcast to {to:?}"));
    };
    let mut along = strides(from);
    for (stride, &extent) in along.iter_mut().zip(from) {
        if extent == 1 {
            *stride = 0;
        }
    }
    let mut places = Vec::new();
    each_index(to, |index| {
        places.push(place(index[skip..].iter().copied(), &along));
    });
    Ok(places)
}

/// Which element of an axis shows at a position that may lie beyond its ends.
fn padded(position: i64, extent: usize, mode: PadMode) -> Option<usize> {
    let size = extent as i64;
    let inside = match mode {
        _ if (0..size).contains(&position) => position,
        PadMode::Constant(_) => return None,
        PadMode::Edge => position.clamp(0, size - 1),
        PadMode::Wrap => position.rem_euclid(size),
        PadMode::Reflect if size == 1 => 0,
        PadMode::Reflect => {
            let folded = position.rem_euclid(2 * (size - 1));
            folded.min(2 * (size - 1) - folded)
        }
    };
    usize::try_from(inside).ok()
}

impl Lowering<'_> {
    /// Elements of one input, by number; `None` for a constant.
    fn picked(&mut self, input: usize, from: &[Option<usize>], fill: f64) -> Result<usize> {
        let term = |from: &Option<usize>| from.map(|from| (0, from as u32, 1.0));
        let terms = from.iter().map(|from| term(from).into_iter().collect());
        let terms = terms.collect();
        let bias = if fill == 0.0 {
            Vec::new()
        } else {
            let constant = |from: &Option<usize>| [if from.is_none() { fill } else { 0.0 }; 2];
            from.iter().map(constant).collect()
        };
        self.listed(vec![input], terms, bias, 0.0)
    }

    pub(super) fn moved(&mut self, node: &Node) -> Result<usize> {
        if let Op::Concat { axis } = node.op {
            return self.concat(node, axis);
        }
        let input = self.input(node, 0)?;
        let shape = self.input_shape(node, 0);
        let to = self.shape(node.output());
        let length = self.length(node.output())?;
        let along = strides(&shape);
        let mut from: Vec<Option<usize>> = Vec::with_capacity(length);
        let mut fill = 0.0;
        match &node.op {
            Op::Transpose { perm } => each_index(&to, |index| {
                let parts = index.iter().zip(perm).map(|(i, &axis)| i * along[axis]);
                from.push(Some(parts.sum()));
            }),
            Op::Expand => from = broadcast(&shape, &to)?.into_iter().map(Some).collect(),
            Op::Slice(slices) => each_index(&to, |index| {
                let mut index = index.to_vec();
                for slice in slices {
                    let moved = index[slice.axis] as isize * slice.step;
                    index[slice.axis] = slice.start.wrapping_add_signed(moved);
                }
                from.push(Some(place(index, &along)));
            }),
            Op::Pad { mode, pads } => {
                if let PadMode::Constant(value) = mode {
                    fill = *value;
                }
                each_index(&to, |index| {
                    let axes = index.iter().zip(pads).zip(&shape);
                    let source = axes.map(|((&i, &[before, _]), &extent)| {
                        padded(i as i64 - before, extent, *mode)
                    });
                    let source: Option<Vec<usize>> = source.collect();
                    from.push(source.map(|index| place(index, &along)));
                });
            }
            Op::Gather { axis } => {
                let tensor = node.input(1).and_then(|id| self.graph.constant(id));
                let Some(indices) = tensor.and_then(Tensor::to_i64) else {
                    return no("positions that are no constant");
                };
                let rank = tensor.map_or(0, |tensor| tensor.shape().len());
                let extent = shape[*axis] as i64;
                if indices.iter().any(|i| !(-extent..extent).contains(i)) {
                    return no("a position outside of the axis");
                }
                let within = strides(&to[*axis..axis + rank]);
                each_index(&to, |index| {
                    let chosen = place(index[*axis..axis + rank].iter().copied(), &within);
                    let chosen = indices[chosen].rem_euclid(extent) as usize;
                    let parts = [&index[..*axis], &[chosen], &index[axis + rank..]];
                    from.push(Some(place(parts.concat(), &along)));
                });
            }
            _ => return no("the operator is not computed here"),
        }
        if from.len() != length {
            return no("shapes that do not fit");
        }
        self.picked(input, &from, fill)
    }

    fn concat(&mut self, node: &Node, axis: usize) -> Result<usize> {
        let to = self.shape(node.output());
        let length = self.length(node.output())?;
        let along = strides(&to);
        let mut inputs = Vec::new();
        let mut outputs = vec![Vec::new(); length];
        let mut bias = vec![[0.0; 2]; length];
        let mut start = 0;
        for position in 0..node.inputs.len() {
            let shape = self.input_shape(node, position);
            let constant = self.constant(node, position)?;
            let number = inputs.len() as u32;
            if constant.is_none() {
                inputs.push(self.input(node, position)?);
            }
            let mut element = 0;
            each_index(&shape, |index| {
                let to = place(index.iter().copied(), &along) + start * along[axis];
                match &constant {
                    Some(constant) => bias[to] = [constant.values[element]; 2],
                    None => outputs[to].push((number, element as u32, 1.0)),
                }
                element += 1;
            });
            start += shape[axis];
        }
        self.listed(inputs, outputs, bias, 0.0)
    }

    /// Makes every output of a `Split`.
    pub(super) fn split(&mut self, node: &Node, axis: usize, sizes: &[usize]) -> Result<()> {
        let input = self.input(node, 0)?;
        let along = strides(&self.input_shape(node, 0));
        let mut start = 0;
        for (&size, output) in sizes.iter().zip(&node.outputs) {
            if let Some(output) = *output {
                let mut from = Vec::with_capacity(self.length(output)?);
                each_index(&self.shape(output), |index| {
                    let element = place(index.iter().copied(), &along) + start * along[axis];
                    from.push(Some(element));
                });
                let made = self.picked(input, &from, 0.0)?;
                self.values.insert(output, made);
            }
            start += size;
        }
        Ok(())
    }
}
