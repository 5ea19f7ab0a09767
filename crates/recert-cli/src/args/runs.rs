//! The commands that run networks into a ledger.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use recert::engine::Precision;
use recert::job::{Amount, Computation, Method};

use super::search::computation;
use super::shared::{Named, STATEMENT, count, named, probability};
use super::{DataArgs, NetworkArgs, RunArgs, ScratchArgs, SidesArgs, SubjectArgs};

/// Ends the help of `certify`.
const CERTIFY: &str = "\
Examples:
  recert certify --model net.onnx --data cifar-10-batches-py --sigma 0.5 --ledger run.recert
  recert certify --model net.onnx --data npz:images.npz --sigma 0.25 --n 1e4 --limit 100 \\
      --ledger quick.recert
  recert certify --model net.onnx --data images/ --resize 256 --crop 224 --sigma 0.5 \\
      --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225 --until-radius 1 --ledger run.recert

Rows are on stdout, in Cohen's format: idx label predict radius correct time. A label of -1 is none,
a class of -1 an abstention.

Tables, JSON and ledgers name the bound behind each certificate: docs/glossary.md explains
every name, SOUNDNESS.md states and proves each bound.";

/// Ends the help of `predict`.
const PREDICT: &str = "\
Example:
  recert predict --model net.onnx --data cifar-10-batches-py --sigma 0.5 --ledger classes.recert";

/// Ends the help of `recertify`.
const RECERTIFY: &str = "\
Examples:
  recert recertify run.recert --model net.int8.onnx --plan
  recert recertify run.recert --model net.int8.onnx --budget 5%
  recert recertify run.recert --model a.onnx --model b.onnx --budget 5%
  recert recertify run.recert --model net.int8.onnx --method auto,irs,direct --n-p 1%,5%
  recert recertify run.recert --model net.int8.onnx --budget 5% --shard 3/16 --into 3.recert

A shard is run by the plan of the whole run, which every shard makes from the same pilot.


Tables, JSON and ledgers name the bound behind each certificate: docs/glossary.md explains
every name, SOUNDNESS.md states and proves each bound.";

/// The heading of what certifying through a faster version takes.
const VIA: &str = "Through a faster version";

#[derive(Debug, Clone, ClapArgs)]
#[command(after_help = CERTIFY)]
pub(crate) struct Certify {
    #[command(flatten)]
    pub(crate) subject: SubjectArgs,
    /// Estimation samples per input: they bound the probability of the class
    #[arg(long, value_name = "N", value_parser = count::<u64>, default_value_t = 100_000)]
    pub(crate) n: u64,
    /// Selection samples per input: they choose the class
    #[arg(long, value_name = "N0", value_parser = count::<u64>, default_value_t = 100)]
    pub(crate) n0: u64,
    #[command(flatten)]
    pub(crate) sides: SidesArgs,
    /// Stop each input once it is certified at this radius or cannot be, after n samples at most;
    /// its bound is anytime-valid
    #[arg(long, value_name = "R", conflicts_with_all = ["one_sided", "via"], help_heading = STATEMENT)]
    pub(crate) until_radius: Option<f64>,
    /// Certify the network through this faster version of it: certify the faster one from n
    /// samples, and recertify the network itself with --via-budget evaluations
    #[arg(long, value_name = "FILE", help_heading = VIA)]
    pub(crate) via: Option<PathBuf>,
    /// Evaluations of the network itself with --via: a count over all inputs, or a percentage of n
    /// per input
    #[arg(
        long,
        allow_hyphen_values = true,
        requires = "via",
        value_name = "B",
        help_heading = VIA,
        default_value = "5%"
    )]
    pub(crate) via_budget: Amount,
    /// The engine of the --via network [default: that of the network itself]
    #[arg(long, requires_all = ["via", "engine"], value_name = "NAME", help_heading = VIA)]
    pub(crate) via_engine: Option<String>,
    /// The precision of the --via network, which may then be the same file [default: that of the
    /// network itself]
    #[arg(long, requires = "via", value_name = "P", help_heading = VIA)]
    pub(crate) via_precision: Option<Precision>,
    /// The device of the --via network [default: that of the network itself]
    #[arg(long, requires = "via", value_name = "NAME", help_heading = VIA)]
    pub(crate) via_device: Option<String>,
    #[command(flatten)]
    pub(crate) scratch: ScratchArgs,
}

#[derive(Debug, Clone, ClapArgs)]
#[command(after_help = PREDICT)]
pub(crate) struct Predict {
    #[command(flatten)]
    pub(crate) subject: SubjectArgs,
    /// Samples per input
    #[arg(long, value_name = "N", value_parser = count::<u64>, default_value_t = 1000)]
    pub(crate) n: u64,
    #[command(flatten)]
    pub(crate) scratch: ScratchArgs,
}

