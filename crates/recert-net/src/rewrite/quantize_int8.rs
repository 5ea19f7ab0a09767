//! Static int8 quantization: integer weights and activations between
//! `QuantizeLinear` and `DequantizeLinear` nodes (the QDQ form).
//!
//! Engines recognise the pairs around an operator and run it in integers;
//! one that does not computes the same in float32, more slowly.

mod calibration;
mod opset;
mod plan;
mod weights;

use std::collections::{BTreeMap, HashMap};

use self::plan::Plan;
use recert_graph::index::standard_op;
use recert_graph::proto::onnx::tensor_proto::DataType;
use recert_graph::proto::onnx::tensor_shape_proto::Dimension;
use recert_graph::proto::onnx::type_proto::{Tensor, Value};
use recert_graph::proto::onnx::{NodeProto, TensorShapeProto, TypeProto, ValueInfoProto};
use recert_graph::{Error, ErrorKind, Model, Result, stored};

use super::{fold_batchnorm, fold_bias};
use crate::changes::{Changes, LayerChange};
use crate::draft::Draft;
use crate::rank::ranks;
use crate::selection::Layers;

pub use calibration::{Calibration, RangeMethod};

/// Options of [`quantize_int8_with`]: by default every layer, and 8 bits a weight.
///
/// ```
/// use recert_net::{Int8Options, Layers};
///
/// // 4 bits a weight in `conv2`, 8 in `conv1`, and float32 in all others.
/// let options = Int8Options::default()
///     .with_layers(Layers::only(["conv1", "conv2"]))
///     .with_bits_of("conv2", 4);
/// assert_eq!((options.bits("conv1"), options.bits("conv2")), (8, 4));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Int8Options {
    layers: Layers,
    bits: u8,
    bits_of: BTreeMap<String, u8>,
}

impl Default for Int8Options {
    fn default() -> Self {
        Self {
            layers: Layers::ALL,
            bits: 8,
            bits_of: BTreeMap::new(),
        }
    }
}

impl Int8Options {
    /// The layers to quantize; others compute in float32, on tensors that are not quantized for them.
    #[must_use]
    pub fn with_layers(mut self, layers: Layers) -> Self {
        self.layers = layers;
        self
    }

    /// Bits of a weight, 2 to 8, where a layer has none of its own: integers from `1 - 2^(bits - 1)` to
    /// `2^(bits - 1) - 1`, stored in a byte each. Processors without VNNI add pairs of 8-bit
    /// products in 16 bits, which saturates for large weights, so that some engines compute
    /// another function there; 7 bits cannot saturate.
    #[must_use]
    pub fn with_bits(mut self, bits: u8) -> Self {
        self.bits = bits;
        self
    }

    /// Bits of a weight of one layer.
    #[must_use]
    pub fn with_bits_of(mut self, layer: impl Into<String>, bits: u8) -> Self {
        self.bits_of.insert(layer.into(), bits);
        self
    }

    /// Bits of a weight of the layer of this name.
    pub fn bits(&self, layer: &str) -> u8 {
        self.bits_of.get(layer).copied().unwrap_or(self.bits)
    }

    /// Fails for numbers of bits that are none.
    fn check(&self) -> Result<()> {
        let mut all = self.bits_of.values().chain([&self.bits]);
        match all.find(|bits| !(2..=8).contains(*bits)) {
            None => Ok(()),
            Some(bits) => Err(Error::new(
                ErrorKind::Argument,
                format!("weights may have 2 to 8 bits, not {bits}"),
            )),
        }
    }
}

/// Names the tensors whose ranges [`quantize_int8`] needs, in graph order.
/// They are outputs of the network that [`instrument`] makes. The network's
/// own input, where its range is needed, goes by the name of a copy that
/// [`instrument`] makes of it.
///
/// # Errors
///
/// As [`quantize_int8`], as far as it depends on the network alone.
pub fn calibration_points(model: &Model) -> Result<Vec<String>> {
    let list = || {
        let (draft, _) = prepare(model)?;
        Ok(Plan::of(&draft, &Layers::ALL)?.points().to_vec())
    };
    list().map_err(|error: Error| error.at(model.name()))
}

/// The network with the given points as further outputs, after its own.
///
/// It computes what `model` computes. The caller runs it on calibration
/// inputs, noise included, and hands each point's values to
/// [`Calibration::observe`].
///
/// # Errors
///
/// [`ErrorKind::Argument`] for a name that is no point of the network.
pub fn instrument(model: &Model, points: &[String]) -> Result<Model> {
    let rewrite = || {
        let model = model.modern()?;
        let mut draft = Draft::of(&model)?;
        let index = draft.index()?;
        let ranks = ranks(model.graph_proto(), &index)?;
        let mut infos = Vec::new();
        for point in points {
            // An input cannot be an output at once for every engine, so it is
            // copied.
            let input = point.strip_prefix(plan::INPUT_POINT);
            let input =
                input.filter(|name| draft.graph().input.iter().any(|info| info.name() == *name));
            let rank = ranks.get(input.unwrap_or(point)).copied();
            if let Some(input) = input {
                let copy = draft.node("Identity", point, &[input], point, &[]);
                draft.graph_mut().node.insert(0, copy);
            } else if index.producer(point).is_none() {
                let text =
                    format!("`{point}` is no tensor of the network that calibration asks for");
                return Err(Error::new(ErrorKind::Argument, text));
            }
            if !index.is_output(point) {
                infos.push(float_info(point, rank));
            }
        }
        let graph = draft.graph_mut();
        graph.output.extend(infos);
        draft.into_model(model.name())
    };
    rewrite().map_err(|error| error.at(model.name()))
}

