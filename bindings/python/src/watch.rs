//! What a running job reports, and Ctrl-C.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use numpy::IntoPyArray;
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use recert::job::{Event, Events, Outcome, PassKind, Remark};
use recert::report::cohen::{CohenLog, LogRow};

use crate::callable::Raised;
use crate::errors::{keyword, raise};

/// How often progress is told, at most.
const OFTEN: Duration = Duration::from_millis(100);

/// A row of a table: what was concluded about an input.
struct Row {
    network: usize,
    idx: u32,
    label: i64,
    class: i64,
    radius: f64,
    p_lower: f64,
    evaluations: u64,
    invalid: u64,
    seconds: f64,
}

/// Tells a callable of Python what happens in a job, keeps the rows, and stops the job on Ctrl-C.
pub(crate) struct Watch {
    /// Called with the kind of the event, and what there is to say.
    report: Option<Py<PyAny>>,
    rows: Vec<Row>,
    remarks: Vec<String>,
    evaluations: u64,
    untold: u64,
    told: Instant,
    log: Option<CohenLog>,
    /// The first failure to write to the log, for which the job is stopped.
    unwritten: Option<recert::Error>,
    /// What Python raised meanwhile, for which the job is stopped.
    raised: RefCell<Option<PyErr>>,
}

impl Watch {
    pub(crate) fn new(report: Option<Py<PyAny>>) -> Self {
        Self {
            report,
            rows: Vec::new(),
            remarks: Vec::new(),
            evaluations: 0,
            untold: 0,
            told: Instant::now(),
            log: None,
            unwritten: None,
            raised: RefCell::default(),
        }
    }

    /// The same with a log in Cohen's format, which goes on where it ends.
    pub(crate) fn logging(mut self, log: Option<&Path>) -> PyResult<Self> {
        let log = log.map(CohenLog::open).transpose();
        self.log = log.map_err(raise)?;
        Ok(self)
    }

    /// Tells Python something.
    pub(crate) fn tell<A>(&self, kind: &str, words: A)
    where
        A: for<'py> IntoPyObject<
                'py,
                Target = PyTuple,
                Output = Bound<'py, PyTuple>,
                Error = PyErr,
            >,
    {
        let Some(report) = &self.report else {
            return;
        };
        let told: PyResult<()> = Python::attach(|py| {
            let words = (kind,).into_pyobject(py)?.add(words.into_pyobject(py)?)?;
            report.bind(py).call1(words.cast_into::<PyTuple>()?)?;
            Ok(())
        });
        if let Err(error) = told {
            self.raised.borrow_mut().get_or_insert(error);
        }
    }

    pub(crate) fn remark(&mut self, remark: &Remark) {
        self.say(&remark.to_string(), remark.field().map(keyword));
    }

    /// Something that a person should know, about a keyword.
    pub(crate) fn say(&mut self, words: &str, field: Option<&str>) {
        let words = match field {
            Some(field) => format!("{words} (see {field}=)"),
            None => words.to_owned(),
        };
        self.tell("remark", (words.clone(),));
        self.remarks.push(words);
    }

    fn write(&mut self, row: &LogRow) {
        let written = self.log.as_mut().map(|log| log.append(row));
        if let (Some(Err(why)), None) = (written, &self.unwritten) {
            self.unwritten = Some(why.into());
        }
    }

    fn tell_evaluated(&mut self) {
        let untold = std::mem::take(&mut self.untold);
        self.told = Instant::now();
        self.tell("evaluated", (untold,));
    }

    /// What Python raised, or what the job ended with.
    pub(crate) fn end(
        &mut self,
        outcome: recert::Result<Outcome>,
        raised: &Raised,
    ) -> PyResult<()> {
        if let Some(error) = self.raised.get_mut().take() {
            return Err(error);
        }
        if let Some(error) = self.unwritten.take() {
            return Err(raise(error));
        }
        match outcome.map_err(|error| raised.because(error))? {
            Outcome::Finished => {
                self.remark_on_invalid();
                Ok(())
            }
            // Nothing stops a job but what is raised above.
            Outcome::Stopped => Err(PyKeyboardInterrupt::new_err(())),
        }
    }

