//! Verifications by bounds: whether their rows are valid and agree with one another.
//!
//! That a margin is what bounds give takes the network, which this crate does not know; what is
//! derived here are statements, the forms of specification and effort, that a verdict fits its
//! margin, its proof and its counterexample, and that a proof leaves nothing out.

mod contradiction;

use std::collections::BTreeMap;

use recert_ledger::raw::{Row, Table, Value};
use recert_ledger::{Error, Ledger, Proof, TransformProof};
use serde::{Deserialize, Serialize};

use crate::cells;
use crate::fields::Fields;
use crate::proof::proof_fault;
use crate::report::Report;
use crate::tables::{FIRST_WITH_VERIFICATIONS, Tables};

pub use contradiction::{Contradiction, Side, contradictions};

/// What may decide a result: the network's own answer, a counterexample, or a kind of bounds.
const DECIDERS: [&str; 10] = [
    "answer",
    "attack",
    "ibp",
    "crown",
    "alpha-crown",
    "branch-and-bound",
    "forward",
    "transfer-margins",
    "transfer-values",
    "transfer-layers",
];

/// The verdicts on one network's inputs by one specification, method and effort.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerificationSummary {
    /// The network's number.
    pub network: i64,
    /// The kind of specification, such as `linf`.
    pub kind: String,
    /// What distinguishes it: the distance as it was written, the file, the transformation.
    pub specification: String,
    /// The method.
    pub method: String,
    /// The number of verified inputs.
    pub verified: u64,
    /// The number of falsified ones.
    pub falsified: u64,
    /// The number of others.
    pub unknown: u64,
    /// What `verified` states of each, in words.
    pub statement: String,
    /// Whether that is conditional on bounds which the ledger records of another network.
    pub assumes: bool,
}

/// What `effort` holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Effort {
    attack_seed: u64,
    attack_starts: u32,
    attack_steps: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cells: Option<u64>,
    complete: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<Origin>,
    slope_steps: u32,
    timeout: Option<f64>,
}

/// What `effort` holds of the network that was begun from.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Origin {
    bounds: String,
    network: String,
}

/// What `specification` holds of a distance.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Distance {
    eps: String,
    radius: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    weights: Option<String>,
}

/// What it holds of a VNN-LIB file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    file: String,
    sha256: String,
}

/// What it holds of a transformation.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Transform {
    steps: String,
}

/// Checks the rows of both tables.
pub(crate) fn check(
    ledger: &Ledger,
    tables: &Tables,
    report: &mut Report,
) -> Result<Vec<VerificationSummary>, Error> {
    let mut found: BTreeMap<i64, VerificationSummary> = BTreeMap::new();
    if ledger.version()? < FIRST_WITH_VERIFICATIONS {
        return Ok(Vec::new());
    }
    for row in ledger.raw_rows(Table::Verification)? {
        let mut fields = Fields::new(&row, report);
        let id = fields.integer("id", 1..=i64::MAX as u64);
        if let (Some(id), Some(summary)) = (id, verification(&mut fields, tables)) {
            found.insert(id as i64, summary);
        }
    }
    for row in ledger.raw_rows(Table::Result)? {
        let mut fields = Fields::new(&row, report);
        let Some(id) = fields.integer("verification", 1..=i64::MAX as u64) else {
            continue;
        };
        let Some(summary) = found.get_mut(&(id as i64)) else {
            fields.wrong("verification", id, "a valid verification of the ledger");
            continue;
        };
        match result(&mut fields, &row, tables, summary) {
            Some("verified") => summary.verified += 1,
            Some("falsified") => summary.falsified += 1,
            _ => summary.unknown += 1,
        }
    }
    Ok(found.into_values().collect())
}

