//! Weights to int8 and biases to int32.

use std::collections::HashMap;

use recert_graph::index::input;
use recert_graph::proto::onnx::NodeProto;
use recert_graph::{Result, stored};

use super::plan::Plan;
use super::{ActivationScale, Int8Options};
use crate::changes::LayerChange;
use crate::constant;
use crate::draft::Draft;
use crate::layers::check_finite;

/// Larger than this no quantized bias gets; a margin below the end of int32
/// is left for what the engine adds to it.
const MAX_BIAS: f64 = (1_u64 << 30) as f64;

/// Replaces the weights and biases of the planned layers by integers and
/// dequantizations. Returns the report and the new nodes, which depend on
/// nothing and belong at the graph's beginning.
pub(super) fn quantize(
    draft: &mut Draft,
    plan: &Plan,
    scales: &HashMap<String, ActivationScale>,
    options: &Int8Options,
    notes: &mut Vec<String>,
) -> Result<(Vec<LayerChange>, Vec<NodeProto>)> {
    let index = draft.index()?;
    let mut changes = Vec::new();
    let mut nodes = Vec::new();
    let mut coarser = 0;
    let mut float_biases = 0;
    for layer in plan.layers() {
        let graph = draft.graph();
        let node = &graph.node[layer.node];
        let op = node.op_type().to_owned();
        let name = layer.name(graph);
        let operand = layer.operand(graph).to_owned();
        let data = input(node, 0).unwrap_or_default();
        let (Some(axis), Some(point)) = (layer.channel_axis(graph), plan.point(data)) else {
            continue;
        };
        let input_scale = f64::from(scales[point].scale);
        let bias_name = input(node, 2).filter(|_| op != "MatMul").map(str::to_owned);
        let bias = match &bias_name {
            Some(bias) => constant::value(graph, &index, bias)?,
            None => None,
        };

        let shape = &layer.constant.shape;
        let weights = &layer.constant.values;
        let channels = Channels {
            count: shape[axis],
            inner: shape[axis + 1..].iter().product(),
        };
        let largest = ((1_i16 << (options.bits(&name) - 1)) - 1) as i8;
        let mut weight_scales = channels.scales(weights, largest);
        // A bias must be one number a channel to be quantized with it.
        let bias = bias.and_then(|bias| bias.per_channel(channels.count));
        if let Some(bias) = &bias {
            check_finite(&name, bias)?;
            coarser += widen(&mut weight_scales, bias, input_scale);
        }
        float_biases += usize::from(bias_name.is_some() && bias.is_none());

        let quantized = channels.quantize(weights, &weight_scales, largest);
        let restored = channels.dequantize(&quantized, &weight_scales);
        changes.push(LayerChange::compare(
            name, &op, &operand, weights, &restored,
        ));

        let stored = [
            stored::from_i8("quantized", shape, &quantized),
            stored::from_f32("scale", &[channels.count], &weight_scales),
            stored::from_i8("zero_point", &[channels.count], &vec![0; channels.count]),
        ];
        let (weights, node) = dequantized(draft, &operand, axis, stored);
        nodes.push(node);
        draft.graph_mut().node[layer.node].input[1] = weights;

        if let (Some(bias), Some(bias_name)) = (bias, bias_name) {
            // The scale that engines expect is the product in float32.
            let bias_scales: Vec<f32> = weight_scales
                .iter()
                .map(|scale| input_scale as f32 * scale)
                .collect();
            let quantized: Vec<i32> = bias
                .iter()
                .zip(&bias_scales)
                .map(|(bias, scale)| {
                    (f64::from(*bias) / f64::from(*scale)).round_ties_even() as i32
                })
                .collect();
            let stored = [
                stored::from_i32("quantized", &[channels.count], &quantized),
                stored::from_f32("scale", &[channels.count], &bias_scales),
                stored::from_i32("zero_point", &[channels.count], &vec![0; channels.count]),
            ];
            let (bias, node) = dequantized(draft, &bias_name, 0, stored);
            nodes.push(node);
            draft.graph_mut().node[layer.node].input[2] = bias;
        }
    }
    if coarser > 0 {
        notes.push(format!(
            "{coarser} channels have a coarser weight scale than their weights ask for, so that the bias fits int32"
        ));
    }
    if float_biases > 0 {
        notes.push(format!(
            "{float_biases} biases stay float32: they are not one known number a channel"
        ));
    }
    Ok((changes, nodes))
}

