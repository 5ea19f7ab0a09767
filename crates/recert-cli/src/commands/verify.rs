//! `recert verify`: by bounds, without noise.

use std::path::{Path, PathBuf};

use recert::job::{
    self, Data, DataConfig, Network, Norm, Outcome, Reverification, RunConfig, Sampled,
    VerifyConfig, VnnlibFile,
};

use crate::args::Verify;
use crate::exit::{Failure, Result, usage};
use crate::terminal;
use crate::verdicts::Verdicts;

pub(crate) fn run(args: &Verify) -> Result<()> {
    let config = VerifyConfig {
        method: args.method,
        complete: args.complete,
        timeout: args.timeout,
        weights_within: args.weights_within,
        memory: args.memory,
        cells: args.cells,
        subset: args.subset.config(),
        run: RunConfig {
            threads: args.threads,
            shard: args.shard,
            ..RunConfig::default()
        },
        ..VerifyConfig::default()
    };
    if let (Some(ledger), Some(model)) = (&args.from, &args.model) {
        return from(args, &config, ledger, model);
    }
    match (&args.vnnlib, &args.model, &args.data) {
        (Some(path), ..) => files(args, &config, path),
        (None, Some(model), Some(data)) => {
            config.validate()?;
            let data = Data::open(&DataConfig {
                data: data.clone(),
                options: args.data_args.config(),
            })?;
            let ledger = args.ledger.as_deref();
            let distance = args
                .eps
                .as_ref()
                .map_or(0.0, |epsilon| epsilon.up().min(1.0));
            let network = load(args, model, Sampled::new(&data, distance))?;
            let job = match (&args.transform, &args.eps) {
                (Some(steps), _) => {
                    job::verify_transformed(ledger, &config, steps, &data, &network)?
                }
                (None, Some(epsilon)) => {
                    let norm = args.norm.unwrap_or(Norm::Linf);
                    if !args.quiet {
                        terminal::warn_of_distance(norm, epsilon);
                    }
                    let specification = (norm, epsilon);
                    job::verify(ledger, &config, specification, &data, &network)?
                }
                (None, None) => return usage("--eps or --transform is needed"),
            };
            let mut verdicts = Verdicts::new(args)?;
            terminal::watch_for_stop()?;
            let outcome = job.run(&mut verdicts);
            verdicts.end(outcome)
        }
        _ => usage("--model and --data are needed, or --vnnlib"),
    }
}

/// A modified network, from the original's verification.
fn from(args: &Verify, config: &VerifyConfig, ledger: &Path, model: &Path) -> Result<()> {
    config.validate()?;
    let from = Reverification::open(ledger, args.norm, args.eps.as_ref())?;
    let data = from.data(args.data.as_deref(), &args.data_args.config())?;
    let network = from.network(model, &args.network.config(), &data)?;
    let original = args.original.as_ref();
    let original = original
        .map(|path| from.original(path, &data))
        .transpose()?;
    let job = from.job(config, &data, &network, original.as_ref())?;
    let mut verdicts = Verdicts::new(args)?;
    terminal::watch_for_stop()?;
    let outcome = job.run(&mut verdicts);
    verdicts.end(outcome)
}

/// VNN-LIB files, with their networks one after the other.
fn files(args: &Verify, config: &VerifyConfig, path: &Path) -> Result<()> {
    let mut groups: Vec<(PathBuf, Vec<VnnlibFile>)> = Vec::new();
    if path.is_dir() {
        for (network, file) in VnnlibFile::of_folder(path)? {
            let wanted = args.model.as_ref();
            if wanted.is_some_and(|model| model.file_name() != network.file_name()) {
                continue;
            }
            match groups.iter_mut().find(|(known, _)| *known == network) {
                Some((_, files)) => files.push(file),
                None => groups.push((network, vec![file])),
            }
        }
        if groups.is_empty() {
            return usage(format!(
                "{}: its instances.csv lists nothing of that --model",
                path.display()
            ));
        }
        if let (Some(model), [(network, _)]) = (&args.model, groups.as_mut_slice()) {
            network.clone_from(model);
        }
    } else {
        let Some(model) = &args.model else {
            return usage("--model is needed with a VNN-LIB file");
        };
        groups.push((model.clone(), vec![VnnlibFile::read(path, None)?]));
    }
    let mut verdicts = Verdicts::new(args)?;
    terminal::watch_for_stop()?;
    // What is wrong with a network is found before anything runs.
    let mut loaded = Vec::new();
    for (model, files) in groups {
        let image = job::images_of_network(&model)?;
        loaded.push((load(args, &model, image.into())?, files, image));
    }
    let ledger = args.ledger.as_deref();
    let jobs = loaded.iter().map(|(network, files, image)| {
        job::verify_files(ledger, config, files.clone(), network, *image)
    });
    let jobs = jobs.collect::<recert::Result<Vec<_>>>()?;
    for job in jobs {
        let outcome = job.run(&mut verdicts);
        let stopped = !matches!(outcome, Ok(Outcome::Finished));
        if stopped {
            return verdicts.end(outcome);
        }
    }
    verdicts.end(Ok(Outcome::Finished))
}

fn load(args: &Verify, model: &Path, samples: Sampled<'_>) -> Result<Network, Failure> {
    let config = args.network.config();
    Ok(match &args.ledger {
        Some(ledger) => Network::open_for(ledger, model, &config, samples)?,
        None => Network::open(model, &config, samples)?,
    })
}
