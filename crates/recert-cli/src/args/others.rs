//! All other commands.

use std::path::PathBuf;

use clap::{Arg, ArgGroup, Args as ClapArgs};
use recert::job::Fraction;

use super::search::CalibrationArgs;
use super::shared::{count, probability};
use super::{DataArgs, NetworkArgs};

/// What the engine's flags are for, and their defaults, where there is no ledger.
pub(super) fn for_calibration(arg: Arg) -> Arg {
    let help = match arg.get_id().as_str() {
        "engine" => {
            "The engine that runs the calibration images: direct, rten (both built in), openvino \
             or onnxruntime [default: a built-in one]"
        }
        "precision" => "The precision of calibration: f32, bf16 or f16 [default: f32]",
        "device" => {
            "The device that calibrates, by the engine's name for it: CPU, CUDA, GPU, .. \
             [default: CPU]"
        }
        _ => return arg,
    };
    arg.help(help)
}

/// Ends `recert approximate --help`.
const APPROXIMATE: &str = "\
Examples:
  recert approximate net.onnx --bf16 --out .
  recert approximate net.onnx --prune 10% --out pruned/net.onnx
  recert approximate net.onnx --int8 --calibration cifar-10-batches-py --train --sigma 0.5 --out .
  recert approximate net.onnx --bf16 --all-but /fc/Gemm --out net.bf16-but-last.onnx";

#[derive(Debug, Clone, ClapArgs)]
#[command(mut_args(for_calibration), after_help = APPROXIMATE)]
#[expect(clippy::struct_excessive_bools, reason = "flags are booleans")]
pub(crate) struct Approximate {
    /// The network, an ONNX file
    pub(crate) model: PathBuf,
    /// The file to write, or a folder to write NAME.KIND.onnx to
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Weights in IEEE half precision
    #[arg(long, group = "number")]
    pub(crate) fp16: bool,
    /// Weights rounded to bfloat16
    #[arg(long, group = "number")]
    pub(crate) bf16: bool,
    /// Static int8: weights per channel, activations by --calibration
    #[arg(long, group = "number", requires = "calibration")]
    pub(crate) int8: bool,
    /// Set this share of the weights of every layer to zero, smallest first (10% or 0.1)
    #[arg(long, allow_hyphen_values = true, value_name = "SHARE")]
    pub(crate) prune: Option<Fraction>,
    /// Prune over all layers together instead of within each
    #[arg(long, requires = "prune")]
    pub(crate) prune_globally: bool,
    /// Bits of a weight with --int8, 2 to 8; each is stored in a byte
    #[arg(long, value_name = "BITS", default_value_t = 8, requires = "int8")]
    pub(crate) weight_bits: u8,
    /// Change these layers alone, by the names of their nodes, which --json lists
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "NAME,..",
        conflicts_with = "all_but"
    )]
    pub(crate) layers: Vec<String>,
    /// Change all layers but these
    #[arg(long, value_delimiter = ',', value_name = "NAME,..")]
    pub(crate) all_but: Vec<String>,
    /// Add noise of this standard deviation to the calibration images: the sigma that the network
    /// will be certified at
    #[arg(long, value_name = "S", help_heading = "Calibration")]
    pub(crate) sigma: Option<f64>,
    #[command(flatten)]
    pub(crate) calibrate: CalibrationArgs,
    /// Print what was changed as JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) data_args: DataArgs,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
}

/// Ends `recert report --help`.
const REPORT: &str = "\
Examples:
  recert report run.recert
  recert report run.recert --html report.html --radii 0,0.25,0.5,1
  recert report a.recert b.recert --json";

