//! A network that makes its noise where it is, asked from here: requests go to Python as plain data,
//! and codes come back.

use std::sync::Arc;

use numpy::{PyArray1, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2, PyReadwriteArray2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use recert::engine::{Answers, Class, ImageShape};
use recert::ledger::INVALID;
use recert::noise::{IntegerNoise, Law, Stream};
use recert::num::Sigma;
use recert::smooth::noise_sigma;
use recert::smooth::run::{
    Action, Answerer, Assignment, Failure, Noise, NoiseParameters, Output, Request, Samples, select,
};

use crate::callable::Raised;
use crate::errors::raise;

/// A callable from a request, pixels and the size of a batch to codes: `recert._device` has one.
pub(crate) struct Asked {
    pub(crate) function: Arc<Py<PyAny>>,
    pub(crate) image: ImageShape,
    pub(crate) raised: Raised,
}

impl Answerer for Asked {
    fn image_len(&self) -> usize {
        self.image.len()
    }

    fn answer(
        &mut self,
        request: &Request,
        pixels: &[f32],
        batch: usize,
    ) -> Result<Output, Failure> {
        Python::attach(|py| {
            let answer = || -> PyResult<Output> {
                let ImageShape {
                    channels,
                    height,
                    width,
                } = self.image;
                let pixels = PyArray1::from_slice(py, pixels);
                let pixels = pixels.reshape([channels, height, width])?;
                let given = (plain(py, request)?, pixels, batch);
                output(&self.function.bind(py).call1(given)?)
            };
            answer().map_err(|error| recert::smooth::Error::from(self.raised.keep(error)).into())
        })
    }
}

/// The request as a dictionary of numbers, strings and lists.
fn plain<'py>(py: Python<'py>, request: &Request) -> PyResult<Bound<'py, PyDict>> {
    let Request {
        id,
        noise,
        stream,
        input,
        sha256,
        assignments,
    } = request;
    let [
        Assignment {
            samples, action, ..
        },
    ] = assignments.as_slice()
    else {
        unreachable!("one network is asked at a time");
    };
    let dict = PyDict::new(py);
    dict.set_item("id", id)?;
    dict.set_item("generator", &noise.generator)?;
    dict.set_item("seed", noise.seed)?;
    dict.set_item("sigma", noise.sigma)?;
    dict.set_item("stream", stream.tag())?;
    dict.set_item("input", input)?;
    dict.set_item("sha256", recert::ledger::hex(sha256))?;
    dict.set_item("samples", Vec::<[u32; 2]>::from(samples.clone()))?;
    let (kind, margins) = match action {
        Action::Select { margins } => ("select", margins.into_pyobject(py)?.to_owned().into_any()),
        Action::Answer { margins } => {
            let edges = margins.as_ref().map(|m| (m.class, m.edges.clone()));
            ("answer", edges.into_pyobject(py)?.into_any())
        }
    };
    dict.set_item("action", kind)?;
    dict.set_item("margins", margins)?;
    Ok(dict)
}

/// What the callable answered; whether that fits is for the coordinator to see.
fn output(answer: &Bound<'_, PyAny>) -> PyResult<Output> {
    let item = |name: &str| answer.get_item(name);
    let micros = item("micros")?.extract()?;
    if answer.contains("counts")? {
        return Ok(Output::Selected {
            counts: item("counts")?.extract()?,
            invalid: item("invalid")?.extract()?,
            edges: item("edges")?.extract()?,
            micros,
        });
    }
    let classes: PyReadonlyArray1<'_, u16> = item("classes")?.extract()?;
    let margins: Option<PyReadonlyArray1<'_, u8>> = item("margins")?.extract()?;
    Ok(Output::Answered {
        classes: classes.to_vec()?,
        margins: margins.map(|margins| margins.to_vec()).transpose()?,
        micros,
    })
}

/// The counts, the number of invalid answers, and margin edges that selection samples give, of
/// whose answers these are the logits, or the classes with -1 for none.
#[pyfunction]
pub(crate) fn selection<'py>(
    answers: &Bound<'py, PyAny>,
    margins: bool,
) -> PyResult<(Bound<'py, PyDict>, u64, Option<Vec<f32>>)> {
    let py = answers.py();
    let answers = if let Ok(classes) = answers.extract::<PyReadonlyArray1<'_, i64>>() {
        let class = |&class: &i64| Class::try_from(class).ok().filter(|&c| c != INVALID);
        Answers::Classes(classes.as_slice()?.iter().map(class).collect())
    } else {
        let logits: PyReadonlyArray2<'_, f32> = answers.extract()?;
        Answers::Logits {
            classes: logits.as_array().ncols(),
            values: logits.as_slice()?.to_vec(),
        }
    };
    let selected = select(&[answers], margins);
    let counts = PyDict::new(py);
    for (class, count) in selected.counts {
        counts.set_item(class, count)?;
    }
    Ok((counts, selected.invalid, selected.edges))
}

/// The noise of a run, made by the host.
#[pyclass(frozen, name = "Noise")]
pub(crate) struct HostNoise {
    noise: Noise,
    law: Law,
    parameters: NoiseParameters,
}

#[pymethods]
impl HostNoise {
    #[new]
    fn new(generator: String, seed: u64, sigma: f64) -> PyResult<Self> {
        let law = Law::of_generator(&generator).map_err(refused)?;
        let parameters = NoiseParameters {
            generator,
            seed,
            sigma,
        };
        Ok(Self {
            noise: Noise::new(&parameters).map_err(raise)?,
            law,
            parameters,
        })
    }

    /// Whether it is on whole grey levels.
    #[getter]
    fn is_integer(&self) -> bool {
        self.law == Law::Integer
    }

    /// The float32 that Gaussian noise is scaled by.
    fn scale(&self) -> PyResult<f32> {
        let sigma = Sigma::new(self.parameters.sigma).map_err(refused)?;
        noise_sigma(sigma).map_err(raise)
    }

    /// The leading 31 bits of the thresholds of the law of integer noise, ascending.
    fn table<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<i64>>> {
        let noise = IntegerNoise::new(self.parameters.seed, self.parameters.sigma);
        let noise = noise.map_err(refused)?;
        let leading = noise.thresholds().iter().rev().map(|&q| (q >> 96) as i64);
        Ok(PyArray1::from_vec(py, leading.collect()))
    }

    /// Writes noisy samples of an input into the rows of `out`. `ranges` are of samples,
    /// ascending.
    fn fill(
        &self,
        py: Python<'_>,
        stream: u32,
        input: u32,
        ranges: Vec<[u32; 2]>,
        pixels: PyReadonlyArray1<'_, f32>,
        mut out: PyReadwriteArray2<'_, f32>,
    ) -> PyResult<()> {
        let stream = Stream::from_tag(stream)
            .ok_or_else(|| PyValueError::new_err(format!("there is no stream {stream}")))?;
        let samples = Samples::try_from(ranges).map_err(PyValueError::new_err)?;
        let (count, len) = (out.as_array().nrows(), out.as_array().ncols());
        let pixels = pixels.as_slice()?;
        if samples.len() != count as u64 || pixels.len() != len {
            let message = format!(
                "{} samples of an image of {} values do not fit an array of {count} by {len}",
                samples.len(),
                pixels.len(),
            );
            return Err(PyValueError::new_err(message));
        }
        let out = out.as_slice_mut()?;
        py.detach(|| self.noise.samples(stream, input, &samples, pixels, out))
            .map_err(raise)
    }
}

fn refused(error: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(error.to_string())
}
