//! `recert report`.

use anyhow::Result;
use recert::ledger::{Ledger, Task};
use recert::report::{html, json, table};

use crate::args::Report;
use crate::config::usage;
use crate::output;
use crate::progress::print;

pub(crate) fn run(args: &Report) -> Result<()> {
    if args.radii.iter().any(|r| !(r.is_finite() && *r >= 0.0)) {
        return usage("--radii must be numbers from 0 on");
    }
    if let Some(page) = &args.html {
        let inputs = args.ledgers.iter();
        let inputs: Vec<_> = inputs
            .map(|l| (l.as_path(), "one of the ledgers given"))
            .collect();
        output::check_place("--html", page, &inputs)?;
    }
    let ledgers = args
        .ledgers
        .iter()
        .map(|path| Ledger::open_read_only(path))
        .collect::<Result<Vec<_>, _>>()?;
    if let Some(predictions) = ledgers.iter().find(|l| l.header().task == Task::Predict) {
        return usage(format!(
            "{} holds predictions, which have no radii to report: its rows are what \
             `recert predict` prints",
            predictions.path().display(),
        ));
    }
    let generated = format!("made by recert {}", env!("CARGO_PKG_VERSION"));
    let mut report = recert::reporting::from_ledgers(&ledgers, &args.title, &generated)?;
    let warnings: Vec<String> = (ledgers.iter())
        .filter_map(recert::reporting::seal_note)
        .collect();
    for warning in &warnings {
        eprintln!("recert: warning: {}", warning.trim_end_matches('.'));
    }
    report.notes.splice(0..0, warnings);
    let radii = (!args.radii.is_empty()).then(|| args.radii.clone());
    if args.json {
        print(&format!("{}\n", json::to_string(&report)?))?;
    } else {
        let mut options = table::Options::default();
        options.radii.clone_from(&radii);
        print(&table::render(&report, &options)?)?;
    }
    if let Some(path) = &args.html {
        let mut options = html::Options::default();
        options.radii = radii;
        output::write(path, html::render(&report, &options)?.as_bytes())?;
    }
    Ok(())
}
