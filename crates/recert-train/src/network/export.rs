//! Networks to ONNX.

use recert_graph::proto::onnx::attribute_proto::AttributeType;
use recert_graph::proto::onnx::tensor_proto::DataType;
use recert_graph::proto::onnx::tensor_shape_proto::{Dimension, dimension};
use recert_graph::proto::onnx::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto,
    TensorProto, TensorShapeProto, TypeProto, ValueInfoProto, type_proto,
};
use recert_graph::{Model, stored};

use super::{EPSILON, Layer, Network, Subsample};
use crate::error::{Error, ErrorKind, Result};

/// The operator set written: one that all runtimes know.
const OPSET: i64 = 17;

impl Network {
    /// The network as an ONNX file called `name`: input `pixels`, `[N, channels, height, width]` in
    /// [0, 1], output `logits`, `[N, classes]`; normalization is inside, batch normalizations have
    /// the averaged statistics, and weights are these bit by bit. `metadata` are entries of the
    /// file's free-form metadata.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Network`] where the file would be larger than ONNX allows.
    ///
    /// ```
    /// use recert_train::{Architecture, Initialization, Network, Normalization};
    ///
    /// let normalization = Normalization { mean: vec![0.5], std: vec![0.25] };
    /// let layers = Architecture::FullyConnected(vec![20]).layers([1, 8, 8], 3)?;
    /// let network = Network::new([1, 8, 8], layers, normalization, Initialization::He, 1)?;
    /// let model = network.to_model("small.onnx", &[("note", "untrained")])?;
    /// let ops: Vec<_> = model.operators().map(|node| node.op_type).collect();
    /// assert_eq!(ops, ["Sub", "Div", "Flatten", "Gemm", "Relu", "Gemm"]);
    /// assert_eq!(model.metadata("note"), Some("untrained"));
    /// # Ok::<(), recert_train::Error>(())
    /// ```
    pub fn to_model(&self, name: &str, metadata: &[(&str, &str)]) -> Result<Model> {
        let mut writer = Writer {
            graph: GraphProto {
                name: Some("network".to_owned()),
                ..GraphProto::default()
            },
            last: Made {
                name: "pixels".to_owned(),
                flat: false,
            },
            kept: Vec::new(),
        };
        let [channels, height, width] = self.image.map(|extent| extent as i64);
        writer.graph.input = vec![info("pixels", &[channels, height, width])];
        writer.graph.output = vec![info("logits", &[self.classes() as i64])];
        writer.normalization(self);
        writer.layers(self);
        let last = writer.graph.node.last_mut().expect("a last layer");
        last.output = vec!["logits".to_owned()];
        let version = OperatorSetIdProto {
            domain: None,
            version: Some(OPSET),
        };
        let entry = |&(key, value): &(&str, &str)| StringStringEntryProto {
            key: Some(key.to_owned()),
            value: Some(value.to_owned()),
        };
        let proto = ModelProto {
            ir_version: Some(8),
            producer_name: Some("recert".to_owned()),
            opset_import: vec![version],
            graph: Some(writer.graph),
            metadata_props: metadata.iter().map(entry).collect(),
            ..ModelProto::default()
        };
        Model::from_proto(name.to_owned(), proto)
            .map_err(|error| Error::new(ErrorKind::Network, error.to_string()).with_source(error))
    }
}

/// A value of the graph.
#[derive(Clone)]
struct Made {
    name: String,
    /// Whether it is a matrix, with a row an image.
    flat: bool,
}

/// A graph under construction.
struct Writer {
    graph: GraphProto,
    /// What the next layer takes.
    last: Made,
    /// What the forks of residual blocks keep, and whether the shortcut has begun.
    kept: Vec<(Made, bool)>,
}

impl Writer {
    /// A node that takes the last value, and constants of float32.
    fn node(
        &mut self,
        name: &str,
        op: &str,
        constants: &[(&str, Vec<usize>, &[f32])],
        attribute: Vec<AttributeProto>,
    ) {
        let tensors = constants.iter().map(|(constant, shape, values)| {
            stored::from_f32(&format!("{name}.{constant}"), shape, values)
        });
        self.applied(name, op, tensors.collect(), attribute);
    }

    /// A node that takes the last value, and lists of integers.
    fn arranged(&mut self, name: &str, op: &str, constants: &[(&str, &[usize])]) {
        let tensors = constants.iter().map(|(constant, values)| {
            let values: Vec<i64> = values.iter().map(|&value| value as i64).collect();
            stored::from_i64(&format!("{name}.{constant}"), &[values.len()], &values)
        });
        self.applied(name, op, tensors.collect(), Vec::new());
    }

    fn applied(
        &mut self,
        name: &str,
        op: &str,
        constants: Vec<TensorProto>,
        attribute: Vec<AttributeProto>,
    ) {
        let made = format!("{name}.made");
        let mut input = vec![std::mem::replace(&mut self.last.name, made.clone())];
        input.extend(constants.iter().map(|tensor| tensor.name().to_owned()));
        self.graph.initializer.extend(constants);
        self.graph.node.push(NodeProto {
            op_type: Some(op.to_owned()),
            name: Some(name.to_owned()),
            input,
            output: vec![made],
            attribute,
            ..NodeProto::default()
        });
    }

    /// Makes the last value a matrix, where it is none.
    fn flatten(&mut self, name: &str) {
        if !self.last.flat {
            self.node(name, "Flatten", &[], vec![int("axis", 1)]);
            self.last.flat = true;
        }
    }

