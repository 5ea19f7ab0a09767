//! Pruning: the weights of least magnitude become zero.

use std::cmp::Ordering;

use recert_graph::{Error, ErrorKind, Model, Result, stored};

use super::operands::{Operand, own_operands};
use crate::changes::{Changes, LayerChange};
use crate::draft::Draft;
use crate::selection::Layers;

/// Among which weights the smallest are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum PruneScope {
    /// The same fraction of every layer, as `torch.nn.utils.prune.
    /// l1_unstructured` applied to every layer does.
    #[default]
    PerLayer,
    /// The fraction of all weights together, as `torch.nn.utils.prune.
    /// global_unstructured` does.
    Global,
}

/// Sets the fraction of the weights with the least magnitude to zero
/// (unstructured, L1), in the convolution and linear layers of `layers`.
///
/// Of `n` weights `fraction * n` become zero, rounded to nearest, half to
/// even, as `torch` rounds; among equal magnitudes those stored first go
/// first. Biases and batch normalisations stay: nothing is folded before. A
/// stored tensor that several layers share is pruned once, for all of them; if one of them alone is to
/// be pruned, it gets a copy.
///
/// Engines compute as before, so pruning alone makes nothing faster; it makes
/// a network that compresses well.
///
/// # Errors
///
/// [`ErrorKind::Argument`] unless `0 < fraction <= 1`, and for a layer that is not there;
/// [`ErrorKind::Unchanged`] where every chosen weight is zero already;
/// [`ErrorKind::Unsupported`] for quantized weights and subgraphs.
pub fn prune(
    model: &Model,
    fraction: f64,
    scope: PruneScope,
    layers: &Layers,
) -> Result<(Model, Changes)> {
    if !(fraction > 0.0 && fraction <= 1.0) {
        return Err(Error::new(
            ErrorKind::Argument,
            format!("the fraction to prune must be above 0 and at most 1, not {fraction}"),
        ));
    }
    rewrite(model, fraction, scope, layers).map_err(|error| error.at(model.name()))
}

fn rewrite(
    model: &Model,
    fraction: f64,
    scope: PruneScope,
    chosen: &Layers,
) -> Result<(Model, Changes)> {
    let mut draft = Draft::of(model)?;
    let (mut operands, note) = own_operands(&mut draft, false, chosen)?;
    let before: Vec<Vec<f32>> = operands
        .iter()
        .map(|operand| operand.values.clone())
        .collect();

    match scope {
        PruneScope::PerLayer => {
            for operand in &mut operands {
                let all = (0..operand.values.len())
                    .map(|weight| (0, weight))
                    .collect();
                zero_smallest(std::slice::from_mut(operand), all, fraction);
            }
        }
        PruneScope::Global => {
            let all = operands.iter().enumerate();
            let all = all
                .flat_map(|(o, operand)| (0..operand.values.len()).map(move |weight| (o, weight)));
            let all = all.collect();
            zero_smallest(&mut operands, all, fraction);
        }
    }

    let mut layers = Vec::new();
    for (operand, before) in operands.into_iter().zip(before) {
        let Operand {
            source,
            layer,
            op,
            name,
            values,
            ..
        } = operand;
        stored::store(source.tensor_mut(draft.graph_mut()), &values)?;
        layers.push(LayerChange::compare(layer, &op, &name, &before, &values));
    }
    let among = match scope {
        PruneScope::PerLayer => "in every layer",
        PruneScope::Global => "over all layers together",
    };
    // Six decimals of a percent, without the last digits of the product.
    let percent = (fraction * 1e8).round() / 1e6;
    let mut changes = Changes::new(
        format!(
            "pruned: the {percent} % of the weights with the least magnitude {among} set to zero{}",
            chosen.words()
        ),
        "float32 arithmetic".to_owned(),
        layers,
    );
    changes.notes.extend(note);
    changes.require_change()?;
    draft.finish(model, changes)
}

