//! The arguments, as raw values.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use recert::smooth::Sides;

/// Ends `recert --help`; `exit.rs` has the codes.
const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    another failure than those below
  2    wrong usage: a flag or its value
  3    a bad model, data or ledger file
  4    the ledger is of another run, of a newer version, or in use
  5    the engine is missing or cannot compute the network
  6    writing failed, such as on a full disk
  7    check: a certificate or a field does not hold
  130  interrupted: the same command again resumes";

/// Certifies how robust a neural network is; recertifies every changed version
/// of it at a fraction of the cost.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = EXIT_CODES
)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Certify a network from scratch, into a ledger
    Certify(Certify),
    /// Predict with the smoothed network, without radii
    Predict(Predict),
    /// Recertify a modified network from the ledger of the original
    Recertify(Recertify),
    /// Make a half-precision, int8 or pruned version of a network
    Approximate(Approximate),
    /// Tables, JSON and an HTML page from ledgers
    Report(Report),
    /// Derive everything a ledger states from the answers in it, independently
    Check(Check),
    /// How many noisy copies a radius, or an error, takes
    Samples(Samples),
    /// What engines there are here, their precisions and devices
    Engines(Engines),
    /// The whole job on images and a network that ship with recert
    Demo(Demo),
}

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
    pub(crate) precision: Option<String>,
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

/// What certifying and predicting are about. It stands apart from the rest of
/// their flags so that the numbers of copies come between in the help.
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

#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct Certify {
    #[command(flatten)]
    pub(crate) subject: SubjectArgs,
    /// Noisy copies an input that estimate the probability
    #[arg(
        long,
        allow_negative_numbers = true,
        value_name = "N",
        default_value_t = 100_000
    )]
    pub(crate) n: u64,
    /// Noisy copies an input that select the class
    #[arg(
        long,
        allow_negative_numbers = true,
        value_name = "N0",
        default_value_t = 100
    )]
    pub(crate) n0: u64,
    #[command(flatten)]
    pub(crate) sides: SidesArgs,
    /// Stop an input as soon as it is certified at this radius or cannot be; n copies at most
    #[arg(
        long,
        allow_negative_numbers = true,
        value_name = "R",
        conflicts_with_all = ["one_sided", "via"]
    )]
    pub(crate) until_radius: Option<f64>,
    /// Certify through this faster version of the network: n copies of it, and of the network only
    /// as many as --via-budget allows
    #[arg(long, value_name = "FILE")]
    pub(crate) via: Option<PathBuf>,
    /// Evaluations of the network itself with --via: a count, or a percentage of n an input
    #[arg(
        long,
        allow_hyphen_values = true,
        requires = "via",
        value_name = "B",
        default_value = "5%"
    )]
    pub(crate) via_budget: String,
    /// The engine of the --via network [default: that of the network itself]
    #[arg(long, requires_all = ["via", "engine"], value_name = "NAME")]
    pub(crate) via_engine: Option<String>,
    /// The arithmetic of the --via network, which may then be the same file [default: that of the
    /// network itself]
    #[arg(long, requires = "via", value_name = "P")]
    pub(crate) via_precision: Option<String>,
    /// The device of the --via network [default: that of the network itself]
    #[arg(long, requires = "via", value_name = "NAME")]
    pub(crate) via_device: Option<String>,
    #[command(flatten)]
    pub(crate) scratch: ScratchArgs,
}

#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct Predict {
    #[command(flatten)]
    pub(crate) subject: SubjectArgs,
    /// Noisy copies an input
    #[arg(
        long,
        allow_negative_numbers = true,
        value_name = "N",
        default_value_t = 1000
    )]
    pub(crate) n: u64,
    #[command(flatten)]
    pub(crate) scratch: ScratchArgs,
}

/// How to recertify.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Method {
    /// Copies chosen by the original's codes, spent where they gain most
    Auto,
    /// Incremental randomized smoothing certification, sound over both branches
    Irs,
    /// The original's probability less how often the two differ, on the first `n_p` copies
    Zeta,
    /// The original's probability less what is lost, on the first `n_p` copies
    Loss,
    /// The same with what is gained added
    Paired,
    /// From scratch on the first `n_p` copies, to stand beside the others
    Direct,
}

