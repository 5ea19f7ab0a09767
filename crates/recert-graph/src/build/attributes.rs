//! The attributes that operators may have. One that is not listed here would
//! otherwise be ignored, and with it whatever it changes.

use super::source::Source;
use crate::error::Result;
use crate::proto::onnx::AttributeProto;

/// Attributes that change nothing in inference, of any operator.
const INERT: [&str; 2] = ["consumed_inputs", "doc_string"];

const BROADCAST: &[&str] = &["axis", "broadcast"];
const CONVOLUTION: &[&str] = &[
    "auto_pad",
    "dilations",
    "group",
    "kernel_shape",
    "pads",
    "strides",
];
const AXIS: &[&str] = &["axis"];
const BLOCKS: &[&str] = &["blocksize", "mode"];
const REDUCTION: &[&str] = &["axes", "keepdims", "noop_with_empty_axes"];
const EXTREME: &[&str] = &["axis", "keepdims", "select_last_index"];
const NORMALIZATION: &[&str] = &["axis", "epsilon", "num_groups", "stash_type"];

/// The attributes of an operator in any opset, those that are ignored because
/// they change nothing in inference (`momentum`, `seed`, ..) included.
fn known(op_type: &str) -> &'static [&'static str] {
    match op_type {
        "Add" | "Sub" | "Mul" | "Div" | "Pow" | "And" | "Or" | "Xor" | "Equal" | "Less"
        | "Greater" => BROADCAST,
        "ArgMax" | "ArgMin" => EXTREME,
        "AveragePool" | "LpPool" | "MaxPool" => &[
            "auto_pad",
            "ceil_mode",
            "count_include_pad",
            "dilations",
            "kernel_shape",
            "p",
            "pads",
            "storage_order",
            "strides",
        ],
        "BatchNormalization" => &["epsilon", "is_test", "momentum", "spatial", "training_mode"],
        "Cast" | "CastLike" => &["round_mode", "saturate", "to"],
        "Celu" | "Elu" | "LeakyRelu" | "ThresholdedRelu" => &["alpha"],
        "Clip" => &["max", "min"],
        "Concat" | "Flatten" | "Gather" | "GatherElements" | "Hardmax" | "LogSoftmax"
        | "Softmax" => AXIS,
        "Constant" => &[
            "value",
            "value_float",
            "value_floats",
            "value_int",
            "value_ints",
        ],
        "ConstantOfShape" => &["value"],
        "Conv" | "ConvInteger" | "QLinearConv" => CONVOLUTION,
        "ConvTranspose" => &[
            "auto_pad",
            "dilations",
            "group",
            "kernel_shape",
            "output_padding",
            "output_shape",
            "pads",
            "strides",
        ],
        "CumSum" => &["exclusive", "reverse"],
        "DepthToSpace" | "SpaceToDepth" => BLOCKS,
        "DequantizeLinear" => &["axis", "block_size", "output_dtype"],
        "Dropout" => &["is_test", "ratio", "seed"],
        "Gelu" => &["approximate"],
        "Gemm" => &["alpha", "beta", "broadcast", "transA", "transB"],
        "GroupNormalization" | "InstanceNormalization" | "LayerNormalization" => NORMALIZATION,
        "HardSigmoid" => &["alpha", "beta"],
        "IsInf" => &["detect_negative", "detect_positive"],
        "LRN" => &["alpha", "beta", "bias", "size"],
        "LpNormalization" => &["axis", "p"],
        "Mod" => &["fmod"],
        "Pad" => &["mode", "paddings", "pads", "value"],
        "QuantizeLinear" => &["axis", "block_size", "output_dtype", "saturate"],
        "Reshape" => &["allowzero", "shape"],
        "Resize" | "Upsample" => &[
            "antialias",
            "axes",
            "coordinate_transformation_mode",
            "cubic_coeff_a",
            "exclude_outside",
            "extrapolation_value",
            "keep_aspect_ratio_policy",
            "mode",
            "nearest_mode",
            "scales",
        ],
        "Selu" => &["alpha", "gamma"],
        "Shape" => &["end", "start"],
        "Shrink" => &["bias", "lambd"],
        "Slice" => &["axes", "ends", "starts"],
        "Split" => &["axis", "num_outputs", "split"],
        "Squeeze" | "Unsqueeze" => &["axes"],
        "Transpose" => &["perm"],
        _ if op_type.starts_with("Reduce") => REDUCTION,
        _ => &[],
    }
}

impl Source<'_> {
    /// Refuses attributes that the operator's reading does not know.
    pub(super) fn check_attributes(&self) -> Result<()> {
        let known = known(self.op_type());
        let mut names = self.proto.attribute.iter().map(AttributeProto::name);
        let unknown = names.find(|name| !known.contains(name) && !INERT.contains(name));
        match unknown {
            None => Ok(()),
            Some(name) => Err(self.refuse(format!(
                "its attribute `{name}` is not supported here; export the network without it"
            ))),
        }
    }
}
