//! What reads ledgers: their contents, checks, reports; and merging them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use numpy::{IntoPyArray, PyArray1, PyArray2, PyArrayMethods};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use recert::job::{self, Auditor, RerunConfig};
use recert::ledger::{Certificate, Claim, INVALID, Input, Ledger, NetworkId, Series, Stream, hex};
use recert::report::{html, json, table};
use serde_json::{Value, json};

use crate::callable::Raised;
use crate::errors::{raise, refuse};
use crate::given::{Classify, Images};
use crate::options::Options;

/// Checks ledgers, and with `rerun` runs samples of them again: as JSON, what was found in each.
#[pyfunction]
pub(crate) fn check(
    py: Python<'_>,
    ledgers: Vec<PathBuf>,
    networks: Vec<Classify>,
    images: Option<Images<'_>>,
    options: Bound<'_, PyDict>,
) -> PyResult<String> {
    let options = Options(options);
    let (mut models, mut callables) = (Vec::new(), Vec::new());
    for network in networks {
        match network {
            Classify::File(path) => models.push(path),
            Classify::Callable(given) => callables.push(given),
        }
    }
    let (data, memory) = match images {
        Some(Images::Files(data)) => (Some(data), None),
        Some(images) => (None, Some(images.open(py, &options)?)),
        None => (None, None),
    };
    let raised = Raised::default();
    let auditor = match options.count("rerun")? {
        None => None,
        Some(samples) => {
            let config = RerunConfig {
                samples,
                seed: options.count("seed")?,
                models,
                exports: options.get("exports")?.unwrap_or_default(),
                vnnlib: options.several("vnnlib")?,
                engine: options.get("engine")?,
                data,
                options: options.data()?,
            };
            let mut auditor = Auditor::new(config).map_err(raise)?;
            if !callables.is_empty() {
                let shape = memory.as_ref().map(job::Data::shape);
                let message = "callables are run again on images that are given as arrays";
                let shape = shape.ok_or_else(|| refuse("images", message))?;
                for given in callables {
                    auditor = auditor.with_network(given.network(shape, &raised)?);
                }
            }
            Some(match memory {
                Some(data) => auditor.with_data(data),
                None => auditor,
            })
        }
    };
    let checked = py.detach(move || job::check(&ledgers, auditor.as_ref()));
    let checked = checked.map_err(|error| raised.because(error))?;
    let mut found = Vec::new();
    for checked in checked {
        let found_here = checked.result.map_err(|error| raised.because(error))?;
        let mut value = found_here.to_json();
        value["wrong"] = json!(found_here.wrong());
        found.push(value);
    }
    Ok(Value::from(found).to_string())
}

/// Reports on ledgers: JSON, a table, an HTML page where one is wanted, and warnings.
#[pyfunction]
pub(crate) fn report(
    py: Python<'_>,
    ledgers: Vec<PathBuf>,
    with_page: bool,
    options: Bound<'_, PyDict>,
) -> PyResult<(String, String, Option<String>, Vec<String>)> {
    let options = Options(options);
    let radii: Option<Vec<f64>> = options.get("radii")?;
    let wrong = |r: &f64| !(r.is_finite() && *r >= 0.0);
    if radii.as_ref().is_some_and(|radii| radii.iter().any(wrong)) {
        return Err(refuse("radii", "radii must be numbers from 0 on"));
    }
    let title: String = options.need("title")?;
    let (network, run): (Option<String>, Option<String>) =
        (options.get("network")?, options.get("run")?);
    let reported = py.detach(|| {
        let (network, run) = (network.as_deref(), run.as_deref());
        job::report_on(&ledgers, &title, network, run)
    });
    let reported = reported.map_err(raise)?;
    let mut as_table = table::Options::default();
    as_table.radii.clone_from(&radii);
    as_table.brief = options.get("brief")?.unwrap_or(false);
    let mut as_page = html::Options::default();
    as_page.radii.clone_from(&radii);
    let page = with_page.then(|| html::render(&reported.report, &as_page));
    Ok((
        json::to_string(&reported.report, radii.as_deref()).map_err(raise)?,
        table::render(&reported.report, &as_table).map_err(raise)?,
        page.transpose().map_err(raise)?,
        reported.warnings,
    ))
}

