//! Where kernels go: extents, strides, dilations and padding as exporters write them.

use recert_graph::proto::onnx::AttributeProto;

use crate::sketch::{Sketch, Style, int, ints, text};

/// A window on the spatial axes of the current value.
pub struct Window {
    /// The kernel's extents.
    pub kernel: Vec<usize>,
    /// The output's spatial extents.
    pub output: Vec<usize>,
    /// How the file states it, but for `kernel_shape`.
    pub attributes: Vec<AttributeProto>,
}

/// What kinds of window a layer takes.
#[derive(Clone, Copy)]
pub struct Kinds {
    /// Whether it is a pooling.
    pub pool: bool,
    /// Whether it may have dilations.
    pub dilations: bool,
    /// Whether `ceil_mode` is known.
    pub ceil: bool,
}

/// Draws a window on spatial extents; `None` where none fits.
#[expect(clippy::too_many_lines, reason = "a list of what files may state")]
pub fn draw(sketch: &mut Sketch<'_>, size: &[usize], kinds: Kinds) -> Option<Window> {
    let axes = size.len();
    let draw = &mut sketch.draw;
    let side = if kinds.pool {
        draw.pick(&[2, 2, 3, 3, 1, 4])
    } else {
        draw.pick(&[3, 3, 1, 3, 5, 2, 7, 4])
    };
    let mut kernel = vec![side; axes];
    if draw.percent(10) {
        kernel[0] = draw.pick(&[1, 3, 2]);
    }
    let stride = if kinds.pool {
        draw.pick(&[2, 2, 1, side, 3])
    } else {
        draw.pick(&[1, 1, 2, 1, 3])
    };
    let mut strides = vec![stride; axes];
    if draw.percent(7) {
        strides[axes - 1] = draw.pick(&[1, 2]);
    }
    let dilation = if kinds.dilations && draw.percent(15) {
        draw.pick(&[2, 3])
    } else {
        1
    };
    let dilations = vec![dilation; axes];
    let reach: Vec<usize> = kernel.iter().map(|k| (k - 1) * dilation + 1).collect();
    let auto = match sketch.style {
        Style::Tensorflow | Style::Old if draw.percent(50) => {
            draw.pick(&["SAME_UPPER", "SAME_UPPER", "VALID", "SAME_LOWER"])
        }
        _ if draw.percent(3) => draw.pick(&["SAME_UPPER", "SAME_LOWER", "VALID"]),
        _ => "NOTSET",
    };
    let ceil = kinds.ceil && draw.percent(25);
    let (mut before, mut after) = (vec![0; axes], vec![0; axes]);
    match auto {
        "SAME_UPPER" | "SAME_LOWER" => {
            // Where strides leave gaps, runtimes disagree on what `SAME` is.
            for axis in 0..axes {
                let wanted = size[axis].div_ceil(strides[axis]);
                let total = ((wanted - 1) * strides[axis] + reach[axis]).saturating_sub(size[axis]);
                let (small, large) = (total / 2, total.div_ceil(2));
                (before[axis], after[axis]) = if auto == "SAME_UPPER" {
                    (small, large)
                } else {
                    (large, small)
                };
            }
        }
        "VALID" => {}
        _ => {
            let kind = draw.below(10);
            for axis in 0..axes {
                // A pooling window never lies in the padding as a whole.
                let most = if kinds.pool {
                    kernel[axis] / 2
                } else {
                    reach[axis] / 2 + 1
                };
                let same = reach[axis] / 2;
                (before[axis], after[axis]) = match kind {
                    0..4 => (same.min(most), same.min(most)),
                    4..7 => (0, 0),
                    7 => {
                        let one = draw.between(0, most);
                        (one, one)
                    }
                    _ => (draw.between(0, most), draw.between(0, most)),
                };
            }
        }
    }
    let mut output = Vec::new();
    for axis in 0..axes {
        let steps = (before[axis] + size[axis] + after[axis]).checked_sub(reach[axis])?;
        let mut count = steps / strides[axis] + 1;
        if ceil && auto == "NOTSET" {
            count = steps.div_ceil(strides[axis]) + 1;
            if (count - 1) * strides[axis] >= before[axis] + size[axis] {
                count -= 1;
            }
        }
        output.push(count);
    }
    let mut attributes = Vec::new();
    let list =
        |values: &[usize]| -> Vec<i64> { values.iter().map(|&value| value as i64).collect() };
    if strides.iter().any(|&s| s != 1) || !sketch.omits() {
        attributes.push(ints("strides", &list(&strides)));
    }
    if kinds.dilations && (dilation != 1 || !sketch.omits()) {
        attributes.push(ints("dilations", &list(&dilations)));
    }
    if auto == "NOTSET" {
        if before.iter().chain(&after).any(|&p| p != 0) || !sketch.omits() {
            let pads = [list(&before), list(&after)].concat();
            attributes.push(ints("pads", &pads));
        }
        if sketch.style == Style::Old && sketch.draw.percent(30) {
            attributes.push(text("auto_pad", "NOTSET"));
        }
    } else {
        attributes.push(text("auto_pad", auto));
    }
    if kinds.ceil && auto == "NOTSET" && (ceil || !sketch.omits()) {
        attributes.push(int("ceil_mode", ceil.into()));
    }
    Some(Window {
        kernel,
        output,
        attributes,
    })
}

/// The attribute `kernel_shape`.
pub fn kernel_shape(kernel: &[usize]) -> AttributeProto {
    let kernel: Vec<i64> = kernel.iter().map(|&k| k as i64).collect();
    ints("kernel_shape", &kernel)
}
