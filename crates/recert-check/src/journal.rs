//! The journal: whether it is whole, and whether networks, claims and answers fit it.
//!
//! Entries are numbered and sealed. They have the header, name every network before it runs, and
//! list the inputs of every claim when a run ends. So whatever is changed or removed in the other
//! tables afterwards differs from what the journal records. Someone who edits the journal as
//! well, and seals it again, is not found.

mod begun;
mod candidates;
mod concluded;
mod header;
mod results;

use std::collections::{BTreeMap, BTreeSet};

use recert_ledger::raw::Table;
use recert_ledger::{
    Answered, Error, ForgottenClaim, HeaderRecord, JournalEvent, Ledger, NetworkName,
    VerificationName, hex,
};

use crate::claim::Claims;
use crate::fields::Fields;
use crate::report::Report;
use crate::tables::Tables;
use crate::unchecked::Unchecked;

use begun::Planned;
use concluded::Concluded;
use results::Verified;

/// The first version of the schema that has a journal.
pub(crate) const SINCE: i64 = 3;

/// What the first entry is.
const FIRST: &str = "an entry that names the original network, or of an upgrade";

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
    /// Where it was first named; `None` if that was before the journal began.
    named: Option<usize>,
    /// The first entry that records answers of it, also of ones that were removed.
    answered: Option<usize>,
    /// How many networks were named with it at most, itself included.
    together: usize,
    /// Whether it was removed, by a later entry.
    removed: bool,
}

/// The journal as far as it was read.
#[derive(Default)]
struct Journal {
    /// The networks that the first entry names; none if it is of another kind.
    first: Vec<NetworkName>,
    lives: BTreeMap<NetworkName, Life>,
    /// The latest number of answers recorded of each network.
    answers: BTreeMap<NetworkName, u64>,
    fresh: u64,
    /// The entry with the header.
    header: Option<(usize, HeaderRecord)>,
    /// What the entries of each claim record, by the network's number and the claim's text.
    concluded: BTreeMap<(i64, String), Vec<Concluded>>,
    /// What runs by a method were begun for, by the network's number and the method.
    begun: BTreeMap<(i64, String), Planned>,
    /// What the entries of each verification record.
    verified: BTreeMap<VerificationName, Verified>,
    /// Whether the ledger is older than its journal.
    upgraded: bool,
    /// Whether a network was removed with its answers.
    forgotten: bool,
    /// The entries of claims whose network is no longer here, with the claim's text.
    lost: Vec<(u64, String)>,
    /// The claims that entries state to be removed.
    removed: BTreeSet<String>,
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
    let lost = journal.lost.iter();
    let lost = lost.filter(|(_, claim)| !journal.removed.contains(claim));
    let lost = lost.map(|&(entry, _)| Unchecked::LostNetwork { entry });
    journal.open.extend(lost);
    journal.compare_first(tables, report);
    journal.compare_networks(tables, report);
    journal.compare_answers(tables, totals, report);
    journal.compare_header(ledger, tables, report)?;
    journal.compare_conclusions(tables, claims, report);
    journal.compare_results(ledger, tables, report)?;
    let mut open = journal.candidates(tables, claims, report);
    open.append(&mut journal.open);
    open.extend(journal.unfinished(claims));
    Ok(open)
}

/// A claim as text that no other claim of its network has.
fn text(method: &str, samples: u64, alpha: f64, parameters: &str) -> String {
    format!("{method} from {samples} samples at alpha {alpha}, {parameters}")
}

/// Among how many candidates a removed claim stated a choice; 1 for none.
fn among(claim: &ForgottenClaim) -> u64 {
    let parameters: Option<serde_json::Value> = serde_json::from_str(&claim.parameters).ok();
    let among = parameters.and_then(|parameters| parameters["among"].as_u64());
    among.unwrap_or(1)
}

/// Compares what identifies a network with what an entry records of it: two networks may have
/// been exchanged, so that each has the certificates of the other.
fn compare_name(
    network: i64,
    recorded: Option<&NetworkName>,
    position: usize,
    report: &mut Report,
    tables: &Tables,
) {
    if let (Some(recorded), Some(name)) = (recorded, tables.names.get(&network))
        && recorded != name
    {
        let key = format!("id {network}");
        let entry = format!("journal entry {}", position + 1);
        let form = format!("{}, whose certificates {entry} records", short(recorded));
        report.violation("network", &key, "", short(name), form);
    }
}

