//! The subcommands.

mod approximate;
mod check;
mod demo;
mod engines;
mod recertify;
mod report;
mod samples;
mod scratch;

use anyhow::Result;
use recert::engine::{Classifier, Network};
use recert::ledger::{Ledger, NetworkId};
use recert::smooth::Outcome;
use recert::smooth::run::{BATCH, measured_batch};

use crate::args::{Args, Command, RunArgs};
use crate::config::Loaded;
use crate::exit::Failure;
use crate::progress::Progress;

pub(crate) fn run(args: &Args) -> Result<()> {
    match &args.command {
        Command::Certify(args) => scratch::certify(args),
        Command::Predict(args) => scratch::predict(args),
        Command::Recertify(args) => recertify::run(args),
        Command::Approximate(args) => approximate::run(args),
        Command::Report(args) => report::run(args),
        Command::Check(args) => check::run(args),
        Command::Samples(args) => samples::run(args),
        Command::Engines(args) => engines::run(args),
        Command::Demo(args) => demo::run(args),
    }
}

/// What a run needs beside its ledger. It is made before a new ledger is, so
/// that a flag that is wrong leaves no ledger behind.
struct Runner<'a> {
    /// The networks that are run.
    loaded: &'a [Loaded],
    /// For each of them, its classifiers: one a worker.
    workers: Vec<Vec<Box<dyn Classifier>>>,
    /// Images in one call of each.
    batch: usize,
    progress: Progress,
}

/// Where networks begin with the same layers and their engine can compute these
/// once for all of them, puts classifiers in place that do. The answers are the
/// same.
fn share(loaded: &[Loaded], workers: &mut [Vec<Box<dyn Classifier>>]) -> Result<()> {
    // A network that is named twice answers once.
    let mut distinct: Vec<usize> = Vec::new();
    let of = |loaded: &Loaded| (loaded.model.sha256(), loaded.network.output().to_owned());
    for (place, other) in loaded.iter().enumerate() {
        if distinct.iter().all(|&own| of(&loaded[own]) != of(other)) {
            distinct.push(place);
        }
    }
    let networks: Vec<_> = (distinct.iter())
        .map(|&place| (&loaded[place].network, &loaded[place].model))
        .collect();
    let Some(sharing) = Network::sharing(&networks)? else {
        return Ok(());
    };
    eprintln!(
        "recert: {} networks share their first {} layers ({:.0} % of the multiply-adds): \
         these are computed once",
        networks.len(),
        sharing.layers(),
        (100.0 * sharing.part()).floor(),
    );
    for worker in 0..workers.first().map_or(0, Vec::len) {
        for (&place, classifier) in distinct.iter().zip(sharing.worker()?) {
            workers[place][worker] = classifier;
        }
    }
    Ok(())
}

impl<'a> Runner<'a> {
    /// `method` is the one whose certificates make the rows.
    fn new(loaded: &'a [Loaded], args: &RunArgs, method: &'static str) -> Result<Self> {
        let workers = loaded.iter().map(|loaded| loaded.workers(args));
        let mut workers: Vec<Vec<_>> = workers.collect::<Result<_>>()?;
        let invariant = |loaded: &Loaded| loaded.network.engine().batch_invariant;
        let batch = match args.batch {
            Some(batch) => batch,
            None if loaded.iter().all(invariant) => {
                let firsts = workers.iter_mut().filter_map(|all| all.first_mut());
                let mut firsts: Vec<&mut dyn Classifier> =
                    firsts.map(|c| c.as_mut() as _).collect();
                measured_batch(&mut firsts)?
            }
            None => BATCH,
        };
        // What is measured above are whole networks: the same image again and
        // again would be kept by those that share layers.
        share(loaded, &mut workers)?;
        Ok(Self {
            loaded,
            workers,
            batch,
            progress: Progress::new(args.log.as_deref(), method, args.quiet)?,
        })
    }

    /// Runs `task` on an open ledger, with every network's classifiers, and with
    /// progress and rows: of `networks`, if there are several. Leaves the ledger
    /// closed whether it finished, failed or was stopped. If it finished,
    /// the inputs are what the verb says, such as certified.
    fn drive(
        mut self,
        mut ledger: Ledger,
        (verb, inputs): (&str, String),
        networks: &[NetworkId],
        task: impl FnOnce(
            &mut Ledger,
            Vec<Vec<Box<dyn Classifier>>>,
            &mut Progress,
        ) -> Result<Outcome, recert::smooth::Error>,
    ) -> Result<()> {
        let engines = || self.loaded.iter().map(|loaded| loaded.network.engine());
        if let Some(engine) = engines().find(|engine| !engine.batch_invariant) {
            eprintln!(
                "recert: {}'s arithmetic may depend on the batch an image is in: counts can differ \
                 in a few samples between values of --batch (the noise never does)",
                engine.name,
            );
        }
        if let Some(engine) = engines().find(|engine| !engine.arithmetic.deterministic) {
            eprintln!(
                "recert: {} may answer a sample otherwise when it is run again ({}): a resumed run can \
                 differ in a few samples",
                engine.name, engine.arithmetic,
            );
        }
        self.progress.tables(networks);
        crate::progress::watch_for_stop()?;
        self.progress.header()?;
        let workers = std::mem::take(&mut self.workers);
        let outcome = task(&mut ledger, workers, &mut self.progress);
        let finished = self.progress.finish(&match outcome {
            Ok(Outcome::Finished) => format!("{verb} {inputs}"),
            _ => format!("not all of {inputs} {verb}"),
        });
        // A failure to close comes last: what went wrong before explains it.
        let closed = ledger.close();
        let outcome = outcome?;
        finished?;
        closed?;
        match outcome {
            Outcome::Finished => Ok(()),
            Outcome::Stopped => Err(Failure::interrupted().into()),
        }
    }
}
