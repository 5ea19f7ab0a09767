//! The one error type of this crate: what is refused, and where.

use std::fmt;

/// Why a network has no bounds, or arguments do not fit it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An operator, or a use of one, that has no relaxation.
    Unsupported,
    /// The graph breaks a rule of ONNX, or a constant is not finite.
    Graph,
    /// A region, property or set of slopes that does not fit the network, or is malformed.
    Argument,
    /// The memory allowed is less than a single row takes.
    Memory,
    /// A file that cannot be read.
    Io,
    /// A text that is no valid property, transformation or list of instances.
    Syntax,
}

/// A network that is refused, or arguments that do not fit it.
///
/// The text is a lowercase fragment that names the node or argument and says what to do
/// where something can be done. That a property could not be proved is no error: the bound
/// is then merely not positive.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<recert_graph::Error>,
}

/// A `Result` whose error is this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of this class.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    pub(crate) fn argument(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Argument, message)
    }

    pub(crate) fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
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

impl From<recert_graph::Error> for Error {
    fn from(source: recert_graph::Error) -> Self {
        Self {
            kind: match source.kind() {
                recert_graph::ErrorKind::Unsupported | recert_graph::ErrorKind::TooLarge => {
                    ErrorKind::Unsupported
                }
                _ => ErrorKind::Graph,
            },
            message: source.to_string(),
            source: Some(source),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}
