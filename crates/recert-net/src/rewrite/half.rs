//! Half precision: weights and biases rounded to 16 bits.

use half::{bf16, f16};

use recert_graph::index::output;
use recert_graph::proto::onnx::tensor_proto::DataType;
use recert_graph::{Error, ErrorKind, Model, Result, stored};

use super::operands::{Operand, Role, own_operands};
use crate::changes::{Changes, LayerChange};
use crate::constant::Source;
use crate::draft::{Draft, is_float32};
use crate::selection::Layers;

/// A floating-point format of 16 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HalfFormat {
    /// IEEE 754 binary16: 11 significant bits, largest 65504. The file stores
    /// 16 bits a weight and a `Cast` to float32 each.
    Float16,
    /// bfloat16: 8 significant bits, the range of float32. The file stores
    /// the rounded weights as float32, since many engines read no bfloat16.
    BFloat16,
}

/// Rounds the weights and biases of the convolution and linear layers of `layers` to 16
/// bits, to nearest, half to even.
///
/// Only tensors that serve as weights or biases are rounded: the constants of
/// an input normalisation and the parameters of batch normalisations stay
/// float32, and nothing is folded before. Any engine computes in float32 on the rounded values, so the
/// result is the same function on all of them up to float32 rounding.
///
/// # Errors
///
/// [`ErrorKind::Argument`] for a layer that is not there;
/// [`ErrorKind::Tensor`] where a value overflows the format, with the tensor's
/// name; [`ErrorKind::Unchanged`] where every weight is representable already;
/// [`ErrorKind::Unsupported`] for quantized weights and subgraphs.
pub fn half(model: &Model, format: HalfFormat, layers: &Layers) -> Result<(Model, Changes)> {
    rewrite(model, format, layers).map_err(|error| error.at(model.name()))
}

fn rewrite(model: &Model, format: HalfFormat, chosen: &Layers) -> Result<(Model, Changes)> {
    let mut draft = Draft::of(model)?;
    let (operands, note) = own_operands(&mut draft, true, chosen)?;
    let mut layers = Vec::new();
    let mut subnormals = 0;
    let mut rounded = Vec::new();
    for operand in &operands {
        let values = round(operand, format)?;
        subnormals += values.iter().filter(|v| is_subnormal(**v, format)).count();
        if operand.role == Role::Weights {
            let Operand {
                layer, op, name, ..
            } = operand;
            layers.push(LayerChange::compare(
                layer.clone(),
                op,
                name,
                &operand.values,
                &values,
            ));
        }
        rounded.push(values);
    }
    let words = match format {
        HalfFormat::Float16 => "weights and biases rounded to float16 (IEEE binary16)",
        HalfFormat::BFloat16 => "weights and biases rounded to bfloat16, stored as float32",
    };
    let arithmetic = "float32 arithmetic on the rounded values".to_owned();
    let mut changes = Changes::new(format!("{words}{}", chosen.words()), arithmetic, layers);
    if subnormals > 0 {
        changes.notes.push(format!(
            "{subnormals} values are subnormal in the format, so rounded with a larger relative error"
        ));
    }
    changes.notes.extend(note);
    changes.require_change()?;

    match format {
        HalfFormat::BFloat16 => {
            for (operand, values) in operands.iter().zip(&rounded) {
                stored::store(operand.source.tensor_mut(draft.graph_mut()), values)?;
            }
        }
        HalfFormat::Float16 => narrow(&mut draft, &operands, &rounded)?,
    }
    draft.finish(model, changes)
}

fn round(operand: &Operand, format: HalfFormat) -> Result<Vec<f32>> {
    let to = |value: f32| match format {
        HalfFormat::Float16 => f16::from_f32(value).to_f32(),
        HalfFormat::BFloat16 => bf16::from_f32(value).to_f32(),
    };
    let values: Vec<f32> = operand.values.iter().map(|value| to(*value)).collect();
    match operand
        .values
        .iter()
        .zip(&values)
        .find(|(_, rounded)| rounded.is_infinite())
    {
        None => Ok(values),
        Some((value, _)) => Err(Error::new(
            ErrorKind::Tensor,
            format!(
                "tensor `{}` of layer `{}` holds {value}, which overflows {}",
                operand.name,
                operand.layer,
                match format {
                    HalfFormat::Float16 => "float16; bfloat16 has the range of float32",
                    HalfFormat::BFloat16 => "bfloat16",
                }
            ),
        )),
    }
}