fn verification(fields: &mut Fields<'_>, tables: &Tables) -> Option<VerificationSummary> {
    let network = fields.integer("network", 1..=i64::MAX as u64)? as i64;
    if !tables.networks.contains_key(&network) {
        fields.wrong("network", network, "a network of the ledger");
    }
    let method = fields.nonempty_text("method")?.to_owned();
    let kind = fields.nonempty_text("kind")?.to_owned();
    let effort = json::<Effort>(fields, "effort")?;
    if effort
        .timeout
        .is_some_and(|timeout| !(timeout > 0.0 && timeout.is_finite()))
    {
        fields.wrong(
            "effort",
            "a timeout of no length",
            "seconds above 0, or null",
        );
    }
    let condition = condition(fields, tables, effort.from.as_ref())?;
    let by = "by the network as its file states it, with preprocessing, in real arithmetic";
    let (specification, derived) = match kind.as_str() {
        "linf" | "l2" => {
            let distance = json::<Distance>(fields, "specification")?;
            let eps = &distance.eps;
            match fraction(eps) {
                Some((numerator, denominator))
                    if is_rounded_up(distance.radius, numerator, denominator) => {}
                _ => {
                    let stored = format!("eps {eps} and radius {:?}", distance.radius);
                    let derived = "a distance, and it rounded up to a double";
                    fields.wrong("specification", stored, derived);
                }
            }
            let images = if kind == "linf" {
                format!("that differs from the input by at most {eps} in every pixel")
            } else {
                format!("at a Euclidean distance of at most {eps} from the input")
            };
            let (by, weights) = match &distance.weights {
                None => (by.to_owned(), String::new()),
                Some(step) => {
                    if !is_step(step) {
                        let derived = "int8, int8-layer, bf16, fp16 or a number from 0 on";
                        fields.wrong("specification", format!("weights {step}"), derived);
                    }
                    let of = by.trim_start_matches("by ");
                    let by = format!(
                        "by every network whose weights are within {step} of those of {of}"
                    );
                    (by, format!(", weights within {step}"))
                }
            };
            let derived = format!(
                "every image with pixels in [0, 1] {images} has the class of the result, {by}"
            );
            (distance.eps + &weights, derived)
        }
        "vnnlib" => {
            let file = json::<File>(fields, "specification")?.file;
            let derived =
                format!("no input that {file} allows has outputs that it describes, {by}");
            (file, derived)
        }
        "transform" => {
            let steps = json::<Transform>(fields, "specification")?.steps;
            if cells::ranges(&steps).is_none() {
                let derived = "steps such as rotate=-30..30, separated by commas";
                fields.wrong("specification", &steps, derived);
            }
            let derived = format!(
                "every image that the transformation {steps} makes of the input has the class of \
                 the result, {by}"
            );
            (steps, derived)
        }
        other => {
            fields.wrong("kind", other, "linf, l2, vnnlib or transform");
            return None;
        }
    };
    let derived = derived + &condition;
    let statement = fields.text("statement")?;
    if statement != derived {
        fields.wrong("statement", statement, &derived);
    }
    Some(VerificationSummary {
        network,
        kind,
        specification,
        method,
        verified: 0,
        falsified: 0,
        unknown: 0,
        statement: derived,
        assumes: !condition.is_empty(),
    })
}

/// The words that end a statement where the bounds of another network are assumed. That network
/// has to be one of the ledger.
fn condition(fields: &mut Fields<'_>, tables: &Tables, from: Option<&Origin>) -> Option<String> {
    let Some(Origin { bounds, network }) = from else {
        return Some(String::new());
    };
    if !tables
        .networks
        .values()
        .any(|known| known.sha256 == *network)
    {
        let derived = "the SHA-256 of a network of the ledger";
        fields.wrong("effort", format!("a start from {network}"), derived);
    }
    match bounds.as_str() {
        "unused" => Some(String::new()),
        "assumed" => Some(format!(
            ", if the bounds that this ledger records of the network with SHA-256 {network} hold"
        )),
        other => {
            fields.wrong("effort", format!("bounds {other}"), "unused or assumed");
            None
        }
    }
}