/// Unites ledgers in the one at `out`, and returns what is missing from it, in words.
#[pyfunction]
pub(crate) fn merge(
    py: Python<'_>,
    out: PathBuf,
    ledgers: Vec<PathBuf>,
    partial: bool,
) -> PyResult<Vec<String>> {
    let merged = py.detach(|| job::merge(&out, &ledgers, partial));
    Ok(merged.map_err(raise)?.lacking)
}

/// What a ledger holds: JSON of the run, its networks, claims and verifications, and columns of
/// inputs and certificates.
#[pyfunction]
pub(crate) fn ledger(
    py: Python<'_>,
    path: PathBuf,
) -> PyResult<(String, Bound<'_, PyDict>, Bound<'_, PyDict>)> {
    let held = py.detach(|| Held::read(&path)).map_err(raise)?;
    let labels: BTreeMap<u32, i64> = (held.inputs.iter())
        .map(|input| (input.idx, input.label.map_or(-1, i64::from)))
        .collect();
    let inputs = PyDict::new(py);
    let of_inputs = held.inputs.iter();
    let (idx, label): (Vec<u32>, Vec<i64>) = of_inputs
        .clone()
        .map(|input| (input.idx, labels[&input.idx]))
        .unzip();
    inputs.set_item("idx", idx.into_pyarray(py))?;
    inputs.set_item("label", label.into_pyarray(py))?;
    let sha256 = of_inputs.clone().map(|input| hex(&input.sha256));
    inputs.set_item("sha256", PyList::new(py, sha256.collect::<Vec<_>>())?)?;
    let name = of_inputs.map(|input| input.name.as_deref());
    inputs.set_item("name", PyList::new(py, name.collect::<Vec<_>>())?)?;

    let certificates = PyDict::new(py);
    let all = &held.certificates;
    macro_rules! column {
        ($name:literal, $value:expr) => {
            let column: Vec<_> = all.iter().map($value).collect();
            certificates.set_item($name, column.into_pyarray(py))?;
        };
    }
    column!("claim", |(claim, _)| *claim as u64);
    column!("idx", |(_, one)| one.idx);
    column!("label", |(_, one)| labels
        .get(&one.idx)
        .copied()
        .unwrap_or(-1));
    column!("class", |(_, one)| one.class.map_or(-1, i64::from));
    column!("radius", |(_, one)| one.radius);
    column!("p_lower", |(_, one)| one.p_lower.unwrap_or(0.0));
    column!("evaluations", |(_, one)| one.evaluations);
    column!("seconds", |(_, one)| one.micros as f64 / 1e6);
    let bounds = all.iter().map(|(_, one)| one.bound.as_deref());
    certificates.set_item("bound", PyList::new(py, bounds.collect::<Vec<_>>())?)?;
    Ok((held.about.to_string(), inputs, certificates))
}

struct Held {
    about: Value,
    inputs: Vec<Input>,
    /// Certificates, with the position of their claim.
    certificates: Vec<(usize, Certificate)>,
}

