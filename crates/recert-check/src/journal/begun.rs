//! Runs that were begun, and whether the inputs that they were begun for have certificates.

use std::collections::BTreeSet;

use recert_ledger::{JournalEvent, Positions};

use super::Journal;
use super::results::MOST;
use crate::claim::Claims;
use crate::fields::Fields;
use crate::unchecked::Unchecked;

/// What runs by a method were begun for.
#[derive(Default)]
pub(super) struct Planned {
    /// How many inputs the last one.
    last: u64,
    /// The inputs of the whole runs that shards are of.
    lists: Vec<Positions>,
}

impl Planned {
    /// The inputs that any shard's whole run has; `None` where there was no shard, or where lists are so
    /// long that going through them would take long.
    fn listed(&self) -> Option<BTreeSet<u32>> {
        let all: u64 = self.lists.iter().map(Positions::len).sum();
        let lists = (1..=MOST).contains(&all).then_some(&self.lists)?;
        Some(lists.iter().flat_map(Positions::iter).collect())
    }
}

impl Journal {
    /// Reads an entry of a run that began.
    pub(super) fn run_begun(
        &mut self,
        event: JournalEvent,
        network: Option<i64>,
        fields: &mut Fields<'_>,
    ) {
        let JournalEvent::Begun {
            methods,
            planned,
            shard,
            positions,
            ..
        } = event
        else {
            return;
        };
        let listed = positions.as_ref().map(Positions::len);
        if listed.is_some() != shard.is_some() || listed.is_some_and(|all| all != planned) {
            let form = "a shard with a list of all inputs planned, or neither";
            let stored = match listed {
                Some(all) => format!("a list of {all} inputs, {planned} planned"),
                None => "no list".to_owned(),
            };
            fields.wrong("body.positions", stored, form);
        }
        let methods = methods.split(',').map(str::to_owned);
        let runs = network
            .into_iter()
            .flat_map(|n| methods.clone().map(move |m| (n, m)));
        for run in runs {
            let begun = self.begun.entry(run).or_default();
            begun.last = planned;
            begun.lists.extend(positions.clone());
        }
    }

    /// The runs that were begun for more inputs than have a certificate. A claim by `auto` is about
    /// the inputs that it names, however many there were.
    pub(super) fn unfinished(&self, claims: &Claims) -> Vec<Unchecked> {
        let runs = self.begun.iter();
        let open = runs.filter_map(|((network, method), begun)| {
            let claims = claims.values();
            let claims = claims.filter(|c| c.network == *network && c.method_name == *method);
            let named = claims.clone().filter_map(|claim| claim.most).max();
            let planned = named.map_or(begun.last, |named| named.min(begun.last));
            let concluded = claims
                .clone()
                .map(|claim| claim.concluded.borrow().len() as u64);
            let concluded = concluded.max().unwrap_or(0);
            // Certificates of other inputs do not stand for those of a shard that is not here.
            let listed = begun.listed().filter(|_| named.is_none());
            let of_listed = listed.map(|listed| {
                let there = claims.map(|claim| {
                    let concluded = claim.concluded.borrow();
                    let there = concluded.iter().filter(|&input| listed.contains(input));
                    there.count() as u64
                });
                (listed.len() as u64, there.max().unwrap_or(0))
            });
            let (planned, concluded) = of_listed
                .filter(|(planned, concluded)| concluded < planned)
                .unwrap_or((planned, concluded));
            (concluded < planned).then(|| Unchecked::Unfinished {
                network: *network,
                method: method.clone(),
                planned,
                concluded,
            })
        });
        open.collect()
    }
}
