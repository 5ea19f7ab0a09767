//! Whole networks: against ONNX Runtime, instruction sets against each other,
//! batches against single images; and what is refused.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use recert_graph::testing::Net;
use recert_graph::{Model, OutputKind};
use recert_kernels::{ErrorKind, Isa, Output, Program};
use recert_testing::{shared, test};

fn main() -> std::process::ExitCode {
    recert_testing::main()
}

/// Largest deviation of an answer from ONNX Runtime's, as a part of the
/// largest answer: a matter of the order of summation.
const TOLERANCE: f32 = 5e-6;

const MADE: [&str; 9] = [
    "batch_normalization",
    "dense_blocks",
    "squeeze_excitation",
    "groups",
    "shapes",
    "pools",
    "arithmetic",
    "quantized_signed",
    "quantized_unsigned",
];

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// The values of a file in `NumPy`'s format 1.0 of little-endian float32.
fn npy(name: &str) -> Vec<f32> {
    let bytes = fs::read(golden().join(name)).unwrap();
    let header = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let text = std::str::from_utf8(&bytes[10..10 + header]).unwrap();
    assert!(text.contains("'<f4'") && text.contains("'fortran_order': False"));
    let values = bytes[10 + header..].as_chunks().0.iter();
    values.map(|&value| f32::from_le_bytes(value)).collect()
}

fn compile(model: &Model, isa: Isa) -> Arc<Program> {
    let signature = model.signature().unwrap();
    assert!(matches!(signature.output.kind, OutputKind::Scores { .. }));
    let output = signature.output.name.as_str();
    let program = Program::compile_for(model, &signature.input.name, &[output], isa);
    Arc::new(program.unwrap())
}

/// The answers, so many images at a time.
fn answers(program: &Arc<Program>, images: &[f32], batch: usize) -> Vec<f32> {
    let mut executor = program.executor();
    let pieces = images.chunks(batch * program.image_len());
    let outputs = pieces.map(|piece| executor.run(piece).unwrap());
    let values = outputs.map(|outputs| match &outputs[..] {
        [Output::Floats { values, .. }] => values.clone(),
        other => panic!("{other:?}"),
    });
    values.collect::<Vec<_>>().concat()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Asserts that all instruction sets and all batches give these bits.
fn assert_same_everywhere(model: &Model, images: &[f32], wanted: &[f32]) {
    for isa in Isa::available() {
        let program = compile(model, isa);
        let most = images.len() / program.image_len();
        for batch in [1, 2, most] {
            let found = answers(&program, images, batch);
            assert!(
                bits(&found) == bits(wanted),
                "{}: other bits on {isa:?} in batches of {batch}",
                model.name()
            );
        }
    }
}

test!(made_networks_answer_as_they_should);
fn made_networks_answer_as_they_should() {
    let images = npy("images.npy");
    for name in MADE {
        let model = Model::read(golden().join(format!("{name}.onnx"))).unwrap();
        let found = answers(&compile(&model, Isa::best()), &images, 3);
        let wanted = npy(&format!("{name}.npy"));
        assert_eq!(found.len(), wanted.len(), "{name}");
        let scale = wanted.iter().fold(0.0, |scale: f32, v| scale.max(v.abs()));
        for (found, wanted) in found.iter().zip(&wanted) {
            assert!(
                (found - wanted).abs() <= TOLERANCE * scale,
                "{name}: {found} is not {wanted}"
            );
        }
        assert_same_everywhere(&model, &images, &found);
    }
}

test!(shared_networks_give_the_same_bits_on_every_instruction_set, needs shared);
fn shared_networks_give_the_same_bits_on_every_instruction_set(shared: &Path) {
    for name in [
        "cifar10/resnet20_sigma0.50",
        "cifar10/resnet8_f32",
        "cifar10/resnet8_qdq",
        "cifar10/cnn_wong_kolter_l2",
        "cifar10/resnet_2b",
        "imagenet/mobilenet_v1_0.25_224_f32",
        "imagenet/mobilenet_v1_0.25_224_quant_qdq",
        "mnist/cnn_crown_ibp",
        "mnist/fcnn7",
        "mnist/mnist-8",
    ] {
        let model = Model::read(shared.join(format!("models/{name}.onnx"))).unwrap();
        let program = compile(&model, Isa::best());
        let count = if name.starts_with("imagenet") { 1 } else { 3 };
        let images: Vec<f32> = (0..count * program.image_len())
            .map(|i| (i * 7919 % 1000) as f32 / 999.0)
            .collect();
        let found = answers(&program, &images, count);
        assert!(found.iter().all(|value| value.is_finite()), "{name}");
        assert_same_everywhere(&model, &images, &found);
    }
}

test!(an_image_that_is_not_a_number_gets_no_number_and_harms_no_other);
fn an_image_that_is_not_a_number_gets_no_number_and_harms_no_other() {
    let images = npy("images.npy");
    let length = images.len() / 3;
    for name in [
        "batch_normalization",
        "dense_blocks",
        "squeeze_excitation",
        "pools",
    ] {
        let model = Model::read(golden().join(format!("{name}.onnx"))).unwrap();
        let program = compile(&model, Isa::best());
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
                    assert!(value.is_nan(), "{name}: {value}");
                } else {
                    assert_eq!(value.to_bits(), clean.to_bits(), "{name}");
                }
            }
        }
    }
}