/// Whether a text is how far weights may be from a file's.
fn is_step(text: &str) -> bool {
    let number = |number: f64| number >= 0.0 && number.is_finite();
    ["int8", "int8-layer", "bf16", "fp16"].contains(&text) || text.parse().is_ok_and(number)
}

/// Checks that a result is of an input of the ledger, or of a file.
fn input(fields: &mut Fields<'_>, tables: &Tables, is_file: bool) {
    match fields.integer_or_null("idx", 0..=u64::from(u32::MAX)) {
        Ok(None) if !is_file => fields.wrong("idx", "NULL", "an input of the ledger"),
        Ok(Some(idx)) if is_file => fields.wrong("idx", idx, "NULL: a file is no input"),
        Ok(Some(idx)) if !tables.inputs.contains_key(&(idx as u32)) => {
            fields.wrong("idx", idx, "an input of the ledger");
        }
        _ => {}
    }
}

/// What decided a result: a method, and none that uses bounds which the verification does not.
fn decider<'a>(fields: &mut Fields<'a>, summary: &VerificationSummary) -> Option<&'a str> {
    let decided_by = fields.nonempty_text("decided_by")?;
    if !DECIDERS.contains(&decided_by) {
        fields.wrong("decided_by", decided_by, "a method that decides");
    }
    if decided_by.starts_with("transfer-") && !summary.assumes {
        let derived = "a method that uses no other network's bounds, as the verification states";
        fields.wrong("decided_by", decided_by, derived);
    }
    Some(decided_by)
}

/// Checks a result, and returns its verdict.
fn result<'a>(
    fields: &mut Fields<'a>,
    row: &'a Row,
    tables: &Tables,
    summary: &VerificationSummary,
) -> Option<&'a str> {
    let is_file = summary.kind == "vnnlib";
    input(fields, tables, is_file);
    let classes = tables
        .networks
        .get(&summary.network)
        .map_or(1, |n| n.classes);
    let class = fields
        .integer_or_null("class", 0..=classes.saturating_sub(1))
        .ok()?;
    let answer = fields
        .integer_or_null("answer", 0..=classes.saturating_sub(1))
        .ok()?;
    fields.integer("micros", 0..=i64::MAX as u64);
    fields.integer("branches", 0..=i64::MAX as u64)?;
    let decided_by = decider(fields, summary)?;
    let margin = match row.get("margin") {
        Value::Null => None,
        Value::Real(margin) => Some(*margin),
        other => {
            fields.wrong("margin", other, "a number or NULL");
            return None;
        }
    };
    let proof = fields.blob_or_null("proof").ok()?;
    // A row of the specification for each other class; of a file they are not known here.
    let rows = (!is_file).then_some(classes.saturating_sub(1) as usize);
    let transform = match (proof, summary.kind.as_str()) {
        (None, _) => None,
        (Some(bytes), "transform") => match TransformProof::decode(bytes) {
            Ok(proof) => Some(proof),
            Err(problem) => {
                fields.wrong("proof", problem, "a proof that decodes");
                return None;
            }
        },
        (Some(bytes), _) => {
            match Proof::decode(bytes) {
                Err(problem) => fields.wrong("proof", problem, "a proof that decodes"),
                Ok(proof) => {
                    if let Some(fault) = proof_fault(&proof, rows) {
                        let derived = "parts that fit one another and leave nothing out";
                        fields.wrong("proof", fault, derived);
                    }
                }
            }
            None
        }
    };
    let counterexample = fields.blob_or_null("counterexample").ok()?;
    if let Some(bytes) = counterexample {
        pixels(fields, bytes, is_file, tables.dims);
    }
    let verdict = fields.text("verdict")?;
    let unanswered = class.is_some() && answer != class;
    let fits = match verdict {
        "verified" => {
            counterexample.is_none()
                && (is_file || !unanswered)
                && margin.is_some_and(|margin| margin > 0.0)
        }
        // Of an input that is answered otherwise itself, no other counterexample is looked for.
        "falsified" => {
            margin.is_none_or(|margin| margin <= 0.0)
                && match counterexample {
                    Some(_) => is_file || !unanswered,
                    None => !is_file && decided_by == "answer" && unanswered,
                }
        }
        "unknown" => counterexample.is_none() && margin.is_none_or(|margin| margin <= 0.0),
        _ => {
            fields.wrong("verdict", verdict, "verified, falsified or unknown");
            return None;
        }
    };
    // Of a transformation, parameters of a counterexample are kept there too (`unproved`).
    if proof.is_some() && verdict != "verified" && summary.kind != "transform" {
        fields.wrong("proof", "a proof", "NULL where nothing is verified");
    }
    if !fits {
        let derived = "the verdict that class, answer, margin and counterexample give";
        fields.wrong("verdict", verdict, derived);
    }
    // Without a label and a valid answer nothing is stated of an image.
    if !is_file && class.is_none() && verdict != "unknown" {
        let derived = "the class that all of the neighbourhood is to have";
        fields.wrong("class", "NULL", derived);
    }
    if summary.kind == "transform"
        && let Some(problem) = unproved(
            (verdict, counterexample.is_some()),
            transform.as_ref(),
            margin,
            summary,
        )
    {
        let derived = "cells with margins above 0 that cover the ranges, the least margin among \
                       them; or the counterexample's parameters";
        fields.wrong("proof", problem, derived);
    }
    Some(verdict)
}

