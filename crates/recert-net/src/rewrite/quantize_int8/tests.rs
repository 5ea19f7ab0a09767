//! Tests of the whole quantization against the reference interpreter.

use super::*;
use crate::draft::{float, int};
use crate::golden;
use crate::reference::{Array, outputs, run};
use recert_graph::testing::{Net, ints, noise};

/// Observes every point on `x` through the instrumented network.
fn calibrate(model: &Model, x: &Array, method: RangeMethod) -> Calibration {
    let points = calibration_points(model).unwrap();
    let probe = instrument(model, &points).unwrap();
    let tensors = run(&probe, x);
    let mut calibration = Calibration::new(method).unwrap();
    for point in &points {
        let values: Vec<f32> = tensors[point].values.iter().map(|v| *v as f32).collect();
        calibration.observe(point, &values).unwrap();
    }
    calibration
}

fn quantized(model: &Model, x: &Array) -> (Model, Changes) {
    quantize_int8(model, &calibrate(model, x, RangeMethod::MinMax)).unwrap()
}

fn count(model: &Model, op: &str) -> usize {
    model
        .operators()
        .filter(|operator| operator.op_type == op)
        .count()
}

#[test]
fn golden_network_stays_close() {
    let (model, images) = (golden::network(), golden::images());
    let points = calibration_points(&model).unwrap();
    // The grouped convolution's bias is folded into it, the pooled tensor has
    // the range of what is pooled, the flat one that of the average.
    assert_eq!(points, ["centred", "r1", "a2", "r2", "r3", "average"]);
    let (result, changes) = quantized(&model, &images);
    let reread = Model::from_bytes("again", result.to_bytes()).unwrap();
    assert_eq!(changes.folded_batchnorms, 2);
    assert_eq!(changes.layers.len(), 4);
    assert_eq!(count(&reread, "QuantizeLinear"), 8);
    assert_eq!(count(&reread, "DequantizeLinear"), 8 + 4 + 4);
    assert_eq!(reread.signature().unwrap(), model.signature().unwrap());
    let exact = golden::floats("float32");
    let spread = exact.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    golden::assert_close(&outputs(&reread, &images), &exact, 0.02 * spread);
}

#[test]
fn a_weight_is_off_by_half_a_step_at_most() {
    let (result, changes) = quantized(&golden::network(), &golden::images());
    let folded = fold_batchnorm::fold_batchnorm(&golden::network())
        .unwrap()
        .0;
    for (before, after) in crate::weights(&folded)
        .unwrap()
        .iter()
        .zip(crate::weights(&result).unwrap())
    {
        let per_channel = before.values.len() / before.shape[0];
        for (old, new) in before
            .values
            .chunks(per_channel)
            .zip(after.values.chunks(per_channel))
        {
            let step = f64::from(old.iter().fold(0.0_f32, |m, v| m.max(v.abs()))) / 127.0;
            for (old, new) in old.iter().zip(new) {
                let error = (f64::from(*old) - f64::from(*new)).abs();
                // The scale is rounded to float32, as is its product.
                assert!(
                    error <= step * (0.5 + 1e-4),
                    "{old} became {new}, the step is {step}"
                );
            }
        }
    }
    assert!(changes.layers.iter().all(|layer| layer.max_abs_error > 0.0));
}

#[test]
fn moved_values_keep_their_grid() {
    let (result, _) = quantized(&golden::network(), &golden::images());
    let tensors = run(&result, &golden::images());
    let graph = result.graph_proto();
    let scale_of = |name: &str| {
        let node = graph
            .node
            .iter()
            .find(|n| n.op_type() == "QuantizeLinear" && n.input[0] == name)
            .unwrap();
        node.input[1].clone()
    };
    assert_eq!(scale_of("pooled"), scale_of("r2"));
    assert_eq!(scale_of("flat"), scale_of("average"));
    assert_eq!(
        tensors["pooled"].values,
        tensors["pooled_dequantized"].values
    );
}

