//! The one error type of this crate: what is refused, and which node.

use std::fmt;

/// Why a network cannot be computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An operator, or a use of one, that is not among those computed here.
    Unsupported,
    /// The graph breaks a rule of ONNX, or a tensor's data is damaged.
    Graph,
    /// The caller's data do not fit the network.
    Shape,
}

/// A network that is refused, or data that do not fit it. The text is a
/// lowercase fragment that names the node.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<recert_graph::Error>,
}

/// A `Result` whose error is this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// Puts the file's name before the message, where it is not there yet.
    pub(crate) fn of_file(mut self, name: &str) -> Self {
        if !self.message.starts_with(name) {
            self.message = format!("{name}: {}", self.message);
        }
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
