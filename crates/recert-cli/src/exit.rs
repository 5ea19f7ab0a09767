//! Exit codes, and how an error becomes one.

use std::process::ExitCode;

use anyhow::Error;
use recert::{data, engine, ledger, net, report, smooth};

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Code {
    /// All was done.
    Done = 0,
    /// A failure of no other kind.
    Other = 1,
    /// Wrong usage: a flag missing, unknown or out of range (clap's own code).
    Usage = 2,
    /// A model, data or ledger file is missing, damaged or not what it should be.
    Input = 3,
    /// The ledger is of another run, written by a newer version, or in use.
    Ledger = 4,
    /// The engine is missing or cannot compute the network.
    Engine = 5,
    /// Writing failed, such as on a full disk.
    Output = 6,
    /// A ledger was checked, and a certificate or a field does not hold.
    Check = 7,
    /// Stopped by Ctrl-C or a termination signal; the same command resumes.
    Interrupted = 130,
}

/// A failure that this crate finds itself, and the code it ends with.
#[derive(Debug)]
pub(crate) struct Failure {
    code: Code,
    message: String,
}

impl Failure {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// A flag's value that is out of range.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Code::Usage, message)
    }

    /// The run was stopped from outside.
    pub(crate) fn interrupted() -> Self {
        let message = "interrupted; everything computed is in the ledger: the same command resumes";
        Self::new(Code::Interrupted, message)
    }

    /// What could not be written, and why.
    pub(crate) fn output(what: impl std::fmt::Display, why: impl std::fmt::Display) -> Self {
        Self::new(Code::Output, format!("writing {what} failed: {why}"))
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl Code {
    /// The code for an error, by the innermost cause that says.
    pub(crate) fn of(error: &Error) -> Self {
        error.chain().rev().find_map(code).unwrap_or(Self::Other)
    }
}

fn code(cause: &(dyn std::error::Error + 'static)) -> Option<Code> {
    if let Some(failure) = cause.downcast_ref::<Failure>() {
        return Some(failure.code);
    }
    if let Some(error) = cause.downcast_ref::<ledger::Error>() {
        use ledger::ErrorKind as K;
        return Some(match error.kind() {
            K::Mismatch | K::TooNew | K::InUse => Code::Ledger,
            K::DiskFull | K::Io => Code::Output,
            _ => Code::Input,
        });
    }
    if let Some(error) = cause.downcast_ref::<engine::Error>() {
        use engine::ErrorKind as K;
        return Some(match error.kind() {
            K::EngineMissing | K::Unsupported | K::Run => Code::Engine,
            K::Preprocess => Code::Usage,
            _ => Code::Input,
        });
    }
    if let Some(error) = cause.downcast_ref::<smooth::Error>() {
        use smooth::ErrorKind as K;
        return match error.kind() {
            K::Parameter => Some(Code::Usage),
            K::Ledger => Some(Code::Ledger),
            K::Engine => Some(Code::Engine),
            K::Data => Some(Code::Input),
            _ => None,
        };
    }
    if let Some(error) = cause.downcast_ref::<net::Error>() {
        return Some(match error.kind() {
            net::ErrorKind::Argument => Code::Usage,
            _ => Code::Input,
        });
    }
    if cause.is::<recert::num::Error>() {
        return Some(Code::Usage);
    }
    if cause.is::<report::Error>() {
        return Some(Code::Output);
    }
    cause.is::<data::Error>().then_some(Code::Input)
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code as u8)
    }
}

/// An error whose kind of cause the interface it came through does not tell,
/// made one whose exit code is known.
pub(crate) fn typed(error: Box<dyn std::error::Error + Send + Sync>) -> Error {
    error
        .downcast::<net::Error>()
        .map(|known| Error::new(*known))
        .or_else(|error| {
            error
                .downcast::<engine::Error>()
                .map(|known| Error::new(*known))
        })
        .or_else(|error| {
            error
                .downcast::<data::Error>()
                .map(|known| Error::new(*known))
        })
        .unwrap_or_else(Error::from_boxed)
}

/// The error and its causes on one line, without saying the same thing twice.
pub(crate) fn message(error: &Error) -> String {
    let mut message = String::new();
    for cause in error.chain() {
        let text = cause.to_string();
        if message.is_empty() {
            message = text;
        } else if !message.contains(&text) {
            message = format!("{message}: {text}");
        }
        // A ledger's error says all there is; the database's own words below
        // it are of no use to anybody.
        if cause.is::<ledger::Error>() {
            break;
        }
    }
    message
}
