//! What is refused, and by which words; what cannot be computed proves nothing.

use recert_bounds::{
    ActivationSlopes, ErrorKind, Network, Options, Property, Region, Slopes, crown, interval, lower,
};
use recert_graph::proto::onnx::AttributeProto;
use recert_graph::proto::onnx::attribute_proto::AttributeType;
use recert_graph::stored::from_i64;
use recert_graph::testing::{Net, ints};
use recert_testing::test;

use crate::bits::{ball, residual};
use crate::made::{both, graph};

test!(operators_without_a_relaxation_are_named);
fn operators_without_a_relaxation_are_named() {
    let refused = |op: &str, inputs: &[&str]| {
        let net = Net::new(13)
            .input("x", &[-1, 4])
            .tensor(from_i64("axis", &[1], &[1]))
            .node(op, inputs, "y")
            .output("y", &[]);
        let error = Network::new(&graph(&net)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        error.to_string()
    };
    for (op, inputs, want) in [
        (
            "Sin",
            &["x"][..],
            "node `make_y` (Sin): the function has no relaxation here",
        ),
        (
            "Mul",
            &["x", "x"],
            "node `make_y` (Mul): a product of two values that depend on the input",
        ),
        (
            "CumSum",
            &["x", "axis"],
            "node `make_y` (CumSum): the operator has no relaxation here",
        ),
    ] {
        assert_eq!(refused(op, inputs), want);
    }
}

test!(outputs_other_than_the_first_are_other_functions);
fn outputs_other_than_the_first_are_other_functions() {
    for (op, attributes, second) in [
        ("MaxPool", vec![ints("kernel_shape", &[2, 2])], "indices"),
        ("Dropout", vec![], "mask"),
    ] {
        let mut net = Net::new(13).input("x", &[1, 1, 2, 2]);
        net = net.node_with(op, &["x"], "first", attributes);
        let node = net.graph().node.last_mut().unwrap();
        node.output.push(second.to_owned());
        let to_float = AttributeProto {
            name: Some("to".to_owned()),
            r#type: Some(AttributeType::Int as i32),
            i: Some(1),
            ..AttributeProto::default()
        };
        let net = net
            .node_with("Cast", &[second], "y", vec![to_float])
            .output("y", &[]);
        let error = Network::new(&graph(&net)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("its first output"), "{error}");
    }
}

test!(a_final_softmax_is_dropped_for_labels_alone);
fn a_final_softmax_is_dropped_for_labels_alone() {
    let net = Net::new(13)
        .input("x", &[-1, 4])
        .noise("w", &[4, 3])
        .node("MatMul", &["x", "w"], "z")
        .node("Softmax", &["z"], "y")
        .output("y", &[]);
    let graph = graph(&net);
    let error = Network::new(&graph).unwrap_err();
    assert!(error.to_string().contains("(Softmax)"), "{error}");
    let network = Network::for_labels(&graph).unwrap();
    let y = network.evaluate(&[1.0, 0.0, 0.0, 0.0]);
    assert!((y.iter().sum::<f64>() - 1.0).abs() > 1e-3);
}

test!(too_little_memory_is_an_error);
fn too_little_memory_is_an_error() {
    let network = residual();
    let options = Options {
        memory: 1000,
        threads: 1,
    };
    let error = crown(&network, &ball(&network, 1, 0.1), options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Memory);
    assert!(error.to_string().contains("allow more memory"), "{error}");
}

test!(arguments_that_do_not_fit_are_errors);
fn arguments_that_do_not_fit_are_errors() {
    let network = residual();
    let region = ball(&network, 1, 0.1);
    let bounds = interval(&network, &region).unwrap();
    let mut fewer = bounds.clone();
    fewer.lower[2].pop();
    let label = Property::label(4, 0).unwrap().rows();
    for (bounds, rows) in [(&bounds, label), (&fewer, both(5))] {
        let slopes = Slopes::default();
        let made = lower(
            &network,
            &region,
            bounds,
            &rows,
            &slopes,
            Options::default(),
        );
        assert_eq!(made.unwrap_err().kind(), ErrorKind::Argument);
    }
    let beyond = Slopes {
        activations: vec![ActivationSlopes {
            neurons: vec![1_000_000],
            slopes: vec![0.5],
        }],
    };
    let made = lower(
        &network,
        &region,
        &bounds,
        &both(5),
        &beyond,
        Options::default(),
    );
    assert_eq!(made.unwrap_err().kind(), ErrorKind::Argument);
    let short = Region::linf(&[0.5; 3], 0.1).unwrap();
    assert_eq!(
        interval(&network, &short).unwrap_err().kind(),
        ErrorKind::Argument
    );
}

test!(overflow_proves_nothing);
/// Factors whose product leaves f64: whatever is computed, no bound is above minus infinity.
fn overflow_proves_nothing() {
    let mut net = Net::new(13).input("x", &[-1, 2]).floats("w", &[], &[1e38]);
    let mut last = "x".to_owned();
    for i in 0..10 {
        let made = format!("m{i}");
        net = net.node("Mul", &[&last, "w"], &made);
        last = made;
    }
    let net = net.node("Relu", &[&last], "y").output("y", &[]);
    let network = Network::new(&graph(&net)).unwrap();
    let region = Region::linf(&[0.5, 1.0], 0.1).unwrap();
    let (options, slopes) = (Options::default(), Slopes::default());
    let bounds = crown(&network, &region, options).unwrap();
    let property = Property::label(2, 1).unwrap();
    let margins = lower(
        &network,
        &region,
        &bounds,
        &property.rows(),
        &slopes,
        options,
    )
    .unwrap();
    assert_eq!(margins, [f64::NEG_INFINITY]);
    assert!(!property.verified(&margins));
}

test!(bounds_that_are_no_numbers_prove_nothing);
fn bounds_that_are_no_numbers_prove_nothing() {
    let network = residual();
    let region = ball(&network, 1, 0.01);
    let bounds = interval(&network, &region).unwrap();
    let value = network.activations()[0].input;
    for bad in [f64::NAN, f64::INFINITY] {
        let mut bounds = bounds.clone();
        bounds.lower[value][7] = -bad;
        bounds.upper[value][7] = bad;
        let (options, slopes) = (Options::default(), Slopes::default());
        let made = lower(&network, &region, &bounds, &both(5), &slopes, options).unwrap();
        assert_eq!(made, [f64::NEG_INFINITY; 10]);
    }
}
