//! Making a network that shows something as small as it gets while it still shows it.

use std::collections::HashSet;

use recert_graph::proto::onnx::tensor_proto::DataType;
use recert_graph::proto::onnx::{GraphProto, ModelProto, NodeProto, TensorProto};
use recert_graph::testing::info;

use crate::sketch::int;

/// Tries smaller networks until none still shows what `shows` looks for.
pub fn shrink(mut proto: ModelProto, mut shows: impl FnMut(&ModelProto) -> bool) -> ModelProto {
    loop {
        let before = size(&proto);
        for step in [cut_tail, cut_head, bypass, plain_output, drop_attributes] {
            let mut place = 0;
            while let Some(candidate) = step(&proto, place) {
                let smaller = candidate.filter(|smaller| size(smaller) < size(&proto));
                match smaller {
                    Some(smaller) if shows(&smaller) => proto = smaller,
                    _ => place += 1,
                }
            }
        }
        if size(&proto) == before {
            return proto;
        }
    }
}

/// What is made smaller: nodes first, then attributes and bytes.
fn size(proto: &ModelProto) -> (usize, usize, usize) {
    let graph = proto.graph.as_ref();
    let nodes = graph.map_or(0, |graph| graph.node.len());
    let attributes = graph.map_or(0, |graph| {
        graph.node.iter().map(|node| node.attribute.len()).sum()
    });
    (nodes, attributes, prost::Message::encoded_len(proto))
}

/// A smaller network, `Some(None)` where this place gives none, and `None` after the last.
type Tried = Option<Option<ModelProto>>;

/// Ends the network at the node at this place: its output, flattened, is the scores.
fn cut_tail(proto: &ModelProto, place: usize) -> Tried {
    let mut smaller = proto.clone();
    let graph = smaller.graph.as_mut()?;
    let node = graph.node.get(place)?;
    let name = node.output.first()?.clone();
    if place + 2 >= graph.node.len() {
        return Some(None);
    }
    graph.node.truncate(place + 1);
    graph.node.push(NodeProto {
        op_type: Some("Flatten".to_owned()),
        name: Some("the_end".to_owned()),
        input: vec![name],
        output: vec!["scores".to_owned()],
        attribute: vec![int("axis", 1)],
        ..NodeProto::default()
    });
    graph.output = vec![info("scores", DataType::Float, &[-1, -1])];
    name_open_axes(graph);
    drop_unused(graph);
    Some(Some(smaller))
}

/// An output of unknown width: the second axis must not share the batch's name.
fn name_open_axes(graph: &mut GraphProto) {
    use recert_graph::proto::onnx::tensor_shape_proto::dimension::Value;
    use recert_graph::proto::onnx::type_proto;
    for output in &mut graph.output {
        if let Some(kind) = &mut output.r#type
            && let Some(type_proto::Value::TensorType(tensor)) = &mut kind.value
            && let Some(shape) = &mut tensor.shape
            && let Some(dim) = shape.dim.get_mut(1)
        {
            dim.value = Some(Value::DimParam("classes".to_owned()));
        }
    }
}

/// Begins the network after the node at this place: what it makes is the input, where it
/// is an image or a row that an input may be.
fn cut_head(proto: &ModelProto, place: usize) -> Tried {
    use recert_graph::{Builder, Extent};
    let mut smaller = proto.clone();
    let node = proto.graph.as_ref()?.node.get(place)?.clone();
    let name = node.output.first()?.clone();
    let made = || -> Option<Vec<i64>> {
        let model = crate::network::model_of("network", proto).ok()?;
        let graph = Builder::new(&model).outputs(&[&name]).build().ok()?;
        let value = graph.value(*graph.outputs().first()?);
        if value.constant.is_some() || value.element != recert_graph::ElementType::Float32 {
            return None;
        }
        let dims = value
            .shape
            .iter()
            .enumerate()
            .map(|(axis, extent)| match extent {
                Extent::Batch(1) if axis == 0 => Some(-1),
                Extent::Fixed(size) => Some(*size as i64),
                Extent::Batch(_) => None,
            });
        dims.collect()
    };
    let Some(dims) = made() else {
        return Some(None);
    };
    let graph = smaller.graph.as_mut()?;
    let stored: HashSet<&str> = graph.initializer.iter().map(TensorProto::name).collect();
    graph.input.retain(|input| stored.contains(input.name()));
    graph.input.push(info(&name, DataType::Float, &dims));
    "unused".clone_into(&mut graph.node[place].output[0]);
    drop_unused(graph);
    Some(Some(smaller))
}