/// A float32 output, with as many unknown extents as it is known to have.
fn float_info(name: &str, rank: Option<usize>) -> ValueInfoProto {
    let shape = rank.map(|rank| TensorShapeProto {
        dim: vec![Dimension::default(); rank],
    });
    let tensor = Tensor {
        elem_type: Some(DataType::Float.into()),
        shape,
    };
    ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(TypeProto {
            value: Some(Value::TensorType(tensor)),
            ..TypeProto::default()
        }),
        ..ValueInfoProto::default()
    }
}

/// Quantizes the network to int8 with the default options; see
/// [`quantize_int8_with`].
///
/// # Errors
///
/// As [`quantize_int8_with`].
pub fn quantize_int8(model: &Model, calibration: &Calibration) -> Result<(Model, Changes)> {
    quantize_int8_with(model, calibration, &Int8Options::default())
}

/// Quantizes the network to int8, statically: ranges come from calibration.
///
/// First, batch normalisations and added biases are folded into the layers
/// (the same function over the reals). Then
/// - weights of `Conv`, `Gemm` and `MatMul` become int8, symmetric, with a
///   scale for each output channel: `w = scale q`, `q` in -127 to 127;
/// - their biases become int32 with scale `input scale * weight scale`;
/// - activations become uint8, `x = scale (q - zero point)`, with one scale a
///   tensor, the calibrated range divided by 255, in which 0 is exact: the
///   inputs of these layers, of additions of two activations, of `Concat` and
///   of average poolings. Operators that only move or select values
///   (`MaxPool`, `Slice`, `Pad` with zeros, `Reshape` ...) keep the scale of
///   what they take, so they lose nothing;
/// - a `Relu` or `Clip` stays between its layer and the quantization, where
///   engines merge all three;
/// - outputs of the network stay float32, and so do all other operators.
///
/// `ConvTranspose`, layers whose weights are on the left or in stacks, and
/// layers that take a known tensor stay float32, and so do layers that are not among `options`' and
/// the additions, concatenations and poolings of what any of these makes. The operator set becomes 13
/// where it is older, if every operator means the same there.
///
/// # Errors
///
/// [`ErrorKind::Argument`] for a layer that is not there and for numbers of bits outside 2 to 8;
/// [`ErrorKind::Calibration`] where a point was not observed;
/// [`ErrorKind::Unsupported`] for a network that is quantized already, has no
/// layer to quantize, subgraphs, weights other than float32, or an operator
/// that means something else in operator set 13; [`ErrorKind::Unchanged`]
/// where no weight would change.
pub fn quantize_int8_with(
    model: &Model,
    calibration: &Calibration,
    options: &Int8Options,
) -> Result<(Model, Changes)> {
    rewrite(model, calibration, options).map_err(|error| error.at(model.name()))
}

/// Folds what can be folded; also the number of batch normalisations folded.
fn prepare(model: &Model) -> Result<(Draft, usize)> {
    let quantizers = [
        "QuantizeLinear",
        "DequantizeLinear",
        "DynamicQuantizeLinear",
        "QLinearConv",
        "QLinearMatMul",
        "ConvInteger",
        "MatMulInteger",
    ];
    // What int8 raises the operator set of.
    let mut draft = Draft::of(&*model.modern()?)?;
    if let Some(node) = draft
        .graph()
        .node
        .iter()
        .find(|node| quantizers.contains(&standard_op(node)))
    {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "the network is quantized already: it holds `{}`",
                node.op_type()
            ),
        ));
    }
    let folded = fold_batchnorm::fold(&mut draft)?.len();
    fold_bias::fold_added_bias(&mut draft)?;
    fold_bias::normalize_gemm(&mut draft)?;
    draft.remove_unused();
    Ok((draft, folded))
}

fn rewrite(
    model: &Model,
    calibration: &Calibration,
    options: &Int8Options,
) -> Result<(Model, Changes)> {
    options.check()?;
    let (mut draft, folded) = prepare(model)?;
    let plan = Plan::of(&draft, &options.layers)?;
    let scales = activation_scales(&plan, calibration)?;
    opset::raise_to_13(&mut draft)?;

    let mut notes = plan.notes().to_vec();
    let (layers, first) = weights::quantize(&mut draft, &plan, &scales, options, &mut notes)?;
    insert_activations(&mut draft, &plan, &scales);
    draft.graph_mut().node.splice(0..0, first);
    draft.remove_unused();

    let mut changes = report(layers, folded, calibration, options);
    changes.notes = notes;
    changes.require_change()?;
    draft.finish(model, changes)
}

