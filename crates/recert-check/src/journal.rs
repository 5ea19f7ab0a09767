//! The journal: whether it is whole, and whether networks, claims and answers fit it.
//!
//! Entries are numbered and sealed, and name every network before it runs and the inputs of
//! every claim when a run ends. So whatever is removed from the other tables afterwards is
//! missing from what the journal records. Someone who edits the journal as well, and seals it
//! again, is not found.

mod candidates;

use std::collections::{BTreeMap, BTreeSet};

use recert_ledger::raw::Table;
use recert_ledger::{
    Answered, Error, ForgottenClaim, InputsHash, JournalEvent, Ledger, NetworkName, hex,
};

use crate::claim::Claims;
use crate::fields::Fields;
use crate::report::{Report, SealState};
use crate::tables::Tables;
use crate::unchecked::Unchecked;

/// The first version of the schema that has a journal.
pub(crate) const SINCE: i64 = 3;

/// What the answers of a ledger sum to.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    /// The number of answers of each network.
    pub(crate) answers: BTreeMap<i64, u64>,
    /// One more than the highest number of a fresh sample that has an answer.
    pub(crate) fresh: u64,
}

/// When a network was named and had answers, by the positions of the journal's entries.
#[derive(Debug, Clone, Copy)]
struct Life {
    /// Where it was named; `None` if that was before the journal began.
    named: Option<usize>,
    /// The first entry that records answers of it.
    answered: Option<usize>,
    /// How many networks were named with it, itself included.
    together: usize,
    /// Whether it was removed, by a later entry.
    removed: bool,
}

/// What the latest entry of a claim records.
struct Concluded {
    row: String,
    inputs: u64,
    hash: InputsHash,
}

/// The journal as far as it was read.
#[derive(Default)]
struct Journal {
    lives: BTreeMap<NetworkName, Life>,
    /// The latest number of answers recorded of each network.
    answers: BTreeMap<NetworkName, u64>,
    fresh: u64,
    /// By the network's number and the claim's text.
    concluded: BTreeMap<(i64, String), Concluded>,
    /// Whether the ledger is older than its journal.
    upgraded: bool,
    /// Whether anything was removed.
    forgotten: bool,
    /// The entries of claims whose network is no longer here.
    lost: Vec<u64>,
    open: Vec<Unchecked>,
}

/// Checks the journal against everything else. Returns what it leaves open.
pub(crate) fn check(
    ledger: &Ledger,
    tables: &Tables,
    claims: &Claims,
    totals: &Totals,
    report: &mut Report,
) -> Result<Vec<Unchecked>, Error> {
    if report.version < SINCE {
        let schema = report.version;
        return Ok(vec![Unchecked::NoJournal { schema }]);
    }
    let mut journal = Journal::default();
    let rows = ledger.raw_rows(Table::Journal)?;
    if rows.is_empty() {
        let form = "an entry that names the original network";
        report.violation("journal", "", "", "no entries", form);
        return Ok(Vec::new());
    }
    for (position, row) in rows.iter().enumerate() {
        journal.read(position, &mut Fields::new(row, report), tables);
    }
    if !journal.lives.values().any(|life| life.removed) {
        let lost = journal.lost.iter();
        let lost = lost.map(|&entry| Unchecked::LostNetwork { entry });
        journal.open.extend(lost);
    }
    journal.compare_networks(tables, report);
    journal.compare_answers(tables, totals, report);
    journal.compare_conclusions(claims, report);
    let mut open = journal.candidates(tables, claims, report);
    open.append(&mut journal.open);
    Ok(open)
}

/// A claim as text that no other claim of its network has.
fn text(method: &str, samples: u64, alpha: f64, parameters: &str) -> String {
    format!("{method} from {samples} samples at alpha {alpha}, {parameters}")
}

fn short(name: &NetworkName) -> String {
    let hash = hex(&name.sha256.0);
    format!("{}.. ({})", &hash[..12], name.engine)
}

