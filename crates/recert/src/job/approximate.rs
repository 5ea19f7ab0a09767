//! Approximate versions of a network: pruned, of half precision, or in 8 bits.

use std::fmt;
use std::path::{Path, PathBuf};

use recert_data::Subset;
use recert_net::{self as net, Changes, HalfFormat, LayerChange, Model, PruneScope, RangeMethod};
use serde_json::{Value, json};

use super::config::{self, Fraction};
use super::data::{Data, DataConfig, DataOptions};
use super::network::NetworkConfig;
use crate::calibration::record_images;
use crate::output::{self, data_path};
use crate::{CalibrationNoise, Error, ErrorKind, Field, Result};

/// Which approximate version of a network to make, and where.
#[derive(Debug, Clone)]
pub struct ApproximateConfig {
    /// The network, an ONNX file.
    pub model: PathBuf,
    /// The file to write, or a folder to write `NAME.KIND.onnx` to.
    pub out: PathBuf,
    /// The share of weights to set to zero, and which are compared.
    pub prune: Option<(Fraction, PruneScope)>,
    /// The numbers that weights, and for int8 activations, are to be; after pruning.
    pub numbers: Option<Numbers>,
    /// The images to observe activations on, which int8 needs: a path, or
    /// `FORMAT:PATH`.
    pub calibration: Option<String>,
    /// How to read them.
    pub options: DataOptions,
}

/// The numbers of an approximate version.
#[derive(Debug, Clone)]
pub enum Numbers {
    /// Weights of half precision.
    Half(HalfFormat),
    /// Weights and activations in 8 bits.
    Int8(Int8Config),
}

/// How to find the ranges of activations.
#[derive(Debug, Clone)]
pub struct Int8Config {
    /// The most images to run.
    pub limit: u32,
    /// Standard deviation, in units of pixels in [0, 1], of noise added to the images: that which the network
    /// will be certified at.
    pub sigma: Option<f64>,
    /// Clip to the central part of the values, in per cent (above 0, at most 100), instead
    /// of covering all.
    pub percentile: Option<f64>,
    /// How to run the network.
    pub network: NetworkConfig,
}

/// An approximate version that was written.
#[derive(Debug)]
pub struct Approximation {
    /// The file.
    pub file: PathBuf,
    /// The network.
    pub model: Model,
    /// What was changed, step by step.
    pub steps: Vec<Changes>,
}

impl Approximation {
    /// What was changed as JSON, schema `recert-approximation/1`.
    pub fn to_json(&self) -> Value {
        let step = |c: &Changes| {
            let layers: Vec<_> = c
                .layers
                .iter()
                .map(|l| {
                    json!({
                        "layer": l.layer, "op": l.op, "tensor": l.tensor, "weights": l.weights,
                        "changed": l.changed, "zeroed": l.zeroed,
                        "max_abs_error": l.max_abs_error, "max_rel_error": l.max_rel_error,
                    })
                })
                .collect();
            json!({
                "approximation": c.approximation, "arithmetic": c.arithmetic,
                "weights": c.weights(), "changed": c.changed(), "zeroed": c.zeroed(),
                "max_abs_error": largest(c).map(|layer| layer.max_abs_error),
                "folded_batchnorms": c.folded_batchnorms,
                "bytes_before": c.size_before, "bytes_after": c.size_after,
                "notes": c.notes, "layers": layers,
            })
        };
        json!({
            "schema": "recert-approximation/1",
            "file": self.file, "sha256": self.model.sha256_hex(),
            "steps": self.steps.iter().map(step).collect::<Vec<_>>(),
        })
    }
}

/// The layer with the largest error of a weight.
fn largest(changes: &Changes) -> Option<&LayerChange> {
    let layers = changes.layers.iter();
    layers.max_by(|a, b| a.max_abs_error.total_cmp(&b.max_abs_error))
}

impl fmt::Display for Approximation {
    /// What was changed, step by step, with the share of weights changed and the largest error.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for changes in &self.steps {
            write!(f, "{changes}")?;
            let Some(layer) = largest(changes) else {
                continue;
            };
            let percent = |count: usize| 100.0 * count as f64 / (changes.weights() as f64).max(1.0);
            writeln!(
                f,
                "{:.2} % of the weights changed, {:.2} % became zero; largest error of a weight {:.1e}, in \
                 layer `{}`",
                percent(changes.changed()),
                percent(changes.zeroed()),
                layer.max_abs_error,
                layer.layer,
            )?;
        }
        Ok(())
    }
}

