//! What is constant but computed in the graph: shapes, weights, branches.

use half::f16;
use recert_graph::proto::onnx::attribute_proto::AttributeType;
use recert_graph::proto::onnx::tensor_proto::DataType;
use recert_graph::proto::onnx::{AttributeProto, GraphProto, NodeProto, TensorProto};
use recert_graph::stored;
use recert_graph::testing::info;

use crate::sketch::{Sketch, Style, float, int, ints};

/// `x.view(x.size(0), -1)` as `PyTorch` exports it, or something like it: a row of values.
pub fn flatten(sketch: &mut Sketch<'_>) -> bool {
    let size = sketch.size();
    match sketch.draw.below(6) {
        0 | 1 => {
            let attributes = if sketch.omits() {
                Vec::new()
            } else {
                vec![int("axis", 1)]
            };
            sketch.then("Flatten", &[], attributes, vec![size]);
        }
        2 if sketch.style != Style::Old => {
            let x = sketch.now.name.clone();
            let shape = sketch.node("Shape", &[&x], Vec::new());
            let zero = sketch.stored(stored::from_i64("", &[], &[0]));
            let batch = sketch.node("Gather", &[&shape, &zero], vec![int("axis", 0)]);
            let rest = sketch.list(&[-1]);
            let batch = unsqueezed(sketch, &batch);
            let shape = sketch.node("Concat", &[&batch, &rest], vec![int("axis", 0)]);
            sketch.then("Reshape", &[&shape], Vec::new(), vec![size]);
        }
        3 if sketch.opset >= 10 => {
            // As tf2onnx: Shape, Cast, Slice, Squeeze, Concat.
            let x = sketch.now.name.clone();
            let shape = sketch.node("Shape", &[&x], Vec::new());
            let (start, end, axes) = (sketch.list(&[0]), sketch.list(&[1]), sketch.list(&[0]));
            let batch = sketch.node("Slice", &[&shape, &start, &end, &axes], Vec::new());
            let rest = sketch.list(&[size as i64]);
            let shape = sketch.node("Concat", &[&batch, &rest], vec![int("axis", 0)]);
            sketch.then("Reshape", &[&shape], Vec::new(), vec![size]);
        }
        _ => sketch.reshape(&[size]),
    }
    true
}

fn unsqueezed(sketch: &mut Sketch<'_>, name: &str) -> String {
    if sketch.opset < 13 {
        sketch.node("Unsqueeze", &[name], vec![ints("axes", &[0])])
    } else {
        let axes = sketch.list(&[0]);
        sketch.node("Unsqueeze", &[name, &axes], Vec::new())
    }
}

/// A layer whose weights are computed from constants.
pub fn weights(sketch: &mut Sketch<'_>) -> bool {
    let dims = sketch.now.dims.clone();
    let inputs = dims[dims.len() - 1];
    let rows: usize = dims[..dims.len() - 1].iter().product();
    if inputs > 512 || rows * 8 > super::layers::MOST {
        return false;
    }
    let outputs = 8;
    let shape = [inputs, outputs];
    let weights = match sketch.draw.below(7) {
        0 => {
            let stored = sketch.weights(&[outputs, inputs], inputs);
            sketch.node("Transpose", &[&stored], vec![ints("perm", &[1, 0])])
        }
        1 => {
            let stored = sketch.weights(&shape, inputs);
            sketch.node("Identity", &[&stored], Vec::new())
        }
        2 => {
            let (stored, factor) = (sketch.weights(&shape, inputs), sketch.scalar(0.5));
            sketch.node("Mul", &[&stored, &factor], Vec::new())
        }
        3 => {
            // Weights kept in float16.
            let values = sketch.noise(inputs * outputs, (3.0 / inputs as f32).sqrt(), 0.0);
            let values: Vec<f16> = values.iter().map(|&value| f16::from_f32(value)).collect();
            let stored = sketch.initializer(stored::from_f16("", &shape, &values));
            sketch.node("Cast", &[&stored], vec![int("to", DataType::Float as i64)])
        }
        4 => {
            let stored = sketch.weights(&[inputs * outputs], inputs);
            let shape = sketch.list(&[inputs as i64, -1]);
            sketch.node("Reshape", &[&stored, &shape], Vec::new())
        }
        5 if sketch.opset >= 13 => {
            // Weights alone in 8 bits, a scale a column.
            let values = sketch.noise(inputs * outputs, 127.0, 0.0);
            let values: Vec<i8> = values.iter().map(|&value| value as i8).collect();
            let stored = sketch.initializer(stored::from_i8("", &shape, &values));
            let scales = sketch.around(&[outputs], 0.005, 0.01);
            let attributes = vec![int("axis", 1)];
            if sketch.draw.percent(50) {
                let zeros = sketch.initializer(stored::from_i8("", &[outputs], &[0; 8]));
                sketch.node("DequantizeLinear", &[&stored, &scales, &zeros], attributes)
            } else {
                sketch.node("DequantizeLinear", &[&stored, &scales], attributes)
            }
        }
        _ if sketch.opset >= 9 => {
            let shape = sketch.list(&[inputs as i64, outputs as i64]);
            let value = AttributeProto {
                name: Some("value".to_owned()),
                r#type: Some(AttributeType::Tensor.into()),
                t: Some(stored::from_f32("", &[1], &[0.03])),
                ..AttributeProto::default()
            };
            let filled = sketch.node("ConstantOfShape", &[&shape], vec![value]);
            let stored = sketch.weights(&[outputs], inputs);
            sketch.node("Add", &[&filled, &stored], Vec::new())
        }
        _ => return false,
    };
    let mut made = dims;
    *made.last_mut().expect("a value has extents") = outputs;
    sketch.then("MatMul", &[&weights], Vec::new(), made);
    true
}

/// `If` by a condition that is constant, as exporters leave it.
pub fn branch(sketch: &mut Sketch<'_>) -> bool {
    if sketch.opset < 11 {
        return false;
    }
    let x = sketch.now.clone();
    let condition = sketch.stored(TensorProto {
        data_type: Some(DataType::Bool.into()),
        raw_data: Some(vec![u8::from(x.dims.iter().sum::<usize>() % 2 == 0)].into()),
        ..TensorProto::default()
    });
    let mut sizes = vec![sketch.batch];
    sizes.extend(x.dims.iter().map(|&size| size as i64));
    let part = |name: &str, op: &str, attribute: Vec<AttributeProto>| {
        let output = format!("{name}_of_{}", x.name);
        let node = NodeProto {
            op_type: Some(op.to_owned()),
            input: vec![x.name.clone()],
            output: vec![output.clone()],
            attribute,
            ..NodeProto::default()
        };
        AttributeProto {
            name: Some(name.to_owned()),
            r#type: Some(AttributeType::Graph.into()),
            g: Some(GraphProto {
                name: Some(name.to_owned()),
                node: vec![node],
                output: vec![info(&output, DataType::Float, &sizes)],
                ..GraphProto::default()
            }),
            ..AttributeProto::default()
        }
    };
    let attributes = vec![
        part("then_branch", "Relu", Vec::new()),
        part("else_branch", "LeakyRelu", vec![float("alpha", 0.1)]),
    ];
    let name = sketch.node("If", &[&condition], attributes);
    sketch.now.name = name;
    true
}
