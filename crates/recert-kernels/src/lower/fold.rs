//! Operators all of whose inputs are known beforehand.

use recert_net::{Node as Operator, Number};

use super::known::{BATCH, Known, Range, Tensor, axes, wrap};
use super::{Lowering, Meaning, output, refuse};
use crate::error::Result;
use crate::ir::Op;
use crate::pointwise::{Arith, Step};

/// ONNX's numbers of element types.
pub(super) const FLOAT: i64 = 1;
pub(super) const INT32: i64 = 6;
pub(super) const INT64: i64 = 7;

/// Larger folded tensors are none that a network of images needs.
const MOST: usize = 1 << 24;

impl Lowering<'_> {
    /// Computes the node, if all it needs is known. Returns whether it did.
    pub(super) fn fold(&mut self, node: &Operator<'_>) -> Result<bool> {
        if node.standard_op() == "Shape" {
            let dims = self.shape(node)?;
            let known = Known::Integers(Tensor::new(vec![dims.len()], dims));
            self.know(node, known);
            return Ok(true);
        }
        if node.outputs().len() != 1 {
            return Ok(false);
        }
        let inputs = node.inputs().iter().filter(|name| !name.is_empty());
        let known: Option<Vec<Known>> =
            inputs.map(|name| self.known(name)).collect::<Result<_>>()?;
        let Some(known) = known else {
            return Ok(false);
        };
        // What the reader has worked out of stored numbers already.
        let found = match self.known(output(node))? {
            Some(known) => Some(known),
            None => self.folded(node, &known)?,
        };
        match found {
            Some(known) => {
                self.know(node, known);
                Ok(true)
            }
            None => Err(refuse(node, "of constants, it is not supported here")),
        }
    }

    fn know(&mut self, node: &Operator<'_>, known: Known) {
        let name = output(node).to_owned();
        self.meanings.insert(name, Meaning::Known(known));
    }

    /// The shape of the node's input, the batch included.
    fn shape(&self, node: &Operator<'_>) -> Result<Vec<i64>> {
        let name = node.input(0).unwrap_or_default();
        let dims: Vec<i64> = if let Some(known) = self.known(name)? {
            known.dims().iter().map(|&d| d as i64).collect()
        } else {
            let id = self.any(node, 0)?;
            let batch = self.fixed_batch.map_or(BATCH, |batch| batch as i64);
            let dims = self.dims(id).iter().map(|&d| d as i64);
            std::iter::once(batch).chain(dims).collect()
        };
        let range = Range::of(
            dims.len(),
            node.int("start").unwrap_or(0),
            node.int("end").unwrap_or(i64::MAX),
            1,
        );
        let part = range.and_then(|range| dims.get(range.start..range.start + range.count));
        Ok(part.unwrap_or_default().to_vec())
    }

    fn folded(&self, node: &Operator<'_>, known: &[Known]) -> Result<Option<Known>> {
        let integers = |position: usize| match known.get(position) {
            Some(Known::Integers(tensor)) => Some(tensor),
            _ => None,
        };
        let of_first = |f: &dyn Fn(&Known) -> Option<Known>| known.first().and_then(f);
        Ok(match node.standard_op() {
            "Constant" => constant(node),
            "Identity" => known.first().cloned(),
            "ConstantOfShape" => integers(0)
                .and_then(|shape| filled(node, &shape.values).transpose())
                .transpose()?,
            "Cast" => match (known.first(), node.int("to")) {
                (Some(Known::Integers(tensor)), Some(INT32 | INT64)) => {
                    Some(Known::Integers(tensor.clone()))
                }
                (Some(Known::Integers(tensor)), Some(FLOAT)) if !tensor.values.contains(&BATCH) => {
                    let values = tensor.values.iter().map(|&v| v as f32).collect();
                    Some(Known::Floats(Tensor::new(tensor.dims.clone(), values)))
                }
                (Some(Known::Floats(tensor)), Some(FLOAT)) => Some(Known::Floats(tensor.clone())),
                _ => None,
            },
            "Transpose" => of_first(&|known| known.transposed(node.ints("perm"))),
            "Gather" if node.int("axis").unwrap_or(0) == 0 => match (known.first(), integers(1)) {
                (Some(known), Some(indices)) => known.gathered(indices),
                _ => None,
            },
            "Concat" => joined(node, known),
            "Reshape" => match (known.first(), integers(1)) {
                (Some(known), Some(shape)) => {
                    let dims = Self::new_shape(known.dims(), &shape.values);
                    dims.and_then(|dims| known.clone().reshaped(dims))
                }
                _ => None,
            },
            "Squeeze" | "Unsqueeze" => {
                let axes = self.list(node, "axes", 1)?;
                of_first(&|known| squeezed(node, known, axes.as_deref()))
            }
            "Slice" => match known.first() {
                Some(known) => known.sliced(&self.ranges(node, known.dims())?),
                None => None,
            },
            "Add" | "Sub" | "Mul" | "Div" => match known {
                [Known::Floats(a), Known::Floats(b)] => a.with(arith(node), b).map(Known::Floats),
                _ => None,
            },
            _ => match (known, self.step(node)?) {
                ([Known::Floats(tensor), ..], Some(Step::Unary(function))) => {
                    Some(Known::Floats(tensor.mapped(function)))
                }
                _ => None,
            },
        })
    }

    /// The shape that `Reshape` asks for, of a constant.
    fn new_shape(dims: &[usize], wanted: &[i64]) -> Option<Vec<usize>> {
        let mut open = None;
        let mut shape = Vec::new();
        for (axis, &size) in wanted.iter().enumerate() {
            shape.push(match size {
                0 => *dims.get(axis)?,
                -1 if open.is_none() => {
                    open = Some(axis);
                    1
                }
                size => usize::try_from(size).ok()?,
            });
        }
        if let Some(axis) = open {
            let rest = shape.iter().try_fold(1_usize, |n, &d| n.checked_mul(d))?;
            shape[axis] = dims.iter().product::<usize>().checked_div(rest)?;
        }
        Some(shape)
    }

    /// The parts that `Slice` takes of a tensor of shape `dims`.
    pub(super) fn ranges(&self, node: &Operator<'_>, dims: &[usize]) -> Result<Vec<Range>> {
        let bad = || refuse(node, "its ranges do not fit its input");
        let starts = self.list(node, "starts", 1)?.ok_or_else(bad)?;
        let ends = self.list(node, "ends", 2)?.ok_or_else(bad)?;
        let along = match self.list(node, "axes", 3)? {
            Some(list) => axes(&list, dims.len()).ok_or_else(bad)?,
            None => (0..starts.len()).collect(),
        };
        let steps = self.integers(node, 4)?;
        let steps = steps.map_or_else(|| vec![1; starts.len()], |tensor| tensor.values);
        let mut ranges: Vec<Range> = dims.iter().map(|&size| Range::whole(size)).collect();
        if [starts.len(), ends.len(), steps.len()] != [along.len(); 3]
            || starts.contains(&BATCH)
            || ends.contains(&BATCH)
        {
            return Err(bad());
        }
        for (i, &axis) in along.iter().enumerate() {
            let &size = dims.get(axis).ok_or_else(bad)?;
            ranges[axis] = Range::of(size, starts[i], ends[i], steps[i]).ok_or_else(bad)?;
        }
        Ok(ranges)
    }

    /// Adds a view of a value.
    pub(super) fn view_of(&mut self, node: &Operator<'_>, id: usize, dims: Vec<usize>) {
        let integers = self.values[id].integers;
        self.push_of(node, Op::View, vec![id], dims, integers);
    }
}

