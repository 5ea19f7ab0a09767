//! Functions of two and more tensors: constants with broadcasting, residual branches,
//! gates, comparisons, concatenation.

use recert_graph::proto::onnx::tensor_proto::DataType;

use super::{layers, linear, unary};
use crate::sketch::{Sketch, Value, int, ints};

/// A constant that is broadcast to the current value, in the shapes that files have.
fn constant(sketch: &mut Sketch<'_>, centre: f32) -> String {
    let dims = sketch.now.dims.clone();
    let shape: Vec<usize> = match sketch.draw.below(6) {
        0 => Vec::new(),
        1 => vec![1],
        2 => vec![dims[dims.len() - 1]],
        3 => dims,
        4 => std::iter::once(1).chain(dims).collect(),
        _ => {
            let mut shape = vec![1; dims.len()];
            shape[0] = dims[0];
            shape
        }
    };
    let values = sketch.noise(shape.iter().product(), 0.5, centre);
    sketch.floats(&shape, &values)
}

/// Arithmetic with a constant.
pub fn with_constant(sketch: &mut Sketch<'_>) -> bool {
    let op = sketch
        .draw
        .pick(&["Add", "Mul", "Sub", "Div", "Max", "Min"]);
    if matches!(op, "Max" | "Min") && sketch.opset < 8 {
        return false;
    }
    let number = constant(sketch, if op == "Div" { 1.2 } else { 0.3 });
    if matches!(op, "Add" | "Mul" | "Sub") && sketch.draw.percent(25) {
        let (x, dims) = (sketch.now.name.clone(), sketch.now.dims.clone());
        let name = sketch.node(op, &[&number, &x], Vec::new());
        sketch.now = Value { name, dims };
    } else {
        sketch.keep(op, &[&number], Vec::new());
    }
    true
}

/// One or two nodes that keep the extents.
fn branch(sketch: &mut Sketch<'_>) {
    let dims = sketch.now.dims.clone();
    let from = sketch.now.clone();
    if dims.len() == 3 && sketch.draw.percent(60) {
        let channels = dims[0];
        let group = if sketch.draw.percent(25) { channels } else { 1 };
        let shape = [channels, channels / group, 3, 3];
        let weights = sketch.weights(&shape, channels / group * 9);
        let bias = sketch.around(&[channels], 0.5, 0.0);
        let attributes = vec![
            ints("pads", &[1, 1, 1, 1]),
            ints("kernel_shape", &[3, 3]),
            ints("strides", &[1, 1]),
            int("group", group as i64),
        ];
        sketch.keep("Conv", &[&weights, &bias], attributes);
        if sketch.draw.percent(60) {
            super::normalize::batch(sketch);
        }
    } else if dims.len() < 3 {
        linear::layer(sketch, dims[dims.len() - 1]);
    }
    if sketch.now == from || sketch.draw.percent(40) {
        unary::activation(sketch);
    }
}

/// A residual connection, or another function of two branches.
pub fn residual(sketch: &mut Sketch<'_>) -> bool {
    let start = sketch.now.clone();
    branch(sketch);
    let left = sketch.now.clone();
    if left.name == start.name {
        return false;
    }
    let right = if sketch.draw.percent(25) {
        sketch.now = start.clone();
        branch(sketch);
        sketch.now.clone()
    } else {
        start
    };
    let op = sketch.draw.pick(&[
        "Add", "Add", "Add", "Mul", "Sub", "Max", "Sum", "Mean", "Min",
    ]);
    let (a, b) = if sketch.draw.percent(50) {
        (&left, &right)
    } else {
        (&right, &left)
    };
    let name = if matches!(op, "Sum" | "Mean" | "Max") && sketch.draw.percent(30) {
        sketch.node(op, &[&a.name, &b.name, &a.name], Vec::new())
    } else {
        sketch.node(op, &[&a.name, &b.name], Vec::new())
    };
    let dims = left.dims.clone();
    sketch.now = Value { name, dims };
    if sketch.draw.percent(50) {
        sketch.keep("Relu", &[], Vec::new());
    }
    true
}

/// Squeeze and excitation: an image times a gate from its own means.
pub fn gate(sketch: &mut Sketch<'_>) -> bool {
    let [channels, _, _] = sketch.now.dims[..] else {
        return false;
    };
    let image = sketch.now.clone();
    if sketch.draw.percent(60) {
        layers::global_pool(sketch);
    } else {
        super::reduce::over_space(sketch, true);
    }
    for (outputs, last) in [(4, false), (channels, true)] {
        let inputs = sketch.now.dims[0];
        let weights = sketch.weights(&[outputs, inputs, 1, 1], inputs);
        let bias = sketch.around(&[outputs], 0.5, 0.0);
        let attributes = vec![ints("kernel_shape", &[1, 1])];
        sketch.then("Conv", &[&weights, &bias], attributes, vec![outputs, 1, 1]);
        let op = match (last, sketch.draw.percent(70)) {
            (false, _) => "Relu",
            (true, true) => "Sigmoid",
            (true, false) => "HardSigmoid",
        };
        sketch.keep(op, &[], Vec::new());
    }
    let gate = sketch.now.name.clone();
    let pair = if sketch.draw.percent(50) {
        [gate, image.name]
    } else {
        [image.name, gate]
    };
    let name = sketch.node("Mul", &[&pair[0], &pair[1]], Vec::new());
    let dims = image.dims;
    sketch.now = Value { name, dims };
    true
}

