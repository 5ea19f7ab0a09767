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
    /// Stopped by Ctrl-C or a termination signal; the same command resumes.
    Interrupted = 130,
}

/// A flag's value that is out of range.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// The run was stopped from outside.
#[derive(Debug)]
pub(crate) struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("interrupted; everything computed is in the ledger: the same command resumes")
    }
}

impl std::error::Error for Interrupted {}

impl Code {
    /// The code for an error, by the innermost cause that says.
    pub(crate) fn of(error: &Error) -> Self {
        error.chain().rev().find_map(code).unwrap_or(Self::Other)
    }
}

fn code(cause: &(dyn std::error::Error + 'static)) -> Option<Code> {
    if cause.is::<Usage>() {
        return Some(Code::Usage);
    }
    if cause.is::<Interrupted>() {
        return Some(Code::Interrupted);
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
        return (error.kind() == smooth::ErrorKind::Parameter).then_some(Code::Usage);
    }
    if cause.is::<recert::num::Error>() {
        return Some(Code::Usage);
    }
    if cause.is::<report::Error>() {
        return Some(Code::Output);
    }
    (cause.is::<data::Error>() || cause.is::<net::Error>()).then_some(Code::Input)
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code as u8)
    }
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
    }
    message
}
