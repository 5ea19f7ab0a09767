//! The results of every verification by bounds, against those that the journal records.

use std::collections::{BTreeMap, BTreeSet};

use recert_ledger::raw::{Row, Table, Value};
use recert_ledger::{
    Error, FileHash, ForgottenClaim, JournalEvent, Ledger, NetworkName, Positions, ResultHash,
    VerificationName,
};

use super::{Journal, compare_name};
use crate::fields::Fields;
use crate::report::{Report, SealState};
use crate::tables::{FIRST_WITH_VERIFICATIONS, Tables};
use crate::unchecked::Unchecked;

/// The most positions of entries that are gone through one by one.
pub(super) const MOST: u64 = 1 << 24;

/// What entries record of a verification.
#[derive(Default)]
pub(super) struct Verified {
    /// The first entry that says what is to come.
    begun: Option<usize>,
    /// The inputs that runs were begun for; `None` for a file.
    planned: Vec<(u64, Option<Positions>)>,
    /// What the results were, and the first entry that records it.
    results: Vec<Entry>,
    recorded: Option<usize>,
}

/// What an entry records of the results.
struct Entry {
    /// The entry, in words.
    row: String,
    results: u64,
    /// The hash over those of the results.
    hash: FileHash,
    /// Positions and images of their inputs; a file has neither.
    positions: Option<Positions>,
    images: Option<FileHash>,
}

/// A verification of the ledger, with the hashes of its results.
struct Current<'a> {
    name: VerificationName,
    network: i64,
    /// In words.
    row: String,
    results: Vec<&'a ResultHash>,
}

impl Journal {
    /// Reads an entry of a verification by bounds.
    pub(super) fn of_bounds(
        &mut self,
        entry: (usize, Option<i64>),
        event: JournalEvent,
        fields: &mut Fields<'_>,
        tables: &Tables,
    ) {
        match event {
            JournalEvent::Verifying {
                verification,
                planned,
                positions,
                shard: _,
            } => self.verifying(entry, verification, (planned, positions), fields, tables),
            JournalEvent::Results {
                verification,
                results,
                positions,
                images_sha256,
                results_sha256,
            } => {
                let made = Entry {
                    row: format!("journal entry {}", entry.0 + 1),
                    results,
                    hash: results_sha256,
                    positions,
                    images: images_sha256,
                };
                self.results(entry, verification, made, fields, tables);
            }
            _ => {}
        }
    }

    /// Reads an entry that says what a run of a verification is for.
    fn verifying(
        &mut self,
        (position, network): (usize, Option<i64>),
        name: VerificationName,
        (planned, positions): (u64, Option<Positions>),
        fields: &mut Fields<'_>,
        tables: &Tables,
    ) {
        let listed = positions.as_ref().map_or(1, Positions::len);
        if listed != planned || planned == 0 {
            fields.wrong(
                "body.planned",
                planned,
                format!("{listed}, which are listed"),
            );
        }
        if let Some(network) = network {
            compare_name(
                network,
                Some(&name.network),
                position,
                fields.report,
                tables,
            );
        }
        let verified = self.verified.entry(name).or_default();
        verified.begun.get_or_insert(position);
        verified.planned.push((planned, positions));
    }

    /// Reads an entry of a verification's results.
    fn results(
        &mut self,
        (position, network): (usize, Option<i64>),
        name: VerificationName,
        entry: Entry,
        fields: &mut Fields<'_>,
        tables: &Tables,
    ) {
        let listed = entry.positions.as_ref().map_or(1, Positions::len);
        if listed != entry.results {
            let form = format!("a list of {} inputs", entry.results);
            fields.wrong("body.positions", format!("{listed} inputs"), form);
        }
        if entry.positions.is_some() != entry.images.is_some() {
            let form = "a list of positions and the hash of their images, or neither";
            fields.wrong("body", "one of both", form);
        }
        if let Some(network) = network {
            compare_name(
                network,
                Some(&name.network),
                position,
                fields.report,
                tables,
            );
        }
        let verified = self.verified.entry(name).or_default();
        verified.recorded.get_or_insert(position);
        verified.results.push(entry);
    }

