//! `Gemm` and `MatMul`.

use recert_graph::proto::onnx::{TensorProto, tensor_proto::DataType};

use crate::sketch::{Sketch, Style, float, int};

/// A layer from the current value's last axis to `outputs` numbers.
pub fn layer(sketch: &mut Sketch<'_>, outputs: usize) {
    if sketch.now.dims.len() == 1 && sketch.draw.percent(65) {
        gemm(sketch, outputs);
    } else {
        matmul(sketch, outputs);
    }
}

/// A layer to some number of outputs.
pub fn any(sketch: &mut Sketch<'_>) -> bool {
    let dims = &sketch.now.dims;
    let rows: usize = dims[..dims.len() - 1].iter().product();
    if rows * 16 > super::layers::MOST || dims[dims.len() - 1] > 2048 {
        return false;
    }
    let outputs = sketch.draw.pick(&[8, 16, 5, 10, 3, 1]);
    layer(sketch, outputs);
    true
}

fn gemm(sketch: &mut Sketch<'_>, outputs: usize) {
    let inputs = sketch.now.dims[0];
    let torch = matches!(sketch.style, Style::Torch | Style::Dynamo);
    let transposed = if torch {
        sketch.draw.percent(90)
    } else {
        sketch.draw.percent(30)
    };
    let shape = if transposed {
        [outputs, inputs]
    } else {
        [inputs, outputs]
    };
    let weights = sketch.weights(&shape, inputs);
    let mut attributes = Vec::new();
    let (alpha, beta) = if sketch.draw.percent(12) {
        (
            sketch.draw.pick(&[0.5, 2.0, -1.0]),
            sketch.draw.pick(&[1.0, 0.25, 0.0]),
        )
    } else {
        (1.0, 1.0)
    };
    if alpha != 1.0 || !sketch.omits() {
        attributes.push(float("alpha", alpha));
    }
    if beta != 1.0 || !sketch.omits() {
        attributes.push(float("beta", beta));
    }
    if transposed || (!torch && sketch.draw.percent(30)) {
        attributes.push(int("transB", transposed.into()));
    }
    if !torch && sketch.draw.percent(30) {
        attributes.push(int("transA", 0));
    }
    let kind = sketch.draw.below(20);
    let shape: &[usize] = match kind {
        0..14 => &[outputs],
        14 | 15 => &[1, outputs],
        16 => &[1],
        17 => &[],
        // Before opset 11, Gemm has to have a bias.
        _ if sketch.opset < 11 => &[outputs],
        _ => {
            sketch.then("Gemm", &[&weights], attributes, vec![outputs]);
            return;
        }
    };
    let bias = sketch.around(shape, 0.5, 0.0);
    sketch.then("Gemm", &[&weights, &bias], attributes, vec![outputs]);
}

fn matmul(sketch: &mut Sketch<'_>, outputs: usize) {
    let mut dims = sketch.now.dims.clone();
    let inputs = dims.pop().unwrap_or(1);
    dims.push(outputs);
    let weights = sketch.weights(&[inputs, outputs], inputs);
    sketch.then("MatMul", &[&weights], Vec::new(), dims);
    if sketch.draw.percent(70) {
        let bias = sketch.around(&[outputs], 0.5, 0.0);
        if sketch.style == Style::Torch && sketch.draw.percent(70) {
            // PyTorch writes the bias first.
            let (name, dims) = (sketch.now.name.clone(), sketch.now.dims.clone());
            let name = sketch.node("Add", &[&bias, &name], Vec::new());
            sketch.now.name = name;
            sketch.now.dims = dims;
        } else {
            sketch.keep("Add", &[&bias], Vec::new());
        }
    }
}

/// As `onnxruntime`'s dynamic quantization writes `MatMul`: integers with the image's own
/// range.
pub fn dynamic(sketch: &mut Sketch<'_>) -> bool {
    let [inputs] = sketch.now.dims[..] else {
        return false;
    };
    if sketch.opset < 11 {
        return false;
    }
    let outputs = sketch.draw.pick(&[8, 5, 10]);
    let signed = sketch.draw.percent(60);
    let x = sketch.now.name.clone();
    let made = sketch.nodes("DynamicQuantizeLinear", &[&x], Vec::new(), 3);
    let values = sketch.noise(inputs * outputs, 127.0, 0.0);
    let tensor = |kind: DataType, dims: Vec<i64>, data: Vec<u8>| TensorProto {
        data_type: Some(kind.into()),
        dims,
        raw_data: Some(data.into()),
        ..TensorProto::default()
    };
    let shape = vec![inputs as i64, outputs as i64];
    let (kind, zero, data) = if signed {
        let data = values.iter().map(|v| *v as i8 as u8).collect();
        (DataType::Int8, 0, data)
    } else {
        let data = values.iter().map(|v| (*v + 128.0) as u8).collect();
        (DataType::Uint8, 128, data)
    };
    let weights = sketch.initializer(tensor(kind, shape, data));
    let zero = sketch.initializer(tensor(kind, Vec::new(), vec![zero]));
    let product = sketch.node(
        "MatMulInteger",
        &[&made[0], &weights, &made[2], &zero],
        Vec::new(),
    );
    let cast = sketch.node("Cast", &[&product], vec![int("to", 1)]);
    let scale = sketch.floats(&[], &[0.01]);
    let scales = sketch.node("Mul", &[&made[1], &scale], Vec::new());
    let name = sketch.node("Mul", &[&cast, &scales], Vec::new());
    sketch.now.name = name;
    sketch.now.dims = vec![outputs];
    let bias = sketch.around(&[outputs], 0.5, 0.0);
    sketch.keep("Add", &[&bias], Vec::new());
    true
}
