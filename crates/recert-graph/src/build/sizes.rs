//! How much memory a network's tensors take, before anything of them is made.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::order::order;
use super::{Builder, Building};
use crate::element::ElementType;
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Value, ValueId};
use crate::index::node_name;
use crate::proto::onnx::{GraphProto, NodeProto};
use crate::signature::true_inputs;
use crate::stored;

impl Builder<'_> {
    /// The bytes of all tensors of one image (or of the batch that the file fixes) that
    /// exist at a time, at the most, as far as sizes are known: every node of the file is looked
    /// at, whether an output needs it or not, and those in branches; what an operator that
    /// [`Builder::build`] refuses makes counts as nothing, and so does what follows
    /// from it. Stored weights do not count.
    ///
    /// ```
    /// use recert_graph::{Builder, ErrorKind, Model};
    ///
    /// # fn main() -> recert_graph::Result<()> {
    /// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../recert-net/tests/golden/residual.onnx");
    /// let model = Model::read(path)?;
    /// let bytes = Builder::new(&model).memory(1 << 30)?;
    /// let error = Builder::new(&model).memory(bytes - 1).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::TooLarge);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TooLarge`] with the first node after which they are more than `most`, or
    /// that makes a tensor which is none of a network of images.
    pub fn memory(&self, most: u64) -> Result<u64> {
        let peak = self.peak(most);
        peak.map_err(|error| error.at(self.model.name()))
    }

    fn peak(&self, most: u64) -> Result<u64> {
        let proto = self.model.graph_proto();
        let made = proto.node.iter().flat_map(|node| &node.output);
        let made: Vec<String> = made.filter(|name| !name.is_empty()).cloned().collect();
        // What is wrong with a graph is found by those who compute it.
        let Ok(order) = order(proto, &made) else {
            return Ok(0);
        };
        let opset = self.model.opset().unwrap_or(0);
        let mut building = Building::new(proto, opset, self.model.size());
        for info in true_inputs(proto) {
            // An input that is not understood is unknown, as all that follows from it.
            self.input(&mut building, info).ok();
        }
        for position in order {
            let node = &proto.node[position];
            building.sized(node, &node_name(node, position))?;
        }
        building.most_at_a_time(most)
    }
}

impl Building<'_> {
    /// Reads a node as far as it is understood.
    fn sized(&mut self, node: &NodeProto, name: &str) -> Result<()> {
        match self.node(node, name) {
            Err(error) if error.kind() == ErrorKind::TooLarge => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let attributes = node.attribute.iter();
        for graph in attributes.flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs)) {
            self.branch(graph)?;
        }
        Ok(())
    }

    /// Reads a branch, which sees all that is outside of it. Files nest branches a few
    /// times: what is deeper is refused in decoding.
    fn branch(&mut self, graph: &GraphProto) -> Result<()> {
        for tensor in &graph.initializer {
            // Damaged data is found by those who read the branch.
            if let Ok(tensor_read) = stored::typed(tensor) {
                self.constant(tensor.name(), Arc::new(tensor_read));
            }
        }
        for (position, node) in graph.node.iter().enumerate() {
            self.sized(node, &node_name(node, position))?;
        }
        Ok(())
    }

    /// The bytes of the values that exist at a time: from the node that makes each to the
    /// last that takes it.
    fn most_at_a_time(&self, most: u64) -> Result<u64> {
        let mut last: HashMap<ValueId, usize> = HashMap::new();
        for (position, node) in self.nodes.iter().enumerate() {
            for id in node.inputs.iter().chain(&node.outputs).flatten() {
                last.insert(*id, position);
            }
        }
        let mut ending: Vec<Vec<ValueId>> = vec![Vec::new(); self.nodes.len()];
        for (id, position) in last {
            ending[position].push(id);
        }
        let bytes = |id: &ValueId| bytes_of(&self.values[id.0]);
        // What no node makes: inputs, and constants that were computed from others. Stored
        // ones are weights.
        let made: HashSet<ValueId> = (self.nodes.iter())
            .flat_map(|node| node.outputs.iter().flatten().copied())
            .collect();
        let stored = |value: &Value| self.initializers.contains_key(value.name.as_str());
        let given = (0..self.values.len()).map(ValueId).filter(|id| {
            let value = &self.values[id.0];
            !(made.contains(id) || value.constant.is_some() && stored(value))
        });
        let mut now = given.map(|id| bytes(&id)).fold(0, u64::saturating_add);
        let mut peak = now;
        for (node, ending) in self.nodes.iter().zip(&ending) {
            let made = node.outputs.iter().flatten().map(bytes);
            now = made.fold(now, u64::saturating_add);
            if now > most {
                let message = format!(
                    "node '{}' ({}): with its output, the tensors of one image take {now} bytes, \
                     more than the {most} that there may be",
                    node.name,
                    node.op.name(),
                );
                return Err(Error::new(ErrorKind::TooLarge, message));
            }
            peak = peak.max(now);
            let ended = ending
                .iter()
                .filter(|id| self.values[id.0].constant.is_none());
            now = ended.map(bytes).fold(now, u64::saturating_sub);
        }
        Ok(peak)
    }
}

