//! Engines held to the reference interpreter: networks that are known to be computed wrongly
//! by one, and real networks, which all have to be found right.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use recert_engine::engines;
use recert_engine::{
    Classifier, Comparison, EngineIdentity, EngineOptions, Error, ErrorKind, ImageShape, Network,
    NetworkOptions, Output, Runtime, Session, Trial,
};
use recert_graph::Model;
use recert_testing::{Skip, note, test};

use crate::support::golden::rows;
use crate::support::inputs::Images;
use crate::support::{Setup, in_every_precision, test_of_every_engine};

/// Images of an npy file of float32, `[count, channels, height, width]`.
fn images(path: &Path) -> (ImageShape, Vec<f32>) {
    let bytes = std::fs::read(path).unwrap();
    let header = usize::from(bytes[8]) + 256 * usize::from(bytes[9]);
    let text = String::from_utf8_lossy(&bytes[10..10 + header]).into_owned();
    assert!(
        text.contains("'<f4'") && text.contains("'fortran_order': False"),
        "{text}"
    );
    let shape = text
        .split_once("'shape': (")
        .unwrap()
        .1
        .split_once(')')
        .unwrap()
        .0;
    let shape: Vec<usize> = shape
        .split(',')
        .filter_map(|n| n.trim().parse().ok())
        .collect();
    let values = bytes[10 + header..].chunks_exact(4);
    let values = values
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect();
    let shape = ImageShape {
        channels: shape[1],
        height: shape[2],
        width: shape[3],
    };
    (shape, values)
}

/// Files that some engine computes wrongly, their images, and the right classes: those of
/// ONNX Runtime 1.32.0 with all optimisations off.
const CASES: [(&str, &str); 5] = [
    ("ov_conv1x1_stride2_pad1", "dz48"),
    ("i16_saturate_is_relu", "i16_15"),
    ("ov_residual_skipped_quantize", "dz48"),
    ("ov_q_convtranspose_u8weights", "dz48"),
    ("f_cast_f16", "c24"),
];

struct Case {
    model: Model,
    image: ImageShape,
    images: Vec<f32>,
    options: NetworkOptions,
}

impl Case {
    fn read(shared: &Path, network: &str, data: &str) -> Self {
        let folder = shared.join("cases");
        let (image, images) = images(&folder.join(format!("{data}.npy")));
        Self {
            model: Model::read(folder.join(format!("{network}.onnx"))).unwrap(),
            image,
            images,
            options: NetworkOptions::default(),
        }
    }

    fn trial(&self) -> Trial {
        let mut samples = |most: usize| {
            let length = self.image.len();
            Ok(self.images[..self.images.len().min(most * length)].to_vec())
        };
        Trial::new(&self.model, self.image, &self.options, &mut samples).unwrap()
    }

    /// The classes by the reference interpreter.
    fn right(&self) -> Vec<Option<u16>> {
        let reference = engines::by_name("reference").unwrap();
        let network = Network::load(&self.model, reference.as_ref(), self.image, &self.options);
        self.classes(&network.unwrap())
    }

    fn classes(&self, network: &Network) -> Vec<Option<u16>> {
        let mut worker: Box<dyn Classifier> = network.worker().unwrap();
        let answers = worker.classify(&self.images).unwrap();
        (0..answers.len()).map(|i| answers.class(i)).collect()
    }
}

test_of_every_engine!(an_engine_is_right_or_is_refused, |engine| {
    let shared = recert_testing::shared()?;
    in_every_precision(engine, |setup, runtime| {
        for (network, data) in CASES {
            let case = Case::read(&shared, network, data);
            let loaded = match Network::load(&case.model, runtime, case.image, &case.options) {
                Ok(loaded) => loaded,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Unsupported, "{setup}: {error}");
                    note!("{setup}: {network}: not loaded: {error}");
                    continue;
                }
            };
            let wrong = (case.right().iter().zip(case.classes(&loaded)))
                .filter(|(right, class)| **right != *class)
                .count();
            match case.trial().hold(&loaded) {
                Ok(comparison) => {
                    note!("{setup}: {network}: {wrong} wrong: {comparison}");
                    // In fewer bits it is another network, which the precision states.
                    let coarse = ["bf16", "f16"].contains(&setup.precision.name());
                    assert!(
                        wrong == 0 || coarse,
                        "{setup}: {network}: {wrong}: {comparison}"
                    );
                }
                Err(error) => {
                    note!("{setup}: {network}: {wrong} wrong: refused: {error}");
                    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
                    assert!(error.to_string().contains(setup.name), "{error}");
                }
            }
        }
    })
});

test!(whatever_engine_is_chosen_is_right, needs recert_testing::shared);
fn whatever_engine_is_chosen_is_right(shared: &Path) {
    for (network, data) in CASES {
        let case = Case::read(shared, network, data);
        let options = EngineOptions::default();
        let mut trial = case.trial();
        match engines::load_held(&case.model, &options, case.image, &case.options, &mut trial) {
            Ok(chosen) => {
                note!(
                    "{network}: {}: {}",
                    chosen.network.engine(),
                    chosen.comparison
                );
                assert_eq!(case.classes(&chosen.network), case.right(), "{network}");
            }
            Err(error) => note!("{network}: refused: {error}"),
        }
    }
}

