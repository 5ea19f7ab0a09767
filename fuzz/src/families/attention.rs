//! Attention as it is exported: products of matrices, reshapes, a softmax.

use super::{linear, normalize, unary};
use crate::sketch::{Sketch, int, ints};

/// One head or two over the rows of `[n, rows, width]`, with a residual connection.
pub fn block(sketch: &mut Sketch<'_>) -> bool {
    let [rows, width] = sketch.now.dims[..] else {
        return false;
    };
    if rows > 40 || !(2..=64).contains(&width) {
        return false;
    }
    let start = sketch.now.clone();
    if sketch.draw.percent(60) {
        normalize::layer(sketch);
    }
    let heads = if width % 2 == 0 && sketch.draw.percent(60) {
        2
    } else {
        1
    };
    let from = sketch.now.clone();
    let each = width / heads;
    let split = |sketch: &mut Sketch<'_>, transposed: bool| {
        linear::layer(sketch, width);
        sketch.reshape(&[rows, heads, each]);
        if transposed {
            sketch.transpose(&[0, 2, 3, 1]);
        } else {
            sketch.transpose(&[0, 2, 1, 3]);
        }
        sketch.now.name.clone()
    };
    let q = split(sketch, false);
    sketch.now = from.clone();
    // The keys are transposed at once, or after.
    let at_once = sketch.draw.percent(50);
    let mut k = split(sketch, at_once);
    if !at_once {
        sketch.transpose(&[0, 1, 3, 2]);
        k = sketch.now.name.clone();
    }
    sketch.now = from;
    let v = split(sketch, false);
    let root = (each as f32).sqrt();
    let q = if sketch.draw.percent(30) {
        let number = sketch.scalar(1.0 / root);
        sketch.node("Mul", &[&q, &number], Vec::new())
    } else {
        q
    };
    let mut scores = sketch.node("MatMul", &[&q, &k], Vec::new());
    if sketch.draw.percent(70) {
        let number = sketch.scalar(root);
        scores = sketch.node("Div", &[&scores, &number], Vec::new());
    }
    let axis = if sketch.opset < 13 { 3 } else { -1 };
    let weights = sketch.node("Softmax", &[&scores], vec![int("axis", axis)]);
    let mixed = sketch.node("MatMul", &[&weights, &v], Vec::new());
    let order = vec![ints("perm", &[0, 2, 1, 3])];
    let name = sketch.node("Transpose", &[&mixed], order);
    sketch.now.name = name;
    sketch.now.dims = vec![rows, heads, each];
    sketch.reshape(&[rows, width]);
    linear::layer(sketch, width);
    sketch.keep("Add", &[&start.name], Vec::new());
    if sketch.draw.percent(40) {
        let skip = sketch.now.clone();
        linear::layer(sketch, width * 2);
        unary::activation(sketch);
        linear::layer(sketch, width);
        sketch.keep("Add", &[&skip.name], Vec::new());
    }
    true
}