#[test]
fn grids_cover_the_range_and_hold_zero() {
    // (low, high, zero point)
    let table = [
        (0.0, 255.0, 0),
        (-255.0, 0.0, 255),
        (-1.0, 4.0, 51),
        (-1.0, 3.0, 64),
        (2.0, 5.1, 0),
        (0.0, 0.0, 0),
    ];
    for (low, high, zero_point) in table {
        let grid = activation_scale("t", low, high).unwrap();
        assert_eq!(grid.zero_point, zero_point, "{low} to {high}");
        let least = -f64::from(grid.zero_point) * f64::from(grid.scale);
        let greatest = least + 255.0 * f64::from(grid.scale);
        let slack = f64::from(grid.scale) * 0.501;
        assert!(
            least <= f64::from(low) + slack && greatest >= f64::from(high) - slack,
            "{grid:?}"
        );
    }
    let error = activation_scale("t", f32::MIN, f32::MAX).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Calibration);
}

/// Two linear layers, the first with factors and weights as [in, out].
fn linear(opset: i64) -> Net {
    Net::new(opset)
        .input("x", &[2, 6])
        .output("y", &[2, 3])
        .noise("w1", &[6, 4])
        .noise("b1", &[4])
        .noise("w2", &[4, 3])
        .node_with(
            "Gemm",
            &["x", "w1", "b1"],
            "h",
            vec![float("alpha", 0.5), float("beta", 2.0)],
        )
        .node("Relu", &["h"], "r")
        .node("MatMul", &["r", "w2"], "y")
}

fn input(shape: &[usize]) -> Array {
    let count = shape.iter().product();
    Array::new(shape, noise(11, count).into_iter().map(f64::from).collect())
}

#[test]
fn linear_layers_and_the_input_itself() {
    let (model, x) = (linear(9).model(), input(&[2, 6]));
    assert_eq!(calibration_points(&model).unwrap(), ["recert.input.x", "r"]);
    let (result, _) = quantized(&model, &x);
    assert_eq!(result.opset(), Some(13));
    golden::assert_close(&outputs(&result, &x), &outputs(&model, &x), 0.05);
    let error = quantize_int8(&result, &calibrate(&model, &x, RangeMethod::MinMax)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("already"), "{error}");
}

#[test]
fn seven_bits_use_half_the_range() {
    let (model, x) = (linear(13).model(), input(&[2, 6]));
    let calibration = calibrate(&model, &x, RangeMethod::MinMax);
    let options = Int8Options::default().with_bits(7);
    let (result, _) = quantize_int8_with(&model, &calibration, &options).unwrap();
    let stored = result
        .graph_proto()
        .initializer
        .iter()
        .find(|t| t.name() == "w2_quantized")
        .unwrap();
    let values = stored::integers(stored).unwrap().unwrap();
    assert_eq!(values.iter().map(|v| v.abs()).max(), Some(63));
}

#[test]
fn an_unobserved_point_is_an_error() {
    let calibration = Calibration::new(RangeMethod::MinMax).unwrap();
    let error = quantize_int8(&linear(13).model(), &calibration).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Calibration);
    assert!(error.to_string().contains("recert.input.x"), "{error}");
}

#[test]
fn integer_weights_are_refused_as_unchanged() {
    // Every weight is on the grid already.
    let net = Net::new(13)
        .input("x", &[1, 2])
        .output("y", &[1, 2])
        .floats("w", &[2, 2], &[127.0, -127.0, 5.0, 1.0])
        .node("MatMul", &["x", "w"], "y");
    let model = net.model();
    let calibration = calibrate(&model, &input(&[1, 2]), RangeMethod::MinMax);
    assert_eq!(
        quantize_int8(&model, &calibration).unwrap_err().kind(),
        ErrorKind::Unchanged
    );
}

