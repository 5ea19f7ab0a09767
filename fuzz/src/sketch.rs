//! A network under construction, as one exporter or another writes it.

use recert_graph::proto::onnx::attribute_proto::AttributeType;
use recert_graph::proto::onnx::tensor_proto::DataType;
use recert_graph::proto::onnx::{AttributeProto, NodeProto, TensorProto};
use recert_graph::stored;
use recert_graph::testing::{Net, info, noise};

use crate::draw::Draw;

/// Whose habits the file follows: opsets, names, which attributes are written out,
/// where constants are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// `PyTorch`'s exporter by tracing.
    Torch,
    /// `PyTorch`'s exporter by Dynamo: recent opsets, initializers.
    Dynamo,
    /// tf2onnx: images with channels last, `Transpose` around layers, `SAME_UPPER`.
    Tensorflow,
    /// CNTK and others of its time: opset 7 and 8, weights among the inputs.
    Old,
    /// scikit-learn: flat inputs.
    Sklearn,
}

/// The value that the next node takes: `[n, dims..]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// Its name.
    pub name: String,
    /// Its extents after the batch.
    pub dims: Vec<usize>,
}

/// A network under construction. The batch is the first axis of every value on the way.
pub struct Sketch<'b> {
    /// Where choices come from.
    pub draw: Draw<'b>,
    /// The file so far.
    pub net: Net,
    /// ONNX's version.
    pub opset: i64,
    /// Whose habits.
    pub style: Style,
    /// The batch, -1 where the file leaves it open.
    pub batch: i64,
    /// What the next node takes.
    pub now: Value,
    count: usize,
}

impl<'b> Sketch<'b> {
    /// A network of one input and no nodes.
    pub fn new(draw: Draw<'b>, style: Style, opset: i64, batch: i64, dims: &[usize]) -> Self {
        let mut net = Net::new(opset);
        net.0.ir_version = Some(match opset {
            ..=8 => 3,
            9 => 4,
            10 => 5,
            11 => 6,
            12..=14 => 7,
            15..=18 => 8,
            19 | 20 => 9,
            _ => 10,
        });
        net.0.producer_name = Some(
            match style {
                Style::Torch | Style::Dynamo => "pytorch",
                Style::Tensorflow => "tf2onnx",
                Style::Old => "CNTK",
                Style::Sklearn => "skl2onnx",
            }
            .to_owned(),
        );
        let name = match style {
            Style::Tensorflow => "input_1:0",
            Style::Old => "Input3",
            Style::Sklearn => "X",
            _ => "input",
        };
        let sizes: Vec<i64> = [batch]
            .into_iter()
            .chain(dims.iter().map(|&d| d as i64))
            .collect();
        net.graph().input.push(info(name, DataType::Float, &sizes));
        let now = Value {
            name: name.to_owned(),
            dims: dims.to_vec(),
        };
        Self {
            draw,
            net,
            opset,
            style,
            batch,
            now,
            count: 0,
        }
    }

    /// Elements of an image's current value.
    pub fn size(&self) -> usize {
        self.now.dims.iter().product()
    }

    /// A new name for what this operator makes.
    pub fn name(&mut self, op: &str) -> String {
        self.count += 1;
        let n = self.count;
        match self.style {
            Style::Torch => format!("/block.{}/{}/{op}_output_0", n / 4, op.to_lowercase()),
            Style::Dynamo => format!("{}_{n}", op.to_lowercase()),
            Style::Tensorflow => format!("StatefulPartitionedCall/model/{op}_{n}:0"),
            Style::Old => format!("{op}{n}_Output_0"),
            Style::Sklearn => format!("variable{n}"),
        }
        .replace("_output_0", &format!("_{n}_output_0"))
    }

