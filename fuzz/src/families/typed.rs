//! Other element types on the way: `Cast`, and what is computed in between.

use half::f16;
use recert_graph::proto::onnx::tensor_proto::DataType;
use recert_graph::stored;

use crate::sketch::{Sketch, int};

fn cast(sketch: &mut Sketch<'_>, to: DataType) {
    sketch.keep("Cast", &[], vec![int("to", to as i64)]);
}

/// Float16 for a few operators.
pub fn half(sketch: &mut Sketch<'_>) -> bool {
    cast(sketch, DataType::Float16);
    for _ in 0..=sketch.draw.below(2) {
        match sketch.draw.below(6) {
            0 => sketch.keep("Relu", &[], Vec::new()),
            1 => sketch.keep("Tanh", &[], Vec::new()),
            2 => {
                let x = sketch.now.name.clone();
                sketch.keep("Add", &[&x], Vec::new());
            }
            3 => {
                // What float16 cannot hold is infinite.
                let factor = sketch.draw.pick(&[0.5, 3.0, 50_000.0]);
                let values = [f16::from_f32(factor)];
                let factor = sketch.stored(stored::from_f16("", &[1], &values));
                sketch.keep("Mul", &[&factor], Vec::new());
            }
            4 => {
                let dims = sketch.now.dims.clone();
                let width = dims[dims.len() - 1];
                let values = sketch.noise(width * width, (3.0 / width as f32).sqrt(), 0.0);
                let values: Vec<f16> = values.iter().map(|&value| f16::from_f32(value)).collect();
                let weights = sketch.initializer(stored::from_f16("", &[width, width], &values));
                sketch.keep("MatMul", &[&weights], Vec::new());
            }
            _ => sketch.keep("Sigmoid", &[], Vec::new()),
        }
    }
    cast(sketch, DataType::Float);
    true
}

/// Integers, doubles or truth values, and back.
pub fn other(sketch: &mut Sketch<'_>) -> bool {
    match sketch.draw.below(5) {
        0 => {
            cast(sketch, DataType::Double);
            let two = sketch.stored(doubles(2.0));
            sketch.keep("Mul", &[&two], Vec::new());
        }
        1 | 2 => {
            let four = sketch.scalar(4.0);
            sketch.keep("Mul", &[&four], Vec::new());
            let to = sketch.draw.pick(&[DataType::Int32, DataType::Int64]);
            cast(sketch, to);
            if sketch.draw.percent(40) {
                let x = sketch.now.name.clone();
                sketch.keep("Add", &[&x], Vec::new());
            }
        }
        3 => {
            // 8 bits without a quantization: positive numbers that fit.
            sketch.keep("Relu", &[], Vec::new());
            let ten = sketch.scalar(10.0);
            sketch.keep("Mul", &[&ten], Vec::new());
            if sketch.opset < 11 {
                sketch.keep(
                    "Clip",
                    &[],
                    vec![
                        crate::sketch::float("min", 0.0),
                        crate::sketch::float("max", 200.0),
                    ],
                );
            } else {
                let (low, high) = (sketch.floats(&[], &[0.0]), sketch.floats(&[], &[200.0]));
                sketch.keep("Clip", &[&low, &high], Vec::new());
            }
            cast(sketch, DataType::Uint8);
        }
        _ => {
            if sketch.opset < 9 {
                return false;
            }
            sketch.keep("Relu", &[], Vec::new());
            cast(sketch, DataType::Bool);
        }
    }
    cast(sketch, DataType::Float);
    true
}

fn doubles(value: f64) -> recert_graph::proto::onnx::TensorProto {
    recert_graph::proto::onnx::TensorProto {
        data_type: Some(DataType::Double.into()),
        dims: vec![1],
        raw_data: Some(value.to_le_bytes().to_vec().into()),
        ..recert_graph::proto::onnx::TensorProto::default()
    }
}
