//! A slow and plain evaluation of networks in float64, for tests: the oracle
//! for what rewrites must keep. It is itself tested against ONNX Runtime's
//! outputs (`tests/golden`). It shares no code with the rewrites but the
//! reading of stored tensors.

use std::collections::HashMap;

use recert_graph::index::{attribute, float_attribute, input, int_attribute, output};
use recert_graph::proto::onnx::tensor_proto::DataType;
use recert_graph::proto::onnx::{NodeProto, TensorProto};
use recert_graph::{Model, stored};

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Array {
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Vec<f64>,
    /// Whether the numbers stand for signed 8-bit integers.
    signed: bool,
}

impl Array {
    pub(crate) fn new(shape: &[usize], values: Vec<f64>) -> Self {
        assert_eq!(shape.iter().product::<usize>(), values.len());
        Array {
            shape: shape.to_vec(),
            values,
            signed: false,
        }
    }

    fn stored(tensor: &TensorProto) -> Self {
        let shape = stored::shape(tensor).unwrap();
        let values = match stored::floats(tensor).unwrap() {
            Some(values) => values.into_iter().map(f64::from).collect(),
            None => stored::integers(tensor)
                .unwrap()
                .unwrap()
                .into_iter()
                .map(|v| v as f64)
                .collect(),
        };
        Array {
            signed: tensor.data_type() == DataType::Int8 as i32,
            ..Array::new(&shape, values)
        }
    }

    fn map(&self, f: impl Fn(f64) -> f64) -> Self {
        Array::new(
            &self.shape,
            self.values.iter().map(|value| f(*value)).collect(),
        )
    }

    /// The value at a position, extents of 1 and missing leading axes spread.
    fn spread(&self, position: &[usize]) -> f64 {
        let position = &position[position.len() - self.shape.len()..];
        let offset = self
            .shape
            .iter()
            .zip(position)
            .fold(0, |o, (d, p)| o * d + p.min(&(d - 1)));
        self.values[offset]
    }
}

/// All positions of a shape, row-major.
fn positions(shape: &[usize]) -> impl Iterator<Item = Vec<usize>> + use<> {
    let shape = shape.to_vec();
    (0..shape.iter().product()).map(move |mut flat: usize| {
        let mut position = vec![0; shape.len()];
        for (place, size) in position.iter_mut().zip(&shape).rev() {
            *place = flat % size;
            flat /= size;
        }
        position
    })
}

/// Every tensor of the network for the given input.
pub(crate) fn run(model: &Model, x: &Array) -> HashMap<String, Array> {
    let graph = model.graph_proto();
    let mut known: HashMap<String, Array> = graph
        .initializer
        .iter()
        .map(|t| (t.name().to_owned(), Array::stored(t)))
        .collect();
    let inputs = recert_graph::true_inputs(graph);
    known.insert(inputs[0].name().to_owned(), x.clone());
    for node in &graph.node {
        let result = apply(node, &known);
        known.insert(output(node).to_owned(), result);
    }
    known
}

/// The network's first output.
pub(crate) fn outputs(model: &Model, x: &Array) -> Vec<f64> {
    run(model, x)[model.graph_proto().output[0].name()]
        .values
        .clone()
}

fn apply(node: &NodeProto, known: &HashMap<String, Array>) -> Array {
    let maybe = |at: usize| input(node, at).map(|name| &known[name]);
    let x = |at: usize| maybe(at).unwrap();
    match node.op_type() {
        "Constant" => Array::stored(attribute(node, "value").unwrap().t.as_ref().unwrap()),
        "Identity" | "Cast" => x(0).clone(),
        "Relu" => x(0).map(|v| v.max(0.0)),
        "Add" => binary(x(0), x(1), |a, b| a + b),
        "Sub" => binary(x(0), x(1), |a, b| a - b),
        "Conv" => conv(node, x(0), x(1), maybe(2)),
        "ConvTranspose" => conv_transpose(node, x(0), x(1), maybe(2)),
        "Gemm" => gemm(node, x(0), x(1), maybe(2)),
        "MatMul" => matmul(x(0), x(1)),
        "BatchNormalization" => {
            let epsilon = f64::from(float_attribute(node, "epsilon", 1e-5));
            let mut result = x(0).clone();
            for (value, position) in result.values.iter_mut().zip(positions(&x(0).shape)) {
                let of = |at: usize| x(at).values[position[1]];
                *value = (*value - of(3)) / (of(4) + epsilon).sqrt() * of(1) + of(2);
            }
            result
        }
        "MaxPool" => max_pool(node, x(0)),
        "GlobalAveragePool" => {
            let [n, c, h, w] = x(0).shape[..] else {
                panic!("images are wanted")
            };
            let mean = |plane: &[f64]| plane.iter().sum::<f64>() / (h * w) as f64;
            Array::new(&[n, c, 1, 1], x(0).values.chunks(h * w).map(mean).collect())
        }
        "Flatten" => {
            let rows = x(0).shape[0];
            Array::new(&[rows, x(0).values.len() / rows], x(0).values.clone())
        }
        "Reshape" => {
            let shape: Vec<usize> = x(1).values.iter().map(|d| *d as usize).collect();
            Array::new(&shape, x(0).values.clone())
        }
        "Transpose" => {
            let [rows, columns] = x(0).shape[..] else {
                panic!("a matrix is wanted")
            };
            let at = |p: Vec<usize>| x(0).values[p[1] * columns + p[0]];
            Array::new(
                &[columns, rows],
                positions(&[columns, rows]).map(at).collect(),
            )
        }
        "QuantizeLinear" => {
            let (low, high) = if x(2).signed {
                (-128.0, 127.0)
            } else {
                (0.0, 255.0)
            };
            let (scale, zero) = (x(1).values[0], x(2).values[0]);
            x(0).map(|v| ((v / scale).round_ties_even() + zero).clamp(low, high))
        }
        "DequantizeLinear" => {
            let axis = int_attribute(node, "axis", 1) as usize;
            let mut result = x(0).clone();
            for (value, position) in result.values.iter_mut().zip(positions(&x(0).shape)) {
                let channel = if x(1).values.len() == 1 {
                    0
                } else {
                    position[axis]
                };
                *value = (*value - x(2).values[channel]) * x(1).values[channel];
            }
            result
        }
        other => panic!("the reference does not know {other}"),
    }
}

