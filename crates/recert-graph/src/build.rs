//! From a file to a [`Graph`]: every node that is needed is read, its types
//! and shapes inferred, and what does not depend on the inputs computed.

mod attributes;
mod constants;
mod elementwise;
mod layers;
mod layout;
mod operators;
mod order;
mod quantized;
mod reduce;
mod resize;
mod sizes;
mod source;
mod window;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::element::ElementType;
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Graph, Node, Value, ValueId};
use crate::index::node_name;
use crate::model::Model;
use crate::op::Op;
use crate::proto::onnx::{GraphProto, NodeProto, ValueInfoProto};
use crate::reference;
use crate::shape::{Extent, Shape};
use crate::signature::{Dim, tensor_type, true_inputs};
use crate::stored;
use crate::tensor::Tensor;
use order::{invalid, order};
use source::{Given, Made, Reading, Size, Source, Taken};

/// More elements a tensor (of one image, where the batch is open) are none of
/// a network of images.
const MOST_ELEMENTS: usize = 1 << 28;

/// Constants that are computed may take so many bytes together, and this many
/// times the file's size.
const COMPUTED_BYTES: usize = 1 << 28;
const COMPUTED_FACTOR: usize = 16;

/// How a [`Graph`] is read from a [`Model`].
#[derive(Debug, Clone)]
pub struct Builder<'a> {
    model: &'a Model,
    outputs: Option<Vec<String>>,
    bound: HashMap<String, Tensor>,
    shapes: HashMap<String, Shape>,
}

impl<'a> Builder<'a> {
    /// The whole network as the file states it.
    pub fn new(model: &'a Model) -> Self {
        Self {
            model,
            outputs: None,
            bound: HashMap::new(),
            shapes: HashMap::new(),
        }
    }

    /// Only what these tensors need, in place of the file's outputs. Nodes
    /// that none of them needs are not looked at.
    #[must_use]
    pub fn outputs(mut self, names: &[&str]) -> Self {
        self.outputs = Some(names.iter().map(|&name| name.to_owned()).collect());
        self
    }

    /// An input that always has this value: a constant, and no input of the
    /// graph. What operators need to know beforehand (shapes, axes) may come
    /// from it.
    #[must_use]
    pub fn bind(mut self, input: &str, value: Tensor) -> Self {
        self.bound.insert(input.to_owned(), value);
        self
    }

    /// The shape of an input, in place of the one that the file states.
    #[must_use]
    pub fn input_shape(mut self, input: &str, shape: Shape) -> Self {
        self.shapes.insert(input.to_owned(), shape);
        self
    }

    /// Reads the graph. Constants are computed; what follows a layer is not
    /// folded into it yet, which [`Graph::fold`] does.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Graph`] where the file breaks a rule of ONNX, with the
    /// node's name; [`ErrorKind::Unsupported`] for an operator or a use of one
    /// that is not among those of [`Op`], or whose sizes are not known;
    /// [`ErrorKind::TooLarge`] for a tensor that is none of a network of images;
    /// [`ErrorKind::Tensor`] where stored data is damaged.
    pub fn build(self) -> Result<Graph> {
        let name = self.model.name();
        self.read().map_err(|error| error.at(name))
    }

    fn read(&self) -> Result<Graph> {
        let proto = self.model.graph_proto();
        let outputs = match &self.outputs {
            Some(outputs) => outputs.clone(),
            None => proto
                .output
                .iter()
                .map(|info| info.name().to_owned())
                .collect(),
        };
        let order = order(proto, &outputs)?;
        let opset = self.model.opset().unwrap_or(0);
        let mut building = Building::new(proto, opset, self.model.size());
        building.uses = uses(proto, &order, &outputs);
        let mut inputs = Vec::new();
        for info in true_inputs(proto) {
            inputs.extend(self.input(&mut building, info)?);
        }
        for position in order {
            let node = &proto.node[position];
            building.node(node, &node_name(node, position))?;
        }
        let outputs = outputs.iter().map(|name| {
            let found = building.named(name)?;
            found.ok_or_else(|| invalid(format!("nothing makes the output '{name}'")))
        });
        let outputs = outputs.collect::<Result<_>>()?;
        let mut graph = Graph {
            values: building.values,
            nodes: building.nodes,
            inputs,
            outputs,
        };
        graph.prune();
        // A `Dropout` whose mask nothing takes does nothing.
        for node in &mut graph.nodes {
            if node.op == Op::DropoutMask && node.outputs[1].is_none() {
                node.op = Op::Identity;
                node.outputs.truncate(1);
            }
        }
        Ok(graph)
    }