#[test]
fn shape_arithmetic_is_left_alone() {
    // The addition works on a shape, in integers, and the padding adds ones.
    let net = Net::new(13)
        .input("x", &[1, 2, 4, 4])
        .output("y", &[1, 2, 4, 4])
        .noise("w", &[2, 2, 1, 1])
        .floats("one", &[], &[1.0])
        .tensor(stored::from_i64("pads", &[8], &[0; 8]))
        .node("Conv", &["x", "w"], "c")
        .node("Shape", &["c"], "shape")
        .node("Add", &["shape", "shape"], "twice")
        .node("Pad", &["c", "pads", "one"], "padded")
        .node("Conv", &["padded", "w"], "y");
    let points = calibration_points(&net.model()).unwrap();
    assert_eq!(points, ["recert.input.x", "padded"]);
}

#[test]
fn older_operators_are_raised_or_refused() {
    let calibrated = |net: &Net| {
        let model = net.model();
        let mut calibration = Calibration::new(RangeMethod::MinMax).unwrap();
        for point in calibration_points(&model).unwrap() {
            calibration.observe(&point, &[-1.0, 1.0]).unwrap();
        }
        quantize_int8(&model, &calibration)
    };
    let start = |opset| {
        Net::new(opset)
            .input("x", &[1, 2])
            .output("y", &[1, 2])
            .noise("w", &[2, 2])
    };
    let raised = |tail: Net| calibrated(&tail).unwrap().0;

    let clip = vec![float("min", 0.0), float("max", 6.0)];
    let result = raised(start(9).node("Gemm", &["x", "w"], "h").node_with(
        "Clip",
        &["h"],
        "y",
        clip,
    ));
    let node = result.graph_proto().node.last().unwrap();
    assert_eq!((node.input.len(), node.attribute.len()), (3, 0));

    let result = raised(
        start(9)
            .node("Gemm", &["x", "w"], "h")
            .node("Dropout", &["h"], "y"),
    );
    assert_eq!(count(&result, "Identity"), 1);

    let result = raised(start(9).node("Gemm", &["x", "w"], "h").node_with(
        "Softmax",
        &["h"],
        "y",
        vec![int("axis", 1)],
    ));
    assert_eq!(
        result.graph_proto().node.last().unwrap().attribute,
        [int("axis", -1)]
    );

    let unsqueezed = start(9)
        .node("Gemm", &["x", "w"], "h")
        .node_with("Unsqueeze", &["h"], "u", vec![ints("axes", &[2])])
        .node_with("Squeeze", &["u"], "y", vec![ints("axes", &[2])]);
    let result = raised(unsqueezed);
    assert_eq!(result.graph_proto().node.last().unwrap().input.len(), 2);

    let over_all = start(9).node("Gemm", &["x", "w"], "h").node_with(
        "Softmax",
        &["h"],
        "y",
        vec![int("axis", 0)],
    );
    let ancient = start(6).node("Gemm", &["x", "w"], "y");
    for net in [over_all, ancient] {
        assert_eq!(raised(net).opset(), Some(13));
    }

    let with_unknown = |opset, op: &str| {
        let net = start(opset).node("Gemm", &["x", "w"], "h");
        net.node(op, &["h"], "y")
    };
    // An `Upsample` without scales, and one that meant something else before 7.
    let (unknown, ancient) = (with_unknown(9, "Upsample"), with_unknown(6, "Upsample"));
    for net in [unknown, ancient] {
        let error = calibrated(&net).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("operator set 13"), "{error}");
    }
}

#[test]
fn an_unknown_point_cannot_be_instrumented() {
    let error = instrument(&linear(13).model(), &["nothing".to_owned()]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Argument);
}

#[test]
fn the_instrumented_network_computes_the_same() {
    let (model, images) = (golden::network(), golden::images());
    let probe = instrument(&model, &calibration_points(&model).unwrap()).unwrap();
    assert_eq!(outputs(&probe, &images), outputs(&model, &images));
    assert_eq!(probe.input().unwrap(), model.input().unwrap());
    assert_eq!(probe.graph_proto().output.len(), 7);
}

/// The names of the layers of the golden network, in order.
fn layer_names() -> Vec<String> {
    let weights = crate::weights(&golden::network()).unwrap();
    weights.into_iter().map(|weights| weights.layer).collect()
}