test!(inner_tensors_can_be_read);
fn inner_tensors_can_be_read() {
    let model = Model::read(golden().join("dense_blocks.onnx")).unwrap();
    let nodes = &model.graph_proto().node;
    let images = npy("images.npy");
    let wanted = npy("dense_blocks.npy");
    // The first convolution, whose activation is fused into it when nobody
    // else takes it, and its activation.
    let names: Vec<&str> = [0, 1, nodes.len() - 1]
        .map(|i| nodes[i].output[0].as_str())
        .to_vec();
    let program = Program::compile(&model, "image", &names).unwrap();
    let outputs = Arc::new(program).executor().run(&images).unwrap();
    let values: Vec<&Vec<f32>> = outputs
        .iter()
        .map(|output| match output {
            Output::Floats { values, .. } => values,
            Output::Integers { .. } => panic!("{output:?}"),
        })
        .collect();
    assert_eq!(values[0].len(), 3 * 12 * 9 * 12);
    for (raw, active) in values[0].iter().zip(values[1]) {
        assert_eq!(raw.max(0.0), *active);
    }
    let scale = wanted.iter().fold(0.0, |scale: f32, v| scale.max(v.abs()));
    for (found, wanted) in values[2].iter().zip(&wanted) {
        assert!((found - wanted).abs() <= TOLERANCE * scale);
    }
}

test!(what_does_not_fit_is_refused);
fn what_does_not_fit_is_refused() {
    let model = Model::read(golden().join("pools.onnx")).unwrap();
    let error = Program::compile(&model, "nothing", &["v2"]).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let error = Program::compile(&model, "image", &["nothing"])
        .err()
        .unwrap();
    assert!(error.to_string().contains("pools.onnx"), "{error}");
    assert!(error.to_string().contains("nothing"), "{error}");
    let program = compile(&model, Isa::best());
    let error = program.executor().run(&[0.0; 7]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Shape);
    assert!(program.executor().run(&[]).is_ok());
}

test!(a_bias_of_one_number_an_image_of_the_batch_is_refused);
fn a_bias_of_one_number_an_image_of_the_batch_is_refused() {
    // A batch as large as there are outputs, so that the bias has as many numbers.
    let net = |last: &str| {
        Net::new(15)
            .input("x", &[2, 1, 1, 2])
            .output("y", &[2, 2])
            .floats("w", &[2, 2], &[1.0, 0.0, 0.0, 1.0])
            .floats("c", &[2, 1], &[10.0, 20.0])
            .floats("one", &[2], &[1.0, 1.0])
            .floats("zero", &[2], &[0.0, 0.0])
            .node("Flatten", &["x"], "flat")
            .node("Gemm", &["flat", "w", "c"], last)
    };
    let normalised = net("linear").node(
        "BatchNormalization",
        &["linear", "one", "zero", "zero", "one"],
        "y",
    );
    for model in [net("y").model(), normalised.model()] {
        let error = Program::compile(&model, "x", &["y"])
            .err()
            .expect("a refusal");
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    }
}
