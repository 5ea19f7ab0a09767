//! What this version of rten computes wrongly, found by comparing it operator
//! by operator with ONNX Runtime and ONNX's own reference evaluator.
//!
//! `tests/golden/README.md` explains how that was done and gives the figures. A
//! network that holds one of these is refused, since rten answers it with
//! plausible, wrong numbers. The list belongs to [`VERSION`](super::VERSION)
//! and is to be gone through anew when that changes.
//!
//! Three faults are not refused, because they depend on values that only show
//! while running, and values that far out do not occur in image classifiers:
//! a `QuantizeLinear` to uint8 of more than 2^31 quanta saturates to the wrong
//! end, int64 arithmetic is done in 32 bits, and float16 and float64 tensors
//! are computed in float32 (which loses nothing of float16).
//!
//! Nor is a difference of one quantum in `QuantizeLinear`: rten multiplies by
//! the reciprocal of the scale where ONNX divides, so that values halfway
//! between two quanta may go to the other one.

use recert_graph::proto::onnx::tensor_proto::DataType;

use crate::engines::faults::Fault;

const OTHER_ENGINE: &str = "choose the engine onnxruntime";
const STATIC: &str =
    "quantize it statically (QuantizeLinear/DequantizeLinear), or choose the engine onnxruntime";
const OPSET: &str = "export it with opset 13 or later, or choose the engine onnxruntime";

pub(super) const FAULTS: [Fault; 10] = [
    // Wrong in 49 of 96 cases, by up to 5 times the largest value: wherever
    // there is padding, and wherever the weights are int8 or have a zero point
    // (but for plain 1x1 and depthwise convolutions). Without VNNI as the next.
    Fault {
        operators: &["ConvInteger"],
        when: |_| true,
        computation: "integer convolutions",
        advice: STATIC,
    },
    // Wrong in 6 of 40 cases, by up to a fifth of the largest value: for
    // constant int8 weights with a zero point other than 0. And on x86
    // processors without VNNI sums of two products saturate at 16 bits, as
    // rten's own documentation of its kernels says.
    Fault {
        operators: &["MatMulInteger", "DynamicQuantizeLSTM"],
        when: |_| true,
        computation: "integer matrix products",
        advice: STATIC,
    },
    // The padding goes to the end instead of to the beginning.
    Fault {
        operators: &["Conv", "ConvTranspose", "MaxPool", "AveragePool"],
        when: |site| site.text("auto_pad") == Some("SAME_LOWER"),
        computation: "auto_pad SAME_LOWER",
        advice: "export it with explicit pads, or choose the engine onnxruntime",
    },
    // 2.7 becomes 2 and 0.5 becomes 0, where both are true, that is 1.
    Fault {
        operators: &["Cast"],
        when: |site| site.integer("to") == Some(DataType::Bool as i64),
        computation: "conversion to bool",
        advice: OTHER_ENGINE,
    },
    // As Cast; what it converts to is not in the file.
    Fault {
        operators: &["CastLike"],
        when: |_| true,
        computation: "conversion to bool",
        advice: "export it with Cast, or choose the engine onnxruntime",
    },
    // Interpolates linearly, without a word.
    Fault {
        operators: &["Resize"],
        when: |site| site.text("mode") == Some("cubic"),
        computation: "cubic interpolation",
        advice: OTHER_ENGINE,
    },
    // Before opset 13 these worked on all axes from the stated one on, by
    // default from axis 1 on; rten does what opset 13 specifies.
    Fault {
        operators: &["Softmax", "LogSoftmax"],
        when: |site| site.opset() < 13 && !site.is_last_axis(),
        computation: "the meaning it had before opset 13",
        advice: OPSET,
    },
    // Of equal values the last is taken instead of the first. An ArgMax that
    // makes the network's output does not come here: recert takes it over.
    Fault {
        operators: &["ArgMax", "ArgMin"],
        when: |_| true,
        computation: "ties",
        advice: "name the output with the logits, or choose the engine onnxruntime",
    },
    // The sign of 0 is 1.
    Fault {
        operators: &["Sign"],
        when: |_| true,
        computation: "the sign of 0",
        advice: OTHER_ENGINE,
    },
    // Infinite from 89 on.
    Fault {
        operators: &["Softplus"],
        when: |_| true,
        computation: "values above 88",
        advice: OTHER_ENGINE,
    },
];
