//! Convolutions, transposed convolutions and poolings.

use super::windows::{Kinds, draw, kernel_shape};
use crate::sketch::{Sketch, Style, int, ints, text};

/// Larger values are not made: an image's elements.
pub const MOST: usize = 3000;

/// `Conv` on images and rows: groups, depthwise, with and without bias.
pub fn conv(sketch: &mut Sketch<'_>) -> bool {
    let dims = sketch.now.dims.clone();
    let [channels, ref size @ ..] = dims[..] else {
        return false;
    };
    conv_of(sketch, channels, size)
}

fn conv_of(sketch: &mut Sketch<'_>, channels: usize, size: &[usize]) -> bool {
    if size.is_empty() || size.len() > 2 {
        return false;
    }
    let kinds = Kinds {
        pool: false,
        dilations: true,
        ceil: false,
    };
    let Some(window) = draw(sketch, size, kinds) else {
        return false;
    };
    let (group, outputs) = match sketch.draw.below(10) {
        0 | 1 if channels > 1 => (channels, channels * sketch.draw.pick(&[1, 1, 2])),
        2 if channels.is_multiple_of(2) => (2, sketch.draw.pick(&[2, 4, 8])),
        3 if channels.is_multiple_of(3) => (3, sketch.draw.pick(&[3, 6])),
        _ => (1, sketch.draw.pick(&[4, 6, 8, 3, 5, 12, 16, 1])),
    };
    if outputs * window.output.iter().product::<usize>() > MOST {
        return false;
    }
    let inputs = channels / group;
    let mut shape = vec![outputs, inputs];
    shape.extend(&window.kernel);
    let summed = shape[1..].iter().product();
    let mut more = vec![sketch.weights(&shape, summed)];
    if sketch.draw.percent(60) {
        more.push(sketch.around(&[outputs], 0.5, 0.0));
    }
    let mut attributes = window.attributes;
    if sketch.style != Style::Old || sketch.draw.percent(80) {
        attributes.push(kernel_shape(&window.kernel));
    }
    if group != 1 || !sketch.omits() {
        attributes.push(int("group", group as i64));
    }
    let mut dims = vec![outputs];
    dims.extend(&window.output);
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    sketch.then("Conv", &more, attributes, dims);
    true
}

/// `ConvTranspose` on images and rows.
pub fn conv_transpose(sketch: &mut Sketch<'_>) -> bool {
    let dims = sketch.now.dims.clone();
    let [channels, ref size @ ..] = dims[..] else {
        return false;
    };
    if size.is_empty() || size.len() > 2 {
        return false;
    }
    let axes = size.len();
    let kernel = sketch.draw.pick(&[2, 3, 4, 1]);
    let stride = sketch.draw.pick(&[2, 1, 2, 3]);
    let dilation = if sketch.draw.percent(10) { 2 } else { 1 };
    let reach = (kernel - 1) * dilation + 1;
    let group = if channels % 2 == 0 && sketch.draw.percent(15) {
        2
    } else if sketch.draw.percent(8) {
        channels
    } else {
        1
    };
    let outputs = group * sketch.draw.pick(&[2, 3, 4, 1]);
    let same = matches!(sketch.style, Style::Tensorflow | Style::Old)
        && dilation == 1
        && reach >= stride
        && sketch.draw.percent(40);
    let (before, after) = (
        sketch.draw.between(0, reach / 2),
        sketch.draw.between(0, reach / 2),
    );
    let (before, after) = if sketch.draw.percent(70) {
        (before, before)
    } else {
        (before, after)
    };
    let added = if stride > 1 && sketch.draw.percent(30) {
        stride - 1
    } else {
        0
    };
    let mut dims = vec![outputs];
    for &extent in size {
        let full = (extent - 1) * stride + reach + added;
        let made = if same {
            extent * stride
        } else if full > before + after {
            full - before - after
        } else {
            return false;
        };
        dims.push(made);
    }
    if dims.iter().product::<usize>() > MOST {
        return false;
    }
    let mut attributes = vec![
        kernel_shape(&vec![kernel; axes]),
        ints("strides", &vec![stride as i64; axes]),
    ];
    if same {
        let upper = sketch.draw.percent(80);
        attributes.push(text(
            "auto_pad",
            if upper { "SAME_UPPER" } else { "SAME_LOWER" },
        ));
    } else {
        let pads = [vec![before as i64; axes], vec![after as i64; axes]].concat();
        attributes.push(ints("pads", &pads));
        if added > 0 {
            attributes.push(ints("output_padding", &vec![added as i64; axes]));
        }
    }
    if dilation != 1 || !sketch.omits() {
        attributes.push(ints("dilations", &vec![dilation as i64; axes]));
    }
    if group != 1 || !sketch.omits() {
        attributes.push(int("group", group as i64));
    }
    let mut shape = vec![channels, outputs / group];
    shape.extend(vec![kernel; axes]);
    let mut more = vec![sketch.weights(&shape, channels / group * 4)];
    if sketch.draw.percent(60) {
        more.push(sketch.around(&[outputs], 0.5, 0.0));
    }
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    sketch.then("ConvTranspose", &more, attributes, dims);
    true
}

/// `MaxPool`, `AveragePool`, `LpPool`.
pub fn pool(sketch: &mut Sketch<'_>) -> bool {
    let dims = sketch.now.dims.clone();
    let [channels, ref size @ ..] = dims[..] else {
        return false;
    };
    if size.is_empty() || size.len() > 2 {
        return false;
    }
    let op = match sketch.draw.below(12) {
        0..6 => "MaxPool",
        6..11 => "AveragePool",
        _ => "LpPool",
    };
    let since = match op {
        "MaxPool" => [10, 10],
        "AveragePool" => [19, 10],
        _ => [18, 18],
    };
    let kinds = Kinds {
        pool: true,
        dilations: sketch.opset >= since[0],
        ceil: sketch.opset >= since[1],
    };
    let Some(window) = draw(sketch, size, kinds) else {
        return false;
    };
    let mut attributes = window.attributes;
    attributes.push(kernel_shape(&window.kernel));
    if op == "AveragePool" {
        let counts = sketch.draw.percent(50);
        if counts || !sketch.omits() {
            attributes.push(int("count_include_pad", counts.into()));
        }
    }
    if op == "LpPool" {
        attributes.push(int("p", sketch.draw.pick(&[2, 2, 1])));
    }
    if op == "MaxPool" && sketch.opset >= 8 && sketch.draw.percent(15) {
        attributes.push(int("storage_order", 0));
    }
    let mut dims = vec![channels];
    dims.extend(&window.output);
    sketch.then(op, &[], attributes, dims);
    true
}

/// `GlobalAveragePool`, `GlobalMaxPool`.
pub fn global_pool(sketch: &mut Sketch<'_>) -> bool {
    let dims = sketch.now.dims.clone();
    let [channels, ref size @ ..] = dims[..] else {
        return false;
    };
    if size.is_empty() {
        return false;
    }
    let op = sketch
        .draw
        .pick(&["GlobalAveragePool", "GlobalAveragePool", "GlobalMaxPool"]);
    let mut dims = vec![channels];
    dims.resize(size.len() + 1, 1);
    sketch.then(op, &[], Vec::new(), dims);
    true
}
