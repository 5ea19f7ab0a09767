//! Operators of early operator sets, written so that readers of later ones compute them
//! rightly.
//!
//! Two things are rewritten, both without any change of what is computed:
//!
//! - `Softmax`, `LogSoftmax` and `Hardmax` before operator set 13 work on all axes from the
//!   stated one on. They become the same on the last axis of a matrix, of which both readings
//!   agree: `Flatten`, the operator, `Reshape`. Where the axis is the last one, the file is
//!   made to state it.
//! - A network of an operator set before 7 becomes one of 7, if all of its operators are of
//!   those listed in [`SINCE_7`]: what was broadcast by attributes is by shape, what an
//!   attribute said of inference is left out, since from 7 on nothing else is meant.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::build::Builder;
use crate::element::ElementType;
use crate::error::Result;
use crate::graph::Graph;
use crate::index::{attribute, standard_op};
use crate::model::{Model, is_standard};
use crate::proto::onnx::attribute_proto::AttributeType;
use crate::proto::onnx::tensor_proto::DataType;
use crate::proto::onnx::tensor_shape_proto::{Dimension, dimension};
use crate::proto::onnx::type_proto::{Tensor as TensorType, Value};
use crate::proto::onnx::{
    AttributeProto, GraphProto, ModelProto, NodeProto, TensorShapeProto, TypeProto, ValueInfoProto,
};
use crate::shape::{Extent, Shape};
use crate::signature::tensor_type;
use crate::stored;

/// Operators that mean the same before operator set 7 and in it, but for what this module
/// rewrites.
const SINCE_7: &[&str] = &[
    "Abs",
    "Add",
    "And",
    "ArgMax",
    "ArgMin",
    "AveragePool",
    "BatchNormalization",
    "Cast",
    "Ceil",
    "Clip",
    "Concat",
    "Constant",
    "Conv",
    "ConvTranspose",
    "DepthToSpace",
    "Div",
    "Dropout",
    "Elu",
    "Exp",
    "Flatten",
    "Floor",
    "Gemm",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "HardSigmoid",
    "Hardmax",
    "Identity",
    "InstanceNormalization",
    "LRN",
    "LeakyRelu",
    "Log",
    "LogSoftmax",
    "MatMul",
    "Max",
    "MaxPool",
    "Mean",
    "Min",
    "Mul",
    "Neg",
    "PRelu",
    "Pad",
    "Pow",
    "Reciprocal",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceSum",
    "Relu",
    "Reshape",
    "Sigmoid",
    "Slice",
    "Softmax",
    "Softplus",
    "Softsign",
    "SpaceToDepth",
    "Split",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Sum",
    "Tanh",
    "Transpose",
    "Unsqueeze",
];

/// Operators of two operands that an attribute let broadcast.
const BROADCAST: &[&str] = &["Add", "And", "Div", "Mul", "Pow", "Sub"];

impl Model {
    /// The network with operators whose meaning depends on the operator set written so that
    /// it does not, for engines that know the later meaning alone; the model itself where
    /// there is nothing to write. What [`crate::Builder`] cannot infer the shapes of, and
    /// needs them for, stays as it is.
    ///
    /// ```
    /// use recert_graph::Model;
    ///
    /// # fn main() -> recert_graph::Result<()> {
    /// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../recert-net/tests/golden/residual.onnx");
    /// let model = Model::read(path)?;
    /// // Its operators mean today what they meant then.
    /// assert_eq!(model.modern()?.sha256(), model.sha256());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Unsupported`] where writing the network again would lose content,
    /// [`crate::ErrorKind::Tensor`] where stored data is damaged.
    pub fn modern(&self) -> Result<Cow<'_, Self>> {
        let opset = self.opset().unwrap_or(0);
        let nodes = &self.graph_proto().node;
        let is_old = |node: &NodeProto| is_softmax(node) && opset < 13;
        if opset >= 7 && !nodes.iter().any(is_old) {
            return Ok(Cow::Borrowed(self));
        }
        let mut rewrite = Rewrite {
            facts: Facts::of(self),
            proto: self.proto_to_rewrite()?,
            changed: false,
        };
        if opset < 13 {
            rewrite.softmax();
        }
        if opset < 7 {
            rewrite.raise_to_opset_7();
        }
        if !rewrite.changed {
            return Ok(Cow::Borrowed(self));
        }
        let name = self.name().to_owned();
        Ok(Cow::Owned(Self::from_proto(name, rewrite.proto)?))
    }
}

