//! Tensors that are known before the network runs: initializers, constants,
//! and what simple operators make of them.

use recert_graph::index::{Index, attribute, input, int_attribute, is_op, node_name, standard_op};
use recert_graph::proto::onnx::tensor_proto::DataType;
use recert_graph::proto::onnx::{GraphProto, NodeProto, TensorProto};
use recert_graph::{Error, ErrorKind, Result, stored};

/// A known tensor of floats.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Constant {
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Vec<f32>,
}

/// Where the stored numbers behind a known tensor are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Source {
    /// The position among the initializers.
    Initializer(usize),
    /// The position of a `Constant` node that has the attribute `value`.
    Node(usize),
}

impl Constant {
    /// The values as one number a channel, where they are that and lie along
    /// the last axis, or are one number for all channels.
    pub(crate) fn per_channel(&self, channels: usize) -> Option<Vec<f32>> {
        match self.values[..] {
            [value] => Some(vec![value; channels]),
            _ if self.values.len() == channels && self.shape.last() == Some(&channels) => {
                Some(self.values.clone())
            }
            _ => None,
        }
    }
}

impl Source {
    pub(crate) fn tensor(self, graph: &GraphProto) -> &TensorProto {
        match self {
            Source::Initializer(position) => &graph.initializer[position],
            Source::Node(position) => {
                constant_value(&graph.node[position]).expect("a source node has a value")
            }
        }
    }

    pub(crate) fn tensor_mut(self, graph: &mut GraphProto) -> &mut TensorProto {
        match self {
            Source::Initializer(position) => &mut graph.initializer[position],
            Source::Node(position) => graph.node[position]
                .attribute
                .iter_mut()
                .find(|attribute| attribute.name() == "value")
                .and_then(|attribute| attribute.t.as_mut())
                .expect("a source node has a value"),
        }
    }

    /// The name of the stored tensor as the graph uses it.
    pub(crate) fn name(self, graph: &GraphProto) -> &str {
        match self {
            Source::Initializer(position) => graph.initializer[position].name(),
            Source::Node(position) => recert_graph::index::output(&graph.node[position]),
        }
    }
}

fn constant_value(node: &NodeProto) -> Option<&TensorProto> {
    is_op(node, "Constant")
        .then(|| attribute(node, "value")?.t.as_ref())
        .flatten()
}

/// Longer chains of operators between stored numbers and their use are
/// followed no further; it also ends the recursion.
const MAX_CHAIN: usize = 16;

/// The tensor's own stored form, without any operator between.
pub(crate) fn stored(graph: &GraphProto, index: &Index, name: &str) -> Option<Source> {
    if let Some(position) = index.initializer(name) {
        return Some(Source::Initializer(position));
    }
    let producer = index.producer(name)?;
    constant_value(&graph.node[producer]).map(|_| Source::Node(producer))
}

/// The stored tensor whose numbers `name` holds, perhaps in another order or
/// shape or as wider floats: followed through operators that change no value.
pub(crate) fn source(graph: &GraphProto, index: &Index, name: &str) -> Option<Source> {
    let mut name = name;
    for _ in 0..MAX_CHAIN {
        if let Some(source) = stored(graph, index, name) {
            return Some(source);
        }
        let node = &graph.node[index.producer(name)?];
        match standard_op(node) {
            "Identity" | "Transpose" | "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => {}
            "Cast" if int_attribute(node, "to", 0) == DataType::Float as i64 => {}
            _ => return None,
        }
        name = input(node, 0)?;
    }
    None
}

/// Whether the tensor is of float32 as its user takes it: stored so, or cast.
pub(crate) fn is_float32(graph: &GraphProto, index: &Index, name: &str) -> bool {
    let mut name = name;
    for _ in 0..MAX_CHAIN {
        if let Some(source) = stored(graph, index, name) {
            return source.tensor(graph).data_type() == DataType::Float as i32;
        }
        let Some(node) = index.producer(name).map(|position| &graph.node[position]) else {
            return false;
        };
        if is_op(node, "Cast") || is_op(node, "DequantizeLinear") {
            return is_op(node, "DequantizeLinear")
                || int_attribute(node, "to", 0) == DataType::Float as i64;
        }
        match input(node, 0) {
            Some(taken) => name = taken,
            None => return false,
        }
    }
    false
}

