//! Jobs with noise: certify, predict, recertify, and what to expect of the last.

use std::path::{Path, PathBuf};

use pyo3::prelude::*;
use pyo3::types::PyDict;
use recert::engine::EngineOptions;
use recert::job::{
    self, CertifyConfig, Data, Forecast, Goal, Job, Method, Network, Outcome, PredictConfig,
    Recertification, RecertifyConfig, Sampled,
};
use recert::ledger::Ledger;

use crate::callable::Raised;
use crate::errors::{raise, refuse};
use crate::given::{Classify, Images};
use crate::options::{Options, choose};
use crate::watch::Watch;

/// The ways to recertify, by the names of the command line.
const METHODS: [(&str, Method); 6] = [
    ("auto", Method::Auto),
    ("irs", Method::Irs),
    ("zeta", Method::Zeta),
    ("loss", Method::Loss),
    ("paired", Method::Paired),
    ("direct", Method::Direct),
];

/// How many workers a callable has where it is not said: one makes noise while the other has
/// its turn.
const WORKERS: usize = 2;

/// Runs a job that `make` makes, and looks at its networks first. Returns its rows.
fn run<'py, 'a>(
    py: Python<'py>,
    (report, log): (Option<Py<PyAny>>, Option<PathBuf>),
    raised: &Raised,
    make: impl FnOnce() -> recert::Result<Job<'a>> + Send,
) -> PyResult<Bound<'py, PyDict>> {
    let mut watch = Watch::new(report).logging(log.as_deref())?;
    let outcome = py.detach(|| -> recert::Result<Outcome> {
        let mut job = make()?;
        for look in job.first_look()? {
            watch.say(&look.to_string(), None);
            if let Some(remark) = look.remark() {
                watch.remark(&remark);
            }
        }
        job.run(&mut watch)
    });
    watch.end(outcome, raised)?;
    watch.columns(py)
}

/// Certifies into `ledger`.
#[pyfunction]
pub(crate) fn certify<'py>(
    py: Python<'py>,
    ledger: PathBuf,
    classify: Classify,
    images: Images<'py>,
    options: Bound<'py, PyDict>,
    report: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let options = Options(options);
    let log: Option<PathBuf> = options.get("log")?;
    let mut config = CertifyConfig::new(options.need("sigma")?);
    config.alpha = options.get("alpha")?.unwrap_or(config.alpha);
    config.n = options.count("n")?.unwrap_or(config.n);
    config.n0 = options.count("n0")?.unwrap_or(config.n0);
    config.sides = options.sides()?;
    config.until_radius = options.get("until_radius")?;
    config.seed = options.seed(&ledger)?;
    config.noise = options.noise()?;
    config.subset = options.subset()?;
    config.run = options.run()?;
    config.validate().map_err(raise)?;
    let via: Option<Classify> = options.get("via")?;
    if matches!(classify, Classify::Callable(_)) || matches!(via, Some(Classify::Callable(_))) {
        config.run.threads.get_or_insert(WORKERS);
    }
    let data = images.open(py, &options)?;
    let (shape, raised) = (data.shape(), Raised::default());
    let samples = Sampled::new(&data, config.sigma);
    let slow = options.network()?;
    let Some(via) = via else {
        let network = classify.network(py, shape, &raised, |path| {
            Network::open_for(&ledger, path, &slow, samples)
        })?;
        return run(py, (report, log), &raised, || {
            job::certify(&ledger, &config, &data, &network)
        });
    };
    let faster = EngineOptions {
        precision: options.parsed("via_precision")?,
        device: options.get("via_device")?,
        ..EngineOptions::default()
    };
    let engine: Option<String> = options.get("via_engine")?;
    let [slow, fast] = job::via_configs(&slow, &faster, engine.as_deref());
    let budget = options.amounts("via_budget")?;
    let budget = *budget
        .first()
        .ok_or_else(|| refuse("via_budget", "via_budget is needed"))?;
    let faster = via.network(py, shape, &raised, |path| {
        Network::open_for(&ledger, path, &fast, samples.clone())
    })?;
    let base = faster.identity();
    let network = classify.network(py, shape, &raised, |path| {
        Network::open_like(path, &slow, base, samples.clone())
    })?;
    run(py, (report, log), &raised, || {
        job::certify_via(&ledger, &config, budget, &data, &faster, &network)
    })
}

/// Predicts into `ledger`.
#[pyfunction]
pub(crate) fn predict<'py>(
    py: Python<'py>,
    ledger: PathBuf,
    classify: Classify,
    images: Images<'py>,
    options: Bound<'py, PyDict>,
    report: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let options = Options(options);
    let log: Option<PathBuf> = options.get("log")?;
    let mut config = PredictConfig::new(options.need("sigma")?);
    config.alpha = options.get("alpha")?.unwrap_or(config.alpha);
    config.n = options.count("n")?.unwrap_or(config.n);
    config.seed = options.seed(&ledger)?;
    config.noise = options.noise()?;
    config.subset = options.subset()?;
    config.run = options.run()?;
    config.validate().map_err(raise)?;
    if matches!(classify, Classify::Callable(_)) {
        config.run.threads.get_or_insert(WORKERS);
    }
    let data = images.open(py, &options)?;
    let raised = Raised::default();
    let (samples, network) = (Sampled::new(&data, config.sigma), options.network()?);
    let network = classify.network(py, data.shape(), &raised, |path| {
        Network::open_for(&ledger, path, &network, samples)
    })?;
    run(py, (report, log), &raised, || {
        job::predict(&ledger, &config, &data, &network)
    })
}

