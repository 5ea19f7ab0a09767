//! What runs of made-up classifiers need: images that hold their number,
//! networks for a ledger, and a look at all that a ledger holds.

use std::collections::BTreeMap;

use recert_engine::{Answers, Classifier};
use recert_ledger::{
    Certificate, Codes, Engine, Input, Ledger, Network, NetworkId, Selection, Series,
};
use recert_noise::Stream;
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
        engine: Engine {
            name: "made up".into(),
            version: "1".into(),
            arithmetic: "exact".into(),
        },
        batch_invariant: true,
        preprocess: "none".into(),
        output: "class".into(),
        classes: 4,
        note: None,
    }
}

/// Four classes by logits, so that there are margins: class c is nearest where the
/// second pixel, stretched and moved a little for every network but f, is 0.8 c.
pub(crate) struct Nearest(pub(crate) u8);

impl Classifier for Nearest {
    fn classes(&self) -> usize {
        4
    }
    fn image_len(&self) -> usize {
        2
    }
    fn classify(&mut self, images: &[f32]) -> Result<Answers, recert_engine::Error> {
        let which = f32::from(self.0);
        let values = images.chunks_exact(2).flat_map(|image| {
            let x = image[1] * (1.0 + 0.02 * which) + 0.03 * which;
            [0.0, 0.8, 1.6, 2.4].map(|centre| -(x - centre).abs())
        });
        Ok(Answers::Logits {
            classes: 4,
            values: values.collect(),
        })
    }
}

pub(crate) fn series(network: NetworkId, idx: u32, stream: Stream) -> Series {
    Series {
        network,
        idx,
        stream: recert_ledger::Stream(stream.tag()),
    }
}

/// Everything that a ledger holds of an input but times, for each network.
#[derive(Debug, PartialEq)]
pub(crate) struct Held {
    certificates: Vec<Certificate>,
    /// What is answered of the streams, and the answers.
    codes: Vec<(Vec<u32>, Codes)>,
    selection: Option<Selection>,
}

/// What a ledger holds of each input, but times.
pub(crate) fn held(ledger: &Ledger) -> BTreeMap<u32, Vec<Held>> {
    let networks = ledger.networks().unwrap();
    let of_input = |idx: u32| {
        let of_network = |(network, _): &(NetworkId, Network)| {
            let mut certificates = ledger.certificates(*network).unwrap();
            certificates.retain(|certificate| certificate.idx == idx);
            for certificate in &mut certificates {
                certificate.micros = 0;
            }
            let codes = [Stream::Certify, Stream::Fresh].map(|stream| {
                let series = series(*network, idx, stream);
                let (mut samples, mut all) = (Vec::new(), Codes::default());
                for range in ledger.answered(series).unwrap() {
                    let (codes, _) = ledger.answers_in(series, range.clone()).unwrap();
                    for i in 0..codes.classes.len() {
                        all.push(&codes, i);
                    }
                    samples.extend(range.map(|sample| sample as u32));
                }
                (samples, all)
            });
            let selection = ledger.selection(*network, idx).unwrap();
            Held {
                certificates,
                codes: codes.into(),
                selection: selection.map(|selection| Selection {
                    micros: 0,
                    ..selection
                }),
            }
        };
        networks.iter().map(of_network).collect()
    };
    let inputs = ledger.inputs().unwrap().into_iter();
    inputs
        .map(|input| (input.idx, of_input(input.idx)))
        .collect()
}

impl Held {
    pub(crate) fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }
}
