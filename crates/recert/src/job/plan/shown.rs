//! Forecasts as tables and as JSON.

use std::fmt;
use std::fmt::Write as _;

use recert_num::format_down;
use recert_report::speed_up::Ratio;
use serde_json::{Value, json};

use super::{Expected, ExpectedUntil, Forecast};
use crate::output::count;

impl Forecast {
    /// Forecasts as JSON, schema `recert-plan/2`.
    pub fn all_to_json(forecasts: &[Self]) -> Value {
        let networks: Vec<_> = forecasts.iter().map(as_json).collect();
        json!({"schema": "recert-plan/2", "networks": networks})
    }
}

impl fmt::Display for Forecast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&match &self.until {
            Some(until) => until_as_text(self, until),
            None => as_text(self),
        })
    }
}

/// What a forecast rests on.
fn basis(forecast: &Forecast) -> String {
    match forecast.answered {
        Some(samples) => format!("{samples} samples that it has answered already"),
        None => "the rates of an int8 version, as it has answered no sample yet".to_owned(),
    }
}

/// What a run that stops at a radius is planned to take, and how far that may be off.
fn until_as_text(forecast: &Forecast, until: &ExpectedUntil) -> String {
    let inputs = count(forecast.inputs, "input");
    let [least, most] = until.range;
    format!(
        "Expected of stopping each of {inputs} at radius {} under {}, from {}\n\n\
         {:>12} evaluations planned, for {} that promise the radius; the others get a pilot at most\n\n\
         The plan is an expectation. An input ends when its answers certify the radius or show it\n\
         out of reach, after {least} to {most} times its plan, and a run may take as much of the whole\n\
         (of the demo's networks: 0.9 to 3.0 times, bench/budgets).\n",
        until.radius,
        forecast.network,
        basis(forecast),
        until.evaluations,
        count(until.promising, "input"),
    )
}

/// What budgets are expected to give, as a table.
fn as_text(forecast: &Forecast) -> String {
    let Forecast {
        network,
        inputs,
        n,
        budgets,
        ..
    } = forecast;
    let basis = basis(forecast);
    let mut text = format!(
        "Expected average radius (wrong classes included) of {} under {network}, from {basis}\n\n\
         {:46} {:>29}\n{:>12} {:>8} {:>8} {:>8} {:>8} {:>9} {:>9} {:>9}\n",
        count(*inputs, "input"),
        "",
        "speed-up over",
        "evaluations",
        "% of n",
        "auto",
        "scratch",
        "planned",
        "scratch",
        "planned",
        "paper",
    );
    let ratio = |ratio: Option<Ratio>| ratio.map_or_else(|| "-".to_owned(), Ratio::text);
    for line in budgets {
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "{:>12} {:>8.2} {:>8} {:>8} {:>8} {:>9} {:>9} {:>9}",
            line.evaluations,
            100.0 * line.evaluations as f64 / (inputs * n) as f64,
            format_down(line.auto, 4),
            format_down(line.from_scratch.from_scratch, 4),
            format_down(line.from_scratch.planned, 4),
            ratio(line.speed_up.from_scratch),
            ratio(line.speed_up.planned),
            ratio(line.speed_up.paper),
        );
    }
    text += "\nscratch: from scratch with the class of the ledger, as many samples of every input\n\
             planned: the same, with the samples planned over the inputs by the ledger's counts\n\
             paper: 100 selection samples and as many others of every input, one-sided (Ugare et \
             al.)\n\
             speed-up: evaluations that these need for the radius in column auto, divided by those \
             of auto\n";
    if budgets.iter().all(Expected::better_from_scratch) {
        text += "\nRecertifying promises nothing here: certify from scratch instead.\n";
    } else if budgets
        .iter()
        .any(|line| line.from_scratch.from_scratch > 0.0 && line.better_from_scratch())
    {
        text += "\nWhere from scratch is no worse, certify from scratch instead.\n";
    }
    text
}

fn as_json(forecast: &Forecast) -> Value {
    let line = |line: &Expected| {
        json!({
            "evaluations": line.evaluations, "auto": line.auto,
            "from_scratch": line.from_scratch, "speed_up": line.speed_up,
            "certify_from_scratch": line.better_from_scratch(),
        })
    };
    let lines: Vec<_> = forecast.budgets.iter().map(line).collect();
    let mut document =
        json!({"network": forecast.network, "basis": basis(forecast), "budgets": lines});
    if let Some(until) = &forecast.until {
        document["until"] = json!({
            "radius": until.radius, "evaluations": until.evaluations,
            "promising": until.promising, "range": until.range,
        });
    }
    document
}
