//! Recording and reading the journal.

mod results;

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, Row, params};

use super::conclusions::read_claim;
use super::networks::{insert_network, read_network};
use super::{Ledger, unsigned};
use crate::journal::{Answered, FileHash, HeaderRecord, JournalEntry, JournalEvent, NetworkName};
use crate::records::{Header, Network, NetworkId, Stream, Task};
use crate::{Error, InputsHash, Positions};

pub use results::ResultHash;
pub(super) use results::{names as verification_names, note_results};

impl Ledger {
    /// Registers networks, or finds them, and returns their numbers. Those that the ledger
    /// does not have yet are recorded in the journal as named together, with the answers that
    /// there are at this time.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/example.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// use recert_ledger::JournalEvent;
    ///
    /// # let (ledger, series) = example(folder.path())?;
    /// ledger.name_networks(&[network("pruned.onnx"), network("int8.onnx")])?;
    /// // The first entry names f, the second has the header.
    /// let entry = &ledger.journal()?[2];
    /// let JournalEvent::Named { networks, .. } = &entry.event else {
    ///     unreachable!()
    /// };
    /// assert_eq!(networks.len(), 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn name_networks(&self, networks: &[Network]) -> Result<Vec<NetworkId>, Error> {
        let name = || {
            let transaction = self.connection.unchecked_transaction()?;
            let numbers = name_networks(&transaction, networks)?;
            transaction.commit()?;
            Ok(numbers)
        };
        name().map_err(|e| self.sql(e))
    }

    /// Adds an entry to the journal, about `network` if it is about one, and returns its
    /// number.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/example.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// use recert_ledger::JournalEvent;
    ///
    /// # let (ledger, series) = example(folder.path())?;
    /// let event = JournalEvent::Held {
    ///     engine: "rten 0.27.0, float32".into(),
    ///     reference: "reference interpreter".into(),
    ///     images: 4,
    ///     largest_difference: 2.5e-6,
    ///     tolerance: 0.001,
    ///     details: "noisy images of the data".into(),
    /// };
    /// let id = ledger.note(Some(ledger.base()), &event)?;
    /// assert_eq!(ledger.journal()?[id as usize - 1].event, event);
    /// # Ok(())
    /// # }
    /// ```
    pub fn note(&self, network: Option<NetworkId>, event: &JournalEvent) -> Result<u64, Error> {
        note(&self.connection, network, event).map_err(|e| self.sql(e))
    }

    /// All entries of the journal, the first one first. Ledgers of versions before 3 have
    /// none.
    pub fn journal(&self) -> Result<Vec<JournalEntry>, Error> {
        self.rows("SELECT * FROM journal ORDER BY id", [], |row| {
            let (kind, body): (String, String) = (row.get("kind")?, row.get("body")?);
            Ok(JournalEntry {
                id: unsigned(row, "id")?,
                seconds: unsigned(row, "seconds")?,
                network: row.get::<_, Option<i64>>("network")?.map(NetworkId),
                event: JournalEvent::read(&kind, &body),
            })
        })
    }
}

/// Registers networks, and names those that are new in one entry.
pub(super) fn name_networks(
    connection: &Connection,
    networks: &[Network],
) -> rusqlite::Result<Vec<NetworkId>> {
    let (answered, fresh) = (answered(connection)?, first_fresh(connection)?);
    let mut new = Vec::new();
    let mut numbers = Vec::new();
    for network in networks {
        let (number, is_new) = insert_network(connection, network)?;
        if is_new {
            new.push(NetworkName::new(network));
        }
        numbers.push(number);
    }
    if !new.is_empty() {
        let event = JournalEvent::Named {
            networks: new,
            answered,
            fresh,
        };
        note(connection, None, &event)?;
    }
    Ok(numbers)
}

/// Records that a ledger of a version without a journal was upgraded.
pub(super) fn note_upgrade(connection: &Connection, from: i64) -> rusqlite::Result<()> {
    let event = JournalEvent::Upgraded {
        from,
        answered: answered(connection)?,
        fresh: first_fresh(connection)?,
    };
    note(connection, None, &event).map(|_| ())
}

/// Records the header, where that is not recorded. One without noise has nothing to record.
pub(super) fn note_header(connection: &Connection, header: &Header) -> rusqlite::Result<()> {
    if header.task == Task::Verify {
        return Ok(());
    }
    let recorded = "SELECT EXISTS (SELECT 1 FROM journal WHERE kind = 'header')";
    if connection.query_row(recorded, [], |row| row.get(0))? {
        return Ok(());
    }
    let event = JournalEvent::Header(HeaderRecord::new(header));
    note(connection, None, &event).map(|_| ())
}