fn is_softmax(node: &NodeProto) -> bool {
    matches!(standard_op(node), "Softmax" | "LogSoftmax" | "Hardmax")
}

/// What is known of tensors.
struct Facts {
    /// The ranks that the file states, those of stored tensors included.
    stated: HashMap<String, usize>,
    inferred: HashMap<String, (ElementType, Shape)>,
}

impl Facts {
    fn of(model: &Model) -> Self {
        let graph = model.graph_proto();
        let infos = graph
            .input
            .iter()
            .chain(&graph.output)
            .chain(&graph.value_info);
        let stated = infos.filter_map(|info| {
            let (_, dims) = tensor_type(info)?;
            Some((info.name().to_owned(), dims?.len()))
        });
        let stored = graph.initializer.iter();
        let stored = stored.map(|tensor| (tensor.name().to_owned(), tensor.dims.len()));
        let read = Builder::new(model).build().ok();
        let values = read.iter().flat_map(Graph::values);
        Self {
            stated: stated.chain(stored).collect(),
            inferred: values
                .map(|value| (value.name.clone(), (value.element, value.shape.clone())))
                .collect(),
        }
    }

    fn rank(&self, name: &str) -> Option<usize> {
        let inferred = self.inferred.get(name).map(|(_, shape)| shape.rank());
        inferred.or_else(|| self.stated.get(name).copied())
    }
}

struct Rewrite {
    facts: Facts,
    proto: ModelProto,
    changed: bool,
}

impl Rewrite {
    fn softmax(&mut self) {
        let graph = self.proto.graph.get_or_insert_default();
        let nodes = std::mem::take(&mut graph.node);
        for mut node in nodes {
            let (Some(input), Some(output)) =
                (node.input.first().cloned(), node.output.first().cloned())
            else {
                graph.node.push(node);
                continue;
            };
            if !is_softmax(&node) {
                graph.node.push(node);
                continue;
            }
            let axis = attribute(&node, "axis").map_or(1, AttributeProto::i);
            let rank = self.facts.rank(&input);
            let from_front = rank.and_then(|rank| {
                let axis = if axis < 0 { axis + rank as i64 } else { axis };
                usize::try_from(axis).ok().filter(|&axis| axis < rank)
            });
            if let (Some(rank), Some(axis)) = (rank, from_front)
                && axis + 1 == rank
            {
                // Readers have to know that it is the last.
                let known = self.facts.stated.contains_key(&input)
                    || self.facts.stated.contains_key(&output);
                if !known {
                    node.attribute
                        .retain(|attribute| attribute.name() != "axis");
                    node.attribute.push(int("axis", axis as i64));
                    if let Some((element, shape)) = self.facts.inferred.get(&input) {
                        graph.value_info.extend(info(&input, *element, shape));
                    }
                    self.changed = true;
                }
                graph.node.push(node);
                continue;
            }
            let flat = format!("{output}, flat");
            let soft = format!("{output}, of the flat");
            let shape = format!("{output}, its shape");
            let axis = from_front.map_or(axis, |axis| axis as i64);
            graph
                .node
                .push(made("Flatten", &[&input], &flat, vec![int("axis", axis)]));
            match self.facts.inferred.get(&input) {
                Some((element, known)) => {
                    let matrix = flattened(known, axis as usize);
                    graph.value_info.extend(info(&flat, *element, &matrix));
                    let sizes: Vec<i64> = known
                        .iter()
                        .map(|extent| extent.fixed().map_or(-1, |size| size as i64))
                        .collect();
                    let list = stored::from_i64(&shape, &[sizes.len()], &sizes);
                    graph.initializer.push(list);
                }
                None => graph
                    .node
                    .push(made("Shape", &[&input], &shape, Vec::new())),
            }
            node.input[0].clone_from(&flat);
            node.output[0].clone_from(&soft);
            node.attribute
                .retain(|attribute| attribute.name() != "axis");
            node.attribute.push(int("axis", 1));
            graph.node.push(node);
            graph
                .node
                .push(made("Reshape", &[&soft, &shape], &output, Vec::new()));
            self.changed = true;
        }
    }

