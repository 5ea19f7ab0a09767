//! One writer a file: an advisory lock on a file beside it.
//!
//! `SQLite` would serialise two writers, but they would compute the same samples
//! twice. The lock is on `<ledger>.lock`, not on the ledger itself, because
//! closing a second descriptor of a database file drops `SQLite`'s own locks.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::error::NO_LOCKS;
use crate::{Error, ErrorKind};

/// Held while a ledger is open for writing, or while a job works for long on another file that it
/// writes at its end; the system drops the lock with the process, however that ends.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    _file: File,
}

/// How often a lock is taken again whose file seems to have been removed. Where it always seems so,
/// the file system does not tell files apart, and the lock is good as it is.
const ATTEMPTS: u32 = 100;

impl Lock {
    /// The lock on a file, which need not be there.
    ///
    /// # Errors
    /// [`ErrorKind::InUse`] where another process, or this one, holds it; [`ErrorKind::Open`] where
    /// nothing can be written beside the file, or where the file system does not lock files.
    pub fn take(ledger: &Path) -> Result<Self, Error> {
        let mut name = ledger.as_os_str().to_owned();
        name.push(".lock");
        let path = PathBuf::from(name);
        let mut attempts = 0..ATTEMPTS;
        loop {
            let file = File::create(&path).map_err(|why| not_written(ledger, &why))?;
            match file.try_lock() {
                // Whoever held it may have removed the file since it was opened here: a lock on
                // what has no name any more would exclude nobody.
                Ok(()) if is_named(&file, &path) || attempts.next().is_none() => {
                    return Ok(Self { path, _file: file });
                }
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::new(
                        ErrorKind::InUse,
                        ledger,
                        "another process is writing to it: wait for it, or stop it",
                    ));
                }
                Err(TryLockError::Error(why)) => {
                    let _ = std::fs::remove_file(&path);
                    return Err(not_locked(ledger, &why));
                }
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A file left behind is harmless: the lock, not the file, excludes.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Whether `path` is still the name of the open file.
#[cfg(unix)]
fn is_named(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    let open = file.metadata().map(identity);
    let named = path.metadata().map(identity);
    matches!((open, named), (Ok(open), Ok(named)) if open == named)
}

/// Elsewhere a file that is open keeps its name until it is closed.
#[cfg(not(unix))]
fn is_named(_: &File, _: &Path) -> bool {
    true
}

/// Why nothing can be written beside the ledger.
fn not_written(ledger: &Path, why: &io::Error) -> Error {
    let (kind, advice) = match why.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            (ErrorKind::DiskFull, ": free some space")
        }
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => (
            ErrorKind::Open,
            ": name a folder that may be written to; `recert snapshot` copies a ledger there",
        ),
        _ => (ErrorKind::Open, ""),
    };
    let message = format!("cannot be opened for writing: {why}{advice}");
    Error::new(kind, ledger, message)
}

/// Why the file beside the ledger cannot be locked.
fn not_locked(ledger: &Path, why: &io::Error) -> Error {
    let message = format!("cannot be locked: {why}; {NO_LOCKS}");
    Error::new(ErrorKind::Open, ledger, message)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Several threads take and drop the lock, which removes its file, as fast as they can.
    #[test]
    fn nobody_else_holds_a_lock_that_was_taken() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = folder.path().join("run.recert");
        let holders = AtomicUsize::new(0);
        let taken = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while taken.load(Ordering::SeqCst) < 300 {
                        match Lock::take(&ledger) {
                            Ok(lock) => {
                                assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0);
                                std::thread::yield_now();
                                holders.fetch_sub(1, Ordering::SeqCst);
                                taken.fetch_add(1, Ordering::SeqCst);
                                drop(lock);
                            }
                            Err(error) => assert_eq!(error.kind(), ErrorKind::InUse, "{error}"),
                        }
                    }
                });
            }
        });
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_was_removed_has_no_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.recert.lock");
        let file = File::create(&path).unwrap();
        assert!(is_named(&file, &path));
        std::fs::remove_file(&path).unwrap();
        assert!(!is_named(&file, &path));
        let _other = File::create(&path).unwrap();
        assert!(!is_named(&file, &path));
    }

    #[test]
    fn what_hinders_a_lock_is_an_error_with_what_to_do() {
        let ledger = Path::new("run.recert");
        let of = |kind: io::ErrorKind| not_written(ledger, &kind.into());
        for (why, kind, part) in [
            (
                io::ErrorKind::StorageFull,
                ErrorKind::DiskFull,
                "free some space",
            ),
            (
                io::ErrorKind::QuotaExceeded,
                ErrorKind::DiskFull,
                "free some space",
            ),
            (
                io::ErrorKind::ReadOnlyFilesystem,
                ErrorKind::Open,
                "recert snapshot",
            ),
            (
                io::ErrorKind::PermissionDenied,
                ErrorKind::Open,
                "recert snapshot",
            ),
        ] {
            let error = of(why);
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().contains(part), "{error}");
        }
        let error = not_locked(ledger, &io::ErrorKind::Unsupported.into());
        assert_eq!(error.kind(), ErrorKind::Open);
        assert!(error.to_string().contains("local disk"), "{error}");
    }
}
