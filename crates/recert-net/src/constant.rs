//! Weights and biases that are known before the network runs: the stored
//! numbers behind them, and their values.

use recert_graph::index::{Index, attribute, input, int_attribute, is_op, standard_op};
use recert_graph::proto::onnx::tensor_proto::DataType;
use recert_graph::proto::onnx::{GraphProto, NodeProto, TensorProto};
use recert_graph::{ElementType, Result, computed_constant};

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

/// The stored numbers that a tensor is computed from.
enum Origin<'a> {
    /// The same numbers, perhaps in another order or shape, and cast to float32
    /// or not.
    Stored { source: Source, cast: bool },
    /// The numbers that this `DequantizeLinear` makes.
    Dequantized(&'a NodeProto),
}

/// Follows a tensor back through operators that change no value.
fn origin<'a>(graph: &'a GraphProto, index: &Index, name: &'a str) -> Option<Origin<'a>> {
    let (mut name, mut cast) = (name, false);
    for _ in 0..MAX_CHAIN {
        if let Some(source) = stored(graph, index, name) {
            return Some(Origin::Stored { source, cast });
        }
        let node = &graph.node[index.producer(name)?];
        match standard_op(node) {
            "Identity" | "Transpose" | "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => {}
            "Cast" if int_attribute(node, "to", 0) == DataType::Float as i64 => cast = true,
            "DequantizeLinear" => return Some(Origin::Dequantized(node)),
            _ => return None,
        }
        name = input(node, 0)?;
    }
    None
}

/// The stored tensor whose numbers `name` holds, perhaps in another order or
/// shape or as wider floats.
pub(crate) fn source(graph: &GraphProto, index: &Index, name: &str) -> Option<Source> {
    match origin(graph, index, name)? {
        Origin::Stored { source, .. } => Some(source),
        Origin::Dequantized(_) => None,
    }
}

/// Whether the tensor is of float32 as its user takes it: stored so, cast or
/// dequantized.
pub(crate) fn is_float32(graph: &GraphProto, index: &Index, name: &str) -> bool {
    match origin(graph, index, name) {
        Some(Origin::Stored { source, cast }) => {
            cast || source.tensor(graph).data_type() == DataType::Float as i32
        }
        Some(Origin::Dequantized(_)) => true,
        None => false,
    }
}

/// The operators that are followed mean the same in every opset.
const ANY_OPSET: i64 = 13;

/// The tensor's values as float32, where they are stored as floats or
/// dequantized from stored integers and only operators that change no value
/// lie between. `None` where they are not.
///
/// # Errors
///
/// [`recert_graph::ErrorKind::Tensor`] where stored data is damaged.
pub(crate) fn value(graph: &GraphProto, index: &Index, name: &str) -> Result<Option<Constant>> {
    let known = match origin(graph, index, name) {
        Some(Origin::Stored { source, .. }) => {
            ElementType::from_onnx(source.tensor(graph).data_type()).is_float()
        }
        Some(Origin::Dequantized(node)) => node
            .input
            .iter()
            .all(|input| input.is_empty() || stored(graph, index, input).is_some()),
        None => false,
    };
    if !known {
        return Ok(None);
    }
    let tensor = computed_constant(graph, ANY_OPSET, name)?;
    Ok(tensor.and_then(|tensor| {
        Some(Constant {
            values: tensor.to_f32()?,
            shape: tensor.shape().to_vec(),
        })
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draft::int;
    use recert_graph::stored;
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
