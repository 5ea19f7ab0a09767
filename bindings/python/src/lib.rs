//! The native part of the package `recert`: the jobs of `recert::job`, the bounds and the command
//! line, in Python's values.
//!
//! It decides nothing: what a function takes is checked by the job that it is given to. Python's
//! side (`python/recert`) has the signatures, and turns arrays, modules and callables into what
//! is taken here. While Rust works, the interpreter is free.
//!
//! | file | concern |
//! |---|---|
//! | `errors` | errors as Python's exceptions |
//! | `options` | keywords as configurations |
//! | `given` | images and networks |
//! | `callable` | a classifier that answers from Python |
//! | `answerer` | one that makes its noise there, too; the host's noise for it |
//! | `watch` | what a running job reports, and Ctrl-C |
//! | `runs`, `verify`, `reading` | jobs with noise, jobs by bounds, and what reads ledgers |
//! | `making`, `search` | what makes networks, and looks for versions of them |
//! | `bounds` | bounds on arrays |
//! | `program` | the command line |

#![forbid(unsafe_code)]

mod answerer;
mod bounds;
mod callable;
mod errors;
mod given;
mod making;
mod options;
mod program;
mod reading;
mod runs;
mod search;
mod verify;
mod watch;

/// The module `recert._recert`.
#[pyo3::pymodule]
mod _recert {
    #[pymodule_export]
    use crate::answerer::{HostNoise, selection};
    #[pymodule_export]
    use crate::bounds::{bound, cells, joint_upper, prediction};
    #[pymodule_export]
    use crate::making::{approximate, train};
    #[pymodule_export]
    use crate::program::main;
    #[pymodule_export]
    use crate::reading::{check, counts, ledger, merge, report};
    #[pymodule_export]
    use crate::runs::{certify, classes_of, plan, predict, recertify};
    #[pymodule_export]
    use crate::search::{sensitivity, tune};
    #[pymodule_export]
    use crate::verify::{explain, verify};

    #[pymodule_export]
    #[allow(non_upper_case_globals, reason = "Python's name for it")]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
