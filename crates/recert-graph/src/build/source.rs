//! What is seen of a node while it is read: its attributes by name and type,
//! and what is known of its inputs. Nothing outside `build` reads an attribute.

use std::fmt::Display;

use crate::element::ElementType;
use crate::error::{Error, ErrorKind, Result};
use crate::graph::Value;
use crate::index::{attribute, standard_op};
use crate::op::Op;
use crate::proto::onnx::attribute_proto::AttributeType;
use crate::proto::onnx::{AttributeProto, NodeProto};
use crate::shape::{Extent, Shape};
use crate::stored;
use crate::tensor::Tensor;

/// One number of a shape that is computed in the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    Number(i64),
    /// So many times the batch.
    Batch(usize),
}

impl From<Extent> for Size {
    fn from(extent: Extent) -> Self {
        match extent {
            Extent::Fixed(size) => Self::Number(size as i64),
            Extent::Batch(factor) => Self::Batch(factor),
        }
    }
}

/// An input of a node.
#[derive(Clone, Copy)]
pub(super) struct Given<'a> {
    pub(super) value: &'a Value,
    /// Its numbers, where it is a list that depends on nothing but the batch.
    pub(super) sizes: Option<&'a [Size]>,
}

/// A node of the file and its inputs.
pub(super) struct Source<'a> {
    pub(super) proto: &'a NodeProto,
    pub(super) name: &'a str,
    pub(super) opset: i64,
    pub(super) inputs: Vec<Option<Given<'a>>>,
}

/// What a node was found to be.
pub(super) enum Reading {
    /// A constant, whatever the inputs are.
    Constant(Tensor),
    Node {
        op: Op,
        inputs: Vec<Taken>,
        outputs: Vec<Made>,
    },
}

/// An input of a node of the graph.
pub(super) enum Taken {
    /// The file's input at this position, which may be left out.
    Input(usize),
    /// A constant that takes its place.
    Constant(Tensor),
}

/// An output of a node of the graph.
pub(super) struct Made {
    pub(super) element: ElementType,
    pub(super) shape: Shape,
    pub(super) sizes: Option<Vec<Size>>,
}

impl Reading {
    /// A node of one output that takes the file's first `count` inputs.
    pub(super) fn node(op: Op, count: usize, element: ElementType, shape: Shape) -> Result<Self> {
        Self::made(op, count, vec![(element, shape)])
    }

    /// As [`Reading::node`], of several outputs.
    #[expect(
        clippy::unnecessary_wraps,
        reason = "the last word of every reading function"
    )]
    pub(super) fn made(op: Op, count: usize, outputs: Vec<(ElementType, Shape)>) -> Result<Self> {
        let outputs = outputs.into_iter().map(|(element, shape)| Made {
            element,
            shape,
            sizes: None,
        });
        Ok(Self::Node {
            op,
            inputs: (0..count).map(Taken::Input).collect(),
            outputs: outputs.collect(),
        })
    }
}

