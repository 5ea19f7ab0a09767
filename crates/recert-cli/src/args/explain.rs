//! The flags of `recert explain`.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use recert::job::{Epsilon, ExplainMethod, Norm};

use super::shared::{Named, SubsetArgs, bytes, count, named};
use super::verify::NORMS;
use super::{DataArgs, NetworkArgs};

/// Ends the help of `explain`.
const EXPLAIN: &str = "\
Examples:
  recert explain --model net.onnx --data t10k-images-idx3-ubyte.gz --eps 0.1 --limit 100 \\
      --html features.html
  recert explain --model net.onnx --versus net.pruned.onnx --data images.npz --eps 2/255 \\
      --json features.json

A proof feature is the interval of a hidden neuron that the last fully connected layer takes. Which
of them suffice for the proof is found by pruning those of least priority; pruning at random, and
by the last layer's weights alone, are shown beside it (docs/explain.md). The table is on stdout.";

const METHODS: [Named<ExplainMethod>; 3] = [
    Named(ExplainMethod::Ibp, "ibp", "Interval bound propagation"),
    Named(
        ExplainMethod::Crown,
        "crown",
        "Linear bounds backward through the network (CROWN), intersected with intervals",
    ),
    Named(
        ExplainMethod::AlphaCrown,
        "alpha-crown",
        "CROWN with slopes optimised for each margin",
    ),
];

#[derive(Debug, Clone, ClapArgs)]
#[command(after_help = EXPLAIN)]
pub(crate) struct Explain {
    /// The network, an ONNX file
    #[arg(long, value_name = "FILE")]
    pub(crate) model: PathBuf,
    /// Another version of it, to compare with: which features survive, and what grew where a proof
    /// is lost
    #[arg(long, value_name = "FILE")]
    pub(crate) versus: Option<PathBuf>,
    /// The inputs: a path, or FORMAT:PATH (cifar10, cifar10-bin, idx, folder, npy, npz)
    #[arg(long, value_name = "SPEC")]
    pub(crate) data: String,
    /// The distance that images are near an input by
    #[arg(long, value_parser = named(&NORMS), default_value = "linf", help_heading = "Specification")]
    pub(crate) norm: Norm,
    /// How near, in units of pixels in [0, 1] before any normalisation: a fraction or a decimal
    /// number, exactly as written
    #[arg(
        long,
        value_name = "E",
        allow_hyphen_values = true,
        help_heading = "Specification"
    )]
    pub(crate) eps: Epsilon,
    /// What bounds neurons and margins
    #[arg(long, value_parser = named(&METHODS), default_value = "crown", help_heading = "Method")]
    pub(crate) method: ExplainMethod,
    /// Seed of the random order, a baseline
    #[arg(
        long,
        value_name = "SEED",
        default_value_t = 0,
        help_heading = "Method"
    )]
    pub(crate) seed: u32,
    /// Also write all inputs as JSON, to a file, as they are many (elsewhere --json prints)
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) json: Option<PathBuf>,
    /// Also write one self-contained HTML page, with pictures
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) html: Option<PathBuf>,
    /// How many inputs, from the first on, the page shows with pictures; where this is given, the
    /// JSON has their numbers [default: 50 on the page]
    #[arg(
        long,
        value_name = "COUNT",
        value_parser = count::<u32>,
        help_heading = "Output"
    )]
    pub(crate) pictures: Option<u32>,
    #[command(flatten)]
    pub(crate) subset: SubsetArgs,
    #[command(flatten)]
    pub(crate) data_args: DataArgs,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    /// The most memory for coefficients of bounds at a time, of all threads together; no bound
    /// depends on it
    #[arg(long, value_name = "SIZE", value_parser = bytes, default_value = "1GiB", help_heading = "Running")]
    pub(crate) memory: u64,
    /// Worker threads, an input each; results do not depend on their number [default: all cores]
    #[arg(long, value_name = "N", help_heading = "Running")]
    pub(crate) threads: Option<usize>,
    /// Print nothing on stderr but errors: no progress bar, remark or name of a written file
    #[arg(long, help_heading = "Running")]
    pub(crate) quiet: bool,
}
