//! The commands that run networks into a ledger.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};
use recert::engine::Precision;
use recert::job::{self, Amount};

use super::{DataArgs, NetworkArgs, RunArgs, ScratchArgs, SidesArgs, SubjectArgs};

#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct Certify {
    #[command(flatten)]
    pub(crate) subject: SubjectArgs,
    /// Noisy samples an input that estimate the probability
    #[arg(
        long,
        allow_negative_numbers = true,
        value_name = "N",
        default_value_t = 100_000
    )]
    pub(crate) n: u64,
    /// Noisy samples an input that select the class
    #[arg(
        long,
        allow_negative_numbers = true,
        value_name = "N0",
        default_value_t = 100
    )]
    pub(crate) n0: u64,
    #[command(flatten)]
    pub(crate) sides: SidesArgs,
    /// Stop an input as soon as it is certified at this radius or cannot be; n samples at most
    #[arg(
        long,
        allow_negative_numbers = true,
        value_name = "R",
        conflicts_with_all = ["one_sided", "via"]
    )]
    pub(crate) until_radius: Option<f64>,
    /// Certify through this faster version of the network: n samples of it, and of the network only
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
    pub(crate) via_budget: Amount,
    /// The engine of the --via network [default: that of the network itself]
    #[arg(long, requires_all = ["via", "engine"], value_name = "NAME")]
    pub(crate) via_engine: Option<String>,
    /// The arithmetic of the --via network, which may then be the same file [default: that of the
    /// network itself]
    #[arg(long, requires = "via", value_name = "P")]
    pub(crate) via_precision: Option<Precision>,
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
    /// Noisy samples an input
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
    /// Samples chosen by the original's codes, spent where they gain most
    Auto,
    /// Incremental randomized smoothing certification, sound over both branches
    Irs,
    /// The original's probability less how often the two differ, on the first `n_p` samples
    Zeta,
    /// The original's probability less what is lost, on the first `n_p` samples
    Loss,
    /// The same with what is gained added
    Paired,
    /// From scratch on the first `n_p` samples, to stand beside the others
    Direct,
}

impl Method {
    pub(crate) fn method(self) -> job::Method {
        match self {
            Self::Auto => job::Method::Auto,
            Self::Irs => job::Method::Irs,
            Self::Zeta => job::Method::Zeta,
            Self::Loss => job::Method::Loss,
            Self::Paired => job::Method::Paired,
            Self::Direct => job::Method::Direct,
        }
    }
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
    pub(crate) budget: Vec<Amount>,
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
    /// Other methods than auto: samples of the modified network an input, a count or a percentage
    /// of n, or several [default: 10%]
    #[arg(
        long = "n-p",
        value_delimiter = ',',
        allow_hyphen_values = true,
        value_name = "N_P,.."
    )]
    pub(crate) n_p: Vec<Amount>,
    #[command(flatten)]
    pub(crate) sides: SidesArgs,
    /// Total failure probability of each new certificate [default: twice the ledger's alpha,
    /// 0.5 at most]
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