/// The operation of `Add`, `Sub`, `Mul` and `Div`.
pub(super) fn arith(node: &Operator<'_>) -> Arith {
    match node.standard_op() {
        "Add" => Arith::Add,
        "Sub" => Arith::Sub,
        "Mul" => Arith::Mul,
        _ => Arith::Div,
    }
}

/// A `Constant` that is no tensor; the reader knows those that are.
fn constant(node: &Operator<'_>) -> Option<Known> {
    if let Some(value) = node.float("value_float") {
        return Some(Known::Floats(Tensor::new(Vec::new(), vec![value])));
    }
    if let Some(value) = node.int("value_int") {
        return Some(Known::Integers(Tensor::new(Vec::new(), vec![value])));
    }
    if let Some(values) = node.floats("value_floats") {
        return Some(Known::Floats(Tensor::new(
            vec![values.len()],
            values.to_vec(),
        )));
    }
    let values = node.ints("value_ints")?;
    Some(Known::Integers(Tensor::new(
        vec![values.len()],
        values.to_vec(),
    )))
}

fn filled(node: &Operator<'_>, shape: &[i64]) -> Result<Option<Known>> {
    let dims: Option<Vec<usize>> = shape.iter().map(|&d| usize::try_from(d).ok()).collect();
    let Some(dims) = dims else {
        return Ok(None);
    };
    let count = dims.iter().try_fold(1_usize, |n, &d| n.checked_mul(d));
    let Some(count) = count.filter(|&count| count <= MOST) else {
        return Ok(None);
    };
    Ok(Some(match node.number("value")? {
        Some(Number::Integer(value)) => Known::Integers(Tensor::new(dims, vec![value; count])),
        Some(Number::Float(value)) => Known::Floats(Tensor::new(dims, vec![value; count])),
        None => Known::Floats(Tensor::new(dims, vec![0.0; count])),
    }))
}

