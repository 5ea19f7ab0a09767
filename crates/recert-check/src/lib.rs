//! Independent re-verification of a ledger.
//!
//! [`check`] reads a ledger and takes nothing on trust that it can derive. It checks that the
//! file is a ledger of its version, that every row is valid, and that every blob decodes. For
//! every certificate it counts the answers again, splits alpha again, computes the bounds, the
//! radius and the statement, and compares all of it with what is stored. It shares no code
//! with what makes certificates, except for the format on disk (`recert-ledger`) and the
//! numbers (`recert-num`); a test keeps it so. `docs/checking.md` states what a check proves
//! and what it does not.
//!
//! The checker knows no network, no engine, no noise and no data. That the recorded answers
//! are the network's own, on the recorded noise, only running the network again can show.
//!
//! | file | concern |
//! |---|---|
//! | `report` | the report of a check |
//! | `unchecked` | what a check leaves unchecked |
//! | `fields` | reading a row without assuming that it is valid |
//! | `tables` | run, networks, inputs, selections |
//! | `answers` | blobs, and one network's answers on one input |
//! | `noise` | the charge that the law of the noise makes to alpha |
//! | `claim` | methods with their shares of alpha |
//! | `claim/` | what the user requested, what a claim must be, and comparing it |
//! | `derived` | what a certificate is derived from, and the derived certificate |
//! | `free` | the free parameters of a certificate |
//! | `certificate` | comparing stored certificates with derived ones |
//! | `method/` | deriving certificates, one family of methods a file |
//! | `arithmetic/` | the checker's own arithmetic |

#![forbid(unsafe_code)]

mod answers;
mod arithmetic;
mod certificate;
mod claim;
mod derived;
mod fields;
mod free;
mod method;
mod noise;
mod report;
mod tables;
mod unchecked;

use std::path::Path;

use recert_ledger::raw::Table;
use recert_ledger::{Error, Ledger, Seal};

use claim::{Claim, Claims};
use tables::Tables;

pub use report::{Report, SCHEMA, SealState, Tally, Violation};
pub use unchecked::Unchecked;

/// Checks the ledger at `path` as it is now; a run may be writing to it meanwhile.
///
/// # Errors
/// If the file cannot be opened or read as a ledger at all. All other violations are in the
/// report.
pub fn check(path: &Path) -> Result<Report, Error> {
    check_ledger(&Ledger::open_read_only(path)?)
}

/// Checks an open ledger. Afterwards `ledger` still reads the rows as they were when the
/// check began, whatever is written to the file later.
///
/// # Errors
/// As for [`check`].
pub fn check_ledger(ledger: &Ledger) -> Result<Report, Error> {
    ledger.freeze()?;
    let mut report = Report::new(&ledger.path().display().to_string(), ledger.version()?);
    for (table, fault) in ledger.faults()? {
        let table = if table.is_empty() { "file" } else { &table };
        report.violation(table, "", "", &fault, "an intact ledger");
    }
    report.seal = match ledger.seal()? {
        Seal::Absent => SealState::Absent,
        Seal::Holds => SealState::Holds,
        Seal::Broken { stored, computed } => {
            report.violation("seal", "id 1", "sha256", &stored, &computed);
            SealState::Broken
        }
    };
    let tables = Tables::read(ledger, &mut report)?;
    let claims = claim::read::read(ledger, &tables, &mut report)?;
    let mut certificates = certificate::by_input(ledger, &mut report)?;
    for &idx in &tables.inputs {
        let answers = answers::decode_input(ledger, &tables, idx, &mut report)?;
        for row in certificates.remove(&idx).unwrap_or_default() {
            certificate::check(&row, &tables, &claims, &answers, &mut report);
        }
    }
    for row in certificates.into_values().flatten() {
        let table = Table::Certificate.name();
        report.violation(
            table,
            &row.key(),
            "idx",
            "an input that the ledger does not have",
            "an input of the ledger",
        );
    }
    report.unchecked = left_open(&report, &tables, &claims);
    Ok(report)
}

/// Everything that the check did not show.
fn left_open(report: &Report, tables: &Tables, claims: &Claims) -> Vec<Unchecked> {
    let mut open = Vec::new();
    if report.seal == SealState::Absent {
        let schema = report.version;
        open.push(Unchecked::Unsealed { schema });
    }
    let inputs = tables.inputs.len() as u64;
    for claim in claims.values() {
        let concluded = claim.certificates.get();
        if concluded < inputs {
            open.push(Unchecked::Unconcluded {
                missing: inputs - concluded,
                inputs,
                method: claim.method_name.clone(),
                samples: claim.samples,
                network: claim.network,
                alpha: claim.alpha,
            });
        }
    }
    if claims.values().any(Claim::has_priors) {
        open.push(Unchecked::Priors);
    }
    open.push(Unchecked::Answers);
    open
}
