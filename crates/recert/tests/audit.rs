//! Running samples again finds what was forged as often as is stated, however unequal the
//! numbers of answers are; and tells it from rounding elsewhere.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use recert::Field;
use recert::engine::{
    Answers, Arithmetic, Classifier, EngineIdentity, Error, ImageShape, NetworkOptions, engines,
};
use recert::graph::Model;
use recert::job::{
    self, Auditor, CertifyConfig, ClassifierIdentity, Data, DataConfig, DataOptions, Event,
    Network, Rerun, RerunConfig, RunConfig, SubsetConfig,
};
use recert::noise::Stream;

const IMAGE: ImageShape = ImageShape {
    channels: 1,
    height: 2,
    width: 4,
};

/// How many samples are run again, and how often.
const SAMPLES: u64 = 20;
const TIMES: u64 = 300;

/// The input whose answers are forged.
const FORGED: u32 = 3;

/// Six images: four pixels from dark to bright, then four that are white in one image alone.
fn data() -> Data {
    let image = |i: u32| {
        let marked = f32::from(u8::from(i == FORGED));
        [[i as f32 / 5.0; 4], [marked; 4]].concat()
    };
    let pixels: Vec<f32> = (0..6).flat_map(image).collect();
    Data::from_pixels("six greys", IMAGE, &pixels, None).unwrap()
}

fn network(answers: impl Fn(&[f32]) -> bool + Clone + Send + Sync + 'static) -> Network {
    let class = move |image: &[f32]| Some(u16::from(answers(image)));
    Network::from_fn("bright", 2, IMAGE, class).unwrap()
}

fn is_bright(image: &[f32]) -> bool {
    image[..4].iter().sum::<f32>() > 2.0
}

/// A ledger in which some inputs have many answers and others few.
fn unequal(folder: &Path) -> PathBuf {
    let ledger = folder.join("until");
    let config = CertifyConfig {
        n: 2000,
        n0: 20,
        until_radius: Some(0.19),
        run: RunConfig {
            threads: Some(1),
            batch: Some(32),
            shard: None,
        },
        ..CertifyConfig::new(0.25)
    };
    let (data, network) = (data(), network(is_bright));
    let job = job::certify(&ledger, &config, &data, &network).unwrap();
    let _ = job.run(&mut |_: Event<'_>| ()).unwrap();
    ledger
}

/// Runs `samples` answers again by a network that passes for the ledger's.
fn rerun(ledger: &Path, samples: u64, seed: u64, other: fn(&[f32]) -> bool) -> Rerun {
    let config = RerunConfig {
        samples,
        seed: Some(seed),
        ..RerunConfig::default()
    };
    let auditor = Auditor::new(config).unwrap();
    let auditor = auditor.with_data(data()).with_network(network(other));
    let mut checked = job::check(&[ledger.to_owned()], Some(&auditor)).unwrap();
    checked.pop().unwrap().result.unwrap().rerun.unwrap()
}

/// The answers found to be others, but for what selection samples select.
fn found(rerun: &Rerun) -> BTreeMap<u32, u64> {
    let mut found = BTreeMap::new();
    let answers = rerun.differences.iter();
    for difference in answers.filter(|difference| difference.stream == Stream::Certify) {
        *found.entry(difference.idx).or_default() += 1;
    }
    found
}

#[test]
fn a_forgery_is_found_as_often_as_stated() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = unequal(folder.path());
    // About a sixth of the answers on one input are others.
    let honest_elsewhere = |image: &[f32]| {
        let forged = image[4..].iter().sum::<f32>() > 2.0 && image[0] - image[1] > 0.35;
        is_bright(image) != forged
    };
    let all = rerun(&ledger, u64::MAX, 0, honest_elsewhere);
    let answers = all.networks[0].answers;
    assert_eq!(all.samples, answers, "all of them, each once");
    let forged = found(&all);
    assert_eq!(forged.keys().copied().collect::<Vec<_>>(), [FORGED]);
    let counts = found(&rerun(&ledger, u64::MAX, 0, |image| !is_bright(image)));
    assert_eq!(counts.values().sum::<u64>(), answers);
    let (fewest, most) = (counts.values().min(), counts.values().max());
    assert!(fewest.unwrap() * 20 < *most.unwrap(), "{counts:?}");

    let share = forged[&FORGED] as f64 / answers as f64;
    let stated = 1.0 - (1.0 - share).powi(SAMPLES as i32);
    assert!((0.5..0.95).contains(&stated), "{stated}");
    let times = (0..TIMES).filter(|&seed| {
        let rerun = rerun(&ledger, SAMPLES, seed, honest_elsewhere);
        assert_eq!(rerun.samples, SAMPLES);
        !found(&rerun).is_empty()
    });
    let rate = times.count() as f64 / TIMES as f64;
    // Three standard deviations: fewer happen in 1 of 700 such tests. The seeds are fixed.
    let deviation = (stated * (1.0 - stated) / TIMES as f64).sqrt();
    assert!(
        rate >= stated - 3.0 * deviation,
        "found {rate}, stated {stated}"
    );

    // Every answer is drawn as often as every other: inputs in proportion to theirs.
    let mut drawn: BTreeMap<u32, u64> = BTreeMap::new();
    for seed in 0..TIMES {
        let rerun = rerun(&ledger, SAMPLES, seed, |image| !is_bright(image));
        for (idx, count) in found(&rerun) {
            *drawn.entry(idx).or_default() += count;
        }
    }
    let draws = (TIMES * SAMPLES) as f64;
    for (idx, count) in counts {
        let expected = draws * count as f64 / answers as f64;
        let found = drawn.get(&idx).copied().unwrap_or(0) as f64;
        let allowed = 4.0 * expected.sqrt() + 1.0;
        assert!(
            (found - expected).abs() < allowed,
            "input {idx}: {found}, not {expected}"
        );
    }
}

