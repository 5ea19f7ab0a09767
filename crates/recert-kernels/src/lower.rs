//! From an ONNX graph to the list of operations: what is known beforehand is
//! folded, what follows a convolution is fused into it, and every operator
//! that is not computed here is refused by name.

mod fold;
mod fuse;
mod integers;
mod known;
mod layers;
mod quantized;
mod shapes;

use std::collections::{HashMap, HashSet};

use recert_net::{Dim, Model, Node as Operator, View};

use crate::error::{Error, ErrorKind, Result};
use crate::ir::{Graph, Head, Node, Op, Value, ValueId};
use known::{Known, Tensor};

/// What a name of the ONNX graph stands for.
#[derive(Debug, Clone)]
enum Meaning {
    Known(Known),
    Value(ValueId),
    /// The quantized tensor, the scale or the zero point that
    /// `DynamicQuantizeLinear` makes of the value.
    Dynamic(ValueId, usize),
    /// A class number.
    ArgMax(Head),
}

/// The graph of `model` as far as `outputs` need it, for its image input
/// `input`.
pub(crate) fn lower(model: &Model, input: &str, outputs: &[&str]) -> Result<Graph> {
    let place = |error: Error| error.of_file(model.name());
    let view = model.view()?;
    let nodes = needed(&view, outputs);
    let mut lowering = Lowering::new(model, view, &nodes, outputs);
    lowering.input(input).map_err(place)?;
    for node in &nodes {
        lowering.node(node).map_err(place)?;
    }
    let graph = lowering.finish(outputs).map_err(place)?;
    Ok(integers::integers(graph))
}

/// The nodes that the outputs need, in order.
fn needed<'a>(view: &View<'a>, outputs: &[&str]) -> Vec<Operator<'a>> {
    let mut wanted: HashSet<&str> = outputs.iter().copied().collect();
    let mut nodes = Vec::new();
    for node in view.nodes().rev() {
        if node
            .outputs()
            .iter()
            .any(|name| wanted.contains(name.as_str()))
        {
            wanted.extend(node.inputs().iter().map(String::as_str));
            nodes.push(node);
        }
    }
    nodes.reverse();
    nodes
}

struct Lowering<'a> {
    model: &'a Model,
    view: View<'a>,
    opset: i64,
    fixed_batch: Option<usize>,
    /// How often each name is used, the network's outputs included.
    uses: HashMap<String, usize>,
    meanings: HashMap<String, Meaning>,
    values: Vec<Value>,
    nodes: Vec<Node>,
    /// Values that only one operation takes; others may not be fused away.
    once: HashSet<ValueId>,
    image: ValueId,
    single: bool,
}

/// A refusal of a node.
fn refuse(node: &Operator<'_>, why: impl std::fmt::Display) -> Error {
    let message = format!("node '{}' ({}): {why}", node.name(), node.op_type());
    Error::new(ErrorKind::Unsupported, message)
}

/// What is said of an operator that does not keep images apart.
const MIXES: &str = "it does not keep an image apart from the other images in the batch";

