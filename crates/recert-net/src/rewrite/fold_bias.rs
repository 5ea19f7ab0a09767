//! Clean-up before quantizing: biases where integer kernels expect them.

use recert_graph::index::{Index, float_attribute, input, is_op, node_name, output};
use recert_graph::proto::onnx::GraphProto;
use recert_graph::{Result, stored};

use crate::constant;
use crate::draft::{Draft, float, set};
use crate::layers::check_finite;

/// Moves the known operand of an `Add` that alone follows a `Conv` into the
/// convolution's bias, where it is one number a channel. The same function
/// over the reals.
pub(super) fn fold_added_bias(draft: &mut Draft) -> Result<()> {
    let mut start = 0;
    loop {
        let index = draft.index()?;
        let graph = draft.graph();
        let mut found = None;
        for position in start..graph.node.len() {
            if let Some((add, bias)) = added_bias(graph, &index, position)? {
                found = Some((position, add, bias));
                break;
            }
        }
        let Some((conv, add, bias)) = found else {
            return Ok(());
        };
        check_finite(&node_name(&graph.node[conv], conv), &bias)?;
        let wanted = format!("{}_bias", graph.node[conv].input[1]);
        let name = draft.fresh_name(&wanted);
        draft.add_initializer(stored::from_f32(&name, &[bias.len()], &bias));
        let node = &mut draft.graph_mut().node[conv];
        node.input.truncate(2);
        node.input.push(name);
        draft.absorb(conv, add);
        start = conv + 1;
    }
}

/// The `Add` after the convolution at `position`, and the bias of both.
fn added_bias(
    graph: &GraphProto,
    index: &Index,
    position: usize,
) -> Result<Option<(usize, Vec<f32>)>> {
    let node = &graph.node[position];
    if !is_op(node, "Conv") {
        return Ok(None);
    }
    let Some(next) = index.only_use(output(node)) else {
        return Ok(None);
    };
    let add = &graph.node[next.node];
    let other = input(add, 1 - next.input.min(1));
    let (true, Some(other), Some(weights)) = (is_op(add, "Add"), other, input(node, 1)) else {
        return Ok(None);
    };
    let weights = constant::value(graph, index, weights)?;
    let (Some(weights), Some(added)) = (weights, constant::value(graph, index, other)?) else {
        return Ok(None);
    };
    // Shapes broadcast from the right: [m, 1, 1] and [1, m, 1, 1] are a number
    // a channel of images, [m] is a number a column.
    let rank = weights.shape.len();
    let channels = weights.shape.first().copied().unwrap_or(0);
    let mut shape = vec![1; rank.saturating_sub(added.shape.len())];
    shape.extend(&added.shape);
    let others = shape.iter().enumerate().filter(|(axis, _)| *axis != 1);
    let per_channel = shape.len() == rank
        && rank >= 3
        && others.map(|(_, size)| *size).all(|size| size == 1)
        && (shape[1] == channels || shape[1] == 1);
    if !per_channel {
        return Ok(None);
    }
    let old = match input(node, 2) {
        None => vec![0.0; channels],
        Some(name) => match constant::value(graph, index, name)? {
            Some(old) if old.values.len() == channels => old.values,
            _ => return Ok(None),
        },
    };
    let added = |channel: usize| added.values[if added.values.len() == 1 { 0 } else { channel }];
    let sum = old
        .iter()
        .enumerate()
        .map(|(c, old)| (f64::from(*old) + f64::from(added(c))) as f32);
    Ok(Some((next.node, sum.collect())))
}

/// Multiplies the factors of `Gemm` nodes (`alpha`, `beta`) into their known
/// weights and bias, so that both are 1, and spreads a bias of one element.
pub(super) fn normalize_gemm(draft: &mut Draft) -> Result<()> {
    let index = draft.index()?;
    for position in 0..draft.graph().node.len() {
        let graph = draft.graph();
        let node = &graph.node[position];
        let (alpha, beta) = (
            float_attribute(node, "alpha", 1.0),
            float_attribute(node, "beta", 1.0),
        );
        if !is_op(node, "Gemm") || (alpha == 1.0 && beta == 1.0) {
            continue;
        }
        let mut scaled = Vec::new();
        for (operand, factor) in [(1, alpha), (2, beta)] {
            let Some(name) = input(node, operand) else {
                continue;
            };
            scaled.push((
                operand,
                name.to_owned(),
                factor,
                constant::value(graph, &index, name)?,
            ));
        }
        if scaled.iter().any(|(.., value)| value.is_none()) {
            continue;
        }
        for (operand, name, factor, value) in scaled {
            let Some(value) = value.filter(|_| factor != 1.0) else {
                continue;
            };
            let values: Vec<f32> = value
                .values
                .iter()
                .map(|v| (f64::from(*v) * f64::from(factor)) as f32)
                .collect();
            check_finite(&node_name(&draft.graph().node[position], position), &values)?;
            let fresh = draft.fresh_name(&format!("{name}_scaled"));
            draft.add_initializer(stored::from_f32(&fresh, &value.shape, &values));
            draft.graph_mut().node[position].input[operand] = fresh;
        }
        let node = &mut draft.graph_mut().node[position];
        set(node, float("alpha", 1.0));
        set(node, float("beta", 1.0));
    }
    Ok(())
}
