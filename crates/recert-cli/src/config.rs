//! Raw arguments become a checked configuration.

use anyhow::{Context, Result};
use recert::data::{DataSpec, Dataset, Options, Split, Subset};
use recert::engine::{
    self, Arithmetic, EngineOptions, ImageShape, Network, NetworkOptions, Preprocess, Runtime,
    engines,
};
use recert::ledger::{self, Ledger};
use recert::net::Model;
use recert::num::{Alpha, MAX_ALPHA, MIN_ALPHA, Radius, Sigma};
use serde_json::json;

use crate::args::{DataArgs, NetworkArgs, RunArgs, SubsetArgs};
use crate::exit::Failure;

/// A wrong value of a flag.
pub(crate) fn usage<T>(message: impl Into<String>) -> Result<T> {
    Err(Failure::usage(message).into())
}

pub(crate) fn sigma(value: f64) -> Result<Sigma> {
    let sigma = Sigma::new(value).or_else(|e| usage(format!("--sigma: {e}")))?;
    recert::smooth::noise_sigma(sigma).or_else(|e| usage(format!("--sigma: {e}")))?;
    Ok(sigma)
}

/// A failure probability of which the bounds need `parts`, in proportion to
/// the whole: each must be one that they are proved for.
pub(crate) fn alpha(value: f64, parts: &[f64]) -> Result<Alpha> {
    let alpha = Alpha::new(value).or_else(|e| usage(format!("--alpha: {e}")))?;
    let bounded = |share: &Alpha| (MIN_ALPHA..=MAX_ALPHA).contains(&share.get());
    if alpha
        .split(parts)
        .is_ok_and(|shares| shares.iter().all(bounded))
    {
        return Ok(alpha);
    }
    usage(format!(
        "--alpha: failure probability {value:?} is out of the range that the bounds are proved \
         for: from {MIN_ALPHA:e} to {MAX_ALPHA} for every share of it"
    ))
}

/// A count of samples: at least 1, and within the generator's 32-bit counter.
pub(crate) fn samples(flag: &str, value: u64) -> Result<u64> {
    if (1..=u64::from(u32::MAX)).contains(&value) {
        return Ok(value);
    }
    usage(format!(
        "{flag} must be from 1 to {}, but is {value}",
        u32::MAX
    ))
}

/// A radius to reach, above 0.
pub(crate) fn radius(flag: &str, value: f64) -> Result<Radius> {
    match Radius::new(value) {
        Ok(radius) if value > 0.0 => Ok(radius),
        _ => usage(format!("{flag} must be above 0, but is {value}")),
    }
}

/// A share of `n` given as a count (`500`) or a percentage (`2.5%`).
pub(crate) fn share_of(flag: &str, text: &str, n: u64) -> Result<u64> {
    let value = match text.trim().strip_suffix('%') {
        Some(percent) => {
            let percent: f64 = percent
                .parse()
                .or_else(|_| usage(format!("{flag}: '{text}' is no percentage")))?;
            (percent / 100.0 * n as f64).round()
        }
        None => text.trim().parse::<u64>().or_else(|_| {
            usage(format!(
                "{flag}: '{text}' is neither a count nor a percentage"
            ))
        })? as f64,
    };
    if value >= 1.0 && value <= n as f64 {
        return Ok(value as u64);
    }
    usage(format!(
        "{flag}: {text} is {value} samples, but must be from 1 to {n}, the samples in the ledger"
    ))
}

/// A fraction given as `0.1` or `10%`.
pub(crate) fn fraction(flag: &str, text: &str) -> Result<f64> {
    let (number, unit) = match text.trim().strip_suffix('%') {
        Some(percent) => (percent, 100.0),
        None => (text.trim(), 1.0),
    };
    match number.parse::<f64>() {
        Ok(value) if value / unit > 0.0 && value / unit < 1.0 => Ok(value / unit),
        _ => usage(format!(
            "{flag}: '{text}' is no share between 0 and 1 (such as 10% or 0.1)"
        )),
    }
}

/// An opened data set, and the text by which a ledger finds it again.
pub(crate) struct Data {
    pub(crate) set: Dataset,
    pub(crate) record: String,
}

