//! One suite for every engine: what is right for one is right for all.
//!
//! An engine passes by being in `engines::ENGINES`, in each precision that it has;
//! nothing here names one. See `docs/adding-an-engine.md`.

use std::path::Path;

use crate::support::golden::{FLOAT_TOLERANCE, INT8_TOLERANCE, Logits, MADE_MOVED, Row, rows};
use crate::support::inputs::Images;
use crate::support::{
    MADE, Setup, in_every_precision, load_made, made, test_of_every_engine, worker_of_made,
};
use recert_engine::{
    Answers, Classifier, ErrorKind, ImageShape, Network, NetworkOptions, Precision, Preprocess,
    Runtime, engines,
};
use recert_graph::Model;
use recert_testing::note;

/// Hand-made networks that no engine may lack.
const PLAIN: [&str; 11] = [
    "plain",
    "nhwc",
    "fixed_batch",
    "trailing_ones",
    "average_pool_lower_right",
    "old_softmax",
    "cast_to_int64",
    "quantize_axis",
    "quantize_no_axis",
    "pool_without_strides",
    "dynamic_quantization",
];

/// Hand-made networks that some engine computes wrongly, with the operator and
/// the node that an engine must name when it refuses them.
const TREACHEROUS: [(&str, &str, &str); 13] = [
    ("average_pool_same_lower", "AveragePool", "lower"),
    ("cast_to_bool", "Cast", "to_bool"),
    ("conv_integer", "ConvInteger", "integer_product"),
    ("conv_same_lower", "Conv", "lower"),
    ("conv_transpose_same_lower", "ConvTranspose", "lower"),
    ("matmul_integer", "MatMulInteger", "integer_product"),
    ("max_pool_behind", "MaxPool", "behind"),
    ("max_pool_same_lower", "MaxPool", "lower"),
    ("old_softmax_of_planes", "Softmax", "softmax"),
    ("resize_align_corners", "Resize", "resize"),
    ("resize_cubic", "Resize", "resize"),
    ("sign", "Sign", "the_sign"),
    ("softplus", "Softplus", "the_softplus"),
];

/// A worker of a network that no engine may lack, but that one which computes in float16 on the
/// processor may refuse.
fn worker_unless_refused(
    engine: &Setup,
    runtime: &dyn Runtime,
    name: &str,
) -> Option<Box<dyn Classifier>> {
    match load_made(runtime, name) {
        Err(error) if engine.precision == Precision::F16 => {
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{name}: {error}");
            note!("{engine}: {name}: refused: {error}");
            None
        }
        loaded => Some(loaded.unwrap().worker().unwrap()),
    }
}

fn tolerance_of_made(engine: &Setup, name: &str) -> f32 {
    let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
    // What is rounded to whole numbers jumps where half precision pushes it over an edge.
    let jumps = engine.precision == Precision::F16 && has(&["cast_to", "sign"]);
    let exact = if jumps || has(&["quantize", "dynamic", "integer"]) {
        INT8_TOLERANCE
    } else {
        FLOAT_TOLERANCE
    };
    engine.tolerance(exact, MADE_MOVED)
}

// What is asked of real networks is asked of each of them loaded once.
test_of_every_engine!(real_networks_are_computed_rightly, |engine| {
    let shared = recert_testing::shared()?;
    in_every_precision(engine, |setup, runtime| {
        real_networks_are_computed_rightly(setup, runtime, &shared);
    })
});
fn real_networks_are_computed_rightly(engine: &Setup, runtime: &dyn Runtime, shared: &Path) {
    // An engine that has to be named is too slow for all images, and computes them one by one.
    let automatic = engines::entry(engine.name).unwrap().is_automatic();
    for row in rows() {
        let mut images = Images::named(&row.images, shared);
        if !automatic {
            images.values.truncate(2 * images.shape.len());
        }
        let model = Model::read(shared.join(format!("models/{}.onnx", row.network))).unwrap();
        let network = Network::load(&model, runtime, images.shape, &row.options).unwrap();
        let real = Real {
            place: format!("{engine}: {}", row.network),
            tolerance: engine.tolerance(row.tolerance, row.moved),
            row,
            images,
            network,
            automatic,
        };
        real.logits_agree_with_the_golden_ones();
        real.answers_do_not_depend_on_the_batch();
        real.the_same_images_get_the_same_answers_in_every_run();
    }
}

