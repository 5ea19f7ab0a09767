//! Functions of every element, as one operator and as exporters take them apart.

use crate::sketch::{Sketch, Style, float, text};

/// Operators without attributes, and the opset that has them.
const PLAIN: [(&str, i64); 24] = [
    ("Relu", 1),
    ("Relu", 1),
    ("Relu", 1),
    ("Sigmoid", 1),
    ("Tanh", 1),
    ("Softplus", 1),
    ("Softsign", 1),
    ("Abs", 1),
    ("Neg", 1),
    ("Exp", 1),
    ("Erf", 9),
    ("HardSwish", 14),
    ("Mish", 18),
    ("Sin", 7),
    ("Cos", 7),
    ("Atan", 7),
    ("Sinh", 9),
    ("Asinh", 9),
    ("Sign", 9),
    ("Floor", 1),
    ("Ceil", 1),
    ("Round", 11),
    ("Tan", 7),
    ("Cosh", 9),
];

/// Some activation.
pub fn activation(sketch: &mut Sketch<'_>) -> bool {
    match sketch.draw.below(10) {
        0..3 => {
            let (op, since) = sketch.draw.pick(&PLAIN);
            if sketch.opset < since {
                return false;
            }
            sketch.keep(op, &[], Vec::new());
            true
        }
        3 | 4 => parameterised(sketch),
        5 => clip(sketch),
        6 => prelu(sketch),
        7 => composed(sketch),
        8 => powers(sketch),
        _ => {
            sketch.keep("Relu", &[], Vec::new());
            true
        }
    }
}

fn parameterised(sketch: &mut Sketch<'_>) -> bool {
    let (op, since, names, defaults): (&str, i64, &[&str], &[f32]) = match sketch.draw.below(8) {
        0 => ("LeakyRelu", 1, &["alpha"], &[0.01]),
        1 => ("Elu", 1, &["alpha"], &[1.0]),
        2 => ("Selu", 1, &["alpha", "gamma"], &[1.673_263_2, 1.050_701]),
        3 => ("Celu", 12, &["alpha"], &[1.0]),
        4 => ("HardSigmoid", 1, &["alpha", "beta"], &[0.2, 0.5]),
        5 => ("ThresholdedRelu", 10, &["alpha"], &[1.0]),
        6 => ("Shrink", 9, &["bias", "lambd"], &[0.0, 0.5]),
        _ => {
            if sketch.opset < 20 {
                return false;
            }
            let tanh = sketch.draw.percent(50);
            let attributes = if tanh {
                vec![text("approximate", "tanh")]
            } else if sketch.omits() {
                Vec::new()
            } else {
                vec![text("approximate", "none")]
            };
            sketch.keep("Gelu", &[], attributes);
            return true;
        }
    };
    if sketch.opset < since {
        return false;
    }
    let mut attributes = Vec::new();
    for (name, &default) in names.iter().zip(defaults) {
        let value = if sketch.draw.percent(50) {
            default
        } else {
            sketch.draw.pick(&[0.25, 0.1, 0.5, 1.5])
        };
        if value != default || !sketch.omits() {
            attributes.push(float(name, value));
        }
    }
    sketch.keep(op, &[], attributes);
    true
}

/// `Clip`, and what stands for it.
pub fn clip(sketch: &mut Sketch<'_>) -> bool {
    let (low, high) = sketch
        .draw
        .pick(&[(0.0, 6.0), (-1.0, 1.0), (0.0, 1.0), (-0.5, 0.75)]);
    let (has_low, has_high) = match sketch.draw.below(10) {
        0 => (true, false),
        1 => (false, true),
        2 if sketch.draw.percent(30) => (false, false),
        _ => (true, true),
    };
    if sketch.style == Style::Tensorflow && sketch.opset >= 8 && sketch.draw.percent(50) {
        // Relu6 as tf2onnx writes it.
        sketch.keep("Relu", &[], Vec::new());
        let six = sketch.scalar(high);
        sketch.keep("Min", &[&six], Vec::new());
        return true;
    }
    if sketch.opset >= 8 && sketch.draw.percent(12) {
        let bound = sketch.scalar(low);
        sketch.keep("Max", &[&bound], Vec::new());
        return true;
    }
    if sketch.opset < 11 {
        let mut attributes = Vec::new();
        if has_low {
            attributes.push(float("min", low));
        }
        if has_high {
            attributes.push(float("max", high));
        }
        sketch.keep("Clip", &[], attributes);
        return true;
    }
    let low = if has_low {
        sketch.floats(&[], &[low])
    } else {
        String::new()
    };
    let high = if has_high {
        sketch.floats(&[], &[high])
    } else {
        String::new()
    };
    if has_high {
        sketch.keep("Clip", &[&low, &high], Vec::new());
    } else if has_low {
        sketch.keep("Clip", &[&low], Vec::new());
    } else {
        sketch.keep("Clip", &[], Vec::new());
    }
    true
}

