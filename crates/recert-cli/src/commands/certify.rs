//! `recert certify` and `recert predict`: from scratch, into a ledger.

use recert::engine::EngineOptions;
use recert::job::{self, CertifyConfig, Data, DataConfig, Network, PredictConfig, Sampled};

use crate::args::{Certify, Predict, ScratchArgs, Seed, SubjectArgs};
use crate::exit::{Result, usage};
use crate::progress::{self, Subject};
use crate::terminal;

pub(crate) fn certify(args: &Certify) -> Result<()> {
    let (scratch, subject) = (&args.scratch, &args.subject);
    let config = CertifyConfig {
        alpha: subject.alpha,
        n: args.n,
        n0: args.n0,
        sides: args.sides.sides(),
        until_radius: args.until_radius,
        seed: seed(scratch)?,
        noise: scratch.noise,
        subset: scratch.subset.config(),
        run: scratch.run.workers.config(),
        ..CertifyConfig::new(subject.sigma)
    };
    config.validate()?;
    let data = open(subject, scratch)?;
    let samples = Sampled::new(&data, subject.sigma);
    let ledger = &scratch.ledger;
    let slow = scratch.network.config();
    let Some(via) = &args.via else {
        let network = Network::open_for(ledger, &subject.model, &slow, samples)?;
        let job = job::certify(ledger, &config, &data, &network)?;
        return progress::run(job, &scratch.run, on(subject, scratch));
    };
    let options = EngineOptions {
        precision: args.via_precision,
        device: args.via_device.clone(),
        ..EngineOptions::default()
    };
    let [slow, fast] = job::via_configs(&slow, &options, args.via_engine.as_deref());
    let faster = Network::open_for(ledger, via, &fast, samples.clone())?;
    let base = faster.identity();
    let network = Network::open_like(&subject.model, &slow, base, samples)?;
    let job = job::certify_via(ledger, &config, args.via_budget, &data, &faster, &network)?;
    let subject = Subject {
        via: Some(via),
        ..on(subject, scratch)
    };
    progress::run(job, &scratch.run, subject)
}

pub(crate) fn predict(args: &Predict) -> Result<()> {
    let (scratch, subject) = (&args.scratch, &args.subject);
    let config = PredictConfig {
        alpha: subject.alpha,
        n: args.n,
        seed: seed(scratch)?,
        noise: scratch.noise,
        subset: scratch.subset.config(),
        run: scratch.run.workers.config(),
        ..PredictConfig::new(subject.sigma)
    };
    config.validate()?;
    let data = open(subject, scratch)?;
    let samples = Sampled::new(&data, subject.sigma);
    let (ledger, network) = (&scratch.ledger, scratch.network.config());
    let network = Network::open_for(ledger, &subject.model, &network, samples)?;
    let job = job::predict(ledger, &config, &data, &network)?;
    progress::run(job, &scratch.run, on(subject, scratch))
}

/// The seed, and a remark where a fresh one was asked for and the ledger keeps its own.
fn seed(scratch: &ScratchArgs) -> Result<u64> {
    let there = scratch.ledger.metadata().is_ok_and(|file| file.len() > 0);
    if !there && scratch.seed == Seed::Fresh && scratch.run.workers.config().shard.is_some() {
        return usage(
            "every shard needs the same --seed, and each would draw a fresh one of its own: draw it \
             once, and give all of them the number",
        );
    }
    let seed = scratch.seed.number(&scratch.ledger)?;
    if there && scratch.seed == Seed::Fresh && !scratch.run.quiet {
        terminal::remark(&format!(
            "{} keeps its seed {seed}: for fresh noise name a ledger that is not there yet",
            scratch.ledger.display()
        ));
    }
    Ok(seed)
}

fn on<'a>(subject: &'a SubjectArgs, scratch: &'a ScratchArgs) -> Subject<'a> {
    Subject {
        data: &subject.data,
        ledger: &scratch.ledger,
        networks: std::slice::from_ref(&subject.model),
        via: None,
    }
}

fn open(subject: &SubjectArgs, scratch: &ScratchArgs) -> Result<Data> {
    Ok(Data::open(&DataConfig {
        data: subject.data.clone(),
        options: scratch.data_args.config(),
    })?)
}
