//! Recording and reading the run's header, networks, inputs and selections.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{Ledger, unsigned};
use crate::records::{Engine, Header, Input, Network, NetworkId, Selection, Task, hex, parse_hex};
use crate::{Error, ErrorKind, json};

impl Ledger {
    /// Registers a network (or finds it) and returns its number. A network that the ledger
    /// does not have yet is recorded in the journal as named by itself; use
    /// [`Ledger::name_networks`] for several of which one will be chosen.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/example.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let (ledger, series) = example(folder.path())?;
    /// let h = ledger.add_network(&network("pruned.onnx"))?;
    /// assert_eq!(ledger.add_network(&network("pruned.onnx"))?, h);
    /// # Ok(())
    /// # }
    /// ```
    pub fn add_network(&self, network: &Network) -> Result<NetworkId, Error> {
        let numbers = self.name_networks(std::slice::from_ref(network))?;
        Ok(numbers[0])
    }

    /// All networks that were named to this ledger, f first.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/example.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let (ledger, series) = example(folder.path())?;
    /// let h = ledger.add_network(&network("pruned.onnx"))?;
    /// let files = ledger.networks()?.into_iter().map(|(id, network)| (id, network.file));
    /// let expected = [(ledger.base(), "f.onnx".to_owned()), (h, "pruned.onnx".to_owned())];
    /// assert!(files.eq(expected));
    /// # Ok(())
    /// # }
    /// ```
    pub fn networks(&self) -> Result<Vec<(NetworkId, Network)>, Error> {
        self.rows("SELECT * FROM network ORDER BY id", [], |row| {
            Ok((NetworkId(row.get("id")?), read_network(row)?))
        })
    }

    /// Registers an input, or checks that its bytes are those registered.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/example.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let (ledger, series) = example(folder.path())?;
    /// ledger.add_input(&input(7))?;
    /// ledger.add_input(&input(7))?;
    /// let other = Input { sha256: [9; 32], ..input(7) };
    /// assert!(ledger.add_input(&other).is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn add_input(&self, input: &Input) -> Result<(), Error> {
        if let Some(recorded) = self.input(input.idx)? {
            if recorded.sha256 != input.sha256 {
                let message = format!(
                    "belongs to other data: input {} has SHA-256 {} in the ledger, {} given (a \
                     new run needs another ledger)",
                    input.idx,
                    hex(&recorded.sha256),
                    hex(&input.sha256),
                );
                return Err(Error::new(ErrorKind::OtherData, &self.path, message));
            }
            return Ok(());
        }
        self.execute(
            "INSERT INTO input VALUES (?1, ?2, ?3, ?4)",
            params![input.idx, hex(&input.sha256), input.label, input.name],
        )
    }

    /// The input at position `idx` of the set, if registered.
    pub fn input(&self, idx: u32) -> Result<Option<Input>, Error> {
        let mut found = self.rows("SELECT * FROM input WHERE idx = ?1", [idx], read_input)?;
        Ok(found.pop())
    }

    /// All inputs, in order of position.
    pub fn inputs(&self) -> Result<Vec<Input>, Error> {
        self.rows("SELECT * FROM input ORDER BY idx", [], read_input)
    }

    /// Records the outcome of the selection samples.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/example.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let (ledger, series) = example(folder.path())?;
    /// ledger.add_input(&input(7))?;
    /// ledger.put_selection(ledger.base(), 7, &selection())?;
    /// assert_eq!(ledger.selection(ledger.base(), 7)?, Some(selection()));
    /// # Ok(())
    /// # }
    /// ```
    pub fn put_selection(
        &self,
        network: NetworkId,
        idx: u32,
        selection: &Selection,
    ) -> Result<(), Error> {
        let counts = json::write_plain(&selection.counts);
        let edges = selection.edges.as_ref().map(json::write_plain);
        self.execute(
            "INSERT OR IGNORE INTO selection VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                network.0,
                idx,
                selection.samples as i64,
                counts,
                selection.invalid as i64,
                selection.class,
                edges,
                selection.micros as i64,
            ],
        )
    }

    /// The outcome of the selection samples, if drawn.
    pub fn selection(&self, network: NetworkId, idx: u32) -> Result<Option<Selection>, Error> {
        let mut found = self.rows(
            "SELECT * FROM selection WHERE network = ?1 AND idx = ?2",
            params![network.0, idx],
            |row| {
                let text = |column: &str| row.get::<_, Option<String>>(column);
                let counts = text("counts")?.unwrap_or_default();
                let edges = text("edges")?;
                Ok(Selection {
                    samples: unsigned(row, "copies")?,
                    counts: read_plain(&counts)?,
                    invalid: unsigned(row, "invalid")?,
                    class: row.get("class")?,
                    edges: edges.as_deref().map(read_plain).transpose()?,
                    micros: unsigned(row, "micros")?,
                })
            },
        )?;
        Ok(found.pop())
    }
}

