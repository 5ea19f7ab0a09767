//! What moves elements: slices, paddings, transposes, other shapes, blocks.

use super::layers::MOST;
use crate::sketch::{Sketch, float, int, ints, text};

/// The largest end that files state for "to the end".
const TO_THE_END: [i64; 3] = [i64::MAX, i32::MAX as i64, 1000];

/// `Slice` of one axis or two: cuts, steps, backwards.
pub fn slice(sketch: &mut Sketch<'_>) -> bool {
    let dims = sketch.now.dims.clone();
    let mut made = dims.clone();
    let (mut starts, mut ends, mut axes, mut steps) = (vec![], vec![], vec![], vec![]);
    let mut places = Vec::new();
    for _ in 0..=usize::from(sketch.draw.percent(30)) {
        let place = sketch.draw.below(dims.len());
        let axis = sketch.axis(place + 1);
        let size = dims[place];
        if places.contains(&place) || size < 3 {
            continue;
        }
        let kind = if sketch.opset < 10 {
            sketch.draw.below(3)
        } else {
            sketch.draw.below(6)
        };
        let (start, end, step, count) = match kind {
            0 => (0, size as i64 - 1, 1, size - 1),
            1 => (1, sketch.draw.pick(&TO_THE_END), 1, size - 1),
            2 => (1, -1, 1, size - 2),
            3 => (0, sketch.draw.pick(&TO_THE_END), 2, size.div_ceil(2)),
            4 => (1, size as i64, 2, size / 2),
            _ => (
                -1,
                sketch.draw.pick(&[i64::MIN + 1, -(1 << 31), -1000]),
                -1,
                size,
            ),
        };
        places.push(place);
        axes.push(axis);
        starts.push(start);
        ends.push(end);
        steps.push(step);
        made[place] = count;
    }
    if axes.is_empty() {
        return false;
    }
    if sketch.opset < 10 {
        let attributes = vec![
            ints("starts", &starts),
            ints("ends", &ends),
            ints("axes", &axes),
        ];
        sketch.then("Slice", &[], attributes, made);
        return true;
    }
    let (starts, ends, axes) = (sketch.list(&starts), sketch.list(&ends), sketch.list(&axes));
    if steps.iter().all(|&step| step == 1) && sketch.draw.percent(50) {
        sketch.then("Slice", &[&starts, &ends, &axes], Vec::new(), made);
    } else {
        let steps = sketch.list(&steps);
        sketch.then("Slice", &[&starts, &ends, &axes, &steps], Vec::new(), made);
    }
    true
}

/// `Pad` in every mode, cutting off too.
pub fn pad(sketch: &mut Sketch<'_>) -> bool {
    let dims = sketch.now.dims.clone();
    let mode = sketch
        .draw
        .pick(&["constant", "constant", "reflect", "edge"]);
    let mut before = vec![0_i64; dims.len()];
    let mut after = vec![0_i64; dims.len()];
    let first = usize::from(dims.len() > 1 && sketch.draw.percent(85));
    for axis in first..dims.len() {
        let most = (dims[axis] - 1).min(2);
        before[axis] = sketch.draw.between(0, most) as i64;
        after[axis] = sketch.draw.between(0, most) as i64;
        if mode == "constant" && dims[axis] > 4 && sketch.draw.percent(12) {
            before[axis] = -1;
        }
    }
    let made: Vec<usize> = (0..dims.len())
        .map(|axis| (dims[axis] as i64 + before[axis] + after[axis]) as usize)
        .collect();
    if made == dims || made.iter().product::<usize>() > MOST {
        return false;
    }
    let mut attributes = Vec::new();
    if mode != "constant" || !sketch.omits() {
        attributes.push(text("mode", mode));
    }
    let value = if sketch.draw.percent(30) { 0.5 } else { 0.0 };
    if sketch.opset < 11 {
        let pads = [&[0][..], &before, &[0], &after].concat();
        attributes.push(ints("pads", &pads));
        if value != 0.0 || !sketch.omits() {
            attributes.push(float("value", value));
        }
        sketch.then("Pad", &[], attributes, made);
        return true;
    }
    let by_axes = sketch.opset >= 18 && sketch.draw.percent(30);
    let value = match sketch.draw.below(3) {
        0 if value == 0.0 => String::new(),
        _ => sketch.floats(&[], &[value]),
    };
    if by_axes {
        let pads = sketch.list(&[before, after].concat());
        let axes: Vec<i64> = (1..=dims.len() as i64).collect();
        let axes = sketch.list(&axes);
        sketch.then("Pad", &[&pads, &value, &axes], attributes, made);
    } else {
        let pads = sketch.list(&[&[0][..], &before, &[0], &after].concat());
        if value.is_empty() {
            sketch.then("Pad", &[&pads], attributes, made);
        } else {
            sketch.then("Pad", &[&pads, &value], attributes, made);
        }
    }
    true
}

/// Channels of groups in another order, as `ShuffleNet` does.
pub fn shuffle(sketch: &mut Sketch<'_>) -> bool {
    let [channels, height, width] = sketch.now.dims[..] else {
        return false;
    };
    if channels % 2 != 0 || channels < 4 {
        return false;
    }
    sketch.reshape(&[2, channels / 2, height, width]);
    sketch.transpose(&[0, 2, 1, 3, 4]);
    sketch.reshape(&[channels, height, width]);
    true
}

