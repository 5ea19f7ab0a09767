//! One writer a file: an advisory lock on a file beside it.
//!
//! `SQLite` would serialise two writers, but they would compute the same samples
//! twice. The lock is on `<ledger>.lock`, not on the ledger itself, because
//! closing a second descriptor of a database file drops `SQLite`'s own locks.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use crate::{Error, ErrorKind};

/// Held while a ledger is open for writing, or while a job works for long on another file that it
/// writes at its end; the system drops the lock with the process, however that ends.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    /// The lock on a file, which need not be there.
    ///
    /// # Errors
    /// [`ErrorKind::InUse`] where another process, or this one, holds it; [`ErrorKind::Open`] where
    /// nothing can be written beside the file.
    pub fn take(ledger: &Path) -> Result<Self, Error> {
        let mut name = ledger.as_os_str().to_owned();
        name.push(".lock");
        let path = PathBuf::from(name);
        let open = |why: std::io::Error| {
            let kind = match why.kind() {
                std::io::ErrorKind::StorageFull => ErrorKind::DiskFull,
                _ => ErrorKind::Open,
            };
            Error::new(kind, ledger, format!("cannot be opened for writing: {why}"))
        };
        let file = File::create(&path).map_err(open)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { path, _file: file }),
            Err(TryLockError::WouldBlock) => Err(Error::new(
                ErrorKind::InUse,
                ledger,
                "another process is writing to it: wait for it, or stop it",
            )),
            Err(TryLockError::Error(why)) => Err(open(why)),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A file left behind is harmless: the lock, not the file, excludes.
        let _ = std::fs::remove_file(&self.path);
    }
}
