//! `recert certify` and `recert predict`: from scratch, into a ledger.

use anyhow::Result;
use recert::ledger::{Header, Ledger, Task};

use super::Runner;
use crate::args::{Certify, Predict, ScratchArgs};
use crate::config::{self, Data, Loaded};

pub(crate) fn certify(args: &Certify) -> Result<()> {
    let scratch = Scratch {
        alpha: config::alpha(args.scratch.alpha, &[1.0])?.get(),
        n: config::copies("--n", args.n)?,
        n0: config::copies("--n0", args.n0)?,
        ..Scratch::open(&args.scratch)?
    };
    let (runner, ledger, what) = scratch.start(Task::Certify, "certify")?;
    runner.drive(ledger, ("certified", what), |ledger, workers, progress| {
        let (source, inputs) = (&scratch.data.set, &scratch.inputs);
        recert::smooth::certify(ledger, source, inputs, scratch.batch(), workers, progress)
    })
}

pub(crate) fn predict(args: &Predict) -> Result<()> {
    let scratch = Scratch {
        // The test is two-sided: half for each side.
        alpha: config::alpha(args.scratch.alpha, &[1.0, 1.0])?.get(),
        n: config::copies("--n", args.n)?,
        ..Scratch::open(&args.scratch)?
    };
    let (runner, ledger, what) = scratch.start(Task::Predict, "predict")?;
    runner.drive(ledger, ("predicted", what), |ledger, workers, progress| {
        let (source, inputs) = (&scratch.data.set, &scratch.inputs);
        recert::smooth::predict(ledger, source, inputs, scratch.batch(), workers, progress)
    })
}

/// A run from scratch, checked and loaded.
struct Scratch<'a> {
    args: &'a ScratchArgs,
    sigma: f64,
    alpha: f64,
    n: u64,
    n0: u64,
    data: Data,
    inputs: Vec<u32>,
    loaded: Loaded,
}

impl<'a> Scratch<'a> {
    /// Everything but the numbers of copies and alpha, which differ by task.
    fn open(args: &'a ScratchArgs) -> Result<Self> {
        let sigma = config::sigma(args.sigma)?.get();
        let data = Data::open(&args.data, &args.data_args)?;
        let inputs = data.subset(&args.subset)?;
        let loaded = Loaded::open(&args.model, &args.network, data.shape())?;
        data.check_labels(&inputs, loaded.network.classes())?;
        Ok(Self {
            args,
            sigma,
            alpha: args.alpha,
            n: 0,
            n0: 0,
            data,
            inputs,
            loaded,
        })
    }

    fn batch(&self) -> usize {
        self.args.run.batch
    }

    /// Opens the ledger, last of all: a wrong flag leaves none behind.
    fn start(&self, task: Task, rows: &'static str) -> Result<(Runner<'_>, Ledger, String)> {
        let runner = Runner::new(&self.loaded, &self.args.run, rows)?;
        let ledger = Ledger::resume(&self.args.ledger, &self.header(task))?;
        let what = format!("{} inputs of {}", self.inputs.len(), self.args.data);
        Ok((runner, ledger, what))
    }

    fn header(&self, task: Task) -> Header {
        let shape = self.data.shape();
        Header {
            task,
            sigma: self.sigma,
            n0: self.n0,
            n: self.n,
            alpha: self.alpha,
            generator: recert::noise::GENERATOR.to_owned(),
            seed: self.args.seed,
            network: self.loaded.identity(),
            data: self.data.record.clone(),
            shape: [shape.channels, shape.height, shape.width].map(|size| size as u32),
        }
    }
}
