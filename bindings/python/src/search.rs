//! What looks for approximate versions of a certified network.

use std::path::PathBuf;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use recert::job::{
    CalibrationConfig, DataOptions, Event, Events as _, SearchConfig, SensitivityConfig,
    SensitivityEvent, SensitivityEvents, Space, TuneConfig, TuneEvent, TuneEvents,
    sensitivity as look, tune as find,
};

use crate::errors::raise;
use crate::options::Options;
use crate::watch::Watch;

/// The samples of a search.
fn samples(options: &Options<'_>) -> PyResult<SearchConfig> {
    let default = SearchConfig::default();
    Ok(SearchConfig {
        samples: options.count("samples")?.unwrap_or(default.samples),
        inputs: options.count("inputs")?.unwrap_or(default.inputs),
        run: options.run()?,
    })
}

/// The images to observe activations on, if there are any; noise on them is the ledger's.
pub(crate) fn calibration(
    options: &Options<'_>,
    sigma: Option<f64>,
) -> PyResult<Option<CalibrationConfig>> {
    let Some(data) = options.get("calibration")? else {
        return Ok(None);
    };
    Ok(Some(CalibrationConfig {
        data,
        options: options.data()?,
        limit: options.count("calibration_limit")?.unwrap_or(500),
        sigma,
        percentile: options.get("percentile")?,
    }))
}

/// Changes layers alone: JSON, the table and the plot.
#[pyfunction]
pub(crate) fn sensitivity(
    py: Python<'_>,
    ledger: PathBuf,
    model: PathBuf,
    options: Bound<'_, PyDict>,
    report: Option<Py<PyAny>>,
) -> PyResult<(String, String, String)> {
    let options = Options(options);
    let mut config = SensitivityConfig::new(ledger, model, options.several("change")?);
    config.network = options.network()?;
    config.versions = options.get("versions")?.unwrap_or_default();
    config.computations = options.several("computed_by")?;
    config.search = samples(&options)?;
    if let Some(search) = options.get("search")? {
        config.samples_ledger = search;
    }
    config.calibration = calibration(&options, Some(config.sigma().map_err(raise)?))?;
    let data: Option<String> = options.get("data")?;
    let mut watch = Looked(Watch::new(report));
    let found = py.detach(|| {
        let data = config.data(data.as_deref(), &DataOptions::default())?;
        look(&config, &data, &mut watch)
    });
    watch.0.raised()?;
    let found = found.map_err(raise)?.expect("what stops it is raised");
    let json = found.json().map_err(raise)?;
    let svg = found.svg().map_err(raise)?;
    Ok((json, found.table(), svg))
}

/// Searches among versions: JSON, the table and the plot.
#[pyfunction]
pub(crate) fn tune(
    py: Python<'_>,
    ledger: PathBuf,
    model: PathBuf,
    space: &str,
    out: PathBuf,
    options: Bound<'_, PyDict>,
    report: Option<Py<PyAny>>,
) -> PyResult<(String, String, String)> {
    let options = Options(options);
    let space = match options.get::<PathBuf>("space_file")? {
        Some(file) => Space::from_file(&file),
        None => Space::from_json(space),
    };
    let mut config = TuneConfig::new(ledger, model, space.map_err(raise)?, out);
    config.network = options.network()?;
    config.search = samples(&options)?;
    if let Some(budget) = options.parsed("budget")? {
        config.budget = budget;
    }
    config.calibration = calibration(&options, Some(config.sigma().map_err(raise)?))?;
    let data: Option<String> = options.get("data")?;
    let mut watch = Looked(Watch::new(report));
    let found = py.detach(|| {
        let data = config.data(data.as_deref(), &DataOptions::default())?;
        find(&config, &data, &mut watch)
    });
    watch.0.raised()?;
    let found = found.map_err(raise)?.expect("what stops it is raised");
    let json = found.json().map_err(raise)?;
    let svg = found.svg().map_err(raise)?;
    Ok((json, found.table(), svg))
}

/// Tells Python how far a search is, by networks.
struct Looked(Watch);

impl Looked {
    fn pass(&mut self, event: Event<'_>) {
        if let Event::Remark(_) = event {
            self.0.event(event);
        }
    }
}

impl SensitivityEvents for Looked {
    fn event(&mut self, event: SensitivityEvent<'_>) {
        match event {
            SensitivityEvent::Started { networks, .. } => self.0.tell("started", (networks, 0)),
            SensitivityEvent::Done { .. } => self.0.tell("evaluated", (1,)),
            SensitivityEvent::Pass(event) => self.pass(event),
            _ => {}
        }
    }

    fn stop(&self) -> bool {
        self.0.stop()
    }
}

impl TuneEvents for Looked {
    fn event(&mut self, event: TuneEvent<'_>) {
        if let TuneEvent::Pass(event) = event {
            self.pass(event);
        }
    }

    fn stop(&self) -> bool {
        self.0.stop()
    }
}