/// Checks the pixels of a counterexample.
fn pixels(fields: &mut Fields<'_>, bytes: &[u8], is_file: bool, dims: Option<u64>) {
    if !bytes.len().is_multiple_of(4)
        || !is_file && dims.is_some_and(|dims| bytes.len() as u64 != 4 * dims)
    {
        let stored = format!("a blob of {} bytes", bytes.len());
        fields.wrong("counterexample", stored, "four bytes a pixel");
    } else if !is_file && !in_unit(bytes) {
        let stored = "a pixel outside of [0, 1]";
        fields.wrong("counterexample", stored, "pixels in [0, 1]");
    }
}

/// Why a proof does not show the verdict on a transformation, which is given with whether there
/// is a counterexample.
fn unproved(
    verdict: (&str, bool),
    proof: Option<&TransformProof>,
    margin: Option<f64>,
    summary: &VerificationSummary,
) -> Option<&'static str> {
    // Steps that cannot be read were reported with the verification.
    let ranges = cells::ranges(&summary.specification)?;
    match verdict {
        ("verified", _) => uncovered(proof, &ranges, margin),
        // With a counterexample: without one the input itself is answered otherwise.
        ("falsified", true) => {
            let parameters = proof.and_then(|proof| proof.parameters.as_deref());
            let inside = parameters.is_some_and(|found| cells::within(found, &ranges));
            (!inside).then_some("no parameters within the ranges")
        }
        _ => proof.is_some().then_some("a proof without a use"),
    }
}

/// Why the cells of a proof do not show that a transformation is verified with this margin.
fn uncovered(
    proof: Option<&TransformProof>,
    ranges: &[[f64; 2]],
    margin: Option<f64>,
) -> Option<&'static str> {
    let Some(proof) = proof else {
        return Some("no cells");
    };
    let least = proof.cells.iter().map(|cell| cell.margin);
    let least = least.fold(f64::INFINITY, f64::min);
    match cells::cover(ranges, &proof.cells) {
        _ if proof.parameters.is_some() => Some("a counterexample"),
        _ if least <= 0.0 => Some("a cell whose margin is not above 0"),
        _ if margin != Some(least) => Some("cells of another margin"),
        Some(true) => None,
        Some(false) => Some("cells that leave parameters out"),
        None => Some("cells that overlap in too many ways"),
    }
}

