//! Rows as they are stored, for a checker that does not trust the ledger.
//!
//! The typed readers elsewhere fail at the first invalid value. Here every row is read
//! whatever it holds, and the caller decides whether it is valid.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Params, params};

use super::rows::decode;
use super::{Ledger, rows};
use crate::codes::Codes;
use crate::schema::{FIRST_WITH_JOURNAL, VERSIONS};
use crate::{Error, numbers};

/// A table of a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// The run's header, one row.
    Run,
    /// Networks with answers.
    Network,
    /// Inputs.
    Input,
    /// Outcomes of selection samples.
    Selection,
    /// Answers on consecutive samples.
    Answers,
    /// Answers on samples that are not consecutive.
    Chosen,
    /// What certificates claim.
    Claim,
    /// Conclusions.
    Certificate,
    /// What happened to the ledger beside answers and certificates.
    Journal,
    /// What was verified by bounds.
    Verification,
    /// Verdicts.
    Result,
}

impl Table {
    /// Every table but that of the seal.
    pub const ALL: [Self; 11] = [
        Self::Run,
        Self::Network,
        Self::Input,
        Self::Selection,
        Self::Answers,
        Self::Chosen,
        Self::Claim,
        Self::Certificate,
        Self::Journal,
        Self::Verification,
        Self::Result,
    ];

    /// The table's name in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Network => "network",
            Self::Input => "input",
            Self::Selection => "selection",
            Self::Answers => "answers",
            Self::Chosen => "chosen",
            Self::Claim => "claim",
            Self::Certificate => "certificate",
            Self::Journal => "journal",
            Self::Verification => "verification",
            Self::Result => "result",
        }
    }

    /// The version of the schema that the table is from.
    pub(super) fn since(self) -> i64 {
        match self {
            Self::Verification | Self::Result => 4,
            Self::Journal => FIRST_WITH_JOURNAL,
            Self::Chosen => 2,
            _ => 1,
        }
    }

    /// The columns of the table's key, by which its rows are ordered.
    pub fn key(self) -> &'static [&'static str] {
        match self {
            Self::Run | Self::Network | Self::Claim | Self::Journal | Self::Verification => &["id"],
            Self::Input => &["idx"],
            Self::Selection => &["network", "idx"],
            Self::Answers | Self::Chosen => &["network", "idx", "stream", "first"],
            Self::Certificate => &["claim", "idx"],
            Self::Result => &["verification", "idx"],
        }
    }
}

/// A stored value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// A whole number.
    Integer(i64),
    /// A 64-bit float, never NaN.
    Real(f64),
    /// Text.
    Text(String),
    /// Bytes, and text that is not UTF-8.
    Blob(Vec<u8>),
}

impl std::fmt::Display for Value {
    /// Blobs are shown by their length alone.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Null => f.write_str("NULL"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Real(value) => write!(f, "{value:?}"),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Blob(bytes) => write!(f, "a blob of {} bytes", bytes.len()),
        }
    }
}

/// A stored row.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    table: Table,
    values: Vec<(String, Value)>,
}

impl Row {
    /// The table that the row belongs to.
    pub fn table(&self) -> Table {
        self.table
    }

    /// The value of a column; [`Value::Null`] if the table has no such column.
    pub fn get(&self, column: &str) -> &Value {
        self.values
            .iter()
            .find(|(name, _)| name == column)
            .map_or(&Value::Null, |(_, value)| value)
    }

    /// The key in words, such as `network 2, idx 5`.
    pub fn key(&self) -> String {
        let words = self.table.key().iter();
        let words = words.map(|column| format!("{column} {}", self.get(column)));
        words.collect::<Vec<_>>().join(", ")
    }
}

/// Decodes the blobs of a row of `answers` or `chosen` with `samples` samples;
/// `class` is the class whose margins are coded (the selected one).
///
/// # Errors
/// What is wrong with the blobs, as a phrase that follows "the blob".
pub fn decode_answers(
    classes: &[u8],
    margins: Option<&[u8]>,
    samples: u64,
    class: u16,
) -> Result<Codes, String> {
    decode(classes, margins, samples, class)
}

/// The sample numbers of a row with `samples` samples, the first of which is `first`. `blob`
/// is the blob of numbers for a row of `chosen`, and `None` for a row of `answers`.
///
/// # Errors
/// What is wrong with the numbers, as a phrase that follows "the blob".
pub fn decode_samples(blob: Option<&[u8]>, first: u64, samples: u64) -> Result<Vec<u32>, String> {
    match blob {
        Some(blob) => numbers::decode(blob, first, samples),
        None => rows::consecutive(first, samples),
    }
}

