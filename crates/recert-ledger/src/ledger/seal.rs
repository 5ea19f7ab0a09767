//! The seal: one hash over every row of a ledger that is closed.
//!
//! Much of a ledger can be derived again from the rest of it. Labels, names, times and the
//! hash of a model file cannot, and a disk error or a slip of an editor there would go
//! unnoticed. Therefore closing a ledger hashes all rows, and opening it for writing removes
//! the hash until it is closed again. The seal is not a signature: whoever changes a row on
//! purpose can seal the ledger again.
//!
//! What is hashed, in order: the text [`PREFIX`]; then for each table of
//! [`Table::ALL`] that the ledger's version has, its name, its rows in the order of their keys, and how many
//! they are. A row is its values in the order of the columns: a byte (0 null, 1
//! integer, 2 real, 3 text, 4 blob) and eight bytes, little-endian (the integer,
//! the bits of the real, the length of text or blob, absent for null), then the
//! text or blob itself.

use std::ops::Range;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row};
use sha2::{Digest, Sha256};

use super::Ledger;
use super::journal::{note_conclusions, note_results};
use super::raw::Table;
use crate::Error;
use crate::records::hex;

/// The text that the hashed data begins with.
const PREFIX: &str = "recert ledger seal 1";

/// The outcome of comparing a ledger's seal with its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seal {
    /// There is no seal: the ledger's version has none, or a run is writing to the ledger,
    /// or a run ended without closing it.
    Absent,
    /// Every row is as it was when the ledger was closed.
    Holds,
    /// A row has changed since: the seal and the hash of the rows differ.
    Broken {
        /// The seal.
        stored: String,
        /// The hash of the rows.
        computed: String,
    },
}

impl Ledger {
    /// Compares the seal with the rows.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/example.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// use recert_ledger::Seal;
    ///
    /// # let (ledger, _) = example(folder.path())?;
    /// assert_eq!(ledger.seal()?, Seal::Absent); // while it is written to
    /// let path = ledger.path().to_owned();
    /// ledger.close()?;
    /// assert_eq!(Ledger::open_read_only(&path)?.seal()?, Seal::Holds);
    /// # Ok(())
    /// # }
    /// ```
    pub fn seal(&self) -> Result<Seal, Error> {
        seal(&self.connection).map_err(|e| self.sql(e))
    }

    /// Removes a seal that holds, before rows change. A broken seal stays: closing the
    /// ledger must not hide that it was changed.
    pub(super) fn unseal(&self) -> Result<(), Error> {
        unseal(&self.connection).map_err(|e| self.sql(e))
    }

    /// Records what was concluded, and seals the rows as they are, unless there is a seal
    /// already.
    pub(super) fn seal_now(&self) -> Result<(), Error> {
        let write = || {
            if seal(&self.connection)? == Seal::Absent {
                note_conclusions(&self.connection)?;
                note_results(&self.connection)?;
                let insert = "INSERT INTO seal VALUES (1, ?1)";
                self.connection.execute(insert, [hash(&self.connection)?])?;
            }
            Ok(())
        };
        write().map_err(|e| self.sql(e))
    }
}

/// Removes a seal that holds.
pub(super) fn unseal(connection: &Connection) -> rusqlite::Result<()> {
    if seal(connection)? == Seal::Holds {
        connection.execute("DELETE FROM main.seal", [])?;
    }
    Ok(())
}

fn seal(connection: &Connection) -> rusqlite::Result<Seal> {
    let there: bool = connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM main.sqlite_schema WHERE type = 'table' AND name = 'seal')",
        [],
        |row| row.get(0),
    )?;
    if !there {
        return Ok(Seal::Absent);
    }
    let stored: Option<String> = connection
        .query_row("SELECT CAST(sha256 AS TEXT) FROM main.seal", [], |row| {
            row.get(0)
        })
        .optional()?;
    let Some(stored) = stored else {
        return Ok(Seal::Absent);
    };
    let computed = hash(connection)?;
    Ok(if stored == computed {
        Seal::Holds
    } else {
        Seal::Broken { stored, computed }
    })
}

/// The hash of all rows, as the module documentation says.
fn hash(connection: &Connection) -> rusqlite::Result<String> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let mut hasher = Sha256::new();
    hasher.update(PREFIX);
    for table in Table::ALL {
        if table.since() > version {
            continue;
        }
        let (name, key) = (table.name(), table.key().join(", "));
        hasher.update(name);
        let mut query = connection.prepare(&format!("SELECT * FROM main.{name} ORDER BY {key}"))?;
        let columns = query.column_count();
        let mut rows = query.query([])?;
        let mut count = 0_u64;
        while let Some(row) = rows.next()? {
            hash_values(&mut hasher, row, 0..columns)?;
            count += 1;
        }
        hasher.update(count.to_le_bytes());
    }
    Ok(hex(&hasher.finalize()))
}

/// Hashes some columns of a row, as the module documentation says.
pub(super) fn hash_values(
    hasher: &mut Sha256,
    row: &Row<'_>,
    columns: Range<usize>,
) -> rusqlite::Result<()> {
    for column in columns {
        let (tag, word, bytes): (u8, u64, &[u8]) = match row.get_ref(column)? {
            ValueRef::Null => {
                hasher.update([0]);
                continue;
            }
            ValueRef::Integer(value) => (1, value as u64, &[]),
            ValueRef::Real(value) => (2, value.to_bits(), &[]),
            ValueRef::Text(text) => (3, text.len() as u64, text),
            ValueRef::Blob(blob) => (4, blob.len() as u64, blob),
        };
        hasher.update([tag]);
        hasher.update(word.to_le_bytes());
        hasher.update(bytes);
    }
    Ok(())
}
