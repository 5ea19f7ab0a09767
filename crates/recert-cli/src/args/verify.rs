//! The flags of `recert verify`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args as ClapArgs;
use recert::bounds::Within;
use recert::job::{Epsilon, Norm, Shard, Transformation, VerifyConfig, VerifyMethod};

use super::shared::{Named, SubsetArgs, bytes, count, named};
use super::{DataArgs, NetworkArgs};

/// Ends the help of `verify`.
const VERIFY: &str = "\
Examples:
  recert verify --model net.onnx --data cifar-10-batches-py --norm linf --eps 2/255 --limit 100
  recert verify --model net.onnx --data t10k-images-idx3-ubyte.gz --eps 0.1 --method crown
  recert verify --model net.onnx --data images.npz --norm l2 --eps 0.5 --complete --timeout 60s \\
      --ledger run.recert --counterexamples found/
  recert verify --model net.onnx --data mnist/ --transform rotate=-30..30
  recert verify --model net.onnx --data mnist/ --timeout 60s \\
      --transform scale=0.95..1.05,rotate=-5..5,contrast=0.95..1.05,brightness=-0.01..0.01
  recert verify --model net.onnx --vnnlib prop_1.vnnlib --complete --timeout 2m
  recert verify --vnnlib benchmark/ --ledger benchmark.recert
  recert verify --from run.recert --model net.bf16.onnx --original net.onnx
  recert verify --model net.onnx --data images.npz --eps 1/255 --weights-within int8

Transformations: rotate (degrees, counterclockwise), translate-x and translate-y (pixels, to the
right and upwards), scale, shear, contrast (factors), brightness (added), in the order applied,
those that move pixels first; pixels are interpolated bilinearly, with zeros around the image, and
cut to [0, 1]. They come before any normalisation. The parameters are cut into cells until each is
proved.

Rows are on stdout in the order of the inputs, each once those before it are done. `verified`
states that every image in [0, 1] within eps, or that the transformation makes at any value of its
parameters, has the input's label (without one, the network's answer), for the network on real
numbers with its file's weights (SOUNDNESS.md, \"Deterministic bounds\", \"Geometric certificates\");
`falsified` that the engine answers the image itself, or a counterexample, otherwise; `unknown`
that neither was found: --complete --timeout 60s decides more of these. The margin is a lower bound
on how far the class's output stays above every other; `by` is what decided. With --weights-within,
`verified` is of every network of the family, `falsified` of the file's.

--from verifies a modified network on the inputs of a ledger, within the distance there: it begins
with the slopes and splits of the original's proofs. With --original, the original's bounds are
first widened by the difference of the two networks; that takes the ledger's bounds to hold, and the
statement of every result says so. Results go to the same ledger.";

pub(super) const NORMS: [Named<Norm>; 2] = [
    Named(Norm::Linf, "linf", "The largest difference in any pixel"),
    Named(Norm::L2, "l2", "The Euclidean distance"),
];

const METHODS: [Named<VerifyMethod>; 6] = [
    Named(
        VerifyMethod::Cascade,
        "cascade",
        "The others one after the other until one decides; branch and bound with --complete alone",
    ),
    Named(
        VerifyMethod::Attack,
        "attack",
        "Projected gradient descent: finds counterexamples and proves nothing",
    ),
    Named(VerifyMethod::Ibp, "ibp", "Interval bound propagation"),
    Named(
        VerifyMethod::Crown,
        "crown",
        "Linear bounds backward through the network (CROWN), intersected with intervals",
    ),
    Named(
        VerifyMethod::AlphaCrown,
        "alpha-crown",
        "CROWN with slopes optimised for each margin",
    ),
    Named(
        VerifyMethod::BranchAndBound,
        "branch-and-bound",
        "Splits neurons until every part is decided; needs --timeout",
    ),
];

/// How the flags that decide what is stated are headed.
const SPECIFICATION: &str = "Specification";

