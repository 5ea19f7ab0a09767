//! Recording which results verifications by bounds have: before a run that they are to come,
//! and when the ledger is closed what they are.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, Row, params};
use sha2::{Digest, Sha256};

use super::super::Ledger;
use super::super::networks::read_network;
use super::super::seal::hash_values;
use super::note;
use crate::journal::{FileHash, JournalEvent, NetworkName, VerificationName};
use crate::records::NetworkId;
use crate::verification::{Verification, VerificationId};
use crate::{Error, Positions, Shard};

/// What a row of `result` holds, as a hash: all of its values but the verification's number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultHash {
    /// The verification's number.
    pub verification: i64,
    /// The input's position; `None` of a file.
    pub idx: Option<u32>,
    /// SHA-256 of the values in the order of the columns, each in the form that the seal hashes.
    pub sha256: [u8; 32],
}

impl Ledger {
    /// Registers a verification of a network, or finds it, as [`Self::add_verification`], and
    /// records in the journal that results of the inputs at these positions, or of a file, are to
    /// come, where there are not all of them yet. With a shard, this ledger is to have those of a
    /// part of the inputs.
    ///
    /// # Panics
    /// If the positions are not strictly ascending.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/example.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let (ledger, _) = example(folder.path())?;
    /// let id = ledger.begin_verification(ledger.base(), &verification(), Some(&[0]), None)?;
    /// assert_eq!(ledger.journal()?.last().unwrap().event.kind(), "verifying");
    /// ledger.put_result(id, &verified(0))?;
    /// let path = ledger.path().to_owned();
    /// ledger.close()?;
    /// let ledger = recert_ledger::Ledger::open_read_only(&path)?;
    /// assert_eq!(ledger.journal()?.last().unwrap().event.kind(), "results");
    /// # Ok(())
    /// # }
    /// ```
    pub fn begin_verification(
        &self,
        network: NetworkId,
        verification: &Verification,
        planned: Option<&[u32]>,
        shard: Option<Shard>,
    ) -> Result<VerificationId, Error> {
        let id = self.add_verification(network, verification)?;
        let there: HashSet<Option<u32>> = self.verified_inputs(id)?.into_iter().collect();
        let complete = match planned {
            Some(positions) => positions.iter().all(|idx| there.contains(&Some(*idx))),
            None => there.contains(&None),
        };
        if complete {
            return Ok(id);
        }
        let write = || {
            let transaction = self.connection.unchecked_transaction()?;
            // What an earlier version verified was not recorded, and is from here on.
            note_results(&transaction)?;
            let Some((_, name)) = names(&transaction)?.remove(&id.0) else {
                return Ok(());
            };
            let event = JournalEvent::Verifying {
                verification: name,
                planned: planned.map_or(1, |positions| positions.len() as u64),
                positions: planned.map(Positions::new),
                shard,
            };
            let body = event.to_json();
            let known: bool = transaction.query_row(
                "SELECT EXISTS (SELECT 1 FROM journal WHERE kind = ?1 AND network = ?2 AND body = ?3)",
                params![event.kind(), network.0, body],
                |row| row.get(0),
            )?;
            if !known {
                note(&transaction, Some(network), &event)?;
            }
            transaction.commit()
        };
        write().map_err(|e| self.sql(e))?;
        Ok(id)
    }

    /// The hashes of all results, in the order of their verifications and inputs.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/example.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let (ledger, _) = example(folder.path())?;
    /// let id = ledger.add_verification(ledger.base(), &verification())?;
    /// ledger.put_result(id, &verified(0))?;
    /// assert_eq!(ledger.result_hashes()?[0].idx, Some(0));
    /// # Ok(())
    /// # }
    /// ```
    pub fn result_hashes(&self) -> Result<Vec<ResultHash>, Error> {
        result_hashes(&self.connection).map_err(|e| self.sql(e))
    }
}

