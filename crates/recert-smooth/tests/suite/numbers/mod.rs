//! What runs of made-up classifiers need: images that say their number, and
//! networks for a ledger.

use recert_engine::Classifier;
use recert_ledger::{Input, Ledger, Network, NetworkId};
use recert_smooth::{Error, Inputs, Observer, Run, Threads, Workers};

/// Images of two pixels: their number, and this.
pub(crate) struct Numbers(pub(crate) f32);

impl Numbers {
    pub(crate) fn image(&self, idx: u32) -> [f32; 2] {
        [idx as f32, self.0]
    }
}

impl Inputs for Numbers {
    fn input(&self, idx: u32) -> Result<(Input, Vec<f32>), Error> {
        let input = Input {
            idx,
            sha256: [idx as u8; 32],
            label: None,
            name: None,
        };
        Ok((input, self.image(idx).to_vec()))
    }
}

/// A run of these.
pub(crate) fn run<'a>(
    ledger: &'a mut Ledger,
    inputs: &'a dyn Inputs,
    workers: &'a mut dyn Workers,
    observer: &'a mut dyn Observer,
) -> Run<'a> {
    Run {
        ledger,
        inputs,
        workers,
        observer,
    }
}

/// Threads with classifiers of one network.
pub(crate) fn threads(
    network: NetworkId,
    classifiers: Vec<Box<dyn Classifier>>,
    batch: usize,
) -> Threads {
    Threads::new([(network, classifiers)], batch).unwrap()
}

/// A network of four classes.
pub(crate) fn network(byte: u8) -> Network {
    Network {
        sha256: [byte; 32],
        file: format!("{byte}.onnx"),
        bytes: 1,
        engine: "made up".into(),
        engine_version: "1".into(),
        precision: "exact".into(),
        batch_invariant: true,
        preprocess: "none".into(),
        output: "class".into(),
        classes: 4,
        note: None,
    }
}
