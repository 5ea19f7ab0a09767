//! Networks written in all the ways in which files are: every engine takes them, and
//! answers rightly, or refuses them by name.

use std::collections::BTreeSet;
use std::path::Path;

use crate::support::golden::{FLOAT_TOLERANCE, INT8_TOLERANCE, Logits};
use crate::support::inputs::Images;
use crate::support::{MADE, Setup, golden_folder, in_every_precision, test_of_every_engine};
use recert_engine::{
    ErrorKind, ImageShape, Network, NetworkOptions, Precision, Runtime, Setting, Tap,
};
use recert_graph::Model;
use recert_testing::{note, test};

/// The 192 values of an image of the hand-made networks, as a row.
const ROW: ImageShape = ImageShape {
    channels: 1,
    height: 1,
    width: 192,
};

/// Kinds that an engine need not take, and a word of the reason that it gives.
const REFUSED: &[(&str, &str, &str)] = &[
    ("direct", "all_f16", "float16"),
    ("direct", "log_softmax9", "LogSoftmax"),
    ("direct", "pad2_reflect", "Pad"),
    ("direct", "qlinear_microsoft", "QLinearGlobalAveragePool"),
    ("direct", "qlinear_s8s8", "QLinearConv"),
    ("direct", "resize10", "Resize"),
    ("direct", "softmax9", "MatMul"),
    ("direct", "split2", "Split"),
    ("direct", "upsample7", "Resize"),
    ("direct", "upsample9", "Resize"),
    ("openvino", "qlinear_microsoft", "QLinearConv"),
    ("openvino", "qlinear_s8s8", "QLinearConv"),
    ("reference", "qlinear_microsoft", "QLinearGlobalAveragePool"),
    ("rten", "qlinear_microsoft", "QLinearConv"),
    ("rten", "qlinear_s8s8", "QLinearConv"),
];

