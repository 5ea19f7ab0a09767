//! The network in `tests/golden` and what ONNX Runtime makes of it.

use std::fs;
use std::path::PathBuf;

use recert_graph::Model;

use super::reference::Array;

fn path(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(file)
}

pub(crate) fn network() -> Model {
    Model::read(path("residual.onnx")).unwrap()
}

pub(crate) fn floats(name: &str) -> Vec<f64> {
    let bytes = fs::read(path(&format!("{name}.f32"))).unwrap();
    let (chunks, rest) = bytes.as_chunks::<4>();
    assert!(rest.is_empty());
    chunks
        .iter()
        .map(|b| f32::from_le_bytes(*b).into())
        .collect()
}

pub(crate) fn images() -> Array {
    Array::new(&[4, 3, 8, 8], floats("images"))
}

/// The largest difference, which must not exceed `tolerance`.
pub(crate) fn assert_close(got: &[f64], wanted: &[f64], tolerance: f64) {
    assert_eq!(got.len(), wanted.len());
    let worst = got
        .iter()
        .zip(wanted)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f64::max);
    assert!(
        worst <= tolerance,
        "the outputs differ by {worst}:\n{got:?}\n{wanted:?}"
    );
}
