//! What OpenVINO computes wrongly, found by comparing it with the hand-made
//! networks of the tests and with the examples of ONNX's own specification.
//!
//! `tests/golden/README.md` explains how that was done, with version 2026.4.1, and
//! gives the figures. The library is the one that happens to be installed, so
//! the list is applied to every version.
//!
//! Not refused are differences of one quantum in `DynamicQuantizeLinear` where a
//! value lies halfway between two quanta, and `Softmax` of minus infinity
//! alone, which is 0 instead of NaN.

use crate::engines::faults::{Fault, Site};

const OTHER_ENGINE: &str = "choose the engine onnxruntime";

pub(super) const FAULTS: [Fault; 17] = [
    // Where the padding is odd, the odd pixel is at the wrong end; and of SAME_UPPER, layers
    // behind it may write beyond their memory, which ends the process.
    Fault {
        operators: &["ConvTranspose"],
        when: |site| matches!(site.text("auto_pad"), Some("SAME_LOWER" | "SAME_UPPER")),
        computation: "auto_pad SAME_LOWER and SAME_UPPER",
        advice: "export it with explicit pads, or choose the engine onnxruntime",
    },
    // In 8 bits, windows that lie in the padding get what was in memory, in batches of 8 and
    // more: other answers in every process. A window of one pixel is moved, and the output gets
    // other extents.
    Fault {
        operators: &["Conv"],
        when: |site| site.pads_whole_windows(1),
        computation: "convolutions whose padding is as wide as their window",
        advice: OTHER_ENGINE,
    },
    Fault {
        operators: &["QLinearConv"],
        when: |site| site.pads_whole_windows(3),
        computation: "convolutions whose padding is as wide as their window",
        advice: OTHER_ENGINE,
    },
    // The process dies when it loads two pairs in a row after a Concat.
    Fault {
        operators: &["QuantizeLinear"],
        when: |site| {
            let first = site
                .maker(0)
                .filter(|pair| pair.operator() == "DequantizeLinear");
            let first = first.and_then(|pair| pair.maker(0)?.maker(0));
            first.is_some_and(|joined| joined.operator() == "Concat")
        },
        computation: "two quantizations in a row after a Concat",
        advice: "quantize it once there, or choose the engine onnxruntime",
    },
    // The attribute that states the axes is ignored, and everything is reduced, the batch too.
    Fault {
        operators: &["ReduceL1", "ReduceLogSum", "ReduceLogSumExp"],
        when: |site| (13..18).contains(&site.opset()) && site.attribute("axes").is_some(),
        computation: "axes as of opsets 13 to 17",
        advice: "export it with opset 18 or later, or choose the engine onnxruntime",
    },
    // Takes other channels than ONNX states.
    Fault {
        operators: &["LRN"],
        when: |site| site.integer("size").is_none_or(|size| size % 2 == 0),
        computation: "an even number of channels",
        advice: "export it with an odd size, which is all that the engine onnxruntime takes, too",
    },
    // Something is added to the norm, which shows where it is small.
    Fault {
        operators: &["LpNormalization"],
        when: |_| true,
        computation: "small norms",
        advice: OTHER_ENGINE,
    },
    // Before opset 13 these worked on all axes from the stated one on, by
    // default from axis 1 on; OpenVINO does what opset 13 specifies.
    Fault {
        operators: &["Softmax", "LogSoftmax", "Hardmax"],
        when: |site| site.opset() < 13 && !site.is_last_axis(),
        computation: "the meaning it had before opset 13",
        advice: "export it with opset 13 or later, or choose the engine onnxruntime",
    },
    // Windows that begin behind the image are kept, where ONNX drops them.
    Fault {
        operators: &["MaxPool"],
        when: |site| rounds_up(site) && ends_behind(site),
        computation: "ceil_mode with windows that begin in the padding",
        advice: OTHER_ENGINE,
    },
    // Divides by another number of pixels than ONNX Runtime does.
    Fault {
        operators: &["AveragePool"],
        when: |site| {
            rounds_up(site) && (ends_behind(site) || site.integer("count_include_pad") == Some(1))
        },
        computation: "ceil_mode with padding that counts",
        advice: OTHER_ENGINE,
    },
    // Samples are taken elsewhere, weights differ, or the shape does.
    Fault {
        operators: &["Resize"],
        when: |site| {
            site.text("coordinate_transformation_mode") == Some("align_corners")
                || site.integer("antialias") == Some(1)
                || site.integer("exclude_outside") == Some(1)
                || !matches!(
                    site.text("keep_aspect_ratio_policy"),
                    None | Some("stretch")
                )
        },
        computation: "align_corners, antialias, exclude_outside and keep_aspect_ratio_policy",
        advice: OTHER_ENGINE,
    },
    // Wrong with windows and with caches; right is what has queries, keys and
    // values alone.
    Fault {
        operators: &["Attention"],
        when: |site| site.inputs() > 3 || !site.attributes_are_of(&ATTENTION),
        computation: "masks, windows and caches",
        advice: "export it with opset 22 or older, or choose the engine onnxruntime",
    },
    Fault {
        operators: &["DFT", "STFT"],
        when: |_| true,
        computation: "Fourier transforms along chosen axes",
        advice: OTHER_ENGINE,
    },
    Fault {
        operators: &["GRU", "LSTM", "RNN"],
        when: |site| site.integer("layout") == Some(1),
        computation: "layout 1",
        advice: OTHER_ENGINE,
    },
    Fault {
        operators: &["LSTM"],
        when: |site| site.inputs() > 7,
        computation: "peepholes",
        advice: OTHER_ENGINE,
    },
    Fault {
        operators: &["RoiAlign"],
        when: |site| site.text("mode") == Some("max"),
        computation: "mode max",
        advice: OTHER_ENGINE,
    },
    Fault {
        operators: &["SpaceToDepth"],
        when: |site| site.text("mode") == Some("CRD"),
        computation: "mode CRD",
        advice: OTHER_ENGINE,
    },
];