/// A real network in one engine, with its images.
struct Real {
    place: String,
    tolerance: f32,
    row: Row,
    images: Images,
    network: Network,
    automatic: bool,
}

impl Real {
    fn logits_agree_with_the_golden_ones(&self) {
        let mut golden = Logits::read(self.row.network.replace('/', "_") + ".npy");
        assert_eq!(self.network.classes(), golden.classes);
        golden.values.truncate(self.images.count() * golden.classes);
        let mut worker = self.network.worker().unwrap();
        let answers = worker.classify(&self.images.values).unwrap();
        assert_eq!(answers.len(), self.images.count());
        let deviation = golden.assert_met(&answers, self.tolerance, &self.place);
        note!("{}: {deviation:.1e} of the largest logit", self.place);
    }

    fn answers_do_not_depend_on_the_batch(&self) {
        // Many images at once, and fewer of them in small batches: batches
        // of 7 leave a remainder of 2, or of 1.
        let (count, fewer) = match self.row.images.as_str() {
            "mnist" => (256, 65),
            "cifar10" if self.row.network.contains("resnet8") => (256, 65),
            "cifar10" => (64, 16),
            _ => (9, 8),
        };
        let (count, fewer) = if self.automatic {
            (count, fewer)
        } else {
            (3, 3)
        };
        let many = self.images.many(count);
        let invariant = self.network.engine().batch_invariant;
        let mut worker = self.network.worker().unwrap();
        let whole = Logits::of(&in_batches(worker.as_mut(), &many, count));
        let first = Logits {
            classes: whole.classes,
            values: whole.values[..fewer * whole.classes].to_vec(),
        };
        let few = &many[..fewer * self.images.shape.len()];
        let mut worst = 0.0_f32;
        for batch in [1, 2, 7, 64] {
            if batch > 2 && !self.automatic {
                continue;
            }
            let place = format!("{} in batches of {batch}", self.place);
            let answers = in_batches(worker.as_mut(), few, batch);
            worst = worst.max(first.assert_met(&answers, self.tolerance, &place));
            if invariant {
                let bits = |logits: &Logits| -> Vec<_> {
                    logits.values.iter().map(|value| value.to_bits()).collect()
                };
                assert!(
                    bits(&Logits::of(&answers)) == bits(&first),
                    "{place}: not bit for bit"
                );
            }
        }
        note!(
            "{}: {worst:.1e} of the largest logit between batches",
            self.place
        );
    }

    fn the_same_images_get_the_same_answers_in_every_run(&self) {
        let mut first: Option<Logits> = None;
        let mut differing = 0;
        let runs = if self.automatic { 3 } else { 1 };
        for _ in 0..2 {
            // A worker of its own, with whatever it was loaded with anew.
            let mut worker = self.network.worker().unwrap();
            for _ in 0..runs {
                let answers = worker.classify(&self.images.values).unwrap();
                let first = first.get_or_insert_with(|| Logits::of(&answers));
                first.assert_met(&answers, self.tolerance, &self.place);
                let again = Logits::of(&answers);
                let rows = again.rows().zip(first.rows());
                differing += rows.filter(|(a, b)| a != b).count();
            }
        }
        if self.network.engine().arithmetic.deterministic {
            assert_eq!(
                differing, 0,
                "{}: images with other logits in another run",
                self.place
            );
        } else {
            note!(
                "{}: not claimed; {differing} images differ between runs",
                self.place
            );
        }
    }
}

