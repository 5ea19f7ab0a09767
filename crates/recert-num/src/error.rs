//! The one error type of this crate.

use std::fmt;

/// The kind of a failure, for callers that distinguish them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An argument lies outside the domain that the documentation states.
    Domain,
    /// A bound with the promised accuracy could not be proved, so none is given.
    Unproved,
    /// A search ended without an answer inside its stated limits.
    NotFound,
}

/// Why a number is invalid or a bound could not be computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

impl Error {
    /// An argument outside its domain.
    pub(crate) fn domain(message: impl Into<String>) -> Self {
        Self {
            kind: ErrorKind::Domain,
            message: message.into(),
        }
    }

    /// A bound that could not be proved.
    pub(crate) fn unproved(message: impl Into<String>) -> Self {
        Self {
            kind: ErrorKind::Unproved,
            message: message.into(),
        }
    }

    /// A search without a result.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self {
            kind: ErrorKind::NotFound,
            message: message.into(),
        }
    }

    /// The kind of failure.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_messages_are_kept() {
        for (error, kind) in [
            (Error::domain("a"), ErrorKind::Domain),
            (Error::unproved("a"), ErrorKind::Unproved),
            (Error::not_found("a"), ErrorKind::NotFound),
        ] {
            assert_eq!(error.kind(), kind);
            assert_eq!(error.to_string(), "a");
        }
    }
}