impl Data {
    pub(crate) fn open(spec: &str, args: &DataArgs) -> Result<Self> {
        let parsed: DataSpec = spec.parse()?;
        let options = Options {
            split: if args.train {
                Split::Train
            } else {
                Split::Test
            },
            resize: args.resize,
            crop: args.crop,
            label_offset: args.label_offset.unwrap_or(0),
            labels: args.labels.clone(),
            classes: args.classes.clone(),
        };
        let set = Dataset::open(&parsed, &options)?;
        let record = json!({
            "data": spec,
            "train": args.train,
            "resize": args.resize,
            "crop": args.crop,
            "label_offset": args.label_offset,
            "labels": args.labels,
            "classes": args.classes,
        });
        Ok(Self {
            set,
            record: record.to_string(),
        })
    }

    /// The data of a ledger: `spec` and `args` where given, else as recorded.
    pub(crate) fn reopen(record: &str, spec: Option<&str>, args: &DataArgs) -> Result<Self> {
        let recorded: serde_json::Value = serde_json::from_str(record).unwrap_or_default();
        let text = |key: &str| recorded.get(key)?.as_str().map(str::to_owned);
        let number = |key: &str| recorded.get(key)?.as_u64().map(|v| v as u32);
        let Some(spec) = spec.map(str::to_owned).or_else(|| text("data")) else {
            return usage("the ledger does not say where its data is: give --data");
        };
        let merged = DataArgs {
            train: args.train || recorded.get("train").is_some_and(|v| v == true),
            labels: args
                .labels
                .clone()
                .or_else(|| text("labels").map(Into::into)),
            classes: args
                .classes
                .clone()
                .or_else(|| text("classes").map(Into::into)),
            label_offset: args
                .label_offset
                .or_else(|| recorded.get("label_offset")?.as_i64()),
            resize: args.resize.or_else(|| number("resize")),
            crop: args.crop.or_else(|| number("crop")),
        };
        Self::open(&spec, &merged).with_context(|| {
            format!("the data of the ledger ({spec}; another place is given with --data)")
        })
    }

    pub(crate) fn shape(&self) -> ImageShape {
        let shape = self.set.shape();
        ImageShape {
            channels: shape.channels,
            height: shape.height,
            width: shape.width,
        }
    }

    /// The positions that the subset flags select.
    pub(crate) fn subset(&self, args: &SubsetArgs) -> Result<Vec<u32>> {
        let subset = Subset::new(self.set.len(), args.every, args.limit)
            .or_else(|e| usage(format!("--every: {e}")))?;
        let inputs: Vec<u32> = subset.starting_at(args.offset).collect();
        if inputs.is_empty() {
            return usage(format!(
                "--every, --offset and --limit select none of the {} inputs",
                self.set.len()
            ));
        }
        Ok(inputs)
    }

    /// Fails if a label of `inputs` is no class of a network of `classes`.
    pub(crate) fn check_labels(&self, inputs: &[u32], classes: usize) -> Result<()> {
        let bad = inputs.iter().find_map(|&idx| {
            let label = self.set.label(idx)?;
            (label as usize >= classes).then_some((idx, label))
        });
        if let Some((idx, label)) = bad {
            return usage(format!(
                "input {idx} has label {label}, but the network has {classes} classes (0 to {}): \
                 see --label-offset and --classes",
                classes - 1
            ));
        }
        Ok(())
    }
}

/// The largest `--threads`: each worker takes memory, and some time to begin.
const MOST_THREADS: usize = 1024;

/// The engine that chooses among the others.
const AUTO: &str = "auto";

impl NetworkArgs {
    /// The engine, if one is chosen by its name.
    fn named(&self) -> Option<&str> {
        self.engine.as_deref().filter(|&name| name != AUTO)
    }

    /// These flags with what they leave open taken from a ledger's network:
    /// the engine, and of the same engine precision and device.
    pub(crate) fn like(&self, base: &ledger::Network) -> Self {
        let mut args = self.clone();
        if args.named().is_none() {
            args.engine = Some(base.engine.clone());
        }
        if args.named() == Some(&base.engine) {
            let recorded = Arithmetic::from(base.precision.as_str()).options();
            let precision = recorded.precision.map(|precision| precision.to_string());
            args.precision = args.precision.or(precision);
            args.device = args.device.or(recorded.device);
        }
        args
    }
}

/// A network read, loaded, and identified.
pub(crate) struct Loaded {
    pub(crate) model: Model,
    pub(crate) network: Network,
}