    /// Takes out what entries record of a network that was removed. What is stated to be removed
    /// with it is no less.
    pub(super) fn forgotten_results(
        &mut self,
        network: &NetworkName,
        claims: &[ForgottenClaim],
        fields: &mut Fields<'_>,
    ) {
        // What was removed is stated by method and specification, of all efforts together.
        let mut recorded: BTreeMap<(String, String), u64> = BTreeMap::new();
        self.verified.retain(|name, verified| {
            let kept = name.network != *network;
            if let Some(last) = verified.results.last().filter(|_| !kept) {
                let key = format!("{} {}", name.kind, name.method);
                let sum = recorded.entry((key, name.specification.clone()));
                *sum.or_default() += last.results;
            }
            kept
        });
        for ((method, specification), before) in recorded {
            let same = claims.iter().filter(|claim| {
                claim.samples == 0 && claim.method == method && claim.parameters == specification
            });
            let stated: u64 = same.map(|claim| claim.certificates).sum();
            if stated < before {
                let stored = format!("{stated} results of {method}, {specification}");
                let form = format!("the {before} that entries before record, or more");
                fields.wrong("body.claims.certificates", stored, form);
            }
        }
    }

    /// Compares the results of verifications with those that the journal records.
    pub(super) fn compare_results(
        &mut self,
        ledger: &Ledger,
        tables: &Tables,
        report: &mut Report,
    ) -> Result<(), Error> {
        if report.version < FIRST_WITH_VERIFICATIONS {
            return Ok(());
        }
        let hashes = ledger.result_hashes()?;
        let rows = ledger.raw_rows(Table::Verification)?;
        let current = rows.iter().filter_map(|row| current(row, tables, &hashes));
        let current: Vec<Current<'_>> = current.collect();
        let nothing = Verified::default();
        for one in &current {
            let verified = self.verified.get(&one.name).unwrap_or(&nothing);
            self.open.extend(unrecorded(verified, one));
            self.open.extend(missing(verified, one));
            compare(verified, one, tables, report);
        }
        for (name, verified) in &self.verified {
            let Some(last) = verified.results.last() else {
                continue;
            };
            if !current.iter().any(|one| one.name == *name) {
                let form = format!(
                    "that of {} {} by {}, with {} results: {} records it",
                    name.kind, name.specification, name.method, last.results, last.row
                );
                report.violation("verification", "", "", "no such verification", form);
            }
        }
        Ok(())
    }
}

/// A verification as the journal names it. One whose row is not valid has no name, which is
/// reported with its row.
fn current<'a>(row: &Row, tables: &Tables, hashes: &'a [ResultHash]) -> Option<Current<'a>> {
    let text = |column: &str| match row.get(column) {
        Value::Text(text) => Some(text.clone()),
        _ => None,
    };
    let (Value::Integer(id), Value::Integer(network)) = (row.get("id"), row.get("network")) else {
        return None;
    };
    let name = VerificationName {
        network: tables.names.get(network)?.clone(),
        kind: text("kind")?,
        specification: text("specification")?,
        method: text("method")?,
        effort: text("effort")?,
    };
    Some(Current {
        row: format!(
            "verification {id} ({} {} by {} of network {network})",
            name.kind, name.specification, name.method
        ),
        network: *network,
        name,
        results: hashes.iter().filter(|h| h.verification == *id).collect(),
    })
}

/// What was not recorded of a verification when its results were made.
fn unrecorded(verified: &Verified, one: &Current<'_>) -> Option<Unchecked> {
    let since = match (verified.begun, verified.recorded) {
        (Some(_), None) => return None,
        (None, None) if one.results.is_empty() => return None,
        (Some(begun), Some(recorded)) if begun < recorded => return None,
        (_, recorded) => recorded.map(|position| position as u64 + 1),
    };
    Some(Unchecked::ResultsUnrecorded {
        verification: one.row.clone(),
        since,
    })
}

