//! A network as a graph from an image's pixels, normalisation and layout included.
//!
//! What engines compute of an image is a function of its pixels: they are normalised, put into
//! the order that the network's input has, and handed to it. Whoever has to know that function
//! itself, as bounds do, gets it here as one graph of operators.

use recert_graph::proto::onnx::attribute_proto::AttributeType;
use recert_graph::proto::onnx::tensor_proto::DataType;
use recert_graph::proto::onnx::tensor_shape_proto::{Dimension, dimension};
use recert_graph::proto::onnx::{
    AttributeProto, GraphProto, NodeProto, TensorShapeProto, TypeProto, ValueInfoProto, type_proto,
};
use recert_graph::{Builder, Graph, Model, stored};

use crate::feed::Feed;
use crate::{Error, ErrorKind, ImageShape, NetworkOptions, Preprocess};

/// What the tensors and nodes that are put in front of the network are called.
const PREFIX: &str = "recert.pixels";

/// A network as a function of the pixels of one image.
#[derive(Debug, Clone)]
pub struct PixelGraph {
    /// Its input is `[1, channels, height, width]` of float32, in `[0, 1]`, and its output what
    /// the engine reads. What [`NetworkOptions::preprocess`] does comes first, as nodes of its
    /// own.
    pub graph: Graph,
    /// Whether the file's own input takes the channels of each pixel together: then a node in
    /// front puts them so.
    pub channels_last: bool,
}

/// The network as a function of the pixels of one image.
///
/// # Errors
/// [`ErrorKind::Model`], [`ErrorKind::Shape`] and [`ErrorKind::Preprocess`] as
/// [`crate::Network::load`]; [`ErrorKind::Unsupported`] for an operator that the reading of the
/// graph does not know.
///
/// # Examples
/// ```
/// use recert_engine::{ImageShape, NetworkOptions, Preprocess, pixel_graph};
/// use recert_graph::Model;
///
/// let model = Model::read("tests/golden/made/plain.onnx")?;
/// let image = ImageShape { channels: 3, height: 8, width: 8 };
/// let preprocess = Preprocess::new(&[0.5], &[0.25], None)?;
/// let options = NetworkOptions { preprocess, ..Default::default() };
/// let pixels = pixel_graph(&model, image, &options)?;
/// let first: Vec<_> = pixels.graph.nodes().iter().take(2).map(|node| node.name.as_str()).collect();
/// assert_eq!(first, ["recert.pixels.mean", "recert.pixels.std"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn pixel_graph(
    model: &Model,
    image: ImageShape,
    options: &NetworkOptions,
) -> Result<PixelGraph, Error> {
    let (mut feed, signature) = Feed::new(model, image, options)?;
    feed.fixed_batch = Some(1);
    let output = signature.output.name.as_str();
    feed.memory(model, &[output], options)?;
    let plain = feed.plain(model, &[output])?;
    let read = |source: recert_graph::Error| {
        let kind = match source.kind() {
            recert_graph::ErrorKind::Unsupported => ErrorKind::Unsupported,
            _ => ErrorKind::Model,
        };
        Error::new(kind, format!("{}: {source}", model.name()))
    };
    let mut proto = plain.model.proto_to_rewrite().map_err(read)?;
    let opset = plain.model.opset().unwrap_or(0);
    let graph = proto.graph.get_or_insert_default();
    let pixels = [1, image.channels, image.height, image.width];
    let mut front = Front {
        shape: pixels.to_vec(),
        last: PREFIX.to_owned(),
        nodes: Vec::new(),
        graph,
    };
    front.normalise(&options.preprocess);
    front.arrange(&feed.input_shape().at(1), feed.is_channels_last(), opset);
    front.connect(&plain.input, &pixels);
    let model = Model::from_proto(model.name().to_owned(), proto).map_err(read)?;
    let outputs: Vec<&str> = plain.outputs.iter().map(String::as_str).collect();
    Ok(PixelGraph {
        graph: Builder::new(&model)
            .outputs(&outputs)
            .build()
            .map_err(read)?,
        channels_last: feed.is_channels_last(),
    })
}

