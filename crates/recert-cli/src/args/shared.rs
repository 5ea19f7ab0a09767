//! Flags that several commands have.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};
use recert::engine::Precision;
use recert::job::{DataOptions, NetworkConfig, RunConfig, SubsetConfig};
use recert::noise::Law;
use recert::smooth::Sides;

/// Which data, and how to read it.
#[derive(Debug, Clone, Default, ClapArgs)]
pub(crate) struct DataArgs {
    /// Read the training half of a data set that has both
    #[arg(long)]
    pub(crate) train: bool,
    /// Labels for data that has none: an npy or IDX file
    #[arg(long, value_name = "FILE")]
    pub(crate) labels: Option<PathBuf>,
    /// Image folders: folder names, one a line, that number the classes (such as wnids.txt)
    #[arg(long, value_name = "FILE")]
    pub(crate) classes: Option<PathBuf>,
    /// Add this to every label (1 for networks whose class 0 is "background")
    #[arg(long, value_name = "K", allow_hyphen_values = true)]
    pub(crate) label_offset: Option<i64>,
    /// Image folders: scale the shorter side to this many pixels
    #[arg(long, allow_negative_numbers = true, value_name = "PIXELS")]
    pub(crate) resize: Option<u32>,
    /// Image folders: cut the central square of this side
    #[arg(long, allow_negative_numbers = true, value_name = "PIXELS")]
    pub(crate) crop: Option<u32>,
}

impl DataArgs {
    pub(crate) fn options(&self) -> DataOptions {
        DataOptions {
            train: self.train,
            labels: self.labels.clone(),
            classes: self.classes.clone(),
            label_offset: self.label_offset,
            resize: self.resize,
            crop: self.crop,
        }
    }
}

/// Which network, and how to run it.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct NetworkArgs {
    /// The engine that computes: direct, rten (both built in), openvino, onnxruntime, or auto, the
    /// fastest that is installed and takes the network, see `recert engines` [default: the ledger's
    /// where there is one, a built-in one for calibration, else auto]
    #[arg(long, value_name = "NAME")]
    pub(crate) engine: Option<String>,
    /// The arithmetic: f32, bf16, f16, or int8 (8 bits where the network is quantized, which it
    /// must be, and f32 elsewhere); in bf16 a network is another one than in f32, to be recertified
    /// [default: the ledger's where there is one, else f32]
    #[arg(long, value_name = "P")]
    pub(crate) precision: Option<Precision>,
    /// The device, by the engine's name for it: CPU, CUDA or CUDA:1 (onnxruntime), GPU or GPU.1
    /// (openvino), .. [default: the ledger's where there is one, else CPU]
    #[arg(long, value_name = "NAME")]
    pub(crate) device: Option<String>,
    /// The graph output to read, if the network has several
    #[arg(long, value_name = "NAME")]
    pub(crate) output: Option<String>,
    /// Normalisation outside the graph, subtracted: one value or one a channel
    #[arg(
        long,
        value_delimiter = ',',
        allow_hyphen_values = true,
        value_name = "M,.."
    )]
    pub(crate) mean: Vec<f32>,
    /// Normalisation outside the graph, divided by: one value or one a channel
    #[arg(
        long,
        allow_negative_numbers = true,
        value_delimiter = ',',
        value_name = "S,.."
    )]
    pub(crate) std: Vec<f32>,
    /// Factor after normalisation (255 for networks of 0..255 inputs)
    #[arg(long, allow_hyphen_values = true, value_name = "F")]
    pub(crate) scale: Option<f32>,
}

impl NetworkArgs {
    pub(crate) fn config(&self) -> NetworkConfig {
        NetworkConfig {
            engine: self.engine.clone(),
            precision: self.precision,
            device: self.device.clone(),
            output: self.output.clone(),
            mean: self.mean.clone(),
            std: self.std.clone(),
            scale: self.scale,
        }
    }
}