#[derive(Debug, Clone, ClapArgs)]
#[command(after_help = REPORT)]
pub(crate) struct Report {
    /// Ledgers, in the order to show them
    #[arg(required = true)]
    pub(crate) ledgers: Vec<PathBuf>,
    /// Print JSON instead of tables
    #[arg(long)]
    pub(crate) json: bool,
    /// Print comma-separated values, a line per run or verification, instead of tables
    #[arg(long, conflicts_with = "json")]
    pub(crate) csv: bool,
    /// Print one table alone, a line per run
    #[arg(long, conflicts_with_all = ["json", "csv"])]
    pub(crate) brief: bool,
    /// Also write one self-contained HTML page; the tables are printed all the same
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Radii at which to state certified accuracy
    #[arg(long, value_delimiter = ',', value_name = "R,..")]
    pub(crate) radii: Vec<f64>,
    /// Only this network: its file's name, or 8 or more digits that its SHA-256 begins with
    #[arg(long, value_name = "NAME|HASH")]
    pub(crate) network: Option<String>,
    /// Only runs by this method, or by this method with this goal, as auto/'budget 500 evaluations';
    /// of verifications likewise, as crown/'linf 2/255'
    #[arg(long, value_name = "METHOD[/GOAL]")]
    pub(crate) run: Option<String>,
    /// Title of the report
    #[arg(long, default_value = "Robustness certificates")]
    pub(crate) title: String,
}

/// Ends `recert snapshot --help`.
const SNAPSHOT: &str = "\
Example:
  recert snapshot run.recert copy.recert

A ledger that no process writes to is one file, and can be copied like any other. While a run
writes, its last answers are in a second file beside it: this command copies both into one.";

#[derive(Debug, Clone, ClapArgs)]
#[command(after_help = SNAPSHOT)]
pub(crate) struct Snapshot {
    /// The ledger
    pub(crate) ledger: PathBuf,
    /// The file to write, which must not exist
    pub(crate) copy: PathBuf,
}

/// Ends `recert merge --help`.
const MERGE: &str = "\
Examples:
  recert certify --model net.onnx --data cifar-10-batches-py --sigma 0.5 --shard 1/2 --ledger 1.recert
  recert certify --model net.onnx --data cifar-10-batches-py --sigma 0.5 --shard 2/2 --ledger 2.recert
  recert merge run.recert 1.recert 2.recert

Ledgers of one run are united, whatever inputs each has: shards, runs with another --offset, and
continued ones. What several of them hold has to be the same in each. Every ledger is checked before
(as by `recert check`), and the merged one too; it replaces OUT when it is whole.";

#[derive(Debug, Clone, ClapArgs)]
#[command(after_help = MERGE)]
pub(crate) struct Merge {
    /// The ledger to make, or one to add to
    pub(crate) out: PathBuf,
    /// The ledgers to unite, in any order
    #[arg(required = true, value_name = "LEDGER")]
    pub(crate) ledgers: Vec<PathBuf>,
    /// Merge also where shards are missing; those that come later are merged into the same ledger
    #[arg(long)]
    pub(crate) partial: bool,
}

/// Ends `recert forget --help`.
const FORGET: &str = "\
Examples:
  recert forget run.recert --network net.int8.onnx
  recert forget run.recert --network net.int8.onnx --run auto/'budget 500 evaluations'

The ledger's journal records what was removed, and check and report say so: who removes the
results that disappoint selects, and what remains is worth less than its alpha says.";

#[derive(Debug, Clone, ClapArgs)]
#[command(after_help = FORGET)]
pub(crate) struct Forget {
    /// The ledger
    pub(crate) ledger: PathBuf,
    /// The network: its file's name, or 8 or more digits that its SHA-256 begins with; without
    /// --run it is removed with all its answers
    #[arg(long, value_name = "NAME|HASH", required_unless_present = "run")]
    pub(crate) network: Option<String>,
    /// The runs by this method, or by this method with this goal; the answers stay
    #[arg(long, value_name = "METHOD[/GOAL]")]
    pub(crate) run: Option<String>,
}

/// The heading of what running samples again takes.
const RERUN: &str = "Running samples again";

