//! Damaged networks: a rewrite refuses them or succeeds, and never panics.

use proptest::prelude::*;
use recert_net::{
    Calibration, HalfFormat, Model, PruneScope, RangeMethod, calibration_points, fold_batchnorm,
    half, instrument, prune, quantize_int8, weights,
};

/// Calls everything that takes a network.
fn exercise(bytes: Vec<u8>) {
    let Ok(model) = Model::from_bytes("fuzzed", bytes) else {
        return;
    };
    drop(weights(&model));
    drop(prune(&model, 0.5, PruneScope::Global));
    drop(half(&model, HalfFormat::Float16));
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
}