fn is_original(name: &NetworkName, tables: &Tables) -> bool {
    let run = tables.run.as_ref();
    run.and_then(|run| tables.names.get(&run.base)) == Some(name)
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
            let kinds = [
                "header",
                "named",
                "concluded",
                "held",
                "forgotten",
                "begun",
                "ended",
                "verifying",
                "results",
                "merged",
                "upgraded",
            ];
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
            JournalEvent::Concluded { .. }
                | JournalEvent::Held { .. }
                | JournalEvent::Begun { .. }
                | JournalEvent::Ended { .. }
                | JournalEvent::Verifying { .. }
                | JournalEvent::Results { .. }
        );
        if network.is_some() && !about_one {
            fields.wrong("network", network.unwrap_or_default(), "NULL");
        }
        if position == 0 {
            match &event {
                JournalEvent::Upgraded { .. } => {}
                JournalEvent::Named { networks, .. } => self.first.clone_from(networks),
                _ => fields.wrong("kind", kind, FIRST),
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
            JournalEvent::Header(record) => {
                if let Some((first, _)) = &self.header {
                    let form = format!("one such entry, which is journal entry {}", first + 1);
                    fields.wrong("kind", "header", form);
                } else {
                    self.header = Some((position, record));
                }
            }
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
            held @ JournalEvent::Held { .. } => self.held(held, network, fields, tables),
            JournalEvent::Forgotten {
                name,
                whole,
                claims,
                answers,
                selections,
            } => {
                // One that had no claim yet was a candidate, too.
                let life = self.lives.get(&name).filter(|_| whole);
                let together = life.map_or(1, |life| life.together as u64);
                self.forgotten(position, (&name, whole), (&claims, answers), fields, tables);
                if whole {
                    self.forgotten_results(&name, &claims, fields);
                }
                self.open.push(Unchecked::Forgotten {
                    network: short(&name),
                    stopped: is_original(&name, tables)
                        && claims.iter().any(|claim| claim.method == "until"),
                    whole,
                    among: claims.iter().map(among).fold(together, u64::max),
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
                positions,
                images_sha256,
                network: name,
            } => {
                let claim = text(&method, samples, alpha, &parameters);
                match network {
                    Some(network) => {
                        compare_name(network, name.as_ref(), position, fields.report, tables);
                        let entry = Concluded {
                            row: format!("journal entry {}", position + 1),
                            inputs,
                            hash: inputs_sha256,
                            positions,
                            images: images_sha256,
                        };
                        self.concluded((network, claim), entry, fields, tables);
                    }
                    // The network of the claim was removed, which a later entry states.
                    None => self.lost.push((position as u64 + 1, claim)),
                }
            }
            begun @ JournalEvent::Begun { .. } => self.run_begun(begun, network, fields),
            of_bounds @ (JournalEvent::Verifying { .. } | JournalEvent::Results { .. }) => {
                self.of_bounds((position, network), of_bounds, fields, tables);
            }
            JournalEvent::Merged {
                parts,
                answered,
                fresh,
            } => {
                if parts.is_empty() {
                    fields.wrong("body.parts", "none", "the ledgers that were united");
                }
                self.answered(position, &answered, fresh, fields);
            }
            // How long it took: no certificate rests on that.
            JournalEvent::Ended { .. } | JournalEvent::Foreign { .. } => {}
        }
    }

    /// Reads an entry of an engine that was compared with a reference.
    fn held(
        &mut self,
        event: JournalEvent,
        network: Option<i64>,
        fields: &mut Fields<'_>,
        tables: &Tables,
    ) {
        let JournalEvent::Held {
            engine,
            images,
            largest_difference,
            tolerance,
            details,
            ..
        } = event
        else {
            return;
        };
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

    /// Whether the ledger was begun by verifications of these networks: it gets the network and
    /// the header of its first smoothing run later. What was verified may have been removed since.
    fn began_with_verifications(&self, tables: &Tables) -> bool {
        let verified = |name| {
            let mut ids = tables.verified.iter();
            ids.any(|id| tables.names.get(id) == Some(name))
        };
        let removed = |name| self.lives.get(name).is_some_and(|life| life.removed);
        (self.first.iter()).any(|name| verified(name) || removed(name))
    }

    /// The first entry names the original network, unless verifications began the ledger.
    fn compare_first(&self, tables: &Tables, report: &mut Report) {
        let run = tables.run.as_ref();
        let Some(base) = run.and_then(|run| tables.names.get(&run.base)) else {
            return;
        };
        let is_first = self.first.is_empty() || self.first.contains(base);
        if !is_first && !self.began_with_verifications(tables) {
            report.violation("journal", "id 1", "kind", "named", FIRST);
        }
    }

    fn named(&mut self, position: usize, networks: Vec<NetworkName>, fields: &mut Fields<'_>) {
        let together = networks.len();
        if together == 0 {
            fields.wrong("body.networks", "none", "one network or several");
        }
        for name in networks {
            let life = self.lives.entry(name.clone()).or_insert(Life {
                named: Some(position),
                answered: None,
                together,
                removed: true,
            });
            if !life.removed {
                let form = "a network that no entry before names";
                fields.wrong("body.networks", short(&name), form);
            }
            // One that was removed and is named again had answers, or none, as before.
            life.removed = false;
            life.together = life.together.max(together);
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
        position: usize,
        (name, whole): (&NetworkName, bool),
        (claims, answers): (&[ForgottenClaim], u64),
        fields: &mut Fields<'_>,
        tables: &Tables,
    ) {
        self.forgotten |= whole;
        if let Some(before) = self.answers.get(name)
            && whole
            && answers < *before
        {
            let form = format!("the {before} answers that an entry before records, or more");
            fields.wrong("body.answers", answers, form);
        }
        if whole {
            self.answers.remove(name);
        }
        if let Some(life) = self.lives.get_mut(name) {
            life.removed = whole;
            if answers > 0 {
                life.answered.get_or_insert(position);
            }
        } else {
            fields.wrong("body.name", short(name), "a network named before");
        }
        let number = tables.names.iter().find(|(_, known)| *known == name);
        for claim in claims {
            let words = text(&claim.method, claim.samples, claim.alpha, &claim.parameters);
            self.removed.insert(words.clone());
            let Some((&number, _)) = number else { continue };
            self.begun.remove(&(number, claim.method.clone()));
            let before = self.concluded.remove(&(number, words));
            if let Some(before) = before.as_ref().and_then(|entries| entries.last())
                && claim.certificates < before.inputs
            {
                let form = format!("the {} that {} records, or more", before.inputs, before.row);
                fields.wrong("body.claims.certificates", claim.certificates, form);
            }
        }
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
}
