//! The parameters of a claim that the user chose: nothing else in the ledger determines them.

use serde_json::{Value, json};

use crate::derived::Wrong;

/// The largest number of candidates that a claim may name.
const MOST_CANDIDATES: u64 = 100_000;

/// A method with the parameters that the user chose.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Requested {
    Certify(Sides),
    Direct {
        sides: Sides,
        /// Whether the class is the one that the ledger's own network selected.
        class_of_base: bool,
    },
    Predict,
    Irs {
        gamma: f64,
    },
    Zeta,
    Loss,
    Paired,
    /// The radius to be reached.
    Until(f64),
    Auto(Auto),
}

/// Which probabilities a certificate from scratch bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sides {
    /// The class's alone, in the first ledgers, which did not record it.
    Unrecorded,
    /// The class's alone.
    One,
    /// The runner-up's too.
    Two,
}

/// The user's parameters of `auto`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Auto {
    /// The number of candidates among which the network may be chosen by its results.
    pub(crate) among: u64,
    pub(crate) inputs: u64,
    /// The hash of the list of inputs; the first ledgers did not record it.
    pub(crate) inputs_sha256: Option<String>,
    /// Whether two-sided certificates are allowed.
    pub(crate) two_sided: bool,
    /// Whether they may be from fresh samples too, with alpha split by the rule votes-1; the
    /// first versions had none.
    pub(crate) fresh_both: bool,
    pub(crate) goal: Goal,
}

/// The goal of `auto`: how many evaluations to spend, or what to reach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Goal {
    Budget(u64),
    Each(u64),
    MeanRadius(f64),
    Until(f64),
}

impl Requested {
    /// The number of candidates among which the network may be chosen by its results.
    pub(crate) fn among(&self) -> u64 {
        match self {
            Self::Auto(auto) => auto.among,
            _ => 1,
        }
    }
}

fn parameter(form: impl Into<String>) -> Wrong {
    ("parameters", form.into())
}

/// Reads the user's parameters of a method.
///
/// # Errors
/// If there is no such method, or if a parameter is missing or out of range.
pub(crate) fn read(name: &str, stored: &Value) -> Result<Requested, Wrong> {
    Ok(match name {
        "certify" => Requested::Certify(sides(stored)?),
        "direct" => direct(stored)?,
        "predict" => Requested::Predict,
        "irs" => {
            let gamma = number(stored, "gamma")?;
            if !(0.0..=1.0).contains(&gamma) {
                return Err(parameter("gamma, a number from 0 to 1"));
            }
            Requested::Irs { gamma }
        }
        "zeta" => Requested::Zeta,
        "loss" => Requested::Loss,
        "paired" => Requested::Paired,
        "until" => Requested::Until(length(stored, "until")?),
        "auto" => Requested::Auto(auto(stored)?),
        _ => {
            let known = "certify, predict, direct, irs, zeta, loss, paired, auto or until";
            return Err(("method", known.to_owned()));
        }
    })
}

fn direct(stored: &Value) -> Result<Requested, Wrong> {
    let mut rest = stored.clone();
    let class_of = rest.as_object_mut().and_then(|all| all.remove("class_of"));
    let class_of_base = match class_of {
        None => false,
        Some(of) if of == "f" && rest != json!({}) => true,
        Some(_) => return Err(parameter("class_of, which is f, and sides")),
    };
    Ok(Requested::Direct {
        sides: sides(&rest)?,
        class_of_base,
    })
}

fn auto(stored: &Value) -> Result<Auto, Wrong> {
    let whole = |name: &str, range: std::ops::RangeInclusive<u64>| {
        let value = stored.get(name).and_then(Value::as_u64);
        let inside = value.filter(|value| range.contains(value));
        inside.ok_or_else(|| {
            let (low, high) = (range.start(), range.end());
            parameter(format!("{name}, a whole number from {low} to {high}"))
        })
    };
    let (two_sided, goal) = (whole("sides", 1..=2)? == 2, goal(stored)?);
    let fresh_both = match stored.get("rule") {
        None => false,
        Some(rule) if rule == "votes-1" && two_sided && !matches!(goal, Goal::Until(_)) => true,
        Some(_) => {
            let form = "rule, which is votes-1 where sides is 2 and the goal is not until";
            return Err(parameter(form));
        }
    };
    Ok(Auto {
        among: whole("among", 1..=MOST_CANDIDATES)?,
        inputs: whole("inputs", 0..=u64::from(u32::MAX))?,
        inputs_sha256: inputs_sha256(stored)?,
        two_sided,
        fresh_both,
        goal,
    })
}

fn goal(stored: &Value) -> Result<Goal, Wrong> {
    let known = || parameter("goal, with one of budget, each, mean_radius_over_sigma or until");
    let goal = stored.get("goal").ok_or_else(known)?;
    let only = goal.as_object().filter(|goal| goal.len() == 1);
    let (name, value) = only.and_then(|goal| goal.iter().next()).ok_or_else(known)?;
    let count = || {
        let count = value.as_u64();
        count.ok_or_else(|| parameter("a goal whose value is a number of evaluations"))
    };
    Ok(match name.as_str() {
        "budget" => Goal::Budget(count()?),
        "each" => Goal::Each(count()?),
        "mean_radius_over_sigma" => Goal::MeanRadius(length(goal, name)?),
        "until" => Goal::Until(length(goal, name)?),
        _ => return Err(known()),
    })
}

fn inputs_sha256(stored: &Value) -> Result<Option<String>, Wrong> {
    let Some(stored) = stored.get("inputs_sha256") else {
        return Ok(None);
    };
    let digits = stored.as_str().unwrap_or_default();
    let digit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if digits.len() != 64 || !digits.bytes().all(digit) {
        return Err(parameter("inputs_sha256, 64 lower-case hexadecimal digits"));
    }
    Ok(Some(digits.to_owned()))
}

fn sides(stored: &Value) -> Result<Sides, Wrong> {
    match stored.get("sides").map(Value::as_u64) {
        None if *stored == json!({}) => Ok(Sides::Unrecorded),
        Some(Some(1)) => Ok(Sides::One),
        Some(Some(2)) => Ok(Sides::Two),
        _ => Err(parameter("sides, which is 1, or 2 with the rule votes-1")),
    }
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
