//! A whole network from bytes: input, body, head, and perhaps a quantization.

use anyhow::Result;
use recert_graph::Model;
use recert_graph::proto::onnx::ModelProto;
use recert_graph::proto::onnx::tensor_proto::DataType;
use recert_graph::testing::info;

use crate::draw::Draw;
use crate::families::{
    arithmetic, attention, computed, layers, layout, linear, normalize, reduce, resize, typed,
    unary,
};
use crate::quantize;
use crate::sketch::{Sketch, Style, int, ints};

/// A function that appends nodes to a network, and how often it is chosen.
type Step = (usize, fn(&mut Sketch<'_>) -> bool);

const ON_IMAGES: [Step; 36] = [
    (22, layers::conv),
    (16, unary::activation),
    (7, normalize::batch),
    (10, layers::pool),
    (8, arithmetic::residual),
    (3, arithmetic::gate),
    (4, arithmetic::concat),
    (3, arithmetic::split),
    (5, arithmetic::with_constant),
    (4, layers::conv_transpose),
    (3, layout::slice),
    (4, layout::pad),
    (2, layout::shuffle),
    (3, layout::blocks),
    (5, resize::any),
    (2, normalize::instance),
    (2, normalize::group),
    (2, normalize::channels_last),
    (3, layout::channels_last),
    (2, normalize::other),
    (1, normalize::layer),
    (2, layout::gather),
    (1, layout::squeeze),
    (3, arithmetic::choose),
    (2, typed::half),
    (2, typed::other),
    (3, reduce::one_axis),
    (1, reduce::softmax),
    (1, layout::repeat),
    (1, reduce::running),
    (2, normalize::dropout),
    (1, computed::branch),
    (3, layout::to_rows),
    (1, linear::any),
    (1, computed::weights),
    (2, unary::clip),
];

const ON_ROWS: [Step; 18] = [
    (12, linear::any),
    (14, attention::block),
    (8, normalize::layer),
    (10, unary::activation),
    (7, layers::conv),
    (4, layers::pool),
    (6, arithmetic::residual),
    (4, reduce::softmax),
    (3, layout::gather),
    (3, layout::slice),
    (4, reduce::one_axis),
    (3, arithmetic::split),
    (3, arithmetic::with_constant),
    (2, arithmetic::choose),
    (2, typed::half),
    (2, computed::weights),
    (2, layout::squeeze),
    (2, layers::conv_transpose),
];

const ON_VECTORS: [Step; 17] = [
    (22, linear::any),
    (16, unary::activation),
    (5, normalize::batch),
    (4, normalize::layer),
    (6, arithmetic::residual),
    (3, arithmetic::split),
    (2, arithmetic::concat),
    (5, arithmetic::with_constant),
    (3, arithmetic::choose),
    (2, reduce::softmax),
    (2, typed::half),
    (2, typed::other),
    (4, computed::weights),
    (3, linear::dynamic),
    (2, normalize::dropout),
    (2, layout::slice),
    (2, reduce::one_axis),
];

/// The network that these bytes stand for: one image input, and scores `[n, classes]` or
/// classes `[n]`.
pub fn network(bytes: &[u8]) -> ModelProto {
    let mut draw = Draw::new(bytes);
    let style = match draw.below(20) {
        0..7 => Style::Torch,
        7..11 => Style::Dynamo,
        11..15 => Style::Tensorflow,
        15..18 => Style::Old,
        _ => Style::Sklearn,
    };
    let opset = match style {
        Style::Torch => draw.pick(&[17, 13, 11, 14, 15, 9, 12, 10, 16]),
        Style::Dynamo => draw.pick(&[18, 20, 21, 18, 19]),
        Style::Tensorflow => draw.pick(&[13, 15, 9, 11, 12, 17, 10, 8]),
        Style::Old => draw.pick(&[7, 8, 7, 9]),
        Style::Sklearn => draw.pick(&[15, 13, 9, 11, 18, 17, 21]),
    };
    let batch = match draw.below(10) {
        0..7 => -1,
        7 | 8 => 1,
        _ => 4,
    };
    let quantizes = draw.percent(45);
    let dims = if style == Style::Sklearn || draw.percent(6) {
        vec![draw.pick(&[16, 8, 20, 64])]
    } else {
        let channels = draw.pick(&[3, 3, 1, 4]);
        let height = draw.pick(&[8, 6, 7, 9, 12, 5]);
        let width = if draw.percent(20) {
            draw.pick(&[8, 6, 10])
        } else {
            height
        };
        vec![channels, height, width]
    };
    let last = style == Style::Tensorflow && dims.len() == 3 && dims[0] != 4;
    let stated = if last {
        vec![dims[1], dims[2], dims[0]]
    } else {
        dims
    };
    let mut sketch = Sketch::new(draw, style, opset, batch, &stated);
    if last {
        sketch.transpose(&[0, 3, 1, 2]);
    }
    if sketch.now.dims.len() == 3 && sketch.draw.percent(20) {
        normalize::of_pixels(&mut sketch);
    }
    let steps = sketch.draw.between(2, 9);
    for _ in 0..steps {
        let table: &[Step] = match sketch.now.dims.len() {
            3 => &ON_IMAGES,
            2 => &ON_ROWS,
            _ => &ON_VECTORS,
        };
        step(&mut sketch, table);
    }
    head(&mut sketch);
    let mut proto = sketch.net.0;
    if quantizes {
        quantize::quantize(&mut proto, &mut sketch.draw, opset);
    }
    proto
}

fn step(sketch: &mut Sketch<'_>, table: &[Step]) {
    let total = table.iter().map(|(weight, _)| weight).sum();
    let mut drawn = sketch.draw.below(total);
    for (weight, step) in table {
        if drawn < *weight {
            step(sketch);
            return;
        }
        drawn -= weight;
    }
}

/// From whatever there is to scores, and perhaps to classes.
fn head(sketch: &mut Sketch<'_>) {
    let classes = sketch.draw.pick(&[10, 4, 5, 3, 2, 7]);
    match sketch.now.dims.len() {
        3.. => match sketch.draw.below(6) {
            0 | 1 => {
                layers::global_pool(sketch);
                computed::flatten(sketch);
            }
            2 if sketch.now.dims.len() == 3 => {
                reduce::over_space(sketch, false);
            }
            3 if sketch.now.dims.len() == 3 => {
                let channels = sketch.now.dims[0];
                let weights = sketch.weights(&[classes, channels, 1, 1], channels);
                let bias = sketch.around(&[classes], 0.5, 0.0);
                let dims = vec![classes, sketch.now.dims[1], sketch.now.dims[2]];
                let attributes = vec![ints("kernel_shape", &[1, 1])];
                sketch.then("Conv", &[&weights, &bias], attributes, dims);
                layers::global_pool(sketch);
                computed::flatten(sketch);
                finish(sketch, classes);
                return;
            }
            _ => {
                computed::flatten(sketch);
            }
        },
        2 => match sketch.draw.below(3) {
            0 => {
                let index = sketch.stored(recert_graph::stored::from_i64("", &[], &[0]));
                let dims = vec![sketch.now.dims[1]];
                sketch.then("Gather", &[&index], vec![int("axis", 1)], dims);
            }
            _ => {
                computed::flatten(sketch);
            }
        },
        _ => {}
    }
    linear::layer(sketch, classes);
    finish(sketch, classes);
}

fn finish(sketch: &mut Sketch<'_>, classes: usize) {
    let mut kind = DataType::Float;
    let mut dims = vec![sketch.batch, classes as i64];
    match sketch.draw.below(20) {
        0..3 => sketch.keep("Softmax", &[], vec![int("axis", 1)]),
        3 => sketch.keep("LogSoftmax", &[], vec![int("axis", 1)]),
        4 => {
            let keep = sketch.draw.percent(40);
            let mut attributes = vec![int("axis", 1), int("keepdims", keep.into())];
            if sketch.opset >= 12 && sketch.draw.percent(40) {
                attributes.push(int("select_last_index", 0));
            }
            sketch.then("ArgMax", &[], attributes, vec![1]);
            kind = DataType::Int64;
            dims[1] = 1;
            dims.truncate(1 + usize::from(keep));
        }
        5 => sketch.keep("Identity", &[], Vec::new()),
        _ => {}
    }
    let name = sketch.now.name.clone();
    let output = info(&name, kind, &dims);
    sketch.net.graph().output.push(output);
}

/// The network of a message, as if it were read from a file.
///
/// # Errors
/// What is wrong with it.
pub fn model_of(name: &str, proto: &ModelProto) -> Result<Model> {
    let bytes = prost::Message::encode_to_vec(proto);
    Ok(Model::from_bytes(name, bytes)?)
}
