//! From the typed graph to the list of operations: what follows a convolution
//! is fused into it, and every operator that is not computed here is refused
//! by name.

mod fuse;
mod integers;
mod layers;
mod merge;
mod places;
mod quantized;
mod shapes;
mod tokens;
mod views;

use std::collections::{HashMap, HashSet};

use recert_graph::{Builder, ElementType, Extent, Model, Node as Source, Variadic};

use crate::error::{Error, ErrorKind, Result};
use crate::ir::{Graph, Node, Op, OutputValue, Value, ValueId};

/// What a value of the typed graph stands for, if it depends on the image.
#[derive(Debug, Clone)]
enum Meaning {
    Value(ValueId),
    /// The quantized tensor, the scale or the zero point that
    /// `DynamicQuantizeLinear` makes of the value.
    Dynamic(ValueId, usize),
    /// A class number.
    ArgMax(OutputValue),
}

/// The graph of `model` as far as `outputs` need it, for its image input
/// `input`.
pub(crate) fn lower(model: &Model, input: &str, outputs: &[&str]) -> Result<Graph> {
    let in_file = |error: Error| error.of_file(model.name());
    check_input(model, input).map_err(in_file)?;
    let source = Builder::new(model).outputs(outputs).build()?.fold();
    let mut lowering = Lowering::new(&source).map_err(in_file)?;
    for node in source.nodes() {
        lowering.node(node).map_err(in_file)?;
    }
    let graph = lowering.finish().map_err(in_file)?;
    Ok(merge::merge(integers::integers(graph)))
}

/// Checks that `name` is the image input and that it states the images' size.
fn check_input(model: &Model, name: &str) -> Result<()> {
    let input = model.input()?;
    let unsupported = |why: String| Err(Error::new(ErrorKind::Unsupported, why));
    if input.name != name {
        return unsupported(format!("'{name}' is not the image input"));
    }
    if input.dims.iter().skip(1).any(|dim| dim.fixed().is_none()) {
        return unsupported(format!(
            "input '{name}' leaves the size of the images open, which is not supported here"
        ));
    }
    Ok(())
}

struct Lowering<'a> {
    source: &'a recert_graph::Graph,
    batch: Extent,
    /// By the number of a value of `source`.
    meanings: Vec<Option<Meaning>>,
    values: Vec<Value>,
    nodes: Vec<Node>,
    /// Values that only one operation takes; others may not be fused away.
    once: HashSet<ValueId>,
    image: ValueId,
    single: bool,
    /// See [`places::Place`]; of the values where some of it is more than 1.
    befores: HashMap<recert_graph::ValueId, usize>,
}

/// A refusal of a node.
fn refuse(node: &Source, why: impl std::fmt::Display) -> Error {
    let message = format!("node '{}' ({}): {why}", node.name, node.op.name());
    Error::new(ErrorKind::Unsupported, message)
}

/// The refusal of an operator that is none of those computed here.
fn unsupported(node: &Source) -> Error {
    refuse(node, "this operator is not supported here")
}

/// Why an operator is refused whose output mixes images of a batch.
const MIXES: &str = "an image's output depends on the other images in the batch";

impl<'a> Lowering<'a> {
    fn new(source: &'a recert_graph::Graph) -> Result<Self> {
        let mut lowering = Self {
            source,
            batch: Extent::Batch(1),
            meanings: vec![None; source.values().len()],
            values: Vec::new(),
            nodes: Vec::new(),
            once: HashSet::new(),
            image: 0,
            single: false,
            befores: HashMap::new(),
        };
        let &[input] = source.inputs() else {
            let why = "it has not one input";
            return Err(Error::new(ErrorKind::Unsupported, why));
        };
        let value = source.value(input);
        let (Some(&batch), ElementType::Float32) = (value.shape.first(), value.element) else {
            let why = format!("input '{}' is not of images of float32", value.name);
            return Err(Error::new(ErrorKind::Unsupported, why));
        };
        lowering.batch = batch;
        let dims = lowering.full(input).map(|full| full.dims_of_one());
        let dims = dims.ok_or_else(|| Error::new(ErrorKind::Unsupported, MIXES))?;
        lowering.image = lowering.value(input, dims);
        Ok(lowering)
    }