/// The methods of recertification, by name.
const METHODS: [Named<Method>; 6] = [
    Named(
        Method::Auto,
        "auto",
        "Choose samples by the original's answers and margins; spend the budget where it adds most \
         radius. Inputs that promise little get few samples or none, and then abstain: auto \
         maximises the average radius, not the number certified",
    ),
    Named(
        Method::Irs,
        "irs",
        "Incremental randomized smoothing (Ugare et al., ICLR 2024, algorithm 2): zeta or direct, \
         with failure probability split over both branches",
    ),
    Named(
        Method::Zeta,
        "zeta",
        "Original's lower bound minus an upper bound on the disagreement (IRS, Theorem 2)",
    ),
    Named(
        Method::Loss,
        "loss",
        "Original's lower bound minus an upper bound on P(original answers the class, modified does \
         not)",
    ),
    Named(
        Method::Paired,
        "paired",
        "That of loss, plus a lower bound on the reverse: P(modified answers the class, original \
         does not)",
    ),
    Named(
        Method::Direct,
        "direct",
        "From scratch, for comparison: Clopper-Pearson on the modified network's own samples, of the \
         class that the original selected",
    ),
];

#[derive(Debug, Clone, ClapArgs)]
#[command(after_help = RECERTIFY)]
pub(crate) struct Recertify {
    /// The ledger of the original network
    pub(crate) ledger: PathBuf,
    /// Leave that ledger as it is, and write to this one, which is made as a copy of it or, where it
    /// is there, continued: each shard needs one of its own
    #[arg(long, value_name = "FILE")]
    pub(crate) into: Option<PathBuf>,
    /// The modified network, an ONNX file, fixed without looking at answers on these samples.
    /// Given several times: candidates, run in one pass, whose certificates are corrected for the
    /// selection among them (auto only). A network made from results so far needs fresh samples:
    /// `recert certify --seed fresh` into another ledger, and recertify from that
    #[arg(long, required = true, value_name = "FILE")]
    pub(crate) model: Vec<PathBuf>,
    /// What computes each of these networks: ENGINE, ENGINE/PRECISION or ENGINE/PRECISION@DEVICE, such as openvino/bf16;
    /// of several, each is a network of its own, in one pass [default: as the original, or --engine]
    #[arg(
        long = "as",
        value_delimiter = ',',
        value_name = "ENGINE,..",
        value_parser = computation,
        conflicts_with_all = ["engine", "precision", "device"]
    )]
    pub(crate) computations: Vec<Computation>,
    /// How to recertify, one method or several; all but auto use the first `n_p` samples
    #[arg(long, value_parser = named(&METHODS), value_delimiter = ',', default_value = "auto")]
    pub(crate) method: Vec<Method>,
    /// auto: evaluations over all inputs, as a count or as a percentage of n per input on average;
    /// or several budgets [default: --n-p, or 10%]
    #[arg(
        long,
        value_delimiter = ',',
        allow_hyphen_values = true,
        value_name = "B,.."
    )]
    pub(crate) budget: Vec<Amount>,
    /// auto: as few evaluations as are expected to reach this average radius over all inputs.
    /// Certificates of any class count, as no plan sees a label; the ACR of summaries and reports
    /// counts the right class alone
    #[arg(long, value_name = "R", conflicts_with = "budget")]
    pub(crate) target_acr: Option<f64>,
    /// auto: stop each input once it is certified at this radius, or is unlikely to be
    #[arg(
        long,
        visible_alias = "target-radius",
        value_name = "R",
        conflicts_with_all = ["budget", "target_acr"]
    )]
    pub(crate) until_radius: Option<f64>,
    /// Run nothing: print the average certified radius to expect of budgets, and of certifying
    /// from scratch, or the evaluations that --until-radius is planned to take. The plan reads the original's answers: a budget chosen by it is outside of
    /// what is proved where the inputs are few (SOUNDNESS.md, section 6)
    #[arg(long)]
    pub(crate) plan: bool,
    /// With --plan: print JSON
    #[arg(long, requires = "plan")]
    pub(crate) json: bool,
    /// With --plan: print comma-separated values
    #[arg(long, requires = "plan", conflicts_with = "json")]
    pub(crate) csv: bool,
    /// Number of candidates to correct for (selection by their results); all of them have to be
    /// named before any of them runs, in one command [default: the number of --model]
    #[arg(long, value_name = "K", value_parser = count::<u32>, help_heading = STATEMENT)]
    pub(crate) among: Option<u32>,
    /// IRS threshold on the original's lower bound: at or above it, certify the modified network
    /// from its own counts first; below, by zeta [default: 0.99]
    #[arg(long, value_name = "G", help_heading = STATEMENT)]
    pub(crate) gamma: Option<f64>,
    /// Methods other than auto: samples of the modified network per input, a count or a percentage
    /// of n; or several [default: 10%]
    #[arg(
        long = "n-p",
        value_delimiter = ',',
        allow_hyphen_values = true,
        value_name = "N_P,.."
    )]
    pub(crate) n_p: Vec<Amount>,
    #[command(flatten)]
    pub(crate) sides: SidesArgs,
    /// Failure probability of one new certificate [default: twice the ledger's alpha,
    /// 0.5 at most: compare with certificates from scratch at the same alpha]
    #[arg(
        long,
        value_name = "A",
        value_parser = probability,
        allow_hyphen_values = true,
        help_heading = STATEMENT
    )]
    pub(crate) alpha: Option<f64>,
    /// The inputs, where they are no longer at the path that the ledger records
    #[arg(long, value_name = "SPEC", help_heading = "Data")]
    pub(crate) data: Option<String>,
    /// Take at most this many of the ledger's inputs
    #[arg(long, value_name = "COUNT", help_heading = "Data", value_parser = count::<usize>)]
    pub(crate) limit: Option<usize>,
    #[command(flatten)]
    pub(crate) data_args: DataArgs,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}
