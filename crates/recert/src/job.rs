//! Jobs: certify, predict, recertify, verify, explain, approximate, check and report, as they are
//! run by the command line, Python, or any other program.
//!
//! A job is described by a plain configuration ([`CertifyConfig`], ..), a
//! network ([`Network`]: an ONNX file in an engine, or any classifier) and
//! inputs ([`Data`]: files, or images in memory). Constructing it checks everything that
//! can be wrong; nothing is written before. [`Job::run`] writes to the ledger and
//! reports [`Event`]s to whoever started it, who may stop it; nothing is ever
//! printed. There is no state but in the values, all of which may be sent to
//! other threads.
//!
//! | file | concern |
//! |---|---|
//! | `config` | what to run, as plain values |
//! | `data`, `network`, `classifier`, `held` | what is run on what, what a ledger knows it by, and whether its engine computes it as ONNX says |
//! | `event`, `remark` | what a running job reports |
//! | `first_look` | a network's accuracy on a few inputs, before a job runs |
//! | `session` | workers, and the ledger's opening and closing |
//! | `collect` | the passes over the inputs: the one place that calls the runs of `recert-smooth` |
//! | `scratch` | certify, predict, certify through a faster network |
//! | `recertify`, `plan` | recertify; what may be expected of it |
//! | `compared` | a recertification beside the original's certificates |
//! | `place` | where a ledger is to be |
//! | `candidates` | whether networks may be chosen among by their results |
//! | `audit` | check a ledger, and run samples of it again |
//! | `verify`, `verify/` | verify by bounds, without noise |
//! | `explain`, `explain/` | what such proofs rest on |
//! | `whole` | whole numbers as people write them |
//! | `search/`, `sensitivity`, `tune/` | look for an approximate version, on samples that no certificate rests on |
//! | `approximate`, `report` | make approximate networks; report on ledgers |
//! | `train`, `train/` | train networks (with the feature `train`) |
//! | `sweep`, `sweep/` | train and score a family of networks (likewise) |
//! | `upkeep` | copy a ledger, remove runs from it |
//! | `merge` | unite the ledgers of shards |

mod approximate;
mod audit;
mod candidates;
mod classifier;
mod collect;
mod compared;
pub(crate) mod config;
mod data;
mod event;
mod explain;
mod first_look;
pub(crate) mod held;
mod merge;
mod network;
mod place;
mod plan;
mod recertify;
mod remark;
mod report;
mod scratch;
mod search;
mod sensitivity;
mod session;
#[cfg(feature = "train")]
mod sweep;
#[cfg(feature = "train")]
mod train;
mod tune;
mod upkeep;
mod verify;
mod whole;

pub use approximate::{
    ApproximateConfig, Approximation, CalibrationConfig, Numbers, Selected, approximate,
};
pub use audit::{
    Auditor, Checked, Difference, Findings, Rerun, RerunConfig, RerunNetwork, ResultDifference,
    ResultsAgain, check,
};
pub use classifier::ClassifierIdentity;
pub use compared::Compared;
pub use config::{Amount, CertifyConfig, Fraction, PredictConfig, RunConfig, SubsetConfig};
pub use data::{Data, DataConfig, DataOptions};
pub use event::{Event, Events, Pass, PassKind, Rows, Saved, VerifyPass};
pub use explain::{ExplainConfig, ExplainJob, ExplainMethod, explain};
pub use first_look::{FirstLook, OriginalLook};
pub use held::{Sampled, comparisons};
pub use merge::{Merged, merge};
pub use network::{Computation, Network, NetworkConfig};
pub use place::{NetworkDrive, check_ledger_place};
pub use plan::{Expected, ExpectedUntil, Forecast};
pub use recertify::{Goal, Method, Recertification, RecertifyConfig};
pub(crate) use remark::QUANTIZED;
pub use remark::Remark;
pub use report::{Reported, report, report_on};
pub use scratch::{certify, certify_via, fresh_seed, predict, via_configs};
pub use search::{Change, Format, SearchConfig};
pub use sensitivity::{SensitivityConfig, SensitivityEvent, SensitivityEvents, sensitivity};
pub use session::Job;
#[cfg(feature = "train")]
pub use sweep::{SweepConfig, SweepEvent, SweepEvents, SweepJob, SweepPoint, SweepScore, sweep};
#[cfg(feature = "train")]
pub use train::{
    TRAINING, TrainConfig, TrainEvent, TrainEvents, TrainJob, Trained, train, train_checkpoint,
    train_presets,
};
pub use tune::{Constraint, Cost, Proposals, Space, TuneConfig, TuneEvent, TuneEvents, tune};
pub use upkeep::{forget, snapshot};
pub use verify::{
    Epsilon, Norm, Reverification, VerifyConfig, VerifyJob, VerifyMethod, VnnlibFile,
    images_of_network, verify, verify_files, verify_transformed,
};
pub use whole::whole;

// What configurations and events contain, so that an embedder needs this module alone.
pub use recert_bounds::geometric::Transformation;
pub use recert_ledger::{
    Certificate, Input, Shard, Totals, Verdict, Verification, VerificationResult,
};
pub use recert_noise::Law;
pub use recert_smooth::{Outcome, Sides};
