//! How far rounding moves a network's outputs, by trying it: Monte Carlo arithmetic
//! (Parker, "Monte Carlo arithmetic", UCLA CSD-970002, 1997), on the interpreter.

use std::sync::Arc;

use crate::reference::{Output, compute};
use crate::{
    Data, Graph, Keep, Op, Reduction, ResizeMode, Result, States, Tensor, Unary, ValueId, Variadic,
    forwards,
};

/// The outputs of `graph` for these inputs of `batch` images, every result of an operator
/// that rounds, and every constant that such an operator multiplies by, multiplied by
/// `1 + roundings u r`: u is the unit roundoff of its type, r from [-1, 1] at random and
/// anew for each number. Operators that only choose or move numbers, or make integers,
/// stay exact. What a normalization takes is moved too, for it subtracts what it has summed.
///
/// What an engine's own rounding may move the outputs by is of the size by which several
/// seeds differ; a difference far above it has another cause.
///
/// # Errors
///
/// As [`crate::Interpreter::run`].
pub fn perturbed(
    graph: &Graph,
    inputs: &[Tensor],
    batch: usize,
    roundings: f64,
    seed: u64,
) -> Result<Vec<Tensor>> {
    let mut random = Random(seed);
    let mut factors = vec![false; graph.values().len()];
    for node in graph.nodes().iter().filter(|node| multiplies(&node.op)) {
        for id in node.inputs.iter().flatten() {
            factors[id.index()] = true;
        }
    }
    let mut states = States::new(graph);
    for (position, value) in graph.values().iter().enumerate() {
        if let Some(constant) = &value.constant {
            let state = if factors[position] {
                Arc::new(random.disturb(Tensor::clone(constant), roundings))
            } else {
                Arc::clone(constant)
            };
            states.insert(ValueId(position), state);
        }
    }
    for (&id, tensor) in graph.inputs().iter().zip(inputs) {
        states.insert(id, Arc::new(tensor.clone()));
    }
    let keep = Keep::Only(graph.outputs());
    let states = forwards(graph, states, keep, |node, states| {
        let inputs = states.inputs(node);
        let inputs: Vec<Option<&Tensor>> = inputs.into_iter().map(|x| x.map(Arc::as_ref)).collect();
        let output = |id: &Option<ValueId>| {
            id.map(|id| Output {
                shape: graph.value(id).shape.at(batch),
                element: graph.value(id).element,
            })
        };
        let outputs: Vec<Option<Output>> = node.outputs.iter().map(output).collect();
        let moved = match inputs.first().copied().flatten() {
            Some(tensor) if subtracts(&node.op) => Some(random.disturb(tensor.clone(), roundings)),
            _ => None,
        };
        let mut inputs = inputs;
        if let Some(moved) = &moved {
            inputs[0] = Some(moved);
        }
        let made = compute(&node.op, &inputs, &outputs)?;
        let rounds = !is_exact(&node.op);
        let disturb = |tensor| {
            Arc::new(if rounds {
                random.disturb(tensor, roundings)
            } else {
                tensor
            })
        };
        Ok::<_, crate::Error>(made.into_iter().map(disturb).collect())
    })?;
    let outputs = graph.outputs().iter();
    Ok(outputs
        .filter_map(|&id| states.get(id).map(|tensor| Tensor::clone(tensor)))
        .collect())
}

/// Whether the operator sums products with its constants, or scales by them.
fn multiplies(op: &Op) -> bool {
    matches!(
        op,
        Op::Conv { .. }
            | Op::ConvTranspose { .. }
            | Op::Gemm { .. }
            | Op::MatMul
            | Op::BatchNormalization { .. }
            | Op::QuantizeLinear(_)
            | Op::DequantizeLinear(_)
            | Op::QLinearConv { .. }
            | Op::QLinearMatMul
    )
}

/// Whether the operator subtracts from its input what it has summed of it.
fn subtracts(op: &Op) -> bool {
    matches!(
        op,
        Op::InstanceNormalization { .. }
            | Op::LayerNormalization { .. }
            | Op::GroupNormalization { .. }
    )
}