/// Nodes between an image's pixels and the network's input.
struct Front<'a> {
    /// The shape of what they make.
    shape: Vec<usize>,
    /// The name of it.
    last: String,
    nodes: Vec<NodeProto>,
    graph: &'a mut GraphProto,
}

impl Front<'_> {
    fn node(
        &mut self,
        name: &str,
        op: &str,
        constant: Option<&str>,
        attributes: Vec<AttributeProto>,
    ) {
        let mut input = vec![std::mem::replace(
            &mut self.last,
            format!("{PREFIX}.{name}.made"),
        )];
        input.extend(constant.map(str::to_owned));
        self.nodes.push(NodeProto {
            op_type: Some(op.to_owned()),
            name: Some(format!("{PREFIX}.{name}")),
            input,
            output: vec![self.last.clone()],
            attribute: attributes,
            ..NodeProto::default()
        });
    }

    /// An operator with a constant of the image's shape, which needs no broadcasting: that has
    /// changed from one operator set to another.
    fn by_channel(&mut self, name: &str, op: &str, values: &[f32]) {
        let plane = self.shape[2] * self.shape[3];
        let channel = |c: usize| values[c.min(values.len() - 1)];
        let full = (0..self.shape[1]).flat_map(|c| std::iter::repeat_n(channel(c), plane));
        let full: Vec<f32> = full.collect();
        let constant = format!("{PREFIX}.{name}.constant");
        let tensor = stored::from_f32(&constant, &self.shape, &full);
        self.graph.initializer.push(tensor);
        self.node(name, op, Some(&constant), Vec::new());
    }

    /// `scale * (x - mean) / std`, as far as it is given.
    fn normalise(&mut self, preprocess: &Preprocess) {
        if !preprocess.mean.is_empty() {
            self.by_channel("mean", "Sub", &preprocess.mean);
        }
        if !preprocess.std.is_empty() {
            self.by_channel("std", "Div", &preprocess.std);
        }
        if let Some(scale) = preprocess.scale {
            self.by_channel("scale", "Mul", &[scale]);
        }
    }

    /// Puts the values into the order and the shape of the network's input.
    fn arrange(&mut self, input: &[usize], channels_last: bool, opset: i64) {
        if channels_last {
            let order = AttributeProto {
                name: Some("perm".to_owned()),
                r#type: Some(AttributeType::Ints as i32),
                ints: vec![0, 2, 3, 1],
                ..AttributeProto::default()
            };
            self.node("order", "Transpose", None, vec![order]);
            self.shape = [0, 2, 3, 1].map(|axis| self.shape[axis]).to_vec();
        }
        if self.shape == input {
            return;
        }
        let extents: Vec<i64> = input.iter().map(|&extent| extent as i64).collect();
        if opset < 5 {
            let shape = AttributeProto {
                name: Some("shape".to_owned()),
                r#type: Some(AttributeType::Ints as i32),
                ints: extents,
                ..AttributeProto::default()
            };
            self.node("shape", "Reshape", None, vec![shape]);
        } else {
            let constant = format!("{PREFIX}.shape.constant");
            let tensor = stored::from_i64(&constant, &[extents.len()], &extents);
            self.graph.initializer.push(tensor);
            self.node("shape", "Reshape", Some(&constant), Vec::new());
        }
    }

    /// Makes the pixels, of this shape, the input of the graph in place of `input`.
    fn connect(self, input: &str, pixels: &[usize; 4]) {
        let Self {
            mut nodes, graph, ..
        } = self;
        let mut name = input;
        if let Some(node) = nodes.last_mut() {
            node.output = vec![input.to_owned()];
            name = PREFIX;
        }
        nodes.append(&mut graph.node);
        graph.node = nodes;
        // Shapes that the file states for batches of another size are of no use.
        graph.value_info.clear();
        if let Some(info) = graph.input.iter_mut().find(|info| info.name() == input) {
            *info = floats(name, pixels);
        }
    }
}