/// The inputs that a verification was begun for and that have no result.
fn missing(verified: &Verified, one: &Current<'_>) -> Option<Unchecked> {
    let there: BTreeSet<Option<u32>> = one.results.iter().map(|result| result.idx).collect();
    let listed: u64 = verified.planned.iter().map(|(planned, _)| *planned).sum();
    let (planned, missing) = if listed <= MOST {
        let positions = verified.planned.iter().flat_map(|(_, positions)| {
            let of_inputs = positions.iter().flat_map(Positions::iter).map(Some);
            of_inputs.chain(positions.is_none().then_some(None))
        });
        let planned: BTreeSet<Option<u32>> = positions.collect();
        (planned.len(), planned.difference(&there).count())
    } else {
        // Two of them may be of the same inputs, but none of more than it states.
        let most = verified.planned.iter().map(|(planned, _)| *planned).max();
        let most = most.unwrap_or(0) as usize;
        (most, most.saturating_sub(there.len()))
    };
    (missing > 0).then(|| Unchecked::Unverified {
        network: one.network,
        verification: one.row.clone(),
        planned: planned as u64,
        missing: missing as u64,
    })
}

/// Compares the results of a verification with those of its entries.
fn compare(verified: &Verified, one: &Current<'_>, tables: &Tables, report: &mut Report) {
    let row = &one.row;
    let count = one.results.len() as u64;
    let stored = || format!("{count} results");
    let sealed = report.seal == SealState::Holds;
    let Some(last) = verified.results.last() else {
        // Earlier versions recorded nothing, which is listed as missing.
        if sealed && count > 0 && verified.begun.is_some() {
            let form = "an entry of the journal that records them";
            report.violation("result", row, "", stored(), form);
        }
        return;
    };
    // Later entries may have been made after results were removed.
    let most = verified.results.iter().max_by_key(|entry| entry.results);
    let most = most.filter(|most| most.results > count);
    if let Some(entry) = most.or((sealed && last.results < count).then_some(last)) {
        let form = format!("the {} that {} records", entry.results, entry.row);
        report.violation("result", row, "", stored(), form);
        return;
    }
    let by_input: BTreeMap<Option<u32>, &[u8; 32]> = (one.results.iter())
        .map(|result| (result.idx, &result.sha256))
        .collect();
    for entry in &verified.results {
        let listed: Vec<Option<u32>> = match &entry.positions {
            // A list that is longer than its entry states was reported with the entry.
            Some(positions) if positions.len() > count => continue,
            Some(positions) => positions.iter().map(Some).collect(),
            None => vec![None],
        };
        if let Some(lacking) = listed.iter().find(|idx| !by_input.contains_key(idx)) {
            let of = lacking.map_or("the file".to_owned(), |idx| format!("input {idx}"));
            let form = format!("that of {of}, which {} lists", entry.row);
            report.violation("result", row, "", "no such result", form);
            return;
        }
        let hashes = listed.iter().filter_map(|idx| by_input.get(idx).copied());
        if FileHash::of_hashes(hashes) != entry.hash {
            let stored = format!("other results of the {} inputs of {row}", listed.len());
            let form = format!("those that {} records", entry.row);
            report.violation("result", row, "", stored, form);
            return;
        }
        let images = listed.iter().flatten();
        let images = images.filter_map(|idx| tables.inputs.get(idx));
        let images = FileHash::of_images(images.map(String::as_str));
        if entry.images.is_some_and(|recorded| recorded != images) {
            let stored = format!("other images of the {} inputs of {row}", listed.len());
            let form = format!("the images that {} records", entry.row);
            report.violation("input", "", "sha256", stored, form);
            return;
        }
    }
}