fn is_subnormal(value: f32, format: HalfFormat) -> bool {
    let least = match format {
        HalfFormat::Float16 => f16::MIN_POSITIVE.to_f32(),
        HalfFormat::BFloat16 => bf16::MIN_POSITIVE.to_f32(),
    };
    value != 0.0 && value.abs() < least
}

/// Stores the tensors as float16 and widens each where it is taken.
fn narrow(draft: &mut Draft, operands: &[Operand], rounded: &[Vec<f32>]) -> Result<()> {
    let mut first = Vec::new();
    let mut after = Vec::new();
    for (operand, values) in operands.iter().zip(rounded) {
        if !is_float32(operand.source.tensor(draft.graph())) {
            // Stored in 16 bits already, by an earlier rewrite or exporter.
            continue;
        }
        let name = operand.source.name(draft.graph()).to_owned();
        let narrow = draft.fresh_name(&format!("{name}_float16"));
        let node = format!("{name}_to_float32");
        let cast = draft.node(
            "Cast",
            &node,
            &[&narrow],
            &name,
            &[("to", DataType::Float as i64)],
        );
        let values: Vec<f16> = values.iter().map(|value| f16::from_f32(*value)).collect();
        let stored = operand.source.tensor_mut(draft.graph_mut());
        let shape = stored::shape(stored)?;
        let inner = match operand.source {
            Source::Initializer(_) => narrow.clone(),
            Source::Node(_) => stored.name().to_owned(),
        };
        *stored = stored::from_f16(&inner, &shape, &values);
        match operand.source {
            Source::Initializer(_) => first.push(cast),
            Source::Node(position) => {
                debug_assert_eq!(output(&draft.graph().node[position]), name);
                draft.graph_mut().node[position].output[0] = narrow;
                after.push((position, cast));
            }
        }
    }
    // From the end, so that positions before stay what they are.
    after.sort_by_key(|(position, _)| std::cmp::Reverse(*position));
    let nodes = &mut draft.graph_mut().node;
    for (position, cast) in after {
        nodes.insert(position + 1, cast);
    }
    nodes.splice(0..0, first);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;
    use crate::reference::outputs;
    use recert_graph::testing::{Net, constant};

    fn linear(values: &[f32]) -> Net {
        Net::new(13)
            .input("x", &[1, values.len() as i64])
            .output("y", &[1, 1])
            .floats("w", &[values.len(), 1], values)
            .node("MatMul", &["x", "w"], "y")
    }

    #[test]
    fn golden_network_agrees_with_numpy_and_onnx_runtime() {
        for (format, name) in [
            (HalfFormat::Float16, "float16"),
            (HalfFormat::BFloat16, "bfloat16"),
        ] {
            let (result, changes) = half(&golden::network(), format, &Layers::ALL).unwrap();
            golden::assert_close(
                &outputs(&result, &golden::images()),
                &golden::floats(name),
                1e-5,
            );
            assert_eq!(changes.layers.len(), 4);
            // Half a unit in the last of 11 or 8 significant bits.
            let bits = if format == HalfFormat::Float16 { 11 } else { 8 };
            assert!(
                changes
                    .layers
                    .iter()
                    .all(|l| l.max_rel_error <= f64::from(-bits).exp2()),
                "{changes:?}"
            );
        }
    }

    #[test]
    fn rounds_to_nearest_half_to_even() {
        let ulp16 = 2.0_f32.powi(-10);
        let ulpb = 2.0_f32.powi(-7);
        // (format, value, rounded)
        let table = [
            (HalfFormat::Float16, 1.0 + ulp16 / 2.0, 1.0),
            (HalfFormat::Float16, 1.0 + 1.5 * ulp16, 1.0 + 2.0 * ulp16),
            (HalfFormat::Float16, 65519.0, 65504.0),
            (HalfFormat::Float16, 2.0_f32.powi(-25), 0.0),
            (
                HalfFormat::Float16,
                1.5 * 2.0_f32.powi(-25),
                2.0_f32.powi(-24),
            ),
            (HalfFormat::BFloat16, 1.0 + ulpb / 2.0, 1.0),
            (HalfFormat::BFloat16, 1.0 + 1.5 * ulpb, 1.0 + 2.0 * ulpb),
            (HalfFormat::BFloat16, 65519.0, 65536.0),
        ];
        for (format, value, rounded) in table {
            let (result, changes) =
                half(&linear(&[value, 1.0]).model(), format, &Layers::ALL).unwrap();
            assert_eq!(
                crate::weights(&result).unwrap()[0].values,
                [rounded, 1.0],
                "{format:?} {value}"
            );
            assert_eq!(changes.changed(), 1);
        }
    }

    #[test]
    fn refuses_overflow_and_no_change() {
        let error = half(
            &linear(&[1.1, 65520.0]).model(),
            HalfFormat::Float16,
            &Layers::ALL,
        )
        .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Tensor);
        assert!(error.to_string().contains("`w`"), "{error}");
        let error = half(
            &linear(&[1.1, f32::MAX]).model(),
            HalfFormat::BFloat16,
            &Layers::ALL,
        )
        .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Tensor);
        for format in [HalfFormat::Float16, HalfFormat::BFloat16] {
            let error = half(&linear(&[0.5, -2.0]).model(), format, &Layers::ALL).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unchanged);
            // Rounded once, rounding again changes nothing.
            let (result, _) = half(&linear(&[0.3, -2.0]).model(), format, &Layers::ALL).unwrap();
            assert_eq!(
                half(&result, format, &Layers::ALL).unwrap_err().kind(),
                ErrorKind::Unchanged
            );
        }
    }

    #[test]
    fn float16_halves_the_file_and_reports_subnormals() {
        let values = recert_graph::testing::noise(5, 10_000);
        let (result, changes) =
            half(&linear(&values).model(), HalfFormat::Float16, &Layers::ALL).unwrap();
        assert!(changes.size_after * 10 < changes.size_before * 6);
        assert_eq!(changes.size_after, result.size());
        let (_, changes) = half(
            &linear(&[1e-6, 0.3]).model(),
            HalfFormat::Float16,
            &Layers::ALL,
        )
        .unwrap();
        assert!(
            changes.notes[0].starts_with("1 values are subnormal"),
            "{:?}",
            changes.notes
        );
    }

    #[test]
    fn constants_become_float16_too_and_the_rest_stays() {
        let net = Net::new(13)
            .input("x", &[1, 2])
            .output("y", &[1, 2])
            .floats("w", &[2, 2], &[0.1, 0.2, 0.3, 0.4])
            .floats("scale", &[2], &[0.1, 0.7])
            .node("Sub", &["x", "scale"], "scaled")
            .node("MatMul", &["scaled", "w"], "h")
            .node_with(
                "Constant",
                &[],
                "bias",
                vec![constant("", &[2], &[0.1, 0.2])],
            )
            .node("Add", &["h", "bias"], "y");
        let (result, _) = half(&net.model(), HalfFormat::Float16, &Layers::ALL).unwrap();
        let x = crate::reference::Array::new(&[1, 2], vec![0.0, 0.0]);
        let tensors = crate::reference::run(&result, &x);
        let rounded = |v: f32| f64::from(f16::from_f32(v).to_f32());
        assert_eq!(tensors["bias"].values, [rounded(0.1), rounded(0.2)]);
        assert_eq!(tensors["w"].values, [0.1, 0.2, 0.3, 0.4].map(rounded));
        assert_eq!(
            tensors["scale"].values,
            [f64::from(0.1_f32), f64::from(0.7_f32)]
        );
        // It can be pruned afterwards: zero is exact in float16.
        let (pruned, _) =
            crate::prune(&result, 0.5, crate::PruneScope::PerLayer, &Layers::ALL).unwrap();
        assert_eq!(crate::weights(&pruned).unwrap()[0].values[..2], [0.0, 0.0]);
        let text = pruned.metadata("recert.approximation").unwrap();
        assert!(
            text.contains("float16") && text.contains("; then pruned"),
            "{text}"
        );
    }
}
