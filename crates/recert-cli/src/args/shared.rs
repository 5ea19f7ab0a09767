//! Flags that several commands have.

use std::path::PathBuf;
use std::sync::OnceLock;

use clap::Args as ClapArgs;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use recert::engine::{Apart, Precision};
use recert::job::{DataOptions, Law, NetworkConfig, RunConfig, Shard, Sides, SubsetConfig, whole};

/// Declares flags that are, one for one, the fields of a configuration.
macro_rules! flags {
    ($(#[$about:meta])* $name:ident -> $config:ident, $heading:literal {
        $($(#[$flag:meta])* $field:ident: $type:ty,)*
    }) => {
        $(#[$about])*
        #[derive(Debug, Clone, ClapArgs)]
        #[command(next_help_heading = $heading)]
        pub(crate) struct $name {
            $($(#[$flag])* $field: $type,)*
        }

        impl $name {
            pub(crate) fn config(&self) -> $config {
                let Self { $($field,)* } = self.clone();
                $config { $($field,)* }
            }
        }
    };
}

/// The word by which this program is started where an engine runs a network first: no command, as
/// nobody types it.
pub const FIRST_RUNS: &str = "first-runs";

/// How this program is started with that word, where that is known. It is of the process, as the
/// command line is.
static AGAIN: OnceLock<Option<Apart>> = OnceLock::new();

/// Says how this program is started again; the first to say it is right.
pub(crate) fn start_again_by(again: Option<Apart>) {
    AGAIN.get_or_init(|| again);
}

fn first_runs() -> Option<Apart> {
    AGAIN.get().cloned().flatten()
}

/// A number of bytes, with or without a unit.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "" | "B" => 1,
        "KiB" | "K" | "k" => 1 << 10,
        "MiB" | "M" => 1 << 20,
        "GiB" | "G" => 1 << 30,
        "TiB" | "T" => 1 << 40,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return Err("write a number of bytes, as in 4GiB or 500MiB".to_owned()),
    };
    let number: u64 = digits
        .parse()
        .map_err(|_| "write a whole number of bytes, as in 4GiB or 500MiB".to_owned())?;
    (number.checked_mul(factor))
        .filter(|&bytes| bytes > 0)
        .ok_or_else(|| "that many bytes there cannot be".to_owned())
}

flags! {
    /// How to read a data set.
    DataArgs -> DataOptions, "Data" {
        /// Read the images of the training set, not of the test set
        #[arg(long)]
        train: bool,
        /// Labels for data that has none: npy, IDX, or text (a label per line, or a csv of image
        /// and label)
        #[arg(long, value_name = "FILE")]
        labels: Option<PathBuf>,
        /// Names of the classes, one per line, in the network's order: for image folders (such as
        /// wnids.txt) and for labels that are names
        #[arg(long, value_name = "FILE")]
        classes: Option<PathBuf>,
        /// Add this to every label (1 for networks whose class 0 is "background")
        #[arg(long, value_name = "K", allow_hyphen_values = true)]
        label_offset: Option<i64>,
        /// Image files, in folders or Parquet: scale the shorter side to this many pixels
        #[arg(long, value_name = "PIXELS")]
        resize: Option<u32>,
        /// Image files, in folders or Parquet: cut out the central square of this side
        #[arg(long, value_name = "PIXELS")]
        crop: Option<u32>,
    }
}

flags! {
    /// How to compute a network.
    NetworkArgs -> NetworkConfig, "Network" {
        /// The engine that computes the network: direct, rten (both built in), openvino,
        /// onnxruntime, or auto, the fastest that is installed and supports the network (see
        /// `recert engines`) [default: the ledger's where there is one, else auto]
        #[arg(long, value_name = "NAME")]
        engine: Option<String>,
        /// The precision: f32, bf16, f16, or int8 (8 bits where the network is quantized, which it
        /// must be, and f32 elsewhere); a network in bf16 counts as a different network from the
        /// same file in f32 [default: the ledger's where there is one, else f32]
        #[arg(long, value_name = "P")]
        precision: Option<Precision>,
        /// The device, by the engine's name for it: CPU, CUDA or CUDA:1 (onnxruntime), GPU or
        /// GPU.1 (openvino), .. [default: the ledger's where there is one, else CPU]
        #[arg(long, value_name = "NAME")]
        device: Option<String>,
        /// The graph output with the logits, where the network has several that may hold them
        /// [default: the ledger's where there is one]
        #[arg(long, value_name = "NAME")]
        output: Option<String>,
        /// Normalisation outside the graph, subtracted: one value, or one per channel
        #[arg(long, value_delimiter = ',', allow_hyphen_values = true, value_name = "M,..")]
        mean: Vec<f32>,
        /// Normalisation outside the graph, divided by: one value, or one per channel
        #[arg(long, value_delimiter = ',', value_name = "S,..")]
        std: Vec<f32>,
        /// Factor after normalisation (255 for networks of 0..255 inputs)
        #[arg(long, allow_hyphen_values = true, value_name = "F")]
        scale: Option<f32>,
        /// The most memory that the tensors of one image may take together, weights not counted,
        /// as in 8GiB or 500MiB; a network that would take more is refused before any is
        /// allocated [default: 4GiB]
        #[arg(long, value_name = "SIZE", value_parser = bytes)]
        max_memory: Option<u64>,
        /// How this program is started where an engine runs a network first.
        #[arg(skip = first_runs())]
        apart: Option<Apart>,
    }
}

flags! {
    /// How to spread the work, which no answer depends on.
    WorkerArgs -> RunConfig, "Running" {
        /// Worker threads; results do not depend on their number [default: all cores; 2 on a
        /// --device other than the CPU]
        #[arg(long, value_name = "N")]
        threads: Option<usize>,
        /// Images in one call of the engine [default: the fastest by a short measurement; 32 for
        /// engines whose answers may depend on it]
        #[arg(long, value_name = "N")]
        batch: Option<usize>,
        /// Run one part of the inputs alone, such as the third of sixteen, into a ledger of its own;
        /// `recert merge` unites the ledgers of all parts, and the result is that of one run
        #[arg(long, value_name = "I/N")]
        shard: Option<Shard>,
    }
}

flags! {
    /// Which inputs of the data set.
    SubsetArgs -> SubsetConfig, "Data" {
        /// Take every K-th input: 0, K, 2K, ..
        #[arg(long, value_name = "K", value_parser = count::<u32>, default_value_t = 1)]
        every: u32,
        /// Start with this input instead of input 0
        #[arg(long, value_name = "IDX", value_parser = count::<u32>, default_value_t = 0)]
        offset: u32,
        /// Take at most this many inputs
        #[arg(long, value_name = "COUNT", value_parser = count::<u32>)]
        limit: Option<u32>,
    }
}

/// How to run, and what to show meanwhile.
#[derive(Debug, Clone, ClapArgs)]
#[command(next_help_heading = "Running")]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) workers: WorkerArgs,
    /// Also write a log in Cohen's format (idx label predict radius correct time)
    #[arg(long, value_name = "FILE")]
    pub(crate) log: Option<PathBuf>,
    /// Print nothing on stderr but errors: no progress bar, remark or summary
    #[arg(long)]
    pub(crate) quiet: bool,
    /// Print no rows: for the demo.
    #[arg(skip)]
    pub(crate) summary_only: bool,
}

/// What certifying and predicting are about. It stands apart from the rest of
/// their flags so that the numbers of samples come between in the help.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct SubjectArgs {
    /// The network, an ONNX file
    #[arg(long, value_name = "FILE")]
    pub(crate) model: PathBuf,
    /// The inputs: a path, or FORMAT:PATH (cifar10, svhn, idx, folder, parquet, npz, csv, ..)
    #[arg(long, value_name = "SPEC")]
    pub(crate) data: String,
    /// Standard deviation of the noise, in units of pixels in [0, 1]
    #[arg(long, value_name = "S")]
    pub(crate) sigma: f64,
    /// Failure probability of one certificate or prediction
    #[arg(
        long,
        value_name = "A",
        value_parser = probability,
        allow_hyphen_values = true,
        default_value_t = 0.001
    )]
    pub(crate) alpha: f64,
}