impl Loaded {
    /// Loads `model` into the engine chosen, or into the fastest that takes it.
    pub(crate) fn open(
        model: &std::path::Path,
        args: &NetworkArgs,
        image: ImageShape,
    ) -> Result<Self> {
        let model = Model::read(model)?;
        let network = options(args)?;
        if args.named().is_some() {
            let runtime = runtime(&model, args)?;
            let network =
                Network::load(&model, runtime.as_ref(), image, &network).map_err(of_flag)?;
            return Ok(Self { model, network });
        }
        let options = engine_options(args)?;
        let network = engines::load_any(&model, &options, image, &network).map_err(of_flag)?;
        let engine = network.engine();
        eprintln!("recert: {} is computed by {engine}", model.name());
        Ok(Self { model, network })
    }

    /// The same, or, where there is the ledger already that the answers are to
    /// go to, by what it was begun with.
    pub(crate) fn open_for(
        ledger: &std::path::Path,
        model: &std::path::Path,
        args: &NetworkArgs,
        image: ImageShape,
    ) -> Result<Self> {
        // What is wrong with a ledger is said when it is opened to be written.
        let begun = ledger
            .is_file()
            .then(|| Ledger::open_read_only(ledger).ok());
        let Some(begun) = begun.flatten() else {
            return Self::open(model, args, image);
        };
        let base = begun.header().network.clone();
        drop(begun);
        let named = args.named().is_some();
        Self::open(model, &args.like(&base), image).with_context(|| {
            if named {
                return format!("loading {}", model.display());
            }
            format!(
                "{} was begun with {} {}, {} (another --engine makes another --ledger)",
                ledger.display(),
                base.engine,
                base.engine_version,
                base.precision,
            )
        })
    }

    pub(crate) fn identity(&self) -> ledger::Network {
        recert::identity(&self.model, &self.network)
    }

    /// One classifier a worker thread.
    pub(crate) fn workers(
        &self,
        args: &RunArgs,
    ) -> Result<Vec<Box<dyn recert::engine::Classifier>>> {
        if args.batch == Some(0) {
            return usage("--batch must be at least 1");
        }
        let threads = match args.threads {
            Some(0) => return usage("--threads must be at least 1"),
            Some(threads) if threads > MOST_THREADS => {
                return usage(format!(
                    "--threads must be at most {MOST_THREADS}, but is {threads}"
                ));
            }
            Some(threads) => threads,
            // A device computes by itself: one worker makes noise meanwhile.
            None if !self.network.engine().arithmetic.on_cpu() => 2,
            None => std::thread::available_parallelism().map_or(1, Into::into),
        };
        (0..threads).map(|_| Ok(self.network.worker()?)).collect()
    }
}

/// The engine chosen, or the one that is built in.
pub(crate) fn runtime(model: &Model, args: &NetworkArgs) -> Result<Box<dyn Runtime>> {
    let options = engine_options(args)?;
    match args.named() {
        Some(name) => Ok(engines::open(name, &options)?),
        None => Ok(engines::embedded(model, args.output.as_deref())),
    }
}

fn engine_options(args: &NetworkArgs) -> Result<EngineOptions> {
    let precision = args.precision.as_deref().map(str::parse);
    Ok(EngineOptions {
        precision: precision
            .transpose()
            .or_else(|e| usage(format!("--precision: {e}")))?,
        device: args.device.clone(),
    })
}

/// An error about the normalisation begins with mean, std or scale, as its flags
/// are called: it is made one of the flag.
fn of_flag(error: engine::Error) -> anyhow::Error {
    if error.kind() == engine::ErrorKind::Preprocess {
        return Failure::usage(format!("--{error}")).into();
    }
    error.into()
}

pub(crate) fn options(args: &NetworkArgs) -> Result<NetworkOptions> {
    Ok(NetworkOptions {
        output: args.output.clone(),
        preprocess: Preprocess::new(&args.mean, &args.std, args.scale).map_err(of_flag)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_counts_or_percentages() {
        for (text, expected) in [("10%", 1000), ("0.5%", 50), ("250", 250), ("100%", 10_000)] {
            assert_eq!(share_of("--n-p", text, 10_000).unwrap(), expected, "{text}");
        }
        for text in ["0", "0%", "101%", "10001", "-1", "x", "1.5", "NaN%"] {
            assert!(share_of("--n-p", text, 10_000).is_err(), "{text}");
        }
    }

    #[test]
    fn fractions_lie_between_0_and_1() {
        assert_eq!(fraction("--prune", "10%").unwrap(), 0.1);
        assert_eq!(fraction("--prune", "0.25").unwrap(), 0.25);
        for text in ["0", "1", "100%", "x", "-5%", "NaN"] {
            assert!(fraction("--prune", text).is_err(), "{text}");
        }
    }
}