impl Held {
    fn read(path: &std::path::Path) -> Result<Self, recert::ledger::Error> {
        let ledger = Ledger::open_read_only(path)?;
        let header = ledger.header();
        let networks = ledger.networks()?;
        let (mut claims, mut certificates) = (Vec::new(), Vec::new());
        for (number, (id, _)) in networks.iter().enumerate() {
            let of_network = ledger.claims(*id)?;
            let first = claims.len();
            claims.extend(of_network.iter().map(|claim| as_json(number, claim)));
            for certificate in ledger.certificates(*id)? {
                let claim = of_network.iter().position(|c| *c == *certificate.claim);
                let claim = first + claim.expect("a certificate's claim is its network's");
                certificates.push((claim, certificate));
            }
        }
        let verifications = ledger.verifications()?.into_iter();
        let verifications = verifications.map(|(id, network, verification)| {
            let results = ledger.results(id)?;
            let results = results.iter().map(|result| {
                json!({
                    "idx": result.idx,
                    "class": result.class,
                    "answer": result.answer,
                    "verdict": result.verdict.name(),
                    "margin": result.margin.filter(|margin| margin.is_finite()),
                    "by": result.decided_by,
                    "seconds": result.micros as f64 / 1e6,
                })
            });
            Ok(json!({
                "network": networks.iter().position(|(id, _)| *id == network),
                "specification": verification.specification.to_string(),
                "method": verification.method,
                "statement": verification.statement,
                "results": results.collect::<Vec<_>>(),
            }))
        });
        let verifications: Result<Vec<_>, recert::ledger::Error> = verifications.collect();
        let sampled = !ledger.is_without_noise();
        let run = sampled.then(|| {
            json!({
                "sigma": header.sigma,
                "n0": header.n0,
                "n": header.n,
                "alpha": header.alpha,
                "noise": header.generator,
                "seed": header.seed,
            })
        });
        let networks = networks.iter().map(|(_, network)| {
            json!({
                "name": network.file,
                "sha256": hex(&network.sha256),
                "bytes": network.bytes,
                "engine": network.engine.name,
                "version": network.engine.version,
                "arithmetic": network.engine.arithmetic,
                "batch_invariant": network.batch_invariant,
                "preprocessing": network.preprocess,
                "output": network.output,
                "classes": network.classes,
                "note": network.note,
            })
        });
        Ok(Self {
            about: json!({
                "task": header.task.name(),
                "data": header.data,
                "shape": header.shape,
                "run": run,
                "networks": networks.collect::<Vec<_>>(),
                "claims": claims,
                "verifications": verifications?,
            }),
            inputs: ledger.inputs()?,
            certificates,
        })
    }
}

fn as_json(network: usize, claim: &Claim) -> Value {
    let parameters: BTreeMap<_, _> = claim.parameters.entries().into_iter().collect();
    json!({
        "network": network,
        "method": claim.method(),
        "samples": claim.samples,
        "alpha": claim.alpha,
        "parameters": parameters,
        "statement": claim.statement.as_str(),
    })
}

/// How a network of a ledger answered its inputs: their positions, `[inputs, classes]` counts of
/// estimation samples, and of those with no valid answer.
#[pyfunction]
#[expect(clippy::type_complexity, reason = "three arrays")]
pub(crate) fn counts(
    py: Python<'_>,
    path: PathBuf,
    network: usize,
) -> PyResult<(
    Bound<'_, PyArray1<u32>>,
    Bound<'_, PyArray2<u64>>,
    Bound<'_, PyArray1<u64>>,
)> {
    let counted = py.detach(|| -> Result<_, recert::ledger::Error> {
        let ledger = Ledger::open_read_only(&path)?;
        let classes = ledger.header().network.classes as usize;
        let Some(&(id, _)) = ledger.networks()?.get(network) else {
            return Ok(None);
        };
        let (mut idx, mut counts, mut invalid) = (Vec::new(), Vec::new(), Vec::new());
        for input in ledger.inputs()? {
            let (row, none) = of_input(&ledger, id, input.idx, classes)?;
            idx.push(input.idx);
            counts.extend(row);
            invalid.push(none);
        }
        Ok(Some((idx, counts, invalid, classes)))
    });
    let counted = counted.map_err(raise)?;
    let message = format!("the ledger has no network {network}");
    let (idx, counts, invalid, classes) = counted.ok_or_else(|| refuse("network", &message))?;
    let counts = counts.into_pyarray(py).reshape([idx.len(), classes])?;
    Ok((idx.into_pyarray(py), counts, invalid.into_pyarray(py)))
}

/// The answers of a network on an input's estimation samples: by class, and invalid ones.
fn of_input(
    ledger: &Ledger,
    network: NetworkId,
    idx: u32,
    classes: usize,
) -> Result<(Vec<u64>, u64), recert::ledger::Error> {
    let stream = recert::noise::Stream::Certify;
    let series = Series {
        network,
        idx,
        stream: Stream(stream.tag()),
    };
    let (mut row, mut invalid) = (vec![0; classes], 0);
    for samples in ledger.answered(series)? {
        for class in ledger.answers_in(series, samples)?.0.classes {
            match row.get_mut(usize::from(class)) {
                Some(count) if class != INVALID => *count += 1,
                _ => invalid += 1,
            }
        }
    }
    Ok((row, invalid))
}