/// Records, for each claim, which inputs have its certificates, where that is not recorded.
pub(super) fn note_conclusions(connection: &Connection) -> rusqlite::Result<()> {
    let mut last: HashMap<(i64, String), String> = HashMap::new();
    let mut query = connection.prepare(
        "SELECT network, body FROM journal WHERE kind = 'concluded' AND network IS NOT NULL
         ORDER BY id",
    )?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let (network, body): (i64, String) = (row.get(0)?, row.get(1)?);
        if let Some(claim) = JournalEvent::read("concluded", &body).claim() {
            last.insert((network, claim), body);
        }
    }
    let mut query = connection.prepare("SELECT * FROM network")?;
    let names = query.query_map([], |row| {
        let id: i64 = row.get("id")?;
        Ok((id, NetworkName::new(&read_network(row)?)))
    })?;
    let names: HashMap<i64, NetworkName> = names.collect::<rusqlite::Result<_>>()?;
    let mut query = connection.prepare("SELECT * FROM claim ORDER BY id")?;
    let claims = query.query_map([], |row| {
        let (id, network): (i64, i64) = (row.get("id")?, row.get("network")?);
        Ok((id, network, read_claim(row)?))
    })?;
    let mut inputs = connection.prepare(
        "SELECT certificate.idx, coalesce(CAST(input.sha256 AS TEXT), '')
         FROM certificate LEFT JOIN input USING (idx) WHERE claim = ?1 ORDER BY certificate.idx",
    )?;
    for (id, network, claim) in claims.collect::<rusqlite::Result<Vec<_>>>()? {
        let inputs = inputs.query_map([id], |row| {
            Ok((row.get::<_, u32>(0)?, row.get::<_, String>(1)?))
        })?;
        let inputs = inputs.collect::<rusqlite::Result<Vec<_>>>()?;
        let (inputs, images): (Vec<u32>, Vec<String>) = inputs.into_iter().unzip();
        let event = JournalEvent::Concluded {
            method: claim.method().to_owned(),
            samples: claim.samples,
            alpha: claim.alpha,
            parameters: claim.parameters.to_json(),
            inputs: inputs.len() as u64,
            inputs_sha256: InputsHash::of(&inputs),
            positions: Some(Positions::new(&inputs)),
            images_sha256: Some(FileHash::of_images(images.iter().map(String::as_str))),
            network: names.get(&network).cloned(),
        };
        let known = event.claim().and_then(|claim| last.get(&(network, claim)));
        if inputs.is_empty() && known.is_none() || known == Some(&event.to_json()) {
            continue;
        }
        note(connection, Some(NetworkId(network)), &event)?;
    }
    Ok(())
}

pub(super) fn note(
    connection: &Connection,
    network: Option<NetworkId>,
    event: &JournalEvent,
) -> rusqlite::Result<u64> {
    // A clock that is set before 1970 counts as 1970.
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let seconds = now.map_or(0, |since| since.as_secs());
    connection.execute(
        "INSERT INTO journal VALUES ((SELECT coalesce(max(id), 0) + 1 FROM journal), ?1, ?2, ?3, ?4)",
        params![
            seconds as i64,
            event.kind(),
            network.map(|network| network.0),
            event.to_json(),
        ],
    )?;
    Ok(connection.last_insert_rowid() as u64)
}

/// The networks that have answers, with how many.
pub(super) fn answered(connection: &Connection) -> rusqlite::Result<Vec<Answered>> {
    let mut query = connection.prepare(
        "SELECT network.*, counted.answers AS answers FROM network JOIN
         (SELECT network, sum(copies) AS answers
          FROM (SELECT network, copies FROM answers UNION ALL SELECT network, copies FROM chosen)
          GROUP BY network) AS counted ON counted.network = network.id
         ORDER BY network.id",
    )?;
    let read = |row: &Row<'_>| {
        Ok(Answered {
            network: NetworkName::new(&read_network(row)?),
            answers: unsigned(row, "answers")?,
        })
    };
    query.query_map([], read)?.collect()
}

/// The first fresh sample that no network has answered, nor any after it, on any input.
pub(super) fn first_fresh(connection: &Connection) -> rusqlite::Result<u64> {
    connection.query_row(
        "SELECT max((SELECT coalesce(max(first + copies), 0) FROM answers WHERE stream = ?1),
                    (SELECT coalesce(max(last + 1), 0) FROM chosen WHERE stream = ?1)) AS fresh",
        [Stream::FRESH.0],
        |row| unsigned(row, "fresh"),
    )
}
