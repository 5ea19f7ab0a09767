//! Uniting ledgers of one run, such as those of its shards, in one.
//!
//! | file | concern |
//! |---|---|
//! | `rows`, `answers` | the rows of all tables but the journal: each once, and none that contradicts another |
//! | `history` | one journal of several, which states no more than each of them |
//! | `lacking` | the shards that are missing, and the inputs |
//!
//! The united ledger is made in a file beside the one that it is to be, in one transaction, and gets
//! its name when it is whole and sealed. A process that is killed leaves what was there before.

mod answers;
mod history;
mod lacking;
mod rows;

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::{Ledger, Seal, differences, is_unborn, with_suffix};
use crate::journal::{FileHash, JournalEvent, MergedPart};
use crate::lock::Lock;
use crate::records::{NetworkId, parse_hex};
use crate::schema::FIRST_WITH_JOURNAL;
use crate::shard::Shard;
use crate::{Error, ErrorKind};

pub use lacking::Lacking;

use history::{Before, History};

/// A ledger united from others, which has not got its name yet. Dropped without
/// [`publish`](Self::publish), it leaves nothing.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/example.rs"));
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// use recert_ledger::Merge;
///
/// let file = |name: &str| folder.path().join(name);
/// for idx in [0, 1] {
///     let ledger = Ledger::create(&file(&format!("{idx}.recert")), &header())?;
///     ledger.add_input(&input(idx))?;
///     ledger.put_selection(ledger.base(), idx, &selection())?;
///     ledger.close()?;
/// }
/// let merge = Merge::new(&file("run.recert"), &[file("0.recert"), file("1.recert")])?;
/// assert_eq!(merge.totals().inputs, 2);
/// merge.publish()?;
/// assert_eq!(Ledger::open_read_only(&file("run.recert"))?.inputs()?.len(), 2);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Merge {
    made: PathBuf,
    out: PathBuf,
    totals: Totals,
    lacking: Vec<Lacking>,
    published: bool,
    _lock: Lock,
}

/// What a united ledger holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    /// The ledgers that it was made of.
    pub ledgers: u64,
    /// Its inputs.
    pub inputs: u64,
    /// Its certificates.
    pub certificates: u64,
    /// Its results by bounds.
    pub results: u64,
    /// Whether there is anything in it that the ledger which was there before had not.
    pub changed: bool,
}

/// A ledger to unite with others.
struct Part {
    ledger: Ledger,
    record: MergedPart,
}

impl Merge {
    /// Unites the ledgers `parts`, and the one at `out` where there is one, in a file beside it.
    /// The order of the parts has no influence but on the journal's.
    ///
    /// What is in several of them is there once; times are those of the first that has it. The
    /// certificates, counts and answers have been made before: nothing is computed, and whether a part
    /// states what follows from it is for a check of the part to say.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`] if they are not of one run, if networks were named to them in
    /// different orders, or if something was removed from one of them alone;
    /// [`ErrorKind::OtherData`] for another image at one position; [`ErrorKind::Conflict`] if two of
    /// them say otherwise of the same sample, certificate or result; [`ErrorKind::InUse`] if a
    /// process writes to `out`.
    pub fn new(out: &Path, parts: &[PathBuf]) -> Result<Self, Error> {
        Ledger::check_place(out)?;
        let lock = Lock::take(out)?;
        let into = out.exists() && !is_unborn(out);
        let mut seen = BTreeSet::new();
        let mut ledgers = Vec::new();
        for path in into
            .then_some(out)
            .into_iter()
            .chain(parts.iter().map(PathBuf::as_path))
        {
            let file = path.canonicalize().unwrap_or_else(|_| path.to_owned());
            if seen.insert(file) {
                ledgers.push(Ledger::open_read_only(path)?);
            }
        }
        if parts.is_empty() {
            let message = "no ledger to merge is named";
            return Err(Error::new(ErrorKind::Missing, out, message));
        }
        let mut ledgers = in_order(ledgers, into)?.into_iter();
        let first = ledgers.next().expect("there is at least one");
        let mut merge = Self {
            made: with_suffix(out, ".merge"),
            out: out.to_owned(),
            totals: Totals {
                ledgers: 0,
                inputs: 0,
                certificates: 0,
                results: 0,
                changed: !into,
            },
            lacking: Vec::new(),
            published: false,
            _lock: lock,
        };
        remove(&merge.made);
        first.write_copy(&merge.made, &merge.made)?;
        let file = first.path().to_owned();
        drop(first);
        // Nothing else may have the copy open when it is closed.
        let first = Part::new(Ledger::open_read_only(&merge.made)?, &file)?;
        let history = History::read(&first.ledger, &file)?;
        let first = (first.record, history, file);
        let parts = ledgers.map(|ledger| {
            ledger.freeze()?;
            let file = ledger.path().to_owned();
            Part::new(ledger, &file)
        });
        let parts = parts.collect::<Result<Vec<_>, _>>()?;
        merge.unite(first, &parts)?;
        Ok(merge)
    }

