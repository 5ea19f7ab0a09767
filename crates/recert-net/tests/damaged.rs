//! Damaged networks: a rewrite refuses them or succeeds, and never panics.

use proptest::prelude::*;
use recert_graph::proto::onnx::ValueInfoProto;
use recert_graph::{Builder, Dim, Extent};
use recert_net::{
    Calibration, HalfFormat, Layers, Model, PruneScope, RangeMethod, calibration_points,
    fold_batchnorm, half, instrument, prune, quantize_int8, weights,
};

/// Calls everything that takes a network.
fn exercise(bytes: Vec<u8>) {
    let Ok(model) = Model::from_bytes("fuzzed", bytes) else {
        return;
    };
    drop(Builder::new(&model).build());
    drop(model.modern());
    let outputs: Vec<&str> = (model.graph_proto().output.iter())
        .map(ValueInfoProto::name)
        .collect();
    if let Ok(input) = model.input() {
        let extent = |dim: &Dim| dim.fixed().map_or(Extent::Batch(1), Extent::Fixed);
        let shape = input.dims.iter().map(extent).collect();
        drop(model.plain(&shape, &outputs[..1]));
    }
    drop(weights(&model));
    drop(prune(&model, 0.5, PruneScope::Global, &Layers::ALL));
    drop(half(&model, HalfFormat::Float16, &Layers::ALL));
    drop(fold_batchnorm(&model));
    let Ok(points) = calibration_points(&model) else {
        return;
    };
    drop(instrument(&model, &points));
    let mut calibration = Calibration::new(RangeMethod::MinMax).unwrap();
    for point in &points {
        calibration.observe(point, &[-1.0, 1.0]).unwrap();
    }
    drop(quantize_int8(&model, &calibration));
}

fn residual() -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/residual.onnx");
    std::fs::read(path).unwrap()
}

/// Small networks with functions, in other floats, of early operator sets, and so on.
const KINDS: [&str; 10] = [
    "functions_nested",
    "unsorted",
    "all_f16",
    "out_f64",
    "softmax11_planes",
    "broadcast6",
    "cast5",
    "dropout13_mode_node",
    "text_label_then_scores",
    "qdq_per_channel_no_zero_point",
];

fn kind(name: &str) -> Vec<u8> {
    let folder = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../recert-engine/tests/golden/kinds"
    );
    std::fs::read(format!("{folder}/{name}.onnx")).unwrap()
}

#[test]
fn every_truncation_is_an_error_or_a_network() {
    let bytes = residual();
    (0..bytes.len()).for_each(|length| exercise(bytes[..length].to_vec()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn damaged_networks_never_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = residual();
        for (place, value) in edits {
            let length = bytes.len();
            bytes[place.index(length)] = value;
        }
        exercise(bytes);
    }

    #[test]
    fn damaged_networks_of_other_kinds_never_panic(
        name in prop::sample::select(&KINDS[..]),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = kind(name);
        for (place, value) in edits {
            let length = bytes.len();
            bytes[place.index(length)] = value;
        }
        exercise(bytes);
    }
}
