//! One journal of several. The entries of a ledger come after all of those before it, as they are,
//! each once; what ledgers record of their own sums and lists is made anew for the whole.
//!
//! Statements about a choice among candidates rest on an order: all of them were named before any
//! had answers. The united journal may show that order only where it held in every ledger in which
//! one of them had answers ([`check`]). So it states no more than each of them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

use rusqlite::params;

use super::super::Ledger;
use super::super::journal::{answered, first_fresh};
use crate::journal::{Answered, JournalEntry, JournalEvent, MergedPart, NetworkName};
use crate::records::NetworkId;
use crate::{Error, ErrorKind};

/// An entry as the text that no other one has: its time, its network, its kind and its body.
type Text = (u64, Option<i64>, String, String);

/// The same without the time.
type Body = (Option<i64>, String, String);

/// What a united ledger is before a further one is added.
pub(super) struct Before {
    /// The networks that its journal names.
    named: BTreeSet<NetworkName>,
    /// The networks with answers, with how many.
    pub(super) answered: Vec<Answered>,
    /// The first fresh sample without an answer.
    pub(super) fresh: u64,
    entries: HashSet<Text>,
    /// When what was merged.
    merges: Vec<(u64, Vec<MergedPart>)>,
}

impl Before {
    pub(super) fn read(merged: &Ledger) -> Result<Self, Error> {
        let sql = |source| merged.sql(source);
        let networks = merged.networks()?.into_iter();
        let numbers = networks.clone().map(|(id, _)| (id.0, id)).collect();
        let entries = merged.journal()?;
        let merges = entries.iter().filter_map(|entry| match &entry.event {
            JournalEvent::Merged { parts, .. } => Some((entry.seconds, parts.clone())),
            _ => None,
        });
        Ok(Self {
            merges: merges.collect(),
            named: networks
                .map(|(_, network)| NetworkName::new(&network))
                .collect(),
            answered: answered(&merged.connection).map_err(sql)?,
            fresh: first_fresh(&merged.connection).map_err(sql)?,
            entries: entries.iter().map(|entry| text(entry, &numbers)).collect(),
        })
    }

    /// Adds the entries of the journal of `part`, whose networks have these numbers in `merged`,
    /// and returns how many there were to add.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`] where something was removed from one of the two alone, or happened
    /// before it had a journal.
    pub(super) fn append(
        mut self,
        merged: &Ledger,
        part: &Ledger,
        numbers: &HashMap<i64, NetworkId>,
    ) -> Result<u64, Error> {
        let journal = part.journal()?;
        let own: HashSet<Text> = journal.iter().map(|entry| text(entry, numbers)).collect();
        let removed = |(_, _, kind, _): &&Text| kind == "forgotten" || kind == "upgraded";
        if self
            .entries
            .symmetric_difference(&own)
            .any(|entry| removed(&entry))
        {
            let message = "cannot be merged with the ledgers before it: something was removed from one \
                           of them alone, or happened before it had a journal, and a merged ledger \
                           would not show it as it was; merge ledgers as their runs left them, and \
                           remove from the merged one";
            return Err(Error::new(ErrorKind::Mismatch, part.path(), message));
        }
        let bodies: HashSet<Body> = self.entries.iter().map(without_time).collect();
        let mut added = 0;
        for entry in journal {
            let key = text(&entry, numbers);
            // These say the same whenever they are made.
            let is_timeless = matches!(
                entry.event,
                JournalEvent::Held { .. }
                    | JournalEvent::Begun { .. }
                    | JournalEvent::Verifying { .. }
            );
            let is_known = is_timeless && bodies.contains(&without_time(&key));
            if is_known || self.entries.contains(&key) {
                continue;
            }
            let event = match entry.event {
                // The header is the same, and has been recorded; what was concluded is recorded
                // when the united ledger is closed.
                JournalEvent::Header(_)
                | JournalEvent::Concluded { .. }
                | JournalEvent::Results { .. } => continue,
                JournalEvent::Named {
                    networks,
                    answered,
                    fresh,
                } => {
                    let new = networks
                        .into_iter()
                        .filter(|name| !self.named.contains(name));
                    let new: Vec<NetworkName> = new.collect();
                    if new.is_empty() {
                        continue;
                    }
                    self.named.extend(new.iter().cloned());
                    JournalEvent::Named {
                        networks: new,
                        answered: most(&self.answered, &answered),
                        fresh: fresh.max(self.fresh),
                    }
                }
                JournalEvent::Merged {
                    parts,
                    answered,
                    fresh,
                } => {
                    let known = |(seconds, known): &(u64, Vec<MergedPart>)| {
                        *seconds == entry.seconds && *known == parts
                    };
                    if self.merges.iter().any(known) {
                        continue;
                    }
                    JournalEvent::Merged {
                        parts,
                        answered: most(&self.answered, &answered),
                        fresh: fresh.max(self.fresh),
                    }
                }
                JournalEvent::Foreign { kind, .. } => {
                    let message = format!(
                        "has an entry of the kind {kind} in its journal, which this version does not \
                         know: merge it with the version that made it"
                    );
                    return Err(Error::new(ErrorKind::TooNew, part.path(), message));
                }
                event => event,
            };
            merged.execute(
                "INSERT INTO journal VALUES
                 ((SELECT coalesce(max(id), 0) + 1 FROM journal), ?1, ?2, ?3, ?4)",
                params![entry.seconds as i64, event.kind(), key.1, event.to_json()],
            )?;
            added += 1;
        }
        Ok(added)
    }
}