    /// A node of one output, whose name is returned.
    pub fn node(&mut self, op: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> String {
        self.nodes(op, inputs, attributes, 1).swap_remove(0)
    }

    /// A node of several outputs.
    pub fn nodes(
        &mut self,
        op: &str,
        inputs: &[&str],
        attribute: Vec<AttributeProto>,
        outputs: usize,
    ) -> Vec<String> {
        let outputs: Vec<String> = (0..outputs).map(|_| self.name(op)).collect();
        let node = NodeProto {
            op_type: Some(op.to_owned()),
            name: Some(format!("{op}_{}", self.count)),
            input: inputs.iter().map(|&name| name.to_owned()).collect(),
            output: outputs.clone(),
            attribute,
            ..NodeProto::default()
        };
        self.net.graph().node.push(node);
        outputs
    }

    /// A node that takes the current value first and makes the next one.
    pub fn then(
        &mut self,
        op: &str,
        more: &[&str],
        attributes: Vec<AttributeProto>,
        dims: Vec<usize>,
    ) {
        let first = self.now.name.clone();
        let inputs: Vec<&str> = std::iter::once(first.as_str())
            .chain(more.iter().copied())
            .collect();
        let name = self.node(op, &inputs, attributes);
        self.now = Value { name, dims };
    }

    /// As [`Sketch::then`], the extents staying.
    pub fn keep(&mut self, op: &str, more: &[&str], attributes: Vec<AttributeProto>) {
        let dims = self.now.dims.clone();
        self.then(op, more, attributes, dims);
    }

    /// A stored tensor: an initializer, or a node `Constant`.
    pub fn stored(&mut self, mut tensor: TensorProto) -> String {
        let name = self.name("Constant");
        let as_node = match self.style {
            Style::Torch => self.draw.percent(50),
            Style::Dynamo | Style::Sklearn => self.draw.percent(3),
            Style::Tensorflow => false,
            Style::Old => self.draw.percent(10),
        };
        if as_node {
            tensor.name = None;
            let attribute = AttributeProto {
                name: Some("value".to_owned()),
                r#type: Some(AttributeType::Tensor.into()),
                t: Some(tensor),
                ..AttributeProto::default()
            };
            self.net.graph().node.push(NodeProto {
                op_type: Some("Constant".to_owned()),
                name: Some(format!("make_{name}")),
                output: vec![name.clone()],
                attribute: vec![attribute],
                ..NodeProto::default()
            });
        } else {
            self.weight(tensor, &name);
        }
        name
    }

    /// An initializer, which old files list among the inputs too.
    fn weight(&mut self, mut tensor: TensorProto, name: &str) {
        tensor.name = Some(name.to_owned());
        if self.opset < 9 {
            let kind = DataType::try_from(tensor.data_type()).unwrap_or(DataType::Float);
            let input = info(name, kind, &tensor.dims);
            self.net.graph().input.push(input);
        }
        self.net.graph().initializer.push(tensor);
    }

    /// Stored numbers.
    pub fn floats(&mut self, shape: &[usize], values: &[f32]) -> String {
        self.stored(stored::from_f32("", shape, values))
    }

    /// One stored number.
    pub fn scalar(&mut self, value: f32) -> String {
        if self.draw.percent(25) {
            return self.floats(&[1], &[value]);
        }
        self.floats(&[], &[value])
    }

    /// A stored list of integers.
    pub fn list(&mut self, values: &[i64]) -> String {
        self.stored(stored::from_i64("", &[values.len()], values))
    }

    /// Weights of which so many are summed: an initializer, as all exporters write them.
    pub fn weights(&mut self, shape: &[usize], summed: usize) -> String {
        let name = self.name("weight");
        let values = self.noise(
            shape.iter().product(),
            (3.0 / summed.max(1) as f32).sqrt(),
            0.0,
        );
        self.weight(stored::from_f32("", shape, &values), &name);
        name
    }

    /// An initializer of values around `centre`.
    pub fn around(&mut self, shape: &[usize], spread: f32, centre: f32) -> String {
        let name = self.name("weight");
        let values = self.noise(shape.iter().product(), spread, centre);
        self.weight(stored::from_f32("", shape, &values), &name);
        name
    }

    /// Numbers within `spread` of `centre`.
    pub fn noise(&mut self, count: usize, spread: f32, centre: f32) -> Vec<f32> {
        let seed = self.draw.seed();
        let values = noise(seed, count);
        values.iter().map(|v| v * spread + centre).collect()
    }

    /// An initializer of any type.
    pub fn initializer(&mut self, tensor: TensorProto) -> String {
        let name = self.name("weight");
        self.weight(tensor, &name);
        name
    }

    /// Whether an attribute that has its default value is left out.
    pub fn omits(&mut self) -> bool {
        match self.style {
            Style::Torch => false,
            Style::Dynamo => self.draw.percent(20),
            _ => self.draw.percent(50),
        }
    }

    /// The batch as `Reshape` and its like are told it: 0, -1, or the number.
    pub fn batch_size(&mut self, open_is_free: bool) -> i64 {
        match self.batch {
            -1 if open_is_free && self.draw.percent(50) => -1,
            -1 => 0,
            fixed if self.draw.percent(60) => fixed,
            _ => 0,
        }
    }

    /// Another shape of the current value, as some exporter asks for it.
    pub fn reshape(&mut self, dims: &[usize]) {
        let batch = self.batch_size(true);
        let mut shape = vec![batch];
        shape.extend(dims.iter().map(|&d| d as i64));
        if batch != -1 && self.draw.percent(40) {
            let place = 1 + self.draw.below(dims.len());
            shape[place] = -1;
        }
        let shape = self.list(&shape);
        self.then("Reshape", &[&shape], Vec::new(), dims.to_vec());
    }

    /// Axes in another order; `perm` counts the batch as 0.
    pub fn transpose(&mut self, perm: &[usize]) {
        let dims = perm[1..]
            .iter()
            .map(|&axis| self.now.dims[axis - 1])
            .collect();
        let order: Vec<i64> = perm.iter().map(|&axis| axis as i64).collect();
        self.then("Transpose", &[], vec![ints("perm", &order)], dims);
    }

    /// An axis, perhaps counted from the end.
    pub fn axis(&mut self, axis: usize) -> i64 {
        let rank = self.now.dims.len() as i64 + 1;
        if self.opset >= 11 && self.draw.percent(40) {
            axis as i64 - rank
        } else {
            axis as i64
        }
    }

    /// Axes as an attribute or, from that opset on, as an input: the inputs after the
    /// current value, and the attributes.
    pub fn axes(&mut self, axes: &[i64], as_input: i64) -> (Vec<String>, Vec<AttributeProto>) {
        if self.opset < as_input {
            return (Vec::new(), vec![ints("axes", axes)]);
        }
        (vec![self.list(axes)], Vec::new())
    }
}

/// An attribute that is an integer.
pub fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(AttributeType::Int.into()),
        i: Some(value),
        ..AttributeProto::default()
    }
}

/// An attribute that is a float.
pub fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(AttributeType::Float.into()),
        f: Some(value),
        ..AttributeProto::default()
    }
}

/// An attribute that is a list of floats.
pub fn float_list(name: &str, values: &[f32]) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(AttributeType::Floats.into()),
        floats: values.to_vec(),
        ..AttributeProto::default()
    }
}

/// An attribute that is a text.
pub fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(AttributeType::String.into()),
        s: Some(value.as_bytes().to_vec().into()),
        ..AttributeProto::default()
    }
}

pub use recert_graph::testing::ints;
