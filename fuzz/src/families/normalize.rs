//! Normalizations, as one operator and as exporters take them apart.

use recert_graph::proto::onnx::TensorProto;
use recert_graph::proto::onnx::tensor_proto::DataType;

use crate::sketch::{Sketch, float, int};

/// `BatchNormalization`.
pub fn batch(sketch: &mut Sketch<'_>) -> bool {
    let channels = sketch.now.dims[0];
    let numbers = [
        sketch.around(&[channels], 0.5, 1.0),
        sketch.around(&[channels], 0.5, 0.0),
        sketch.around(&[channels], 0.3, 0.1),
        sketch.around(&[channels], 0.4, 0.7),
    ];
    let mut attributes = Vec::new();
    let epsilon = sketch.draw.pick(&[1e-5, 1e-3, 1e-5]);
    if epsilon != 1e-5 || !sketch.omits() {
        attributes.push(float("epsilon", epsilon));
    }
    if sketch.draw.percent(60) {
        attributes.push(float("momentum", 0.9));
    }
    if sketch.opset >= 14 && sketch.draw.percent(60) {
        attributes.push(int("training_mode", 0));
    }
    if sketch.opset < 9 && sketch.draw.percent(60) {
        attributes.push(int("spatial", 1));
    }
    let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
    sketch.keep("BatchNormalization", &numbers, attributes);
    true
}

/// `InstanceNormalization`.
pub fn instance(sketch: &mut Sketch<'_>) -> bool {
    let [channels, _, ..] = sketch.now.dims[..] else {
        return false;
    };
    let (scale, shift) = (
        sketch.around(&[channels], 0.5, 1.0),
        sketch.around(&[channels], 0.5, 0.0),
    );
    let epsilon = sketch.draw.pick(&[1e-5, 1e-3]);
    sketch.keep(
        "InstanceNormalization",
        &[&scale, &shift],
        vec![float("epsilon", epsilon)],
    );
    true
}

/// Normalization over the last axis or axes: `LayerNormalization`, or its parts.
pub fn layer(sketch: &mut Sketch<'_>) -> bool {
    let dims = sketch.now.dims.clone();
    let over = if dims.len() > 1 && sketch.draw.percent(15) {
        2
    } else {
        1
    };
    let shape = dims[dims.len() - over..].to_vec();
    if shape.iter().product::<usize>() < 2 {
        return false;
    }
    let scale = sketch.around(&shape, 0.5, 1.0);
    let shift = sketch.around(&shape, 0.5, 0.0);
    let epsilon = sketch.draw.pick(&[1e-5, 1e-6, 1e-3, 1e-5]);
    if sketch.opset >= 17 && sketch.draw.percent(70) {
        let axis = -(over as i64);
        let mut attributes = vec![float("epsilon", epsilon)];
        if axis != -1 || !sketch.omits() {
            attributes.push(int("axis", axis));
        }
        if sketch.draw.percent(50) {
            attributes.push(int("stash_type", 1));
        }
        if sketch.draw.percent(85) {
            sketch.keep("LayerNormalization", &[&scale, &shift], attributes);
        } else {
            sketch.keep("LayerNormalization", &[&scale], attributes);
        }
        return true;
    }
    let axes: Vec<i64> = (1..=over as i64).rev().map(|axis| -axis).collect();
    let axes = if sketch.opset < 11 {
        let rank = dims.len() as i64 + 1;
        axes.iter().map(|axis| axis + rank).collect()
    } else {
        axes
    };
    let x = sketch.now.name.clone();
    mean(sketch, &axes);
    let mean_name = sketch.now.name.clone();
    let centred = sketch.node("Sub", &[&x, &mean_name], Vec::new());
    let two = sketch.scalar(2.0);
    let squared = if sketch.draw.percent(70) {
        sketch.node("Pow", &[&centred, &two], Vec::new())
    } else {
        sketch.node("Mul", &[&centred, &centred], Vec::new())
    };
    sketch.now.name = squared;
    mean(sketch, &axes);
    let epsilon = sketch.scalar(epsilon);
    let variance = sketch.now.name.clone();
    let moved = sketch.node("Add", &[&variance, &epsilon], Vec::new());
    let root = sketch.node("Sqrt", &[&moved], Vec::new());
    let divided = sketch.node("Div", &[&centred, &root], Vec::new());
    let scaled = sketch.node("Mul", &[&divided, &scale], Vec::new());
    let name = sketch.node("Add", &[&scaled, &shift], Vec::new());
    sketch.now.name = name;
    sketch.now.dims = dims;
    true
}

fn mean(sketch: &mut Sketch<'_>, axes: &[i64]) {
    let (more, mut attributes) = sketch.axes(axes, 18);
    if !sketch.omits() {
        attributes.push(int("keepdims", 1));
    }
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    sketch.keep("ReduceMean", &more, attributes);
}

