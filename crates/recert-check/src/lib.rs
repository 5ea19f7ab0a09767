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
//! | `journal`, `journal/` | whether the journal is whole, and what it records is still there |
//! | `verification` | verdicts by bounds |
//! | `proof` | the structure of their proofs |
//! | `summary` | what the ledger is of, for people |
//! | `method/` | deriving certificates, one family of methods a file |
//! | `arithmetic/` | the checker's own arithmetic |

#![forbid(unsafe_code)]

mod answers;
mod arithmetic;
mod cells;
mod certificate;
mod claim;
mod derived;
mod fields;
mod free;
mod journal;
mod method;
mod noise;
mod proof;
mod report;
mod summary;
mod tables;
mod unchecked;
mod verification;

use std::path::Path;

use recert_ledger::raw::Table;
use recert_ledger::{Error, InputsHash, Ledger, Seal, hex};

use claim::{Claim, Claims};
use journal::Totals;
use tables::Tables;

pub use proof::proof_fault;
pub use report::{Report, SCHEMA, SealState, Tally, Violation};
pub use summary::{ClaimSummary, NetworkSummary, RunSummary};
pub use unchecked::Unchecked;
pub use verification::{Contradiction, Side, VerificationSummary, contradictions};

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
    let mut totals = Totals::default();
    let mut sampled = 0;
    for &idx in tables.inputs.keys() {
        let answers = answers::decode_input(ledger, &tables, idx, &mut report)?;
        answers::add_up(&answers, &tables, &mut totals, &mut report);
        let certificates = certificates.remove(&idx).unwrap_or_default();
        let is_sampled = !(answers.by_stream.is_empty() && certificates.is_empty());
        sampled += u64::from(is_sampled || !tables.only_verified(idx));
        for row in certificates {
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
    compare_inputs(&claims, &mut report);
    report.verifications = verification::check(ledger, &tables, &mut report)?;
    let explained = contradicted(ledger, &mut report)?;
    let journal = journal::check(ledger, &tables, &claims, &totals, &mut report)?;
    report.claims = claims.values().map(summary::claim).collect();
    report.unchecked = left_open(&report, &tables, sampled, &claims, journal);
    report.unchecked.extend(explained);
    Ok(report)
}

/// Reports results that contradict one another, and returns those that may both be right.
fn contradicted(ledger: &Ledger, report: &mut Report) -> Result<Vec<Unchecked>, Error> {
    let mut explained = Vec::new();
    for found in contradictions(ledger)? {
        if found.explained {
            explained.push(Unchecked::Contradiction {
                what: found.to_string(),
            });
            continue;
        }
        let idx = found.idx.map_or("NULL".to_owned(), |idx| idx.to_string());
        let row = format!("verification {}, idx {idx}", found.falsified.verification);
        let derived = format!("at most one of the two: {found}");
        report.violation(Table::Result.name(), &row, "verdict", "falsified", derived);
    }
    Ok(explained)
}

/// Compares the inputs with certificates with the list that a claim states, by its hash.
fn compare_inputs(claims: &Claims, report: &mut Report) {
    for (id, claim) in claims {
        let inputs = claim.concluded.borrow();
        let hash = hex(&InputsHash::of(&inputs).0);
        if claim.most == Some(inputs.len() as u64)
            && claim
                .inputs_sha256
                .as_ref()
                .is_some_and(|stated| *stated != hash)
        {
            let row = format!(
                "claim {id} ({} of network {})",
                claim.method_name, claim.network
            );
            let stated = claim.inputs_sha256.as_deref().unwrap_or_default();
            report.violation("claim", &row, "parameters.inputs_sha256", stated, hash);
        }
    }
}

/// Everything that the check did not show. `inputs` is the number of those that are not in the
/// ledger for verifications alone.
fn left_open(
    report: &Report,
    tables: &Tables,
    inputs: u64,
    claims: &Claims,
    journal: Vec<Unchecked>,
) -> Vec<Unchecked> {
    let mut open = Vec::new();
    if report.seal == SealState::Absent {
        let schema = report.version;
        open.push(Unchecked::Unsealed { schema });
    }
    for claim in claims.values() {
        let concluded = claim.concluded.borrow().len() as u64;
        if let Some(named) = claim.most.filter(|&named| named > inputs) {
            open.push(Unchecked::InputsGone {
                there: inputs,
                named,
                method: claim.method_name.clone(),
                network: claim.network,
            });
        }
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
    open.extend(journal);
    open.extend(choices(report));
    if claims.values().any(Claim::has_priors) {
        open.push(Unchecked::Priors);
    }
    if !report.verifications.is_empty() {
        open.push(Unchecked::Bounds);
    }
    if tables.run.is_some() || report.verifications.is_empty() {
        open.push(Unchecked::Choices);
        open.push(Unchecked::Answers);
    }
    open
}

/// Where there are several statements of which the best, chosen by its result, does not hold
/// as each does: of one network, or of several networks recertified one by one.
fn choices(report: &Report) -> Vec<Unchecked> {
    let mut found = Vec::new();
    let mut modified = 0;
    let mut corrected = u64::MAX;
    let base = report.networks.first().map(|network| network.id);
    for network in &report.networks {
        let claims: Vec<&ClaimSummary> = (report.claims.iter())
            .filter(|claim| claim.network == network.id && claim.certificates > 0)
            .collect();
        if claims.len() > 1 {
            found.push(Unchecked::SeveralClaims {
                network: network.file.clone(),
                claims: claims.len() as u64,
            });
        }
        if Some(network.id) != base
            && let Some(among) = claims.iter().map(|claim| claim.among).min()
        {
            modified += 1;
            corrected = corrected.min(among);
        }
    }
    if modified > 1 && corrected < modified {
        found.push(Unchecked::OneByOne { networks: modified });
    }
    found
}
