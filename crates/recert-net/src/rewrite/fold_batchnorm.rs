//! Batch normalisations folded into the layers before them.

use recert_graph::index::{Index, float_attribute, input, int_attribute, is_op, node_name, output};
use recert_graph::proto::onnx::{GraphProto, NodeProto};
use recert_graph::{Error, ErrorKind, Model, Normalization, Result, channels_of_weights, stored};

use crate::changes::{Changes, LayerChange};
use crate::constant::{self, Constant};
use crate::draft::{Draft, float, set};
use crate::layers::check_finite;

/// Folds every inference `BatchNormalization` that alone follows a `Conv`,
/// `ConvTranspose` or `Gemm` of known weights into these weights and the bias.
///
/// Over the reals the network stays the same function: with
/// `f = scale / sqrt(variance + epsilon)` the weights of each output channel
/// are multiplied by `f` and the bias becomes `(bias - mean) f + shift`. Both
/// are worked out in float64 and rounded once to float32, so outputs differ by
/// rounding alone. Other batch normalisations stay. Tensors that other nodes
/// use too are copied.
///
/// # Errors
///
/// [`ErrorKind::Unchanged`] where no batch normalisation can be folded;
/// [`ErrorKind::Tensor`] where a folded weight is not finite.
pub fn fold_batchnorm(model: &Model) -> Result<(Model, Changes)> {
    let rewrite = || {
        let mut draft = Draft::of(model)?;
        let layers = fold(&mut draft)?;
        if layers.is_empty() {
            return Err(Error::new(
                ErrorKind::Unchanged,
                "no batch normalisation follows a convolution or linear layer alone, so none can be folded",
            ));
        }
        let mut changes = Changes::new(
            "batch normalisations folded into the layers before them (the same function over the reals)".to_owned(),
            "float32 arithmetic".to_owned(),
            layers,
        );
        changes.folded_batchnorms = changes.layers.len();
        draft.remove_unused();
        draft.finish(model, changes)
    };
    rewrite().map_err(|error| error.at(model.name()))
}

/// Folds all that can be, and reports the layers. Unused tensors are left.
pub(super) fn fold(draft: &mut Draft) -> Result<Vec<LayerChange>> {
    let opset = draft.opset();
    let mut changes = Vec::new();
    let mut start = 0;
    loop {
        let index = draft.index()?;
        let graph = draft.graph();
        let mut found = None;
        for position in start..graph.node.len() {
            if let Some(fold) = Fold::at(graph, &index, position, opset)? {
                found = Some(fold);
                break;
            }
        }
        let Some(fold) = found else {
            return Ok(changes);
        };
        start = fold.layer + 1;
        changes.push(fold.apply(draft)?);
    }
}

/// A layer and the batch normalisation after it, with all numbers known.
struct Fold {
    layer: usize,
    norm: usize,
    axis: usize,
    group: usize,
    weights: Constant,
    bias: Option<Vec<f32>>,
    normalization: Normalization,
}

impl Fold {
    /// The fold of the layer at `position`, if there is one.
    fn at(graph: &GraphProto, index: &Index, position: usize, opset: i64) -> Result<Option<Self>> {
        let node = &graph.node[position];
        let (axis, group) = match node.op_type() {
            "Conv" => (0, 1),
            "ConvTranspose" => (1, int_attribute(node, "group", 1)),
            "Gemm" => (usize::from(int_attribute(node, "transB", 0) == 0), 1),
            _ => return Ok(None),
        };
        let Some(next) = index.only_use(output(node)) else {
            return Ok(None);
        };
        let norm = &graph.node[next.node];
        if !is_op(node, node.op_type()) || next.input != 0 || !is_inference(norm, opset) {
            return Ok(None);
        }
        let known = |node: &NodeProto, at: usize| match input(node, at) {
            Some(name) => constant::value(graph, index, name),
            None => Ok(None),
        };
        let Some(weights) = known(node, 1)? else {
            return Ok(None);
        };
        let bias = known(node, 2)?;
        if bias.is_none() && input(node, 2).is_some() {
            return Ok(None);
        }
        let (Some(scale), Some(shift), Some(mean), Some(variance)) = (
            known(norm, 1)?,
            known(norm, 2)?,
            known(norm, 3)?,
            known(norm, 4)?,
        ) else {
            return Ok(None);
        };
        let group = usize::try_from(group).unwrap_or(1).max(1);
        let Some(channels) = weights
            .shape
            .get(axis)
            .and_then(|size| size.checked_mul(group))
        else {
            return Ok(None);
        };
        let epsilon = float_attribute(norm, "epsilon", 1e-5);
        let normalization = Normalization::new(
            &scale.values,
            &shift.values,
            &mean.values,
            &variance.values,
            epsilon,
        );
        let normalization = normalization.filter(|found| found.factors().len() == channels);
        let bias = bias.map(|bias| bias.per_channel(channels));
        let (Some(normalization), false) = (normalization, bias == Some(None)) else {
            return Ok(None);
        };
        let bias = bias.flatten();
        Ok(Some(Fold {
            layer: position,
            norm: next.node,
            axis,
            group,
            weights,
            bias,
            normalization,
        }))
    }