/// The bytes of a value, for one image.
fn bytes_of(value: &Value) -> u64 {
    let width = match value.element {
        ElementType::Float64 | ElementType::Int64 | ElementType::UInt64 => 8,
        ElementType::Float16 | ElementType::BFloat16 | ElementType::Int16 | ElementType::UInt16 => {
            2
        }
        ElementType::UInt8 | ElementType::Int8 | ElementType::Bool => 1,
        _ => 4,
    };
    let count = value
        .shape
        .count()
        .map_or(u64::MAX, |count| count.at(1) as u64);
    count.saturating_mul(width)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Builder;
    use crate::proto::onnx::AttributeProto;
    use crate::proto::onnx::attribute_proto::AttributeType;
    use crate::testing::Net;

    fn tiled(net: Net, from: &str, to: &str, times: i64) -> Net {
        let repeats = format!("{to}_repeats");
        net.tensor(stored::from_i64(&repeats, &[2], &[1, times]))
            .node("Tile", &[from, &repeats], to)
    }

    fn net() -> Net {
        Net::new(13).input("x", &[-1, 4]).output("y", &[-1, -1])
    }

    #[test]
    fn what_exists_at_a_time_is_counted() {
        let net = tiled(net(), "x", "a", 100);
        let net = tiled(net, "a", "b", 10).node("Relu", &["b"], "y");
        let model = net.model();
        // Both sides of the last node: 2 of 4000 numbers.
        let bytes = Builder::new(&model).memory(1 << 20).unwrap();
        assert_eq!(bytes, 4 * (4000 + 4000));
        let error = Builder::new(&model).memory(17_000).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        assert!(error.to_string().contains("make_b"), "{error}");
    }

    #[test]
    fn what_is_not_understood_hides_nothing_before_or_beside_it() {
        let net = net().node("Frobnicate", &["x"], "u");
        let net = tiled(net, "x", "y", 1 << 40);
        let error = Builder::new(&net.model()).memory(1 << 30).unwrap_err();
        assert!(error.to_string().contains("make_y"), "{error}");
    }

    #[test]
    fn branches_are_looked_into() {
        let mut body = tiled(Net::new(13), "x", "inside", 1 << 30);
        let attribute = AttributeProto {
            name: Some("then_branch".to_owned()),
            r#type: Some(AttributeType::Graph.into()),
            g: Some(body.graph().clone()),
            ..AttributeProto::default()
        };
        let net = net().node_with("If", &["c"], "y", vec![attribute]);
        let error = Builder::new(&net.model()).memory(1 << 30).unwrap_err();
        assert!(error.to_string().contains("make_inside"), "{error}");
    }
}
