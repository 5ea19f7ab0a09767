//! `recert check`.

use recert::check::{Report, SCHEMA, SealState};
use recert::job::{Auditor, Checked, Findings, Rerun, RerunConfig, RerunNetwork, ResultsAgain};
use recert::num::format_up_significant;
use serde_json::{Value, json};

use crate::args::Check;
use crate::exit::{Code, Failure, Result, with_flag};
use crate::terminal::{count, print, remark};

/// Violations of a ledger that are printed; JSON has all of them.
const SHOWN: usize = 100;

pub(crate) fn run(args: &Check) -> Result<()> {
    let auditor = match args.rerun {
        Some(samples) => Some(Auditor::new(RerunConfig {
            samples,
            seed: args.seed,
            models: args.model.clone(),
            exports: args.export.clone(),
            vnnlib: args.vnnlib.clone(),
            engine: args.engine.clone(),
            data: args.data.clone(),
            options: args.data_args.config(),
        })?),
        None => None,
    };
    let all = recert::job::check(&args.ledgers, auditor.as_ref())?;
    if args.json {
        let ledgers: Vec<Value> = all.iter().map(as_json).collect();
        let document = json!({"schema": SCHEMA, "ledgers": ledgers});
        print(&format!("{document:#}\n"))?;
    } else {
        let texts = all.iter().filter_map(as_text);
        print(&texts.collect::<Vec<_>>().join("\n"))?;
    }
    let wrong: Vec<usize> = all.iter().map(Checked::wrong).filter(|&w| w > 0).collect();
    if !wrong.is_empty() {
        remark_failures(all.iter().filter(|_| !args.json));
        let found = match wrong.iter().sum::<usize>() {
            1 => "1 field or answer does not hold".to_owned(),
            more => format!("{more} fields or answers do not hold"),
        };
        let ledgers = count(all.len(), "ledger");
        let message = format!("{found}, in {} of {ledgers}", wrong.len());
        return Err(Failure::new(Code::Check, message));
    }
    let Some(first) = all.iter().position(|checked| checked.result.is_err()) else {
        return if args.strict { complete(&all) } else { Ok(()) };
    };
    // The first is the program's own error.
    remark_failures(all[first + 1..].iter().filter(|_| !args.json));
    match all.into_iter().find_map(|checked| checked.result.err()) {
        Some(error) => Err(error.into()),
        None => Ok(()),
    }
}

/// Fails if anything is missing from a ledger in which nothing is wrong.
fn complete(all: &[Checked]) -> Result<()> {
    let found = all
        .iter()
        .filter_map(|checked| checked.result.as_ref().ok());
    let missing: usize = found.map(|found| found.report.missing().count()).sum();
    if missing == 0 {
        return Ok(());
    }
    let message = format!(
        "nothing is wrong, but {} missing (--strict)",
        things(missing)
    );
    Err(Failure::new(Code::Check, message))
}

/// States on stderr why ledgers could not be checked.
fn remark_failures<'a>(checked: impl Iterator<Item = &'a Checked>) {
    for error in checked.filter_map(|checked| checked.result.as_ref().err()) {
        remark(&with_flag(error, error.field()));
    }
}

fn as_json(checked: &Checked) -> Value {
    match &checked.result {
        Ok(found) => found.to_json(),
        Err(error) => json!({
            "ledger": checked.ledger.display().to_string(),
            "error": with_flag(error, error.field()),
        }),
    }
}

/// What was run again of a network.
fn run_again(network: &RerunNetwork) -> String {
    let more = match network.tolerance {
        Some(_) => ", by more than rounding explains,",
        None => "",
    };
    format!(
        "{} by {}: {} of {} answers; if {} % of them were others{more} one would be found with a \
         probability of 99 %",
        network.file,
        network.engine,
        network.samples,
        network.answers,
        format_up_significant(100.0 * network.found_share, 3),
    )
}

/// What was run again of a network's selection samples.
fn selected_again(network: &RerunNetwork) -> String {
    format!(
        "selection samples, which choose the class: those of {} of {}; if {} % of the inputs had \
         others one would be found with a probability of 99 %",
        network.selections,
        count(network.selections_held as usize, "input"),
        format_up_significant(100.0 * network.selections_found_share, 3),
    )
}

/// What came of verifying results by bounds again.
fn verified_again(results: &ResultsAgain) -> String {
    let less = match results.by_less {
        0 => String::new(),
        less => format!(" ({less} with a smaller margin than stored)"),
    };
    let cells = match results.cells {
        0 => String::new(),
        cells => format!(
            " (of transformations {} of {} of parameters)",
            results.cells_proved,
            count(cells as usize, "cell")
        ),
    };
    format!(
        "{} of {}: {} proved from their proofs{less}{cells}, {} with counterexamples answered again, {} \
         unknown; {}",
        results.drawn,
        count(results.results as usize, "result"),
        results.proved,
        results.refuted,
        results.unknown,
        count(results.differences.len(), "difference"),
    )
}

/// The outcome of a check in which nothing is wrong: what passed, and how much is missing.
fn outcome(report: &Report) -> String {
    let missing = report.missing().count();
    if missing == 0 {
        return "all checks passed".to_owned();
    }
    let unsealed = match report.seal {
        SealState::Absent => ", and there is no seal",
        _ => "",
    };
    format!(
        "{} and {} agree with all that was derived{unsealed}; not complete: {} missing (above)",
        count(report.certificates() as usize, "certificate"),
        count(report.answers as usize, "answer"),
        things(missing),
    )
}