/// The tensor's values as float32 if they are known, worked out through
/// `Identity`, `Cast`, `Transpose`, `Reshape`, `Flatten`, `Squeeze`,
/// `Unsqueeze` and `DequantizeLinear`. `None` where they are not known.
///
/// # Errors
///
/// [`ErrorKind::Tensor`] where stored data is damaged.
pub(crate) fn value(graph: &GraphProto, index: &Index, name: &str) -> Result<Option<Constant>> {
    evaluate(graph, index, name, 0)
}

fn evaluate(
    graph: &GraphProto,
    index: &Index,
    name: &str,
    depth: usize,
) -> Result<Option<Constant>> {
    if let Some(source) = stored(graph, index, name) {
        let stored = source.tensor(graph);
        let shape = stored::shape(stored)?;
        return Ok(stored::floats(stored)?.map(|values| Constant { shape, values }));
    }
    let Some(position) = index.producer(name).filter(|_| depth < MAX_CHAIN) else {
        return Ok(None);
    };
    let node = &graph.node[position];
    let Some(first) = input(node, 0) else {
        return Ok(None);
    };
    let place = |error: Error| error.at(format!("node `{}`", node_name(node, position)));
    match standard_op(node) {
        "Identity" => evaluate(graph, index, first, depth + 1),
        "Cast" if int_attribute(node, "to", 0) == DataType::Float as i64 => {
            evaluate(graph, index, first, depth + 1)
        }
        "Transpose" => {
            let Some(constant) = evaluate(graph, index, first, depth + 1)? else {
                return Ok(None);
            };
            let order = attribute(node, "perm").map(|perm| perm.ints.clone());
            transpose(&constant, order.as_deref())
                .map(Some)
                .map_err(place)
        }
        "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => {
            let Some(constant) = evaluate(graph, index, first, depth + 1)? else {
                return Ok(None);
            };
            Ok(new_shape(graph, index, node, &constant.shape)
                .filter(|shape| count(shape) == Some(constant.values.len()))
                .map(|shape| Constant {
                    shape,
                    values: constant.values,
                }))
        }
        "DequantizeLinear" => dequantize(graph, index, node).map_err(place),
        _ => Ok(None),
    }
}

/// The number of elements of a shape, if it is one.
fn count(shape: &[usize]) -> Option<usize> {
    shape
        .iter()
        .try_fold(1_usize, |n, size| n.checked_mul(*size))
}

fn transpose(constant: &Constant, order: Option<&[i64]>) -> Result<Constant> {
    let rank = constant.shape.len();
    let order: Vec<usize> = match order {
        None => (0..rank).rev().collect(),
        Some(order) => order
            .iter()
            .filter_map(|axis| usize::try_from(*axis).ok())
            .collect(),
    };
    let mut sorted = order.clone();
    sorted.sort_unstable();
    if sorted != (0..rank).collect::<Vec<_>>() {
        return Err(Error::new(
            ErrorKind::Graph,
            "the transposition is not one of its operand's axes",
        ));
    }
    let mut strides = vec![1; rank];
    for axis in (1..rank).rev() {
        strides[axis - 1] = strides[axis] * constant.shape[axis];
    }
    let shape: Vec<usize> = order.iter().map(|axis| constant.shape[*axis]).collect();
    let mut position = vec![0; rank];
    let mut values = Vec::with_capacity(constant.values.len());
    for _ in 0..constant.values.len() {
        let offset: usize = position
            .iter()
            .zip(&order)
            .map(|(p, axis)| p * strides[*axis])
            .sum();
        values.push(constant.values[offset]);
        for axis in (0..rank).rev() {
            position[axis] += 1;
            if position[axis] < shape[axis] {
                break;
            }
            position[axis] = 0;
        }
    }
    Ok(Constant { shape, values })
}

