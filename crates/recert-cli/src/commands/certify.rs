//! `recert certify`.

use anyhow::Result;
use recert::ledger::{Ledger, Task};

use super::{Runner, header};
use crate::args::Certify;
use crate::config::{self, Data, Loaded};

pub(crate) fn run(args: &Certify) -> Result<()> {
    let sigma = config::sigma(args.sigma)?.get();
    let alpha = config::alpha(args.alpha, &[1.0])?.get();
    let n = config::copies("--n", args.n)?;
    let n0 = config::copies("--n0", args.n0)?;
    let data = Data::open(&args.data, &args.data_args)?;
    let inputs = data.subset(&args.subset)?;
    let loaded = Loaded::open(&args.model, &args.network, data.shape())?;
    data.check_labels(&inputs, loaded.network.classes())?;
    let header = header(
        Task::Certify,
        (sigma, n0, n, alpha, args.seed),
        &data,
        &loaded,
    );
    let runner = Runner::new(&loaded, &args.run, "certify")?;
    let ledger = Ledger::resume(&args.ledger, &header)?;
    let what = format!("{} inputs of {}", inputs.len(), args.data);
    runner.drive(ledger, ("certified", what), |ledger, workers, progress| {
        recert::smooth::certify(
            ledger,
            &data.set,
            &inputs,
            args.run.batch,
            workers,
            progress,
        )
    })
}
