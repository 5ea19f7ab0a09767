//! Whole networks: inputs, outputs, what is in between, and limits.

use crate::testing::Net;
use crate::{Builder, Data, ErrorKind, Interpreter, Limits, Tensor};

/// `relu(x w) + 1`, for a batch of any size.
fn net() -> Net {
    Net::new(13)
        .input("x", &[-1, 2])
        .output("y", &[-1, 3])
        .floats("w", &[2, 3], &[1.0, 0.0, -1.0, 0.0, 1.0, 2.0])
        .floats("one", &[1], &[1.0])
        .node("MatMul", &["x", "w"], "product")
        .node("Relu", &["product"], "positive")
        .node("Add", &["positive", "one"], "y")
}

fn images(shape: &[usize], values: &[f32]) -> Tensor {
    Tensor::new(shape.to_vec(), Data::Float32(values.to_vec())).unwrap()
}

#[test]
fn a_network_is_computed_for_any_batch() {
    let model = net().model();
    let graph = Builder::new(&model).build().unwrap();
    let interpreter = Interpreter::new(&graph, Limits::default()).unwrap();
    let outputs = interpreter
        .run(&[images(&[2, 2], &[1.0, 2.0, 3.0, -4.0])])
        .unwrap();
    let expected = images(&[2, 3], &[2.0, 3.0, 4.0, 4.0, 1.0, 1.0]);
    assert_eq!(outputs, [expected]);
    let one = interpreter.run(&[images(&[1, 2], &[1.0, 2.0])]).unwrap();
    assert_eq!(one[0].as_f32().unwrap(), [2.0, 3.0, 4.0]);
}

#[test]
fn every_value_can_be_had() {
    let model = net().model();
    let graph = Builder::new(&model).build().unwrap();
    let interpreter = Interpreter::new(&graph, Limits::default()).unwrap();
    let states = interpreter
        .run_all(&[images(&[1, 2], &[3.0, -4.0])])
        .unwrap();
    let value = |position: usize| states.get(graph.nodes()[position].output()).unwrap();
    assert_eq!(value(0).as_f32().unwrap(), [3.0, -4.0, -11.0]);
    assert_eq!(value(1).as_f32().unwrap(), [3.0, 0.0, 0.0]);
}

#[test]
fn inputs_have_to_be_those_of_the_network() {
    let model = net().model();
    let graph = Builder::new(&model).build().unwrap();
    let interpreter = Interpreter::new(&graph, Limits::default()).unwrap();
    let refusal = |inputs: &[Tensor]| {
        let error = interpreter.run(inputs).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Argument);
        error.to_string()
    };
    assert_eq!(refusal(&[]), "the network has 1 inputs, not 0");
    assert_eq!(
        refusal(&[images(&[1, 3], &[0.0; 3])]),
        "`x`: float32 of shape [1, 3] is given, where float32 of shape [batch, 2] is asked for"
    );
    let doubles = Tensor::new(vec![1, 2], Data::Float64(vec![0.0; 2])).unwrap();
    assert!(refusal(&[doubles]).contains("float64 of shape [1, 2] is given"));
}

/// Sizes are added up before anything is computed.
#[test]
fn limits_hold_for_the_batch_at_hand() {
    let model = net().model();
    let graph = Builder::new(&model).build().unwrap();
    let elements = 7 + 10 * (2 + 3 + 3 + 3);
    let interpreter = Interpreter::new(&graph, Limits { elements }).unwrap();
    assert!(interpreter.run(&[images(&[10, 2], &[0.0; 20])]).is_ok());
    let error = interpreter
        .run(&[images(&[11, 2], &[0.0; 22])])
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(
        error
            .to_string()
            .contains("exceeds the limit of 117 elements")
    );
    assert!(Interpreter::new(&graph, Limits { elements: 17 }).is_err());
}

/// What goes wrong in a node is reported with the node's name.
#[test]
fn errors_name_the_node() {
    let model = Net::new(13)
        .input("x", &[-1, 2])
        .output("y", &[-1, 1])
        .floats("table", &[3], &[1.0, 2.0, 3.0])
        .node("ArgMax", &["x"], "index")
        .node("Gather", &["table", "index"], "y")
        .model();
    // `ArgMax` is over the batch, whose indices the table soon lacks.
    let graph = Builder::new(&model).build().unwrap();
    let interpreter = Interpreter::new(&graph, Limits::default()).unwrap();
    let mut values = [0.0; 12];
    values[10] = 1.0;
    let error = interpreter.run(&[images(&[6, 2], &values)]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "node `make_y` (Gather): index 5 is outside an axis of 3"
    );
}
