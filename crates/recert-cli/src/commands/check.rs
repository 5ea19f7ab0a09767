//! `recert check`.

mod rerun;

use std::fmt::Write as _;

use anyhow::Result;
use recert::check::{Report, SCHEMA, SealState, Unchecked, check_ledger};
use recert::ledger::Ledger;
use serde_json::{Value, json};

use self::rerun::{Models, Rerun};
use crate::args::Check;
use crate::config::usage;
use crate::exit::{Code, Failure, message};
use crate::progress::print;

/// Violations of a ledger that are printed; JSON has all of them.
const SHOWN: usize = 100;

/// What became of one ledger.
struct Outcome {
    ledger: String,
    result: Result<(Report, Option<Rerun>)>,
}

impl Outcome {
    /// Violations of the check, and samples answered otherwise.
    fn wrong(&self) -> usize {
        self.result.as_ref().map_or(0, |(report, rerun)| {
            report.violations.len() + rerun.as_ref().map_or(0, |rerun| rerun.differences.len())
        })
    }
}

pub(crate) fn run(args: &Check) -> Result<()> {
    if args.rerun == Some(0) {
        return usage("--rerun must be at least 1");
    }
    let models = match args.rerun {
        Some(samples) => Some(Models::read(args, samples)?),
        None => None,
    };
    let mut outcomes = Vec::new();
    for path in &args.ledgers {
        outcomes.push(Outcome {
            ledger: path.display().to_string(),
            result: one(path, models.as_ref()),
        });
    }
    if let Some(unused) = models.as_ref().and_then(Models::unused)
        && outcomes.iter().all(|outcome| outcome.result.is_ok())
    {
        return usage(format!(
            "--model {unused} is no network of the ledgers (its SHA-256 is none of theirs)"
        ));
    }
    if args.json {
        let ledgers: Vec<Value> = outcomes.iter().map(as_json).collect();
        let document = json!({"schema": SCHEMA, "ledgers": ledgers});
        print(&format!("{document:#}\n"))?;
    } else {
        let texts = outcomes.iter().map(as_text);
        print(&texts.collect::<Vec<_>>().join("\n"))?;
    }
    let wrong = outcomes.iter().filter(|outcome| outcome.wrong() > 0);
    let (ledgers, places) = wrong.fold((0, 0), |(ledgers, places), outcome| {
        (ledgers + 1, places + outcome.wrong())
    });
    if ledgers > 0 {
        let message = format!(
            "{places} fields or answers do not hold, in {ledgers} of {} ledgers",
            outcomes.len()
        );
        return Err(Failure::new(Code::Check, message).into());
    }
    match outcomes
        .into_iter()
        .find_map(|outcome| outcome.result.err())
    {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

fn one(path: &std::path::Path, models: Option<&Models<'_>>) -> Result<(Report, Option<Rerun>)> {
    let ledger = Ledger::open_read_only(path)?;
    let mut report = check_ledger(&ledger)?;
    let Some(models) = models else {
        return Ok((report, None));
    };
    let rerun = models.rerun(&ledger)?;
    if !rerun.differences.is_empty() && !rerun.batch_invariant {
        report.unchecked.push(Unchecked::BatchDependent);
    }
    report.unchecked.retain(|what| *what != Unchecked::Answers);
    report.unchecked.push(Unchecked::OtherAnswers {
        rerun: rerun.samples,
        answers: report.answers,
    });
    report.unchecked.extend(rerun.skipped.iter().cloned());
    Ok((report, Some(rerun)))
}

fn as_json(outcome: &Outcome) -> Value {
    match &outcome.result {
        Ok((report, rerun)) => {
            let mut value = json!(report);
            value["holds"] = json!(outcome.wrong() == 0);
            value["rerun"] = rerun.as_ref().map_or(Value::Null, Rerun::json);
            value
        }
        Err(error) => json!({"ledger": outcome.ledger, "error": message(error)}),
    }
}

fn as_text(outcome: &Outcome) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let mut line = |line: &str| {
        let _ = writeln!(text, "{line}");
    };
    let (report, rerun) = match &outcome.result {
        Ok(checked) => checked,
        Err(error) => {
            line(&format!(
                "{}: cannot be checked: {}",
                outcome.ledger,
                message(error)
            ));
            return text;
        }
    };
    let seal = match report.seal {
        SealState::Absent => "no seal",
        SealState::Holds => "the seal holds",
        SealState::Broken => "the seal is broken",
    };
    line(&format!(
        "{}: schema {}, {seal}, {} answers decoded",
        outcome.ledger, report.version, report.answers
    ));
    line(&format!(
        "  {:<10}{:>14}{:>12}{:>18}",
        "method", "certificates", "certified", "answers counted"
    ));
    for (method, tally) in &report.methods {
        line(&format!(
            "  {method:<10}{:>14}{:>12}{:>18}",
            tally.certificates, tally.certified, tally.samples
        ));
    }
    if let Some(rerun) = rerun {
        line(&format!(
            "  run again: {} samples, and what all selection samples of {} inputs select (--seed {}), {} \
             answered otherwise",
            rerun.samples,
            rerun.selections,
            rerun.seed,
            rerun.differences.len()
        ));
    }
    for what in &report.unchecked {
        line(&format!("  not checked: {what}"));
    }
    let violations = report.violations.iter().map(ToString::to_string);
    let differences = rerun.iter().flat_map(|rerun| &rerun.differences);
    let wrong: Vec<String> = violations
        .chain(differences.map(ToString::to_string))
        .collect();
    for what in wrong.iter().take(SHOWN) {
        line(&format!("  wrong: {what}"));
    }
    if wrong.len() > SHOWN {
        line(&format!(
            "  wrong: {} more (--json has all)",
            wrong.len() - SHOWN
        ));
    }
    if wrong.is_empty() {
        line("  all that was checked holds");
    }
    text
}
