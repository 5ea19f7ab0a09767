//! A program that embeds recert: closures are the networks, images are in
//! memory, and no file is read or written but the ledger. Bindings for other
//! languages call exactly this.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use recert::engine::{Answers, Arithmetic, Classifier, EngineIdentity, FnClassifier, ImageShape};
use recert::job::{
    self, ApproximateConfig, Auditor, CertifyConfig, ClassifierIdentity, Data, DataConfig,
    DataOptions, Event, Events, Goal, Job, Method, Network, NetworkConfig, Numbers, PassKind,
    Recertification, RecertifyConfig, Remark, RerunConfig, RunConfig, Selected, SubsetConfig,
};
use recert::ledger::Ledger;
use recert::net::{HalfFormat, PruneScope};
use recert::noise::Law;
use recert::smooth::Outcome;
use recert::{ErrorKind, Field};

const IMAGE: ImageShape = ImageShape {
    channels: 1,
    height: 2,
    width: 2,
};

/// Six images from dark to bright, on the grid of 8-bit images.
fn data() -> Data {
    let pixels: Vec<f32> = (0..24_u8).map(|i| f32::from(i / 4 * 51) / 255.0).collect();
    Data::from_pixels("six greys", IMAGE, &pixels, Some(vec![0, 0, 0, 1, 1, 1])).unwrap()
}

/// Whether an image is brighter than `limit`.
fn bright(limit: f32) -> Network {
    let brighter = move |image: &[f32]| Some(u16::from(image.iter().sum::<f32>() > 4.0 * limit));
    Network::from_fn(&format!("brighter than {limit}"), 2, IMAGE, brighter).unwrap()
}

fn config() -> CertifyConfig {
    CertifyConfig {
        n: 3000,
        n0: 50,
        run: RunConfig {
            threads: Some(2),
            batch: Some(16),
            shard: None,
        },
        ..CertifyConfig::new(0.25)
    }
}

/// Everything that a job reported, which is stopped after so many evaluations.
#[derive(Default)]
struct Watch {
    stop_after: Option<u64>,
    evaluated: u64,
    passes: Vec<(PassKind, usize, usize, bool)>,
    ends: Vec<bool>,
    started: Vec<(u64, u64)>,
    /// By network and input: radius of the row.
    rows: BTreeMap<(usize, u32), f64>,
    remarks: Vec<Remark>,
}

impl Events for Watch {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Remark(remark) => self.remarks.push(remark),
            Event::PassStarted(pass) => {
                let pass = (pass.kind, pass.inputs, pass.networks, pass.rows.is_some());
                self.passes.push(pass);
            }
            Event::Started { evaluations, done } => self.started.push((evaluations, done)),
            Event::Evaluated { evaluations } => self.evaluated += evaluations,
            Event::Concluded {
                networks,
                input,
                row: Some(row),
                ..
            } => {
                for &network in networks {
                    self.rows.insert((network, input.idx), row.radius);
                }
            }
            Event::PassEnded { finished } => self.ends.push(finished),
            _ => {}
        }
    }

    fn stop(&self) -> bool {
        self.stop_after.is_some_and(|most| self.evaluated >= most)
    }
}

fn run(job: Job<'_>) -> Watch {
    let mut watch = Watch::default();
    assert_eq!(job.run(&mut watch).unwrap(), Outcome::Finished);
    watch
}

/// All certificates of all networks, but for their times.
fn held(path: &Path) -> Vec<String> {
    let ledger = Ledger::open_read_only(path).unwrap();
    let mut held = Vec::new();
    for (id, network) in ledger.networks().unwrap() {
        for mut certificate in ledger.certificates(id).unwrap() {
            certificate.micros = 0;
            held.push(format!("{}: {certificate:?}", network.file));
        }
    }
    held
}