/// Ends `recert check --help`.
const CHECK: &str = "\
Examples:
  recert check run.recert
  recert check run.recert --rerun 1000 --model net.onnx --model net.int8.onnx

Every count, share of alpha, bound, radius and statement is recomputed by code that shares
nothing with the code that made it, and compared; docs/checking.md states what that proves.
That the networks gave these answers cannot be recomputed: --rerun N draws N answers of each
network given, each with the same probability, regenerates their noise, runs the network, and
compares. --export NAME=FILE gives the ONNX export of a network that is no file, such as a module of
PyTorch, by its name in the ledger: its answers are compared like those of another engine. If a share q of a network's answers were others, one would be found with a probability
of 1 - (1 - q)^N or more. --engine runs the networks in another engine than the ledger records:
reference is ONNX's definitions in plain loops, and slow. Where answers differ then, or with an
engine that depends on the batch, near ties (scores that are closer than rounding explains) are
counted apart, and are no failure. Of results by bounds N are verified again: margins from their
proofs, by code that shares nothing with the prover, and counterexamples by the network's answers.
For those of VNN-LIB files, --vnnlib gives the files again.
docs/glossary.md explains the names of methods and bounds.";

#[derive(Debug, Clone, ClapArgs)]
#[command(
    after_help = CHECK,
    group = ArgGroup::new("again").args(["model", "export"]).multiple(true),
)]
pub(crate) struct Check {
    /// Ledgers
    #[arg(required = true)]
    pub(crate) ledgers: Vec<PathBuf>,
    /// Fail also where nothing is wrong but something is missing: a seal, certificates or inputs
    /// that claims name, results that a verification was begun for, the journal or its header, the proof that candidates were named in time, a
    /// candidate that was removed, or, with --rerun, a network that is not given and results by
    /// bounds that could not be compared
    #[arg(long)]
    pub(crate) strict: bool,
    /// Also run this many answers of each network again, drawn at random, and verify as many of its
    /// results by bounds again
    #[arg(
        long,
        value_name = "N",
        value_parser = count::<u64>,
        requires = "again",
        help_heading = RERUN
    )]
    pub(crate) rerun: Option<u64>,
    /// For --rerun: a network of the ledgers, an ONNX file; may be given several times
    #[arg(long, value_name = "FILE", requires = "rerun", help_heading = RERUN)]
    pub(crate) model: Vec<PathBuf>,
    /// For --rerun: the ONNX file that a network of the ledger which is no file was exported to, with
    /// that network's name; may be given several times
    #[arg(
        long,
        value_name = "NAME=FILE",
        value_parser = export,
        requires = "rerun",
        help_heading = RERUN
    )]
    pub(crate) export: Vec<(String, PathBuf)>,
    /// For --rerun: a VNN-LIB file that a ledger has a result of, or a folder of such files; may be
    /// given several times
    #[arg(long, value_name = "PATH", requires = "rerun", help_heading = RERUN)]
    pub(crate) vnnlib: Vec<PathBuf>,
    /// For --rerun: the engine that runs the networks, such as reference [default: the ledger's]
    #[arg(long, value_name = "NAME", requires = "rerun", help_heading = RERUN)]
    pub(crate) engine: Option<String>,
    /// For --rerun: seed of the choice of samples, to repeat a check [default: random]
    #[arg(long, value_name = "SEED", requires = "rerun", help_heading = RERUN)]
    pub(crate) seed: Option<u64>,
    /// For --rerun: the inputs, where they are no longer at the path that the ledger records
    #[arg(long, value_name = "SPEC", requires = "rerun", help_heading = RERUN)]
    pub(crate) data: Option<String>,
    #[command(flatten)]
    pub(crate) data_args: DataArgs,
    /// Print JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

