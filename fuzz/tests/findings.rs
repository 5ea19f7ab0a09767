//! Networks that some engine once computed wrongly: each engine that is installed agrees
//! with the reference interpreter on them, or refuses them.

use std::path::{Path, PathBuf};

use recert_fuzz::engines::installed;
use recert_fuzz::worker::{Subject, Worker};

/// What is known to be computed wrongly, and by which engine, until that engine is held to
/// the reference when it loads a network, or knows the fault: a new one fails.
const KNOWN: [(&str, &[&str]); 14] = [
    ("half_overflow", &["rten", "openvino", "onnxruntime"]),
    ("max_pool_same_upper_dilated", &["onnxruntime"]),
    ("openvino_16_bits_saturate", &["openvino"]),
    ("openvino_average_pool_after_zero_point", &["openvino"]),
    ("openvino_concat_of_quantized_and_not", &["openvino"]),
    ("openvino_conv_of_unsigned_weights", &["openvino"]),
    ("openvino_global_max_pool_then_quantize", &["openvino"]),
    ("openvino_quantize_then_clip", &["openvino"]),
    (
        "openvino_quantize_then_instance_normalization",
        &["openvino"],
    ),
    ("openvino_quantized_gemm_matmul", &["openvino"]),
    ("openvino_reduce_max_then_quantize", &["openvino"]),
    ("openvino_segfault_behind_identity", &["openvino"]),
    ("openvino_two_quantized_gemms", &["openvino"]),
    ("resize_align_corners_fraction", &["rten", "onnxruntime"]),
];

fn is_known(name: &str, engine: &str) -> bool {
    let mut known = KNOWN.iter();
    known.any(|(file, engines)| *file == name && engines.contains(&engine))
}

/// All files of `findings/`, by name.
fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("findings");
    let entries = std::fs::read_dir(folder).expect("there are findings");
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "onnx")
        })
        .collect();
    files.sort();
    files
}

#[test]
fn every_engine_agrees_or_refuses_but_for_what_is_known() {
    let engines = installed();
    let mut worker = Worker::new(&engines);
    let mut wrong = Vec::new();
    for path in files() {
        let made = worker.findings(&Subject::File(path.clone())).unwrap();
        assert_eq!(
            made.unknown,
            None,
            "{}: the reference takes it",
            path.display()
        );
        assert_eq!(made.outcomes.len(), engines.len(), "{}", path.display());
        for (engine, outcome) in made.outcomes {
            let name = path.file_stem().unwrap_or_default().display().to_string();
            if !outcome.is_fine() && !is_known(&name, &engine) {
                wrong.push(format!("{name}: {engine}: {outcome}"));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn the_readme_lists_every_file() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    for path in files() {
        let name = path.file_stem().unwrap_or_default().display().to_string();
        assert!(
            readme.contains(&format!("`{name}`")),
            "{name} is not in README.md"
        );
    }
}