    /// Adds the parts to the copy of the first one, and seals it.
    fn unite(
        &mut self,
        (record, history, file): (MergedPart, History, PathBuf),
        parts: &[Part],
    ) -> Result<(), Error> {
        let merged = Ledger::open(&self.made)?;
        let batch = |sql: &str| {
            merged
                .connection
                .execute_batch(sql)
                .map_err(|e| merged.sql(e))
        };
        batch("BEGIN IMMEDIATE")?;
        let mut earlier = vec![file.clone()];
        let (mut records, mut histories) = (vec![record], vec![history]);
        for part in parts {
            compare(&merged, &file, &part.ledger)?;
            let before = Before::read(&merged)?;
            let networks = networks(&merged, &part.ledger)?;
            let added = rows::unite(&merged, &part.ledger, &networks, &earlier)?;
            let appended = before.append(&merged, &part.ledger, &networks)?;
            self.totals.changed |= added + appended > 0;
            histories.push(History::read(&part.ledger, part.ledger.path())?);
            earlier.push(part.ledger.path().to_owned());
            records.push(part.record.clone());
        }
        history::check(&merged, &histories)?;
        self.totals.ledgers = records.len() as u64;
        if self.totals.changed {
            let now = Before::read(&merged)?;
            let event = JournalEvent::Merged {
                parts: records,
                answered: now.answered,
                fresh: now.fresh,
            };
            merged.note(None, &event)?;
        }
        batch("COMMIT")?;
        let count = |table| count(&merged, table);
        self.totals.inputs = count("input")?;
        self.totals.certificates = count("certificate")?;
        self.totals.results = count("result")?;
        self.lacking = lacking::find(&merged)?;
        merged.close()
    }

    /// The file that the united ledger is in until it has its name, closed and sealed.
    pub fn path(&self) -> &Path {
        &self.made
    }

    /// What it holds.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// The runs by shards of which it does not have all inputs.
    pub fn lacking(&self) -> &[Lacking] {
        &self.lacking
    }

    /// Gives the ledger its name, in place of what was there.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] if the file cannot be renamed.
    pub fn publish(mut self) -> Result<(), Error> {
        let io = |why: std::io::Error| {
            Error::new(
                ErrorKind::Io,
                &self.out,
                format!("cannot be written: {why}"),
            )
        };
        if self.out.exists() {
            // A log that a killed run left beside it would be taken for one of the new file's.
            let connection =
                Connection::open_with_flags(&self.out, OpenFlags::SQLITE_OPEN_READ_WRITE);
            let folded = connection.and_then(|connection| {
                connection.pragma_update(None, "journal_mode", "DELETE")?;
                connection.close().map_err(|(_, source)| source)
            });
            folded.map_err(|source| Error::sql(&self.out, source))?;
        }
        let file = std::fs::File::open(&self.made).map_err(io)?;
        file.sync_all().map_err(io)?;
        drop(file);
        std::fs::rename(&self.made, &self.out).map_err(io)?;
        self.published = true;
        Ok(())
    }
}

impl Drop for Merge {
    fn drop(&mut self) {
        if !self.published {
            remove(&self.made);
        }
    }
}

impl Part {
    fn new(ledger: Ledger, file: &Path) -> Result<Self, Error> {
        if ledger.version()? < FIRST_WITH_JOURNAL {
            let message = "is of a version without a journal, so that nothing shows what happened \
                           to it: go on with the command that made it, which upgrades it, or keep it \
                           as it is";
            return Err(Error::new(ErrorKind::Mismatch, file, message));
        }
        let seal = match ledger.seal()? {
            Seal::Absent => None,
            Seal::Holds => ledger.stored_seal()?,
            Seal::Broken { .. } => {
                let message = "was changed after it was sealed: `recert check` lists what is wrong";
                return Err(Error::new(ErrorKind::Corrupt, file, message));
            }
        };
        let name = file.file_name().unwrap_or_default();
        let record = MergedPart {
            file: name.to_string_lossy().into_owned(),
            seal,
            inputs: count(&ledger, "input")?,
            certificates: count(&ledger, "certificate")?,
            results: count(&ledger, "result")?,
        };
        Ok(Self { ledger, record })
    }
}