/// The shape after an operator that only reshapes; `None` where that depends
/// on what is not known.
fn new_shape(
    graph: &GraphProto,
    index: &Index,
    node: &NodeProto,
    shape: &[usize],
) -> Option<Vec<usize>> {
    let wrap = |axis: i64, rank: usize| {
        usize::try_from(if axis < 0 { axis + rank as i64 } else { axis })
            .ok()
            .filter(|a| *a <= rank)
    };
    let listed = |key: &str| {
        if let Some(attribute) = attribute(node, key) {
            return Some(attribute.ints.clone());
        }
        let source = stored(graph, index, input(node, 1)?)?;
        stored::integers(source.tensor(graph)).ok().flatten()
    };
    match node.op_type() {
        "Flatten" => {
            let axis = wrap(int_attribute(node, "axis", 1), shape.len())?;
            Some(vec![
                shape[..axis].iter().product(),
                shape[axis..].iter().product(),
            ])
        }
        "Reshape" => {
            let wanted = listed("shape")?;
            let keep_zero = int_attribute(node, "allowzero", 0) != 0;
            let mut result = Vec::new();
            for (axis, size) in wanted.iter().enumerate() {
                result.push(match *size {
                    0 if !keep_zero => *shape.get(axis)?,
                    -1 => 1,
                    size => usize::try_from(size).ok()?,
                });
            }
            if let Some(open) = wanted.iter().position(|size| *size == -1) {
                let rest = count(&result)?;
                result[open] = shape.iter().product::<usize>().checked_div(rest)?;
            }
            Some(result)
        }
        "Squeeze" => {
            let all = attribute(node, "axes").is_none() && input(node, 1).is_none();
            let axes: Vec<usize> = if all {
                (0..shape.len()).filter(|axis| shape[*axis] == 1).collect()
            } else {
                let axes = listed("axes")?;
                axes.iter()
                    .map(|axis| wrap(*axis, shape.len()))
                    .collect::<Option<_>>()?
            };
            let kept = shape
                .iter()
                .enumerate()
                .filter(|(axis, _)| !axes.contains(axis));
            Some(kept.map(|(_, size)| *size).collect())
        }
        "Unsqueeze" => {
            let axes = listed("axes")?;
            let rank = shape.len() + axes.len();
            let axes: Vec<usize> = axes
                .iter()
                .map(|axis| wrap(*axis, rank))
                .collect::<Option<_>>()?;
            let mut old = shape.iter().copied();
            let result: Vec<usize> = (0..rank)
                .filter_map(|axis| {
                    if axes.contains(&axis) {
                        Some(1)
                    } else {
                        old.next()
                    }
                })
                .collect();
            (result.len() == rank).then_some(result)
        }
        _ => None,
    }
}

