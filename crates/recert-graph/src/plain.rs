//! A network as every engine reads it: the same function, written in plain ONNX.
//!
//! Nothing is computed or approximated here, so that an engine given the plain form
//! computes what the file states:
//!
//! - local functions stand in place of their calls, and nodes in order ([`Model`]);
//! - extents of the input that the file leaves open are those of the images;
//! - outputs that nobody reads are left out, with the nodes that only they need;
//! - a `Dropout` in inference is the `Identity` that it is, and one in training refused;
//! - an input of float16, bfloat16 or float64 takes float32 that is converted to it; a
//!   conversion from there on is one from float32, which makes the same numbers where
//!   these are of the narrower type already ([`crate::ElementType::rounded`]);
//! - scores in other floats are converted to float32, and classes in other integers than
//!   int32 and int64 to int64; where the file converts float32 to the narrower type at the
//!   very end, that is left to the reader ([`crate::ElementType::rounded`] again);
//! - a zero point that is left out is stated.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};

use crate::build::Builder;
use crate::element::ElementType;
use crate::error::{Error, ErrorKind, Result};
use crate::graph::Value;
use crate::index::{attribute, is_op, node_name};
use crate::model::Model;
use crate::proto::onnx::attribute_proto::AttributeType;
use crate::proto::onnx::tensor_proto::DataType;
use crate::proto::onnx::tensor_shape_proto::{Dimension, dimension};
use crate::proto::onnx::{
    AttributeProto, GraphProto, NodeProto, TensorShapeProto, ValueInfoProto, type_proto,
};
use crate::shape::Shape;
use crate::signature::tensor_type;
use crate::sorted::taken;
use crate::stored;
use crate::tensor::{Data, Tensor};

/// The plain form of a network, from [`Model::plain`].
#[derive(Debug)]
pub struct Plain<'a> {
    /// The network; the model itself where that is plain already.
    pub model: Cow<'a, Model>,
    /// The name of its image input.
    pub input: String,
    /// The names of its outputs, in the order in which they were asked for.
    pub outputs: Vec<String>,
}

impl Model {
    /// The network in plain ONNX, for batches of this shape (the batch first) and to read
    /// these outputs of the file: by ONNX's definitions the same function.
    ///
    /// Functions stand in place of their calls, nodes in order; extents that the file leaves
    /// open are those of `shape`; what only other outputs need is left out; a `Dropout` in
    /// inference is an `Identity`; zero points that are left out are stated; the input takes
    /// float32, which is converted to what the file states, and the outputs hold float32,
    /// int32 or int64. An input of float16 or bfloat16 is to be given numbers of that type,
    /// and an output of it to be rounded to it ([`ElementType::rounded`]).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Signature`] where there is not one image input of this rank, or no such
    /// output; [`ErrorKind::Unsupported`] for a `Dropout` that is not known to be in
    /// inference, and where writing the network again would lose content.
    ///
    /// ```
    /// use recert_graph::{Extent, Model, Shape};
    ///
    /// # fn main() -> recert_graph::Result<()> {
    /// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../recert-net/tests/golden/residual.onnx");
    /// let model = Model::read(path)?;
    /// let signature = model.signature()?;
    /// let mut extents = vec![Extent::Batch(1)];
    /// extents.extend(signature.input.dims[1..].iter().filter_map(|dim| dim.fixed().map(Extent::Fixed)));
    /// let plain = model.plain(&Shape::new(extents), &[&signature.output.name])?;
    /// // This one is plain as it is.
    /// assert_eq!(plain.model.sha256(), model.sha256());
    /// assert_eq!(plain.input, signature.input.name);
    /// # Ok(())
    /// # }
    /// ```
    pub fn plain(&self, shape: &Shape, outputs: &[&str]) -> Result<Plain<'_>> {
        plain(self, shape, outputs).map_err(|error| error.at(self.name()))
    }
}

fn plain<'a>(model: &'a Model, shape: &Shape, outputs: &[&str]) -> Result<Plain<'a>> {
    let mut rewrite = Rewrite {
        graph: model.graph_proto().clone(),
        opset: model.opset().unwrap_or(0),
        changed: model.is_arranged(),
    };
    rewrite.keep(outputs)?;
    rewrite.drop_dropout()?;
    let input = model.input()?.name;
    let input = rewrite.input(&input, shape)?;
    // Read once, and only where something has to be known.
    let values = OnceCell::new();
    let known = |name: &str| {
        let read = || inferred(model, shape, outputs).unwrap_or_default();
        values.get_or_init(read).get(name).cloned()
    };
    rewrite.zero_points(&known);
    let outputs: Vec<String> =
        (outputs.iter().map(|name| rewrite.output(name, &known))).collect::<Result<_>>()?;
    let model = if rewrite.changed {
        let mut proto = model.proto_to_rewrite()?;
        proto.graph = Some(rewrite.graph);
        Cow::Owned(Model::from_proto(model.name().to_owned(), proto)?)
    } else {
        Cow::Borrowed(model)
    };
    Ok(Plain {
        model,
        input,
        outputs,
    })
}