fn joined(node: &Operator<'_>, known: &[Known]) -> Option<Known> {
    let rank = known.first()?.dims().len();
    if wrap(node.int("axis")?, rank) != Some(0) {
        return None;
    }
    let floats: Option<Vec<_>> = known
        .iter()
        .map(|known| match known {
            Known::Floats(tensor) => Some(tensor),
            Known::Integers(_) => None,
        })
        .collect();
    if let Some(floats) = floats {
        return Tensor::joined(floats).map(Known::Floats);
    }
    let integers: Option<Vec<_>> = known
        .iter()
        .map(|known| match known {
            Known::Integers(tensor) => Some(tensor),
            Known::Floats(_) => None,
        })
        .collect();
    Tensor::joined(integers?).map(Known::Integers)
}

fn squeezed(node: &Operator<'_>, known: &Known, list: Option<&[i64]>) -> Option<Known> {
    let dims = known.dims();
    let dims = if node.standard_op() == "Unsqueeze" {
        unsqueeze(dims, list?)?
    } else {
        squeeze(dims, list)?
    };
    known.clone().reshaped(dims)
}

/// The shape with extents of 1 put in at these axes of the result.
pub(super) fn unsqueeze(dims: &[usize], list: &[i64]) -> Option<Vec<usize>> {
    let rank = dims.len() + list.len();
    let axes = axes(list, rank)?;
    let mut old = dims.iter();
    let size = |axis| {
        if axes.contains(&axis) {
            Some(1)
        } else {
            old.next().copied()
        }
    };
    (0..rank).map(size).collect()
}

/// The shape without extents of 1: those named, or all.
pub(super) fn squeeze(dims: &[usize], list: Option<&[i64]>) -> Option<Vec<usize>> {
    let axes = match list {
        Some(list) => axes(list, dims.len())?,
        None => (0..dims.len()).filter(|&axis| dims[axis] == 1).collect(),
    };
    if axes.iter().any(|&axis| dims[axis] != 1) {
        return None;
    }
    let kept = (0..dims.len()).filter(|axis| !axes.contains(axis));
    Some(kept.map(|axis| dims[axis]).collect())
}
