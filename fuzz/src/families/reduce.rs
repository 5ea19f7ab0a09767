//! What makes axes one number, softmax, and running sums.

use recert_graph::stored;

use crate::sketch::{Sketch, int};

/// The mean over rows and columns, in an image's own rank or not.
pub fn over_space(sketch: &mut Sketch<'_>, keep: bool) -> bool {
    let [channels, _, _] = sketch.now.dims[..] else {
        return false;
    };
    let op = sketch.draw.pick(&[
        "ReduceMean",
        "ReduceMean",
        "ReduceMax",
        "ReduceSum",
        "ReduceL2",
    ]);
    let axes = if sketch.opset >= 11 && sketch.draw.percent(50) {
        [-2, -1]
    } else {
        [2, 3]
    };
    let dims = if keep {
        vec![channels, 1, 1]
    } else {
        vec![channels]
    };
    reduce(sketch, op, &axes, keep, dims);
    true
}

fn reduce(sketch: &mut Sketch<'_>, op: &str, axes: &[i64], keep: bool, dims: Vec<usize>) {
    let since = if op == "ReduceSum" { 13 } else { 18 };
    let (more, mut attributes) = sketch.axes(axes, since);
    if !keep || !sketch.omits() {
        attributes.push(int("keepdims", keep.into()));
    }
    if sketch.opset >= since && sketch.draw.percent(20) {
        attributes.push(int("noop_with_empty_axes", 0));
    }
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    sketch.then(op, &more, attributes, dims);
}

/// One axis made one number; where it stays, the value is taken from what was there.
pub fn one_axis(sketch: &mut Sketch<'_>) -> bool {
    let x = sketch.now.clone();
    let place = sketch.draw.below(x.dims.len());
    let axis = sketch.axis(place + 1);
    let op = sketch.draw.pick(&[
        "ReduceMean",
        "ReduceSum",
        "ReduceMax",
        "ReduceMin",
        "ReduceL1",
        "ReduceL2",
        "ReduceSumSquare",
        "ReduceLogSumExp",
    ]);
    if x.dims.len() > 1 && sketch.draw.percent(40) {
        let mut dims = x.dims;
        dims.remove(place);
        reduce(sketch, op, &[axis], false, dims);
        return true;
    }
    let mut dims = x.dims.clone();
    dims[place] = 1;
    reduce(sketch, op, &[axis], true, dims);
    let reduced = sketch.now.name.clone();
    let name = sketch.node("Sub", &[&x.name, &reduced], Vec::new());
    sketch.now.name = name;
    sketch.now.dims = x.dims;
    true
}

/// `Softmax`, `LogSoftmax`, `Hardmax`, along an axis or without one.
pub fn softmax(sketch: &mut Sketch<'_>) -> bool {
    let op = sketch
        .draw
        .pick(&["Softmax", "Softmax", "Softmax", "LogSoftmax", "Hardmax"]);
    let rank = sketch.now.dims.len();
    let mut attributes = Vec::new();
    if sketch.draw.percent(80) {
        // Mostly the last axis, as networks have it.
        let axis = if sketch.draw.percent(65) {
            rank
        } else {
            1 + sketch.draw.below(rank)
        };
        attributes.push(int("axis", sketch.axis(axis)));
    }
    sketch.keep(op, &[], attributes);
    true
}

/// `CumSum`.
pub fn running(sketch: &mut Sketch<'_>) -> bool {
    if sketch.opset < 11 {
        return false;
    }
    let place = sketch.draw.below(sketch.now.dims.len());
    let axis = sketch.axis(place + 1);
    let axis = sketch.stored(stored::from_i64("", &[], &[axis]));
    let mut attributes = Vec::new();
    if sketch.draw.percent(20) {
        attributes.push(int("exclusive", 1));
    }
    if sketch.draw.percent(20) {
        attributes.push(int("reverse", 1));
    }
    sketch.keep("CumSum", &[&axis], attributes);
    true
}