/// Zeroes the smallest of the listed weights (operand, place).
fn zero_smallest(operands: &mut [Operand], mut all: Vec<(usize, usize)>, fraction: f64) {
    let count = (fraction * all.len() as f64).round_ties_even() as usize;
    let order = |a: &(usize, usize), b: &(usize, usize)| -> Ordering {
        let magnitude =
            |&(operand, weight): &(usize, usize)| operands[operand].values[weight].abs();
        magnitude(a).total_cmp(&magnitude(b)).then(a.cmp(b))
    };
    if count < all.len() {
        all.select_nth_unstable_by(count, order);
    }
    for (operand, weight) in all.into_iter().take(count) {
        operands[operand].values[weight] = 0.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draft::int;
    use crate::golden;
    use crate::reference::outputs;
    use proptest::prelude::*;
    use recert_graph::testing::{Net, constant};

    fn linear(values: &[f32]) -> Net {
        Net::new(13)
            .input("x", &[1, values.len() as i64])
            .output("y", &[1, 1])
            .floats("w", &[values.len(), 1], values)
            .node("MatMul", &["x", "w"], "y")
    }

    fn pruned(model: &Model, fraction: f64, scope: PruneScope) -> Vec<Vec<f32>> {
        let (result, _) = prune(model, fraction, scope, &Layers::ALL).unwrap();
        // Through the file, so that what is written is what is checked.
        let result = Model::from_bytes("again", result.to_bytes()).unwrap();
        crate::weights(&result)
            .unwrap()
            .into_iter()
            .map(|weights| weights.values)
            .collect()
    }

    #[test]
    fn golden_network_agrees_with_numpy_and_onnx_runtime() {
        let (result, changes) =
            prune(&golden::network(), 0.5, PruneScope::PerLayer, &Layers::ALL).unwrap();
        golden::assert_close(
            &outputs(&result, &golden::images()),
            &golden::floats("pruned"),
            1e-5,
        );
        assert_eq!(changes.weights(), 108 + 72 + 96 + 30);
        assert_eq!(changes.zeroed(), (108 + 72 + 96 + 30) / 2);
        assert_eq!(
            result.metadata("recert.arithmetic"),
            Some("float32 arithmetic")
        );
        // The batch normalisations are where they were.
        assert_eq!(
            result
                .operators()
                .filter(|o| o.op_type == "BatchNormalization")
                .count(),
            2
        );
    }

    #[test]
    fn counts_round_half_to_even_and_ties_go_in_order() {
        // (weights, fraction, expected)
        let table: &[(&[f32], f64, &[f32])] = &[
            (&[1.0, -1.0, 1.0, 1.0, 1.0], 0.5, &[0.0, 0.0, 1.0, 1.0, 1.0]), // 2.5 -> 2
            (&[3.0, -1.0, 2.0], 0.5, &[3.0, 0.0, 0.0]),                     // 1.5 -> 2
            (&[3.0, 1.0, -2.0, 0.5], 0.25, &[3.0, 1.0, -2.0, 0.0]),
            (&[3.0, 1.0], 1.0, &[0.0, 0.0]),
            (&[-0.0, 0.5, 0.25, 8.0], 0.5, &[0.0, 0.5, 0.0, 8.0]),
        ];
        for (weights, fraction, expected) in table {
            let model = linear(weights).model();
            assert_eq!(
                pruned(&model, *fraction, PruneScope::PerLayer),
                [expected.to_vec()]
            );
        }
    }

    #[test]
    fn global_scope_compares_layers() {
        let net = Net::new(13)
            .input("x", &[1, 2])
            .output("y", &[1, 2])
            .floats("small", &[2, 2], &[0.1, 0.2, 0.3, 0.4])
            .floats("large", &[2, 2], &[1.0, 2.0, 3.0, 4.0])
            .node("MatMul", &["x", "small"], "h")
            .node("MatMul", &["h", "large"], "y");
        let global = pruned(&net.model(), 0.5, PruneScope::Global);
        assert_eq!(global, [vec![0.0; 4], vec![1.0, 2.0, 3.0, 4.0]]);
        let each = pruned(&net.model(), 0.5, PruneScope::PerLayer);
        assert_eq!(each, [vec![0.0, 0.0, 0.3, 0.4], vec![0.0, 0.0, 3.0, 4.0]]);
    }

    #[test]
    fn only_the_weights_are_touched() {
        // `w` is the weights of a layer and is added as well; `k` is a
        // constant node behind a transposition.
        let net = Net::new(13)
            .input("x", &[2, 2])
            .output("y", &[2, 2])
            .floats("w", &[2, 2], &[1.0, 2.0, 3.0, 4.0])
            .node_with(
                "Constant",
                &[],
                "k",
                vec![constant("", &[2, 2], &[5.0, 6.0, 7.0, 8.0])],
            )
            .node_with(
                "Transpose",
                &["k"],
                "kt",
                vec![recert_graph::testing::ints("perm", &[1, 0])],
            )
            .node("MatMul", &["x", "w"], "h")
            .node("Add", &["h", "w"], "sum")
            .node_with("Gemm", &["sum", "kt"], "y", vec![int("transB", 0)]);
        let (result, changes) =
            prune(&net.model(), 0.5, PruneScope::PerLayer, &Layers::ALL).unwrap();
        let weights: Vec<_> = crate::weights(&result)
            .unwrap()
            .into_iter()
            .map(|w| (w.shape, w.values))
            .collect();
        assert_eq!(weights[0], (vec![2, 2], vec![0.0, 0.0, 3.0, 4.0]));
        assert_eq!(weights[1], (vec![2, 2], vec![0.0, 7.0, 0.0, 8.0]));
        assert_eq!(
            changes
                .layers
                .iter()
                .map(|l| l.tensor.as_str())
                .collect::<Vec<_>>(),
            ["w", "k"]
        );
        let x = crate::reference::Array::new(&[2, 2], vec![0.0; 4]);
        let tensors = crate::reference::run(&result, &x);
        assert_eq!(tensors["sum"].values, [1.0, 2.0, 3.0, 4.0]);
    }

    #[test]
    fn layers_out_of_reach_are_noted() {
        let net = Net::new(13)
            .input("x", &[2, 2])
            .output("y", &[2, 2])
            .floats("w", &[2, 2], &[1.0, 2.0, 3.0, 4.0])
            .node("Mul", &["w", "w"], "square")
            .node("Gemm", &["x", "square"], "h")
            .node("Gemm", &["h", "w"], "y");
        let (_, changes) = prune(&net.model(), 0.5, PruneScope::PerLayer, &Layers::ALL).unwrap();
        assert_eq!(changes.layers.len(), 1);
        assert!(changes.notes[0].contains("`make_h`"), "{:?}", changes.notes);
    }

    #[test]
    fn refusals() {
        let model = linear(&[1.0, 2.0]).model();
        for fraction in [0.0, -0.1, 1.1, f64::NAN] {
            let error = prune(&model, fraction, PruneScope::PerLayer, &Layers::ALL).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Argument);
        }
        let unchanged = [(linear(&[0.0, 2.0]), 0.5), (linear(&[1.0, 2.0]), 0.1)];
        for (net, fraction) in unchanged {
            let error =
                prune(&net.model(), fraction, PruneScope::Global, &Layers::ALL).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unchanged);
        }
        let error = prune(
            &linear(&[1.0, f32::NAN]).model(),
            0.5,
            PruneScope::PerLayer,
            &Layers::ALL,
        )
        .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Tensor);
    }

    proptest! {
        #[test]
        fn keeps_the_largest(values in prop::collection::vec(-1e3_f32..1e3, 1..40), fraction in 0.01_f64..=1.0) {
            let model = linear(&values).model();
            let count = (fraction * values.len() as f64).round_ties_even() as usize;
            let mut order: Vec<usize> = (0..values.len()).collect();
            order.sort_by(|a, b| values[*a].abs().total_cmp(&values[*b].abs()));
            let mut expected = values.clone();
            for weight in &order[..count] {
                expected[*weight] = 0.0;
            }
            match prune(&model, fraction, PruneScope::PerLayer, &Layers::ALL) {
                Ok((result, changes)) => {
                    prop_assert_eq!(&crate::weights(&result).unwrap()[0].values, &expected);
                    prop_assert_eq!(changes.zeroed(), order[..count].iter().filter(|p| values[**p] != 0.0).count());
                }
                Err(error) => {
                    prop_assert_eq!(error.kind(), ErrorKind::Unchanged);
                    prop_assert_eq!(expected, values);
                }
            }
        }
    }
}