impl Journal {
    fn read(&mut self, position: usize, fields: &mut Fields<'_>, tables: &Tables) {
        let number = position as u64 + 1;
        let id = fields.integer("id", 1..=i64::MAX as u64);
        if let Some(id) = id.filter(|&id| id != number) {
            fields.wrong("id", id, format!("{number}, as no entry is ever removed"));
        }
        fields.integer("seconds", 0..=i64::MAX as u64);
        let network = fields.integer_or_null("network", 1..=i64::MAX as u64);
        let Ok(network) = network.map(|network| network.map(|network| network as i64)) else {
            return;
        };
        let (Some(kind), Some(body)) = (fields.text("kind"), fields.text("body")) else {
            return;
        };
        let event = JournalEvent::read(kind, body);
        if matches!(event, JournalEvent::Foreign { .. }) {
            let kinds = ["named", "concluded", "held", "forgotten", "upgraded"];
            if kinds.contains(&kind) {
                fields.wrong("body", body, format!("an entry of kind {kind}"));
            } else {
                fields.wrong("kind", kind, format!("one of {}", kinds.join(", ")));
            }
            return;
        }
        let canonical = event.to_json();
        if canonical != body {
            fields.wrong("body", body, canonical);
        }
        let about_one = matches!(
            event,
            JournalEvent::Concluded { .. } | JournalEvent::Held { .. }
        );
        if network.is_some() && !about_one {
            fields.wrong("network", network.unwrap_or_default(), "NULL");
        }
        if position == 0 {
            let first = match &event {
                JournalEvent::Upgraded { .. } => true,
                JournalEvent::Named { networks, .. } => {
                    let base = tables
                        .run
                        .as_ref()
                        .and_then(|run| tables.names.get(&run.base));
                    base.is_none_or(|base| networks.contains(base))
                }
                _ => false,
            };
            if !first {
                let form = "an entry that names the original network, or of an upgrade";
                fields.wrong("kind", kind, form);
            }
        }
        self.event(position, event, network, fields, tables);
    }

    fn event(
        &mut self,
        position: usize,
        event: JournalEvent,
        network: Option<i64>,
        fields: &mut Fields<'_>,
        tables: &Tables,
    ) {
        match event {
            JournalEvent::Named {
                networks,
                answered,
                fresh,
            } => {
                self.answered(position, &answered, fresh, fields);
                self.named(position, networks, fields);
            }
            JournalEvent::Upgraded {
                from,
                answered,
                fresh,
            } => {
                self.upgraded(position, from, tables, fields);
                self.answered(position, &answered, fresh, fields);
            }
            JournalEvent::Held {
                engine,
                images,
                largest_difference,
                tolerance,
                details,
                ..
            } => {
                if images == 0 {
                    self.open.push(Unchecked::NotCompared {
                        engine: engine.clone(),
                        why: details,
                    });
                }
                let name = network.and_then(|network| tables.names.get(&network));
                if let Some(name) = name.filter(|name| name.engine != engine) {
                    fields.wrong("body.engine", engine, &name.engine);
                }
                if !(largest_difference >= 0.0 && largest_difference <= tolerance) {
                    let form = format!("from 0 to the tolerance, {tolerance}");
                    fields.wrong("body.largest_difference", largest_difference, form);
                }
            }
            JournalEvent::Forgotten {
                name,
                whole,
                claims,
                answers,
                selections,
            } => {
                self.forgotten(&name, whole, &claims, fields, tables);
                self.open.push(Unchecked::Forgotten {
                    network: short(&name),
                    whole,
                    claims: claims.into_iter().map(|claim| claim.statement).collect(),
                    answers,
                    selections,
                });
            }
            JournalEvent::Concluded {
                method,
                samples,
                alpha,
                parameters,
                inputs,
                inputs_sha256,
            } => {
                let claim = text(&method, samples, alpha, &parameters);
                match network {
                    Some(network) => {
                        let key = (network, claim);
                        self.concluded(position, key, (inputs, inputs_sha256), fields);
                    }
                    // The network of the claim was removed, which a later entry states.
                    None => self.lost.push(position as u64 + 1),
                }
            }
            JournalEvent::Foreign { .. } => {}
        }
    }

    fn named(&mut self, position: usize, networks: Vec<NetworkName>, fields: &mut Fields<'_>) {
        let together = networks.len();
        if together == 0 {
            fields.wrong("body.networks", "none", "one network or several");
        }
        for name in networks {
            let known = self.lives.get(&name).is_some_and(|life| !life.removed);
            if known {
                let form = "a network that no entry before names";
                fields.wrong("body.networks", short(&name), form);
            }
            let life = Life {
                named: Some(position),
                answered: None,
                together,
                removed: false,
            };
            self.lives.insert(name, life);
        }
    }

    fn upgraded(&mut self, position: usize, from: i64, tables: &Tables, fields: &mut Fields<'_>) {
        self.upgraded = true;
        if position != 0 {
            fields.wrong("kind", "upgraded", "this kind for the first entry alone");
        }
        if !(1..SINCE).contains(&from) {
            fields.wrong("body.from", from, "a version without a journal");
        }
        for name in tables.names.values() {
            let life = Life {
                named: None,
                answered: None,
                together: 1,
                removed: false,
            };
            self.lives.insert(name.clone(), life);
        }
        self.open.push(Unchecked::Upgraded { schema: from });
    }

    fn forgotten(
        &mut self,
        name: &NetworkName,
        whole: bool,
        claims: &[ForgottenClaim],
        fields: &mut Fields<'_>,
        tables: &Tables,
    ) {
        self.forgotten = true;
        self.answers.remove(name);
        if let Some(life) = self.lives.get_mut(name) {
            life.removed = whole;
        } else {
            fields.wrong("body.name", short(name), "a network named before");
        }
        let number = tables.names.iter().find(|(_, known)| *known == name);
        for claim in claims {
            let claim = text(&claim.method, claim.samples, claim.alpha, &claim.parameters);
            if let Some((&number, _)) = number {
                self.concluded.remove(&(number, claim));
            }
        }
    }

