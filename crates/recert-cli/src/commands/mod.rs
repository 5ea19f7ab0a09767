//! The subcommands: each makes a job of its arguments, runs it, and prints.

mod approximate;
mod certify;
mod check;
mod demo;
mod engines;
mod explain;
mod manual;
mod plan;
mod recertify;
mod report;
mod samples;
mod sensitivity;
#[cfg(feature = "train")]
mod sweep;
#[cfg(feature = "train")]
mod train;
mod tune;
mod upkeep;
mod verify;

use crate::args::{Args, Command};
use crate::exit::Result;

pub(crate) fn run(args: &Args) -> Result<()> {
    match &args.command {
        Command::Certify(args) => certify::certify(args),
        Command::Predict(args) => certify::predict(args),
        Command::Recertify(args) => recertify::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Explain(args) => explain::run(args),
        #[cfg(feature = "train")]
        Command::Train(args) => train::run(args),
        #[cfg(feature = "train")]
        Command::Sweep(args) => sweep::run(args),
        #[cfg(not(feature = "train"))]
        Command::Train(_) | Command::Sweep(_) => crate::exit::usage(
            "this program is built without training: build it with the feature `train`, as by `cargo install \
             --path crates/recert-cli --features train` (docs/training.md)",
        ),
        Command::Approximate(args) => approximate::run(args),
        Command::Sensitivity(args) => sensitivity::run(args),
        Command::Tune(args) => tune::run(args),
        Command::Report(args) => report::run(args),
        Command::Check(args) => check::run(args),
        Command::Snapshot(args) => upkeep::snapshot(args),
        Command::Merge(args) => upkeep::merge(args),
        Command::Forget(args) => upkeep::forget(args),
        Command::Samples(args) => samples::run(args),
        Command::Engines(args) => engines::run(args),
        Command::Demo(args) => demo::run(args),
        Command::Completions(args) => manual::completions(args),
        Command::Man(args) => manual::pages(args),
    }
}

/// Runs a network in an engine before whoever started this process does: a crash ends this one.
pub(crate) fn first_runs() -> Result<()> {
    let served = recert::engine::Apart::serve(&mut std::io::stdin());
    Ok(served.map_err(recert::Error::from)?)
}
