//! The one error type of this crate.

use std::fmt;
use std::path::{Path, PathBuf};

/// What went wrong with a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The file is missing or cannot be opened.
    Open,
    /// The file is not a ledger, or is damaged.
    Corrupt,
    /// The ledger was written by a newer version of this program.
    TooNew,
    /// The ledger belongs to another run: another network, sigma, seed, ...
    Mismatch,
    /// The ledger belongs to other inputs.
    OtherData,
    /// Another process is writing to the ledger.
    InUse,
    /// The disk is full.
    DiskFull,
    /// The ledger does not hold the answers asked for.
    Missing,
    /// A network's new answer on a sample differs from the recorded one.
    Conflict,
    /// The answers to record, or the list of samples asked for, are malformed.
    Malformed,
    /// Reading or writing failed for another reason.
    Io,
}

/// What to do about a ledger that is damaged or cut off.
pub(crate) const ADVICE: &str = "if it is a copy, copy the original again with `recert snapshot` (a \
     copy made during a run also lacks what is in the -wal file beside the original); otherwise go \
     on from an earlier copy: the same command evaluates again what it lacks, on the same noise";

/// What to do where a file cannot be locked.
pub(crate) const NO_LOCKS: &str = "its file system may not lock files: keep ledgers on a local disk, \
     and put snapshots of them there (`recert snapshot`)";

/// A failure to read or to write a ledger, naming its file.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    path: PathBuf,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, path: &Path, message: impl Into<String>) -> Self {
        Self {
            kind,
            path: path.to_owned(),
            message: message.into(),
            source: None,
        }
    }

    pub(crate) fn sql(path: &Path, source: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        let failed = source
            .sqlite_error()
            .map_or(Failed::Otherwise, |error| Failed::of(error.extended_code));
        let (kind, message) = match source.sqlite_error_code() {
            code if failed == Failed::NoRoom || code == Some(ErrorCode::DiskFull) => (
                ErrorKind::DiskFull,
                "the disk is full; everything that was written before is kept: \
                 free some space and run the same command again"
                    .to_owned(),
            ),
            _ if failed == Failed::Writing => (
                ErrorKind::Io,
                format!(
                    "cannot be written to ({source}): a quota or a limit on the size of files may be \
                     reached, or the disk fails; everything that was written before is kept: make \
                     room, or copy the ledger to another disk with `recert snapshot`, and run the \
                     same command again"
                ),
            ),
            _ if failed == Failed::Locking => (
                ErrorKind::Open,
                format!("cannot be locked ({source}); {NO_LOCKS}"),
            ),
            Some(ErrorCode::NotADatabase) => (ErrorKind::Corrupt, "is not a recert ledger".into()),
            Some(ErrorCode::DatabaseCorrupt) => (
                ErrorKind::Corrupt,
                format!("is damaged or truncated: {ADVICE}"),
            ),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                let message = format!("is in use by another process; if there is none, {NO_LOCKS}");
                (ErrorKind::InUse, message)
            }
            Some(ErrorCode::ReadOnly) => (
                ErrorKind::Io,
                "cannot be written to: copy it with `recert snapshot` to a folder that may be"
                    .into(),
            ),
            Some(ErrorCode::CannotOpen) => (ErrorKind::Open, "cannot be opened".into()),
            // A stored value does not have its column's type, or a table or column is missing.
            None if is_misread(&source) => (ErrorKind::Corrupt, format!("is damaged: {source}")),
            Some(
                ErrorCode::Unknown
                | ErrorCode::ConstraintViolation
                | ErrorCode::TypeMismatch
                | ErrorCode::TooBig,
            ) => (ErrorKind::Corrupt, format!("is damaged: {source}")),
            _ if failed == Failed::ShortRead => (
                ErrorKind::Corrupt,
                format!("is damaged or truncated: {ADVICE}"),
            ),
            _ => (ErrorKind::Io, format!("failed: {source}")),
        };
        Self {
            kind,
            path: path.to_owned(),
            message,
            source: Some(Box::new(source)),
        }
    }

    /// The same failure of another file.
    pub(crate) fn of(mut self, path: &Path) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// The kind of failure.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The ledger's file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// What the system refused to `SQLite`, which names the failing call but not the system's reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failed {
    /// The index of the write-ahead log could not be made longer.
    NoRoom,
    /// A file could not be written, for another reason than a full disk.
    Writing,
    /// A lock of `SQLite`'s own.
    Locking,
    /// A file ends where it should not.
    ShortRead,
    Otherwise,
}

