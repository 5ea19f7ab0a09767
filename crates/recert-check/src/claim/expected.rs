//! The claim that a method must have, from what was requested, alpha and the run. Each method
//! splits alpha between its events.

use recert_num::Alpha;
use serde_json::{Value, json};

use super::requested::{Auto, Goal, Requested, Sides};
use super::{Method, Pairs, Shares, early};
use crate::arithmetic::at_most;
use crate::derived::Wrong;
use crate::tables::Run;

/// The parts of a claim that follow from its other columns.
pub(super) struct Expected {
    pub(super) method: Method,
    pub(super) parameters: Value,
    /// The number of samples that the claim must state, where it is determined.
    pub(super) samples: Option<u64>,
    /// The most certificates that there may be by this claim, where it states that.
    pub(super) most: Option<u64>,
}

/// The claim that a request must have, with the number of samples and the alpha that the
/// ledger states.
///
/// # Errors
/// The field that makes the claim impossible.
pub(super) fn expected(
    request: &Requested,
    (samples, alpha): (u64, f64),
    run: &Run,
) -> Result<Expected, Wrong> {
    // Bounds use the failure probability that the charge for the noise leaves of alpha.
    let level = |samples: u64| {
        let left = run.law.left_of(alpha, samples, run.dims);
        left.map_err(|problem| ("alpha", problem))
    };
    let scratch = |sides: Sides, class_of_base: bool, wanted: Option<u64>| {
        in_ledger(samples, run)?;
        let method = Method::Scratch {
            level: level(samples)?,
            two_sided: sides == Sides::Two,
            class_of_base,
        };
        let mut parameters = match sides {
            Sides::Unrecorded => json!({}),
            Sides::One => json!({"sides": 1}),
            Sides::Two => json!({"sides": 2, "rule": "votes-1"}),
        };
        if class_of_base {
            parameters["class_of"] = json!("f");
        }
        Ok(Expected::new(method, parameters, wanted))
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
        check_sum(
            &shares.iter().map(|&share| (1, share)).collect::<Vec<_>>(),
            level,
        )?;
        Ok(Expected::new(
            Method::Pairs { kind, shares },
            parameters,
            None,
        ))
    };
    match *request {
        Requested::Certify(sides) => scratch(sides, false, Some(run.n)),
        Requested::Direct {
            sides,
            class_of_base,
        } => scratch(sides, class_of_base, None),
        Requested::Predict => {
            let level = level(run.n)?;
            Ok(Expected::new(
                Method::Predict { level },
                json!({}),
                Some(run.n),
            ))
        }
        Requested::Irs { gamma } => on_first(Pairs::Irs { gamma }),
        Requested::Zeta => on_first(Pairs::Zeta),
        Requested::Loss => on_first(Pairs::Loss),
        Requested::Paired => on_first(Pairs::Paired),
        Requested::Until(radius) => {
            let level = level(run.n)?;
            let parameters = json!({"alpha_any": level, "until": radius});
            Ok(Expected::new(
                Method::Until { level },
                parameters,
                Some(run.n),
            ))
        }
        Requested::Auto(ref request) => auto(request, alpha, run),
    }
}

impl Expected {
    fn new(method: Method, parameters: Value, samples: Option<u64>) -> Self {
        Self {
            method,
            parameters,
            samples,
            most: None,
        }
    }
}

