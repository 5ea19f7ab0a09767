//! Exit codes, and how an error becomes one.

use recert::{Error, ErrorKind, Field};

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
    /// A worker could not be started, was lost, or sent a reply that cannot be used.
    Workers = 8,
    /// Stopped by Ctrl-C or a termination signal; the same command resumes.
    Interrupted = 130,
}

/// Why the program ends otherwise than done.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    pub(crate) message: String,
}

pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// The run was stopped from outside.
    pub(crate) fn interrupted() -> Self {
        let message = "interrupted; everything computed is in the ledger: the same command resumes";
        Self::new(Code::Interrupted, message)
    }

    /// The run was stopped from outside, and nothing was kept.
    pub(crate) fn interrupted_without_ledger() -> Self {
        let message = "interrupted; a run with --ledger can be resumed";
        Self::new(Code::Interrupted, message)
    }

    /// What could not be written, and why.
    pub(crate) fn output(target: impl std::fmt::Display, why: impl std::fmt::Display) -> Self {
        Self::new(Code::Output, format!("writing {target} failed: {why}"))
    }
}

/// A wrong use of flags.
pub(crate) fn usage<T>(message: impl Into<String>) -> Result<T> {
    Err(Failure::new(Code::Usage, message))
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = match error.kind() {
            ErrorKind::Parameter => Code::Usage,
            ErrorKind::Input => Code::Input,
            ErrorKind::Ledger => Code::Ledger,
            ErrorKind::Engine => Code::Engine,
            ErrorKind::Workers => Code::Workers,
            ErrorKind::Output => Code::Output,
            _ => Code::Other,
        };
        Self::new(code, with_flag(&error, error.field()))
    }
}

impl From<recert::report::Error> for Failure {
    fn from(error: recert::report::Error) -> Self {
        Error::from(error).into()
    }
}

/// A library's words, with the flag for the field that they are about.
pub(crate) fn with_flag(words: &dyn std::fmt::Display, field: Option<Field>) -> String {
    match field {
        Some(field) => format!("{words} (see {})", flag(field)),
        None => words.to_string(),
    }
}

fn flag(field: Field) -> String {
    format!("--{}", field.name().replace('_', "-"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_field_is_a_flag() {
        let commands = crate::args::Args::commands();
        let flags: BTreeSet<String> = (commands.get_subcommands())
            .flat_map(clap::Command::get_arguments)
            .filter_map(|argument| argument.get_long())
            .map(|long| format!("--{long}"))
            .collect();
        for &field in Field::ALL {
            assert!(flags.contains(&flag(field)), "{field}");
        }
    }
}
