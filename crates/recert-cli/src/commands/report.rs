//! `recert report`.

use recert::job::Reported;
use recert::report::{csv, html, json, table};

use crate::args::Report;
use crate::exit::{Result, usage};
use crate::terminal::{self, print};

pub(crate) fn run(args: &Report) -> Result<()> {
    if args.radii.iter().any(|r| !(r.is_finite() && *r >= 0.0)) {
        return usage("--radii must be numbers from 0 on");
    }
    if let Some(page) = &args.html {
        let inputs = args.ledgers.iter();
        let inputs: Vec<_> = inputs
            .map(|l| (l.as_path(), "one of the ledgers given"))
            .collect();
        terminal::check_place("--html", page, &inputs)?;
    }
    let Reported { report, warnings } = {
        let (network, run) = (args.network.as_deref(), args.run.as_deref());
        recert::job::report_on(&args.ledgers, &args.title, network, run)?
    };
    for warning in &warnings {
        terminal::remark(&format!("warning: {}", warning.trim_end_matches('.')));
    }
    let radii = (!args.radii.is_empty()).then(|| args.radii.clone());
    if args.csv {
        print(&csv::render(&report, radii.as_deref())?)?;
    } else if args.json {
        print(&format!(
            "{}\n",
            json::to_string(&report, radii.as_deref())?
        ))?;
    } else {
        let mut options = table::Options::default();
        options.radii.clone_from(&radii);
        options.brief = args.brief;
        print(&table::render(&report, &options)?)?;
    }
    if let Some(path) = &args.html {
        let mut options = html::Options::default();
        options.radii = radii;
        terminal::write(path, &html::render(&report, &options)?)?;
    }
    Ok(())
}