    /// Raises the operator set to 7, or changes nothing.
    fn raise_to_opset_7(&mut self) {
        let mut graph = self.proto.graph.clone().unwrap_or_default();
        for mut node in std::mem::take(&mut graph.node) {
            if self.raise(&mut node, &mut graph).is_none() {
                return;
            }
            graph.node.push(node);
        }
        let mut sets = self.proto.opset_import.iter_mut();
        if let Some(set) = sets.find(|set| is_standard(set.domain())) {
            set.version = Some(7);
            self.proto.graph = Some(graph);
            self.changed = true;
        }
    }

    /// Makes the node one of operator set 7, and adds to the graph what that takes; `None`
    /// where it may mean something else there.
    fn raise(&self, node: &mut NodeProto, graph: &mut GraphProto) -> Option<()> {
        let op_type = standard_op(node).to_owned();
        let op_type = op_type.as_str();
        // `Shape` is what a softmax was written with.
        if !SINCE_7.contains(&op_type) && op_type != "Shape" {
            return None;
        }
        let flag = |name: &str| attribute(node, name).is_some_and(|found| found.i() != 0);
        let rank = |position: usize| self.facts.rank(node.input.get(position)?);
        let output = node.output.first().cloned().unwrap_or_default();
        let is_broadcast = BROADCAST.contains(&op_type);
        // How many axes the second operand lacks at its end.
        let mut lacking = 0;
        match op_type {
            "BatchNormalization" if !flag("is_test") || node.output.len() > 1 => return None,
            "Split" if node.input.len() > 1 => return None,
            "Dropout" => {
                let mut masks = node.output.iter().skip(1);
                if !flag("is_test") || masks.any(|mask| !mask.is_empty()) {
                    return None;
                }
                node.op_type = Some("Identity".to_owned());
                node.attribute.clear();
                node.output.truncate(1);
            }
            _ if is_broadcast && flag("broadcast") => {
                // Without an axis the last ones are meant, as from 7 on.
                if let Some(axis) = attribute(node, "axis").map(AttributeProto::i) {
                    let (a, b) = (rank(0)?, rank(1)?);
                    let axis = if axis < 0 { axis + a as i64 } else { axis };
                    let end = usize::try_from(axis).ok()?.checked_add(b)?;
                    lacking = a.checked_sub(end)?;
                }
            }
            "PRelu" => {
                // One slope a channel.
                let (a, b) = (rank(0)?, rank(1)?);
                lacking = if b == 1 { a.saturating_sub(2) } else { 0 };
            }
            "Reshape" if node.input.len() == 1 => {
                let shape = attribute(node, "shape")?.ints.clone();
                let name = format!("{output}, its shape");
                let stored = stored::from_i64(&name, &[shape.len()], &shape);
                graph.initializer.push(stored);
                node.input.push(name);
                node.attribute.retain(|found| found.name() != "shape");
            }
            "Cast" => {
                let to = cast_target(attribute(node, "to")?)?;
                node.attribute = vec![int("to", to)];
            }
            "Concat" if attribute(node, "axis").is_none() => node.attribute.push(int("axis", 1)),
            "Pad" => {
                let mut attributes = node.attribute.iter_mut();
                if let Some(pads) = attributes.find(|found| found.name() == "paddings") {
                    pads.name = Some("pads".to_owned());
                }
            }
            _ => {}
        }
        if lacking > 0 {
            let rank = self.facts.rank(node.input.get(1)?)?;
            let name = format!("{output}, its second operand");
            let axes = AttributeProto {
                name: Some("axes".to_owned()),
                r#type: Some(AttributeType::Ints.into()),
                ints: (rank..rank + lacking).map(|axis| axis as i64).collect(),
                ..AttributeProto::default()
            };
            let operand = std::mem::replace(&mut node.input[1], name.clone());
            let widened = made("Unsqueeze", &[&operand], &name, vec![axes]);
            graph.node.push(widened);
        }
        node.attribute.retain(|found| match found.name() {
            "consumed_inputs" | "is_test" | "broadcast" => false,
            "axis" => !is_broadcast,
            _ => true,
        });
        Some(())
    }
}

