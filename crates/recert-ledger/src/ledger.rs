//! The ledger file: creating, opening, comparing with a run's header, and closing.

mod answers;
mod blocks;
mod conclusions;
mod forget;
mod glance;
mod journal;
mod merge;
mod networks;
pub mod raw;
mod rows;
mod seal;
mod snapshot;
mod verifications;

pub use answers::{NewAnswers, StoredBytes};
pub use blocks::{Block, Blocks};
pub use forget::Forgotten;
pub use glance::Glance;
pub use journal::ResultHash;
pub use merge::{Lacking, Merge, Totals};
pub use seal::Seal;
pub use snapshot::Snapshot;

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, Row, Transaction, params};

use self::conclusions::restate_claims;
use self::journal::{name_networks, note_header, note_upgrade};
use self::networks::read_header;
use crate::lock::Lock;
use crate::records::{Header, NetworkId, Stream, hex};
use crate::schema::{APPLICATION_ID, FIRST_WITH_JOURNAL, READ_OLDER, SCHEMA_VERSION, VERSIONS};
use crate::{Error, ErrorKind};

/// An open ledger.
#[derive(Debug)]
pub struct Ledger {
    connection: Connection,
    path: PathBuf,
    header: Header,
    network: NetworkId,
    lock: Option<Lock>,
}

/// The answers of one network on one input's samples of one noise stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Series {
    /// The network that answered.
    pub network: NetworkId,
    /// The input's position.
    pub idx: u32,
    /// The noise stream of the samples.
    pub stream: Stream,
}

