//! `recert recertify --plan`: what to expect, before anything is run.

use std::fmt::Write as _;

use anyhow::Result;
use recert::ledger::{Ledger, Network};
use recert::num::format_down;
use recert::smooth::Auto;
use recert::smooth::plan::{Goal, Study};
use serde_json::json;

use super::Asked;
use crate::args::Recertify;
use crate::progress;

/// The version of the JSON.
const SCHEMA: &str = "recert-plan/1";

/// Shares of n that are looked at where no budget is given.
const SHARES: [f64; 7] = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5];

/// One line: a spending, what it is expected to give, and from scratch.
struct Line {
    evaluations: u64,
    auto: f64,
    from_scratch: f64,
    /// Evaluations from scratch that are expected to give as much, if any
    /// number up to n does.
    as_much: Option<u64>,
}

pub(super) fn print(
    args: &Recertify,
    ledger: &Ledger,
    asked: &Asked,
    identity: &Network,
) -> Result<()> {
    let header = ledger.header();
    let known = ledger.networks()?.into_iter().find(|(_, n)| n == identity);
    let network = known.map(|(id, _)| id);
    let auto = |goal: Goal| Auto {
        network: network.unwrap_or(ledger.base()),
        alpha: asked.alpha,
        among: asked.among,
        goal,
        sides: args.sides.sides(),
        batch: args.run.batch,
    };
    let mut study = auto(Goal::Budget(0)).study(ledger, &asked.inputs)?;
    let seen = match network {
        Some(_) => auto(Goal::Budget(0)).observed(ledger, &asked.inputs)?,
        None => None,
    };
    let rates = seen.map_or_else(Default::default, |(rates, _)| rates);
    let inputs = asked.inputs.len() as u64;
    let goals: Vec<Goal> = if args.budget.is_empty() && args.target_acr.is_none() {
        let total = |share: f64| Goal::Budget((share * header.n as f64) as u64 * inputs);
        SHARES.iter().map(|&share| total(share)).collect()
    } else {
        asked.goals.clone()
    };
    let mut lines = Vec::new();
    for goal in goals {
        study.goal = goal;
        let forecast = study.forecast(rates)?;
        // From scratch is compared at what was given, not at what was used.
        let given = match goal {
            Goal::Budget(total) => total,
            _ => forecast.evaluations,
        };
        let scratch = |each: u64| study.from_scratch(each, header.n0, asked.alpha);
        lines.push(Line {
            evaluations: given,
            auto: forecast.radius * header.sigma,
            from_scratch: scratch(given / inputs)? * header.sigma,
            as_much: as_much(&study, forecast.radius, header.n, &scratch)?
                .map(|each| each * inputs),
        });
    }
    let basis = match seen {
        Some((_, pairs)) => format!("{pairs} copies that it has answered already"),
        None => "the rates of an int8 version, as it has answered no copy yet".to_owned(),
    };
    let text = if args.json {
        as_json(&lines, &basis)
    } else {
        as_text(&lines, &basis, inputs, header.n)
    };
    progress::print(&text)
}

/// The fewest evaluations an input from which certifying from scratch is
/// expected to give at least `radius`, by bisection; its radius rises with them.
fn as_much(
    study: &Study,
    radius: f64,
    n: u64,
    scratch: &dyn Fn(u64) -> Result<f64, recert::smooth::Error>,
) -> Result<Option<u64>> {
    let (mut low, mut high) = (0, 4 * n);
    if study.subjects.is_empty() || scratch(high)? < radius {
        return Ok(None);
    }
    while high - low > 1 + high / 200 {
        let middle = u64::midpoint(low, high);
        if scratch(middle)? < radius {
            low = middle;
        } else {
            high = middle;
        }
    }
    Ok(Some(high))
}

/// Whether certifying from scratch promises at least as much.
fn better_from_scratch(line: &Line) -> bool {
    line.from_scratch >= line.auto
}

fn as_text(lines: &[Line], basis: &str, inputs: u64, n: u64) -> String {
    let mut text = format!(
        "Expected average certified radius of {inputs} inputs, whatever their labels, from {basis}\n\n\
         {:>12} {:>8} {:>8} {:>13} {:>9}\n",
        "evaluations", "% of n", "auto", "from scratch", "speed-up",
    );
    for line in lines {
        let speed_up = match line.as_much {
            Some(other) => format!("{:.1}", other as f64 / line.evaluations.max(1) as f64),
            None => "beyond n".to_owned(),
        };
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "{:>12} {:>8.2} {:>8} {:>13} {speed_up:>9}",
            line.evaluations,
            100.0 * line.evaluations as f64 / (inputs * n) as f64,
            format_down(line.auto, 4),
            format_down(line.from_scratch, 4),
        );
    }
    if lines.iter().all(better_from_scratch) {
        text += "\nRecertifying promises nothing here: certify from scratch instead.\n";
    } else if lines.iter().any(better_from_scratch) {
        text += "\nWhere from scratch is no worse, certify from scratch instead.\n";
    }
    text
}

fn as_json(lines: &[Line], basis: &str) -> String {
    let line = |line: &Line| {
        json!({
            "evaluations": line.evaluations, "auto": line.auto,
            "from_scratch": line.from_scratch, "from_scratch_evaluations": line.as_much,
            "certify_from_scratch": better_from_scratch(line),
        })
    };
    let lines: Vec<_> = lines.iter().map(line).collect();
    format!(
        "{:#}\n",
        json!({"schema": SCHEMA, "basis": basis, "budgets": lines})
    )
}
