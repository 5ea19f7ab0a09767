//! Jobs by bounds, without noise: verify, explain.

use std::path::PathBuf;

use numpy::{PyArray1, PyArrayMethods};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use recert::job::{
    self, Epsilon, Event, Events, ExplainConfig, ExplainMethod, Input, Network, Norm, Outcome,
    Reverification, RunConfig, Sampled, Transformation, VerificationResult, VerifyConfig,
    VerifyMethod, VnnlibFile,
};
use recert::report::features;

use crate::callable::Raised;
use crate::errors::{raise, refuse};
use crate::given::Images;
use crate::options::Options;
use crate::watch::Watch;

const NORMS: [(&str, Norm); 2] = [("linf", Norm::Linf), ("l2", Norm::L2)];

/// The ways to verify, by the names of the command line.
fn methods() -> [(&'static str, VerifyMethod); 6] {
    [
        VerifyMethod::Cascade,
        VerifyMethod::Attack,
        VerifyMethod::Ibp,
        VerifyMethod::Crown,
        VerifyMethod::AlphaCrown,
        VerifyMethod::BranchAndBound,
    ]
    .map(|method| (method.name(), method))
}

fn explain_methods() -> [(&'static str, ExplainMethod); 3] {
    [
        ExplainMethod::Ibp,
        ExplainMethod::Crown,
        ExplainMethod::AlphaCrown,
    ]
    .map(|method| (method.name(), method))
}

/// A result, with the words of what was verified.
struct Verdict {
    specification: String,
    statement: String,
    input: Option<Input>,
    result: VerificationResult,
}

/// Keeps the results of a verification.
struct Verdicts {
    watch: Watch,
    shape: [usize; 3],
    found: Vec<Verdict>,
}

impl Events for Verdicts {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::VerifyStarted(pass) => {
                self.shape = pass.shape;
                let (tasks, done) = (pass.tasks, pass.done);
                self.watch.tell("pass", ("verify", tasks, 1));
                self.watch.tell("started", (tasks, done));
            }
            Event::Verified {
                verification,
                input,
                result,
            } => {
                self.watch.tell("evaluated", (1,));
                self.found.push(Verdict {
                    specification: verification.specification.to_string(),
                    statement: verification.statement.clone(),
                    input: input.cloned(),
                    result: result.clone(),
                });
            }
            other => self.watch.event(other),
        }
    }

    fn stop(&self) -> bool {
        self.watch.stop()
    }
}

impl Verdict {
    fn row<'py>(&self, py: Python<'py>, shape: [usize; 3]) -> PyResult<Bound<'py, PyDict>> {
        let (row, result) = (PyDict::new(py), &self.result);
        row.set_item("idx", result.idx)?;
        let label = self.input.as_ref().and_then(|input| input.label);
        row.set_item("label", label)?;
        row.set_item("class", result.class)?;
        row.set_item("answer", result.answer)?;
        row.set_item("verdict", result.verdict.name())?;
        let margin = result.margin.filter(|margin| margin.is_finite());
        row.set_item("margin", margin)?;
        row.set_item("by", result.decided_by.as_str())?;
        row.set_item("branches", result.branches)?;
        row.set_item("seconds", result.micros as f64 / 1e6)?;
        let pixels = result.counterexample.as_ref();
        let pixels = pixels.map(|pixels| PyArray1::from_slice(py, pixels).reshape(shape));
        row.set_item("counterexample", pixels.transpose()?)?;
        row.set_item("specification", &self.specification)?;
        row.set_item("statement", &self.statement)?;
        Ok(row)
    }
}