fn binary(a: &Array, b: &Array, f: impl Fn(f64, f64) -> f64) -> Array {
    let rank = a.shape.len().max(b.shape.len());
    let size = |of: &Array, axis: usize| {
        (axis + of.shape.len())
            .checked_sub(rank)
            .map_or(1, |at| of.shape[at])
    };
    let shape: Vec<usize> = (0..rank)
        .map(|axis| size(a, axis).max(size(b, axis)))
        .collect();
    let values = positions(&shape)
        .map(|p| f(a.spread(&p), b.spread(&p)))
        .collect();
    Array::new(&shape, values)
}

fn pair(node: &NodeProto, name: &str, default: usize) -> [usize; 2] {
    attribute(node, name).map_or([default; 2], |a| [a.ints[0] as usize, a.ints[1] as usize])
}

fn conv(node: &NodeProto, x: &Array, w: &Array, b: Option<&Array>) -> Array {
    let ([n, c, h, width], [m, each, kh, kw]) = (dims(x), dims(w));
    let [sh, sw] = pair(node, "strides", 1);
    let [top, left] = pair(node, "pads", 0);
    let groups = c / each;
    let shape = [
        n,
        m,
        (h + 2 * top - kh) / sh + 1,
        (width + 2 * left - kw) / sw + 1,
    ];
    let values = positions(&shape).map(|p| {
        let mut sum = b.map_or(0.0, |b| b.values[p[1]]);
        for k in positions(&[each, kh, kw]) {
            let channel = p[1] / (m / groups) * each + k[0];
            let (row, column) = (
                (p[2] * sh + k[1]).wrapping_sub(top),
                (p[3] * sw + k[2]).wrapping_sub(left),
            );
            if row < h && column < width {
                sum += x.values[((p[0] * c + channel) * h + row) * width + column]
                    * w.values[((p[1] * each + k[0]) * kh + k[1]) * kw + k[2]];
            }
        }
        sum
    });
    Array::new(&shape, values.collect())
}

/// Stride 1, no padding.
fn conv_transpose(node: &NodeProto, x: &Array, w: &Array, b: Option<&Array>) -> Array {
    let ([n, c, h, width], [_, each, kh, kw]) = (dims(x), dims(w));
    let groups = int_attribute(node, "group", 1) as usize;
    let m = each * groups;
    let shape = [n, m, h + kh - 1, width + kw - 1];
    let mut result = Array::new(&shape, vec![0.0; shape.iter().product()]);
    for (value, p) in result.values.iter_mut().zip(positions(&shape)) {
        *value = b.map_or(0.0, |b| b.values[p[1]]);
        let group = p[1] / each;
        for k in positions(&[c / groups, kh, kw]) {
            let channel = group * (c / groups) + k[0];
            let (row, column) = (p[2].wrapping_sub(k[1]), p[3].wrapping_sub(k[2]));
            if row < h && column < width {
                *value += x.values[((p[0] * c + channel) * h + row) * width + column]
                    * w.values[((channel * each + p[1] % each) * kh + k[1]) * kw + k[2]];
            }
        }
    }
    result
}

fn gemm(node: &NodeProto, a: &Array, b: &Array, c: Option<&Array>) -> Array {
    let transposed = int_attribute(node, "transB", 0) == 1;
    let (rows, inner) = (a.shape[0], a.shape[1]);
    let columns = b.shape[usize::from(!transposed)];
    let (alpha, beta) = (
        float_attribute(node, "alpha", 1.0),
        float_attribute(node, "beta", 1.0),
    );
    let values = positions(&[rows, columns]).map(|p| {
        let at = |k: usize| {
            if transposed {
                p[1] * inner + k
            } else {
                k * columns + p[1]
            }
        };
        let product: f64 = (0..inner)
            .map(|k| a.values[p[0] * inner + k] * b.values[at(k)])
            .sum();
        f64::from(alpha) * product + c.map_or(0.0, |c| f64::from(beta) * c.spread(&p))
    });
    Array::new(&[rows, columns], values.collect())
}

fn matmul(a: &Array, b: &Array) -> Array {
    gemm(&NodeProto::default(), a, b, None)
}

fn max_pool(node: &NodeProto, x: &Array) -> Array {
    let [n, c, h, w] = dims(x);
    let [kh, kw] = pair(node, "kernel_shape", 1);
    let [sh, sw] = pair(node, "strides", 1);
    let shape = [n, c, (h - kh) / sh + 1, (w - kw) / sw + 1];
    let values = positions(&shape).map(|p| {
        let window = positions(&[kh, kw])
            .map(|k| x.values[((p[0] * c + p[1]) * h + p[2] * sh + k[0]) * w + p[3] * sw + k[1]])
            .collect::<Vec<_>>();
        window.into_iter().fold(f64::NEG_INFINITY, f64::max)
    });
    Array::new(&shape, values.collect())
}

fn dims(x: &Array) -> [usize; 4] {
    x.shape[..].try_into().unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;

    #[test]
    fn agrees_with_onnx_runtime() {
        let (model, images) = (golden::network(), golden::images());
        golden::assert_close(&outputs(&model, &images), &golden::floats("float32"), 1e-5);
    }
}