impl<'a> Lowering<'a> {
    fn new(model: &'a Model, view: View<'a>, nodes: &[Operator<'a>], outputs: &[&str]) -> Self {
        let mut uses: HashMap<String, usize> = HashMap::new();
        let inputs = nodes.iter().flat_map(Operator::inputs);
        for name in inputs.map(String::as_str).chain(outputs.iter().copied()) {
            *uses.entry(name.to_owned()).or_default() += 1;
        }
        Self {
            model,
            view,
            opset: model.opset().unwrap_or(0),
            fixed_batch: None,
            uses,
            meanings: HashMap::new(),
            values: Vec::new(),
            nodes: Vec::new(),
            once: HashSet::new(),
            image: 0,
            single: false,
        }
    }

    fn input(&mut self, name: &str) -> Result<()> {
        let input = self.model.signature()?.input;
        let unsupported = |why: String| Error::new(ErrorKind::Unsupported, why);
        if input.name != name {
            return Err(unsupported(format!("'{name}' is not the image input")));
        }
        let dims: Option<Vec<usize>> = input.dims.iter().skip(1).map(Dim::fixed).collect();
        let dims = dims.ok_or_else(|| {
            unsupported(format!(
                "input '{name}' leaves the size of the images open, which is not supported here"
            ))
        })?;
        self.fixed_batch = input.fixed_batch;
        self.image = self.value(name, dims, false);
        Ok(())
    }

    /// A new value that `name` stands for.
    fn value(&mut self, name: &str, dims: Vec<usize>, integers: bool) -> ValueId {
        let id = self.values.len();
        self.values.push(Value {
            dims,
            integers,
            bytes: None,
        });
        self.name(name, id);
        id
    }

    /// Lets `name` stand for a value that there is.
    fn name(&mut self, name: &str, id: ValueId) {
        if self.uses.get(name) == Some(&1) {
            self.once.insert(id);
        } else {
            self.once.remove(&id);
        }
        self.meanings.insert(name.to_owned(), Meaning::Value(id));
    }

    /// Lets `name` stand for the same as another one: whatever was used once
    /// is so still only if both names are.
    fn alias(&mut self, name: &str, id: ValueId) {
        let once = self.once.contains(&id);
        self.name(name, id);
        if !once {
            self.once.remove(&id);
        }
    }

    /// Adds an operation that makes the node's first output.
    fn push(&mut self, node: &Operator<'_>, op: Op, inputs: Vec<ValueId>, dims: Vec<usize>) {
        self.push_of(node, op, inputs, dims, false);
    }

    fn push_of(
        &mut self,
        node: &Operator<'_>,
        op: Op,
        inputs: Vec<ValueId>,
        dims: Vec<usize>,
        integers: bool,
    ) {
        let output = self.value(output(node), dims, integers);
        self.nodes.push(Node { op, inputs, output });
    }

    fn dims(&self, id: ValueId) -> &[usize] {
        &self.values[id].dims
    }

    /// What is known of a tensor, if it does not depend on the image.
    fn known(&self, name: &str) -> Result<Option<Known>> {
        match self.meanings.get(name) {
            Some(Meaning::Known(known)) => return Ok(Some(known.clone())),
            Some(_) => return Ok(None),
            None => {}
        }
        if let Some((dims, values)) = self.view.floats(name)? {
            return Ok(Some(Known::Floats(Tensor::new(dims, values))));
        }
        let integers = self.view.integers(name)?;
        Ok(integers.map(|(dims, values)| Known::Integers(Tensor::new(dims, values))))
    }

    /// The node's input at `position` as floats known beforehand; `None` if
    /// none is given.
    fn floats(&self, node: &Operator<'_>, position: usize) -> Result<Option<Tensor<f32>>> {
        let Some(name) = node.input(position) else {
            return Ok(None);
        };
        match self.known(name)? {
            Some(Known::Floats(tensor)) => Ok(Some(tensor)),
            _ => Err(refuse(
                node,
                format!("input {position} is not known beforehand"),
            )),
        }
    }

    /// As [`Lowering::floats`], a single number.
    fn number(&self, node: &Operator<'_>, position: usize) -> Result<Option<f32>> {
        match self.floats(node, position)?.map(|tensor| tensor.values) {
            None => Ok(None),
            Some(values) if values.len() == 1 => Ok(Some(values[0])),
            Some(_) => Err(refuse(node, format!("input {position} is not one number"))),
        }
    }

    /// As [`Lowering::floats`], integers.
    fn integers(&self, node: &Operator<'_>, position: usize) -> Result<Option<Tensor<i64>>> {
        let Some(name) = node.input(position) else {
            return Ok(None);
        };
        match self.known(name)? {
            Some(Known::Integers(tensor)) => Ok(Some(tensor)),
            _ => Err(refuse(
                node,
                format!("input {position} is not known beforehand"),
            )),
        }
    }

    /// A list of integers given as the attribute `name` or the input at `position`.
    fn list(&self, node: &Operator<'_>, name: &str, position: usize) -> Result<Option<Vec<i64>>> {
        match node.ints(name) {
            Some(list) => Ok(Some(list.to_vec())),
            None => Ok(self.integers(node, position)?.map(|tensor| tensor.values)),
        }
    }

    /// The node's input at `position` as a value that depends on the image.
    fn any(&self, node: &Operator<'_>, position: usize) -> Result<ValueId> {
        let name = node.input(position).unwrap_or_default();
        match self.meanings.get(name) {
            Some(Meaning::Value(id)) => Ok(*id),
            Some(Meaning::Dynamic(..)) => Err(refuse(
                node,
                "it computes with a tensor that is quantized by its own range",
            )),
            Some(Meaning::ArgMax(_)) => Err(refuse(node, "it computes with a class (ArgMax)")),
            Some(Meaning::Known(_)) => Err(refuse(
                node,
                format!("input {position} does not depend on the image"),
            )),
            None if self.known(name)?.is_some() => Err(refuse(
                node,
                format!("input {position} does not depend on the image"),
            )),
            None => Err(refuse(node, format!("input {position} is not known"))),
        }
    }

    /// As [`Lowering::any`], of floats.
    fn data(&self, node: &Operator<'_>, position: usize) -> Result<ValueId> {
        let id = self.any(node, position)?;
        if self.values[id].integers {
            return Err(refuse(node, "it computes with integers"));
        }
        Ok(id)
    }

    /// As [`Lowering::data`], of shape `[channels, height, width]`.
    fn image(&self, node: &Operator<'_>) -> Result<(ValueId, [usize; 3])> {
        let id = self.data(node, 0)?;
        self.planes(node, id)
    }

    fn planes(&self, node: &Operator<'_>, id: ValueId) -> Result<(ValueId, [usize; 3])> {
        match self.dims(id) {
            &[c, h, w] if c * h * w > 0 => Ok((id, [c, h, w])),
            dims => Err(refuse(
                node,
                format!("its input is of shape {dims:?} an image, not channels, rows and columns"),
            )),
        }
    }

    /// An axis of a tensor with the batch, as one of an image's tensor of this
    /// rank; refuses the batch's own.
    fn axis(node: &Operator<'_>, axis: i64, rank: usize) -> Result<usize> {
        match known::wrap(axis, rank + 1) {
            Some(0) => Err(refuse(node, MIXES)),
            Some(axis) if axis <= rank => Ok(axis - 1),
            _ => Err(refuse(node, format!("it has no axis {axis}"))),
        }
    }

    fn node(&mut self, node: &Operator<'_>) -> Result<()> {
        if self.fold(node)? {
            return Ok(());
        }
        match node.standard_op() {
            "Identity" => {
                let id = self.any(node, 0)?;
                self.alias(output(node), id);
                Ok(())
            }
            "Dropout" => self.dropout(node),
            "Conv" => self.conv(node),
            "Gemm" => self.gemm(node),
            "MatMul" => self.matmul(node),
            "BatchNormalization" => self.batch_normalization(node),
            "MaxPool" | "AveragePool" => self.pool(node),
            "GlobalAveragePool" | "GlobalMaxPool" => self.global_pool(node),
            "ReduceMean" | "ReduceSum" | "ReduceMax" => self.reduce(node),
            "Softmax" => self.softmax(node),
            "ArgMax" => self.arg_max(node),
            "Add" | "Sub" | "Mul" | "Div" => self.arithmetic(node),
            "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" => self.reshape(node),
            "Transpose" => self.transpose(node),
            "Slice" => self.slice(node),
            "Pad" => self.pad(node),
            "Concat" => self.concat(node),
            "Cast" => self.cast(node),
            "QuantizeLinear" => self.quantize(node),
            "DequantizeLinear" => self.dequantize(node),
            "DynamicQuantizeLinear" => self.dynamic_quantize(node),
            _ => match self.step(node)? {
                Some(step) => {
                    let id = self.data(node, 0)?;
                    self.pointwise(node, id, vec![step]);
                    Ok(())
                }
                None => Err(refuse(node, "this operator is not supported here")),
            },
        }
    }

    fn dropout(&mut self, node: &Operator<'_>) -> Result<()> {
        if node
            .outputs()
            .iter()
            .skip(1)
            .any(|name| self.uses.contains_key(name))
        {
            return Err(refuse(node, "its mask is used"));
        }
        if node.input(2).is_some() {
            return Err(refuse(node, "it may be in training mode"));
        }
        let id = self.any(node, 0)?;
        self.alias(output(node), id);
        Ok(())
    }

    fn finish(self, outputs: &[&str]) -> Result<Graph> {
        let heads = outputs.iter().map(|&name| match self.meanings.get(name) {
            Some(Meaning::Value(value)) if !self.values[*value].integers => Ok(Head {
                value: *value,
                arg_max: None,
            }),
            Some(Meaning::ArgMax(head)) => Ok(head.clone()),
            _ => Err(Error::new(
                ErrorKind::Unsupported,
                format!("output '{name}' is not of floats that depend on the image"),
            )),
        });
        Ok(Graph {
            heads: heads.collect::<Result<_>>()?,
            values: self.values,
            nodes: self.nodes,
            input: self.image,
            single: self.single,
        })
    }
}

/// The name of the node's first output.
fn output<'a>(node: &Operator<'a>) -> &'a str {
    node.outputs().first().map_or("", String::as_str)
}
