//! The inputs of every claim, against those that the journal lists.

use std::collections::BTreeSet;

use recert_ledger::{FileHash, InputsHash, Positions};

use super::{Journal, text};
use crate::claim::{Claim, Claims};
use crate::fields::Fields;
use crate::report::{Report, SealState};
use crate::tables::Tables;
use crate::unchecked::Unchecked;

/// What an entry records of a claim.
pub(super) struct Concluded {
    /// The entry, in words.
    pub(super) row: String,
    /// The number of inputs with a certificate.
    pub(super) inputs: u64,
    /// The hash of their positions.
    pub(super) hash: InputsHash,
    /// Their positions, and the hash of their images; entries of the first journals have
    /// neither.
    pub(super) positions: Option<Positions>,
    pub(super) images: Option<FileHash>,
}

impl Concluded {
    /// The first input of a list that `inputs`, ascending, does not have. `inputs` has as many
    /// at least.
    fn lacking(&self, inputs: &[u32]) -> Option<u32> {
        let mut listed = self.positions.iter().flat_map(Positions::iter);
        listed.find(|idx| inputs.binary_search(idx).is_err())
    }

    /// Whether an entry without a list is known to be of the inputs of another.
    fn is_of(&self, inputs: u64, hash: InputsHash) -> bool {
        self.inputs == inputs && self.hash == hash
    }
}

impl Journal {
    /// Reads an entry of a claim, and compares it with those of the same claim before it.
    pub(super) fn concluded(
        &mut self,
        key: (i64, String),
        entry: Concluded,
        fields: &mut Fields<'_>,
        tables: &Tables,
    ) {
        if entry.positions.is_some() != entry.images.is_some() {
            let form = "a list of positions and the hash of their images, or neither";
            fields.wrong("body", "one of both", form);
        }
        // No more inputs are gone through than the ledger has. Of a longer list, some are
        // missing from the ledger, which is found by its length.
        let most = tables.inputs.len() as u64;
        let listed = entry.positions.as_ref();
        let listed: Option<Vec<u32>> =
            (listed.filter(|listed| listed.len() <= most)).map(|listed| listed.iter().collect());
        if let Some(positions) = &entry.positions
            && positions.len() != entry.inputs
        {
            let form = format!("a list of {} inputs", entry.inputs);
            fields.wrong(
                "body.positions",
                format!("{} inputs", positions.len()),
                form,
            );
        } else if let Some(listed) = &listed
            && InputsHash::of(listed) != entry.hash
        {
            let form = "a list with the hash that the entry states";
            fields.wrong("body.positions", format!("{} inputs", listed.len()), form);
        }
        let entries = self.concluded.entry(key).or_default();
        for before in entries.iter() {
            let fewer = entry.inputs < before.inputs
                || entry.inputs == before.inputs && entry.hash != before.hash;
            let lacking = || listed.as_ref().and_then(|listed| before.lacking(listed));
            if fewer {
                let form = format!(
                    "the {} inputs that {} records, or more",
                    before.inputs, before.row
                );
                fields.wrong("body.inputs", format!("{} inputs", entry.inputs), form);
                break;
            }
            if let Some(idx) = lacking() {
                let form = format!("a list with input {idx}, which {} lists", before.row);
                fields.wrong("body.positions", "a list without it", form);
                break;
            }
        }
        entries.push(entry);
    }

    /// Compares the inputs with certificates with those that the journal records.
    pub(super) fn compare_conclusions(
        &mut self,
        tables: &Tables,
        claims: &Claims,
        report: &mut Report,
    ) {
        let mut recorded = BTreeSet::new();
        for (id, claim) in claims {
            let words = text(
                &claim.method_name,
                claim.samples,
                claim.alpha,
                &claim.parameters,
            );
            let key = (claim.network, words);
            let row = format!(
                "claim {id} ({} of network {})",
                claim.method_name, claim.network
            );
            if let Some(entries) = self.concluded.get(&key) {
                self.open.extend(unlisted(entries, claim, &row));
                compare(entries, (claim, &row), tables, report);
            } else {
                let count = claim.concluded.borrow().len();
                if report.seal == SealState::Holds && count > 0 {
                    let stored = format!("certificates of {count} inputs");
                    let form = "an entry of the journal that records them";
                    report.violation("certificate", &row, "", stored, form);
                }
            }
            recorded.insert(key);
        }
        for (key, entries) in &self.concluded {
            let Some(entry) = entries.last() else {
                continue;
            };
            if !recorded.contains(key) && entry.inputs > 0 {
                let (network, words) = key;
                let form = format!(
                    "{words}, of network {network}, with certificates of {} inputs: {} records it",
                    entry.inputs, entry.row
                );
                report.violation("claim", "", "", "no such claim", form);
            }
        }
    }
}

/// Compares the inputs with certificates by a claim with those of its entries.
fn compare(
    entries: &[Concluded],
    (claim, row): (&Claim, &str),
    tables: &Tables,
    report: &mut Report,
) {
    let inputs = claim.concluded.borrow();
    let (count, hash) = (inputs.len() as u64, InputsHash::of(&inputs));
    let stored = || format!("certificates of {count} inputs");
    let Some(last) = entries.last() else { return };
    if last.inputs > count || report.seal == SealState::Holds && last.inputs < count {
        let form = format!("of the {} that {} records", last.inputs, last.row);
        report.violation("certificate", row, "", stored(), form);
        return;
    }
    if last.inputs == count && last.hash != hash {
        let form = format!("of the same inputs that {} records", last.row);
        report.violation("certificate", row, "", stored(), form);
        return;
    }
    for entry in entries.iter().filter(|entry| entry.inputs <= count) {
        let Some(positions) = (entry.positions.as_ref()).filter(|listed| listed.len() <= count)
        else {
            continue;
        };
        if let Some(idx) = entry.lacking(&inputs) {
            let form = format!("one of input {idx}, which {} lists", entry.row);
            report.violation("certificate", row, "", "no such certificate", form);
            return;
        }
        let images = positions.iter().filter_map(|idx| tables.inputs.get(&idx));
        let images = FileHash::of_images(images.map(String::as_str));
        if entry.images.is_some_and(|recorded| recorded != images) {
            let stored = format!("other images of the {} inputs of {row}", entry.inputs);
            let form = format!("the images that {} records", entry.row);
            report.violation("input", "", "sha256", stored, form);
            return;
        }
    }
}

/// The entries of which it is not known which inputs they were of.
fn unlisted(entries: &[Concluded], claim: &Claim, row: &str) -> Vec<Unchecked> {
    let inputs = claim.concluded.borrow();
    let now = (inputs.len() as u64, InputsHash::of(&inputs));
    let listed: Vec<_> = (entries.iter())
        .filter(|entry| entry.positions.is_some())
        .map(|entry| (entry.inputs, entry.hash))
        .chain([now])
        .collect();
    let is_known =
        |entry: &&Concluded| !(listed.iter()).any(|&(inputs, hash)| entry.is_of(inputs, hash));
    let unknown = entries
        .iter()
        .filter(|entry| entry.positions.is_none() && entry.inputs > 0)
        .filter(is_known);
    let unlisted = unknown.map(|entry| Unchecked::UnlistedInputs {
        entry: entry.row.clone(),
        inputs: entry.inputs,
        claim: row.to_owned(),
    });
    unlisted.collect()
}
