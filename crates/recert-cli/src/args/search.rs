//! The flags of `recert sensitivity` and `recert tune`, and of calibration.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use recert::job::{
    Amount, CalibrationConfig, Change, Computation, DataOptions, RunConfig, SearchConfig,
};

use super::others::for_calibration;
use super::shared::count;
use super::{DataArgs, NetworkArgs};

/// An engine with its arithmetic.
pub(super) fn computation(text: &str) -> Result<Computation, String> {
    text.parse()
        .map_err(|error: recert::Error| error.to_string())
}

/// How activations are observed for int8.
#[derive(Debug, Clone, ClapArgs)]
#[command(next_help_heading = "Calibration")]
pub(crate) struct CalibrationArgs {
    /// Images to calibrate int8 on: a path, or FORMAT:PATH
    #[arg(long, value_name = "SPEC")]
    pub(crate) calibration: Option<String>,
    /// Calibrate on this many images at most
    #[arg(long, value_name = "COUNT", value_parser = count::<u32>, default_value_t = 500)]
    pub(crate) calibration_limit: u32,
    /// Percentile calibration: clip each activation's range to the central P % of its values
    /// instead of covering all
    #[arg(long, value_name = "P")]
    pub(crate) percentile: Option<f64>,
}

impl CalibrationArgs {
    /// With noise of `sigma` on images that are read as `options` say.
    pub(crate) fn config(
        &self,
        sigma: Option<f64>,
        options: DataOptions,
    ) -> Option<CalibrationConfig> {
        self.calibration.clone().map(|data| CalibrationConfig {
            data,
            options,
            limit: self.calibration_limit,
            sigma,
            percentile: self.percentile,
        })
    }
}

/// Which samples a search looks at, and how it goes about it.
#[derive(Debug, Clone, ClapArgs)]
#[command(next_help_heading = "Search")]
pub(crate) struct SearchArgs {
    /// Samples of an input that networks are compared on
    #[arg(long, value_name = "COUNT", value_parser = count::<u64>, default_value_t = SearchConfig::default().samples)]
    pub(crate) samples: u64,
    /// Compare on at most this many of the ledger's inputs, spread over all of them
    #[arg(long, value_name = "COUNT", value_parser = count::<usize>, default_value_t = SearchConfig::default().inputs)]
    pub(crate) inputs: usize,
    /// Worker threads; results do not depend on their number [default: all cores]
    #[arg(long, value_name = "N", help_heading = "Running")]
    pub(crate) threads: Option<usize>,
    /// Images in one call of the engine [default: the fastest by a short measurement]
    #[arg(long, value_name = "N", help_heading = "Running")]
    pub(crate) batch: Option<usize>,
    /// Print nothing on stderr but errors
    #[arg(long, help_heading = "Running")]
    pub(crate) quiet: bool,
}

impl SearchArgs {
    pub(crate) fn config(&self) -> SearchConfig {
        SearchConfig {
            samples: self.samples,
            inputs: self.inputs,
            run: RunConfig {
                threads: self.threads,
                batch: self.batch,
                shard: None,
            },
        }
    }
}

/// Ends `recert sensitivity --help`.
const SENSITIVITY: &str = "\
Examples:
  recert sensitivity run.recert --model net.onnx --change bf16,prune20%
  recert sensitivity run.recert --model net.onnx --change int8,int4 --calibration cifar-10-batches-py \\
      --train --svg layers.svg
  recert sensitivity run.recert --model net.onnx --as openvino/f32,openvino/bf16,onnxruntime

Networks are compared on noise of a seed of its own, in a ledger beside the certified one: a network that is
made by what is seen may be recertified as one named in advance. Killed or stopped, the same command goes on.";

