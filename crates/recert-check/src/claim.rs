//! Claims: which methods there are, how each divides alpha, and what it says.
//!
//! A claim's parameters and words follow from its method, its alpha and the run,
//! but for what the user asked for (gamma, a budget, a radius): all of it is made
//! again here and compared.

use std::cell::Cell;
use std::collections::BTreeMap;

use recert_ledger::raw::Table;
use recert_ledger::{Error, Ledger};
use recert_num::Alpha;
use serde_json::{Value, json};

use crate::arithmetic::at_most;
use crate::fields::Fields;
use crate::noise::Law;
use crate::report::Report;
use crate::tables::{Run, Tables};

/// One in so many of f's samples is early: looked at before anything is decided,
/// and never run on.
const EARLY: u64 = 32;

/// Candidates that one claim may be about a choice among.
const MOST_CANDIDATES: u64 = 100_000;

/// What certificates claim, made again.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) network: i64,
    pub(crate) method_name: String,
    pub(crate) samples: u64,
    pub(crate) alpha: f64,
    pub(crate) method: Method,
    /// Inputs that there may be certificates for, where the claim says.
    most: Option<u64>,
    /// Certificates seen.
    pub(crate) certificates: Cell<u64>,
}

/// A method with its shares of alpha.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Method {
    /// From scratch on the network's own samples, at what is left of alpha.
    Scratch { level: f64, two_sided: bool },
    /// The smoothed classifier's class.
    Predict { level: f64 },
    /// From the first samples of f and h, by pairs.
    Pairs { kind: Pairs, shares: Vec<f64> },
    /// On samples that f's codes choose.
    Auto {
        shares: Shares,
        /// Whether the number of samples may depend on what h answered.
        anytime: bool,
        /// Whether certificates from both sides are asked for.
        both: bool,
    },
    /// From scratch, stopped freely.
    Until { level: f64 },
}

/// What `auto` makes of alpha.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Shares {
    /// For a statement about f's codes.
    pub(crate) f: f64,
    /// For one about h beside it.
    pub(crate) h: f64,
    /// For a single statement.
    pub(crate) whole: f64,
}

/// Which bound from pairs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Pairs {
    /// Two bounds that hold at once, in an order that gamma decides.
    Irs { gamma: f64 },
    /// f's probability less the disagreement.
    Zeta,
    /// f's probability less what h loses.
    Loss,
    /// The same and what h gains.
    Paired,
}

impl Pairs {
    /// The shares by name, and the weights that alpha is divided by.
    fn shares(self) -> &'static [(&'static str, f64)] {
        match self {
            Self::Irs { .. } => &[("alpha_f", 2.0), ("alpha_zeta", 9.0), ("alpha_direct", 9.0)],
            Self::Zeta => &[("alpha_f", 1.0), ("alpha_zeta", 9.0)],
            Self::Loss => &[("alpha_f", 1.0), ("alpha_loss", 9.0)],
            Self::Paired => &[("alpha_f", 2.0), ("alpha_loss", 9.0), ("alpha_gain", 9.0)],
        }
    }
}

/// The claims by number; `None` for one that is not what it should be.
pub(crate) type Claims = BTreeMap<i64, Claim>;

impl Claim {
    /// Whether its bounds start from laws that the checker takes as recorded.
    pub(crate) fn has_priors(&self) -> bool {
        matches!(self.method, Method::Auto { .. })
    }

    /// Counts a certificate; whether there are now more than there may be.
    pub(crate) fn count(&self) -> bool {
        let count = self.certificates.get() + 1;
        self.certificates.set(count);
        self.most == Some(count - 1)
    }
}

/// What a claim has to be, beside what its columns say.
struct Due {
    method: Method,
    parameters: Value,
    /// Of how many candidates the network may be chosen by its results.
    among: u64,
    /// The samples it must state.
    samples: Option<u64>,
    most: Option<u64>,
}

pub(crate) fn read(ledger: &Ledger, tables: &Tables, report: &mut Report) -> Result<Claims, Error> {
    let mut claims = Claims::new();
    for row in ledger.raw_rows(Table::Claim)? {
        let mut fields = Fields::new(&row, report);
        if let Some((id, claim)) = tables
            .run
            .as_ref()
            .and_then(|run| one(&mut fields, tables, run))
        {
            claims.insert(id, claim);
        }
    }
    Ok(claims)
}

