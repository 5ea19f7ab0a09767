//! Results that contradict one another: an input that one verification proved and another falsified.

use std::collections::BTreeMap;
use std::fmt;

use recert_ledger::raw::{Row, Table, Value};
use recert_ledger::{Error, Ledger};
use serde_json::Value as Json;

use crate::tables::FIRST_WITH_VERIFICATIONS;

/// The proved margin from which on a counterexample in float32 is not taken for rounding. Engines
/// were measured to be off by 1e-6 of the largest score, so that this is more than they are off by
/// where scores are below some hundreds.
const MOST_ROUNDING: f64 = 1e-3;

/// Two results on one input of one network's file: of a specification it was proved, and of one that
/// allows no more a counterexample was found.
///
/// What is verified holds in real arithmetic, and a counterexample is what an engine answers. Both
/// can be right where the engine's rounding exceeds the margin, and nowhere else.
///
/// Displays as a sentence.
#[derive(Debug, Clone, PartialEq)]
pub struct Contradiction {
    /// The network's file.
    pub file: String,
    /// The input's position; `None` of a VNN-LIB file.
    pub idx: Option<u32>,
    /// What was proved.
    pub verified: Side,
    /// What was falsified.
    pub falsified: Side,
    /// The margin that was proved.
    pub margin: f64,
    /// Whether the engine's rounding may explain it: it computes in fewer bits than float32
    /// somewhere, or the margin is below 0.001; or the proof is conditional on recorded bounds.
    pub explained: bool,
}

/// One of two results.
#[derive(Debug, Clone, PartialEq)]
pub struct Side {
    /// The verification's number in the ledger.
    pub verification: i64,
    /// The specification, in words.
    pub specification: String,
    /// What decided, such as `crown` or `attack`.
    pub decided_by: String,
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (verified, falsified) = (&self.verified, &self.falsified);
        match self.idx {
            Some(idx) => write!(f, "{}, input {idx}", self.file)?,
            None => f.write_str(&self.file)?,
        }
        write!(
            f,
            ": {} was verified by {} (margin at least {:?}), and {} falsified by {}: ",
            verified.specification,
            verified.decided_by,
            self.margin,
            falsified.specification,
            falsified.decided_by,
        )?;
        f.write_str(if self.explained {
            "one of the two is wrong, or the engine's rounding exceeds the margin, or bounds that \
             the proof assumes do not hold"
        } else {
            "one of the two is wrong"
        })
    }
}

/// The results of a ledger that contradict one another, by their inputs; rows that cannot be read are
/// left out.
///
/// # Errors
/// If the ledger cannot be read.
pub fn contradictions(ledger: &Ledger) -> Result<Vec<Contradiction>, Error> {
    if ledger.version()? < FIRST_WITH_VERIFICATIONS {
        return Ok(Vec::new());
    }
    let networks = ledger.raw_rows(Table::Network)?;
    let networks: BTreeMap<i64, Network> = networks.iter().filter_map(network).collect();
    let verifications = ledger.raw_rows(Table::Verification)?;
    let verifications = verifications.iter().filter_map(|row| {
        let verification = Verification::read(row, &networks)?;
        Some((verification.id, verification))
    });
    let verifications: BTreeMap<i64, Verification> = verifications.collect();
    let mut by_input: BTreeMap<Subject, Vec<Found>> = BTreeMap::new();
    for row in ledger.raw_rows(Table::Result)? {
        let Some(found) = Found::read(&row) else {
            continue;
        };
        if let Some(verification) = verifications.get(&found.verification) {
            let subject = (verification.function.clone(), found.idx, found.class);
            by_input.entry(subject).or_default().push(found);
        }
    }
    let mut contradictions = Vec::new();
    for ((_, idx, _), results) in by_input {
        for falsified in results.iter().filter(|result| result.margin.is_none()) {
            let against = &verifications[&falsified.verification];
            // The largest margin is the hardest to explain.
            let proved = results.iter().filter_map(|result| {
                let verification = &verifications[&result.verification];
                let margin = result.margin?;
                let covers = verification.region.covers(&against.region);
                covers.then_some((margin, verification, result))
            });
            let proved = proved.max_by(|(a, ..), (b, ..)| a.total_cmp(b));
            let Some((margin, verification, result)) = proved else {
                continue;
            };
            contradictions.push(Contradiction {
                file: against.file.clone(),
                idx,
                verified: verification.side(result),
                falsified: against.side(falsified),
                margin,
                explained: margin < MOST_ROUNDING || !against.in_float32 || verification.assumes,
            });
        }
    }
    contradictions.sort_by_key(|found| (found.idx, found.falsified.verification));
    Ok(contradictions)
}