#[test]
fn closures_are_certified_recertified_reported_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let [ledger, other] = ["a", "b"].map(|name| folder.path().join(name));
    let (data, f) = (data(), bright(0.5));

    // Stopped half-way, and resumed to what an uninterrupted run gives.
    let mut watch = Watch {
        stop_after: Some(5000),
        ..Watch::default()
    };
    let job = job::certify(&ledger, &config(), &data, &f).unwrap();
    assert!(!ledger.exists(), "nothing is written before it runs");
    assert_eq!(job.run(&mut watch).unwrap(), Outcome::Stopped);
    assert_eq!(watch.ends, [false]);
    let first = watch.evaluated;
    let watch = run(job::certify(&ledger, &config(), &data, &f).unwrap());
    assert_eq!(watch.started, [(6 * 3050, first)]);
    assert_eq!(watch.evaluated, 6 * 3050 - first);
    assert_eq!(watch.passes, [(PassKind::Certify, 6, 1, true)]);
    assert_eq!(watch.ends, [true]);
    assert_eq!(watch.rows.len(), 6);
    let whole = run(job::certify(&other, &config(), &data, &f).unwrap());
    assert_eq!(held(&ledger), held(&other));
    assert_eq!(whole.rows, watch.rows);
    // The radius of an image is its distance from the limit, nearly: 2 * 0.3.
    let radius = watch.rows[&(0, 1)];
    assert!((0.4..0.6).contains(&radius), "{radius}");

    // Two closures in one pass.
    let networks = [bright(0.52), bright(0.48)];
    let config = RecertifyConfig {
        goal: Goal::AverageRadius(5.0),
        ..RecertifyConfig::default()
    };
    let recertification = Recertification::open(&ledger, &config, networks.len()).unwrap();
    let forecasts = recertification.forecasts(&data, &networks).unwrap();
    assert!(forecasts[0].budgets[0].auto > 0.0 && forecasts[0].answered.is_none());
    let watch = run(recertification.job(&data, &networks).unwrap());
    assert_eq!(watch.passes, [(PassKind::Recertify, 6, 2, true)]);
    assert_eq!(watch.rows.len(), 12);
    let missed = |remark: &&Remark| matches!(remark, Remark::TargetMissed { .. });
    assert_eq!(watch.remarks.iter().filter(missed).count(), 2);

    let reported = job::report(std::slice::from_ref(&ledger), "Greys").unwrap();
    assert_eq!(reported.report.runs.len(), 3);
    assert_eq!(reported.report.runs[1].network, "brighter than 0.52");
    assert!(reported.warnings.is_empty());

    // Checked, and run again with the closures.
    let rerun = RerunConfig {
        samples: 60,
        seed: Some(1),
        ..RerunConfig::default()
    };
    let auditor = Auditor::new(rerun).unwrap().with_data(data);
    let auditor = [f]
        .into_iter()
        .chain(networks)
        .fold(auditor, Auditor::with_network);
    let checked = job::check(&[ledger], Some(&auditor)).unwrap();
    let findings = checked[0].result.as_ref().unwrap();
    assert_eq!(checked[0].wrong(), 0, "{:?}", findings.report.violations);
    let rerun = findings.rerun.as_ref().unwrap();
    // As many of each network, where it has as many.
    let of_each: u64 = (rerun.networks.iter())
        .map(|network| network.answers.min(60))
        .sum();
    assert_eq!((rerun.samples, rerun.selections), (of_each, 1));
    assert_eq!((rerun.networks[0].samples, rerun.networks.len()), (60, 3));
    assert_eq!(findings.report.certificates(), 18);
}

#[test]
fn a_network_that_answers_otherwise_is_found_by_running_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("run");
    let data = data();
    run(job::certify(&ledger, &config(), &data, &bright(0.5)).unwrap());
    let liar = Network::from_fn("brighter than 0.5", 2, IMAGE, |_| Some(1)).unwrap();
    let rerun = RerunConfig {
        samples: 60,
        ..RerunConfig::default()
    };
    let auditor = Auditor::new(rerun).unwrap();
    let auditor = auditor.with_data(data).with_network(liar);
    let checked = job::check(&[ledger], Some(&auditor)).unwrap();
    assert!(checked[0].wrong() > 10, "{}", checked[0].wrong());
}

/// Makes something wrong.
type Change = fn(&mut CertifyConfig);

