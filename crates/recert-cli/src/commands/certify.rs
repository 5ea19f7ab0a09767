//! `recert certify` and `recert predict`: from scratch, into a ledger.

use recert::engine::EngineOptions;
use recert::job::{self, CertifyConfig, Data, DataConfig, Network, PredictConfig};

use crate::args::{Certify, Predict, ScratchArgs, SubjectArgs};
use crate::exit::Result;
use crate::progress;

pub(crate) fn certify(args: &Certify) -> Result<()> {
    let (scratch, subject) = (&args.scratch, &args.subject);
    let config = CertifyConfig {
        alpha: subject.alpha,
        n: args.n,
        n0: args.n0,
        sides: args.sides.sides(),
        until_radius: args.until_radius,
        seed: scratch.seed,
        noise: scratch.noise,
        subset: scratch.subset.config(),
        run: scratch.run.workers.config(),
        ..CertifyConfig::new(subject.sigma)
    };
    config.validate()?;
    let data = open(subject, scratch)?;
    let ledger = &scratch.ledger;
    let slow = scratch.network.config();
    let Some(via) = &args.via else {
        let network = Network::open_for(ledger, &subject.model, &slow, data.shape())?;
        let job = job::certify(ledger, &config, &data, &network)?;
        return progress::run(job, &scratch.run, &subject.data, ledger);
    };
    let options = EngineOptions {
        precision: args.via_precision,
        device: args.via_device.clone(),
    };
    let [slow, fast] = job::via_configs(&slow, &options, args.via_engine.as_deref());
    let faster = Network::open_for(ledger, via, &fast, data.shape())?;
    let base = faster.identity();
    let network = Network::open_like(&subject.model, &slow, base, data.shape())?;
    let job = job::certify_via(ledger, &config, args.via_budget, &data, &faster, &network)?;
    progress::run(job, &scratch.run, &subject.data, ledger)
}

pub(crate) fn predict(args: &Predict) -> Result<()> {
    let (scratch, subject) = (&args.scratch, &args.subject);
    let config = PredictConfig {
        alpha: subject.alpha,
        n: args.n,
        seed: scratch.seed,
        noise: scratch.noise,
        subset: scratch.subset.config(),
        run: scratch.run.workers.config(),
        ..PredictConfig::new(subject.sigma)
    };
    config.validate()?;
    let data = open(subject, scratch)?;
    let (ledger, network) = (&scratch.ledger, scratch.network.config());
    let network = Network::open_for(ledger, &subject.model, &network, data.shape())?;
    let job = job::predict(ledger, &config, &data, &network)?;
    progress::run(job, &scratch.run, &subject.data, ledger)
}

fn open(subject: &SubjectArgs, scratch: &ScratchArgs) -> Result<Data> {
    Ok(Data::open(&DataConfig {
        data: subject.data.clone(),
        options: scratch.data_args.config(),
    })?)
}