/// Reads a claim and makes it again; `None` if certificates by it cannot be
/// derived.
fn one(fields: &mut Fields<'_>, tables: &Tables, run: &Run) -> Option<(i64, Claim)> {
    let id = fields.integer("id", 1..=i64::MAX as u64)? as i64;
    let network = fields.integer("network", 1..=i64::MAX as u64)? as i64;
    if !tables.networks.contains_key(&network) {
        fields.wrong("network", network, "a network of the ledger");
        return None;
    }
    let name = fields.text("method")?;
    let samples = fields.integer("copies", 0..=u64::from(u32::MAX))?;
    let alpha = fields.alpha("alpha")?;
    let text = fields.text("parameters")?;
    let Ok(stored) = serde_json::from_str::<Value>(text) else {
        fields.wrong("parameters", text, "JSON");
        return None;
    };
    let from_scratch = matches!(name, "certify" | "predict" | "until");
    if run.predict != (name == "predict") {
        let task = if run.predict { "predict" } else { "certify" };
        fields.wrong("method", name, format!("a method of a run to {task}"));
        return None;
    }
    if from_scratch && network != run.base {
        fields.wrong("network", network, run.base);
    }
    if from_scratch && alpha.to_bits() != run.alpha.to_bits() {
        fields.wrong("alpha", alpha, run.alpha);
    }
    let due = match due(name, &stored, (samples, alpha), run) {
        Ok(due) => due,
        Err((field, what)) => {
            let shown = if field == "method" { name } else { text };
            fields.wrong(field, shown, what);
            return None;
        }
    };
    if let Some(wanted) = due.samples.filter(|&wanted| wanted != samples) {
        fields.wrong("copies", samples, wanted);
    }
    fields.compare_json("parameters", text, &due.parameters);
    let words = statement(name, alpha, due.among, run.law);
    let stated = fields.text("statement")?;
    if stated != words {
        fields.wrong("statement", format!("{stated:?}"), format!("{words:?}"));
    }
    let claim = Claim {
        network,
        method_name: name.to_owned(),
        samples,
        alpha,
        method: due.method,
        most: due.most,
        certificates: Cell::new(0),
    };
    Some((id, claim))
}

/// What is claimed, in words.
fn statement(method: &str, alpha: f64, among: u64, law: Law) -> String {
    let network = if among == 1 {
        "for this network and this input, named in advance".to_owned()
    } else {
        format!(
            "for this input, named in advance, and a network chosen among {among} by their results"
        )
    };
    let images = match law {
        Law::Integer => " for images of 8-bit pixels",
        Law::Gaussian => "",
    };
    let wrong = if method == "predict" {
        "the class is not the smoothed classifier's".to_owned()
    } else {
        format!("the radius is wrong{images}")
    };
    format!("{network}: {wrong} with probability at most {alpha}")
}

