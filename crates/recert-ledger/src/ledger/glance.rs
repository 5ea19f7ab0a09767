//! What a file shows at a glance: whether it is a ledger, and of what.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::networks::read_header;
use crate::records::Header;
use crate::schema::APPLICATION_ID;

/// What a ledger is of, read without the checks that opening it makes: for looking through
/// files that may be ledgers. Nothing may rest on it.
#[derive(Debug, Clone, PartialEq)]
pub struct Glance {
    /// The run's header.
    pub header: Header,
    /// Whether there are certificates.
    pub has_certificates: bool,
}

impl Glance {
    /// Looks at a file, for reading only; `None` if it is no ledger that can be read.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/example.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// use recert_ledger::Glance;
    ///
    /// let path = folder.path().join("run.recert");
    /// Ledger::create(&path, &header())?.close()?;
    /// let glance = Glance::at(&path).unwrap();
    /// assert_eq!((glance.header, glance.has_certificates), (header(), false));
    /// std::fs::write(&path, "notes")?;
    /// assert_eq!(Glance::at(&path), None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn at(path: &Path) -> Option<Self> {
        if !is_ledger(path) {
            return None;
        }
        let connection =
            Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
        let (header, _) = read_header(&connection).ok()??;
        let any = "SELECT EXISTS (SELECT 1 FROM certificate)";
        let has_certificates = connection.query_row(any, [], |row| row.get(0)).ok()?;
        Some(Self {
            header,
            has_certificates,
        })
    }
}

/// Whether a file begins as `SQLite`'s do, with the number that ledgers have at byte 68
/// (<https://www.sqlite.org/fileformat.html>, section 1.3).
fn is_ledger(path: &Path) -> bool {
    let mut start = [0; 72];
    let is_file = path.metadata().is_ok_and(|metadata| metadata.is_file());
    let read =
        is_file && File::open(path).is_ok_and(|mut file| file.read_exact(&mut start).is_ok());
    let application = start.last_chunk().map(|bytes| i32::from_be_bytes(*bytes));
    read && start.starts_with(b"SQLite format 3\0")
        && application.map(i64::from) == Some(APPLICATION_ID)
}
