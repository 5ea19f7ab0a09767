//! Scales and zero points, and the tensors and nodes that state them.

use recert_graph::Tensor;
use recert_graph::proto::onnx::tensor_proto::DataType;
use recert_graph::proto::onnx::{NodeProto, TensorProto};
use recert_graph::stored;

use super::{Choices, axis_attribute};

/// A type of integers, and whether ranges are symmetrical in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Unsigned 8 bits.
    U8,
    /// Signed 8 bits.
    I8,
    /// Unsigned 16 bits.
    U16,
    /// Signed 16 bits.
    I16,
}

impl Kind {
    fn bounds(self) -> (f32, f32) {
        match self {
            Self::U8 => (0.0, 255.0),
            Self::I8 => (-128.0, 127.0),
            Self::U16 => (0.0, 65535.0),
            Self::I16 => (-32768.0, 32767.0),
        }
    }

    fn data_type(self) -> DataType {
        match self {
            Self::U8 => DataType::Uint8,
            Self::I8 => DataType::Int8,
            Self::U16 => DataType::Uint16,
            Self::I16 => DataType::Int16,
        }
    }

    fn bytes(self, value: i64) -> Vec<u8> {
        match self {
            Self::U8 => vec![value as u8],
            Self::I8 => vec![value as i8 as u8],
            Self::U16 => (value as u16).to_le_bytes().to_vec(),
            Self::I16 => (value as i16).to_le_bytes().to_vec(),
        }
    }
}

/// Scales and zero points: one of each, or one a channel.
#[derive(Debug, Clone)]
pub struct Parameters {
    pub kind: Kind,
    pub scales: Vec<f32>,
    pub zeros: Vec<i64>,
}

/// Writes quantizations.
pub struct Writer {
    pub choices: Choices,
    /// What is to be stored.
    pub initializers: Vec<TensorProto>,
    count: usize,
}

impl Writer {
    pub fn new(choices: Choices) -> Self {
        Self {
            choices,
            initializers: Vec::new(),
            count: 0,
        }
    }

    /// A name that begins with another.
    pub fn fresh(&mut self, name: &str) -> String {
        self.count += 1;
        format!("{name}_q{}", self.count)
    }

    fn scale(&self, scale: f32) -> f32 {
        let scale = if scale > 1e-12 { scale } else { 1.0 };
        if self.choices.powers {
            scale.log2().ceil().exp2()
        } else {
            scale
        }
    }

    fn of_range(&self, kind: Kind, low: f32, high: f32, symmetric: bool) -> (f32, i64) {
        let (low, high) = (low.min(0.0), high.max(0.0));
        let (least, most) = kind.bounds();
        if symmetric && matches!(kind, Kind::I8 | Kind::I16) {
            return (self.scale(high.max(-low) / most), 0);
        }
        let scale = self.scale((high - low) / (most - least));
        let zero = (least - low / scale).round_ties_even().clamp(least, most);
        (scale, zero as i64)
    }

    /// The parameters of an activation of this range.
    pub fn activation(&self, low: f32, high: f32) -> Parameters {
        let kind = self.choices.activations;
        let cut = self.choices.cut;
        let symmetric = self.choices.omits_zeros || self.choices.powers;
        let (scale, zero) = self.of_range(kind, low * cut, high * cut, symmetric);
        Parameters {
            kind,
            scales: vec![scale],
            zeros: vec![zero],
        }
    }

    /// The parameters of weights, one a position of `axis`.
    pub fn weights(&self, tensor: &Tensor, axis: Option<usize>) -> Parameters {
        let kind = self.choices.weights;
        let values = tensor.as_f32().unwrap_or_default();
        let (count, position) = positions(tensor.shape(), axis);
        let mut ranges = vec![(0.0_f32, 0.0_f32); count];
        for (i, &value) in values.iter().enumerate() {
            let range = &mut ranges[position(i)];
            *range = (range.0.min(value), range.1.max(value));
        }
        let made = ranges
            .iter()
            .map(|&(low, high)| self.of_range(kind, low, high, true));
        let (scales, zeros) = made.unzip();
        Parameters {
            kind,
            scales,
            zeros,
        }
    }

    /// Stores a tensor in integers.
    pub fn store(&mut self, tensor: &Tensor, made: &Parameters, axis: Option<usize>) -> String {
        let (_, position) = positions(tensor.shape(), axis);
        let (least, most) = made.kind.bounds();
        let values = tensor.as_f32().unwrap_or_default().iter().enumerate();
        let data = values.flat_map(|(i, value)| {
            let channel = position(i);
            let scaled = (value / made.scales[channel]).round_ties_even();
            let whole = (scaled + made.zeros[channel] as f32).clamp(least, most);
            made.kind.bytes(whole as i64)
        });
        let data: Vec<u8> = data.collect();
        let name = self.fresh("weights");
        self.initializers.push(TensorProto {
            name: Some(name.clone()),
            data_type: Some(made.kind.data_type().into()),
            dims: tensor.shape().iter().map(|&size| size as i64).collect(),
            raw_data: Some(data.into()),
            ..TensorProto::default()
        });
        name
    }