/// Leaves the node at this place out: what it makes is its first input.
fn bypass(proto: &ModelProto, place: usize) -> Tried {
    let mut smaller = proto.clone();
    let graph = smaller.graph.as_mut()?;
    if place >= graph.node.len() {
        return None;
    }
    let node = graph.node.remove(place);
    let (Some(input), Some(output)) = (node.input.first(), node.output.first()) else {
        return Some(None);
    };
    if graph.output.iter().any(|info| info.name() == output) {
        // The node before makes the output, if it makes nothing else.
        let Some(maker) = graph
            .node
            .iter_mut()
            .flat_map(|node| &mut node.output)
            .find(|name| *name == input)
        else {
            return Some(None);
        };
        maker.clone_from(output);
        for name in graph.node.iter_mut().flat_map(|node| &mut node.input) {
            if name == input {
                name.clone_from(output);
            }
        }
    } else {
        for name in graph.node.iter_mut().flat_map(|node| &mut node.input) {
            if name == output {
                name.clone_from(input);
            }
        }
    }
    drop_unused(graph);
    Some(Some(smaller))
}

/// Leaves stated numbers of classes out of the output, so that more may be dropped.
fn plain_output(proto: &ModelProto, place: usize) -> Tried {
    if place > 0 {
        return None;
    }
    let mut smaller = proto.clone();
    smaller.producer_name = None;
    smaller.metadata_props.clear();
    let graph = smaller.graph.as_mut()?;
    for node in &mut graph.node {
        node.doc_string = None;
    }
    graph.value_info.clear();
    Some(Some(smaller))
}

/// Leaves out one attribute.
fn drop_attributes(proto: &ModelProto, place: usize) -> Tried {
    let mut smaller = proto.clone();
    let graph = smaller.graph.as_mut()?;
    let mut left = place;
    for node in &mut graph.node {
        if left < node.attribute.len() {
            node.attribute.remove(left);
            return Some(Some(smaller));
        }
        left -= node.attribute.len();
    }
    None
}

/// Drops nodes that nothing takes anything from, and initializers likewise.
pub fn drop_unused(graph: &mut GraphProto) {
    let mut needed: HashSet<String> = graph.output.iter().map(|o| o.name().to_owned()).collect();
    let mut kept = Vec::new();
    for node in std::mem::take(&mut graph.node).into_iter().rev() {
        if node.output.iter().any(|name| needed.contains(name)) {
            collect(&node, &mut needed);
            kept.push(node);
        }
    }
    kept.reverse();
    graph.node = kept;
    let stored: HashSet<String> = graph
        .initializer
        .iter()
        .map(|t| t.name().to_owned())
        .collect();
    graph
        .initializer
        .retain(|tensor| needed.contains(tensor.name()));
    graph
        .input
        .retain(|input| !stored.contains(input.name()) || needed.contains(input.name()));
}

/// The names that a node takes, those inside its graphs included.
fn collect(node: &NodeProto, needed: &mut HashSet<String>) {
    needed.extend(node.input.iter().filter(|name| !name.is_empty()).cloned());
    for graph in node
        .attribute
        .iter()
        .filter_map(|attribute| attribute.g.as_ref())
    {
        for node in &graph.node {
            collect(node, needed);
        }
    }
}

#[cfg(test)]
mod tests {
    use recert_graph::testing::{Net, ints};

    use super::*;

    #[test]
    fn what_does_not_matter_goes() {
        let net = Net::new(13)
            .input("x", &[-1, 3, 4, 4])
            .output("y", &[-1, 48])
            .node("Relu", &["x"], "a")
            .node("Sigmoid", &["a"], "b")
            .node("Tanh", &["b"], "c")
            .node_with("Transpose", &["c"], "d", vec![ints("perm", &[0, 1, 3, 2])])
            .node("Flatten", &["d"], "y");
        let has = |proto: &ModelProto, op: &str| {
            let graph = proto.graph.as_ref().unwrap();
            graph.node.iter().any(|node| node.op_type() == op)
        };
        let small = shrink(net.0, |proto| has(proto, "Sigmoid"));
        let graph = small.graph.as_ref().unwrap();
        assert!(graph.node.len() <= 2, "{} nodes", graph.node.len());
        assert!(has(&small, "Sigmoid"));
    }
}