fn text(entry: &JournalEntry, numbers: &HashMap<i64, NetworkId>) -> Text {
    let network = entry.network.and_then(|network| numbers.get(&network.0));
    let (kind, body) = (entry.event.kind().to_owned(), entry.event.to_json());
    (entry.seconds, network.map(|network| network.0), kind, body)
}

fn without_time((_, network, kind, body): &Text) -> Body {
    (*network, kind.clone(), body.clone())
}

/// Of every network the larger number of answers.
fn most(one: &[Answered], other: &[Answered]) -> Vec<Answered> {
    let mut all = one.to_vec();
    for Answered { network, answers } in other {
        match all.iter_mut().find(|known| known.network == *network) {
            Some(known) => known.answers = known.answers.max(*answers),
            None => all.push(Answered {
                network: network.clone(),
                answers: *answers,
            }),
        }
    }
    all
}

/// What a ledger shows of the networks that were fixed before any of them had answers.
pub(super) struct History {
    file: PathBuf,
    /// The networks, each list at the time at which it was longest.
    together: Vec<BTreeSet<NetworkName>>,
    /// The modified networks that have answers in it, or had.
    answered: BTreeSet<NetworkName>,
    /// Their files, for people.
    files: BTreeMap<NetworkName, String>,
}

impl History {
    pub(super) fn read(ledger: &Ledger, file: &Path) -> Result<Self, Error> {
        let base = NetworkName::new(&ledger.header().network);
        let (mut waiting, mut gone) = (BTreeSet::new(), BTreeSet::new());
        let mut together = Vec::new();
        for entry in ledger.journal()? {
            let (named, answers) = match entry.event {
                JournalEvent::Named {
                    networks, answered, ..
                } => (networks, answered),
                JournalEvent::Upgraded { answered, .. } | JournalEvent::Merged { answered, .. } => {
                    (Vec::new(), answered)
                }
                JournalEvent::Forgotten { name, answers, .. } if answers > 0 => {
                    let network = name;
                    (Vec::new(), vec![Answered { network, answers }])
                }
                _ => continue,
            };
            for Answered { network, .. } in answers {
                waiting.remove(&network);
                gone.insert(network);
            }
            let new = named.into_iter();
            waiting.extend(new.filter(|name| *name != base && !gone.contains(name)));
            together.push(waiting.clone());
        }
        let now = answered(&ledger.connection).map_err(|e| ledger.sql(e))?;
        gone.extend(now.into_iter().map(|answered| answered.network));
        gone.remove(&base);
        let networks = ledger.networks()?.into_iter();
        Ok(Self {
            file: file.to_owned(),
            together,
            answered: gone,
            files: (networks.map(|(_, network)| (NetworkName::new(&network), network.file)))
                .collect(),
        })
    }
}

/// Fails where the united journal shows networks to be fixed before any of them had answers, and in
/// one of the ledgers some of them had answers before others were named to it.
pub(super) fn check(merged: &Ledger, parts: &[History]) -> Result<(), Error> {
    let whole = History::read(merged, merged.path())?;
    for together in whole.together.iter().filter(|together| together.len() > 1) {
        for part in parts {
            let ran = together.iter().any(|name| part.answered.contains(name));
            if !ran || part.together.iter().any(|own| together.is_subset(own)) {
                continue;
            }
            // Where a network was first named to the part; the last of them is the late one.
            let named = |name: &&NetworkName| {
                let first = part.together.iter().position(|own| own.contains(*name));
                first.unwrap_or(usize::MAX)
            };
            let late = together
                .iter()
                .max_by_key(named)
                .expect("there are several");
            let early = together.iter().filter(|name| part.answered.contains(name));
            let early = early.min_by_key(named).unwrap_or(late);
            let file = |name: &NetworkName| {
                let known = whole.files.get(name);
                known.map_or("a network that was removed", String::as_str)
            };
            let message = format!(
                "cannot be merged: {} ran here before {} was named to this ledger, and in another one \
                 they were named together, so that one may be chosen among them; recertify the same \
                 networks in one command for every shard, and merge other runs apart",
                file(early),
                file(late),
            );
            return Err(Error::new(ErrorKind::Mismatch, &part.file, message));
        }
    }
    Ok(())
}
