//! Transformers and their kin as exporters write them: against the definition
//! of every operator, instruction sets against each other, batches against
//! single images.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use recert_graph::{Builder, Data, Interpreter, Limits, Model, Tensor};
use recert_kernels::{Isa, Output, Program};
use recert_testing::test;

fn main() -> std::process::ExitCode {
    recert_testing::main()
}

/// Largest deviation of an answer from the definition's in float64, as a part
/// of the largest answer.
const TOLERANCE: f64 = 5e-6;

/// The networks that `transformers.py` has made.
fn networks() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/transformers");
    let files = fs::read_dir(folder).unwrap();
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.retain(|file| {
        file.extension()
            .is_some_and(|extension| extension == "onnx")
    });
    files.sort();
    assert!(files.len() >= 9, "{files:?}");
    files
}

/// Images of noise, the same every time.
fn images(count: usize, length: usize) -> Vec<f32> {
    recert_graph::testing::noise(7, count * length)
}

fn compile(model: &Model, isa: Isa) -> Result<Arc<Program>, recert_kernels::Error> {
    let signature = model.signature().unwrap();
    let output = signature.output.name.as_str();
    let program = Program::compile_for(model, &signature.input.name, &[output], isa);
    program.map(Arc::new)
}

/// The answers, so many images at a time.
fn answers(program: &Arc<Program>, images: &[f32], batch: usize) -> Vec<f32> {
    let mut executor = program.executor();
    let pieces = images.chunks(batch * program.image_len());
    let values = pieces.map(|piece| match &executor.run(piece).unwrap()[..] {
        [Output::Floats { values, .. }] => values.clone(),
        other => panic!("{other:?}"),
    });
    values.collect::<Vec<_>>().concat()
}

/// The answers by the definition of every operator.
fn defined(model: &Model, images: &[f32], count: usize) -> Vec<f64> {
    let signature = model.signature().unwrap();
    let output = signature.output.name.as_str();
    let graph = Builder::new(model).outputs(&[output]).build().unwrap();
    let interpreter = Interpreter::new(&graph, Limits::default()).unwrap();
    let shape = &graph.value(graph.inputs()[0]).shape;
    // A file may be for one image alone.
    let each = if shape[0].fixed().is_some() { 1 } else { count };
    let pieces = images.chunks(images.len() / count * each).map(|piece| {
        let images = Tensor::new(shape.at(each), Data::Float32(piece.to_vec())).unwrap();
        interpreter.run(&[images]).unwrap()[0].to_f32().unwrap()
    });
    pieces.flatten().map(f64::from).collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

test!(exported_transformers_answer_as_they_are_defined);
fn exported_transformers_answer_as_they_are_defined() {
    let mut wrong = Vec::new();
    for file in networks() {
        let model = Model::read(&file).unwrap();
        let name = model.name();
        let program = match compile(&model, Isa::best()) {
            Ok(program) => program,
            Err(error) => {
                wrong.push(error.to_string());
                continue;
            }
        };
        let images = images(3, program.image_len());
        let found = answers(&program, &images, 3);
        let wanted = defined(&model, &images, 3);
        assert_eq!(found.len(), wanted.len(), "{name}");
        let scale = wanted.iter().fold(0.0, |scale: f64, v| scale.max(v.abs()));
        let errors = found
            .iter()
            .zip(&wanted)
            .map(|(f, w)| (f64::from(*f) - w).abs());
        let error = errors.fold(0.0, f64::max) / scale;
        if error.is_nan() || error > TOLERANCE || found.iter().any(|value| value.is_nan()) {
            wrong.push(format!("{name}: off by {error:e} of the largest answer"));
        }
        for isa in Isa::available() {
            let program = compile(&model, isa).unwrap();
            for batch in [1, 2, 3] {
                if bits(&answers(&program, &images, batch)) != bits(&found) {
                    wrong.push(format!(
                        "{name}: other bits on {isa:?} in batches of {batch}"
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

test!(an_image_that_is_not_a_number_gets_no_number_and_harms_no_other);
fn an_image_that_is_not_a_number_gets_no_number_and_harms_no_other() {
    for file in networks() {
        let model = Model::read(&file).unwrap();
        let program = compile(&model, Isa::best()).unwrap();
        let length = program.image_len();
        let images = images(3, length);
        let clean = answers(&program, &images, 3);
        let classes = clean.len() / 3;
        let mut executor = program.executor();
        let mut bad = images.clone();
        bad[length..2 * length].fill(f32::NAN);
        // Twice, so that what is left over from the first time is there.
        for images in [&bad, &images, &bad] {
            let outputs = executor.run(images).unwrap();
            let [Output::Floats { values, .. }] = &outputs[..] else {
                panic!("{outputs:?}");
            };
            for (i, (value, clean)) in values.iter().zip(&clean).enumerate() {
                if i / classes == 1 && images[length].is_nan() {
                    assert!(value.is_nan(), "{}: {value}", model.name());
                } else {
                    assert_eq!(value.to_bits(), clean.to_bits(), "{}", model.name());
                }
            }
        }
    }
}