    /// An input of the file: one of the graph, or a constant.
    fn input(&self, building: &mut Building<'_>, info: &ValueInfoProto) -> Result<Option<ValueId>> {
        let name = info.name();
        if let Some(tensor) = self.bound.get(name) {
            building.constant(name, Arc::new(tensor.clone()));
            return Ok(None);
        }
        let bad = |why: &str| Error::new(ErrorKind::Unsupported, format!("input '{name}' {why}"));
        let (element, dims) = tensor_type(info).ok_or_else(|| bad("is not a tensor"))?;
        if let Some(shape) = self.shapes.get(name) {
            return Ok(Some(building.value(name, element, shape.clone())));
        }
        let dims = dims.ok_or_else(|| bad("states no shape"))?;
        let extent = |(axis, dim): (usize, &Dim)| match dim {
            Dim::Fixed(size) => Some(Extent::Fixed(*size)),
            _ if axis == 0 => Some(Extent::Batch(1)),
            _ => None,
        };
        let shape: Option<Shape> = dims.iter().enumerate().map(extent).collect();
        let shape = shape.ok_or_else(|| {
            bad("leaves the size of the images open, which is not supported here")
        })?;
        Ok(Some(building.value(name, element, shape)))
    }
}

/// The elements of a tensor that depends on stored numbers alone. `None` where
/// it depends on an input of the network, or is made by an operator that
/// [`Builder::build`] refuses; what else the network computes is not looked at.
///
/// ```
/// use recert_graph::{Model, computed_constant};
///
/// # fn main() -> recert_graph::Result<()> {
/// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../recert-net/tests/golden/residual.onnx");
/// let model = Model::read(path)?;
/// let graph = model.graph_proto();
/// let weights = &graph.node[0].input[1];
/// let opset = model.opset().unwrap_or(0);
/// assert!(computed_constant(graph, opset, weights)?.is_some());
/// assert_eq!(computed_constant(graph, opset, &graph.node[0].output[0])?, None);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// As [`Builder::build`], but for [`ErrorKind::Unsupported`].
pub fn computed_constant(graph: &GraphProto, opset: i64, name: &str) -> Result<Option<Tensor>> {
    let order = order(graph, &[name.to_owned()])?;
    let mut building = Building::new(graph, opset, 0);
    let nodes = || order.iter().map(|&position| &graph.node[position]);
    let made: HashSet<&str> = nodes()
        .flat_map(|node| &node.output)
        .map(String::as_str)
        .collect();
    let mut inputs = nodes().flat_map(|node| &node.input).map(String::as_str);
    let known = |name| made.contains(name) || building.initializers.contains_key(name);
    if !inputs.all(|name| name.is_empty() || known(name)) {
        return Ok(None);
    }
    let mut value = || -> Result<Option<Tensor>> {
        for &position in &order {
            let node = &graph.node[position];
            building.node(node, &node_name(node, position))?;
        }
        let id = building.named(name)?;
        Ok(id.and_then(|id| building.values[id.0].constant.as_deref().cloned()))
    };
    match value() {
        Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::TooLarge) => {
            Ok(None)
        }
        value => value,
    }
}

/// How often each tensor is taken by these nodes, and as an output.
fn uses(proto: &GraphProto, order: &[usize], outputs: &[String]) -> HashMap<String, usize> {
    let mut uses: HashMap<String, usize> = HashMap::new();
    let inputs = order
        .iter()
        .flat_map(|&position| &proto.node[position].input);
    for name in inputs.chain(outputs) {
        *uses.entry(name.clone()).or_default() += 1;
    }
    uses
}

struct Building<'a> {
    proto: &'a GraphProto,
    opset: i64,
    initializers: HashMap<&'a str, usize>,
    uses: HashMap<String, usize>,
    names: HashMap<String, ValueId>,
    values: Vec<Value>,
    /// The numbers of lists that depend on the batch alone.
    sizes: HashMap<ValueId, Vec<Size>>,
    nodes: Vec<Node>,
    /// How many bytes constants may still take.
    budget: usize,
}