/// The number of the type that `Cast` converts to, which was a text before opset 6.
pub(crate) fn cast_target(to: &AttributeProto) -> Option<i64> {
    match to.s.as_deref() {
        Some(name) => {
            let kind = DataType::from_str_name(std::str::from_utf8(name).ok()?)?;
            Some(i64::from(i32::from(kind)))
        }
        None => to.i,
    }
}

fn flattened(shape: &Shape, axis: usize) -> Shape {
    let counted = |part: &[Extent]| Shape::new(part.to_vec()).count();
    let axis = axis.min(shape.rank());
    let parts = [counted(&shape[..axis]), counted(&shape[axis..])];
    parts.into_iter().flatten().collect()
}

/// The statement of a tensor's type and shape.
fn info(name: &str, element: ElementType, shape: &Shape) -> Option<ValueInfoProto> {
    let kind = match element {
        ElementType::Float32 => DataType::Float,
        ElementType::Float16 => DataType::Float16,
        ElementType::BFloat16 => DataType::Bfloat16,
        ElementType::Float64 => DataType::Double,
        _ => return None,
    };
    let dim = |extent: &Extent| Dimension {
        value: extent
            .fixed()
            .map(|size| dimension::Value::DimValue(size as i64)),
        ..Dimension::default()
    };
    let tensor = TensorType {
        elem_type: Some(kind.into()),
        shape: Some(TensorShapeProto {
            dim: shape.iter().map(dim).collect(),
        }),
    };
    Some(ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(TypeProto {
            value: Some(Value::TensorType(tensor)),
            ..TypeProto::default()
        }),
        ..ValueInfoProto::default()
    })
}

fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(AttributeType::Int.into()),
        i: Some(value),
        ..AttributeProto::default()
    }
}

