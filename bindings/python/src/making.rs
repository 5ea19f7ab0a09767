//! What makes networks: approximate versions, and trainings where the package is built for them.

use std::path::PathBuf;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use recert::job::{ApproximateConfig, Numbers, Selected, approximate as make};
use recert::net::{HalfFormat, PruneScope};

use crate::errors::{raise, refuse};
use crate::options::Options;
use crate::search::calibration;

/// Makes an approximate version of a network: JSON of what was changed, and the same in words.
#[pyfunction]
pub(crate) fn approximate(
    py: Python<'_>,
    model: PathBuf,
    out: PathBuf,
    options: Bound<'_, PyDict>,
) -> PyResult<(String, String)> {
    let options = Options(options);
    let is = |keyword| Ok::<_, PyErr>(options.get::<bool>(keyword)?.unwrap_or(false));
    let numbers = match (is("int8")?, is("fp16")?, is("bf16")?) {
        (false, false, false) => None,
        (true, false, false) => Some(Numbers::Int8 {
            bits: options.count("weight_bits")?.unwrap_or(8),
            network: options.network()?,
        }),
        (false, true, false) => Some(Numbers::Half(HalfFormat::Float16)),
        (false, false, true) => Some(Numbers::Half(HalfFormat::BFloat16)),
        _ => return Err(refuse("int8", "choose one of int8, fp16 and bf16")),
    };
    let scope = if is("prune_globally")? {
        PruneScope::Global
    } else {
        PruneScope::PerLayer
    };
    let prune = options.parsed("prune")?;
    let names = |keyword| Ok::<_, PyErr>(options.get::<Vec<String>>(keyword)?.unwrap_or_default());
    let layers = match (names("layers")?, names("all_but")?) {
        (only, but) if only.is_empty() && but.is_empty() => Selected::All,
        (only, but) if but.is_empty() => Selected::Only(only),
        (only, but) if only.is_empty() => Selected::AllBut(but),
        _ => return Err(refuse("layers", "choose one of layers and all_but")),
    };
    let config = ApproximateConfig {
        model,
        out,
        prune: prune.map(|share| (share, scope)),
        numbers,
        layers,
        calibration: calibration(&options, options.get("sigma")?)?,
    };
    let made = py.detach(|| make(&config)).map_err(raise)?;
    Ok((made.to_json().to_string(), made.to_string()))
}

/// Trains a network: JSON of how it went, and the page in Markdown. `settings` is JSON of those that
/// come before the file's.
#[pyfunction]
#[cfg(feature = "train")]
pub(crate) fn train(
    py: Python<'_>,
    config: Option<PathBuf>,
    settings: &str,
    out: PathBuf,
    threads: Option<usize>,
    report: Option<Py<PyAny>>,
) -> PyResult<(String, String)> {
    use recert::job::{TrainConfig, train};
    use recert::train::Scores;
    use serde_json::{Value, json};

    let given = TrainConfig::from_json(settings).map_err(raise)?;
    let given = match config {
        Some(file) => TrainConfig::from_file(&file).map_err(raise)?.under(given),
        None => given,
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut watch = training::Watch(crate::watch::Watch::new(report));
    let trained = py.detach(|| train(given, &out, threads.unwrap_or(cores))?.run(&mut watch));
    watch.0.raised()?;
    let trained = trained.map_err(raise)?.expect("what stops it is raised");
    let scores = |scores: Option<Scores>| -> Value {
        scores.map_or(Value::Null, |scores| {
            json!({
                "clean": scores.clean, "noisy": scores.noisy, "adversarial": scores.adversarial,
                "bounded": scores.certified,
            })
        })
    };
    let epochs = trained.epochs.iter().map(|epoch| {
        json!({
            "number": epoch.number, "eps": epoch.eps, "ramp": epoch.ramp, "loss": epoch.loss,
            "validation": scores(epoch.validation), "seconds": epoch.seconds,
        })
    });
    let found = json!({
        "file": trained.file, "sha256": trained.model.sha256_hex(), "epoch": trained.best.epoch,
        "validation": scores(trained.best.scores), "test": scores(trained.test),
        "scored": trained.scored, "remarks": watch.0.remarks(),
        "epochs": epochs.collect::<Vec<_>>(),
    });
    Ok((found.to_string(), trained.page))
}

/// The same where the package is built without: it says how to build it.
#[pyfunction]
#[cfg(not(feature = "train"))]
pub(crate) fn train(
    _config: Option<PathBuf>,
    _settings: &str,
    _out: PathBuf,
    _threads: Option<usize>,
    _report: Option<Py<PyAny>>,
) -> PyResult<(String, String)> {
    Err(crate::errors::lacking(
        "this package is built without training: build it with the feature `train`, as docs/python.md \
         describes",
    ))
}

#[cfg(feature = "train")]
mod training {
    use recert::job::{Events as _, TrainEvent, TrainEvents};

    /// Tells Python how far a training is, by epochs.
    pub(super) struct Watch(pub(super) crate::watch::Watch);

    impl TrainEvents for Watch {
        fn event(&mut self, event: TrainEvent<'_>) {
            match event {
                TrainEvent::Started { epochs, done, .. } => self.0.tell("started", (epochs, done)),
                TrainEvent::Warning(text) | TrainEvent::Unused(text) => self.0.say(text, None),
                TrainEvent::Epoch(_) => self.0.tell("evaluated", (1,)),
                _ => {}
            }
        }

        fn stop(&self) -> bool {
            self.0.stop()
        }
    }
}
