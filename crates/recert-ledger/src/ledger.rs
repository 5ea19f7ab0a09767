//! The ledger itself: opening, binding, reading and writing.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, params};

use crate::codes::{self, Codes};
use crate::lock::Lock;
use crate::records::{
    Certificate, Claim, Header, Input, Network, NetworkId, Selection, Stream, Task, hex, parse_hex,
};
use crate::schema::{APPLICATION_ID, CREATE, SCHEMA_VERSION};
use crate::{Error, ErrorKind};

/// Chunks are merged into segments of up to this many copies once an input is
/// done; a multiple of any sensible chunk, small enough to decode at once.
const SEGMENT: u64 = 1 << 16;

/// An open ledger.
#[derive(Debug)]
pub struct Ledger {
    connection: Connection,
    path: PathBuf,
    header: Header,
    network: NetworkId,
    lock: Option<Lock>,
}

/// Which answers: of which network, on which input, from which noise stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Series {
    /// The network that answered.
    pub network: NetworkId,
    /// The input's position.
    pub idx: u32,
    /// The noise stream of the copies.
    pub stream: Stream,
}

impl Ledger {
    /// Creates the ledger of a new run, or opens an existing one to resume it.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`] if the ledger there is of another run; the
    /// message says which of network, sigma, n0, n, alpha, seed, ... differs.
    pub fn resume(path: &Path, header: &Header) -> Result<Self, Error> {
        if !path.exists() || is_unborn(path) {
            return Self::make(path, header);
        }
        let ledger = Self::open(path)?;
        ledger.check(header)?;
        Ok(ledger)
    }

    /// Creates the ledger of a new run; the file must not exist.
    pub fn create(path: &Path, header: &Header) -> Result<Self, Error> {
        if path.exists() {
            let message = "exists already: choose another name, or resume it";
            return Err(Error::new(ErrorKind::Open, path, message));
        }
        Self::make(path, header)
    }

    fn make(path: &Path, header: &Header) -> Result<Self, Error> {
        if let Some(folder) = path
            .parent()
            .filter(|p| !p.as_os_str().is_empty() && !p.is_dir())
        {
            let message = format!("cannot be created: there is no folder {}", folder.display());
            return Err(Error::new(ErrorKind::Open, path, message));
        }
        let lock = Lock::take(path)?;
        let sql = |source| Error::sql(path, source);
        let mut connection = Connection::open(path).map_err(sql)?;
        configure(&connection).map_err(sql)?;
        let create = |connection: &mut Connection| {
            let transaction = connection.transaction()?;
            transaction.execute_batch(CREATE)?;
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
            transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
            let network = insert_network(&transaction, &header.network)?;
            transaction.execute(
                "INSERT INTO run VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
                params![
                    header.task.name(),
                    header.sigma,
                    header.n0 as i64,
                    header.n as i64,
                    header.alpha,
                    header.generator,
                    header.seed.to_string(),
                    network.0,
                    header.data,
                    header.shape[0],
                    header.shape[1],
                    header.shape[2],
                    concat!("recert ", env!("CARGO_PKG_VERSION")),
                ],
            )?;
            transaction.commit()?;
            Ok(network)
        };
        let network = create(&mut connection).map_err(sql)?;
        Ok(Self {
            connection,
            path: path.to_owned(),
            header: header.clone(),
            network,
            lock: Some(lock),
        })
    }