/// A node, named after what it makes.
fn made(op_type: &str, inputs: &[&str], output: &str, attribute: Vec<AttributeProto>) -> NodeProto {
    NodeProto {
        op_type: Some(op_type.to_owned()),
        name: Some(output.to_owned()),
        input: inputs.iter().map(|&name| name.to_owned()).collect(),
        output: vec![output.to_owned()],
        attribute,
        ..NodeProto::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Net, ints, noise};
    use crate::{Data, Interpreter, Limits, Tensor};

    fn run(model: &Model) -> Vec<f32> {
        let graph = Builder::new(model).build().unwrap();
        let interpreter = Interpreter::new(&graph, Limits::default()).unwrap();
        let shape = graph.value(graph.inputs()[0]).shape.at(2);
        let values = noise(3, shape.iter().product());
        let input = Tensor::new(shape, Data::Float32(values)).unwrap();
        interpreter.run(&[input]).unwrap()[0].to_f32().unwrap()
    }

    fn operators(model: &Model) -> Vec<String> {
        model.operators().map(|operator| operator.op_type).collect()
    }

    #[test]
    fn softmax_over_several_axes_is_one_of_a_matrix() {
        let net = |opset, axis: Option<i64>, stated: &[i64]| {
            let axis = axis.map(|axis| int("axis", axis)).into_iter().collect();
            Net::new(opset)
                .input("x", &[-1, 2, 3, 4])
                .output("y", stated)
                .node("Neg", &["x"], "a")
                .node_with("Softmax", &["a"], "s", axis)
                .node("Neg", &["s"], "y")
                .model()
        };
        let any = &[-1, 2, 3, 4];
        for (opset, axis) in [
            (9, None),
            (9, Some(2)),
            (11, Some(-3)),
            (12, Some(0)),
            (12, Some(3)),
        ] {
            let old = net(opset, axis, any);
            let new = old.modern().unwrap();
            assert_eq!(run(&new), run(&old), "{opset} {axis:?}");
            let wanted: &[&str] = match axis {
                Some(3) => &["Neg", "Softmax", "Neg"],
                _ => &["Neg", "Flatten", "Softmax", "Reshape", "Neg"],
            };
            assert_eq!(operators(&new), wanted, "{opset} {axis:?}");
            // And so in the meaning of later opsets.
            let mut later = new.proto_to_rewrite().unwrap();
            later.opset_import[0].version = Some(13);
            let later = Model::from_proto("later".to_owned(), later).unwrap();
            assert_eq!(run(&later), run(&old), "{opset} {axis:?}");
        }
        let new = net(13, Some(1), any);
        assert!(matches!(new.modern().unwrap(), Cow::Borrowed(_)));
    }

    /// Of an operator that nobody knows, the shape is asked for in the graph.
    #[test]
    fn softmax_of_what_is_unknown_keeps_its_shape() {
        let old = Net::new(9)
            .input("x", &[-1, 2, 3, 4])
            .output("y", &[-1, 2, 3, 4])
            .node("Frobnicate", &["x"], "a")
            .node("Softmax", &["a"], "s")
            .node("Neg", &["s"], "y")
            .model();
        let new = old.modern().unwrap();
        let wanted = [
            "Frobnicate",
            "Flatten",
            "Shape",
            "Softmax",
            "Reshape",
            "Neg",
        ];
        assert_eq!(operators(&new), wanted);
    }

    #[test]
    fn networks_before_opset_7_become_ones_of_it() {
        let flag = |name: &str| int(name, 1);
        let net = Net::new(4)
            .input("x", &[-1, 2, 3, 4])
            .output("y", &[-1, 5])
            .noise("k", &[2])
            .noise("slope", &[2])
            .floats("one", &[2], &[1.0, 2.0])
            .noise("v", &[5, 24])
            .noise("c", &[5])
            .node_with(
                "Mul",
                &["x", "k"],
                "m",
                vec![flag("broadcast"), flag("axis")],
            )
            .node_with(
                "BatchNormalization",
                &["m", "k", "slope", "k", "one"],
                "b",
                vec![flag("is_test")],
            )
            .node("PRelu", &["b", "slope"], "p")
            .node_with("Reshape", &["p"], "f", vec![ints("shape", &[-1, 24])])
            .node_with(
                "Gemm",
                &["f", "v", "c"],
                "y",
                vec![flag("transB"), flag("broadcast")],
            );
        let old = net.model();
        let new = old.modern().unwrap();
        assert_eq!(new.opset(), Some(7));
        assert_eq!(run(&new), run(&old));
        let wanted = [
            "Unsqueeze",
            "Mul",
            "BatchNormalization",
            "Unsqueeze",
            "PRelu",
            "Reshape",
            "Gemm",
        ];
        assert_eq!(operators(&new), wanted);
        // One that is not listed leaves all as it is.
        let mut net = net;
        net.graph().node[2].op_type = Some("Frobnicate".to_owned());
        assert!(matches!(net.model().modern().unwrap(), Cow::Borrowed(_)));
    }
}
