//! The flags of `recert train`: all fields of a configuration's file, and where to write.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use recert::job::{Epsilon, TrainConfig};

use super::shared::count;

/// Ends the help of `train`.
const TRAIN: &str = "\
Examples:
  recert train --preset mnist-0.1-mtl-ibp --data idx:mnist --test idx:mnist --out net.onnx
  recert train config.toml --epochs 5 --out net.onnx --page net.md
  recert verify --model net.onnx --data idx:mnist --eps 0.1

A file has the flags below as TOML, without the dashes in front: `eps = 0.1`, or `eps = \"8/255\"`. Flags
come before the file, the file before the preset. While a training runs, OUT.checkpoint holds what is done, and the
same command again goes on from there, to the same bits. docs/training.md has the methods.";

/// Two numbers with a comma between them, or one for both.
fn pair(text: &str) -> Result<[f64; 2], String> {
    let numbers: Result<Vec<f64>, _> = text.split(',').map(str::parse).collect();
    match numbers.map_err(|error| error.to_string())?[..] {
        [both] => Ok([both; 2]),
        [first, last] => Ok([first, last]),
        _ => Err("one or two numbers are needed, as in 1,0.5".to_owned()),
    }
}

/// A fraction or a decimal number.
fn distance(text: &str) -> Result<f64, recert::Error> {
    let distance: Epsilon = text.parse()?;
    Ok(distance.nearest())
}

