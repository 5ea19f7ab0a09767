//! What the tests share: engines, inputs, golden logits.
#![allow(dead_code, reason = "each test file uses its own part of this")]

pub(crate) mod golden;
pub(crate) mod inputs;

use std::path::{Path, PathBuf};

use recert_engine::{Classifier, Error, ImageShape, Network, NetworkOptions, Runtime, engines};
use recert_net::Model;

/// The images that the hand-made networks take.
pub(crate) const MADE: ImageShape = ImageShape {
    channels: 3,
    height: 8,
    width: 8,
};

/// Runs `test` with every engine found here; says which are not.
pub(crate) fn every_engine(mut test: impl FnMut(&str, &dyn Runtime)) {
    for name in engines::NAMES {
        match engines::by_name(name) {
            Ok(engine) => test(name, engine.as_ref()),
            Err(why) => eprintln!("skipped: {name}: {why}"),
        }
    }
}

/// The folder of shared networks and data, if it is there.
pub(crate) fn shared() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!(
        "skipped: the shared networks are not at {}",
        folder.display()
    );
    None
}

/// The folder of golden files.
pub(crate) fn golden_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// The hand-made network `name`.
pub(crate) fn made(name: &str) -> Model {
    Model::read(golden_folder().join(format!("made/{name}.onnx"))).unwrap()
}

/// Loads the hand-made network `name`.
pub(crate) fn load_made(engine: &dyn Runtime, name: &str) -> Result<Network, Error> {
    Network::load(&made(name), engine, MADE, &NetworkOptions::default())
}

/// A worker of the hand-made network `name`, which must load.
pub(crate) fn worker_of_made(engine: &dyn Runtime, name: &str) -> Box<dyn Classifier> {
    load_made(engine, name).unwrap().worker().unwrap()
}