test_of_every_engine!(logits_of_made_networks_agree_with_the_golden_ones);
fn logits_of_made_networks_agree_with_the_golden_ones(engine: &Setup, runtime: &dyn Runtime) {
    let images = Images::small();
    for name in PLAIN {
        let Some(mut worker) = worker_unless_refused(engine, runtime, name) else {
            continue;
        };
        let answers = worker.classify(&images.values).unwrap();
        let golden = Logits::read(format!("made/{name}.npy"));
        let place = format!("{engine}: {name}");
        let deviation = golden.assert_met(&answers, tolerance_of_made(engine, name), &place);
        note!("{place}: {deviation:.1e} of the largest logit");
    }
}

test_of_every_engine!(what_an_engine_computes_wrongly_it_refuses_by_name);
fn what_an_engine_computes_wrongly_it_refuses_by_name(engine: &Setup, runtime: &dyn Runtime) {
    let images = Images::small();
    for (name, operator, node) in TREACHEROUS {
        let place = format!("{engine}: {name}");
        match load_made(runtime, name) {
            Ok(network) => {
                let answers = network.worker().unwrap().classify(&images.values).unwrap();
                if engine.precision == Precision::F16 && has_no_numbers(&answers) {
                    // Sums of integers exceed what float16 can hold, 65,504.
                    note!("{place}: answers are no numbers");
                    continue;
                }
                let golden = Logits::read(format!("made/{name}.npy"));
                golden.assert_met(&answers, tolerance_of_made(engine, name), &place);
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Unsupported, "{place}: {error}");
                let text = error.to_string();
                assert!(
                    text.contains(operator) && text.contains(node),
                    "{place}: {text}"
                );
                note!("{place}: refused: {text}");
            }
        }
    }
}

/// Whether some logits are not finite, all such images then being of no class.
fn has_no_numbers(answers: &Answers) -> bool {
    let Answers::Logits { classes, values } = answers else {
        return false;
    };
    let rows = values.chunks(*classes).enumerate();
    let bad = rows.filter(|(_, row)| row.iter().any(|value| !value.is_finite()));
    let bad: Vec<_> = bad.map(|(image, _)| answers.class(image)).collect();
    assert!(bad.iter().all(Option::is_none), "{bad:?}");
    !bad.is_empty()
}

test_of_every_engine!(unknown_operators_are_named_with_their_node);
fn unknown_operators_are_named_with_their_node(engine: &Setup, runtime: &dyn Runtime) {
    let error = load_made(runtime, "unknown_operator").err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let text = error.to_string();
    for word in ["unknown_operator.onnx", "Frobnicate", "the_frobnicator"] {
        assert!(text.contains(word), "{engine}: no '{word}' in: {text}");
    }
}

/// The answers to `images` in batches of `batch`.
fn in_batches(worker: &mut dyn Classifier, images: &[f32], batch: usize) -> Answers {
    let pieces = images.chunks(batch * worker.image_len());
    let answers: Vec<_> = pieces
        .map(|piece| worker.classify(piece).unwrap())
        .collect();
    let all = answers.into_iter().reduce(|mut all, more| {
        all.extend(more);
        all
    });
    all.unwrap()
}

test_of_every_engine!(preprocessing_is_what_is_done_by_hand);
fn preprocessing_is_what_is_done_by_hand(engine: &Setup, runtime: &dyn Runtime) {
    let images = Images::small();
    let preprocess = Preprocess::new(&[0.5, 0.25, 0.75], &[0.2, 0.3, 0.4], Some(2.0)).unwrap();
    let plane = MADE.height * MADE.width;
    let by_hand: Vec<f32> = images
        .values
        .iter()
        .enumerate()
        .map(|(i, value)| {
            let channel = i / plane % 3;
            (value - [0.5, 0.25, 0.75][channel]) / [0.2, 0.3, 0.4][channel] * 2.0
        })
        .collect();
    let options = NetworkOptions {
        preprocess,
        ..NetworkOptions::default()
    };
    for name in ["plain", "nhwc", "fixed_batch"] {
        let network = Network::load(&made(name), runtime, MADE, &options).unwrap();
        let answers = network.worker().unwrap().classify(&images.values).unwrap();
        let wanted = worker_of_made(runtime, name).classify(&by_hand).unwrap();
        assert_eq!(answers, wanted, "{engine}: {name}");
    }
}

