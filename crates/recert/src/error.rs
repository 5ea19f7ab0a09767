//! The one error of this crate: a kind to branch on, and the parameter at fault.

use std::error::Error as StdError;
use std::fmt;

use crate::Field;

/// What went wrong, as far as a caller would act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A parameter is missing, out of range, or does not fit the others.
    Parameter,
    /// A network, data or ledger file is missing, damaged, or not what it should be.
    Input,
    /// The ledger is of another run, was written by a newer version, or is in use.
    Ledger,
    /// The engine is missing or cannot compute the network.
    Engine,
    /// A worker could not be started, was lost, or sent a reply that cannot be used:
    /// what others computed is kept, and the same job again goes on from there.
    Workers,
    /// Writing failed, such as on a full disk.
    Output,
    /// Another failure than those above.
    Other,
}

/// Why a job could not be started or finished.
///
/// Its text is a lowercase fragment on one line, which includes the causes and
/// names parameters in plain words. [`field`](Self::field) names the parameter
/// for those who show it under another name, as a flag or a keyword argument.
///
/// ```
/// use recert::job::CertifyConfig;
/// use recert::{ErrorKind, Field};
///
/// let error = CertifyConfig::new(-0.5).validate().unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Parameter);
/// assert_eq!(error.field(), Some(Field::Sigma));
/// ```
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    field: Option<Field>,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// A `Result` whose error is this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            field: None,
            message: message.into(),
            source: None,
        }
    }

    /// A parameter that is out of range.
    pub(crate) fn parameter(field: Field, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Parameter, message).about(field)
    }

    /// What could not be written, and why.
    pub(crate) fn output(target: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Output, format!("writing {target} failed: {why}"))
    }

    pub(crate) fn about(mut self, field: Field) -> Self {
        self.field = Some(field);
        self
    }

    /// States during what it happened. A parameter that is out of range is so
    /// whatever is done with it.
    pub(crate) fn during(mut self, action: impl fmt::Display) -> Self {
        if self.kind != ErrorKind::Parameter {
            self.message = format!("{action}: {}", self.message);
        }
        self
    }

    /// The kind of failure.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The parameter to choose otherwise, where there is one.
    pub fn field(&self) -> Option<Field> {
        self.field
    }

    fn from_library(source: impl StdError + Send + Sync + 'static) -> Self {
        // That an engine does not take a network is its own, whatever it found in the file.
        let unsupported = causes(&source).find(|cause| {
            let error = cause.downcast_ref::<recert_engine::Error>();
            error.is_some_and(|error| error.kind() == recert_engine::ErrorKind::Unsupported)
        });
        let (kind, field) = (unsupported.and_then(classify))
            .or_else(|| causes(&source).filter_map(classify).last())
            .unwrap_or((ErrorKind::Other, None));
        Self {
            kind,
            field,
            message: on_one_line(&source),
            source: Some(Box::new(source)),
        }
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

macro_rules! from {
    ($($library:ident)*) => {
        $(impl From<$library::Error> for Error {
            fn from(source: $library::Error) -> Self {
                Self::from_library(source)
            }
        })*
    };
}

from!(recert_bounds recert_data recert_engine recert_ledger recert_net recert_noise recert_num recert_report recert_smooth);

/// An error and its causes, the innermost last.
fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// The kind of a library's error and what it is about; `None` where its cause
/// knows better, or nobody does.
fn classify(cause: &(dyn StdError + 'static)) -> Option<(ErrorKind, Option<Field>)> {
    if let Some(error) = cause.downcast_ref::<recert_ledger::Error>() {
        use recert_ledger::ErrorKind as K;
        return Some(match error.kind() {
            K::OtherData => (ErrorKind::Ledger, Some(Field::Data)),
            K::Mismatch | K::TooNew | K::InUse => (ErrorKind::Ledger, None),
            K::DiskFull | K::Io => (ErrorKind::Output, None),
            _ => (ErrorKind::Input, None),
        });
    }
    if let Some(error) = cause.downcast_ref::<recert_engine::Error>() {
        use recert_engine::ErrorKind as K;
        let kind = match error.kind() {
            K::EngineMissing | K::Unsupported | K::Run | K::Crash => ErrorKind::Engine,
            K::Preprocess => ErrorKind::Parameter,
            _ => ErrorKind::Input,
        };
        return Some((kind, error.setting().and_then(field)));
    }
    if let Some(error) = cause.downcast_ref::<recert_smooth::Error>() {
        use recert_smooth::ErrorKind as K;
        return match error.kind() {
            K::Parameter => Some((ErrorKind::Parameter, None)),
            K::Ledger => Some((ErrorKind::Ledger, None)),
            K::Engine => Some((ErrorKind::Engine, None)),
            K::Workers => Some((ErrorKind::Workers, None)),
            K::Data => Some((ErrorKind::Input, None)),
            _ => None,
        };
    }
    if let Some(error) = cause.downcast_ref::<recert_net::Error>() {
        return Some(match error.kind() {
            recert_net::ErrorKind::Argument => (ErrorKind::Parameter, None),
            recert_net::ErrorKind::Outputs => (ErrorKind::Input, Some(Field::Output)),
            _ => (ErrorKind::Input, None),
        });
    }
    if let Some(error) = cause.downcast_ref::<recert_bounds::Error>() {
        use recert_bounds::ErrorKind as K;
        return Some(match error.kind() {
            K::Unsupported => (ErrorKind::Engine, None),
            K::Memory => (ErrorKind::Parameter, Some(Field::Memory)),
            _ => (ErrorKind::Input, None),
        });
    }
    let kind = if cause.is::<recert_num::Error>() || cause.is::<recert_noise::Error>() {
        ErrorKind::Parameter
    } else if let Some(error) = cause.downcast_ref::<recert_report::Error>() {
        // A number that cannot be is what a file holds, not what writing it fails with.
        match error.kind() {
            recert_report::ErrorKind::Value => ErrorKind::Input,
            _ => ErrorKind::Output,
        }
    } else if cause.is::<recert_data::Error>() {
        ErrorKind::Input
    } else {
        return None;
    };
    Some((kind, None))
}

fn field(setting: recert_engine::Setting) -> Option<Field> {
    use recert_engine::Setting as S;
    Some(match setting {
        S::Engine => Field::Engine,
        S::Precision => Field::Precision,
        S::Device => Field::Device,
        S::Output => Field::Output,
        S::Mean => Field::Mean,
        S::Std => Field::Std,
        S::Scale => Field::Scale,
        S::ImageSize => Field::Crop,
        S::MaxMemory => Field::MaxMemory,
        _ => return None,
    })
}

/// The error and its causes, none of them twice.
fn on_one_line(error: &(dyn StdError + 'static)) -> String {
    let mut message = String::new();
    for cause in causes(error) {
        let text = cause.to_string();
        if message.is_empty() {
            message = text;
        } else if !message.contains(&text) {
            message = format!("{message}: {text}");
        }
        // A ledger's error states all there is; the database's own words below
        // it help nobody. That a file is not there, the system only says again.
        let is_missing =
            |error: &recert_data::Error| error.kind() == recert_data::ErrorKind::Missing;
        if cause.is::<recert_ledger::Error>() || cause.downcast_ref().is_some_and(is_missing) {
            break;
        }
    }
    message
}