#[test]
fn what_is_wrong_is_told_by_kind_and_field_and_leaves_no_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("run");
    let (data, f) = (data(), bright(0.5));
    let cases: [(Field, Change); 10] = [
        (Field::Sigma, |c| c.sigma = f64::NAN),
        (Field::Sigma, |c| (c.noise, c.sigma) = (Law::Integer, 99.0)),
        (Field::Alpha, |c| c.alpha = 0.9),
        (Field::N, |c| c.n = 0),
        (Field::N0, |c| c.n0 = 1 << 32),
        (Field::UntilRadius, |c| c.until_radius = Some(0.0)),
        (Field::Threads, |c| c.run.threads = Some(0)),
        (Field::Batch, |c| c.run.batch = Some(0)),
        (Field::Every, |c| c.subset.every = 0),
        (Field::Offset, |c| c.subset.offset = 6),
    ];
    for (field, change) in cases {
        let mut config = config();
        change(&mut config);
        let error = job::certify(&ledger, &config, &data, &f).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Parameter, "{error}");
        assert_eq!(error.field(), Some(field), "{error}");
        assert!(!error.to_string().contains("--"), "{error}");
        assert!(!ledger.exists());
    }
    let missing = Recertification::open(&ledger, &RecertifyConfig::default(), 1);
    assert_eq!(missing.err().unwrap().kind(), ErrorKind::Input);

    run(job::certify(&ledger, &config(), &data, &f).unwrap());
    let before = held(&ledger);
    let direct = RecertifyConfig {
        methods: vec![Method::Direct],
        ..RecertifyConfig::default()
    };
    let several = Recertification::open(&ledger, &direct, 2);
    assert_eq!(several.err().unwrap().field(), Some(Field::Among));
    // The ledger does not know where images in memory are.
    let recertification = Recertification::open(&ledger, &direct, 1).unwrap();
    let lost = recertification
        .data(None, &DataOptions::default())
        .unwrap_err();
    assert_eq!(lost.field(), Some(Field::Data));
    // Other images of the same shape.
    let black = Data::from_pixels("black", IMAGE, &[0.0; 24], None).unwrap();
    let networks = [bright(0.52)];
    let job = recertification.job(&black, &networks).unwrap();
    let error = job.run(&mut |_: Event<'_>| ()).unwrap_err();
    assert_eq!(
        (error.kind(), error.field()),
        (ErrorKind::Ledger, Some(Field::Data))
    );
    // Fewer of them.
    let few = Data::from_pixels("few", IMAGE, &[0.0; 8], None).unwrap();
    let error = recertification.job(&few, &networks).err().unwrap();
    assert_eq!(
        (error.kind(), error.field()),
        (ErrorKind::Ledger, Some(Field::Data))
    );
    let fewer = CertifyConfig {
        subset: SubsetConfig {
            offset: 1,
            ..SubsetConfig::default()
        },
        ..config()
    };
    let later = folder.path().join("later");
    run(job::certify(&later, &fewer, &data, &f).unwrap());
    let black = Data::from_pixels("one", IMAGE, &[0.0; 4], None).unwrap();
    let job = job::certify(&later, &config(), &black, &f).unwrap();
    let error = job.run(&mut |_: Event<'_>| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Ledger, "{error}");
    // Two closures of one name, which may answer differently.
    let twins = [bright(0.52), bright(0.48), bright(0.52)];
    let auto = RecertifyConfig::default();
    let recertification = Recertification::open(&ledger, &auto, 3).unwrap();
    let error = recertification.job(&data, &twins).err().unwrap();
    assert_eq!(
        (error.kind(), error.field()),
        (ErrorKind::Parameter, Some(Field::Model))
    );
    assert!(
        error.to_string().contains("'brighter than 0.52'"),
        "{error}"
    );
    assert_eq!(held(&ledger), before);
    // Another closure is another network.
    let other = bright(0.6);
    let job = job::certify(&ledger, &config(), &data, &other).unwrap();
    let error = job.run(&mut |_: Event<'_>| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Ledger);
    assert_eq!(held(&ledger), before);
}

#[test]
fn every_instance_of_a_classifier_has_to_be_of_the_same_network() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("run");
    let data = data();
    // The first instance states what the network is; the second differs.
    for (classes, pixels) in [(3, IMAGE.len()), (2, IMAGE.len() + 1)] {
        let made = AtomicUsize::new(0);
        let make = move || {
            let first = made.fetch_add(1, Ordering::SeqCst) == 0;
            let (classes, pixels) = if first {
                (2, IMAGE.len())
            } else {
                (classes, pixels)
            };
            Box::new(FnClassifier::new(classes, pixels, |_: &[f32]| Some(0))) as Box<dyn Classifier>
        };
        let network =
            Network::from_classifier(ClassifierIdentity::named("unsteady"), IMAGE, make).unwrap();
        let error = job::certify(&ledger, &config(), &data, &network)
            .err()
            .unwrap();
        assert_eq!(error.kind(), ErrorKind::Parameter, "{error}");
        assert!(!ledger.exists());
    }
}

/// Answers with logits.
struct Logits;

impl Classifier for Logits {
    fn classes(&self) -> usize {
        2
    }

    fn image_len(&self) -> usize {
        IMAGE.len()
    }

    fn classify(&mut self, images: &[f32]) -> Result<Answers, recert::engine::Error> {
        let sums = images
            .chunks_exact(IMAGE.len())
            .map(|i| i.iter().sum::<f32>() - 2.0);
        Ok(Answers::Logits {
            classes: 2,
            values: sums.flat_map(|sum| [-sum, sum]).collect(),
        })
    }
}

#[test]
fn a_classifier_is_certified_through_another_that_is_made_once_a_worker() {
    let folder = tempfile::tempdir().unwrap();
    let ledger: PathBuf = folder.path().join("via");
    let data = data();
    let counts = [Arc::new(AtomicUsize::new(0)), Arc::default()];
    let [slow, fast] = [("slow", &counts[0]), ("fast", &counts[1])].map(|(name, count)| {
        let count = Arc::clone(count);
        let make = move || {
            count.fetch_add(1, Ordering::SeqCst);
            Box::new(Logits) as Box<dyn Classifier>
        };
        let mut identity = ClassifierIdentity::named(name);
        identity.computed.batch_invariant = false;
        Network::from_classifier(identity, IMAGE, make).unwrap()
    });
    let config = CertifyConfig {
        subset: SubsetConfig {
            every: 2,
            ..SubsetConfig::default()
        },
        ..config()
    };
    let budget = "10%".parse().unwrap();
    let watch = run(job::certify_via(&ledger, &config, budget, &data, &fast, &slow).unwrap());
    let passes = [
        (PassKind::Certify, 3, 1, false),
        (PassKind::Recertify, 3, 1, true),
    ];
    assert_eq!(watch.passes, passes);
    assert_eq!(
        watch.rows.keys().map(|key| key.1).collect::<Vec<_>>(),
        [0, 2, 4]
    );
    let told = |wanted: fn(&Remark) -> bool| watch.remarks.iter().any(wanted);
    assert!(told(|remark| matches!(remark, Remark::Via { .. })));
    assert!(told(|remark| matches!(
        remark,
        Remark::BatchDependent { .. }
    )));
    // One to know its shape, one to measure its speed, and two workers.
    let instances = counts.map(|count| count.load(Ordering::SeqCst));
    assert_eq!(instances, [4, 4]);
    let error = job::certify_via(&ledger, &config, budget, &data, &fast, &fast).err();
    assert_eq!(error.unwrap().field(), Some(Field::Via));
}

#[test]
fn a_run_until_a_radius_is_reported_as_one_from_scratch() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("until");
    let config = CertifyConfig {
        until_radius: Some(0.25),
        ..config()
    };
    run(job::certify(&ledger, &config, &data(), &bright(0.5)).unwrap());
    let report = job::report(&[ledger], "Greys").unwrap().report;
    assert_eq!(
        report.runs[0].method,
        recert::report::Method::Certify {
            sides: None,
            until: Some(0.25)
        }
    );
    assert_eq!(
        report.runs[0].method_name(),
        "from scratch, until radius 0.25"
    );
    assert_eq!(report.runs[0].n0, 50);
}

