//! What a ledger's journal says of the runs that made its certificates: how many inputs there
//! were to be, how long they took by the clock, and through what they were certified.

use std::collections::{BTreeMap, BTreeSet};

use recert_ledger::{Claim, JournalEvent, Ledger, NetworkId, Parameters};
use recert_report::Run;

use crate::Result;

/// The runs of every network of a ledger.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    begun: Vec<Begun>,
    ended: Vec<Ended>,
    /// Worker time that the original took on each input, in microseconds.
    original: BTreeMap<u32, u64>,
}

#[derive(Debug)]
struct Begun {
    network: NetworkId,
    methods: BTreeSet<String>,
    inputs: u64,
    through: bool,
}

#[derive(Debug)]
struct Ended {
    network: NetworkId,
    methods: BTreeSet<String>,
    milliseconds: u64,
}

impl Sessions {
    /// What the journal of `ledger` has; nothing of runs by versions that did not record it.
    pub(super) fn read(ledger: &Ledger) -> Result<Self> {
        let names = |methods: &str| methods.split(',').map(str::to_owned).collect();
        let mut sessions = Self::default();
        for entry in ledger.journal()? {
            let Some(network) = entry.network else {
                continue;
            };
            match entry.event {
                JournalEvent::Begun {
                    methods,
                    planned,
                    through,
                    ..
                } => sessions.begun.push(Begun {
                    network,
                    methods: names(&methods),
                    inputs: planned,
                    through,
                }),
                JournalEvent::Ended {
                    methods,
                    milliseconds,
                    ..
                } => sessions.ended.push(Ended {
                    network,
                    methods: names(&methods),
                    milliseconds,
                }),
                _ => {}
            }
        }
        if sessions.begun.iter().any(|begun| begun.through) {
            let certificates = ledger.certificates(ledger.base())?.into_iter();
            let certificates = certificates.filter(|c| c.claim.method() == "certify");
            sessions.original = certificates.map(|c| (c.idx, c.micros)).collect();
        }
        Ok(sessions)
    }

    /// Completes a run of `network` by `claim`, whose rows are there, with what is known.
    pub(super) fn complete(&self, run: &mut Run, network: NetworkId, claim: &Claim) {
        let method = claim.method();
        let begun = self.begun.iter().filter(|begun| begun.network == network);
        let begun = begun.filter(|begun| begun.methods.contains(method));
        let last = begun.clone().next_back().map(|begun| begun.inputs);
        // A claim by auto is about the inputs that it names, however many others there are now.
        run.planned_inputs = match claim.parameters {
            Parameters::Auto { inputs, .. } => last.map(|last| last.min(inputs)),
            _ => last,
        };
        let ended = self.ended.iter().filter(|ended| ended.network == network);
        let ended: Vec<f64> = ended
            .filter(|ended| ended.methods.contains(method))
            .map(|ended| ended.milliseconds as f64 / 1e3)
            .collect();
        run.wall_seconds = (!ended.is_empty()).then(|| ended.iter().sum());
        if begun.into_iter().any(|begun| begun.through) {
            let micros = run
                .rows
                .iter()
                .filter_map(|row| self.original.get(&row.idx));
            run.through_seconds = Some(micros.sum::<u64>() as f64 / 1e6);
        }
    }
}
