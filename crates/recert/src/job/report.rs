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
/// ```no_run
/// let reported = recert::job::report(&["net.recert".into()], "Certificates")?;
/// println!("{}", recert::report::json::to_string(&reported.report)?);
/// # Ok::<(), recert::Error>(())
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