#[test]
fn an_engine_to_run_samples_again_has_to_be_named() {
    let config = RerunConfig {
        samples: 5,
        engine: Some("auto".to_owned()),
        ..RerunConfig::default()
    };
    let error = Auditor::new(config).err().unwrap();
    assert_eq!(error.field(), Some(recert::Field::Engine), "{error}");
    assert!(error.to_string().contains("reference"), "{error}");
}

const DEMO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/demo");

/// The demo's network as a library elsewhere would compute it, with logits that differ in the last
/// bits; and, where it is `turned`, with those of another class.
struct Elsewhere {
    file: Box<dyn Classifier>,
    turned: bool,
}

impl Classifier for Elsewhere {
    fn classes(&self) -> usize {
        self.file.classes()
    }
    fn image_len(&self) -> usize {
        self.file.image_len()
    }
    fn classify(&mut self, images: &[f32]) -> Result<Answers, Error> {
        let mut answers = self.file.classify(images)?;
        if let Answers::Logits { classes, values } = &mut answers {
            for (i, value) in values.iter_mut().enumerate() {
                *value *= 1.0 + (i % 7) as f32 * f32::EPSILON;
            }
            for row in values.chunks_exact_mut(*classes) {
                row.rotate_right(usize::from(self.turned));
            }
        }
        Ok(answers)
    }
}

/// A module, computed on a device.
fn module(turned: bool, device: &str, image: ImageShape) -> Network {
    let model = Model::read(format!("{DEMO}/shapes.onnx")).unwrap();
    let engine = engines::by_name("direct").unwrap();
    let options = NetworkOptions::default();
    let loaded = recert::engine::Network::load(&model, engine.as_ref(), image, &options).unwrap();
    let identity = ClassifierIdentity {
        computed: EngineIdentity {
            name: "torch".into(),
            version: "2.8.0".into(),
            arithmetic: Arithmetic::from(format!("float32, on {device}").as_str()),
            batch_invariant: false,
        },
        ..ClassifierIdentity::named("Shapes")
    };
    let make = move || {
        let file = loaded.worker().unwrap();
        Box::new(Elsewhere { file, turned }) as Box<dyn Classifier>
    };
    Network::from_classifier(identity, image, make).unwrap()
}

#[test]
fn a_module_is_run_again_on_another_device_and_by_its_export() {
    let folder = tempfile::tempdir().unwrap();
    let data = Data::open(&DataConfig {
        data: format!("{DEMO}/shapes-test.npz"),
        options: DataOptions::default(),
    });
    let data = data.unwrap();
    let config = CertifyConfig {
        n: 60,
        n0: 10,
        subset: SubsetConfig {
            limit: Some(2),
            ..SubsetConfig::default()
        },
        ..CertifyConfig::new(0.5)
    };
    let export = |name: &str| RerunConfig {
        samples: 1000,
        exports: vec![(name.to_owned(), format!("{DEMO}/shapes.onnx").into())],
        engine: Some("direct".to_owned()),
        ..RerunConfig::default()
    };
    for turned in [false, true] {
        let ledger = folder.path().join(format!("{turned}"));
        let network = module(turned, "cuda X", data.shape());
        let job = job::certify(&ledger, &config, &data, &network).unwrap();
        let _ = job.run(&mut |_: Event<'_>| ()).unwrap();

        let by_export = Auditor::new(export("Shapes")).unwrap();
        let config = RerunConfig {
            samples: 1000,
            ..RerunConfig::default()
        };
        let elsewhere = Auditor::new(config).unwrap();
        let elsewhere = elsewhere.with_network(module(false, "cpu", data.shape()));
        for auditor in [by_export, elsewhere] {
            let checked = job::check(std::slice::from_ref(&ledger), Some(&auditor)).unwrap();
            let rerun = checked[0].result.as_ref().unwrap().rerun.as_ref().unwrap();
            assert_eq!((rerun.samples, rerun.networks.len()), (120, 1));
            assert!(rerun.networks[0].tolerance.is_some());
            if turned {
                assert!(checked[0].wrong() > 90, "{}", checked[0].wrong());
            } else {
                assert_eq!(checked[0].wrong(), 0, "{:?}", rerun.differences);
            }
        }
        let other = Auditor::new(export("Other")).unwrap();
        let error = job::check(&[ledger], Some(&other)).unwrap_err();
        assert_eq!(error.field(), Some(Field::Export), "{error}");
        assert!(
            error.to_string().contains("no network of that name"),
            "{error}"
        );
    }
}