impl Ledger {
    /// Creates the ledger of a new run, or opens an existing one to resume it. A ledger of
    /// verifications alone gets the run's header.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`] if the file is the ledger of another run; the message
    /// names what differs, such as the network, sigma, n or the seed.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/example.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// let path = folder.path().join("run.recert");
    /// let ledger = Ledger::resume(&path, &header())?; // a new one
    /// ledger.close()?;
    /// let ledger = Ledger::resume(&path, &header())?; // the same again
    /// ledger.close()?;
    /// let other = Header { sigma: 0.5, ..header() };
    /// let error = Ledger::resume(&path, &other).unwrap_err();
    /// assert_eq!(error.kind(), recert_ledger::ErrorKind::Mismatch);
    /// assert!(error.to_string().contains("sigma: 0.25 in the ledger, 0.5 given"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn resume(path: &Path, header: &Header) -> Result<Self, Error> {
        if !path.exists() || is_unborn(path) {
            return Self::make(path, header);
        }
        let mut ledger = Self::open_checked(path, |ledger| {
            if ledger.is_without_noise() {
                return ledger.check_shape(header.shape);
            }
            ledger.check(header)
        })?;
        if ledger.is_without_noise() {
            ledger.begin_smoothing(header)?;
        }
        Ok(ledger)
    }

    /// Fails where no ledger could be written at `path`, new or to be resumed. Nothing is left
    /// there.
    ///
    /// # Errors
    /// [`ErrorKind::Open`] if there is no such folder, if `path` is a folder, or if writing is
    /// not allowed; [`ErrorKind::InUse`] if another process is writing to it.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// use recert_ledger::Ledger;
    ///
    /// Ledger::check_place(&folder.path().join("run.recert"))?;
    /// let error = Ledger::check_place(folder.path()).unwrap_err();
    /// assert!(error.to_string().contains("is not a file but a folder"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn check_place(path: &Path) -> Result<(), Error> {
        let refuse = |message: String| Err(Error::new(ErrorKind::Open, path, message));
        if path.is_dir() {
            let inside = path.join("run.recert");
            return refuse(format!(
                "is not a file but a folder: name a file in it, such as {}",
                inside.display()
            ));
        }
        has_folder(path)?;
        if (path.metadata()).is_ok_and(|metadata| metadata.permissions().readonly()) {
            return refuse("may not be written to: change its permissions, or copy it".to_owned());
        }
        Lock::take(path).map(drop)
    }

    /// Creates the ledger of a new run; the file must not exist.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/example.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// let path = folder.path().join("run.recert");
    /// let ledger = Ledger::create(&path, &header())?;
    /// assert_eq!(ledger.header(), &header());
    /// ledger.close()?;
    /// assert!(Ledger::create(&path, &header()).is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn create(path: &Path, header: &Header) -> Result<Self, Error> {
        if path.exists() {
            let message = "exists already: choose another name, or resume it";
            return Err(Error::new(ErrorKind::Open, path, message));
        }
        Self::make(path, header)
    }

    fn make(path: &Path, header: &Header) -> Result<Self, Error> {
        has_folder(path)?;
        let lock = Lock::take(path)?;
        let sql = |source| Error::sql(path, source);
        let mut connection = Connection::open(path).map_err(sql)?;
        let create = |connection: &mut Connection| {
            let transaction = connection.transaction()?;
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
            upgrade(&transaction, 0)?;
            let network = name_networks(&transaction, std::slice::from_ref(&header.network))?[0];
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
            note_header(&transaction, header)?;
            transaction.commit()?;
            Ok(network)
        };
        // Not in write-ahead mode yet: the file itself is a ledger before it has an answer, so
        // that a copy of it alone is recognised. What an unfinished creation left is no log to
        // replay.
        let in_file = connection.pragma_update(None, "journal_mode", "DELETE");
        in_file.map_err(sql)?;
        let network = create(&mut connection).map_err(sql)?;
        configure(&connection).map_err(sql)?;
        Ok(Self {
            connection,
            path: path.to_owned(),
            header: header.clone(),
            network,
            lock: Some(lock),
        })
    }

    /// Opens an existing ledger for reading and writing. One of an older
    /// version is upgraded, in one transaction.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/example.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// let path = folder.path().join("run.recert");
    /// Ledger::create(&path, &header())?.close()?;
    /// let ledger = Ledger::open(&path)?;
    /// let h = ledger.add_network(&network("pruned.onnx"))?;
    /// assert_ne!(h, ledger.base());
    /// # Ok(())
    /// # }
    /// ```
    pub fn open(path: &Path) -> Result<Self, Error> {
        Self::open_checked(path, |_| Ok(()))
    }

    /// Opens a ledger for writing; one that `check` refuses is left as it is.
    fn open_checked(
        path: &Path,
        check: impl FnOnce(&Self) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        exists(path)?;
        let lock = Lock::take(path)?;
        let (mut ledger, version) = Self::read(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        ledger.lock = Some(lock);
        configure(&ledger.connection).map_err(|e| ledger.sql(e))?;
        check(&ledger)?;
        if version < SCHEMA_VERSION {
            let write = |connection: &mut Connection| {
                let transaction = connection.transaction()?;
                // Before the upgrade adds to what a seal covers.
                seal::unseal(&transaction)?;
                upgrade(&transaction, version)?;
                if version < FIRST_WITH_JOURNAL {
                    note_upgrade(&transaction, version)?;
                }
                restate_claims(&transaction)?;
                transaction.commit()
            };
            write(&mut ledger.connection).map_err(|source| Error::sql(path, source))?;
        }
        ledger.unseal()?;
        note_header(&ledger.connection, &ledger.header).map_err(|e| ledger.sql(e))?;
        Ok(ledger)
    }

    /// Opens an existing ledger for reading only, also while another process
    /// writes to it. One of an older version is read as it is.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/example.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// let path = folder.path().join("run.recert");
    /// let writer = Ledger::create(&path, &header())?;
    /// let reader = Ledger::open_read_only(&path)?;
    /// writer.add_input(&input(7))?;
    /// assert_eq!(reader.inputs()?, [input(7)]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn open_read_only(path: &Path) -> Result<Self, Error> {
        exists(path)?;
        // The write-ahead log of a run that was killed can only be replayed
        // with write access; without that access the file is complete as it is.
        let (ledger, version) = Self::read(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
            .or_else(|_| Self::read(path, OpenFlags::SQLITE_OPEN_READ_ONLY))
            .or_else(|error| match Self::read_alone(path) {
                Some(read) => read,
                None if error.kind() == ErrorKind::Open => Err(log_beside(path)),
                None => Err(error),
            })?;
        for tables in &READ_OLDER[version as usize - 1..] {
            let make = ledger.connection.execute_batch(tables);
            make.map_err(|e| ledger.sql(e))?;
        }
        Ok(ledger)
    }

    /// Opens a ledger that was not closed in a folder where no file can be made, although
    /// `SQLite` asks for one beside it. Returns `None` if there is a write-ahead log: without
    /// it the ledger would not be whole.
    fn read_alone(path: &Path) -> Option<Result<(Self, i64), Error>> {
        let log = with_suffix(path, "-wal");
        if std::fs::metadata(log).is_ok_and(|log| log.len() > 0) {
            return None;
        }
        let encoded = path.as_os_str().as_encoded_bytes().iter();
        let encoded: Vec<_> = encoded.map(|byte| format!("%{byte:02x}")).collect();
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
        let uri = format!("file:{}?immutable=1", encoded.concat());
        Some(Self::read_at(path, Path::new(&uri), flags))
    }

    /// Opens a file that must be a ledger; returns its version too.
    fn read(path: &Path, flags: OpenFlags) -> Result<(Self, i64), Error> {
        Self::read_at(path, path, flags)
    }

    fn read_at(path: &Path, uri: &Path, flags: OpenFlags) -> Result<(Self, i64), Error> {
        let sql = |source| Error::sql(path, source);
        let corrupt = |message: &str| Error::new(ErrorKind::Corrupt, path, message);
        let connection = Connection::open_with_flags(uri, flags).map_err(sql)?;
        let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get(0));
        let application: i64 = pragma("application_id").map_err(sql)?;
        if application != APPLICATION_ID {
            let message = if application == 0 && is_bare(&connection) {
                "has no rows: it looks like a copy of a ledger that was taken while a run wrote \
                 to it, without the -wal file beside it; use `recert snapshot` to copy a ledger"
            } else {
                "is not a recert ledger"
            };
            return Err(corrupt(message));
        }
        let version: i64 = pragma("user_version").map_err(sql)?;
        if version > SCHEMA_VERSION {
            let message = format!(
                "was written by a newer recert (schema {version}, this one knows {SCHEMA_VERSION}): \
                 use that version or a later one"
            );
            return Err(Error::new(ErrorKind::TooNew, path, message));
        }
        if version < 1 {
            return Err(corrupt(&format!("has no such schema as {version}")));
        }
        let check: String = connection
            .pragma_query_value(None, "quick_check", |row| row.get(0))
            .map_err(sql)?;
        if check != "ok" {
            let message = format!("is damaged: {check}; {}", crate::error::ADVICE);
            return Err(corrupt(&message));
        }
        if !is_whole(&connection, path).map_err(sql)? {
            let message = format!("is truncated: {}", crate::error::ADVICE);
            return Err(corrupt(&message));
        }
        let (header, network) = read_header(&connection)
            .map_err(sql)?
            .ok_or_else(|| corrupt("has a malformed header"))?;
        let ledger = Self {
            connection,
            path: path.to_owned(),
            header,
            network,
            lock: None,
        };
        Ok((ledger, version))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The run's header: everything that decides which answers belong into this ledger.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The network the run certified, f.
    pub fn base(&self) -> NetworkId {
        self.network
    }

    /// Checks that `header` describes this ledger's run.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/example.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let (ledger, series) = example(folder.path())?;
    /// let another = Header { seed: 2, ..header() };
    /// assert!(ledger.check(&header()).is_ok());
    /// assert!(ledger.check(&another).is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn check(&self, header: &Header) -> Result<(), Error> {
        let differing: Vec<_> = differences(&self.header, header)
            .into_iter()
            .map(|(field, stored, given)| format!("{field}: {stored} in the ledger, {given} given"))
            .collect();
        if differing.is_empty() {
            return Ok(());
        }
        let redesigned = self.header.network.sha256 != header.network.sha256;
        let seed = if redesigned && self.header.seed == header.seed {
            "; a network made after looking at results in this one needs a fresh seed there, too"
        } else {
            ""
        };
        let message = format!(
            "belongs to another run; it differs in {} (a new run needs another ledger{seed})",
            differing.join("; ")
        );
        Err(Error::new(ErrorKind::Mismatch, &self.path, message))
    }

    /// Closes the ledger so that the one file holds everything and can be
    /// copied: the inputs that each claim has certificates of are
    /// [recorded](crate::JournalEvent::Concluded), it is [sealed](Seal), and the write-ahead log is folded in and
    /// removed.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/example.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// let path = folder.path().join("run.recert");
    /// Ledger::create(&path, &header())?.close()?;
    /// let ledger = Ledger::open_read_only(&path)?;
    /// assert_eq!(ledger.seal()?, recert_ledger::Seal::Holds);
    /// # Ok(())
    /// # }
    /// ```
    pub fn close(self) -> Result<(), Error> {
        if self.lock.is_some() {
            self.seal_now()?;
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

/// What two headers differ in: the field in words, and its value in each. Networks are told apart by their
/// bytes, and shown with their names.
fn differences(one: &Header, other: &Header) -> Vec<(&'static str, String, String)> {
    const NETWORK: &str = "the network";
    let fields = |header: &Header| {
        let network = &header.network;
        [
            ("the task", header.task.name().to_owned()),
            (NETWORK, hex(&network.sha256)),
            ("the model's preprocessing", network.preprocess.clone()),
            ("the model's output", network.output.clone()),
            ("the engine", network.engine.name.clone()),
            ("the engine's version", network.engine.version.clone()),
            ("the engine's precision", network.engine.arithmetic.clone()),
            ("sigma", header.sigma.to_string()),
            ("n0", header.n0.to_string()),
            ("n", header.n.to_string()),
            ("alpha", header.alpha.to_string()),
            ("the noise generator", header.generator.clone()),
            ("the seed", header.seed.to_string()),
            ("the image shape", format!("{:?}", header.shape)),
        ]
    };
    let shown = |header: &Header, field: &str, value: String| match field {
        NETWORK => format!("{} (SHA-256 {value})", header.network.file),
        _ => value,
    };
    let both = fields(one).into_iter().zip(fields(other));
    both.filter(|((_, a), (_, b))| a != b)
        .map(|((field, a), (_, b))| (field, shown(one, field, a), shown(other, field, b)))
        .collect()
}

fn exists(path: &Path) -> Result<(), Error> {
    if path.is_file() {
        return Ok(());
    }
    let message = if path.exists() {
        "is not a file: give the name of the ledger itself"
    } else {
        "there is no such file: certify a network first"
    };
    Err(Error::new(ErrorKind::Open, path, message))
}

/// A ledger that cannot be opened, whose last run did not end.
fn log_beside(path: &Path) -> Error {
    let message = "cannot be opened: what the last run wrote is in the -wal file beside it, which can \
                   only be read where a file can be made beside both: copy both to a folder that may \
                   be written to, and read the copy";
    Error::new(ErrorKind::Open, path, message)
}

/// Fails if the folder that the file is to be in is not there.
fn has_folder(path: &Path) -> Result<(), Error> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
    let Some(folder) = folder.filter(|folder| !folder.is_dir()) else {
        return Ok(());
    };
    let message = format!(
        "cannot be created: there is no folder {}: make it, or name another",
        folder.display()
    );
    Err(Error::new(ErrorKind::Open, path, message))
}

/// Whether the file is what remains of a process that was killed, or found the disk full,
/// while it created a ledger: an empty file, or a database without a table with the log
/// beside it that a process leaves. Without these it may be a copy of a ledger that has
/// rows in its write-ahead log, and nothing begins anew in its place. For a file that cannot be
/// read the answer is no, and opening it reports the reason.
fn is_unborn(path: &Path) -> bool {
    let Ok(metadata) = path.metadata() else {
        return false;
    };
    // Looked for first: opening the file may remove them.
    let left = ["-wal", "-journal"].iter().any(|suffix| {
        std::fs::metadata(with_suffix(path, suffix)).is_ok_and(|file| file.len() > 0)
    });
    let bare = || {
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
            .is_ok_and(|connection| is_bare(&connection))
    };
    metadata.is_file() && (metadata.len() == 0 || left && bare())
}

/// Whether the file has all bytes of its pages. `SQLite` reads what a cut-off last page lacks as
/// zeros. With a log beside it that is left to the check of pages, as the log may have the page.
fn is_whole(connection: &Connection, path: &Path) -> rusqlite::Result<bool> {
    // As long as this reads, nobody who has no log yet begins one.
    connection.execute_batch("BEGIN")?;
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let length = pragma("page_count").and_then(|pages| Ok(pages * pragma("page_size")?));
    let has_log = std::fs::metadata(with_suffix(path, "-wal")).is_ok_and(|log| log.len() > 0);
    let found = std::fs::metadata(path).map(|file| file.len());
    connection.execute_batch("COMMIT")?;
    let length = length?.unsigned_abs();
    Ok(has_log || found.is_ok_and(|found| found >= length))
}

/// A file beside a ledger.
fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Whether the database has no table.
fn is_bare(connection: &Connection) -> bool {
    let count = "SELECT count(*) FROM sqlite_schema";
    let tables = connection.query_row(count, [], |row| row.get::<_, i64>(0));
    tables.is_ok_and(|tables| tables == 0)
}

/// Upgrades the schema from version `from` to this program's; 0 is an empty database.
fn upgrade(transaction: &Transaction<'_>, from: i64) -> rusqlite::Result<()> {
    for version in &VERSIONS[from as usize..] {
        transaction.execute_batch(version)?;
    }
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)
}

/// The pages in the write-ahead log from which on they are copied into the file: about a
/// megabyte, so that little of a run is in the log alone.
const CHECKPOINT_PAGES: i64 = 256;

/// Write-ahead log: a killed process loses no finished transaction.
fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))
}

fn unsigned(row: &Row<'_>, column: &str) -> rusqlite::Result<u64> {
    let value: i64 = row.get(column)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(0, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_that_was_not_closed_is_read_without_a_file_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a ledg%41r?.recert");
        let connection = Connection::open(&path).unwrap();
        configure(&connection).unwrap();
        connection.execute_batch(&VERSIONS.concat()).unwrap();
        connection
            .pragma_update(None, "application_id", APPLICATION_ID)
            .unwrap();
        connection
            .pragma_update(None, "user_version", SCHEMA_VERSION)
            .unwrap();
        // Its log is not whole without the other.
        assert!(Ledger::read_alone(&path).is_none());
        connection
            .pragma_update(None, "wal_checkpoint", "TRUNCATE")
            .unwrap();
        let error = Ledger::read_alone(&path).unwrap().err().unwrap();
        assert!(error.to_string().contains("header"), "{error}");
        drop(connection);
    }
}
