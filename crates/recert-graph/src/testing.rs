//! Small networks built by hand, for tests.

mod perturb;

pub use perturb::perturbed;

use prost::Message;

use crate::model::Model;
use crate::proto::onnx::attribute_proto::AttributeType;
use crate::proto::onnx::tensor_proto::DataType;
use crate::proto::onnx::tensor_shape_proto::{Dimension, dimension};
use crate::proto::onnx::type_proto::{Tensor, Value};
use crate::proto::onnx::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TypeProto, ValueInfoProto,
};
use crate::stored;

/// A network under construction; starts as a graph without anything.
pub struct Net(pub ModelProto);

impl Net {
    /// A network of that opset.
    pub fn new(opset: i64) -> Self {
        let version = OperatorSetIdProto {
            domain: None,
            version: Some(opset),
        };
        Net(ModelProto {
            ir_version: Some(7),
            opset_import: vec![version],
            graph: Some(GraphProto {
                name: Some("test".to_owned()),
                ..GraphProto::default()
            }),
            ..ModelProto::default()
        })
    }

    /// Its graph.
    pub fn graph(&mut self) -> &mut GraphProto {
        self.0.graph.as_mut().expect("a net has a graph")
    }

    /// An input; extent -1 is left open, as `N`.
    #[must_use]
    pub fn input(mut self, name: &str, dims: &[i64]) -> Self {
        self.graph().input.push(info(name, DataType::Float, dims));
        self
    }

    /// An output of float32.
    #[must_use]
    pub fn output(self, name: &str, dims: &[i64]) -> Self {
        self.typed_output(name, DataType::Float, dims)
    }

    /// An output.
    #[must_use]
    pub fn typed_output(mut self, name: &str, kind: DataType, dims: &[i64]) -> Self {
        self.graph().output.push(info(name, kind, dims));
        self
    }

    /// An initializer.
    #[must_use]
    pub fn tensor(mut self, tensor: TensorProto) -> Self {
        self.graph().initializer.push(tensor);
        self
    }

    /// An initializer of float32.
    #[must_use]
    pub fn floats(self, name: &str, shape: &[usize], values: &[f32]) -> Self {
        self.tensor(stored::from_f32(name, shape, values))
    }

    /// Floats that vary without a pattern, in [-1, 1], the same every time.
    #[must_use]
    pub fn noise(self, name: &str, shape: &[usize]) -> Self {
        let count = shape.iter().product();
        let seed = name.bytes().fold(1_u32, |seed, byte| {
            seed.wrapping_mul(31).wrapping_add(byte.into())
        });
        self.floats(name, shape, &noise(seed, count))
    }

    /// A node of one output, which it is named after.
    #[must_use]
    pub fn node(self, op: &str, inputs: &[&str], output: &str) -> Self {
        self.node_with(op, inputs, output, Vec::new())
    }

    /// A node named after its output.
    #[must_use]
    pub fn node_with(
        mut self,
        op: &str,
        inputs: &[&str],
        output: &str,
        attribute: Vec<AttributeProto>,
    ) -> Self {
        self.graph().node.push(NodeProto {
            op_type: Some(op.to_owned()),
            name: Some(format!("make_{output}")),
            input: inputs.iter().map(|&name| name.to_owned()).collect(),
            output: vec![output.to_owned()],
            attribute,
            ..NodeProto::default()
        });
        self
    }

    /// The file.
    pub fn bytes(&self) -> Vec<u8> {
        self.0.encode_to_vec()
    }

    /// The network.
    pub fn model(&self) -> Model {
        Model::from_bytes("test.onnx", self.bytes()).expect("the test network is sound")
    }
}

/// Values in [-1, 1] from a multiplicative generator.
pub fn noise(seed: u32, count: usize) -> Vec<f32> {
    let mut state = u64::from(seed) + 1;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// What an input or output states.
pub fn info(name: &str, kind: DataType, dims: &[i64]) -> ValueInfoProto {
    let dim = |size: &i64| Dimension {
        value: Some(match size {
            -1 => dimension::Value::DimParam("N".to_owned()),
            size => dimension::Value::DimValue(*size),
        }),
        ..Dimension::default()
    };
    let shape = TensorShapeProto {
        dim: dims.iter().map(dim).collect(),
    };
    let tensor = Tensor {
        elem_type: Some(kind.into()),
        shape: Some(shape),
    };
    ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(TypeProto {
            value: Some(Value::TensorType(tensor)),
            ..TypeProto::default()
        }),
        ..ValueInfoProto::default()
    }
}

/// An attribute that is a list of integers.
pub fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(AttributeType::Ints.into()),
        ints: values.to_vec(),
        ..AttributeProto::default()
    }
}

/// The attribute `value` of a `Constant`.
pub fn constant(name: &str, shape: &[usize], values: &[f32]) -> AttributeProto {
    AttributeProto {
        name: Some("value".to_owned()),
        r#type: Some(AttributeType::Tensor.into()),
        t: Some(stored::from_f32(name, shape, values)),
        ..AttributeProto::default()
    }
}