    /// A value's shape for one image; `None` where it mixes images.
    fn dims_of_one(&self, id: recert_graph::ValueId) -> Option<Vec<usize>> {
        Some(self.full(id)?.dims_of_one())
    }

    /// The shape for one image of what the node makes.
    fn made(&self, node: &Source) -> Result<Vec<usize>> {
        let dims = self.dims_of_one(node.output());
        dims.ok_or_else(|| refuse(node, MIXES))
    }

    /// A new value that `id` stands for.
    fn value(&mut self, id: recert_graph::ValueId, dims: Vec<usize>) -> ValueId {
        let value = self.values.len();
        self.values.push(Value {
            dims,
            integers: self.source.value(id).element != ElementType::Float32,
            bytes: None,
        });
        self.name(id, value);
        value
    }

    /// Lets `id` stand for a value that there is.
    fn name(&mut self, id: recert_graph::ValueId, value: ValueId) {
        if self.source.value(id).uses == 1 {
            self.once.insert(value);
        } else {
            self.once.remove(&value);
        }
        self.meanings[id.index()] = Some(Meaning::Value(value));
    }

    /// Lets the node's output stand for the same as another value: whatever
    /// was used once is so still only if both are.
    fn alias(&mut self, node: &Source, value: ValueId) {
        let once = self.once.contains(&value);
        self.name(node.output(), value);
        if !once {
            self.once.remove(&value);
        }
    }

    /// Adds an operation that makes the node's first output.
    fn push(&mut self, node: &Source, op: Op, inputs: Vec<ValueId>) -> Result<()> {
        let dims = self.made(node)?;
        let output = self.value(node.output(), dims);
        self.nodes.push(Node { op, inputs, output });
        Ok(())
    }

    fn dims(&self, id: ValueId) -> &[usize] {
        &self.values[id].dims
    }

