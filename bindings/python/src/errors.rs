//! Errors as Python's exceptions, with the words of the library.

use pyo3::prelude::*;
use recert::{Error, ErrorKind, Field};

/// The kind's name, which `recert._errors` has a class for.
fn name(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Parameter => "parameter",
        ErrorKind::Input => "input",
        ErrorKind::Ledger => "ledger",
        ErrorKind::Engine => "engine",
        ErrorKind::Workers => "workers",
        ErrorKind::Output => "output",
        _ => "other",
    }
}

/// The keyword that a field is, which has its name but where Python's functions have another.
pub(crate) fn keyword(field: Field) -> &'static str {
    match field {
        Field::Data => "images",
        Field::Export => "exports",
        Field::Model => "classify",
        field => field.name(),
    }
}

/// The exception of a kind, about a keyword where there is one.
fn exception(py: Python<'_>, kind: ErrorKind, field: Option<&str>, message: &str) -> PyErr {
    let made = py
        .import("recert._errors")
        .and_then(|module| module.call_method1("make", (name(kind), field, message)));
    made.map_or_else(|error| error, PyErr::from_value)
}

/// The exception for a library's error.
pub(crate) fn raise(error: impl Into<Error>) -> PyErr {
    let error = error.into();
    let field = error.field().map(keyword);
    Python::attach(|py| exception(py, error.kind(), field, &error.to_string()))
}

/// The exception for what this build of the package lacks.
#[cfg(not(feature = "train"))]
pub(crate) fn lacking(message: &str) -> PyErr {
    Python::attach(|py| exception(py, ErrorKind::Other, None, message))
}

/// The exception for a keyword that cannot be what it is.
pub(crate) fn refuse(keyword: &str, message: &str) -> PyErr {
    Python::attach(|py| exception(py, ErrorKind::Parameter, Some(keyword), message))
}