/// The element types and shapes of all tensors that these outputs need.
fn inferred(model: &Model, shape: &Shape, outputs: &[&str]) -> Result<HashMap<String, Kind>> {
    let input = model.input()?.name;
    let builder = Builder::new(model).outputs(outputs);
    let graph = builder.input_shape(&input, shape.clone()).build()?;
    let values = graph.values().iter();
    let kind = |value: &Value| (value.name.clone(), (value.element, value.shape.clone()));
    Ok(values.map(kind).collect())
}

struct Rewrite {
    graph: GraphProto,
    opset: i64,
    changed: bool,
}

impl Rewrite {
    /// Leaves out other outputs, and nodes that none of these needs.
    fn keep(&mut self, outputs: &[&str]) -> Result<()> {
        let found = outputs.iter().map(|&wanted| {
            let mut infos = self.graph.output.iter();
            let info = infos.find(|info| info.name() == wanted);
            info.cloned().ok_or_else(|| {
                Error::new(
                    ErrorKind::Signature,
                    format!("there is no output `{wanted}`"),
                )
            })
        });
        let found: Vec<ValueInfoProto> = found.collect::<Result<_>>()?;
        if found != self.graph.output {
            self.graph.output = found;
            self.changed = true;
        }
        let mut producers: HashMap<&str, usize> = HashMap::new();
        for (position, node) in self.graph.node.iter().enumerate() {
            for name in node.output.iter().filter(|name| !name.is_empty()) {
                producers.insert(name, position);
            }
        }
        let mut needed = vec![false; self.graph.node.len()];
        let mut left: Vec<&str> = outputs.to_vec();
        while let Some(name) = left.pop() {
            if let Some(&position) = producers.get(name)
                && !std::mem::replace(&mut needed[position], true)
            {
                left.extend(taken(&self.graph.node[position]));
            }
        }
        if needed.iter().all(|&needed| needed) {
            return Ok(());
        }
        self.changed = true;
        let mut needed = needed.into_iter();
        self.graph.node.retain(|_| needed.next() == Some(true));
        // Stored tensors, inputs and stated shapes that are of no more use.
        let mut names: HashSet<String> = HashSet::new();
        for node in &self.graph.node {
            names.extend(taken(node).into_iter().map(str::to_owned));
            names.extend(node.output.iter().cloned());
        }
        names.extend(outputs.iter().map(|&name| name.to_owned()));
        let stored: HashSet<String> = (self.graph.initializer.iter())
            .map(|tensor| tensor.name().to_owned())
            .collect();
        self.graph
            .initializer
            .retain(|tensor| names.contains(tensor.name()));
        self.graph
            .input
            .retain(|info| names.contains(info.name()) || !stored.contains(info.name()));
        self.graph
            .value_info
            .retain(|info| names.contains(info.name()));
        Ok(())
    }

    /// How often tensors are taken, as outputs of the network too.
    fn uses(&self) -> HashMap<String, usize> {
        let mut uses: HashMap<String, usize> = HashMap::new();
        let outputs = self.graph.output.iter().map(ValueInfoProto::name);
        let nodes = self.graph.node.iter().flat_map(taken);
        for name in nodes.chain(outputs) {
            *uses.entry(name.to_owned()).or_default() += 1;
        }
        uses
    }

    /// Makes a `Dropout` in inference, whose mask nobody takes, an `Identity`.
    fn drop_dropout(&mut self) -> Result<()> {
        if !self.graph.node.iter().any(|node| is_op(node, "Dropout")) {
            return Ok(());
        }
        let uses = self.uses();
        let mut found = Vec::new();
        for (position, node) in self.graph.node.iter().enumerate() {
            let mask = node
                .output
                .get(1)
                .is_some_and(|mask| uses.contains_key(mask));
            if !is_op(node, "Dropout") {
                continue;
            }
            if !self.infers(node)? {
                let name = node_name(node, position);
                let why = format!(
                    "node '{name}' (Dropout) is in training mode, or may be, and answers at random: \
                     export the network in inference mode (in PyTorch after `model.eval()`)"
                );
                return Err(Error::new(ErrorKind::Unsupported, why));
            }
            if !mask {
                found.push(position);
            }
        }
        for position in found {
            let node = &mut self.graph.node[position];
            node.op_type = Some("Identity".to_owned());
            node.input.truncate(1);
            node.output.truncate(1);
            node.attribute.clear();
            self.changed = true;
        }
        Ok(())
    }

