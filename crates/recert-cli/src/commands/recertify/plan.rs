//! `recert recertify --plan`: what to expect, before anything is run.

use std::fmt::Write as _;

use anyhow::Result;
use recert::ledger::{Ledger, Network};
use recert::num::format_down;
use recert::smooth::Auto;
use recert::smooth::budget::{Goal, Study};
use serde_json::{Value, json};

use super::Asked;
use crate::args::Recertify;
use crate::progress;

/// The version of the JSON.
const SCHEMA: &str = "recert-plan/1";

/// Shares of n that are looked at where no budget is given.
const SHARES: [f64; 7] = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5];

/// What may be expected of one network.
pub(super) struct Plan {
    /// The network's file.
    network: String,
    /// What is known of it.
    basis: String,
    inputs: u64,
    n: u64,
    lines: Vec<Line>,
}

/// One line: a spending, what it is expected to give, and from scratch.
struct Line {
    evaluations: u64,
    auto: f64,
    from_scratch: f64,
    /// Evaluations from scratch that are expected to give as much, if any
    /// number up to [`MOST`] times n does and there is anything to give.
    as_much: Option<u64>,
}

/// How many times n is looked at for what certifying from scratch would take.
const MOST: u64 = 4;

impl Plan {
    pub(super) fn new(
        args: &Recertify,
        ledger: &Ledger,
        asked: &Asked,
        identity: &Network,
    ) -> Result<Self> {
        let header = ledger.header();
        let known = ledger.networks()?.into_iter().find(|(_, n)| n == identity);
        let network = known.map(|(id, _)| id);
        let auto = |goal: Goal| Auto {
            alpha: asked.alpha,
            among: asked.among,
            goal,
            sides: args.sides.sides(),
        };
        let seen = match network {
            Some(network) => auto(Goal::Budget(0)).observed(ledger, network, &asked.inputs)?,
            None => None,
        };
        let rates = seen.map_or_else(Default::default, |(rates, _)| rates);
        let inputs = asked.inputs.len() as u64;
        let none = args.budget.is_empty() && args.n_p.is_empty() && args.target_acr.is_none();
        let goals: Vec<Goal> = if none {
            let each = |share: f64| ((share * header.n as f64) as u64).max(1);
            let mut goals: Vec<_> = (SHARES.iter())
                .map(|&share| Goal::Budget(each(share) * inputs))
                .collect();
            goals.dedup();
            goals
        } else {
            asked.goals.clone()
        };
        let mut lines = Vec::new();
        for goal in goals {
            let study = auto(goal).study(ledger, &asked.inputs)?;
            let forecast = study.forecast(&rates)?;
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
            Some((_, pairs)) => format!("{pairs} samples that it has answered already"),
            None => "the rates of an int8 version, as it has answered no sample yet".to_owned(),
        };
        Ok(Self {
            network: identity.file.clone(),
            basis,
            inputs,
            n: header.n,
            lines,
        })
    }
}

/// Prints plans, as tables or as one JSON document.
pub(super) fn print(plans: &[Plan], json: bool) -> Result<()> {
    let text = if json {
        let plans: Vec<_> = plans.iter().map(as_json).collect();
        format!("{:#}\n", json!({"schema": SCHEMA, "networks": plans}))
    } else {
        let tables: Vec<_> = plans.iter().map(as_text).collect();
        tables.join("\n")
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
    let (mut low, mut high) = (0, MOST * n);
    if study.subjects.is_empty() || radius <= 0.0 || scratch(high)? < radius {
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

fn as_text(plan: &Plan) -> String {
    let Plan {
        network,
        basis,
        inputs,
        n,
        lines,
    } = plan;
    let mut text = format!(
        "Expected average certified radius of {inputs} inputs under {network}, whatever their \
         labels, from {basis}\n\n\
         {:>12} {:>8} {:>8} {:>13} {:>9}\n",
        "evaluations", "% of n", "auto", "from scratch", "speed-up",
    );
    for line in lines {
        let times = |evaluations: u64| evaluations as f64 / line.evaluations.max(1) as f64;
        let speed_up = match line.as_much {
            Some(as_much) => format!("{:.1}", times(as_much)),
            None if line.auto > 0.0 => format!("> {:.1}", times(MOST * n * inputs)),
            None => "-".to_owned(),
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
    } else if lines
        .iter()
        .any(|line| line.from_scratch > 0.0 && better_from_scratch(line))
    {
        text += "\nWhere from scratch is no worse, certify from scratch instead.\n";
    }
    text
}

fn as_json(plan: &Plan) -> Value {
    let line = |line: &Line| {
        json!({
            "evaluations": line.evaluations, "auto": line.auto,
            "from_scratch": line.from_scratch, "from_scratch_evaluations": line.as_much,
            "certify_from_scratch": better_from_scratch(line),
        })
    };
    let lines: Vec<_> = plan.lines.iter().map(line).collect();
    json!({"network": plan.network, "basis": plan.basis, "budgets": lines})
}
