//! `recert report`.

use anyhow::{Context, Result};
use recert::ledger::Ledger;
use recert::report::{html, json, table};

use crate::args::Report;
use crate::config::usage;

pub(crate) fn run(args: &Report) -> Result<()> {
    if args.radii.iter().any(|r| !(r.is_finite() && *r >= 0.0)) {
        return usage("--radii must be numbers from 0 on");
    }
    let ledgers = args
        .ledgers
        .iter()
        .map(|path| Ledger::open_read_only(path))
        .collect::<Result<Vec<_>, _>>()?;
    let generated = format!("made by recert {}", env!("CARGO_PKG_VERSION"));
    let report = recert::reporting::from_ledgers(&ledgers, &args.title, &generated)?;
    let radii = (!args.radii.is_empty()).then(|| args.radii.clone());
    if args.json {
        println!("{}", json::to_string(&report)?);
    } else {
        let mut options = table::Options::default();
        options.radii.clone_from(&radii);
        print!("{}", table::render(&report, &options)?);
    }
    if let Some(path) = &args.html {
        let mut options = html::Options::default();
        options.radii = radii;
        std::fs::write(path, html::render(&report, &options)?)
            .with_context(|| format!("writing {} failed", path.display()))?;
        eprintln!("wrote {}", path.display());
    }
    Ok(())
}