#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct Recertify {
    /// The ledger of the original network
    pub(crate) ledger: PathBuf,
    /// The modified network, an ONNX file; given several times: candidates, run in one pass, every
    /// certificate of which stays valid if one of them is then chosen by its results
    #[arg(long, required = true, value_name = "FILE")]
    pub(crate) model: Vec<PathBuf>,
    /// Method, or several
    #[arg(long, value_enum, value_delimiter = ',', default_value = "auto")]
    pub(crate) method: Vec<Method>,
    /// auto: evaluations over all inputs, as a count or as a percentage of n on average, or
    /// several [default: --n-p, or 10%]
    #[arg(
        long,
        value_delimiter = ',',
        allow_hyphen_values = true,
        value_name = "B,.."
    )]
    pub(crate) budget: Vec<String>,
    /// auto: as few evaluations as lead to this average certified radius over all inputs, whatever
    /// their labels
    #[arg(
        long,
        allow_negative_numbers = true,
        value_name = "R",
        conflicts_with = "budget"
    )]
    pub(crate) target_acr: Option<f64>,
    /// auto: stop an input as soon as it is certified at this radius, or seems never to be
    #[arg(
        long,
        visible_alias = "target-radius",
        allow_negative_numbers = true,
        value_name = "R",
        conflicts_with_all = ["budget", "target_acr", "plan"]
    )]
    pub(crate) until_radius: Option<f64>,
    /// Print what may be expected of budgets, and of certifying from scratch, and run nothing
    #[arg(long)]
    pub(crate) plan: bool,
    /// With --plan: print JSON
    #[arg(long, requires = "plan")]
    pub(crate) json: bool,
    /// Candidates that the network may be chosen among by its results [default: the number of
    /// --model]
    #[arg(long, allow_negative_numbers = true, value_name = "K")]
    pub(crate) among: Option<u32>,
    /// IRS: from this lower bound of the original's probability on, the modified network's own
    /// counts come first
    #[arg(
        long,
        allow_negative_numbers = true,
        value_name = "G",
        default_value_t = 0.99
    )]
    pub(crate) gamma: f64,
    /// Other methods than auto: copies of the modified network an input, a count or a percentage
    /// of n, or several [default: 10%]
    #[arg(
        long = "n-p",
        value_delimiter = ',',
        allow_hyphen_values = true,
        value_name = "N_P,.."
    )]
    pub(crate) n_p: Vec<String>,
    #[command(flatten)]
    pub(crate) sides: SidesArgs,
    /// Total failure probability of each new certificate [default: twice the ledger's alpha]
    #[arg(long, allow_negative_numbers = true, value_name = "A")]
    pub(crate) alpha: Option<f64>,
    /// The inputs, where they are no longer where the ledger says
    #[arg(long, value_name = "SPEC")]
    pub(crate) data: Option<String>,
    /// Take at most this many of the ledger's inputs
    #[arg(long, allow_negative_numbers = true, value_name = "COUNT")]
    pub(crate) limit: Option<usize>,
    #[command(flatten)]
    pub(crate) data_args: DataArgs,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

#[derive(Debug, Clone, ClapArgs)]
#[expect(clippy::struct_excessive_bools, reason = "flags are booleans")]
pub(crate) struct Approximate {
    /// The network, an ONNX file
    pub(crate) model: PathBuf,
    /// Where to write [default: beside the model, as NAME.KIND.onnx]
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Weights in IEEE half precision
    #[arg(long, group = "number")]
    pub(crate) fp16: bool,
    /// Weights rounded to bfloat16
    #[arg(long, group = "number")]
    pub(crate) bf16: bool,
    /// Static int8: weights per channel, activations by --calibration
    #[arg(long, group = "number", requires = "calibration")]
    pub(crate) int8: bool,
    /// Zero this share of the weights of every layer, smallest first (10% or 0.1)
    #[arg(long, allow_hyphen_values = true, value_name = "SHARE")]
    pub(crate) prune: Option<String>,
    /// Prune over all layers together instead of within each
    #[arg(long, requires = "prune")]
    pub(crate) prune_globally: bool,
    /// Images to calibrate int8 on: a path, or FORMAT:PATH
    #[arg(long, value_name = "SPEC")]
    pub(crate) calibration: Option<String>,
    /// Calibrate on at most this many images
    #[arg(
        long,
        allow_negative_numbers = true,
        value_name = "COUNT",
        default_value_t = 500
    )]
    pub(crate) calibration_limit: u32,
    /// Add noise of this standard deviation to the calibration images: the sigma that the network
    /// will be certified at
    #[arg(long, allow_negative_numbers = true, value_name = "S")]
    pub(crate) sigma: Option<f64>,
    /// Cover the middle P % of the calibration values instead of all
    #[arg(long, allow_negative_numbers = true, value_name = "P")]
    pub(crate) percentile: Option<f64>,
    /// Print what was changed as JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) data_args: DataArgs,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
}

#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct Report {
    /// Ledgers, in the order to show them
    #[arg(required = true)]
    pub(crate) ledgers: Vec<PathBuf>,
    /// Print JSON instead of tables
    #[arg(long)]
    pub(crate) json: bool,
    /// Write one self-contained HTML page
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Radii at which to state certified accuracy
    #[arg(long, value_delimiter = ',', value_name = "R,..")]
    pub(crate) radii: Vec<f64>,
    /// Title of the report
    #[arg(long, default_value = "Robustness certificates")]
    pub(crate) title: String,
}

/// Ends `recert check --help`.
const CHECK: &str = "\
Every count, share of alpha, bound, radius and statement is derived again by code that
shares nothing with what made it, and compared; docs/checking.md says what that proves.
Whether the answers are the networks' own is another question: --rerun N regenerates
the noise of N copies and asks the networks again.";