    /// The names of scale and zero point; the latter empty where it is left out.
    fn parameters(&mut self, made: &Parameters, axis: Option<usize>) -> (String, String) {
        let shape: Vec<usize> = match axis {
            Some(_) => vec![made.scales.len()],
            None if self.choices.lists => vec![1],
            None => Vec::new(),
        };
        let scale = self.fresh("scale");
        self.initializers
            .push(stored::from_f32(&scale, &shape, &made.scales));
        // Without a zero point, what is quantized is uint8.
        let may = made.kind == Kind::U8 && made.zeros.iter().all(|&zero| zero == 0);
        if self.choices.omits_zeros && may {
            return (scale, String::new());
        }
        let zero = self.fresh("zero_point");
        let data: Vec<u8> = made
            .zeros
            .iter()
            .flat_map(|&zero| made.kind.bytes(zero))
            .collect();
        self.initializers.push(TensorProto {
            name: Some(zero.clone()),
            data_type: Some(made.kind.data_type().into()),
            dims: shape.iter().map(|&size| size as i64).collect(),
            raw_data: Some(data.into()),
            ..TensorProto::default()
        });
        (scale, zero)
    }

    /// `QuantizeLinear` and `DequantizeLinear`, from one tensor to another.
    pub fn pair(
        &mut self,
        from: &str,
        to: &str,
        made: &Parameters,
        axis: Option<usize>,
        nodes: &mut Vec<NodeProto>,
    ) {
        let (scale, zero) = self.parameters(made, axis);
        let middle = self.fresh(from);
        nodes.push(node(
            "QuantizeLinear",
            &[from, &scale, &zero],
            &middle,
            axis,
        ));
        nodes.push(node(
            "DequantizeLinear",
            &[&middle, &scale, &zero],
            to,
            axis,
        ));
    }

    /// `DequantizeLinear` of what is stored.
    pub fn dequantize(
        &mut self,
        from: &str,
        to: &str,
        made: &Parameters,
        axis: Option<usize>,
        nodes: &mut Vec<NodeProto>,
    ) {
        let (scale, mut zero) = self.parameters(made, axis);
        // A dequantization's type is its input's, so that any zero point of 0 may be left out.
        if self.choices.omits_zeros && made.zeros.iter().all(|&zero| zero == 0) {
            zero.clear();
        }
        nodes.push(node("DequantizeLinear", &[from, &scale, &zero], to, axis));
    }

    /// A bias in 32 bits.
    pub fn bias(
        &mut self,
        values: &[f32],
        shape: &[usize],
        scales: &[f32],
        to: &str,
        nodes: &mut Vec<NodeProto>,
    ) {
        let integers: Vec<i32> = values
            .iter()
            .enumerate()
            .map(|(i, value)| (value / scales[i % scales.len()]).round_ties_even() as i32)
            .collect();
        let name = self.fresh("bias");
        self.initializers
            .push(stored::from_i32(&name, shape, &integers));
        let (scale, zero) = (self.fresh("scale"), self.fresh("zero_point"));
        let list: &[usize] = if scales.len() > 1 {
            &[scales.len()]
        } else {
            &[]
        };
        self.initializers
            .push(stored::from_f32(&scale, list, scales));
        let zero = if self.choices.omits_zeros {
            String::new()
        } else {
            let zeros = vec![0; scales.len()];
            self.initializers
                .push(stored::from_i32(&zero, list, &zeros));
            zero
        };
        let axis = (scales.len() > 1).then_some(0);
        nodes.push(node("DequantizeLinear", &[&name, &scale, &zero], to, axis));
    }
}

/// The number of positions along `axis`, and the position of each element.
fn positions(shape: &[usize], axis: Option<usize>) -> (usize, impl Fn(usize) -> usize) {
    let (count, inner) = match axis {
        Some(axis) => (shape[axis], shape[axis + 1..].iter().product()),
        None => (1, 1),
    };
    (count, move |i: usize| (i / inner) % count)
}

fn node(op: &str, inputs: &[&str], output: &str, axis: Option<usize>) -> NodeProto {
    let inputs = inputs.iter().filter(|name| !name.is_empty());
    NodeProto {
        op_type: Some(op.to_owned()),
        name: Some(format!("{output}_{op}")),
        input: inputs.map(|&name| name.to_owned()).collect(),
        output: vec![output.to_owned()],
        attribute: axis_attribute(axis),
        ..NodeProto::default()
    }
}