/// Makes an approximate version of a network. The file is written whole or not
/// at all, and never over what it is made from.
///
/// # Errors
/// [`ErrorKind::Parameter`], naming the field of `config` that is out of range;
/// [`ErrorKind::Output`] if the file cannot be written.
///
/// ```
/// use recert::job::{ApproximateConfig, Numbers, approximate};
/// use recert::net::HalfFormat;
///
/// # let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/demo");
/// # let folder = tempfile::tempdir().unwrap();
/// let made = approximate(&ApproximateConfig {
///     model: format!("{demo}/shapes.onnx").into(),
///     out: folder.path().join("half.onnx"),
///     prune: None,
///     numbers: Some(Numbers::Half(HalfFormat::Float16)),
///     calibration: None,
///     options: Default::default(),
/// })?;
/// assert!(made.file.is_file() && made.steps.len() == 1);
/// # Ok::<(), recert::Error>(())
/// ```
pub fn approximate(config: &ApproximateConfig) -> Result<Approximation> {
    if !config.out.is_dir() {
        check_place(&config.out, config)?;
    }
    let mut model = Model::read(&config.model)?;
    let (mut kinds, mut steps) = (Vec::new(), Vec::new());
    if let Some((share, scope)) = config.prune {
        let (pruned, changes) = net::prune(&model, share.get(), scope)?;
        kinds.push(format!(
            "prune{}",
            (share.get() * 100.0 * 1e6).round() / 1e6
        ));
        steps.push(changes);
        model = pruned;
    }
    if let Some(numbers) = &config.numbers {
        let (kind, (changed, changes)) = match numbers {
            Numbers::Half(HalfFormat::Float16) => ("fp16", net::half(&model, HalfFormat::Float16)?),
            Numbers::Half(format) => ("bf16", net::half(&model, *format)?),
            Numbers::Int8(how) => ("int8", int8(&model, config, how)?),
        };
        kinds.push(kind.to_owned());
        steps.push(changes);
        model = changed;
    }
    if steps.is_empty() {
        let message = "nothing to do: choose fp16, bf16, int8, or a share to prune";
        return Err(Error::parameter(Field::Prune, message));
    }
    let out = if config.out.is_dir() {
        config.out.join(name(&config.model, &kinds.join(".")))
    } else {
        config.out.clone()
    };
    check_place(&out, config)?;
    let written = model.write(&out);
    written.map_err(|why| Error::output("the network", Error::from(why)))?;
    Ok(Approximation {
        file: out,
        model,
        steps,
    })
}

/// The file is put in its place by renaming, which would replace a device, and
/// it must not replace what it is made from: ledgers are bound to the network.
fn check_place(out: &Path, config: &ApproximateConfig) -> Result<()> {
    if out.exists() && !out.is_file() {
        return Err(Error::output(out.display(), "it is no file"));
    }
    let data = config.calibration.as_deref().and_then(data_path);
    let inputs = [
        (Some(&config.model), "the network itself"),
        (data.as_ref(), "the calibration data"),
        (config.options.labels.as_ref(), "the file of labels"),
        (config.options.classes.as_ref(), "the list of classes"),
    ];
    let inputs: Vec<_> = (inputs.into_iter())
        .filter_map(|(path, name)| Some((path?.as_path(), name)))
        .collect();
    output::check_place(out, &inputs).map_err(|error| error.about(Field::Out))
}

fn int8(model: &Model, config: &ApproximateConfig, how: &Int8Config) -> Result<(Model, Changes)> {
    let Some(data) = config.calibration.clone() else {
        let message = "int8 needs images to observe activations on";
        return Err(Error::parameter(Field::Calibration, message));
    };
    if how.limit == 0 {
        let message = "at least 1 image is needed to calibrate on";
        return Err(Error::parameter(Field::CalibrationLimit, message));
    }
    let noise = match how.sigma {
        Some(sigma) => Some(CalibrationNoise {
            sigma: recert_smooth::noise_sigma(config::sigma(sigma)?)?,
            seed: 0,
        }),
        None => None,
    };
    let data = Data::open(&DataConfig {
        data,
        options: config.options.clone(),
    })?;
    let set = data.files().expect("it was opened from files");
    // Spread over the whole set, which may be sorted by class.
    let every = (set.len() as u32).div_ceil(how.limit).max(1);
    let images = Subset::new(set.len(), every, Some(how.limit))?;
    let method = how
        .percentile
        .map_or(RangeMethod::MinMax, RangeMethod::Percentile);
    let runtime = how.network.runtime(model)?;
    let options = how.network.options()?;
    let engine = runtime.as_ref();
    let calibration = crate::calibrate(model, engine, &options, set, images.clone(), noise, method)
        .map_err(|error| {
            if error.kind() == ErrorKind::Parameter && error.field().is_none() {
                return error.about(Field::Percentile);
            }
            error
        })?;
    let (quantized, mut changes) = net::quantize_int8(model, &calibration)?;
    let quantized = record_images(&quantized, set, images)?;
    changes.size_after = quantized.size();
    Ok((quantized, changes))
}

/// `net.onnx` becomes `net.KIND.onnx`.
fn name(model: &Path, kind: &str) -> String {
    let stem = model.file_stem().unwrap_or_default().to_string_lossy();
    format!("{stem}.{kind}.onnx")
}
