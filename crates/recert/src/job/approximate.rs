//! Approximate versions of a network: pruned, of half precision, or in 8 bits or fewer, all layers or some.

use std::fmt;
use std::path::{Path, PathBuf};

use recert_data::{Dataset, Subset};
use recert_net::{
    self as net, Calibration, Changes, HalfFormat, Int8Options, LayerChange, Layers, Model,
    PruneScope, RangeMethod,
};
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
    /// The layers to change.
    pub layers: Selected,
    /// The images to observe activations on, which int8 needs.
    pub calibration: Option<CalibrationConfig>,
}

/// How to find the ranges of activations.
#[derive(Debug, Clone)]
pub struct CalibrationConfig {
    /// The images: a path, or `FORMAT:PATH`.
    pub data: String,
    /// How to read them.
    pub options: DataOptions,
    /// The most of them to run.
    pub limit: u32,
    /// Standard deviation, in units of pixels in [0, 1], of noise added to the images: that which the network
    /// will be certified at.
    pub sigma: Option<f64>,
    /// Clip to the central part of the values, in per cent (above 0, at most 100), instead
    /// of covering all.
    pub percentile: Option<f64>,
}

/// Layers of a network, by the names of their nodes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Selected {
    /// All of them.
    #[default]
    All,
    /// These.
    Only(Vec<String>),
    /// All but these.
    AllBut(Vec<String>),
}

impl Selected {
    /// These layers of `model`, whose nodes have names.
    fn of(&self, model: &Model) -> Result<Layers> {
        let (field, named) = match self {
            Self::All => return Ok(Layers::ALL),
            Self::Only(names) => (Field::Layers, names),
            Self::AllBut(names) => (Field::AllBut, names),
        };
        let all = net::weights(model)?
            .into_iter()
            .map(|weights| weights.layer);
        let mut chosen: Vec<String> = all.collect();
        if let Some(missing) = named.iter().find(|name| !chosen.contains(name)) {
            let message = format!(
                "the network has no layer `{missing}`; those with weights are {}",
                chosen.join(", ")
            );
            return Err(Error::parameter(field, message));
        }
        let only = matches!(self, Self::Only(_));
        chosen.retain(|name| named.contains(name) == only);
        if chosen.is_empty() {
            return Err(Error::parameter(field, "no layer is left to change"));
        }
        Ok(Layers::only(chosen))
    }

    /// What a file's name says of them.
    fn kind(&self) -> Option<String> {
        match self {
            Self::All => None,
            Self::Only(names) if names.len() == 1 => Some(file_name(&names[0])),
            Self::Only(names) => Some(format!("{}-layers", names.len())),
            Self::AllBut(names) => Some(format!("all-but-{}", names.len())),
        }
    }
}

