//! The arguments, as raw values.

mod others;
mod runs;
mod shared;

use clap::{Parser, Subcommand};

pub(crate) use others::{Approximate, Check, Demo, Engines, Report, Samples};
pub(crate) use runs::{Certify, Predict, Recertify};
pub(crate) use shared::{DataArgs, NetworkArgs, RunArgs, ScratchArgs, SidesArgs, SubjectArgs};

/// Ends `recert --help`; `exit.rs` has the codes.
const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    another failure than those below
  2    wrong usage: a flag or its value
  3    a bad model, data or ledger file
  4    the ledger is of another run, of a newer version, or in use
  5    the engine is missing or cannot compute the network
  6    writing failed, such as on a full disk
  7    check: a certificate or a field does not hold
  8    a worker could not be started or was lost: the same command again resumes
  130  interrupted: the same command again resumes";

/// Certifies how robust a neural network is; recertifies every changed version
/// of it at a fraction of the cost.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = EXIT_CODES
)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Certify a network from scratch, into a ledger
    Certify(Certify),
    /// Predict with the smoothed network, without radii
    Predict(Predict),
    /// Recertify a modified network from the ledger of the original
    Recertify(Recertify),
    /// Make a half-precision, int8 or pruned version of a network
    Approximate(Approximate),
    /// Tables, JSON and an HTML page from ledgers
    Report(Report),
    /// Derive everything a ledger states from the answers in it, independently
    Check(Check),
    /// How many noisy samples a radius, or an error, takes
    Samples(Samples),
    /// What engines there are here, their precisions and devices
    Engines(Engines),
    /// The whole job on images and a network that ship with recert
    Demo(Demo),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_help_puts_first_what_a_certificate_depends_on() {
        let mut all = Args::command();
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