/// Two branches one after the other, along the channels or another axis.
pub fn concat(sketch: &mut Sketch<'_>) -> bool {
    let start = sketch.now.clone();
    if sketch.size() > layers::MOST / 2 {
        return false;
    }
    branch(sketch);
    let axis = if start.dims.len() > 1 && sketch.draw.percent(20) {
        2
    } else {
        1
    };
    let attribute = int("axis", sketch.axis(axis));
    let mut dims = start.dims.clone();
    dims[axis - 1] *= 2;
    let (a, b) = (start.name, sketch.now.name.clone());
    let name = sketch.node("Concat", &[&a, &b], vec![attribute]);
    sketch.now = Value { name, dims };
    true
}

/// Parts of an axis, one of them changed, together again.
pub fn split(sketch: &mut Sketch<'_>) -> bool {
    let extent = sketch.now.dims[0];
    if extent < 2 {
        return false;
    }
    let uneven = !extent.is_multiple_of(2) || sketch.draw.percent(40);
    let sizes = if uneven {
        let first = sketch.draw.between(1, extent - 1);
        [first, extent - first]
    } else {
        [extent / 2; 2]
    };
    let axis = int("axis", sketch.axis(1));
    let list = [sizes[0] as i64, sizes[1] as i64];
    let x = sketch.now.clone();
    let parts = if sketch.opset < 13 {
        let mut attributes = vec![axis];
        if uneven || !sketch.omits() {
            attributes.push(ints("split", &list));
        }
        sketch.nodes("Split", &[&x.name], attributes, 2)
    } else if !uneven && sketch.opset >= 18 && sketch.draw.percent(60) {
        let attributes = vec![axis, int("num_outputs", 2)];
        sketch.nodes("Split", &[&x.name], attributes, 2)
    } else if !uneven && sketch.opset < 18 && sketch.draw.percent(30) {
        sketch.nodes("Split", &[&x.name], vec![axis], 2)
    } else {
        let sizes = sketch.list(&list);
        sketch.nodes("Split", &[&x.name, &sizes], vec![axis], 2)
    };
    let mut dims = x.dims.clone();
    dims[0] = sizes[0];
    sketch.now = Value {
        name: parts[0].clone(),
        dims,
    };
    unary::activation(sketch);
    let changed = sketch.now.name.clone();
    // A gated unit where the parts are alike.
    if sizes[0] == sizes[1] && sketch.draw.percent(30) {
        sketch.keep("Mul", &[&parts[1]], Vec::new());
        return true;
    }
    let axis = int("axis", sketch.axis(1));
    let name = if sketch.draw.percent(60) {
        sketch.node("Concat", &[&parts[1], &changed], vec![axis])
    } else {
        sketch.node("Concat", &[&changed, &parts[1]], vec![axis])
    };
    sketch.now = Value { name, dims: x.dims };
    true
}

/// A comparison, and what is chosen by it.
pub fn choose(sketch: &mut Sketch<'_>) -> bool {
    if sketch.opset < 9 {
        return false;
    }
    let x = sketch.now.clone();
    let ops: &[&str] = if sketch.opset >= 12 {
        &["Greater", "Less", "GreaterOrEqual", "LessOrEqual"]
    } else {
        &["Greater", "Less"]
    };
    let op = sketch.draw.pick(ops);
    let threshold = constant(sketch, 0.1);
    let mut condition = sketch.node(op, &[&x.name, &threshold], Vec::new());
    match sketch.draw.below(5) {
        0 => condition = sketch.node("Not", &[&condition], Vec::new()),
        1 => {
            let high = sketch.scalar(0.8);
            let other = sketch.node("Less", &[&x.name, &high], Vec::new());
            let op = sketch.draw.pick(&["And", "Or", "Xor"]);
            condition = sketch.node(op, &[&condition, &other], Vec::new());
        }
        _ => {}
    }
    if sketch.draw.percent(35) {
        let to = vec![int("to", DataType::Float as i64)];
        let mask = sketch.node("Cast", &[&condition], to);
        sketch.keep("Mul", &[&mask], Vec::new());
        return true;
    }
    let other = if sketch.draw.percent(50) {
        sketch.scalar(0.25)
    } else {
        let small = sketch.scalar(0.1);
        sketch.node("Mul", &[&x.name, &small], Vec::new())
    };
    let name = if sketch.draw.percent(70) {
        sketch.node("Where", &[&condition, &x.name, &other], Vec::new())
    } else {
        sketch.node("Where", &[&condition, &other, &x.name], Vec::new())
    };
    sketch.now.name = name;
    true
}