/// So many things, with their verb.
fn things(many: usize) -> String {
    match many {
        1 => "1 thing is".to_owned(),
        more => format!("{more} things are"),
    }
}

/// What a check found, as text; `None` where there was none.
fn as_text(checked: &Checked) -> Option<String> {
    let Findings { report, rerun } = checked.result.as_ref().ok()?;
    let mut text = String::new();
    // What a ledger holds must not reach a terminal as escape sequences, nor as other lines.
    let printable = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let mut line = |line: &str| text.extend(line.chars().map(printable).chain(['\n']));
    line(&format!(
        "{}: schema {}, {}, {} answers decoded",
        checked.ledger.display(),
        report.version,
        seal(report.seal),
        report.answers
    ));
    for about in subject(report) {
        line(&format!("  {about}"));
    }
    if report.methods.is_empty() && report.verifications.is_empty() {
        line("  holds no certificates yet");
    } else if !report.methods.is_empty() {
        line(&format!(
            "  {:<10}{:>14}{:>12}{:>33}",
            "method", "certificates", "certified", "samples used (all certificates)"
        ));
    }
    for (method, tally) in &report.methods {
        line(&format!(
            "  {method:<10}{:>14}{:>12}{:>33}",
            tally.certificates, tally.certified, tally.samples
        ));
    }
    for found in recert::job::comparisons(&checked.ledger).unwrap_or_default() {
        line(&format!("  engine: {found}"));
    }
    // A ledger of verifications alone has no samples to speak of.
    let sampled = |rerun: &&Rerun| rerun.results.is_none() || !rerun.networks.is_empty();
    if let Some(rerun) = rerun.as_ref().filter(sampled) {
        line(&format!(
            "  run again: {}, and class selections recomputed of {} (--seed {}): {}",
            count(rerun.samples, "sample"),
            count(rerun.selections, "input"),
            rerun.seed,
            count(rerun.differences.len(), "difference"),
        ));
        for network in &rerun.networks {
            line(&format!("    {}", run_again(network)));
            if network.selections > 0 {
                line(&format!("    {}", selected_again(network)));
            }
            let near = rerun.near_ties.iter();
            let near = near.filter(|difference| difference.network == network.file);
            if let Some(tolerance) = network.tolerance {
                let near = if network.too_many {
                    "more than rounding explains, so they count as wrong".to_owned()
                } else {
                    count(near.count(), "near tie")
                };
                line(&format!(
                    "    {} of them have scores within {} of each other; answered otherwise, \
                     or in another bucket of the margin, by no more than that: {near}",
                    network.nearly_tied,
                    format_up_significant(tolerance.into(), 3),
                ));
            }
        }
    }
    if let Some(results) = rerun.as_ref().and_then(|rerun| rerun.results.as_ref()) {
        line(&format!("  verified again: {}", verified_again(results)));
    }
    for item in report.unchecked.iter().filter(|item| !item.is_limit()) {
        let kind = if item.is_missing() { "missing" } else { "note" };
        line(&format!("  {kind}: {item}"));
    }
    let violations = report.violations.iter().map(ToString::to_string);
    let differences = rerun.iter().flat_map(|rerun| &rerun.differences);
    let results = rerun.iter().flat_map(|rerun| &rerun.results);
    let results = results.flat_map(|results| &results.differences);
    let wrong: Vec<String> = violations
        .chain(differences.map(ToString::to_string))
        .chain(results.map(ToString::to_string))
        .collect();
    for violation in wrong.iter().take(SHOWN) {
        line(&format!("  wrong: {violation}"));
    }
    if wrong.len() > SHOWN {
        line(&format!(
            "  wrong: {} more (--json has all)",
            wrong.len() - SHOWN
        ));
    }
    if wrong.is_empty() {
        line(&format!("  {}", outcome(report)));
    }
    let limits: Vec<_> = report.unchecked.iter().filter(|u| u.is_limit()).collect();
    if !limits.is_empty() {
        line("  beyond what a check can show:");
    }
    for limit in limits {
        line(&format!("  - {limit}"));
    }
    Some(text)
}

fn seal(state: SealState) -> &'static str {
    match state {
        SealState::Absent => "no seal",
        SealState::Holds => "the seal holds",
        SealState::Broken => "the seal is broken",
    }
}

/// What the ledger is of: the run, its networks, and the statements of its claims.
fn subject(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(run) = report.run.as_ref().filter(|run| run.task != "verify") {
        lines.push(format!(
            "{}: sigma {}, n0 {}, n {}, alpha {}, seed {}, noise {}",
            run.task, run.sigma, run.n0, run.n, run.alpha, run.seed, run.generator
        ));
    }
    for network in &report.networks {
        lines.push(format!(
            "network {}: {}, {}, preprocessing {}",
            network.id, network.file, network.engine, network.preprocess
        ));
    }
    let mut statements: Vec<&str> = Vec::new();
    for claim in report.claims.iter().filter(|claim| claim.certificates > 0) {
        if !statements.contains(&claim.statement.as_str()) {
            statements.push(&claim.statement);
        }
    }
    let states = !statements.is_empty();
    lines.extend(statements.iter().map(|words| format!("states, {words}")));
    let proviso = report.run.as_ref().and_then(|run| run.proviso);
    lines.extend(
        proviso
            .filter(|_| states)
            .map(|proviso| format!("provided {proviso}")),
    );
    for v in &report.verifications {
        lines.push(format!(
            "network {}, {} {} by {}: {} verified, {} falsified, {} unknown; verified: {}",
            v.network,
            v.kind,
            v.specification,
            v.method,
            v.verified,
            v.falsified,
            v.unknown,
            v.statement
        ));
    }
    lines
}
