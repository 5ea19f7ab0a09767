//! A test harness for tests with needs that a machine may lack: real data, an installed engine,
//! a privilege.
//!
//! The harness of the standard library can only pass or fail a test at run time, so a
//! test that returns early because its data is missing is counted as passed. In a test
//! program of this crate, a test names what it needs where it is defined, and gets it as
//! an argument. Where that is missing, the test is reported and counted as ignored, with
//! the reason; a line a reason at the end says how many tests were skipped for it.
//!
//! The program sets `harness = false` in its `[[test]]` section and has this `main`:
//!
//! ```no_run
//! fn main() -> std::process::ExitCode {
//!     recert_testing::main()
//! }
//! # use std::path::Path;
//! # use recert_testing::{shared, test};
//!
//! test!(two_and_two_are_four);
//! fn two_and_two_are_four() {
//!     assert_eq!(2 + 2, 4);
//! }
//!
//! test!(there_are_real_networks, needs shared);
//! fn there_are_real_networks(shared: &Path) {
//!     assert!(shared.join("models").is_dir());
//! }
//! ```
//!
//! An ordinary `#[test]` is not compiled in such a program; a test of
//! `crates/recert/tests/architecture.rs` sees that there is none. The arguments are those of
//! the standard harness (`cargo test NAME`, `--skip`, `--exact`, `--list`, `--test-threads`),
//! but for one: it takes a single name to filter by, not several.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use libtest_mimic::{Arguments, Completion, Trial};

#[doc(hidden)]
pub use inventory;

/// Why a test cannot run on this machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Skip(String);

impl Skip {
    /// What is missing, and how to get it, on one line.
    pub fn because(reason: impl std::fmt::Display) -> Self {
        Self(reason.to_string().replace('\n', " "))
    }
}

/// A test, as [`test!`] declares it.
pub struct Test {
    name: String,
    run: Box<dyn FnOnce() -> Result<(), Skip> + Send>,
}

impl Test {
    /// The test `name` (with the path of its module) that `run` performs: it panics if
    /// the test fails.
    pub fn new(name: &str, run: impl FnOnce() -> Result<(), Skip> + Send + 'static) -> Self {
        // Without the program's own name, as the standard harness prints it.
        let name = name.split_once("::").map_or(name, |(_, name)| name);
        Self {
            name: name.to_owned(),
            run: Box::new(run),
        }
    }
}

/// The tests that a declaration adds to its program: one, or one for each of several cases.
pub struct Declared(pub fn() -> Vec<Test>);

inventory::collect!(Declared);

/// Declares a function as a test, and what it needs.
///
/// Each need is a function that returns `Result<T, Skip>`; the test takes references to the
/// values in the same order. See the [crate's documentation](crate) for an example.
#[macro_export]
macro_rules! test {
    ($test:ident $(, needs $($need:path),+)?) => {
        $crate::inventory::submit! {
            $crate::Declared(|| {
                vec![$crate::Test::new(concat!(module_path!(), "::", stringify!($test)), || {
                    $test($($(&$need()?),+)?);
                    Ok(())
                })]
            })
        }
    };
}

/// Whether the program was run with `--nocapture`.
static NOCAPTURE: OnceLock<bool> = OnceLock::new();

/// Whether [`note!`] prints.
pub fn prints_notes() -> bool {
    *NOCAPTURE.get().unwrap_or(&false)
}

/// Prints a line, such as a figure that was measured, where the program was run with
/// `--nocapture`: this harness captures nothing.
#[macro_export]
macro_rules! note {
    ($($part:tt)*) => {
        if $crate::prints_notes() {
            println!($($part)*);
        }
    };
}

/// The folder of real networks and data, `shared` beside the repository: a need of tests.
///
/// # Errors
/// A [`Skip`] where there is no such folder.
pub fn shared() -> Result<PathBuf, Skip> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    if folder.is_dir() {
        return Ok(folder);
    }
    Err(Skip::because(
        "there is no folder of real networks and data beside the repository (../shared)",
    ))
}

/// Runs the declared tests of this program as the arguments of `cargo test` ask.
pub fn main() -> ExitCode {
    let skipped: Arc<Mutex<BTreeMap<Skip, usize>>> = Arc::default();
    let trials = inventory::iter::<Declared>()
        .flat_map(|declared| (declared.0)())
        .map(|test| {
            let skipped = Arc::clone(&skipped);
            Trial::ignorable_test(test.name, move || match (test.run)() {
                Ok(()) => Ok(Completion::Completed),
                Err(skip) => {
                    let completion = Completion::ignored_with(&skip.0);
                    let mut skipped = skipped.lock().unwrap_or_else(PoisonError::into_inner);
                    *skipped.entry(skip).or_default() += 1;
                    Ok(completion)
                }
            })
        });
    let mut trials: Vec<_> = trials.collect();
    // Declarations come in the order of linking.
    trials.sort_by(|a, b| a.name().cmp(b.name()));
    let arguments = Arguments::from_args();
    NOCAPTURE.get_or_init(|| arguments.nocapture);
    let conclusion = libtest_mimic::run(&arguments, trials);
    for (Skip(reason), count) in &*skipped.lock().unwrap_or_else(PoisonError::into_inner) {
        println!("skipped {count}: {reason}");
    }
    conclusion.exit_code()
}