    fn concluded(
        &mut self,
        position: usize,
        key: (i64, String),
        (inputs, hash): (u64, InputsHash),
        fields: &mut Fields<'_>,
    ) {
        if let Some(before) = self.concluded.get(&key)
            && (inputs < before.inputs || inputs == before.inputs && hash != before.hash)
        {
            let form = format!(
                "the {} inputs that {} records, or more",
                before.inputs, before.row
            );
            fields.wrong("body.inputs", format!("{inputs} inputs"), form);
        }
        let row = format!("journal entry {}", position + 1);
        self.concluded.insert(key, Concluded { row, inputs, hash });
    }

    /// Compares what an entry states of answers with the entries before it.
    fn answered(
        &mut self,
        position: usize,
        answered: &[Answered],
        fresh: u64,
        fields: &mut Fields<'_>,
    ) {
        for Answered { network, answers } in answered {
            match self.lives.get_mut(network) {
                Some(life) => {
                    life.answered.get_or_insert(position);
                }
                None => fields.wrong("body.answered", short(network), "a network named before"),
            }
            let before = self.answers.insert(network.clone(), *answers);
            if let Some(before) = before.filter(|before| before > answers) {
                let form = format!("{before} answers of {} or more", short(network));
                fields.wrong("body.answered", answers, form);
            }
        }
        let recorded: BTreeSet<&NetworkName> = answered.iter().map(|a| &a.network).collect();
        let gone = self.answers.keys().find(|name| !recorded.contains(name));
        if let Some(name) = gone {
            let form = format!("with the answers of {}, which it had before", short(name));
            fields.wrong("body.answered", "a list", form);
        }
        if fresh < self.fresh && !self.forgotten {
            fields.wrong("body.fresh", fresh, format!("{} or more", self.fresh));
        }
        self.fresh = fresh;
    }

    fn compare_networks(&self, tables: &Tables, report: &mut Report) {
        for (id, name) in &tables.names {
            let known = self.lives.get(name).is_some_and(|life| !life.removed);
            if !known && !self.upgraded {
                let row = format!("id {id}");
                let form = "a network that an entry of the journal names";
                report.violation("network", &row, "", short(name), form);
            }
        }
        let there: BTreeSet<&NetworkName> = tables.names.values().collect();
        for (name, life) in &self.lives {
            if let Some(position) = life.named
                && !life.removed
                && !there.contains(name)
            {
                let form = format!("{}, named by journal entry {}", short(name), position + 1);
                report.violation("network", "", "", "no such network", form);
            }
        }
    }

    fn compare_answers(&self, tables: &Tables, totals: &Totals, report: &mut Report) {
        for (id, name) in &tables.names {
            let now = totals.answers.get(id).copied().unwrap_or(0);
            let before = self.answers.get(name).copied().unwrap_or(0);
            if now < before {
                let row = format!("network {id}");
                let stored = format!("{now} answers");
                let form = format!("the {before} that the journal records, or more");
                report.violation("answers", &row, "", stored, form);
            }
        }
        if totals.fresh < self.fresh && !self.forgotten {
            let stored = format!("fresh samples below {}", totals.fresh);
            let form = format!("those below {} that the journal records", self.fresh);
            report.violation("answers", "", "", stored, form);
        }
    }

    /// Compares the inputs with certificates with those that the journal records.
    fn compare_conclusions(&self, claims: &Claims, report: &mut Report) {
        let mut recorded = BTreeSet::new();
        for (id, claim) in claims {
            let words = text(
                &claim.method_name,
                claim.samples,
                claim.alpha,
                &claim.parameters,
            );
            let key = (claim.network, words);
            let inputs = claim.concluded.borrow();
            let row = format!(
                "claim {id} ({} of network {})",
                claim.method_name, claim.network
            );
            let (count, hash) = (inputs.len() as u64, InputsHash::of(&inputs));
            let stored = format!("certificates of {count} inputs");
            let closed = report.seal == SealState::Holds;
            match self.concluded.get(&key) {
                Some(entry) if entry.inputs > count || closed && entry.inputs < count => {
                    let form = format!("of the {} that {} records", entry.inputs, entry.row);
                    report.violation("certificate", &row, "", stored, form);
                }
                Some(entry) if entry.inputs == count && entry.hash != hash => {
                    let form = format!("of the same inputs that {} records", entry.row);
                    report.violation("certificate", &row, "", stored, form);
                }
                None if closed && count > 0 => {
                    let form = "an entry of the journal that records them";
                    report.violation("certificate", &row, "", stored, form);
                }
                _ => {}
            }
            recorded.insert(key);
        }
        for (key, entry) in &self.concluded {
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