    /// Opens an existing ledger for reading and writing.
    pub fn open(path: &Path) -> Result<Self, Error> {
        exists(path)?;
        let lock = Lock::take(path)?;
        let mut ledger = Self::read(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        ledger.lock = Some(lock);
        configure(&ledger.connection).map_err(|e| ledger.sql(e))?;
        Ok(ledger)
    }

    /// Opens an existing ledger for reading only, also while another process
    /// writes to it.
    pub fn open_read_only(path: &Path) -> Result<Self, Error> {
        exists(path)?;
        // The write-ahead log of a run that was killed can only be replayed
        // with write access; without that access the file is complete as it is.
        Self::read(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
            .or_else(|_| Self::read(path, OpenFlags::SQLITE_OPEN_READ_ONLY))
    }

    fn read(path: &Path, flags: OpenFlags) -> Result<Self, Error> {
        let sql = |source| Error::sql(path, source);
        let corrupt = |message: &str| Error::new(ErrorKind::Corrupt, path, message);
        let connection = Connection::open_with_flags(path, flags).map_err(sql)?;
        let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get(0));
        let application: i64 = pragma("application_id").map_err(sql)?;
        if application != APPLICATION_ID {
            return Err(corrupt("is not a recert ledger"));
        }
        let version: i64 = pragma("user_version").map_err(sql)?;
        if version > SCHEMA_VERSION {
            let message = format!(
                "was written by a newer recert (schema {version}, this one knows {SCHEMA_VERSION}): \
                 use that version or a later one"
            );
            return Err(Error::new(ErrorKind::TooNew, path, message));
        }
        let check: String = connection
            .pragma_query_value(None, "quick_check", |row| row.get(0))
            .map_err(sql)?;
        if check != "ok" {
            return Err(corrupt(&format!("is damaged: {check}")));
        }
        let (header, network) = read_header(&connection)
            .map_err(sql)?
            .ok_or_else(|| corrupt("has a malformed header"))?;
        Ok(Self {
            connection,
            path: path.to_owned(),
            header,
            network,
            lock: None,
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the run binds to.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The network the run certified, f.
    pub fn base(&self) -> NetworkId {
        self.network
    }

    /// Checks that `header` describes this ledger's run.
    pub fn check(&self, header: &Header) -> Result<(), Error> {
        let (own, given) = (&self.header, header);
        let (f, g) = (&own.network, &given.network);
        let pairs = [
            (
                "the task",
                own.task.name().to_owned(),
                given.task.name().to_owned(),
            ),
            ("the model file (SHA-256)", hex(&f.sha256), hex(&g.sha256)),
            (
                "the model's preprocessing",
                f.preprocess.clone(),
                g.preprocess.clone(),
            ),
            ("the model's output", f.output.clone(), g.output.clone()),
            ("the engine", f.engine.clone(), g.engine.clone()),
            (
                "the engine's version",
                f.engine_version.clone(),
                g.engine_version.clone(),
            ),
            (
                "the engine's precision",
                f.precision.clone(),
                g.precision.clone(),
            ),
            ("sigma", own.sigma.to_string(), given.sigma.to_string()),
            ("n0", own.n0.to_string(), given.n0.to_string()),
            ("n", own.n.to_string(), given.n.to_string()),
            ("alpha", own.alpha.to_string(), given.alpha.to_string()),
            (
                "the noise generator",
                own.generator.clone(),
                given.generator.clone(),
            ),
            ("the seed", own.seed.to_string(), given.seed.to_string()),
            (
                "the image shape",
                format!("{:?}", own.shape),
                format!("{:?}", given.shape),
            ),
        ];
        let differing: Vec<_> = pairs
            .iter()
            .filter(|(_, own, given)| own != given)
            .map(|(what, own, given)| format!("{what}: {own} in the ledger, {given} given"))
            .collect();
        if differing.is_empty() {
            return Ok(());
        }
        let message = format!(
            "is of another run; it differs in {} (use another --ledger for a new run)",
            differing.join("; ")
        );
        Err(Error::new(ErrorKind::Mismatch, &self.path, message))
    }

    /// Registers a network (or finds it) and returns its number.
    pub fn add_network(&self, network: &Network) -> Result<NetworkId, Error> {
        insert_network(&self.connection, network).map_err(|e| self.sql(e))
    }

    /// All networks with answers here, f first.
    pub fn networks(&self) -> Result<Vec<(NetworkId, Network)>, Error> {
        self.rows("SELECT * FROM network ORDER BY id", [], |row| {
            Ok((NetworkId(row.get("id")?), read_network(row)?))
        })
    }

    /// Registers an input, or checks that its bytes are those registered.
    pub fn add_input(&self, input: &Input) -> Result<(), Error> {
        if let Some(known) = self.input(input.idx)? {
            if known.sha256 != input.sha256 {
                let message = format!(
                    "is of other data: input {} has SHA-256 {} in the ledger, {} given (see --data; \
                     a new run needs another --ledger)",
                    input.idx,
                    hex(&known.sha256),
                    hex(&input.sha256),
                );
                return Err(Error::new(ErrorKind::Mismatch, &self.path, message));
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

    /// Records the outcome of the selection copies.
    pub fn put_selection(
        &self,
        network: NetworkId,
        idx: u32,
        selection: &Selection,
    ) -> Result<(), Error> {
        let counts = serde_json::to_string(&selection.counts).expect("counts are JSON");
        let edges = selection
            .edges
            .as_ref()
            .map(|edges| serde_json::to_string(edges).expect("edges are finite"));
        self.execute(
            "INSERT OR IGNORE INTO selection VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                network.0,
                idx,
                selection.copies as i64,
                counts,
                selection.invalid as i64,
                selection.class,
                edges,
                selection.micros as i64,
            ],
        )
    }

    /// The outcome of the selection copies, if drawn.
    pub fn selection(&self, network: NetworkId, idx: u32) -> Result<Option<Selection>, Error> {
        let mut found = self.rows(
            "SELECT * FROM selection WHERE network = ?1 AND idx = ?2",
            params![network.0, idx],
            |row| {
                let json = |column: &str| row.get::<_, Option<String>>(column);
                let counts = json("counts")?.unwrap_or_default();
                let edges = json("edges")?;
                Ok(Selection {
                    copies: unsigned(row, "copies")?,
                    counts: parse_json(&counts)?,
                    invalid: unsigned(row, "invalid")?,
                    class: row.get("class")?,
                    edges: edges.as_deref().map(parse_json).transpose()?,
                    micros: unsigned(row, "micros")?,
                })
            },
        )?;
        Ok(found.pop())
    }

    /// Records the answers on the copies from `first` on: one transaction.
    ///
    /// `class` is the class whose margins are coded (f's selected class);
    /// needed only where `answers` has margins.
    pub fn put_answers(
        &self,
        series: Series,
        first: u64,
        answers: &Codes,
        class: u16,
        micros: u64,
    ) -> Result<(), Error> {
        let (classes, margins) = encode(answers, class);
        self.execute(
            "INSERT INTO answers VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                series.network.0,
                series.idx,
                series.stream.0,
                first as i64,
                answers.classes.len() as i64,
                classes,
                margins,
                micros as i64,
            ],
        )
    }

    /// The ranges of copies answered so far, ascending and merged.
    pub fn answered(&self, series: Series) -> Result<Vec<Range<u64>>, Error> {
        let pieces = self.rows(
            "SELECT first, copies FROM answers
             WHERE network = ?1 AND idx = ?2 AND stream = ?3 ORDER BY first",
            params![series.network.0, series.idx, series.stream.0],
            |row| Ok((unsigned(row, "first")?, unsigned(row, "copies")?)),
        )?;
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for (first, copies) in pieces {
            match ranges.last_mut() {
                Some(last) if last.end == first => last.end += copies,
                _ => ranges.push(first..first + copies),
            }
        }
        Ok(ranges)
    }

    /// The answers on copies `0..copies`, and the time they took in
    /// microseconds of one worker (in proportion where a stored piece reaches
    /// beyond `copies`).
    ///
    /// # Errors
    /// [`ErrorKind::Missing`] if any of them has not been answered yet.
    pub fn answers(&self, series: Series, copies: u64) -> Result<(Codes, u64), Error> {
        let class = self
            .selection(series.network, series.idx)?
            .map_or(0, |selection| selection.class);
        let pieces = self.rows(
            "SELECT first, copies, classes, margins, micros FROM answers
             WHERE network = ?1 AND idx = ?2 AND stream = ?3 AND first < ?4 ORDER BY first",
            params![series.network.0, series.idx, series.stream.0, copies as i64],
            |row| {
                Ok((
                    unsigned(row, "first")?,
                    unsigned(row, "copies")?,
                    row.get::<_, Vec<u8>>("classes")?,
                    row.get::<_, Option<Vec<u8>>>("margins")?,
                    unsigned(row, "micros")?,
                ))
            },
        )?;
        let mut all = Codes::default();
        let mut time = 0;
        for (first, count, classes, margins, micros) in pieces {
            if first != all.classes.len() as u64 {
                break;
            }
            let mut piece = decode(&classes, margins.as_deref(), count, class).map_err(|what| {
                let message = format!(
                    "is damaged: the answers of input {} from copy {first}: the blob {what}",
                    series.idx
                );
                Error::new(ErrorKind::Corrupt, &self.path, message)
            })?;
            let used = count.min(copies - first);
            piece.classes.truncate(used as usize);
            if let Some(margins) = &mut piece.margins {
                margins.truncate(used as usize);
            }
            time += (u128::from(micros) * u128::from(used) / u128::from(count.max(1))) as u64;
            all.extend(piece);
        }
        if (all.classes.len() as u64) < copies {
            let message = format!(
                "has only {} of {copies} copies of input {}",
                all.classes.len(),
                series.idx
            );
            return Err(Error::new(ErrorKind::Missing, &self.path, message));
        }
        Ok((all, time))
    }

    /// Merges the pieces of a finished series into few segments and records
    /// what was concluded: one transaction.
    pub fn conclude(&mut self, series: Series, certificates: &[Certificate]) -> Result<(), Error> {
        let segments = self.segments(series)?;
        let path = &self.path;
        let write = |connection: &mut Connection| -> rusqlite::Result<()> {
            let transaction = connection.transaction()?;
            for (first, copies, answers, class, micros) in segments {
                transaction.execute(
                    "DELETE FROM answers WHERE network = ?1 AND idx = ?2 AND stream = ?3
                     AND first >= ?4 AND first < ?5",
                    params![
                        series.network.0,
                        series.idx,
                        series.stream.0,
                        first as i64,
                        (first + copies) as i64
                    ],
                )?;
                let (classes, margins) = encode(&answers, class);
                transaction.execute(
                    "INSERT INTO answers VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                    params![
                        series.network.0,
                        series.idx,
                        series.stream.0,
                        first as i64,
                        copies as i64,
                        classes,
                        margins,
                        micros as i64
                    ],
                )?;
            }
            for c in certificates {
                let claim = insert_claim(&transaction, series.network, &c.claim)?;
                transaction.execute(
                    "INSERT OR REPLACE INTO certificate VALUES
                     (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                    params![
                        claim,
                        c.idx,
                        c.class,
                        c.radius,
                        c.p_lower,
                        c.bound,
                        c.counts,
                        c.evaluations as i64,
                        c.micros as i64,
                    ],
                )?;
            }
            transaction.commit()
        };
        write(&mut self.connection).map_err(|source| Error::sql(path, source))
    }

    /// The groups of adjacent pieces worth merging, decoded.
    #[expect(
        clippy::type_complexity,
        reason = "a private tuple, taken apart at once"
    )]
    fn segments(&self, series: Series) -> Result<Vec<(u64, u64, Codes, u16, u64)>, Error> {
        let class = self
            .selection(series.network, series.idx)?
            .map_or(0, |selection| selection.class);
        let pieces = self.rows(
            "SELECT first, copies, classes, margins, micros FROM answers
             WHERE network = ?1 AND idx = ?2 AND stream = ?3 AND copies < ?4 ORDER BY first",
            params![
                series.network.0,
                series.idx,
                series.stream.0,
                SEGMENT as i64
            ],
            |row| {
                Ok((
                    unsigned(row, "first")?,
                    unsigned(row, "copies")?,
                    row.get::<_, Vec<u8>>("classes")?,
                    row.get::<_, Option<Vec<u8>>>("margins")?,
                    unsigned(row, "micros")?,
                ))
            },
        )?;
        let mut segments: Vec<(u64, u64, Codes, u16, u64)> = Vec::new();
        let mut merged = Vec::new();
        for (first, copies, classes, margins, micros) in pieces {
            let piece = decode(&classes, margins.as_deref(), copies, class).map_err(|what| {
                let message = format!("is damaged: the blob of input {} {what}", series.idx);
                Error::new(ErrorKind::Corrupt, &self.path, message)
            })?;
            match segments.last_mut() {
                Some((start, length, codes, _, time))
                    if *start + *length == first && *length + copies <= SEGMENT =>
                {
                    *length += copies;
                    *time += micros;
                    codes.extend(piece);
                    *merged.last_mut().expect("one flag a segment") = true;
                }
                _ => {
                    segments.push((first, copies, piece, class, micros));
                    merged.push(false);
                }
            }
        }
        let mut flags = merged.into_iter();
        segments.retain(|_| flags.next().unwrap_or(false));
        Ok(segments)
    }

    /// All certificates of a network, ordered by claim (method, alpha,
    /// parameters, copies), then by input. Certificates of one claim share it.
    pub fn certificates(&self, network: NetworkId) -> Result<Vec<Certificate>, Error> {
        let mut last: Option<(i64, Arc<Claim>)> = None;
        self.rows(
            "SELECT * FROM claim JOIN certificate ON claim.id = certificate.claim
             WHERE network = ?1 ORDER BY method, alpha, parameters, copies, claim.id, idx",
            [network.0],
            |row| {
                let id: i64 = row.get("id")?;
                let claim = match &last {
                    Some((of, claim)) if *of == id => Arc::clone(claim),
                    _ => {
                        let claim = Arc::new(read_claim(row)?);
                        last = Some((id, Arc::clone(&claim)));
                        claim
                    }
                };
                Ok(Certificate {
                    idx: row.get("idx")?,
                    claim,
                    class: row.get("class")?,
                    radius: row.get("radius")?,
                    p_lower: row.get("p_lower")?,
                    bound: row.get("bound")?,
                    counts: row.get("counts")?,
                    evaluations: unsigned(row, "evaluations")?,
                    micros: unsigned(row, "micros")?,
                })
            },
        )
    }

    /// Bytes stored for the classes and for the margins of a network's
    /// answers, and the number of copies they are of.
    pub fn stored_bytes(&self, network: NetworkId) -> Result<(u64, u64, u64), Error> {
        let sums = self.rows(
            "SELECT coalesce(sum(length(classes)), 0) AS classes,
                    coalesce(sum(length(margins)), 0) AS margins,
                    coalesce(sum(copies), 0) AS copies
             FROM answers WHERE network = ?1",
            [network.0],
            |row| {
                Ok((
                    unsigned(row, "classes")?,
                    unsigned(row, "margins")?,
                    unsigned(row, "copies")?,
                ))
            },
        )?;
        Ok(sums[0])
    }

    /// Closes the ledger so that the one file holds everything and can be
    /// copied: the write-ahead log is folded in and removed.
    pub fn close(self) -> Result<(), Error> {
        if self.lock.is_some() {
            self.connection
                .pragma_update(None, "journal_mode", "DELETE")
                .map_err(|e| self.sql(e))?;
        }
        let path = self.path;
        self.connection
            .close()
            .map_err(|(_, source)| Error::sql(&path, source))
    }

    fn sql(&self, source: rusqlite::Error) -> Error {
        Error::sql(&self.path, source)
    }

    fn execute(&self, sql: &str, parameters: impl rusqlite::Params) -> Result<(), Error> {
        let run = || self.connection.prepare_cached(sql)?.execute(parameters);
        run().map(|_| ()).map_err(|e| self.sql(e))
    }

    fn rows<T>(
        &self,
        sql: &str,
        parameters: impl rusqlite::Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, Error> {
        let run = || {
            self.connection
                .prepare_cached(sql)?
                .query_map(parameters, read)?
                .collect::<rusqlite::Result<Vec<T>>>()
        };
        run().map_err(|e| self.sql(e))
    }
}

fn exists(path: &Path) -> Result<(), Error> {
    if path.is_file() {
        return Ok(());
    }
    let message = if path.exists() {
        "is no file: give the name of the ledger itself"
    } else {
        "there is no such file: certify a network first (`recert certify --ledger ..`)"
    };
    Err(Error::new(ErrorKind::Open, path, message))
}

/// Whether the file is what a process leaves that was killed, or found the disk
/// full, while it made a ledger: nothing, or a database without a table. What
/// cannot be read is not: opening it says why.
fn is_unborn(path: &Path) -> bool {
    let Ok(metadata) = path.metadata() else {
        return false;
    };
    let tables = || -> rusqlite::Result<i64> {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
    };
    metadata.is_file() && (metadata.len() == 0 || tables().is_ok_and(|tables| tables == 0))
}

/// Write-ahead log: a killed process loses no finished transaction.
fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))
}

fn insert_network(connection: &Connection, network: &Network) -> rusqlite::Result<NetworkId> {
    let n = network;
    connection.execute(
        "INSERT OR IGNORE INTO network
         (sha256, file, bytes, engine, engine_version, precision, batch_invariant, preprocess,
          output, classes, note)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        params![
            hex(&n.sha256),
            n.file,
            n.bytes as i64,
            n.engine,
            n.engine_version,
            n.precision,
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
            n.engine,
            n.engine_version,
            n.precision,
            n.preprocess,
            n.output
        ],
        |row| Ok(NetworkId(row.get(0)?)),
    )
}

fn read_network(row: &Row<'_>) -> rusqlite::Result<Network> {
    Ok(Network {
        sha256: hash(row, "sha256")?,
        file: row.get("file")?,
        bytes: unsigned(row, "bytes")?,
        engine: row.get("engine")?,
        engine_version: row.get("engine_version")?,
        precision: row.get("precision")?,
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

fn insert_claim(
    connection: &Connection,
    network: NetworkId,
    claim: &Claim,
) -> rusqlite::Result<i64> {
    let values = params![
        network.0,
        claim.method,
        claim.copies as i64,
        claim.alpha,
        claim.parameters,
        claim.statement,
    ];
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO claim (network, method, copies, alpha, parameters, statement)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(values)?;
    connection
        .prepare_cached(
            "SELECT id FROM claim WHERE network = ?1 AND method = ?2 AND copies = ?3
             AND alpha = ?4 AND parameters = ?5 AND statement = ?6",
        )?
        .query_row(values, |row| row.get(0))
}

fn read_claim(row: &Row<'_>) -> rusqlite::Result<Claim> {
    Ok(Claim {
        method: row.get("method")?,
        copies: unsigned(row, "copies")?,
        alpha: row.get("alpha")?,
        parameters: row.get("parameters")?,
        statement: row.get("statement")?,
    })
}

/// The header, or `None` if its text fields are not what they should be.
fn read_header(connection: &Connection) -> rusqlite::Result<Option<(Header, NetworkId)>> {
    let run = connection
        .query_row("SELECT * FROM run WHERE id = 1", [], |row| {
            let task: String = row.get("task")?;
            let seed: String = row.get("seed")?;
            let network: i64 = row.get("network")?;
            let task = match task.as_str() {
                "certify" => Some(Task::Certify),
                "predict" => Some(Task::Predict),
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

fn encode(answers: &Codes, class: u16) -> (Vec<u8>, Option<Vec<u8>>) {
    let classes = codes::encode(&answers.classes, 1, |_| 0);
    let margins = answers.margins.as_ref().map(|margins| {
        let symbols: Vec<u16> = margins.iter().map(|&m| m.into()).collect();
        codes::encode(&symbols, 2, |i| usize::from(answers.classes[i] == class))
    });
    (classes, margins)
}

fn decode(
    classes: &[u8],
    margins: Option<&[u8]>,
    copies: u64,
    class: u16,
) -> Result<Codes, String> {
    let classes = codes::decode(classes, copies, 1, |_| 0)?;
    let margins = margins
        .map(|blob| {
            let symbols = codes::decode(blob, copies, 2, |i| usize::from(classes[i] == class))?;
            symbols
                .into_iter()
                .map(|m| u8::try_from(m).ok().filter(|&m| m < codes::MARGIN_BUCKETS))
                .collect::<Option<Vec<u8>>>()
                .ok_or_else(|| "has a margin out of range".to_owned())
        })
        .transpose()?;
    Ok(Codes { classes, margins })
}

fn unsigned(row: &Row<'_>, column: &str) -> rusqlite::Result<u64> {
    let value: i64 = row.get(column)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(0, value))
}

fn hash(row: &Row<'_>, column: &str) -> rusqlite::Result<[u8; 32]> {
    let text: String = row.get(column)?;
    parse_hex(&text).ok_or_else(|| malformed(format!("'{text}' is no SHA-256")))
}

fn parse_json<T: serde::de::DeserializeOwned>(text: &str) -> rusqlite::Result<T> {
    serde_json::from_str(text).map_err(|e| malformed(format!("'{text}': {e}")))
}

fn malformed(what: String) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, what.into())
}
