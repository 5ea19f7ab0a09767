//! Every real network in the shared folder is read and rewritten.

use std::path::{Path, PathBuf};

use recert_graph::{InputLayout, OutputKind};
use recert_net::{
    Calibration, Changes, ErrorKind, HalfFormat, Layers, Model, PruneScope, RangeMethod,
    calibration_points, half, instrument, prune, quantize_int8,
};
use recert_testing::{shared, test};

fn main() -> std::process::ExitCode {
    recert_testing::main()
}

fn networks(shared: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in ["cifar10", "imagenet", "mnist"] {
        let entries = std::fs::read_dir(shared.join("models").join(folder)).unwrap();
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        found.extend(paths.filter(|path| path.extension().is_some_and(|e| e == "onnx")));
    }
    found.sort();
    found
}

fn zeros(values: &[f32]) -> usize {
    values.iter().filter(|value| **value == 0.0).count()
}

/// What every rewrite must keep and write.
fn check(model: &Model, result: &Model, changes: &Changes) {
    let reread = Model::from_bytes(model.name(), result.to_bytes()).unwrap();
    assert_eq!(reread.signature().unwrap(), model.signature().unwrap());
    assert_eq!(reread.sha256(), result.sha256());
    assert_ne!(reread.sha256(), model.sha256());
    assert_eq!(
        reread.metadata("recert.source_sha256"),
        Some(model.sha256_hex().as_str())
    );
    assert_eq!(
        reread.metadata("recert.approximation"),
        Some(changes.approximation.as_str())
    );
    assert_eq!(
        (changes.size_before, changes.size_after),
        (model.size(), reread.size())
    );
    assert!(changes.changed() > 0);
}

test!(all_are_read_as_image_classifiers, needs shared);
fn all_are_read_as_image_classifiers(shared: &Path) {
    for path in networks(shared) {
        let model = Model::read(&path).unwrap();
        assert_eq!(model.bytes(), std::fs::read(&path).unwrap());
        let signature = model.signature().unwrap();
        let folder = path
            .parent()
            .and_then(Path::file_name)
            .unwrap()
            .to_str()
            .unwrap();
        let (layout, classes) = match folder {
            "cifar10" => (
                InputLayout::Nchw {
                    c: 3,
                    h: Some(32),
                    w: Some(32),
                },
                10,
            ),
            "imagenet" => (
                InputLayout::Nchw {
                    c: 3,
                    h: Some(224),
                    w: Some(224),
                },
                1001,
            ),
            _ if model.name().starts_with("fcnn7") => (InputLayout::Flat { d: Some(784) }, 10),
            _ => (
                InputLayout::Nchw {
                    c: 1,
                    h: Some(28),
                    w: Some(28),
                },
                10,
            ),
        };
        assert_eq!(signature.input.layout, layout, "{}", model.name());
        assert_eq!(
            signature.output.kind,
            OutputKind::Scores {
                classes: Some(classes)
            }
        );
        let layers = |op: &str| {
            model
                .operators()
                .filter(|operator| operator.op_type == op)
                .count()
        };
        let expected = layers("Conv") + layers("Gemm") + layers("MatMul");
        assert_eq!(
            recert_net::weights(&model).unwrap().len(),
            expected,
            "{}",
            model.name()
        );
    }
}

test!(all_can_be_pruned, needs shared);
fn all_can_be_pruned(shared: &Path) {
    for path in networks(shared) {
        let model = Model::read(&path).unwrap();
        match prune(&model, 0.3, PruneScope::PerLayer, &Layers::ALL) {
            Ok((result, changes)) => {
                check(&model, &result, &changes);
                for weights in recert_net::weights(&result).unwrap() {
                    let wanted = (0.3 * weights.values.len() as f64).round_ties_even() as usize;
                    assert!(zeros(&weights.values) >= wanted, "{}", weights.layer);
                }
            }
            // These two came pruned by 30 % and 90 %.
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Unchanged);
                assert!(model.name().starts_with("fcnn7_prune"), "{error}");
            }
        }
    }
}

test!(all_can_be_rounded, needs shared);
fn all_can_be_rounded(shared: &Path) {
    for path in networks(shared) {
        let model = Model::read(&path).unwrap();
        match half(&model, HalfFormat::Float16, &Layers::ALL) {
            Ok((result, changes)) => {
                check(&model, &result, &changes);
                assert!(
                    result.size() * 10 < model.size() * 6,
                    "{} is not much smaller",
                    model.name()
                );
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Unchanged);
                assert_eq!(model.name(), "fcnn7_float16.onnx");
            }
        }
        let (result, changes) = half(&model, HalfFormat::BFloat16, &Layers::ALL).unwrap();
        check(&model, &result, &changes);
    }
}

test!(all_float_networks_can_be_quantized, needs shared);
fn all_float_networks_can_be_quantized(shared: &Path) {
    for path in networks(shared) {
        let model = Model::read(&path).unwrap();
        let points = match calibration_points(&model) {
            Ok(points) => points,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Unsupported);
                assert!(model.name().ends_with("_qdq.onnx"), "{error}");
                continue;
            }
        };
        let probe = instrument(&model, &points).unwrap();
        assert_eq!(probe.input().unwrap(), model.input().unwrap());
        let mut calibration = Calibration::new(RangeMethod::MinMax).unwrap();
        for point in &points {
            calibration.observe(point, &[-1.0, 3.0]).unwrap();
        }
        let (result, changes) = quantize_int8(&model, &calibration).unwrap();
        check(&model, &result, &changes);
        assert_eq!(
            changes.layers.len(),
            recert_net::weights(&model).unwrap().len()
        );
        assert!(result.opset() >= Some(13));
        // A quarter of the weights' bytes, and the graph.
        assert!(
            result.size() * 2 < model.size(),
            "{} -> {}",
            model.size(),
            result.size()
        );
    }
}