/// Declares the flags that are, one for one, the fields of a configuration.
macro_rules! flags {
    ($($(#[$flag:meta])* $field:ident: $type:ty,)*) => {
        #[derive(Debug, Clone, ClapArgs)]
        struct Fields {
            $($(#[$flag])* $field: Option<$type>,)*
        }

        impl Fields {
            fn config(&self) -> TrainConfig {
                let Self { $($field,)* } = self.clone();
                TrainConfig { $($field,)* }
            }
        }
    };
}

flags! {
    /// Published settings to begin with, such as mnist-0.1-ibp; an unknown name lists all
    #[arg(long, value_name = "NAME")]
    preset: String,
    /// The images to train on: a path, or FORMAT:PATH; the training set where there are two
    #[arg(long, value_name = "SPEC", help_heading = "Data")]
    data: String,
    /// Images to report accuracy on at the end, by which nothing is chosen; the test set where there
    /// are two
    #[arg(long, value_name = "SPEC", help_heading = "Data")]
    test: String,
    /// The architecture: cnn3, cnn5, cnn7, cnn7-bn, cgt-mnist, fc-WIDTH-.., as in fc-200-100, or
    /// resnetDEPTH, as in resnet20; resnet20-b has convolutions in its shortcuts
    #[arg(long, value_name = "NAME", help_heading = "Network")]
    architecture: String,
    /// An ONNX file whose layers and weights to begin with, in place of an architecture
    #[arg(long, value_name = "FILE", help_heading = "Network")]
    model: PathBuf,
    /// Normalisation inside the network, subtracted: one value, or one per channel [default: 0]
    #[arg(long, value_delimiter = ',', allow_hyphen_values = true, value_name = "M,..", help_heading = "Network")]
    mean: Vec<f32>,
    /// Normalisation inside the network, divided by: one value, or one per channel [default: 1]
    #[arg(long, value_delimiter = ',', value_name = "S,..", help_heading = "Network")]
    std: Vec<f32>,
    /// How weights begin: he, or interval (Shi et al.) [default: interval for methods that bound]
    #[arg(long, value_name = "NAME", help_heading = "Network")]
    initialization: String,
    /// The method: standard, gaussian, gaussian-hinge, gaussian-ibp, pgd, smoothadv, ibp, crown-ibp,
    /// sabr, mtl-ibp, cc-ibp, exp-ibp, taps, staps or geometric
    #[arg(long, value_name = "NAME", help_heading = "Method")]
    method: String,
    /// The distance to train for, in units of pixels in [0, 1], as 8/255 or 0.1; L2 for smoothadv
    #[arg(long, value_name = "E", value_parser = distance, help_heading = "Method")]
    eps: f64,
    /// The distance to validate and report at [default: eps]
    #[arg(long, value_name = "E", value_parser = distance, help_heading = "Method")]
    validation_eps: f64,
    /// What is done to images, as in verify: rotate=-30..30,scale=0.95..1.05 (geometric)
    #[arg(long, value_name = "STEPS", allow_hyphen_values = true, help_heading = "Method")]
    transform: String,
    /// The width of a cell along each parameter of the transformation, in its unit (geometric)
    #[arg(long, value_delimiter = ',', value_name = "W,..", help_heading = "Method")]
    cell_width: Vec<f64>,
    /// How pixels are bounded over a cell: interval, or knapsack, which is tighter (geometric)
    /// [default: interval]
    #[arg(long, value_name = "NAME", help_heading = "Method")]
    pixels: String,
    /// How many cells a batch is divided among (geometric) [default: 1]
    #[arg(long, value_name = "N", value_parser = count::<usize>, help_heading = "Method")]
    batch_cells: usize,
    /// Standard deviation of noise, in units of pixels in [0, 1] (gaussian and its like, smoothadv)
    #[arg(long, value_name = "S", help_heading = "Method")]
    sigma: f64,
    /// Samples of noise an image (smoothadv) [default: 1]
    #[arg(long, value_name = "N", value_parser = count::<usize>, help_heading = "Method")]
    samples: usize,
    /// The share of the box's width that is bounded (sabr, staps)
    #[arg(long, value_name = "T", help_heading = "Method")]
    tau: f64,
    /// The weight of the bounds (mtl-ibp, cc-ibp, exp-ibp, gaussian-ibp)
    #[arg(long, value_name = "A", help_heading = "Method")]
    alpha: f64,
    /// How many of the last layers of ReLUs are attacked in place of bounded (taps, staps)
    /// [default: 1]
    #[arg(long, value_name = "N", value_parser = count::<usize>, help_heading = "Method")]
    attacked_relus: usize,
    /// By how much the gradient of the loss on attacked margins is multiplied (taps, staps)
    /// [default: 5]
    #[arg(long, value_name = "W", help_heading = "Method")]
    taps_weight: f64,
    /// The share of a box's width within which an attacked point moves with the box's end (taps,
    /// staps) [default: 0.5]
    #[arg(long, value_name = "C", help_heading = "Method")]
    connector: f64,
    /// What upper ends of unstable ReLUs' intervals are multiplied by in the loss (sabr, taps, staps)
    /// [default: 1]
    #[arg(long, value_name = "F", help_heading = "Method")]
    relu_shrink: f64,
    /// From which margin on a class adds nothing to the hinge, in units of logits (gaussian-hinge)
    #[arg(long, value_name = "M", help_heading = "Method")]
    margin: f64,
    /// The weight of the hinge (gaussian-hinge)
    #[arg(long, value_name = "W", help_heading = "Method")]
    margin_weight: f64,
    /// Steps of an attack [default: 8]
    #[arg(long, value_name = "N", value_parser = count::<usize>, help_heading = "Method")]
    attack_steps: usize,
    /// The length of a step, in units of the radius that is searched [default: 0.25]
    #[arg(long, value_name = "S", help_heading = "Method")]
    attack_step: f64,
    /// Searches of an attack, of which the worst point is taken [default: 1]
    #[arg(long, value_name = "N", value_parser = count::<usize>, help_heading = "Method")]
    attack_restarts: usize,
    /// The radius that is searched, in units of eps [default: 1]
    #[arg(long, value_name = "R", help_heading = "Method")]
    attack_radius: f64,
    /// Epochs [default: 70]
    #[arg(long, value_name = "N", value_parser = count::<usize>, help_heading = "Schedule")]
    epochs: usize,
    /// The epoch at which eps, or the cells' widths, begin to grow [default: 0]
    #[arg(long, value_name = "EPOCH", value_parser = count::<usize>, help_heading = "Schedule")]
    ramp_start: usize,
    /// The epoch from which on they have their full value [default: 20]
    #[arg(long, value_name = "EPOCH", value_parser = count::<usize>, help_heading = "Schedule")]
    ramp_end: usize,
    /// The learning rate of Adam [default: 5e-4]
    #[arg(long, value_name = "R", help_heading = "Schedule")]
    learning_rate: f64,
    /// The epochs at which it falls [default: 50,60]
    #[arg(long, value_delimiter = ',', value_name = "EPOCH,..", value_parser = count::<usize>, help_heading = "Schedule")]
    milestones: Vec<usize>,
    /// What it is multiplied by there [default: 0.2]
    #[arg(long, value_name = "F", help_heading = "Schedule")]
    decay: f64,
    /// The weight of the loss on clean images, at the ramp's start and from its end on, or one for both, for
    /// methods that bound [default: 0,0; 1,0.5 for geometric]
    #[arg(long, value_name = "A,B", value_parser = pair, help_heading = "Schedule")]
    clean_weight: [f64; 2],
    /// Images a step [default: 256]
    #[arg(long, value_name = "N", value_parser = count::<usize>, help_heading = "Schedule")]
    batch: usize,
    /// The norm that gradients are cut to [default: 10]
    #[arg(long, value_name = "N", help_heading = "Schedule")]
    clip: f64,
    /// The weight of the sum of the weights' magnitudes [default: 0]
    #[arg(long, value_name = "W", help_heading = "Schedule")]
    l1: f64,
    /// The weight of the regularisers of Shi et al. at the ramp's start [default: 0.5 for methods
    /// that bound]
    #[arg(long, value_name = "W", help_heading = "Schedule")]
    regularizer: f64,
    /// The epoch from which on weights are averaged over epochs
    #[arg(long, value_name = "EPOCH", value_parser = count::<usize>, help_heading = "Schedule")]
    average_from: usize,
    /// Mirror half of the images
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", help_heading = "Data")]
    flip: bool,
    /// Move images by up to so many pixels
    #[arg(long, value_name = "PIXELS", value_parser = count::<usize>, help_heading = "Data")]
    shift: usize,
    /// Keep so many images from training, to choose the best epoch by [default: 0, the last epoch]
    #[arg(long, value_name = "N", value_parser = count::<usize>, help_heading = "Data")]
    validation: usize,
    /// What decides which images these are, and nothing else: trainings of other seeds have the same ones
    /// [default: 0]
    #[arg(long, value_name = "SEED", help_heading = "Data")]
    split_seed: u64,
    /// Train on at most this many images, from the first, those kept for validation included
    #[arg(long, value_name = "COUNT", value_parser = count::<usize>, help_heading = "Data")]
    limit: usize,
    /// Take at most this many of the test images
    #[arg(long, value_name = "COUNT", value_parser = count::<usize>, help_heading = "Data")]
    test_limit: usize,
    /// What all other random numbers are a function of [default: 0]
    #[arg(long, value_name = "SEED", help_heading = "Schedule")]
    seed: u64,
    /// What to train on: cpu, or gpu, in builds with the feature train-gpu [default: cpu]
    #[arg(long, value_name = "NAME", help_heading = "Running")]
    device: String,
}

#[derive(Debug, Clone, ClapArgs)]
#[command(after_help = TRAIN)]
pub(crate) struct Train {
    /// A file of settings, TOML
    #[arg(value_name = "CONFIG")]
    pub(crate) file: Option<PathBuf>,
    /// The network to write, an ONNX file; normalisation is inside, and what is there is replaced
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Also write a page of what was trained and how it went, Markdown
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) page: Option<PathBuf>,
    #[command(flatten)]
    fields: Fields,
    /// Threads; no result depends on their number [default: all cores]
    #[arg(long, value_name = "N", help_heading = "Running")]
    pub(crate) threads: Option<usize>,
    /// Print nothing on stderr but errors: no progress or warning
    #[arg(long, help_heading = "Running")]
    pub(crate) quiet: bool,
}

impl Train {
    /// The settings that flags give.
    pub(crate) fn config(&self) -> TrainConfig {
        self.fields.config()
    }
}
