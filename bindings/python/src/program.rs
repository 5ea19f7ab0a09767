//! The command line, in this process.

use std::ffi::OsString;

use pyo3::prelude::*;

use crate::options::apart;

/// Runs the command line `words`, of which the first is the program's name, and returns the exit
/// code. It takes over Ctrl-C and termination signals of the process.
#[pyfunction]
pub(crate) fn main(py: Python<'_>, words: Vec<OsString>) -> PyResult<u8> {
    let again = apart(py)?;
    Ok(py.detach(|| recert_cli::run(words, again)))
}