    /// Whether a `Dropout` is known to be in inference. Before opset 7 an attribute says so,
    /// since opset 12 an input may say otherwise.
    fn infers(&self, node: &NodeProto) -> Result<bool> {
        if self.opset < 7 {
            return Ok(attribute(node, "is_test").is_some_and(|stated| stated.i() != 0));
        }
        match node.input.get(2).map(String::as_str) {
            None | Some("") => Ok(true),
            Some(mode) => {
                let mode = self.constant(mode)?;
                Ok(mode.is_some_and(|mode| *mode.data() == Data::Bool(vec![false])))
            }
        }
    }

    /// A tensor that is stored under this name.
    fn constant(&self, name: &str) -> Result<Option<Tensor>> {
        let mut initializers = self.graph.initializer.iter();
        if let Some(tensor) = initializers.find(|tensor| tensor.name() == name) {
            return stored::typed(tensor).map(Some);
        }
        let mut nodes = self.graph.node.iter();
        let made = |node: &&NodeProto| node.output.iter().any(|output| output == name);
        let node = nodes.find(made).filter(|node| is_op(node, "Constant"));
        let value = node.and_then(|node| attribute(node, "value")?.t.as_ref());
        value.map(stored::typed).transpose()
    }

    /// A name that no tensor has.
    fn unused(&self, name: &str) -> String {
        let uses = self.uses();
        let made: HashSet<&str> = (self.graph.node.iter())
            .flat_map(|node| &node.output)
            .map(String::as_str)
            .collect();
        let mut name = name.to_owned();
        while uses.contains_key(&name) || made.contains(name.as_str()) {
            name.push('_');
        }
        name
    }

    /// Gives the input this shape and float32; returns the name of the input.
    fn input(&mut self, name: &str, shape: &Shape) -> Result<String> {
        let bad = |why: String| Error::new(ErrorKind::Signature, why);
        let mut infos = self.graph.input.iter();
        let position = infos.position(|info| info.name() == name);
        let position = position.ok_or_else(|| bad(format!("there is no input `{name}`")))?;
        let info = &mut self.graph.input[position];
        let element = match tensor_type(info) {
            Some((element, Some(dims))) if dims.len() == shape.rank() => element,
            Some((element, None)) => element,
            _ => {
                return Err(bad(format!(
                    "input `{name}` is not of rank {}",
                    shape.rank()
                )));
            }
        };
        let kind = info.r#type.as_mut().and_then(|kind| kind.value.as_mut());
        let Some(type_proto::Value::TensorType(tensor)) = kind else {
            return Err(bad(format!("input `{name}` is not a tensor")));
        };
        let stated = tensor.shape.get_or_insert_with(|| TensorShapeProto {
            dim: vec![Dimension::default(); shape.rank()],
        });
        let dims = &mut stated.dim;
        for (dim, extent) in dims.iter_mut().zip(shape.iter()) {
            let Some(size) = extent.fixed() else { continue };
            let value = Some(dimension::Value::DimValue(size as i64));
            if dim.value != value {
                dim.value = value;
                self.changed = true;
            }
        }
        if element == ElementType::Float32 {
            return Ok(name.to_owned());
        }
        let Some(to) = number(element).filter(|_| element.is_float()) else {
            return Err(bad(format!(
                "input `{name}` is of {element}, not of floats"
            )));
        };
        tensor.elem_type = Some(DataType::Float.into());
        self.changed = true;
        let wide = self.unused(&format!("{name} in float32"));
        self.graph.input[position].name = Some(wide.clone());
        // A conversion of the input may as well start from float32.
        for node in &mut self.graph.node {
            if is_op(node, "Cast") && node.input.first().is_some_and(|input| input == name) {
                node.input[0].clone_from(&wide);
            }
        }
        if self.uses().contains_key(name) {
            let cast = self.cast(&wide, name, to);
            self.graph.node.insert(0, cast);
        }
        Ok(wide)
    }

    /// Makes the output one that engines read; returns its name.
    fn output(&mut self, name: &str, known: Known<'_>) -> Result<String> {
        let mut infos = self.graph.output.iter();
        let position = infos.position(|info| info.name() == name);
        let position = position.expect("only the outputs asked for were kept");
        let info = &self.graph.output[position];
        let (element, _) = tensor_type(info).ok_or_else(|| {
            Error::new(
                ErrorKind::Signature,
                format!("output `{name}` is not a tensor"),
            )
        })?;
        let to = match element {
            ElementType::Float32 | ElementType::Int32 | ElementType::Int64 => {
                return Ok(name.to_owned());
            }
            element if element.is_float() => DataType::Float,
            element if element.is_integer() => DataType::Int64,
            _ => return Ok(name.to_owned()),
        };
        self.changed = true;
        if to == DataType::Float && self.end_in_float32(name, known) {
            self.graph.output[position].set_element(to);
            return Ok(name.to_owned());
        }
        let read = self.unused(&format!("{name} as read"));
        let info = &mut self.graph.output[position];
        info.name = Some(read.clone());
        info.set_element(to);
        let cast = self.cast(name, &read, to);
        self.graph.node.push(cast);
        Ok(read)
    }