    /// The kept value and the last one added.
    fn add(&mut self, position: usize) {
        let (mut other, shortcut) = self.kept.pop().expect("a fork");
        if other.flat != self.last.flat {
            self.flatten(&format!("flatten{position}"));
            std::mem::swap(&mut other, &mut self.last);
            self.flatten(&format!("flatten{position}.other"));
            std::mem::swap(&mut other, &mut self.last);
        }
        self.node(&format!("add{position}"), "Add", &[], Vec::new());
        let node = self.graph.node.last_mut().expect("the sum");
        // What the shortcut makes comes second.
        node.input.insert(usize::from(!shortcut), other.name);
    }

    fn subsample(&mut self, position: usize, subsample: &Subsample) {
        let Subsample {
            input: [_, height, width],
            stride,
            zeros: [before, after],
        } = *subsample;
        if stride != [1, 1] {
            self.arranged(
                &format!("pixels{position}"),
                "Slice",
                &[
                    ("starts", &[0, 0]),
                    ("ends", &[height, width]),
                    ("axes", &[2, 3]),
                    ("steps", &stride),
                ],
            );
        }
        let pads = [0, before, 0, 0, 0, after, 0, 0];
        self.arranged(&format!("zeros{position}"), "Pad", &[("pads", &pads)]);
    }

    fn normalization(&mut self, network: &Network) {
        let normalization = &network.normalization;
        let shape = vec![1, network.image[0], 1, 1];
        if normalization.mean.iter().any(|&mean| mean != 0.0) {
            let mean = ("mean", shape.clone(), &normalization.mean[..]);
            self.node("normalize.mean", "Sub", &[mean], Vec::new());
        }
        if normalization.std.iter().any(|&std| std != 1.0) {
            let std = ("std", shape, &normalization.std[..]);
            self.node("normalize.std", "Div", &[std], Vec::new());
        }
    }

    fn layers(&mut self, network: &Network) {
        let mut parameters = network.parameters.chunks(2);
        let mut statistics = network.statistics.chunks(2);
        for (position, layer) in network.layers.iter().enumerate() {
            let mut pair = || parameters.next().expect("weights of every layer");
            match *layer {
                Layer::Linear { inputs, outputs } => {
                    self.flatten(&format!("flatten{position}"));
                    let pair = pair();
                    let constants = [
                        ("weight", vec![outputs, inputs], &pair[0][..]),
                        ("bias", vec![outputs], &pair[1][..]),
                    ];
                    let name = format!("linear{position}");
                    self.node(&name, "Gemm", &constants, vec![int("transB", 1)]);
                }
                Layer::Convolution(window) => {
                    let pair = pair();
                    let [channels, ..] = window.input();
                    let [outputs, ..] = window.output();
                    let [height, width] = window.kernel();
                    let shape = vec![outputs, channels, height, width];
                    let constants = [
                        ("weight", shape, &pair[0][..]),
                        ("bias", vec![outputs], &pair[1][..]),
                    ];
                    let attributes = vec![
                        ints("kernel_shape", &window.kernel()),
                        ints("strides", &window.stride()),
                        ints("pads", &window.padding()),
                    ];
                    self.node(&format!("conv{position}"), "Conv", &constants, attributes);
                }
                Layer::BatchNorm { channels, .. } => {
                    let pair = pair();
                    let statistics = statistics.next().expect("statistics of every layer");
                    let constants = [
                        ("scale", &pair[0]),
                        ("shift", &pair[1]),
                        ("mean", &statistics[0]),
                        ("variance", &statistics[1]),
                    ];
                    let constants =
                        constants.map(|(name, values)| (name, vec![channels], &values[..]));
                    let epsilon = AttributeProto {
                        name: Some("epsilon".to_owned()),
                        r#type: Some(AttributeType::Float.into()),
                        f: Some(EPSILON),
                        ..AttributeProto::default()
                    };
                    let name = format!("norm{position}");
                    self.node(&name, "BatchNormalization", &constants, vec![epsilon]);
                }
                Layer::Relu { .. } => {
                    self.node(&format!("relu{position}"), "Relu", &[], Vec::new());
                }
                Layer::Mean { .. } => {
                    self.node(
                        &format!("mean{position}"),
                        "GlobalAveragePool",
                        &[],
                        Vec::new(),
                    );
                }
                Layer::Subsample(subsample) => self.subsample(position, &subsample),
                Layer::Fork { .. } => self.kept.push((self.last.clone(), false)),
                Layer::Shortcut { .. } => {
                    let (kept, shortcut) = self.kept.last_mut().expect("a fork");
                    std::mem::swap(kept, &mut self.last);
                    *shortcut = true;
                }
                Layer::Add { .. } => self.add(position),
            }
        }
    }
}

/// A tensor of float32 with a batch of any size.
fn info(name: &str, extents: &[i64]) -> ValueInfoProto {
    let batch = dimension::Value::DimParam("N".to_owned());
    let fixed = extents.iter().map(|&size| dimension::Value::DimValue(size));
    let dim = std::iter::once(batch).chain(fixed).map(|value| Dimension {
        value: Some(value),
        ..Dimension::default()
    });
    let tensor = type_proto::Tensor {
        elem_type: Some(DataType::Float.into()),
        shape: Some(TensorShapeProto { dim: dim.collect() }),
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

fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(AttributeType::Int.into()),
        i: Some(value),
        ..AttributeProto::default()
    }
}

fn ints(name: &str, values: &[usize]) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(AttributeType::Ints.into()),
        ints: values.iter().map(|&value| value as i64).collect(),
        ..AttributeProto::default()
    }
}
