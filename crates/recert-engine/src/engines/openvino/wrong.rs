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

pub(super) const FAULTS: [Fault; 11] = [
    // The padding goes to the end instead of to the beginning.
    Fault {
        operators: &["ConvTranspose"],
        when: |site| site.text("auto_pad") == Some("SAME_LOWER"),
        computation: "auto_pad SAME_LOWER",
        advice: "export it with explicit pads, or choose the engine onnxruntime",
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