#[derive(Debug, Clone, ClapArgs)]
#[command(after_help = VERIFY)]
pub(crate) struct Verify {
    /// The network, an ONNX file; with a folder of --vnnlib, only the instances of this one
    #[arg(long, value_name = "FILE", required_unless_present = "vnnlib")]
    pub(crate) model: Option<PathBuf>,
    /// The inputs: a path, or FORMAT:PATH (cifar10, cifar10-bin, idx, folder, npy, npz)
    /// [default with --from: those of the ledger]
    #[arg(long, value_name = "SPEC", required_unless_present_any = ["vnnlib", "from"])]
    pub(crate) data: Option<String>,
    /// Begin from the verification of the original network in this ledger
    #[arg(
        long,
        value_name = "LEDGER",
        requires = "model",
        conflicts_with_all = ["ledger", "vnnlib", "method"]
    )]
    pub(crate) from: Option<PathBuf>,
    /// With --from: the original network's file, whose bounds in the ledger are transferred to
    /// --model and taken to hold
    #[arg(long, value_name = "FILE", requires = "from")]
    pub(crate) original: Option<PathBuf>,
    /// The distance that images are near an input by [default: linf; with --from that of the
    /// ledger]
    #[arg(long, value_parser = named(&NORMS), help_heading = SPECIFICATION)]
    pub(crate) norm: Option<Norm>,
    /// How near, in units of pixels in [0, 1] before any normalisation: a fraction or a decimal
    /// number, exactly as written [default with --from: that of the ledger]
    #[arg(
        long,
        value_name = "E",
        allow_hyphen_values = true,
        required_unless_present_any = ["vnnlib", "transform", "from"],
        help_heading = SPECIFICATION
    )]
    pub(crate) eps: Option<Epsilon>,
    /// Verify a transformation instead, as NAME=LOW..HIGH for each of its steps, separated by commas
    #[arg(
        long,
        value_name = "STEPS",
        conflicts_with_all = ["norm", "eps", "vnnlib", "complete", "from", "original", "weights_within"],
        help_heading = SPECIFICATION
    )]
    pub(crate) transform: Option<Transformation>,
    /// Verify every network whose weights are within a step of the file's: int8 and int8-layer
    /// (half a step of quantization, a scale a channel or a layer), bf16 and fp16 (half a unit in
    /// the last place), or a number
    #[arg(
        long,
        value_name = "STEP",
        conflicts_with_all = ["vnnlib", "original"],
        help_heading = SPECIFICATION
    )]
    pub(crate) weights_within: Option<Within>,
    /// Verify a VNN-LIB file (.vnnlib, .vnnlib.gz) instead, or the instances of a folder with an
    /// instances.csv
    #[arg(
        long,
        value_name = "FILE|FOLDER",
        conflicts_with_all = ["data", "eps"],
        help_heading = SPECIFICATION
    )]
    pub(crate) vnnlib: Option<PathBuf>,
    /// How a verdict is looked for
    #[arg(long, value_parser = named(&METHODS), default_value = "cascade", help_heading = "Method")]
    pub(crate) method: VerifyMethod,
    /// Decide by branch and bound what bounds leave open; needs --timeout
    #[arg(long, help_heading = "Method")]
    pub(crate) complete: bool,
    /// The time for one input, as in 60s, 500ms or 2m; nothing further is begun after that
    /// [default: none; of a VNN-LIB instance, the one that its list states]
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Method")]
    pub(crate) timeout: Option<Duration>,
    /// The most cells of the parameters of --transform that are bounded for one input, up to 1e5
    #[arg(
        long,
        value_name = "N",
        value_parser = count::<usize>,
        default_value_t = VerifyConfig::default().cells,
        conflicts_with_all = ["norm", "eps", "vnnlib", "from"],
        help_heading = "Method"
    )]
    pub(crate) cells: usize,
    /// The most memory for coefficients of bounds at a time, of all threads together; no bound
    /// depends on it
    #[arg(long, value_name = "SIZE", value_parser = bytes, default_value = "1GiB", help_heading = "Running")]
    pub(crate) memory: u64,
    /// Keep results in this ledger: a new one, one to resume, or that of a smoothing run on the
    /// same images
    #[arg(long, value_name = "FILE")]
    pub(crate) ledger: Option<PathBuf>,
    /// Write each counterexample to this folder, as IDX.npy of [1, channels, height, width]
    /// before any normalisation, which --data takes; an image that is answered wrongly itself is none
    #[arg(long, value_name = "FOLDER")]
    pub(crate) counterexamples: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) subset: SubsetArgs,
    #[command(flatten)]
    pub(crate) data_args: DataArgs,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    /// Run one part of the inputs alone, such as the third of sixteen, into a ledger of its own;
    /// `recert merge` unites the ledgers of all parts, and the result is that of one run
    #[arg(long, value_name = "I/N", help_heading = "Running")]
    pub(crate) shard: Option<Shard>,
    /// Worker threads, an input each; results do not depend on their number [default: all cores]
    #[arg(long, value_name = "N", help_heading = "Running")]
    pub(crate) threads: Option<usize>,
    /// Also write the rows to this file; one that is there is continued
    #[arg(long, value_name = "FILE", help_heading = "Running")]
    pub(crate) log: Option<PathBuf>,
    /// Print JSON, an object a line: what is verified, each result, and the sums
    #[arg(long, help_heading = "Running")]
    pub(crate) json: bool,
    /// Print nothing on stderr but errors: no progress bar, remark or summary
    #[arg(long, help_heading = "Running")]
    pub(crate) quiet: bool,
}

/// Parses a time, such as `60s`; a number alone is of seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return Err("write a time as in 60s, 500ms, 2m or 1h".to_owned()),
    };
    let number: f64 = digits
        .parse()
        .map_err(|_| "write a time as in 60s, 500ms, 2m or 1h".to_owned())?;
    Duration::try_from_secs_f64(number * unit).map_err(|why| why.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, millis) in [
            ("60s", 60_000),
            ("500ms", 500),
            ("2m", 120_000),
            ("1.5", 1500),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "-1s", "1y", "nan", "1e400h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
