//! Reports of ledgers.

use std::path::PathBuf;

use recert_ledger::{Claim, Ledger, Network, Task, hex};
use recert_report::{Method, Report};

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
    report_on(ledgers, title, None, None)
}

/// As [`report`], of the runs alone that `network` and `run` name: a file name, or the
/// beginning of a file's SHA-256; a method, as `irs`, or a method with its goal, as
/// `auto/budget 500 evaluations`; of verifications, a method with what was to hold, as
/// `crown/linf 2/255`. Figures that compare runs are by those that are kept.
///
/// # Errors
/// As [`report`]; [`ErrorKind::Parameter`] where no run is so named.
pub fn report_on(
    ledgers: &[PathBuf],
    title: &str,
    network: Option<&str>,
    run: Option<&str>,
) -> Result<Reported> {
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
    if network.is_some() || run.is_some() {
        keep(&mut report, network, run)?;
    }
    let warnings: Vec<String> = ledgers.iter().filter_map(reporting::seal_note).collect();
    report.notes.splice(0..0, warnings.iter().cloned());
    Ok(Reported { report, warnings })
}

/// Whether a network is named by `words`: its file's name, or eight or more digits that its
/// SHA-256 begins with.
pub(super) fn named(network: &Network, words: &str) -> bool {
    is_named(&network.file, &hex(&network.sha256), words)
}

fn is_named(file: &str, sha256: &str, words: &str) -> bool {
    file == words || words.len() >= 8 && sha256.starts_with(&words.to_ascii_lowercase())
}

/// Whether a run by this claim is named by `words`: its method, or its method and goal.
pub(super) fn chooses_run(claim: &Claim, sigma: f64, words: &str) -> bool {
    let goal = claim.parameters.goal();
    let goal = goal.map(|goal| reporting::reported(goal, sigma).to_string());
    is_run(claim.method(), goal.as_deref(), words)
}

fn is_run(method: &str, goal: Option<&str>, words: &str) -> bool {
    match words.split_once('/') {
        Some((name, rest)) => name == method && goal == Some(rest),
        None => words == method,
    }
}

/// Keeps the runs that are named, and the numbers by which they refer to one another.
fn keep(report: &mut Report, network: Option<&str>, words: Option<&str>) -> Result<()> {
    let kept: Vec<bool> = (report.runs.iter())
        .map(|run| {
            let goal = run.goal.map(|goal| goal.to_string());
            let method = match &run.method {
                Method::Recertify { name, .. } => name.as_str(),
                Method::Certify { until: Some(_), .. } => "until",
                _ if run.baselines.is_none() && run.n0 == 0 => "direct",
                _ => "certify",
            };
            network.is_none_or(|words| is_named(&run.network, &run.network_sha256, words))
                && words.is_none_or(|words| is_run(method, goal.as_deref(), words))
        })
        .collect();
    report.verifications.retain(|one| {
        network.is_none_or(|words| is_named(&one.network, &one.network_sha256, words))
            && words.is_none_or(|words| is_run(&one.method, Some(&one.specification), words))
    });
    if !kept.contains(&true) && report.verifications.is_empty() {
        let message = "the ledgers hold no such network or run";
        return Err(Error::new(ErrorKind::Parameter, message));
    }
    let mut numbers = kept.iter();
    report
        .runs
        .retain(|_| *numbers.next().expect("one per run"));
    for run in &mut report.runs {
        if let Method::Recertify { original, .. } = &mut run.method {
            *original = original.and_then(|before| {
                kept[before].then(|| kept[..before].iter().filter(|kept| **kept).count())
            });
        }
    }
    Ok(())
}