/// Verifies by bounds. `model` is needed but for a folder of VNN-LIB instances.
#[pyfunction]
pub(crate) fn verify<'py>(
    py: Python<'py>,
    model: Option<PathBuf>,
    images: Option<Images<'py>>,
    options: Bound<'py, PyDict>,
    report: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let options = Options(options);
    let usual = VerifyConfig::default();
    let config = VerifyConfig {
        method: (options.chosen("method", &methods())?).unwrap_or(usual.method),
        complete: options.get("complete")?.unwrap_or(false),
        timeout: options.duration("timeout")?,
        weights_within: options.parsed("weights_within")?,
        memory: options.count("memory")?.unwrap_or(usual.memory),
        cells: options.count("cells")?.unwrap_or(usual.cells),
        subset: options.subset()?,
        run: RunConfig {
            threads: options.count("threads")?,
            shard: options.parsed("shard")?,
            ..RunConfig::default()
        },
        ..usual
    };
    config.validate().map_err(raise)?;
    let mut verdicts = Verdicts {
        watch: Watch::new(report),
        shape: [0; 3],
        found: Vec::new(),
    };
    let vnnlib: Option<PathBuf> = options.get("vnnlib")?;
    let outcome = match (vnnlib, model) {
        (Some(path), model) => files(py, &options, &config, (path, model), &mut verdicts)?,
        (None, Some(model)) => {
            let start = (model, images);
            of_images(py, &options, &config, start, &mut verdicts)?
        }
        (None, None) => return Err(refuse("model", "a network is needed")),
    };
    verdicts.watch.end(outcome, &Raised::default())?;
    let rows: Vec<_> = (verdicts.found.iter())
        .map(|verdict| verdict.row(py, verdicts.shape))
        .collect::<PyResult<_>>()?;
    let columns = verdicts.watch.columns(py)?;
    columns.set_item("results", PyList::new(py, rows)?)?;
    Ok(columns)
}