test_of_every_engine!(real_networks_pass, |engine| {
    let shared = recert_testing::shared()?;
    if engine.name == "reference" {
        return Err(Skip::because(
            "the reference interpreter is what others are held to",
        ));
    }
    in_every_precision(engine, |setup, runtime| {
        real_networks_pass(setup, runtime, &shared);
    })
});
fn real_networks_pass(setup: &Setup, runtime: &dyn recert_engine::Runtime, shared: &Path) {
    for row in rows() {
        let images = Images::named(&row.images, shared);
        let model = Model::read(shared.join(format!("models/{}.onnx", row.network))).unwrap();
        let Ok(network) = Network::load(&model, runtime, images.shape, &row.options) else {
            continue;
        };
        let started = std::time::Instant::now();
        let mut samples = |most: usize| Ok(images.many(most));
        let mut trial = Trial::new(&model, images.shape, &row.options, &mut samples).unwrap();
        let held = trial.hold(&network);
        let place = format!("{setup}: {}", row.network);
        note!("{place}: {:.2?}: {held:?}", started.elapsed());
        assert!(matches!(held, Ok(Comparison::Held(_))), "{place}: {held:?}");
    }
}

/// Whether a session answers wrongly, by its number, from 0 on, and by the batch.
type Wrong = fn(session: usize, batch: usize) -> bool;

/// An engine that is right but where `is_wrong` says otherwise.
struct Unsteady {
    right: Box<dyn Runtime>,
    is_wrong: Wrong,
}

struct UnsteadySession {
    right: Box<dyn Session>,
    is_wrong: Wrong,
    number: usize,
    sessions: Arc<AtomicUsize>,
}

impl Runtime for Unsteady {
    fn identity(&self, model: &Model) -> EngineIdentity {
        EngineIdentity {
            name: "unsteady".to_owned(),
            batch_invariant: false,
            ..self.right.identity(model)
        }
    }

    fn load(
        &self,
        model: &Model,
        input: &str,
        outputs: &[&str],
    ) -> Result<Box<dyn Session>, Error> {
        Ok(Box::new(UnsteadySession {
            right: self.right.load(model, input, outputs)?,
            is_wrong: self.is_wrong,
            number: 0,
            sessions: Arc::new(AtomicUsize::new(1)),
        }))
    }
}

impl Session for UnsteadySession {
    fn run(&mut self, input: &[f32], shape: &[usize]) -> Result<Vec<Output>, Error> {
        let mut outputs = self.right.run(input, shape)?;
        if (self.is_wrong)(self.number, shape[0])
            && let Some(Output::Float { values, .. }) = outputs.last_mut()
        {
            values.iter_mut().step_by(2).for_each(|score| *score += 1.0);
        }
        Ok(outputs)
    }

    fn fork(&self) -> Result<Box<dyn Session>, Error> {
        Ok(Box::new(Self {
            right: self.right.fork()?,
            is_wrong: self.is_wrong,
            number: self.sessions.fetch_add(1, Ordering::Relaxed),
            sessions: Arc::clone(&self.sessions),
        }))
    }
}

test!(an_engine_is_asked_in_two_sessions_and_two_sizes_of_batch);
fn an_engine_is_asked_in_two_sessions_and_two_sizes_of_batch() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/made");
    let model = Model::read(format!("{folder}/plain.onnx")).unwrap();
    let image = ImageShape {
        channels: 3,
        height: 8,
        width: 8,
    };
    let options = NetworkOptions::default();
    let table: [(&str, Wrong, bool); 5] = [
        ("never", |_, _| false, true),
        (
            "the session that is loaded",
            |session, _| session == 0,
            true,
        ),
        ("the first that answers", |session, _| session == 1, false),
        ("the second that answers", |session, _| session == 2, false),
        ("large batches", |_, batch| batch > 8, false),
    ];
    for (when, is_wrong, passes) in table {
        let mut samples = |most: usize| Ok(vec![0.25; image.len() * most]);
        let mut trial = Trial::new(&model, image, &options, &mut samples).unwrap();
        let engine = Unsteady {
            right: engines::by_name("direct").unwrap(),
            is_wrong,
        };
        let network = Network::load(&model, &engine, image, &options);
        let network = match network {
            Ok(network) => network,
            // Loading it meets the first session, and compares it with another engine.
            Err(error) => {
                assert_eq!(when, "the session that is loaded", "{error}");
                continue;
            }
        };
        match trial.hold(&network) {
            Ok(comparison) => assert!(passes, "{when}: {comparison}"),
            Err(error) => {
                assert!(!passes, "{when}: {error}");
                assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
            }
        }
    }
}