    /// What Python raised meanwhile.
    #[cfg(feature = "train")]
    pub(crate) fn raised(&mut self) -> PyResult<()> {
        self.raised.get_mut().take().map_or(Ok(()), Err)
    }

    /// What was said.
    #[cfg(feature = "train")]
    pub(crate) fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// Says of each network how many of its answers are for no class, where any are.
    fn remark_on_invalid(&mut self) {
        let networks: BTreeSet<usize> = self.rows.iter().map(|row| row.network).collect();
        for &network in &networks {
            let rows = self.rows.iter().filter(|row| row.network == network);
            let (invalid, evaluations) = rows.fold((0, 0), |(invalid, evaluations), row| {
                (invalid + row.invalid, evaluations + row.evaluations)
            });
            if invalid == 0 {
                continue;
            }
            let which = match networks.len() {
                1 => "the network".to_owned(),
                _ => format!("network {network}"),
            };
            let words = format!(
                "{which} gave no valid class on {invalid} of {evaluations} samples: logits that are NaN or \
                 infinite, or a class that there is not; each counts against every class"
            );
            self.say(&words, Some("classify"));
        }
    }

    /// The rows as columns, a class or label that there is none of as -1.
    pub(crate) fn columns(self, py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
        let columns = PyDict::new(py);
        macro_rules! column {
            ($($field:ident)*) => {
                $(let column: Vec<_> = self.rows.iter().map(|row| row.$field).collect();
                columns.set_item(stringify!($field), column.into_pyarray(py))?;)*
            };
        }
        column!(network idx label class radius p_lower evaluations invalid seconds);
        let result = PyDict::new(py);
        result.set_item("rows", columns)?;
        result.set_item("remarks", self.remarks)?;
        result.set_item("evaluations", self.evaluations)?;
        Ok(result)
    }
}

impl Events for Watch {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Remark(remark) => self.remark(&remark),
            Event::PassStarted(pass) => {
                let kind = match pass.kind {
                    PassKind::Certify => "certify",
                    PassKind::Predict => "predict",
                    _ => "recertify",
                };
                self.tell("pass", (kind, pass.inputs, pass.networks));
            }
            Event::Started { evaluations, done } => {
                self.tell("started", (evaluations, done));
            }
            Event::Evaluated { evaluations } => {
                self.evaluations += evaluations;
                self.untold += evaluations;
                if self.told.elapsed() >= OFTEN {
                    self.tell_evaluated();
                }
            }
            Event::Concluded {
                networks,
                input,
                row: Some(certificate),
                invalid,
                ..
            } => {
                self.write(&LogRow {
                    idx: input.idx,
                    label: input.label,
                    predict: certificate.class.map(u32::from),
                    radius: certificate.radius,
                    seconds: certificate.micros as f64 / 1e6,
                });
                for &network in networks {
                    self.rows.push(Row {
                        network,
                        idx: input.idx,
                        label: input.label.map_or(-1, i64::from),
                        class: certificate.class.map_or(-1, i64::from),
                        radius: certificate.radius,
                        p_lower: certificate.p_lower.unwrap_or(0.0),
                        evaluations: certificate.evaluations,
                        invalid,
                        seconds: certificate.micros as f64 / 1e6,
                    });
                }
            }
            Event::PassEnded { finished } | Event::VerifyEnded { finished } => {
                self.tell_evaluated();
                self.tell("ended", (finished,));
            }
            Event::ExplainStarted { inputs } => self.tell("started", (inputs, 0)),
            Event::Explained { .. } => self.tell("evaluated", (1,)),
            _ => {}
        }
    }

    /// Python's handlers of signals run here, in the thread that called: Ctrl-C raises.
    fn stop(&self) -> bool {
        #[expect(
            clippy::redundant_closure_for_method_calls,
            reason = "the method alone is not one for every lifetime"
        )]
        let signalled = Python::attach(|py| py.check_signals());
        let mut raised = self.raised.borrow_mut();
        if let Err(error) = signalled {
            raised.get_or_insert(error);
        }
        raised.is_some() || self.unwritten.is_some()
    }
}