/// The claim of `auto`. Each candidate gets an equal part of alpha; in bounds with two events
/// a tenth of that part is for f.
fn auto(request: &Auto, alpha: f64, run: &Run) -> Result<Expected, Wrong> {
    let Auto { among, inputs, .. } = *request;
    // A design may use fresh samples in addition to f's.
    let left = run.law.left_of(alpha, 2 * run.n, run.dims);
    let level = left.map_err(|problem| ("alpha", problem))?;
    let shares = split(level, &[1.0, 9.0].repeat(among as usize))?;
    let shares = Shares {
        f: shares[0],
        h: shares[1],
        whole: split(level, &vec![1.0; among as usize])?[0],
    };
    let Shares { f, h, whole } = shares;
    check_sum(&[(among as u32, f), (among as u32, h)], level)?;
    check_sum(&[(among as u32, whole)], level)?;
    let (goal, samples) = match request.goal {
        Goal::Budget(count) => (json!({"budget": count}), count / inputs.max(1)),
        Goal::Each(count) => (json!({"each": count}), count),
        Goal::MeanRadius(radius) => (json!({"mean_radius_over_sigma": radius}), 0),
        Goal::Until(radius) => (json!({"until": radius}), 0),
    };
    let mut parameters = json!({
        "alpha_f": f, "alpha_h": h, "alpha_whole": whole, "among": among,
        "early": early(run.n), "goal": goal, "inputs": inputs,
        "sides": if request.two_sided { 2 } else { 1 },
    });
    if let Some(hash) = &request.inputs_sha256 {
        parameters["inputs_sha256"] = json!(hash);
    }
    if request.fresh_both {
        parameters["rule"] = json!("votes-1");
    }
    let method = Method::Auto {
        shares,
        anytime: matches!(request.goal, Goal::Until(_)),
        both: request.two_sided,
        fresh_both: request.fresh_both,
    };
    Ok(Expected {
        most: Some(inputs),
        ..Expected::new(method, parameters, Some(samples))
    })
}

fn in_ledger(samples: u64, run: &Run) -> Result<(), Wrong> {
    if (1..=run.n).contains(&samples) {
        return Ok(());
    }
    Err(("copies", format!("from 1 to {}", run.n)))
}

/// The shares of alpha in proportion to weights, each rounded down.
fn split(level: f64, weights: &[f64]) -> Result<Vec<f64>, Wrong> {
    let shares = Alpha::new(level).and_then(|alpha| alpha.split(weights));
    let shares = shares.map_err(|why| ("alpha", why.to_string()))?;
    Ok(shares.into_iter().map(Alpha::get).collect())
}

/// Fails if the exact sum of the shares exceeds the whole.
fn check_sum(shares: &[(u32, f64)], whole: f64) -> Result<(), Wrong> {
    if at_most(shares, whole) {
        return Ok(());
    }
    let form = format!("shares that sum to at most {whole}");
    Err(("parameters", form))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::claim::{early, requested};
    use crate::noise::Law;

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

    fn made(name: &str, stored: &Value, stated: (u64, f64)) -> Result<Expected, Wrong> {
        expected(&requested::read(name, stored)?, stated, &run())
    }

    fn shares(name: &str, stored: &Value, alpha: f64) -> Vec<f64> {
        match made(name, stored, (100, alpha)).unwrap().method {
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
    fn impossible_requests_are_refused() {
        for (name, stored, field) in [
            ("certif", json!({}), "method"),
            ("certify", json!({"sides": 3}), "parameters"),
            ("certify", json!({"side": 1}), "parameters"),
            ("direct", json!({"class_of": "h", "sides": 1}), "parameters"),
            ("direct", json!({"class_of": "f"}), "parameters"),
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
            let found = made(name, &stored, (100, 0.001));
            assert_eq!(
                found.err().map(|wrong| wrong.0),
                Some(field),
                "{name} {stored}"
            );
        }
        let found = made("direct", &json!({}), (10_001, 0.001));
        assert_eq!(found.err().map(|wrong| wrong.0), Some("copies"));
    }

    #[test]
    fn early_samples_are_those_that_follow_from_n() {
        let counts = [31, 32, 63, 10_000, 100_000].map(early);
        assert_eq!(counts, [0, 1, 1, 312, 3125]);
        let stored = json!({"among": 2, "inputs": 5, "sides": 1, "goal": {"each": 100}});
        let parameters = made("auto", &stored, (100, 0.002)).unwrap().parameters;
        assert_eq!(parameters["early"], 312);
        assert!(parameters["alpha_whole"].as_f64().unwrap() <= 0.001);
        assert_eq!(parameters.get("cut"), None);
    }
}
