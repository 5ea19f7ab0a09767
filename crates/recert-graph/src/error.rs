//! The one error type of this crate: what is wrong, and where in the network.

use std::error::Error as StdError;
use std::fmt;

/// A `Result` whose error is this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a network could not be read, understood or rewritten.
///
/// The text is a lowercase fragment that names the file, node or tensor and
/// says what to do where something can be done.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The class of an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A file could not be read or written.
    Io,
    /// The bytes are not an ONNX network, or not a whole one.
    NotOnnx,
    /// A tensor's data does not fit its shape or type, or is not finite.
    Tensor,
    /// Tensor data in another file is missing or may not be read.
    ExternalData,
    /// The inputs or outputs are not those of an image classifier.
    Signature,
    /// Several outputs may be the classes' scores: one has to be named.
    Outputs,
    /// The graph breaks a rule of ONNX: order, unique names, dangling names.
    Graph,
    /// The network holds something that the asked rewrite does not support.
    Unsupported,
    /// A tensor, or all that there are at a time, would take more memory than there may be.
    TooLarge,
    /// The rewrite would leave every weight as it was.
    Unchanged,
    /// Calibration values are missing, not finite, or of no use.
    Calibration,
    /// An argument is outside its domain.
    Argument,
}

impl Error {
    /// An error of this class.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error {
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// With what it was caused by.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Puts the place (a file, a node) before the message.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }

    /// The class of the error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