fn report(
    layers: Vec<LayerChange>,
    folded: usize,
    calibration: &Calibration,
    options: &Int8Options,
) -> Changes {
    let bits = match options.bits {
        8 => "int8".to_owned(),
        fewer => format!("int8 ({fewer} bits used)"),
    };
    let of = (options.bits_of.iter()).map(|(layer, bits)| format!(", {bits} bits in {layer}"));
    let mut changes = Changes::new(
        format!(
            "quantized: {bits} weights with a scale for each channel, uint8 activations with scales from {}{}{}",
            calibration.method(),
            of.collect::<String>(),
            options.layers.words(),
        ),
        "integer arithmetic (uint8 by int8 into int32) where the engine has it, else float32 on the same \
         grid; float32 in the rest and in the outputs"
            .to_owned(),
        layers,
    );
    changes.folded_batchnorms = folded;
    changes
}

/// Scale and zero point of an activation.
#[derive(Debug, Clone, Copy, PartialEq)]
struct ActivationScale {
    scale: f32,
    zero_point: u8,
}

/// The scale of each point.
fn activation_scales(
    plan: &Plan,
    calibration: &Calibration,
) -> Result<HashMap<String, ActivationScale>> {
    let mut scales = HashMap::new();
    for point in plan.points() {
        let (low, high) = calibration.range(point)?;
        scales.insert(point.clone(), activation_scale(point, low, high)?);
    }
    Ok(scales)
}

/// The grid of 256 values that covers `low <= 0 <= high` with 0 on it.
fn activation_scale(point: &str, low: f32, high: f32) -> Result<ActivationScale> {
    let (low, high) = (f64::from(low).min(0.0), f64::from(high).max(0.0));
    let scale = ((high - low) / 255.0) as f32;
    // Engines work out values on the grid in float32.
    if high - low > f64::from(f32::MAX) {
        let text = format!("the range {low} to {high} of `{point}` is too wide to quantize");
        return Err(Error::new(ErrorKind::Calibration, text));
    }
    if scale < f32::MIN_POSITIVE {
        // The tensor is zero on every calibration input; any grid shows that.
        return Ok(ActivationScale {
            scale: 1.0,
            zero_point: 0,
        });
    }
    let zero_point = (-low / f64::from(scale))
        .round_ties_even()
        .clamp(0.0, 255.0) as u8;
    Ok(ActivationScale { scale, zero_point })
}

/// Puts a quantization and a dequantization after every planned tensor, and
/// lets all that took the tensor take the dequantized one, but for what stays in float32 because it
/// was not chosen.
fn insert_activations(draft: &mut Draft, plan: &Plan, scales: &HashMap<String, ActivationScale>) {
    let mut parameters: HashMap<&str, (String, String)> = HashMap::new();
    for point in plan.points() {
        let ActivationScale { scale, zero_point } = scales[point];
        let scale_name = draft.fresh_name(&format!("{point}_scale"));
        let zero_name = draft.fresh_name(&format!("{point}_zero_point"));
        draft.add_initializer(stored::from_f32(&scale_name, &[], &[scale]));
        draft.add_initializer(stored::from_u8(&zero_name, &[], &[zero_point]));
        parameters.insert(point, (scale_name, zero_name));
    }
    let mut renamed: HashMap<&str, String> = HashMap::new();
    let mut pairs: HashMap<&str, [NodeProto; 2]> = HashMap::new();
    for (name, point) in plan.tensors() {
        let (scale, zero) = &parameters[point.as_str()];
        let quantized = draft.fresh_name(&format!("{name}_quantized"));
        let dequantized = draft.fresh_name(&format!("{name}_dequantized"));
        let quantize = format!("{name}_QuantizeLinear");
        let dequantize = format!("{name}_DequantizeLinear");
        let quantize = draft.node(
            "QuantizeLinear",
            &quantize,
            &[name, scale, zero],
            &quantized,
            &[],
        );
        let dequantize = draft.node(
            "DequantizeLinear",
            &dequantize,
            &[&quantized, scale, zero],
            &dequantized,
            &[],
        );
        renamed.insert(name, dequantized);
        pairs.insert(name, [quantize, dequantize]);
    }
    let inputs: Vec<String> = draft
        .graph()
        .input
        .iter()
        .map(|info| info.name().to_owned())
        .collect();
    let nodes = std::mem::take(&mut draft.graph_mut().node);
    let mut result = Vec::with_capacity(nodes.len() + 2 * pairs.len());
    result.extend(
        inputs
            .iter()
            .filter_map(|name| pairs.remove(name.as_str()))
            .flatten(),
    );
    for (position, mut node) in nodes.into_iter().enumerate() {
        for name in (node.input.iter_mut()).filter(|_| !plan.stays(position)) {
            if let Some(other) = renamed.get(name.as_str()) {
                name.clone_from(other);
            }
        }
        let outputs = node.output.clone();
        result.push(node);
        result.extend(
            outputs
                .iter()
                .filter_map(|name| pairs.remove(name.as_str()))
                .flatten(),
        );
    }
    draft.graph_mut().node = result;
}

#[cfg(test)]
mod tests;
