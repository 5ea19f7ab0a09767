//! The subcommands, one a file.

mod approximate;
mod certify;
mod demo;
mod predict;
mod recertify;
mod report;

use anyhow::Result;
use recert::ledger::{Header, Ledger, Task};
use recert::smooth::Outcome;

use crate::args::{Args, Command, RunArgs};
use crate::config::{Data, Loaded};
use crate::exit::Interrupted;
use crate::progress::Progress;

pub(crate) fn run(args: &Args) -> Result<()> {
    match &args.command {
        Command::Certify(args) => certify::run(args),
        Command::Predict(args) => predict::run(args),
        Command::Recertify(args) => recertify::run(args),
        Command::Approximate(args) => approximate::run(args),
        Command::Report(args) => report::run(args),
        Command::Demo(args) => demo::run(args),
    }
}

/// The header of a run on `data` by `loaded`.
fn header(
    task: Task,
    (sigma, n0, n, alpha, seed): (f64, u64, u64, f64, u64),
    data: &Data,
    loaded: &Loaded,
) -> Header {
    let shape = data.shape();
    Header {
        task,
        sigma,
        n0,
        n,
        alpha,
        generator: recert::noise::GENERATOR.to_owned(),
        seed,
        network: loaded.identity(),
        data: data.record.clone(),
        shape: [shape.channels, shape.height, shape.width].map(|size| size as u32),
    }
}

/// Runs `task` on an open ledger with progress and rows, and leaves the ledger
/// closed whether it finished, failed or was stopped.
fn drive(
    mut ledger: Ledger,
    loaded: &Loaded,
    args: &RunArgs,
    method: &'static str,
    what: &str,
    task: impl FnOnce(
        &mut Ledger,
        &mut [Box<dyn recert::engine::Classifier>],
        &mut Progress,
    ) -> Result<Outcome, recert::smooth::Error>,
) -> Result<()> {
    let mut workers = loaded.workers(args)?;
    if !loaded.network.engine().batch_invariant {
        eprintln!(
            "recert: {}'s arithmetic may depend on the batch an image is in: counts can differ \
             in a few copies between values of --batch (the noise never does)",
            loaded.network.engine().name,
        );
    }
    crate::progress::watch_for_stop()?;
    let mut progress = Progress::new(args.log.as_deref(), method, args.quiet)?;
    let outcome = task(&mut ledger, &mut workers, &mut progress);
    let finished = progress.finish(what);
    // A failure to close comes last: what went wrong before explains it.
    let closed = ledger.close();
    let outcome = outcome?;
    finished?;
    closed?;
    match outcome {
        Outcome::Finished => Ok(()),
        Outcome::Stopped => Err(Interrupted.into()),
    }
}
