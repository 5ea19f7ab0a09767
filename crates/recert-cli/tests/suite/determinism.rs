//! The same counts, and the same class of every sample, whatever the batch, the
//! number of threads, the order of the inputs and the way they are cut up.

use std::path::Path;

use crate::common::{self, HeldOf, Place, asset, certify_demo, held, ok, with};
use recert::data::{DataSpec, Dataset, Options};
use recert::engine::{Classifier, ImageShape, Network, NetworkOptions, engines};
use recert::ledger::{Header, Ledger, Task};
use recert::net::Model;
use recert::num::Alpha;
use recert::smooth::{Irs, Method, Outcome, Recertify, Run, Sides, Silent, Threads};

const SAMPLES: u32 = 150;
const SELECTION: u32 = 20;
const INPUTS: u32 = 3;

#[test]
fn counts_do_not_depend_on_batch_or_threads() {
    let place = Place::new();
    let network = place.text("prune20.onnx");
    let model = asset("shapes.onnx");
    ok(&with(
        &[],
        &["approximate", &model, "--prune", "20%", "--out", &network],
    ));
    let mut first = None;
    for batch in ["1", "7", "64", "256"] {
        for threads in ["1", "2"] {
            let name = format!("{batch}-{threads}.recert");
            let ledger = place.text(&name);
            let how = ["--batch", batch, "--threads", threads];
            let words = with(
                &certify_demo(SAMPLES, SELECTION, INPUTS),
                &["--ledger", &ledger],
            );
            let certified = ok(&with(&words, &how));
            let words = [
                "recertify",
                &ledger,
                "--model",
                &network,
                "--n-p",
                "40%",
                "--method",
                "irs,direct",
            ];
            let recertified = ok(&with(&with(&[], &words), &how));
            let rows = [&certified, &recertified].map(|said| common::rows(&said.stdout));
            let this = (held(&place.path(&name)), rows);
            match &first {
                None => first = Some(this),
                Some(first) => assert!(*first == this, "batch {batch}, {threads} threads"),
            }
        }
    }
}

#[test]
fn shards_are_pieces_of_the_whole() {
    let place = Place::new();
    let certify = |name: &str, inputs: u32, offset: &str| {
        let ledger = place.text(name);
        let words = certify_demo(SAMPLES, SELECTION, inputs);
        let more = ["--ledger", &ledger, "--every", "3", "--offset", offset];
        let said = ok(&with(&words, &more));
        (common::rows(&said.stdout), held(&place.path(name)))
    };
    let (rows, whole) = certify("whole.recert", 4, "0");
    assert_eq!(
        rows.iter().map(|row| row.idx).collect::<Vec<_>>(),
        [0, 3, 6, 9]
    );

    // In ledgers of their own.
    for (name, offset, half) in [("a.recert", "0", &rows[..2]), ("b.recert", "6", &rows[2..])] {
        let (rows, shard) = certify(name, 2, offset);
        assert_eq!(rows, half);
        let (shard, whole) = (&shard.networks[0], &whole.networks[0]);
        assert_eq!(shard.classes.len(), 2);
        for (key, classes) in &shard.classes {
            assert_eq!(classes, &whole.classes[key], "{name} {key:?}");
        }
        for certificate in &shard.certificates {
            assert!(whole.certificates.contains(certificate), "{name}");
        }
    }

    // One after the other in one ledger, the later inputs first.
    certify("both.recert", 2, "6");
    assert_eq!(certify("both.recert", 4, "0"), (rows, whole));
}

/// The demo network and its images, loaded through the library.
struct Loaded {
    data: Dataset,
    model: Model,
    network: Network,
}

impl Loaded {
    fn open(model: &str) -> Self {
        let spec: DataSpec = asset("shapes-test.npz").parse().unwrap();
        let data = Dataset::open(&spec, &Options::default()).unwrap();
        let model = Model::read(model).unwrap();
        let shape = data.shape();
        let image = ImageShape {
            channels: shape.channels,
            height: shape.height,
            width: shape.width,
        };
        let rten = engines::by_name("rten").unwrap();
        let network =
            Network::load(&model, rten.as_ref(), image, &NetworkOptions::default()).unwrap();
        Self {
            data,
            model,
            network,
        }
    }

    fn workers(&self, count: usize) -> Vec<Box<dyn Classifier>> {
        (0..count).map(|_| self.network.worker().unwrap()).collect()
    }
}

/// What a ledger of these inputs in this order holds in the end.
fn in_order(path: &Path, f: &Loaded, h: &Loaded, inputs: &[u32], workers: usize) -> Vec<HeldOf> {
    let header = Header {
        task: Task::Certify,
        sigma: 0.5,
        n0: SELECTION.into(),
        n: SAMPLES.into(),
        alpha: 0.001,
        generator: recert::noise::GENERATOR.into(),
        seed: 7,
        network: recert::identity(&f.model, &f.network),
        data: "the demo".into(),
        shape: [3, 32, 32],
    };
    let mut ledger = Ledger::create(path, &header).unwrap();
    let mut threads = Threads::new([(ledger.base(), f.workers(workers))], 16).unwrap();
    let mut run = Run {
        ledger: &mut ledger,
        inputs: &f.data,
        workers: &mut threads,
        observer: &mut Silent,
    };
    let outcome = recert::smooth::certify(&mut run, inputs, Sides::Two);
    assert_eq!(outcome.unwrap(), Outcome::Finished);
    let network = ledger
        .add_network(&recert::identity(&h.model, &h.network))
        .unwrap();
    let plan = Recertify {
        samples: vec![10, 60],
        alpha: Alpha::new(0.002).unwrap(),
        methods: vec![Method::Irs(Irs { gamma: 0.99 }), Method::Direct(Sides::Two)],
    };
    let mut threads = Threads::new([(network, h.workers(workers))], 16).unwrap();
    let mut run = Run {
        ledger: &mut ledger,
        inputs: &f.data,
        workers: &mut threads,
        observer: &mut Silent,
    };
    let outcome = recert::smooth::recertify(&mut run, inputs, &plan);
    assert_eq!(outcome.unwrap(), Outcome::Finished);
    ledger.close().unwrap();
    held(path).networks
}

#[test]
fn counts_do_not_depend_on_the_order_of_the_inputs() {
    let place = Place::new();
    let network = place.text("prune20.onnx");
    let model = asset("shapes.onnx");
    ok(&with(
        &[],
        &["approximate", &model, "--prune", "20%", "--out", &network],
    ));
    let (f, h) = (Loaded::open(&model), Loaded::open(&network));
    let forward = in_order(&place.path("forward.recert"), &f, &h, &[2, 5, 11, 30], 1);
    assert_eq!(forward.len(), 2);
    let orders = [[30, 11, 5, 2], [11, 2, 30, 5]];
    for (i, order) in orders.iter().enumerate() {
        let path = place.path(&format!("{i}.recert"));
        assert!(
            in_order(&path, &f, &h, order, 1 + i) == forward,
            "{order:?}"
        );
    }
}
