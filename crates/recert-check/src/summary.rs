//! What a ledger is of, in the words of its rows: for people, and for reports.

use recert_ledger::raw::{Row, Value};
use serde::Serialize;

use crate::claim::Claim;
use crate::noise::Law;

/// The run's header. Every value is shown as it is stored, valid or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunSummary {
    /// Certify or predict.
    pub task: String,
    /// Standard deviation of the noise.
    pub sigma: String,
    /// Selection samples per input.
    pub n0: String,
    /// Samples per input.
    pub n: String,
    /// Failure probability of a certificate of the original network.
    pub alpha: String,
    /// The noise generator.
    pub generator: String,
    /// Its seed.
    pub seed: String,
    /// What certified radii presume beside the claims' statements, in words that follow
    /// "provided"; `None` where they presume nothing more, or the ledger has predictions.
    pub proviso: Option<&'static str>,
}

/// The proviso of noise in 32-bit floats (`SOUNDNESS.md`, section 10).
const FLOAT_PROVISO: &str = "that the network does not exploit the rounding of image + noise in \
                             32-bit floats, which none trained in the ordinary way is known to do \
                             (SOUNDNESS.md, section 10): radii are proved for exact noise";

/// A network of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NetworkSummary {
    /// Its number.
    pub id: i64,
    /// The name of its file.
    pub file: String,
    /// SHA-256 of its file.
    pub sha256: String,
    /// The engine, with version and precision.
    pub engine: String,
    /// Normalisation outside the graph.
    pub preprocess: String,
    /// The output that is read.
    pub output: String,
}

/// A claim, and how many inputs have its certificates.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClaimSummary {
    /// The network's number.
    pub network: i64,
    /// The method.
    pub method: String,
    /// The number of samples that the claim states.
    pub samples: u64,
    /// The failure probability of each certificate.
    pub alpha: f64,
    /// The number of candidates; 1 without a choice.
    pub among: u64,
    /// The number of certificates.
    pub certificates: u64,
    /// What each states, in words.
    pub statement: String,
}

/// A value without the marks of its type.
fn words(row: &Row, column: &str) -> String {
    match row.get(column) {
        Value::Text(text) => text.clone(),
        other => other.to_string(),
    }
}

pub(crate) fn run(row: &Row) -> RunSummary {
    let words = |column| words(row, column);
    let is_exact = Law::of_generator(&words("generator")) == Some(Law::Integer);
    let has_radii = words("task") == "certify";
    RunSummary {
        proviso: (has_radii && !is_exact).then_some(FLOAT_PROVISO),
        task: words("task"),
        sigma: words("sigma"),
        n0: words("n0"),
        n: words("n"),
        alpha: words("alpha"),
        generator: words("generator"),
        seed: words("seed"),
    }
}

pub(crate) fn network(id: i64, row: &Row) -> NetworkSummary {
    let words = |column| words(row, column);
    NetworkSummary {
        id,
        file: words("file"),
        sha256: words("sha256"),
        engine: format!(
            "{} {}, {}",
            words("engine"),
            words("engine_version"),
            words("precision")
        ),
        preprocess: words("preprocess"),
        output: words("output"),
    }
}

pub(crate) fn claim(claim: &Claim) -> ClaimSummary {
    ClaimSummary {
        network: claim.network,
        method: claim.method_name.clone(),
        samples: claim.samples,
        alpha: claim.alpha,
        among: claim.among,
        certificates: claim.concluded.borrow().len() as u64,
        statement: claim.statement.clone(),
    }
}
