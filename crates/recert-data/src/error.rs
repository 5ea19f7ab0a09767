//! The error of this crate: a kind, the file, what is wrong and why.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, for callers that decide by it; the text is in [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A file or folder is not there.
    Missing,
    /// The operating system refused to read a file or folder.
    Io,
    /// The format of a path could not be recognised, or the name of a format is unknown.
    Unrecognised,
    /// A file ends before the data that it announces, or continues after it.
    Length,
    /// A file breaks the rules of its format.
    Corrupt,
    /// A file is sound, but uses a part of its format that is not read here.
    Unsupported,
    /// A set holds no image.
    Empty,
    /// A label is outside its range, or the labels do not fit the images.
    Label,
    /// A pixel is not a number in [0, 1].
    Value,
    /// The dimensions of an image or of an array do not fit.
    Shape,
    /// An option contradicts the data or itself.
    Options,
    /// There is no image with this index.
    Index,
}

/// What is wrong with the data, with the file that it is in.
///
/// [`Display`](fmt::Display) gives a lowercase fragment that reads well after
/// "failed to ...: "; the cause, where another library found it, is in
/// [`source`](StdError::source).
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    path: Option<PathBuf>,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The file or folder that the error is about, where it is about one.
    pub fn path(&self) -> Option<&Path> {
        self.0.path.as_deref()
    }

    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            path: None,
            message: message.into(),
            source: None,
        }))
    }

    /// Names the file, unless a more precise path inside it is named already.
    pub(crate) fn with_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.0.path.get_or_insert_with(|| path.into());
        self
    }

    pub(crate) fn with_source(
        mut self,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// An error of the operating system, distinguished by whether the path exists.
    pub(crate) fn io(source: io::Error, path: &Path) -> Self {
        // The system's words for what is missing would only repeat these.
        let error = if source.kind() == io::ErrorKind::NotFound {
            Self::new(ErrorKind::Missing, "no such file or folder")
        } else {
            Self::new(ErrorKind::Io, "cannot be read").with_source(source)
        };
        error.with_path(path)
    }

    /// A file whose length is not the one that its own header calls for.
    pub(crate) fn length(expected: u128, found: impl fmt::Display) -> Self {
        Self::new(
            ErrorKind::Length,
            format!("expected {expected} bytes, found {found}; copy or download the file again"),
        )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.0.path {
            write!(f, "{}: ", path.display())?;
        }
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("path", &self.0.path)
            .field("message", &self.0.message)
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0
            .source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_as_a_fragment_with_the_file_and_the_cause() {
        let cause = io::Error::from(io::ErrorKind::NotFound);
        let error = Error::io(cause, Path::new("a/b.npy"));
        assert_eq!(error.kind(), ErrorKind::Missing);
        assert_eq!(error.path(), Some(Path::new("a/b.npy")));
        assert_eq!(error.to_string(), "a/b.npy: no such file or folder");
        assert!(error.source().is_none());
        let cause = io::Error::from(io::ErrorKind::PermissionDenied);
        let error = Error::io(cause, Path::new("a/b.npy"));
        assert_eq!(error.to_string(), "a/b.npy: cannot be read");
        assert!(error.source().is_some());
    }

    #[test]
    fn keeps_the_first_and_most_precise_path() {
        let error = Error::new(ErrorKind::Corrupt, "broken")
            .with_path("inner")
            .with_path("outer");
        assert_eq!(error.to_string(), "inner: broken");
    }

    #[test]
    fn crosses_threads() {
        fn check<T: Send + Sync + 'static>() {}
        check::<Error>();
    }
}