/// A network's name and the file that it was exported to.
fn export(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, file)) if !name.is_empty() && !file.is_empty() => {
            Ok((name.to_owned(), PathBuf::from(file)))
        }
        _ => Err("give a network's name and a file, as NAME=FILE".to_owned()),
    }
}

/// Ends `recert samples --help`.
const SAMPLES: &str = "\
Three questions:
  recert samples                              samples against p for a target error
  recert samples --radius 0.5 --sigma 0.25    samples that certify a radius, by p
  recert samples --n 10000 --sigma 0.5        the largest radius that 10,000 samples certify

p is the share of the noisy samples that answer the class.

Target error: the samples with which the two-sided Clopper-Pearson interval for p,
its failure probability alpha on either side, is no wider than the error, when p n
of the n samples, rounded to a count, are successes. This is Figure 2 of Ugare et
al., Incremental randomized smoothing certification, ICLR 2024.

Radius: the smallest n for which floor(p n) samples of the class certify the radius
as `recert certify --one-sided` would. This is what to expect, not what is certain: the count of
a run scatters around p n, and where it is smaller so is the radius. Leave some room.";

#[derive(Debug, Clone, ClapArgs)]
#[command(after_help = SAMPLES)]
pub(crate) struct Samples {
    /// Ask for the samples that certify this L2 radius, or several
    #[arg(long, value_delimiter = ',', value_name = "R,..")]
    pub(crate) radius: Vec<f64>,
    /// Ask for the radius that this many samples certify, or several numbers
    #[arg(long, value_delimiter = ',', value_name = "N,..", value_parser = count::<u64>)]
    pub(crate) n: Vec<u64>,
    /// Standard deviation of the noise, in units of pixels in [0, 1], for --radius and --n
    #[arg(long, value_name = "S")]
    pub(crate) sigma: Option<f64>,
    /// Shares of samples that answer the class [default: several from 1/2 on; 1 for --n]
    #[arg(long, value_delimiter = ',', value_name = "P,..")]
    pub(crate) p: Vec<f64>,
    /// Widths of the interval for p, as 0.005 or 0.5% [default: 0.5%]
    #[arg(
        long,
        allow_hyphen_values = true,
        value_delimiter = ',',
        value_name = "E,.."
    )]
    pub(crate) error: Vec<Fraction>,
    /// Failure probability: of a radius [default: 0.001], or on either side of the interval
    /// [default: 0.01]
    #[arg(long, value_name = "A", value_parser = probability, allow_hyphen_values = true)]
    pub(crate) alpha: Option<f64>,
    /// Print JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,
    /// Write a plot of the samples against p for the target errors
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
}

/// Ends `recert engines --help`.
const ENGINES: &str = "\
An engine is looked for in its environment variable (OPENVINO_DYLIB_PATH, ORT_DYLIB_PATH), the active
Python environment (VIRTUAL_ENV, CONDA_PREFIX), the Python on the PATH, the user's Python
packages, and the system's library folders.

Without --engine, or with --engine auto, a new ledger is made by the first of direct, openvino,
onnxruntime, rten that is installed, supports the network, the --precision and the --device, and
agrees with the reference interpreter on a few samples; for networks quantized to 8 bits openvino
comes first where the processor has AMX. The
ledger records engine, version, precision and device; commands that resume it or recertify from it
use the same, or fail where these are not available.";

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
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<usize>,
}

/// Ends `recert completions --help`.
const COMPLETIONS: &str = "\
Examples:
  recert completions bash > ~/.local/share/bash-completion/completions/recert
  recert completions zsh > ~/.zfunc/_recert
  recert completions fish > ~/.config/fish/completions/recert.fish";

#[derive(Debug, Clone, ClapArgs)]
#[command(after_help = COMPLETIONS)]
pub(crate) struct Completions {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct Man {
    /// The folder to write recert.1, recert-certify.1, .. to, such as ~/.local/share/man/man1
    #[arg(value_name = "FOLDER")]
    pub(crate) folder: PathBuf,
}