#[derive(Debug, Clone, ClapArgs)]
#[command(after_help = CHECK)]
pub(crate) struct Check {
    /// Ledgers
    #[arg(required = true)]
    pub(crate) ledgers: Vec<PathBuf>,
    /// Also run this many copies of each ledger again, chosen at random
    #[arg(
        long,
        allow_negative_numbers = true,
        value_name = "N",
        requires = "model"
    )]
    pub(crate) rerun: Option<u64>,
    /// For --rerun: a network of the ledgers, an ONNX file; or several times
    #[arg(long, value_name = "FILE", requires = "rerun")]
    pub(crate) model: Vec<PathBuf>,
    /// For --rerun: chooses the copies, to repeat a check [default: random]
    #[arg(
        long,
        allow_negative_numbers = true,
        value_name = "SEED",
        requires = "rerun"
    )]
    pub(crate) seed: Option<u64>,
    /// For --rerun: the inputs, where they are no longer where the ledger says
    #[arg(long, value_name = "SPEC", requires = "rerun")]
    pub(crate) data: Option<String>,
    #[command(flatten)]
    pub(crate) data_args: DataArgs,
    /// Print JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

/// Ends `recert samples --help`.
const SAMPLES: &str = "\
Three questions:
  recert samples                              copies against p for a target error
  recert samples --radius 0.5 --sigma 0.25    copies that certify a radius, by p
  recert samples --copies 10000 --sigma 0.5   the largest radius of so many copies

p is the share of the noisy copies that answer the class.

Target error: the copies with which the two-sided Clopper-Pearson interval for p,
its failure probability alpha on either side, is no wider than the error, when p n
of the n copies, rounded to a count, are successes. This is Figure 2 of Ugare et
al., Incremental randomized smoothing certification, ICLR 2024.

Radius: the smallest n for which floor(p n) copies of the class certify the radius
as `recert certify --one-sided` would. This is what to expect, not what is certain: the count of
a run scatters around p n, and where it is smaller so is the radius. Leave some room.";

#[derive(Debug, Clone, ClapArgs)]
#[command(after_help = SAMPLES)]
pub(crate) struct Samples {
    /// Ask for the copies that certify this L2 radius, or several
    #[arg(
        long,
        allow_negative_numbers = true,
        value_delimiter = ',',
        value_name = "R,.."
    )]
    pub(crate) radius: Vec<f64>,
    /// Ask for the radius that so many copies certify, or several numbers
    #[arg(
        long,
        allow_negative_numbers = true,
        value_delimiter = ',',
        value_name = "N,.."
    )]
    pub(crate) copies: Vec<u64>,
    /// Standard deviation of the noise, in units of pixels in [0, 1], for --radius and --copies
    #[arg(long, allow_negative_numbers = true, value_name = "S")]
    pub(crate) sigma: Option<f64>,
    /// Shares of copies that answer the class [default: several from 1/2 on; 1 for --copies]
    #[arg(
        long,
        allow_negative_numbers = true,
        value_delimiter = ',',
        value_name = "P,.."
    )]
    pub(crate) p: Vec<f64>,
    /// Widths of the interval for p, as 0.005 or 0.5% [default: 0.5%]
    #[arg(
        long,
        allow_hyphen_values = true,
        value_delimiter = ',',
        value_name = "E,.."
    )]
    pub(crate) error: Vec<String>,
    /// Failure probability: of a radius [default: 0.001], or on either side of the interval
    /// [default: 0.01]
    #[arg(long, allow_negative_numbers = true, value_name = "A")]
    pub(crate) alpha: Option<f64>,
    /// Print JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,
    /// Write a plot of the copies against p for the target errors
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
}

/// Ends `recert engines --help`.
const ENGINES: &str = "\
An engine is looked for in its own variable (OPENVINO_DYLIB_PATH, ORT_DYLIB_PATH), the active
Python environment (VIRTUAL_ENV, CONDA_PREFIX), the Python on the PATH, the user's Python
packages, and the system's library folders.

Without --engine, or with --engine auto, a new ledger is made by the first of openvino, direct,
onnxruntime, rten that is installed and takes the network, the --precision and the --device; for
networks quantized to 8 bits direct comes first, unless the processor has AMX. The
ledger records engine, version, precision and device; whatever goes on with it uses the same, or
fails where they are not there.";

#[derive(Debug, Clone, ClapArgs)]
#[command(after_help = ENGINES)]
pub(crate) struct Engines {
    /// Print JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct Demo {
    /// Folder to write to
    #[arg(long, value_name = "FOLDER", default_value = "demo-out")]
    pub(crate) out: PathBuf,
    /// Worker threads [default: all cores]
    #[arg(long, allow_negative_numbers = true, value_name = "N")]
    pub(crate) threads: Option<usize>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_help_puts_first_what_a_certificate_depends_on() {
        let mut all = Args::command();
        all.build();
        let first = |command: &str, count: usize| -> Vec<String> {
            let command = all.find_subcommand(command).expect("the command");
            let flags = command.get_arguments().take(count);
            flags.map(|flag| flag.get_id().to_string()).collect()
        };
        let certify = ["model", "data", "sigma", "alpha", "n", "n0"];
        assert_eq!(first("certify", 6), certify);
        let predict = ["model", "data", "sigma", "alpha", "n", "seed"];
        assert_eq!(first("predict", 6), predict);
    }
}
