//! A classifier that answers from Python.

use std::sync::{Arc, Mutex, PoisonError};

use numpy::{PyArray1, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::exceptions::{PyException, PyValueError};
use pyo3::prelude::*;
use recert::engine::{
    Answers, Arithmetic, Class, Classifier, EngineIdentity, Error, ErrorKind, ImageShape,
};
use recert::job::{ClassifierIdentity, Network};

use crate::answerer::Asked;
use crate::errors::{raise, refuse};

/// A callable, made ready by `recert._classify`: from an array `[batch, channels, height, width]`
/// of float32 to an array of classes in int64 or of logits in float32.
#[derive(FromPyObject)]
pub(crate) struct Given {
    function: Py<PyAny>,
    num_classes: Option<usize>,
    name: String,
    sha256: Vec<u8>,
    bytes: u64,
    engine: String,
    version: String,
    arithmetic: String,
    batch_invariant: bool,
    deterministic: bool,
    note: Option<String>,
    /// What answers requests where the network is, if noise is to be made there.
    answer: Option<Py<PyAny>>,
}

/// The first exception that a callable raised.
#[derive(Debug, Clone, Default)]
pub(crate) struct Raised(Arc<Mutex<Option<PyErr>>>);

impl Raised {
    /// Keeps an exception, and returns the engine's error for it.
    pub(crate) fn keep(&self, error: PyErr) -> Error {
        let message = format!("the callable failed: {error}");
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get_or_insert(error);
        Error::external(ErrorKind::Run, message, None)
    }

    /// What to raise where a job failed with `error`: that comes of the exception here, if there
    /// is one.
    pub(crate) fn because(&self, error: recert::Error) -> PyErr {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        Python::attach(|py| match kept {
            Some(cause) if !cause.is_instance_of::<PyException>(py) => cause,
            cause => {
                let error = raise(error);
                if cause.is_some() {
                    error.set_cause(py, cause);
                }
                error
            }
        })
    }
}

impl Given {
    /// The network, for images of a shape: it is asked once, for what kind of answers it gives.
    pub(crate) fn network(self, image: ImageShape, raised: &Raised) -> PyResult<Network> {
        let sha256 = <[u8; 32]>::try_from(self.sha256);
        let sha256 = sha256.map_err(|_| refuse("id", "a SHA-256 has 32 bytes"))?;
        let mut arithmetic = Arithmetic::from(self.arithmetic.as_str());
        arithmetic.deterministic = self.deterministic;
        let identity = ClassifierIdentity {
            name: self.name,
            sha256,
            bytes: self.bytes,
            computed: EngineIdentity {
                name: self.engine,
                version: self.version,
                arithmetic,
                batch_invariant: self.batch_invariant,
            },
            note: self.note,
        };
        let given = self.num_classes;
        let function = self.function;
        let kind = Python::attach(|py| {
            let grey = vec![GREY; image.len()];
            let answer = ask(py, &function, image, &grey);
            let answer = answer.map_err(|error| raised.because(raised.keep(error).into()))?;
            answer.kind(given)
        })?;
        let shared = Arc::new(Shared {
            function,
            kind,
            image,
            raised: raised.clone(),
            turn: Mutex::new(()),
        });
        let make = move || Box::new(Callable(Arc::clone(&shared))) as Box<dyn Classifier>;
        let network = Network::from_classifier(identity, image, make).map_err(raise)?;
        let Some(function) = self.answer else {
            return Ok(network);
        };
        let (function, raised) = (Arc::new(function), raised.clone());
        Ok(network.answering(move || {
            Box::new(Asked {
                function: Arc::clone(&function),
                image,
                raised: raised.clone(),
            })
        }))
    }
}

/// The pixels of the image that a callable is asked about first.
const GREY: f32 = 0.5;

/// What answers a callable gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Classes, of so many.
    Classes(usize),
    /// So many logits.
    Logits(usize),
}

