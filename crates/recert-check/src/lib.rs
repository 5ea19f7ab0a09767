//! Independent re-verification of a ledger.
//!
//! [`check`] reads a ledger and believes nothing that it can derive: whether the
//! file is a ledger of its version, every row what it should be, every blob
//! whole; and for every certificate it counts the answers again, divides alpha
//! again, computes the bounds, the radius, and what the certificate claims in
//! words, and compares all of it with what is stored. It shares no code with what
//! makes certificates (`ARCHITECTURE.md` and a test keep this): only the format
//! on disk (`recert-ledger`) and the numbers (`recert-num`). `docs/checking.md`
//! states what a check proves and what it does not.
//!
//! It knows no network, no engine, no noise and no data: that the answers are
//! those of the network named, on the noise named, only running it again shows
//! (`recert check --rerun`).
//!
//! | file | concern |
//! |---|---|
//! | `report` | what is found |
//! | `unchecked` | what is left unchecked |
//! | `fields` | reading a row of which nothing is believed |
//! | `tables` | run, networks, inputs, selections |
//! | `answers` | blobs, and one network's answers on one input |
//! | `noise` | what the law of the noise costs of alpha |
//! | `claim` | methods with their shares of alpha |
//! | `claim/` | what they were asked for, what is due, and comparing it |
//! | `derived` | what a certificate is derived from, and what comes of it |
//! | `free` | what of it was free to be chosen |
//! | `certificate` | comparing what is stored with what is derived |
//! | `method/` | deriving: one family of methods a file |
//! | `arithmetic/` | numbers of the checker's own |

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

/// Checks the ledger at `path`, as it is now, also where a run writes to it.
///
/// # Errors
/// If it cannot be opened or read as a ledger at all. Whatever else is wrong
/// with it is in the report.
pub fn check(path: &Path) -> Result<Report, Error> {
    check_ledger(&Ledger::open_read_only(path)?)
}

/// Checks an open ledger. It stays frozen: what is written to it later is not
/// seen through `ledger`.
///
/// # Errors
/// As for [`check`].
pub fn check_ledger(ledger: &Ledger) -> Result<Report, Error> {
    ledger.freeze()?;
    let mut report = Report::new(&ledger.path().display().to_string(), ledger.version()?);
    for (table, what) in ledger.faults()? {
        let table = if table.is_empty() { "file" } else { &table };
        report.violation(table, "", "", &what, "a ledger as it was written");
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
        let answers = answers::of_input(ledger, &tables, idx, &mut report)?;
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
            "no input",
            "an input of the ledger",
        );
    }
    report.unchecked = left_open(&report, &tables, &claims);
    Ok(report)
}

/// What no certificate was compared for.
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