fn prelu(sketch: &mut Sketch<'_>) -> bool {
    let dims = sketch.now.dims.clone();
    let shape: Vec<usize> = match sketch.draw.below(4) {
        0 => vec![1],
        1 => dims.clone(),
        _ => {
            let mut shape = vec![1; dims.len()];
            shape[0] = dims[0];
            shape
        }
    };
    let slope = sketch.around(&shape, 0.2, 0.2);
    sketch.keep("PRelu", &[&slope], Vec::new());
    true
}

/// Activations in several nodes.
fn composed(sketch: &mut Sketch<'_>) -> bool {
    let x = sketch.now.name.clone();
    let op = |sketch: &mut Sketch<'_>, op: &str, with: f32| {
        let number = sketch.scalar(with);
        sketch.keep(op, &[&number], Vec::new());
    };
    match sketch.draw.below(7) {
        // SiLU.
        0 => {
            let gate = sketch.node("Sigmoid", &[&x], Vec::new());
            sketch.keep("Mul", &[&gate], Vec::new());
        }
        // GELU.
        1 if sketch.opset >= 9 => {
            op(sketch, "Div", std::f32::consts::SQRT_2);
            sketch.keep("Erf", &[], Vec::new());
            op(sketch, "Add", 1.0);
            let half = sketch.now.name.clone();
            let name = sketch.node("Mul", &[&x, &half], Vec::new());
            sketch.now.name = name;
            op(sketch, "Mul", 0.5);
        }
        // GELU by the hyperbolic tangent.
        2 => {
            op(sketch, "Pow", 3.0);
            op(sketch, "Mul", 0.044_715);
            sketch.keep("Add", &[&x], Vec::new());
            op(sketch, "Mul", 0.797_884_6);
            sketch.keep("Tanh", &[], Vec::new());
            op(sketch, "Add", 1.0);
            sketch.keep("Mul", &[&x], Vec::new());
            op(sketch, "Mul", 0.5);
        }
        // Hardswish.
        3 => {
            op(sketch, "Add", 3.0);
            let bounds = [0.0, 6.0];
            if sketch.opset < 11 {
                sketch.keep("Clip", &[], vec![float("min", 0.0), float("max", 6.0)]);
            } else {
                let (low, high) = (
                    sketch.floats(&[], &bounds[..1]),
                    sketch.floats(&[], &bounds[1..]),
                );
                sketch.keep("Clip", &[&low, &high], Vec::new());
            }
            if sketch.draw.percent(50) {
                let gate = sketch.now.name.clone();
                let name = sketch.node("Mul", &[&x, &gate], Vec::new());
                sketch.now.name = name;
                op(sketch, "Div", 6.0);
            } else {
                op(sketch, "Div", 6.0);
                sketch.keep("Mul", &[&x], Vec::new());
            }
        }
        // Hardswish of opset 9, by HardSigmoid.
        4 => {
            let attributes = vec![float("alpha", 1.0 / 6.0), float("beta", 0.5)];
            let gate = sketch.node("HardSigmoid", &[&x], attributes);
            sketch.keep("Mul", &[&gate], Vec::new());
        }
        // Quick GELU.
        5 => {
            op(sketch, "Mul", 1.702);
            sketch.keep("Sigmoid", &[], Vec::new());
            sketch.keep("Mul", &[&x], Vec::new());
        }
        // Mish.
        _ => {
            sketch.keep("Softplus", &[], Vec::new());
            sketch.keep("Tanh", &[], Vec::new());
            sketch.keep("Mul", &[&x], Vec::new());
        }
    }
    true
}

fn powers(sketch: &mut Sketch<'_>) -> bool {
    match sketch.draw.below(5) {
        0 => {
            let two = sketch.scalar(2.0);
            sketch.keep("Pow", &[&two], Vec::new());
        }
        1 => {
            let three = sketch.scalar(3.0);
            sketch.keep("Pow", &[&three], Vec::new());
        }
        2 => {
            sketch.keep("Abs", &[], Vec::new());
            let small = sketch.scalar(0.25);
            sketch.keep("Add", &[&small], Vec::new());
            let op = sketch.draw.pick(&["Sqrt", "Log", "Reciprocal"]);
            sketch.keep(op, &[], Vec::new());
        }
        3 => {
            sketch.keep("Relu", &[], Vec::new());
            let half = sketch.scalar(0.5);
            sketch.keep("Pow", &[&half], Vec::new());
        }
        _ => {
            let x = sketch.now.name.clone();
            sketch.keep("Mul", &[&x], Vec::new());
        }
    }
    true
}