/// A tensor of float32.
fn floats(name: &str, shape: &[usize]) -> ValueInfoProto {
    let extent = |&size: &usize| Dimension {
        value: Some(dimension::Value::DimValue(size as i64)),
        ..Dimension::default()
    };
    let tensor = type_proto::Tensor {
        elem_type: Some(DataType::Float.into()),
        shape: Some(TensorShapeProto {
            dim: shape.iter().map(extent).collect(),
        }),
    };
    ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(tensor)),
            ..TypeProto::default()
        }),
        ..ValueInfoProto::default()
    }
}

#[cfg(test)]
mod tests {
    use recert_graph::testing::Net;
    use recert_graph::{Interpreter, Limits, Tensor};

    use super::*;
    use crate::engines;
    use crate::{Answers, Network};

    /// What the graph makes of an image, and what the engine answers.
    fn both(model: &Model, image: ImageShape, options: &NetworkOptions) -> (Vec<f32>, Vec<f32>) {
        let pixels: Vec<f32> = (0..image.len())
            .map(|i| (i * 37 % 101) as f32 / 101.0)
            .collect();
        let graph = pixel_graph(model, image, options).unwrap().graph;
        assert_eq!(graph.inputs().len(), 1);
        let shape = vec![1, image.channels, image.height, image.width];
        let interpreter = Interpreter::new(&graph, Limits::default()).unwrap();
        let tensor = Tensor::new(shape, recert_graph::Data::Float32(pixels.clone())).unwrap();
        let made = interpreter.run(&[tensor]).unwrap()[0].to_f32().unwrap();
        let engine = engines::by_name("reference").unwrap();
        let network = Network::load(model, engine.as_ref(), image, options).unwrap();
        let answers = network.worker().unwrap().classify(&pixels).unwrap();
        let Answers::Logits { values, .. } = answers else {
            panic!("logits are read");
        };
        (made, values)
    }

    fn options() -> NetworkOptions {
        let preprocess = Preprocess::new(&[0.5, 0.25, 0.125], &[0.3, 0.2, 0.1], Some(0.7));
        NetworkOptions {
            preprocess: preprocess.unwrap(),
            ..NetworkOptions::default()
        }
    }

    #[test]
    fn the_graph_computes_of_pixels_what_the_engine_does() {
        let image = ImageShape {
            channels: 3,
            height: 8,
            width: 8,
        };
        let made = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/made");
        for file in ["plain", "nhwc", "fixed_batch"] {
            let model = Model::read(format!("{made}/{file}.onnx")).unwrap();
            for options in [options(), NetworkOptions::default()] {
                let (made, answered) = both(&model, image, &options);
                assert_eq!(made[..answered.len()], answered, "{file}");
            }
        }
    }

    #[test]
    fn flat_inputs_of_every_form_are_reached_from_pixels() {
        let image = ImageShape {
            channels: 3,
            height: 2,
            width: 2,
        };
        for (dims, opset) in [(vec![-1, 12], 13), (vec![1, 12], 3), (vec![-1, 12, 1], 13)] {
            let mut net = Net::new(opset).input("x", &dims);
            if dims.len() > 2 {
                net = net.node("Flatten", &["x"], "flat");
            } else {
                net = net.node("Identity", &["x"], "flat");
            }
            let weights: Vec<f32> = (0..36).map(|i| (i * 7 % 11) as f32 - 5.0).collect();
            let net = net
                .floats("w", &[12, 3], &weights)
                .node("MatMul", &["flat", "w"], "y")
                .output("y", &[-1, 3]);
            let model = Model::from_proto("flat.onnx".to_owned(), net.0).unwrap();
            let (made, answered) = both(&model, image, &options());
            assert_eq!(made, answered, "{dims:?}");
        }
    }
}