    fn apply(self, draft: &mut Draft) -> Result<LayerChange> {
        let Fold {
            layer,
            norm,
            axis,
            group,
            weights,
            bias,
            normalization,
        } = self;
        let node = &draft.graph().node[layer];
        let name = node_name(node, layer);
        let op = node.op_type().to_owned();
        let operand = node.input[1].clone();
        let (alpha, beta) = match op.as_str() {
            "Gemm" => (
                f64::from(float_attribute(node, "alpha", 1.0)),
                f64::from(float_attribute(node, "beta", 1.0)),
            ),
            _ => (1.0, 1.0),
        };
        let channels = channels_of_weights(&weights.shape, axis, group);
        let pairs = weights.values.iter().zip(channels);
        let folded: Vec<f32> = pairs
            .map(|(weight, channel)| normalization.weight(channel, f64::from(*weight) * alpha))
            .collect();
        let old_bias = |channel: usize| match &bias {
            None => 0.0,
            Some(bias) => beta * f64::from(bias[channel]),
        };
        let new_bias: Vec<f32> = (0..normalization.factors().len())
            .map(|channel| normalization.centred_bias(channel, old_bias(channel)))
            .collect();
        check_finite(&name, &folded)?;
        check_finite(&name, &new_bias)?;

        let weight_name = draft.fresh_name(&format!("{operand}_folded"));
        let bias_name = draft.fresh_name(&format!("{operand}_folded_bias"));
        draft.add_initializer(stored::from_f32(&weight_name, &weights.shape, &folded));
        draft.add_initializer(stored::from_f32(&bias_name, &[new_bias.len()], &new_bias));
        let node = &mut draft.graph_mut().node[layer];
        node.input.truncate(1);
        node.input.extend([weight_name, bias_name]);
        if op == "Gemm" {
            set(node, float("alpha", 1.0));
            set(node, float("beta", 1.0));
        }
        draft.absorb(layer, norm);
        Ok(LayerChange::compare(
            name,
            &op,
            &operand,
            &weights.values,
            &folded,
        ))
    }
}