/// Normalization of groups of channels: the operator, or by `InstanceNormalization`.
pub fn group(sketch: &mut Sketch<'_>) -> bool {
    let [channels, height, width] = sketch.now.dims[..] else {
        return false;
    };
    let groups = if channels % 2 == 0 { 2 } else { 1 };
    let epsilon = sketch.draw.pick(&[1e-5, 1e-3]);
    if sketch.opset >= 21 && sketch.draw.percent(60) {
        let scale = sketch.around(&[channels], 0.5, 1.0);
        let shift = sketch.around(&[channels], 0.5, 0.0);
        let attributes = vec![float("epsilon", epsilon), int("num_groups", groups as i64)];
        sketch.keep("GroupNormalization", &[&scale, &shift], attributes);
        return true;
    }
    let shape = sketch.list(&[0, groups as i64, -1]);
    let each = channels / groups * height * width;
    sketch.then("Reshape", &[&shape], Vec::new(), vec![groups, each]);
    let (ones, zeros) = (
        sketch.floats(&[groups], &vec![1.0; groups]),
        sketch.floats(&[groups], &vec![0.0; groups]),
    );
    sketch.keep(
        "InstanceNormalization",
        &[&ones, &zeros],
        vec![float("epsilon", epsilon)],
    );
    sketch.reshape(&[channels, height, width]);
    let scale = sketch.around(&[channels, 1, 1], 0.5, 1.0);
    sketch.keep("Mul", &[&scale], Vec::new());
    let shift = sketch.around(&[channels, 1, 1], 0.5, 0.0);
    sketch.keep("Add", &[&shift], Vec::new());
    true
}

/// Normalization of channels as `ConvNeXt` does: between two `Transpose`.
pub fn channels_last(sketch: &mut Sketch<'_>) -> bool {
    let [channels, _, _] = sketch.now.dims[..] else {
        return false;
    };
    if channels < 2 {
        return false;
    }
    sketch.transpose(&[0, 2, 3, 1]);
    layer(sketch);
    sketch.transpose(&[0, 3, 1, 2]);
    true
}

/// `LRN`, `LpNormalization`, and normalization by the root of the mean square.
pub fn other(sketch: &mut Sketch<'_>) -> bool {
    let rank = sketch.now.dims.len();
    match sketch.draw.below(4) {
        0 | 1 if rank == 3 => {
            let attributes = vec![
                int("size", sketch.draw.pick(&[3, 5, 1, 4])),
                float("alpha", sketch.draw.pick(&[1e-4, 0.1, 0.5])),
                float("beta", sketch.draw.pick(&[0.75, 0.5, 1.0])),
                float("bias", sketch.draw.pick(&[1.0, 2.0])),
            ];
            sketch.keep("LRN", &[], attributes);
        }
        2 => {
            let axis = 1 + sketch.draw.below(rank);
            let axis = sketch.axis(axis);
            let p = sketch.draw.pick(&[2, 1]);
            sketch.keep("LpNormalization", &[], vec![int("axis", axis), int("p", p)]);
        }
        _ => {
            let x = sketch.now.name.clone();
            sketch.keep("Mul", &[&x], Vec::new());
            let last = if sketch.opset < 11 { rank as i64 } else { -1 };
            let dims = sketch.now.dims.clone();
            mean(sketch, &[last]);
            let small = sketch.scalar(1e-3);
            sketch.keep("Add", &[&small], Vec::new());
            sketch.keep("Sqrt", &[], Vec::new());
            let root = sketch.now.name.clone();
            let name = if sketch.draw.percent(50) {
                sketch.node("Div", &[&x, &root], Vec::new())
            } else {
                let inverse = sketch.node("Reciprocal", &[&root], Vec::new());
                sketch.node("Mul", &[&x, &inverse], Vec::new())
            };
            sketch.now.name = name;
            sketch.now.dims = dims;
        }
    }
    true
}

/// `Dropout` in inference, in every form that exporters leave in.
pub fn dropout(sketch: &mut Sketch<'_>) -> bool {
    if sketch.opset < 12 {
        sketch.keep("Dropout", &[], vec![float("ratio", 0.5)]);
        return true;
    }
    let ratio = sketch.floats(&[], &[0.5]);
    if sketch.draw.percent(50) {
        let training = sketch.stored(TensorProto {
            data_type: Some(DataType::Bool.into()),
            raw_data: Some(vec![0].into()),
            ..TensorProto::default()
        });
        sketch.keep("Dropout", &[&ratio, &training], Vec::new());
    } else {
        sketch.keep("Dropout", &[&ratio], Vec::new());
    }
    if sketch.draw.percent(10)
        && let Some(node) = sketch.net.graph().node.last_mut()
    {
        node.attribute.push(int("seed", 3));
    }
    true
}

/// Normalization of images at the head of the network: fixed numbers a channel.
pub fn of_pixels(sketch: &mut Sketch<'_>) -> bool {
    let channels = sketch.now.dims[0];
    let mut shape = vec![channels];
    shape.resize(sketch.now.dims.len(), 1);
    if sketch.draw.percent(50) {
        shape.insert(0, 1);
    }
    let mean = sketch.around(&shape, 0.1, 0.5);
    sketch.keep("Sub", &[&mean], Vec::new());
    let scale = sketch.around(&shape, 0.05, 0.3);
    sketch.keep("Div", &[&scale], Vec::new());
    true
}