/// What results are compared on: the function, the input, and the class that is to hold.
type Subject = (Function, Option<u32>, Option<i64>);

/// What a file computes in real arithmetic: SHA-256, preprocessing and output.
type Function = (String, String, String);

struct Network {
    function: Function,
    file: String,
    in_float32: bool,
}

fn network(row: &Row) -> Option<(i64, Network)> {
    let arithmetic = text(row, "precision")?;
    let in_float32 = ["f32", "float32"].iter().any(|name| {
        let rest = arithmetic.strip_prefix(name);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(", on "))
    });
    let function = (
        text(row, "sha256")?.to_owned(),
        text(row, "preprocess")?.to_owned(),
        text(row, "output")?.to_owned(),
    );
    let network = Network {
        function,
        file: text(row, "file")?.to_owned(),
        in_float32,
    };
    Some((integer(row, "id")?, network))
}

/// What a verification is of.
struct Verification {
    id: i64,
    function: Function,
    file: String,
    in_float32: bool,
    region: Region,
    words: String,
    assumes: bool,
}

/// The images that a specification allows.
#[derive(Debug, PartialEq)]
enum Region {
    Linf(f64),
    L2(f64),
    /// Those of a text: steps of a transformation, or a file by its hash.
    Text(String),
}

impl Region {
    /// Whether all images of `other` are among these.
    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Linf(a), Self::Linf(b) | Self::L2(b)) | (Self::L2(a), Self::L2(b)) => a >= b,
            (Self::Text(a), Self::Text(b)) => a == b,
            _ => false,
        }
    }
}

impl Verification {
    fn read(row: &Row, networks: &BTreeMap<i64, Network>) -> Option<Self> {
        let network = networks.get(&integer(row, "network")?)?;
        let kind = text(row, "kind")?;
        let specification: Json = serde_json::from_str(text(row, "specification")?).ok()?;
        let effort: Json = serde_json::from_str(text(row, "effort")?).ok()?;
        let word = |name: &str| specification[name].as_str().map(str::to_owned);
        let distance = || specification["radius"].as_f64();
        let (region, words) = match kind {
            "linf" => (Region::Linf(distance()?), word("eps")?),
            "l2" => (Region::L2(distance()?), word("eps")?),
            "transform" => (Region::Text(word("steps")?), word("steps")?),
            "vnnlib" => (Region::Text(word("sha256")?), word("file")?),
            _ => return None,
        };
        Some(Self {
            id: integer(row, "id")?,
            function: network.function.clone(),
            file: network.file.clone(),
            in_float32: network.in_float32,
            region,
            words: format!("{kind} {words}"),
            assumes: effort["from"]["bounds"] == "assumed",
        })
    }

    fn side(&self, result: &Found) -> Side {
        Side {
            verification: self.id,
            specification: self.words.clone(),
            decided_by: result.decided_by.clone(),
        }
    }
}

/// A verified result, with its margin, or a falsified one, without.
struct Found {
    verification: i64,
    idx: Option<u32>,
    class: Option<i64>,
    margin: Option<f64>,
    decided_by: String,
}

impl Found {
    fn read(row: &Row) -> Option<Self> {
        let margin = match (text(row, "verdict")?, row.get("margin")) {
            ("verified", Value::Real(margin)) => Some(*margin),
            ("falsified", _) => None,
            _ => return None,
        };
        let idx = integer(row, "idx").map(u32::try_from);
        Some(Self {
            verification: integer(row, "verification")?,
            idx: idx.transpose().ok()?,
            class: integer(row, "class"),
            margin,
            decided_by: text(row, "decided_by")?.to_owned(),
        })
    }
}

fn integer(row: &Row, column: &str) -> Option<i64> {
    match row.get(column) {
        Value::Integer(value) => Some(*value),
        _ => None,
    }
}

fn text<'a>(row: &'a Row, column: &str) -> Option<&'a str> {
    match row.get(column) {
        Value::Text(text) => Some(text),
        _ => None,
    }
}
