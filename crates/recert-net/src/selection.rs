//! Which layers a rewrite changes, and names for layers that have none.

use std::collections::{BTreeSet, HashSet};

use recert_graph::index::{Index, node_name};
use recert_graph::proto::onnx::GraphProto;
use recert_graph::{Error, ErrorKind, Model, Result};

use crate::layers::layers;

/// The layers that a rewrite changes, by the names that [`weights`](crate::weights) gives them: all, or some.
///
/// ```
/// use recert_net::{Layers, Model, PruneScope, prune};
///
/// # fn main() -> recert_net::Result<()> {
/// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/residual.onnx");
/// let network = Model::read(path)?;
/// let last = recert_net::weights(&network)?.pop().expect("it has layers").layer;
/// let (_, changes) = prune(&network, 0.3, PruneScope::PerLayer, &Layers::only([last]))?;
/// assert_eq!(changes.layers.len(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Layers(Option<BTreeSet<String>>);

impl Layers {
    /// Every layer.
    pub const ALL: Self = Self(None);

    /// The layers of these names, and no other.
    pub fn only(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self(Some(names.into_iter().map(Into::into).collect()))
    }

    /// Whether the layer of this name is one of them.
    pub fn includes(&self, layer: &str) -> bool {
        self.0.as_ref().is_none_or(|names| names.contains(layer))
    }

    /// Whether it is every layer, whatever the network.
    pub fn is_all(&self) -> bool {
        self.0.is_none()
    }

    /// Fails where one that is named is not a layer of the graph.
    pub(crate) fn check(&self, graph: &GraphProto, index: &Index) -> Result<()> {
        let Some(names) = &self.0 else {
            return Ok(());
        };
        let found = layers(graph, index)?;
        let found: Vec<String> = found.iter().map(|layer| layer.name(graph)).collect();
        let Some(missing) = names.iter().find(|name| !found.contains(name)) else {
            return Ok(());
        };
        let message = format!(
            "the network has no layer with weights that is called `{missing}`; it has {}",
            found.join(", ")
        );
        Err(Error::new(ErrorKind::Argument, message))
    }

    /// What follows the words for a rewrite where it is not of every layer.
    pub(crate) fn words(&self) -> String {
        match &self.0 {
            None => String::new(),
            Some(names) => {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                format!(", in {} alone", names.join(", "))
            }
        }
    }
}

/// The network with a name for each node that has none, and for each that shares its name with an earlier one:
/// `#` and its position, as [`weights`](crate::weights) calls such a layer. Rewrites move nodes, so that
/// layers without names are called otherwise after one. The function is the same.
///
/// # Errors
/// If the network cannot be encoded again.
pub fn with_node_names(model: &Model) -> Result<Model> {
    let mut proto = model.proto_to_rewrite()?;
    let mut names = HashSet::new();
    for (position, node) in (proto.graph.iter_mut().flat_map(|graph| &mut graph.node)).enumerate() {
        let mut name = node_name(node, position);
        while !names.insert(name.clone()) {
            name = format!("{name}#{position}");
        }
        node.name = Some(name);
    }
    Model::from_proto(model.name().to_owned(), proto)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{HalfFormat, PruneScope, golden, half, prune, weights};
    use recert_graph::testing::Net;

    fn two_layers() -> Model {
        Net::new(13)
            .input("x", &[1, 2])
            .output("y", &[1, 2])
            .floats("a", &[2, 2], &[0.1, 0.2, 0.3, 0.4])
            .floats("b", &[2, 2], &[1.1, 2.2, 3.3, 4.4])
            .node("MatMul", &["x", "a"], "h")
            .node("MatMul", &["h", "b"], "y")
            .model()
    }

    #[test]
    fn the_other_layers_stay_as_they_are() {
        let model = with_node_names(&two_layers()).unwrap();
        let names: Vec<String> = weights(&model)
            .unwrap()
            .into_iter()
            .map(|w| w.layer)
            .collect();
        for (changed, kept) in [(0, 1), (1, 0)] {
            let one = Layers::only([&names[changed]]);
            for (rewritten, changes) in [
                prune(&model, 0.5, PruneScope::PerLayer, &one).unwrap(),
                prune(&model, 0.5, PruneScope::Global, &one).unwrap(),
                half(&model, HalfFormat::BFloat16, &one).unwrap(),
            ] {
                let (before, after) = (weights(&model).unwrap(), weights(&rewritten).unwrap());
                assert_eq!(before[kept], after[kept]);
                assert_ne!(before[changed].values, after[changed].values);
                assert_eq!(changes.layers.len(), 1);
                assert!(changes.approximation.ends_with(" alone"), "{changes:?}");
            }
        }
    }

    #[test]
    fn names_stay_through_rewrites_and_missing_ones_are_errors() {
        let model = with_node_names(&two_layers()).unwrap();
        let names = |model: &Model| -> Vec<String> {
            weights(model)
                .unwrap()
                .into_iter()
                .map(|w| w.layer)
                .collect()
        };
        // float16 puts a node before each layer.
        let (rounded, _) = half(&model, HalfFormat::Float16, &Layers::ALL).unwrap();
        assert_eq!(names(&model), names(&rounded));
        let wrong = prune(
            &golden::network(),
            0.5,
            PruneScope::PerLayer,
            &Layers::only(["nowhere"]),
        );
        let error = wrong.unwrap_err().to_string();
        assert!(
            error.contains("no layer with weights that is called `nowhere`"),
            "{error}"
        );
    }
}
