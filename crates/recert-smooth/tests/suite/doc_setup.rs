// Included by the examples in this crate's documentation: images of one pixel,
// classifiers that are closures, and the header of a ledger.

use recert_engine::{Classifier, FnClassifier};
use recert_ledger::{Engine, Header, Input, Ledger, Network, Task};
use recert_smooth::{Error, Inputs};

/// Images of one pixel: that of input i has brightness i/10.
struct Pixels;

impl Inputs for Pixels {
    fn input(&self, idx: u32) -> Result<(Input, Vec<f32>), Error> {
        let input = Input {
            idx,
            sha256: [idx as u8; 32],
            label: None,
            name: None,
        };
        Ok((input, vec![idx as f32 / 10.0]))
    }
}

/// One classifier for each of two workers: class 1 where a pixel is brighter than this.
fn brighter_than(limit: f32) -> Vec<Box<dyn Classifier>> {
    let one = |_| Box::new(FnClassifier::new(2, 1, move |image: &[f32]| {
        Some(u16::from(image[0] > limit))
    })) as Box<dyn Classifier>;
    (0..2).map(one).collect()
}

fn network(name: &str) -> Network {
    Network {
        sha256: [name.as_bytes()[0]; 32],
        file: name.into(),
        bytes: 0,
        engine: Engine {
            name: "closure".into(),
            version: "1".into(),
            arithmetic: "exact".into(),
        },
        batch_invariant: true,
        preprocess: "none".into(),
        output: "class".into(),
        classes: 2,
        note: None,
    }
}

fn header() -> Header {
    Header {
        task: Task::Certify,
        sigma: 0.25,
        n0: 20,
        n: 500,
        alpha: 0.001,
        generator: recert_noise::GENERATOR.into(),
        seed: 0,
        network: network("bright"),
        data: "made up".into(),
        shape: [1, 1, 1],
    }
}
