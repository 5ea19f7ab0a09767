//! `recert recertify`.

use anyhow::Result;
use recert::engine::Preprocess;
use recert::ledger::{Ledger, Task};
use recert::net::Model;
use recert::num::Alpha;
use recert::smooth::{Irs, Recertify as Plan, finished_inputs};

use super::Runner;
use crate::args::{Method, NetworkArgs, Recertify};
use crate::config::{self, Data, Loaded, usage};
use crate::exit::{Code, Failure};

pub(crate) fn run(args: &Recertify) -> Result<()> {
    if !(0.0..=1.0).contains(&args.gamma) {
        return usage(format!(
            "--gamma must be from 0 to 1, but is {}",
            args.gamma
        ));
    }
    let ledger = Ledger::open(&args.ledger)?;
    let header = ledger.header().clone();
    if header.task != Task::Certify {
        return usage(format!(
            "{} holds predictions: recertifying starts from a ledger of `recert certify`",
            args.ledger.display()
        ));
    }
    let mut copies = args
        .n_p
        .iter()
        .map(|text| config::share_of(text, header.n))
        .collect::<Result<Vec<_>>>()?;
    copies.sort_unstable();
    copies.dedup();
    let irs = args.method.contains(&Method::Irs);
    let direct = args.method.contains(&Method::Direct);
    let whole = args.alpha.unwrap_or(2.0 * header.alpha);
    if irs {
        config::alpha(whole, &Irs::SHARES)?;
    }
    if direct {
        config::alpha(whole, &[1.0])?;
    }
    let alpha = Alpha::new(whole)?;
    let mut inputs = finished_inputs(&ledger)?;
    if inputs.is_empty() {
        return usage(format!(
            "{} has no finished input yet: let `recert certify` finish one",
            args.ledger.display()
        ));
    }
    if args.limit == Some(0) {
        return usage("--limit must be at least 1");
    }
    inputs.truncate(args.limit.unwrap_or(usize::MAX));
    let data = Data::reopen(&header.data, args.data.as_deref(), &args.data_args)?;
    if let Some(missing) = inputs.iter().find(|&&idx| idx as usize >= data.set.len()) {
        let message = format!(
            "ledger {} is of other data: it has input {missing}, but the data given has only {} \
             inputs (see --data)",
            args.ledger.display(),
            data.set.len(),
        );
        return Err(Failure::new(Code::Ledger, message).into());
    }
    let loaded = Loaded::open(
        &args.model,
        &like_the_base(args, &header.network)?,
        data.shape(),
    )?;
    if loaded.network.classes() != header.network.classes as usize {
        let message = format!(
            "{} has {} classes, but the ledger's network has {}: only networks of the same classes \
             can be recertified",
            args.model.display(),
            loaded.network.classes(),
            header.network.classes,
        );
        return Err(Failure::new(Code::Input, message).into());
    }
    let rows = if irs { "irs" } else { "direct" };
    let runner = Runner::new(&loaded, &args.run, rows)?;
    let plan = Plan {
        network: ledger.add_network(&loaded.identity())?,
        copies,
        alpha,
        irs: irs.then_some(Irs { gamma: args.gamma }),
        direct,
        batch: args.run.batch,
    };
    let what = format!("{} inputs of {}", inputs.len(), args.ledger.display());
    runner.drive(
        ledger,
        ("recertified", what),
        |ledger, workers, progress| {
            recert::smooth::recertify(ledger, &data.set, &inputs, &plan, workers, progress)
        },
    )
}

/// The network flags, with what was not given taken from the ledger's network:
/// a modified network wants the same engine, normalisation and, where it has
/// an output of that name, output.
fn like_the_base(args: &Recertify, base: &recert::ledger::Network) -> Result<NetworkArgs> {
    let mut network = args.network.clone();
    network.engine.get_or_insert_with(|| base.engine.clone());
    if network.mean.is_empty() && network.std.is_empty() && network.scale.is_none() {
        let Preprocess { mean, std, scale } = base.preprocess.parse()?;
        (network.mean, network.std, network.scale) = (mean, std, scale);
    }
    if network.output.is_none() {
        let model = Model::read(&args.model)?;
        let has_it = model.signature_with_output(Some(&base.output)).is_ok();
        network.output = has_it.then(|| base.output.clone());
    }
    Ok(network)
}