/// The numbers of an approximate version.
#[derive(Debug, Clone)]
pub enum Numbers {
    /// Weights of half precision.
    Half(HalfFormat),
    /// Weights in 8 bits or fewer, and activations in 8.
    Int8 {
        /// Bits of a weight, 2 to 8; each is stored in 8.
        bits: u8,
        /// How to run the network on the images of the calibration.
        network: NetworkConfig,
    },
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
/// use recert::job::{ApproximateConfig, Numbers, Selected, approximate};
/// use recert::net::HalfFormat;
///
/// # let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/demo");
/// # let folder = tempfile::tempdir().unwrap();
/// let made = approximate(&ApproximateConfig {
///     model: format!("{demo}/shapes.onnx").into(),
///     out: folder.path().join("half.onnx"),
///     prune: None,
///     numbers: Some(Numbers::Half(HalfFormat::Float16)),
///     layers: Selected::All,
///     calibration: None,
/// })?;
/// assert!(made.file.is_file() && made.steps.len() == 1);
/// # Ok::<(), recert::Error>(())
/// ```
pub fn approximate(config: &ApproximateConfig) -> Result<Approximation> {
    if !config.out.is_dir() {
        check_place(&config.out, config)?;
    }
    let mut model = Model::read(&config.model)?;
    if config.layers != Selected::All {
        model = net::with_node_names(&model)?;
    }
    let layers = config.layers.of(&model)?;
    let (mut kinds, mut steps) = (Vec::new(), Vec::new());
    if let Some((share, scope)) = config.prune {
        let (pruned, changes) = net::prune(&model, share.get(), scope, &layers)?;
        kinds.push(format!(
            "prune{}",
            (share.get() * 100.0 * 1e6).round() / 1e6
        ));
        steps.push(changes);
        model = pruned;
    }
    if let Some(numbers) = &config.numbers {
        let (kind, (changed, changes)) = match numbers {
            Numbers::Half(format) => {
                let kind = match format {
                    HalfFormat::Float16 => "fp16",
                    _ => "bf16",
                };
                (kind.to_owned(), net::half(&model, *format, &layers)?)
            }
            Numbers::Int8 { bits, network } => {
                let ranges = config.calibration.as_ref();
                let made = int8(&model, ranges, (*bits, network), layers)?;
                (format!("int{bits}"), made)
            }
        };
        kinds.push(kind);
        steps.push(changes);
        model = changed;
    }
    if steps.is_empty() {
        let message = "nothing to do: choose fp16, bf16, int8, or a share to prune";
        return Err(Error::parameter(Field::Prune, message));
    }
    kinds.extend(config.layers.kind());
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
    let calibration = config.calibration.as_ref();
    let data = calibration.and_then(|images| data_path(&images.data));
    let inputs = [
        (Some(&config.model), "the network itself"),
        (data.as_ref(), "the calibration data"),
        (
            calibration.and_then(|images| images.options.labels.as_ref()),
            "the file of labels",
        ),
        (
            calibration.and_then(|images| images.options.classes.as_ref()),
            "the list of classes",
        ),
    ];
    let inputs: Vec<_> = (inputs.into_iter())
        .filter_map(|(path, name)| Some((path?.as_path(), name)))
        .collect();
    output::check_network_place(out, &inputs).map_err(|error| error.about(Field::Out))
}

/// Quantizes the network, with the images that it was calibrated on in the file.
fn int8(
    model: &Model,
    calibration: Option<&CalibrationConfig>,
    (bits, network): (u8, &NetworkConfig),
    layers: Layers,
) -> Result<(Model, Changes)> {
    if !(2..=8).contains(&bits) {
        let message = format!("weights may have 2 to 8 bits, not {bits}");
        return Err(Error::parameter(Field::WeightBits, message));
    }
    let Some(calibration) = calibration else {
        let message = "int8 needs images to observe activations on";
        return Err(Error::parameter(Field::Calibration, message));
    };
    let images = calibration.images()?;
    let ranges = images.observe(model, network)?;
    let options = Int8Options::default().with_bits(bits).with_layers(layers);
    let (quantized, mut changes) = net::quantize_int8_with(model, &ranges, &options)?;
    let quantized = images.record(&quantized)?;
    changes.size_after = quantized.size();
    Ok((quantized, changes))
}

/// The images that activations are observed on.
pub(super) struct CalibrationSet {
    data: Data,
    images: Subset,
    noise: Option<CalibrationNoise>,
    method: RangeMethod,
}

impl CalibrationConfig {
    /// Opens the images.
    pub(super) fn images(&self) -> Result<CalibrationSet> {
        if self.limit == 0 {
            let message = "at least 1 image is needed to calibrate on";
            return Err(Error::parameter(Field::CalibrationLimit, message));
        }
        let noise = match self.sigma {
            Some(sigma) => Some(CalibrationNoise {
                sigma: recert_smooth::noise_sigma(config::sigma(sigma)?)?,
                seed: 0,
            }),
            None => None,
        };
        let data = Data::open(&DataConfig {
            data: self.data.clone(),
            options: self.options.clone(),
        })?;
        // Spread over the whole set, which may be sorted by class.
        let all = data.len() as u32;
        let every = all.div_ceil(self.limit).max(1);
        Ok(CalibrationSet {
            images: Subset::new(data.len(), every, Some(self.limit))?,
            data,
            noise,
            method: self
                .percentile
                .map_or(RangeMethod::MinMax, RangeMethod::Percentile),
        })
    }
}

impl CalibrationSet {
    fn set(&self) -> &Dataset {
        self.data.files().expect("it was opened from files")
    }

    /// Runs the network on them and observes what quantizing it needs the ranges of.
    pub(super) fn observe(&self, model: &Model, network: &NetworkConfig) -> Result<Calibration> {
        let runtime = network.runtime(model)?;
        let options = network.options()?;
        let (engine, images) = (runtime.as_ref(), self.images.clone());
        crate::calibrate(
            model,
            engine,
            &options,
            self.set(),
            images,
            self.noise,
            self.method,
        )
        .map_err(|error| {
            if error.kind() == ErrorKind::Parameter && error.field().is_none() {
                return error.about(Field::Percentile);
            }
            error
        })
    }

    /// The network with a list of them in its file.
    pub(super) fn record(&self, model: &Model) -> Result<Model> {
        record_images(model, self.set(), self.images.clone())
    }
}

/// A layer's name with nothing that a file's name may not have.
fn file_name(layer: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let name = layer.trim_matches('/').chars();
    name.map(|c| if fits(c) { c } else { '_' }).collect()
}

/// `net.onnx` becomes `net.KIND.onnx`.
fn name(model: &Path, kind: &str) -> String {
    let stem = model.file_stem().unwrap_or_default().to_string_lossy();
    format!("{stem}.{kind}.onnx")
}