/// The laws of the noise, by name.
const LAWS: [Named<Law>; 2] = [
    Named(Law::Gaussian, "gaussian", "Normal, in 32-bit floats"),
    Named(
        Law::Integer,
        "integer",
        "Normal, rounded to grey levels: for 8-bit images, whose certificates then hold for every \
         8-bit image within the radius, regardless of floating-point rounding",
    ),
];

/// What else certifying and predicting have in common.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct ScratchArgs {
    /// Seed of the noise: a number, or `fresh` for one drawn at random (a ledger that exists keeps
    /// its own). A network made after looking at results under one seed needs a fresh one: the old
    /// samples are no longer independent of it
    #[arg(long, value_name = "SEED", default_value = "0", help_heading = "Noise")]
    pub(crate) seed: Seed,
    /// Noise distribution
    #[arg(long, help_heading = "Noise", value_parser = named(&LAWS), default_value = "gaussian")]
    pub(crate) noise: Law,
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

/// The seed of the noise, as it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seed {
    /// This one.
    Number(u64),
    /// One drawn at random, for a new ledger.
    Fresh,
}

impl std::str::FromStr for Seed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "fresh" {
            return Ok(Self::Fresh);
        }
        let number = text.parse().map(Self::Number);
        number.map_err(|why| format!("{why}: give a whole number below 2^64, or fresh"))
    }
}