/// Neighbourhoods of images, or what a transformation makes of them.
fn of_images(
    py: Python<'_>,
    options: &Options<'_>,
    config: &VerifyConfig,
    (model, images): (PathBuf, Option<Images<'_>>),
    verdicts: &mut Verdicts,
) -> PyResult<recert::Result<Outcome>> {
    let network = options.network()?;
    let norm = options.chosen("norm", &NORMS)?;
    let epsilon: Option<Epsilon> = options.parsed("eps")?;
    let steps: Option<Transformation> = options.parsed("transform")?;
    if let Some(ledger) = options.get::<PathBuf>("from_ledger")? {
        let how = options.data()?;
        let original: Option<PathBuf> = options.get("original")?;
        let (place, given) = match images {
            Some(Images::Files(data)) => (Some(data), None),
            Some(images) => (None, Some(images.open(py, options)?)),
            None => (None, None),
        };
        return Ok(py.detach(|| {
            let from = Reverification::open(&ledger, norm, epsilon.as_ref())?;
            let data = match given {
                Some(data) => data,
                None => from.data(place.as_deref(), &how)?,
            };
            let network = from.network(&model, &network, &data)?;
            let original = original.map(|path| from.original(&path, &data));
            let original = original.transpose()?;
            from.job(config, &data, &network, original.as_ref())?
                .run(verdicts)
        }));
    }
    let images = images.ok_or_else(|| refuse("images", "images are needed"))?;
    let data = images.open(py, options)?;
    let ledger: Option<PathBuf> = options.get("ledger")?;
    let distance = epsilon.as_ref().map_or(0.0, |eps| eps.up().min(1.0));
    if epsilon.is_none() == steps.is_none() {
        let message = "what is to hold: a distance eps, or a transformation";
        return Err(refuse("eps", message));
    }
    Ok(py.detach(|| {
        let samples = Sampled::new(&data, distance);
        let network = match &ledger {
            Some(ledger) => Network::open_for(ledger, &model, &network, samples)?,
            None => Network::open(&model, &network, samples)?,
        };
        let ledger = ledger.as_deref();
        let job = match (&steps, &epsilon) {
            (Some(steps), _) => job::verify_transformed(ledger, config, steps, &data, &network)?,
            (None, Some(epsilon)) => {
                let specification = (norm.unwrap_or(Norm::Linf), epsilon);
                job::verify(ledger, config, specification, &data, &network)?
            }
            (None, None) => unreachable!("one of them is given"),
        };
        job.run(verdicts)
    }))
}

/// A VNN-LIB file, or a folder of them with their networks.
fn files(
    py: Python<'_>,
    options: &Options<'_>,
    config: &VerifyConfig,
    (path, model): (PathBuf, Option<PathBuf>),
    verdicts: &mut Verdicts,
) -> PyResult<recert::Result<Outcome>> {
    let how = options.network()?;
    let ledger: Option<PathBuf> = options.get("ledger")?;
    let mut groups: Vec<(PathBuf, Vec<VnnlibFile>)> = Vec::new();
    if path.is_dir() {
        for (network, file) in VnnlibFile::of_folder(&path).map_err(raise)? {
            let wanted = model.as_ref();
            if wanted.is_some_and(|model| model.file_name() != network.file_name()) {
                continue;
            }
            match groups.iter_mut().find(|(known, _)| *known == network) {
                Some((_, files)) => files.push(file),
                None => groups.push((network, vec![file])),
            }
        }
        if let (Some(model), [(network, _)]) = (&model, groups.as_mut_slice()) {
            network.clone_from(model);
        }
        if groups.is_empty() {
            let message = format!(
                "{}: its instances.csv lists nothing of that network",
                path.display()
            );
            return Err(refuse("model", &message));
        }
    } else {
        let message = "the network is needed with a VNN-LIB file";
        let model = model.ok_or_else(|| refuse("model", message))?;
        groups.push((model, vec![VnnlibFile::read(&path, None).map_err(raise)?]));
    }
    Ok(py.detach(|| {
        // What is wrong with a network is found before anything runs.
        let mut loaded = Vec::new();
        for (model, files) in groups {
            let image = job::images_of_network(&model)?;
            let network = match &ledger {
                Some(ledger) => Network::open_for(ledger, &model, &how, image)?,
                None => Network::open(&model, &how, image)?,
            };
            loaded.push((network, files, image));
        }
        let jobs = loaded.iter().map(|(network, files, image)| {
            job::verify_files(ledger.as_deref(), config, files.clone(), network, *image)
        });
        for job in jobs.collect::<recert::Result<Vec<_>>>()? {
            if job.run(verdicts)? == Outcome::Stopped {
                return Ok(Outcome::Stopped);
            }
        }
        Ok(Outcome::Finished)
    }))
}

/// Explains proofs by bounds: JSON, a table, and an HTML page where there are to be pictures.
#[pyfunction]
pub(crate) fn explain(
    py: Python<'_>,
    model: PathBuf,
    images: Images<'_>,
    options: Bound<'_, PyDict>,
    report: Option<Py<PyAny>>,
) -> PyResult<(String, String, Option<String>)> {
    let options = Options(options);
    let usual = ExplainConfig::default();
    let config = ExplainConfig {
        method: (options.chosen("method", &explain_methods())?).unwrap_or(usual.method),
        seed: options.count("seed")?.unwrap_or(usual.seed),
        pictures: options.count("pictures")?.unwrap_or(usual.pictures),
        memory: options.count("memory")?.unwrap_or(usual.memory),
        subset: options.subset()?,
        run: RunConfig {
            threads: options.count("threads")?,
            ..RunConfig::default()
        },
        ..usual
    };
    config.validate().map_err(raise)?;
    let epsilon: Epsilon =
        (options.parsed("eps")?).ok_or_else(|| refuse("eps", "eps is needed"))?;
    let norm = options.chosen("norm", &NORMS)?.unwrap_or(Norm::Linf);
    let versus: Option<PathBuf> = options.get("versus")?;
    let how = options.network()?;
    let data = images.open(py, &options)?;
    let mut watch = Watch::new(report);
    let explained = py.detach(|| {
        let load = |model: &PathBuf| {
            let samples = Sampled::new(&data, epsilon.up().min(1.0));
            Network::open(model, &how, samples)
        };
        let network = load(&model)?;
        let versus = versus.as_ref().map(load).transpose()?;
        let specification = (norm, &epsilon);
        job::explain(&config, specification, &data, &network, versus.as_ref())?.run(&mut watch)
    });
    let (explanation, outcome) = match explained {
        Ok(Some(explanation)) => (Some(explanation), Ok(Outcome::Finished)),
        Ok(None) => (None, Ok(Outcome::Stopped)),
        Err(error) => (None, Err(error)),
    };
    watch.end(outcome, &Raised::default())?;
    let explanation = explanation.expect("it was not stopped, and did not fail");
    let width = recert::report::table::Options::default().width;
    let page = (config.pictures > 0).then(|| features::html(&explanation));
    Ok((
        features::json(&explanation).map_err(raise)?,
        features::table(&explanation, width).map_err(raise)?,
        page.transpose().map_err(raise)?,
    ))
}
