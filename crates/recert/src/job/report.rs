//! Reports of ledgers.

use std::path::PathBuf;

use recert_ledger::{Ledger, Task};
use recert_report::Report;

use crate::{Error, ErrorKind, Result, reporting};

/// A report, and what to be warned of before it is believed.
#[derive(Debug)]
pub struct Reported {
    /// The report; the warnings are among its notes.
    pub report: Report,
    /// Ledgers whose rows are not those that were sealed.
    pub warnings: Vec<String>,
}

/// A report of what ledgers hold, in their order.
///
/// # Errors
/// [`ErrorKind::Parameter`] for a ledger of predictions, which have no radii;
/// whatever reading a ledger fails with.
///
/// ```
/// use recert::job::report;
/// use recert::report::table;
///
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/dots.rs"));
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let ledger = certified(folder.path())?;
/// // Of a ledger with the certificates of two inputs:
/// let reported = report(&[ledger], "Certificates")?;
/// assert_eq!(reported.report.runs[0].rows.len(), 2);
/// println!("{}", table::render(&reported.report, &table::Options::default())?);
/// # Ok(())
/// # }
/// ```
pub fn report(ledgers: &[PathBuf], title: &str) -> Result<Reported> {
    let ledgers = ledgers.iter().map(|path| Ledger::open_read_only(path));
    let ledgers = ledgers.collect::<Result<Vec<_>, _>>()?;
    if let Some(predictions) = ledgers.iter().find(|l| l.header().task == Task::Predict) {
        let message = format!(
            "{} holds predictions, which have no radii to report",
            predictions.path().display(),
        );
        return Err(Error::new(ErrorKind::Parameter, message));
    }
    let generated = format!("made by recert {}", env!("CARGO_PKG_VERSION"));
    let mut report = reporting::from_ledgers(&ledgers, title, &generated)?;
    let warnings: Vec<String> = ledgers.iter().filter_map(reporting::seal_note).collect();
    report.notes.splice(0..0, warnings.iter().cloned());
    Ok(Reported { report, warnings })
}