/// `(x - zero point) * scale`, per tensor or along an axis.
fn dequantize(graph: &GraphProto, index: &Index, node: &NodeProto) -> Result<Option<Constant>> {
    let integers = |position: usize| -> Result<Option<(Vec<usize>, Vec<i64>)>> {
        let Some(source) = input(node, position).and_then(|name| stored(graph, index, name)) else {
            return Ok(None);
        };
        let tensor = source.tensor(graph);
        let shape = stored::shape(tensor)?;
        Ok(stored::integers(tensor)?.map(|values| (shape, values)))
    };
    let scale = match input(node, 1).and_then(|name| stored(graph, index, name)) {
        Some(source) => stored::floats(source.tensor(graph))?,
        None => None,
    };
    let (Some((shape, quantized)), Some(scale)) = (integers(0)?, scale) else {
        return Ok(None);
    };
    let zero = match input(node, 2) {
        None => vec![0; scale.len()],
        Some(_) => match integers(2)? {
            Some((_, zero)) => zero,
            None => return Ok(None),
        },
    };
    let axis = int_attribute(node, "axis", 1);
    let axis = if axis < 0 {
        axis + shape.len() as i64
    } else {
        axis
    } as usize;
    // Scales in blocks (opset 21) are left to the engine.
    if int_attribute(node, "block_size", 0) != 0 || zero.len() != scale.len() {
        return Ok(None);
    }
    if scale.len() != 1 && shape.get(axis) != Some(&scale.len()) {
        return Err(Error::new(
            ErrorKind::Graph,
            "the scales do not fit the dequantized axis",
        ));
    }
    let inner: usize = if scale.len() == 1 {
        1
    } else {
        shape[axis + 1..].iter().product()
    };
    let values = quantized.iter().enumerate().map(|(position, q)| {
        let channel = position / inner.max(1) % scale.len();
        (q - zero[channel]) as f32 * scale[channel]
    });
    Ok(Some(Constant {
        values: values.collect(),
        shape,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draft::int;
    use recert_graph::testing::{Net, ints};

    fn evaluated(net: &Net, name: &str) -> Option<(Vec<usize>, Vec<f32>)> {
        let graph = net.0.graph.as_ref().unwrap();
        let index = Index::of(graph).unwrap();
        value(graph, &index, name)
            .unwrap()
            .map(|constant| (constant.shape, constant.values))
    }

    fn counted(shape: &[usize]) -> Net {
        let count: usize = shape.iter().product();
        Net::new(13).floats(
            "w",
            shape,
            &(0..count).map(|v| v as f32).collect::<Vec<_>>(),
        )
    }

    #[test]
    fn layout_operators() {
        let shapes = |net: Net| {
            net.tensor(stored::from_i64("to", &[3], &[0, -1, 1]))
                .tensor(stored::from_i64("axes", &[1], &[-1]))
        };
        let w = || shapes(counted(&[2, 3, 1]));
        let all: Vec<f32> = (0..6).map(|v| v as f32).collect();
        let table = [
            (
                w().node("Identity", &["w"], "v"),
                vec![2, 3, 1],
                all.clone(),
            ),
            (
                w().node_with("Flatten", &["w"], "v", vec![int("axis", 2)]),
                vec![6, 1],
                all.clone(),
            ),
            (
                w().node("Reshape", &["w", "to"], "v"),
                vec![2, 3, 1],
                all.clone(),
            ),
            (w().node("Squeeze", &["w"], "v"), vec![2, 3], all.clone()),
            (
                w().node("Squeeze", &["w", "axes"], "v"),
                vec![2, 3],
                all.clone(),
            ),
            (
                w().node("Unsqueeze", &["w", "axes"], "v"),
                vec![2, 3, 1, 1],
                all.clone(),
            ),
            (
                w().node_with("Transpose", &["w"], "v", vec![ints("perm", &[1, 2, 0])]),
                vec![3, 1, 2],
                vec![0.0, 3.0, 1.0, 4.0, 2.0, 5.0],
            ),
            (
                w().node("Transpose", &["w"], "v"),
                vec![1, 3, 2],
                vec![0.0, 3.0, 1.0, 4.0, 2.0, 5.0],
            ),
        ];
        for (net, shape, values) in table {
            assert_eq!(evaluated(&net, "v"), Some((shape, values)));
        }
        assert_eq!(evaluated(&w().node("Relu", &["w"], "v"), "v"), None);
    }

    #[test]
    fn dequantization_along_an_axis() {
        let net = |axis| {
            Net::new(13)
                .tensor(stored::from_i8("q", &[2, 2], &[-128, 4, 6, 127]))
                .floats("s", &[2], &[0.5, 2.0])
                .tensor(stored::from_i8("z", &[2], &[0, 4]))
                .node_with(
                    "DequantizeLinear",
                    &["q", "s", "z"],
                    "v",
                    vec![int("axis", axis)],
                )
        };
        assert_eq!(evaluated(&net(0), "v").unwrap().1, [-64.0, 2.0, 4.0, 246.0]);
        assert_eq!(
            evaluated(&net(-1), "v").unwrap().1,
            [-64.0, 0.0, 3.0, 246.0]
        );
    }
}
