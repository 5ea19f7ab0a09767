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
        // The index of the write-ahead log could not be made longer.
        let no_room = rusqlite::ffi::SQLITE_IOERR_SHMSIZE;
        let full = source
            .sqlite_error()
            .is_some_and(|error| error.extended_code == no_room);
        let short_read = (source.sqlite_error())
            .is_some_and(|error| error.extended_code == rusqlite::ffi::SQLITE_IOERR_SHORT_READ);
        let (kind, message) = match source.sqlite_error_code() {
            code if full || code == Some(ErrorCode::DiskFull) => (
                ErrorKind::DiskFull,
                "the disk is full; everything that was written before is kept: \
                 free some space and run the same command again"
                    .to_owned(),
            ),
            Some(ErrorCode::NotADatabase) => (ErrorKind::Corrupt, "is not a recert ledger".into()),
            Some(ErrorCode::DatabaseCorrupt) => (
                ErrorKind::Corrupt,
                format!("is damaged or truncated: {ADVICE}"),
            ),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                (ErrorKind::InUse, "is in use by another process".into())
            }
            Some(ErrorCode::ReadOnly) => (ErrorKind::Io, "cannot be written to".into()),
            Some(ErrorCode::CannotOpen) => (ErrorKind::Open, "cannot be opened".into()),
            // A stored value does not have its column's type, or a table or column is missing.
            None if is_misread(&source) => (ErrorKind::Corrupt, format!("is damaged: {source}")),
            Some(
                ErrorCode::Unknown
                | ErrorCode::ConstraintViolation
                | ErrorCode::TypeMismatch
                | ErrorCode::TooBig,
            ) => (ErrorKind::Corrupt, format!("is damaged: {source}")),
            _ if short_read => (
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

    /// The kind of failure.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The ledger's file.
    pub fn path(&self) -> &Path {
        &self.path
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