    /// Whether the output is float32 that is converted at the very end, which then it is no
    /// more.
    fn end_in_float32(&mut self, name: &str, known: Known<'_>) -> bool {
        if self.uses().get(name) != Some(&1) {
            return false;
        }
        let mut nodes = self.graph.node.iter();
        let last = nodes.position(|node| node.output.iter().any(|output| output == name));
        let Some(position) = last.filter(|&last| is_op(&self.graph.node[last], "Cast")) else {
            return false;
        };
        let from = self.graph.node[position].input.first();
        let from = from.and_then(|from| known(from));
        if from.is_none_or(|(element, _)| element != ElementType::Float32) {
            return false;
        }
        let node = &mut self.graph.node[position];
        node.op_type = Some("Identity".to_owned());
        node.attribute.clear();
        true
    }

    /// States the zero points that are left out, where their types are known.
    fn zero_points(&mut self, known: Known<'_>) {
        let mut found = Vec::new();
        for (position, node) in self.graph.node.iter().enumerate() {
            let quantizes = is_op(node, "QuantizeLinear");
            let left_out = node.input.get(2).is_none_or(String::is_empty);
            // An attribute may state another type from opset 21 on.
            let stated = attribute(node, "output_dtype").is_some();
            let [input, scale, ..] = &node.input[..] else {
                continue;
            };
            if !left_out || stated || !(quantizes || is_op(node, "DequantizeLinear")) {
                continue;
            }
            let of_stored = |name: &str| {
                let mut initializers = self.graph.initializer.iter();
                let tensor = initializers.find(|tensor| tensor.name() == name)?;
                let shape = stored::shape(tensor).ok()?;
                Some((
                    ElementType::from_onnx(tensor.data_type()),
                    Shape::of(&shape),
                ))
            };
            let of = |name: &str| of_stored(name).or_else(|| known(name));
            let element = if quantizes {
                Some(ElementType::UInt8)
            } else {
                of(input).map(|(element, _)| element)
            };
            let kind = match element {
                Some(ElementType::UInt8) => DataType::Uint8,
                Some(ElementType::Int8) => DataType::Int8,
                _ => continue,
            };
            let Some(shape) = of(scale).and_then(|(_, shape)| shape.fixed()) else {
                continue;
            };
            found.push((position, kind, shape));
        }
        for (position, kind, shape) in found {
            let output = self.graph.node[position].output.first();
            let name = format!("{}, its zero point", output.map_or("", String::as_str));
            let name = self.unused(&name);
            let count = shape.iter().product();
            let mut zero = stored::from_u8(&name, &shape, &vec![0; count]);
            zero.data_type = Some(kind.into());
            self.graph.initializer.push(zero);
            let node = &mut self.graph.node[position];
            node.input.truncate(2);
            node.input.push(name);
            self.changed = true;
        }
    }

    fn cast(&self, from: &str, to: &str, kind: DataType) -> NodeProto {
        // Types were named by texts before opset 6.
        let old = self.opset < 6;
        let number = AttributeProto {
            name: Some("to".to_owned()),
            r#type: Some(
                if old {
                    AttributeType::String
                } else {
                    AttributeType::Int
                }
                .into(),
            ),
            i: (!old).then_some(i64::from(i32::from(kind))),
            s: old.then(|| kind.as_str_name().as_bytes().to_vec().into()),
            ..AttributeProto::default()
        };
        NodeProto {
            op_type: Some("Cast".to_owned()),
            name: Some(to.to_owned()),
            input: vec![from.to_owned()],
            output: vec![to.to_owned()],
            attribute: vec![number],
            ..NodeProto::default()
        }
    }
}

/// The element type and shape of a tensor.
type Kind = (ElementType, Shape);

/// These of a tensor by name, where they can be inferred.
type Known<'a> = &'a dyn Fn(&str) -> Option<Kind>;

impl ValueInfoProto {
    fn set_element(&mut self, kind: DataType) {
        let value = self.r#type.as_mut().and_then(|kind| kind.value.as_mut());
        if let Some(type_proto::Value::TensorType(tensor)) = value {
            tensor.elem_type = Some(kind.into());
        }
    }
}

/// ONNX's number of a floating-point type.
fn number(element: ElementType) -> Option<DataType> {
    Some(match element {
        ElementType::Float16 => DataType::Float16,
        ElementType::BFloat16 => DataType::Bfloat16,
        ElementType::Float64 => DataType::Double,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
