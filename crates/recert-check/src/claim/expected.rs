//! What a claim has to be, from what was asked for, alpha and the run: each method
//! divides alpha between its events.

use recert_num::Alpha;
use serde_json::{Value, json};

use super::asked::{Asked, Auto, Goal, Sides};
use super::{Method, Pairs, Shares, early};
use crate::arithmetic::at_most;
use crate::derived::Wrong;
use crate::tables::Run;

/// What a claim has to be, beside what its columns state.
pub(super) struct Due {
    pub(super) method: Method,
    pub(super) parameters: Value,
    /// The samples it must state.
    pub(super) samples: Option<u64>,
    /// Inputs that there may be certificates for, where it states that.
    pub(super) most: Option<u64>,
}

/// What the claim of a method, with the samples and the alpha it states, has to be.
///
/// # Errors
/// The field that keeps it from being that.
pub(super) fn due(asked: &Asked, (samples, alpha): (u64, f64), run: &Run) -> Result<Due, Wrong> {
    // Bounds on so many samples are at what the noise leaves of alpha.
    let level = |samples: u64| {
        let left = run.law.left_of(alpha, samples, run.dims);
        left.map_err(|what| ("alpha", what))
    };
    let scratch = |sides: Sides, wanted: Option<u64>| {
        in_ledger(samples, run)?;
        let method = Method::Scratch {
            level: level(samples)?,
            two_sided: sides == Sides::Two,
        };
        let parameters = match sides {
            Sides::Unrecorded => json!({}),
            Sides::One => json!({"sides": 1}),
            Sides::Two => json!({"sides": 2, "rule": "votes-1"}),
        };
        Ok(Due::new(method, parameters, wanted))
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
        Ok(Due::new(Method::Pairs { kind, shares }, parameters, None))
    };
    match *asked {
        Asked::Certify(sides) => scratch(sides, Some(run.n)),
        Asked::Direct(sides) => scratch(sides, None),
        Asked::Predict => {
            let level = level(run.n)?;
            Ok(Due::new(Method::Predict { level }, json!({}), Some(run.n)))
        }
        Asked::Irs { gamma } => on_first(Pairs::Irs { gamma }),
        Asked::Zeta => on_first(Pairs::Zeta),
        Asked::Loss => on_first(Pairs::Loss),
        Asked::Paired => on_first(Pairs::Paired),
        Asked::Until(radius) => {
            let level = level(run.n)?;
            let parameters = json!({"alpha_any": level, "until": radius});
            Ok(Due::new(Method::Until { level }, parameters, Some(run.n)))
        }
        Asked::Auto(ref asked) => auto(asked, alpha, run),
    }
}

impl Due {
    fn new(method: Method, parameters: Value, samples: Option<u64>) -> Self {
        Self {
            method,
            parameters,
            samples,
            most: None,
        }
    }
}

/// The claim of `auto`: for each candidate its part of alpha; a tenth of it is
/// for f where there are two statements.
fn auto(asked: &Auto, alpha: f64, run: &Run) -> Result<Due, Wrong> {
    let Auto { among, inputs, .. } = *asked;
    // Fresh samples may come on top of the cached ones.
    let left = run.law.left_of(alpha, 2 * run.n, run.dims);
    let level = left.map_err(|what| ("alpha", what))?;
    let shares = split(level, &[1.0, 9.0].repeat(among as usize))?;
    let shares = Shares {
        f: shares[0],
        h: shares[1],
        whole: split(level, &vec![1.0; among as usize])?[0],
    };
    let Shares { f, h, whole } = shares;
    sums(&[(among as u32, f), (among as u32, h)], level)?;
    sums(&[(among as u32, whole)], level)?;
    let (goal, samples) = match asked.goal {
        Goal::Budget(count) => (json!({"budget": count}), count / inputs.max(1)),
        Goal::Each(count) => (json!({"each": count}), count),
        Goal::MeanRadius(radius) => (json!({"mean_radius_over_sigma": radius}), 0),
        Goal::Until(radius) => (json!({"until": radius}), 0),
    };
    let mut parameters = json!({
        "alpha_f": f, "alpha_h": h, "alpha_whole": whole, "among": among,
        "early": early(run.n), "goal": goal, "inputs": inputs,
        "sides": if asked.two_sided { 2 } else { 1 },
    });
    if let Some(which) = &asked.inputs_sha256 {
        parameters["inputs_sha256"] = json!(which);
    }
    let method = Method::Auto {
        shares,
        anytime: matches!(asked.goal, Goal::Until(_)),
        both: asked.two_sided,
    };
    Ok(Due {
        most: Some(inputs),
        ..Due::new(method, parameters, Some(samples))
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

/// Fails if the shares are more than the whole; exactly.
fn sums(shares: &[(u32, f64)], whole: f64) -> Result<(), Wrong> {
    if at_most(shares, whole) {
        return Ok(());
    }
    let what = format!("shares that sum to at most {whole}");
    Err(("parameters", what))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::claim::{asked, early};
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

    fn made(name: &str, stored: &Value, stated: (u64, f64)) -> Result<Due, Wrong> {
        due(&asked::read(name, stored)?, stated, &run())
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
    fn what_no_method_can_be_asked_for_is_refused() {
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
