//! Copies of a ledger, taken also while a run writes to it.

use std::path::{Path, PathBuf};

use super::{Ledger, Seal};
use crate::{Error, ErrorKind};

/// What a copy of a ledger holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The number of inputs.
    pub inputs: u64,
    /// The number of certificates.
    pub certificates: u64,
    /// Its seal: that of the ledger, or none where a run is writing to it.
    pub seal: Seal,
}

impl Ledger {
    /// Writes all that the ledger holds at this moment to the file `copy`, which must not
    /// exist. The ledger may be open for reading only, and a run may write to it meanwhile.
    /// The copy is one file, and appears whole or not at all.
    ///
    /// # Errors
    /// [`ErrorKind::Open`] if `copy` exists or cannot be made; [`ErrorKind::DiskFull`].
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/example.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let (ledger, series) = example(folder.path())?;
    /// // `ledger` is being written to.
    /// let copy = folder.path().join("copy.recert");
    /// let snapshot = Ledger::open_read_only(ledger.path())?.snapshot(&copy)?;
    /// assert_eq!(snapshot.seal, recert_ledger::Seal::Absent);
    /// assert_eq!(Ledger::open(&copy)?.inputs()?, ledger.inputs()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn snapshot(&self, copy: &Path) -> Result<Snapshot, Error> {
        let open = |message: String| Error::new(ErrorKind::Open, copy, message);
        if copy.symlink_metadata().is_ok() {
            return Err(open("exists already: choose another name".to_owned()));
        }
        let mut name = copy.as_os_str().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let part = PathBuf::from(name);
        let written = self.write_copy(&part, copy);
        if written.is_err() {
            // Nothing is left of a copy that failed.
            let _ = std::fs::remove_file(&part);
        }
        written
    }

    pub(super) fn write_copy(&self, part: &Path, copy: &Path) -> Result<Snapshot, Error> {
        let Some(name) = part.to_str() else {
            let message = "its name is not Unicode: choose another name";
            return Err(Error::new(ErrorKind::Open, copy, message));
        };
        let vacuum = self.connection.execute("VACUUM main INTO ?1", [name]);
        vacuum.map_err(|source| {
            let error = self.sql(source);
            match error.kind() {
                // What cannot be made is the copy; the ledger itself is only read.
                ErrorKind::Open | ErrorKind::DiskFull | ErrorKind::Io => error.of(copy),
                _ => error,
            }
        })?;
        let io = |why: std::io::Error| {
            Error::new(ErrorKind::Io, copy, format!("cannot be written: {why}"))
        };
        // On the disk before it has its name.
        let file = std::fs::File::open(part).map_err(io)?;
        file.sync_all().map_err(io)?;
        drop(file);
        let written = Self::open_read_only(part)?;
        let count = |table: &str| -> Result<u64, Error> {
            let count = format!("SELECT count(*) FROM {table}");
            let count = written.connection.query_row(&count, [], |row| row.get(0));
            count.map_err(|e| written.sql(e)).map(i64::unsigned_abs)
        };
        let snapshot = Snapshot {
            inputs: count("input")?,
            certificates: count("certificate")?,
            seal: written.seal()?,
        };
        drop(written);
        std::fs::rename(part, copy).map_err(io)?;
        Ok(snapshot)
    }
}
