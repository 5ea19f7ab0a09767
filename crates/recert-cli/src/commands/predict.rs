//! `recert predict`.

use anyhow::Result;
use recert::ledger::{Ledger, Task};

use super::{drive, header};
use crate::args::Predict;
use crate::config::{self, Data, Loaded};

pub(crate) fn run(args: &Predict) -> Result<()> {
    let sigma = config::sigma(args.sigma)?.get();
    let alpha = config::alpha(args.alpha)?.get();
    let n = config::copies("--n", args.n)?;
    let data = Data::open(&args.data, &args.data_args)?;
    let inputs = data.subset(&args.subset)?;
    let loaded = Loaded::open(&args.model, &args.network, data.shape())?;
    data.check_labels(&inputs, loaded.network.classes())?;
    let header = header(Task::Predict, (sigma, 0, n, alpha, args.seed), &data, &loaded);
    let ledger = Ledger::resume(&args.ledger, &header)?;
    let what = format!("predicted {} inputs of {}", inputs.len(), args.data);
    drive(ledger, &loaded, &args.run, "predict", &what, |ledger, workers, progress| {
        recert::smooth::predict(ledger, &data.set, &inputs, args.run.batch, workers, progress)
    })
}