#[derive(Debug, Clone, ClapArgs)]
#[command(mut_args(for_calibration), after_help = SENSITIVITY)]
pub(crate) struct Sensitivity {
    /// The ledger of the certified network
    pub(crate) ledger: PathBuf,
    /// The certified network, an ONNX file
    #[arg(long, value_name = "FILE")]
    pub(crate) model: PathBuf,
    /// What each layer becomes, alone: fp16, bf16, int8 or fewer bits to int2, prune10%, prune10%+int8;
    /// or several
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "CHANGE,..",
        value_parser = |text: &str| text.parse::<Change>().map_err(|e| e.to_string())
    )]
    pub(crate) change: Vec<Change>,
    /// Compare other files too, such as an int8 version that was made elsewhere, each as a whole
    #[arg(long, value_delimiter = ',', value_name = "FILE,..")]
    pub(crate) versions: Vec<PathBuf>,
    /// Compare what these engines compute, of these files or else of the network's own: ENGINE, ENGINE/PRECISION or
    /// ENGINE/PRECISION@DEVICE
    #[arg(long = "as", value_delimiter = ',', value_name = "ENGINE,..", value_parser = computation)]
    pub(crate) computations: Vec<Computation>,
    /// The ledger of the search [default: RUN.search.recert beside RUN.recert]
    #[arg(long, value_name = "FILE")]
    pub(crate) search: Option<PathBuf>,
    /// Also draw each layer's disagreement, with intervals, as an SVG file
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
    /// Print JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,
    /// The inputs, where they are no longer at the path that the ledger records
    #[arg(long, value_name = "SPEC")]
    pub(crate) data: Option<String>,
    #[command(flatten)]
    pub(crate) search_args: SearchArgs,
    #[command(flatten)]
    pub(crate) calibration: CalibrationArgs,
    #[command(flatten)]
    pub(crate) data_args: DataArgs,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
}

/// Ends `recert tune --help`.
const TUNE: &str = "\
Example:
  recert tune run.recert --model net.onnx --space space.toml --calibration cifar-10-batches-py --train \\
      --out tuned

A search space is a TOML file:
  changes = [\"bf16\", \"int8\", \"int4\", \"prune20%+int8\"]   # what a layer may become
  keep = [\"/fc/Gemm\"]                # layers that stay as they are
  networks = [\"made-elsewhere\"]      # files, or folders of them
  cost = \"size\"                      # or \"operations\", \"latency\"
  least-radius = \"99%\"               # of the original's average certified radius, or a number;
                                     # or at-radius = 0.5 and least-certified = \"55%\"
  candidates = 40                    # the most networks that are looked at
  chosen = 3                         # the most that are certified

Networks are looked at on noise of a seed of its own (OUT/search.recert); those that are chosen are written
to OUT and recertified from a copy of the ledger (OUT/tuned.recert), named together in advance. OUT gets
tune.json, tune.md and tune.svg, with all that was looked at. Killed or stopped, the same command goes on.";

#[derive(Debug, Clone, ClapArgs)]
#[command(mut_args(for_calibration), after_help = TUNE)]
pub(crate) struct Tune {
    /// The ledger of the certified network, with no other network's answers in it
    pub(crate) ledger: PathBuf,
    /// The certified network, an ONNX file
    #[arg(long, value_name = "FILE")]
    pub(crate) model: PathBuf,
    /// What to look among and what to find: a TOML file, as below
    #[arg(long, value_name = "FILE")]
    pub(crate) space: PathBuf,
    /// The folder to write to
    #[arg(long, short, value_name = "FOLDER")]
    pub(crate) out: PathBuf,
    /// Evaluations of each chosen network for its certificates: a count, or a percentage of n per
    /// input on average
    #[arg(long, value_name = "B", default_value = "50%")]
    pub(crate) budget: Amount,
    /// Print what tune.json has instead of a table
    #[arg(long)]
    pub(crate) json: bool,
    /// The inputs, where they are no longer at the path that the ledger records
    #[arg(long, value_name = "SPEC")]
    pub(crate) data: Option<String>,
    #[command(flatten)]
    pub(crate) search_args: SearchArgs,
    #[command(flatten)]
    pub(crate) calibration: CalibrationArgs,
    #[command(flatten)]
    pub(crate) data_args: DataArgs,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
}