/// Recertifies networks from `ledger`, on its own images where none are given.
#[pyfunction]
pub(crate) fn recertify<'py>(
    py: Python<'py>,
    ledger: PathBuf,
    networks: Vec<Classify>,
    images: Option<Images<'py>>,
    options: Bound<'py, PyDict>,
    report: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let options = Options(options);
    let log: Option<PathBuf> = options.get("log")?;
    if networks.len() > 1 && log.is_some() {
        let message = "a log holds the rows of one network: leave it out, or name one network";
        return Err(refuse("log", message));
    }
    let raised = Raised::default();
    let (recertification, data, networks) =
        opened(py, &ledger, networks, images.as_ref(), &options, &raised)?;
    run(py, (report, log), &raised, || {
        recertification.job(&data, &networks)
    })
}

/// What may be expected of recertifying networks from `ledger`: JSON, and tables.
#[pyfunction]
pub(crate) fn plan(
    py: Python<'_>,
    ledger: PathBuf,
    networks: Vec<Classify>,
    images: Option<Images<'_>>,
    options: Bound<'_, PyDict>,
) -> PyResult<(String, String)> {
    let (options, raised) = (Options(options), Raised::default());
    let (recertification, data, networks) =
        opened(py, &ledger, networks, images.as_ref(), &options, &raised)?;
    let forecasts = py.detach(|| recertification.forecasts(&data, &networks));
    let forecasts = forecasts.map_err(|error| raised.because(error))?;
    let tables: Vec<String> = forecasts.iter().map(Forecast::to_string).collect();
    let json = Forecast::all_to_json(&forecasts).to_string();
    Ok((json, tables.join("\n")))
}

/// A recertification with its images, the ledger's own where none are given, and its networks.
fn opened(
    py: Python<'_>,
    ledger: &Path,
    networks: Vec<Classify>,
    images: Option<&Images<'_>>,
    options: &Options<'_>,
    raised: &Raised,
) -> PyResult<(Recertification, Data, Vec<Network>)> {
    let mut config = recertify_config(options)?;
    let called = |network: &Classify| matches!(network, Classify::Callable(_));
    if networks.iter().any(called) {
        config.run.threads.get_or_insert(WORKERS);
    }
    let into: Option<PathBuf> = options.get("into")?;
    let opened = py.detach(|| Recertification::open(ledger, &config, networks.len()));
    let mut recertification = opened.map_err(raise)?;
    let data = match images {
        Some(Images::Files(data)) => {
            let how = options.data()?;
            py.detach(|| recertification.data(Some(data), &how))
                .map_err(raise)?
        }
        Some(images) => images.open(py, options)?,
        None => {
            let how = options.data()?;
            py.detach(|| recertification.data(None, &how))
                .map_err(raise)?
        }
    };
    let network = options.network()?;
    let networks: Vec<Network> = (networks.into_iter())
        .map(|given| {
            given.network(py, data.shape(), raised, |path| {
                recertification.network(path, &network, &data)
            })
        })
        .collect::<PyResult<_>>()?;
    if let Some(into) = into {
        let copied = py.detach(|| recertification.into_copy(&into, &data, &networks));
        recertification = copied.map_err(raise)?;
    }
    Ok((recertification, data, networks))
}

fn recertify_config(options: &Options<'_>) -> PyResult<RecertifyConfig> {
    let methods = options.items("method")?.into_iter();
    let methods = methods.map(|name| choose("method", &name, &METHODS));
    let budget = options.amounts("budget")?;
    let (target, until) = (options.get("target_acr")?, options.get("until_radius")?);
    let goal = match (target, until) {
        (Some(radius), None) if budget.is_empty() => Goal::AverageRadius(radius),
        (None, Some(radius)) if budget.is_empty() => Goal::Radius(radius),
        (None, None) => Goal::Budget(budget),
        _ => {
            let message = "there is one goal: a budget, an average radius or a radius for each";
            return Err(refuse("budget", message));
        }
    };
    Ok(RecertifyConfig {
        methods: methods.collect::<PyResult<_>>()?,
        goal,
        n_p: options.amounts("n_p")?,
        among: options.count("among")?,
        gamma: options.get("gamma")?,
        sides: options.sides()?,
        alpha: options.get("alpha")?,
        limit: options.count("limit")?,
        run: options.run()?,
    })
}

/// The number of classes of a ledger's networks.
#[pyfunction]
pub(crate) fn classes_of(path: PathBuf) -> PyResult<u32> {
    let ledger = Ledger::open_read_only(Path::new(&path)).map_err(raise)?;
    Ok(ledger.header().network.classes)
}
