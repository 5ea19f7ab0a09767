use half::f16;

use super::*;
use crate::testing::{Net, info, ints};
use crate::{Builder, Extent, Interpreter, Limits};

fn batches(sizes: &[usize]) -> Shape {
    let rest = sizes.iter().copied().map(Extent::Fixed);
    std::iter::once(Extent::Batch(1)).chain(rest).collect()
}

fn operators(model: &Model) -> Vec<String> {
    model.operators().map(|operator| operator.op_type).collect()
}

fn run(model: &Model, shape: &[usize], values: &[f32]) -> Vec<f32> {
    let graph = Builder::new(model).build().unwrap();
    let interpreter = Interpreter::new(&graph, Limits::default()).unwrap();
    let input = Tensor::new(shape.to_vec(), Data::Float32(values.to_vec())).unwrap();
    interpreter.run(&[input]).unwrap()[0].to_f32().unwrap()
}

#[test]
fn open_extents_are_those_of_the_images() {
    let model = Net::new(13)
        .input("x", &[-1, -1, -1, -1])
        .output("y", &[-1, 2])
        .noise("w", &[2, 3, 3, 3])
        .node("Conv", &["x", "w"], "a")
        .node("GlobalAveragePool", &["a"], "b")
        .node("Flatten", &["b"], "y")
        .model();
    let plain = model.plain(&batches(&[3, 8, 8]), &["y"]).unwrap();
    let dims = plain.model.input().unwrap().dims;
    let dims: Vec<String> = dims.iter().map(ToString::to_string).collect();
    assert_eq!(dims, ["N", "3", "8", "8"]);
    let again = plain.model.plain(&batches(&[3, 8, 8]), &["y"]).unwrap();
    assert!(matches!(again.model, Cow::Borrowed(_)));
    let error = model.plain(&batches(&[3, 8]), &["y"]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Signature, "{error}");
    // Nor does the file have to say how many extents there are.
    let mut proto = model.proto_to_rewrite().unwrap();
    let graph = proto.graph.as_mut().unwrap();
    let kind = graph.input[0].r#type.as_mut().unwrap();
    if let Some(type_proto::Value::TensorType(tensor)) = &mut kind.value {
        tensor.shape = None;
    }
    let unstated = Model::from_proto("unstated".to_owned(), proto).unwrap();
    let plain = unstated.plain(&batches(&[3, 8, 8]), &["y"]).unwrap();
    let dims = plain.model.input().unwrap().dims;
    let dims: Vec<String> = dims.iter().map(ToString::to_string).collect();
    assert_eq!(dims, ["?", "3", "8", "8"]);
}

#[test]
fn what_other_outputs_need_is_left_out() {
    let model = Net::new(13)
        .input("x", &[-1, 4])
        .typed_output("label", DataType::Int64, &[-1])
        .output("y", &[-1, 4])
        .noise("w", &[4, 4])
        .noise("unused", &[4])
        .node("MatMul", &["x", "w"], "y")
        .node("Mul", &["y", "unused"], "z")
        .node("Frobnicate", &["z"], "label")
        .model();
    let plain = model.plain(&batches(&[4]), &["y"]).unwrap();
    assert_eq!(operators(&plain.model), ["MatMul"]);
    assert_eq!(plain.model.graph_proto().output.len(), 1);
    assert_eq!(plain.model.graph_proto().initializer.len(), 1);
    assert_eq!(plain.outputs, ["y"]);
}

#[test]
fn dropout_in_inference_is_the_identity() {
    let net = |opset: i64| Net::new(opset).input("x", &[-1, 4]).output("y", &[-1, 4]);
    let flag = |name: &str, value: bool| {
        let mut tensor = stored::from_u8(name, &[], &[value.into()]);
        tensor.data_type = Some(DataType::Bool.into());
        tensor
    };
    let stated = |name: &str| {
        let mut is_test = ints(name, &[]);
        is_test.r#type = Some(AttributeType::Int.into());
        is_test.i = Some(1);
        vec![is_test]
    };
    let with_mask = |net: Net| {
        let mut net = net.node("Dropout", &["x"], "y");
        net.graph().node[0].output.push("mask".to_owned());
        net
    };
    let (gone, stays, refused) = (Some("Identity"), Some("Dropout"), None);
    let table = [
        (
            net(6).node_with("Dropout", &["x"], "y", stated("is_test")),
            gone,
        ),
        (net(6).node("Dropout", &["x"], "y"), refused),
        (net(7).node("Dropout", &["x"], "y"), gone),
        (with_mask(net(10)), gone),
        (
            with_mask(net(10).typed_output("mask", DataType::Bool, &[-1, 4])),
            stays,
        ),
        (
            net(13)
                .floats("r", &[], &[0.5])
                .node("Dropout", &["x", "r"], "y"),
            gone,
        ),
        (
            net(13)
                .tensor(flag("t", false))
                .node("Dropout", &["x", "", "t"], "y"),
            gone,
        ),
        (
            net(13)
                .tensor(flag("t", true))
                .node("Dropout", &["x", "", "t"], "y"),
            refused,
        ),
    ];
    for (i, (net, wanted)) in table.into_iter().enumerate() {
        let model = net.model();
        let names: Vec<&str> = (model.graph_proto().output.iter())
            .map(ValueInfoProto::name)
            .collect();
        let plain = model.plain(&batches(&[4]), &names);
        let Some(wanted) = wanted else {
            let error = plain.unwrap_err().to_string();
            assert!(error.contains("'make_y' (Dropout)"), "row {i}: {error}");
            continue;
        };
        assert_eq!(operators(&plain.unwrap().model), [wanted], "row {i}");
    }
}