impl Ledger {
    /// From now on this `Ledger` reads the rows as they are now, even while another process
    /// writes to the file. A run that starts meanwhile may find the ledger in use.
    pub fn freeze(&self) -> Result<(), Error> {
        self.connection
            .execute_batch("BEGIN; SELECT count(*) FROM run")
            .map_err(|e| self.sql(e))
    }

    /// The file's schema version.
    pub fn version(&self) -> Result<i64, Error> {
        self.connection
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .map_err(|e| self.sql(e))
    }

    /// What is wrong with the file as a database: damaged pages and indices, values that a
    /// column may not hold, references to missing rows, tables that differ from the
    /// schema's. Each fault is a table's name, empty for the whole file, and a description.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/example.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let (ledger, series) = example(folder.path())?;
    /// assert!(ledger.faults()?.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    pub fn faults(&self) -> Result<Vec<(String, String)>, Error> {
        let mut faults: Vec<(String, String)> = self
            .rows("PRAGMA main.integrity_check", [], |row| row.get(0))?
            .into_iter()
            .filter(|found: &String| found != "ok")
            .map(|found| (String::new(), found))
            .collect();
        let dangling = self.rows("PRAGMA main.foreign_key_check", [], |row| {
            let (table, parent): (String, String) = (row.get(0)?, row.get(2)?);
            Ok((
                table,
                format!("has a row that refers to no row of {parent}"),
            ))
        })?;
        faults.extend(dangling);
        let tables = |connection: &Connection| -> rusqlite::Result<Vec<(String, Option<String>)>> {
            // SQLite's own statistics, which ANALYZE adds, are left out.
            let mut query = connection.prepare(
                "SELECT type || ' ' || name, sql FROM main.sqlite_schema
                 WHERE name NOT GLOB 'sqlite_stat*' ORDER BY 1",
            )?;
            let rows = query.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))?;
            rows.collect()
        };
        let version = self.version()?;
        let read = || -> rusqlite::Result<_> {
            let empty = Connection::open_in_memory()?;
            for step in &VERSIONS[..(version as usize).min(VERSIONS.len())] {
                empty.execute_batch(step)?;
            }
            Ok((tables(&empty)?, tables(&self.connection)?))
        };
        let (expected, found) = read().map_err(|e| self.sql(e))?;
        let only =
            |a: &[(String, Option<String>)], b: &[(String, Option<String>)]| -> Vec<String> {
                let here = a.iter().filter(|entry| !b.contains(entry));
                here.map(|(name, _)| name.clone()).collect()
            };
        for name in only(&expected, &found) {
            let fault = format!("the {name} is not as in schema {version}");
            faults.push((String::new(), fault));
        }
        for name in only(&found, &expected) {
            if !expected.iter().any(|(known, _)| *known == name) {
                let fault = format!("schema {version} has no {name}");
                faults.push((String::new(), fault));
            }
        }
        Ok(faults)
    }

    /// All rows of a table, in the order of their keys.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/example.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// use recert_ledger::raw::{Table, Value};
    ///
    /// # let (ledger, _) = example(folder.path())?;
    /// for row in ledger.raw_rows(Table::Selection)? {
    ///     assert_eq!(row.key(), "network 1, idx 0");
    ///     assert_eq!(row.get("class"), &Value::Integer(3));
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn raw_rows(&self, table: Table) -> Result<Vec<Row>, Error> {
        self.raw(table, "", [])
    }

    /// The rows of `answers` or `chosen` with the answers of one network, by its number, on
    /// one input.
    pub fn raw_answers(&self, table: Table, network: i64, idx: u32) -> Result<Vec<Row>, Error> {
        let filter = "WHERE network = ?1 AND idx = ?2";
        self.raw(table, filter, params![network, idx])
    }

    fn raw(&self, table: Table, filter: &str, parameters: impl Params) -> Result<Vec<Row>, Error> {
        let sql = format!(
            "SELECT * FROM {} {filter} ORDER BY {}",
            table.name(),
            table.key().join(", ")
        );
        self.rows(&sql, parameters, |row| {
            let names = row.as_ref().column_names();
            let values = names
                .enumerate()
                .map(|(i, name)| Ok(((*name).to_owned(), value(row.get_ref(i)?))));
            Ok(Row {
                table,
                values: values.collect::<rusqlite::Result<_>>()?,
            })
        })
    }
}

pub(super) fn value(stored: ValueRef<'_>) -> Value {
    match stored {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(value) => Value::Integer(value),
        ValueRef::Real(value) => Value::Real(value),
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Value::Text(text.to_owned()),
            Err(_) => Value::Blob(bytes.to_vec()),
        },
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
    }
}