#[test]
fn files_of_networks_are_read_once() {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/demo");
    let data = Data::open(&DataConfig {
        data: format!("npz:{}", demo.join("shapes-test.npz").display()),
        options: DataOptions::default(),
    })
    .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = CertifyConfig {
        n: 100,
        n0: 10,
        subset: SubsetConfig {
            limit: Some(1),
            ..SubsetConfig::default()
        },
        ..config()
    };
    let half = Some(Numbers::Half(HalfFormat::BFloat16));
    let pruned = Some(("1%".parse().unwrap(), PruneScope::Global));
    let [slow, fast] =
        [("slow", pruned, None), ("fast", None, half)].map(|(name, prune, numbers)| {
            let file = folder.path().join(name);
            job::approximate(&ApproximateConfig {
                model: demo.join("shapes.onnx"),
                out: file.clone(),
                prune,
                numbers,
                layers: Selected::All,
                calibration: None,
            })
            .unwrap();
            let direct = NetworkConfig {
                engine: Some("direct".to_owned()),
                ..NetworkConfig::default()
            };
            let network = Network::open(&file, &direct, data.shape()).unwrap();
            std::fs::remove_file(&file).unwrap();
            network
        });
    let ledger = folder.path().join("via");
    let budget = "20%".parse().unwrap();
    let watch = run(job::certify_via(&ledger, &config, budget, &data, &fast, &slow).unwrap());
    assert_eq!(watch.rows.len(), 1);
}