impl Ledger {
    fn stored_seal(&self) -> Result<Option<FileHash>, Error> {
        let stored = self.rows("SELECT sha256 FROM main.seal", [], |row| {
            row.get::<_, String>(0)
        })?;
        Ok(stored
            .first()
            .and_then(|text| parse_hex(text))
            .map(FileHash))
    }
}

/// The ledgers in the order in which they are united: one with noise first, the existing one before
/// others, and then by shards.
fn in_order(ledgers: Vec<Ledger>, into: bool) -> Result<Vec<Ledger>, Error> {
    type Key = (bool, bool, Option<Shard>, Option<u32>, PathBuf);
    let mut keyed: Vec<(Key, Ledger)> = Vec::new();
    for (position, ledger) in ledgers.into_iter().enumerate() {
        let journal = ledger.journal()?.into_iter().rev();
        let shard = journal.filter_map(|entry| match entry.event {
            JournalEvent::Begun { shard, .. } | JournalEvent::Verifying { shard, .. } => shard,
            _ => None,
        });
        let key = (
            ledger.is_without_noise(),
            !(into && position == 0),
            shard.into_iter().next(),
            ledger.inputs()?.first().map(|input| input.idx),
            ledger.path().to_owned(),
        );
        keyed.push((key, ledger));
    }
    keyed.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(keyed.into_iter().map(|(_, ledger)| ledger).collect())
}

/// Fails unless `part` is of the run that `merged`, which was begun from `file`, is of.
fn compare(merged: &Ledger, file: &Path, part: &Ledger) -> Result<(), Error> {
    let (one, other) = (merged.header(), part.header());
    let differing = if part.is_without_noise() {
        let shapes = [one.shape, other.shape].map(|shape| format!("{shape:?}"));
        let [one, other] = shapes;
        let differs = (one != other).then_some(("the image shape", one, other));
        differs.into_iter().collect()
    } else {
        differences(one, other)
    };
    if differing.is_empty() {
        return Ok(());
    }
    let words = differing
        .into_iter()
        .map(|(field, one, other)| format!("{field}: {one} in {}, {other} here", file.display()));
    let message = format!(
        "cannot be merged with {}, as they are of different runs: {}",
        file.display(),
        words.collect::<Vec<_>>().join("; ")
    );
    Err(Error::new(ErrorKind::Mismatch, part.path(), message))
}

/// The numbers that the networks of `part` have in `merged`, which gets those that it lacks.
fn networks(merged: &Ledger, part: &Ledger) -> Result<HashMap<i64, NetworkId>, Error> {
    let mut numbers = HashMap::new();
    for (id, network) in part.networks()? {
        let inserted = super::networks::insert_network(&merged.connection, &network);
        let (number, is_new) = inserted.map_err(|e| merged.sql(e))?;
        if !is_new {
            let known = merged.networks()?.into_iter().find(|(id, _)| *id == number);
            let same = known.is_some_and(|(_, known)| {
                known.classes == network.classes && known.batch_invariant == network.batch_invariant
            });
            if !same {
                let message = format!(
                    "has {} with another number of classes, or other promises of its engine, than the \
                     ledgers before it",
                    network.file
                );
                return Err(Error::new(ErrorKind::Conflict, part.path(), message));
            }
        }
        numbers.insert(id.0, number);
    }
    Ok(numbers)
}

fn count(ledger: &Ledger, table: &str) -> Result<u64, Error> {
    let sql = format!("SELECT count(*) AS rows FROM {table}");
    let counts = ledger.rows(&sql, [], |row| super::unsigned(row, "rows"))?;
    Ok(counts[0])
}

/// Removes a file and what `SQLite` and the lock may have left beside it.
fn remove(path: &Path) {
    for suffix in ["", "-wal", "-shm", "-journal", ".lock"] {
        let _ = std::fs::remove_file(with_suffix(path, suffix));
    }
}