impl<'a> Building<'a> {
    /// Nothing yet of a graph whose file has `bytes` bytes.
    fn new(proto: &'a GraphProto, opset: i64, bytes: usize) -> Self {
        let initializers = proto.initializer.iter().enumerate();
        Self {
            proto,
            opset,
            initializers: initializers
                .map(|(position, tensor)| (tensor.name(), position))
                .collect(),
            uses: HashMap::new(),
            names: HashMap::new(),
            values: Vec::new(),
            sizes: HashMap::new(),
            nodes: Vec::new(),
            budget: bytes
                .saturating_mul(COMPUTED_FACTOR)
                .saturating_add(COMPUTED_BYTES),
        }
    }

    /// A new value.
    fn value(&mut self, name: &str, element: ElementType, shape: Shape) -> ValueId {
        let id = ValueId(self.values.len());
        self.values.push(Value {
            name: name.to_owned(),
            element,
            shape,
            constant: None,
            computed: false,
            uses: self.uses.get(name).copied().unwrap_or(0),
        });
        self.names.insert(name.to_owned(), id);
        id
    }

    fn constant(&mut self, name: &str, tensor: Arc<Tensor>) -> ValueId {
        let id = self.value(name, tensor.element(), Shape::of(tensor.shape()));
        self.values[id.0].constant = Some(tensor);
        id
    }

    /// The value of that name: known already, or stored in the file.
    fn named(&mut self, name: &str) -> Result<Option<ValueId>> {
        if let Some(&id) = self.names.get(name) {
            return Ok(Some(id));
        }
        let Some(&position) = self.initializers.get(name) else {
            return Ok(None);
        };
        let tensor = stored::typed(&self.proto.initializer[position])?;
        Ok(Some(self.constant(name, Arc::new(tensor))))
    }

    fn node(&mut self, proto: &NodeProto, name: &str) -> Result<()> {
        let mut ids = Vec::new();
        for input in &proto.input {
            ids.push(match input.as_str() {
                "" => None,
                input => {
                    let found = self.named(input)?;
                    let missing = || {
                        invalid(format!(
                            "node '{name}' takes `{input}`, which nothing makes"
                        ))
                    };
                    Some(found.ok_or_else(missing)?)
                }
            });
        }
        let given = ids.iter().map(|id| {
            id.map(|id| Given {
                value: &self.values[id.0],
                sizes: self.sizes.get(&id).map(Vec::as_slice),
            })
        });
        let source = Source {
            proto,
            name,
            opset: self.opset,
            inputs: given.collect(),
        };
        match source.read()? {
            Reading::Constant(tensor) => {
                self.spend(name, tensor.len(), tensor.element())?;
                let output = proto.output.first().map_or("", String::as_str);
                self.constant(output, Arc::new(tensor));
                Ok(())
            }
            Reading::Node {
                op,
                inputs,
                outputs,
            } => self.push(proto, name, op, &ids, inputs, outputs),
        }
    }

    /// Adds a node, or what it computes of constants.
    fn push(
        &mut self,
        proto: &NodeProto,
        name: &str,
        op: Op,
        ids: &[Option<ValueId>],
        inputs: Vec<Taken>,
        outputs: Vec<Made>,
    ) -> Result<()> {
        let inputs: Vec<Option<ValueId>> = inputs
            .into_iter()
            .map(|taken| match taken {
                Taken::Input(position) => ids.get(position).copied().flatten(),
                Taken::Constant(tensor) => Some(self.constant("", Arc::new(tensor))),
            })
            .collect();
        for made in &outputs {
            let count = made.shape.count().map(|count| count.at(1));
            if count.is_none_or(|count| count > MOST_ELEMENTS) {
                let op_type = proto.op_type();
                let message = format!(
                    "node '{name}' ({op_type}): its output of shape {} is too large",
                    made.shape
                );
                return Err(Error::new(ErrorKind::TooLarge, message));
            }
        }
        let names = proto.output.iter().map(String::as_str);
        if let Some(tensors) = self.folded(name, &op, &inputs, &outputs)? {
            let computed = self.computes(&op, &inputs);
            for (output, tensor) in names.zip(tensors) {
                if !output.is_empty() {
                    let id = self.constant(output, tensor);
                    self.values[id.0].computed = computed;
                }
            }
            return Ok(());
        }
        let mut made = Vec::new();
        for (output, inferred) in names.zip(outputs) {
            made.push(if output.is_empty() {
                None
            } else {
                let id = self.value(output, inferred.element, inferred.shape);
                self.sizes.extend(inferred.sizes.map(|sizes| (id, sizes)));
                Some(id)
            });
        }
        self.nodes.push(Node {
            name: name.to_owned(),
            op,
            inputs,
            outputs: made,
        });
        Ok(())
    }