#[test]
fn a_layer_alone_is_quantized_with_its_input_and_nothing_else() {
    let (model, images) = (golden::network(), golden::images());
    let calibration = calibrate(&model, &images, RangeMethod::MinMax);
    let folded = fold_batchnorm::fold_batchnorm(&model).unwrap().0;
    let before = crate::weights(&folded).unwrap();
    let exact = outputs(&model, &images);
    let distance = |other: &[f64]| -> f64 {
        let pairs = exact.iter().zip(other);
        pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    };
    let all = quantize_int8(&model, &calibration).unwrap().0;
    let all = distance(&outputs(&all, &images));
    for (position, name) in layer_names().iter().enumerate() {
        let options = Int8Options::default().with_layers(Layers::only([name]));
        let (result, changes) = quantize_int8_with(&model, &calibration, &options).unwrap();
        assert_eq!(changes.layers.len(), 1);
        assert!(changes.approximation.ends_with(&format!("in {name} alone")));
        for (other, (before, after)) in before
            .iter()
            .zip(crate::weights(&result).unwrap())
            .enumerate()
        {
            assert_eq!(before.values == after.values, other != position, "{name}");
        }
        let one = distance(&outputs(&result, &images));
        assert!(0.0 < one && one < 2.0 * all, "{name}: {one} of {all}");
    }
    // All of them by name are all of them.
    let options = Int8Options::default().with_layers(Layers::only(layer_names()));
    let named = quantize_int8_with(&model, &calibration, &options)
        .unwrap()
        .0;
    assert_eq!(distance(&outputs(&named, &images)), all);
}

#[test]
fn a_sum_stays_float32_where_one_of_its_layers_does() {
    let net = Net::new(13)
        .input("x", &[1, 4])
        .output("y", &[1, 4])
        .noise("a", &[4, 4])
        .noise("b", &[4, 4])
        .noise("c", &[4, 4])
        .node("MatMul", &["x", "a"], "left")
        .node("MatMul", &["x", "b"], "right")
        .node("Add", &["left", "right"], "sum")
        .node("MatMul", &["sum", "c"], "y");
    let model = net.model();
    let x = Array::new(&[1, 4], noise(4, 4).iter().map(|v| f64::from(*v)).collect());
    let calibration = calibrate(&model, &x, RangeMethod::MinMax);
    // (layers quantized, quantizations of activations)
    for (layers, expected) in [
        (vec!["make_left", "make_right", "make_y"], 4), // x, left, right, sum
        (vec!["make_left", "make_right"], 3),
        (vec!["make_left"], 1),
        (vec!["make_left", "make_y"], 2),
        (vec!["make_y"], 1),
    ] {
        let options = Int8Options::default().with_layers(Layers::only(layers.clone()));
        let (result, _) = quantize_int8_with(&model, &calibration, &options).unwrap();
        assert_eq!(count(&result, "QuantizeLinear"), expected, "{layers:?}");
        golden::assert_close(&outputs(&result, &x), &outputs(&model, &x), 0.1);
    }
}

#[test]
fn fewer_bits_use_fewer_integers() {
    let (model, images) = (golden::network(), golden::images());
    let calibration = calibrate(&model, &images, RangeMethod::MinMax);
    let names = layer_names();
    let distinct = |model: &Model, layer: usize| -> usize {
        let weights = &crate::weights(model).unwrap()[layer];
        // By channel they are multiples of one scale.
        let channel = &weights.values[..weights.values.len() / weights.shape[0]];
        let mut values: Vec<u32> = channel.iter().map(|v| v.abs().to_bits()).collect();
        values.sort_unstable();
        values.dedup();
        values.len()
    };
    let options = Int8Options::default().with_bits_of(&names[0], 2);
    let (result, changes) = quantize_int8_with(&model, &calibration, &options).unwrap();
    assert!(distinct(&result, 0) <= 2, "0 and one scale");
    assert!(distinct(&result, 1) > 4);
    let words = format!("2 bits in {}", names[0]);
    assert!(changes.approximation.contains(&words), "{changes}");
    for wrong in [1, 9] {
        let options = Int8Options::default().with_bits(wrong);
        let error = quantize_int8_with(&model, &calibration, &options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Argument);
    }
}
