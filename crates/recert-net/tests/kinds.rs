//! Networks in all the ways in which files are written: a rewrite takes them, and what it
//! makes has the same input and outputs, or it refuses them and says why.

use std::path::PathBuf;

use recert_graph::{Builder, Data, Extent, Interpreter, Limits, Tensor};
use recert_net::{
    Calibration, Changes, HalfFormat, Layers, Model, PruneScope, RangeMethod, Result,
    calibration_points, half, instrument, prune, quantize_int8,
};

/// Kinds that a rewrite refuses: the rewrite, the kind, and a word of the reason.
const REFUSED: &[(&str, &str, &str)] = &[
    ("fp16", "all_f16", "not one of 155 weights would change"),
    ("int8", "all_f16", "float32 weights"),
    ("prune", "qdq_per_channel", "are quantized"),
    ("fp16", "qdq_per_channel", "are quantized"),
    ("bf16", "qdq_per_channel", "are quantized"),
    ("int8", "qdq_per_channel", "quantized already"),
    ("prune", "qdq_per_channel_no_zero_point", "are quantized"),
    ("fp16", "qdq_per_channel_no_zero_point", "are quantized"),
    ("bf16", "qdq_per_channel_no_zero_point", "are quantized"),
    ("int8", "qdq_per_channel_no_zero_point", "quantized already"),
    ("prune", "qlinear_microsoft", "known float weights"),
    ("fp16", "qlinear_microsoft", "known float weights"),
    ("bf16", "qlinear_microsoft", "known float weights"),
    ("int8", "qlinear_microsoft", "quantized already"),
    ("int8", "qlinear_s8s8", "quantized already"),
];

fn kinds() -> Vec<(String, Model)> {
    let folder = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../recert-engine/tests/golden/kinds"
    );
    let files = std::fs::read_dir(folder).unwrap();
    let mut paths: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    paths.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "onnx")
    });
    paths.sort();
    let read = |path: &PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        (name, Model::read(path).unwrap())
    };
    paths.iter().map(read).collect()
}

/// To 8 bits, by ranges that nobody observed.
fn int8(model: &Model) -> Result<(Model, Changes)> {
    let mut calibration = Calibration::new(RangeMethod::MinMax)?;
    for point in calibration_points(model)? {
        calibration.observe(&point, &[-1.0, 3.0])?;
    }
    quantize_int8(model, &calibration)
}

type Rewrite = fn(&Model) -> Result<(Model, Changes)>;

/// Raising an operator set changes nothing but the numbers that are quantized: with ranges
/// that hold all values, the int8 version stays near the network.
#[test]
fn int8_versions_of_early_operator_sets_are_near_the_network() {
    let run = |model: &Model, image: &Tensor| -> Vec<f32> {
        let shape = image.shape().iter().copied().map(Extent::Fixed).collect();
        let graph = Builder::new(model)
            .input_shape("image", shape)
            .build()
            .unwrap();
        let interpreter = Interpreter::new(&graph, Limits::default()).unwrap();
        interpreter.run(std::slice::from_ref(image)).unwrap()[0]
            .to_f32()
            .unwrap()
    };
    let pixels: Vec<f32> = (0..192).map(|i| (i * 37 % 101) as f32 / 100.0).collect();
    let image = Tensor::new(vec![1, 3, 8, 8], Data::Float32(pixels)).unwrap();
    let early = [
        "batch_norm6",
        "batch_norm7",
        "batch_norm9",
        "broadcast6",
        "clip6",
        "dropout6",
        "dropout9_mask",
        "pad2",
        "pad2_reflect",
        "resize10",
        "slice1",
        "softmax11_planes",
        "split2",
        "upsample7",
        "upsample9",
        "axes_attributes",
        "function",
        "unsorted",
    ];
    let mut checked = 0;
    for (name, model) in kinds() {
        if !early.contains(&name.as_str()) {
            continue;
        }
        let points = calibration_points(&model).unwrap();
        let instrumented = instrument(&model, &points).unwrap();
        let mut calibration = Calibration::new(RangeMethod::MinMax).unwrap();
        let graph = Builder::new(&instrumented)
            .input_shape(
                "image",
                image.shape().iter().copied().map(Extent::Fixed).collect(),
            )
            .build()
            .unwrap();
        let interpreter = Interpreter::new(&graph, Limits::default()).unwrap();
        let outputs = interpreter.run(std::slice::from_ref(&image)).unwrap();
        for (id, values) in graph.outputs().iter().zip(&outputs) {
            let point = &graph.value(*id).name;
            if points.contains(point) {
                calibration
                    .observe(point, &values.to_f32().unwrap())
                    .unwrap();
            }
        }
        let (int8, _) = quantize_int8(&model, &calibration).unwrap();
        let (exact, near) = (run(&model, &image), run(&int8, &image));
        let scale = exact
            .iter()
            .fold(0.0_f32, |most, value| most.max(value.abs()));
        for (a, b) in exact.iter().zip(&near) {
            assert!((a - b).abs() < 0.05 * scale, "{name}: {exact:?} {near:?}");
        }
        checked += 1;
    }
    assert_eq!(checked, early.len());
}

#[test]
fn every_kind_is_rewritten_or_refused_for_a_reason() {
    let rewrites: [(&str, Rewrite); 4] = [
        ("prune", |model| {
            prune(model, 0.5, PruneScope::PerLayer, &Layers::ALL)
        }),
        ("fp16", |model| {
            half(model, HalfFormat::Float16, &Layers::ALL)
        }),
        ("bf16", |model| {
            half(model, HalfFormat::BFloat16, &Layers::ALL)
        }),
        ("int8", int8),
    ];
    let mut wrong = Vec::new();
    let kinds = kinds();
    assert!(kinds.len() > 50);
    for (name, model) in &kinds {
        for (rewrite, make) in rewrites {
            let mut refused = REFUSED.iter();
            let refused = refused.find(|(by, kind, _)| (*by, *kind) == (rewrite, name));
            match (make(model), refused) {
                (Ok((made, _)), None) => {
                    let again = Model::from_bytes("again", made.bytes().to_vec()).unwrap();
                    assert_eq!(again.input().unwrap().layout, model.input().unwrap().layout);
                    let names = |model: &Model| -> Vec<String> {
                        let outputs = model.graph_proto().output.iter();
                        outputs.map(|output| output.name().to_owned()).collect()
                    };
                    assert_eq!(names(&again), names(model), "{rewrite} of {name}");
                    assert_ne!(again.sha256(), model.sha256(), "{rewrite} of {name}");
                }
                (Err(error), Some((_, _, word))) if error.to_string().contains(word) => {}
                (Err(error), _) => wrong.push(format!("{rewrite} of {name}: {error}")),
                (Ok(_), Some(_)) => wrong.push(format!("{rewrite} of {name}: is taken")),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