/// The attributes of an `Attention` without masks, windows and caches.
const ATTENTION: [&str; 3] = ["scale", "q_num_heads", "kv_num_heads"];

fn rounds_up(site: &Site<'_>) -> bool {
    site.integer("ceil_mode") == Some(1)
}

/// Whether, for some size of image, a last window that is there by rounding up
/// begins behind the image: where stride and padding together are wider than
/// the window.
fn ends_behind(site: &Site<'_>) -> bool {
    let windows = site.integers("kernel_shape");
    let (strides, pads) = (site.integers("strides"), site.integers("pads"));
    windows.iter().enumerate().any(|(axis, window)| {
        let stride = strides.get(axis).copied().unwrap_or(1);
        let pad = pads.get(windows.len() + axis).copied().unwrap_or(0);
        stride + pad > *window
    })
}

#[cfg(test)]
mod tests {
    use recert_graph::Model;

    use super::*;
    use crate::engines::faults;
    use crate::engines::openvino::ENTRY;

    fn refused(file: &str) -> Option<String> {
        let file = format!("{}/{file}.onnx", env!("CARGO_MANIFEST_DIR"));
        let model = Model::read(file).unwrap();
        let refused = faults::refuse(&ENTRY, "0", &FAULTS, &model, &[]);
        refused.err().map(|error| error.to_string())
    }

    #[test]
    fn what_kills_the_process_or_reads_stale_memory_is_refused_by_node() {
        for (finding, node) in [
            ("abort_conv_transpose_max_pool", "(ConvTranspose)"),
            ("conv_transpose_same_upper", "(ConvTranspose)"),
            ("segfault_concat_two_quantizations", "(QuantizeLinear)"),
            ("unsteady", "'Conv_32' (Conv)"),
            ("reduce_l1_of_opset_13", "(ReduceL1)"),
            ("reduce_log_sum_exp_of_opset_13", "(ReduceLogSumExp)"),
            ("lrn_of_even_size", "(LRN)"),
            ("lp_normalization_of_small_rows", "(LpNormalization)"),
        ] {
            let error = refused(&format!("../../fuzz/findings/openvino_{finding}"));
            let error = error.unwrap_or_else(|| panic!("{finding} is taken"));
            assert!(error.contains(node), "{finding}: {error}");
        }
        assert_eq!(refused("tests/golden/made/plain"), None);
    }

    #[test]
    fn windows_in_the_padding_are_told_from_usual_padding() {
        use recert_graph::proto::onnx::{
            AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
        };
        let ints = |name: &str, values: &[i64]| AttributeProto {
            name: Some(name.to_owned()),
            ints: values.to_vec(),
            ..AttributeProto::default()
        };
        let conv = |attributes: Vec<AttributeProto>| ModelProto {
            opset_import: vec![OperatorSetIdProto {
                version: Some(13),
                ..OperatorSetIdProto::default()
            }],
            graph: Some(GraphProto {
                node: vec![NodeProto {
                    op_type: Some("Conv".to_owned()),
                    input: vec!["x".to_owned(), "w".to_owned()],
                    output: vec!["y".to_owned()],
                    attribute: attributes,
                    ..NodeProto::default()
                }],
                initializer: vec![TensorProto {
                    name: Some("w".to_owned()),
                    dims: vec![8, 3, 3, 3],
                    ..TensorProto::default()
                }],
                ..GraphProto::default()
            }),
            ..ModelProto::default()
        };
        for (attributes, wrong) in [
            (vec![ints("pads", &[1, 1, 1, 1])], false),
            (vec![ints("pads", &[2, 2, 2, 2])], false),
            (vec![ints("pads", &[0, 0, 3, 0])], true),
            (
                vec![ints("pads", &[3, 0, 0, 0]), ints("dilations", &[2, 1])],
                false,
            ),
            (
                vec![ints("pads", &[0, 3, 0, 0]), ints("dilations", &[2, 1])],
                true,
            ),
            (
                vec![ints("kernel_shape", &[1, 1]), ints("pads", &[1, 1, 1, 1])],
                true,
            ),
            (
                vec![
                    ints("pads", &[i64::MAX; 4]),
                    ints("dilations", &[i64::MAX; 2]),
                ],
                false,
            ),
            (vec![], false),
        ] {
            let model = Model::from_proto("conv".to_owned(), conv(attributes.clone())).unwrap();
            let refused = faults::refuse(&ENTRY, "0", &FAULTS, &model, &[]);
            assert_eq!(refused.is_err(), wrong, "{attributes:?}");
        }
    }
}
