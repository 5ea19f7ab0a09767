//! Which layers and which activations become integers.

use std::collections::{HashMap, HashSet};

use recert_graph::index::{Index, attribute, input, output, standard_op};
use recert_graph::proto::onnx::{GraphProto, NodeProto};
use recert_graph::{ElementType, Error, ErrorKind, Result, stored, tensor_type, true_inputs};

use crate::constant;
use crate::draft::Draft;
use crate::layers::{Layer, check_finite, layers, note_unknown};
use crate::rank::SAME_TYPE_AND_RANK;
use crate::selection::Layers;

/// The point that stands for a network input is its name after this prefix.
pub(super) const INPUT_POINT: &str = "recert.input.";

/// What is to be quantized in a prepared network.
pub(super) struct Plan {
    layers: Vec<Layer>,
    notes: Vec<String>,
    /// Tensors whose ranges are needed, in graph order.
    points: Vec<String>,
    /// Each tensor to quantize with the point whose range it has.
    tensors: Vec<(String, String)>,
    inputs: HashSet<String>,
    /// Nodes, by position, that could be quantized and were not chosen.
    stays: HashSet<usize>,
}

impl Plan {
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`] where no layer can be quantized, [`ErrorKind::Argument`] where one that is
    /// selected is not there.
    pub(super) fn of(draft: &Draft, selected: &Layers) -> Result<Self> {
        let graph = draft.graph();
        let index = draft.index()?;
        selected.check(graph, &index)?;
        let activations = activations(graph, &index)?;
        let is_activation = |node: &NodeProto, operand: usize| {
            input(node, operand).is_some_and(|t| activations.contains(t))
        };

        let all = layers(graph, &index)?;
        let found = all.len();
        let mut notes: Vec<String> = note_unknown(graph, &all).into_iter().collect();
        let mut chosen = Vec::new();
        let mut wanted: HashSet<String> = HashSet::new();
        // Nodes in float32 because their layer was not selected, and tensors made from theirs.
        let mut stays = HashSet::new();
        let is_selected = |layer: &Layer| selected.includes(&layer.name(graph));
        let float = made_from(graph, all.iter().filter(|layer| !is_selected(layer)), &all);
        for layer in all {
            let node = &graph.node[layer.node];
            let fits = layer.input == 1
                && layer.channel_axis(graph).is_some()
                && node.op_type() != "ConvTranspose"
                && is_activation(node, 0)
                && layer.takes_float32(graph, &index);
            if !is_selected(&layer) {
                stays.insert(layer.node);
            } else if fits {
                check_finite(&layer.name(graph), &layer.constant.values)?;
                wanted.insert(node.input[0].clone());
                chosen.push(layer);
            }
        }
        if chosen.is_empty() {
            // Of some layers it may be that none can; of all of them it is the network that cannot.
            let kind = if selected.is_all() {
                ErrorKind::Unsupported
            } else {
                ErrorKind::Unchanged
            };
            let message = "no convolution or linear layer with known float32 weights takes an activation, so nothing \
                           can be quantized";
            return Err(Error::new(kind, message));
        }
        for (position, node) in graph.node.iter().enumerate() {
            let all = (0..node.input.len()).all(|operand| is_activation(node, operand));
            let taken = match standard_op(node) {
                "Add" | "Concat" if all => &node.input[..],
                "AveragePool" | "GlobalAveragePool" | "ReduceMean" if is_activation(node, 0) => {
                    &node.input[..1]
                }
                _ => continue,
            };
            if taken.iter().any(|name| float.contains(name)) {
                stays.insert(position);
            } else {
                wanted.extend(taken.iter().cloned());
            }
        }
        if found > chosen.len() {
            notes.push(format!("{} layers stay float32", found - chosen.len()));
        }
        let inputs = graph
            .input
            .iter()
            .map(|info| info.name().to_owned())
            .collect();
        let mut plan = Plan {
            layers: chosen,
            notes,
            points: Vec::new(),
            tensors: Vec::new(),
            inputs,
            stays,
        };
        plan.share_ranges(graph, &index, wanted);
        Ok(plan)
    }

    /// Finds the point whose range each wanted tensor has: its own, or that of
    /// the tensor it was only moved from, which is then quantized as well.
    fn share_ranges(&mut self, graph: &GraphProto, index: &Index, wanted: HashSet<String>) {
        let mut roots: HashMap<String, String> = HashMap::new();
        for name in wanted {
            let mut root = name.as_str();
            while let Some(node) = index.producer(root).map(|node| &graph.node[node]) {
                if !moves(graph, index, node) || output(node) != root {
                    break;
                }
                root = &node.input[0];
            }
            roots.insert(root.to_owned(), root.to_owned());
            let root = root.to_owned();
            roots.insert(name, root);
        }
        let inputs = graph
            .input
            .iter()
            .map(recert_graph::proto::onnx::ValueInfoProto::name);
        let made = graph
            .node
            .iter()
            .flat_map(|node| &node.output)
            .map(String::as_str);
        let mut points = HashSet::new();
        for name in inputs.chain(made) {
            if let Some(root) = roots.get(name) {
                let point = if self.inputs.contains(root) {
                    format!("{INPUT_POINT}{root}")
                } else {
                    root.clone()
                };
                if points.insert(point.clone()) {
                    self.points.push(point.clone());
                }
                self.tensors.push((name.to_owned(), point));
            }
        }
    }

    /// Whether the node at this position takes tensors as they were before, because it was not chosen.
    pub(super) fn stays(&self, position: usize) -> bool {
        self.stays.contains(&position)
    }

    pub(super) fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// What is not quantized, in words.
    pub(super) fn notes(&self) -> &[String] {
        &self.notes
    }

    pub(super) fn points(&self) -> &[String] {
        &self.points
    }

    /// Each tensor to quantize, in graph order, with its point.
    pub(super) fn tensors(&self) -> &[(String, String)] {
        &self.tensors
    }

    /// The point whose range the tensor has.
    pub(super) fn point(&self, tensor: &str) -> Option<&str> {
        self.tensors
            .iter()
            .find(|(name, _)| name == tensor)
            .map(|(_, point)| point.as_str())
    }
}

/// The tensors that `makers` make, and what is made of these, up to the next layer of `all`.
fn made_from<'a>(
    graph: &GraphProto,
    makers: impl Iterator<Item = &'a Layer>,
    all: &[Layer],
) -> HashSet<String> {
    let makers: HashSet<usize> = makers.map(|layer| layer.node).collect();
    let layers: HashSet<usize> = all.iter().map(|layer| layer.node).collect();
    let mut made = HashSet::new();
    for (position, node) in graph.node.iter().enumerate() {
        let follows = !layers.contains(&position) && node.input.iter().any(|n| made.contains(n));
        if makers.contains(&position) || follows {
            made.extend(node.output.iter().cloned());
        }
    }
    made
}

/// The float32 tensors that depend on the network's input by way of operators
/// that are known to keep the element type.
fn activations(graph: &GraphProto, index: &Index) -> Result<HashSet<String>> {
    let mut found: HashSet<String> = true_inputs(graph)
        .into_iter()
        .filter(|info| matches!(tensor_type(info), Some((ElementType::Float32, _))))
        .map(|info| info.name().to_owned())
        .collect();
    let by_weights: HashSet<usize> = layers(graph, index)?
        .into_iter()
        .filter(|layer| layer.takes_float32(graph, index))
        .map(|layer| layer.node)
        .collect();
    for (position, node) in graph.node.iter().enumerate() {
        let takes = |operand: usize| input(node, operand).is_some_and(|name| found.contains(name));
        let float = match standard_op(node) {
            "Conv" | "ConvTranspose" | "Gemm" | "MatMul" => {
                takes(0) || takes(1) || by_weights.contains(&position)
            }
            "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Max" | "Min" | "Sum" | "Mean" | "Concat" => {
                (0..node.input.len()).any(takes)
            }
            "ReduceMean" | "ReduceSum" | "ReduceMax" | "ReduceMin" | "Reshape" | "Flatten"
            | "Squeeze" | "Unsqueeze" | "Gather" | "DepthToSpace" | "SpaceToDepth" => takes(0),
            op => SAME_TYPE_AND_RANK.contains(&op) && takes(0),
        };
        if float {
            // Further outputs (indices, masks) are of other types.
            found.insert(output(node).to_owned());
        }
    }
    Ok(found)
}

/// Whether each value of the node's output is a value of its first input, or
/// 0, so that a grid that holds the input holds the output.
fn moves(graph: &GraphProto, index: &Index, node: &NodeProto) -> bool {
    match standard_op(node) {
        "Identity" | "MaxPool" | "GlobalMaxPool" | "Slice" | "Reshape" | "Flatten" | "Squeeze"
        | "Unsqueeze" | "Transpose" | "Gather" | "DepthToSpace" | "SpaceToDepth" => true,
        "Pad" => {
            let constant = attribute(node, "mode")
                .and_then(|mode| mode.s.as_deref())
                .unwrap_or(b"constant");
            let by_attribute = attribute(node, "value").is_none_or(|value| value.f() == 0.0);
            let by_input = match input(node, 2) {
                None => true,
                Some(name) => constant::stored(graph, index, name).is_some_and(|source| {
                    let values = stored::floats(source.tensor(graph));
                    matches!(values, Ok(Some(values)) if values.iter().all(|value| *value == 0.0))
                }),
            };
            constant != b"constant" || (by_attribute && by_input)
        }
        _ => false,
    }
}
