//! That what is refused on rten's account is still wrong: a fault that a new
//! version has mended is to be taken off the list in `engines/rten/wrong.rs`.

use crate::support::golden::Logits;
use crate::support::inputs::Images;
use crate::support::{MADE, golden_folder, load_made};
use recert_engine::{ErrorKind, engines};
use recert_testing::{note, test};
use rten::{ModelOptions, Value};
use rten_tensor::Tensor;
use rten_tensor::prelude::*;

/// Networks that are refused, each for another reason.
const WRONG: [&str; 10] = [
    "average_pool_same_lower",
    "cast_to_bool",
    "conv_integer",
    "conv_same_lower",
    "conv_transpose_same_lower",
    "matmul_integer",
    "max_pool_same_lower",
    "resize_cubic",
    "sign",
    "softplus",
];

/// The logits of rten itself, all images at once.
fn logits(name: &str, images: &Images) -> Vec<f32> {
    let file = golden_folder().join(format!("made/{name}.onnx"));
    let model = ModelOptions::with_all_ops()
        .prepack_weights(true)
        .load(std::fs::read(file).unwrap())
        .unwrap();
    let shape = [images.count(), MADE.channels, MADE.height, MADE.width];
    let input = Tensor::from_data(&shape, images.values.clone());
    match model.run_one(input.view().into(), None).unwrap() {
        Value::FloatTensor(tensor) => tensor.to_vec(),
        other => panic!("{other:?}"),
    }
}

test!(what_is_refused_is_wrong);
fn what_is_refused_is_wrong() {
    let images = Images::small();
    let engine = engines::by_name("rten").unwrap();
    for name in WRONG {
        let error = load_made(engine.as_ref(), name).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        let golden = Logits::read(format!("made/{name}.npy"));
        let found = logits(name, &images);
        let deviations = found.iter().zip(&golden.values).map(|(a, b)| (a - b).abs());
        // An infinite or NaN logit counts as wrong, too.
        let wrong = deviations
            .filter(|d| d.is_nan() || *d > 1e-3 * golden.scale())
            .count();
        note!("{name}: {wrong} of {} logits are wrong", found.len());
        assert!(
            wrong > 0,
            "rten answers {name} rightly: is it to be refused still?"
        );
    }
}

test!(a_class_is_refused_where_its_ties_cannot_be_decided);
fn a_class_is_refused_where_its_ties_cannot_be_decided() {
    let engine = engines::by_name("rten").unwrap();
    let error = load_made(engine.as_ref(), "class_out_of_range")
        .err()
        .unwrap();
    let text = error.to_string();
    assert!(
        text.contains("ArgMax") && text.contains("arg_max"),
        "{text}"
    );
}
