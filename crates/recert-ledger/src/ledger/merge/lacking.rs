//! Which shards of a run a united ledger does not have, by what its journal says of the whole.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::journal::{JournalEvent, VerificationName};
use crate::positions::Positions;
use crate::records::NetworkId;
use crate::shard::Shard;
use crate::verification::VerificationId;
use crate::{Error, InputsHash, Ledger, Parameters};

/// A run by shards that is not complete. Displays as what is missing, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lacking {
    /// The run: a method and a network, or what is verified of which.
    pub run: String,
    /// The number of inputs of the whole run.
    pub inputs: u64,
    /// For each shard that lacks inputs: how many, and how many it is of.
    pub shards: BTreeMap<Shard, (u64, u64)>,
}

impl Lacking {
    /// The number of inputs that are missing.
    pub fn missing(&self) -> u64 {
        self.shards.values().map(|(missing, _)| missing).sum()
    }

    /// What a run over the inputs `whole` in so many shards lacks; `None` where it is complete.
    fn new(run: String, whole: &[u32], of: u32, there: &BTreeSet<u32>) -> Option<Self> {
        // Those beyond have no input, and there may be billions of them.
        let with_inputs = u32::try_from(whole.len()).map_or(of, |inputs| inputs.min(of));
        let shards = (1..=with_inputs).filter_map(|number| Shard::new(number, of));
        let lacking = shards.map(|shard| {
            let part = shard.part(whole);
            let missing = part.iter().filter(|idx| !there.contains(idx)).count();
            (shard, (missing as u64, part.len() as u64))
        });
        let lacking = Self {
            run,
            inputs: whole.len() as u64,
            shards: lacking.filter(|(_, (missing, _))| *missing > 0).collect(),
        };
        (lacking.missing() > 0).then_some(lacking)
    }
}

impl fmt::Display for Lacking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self
            .shards
            .iter()
            .filter(|(_, (missing, of))| missing == of);
        let whole: Vec<String> = whole.map(|(shard, _)| shard.to_string()).collect();
        let mut parts = match &whole[..] {
            [] => Vec::new(),
            [shard] => vec![format!("shard {shard} is missing")],
            [others @ .., last] => vec![format!(
                "shards {} and {last} are missing",
                others.join(", ")
            )],
        };
        let some = self.shards.iter().filter(|(_, (missing, of))| missing < of);
        parts.extend(
            some.map(|(shard, (missing, of))| format!("shard {shard} lacks {missing} of its {of}")),
        );
        write!(
            f,
            "{}: {}: {} of {} inputs",
            self.run,
            parts.join(", "),
            self.missing(),
            self.inputs
        )
    }
}

/// What the runs by shards of a ledger lack. A run in several ways to divide it is stated by the way
/// that the journal records last.
pub(super) fn find(ledger: &Ledger) -> Result<Vec<Lacking>, Error> {
    let mut runs: Vec<((NetworkId, String, Positions), u32)> = Vec::new();
    let mut verifications: Vec<((VerificationName, Positions), u32)> = Vec::new();
    for entry in ledger.journal()? {
        match (entry.event, entry.network) {
            (
                JournalEvent::Begun {
                    methods,
                    shard: Some(shard),
                    positions: Some(positions),
                    ..
                },
                Some(network),
            ) => {
                for method in methods.split(',') {
                    let run = (network, method.to_owned(), positions.clone());
                    runs.retain(|(known, _)| *known != run);
                    runs.push((run, shard.of()));
                }
            }
            (
                JournalEvent::Verifying {
                    verification,
                    shard: Some(shard),
                    positions: Some(positions),
                    ..
                },
                Some(_),
            ) => {
                let run = (verification, positions);
                verifications.retain(|(known, _)| *known != run);
                verifications.push((run, shard.of()));
            }
            _ => {}
        }
    }
    let networks: BTreeMap<NetworkId, _> = ledger.networks()?.into_iter().collect();
    let mut lacking = Vec::new();
    for ((network, method, positions), of) in runs {
        let Some(record) = networks.get(&network) else {
            continue;
        };
        let whole: Vec<u32> = positions.iter().collect();
        let there = concluded(ledger, network, &method, &whole)?;
        let run = format!("{method} of {}", record.file);
        lacking.extend(Lacking::new(run, &whole, of, &there));
    }
    let names = super::super::journal::verification_names(&ledger.connection);
    let names = names.map_err(|e| ledger.sql(e))?;
    for ((name, positions), of) in verifications {
        let Some((&id, (network, _))) = names.iter().find(|(_, (_, known))| *known == name) else {
            continue;
        };
        let there = ledger.verified_inputs(VerificationId(id))?;
        let whole: Vec<u32> = positions.iter().collect();
        let file = networks.get(&NetworkId(*network));
        let file = file.map_or("", |network| network.file.as_str());
        let run = format!(
            "{} {} by {} of {file}",
            name.kind, name.specification, name.method
        );
        lacking.extend(Lacking::new(
            run,
            &whole,
            of,
            &there.into_iter().flatten().collect(),
        ));
    }
    Ok(lacking)
}

/// Those of some inputs that have certificates by a method. Claims by `auto` name their inputs: of
/// those that name these, every one has to have the certificate. Of several claims by another method
/// the one that has most counts, as others may be of other runs.
fn concluded(
    ledger: &Ledger,
    network: NetworkId,
    method: &str,
    whole: &[u32],
) -> Result<BTreeSet<u32>, Error> {
    let all: BTreeSet<u32> = whole.iter().copied().collect();
    let hash = InputsHash::of(whole);
    let (mut every, mut most) = (None::<BTreeSet<u32>>, BTreeSet::new());
    for of_claim in (ledger.certificates(network)?).chunk_by(|a, b| *a.claim == *b.claim) {
        let claim = &of_claim[0].claim;
        if claim.method() != method {
            continue;
        }
        let there = of_claim.iter().map(|certificate| certificate.idx);
        let there: BTreeSet<u32> = there.filter(|idx| all.contains(idx)).collect();
        match claim.parameters {
            Parameters::Auto { inputs_sha256, .. } if inputs_sha256 == Some(hash) => {
                every = Some(match every {
                    Some(every) => every.intersection(&there).copied().collect(),
                    None => there,
                });
            }
            Parameters::Auto { .. } => {}
            _ if there.len() > most.len() => most = there,
            _ => {}
        }
    }
    Ok(every.unwrap_or(most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_without_inputs_are_not_gone_through() {
        let there = BTreeSet::from([0, 20]);
        let lacking = Lacking::new("certify".to_owned(), &[0, 20, 40], u32::MAX, &there);
        let lacking = lacking.unwrap();
        assert_eq!(lacking.missing(), 1);
        assert_eq!(
            lacking.to_string(),
            "certify: shard 3/4294967295 is missing: 1 of 3 inputs"
        );
        let there = BTreeSet::from([0, 20, 40]);
        assert!(Lacking::new(String::new(), &[0, 20, 40], u32::MAX, &there).is_none());
    }
}