impl Failed {
    fn of(extended_code: i32) -> Self {
        use rusqlite::ffi;
        match extended_code {
            ffi::SQLITE_IOERR_SHMSIZE => Self::NoRoom,
            ffi::SQLITE_IOERR_WRITE
            | ffi::SQLITE_IOERR_FSYNC
            | ffi::SQLITE_IOERR_DIR_FSYNC
            | ffi::SQLITE_IOERR_TRUNCATE
            | ffi::SQLITE_IOERR_DELETE => Self::Writing,
            ffi::SQLITE_IOERR_LOCK
            | ffi::SQLITE_IOERR_RDLOCK
            | ffi::SQLITE_IOERR_UNLOCK
            | ffi::SQLITE_IOERR_CHECKRESERVEDLOCK
            | ffi::SQLITE_IOERR_SHMLOCK => Self::Locking,
            ffi::SQLITE_IOERR_SHORT_READ => Self::ShortRead,
            _ => Self::Otherwise,
        }
    }
}

/// Whether a stored value could not be read as the type of its column.
fn is_misread(error: &rusqlite::Error) -> bool {
    use rusqlite::Error as E;
    matches!(
        error,
        E::FromSqlConversionFailure(..)
            | E::IntegralValueOutOfRange(..)
            | E::InvalidColumnType(..)
            | E::InvalidColumnName(..)
            | E::QueryReturnedNoRows
            | E::Utf8Error(..)
            | E::SqlInputError { .. }
    )
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ledger {}: {}", self.path.display(), self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source
            .as_deref()
            .map(|source| source as &(dyn std::error::Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_refused_is_said_with_what_to_do() {
        use rusqlite::ffi;
        for (code, kind, parts) in [
            (
                ffi::SQLITE_FULL,
                ErrorKind::DiskFull,
                ["disk is full", "same command"],
            ),
            (
                ffi::SQLITE_IOERR_SHMSIZE,
                ErrorKind::DiskFull,
                ["disk is full", "is kept"],
            ),
            (ffi::SQLITE_IOERR_WRITE, ErrorKind::Io, ["quota", "is kept"]),
            (
                ffi::SQLITE_IOERR_FSYNC,
                ErrorKind::Io,
                ["the disk fails", "same command"],
            ),
            (
                ffi::SQLITE_IOERR_LOCK,
                ErrorKind::Open,
                ["cannot be locked", "local disk"],
            ),
            (
                ffi::SQLITE_BUSY,
                ErrorKind::InUse,
                ["another process", "local disk"],
            ),
            (
                ffi::SQLITE_READONLY,
                ErrorKind::Io,
                ["cannot be written to", "recert snapshot"],
            ),
            (
                ffi::SQLITE_IOERR_SHORT_READ,
                ErrorKind::Corrupt,
                ["truncated", "earlier copy"],
            ),
            (
                ffi::SQLITE_CORRUPT,
                ErrorKind::Corrupt,
                ["truncated", "recert snapshot"],
            ),
        ] {
            let source = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            let error = Error::sql(Path::new("run.recert"), source);
            assert_eq!(error.kind(), kind, "{error}");
            for part in ["run.recert"].iter().chain(&parts) {
                assert!(error.to_string().contains(part), "{part}: {error}");
            }
        }
    }
}