type Wrong = (&'static str, String);

fn parameter(what: impl Into<String>) -> Wrong {
    ("parameters", what.into())
}

/// What the claim of a method has to be, or the field that says otherwise.
fn due(name: &str, stored: &Value, (samples, alpha): (u64, f64), run: &Run) -> Result<Due, Wrong> {
    // Bounds on so many samples are at what the noise leaves of alpha.
    let level = |samples: u64| {
        let left = run.law.left_of(alpha, samples, run.dims);
        left.map_err(|what| ("alpha", what))
    };
    let own = |method: Method, parameters: Value, samples: Option<u64>| Due {
        method,
        parameters,
        among: 1,
        samples,
        most: None,
    };
    let on_first = |kind: Pairs| {
        in_ledger(samples, run)?;
        let level = level(run.n)?;
        let weights: Vec<f64> = kind.shares().iter().map(|share| share.1).collect();
        let shares = split(level, &weights)?;
        let mut parameters = json!({});
        if let Pairs::Irs { gamma } = kind {
            parameters["gamma"] = json!(gamma);
        }
        for ((name, _), share) in kind.shares().iter().zip(&shares) {
            parameters[*name] = json!(share);
        }
        sums(
            &shares.iter().map(|&share| (1, share)).collect::<Vec<_>>(),
            level,
        )?;
        Ok(own(Method::Pairs { kind, shares }, parameters, None))
    };
    match name {
        "certify" | "direct" => {
            in_ledger(samples, run)?;
            let (two_sided, parameters) = sides(stored)?;
            let level = level(samples)?;
            let wanted = (name == "certify").then_some(run.n);
            Ok(own(
                Method::Scratch { level, two_sided },
                parameters,
                wanted,
            ))
        }
        "predict" => {
            let level = level(run.n)?;
            Ok(own(Method::Predict { level }, json!({}), Some(run.n)))
        }
        "irs" => {
            let gamma = number(stored, "gamma")?;
            if !(0.0..=1.0).contains(&gamma) {
                return Err(parameter("gamma from 0 to 1"));
            }
            on_first(Pairs::Irs { gamma })
        }
        "zeta" => on_first(Pairs::Zeta),
        "loss" => on_first(Pairs::Loss),
        "paired" => on_first(Pairs::Paired),
        "until" => {
            let radius = length(stored, "until")?;
            let level = level(run.n)?;
            let parameters = json!({"alpha_any": level, "until": radius});
            Ok(own(Method::Until { level }, parameters, Some(run.n)))
        }
        "auto" => auto(stored, alpha, run),
        _ => Err((
            "method",
            "certify, predict, direct, irs, zeta, loss, paired, auto or until".to_owned(),
        )),
    }
}

/// How many of `n` samples of f are early.
pub(crate) fn early(n: u64) -> u64 {
    n / EARLY
}

/// The claim of `auto`: for each candidate its part of alpha; a tenth of it is
/// for f where there are two statements.
fn auto(stored: &Value, alpha: f64, run: &Run) -> Result<Due, Wrong> {
    let whole = |name: &str, range: std::ops::RangeInclusive<u64>| {
        let value = stored.get(name).and_then(Value::as_u64);
        let inside = value.filter(|value| range.contains(value));
        inside.ok_or_else(|| parameter(format!("{name} a whole number in its range")))
    };
    let among = whole("among", 1..=MOST_CANDIDATES)?;
    let inputs = whole("inputs", 0..=u64::from(u32::MAX))?;
    let sides = whole("sides", 1..=2)?;
    // Fresh samples may come on top of the cached ones.
    let left = run.law.left_of(alpha, 2 * run.n, run.dims);
    let level = left.map_err(|what| ("alpha", what))?;
    let shares = split(level, &[1.0, 9.0].repeat(among as usize))?;
    let shares = Shares {
        f: shares[0],
        h: shares[1],
        whole: split(level, &vec![1.0; among as usize])?[0],
    };
    let Shares { f, h, whole: one } = shares;
    sums(&[(among as u32, f), (among as u32, h)], level)?;
    sums(&[(among as u32, one)], level)?;
    let goal = stored.get("goal").and_then(Value::as_object);
    let name = goal.filter(|goal| goal.len() == 1);
    let name = name.and_then(|goal| goal.keys().next().map(String::as_str));
    let of = stored.get("goal").unwrap_or(&Value::Null);
    let count = || {
        let count = name.and_then(|name| of.get(name)?.as_u64());
        count.ok_or_else(|| parameter("a goal that is a number of evaluations"))
    };
    let (goal, samples) = match name {
        Some("budget") => (json!({"budget": count()?}), count()? / inputs.max(1)),
        Some("each") => (json!({"each": count()?}), count()?),
        Some(radius @ ("mean_radius_over_sigma" | "until")) => {
            (json!({radius: length(of, radius)?}), 0)
        }
        _ => {
            let known = "a goal: budget, each, mean_radius_over_sigma or until";
            return Err(parameter(known));
        }
    };
    let mut parameters = json!({
        "alpha_f": f, "alpha_h": h, "alpha_whole": one, "among": among,
        "early": early(run.n), "goal": goal, "inputs": inputs, "sides": sides,
    });
    // Which inputs they are; the first ledgers did not say.
    if let Some(which) = stored.get("inputs_sha256") {
        let digits = which.as_str().unwrap_or_default();
        if digits.len() != 64
            || !digits
                .bytes()
                .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        {
            return Err(parameter("inputs_sha256 64 digits"));
        }
        parameters["inputs_sha256"] = which.clone();
    }
    Ok(Due {
        method: Method::Auto {
            shares,
            anytime: name == Some("until"),
            both: sides == 2,
        },
        parameters,
        among,
        samples: Some(samples),
        most: Some(inputs),
    })
}

/// Whether the claim is about both sides, and its parameters. The first
/// ledgers had one-sided claims only and did not say so.
fn sides(stored: &Value) -> Result<(bool, Value), Wrong> {
    match stored.get("sides").map(Value::as_u64) {
        None if *stored == json!({}) => Ok((false, json!({}))),
        Some(Some(1)) => Ok((false, json!({"sides": 1}))),
        Some(Some(2)) => Ok((true, json!({"sides": 2, "rule": "votes-1"}))),
        _ => Err(parameter("sides 1, or sides 2 with the rule votes-1")),
    }
}

fn in_ledger(samples: u64, run: &Run) -> Result<(), Wrong> {
    if (1..=run.n).contains(&samples) {
        return Ok(());
    }
    Err(("copies", format!("from 1 to {}", run.n)))
}

fn number(stored: &Value, name: &str) -> Result<f64, Wrong> {
    let value = stored.get(name).and_then(Value::as_f64);
    value.ok_or_else(|| parameter(format!("{name}, a number")))
}

fn length(stored: &Value, name: &str) -> Result<f64, Wrong> {
    let value = number(stored, name)?;
    if value.is_finite() && value >= 0.0 {
        return Ok(value);
    }
    Err(parameter(format!("{name}, a number of at least 0")))
}

/// The shares of alpha in proportion to weights, each rounded down.
fn split(level: f64, weights: &[f64]) -> Result<Vec<f64>, Wrong> {
    let shares = Alpha::new(level).and_then(|alpha| alpha.split(weights));
    let shares = shares.map_err(|why| ("alpha", why.to_string()))?;
    Ok(shares.into_iter().map(Alpha::get).collect())
}

/// Fails if the shares are more than the whole; exactly.
fn sums(shares: &[(u32, f64)], whole: f64) -> Result<(), Wrong> {
    if at_most(shares, whole) {
        return Ok(());
    }
    Err(parameter(format!("shares that sum to at most {whole}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> Run {
        Run {
            predict: false,
            sigma: 0.5,
            n0: 100,
            n: 10_000,
            alpha: 0.001,
            law: Law::Gaussian,
            dims: 3072,
            base: 1,
        }
    }

    fn shares(name: &str, stored: &Value, alpha: f64) -> Vec<f64> {
        match due(name, stored, (100, alpha), &run()).unwrap().method {
            Method::Pairs { shares, .. } => shares,
            Method::Auto { shares, .. } => vec![shares.f, shares.h, shares.whole],
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn shares_are_within_alpha_and_hardly_less() {
        for alpha in [0.001, 0.002, 0.01, 1e-9, 0.3] {
            for name in ["irs", "zeta", "loss", "paired"] {
                let stored = json!({"gamma": 0.99});
                let sum: f64 = shares(name, &stored, alpha).iter().sum();
                assert!(
                    (sum - alpha).abs() < 1e-15 * alpha + 1e-30,
                    "{name} {alpha}"
                );
            }
            for among in [1, 2, 7, 100] {
                let stored =
                    json!({"among": among, "inputs": 5, "sides": 2, "goal": {"budget": 1003}});
                let found = shares("auto", &stored, alpha);
                for part in [found[0] + found[1], found[2]] {
                    let sum = f64::from(among) * part;
                    assert!((sum - alpha).abs() < 1e-13 * alpha, "{among} {alpha}");
                }
            }
        }
    }

    #[test]
    fn what_no_method_says_is_refused() {
        for (name, stored, field) in [
            ("certif", json!({}), "method"),
            ("certify", json!({"sides": 3}), "parameters"),
            ("certify", json!({"side": 1}), "parameters"),
            ("irs", json!({}), "parameters"),
            ("irs", json!({"gamma": 1.5}), "parameters"),
            ("until", json!({"until": -1.0}), "parameters"),
            (
                "auto",
                json!({"among": 0, "inputs": 5, "sides": 2, "goal": {"each": 9}}),
                "parameters",
            ),
            (
                "auto",
                json!({"among": 1, "inputs": 5, "sides": 2, "goal": {"each": 9, "budget": 1}}),
                "parameters",
            ),
            ("auto", json!({"among": 1, "inputs": 5}), "parameters"),
        ] {
            let found = due(name, &stored, (100, 0.001), &run());
            assert_eq!(
                found.err().map(|wrong| wrong.0),
                Some(field),
                "{name} {stored}"
            );
        }
        let found = due("direct", &json!({}), (10_001, 0.001), &run());
        assert_eq!(found.err().map(|wrong| wrong.0), Some("copies"));
    }

    #[test]
    fn early_samples_are_those_that_follow_from_n() {
        let counts = [31, 32, 63, 10_000, 100_000].map(early);
        assert_eq!(counts, [0, 1, 1, 312, 3125]);
        let stored = json!({"among": 2, "inputs": 5, "sides": 1, "goal": {"each": 100}});
        let parameters = due("auto", &stored, (100, 0.002), &run())
            .unwrap()
            .parameters;
        assert_eq!(parameters["early"], 312);
        assert!(parameters["alpha_whole"].as_f64().unwrap() <= 0.001);
        assert_eq!(parameters.get("cut"), None);
    }

    #[test]
    fn statements_say_what_the_choice_and_the_noise_cover() {
        let words = statement("auto", 0.002, 3, Law::Integer);
        assert_eq!(
            words,
            "for this input, named in advance, and a network chosen among 3 by their results: the \
             radius is wrong for images of 8-bit pixels with probability at most 0.002"
        );
    }
}