test_of_every_engine!(images_of_another_shape_are_refused_with_both_shapes);
fn images_of_another_shape_are_refused_with_both_shapes(engine: &Setup, runtime: &dyn Runtime) {
    let small = ImageShape {
        channels: 1,
        height: 28,
        width: 28,
    };
    for name in ["plain", "nhwc"] {
        let error = Network::load(&made(name), runtime, small, &NetworkOptions::default());
        let error = error.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Shape, "{engine}: {error}");
        let text = error.to_string();
        assert!(
            text.contains("3 x 8 x 8") && text.contains("1 x 28 x 28"),
            "{engine}: {text}"
        );
    }
    let options = NetworkOptions {
        preprocess: Preprocess::new(&[0.1, 0.2], &[], None).unwrap(),
        ..NetworkOptions::default()
    };
    let error = Network::load(&made("plain"), runtime, MADE, &options)
        .err()
        .unwrap();
    assert_eq!(error.kind(), ErrorKind::Preprocess, "{engine}: {error}");
}

test_of_every_engine!(an_image_with_a_bad_pixel_gets_no_class_and_harms_no_other);
fn an_image_with_a_bad_pixel_gets_no_class_and_harms_no_other(
    engine: &Setup,
    runtime: &dyn Runtime,
) {
    let mut images = Images::small().values;
    let length = MADE.len();
    for name in ["plain", "arg_max", "fixed_batch", "quantize_axis"] {
        let Some(mut worker) = worker_unless_refused(engine, runtime, name) else {
            continue;
        };
        let clean = worker.classify(&images).unwrap();
        for (i, bad) in [(1, f32::NAN), (3, f32::INFINITY), (4, f32::NEG_INFINITY)] {
            let place = i * length + 77;
            let good = std::mem::replace(&mut images[place], bad);
            let answers = worker.classify(&images).unwrap();
            for j in 0..8 {
                let wanted = clean.class(j).filter(|_| j != i);
                assert_eq!(
                    answers.class(j),
                    wanted,
                    "{engine}: {name}: {bad} in {i}: image {j}"
                );
            }
            images[place] = good;
        }
    }
}

test_of_every_engine!(an_answer_that_is_not_finite_is_no_class);
fn an_answer_that_is_not_finite_is_no_class(engine: &Setup, runtime: &dyn Runtime) {
    let length = MADE.len();
    // Log of the mean: finite, minus infinity, NaN.
    let images = [vec![0.5; length], vec![0.0; length], vec![-0.5; length]].concat();
    let answers = worker_of_made(runtime, "nan_for_dark_images")
        .classify(&images)
        .unwrap();
    assert!(answers.class(0).is_some(), "{engine}");
    assert_eq!(
        (answers.class(1), answers.class(2)),
        (None, None),
        "{engine}"
    );
    let answers = worker_of_made(runtime, "nan_constant")
        .classify(&images)
        .unwrap();
    assert_eq!((0..3).find_map(|i| answers.class(i)), None, "{engine}");
    assert_eq!(answers.margin(0, 0), None, "{engine}");
}

test_of_every_engine!(a_network_that_ends_in_arg_max_answers_with_classes);
fn a_network_that_ends_in_arg_max_answers_with_classes(engine: &Setup, runtime: &dyn Runtime) {
    let images = Images::small().values;
    let golden = Logits::read("made/plain.npy");
    for name in ["arg_max", "arg_max_last_axis"] {
        let mut worker = worker_of_made(runtime, name);
        let answers = worker.classify(&images).unwrap();
        let Answers::Classes(classes) = &answers else {
            panic!("{engine}: {name}: no classes, but {answers:?}");
        };
        let tolerance = engine.tolerance(FLOAT_TOLERANCE, MADE_MOVED);
        golden.assert_classes(classes, tolerance, &format!("{engine}: {name}"));
        assert_eq!(
            in_batches(worker.as_mut(), &images, 1),
            answers,
            "{engine}: {name}"
        );
    }
    let answers = worker_of_made(runtime, "arg_max_tied")
        .classify(&images)
        .unwrap();
    assert_eq!(
        answers,
        Answers::Classes(vec![Some(1); 8]),
        "{engine}: ties"
    );
}