impl<'a> Source<'a> {
    /// The operator's name, empty for one that is not ONNX's own.
    pub(super) fn op_type(&self) -> &'a str {
        standard_op(self.proto)
    }

    /// A refusal that names the node.
    pub(super) fn refuse(&self, why: impl Display) -> Error {
        let op_type = self.proto.op_type();
        let message = format!("node '{}' ({op_type}): {why}", self.name);
        Error::new(ErrorKind::Unsupported, message)
    }

    /// A refusal, for its size, that names the node.
    pub(super) fn too_large(&self, why: impl Display) -> Error {
        let op_type = self.proto.op_type();
        let message = format!("node '{}' ({op_type}): {why}", self.name);
        Error::new(ErrorKind::TooLarge, message)
    }

    fn attribute(&self, name: &str, kind: AttributeType) -> Result<Option<&'a AttributeProto>> {
        let Some(found) = attribute(self.proto, name) else {
            return Ok(None);
        };
        match found.r#type() {
            // Old writers leave the type out.
            AttributeType::Undefined => Ok(Some(found)),
            stated if stated == kind => Ok(Some(found)),
            stated => Err(self.refuse(format!(
                "its attribute {name} is {}, not {}",
                stated.as_str_name(),
                kind.as_str_name()
            ))),
        }
    }

    /// Whether the attribute is there.
    pub(super) fn has(&self, name: &str) -> bool {
        attribute(self.proto, name).is_some()
    }

    pub(super) fn int(&self, name: &str, default: i64) -> Result<i64> {
        let found = self.attribute(name, AttributeType::Int)?;
        Ok(found.map_or(default, AttributeProto::i))
    }

    pub(super) fn flag(&self, name: &str, default: bool) -> Result<bool> {
        Ok(self.int(name, default.into())? != 0)
    }

    /// An integer that is a size, of at least 1.
    pub(super) fn size(&self, name: &str, default: i64) -> Result<usize> {
        let size = self.int(name, default)?;
        let found = usize::try_from(size).ok().filter(|&size| size > 0);
        found.ok_or_else(|| self.refuse(format!("its {name} is {size}")))
    }

    pub(super) fn float(&self, name: &str, default: f32) -> Result<f32> {
        let found = self.attribute(name, AttributeType::Float)?;
        Ok(found.map_or(default, AttributeProto::f))
    }

    pub(super) fn ints(&self, name: &str) -> Result<Option<&'a [i64]>> {
        let found = self.attribute(name, AttributeType::Ints)?;
        Ok(found.map(|found| found.ints.as_slice()))
    }

    pub(super) fn floats(&self, name: &str) -> Result<Option<&'a [f32]>> {
        let found = self.attribute(name, AttributeType::Floats)?;
        Ok(found.map(|found| found.floats.as_slice()))
    }

    pub(super) fn text(&self, name: &str, default: &'a str) -> Result<&'a str> {
        let Some(found) = self.attribute(name, AttributeType::String)? else {
            return Ok(default);
        };
        std::str::from_utf8(found.s()).map_err(|error| {
            self.refuse(format!("its {name} is no text"))
                .with_source(error)
        })
    }

    pub(super) fn tensor(&self, name: &str) -> Result<Option<Tensor>> {
        let Some(found) = self.attribute(name, AttributeType::Tensor)? else {
            return Ok(None);
        };
        let typed = found.t.as_ref().map(stored::typed).transpose();
        typed.map_err(|error| error.at(format!("node '{}'", self.name)))
    }

    /// The input at `position`, if it is given.
    pub(super) fn given(&self, position: usize) -> Option<Given<'a>> {
        self.inputs.get(position).copied().flatten()
    }

    /// The input at `position`.
    pub(super) fn input(&self, position: usize) -> Result<&'a Value> {
        match self.given(position) {
            Some(given) => Ok(given.value),
            None => Err(self.refuse(format!("it lacks input {position}"))),
        }
    }

    pub(super) fn shape(&self, position: usize) -> Result<&'a Shape> {
        Ok(&self.input(position)?.shape)
    }

    /// The input's extents, none of which depends on the batch.
    pub(super) fn fixed(&self, position: usize) -> Result<Vec<usize>> {
        let shape = self.shape(position)?;
        shape.fixed().ok_or_else(|| {
            self.refuse(format!(
                "input {position} of shape {shape} depends on the batch"
            ))
        })
    }

    pub(super) fn element(&self, position: usize) -> Result<ElementType> {
        Ok(self.input(position)?.element)
    }

    /// The input's elements, which have to be known; `None` if it is left out.
    pub(super) fn constant(&self, position: usize) -> Result<Option<&'a Tensor>> {
        let Some(given) = self.given(position) else {
            return Ok(None);
        };
        match &given.value.constant {
            Some(tensor) => Ok(Some(tensor)),
            None => Err(self.refuse(format!("input {position} is not known beforehand"))),
        }
    }

    /// The one number that an input is.
    pub(super) fn number(&self, position: usize) -> Result<Option<f64>> {
        let Some(tensor) = self.constant(position)? else {
            return Ok(None);
        };
        match tensor.number() {
            Some(number) => Ok(Some(number)),
            None => Err(self.refuse(format!("input {position} is not one number"))),
        }
    }

    /// A list of integers: the attribute `name`, or else the input at
    /// `position`. Which of the two a file uses depends on its opset; none has
    /// both.
    pub(super) fn list(&self, name: &str, position: usize) -> Result<Option<Vec<i64>>> {
        if let Some(list) = self.ints(name)? {
            return Ok(Some(list.to_vec()));
        }
        let Some(tensor) = self.constant(position)? else {
            return Ok(None);
        };
        match tensor.to_i64() {
            Some(list) => Ok(Some(list)),
            None => Err(self.refuse(format!("input {position} is not of integers"))),
        }
    }

    /// As [`Source::list`], of numbers that may depend on the batch.
    pub(super) fn sizes(&self, name: &str, position: usize) -> Result<Option<Vec<Size>>> {
        if let Some(sizes) = self.given(position).and_then(|given| given.sizes)
            && !self.has(name)
        {
            return Ok(Some(sizes.to_vec()));
        }
        let list = self.list(name, position)?;
        Ok(list.map(|list| list.into_iter().map(Size::Number).collect()))
    }

    /// An axis, counted from the front, of a tensor of this rank.
    pub(super) fn wrapped(&self, axis: i64, rank: usize) -> Result<usize> {
        wrap(axis, rank).ok_or_else(|| self.refuse(format!("it has no axis {axis}")))
    }

    /// The attribute `axis`, counted from the front.
    pub(super) fn axis(&self, default: i64, rank: usize) -> Result<usize> {
        self.wrapped(self.int("axis", default)?, rank)
    }

    /// Different axes, counted from the front, in the order given.
    pub(super) fn axes(&self, list: &[i64], rank: usize) -> Result<Vec<usize>> {
        let axes: Vec<usize> = list
            .iter()
            .map(|&axis| self.wrapped(axis, rank))
            .collect::<Result<_>>()?;
        if (1..axes.len()).any(|i| axes[..i].contains(&axes[i])) {
            return Err(self.refuse(format!("its axes {list:?} are not different")));
        }
        Ok(axes)
    }

    /// Whether the file names the output at `position`.
    pub(super) fn makes(&self, position: usize) -> bool {
        let outputs = &self.proto.output;
        outputs.get(position).is_some_and(|name| !name.is_empty())
    }
}

fn wrap(axis: i64, rank: usize) -> Option<usize> {
    let rank = i64::try_from(rank).ok()?;
    let axis = if axis < 0 {
        axis.checked_add(rank)?
    } else {
        axis
    };
    usize::try_from(axis).ok().filter(|_| axis < rank)
}