/// How to go about it.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct RunArgs {
    /// Workers, each computing on one thread, which answers do not depend on [default: all cores; 2
    /// on another --device than the CPU]
    #[arg(long, allow_negative_numbers = true, value_name = "N")]
    pub(crate) threads: Option<usize>,
    /// Images in one call of the engine [default: the fastest by a short measurement; 32 where answers
    /// may depend on it]
    #[arg(long, allow_negative_numbers = true, value_name = "N")]
    pub(crate) batch: Option<usize>,
    /// Also write a log in Cohen's format (idx label predict radius correct time)
    #[arg(long, value_name = "FILE")]
    pub(crate) log: Option<PathBuf>,
    /// No progress bar
    #[arg(long)]
    pub(crate) quiet: bool,
}

impl RunArgs {
    pub(crate) fn config(&self) -> RunConfig {
        RunConfig {
            threads: self.threads,
            batch: self.batch,
        }
    }
}

/// Which inputs of the data set.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct SubsetArgs {
    /// Take every K-th input: 0, K, 2K, ..
    #[arg(
        long,
        allow_negative_numbers = true,
        value_name = "K",
        default_value_t = 1
    )]
    pub(crate) every: u32,
    /// Start with this input instead of input 0
    #[arg(
        long,
        allow_negative_numbers = true,
        value_name = "IDX",
        default_value_t = 0
    )]
    pub(crate) offset: u32,
    /// Take at most this many inputs
    #[arg(long, allow_negative_numbers = true, value_name = "COUNT")]
    pub(crate) limit: Option<u32>,
}

impl SubsetArgs {
    pub(crate) fn config(&self) -> SubsetConfig {
        SubsetConfig {
            every: self.every,
            offset: self.offset,
            limit: self.limit,
        }
    }
}

/// What certifying and predicting are about. It stands apart from the rest of
/// their flags so that the numbers of samples come between in the help.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct SubjectArgs {
    /// The network, an ONNX file
    #[arg(long, value_name = "FILE")]
    pub(crate) model: PathBuf,
    /// The inputs: a path, or FORMAT:PATH (cifar10, cifar10-bin, idx, folder, npy, npz)
    #[arg(long, value_name = "SPEC")]
    pub(crate) data: String,
    /// Standard deviation of the noise, in units of pixels in [0, 1]
    #[arg(long, allow_negative_numbers = true, value_name = "S")]
    pub(crate) sigma: f64,
    /// Probability that an answer is wrong (a radius, or a predicted class)
    #[arg(
        long,
        allow_negative_numbers = true,
        value_name = "A",
        default_value_t = 0.001
    )]
    pub(crate) alpha: f64,
}

/// Which noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum NoiseLaw {
    /// Normal, in 32-bit floats
    Gaussian,
    /// Normal, rounded to grey levels: for 8-bit images, whose certificates then hold for every
    /// 8-bit image within the radius without any proviso on floating-point rounding
    Integer,
}

impl NoiseLaw {
    pub(crate) fn law(self) -> Law {
        match self {
            Self::Gaussian => Law::Gaussian,
            Self::Integer => Law::Integer,
        }
    }
}

/// What else certifying and predicting have in common.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct ScratchArgs {
    /// Seed of the noise
    #[arg(
        long,
        allow_negative_numbers = true,
        value_name = "SEED",
        default_value_t = 0
    )]
    pub(crate) seed: u64,
    /// The law of the noise
    #[arg(long, value_enum, default_value = "gaussian")]
    pub(crate) noise: NoiseLaw,
    /// The ledger to write, or to resume
    #[arg(long, value_name = "FILE")]
    pub(crate) ledger: PathBuf,
    #[command(flatten)]
    pub(crate) subset: SubsetArgs,
    #[command(flatten)]
    pub(crate) data_args: DataArgs,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// What a certificate from scratch bounds.
#[derive(Debug, Clone, Copy, ClapArgs)]
pub(crate) struct SidesArgs {
    /// From scratch: bound the class's probability alone, as Cohen et al. 2019 do, and not the
    /// runner-up's too
    #[arg(long)]
    pub(crate) one_sided: bool,
}

impl SidesArgs {
    pub(crate) fn sides(self) -> Sides {
        if self.one_sided {
            Sides::One
        } else {
            Sides::Two
        }
    }
}
