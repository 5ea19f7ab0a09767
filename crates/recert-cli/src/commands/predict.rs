//! `recert predict`.

use anyhow::Result;
use recert::ledger::{Ledger, Task};

use super::{Runner, header};
use crate::args::Predict;
use crate::config::{self, Data, Loaded};

pub(crate) fn run(args: &Predict) -> Result<()> {
    let sigma = config::sigma(args.sigma)?.get();
    // The test is two-sided: half for each side.
    let alpha = config::alpha(args.alpha, &[1.0, 1.0])?.get();
    let n = config::copies("--n", args.n)?;
    let data = Data::open(&args.data, &args.data_args)?;
    let inputs = data.subset(&args.subset)?;
    let loaded = Loaded::open(&args.model, &args.network, data.shape())?;
    data.check_labels(&inputs, loaded.network.classes())?;
    let header = header(
        Task::Predict,
        (sigma, 0, n, alpha, args.seed),
        &data,
        &loaded,
    );
    let runner = Runner::new(&loaded, &args.run, "predict")?;
    let ledger = Ledger::resume(&args.ledger, &header)?;
    let what = format!("{} inputs of {}", inputs.len(), args.data);
    runner.drive(ledger, ("predicted", what), |ledger, workers, progress| {
        recert::smooth::predict(
            ledger,
            &data.set,
            &inputs,
            args.run.batch,
            workers,
            progress,
        )
    })
}
