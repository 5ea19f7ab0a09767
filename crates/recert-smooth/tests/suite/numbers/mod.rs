//! What runs of made-up classifiers need: images that say their number, and
//! networks for a ledger.

use recert_ledger::{Input, Network};
use recert_smooth::{Error, Source};

/// Images of two pixels: their number, and this.
pub(crate) struct Numbers(pub(crate) f32);

impl Numbers {
    pub(crate) fn image(&self, idx: u32) -> [f32; 2] {
        [idx as f32, self.0]
    }
}

impl Source for Numbers {
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
