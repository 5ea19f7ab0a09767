//! What the tests share: engines, inputs, golden logits.
pub(crate) mod golden;
pub(crate) mod inputs;

use std::path::{Path, PathBuf};

use recert_engine::engines::{self, EngineEntry};
use recert_engine::{
    Classifier, EngineOptions, Error, ImageShape, Network, NetworkOptions, Precision, Runtime,
};
use recert_graph::Model;
use recert_testing::Skip;

/// The images that the hand-made networks take.
pub(crate) const MADE: ImageShape = ImageShape {
    channels: 3,
    height: 8,
    width: 8,
};

/// An engine in one of its precisions, as it is called in messages.
pub(crate) struct Setup {
    pub(crate) name: &'static str,
    pub(crate) precision: Precision,
}

impl std::fmt::Display for Setup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.name, self.precision)
    }
}

impl Setup {
    /// How closely logits are to be met where float32 meets them by `exact`,
    /// and rounding the weights to bfloat16 moves them by `moved`. A factor
    /// of half precision is off by an eighth of that.
    pub(crate) fn tolerance(&self, exact: f32, moved: f32) -> f32 {
        let share = match self.precision {
            Precision::Bf16 => 1.0,
            // A quantum is a quantum, whatever pushed a value over its edge.
            Precision::F16 if exact > golden::FLOAT_TOLERANCE => 1.0,
            Precision::F16 => 0.125,
            _ => 0.0,
        };
        exact + golden::LOW_PRECISION * share * moved
    }
}

/// Runs `test` with `engine` in each precision that it has on the processor; the test is
/// skipped where the engine is not installed.
pub(crate) fn in_every_precision(
    engine: &EngineEntry,
    test: impl Fn(&Setup, &dyn Runtime),
) -> Result<(), Skip> {
    let found = engine.find().map_err(Skip::because)?;
    let processor = found.devices.iter().find(|device| device.name == "CPU");
    for &precision in &processor
        .expect("every engine has the processor")
        .precisions
    {
        // The arithmetic of int8 is that of f32; one test is about what else it is.
        if precision != Precision::Int8 {
            let setup = Setup {
                name: engine.name,
                precision,
            };
            test(&setup, open(engine.name, precision).unwrap().as_ref());
        }
    }
    Ok(())
}

/// Declares a function as one test for each engine, each of which needs that engine.
///
/// The functions are called for every precision by [`in_every_precision`], unless another
/// way of calling them is given.
macro_rules! test_of_every_engine {
    ($test:ident) => {
        test_of_every_engine!($test, |engine| {
            crate::support::in_every_precision(engine, $test)
        });
    };
    ($test:ident, $run:expr) => {
        recert_testing::inventory::submit! {
            recert_testing::Declared(|| {
                let tests = recert_engine::engines::ENGINES.iter().map(|engine| {
                    let name = concat!(module_path!(), "::", stringify!($test));
                    let run: fn(&recert_engine::engines::EngineEntry) -> _ = $run;
                    recert_testing::Test::new(&format!("{name}::{}", engine.name), move || {
                        run(engine)
                    })
                });
                tests.collect()
            })
        }
    };
}
pub(crate) use test_of_every_engine;

/// An engine in one precision, on the processor.
pub(crate) fn open(name: &str, precision: Precision) -> Result<Box<dyn Runtime>, Error> {
    let options = EngineOptions {
        precision: Some(precision),
        ..EngineOptions::default()
    };
    engines::open(name, &options)
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