/// The names in `golden/kinds`.
fn kinds() -> BTreeSet<String> {
    let files = std::fs::read_dir(golden_folder().join("kinds")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    names
        .filter_map(|name| name.strip_suffix(".onnx").map(str::to_owned))
        .collect()
}

fn tolerance(kind: &str) -> f32 {
    if kind.starts_with('q') {
        INT8_TOLERANCE
    } else if kind.contains("f16") {
        // The logits themselves, or everything, in 11 bits.
        2e-3
    } else {
        FLOAT_TOLERANCE
    }
}

test_of_every_engine!(every_kind_of_file_is_computed_rightly_or_refused);
fn every_kind_of_file_is_computed_rightly_or_refused(engine: &Setup, runtime: &dyn Runtime) {
    if engine.precision != Precision::F32 {
        return;
    }
    let images = Images::small();
    let mut wrong = Vec::new();
    for kind in kinds() {
        let refused = REFUSED
            .iter()
            .find(|(by, name, _)| (*by, *name) == (engine.name, kind.as_str()));
        let model = Model::read(golden_folder().join(format!("kinds/{kind}.onnx"))).unwrap();
        let shape = if kind.starts_with("row") { ROW } else { MADE };
        let network = Network::load(&model, runtime, shape, &NetworkOptions::default());
        match (network, refused) {
            (Err(error), Some((_, _, word))) => {
                let text = error.to_string();
                assert_eq!(error.kind(), ErrorKind::Unsupported, "{engine}: {text}");
                assert!(
                    text.contains(word) && text.contains(&kind),
                    "{engine}: {text}"
                );
                note!("{engine}: refused: {text}");
            }
            (Err(error), None) => wrong.push(format!("{kind}: {error}")),
            (Ok(network), _) => {
                let golden = Logits::read(format!("kinds/{kind}.npy"));
                let mut worker = network.worker().unwrap();
                let answers = worker.classify(&images.values).unwrap();
                let found = Logits::of(&answers);
                let pairs = found.values.iter().zip(&golden.values);
                let deviation = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                let deviation = deviation / golden.scale();
                if deviation <= tolerance(&kind) {
                    note!("{engine}: {kind}: {deviation:.1e} of the largest logit");
                } else {
                    wrong.push(format!("{kind}: {deviation:.1e} of the largest logit"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{engine}:\n{}", wrong.join("\n"));
}

/// A network, the output to read, the array of images beside it, their shape, and the classes.
type Case = (
    &'static str,
    Option<&'static str>,
    &'static str,
    [usize; 3],
    &'static [u16],
);

/// Networks of other people's kinds, with the classes that ONNX Runtime 1.32 answers with all
/// graph optimisations off, one image at a time.
const CASES: [Case; 14] = [
    ("m_all_symbolic", None, "c24", [3, 32, 32], &[6; 8]),
    ("m_dropout_inference13", None, "c24", [3, 32, 32], &[6; 8]),
    ("m_in_f16", None, "c24", [3, 32, 32], &[6; 8]),
    ("m_out_f16", None, "c24", [3, 32, 32], &[6; 8]),
    ("m_unsorted_nodes", None, "c24", [3, 32, 32], &[6; 8]),
    (
        "m_two_outputs_emb_first",
        Some("t5"),
        "c24",
        [3, 32, 32],
        &[6; 8],
    ),
    ("m_reshape_batch1", None, "c24", [3, 32, 32], &[7; 8]),
    (
        "a_function",
        None,
        "c24",
        [3, 32, 32],
        &[2, 2, 2, 3, 2, 2, 2, 3],
    ),
    (
        "softmax_opset9_last_axis",
        None,
        "c24",
        [3, 32, 32],
        &[1; 8],
    ),
    ("ort_s8s8_qoperator", None, "c24", [3, 32, 32], &[6; 8]),
    (
        "row_1x1x1x64_conv",
        None,
        "row64",
        [1, 1, 64],
        &ROWS_OF_CONV,
    ),
    (
        "row_1x1x1x64_conv",
        None,
        "row64",
        [64, 1, 1],
        &ROWS_OF_CONV,
    ),
    ("skl_mlp_nozip", None, "row64", [1, 1, 64], &ROWS_OF_MLP),
    ("skl_mlp_nozip", None, "row64", [64, 1, 1], &ROWS_OF_MLP),
];
const ROWS_OF_CONV: [u16; 40] = [
    5, 5, 4, 5, 5, 5, 5, 2, 5, 2, 5, 5, 5, 5, 2, 5, 5, 2, 2, 5, 5, 5, 2, 5, 5, 1, 5, 2, 2, 5, 5, 5,
    5, 2, 2, 1, 2, 1, 5, 5,
];
const ROWS_OF_MLP: [u16; 40] = [
    4, 7, 4, 7, 4, 4, 4, 7, 7, 7, 4, 4, 4, 4, 7, 4, 2, 2, 4, 4, 4, 7, 4, 7, 4, 7, 3, 4, 7, 7, 7, 4,
    4, 4, 4, 2, 2, 7, 7, 4,
];

test_of_every_engine!(networks_of_other_people_get_their_classes, |engine| {
    let shared = recert_testing::shared()?;
    in_every_precision(engine, |setup, runtime| {
        networks_of_other_people_get_their_classes(setup, runtime, &shared);
    })
});
fn networks_of_other_people_get_their_classes(
    engine: &Setup,
    runtime: &dyn Runtime,
    shared: &Path,
) {
    if engine.precision != Precision::F32 {
        return;
    }
    for (name, output, array, [channels, height, width], classes) in CASES {
        let model = Model::read(shared.join(format!("cases/{name}.onnx"))).unwrap();
        let image = ImageShape {
            channels,
            height,
            width,
        };
        let options = NetworkOptions {
            output: output.map(str::to_owned),
            ..NetworkOptions::default()
        };
        let may_refuse = match name {
            // Operators that are no one else's.
            "ort_s8s8_qoperator" => engine.name != "onnxruntime",
            // Products of two activations.
            "softmax_opset9_last_axis" => engine.name == "direct",
            _ => false,
        };
        let network = match Network::load(&model, runtime, image, &options) {
            Err(error) if may_refuse => {
                assert_eq!(error.kind(), ErrorKind::Unsupported, "{engine}: {error}");
                note!("{engine}: refused: {error}");
                continue;
            }
            network => network.unwrap_or_else(|error| panic!("{engine}: {error}")),
        };
        let images = floats(&shared.join(format!("cases/{array}.npy")));
        let answers = network.worker().unwrap().classify(&images).unwrap();
        let found: Vec<_> = (0..answers.len()).map(|i| answers.class(i)).collect();
        let wanted: Vec<_> = classes.iter().copied().map(Some).collect();
        assert_eq!(found, wanted, "{engine}: {name}");
    }
}

/// The numbers of a file of `NumPy`'s format 1.0 of little-endian float32.
fn floats(file: &Path) -> Vec<f32> {
    let bytes = std::fs::read(file).unwrap();
    let (head, rest) = bytes.split_at(10);
    assert_eq!(&head[..8], b"\x93NUMPY\x01\x00", "{}", file.display());
    let data = &rest[usize::from(u16::from_le_bytes([head[8], head[9]]))..];
    let numbers = data.chunks_exact(4);
    numbers
        .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()))
        .collect()
}

test_of_every_engine!(inner_tensors_of_every_kind_can_be_read);
fn inner_tensors_of_every_kind_can_be_read(engine: &Setup, runtime: &dyn Runtime) {
    if engine.precision != Precision::F32 {
        return;
    }
    let images = Images::small();
    let image = &images.values[..MADE.len()];
    for kind in [
        "function",
        "unsorted",
        "all_symbolic",
        "dropout13",
        "in_f16",
        "batch_in_reshape",
    ] {
        let model = Model::read(golden_folder().join(format!("kinds/{kind}.onnx"))).unwrap();
        let names = ["logits".to_owned()];
        let options = NetworkOptions::default();
        let mut tap = Tap::load(&model, runtime, MADE, &options, &names).unwrap();
        let golden = Logits::read(format!("kinds/{kind}.npy"));
        let mut found = Vec::new();
        tap.visit(image, |_, values| {
            found.extend_from_slice(values);
            Ok::<(), recert_engine::Error>(())
        })
        .unwrap();
        let close = |(a, b): (&f32, &f32)| (a - b).abs() <= FLOAT_TOLERANCE * golden.scale();
        assert!(
            found.len() == 4 && found.iter().zip(&golden.values).all(close),
            "{engine}: {kind}: {found:?}"
        );
    }
}

test!(an_output_that_may_be_an_embedding_has_to_be_named);
fn an_output_that_may_be_an_embedding_has_to_be_named() {
    let model = crate::support::made("two_outputs");
    let error = recert_engine::engines::load_any(
        &model,
        &recert_engine::EngineOptions::default(),
        MADE,
        &NetworkOptions::default(),
    );
    let error = error.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Model);
    assert_eq!(error.setting(), Some(Setting::Output));
    let text = error.to_string();
    assert!(
        text.contains("`first` (") && text.contains("`second` ("),
        "{text}"
    );
}