#[test]
fn zero_points_that_are_left_out_are_stated() {
    let model = Net::new(13)
        .input("x", &[-1, 4])
        .output("y", &[-1, 2])
        .floats("s", &[], &[0.1])
        .floats("t", &[2], &[0.1, 0.2])
        .tensor(stored::from_i8("w", &[2, 4], &[1; 8]))
        .node("QuantizeLinear", &["x", "s"], "q")
        .node("DequantizeLinear", &["q", "s"], "d")
        .node_with("DequantizeLinear", &["w", "t"], "v", {
            let mut axis = ints("axis", &[]);
            axis.r#type = Some(AttributeType::Int.into());
            axis.i = Some(0);
            vec![axis]
        })
        .node("Transpose", &["v"], "vt")
        .node("MatMul", &["d", "vt"], "y")
        .model();
    let plain = model.plain(&batches(&[4]), &["y"]).unwrap();
    let zero = |node: usize| {
        let name = plain.model.graph_proto().node[node].input[2].clone();
        let tensor = plain.model.initializer(&name).unwrap().unwrap();
        (tensor.element(), tensor.shape().to_vec())
    };
    assert_eq!(zero(0), (ElementType::UInt8, vec![]));
    assert_eq!(zero(1), (ElementType::UInt8, vec![]));
    assert_eq!(zero(2), (ElementType::Int8, vec![2]));
    let values = [0.12, 3.0, -1.0, 0.96];
    assert_eq!(
        run(&plain.model, &[1, 4], &values),
        run(&model, &[1, 4], &values)
    );
}

/// Values halfway between two of float16, and beyond its range.
#[test]
fn inputs_of_other_floats_take_float32() {
    let net = |kind| {
        let mut net = Net::new(13).output("y", &[-1, 4]);
        net.graph().input.push(info("x", kind, &[-1, 4]));
        net
    };
    let values = [1.0 + 2.0_f32.powi(-11), 65519.0, 65520.0, 1e-8];
    let rounded = values.map(|value| f16::from_f32(value).to_f32());
    let mut cast = ints("to", &[]);
    cast.r#type = Some(AttributeType::Int.into());
    cast.i = Some(1);
    // Converted at once: what is left is a conversion from float32 to itself.
    let model = net(DataType::Float16)
        .node_with("Cast", &["x"], "y", vec![cast.clone()])
        .model();
    let plain = model.plain(&batches(&[4]), &["y"]).unwrap();
    assert_eq!(
        (plain.input.as_str(), operators(&plain.model)),
        ("x in float32", vec!["Cast".to_owned()])
    );
    let numbers = values.map(|value| ElementType::Float16.rounded(value));
    assert_eq!(numbers, rounded);
    assert_eq!(run(&plain.model, &[1, 4], &numbers), rounded);
    // Used as it is: converted first. The output is read as float32.
    let mut model = net(DataType::Float16).node("Identity", &["x"], "y");
    model.graph().output[0] = info("y", DataType::Float16, &[-1, 4]);
    let model = model.model();
    let plain = model.plain(&batches(&[4]), &["y"]).unwrap();
    assert_eq!(operators(&plain.model), ["Cast", "Identity", "Cast"]);
    assert_eq!(plain.outputs, ["y as read"]);
    assert_eq!(run(&plain.model, &[1, 4], &values), rounded);
    // What is converted at the very end is rounded by the reader.
    let mut cast = cast;
    cast.i = Some(10);
    let mut model =
        Net::new(13)
            .input("x", &[-1, 4])
            .node_with("Cast", &["x"], "y", vec![cast.clone()]);
    model
        .graph()
        .output
        .push(info("y", DataType::Float16, &[-1, 4]));
    let model = model.model();
    let plain = model.plain(&batches(&[4]), &["y"]).unwrap();
    assert_eq!(
        (operators(&plain.model), &plain.outputs[..]),
        (vec!["Identity".to_owned()], &["y".to_owned()][..])
    );
    assert_eq!(run(&plain.model, &[1, 4], &values), values);
    cast.i = Some(1);
    // float64 holds every float32.
    let model = net(DataType::Double)
        .node_with("Cast", &["x"], "y", vec![cast])
        .model();
    let plain = model.plain(&batches(&[4]), &["y"]).unwrap();
    assert_eq!(run(&plain.model, &[1, 4], &values), values);
    let model = net(DataType::Uint8).node("Identity", &["x"], "y").model();
    let error = model.plain(&batches(&[4]), &["y"]).unwrap_err();
    assert!(error.to_string().contains("uint8"), "{error}");
}