test_of_every_engine!(a_class_number_out_of_range_is_no_class);
fn a_class_number_out_of_range_is_no_class(engine: &Setup, runtime: &dyn Runtime) {
    let images = Images::small().values;
    let golden = worker_of_made(runtime, "plain").classify(&images).unwrap();
    // It subtracts 3 from the class; an engine may refuse ArgMax there.
    let network = match load_made(runtime, "class_out_of_range") {
        Ok(network) => network,
        Err(error) => {
            assert!(error.to_string().contains("ArgMax"), "{engine}: {error}");
            return;
        }
    };
    let answers = network.worker().unwrap().classify(&images).unwrap();
    let wanted = (0..8).map(|i| golden.class(i).and_then(|class| class.checked_sub(3)));
    assert_eq!(answers, Answers::Classes(wanted.collect()), "{engine}");
}

test_of_every_engine!(the_output_can_be_chosen);
fn the_output_can_be_chosen(engine: &Setup, runtime: &dyn Runtime) {
    let images = Images::small().values;
    let answers = |output: Option<&str>| {
        let options = NetworkOptions {
            output: output.map(str::to_owned),
            ..NetworkOptions::default()
        };
        let network = Network::load(&made("two_outputs"), runtime, MADE, &options).unwrap();
        Logits::of(&network.worker().unwrap().classify(&images).unwrap()).values
    };
    let negated: Vec<_> = answers(Some("second")).iter().map(|value| -value).collect();
    assert_eq!(answers(Some("first")), negated, "{engine}");
}

test_of_every_engine!(what_is_no_function_of_one_image_is_refused);
fn what_is_no_function_of_one_image_is_refused(engine: &Setup, runtime: &dyn Runtime) {
    let cases = [
        ("random_noise", "the_dice"),
        ("training_dropout", "'the_dropout' (Dropout)"),
        ("mixes_the_batch", "other images"),
        ("mixes_the_batch_faintly", "other images"),
        ("mixes_a_fixed_batch", "other images"),
        ("one_logit", "1 logits"),
        ("integer_image", "uint8"),
    ];
    for (name, word) in cases {
        let error = load_made(runtime, name)
            .err()
            .unwrap_or_else(|| panic!("{engine}: {name}"));
        let text = error.to_string();
        assert!(
            text.contains(name) && text.contains(word),
            "{engine}: {name}: {text}"
        );
        note!("{engine}: refused: {text}");
    }
}

test_of_every_engine!(workers_answer_alike_at_the_same_time);
fn workers_answer_alike_at_the_same_time(engine: &Setup, runtime: &dyn Runtime) {
    let images = Images::small().values;
    let network = load_made(runtime, "plain").unwrap();
    let alone = network.worker().unwrap().classify(&images).unwrap();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| network.worker().unwrap().classify(&images).unwrap()))
            .collect();
        for worker in workers {
            assert_eq!(worker.join().unwrap(), alone, "{engine}");
        }
    });
}

test_of_every_engine!(a_fixed_batch_is_filled_up);
fn a_fixed_batch_is_filled_up(engine: &Setup, runtime: &dyn Runtime) {
    let images = Images::small().values;
    let golden = Logits::read("made/fixed_batch.npy");
    let network = load_made(runtime, "fixed_batch").unwrap();
    assert_eq!(network.fixed_batch(), Some(4), "{engine}");
    let mut worker = network.worker().unwrap();
    for batch in 1..=8 {
        let answers = in_batches(worker.as_mut(), &images, batch);
        golden.assert_met(
            &answers,
            engine.tolerance(FLOAT_TOLERANCE, MADE_MOVED),
            &format!("{engine}: {batch} at a time"),
        );
    }
}