/// A field's canonical JSON.
fn json<T: Serialize + for<'a> Deserialize<'a>>(fields: &mut Fields<'_>, field: &str) -> Option<T> {
    let text = fields.text(field)?;
    let value: T = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(why) => {
            fields.wrong(field, text, why);
            return None;
        }
    };
    // The fields of these types are in alphabetical order.
    let canonical = serde_json::to_string(&value).unwrap_or_default();
    if canonical != text {
        fields.wrong(field, text, &canonical);
    }
    Some(value)
}

fn in_unit(bytes: &[u8]) -> bool {
    let (words, _) = bytes.as_chunks();
    words
        .iter()
        .all(|word| (0.0..=1.0).contains(&f32::from_le_bytes(*word)))
}

/// The whole numbers of a distance: a fraction of decimal numbers.
fn fraction(text: &str) -> Option<(u128, u128)> {
    let (above, below) = text.split_once('/').unwrap_or((text, "1"));
    let ((a, tens_of_a), (b, tens_of_b)) = (decimal(above)?, decimal(below)?);
    let numerator = a.checked_mul(tens_of_b)?;
    let denominator = b.checked_mul(tens_of_a)?;
    (denominator > 0).then_some((numerator, denominator))
}

/// The whole number that a decimal number is, and the power of ten that it is to be divided by.
fn decimal(text: &str) -> Option<(u128, u128)> {
    let (digits, exponent) = text
        .trim()
        .split_once(['e', 'E'])
        .unwrap_or((text.trim(), "0"));
    let exponent: i32 = exponent.parse().ok()?;
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let number: u128 = [whole, part].concat().parse().ok()?;
    let places = i32::try_from(part.len()).ok()?.checked_sub(exponent)?;
    let tens = 10_u128.checked_pow(places.unsigned_abs())?;
    if places < 0 {
        return Some((number.checked_mul(tens)?, 1));
    }
    Some((number, tens))
}

/// Whether a double is a fraction rounded up: not below it, and its predecessor not above or
/// at it by much, both by whole numbers.
fn is_rounded_up(radius: f64, numerator: u128, denominator: u128) -> bool {
    if !(radius.is_normal() && radius > 0.0 || radius == 0.0) {
        return false;
    }
    if numerator == 0 {
        return radius == 0.0;
    }
    // A normal double is a mantissa times a power of two, so that whole numbers are compared.
    let above = |value: f64| -> Option<bool> {
        let bits = value.to_bits();
        let exponent = (bits >> 52 & 0x7ff) as i32 - 1075;
        let mantissa = u128::from(bits & ((1 << 52) - 1) | 1 << 52);
        let (left, right) = (mantissa.checked_mul(denominator)?, numerator);
        Some(if exponent >= 0 {
            left.checked_mul(1_u128.checked_shl(exponent as u32)?)? >= right
        } else {
            // left / 2^shift >= right, with what is shifted out counted.
            let shift = exponent.unsigned_abs();
            match right
                .checked_shl(shift)
                .filter(|shifted| shifted >> shift == right)
            {
                Some(shifted) => left >= shifted,
                None => (left >> shift.min(127)) >= right,
            }
        })
    };
    // Two steps below is below: rounding up may take one step more than it has to.
    let below = radius.next_down().next_down();
    above(radius) == Some(true) && (below <= 0.0 || above(below) == Some(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_compared_exactly() {
        for (text, radius, fits) in [
            ("0.5", 0.5, true),
            ("0.5", 0.5_f64.next_down(), false),
            ("2/255", (2.0_f64 / 255.0).next_up(), true),
            ("2/255", 2.0 / 255.0 - 1e-9, false),
            ("2/255", 3.0 / 255.0, false),
            ("1e-3", 0.001_f64.next_up(), true),
            ("0", 0.0, true),
            ("0", 0.1, false),
        ] {
            let (numerator, denominator) = fraction(text).unwrap();
            assert_eq!(
                is_rounded_up(radius, numerator, denominator),
                fits,
                "{text} {radius}"
            );
        }
        for text in ["", "x", "1/0", "-1", "1/"] {
            assert_eq!(fraction(text), None, "{text}");
        }
    }
}