/// `DepthToSpace`, `SpaceToDepth`.
pub fn blocks(sketch: &mut Sketch<'_>) -> bool {
    let [channels, height, width] = sketch.now.dims[..] else {
        return false;
    };
    if channels % 4 == 0 && sketch.draw.percent(50) {
        let mut attributes = vec![int("blocksize", 2)];
        if sketch.opset >= 11 {
            let mode = sketch.draw.pick(&["DCR", "CRD"]);
            if mode == "CRD" || !sketch.omits() {
                attributes.push(text("mode", mode));
            }
        }
        let dims = vec![channels / 4, height * 2, width * 2];
        sketch.then("DepthToSpace", &[], attributes, dims);
        return true;
    }
    if height % 2 != 0 || width % 2 != 0 {
        return false;
    }
    let dims = vec![channels * 4, height / 2, width / 2];
    sketch.then("SpaceToDepth", &[], vec![int("blocksize", 2)], dims);
    true
}

/// An axis of extent 1 more, something done, and the axis away again.
pub fn squeeze(sketch: &mut Sketch<'_>) -> bool {
    let dims = sketch.now.dims.clone();
    let place = sketch.draw.below(dims.len() + 1);
    let axis = place as i64 + 1;
    let mut wider = dims.clone();
    wider.insert(place, 1);
    let (more, attributes) = sketch.axes(&[axis], 13);
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    sketch.then("Unsqueeze", &more, attributes, wider);
    if sketch.draw.percent(60) {
        sketch.keep("Relu", &[], Vec::new());
    }
    let (more, attributes) = sketch.axes(&[axis], 13);
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    sketch.then("Squeeze", &more, attributes, dims);
    true
}

/// A row of patches from an image, or an image transposed.
pub fn to_rows(sketch: &mut Sketch<'_>) -> bool {
    let [channels, height, width] = sketch.now.dims[..] else {
        return false;
    };
    if height * width > 64 {
        return false;
    }
    sketch.reshape(&[channels, height * width]);
    sketch.transpose(&[0, 2, 1]);
    true
}

/// Another order of axes, something done with channels last, and back.
pub fn channels_last(sketch: &mut Sketch<'_>) -> bool {
    let [channels, height, width] = sketch.now.dims[..] else {
        return false;
    };
    sketch.transpose(&[0, 2, 3, 1]);
    match sketch.draw.below(5) {
        0 => {
            let bias = sketch.around(&[channels], 0.5, 0.0);
            sketch.keep("Add", &[&bias], Vec::new());
        }
        1 => {
            pad(sketch);
        }
        2 => {
            let scale = sketch.around(&[1, 1, 1, channels], 0.5, 1.0);
            sketch.keep("Mul", &[&scale], Vec::new());
        }
        3 => {
            slice(sketch);
        }
        _ => {
            let weights = sketch.weights(&[channels, 4], channels);
            let dims = vec![height, width, 4];
            sketch.then("MatMul", &[&weights], Vec::new(), dims);
        }
    }
    sketch.transpose(&[0, 3, 1, 2]);
    true
}

/// `Gather` with known positions: channels in another order, or one of them.
pub fn gather(sketch: &mut Sketch<'_>) -> bool {
    let dims = sketch.now.dims.clone();
    let place = sketch.draw.below(dims.len());
    let size = dims[place] as i64;
    let axis = sketch.axis(place + 1);
    if dims.len() > 1 && sketch.draw.percent(30) {
        let index = sketch.draw.pick(&[0, size - 1, -1]);
        let index = if sketch.opset < 11 {
            index.rem_euclid(size)
        } else {
            index
        };
        let index = sketch.stored(recert_graph::stored::from_i64("", &[], &[index]));
        let mut made = dims;
        made.remove(place);
        sketch.then("Gather", &[&index], vec![int("axis", axis)], made);
        return true;
    }
    let order: Vec<i64> = (0..size).rev().collect();
    let order = sketch.list(&order);
    sketch.then("Gather", &[&order], vec![int("axis", axis)], dims);
    true
}

/// `Expand`, `Tile`.
pub fn repeat(sketch: &mut Sketch<'_>) -> bool {
    let dims = sketch.now.dims.clone();
    if sketch.opset < 8 || sketch.size() * 2 > MOST {
        return false;
    }
    let mut made = dims.clone();
    if let Some(place) = dims.iter().position(|&size| size == 1) {
        made[place] = 3;
        let mut shape = vec![1_i64];
        shape.extend(made.iter().map(|&size| size as i64));
        let shape = sketch.list(&shape);
        sketch.then("Expand", &[&shape], Vec::new(), made);
        return true;
    }
    let place = sketch.draw.below(dims.len());
    made[place] *= 2;
    let mut repeats = vec![1_i64; dims.len() + 1];
    repeats[place + 1] = 2;
    let repeats = sketch.list(&repeats);
    sketch.then("Tile", &[&repeats], Vec::new(), made);
    true
}