    /// Whether an operator makes other numbers of constants than are stored, or is given such.
    fn computes(&self, op: &Op, inputs: &[Option<ValueId>]) -> bool {
        let mut values = inputs.iter().flatten().map(|id| &self.values[id.0]);
        let first = values.clone().next().map(|value| value.element);
        let keeps = match op {
            Op::Cast(to) => first.is_some_and(|from| from == *to || from.widens_to(*to)),
            Op::Identity
            | Op::Reshape
            | Op::Transpose { .. }
            | Op::Slice(_)
            | Op::Pad { .. }
            | Op::Concat { .. }
            | Op::Split { .. }
            | Op::Gather { .. }
            | Op::GatherElements { .. }
            | Op::Expand
            | Op::Tile { .. }
            | Op::ShapeOf(_)
            | Op::Fill(_) => true,
            _ => false,
        };
        !keeps || values.any(|value| value.computed)
    }

    /// What a node makes, if that is known: its inputs are constants, or a
    /// list turned out not to depend on the batch.
    fn folded(
        &mut self,
        name: &str,
        op: &Op,
        inputs: &[Option<ValueId>],
        outputs: &[Made],
    ) -> Result<Option<Vec<Arc<Tensor>>>> {
        if let [made] = outputs
            && let Some(sizes) = &made.sizes
        {
            let number = |size: &Size| match size {
                Size::Number(number) => Some(*number),
                Size::Batch(_) => None,
            };
            let numbers: Option<Vec<i64>> = sizes.iter().map(number).collect();
            if let (Some(numbers), Some(shape)) = (numbers, made.shape.fixed()) {
                let list = Tensor::list(numbers).reshaped(shape)?;
                return self.computed(name, &Op::Cast(made.element), &[Some(&list)], outputs);
            }
        }
        let tensors: Option<Vec<Option<Arc<Tensor>>>> = inputs
            .iter()
            .map(|id| match id {
                None => Some(None),
                Some(id) => self.values[id.0].constant.clone().map(Some),
            })
            .collect();
        let (Some(tensors), false) = (tensors, inputs.is_empty()) else {
            return Ok(None);
        };
        if let (Op::Identity, [Some(tensor)]) = (op, &tensors[..]) {
            return Ok(Some(vec![Arc::clone(tensor)]));
        }
        let tensors: Vec<Option<&Tensor>> = tensors.iter().map(Option::as_deref).collect();
        self.computed(name, op, &tensors, outputs)
    }

    /// What an operator makes of constants; `None` where a shape depends on the
    /// batch.
    fn computed(
        &mut self,
        name: &str,
        op: &Op,
        inputs: &[Option<&Tensor>],
        outputs: &[Made],
    ) -> Result<Option<Vec<Arc<Tensor>>>> {
        let output = |made: &Made| {
            Some(Some(reference::Output {
                shape: made.shape.fixed()?,
                element: made.element,
            }))
        };
        let Some(inferred) = outputs.iter().map(output).collect::<Option<Vec<_>>>() else {
            return Ok(None);
        };
        // What would not fit is not computed at all.
        for output in inferred.iter().flatten() {
            self.spend(name, output.shape.iter().product(), output.element)?;
        }
        let made = reference::compute(op, inputs, &inferred)
            .map_err(|error| error.at(format!("node '{name}'")))?;
        Ok(Some(made.into_iter().map(Arc::new).collect()))
    }

    /// Takes the bytes of a constant from what there is for them.
    fn spend(&mut self, name: &str, count: usize, element: ElementType) -> Result<()> {
        let width = match element {
            ElementType::Float64 | ElementType::Int64 | ElementType::UInt64 => 8,
            _ => 4,
        };
        let left = count
            .checked_mul(width)
            .and_then(|bytes| self.budget.checked_sub(bytes));
        self.budget = left.ok_or_else(|| {
            let message = format!("node '{name}': its constant output is too large");
            Error::new(ErrorKind::TooLarge, message)
        })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