/// Adds the stored integers, scale and zero point, named after `operand`, and
/// makes the node that restores the floats; also the name of its result.
fn dequantized(
    draft: &mut Draft,
    operand: &str,
    axis: usize,
    stored: [recert_graph::proto::onnx::TensorProto; 3],
) -> (String, NodeProto) {
    let mut names = Vec::new();
    for mut part in stored {
        let name = draft.fresh_name(&format!("{operand}_{}", part.name()));
        part.name = Some(name.clone());
        draft.add_initializer(part);
        names.push(name);
    }
    let result = draft.fresh_name(&format!("{operand}_dequantized"));
    let inputs: Vec<&str> = names.iter().map(String::as_str).collect();
    let name = format!("{operand}_DequantizeLinear");
    let node = draft.node(
        "DequantizeLinear",
        &name,
        &inputs,
        &result,
        &[("axis", axis as i64)],
    );
    (result, node)
}

/// How weights fall into output channels.
struct Channels {
    count: usize,
    /// How many consecutive weights belong to one channel.
    inner: usize,
}

impl Channels {
    fn channel(&self, position: usize) -> usize {
        position / self.inner % self.count
    }

    /// The scale of each channel: its largest magnitude divided by the largest
    /// integer. A channel of zeros gets the finest scale of its layer.
    fn scales(&self, weights: &[f32], largest: i8) -> Vec<f32> {
        let mut magnitudes = vec![0.0_f32; self.count];
        for (position, weight) in weights.iter().enumerate() {
            let magnitude = &mut magnitudes[self.channel(position)];
            *magnitude = magnitude.max(weight.abs());
        }
        let scale = |magnitude: f32| magnitude / f32::from(largest);
        let usable = |scale: &f32| *scale >= f32::MIN_POSITIVE;
        let finest = magnitudes
            .iter()
            .map(|m| scale(*m))
            .filter(usable)
            .fold(f32::MAX, f32::min);
        let finest = if finest == f32::MAX { 1.0 } else { finest };
        magnitudes
            .into_iter()
            .map(|m| Some(scale(m)).filter(usable).unwrap_or(finest))
            .collect()
    }

    fn quantize(&self, weights: &[f32], scales: &[f32], largest: i8) -> Vec<i8> {
        let limit = f64::from(largest);
        let one = |(position, weight): (usize, &f32)| {
            let steps = f64::from(*weight) / f64::from(scales[self.channel(position)]);
            steps.round_ties_even().clamp(-limit, limit) as i8
        };
        weights.iter().enumerate().map(one).collect()
    }

    fn dequantize(&self, quantized: &[i8], scales: &[f32]) -> Vec<f32> {
        let one = |(position, q): (usize, &i8)| f32::from(*q) * scales[self.channel(position)];
        quantized.iter().enumerate().map(one).collect()
    }
}

/// Widens the scales of channels whose bias would not fit int32 otherwise;
/// returns how many.
fn widen(scales: &mut [f32], bias: &[f32], input_scale: f64) -> usize {
    let mut count = 0;
    for (scale, bias) in scales.iter_mut().zip(bias) {
        // One float32 step up, so that rounding does not undo it.
        let least = ((f64::from(bias.abs()) / (input_scale * MAX_BIAS)) as f32).next_up();
        if *scale < least {
            *scale = least;
            count += 1;
        }
        // The product with the input's scale must be a normal float32.
        while (input_scale as f32) * *scale < f32::MIN_POSITIVE {
            *scale *= 2.0;
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_follow_each_channel() {
        // Two channels on axis 0 of [2, 2], and on axis 1.
        let weights = [1.27, -0.5, 0.0, 0.0];
        let rows = Channels { count: 2, inner: 2 };
        assert_eq!(rows.scales(&weights, 127), [1.27 / 127.0, 1.27 / 127.0]);
        let columns = Channels { count: 2, inner: 1 };
        assert_eq!(columns.scales(&weights, 127), [1.27 / 127.0, 0.5 / 127.0]);
        assert_eq!(
            columns.quantize(&weights, &[0.01, 0.01], 127),
            [127, -50, 0, 0]
        );
        assert_eq!(
            columns.quantize(&weights, &[0.01, 0.01], 63),
            [63, -50, 0, 0]
        );
    }

    #[test]
    fn a_large_bias_widens_its_channel_alone() {
        let mut scales = [1e-12, 0.01];
        assert_eq!(widen(&mut scales, &[5.0, 5.0], 0.1), 1);
        assert!(5.0 / (0.1 * f64::from(scales[0])) <= MAX_BIAS);
        assert_eq!(scales[1], 0.01);
    }
}
