//! `recert recertify`.

use anyhow::Result;
use recert::engine::Preprocess;
use recert::ledger::{Ledger, Task};
use recert::smooth::{Irs, Recertify as Plan, finished_inputs};

use super::drive;
use crate::args::{Method, NetworkArgs, Recertify};
use crate::config::{self, Data, Loaded, usage};

pub(crate) fn run(args: &Recertify) -> Result<()> {
    if !(0.0..=1.0).contains(&args.gamma) {
        return usage(format!("--gamma must be from 0 to 1, but is {}", args.gamma));
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
    let alpha = config::alpha(args.alpha.unwrap_or(2.0 * header.alpha))?;
    let mut inputs = finished_inputs(&ledger)?;
    if inputs.is_empty() {
        return usage(format!(
            "{} has no finished input yet: let `recert certify` finish one",
            args.ledger.display()
        ));
    }
    inputs.truncate(args.limit.unwrap_or(usize::MAX));
    let data = Data::reopen(&header.data, args.data.as_deref(), &args.data_args)?;
    if let Some(missing) = inputs.iter().find(|&&idx| idx as usize >= data.set.len()) {
        return usage(format!(
            "the ledger has input {missing}, but the data only {} inputs: it is another data set",
            data.set.len()
        ));
    }
    let loaded = Loaded::open(&args.model, &like_the_base(args, &header.network)?, data.shape())?;
    if loaded.network.classes() != header.network.classes as usize {
        return usage(format!(
            "{} has {} classes, but the ledger's network has {}: only networks of the same classes \
             can be recertified",
            args.model.display(),
            loaded.network.classes(),
            header.network.classes,
        ));
    }
    let plan = Plan {
        network: ledger.add_network(&loaded.identity())?,
        copies,
        alpha,
        irs: args
            .method
            .contains(&Method::Irs)
            .then_some(Irs { gamma: args.gamma }),
        direct: args.method.contains(&Method::Direct),
        batch: args.run.batch,
    };
    let rows = if plan.irs.is_some() { "irs" } else { "direct" };
    let what = format!("recertified {} inputs", inputs.len());
    drive(ledger, &loaded, &args.run, rows, &what, |ledger, workers, progress| {
        recert::smooth::recertify(ledger, &data.set, &inputs, &plan, workers, progress)
    })
}

/// The network flags, with what was not given taken from the ledger's network:
/// a modified network wants the same engine and normalisation.
fn like_the_base(args: &Recertify, base: &recert::ledger::Network) -> Result<NetworkArgs> {
    let mut network = args.network.clone();
    network.engine.get_or_insert_with(|| base.engine.clone());
    if network.mean.is_empty() && network.std.is_empty() && network.scale.is_none() {
        let Preprocess { mean, std, scale } = base.preprocess.parse()?;
        (network.mean, network.std, network.scale) = (mean, std, scale);
    }
    Ok(network)
}