/// Whether the operator's results are numbers that it was given, or integers.
fn is_exact(op: &Op) -> bool {
    match op {
        Op::Unary(unary) => matches!(
            unary,
            Unary::Abs
                | Unary::Ceil
                | Unary::Floor
                | Unary::Neg
                | Unary::Not
                | Unary::Relu
                | Unary::Round
                | Unary::Sign
                | Unary::ThresholdedRelu { .. }
        ),
        Op::Variadic(variadic) => matches!(variadic, Variadic::Max | Variadic::Min),
        Op::Reduce { reduction, .. } => matches!(reduction, Reduction::Max | Reduction::Min),
        Op::Resize(resize) => matches!(resize.mode, ResizeMode::Nearest(_)),
        Op::Identity
        | Op::DropoutMask
        | Op::Compare(_)
        | Op::Clip { .. }
        | Op::Where
        | Op::MaxPool { .. }
        | Op::GlobalMaxPool
        | Op::ArgExtreme { .. }
        | Op::Hardmax(_)
        | Op::Reshape
        | Op::Transpose { .. }
        | Op::Slice(_)
        | Op::Pad { .. }
        | Op::Concat { .. }
        | Op::Split { .. }
        | Op::Gather { .. }
        | Op::GatherElements { .. }
        | Op::Expand
        | Op::Tile { .. }
        | Op::DepthToSpace { .. }
        | Op::SpaceToDepth { .. }
        | Op::ShapeOf(_)
        | Op::Fill(_) => true,
        _ => false,
    }
}

/// A multiplicative generator.
struct Random(u64);

impl Random {
    /// From [-1, 1].
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005);
        self.0 = self.0.wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }

    fn disturb(&mut self, tensor: Tensor, roundings: f64) -> Tensor {
        let mut factor = |unit: f64| 1.0 + roundings * unit * self.next();
        let (shape, data) = tensor.into_parts();
        let data = match data {
            Data::Float32(mut values) => {
                for value in &mut values {
                    *value = (f64::from(*value) * factor((-24_f64).exp2())) as f32;
                }
                Data::Float32(values)
            }
            Data::Float64(mut values) => {
                for value in &mut values {
                    *value *= factor((-53_f64).exp2());
                }
                Data::Float64(values)
            }
            // Moved by less, for with some eight roundings of 2^-11 nothing would be wrong.
            Data::Float16(mut values) => {
                for value in &mut values {
                    *value = half::f16::from_f64(value.to_f64() * factor((-11_f64).exp2() / 2.0));
                }
                Data::Float16(values)
            }
            Data::BFloat16(mut values) => {
                for value in &mut values {
                    *value = half::bf16::from_f64(value.to_f64() * factor((-8_f64).exp2() / 2.0));
                }
                Data::BFloat16(values)
            }
            integers => integers,
        };
        Tensor::new(shape, data).expect("as many numbers as before")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Net, ints};
    use crate::{Builder, Interpreter, Limits};

    #[test]
    fn outputs_move_by_roundings_and_no_more() {
        let net = Net::new(13)
            .input("x", &[-1, 3, 4, 4])
            .output("y", &[-1, 2, 2, 2])
            .noise("w", &[2, 3, 3, 3])
            .node_with("Conv", &["x", "w"], "y", vec![ints("strides", &[1, 1])]);
        let graph = Builder::new(&net.model()).build().unwrap();
        let image = Tensor::new(
            vec![1, 3, 4, 4],
            Data::Float32(crate::testing::noise(3, 48)),
        );
        let image = [image.unwrap()];
        let interpreter = Interpreter::new(&graph, Limits::default()).unwrap();
        let exact = interpreter.run(&image).unwrap()[0].to_f32().unwrap();
        let still = perturbed(&graph, &image, 1, 0.0, 1).unwrap()[0].to_f32();
        assert_eq!(still.as_ref(), Some(&exact));
        // 27 products of at most 1, each moved by at most 4 u, then their sum.
        let bound = 28.0 * 27.0 * 4.0 * 2_f32.powi(-24);
        for seed in 1..5 {
            let moved = perturbed(&graph, &image, 1, 4.0, seed).unwrap()[0].to_f32();
            let moved = moved.unwrap();
            let differences = moved.iter().zip(&exact).map(|(a, b)| (a - b).abs());
            let most = differences.fold(0.0, f32::max);
            assert!(most > 0.0 && most < bound, "{most:e}, seed {seed}");
        }
    }

    #[test]
    fn what_only_moves_numbers_is_exact() {
        let net = Net::new(13)
            .input("x", &[-1, 6])
            .output("y", &[-1, 6])
            .node("Relu", &["x"], "r")
            .node_with("Transpose", &["r"], "t", vec![ints("perm", &[1, 0])])
            .node_with("Transpose", &["t"], "y", vec![ints("perm", &[1, 0])]);
        let graph = Builder::new(&net.model()).build().unwrap();
        let numbers = vec![0.1, -0.2, 0.3, -0.4, 0.5, 0.6];
        let image = [Tensor::new(vec![1, 6], Data::Float32(numbers)).unwrap()];
        let moved = perturbed(&graph, &image, 1, 1e3, 7).unwrap()[0].to_f32();
        assert_eq!(moved, Some(vec![0.1, 0.0, 0.3, 0.0, 0.5, 0.6]));
    }
}