#[test]
fn a_file_is_recertified_from_a_classifier_that_says_what_computes_it() {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/demo");
    let data = Data::open(&DataConfig {
        data: format!("npz:{}", demo.join("shapes-test.npz").display()),
        options: DataOptions::default(),
    })
    .unwrap();
    let image = data.shape();
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("run");
    let constant = move || {
        let answer = |_: &[f32]| Some(1);
        Box::new(FnClassifier::new(10, image.len(), answer)) as Box<dyn Classifier>
    };
    let identity = |engine: &str| ClassifierIdentity {
        sha256: [9; 32],
        bytes: 1234,
        computed: EngineIdentity {
            name: engine.to_owned(),
            version: "2.8.0".to_owned(),
            arithmetic: Arithmetic::from("float32, on cuda:0"),
            batch_invariant: false,
        },
        note: Some("SHA-256 of the weights".to_owned()),
        ..ClassifierIdentity::named("always one")
    };
    // Otherwise a ledger would say that a file was computed.
    let error = Network::from_classifier(identity("rten"), image, constant).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Parameter, "{error}");
    let network = Network::from_classifier(identity("mylib"), image, constant).unwrap();
    let config = CertifyConfig {
        n: 200,
        n0: 10,
        subset: SubsetConfig {
            limit: Some(2),
            ..SubsetConfig::default()
        },
        ..config()
    };
    run(job::certify(&ledger, &config, &data, &network).unwrap());
    let recorded = Ledger::open_read_only(&ledger).unwrap();
    let (_, recorded) = recorded.networks().unwrap().remove(0);
    assert_eq!(&recorded, network.identity());
    assert_eq!(
        recorded.engine.to_string(),
        "mylib 2.8.0, float32, on cuda:0"
    );
    assert!(job::comparisons(&ledger).unwrap().is_empty());

    // No engine has that name: one that computes files is chosen.
    let direct = RecertifyConfig {
        methods: vec![Method::Direct],
        ..RecertifyConfig::default()
    };
    let recertification = Recertification::open(&ledger, &direct, 1).unwrap();
    let file = demo.join("shapes.onnx");
    let file = recertification.network(&file, &NetworkConfig::default(), &data);
    let watch = run(recertification.job(&data, &[file.unwrap()]).unwrap());
    assert_eq!(watch.rows.len(), 2);
    assert_eq!(job::check(&[ledger], None).unwrap()[0].wrong(), 0);
}

#[test]
fn what_a_job_is_made_of_crosses_threads() {
    fn crosses<T: Send + Sync + 'static>() {}
    crosses::<CertifyConfig>();
    crosses::<RecertifyConfig>();
    crosses::<Data>();
    crosses::<Network>();
    crosses::<Recertification>();
    crosses::<Remark>();
    crosses::<recert::Error>();
}
