//! The one error type of this crate.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What went wrong while loading or running a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The ONNX file could not be read or is not a classifier.
    Model,
    /// The engine cannot compute this network, or is known to compute it wrongly.
    Unsupported,
    /// The engine asked for is not installed or could not be loaded.
    EngineMissing,
    /// Shapes of data, network and preprocessing do not fit together.
    Shape,
    /// A preprocessing parameter is out of range.
    Preprocess,
    /// The engine failed while running, or answered with the wrong shape.
    Run,
    /// The engine ended the process in which it first computed the network, or did not answer in
    /// time.
    Crash,
}

/// What a failure is about, where choosing it otherwise would help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Setting {
    /// The engine that computes.
    Engine,
    /// The arithmetic.
    Precision,
    /// The device.
    Device,
    /// The output that is read.
    Output,
    /// The normalisation's mean.
    Mean,
    /// The normalisation's standard deviation.
    Std,
    /// The normalisation's factor.
    Scale,
    /// The size of the images.
    ImageSize,
    /// The memory that there is for an image.
    MaxMemory,
}

/// A failure to load or to run a network: what, where, and what to do.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    setting: Option<Setting>,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            setting: None,
            message: message.into(),
            source: None,
        }
    }

    /// The same, about a setting.
    #[must_use]
    pub fn about(mut self, setting: Setting) -> Self {
        self.setting = Some(setting);
        self
    }

    pub(crate) fn because(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The kind of failure.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The setting that the failure is about.
    pub fn setting(&self) -> Option<Setting> {
        self.setting
    }

    /// A failure of an engine outside this crate, for its own implementation
    /// of [`Runtime`](crate::Runtime), [`Session`](crate::Session) or
    /// [`Classifier`](crate::Classifier).
    pub fn external(
        kind: ErrorKind,
        message: impl Into<String>,
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self {
            kind,
            setting: None,
            message: message.into(),
            source,
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
        self.source
            .as_deref()
            .map(|source| source as &(dyn std::error::Error + 'static))
    }
}