/// The header, or `None` if its text fields are not what they should be.
pub(super) fn read_header(
    connection: &Connection,
) -> rusqlite::Result<Option<(Header, NetworkId)>> {
    let run = connection
        .query_row("SELECT * FROM run WHERE id = 1", [], |row| {
            let task: String = row.get("task")?;
            let seed: String = row.get("seed")?;
            let network: i64 = row.get("network")?;
            let task = match task.as_str() {
                "certify" => Some(Task::Certify),
                "predict" => Some(Task::Predict),
                "verify" => Some(Task::Verify),
                _ => None,
            };
            let (Some(task), Ok(seed)) = (task, seed.parse()) else {
                return Ok(None);
            };
            let network_row = connection.query_row(
                "SELECT * FROM network WHERE id = ?1",
                [network],
                read_network,
            )?;
            let header = Header {
                task,
                sigma: row.get("sigma")?,
                n0: unsigned(row, "n0")?,
                n: unsigned(row, "n")?,
                alpha: row.get("alpha")?,
                generator: row.get("generator")?,
                seed,
                network: network_row,
                data: row.get("data")?,
                shape: [row.get("channels")?, row.get("height")?, row.get("width")?],
            };
            Ok(Some((header, NetworkId(network))))
        })
        .optional()?;
    Ok(run.flatten())
}

/// Registers a network, and returns its number and whether it is new.
pub(super) fn insert_network(
    connection: &Connection,
    network: &Network,
) -> rusqlite::Result<(NetworkId, bool)> {
    let n = network;
    let inserted = connection.execute(
        "INSERT OR IGNORE INTO network
         (sha256, file, bytes, engine, engine_version, precision, batch_invariant, preprocess,
          output, classes, note)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        params![
            hex(&n.sha256),
            n.file,
            n.bytes as i64,
            n.engine.name,
            n.engine.version,
            n.engine.arithmetic,
            n.batch_invariant,
            n.preprocess,
            n.output,
            n.classes,
            n.note,
        ],
    )?;
    connection.query_row(
        "SELECT id FROM network WHERE sha256 = ?1 AND engine = ?2 AND engine_version = ?3
         AND precision = ?4 AND preprocess = ?5 AND output = ?6",
        params![
            hex(&n.sha256),
            n.engine.name,
            n.engine.version,
            n.engine.arithmetic,
            n.preprocess,
            n.output
        ],
        |row| Ok((NetworkId(row.get(0)?), inserted > 0)),
    )
}

pub(super) fn read_network(row: &Row<'_>) -> rusqlite::Result<Network> {
    Ok(Network {
        sha256: hash(row, "sha256")?,
        file: row.get("file")?,
        bytes: unsigned(row, "bytes")?,
        engine: Engine {
            name: row.get("engine")?,
            version: row.get("engine_version")?,
            arithmetic: row.get("precision")?,
        },
        batch_invariant: row.get("batch_invariant")?,
        preprocess: row.get("preprocess")?,
        output: row.get("output")?,
        classes: row.get("classes")?,
        note: row.get("note")?,
    })
}

fn read_input(row: &Row<'_>) -> rusqlite::Result<Input> {
    Ok(Input {
        idx: row.get("idx")?,
        sha256: hash(row, "sha256")?,
        label: row.get("label")?,
        name: row.get("name")?,
    })
}

fn hash(row: &Row<'_>, column: &str) -> rusqlite::Result<[u8; 32]> {
    let text: String = row.get(column)?;
    parse_hex(&text).ok_or_else(|| malformed(format!("'{text}' is not a SHA-256")))
}

pub(super) fn read_plain<T: serde::de::DeserializeOwned>(text: &str) -> rusqlite::Result<T> {
    json::read_plain(text).map_err(malformed)
}

fn malformed(problem: String) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, problem.into())
}
