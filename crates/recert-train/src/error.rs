//! What can go wrong in training.

use std::fmt;

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What kind of thing went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The network cannot be built, read or written.
    Network,
    /// Images or labels do not fit the network or one another.
    Data,
    /// A setting is out of its range, or does not go with another.
    Setting,
    /// The loss or the weights left the finite numbers.
    Diverged,
    /// A checkpoint is damaged, or another training's.
    Checkpoint,
    /// A device other than the processor fails, or computes something else.
    Device,
}

/// What went wrong, a fragment that reads well after "failed to train: ".
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    field: Option<&'static str>,
    text: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, text: impl Into<String>) -> Self {
        Self {
            kind,
            field: None,
            text: text.into(),
            source: None,
        }
    }

    pub(crate) fn network(text: impl Into<String>) -> Self {
        Self::new(ErrorKind::Network, text)
    }

    pub(crate) fn setting(field: &'static str, text: impl Into<String>) -> Self {
        Self {
            field: Some(field),
            ..Self::new(ErrorKind::Setting, text)
        }
    }

    pub(crate) fn with_source(
        self,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self {
            source: Some(Box::new(source)),
            ..self
        }
    }

    /// The kind.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The setting that is at fault, by the name of its field, where it is one.
    pub fn field(&self) -> Option<&'static str> {
        self.field
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let source = self.source.as_deref()?;
        Some(source)
    }
}