/// Whether the node is a batch normalisation with fixed statistics, one pair a
/// channel.
fn is_inference(node: &NodeProto, opset: i64) -> bool {
    is_op(node, "BatchNormalization")
        && node.output.iter().skip(1).all(String::is_empty)
        && int_attribute(node, "training_mode", 0) == 0
        && int_attribute(node, "spatial", 1) == 1
        && (opset >= 7 || int_attribute(node, "is_test", 0) == 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draft::int;
    use crate::golden;
    use crate::reference::{Array, outputs};
    use recert_graph::testing::{Net, ints, noise};

    fn norm(net: Net, prefix: &str, channels: usize) -> Net {
        let part = |name: &str| format!("{prefix}.{name}");
        let variance: Vec<f32> = noise(7, channels).iter().map(|v| v.abs() + 0.1).collect();
        net.noise(&part("scale"), &[channels])
            .noise(&part("shift"), &[channels])
            .noise(&part("mean"), &[channels])
            .floats(&part("var"), &[channels], &variance)
    }

    fn norm_node(net: Net, prefix: &str, x: &str, y: &str) -> Net {
        let part = |name: &str| format!("{prefix}.{name}");
        let inputs = [
            x,
            &part("scale"),
            &part("shift"),
            &part("mean"),
            &part("var"),
        ];
        net.node("BatchNormalization", &inputs, y)
    }

    fn input(shape: &[usize]) -> Array {
        let count = shape.iter().product();
        Array::new(shape, noise(3, count).into_iter().map(f64::from).collect())
    }

    /// Folds, checks how many and that the outputs stay, and returns the result.
    fn check(net: &Net, x: &Array, folded: usize) -> Model {
        let model = net.model();
        let (result, changes) = fold_batchnorm(&model).unwrap();
        assert_eq!(changes.folded_batchnorms, folded);
        assert_eq!(changes.layers.len(), folded);
        golden::assert_close(&outputs(&result, x), &outputs(&model, x), 1e-5);
        result
    }

    fn count(model: &Model, op: &str) -> usize {
        model
            .operators()
            .filter(|operator| operator.op_type == op)
            .count()
    }

    #[test]
    fn golden_network_keeps_its_outputs() {
        let (folded, changes) = fold_batchnorm(&golden::network()).unwrap();
        assert_eq!(changes.folded_batchnorms, 2);
        assert_eq!(count(&folded, "BatchNormalization"), 0);
        golden::assert_close(
            &outputs(&folded, &golden::images()),
            &golden::floats("float32"),
            1e-5,
        );
        assert_eq!(
            folded.metadata("recert.source_sha256"),
            Some(golden::network().sha256_hex().as_str())
        );
    }

    #[test]
    fn grouped_transposed_convolution() {
        let net = Net::new(13)
            .input("x", &[1, 4, 3, 3])
            .output("y", &[1, 6, 4, 4])
            .noise("w", &[4, 3, 2, 2])
            .noise("b", &[6])
            .node_with(
                "ConvTranspose",
                &["x", "w", "b"],
                "c",
                vec![int("group", 2)],
            );
        check(
            &norm_node(norm(net, "n", 6), "n", "c", "y"),
            &input(&[1, 4, 3, 3]),
            1,
        );
    }

    #[test]
    fn linear_layers_with_factors_and_either_orientation() {
        for transposed in [0, 1] {
            let shape = if transposed == 1 { [3, 5] } else { [5, 3] };
            let attributes = vec![
                int("transB", transposed),
                float("alpha", 0.5),
                float("beta", 2.0),
            ];
            let net = Net::new(13)
                .input("x", &[2, 5])
                .output("y", &[2, 3])
                .noise("w", &shape)
                .noise("b", &[3])
                .node_with("Gemm", &["x", "w", "b"], "c", attributes);
            check(
                &norm_node(norm(net, "n", 3), "n", "c", "y"),
                &input(&[2, 5]),
                1,
            );
        }
    }

    #[test]
    fn shared_weights_are_copied_for_each_user() {
        // One weight tensor, two convolutions, two different normalisations
        // whose parameters come through Identity and Constant.
        let net = Net::new(13)
            .input("x", &[1, 2, 4, 4])
            .output("y", &[1, 2, 4, 4])
            .noise("w", &[2, 2, 1, 1])
            .node("Conv", &["x", "w"], "c1");
        let net = norm_node(norm(net, "n1", 2), "n1", "c1", "y1")
            .node("Conv", &["y1", "w"], "c2")
            .node("Identity", &["n1.mean"], "alias")
            .node_with(
                "Constant",
                &[],
                "shift",
                vec![recert_graph::testing::constant("", &[2], &[0.25, -4.0])],
            )
            .node(
                "BatchNormalization",
                &["c2", "alias", "shift", "n1.mean", "n1.var"],
                "y",
            );
        let folded = check(&net, &input(&[1, 2, 4, 4]), 2);
        assert_eq!(count(&folded, "Identity") + count(&folded, "Constant"), 0);
        assert_eq!(crate::weights(&folded).unwrap().len(), 2);
        assert_ne!(
            crate::weights(&folded).unwrap()[0].values,
            crate::weights(&folded).unwrap()[1].values
        );
    }

    #[test]
    fn what_cannot_be_folded_stays() {
        let start = || {
            let net = Net::new(13)
                .input("x", &[1, 2, 4, 4])
                .output("y", &[1, 2, 4, 4])
                .noise("w", &[2, 2, 1, 1]);
            norm(net, "n", 2)
        };
        let used_twice = norm_node(start().node("Conv", &["x", "w"], "c"), "n", "c", "z").node(
            "Add",
            &["z", "c"],
            "y",
        );
        let an_output = norm_node(start().node("Conv", &["x", "w"], "c"), "n", "c", "y")
            .output("c", &[1, 2, 4, 4]);
        let first = norm_node(start(), "n", "x", "z").node("Conv", &["z", "w"], "y");
        // A bias of one number a row of the batch, not a channel.
        let by_row = Net::new(13)
            .input("x", &[2, 3])
            .output("y", &[2, 2])
            .noise("w", &[3, 2])
            .noise("b", &[2, 1])
            .node("Gemm", &["x", "w", "b"], "c");
        let by_row = norm_node(norm(by_row, "n", 2), "n", "c", "y");
        let mut training = norm_node(start().node("Conv", &["x", "w"], "c"), "n", "c", "y");
        training.graph().node[1]
            .attribute
            .push(int("training_mode", 1));
        for net in [used_twice, an_output, first, by_row, training] {
            assert_eq!(
                fold_batchnorm(&net.model()).unwrap_err().kind(),
                ErrorKind::Unchanged
            );
        }
    }

    #[test]
    fn an_overflowing_fold_is_refused() {
        let net = Net::new(13)
            .input("x", &[1, 1, 2, 2])
            .output("y", &[1, 1, 2, 2])
            .floats("w", &[1, 1, 1, 1], &[1e38])
            .floats("one", &[1], &[1e3])
            .floats("zero", &[1], &[0.0])
            .node_with("Conv", &["x", "w"], "c", vec![ints("strides", &[1, 1])])
            .node(
                "BatchNormalization",
                &["c", "one", "zero", "zero", "zero"],
                "y",
            );
        let error = fold_batchnorm(&net.model()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Tensor);
        assert!(error.to_string().contains("make_c"), "{error}");
    }
}
