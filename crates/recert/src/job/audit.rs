//! Checking ledgers: everything derivable derived again, and samples run again.

mod compare;
mod draw;
mod found;
mod rerun;
mod results;
mod specifications;
mod transforms;

use std::path::{Path, PathBuf};

use recert_check::{Report, Unchecked, check_ledger};
use recert_ledger::Ledger;
use serde_json::{Value, json};

pub use found::{Difference, Rerun, RerunNetwork};
pub use rerun::{Auditor, RerunConfig};
pub use results::{ResultDifference, ResultsAgain};

use crate::{Error, Result};

/// What became of checking one ledger.
#[derive(Debug)]
pub struct Checked {
    /// The ledger's file.
    pub ledger: PathBuf,
    /// What was found, or why it could not be checked.
    pub result: Result<Findings>,
}

/// What a check of one ledger found.
#[derive(Debug)]
pub struct Findings {
    /// What was derived, compared, and left unchecked.
    pub report: Report,
    /// What came of running samples again, if that was asked for.
    pub rerun: Option<Rerun>,
}

impl Checked {
    /// [`Findings::wrong`]; 0 where there was no check.
    pub fn wrong(&self) -> usize {
        self.result.as_ref().map_or(0, Findings::wrong)
    }
}

impl Findings {
    /// Violations, samples answered otherwise that are no near ties, and results by bounds that
    /// do not hold.
    pub fn wrong(&self) -> usize {
        let differences = self.rerun.as_ref().map_or(0, |rerun| {
            let results = rerun.results.as_ref();
            rerun.differences.len() + results.map_or(0, |again| again.differences.len())
        });
        self.report.violations.len() + differences
    }

    /// All of it as an object of JSON: the report's fields, `holds`, `rerun` and `missing`
    /// (schema [`recert_check::SCHEMA`]).
    pub fn to_json(&self) -> Value {
        let mut value = json!(self.report);
        value["holds"] = json!(self.wrong() == 0);
        value["rerun"] = json!(self.rerun);
        value["missing"] = json!(self.report.missing().collect::<Vec<_>>());
        value
    }
}

/// Checks ledgers, by code that shares nothing with what made them; with
/// `auditor`, also runs samples of each again.
///
/// # Errors
/// If the auditor has a network that none of the ledgers has. That one ledger
/// cannot be read does not keep others from being checked.
///
/// ```
/// use recert::job::check;
///
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/dots.rs"));
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let ledger = certified(folder.path())?;
/// // Of a ledger with the certificates of two inputs:
/// let checked = check(&[ledger], None)?;
/// let findings = checked[0].result.as_ref().unwrap();
/// assert_eq!((findings.report.certificates(), checked[0].wrong()), (2, 0));
/// # Ok(())
/// # }
/// ```
pub fn check(ledgers: &[PathBuf], auditor: Option<&Auditor>) -> Result<Vec<Checked>> {
    let checked = ledgers.iter().map(|path| Checked {
        ledger: path.clone(),
        result: one(path, auditor),
    });
    let checked: Vec<_> = checked.collect();
    if let Some((field, unused)) = auditor.and_then(Auditor::unused)
        && checked.iter().all(|checked| checked.result.is_ok())
    {
        return Err(Error::parameter(field, unused));
    }
    Ok(checked)
}

fn one(path: &Path, auditor: Option<&Auditor>) -> Result<Findings> {
    let ledger = Ledger::open_read_only(path)?;
    let mut report = check_ledger(&ledger)?;
    let rerun = auditor.map(|auditor| auditor.rerun(&ledger)).transpose()?;
    if let Some(rerun) = &rerun {
        if rerun.batch_dependent {
            report.unchecked.push(Unchecked::BatchDependent);
        }
        if report.unchecked.contains(&Unchecked::Answers) {
            report.unchecked.retain(|item| *item != Unchecked::Answers);
            report.unchecked.push(Unchecked::OtherAnswers {
                rerun: rerun.samples,
                answers: report.answers,
            });
        }
        if let Some(results) = &rerun.results {
            report.unchecked.retain(|item| *item != Unchecked::Bounds);
            report.unchecked.extend(results.unchecked());
        }
        report.unchecked.extend(rerun.unchecked.iter().cloned());
    }
    Ok(Findings { report, rerun })
}
