//! The arguments, as raw values.

mod explain;
mod others;
mod runs;
mod search;
mod shared;
#[cfg(feature = "train")]
mod sweep;
#[cfg(feature = "train")]
mod train;
mod verify;

use std::ffi::OsString;

use clap::{Command as ClapCommand, CommandFactory, FromArgMatches, Parser, Subcommand};

pub(crate) use explain::Explain;
pub(crate) use others::{
    Approximate, Check, Completions, Demo, Engines, Forget, Man, Merge, Report, Samples, Snapshot,
};
pub(crate) use runs::{Certify, Predict, Recertify};
pub(crate) use search::{Sensitivity, Tune};
pub use shared::FIRST_RUNS;
pub(crate) use shared::{
    DataArgs, NetworkArgs, RunArgs, ScratchArgs, Seed, SidesArgs, SubjectArgs, start_again_by,
};
#[cfg(feature = "train")]
pub(crate) use sweep::Sweep;
#[cfg(feature = "train")]
pub(crate) use train::Train;
pub(crate) use verify::Verify;

/// Ends `recert --help`; `exit.rs` has the codes.
const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    any other failure
  2    wrong usage: a flag or its value
  3    a bad model, data or ledger file
  4    the ledger belongs to a different run or a newer version, or is in use
  5    the engine is missing or cannot compute the network, or verify has no bounds for an operator
  6    writing failed, such as on a full disk
  7    check: a certificate, or another field of a ledger, does not hold
  8    a worker could not be started or was lost: the same command again resumes
  130  interrupted: the same command again resumes";

/// Certifies the robustness of neural networks, in L2 by randomized smoothing and in L-inf and L2 by
/// deterministic bounds, and recertifies quantized, pruned or fine-tuned versions of them at a
/// fraction of the cost.
#[derive(Debug, Parser)]
#[command(name = "recert", version, after_help = EXIT_CODES)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Args {
    /// All commands. Their options take negative numbers, so that one is refused for
    /// what it is and not taken for a flag.
    pub(crate) fn commands() -> ClapCommand {
        Self::command().mut_subcommands(|command| {
            command.mut_args(|arg| {
                let takes_values = arg.get_action().takes_values();
                arg.allow_negative_numbers(takes_values)
            })
        })
    }

    /// Leaves out a run's rows and what to do next.
    pub(crate) fn show_summaries_only(&mut self) {
        let run = match &mut self.command {
            Command::Certify(args) => &mut args.scratch.run,
            Command::Predict(args) => &mut args.scratch.run,
            Command::Recertify(args) => &mut args.run,
            _ => return,
        };
        run.summary_only = true;
    }

    /// Parses a command line, of which the first word is the program's name.
    pub(crate) fn read<W>(words: impl IntoIterator<Item = W>) -> Result<Self, clap::Error>
    where
        W: Into<OsString> + Clone,
    {
        let mut commands = Self::commands();
        let matches = commands.try_get_matches_from_mut(words)?;
        Self::from_arg_matches(&matches).map_err(|error| error.format(&mut commands))
    }
}

/// The words after a command that this program is built without.
#[cfg(not(feature = "train"))]
#[derive(Debug, clap::Args)]
pub(crate) struct Absent {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<OsString>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Certify a network from scratch, into a ledger
    Certify(Certify),
    /// Predict with the smoothed classifier, without radii
    Predict(Predict),
    /// Recertify a modified network from the ledger of the original
    Recertify(Recertify),
    /// Verify by bounds, without noise: every image near an input has its class
    Verify(Verify),
    /// Explain proofs by bounds: which hidden neurons each rests on, with pictures
    Explain(Explain),
    /// Train a network through the bounds that verify it
    #[cfg(feature = "train")]
    Train(Box<Train>),
    /// Train a network through the bounds that verify it: this program is built without it
    #[cfg(not(feature = "train"))]
    #[command(hide = true, disable_help_flag = true)]
    Train(Absent),
    /// Train and score a family of networks, for the front of natural against certified accuracy
    #[cfg(feature = "train")]
    Sweep(Sweep),
    /// Train and score a family of networks: this program is built without it
    #[cfg(not(feature = "train"))]
    #[command(hide = true, disable_help_flag = true)]
    Sweep(Absent),
    /// Make a half-precision, int8 or pruned version of a network
    Approximate(Approximate),
    /// Change each layer of a certified network alone, and rank layers by what that does
    Sensitivity(Sensitivity),
    /// Search among versions of a certified network for a cheaper one that keeps its certificates
    Tune(Tune),
    /// Report on ledgers: tables, JSON, an HTML page
    Report(Report),
    /// Verify a ledger: recompute its certificates from the recorded answers with independent code
    Check(Check),
    /// Copy a ledger, also while a run writes to it
    Snapshot(Snapshot),
    /// Unite the ledgers of a run's shards in one
    Merge(Merge),
    /// Remove a network or its runs from a ledger, which records it
    Forget(Forget),
    /// Compute the number of samples needed for a radius or an error
    Samples(Samples),
    /// List the available engines, with their precisions and devices
    Engines(Engines),
    /// Run all of this on a network and images that ship with recert
    Demo(Demo),
    /// Print the completions of a shell
    Completions(Completions),
    /// Write the manual pages
    Man(Man),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_puts_first_what_a_certificate_depends_on() {
        let mut all = Args::commands();
        all.build();
        let first = |command: &str, count: usize| -> Vec<String> {
            let command = all.find_subcommand(command).expect("the command");
            let flags = command.get_arguments().take(count);
            flags.map(|flag| flag.get_id().to_string()).collect()
        };
        let certify = ["model", "data", "sigma", "alpha", "n", "n0"];
        assert_eq!(first("certify", 6), certify);
        let predict = ["model", "data", "sigma", "alpha", "n", "seed"];
        assert_eq!(first("predict", 6), predict);
    }
}