impl Seed {
    /// The number, for a run into this ledger.
    pub(crate) fn number(self, ledger: &std::path::Path) -> recert::Result<u64> {
        match self {
            Self::Number(seed) => Ok(seed),
            Self::Fresh => recert::job::fresh_seed(ledger),
        }
    }
}

/// The heading of what a certificate states, and by which method.
pub(crate) const STATEMENT: &str = "Certificates";

/// Which probabilities a certificate from scratch bounds.
#[derive(Debug, Clone, Copy, ClapArgs)]
pub(crate) struct SidesArgs {
    /// Bound only the top class's probability (Cohen et al. 2019): from scratch, and by auto, which
    /// is then left without the designs that bound the runner-up too
    #[arg(long, help_heading = STATEMENT)]
    one_sided: bool,
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

/// Parses a whole number, which may be written as `1e5`.
pub(crate) fn count<T: TryFrom<u64>>(text: &str) -> Result<T, String> {
    let number = whole(text).map_err(|error| error.to_string())?;
    T::try_from(number).map_err(|_| format!("{text} is too large"))
}

/// Parses a failure probability. A percentage is refused with the number that it is: of two
/// notations for one thing that small, one would be misread.
pub(crate) fn probability(text: &str) -> Result<f64, String> {
    if let Some(percent) = text.trim().strip_suffix('%') {
        let number: Option<f64> = percent.trim().parse().ok();
        let number = number.map(|percent| format!(": write {} for {text}", percent / 100.0));
        return Err(format!(
            "alpha is a probability, not a percentage{}",
            number.unwrap_or_default()
        ));
    }
    text.trim()
        .parse()
        .map_err(|_| "alpha is a probability, a number between 0 and 1 such as 0.001".to_owned())
}

/// A value of a flag, with its name and its text in the help.
pub(crate) struct Named<T>(
    pub(crate) T,
    pub(crate) &'static str,
    pub(crate) &'static str,
);

/// Parses the names of a table into its values.
pub(crate) fn named<T: Copy + Send + Sync + 'static>(
    table: &'static [Named<T>],
) -> impl TypedValueParser<Value = T> {
    let values = table.iter();
    let values = values.map(|Named(_, name, help)| PossibleValue::new(*name).help(*help));
    PossibleValuesParser::new(values).map(|given| {
        let known = table.iter().find(|Named(_, name, _)| *name == given);
        known.expect("the names of the table alone are accepted").0
    })
}