fn result_hashes(connection: &Connection) -> rusqlite::Result<Vec<ResultHash>> {
    // Without the verification's number, which is another where it is made again.
    let mut query = connection.prepare(
        "SELECT verification, idx, verdict, class, answer, margin, decided_by, branches, proof,
         counterexample, micros FROM result ORDER BY verification, idx",
    )?;
    let columns = query.column_count();
    let read = |row: &Row<'_>| {
        let mut hasher = Sha256::new();
        hash_values(&mut hasher, row, 1..columns)?;
        // What is no number is found where rows are checked.
        let number = |column| row.get_ref(column).map(|value| value.as_i64().ok());
        Ok(ResultHash {
            verification: number(0)?.unwrap_or_default(),
            idx: number(1)?.and_then(|idx| u32::try_from(idx).ok()),
            sha256: hasher.finalize().into(),
        })
    };
    query.query_map([], read)?.collect()
}

/// Every verification's name in the journal, with its network's number, by its own.
pub(in crate::ledger) fn names(
    connection: &Connection,
) -> rusqlite::Result<HashMap<i64, (i64, VerificationName)>> {
    let mut query = connection.prepare("SELECT * FROM network")?;
    let networks = query.query_map([], |row| {
        let id: i64 = row.get("id")?;
        Ok((id, NetworkName::new(&read_network(row)?)))
    })?;
    let networks: HashMap<i64, NetworkName> = networks.collect::<rusqlite::Result<_>>()?;
    let mut query = connection
        .prepare("SELECT id, network, kind, specification, method, effort FROM verification")?;
    let named = query.query_map([], |row| {
        let (id, number): (i64, i64) = (row.get(0)?, row.get(1)?);
        let (kind, specification) = (row.get(2)?, row.get(3)?);
        let (method, effort) = (row.get(4)?, row.get(5)?);
        let name = networks.get(&number).map(|network| VerificationName {
            network: network.clone(),
            kind,
            specification,
            method,
            effort,
        });
        Ok(name.map(|name| (id, (number, name))))
    })?;
    named.filter_map(Result::transpose).collect()
}

/// Records what the results of each verification are, where that is not recorded.
pub(in crate::ledger) fn note_results(connection: &Connection) -> rusqlite::Result<()> {
    let mut last: HashMap<VerificationName, String> = HashMap::new();
    // Entries of a network that was removed have none: it may be named and verified again.
    let mut query = connection.prepare(
        "SELECT body FROM journal WHERE kind = 'results' AND network IS NOT NULL ORDER BY id",
    )?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let body: String = row.get(0)?;
        if let JournalEvent::Results { verification, .. } = JournalEvent::read("results", &body) {
            last.insert(verification, body);
        }
    }
    let mut images = connection.prepare("SELECT idx, CAST(sha256 AS TEXT) FROM input")?;
    let images = images.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let images: HashMap<u32, String> = images.collect::<rusqlite::Result<_>>()?;
    let names = names(connection)?;
    let all = result_hashes(connection)?;
    for of_one in all.chunk_by(|a, b| a.verification == b.verification) {
        let Some((network, name)) = names.get(&of_one[0].verification) else {
            continue;
        };
        let positions: Option<Vec<u32>> = of_one.iter().map(|result| result.idx).collect();
        let images = positions.as_ref().map(|positions| {
            let image = |idx| images.get(idx).map_or("", String::as_str);
            FileHash::of_images(positions.iter().map(image))
        });
        let event = JournalEvent::Results {
            verification: name.clone(),
            results: of_one.len() as u64,
            positions: positions.as_deref().map(Positions::new),
            images_sha256: images,
            results_sha256: FileHash::of_hashes(of_one.iter().map(|result| &result.sha256)),
        };
        if last.get(name) != Some(&event.to_json()) {
            note(connection, Some(NetworkId(*network)), &event)?;
        }
    }
    Ok(())
}
