//! The one error type of this crate.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A parameter is out of range or does not fit the ledger.
    Parameter,
    /// Reading an input failed.
    Data,
    /// The classifier failed.
    Engine,
    /// A worker was lost, or its reply cannot be used.
    Workers,
    /// Reading or writing the ledger failed.
    Ledger,
    /// A bound could not be computed.
    Numbers,
}

/// A failure of a certification run. Everything that was computed before is in the ledger.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    pub(crate) fn parameter(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Parameter, message)
    }

    /// With what it was caused by.
    pub(crate) fn because(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Puts the network's name before the message.
    pub(crate) fn of_network(mut self, network: &str) -> Self {
        self.message = format!("{network}: {}", self.message);
        self
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

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source
            .as_deref()
            .map(|source| source as &(dyn std::error::Error + 'static))
    }
}

macro_rules! from {
    ($source:ty, $kind:ident) => {
        impl From<$source> for Error {
            fn from(source: $source) -> Self {
                Self {
                    kind: ErrorKind::$kind,
                    message: source.to_string(),
                    source: Some(Box::new(source)),
                }
            }
        }
    };
}

from!(recert_data::Error, Data);
from!(recert_engine::Error, Engine);
from!(recert_ledger::Error, Ledger);
from!(recert_noise::Error, Parameter);
from!(recert_num::Error, Numbers);