    /// The node's input at `position` as numbers known beforehand; `None` if
    /// none is given.
    fn constant(&self, node: &Source, position: usize) -> Result<Option<&'a recert_graph::Tensor>> {
        let Some(id) = node.input(position) else {
            return Ok(None);
        };
        let constant = self.source.constant(id);
        let missing = || refuse(node, format!("input {position} is not known beforehand"));
        constant.map(Some).ok_or_else(missing)
    }

    /// As [`Lowering::constant`], the shape and the numbers as float32.
    fn floats(&self, node: &Source, position: usize) -> Result<Option<(Vec<usize>, Vec<f32>)>> {
        let Some(constant) = self.constant(node, position)? else {
            return Ok(None);
        };
        match constant.to_f32() {
            Some(values) => Ok(Some((constant.shape().to_vec(), values))),
            None => Err(refuse(node, format!("input {position} is not of floats"))),
        }
    }

    /// The node's weights.
    fn weights(&self, node: &Source) -> Result<(Vec<usize>, Vec<f32>)> {
        let weights = self.floats(node, 1)?;
        weights.ok_or_else(|| refuse(node, "it has no weights"))
    }

    /// The node's input at `position` as a value that depends on the image.
    fn any(&self, node: &Source, position: usize) -> Result<ValueId> {
        let id = node.input(position);
        let id = id.ok_or_else(|| refuse(node, format!("it lacks input {position}")))?;
        match &self.meanings[id.index()] {
            Some(Meaning::Value(id)) => Ok(*id),
            Some(Meaning::Dynamic(..)) => Err(refuse(
                node,
                "it computes with a tensor that is quantized by its own range",
            )),
            Some(Meaning::ArgMax(_)) => Err(refuse(node, "it computes with a class (ArgMax)")),
            None => Err(refuse(
                node,
                format!("input {position} does not depend on the image"),
            )),
        }
    }

    /// As [`Lowering::any`], of floats.
    fn data(&self, node: &Source, position: usize) -> Result<ValueId> {
        let id = self.any(node, position)?;
        if self.values[id].integers {
            return Err(refuse(node, "it computes with integers"));
        }
        Ok(id)
    }

    /// As [`Lowering::data`], of shape `[channels, height, width]`.
    fn image(&self, node: &Source) -> Result<(ValueId, [usize; 3])> {
        let id = self.data(node, 0)?;
        self.planes(node, id)
    }

    /// Checks that the first input is of images, the batch first.
    fn check_images(&self, node: &Source) -> Result<()> {
        match node.input(0) {
            Some(id) => self.check_first(node, id),
            None => Err(refuse(node, "it lacks input 0")),
        }
    }

    fn planes(&self, node: &Source, id: ValueId) -> Result<(ValueId, [usize; 3])> {
        self.check_images(node)?;
        match self.dims(id) {
            &[c, h, w] if c * h * w > 0 => Ok((id, [c, h, w])),
            dims => Err(refuse(
                node,
                format!("its input is of shape {dims:?} an image, not channels, rows and columns"),
            )),
        }
    }

    fn node(&mut self, node: &Source) -> Result<()> {
        use recert_graph::Op as S;
        self.note_places(node)?;
        match &node.op {
            S::Identity => {
                let id = self.any(node, 0)?;
                self.alias(node, id);
                Ok(())
            }
            S::DropoutMask => Err(refuse(node, "its mask is used")),
            S::Conv { window, group } => self.conv(node, window, *group),
            S::Gemm {
                alpha,
                beta,
                trans_a: false,
                trans_b,
            } => self.gemm(node, [*alpha, *beta], *trans_b),
            S::Gemm { .. } => Err(refuse(node, MIXES)),
            S::MatMul => self.matmul(node),
            S::BatchNormalization { .. } => self.batch_normalization(node),
            S::MaxPool { window, .. } => self.max_pool(node, window),
            S::AveragePool {
                window,
                count_padding,
            } => self.average_pool(node, window, *count_padding),
            S::GlobalAveragePool => self.global_pool(node, Op::Means),
            S::GlobalMaxPool => {
                let op = Op::Reduce(crate::across::Reduction::Max, vec![1, 2]);
                self.global_pool(node, op)
            }
            S::Reduce {
                reduction, axes, ..
            } => self.reduce(node, *reduction, axes),
            S::Softmax(axes) => self.softmax(node, axes.clone()),
            S::ArgExtreme {
                min: false,
                axis,
                last,
                ..
            } => self.arg_max(node, *axis, *last),
            S::Binary(binary) => self.arithmetic(node, *binary),
            S::Reshape => self.reshape(node),
            S::Transpose { perm } => self.transpose(node, perm),
            S::Slice(slices) => self.slice(node, slices),
            S::Pad { mode, pads } => self.pad(node, *mode, pads),
            S::Concat { axis } => self.concat(node, *axis),
            S::Split { axis, sizes } => self.split(node, *axis, sizes),
            S::Gather { axis } => self.gather(node, *axis),
            S::Expand => self.expand(node),
            S::Fill(value) => self.fill(node, *value),
            S::LayerNormalization { axis, epsilon } => {
                self.layer_normalization(node, *axis, *epsilon)
            }
            S::Variadic(Variadic::Sum) => self.sum(node),
            S::Cast(to) => self.cast(node, *to),
            S::QuantizeLinear(granularity) => self.quantize(node, *granularity),
            S::DequantizeLinear(granularity) => self.dequantize(node, *granularity),
            S::DynamicQuantizeLinear => self.dynamic_quantize(node),
            op => {
                let step = fuse::step(op).ok_or_else(|| unsupported(node))?;
                let id = self.data(node, 0)?;
                self.pointwise(node, id, vec![step])
            }
        }
    }

    fn finish(self) -> Result<Graph> {
        let outputs = self.source.outputs().iter();
        let outputs = outputs.map(|id| match &self.meanings[id.index()] {
            Some(Meaning::Value(value)) if !self.values[*value].integers && self.is_first(*id) => {
                Ok(OutputValue {
                    value: *value,
                    arg_max: None,
                })
            }
            Some(Meaning::ArgMax(output)) => Ok(output.clone()),
            _ => {
                let name = &self.source.value(*id).name;
                let message = format!("output '{name}' is not of floats that depend on the image");
                Err(Error::new(ErrorKind::Unsupported, message))
            }
        });
        Ok(Graph {
            outputs: outputs.collect::<Result<_>>()?,
            values: self.values,
            nodes: self.nodes,
            input: self.image,
            single: self.single,
        })
    }
}
