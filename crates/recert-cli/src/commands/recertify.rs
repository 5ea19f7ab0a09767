//! `recert recertify`.

use std::path::{Path, PathBuf};

use recert::job::{Goal, NetworkConfig, Recertification, RecertifyConfig};

use super::plan;
use crate::args::Recertify;
use crate::exit::{Result, usage};
use crate::progress::{self, Subject};

pub(crate) fn run(args: &Recertify) -> Result<()> {
    let wanted = wanted(args);
    if wanted.len() > 1 && args.run.log.is_some() {
        return usage("--log holds the rows of one network: leave it out, or name one --model");
    }
    let mut recertification = Recertification::open(&args.ledger, &config(args), wanted.len())?;
    let options = args.data_args.config();
    let data = recertification.data(args.data.as_deref(), &options)?;
    // One network that cannot be loaded is found before any of them is run.
    let networks = (wanted.iter())
        .map(|(_, model, network)| recertification.network(model, network, &data))
        .collect::<Result<Vec<_>, _>>()?;
    let names: Vec<PathBuf> = wanted.into_iter().map(|(name, ..)| name).collect();
    let ledger = args.into.as_ref().unwrap_or(&args.ledger);
    if let Some(into) = &args.into {
        recertification = recertification.into_copy(into, &data, &networks)?;
    }
    if args.plan {
        let forecasts = recertification.forecasts(&data, &networks)?;
        return plan::print(&forecasts, (args.json, args.csv));
    }
    let job = recertification.job(&data, &networks)?;
    let subject = Subject {
        data: "",
        ledger,
        networks: &names,
        via: None,
    };
    progress::run(job, &args.run, subject)
}

/// Every network: its name in rows, its file and how it is computed.
fn wanted(args: &Recertify) -> Vec<(PathBuf, &Path, NetworkConfig)> {
    let network = args.network.config();
    let mut wanted = Vec::new();
    for model in &args.model {
        if args.computations.is_empty() {
            wanted.push((model.clone(), model.as_path(), network.clone()));
        }
        for computation in &args.computations {
            let name = format!("{} by {computation}", model.display());
            wanted.push((name.into(), model.as_path(), computation.of(&network)));
        }
    }
    wanted
}

fn config(args: &Recertify) -> RecertifyConfig {
    let goal = match (args.target_acr, args.until_radius) {
        (Some(radius), _) => Goal::AverageRadius(radius),
        (_, Some(radius)) => Goal::Radius(radius),
        _ => Goal::Budget(args.budget.clone()),
    };
    RecertifyConfig {
        methods: args.method.clone(),
        goal,
        n_p: args.n_p.clone(),
        among: args.among,
        gamma: args.gamma,
        sides: args.sides.sides(),
        alpha: args.alpha,
        limit: args.limit,
        run: args.run.workers.config(),
    }
}
