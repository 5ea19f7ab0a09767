//! The stored tensors behind the layers' weights and biases, each safe to
//! change in place.

use std::collections::{BTreeMap, HashSet};

use recert_graph::index::{Index, Use, input};
use recert_graph::proto::onnx::GraphProto;
use recert_graph::{Error, ErrorKind, Result, stored};

use crate::constant::{self, Source};
use crate::draft::Draft;
use crate::layers::{check_finite, layers, note_unknown};
use crate::selection::Layers;

/// A stored tensor that only layers take, as their weights or biases.
pub(super) struct Operand {
    pub(super) source: Source,
    /// The first layer that takes it.
    pub(super) layer: String,
    pub(super) op: String,
    /// The stored tensor's name before any copy was made.
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) values: Vec<f32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Weights,
    Bias,
}

/// All weights of the `chosen` layers, and biases if asked for, in file order, each stored tensor once. One that is
/// also used for something else is copied first, so that a change of it
/// reaches the layers alone. Also a note on layers that are out of reach.
///
/// # Errors
///
/// [`ErrorKind::Argument`] where one that is chosen is not there;
/// [`ErrorKind::Unsupported`] where a layer's weights are stored as integers,
/// [`ErrorKind::Tensor`] where they are not finite.
pub(super) fn own_operands(
    draft: &mut Draft,
    biases: bool,
    chosen: &Layers,
) -> Result<(Vec<Operand>, Option<String>)> {
    let index = draft.index()?;
    let graph = draft.graph();
    chosen.check(graph, &index)?;
    let mut wanted = Vec::new();
    let found = layers(graph, &index)?;
    let note = note_unknown(graph, &found);
    for layer in found {
        let name = layer.name(graph);
        if !chosen.includes(&name) {
            continue;
        }
        if layer.source(graph, &index).is_none() {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "the weights of layer `{name}` are quantized; apply this rewrite before quantizing"
                ),
            ));
        }
        let op = graph.node[layer.node].op_type().to_owned();
        let bias = layer.bias(graph, &index).filter(|_| biases);
        wanted.push((
            Use {
                node: layer.node,
                input: layer.input,
            },
            name.clone(),
            op.clone(),
            Role::Weights,
        ));
        wanted.extend(bias.map(|user| (user, name, op, Role::Bias)));
    }
    wanted.retain(|(user, ..)| chain(graph, &index, *user).is_some());

    // Every place on the way from a stored tensor to a layer.
    let paths: HashSet<Use> = wanted
        .iter()
        .flat_map(|(user, ..)| chain(graph, &index, *user).unwrap_or_default())
        .collect();
    let mut operands: BTreeMap<Source, Operand> = BTreeMap::new();
    let mut order = Vec::new();
    for (user, layer, op, role) in wanted {
        let graph = draft.graph();
        let operand = input(&graph.node[user.node], user.input).unwrap_or_default();
        let Some(stored) = constant::source(graph, &index, operand) else {
            continue;
        };
        let name = stored.name(graph).to_owned();
        let path = chain(graph, &index, user).unwrap_or_default();
        let alone = path.iter().all(|passed| {
            let taken = input(&graph.node[passed.node], passed.input).unwrap_or_default();
            !index.is_output(taken) && index.uses(taken).iter().all(|other| paths.contains(other))
        });
        // Sources are positions, so nothing may be removed here; a stored
        // tensor that nothing takes any more is dropped by engines.
        let source = if alone {
            stored
        } else {
            copy(draft, &index, user)?
        };
        if operands.contains_key(&source) {
            continue;
        }
        let values = stored::floats(source.tensor(draft.graph()))?.unwrap_or_default();
        check_finite(&layer, &values)?;
        order.push(source);
        operands.insert(
            source,
            Operand {
                source,
                layer,
                op,
                name,
                role,
                values,
            },
        );
    }
    let operands = order
        .into_iter()
        .filter_map(|source| operands.remove(&source))
        .collect();
    Ok((operands, note))
}

/// The inputs through which a layer's operand passes, from the layer back to
/// the stored tensor.
fn chain(graph: &GraphProto, index: &Index, user: Use) -> Option<Vec<Use>> {
    let mut path = vec![user];
    let mut name = input(&graph.node[user.node], user.input)?;
    constant::source(graph, index, name)?;
    while constant::stored(graph, index, name).is_none() {
        let node = index.producer(name)?;
        name = input(&graph.node[node], 0)?;
        path.push(Use { node, input: 0 });
    }
    Some(path)
}

/// Stores the operand anew for this one user.
fn copy(draft: &mut Draft, index: &Index, user: Use) -> Result<Source> {
    let graph = draft.graph();
    let operand = input(&graph.node[user.node], user.input)
        .unwrap_or_default()
        .to_owned();
    let constant = constant::value(graph, index, &operand)?.ok_or_else(|| {
        Error::new(
            ErrorKind::Unsupported,
            format!("the values of tensor `{operand}` are not known"),
        )
    })?;
    let name = draft.fresh_name(&format!("{operand}_copy"));
    draft.add_initializer(stored::from_f32(&name, &constant.shape, &constant.values));
    let graph = draft.graph_mut();
    graph.node[user.node].input[user.input] = name;
    Ok(Source::Initializer(graph.initializer.len() - 1))
}