/// The answers to a batch.
enum Answer<'py> {
    Classes(PyReadonlyArray1<'py, i64>),
    Logits(PyReadonlyArray2<'py, f32>),
}

impl Answer<'_> {
    /// Their kind, where a number of classes may be given.
    fn kind(&self, classes: Option<usize>) -> PyResult<Kind> {
        match (self, classes) {
            (Self::Classes(_), Some(classes)) => Ok(Kind::Classes(classes)),
            (Self::Classes(_), None) => {
                let message = "the callable answers with classes: say how many there are";
                Err(refuse("num_classes", message))
            }
            (Self::Logits(logits), classes) => {
                let found = logits.shape()[1];
                if classes.is_none_or(|classes| classes == found) {
                    return Ok(Kind::Logits(found));
                }
                let message = format!("the callable answers with {found} logits an image");
                Err(refuse("num_classes", &message))
            }
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Classes(classes) => classes.len(),
            Self::Logits(logits) => logits.shape()[0],
        }
    }
}

/// The answers of `function` to images, as many as it was asked about.
fn ask<'py>(
    py: Python<'py>,
    function: &Py<PyAny>,
    image: ImageShape,
    images: &[f32],
) -> PyResult<Answer<'py>> {
    let ImageShape {
        channels,
        height,
        width,
    } = image;
    let count = images.len() / image.len();
    // The callable may keep its batch, so that is its own.
    let batch = PyArray1::from_slice(py, images);
    let batch = batch.reshape([count, channels, height, width])?;
    let answers = function.bind(py).call1((batch,))?;
    let answer = match answers.extract() {
        Ok(classes) => Answer::Classes(classes),
        Err(_) => Answer::Logits(answers.extract()?),
    };
    if answer.len() == count {
        return Ok(answer);
    }
    let message = format!(
        "{count} images were asked about, and {} answered",
        answer.len()
    );
    Err(PyValueError::new_err(message))
}

/// What the workers of a callable have in common.
struct Shared {
    function: Py<PyAny>,
    kind: Kind,
    image: ImageShape,
    raised: Raised,
    /// A callable is called by one worker at a time, as nobody promises that it may be otherwise;
    /// the others make noise meanwhile.
    turn: Mutex<()>,
}

struct Callable(Arc<Shared>);

impl Classifier for Callable {
    fn classes(&self) -> usize {
        match self.0.kind {
            Kind::Classes(classes) | Kind::Logits(classes) => classes,
        }
    }

    fn image_len(&self) -> usize {
        self.0.image.len()
    }

    fn classify(&mut self, images: &[f32]) -> Result<Answers, Error> {
        let shared = &*self.0;
        // Whoever waits for the turn does not hold the interpreter.
        let _turn = shared.turn.lock().unwrap_or_else(PoisonError::into_inner);
        Python::attach(|py| {
            let answers = shared.answers(py, images);
            answers.map_err(|error| shared.raised.keep(error))
        })
    }
}

impl Shared {
    fn answers(&self, py: Python<'_>, images: &[f32]) -> PyResult<Answers> {
        let answer = ask(py, &self.function, self.image, images)?;
        match (answer, self.kind) {
            (Answer::Classes(answered), Kind::Classes(classes)) => {
                let class = |&class: &i64| {
                    let class = usize::try_from(class).ok();
                    let class = class.filter(|&class| class < classes);
                    class.and_then(|class| Class::try_from(class).ok())
                };
                let answered = answered.as_slice()?.iter().map(class);
                Ok(Answers::Classes(answered.collect()))
            }
            (Answer::Logits(logits), Kind::Logits(classes))
                if logits.shape()[1] == classes && logits.is_c_contiguous() =>
            {
                Ok(Answers::Logits {
                    classes,
                    values: logits.as_slice()?.to_vec(),
                })
            }
            _ => {
                let message = "the callable changed the kind of its answers from call to call";
                Err(PyValueError::new_err(message))
            }
        }
    }
}
